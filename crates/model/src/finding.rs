//! Findings: a detector's statement that an event or a run of events is suspicious, with the evidence.

use crate::{FindingId, Mac, Protocol, RecordRef, Role, Severity, Tactic, Technique, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What shows that an address is really whose it claims to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Nothing: the address could be forged. Nobody is cut off, or called attacker or infected, on that.
    #[default]
    None,
    /// A TCP handshake was completed with it.
    Handshake,
    /// Its packets carry the hardware address that is bound to it.
    Hardware,
}

/// Somebody in a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// The address.
    pub address: IpAddr,
    /// The hardware address that its packets carried or that is bound to it, unless a forwarder's.
    pub mac: Option<Mac>,
    /// What it did or suffered.
    pub role: Role,
    /// How sure the address is.
    pub proof: Proof,
    /// One of ours.
    pub home: bool,
}

/// The flows that a finding speaks of. Unset fields match anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowScope {
    /// Originator.
    pub src: Option<IpAddr>,
    /// Responder.
    pub dst: Option<IpAddr>,
    /// Responder's port.
    pub port: Option<u16>,
    /// Transport.
    pub protocol: Option<Protocol>,
    /// Flows that overlap this span.
    pub first: Timestamp,
    /// End of the span, included.
    pub last: Timestamp,
}

/// A detector's statement. A finding that goes on is stated again with the same id, a later `last` and new figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Made from detector, parties and beginning.
    pub id: FindingId,
    /// The detector, such as `scan-horizontal`.
    pub detector: &'static str,
    /// How bad it is by itself.
    pub severity: Severity,
    /// How sure, 0 to 100.
    pub confidence: u8,
    /// The stage of an attack.
    pub stage: Tactic,
    /// The technique.
    pub technique: Technique,
    /// The beginning.
    pub first: Timestamp,
    /// The end so far.
    pub last: Timestamp,
    /// When it was decided.
    pub decided: Timestamp,
    /// Who is in it.
    pub parties: Vec<Party>,
    /// How many more parties there were than are listed.
    pub parties_omitted: u64,
    /// One sentence for a person, with the figures.
    pub why: String,
    /// What was measured.
    pub value: f64,
    /// What it was measured against.
    pub threshold: f64,
    /// The record that decided it.
    pub record: RecordRef,
    /// The flows it speaks of.
    pub scopes: Vec<FlowScope>,
    /// How many flows those are, as far as they were counted.
    pub flows: u64,
    /// The service or method, such as `telnet` or `syn`: findings of one method are told together.
    pub method: String,
    /// Evidence only: cannot open an incident, can join one.
    pub supporting: bool,
}

/// A narrow, expiring statement by a person that something is no attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// The incident that was closed with it.
    pub incident: crate::IncidentId,
    /// Only findings of this detector.
    pub detector: String,
    /// Only about this address.
    pub address: IpAddr,
    /// Only towards this peer; any where unset.
    pub peer: Option<IpAddr>,
    /// Until then.
    pub until: Timestamp,
    /// Why, in the words of who closed it.
    pub reason: String,
    /// Who closed it.
    pub who: String,
}
