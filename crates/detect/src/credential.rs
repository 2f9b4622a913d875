//! Credential access: somebody guesses passwords, or gets in with one that everybody knows.
//!
//! A person mistypes three times; a program tries on, and never the same twice. What counts is how many different
//! names and passwords of one client were refused by one service, of one server or of many, and whether what was tried
//! stands on the list of factory passwords. A machine whose password was changed, or whose server is out of order, says
//! the same again and again and guesses nothing. Where what is tried cannot be seen (Digest), only a pace that no
//! machine out of luck keeps up makes guessing; over SSH the shape alone is seen, and success is "possible".

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

/// Different logins refused that make guessing: within ten minutes, within a day.
const REFUSED_SOON: u64 = 6;
const REFUSED_DAY: u64 = 20;
/// One login tried at many servers is a machine with an old password.
const SPRAYED: u64 = 3;
/// Refused attempts within ten minutes of which it cannot be seen whether they differ.
const UNSEEN_SOON: u64 = 60;
/// More different things than this need not be told apart.
const TOLD_APART: u64 = 64;
/// Different factory entries tried suffice earlier.
const FACTORY_TRIED: u64 = 3;
/// Of a crowd that shares the work: different factory entries, and who tried them.
const CROWD: u64 = 8;
/// Encrypted attempts carry up to three tries each but prove less.
const SEALED_SOON: u64 = 6;
const SOON_MICROS: i64 = 600_000_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// Short encrypted sessions in a log, by their payload from the client in bytes.
const SHORT_SESSION: std::ops::RangeInclusive<u64> = 200..=8_000;

#[derive(Default)]
struct Window {
    start: Option<Timestamp>,
    /// Different logins that were refused; of many servers, each server's.
    refused: Distinct,
    unseen: u64,
    sealed: u64,
}

impl Window {
    fn roll(&mut self, at: Timestamp, span: i64) {
        if self.start.is_none_or(|start| at.micros_since(start) > span) {
            *self = Self { start: Some(at), ..Self::default() };
        }
    }

    fn count(&mut self, client: Client, attempt: &Attempt<'_>) {
        match attempt.secret {
            _ if attempt.sealed => self.sealed += 1,
            Some(secret) if self.refused.count() < TOLD_APART => {
                let server = client.server.is_none().then_some(attempt.key.dst);
                self.refused.insert(digest((server, secret)));
            }
            Some(_) => {}
            // What goes on at many servers unseen is a machine's own business with each of them.
            None => self.unseen += u64::from(client.server.is_some()),
        }
    }
}

#[derive(Default)]
struct Guessing {
    soon: Window,
    day: Window,
    factory: Distinct,
    tried: Distinct,
    servers: Distinct,
    /// Who tried, where nobody in particular is counted.
    guessers: Distinct,
    finding: Option<Handle>,
    first: Option<Timestamp>,
    attempts: u64,
    got_in: Option<Timestamp>,
    last_flow: u64,
    last: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    /// One client, or unset for all.
    address: Option<IpAddr>,
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
    secret: Option<u64>,
    sealed: bool,
}

impl Credential {
    pub(crate) fn new() -> Self {
        Self { clients: Bounded::new(1 << 15) }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.clients.forgotten()
    }

    pub(crate) fn login(&mut self, login: &Login, context: &mut Context<'_>) {
        let attempt = Attempt {
            flow: login.flow,
            key: login.key,
            service: login.service,
            outcome: login.outcome,
            factory: login.factory.as_deref(),
            secret: login.secret,
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
        let outcome = LoginOutcome::Tried;
        let attempt = Attempt { flow, key, service, outcome, factory: None, secret: None, sealed: true };
        self.attempt(&attempt, context);
    }

    fn attempt(&mut self, attempt: &Attempt<'_>, context: &mut Context<'_>) {
        let one = Client {
            address: Some(attempt.key.src),
            server: Some(attempt.key.dst),
            service: attempt.service,
        };
        let all = Client { server: None, ..one };
        let crowd = Client { address: None, ..one };
        match attempt.outcome {
            LoginOutcome::Accepted | LoginOutcome::Possible => self.got_in(one, attempt, context),
            // No answer is no refusal: servers fail as well.
            LoginOutcome::Tried if !attempt.sealed && attempt.factory.is_none() => {}
            LoginOutcome::Refused | LoginOutcome::Tried => {
                let told = self.count(one, attempt, context);
                if !told {
                    self.count(all, attempt, context);
                }
                if attempt.factory.is_some() {
                    self.count(crowd, attempt, context);
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
        if client.address.is_none() {
            state.guessers.insert(digest(attempt.key.src));
        }
        if let Some(entry) = attempt.factory {
            state.factory.insert(digest(entry));
        }
        if let Some(secret) = attempt.secret.filter(|_| state.tried.count() < TOLD_APART) {
            state.tried.insert(secret);
        }
        if let Some(handle) = state.finding.filter(|&handle| context.findings.is_open(handle)) {
            extend(handle, client, attempt, state, context);
            return true;
        }
        for (window, span) in [(&mut state.soon, SOON_MICROS), (&mut state.day, DAY_MICROS)] {
            window.roll(at, span);
            window.count(client, attempt);
        }
        if state.attempts >= 2 {
            self.clients.promote(&client);
        }
        let Some(state) = self.clients.get_mut(&client) else { return false };
        let spread = if client.server.is_none() { 2 } else { 1 };
        let shared = state.factory.count() >= CROWD && state.guessers.count() >= CROWD;
        let enough = state.soon.refused.count() >= REFUSED_SOON * spread
            || state.day.refused.count() >= REFUSED_DAY * spread
            || state.soon.unseen >= UNSEEN_SOON
            || state.soon.sealed >= SEALED_SOON * spread
            || state.day.sealed >= REFUSED_DAY * spread
            || state.factory.count() >= FACTORY_TRIED;
        // Many servers are only a pattern where it is several, and more than one login.
        let pattern = state.servers.count() >= 3 && (attempt.sealed || state.tried.count() >= SPRAYED);
        let told = match client {
            Client { address: None, .. } => shared,
            Client { server: None, .. } => enough && pattern,
            _ => enough,
        };
        if !told {
            return false;
        }
        state.finding = context.state(guessing(client, state, attempt, context));
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
        // Who comes back every day is told once.
        let before = state.got_in.replace(context.at);
        if before.is_some_and(|before| context.at.micros_since(before) <= DAY_MICROS) {
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
        context.state(Draft {
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
    state: &Guessing,
    context: &mut Context<'_>,
) {
    let (at, dst) = (context.at, attempt.key.dst);
    let target = context.hosts.party(dst, None, Role::Target);
    context.findings.extend(handle, at, |finding| {
        finding.value = state.value(attempt);
        finding.flows += 1;
        finding.why = state.sentence(client, attempt);
        if !finding.parties.iter().any(|party| party.address == dst) {
            if finding.parties.len() < MAX_PARTIES {
                finding.parties.push(target);
            } else {
                finding.parties_omitted += 1;
            }
        }
    });
}

impl Guessing {
    /// What is measured: different logins where they can be told apart, attempts elsewhere.
    fn value(&self, attempt: &Attempt<'_>) -> f64 {
        if attempt.secret.is_some() { self.tried.count() as f64 } else { self.attempts as f64 }
    }

    fn sentence(&self, client: Client, attempt: &Attempt<'_>) -> String {
        let (attempts, service) = (self.attempts, client.service.as_str());
        let address = client.address.map_or_else(
            || format!("a crowd of about {} addresses", self.guessers.count()),
            |client| client.to_string(),
        );
        let mut why = match client.server {
            Some(server) if attempt.sealed => format!(
                "{address} opened {attempts} short {service} sessions to {server}, as a password guesser does"
            ),
            Some(server) => format!("{address} was refused {attempts} times by {server} over {service}"),
            None => {
                let servers = self.servers.count();
                format!("{address} was refused {attempts} times over {service} by {servers} servers")
            }
        };
        match self.tried.count() {
            0 => {}
            TOLD_APART.. => why.push_str(&format!(" with {TOLD_APART} different logins or more")),
            tried => why.push_str(&format!(" with {tried} different logins")),
        }
        if self.factory.count() > 0 {
            let factory = self.factory.count();
            why.push_str(&format!("; {factory} different entries of the factory password list were tried"));
        }
        why
    }
}

fn guessing(client: Client, state: &Guessing, attempt: &Attempt<'_>, context: &Context<'_>) -> Draft {
    let hosts = context.hosts;
    let key = attempt.key;
    let first = state.first.unwrap_or(context.at);
    let inside = hosts.is_home(key.src);
    let role = if inside && !hosts.is_home(key.dst) { Role::Infected } else { Role::Attacker };
    let mut parties = vec![hosts.party(key.dst, None, Role::Target)];
    if client.address.is_some() {
        parties.insert(0, hosts.party_to_talk(key.protocol, key.src, role));
    }
    Draft {
        detector: if client.server.is_some() { "password-guessing" } else { "password-spraying" },
        anchor: format!("{:?} {:?} {}", client.address, client.server, client.service.as_str()),
        severity: if inside { Severity::High } else { Severity::Medium },
        confidence: if attempt.sealed { 75 } else { 90 },
        stage: Tactic::CredentialAccess,
        technique: Technique::new(if client.server.is_some() { "T1110.001" } else { "T1110.003" }),
        method: client.service.as_str().to_owned(),
        first,
        last: context.at,
        parties,
        why: state.sentence(client, attempt),
        value: state.value(attempt),
        threshold: match attempt.secret {
            _ if attempt.sealed => SEALED_SOON,
            None => UNSEEN_SOON,
            Some(_) => REFUSED_SOON,
        } as f64,
        record: context.record,
        scopes: vec![scope(
            client.address,
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
