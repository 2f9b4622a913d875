//! Findings to incidents: one attack, one incident; two attacks, two.
//!
//! Findings belong together when they share who acts: a device of ours that was taken over or acts, somebody outside
//! who attacks or commands, or a victim under floods at one time. Sharing a target alone joins nothing: a server on the
//! internet is everybody's target. Evidence that proves nothing by itself waits until a story has room for it. What
//! many strangers do in vain to one target is folded into one row when it is shown (see `fold`).
//!
//! Guarantees: bounded, and where there is no room for all, the least goes: by severity, by proof, by age (`room`); why
//! findings were joined is kept; ids stay while an incident grows, and an incident that
//! swallows another names it.

mod advice;
mod fold;
mod identity;
mod room;
mod story;

use crate::{
    bounded::Bounded,
    findings::{Findings, Handle},
    hosts::Hosts,
    verdict::Verdicts,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::{Exception, Finding, Incident, IncidentId, Party, Proof, Role, Severity, Tactic, Timestamp};
use std::{collections::BTreeMap, net::IpAddr};

/// A story to which nothing was added for this long is over.
const OVER_MICROS: i64 = identity::DAY_MICROS;
/// Stories that are over are let go after as long again.
const GONE_MICROS: i64 = 2 * OVER_MICROS;
/// How often evidence that joined no story is looked through.
const SWEEP_MICROS: i64 = 600_000_000;
/// Stories that begin within this of each other begin at once: copies of packets come in any order.
const AT_ONCE_MICROS: i64 = 1_000_000;
const MAX_WAITING: usize = 4_096;
const MAX_REASONS: usize = 24;
/// What happens on a device so soon after a command was hidden in a request to it is the command's effect.
const EFFECT_MICROS: i64 = 900_000_000;

/// What findings of one story share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Link {
    /// One of ours that acts or was taken over.
    Device(IpAddr),
    /// Somebody outside who attacks or commands.
    Actor(IpAddr),
    /// Who is flooded.
    Victim(IpAddr),
    /// Whom addresses of bad name sent something.
    Knocked(IpAddr),
    /// Whom ours call again and again in vain: that makes nobody a bot, nor one a story with a bot.
    Called(IpAddr),
}

/// Findings that tell one story.
struct Case {
    id: IncidentId,
    findings: Vec<Handle>,
    links: Vec<Link>,
    joined: Vec<String>,
    first: Timestamp,
    last: Timestamp,
    weight: room::Weight,
    dirty: bool,
    supersedes: Vec<IncidentId>,
}

/// Joins findings into incidents.
pub(crate) struct Correlator {
    sources: Vec<String>,
    exceptions: Vec<Exception>,
    excepted: u64,
    cases: BTreeMap<u32, Case>,
    next: u32,
    links: HashMap<Link, u32, FixedState>,
    of_finding: HashMap<Handle, u32, FixedState>,
    waiting: HashMap<IpAddr, Vec<Handle>, FixedState>,
    waiting_count: usize,
    /// Where somebody hid a command in a request: what follows there is its effect.
    injected: Bounded<IpAddr, (u32, Timestamp)>,
    swept: Timestamp,
    /// What was told of each incident, to tell what changed.
    told: HashMap<IncidentId, u64, FixedState>,
    /// Rows that were told, each with the stories in it.
    rows: HashMap<IncidentId, Vec<u32>, FixedState>,
    /// Findings that were let go for lack of room.
    shed: u64,
    /// What stories that are over say of flows, where that will be asked.
    past: Option<Verdicts>,
}

impl Correlator {
    pub(crate) fn new(sources: Vec<String>, exceptions: Vec<Exception>) -> Self {
        Self {
            sources,
            exceptions,
            excepted: 0,
            cases: BTreeMap::new(),
            next: 0,
            links: HashMap::default(),
            of_finding: HashMap::default(),
            waiting: HashMap::default(),
            waiting_count: 0,
            injected: Bounded::new(1 << 12),
            swept: Timestamp::default(),
            told: HashMap::default(),
            rows: HashMap::default(),
            shed: 0,
            past: None,
        }
    }

    pub(crate) fn set_exceptions(&mut self, exceptions: Vec<Exception>) {
        self.exceptions = exceptions;
    }

    pub(crate) const fn excepted(&self) -> u64 {
        self.excepted
    }

    pub(crate) const fn shed(&self) -> u64 {
        self.shed
    }

    /// Takes in what was stated and changed since the last call.
    pub(crate) fn take_in(&mut self, findings: &mut Findings, hosts: &Hosts) {
        for handle in findings.take_fresh() {
            let Some(finding) = findings.get(handle) else { continue };
            if self.is_excepted(finding) {
                self.excepted += 1;
                continue;
            }
            // A crowd is nobody's story.
            let apart = findings.crowd(handle).is_none();
            let links = if apart { links(finding, hosts) } else { Vec::new() };
            if finding.supporting {
                self.support(handle, finding, findings, hosts);
            } else {
                self.place(handle, finding, &links, findings, hosts);
            }
        }
        for handle in findings.take_changed() {
            let Some(finding) = findings.get(handle) else { continue };
            match self.of_finding.get(&handle).copied() {
                Some(number) => {
                    // It may have found more parties since; what is weak stays where it is.
                    let stays = is_weak(finding) || findings.crowd(handle).is_some();
                    let links = if stays { Vec::new() } else { links(finding, hosts) };
                    self.attach(number, handle, finding, &links, findings, hosts);
                }
                // What was mere evidence can have grown to a story of its own.
                None if !finding.supporting && !self.is_excepted(finding) => {
                    let links = links(finding, hosts);
                    self.place(handle, finding, &links, findings, hosts);
                }
                None => {}
            }
        }
        self.make_room(findings);
    }

    /// Whether a person said that this is no attack. Such a finding stays open and unplaced.
    fn is_excepted(&self, finding: &Finding) -> bool {
        let names = |address: IpAddr| finding.parties.iter().any(|party| party.address == address);
        self.exceptions.iter().any(|exception| {
            exception.detector == finding.detector
                && finding.first < exception.until
                && names(exception.address)
                && exception.peer.is_none_or(names)
        })
    }

    /// Puts a finding that can stand alone into its story.
    fn place(
        &mut self,
        handle: Handle,
        finding: &Finding,
        links: &[Link],
        findings: &Findings,
        hosts: &Hosts,
    ) {
        let open = |link: &Link| {
            let number = *self.links.get(link)?;
            let case = self.cases.get(&number)?;
            (finding.first.micros_since(case.last) <= OVER_MICROS).then_some(number)
        };
        // What is weak by itself is part of the story of a device that has one, and brings nobody else into it.
        if is_weak(finding) {
            let devices = finding.parties.iter().filter(|party| party.home);
            let known = devices.map(|party| Link::Device(party.address)).find(|link| open(link).is_some());
            if let Some((link, number)) = known.and_then(|link| Some((link, open(&link)?))) {
                return self.attach(number, handle, finding, &[link], findings, hosts);
            }
        }
        let number = links.iter().find_map(open).unwrap_or_else(|| self.open(finding));
        self.attach(number, handle, finding, links, findings, hosts);
    }

    fn open(&mut self, finding: &Finding) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let mut id = identity::of_story(finding);
        if self.cases.values().any(|case| case.id == id) {
            id = identity::of_story_beside(finding);
        }
        let case = Case {
            id,
            findings: Vec::new(),
            links: Vec::new(),
            joined: Vec::new(),
            first: finding.first,
            last: finding.last,
            weight: room::weight(finding),
            dirty: true,
            supersedes: Vec::new(),
        };
        self.cases.insert(number, case);
        number
    }

    /// Adds a finding, with all that its links bring along.
    fn attach(
        &mut self,
        number: u32,
        handle: Handle,
        finding: &Finding,
        links: &[Link],
        findings: &Findings,
        hosts: &Hosts,
    ) {
        let mut number = number;
        for &link in links {
            let other = self.links.get(&link).copied().filter(|other| *other != number);
            if let Some(other) = other {
                let recent = self
                    .cases
                    .get(&other)
                    .is_some_and(|case| finding.first.micros_since(case.last) <= OVER_MICROS);
                if recent {
                    number = self.merge(number, other, link);
                }
            }
            if let Link::Device(device) = link
                && let Some(&(cause, at)) = self.injected.get(&device)
                && cause != number
                && self.cases.contains_key(&cause)
                && (0..=EFFECT_MICROS).contains(&finding.first.micros_since(at))
            {
                number = self.merge(number, cause, link);
            }
            self.links.insert(link, number);
            if let Some(case) = self.cases.get_mut(&number)
                && !case.links.contains(&link)
            {
                case.links.push(link);
            }
        }
        let Some(case) = self.cases.get_mut(&number) else { return };
        case.first = case.first.min(finding.first);
        case.last = case.last.max(finding.last);
        case.weight = case.weight.max(room::weight(finding));
        case.dirty = true;
        if self.of_finding.insert(handle, number) != Some(number) {
            if let (false, Some(shared)) = (case.findings.is_empty(), links.first())
                && case.joined.len() < MAX_REASONS
            {
                case.joined.push(format!("{}: {}", finding.detector, because(*shared)));
            }
            case.findings.push(handle);
        }
        if finding.detector == "code-delivery" && finding.stage == Tactic::InitialAccess {
            for party in finding.parties.iter().filter(|party| party.role == Role::Target) {
                *self.injected.entry(party.address, || (number, finding.first)) = (number, finding.last);
            }
        }
        for link in links {
            if let Link::Device(device) = link {
                for evidence in self.waiting.remove(device).unwrap_or_default() {
                    self.waiting_count = self.waiting_count.saturating_sub(1);
                    if let Some(finding) = findings.get(evidence) {
                        self.support(evidence, finding, findings, hosts);
                    }
                }
            }
        }
    }

    /// Evidence joins the story of the device that it speaks of, or waits for one.
    fn support(&mut self, handle: Handle, finding: &Finding, findings: &Findings, hosts: &Hosts) {
        let regular = matches!(finding.detector, "beacon" | "keep-alive");
        if regular && !finding.parties.iter().any(|party| party.role == Role::Controller) {
            return;
        }
        for party in finding.parties.iter().filter(|party| party.home) {
            let device = Link::Device(party.address);
            let case = self.links.get(&device).copied().filter(|number| {
                self.cases
                    .get(number)
                    .is_some_and(|case| finding.first.micros_since(case.last) <= OVER_MICROS)
            });
            if let Some(number) = case {
                self.attach(number, handle, finding, &[device], findings, hosts);
                return;
            }
        }
        if let Some(party) = finding.parties.iter().find(|party| party.home)
            && self.waiting_count < MAX_WAITING
        {
            self.waiting_count += 1;
            self.waiting.entry(party.address).or_default().push(handle);
        }
    }

    /// Two stories turn out to be one; the earlier keeps its name, or the lesser name where both began at once.
    fn merge(&mut self, a: u32, b: u32, link: Link) -> u32 {
        let earlier = |a: &Case, b: &Case| {
            let apart = a.first.micros_since(b.first);
            if apart.abs() <= AT_ONCE_MICROS { a.id <= b.id } else { apart < 0 }
        };
        let stays = match (self.cases.get(&a), self.cases.get(&b)) {
            (Some(a), Some(b)) => earlier(a, b),
            (first, _) => first.is_some(),
        };
        let (keep, gone) = if stays { (a, b) } else { (b, a) };
        let Some(mut absorbed) = self.cases.remove(&gone) else { return keep };
        for link in &absorbed.links {
            self.links.insert(*link, keep);
        }
        for handle in &absorbed.findings {
            self.of_finding.insert(*handle, keep);
        }
        if let Some(case) = self.cases.get_mut(&keep) {
            case.findings.append(&mut absorbed.findings);
            let new: Vec<Link> = absorbed.links.drain(..).filter(|link| !case.links.contains(link)).collect();
            case.links.extend(new);
            case.joined.append(&mut absorbed.joined);
            case.joined.push(format!("two stories became one: {}", because(link)));
            case.joined.truncate(MAX_REASONS);
            case.first = case.first.min(absorbed.first);
            case.last = case.last.max(absorbed.last);
            case.weight = case.weight.max(absorbed.weight);
            case.supersedes.push(absorbed.id);
            case.supersedes.append(&mut absorbed.supersedes);
            case.dirty = true;
        }
        keep
    }

    fn drop_case(&mut self, number: u32) -> Vec<Handle> {
        let Some(case) = self.cases.remove(&number) else { return Vec::new() };
        for link in &case.links {
            if self.links.get(link) == Some(&number) {
                self.links.remove(link);
            }
        }
        for handle in &case.findings {
            self.of_finding.remove(handle);
        }
        case.findings
    }

    /// Lets go of stories that have long been over and were told, and of evidence that no story came for. What many did
    /// in vain is over as a whole.
    pub(crate) fn retire(&mut self, now: Timestamp, findings: &mut Findings, hosts: &Hosts) {
        if (0..=SWEEP_MICROS).contains(&now.micros_since(self.swept)) {
            return;
        }
        self.swept = now;
        if self.cases.values().any(|case| !case.dirty && now.micros_since(case.last) > GONE_MICROS) {
            for view in fold::views(&self.cases, findings, hosts) {
                if view.dirty || now.micros_since(view.last) <= GONE_MICROS {
                    continue;
                }
                if let Some(past) = &mut self.past {
                    let incident = story::tell(&view, findings, hosts, &self.sources);
                    let told = Some((incident.severity, incident.id));
                    view.findings.iter().filter_map(|&handle| findings.get(handle)).for_each(|finding| {
                        past.speak(finding, told.as_ref());
                    });
                }
                for number in view.cases {
                    self.drop_case(number).into_iter().for_each(|handle| findings.forget(handle));
                }
            }
        }
        let stale: Vec<Handle> = findings
            .iter()
            .filter(|(handle, finding)| {
                !self.of_finding.contains_key(handle) && now.micros_since(finding.last) > GONE_MICROS
            })
            .map(|(handle, _)| handle)
            .collect();
        for handle in stale {
            if let (Some(past), Some(finding)) = (&mut self.past, findings.get(handle)) {
                past.speak(finding, None);
            }
            findings.forget(handle);
        }
        self.waiting.retain(|_, handles| {
            handles.retain(|&handle| findings.is_open(handle));
            !handles.is_empty()
        });
        self.waiting_count = self.waiting.values().map(Vec::len).sum();
    }

    /// Incidents that are new or changed noticeably since the last call, worst first.
    pub(crate) fn take_changed(&mut self, findings: &Findings, hosts: &Hosts) -> Vec<Incident> {
        if !self.cases.values().any(|case| case.dirty) {
            return Vec::new();
        }
        let mut changed = Vec::new();
        let mut views = fold::views(&self.cases, findings, hosts);
        self.follow_rows(&mut views);
        for view in views {
            if !view.dirty {
                continue;
            }
            let incident = story::tell(&view, findings, hosts, &self.sources);
            let print = fold::fingerprint(&incident);
            if self.told.insert(incident.id.clone(), print) != Some(print) {
                changed.push(incident);
            }
        }
        self.cases.values_mut().for_each(|case| case.dirty = false);
        if self.told.len() > 4 * room::MAX_CASES {
            self.told.clear();
        }
        worst_first(&mut changed);
        changed
    }

    /// A row that is no more is superseded by what tells the first of its stories, and each of them is told anew.
    fn follow_rows(&mut self, views: &mut [fold::View]) {
        let rows: HashMap<IncidentId, Vec<u32>, FixedState> = views
            .iter()
            .filter(|view| view.cases.len() > 1)
            .map(|view| (view.id.clone(), view.cases.clone()))
            .collect();
        for (id, numbers) in std::mem::replace(&mut self.rows, rows) {
            if self.rows.contains_key(&id) {
                continue;
            }
            let mut heir = Some(id);
            let holds = |view: &fold::View| view.cases.iter().any(|case| numbers.binary_search(case).is_ok());
            for view in views.iter_mut().filter(|view| holds(view)) {
                view.supersedes.extend(heir.take());
                view.dirty = true;
            }
        }
    }

    /// All incidents, worst first.
    pub(crate) fn incidents(&self, findings: &Findings, hosts: &Hosts) -> Vec<Incident> {
        let views = fold::views(&self.cases, findings, hosts);
        let mut all: Vec<Incident> =
            views.iter().map(|view| story::tell(view, findings, hosts, &self.sources)).collect();
        worst_first(&mut all);
        all
    }

    /// What is let go is remembered for the verdicts on flows.
    pub(crate) fn remember(&mut self) {
        self.past = Some(Verdicts::default());
    }

    /// What each flow comes to; what was remembered is given away.
    pub(crate) fn verdicts(&mut self, findings: &Findings, hosts: &Hosts) -> Verdicts {
        let mut verdicts = self.past.take().unwrap_or_default();
        let mut told = HashMap::<Handle, (Severity, IncidentId), FixedState>::default();
        for view in fold::views(&self.cases, findings, hosts) {
            let incident = story::tell(&view, findings, hosts, &self.sources);
            for &handle in &view.findings {
                told.insert(handle, (incident.severity, incident.id.clone()));
            }
        }
        for (handle, finding) in findings.iter() {
            verdicts.speak(finding, told.get(&handle));
        }
        verdicts
    }
}

/// Orders incidents as a person would read them.
pub fn worst_first(incidents: &mut [Incident]) {
    incidents.sort_by(|a, b| {
        (b.severity, b.confidence, a.first, &a.id).cmp(&(a.severity, a.confidence, b.first, &b.id))
    });
}

/// Whether a party may be named as one who acts: not for packets that anybody could have sent. A stranger whose probes
/// were seen to be answered wanted the answers, and one of ours that is answered all the time is there; where no hardware
/// address says otherwise they are named, though never acted against on that alone.
fn is_named(party: &Party, finding: &Finding, hosts: &Hosts) -> bool {
    if !matches!(party.role, Role::Infected | Role::Attacker) {
        return true;
    }
    let answered = |other: &Party| {
        other.address != party.address && {
            let pair = hosts.pair(party.address, other.address);
            pair.answered || pair.refused
        }
    };
    let uncontradicted = !party.home || party.mac.is_none();
    let probing = finding.stage == Tactic::Reconnaissance && finding.parties.iter().any(answered);
    proof(party, hosts) != Proof::None || (uncontradicted && (probing || hosts.lives(party.address)))
}

/// How sure the party's address is by now.
fn proof(party: &Party, hosts: &Hosts) -> Proof {
    party.proof.max(hosts.proof(party.address, party.mac))
}

/// What a finding shares with others of its story.
fn links(finding: &Finding, hosts: &Hosts) -> Vec<Link> {
    let mut links = Vec::new();
    if finding.detector == "foreign-reputation" {
        // Bad names alone make one story a target, however many bear them.
        let target = finding.parties.iter().find(|party| party.role == Role::Target);
        return target.map(|target| Link::Knocked(target.address)).into_iter().collect();
    }
    if is_weak(finding) && finding.stage == Tactic::CommandAndControl {
        let called = finding.parties.iter().find(|party| party.role == Role::Controller);
        return called.map(|called| Link::Called(called.address)).into_iter().collect();
    }
    for party in &finding.parties {
        let link = match (party.role, party.home) {
            (Role::Infected | Role::Attacker, _) if !is_named(party, finding, hosts) => None,
            (Role::Infected | Role::Attacker, true) => Some(Link::Device(party.address)),
            (Role::Infected | Role::Attacker | Role::Controller, _) => Some(Link::Actor(party.address)),
            (Role::Victim, _) if finding.stage == Tactic::Impact => Some(Link::Victim(party.address)),
            // What was fetched onto a device belongs to whatever happened to the device.
            (Role::Target, true)
                if finding.detector == "code-delivery" && finding.stage == Tactic::Execution =>
            {
                Some(Link::Device(party.address))
            }
            _ => None,
        };
        links.extend(link.filter(|link| !links.contains(link)));
    }
    links
}

/// Whether a finding is too weak to say of anybody that it acts, or to act on.
fn is_weak(finding: &Finding) -> bool {
    finding.supporting || finding.severity <= Severity::Low
}

fn because(link: Link) -> String {
    match link {
        Link::Device(address) => format!("the same device acts, {address}"),
        Link::Actor(address) => format!("the same attacker or controller, {address}"),
        Link::Victim(address) => format!("the same victim at the same time, {address}"),
        Link::Called(address) => format!("the same address is called in vain, {address}"),
        Link::Knocked(address) => format!("addresses of bad name that sent something to {address}"),
    }
}
