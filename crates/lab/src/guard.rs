//! Bastide in the city: the real program on the router, told nothing of the city but which interfaces are its own.

use crate::{
    city::{
        host::{Host, command},
        streets::City,
    },
    clock,
    error::{Error, Result, Tried},
    measure::outcome::{Act, Undone},
    run::{Mode, Task},
};
use model::Timestamp;
use serde_json::Value;
use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

/// Where the console listens inside the router's network.
const PORT: u16 = 8443;
/// Where Bastide's messages about incidents arrive, inside the router's network.
const INBOX: u16 = 8514;

/// The running program.
pub(crate) struct Guard {
    child: Mutex<Child>,
    program: PathBuf,
    data: PathBuf,
    told: Arc<Mutex<Vec<Message>>>,
}

/// What Bastide told of an incident, and when that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) at: Timestamp,
    pub(crate) text: String,
}

/// What Bastide did and said in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) acts: Vec<Act>,
    pub(crate) told: Vec<Message>,
}

/// How Bastide is started: the one place that knows its command line.
fn command_line(data: &Path, config: &Path) -> Vec<String> {
    let mut line: Vec<String> = ["up", "--data-dir"].map(str::to_owned).to_vec();
    line.push(data.display().to_string());
    line.extend(["--listen".into(), format!("127.0.0.1:{PORT}")]);
    for interface in ["street0", "wan0"] {
        line.extend(["--sensor".into(), interface.into()]);
    }
    line.extend(["--config".into(), config.display().to_string()]);
    line
}

/// Its settings: shipped defaults, but for how far it may respond by itself, and where to tell of incidents.
fn settings(mode: Mode) -> String {
    let response = match mode {
        Mode::Watched => "[response]\nmode = \"off\"\n".to_owned(),
        Mode::Responding | Mode::OutOfSight => {
            "[response]\nmode = \"ask\"\n\n[response.kinds]\ncamera = \"auto\"\n".to_owned()
        }
    };
    format!("{response}\n[notify]\nwebhook = \"http://127.0.0.1:{INBOX}/\"\n")
}

impl Guard {
    /// Starts Bastide on the router and waits until its sensor sees packets; nothing where the task names no program.
    pub(crate) fn start(task: &Task, city: &City) -> Result<Option<Self>> {
        let Some(program) = task.bastide.clone() else { return Ok(None) };
        let data = task.out.join("data");
        fs::create_dir_all(&data).tried(|| format!("create {}", data.display()))?;
        let config = task.out.join("bastide.toml");
        fs::write(&config, settings(task.mode)).tried(|| format!("write {}", config.display()))?;
        let log = task.out.join("bastide.log");
        let log = File::create(&log).tried(|| format!("create {}", log.display()))?;
        let told = Arc::<Mutex<Vec<Message>>>::default();
        inbox(&city.router, &told)?;
        let (line, run) = (command_line(&data, &config), program.clone());
        let child = city.router.call(move || {
            let errors = log.try_clone()?;
            Command::new(run).args(line).stdin(Stdio::null()).stdout(log).stderr(errors).spawn()
        })?;
        let child = Mutex::new(child.tried(|| format!("start {}", program.display()))?);
        let guard = Self { child, program, data, told };
        let ready = city.router.call(|| {
            let address = (Ipv4Addr::LOCALHOST, PORT);
            clock::wait_until(20_000, || {
                TcpStream::connect_timeout(&address.into(), Duration::from_millis(300)).is_ok()
            })
        })?;
        if !ready {
            let said = fs::read_to_string(task.out.join("bastide.log")).unwrap_or_default();
            let said: Vec<&str> = said.lines().rev().take(3).collect();
            return Err(Error::Command { command: "bastide up".into(), said: said.join("; ") });
        }
        // The sensor's first look at the street.
        clock::pause(1_000);
        city.world.say("Bastide is on the router and watches street0 and wan0");
        Ok(Some(guard))
    }

    /// Presses undo for everything in force, and waits for the devices to be heard of again.
    pub(crate) fn undo(&self, city: &City) -> Result<Option<Undone>> {
        let world = &city.world;
        let commands: Vec<Act> = journal(&self.data).into_iter().filter(|act| act.device).collect();
        let Some(act) = commands.first() else { return Ok(None) };
        let Some(device) = act.addresses.iter().find_map(|address| world.plan.device_at(*address)) else {
            return Ok(None);
        };
        let before = world.arrived(device.number);
        let (program, data, ids) = (self.program.clone(), self.data.clone(), commands.clone());
        let pressed = clock::now();
        let undone = city.router.call(move || -> Result<()> {
            for act in ids {
                let arguments = [
                    "command".into(),
                    "undo".into(),
                    act.id,
                    "--data-dir".into(),
                    data.display().to_string(),
                ];
                command(&program.display().to_string(), arguments, "")?;
            }
            Ok(())
        })?;
        if let Err(error) = &undone {
            world.say(format!("undo failed: {error}"));
        }
        let back = clock::wait_until(15_000, || world.arrived(device.number) > before);
        let seconds = clock::now().seconds_since(pressed);
        world.say(if back {
            format!("undo was pressed; {} is back after {seconds:.1} s", device.name)
        } else {
            format!("undo was pressed; {} is not back", device.name)
        });
        Ok(Some(Undone { device: device.name.clone(), at: pressed, commands: commands.len(), back, seconds }))
    }

    /// Stops Bastide as a service manager would, and gives what it did and said.
    pub(crate) fn end(self) -> Result<Seen> {
        let mut child = crate::city::world::lock(&self.child);
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        if id.as_raw() > 0 {
            let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        }
        if !clock::wait_until(6_000, || matches!(child.try_wait(), Ok(Some(_)))) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let told = crate::city::world::lock(&self.told).clone();
        Ok(Seen { acts: journal(&self.data), told })
    }
}

/// Takes messages about incidents, as a city's own tool would.
fn inbox(router: &Host, told: &Arc<Mutex<Vec<Message>>>) -> Result<()> {
    let told = Arc::clone(told);
    router.start("inbox", move || {
        let _ = crate::things::web::take_posts(INBOX, move |text| {
            crate::city::world::lock(&told).push(Message { at: clock::now(), text });
        });
    })
}

/// What the journal says was put in force: each command, and when that was done.
pub(crate) fn journal(data: &Path) -> Vec<Act> {
    let text = fs::read_to_string(data.join("sensor").join("journal.ndjson")).unwrap_or_default();
    let mut acts: Vec<Act> = Vec::new();
    for line in text.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        let field = |path: &str| entry.pointer(path);
        let text = |path: &str| field(path).and_then(Value::as_str).map(str::to_owned);
        match text("/what/act").as_deref() {
            Some("applying") => {
                let Some(id) = text("/what/command/id") else { continue };
                let listed = field("/what/command/on/addresses")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default();
                let named =
                    ["/what/command/on/address", "/what/command/on/src"].map(|path| field(path).cloned());
                let addresses = listed.into_iter().chain(named.into_iter().flatten());
                acts.push(Act {
                    id,
                    action: text("/what/command/action").unwrap_or_default(),
                    device: text("/what/command/on/target").as_deref() == Some("device"),
                    addresses: addresses.filter_map(|address| address.as_str()?.parse().ok()).collect(),
                    why: text("/what/command/why").unwrap_or_default(),
                    applied: None,
                });
            }
            Some("outcome") => {
                let (Some(id), Some(at)) = (text("/what/receipt/command"), text("/what/receipt/at")) else {
                    continue;
                };
                let effect = text("/what/receipt/effect").unwrap_or_default();
                if let (true, Ok(at)) = (effect == "applied" || effect == "effective", Timestamp::parse(&at))
                    && let Some(act) = acts.iter_mut().find(|act| act.id == id && act.applied.is_none())
                {
                    act.applied = Some(at);
                }
            }
            _ => {}
        }
    }
    acts
}
