//! A map that forgets its oldest entries.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::{collections::VecDeque, hash::Hash};

/// At most so many entries; the oldest is forgotten for a new one.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    entries: HashMap<K, V, RandomState>,
    order: VecDeque<K>,
    capacity: usize,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::default(), order: VecDeque::new(), capacity }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.entries.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        while self.order.len() > self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
