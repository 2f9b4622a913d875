//! Guard it: the licence to respond and the right to act.
//!
//! Guarantees: nothing acts without a [`Permit`], and a `Permit` comes from [`Licence`] only: from the settings of the
//! authority (automatic), from a person who approved, or as the rest of one of those after a restart. It can be
//! neither copied nor written down, holds for one command, and is used up by using it. No IO, no clock.

mod config;
mod licence;

pub use config::{ConfigError, Mode, ResponseConfig};
pub use licence::{Acted, By, Decision, Grant, Licence, Permit, PermitError};
