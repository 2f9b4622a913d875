//! Which directions of a host's traffic pass the place of observation.
//!
//! A network with two uplinks, or a capture of one direction beside one of both: what passes is known for each network of
//! ours (a /24, a /64) by itself, from how many of its hosts are seen to be answered by the world, and how many go on as if
//! they had been answered where nothing was seen.
//!
//! Guarantees: constant memory; addresses of ours cannot be pushed out by a flood of foreign ones; one host alone does not
//! speak for a network of several.

use foldhash::fast::FixedState;
use model::NetSet;
use std::{
    hash::BuildHasher,
    net::{IpAddr, Ipv4Addr},
};

const SLOTS: usize = 1 << 16;
const NETWORKS: usize = 1 << 12;
const SENT: u8 = 1;
const RECEIVED: u8 = 2;
/// Of so many answers one may be missed: captures lose packets.
const LOSS: u16 = 4;

/// Remembers, for recent hosts and networks, whether packets from them and to them were seen.
pub(crate) struct Sight {
    home: NetSet,
    hasher: FixedState,
    ours: Box<[Slot]>,
    others: Box<[Slot]>,
    networks: Box<[Network]>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u64,
    network: u64,
    seen: u8,
    /// Flows with the world to which packets came in from there.
    answered: u16,
    /// Connections to the world that went on without an answer that was seen.
    missed: u16,
}

impl Slot {
    /// Whether what the world answers to this host passes here; none where nothing speaks for either.
    const fn hears(&self) -> Option<bool> {
        match (self.answered, self.missed) {
            (0, 0) => None,
            (answered, missed) => Some(missed.saturating_mul(LOSS) <= answered),
        }
    }
}

/// A network of ours.
#[derive(Clone, Copy, Default)]
struct Network {
    tag: u64,
    /// What goes from it to the world passes here.
    outward: bool,
    /// Hosts to which the world's answers pass here, and hosts to which they pass elsewhere.
    hearing: u32,
    deaf: u32,
}

impl Sight {
    pub(crate) fn new(home: NetSet) -> Self {
        let empty = || vec![Slot::default(); SLOTS].into_boxed_slice();
        Self {
            home,
            hasher: FixedState::default(),
            ours: empty(),
            others: empty(),
            networks: vec![Network::default(); NETWORKS].into_boxed_slice(),
        }
    }

    /// A packet went from one to the other: the first of its flow in this direction.
    pub(crate) fn packet(&mut self, src: IpAddr, dst: IpAddr) {
        // What goes to many tells nothing about any of them.
        if dst.is_multicast() || dst == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return;
        }
        match (self.home.contains(src), self.home.contains(dst)) {
            (true, false) => {
                self.network(src).outward = true;
                self.learn(src, |slot| slot.seen |= SENT);
                self.mark((dst, Some(network_of(src))), RECEIVED);
            }
            (false, true) => {
                self.learn(dst, |slot| {
                    slot.seen |= RECEIVED;
                    slot.answered += 1;
                });
                self.mark((src, Some(network_of(dst))), SENT);
            }
            (true, true) => {
                self.learn(src, |slot| slot.seen |= SENT);
                self.learn(dst, |slot| slot.seen |= RECEIVED);
            }
            (false, false) => {
                self.mark((src, None), SENT);
                self.mark((dst, None), RECEIVED);
            }
        }
    }

    /// A connection went on though no answer to it was seen.
    pub(crate) fn missed(&mut self, src: IpAddr, dst: IpAddr) {
        if self.home.contains(src) && !self.home.contains(dst) {
            self.learn(src, |slot| slot.missed += 1);
        }
    }

    /// Whether an answer from `dst` to `src` would have been seen: packets to `src` pass here, or packets from `dst` do.
    pub(crate) fn answer_visible(&self, src: IpAddr, dst: IpAddr) -> bool {
        match (self.home.contains(src), self.home.contains(dst)) {
            (true, false) => {
                let network = self.known(src);
                network.hearing > network.deaf
                    || (network.deaf == 0 && self.other((dst, Some(network.tag))) & SENT != 0)
            }
            (false, true) => self.known(dst).outward || self.own(dst).is_some_and(|own| own.seen & SENT != 0),
            (true, true) => {
                self.own(src).is_some_and(|own| own.seen & RECEIVED != 0)
                    || self.own(dst).is_some_and(|own| own.seen & SENT != 0)
            }
            (false, false) => self.other((src, None)) & RECEIVED != 0 || self.other((dst, None)) & SENT != 0,
        }
    }

    /// Learns about a host of ours, and through it about its network.
    fn learn(&mut self, host: IpAddr, change: impl FnOnce(&mut Slot)) {
        let (tag, network) = (self.hasher.hash_one(host), network_of(host));
        let Some(slot) = self.ours.get_mut(tag as usize % SLOTS) else { return };
        let before = (slot.network, slot.hears());
        if slot.tag != tag {
            *slot = Slot { tag, network, ..Slot::default() };
        }
        change(slot);
        if slot.answered >= 1_000 || slot.missed >= 1_000 {
            (slot.answered, slot.missed) = (slot.answered / 2, slot.missed / 2);
        }
        let after = (slot.network, slot.hears());
        if before == after {
            return;
        }
        for ((network, hears), joins) in [(before, false), (after, true)] {
            let Some(place) = self.networks.get_mut(place(network)) else { continue };
            if joins && place.tag != network {
                *place = Network { tag: network, ..Network::default() };
            }
            let count = match hears {
                Some(true) => &mut place.hearing,
                Some(false) => &mut place.deaf,
                None => continue,
            };
            if place.tag == network {
                *count = if joins { *count + 1 } else { count.saturating_sub(1) };
            }
        }
    }

    fn own(&self, host: IpAddr) -> Option<&Slot> {
        let tag = self.hasher.hash_one(host);
        self.ours.get(tag as usize % SLOTS).filter(|slot| slot.tag == tag)
    }

    /// The network of a host of ours, known or not.
    fn known(&self, host: IpAddr) -> Network {
        let tag = network_of(host);
        let found = self.networks.get(place(tag)).filter(|network| network.tag == tag);
        found.copied().unwrap_or(Network { tag, ..Network::default() })
    }

    fn network(&mut self, host: IpAddr) -> &mut Network {
        let tag = network_of(host);
        // The table is never empty, and the place always in it.
        let at = place(tag).min(self.networks.len() - 1);
        #[expect(clippy::indexing_slicing, reason = "within the table by the line above")]
        let network = &mut self.networks[at];
        if network.tag != tag {
            *network = Network { tag, ..Network::default() };
        }
        network
    }

    fn mark(&mut self, other: (IpAddr, Option<u64>), bit: u8) {
        let tag = self.hasher.hash_one(other);
        if let Some(slot) = self.others.get_mut(tag as usize % SLOTS) {
            if slot.tag != tag {
                *slot = Slot { tag, ..Slot::default() };
            }
            slot.seen |= bit;
        }
    }

    fn other(&self, other: (IpAddr, Option<u64>)) -> u8 {
        let tag = self.hasher.hash_one(other);
        self.others.get(tag as usize % SLOTS).filter(|slot| slot.tag == tag).map_or(0, |slot| slot.seen)
    }
}

/// What names a network: the first 24 or 64 bits, and never 0.
fn network_of(host: IpAddr) -> u64 {
    match host.to_canonical() {
        IpAddr::V4(host) => u64::from(u32::from(host) >> 8) | 1 << 32,
        IpAddr::V6(host) => (u128::from(host) >> 64) as u64 | 1,
    }
}

const fn place(network: u64) -> usize {
    (network.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize % NETWORKS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn server(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn each_network_speaks_for_itself() {
        let mut sight = Sight::new(NetSet::private());
        let beside = IpAddr::from([10, 0, 1, 1]);
        sight.packet(host(1), server(1));
        sight.packet(server(1), host(1));
        assert!(sight.answer_visible(host(1), server(2)) && sight.answer_visible(host(2), server(3)));
        sight.packet(beside, server(1));
        assert!(!sight.answer_visible(beside, server(2)) && !sight.answer_visible(beside, server(1)));
        assert!(sight.answer_visible(server(9), beside) && sight.answer_visible(server(9), host(2)));
    }

    #[test]
    fn what_goes_on_without_an_answer_was_answered_elsewhere() {
        // Answers seen and missed for each host; whether another host's answers would be seen.
        let check = |hosts: &[(u8, u8)], visible: bool| {
            let mut sight = Sight::new(NetSet::private());
            for (number, &(answered, missed)) in (1..).zip(hosts) {
                (0..answered).for_each(|_| sight.packet(server(1), host(number)));
                (0..missed).for_each(|_| sight.missed(host(number), server(2)));
            }
            assert_eq!(sight.answer_visible(host(99), server(9)), visible, "{hosts:?}");
        };
        check(&[(1, 0)], true);
        check(&[(1, 5)], false);
        check(&[(40, 3)], true);
        check(&[(1, 5), (1, 5), (2, 0)], false);
        // One that pretends does not speak for the others.
        check(&[(9, 0), (9, 0), (5, 200)], true);
    }
}
