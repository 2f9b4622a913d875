//! Which directions of a host's traffic pass the place of observation.
//!
//! Guarantees: constant memory; addresses of ours cannot be pushed out by a flood of foreign ones.

use foldhash::fast::FixedState;
use model::NetSet;
use std::{
    hash::BuildHasher,
    net::{IpAddr, Ipv4Addr},
};

const SLOTS: usize = 1 << 16;
const SENT: u8 = 1;
const RECEIVED: u8 = 2;

/// Remembers, for recent hosts, whether packets from them and to them were seen.
pub(crate) struct Sight {
    home: NetSet,
    /// What goes from us to the world passes here, and what comes from it.
    outward: bool,
    inward: bool,
    hasher: FixedState,
    ours: Box<[Slot]>,
    others: Box<[Slot]>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u64,
    seen: u8,
}

impl Sight {
    pub(crate) fn new(home: NetSet) -> Self {
        let empty = || vec![Slot::default(); SLOTS].into_boxed_slice();
        Self {
            home,
            outward: false,
            inward: false,
            hasher: FixedState::default(),
            ours: empty(),
            others: empty(),
        }
    }

    /// A packet went from one to the other.
    pub(crate) fn packet(&mut self, src: IpAddr, dst: IpAddr) {
        // What goes to many tells nothing about any of them.
        if !dst.is_multicast() && dst != IpAddr::V4(Ipv4Addr::BROADCAST) {
            let (from_us, to_us) = (self.home.contains(src), self.home.contains(dst));
            self.outward |= from_us && !to_us;
            self.inward |= !from_us && to_us;
            self.mark(src, SENT);
            self.mark(dst, RECEIVED);
        }
    }

    /// Whether an answer from `dst` to `src` would have been seen: packets to `src` pass here, or packets from `dst` do.
    pub(crate) fn answer_visible(&self, src: IpAddr, dst: IpAddr) -> bool {
        let across = match (self.home.contains(src), self.home.contains(dst)) {
            (true, false) => self.inward,
            (false, true) => self.outward,
            _ => false,
        };
        across || self.seen(src) & RECEIVED != 0 || self.seen(dst) & SENT != 0
    }

    fn mark(&mut self, host: IpAddr, bit: u8) {
        let tag = self.tag(host);
        let table = if self.home.contains(host) { &mut self.ours } else { &mut self.others };
        if let Some(slot) = table.get_mut(tag as usize % SLOTS) {
            if slot.tag != tag {
                *slot = Slot { tag, seen: 0 };
            }
            slot.seen |= bit;
        }
    }

    fn seen(&self, host: IpAddr) -> u8 {
        let tag = self.tag(host);
        let table = if self.home.contains(host) { &self.ours } else { &self.others };
        table.get(tag as usize % SLOTS).filter(|slot| slot.tag == tag).map_or(0, |slot| slot.seen)
    }

    fn tag(&self, host: IpAddr) -> u64 {
        self.hasher.hash_one(host)
    }
}
