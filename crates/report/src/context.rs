//! What a report can say beyond what was read: names of addresses, what was done, and when nobody looked.

use model::{IncidentId, Timestamp};
use std::{collections::BTreeMap, net::IpAddr};

/// What is known beside the incidents themselves. Empty is fine.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// What the heading says; a description of what was analysed where unset.
    pub heading: Option<String>,
    /// Names by address; a name comes before an address wherever there is one.
    pub names: BTreeMap<IpAddr, String>,
    /// What was done about incidents, in order of time.
    pub acts: Vec<Act>,
    /// Spans in which nobody looked, beyond those that the inputs themselves leave.
    pub gaps: Vec<Gap>,
}

/// Something that was done about an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// About which incident; about all where unset.
    pub incident: Option<IncidentId>,
    /// When.
    pub at: Timestamp,
    /// What: `Isolate cam-07 for 1 h`.
    pub what: String,
    /// By whom: a person or `Bastide`.
    pub who: String,
    /// What it came to, by the receipt.
    pub effect: String,
}

/// A span of event time that nobody saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
    /// Why.
    pub why: String,
}
