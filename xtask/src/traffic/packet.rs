//! Frames: Ethernet with ARP, IPv4 or IPv6 and what they carry.

use std::net::{IpAddr, Ipv4Addr};

/// FIN.
pub const FIN: u8 = 1;
/// SYN.
pub const SYN: u8 = 2;
/// RST.
pub const RST: u8 = 4;
/// PSH.
pub const PSH: u8 = 8;
/// ACK.
pub const ACK: u8 = 16;

/// Somebody on the wire, as seen where the recording is made: what is outside wears the gateway's hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Hardware address in the frames.
    pub mac: [u8; 6],
    /// Network address.
    pub ip: IpAddr,
    /// Time to live of its packets where they are recorded.
    pub ttl: u8,
}

impl Host {
    /// The IPv4 address; the unspecified one for IPv6.
    #[must_use]
    pub const fn v4(&self) -> Ipv4Addr {
        match self.ip {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }
}

fn sum(bytes: &[u8]) -> u32 {
    let mut chunks = bytes.chunks_exact(2);
    let mut total = 0_u32;
    for pair in chunks.by_ref() {
        if let [high, low] = pair {
            total += u32::from(u16::from_be_bytes([*high, *low]));
        }
    }
    total + chunks.remainder().first().map_or(0, |last| u32::from(*last) << 8)
}

fn fold(mut total: u32) -> [u8; 2] {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    (!(total as u16)).to_be_bytes()
}

fn pseudo(src: IpAddr, dst: IpAddr, protocol: u8, length: usize) -> u32 {
    let addresses = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => sum(&src.octets()) + sum(&dst.octets()),
        (IpAddr::V6(src), IpAddr::V6(dst)) => sum(&src.octets()) + sum(&dst.octets()),
        _ => 0,
    };
    addresses + u32::from(protocol) + length as u32
}

fn put(bytes: &mut [u8], at: usize, value: [u8; 2]) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value);
    }
}

/// A frame with an IP packet around `payload`.
#[must_use]
pub fn ip(src: &Host, dst: &Host, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(54 + payload.len());
    frame.extend_from_slice(&dst.mac);
    frame.extend_from_slice(&src.mac);
    match (src.ip, dst.ip) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend_from_slice(&[0x08, 0x00]);
            let length = (20 + payload.len()) as u16;
            // The identification only has to differ; it is made of what is there.
            let id = (sum(payload) as u16) ^ u16::from(src.ttl);
            let mut header = vec![0x45, 0];
            header.extend_from_slice(&length.to_be_bytes());
            header.extend_from_slice(&id.to_be_bytes());
            header.extend_from_slice(&[0x40, 0, src.ttl, protocol, 0, 0]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
            let check = fold(sum(&header));
            put(&mut header, 10, check);
            frame.extend_from_slice(&header);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            frame.extend_from_slice(&[protocol, src.ttl]);
            frame.extend_from_slice(&from.octets());
            frame.extend_from_slice(&to.octets());
        }
        _ => unreachable!("two families in one packet"),
    }
    frame.extend_from_slice(payload);
    // What is shorter is padded on the wire.
    while frame.len() < 60 {
        frame.push(0);
    }
    frame
}

/// Puts the checksum of a changed IPv4 header right.
pub fn mend_header(frame: &mut [u8]) {
    put(frame, 24, [0, 0]);
    let check = fold(frame.get(14..34).map_or(0, sum));
    put(frame, 24, check);
}

/// A frame with a TCP segment. SYNs carry the usual options.
#[must_use]
pub fn tcp(
    src: &Host,
    dst: &Host,
    ports: (u16, u16),
    seq: u32,
    ack: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let options: &[u8] = if flags & SYN != 0 { &[2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1] } else { &[] };
    let mut segment = Vec::with_capacity(32 + payload.len());
    segment.extend_from_slice(&ports.0.to_be_bytes());
    segment.extend_from_slice(&ports.1.to_be_bytes());
    segment.extend_from_slice(&seq.to_be_bytes());
    segment.extend_from_slice(&ack.to_be_bytes());
    segment.push(((5 + options.len() / 4) as u8) << 4);
    segment.push(flags);
    segment.extend_from_slice(&if flags & RST != 0 { 0_u16 } else { 29_200 }.to_be_bytes());
    segment.extend_from_slice(&[0, 0, 0, 0]);
    segment.extend_from_slice(options);
    segment.extend_from_slice(payload);
    let check = fold(pseudo(src.ip, dst.ip, 6, segment.len()) + sum(&segment));
    put(&mut segment, 16, check);
    ip(src, dst, 6, &segment)
}

/// A frame with a UDP datagram.
#[must_use]
pub fn udp(src: &Host, dst: &Host, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len();
    let mut datagram = Vec::with_capacity(length);
    datagram.extend_from_slice(&ports.0.to_be_bytes());
    datagram.extend_from_slice(&ports.1.to_be_bytes());
    datagram.extend_from_slice(&(length as u16).to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(payload);
    let check = fold(pseudo(src.ip, dst.ip, 17, length) + sum(&datagram));
    put(&mut datagram, 6, if check == [0, 0] { [0xff, 0xff] } else { check });
    ip(src, dst, 17, &datagram)
}

/// A frame with an ICMP message (ICMPv6 between IPv6 hosts).
#[must_use]
pub fn icmp(src: &Host, dst: &Host, kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&rest);
    message.extend_from_slice(payload);
    let v6 = src.ip.is_ipv6();
    let start = if v6 { pseudo(src.ip, dst.ip, 58, message.len()) } else { 0 };
    let check = fold(start + sum(&message));
    put(&mut message, 2, check);
    ip(src, dst, if v6 { 58 } else { 1 }, &message)
}

/// A frame with an ARP packet: `operation` 1 asks, 2 answers. `frame_dst` is broadcast for questions.
#[must_use]
pub fn arp(
    operation: u16,
    sender: ([u8; 6], Ipv4Addr),
    target: ([u8; 6], Ipv4Addr),
    frame_dst: [u8; 6],
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60);
    frame.extend_from_slice(&frame_dst);
    frame.extend_from_slice(&sender.0);
    frame.extend_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4]);
    frame.extend_from_slice(&operation.to_be_bytes());
    frame.extend_from_slice(&sender.0);
    frame.extend_from_slice(&sender.1.octets());
    frame.extend_from_slice(&target.0);
    frame.extend_from_slice(&target.1.octets());
    frame.resize(60, 0);
    frame
}
