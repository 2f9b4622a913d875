//! Which observations speak of one device.
//!
//! What is observed has identifiers of different strength. The surest are looked at first: what shares one becomes one
//! device, unless something as sure, or surer, says that they are two. A looser identifier never joins what a surer one
//! keeps apart: an address that went from one machine to another, a forged hardware address under another key, machines
//! behind one address. Where it cannot be said whose a shared identifier is, nobody gets it, and that is told.
//!
//! Guarantees: the same set of observations gives the same devices in whatever order it comes. No device holds two
//! keys, serial numbers or (but for one that such a surer one joined) registered hardware addresses that nothing but a
//! looser identifier connects. What somebody said is not the same is never joined again. Time and memory grow with the
//! observations; an identifier that more than [`MOST_SHARING`] share is nobody's.

mod devices;

use devices::Devices;
use model::{Asset, Criticality, Identifier, Mac, Talk, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::IpAddr};

/// From so many on, those who share an identifier and do not fit together are not looked at one by one.
pub const MOST_SHARING: usize = 64;
/// Identifiers of one observation that are looked at, the surest first.
pub const MOST_KNOWN: usize = 32;

/// Something that one source knows of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Where names, addresses and made-up hardware addresses mean what they say: the network or authority.
    pub site: String,
    /// By what the device is known to the source.
    pub known: Vec<Known>,
}

/// An identifier, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Known {
    /// What.
    #[serde(flatten)]
    pub by: Identifier,
    /// First and last; `None` for what is declared and holds at any time.
    pub during: Option<(Timestamp, Timestamp)>,
}

/// An asset as one source knows it, with by what it tells it from others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// What the source makes of it.
    #[serde(flatten)]
    pub asset: Asset,
    /// By what it is known there.
    #[serde(default)]
    pub known: Vec<Known>,
    /// With whom it talks, the last first; the latest few.
    #[serde(default)]
    pub talks: Vec<Talk>,
}

/// What people said about devices, each as two identifiers of two observations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Whatever has the one is not what has the other.
    pub apart: BTreeSet<(Identifier, Identifier)>,
    /// Whatever has the one is what has the other, whatever speaks against it.
    pub same: BTreeSet<(Identifier, Identifier)>,
}

/// Which observations speak of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Each device once, in order of its first observation.
    pub devices: Vec<Device>,
    /// What several have and nobody got.
    pub contested: Vec<Contested>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Places of its observations in what was given, in order.
    pub observations: Vec<usize>,
    /// Why they are one, the surest reason first.
    pub joined: Vec<Join>,
}

/// Why observations are one device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Join {
    /// What they share; of what a person joined, what was named.
    pub by: Identifier,
    /// A person said so.
    pub said: bool,
    /// How many were joined by it.
    pub count: usize,
}

impl Join {
    /// The reason as a sentence's part, such as “3 sources share the hardware address 00:40:8c:01:02:03”.
    #[must_use]
    pub fn reason(&self) -> String {
        if self.said {
            format!("somebody said that what has {} is this", self.by)
        } else {
            format!("{} sources share {}", self.count, self.by)
        }
    }
}

/// An identifier that several have who cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contested {
    /// What.
    pub by: Identifier,
    /// The first observation of each; at most [`MOST_SHARING`].
    pub among: Vec<usize>,
}

/// Why two cannot be kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InseparableError {
    /// Everything that one is known by, the others are known by, too.
    #[error("nothing tells it from the others: expected an identifier that only it has")]
    Alike,
}

/// How sure an identifier is; the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Strength {
    /// Key or serial number.
    Proof,
    /// A registered hardware address.
    Hardware,
    /// What a device makes up for itself and keeps.
    Kept,
    /// A name on its network.
    Name,
    /// An address, while it has it.
    Address,
}

const STRENGTHS: [Strength; 5] =
    [Strength::Proof, Strength::Hardware, Strength::Kept, Strength::Name, Strength::Address];

/// `None` for what identifies nothing: group and virtual addresses, names that makers give to all they sell.
fn strength(by: &Identifier) -> Option<Strength> {
    match by {
        Identifier::Key(text) | Identifier::Serial(text) => (!text.is_empty()).then_some(Strength::Proof),
        Identifier::Mac(mac)
            if mac.is_group() || *mac == Mac::ZERO || mac.is_virtual() || mac.is_balanced() =>
        {
            None
        }
        Identifier::Mac(mac) => Some(if mac.is_local() { Strength::Kept } else { Strength::Hardware }),
        Identifier::DhcpClient(text) | Identifier::Uuid(text) => (!text.is_empty()).then_some(Strength::Kept),
        Identifier::Name(name) => is_telling(name).then_some(Strength::Name),
        Identifier::Address(address) => is_own(*address).then_some(Strength::Address),
    }
}

/// An address that one device can have.
pub(crate) const fn is_own(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_loopback())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_loopback()),
    }
}

/// A name that somebody chose, or that has a number of its own; not one that comes with the product.
fn is_telling(name: &str) -> bool {
    const COMMON: [&str; 24] = [
        "localhost",
        "android",
        "iphone",
        "ipad",
        "macbook",
        "espressif",
        "esp",
        "raspberrypi",
        "raspberry",
        "ubuntu",
        "debian",
        "linux",
        "kali",
        "openwrt",
        "router",
        "camera",
        "ipcam",
        "ipc",
        "dvr",
        "nvr",
        "printer",
        "unknown",
        "none",
        "device",
    ];
    let word = name.trim_matches(|letter: char| !letter.is_alphabetic());
    let digits = name.chars().filter(char::is_ascii_digit).count();
    name.chars().count() >= 4 && (digits >= 3 || !COMMON.contains(&word))
}

/// Finds which observations speak of one device.
#[must_use]
pub fn merge(observations: &[Observation], said: &Said) -> Merged {
    let mut devices = Devices::new(observations, said);
    devices.join_said(said);
    for strength in STRENGTHS {
        devices.join(strength);
    }
    devices.finish()
}

/// What has to be remembered as [`Said::apart`] so that the observation at `off` is not joined again with the others
/// of its device.
///
/// # Errors
/// [`InseparableError::Alike`] where nothing tells them apart.
pub fn part(
    observations: &[Observation],
    device: &Device,
    off: usize,
) -> Result<Vec<(Identifier, Identifier)>, InseparableError> {
    let known = |at: usize| observations.get(at).map(|seen| seen.known.as_slice()).unwrap_or_default();
    let mark = |of: usize, against: &dyn Fn(&Identifier) -> bool| {
        // Addresses go from one to another, and tell nobody apart for good.
        let lasting = |by: &&Identifier| strength(by).is_some_and(|strength| strength < Strength::Address);
        let own = known(of).iter().map(|known| &known.by).filter(lasting).filter(|by| !against(by));
        own.min().cloned()
    };
    let others: Vec<usize> = device.observations.iter().copied().filter(|at| *at != off).collect();
    let has = |at: usize, by: &Identifier| known(at).iter().any(|known| known.by == *by);
    let own = mark(off, &|by| others.iter().any(|at| has(*at, by))).ok_or(InseparableError::Alike)?;
    let mut pairs = BTreeSet::new();
    for other in others {
        let theirs = mark(other, &|by| has(off, by)).ok_or(InseparableError::Alike)?;
        pairs.insert((own.clone(), theirs));
    }
    Ok(pairs.into_iter().collect())
}

/// One asset of several that are one: the surest guess and its reasons, the first name, all addresses, the highest
/// criticality that any of them asks for.
#[must_use]
pub fn unite(assets: &[&Asset]) -> Option<Asset> {
    let mut sorted: Vec<&&Asset> = assets.iter().collect();
    // The surest leads; of equals the one that is known best, then by its id, so that the order given does not matter.
    sorted.sort_by(|a, b| {
        (b.confidence, b.mac.is_some(), b.last_seen)
            .cmp(&(a.confidence, a.mac.is_some(), a.last_seen))
            .then(a.id.cmp(&b.id))
    });
    let (first, rest) = sorted.split_first()?;
    let mut asset = (**first).clone();
    let registered = |asset: &Asset| asset.mac.is_some_and(|mac| !mac.is_local());
    for other in rest {
        if registered(other) && !registered(&asset) || asset.mac.is_none() && other.mac.is_some() {
            (asset.id, asset.mac, asset.vendor) = (other.id.clone(), other.mac, other.vendor.clone());
        }
        asset.name = asset.name.take().or_else(|| other.name.clone());
        asset.vendor = asset.vendor.take().or_else(|| other.vendor.clone());
        if asset.kind.as_str() == "unknown" {
            (asset.kind, asset.layer) = (other.kind.clone(), other.layer);
        }
        if other.criticality == Criticality::Protected {
            asset.criticality = Criticality::Protected;
        }
        for address in &other.addresses {
            if !asset.addresses.contains(address) && asset.addresses.len() < MOST_KNOWN {
                asset.addresses.push(*address);
            }
        }
        asset.functions.extend(other.functions.iter().cloned());
        asset.first_seen = asset.first_seen.min(other.first_seen);
        asset.last_seen = asset.last_seen.max(other.last_seen);
    }
    asset.functions.sort_unstable();
    asset.functions.dedup();
    Some(asset)
}
