//! This machine's own addresses: whoever runs the sensor is never acted on.

use nix::ifaddrs::getifaddrs;
use protect::ResponseConfig;
use std::net::IpAddr;

/// The settings with the machine's addresses among those that are never acted on and always reachable.
pub(crate) fn spared(config: &ResponseConfig, own: &[IpAddr]) -> ResponseConfig {
    let mut config = config.clone();
    for &address in own {
        if !config.keep.contains(&address) && config.keep.len() < ResponseConfig::MAX_LIST {
            config.keep.push(address);
        }
    }
    config
}

/// This machine's addresses, but for loopback.
#[must_use]
pub fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    let mut addresses: Vec<_> =
        interfaces.filter_map(address).filter(|address| !address.is_loopback()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
