//! DHCP for IPv4 (RFC 2131, 2132).
//!
//! Guarantees: lists are short (at most four routers and resolvers), options behind the end are never read.

use super::{Unread, reader::Reader};
use std::net::Ipv4Addr;

/// A DHCP packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    /// From a client (else from a server).
    pub request: bool,
    /// Option 53.
    pub message_type: u8,
    /// The number that the client chose for this exchange.
    pub transaction: u32,
    /// The client's hardware address.
    pub client: [u8; 6],
    /// The address that the client has.
    pub client_address: Option<Ipv4Addr>,
    /// The address offered or granted.
    pub your_address: Option<Ipv4Addr>,
    /// Came through a relay.
    pub relayed: bool,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server: Option<Ipv4Addr>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 6.
    pub resolvers: Vec<Ipv4Addr>,
    /// Option 12.
    pub hostname: Option<&'a [u8]>,
    /// Option 60.
    pub vendor_class: Option<&'a [u8]>,
    /// Option 55.
    pub parameters: Option<&'a [u8]>,
    /// Option 61: what the client wants to be known by, its type first.
    pub client_id: Option<&'a [u8]>,
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    let address = Ipv4Addr::from(*bytes.first_chunk::<4>()?);
    (!address.is_unspecified()).then_some(address)
}

fn addresses(bytes: &[u8]) -> Vec<Ipv4Addr> {
    bytes.chunks_exact(4).filter_map(address).take(4).collect()
}

/// Reads a packet; a capture cut within the options gives those before the cut.
///
/// # Errors
/// [`Unread`] without the magic cookie, an Ethernet client or a message type.
pub fn parse(bytes: &[u8]) -> Result<Packet<'_>, Unread> {
    let mut reader = Reader(bytes);
    let (op, hardware, length) = (reader.u8()?, reader.u8()?, reader.u8()?);
    if !matches!(op, 1 | 2) || hardware != 1 || length != 6 {
        return Err(Unread::Not("a BOOTP header of an Ethernet client"));
    }
    reader.take(1)?;
    let transaction = reader.u32()?;
    reader.take(4)?;
    let client_address = address(reader.take(4)?);
    let your_address = address(reader.take(4)?);
    reader.take(4)?;
    let relayed = address(reader.take(4)?).is_some();
    let hardware_address = reader.take(16)?;
    let client = *hardware_address.first_chunk::<6>().ok_or(Unread::Incomplete)?;
    reader.take(64 + 128)?;
    if reader.u32()? != 0x6382_5363 {
        return Err(Unread::Not("the DHCP magic cookie"));
    }
    let mut packet = Packet {
        request: op == 1,
        transaction,
        client,
        client_address,
        your_address,
        relayed,
        ..Packet::default()
    };
    while let Ok(code) = reader.u8() {
        if code == 0 {
            continue;
        }
        if code == 255 {
            break;
        }
        let Ok(data) = reader.field8() else { break };
        match code {
            3 => packet.routers = addresses(data),
            6 => packet.resolvers = addresses(data),
            12 => packet.hostname = Some(data),
            50 => packet.requested = address(data),
            53 => packet.message_type = data.first().copied().unwrap_or(0),
            54 => packet.server = address(data),
            55 => packet.parameters = Some(data),
            60 => packet.vendor_class = Some(data),
            61 => packet.client_id = Some(data),
            _ => {}
        }
    }
    if packet.message_type == 0 { Err(Unread::Not("a DHCP message type")) } else { Ok(packet) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_discover_and_an_offer() {
        let mut bytes = vec![1, 1, 6, 0, 1, 2, 3, 4];
        bytes.resize(28, 0);
        bytes.extend([2, 0, 0x5e, 0x10, 0, 1]);
        bytes.resize(236, 0);
        bytes.extend([
            0x63, 0x82, 0x53, 0x63, 53, 1, 1, 0, 12, 3, b'c', b'a', b'm', 55, 3, 1, 3, 6, 61, 3, 255, 7, 7,
            255, 12, 1, b'x',
        ]);
        let packet = parse(&bytes).unwrap();
        assert_eq!(
            (packet.message_type, packet.hostname, packet.parameters),
            (1, Some(&b"cam"[..]), Some(&[1, 3, 6][..]))
        );
        assert_eq!(packet.client_id, Some(&[255, 7, 7][..]));
        assert_eq!(packet.client, [2, 0, 0x5e, 0x10, 0, 1]);

        bytes.truncate(240);
        bytes[0] = 2;
        bytes[16..20].copy_from_slice(&[192, 168, 1, 9]);
        bytes.extend([
            53, 1, 2, 3, 8, 192, 168, 1, 1, 192, 168, 1, 2, 6, 4, 9, 9, 9, 9, 54, 4, 192, 168, 1, 1,
        ]);
        let packet = parse(&bytes).unwrap();
        assert_eq!(packet.your_address, Some(Ipv4Addr::new(192, 168, 1, 9)));
        assert_eq!((packet.routers.len(), packet.resolvers.len(), packet.server.is_some()), (2, 1, true));
        for end in 0..bytes.len() {
            let _ = parse(&bytes[..end]);
        }
        assert!(parse(&[0; 300]).is_err());
    }
}
