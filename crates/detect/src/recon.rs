//! Reconnaissance: somebody looks for what can be attacked.
//!
//! Horizontal: one source, one service, many new destinations, mostly fruitless. Vertical: one pair, many ports, mostly
//! closed or silent. A contact is fruitful once it was answered and payload went from the source; a connection that is
//! opened and dropped is not, to one who looks across hosts; along the ports of one host it found an open one. Where
//! answers would not be seen, nothing is said.
//!
//! None: multicast, name and time services (pools and recursion touch many servers by design), peers that answered
//! before, a forwarder's ARP.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, MAX_PARTIES, scope},
    measure::{Distinct, digest},
};
use model::{
    Arp, ArpOperation, FlowUpdate, Mac, Outcome, Proof, Protocol, Role, Severity, Tactic, Technique,
    Timestamp, Visibility,
};
use std::net::IpAddr;

const FAST_MICROS: i64 = 60_000_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// Destinations (or ports) that make a scan: in a minute, in a day.
const HORIZONTAL_OUTWARD: (u64, u64) = (15, 40);
const HORIZONTAL_WITHIN: (u64, u64) = (10, 20);
const HORIZONTAL_INWARD: (u64, u64) = (8, 16);
const VERTICAL: (u64, u64) = (15, 40);
const ARP_SWEEP: u64 = 24;
/// Mean payload of a datagram that probes; what is larger says something, once it is said more often than questions are
/// asked again.
const PROBE_SIZE: u64 = 128;
const PROBE_TRIES: u64 = 3;
/// Contacts within a day of somebody who traces the way to a host, at most, and how many there are for each that is told to
/// have been lost on it.
const TRACED: u64 = 128;
const LOST: u64 = 10;
/// How many more servers of a directory service a client may touch.
const DIRECTORY: u64 = 10;
/// A burst that nobody answered for this long need not wait for each answer's time to run out.
const BURST_PATIENCE: f64 = 0.3;
/// A poll asks for several services at once: what answers shows within this time.
const POLL_PATIENCE: f64 = 1.0;
/// Who answered so long before is known to whoever asks now.
const ACQUAINTED: f64 = 60.0;

/// Contacts of one kind within one window.
#[derive(Default)]
struct Window {
    start: Option<Timestamp>,
    touched: Distinct,
    fruitful: Distinct,
    failed: Distinct,
    /// Never got there.
    expired: Distinct,
    flows: u64,
    /// The first of those touched.
    sample: Vec<IpAddr>,
}

/// How many of those touched are looked at to tell an inventory poll.
const SAMPLE: usize = 16;

impl Window {
    fn roll(&mut self, at: Timestamp, span: i64) {
        if self.start.is_none_or(|start| at.micros_since(start) > span) {
            *self = Self { start: Some(at), ..Self::default() };
        }
    }

    /// Who polls the devices that it knows finds some of their ports closed: most of them answer it elsewhere.
    fn is_poll(&self, src: IpAddr, hosts: &crate::hosts::Hosts) -> bool {
        let begun = self.start.unwrap_or_default();
        let acquainted = |host: IpAddr| {
            let pair = hosts.pair(src, host);
            pair.fruitful || pair.since.is_some_and(|since| begun.seconds_since(since) >= ACQUAINTED)
        };
        let known = self.sample.iter().filter(|&&host| hosts.is_home(host) && acquainted(host)).count();
        known * 2 >= self.sample.len().max(1)
    }

    /// Whether answers had the time to come.
    fn is_ripe(&self, at: Timestamp, seconds: f64) -> bool {
        self.start.is_some_and(|start| at.seconds_since(start) >= seconds)
    }

    /// Enough contacts, mostly fruitless, and known to be so.
    fn is_scan(&self, at: Timestamp, enough: u64) -> bool {
        let (touched, fruitful, failed) = (self.touched.count(), self.fruitful.count(), self.failed.count());
        let age = self.start.map_or(0.0, |start| at.seconds_since(start));
        let mostly_fruitless = fruitful * 4 <= touched;
        let burst = fruitful * 8 <= touched && age >= BURST_PATIENCE && touched >= enough + enough / 2;
        let known = failed * 2 >= touched || burst;
        touched >= enough && mostly_fruitless && known
    }
}

#[derive(Default)]
struct Scan {
    fast: Window,
    day: Window,
    finding: Option<Handle>,
    stated_at: Timestamp,
    /// Whoever looks was met: one of its connections was completed.
    met: bool,
}

impl Scan {
    /// Somebody looks where the way to a host ends, and meets those on it.
    fn traces(&self) -> bool {
        let touched = self.day.touched.count();
        touched <= TRACED && self.day.expired.count() * LOST >= touched
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    /// Source, protocol, port.
    Across(IpAddr, Protocol, u16),
    /// Source, destination, protocol.
    Along(IpAddr, IpAddr, Protocol),
}

struct Sweep {
    start: Timestamp,
    asked: Distinct,
    answered: u64,
    sender: IpAddr,
    finding: Option<Handle>,
}

/// Detects reconnaissance.
pub(crate) struct Recon {
    ours: Bounded<Subject, Scan>,
    others: Bounded<Subject, Scan>,
    sweeps: Bounded<Mac, Sweep>,
    /// To whom answers by ARP were seen to go: two of them show that answers to others pass here.
    answered: Distinct,
}

/// What a flow's update says about its contact.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contact {
    Made,
    Fruitful,
    Failed,
    Expired,
}

impl Recon {
    pub(crate) fn new() -> Self {
        Self {
            ours: Bounded::new(1 << 15),
            others: Bounded::new(1 << 15),
            sweeps: Bounded::new(1 << 12),
            answered: Distinct::default(),
        }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.ours.forgotten() + self.others.forgotten() + self.sweeps.forgotten()
    }

    pub(crate) fn flow(&mut self, flow: &FlowUpdate, flooding: bool, context: &mut Context<'_>) {
        let key = &flow.key;
        if flooding || !is_probe(flow) || key.dst.is_multicast() || is_broadcast(key.dst) {
            return;
        }
        if flow.visibility == Visibility::OneWay || flow.outcome == Outcome::Unknown {
            return;
        }
        let neighbours = context.hosts.is_home(key.src) && context.hosts.is_home(key.dst);
        if !is_chatter(flow, context.hosts) {
            let subject = Subject::Across(key.src, key.protocol, key.dst_port);
            // Among neighbours a completed connection is a check that found what it looked for.
            for contact in contacts(flow, neighbours).into_iter().flatten() {
                self.contact(subject, contact, flow, context);
            }
        }
        // Who knocks at port after port does not yet know what to say there.
        if !key.protocol.is_icmp() && is_small(flow) {
            let subject = Subject::Along(key.src, key.dst, key.protocol);
            for contact in contacts(flow, true).into_iter().flatten() {
                self.contact(subject, contact, flow, context);
            }
        }
    }

    fn contact(&mut self, subject: Subject, contact: Contact, flow: &FlowUpdate, context: &mut Context<'_>) {
        let key = &flow.key;
        let inside = context.hosts.is_home(key.src);
        let (thing, enough) = match subject {
            Subject::Across(..) => (
                digest(key.dst),
                match (inside, context.hosts.is_home(key.dst)) {
                    (true, false) => HORIZONTAL_OUTWARD,
                    (true, true) => HORIZONTAL_WITHIN,
                    (false, _) => HORIZONTAL_INWARD,
                },
            ),
            Subject::Along(..) => (digest(key.dst_port), VERTICAL),
        };
        let enough = match subject {
            Subject::Across(_, protocol, port) if is_directory(protocol, port) => {
                (enough.0 * DIRECTORY, enough.1 * DIRECTORY)
            }
            _ => enough,
        };
        // Who answered usefully before is no new destination, and who was looked up by name is none that was looked for.
        let named = inside && !context.hosts.is_home(key.dst) && context.hosts.was_resolved(key.dst);
        let known = matches!(subject, Subject::Across(..))
            && (named || context.hosts.pair(key.src, key.dst).fruitful);
        let table = if inside { &mut self.ours } else { &mut self.others };
        if contact == Contact::Fruitful && table.get(&subject).is_none() {
            return;
        }
        let at = context.at;
        let scan = table.entry(subject, Scan::default);
        scan.met |= key.protocol == Protocol::TCP && flow.outcome == Outcome::Established;
        let mut second = false;
        for (window, span) in [(&mut scan.fast, FAST_MICROS), (&mut scan.day, DAY_MICROS)] {
            // That answers are visible can turn out after a flow began: its failure is its first word then.
            let first_word = contact == Contact::Failed && !window.touched.contains(thing);
            if contact == Contact::Made || first_word {
                window.roll(at, span);
                if !known || window.touched.contains(thing) {
                    let newcomer = window.touched.insert(thing);
                    window.flows += 1;
                    if newcomer && inside && window.sample.len() < SAMPLE {
                        window.sample.push(key.dst);
                    }
                }
            }
            if contact != Contact::Made && window.touched.contains(thing) {
                match contact {
                    Contact::Fruitful => window.fruitful.insert(thing),
                    Contact::Expired => window.expired.insert(thing),
                    Contact::Made | Contact::Failed => window.failed.insert(thing),
                };
            }
            second |= window.touched.count() >= 2;
        }
        if let Some(handle) = scan.finding.filter(|&handle| context.findings.is_open(handle))
            && at.seconds_since(scan.stated_at) <= 86_400.0
        {
            if contact == Contact::Made {
                extend(handle, subject, scan, flow, context);
                scan.stated_at = at;
            }
        } else {
            let neighbours =
                matches!(subject, Subject::Across(..)) && inside && context.hosts.is_home(key.dst);
            let polls = |window: &Window| {
                neighbours && (!window.is_ripe(at, POLL_PATIENCE) || window.is_poll(key.src, context.hosts))
            };
            let fast = scan.fast.is_scan(at, enough.0) && !polls(&scan.fast);
            let slow = scan.day.is_scan(at, enough.1) && !polls(&scan.day);
            if scan.traces() || !(fast || slow) {
                if second {
                    table.promote(&subject);
                }
                return;
            }
            let (window, threshold) = if fast { (&scan.fast, enough.0) } else { (&scan.day, enough.1) };
            let draft = draft(subject, window, fast, threshold, flow, scan.met, context);
            scan.finding = context.state(draft);
            scan.stated_at = at;
        }
        if second {
            table.promote(&subject);
        }
    }

    /// Questions for hardware addresses, of many neighbours that are not there.
    pub(crate) fn arp(&mut self, arp: &Arp, context: &mut Context<'_>) {
        match arp.operation {
            ArpOperation::Reply => {
                if self.answered.count() < 2 && !arp.broadcast {
                    self.answered.insert(digest(arp.target_mac));
                }
                if let Some(sweep) = self.sweeps.get_mut(&arp.target_mac) {
                    sweep.answered += 1;
                }
            }
            ArpOperation::Request if arp.sender != arp.target && !arp.sender.is_unspecified() => {
                if context.hosts.forwards(arp.sender_mac) {
                    return;
                }
                let at = context.at;
                let fresh = || Sweep {
                    start: at,
                    asked: Distinct::default(),
                    answered: 0,
                    sender: arp.sender,
                    finding: None,
                };
                let sweep = self.sweeps.entry(arp.sender_mac, fresh);
                let told = sweep.finding.filter(|&handle| context.findings.is_open(handle));
                if at.micros_since(sweep.start) > FAST_MICROS && told.is_none() {
                    *sweep = fresh();
                }
                sweep.asked.insert(digest(arp.target));
                let asked = sweep.asked.count();
                // On a switch's port questions are heard by all, and answers by who asked.
                let visible = sweep.answered > 0 || self.answered.count() >= 2;
                if let Some(handle) = told {
                    context.findings.extend(handle, at, |finding| finding.value = asked as f64);
                } else if visible && asked >= ARP_SWEEP && sweep.answered * 2 <= asked {
                    let party = context.hosts.party(sweep.sender, Some(arp.sender_mac), Role::Attacker);
                    sweep.finding = context.state(Draft {
                        detector: "arp-sweep",
                        anchor: arp.sender_mac.to_string(),
                        severity: Severity::Medium,
                        confidence: 60,
                        stage: Tactic::Reconnaissance,
                        technique: Technique::new("T1018"),
                        method: "arp".into(),
                        first: sweep.start,
                        last: at,
                        parties: vec![party],
                        why: format!(
                            "{} asked for the hardware addresses of {asked} neighbours within {:.0} s, {} of which answered",
                            sweep.sender,
                            at.seconds_since(sweep.start),
                            sweep.answered
                        ),
                        value: asked as f64,
                        threshold: ARP_SWEEP as f64,
                        record: context.record,
                        scopes: Vec::new(),
                        flows: 0,
                        supporting: false,
                    });
                }
            }
            ArpOperation::Request => {}
        }
    }
}

/// An attempt to begin talking, as opposed to a conversation that was there before.
fn is_probe(flow: &FlowUpdate) -> bool {
    match flow.key.protocol {
        Protocol::TCP => flow.total.syns > 0,
        // From a service's port to a client's is an answer whose question was not seen.
        Protocol::UDP => {
            let answers = flow.key.src_port < 32_768 && flow.key.dst_port >= 32_768;
            !answers && (flow.total.packets_out <= PROBE_TRIES || is_small(flow))
        }
        protocol => protocol.is_icmp(),
    }
}

fn is_small(flow: &FlowUpdate) -> bool {
    flow.key.protocol != Protocol::UDP || flow.total.payload_out <= flow.total.packets_out * PROBE_SIZE
}

/// What neighbours say to each other all day.
fn is_chatter(flow: &FlowUpdate, hosts: &crate::hosts::Hosts) -> bool {
    let local =
        matches!((flow.key.protocol, flow.key.dst_port), (Protocol::UDP, 67 | 68 | 137 | 1900 | 5353 | 5355));
    local && hosts.is_home(flow.key.dst)
}

/// Services whose clients touch many servers by design: names, time, meeting points.
pub(crate) const fn is_directory(protocol: Protocol, port: u16) -> bool {
    matches!((protocol, port), (Protocol::UDP, 53 | 123 | 3478) | (Protocol::TCP, 53))
}

/// All neighbours, or nobody yet.
pub(crate) fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.is_unspecified())
}

/// What this update adds: the contact itself, and what came of it. A connection that was completed can be enough.
fn contacts(flow: &FlowUpdate, completed_will_do: bool) -> [Option<Contact>; 2] {
    let made = flow.phase.opens().then_some(Contact::Made);
    let spoke = flow.outcome == Outcome::Established && flow.total.packets_in > 0;
    let fruitful = match flow.key.protocol {
        // A scanner sends no payload.
        Protocol::TCP => spoke && (flow.total.payload_out > 0 || completed_will_do),
        _ => spoke,
    };
    let came_to_nothing =
        flow.outcome.failed() || flow.outcome == Outcome::HalfOpen || (flow.phase.closes() && !fruitful);
    let result = match flow.outcome {
        Outcome::Expired => Some(Contact::Expired),
        _ if fruitful => Some(Contact::Fruitful),
        _ => came_to_nothing.then_some(Contact::Failed),
    };
    [made, result]
}

fn extend(handle: Handle, subject: Subject, scan: &Scan, flow: &FlowUpdate, context: &mut Context<'_>) {
    let touched = scan.day.touched.count();
    let key = flow.key;
    let target = context.hosts.party(key.dst, None, Role::Target);
    let at = context.at;
    context.findings.extend(handle, at, |finding| {
        finding.value = finding.value.max(touched as f64);
        finding.flows += 1;
        if matches!(subject, Subject::Across(..))
            && target.home
            && !finding.parties.iter().any(|party| party.address == key.dst)
        {
            if finding.parties.len() < MAX_PARTIES {
                finding.parties.push(target);
            } else {
                finding.parties_omitted += 1;
            }
        }
    });
}

fn draft(
    subject: Subject,
    window: &Window,
    fast: bool,
    threshold: u64,
    flow: &FlowUpdate,
    met: bool,
    context: &Context<'_>,
) -> Draft {
    let key = &flow.key;
    let hosts = context.hosts;
    let (inside, sideways) = (hosts.is_home(key.src), hosts.is_home(key.dst));
    let touched = window.touched.count();
    let first = window.start.unwrap_or(context.at);
    // One of ours that probes the world does it for somebody else.
    let role = if inside && !sideways { Role::Infected } else { Role::Attacker };
    let mut prober = hosts.party(key.src, flow.src_mac, role);
    if met {
        prober.proof = prober.proof.max(Proof::Handshake);
    }
    let mut parties = vec![prober];
    if !inside || sideways {
        parties.push(hosts.party(key.dst, None, Role::Target));
    }
    let span = if fast { "within a minute" } else { "within a day" };
    let fruitless = touched - window.fruitful.count().min(touched);
    let (detector, technique, anchor, why, scope) = match subject {
        Subject::Across(src, protocol, port) => (
            if fast { "scan-horizontal" } else { "scan-horizontal-slow" },
            if key.protocol.is_icmp() { "T1018" } else { "T1046" },
            format!("{src} {protocol} {port}"),
            format!(
                "{src} tried {touched} hosts on {} {span}; {fruitless} of the attempts came to nothing",
                service(protocol, port)
            ),
            scope(Some(src), None, Some(port), Some(protocol), first, context.at),
        ),
        Subject::Along(src, dst, protocol) => (
            if fast { "scan-vertical" } else { "scan-vertical-slow" },
            "T1046",
            format!("{src} {dst} {protocol}"),
            format!(
                "{src} tried {touched} {protocol} ports of {dst} {span}; {fruitless} were closed or silent"
            ),
            scope(Some(src), Some(dst), None, Some(protocol), first, context.at),
        ),
    };
    let severity = if inside && !sideways { Severity::High } else { Severity::Medium };
    Draft {
        detector,
        anchor,
        severity,
        confidence: if fast { 80 } else { 70 },
        stage: Tactic::Reconnaissance,
        technique: Technique::new(technique),
        method: format!(
            "scan {}",
            match subject {
                Subject::Across(_, protocol, port) => service(protocol, port),
                Subject::Along(_, _, protocol) => protocol.to_string(),
            }
        ),
        first,
        last: context.at,
        parties,
        why,
        value: touched as f64,
        threshold: threshold as f64,
        record: context.record,
        scopes: vec![scope],
        flows: window.flows,
        supporting: false,
    }
}

fn service(protocol: Protocol, port: u16) -> String {
    if protocol.is_icmp() { "ICMP".into() } else { format!("{port}/{protocol}") }
}
