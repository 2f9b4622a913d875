//! Which directions of a host's traffic pass the place of observation.
//!
//! Guarantees: constant memory; addresses of ours cannot be pushed out by a flood of foreign ones.

use foldhash::fast::FixedState;
use model::NetSet;
use std::{hash::BuildHasher, net::IpAddr};

const SLOTS: usize = 1 << 16;
const SENT: u8 = 1;
const RECEIVED: u8 = 2;

/// Remembers, for recent hosts, whether packets from them and to them were seen.
pub(crate) struct Sight {
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
    pub(crate) fn new() -> Self {
        let empty = || vec![Slot::default(); SLOTS].into_boxed_slice();
        Self { hasher: FixedState::default(), ours: empty(), others: empty() }
    }

    /// A packet went from one to the other.
    pub(crate) fn packet(&mut self, home: &NetSet, src: IpAddr, dst: IpAddr) {
        self.mark(home, src, SENT);
        self.mark(home, dst, RECEIVED);
    }

    /// Whether an answer from `dst` to `src` would have been seen: packets to `src` pass here, or packets from `dst` do.
    pub(crate) fn answer_visible(&self, home: &NetSet, src: IpAddr, dst: IpAddr) -> bool {
        self.seen(home, src) & RECEIVED != 0 || self.seen(home, dst) & SENT != 0
    }

    fn mark(&mut self, home: &NetSet, host: IpAddr, bit: u8) {
        let tag = self.tag(host);
        let table = if home.contains(host) { &mut self.ours } else { &mut self.others };
        if let Some(slot) = table.get_mut(tag as usize % SLOTS) {
            if slot.tag != tag {
                *slot = Slot { tag, seen: 0 };
            }
            slot.seen |= bit;
        }
    }

    fn seen(&self, home: &NetSet, host: IpAddr) -> u8 {
        let tag = self.tag(host);
        let table = if home.contains(host) { &self.ours } else { &self.others };
        table.get(tag as usize % SLOTS).filter(|slot| slot.tag == tag).map_or(0, |slot| slot.seen)
    }

    fn tag(&self, host: IpAddr) -> u64 {
        self.hasher.hash_one(host)
    }
}
