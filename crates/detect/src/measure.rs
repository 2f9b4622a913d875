//! What detectors count with: distinct things, rates over a sliding window, gaps between contacts.
//!
//! Guarantees: bounded size each, event time only; time that runs backwards counts as standing still.

use foldhash::quality::FixedState;
use model::Timestamp;
use std::hash::{BuildHasher, Hash};

/// A digest for counting distinct things; the same in every run.
pub(crate) fn digest(thing: impl Hash) -> u64 {
    FixedState::with_seed(0x62_61_73_74_69_64_65).hash_one(thing)
}

/// Counts distinct things: exactly up to 64, then by linear counting within about 3 % up to 20 000. Most never see a second
/// thing, and take no memory beside themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Distinct {
    first: Option<u64>,
    /// All but the first, up to [`Distinct::EXACT`] together.
    exact: Vec<u64>,
    bitmap: Option<Box<[u64; Distinct::WORDS]>>,
    ones: u32,
}

impl Distinct {
    const EXACT: usize = 64;
    const WORDS: usize = 128;
    const BITS: u64 = Self::WORDS as u64 * 64;

    /// Whether the thing was new.
    pub(crate) fn insert(&mut self, digest: u64) -> bool {
        if self.bitmap.is_some() {
            return self.mark(digest);
        }
        if self.first.is_none() {
            self.first = Some(digest);
            return true;
        }
        if self.contains(digest) {
            return false;
        }
        if self.exact.len() + 1 < Self::EXACT {
            self.exact.push(digest);
            return true;
        }
        self.bitmap = Some(Box::new([0; Self::WORDS]));
        for known in std::mem::take(&mut self.exact).into_iter().chain(self.first) {
            self.mark(known);
        }
        self.mark(digest)
    }

    /// Whether the thing is among those counted (may err on yes beyond 64).
    pub(crate) fn contains(&self, digest: u64) -> bool {
        match &self.bitmap {
            None => self.first == Some(digest) || self.exact.contains(&digest),
            Some(bitmap) => {
                let bit = digest % Self::BITS;
                bitmap.get((bit / 64) as usize).is_some_and(|word| word & (1 << (bit % 64)) != 0)
            }
        }
    }

    pub(crate) fn count(&self) -> u64 {
        if self.bitmap.is_none() {
            return u64::from(self.first.is_some()) + self.exact.len() as u64;
        }
        let zeros = Self::BITS.saturating_sub(u64::from(self.ones)).max(1) as f64;
        let bits = Self::BITS as f64;
        (bits * (bits / zeros).ln()).round() as u64
    }

    fn mark(&mut self, digest: u64) -> bool {
        let bit = digest % Self::BITS;
        let word = self.bitmap.as_mut().and_then(|bitmap| bitmap.get_mut((bit / 64) as usize));
        let Some(word) = word else { return false };
        let fresh = *word & (1 << (bit % 64)) == 0;
        *word |= 1 << (bit % 64);
        self.ones += u32::from(fresh);
        fresh
    }
}

/// Amounts per second over the last ten seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    buckets: [u64; Rate::SPAN],
    second: i64,
    started: Option<i64>,
}

impl Rate {
    const SPAN: usize = 10;

    /// Adds an amount that happened between two moments (a log's summary spans time).
    pub(crate) fn add_spread(&mut self, from: Timestamp, to: Timestamp, amount: u64) {
        let seconds = (to.seconds_since(from).ceil() as u64).clamp(1, Self::SPAN as u64);
        let length = to.seconds_since(from).max(1.0);
        // Of a long span only the share of its last ten seconds is in the window.
        let share = (amount as f64 / length).ceil() as u64;
        if seconds == 1 {
            return self.add(to, amount);
        }
        for back in (0..seconds).rev() {
            self.add(to.plus_secs(-(back as i64)), share);
        }
    }

    pub(crate) fn add(&mut self, at: Timestamp, amount: u64) {
        let second = at.micros().div_euclid(1_000_000);
        self.roll(second);
        self.started.get_or_insert(second);
        let age = self.second - second;
        if (0..Self::SPAN as i64).contains(&age)
            && let Some(bucket) = self.buckets.get_mut(second.rem_euclid(Self::SPAN as i64) as usize)
        {
            *bucket += amount;
        }
    }

    fn roll(&mut self, second: i64) {
        if self.started.is_none() {
            self.second = second;
        }
        let ahead = second - self.second;
        if ahead <= 0 {
            return;
        }
        if ahead >= Self::SPAN as i64 {
            self.buckets = [0; Self::SPAN];
            self.started = None;
        } else {
            for passed in self.second + 1..=second {
                if let Some(bucket) = self.buckets.get_mut(passed.rem_euclid(Self::SPAN as i64) as usize) {
                    *bucket = 0;
                }
            }
        }
        self.second = second;
    }

    /// The most in one second of the last ten.
    pub(crate) fn peak(&self) -> u64 {
        self.buckets.iter().copied().max().unwrap_or(0)
    }

    /// All of the last ten seconds.
    pub(crate) fn sum(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// In how many of the last ten seconds anything happened.
    pub(crate) fn seconds_active(&self) -> usize {
        self.buckets.iter().filter(|&&bucket| bucket > 0).count()
    }
}

/// The last gaps between contacts, for telling a beacon.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    last: Option<Timestamp>,
    gaps: Vec<f32>,
    next: usize,
    contacts: u32,
}

impl Gaps {
    const KEEP: usize = 32;

    /// A contact; those within a second of the last are part of it.
    pub(crate) fn contact(&mut self, at: Timestamp) {
        let gap = match self.last {
            None => {
                self.last = Some(at);
                self.contacts = 1;
                return;
            }
            Some(last) => at.seconds_since(last),
        };
        if gap < 1.0 {
            return;
        }
        self.last = Some(at);
        self.contacts = self.contacts.saturating_add(1);
        if self.gaps.len() < Self::KEEP {
            self.gaps.push(gap as f32);
        } else if let Some(place) = self.gaps.get_mut(self.next) {
            *place = gap as f32;
        }
        self.next = (self.next + 1) % Self::KEEP;
    }

    pub(crate) const fn contacts(&self) -> u32 {
        self.contacts
    }

    /// The median gap in seconds and its robust spread (median absolute deviation over median).
    pub(crate) fn regularity(&self) -> Option<(f64, f64)> {
        let mut gaps: Vec<f64> = self.gaps.iter().map(|&gap| f64::from(gap)).collect();
        let middle = median(&mut gaps)?;
        let mut deviations: Vec<f64> = gaps.iter().map(|gap| (gap - middle).abs()).collect();
        let spread = median(&mut deviations)?;
        Some((middle, if middle > 0.0 { spread / middle } else { f64::INFINITY }))
    }
}

/// The median of finite numbers; orders them.
pub(crate) fn median(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_distinct_things() {
        for expected in [1u64, 64, 65, 500, 5_000, 20_000] {
            let mut distinct = Distinct::default();
            for thing in 0..expected {
                distinct.insert(digest(thing));
                distinct.insert(digest(thing));
            }
            let error = distinct.count().abs_diff(expected) as f64 / expected as f64;
            assert!(error < 0.05, "{expected}: {}", distinct.count());
        }
    }

    #[test]
    fn rates_slide() {
        let at = |secs| Timestamp::from_secs(1_700_000_000 + secs);
        let mut rate = Rate::default();
        for second in 0..100_i64 {
            rate.add(at(second), 10);
        }
        assert_eq!((rate.peak(), rate.sum(), rate.seconds_active()), (10, 100, 10));
        rate.add(at(103), 50);
        assert_eq!((rate.peak(), rate.sum()), (50, 110));
        rate.add(at(50), 1_000);
        assert_eq!(rate.sum(), 110, "what is too late is not counted");
        rate.add_spread(at(200), at(220), 2_000);
        assert_eq!((rate.peak(), rate.sum()), (100, 1_000));
    }

    #[test]
    fn a_beacon_is_regular_and_a_person_is_not() {
        let check = |gaps: &[f64], regular: bool| {
            let mut seen = Gaps::default();
            let mut at = 0.0;
            seen.contact(Timestamp::from_secs_f64(at));
            for gap in gaps {
                at += gap;
                seen.contact(Timestamp::from_secs_f64(at));
            }
            assert_eq!(seen.regularity().unwrap().1 < 0.2, regular, "{gaps:?}");
        };
        check(&[60.0, 61.0, 59.5, 60.2, 60.0, 300.0, 60.1], true);
        check(&[3.0, 61.0, 590.5, 6.2, 1.5, 300.0, 17.1], false);
    }
}
