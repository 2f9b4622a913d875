//! When each flow is to be looked at again.
//!
//! Guarantees: at most a few places for each flow that may be alive; places of flows that ended are swept in good time.
//! A queue is in the order of time, because time goes on between two rebuildings (see `clock`).

use model::Timestamp;
use std::collections::VecDeque;

/// An answer that takes longer than this is none. Also how long an ended flow waits for stragglers.
pub(crate) const ANSWER_MICROS: i64 = 3_000_000;
/// Idle time after which an unanswered flow, an answered datagram flow and a TCP connection are over.
const IDLE_MICROS: [i64; CLASSES] = [60_000_000, 120_000_000, 3_600_000_000];
/// Classes of idle time; those that are given up first come first.
pub(crate) const CLASSES: usize = 3;

/// Where a flow waits to be looked at again.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) slot: u32,
    pub(crate) id: u64,
}

/// The queues.
#[derive(Default)]
pub(crate) struct Dues {
    /// Waiting for an answer, or for stragglers.
    waiting: VecDeque<Due>,
    /// By class of idle time; a flow stands in exactly one of them.
    idle: [VecDeque<Due>; CLASSES],
}

/// When a flow of the class is over that was last seen then.
pub(crate) fn idle_until(class: usize, last: Timestamp) -> Timestamp {
    last.plus_micros(IDLE_MICROS.get(class).copied().unwrap_or(0))
}

impl Dues {
    /// An answer, or stragglers, may come until a while after `from`.
    pub(crate) fn wait(&mut self, from: Timestamp, slot: u32, id: u64) {
        self.waiting.push_back(Due { at: from.plus_micros(ANSWER_MICROS), slot, id });
    }

    /// The flow was last seen then.
    pub(crate) fn idle(&mut self, class: usize, last: Timestamp, slot: u32, id: u64) {
        if let Some(queue) = self.idle.get_mut(class) {
            queue.push_back(Due { at: idle_until(class, last), slot, id });
        }
    }

    /// The next whose wait is over.
    pub(crate) fn waited(&mut self, now: Timestamp) -> Option<Due> {
        self.waiting.pop_front_if(|due| due.at <= now)
    }

    /// The next of a class that may have been idle for long enough.
    pub(crate) fn idled(&mut self, class: usize, now: Timestamp) -> Option<Due> {
        self.idle.get_mut(class)?.pop_front_if(|due| due.at <= now)
    }

    /// The one of a class that has been there for longest.
    pub(crate) fn oldest(&mut self, class: usize) -> Option<Due> {
        self.idle.get_mut(class)?.pop_front()
    }

    /// Sweeps the places of flows that ended, where there are more than `most` in a queue.
    pub(crate) fn tidy(&mut self, most: usize, is_alive: impl Fn(&Due) -> bool) {
        for queue in self.idle.iter_mut().chain([&mut self.waiting]) {
            if queue.len() > most {
                queue.retain(&is_alive);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
