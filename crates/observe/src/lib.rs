//! Records to events: the flow table, the sessions inside flows, and log lines.
//!
//! Guarantees: bounded memory whatever the traffic; event time only; an event never holds a tried password; a flow
//! knows how much of it was visible, and nothing is concluded from silence where silence would not have been seen.

mod clock;
mod dues;
mod flow;
mod flow_table;
mod fragment;
mod handshake;
mod leases;
pub mod logs;
mod observer;
pub mod recording;
mod rooms;
pub mod session;
mod sight;
mod sightings;

pub use flow_table::{FlowTable, Shed};
pub use observer::{Config, Counters, Observer};
pub use parse::LinkType;
pub use sightings::{Sightings, ip_packet};
