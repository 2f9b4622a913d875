//! Credential access: somebody guesses passwords, or gets in with one that everybody knows.
//!
//! A person mistypes three times; a program tries on. What counts is refused attempts of one client at one service of
//! one server, over one server or many, and whether what was tried stands on the list of factory passwords. Over an
//! encrypted connection only the shape is seen: success there is "possible".

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, MAX_PARTIES, exactly, scope},
    measure::{Distinct, digest},
};
use model::{
    AppRequest, FlowKey, FlowUpdate, Login, LoginOutcome, Outcome, Phase, Role, Service, Severity, Tactic,
    Technique, Timestamp,
};
use std::net::IpAddr;

/// Refused attempts that make guessing: within ten minutes, within a day.
const REFUSED_SOON: u32 = 6;
const REFUSED_DAY: u32 = 20;
/// Different factory entries tried suffice earlier.
const FACTORY_TRIED: u64 = 3;
/// Encrypted attempts carry up to three tries each but prove less.
const SEALED_SOON: u32 = 6;
const SOON_MICROS: i64 = 600_000_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// Short encrypted sessions in a log, by their payload from the client in bytes.
const SHORT_SESSION: std::ops::RangeInclusive<u64> = 200..=8_000;

#[derive(Default)]
struct Window {
    start: Option<Timestamp>,
    refused: u32,
    sealed: u32,
}

impl Window {
    fn roll(&mut self, at: Timestamp, span: i64) {
        if self.start.is_none_or(|start| at.micros_since(start) > span) {
            *self = Self { start: Some(at), ..Self::default() };
        }
    }
}

#[derive(Default)]
struct Guessing {
    soon: Window,
    day: Window,
    factory: Distinct,
    servers: Distinct,
    finding: Option<Handle>,
    first: Option<Timestamp>,
    attempts: u64,
    got_in: bool,
    last_flow: u64,
    last: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    address: IpAddr,
    /// One server, or unset for all.
    server: Option<IpAddr>,
    service: Service,
}

/// Detects guessing and factory passwords.
pub(crate) struct Credential {
    clients: Bounded<Client, Guessing>,
}

/// One attempt as it is counted.
struct Attempt<'a> {
    flow: u64,
    key: FlowKey,
    service: Service,
    outcome: LoginOutcome,
    factory: Option<&'a str>,
    sealed: bool,
}

impl Credential {
    pub(crate) fn new() -> Self {
        Self { clients: Bounded::new(1 << 15) }
    }

    pub(crate) fn login(&mut self, login: &Login, context: &mut Context<'_>) {
        let attempt = Attempt {
            flow: login.flow,
            key: login.key,
            service: login.service,
            outcome: login.outcome,
            factory: login.factory.as_deref(),
            sealed: login.service == Service::Ssh,
        };
        self.attempt(&attempt, context);
    }

    /// Logs of other tools name the service of a session without its logins.
    pub(crate) fn flow(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        let login_service = matches!(flow.service, Service::Ssh | Service::Telnet | Service::Ftp);
        if flow.phase != Phase::Summary || !login_service || flow.outcome != Outcome::Established {
            return;
        }
        if SHORT_SESSION.contains(&flow.total.payload_out) && flow.last.seconds_since(flow.first) < 60.0 {
            self.sealed_session(flow.id, flow.key, flow.service, context);
        }
    }

    /// A session that another tool saw.
    pub(crate) fn request(&mut self, request: &AppRequest, context: &mut Context<'_>) {
        if request.service == Service::Ssh {
            self.sealed_session(request.flow, request.key, request.service, context);
        }
    }

    fn sealed_session(&mut self, flow: u64, key: FlowKey, service: Service, context: &mut Context<'_>) {
        let attempt =
            Attempt { flow, key, service, outcome: LoginOutcome::Tried, factory: None, sealed: true };
        self.attempt(&attempt, context);
    }

    fn attempt(&mut self, attempt: &Attempt<'_>, context: &mut Context<'_>) {
        let one =
            Client { address: attempt.key.src, server: Some(attempt.key.dst), service: attempt.service };
        let all = Client { server: None, ..one };
        match attempt.outcome {
            LoginOutcome::Accepted | LoginOutcome::Possible => self.got_in(one, attempt, context),
            LoginOutcome::Refused | LoginOutcome::Tried => {
                let told = self.count(one, attempt, context);
                if !told {
                    self.count(all, attempt, context);
                }
            }
        }
    }

    /// Counts a failed attempt. Whether it belongs to guessing that is told.
    fn count(&mut self, client: Client, attempt: &Attempt<'_>, context: &mut Context<'_>) -> bool {
        let at = context.at;
        let state = self.clients.entry(client, Guessing::default);
        if state.last.is_some_and(|last| at.micros_since(last) > DAY_MICROS) {
            *state = Guessing::default();
        }
        state.last = Some(at);
        // What happens inside an encrypted session is not seen: it counts once.
        if attempt.sealed
            && attempt.flow != 0
            && std::mem::replace(&mut state.last_flow, attempt.flow) == attempt.flow
        {
            return state.finding.is_some();
        }
        state.first.get_or_insert(at);
        state.attempts += 1;
        state.servers.insert(digest(attempt.key.dst));
        if let Some(entry) = attempt.factory {
            state.factory.insert(digest(entry));
        }
        for (window, span) in [(&mut state.soon, SOON_MICROS), (&mut state.day, DAY_MICROS)] {
            window.roll(at, span);
            if attempt.sealed {
                window.sealed += 1;
            } else {
                window.refused += 1;
            }
        }
        if let Some(handle) = state.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (attempts, servers) = (state.attempts, state.servers.count());
            extend(handle, client, attempt, attempts, servers, context);
            return true;
        }
        if state.attempts >= 2 {
            self.clients.promote(&client);
        }
        let Some(state) = self.clients.get_mut(&client) else { return false };
        let spread = if client.server.is_none() { 2 } else { 1 };
        let enough = state.soon.refused >= REFUSED_SOON * spread
            || state.day.refused >= REFUSED_DAY * spread
            || state.soon.sealed >= SEALED_SOON * spread
            || state.day.sealed >= REFUSED_DAY * spread
            || (state.factory.count() >= FACTORY_TRIED && state.day.refused >= FACTORY_TRIED as u32);
        // Many servers are only a pattern where it is several.
        if !enough || (client.server.is_none() && state.servers.count() < 3) {
            return false;
        }
        state.finding = context.findings.state(guessing(client, state, attempt, context));
        true
    }

    /// A login that worked.
    fn got_in(&mut self, client: Client, attempt: &Attempt<'_>, context: &mut Context<'_>) {
        let all = Client { server: None, ..client };
        let guessed = |state: Option<&Guessing>| state.is_some_and(|state| state.finding.is_some());
        let after_guessing = guessed(self.clients.get(&client)) || guessed(self.clients.get(&all));
        let (key, hosts) = (attempt.key, context.hosts);
        let (client_home, server_home) = (hosts.is_home(key.src), hosts.is_home(key.dst));
        let possible = attempt.outcome == LoginOutcome::Possible;
        if !after_guessing && attempt.factory.is_none() {
            return;
        }
        let state = self.clients.entry(client, Guessing::default);
        if std::mem::replace(&mut state.got_in, true) {
            return;
        }
        let entry =
            attempt.factory.map(|entry| format!(" with the factory password {entry}")).unwrap_or_default();
        let after = if after_guessing { " after guessing" } else { "" };
        let certainty = if possible { "was possibly let in" } else { "was let in" };
        let from_outside = !client_home;
        let (severity, confidence, supporting) = match (after_guessing, from_outside, possible) {
            (true, _, false) => (Severity::Critical, 95, false),
            (true, _, true) => (Severity::High, 60, false),
            (false, true, _) if server_home => (Severity::High, 85, false),
            // From inside it is bad practice, and a piece of a story if there is one.
            _ => (Severity::Low, 50, true),
        };
        // Getting in takes a device over; whether it is used shows in what it does next.
        let role = if possible || supporting { Role::Target } else { Role::Infected };
        let server = hosts.party_to_talk(key.protocol, key.dst, role);
        let visitor = hosts.party_to_talk(key.protocol, key.src, Role::Attacker);
        let parties = if supporting { vec![server] } else { vec![visitor, server] };
        let at = context.at;
        context.findings.state(Draft {
            detector: if after_guessing { "guessed-login" } else { "factory-login" },
            anchor: format!("{} {} {}", key.src, key.dst, attempt.service.as_str()),
            severity,
            confidence,
            stage: if from_outside { Tactic::CredentialAccess } else { Tactic::LateralMovement },
            technique: Technique::new(if attempt.factory.is_some() { "T1078.001" } else { "T1110.001" }),
            method: attempt.service.as_str().to_owned(),
            first: at,
            last: at,
            parties,
            why: format!(
                "{} {certainty} by {} over {}{entry}{after}",
                key.src,
                key.dst,
                attempt.service.as_str()
            ),
            value: 1.0,
            threshold: 1.0,
            record: context.record,
            scopes: vec![exactly(&key, at)],
            flows: 1,
            supporting,
        });
    }
}

fn extend(
    handle: Handle,
    client: Client,
    attempt: &Attempt<'_>,
    attempts: u64,
    servers: u64,
    context: &mut Context<'_>,
) {
    let (at, dst) = (context.at, attempt.key.dst);
    let target = context.hosts.party(dst, None, Role::Target);
    context.findings.extend(handle, at, |finding| {
        finding.value = attempts as f64;
        finding.flows += 1;
        finding.why = sentence(client, attempts, servers, attempt);
        if !finding.parties.iter().any(|party| party.address == dst) {
            if finding.parties.len() < MAX_PARTIES {
                finding.parties.push(target);
            } else {
                finding.parties_omitted += 1;
            }
        }
    });
}

fn sentence(client: Client, attempts: u64, servers: u64, attempt: &Attempt<'_>) -> String {
    let service = client.service.as_str();
    match client.server {
        Some(server) if attempt.sealed => {
            format!(
                "{} opened {attempts} short {service} sessions to {server}, as a password guesser does",
                client.address
            )
        }
        Some(server) => format!("{} was refused {attempts} times by {server} over {service}", client.address),
        None => {
            format!("{} was refused {attempts} times over {service} by {servers} servers", client.address)
        }
    }
}

fn guessing(client: Client, state: &Guessing, attempt: &Attempt<'_>, context: &Context<'_>) -> Draft {
    let hosts = context.hosts;
    let key = attempt.key;
    let first = state.first.unwrap_or(context.at);
    let inside = hosts.is_home(key.src);
    let role = if inside && !hosts.is_home(key.dst) { Role::Infected } else { Role::Attacker };
    let guesser = hosts.party_to_talk(key.protocol, key.src, role);
    let factory = state.factory.count();
    let mut why = sentence(client, state.attempts, state.servers.count(), attempt);
    if factory > 0 {
        why.push_str(&format!("; {factory} different entries of the factory password list were tried"));
    }
    Draft {
        detector: if client.server.is_some() { "password-guessing" } else { "password-spraying" },
        anchor: format!("{} {:?} {}", client.address, client.server, client.service.as_str()),
        severity: if inside { Severity::High } else { Severity::Medium },
        confidence: if attempt.sealed { 75 } else { 90 },
        stage: Tactic::CredentialAccess,
        technique: Technique::new(if client.server.is_some() { "T1110.001" } else { "T1110.003" }),
        method: client.service.as_str().to_owned(),
        first,
        last: context.at,
        parties: vec![guesser, hosts.party(key.dst, None, Role::Target)],
        why,
        value: state.attempts as f64,
        threshold: f64::from(if attempt.sealed { SEALED_SOON } else { REFUSED_SOON }),
        record: context.record,
        scopes: vec![scope(
            Some(key.src),
            client.server,
            Some(key.dst_port),
            Some(key.protocol),
            first,
            context.at,
        )],
        flows: state.attempts,
        supporting: false,
    }
}
