//! Messages of application protocols: DNS, DHCP, the opening of TLS.

use super::random::Rng;
use std::net::{IpAddr, Ipv4Addr};

/// A record in a DNS answer.
pub enum Record {
    /// A or AAAA.
    Address(IpAddr),
    /// TXT or another type with so many bytes of data.
    Blob(u16, usize),
}

fn name_bytes(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len().min(63) as u8);
        out.extend(label.bytes().take(63));
    }
    out.push(0);
    out
}

fn header(id: u16, flags: u16, answers: u16, additional: u16) -> Vec<u8> {
    [id, flags, 1, answers, 0, additional].iter().flat_map(|field| field.to_be_bytes()).collect()
}

/// A question. With `large`, it says (EDNS) that it takes large answers, as amplifiers are asked.
#[must_use]
pub fn dns_question(id: u16, name: &str, qtype: u16, large: bool) -> Vec<u8> {
    let mut out = header(id, 0x0100, 0, u16::from(large));
    out.extend(name_bytes(name));
    out.extend_from_slice(&qtype.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    if large {
        out.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 0]);
    }
    out
}

/// An answer to it. `rcode` 3 means that there is no such name.
#[must_use]
pub fn dns_answer(id: u16, name: &str, qtype: u16, rcode: u8, records: &[Record]) -> Vec<u8> {
    let mut out = header(id, 0x8180 | u16::from(rcode & 15), records.len() as u16, 0);
    out.extend(name_bytes(name));
    out.extend_from_slice(&qtype.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    for record in records {
        out.extend_from_slice(&[0xc0, 12]);
        let (kind, data): (u16, Vec<u8>) = match record {
            Record::Address(IpAddr::V4(v4)) => (1, v4.octets().to_vec()),
            Record::Address(IpAddr::V6(v6)) => (28, v6.octets().to_vec()),
            Record::Blob(kind, length) => {
                let mut data = Vec::new();
                while data.len() < *length {
                    let piece = (length - data.len() - 1).min(255);
                    data.push(piece as u8);
                    data.resize(data.len() + piece, b'k');
                }
                (*kind, data)
            }
        };
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1, 0, 0, 0x0e, 0x10]);
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

/// Fields of a DHCP message.
pub struct DhcpMessage {
    /// 1 discover, 2 offer, 3 request, 5 acknowledgement.
    pub kind: u8,
    /// Transaction.
    pub xid: u32,
    /// The client's hardware address.
    pub client: [u8; 6],
    /// What is offered or asked for.
    pub address: Ipv4Addr,
    /// The server's identifier; unspecified in a discover.
    pub server: Ipv4Addr,
    /// Handed-out router and resolver, in messages of a server.
    pub router: Ipv4Addr,
    /// Resolver.
    pub resolver: Ipv4Addr,
    /// The client's name; empty for none.
    pub name: String,
}

/// A DHCP message.
#[must_use]
pub fn dhcp(message: &DhcpMessage) -> Vec<u8> {
    let from_server = matches!(message.kind, 2 | 5);
    let mut out = vec![if from_server { 2 } else { 1 }, 1, 6, 0];
    out.extend_from_slice(&message.xid.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0x80, 0, 0, 0, 0, 0]);
    let yours = if from_server { message.address } else { Ipv4Addr::UNSPECIFIED };
    out.extend_from_slice(&yours.octets());
    out.extend_from_slice(&if from_server { message.server } else { Ipv4Addr::UNSPECIFIED }.octets());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&message.client);
    out.resize(236, 0);
    out.extend_from_slice(&[0x63, 0x82, 0x53, 0x63, 53, 1, message.kind]);
    let mut option = |code: u8, data: &[u8]| {
        out.push(code);
        out.push(data.len() as u8);
        out.extend_from_slice(data);
    };
    if from_server {
        option(54, &message.server.octets());
        option(51, &[0, 0, 0x0e, 0x10]);
        option(1, &[255, 255, 255, 0]);
        option(3, &message.router.octets());
        option(6, &message.resolver.octets());
    } else {
        let mut id = vec![1];
        id.extend_from_slice(&message.client);
        option(61, &id);
        if message.kind == 3 {
            option(50, &message.address.octets());
            option(54, &message.server.octets());
        }
        if !message.name.is_empty() {
            option(12, message.name.as_bytes());
        }
        option(55, &[1, 3, 6, 15, 42]);
        option(60, b"udhcp 1.21.1");
    }
    out.push(255);
    out.resize(out.len().max(300), 0);
    out
}

/// The first message of TLS 1.2/1.3 that names a server.
#[must_use]
pub fn client_hello(rng: &mut Rng, name: &str) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(rng.bytes(32));
    body.push(32);
    body.extend(rng.bytes(32));
    body.extend_from_slice(&[0, 8, 0x13, 1, 0x13, 2, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    let host = name.as_bytes();
    let mut extensions = Vec::new();
    let length = host.len() as u16;
    extensions.extend_from_slice(&[0, 0]);
    extensions.extend_from_slice(&(length + 5).to_be_bytes());
    extensions.extend_from_slice(&(length + 3).to_be_bytes());
    extensions.push(0);
    extensions.extend_from_slice(&length.to_be_bytes());
    extensions.extend_from_slice(host);
    extensions.extend_from_slice(&[0, 10, 0, 4, 0, 2, 0, 0x1d, 0, 43, 0, 3, 2, 3, 4]);
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut out = vec![22, 3, 1];
    out.extend_from_slice(&((body.len() + 4) as u16).to_be_bytes());
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

/// Base64 with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let value =
            chunk.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS.get((value >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}
