//! IPv4, IPv6 with its extension headers, and the tunnels that carry IP in IP.

use super::{Fragment, IpPacket, Skip, Transport, Tunnel, TunnelKind, link, transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MAX_EXTENSIONS: usize = 8;
const MAX_TUNNELS: usize = 4;

const HOP_BY_HOP: u8 = 0;
const IPV4: u8 = 4;
const IPV6: u8 = 41;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const GRE: u8 = 47;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// An IP header that was read, and what follows it.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    pub(super) ttl: u8,
    pub(super) length: usize,
    pub(super) fragment: Option<Fragment>,
    /// What was captured above the headers, without the link's padding.
    pub(super) payload: &'a [u8],
    /// How long that is by the headers.
    pub(super) payload_length: usize,
    /// The snap length cut inside the headers: `protocol` is the next header's and cannot be read.
    pub(super) headers_cut: bool,
}

impl Layer<'_> {
    fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset > 0)
    }
}

/// Reads the IP packet at the front of `data`, whose true length with everything that follows is `wire`.
#[inline]
pub(super) fn any(data: &[u8], wire: usize) -> Result<IpPacket<'_>, Skip> {
    let layer = header(data, wire)?;
    if matches!(layer.protocol, IPV4 | IPV6 | GRE) {
        return Ok(tunnelled(layer));
    }
    finish(layer, None)
}

/// Descends through tunnels; where the inside cannot be read, the packet is the innermost that could.
#[inline(never)]
fn tunnelled(mut layer: Layer<'_>) -> IpPacket<'_> {
    let mut outermost = None;
    for _ in 0..MAX_TUNNELS {
        if layer.is_later_fragment() || layer.headers_cut {
            break;
        }
        let Some((kind, inside)) = inside(&layer) else { break };
        let Ok(inner) = header(inside, layer.payload_length - (layer.payload.len() - inside.len())) else {
            break;
        };
        outermost = outermost.or(Some(Tunnel {
            kind,
            src: layer.src,
            dst: layer.dst,
            length: u32::try_from(layer.length).unwrap_or(u32::MAX),
        }));
        layer = inner;
    }
    finish(layer, outermost).unwrap_or_else(|_| assemble(layer, Transport::Other, outermost))
}

/// What a tunnel carries, where it is IP.
fn inside<'a>(layer: &Layer<'a>) -> Option<(TunnelKind, &'a [u8])> {
    match layer.protocol {
        IPV4 | IPV6 => Some((TunnelKind::IpInIp, layer.payload)),
        GRE => Some((TunnelKind::Gre, gre(layer.payload)?)),
        _ => None,
    }
}

/// Steps over a GRE header, version 0, with check sum, key and sequence number where present.
fn gre(data: &[u8]) -> Option<&[u8]> {
    let (&[flags, version, high, low], rest) = data.split_first_chunk::<4>()?;
    if version & 7 != 0 || flags & 0x40 != 0 {
        return None;
    }
    let options = 4 * [0x80, 0x20, 0x10].iter().filter(|&&bit| flags & bit != 0).count();
    let rest = rest.get(options..)?;
    match u16::from_be_bytes([high, low]) {
        link::ETHER_IPV4 | link::ETHER_IPV6 => Some(rest),
        link::ETHER_BRIDGING => {
            let (ether_type, rest) = rest.get(12..)?.split_first_chunk::<2>()?;
            let (ether_type, rest) = link::untag(u16::from_be_bytes(*ether_type), rest).ok()?;
            matches!(ether_type, link::ETHER_IPV4 | link::ETHER_IPV6).then_some(rest)
        }
        _ => None,
    }
}

#[inline]
fn finish(layer: Layer<'_>, tunnel: Option<Tunnel>) -> Result<IpPacket<'_>, Skip> {
    let transport = if layer.headers_cut {
        Transport::Cut
    } else if layer.is_later_fragment() {
        Transport::Fragment
    } else {
        transport::read(&layer)?
    };
    Ok(assemble(layer, transport, tunnel))
}

#[inline]
fn assemble<'a>(layer: Layer<'a>, transport: Transport<'a>, tunnel: Option<Tunnel>) -> IpPacket<'a> {
    IpPacket {
        src: layer.src,
        dst: layer.dst,
        protocol: layer.protocol,
        ttl: layer.ttl,
        length: u32::try_from(layer.length).unwrap_or(u32::MAX),
        fragment: layer.fragment,
        transport,
        tunnel,
        cut: layer.headers_cut || layer.payload.len() < layer.payload_length,
    }
}

#[inline]
pub(super) fn header(data: &[u8], wire: usize) -> Result<Layer<'_>, Skip> {
    match data.first().map(|first| first >> 4) {
        Some(4) => v4(data, wire),
        Some(6) => v6(data, wire),
        Some(_) => Err(Skip::IpVersion),
        None => Err(Skip::IpHeader),
    }
}

#[inline]
fn v4(data: &[u8], wire: usize) -> Result<Layer<'_>, Skip> {
    let fixed = data.first_chunk::<20>().ok_or(Skip::IpHeader)?;
    let &[first, _, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = fixed;
    let header = usize::from(first & 15) * 4;
    if header < 20 {
        return Err(Skip::Ipv4HeaderLength);
    }
    let length = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => wire,
        length => length,
    };
    let payload_length = length.checked_sub(header).ok_or(Skip::IpLength)?;
    let captured = data.get(header..);
    let payload = captured.unwrap_or_default();
    let flags = u16::from_be_bytes([f0, f1]);
    let fragment = (flags & 0x3fff != 0).then(|| Fragment {
        id: u16::from_be_bytes([i0, i1]).into(),
        offset: u32::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
    });
    Ok(Layer {
        src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        protocol,
        ttl,
        length,
        fragment,
        payload: payload.get(..payload_length).unwrap_or(payload),
        payload_length,
        headers_cut: captured.is_none(),
    })
}

#[inline]
fn v6(data: &[u8], wire: usize) -> Result<Layer<'_>, Skip> {
    let (&[_, _, _, _, l0, l1, protocol, ttl], rest) = data.split_first_chunk::<8>().ok_or(Skip::IpHeader)?;
    let (src, rest) = rest.split_first_chunk::<16>().ok_or(Skip::IpHeader)?;
    let (dst, rest) = rest.split_first_chunk::<16>().ok_or(Skip::IpHeader)?;
    let payload_length = match usize::from(u16::from_be_bytes([l0, l1])) {
        // A jumbogram, or a segment before it was cut up by the network card.
        0 if protocol != 59 => wire.checked_sub(40).ok_or(Skip::IpLength)?,
        length => length,
    };
    let mut layer = Layer {
        src: IpAddr::V6(Ipv6Addr::from(*src)),
        dst: IpAddr::V6(Ipv6Addr::from(*dst)),
        protocol,
        ttl,
        length: payload_length.saturating_add(40),
        fragment: None,
        payload: rest.get(..payload_length).unwrap_or(rest),
        payload_length,
        headers_cut: false,
    };
    if is_extension(protocol) {
        extensions(&mut layer)?;
    }
    Ok(layer)
}

const fn is_extension(protocol: u8) -> bool {
    // 135 mobility, 139 host identity, 140 shim6.
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | 135 | 139 | 140)
}

/// Steps over IPv6 extension headers until the transport, or a fragment that has none.
fn extensions(layer: &mut Layer<'_>) -> Result<(), Skip> {
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(layer.protocol) || layer.is_later_fragment() {
            return Ok(());
        }
        let Some(&[next, units, o0, o1, i0, i1, i2, i3]) = layer.payload.first_chunk::<8>() else {
            return cut_or_malformed(layer, 8);
        };
        let length = match layer.protocol {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        let Some(rest) = layer.payload.get(length..) else {
            return cut_or_malformed(layer, length);
        };
        if layer.protocol == FRAGMENT {
            let bits = u16::from_be_bytes([o0, o1]);
            // Offset 0 and nothing to follow is an atomic fragment: a whole packet (RFC 6946).
            layer.fragment = (bits & 0xfff9 != 0).then(|| Fragment {
                id: u32::from_be_bytes([i0, i1, i2, i3]),
                offset: u32::from(bits & 0xfff8),
                more: bits & 1 == 1,
            });
        }
        layer.protocol = next;
        layer.payload = rest;
        layer.payload_length -= length;
    }
    if is_extension(layer.protocol) { Err(Skip::TooManyExtensions) } else { Ok(()) }
}

/// An extension header that is not all there: cut by the snap length, or longer than its packet.
fn cut_or_malformed(layer: &mut Layer<'_>, needed: usize) -> Result<(), Skip> {
    if layer.payload_length < needed {
        return Err(Skip::IpLength);
    }
    layer.headers_cut = true;
    Ok(())
}
