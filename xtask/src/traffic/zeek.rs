//! A tape as Zeek's conn.log would tell it: who talked to whom, how long, how much, and how it ended.
//!
//! Guarantees: the states are those of Zeek's manual (S0, S1, SF, REJ, RSTO, RSTR, OTH); lines are in the order in which
//! Zeek would write them, that is when connections end, so that their times run backwards.

use super::tape::Tape;
use anyhow::{Context as _, Result};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    a: (IpAddr, u16),
    b: (IpAddr, u16),
    protocol: u8,
}

/// What of a packet a connection log needs.
struct Seen {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    protocol: u8,
    length: u64,
    payload: u64,
    flags: u8,
}

#[derive(Clone, Copy, Default)]
struct Side {
    packets: u64,
    bytes: u64,
    payload: u64,
    syn: bool,
    ack: bool,
    fin: bool,
    rst: bool,
}

struct Connection {
    first: i64,
    last: i64,
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    protocol: u8,
    out: Side,
    back: Side,
}

impl Connection {
    fn state(&self) -> &'static str {
        let (out, back) = (&self.out, &self.back);
        match self.protocol {
            6 if out.syn && back.packets == 0 => "S0",
            6 if out.syn && back.rst && !back.syn => "REJ",
            6 if out.syn && back.syn && out.rst => "RSTO",
            6 if out.syn && back.syn && back.rst => "RSTR",
            6 if out.syn && back.syn && out.fin && back.fin => "SF",
            6 if out.syn && back.syn => "S1",
            6 => "OTH",
            _ if back.packets == 0 => "S0",
            _ => "SF",
        }
    }

    fn history(&self) -> String {
        let mut out = String::new();
        let mut mark = |yes: bool, letter: char| {
            if yes {
                out.push(letter);
            }
        };
        mark(self.out.syn, 'S');
        mark(self.back.syn, 'h');
        mark(self.out.ack, 'A');
        mark(self.out.payload > 0, 'D');
        mark(self.back.ack, 'a');
        mark(self.back.payload > 0, 'd');
        mark(self.out.fin, 'F');
        mark(self.back.fin, 'f');
        mark(self.out.rst, 'R');
        mark(self.back.rst, 'r');
        if out.is_empty() { "-".to_owned() } else { out }
    }
}

fn dissect(frame: &[u8]) -> Option<Seen> {
    let packet = frame.get(14..)?;
    let (src, dst, protocol, header, length): (IpAddr, IpAddr, u8, usize, usize) = match frame.get(12..14)? {
        [8, 0] => {
            let four = |at: usize| {
                packet.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).map(Ipv4Addr::from)
            };
            let offset = u16::from_be_bytes([packet.get(6)? & 0x1f, *packet.get(7)?]);
            if offset != 0 {
                return None;
            }
            let length = u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]);
            (
                four(12)?.into(),
                four(16)?.into(),
                *packet.get(9)?,
                usize::from(packet.first()? & 15) * 4,
                length.into(),
            )
        }
        [0x86, 0xdd] => {
            let six = |at: usize| {
                packet.get(at..at + 16).and_then(|six| <[u8; 16]>::try_from(six).ok()).map(Ipv6Addr::from)
            };
            let length = u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]);
            (six(8)?.into(), six(24)?.into(), *packet.get(6)?, 40, usize::from(length) + 40)
        }
        _ => return None,
    };
    let inner = packet.get(header..)?;
    let port = |at: usize| Some(u16::from_be_bytes([*inner.get(at)?, *inner.get(at + 1)?]));
    let (from, to, payload, flags) = match protocol {
        6 => (port(0)?, port(2)?, usize::from(inner.get(12)? >> 4) * 4, *inner.get(13)?),
        17 => (port(0)?, port(2)?, 8, 0),
        // Zeek writes type and code where ports stand, and pairs a question with its answer.
        1 | 58 => {
            let kind = u16::from(*inner.first()?);
            (kind & !8, u16::from(*inner.get(1)?), 8, 0)
        }
        _ => (0, 0, 4, 0),
    };
    let payload = length.saturating_sub(header + payload) as u64;
    Some(Seen { from: (src, from), to: (dst, to), protocol, length: length as u64, payload, flags })
}

/// How long a connection may be silent before it is over, in microseconds.
const fn patience(protocol: u8) -> i64 {
    if protocol == 6 { 300_000_000 } else { 60_000_000 }
}

/// Writes the tape's connections as a conn.log (tab-separated).
///
/// # Errors
/// Where the file cannot be written.
pub fn write_zeek(path: &Path, tape: &Tape) -> Result<()> {
    let mut alive: BTreeMap<Key, Connection> = BTreeMap::new();
    let mut over: Vec<Connection> = Vec::new();
    for (at, frame) in tape.frames() {
        let Some(seen) = dissect(frame) else { continue };
        let (a, b) = if seen.from <= seen.to { (seen.from, seen.to) } else { (seen.to, seen.from) };
        let icmp = matches!(seen.protocol, 1 | 58);
        let key = if icmp {
            let (low, high) = (seen.from.0.min(seen.to.0), seen.from.0.max(seen.to.0));
            Key { a: (low, seen.from.1), b: (high, 0), protocol: seen.protocol }
        } else {
            Key { a, b, protocol: seen.protocol }
        };
        let ended = alive.get(&key).is_some_and(|old| {
            let closed = (old.out.fin && old.back.fin) || old.out.rst || old.back.rst;
            at - old.last > patience(old.protocol) || (closed && seen.flags & 0x12 == 2)
        });
        if ended && let Some(old) = alive.remove(&key) {
            over.push(old);
        }
        let connection = alive.entry(key).or_insert_with(|| Connection {
            first: at,
            last: at,
            from: seen.from,
            to: seen.to,
            protocol: seen.protocol,
            out: Side::default(),
            back: Side::default(),
        });
        connection.last = at;
        let outward = if icmp { seen.from.0 == connection.from.0 } else { seen.from == connection.from };
        let side = if outward { &mut connection.out } else { &mut connection.back };
        side.packets += 1;
        side.bytes += seen.length;
        side.payload += seen.payload;
        side.syn |= seen.flags & 2 != 0;
        // An acknowledgement that nothing else is said with.
        side.ack |= seen.flags & 0x17 == 0x10 && seen.payload == 0;
        side.fin |= seen.flags & 1 != 0;
        side.rst |= seen.flags & 4 != 0;
    }
    over.extend(alive.into_values());
    over.sort_by_key(|connection| connection.last);
    print(path, &over)
}

fn print(path: &Path, connections: &[Connection]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut out = BufWriter::new(file);
    let fields = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents";
    let types = "time string addr port addr port enum string interval count count string bool bool count string count count count count set[string]";
    writeln!(
        out,
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn"
    )?;
    writeln!(out, "#fields\t{}\n#types\t{}", fields.replace(' ', "\t"), types.replace(' ', "\t"))?;
    for (number, connection) in connections.iter().enumerate() {
        let protocol = match connection.protocol {
            6 => "tcp",
            17 => "udp",
            1 | 58 => "icmp",
            _ => "unknown_transport",
        };
        let moment =
            |micros: i64| format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let (duration, sizes) =
            if connection.out.packets + connection.back.packets == 1 && connection.out.payload == 0 {
                ("-".to_owned(), ("-".to_owned(), "-".to_owned()))
            } else {
                let sizes = (connection.out.payload.to_string(), connection.back.payload.to_string());
                (moment(connection.last - connection.first), sizes)
            };
        writeln!(
            out,
            "{}\tC{number:017}\t{}\t{}\t{}\t{}\t{protocol}\t-\t{duration}\t{}\t{}\t{}\t-\t-\t0\t{}\t{}\t{}\t{}\t{}\t-",
            moment(connection.first),
            connection.from.0,
            connection.from.1,
            connection.to.0,
            connection.to.1,
            sizes.0,
            sizes.1,
            connection.state(),
            connection.history(),
            connection.out.packets,
            connection.out.bytes,
            connection.back.packets,
            connection.back.bytes,
        )?;
    }
    writeln!(out, "#close\t2026-01-01-00-00-00")?;
    out.flush()?;
    Ok(())
}
