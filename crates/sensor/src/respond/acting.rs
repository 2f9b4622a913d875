//! From a plan to commands in force: what is due, what acts by itself, what waits for a person.
//!
//! Guarantees: what is in force already is not done twice; what a person decided is not overridden; what a plan would do
//! stands in the journal, durable, before it is done, or it is not done.

use super::{
    Responder,
    state::{Ended, Held, MAX_PLANS, Open},
};
use crate::Notice;
use model::{Command, Effect, Incident, IncidentId, Plan, PlanId, PlanStatus, Target, Timestamp, Withheld};
use protect::{Decision, Mode, Permit};
use std::net::IpAddr;
use stop::journal::Act;

/// A command with the reason that it waits for a person, or is shown only.
pub(super) struct Waiting {
    pub(super) command: Command,
    pub(super) reason: String,
}

impl Responder {
    /// Sorts the commands of a plan: what is done already or decided against, what acts by itself, what waits.
    pub(super) fn respond(&mut self, incident: &Incident, mut plan: Plan, now: Timestamp) {
        self.follow_merger(incident);
        let commands = std::mem::take(&mut plan.commands);
        let due = self.due(incident, commands, &mut plan.withheld, now);
        let stopped = self.dir.is_stopped();
        let (mut acts, mut asks, mut shows) = (Vec::new(), Vec::new(), Vec::new());
        for command in due {
            let subject = command.on.subject();
            if stopped {
                shows.push(Waiting { command, reason: "responding is stopped".into() });
                continue;
            }
            if let Some(word) = self.state.word(&incident.id, &subject) {
                let reason = format!("{} took it back at {}", word.who, word.at);
                asks.push(Waiting { command, reason });
                continue;
            }
            let known = self.directory.known_of(&command.kind);
            match self.licence.decide(&command, incident, known, &self.config, now) {
                Decision::Act(permit) => acts.push((command, permit)),
                Decision::Ask(reason) => asks.push(Waiting { command, reason }),
                Decision::Show(reason) => shows.push(Waiting { command, reason }),
            }
        }
        let acted = !acts.is_empty();
        if acted {
            let withheld =
                if asks.is_empty() && shows.is_empty() { plan.withheld.clone() } else { Vec::new() };
            let because = "the settings let it run by itself".to_owned();
            self.act(incident, None, acts, withheld, "auto", because, now);
        }
        let because = |waiting: &[Waiting]| {
            let mut reasons: Vec<&str> = waiting.iter().map(|waiting| waiting.reason.as_str()).collect();
            reasons.dedup();
            reasons.join("; ")
        };
        if !asks.is_empty() {
            let why = because(&asks);
            plan.withheld.extend(
                shows
                    .into_iter()
                    .map(|shown| Withheld { address: address_of(&shown.command.on), reason: shown.reason }),
            );
            self.put_forward(incident, plan, asks, PlanStatus::Proposed, why, now);
        } else if !shows.is_empty() {
            let why = because(&shows);
            self.put_forward(incident, plan, shows, PlanStatus::Shown, why, now);
        } else if !acted && !plan.withheld.is_empty() {
            let why = "nothing is left to do that may be done".to_owned();
            self.put_forward(incident, plan, Vec::new(), PlanStatus::Shown, why, now);
        } else {
            self.supersede(&incident.id, None, "nothing is left to do");
        }
        self.save(now, acted);
    }

    /// Takes out what the settings never allow, approved or not.
    pub(super) fn drop_what_is_off(&self, plan: &mut Plan) {
        let is_off = |command: &Command| self.config.mode_for(&command.kind) == Mode::Off;
        let off = plan.commands.iter().filter(|command| is_off(command)).map(|command| Withheld {
            address: address_of(&command.on),
            reason: format!("responding is off for the kind {}", command.kind),
        });
        plan.withheld.extend(off);
        plan.commands.retain(|command| !is_off(command));
    }

    /// Incidents that turned out to be this one hand over what was done and decided for them.
    pub(super) fn follow_merger(&mut self, incident: &Incident) {
        let merged = |id: &IncidentId| incident.supersedes.contains(id);
        let state = &mut self.state;
        let keys = state
            .in_force
            .iter_mut()
            .map(|held| &mut held.incident)
            .chain(state.ended.iter_mut().map(|ended| &mut ended.incident))
            .chain(state.decided.iter_mut().map(|decided| &mut decided.incident));
        keys.filter(|id| merged(id)).for_each(|id| id.clone_from(&incident.id));
        let plans: Vec<Plan> = state
            .plans
            .iter()
            .filter(|open| merged(&open.plan.incident))
            .map(|open| open.plan.clone())
            .collect();
        for mut plan in plans {
            if plan.status == PlanStatus::Active {
                plan.incident.clone_from(&incident.id);
                self.open_plan(plan, incident);
            } else {
                let because = format!("its incident turned out to be {}", incident.id);
                self.close_plan(&plan.id, PlanStatus::Expired, &because);
            }
        }
        for id in &incident.supersedes {
            self.handled.remove(id);
        }
    }

    /// What of a plan is still to be done.
    pub(super) fn due(
        &mut self,
        incident: &Incident,
        commands: Vec<Command>,
        withheld: &mut Vec<Withheld>,
        now: Timestamp,
    ) -> Vec<Command> {
        let mut due = Vec::new();
        for command in commands {
            let subject = command.on.subject();
            let mut spare =
                |reason: String| withheld.push(Withheld { address: address_of(&command.on), reason });
            let held = self.state.in_force.iter().find(|held| {
                held.command.on.subject() == subject && held.command.action.verb() == command.action.verb()
            });
            if let Some(held) = held {
                let same_reach = held.command.on == command.on && held.command.action == command.action;
                if held.incident != incident.id {
                    spare(format!("already done for {}", held.incident));
                } else if !same_reach {
                    // More of the same device became known: the same command reaches further.
                    due.push(Command { id: held.command.id.clone(), ..command });
                }
                continue;
            }
            if let Some(word) = self.state.word(&incident.id, &subject).filter(|word| word.refused) {
                spare(format!("{} refused it at {}", word.who, word.at));
                continue;
            }
            if let Some(ended) = self.ran_out(&incident.id, &subject) {
                let (id, at) = (ended.command.id.clone(), ended.at);
                if incident.last <= at || !self.watch.is_strange(&id) {
                    spare(format!("it ran out at {at} and nothing happened since"));
                    continue;
                }
                let seconds = command.expires.micros_since(now).max(0) as u64 / 1_000_000;
                self.state.ended.retain(|ended| ended.command.id != id);
                self.watch.end(&id);
                self.write(
                    now,
                    "bastide",
                    &format!("the attack of {} went on after its command ran out", subject),
                    Act::GoesOn { command: id, seconds },
                    false,
                );
            }
            due.push(command);
        }
        due
    }

    pub(super) fn ran_out(&self, incident: &IncidentId, subject: &str) -> Option<&Ended> {
        self.state.ended.iter().find(|ended| ended.incident == *incident && ended.subject == subject)
    }

    /// Puts commands in force: first the journal, durable; then the firewall; then the outcome.
    #[expect(clippy::too_many_arguments, reason = "who wants what of which incident, and why")]
    pub(super) fn act(
        &mut self,
        incident: &Incident,
        approved: Option<&PlanId>,
        acts: Vec<(Command, Permit)>,
        withheld: Vec<Withheld>,
        who: &str,
        because: String,
        now: Timestamp,
    ) {
        let mut plan = Plan {
            id: PlanId::from_content(model::ContentHasher::new()),
            incident: incident.id.clone(),
            made: now,
            status: PlanStatus::Active,
            commands: acts.iter().map(|(command, _)| command.clone()).collect(),
            withheld,
            because,
        };
        plan.id = approved.cloned().unwrap_or_else(|| self.plan_id(&plan));
        let intents: Vec<(String, Act)> = plan
            .commands
            .iter()
            .map(|command| {
                let act = Act::Applying { plan: plan.id.clone(), command: Box::new(command.clone()) };
                (command.why.clone(), act)
            })
            .collect();
        if !self.write_all(now, who, intents, true) {
            plan.status = PlanStatus::Shown;
            plan.because = "not done: the journal cannot be written, and nothing is done without it".into();
            self.notify(Notice::Plan(Box::new(plan)));
            return;
        }
        let (mut outcomes, mut receipts) = (Vec::new(), Vec::new());
        let mut problems = Vec::new();
        for (command, permit) in acts {
            let grant = permit.grant();
            let receipt = self.actuator.apply(&command, permit, now);
            outcomes
                .push((String::from("the receipt of applying"), Act::Outcome { receipt: receipt.clone() }));
            receipts.push(receipt.clone());
            if let Effect::Failed { reason } = &receipt.effect {
                // An earlier form of the same command stays as it was, in the firewall and here.
                problems.push(reason.clone());
                continue;
            }
            self.state.in_force.retain(|held| held.command.id != command.id);
            self.watch.begin(&command, now, incident.first);
            let (plan, incident) = (plan.id.clone(), incident.id.clone());
            self.state.in_force.push(Held { command, plan, incident, grant, applied: now, receipt });
        }
        self.write_all(now, "bastide", outcomes, false);
        self.state.acted = self.licence.acted().cloned().collect();
        self.generation += 1;
        problems.dedup();
        if problems.len() >= plan.commands.len() && !problems.is_empty()
            || !problems.is_empty() && !self.state.in_force.iter().any(|held| held.plan == plan.id)
        {
            plan.status = PlanStatus::Proposed;
            plan.because = format!("could not be done: {}; approve it to try again", problems.join("; "));
        } else if !problems.is_empty() {
            plan.because = format!("{}; in part it failed: {}", plan.because, problems.join("; "));
        } else if !self.actuator.in_path() {
            plan.because = format!("{}; nothing is stopped here: {}", plan.because, self.actuator.name());
        }
        // First the plan: a receipt of a command that nobody has heard of says little.
        self.open_plan(plan, incident);
        receipts.into_iter().for_each(|receipt| self.notify(Notice::Receipt(receipt)));
    }

    /// Puts a plan before people.
    pub(super) fn put_forward(
        &mut self,
        incident: &Incident,
        mut plan: Plan,
        waiting: Vec<Waiting>,
        status: PlanStatus,
        because: String,
        now: Timestamp,
    ) {
        plan.commands = waiting.into_iter().map(|waiting| waiting.command).collect();
        plan.status = status;
        plan.because = because;
        plan.id = self.plan_id(&plan);
        let open = self.state.plans.iter().find(|open| open.plan.id == plan.id);
        let same = |open: &Open| open.plan.status == plan.status && open.plan.because == plan.because;
        if open.is_some_and(same) {
            return;
        }
        let is_new = open.is_none();
        self.supersede(&incident.id, Some(&plan.id), "another plan took its place");
        if is_new {
            let commands = plan.commands.iter().map(|command| command.id.clone()).collect();
            let act = Act::Proposed { plan: plan.id.clone(), incident: incident.id.clone(), commands };
            self.write(now, "bastide", &plan.because.clone(), act, false);
        }
        self.open_plan(plan, incident);
    }

    pub(super) fn open_plan(&mut self, plan: Plan, incident: &Incident) {
        self.notify(Notice::Plan(Box::new(plan.clone())));
        self.state.plans.retain(|open| open.plan.id != plan.id);
        self.state.plans.push(Open { plan, incident: slim(incident) });
        while self.state.plans.len() > MAX_PLANS {
            self.give_up_a_plan();
        }
    }

    /// The oldest that waits goes, told and counted; what is in force goes last.
    fn give_up_a_plan(&mut self) {
        let plans = &self.state.plans;
        let waits = plans.iter().find(|open| open.plan.status != PlanStatus::Active);
        let Some(id) = waits.or(plans.first()).map(|open| open.plan.id.clone()) else { return };
        self.state.plans_given_up += 1;
        tracing::warn!(plan = %id, "more than {MAX_PLANS} plans are open: the oldest that waits is given up");
        let because = format!("given up: more than {MAX_PLANS} plans were open, and this was the oldest");
        self.close_plan(&id, PlanStatus::Expired, &because);
    }

    /// Closes the plans of an incident that wait, but for one.
    pub(super) fn supersede(&mut self, incident: &IncidentId, but: Option<&PlanId>, because: &str) {
        let waits = |open: &Open| {
            open.plan.incident == *incident
                && matches!(open.plan.status, PlanStatus::Proposed | PlanStatus::Shown)
                && Some(&open.plan.id) != but
        };
        let old: Vec<PlanId> =
            self.state.plans.iter().filter(|open| waits(open)).map(|open| open.plan.id.clone()).collect();
        for id in old {
            self.close_plan(&id, PlanStatus::Expired, because);
        }
    }

    pub(super) fn close_plan(&mut self, id: &PlanId, status: PlanStatus, because: &str) {
        let Some(at) = self.state.plans.iter().position(|open| open.plan.id == *id) else { return };
        let mut plan = self.state.plans.remove(at).plan;
        plan.status = status;
        plan.because = because.to_owned();
        self.notify(Notice::Plan(Box::new(plan)));
    }
}

/// What the planner needs of an incident.
pub(super) fn slim(incident: &Incident) -> Incident {
    Incident { evidence: Vec::new(), joined: Vec::new(), advice: Vec::new(), ..incident.clone() }
}

fn address_of(on: &Target) -> IpAddr {
    match on {
        Target::Device { addresses, .. } => {
            addresses.first().copied().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
        }
        Target::Remote { address } => *address,
        Target::Flow { dst, .. } => *dst,
    }
}
