//! Mixes for the benchmark: recordings and scenes, copied many times under other addresses and at other times.
//!
//! Guarantees: a copy behaves as its source did (addresses keep being ours or not, names still resolve to what is then
//! called, ARP and DHCP still tell the truth), and no two copies share an address, so that the findings of a mix are
//! those of its sources, once for each copy.

use crate::traffic::Tape;
use anyhow::{Context as _, Result};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    fs::File,
    io::{BufWriter, Write as _},
    net::Ipv4Addr,
    path::Path,
};

/// Something to copy.
pub struct Source {
    /// Its name.
    pub name: String,
    /// Time, length on the wire, what was captured; in order of time.
    pub frames: Vec<(i64, u32, Vec<u8>)>,
}

impl Source {
    /// From a recording.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn from_file(path: &Path) -> Result<Self> {
        let mut frames = crate::traffic::read(path)?.frames;
        frames.sort_by_key(|(at, ..)| *at);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, frames })
    }

    /// From a scene's tape.
    #[must_use]
    pub fn from_tape(name: &str, tape: &Tape) -> Self {
        let frames = tape.frames().map(|(at, frame)| (at, frame.len() as u32, frame.to_vec())).collect();
        Self { name: name.to_owned(), frames }
    }
}

/// Writes at least `packets` packets: every source equally often. Says how often.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, sources: &[Source], packets: u64) -> Result<(u64, u64)> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let each: u64 = sources.iter().map(|source| source.frames.len() as u64).sum();
    let copies = packets.div_ceil(each.max(1)).max(1);
    let mut queue = BinaryHeap::new();
    for copy in 0..copies {
        for (number, source) in sources.iter().enumerate() {
            let begins = source.frames.first().map_or(0, |(at, ..)| *at);
            // Copies begin a little after one another, so that they do not march in step.
            let shift = 1_700_000_000_000_000 - begins + copy as i64 * 7_311_113 + number as i64 * 1_013_377;
            queue.push(Reverse((begins + shift, copy, number, 0_usize, shift)));
        }
    }
    let mut places = Readdress::default();
    let mut written = 0;
    while let Some(Reverse((at, copy, number, place, shift))) = queue.pop() {
        let Some(source) = sources.get(number) else { continue };
        let Some((_, wire, frame)) = source.frames.get(place) else { continue };
        let mut frame = frame.clone();
        places.frame(copy * sources.len() as u64 + number as u64, &mut frame);
        let fields =
            [at.div_euclid(1_000_000) as u32, at.rem_euclid(1_000_000) as u32, frame.len() as u32, *wire];
        for field in fields {
            out.write_all(&field.to_le_bytes())?;
        }
        out.write_all(&frame)?;
        written += 1;
        if let Some((next, ..)) = source.frames.get(place + 1) {
            // A recording's clock may step back a little; a mix's does not.
            queue.push(Reverse(((next + shift).max(at), copy, number, place + 1, shift)));
        }
    }
    out.flush()?;
    Ok((written, copies))
}

/// Gives the addresses of each copy a place of their own.
#[derive(Default)]
struct Readdress {
    nets: HashMap<(u64, u32), u32>,
}

fn special(address: u32) -> bool {
    let [a, b, ..] = address.to_be_bytes();
    a == 0 || a == 127 || a >= 224 || (a == 169 && b == 254)
}

fn private(address: u32) -> bool {
    Ipv4Addr::from(address).is_private()
}

/// A permutation of 32 bits for each key.
fn permute(key: u64, value: u32) -> u32 {
    let (mut left, mut right) = ((value >> 16) as u16, value as u16);
    for round in 0..4_u64 {
        let mut mix = (u64::from(right) ^ (key << 20) ^ (round << 17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mix ^= mix >> 29;
        mix = mix.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (left, right) = (right, left ^ (mix >> 40) as u16);
    }
    u32::from(left) << 16 | u32::from(right)
}

impl Readdress {
    fn address(&mut self, key: u64, address: u32) -> u32 {
        if special(address) {
            return address;
        }
        if private(address) {
            let free = self.nets.len() as u32;
            let net = *self.nets.entry((key, address >> 8)).or_insert(free);
            return 10 << 24 | (net & 0xffff) << 8 | address & 0xff;
        }
        let mut out = permute(key, address);
        while special(out) || private(out) {
            out = permute(key, out);
        }
        out
    }

    fn at(&mut self, key: u64, bytes: &mut [u8], place: usize) -> bool {
        let Some(four) = bytes.get_mut(place..place + 4) else { return false };
        let Ok(old) = <[u8; 4]>::try_from(&*four) else { return false };
        four.copy_from_slice(&self.address(key, u32::from_be_bytes(old)).to_be_bytes());
        true
    }

    /// Moves a whole frame to its copy's place.
    fn frame(&mut self, key: u64, frame: &mut [u8]) {
        for side in [0, 6] {
            hardware(key, frame, side);
        }
        let mut kind = 12;
        while matches!(frame.get(kind..kind + 2), Some([0x81, 0] | [0x88, 0xa8])) {
            kind += 4;
        }
        let (head, body) = frame.split_at_mut((kind + 2).min(frame.len()));
        match head.last_chunk() {
            Some([8, 6]) => {
                for (mac, ip) in [(8, 14), (18, 24)] {
                    hardware(key, body, mac);
                    self.at(key, body, ip);
                }
            }
            Some([8, 0]) => self.packet(key, body),
            Some([0x86, 0xdd]) => six(key, body),
            _ => {}
        }
    }

    fn packet(&mut self, key: u64, packet: &mut [u8]) {
        let Some(&first) = packet.first() else { return };
        let header = usize::from(first & 15) * 4;
        let before = total(packet.get(12..20));
        self.at(key, packet, 12);
        self.at(key, packet, 16);
        let after = total(packet.get(12..20));
        mend(packet, 10, before, after);
        let fragment =
            packet.get(6..8).is_some_and(|field| field.iter().zip([0x1f, 0xff]).any(|(b, m)| b & m != 0));
        let protocol = packet.get(9).copied();
        let Some(inner) = packet.get_mut(header..).filter(|_| !fragment) else { return };
        match protocol {
            Some(6) => mend(inner, 16, before, after),
            Some(17) => {
                mend(inner, 6, before, after);
                let changed = match (inner.get(..2), inner.get(2..4)) {
                    (Some([0, 53]), _) => self.names(key, inner),
                    (Some([0, 67 | 68]), Some([0, 67 | 68])) => self.leases(key, inner),
                    _ => false,
                };
                // No checksum is a right one in UDP over IPv4.
                if let Some(field) = inner.get_mut(6..8).filter(|_| changed) {
                    field.fill(0);
                }
            }
            // An error tells of the packet that caused it.
            Some(1) if matches!(inner.first(), Some(3 | 11)) => {
                self.at(key, inner, 8 + 12);
                self.at(key, inner, 8 + 16);
            }
            _ => {}
        }
    }

    /// Addresses in an answer of DNS: type A, class IN, any time to live, four bytes.
    fn names(&mut self, key: u64, datagram: &mut [u8]) -> bool {
        let mut changed = false;
        let mut place = 20;
        while let Some(field) = datagram.get(place..place + 10) {
            if matches!(field, [0, 1, 0, 1, _, _, _, _, 0, 4]) {
                changed |= self.at(key, datagram, place + 10);
                place += 14;
            } else {
                place += 1;
            }
        }
        changed
    }

    fn leases(&mut self, key: u64, datagram: &mut [u8]) -> bool {
        for place in [8 + 12, 8 + 16, 8 + 20, 8 + 24] {
            self.at(key, datagram, place);
        }
        hardware(key, datagram, 8 + 28);
        let mut place = 8 + 240;
        while let (Some(&code), Some(&length)) = (datagram.get(place), datagram.get(place + 1)) {
            if code == 255 {
                break;
            }
            if matches!(code, 3 | 6 | 42 | 50 | 54) {
                for step in 0..usize::from(length) / 4 {
                    self.at(key, datagram, place + 2 + 4 * step);
                }
            } else if code == 61 && length == 7 {
                hardware(key, datagram, place + 3);
            }
            place += if code == 0 { 1 } else { 2 + usize::from(length) };
        }
        true
    }
}

fn total(bytes: Option<&[u8]>) -> u32 {
    let pairs = bytes.unwrap_or_default().chunks_exact(2);
    pairs.map(|pair| pair.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))).sum()
}

/// RFC 1624: a checksum after some of what it covers has changed.
fn mend(bytes: &mut [u8], place: usize, before: u32, after: u32) {
    let Some(field) = bytes.get_mut(place..place + 2) else { return };
    let old = field.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    // Words of eight bytes: four of them, so that the complement of their sum stays small.
    let mut sum = u64::from(!old & 0xffff) + u64::from(4 * 0xffff - before) + u64::from(after);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    field.copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

fn hardware(key: u64, bytes: &mut [u8], place: usize) {
    let Some(mac) = bytes.get_mut(place..place + 6) else { return };
    if let [first, _, _, low @ ..] = mac
        && *first & 1 == 0
    {
        let old = low.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
        let new = old.wrapping_add((key as u32).wrapping_mul(0x01_0081)).to_be_bytes();
        low.copy_from_slice(new.get(1..).unwrap_or_default());
    }
}

/// IPv6 addresses keep their kind; the middle of the address tells the copies apart.
fn six(key: u64, packet: &mut [u8]) {
    for start in [8, 24] {
        let Some(address) = packet.get_mut(start..start + 16) else { return };
        let place = match address.first_chunk() {
            Some([0xff, _] | [0, _]) => continue,
            Some([0xfe, _]) => 8..10,
            _ => 4..6,
        };
        if let Some(part) = address.get_mut(place) {
            part.iter_mut().zip((key as u16).to_be_bytes()).for_each(|(byte, key)| *byte ^= key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{self, Host};

    #[test]
    fn a_copy_has_right_checksums_and_its_own_addresses() {
        let host = |ip: &str| Host { mac: [2, 0, 0, 0, 0, 7], ip: ip.parse().unwrap(), ttl: 64 };
        let mut places = Readdress::default();
        let mut seen = std::collections::HashSet::new();
        for key in 0..200 {
            let mut frame = traffic::tcp(
                &host("192.168.1.7"),
                &host("8.8.4.4"),
                (4_000, 80),
                7,
                9,
                traffic::ACK,
                b"hello",
            );
            places.frame(key, &mut frame);
            let address =
                |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(at..at + 4).unwrap()).unwrap());
            let (src, dst) = (address(26), address(30));
            assert!(src.is_private() && !dst.is_private(), "{src} {dst}");
            assert!(seen.insert(src) && seen.insert(dst));
            let mac = <[u8; 6]>::try_from(frame.get(6..12).unwrap()).unwrap();
            let fresh = traffic::tcp(
                &Host { mac, ip: src.into(), ttl: 64 },
                &Host { mac, ip: dst.into(), ttl: 64 },
                (4_000, 80),
                7,
                9,
                traffic::ACK,
                b"hello",
            );
            assert_eq!(frame.get(34..), fresh.get(34..), "the segment is as if it had been made there");
            let header = total(frame.get(14..34));
            assert_eq!((header & 0xffff) + (header >> 16), 0xffff, "the header's checksum is right");
        }
    }
}
