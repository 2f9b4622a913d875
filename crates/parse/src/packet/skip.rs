//! Why a packet cannot be used.

use crate::LinkType;
use std::fmt;

/// Why a packet cannot be used. Few enough to be counted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// The link type is not one that is read.
    Link(LinkType),
    /// Shorter than its link header.
    LinkHeader,
    /// More than four VLAN tags.
    TooManyTags,
    /// Loopback with an address family that is neither IPv4 nor IPv6.
    Family,
    /// Neither version 4 nor version 6.
    IpVersion,
    /// Shorter than its IP header.
    IpHeader,
    /// An IPv4 header that claims less than its 20 bytes.
    Ipv4HeaderLength,
    /// An IP packet that claims to be shorter than its headers.
    IpLength,
    /// More than eight IPv6 extension headers.
    TooManyExtensions,
    /// A TCP header that claims less than its 20 bytes, or more than its packet.
    TcpDataOffset,
    /// A packet too short for its transport's header.
    TransportHeader,
    /// A UDP length that is shorter than its header.
    UdpLength,
    /// ARP for other than IPv4 over Ethernet, or cut short.
    Arp,
}

impl Skip {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link(link) => link.refusal(),
            Self::LinkHeader => "shorter than its link header",
            Self::TooManyTags => "more than four VLAN tags",
            Self::Family => "loopback address family is neither IPv4 nor IPv6",
            Self::IpVersion => "IP version is neither 4 nor 6",
            Self::IpHeader => "shorter than its IP header",
            Self::Ipv4HeaderLength => "IPv4 header length below 20",
            Self::IpLength => "IP length shorter than the headers",
            Self::TooManyExtensions => "more than eight IPv6 extension headers",
            Self::TcpDataOffset => "TCP data offset outside the packet",
            Self::TransportHeader => "IP packet too short for its transport",
            Self::UdpLength => "UDP length below 8",
            Self::Arp => "ARP for other than IPv4 over Ethernet, or cut short",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
