//! Between the sensor's threads and the server: notices one way, orders the other.

use super::place::Place;
use crate::settings::Settings;
use sensor::{
    InterfaceState, Notice, SensorConfig, Stats,
    respond::{Entry, hand},
};
use server::{
    AppState, InputStatus, Order, OrderError, Orders, SensorStatus,
    intake::{self, Report},
};
use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use store::JournalRow;

/// How often the counters by the hour are written.
const COUNTING: Duration = Duration::from_secs(60);

/// What the sensor is to do; nothing where there is nothing to watch.
pub(super) fn sensor_config(settings: &Settings, place: &Place) -> Option<SensorConfig> {
    let sensor = &settings.sensor;
    if sensor.interfaces.is_empty() && sensor.follow.is_empty() {
        return None;
    }
    Some(crate::sensor::config(settings, place.sensor()))
}

/// What was ordered on the command line while no server was there to hear of it: each becomes a decision, once.
pub(super) async fn catch_up(state: &AppState, state_dir: &Path) -> std::io::Result<()> {
    let given = hand::given(state_dir)?;
    for batch in given.chunks(intake::BATCH) {
        let reports = batch.iter().map(journalled).collect();
        intake::take(state, reports).await;
    }
    Ok(())
}

/// Takes orders to the sensor.
pub(super) fn orders(to: SyncSender<sensor::Order>) -> Orders {
    Box::new(move |order| {
        let order = match order {
            Order::Approve { plan, who } => sensor::Order::Approve { plan, who },
            Order::Refuse { plan, who } => sensor::Order::Refuse { plan, who },
            Order::Undo { command, who } => sensor::Order::Undo { command, who },
            Order::UndoAll { who } => sensor::Order::UndoAll { who },
            Order::StopResponding { who } => sensor::Order::StopResponding { who },
            Order::ResumeResponding { who } => sensor::Order::ResumeResponding { who },
            Order::Exceptions(exceptions) => sensor::Order::Exceptions(exceptions),
            Order::Known(known) => sensor::Order::Known(known),
            Order::Suspended { assets, who } => sensor::Order::Suspended { assets, who },
        };
        to.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => OrderError::Busy,
            TrySendError::Disconnected(_) => OrderError::NoSensor,
        })
    })
}

/// Starts the thread that takes notices into the store; it ends when the sensor has ended and all is durable.
pub(super) fn start(
    state: AppState,
    notices: Receiver<Notice>,
    state_dir: PathBuf,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new().name("intake".into()).spawn(move || {
        let mut counting = Counting::default();
        while let Ok(first) = notices.recv() {
            let more = std::iter::from_fn(|| notices.try_recv().ok()).take(intake::BATCH - 1);
            let batch: Vec<_> = std::iter::once(first).chain(more).collect();
            runtime.block_on(async {
                let in_force = state.repository().count_in_force(state.now()).await.unwrap_or_default();
                let mode = &state.node().response_mode;
                let reports = batch
                    .into_iter()
                    .map(|notice| report(notice, &state_dir, mode, in_force, &mut counting))
                    .collect();
                intake::take(&state, reports).await;
            });
        }
        if let Some(last) = counting.last.take() {
            let counted = counting.since(&last);
            runtime.block_on(async {
                if let Err(error) = state.repository().add_to_counters(state.now(), &counted).await {
                    tracing::error!(%error, "the last figures were not kept");
                }
            });
        }
    })
}

pub(crate) fn report(
    notice: Notice,
    state_dir: &Path,
    mode: &str,
    in_force: u64,
    counting: &mut Counting,
) -> Report {
    match notice {
        Notice::Incident(incident) => Report::Incident(incident),
        Notice::Asset(observed) => Report::Asset(observed),
        Notice::Plan(plan) => Report::Plan(plan),
        Notice::Receipt(receipt) => Report::Receipt(receipt),
        Notice::Journal(entry) => journalled(&entry),
        Notice::Stats(stats) => {
            let mut status = status(&stats, mode);
            status.responding_stopped = state_dir.join("stopped").exists();
            status.commands_in_force = in_force;
            let counted = counting.take(&stats).into_iter();
            let counted = counted.map(|(name, amount)| (name.to_owned(), amount)).collect();
            Report::Stats { status: Box::new(status), counted }
        }
    }
}

/// An entry of the journal; with the order that it carried out, where that was given past the server.
pub(crate) fn journalled(entry: &Entry) -> Report {
    let row = JournalRow {
        seq: entry.seq,
        at: entry.at,
        hash: entry.hash.clone(),
        entry: serde_json::to_value(entry).unwrap_or_default(),
    };
    let order = match hand::order_of(entry) {
        Some(sensor::Order::Undo { command, who }) => Order::Undo { command, who },
        Some(sensor::Order::UndoAll { who }) => Order::UndoAll { who },
        Some(sensor::Order::StopResponding { who }) => Order::StopResponding { who },
        Some(sensor::Order::ResumeResponding { who }) => Order::ResumeResponding { who },
        _ => return Report::Journal(row),
    };
    Report::ByHand(order, row)
}

fn status(stats: &Stats, mode: &str) -> SensorStatus {
    let interfaces = stats.interfaces.iter().map(|interface| InputStatus {
        name: interface.name.clone(),
        kind: "interface".into(),
        records: interface.packets,
        bytes: interface.bytes,
        dropped: interface.dropped,
        skipped: 0,
        last: interface.last_packet,
        problem: match interface.state {
            InterfaceState::Up => None,
            state => Some(format!("the interface is {}", state.as_str())),
        },
    });
    let files = stats.follows.iter().map(|file| InputStatus {
        name: file.path.clone(),
        kind: "file".into(),
        records: file.lines,
        bytes: 0,
        dropped: 0,
        skipped: file.bad_lines,
        last: file.last_event,
        problem: file.problem.clone(),
    });
    let mut counters: std::collections::BTreeMap<String, u64> = [
        ("packets", stats.packets),
        ("bytes", stats.bytes),
        ("packets dropped", stats.dropped),
        ("packets copied", stats.duplicates),
        ("packets excluded", stats.excluded),
        ("lines", stats.lines),
        ("lines not understood", stats.bad_lines),
        ("events", stats.events),
        ("flows now", stats.flows),
        ("findings", stats.findings),
        ("incidents", stats.incidents),
        ("assets", stats.assets),
        ("milliseconds behind", stats.behind_millis),
        ("restarts", stats.restarts),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for (prefix, amounts) in [("skipped", &stats.skipped), ("shed", &stats.shed), ("waiting", &stats.queued)]
    {
        counters.extend(amounts.iter().map(|(name, value)| (format!("{prefix}: {name}"), *value)));
    }
    let inputs = interfaces.chain(files).collect();
    SensorStatus {
        at: Some(stats.at),
        inputs,
        response_mode: mode.to_owned(),
        counters,
        ..SensorStatus::default()
    }
}

/// What was counted since the counters were last written.
#[derive(Default)]
pub(crate) struct Counting {
    written: Option<Stats>,
    last: Option<Stats>,
    at: Option<Instant>,
}

impl Counting {
    /// What to write now: nothing but once a minute.
    fn take(&mut self, stats: &Stats) -> Vec<(&'static str, u64)> {
        self.last = Some(stats.clone());
        let due = self.at.is_none_or(|at| at.elapsed() >= COUNTING);
        if !due {
            return Vec::new();
        }
        let counted = self.since(stats);
        self.at = Some(Instant::now());
        self.written = Some(stats.clone());
        counted
    }

    fn since(&self, stats: &Stats) -> Vec<(&'static str, u64)> {
        let zero = Stats::default();
        // A sensor whose parts were started again counts from nothing.
        let before = self.written.as_ref().filter(|before| before.since == stats.since).unwrap_or(&zero);
        [
            ("packets", stats.packets, before.packets),
            ("bytes", stats.bytes, before.bytes),
            ("packets dropped", stats.dropped, before.dropped),
            ("lines", stats.lines, before.lines),
            ("events", stats.events, before.events),
            ("findings", stats.findings, before.findings),
        ]
        .into_iter()
        .map(|(name, now, before)| (name, now.saturating_sub(before)))
        .collect()
    }
}
