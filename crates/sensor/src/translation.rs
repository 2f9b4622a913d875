//! Where this machine translates addresses (IPv4 NAT), a conversation is seen twice under different names: inside and
//! outside. The inside is what the story is about, so the outside is recognised and marked as a copy.
//!
//! A packet that leaves and was not seen coming in as it is, but with another source, is the outside of that one; what
//! answers it from outside is outside too. A packet that leaves and came in with another destination is the inside of
//! that one, which is outside from then on. "The same" is what translation leaves alone: identification, length,
//! and TCP's numbers or the beginning of UDP's payload.
//!
//! Guarantees: bounded; forgetting (a table is direct-mapped, entries age) shows an outside packet, never hides an
//! inside one.

use crate::headers;
use capture::Direction;
use foldhash::quality::RandomState;
use observe::{LinkType, ip_packet};
use std::{
    hash::BuildHasher,
    net::{IpAddr, Ipv4Addr},
};

/// How far apart both sides of a packet may be.
const APART_NANOS: i64 = 50_000_000;
/// How long an outside conversation is remembered after its last packet.
const REMEMBERED_NANOS: i64 = 600_000_000_000;
const RECENT: usize = 1 << 13;
const OUTSIDE: usize = 1 << 14;
/// The first bytes of a datagram that are compared.
const COMPARED: usize = 64;

/// What passed of late, and which conversations are the outside of others.
pub(crate) struct Translation {
    hasher: RandomState,
    /// By what translation leaves alone, and one end.
    recent: Vec<Recent>,
    outside: Vec<Outside>,
}

#[derive(Clone, Copy)]
struct Recent {
    print: u64,
    nanos: i64,
    /// The conversation's direction, as it came in.
    way: u64,
}

#[derive(Clone, Copy)]
struct Outside {
    way: u64,
    nanos: i64,
}

/// One end of a packet.
type End = (Ipv4Addr, u16);

impl Translation {
    pub(crate) fn new() -> Self {
        let never = i64::MIN / 2;
        Self {
            hasher: RandomState::default(),
            recent: vec![Recent { print: 0, nanos: never, way: 0 }; RECENT],
            outside: vec![Outside { way: 0, nanos: never }; OUTSIDE],
        }
    }

    /// Whether the packet, which was not seen as it is before, is the outside of a translated one.
    pub(crate) fn is_outside(&mut self, direction: Direction, nanos: i64, link: u16, frame: &[u8]) -> bool {
        let Some((src, dst, core)) = self.read(link, frame) else { return false };
        let way = self.way(src, dst, &core);
        let (to, from) =
            (self.hasher.hash_one((dst, &core, true)), self.hasher.hash_one((src, &core, false)));
        if direction == Direction::In {
            if self.is_known_outside(way, nanos) {
                return true;
            }
            for print in [to, from] {
                if let Some(slot) = self.recent.get_mut(print as usize % RECENT) {
                    *slot = Recent { print, nanos, way };
                }
            }
            return false;
        }
        if self.came_in(to, nanos).is_some_and(|inside| inside != way) {
            let back = self.way(dst, src, &core);
            self.learn(back, nanos);
            return true;
        }
        if let Some(outside) = self.came_in(from, nanos).filter(|outside| *outside != way) {
            self.learn(outside, nanos);
        }
        false
    }

    fn came_in(&self, print: u64, nanos: i64) -> Option<u64> {
        let seen = self.recent.get(print as usize % RECENT)?;
        (seen.print == print && (nanos - seen.nanos).abs() <= APART_NANOS).then_some(seen.way)
    }

    fn is_known_outside(&mut self, way: u64, nanos: i64) -> bool {
        let Some(slot) = self.outside.get_mut(way as usize % OUTSIDE) else { return false };
        let known = slot.way == way && nanos - slot.nanos <= REMEMBERED_NANOS;
        if known {
            slot.nanos = nanos;
        }
        known
    }

    fn learn(&mut self, way: u64, nanos: i64) {
        if let Some(slot) = self.outside.get_mut(way as usize % OUTSIDE) {
            *slot = Outside { way, nanos };
        }
    }

    fn way(&self, src: End, dst: End, core: &Core<'_>) -> u64 {
        self.hasher.hash_one((src, dst, core.protocol))
    }

    fn read<'a>(&self, link: u16, frame: &'a [u8]) -> Option<(End, End, Core<'a>)> {
        let headers = headers::read(link, frame)?;
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (headers.src, headers.dst) else { return None };
        if dst.is_multicast() || dst.is_broadcast() || headers.src_port == 0 {
            return None;
        }
        let (_, packet) = ip_packet(LinkType(link), frame)?;
        let above = packet.get(usize::from(packet.first()? & 15) * 4..)?;
        let numbers = match headers.protocol.0 {
            // Sequence, acknowledgement, flags. Not the options: some translators lower the segment size.
            6 => above.get(4..14)?,
            // Length, and what is said; a datagram that says nothing is like any other.
            17 if above.len() >= 12 => {
                above.get(8..).map(|payload| payload.get(..COMPARED).unwrap_or(payload))?
            }
            _ => return None,
        };
        let core = Core { length_and_id: packet.get(2..6)?, protocol: headers.protocol.0, numbers };
        Some(((src, headers.src_port), (dst, headers.dst_port), core))
    }
}

/// What translation leaves alone.
#[derive(Hash)]
struct Core<'a> {
    length_and_id: &'a [u8],
    protocol: u8,
    numbers: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{In, Out};

    const LAN: [u8; 4] = [10, 0, 0, 2];
    const WAN: [u8; 4] = [192, 0, 2, 1];
    const FAR: [u8; 4] = [198, 51, 100, 9];

    fn udp(src: ([u8; 4], u16), dst: ([u8; 4], u16), id: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 36, 0, id, 0, 0, 64, 17, 0, 0];
        packet.extend(src.0.into_iter().chain(dst.0));
        packet.extend(src.1.to_be_bytes().into_iter().chain(dst.1.to_be_bytes()));
        packet.extend([0, 16, 0, 0]);
        packet.extend(*b"question");
        packet
    }

    #[test]
    fn a_translated_conversation_is_told_from_its_inside() {
        let mut translation = Translation::new();
        let mut check = |direction, src, dst, id, at_ms: i64, expected| {
            let found = translation.is_outside(direction, at_ms * 1_000_000, 101, &udp(src, dst, id));
            assert_eq!(found, expected, "{direction:?} {src:?} to {dst:?} at {at_ms} ms");
        };
        // Masqueraded: asked from inside, answered to the router's own address.
        check(In, (LAN, 1000), (FAR, 53), 1, 0, false);
        check(Out, (WAN, 7777), (FAR, 53), 1, 1, true);
        check(In, (FAR, 53), (WAN, 7777), 9, 20, true);
        check(Out, (FAR, 53), (LAN, 1000), 9, 21, false);
        // Forwarded: a service inside, reached by the router's address.
        check(In, (FAR, 4000), (WAN, 80), 3, 100, false);
        check(Out, (FAR, 4000), (LAN, 8080), 3, 101, false);
        check(In, (LAN, 8080), (FAR, 4000), 4, 102, false);
        check(Out, (WAN, 80), (FAR, 4000), 4, 103, true);
        check(In, (FAR, 4000), (WAN, 80), 5, 104, true);
        // The router's own conversations are nobody's outside.
        check(Out, (WAN, 5000), (FAR, 53), 6, 200, false);
        check(In, (FAR, 53), (WAN, 5000), 7, 201, false);
        // A conversation is remembered for a while, not for ever.
        check(In, (FAR, 53), (WAN, 7777), 10, 60_000, true);
        check(In, (FAR, 53), (WAN, 7777), 11, 2_000_000, false);
    }

    #[test]
    fn neighbours_who_say_the_same_to_a_group_are_not_each_others_outside() {
        let mut translation = Translation::new();
        let group = ([224, 0, 0, 251], 5353);
        assert!(!translation.is_outside(In, 0, 101, &udp((LAN, 5353), group, 0)));
        assert!(!translation.is_outside(Out, 1, 101, &udp((WAN, 5353), group, 0)));
        let packet = udp((LAN, 1000), (FAR, 53), 1);
        for length in 0..packet.len() {
            translation.is_outside(In, 0, 101, &packet[..length]);
        }
    }
}
