//! By what a device is told from another.

use crate::Mac;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// One thing by which a device is known, from the surest to the loosest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "by", content = "value", rename_all = "kebab-case")]
pub enum Identifier {
    /// The public key of its certificate: SHA-256 of the SubjectPublicKeyInfo in hexadecimal.
    Key(String),
    /// The maker's serial number, as somebody wrote it down; never one that the device says of itself.
    Serial(String),
    /// Hardware address.
    Mac(Mac),
    /// DHCP client identifier (option 61) in hexadecimal.
    DhcpClient(String),
    /// The UUID that it announces (UPnP).
    Uuid(String),
    /// The name by which it calls itself on its network, in lower case.
    Name(String),
    /// Network address.
    Address(IpAddr),
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "the public key {}…", key.get(..16).unwrap_or(key)),
            Self::Serial(serial) => write!(f, "the serial number {serial}"),
            Self::Mac(mac) if mac.is_local() => write!(f, "the made-up hardware address {mac}"),
            Self::Mac(mac) => write!(f, "the hardware address {mac}"),
            Self::DhcpClient(id) => write!(f, "the DHCP client identifier {id}"),
            Self::Uuid(uuid) => write!(f, "the UUID {uuid}"),
            Self::Name(name) => write!(f, "the name “{name}”"),
            Self::Address(address) => write!(f, "the address {address}"),
        }
    }
}
