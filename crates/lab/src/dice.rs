//! The drill's only source of chance: everything that varies comes from one seed, so that a run can be repeated.

use std::{fs::File, io::Read};

/// A SplitMix64 generator. Good enough to vary a city; no secret depends on it.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed and purpose, whatever else was thrown.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut dice = Self(mixed);
        dice.throw();
        dice
    }

    /// A seed from the operating system.
    #[must_use]
    pub fn fresh_seed() -> u64 {
        let mut bytes = [0; 4];
        // A city of seed 2016 is as good as any where there is no /dev/urandom.
        match File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
            Ok(()) => u64::from(u32::from_be_bytes(bytes)),
            Err(_) => 2016,
        }
    }

    /// The next 64 bits.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1).max(1);
        low.saturating_add(self.throw() % span)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.range(0, 99) < chance
    }

    /// One of them; the default of the type where there is none.
    pub fn pick<T: Clone + Default>(&mut self, of: &[T]) -> T {
        let at = self.range(0, (of.len() as u64).saturating_sub(1)) as usize;
        of.get(at).cloned().unwrap_or_default()
    }

    /// Puts them in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.range(0, last as u64) as usize;
            items.swap(last, other);
        }
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| self.throw().to_le_bytes()).take(count).collect()
    }

    /// Random lower-case letters and digits.
    pub fn word(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvw012345678";
        (0..length).map(|_| char::from(self.pick(LETTERS))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_way_and_purposes_differ() {
        let throw =
            |seed, purpose: &str| (0..8).map(|_| Dice::new(seed, purpose).range(0, 1000)).collect::<Vec<_>>();
        assert_eq!(throw(7, "a"), throw(7, "a"));
        assert_ne!(throw(7, "a"), throw(7, "b"));
        assert_ne!(throw(7, "a"), throw(8, "a"));
    }

    #[test]
    fn ranges_hold_their_ends() {
        let mut dice = Dice::new(1, "range");
        for (low, high) in [(0, 0), (3, 5), (10, 9), (0, u64::MAX)] {
            for _ in 0..200 {
                let thrown = dice.range(low, high);
                assert!(thrown >= low && thrown <= high.max(low), "{thrown} in {low}..={high}");
            }
        }
        assert_eq!(dice.pick::<u8>(&[]), 0);
        assert_eq!(dice.word(12).len(), 12);
        assert_eq!(dice.bytes(13).len(), 13);
    }
}
