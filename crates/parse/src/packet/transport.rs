//! TCP, UDP and ICMP above an IP header.

use super::{Icmp, Original, Skip, Tcp, Transport, Udp, ip};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

#[inline]
pub(super) fn read<'a>(layer: &ip::Layer<'a>) -> Result<Transport<'a>, Skip> {
    match layer.protocol {
        TCP => tcp(layer),
        UDP => udp(layer),
        ICMP => icmp(layer, false),
        ICMP6 => icmp(layer, true),
        _ => Ok(Transport::Other),
    }
}

#[inline]
fn tcp<'a>(layer: &ip::Layer<'a>) -> Result<Transport<'a>, Skip> {
    let (data, length) = (layer.payload, layer.payload_length);
    let Some((fixed, _)) = data.split_first_chunk::<20>() else { return tcp_in_part(layer) };
    let &[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, ..] = fixed;
    let header = usize::from(offset >> 4) * 4;
    if header < 20 {
        return Err(Skip::TcpDataOffset);
    }
    let payload_length = match length.checked_sub(header) {
        Some(length) => length,
        // A first fragment may end inside the options.
        None if layer.fragment.is_some() => 0,
        None => return Err(Skip::TcpDataOffset),
    };
    Ok(Transport::Tcp(Tcp {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        payload: data.get(header..).unwrap_or_default(),
        payload_length: narrow(payload_length),
    }))
}

/// A TCP header that is not all there: cut by the snap length or by fragmentation, else malformed.
#[cold]
fn tcp_in_part<'a>(layer: &ip::Layer<'a>) -> Result<Transport<'a>, Skip> {
    let data = layer.payload;
    if layer.payload_length < 20 && layer.fragment.is_none() {
        return Err(Skip::TransportHeader);
    }
    let Some((&[s0, s1, d0, d1], rest)) = data.split_first_chunk::<4>() else { return Ok(Transport::Cut) };
    let number = |at: usize| {
        rest.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
    };
    let header = rest.get(8).map_or(0, |offset| usize::from(offset >> 4) * 4);
    Ok(Transport::Tcp(Tcp {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: number(0),
        ack: number(4),
        flags: rest.get(9).copied().unwrap_or(0),
        window: 0,
        payload: &[],
        payload_length: if header < 20 { 0 } else { narrow(layer.payload_length.saturating_sub(header)) },
    }))
}

#[inline]
fn udp<'a>(layer: &ip::Layer<'a>) -> Result<Transport<'a>, Skip> {
    let (data, length) = (layer.payload, layer.payload_length);
    if length < 8 {
        return Err(Skip::TransportHeader);
    }
    let Some((&[s0, s1, d0, d1], rest)) = data.split_first_chunk::<4>() else { return Ok(Transport::Cut) };
    let claimed = rest.first_chunk().map_or(0, |bytes| usize::from(u16::from_be_bytes(*bytes)));
    let payload_length = match claimed {
        0 => length - 8,
        1..8 => return Err(Skip::UdpLength),
        claimed => claimed.min(length) - 8,
    };
    let payload = data.get(8..).unwrap_or_default();
    Ok(Transport::Udp(Udp {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        payload: payload.get(..payload_length).unwrap_or(payload),
        payload_length: narrow(payload_length),
    }))
}

fn icmp<'a>(layer: &ip::Layer<'a>, v6: bool) -> Result<Transport<'a>, Skip> {
    if layer.payload_length < 4 {
        return Err(Skip::TransportHeader);
    }
    let Some((&[kind, code, _, _], rest)) = layer.payload.split_first_chunk::<4>() else {
        return Ok(Transport::Cut);
    };
    let echo = if v6 { matches!(kind, 128 | 129) } else { matches!(kind, 0 | 8) };
    let error = if v6 { kind < 128 } else { matches!(kind, 3 | 4 | 5 | 11 | 12) };
    let id = rest.first_chunk().filter(|_| echo).map_or(0, |bytes| u16::from_be_bytes(*bytes));
    let original = rest.get(4..).filter(|_| error).and_then(original);
    Ok(Transport::Icmp(Icmp { v6, kind, code, id, original }))
}

/// The beginning of the packet that an error answers.
fn original(data: &[u8]) -> Option<Original> {
    let layer = ip::header(data, data.len()).ok()?;
    let whole = layer.fragment.is_none_or(|fragment| fragment.offset == 0);
    let ports =
        layer.payload.first_chunk::<4>().filter(|_| whole && matches!(layer.protocol, TCP | UDP | 132));
    let &[s0, s1, d0, d1] = ports.unwrap_or(&[0; 4]);
    Some(Original {
        src: layer.src,
        dst: layer.dst,
        protocol: layer.protocol,
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
    })
}

#[inline]
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
