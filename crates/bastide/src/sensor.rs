//! `bastide sensor`: the sensor alone. Says what it notices as lines for people or for programs, and reports it to the server
//! that it has joined.

mod remote;
mod spool;

use crate::settings::{self, Given, Settings};
use ::sensor::{Notice, Order, SensorConfig, SensorHandle, Stats};
use anyhow::Context as _;
use model::{Asset, Effect, Incident, Plan, Receipt};
use remote::{Join, Remote};
use std::{
    collections::HashSet,
    io::{self, BufRead, Write},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::SyncSender,
    thread,
};

/// Arguments of `bastide sensor`. What is not here can be set by a variable or in the settings file, as for `up`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// An interface to watch; may be given several times
    #[arg(long, alias = "sensor", value_name = "IFACE", value_delimiter = ',')]
    interface: Vec<String>,
    /// A Suricata EVE, Zeek or Cowrie log to follow; may be given several times
    #[arg(long, value_name = "FILE")]
    follow: Vec<String>,
    /// Read followed logs from their beginning the first time
    #[arg(long)]
    follow_from_start: bool,
    /// What is ours; private networks where not given
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    home: Vec<String>,
    /// What is never looked into
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    exclude: Vec<String>,
    /// off, ask (a person approves each plan) or auto [default: ask]
    #[arg(long, value_name = "MODE")]
    respond: Option<String>,
    /// Where journal, commands in force and places in logs are kept; `sensor` in the data directory where not given
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Settings in TOML [environment: BASTIDE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take orders from standard input, one JSON object a line
    #[arg(long)]
    orders: bool,
    #[command(flatten)]
    join: Join,
    /// Lines for people, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let variables = std::env::vars_os();
    let variables =
        variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = settings::load(&args.given(), variables)?.settings;
    // What goes wrong here is said in lines of the log; notices have the standard output for themselves.
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log).with_context(|| {
        format!("log: expected error, warn, info, debug or part=level, found {:?}", settings.log)
    })?;
    let _another_is_set = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .try_init();
    let state_dir = args.state_dir.clone().unwrap_or_else(|| settings.data_dir.join("sensor"));
    // Whatever is made from here on is for its owner only.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let remote = Remote::join(args.join, &state_dir)?;
    let identity = remote.as_ref().map(|remote| remote.identity().to_owned()).unwrap_or_default();
    let sensor = ::sensor::spawn(SensorConfig { identity, ..config(&settings, state_dir.clone()) })?;
    ::sensor::give_up_privileges().context("privileges cannot be given up")?;
    let SensorHandle { notices, orders: to_sensor, guard } = sensor;
    stop_on_signal(guard.stopper())?;
    let reported = match &remote {
        Some(remote) => Some(remote.start(to_sensor.clone(), state_dir, settings.response.mode.as_str())?),
        None => None,
    };
    if args.orders {
        thread::Builder::new().name("orders".to_owned()).spawn(move || take_orders(&to_sensor))?;
    }

    let mut teller = Teller::new(args.format, io::stdout().lock());
    let mut heard = true;
    for notice in notices {
        if heard {
            match teller.tell(&notice) {
                Ok(()) => {}
                // Nobody reads on: as good as a signal, where no server does.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => heard = false,
                Err(error) => return Err(error.into()),
            }
        }
        let kept = reported.as_ref().is_some_and(|(to, _)| to.send(notice).is_ok());
        if !heard && !kept {
            break;
        }
    }
    drop(guard);
    if let Some((notices, keeping)) = reported {
        drop(notices);
        let _ = keeping.join();
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn given(&self) -> Given {
        let mut flags = Vec::new();
        for (key, values) in [
            ("sensor.interfaces", &self.interface),
            ("sensor.follow", &self.follow),
            ("sensor.home", &self.home),
            ("sensor.exclude", &self.exclude),
        ] {
            if !values.is_empty() {
                flags.push((key, values.clone()));
            }
        }
        flags.extend(self.respond.iter().map(|mode| ("response.mode", vec![mode.clone()])));
        if self.follow_from_start {
            flags.push(("sensor.follow_from_start", vec!["true".to_owned()]));
        }
        Given { file: self.config.clone(), flags }
    }
}

/// What the settings say of the sensor, under whichever verb it runs.
pub(crate) fn config(settings: &Settings, state_dir: PathBuf) -> SensorConfig {
    let sensor = &settings.sensor;
    SensorConfig {
        name: sensor.name.clone(),
        interfaces: sensor.interfaces.clone(),
        follow: sensor.follow.clone(),
        follow_from_start: sensor.follow_from_start,
        home: sensor.home.clone(),
        exclude: sensor.exclude.clone(),
        watched: sensor.watched.clone(),
        response: settings.response.clone(),
        state_dir,
        ring_bytes: (sensor.ring_mib as usize) << 20,
        promiscuous: sensor.promiscuous,
        max_flows: sensor.max_flows as usize,
        ..SensorConfig::default()
    }
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
            Err(error) => {
                tracing::error!("standard input, line {number}: expected an order in JSON: {error}")
            }
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
            Notice::Asset(observed) => self.asset(&observed.asset),
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
    format!(
        "{at}  receipt   {command} {effect} ({actuator}): {packets_stopped} stopped, {packets_passed} passed"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use model::NetSet;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn flags_come_before_the_environment() {
        let line = "sensor --interface eth0,eth1 --interface wan --home 10.0.0.0/8 --respond off";
        let args = Command::try_parse_from(line.split(' ')).unwrap().args;
        let environment = [("BASTIDE_SENSOR_HOME", "192.0.2.0/24"), ("BASTIDE_SENSOR_RING_MIB", "4")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = settings::load(&args.given(), environment.into_iter()).unwrap().settings;
        let read = config(&settings, PathBuf::from("here"));
        assert_eq!(read.interfaces, ["eth0", "eth1", "wan"]);
        assert_eq!(read.home, NetSet::new(vec!["10.0.0.0/8".parse().unwrap()]));
        assert_eq!((read.ring_bytes, read.state_dir.to_str()), (4 << 20, Some("here")));
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
