//! A city in network namespaces and the attacks on it: what `bastide drill` runs.
//!
//! Guarantees: nothing outside of the namespaces that the drill makes is ever reached ([`city::cell`]); rates and times
//! are bounded; a seed gives the same city and the same attack; figures come from the lab's own counters and captures,
//! never from Bastide's word alone.

pub mod city;
pub mod clock;
pub mod dice;
pub mod drill;
mod error;
mod guard;
pub mod measure;
mod mirai;
pub mod run;
mod things;
mod wire;

pub use error::{Error, Result};
