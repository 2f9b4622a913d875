//! The stateful part of responding: what the live loop talks to.
//!
//! Guarantees: those of the module. Every change of state happens with the lock of the state directory held and after
//! what others changed was read; where the lock or the journal cannot be had, nothing is done and that is said.

use super::{
    journal::{Hand, Journal},
    state::{Decided, Ended, Held, Loaded, Lock, MAX_DECISIONS, Open, Round, State, StateDir},
    watch::Watch,
};
use crate::{Notice, Order};
use model::{
    Asset, Command, CommandId, Effect, FlowUpdate, Incident, IncidentId, Mac, NetSet, Plan, PlanId,
    PlanStatus, Protocol, Receipt, Severity, Target, Timestamp, Withheld,
};
use protect::{ConfigError, Decision, Licence, Permit, ResponseConfig};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use stop::{Actuator, Context, Directory, Talks, journal::Act};

/// Assets that the planner knows at once.
const MAX_ASSETS: usize = 100_000;

/// Talks that the planner knows at once.
const MAX_TALKS: usize = 65_536;

/// Incidents that are remembered beyond open plans.
const MAX_INCIDENTS: usize = 1024;

/// Notices that may wait.
const MAX_NOTICES: usize = 4096;

/// How long the lock is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why responding cannot be taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RespondError {
    /// The state directory cannot be used.
    #[error("{path}: {source}")]
    State {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody holds the lock.
    #[error("{path}: another program has held the lock for {} s", PATIENCE.as_secs())]
    Locked {
        /// Which folder.
        path: PathBuf,
    },
    /// A setting cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A packet (or a run of alike packets) from an address that is acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Timestamp,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source hardware address on the link where it was first seen.
    pub src_mac: Option<Mac>,
    /// Transport.
    pub protocol: Protocol,
    /// Source port, 0 where there is none.
    pub src_port: u16,
    /// Destination port, 0 where there is none.
    pub dst_port: u16,
    /// It was seen leaving this machine, or again on a second interface: it passed. Else it was seen arriving.
    pub passed: bool,
    /// How many.
    pub packets: u64,
}

/// From incidents to commands in force.
pub struct Responder {
    pub(super) config: ResponseConfig,
    pub(super) fingerprint: String,
    home: NetSet,
    pub(super) dir: StateDir,
    pub(super) actuator: Box<dyn Actuator>,
    directory: Directory,
    talks: Talks,
    pub(super) licence: Licence,
    pub(super) state: State,
    journal: Journal,
    pub(super) watch: Watch,
    incidents: HashMap<IncidentId, Incident>,
    order: VecDeque<IncidentId>,
    /// What was made of each incident last, so that an unchanged one costs no more than planning.
    handled: HashMap<IncidentId, Handled>,
    /// Grows whenever the state changes in a way that may change decisions.
    pub(super) generation: u64,
    was_stopped: bool,
    notices: VecDeque<Notice>,
    pub(super) clocks: super::upkeep::Clocks,
}

/// What decided how an incident was handled last.
#[derive(Debug, PartialEq, Eq)]
struct Handled {
    plan: PlanId,
    sure: bool,
    stopped: bool,
    generation: u64,
}

/// A command with the reason that it waits for a person, or is shown only.
struct Waiting {
    command: Command,
    reason: String,
}

impl Responder {
    /// Takes responding up in a state directory, which is made where it is missing. What was in force and has time
    /// left is taken over where the firewall still holds it, and applied again where it does not.
    ///
    /// # Errors
    /// [`RespondError`] where the state directory cannot be used or a setting cannot be.
    pub fn open(
        config: ResponseConfig,
        home: NetSet,
        state_dir: &Path,
        actuator: Box<dyn Actuator>,
        now: Timestamp,
    ) -> Result<Self, RespondError> {
        config.validate()?;
        let mut responder = Self::attach(Some(config), home, state_dir, |_| actuator, now)?;
        responder.take_up(now);
        Ok(responder)
    }

    /// Opens a state directory without taking anything up: for one order from the command line, with or without a
    /// sensor at work. The settings are those that the state was written under, unless some are given.
    pub(super) fn attach(
        config: Option<ResponseConfig>,
        home: NetSet,
        state_dir: &Path,
        actuator: impl FnOnce(&ResponseConfig) -> Box<dyn Actuator>,
        now: Timestamp,
    ) -> Result<Self, RespondError> {
        let wrap = |source| RespondError::State { path: state_dir.to_owned(), source };
        let mut dir = StateDir::open(state_dir).map_err(wrap)?;
        let lock = dir.lock(PATIENCE).map_err(wrap)?;
        let _lock = lock.ok_or_else(|| RespondError::Locked { path: state_dir.to_owned() })?;
        let (mut state, damage) = match dir.load().map_err(wrap)? {
            Loaded::State(state) => (*state, None),
            Loaded::Nothing => (State::default(), None),
            Loaded::Damaged { reason, aside } => {
                let note = format!(
                    "commands.json could not be read ({reason}) and was set aside as {}",
                    aside.display()
                );
                (State::default(), Some(note))
            }
        };
        let config = config.unwrap_or_else(|| state.config.clone());
        state.config = config.clone();
        let fingerprint = config.fingerprint();
        let hand = Hand { at: now, who: "bastide", configuration: &fingerprint };
        let (mut journal, mut entries) = Journal::open(dir.path(), hand).map_err(wrap)?;
        if let Some(note) = damage {
            let acts = [("the state was found like this".to_owned(), Act::Noted { note })];
            entries.extend(journal.append(hand, acts, true).map_err(wrap)?);
        }
        let licence = Licence::resume(state.acted.iter().cloned());
        let mut responder = Self {
            actuator: actuator(&config),
            fingerprint,
            home,
            directory: Directory::new(MAX_ASSETS),
            talks: Talks::new(MAX_TALKS),
            licence,
            state,
            journal,
            watch: Watch::default(),
            incidents: HashMap::new(),
            order: VecDeque::new(),
            handled: HashMap::new(),
            generation: 0,
            was_stopped: dir.is_stopped(),
            notices: VecDeque::new(),
            clocks: super::upkeep::Clocks::default(),
            config,
            dir,
        };
        responder.tell_entries(entries);
        responder.watch_state();
        Ok(responder)
    }

    /// An asset is new or changed.
    pub fn asset(&mut self, asset: &Asset) {
        self.directory.insert(asset.clone());
    }

    /// A flow began, changed, went on or ended.
    pub fn flow(&mut self, update: &FlowUpdate) {
        if !self.watch.is_empty() {
            self.watch.flow(update, &self.talks);
        }
        self.talks.flow(update);
    }

    /// Whether any address is watched at all: asked before [`Responder::watches`].
    #[must_use]
    pub fn is_watching(&self) -> bool {
        !self.watch.is_empty()
    }

    /// Whether packets from this address are wanted by [`Responder::sighting`]. Cheap; may be asked per packet.
    #[must_use]
    pub fn watches(&self, address: IpAddr) -> bool {
        self.watch.holds(address)
    }

    /// A packet from a watched address.
    pub fn sighting(&mut self, seen: &Sighting) {
        self.watch.sighting(seen, &self.config);
    }

    /// What carries commands out here.
    #[must_use]
    pub fn actuator(&self) -> &str {
        self.actuator.name()
    }

    /// What there is to tell since the last call of this or of [`Responder::tick`].
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notices.drain(..).collect()
    }

    /// An incident is new or changed. Where responding is automatic and licensed, the commands are in force when
    /// this returns.
    pub fn incident(&mut self, incident: &Incident, now: Timestamp) {
        if incident.severity < Severity::Medium {
            return;
        }
        self.remember(incident);
        let plan = self.plan(incident, now);
        let sure = incident.confidence >= self.config.auto_confidence
            && incident.severity >= self.config.auto_severity;
        let stopped = self.dir.is_stopped();
        let mut handled = Handled { plan: plan.id.clone(), sure, stopped, generation: self.generation };
        let ran_out = self.state.ended.iter().any(|ended| ended.incident == incident.id);
        if self.handled.get(&incident.id) == Some(&handled) && !ran_out {
            return;
        }
        let Some(_lock) = self.locked(now) else { return };
        self.respond(incident, plan, now);
        handled.generation = self.generation;
        self.handled.insert(incident.id.clone(), handled);
    }

    /// A person asks for something. [`Order::Exceptions`] is no matter of the responder and is passed over.
    pub fn order(&mut self, order: Order, now: Timestamp) {
        if let Order::StopResponding { who } = &order {
            // The lever works before, and without, the lock.
            if let Err(error) = self.dir.pull_lever(&format!("{now} by {who}\n")) {
                tracing::error!(%error, "the lever could not be written down");
            }
        }
        if matches!(order, Order::Exceptions { .. }) {
            return;
        }
        let Some(_lock) = self.locked(now) else {
            if matches!(order, Order::StopResponding { .. })
                && let Err(problem) = self.actuator.undo_all()
            {
                tracing::error!(%problem, "not everything could be taken back");
            }
            return;
        };
        match order {
            Order::Approve { plan, who } => self.approve(&plan, &who, now),
            Order::Refuse { plan, who } => self.refuse(&plan, &who, now),
            Order::Undo { command, who } => self.undo(&command, &who, now),
            Order::UndoAll { who } => {
                self.undo_all(&who, "everything was taken back", true, now);
            }
            Order::StopResponding { who } => self.stop(&who, now),
            Order::ResumeResponding { who } => self.resume(&who, now),
            Order::Exceptions { .. } => {}
        }
        self.save(now, true);
    }

    pub(super) fn forget_old_talks(&mut self, now: Timestamp) {
        self.talks.forget_before(now);
    }

    fn plan(&self, incident: &Incident, now: Timestamp) -> Plan {
        let rounds: BTreeMap<String, u32> =
            self.state.rounds.iter().map(|(subject, round)| (subject.clone(), round.next)).collect();
        let context = Context {
            config: &self.config,
            home: &self.home,
            directory: &self.directory,
            talks: &self.talks,
            rounds: &rounds,
            now,
        };
        stop::plan(incident, &context)
    }

    /// Sorts the commands of a plan: what is done already or decided against, what acts by itself, what waits.
    fn respond(&mut self, incident: &Incident, mut plan: Plan, now: Timestamp) {
        self.follow_merger(incident, now);
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
            self.act(incident, None, acts, withheld, "auto", now);
        }
        let because = |waiting: &[Waiting]| {
            let mut reasons: Vec<&str> = waiting.iter().map(|waiting| waiting.reason.as_str()).collect();
            reasons.dedup();
            reasons.join("; ")
        };
        if !asks.is_empty() {
            let why = because(&asks);
            asks.extend(shows);
            self.put_forward(incident, plan, asks, PlanStatus::Proposed, why, now);
        } else if !shows.is_empty() {
            let why = because(&shows);
            self.put_forward(incident, plan, shows, PlanStatus::Shown, why, now);
        } else if !acted && !plan.withheld.is_empty() {
            let why = "nothing is left to do that may be done".to_owned();
            self.put_forward(incident, plan, Vec::new(), PlanStatus::Shown, why, now);
        } else {
            self.supersede(&incident.id, None, "nothing is left to do", now);
        }
        self.save(now, acted);
    }

    /// Incidents that turned out to be this one hand over what was done and decided for them.
    fn follow_merger(&mut self, incident: &Incident, now: Timestamp) {
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
                self.close_plan(&plan.id, PlanStatus::Expired, &because, now);
            }
        }
        for id in &incident.supersedes {
            self.handled.remove(id);
        }
    }

    /// What of a plan is still to be done.
    fn due(
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

    fn ran_out(&self, incident: &IncidentId, subject: &str) -> Option<&Ended> {
        self.state.ended.iter().find(|ended| ended.incident == *incident && ended.subject == subject)
    }

    /// Puts commands in force: first the journal, durable; then the firewall; then the outcome.
    fn act(
        &mut self,
        incident: &Incident,
        approved: Option<&PlanId>,
        acts: Vec<(Command, Permit)>,
        withheld: Vec<Withheld>,
        who: &str,
        now: Timestamp,
    ) {
        let mut plan = Plan {
            id: PlanId::from_content(model::ContentHasher::new()),
            incident: incident.id.clone(),
            made: now,
            status: PlanStatus::Active,
            commands: acts.iter().map(|(command, _)| command.clone()).collect(),
            withheld,
            because: match who {
                "auto" => "the settings let it run by itself".into(),
                who => format!("{who} approved it"),
            },
        };
        plan.id = approved.cloned().unwrap_or_else(|| stop::plan_id(&plan));
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
        let mut outcomes = Vec::new();
        let mut problems = Vec::new();
        for (command, permit) in acts {
            let grant = permit.grant();
            let receipt = self.actuator.apply(&command, permit, now);
            outcomes
                .push((String::from("the receipt of applying"), Act::Outcome { receipt: receipt.clone() }));
            self.notify(Notice::Receipt(receipt.clone()));
            self.state.in_force.retain(|held| held.command.id != command.id);
            if let Effect::Failed { reason } = &receipt.effect {
                problems.push(reason.clone());
                continue;
            }
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
        self.open_plan(plan, incident);
    }

    /// Puts a plan before people.
    fn put_forward(
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
        plan.id = stop::plan_id(&plan);
        let open = self.state.plans.iter().find(|open| open.plan.id == plan.id);
        let same = |open: &Open| open.plan.status == plan.status && open.plan.because == plan.because;
        if open.is_some_and(same) {
            return;
        }
        let is_new = open.is_none();
        self.supersede(&incident.id, Some(&plan.id), "another plan took its place", now);
        if is_new {
            let commands = plan.commands.iter().map(|command| command.id.clone()).collect();
            let act = Act::Proposed { plan: plan.id.clone(), incident: incident.id.clone(), commands };
            self.write(now, "bastide", &plan.because.clone(), act, false);
        }
        self.open_plan(plan, incident);
    }

    fn open_plan(&mut self, plan: Plan, incident: &Incident) {
        self.notify(Notice::Plan(Box::new(plan.clone())));
        self.state.plans.retain(|open| open.plan.id != plan.id);
        self.state.plans.push(Open { plan, incident: slim(incident) });
    }

    /// Closes the plans of an incident that wait, but for one.
    fn supersede(&mut self, incident: &IncidentId, but: Option<&PlanId>, because: &str, now: Timestamp) {
        let waits = |open: &Open| {
            open.plan.incident == *incident
                && matches!(open.plan.status, PlanStatus::Proposed | PlanStatus::Shown)
                && Some(&open.plan.id) != but
        };
        let old: Vec<PlanId> =
            self.state.plans.iter().filter(|open| waits(open)).map(|open| open.plan.id.clone()).collect();
        for id in old {
            self.close_plan(&id, PlanStatus::Expired, because, now);
        }
    }

    pub(super) fn close_plan(&mut self, id: &PlanId, status: PlanStatus, because: &str, _now: Timestamp) {
        let Some(at) = self.state.plans.iter().position(|open| open.plan.id == *id) else { return };
        let mut plan = self.state.plans.remove(at).plan;
        plan.status = status;
        plan.because = because.to_owned();
        self.notify(Notice::Plan(Box::new(plan)));
    }

    fn approve(&mut self, id: &PlanId, who: &str, now: Timestamp) {
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
        if let Some(difference) = stop::difference(&open.plan, &plan) {
            let because = format!("what {who} approved has changed since: {difference}");
            self.note(now, who, format!("{id} was approved, but changed since it was seen: {difference}"));
            let waiting =
                plan.commands.drain(..).map(|command| Waiting { command, reason: String::new() }).collect();
            self.supersede(&incident.id, None, "it changed before it was approved", now);
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
        self.act(&incident, Some(id), acts, plan.withheld, who, now);
    }

    fn refuse(&mut self, id: &PlanId, who: &str, now: Timestamp) {
        let open = self.state.plans.iter().find(|open| open.plan.id == *id).cloned();
        let Some(open) = open.filter(|open| open.plan.status == PlanStatus::Proposed) else {
            self.note(now, who, format!("{id} was refused and does not wait for anybody (any more)"));
            return;
        };
        self.write(now, who, "a person refused the plan", Act::Refused { plan: id.clone() }, true);
        for command in &open.plan.commands {
            self.decide(&open.plan.incident, &command.on, who, true, now);
        }
        self.close_plan(id, PlanStatus::Refused, &format!("{who} refused it"), now);
        self.generation += 1;
    }

    fn undo(&mut self, id: &CommandId, who: &str, now: Timestamp) {
        let Some(held) = self.state.in_force.iter().find(|held| held.command.id == *id).cloned() else {
            self.note(now, who, format!("{id} was to be taken back and is not in force"));
            return;
        };
        let why = format!("{who} asked to {}", held.command.inverse);
        // Giving way needs no journal: where it cannot be written, the command is taken back all the same.
        self.write(now, who, &why, Act::Undoing { command: id.clone() }, true);
        let receipt = self.actuator.undo(&held.command, now);
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
            return;
        }
        self.state.in_force.retain(|held| held.command.id != *id);
        self.watch.end(id);
        self.decide(&held.incident, &held.command.on, who, false, now);
        if self.state.in_force.iter().all(|other| other.plan != held.plan) {
            self.close_plan(&held.plan, PlanStatus::Undone, &format!("{who} took it back"), now);
        }
        self.generation += 1;
    }

    fn decide(&mut self, incident: &IncidentId, on: &Target, who: &str, refused: bool, now: Timestamp) {
        let (incident, subject, who) = (incident.clone(), on.subject(), who.to_owned());
        if self.state.decided.len() >= MAX_DECISIONS {
            self.state.decided.remove(0);
        }
        self.state.decided.push(Decided { incident, subject, who, at: now, refused });
    }

    /// Takes everything back; where a person wants exactly that, what was in force is not done again by itself.
    fn undo_all(&mut self, who: &str, why: &str, final_word: bool, now: Timestamp) -> bool {
        self.write(now, who, why, Act::UndoingAll, true);
        let problem = self.actuator.undo_all().err();
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
            self.close_plan(&held.plan, PlanStatus::Undone, &format!("{who} took it back"), now);
        }
        self.generation += 1;
        gone
    }

    fn stop(&mut self, who: &str, now: Timestamp) {
        self.write(now, who, "the lever was pulled", Act::Stopped, true);
        self.was_stopped = true;
        self.undo_all(who, "responding was stopped", false, now);
    }

    fn resume(&mut self, who: &str, now: Timestamp) {
        self.write(now, who, "the lever was released", Act::Resumed, true);
        if let Err(error) = self.dir.release_lever() {
            self.note(now, who, format!("the lever could not be released: {error}"));
            return;
        }
        self.was_stopped = false;
        self.generation += 1;
    }

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
    fn reload(&mut self, now: Timestamp) {
        let old = std::mem::take(&mut self.state);
        self.state = match self.dir.load() {
            Ok(Loaded::State(state)) => *state,
            Ok(Loaded::Nothing) => State::default(),
            Ok(Loaded::Damaged { reason, aside }) => {
                let aside = aside.display();
                self.note(
                    now,
                    "bastide",
                    format!("commands.json could not be read ({reason}); set aside as {aside}"),
                );
                State { in_force: old.in_force.clone(), plans: old.plans.clone(), ..State::default() }
            }
            Err(error) => {
                tracing::error!(%error, "the state cannot be read");
                self.state = old;
                return;
            }
        };
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

    fn tell_entries(&mut self, entries: Vec<stop::journal::Entry>) {
        for entry in entries {
            self.notify(Notice::Journal(Box::new(entry)));
        }
    }

    /// Bounded: what nobody takes for long is given up, the oldest first.
    pub(super) fn notify(&mut self, notice: Notice) {
        if self.notices.len() >= MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    fn remember(&mut self, incident: &Incident) {
        if self.incidents.insert(incident.id.clone(), slim(incident)).is_none() {
            self.order.push_back(incident.id.clone());
        }
        while self.order.len() > MAX_INCIDENTS {
            if let Some(old) = self.order.pop_front() {
                self.incidents.remove(&old);
                self.handled.remove(&old);
            }
        }
    }

    pub(super) fn incident_of(&self, id: &IncidentId) -> Option<&Incident> {
        let open = || self.state.plans.iter().find(|open| open.incident.id == *id).map(|open| &open.incident);
        self.incidents.get(id).or_else(open)
    }

    pub(super) fn next_round(&mut self, subject: String, now: Timestamp) {
        let round = self.state.rounds.entry(subject).or_insert(Round { next: 0, at: now });
        *round = Round { next: round.next.saturating_add(1), at: now };
    }
}

/// What the planner needs of an incident.
fn slim(incident: &Incident) -> Incident {
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
