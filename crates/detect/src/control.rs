//! Command and control: a device of ours takes orders from somebody outside.
//!
//! Regular contact alone is evidence, not an incident: cameras keep their clouds alive too. What tells an order-taker
//! is that its counterpart was never resolved, that it is tried again and again in vain, or that the keep-alive is
//! Mirai's; and what the device does besides. Name and time services are none.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle, scope},
    measure::Gaps,
    recon::{is_broadcast, is_directory},
};
use model::{
    FlowUpdate, Mac, Message, Outcome, Phase, Proof, Protocol, Role, Service, Severity, Tactic, Technique,
    Timestamp, Visibility,
};
use std::net::IpAddr;

/// Contacts that make a beacon, and its widest robust spread.
const BEACON_CONTACTS: u32 = 10;
const BEACON_SPREAD: f64 = 0.15;
const BEACON_MIN_GAP: f64 = 5.0;
/// Attempts in vain that are stubborn, and over how long.
const RETRIES: u64 = 10;
const RETRIES_SECONDS: f64 = 60.0;
/// What was silent for longer begins anew.
const DAY_MICROS: i64 = 86_400_000_000;
const RETRIES_UNNAMED: u64 = 100;
/// A connection that is held for the rare small message: for how long at least, with how many packets, and how many bytes
/// of payload a packet carries at most, its acknowledgements among them.
const HELD_SECONDS: f64 = 600.0;
const HELD_PACKETS: u64 = 10;
const HELD_BYTES: f64 = 4.0;
/// Mirai's keep-alive: two zero bytes, again and again, after a hello that begins 00 00 00 01.
const MIRAI_PINGS: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Channel {
    src: IpAddr,
    dst: IpAddr,
    port: u16,
    protocol: Protocol,
}

/// A connection that was kept for the rare small message: how long, and how much of payload a packet carried.
#[derive(Clone, Copy)]
struct Held {
    seconds: f64,
    per_packet: f64,
}

#[derive(Default)]
struct State {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    contacts: Gaps,
    keep_alive: Gaps,
    keep_alive_digest: u64,
    attempts: u64,
    failed: u64,
    completed: u64,
    sizes: Option<(u64, u64)>,
    hello: bool,
    pings: u32,
    ping_gaps: Gaps,
    irc: bool,
    /// Both ends were seen to hear each other.
    met: bool,
    /// What the device's last packets bore.
    mac: Option<Mac>,
    /// A log told of a connection that was held open and hardly used.
    held: Option<Held>,
    finding: Option<Handle>,
    strength: u8,
}

/// Detects command and control.
pub(crate) struct Control {
    channels: Bounded<Channel, State>,
}

/// What makes a channel suspicious, in ascending strength.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Beacon = 1,
    KeepAlive = 2,
    Irc = 3,
    Retries = 4,
    Mirai = 5,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self { channels: Bounded::new(1 << 16) }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.channels.forgotten()
    }

    pub(crate) fn flow(&mut self, flow: &FlowUpdate, flooding: bool, context: &mut Context<'_>) {
        let key = &flow.key;
        let counts =
            matches!(key.protocol, Protocol::TCP | Protocol::UDP) && !is_routine(key.protocol, key.dst_port);
        if flooding
            || !counts
            || !context.hosts.is_home(key.src)
            || context.hosts.is_home(key.dst)
            || key.dst.is_multicast()
            || is_broadcast(key.dst)
        {
            return;
        }
        // Packets in somebody's name prove nothing about them.
        if flow.src_mac.is_some() && context.hosts.proof(key.src, flow.src_mac) == Proof::None {
            return;
        }
        // A connection that was there before the recording began says nothing about how it was opened.
        if key.protocol == Protocol::TCP && flow.total.syns == 0 {
            return;
        }
        let channel = Channel { src: key.src, dst: key.dst, port: key.dst_port, protocol: key.protocol };
        let state = self.channels.entry(channel, State::default);
        if state.last.is_some_and(|last| flow.first.micros_since(last) > DAY_MICROS) {
            *state = State::default();
        }
        state.last = state.last.max(Some(flow.last));
        if flow.phase.opens() {
            state.first.get_or_insert(flow.first);
            state.contacts.contact(flow.first);
            state.attempts += 1;
        } else if flow.delta.payload_out > 0 {
            // A conversation that is kept alive in one flow beats as well.
            state.contacts.contact(flow.last);
        }
        match flow.outcome {
            outcome if outcome.failed() && flow.visibility != Visibility::OneWay => {
                state.failed += u64::from(matches!(flow.phase, Phase::Changed | Phase::Summary));
            }
            Outcome::Established if flow.phase.closes() => {
                state.completed += 1;
                let size = flow.total.payload_out;
                let (least, most) = state.sizes.unwrap_or((size, size));
                state.sizes = Some((least.min(size), most.max(size)));
            }
            _ => {}
        }
        state.met |= key.protocol == Protocol::TCP && flow.outcome == Outcome::Established;
        state.mac = flow.src_mac.or(state.mac);
        state.held = Held::of(flow).or(state.held);
        state.irc |= flow.service == Service::Irc;
        if state.attempts >= 2 {
            self.channels.promote(&channel);
        }
        self.judge(channel, context);
    }

    pub(crate) fn message(&mut self, message: &Message, context: &mut Context<'_>) {
        let key = &message.key;
        if !message.outward || !context.hosts.is_home(key.src) || context.hosts.is_home(key.dst) {
            return;
        }
        let channel = Channel { src: key.src, dst: key.dst, port: key.dst_port, protocol: key.protocol };
        let state = self.channels.entry(channel, State::default);
        state.first.get_or_insert(context.at);
        // Over TCP nothing is heard before both ends hear each other.
        state.met |= key.protocol == Protocol::TCP;
        let is = |bytes: &[u8]| {
            message.length as usize == bytes.len() && message.digest == Message::digest_of(bytes)
        };
        state.hello |= message.number <= 2 && is(&[0, 0, 0, 1]);
        if is(&[0, 0]) {
            state.pings += 1;
            state.ping_gaps.contact(context.at);
        }
        if state.keep_alive_digest == message.digest {
            state.keep_alive.contact(context.at);
        } else if state.keep_alive.contacts() < 3 {
            state.keep_alive_digest = message.digest;
            state.keep_alive = Gaps::default();
            state.keep_alive.contact(context.at);
        }
        self.channels.promote(&channel);
        self.judge(channel, context);
    }

    fn judge(&mut self, channel: Channel, context: &mut Context<'_>) {
        let Some(state) = self.channels.get_mut(&channel) else { return };
        let Some(sign) = state.sign(channel, context) else { return };
        // Regular contact with a destination that was looked up is what clouds are for.
        if sign <= Sign::KeepAlive && context.hosts.was_resolved(channel.dst) {
            return;
        }
        let at = context.at;
        if let Some(handle) = state.finding.filter(|&handle| context.findings.is_open(handle)) {
            let (attempts, failed) = (state.attempts, state.failed);
            let stands_alone = sign == Sign::Retries && state.failed == RETRIES_UNNAMED;
            let stronger = sign as u8 > state.strength || stands_alone;
            let draft = stronger.then(|| state.draft(channel, sign, context));
            state.strength = state.strength.max(sign as u8);
            context.findings.extend(handle, at, |finding| {
                finding.flows = attempts.max(finding.flows);
                if let Some(draft) = draft {
                    finding.severity = draft.severity;
                    finding.confidence = draft.confidence;
                    finding.why = draft.why;
                    finding.value = draft.value;
                    finding.threshold = draft.threshold;
                    finding.parties = draft.parties;
                    finding.supporting = draft.supporting;
                    finding.detector = draft.detector;
                    finding.record = draft.record;
                } else if finding.detector == "stubborn-retries" {
                    finding.value = failed as f64;
                }
            });
            return;
        }
        let draft = state.draft(channel, sign, context);
        state.strength = sign as u8;
        state.finding = context.state(draft);
    }
}

impl Held {
    /// What a log's summary of a flow tells about messages that nobody saw.
    fn of(flow: &FlowUpdate) -> Option<Self> {
        let seconds = flow.last.seconds_since(flow.first);
        let total = &flow.total;
        let per_packet = total.payload_out as f64 / total.packets_out.max(1) as f64;
        let held = flow.phase == Phase::Summary
            && flow.outcome == Outcome::Established
            && seconds >= HELD_SECONDS
            && total.packets_out >= HELD_PACKETS
            && total.payload_out > 0
            && total.payload_in > 0
            && per_packet <= HELD_BYTES;
        held.then_some(Self { seconds, per_packet })
    }
}

impl State {
    fn sign(&self, channel: Channel, context: &Context<'_>) -> Option<Sign> {
        let lasted = self.first.map_or(0.0, |first| context.at.seconds_since(first));
        // Protocols that count their messages' bytes in two send an empty one now and then, not by the clock.
        let by_clock = || {
            let rhythm = self.ping_gaps.regularity();
            rhythm.is_some_and(|(gap, spread)| gap >= BEACON_MIN_GAP && spread <= BEACON_SPREAD)
        };
        if self.pings >= 1 && (self.hello || (self.pings > MIRAI_PINGS + 2 && !self.irc && by_clock())) {
            return Some(Sign::Mirai);
        }
        // Tried in vain again and again, and never useful often enough to be somebody's cloud that is down.
        let in_vain = self.failed >= RETRIES && self.failed * 2 >= self.completed;
        if in_vain && lasted >= RETRIES_SECONDS && !context.hosts.was_resolved(channel.dst) {
            return Some(Sign::Retries);
        }
        if self.irc {
            return Some(Sign::Irc);
        }
        let regular = |gaps: &Gaps| {
            gaps.contacts() >= BEACON_CONTACTS
                && gaps
                    .regularity()
                    .is_some_and(|(gap, spread)| gap >= BEACON_MIN_GAP && spread <= BEACON_SPREAD)
        };
        if regular(&self.keep_alive) {
            return Some(Sign::KeepAlive);
        }
        if self.held.is_some() {
            return Some(Sign::KeepAlive);
        }
        let alike = self.sizes.is_none_or(|(least, most)| most <= least * 2 + 64);
        (alike && regular(&self.contacts)).then_some(Sign::Beacon)
    }

    fn draft(&self, channel: Channel, sign: Sign, context: &Context<'_>) -> Draft {
        let Channel { src, dst, port, protocol } = channel;
        let hosts = context.hosts;
        let resolved = hosts.was_resolved(dst);
        let names_seen = hosts.asks_dns(src);
        let first = self.first.unwrap_or(context.at);
        let lasted = context.at.seconds_since(first);
        let name = match (resolved, names_seen) {
            (true, _) => ", a destination that it had resolved",
            (false, true) => ", a destination that it never resolved",
            (false, false) => "",
        };
        let whom = format!("{dst} ({port}/{protocol}){name}");
        let rhythm = |gaps: &Gaps| gaps.regularity().unwrap_or_default();
        let (detector, severity, confidence, supporting, technique, why, value, threshold) = match sign {
            Sign::Mirai => (
                "mirai-keep-alive",
                Severity::High,
                90,
                false,
                "T1095",
                format!("{src} sends the keep-alive of Mirai to {whom}"),
                f64::from(self.pings),
                f64::from(MIRAI_PINGS),
            ),
            Sign::Retries => (
                "stubborn-retries",
                Severity::Low,
                45,
                // Where no names are seen at all, a destination that never answered speaks for itself only in time.
                !names_seen && (self.completed > 0 || self.failed < RETRIES_UNNAMED),
                "T1571",
                format!("{src} tried {} times in vain within {lasted:.0} s to reach {whom}", self.failed),
                self.failed as f64,
                RETRIES as f64,
            ),
            Sign::Irc => (
                "irc",
                Severity::Low,
                40,
                true,
                "T1071.003",
                format!("{src} speaks IRC with {whom}"),
                1.0,
                1.0,
            ),
            Sign::KeepAlive if let Some(Held { seconds, per_packet }) = self.held => {
                let why = format!(
                    "{src} kept a connection to {whom} for {seconds:.0} s and said {per_packet:.1} bytes a packet in it"
                );
                ("keep-alive", Severity::Info, 25, true, "T1071", why, per_packet, HELD_BYTES)
            }
            Sign::KeepAlive => {
                let (gap, spread) = rhythm(&self.keep_alive);
                let why = format!(
                    "{src} sends the same small message to {whom} every {gap:.0} s (spread {:.0} %)",
                    spread * 100.0
                );
                ("keep-alive", Severity::Info, 30, true, "T1071", why, spread, BEACON_SPREAD)
            }
            Sign::Beacon => {
                let (gap, spread) = rhythm(&self.contacts);
                let why = format!("{src} contacts {whom} every {gap:.0} s (spread {:.0} %)", spread * 100.0);
                ("beacon", Severity::Info, 25, true, "T1071", why, spread, BEACON_SPREAD)
            }
        };
        let infected = if supporting { Role::Target } else { Role::Infected };
        let party = |address, mac, role| {
            let mut party = hosts.party(address, mac, role);
            if self.met {
                party.proof = party.proof.max(Proof::Handshake);
            }
            party
        };
        let device = party(src, self.mac, infected);
        // Somebody's cloud is not called a controller for being called regularly.
        let mut parties = vec![device];
        if !resolved {
            parties.push(party(dst, None, Role::Controller));
        }
        Draft {
            detector,
            anchor: format!("{src} {dst} {port} {protocol}"),
            severity,
            confidence,
            stage: Tactic::CommandAndControl,
            technique: Technique::new(technique),
            method: "control".into(),
            first,
            last: context.at,
            parties,
            why,
            value,
            threshold,
            record: context.record,
            scopes: vec![scope(Some(src), Some(dst), Some(port), Some(protocol), first, context.at)],
            flows: self.attempts,
            supporting,
        }
    }
}

/// Whom every device calls for its configuration, names and time.
const fn is_routine(protocol: Protocol, port: u16) -> bool {
    is_directory(protocol, port) || matches!((protocol, port), (Protocol::UDP, 67 | 5353))
}
