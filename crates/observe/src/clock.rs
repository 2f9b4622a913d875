//! Which time it is by the packets.
//!
//! Guarantees: one record with a time far from the others' moves nothing; a leap forward or back is believed once the
//! records that follow go on from there, and time never stands in the future for longer than that.

use model::Timestamp;

/// Disorder between packets, and ordinary pauses.
const SLACK_MICROS: i64 = 60_000_000;
const PAUSE_MICROS: i64 = 600_000_000;
/// So many records in a row, each going on from the one before, are believed.
const CONFIRMED: usize = 3;

/// What a record's time comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    /// It is that late, or was a moment ago. Whatever was doubted before is contradicted.
    Near,
    /// It is far from what is known; what comes next decides.
    Doubted,
    /// Time went on by a leap. Whatever was doubted in a row before is confirmed.
    Leapt,
    /// The clock was set back. Whatever was doubted in a row before is confirmed.
    SetBack,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    now: Option<Timestamp>,
    /// The last of those doubted in a row, and how many there are.
    doubted: Option<(Timestamp, usize)>,
}

impl Clock {
    /// Takes the time of the next record.
    pub(crate) fn tell(&mut self, at: Timestamp) -> Belief {
        let now = *self.now.get_or_insert(at);
        let ahead = at.micros_since(now);
        if (-SLACK_MICROS..=PAUSE_MICROS).contains(&ahead) {
            self.now = Some(now.max(at));
            self.doubted = None;
            return Belief::Near;
        }
        let before = self.doubted.filter(|(last, _)| {
            at.micros_since(*last) >= -SLACK_MICROS && (ahead > 0) == (last.micros_since(now) > 0)
        });
        let count = before.map_or(1, |(_, count)| count + 1);
        if count < CONFIRMED {
            self.doubted = Some((at, count));
            return Belief::Doubted;
        }
        self.now = Some(at);
        self.doubted = None;
        if ahead > 0 { Belief::Leapt } else { Belief::SetBack }
    }

    /// How many are doubted in a row.
    pub(crate) fn doubts(&self) -> usize {
        self.doubted.map_or(0, |(_, count)| count)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_next_records_confirm_is_believed() {
        let check = |hours: &[f64], expected: f64, last: Belief| {
            let mut clock = Clock::default();
            let at = |hours: f64| Timestamp::from_secs_f64(1_700_000_000.0 + hours * 3_600.0);
            let beliefs: Vec<Belief> = hours.iter().map(|&hours| clock.tell(at(hours))).collect();
            assert_eq!((clock.now(), beliefs.last().copied()), (at(expected), Some(last)), "{hours:?}");
        };
        check(&[0.0, 0.1, 0.0999], 0.1, Belief::Near);
        check(&[0.0, 900_000.0], 0.0, Belief::Doubted);
        check(&[0.0, 900_000.0, 0.1], 0.1, Belief::Near);
        check(&[0.0, 900_000.0, 0.1, 900_000.0, 0.2, 900_000.0, 0.3], 0.3, Belief::Near);
        check(&[0.0, 900_000.0, 2.0, 2.0], 0.0, Belief::Doubted);
        check(&[0.0, 900_000.0, 2.0, 2.0, 2.0], 2.0, Belief::Leapt);
        // Far between, and a clock that is right again.
        check(&[0.0, 2.0, 4.0, 6.0], 6.0, Belief::Leapt);
        check(&[0.0, 2.0, 2.0, 2.0, 2.1], 2.1, Belief::Near);
        check(&[0.0, -1.0, -1.0], 0.0, Belief::Doubted);
        check(&[0.0, -1.0, 0.0, -1.0, -1.0], 0.0, Belief::Doubted);
        check(&[0.0, -1.0, -1.0, -0.9], -0.9, Belief::SetBack);
        check(&[0.0, 5.0, -1.0, -1.0], 0.0, Belief::Doubted);
    }
}
