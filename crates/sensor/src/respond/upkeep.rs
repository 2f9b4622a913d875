//! What time does: expiries, probes, receipts, and the firewall being flushed by others.
//!
//! Guarantees: what ran out is watched and said; what was in force is applied again with the time that is left after
//! a reboot or a flush; a receipt says what was seen, not what was hoped.

use super::{
    Responder,
    state::{Ended, Held},
};
use crate::Notice;
use model::{Command, Effect, PlanStatus, Receipt, Target, Timestamp};
use protect::Licence;
use stop::{Adopted, journal::Act};

/// When what was done last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    lever: Option<Timestamp>,
    receipts: Option<Timestamp>,
    adoption: Option<Timestamp>,
    forgetting: Option<Timestamp>,
    writing: Option<Timestamp>,
    quarantine: Option<Timestamp>,
}

/// Whether so many microseconds have gone by; then the clock is set. A clock that was set back counts as gone by.
fn due(clock: &mut Option<Timestamp>, micros: i64, now: Timestamp) -> bool {
    let due = clock.is_none_or(|last| !(0..micros).contains(&now.micros_since(last)));
    if due {
        *clock = Some(now);
    }
    due
}

/// Whether a command's time is over. Where the clock was set back so far that more than twice its time would be left,
/// nobody knows how much is: then it is over too, for nothing is held longer than anybody allowed.
fn is_over(command: &Command, now: Timestamp) -> bool {
    let (left, whole) = (command.expires.micros_since(now), command.expires.micros_since(command.created));
    left <= 0 || left > whole.saturating_mul(2)
}

impl Responder {
    /// Time goes on: expiries, probes, receipts, the lever. Gives what there is to tell since the last call.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Notice> {
        if due(&mut self.clocks.lever, 100_000, now) {
            self.heed_lever(now);
            if self.dir.is_stale() {
                drop(self.locked(now));
            }
        }
        self.order_again(now);
        for id in std::mem::take(&mut self.replan) {
            if let Some(incident) = self.incidents.get(&id).cloned() {
                self.incident(&incident, now);
            }
        }
        self.expire(now);
        if due(&mut self.clocks.receipts, 1_000_000, now) && !self.state.in_force.is_empty() {
            self.refresh_receipts(now);
        }
        if due(&mut self.clocks.adoption, 5_000_000, now) && !self.state.in_force.is_empty() {
            self.restore_lost(now);
        }
        let looked = !self.state.suspended.is_empty() && due(&mut self.clocks.quarantine, 10_000_000, now);
        if (looked || std::mem::take(&mut self.quarantine_due))
            && let Some(_lock) = self.locked(now)
        {
            self.quarantine(now);
            self.save(now, false);
        }
        if due(&mut self.clocks.forgetting, 10_000_000, now) {
            self.forget_old_talks(now);
            self.state.trim(now);
            self.watch_state();
        }
        self.take_notices()
    }

    /// At the start: what is in force is taken over or applied again.
    pub(super) fn take_up(&mut self, now: Timestamp) {
        let Some(_lock) = self.locked(now) else { return };
        let actuator = self.actuator.name().to_owned();
        self.write(now, "bastide", "the program started", Act::Started { actuator }, false);
        self.expire_held(now);
        if self.dir.is_stopped() {
            // Also what no state knows of: an earlier run may have ended before it could write that down.
            self.undo_all("bastide", "responding is stopped", false, now);
        } else {
            self.give_way_to_settings(now);
            self.adopt(true, now);
        }
        for held in self.state.in_force.clone() {
            let attack = self.incident_of(&held.incident).map_or(held.applied, |incident| incident.first);
            self.watch.begin(&held.command, held.applied, attack);
        }
        for ended in self.state.ended.clone() {
            let attack =
                self.incident_of(&ended.incident).map_or(ended.command.created, |incident| incident.first);
            self.watch.begin(&ended.command, ended.at, attack);
        }
        let open: Vec<_> = self.state.plans.iter().map(|open| open.plan.clone()).collect();
        for plan in open {
            self.notify(Notice::Plan(Box::new(plan)));
        }
        self.save(now, true);
    }

    /// Who was put on a list of those never acted on while something was in force is let go.
    pub(super) fn give_way_to_settings(&mut self, now: Timestamp) {
        let spared = |on: &Target| match on {
            Target::Device { addresses, .. } => {
                addresses.iter().any(|address| self.config.spared(*address).is_some())
            }
            Target::Remote { address } | Target::Flow { dst: address, .. } => {
                self.config.spared(*address).is_some()
            }
        };
        let named: Vec<_> = self
            .state
            .in_force
            .iter()
            .filter(|held| spared(&held.command.on))
            .map(|held| held.command.id.clone())
            .collect();
        if named.is_empty() {
            return;
        }
        if let Err(problem) = self.recognise() {
            self.note(now, "bastide", format!("what is in force cannot be known: {problem}"));
        }
        for id in named {
            self.undo(&id, "the settings", now);
        }
    }

    fn restore_lost(&mut self, now: Timestamp) {
        let Some(_lock) = self.locked(now) else { return };
        if self.dir.is_stopped() {
            // The lever was pulled and something could not be taken back then: again, and never the other way.
            self.undo_all("bastide", "responding is stopped", false, now);
            self.save(now, true);
            return;
        }
        if self.adopt(false, now) {
            self.save(now, false);
        }
    }

    /// Compares the state with the firewall; whether anything had to be applied again.
    pub(super) fn adopt(&mut self, starting: bool, now: Timestamp) -> bool {
        let should: Vec<Command> = self.state.in_force.iter().map(|held| held.command.clone()).collect();
        let Adopted { missing, unknown, .. } = match self.actuator.adopt(&should) {
            Ok(adopted) => adopted,
            Err(problem) => {
                if starting {
                    self.note(now, "bastide", format!("what is in force cannot be known: {problem}"));
                }
                return false;
            }
        };
        if starting && !unknown.is_empty() {
            let names = unknown.join(", ");
            self.note(now, "bastide", format!("in force and in no state: {names}; they end by themselves"));
        }
        for id in &missing {
            self.apply_rest(id, starting, now);
        }
        !missing.is_empty()
    }

    fn apply_rest(&mut self, id: &model::CommandId, starting: bool, now: Timestamp) {
        let Some(held) = self.state.in_force.iter().find(|held| held.command.id == *id).cloned() else {
            return;
        };
        let why = if starting {
            "it was in force before and has time left"
        } else {
            "it was in force and somebody emptied the firewall"
        };
        if held.command.expires.micros_since(now) < 1_000_000 {
            // The kernel's clock may be a little ahead.
            return;
        }
        let act = Act::Applying { plan: held.plan.clone(), command: Box::new(held.command.clone()) };
        if !self.write(now, "bastide", why, act, true) {
            return;
        }
        let receipt = match Licence::rest(&held.command, &held.grant, now) {
            Ok(permit) => self.actuator.apply(&held.command, permit, now),
            Err(error) => Receipt {
                command: id.clone(),
                at: now,
                effect: Effect::Failed { reason: error.to_string() },
                packets_stopped: 0,
                packets_passed: 0,
                actuator: self.actuator.name().to_owned(),
            },
        };
        let failed = matches!(receipt.effect, Effect::Failed { .. });
        self.write(
            now,
            "bastide",
            "the receipt of applying",
            Act::Outcome { receipt: receipt.clone() },
            false,
        );
        self.notify(Notice::Receipt(receipt.clone()));
        if failed && starting {
            self.state.in_force.retain(|held| held.command.id != *id);
        } else if let Some(held) = self.state.in_force.iter_mut().find(|held| held.command.id == *id) {
            held.receipt = receipt;
        }
    }

    fn expire(&mut self, now: Timestamp) {
        let ran_out = |held: &Held| is_over(&held.command, now);
        let watched_out = |ended: &Ended| !ended.quiet && ended.until <= now;
        if !self.state.in_force.iter().any(ran_out) && !self.state.ended.iter().any(watched_out) {
            return;
        }
        let Some(_lock) = self.locked(now) else { return };
        self.expire_held(now);
        let quiet: Vec<Ended> = self.state.ended.iter().filter(|ended| watched_out(ended)).cloned().collect();
        for ended in quiet {
            let why = "nothing happened after it ran out";
            self.write(now, "bastide", why, Act::Quiet { command: ended.command.id.clone() }, false);
        }
        self.state.ended.iter_mut().filter(|ended| watched_out(ended)).for_each(|ended| ended.quiet = true);
        self.save(now, false);
    }

    /// The kernel has let go already; here it is written down, and what follows is watched.
    fn expire_held(&mut self, now: Timestamp) {
        let (over, left): (Vec<Held>, Vec<Held>) = std::mem::take(&mut self.state.in_force)
            .into_iter()
            .partition(|held| is_over(&held.command, now));
        self.state.in_force = left;
        for held in over {
            let command = &held.command;
            let act = Act::Expired { command: command.id.clone() };
            let set_back = command.expires > now;
            let why = if set_back {
                "the clock was set back further than it was to last: it is taken back"
            } else {
                "its time was over; the attack is watched for"
            };
            self.write(now, "bastide", why, act, false);
            let mut receipt = Receipt { at: now, effect: Effect::Expired, ..held.receipt.clone() };
            if set_back {
                let undone = self.actuator.undo(command, now);
                if matches!(undone.effect, Effect::Failed { .. }) {
                    // The kernel's own clock ends it.
                    receipt = undone;
                }
            }
            self.notify(Notice::Receipt(receipt));
            let subject = command.on.subject();
            self.next_round(subject.clone(), now);
            let attack = self.incident_of(&held.incident).map_or(held.applied, |incident| incident.first);
            let at = command.expires.min(now);
            self.watch.begin(command, at, attack);
            let until = at.plus_secs(i64::from(self.config.probe_secs));
            let (command, incident) = (command.clone(), held.incident.clone());
            self.state.ended.push(Ended { command, subject, incident, at, until, quiet: false });
            if self.state.in_force.iter().all(|other| other.plan != held.plan) {
                self.close_plan(&held.plan, PlanStatus::Expired, "its time was over");
            }
            self.generation += 1;
        }
        if let Err(problem) = self.actuator.tidy(now) {
            tracing::warn!(%problem, "what expired commands left behind could not be removed");
        }
    }

    /// Reads the counters; tells and writes down where the effect is another than before.
    fn refresh_receipts(&mut self, now: Timestamp) {
        let counts = match self.actuator.counts() {
            Ok(counts) => counts,
            Err(problem) => {
                tracing::warn!(%problem, "what is stopped cannot be counted");
                return;
            }
        };
        let mut changed = Vec::new();
        for count in counts {
            let (effect, passed) = self.watch.judge(&count.command, count.packets_stopped);
            let Some(held) = self.state.in_force.iter_mut().find(|held| held.command.id == count.command)
            else {
                continue;
            };
            let fresh = Receipt {
                at: now,
                effect,
                packets_stopped: count.packets_stopped,
                packets_passed: passed,
                ..held.receipt.clone()
            };
            let moved = fresh.effect != held.receipt.effect;
            let counted = fresh.packets_stopped != held.receipt.packets_stopped
                || fresh.packets_passed != held.receipt.packets_passed;
            // Also where nothing changed it is known as of now.
            held.receipt = fresh.clone();
            if moved || counted {
                changed.push((fresh, moved));
            }
        }
        let moved: Vec<(String, Act)> = changed
            .iter()
            .filter(|(_, moved)| *moved)
            .map(|(receipt, _)| {
                (String::from("seen since it was applied"), Act::Outcome { receipt: receipt.clone() })
            })
            .collect();
        // The command line reads when what is in force was last looked at, also where nothing has changed.
        if (due(&mut self.clocks.writing, 30_000_000, now) || !moved.is_empty())
            && let Some(_lock) = self.locked(now)
        {
            self.write_all(now, "bastide", moved, false);
            self.save(now, false);
        }
        for (receipt, _) in changed {
            self.notify(Notice::Receipt(receipt));
        }
    }
}
