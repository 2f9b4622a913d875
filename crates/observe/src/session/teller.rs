//! What a session has learned, told as events: each hint and each rule once, in bounded number, cleaned.
//!
//! Guarantees: a hint is printable and at most 128 characters; a session tells at most sixteen hints and each
//! transfer rule once; no event holds payload or a password.

use super::{FlowContext, digest, factory};
use model::{
    AppRequest, EventKind, Hint, HintKind, Login, LoginOutcome, Mac, Service, Transfer, TransferKind,
};
use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::OnceLock,
};

const HINTS: usize = 16;
const TRANSFERS: usize = 12;
const HINT_LENGTH: usize = 128;

/// What was told already, as digests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    hints: [u32; HINTS],
    hint_count: u8,
    transfers: [u32; TRANSFERS],
    transfer_count: u8,
}

/// Where events go, and what they are about.
pub(super) struct Teller<'a> {
    pub(super) flow: &'a FlowContext,
    pub(super) service: Service,
    /// The client is the flow's originator, as far as the talk shows it.
    pub(super) client_outward: bool,
    pub(super) told: &'a mut Told,
    pub(super) emit: &'a mut dyn FnMut(EventKind),
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// One attempt to log in: of what was typed only the list entry is left, and what tells it from another attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) factory: Option<&'static str>,
    secret: Option<u64>,
}

impl Attempt {
    /// Name and password are sealed, or were lost.
    pub(super) const UNSEEN: Self = Self { factory: None, secret: None };

    pub(super) fn of(user: &[u8], password: &[u8]) -> Self {
        /// Nobody who reads a digest can try passwords against it: its key is never told and dies with the process.
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let secret = KEY.get_or_init(RandomState::new).hash_one((user, password));
        Self { factory: factory::matching_bytes(user, password), secret: Some(secret) }
    }
}

impl Teller<'_> {
    pub(super) const fn address(&self, side: Side) -> IpAddr {
        if self.is_outward(side) { self.flow.key.src } else { self.flow.key.dst }
    }

    const fn mac(&self, side: Side) -> Option<Mac> {
        if self.is_outward(side) { self.flow.src_mac } else { self.flow.dst_mac }
    }

    const fn is_outward(&self, side: Side) -> bool {
        matches!(side, Side::Client) == self.client_outward
    }

    pub(super) fn login(&mut self, attempt: Attempt, outcome: LoginOutcome) {
        let (flow, key, service) = (self.flow.id, self.flow.key, self.service);
        let factory = attempt.factory.map(str::to_owned);
        let secret = attempt.secret;
        (self.emit)(EventKind::Login(Login { flow, key, service, outcome, factory, secret }));
    }

    /// Code on its way to `to`; each rule is told once in a flow.
    pub(super) fn transfer(&mut self, to: Side, kind: TransferKind, what: &str) {
        let mark = digest(what.as_bytes()) as u32 ^ u32::from(to == Side::Client);
        if !remember(&mut self.told.transfers, &mut self.told.transfer_count, mark) {
            return;
        }
        let (from, to) = (self.address(to.other()), self.address(to));
        let (flow, key, service) = (self.flow.id, self.flow.key, self.service);
        let what = what.chars().take(80).collect();
        (self.emit)(EventKind::Transfer(Transfer { flow, key, to, from, kind, service, what }));
    }

    pub(super) fn request(&mut self, request: Asked<'_>) {
        let host = request.host.map(|host| clean(host, HINT_LENGTH)).filter(|host| !host.is_empty());
        (self.emit)(EventKind::Request(AppRequest {
            flow: self.flow.id,
            key: self.flow.key,
            service: self.service,
            method: request.method.to_owned(),
            host,
            path_digest: request.path_digest,
            status: request.status,
            scanner: request.scanner.map(str::to_owned),
        }));
    }

    /// Something about the device on one side.
    pub(super) fn hint(&mut self, about: Side, kind: HintKind, value: &[u8]) {
        let (address, mac) = (Some(self.address(about)), self.mac(about));
        self.hint_of(address, mac, kind, value);
    }

    pub(super) fn hint_of(
        &mut self,
        address: Option<IpAddr>,
        mac: Option<Mac>,
        kind: HintKind,
        value: &[u8],
    ) {
        let value = clean(value, HINT_LENGTH);
        if value.is_empty() {
            return;
        }
        let who =
            mac.map_or(0, |mac| digest(&mac.0)) as u32 ^ u32::from(address == Some(self.flow.key.src)) << 8;
        let mark = (digest(value.as_bytes()) as u32).wrapping_add(kind as u32) ^ who;
        if remember(&mut self.told.hints, &mut self.told.hint_count, mark) {
            (self.emit)(EventKind::Hint(Hint { address, mac, kind, value }));
        }
    }

    /// Forgets which hints were told, keeping the bound on each further lot: for flows that many devices share.
    pub(super) const fn forget_hints_when_full(&mut self) {
        if self.told.hint_count as usize >= HINTS {
            self.told.hint_count = 0;
        }
    }

    pub(super) fn tell(&mut self, event: EventKind) {
        (self.emit)(event);
    }
}

impl Told {
    /// Nothing was told yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.hint_count == 0 && self.transfer_count == 0
    }

    /// No further hint will be told.
    pub(super) const fn hints_are_full(&self) -> bool {
        self.hint_count as usize >= HINTS
    }
}

/// A request or an answer to one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) host: Option<&'a [u8]>,
    pub(super) path_digest: u64,
    pub(super) status: Option<u16>,
    pub(super) scanner: Option<&'a str>,
}

fn remember<const N: usize>(marks: &mut [u32; N], count: &mut u8, mark: u32) -> bool {
    let known = marks.iter().take(usize::from(*count)).any(|known| *known == mark);
    match marks.get_mut(usize::from(*count)) {
        Some(slot) if !known => {
            *slot = mark;
            *count += 1;
            true
        }
        _ => false,
    }
}

/// Printable text of at most `limit` characters; runs of anything else become one space.
pub(super) fn clean(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes.get(..limit * 4).unwrap_or(bytes)).chars() {
        let printable = !character.is_control() && character != char::REPLACEMENT_CHARACTER;
        if printable && character != ' ' {
            text.push(character);
        } else if !text.ends_with(' ') && !text.is_empty() {
            text.push(' ');
        }
    }
    let end = text.char_indices().nth(limit).map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    text.truncate(text.trim_end().len());
    text
}

/// Overwrites what held a password before it is let go.
pub(super) fn wipe(secret: &mut Vec<u8>) {
    secret.fill(0);
    std::hint::black_box(&mut *secret);
    secret.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_printable_and_short() {
        assert_eq!(clean(b"  Camera\x00\x01 v1\r\n", 128), "Camera v1");
        assert_eq!(clean(b"\xff\xfe", 128), "");
        assert_eq!(clean("é".repeat(300).as_bytes(), 128).chars().count(), 128);
    }
}
