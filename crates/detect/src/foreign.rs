//! Other tools' alerts and honeypots' observations, told in the same incidents.
//!
//! An alert weighs what its rule proves: a bad name alone is low however many rules know it; a rule about a protocol's
//! form, or about policy, is no attack; nothing becomes critical on a rule's name. A honeypot's visitor is an attacker by
//! definition; what it did tells a guesser from a loader.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, exactly},
};
use model::{Alert, FlowKey, Honeypot, HoneypotAct, Proof, Protocol, Role, Severity, Tactic, Technique};
use std::net::IpAddr;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Rule {
    src: IpAddr,
    dst: IpAddr,
    class: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Deed {
    Visit,
    Guess,
    GetIn,
    Load,
    Relay,
}

/// Takes in what others noticed.
pub(crate) struct Foreign {
    rules: Bounded<Rule, Option<Handle>>,
    deeds: Bounded<(IpAddr, IpAddr, Deed), Option<Handle>>,
}

impl Foreign {
    pub(crate) fn new() -> Self {
        Self { rules: Bounded::new(1 << 14), deeds: Bounded::new(1 << 14) }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.rules.forgotten() + self.deeds.forgotten()
    }

    pub(crate) fn alert(&mut self, alert: &Alert, context: &mut Context<'_>) {
        if alert.noise {
            return;
        }
        let key = &alert.key;
        let class = crate::measure::digest(if alert.reputation { "reputation" } else { &alert.signature });
        let rule = Rule { src: key.src, dst: key.dst, class };
        let at = context.at;
        if let Some(handle) =
            self.rules.get(&rule).copied().flatten().filter(|&handle| context.findings.is_open(handle))
        {
            context.findings.extend(handle, at, |finding| {
                finding.value += 1.0;
                finding.flows += 1;
            });
            return;
        }
        let outward = context.hosts.is_home(key.src) && !context.hosts.is_home(key.dst);
        // A rule that knows a scanner by its name saw a scanner, whatever the rule's author thought of it.
        let cap =
            if alert.tactic == Some(Tactic::Reconnaissance) { Severity::Medium } else { Severity::High };
        let severity = if alert.reputation { Severity::Low } else { alert.severity.min(cap) };
        let proof = if alert.answered { Proof::Handshake } else { Proof::None };
        let mut attacker =
            context.hosts.party(key.src, None, if outward { Role::Infected } else { Role::Attacker });
        attacker.proof = attacker.proof.max(proof);
        let other = context.hosts.party(key.dst, None, if outward { Role::Controller } else { Role::Target });
        let stage = alert.tactic.unwrap_or(Tactic::Reconnaissance);
        let handle = context.state(Draft {
            detector: if alert.reputation { "foreign-reputation" } else { "foreign-alert" },
            anchor: format!("{} {} {}", key.src, key.dst, alert.signature),
            severity,
            confidence: if alert.reputation { 30 } else { 55 },
            stage,
            technique: alert.technique.clone().unwrap_or(Technique::new("T1595")),
            method: if alert.reputation { "reputation".into() } else { format!("alert {}", alert.category) },
            first: at,
            last: at,
            parties: vec![attacker, other],
            why: if alert.reputation {
                format!("{} has a bad name and sent something to {} ({})", key.src, key.dst, alert.signature)
            } else {
                format!("another sensor says of {} towards {}: {}", key.src, key.dst, alert.signature)
            },
            value: 1.0,
            threshold: 1.0,
            record: context.record,
            scopes: vec![exactly(key, at)],
            flows: 1,
            supporting: severity == Severity::Info,
        });
        *self.rules.entry(rule, || handle) = handle;
    }

    pub(crate) fn honeypot(&mut self, honeypot: &Honeypot, context: &mut Context<'_>) {
        let service = honeypot.service.as_str();
        let (client, server) = (honeypot.client, honeypot.server);
        let (deed, severity, confidence, stage, technique, what) = match &honeypot.act {
            HoneypotAct::Connected => {
                (Deed::Visit, Severity::Low, 50, Tactic::Reconnaissance, "T1595", "looked in".to_owned())
            }
            HoneypotAct::Refused(entry) => {
                let with = entry.as_ref().map(|entry| format!(" with {entry}")).unwrap_or_default();
                (
                    Deed::Guess,
                    Severity::Low,
                    90,
                    Tactic::CredentialAccess,
                    "T1110.001",
                    format!("guessed passwords{with}"),
                )
            }
            HoneypotAct::Accepted(entry) => {
                let with = entry.as_ref().map(|entry| format!(" with {entry}")).unwrap_or_default();
                (
                    Deed::GetIn,
                    Severity::Medium,
                    90,
                    Tactic::CredentialAccess,
                    "T1110.001",
                    format!("found a password that works{with}"),
                )
            }
            HoneypotAct::Command { loader: true, what } => (
                Deed::Load,
                Severity::Medium,
                95,
                Tactic::Execution,
                "T1059.004",
                format!("ran a botnet loader's commands ({what})"),
            ),
            HoneypotAct::Command { loader: false, .. } => return,
            HoneypotAct::Download(from) => {
                let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
                (
                    Deed::Load,
                    Severity::Medium,
                    95,
                    Tactic::Execution,
                    "T1105",
                    format!("brought a file{from}"),
                )
            }
            HoneypotAct::Relay => (
                Deed::Relay,
                Severity::Low,
                80,
                Tactic::CommandAndControl,
                "T1090",
                "tried to use it as a relay".to_owned(),
            ),
        };
        let at = context.at;
        let known = (client, server, deed);
        if let Some(handle) =
            self.deeds.get(&known).copied().flatten().filter(|&handle| context.findings.is_open(handle))
        {
            context.findings.extend(handle, at, |finding| finding.value += 1.0);
            return;
        }
        // The honeypot held a session with it.
        let visitor = context.hosts.party_to_talk(Protocol::TCP, client, Role::Attacker);
        let mut parties = vec![visitor];
        if !server.is_unspecified() {
            parties.push(context.hosts.party(server, None, Role::Target));
        }
        if let HoneypotAct::Download(Some(from)) = honeypot.act
            && from != client
        {
            parties.push(context.hosts.party(from, None, Role::Controller));
        }
        let key = FlowKey {
            src: client,
            dst: server,
            src_port: 0,
            dst_port: honeypot.port,
            protocol: honeypot.protocol,
        };
        let handle = context.state(Draft {
            detector: match deed {
                Deed::Visit => "honeypot-visit",
                Deed::Guess => "honeypot-guessing",
                Deed::GetIn => "honeypot-login",
                Deed::Load => "honeypot-loader",
                Deed::Relay => "honeypot-relay",
            },
            anchor: format!("{client} {server} {deed:?}", deed = deed as u8),
            severity,
            confidence,
            stage,
            technique: Technique::new(technique),
            method: format!("honeypot {service}"),
            first: at,
            last: at,
            parties,
            why: format!("{client} {what} at a honeypot ({service})"),
            value: 1.0,
            threshold: 1.0,
            record: context.record,
            scopes: vec![exactly(&key, at)],
            flows: 1,
            supporting: deed == Deed::Visit,
        });
        *self.deeds.entry(known, || handle) = handle;
    }
}
