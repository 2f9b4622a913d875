//! The words of Bastide: the nouns that every other crate speaks, and the rules that hold for them.
//!
//! Guarantees: no IO, no clock, no randomness. A value that exists is valid. Ids of findings and incidents are
//! made from their content, so that replaying a recording gives the ids that living it gave.

mod address;
mod asset;
mod attack;
mod authority;
mod command;
mod event;
mod finding;
mod flow;
mod id;
mod identifier;
mod incident;
mod maintenance;
mod person;
mod severity;
mod suspension;
mod time;

pub use address::{AddressError, Mac, Net, NetSet};
pub use asset::{Asset, AssetStatus, Criticality, Declared, Kind, Layer, Talk};
pub use attack::{Tactic, Technique};
pub use authority::{Authority, AuthorityId, AuthorityLevel, AuthorityRole, Holding, Lineage};
pub use command::{Action, Command, Effect, Hit, Plan, PlanStatus, Receipt, Target, Withheld};
pub use event::{
    Alert, AppRequest, Arp, ArpOperation, Dhcp, DhcpOperation, Dns, Event, EventKind, Hint, HintKind,
    Honeypot, HoneypotAct, Login, LoginOutcome, Message, RecordRef, Transfer, TransferKind,
};
pub use finding::{Exception, Finding, FlowScope, Party, Proof};
pub use flow::{Counts, FlowKey, FlowUpdate, Outcome, Phase, Protocol, Service, Visibility};
pub use id::{CommandId, ContentHasher, FindingId, IncidentId, PlanId};
pub use identifier::Identifier;
pub use incident::{Evidence, Incident, IncidentAsset, Role};
pub use maintenance::{Maintenance, MaintenanceError};
pub use person::{LoginName, PersonId, PersonState};
pub use severity::Severity;
pub use suspension::Suspension;
pub use time::{Timestamp, TimestampError};
