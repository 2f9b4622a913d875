//! What a sensor reports, on its way into the store and to whoever looks.
//!
//! Guarantees: nobody is told of a record before it is durable; a record that cannot be kept now is tried again while the
//! sensor waits, so that nothing is lost while the disk is full or the database away for minutes; reports of one subject stay in their order.

use crate::{
    AppState,
    auth::salts,
    live::{Change, Order, OrderError, SensorStatus},
    quarantine,
    secret::NoRandomness,
    suspending,
};
use futures_util::future::join_all;
use identify::merge::Observed;
use ledger::{LeafError, Subject};
use model::{AssetStatus, Incident, Plan, Receipt};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Actor, Decided, JournalRow, Kept, Settled, Source, StoreError};

/// Something that a sensor reports. As JSON it is what sensors on other machines tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "notice", content = "data")]
pub enum Report {
    /// An incident is new or changed.
    Incident(Box<Incident>),
    /// An asset is new or changed.
    Asset(Box<Observed>),
    /// A plan is new or changed.
    Plan(Box<Plan>),
    /// A command came to something.
    Receipt(Receipt),
    /// A step of responding.
    Journal(JournalRow),
    /// An order that was given and carried out on the command line of the machine, with the entry of the journal that
    /// says so.
    ByHand(Order, JournalRow),
    /// The sensor's figures, and what was counted since the last ones.
    Stats {
        /// The figures.
        status: Box<SensorStatus>,
        /// Amounts to add to the counters by the hour.
        counted: Vec<(String, u64)>,
    },
}

/// Why a report was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it decides cannot be salted.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// What it decides is no leaf.
    #[error("what it decides does not fit into the ledger: {0}")]
    Leaf(#[from] LeafError),
}

impl NotKept {
    fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) => error.is_passing(),
            Self::Randomness(_) => true,
            Self::Leaf(_) => false,
        }
    }
}

/// What is counted by the hour.
pub(crate) const COUNTED: &[&str] = &["packets", "bytes", "packets dropped", "lines", "events", "findings"];
/// How many reports are written together.
pub const BATCH: usize = 128;
/// How often a record is tried again before the intake says so and goes on without it: for about six minutes.
const TRIES: u32 = 100;

/// Takes reports in, in their order, and returns once all are durable.
pub async fn take(state: &AppState, reports: Vec<Report>) {
    // The writer keeps the order in which writes are handed to it, and join_all hands them over in order.
    let outcomes = join_all(reports.iter().map(|report| keep(state, report))).await;
    for (report, outcome) in reports.iter().zip(outcomes) {
        let outcome = match outcome {
            Err(error) if error.is_passing() => again(state, report, error).await,
            outcome => outcome,
        };
        match outcome {
            Ok(Some(change)) => state.announce(change),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "a report was not kept"),
        }
    }
}

/// The same of a sensor that tells them again where they could not be kept now: what never can be is said and left out.
pub(crate) async fn take_now(state: &AppState, reports: &[Report]) -> Result<(), NotKept> {
    let outcomes = join_all(reports.iter().map(|report| keep(state, report))).await;
    let mut passing = Ok(());
    for outcome in outcomes {
        match outcome {
            Ok(Some(change)) => state.announce(change),
            Ok(None) => {}
            Err(error) if error.is_passing() => passing = Err(error),
            Err(error) => tracing::error!(%error, "a report was not kept"),
        }
    }
    passing
}

/// Tries again, ever slower. Meanwhile the sensor's queue fills; it sheds and counts.
async fn again(state: &AppState, report: &Report, mut error: NotKept) -> Result<Option<Change>, NotKept> {
    for attempt in 1..=TRIES {
        tokio::select! {
            () = state.stopping() => return Err(error),
            () = tokio::time::sleep(Duration::from_millis(100 * u64::from(attempt.min(50)))) => {}
        }
        match keep(state, report).await {
            Err(next) if next.is_passing() => error = next,
            outcome => return outcome,
        }
    }
    Err(error)
}

async fn keep(state: &AppState, report: &Report) -> Result<Option<Change>, NotKept> {
    let repository = state.repository();
    match report {
        Report::Incident(incident) => {
            let told = incident.severity >= state.node().least_told;
            let channels = if told { state.node().channels.as_slice() } else { &[] };
            let kept = repository.keep_incident(incident, channels, state.now()).await?;
            if kept == Kept::Unchanged {
                return Ok(None);
            }
            let known = repository.incident(&incident.id).await?;
            Ok(known.map(|record| Change::Incident {
                id: record.incident.id,
                title: record.incident.title,
                severity: record.incident.severity,
                state: record.state,
                new: kept == Kept::New,
            }))
        }
        Report::Asset(observed) => {
            let named = Some(repository.sensor()).filter(|named| !named.is_empty());
            let source = Source::Sensor(named.map(str::to_owned));
            let Settled { asset, new } = repository.observe(source, (**observed).clone()).await?;
            if matches!(asset.status, AssetStatus::Quarantined | AssetStatus::Revoked) {
                // It may have other addresses now.
                tell_suspended(state).await;
            }
            Ok(Some(Change::Asset { label: asset.label(), id: asset.id, new }))
        }
        Report::Plan(plan) => {
            repository.keep_plan(plan, state.now(), salts()?).await?;
            if let Err(problem) = suspending::offer(state, plan).await {
                tracing::error!(problem = problem.detail(), "no plan to suspend could be offered");
            }
            Ok(Some(Change::Plan {
                id: plan.id.clone(),
                incident: plan.incident.clone(),
                status: plan.status,
            }))
        }
        Report::Receipt(receipt) => {
            repository.keep_receipt(receipt, salts()?).await?;
            let incident = repository.command(&receipt.command).await?.map(|command| command.incident);
            Ok(Some(Change::Receipt { command: receipt.command.clone(), incident, receipt: receipt.clone() }))
        }
        Report::Journal(row) => {
            repository.keep_journal(row).await?;
            Ok(None)
        }
        Report::ByHand(order, row) => {
            match given_by_hand(order, row)? {
                Some(decided) => repository.keep_journalled(row, decided).await?,
                None => repository.keep_journal(row).await?,
            }
            Ok(None)
        }
        Report::Stats { status, counted } => {
            state.set_sensor((**status).clone());
            if !state.telling_suspended().await.contains_key(state.repository().authority()) {
                tell_suspended(state).await;
            }
            let known = |name: &str| COUNTED.iter().copied().find(|known| *known == name);
            let counted: Vec<_> =
                counted.iter().filter_map(|(name, amount)| Some((known(name)?, *amount))).collect();
            repository.add_to_counters(state.now(), &counted).await?;
            Ok(Some(Change::Stats(status.clone())))
        }
    }
}

async fn tell_suspended(state: &AppState) {
    if let Err(problem) = quarantine::tell(state, "bastide").await
        && !matches!(problem, quarantine::Untold::Order(OrderError::NoSensor))
    {
        tracing::warn!(%problem, "the sensor does not know yet what is suspended");
    }
}

/// What was decided on the command line of the machine: nothing proves who did, but that they could.
fn given_by_hand(order: &Order, row: &JournalRow) -> Result<Option<Decided>, NotKept> {
    let Some((deed, about)) = order.decision() else { return Ok(None) };
    let about = about.map(|(kind, id)| Subject::new(kind, id)).into_iter().collect::<Result<_, _>>()?;
    let who = Actor::Machine(order.who().to_owned());
    Ok(Some(Decided { at: row.at, who, deed, about, details: None, salts: salts()? }))
}
