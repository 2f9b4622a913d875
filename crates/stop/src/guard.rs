//! Who is never hit, and why.
//!
//! Guarantees: what nobody knows is spared; a reason is given for every sparing.

use crate::plan::Context;
use model::{Asset, Criticality};
use std::net::IpAddr;

/// More IPv4 addresses than this on one hardware address: others are behind it.
const MAX_OWN_IPV4: usize = 4;

/// Why an address is no target at all, whatever is known of it.
pub(crate) fn spared_address(address: IpAddr, context: &Context<'_>) -> Option<String> {
    if !is_unicast(address) {
        return Some("it names no single machine".into());
    }
    context.config.spared(address).map(Into::into)
}

/// Why one of ours is never isolated, restricted or limited. Whether it is protected is not decided here.
pub(crate) fn spared_device(address: IpAddr, asset: Option<&Asset>, context: &Context<'_>) -> Option<String> {
    if let Some(reason) = spared_address(address, context) {
        return Some(reason);
    }
    let Some(asset) = asset else {
        return Some("nobody knows what it is, so it counts as protected".into());
    };
    if let Some(reason) = asset.addresses.iter().find_map(|address| context.config.spared(*address)) {
        return Some(reason.into());
    }
    if asset.functions.iter().any(|function| function == "router") || asset.kind.carries() {
        return Some("it is a router: others are behind its address".into());
    }
    for (function, reason) in [
        ("resolver", "it answers as a resolver: others depend on it"),
        ("dhcp", "it answers as a DHCP server: others depend on it"),
        ("time", "it answers as a time server: others depend on it"),
    ] {
        if asset.functions.iter().any(|known| known == function) {
            return Some(reason.into());
        }
    }
    let own = asset.addresses.iter().filter(|address| address.is_ipv4()).count();
    if own > MAX_OWN_IPV4 || asset.mac.is_some_and(|mac| context.directory.sharing(mac) > 1) {
        return Some("its hardware address fronts many addresses, as a translator of addresses does".into());
    }
    (asset.criticality == Criticality::Unknown).then(|| {
        format!(
            "nobody has said how critical {} is ({}), so it counts as protected",
            asset.label(),
            asset.kind
        )
    })
}

/// The first protected asset that depends on a device or on somebody outside, and how: it opened flows to it that
/// were answered, or took answered flows from it before the attack began. Flows that the attack itself made bind
/// nobody.
pub(crate) fn dependent<'a>(
    addresses: &[IpAddr],
    incident: &model::Incident,
    context: &Context<'a>,
) -> Option<(&'a Asset, String)> {
    let talks = addresses.iter().flat_map(|&address| context.talks.of(address));
    talks
        .filter_map(|talk| {
            let opened_by_target = addresses.contains(&talk.src);
            let peer = if opened_by_target { talk.dst } else { talk.src };
            let asset = context.directory.at(peer)?;
            let protected = asset.criticality == Criticality::Protected;
            // Who serves the network depends on none of its clients, and a router speaks for others.
            let serves = !asset.functions.is_empty() || asset.kind.carries();
            let binds = !serves && (!opened_by_target || talk.first < incident.first);
            (protected && binds && !addresses.contains(&peer)).then(|| (asset, crate::hits::flows(talk)))
        })
        .min_by(|(a, _), (b, _)| a.id.cmp(&b.id))
}

fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_unspecified()
                || v4.is_loopback()
                || v4.octets()[0] >= 240)
        }
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified() || v6.is_loopback()),
    }
}
