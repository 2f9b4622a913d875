//! Hardware addresses and networks.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, net::IpAddr, str::FromStr};

/// What was not an address or a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a hardware address.
    #[error("expected a hardware address such as 02:00:5e:10:00:01, found {0:?}")]
    Mac(String),
    /// Not a network.
    #[error("expected a network such as 192.168.0.0/16 or fd00::/8, found {0:?}")]
    Net(String),
}

/// An IEEE 802 hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The zero address, which names nobody.
    pub const ZERO: Self = Self([0; 6]);

    /// True for group addresses (multicast and broadcast), which no device has for its own.
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// True where the address was made locally (randomised phones, virtual machines).
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0[0] & 2 == 2
    }

    /// VRRP, HSRP and CARP give an address a hardware address of its own, which the machines behind it share.
    #[must_use]
    pub const fn is_virtual(self) -> bool {
        matches!(
            self.0,
            [0x00, 0x00, 0x5e, 0x00, 0x01 | 0x02, _]
                | [0x00, 0x00, 0x0c, 0x07, 0xac, _]
                | [0x00, 0x00, 0x0c, 0x9f, ..]
        )
    }

    /// GLBP gives one address several hardware addresses, to share the load.
    #[must_use]
    pub const fn is_balanced(self) -> bool {
        matches!(self.0, [0x00, 0x07, 0xb4, 0x00, ..])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError::Mac(text.chars().take(64).collect());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(error)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() { Err(error()) } else { Ok(Self(bytes)) }
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A network in CIDR form. Host bits are cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    bits: u128,
    mask: u128,
    v6: bool,
    prefix: u8,
}

fn bits(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), false),
        IpAddr::V6(v6) => (u128::from(v6), true),
    }
}

impl Net {
    /// The network of `prefix` bits around an address; `None` where the prefix is too long for the family.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let (value, v6) = bits(address);
        let width = if v6 { 128 } else { 32 };
        let host = width - u32::from(prefix).min(width);
        if u32::from(prefix) > width {
            return None;
        }
        let full = if v6 { u128::MAX } else { u128::from(u32::MAX) };
        let mask = full & u128::MAX.checked_shl(host).unwrap_or(0);
        Some(Self { bits: value & mask, mask, v6, prefix })
    }

    /// The network of one address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let (value, v6) = bits(address);
        let (mask, prefix) = if v6 { (u128::MAX, 128) } else { (u128::from(u32::MAX), 32) };
        Self { bits: value, mask, v6, prefix }
    }

    /// Whether the address lies in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (value, v6) = bits(address);
        v6 == self.v6 && value & self.mask == self.bits
    }

    /// The first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        if self.v6 { IpAddr::V6(self.bits.into()) } else { IpAddr::V4((self.bits as u32).into()) }
    }

    /// How many leading bits name the network.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.prefix)
    }
}

impl FromStr for Net {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError::Net(text.chars().take(64).collect());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| error())?;
        let prefix = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| error())?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, prefix).ok_or_else(error)
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A set of networks, such as what is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetSet(Vec<Net>);

impl NetSet {
    /// From networks, in any order.
    #[must_use]
    pub const fn new(nets: Vec<Net>) -> Self {
        Self(nets)
    }

    /// RFC 1918, RFC 4193 and link-local networks: what is ours unless somebody says otherwise.
    #[must_use]
    pub fn private() -> Self {
        let nets =
            ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"];
        Self(nets.iter().filter_map(|net| net.parse().ok()).collect())
    }

    /// Whether any of the networks holds the address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(address))
    }

    /// Whether there is no network in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The networks.
    pub fn iter(&self) -> impl Iterator<Item = &Net> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_own() {
        let check = |net: &str, address: &str, expected: bool| {
            assert_eq!(
                net.parse::<Net>().unwrap().contains(address.parse().unwrap()),
                expected,
                "{net} {address}"
            );
        };
        check("192.168.1.77/16", "192.168.200.1", true);
        check("192.168.0.0/16", "192.169.0.1", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "2001:db8::1", true);
        check("fd00::/8", "fd12::1", true);
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.3", "10.1.2.4", false);
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/-1", "x/8"] {
            assert!(bad.parse::<Net>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hardware_addresses_round_trip() {
        let mac: Mac = "02-00-5E-10-00-ff".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
        assert!(mac.is_local() && !mac.is_group());
        for bad in ["", "02:00:5e:10:00", "02:00:5e:10:00:1", "02:00:5e:10:00:01:02", "zz:00:5e:10:00:01"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
