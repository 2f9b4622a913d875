//! The assets as the planner knows them: found by address, counted by kind.
//!
//! Guarantees: bounded; where it is full, further assets are counted and treated as unknown, which spares them.

use model::{Asset, Kind, Mac};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

/// Assets by address.
#[derive(Debug)]
pub struct Directory {
    assets: HashMap<String, Asset>,
    by_address: HashMap<IpAddr, String>,
    by_mac: HashMap<Mac, BTreeSet<String>>,
    by_kind: BTreeMap<Kind, usize>,
    capacity: usize,
    shed: u64,
}

impl Directory {
    /// For at most so many assets.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            assets: HashMap::new(),
            by_address: HashMap::new(),
            by_mac: HashMap::new(),
            by_kind: BTreeMap::new(),
            capacity,
            shed: 0,
        }
    }

    /// Takes a new or changed asset in. An address belongs to the asset that was seen with it last.
    pub fn insert(&mut self, asset: Asset) {
        if !self.assets.contains_key(&asset.id) && self.assets.len() >= self.capacity {
            self.shed += 1;
            return;
        }
        if let Some(old) = self.assets.remove(&asset.id) {
            self.forget(&old);
        }
        for &address in &asset.addresses {
            let newer = self
                .by_address
                .get(&address)
                .and_then(|id| self.assets.get(id))
                .is_some_and(|other| other.last_seen > asset.last_seen);
            if !newer {
                self.by_address.insert(address, asset.id.clone());
            }
        }
        if let Some(mac) = asset.mac {
            self.by_mac.entry(mac).or_default().insert(asset.id.clone());
        }
        *self.by_kind.entry(asset.kind.clone()).or_default() += 1;
        self.assets.insert(asset.id.clone(), asset);
    }

    /// The asset that has an address.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<&Asset> {
        self.by_address.get(&address).and_then(|id| self.assets.get(id))
    }

    /// How many assets of a kind are known.
    #[must_use]
    pub fn known_of(&self, kind: &Kind) -> usize {
        self.by_kind.get(kind).copied().unwrap_or(0)
    }

    /// The assets that carry a hardware address.
    pub fn with_mac(&self, mac: Mac) -> impl Iterator<Item = &Asset> {
        self.by_mac.get(&mac).into_iter().flatten().filter_map(|id| self.assets.get(id))
    }

    /// How many assets carry a hardware address: more than one means that it fronts others.
    #[must_use]
    pub fn sharing(&self, mac: Mac) -> usize {
        self.by_mac.get(&mac).map_or(0, BTreeSet::len)
    }

    /// How many assets did not fit.
    #[must_use]
    pub const fn shed(&self) -> u64 {
        self.shed
    }

    fn forget(&mut self, old: &Asset) {
        for address in &old.addresses {
            if self.by_address.get(address) == Some(&old.id) {
                self.by_address.remove(address);
            }
        }
        if let Some(mac) = old.mac
            && let Some(ids) = self.by_mac.get_mut(&mac)
        {
            ids.remove(&old.id);
            if ids.is_empty() {
                self.by_mac.remove(&mac);
            }
        }
        if let Some(count) = self.by_kind.get_mut(&old.kind) {
            *count -= 1;
            if *count == 0 {
                self.by_kind.remove(&old.kind);
            }
        }
    }
}
