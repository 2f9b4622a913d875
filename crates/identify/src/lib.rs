//! Know it: which assets there are, what they are, and what they are to the network.
//!
//! Guarantees: only what happened on our networks becomes an asset, never an address that somebody merely aimed at;
//! memory is bounded and what is given up is counted; a guess carries its confidence and its reasons, and does not
//! change until the better one is clearly better. What cannot be told is `unknown`, which counts as protected.

mod guess;
pub mod import;
mod inventory;
mod kinds;
mod listed;
pub mod merge;
mod register;
mod wiring;

pub use inventory::{Capacity, Inventory, Stats};
pub use kinds::{Kinds, KindsError};
pub use listed::Listed;
