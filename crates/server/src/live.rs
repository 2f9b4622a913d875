//! What happens right now: changes on their way to whoever looks, orders on their way to the sensor.
//!
//! Guarantees: nothing here waits for a reader. A reader that is too slow is told to read again ([`Change::Resync`])
//! and loses nothing that is kept.

use ledger::Deed;
use model::{CommandId, IncidentId, PlanId, PlanStatus, Receipt, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many changes a reader may be behind.
pub(crate) const BACKLOG: usize = 256;

/// Something changed; what it is now is to be read from the repository.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// An incident is new, grew, or was closed.
    Incident {
        /// Which.
        id: IncidentId,
        /// Its headline.
        title: String,
        /// How bad it is now.
        severity: Severity,
        /// `open`, `resolved` or `false-alarm`.
        state: store::IncidentState,
        /// Not known before.
        new: bool,
    },
    /// A plan is new or its status changed.
    Plan {
        /// Which.
        id: PlanId,
        /// Of which incident.
        incident: IncidentId,
        /// Where it is.
        status: PlanStatus,
    },
    /// A command came to something.
    Receipt {
        /// Of which command.
        command: CommandId,
        /// Of which incident, where known.
        incident: Option<IncidentId>,
        /// The receipt.
        receipt: Receipt,
    },
    /// An asset is new or more is known of it.
    Asset {
        /// Which.
        id: String,
        /// What to call it.
        label: String,
        /// Not known before.
        new: bool,
    },
    /// An exception was made or taken back.
    Exceptions,
    /// The sensor's figures.
    Stats(Box<SensorStatus>),
    /// The reader was too slow: read again.
    Resync,
}

impl Change {
    /// The event's name on the stream.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Incident { .. } => "incident",
            Self::Plan { .. } => "plan",
            Self::Receipt { .. } => "receipt",
            Self::Asset { .. } => "asset",
            Self::Exceptions => "exceptions",
            Self::Stats(_) => "stats",
            Self::Resync => "resync",
        }
    }
}

/// What a person (or a program with the right to act) wants the sensor to do. As JSON it is what sensors read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "order", content = "data")]
pub enum Order {
    /// Do what the plan says, computed anew.
    Approve {
        /// Which.
        plan: PlanId,
        /// By whom.
        who: String,
    },
    /// Do not.
    Refuse {
        /// Which.
        plan: PlanId,
        /// By whom.
        who: String,
    },
    /// Take one command back.
    Undo {
        /// Which.
        command: CommandId,
        /// By whom.
        who: String,
    },
    /// Take all commands back.
    UndoAll {
        /// By whom.
        who: String,
    },
    /// The lever: respond to nothing until told otherwise.
    StopResponding {
        /// By whom.
        who: String,
    },
    /// Respond again.
    ResumeResponding {
        /// By whom.
        who: String,
    },
    /// These exceptions hold now, and no others.
    Exceptions(Vec<model::Exception>),
    /// These assets are listed or enrolled, and no others.
    Known(Vec<identify::import::Row>),
    /// The identities of these assets are taken away now, and of no others.
    Suspended {
        /// Which.
        assets: Vec<model::Suspension>,
        /// By whom that was changed.
        who: String,
    },
}

impl Order {
    /// Which decision it is, and what it is about; unset for what was decided by other words already.
    #[must_use]
    pub fn decision(&self) -> Option<(Deed, Option<(&'static str, &str)>)> {
        Some(match self {
            Self::Approve { plan, .. } => (Deed::PlanApproved, Some(("plan", plan.as_str()))),
            Self::Refuse { plan, .. } => (Deed::PlanRefused, Some(("plan", plan.as_str()))),
            Self::Undo { command, .. } => (Deed::CommandUndone, Some(("command", command.as_str()))),
            Self::UndoAll { .. } => (Deed::AllCommandsUndone, None),
            Self::StopResponding { .. } => (Deed::RespondingStopped, None),
            Self::ResumeResponding { .. } => (Deed::RespondingResumed, None),
            Self::Exceptions(_) | Self::Known(_) | Self::Suspended { .. } => return None,
        })
    }

    /// Whether it says what holds now, in place of what held before.
    pub(crate) const fn is_state(&self) -> bool {
        matches!(self, Self::Exceptions(_) | Self::Known(_) | Self::Suspended { .. })
    }

    /// By whom it was given, as the journal names them.
    #[must_use]
    pub fn who(&self) -> &str {
        match self {
            Self::Approve { who, .. }
            | Self::Refuse { who, .. }
            | Self::Undo { who, .. }
            | Self::UndoAll { who }
            | Self::StopResponding { who }
            | Self::ResumeResponding { who }
            | Self::Suspended { who, .. } => who,
            Self::Exceptions(_) | Self::Known(_) => "",
        }
    }
}

/// Why an order did not reach the sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is none.
    #[error("no sensor runs here: start `bastide up` with --sensor IFACE")]
    NoSensor,
    /// It does not take orders at the moment.
    #[error(
        "the sensor does not take orders at the moment; try again, or use `bastide stop-responding` on the machine"
    )]
    Busy,
    /// It is on another machine, and has not asked for orders for a minute.
    #[error(
        "the sensor that this is for is out of reach; on its machine, `bastide respond` and `bastide stop-responding` work without a server"
    )]
    Away,
}

/// Takes orders to the sensor. Must not block.
pub type Orders = Box<dyn Fn(Order) -> Result<(), OrderError> + Send + Sync>;

/// What the sensor watches and how it fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SensorStatus {
    /// When these figures were taken; unset where no sensor has reported yet.
    pub at: Option<Timestamp>,
    /// What it watches.
    pub inputs: Vec<InputStatus>,
    /// `off`, `ask` or `auto`: what happens to a plan where nothing else is said for the kind of asset.
    pub response_mode: String,
    /// The lever is pulled: nothing is responded to.
    pub responding_stopped: bool,
    /// Commands in force.
    pub commands_in_force: u64,
    /// Everything else that is counted, by name.
    pub counters: BTreeMap<String, u64>,
}

/// One interface or file that is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputStatus {
    /// The interface or the file.
    pub name: String,
    /// `interface` or `file`.
    pub kind: String,
    /// Packets or lines read.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Packets lost, by the kernel's count.
    pub dropped: u64,
    /// Records that could not be read.
    pub skipped: u64,
    /// The latest record (its own clock).
    pub last: Option<Timestamp>,
    /// What is wrong, where something is.
    pub problem: Option<String>,
}
