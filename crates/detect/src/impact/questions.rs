//! Floods made of requests that each look right: random names to DNS, pages to HTTP, connections.
//!
//! Number alone is no flood: a balancer, a mail server or a gateway with a thousand people behind it asks as much all
//! day. What counts beside it is harm, that is that most of what is asked for is not served, and that more is asked than
//! was served well before. One of ours that asks a stranger for far more than that need not do harm to be told. A
//! resolver that passes on what others ask is a reflector here, never the attacker. What many ask one of ours together
//! is counted as well.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, scope},
    measure::{Distinct, Rate, digest},
};
use model::{
    AppRequest, Dns, FlowUpdate, Outcome, Party, Phase, Protocol, Role, Service, Severity, Tactic, Technique,
    Timestamp,
};
use std::net::{IpAddr, Ipv4Addr};

/// Questions for new names below one domain in one second and in ten: of one, and of all outside to one of ours.
const NAMES: (u64, u64) = (50, 200);
const NAMES_FROM_ALL: (u64, u64) = (200, 1_000);
/// Requests to one server in one second and in ten.
const PAGES: (u64, u64) = (100, 500);
const PAGES_FROM_ALL: (u64, u64) = (300, 2_000);
/// Completed connections from one host to one server, and from all to one of ours.
const CONNECTIONS: (u64, u64) = (50, 400);
const CONNECTIONS_FROM_ALL: (u64, u64) = (300, 2_000);
/// Who asks so many times as much is told although it is served.
const BOLD: u64 = 4;
/// How much more than was served well before.
const PAST: u64 = 2;
const QUIET_MICROS: i64 = 60_000_000;
/// What is counted before a flood is told.
const WINDOW_MICROS: i64 = 30_000_000;
/// How many strangers make it all, and how often each of them comes at least.
const CROWD: u64 = 20;
const COMES: u64 = 4;
const EVERYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

struct Asking {
    rate: Rate,
    served: Rate,
    /// Told that there is no such name.
    missing: Rate,
    names: Distinct,
    asked: u64,
    second_hand: u64,
    first: Timestamp,
    last: Timestamp,
    /// The most in ten seconds that was served well: until the last minute, and in it.
    past: u64,
    lately: u64,
    turned: Timestamp,
    finding: Option<Handle>,
}

impl Asking {
    fn new(at: Timestamp) -> Self {
        Self {
            rate: Rate::default(),
            served: Rate::default(),
            missing: Rate::default(),
            names: Distinct::default(),
            asked: 0,
            second_hand: 0,
            first: at,
            last: at,
            past: 0,
            lately: 0,
            turned: at,
            finding: None,
        }
    }

    /// One more; whether the rate is a flood's.
    fn ask(&mut self, at: Timestamp, name: u64, bar: (u64, u64)) -> bool {
        if at.micros_since(self.turned) > QUIET_MICROS {
            self.past = self.past.max(std::mem::take(&mut self.lately));
            self.turned = at;
        }
        let quiet = at.micros_since(self.last) > QUIET_MICROS;
        if quiet || (self.finding.is_none() && at.micros_since(self.first) > WINDOW_MICROS) {
            let (rate, served, missing) = (self.rate, self.served, self.missing);
            let (past, lately, turned) = (self.past, self.lately, self.turned);
            *self = Self { rate, served, missing, past, lately, turned, ..Self::new(at) };
        }
        self.last = self.last.max(at);
        self.asked += 1;
        self.names.insert(name);
        self.rate.add(at, 1);
        if !self.suffers() {
            self.lately = self.lately.max(self.rate.sum());
        }
        self.rate.peak() >= bar.0 || self.rate.sum() >= bar.1
    }

    /// Most of it is not served, although there was time for it.
    fn suffers(&self) -> bool {
        self.served.sum() * 2 < self.rate.sum() && self.last.seconds_since(self.first) >= 1.0
    }

    /// More than was served before; and harmful, or too much for one of ours: by far, where harm would have been seen.
    fn is_flood(&self, bar: (u64, u64), outward: bool, seen: bool) -> bool {
        let sum = self.rate.sum();
        let bold = outward && sum >= bar.1 * if seen { BOLD } else { 1 };
        let grown = !seen || sum >= self.past * PAST;
        grown && (self.suffers() || bold)
    }

    /// Some strangers of many come again and again.
    fn is_crowd(&self, sources: u64) -> bool {
        sources >= CROWD && self.asked >= sources * COMES
    }

    /// Goes on with what was told. Whether there is such.
    fn goes_on(&self, at: Timestamp, context: &mut Context<'_>) -> bool {
        let Some(handle) = self.finding.filter(|&handle| context.findings.is_open(handle)) else {
            return false;
        };
        let (asked, peak) = (self.asked, self.rate.peak());
        context.findings.extend(handle, at, |finding| {
            finding.flows = asked;
            finding.value = finding.value.max(peak as f64);
        });
        true
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
        Self {
            domains: Bounded::new(1 << 13),
            pages: Bounded::new(1 << 13),
            connections: Bounded::new(1 << 14),
            resolvers: Bounded::new(1 << 10),
            asked_by: vec![(0, EVERYBODY); NAMES_KEPT].into_boxed_slice(),
        }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.domains.forgotten()
            + self.pages.forgotten()
            + self.connections.forgotten()
            + self.resolvers.forgotten()
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
        let hosts = context.hosts;
        let (from_home, to_home) = (hosts.is_home(dns.client), hosts.is_home(dns.server));
        if dns.response {
            self.resolvers.entry(dns.server, || ());
        }
        // Names made of addresses are looked up by all who want to know whom they deal with.
        if (!from_home && !to_home) || dns.name.ends_with(".arpa") {
            return;
        }
        let domain = domain(&dns.name);
        let (one, all) = ((dns.client, dns.server, digest(domain)), (EVERYBODY, dns.server, digest(domain)));
        if dns.response {
            for key in [one, all] {
                if let Some(asking) = self.domains.get_mut(&key) {
                    match dns.rcode {
                        0 => asking.served.add(context.at, 1),
                        3 => asking.missing.add(context.at, 1),
                        _ => {}
                    }
                }
            }
            return;
        }
        let at = context.at;
        let second_hand = self.passes_on(dns.client, digest(&dns.name));
        for (key, bar) in [(one, NAMES), (all, NAMES_FROM_ALL)] {
            if key == all && (from_home || !to_home) {
                continue;
            }
            let asking = self.domains.entry(key, || Asking::new(at));
            let fast = asking.ask(at, digest(&dns.name), bar);
            asking.second_hand += u64::from(second_hand);
            if asking.goes_on(at, context) {
                continue;
            }
            // Questions for the same names are a client in trouble; a flood never asks twice. Who asks a list of
            // addresses for each of them is told of most that they are not on it.
            let random = asking.names.count() * 10 >= asking.asked * 8;
            let listed = is_address(&dns.name) && asking.missing.sum() * 2 >= asking.rate.sum();
            if !(fast && random && !listed && asking.is_flood(bar, from_home, true)) {
                continue;
            }
            let passes_on =
                self.resolvers.get(&dns.client).is_some() || asking.second_hand * 2 >= asking.asked;
            asking.finding = context.state(names(key, bar.0, asking, dns, passes_on, context));
            self.domains.promote(&key);
        }
    }

    /// Connections that each were completed: too many of them are a flood as well, whatever is said in them.
    pub(super) fn connection(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let (key, at, hosts) = (flow.key, context.at, context.hosts);
        let (from_home, to_home) = (hosts.is_home(key.src), hosts.is_home(key.dst));
        if key.protocol != Protocol::TCP || flow.outcome != Outcome::Established || from_home == to_home {
            return;
        }
        let said = flow.total.payload_out + flow.total.payload_in;
        let completed = flow.phase == Phase::Summary || (flow.phase == Phase::Changed && said == 0);
        let answered = flow.total.payload_in > 0
            && (flow.phase == Phase::Summary || flow.delta.payload_in == flow.total.payload_in);
        let (one, all) = ((key.src, key.dst), (EVERYBODY, key.dst));
        for (pair, bar) in [(one, CONNECTIONS), (all, CONNECTIONS_FROM_ALL)] {
            if pair == all && !to_home {
                continue;
            }
            if answered && let Some(asking) = self.connections.get_mut(&pair) {
                asking.served.add(at, 1);
            }
            if !completed {
                continue;
            }
            let asking = self.connections.entry(pair, || Asking::new(at));
            let fast = asking.ask(at, digest(key.src), bar);
            if asking.goes_on(at, context) {
                continue;
            }
            // A page with its pictures is over sooner.
            let lasting = asking.rate.sum() >= bar.1 && asking.rate.seconds_active() >= 4;
            let crowd = pair == one || asking.is_crowd(asking.names.count());
            // A log tells that something was answered, not what.
            let seen = flow.phase != Phase::Summary;
            if !(fast && lasting && crowd && asking.is_flood(bar, from_home, seen)) {
                continue;
            }
            asking.finding = context.state(connections(pair, asking, bar.0, flow, context));
            self.connections.promote(&pair);
        }
    }

    pub(super) fn request(&mut self, request: &AppRequest, context: &mut Context<'_>) {
        if request.service != Service::Http {
            return;
        }
        let (key, at, hosts) = (request.key, context.at, context.hosts);
        let outward = hosts.is_home(key.src) && !hosts.is_home(key.dst);
        let inward = !hosts.is_home(key.src) && hosts.is_home(key.dst);
        let (one, all) = ((key.src, key.dst), (EVERYBODY, key.dst));
        if let Some(status) = request.status {
            for pair in [one, all] {
                if let Some(asking) = self.pages.get_mut(&pair).filter(|_| status < 500) {
                    asking.served.add(at, 1);
                }
            }
            return;
        }
        for (pair, bar) in [(one, PAGES), (all, PAGES_FROM_ALL)] {
            if pair == all && !inward {
                continue;
            }
            let asking = self.pages.entry(pair, || Asking::new(at));
            let fast = asking.ask(at, digest(key.src), bar);
            if asking.goes_on(at, context) {
                continue;
            }
            // Ten seconds of it: a page with its pictures is over sooner.
            let lasting = asking.rate.sum() >= bar.1 && asking.rate.seconds_active() >= 3;
            let crowd = pair == one || asking.is_crowd(asking.names.count());
            // Where no answer would be seen, nothing is known about harm.
            let visible = outward || hosts.pair(key.src, key.dst).answered;
            if !(fast && lasting && crowd && visible && asking.is_flood(bar, outward, true)) {
                continue;
            }
            asking.finding = context.state(pages(pair, bar.0, asking, request, context));
            self.pages.promote(&pair);
        }
    }
}

/// Who asks together, in words.
fn askers(pair: (IpAddr, IpAddr), sources: u64) -> String {
    if pair.0 == EVERYBODY { format!("about {sources} addresses") } else { pair.0.to_string() }
}

fn source(pair: (IpAddr, IpAddr)) -> Option<IpAddr> {
    (pair.0 != EVERYBODY).then_some(pair.0)
}

fn names(
    key: (IpAddr, IpAddr, u64),
    bar: u64,
    asking: &Asking,
    dns: &Dns,
    passes_on: bool,
    context: &Context<'_>,
) -> Draft {
    let hosts = context.hosts;
    let (pair, peak, domain) = ((key.0, key.1), asking.rate.peak(), domain(&dns.name));
    let asker = if passes_on {
        Role::Reflector
    } else if hosts.is_home(dns.client) {
        Role::Infected
    } else {
        Role::Attacker
    };
    let resolves = hosts.is_home(dns.server) && source(pair).is_some();
    let asked = if resolves { Role::Reflector } else { Role::Victim };
    let mut parties: Vec<Party> =
        source(pair).map(|client| hosts.party(client, dns.client_mac, asker)).into_iter().collect();
    parties.push(hosts.party(dns.server, None, asked));
    Draft {
        detector: "random-names",
        anchor: format!("{} {} {domain}", pair.0, dns.server),
        severity: Severity::High,
        confidence: 85,
        stage: Tactic::Impact,
        technique: Technique::new("T1498.001"),
        method: "DNS".into(),
        first: asking.first,
        last: asking.last,
        parties,
        why: format!(
            "{} asked {} for {} different names below {domain}, up to {peak} in one second",
            source(pair).map_or_else(|| "many".to_owned(), |client| client.to_string()),
            dns.server,
            asking.names.count()
        ),
        value: peak as f64,
        threshold: bar as f64,
        record: context.record,
        scopes: vec![scope(
            source(pair),
            Some(dns.server),
            Some(dns.server_port),
            Some(Protocol::UDP),
            asking.first,
            asking.last,
        )],
        flows: asking.asked,
        supporting: false,
    }
}

fn pages(
    pair: (IpAddr, IpAddr),
    bar: u64,
    asking: &Asking,
    request: &AppRequest,
    context: &Context<'_>,
) -> Draft {
    let (hosts, key) = (context.hosts, request.key);
    let role =
        if hosts.is_home(key.src) && !hosts.is_home(key.dst) { Role::Infected } else { Role::Attacker };
    let mut parties: Vec<Party> =
        source(pair).map(|client| hosts.party_to_talk(key.protocol, client, role)).into_iter().collect();
    parties.push(hosts.party(key.dst, None, Role::Victim));
    let peak = asking.rate.peak();
    Draft {
        detector: "http-flood",
        anchor: format!("{} {}", pair.0, pair.1),
        severity: Severity::High,
        confidence: 75,
        stage: Tactic::Impact,
        technique: Technique::new("T1499.002"),
        method: "HTTP".into(),
        first: asking.first,
        last: asking.last,
        parties,
        why: format!(
            "{} sent {} HTTP requests to {}, up to {peak} in one second, of which {} in the last ten seconds were \
             answered without complaint",
            askers(pair, asking.names.count().min(asking.asked)),
            asking.asked,
            key.dst,
            asking.served.sum()
        ),
        value: peak as f64,
        threshold: bar as f64,
        record: context.record,
        scopes: vec![scope(
            source(pair),
            Some(key.dst),
            Some(key.dst_port),
            Some(key.protocol),
            asking.first,
            asking.last,
        )],
        flows: asking.asked,
        supporting: false,
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
    let from = askers(pair, sources);
    if let Some(source) = source(pair) {
        let role = if hosts.is_home(source) { Role::Infected } else { Role::Attacker };
        parties.push(hosts.party_to_talk(flow.key.protocol, source, role));
    }
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
        scopes: vec![scope(
            source(pair),
            Some(dst),
            Some(port),
            Some(Protocol::TCP),
            asking.first,
            asking.last,
        )],
        flows: asking.asked,
        supporting: false,
    }
}

/// The domain that random names are made below, as far as a name alone tells what somebody registered: the last two
/// labels, or three below the likes of `co.uk`.
fn domain(name: &str) -> &str {
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let (top, second, third) = (dots.next(), dots.next(), dots.next());
    let Some((top, second)) = top.zip(second) else { return name };
    let shared = name.len() - top == 3 && top - second <= 4;
    let cut = if shared { third } else { Some(second) };
    cut.and_then(|cut| name.get(cut + 1..)).unwrap_or(name)
}

/// The name begins with an address, backwards: `4.3.2.1.list.example`.
fn is_address(name: &str) -> bool {
    let numbers = name.split('.').take_while(|label| label.parse::<u8>().is_ok()).count();
    let nibbles = name.split('.').take_while(|label| label.len() == 1).count();
    numbers >= 4 || nibbles >= 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_labels_stand_below_what_was_registered() {
        for (name, expected) in [
            ("x7f.shop.example", "shop.example"),
            ("a.b.shop.example", "shop.example"),
            ("a.b.shop.co.uk", "shop.co.uk"),
            ("shop.co.uk", "shop.co.uk"),
            ("shop.example", "shop.example"),
            ("example", "example"),
            ("", ""),
        ] {
            assert_eq!(domain(name), expected, "{name}");
        }
    }

    #[test]
    fn lists_of_addresses_are_asked_backwards() {
        for (name, expected) in [
            ("4.3.2.1.list.example", true),
            ("4.3.2.list.example", false),
            ("400.3.2.1.list.example", false),
            ("x7f.shop.example", false),
        ] {
            assert_eq!(is_address(name), expected, "{name}");
        }
    }
}
