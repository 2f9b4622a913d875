//! One captured packet to its addresses, ports and payload.
//!
//! Guarantees: [`dissect`] does not allocate, does not panic, and does a bounded amount of work: at most four VLAN
//! tags, eight extension headers and four tunnels. Lengths come from the IP header, so Ethernet's padding is never
//! payload; what the snap length cut is marked and counted by its true length.

mod ip;
mod link;
mod skip;
mod transport;

pub use link::dissect;
pub use skip::Skip;

use std::net::{IpAddr, Ipv4Addr};

/// A packet, seen through its link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Hardware address of the sender on this link.
    pub src_mac: Option<[u8; 6]>,
    /// Hardware address of the receiver on this link.
    pub dst_mac: Option<[u8; 6]>,
    /// What it carries.
    pub body: Body<'a>,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// IPv4 or IPv6.
    Ip(IpPacket<'a>),
    /// ARP for IPv4 over Ethernet.
    Arp(ArpPacket),
    /// Something else, by its EtherType (an LLC frame by its length).
    Other {
        /// The EtherType.
        ether_type: u16,
    },
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPacket {
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// The sender's hardware address as claimed inside.
    pub sender_mac: [u8; 6],
    /// The sender's address as claimed.
    pub sender: Ipv4Addr,
    /// The target's hardware address.
    pub target_mac: [u8; 6],
    /// The target's address.
    pub target: Ipv4Addr,
}

/// An IP packet; of tunnelled packets the innermost that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPacket<'a> {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// The transport's protocol number, after extension headers.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Length of the whole packet by its header, in bytes; by the frame where the header says 0 (offloading).
    pub length: u32,
    /// Set where it is a fragment of a larger packet.
    pub fragment: Option<Fragment>,
    /// What is above IP.
    pub transport: Transport<'a>,
    /// The outermost tunnel that it came in.
    pub tunnel: Option<Tunnel>,
    /// The snap length cut it.
    pub cut: bool,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// Offset in bytes.
    pub offset: u32,
    /// More fragments follow.
    pub more: bool,
}

/// How a packet was tunnelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// Generic routing encapsulation (RFC 2784, RFC 2890).
    Gre,
    /// IP in IP, any two versions.
    IpInIp,
}

/// The outermost tunnel of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// How.
    pub kind: TunnelKind,
    /// The outer source.
    pub src: IpAddr,
    /// The outer destination.
    pub dst: IpAddr,
    /// Length of the outer packet by its header, in bytes.
    pub length: u32,
}

/// What is above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// TCP.
    Tcp(Tcp<'a>),
    /// UDP.
    Udp(Udp<'a>),
    /// ICMP or ICMPv6.
    Icmp(Icmp),
    /// Another protocol, or a tunnel whose inside could not be read.
    Other,
    /// A fragment after the first: no ports.
    Fragment,
    /// The snap length cut before the ports.
    Cut,
}

/// A TCP segment. Where the snap length cut the header, what was cut is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// FIN, SYN, RST, PSH, ACK, URG, ECE, CWR from the lowest bit.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// The payload that was captured.
    pub payload: &'a [u8],
    /// Length of the payload by the headers, in bytes.
    pub payload_length: u32,
}

impl Tcp<'_> {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Breaks a connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// Urgent.
    pub const URG: u8 = 0x20;
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// The payload that was captured.
    pub payload: &'a [u8],
    /// Length of the payload by the headers, in bytes; of a first fragment the part that is in it.
    pub payload_length: u32,
}

/// An ICMP or ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// ICMPv6.
    pub v6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier of echo messages, else 0.
    pub id: u16,
    /// Of error messages, the packet that they answer.
    pub original: Option<Original>,
}

impl Icmp {
    /// Whether it says that a destination, protocol or port cannot be reached.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!((self.v6, self.kind), (false, 3) | (true, 1))
    }
}

/// The packet that an ICMP error answers, as its sender sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// The transport's protocol number.
    pub protocol: u8,
    /// Source port; 0 where there is none.
    pub src_port: u16,
    /// Destination port; 0 where there is none.
    pub dst_port: u16,
}
