//! Packets to events.
//!
//! Guarantees: excluded networks are dropped before anything is looked into; what could not be read is counted by
//! reason; memory is bounded by [`Config::max_flows`].

use crate::{
    clock::{Belief, Clock},
    flow::Seen,
    flow_table::{FlowTable, Shed},
    fragment::Fragments,
    leases::Leases,
};
use model::{
    Arp, ArpOperation, Event, EventKind, FlowKey, Mac, NetSet, Outcome, Protocol, RecordRef, Timestamp,
};
use parse::{
    LinkType,
    packet::{ArpPacket, Body, Icmp, IpPacket, Packet, Transport, TunnelKind, dissect},
};
use std::{collections::BTreeMap, net::IpAddr};

/// What to observe and within which bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is ours.
    pub home: NetSet,
    /// Never looked into.
    pub exclude: NetSet,
    /// Flows held at once.
    pub max_flows: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { home: NetSet::private(), exclude: NetSet::default(), max_flows: 1 << 18 }
    }
}

/// What went by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets given.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Flows opened.
    pub flows: u64,
    /// Packets of excluded networks.
    pub excluded: u64,
    /// Packets that could not be read, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// What was given up for lack of room.
    pub shed: Shed,
}

/// Turns packets into events.
pub struct Observer {
    config: Config,
    flows: FlowTable,
    fragments: Fragments,
    leases: Leases,
    clock: Clock,
    /// Packets whose time is doubted, until those that follow decide.
    held: Vec<Held>,
    set_back: bool,
    counters: Counters,
    left_aside: Option<&'static str>,
}

/// A packet that waits.
struct Held {
    record: RecordRef,
    at: Timestamp,
    link: LinkType,
    wire_length: u32,
    data: Vec<u8>,
}

/// What is common to all that one frame carries.
#[derive(Clone, Copy)]
struct Frame {
    record: RecordRef,
    at: Timestamp,
    src_mac: Option<Mac>,
    dst_mac: Option<Mac>,
}

impl Observer {
    /// Sees nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let flows = FlowTable::new(config.home.clone(), config.max_flows);
        Self {
            config,
            flows,
            fragments: Fragments::new(),
            leases: Leases::default(),
            clock: Clock::default(),
            held: Vec::new(),
            set_back: false,
            counters: Counters::default(),
            left_aside: None,
        }
    }

    /// Takes one packet. One whose time is far from the others' waits for those that follow: where they go on from there it
    /// is taken as it is, else as of now.
    pub fn packet(
        &mut self,
        record: RecordRef,
        at: Timestamp,
        link: LinkType,
        wire_length: u32,
        data: &[u8],
        emit: &mut impl FnMut(Event),
    ) {
        if self.is_doubted(at, emit) {
            self.held.push(Held { record, at, link, wire_length, data: data.to_vec() });
        } else {
            self.take(record, at, link, wire_length, data, emit);
        }
    }

    /// Whether it has to be seen what follows before a time is believed; what waited for that is taken.
    fn is_doubted(&mut self, at: Timestamp, emit: &mut impl FnMut(Event)) -> bool {
        let contradicted = self.clock.now();
        let belief = self.clock.tell(at);
        if belief == Belief::Doubted {
            // Those doubted before it are contradicted by one that does not go on from them.
            if self.clock.doubts() == 1 {
                self.release(Some(contradicted), emit);
            }
            return true;
        }
        if belief == Belief::SetBack {
            self.set_back = true;
            self.flows.set_back(self.held.first().map_or(at, |held| held.at.min(at)));
        }
        if !self.held.is_empty() {
            self.release((belief == Belief::Near).then_some(contradicted), emit);
        }
        false
    }

    /// Takes the packets that waited, as of `now` where that is given, else as they are.
    fn release(&mut self, now: Option<Timestamp>, emit: &mut impl FnMut(Event)) {
        for held in std::mem::take(&mut self.held) {
            self.take(held.record, now.unwrap_or(held.at), held.link, held.wire_length, &held.data, emit);
        }
    }

    /// Whether the clock was set back since the last call, so that what was measured against it has to begin anew.
    pub const fn take_set_back(&mut self) -> bool {
        std::mem::replace(&mut self.set_back, false)
    }

    fn take(
        &mut self,
        record: RecordRef,
        at: Timestamp,
        link: LinkType,
        wire_length: u32,
        data: &[u8],
        emit: &mut impl FnMut(Event),
    ) {
        self.counters.packets += 1;
        self.counters.bytes += u64::from(wire_length);
        let packet: Packet<'_> = match dissect(link, data, wire_length) {
            Ok(packet) => packet,
            Err(skip) => return self.skip(skip.as_str()),
        };
        let frame = Frame { record, at, src_mac: packet.src_mac.map(Mac), dst_mac: packet.dst_mac.map(Mac) };
        match packet.body {
            Body::Ip(ip) => self.ip(frame, &ip, emit),
            Body::Arp(arp) => self.arp(frame, &arp, emit),
            Body::Other { .. } => self.skip("neither IP nor ARP"),
        }
    }

    /// Event time goes on without packets.
    pub fn advance(&mut self, now: Timestamp, emit: &mut impl FnMut(Event)) {
        if !self.is_doubted(now, emit) {
            self.flows.advance(now, emit);
        }
    }

    /// Ends all flows.
    pub fn finish(&mut self, emit: &mut impl FnMut(Event)) {
        // Nothing contradicts what came last.
        self.release(None, emit);
        self.flows.finish(emit);
    }

    /// What went by so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { flows: self.flows.opened(), shed: self.flows.shed(), ..self.counters.clone() }
    }

    /// Why the packet given last was left aside, where it was.
    pub const fn take_left_aside(&mut self) -> Option<&'static str> {
        self.left_aside.take()
    }

    /// Flows alive now.
    #[must_use]
    pub fn flows_alive(&self) -> usize {
        self.flows.len()
    }

    fn skip(&mut self, reason: &'static str) {
        *self.counters.skipped.entry(reason).or_default() += 1;
        self.left_aside = Some(reason);
    }

    fn ip(&mut self, frame: Frame, ip: &IpPacket<'_>, emit: &mut impl FnMut(Event)) {
        let excluded = |address| self.config.exclude.contains(address);
        let outer_excluded = ip.tunnel.is_some_and(|tunnel| excluded(tunnel.src) || excluded(tunnel.dst));
        if !self.config.exclude.is_empty() && (outer_excluded || excluded(ip.src) || excluded(ip.dst)) {
            self.counters.excluded += 1;
            self.left_aside = Some("of an excluded network");
            return;
        }
        let mut frame = frame;
        if let Some(tunnel) = ip.tunnel {
            // The tunnel is a flow of its own; hardware addresses belong to its ends, not to what it carries.
            let protocol = match tunnel.kind {
                TunnelKind::Gre => Protocol::GRE,
                TunnelKind::IpInIp => Protocol(if tunnel.src.is_ipv4() { 4 } else { 41 }),
            };
            let key = FlowKey { src: tunnel.src, dst: tunnel.dst, src_port: 0, dst_port: 0, protocol };
            self.flow(frame, key, Above { length: tunnel.length, ..Above::default() }, emit);
            frame = Frame { src_mac: None, dst_mac: None, ..frame };
        }
        let key = |src_port, dst_port| FlowKey {
            src: ip.src,
            dst: ip.dst,
            src_port,
            dst_port,
            protocol: Protocol(ip.protocol),
        };
        let above = Above { length: ip.length, ttl: ip.ttl, ..Above::default() };
        let datagram = |id| (ip.src, ip.dst, id, ip.protocol);
        match ip.transport {
            Transport::Tcp(tcp) => {
                let above = Above {
                    flags: tcp.flags,
                    seq: tcp.seq,
                    ack: tcp.ack,
                    payload: tcp.payload,
                    payload_length: tcp.payload_length,
                    ..above
                };
                self.flow(frame, key(tcp.src_port, tcp.dst_port), above, emit);
            }
            Transport::Udp(udp) => {
                if let Some(fragment) = ip.fragment {
                    self.fragments.first(datagram(fragment.id), (udp.src_port, udp.dst_port));
                }
                let above = Above { payload: udp.payload, payload_length: udp.payload_length, ..above };
                self.flow(frame, key(udp.src_port, udp.dst_port), above, emit);
            }
            Transport::Icmp(icmp) => self.icmp(frame, &icmp, key(0, 0), above, emit),
            Transport::Fragment => {
                let ports = ip.fragment.and_then(|fragment| self.fragments.later(datagram(fragment.id)));
                let (src_port, dst_port) = ports.unwrap_or_default();
                self.flow(frame, key(src_port, dst_port), above, emit);
            }
            Transport::Other | Transport::Cut => self.flow(frame, key(0, 0), above, emit),
        }
    }

    fn icmp(
        &mut self,
        frame: Frame,
        icmp: &Icmp,
        key: FlowKey,
        above: Above<'_>,
        emit: &mut impl FnMut(Event),
    ) {
        if let Some(original) = icmp.original {
            let about = FlowKey {
                src: original.src,
                dst: original.dst,
                src_port: original.src_port,
                dst_port: original.dst_port,
                protocol: Protocol(original.protocol),
            };
            let outcome = match (icmp.v6, icmp.kind, icmp.code) {
                (false, 11, 0) | (true, 3, 0) => Some(Outcome::Expired),
                // It arrived, and was too big to go on.
                (false, 3, 4) => None,
                _ => icmp.is_unreachable().then_some(Outcome::Refused),
            };
            if self.flows.error(&about, outcome, frame.at, frame.record, emit) {
                return;
            }
        }
        let is_reply = matches!((icmp.v6, icmp.kind), (false, 0 | 14) | (true, 129));
        self.flow(frame, key, Above { is_reply, is_error: icmp.original.is_some(), ..above }, emit);
    }

    fn flow(&mut self, frame: Frame, key: FlowKey, above: Above<'_>, emit: &mut impl FnMut(Event)) {
        let seen = Seen {
            record: frame.record,
            at: frame.at,
            key,
            src_mac: frame.src_mac,
            dst_mac: frame.dst_mac,
            ttl: above.ttl,
            flags: above.flags,
            seq: above.seq,
            ack: above.ack,
            ip_length: above.length,
            payload: above.payload,
            payload_length: above.payload_length,
            is_reply: above.is_reply,
            is_error: above.is_error,
        };
        let Self { flows, leases, .. } = self;
        flows.packet(&seen, &mut |mut event| {
            if let EventKind::Dhcp(dhcp) = &mut event.kind {
                dhcp.asked = leases.take(event.at, dhcp);
            }
            emit(event);
        });
    }

    fn arp(&mut self, frame: Frame, arp: &ArpPacket, emit: &mut impl FnMut(Event)) {
        let (sender, target) = (IpAddr::V4(arp.sender), IpAddr::V4(arp.target));
        if self.config.exclude.contains(sender) || self.config.exclude.contains(target) {
            self.counters.excluded += 1;
            self.left_aside = Some("of an excluded network");
            return;
        }
        let operation = match arp.operation {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            _ => return self.skip("ARP operation other than request and reply"),
        };
        self.flows.advance(frame.at, emit);
        let arp = Arp {
            operation,
            frame_src: frame.src_mac.unwrap_or(Mac::ZERO),
            broadcast: frame.dst_mac.is_none_or(|mac| mac.is_group()),
            sender_mac: Mac(arp.sender_mac),
            sender,
            target_mac: Mac(arp.target_mac),
            target,
        };
        emit(Event { at: frame.at, record: frame.record, kind: EventKind::Arp(arp) });
    }
}

/// What is above IP, as far as the flow table wants it.
#[derive(Clone, Copy, Default)]
struct Above<'a> {
    length: u32,
    ttl: u8,
    flags: u8,
    seq: u32,
    ack: u32,
    payload: &'a [u8],
    payload_length: u32,
    is_reply: bool,
    is_error: bool,
}
