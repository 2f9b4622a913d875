//! Later fragments carry no ports: this remembers which flow their first fragment belonged to.
//!
//! Guarantees: constant memory; a forgotten datagram's fragments are counted to a flow without ports.

use foldhash::fast::FixedState;
use std::{hash::BuildHasher, net::IpAddr};

const SLOTS: usize = 4096;

/// Ports of recently fragmented datagrams.
pub(crate) struct Fragments {
    hasher: FixedState,
    slots: Box<[(u64, u16, u16)]>,
}

impl Fragments {
    pub(crate) fn new() -> Self {
        Self { hasher: FixedState::default(), slots: vec![(0, 0, 0); SLOTS].into_boxed_slice() }
    }

    /// Remembers the ports of a first fragment.
    pub(crate) fn first(&mut self, datagram: (IpAddr, IpAddr, u32, u8), ports: (u16, u16)) {
        let tag = self.hasher.hash_one(datagram);
        if let Some(slot) = self.slots.get_mut(tag as usize % SLOTS) {
            *slot = (tag, ports.0, ports.1);
        }
    }

    /// The ports of the datagram that a later fragment belongs to.
    pub(crate) fn later(&self, datagram: (IpAddr, IpAddr, u32, u8)) -> Option<(u16, u16)> {
        let tag = self.hasher.hash_one(datagram);
        self.slots.get(tag as usize % SLOTS).filter(|slot| slot.0 == tag).map(|slot| (slot.1, slot.2))
    }
}
