//! The room for sessions: who is listened to where not all can be.
//!
//! Guarantees: at most [`MOST`] sessions at once. Where room is needed, it is made by the most numerous kind of talk, so that
//! however many flows of one kind there are, the others are listened to.

use model::Service;
use std::collections::{BTreeMap, VecDeque};

/// Sessions are the expensive part of a flow: at most this many at once.
const MOST: usize = 16_384;

/// A kind of talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) datagrams: bool,
    pub(crate) service: Service,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Rooms {
    kinds: BTreeMap<Kind, Queue>,
    taken: usize,
}

#[derive(Default)]
struct Queue {
    taken: usize,
    /// Slots and numbers of flows, the one that came first first; those that left are passed by.
    flows: VecDeque<(u32, u64)>,
}

impl Rooms {
    pub(crate) const fn is_full(&self) -> bool {
        self.taken >= MOST
    }

    /// A flow of this kind is listened to.
    pub(crate) fn enter(&mut self, kind: Kind, slot: u32, id: u64) {
        let queue = self.kinds.entry(kind).or_default();
        queue.flows.push_back((slot, id));
        queue.taken += 1;
        self.taken += 1;
    }

    /// One of this kind is listened to no more.
    pub(crate) fn leave(&mut self, kind: Kind) {
        if let Some(queue) = self.kinds.get_mut(&kind) {
            queue.taken = queue.taken.saturating_sub(1);
            self.taken = self.taken.saturating_sub(1);
        }
    }

    /// Who may have to make room: the first of the most numerous kind. It may have left by itself.
    pub(crate) fn next(&mut self) -> Option<(Kind, u32, u64)> {
        let (&kind, queue) = self.kinds.iter_mut().max_by_key(|(_, queue)| queue.taken)?;
        let (slot, id) = queue.flows.pop_front()?;
        Some((kind, slot, id))
    }

    /// It stays for now.
    pub(crate) fn again(&mut self, kind: Kind, slot: u32, id: u64) {
        if let Some(queue) = self.kinds.get_mut(&kind) {
            queue.flows.push_back((slot, id));
        }
    }

    /// Sweeps those that left, where they are many.
    pub(crate) fn tidy(&mut self, stays: impl Fn(u32, u64) -> bool) {
        for queue in self.kinds.values_mut() {
            if queue.flows.len() > 2 * MOST {
                queue.flows.retain(|&(slot, id)| stays(slot, id));
            }
        }
    }
}
