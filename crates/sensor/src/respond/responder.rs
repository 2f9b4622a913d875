//! The stateful part of responding: what the live loop talks to.
//!
//! Guarantees: those of the module. Every change of state happens with the lock of the state directory held and after
//! what others changed was read; where the lock or the journal cannot be had, nothing is done and that is said.

use super::{
    journal::{Hand, Journal},
    state::{Loaded, Round, State, StateDir},
    watch::Watch,
};
use crate::{Notice, Order};
use model::{
    Asset, CommandId, ContentHasher, FlowUpdate, Incident, IncidentId, Mac, NetSet, Plan, PlanId, Protocol,
    Severity, Suspension, Timestamp,
};
use protect::{ConfigError, Licence, ResponseConfig};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
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

/// The latest incidents that are planned for again when an asset becomes better known.
const MAX_REPLANNED: usize = 16;

/// Notices that may wait.
const MAX_NOTICES: usize = 4096;

/// Orders that may wait for the lock.
const MAX_WAITING: usize = 64;

/// How long the lock is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

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
    pub(super) home: NetSet,
    /// What its plans are told from those of other sensors by.
    pub(super) identity: String,
    pub(super) dir: StateDir,
    pub(super) actuator: Box<dyn Actuator>,
    pub(super) directory: Directory,
    pub(super) talks: Talks,
    pub(super) licence: Licence,
    pub(super) state: State,
    pub(super) journal: Journal,
    pub(super) watch: Watch,
    pub(super) incidents: HashMap<IncidentId, Incident>,
    pub(super) order: VecDeque<IncidentId>,
    /// Incidents whose assets became better known.
    pub(super) replan: BTreeSet<IncidentId>,
    /// What was made of each incident last, so that an unchanged one costs no more than planning.
    pub(super) handled: HashMap<IncidentId, Handled>,
    /// Grows whenever the state changes in a way that may change decisions.
    pub(super) generation: u64,
    pub(super) was_stopped: bool,
    /// What is known of a suspended asset changed.
    pub(super) quarantine_due: bool,
    /// What people asked for while another program held the lock.
    pub(super) waiting: VecDeque<Order>,
    pub(super) notices: VecDeque<Notice>,
    pub(super) clocks: super::upkeep::Clocks,
}

/// What decided how an incident was handled last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handled {
    plan: PlanId,
    sure: bool,
    stopped: bool,
    generation: u64,
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

    /// The same with plans and commands whose ids are its own, also where another sensor plans for the same incident.
    #[must_use]
    pub fn called(mut self, identity: &str) -> Self {
        identity.clone_into(&mut self.identity);
        self
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
            identity: String::new(),
            directory: Directory::new(MAX_ASSETS),
            talks: Talks::new(MAX_TALKS),
            licence,
            state,
            journal,
            watch: Watch::default(),
            incidents: HashMap::new(),
            order: VecDeque::new(),
            handled: HashMap::new(),
            replan: BTreeSet::new(),
            generation: 0,
            was_stopped: dir.is_stopped(),
            quarantine_due: false,
            waiting: VecDeque::new(),
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
        let known = asset.addresses.iter().find_map(|&address| self.directory.at(address));
        let same = known.is_some_and(|known| {
            let view = |asset: &'_ Asset| {
                (asset.kind.clone(), asset.criticality, asset.mac, asset.functions.clone())
            };
            view(known) == view(asset) && known.addresses.len() == asset.addresses.len()
        });
        if !self.state.suspended.is_empty() && self.is_suspended(asset) {
            let addresses = |asset: &Asset| asset.addresses.iter().copied().collect::<BTreeSet<_>>();
            let moved = known.is_none_or(|known| addresses(known) != addresses(asset));
            self.quarantine_due |= moved || !same;
        }
        self.directory.insert(asset.clone());
        if !same {
            // What it is may decide a plan that was made before that was known.
            let named = |id: &&IncidentId| {
                self.incidents.get(*id).is_some_and(|incident| {
                    incident.assets.iter().any(|named| asset.addresses.contains(&named.address))
                })
            };
            let concerned = self.order.iter().rev().take(MAX_REPLANNED).filter(named).cloned();
            self.replan.extend(concerned);
        }
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

    /// Goes on under other settings and with an actuator that was made for them: who is now on a list of those never
    /// acted on is let go, and what is in force is brought to what the settings say. Whether it could be done.
    pub fn reconfigure(
        &mut self,
        config: ResponseConfig,
        actuator: Box<dyn Actuator>,
        why: &str,
        now: Timestamp,
    ) -> bool {
        let Some(_lock) = self.locked(now) else { return false };
        self.fingerprint = config.fingerprint();
        self.state.config = config.clone();
        self.config = config;
        self.actuator = actuator;
        self.generation += 1;
        let kept: Vec<String> = self.config.keep.iter().map(ToString::to_string).collect();
        self.note(now, "bastide", format!("{why}; never acted on as Bastide's own: {}", kept.join(", ")));
        self.give_way_to_settings(now);
        self.adopt(true, now);
        self.save(now, true);
        true
    }

    /// Plans that were given up because more were open than are kept.
    #[must_use]
    pub fn plans_given_up(&self) -> u64 {
        self.state.plans_given_up
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

    /// A person asks for something. [`Order::Exceptions`] and [`Order::Known`] are no matter of the responder and
    /// are passed over.
    pub fn order(&mut self, order: Order, now: Timestamp) {
        if let Order::StopResponding { who } = &order {
            // The lever works before, and without, the lock.
            if let Err(error) = self.dir.pull_lever(&format!("{now} by {who}\n")) {
                tracing::error!(%error, "the lever could not be written down");
            }
        }
        if matches!(order, Order::Exceptions(_) | Order::Known(_)) {
            return;
        }
        let Some(_lock) = self.locked(now) else {
            if !matches!(order, Order::StopResponding { .. }) {
                if self.waiting.len() < MAX_WAITING {
                    self.waiting.push_back(order);
                } else {
                    tracing::error!(?order, "too much waits for the lock: an order is not carried out");
                }
            } else if let Err(problem) = self.give_way_to_all() {
                // The lever stands, and is heeded as soon as the lock can be had.
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
                self.quarantine_due = true;
            }
            Order::StopResponding { who } => self.stop(&who, now),
            Order::ResumeResponding { who } => self.resume(&who, now),
            Order::Suspended { assets, who } => self.suspend(assets, &who, now),
            Order::Exceptions(_) | Order::Known(_) => {}
        }
        self.save(now, true);
    }

    /// What could not be done for want of the lock is tried again, in its order.
    pub(super) fn order_again(&mut self, now: Timestamp) {
        for _ in 0..self.waiting.len() {
            let before = self.waiting.len();
            let Some(order) = self.waiting.pop_front() else { return };
            self.order(order, now);
            if self.waiting.len() >= before {
                // Not yet: it goes first again.
                self.waiting.rotate_right(1);
                return;
            }
        }
    }

    pub(super) fn forget_old_talks(&mut self, now: Timestamp) {
        self.talks.forget_before(now);
    }

    pub(super) fn plan(&self, incident: &Incident, now: Timestamp) -> Plan {
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
        let made_of = |one: &Suspension| Suspension::incident_id(&one.asset.id, one.at) == incident.id;
        let mut plan = if self.state.suspended.iter().any(made_of) {
            stop::quarantine(incident, &context)
        } else {
            stop::plan(incident, &context)
        };
        if !self.identity.is_empty() {
            for command in &mut plan.commands {
                command.id = CommandId::from_content(self.own(command.id.as_str()));
            }
        }
        plan.id = self.plan_id(&plan);
        plan
    }

    pub(super) fn plan_id(&self, plan: &Plan) -> PlanId {
        let id = stop::plan_id(plan);
        if self.identity.is_empty() { id } else { PlanId::from_content(self.own(id.as_str())) }
    }

    fn own(&self, id: &str) -> ContentHasher {
        ContentHasher::new().part("sensor").part(&self.identity).part(id)
    }

    pub(super) fn tell_entries(&mut self, entries: Vec<stop::journal::Entry>) {
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

    pub(super) fn remember(&mut self, incident: &Incident) {
        if self.incidents.insert(incident.id.clone(), super::acting::slim(incident)).is_none() {
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
