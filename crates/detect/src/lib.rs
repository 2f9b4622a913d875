//! Notice it: events in, findings out, findings to incidents.
//!
//! Guarantees: no IO and no clock; every table is bounded and counts what it sheds; the same events give the same
//! incidents with the same ids; nobody is called attacker or infected for packets whose source could be forged; every
//! finding carries its measure and its threshold.

mod bounded;
mod control;
mod correlate;
mod credential;
mod crowds;
mod engine;
mod execution;
mod findings;
mod foreign;
mod hosts;
mod impact;
mod local;
mod measure;
mod recon;
mod sentence;
mod unlisted;
mod verdict;

pub use correlate::worst_first;
pub use engine::{Config, Engine, Stats};
pub use unlisted::Roll;
pub use verdict::{FlowVerdict, Verdict, Verdicts};
