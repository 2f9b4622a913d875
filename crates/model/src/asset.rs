//! Assets: what is protected.

use crate::{AuthorityId, Mac, Maintenance, Service, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// One of the four layers of a smart city.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Things in the street.
    #[default]
    Device,
    /// Brokers, servers, storage.
    Cloud,
    /// Data sets and their trade.
    Marketplace,
    /// What citizens and staff use.
    Application,
}

impl Layer {
    /// All.
    pub const ALL: [Self; 4] = [Self::Device, Self::Cloud, Self::Marketplace, Self::Application];

    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Cloud => "cloud",
            Self::Marketplace => "marketplace",
            Self::Application => "application",
        }
    }
}

/// What kind of thing an asset is, such as `camera`; the list with what it means is `rules/kinds.toml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(pub String);

impl Kind {
    /// Nobody knows yet.
    #[must_use]
    pub fn unknown() -> Self {
        Self("unknown".into())
    }

    /// Whether things of this kind carry others' traffic: what comes from them is not their own.
    #[must_use]
    pub fn carries(&self) -> bool {
        matches!(
            self.0.as_str(),
            "gateway-router" | "router" | "gateway" | "firewall" | "access-point" | "switch"
        )
    }

    /// The kind's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How much the city depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// Not known: counts as protected.
    #[default]
    Unknown,
    /// Can be cut off for a while without harm.
    Ordinary,
    /// Missed within the hour.
    Important,
    /// Never cut off without a person: traffic lights, alarm paths, life safety.
    Protected,
}

impl Criticality {
    /// Whether a response must never hit it without a person.
    #[must_use]
    pub const fn is_protected(self) -> bool {
        matches!(self, Self::Unknown | Self::Protected)
    }

    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ordinary => "ordinary",
            Self::Important => "important",
            Self::Protected => "protected",
        }
    }
}

/// Where an asset is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetStatus {
    /// Seen in traffic.
    #[default]
    Discovered,
    /// Has an identity issued or recognised by us.
    Enrolled,
    /// Cut off for now.
    Quarantined,
    /// Its identity was taken away.
    Revoked,
    /// Gone.
    Retired,
}

impl AssetStatus {
    /// All.
    pub const ALL: [Self; 5] =
        [Self::Discovered, Self::Enrolled, Self::Quarantined, Self::Revoked, Self::Retired];

    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Enrolled => "enrolled",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
            Self::Retired => "retired",
        }
    }
}

/// What people say of an asset beyond its name, kind and criticality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Declared {
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where it stands.
    pub place: Option<String>,
    /// The part of the city.
    pub district: Option<String>,
    /// The maker's serial number.
    pub serial: Option<String>,
    /// When it is worked on.
    pub maintenance: Vec<Maintenance>,
    /// Anything else.
    pub note: Option<String>,
}

/// With whom an asset holds conversations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// The other side.
    pub peer: IpAddr,
    /// The port at the side that answers.
    pub port: u16,
    /// What is spoken; `unknown` where that is not known.
    pub service: Service,
    /// The asset asks, and does not answer.
    pub asks: bool,
    /// How many conversations, as far as they were seen to end.
    pub count: u64,
    /// The last sign of one.
    pub last: Timestamp,
}

/// Something protected, as far as it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// Stable name: the hardware address where known, else the network address.
    pub id: String,
    /// Whose it is.
    pub authority_id: AuthorityId,
    /// Its layer.
    pub layer: Layer,
    /// What it seems to be.
    pub kind: Kind,
    /// How sure that is, 0 to 100.
    pub confidence: u8,
    /// Why: one short sentence per reason.
    pub reasons: Vec<String>,
    /// How much the city depends on it.
    pub criticality: Criticality,
    /// Where in its life.
    pub status: AssetStatus,
    /// A name, where one was seen.
    pub name: Option<String>,
    /// Maker by its hardware address.
    pub vendor: Option<String>,
    /// Hardware address.
    pub mac: Option<Mac>,
    /// Network addresses, last seen first.
    pub addresses: Vec<IpAddr>,
    /// What it is to the network: `router`, `resolver`, `dhcp`, `time`; empty for most.
    pub functions: Vec<String>,
    /// First seen.
    pub first_seen: Timestamp,
    /// Last seen; [`Asset::NEVER`] for what was only listed.
    pub last_seen: Timestamp,
    /// What people say of it; unset where nobody listed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Box<Declared>>,
}

impl Asset {
    /// When that was last seen which nobody has seen yet.
    pub const NEVER: Timestamp = Timestamp::from_micros(0);

    /// What to call it: a name comes before an address.
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.name, self.addresses.first()) {
            (Some(name), _) => name.clone(),
            (None, Some(address)) => address.to_string(),
            (None, None) => self.id.clone(),
        }
    }
}
