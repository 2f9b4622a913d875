//! The one place where it is decided who may do what.
//!
//! Guarantees: what no policy permits is denied, and so is what cannot be decided; a [`Grant`] exists only where a
//! decision allowed it; the shipped policies (`rules/policies/`) were checked against their schema before the first
//! decision; nothing here does IO or reads a clock.

mod action;
mod decide;
mod error;

pub use action::Action;
pub use decide::{Asker, DecisionPoint, Denied, Grant, Kind, SHIPPED};
pub use error::PolicyError;
