//! `bastide sensor`: the sensor alone. Says what it notices as lines for people or for programs.

use ::sensor::{Notice, Order, ResponseConfig, SensorConfig, SensorHandle, Stats};
use anyhow::Context as _;
use model::{Asset, Effect, Incident, Net, NetSet, Plan, Receipt};
use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::SyncSender,
    thread,
};

/// Arguments of `bastide sensor`. Flags come before the environment, that before the file, that before defaults.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// An interface to watch; may be given several times
    #[arg(long, value_name = "IFACE", value_delimiter = ',', env = "BASTIDE_SENSOR_INTERFACE")]
    interface: Vec<String>,
    /// A log to follow: Suricata's EVE, Zeek's conn.log, Cowrie's JSON; may be given several times
    #[arg(long, value_name = "FILE", env = "BASTIDE_SENSOR_FOLLOW")]
    follow: Vec<PathBuf>,
    /// Read followed logs from their beginning the first time
    #[arg(long)]
    follow_from_start: bool,
    /// What is ours; private networks where not given
    #[arg(long, value_name = "CIDR", value_delimiter = ',', env = "BASTIDE_SENSOR_HOME")]
    home: Vec<Net>,
    /// What is never looked into
    #[arg(long, value_name = "CIDR", value_delimiter = ',', env = "BASTIDE_SENSOR_EXCLUDE")]
    exclude: Vec<Net>,
    /// Where journal, commands in force and places in logs are kept
    #[arg(long, value_name = "DIR", env = "BASTIDE_SENSOR_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Settings in TOML: the tables [sensor] and [response]
    #[arg(long, value_name = "FILE", env = "BASTIDE_CONFIG")]
    config: Option<PathBuf>,
    /// What this sensor is called in receipts
    #[arg(long, value_name = "NAME", env = "BASTIDE_SENSOR_NAME")]
    name: Option<String>,
    /// Memory of each interface's ring in MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..=1024))]
    ring: Option<u16>,
    /// Watch only what the interfaces take for themselves
    #[arg(long)]
    no_promiscuous: bool,
    /// Take orders from standard input, one JSON object a line
    #[arg(long)]
    orders: bool,
    /// Lines for people, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What this verb reads of the settings file; the other tables are for `bastide up`.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Settings {
    sensor: SensorTable,
    response: ResponseConfig,
}

/// The table `[sensor]`.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SensorTable {
    name: Option<String>,
    interfaces: Vec<String>,
    follow: Vec<PathBuf>,
    follow_from_start: bool,
    home: Vec<Net>,
    exclude: Vec<Net>,
    state_dir: Option<PathBuf>,
    ring_mib: Option<u16>,
    promiscuous: Option<bool>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (format, orders) = (args.format, args.orders);
    let _another_is_set = tracing_subscriber::fmt().with_writer(io::stderr).try_init();
    let sensor = ::sensor::spawn(settings(args)?)?;
    ::sensor::give_up_privileges().context("privileges cannot be given up")?;
    let SensorHandle { notices, orders: to_sensor, guard } = sensor;
    stop_on_signal(guard.stopper())?;
    if orders {
        thread::Builder::new().name("orders".to_owned()).spawn(move || take_orders(&to_sensor))?;
    }

    let mut teller = Teller::new(format, io::stdout().lock());
    for notice in notices {
        match teller.tell(&notice) {
            Ok(()) => {}
            // Nobody reads on: as good as a signal.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(error.into()),
        }
    }
    drop(guard);
    Ok(ExitCode::SUCCESS)
}

fn settings(args: Args) -> anyhow::Result<SensorConfig> {
    let file = match &args.config {
        Some(path) => read_settings(path)?,
        None => Settings::default(),
    };
    let table = file.sensor;
    let defaults = SensorConfig::default();
    let or = |given: Vec<Net>, else_: Vec<Net>| if given.is_empty() { else_ } else { given };
    let home = or(args.home, table.home);
    Ok(SensorConfig {
        name: args.name.or(table.name).unwrap_or(defaults.name),
        interfaces: if args.interface.is_empty() { table.interfaces } else { args.interface },
        follow: if args.follow.is_empty() { table.follow } else { args.follow },
        follow_from_start: args.follow_from_start || table.follow_from_start,
        home: if home.is_empty() { defaults.home } else { NetSet::new(home) },
        exclude: NetSet::new(or(args.exclude, table.exclude)),
        response: file.response,
        state_dir: args.state_dir.or(table.state_dir).unwrap_or(defaults.state_dir),
        ring_bytes: args.ring.or(table.ring_mib).map_or(defaults.ring_bytes, |mib| usize::from(mib) << 20),
        promiscuous: !args.no_promiscuous && table.promiscuous.unwrap_or(defaults.promiscuous),
        max_flows: defaults.max_flows,
        max_notices: defaults.max_notices,
    })
}

fn read_settings(path: &Path) -> anyhow::Result<Settings> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{}: expected settings in TOML", path.display()))
}

/// SIGINT and SIGTERM ask the sensor to stop; it then ends the stream of notices.
fn stop_on_signal(stop: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        stop();
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

fn take_orders(to_sensor: &SyncSender<Order>) {
    for (number, line) in (1..).zip(io::stdin().lock().lines()) {
        let Ok(line) = line else { return };
        match serde_json::from_str::<Order>(&line) {
            _ if line.trim().is_empty() => {}
            Ok(order) => {
                if to_sensor.send(order).is_err() {
                    return;
                }
            }
            Err(error) => tracing::error!("standard input, line {number}: expected an order in JSON: {error}"),
        }
    }
}

/// Writes notices down.
struct Teller<W> {
    format: Format,
    to: W,
    known_assets: HashSet<String>,
    last: Stats,
}

impl<W: Write> Teller<W> {
    fn new(format: Format, to: W) -> Self {
        Self { format, to, known_assets: HashSet::new(), last: Stats::default() }
    }

    fn tell(&mut self, notice: &Notice) -> io::Result<()> {
        if self.format == Format::Json {
            serde_json::to_writer(&mut self.to, notice)?;
            self.to.write_all(b"\n")?;
            return self.to.flush();
        }
        let line = match notice {
            Notice::Incident(incident) => Some(incident_line(incident)),
            Notice::Asset(asset) => self.asset(asset),
            Notice::Plan(plan) => Some(plan_line(plan)),
            Notice::Receipt(receipt) => Some(receipt_line(receipt)),
            Notice::Journal(entry) => {
                Some(format!("{}  journal   #{} by {}: {}", entry.at, entry.seq, entry.who, entry.why))
            }
            Notice::Stats(stats) => self.stats(stats),
        };
        if let Some(line) = line {
            // Names and reasons come from the network: nothing in them may move the cursor.
            let plain: String = line.chars().filter(|c| !c.is_control()).collect();
            writeln!(self.to, "{plain}")?;
            self.to.flush()?;
        }
        Ok(())
    }

    fn asset(&mut self, asset: &Asset) -> Option<String> {
        const MOST_KNOWN: usize = 1 << 16;
        if self.known_assets.len() >= MOST_KNOWN || !self.known_assets.insert(asset.id.clone()) {
            return None;
        }
        let Asset { first_seen, kind, criticality, .. } = asset;
        Some(format!("{first_seen}  new asset  {} ({kind}, {})", asset.label(), criticality.as_str()))
    }

    fn stats(&mut self, stats: &Stats) -> Option<String> {
        let states = |stats: &Stats| {
            stats.interfaces.iter().map(|lane| (lane.name.clone(), lane.state)).collect::<Vec<_>>()
        };
        let problems =
            |stats: &Stats| stats.follows.iter().map(|follow| follow.problem.clone()).collect::<Vec<_>>();
        let last = &self.last;
        let minute = stats.at.seconds_since(last.at) >= 60.0;
        let notable = stats.dropped > last.dropped
            || stats.restarts > last.restarts
            || states(stats) != states(last)
            || problems(stats) != problems(last);
        if !minute && !notable {
            return None;
        }
        self.last = stats.clone();
        let mut line = format!(
            "{}  sensor    {} packets, {} dropped, {} lines, {} flows, {} incidents",
            stats.at, stats.packets, stats.dropped, stats.lines, stats.flows, stats.incidents
        );
        for lane in &stats.interfaces {
            line.push_str(&format!("; {} {}", lane.name, lane.state.as_str()));
        }
        for follow in &stats.follows {
            line.push_str(&format!("; {} {}", follow.path, follow.problem.as_deref().unwrap_or("followed")));
        }
        if let Some(fault) = &stats.last_fault {
            line.push_str(&format!("; restarted {} times, last: {fault}", stats.restarts));
        }
        Some(line)
    }
}

fn incident_line(incident: &Incident) -> String {
    let Incident { last, severity, id, title, summary, .. } = incident;
    format!("{last}  {} {severity:<8}  {id}  {title}: {summary}", severity.shape())
}

fn plan_line(plan: &Plan) -> String {
    let mut line = format!("{}  plan      {} {:?}: {}", plan.made, plan.id, plan.status, plan.because);
    for command in &plan.commands {
        line.push_str(&format!("; {} {}: {}", command.id, command.action.verb(), command.why));
    }
    for withheld in &plan.withheld {
        line.push_str(&format!("; not {}: {}", withheld.address, withheld.reason));
    }
    line
}

fn receipt_line(receipt: &Receipt) -> String {
    let effect = match &receipt.effect {
        Effect::Applied => "applied".to_owned(),
        Effect::Effective => "effective".to_owned(),
        Effect::WithoutEffect => "without effect".to_owned(),
        Effect::Failed { reason } => format!("failed: {reason}"),
        Effect::Undone => "undone".to_owned(),
        Effect::Expired => "expired".to_owned(),
    };
    let Receipt { at, command, actuator, packets_stopped, packets_passed, .. } = receipt;
    format!("{at}  receipt   {command} {effect} ({actuator}): {packets_stopped} stopped, {packets_passed} passed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn config(line: &str, file: Option<&str>) -> anyhow::Result<SensorConfig> {
        let dir = tempfile::tempdir().unwrap();
        let mut args = Command::try_parse_from(line.split(' ')).unwrap().args;
        if let Some(text) = file {
            let path = dir.path().join("bastide.toml");
            fs::write(&path, text).unwrap();
            args.config = Some(path);
        }
        settings(args)
    }

    #[test]
    fn flags_come_before_the_file_and_that_before_defaults() {
        let file = "[server]\nlisten = \"x\"\n[sensor]\ninterfaces = [\"br0\"]\nring_mib = 4\n\
            home = [\"10.0.0.0/8\"]\n[response]\nmode = \"auto\"";
        let read = config("sensor --interface eth0,eth1 --interface wan", Some(file)).unwrap();
        assert_eq!(read.interfaces, ["eth0", "eth1", "wan"]);
        assert_eq!((read.ring_bytes, read.home.iter().count()), (4 << 20, 1));
        assert_ne!(read.response, ResponseConfig::default());
        assert_eq!(config("sensor", Some(file)).unwrap().interfaces, ["br0"]);
        assert_eq!(config("sensor", None).unwrap().home, NetSet::private());
    }

    #[test]
    fn a_wrong_setting_names_file_and_key() {
        let check = |file: &str, expected: &str| {
            let error = format!("{:#}", config("sensor", Some(file)).unwrap_err());
            assert!(error.contains("bastide.toml") && error.contains(expected), "{error}");
        };
        check("[sensor]\nhome = [\"10.0.0.0/40\"]", "expected a network");
        check("[sensor]\ninterface = \"br0\"", "interface");
        check("[response]\nmode = \"always\"", "mode");
    }

    #[test]
    fn lines_for_people_hold_no_control_characters() {
        let mut stats = Stats { last_fault: Some("watching: \u{1b}[2J\r\n".to_owned()), ..Stats::default() };
        stats.restarts = 1;
        let mut teller = Teller::new(Format::Text, Vec::new());
        teller.tell(&Notice::Stats(Box::new(stats.clone()))).unwrap();
        teller.tell(&Notice::Stats(Box::new(stats))).unwrap();
        let text = String::from_utf8(teller.to).unwrap();
        assert_eq!(text.lines().count(), 1, "nothing new, nothing said: {text}");
        assert!(text.contains("watching: [2J"), "{text}");
    }
}
