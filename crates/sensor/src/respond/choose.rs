//! Which actuator fits the place.

use super::{mirror::Mirror, nft::Nftables};
use protect::ResponseConfig;
use std::{fs, path::Path};
use stop::Actuator;

/// nftables where this machine forwards what the interfaces carry (it routes, or an interface belongs to a bridge),
/// else one that says that nothing is stopped. Where it cannot be known nftables is tried: receipts tell the truth.
#[must_use]
pub fn choose(config: &ResponseConfig, interfaces: &[String], place: &str) -> Box<dyn Actuator> {
    if !routes() && interfaces.iter().all(|interface| bridged(interface) == Some(false)) {
        return Box::new(Mirror::new("this machine forwards nothing of what it sees"));
    }
    match Nftables::open(config, place) {
        Ok(nftables) => Box::new(nftables),
        Err(error) => Box::new(Mirror::new(&error.to_string())),
    }
}

fn routes() -> bool {
    let on = |path: &str| fs::read_to_string(path).is_ok_and(|value| value.trim() != "0");
    on("/proc/sys/net/ipv4/ip_forward") || on("/proc/sys/net/ipv6/conf/all/forwarding")
}

/// Whether an interface is a bridge or a port of one; nothing where it cannot be seen (another namespace's `/sys`).
fn bridged(interface: &str) -> Option<bool> {
    if interface.is_empty() || interface.contains(['/', '\0']) || interface.starts_with('.') {
        return None;
    }
    let folder = Path::new("/sys/class/net").join(interface);
    folder.exists().then(|| folder.join("bridge").exists() || folder.join("brport").exists())
}
