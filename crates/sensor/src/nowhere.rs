//! An actuator that refuses everything, until the responder brings its own.

use model::{Command, Effect, Receipt, Timestamp};
use protect::Permit;
use stop::{Actuator, Adopted, Count};

pub(crate) struct Nowhere;

impl Actuator for Nowhere {
    fn name(&self) -> &str {
        "none"
    }

    fn in_path(&self) -> bool {
        false
    }

    fn apply(&mut self, command: &Command, _permit: Permit, now: Timestamp) -> Receipt {
        self.undo(command, now)
    }

    fn undo(&mut self, command: &Command, now: Timestamp) -> Receipt {
        Receipt {
            command: command.id.clone(),
            at: now,
            effect: Effect::Failed { reason: "there is no actuator".to_owned() },
            packets_stopped: 0,
            packets_passed: 0,
            actuator: self.name().to_owned(),
        }
    }

    fn undo_all(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn adopt(&mut self, _should: &[Command]) -> Result<Adopted, String> {
        Ok(Adopted::default())
    }

    fn counts(&mut self) -> Result<Vec<Count>, String> {
        Ok(Vec::new())
    }

    fn tidy(&mut self, _now: Timestamp) -> Result<(), String> {
        Ok(())
    }
}
