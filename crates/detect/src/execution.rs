//! Execution: code, or the commands that fetch it, on its way to a device.
//!
//! A program that comes in clear from an address which nobody resolved is how loaders work; one from a named server can
//! be an update, and is then evidence for a story that has other signs. Commands typed into a shell by a loader, and
//! shell commands injected into requests, are never an update.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, exactly},
    measure::{Distinct, digest},
};
use model::{AppRequest, Role, Service, Severity, Tactic, Technique, Timestamp, Transfer, TransferKind};
use std::net::IpAddr;

/// A server that gives the same to this many of ours rolls out an update.
const ROLL_OUT: u64 = 5;
/// What a device fetches so soon after a hidden command, it fetches because of it.
const OBEY_SECONDS: f64 = 300.0;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Delivery {
    to: IpAddr,
    from: IpAddr,
    kind: TransferKind,
}

/// Detects code on its way.
pub(crate) struct Execution {
    told: Bounded<Delivery, Option<Handle>>,
    receivers: Bounded<IpAddr, Distinct>,
    scanners: Bounded<(IpAddr, IpAddr), Option<Handle>>,
    injected: Bounded<IpAddr, Timestamp>,
    /// Whether the flow's last request named its server, or only wrote its address.
    by_name: Bounded<u64, bool>,
}

impl Execution {
    pub(crate) fn new() -> Self {
        Self {
            told: Bounded::new(1 << 13),
            receivers: Bounded::new(1 << 12),
            scanners: Bounded::new(1 << 12),
            injected: Bounded::new(1 << 12),
            by_name: Bounded::new(1 << 12),
        }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.told.forgotten()
            + self.receivers.forgotten()
            + self.scanners.forgotten()
            + self.injected.forgotten()
            + self.by_name.forgotten()
    }

    pub(crate) fn transfer(&mut self, transfer: &Transfer, context: &mut Context<'_>) {
        let hosts = context.hosts;
        let at = context.at;
        let delivery = Delivery { to: transfer.to, from: transfer.from, kind: transfer.kind };
        if let Some(handle) =
            self.told.get(&delivery).copied().flatten().filter(|&handle| context.findings.is_open(handle))
        {
            context.findings.extend(handle, at, |finding| finding.value += 1.0);
            return;
        }
        let receivers = self.receivers.entry(transfer.from, Distinct::default);
        receivers.insert(digest(transfer.to));
        let rolled_out = receivers.count() >= ROLL_OUT && hosts.is_home(transfer.from);
        let inward = hosts.is_home(transfer.to);
        // Where a device's questions for names are not seen, its request tells whether it knew one.
        let by_name = self.by_name.get(&transfer.flow).copied();
        let told = by_name == Some(false) || hosts.asks_dns(transfer.to) || transfer.service != Service::Http;
        let unnamed = !hosts.was_resolved(transfer.from) && by_name != Some(true) && told;
        // A device that fetches a program just after a command was hidden in a request to it obeyed.
        let obeyed = transfer.to == transfer.key.src
            && self
                .injected
                .get(&transfer.to)
                .is_some_and(|&told| (0.0..=OBEY_SECONDS).contains(&at.seconds_since(told)));
        if transfer.kind == TransferKind::InjectedCommand {
            *self.injected.entry(transfer.to, || at) = at;
        }
        let is_code =
            matches!(transfer.kind, TransferKind::Elf | TransferKind::Script | TransferKind::Executable);
        let (severity, confidence, supporting) = match transfer.kind {
            // Who fetches a file by hand from inside looks after the machine.
            TransferKind::TypedFetch if hosts.is_home(transfer.from) => (Severity::Low, 40, true),
            TransferKind::LoaderCommand | TransferKind::TypedFetch => (Severity::High, 90, false),
            TransferKind::InjectedCommand => (Severity::Medium, 85, false),
            TransferKind::Elf | TransferKind::Script | TransferKind::Executable if obeyed => {
                (Severity::High, 92, false)
            }
            TransferKind::Script if unnamed && !rolled_out => (Severity::High, 80, false),
            TransferKind::Elf if unnamed && !rolled_out && inward => (Severity::High, 70, false),
            _ => (Severity::Low, 40, true),
        };
        // A loader's shell session is a device that obeys; a fetched program or an injected command may come to nothing.
        let receiver = match transfer.kind {
            TransferKind::LoaderCommand | TransferKind::TypedFetch if !supporting => Role::Infected,
            _ if obeyed => Role::Infected,
            _ => Role::Target,
        };
        let party = |address, role| hosts.party_to_talk(transfer.key.protocol, address, role);
        let (what, technique) = describe(transfer.kind);
        let mut parties = vec![party(transfer.to, receiver)];
        if !supporting {
            parties.push(party(transfer.from, Role::Attacker));
        }
        let named = if is_code && unnamed { ", an address that no name was resolved to" } else { "" };
        let key = transfer.key;
        let handle = context.state(Draft {
            detector: "code-delivery",
            anchor: format!("{} {} {:?}", transfer.to, transfer.from, transfer.kind),
            severity,
            confidence,
            stage: if transfer.kind == TransferKind::InjectedCommand {
                Tactic::InitialAccess
            } else {
                Tactic::Execution
            },
            technique: Technique::new(technique),
            method: transfer.service.as_str().to_owned(),
            first: at,
            last: at,
            parties,
            why: format!(
                "{what} ({}) went from {} to {} over {}{named}",
                transfer.what,
                transfer.from,
                transfer.to,
                transfer.service.as_str()
            ),
            value: 1.0,
            threshold: 1.0,
            record: context.record,
            scopes: vec![exactly(&key, at)],
            flows: 1,
            supporting,
        });
        *self.told.entry(delivery, || handle) = handle;
        self.told.promote(&delivery);
    }

    /// A client that calls itself by a name which only scanners and bots use.
    pub(crate) fn request(&mut self, request: &AppRequest, context: &mut Context<'_>) {
        if let Some(host) = &request.host {
            *self.by_name.entry(request.flow, || false) = is_name(host);
        }
        let Some(name) = &request.scanner else { return };
        let (key, at) = (request.key, context.at);
        if let Some(handle) = self
            .scanners
            .get(&(key.src, key.dst))
            .copied()
            .flatten()
            .filter(|&handle| context.findings.is_open(handle))
        {
            context.findings.extend(handle, at, |finding| finding.value += 1.0);
            return;
        }
        let visitor = context.hosts.party_to_talk(key.protocol, key.src, Role::Attacker);
        let handle = context.state(Draft {
            detector: "scanner-name",
            anchor: format!("{} {}", key.src, key.dst),
            severity: Severity::Low,
            confidence: 60,
            stage: Tactic::Reconnaissance,
            technique: Technique::new("T1595.002"),
            method: "scanner".into(),
            first: at,
            last: at,
            parties: vec![visitor, context.hosts.party(key.dst, None, Role::Target)],
            why: format!(
                "{} asked {} over {} under a name that only scanners and bots use ({name})",
                key.src,
                key.dst,
                request.service.as_str()
            ),
            value: 1.0,
            threshold: 1.0,
            record: context.record,
            scopes: vec![exactly(&key, at)],
            flows: 1,
            supporting: false,
        });
        *self.scanners.entry((key.src, key.dst), || handle) = handle;
    }
}

/// A `Host` that is no address: `firmware.example:8080`, but neither `192.0.2.1:80` nor `[2001:db8::1]`.
fn is_name(host: &str) -> bool {
    let host = host.trim();
    let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
    !host.starts_with('[') && [host, bare].iter().all(|text| text.parse::<IpAddr>().is_err())
}

const fn describe(kind: TransferKind) -> (&'static str, &'static str) {
    match kind {
        TransferKind::Elf => ("an ELF program", "T1105"),
        TransferKind::Script => ("a script that fetches and runs more", "T1059.004"),
        TransferKind::LoaderCommand => ("a loader's shell command", "T1059.004"),
        TransferKind::TypedFetch => ("a shell command that fetches", "T1059.004"),
        TransferKind::InjectedCommand => ("a shell command hidden in a request", "T1190"),
        TransferKind::Executable => ("an executable", "T1105"),
    }
}
