//! Packets are read for what their headers say, whatever the link, and whatever is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use parse::{
    LinkType,
    packet::{Body, IpPacket, Packet, Skip, Tcp, Transport, TunnelKind, dissect},
};
use proptest::prelude::*;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&MACS[..], &ether_type.to_be_bytes(), payload].concat()
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let header = [0x45, 0, length[0], length[1], 0, 7, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 192, 0, 2, 9];
    [&header[..], payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut header = vec![0x60, 0, 0, 0, length[0], length[1], next, 63];
    header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    [&header[..], payload].concat()
}

fn tcp(flags: u8, payload: &[u8]) -> Vec<u8> {
    let header = [0x9c, 0x40, 0, 23, 0, 0, 0, 5, 0, 0, 0, 6, 0x50, flags, 1, 0, 0, 0, 0, 0];
    [&header[..], payload].concat()
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    [&[0x9c, 0x40, 0, 53, length[0], length[1], 0, 0][..], payload].concat()
}

fn read(link: LinkType, data: &[u8]) -> Packet<'_> {
    dissect(link, data, u32::try_from(data.len()).unwrap()).unwrap()
}

fn ip(data: &[u8]) -> IpPacket<'_> {
    match read(LinkType::ETHERNET, data).body {
        Body::Ip(packet) => packet,
        other => panic!("{other:?}"),
    }
}

/// Transport, ports, payload length, in words.
fn shown(packet: &IpPacket<'_>) -> String {
    match packet.transport {
        Transport::Tcp(tcp) => format!("tcp {} {} {}", tcp.src_port, tcp.dst_port, tcp.payload_length),
        Transport::Udp(udp) => format!("udp {} {} {}", udp.src_port, udp.dst_port, udp.payload_length),
        Transport::Icmp(icmp) => format!("icmp {} {} {}", icmp.kind, icmp.code, icmp.id),
        Transport::Other => "other".into(),
        Transport::Fragment => "fragment".into(),
        Transport::Cut => "cut".into(),
    }
}

#[test]
fn every_link_type_leads_to_the_same_packet() {
    let inner = ipv4(6, &tcp(2, b"hello"));
    let check = |link: LinkType, prefix: &[u8], source: Option<u8>| {
        let data = [prefix, &inner].concat();
        let packet = read(link, &data);
        let Body::Ip(ip) = packet.body else { panic!("{packet:?}") };
        assert_eq!((shown(&ip).as_str(), ip.length, ip.cut), ("tcp 40000 23 5", 45, false), "{link}");
        assert_eq!(packet.src_mac.map(|mac| mac[5]), source, "{link}");
    };
    let mac = [2, 0, 0, 0, 0, 1];
    check(LinkType::ETHERNET, &ethernet(0x0800, &[]), Some(1));
    check(LinkType::ETHERNET, &ethernet(0x8100, &[0, 100, 8, 0]), Some(1));
    check(LinkType::ETHERNET, &ethernet(0x88a8, &[0, 1, 0x81, 0, 0, 100, 8, 0]), Some(1));
    check(LinkType::RAW, &[], None);
    check(LinkType(12), &[], None);
    check(LinkType(14), &[], None);
    check(LinkType::IPV4, &[], None);
    check(LinkType::NULL, &[2, 0, 0, 0], None);
    check(LinkType::NULL, &[0, 0, 0, 2], None);
    check(LinkType::LOOP, &[0, 0, 0, 2], None);
    check(LinkType::LINUX_SLL, &[&[0, 0, 0, 1, 0, 6][..], &mac, &[0, 0, 8, 0]].concat(), Some(1));
    check(LinkType::LINUX_SLL, &[&[0, 0, 2, 1, 0, 0][..], &mac, &[0, 0, 8, 0]].concat(), None);
    check(
        LinkType::LINUX_SLL2,
        &[&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6][..], &mac, &[0, 0]].concat(),
        Some(1),
    );
    check(
        LinkType::LINUX_SLL2,
        &[&[0x81, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6][..], &mac, &[0, 0, 0, 100, 8, 0]].concat(),
        Some(1),
    );
}

#[test]
fn what_cannot_be_used_says_why() {
    let check = |link: LinkType, data: &[u8], expected: Skip| {
        assert_eq!(dissect(link, data, 0).unwrap_err(), expected, "{data:02x?}");
    };
    let frame = |packet: &[u8]| ethernet(0x0800, packet);
    check(LinkType(127), &[], Skip::Link(LinkType(127)));
    assert_eq!(Skip::Link(LinkType(127)).as_str(), "link type IEEE 802.11 with radiotap header is not read");
    assert_eq!(Skip::Link(LinkType(9999)).as_str(), "link type of an unlisted number is not read");
    check(LinkType::ETHERNET, &MACS, Skip::LinkHeader);
    check(LinkType::ETHERNET, &ethernet(0x8100, &[0, 1, 0x81, 0].repeat(5)), Skip::TooManyTags);
    check(LinkType::NULL, &[7, 0, 0, 0, 0x45], Skip::Family);
    check(LinkType::RAW, &[0x50; 40], Skip::IpVersion);
    check(LinkType::RAW, &[], Skip::IpHeader);
    check(LinkType::RAW, &[0x45; 19], Skip::IpHeader);
    let mut short_header = ipv4(17, &udp(b""));
    short_header[0] = 0x44;
    check(LinkType::ETHERNET, &frame(&short_header), Skip::Ipv4HeaderLength);
    let mut short_length = ipv4(17, &udp(b""));
    short_length[3] = 19;
    check(LinkType::ETHERNET, &frame(&short_length), Skip::IpLength);
    check(LinkType::ETHERNET, &frame(&ipv4(6, &tcp(2, b"")[..19])), Skip::TransportHeader);
    check(LinkType::ETHERNET, &frame(&ipv4(17, &[0; 7])), Skip::TransportHeader);
    check(LinkType::ETHERNET, &frame(&ipv4(17, &[0, 1, 0, 2, 0, 7, 0, 0])), Skip::UdpLength);
    for offset in [0x40, 0x60] {
        let mut segment = tcp(2, b"");
        segment[12] = offset;
        check(LinkType::ETHERNET, &frame(&ipv4(6, &segment)), Skip::TcpDataOffset);
    }
    let chain = [60, 0, 0, 0, 0, 0, 0, 0].repeat(9);
    check(LinkType::IPV6, &ipv6(60, &chain), Skip::TooManyExtensions);
    check(LinkType::ETHERNET, &ethernet(0x0806, &[0, 1, 8, 0, 6, 4, 0]), Skip::Arp);
}

#[test]
fn padding_is_no_payload_and_offloaded_lengths_come_from_the_frame() {
    let mut padded = ethernet(0x0800, &ipv4(6, &tcp(2, b"")));
    padded.resize(60, 0);
    assert_eq!(shown(&ip(&padded)), "tcp 40000 23 0");

    let mut offloaded = ethernet(0x0800, &ipv4(6, &tcp(0x18, b"0123456789")));
    (offloaded[16], offloaded[17]) = (0, 0);
    let packet = ip(&offloaded);
    assert_eq!((shown(&packet).as_str(), packet.length), ("tcp 40000 23 10", 50));
    // Cut by the snap length as well: the wire's length counts.
    let Ok(Packet { body: Body::Ip(packet), .. }) = dissect(LinkType::ETHERNET, &offloaded[..54], 1514)
    else {
        panic!()
    };
    assert_eq!((shown(&packet).as_str(), packet.length, packet.cut), ("tcp 40000 23 1460", 1500, true));

    let mut v6 = ipv6(6, &tcp(0x18, b"0123456789"));
    (v6[4], v6[5]) = (0, 0);
    let frame = ethernet(0x86dd, &v6);
    assert_eq!(shown(&ip(&frame)), "tcp 40000 23 10");
}

#[test]
fn cut_packets_keep_ports_and_true_lengths() {
    let whole = ethernet(0x0800, &ipv4(6, &tcp(0x18, &[0; 1000])));
    let check = |kept: usize, expected: &str, flags: u8| {
        let Ok(Packet { body: Body::Ip(packet), .. }) = dissect(LinkType::ETHERNET, &whole[..kept], 1054)
        else {
            panic!("{kept}")
        };
        assert_eq!((shown(&packet).as_str(), packet.cut), (expected, true), "{kept}");
        if let Transport::Tcp(tcp) = packet.transport {
            assert_eq!(tcp.flags, flags);
        }
    };
    check(1000, "tcp 40000 23 1000", 0x18);
    check(54, "tcp 40000 23 1000", 0x18);
    check(48, "tcp 40000 23 1000", 0x18);
    check(46, "tcp 40000 23 0", 0);
    check(38, "tcp 40000 23 0", 0);
    check(37, "cut", 0);
    check(34, "cut", 0);
    assert_eq!(dissect(LinkType::ETHERNET, &whole[..33], 1054), Err(Skip::IpHeader));
}

#[test]
fn fragments_have_ports_in_the_first_only() {
    let fragment = |bits: u16, payload: &[u8]| {
        let mut packet = ipv4(17, payload);
        packet[6..8].copy_from_slice(&bits.to_be_bytes());
        ethernet(0x0800, &packet)
    };
    let mut datagram = udp(&[0; 100]);
    datagram[4..6].copy_from_slice(&4000_u16.to_be_bytes());
    let first = fragment(0x2000, &datagram);
    let packet = ip(&first);
    assert_eq!(shown(&packet), "udp 40000 53 100");
    assert_eq!(
        packet.fragment.map(|fragment| (fragment.id, fragment.offset, fragment.more)),
        Some((7, 0, true))
    );
    let later = fragment(0x2000 | 25, &[0; 100]);
    assert_eq!((shown(&ip(&later)).as_str(), ip(&later).fragment.unwrap().offset), ("fragment", 200));
    // Do not fragment is no fragment.
    assert!(ip(&fragment(0x4000, &udp(b"x"))).fragment.is_none());
}

#[test]
fn ipv6_extension_headers_are_stepped_over() {
    let check = |next: u8, extensions: &[u8], expected: &str| {
        let frame = ethernet(0x86dd, &ipv6(next, &[extensions, &udp(b"abc")].concat()));
        assert_eq!(shown(&ip(&frame)), expected, "{extensions:?}");
    };
    check(17, &[], "udp 40000 53 3");
    check(0, &[17, 0, 0, 0, 0, 0, 0, 0], "udp 40000 53 3");
    check(
        0,
        &[60, 0, 0, 0, 0, 0, 0, 0, 43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0],
        "udp 40000 53 3",
    );
    check(51, &[17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "udp 40000 53 3");
    check(44, &[17, 0, 0, 1, 0, 0, 0, 9], "udp 40000 53 3");
    check(44, &[17, 0, 0, 0, 0, 0, 0, 9], "udp 40000 53 3");
    check(44, &[17, 0, 0, 8, 0, 0, 0, 9], "fragment");
    check(59, &[], "other");
    check(50, &[], "other");
    let frame = ethernet(0x86dd, &ipv6(0, &[17, 9, 0, 0, 0, 0, 0, 0]));
    assert_eq!(dissect(LinkType::ETHERNET, &frame, 0), Err(Skip::IpLength));
}

#[test]
fn tunnels_show_their_inside_and_keep_their_outside() {
    let inner = ipv6(17, &udp(b"abc"));
    let inner4 = ipv4(6, &tcp(2, b""));
    let bridged = ethernet(0x0800, &inner4);
    let check = |protocol: u8, payload: &[u8], kind: Option<TunnelKind>, expected: &str| {
        let outer = ipv4(protocol, payload);
        let frame = ethernet(0x0800, &outer);
        let packet = ip(&frame);
        assert_eq!((packet.tunnel.map(|tunnel| tunnel.kind), shown(&packet).as_str()), (kind, expected));
        if let Some(tunnel) = packet.tunnel {
            assert_eq!((tunnel.dst.to_string().as_str(), tunnel.length as usize), ("192.0.2.9", outer.len()));
        }
    };
    let gre = |flags: u8, ether_type: u16, options: &[u8], inside: &[u8]| {
        [&[flags, 0][..], &ether_type.to_be_bytes(), options, inside].concat()
    };
    let (in_ip, in_gre) = (Some(TunnelKind::IpInIp), Some(TunnelKind::Gre));
    check(41, &inner, in_ip, "udp 40000 53 3");
    check(4, &inner4, in_ip, "tcp 40000 23 0");
    check(47, &gre(0, 0x86dd, &[], &inner), in_gre, "udp 40000 53 3");
    check(47, &gre(0xb0, 0x0800, &[0; 12], &inner4), in_gre, "tcp 40000 23 0");
    check(47, &gre(0x20, 0x6558, &[0; 4], &bridged), in_gre, "tcp 40000 23 0");
    check(4, &ipv4(47, &gre(0, 0x0800, &[], &inner4)), in_ip, "tcp 40000 23 0");
    // What cannot be read stays the outer packet.
    check(47, &gre(0, 0x880b, &[], &inner4), None, "other");
    check(47, &gre(0, 0x0800, &[], &[0xff; 8]), None, "other");
    check(47, &[], None, "other");
    check(4, &[0x45], None, "other");
    let mut nested = inner4.clone();
    for _ in 0..6 {
        nested = ipv4(4, &nested);
    }
    let frame = ethernet(0x0800, &nested);
    assert_eq!(shown(&ip(&frame)), "other");
}

#[test]
fn icmp_errors_name_the_flow_they_answer() {
    let original = ipv4(17, &udp(b"abc"));
    let error = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &original[..28]].concat();
    let frame = ethernet(0x0800, &ipv4(1, &error));
    let Transport::Icmp(icmp) = ip(&frame).transport else { panic!() };
    let named = icmp.original.unwrap();
    assert!(icmp.is_unreachable());
    assert_eq!((named.src.to_string().as_str(), named.dst.to_string().as_str()), ("10.0.0.1", "192.0.2.9"));
    assert_eq!((named.protocol, named.src_port, named.dst_port), (17, 40000, 53));

    let original = ipv6(6, &tcp(2, b""));
    let error = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &original].concat();
    let frame = ethernet(0x86dd, &ipv6(58, &error));
    let Transport::Icmp(icmp) = ip(&frame).transport else { panic!() };
    assert!(icmp.is_unreachable() && icmp.original.is_some_and(|named| named.dst_port == 23));

    let echo = ethernet(0x0800, &ipv4(1, &[8, 0, 0, 0, 0x12, 0x34, 0, 1]));
    assert_eq!(shown(&ip(&echo)), "icmp 8 0 4660");
    let short = ethernet(0x0800, &ipv4(1, &[3, 3, 0, 0, 0, 0, 0, 0, 0x45]));
    let Transport::Icmp(icmp) = ip(&short).transport else { panic!() };
    assert!(icmp.original.is_none());
}

#[test]
fn arp_and_others_are_told() {
    let arp = ethernet(
        0x0806,
        &[0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0],
    );
    let Body::Arp(arp) = read(LinkType::ETHERNET, &arp).body else { panic!() };
    assert_eq!((arp.operation, arp.sender.to_string().as_str(), arp.target_mac[5]), (2, "10.0.0.1", 2));
    let eapol = ethernet(0x888e, &[1, 2, 3]);
    assert_eq!(read(LinkType::ETHERNET, &eapol).body, Body::Other { ether_type: 0x888e });
}

const LINKS: [LinkType; 7] = [
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::IPV6,
];

/// What holds for every packet that is read.
fn holds(data: &[u8], wire: u32) {
    for link in LINKS {
        let Ok(packet) = dissect(link, data, wire) else { continue };
        let Body::Ip(ip) = packet.body else { continue };
        let (payload, length) = match ip.transport {
            Transport::Tcp(tcp) => (tcp.payload.len(), tcp.payload_length),
            Transport::Udp(udp) => (udp.payload.len(), udp.payload_length),
            _ => continue,
        };
        assert!(payload <= length as usize || ip.fragment.is_some(), "{payload} {length}");
        assert!(length <= ip.length);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(data in proptest::collection::vec(any::<u8>(), 0..200), wire in any::<u32>()) {
        holds(&data, wire);
    }

    /// Nearly right packets reach further than random ones.
    #[test]
    fn no_damage_panics(at in 0usize..90, value in any::<u8>(), keep in 0usize..140, which in 0usize..6) {
        let inner = ipv4(6, &tcp(0x18, b"payload"));
        let mut frame = match which {
            0 => ethernet(0x0800, &inner),
            1 => ethernet(0x86dd, &ipv6(0, &[&[17, 0, 0, 0, 0, 0, 0, 0][..], &udp(b"abc")].concat())),
            2 => ethernet(0x0800, &ipv4(47, &[&[0, 0, 8, 0][..], &inner].concat())),
            3 => ethernet(0x0800, &ipv4(1, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], &inner].concat())),
            4 => ethernet(0x86dd, &ipv6(44, &[&[6, 0, 0, 1, 0, 0, 0, 9][..], &tcp(2, b"")].concat())),
            _ => ethernet(0x8100, &[&[0, 1, 8, 0][..], &inner].concat()),
        };
        if let Some(byte) = frame.get_mut(at) {
            *byte = value;
        }
        frame.truncate(keep);
        holds(&frame, 1514);
    }

    /// Addresses change nothing but themselves.
    #[test]
    fn addresses_are_only_addresses(src in any::<[u8; 4]>(), dst in any::<[u8; 4]>(), flags in any::<u8>()) {
        let mut packet = ipv4(6, &tcp(flags, b"xy"));
        packet[12..16].copy_from_slice(&src);
        packet[16..20].copy_from_slice(&dst);
        let frame = ethernet(0x0800, &packet);
        let read = ip(&frame);
        prop_assert_eq!(read.src, std::net::IpAddr::from(src));
        prop_assert_eq!(read.dst, std::net::IpAddr::from(dst));
        let Transport::Tcp(Tcp { flags: found, payload, .. }) = read.transport else { panic!() };
        prop_assert_eq!((found, payload), (flags, &b"xy"[..]));
    }
}
