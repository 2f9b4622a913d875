//! What people ask: approve, refuse, take back, stop, resume.
//!
//! Guarantees: what is carried out is what the person saw, else it goes back with the difference; a person's word
//! outlasts restarts; giving way needs neither licence nor journal.

use super::{
    Responder,
    acting::Waiting,
    nft::Nftables,
    state::{Decided, Held, MAX_DECISIONS},
};
use crate::Notice;
use model::{Command, CommandId, Effect, IncidentId, PlanId, PlanStatus, Receipt, Target, Timestamp};
use stop::{Actuator as _, journal::Act};

impl Responder {
    pub(super) fn approve(&mut self, id: &PlanId, who: &str, now: Timestamp) {
        let open = self.state.plans.iter().find(|open| open.plan.id == *id).cloned();
        let Some(open) = open.filter(|open| open.plan.status == PlanStatus::Proposed) else {
            self.note(now, who, format!("{id} was approved and does not wait for anybody (any more)"));
            return;
        };
        if self.dir.is_stopped() {
            self.note(now, who, format!("{id} was approved while responding is stopped: nothing was done"));
            return;
        }
        let incident = self.incidents.get(&open.incident.id).cloned().unwrap_or(open.incident);
        let mut plan = self.plan(&incident, now);
        let commands = std::mem::take(&mut plan.commands);
        let mut withheld = std::mem::take(&mut plan.withheld);
        // What the settings would do by themselves meanwhile, or what is in force already, is not asked again.
        plan.commands = self.due(&incident, commands, &mut withheld, now);
        plan.withheld = withheld;
        self.drop_what_is_off(&mut plan);
        if let Some(difference) = stop::difference(&open.plan, &plan) {
            let because = format!("what {who} approved has changed since: {difference}");
            self.note(now, who, format!("{id} was approved, but changed since it was seen: {difference}"));
            let waiting =
                plan.commands.drain(..).map(|command| Waiting { command, reason: String::new() }).collect();
            self.supersede(&incident.id, None, "it changed before it was approved");
            self.put_forward(&incident, plan, waiting, PlanStatus::Proposed, because, now);
            self.generation += 1;
            return;
        }
        let why = format!("{who} approved the plan");
        if !self.write_all(now, who, [(why, Act::Approved { plan: id.clone() })], true) {
            return;
        }
        let subjects: Vec<String> = plan.commands.iter().map(|command| command.on.subject()).collect();
        let mut acts = Vec::new();
        for command in plan.commands {
            match self.licence.approve(&command, who, &self.config, now) {
                Ok(permit) => acts.push((command, permit)),
                Err(error) => return self.note(now, who, format!("{id} was not carried out: {error}")),
            }
        }
        // The later word of a person takes the place of an earlier one.
        self.state.decided.retain(|word| word.incident != incident.id || !subjects.contains(&word.subject));
        self.act(&incident, Some(id), acts, plan.withheld, who, format!("{who} approved it"), now);
    }

    pub(super) fn refuse(&mut self, id: &PlanId, who: &str, now: Timestamp) {
        let open = self.state.plans.iter().find(|open| open.plan.id == *id).cloned();
        let Some(open) = open.filter(|open| open.plan.status == PlanStatus::Proposed) else {
            self.note(now, who, format!("{id} was refused and does not wait for anybody (any more)"));
            return;
        };
        self.write(now, who, "a person refused the plan", Act::Refused { plan: id.clone() }, true);
        for command in &open.plan.commands {
            self.decide(&open.plan.incident, &command.on, who, true, now);
        }
        self.close_plan(id, PlanStatus::Refused, &format!("{who} refused it"));
        self.generation += 1;
    }

    pub(super) fn undo(&mut self, id: &CommandId, who: &str, now: Timestamp) {
        let Some(held) = self.state.in_force.iter().find(|held| held.command.id == *id).cloned() else {
            self.note(now, who, format!("{id} was to be taken back and is not in force"));
            return;
        };
        if !self.take_back(&held, who, now) {
            return;
        }
        self.decide(&held.incident, &held.command.on, who, false, now);
        self.quarantine_due = true;
        self.generation += 1;
    }

    /// Takes a command back, and closes its plan where nothing else is in force by that; whether it could be done.
    pub(super) fn take_back(&mut self, held: &Held, who: &str, now: Timestamp) -> bool {
        let id = &held.command.id;
        let why = format!("{who} asked to {}", held.command.inverse);
        // Giving way needs no journal: where it cannot be written, the command is taken back all the same.
        self.write(now, who, &why, Act::Undoing { command: id.clone() }, true);
        let receipt = self.give_way(held, now);
        self.write(
            now,
            "bastide",
            "the receipt of undoing",
            Act::Outcome { receipt: receipt.clone() },
            false,
        );
        let failed = matches!(receipt.effect, Effect::Failed { .. });
        self.notify(Notice::Receipt(receipt));
        if failed {
            return false;
        }
        self.state.in_force.retain(|held| held.command.id != *id);
        self.watch.end(id);
        if self.state.in_force.iter().all(|other| other.plan != held.plan) {
            self.close_plan(&held.plan, PlanStatus::Undone, &format!("{who} took it back"));
        }
        true
    }

    /// Takes a command back where it was put in force: that may have been the kernel, also where this run found that it
    /// can stop nothing here and would have nothing to take back.
    fn give_way(&mut self, held: &Held, now: Timestamp) -> Receipt {
        if self.actuator.in_path() || !held.is_in_kernel() {
            return self.actuator.undo(&held.command, now);
        }
        let mut nftables = match Nftables::open(&self.config, "an earlier run") {
            Ok(nftables) => nftables,
            Err(error) => {
                let effect = Effect::Failed { reason: error.to_string() };
                return Receipt { at: now, effect, ..held.receipt.clone() };
            }
        };
        let others = self.state.in_force.iter().filter(|other| other.is_in_kernel());
        let should: Vec<Command> = others.map(|other| other.command.clone()).collect();
        if let Err(problem) = nftables.adopt(&should) {
            tracing::warn!(%problem, "what else is in force cannot be known");
        }
        nftables.undo(&held.command, now)
    }

    /// The same for everything.
    pub(super) fn give_way_to_all(&mut self) -> Result<(), String> {
        if !self.actuator.in_path() && self.state.in_force.iter().any(Held::is_in_kernel) {
            Nftables::flush().map_err(|error| error.to_string())?;
        }
        self.actuator.undo_all()
    }

    pub(super) fn decide(
        &mut self,
        incident: &IncidentId,
        on: &Target,
        who: &str,
        refused: bool,
        now: Timestamp,
    ) {
        let (incident, subject, who) = (incident.clone(), on.subject(), who.to_owned());
        if self.state.decided.len() >= MAX_DECISIONS {
            self.state.decided.remove(0);
        }
        self.state.decided.push(Decided { incident, subject, who, at: now, refused });
    }

    /// Takes everything back; where a person wants exactly that, what was in force is not done again by itself.
    pub(super) fn undo_all(&mut self, who: &str, why: &str, final_word: bool, now: Timestamp) -> bool {
        self.write(now, who, why, Act::UndoingAll, true);
        let problem = self.give_way_to_all().err();
        let gone = problem.is_none();
        self.write(now, "bastide", "what came of it", Act::UndoneAll { problem: problem.clone() }, true);
        if let Some(problem) = problem {
            tracing::error!(%problem, "not everything could be taken back");
            return false;
        }
        for held in std::mem::take(&mut self.state.in_force) {
            let receipt = Receipt { at: now, effect: Effect::Undone, ..held.receipt };
            self.notify(Notice::Receipt(receipt));
            self.watch.end(&held.command.id);
            if final_word {
                self.decide(&held.incident, &held.command.on, who, false, now);
            }
            self.close_plan(&held.plan, PlanStatus::Undone, &format!("{who} took it back"));
        }
        self.generation += 1;
        gone
    }

    pub(super) fn stop(&mut self, who: &str, now: Timestamp) {
        self.write(now, who, "the lever was pulled", Act::Stopped, true);
        self.was_stopped = true;
        self.undo_all(who, "responding was stopped", false, now);
        self.quarantine(now);
    }

    pub(super) fn resume(&mut self, who: &str, now: Timestamp) {
        self.write(now, who, "the lever was released", Act::Resumed, true);
        if let Err(error) = self.dir.release_lever() {
            self.note(now, who, format!("the lever could not be released: {error}"));
            return;
        }
        self.was_stopped = false;
        self.generation += 1;
        self.quarantine(now);
    }
}
