//! The link layers: Ethernet with VLAN tags, Linux cooked v1 and v2, loopback, raw IP.

use super::{ArpPacket, Body, Packet, Skip, ip};
use crate::LinkType;
use std::net::Ipv4Addr;

pub(super) const ETHER_IPV4: u16 = 0x0800;
pub(super) const ETHER_IPV6: u16 = 0x86dd;
pub(super) const ETHER_BRIDGING: u16 = 0x6558;
const ETHER_ARP: u16 = 0x0806;
const MAX_TAGS: usize = 4;

/// Reads a captured packet. `wire_length` is its length before the snap length cut it.
///
/// # Errors
/// [`Skip`] says why the packet cannot be used.
#[inline]
pub fn dissect(link: LinkType, data: &[u8], wire_length: u32) -> Result<Packet<'_>, Skip> {
    let wire = (wire_length as usize).max(data.len());
    match link {
        LinkType::ETHERNET => ethernet(data, wire),
        LinkType::RAW | LinkType(12 | 14) | LinkType::IPV4 | LinkType::IPV6 => raw(data, wire),
        LinkType::LINUX_SLL => cooked(data, wire),
        LinkType::LINUX_SLL2 => cooked2(data, wire),
        LinkType::NULL | LinkType::LOOP => loopback(link, data, wire),
        other => Err(Skip::Link(other)),
    }
}

#[inline]
fn ethernet(data: &[u8], wire: usize) -> Result<Packet<'_>, Skip> {
    let (dst_mac, rest) = data.split_first_chunk::<6>().ok_or(Skip::LinkHeader)?;
    let (src_mac, rest) = rest.split_first_chunk::<6>().ok_or(Skip::LinkHeader)?;
    let (ether_type, rest) = rest.split_first_chunk::<2>().ok_or(Skip::LinkHeader)?;
    let (ether_type, rest) = untag(u16::from_be_bytes(*ether_type), rest)?;
    let body = body(ether_type, rest, wire.saturating_sub(data.len() - rest.len()))?;
    Ok(Packet { src_mac: Some(*src_mac), dst_mac: Some(*dst_mac), body })
}

/// Steps over VLAN tags.
#[inline]
pub(super) fn untag(mut ether_type: u16, mut rest: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let mut tags = 0;
    while matches!(ether_type, 0x8100 | 0x88a8 | 0x9100 | 0x9200) {
        let (&[_, _, high, low], inner) = rest.split_first_chunk::<4>().ok_or(Skip::LinkHeader)?;
        tags += 1;
        if tags > MAX_TAGS {
            return Err(Skip::TooManyTags);
        }
        (ether_type, rest) = (u16::from_be_bytes([high, low]), inner);
    }
    Ok((ether_type, rest))
}

#[inline]
fn body(ether_type: u16, rest: &[u8], wire: usize) -> Result<Body<'_>, Skip> {
    match ether_type {
        ETHER_IPV4 | ETHER_IPV6 => ip::any(rest, wire).map(Body::Ip),
        ETHER_ARP => arp(rest).map(Body::Arp),
        ether_type => Ok(Body::Other { ether_type }),
    }
}

fn raw(data: &[u8], wire: usize) -> Result<Packet<'_>, Skip> {
    Ok(Packet { src_mac: None, dst_mac: None, body: Body::Ip(ip::any(data, wire)?) })
}

fn loopback(link: LinkType, data: &[u8], wire: usize) -> Result<Packet<'_>, Skip> {
    let (family, rest) = data.split_first_chunk::<4>().ok_or(Skip::LinkHeader)?;
    // NULL is in the byte order of the machine that captured, which nothing names: families are small numbers.
    let (big, little) = (u32::from_be_bytes(*family), u32::from_le_bytes(*family));
    let family = if link == LinkType::LOOP { big } else { big.min(little) };
    match family {
        // IPv4 everywhere; IPv6 on Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        2 | 10 | 24 | 28 | 30 => raw(rest, wire.saturating_sub(4)),
        _ => Err(Skip::Family),
    }
}

fn cooked(data: &[u8], wire: usize) -> Result<Packet<'_>, Skip> {
    let (header, rest) = data.split_first_chunk::<16>().ok_or(Skip::LinkHeader)?;
    let &[_, _, _, _, long, length, a, b, c, d, e, f, _, _, high, low] = header;
    let src_mac = ([long, length] == [0, 6]).then_some([a, b, c, d, e, f]);
    let (ether_type, rest) = untag(u16::from_be_bytes([high, low]), rest)?;
    let body = body(ether_type, rest, wire.saturating_sub(data.len() - rest.len()))?;
    Ok(Packet { src_mac, dst_mac: None, body })
}

fn cooked2(data: &[u8], wire: usize) -> Result<Packet<'_>, Skip> {
    let (header, rest) = data.split_first_chunk::<20>().ok_or(Skip::LinkHeader)?;
    let &[high, low, _, _, _, _, _, _, _, _, _, length, a, b, c, d, e, f, _, _] = header;
    let src_mac = (length == 6).then_some([a, b, c, d, e, f]);
    let (ether_type, rest) = untag(u16::from_be_bytes([high, low]), rest)?;
    let body = body(ether_type, rest, wire.saturating_sub(data.len() - rest.len()))?;
    Ok(Packet { src_mac, dst_mac: None, body })
}

fn arp(data: &[u8]) -> Result<ArpPacket, Skip> {
    const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
    let (kind, rest) = data.split_first_chunk::<6>().ok_or(Skip::Arp)?;
    let (operation, rest) = rest.split_first_chunk::<2>().ok_or(Skip::Arp)?;
    let (sender_mac, rest) = rest.split_first_chunk::<6>().ok_or(Skip::Arp)?;
    let (sender, rest) = rest.split_first_chunk::<4>().ok_or(Skip::Arp)?;
    let (target_mac, rest) = rest.split_first_chunk::<6>().ok_or(Skip::Arp)?;
    let target = rest.first_chunk::<4>().ok_or(Skip::Arp)?;
    if *kind != ETHERNET_IPV4 {
        return Err(Skip::Arp);
    }
    Ok(ArpPacket {
        operation: u16::from_be_bytes(*operation),
        sender_mac: *sender_mac,
        sender: Ipv4Addr::from(*sender),
        target_mac: *target_mac,
        target: Ipv4Addr::from(*target),
    })
}
