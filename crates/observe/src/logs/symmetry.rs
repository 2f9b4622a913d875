//! Whether a log shows both directions. Silence means something only where an answer would have been seen.
//!
//! A log is taken to show both directions until it proves otherwise: an originator that goes on as if it had been
//! answered, time and again with other responders, was answered out of sight. Responders are counted once each, so
//! that a flood at one of them says no more than one flow.

use super::bounded::Bounded;
use model::{Outcome, Visibility};
use std::net::IpAddr;

const REMEMBERED: usize = 4096;

/// What a flow shows of its directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Packets both ways.
    Both,
    /// Only the originator's, and nothing that needed an answer first.
    Unanswered,
    /// Only the originator's, and it went on as if answered: the answers passed elsewhere.
    AnsweredOutOfSight,
    /// Only the responder's.
    AnswersOnly,
}

#[derive(Debug)]
pub(super) struct Symmetry {
    both: Bounded<IpAddr, ()>,
    one_way: Bounded<IpAddr, ()>,
}

impl Default for Symmetry {
    fn default() -> Self {
        Self { both: Bounded::new(REMEMBERED), one_way: Bounded::new(REMEMBERED) }
    }
}

impl Symmetry {
    /// Learns from a flow, and says what its directions mean: an outcome where silence decides it, and visibility.
    pub(super) fn judge(&mut self, responder: IpAddr, shown: Shown) -> (Option<Outcome>, Visibility) {
        match shown {
            Shown::Both => {
                self.both.insert(responder, ());
                (None, Visibility::Both)
            }
            Shown::AnsweredOutOfSight => {
                self.one_way.insert(responder, ());
                (Some(Outcome::Unknown), Visibility::OneWay)
            }
            Shown::AnswersOnly => (Some(Outcome::Unknown), Visibility::OneWay),
            Shown::Unanswered if self.one_way.len() > self.both.len() => {
                (Some(Outcome::Unknown), Visibility::OneWay)
            }
            Shown::Unanswered => (Some(Outcome::Silent), Visibility::Both),
        }
    }
}
