//! Maps that forget: bounded tables for state about strangers.
//!
//! Guarantees: at most `capacity` entries. What was promoted is kept apart from what was seen once, so that a flood of
//! strangers pushes out strangers only; within each part the longest untouched half goes first and is counted.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::hash::Hash;

/// A bounded map in two parts, each of two generations.
pub(crate) struct Bounded<K, V> {
    seen: Generations<K, V>,
    kept: Generations<K, V>,
}

struct Generations<K, V> {
    young: HashMap<K, V, FixedState>,
    old: HashMap<K, V, FixedState>,
    half: usize,
    forgotten: u64,
}

impl<K: Hash + Eq + Copy, V> Bounded<K, V> {
    /// A map of at most `capacity` entries, half of them for promoted ones.
    pub(crate) fn new(capacity: usize) -> Self {
        let quarter = (capacity / 4).max(1);
        Self { seen: Generations::new(quarter), kept: Generations::new(quarter) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.kept.get(key).or_else(|| self.seen.get(key))
    }

    /// The value, made young again; made by `fresh` where there is none.
    pub(crate) fn entry(&mut self, key: K, fresh: impl FnOnce() -> V) -> &mut V {
        if self.kept.contains(&key) { self.kept.entry(key, fresh) } else { self.seen.entry(key, fresh) }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.kept.contains(key) { self.kept.get_mut(key) } else { self.seen.get_mut(key) }
    }

    /// Moves an entry to where a flood of strangers cannot push it out.
    pub(crate) fn promote(&mut self, key: &K) {
        if let Some(value) = self.seen.remove(key) {
            self.kept.insert(*key, value);
        }
    }

    pub(crate) const fn forgotten(&self) -> u64 {
        self.seen.forgotten + self.kept.forgotten
    }
}

impl<K: Hash + Eq + Copy, V> Generations<K, V> {
    fn new(half: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half, forgotten: 0 }
    }

    fn contains(&self, key: &K) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn entry(&mut self, key: K, fresh: impl FnOnce() -> V) -> &mut V {
        let returning = if self.young.contains_key(&key) { None } else { self.old.remove(&key) };
        if !self.young.contains_key(&key) && self.young.len() >= self.half {
            self.turn();
        }
        self.young.entry(key).or_insert_with(|| returning.unwrap_or_else(fresh))
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key) {
            let value = self.old.remove(key)?;
            self.insert(*key, value);
        }
        self.young.get_mut(key)
    }

    fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.turn();
        }
        self.young.insert(key, value);
    }

    /// The young grow old; the old are forgotten.
    fn turn(&mut self) {
        self.forgotten += self.old.len() as u64;
        self.old = std::mem::take(&mut self.young);
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_pushes_out_strangers_only() {
        let mut map = Bounded::new(64);
        *map.entry(1_000_000, || 0) += 7;
        map.promote(&1_000_000);
        for stranger in 0..10_000 {
            map.entry(stranger, || 0);
        }
        assert_eq!(map.get(&1_000_000), Some(&7));
        assert_eq!(map.get(&1), None);
        assert!(map.kept.young.len() + map.kept.old.len() + map.seen.young.len() + map.seen.old.len() <= 64);
        assert!(map.forgotten() > 9_000);
    }

    #[test]
    fn what_is_touched_stays() {
        let mut map = Bounded::new(64);
        for stranger in 0..1_000 {
            map.entry(u64::MAX, || 1);
            map.entry(stranger, || 0);
        }
        assert_eq!(map.get(&u64::MAX), Some(&1));
    }
}
