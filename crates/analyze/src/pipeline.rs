//! All inputs, merged by event time, through observation and detection.

use crate::{
    flows::{FlowsError, Spool},
    input::{Input, Item},
    told::Told,
};
use detect::{Engine, Roll};
use identify::{
    Inventory, Kinds, Listed,
    import::{self, Refused, Row},
    merge,
};
use model::{Event, EventKind, NetSet, RecordRef};
use observe::{Observer, Sightings};
use report::{Device, Document, Totals};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// What to analyse and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Files; `-` is standard input.
    pub files: Vec<String>,
    /// What is ours.
    pub home: NetSet,
    /// Never parsed.
    pub exclude: NetSet,
    /// Where to write each flow with its verdict.
    pub flows: Option<PathBuf>,
    /// A list of assets, CSV or JSON.
    pub inventory: Option<PathBuf>,
    /// Where that list is complete: a device there that is not on it is an incident.
    pub watched: NetSet,
}

/// How far an analysis is, in bytes of the inputs as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub read: u64,
    /// In all; none where an input does not say.
    pub size: Option<u64>,
    /// Records so far.
    pub records: u64,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// `--flows` could not be written.
    #[error(transparent)]
    Flows(#[from] FlowsError),
    /// The list of assets could not be read.
    #[error("cannot read the inventory {}", path.display())]
    Inventory {
        /// The list.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list of assets is wrong; nothing of it was taken.
    #[error("the inventory {} is wrong, and nothing of it was taken:\n{refused}", path.display())]
    Listed {
        /// The list.
        path: PathBuf,
        /// Every error by line and column.
        refused: Refused,
    },
}

/// A document, and how its making went.
pub struct Analysis {
    /// What was read and found; `totals.seconds` is left to the caller, who has a clock.
    pub document: Document,
    /// Packets of excluded networks.
    pub excluded: u64,
    /// What was given up for lack of room, all tables together.
    pub shed: u64,
}

const TELL_EVERY: u64 = 1 << 14;

/// Analyses the inputs.
///
/// # Errors
/// Where an output cannot be written, or the list of assets is wrong; what is wrong with an input stands in its summary.
pub fn analyze(options: &Options, tell: &mut dyn FnMut(Progress)) -> Result<Analysis, AnalyzeError> {
    let kinds = Kinds::shipped();
    let listed = match &options.inventory {
        Some(path) => listed(path, &kinds)?,
        None => Vec::new(),
    };
    let mut inputs: Vec<Input> =
        options.files.iter().enumerate().map(|(number, path)| Input::open(path, number as u32)).collect();
    let config = observe::Config {
        home: options.home.clone(),
        exclude: options.exclude.clone(),
        ..observe::Config::default()
    };
    let mut observer = Observer::new(config);
    let detection = detect::Config { home: options.home.clone(), ..detect::Config::default() };
    let mut engine = Engine::new(detection, options.files.clone());
    engine.set_roll(roll(&listed, options.watched.clone()));
    let spool = options.flows.as_ref().map(|_| Spool::new()).transpose()?;
    if spool.is_some() {
        engine.remember_verdicts();
    }
    let mut inventory = Inventory::new(options.home.clone(), kinds);
    let mut sink = Sink {
        engine: &mut engine,
        inventory: &mut inventory,
        spool,
        told: Told::default(),
        flows: 0,
        failed: None,
    };
    // Captures of one network show a packet more than once: it counts where it was seen first.
    let captures = inputs.iter().filter(|input| input.is_capture()).count();
    let mut sightings = (captures > 1).then(|| Sightings::new(0));
    let mut records = 0;
    while let Some(number) = earliest(&inputs) {
        let Some(input) = inputs.get_mut(number) else { break };
        let mut aside = None;
        input.take(|item| match item {
            Item::Packet { at, record, link, wire_length, data } => {
                let nanos = at.micros().saturating_mul(1_000);
                if sightings
                    .as_mut()
                    .is_some_and(|seen| seen.is_copy(number as u32, false, nanos, link, data))
                {
                    aside = Some("shown first by another input");
                    return;
                }
                let record = RecordRef { input: number as u32, record };
                observer.packet(record, at, link, wire_length, data, &mut |event| sink.event(&event, None));
                if observer.take_set_back() {
                    sink.engine.begin_anew();
                }
                aside = observer.take_left_aside();
            }
            Item::Event { event, uid } => {
                if is_excluded(&event, &options.exclude) {
                    aside = Some("of an excluded network");
                } else {
                    sink.flows += u64::from(opens_flow(&event));
                    sink.event(&event, uid.as_deref());
                }
            }
        });
        if let Some(reason) = aside {
            input.skip(reason);
        }
        records += 1;
        if records % TELL_EVERY == 0 {
            tell(progress(&inputs, records));
            if sink.failed.is_some() {
                break;
            }
        }
    }
    observer.finish(&mut |event| sink.event(&event, None));
    let Sink { spool, flows: log_flows, failed, told, .. } = sink;
    if let Some(failed) = failed {
        return Err(failed.into());
    }
    tell(progress(&inputs, records));
    engine.finish();
    let (incidents, untold) = told.finish(&mut engine);
    if let (Some(spool), Some(path)) = (spool, &options.flows) {
        spool.finish(&engine.verdicts(), path)?;
    }
    let (counters, stats) = (observer.counters(), engine.stats());
    let summaries: Vec<_> = inputs.into_iter().map(Input::finish).collect();
    let totals = Totals {
        packets: counters.packets,
        flows: counters.flows + log_flows,
        events: stats.events,
        findings: stats.findings,
        incidents: incidents.len() as u64,
        seconds: 0.0,
    };
    let shed = untold + stats.shed + counters.shed.flows + counters.shed.sessions + inventory.stats().evicted;
    Ok(Analysis {
        document: Document { inputs: summaries, totals, incidents, devices: devices(&inventory, &listed) },
        excluded: counters.excluded,
        shed,
    })
}

/// The assets that somebody listed.
fn listed(path: &Path, kinds: &Kinds) -> Result<Vec<Row>, AnalyzeError> {
    let fails = |source| AnalyzeError::Inventory { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fails)?;
    file.take(import::MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(fails)?;
    import::read(&bytes, kinds).map_err(|refused| AnalyzeError::Listed { path: path.to_owned(), refused })
}

/// Who is known where unknown devices are looked for. Whoever names a network in so many words wants to be told.
fn roll(listed: &[Row], watched: NetSet) -> Roll {
    let listed = Listed::new(listed.to_vec());
    Roll { watched, macs: listed.macs(), addresses: listed.addresses(), opens: true }
}

/// What the inventory found, each device once, the surest first; with what somebody listed of it.
fn devices(inventory: &Inventory, listed: &[Row]) -> Vec<Device> {
    let (assets, mut observations): (Vec<_>, Vec<_>) = inventory.observations("").unzip();
    observations.extend(listed.iter().map(|row| row.observation("")));
    let merged = merge::merge(&observations, &merge::Said::default());
    let mut devices: Vec<Device> = merged
        .devices
        .iter()
        .filter_map(|device| {
            let seen: Vec<_> = device.observations.iter().filter_map(|at| assets.get(*at).copied()).collect();
            let rows = device.observations.iter().filter_map(|at| listed.get(at.checked_sub(assets.len())?));
            // Who only ever asked for an address may not be there at all.
            let mut asset = merge::unite(&seen).filter(|asset| !asset.addresses.is_empty())?;
            let mut joined: Vec<String> = device.joined.iter().map(merge::Join::reason).collect();
            for row in rows {
                row.declare(&mut asset);
                joined.push(format!("line {} of the inventory lists it", row.line));
            }
            Some(Device::new(asset, joined))
        })
        .collect();
    devices.sort_by(|a, b| b.confidence.cmp(&a.confidence).then_with(|| a.id.cmp(&b.id)));
    devices
}

/// Takes events from wherever they come, and lets time go on as it would for one who watches.
struct Sink<'a> {
    engine: &'a mut Engine,
    inventory: &'a mut Inventory,
    told: Told,
    spool: Option<Spool>,
    flows: u64,
    failed: Option<FlowsError>,
}

impl Sink<'_> {
    fn event(&mut self, event: &Event, uid: Option<&str>) {
        self.told.as_of(event.at, self.engine);
        self.inventory.event(event);
        self.engine.event(event);
        if let (Some(spool), EventKind::Flow(flow)) = (&mut self.spool, &event.kind)
            && flow.phase.closes()
            && let Err(error) = spool.add(flow, uid)
        {
            self.failed.get_or_insert(error);
        }
    }
}

/// The input whose next item is the earliest.
fn earliest(inputs: &[Input]) -> Option<usize> {
    match inputs {
        [only] => only.peek().map(|_| 0),
        inputs => {
            let next = inputs.iter().enumerate().filter_map(|(number, input)| Some((input.peek()?, number)));
            next.min().map(|(_, number)| number)
        }
    }
}

fn progress(inputs: &[Input], records: u64) -> Progress {
    let read = inputs.iter().map(|input| input.raw_read.get()).sum();
    let size = inputs.iter().try_fold(0, |sum, input| Some(sum + input.raw_size?));
    Progress { read, size, records }
}

fn opens_flow(event: &Event) -> bool {
    matches!(&event.kind, EventKind::Flow(flow) if flow.phase.opens())
}

fn is_excluded(event: &Event, exclude: &NetSet) -> bool {
    if exclude.is_empty() {
        return false;
    }
    let key = match &event.kind {
        EventKind::Flow(flow) => &flow.key,
        EventKind::Login(login) => &login.key,
        EventKind::Request(request) => &request.key,
        EventKind::Transfer(transfer) => &transfer.key,
        EventKind::Alert(alert) => &alert.key,
        EventKind::Dns(dns) => return exclude.contains(dns.client) || exclude.contains(dns.server),
        EventKind::Honeypot(honeypot) => {
            return exclude.contains(honeypot.client) || exclude.contains(honeypot.server);
        }
        _ => return false,
    };
    exclude.contains(key.src) || exclude.contains(key.dst)
}
