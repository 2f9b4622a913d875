//! One of ours is flooded.
//!
//! The victim is certain; the sources are not. They are listed only where a handshake with them was completed, which a
//! flood of forged packets never does. Clients of ours that come back all at once after an outage are no flood.

use super::{Method, Sent, sent};
use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, scope},
    measure::{Distinct, Rate, digest},
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
const NEIGHBOURS: u64 = 10;
const MANY_NEIGHBOURS: u64 = 500;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Service {
    dst: IpAddr,
    method: Method,
}

struct Flood {
    rate: Rate,
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
        self.services.get(&Service { dst, method }).is_some_and(|flood| {
            flood.finding.is_some()
                && flow.last.micros_since(flood.last) < QUIET_MICROS
                && (flood.port == flow.key.dst_port || flood.ports.count() > 8)
        })
    }

    pub(super) fn flow(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let completed = flow.key.protocol == Protocol::TCP
            && flow.outcome == Outcome::Established
            && flow.phase == model::Phase::Changed
            && flow.delta.packets_in > 0;
        if completed
            && let Some(flood) = self.services.get_mut(&Service { dst: flow.key.dst, method: Method::Syn })
        {
            flood.completed += 1;
        }
        let Some(Sent { method, packets, src, dst }) = sent(flow).filter(|sent| sent.packets > 0) else {
            return;
        };
        let hosts = context.hosts;
        // What one of ours does to others is told by its own name; nobody here is hurt by what goes elsewhere.
        if hosts.is_home(src) && (!hosts.is_home(dst) || hosts.pair(src, dst).answered) {
            return;
        }
        if hosts.pair(dst, src).answered || hosts.pair(src, dst).fruitful {
            return;
        }
        let port = if dst == flow.key.src { flow.key.src_port } else { flow.key.dst_port };
        let fresh = || Flood {
            rate: Rate::default(),
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
            from_home: hosts.is_home(src),
            finding: None,
        };
        let service = Service { dst, method };
        let flood = self.services.entry(service, fresh);
        let told = flood.finding.is_some();
        if flow.last.micros_since(if told { flood.last } else { flood.first })
            > if told { QUIET_MICROS } else { WINDOW_MICROS }
        {
            *flood = fresh();
        }
        flood.last = flood.last.max(flow.last);
        flood.rate.add(flow.last, packets);
        flood.peak = flood.peak.max(flood.rate.peak());
        flood.packets += packets;
        flood.flows += u64::from(flow.phase.opens());
        flood.sources.insert(digest(src));
        flood.ports.insert(digest(port));
        if let Some(handle) = flood.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (last, peak, flows) = (flood.last, flood.peak, flood.flows);
            let why = flood.sentence(service);
            let ports = flood.ports.count();
            context.findings.extend(handle, last, |finding| {
                finding.value = finding.value.max(peak as f64);
                finding.flows = flows;
                finding.why = why;
                if ports > 1 {
                    finding.scopes.iter_mut().for_each(|scope| scope.port = None);
                }
            });
        } else if let Some(threshold) = flood.threshold(service, flow) {
            flood.finding = context.findings.state(flood.draft(service, src, threshold, context));
            self.services.promote(&service);
        }
    }
}

impl Flood {
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
        let exceeded = self.rate.peak() >= second || self.rate.sum() >= ten;
        let hopeless = self.completed * 10 <= self.flows.max(1);
        // Many ports with a packet or two each are a scan.
        let repeats = self.ports.count() * 4 <= self.packets || sources >= FEW_SOURCES * 10;
        (exceeded && hopeless && repeats).then_some(second)
    }

    fn sentence(&self, service: Service) -> String {
        format!(
            "{} received {} {} packets that it had not asked for from about {} addresses within {:.0} s, up to {} in one \
             second; {} of the connections were completed, so the addresses can be forged",
            service.dst,
            self.packets,
            service.method.as_str(),
            // An estimate: it can come out above what was counted, but there never were more senders than packets.
            self.sources.count().min(self.packets),
            self.last.seconds_since(self.first).max(1.0),
            self.peak,
            self.completed
        )
    }

    fn draft(&self, service: Service, src: IpAddr, threshold: u64, context: &Context<'_>) -> Draft {
        let hosts = context.hosts;
        let mut parties = vec![hosts.party(service.dst, None, Role::Victim)];
        // A single source that did complete handshakes is who it says it is.
        if self.sources.count() == 1 && self.completed > 0 {
            parties.push(hosts.party_to_talk(self.protocol, src, Role::Attacker));
        }
        let port = (self.ports.count() == 1).then_some(self.port);
        let one = |dst, src| scope(src, dst, port, Some(self.protocol), self.first, self.last);
        let scope = if service.method == Method::SynAck {
            one(None, Some(service.dst))
        } else {
            one(Some(service.dst), None)
        };
        Draft {
            detector: "flood-incoming",
            anchor: format!("{} {}", service.dst, service.method.as_str()),
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
            why: self.sentence(service),
            value: self.peak as f64,
            threshold: threshold as f64,
            record: context.record,
            scopes: vec![scope],
            flows: self.flows,
            supporting: false,
        }
    }
}
