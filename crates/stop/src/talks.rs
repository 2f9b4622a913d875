//! Who talked to whom of late: what the hits of a command are read from.
//!
//! Guarantees: bounded in all, per address and per victim; under a flood of flows that never answer only the
//! pressure counters move. Only answered flows count as talk: a scan makes no relation.

use model::{FlowUpdate, Outcome, Protocol, Service, Timestamp};
use std::{collections::HashMap, net::IpAddr};

/// One service that somebody uses at somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// Who opened.
    pub src: IpAddr,
    /// To whom.
    pub dst: IpAddr,
    /// The transport.
    pub protocol: Protocol,
    /// The responder's port.
    pub port: u16,
    /// The application protocol, where recognised.
    pub service: Service,
    /// Answered flows.
    pub flows: u64,
    /// Packets in both directions.
    pub packets: u64,
    /// Since when.
    pub first: Timestamp,
    /// Until when.
    pub last: Timestamp,
}

/// What comes at an address by one transport, answered or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// The transport.
    pub protocol: Protocol,
    /// Packets towards it.
    pub packets: u64,
    /// The port that most of them go to, where one has the majority.
    pub port: Option<u16>,
    /// The last of them.
    pub last: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    protocol: Protocol,
    port: u16,
}

#[derive(Clone, Copy, Debug)]
struct Load {
    packets: u64,
    port: u16,
    votes: u64,
    last: Timestamp,
}

/// Recent talk, bounded.
#[derive(Debug)]
pub struct Talks {
    talks: HashMap<Key, Talk>,
    of: HashMap<IpAddr, Vec<Key>>,
    loads: HashMap<(IpAddr, Protocol), Load>,
    capacity: usize,
    shed: u64,
}

/// The most talks that one address is remembered with, of those it opened, and again of those others opened to it: who
/// opens many cannot make it be forgotten who depends on it.
const PER_ADDRESS: usize = 128;

/// The most addresses whose load is counted.
const MAX_LOADS: usize = 8192;

/// A load is forgotten this long after its last packet.
const LOAD_SECONDS: f64 = 120.0;

/// A talk is forgotten this long after its last packet.
const TALK_SECONDS: f64 = 86_400.0;

impl Talks {
    /// For at most so many talks.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { talks: HashMap::new(), of: HashMap::new(), loads: HashMap::new(), capacity, shed: 0 }
    }

    /// Takes an update of a flow in.
    pub fn flow(&mut self, update: &FlowUpdate) {
        self.press(update);
        if update.outcome != Outcome::Established {
            return;
        }
        let key = Key {
            src: update.key.src,
            dst: update.key.dst,
            protocol: update.key.protocol,
            port: update.key.dst_port,
        };
        // Packets from before the answer are not in this delta; the relation matters, not the exact sum.
        let packets = update.delta.packets_out.saturating_add(update.delta.packets_in);
        if let Some(talk) = self.talks.get_mut(&key) {
            talk.packets = talk.packets.saturating_add(packets);
            talk.flows = talk.flows.saturating_add(u64::from(update.first > talk.last));
            talk.first = talk.first.min(update.first);
            talk.last = talk.last.max(update.last);
            if update.service != Service::Unknown {
                talk.service = update.service;
            }
            return;
        }
        let room = |address: IpAddr, opened: bool| {
            let keys = self.of.get(&address).into_iter().flatten();
            keys.filter(|key| (key.src == address) == opened).count() < PER_ADDRESS
        };
        if self.talks.len() >= self.capacity || !room(key.src, true) || !room(key.dst, false) {
            self.shed += 1;
            return;
        }
        let talk = Talk {
            src: key.src,
            dst: key.dst,
            protocol: key.protocol,
            port: key.port,
            service: update.service,
            flows: 1,
            packets,
            first: update.first,
            last: update.last,
        };
        self.talks.insert(key, talk);
        self.of.entry(key.src).or_default().push(key);
        if key.dst != key.src {
            self.of.entry(key.dst).or_default().push(key);
        }
    }

    /// What an address talked of late, in either direction.
    pub fn of(&self, address: IpAddr) -> impl Iterator<Item = &Talk> {
        self.of.get(&address).into_iter().flatten().filter_map(|key| self.talks.get(key))
    }

    /// What comes at an address, the heaviest transport first.
    #[must_use]
    pub fn pressure(&self, address: IpAddr) -> Option<Pressure> {
        [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMP6, Protocol::GRE]
            .into_iter()
            .filter_map(|protocol| {
                let load = self.loads.get(&(address, protocol))?;
                let ports = matches!(protocol, Protocol::TCP | Protocol::UDP);
                // A majority vote leaves a candidate with votes only where it leads clearly.
                let port = (ports && load.votes > load.packets / 4).then_some(load.port);
                Some(Pressure { protocol, packets: load.packets, port, last: load.last })
            })
            .max_by_key(|pressure| pressure.packets)
    }

    /// Forgets what is old. To be called every few seconds.
    pub fn forget_before(&mut self, now: Timestamp) {
        self.loads.retain(|_, load| now.seconds_since(load.last) < LOAD_SECONDS);
        let before = self.talks.len();
        self.talks.retain(|_, talk| now.seconds_since(talk.last) < TALK_SECONDS);
        if self.talks.len() >= self.capacity {
            // Room for what comes: the eighth that was silent longest goes.
            let mut moments: Vec<Timestamp> = self.talks.values().map(|talk| talk.last).collect();
            let at = moments.len() / 8;
            let (_, &mut cut, _) = moments.select_nth_unstable(at.min(before.saturating_sub(1)));
            self.talks.retain(|_, talk| talk.last > cut);
        }
        if self.talks.len() != before {
            let talks = &self.talks;
            self.of.retain(|_, keys| {
                keys.retain(|key| talks.contains_key(key));
                !keys.is_empty()
            });
        }
    }

    /// How many talks did not fit.
    #[must_use]
    pub const fn shed(&self) -> u64 {
        self.shed
    }

    fn press(&mut self, update: &FlowUpdate) {
        let packets = update.delta.packets_out;
        let slot = (update.key.dst, update.key.protocol);
        if packets == 0 || (self.loads.len() >= MAX_LOADS && !self.loads.contains_key(&slot)) {
            return;
        }
        let port = update.key.dst_port;
        let load = self.loads.entry(slot).or_insert(Load { packets: 0, port, votes: 0, last: update.last });
        load.packets = load.packets.saturating_add(packets);
        load.last = load.last.max(update.last);
        if load.port == port {
            load.votes = load.votes.saturating_add(packets);
        } else if load.votes >= packets {
            load.votes -= packets;
        } else {
            load.port = port;
            load.votes = packets - load.votes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Counts, FlowKey, Phase, RecordRef, Visibility};

    fn flow(src: [u8; 4], dst: [u8; 4], port: u16, at: i64, outcome: Outcome) -> FlowUpdate {
        let counts = Counts { packets_out: 10, ..Counts::default() };
        FlowUpdate {
            id: 1,
            key: FlowKey {
                src: src.into(),
                dst: dst.into(),
                src_port: 1,
                dst_port: port,
                protocol: Protocol::UDP,
            },
            phase: Phase::Summary,
            first: Timestamp::from_secs(at),
            last: Timestamp::from_secs(at),
            delta: counts,
            total: counts,
            outcome,
            visibility: Visibility::Both,
            service: Service::Unknown,
            src_mac: None,
            dst_mac: None,
            hops: None,
            flags_out: 0,
            flags_in: 0,
            opened_by: RecordRef::default(),
        }
    }

    #[test]
    fn a_flood_of_unanswered_flows_makes_pressure_and_no_talk() {
        let mut talks = Talks::new(100);
        let victim = [10, 0, 0, 1];
        for n in 0..100_000_u32 {
            let port = if n % 10 == 0 { n as u16 } else { 53 };
            talks.flow(&flow(n.to_be_bytes(), victim, port, 1, Outcome::Silent));
        }
        assert_eq!(talks.of(victim.into()).count(), 0);
        let pressure = talks.pressure(victim.into()).unwrap();
        assert_eq!(
            (pressure.protocol, pressure.packets, pressure.port),
            (Protocol::UDP, 1_000_000, Some(53))
        );
        talks.forget_before(Timestamp::from_secs(1000));
        assert_eq!(talks.pressure(victim.into()), None);
    }

    #[test]
    fn ports_at_random_have_no_majority() {
        let mut talks = Talks::new(100);
        for n in 0..1000_u16 {
            talks.flow(&flow([192, 0, 2, 1], [10, 0, 0, 1], n, 1, Outcome::Silent));
        }
        assert_eq!(talks.pressure([10, 0, 0, 1].into()).unwrap().port, None);
    }

    #[test]
    fn bounded_and_the_oldest_make_room() {
        let mut talks = Talks::new(80);
        for n in 0..200_u8 {
            talks.flow(&flow([10, 0, 0, n], [10, 0, 1, n], 80, i64::from(n), Outcome::Established));
        }
        assert_eq!((talks.talks.len(), talks.shed()), (80, 120));
        talks.forget_before(Timestamp::from_secs(200));
        assert!(talks.talks.len() < 80);
        assert_eq!(talks.of([10, 0, 0, 0].into()).count(), 0, "the oldest went");
        assert_eq!(talks.of([10, 0, 0, 79].into()).count(), 1);
        let mut busy = Talks::new(1000);
        for n in 0..500_u16 {
            busy.flow(&flow([10, 0, 0, 1], [10, 0, 1, 1], n, 1, Outcome::Established));
        }
        assert_eq!(busy.of([10, 0, 0, 1].into()).count(), PER_ADDRESS, "nobody fills the table alone");
    }
}
