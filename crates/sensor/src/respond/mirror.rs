//! The actuator of a place that no traffic passes through: a mirror port, a log.
//!
//! Guarantees: it says that nothing was stopped, and never anything else.

use model::{Command, Effect, Receipt, Timestamp};
use protect::Permit;
use stop::{Actuator, Adopted, Count};

/// Stops nothing and says so.
#[derive(Debug)]
pub struct Mirror {
    name: String,
}

impl Mirror {
    /// With the reason why nothing can be stopped here, such as `this machine forwards nothing`.
    #[must_use]
    pub fn new(reason: &str) -> Self {
        Self { name: format!("mirror ({reason})") }
    }

    fn receipt(&self, command: &Command, effect: Effect, now: Timestamp) -> Receipt {
        Receipt {
            command: command.id.clone(),
            at: now,
            effect,
            packets_stopped: 0,
            packets_passed: 0,
            actuator: self.name.clone(),
        }
    }
}

impl Actuator for Mirror {
    fn name(&self) -> &str {
        &self.name
    }

    fn in_path(&self) -> bool {
        false
    }

    fn apply(&mut self, command: &Command, permit: Permit, now: Timestamp) -> Receipt {
        let effect = if permit.covers(command) {
            Effect::WithoutEffect
        } else {
            Effect::Failed { reason: "the permit is for another command".into() }
        };
        self.receipt(command, effect, now)
    }

    fn undo(&mut self, command: &Command, now: Timestamp) -> Receipt {
        self.receipt(command, Effect::Undone, now)
    }

    fn undo_all(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn adopt(&mut self, should: &[Command]) -> Result<Adopted, String> {
        let present = should.iter().map(|command| command.id.clone()).collect();
        Ok(Adopted { present, ..Adopted::default() })
    }

    fn counts(&mut self) -> Result<Vec<Count>, String> {
        Ok(Vec::new())
    }

    fn tidy(&mut self, _now: Timestamp) -> Result<(), String> {
        Ok(())
    }
}
