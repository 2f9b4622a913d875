//! What carries commands out.
//!
//! Guarantees of every actuator: nothing happens without a permit for that very command; applying twice is applying
//! once; undoing what is not there is no error; commands in force end by themselves at their expiry, whatever
//! became of the program; undoing one command leaves what others need.

use model::{Command, CommandId, Receipt, Timestamp};
use protect::Permit;

/// Carries commands out.
pub trait Actuator: Send {
    /// What it is and where, such as `nftables@router`.
    fn name(&self) -> &str;

    /// Whether it stands in the path of the traffic, as far as is known before anything was tried.
    fn in_path(&self) -> bool;

    /// Puts a command in force until its expiry. Uses the permit up.
    fn apply(&mut self, command: &Command, permit: Permit, now: Timestamp) -> Receipt;

    /// Takes one command back.
    fn undo(&mut self, command: &Command, now: Timestamp) -> Receipt;

    /// Takes everything back, also what an earlier run left and nobody remembers.
    ///
    /// # Errors
    /// Why something may still be in force.
    fn undo_all(&mut self) -> Result<(), String>;

    /// Compares what should be in force with what is, after a restart; the commands that are there are taken over.
    ///
    /// # Errors
    /// Why it cannot be known.
    fn adopt(&mut self, should: &[Command]) -> Result<Adopted, String>;

    /// What each command in force stopped so far.
    ///
    /// # Errors
    /// Why it cannot be known.
    fn counts(&mut self) -> Result<Vec<Count>, String>;

    /// Removes what expired commands left behind.
    ///
    /// # Errors
    /// Why it could not be removed.
    fn tidy(&mut self, now: Timestamp) -> Result<(), String>;
}

/// What an actuator found after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// In force, as they should be.
    pub present: Vec<CommandId>,
    /// Should be in force and are not (or only in part): to be applied again.
    pub missing: Vec<CommandId>,
    /// In force, and nobody remembers why. They end by themselves.
    pub unknown: Vec<String>,
}

/// What a command stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which command.
    pub command: CommandId,
    /// Packets stopped since it was applied.
    pub packets_stopped: u64,
}
