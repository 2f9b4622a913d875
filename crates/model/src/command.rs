//! Plans, commands and receipts: what would stop an incident, and what doing it did.

use crate::{CommandId, Criticality, IncidentId, Kind, Mac, PlanId, Protocol, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What to do with a target. Each maps to one OpenC2 action with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// Cut a device off, but for DHCP, the named resolver and time server (rate-limited) and Bastide.
    Isolate {
        /// Servers that stay reachable.
        keep: Vec<IpAddr>,
    },
    /// Let a device talk to its declared peers only.
    Restrict {
        /// The declared peers.
        peers: Vec<IpAddr>,
    },
    /// Let nothing pass from or to a remote address.
    Block,
    /// Let a flow pass at a bounded rate.
    Limit {
        /// Packets per second that still pass.
        packets_per_second: u32,
    },
    /// Take a device's identity away until it is given back: certificates, tokens, connections, and its addresses as when it
    /// is isolated.
    Suspend {
        /// The asset, by its id.
        asset: String,
    },
}

impl Action {
    /// The verb used in labels, journal and nftables comments.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Isolate { .. } => "isolate",
            Self::Restrict { .. } => "restrict",
            Self::Block => "block",
            Self::Limit { .. } => "limit",
            Self::Suspend { .. } => "suspend",
        }
    }
}

/// What a command acts on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "target")]
pub enum Target {
    /// One of ours, by all of its addresses.
    Device {
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// Its hardware address, where bound.
        mac: Option<Mac>,
    },
    /// Somebody outside.
    Remote {
        /// The address.
        address: IpAddr,
    },
    /// What goes from one to another by one protocol and port.
    Flow {
        /// From; anybody where unspecified (`0.0.0.0`, `::`).
        src: IpAddr,
        /// To.
        dst: IpAddr,
        /// Transport.
        protocol: Protocol,
        /// Destination port; any where unset.
        port: Option<u16>,
    },
}

impl Target {
    /// Who counts as one target, whatever is learned of it later: the hardware address where bound, else the least
    /// address; for flows the one that they go to.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Device { mac: Some(mac), .. } => mac.to_string(),
            Self::Device { addresses, mac: None } => {
                addresses.iter().min().map_or_else(|| "nobody".into(), ToString::to_string)
            }
            Self::Remote { address } => address.to_string(),
            Self::Flow { dst, .. } => format!("towards {dst}"),
        }
    }
}

/// Somebody whom a command would hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The address.
    pub address: IpAddr,
    /// Its name, where known.
    pub name: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// How much the city depends on it.
    pub criticality: Criticality,
    /// What it would lose, from recent flows: "3 flows to broker (1883/tcp)".
    pub loses: String,
}

/// One action on one target, with an expiry and an inverse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Made from plan, action and target.
    pub id: CommandId,
    /// What to do.
    #[serde(flatten)]
    pub action: Action,
    /// To what.
    pub on: Target,
    /// Why, in one sentence.
    pub why: String,
    /// Whom it will hit.
    pub hits: Vec<Hit>,
    /// When it was proposed.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// What undoes it, in words: "let 10.0.0.7 talk again".
    pub inverse: String,
    /// What kind of thing it acts on (decides between off, ask and auto).
    pub kind: Kind,
}

/// Something that was considered and is not proposed, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// The address that would have been acted on.
    pub address: IpAddr,
    /// Why not.
    pub reason: String,
}

/// Where a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanStatus {
    /// Waits for a person.
    Proposed,
    /// Commands are in force.
    Active,
    /// Refused by a person.
    Refused,
    /// Taken back by a person.
    Undone,
    /// Ran out.
    Expired,
    /// Nothing could be proposed, or responding is off: what would have been done is shown.
    Shown,
}

/// What would stop an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Made from the incident and the version.
    pub id: PlanId,
    /// Of which incident.
    pub incident: IncidentId,
    /// When it was made.
    pub made: Timestamp,
    /// Where it is.
    pub status: PlanStatus,
    /// What would be done.
    pub commands: Vec<Command>,
    /// What would not be done, and why.
    pub withheld: Vec<Withheld>,
    /// Why it waits, is shown only, or ran by itself.
    pub because: String,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "effect")]
pub enum Effect {
    /// In the firewall; no packet has tried it yet.
    Applied,
    /// Packets of the target were stopped since.
    Effective,
    /// The target's packets still pass: the actuator is not on the path.
    WithoutEffect,
    /// Could not be applied.
    Failed {
        /// Why.
        reason: String,
    },
    /// Taken back.
    Undone,
    /// Ran out.
    Expired,
}

/// An actuator's proof of what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Of which command.
    pub command: CommandId,
    /// When this was known.
    pub at: Timestamp,
    /// What it came to.
    #[serde(flatten)]
    pub effect: Effect,
    /// Packets stopped since it was applied.
    pub packets_stopped: u64,
    /// Packets of the target seen passing since.
    pub packets_passed: u64,
    /// The actuator, such as `nftables@router`.
    pub actuator: String,
}
