//! Quarantine of assets whose identity was taken away.
//!
//! Guarantees: what is suspended is a state that whoever keeps it tells whole; it outlasts restarts here. Quarantine goes by
//! the planner, the settings and the journal like every response, for nobody but whoever suspended the asset approves it, and
//! is never for ever in the kernel: it is renewed at half of its time as long as the suspension stands, follows the asset's
//! addresses, and is taken back, it alone, when the suspension ends. What a person took back is not done again by itself.

use super::{
    Responder,
    acting::Waiting,
    state::{Held, Open},
};
use model::{
    Asset, Command, Criticality, Incident, IncidentAsset, IncidentId, Plan, PlanStatus, Suspension, Target,
    Timestamp,
};
use std::{collections::BTreeSet, net::IpAddr};

impl Responder {
    /// These are suspended now, and no others; `who` says so.
    pub(super) fn suspend(&mut self, mut suspended: Vec<Suspension>, who: &str, now: Timestamp) {
        suspended.truncate(Suspension::MOST);
        for suspension in &mut suspended {
            suspension.asset.reasons.clear();
            suspension.asset.declared = None;
        }
        let stands = |id: &IncidentId| suspended.iter().any(|one| id_of(one) == *id);
        let over: Vec<IncidentId> = self.state.suspended.iter().map(id_of).filter(|id| !stands(id)).collect();
        self.state.suspended = suspended;
        for incident in over {
            self.end_quarantine(&incident, who, now);
        }
        self.quarantine(now);
    }

    /// Whether an asset is one of those that are suspended.
    pub(super) fn is_suspended(&self, asset: &Asset) -> bool {
        self.state.suspended.iter().any(|one| is_same(&one.asset, asset))
    }

    /// Brings what is in force to what is suspended. Call with the lock held.
    pub(super) fn quarantine(&mut self, now: Timestamp) {
        self.quarantine_due = false;
        for suspension in self.state.suspended.clone() {
            self.acquaint(&suspension.asset);
            let incident = self.incident_made_of(&suspension);
            let plan = self.plan(&incident, now);
            self.carry_out(&suspension, &incident, plan, now);
        }
    }

    /// What the planner is to know of an asset that was not seen here yet, or of which nothing here says how critical it is.
    fn acquaint(&mut self, asset: &Asset) {
        let seen = asset.addresses.iter().filter_map(|&address| self.directory.at(address));
        let seen = seen.chain(asset.mac.into_iter().flat_map(|mac| self.directory.with_mac(mac)));
        let vague = |seen: &&Asset| is_same(seen, asset) && seen.criticality == Criticality::Unknown;
        let vague: Vec<Asset> = seen.filter(vague).cloned().collect();
        for seen in vague.into_iter().filter(|_| asset.criticality != Criticality::Unknown) {
            let (kind, criticality) = (asset.kind.clone(), asset.criticality);
            self.directory.insert(Asset { kind, criticality, ..seen });
        }
        let by_address = |address: &IpAddr| self.directory.at(*address).is_some();
        let by_mac = asset.mac.is_some_and(|mac| self.directory.sharing(mac) > 0);
        if !by_mac && !asset.addresses.is_empty() && !asset.addresses.iter().any(by_address) {
            self.directory.insert(asset.clone());
        }
    }

    /// The incident with all addresses that the asset is known by, here and where it was suspended.
    fn incident_made_of(&self, suspension: &Suspension) -> Incident {
        let mut incident = suspension.incident();
        let asset = &suspension.asset;
        let by_address = asset.addresses.iter().filter_map(|&address| self.directory.at(address));
        let by_mac = asset.mac.into_iter().flat_map(|mac| self.directory.with_mac(mac));
        let known = by_address.chain(by_mac).filter(|known| is_same(known, asset));
        let seen: BTreeSet<IpAddr> = known.flat_map(|known| known.addresses.iter().copied()).collect();
        let proof = if asset.mac.is_some() { model::Proof::Hardware } else { model::Proof::Handshake };
        for address in seen {
            if !incident.assets.iter().any(|named| named.address == address) {
                let role = model::Role::Target;
                incident.assets.push(IncidentAsset { address, mac: asset.mac, role, proof, home: true });
            }
        }
        incident
    }

    fn carry_out(&mut self, suspension: &Suspension, incident: &Incident, mut plan: Plan, now: Timestamp) {
        self.drop_what_is_off(&mut plan);
        let stopped = self.dir.is_stopped();
        let (mut due, mut waiting, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for mut command in std::mem::take(&mut plan.commands) {
            let subject = command.on.subject();
            let mut own = self.state.in_force.iter().filter(|held| held.incident == incident.id);
            let before = own.find(|held| {
                held.command.on.subject() == subject && held.command.action.verb() == command.action.verb()
            });
            if let Some(before) = before {
                command.id = before.command.id.clone();
                held.push(command.id.clone());
                if !is_due(&before.command, &command, now) {
                    continue;
                }
            }
            if stopped {
                waiting.push(Waiting { command, reason: "responding is stopped".into() });
            } else if let Some(word) = self.state.word(&incident.id, &subject) {
                let reason = format!("{} took it back at {}", word.who, word.at);
                waiting.push(Waiting { command, reason });
            } else {
                due.push(command);
            }
        }
        let nothing = due.is_empty() && waiting.is_empty() && held.is_empty();
        if !due.is_empty() {
            self.apply(suspension, incident, due, plan.withheld.clone(), now);
        }
        if !waiting.is_empty() {
            let status = if stopped { PlanStatus::Shown } else { PlanStatus::Proposed };
            let because = waiting.first().map(|waiting| waiting.reason.clone()).unwrap_or_default();
            self.put_forward(incident, plan, waiting, status, because, now);
        } else if nothing && !plan.withheld.is_empty() {
            let because = "nothing is left to do that may be done".to_owned();
            self.put_forward(incident, plan, Vec::new(), PlanStatus::Shown, because, now);
        }
    }

    fn apply(
        &mut self,
        suspension: &Suspension,
        incident: &Incident,
        due: Vec<Command>,
        withheld: Vec<model::Withheld>,
        now: Timestamp,
    ) {
        let who = suspension.who.as_str();
        let mut acts = Vec::new();
        for command in due {
            match self.licence.approve(&command, who, &self.config, now) {
                Ok(permit) => acts.push((command, permit)),
                Err(error) => {
                    return self.note(now, who, format!("no quarantine: {}: {error}", incident.title));
                }
            }
        }
        let subjects: Vec<(String, &'static str)> =
            acts.iter().map(|(command, _)| (command.on.subject(), command.action.verb())).collect();
        let because = format!("{who} took its identity away, and as long as that stands it is renewed");
        self.supersede(&incident.id, None, "another plan took its place");
        self.act(incident, None, acts, withheld, who, because, now);
        // Restricted now, it is not isolated any more, and the other way round.
        let other = |held: &Held| {
            let subject = held.command.on.subject();
            held.incident == incident.id
                && subjects.iter().any(|(of, verb)| *of == subject && *verb != held.command.action.verb())
        };
        for held in self.state.in_force.iter().filter(|held| other(held)).cloned().collect::<Vec<_>>() {
            self.take_back(&held, who, now);
        }
        let idle = |open: &&Open| {
            open.plan.incident == incident.id
                && open.plan.status == PlanStatus::Active
                && !self.state.in_force.iter().any(|held| held.plan == open.plan.id)
        };
        let idle: Vec<_> = self.state.plans.iter().filter(idle).map(|open| open.plan.id.clone()).collect();
        for plan in idle {
            self.close_plan(&plan, PlanStatus::Expired, "another plan took its place");
        }
    }

    /// The suspension is over: what was done for it is taken back, and nothing else.
    fn end_quarantine(&mut self, incident: &IncidentId, who: &str, now: Timestamp) {
        let held: Vec<Held> =
            self.state.in_force.iter().filter(|held| held.incident == *incident).cloned().collect();
        for held in &held {
            self.take_back(held, who, now);
            self.replan_for(&held.command.on);
        }
        self.supersede(incident, None, "the suspension is over");
        self.state.decided.retain(|word| word.incident != *incident);
        self.state.ended.retain(|ended| ended.incident != *incident);
        self.generation += 1;
    }

    /// What was not done because the quarantine did it already may be due now.
    fn replan_for(&mut self, on: &Target) {
        let Target::Device { addresses, .. } = on else { return };
        let named =
            |incident: &&Incident| incident.assets.iter().any(|named| addresses.contains(&named.address));
        self.replan.extend(self.incidents.values().filter(named).map(|incident| incident.id.clone()));
    }
}

fn id_of(suspension: &Suspension) -> IncidentId {
    Suspension::incident_id(&suspension.asset.id, suspension.at)
}

/// Whether what is in force reaches other than what is due, or has run for half of its time.
fn is_due(held: &Command, due: &Command, now: Timestamp) -> bool {
    let (left, whole) = (held.expires.micros_since(now), held.expires.micros_since(held.created));
    held.on != due.on || held.action != due.action || left < whole / 2
}

/// By its id, or by its hardware address: what is enrolled may have another id than what was seen.
fn is_same(one: &Asset, other: &Asset) -> bool {
    one.id == other.id || one.mac.is_some() && one.mac == other.mac
}
