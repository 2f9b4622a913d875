//! Which hardware address stands for which network address on the link, and which ones front for others.
//!
//! A router's hardware address carries the packets of many; such an address names no asset but the router's own.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::Mac;
use std::net::IpAddr;

/// From so many addresses on, a hardware address fronts for others: IPv4 addresses of ours.
const MANY_OURS: usize = 5;
/// IPv4 addresses that are not ours: one may be a device's second network, two are a router's.
const MANY_FOREIGN: usize = 2;
/// IPv6 networks of 64 bits, of which a device has a few.
const MANY_V6: usize = 6;

/// What was seen behind hardware addresses.
#[derive(Debug)]
pub(crate) struct Wiring {
    macs: HashMap<Mac, Behind, RandomState>,
    capacity: usize,
}

#[derive(Clone, Debug, Default)]
struct Behind {
    ours: Vec<IpAddr>,
    foreign: Vec<IpAddr>,
    v6: Vec<u64>,
    fronts: bool,
}

impl Wiring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { macs: HashMap::default(), capacity }
    }

    /// A packet of `address` came from, or went to, `mac`. True where the hardware address fronts for others.
    pub(crate) fn saw(&mut self, mac: Mac, address: IpAddr, ours: bool) -> bool {
        if self.macs.len() >= self.capacity && !self.macs.contains_key(&mac) {
            // Hardware addresses made up by the thousand are dropped first: those that nothing is known of.
            self.macs.retain(|_, behind| behind.fronts);
            if self.macs.len() >= self.capacity {
                self.macs.clear();
            }
        }
        let behind = self.macs.entry(mac).or_default();
        if behind.fronts {
            return true;
        }
        match address {
            IpAddr::V4(_) if ours => remember(&mut behind.ours, address, MANY_OURS),
            IpAddr::V4(_) => remember(&mut behind.foreign, address, MANY_FOREIGN),
            IpAddr::V6(v6) if !v6.is_unicast_link_local() => {
                remember(&mut behind.v6, (u128::from(v6) >> 64) as u64, MANY_V6);
            }
            IpAddr::V6(_) => {}
        }
        if behind.ours.len() >= MANY_OURS
            || behind.foreign.len() >= MANY_FOREIGN
            || behind.v6.len() >= MANY_V6
        {
            *behind = Behind { fronts: true, ..Behind::default() };
        }
        behind.fronts
    }

    /// Whether a hardware address is known to front for others.
    pub(crate) fn fronts(&self, mac: Mac) -> bool {
        self.macs.get(&mac).is_some_and(|behind| behind.fronts)
    }
}

fn remember<T: PartialEq>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() < most && !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_told_from_devices() {
        let mut wiring = Wiring::new(8);
        let mut check = |mac: u8, address: &str, ours: bool, expected: bool| {
            let fronts = wiring.saw(Mac([2, 0, 0, 0, 0, mac]), address.parse().unwrap(), ours);
            assert_eq!(fronts, expected, "{mac} {address}");
        };
        check(1, "10.0.0.1", true, false);
        check(1, "192.0.2.1", false, false);
        check(1, "192.0.2.2", false, true);
        check(2, "10.0.0.2", true, false);
        check(2, "fe80::2", true, false);
        check(2, "fd00::2", true, false);
        check(2, "2001:db8::2", false, false);
        check(2, "2001:db8::abcd", false, false);
        for host in 3..7 {
            check(3, &format!("10.0.0.{host}"), true, false);
        }
        check(3, "10.0.0.9", true, true);
    }

    #[test]
    fn made_up_addresses_do_not_grow_it() {
        let mut wiring = Wiring::new(8);
        for host in 0..=255_u8 {
            wiring.saw(Mac([2, 0, 0, 0, 1, host]), IpAddr::from([10, 0, 1, host]), true);
            assert!(wiring.macs.len() <= 8);
        }
    }
}
