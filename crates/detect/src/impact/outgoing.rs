//! One of ours floods somebody.
//!
//! What tells a flood from a busy device: packets that nobody answers, at a rate that retries never reach, to somebody
//! who never talked to the device before. A stream to somebody who did talk to it must exceed the device's own past by
//! far. Where only one direction is seen, the bar is higher and the finding says so.

use super::{Method, Sent, network, sent};
use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, scope},
    measure::{Distinct, Rate, digest},
    sentence::Sentence,
};
use model::{FlowUpdate, Mac, Phase, Role, Service, Severity, Tactic, Technique, Timestamp, Visibility};
use std::net::IpAddr;

/// Packets in one second, and in ten, that make a flood of each method.
const fn bar(method: Method) -> (u64, u64) {
    match method {
        Method::Syn => (100, 400),
        Method::Ack | Method::SynAck | Method::Icmp => (200, 800),
        // One stream that nobody answers can be video; many at once are none (see `SPREAD`).
        Method::Udp | Method::Gre | Method::Other => (500, 2_000),
    }
}

/// Flows at once that make datagrams a flood at a lower rate.
const SPREAD: u64 = 20;
const SPREAD_BAR: (u64, u64) = (100, 400);
/// How much higher the bar is where something came back before, where the receiver goes on telling the sender how it is
/// received (as those of video and of QUIC do), or where only one direction is visible.
const TALKED: u64 = 10;
const HEARD: u64 = 10;
/// After so many spells over so long, one who sends to somebody that never answers does so by habit.
const HABIT: u32 = 3;
const HABIT_SECONDS: f64 = 300.0;
const ONE_WAY: u64 = 10;
/// How much higher the bar of SYNs is to whom somebody looked up.
const NAMED: u64 = 4;
/// The past that a device is measured against: its busiest second times this.
const PAST: u64 = 4;
const QUIET_MICROS: i64 = 60_000_000;
/// What is counted before a flood is told.
const WINDOW_MICROS: i64 = 30_000_000;
/// In how many of the last ten seconds a receiver answers that goes on listening.
const HEARD_SECONDS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    src: IpAddr,
    dst: IpAddr,
    method: Method,
}

struct Flood {
    rate: Rate,
    flows: Distinct,
    ports: Distinct,
    port: u16,
    first: Timestamp,
    last: Timestamp,
    packets: u64,
    count: u64,
    /// In which seconds the receiver answered.
    answers: Rate,
    /// Busiest second of the spells before this one, how many there were, and since when.
    past: u64,
    spells: u32,
    since: Timestamp,
    finding: Option<Handle>,
}

pub(super) struct Outgoing {
    pairs: Bounded<Pair, Flood>,
    /// By source and network: a carpet over many hosts of one network.
    carpets: Bounded<Pair, Carpet>,
}

struct Carpet {
    rate: Rate,
    hosts: Vec<IpAddr>,
    packets: u64,
    first: Timestamp,
    last: Timestamp,
    finding: Option<Handle>,
}

/// Hosts of one network, and packets to each on average, that tell a carpet from a scan.
const CARPET_HOSTS: usize = 8;
const CARPET_PACKETS: u64 = 20;

impl Outgoing {
    pub(super) fn new() -> Self {
        Self { pairs: Bounded::new(1 << 14), carpets: Bounded::new(1 << 13) }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.pairs.forgotten() + self.carpets.forgotten()
    }

    pub(super) fn is_flooding(&self, flow: &FlowUpdate) -> bool {
        let Some((pair, _)) = acting(flow) else { return false };
        self.pairs
            .get(&pair)
            .is_some_and(|flood| flood.finding.is_some() && flow.last.micros_since(flood.last) < QUIET_MICROS)
    }

    pub(super) fn flow(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let Some((pair, packets)) = acting(flow).filter(|(_, packets)| *packets > 0) else { return };
        if !context.hosts.is_home(pair.src) {
            return;
        }
        if flow.phase != Phase::Summary && !context.hosts.is_home(pair.dst) {
            self.carpet(pair, packets, flow, context);
        }
        let key = &flow.key;
        let fresh = || Flood {
            rate: Rate::default(),
            flows: Distinct::default(),
            ports: Distinct::default(),
            port: key.dst_port,
            first: flow.first,
            last: flow.last,
            packets: 0,
            count: 0,
            answers: Rate::default(),
            past: 0,
            spells: 0,
            since: flow.first,
            finding: None,
        };
        let flood = self.pairs.entry(pair, fresh);
        let told = flood.finding.is_some();
        if flow.last.micros_since(if told { flood.last } else { flood.first })
            > if told { QUIET_MICROS } else { WINDOW_MICROS }
        {
            let (past, spells) = (flood.past.max(flood.rate.peak()), flood.spells.saturating_add(1));
            *flood = Flood { past, spells, since: flood.since, ..fresh() };
        }
        let length = flow.last.seconds_since(flow.first);
        let from = if flow.phase == Phase::Summary { flow.first } else { flow.last };
        let steady = if flow.phase == Phase::Summary && length > 10.0 {
            // A log's summary of a long flow tells its mean rate and nothing else.
            (packets as f64 / length) as u64
        } else {
            flood.rate.add_spread(from, flow.last, packets);
            0
        };
        flood.answers.add_spread(from, flow.last, flow.delta.packets_in);
        flood.last = flood.last.max(flow.last);
        flood.packets += packets;
        flood.count += u64::from(flow.phase.opens());
        flood.flows.insert(digest((key.src_port, key.dst_port)));
        flood.ports.insert(digest(key.dst_port));
        let peak = flood.rate.peak().max(steady);
        if let Some(handle) = flood.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (last, flows, ports) = (flood.last, flood.count, flood.ports.count());
            context.findings.extend(handle, last, |finding| {
                finding.value = finding.value.max(peak as f64);
                finding.flows = flows;
                if ports > 1 {
                    finding.scopes.iter_mut().for_each(|scope| scope.port = None);
                }
            });
            context.findings.say(handle, sentence(pair, flood, peak));
        } else if let Some(threshold) = flood.threshold(pair, flow, steady, context) {
            flood.finding = context.state(draft(pair, flood, flow, peak, threshold, context));
            self.pairs.promote(&pair);
        }
    }
}

impl Outgoing {
    fn carpet(&mut self, pair: Pair, packets: u64, flow: &FlowUpdate, context: &mut Context<'_>) {
        let hosts = context.hosts;
        if hosts.pair(pair.src, pair.dst).answered || flow.visibility == Visibility::OneWay {
            return;
        }
        let network = Pair { dst: network(pair.dst), ..pair };
        let fresh = || Carpet {
            rate: Rate::default(),
            hosts: Vec::new(),
            packets: 0,
            first: flow.first,
            last: flow.last,
            finding: None,
        };
        let carpet = self.carpets.entry(network, fresh);
        let told = carpet.finding.is_some();
        let span = if told {
            flow.last.micros_since(carpet.last) > QUIET_MICROS
        } else {
            flow.last.micros_since(carpet.first) > WINDOW_MICROS
        };
        if span {
            *carpet = fresh();
        }
        carpet.last = carpet.last.max(flow.last);
        carpet.packets += packets;
        carpet.rate.add(flow.last, packets);
        if !carpet.hosts.contains(&pair.dst) && carpet.hosts.len() < MAX_CARPET {
            carpet.hosts.push(pair.dst);
        }
        let many = carpet.hosts.len() >= CARPET_HOSTS
            && carpet.packets >= carpet.hosts.len() as u64 * CARPET_PACKETS;
        let (second, ten) = bar(pair.method);
        let said = Sentence::Carpet {
            src: pair.src,
            network: network.dst,
            method: pair.method.as_str(),
            packets: carpet.packets,
            peak: carpet.rate.peak(),
            hosts: carpet.hosts.len(),
        };
        let over = |host: &IpAddr| {
            scope(Some(pair.src), Some(*host), None, Some(flow.key.protocol), carpet.first, carpet.last)
        };
        if let Some(handle) = carpet.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (peak, last, scopes) =
                (carpet.rate.peak(), carpet.last, carpet.hosts.iter().map(over).collect());
            context.findings.extend(handle, last, |finding| {
                finding.value = finding.value.max(peak as f64);
                finding.scopes = scopes;
            });
            context.findings.say(handle, said);
        } else if many && (carpet.rate.peak() >= second || carpet.rate.sum() >= ten) {
            let mut parties = vec![hosts.party(pair.src, mac_of(pair.src, flow), Role::Infected)];
            parties.extend(
                carpet.hosts.iter().take(MAX_LISTED).map(|&host| hosts.party(host, None, Role::Victim)),
            );
            carpet.finding = context.state(Draft {
                detector: "flood-outgoing",
                anchor: format!("{} {} {} carpet", pair.src, network.dst, pair.method.as_str()),
                severity: Severity::High,
                confidence: 80,
                stage: Tactic::Impact,
                technique: Technique::new("T1498.001"),
                method: pair.method.as_str().to_owned(),
                first: carpet.first,
                last: carpet.last,
                parties,
                why: said.to_string(),
                value: carpet.rate.peak() as f64,
                threshold: second as f64,
                record: context.record,
                scopes: carpet.hosts.iter().map(over).collect(),
                flows: carpet.packets,
                supporting: false,
            });
            self.carpets.promote(&network);
        }
    }
}

/// Hosts of a carpet that are kept, and listed as victims.
const MAX_CARPET: usize = 256;
const MAX_LISTED: usize = 32;

/// What the packets of this end of the flow bore.
fn mac_of(address: IpAddr, flow: &FlowUpdate) -> Option<Mac> {
    if flow.key.src == address { flow.src_mac } else { flow.dst_mac }
}

fn acting(flow: &FlowUpdate) -> Option<(Pair, u64)> {
    let Sent { method, packets, src, dst } = sent(flow)?;
    Some((Pair { src, dst, method }, packets))
}

impl Flood {
    /// The packets per second that were exceeded, where they were.
    fn threshold(&self, pair: Pair, flow: &FlowUpdate, steady: u64, context: &Context<'_>) -> Option<u64> {
        let spread = self.flows.count() >= SPREAD;
        let (mut second, mut ten) = if spread && matches!(pair.method, Method::Udp | Method::Ack) {
            SPREAD_BAR
        } else {
            bar(pair.method)
        };
        // Logs and measurements go to their collector all day and are never answered.
        let habit = self.spells >= HABIT && self.last.seconds_since(self.since) >= HABIT_SECONDS;
        let hosts = context.hosts;
        let talked = hosts.pair(pair.src, pair.dst).answered || hosts.was_resolved(pair.dst) || habit;
        if talked && matches!(pair.method, Method::Udp | Method::Gre | Method::Other | Method::Ack) {
            let heard = !spread && self.answers.seconds_active() >= HEARD_SECONDS;
            let times = if heard { TALKED * HEARD } else { TALKED };
            second = (second * times).max(self.past * PAST);
            ten = (ten * times).max(self.past * PAST * 10);
        }
        // Nobody answers to media and to copies of packets, which are sent as they come.
        if matches!(flow.service, Service::Media | Service::Mirror) {
            (second, ten) = (second.max(bar(pair.method).0 * TALKED), ten.max(bar(pair.method).1 * TALKED));
        }
        // Many behind one address try the same cloud that is down.
        if pair.method == Method::Syn && hosts.was_resolved(pair.dst) {
            (second, ten) = (second * NAMED, ten * NAMED);
        }
        if flow.visibility == Visibility::OneWay && pair.method != Method::Syn {
            second *= ONE_WAY;
            ten *= ONE_WAY;
        }
        // A port scan goes to many ports with a packet or two each; a flood repeats itself.
        let repeats = self.ports.count() * 4 <= self.packets.max(1) || pair.method != Method::Syn;
        let exceeded = self.rate.peak() >= second || self.rate.sum() >= ten || steady >= second;
        (exceeded && repeats).then_some(second)
    }
}

fn sentence(pair: Pair, flood: &Flood, peak: u64) -> Sentence {
    let seconds = flood.last.seconds_since(flood.first);
    let (method, packets) = (pair.method.as_str(), flood.packets);
    Sentence::Flood { src: pair.src, dst: pair.dst, method, packets, peak, seconds }
}

fn draft(
    pair: Pair,
    flood: &Flood,
    flow: &FlowUpdate,
    peak: u64,
    threshold: u64,
    context: &Context<'_>,
) -> Draft {
    let hosts = context.hosts;
    let outward = !hosts.is_home(pair.dst);
    let one_way = flow.visibility == Visibility::OneWay;
    let role = if outward { Role::Infected } else { Role::Attacker };
    let mut why = sentence(pair, flood, peak).to_string();
    if one_way {
        why.push_str("; only one direction is visible here");
    }
    let port = (flood.ports.count() == 1 && pair.method != Method::Icmp && pair.method != Method::Gre)
        .then_some(flood.port);
    Draft {
        detector: "flood-outgoing",
        anchor: format!("{} {} {}", pair.src, pair.dst, pair.method.as_str()),
        severity: Severity::High,
        confidence: if one_way { 60 } else { 85 },
        stage: Tactic::Impact,
        technique: Technique::new("T1498.001"),
        method: pair.method.as_str().to_owned(),
        first: flood.first,
        last: flood.last,
        parties: vec![
            hosts.party(pair.src, mac_of(pair.src, flow), role),
            hosts.party(pair.dst, None, Role::Victim),
        ],
        why,
        value: peak as f64,
        threshold: threshold as f64,
        record: context.record,
        scopes: vec![if flow.key.src != pair.src {
            scope(Some(pair.dst), Some(pair.src), None, Some(flow.key.protocol), flood.first, flood.last)
        } else {
            scope(Some(pair.src), Some(pair.dst), port, Some(flow.key.protocol), flood.first, flood.last)
        }],
        flows: flood.count,
        supporting: false,
    }
}
