//! Floods made of requests that each look right: random names to DNS, pages to HTTP.
//!
//! A resolver that passes on what others ask is a reflector here, never the attacker.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, scope},
    measure::{Distinct, Rate, digest},
};
use model::{
    AppRequest, Dns, FlowUpdate, Outcome, Phase, Protocol, Role, Service, Severity, Tactic, Technique,
    Timestamp,
};
use std::net::{IpAddr, Ipv4Addr};

/// Questions for new names below one domain in one second and in ten.
const NAMES: (u64, u64) = (50, 200);
/// Requests to one server in one second and in ten.
const PAGES: (u64, u64) = (100, 500);
/// Completed connections from one host to one server, and from all to one of ours.
const CONNECTIONS: (u64, u64) = (50, 400);
const CONNECTIONS_FROM_ALL: (u64, u64) = (300, 2_000);
const QUIET_MICROS: i64 = 60_000_000;

struct Asking {
    rate: Rate,
    names: Distinct,
    asked: u64,
    second_hand: u64,
    first: Timestamp,
    last: Timestamp,
    finding: Option<Handle>,
}

impl Asking {
    fn new(at: Timestamp) -> Self {
        Self {
            rate: Rate::default(),
            names: Distinct::default(),
            asked: 0,
            second_hand: 0,
            first: at,
            last: at,
            finding: None,
        }
    }

    /// One more; whether the rate is a flood's.
    fn ask(&mut self, at: Timestamp, name: u64, bar: (u64, u64)) -> bool {
        if at.micros_since(self.last) > QUIET_MICROS {
            *self = Self::new(at);
        }
        self.last = self.last.max(at);
        self.asked += 1;
        self.names.insert(name);
        self.rate.add(at, 1);
        self.rate.peak() >= bar.0 || self.rate.sum() >= bar.1
    }
}

pub(super) struct Questions {
    domains: Bounded<(IpAddr, IpAddr, u64), Asking>,
    pages: Bounded<(IpAddr, IpAddr), Asking>,
    connections: Bounded<(IpAddr, IpAddr), Asking>,
    resolvers: Bounded<IpAddr, ()>,
    /// Who first asked for a name, by the name's digest: whoever asks for it next elsewhere passes it on.
    asked_by: Box<[(u64, IpAddr)]>,
}

const NAMES_KEPT: usize = 1 << 13;

impl Questions {
    pub(super) fn new() -> Self {
        let nobody = (0, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Self {
            domains: Bounded::new(1 << 13),
            pages: Bounded::new(1 << 13),
            connections: Bounded::new(1 << 14),
            resolvers: Bounded::new(1 << 10),
            asked_by: vec![nobody; NAMES_KEPT].into_boxed_slice(),
        }
    }

    /// Whether somebody else asked for the name first.
    fn passes_on(&mut self, client: IpAddr, name: u64) -> bool {
        let Some(place) = self.asked_by.get_mut(name as usize % NAMES_KEPT) else { return false };
        if place.0 == name {
            return place.1 != client;
        }
        *place = (name, client);
        false
    }

    pub(super) fn dns(&mut self, dns: &Dns, context: &mut Context<'_>) {
        if dns.response {
            self.resolvers.entry(dns.server, || ());
            return;
        }
        let at = context.at;
        let domain = parent(&dns.name);
        let hosts = context.hosts;
        if !hosts.is_home(dns.client) && !hosts.is_home(dns.server) {
            return;
        }
        let second_hand = self.passes_on(dns.client, digest(&dns.name));
        let key = (dns.client, dns.server, digest(domain));
        let asking = self.domains.entry(key, || Asking::new(at));
        let fast = asking.ask(at, digest(&dns.name), NAMES);
        asking.second_hand += u64::from(second_hand);
        // Questions for the same names are a client in trouble; a flood never asks twice.
        let random = asking.names.count() * 10 >= asking.asked * 8;
        if let Some(handle) = asking.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (asked, peak) = (asking.asked, asking.rate.peak());
            context.findings.extend(handle, at, |finding| {
                finding.flows = asked;
                finding.value = finding.value.max(peak as f64);
            });
            return;
        }
        if !(fast && random) {
            return;
        }
        let passes_on = self.resolvers.get(&dns.client).is_some() || asking.second_hand * 2 >= asking.asked;
        let asks_resolver = hosts.is_home(dns.server);
        let asker = if passes_on {
            Role::Reflector
        } else if hosts.is_home(dns.client) {
            Role::Infected
        } else {
            Role::Attacker
        };
        let asked_role = if asks_resolver { Role::Reflector } else { Role::Victim };
        let peak = asking.rate.peak();
        asking.finding = context.findings.state(Draft {
            detector: "random-names",
            anchor: format!("{} {} {domain}", dns.client, dns.server),
            severity: Severity::High,
            confidence: 85,
            stage: Tactic::Impact,
            technique: Technique::new("T1498.001"),
            method: "DNS".into(),
            first: asking.first,
            last: at,
            parties: vec![
                hosts.party(dns.client, dns.client_mac, asker),
                hosts.party(dns.server, None, asked_role),
            ],
            why: format!(
                "{} asked {} for {} different names below {domain}, up to {peak} in one second",
                dns.client,
                dns.server,
                asking.names.count()
            ),
            value: peak as f64,
            threshold: NAMES.0 as f64,
            record: context.record,
            scopes: vec![scope(
                Some(dns.client),
                Some(dns.server),
                Some(dns.server_port),
                Some(Protocol::UDP),
                asking.first,
                at,
            )],
            flows: asking.asked,
            supporting: false,
        });
        self.domains.promote(&key);
    }

    /// Connections that each were completed: too many of them are a flood as well, whatever is said in them.
    pub(super) fn connection(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let said = flow.total.payload_out + flow.total.payload_in;
        let completed = flow.outcome == Outcome::Established
            && (flow.phase == Phase::Summary || (flow.phase == Phase::Changed && said == 0));
        let (key, at, hosts) = (flow.key, context.at, context.hosts);
        let across = hosts.is_home(key.src) != hosts.is_home(key.dst);
        if key.protocol != Protocol::TCP || !completed || !across {
            return;
        }
        let one = (key.src, key.dst);
        let all = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), key.dst);
        for (pair, bar) in [(one, CONNECTIONS), (all, CONNECTIONS_FROM_ALL)] {
            let asking = self.connections.entry(pair, || Asking::new(at));
            let fast = asking.ask(at, digest(key.src), bar);
            if let Some(handle) = asking.finding.filter(|&handle| context.findings.is_open(handle)) {
                let (asked, peak) = (asking.asked, asking.rate.peak());
                context.findings.extend(handle, at, |finding| {
                    finding.flows = asked;
                    finding.value = finding.value.max(peak as f64);
                });
                continue;
            }
            // Visitors come once or twice; who floods comes back and back. A page with its pictures is over sooner.
            let sources = asking.names.count();
            let lasting = asking.rate.sum() >= bar.1 && asking.rate.seconds_active() >= 4;
            let crowd =
                pair == all && (!hosts.is_home(key.dst) || sources < 20 || asking.asked < sources * 4);
            if !fast || !lasting || crowd {
                continue;
            }
            asking.finding = context.findings.state(connections(pair, asking, bar.0, flow, context));
            self.connections.promote(&pair);
        }
    }

    pub(super) fn request(&mut self, request: &AppRequest, context: &mut Context<'_>) {
        if request.status.is_some() || request.service != Service::Http {
            return;
        }
        let (key, at) = (request.key, context.at);
        let asking = self.pages.entry((key.src, key.dst), || Asking::new(at));
        let fast = asking.ask(at, request.path_digest, PAGES);
        if let Some(handle) = asking.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (asked, peak) = (asking.asked, asking.rate.peak());
            context.findings.extend(handle, at, |finding| {
                finding.flows = asked;
                finding.value = finding.value.max(peak as f64);
            });
            return;
        }
        // Ten seconds of it: a page with its pictures is over sooner.
        if !fast || asking.rate.sum() < PAGES.1 || asking.rate.seconds_active() < 3 {
            return;
        }
        let hosts = context.hosts;
        let role =
            if hosts.is_home(key.src) && !hosts.is_home(key.dst) { Role::Infected } else { Role::Attacker };
        let client = hosts.party_to_talk(key.protocol, key.src, role);
        let peak = asking.rate.peak();
        asking.finding = context.findings.state(Draft {
            detector: "http-flood",
            anchor: format!("{} {}", key.src, key.dst),
            severity: Severity::High,
            confidence: 75,
            stage: Tactic::Impact,
            technique: Technique::new("T1499.002"),
            method: "HTTP".into(),
            first: asking.first,
            last: at,
            parties: vec![client, hosts.party(key.dst, None, Role::Victim)],
            why: format!(
                "{} sent {} HTTP requests to {}, up to {peak} in one second",
                key.src, asking.asked, key.dst
            ),
            value: peak as f64,
            threshold: PAGES.0 as f64,
            record: context.record,
            scopes: vec![scope(
                Some(key.src),
                Some(key.dst),
                Some(key.dst_port),
                Some(key.protocol),
                asking.first,
                at,
            )],
            flows: asking.asked,
            supporting: false,
        });
        self.pages.promote(&(key.src, key.dst));
    }
}

fn connections(
    pair: (IpAddr, IpAddr),
    asking: &Asking,
    bar: u64,
    flow: &FlowUpdate,
    context: &Context<'_>,
) -> Draft {
    let hosts = context.hosts;
    let (src, dst) = pair;
    let (peak, sources) = (asking.rate.peak(), asking.names.count().min(asking.asked));
    let mut parties = vec![hosts.party(dst, None, Role::Victim)];
    let from = if src.is_unspecified() {
        format!("about {sources} addresses")
    } else {
        let role = if hosts.is_home(src) { Role::Infected } else { Role::Attacker };
        parties.push(hosts.party_to_talk(flow.key.protocol, src, role));
        src.to_string()
    };
    let source = (!src.is_unspecified()).then_some(src);
    let port = flow.key.dst_port;
    Draft {
        detector: "connection-flood",
        anchor: format!("{src} {dst}"),
        severity: Severity::High,
        confidence: 65,
        stage: Tactic::Impact,
        technique: Technique::new("T1499.002"),
        method: "connections".into(),
        first: asking.first,
        last: asking.last,
        parties,
        why: format!(
            "{from} opened {} connections to {dst} (port {port}), up to {peak} in one second",
            asking.asked
        ),
        value: peak as f64,
        threshold: bar as f64,
        record: context.record,
        scopes: vec![scope(source, Some(dst), Some(port), Some(Protocol::TCP), asking.first, asking.last)],
        flows: asking.asked,
        supporting: false,
    }
}

/// The domain that random names are made below: all but the first label, at least two labels.
fn parent(name: &str) -> &str {
    match name.split_once('.') {
        Some((_, rest)) if rest.contains('.') => rest,
        _ => name,
    }
}
