//! What a sensor tells and what it is told: the words between it and whoever runs it.

use identify::{import::Row, merge::Observed};
use model::{CommandId, Exception, Incident, Plan, PlanId, Receipt, Suspension, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that the sensor tells. Each is a whole state of its subject: a later one replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "notice", content = "data")]
pub enum Notice {
    /// An incident is new or changed.
    Incident(Box<Incident>),
    /// An asset is new or changed.
    Asset(Box<Observed>),
    /// A plan is new or changed.
    Plan(Box<Plan>),
    /// A command was applied, took effect, ran out, or was taken back.
    Receipt(Receipt),
    /// A step of responding was written into the journal.
    Journal(Box<stop::journal::Entry>),
    /// Once a second.
    Stats(Box<Stats>),
}

/// Something that a person asks of the sensor. `who` goes into the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "order", content = "data")]
pub enum Order {
    /// Carry a plan out.
    Approve {
        /// Which.
        plan: PlanId,
        /// By whom.
        who: String,
    },
    /// Do not carry a plan out.
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
    /// Take everything back.
    UndoAll {
        /// By whom.
        who: String,
    },
    /// Pull the lever: take everything back and apply nothing more.
    StopResponding {
        /// By whom.
        who: String,
    },
    /// Release the lever.
    ResumeResponding {
        /// By whom.
        who: String,
    },
    /// The exceptions now in force, in place of those before.
    Exceptions(Vec<Exception>),
    /// The assets that are listed or enrolled, in place of those before.
    Known(Vec<Row>),
    /// The assets whose identity is taken away now, in place of those before: they are quarantined as long as that stands.
    Suspended {
        /// Which.
        assets: Vec<Suspension>,
        /// Who changed that.
        who: String,
    },
}

/// What the sensor did so far. Counters only grow while it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// When this was counted.
    pub at: Timestamp,
    /// Since when the sensor runs.
    pub since: Timestamp,
    /// Packets analysed, on all interfaces, copies left out.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets that the kernel dropped because a ring was full.
    pub dropped: u64,
    /// Copies of packets already seen on another interface.
    pub duplicates: u64,
    /// Packets of excluded networks, never looked into.
    pub excluded: u64,
    /// Packets that could not be read, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Log lines read.
    pub lines: u64,
    /// Log lines that could not be understood.
    pub bad_lines: u64,
    /// Events made of packets and lines.
    pub events: u64,
    /// Flows now in the flow table.
    pub flows: u64,
    /// Findings stated.
    pub findings: u64,
    /// Incidents seen since the start.
    pub incidents: u64,
    /// Assets known.
    pub assets: u64,
    /// What was given up for lack of room, by where: tables, queues, notices.
    pub shed: BTreeMap<String, u64>,
    /// What waits in a queue, by queue.
    pub queued: BTreeMap<String, u64>,
    /// How far behind the wall clock the analysis is, in milliseconds; 0 where nothing waits.
    pub behind_millis: u64,
    /// The last packet seen.
    pub last_packet: Option<Timestamp>,
    /// Each interface.
    pub interfaces: Vec<InterfaceStats>,
    /// Each file that is followed.
    pub follows: Vec<FollowStats>,
    /// How often a part of the sensor failed and was started again.
    pub restarts: u64,
    /// The last such failure.
    pub last_fault: Option<String>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InterfaceStats {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: InterfaceState,
    /// Packets seen, copies included.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub dropped: u64,
    /// The last packet seen on it.
    pub last_packet: Option<Timestamp>,
}

/// How an interface is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceState {
    /// Watched.
    Up,
    /// There, but down: watched again as soon as it is up.
    Down,
    /// Not there: watched as soon as it is there.
    #[default]
    Missing,
}

impl InterfaceState {
    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Missing => "missing",
        }
    }
}

/// One file that is followed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FollowStats {
    /// Its path.
    pub path: String,
    /// What is wrong with it; nothing where it is well.
    pub problem: Option<String>,
    /// The format, once known.
    pub format: Option<String>,
    /// Lines read.
    pub lines: u64,
    /// Lines that could not be understood.
    pub bad_lines: u64,
    /// The last event time in it.
    pub last_event: Option<Timestamp>,
}
