//! One packet, seen at several places of one machine, counts once.
//!
//! A router sees a packet come in on one interface and leave on another; a bridge shows it on a port, on the bridge
//! and on the other port; a VLAN is an interface beside its trunk. Watching only what comes in would miss what the
//! machine says itself (the resolver's own questions), so everything is read, in the order of time, and of equal
//! packets within 50 ms the first stands for all. Equal means: addresses, ports, identification, length and the
//! first bytes above; hop counts, checksums and what the link adds do not matter. A repetition on the same
//! interface in the same direction is a packet of its own.
//!
//! Guarantees: bounded; no allocation per packet; where too much happens at once a copy may count as a packet, never
//! the other way round but for the chance of a 64-bit hash.

use crate::headers;
use capture::Direction;
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};

/// How far apart copies of a packet may be.
const APART_NANOS: i64 = 50_000_000;
const WAYS: usize = 4;
const SETS: usize = 1 << 12;
/// Bytes above IP (or of a frame without IP) that are compared.
const COMPARED: usize = 96;

#[derive(Clone, Copy)]
struct Seen {
    print: u64,
    nanos: i64,
    lane: u16,
    outgoing: bool,
}

/// Packets seen a moment ago.
pub(crate) struct Sightings {
    /// Keyed at random: nobody can make packets that fall together.
    hasher: RandomState,
    seen: Vec<Seen>,
}

impl Sightings {
    pub(crate) fn new() -> Self {
        let never = Seen { print: 0, nanos: i64::MIN / 2, lane: u16::MAX, outgoing: false };
        Self { hasher: RandomState::default(), seen: vec![never; SETS * WAYS] }
    }

    /// Whether the packet is a copy of one that was seen elsewhere on this machine a moment ago.
    pub(crate) fn is_copy(
        &mut self,
        lane: u16,
        direction: Direction,
        nanos: i64,
        link: u16,
        data: &[u8],
    ) -> bool {
        let outgoing = direction == Direction::Out;
        let print = self.print(link, data);
        let start = (print as usize % SETS) * WAYS;
        let Some(set) = self.seen.get_mut(start..start + WAYS) else { return false };
        let near = |seen: &Seen| seen.print == print && (nanos - seen.nanos).abs() <= APART_NANOS;
        if let Some(first) = set.iter_mut().find(|seen| near(seen)) {
            if first.lane != lane || (outgoing && !first.outgoing) {
                return true;
            }
            // Sent again on the same way: its copies are apart from this one.
            first.nanos = nanos;
            return false;
        }
        if let Some(oldest) = set.iter_mut().min_by_key(|seen| seen.nanos) {
            *oldest = Seen { print, nanos, lane, outgoing };
        }
        false
    }

    fn print(&self, link: u16, data: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        match headers::ip(link, data) {
            Some((4, packet)) => feed_ipv4(packet, &mut hasher),
            Some((_, packet)) => feed_ipv6(packet, &mut hasher),
            None => feed(&mut hasher, &[head(data, COMPARED), &(data.len() as u64).to_be_bytes()]),
        }
        hasher.finish()
    }
}

fn feed_ipv4(packet: &[u8], hasher: &mut impl Hasher) {
    let header = usize::from(packet.first().map_or(0, |byte| byte & 15)) * 4;
    // Length, identification and fragment; protocol; addresses. Not: service class, hop count, checksum.
    let parts = [part(packet, 2, 6), part(packet, 9, 1), part(packet, 12, 8)];
    feed(hasher, &parts);
    let protocol = packet.get(9).copied().unwrap_or_default();
    feed_transport(protocol, packet.get(header..).unwrap_or_default(), hasher);
}

fn feed_ipv6(packet: &[u8], hasher: &mut impl Hasher) {
    // Length and next header; addresses. Not: service class, flow label, hop limit.
    feed(hasher, &[part(packet, 4, 3), part(packet, 8, 32)]);
    let next = packet.get(6).copied().unwrap_or_default();
    feed_transport(next, packet.get(40..).unwrap_or_default(), hasher);
}

fn feed_transport(protocol: u8, above: &[u8], hasher: &mut impl Hasher) {
    // A machine that makes packets leaves their checksum to the hardware; on the way it changes.
    match protocol {
        6 => feed(hasher, &[part(above, 0, 16), part(above, 18, COMPARED)]),
        17 => feed(hasher, &[part(above, 0, 6), part(above, 8, COMPARED)]),
        _ => feed(hasher, &[head(above, COMPARED)]),
    }
}

fn feed(hasher: &mut impl Hasher, parts: &[&[u8]]) {
    parts.iter().for_each(|part| hasher.write(part));
}

fn part(bytes: &[u8], from: usize, length: usize) -> &[u8] {
    head(bytes.get(from..).unwrap_or_default(), length)
}

fn head(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{In, Out};
    use capture::LINK_ETHERNET;

    /// An Ethernet frame with a UDP packet; what a router changes can be chosen.
    fn udp(id: u8, hops: u8, mac: u8, tag: Option<u16>, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![mac; 12];
        if let Some(tag) = tag {
            frame.extend([0x81, 0x00]);
            frame.extend(tag.to_be_bytes());
        }
        frame.extend([0x08, 0x00, 0x45, 0, 0, 28 + payload.len() as u8, 0, id, 0, 0, hops, 17, hops, mac]);
        frame.extend([10, 0, 0, 2, 10, 0, 1, 2, 0x30, 0x39, 0, 53, 0, 8, mac, hops]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn a_packet_counts_once_however_often_it_is_seen() {
        let ms = 1_000_000;
        let packet = |id| udp(id, 64, 2, None, b"question");
        let routed = |id| udp(id, 63, 4, Some(100), b"question");
        // Lane, direction, time, frame, whether it is a copy.
        let steps: Vec<(u16, Direction, i64, Vec<u8>, bool)> = vec![
            (0, In, 0, packet(1), false),
            (1, In, 0, packet(1), true),
            (2, Out, ms, routed(1), true),
            (3, Out, ms, routed(1), true),
            // The same machine's next packet, and the same packet sent again on the same way.
            (0, In, 2 * ms, packet(2), false),
            (0, In, 3 * ms, packet(2), false),
            (2, Out, 4 * ms, routed(2), true),
            // What the machine says itself appears only as outgoing.
            (2, Out, 5 * ms, packet(3), false),
            // A router on a stick: in and out by one interface.
            (2, In, 6 * ms, packet(4), false),
            (2, Out, 7 * ms, routed(4), true),
            // Much later the same bytes are a packet of their own.
            (1, In, 70 * ms, packet(1), false),
            // Another payload is another packet.
            (1, In, 70 * ms, udp(5, 64, 2, None, b"question"), false),
            (2, Out, 70 * ms, udp(5, 63, 2, None, b"answer.."), false),
        ];
        let mut sightings = Sightings::new();
        for (step, (lane, direction, nanos, frame, expected)) in steps.into_iter().enumerate() {
            assert_eq!(
                sightings.is_copy(lane, direction, nanos, LINK_ETHERNET, &frame),
                expected,
                "step {step}"
            );
        }
    }

    #[test]
    fn no_frame_is_too_short_and_a_flood_leaves_it_as_large_as_it_was() {
        let mut sightings = Sightings::new();
        let frame = udp(1, 64, 2, Some(7), b"question");
        for length in 0..=frame.len() {
            sightings.is_copy(0, In, 0, LINK_ETHERNET, &frame[..length]);
            sightings.is_copy(0, In, 0, 101, &frame[..length]);
        }
        for number in 0..200_000_u32 {
            let frame = udp(number as u8, 64, 2, None, &number.to_be_bytes());
            assert!(!sightings.is_copy(0, In, i64::from(number) * 10_000, LINK_ETHERNET, &frame));
            assert!(sightings.is_copy(1, Out, i64::from(number) * 10_000 + 5_000, LINK_ETHERNET, &frame));
        }
        assert_eq!(sightings.seen.len(), SETS * WAYS);
    }
}
