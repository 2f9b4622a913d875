//! Amplification and reflection: answers to somebody who never asked, over any UDP service.
//!
//! At the victim: datagrams from one service port of many servers, large, unasked for. The servers are reflectors, not
//! attackers. At the reflector: one of ours answers somebody outside with many times what it was asked. A flow amplifies
//! where its first answer is already much larger than the question; tunnels and streams begin with a dialogue. What is
//! much is counted by whom it goes to: many clients with a question each are what a server is for.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, MAX_PARTIES, MAX_SCOPES, scope},
    measure::{Distinct, digest},
    sentence::Sentence,
};
use model::{FlowUpdate, Party, Phase, Protocol, Role, Severity, Tactic, Technique, Timestamp, Visibility};
use std::net::IpAddr;

const WINDOW_MICROS: i64 = 60_000_000;
/// At the victim: servers, datagrams and bytes within a minute, and the mean size of a datagram.
const SERVERS: u64 = 5;
const DATAGRAMS: u64 = 100;
const BYTES: u64 = 50_000;
const MEAN_SIZE: u64 = 150;
/// How much more it must be between the same ports.
const EXPORT: u64 = 10;
/// At the reflector: requests and answered bytes within a minute, and how much larger the answers are.
const REQUESTS: u64 = 60;
const ANSWERED: u64 = 100_000;
const FACTOR: u64 = 5;
/// Mean size of a request: what asks for much with little.
const REQUEST_SIZE: u64 = 200;
/// The first answer of a flow that amplifies: how much larger than its question, in halves, and how large. Further answers
/// to the same question may follow.
const FIRST_FACTOR: u64 = 3;
const FIRST_SIZE: u64 = 200;
const SUMMED_UP: u64 = 4;

struct Answers {
    start: Timestamp,
    last: Timestamp,
    servers: Distinct,
    listed: Vec<IpAddr>,
    datagrams: u64,
    bytes: u64,
    flows: u64,
    finding: Option<Handle>,
}

struct Questions {
    start: Timestamp,
    requests: u64,
    asked: u64,
    answered: u64,
    clients: Distinct,
    listed: Vec<IpAddr>,
    flows: u64,
    finding: Option<Handle>,
}

pub(super) struct Reflection {
    victims: Bounded<(IpAddr, u16), Answers>,
    /// By service, and by the network that it answers.
    reflectors: Bounded<(IpAddr, u16, IpAddr), Questions>,
    /// Flows that amplify.
    amplifying: Bounded<u64, ()>,
}

impl Reflection {
    pub(super) fn new() -> Self {
        Self {
            victims: Bounded::new(1 << 13),
            reflectors: Bounded::new(1 << 12),
            amplifying: Bounded::new(1 << 14),
        }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.victims.forgotten() + self.reflectors.forgotten()
    }

    pub(super) fn flow(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let key = &flow.key;
        let hosts = context.hosts;
        if hosts.is_home(key.src) {
            return;
        }
        // A flow that the server opened is an answer that nobody asked for, unless its question just was not seen.
        let unasked = flow.total.packets_in == 0 && !hosts.pair(key.dst, key.src).answered;
        let streams = matches!(key.src_port, 443 | 3478 | 4500) && flow.visibility == Visibility::OneWay;
        // Fragments whose beginning was not seen tell nothing about the service.
        if key.src_port == 0 {
            return;
        }
        if unasked && !streams {
            self.answer(flow, context);
        } else if flow.delta.packets_in > 0 && hosts.is_home(key.dst) && key.dst_port != 443 {
            self.question(flow, context);
        }
    }

    fn answer(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let key = &flow.key;
        let fresh = || Answers {
            start: flow.first,
            last: flow.last,
            servers: Distinct::default(),
            listed: Vec::new(),
            datagrams: 0,
            bytes: 0,
            flows: 0,
            finding: None,
        };
        let victim = (key.dst, key.src_port);
        let answers = self.victims.entry(victim, fresh);
        if flow.last.micros_since(answers.last) > WINDOW_MICROS
            || (answers.finding.is_none() && flow.last.micros_since(answers.start) > WINDOW_MICROS)
        {
            *answers = fresh();
        }
        answers.last = answers.last.max(flow.last);
        answers.datagrams += flow.delta.packets_out;
        answers.bytes += flow.delta.bytes_out;
        answers.flows += u64::from(flow.phase.opens());
        let newcomer = answers.servers.insert(digest(key.src));
        if newcomer && answers.listed.len() < MAX_SCOPES {
            answers.listed.push(key.src);
        }
        let whole = answers.datagrams > 0 && answers.bytes / answers.datagrams >= MEAN_SIZE;
        // Exporters of logs and measurements send from the port that they send to.
        let times = if key.src_port == key.dst_port { EXPORT } else { 1 };
        let enough = answers.servers.count() >= SERVERS
            && answers.datagrams >= DATAGRAMS * times
            && answers.bytes >= BYTES * times;
        if let Some(handle) = answers.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (bytes, flows, last) = (answers.bytes, answers.flows, answers.last);
            let said = answers.sentence(victim);
            let party = newcomer.then(|| context.hosts.party(key.src, None, Role::Reflector));
            context.findings.extend(handle, last, |finding| {
                finding.value = bytes as f64;
                finding.flows = flows;
                if let Some(party) = party {
                    add_reflector(&mut finding.parties, &mut finding.parties_omitted, party);
                    if finding.scopes.len() < MAX_SCOPES {
                        finding.scopes.push(of_reflector(party.address, victim.0, finding.first, last));
                    }
                }
            });
            context.findings.say(handle, said);
        } else if whole && enough {
            answers.finding = context.state(answers.draft(victim, context));
            self.victims.promote(&victim);
        }
    }

    fn question(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let key = &flow.key;
        // The question came before the answer that makes it one: with the first answer, all so far counts.
        let first = flow.delta.packets_in == flow.total.packets_in;
        let counts = if first { flow.total } else { flow.delta };
        // A log's summary tells of a dialogue and of its first exchange alike: only short ones are judged by it.
        let dialogue = flow.phase == Phase::Summary && counts.packets_out > SUMMED_UP;
        if first
            && !dialogue
            && counts.bytes_in * 2 >= counts.bytes_out * FIRST_FACTOR
            && counts.bytes_in >= counts.packets_in * FIRST_SIZE
        {
            self.amplifying.entry(flow.id, || ());
        }
        if self.amplifying.get_mut(&flow.id).is_none() {
            return;
        }
        let fresh = || Questions {
            start: flow.first,
            requests: 0,
            asked: 0,
            answered: 0,
            clients: Distinct::default(),
            listed: Vec::new(),
            flows: 0,
            finding: None,
        };
        let service = (key.dst, key.dst_port, super::network(key.src));
        let questions = self.reflectors.entry(service, fresh);
        if questions.finding.is_none() && flow.last.micros_since(questions.start) > WINDOW_MICROS {
            *questions = fresh();
        }
        questions.requests += counts.packets_out;
        questions.asked += counts.bytes_out;
        questions.answered += counts.bytes_in;
        questions.flows += u64::from(flow.phase.opens());
        if questions.clients.insert(digest(key.src)) && questions.listed.len() < 16 {
            questions.listed.push(key.src);
        }
        let much_for_little = questions.answered >= questions.asked * FACTOR
            && questions.asked <= questions.requests * REQUEST_SIZE;
        if let Some(handle) = questions.finding.filter(|&handle| context.findings.is_open(handle)) {
            let answered = questions.answered;
            context
                .findings
                .extend(handle, flow.last, |finding| finding.value = finding.value.max(answered as f64));
        } else if questions.requests >= REQUESTS && questions.answered >= ANSWERED && much_for_little {
            questions.finding = context.state(questions.draft(service, flow.last, context));
            self.reflectors.promote(&service);
        }
    }
}

fn add_reflector(parties: &mut Vec<Party>, omitted: &mut u64, party: Party) {
    if parties.len() < MAX_PARTIES {
        parties.push(party);
    } else {
        *omitted += 1;
    }
}

/// All that a reflector sends to the victim by UDP; late fragments carry no port.
fn of_reflector(reflector: IpAddr, victim: IpAddr, first: Timestamp, last: Timestamp) -> model::FlowScope {
    scope(Some(reflector), Some(victim), None, Some(Protocol::UDP), first, last)
}

impl Answers {
    fn sentence(&self, (victim, port): (IpAddr, u16)) -> Sentence {
        let (bytes, datagrams) = (self.bytes, self.datagrams);
        Sentence::Answers { victim, port, bytes, datagrams, servers: self.servers.count() }
    }

    fn draft(&self, victim: (IpAddr, u16), context: &Context<'_>) -> Draft {
        let mut parties = vec![context.hosts.party(victim.0, None, Role::Victim)];
        let mut omitted = 0;
        for &server in &self.listed {
            add_reflector(&mut parties, &mut omitted, context.hosts.party(server, None, Role::Reflector));
        }
        Draft {
            detector: "amplification",
            anchor: format!("{} {}", victim.0, victim.1),
            severity: Severity::High,
            confidence: 90,
            stage: Tactic::Impact,
            technique: Technique::new("T1498.002"),
            method: format!("amplification by port {}", victim.1),
            first: self.start,
            last: self.last,
            parties,
            why: self.sentence(victim).to_string(),
            value: self.bytes as f64,
            threshold: BYTES as f64,
            record: context.record,
            scopes: self
                .listed
                .iter()
                .map(|&server| of_reflector(server, victim.0, self.start, self.last))
                .collect(),
            flows: self.flows,
            supporting: false,
        }
    }
}

impl Questions {
    fn draft(&self, service: (IpAddr, u16, IpAddr), last: Timestamp, context: &Context<'_>) -> Draft {
        let mut parties = vec![context.hosts.party(service.0, None, Role::Reflector)];
        parties.extend(self.listed.iter().map(|&client| context.hosts.party(client, None, Role::Victim)));
        Draft {
            detector: "reflector",
            anchor: format!("{} {} {}", service.0, service.1, service.2),
            severity: Severity::High,
            confidence: 75,
            stage: Tactic::Impact,
            technique: Technique::new("T1498.002"),
            method: format!("amplification by port {}", service.1),
            first: self.start,
            last,
            parties,
            why: format!(
                "port {}/udp of {} answered {} bytes to {} bytes of requests that bear the addresses of {} hosts outside",
                service.1,
                service.0,
                self.answered,
                self.asked,
                self.clients.count()
            ),
            value: self.answered as f64,
            threshold: ANSWERED as f64,
            record: context.record,
            scopes: vec![scope(
                None,
                Some(service.0),
                Some(service.1),
                Some(Protocol::UDP),
                self.start,
                last,
            )],
            flows: self.flows,
            supporting: false,
        }
    }
}
