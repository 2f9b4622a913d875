//! Sharing the state directory with the command line, and writing down.
//!
//! Guarantees: nothing is changed without the lock; what others wrote is taken in first and told; the lever is heeded
//! whoever moved it.

use super::{
    Responder,
    journal::Hand,
    responder::PATIENCE,
    state::{Loaded, Lock, State},
};
use crate::Notice;
use model::{Command, CommandId, Effect, PlanStatus, Receipt, Timestamp};
use std::collections::HashSet;
use stop::journal::Act;

impl Responder {
    /// Takes the lock and takes in what others changed. Nothing is done without it.
    pub(super) fn locked(&mut self, now: Timestamp) -> Option<Lock> {
        match self.dir.lock(PATIENCE) {
            Ok(Some(lock)) => {
                if self.dir.is_stale() {
                    self.reload(now);
                }
                Some(lock)
            }
            Ok(None) => {
                tracing::error!("another program holds the lock of the state directory: nothing is done");
                None
            }
            Err(error) => {
                tracing::error!(%error, "the state directory cannot be locked: nothing is done");
                None
            }
        }
    }

    /// Somebody else (the command line) wrote the state: its word counts.
    pub(super) fn reload(&mut self, now: Timestamp) {
        // What is in force stands in the kernel, whatever became of the file: without another word the own one counts.
        let lost = match self.dir.load() {
            Ok(Loaded::State(state)) => return self.take_over(*state, now),
            Ok(Loaded::Nothing) => "commands.json was gone".to_owned(),
            Ok(Loaded::Damaged { reason, aside }) => {
                format!("commands.json could not be read ({reason}); set aside as {}", aside.display())
            }
            Err(error) => {
                tracing::error!(%error, "the state cannot be read");
                return;
            }
        };
        self.note(now, "bastide", format!("{lost}; it is written again as it was known here"));
        self.save(now, true);
    }

    fn take_over(&mut self, theirs: State, now: Timestamp) {
        let old = std::mem::replace(&mut self.state, theirs);
        self.state.config = self.config.clone();
        self.generation += 1;
        for gone in old.in_force {
            if !self.holds(&gone.command.id) {
                let receipt = Receipt { at: now, effect: Effect::Undone, ..gone.receipt };
                self.notify(Notice::Receipt(receipt));
            }
        }
        for open in old.plans {
            if self.state.plans.iter().all(|still| still.plan.id != open.plan.id) {
                let mut plan = open.plan;
                plan.status =
                    if plan.status == PlanStatus::Active { PlanStatus::Undone } else { PlanStatus::Expired };
                plan.because = "taken back from the command line".into();
                self.notify(Notice::Plan(Box::new(plan)));
            }
        }
        let should: Vec<Command> = self.state.in_force.iter().map(|held| held.command.clone()).collect();
        if let Err(error) = self.actuator.adopt(&should) {
            tracing::error!(%error, "what is in force cannot be known");
        }
        self.watch_state();
        self.write_all(now, "bastide", [], false);
    }

    pub(super) fn holds(&self, id: &CommandId) -> bool {
        self.state.in_force.iter().any(|held| held.command.id == *id)
    }

    /// Lets the actuator know what is in force, without changing anything.
    pub(super) fn recognise(&mut self) -> Result<(), String> {
        let should: Vec<Command> = self.state.in_force.iter().map(|held| held.command.clone()).collect();
        self.actuator.adopt(&should).map(|_| ())
    }

    /// Watches what the state says is in force or ran out.
    pub(super) fn watch_state(&mut self) {
        let keep: HashSet<CommandId> = self
            .state
            .in_force
            .iter()
            .map(|held| held.command.id.clone())
            .chain(self.state.ended.iter().map(|ended| ended.command.id.clone()))
            .collect();
        self.watch.retain(&keep);
    }

    /// The lever may have been moved by hand.
    pub(super) fn heed_lever(&mut self, now: Timestamp) {
        let stopped = self.dir.is_stopped();
        if stopped == self.was_stopped {
            return;
        }
        let Some(_lock) = self.locked(now) else { return };
        self.was_stopped = stopped;
        self.quarantine_due = true;
        self.generation += 1;
        if stopped && !self.state.in_force.is_empty() {
            self.undo_all("bastide", "the file `stopped` was found", false, now);
        }
        self.save(now, true);
    }

    pub(super) fn save(&mut self, now: Timestamp, durable: bool) {
        self.state.trim(now);
        self.state.acted = self.licence.acted().cloned().collect();
        if let Err(error) = self.dir.save(&mut self.state, durable) {
            tracing::error!(%error, "the state cannot be written: after a restart it is the older one");
        }
    }

    pub(super) fn note(&mut self, now: Timestamp, who: &str, note: String) {
        self.write(now, who, "for whoever reads this later", Act::Noted { note }, false);
    }

    pub(super) fn write(&mut self, now: Timestamp, who: &str, why: &str, act: Act, durable: bool) -> bool {
        self.write_all(now, who, [(why.to_owned(), act)], durable)
    }

    /// Whether it stands in the journal.
    pub(super) fn write_all(
        &mut self,
        now: Timestamp,
        who: &str,
        acts: impl IntoIterator<Item = (String, Act)>,
        durable: bool,
    ) -> bool {
        let hand = Hand { at: now, who, configuration: &self.fingerprint };
        match self.journal.append(hand, acts, durable) {
            Ok(entries) => {
                self.tell_entries(entries);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be written");
                false
            }
        }
    }
}
