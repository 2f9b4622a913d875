//! The few header fields that the sensor itself needs of a frame, before and beside the analysis.
//!
//! Guarantees: no input can be wrong enough to do more than yield nothing. Tunnels are not looked into.

use capture::LINK_ETHERNET;
use model::{Mac, Protocol};
use observe::{LinkType, ip_packet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who sends what to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Headers {
    pub(crate) src_mac: Option<Mac>,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
}

/// The headers of a frame that holds IP.
pub(crate) fn read(link: u16, frame: &[u8]) -> Option<Headers> {
    let src_mac = if link == LINK_ETHERNET { array(frame, 6).map(Mac) } else { None };
    let (version, packet) = ip_packet(LinkType(link), frame)?;
    let (src, dst, protocol, above): (IpAddr, IpAddr, u8, usize) = if version == 4 {
        let (src, dst) = (array::<4>(packet, 12)?, array::<4>(packet, 16)?);
        let above = usize::from(packet.first()? & 15) * 4;
        let is_first = array::<2>(packet, 6)?[1] == 0 && array::<2>(packet, 6)?[0] & 0x1f == 0;
        let above = if is_first { above } else { usize::MAX };
        (Ipv4Addr::from(src).into(), Ipv4Addr::from(dst).into(), *packet.get(9)?, above)
    } else {
        let (src, dst) = (array::<16>(packet, 8)?, array::<16>(packet, 24)?);
        (Ipv6Addr::from(src).into(), Ipv6Addr::from(dst).into(), *packet.get(6)?, 40)
    };
    let ports = match protocol {
        6 | 17 | 132 => array::<4>(packet, above).unwrap_or_default(),
        _ => [0; 4],
    };
    let [a, b, c, d] = ports;
    Some(Headers {
        src_mac,
        src,
        dst,
        protocol: Protocol(protocol),
        src_port: u16::from_be_bytes([a, b]),
        dst_port: u16::from_be_bytes([c, d]),
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_addresses_are_found_behind_tags() {
        let mut packet = vec![0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 192, 0, 2, 1];
        packet.extend([0xc0, 0x00, 0, 23]);
        let expected = Headers {
            src_mac: None,
            src: "10.0.0.2".parse().unwrap(),
            dst: "192.0.2.1".parse().unwrap(),
            protocol: Protocol::TCP,
            src_port: 0xc000,
            dst_port: 23,
        };
        assert_eq!(read(101, &packet), Some(expected));
        let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x08, 0];
        frame.extend(&packet);
        let src_mac = Some(Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(read(LINK_ETHERNET, &frame), Some(Headers { src_mac, ..expected }));
        for length in 0..frame.len() {
            let cut = &frame[..length];
            assert!(read(LINK_ETHERNET, cut).is_none_or(|headers| headers.src == expected.src), "{length}");
        }
        packet[7] = 8;
        let later = read(101, &packet).unwrap();
        assert_eq!((later.src_port, later.dst_port), (0, 0), "a later fragment has no ports");
    }
}
