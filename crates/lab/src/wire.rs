//! Bytes on the wire: the packets and messages that the city's own programs write, and the little that they read.

use std::net::Ipv4Addr;

/// TCP flags.
pub(crate) mod flag {
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;
}

fn sum(words: impl Iterator<Item = u32>) -> u16 {
    let mut total: u32 = words.fold(0, u32::wrapping_add);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    })
}

fn pseudo(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, length: usize) -> impl Iterator<Item = u32> {
    let (src, dst) = (src.to_bits(), dst.to_bits());
    [src >> 16, src & 0xffff, dst >> 16, dst & 0xffff, u32::from(protocol), length as u32].into_iter()
}

fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(usize::from(length));
    packet.extend([0x45, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend([0, 0, 64, protocol, 0, 0]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    let check = sum(words(&packet)).to_be_bytes();
    packet.splice(10..12, check);
    packet.extend(payload);
    packet
}

/// A TCP segment without payload, as a whole IPv4 packet.
pub(crate) struct Segment {
    pub(crate) src: (Ipv4Addr, u16),
    pub(crate) dst: (Ipv4Addr, u16),
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) id: u16,
}

impl Segment {
    pub(crate) fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend(self.src.1.to_be_bytes());
        tcp.extend(self.dst.1.to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([0x50, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0, 0, 0]);
        tcp.extend(payload);
        let check = sum(pseudo(self.src.0, self.dst.0, 6, tcp.len()).chain(words(&tcp))).to_be_bytes();
        tcp.splice(16..18, check);
        ipv4(self.src.0, self.dst.0, 6, self.id, &tcp)
    }
}

/// A UDP datagram as a whole IPv4 packet.
pub(crate) fn datagram(src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), id: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut udp = Vec::with_capacity(usize::from(length));
    udp.extend(src.1.to_be_bytes());
    udp.extend(dst.1.to_be_bytes());
    udp.extend(length.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    let check = sum(pseudo(src.0, dst.0, 17, udp.len()).chain(words(&udp))).to_be_bytes();
    udp.splice(6..8, check);
    ipv4(src.0, dst.0, 17, id, &udp)
}

/// What of an IPv4 packet the lab looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
    pub(crate) protocol: u8,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    /// TCP flags; 0 for others.
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
}

/// Reads an IPv4 packet that is no fragment.
pub(crate) fn read_ipv4(packet: &[u8]) -> Option<Seen> {
    let first = *packet.first()?;
    if first >> 4 != 4 {
        return None;
    }
    let address = |at: usize| -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    let protocol = *packet.get(9)?;
    let body = packet.get(usize::from(first & 15) * 4..)?;
    let (src_port, dst_port, flags, seq, ack) = match protocol {
        6 => (word(body, 0)?, word(body, 2)?, *body.get(13)?, long(body, 4)?, long(body, 8)?),
        17 => (word(body, 0)?, word(body, 2)?, 0, 0, 0),
        _ => (0, 0, 0, 0, 0),
    };
    Some(Seen { src: address(12)?, dst: address(16)?, protocol, src_port, dst_port, flags, seq, ack })
}

/// Two bytes in network order.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Four bytes in network order.
pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_read_back_and_their_checksums_hold() {
        let (a, b) = (Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(198, 18, 0, 9));
        let tcp =
            Segment { src: (a, 4000), dst: (b, 23), seq: 7, ack: 0, flags: flag::SYN, window: 99, id: 1 }
                .packet(&[]);
        let udp = datagram((a, 5000), (b, 53), 2, b"odd");
        for (packet, protocol, src_port, dst_port) in [(&tcp, 6, 4000, 23), (&udp, 17, 5000, 53)] {
            let seen = read_ipv4(packet).unwrap();
            assert_eq!((seen.src, seen.dst, seen.protocol), (a, b, protocol));
            assert_eq!((seen.src_port, seen.dst_port), (src_port, dst_port));
            assert_eq!(sum(words(&packet[..20])), 0);
            assert_eq!(sum(pseudo(a, b, protocol, packet.len() - 20).chain(words(&packet[20..]))), 0);
        }
        for cut in 0..20 {
            assert_eq!(read_ipv4(&tcp[..cut]), None, "{cut}");
        }
    }
}
