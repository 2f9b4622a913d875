//! One packet, seen at several places, counts once.
//!
//! A router sees a packet come in on one interface and leave on another; a bridge shows it on a port, on the bridge
//! and on the other port; a VLAN is an interface beside its trunk; two captures of one router show its packets twice.
//! Watching only what comes in would miss what the machine says itself (the resolver's own questions), so everything
//! is read, in the order of time, and of equal packets within 50 ms the first stands for all. Equal means: addresses, ports, identification, length and the
//! first bytes above; hop counts, checksums and what the link adds do not matter. A repetition on the same
//! interface in the same direction is a packet of its own.
//!
//! Guarantees: bounded; no allocation per packet; where too much happens at once a copy may count as a packet, never
//! the other way round but for the chance of a 64-bit hash.

use foldhash::quality::FixedState;
use parse::LinkType;
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
    place: u32,
    outgoing: bool,
}

/// Packets seen a moment ago.
pub struct Sightings {
    hasher: FixedState,
    seen: Vec<Seen>,
}

impl Sightings {
    /// Nothing was seen yet. Where packets are alive, the key is to be random: then nobody can make packets that
    /// fall together; recordings take any key, always the same.
    #[must_use]
    pub fn new(key: u64) -> Self {
        let never = Seen { print: 0, nanos: i64::MIN / 2, place: u32::MAX, outgoing: false };
        Self { hasher: FixedState::with_seed(key), seen: vec![never; SETS * WAYS] }
    }

    /// Whether the packet is a copy of one that was seen a moment ago at another place, or coming in at this one.
    /// A place is an interface or an input; where it is not known whether a packet was sent by the machine that
    /// saw it, it counts as coming in. Packets are to be given in the order of time.
    pub fn is_copy(&mut self, place: u32, outgoing: bool, nanos: i64, link: LinkType, data: &[u8]) -> bool {
        let print = self.print(link, data);
        let start = (print as usize % SETS) * WAYS;
        let Some(set) = self.seen.get_mut(start..start + WAYS) else { return false };
        let near = |seen: &Seen| {
            seen.print == print && (nanos.saturating_sub(seen.nanos)).saturating_abs() <= APART_NANOS
        };
        if let Some(first) = set.iter_mut().find(|seen| near(seen)) {
            if first.place != place || (outgoing && !first.outgoing) {
                return true;
            }
            // Sent again on the same way: its copies are apart from this one.
            first.nanos = nanos;
            return false;
        }
        // Whatever the clock did since, the one furthest in time goes.
        if let Some(furthest) =
            set.iter_mut().max_by_key(|seen| nanos.saturating_sub(seen.nanos).saturating_abs())
        {
            *furthest = Seen { print, nanos, place, outgoing };
        }
        false
    }

    fn print(&self, link: LinkType, data: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        match ip_packet(link, data) {
            Some((4, packet)) => feed_ipv4(packet, &mut hasher),
            Some((_, packet)) => feed_ipv6(packet, &mut hasher),
            None => feed(&mut hasher, &[head(data, COMPARED), &(data.len() as u64).to_be_bytes()]),
        }
        hasher.finish()
    }
}

/// The IP version and packet in a frame, behind any VLAN tags; nothing where there is none.
#[must_use]
pub fn ip_packet(link: LinkType, frame: &[u8]) -> Option<(u8, &[u8])> {
    // Where the ether type stands, and where what it names begins.
    let (mut kind, mut above) = match link {
        LinkType::ETHERNET => (frame.get(12..14)?, frame.get(14..)?),
        LinkType::LINUX_SLL => (frame.get(14..16)?, frame.get(16..)?),
        LinkType::LINUX_SLL2 => (frame.get(..2)?, frame.get(20..)?),
        LinkType::NULL | LinkType::LOOP => return versioned(frame.get(4..)?, None),
        _ => return versioned(frame, None),
    };
    for _ in 0..4 {
        match kind {
            [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] => (kind, above) = (above.get(2..4)?, above.get(4..)?),
            [0x08, 0x00] => return versioned(above, Some(4)),
            [0x86, 0xdd] => return versioned(above, Some(6)),
            _ => return None,
        }
    }
    None
}

fn versioned(packet: &[u8], expected: Option<u8>) -> Option<(u8, &[u8])> {
    let version = packet.first()? >> 4;
    (matches!(version, 4 | 6) && expected.is_none_or(|expected| expected == version))
        .then_some((version, packet))
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

    const IN: bool = false;
    const OUT: bool = true;

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
        // Place, direction, time, frame, whether it is a copy.
        let steps: Vec<(u32, bool, i64, Vec<u8>, bool)> = vec![
            (0, IN, 0, packet(1), false),
            (1, IN, 0, packet(1), true),
            (2, OUT, ms, routed(1), true),
            (3, OUT, ms, routed(1), true),
            // The same machine's next packet, and the same packet sent again on the same way.
            (0, IN, 2 * ms, packet(2), false),
            (0, IN, 3 * ms, packet(2), false),
            (2, OUT, 4 * ms, routed(2), true),
            // What the machine says itself appears only as outgoing.
            (2, OUT, 5 * ms, packet(3), false),
            // A router on a stick: in and out by one interface.
            (2, IN, 6 * ms, packet(4), false),
            (2, OUT, 7 * ms, routed(4), true),
            // Much later the same bytes are a packet of their own.
            (1, IN, 70 * ms, packet(1), false),
            // Another payload is another packet.
            (1, IN, 70 * ms, udp(5, 64, 2, None, b"question"), false),
            (2, OUT, 70 * ms, udp(5, 63, 2, None, b"answer.."), false),
        ];
        let mut sightings = Sightings::new(7);
        for (step, (place, outgoing, nanos, frame, expected)) in steps.into_iter().enumerate() {
            assert_eq!(
                sightings.is_copy(place, outgoing, nanos, LinkType::ETHERNET, &frame),
                expected,
                "step {step}"
            );
        }
    }

    #[test]
    fn no_frame_is_too_short_and_a_flood_leaves_it_as_large_as_it_was() {
        let mut sightings = Sightings::new(7);
        let frame = udp(1, 64, 2, Some(7), b"question");
        for length in 0..=frame.len() {
            sightings.is_copy(0, IN, 0, LinkType::ETHERNET, &frame[..length]);
            sightings.is_copy(0, IN, 0, LinkType::RAW, &frame[..length]);
        }
        for number in 0..200_000_u32 {
            let frame = udp(number as u8, 64, 2, None, &number.to_be_bytes());
            assert!(!sightings.is_copy(0, IN, i64::from(number) * 10_000, LinkType::ETHERNET, &frame));
            assert!(sightings.is_copy(
                1,
                OUT,
                i64::from(number) * 10_000 + 5_000,
                LinkType::ETHERNET,
                &frame
            ));
        }
        assert_eq!(sightings.seen.len(), SETS * WAYS);
    }
}
