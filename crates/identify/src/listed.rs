//! What is listed, looked up by what is seen.

use crate::import::Row;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::{Asset, Mac};
use std::{collections::BTreeSet, net::IpAddr};

/// Assets that somebody listed or that were enrolled: by hardware address, and by address where their hardware is not known.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    rows: Vec<Row>,
    by_mac: HashMap<Mac, usize, RandomState>,
    by_address: HashMap<IpAddr, usize, RandomState>,
}

impl Listed {
    /// Of these rows; the later one where two speak of the same.
    #[must_use]
    pub fn new(rows: Vec<Row>) -> Self {
        let mut listed = Self { rows, ..Self::default() };
        for (at, row) in listed.rows.iter().enumerate() {
            listed.by_mac.extend(row.macs.iter().map(|mac| (*mac, at)));
            if row.macs.is_empty() {
                listed.by_address.extend(row.addresses.iter().map(|address| (*address, at)));
            }
        }
        listed
    }

    /// The hardware addresses that are listed.
    #[must_use]
    pub fn macs(&self) -> BTreeSet<Mac> {
        self.by_mac.keys().copied().collect()
    }

    /// The addresses of listed devices whose hardware is not known.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        self.by_address.keys().copied().collect()
    }

    /// Writes what is listed of an asset over what was guessed.
    pub fn declare(&self, asset: &mut Asset) {
        let by_mac = asset.mac.and_then(|mac| self.by_mac.get(&mac));
        let by_address = || asset.addresses.iter().find_map(|address| self.by_address.get(address));
        if let Some(row) = by_mac.or_else(by_address).and_then(|at| self.rows.get(*at)) {
            row.declare(asset);
        }
    }
}
