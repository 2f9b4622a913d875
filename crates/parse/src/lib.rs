//! Bytes to typed records: captures, packets, protocols, logs. Sans-IO.
//!
//! Guarantees: no input can panic anything here; every length is checked before it is believed; what is kept
//! between calls is bounded. Nothing reads a clock, a file or the network, and [`packet::dissect`] does not allocate.

pub mod app;
pub mod capture;
mod link;
pub mod log;
pub mod packet;

pub use link::LinkType;
