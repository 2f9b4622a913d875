//! One of ours is flooded.
//!
//! The victim is certain; the sources are not. They are listed only where a handshake with them was completed, which a
//! flood of forged packets never does. Clients of ours that come back all at once after an outage are no flood, as long
//! as each of them tries no more than a client does.

use super::{Method, Sent, network, sent};
use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, scope},
    measure::{Distinct, Rate, digest},
    sentence::Sentence,
};
use model::{FlowUpdate, Outcome, Protocol, Role, Severity, Tactic, Technique, Timestamp, Visibility};
use std::net::IpAddr;

const QUIET_MICROS: i64 = 60_000_000;
/// What is counted before a flood is told, so that the clients of an hour ago are not counted among its sources.
const WINDOW_MICROS: i64 = 30_000_000;
/// Opening packets in one second and in ten.
const SYN_BAR: (u64, u64) = (100, 500);
/// Other unasked-for packets in one second and in ten.
const OTHER_BAR: (u64, u64) = (1_000, 4_000);
/// Few sources can be a few clients in trouble: the bar is higher.
const FEW_SOURCES: u64 = 20;
const FEW: u64 = 4;
const ONE_WAY: u64 = 3;
/// What a client that is known here tries within ten seconds when its server is away: a page's connections, each of
/// them several times.
const CLIENT_TRIES: u64 = 50;
const NEIGHBOURS: u64 = 10;
const MANY_NEIGHBOURS: u64 = 500;
/// Hosts of one network, and packets to each on average, that tell a carpet from a scan.
const CARPET_HOSTS: u64 = 8;
const CARPET_PACKETS: u64 = 20;
const CARPET_LISTED: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Service {
    /// A host of ours, or a network of which each host gets a little.
    dst: IpAddr,
    carpet: bool,
    method: Method,
}

struct Flood {
    rate: Rate,
    /// Of sources that talked with the victim before, and how many those are.
    known: Rate,
    clients: Distinct,
    /// Of a carpet the first hosts, and how many there are.
    victims: Vec<IpAddr>,
    hosts: Distinct,
    sources: Distinct,
    ports: Distinct,
    port: u16,
    protocol: Protocol,
    first: Timestamp,
    last: Timestamp,
    packets: u64,
    flows: u64,
    completed: u64,
    peak: u64,
    from_home: bool,
    finding: Option<Handle>,
}

pub(super) struct Incoming {
    services: Bounded<Service, Flood>,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self { services: Bounded::new(1 << 13) }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.services.forgotten()
    }

    pub(super) fn is_flooding(&self, flow: &FlowUpdate) -> bool {
        let Some(Sent { method, dst, .. }) = sent(flow) else { return false };
        services(dst, method).iter().any(|service| {
            self.services.get(service).is_some_and(|flood| {
                flood.finding.is_some()
                    && flow.last.micros_since(flood.last) < QUIET_MICROS
                    && (flood.port == flow.key.dst_port || flood.ports.count() > 8)
            })
        })
    }

    pub(super) fn flow(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let completed = flow.key.protocol == Protocol::TCP
            && flow.outcome == Outcome::Established
            && flow.phase == model::Phase::Changed
            && flow.delta.packets_in > 0;
        for service in services(flow.key.dst, Method::Syn).iter().filter(|_| completed) {
            if let Some(flood) = self.services.get_mut(service) {
                flood.completed += 1;
            }
        }
        let Some(Sent { method, packets, src, dst }) = sent(flow).filter(|sent| sent.packets > 0) else {
            return;
        };
        let hosts = context.hosts;
        // What one of ours does to others is told by its own name; nobody here is hurt by what goes elsewhere.
        if hosts.is_home(src) && (!hosts.is_home(dst) || hosts.pair(src, dst).answered) {
            return;
        }
        // What the victim asked for itself, and a stream from somebody who talks with it, is no flood.
        let known = hosts.pair(src, dst).fruitful;
        let streams = matches!(method, Method::Udp | Method::Gre | Method::Other);
        if hosts.pair(dst, src).asked || (known && streams) {
            return;
        }
        for service in services(dst, method) {
            // Who is told to be flooded is no part of a carpet.
            if (service.carpet && hosts.is_home(src))
                || self.count(service, flow, (src, dst), packets, known, context)
            {
                return;
            }
        }
    }

    /// Counts packets from one to the other. Whether they belong to a flood that is told.
    fn count(
        &mut self,
        service: Service,
        flow: &FlowUpdate,
        (src, dst): (IpAddr, IpAddr),
        packets: u64,
        known: bool,
        context: &mut Context<'_>,
    ) -> bool {
        let port = if dst == flow.key.src { flow.key.src_port } else { flow.key.dst_port };
        let fresh = || Flood::new(flow, port, context.hosts.is_home(src));
        let flood = self.services.entry(service, fresh);
        let told = flood.finding.is_some();
        if flow.last.micros_since(if told { flood.last } else { flood.first })
            > if told { QUIET_MICROS } else { WINDOW_MICROS }
        {
            *flood = fresh();
        }
        flood.add(flow, packets, known.then_some(src));
        flood.sources.insert(digest(src));
        flood.ports.insert(digest(port));
        if service.carpet && flood.hosts.insert(digest(dst)) && flood.victims.len() < CARPET_LISTED {
            flood.victims.push(dst);
        }
        if let Some(handle) = flood.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (last, peak, flows) = (flood.last, flood.peak, flood.flows);
            let ports = flood.ports.count();
            context.findings.extend(handle, last, |finding| {
                finding.value = finding.value.max(peak as f64);
                finding.flows = flows;
                if ports > 1 {
                    finding.scopes.iter_mut().for_each(|scope| scope.port = None);
                }
            });
            context.findings.say(handle, flood.sentence(service));
            return true;
        }
        let Some(threshold) = flood.threshold(service, flow) else { return false };
        flood.finding = context.state(flood.draft(service, src, threshold, context));
        self.services.promote(&service);
        true
    }
}

/// What is counted for packets to a host: its own flood, and its network's.
fn services(dst: IpAddr, method: Method) -> [Service; 2] {
    [Service { dst, carpet: false, method }, Service { dst: network(dst), carpet: true, method }]
}

impl Flood {
    /// The most in one second, and all in ten, of those of whom it is too much.
    fn rate(&self) -> (u64, u64) {
        let mut rate = (self.rate.peak(), self.rate.sum());
        if self.known.sum() > CLIENT_TRIES * self.clients.count() {
            rate = (rate.0 + self.known.peak(), rate.1 + self.known.sum());
        }
        rate
    }

    fn new(flow: &FlowUpdate, port: u16, from_home: bool) -> Self {
        Self {
            rate: Rate::default(),
            known: Rate::default(),
            clients: Distinct::default(),
            victims: Vec::new(),
            hosts: Distinct::default(),
            sources: Distinct::default(),
            ports: Distinct::default(),
            port,
            protocol: flow.key.protocol,
            first: flow.first,
            last: flow.last,
            packets: 0,
            flows: 0,
            completed: 0,
            peak: 0,
            from_home,
            finding: None,
        }
    }

    fn add(&mut self, flow: &FlowUpdate, packets: u64, client: Option<IpAddr>) {
        self.last = self.last.max(flow.last);
        match client {
            Some(client) => {
                self.known.add(flow.last, packets);
                self.clients.insert(digest(client));
            }
            None => self.rate.add(flow.last, packets),
        }
        self.peak = self.peak.max(self.rate().0);
        self.packets += packets;
        self.flows += u64::from(flow.phase.opens());
    }

    fn threshold(&self, service: Service, flow: &FlowUpdate) -> Option<u64> {
        let (mut second, mut ten) = if service.method == Method::Syn { SYN_BAR } else { OTHER_BAR };
        let sources = self.sources.count();
        // Neighbours that say much at once are not strangers; so many of them that nobody has are.
        if self.from_home && sources < MANY_NEIGHBOURS {
            second *= NEIGHBOURS;
            ten *= NEIGHBOURS;
        }
        if sources < FEW_SOURCES {
            second *= FEW;
            ten *= FEW;
        }
        if flow.visibility == Visibility::OneWay && service.method != Method::Syn {
            second *= ONE_WAY;
            ten *= ONE_WAY;
        }
        let (peak, sum) = self.rate();
        let exceeded = peak >= second || sum >= ten;
        let hopeless = self.completed * 10 <= self.flows.max(1);
        // Many ports with a packet or two each are a scan.
        let repeats = self.ports.count() * 4 <= self.packets || sources >= FEW_SOURCES * 10;
        let covers = !service.carpet
            || (self.hosts.count() >= CARPET_HOSTS && self.packets >= self.hosts.count() * CARPET_PACKETS);
        (exceeded && hopeless && repeats && covers).then_some(second)
    }

    fn sentence(&self, service: Service) -> Sentence {
        Sentence::Incoming {
            dst: service.dst,
            hosts: service.carpet.then(|| self.hosts.count()),
            method: service.method.as_str(),
            packets: self.packets,
            // An estimate: it can come out above what was counted, but there never were more senders than packets.
            sources: self.sources.count().min(self.packets),
            seconds: self.last.seconds_since(self.first),
            peak: self.peak,
            completed: self.completed,
        }
    }

    fn draft(&self, service: Service, src: IpAddr, threshold: u64, context: &Context<'_>) -> Draft {
        let hosts = context.hosts;
        let one = [service.dst];
        let victims = if service.carpet { self.victims.as_slice() } else { &one };
        let mut parties: Vec<_> =
            victims.iter().map(|&victim| hosts.party(victim, None, Role::Victim)).collect();
        // A single source that did complete handshakes is who it says it is, unless it did so long before.
        if self.sources.count() == 1 && self.clients.count() == 0 && self.completed > 0 {
            parties.push(hosts.party_to_talk(self.protocol, src, Role::Attacker));
        }
        let port = (self.ports.count() == 1).then_some(self.port);
        let to = |&victim: &IpAddr| {
            let (src, dst) =
                if service.method == Method::SynAck { (Some(victim), None) } else { (None, Some(victim)) };
            scope(src, dst, port, Some(self.protocol), self.first, self.last)
        };
        Draft {
            detector: "flood-incoming",
            anchor: format!("{} {} {}", service.dst, service.carpet, service.method.as_str()),
            severity: Severity::High,
            confidence: 85,
            stage: Tactic::Impact,
            technique: Technique::new(if service.method == Method::SynAck {
                "T1498.002"
            } else {
                "T1498.001"
            }),
            method: service.method.as_str().to_owned(),
            first: self.first,
            last: self.last,
            parties,
            why: self.sentence(service).to_string(),
            value: self.peak as f64,
            threshold: threshold as f64,
            record: context.record,
            scopes: victims.iter().map(to).collect(),
            flows: self.flows,
            supporting: false,
        }
    }
}
