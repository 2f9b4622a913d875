//! DNS messages (RFC 1035, EDNS tolerated), over UDP or with the length of TCP already taken off.
//!
//! Guarantees: compression cannot loop, a name is at most 255 characters, and iteration over records ends.

use super::{Unread, reader::Reader};
use std::net::IpAddr;

const HEADER: usize = 12;
const NAME_LIMIT: usize = 255;
const JUMPS: usize = 32;

/// A message whose header and first question were read.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    records_at: usize,
    /// The transaction.
    pub id: u16,
    /// An answer, not a question.
    pub response: bool,
    /// 0 query, 4 notify, 5 update.
    pub opcode: u8,
    /// The server offers recursion.
    pub recursion_available: bool,
    /// The answer's code.
    pub rcode: u8,
    /// How many questions it says it has.
    pub questions: u16,
    /// How many records follow the questions, in all sections.
    pub records: u32,
    /// The first question's type, 0 without one.
    pub qtype: u16,
}

/// One resource record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    bytes: &'a [u8],
    name_at: usize,
    data_at: usize,
    /// Its type.
    pub kind: u16,
    /// Its data.
    pub data: &'a [u8],
}

/// Reads a message as unicast DNS.
///
/// # Errors
/// [`Unread::Not`] unless the header and the first question are those of a DNS message beyond doubt.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Unread> {
    let message = parse_lenient(bytes)?;
    let is_netbios = matches!(message.qtype, 32 | 33) && message.name().len() >= 32;
    let whole = match (message.response, message.questions) {
        (_, 1) => true,
        (true, 0) => message.rcode != 0 || message.records > 0,
        _ => false,
    };
    if !whole
        || is_netbios
        || !matches!(message.opcode, 0 | 2 | 4 | 5)
        || (!message.response && message.rcode != 0)
    {
        return Err(Unread::Not("a DNS header with one question"));
    }
    Ok(message)
}

/// Reads anything in the format of DNS: also multicast DNS with many questions or none.
///
/// # Errors
/// [`Unread`] where the header or the first question does not read.
pub fn parse_lenient(bytes: &[u8]) -> Result<Message<'_>, Unread> {
    let not = Err(Unread::Not("a DNS header"));
    let mut reader = Reader(bytes);
    let (id, flags) = (reader.u16()?, reader.u16()?);
    let questions = reader.u16()?;
    let (answers, authorities, additionals) = (reader.u16()?, reader.u16()?, reader.u16()?);
    let response = flags & 0x8000 != 0;
    let opcode = (flags >> 11 & 0xf) as u8;
    let reserved = flags & 0x40 != 0;
    if reserved || opcode > 5 || questions > 64 || answers > 1024 || authorities > 256 || additionals > 256 {
        return not;
    }
    if !response && opcode == 0 && (authorities > 64 || (answers > 0 && flags & 0x0100 != 0)) {
        return not;
    }
    let records = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
    let (mut qtype, mut at) = (0, HEADER);
    for number in 0..questions {
        let read = read_question(bytes, at);
        match (number, read) {
            (_, Ok((kind, next))) => {
                if number == 0 {
                    qtype = kind;
                }
                at = next;
            }
            (0, Err(error)) => return Err(error),
            // The capture ends within the further questions: the first is what counts.
            (_, Err(_)) => {
                at = bytes.len();
                break;
            }
        }
    }
    let rcode = (flags & 0xf) as u8;
    let recursion_available = flags & 0x80 != 0;
    Ok(Message {
        bytes,
        records_at: at,
        id,
        response,
        opcode,
        recursion_available,
        rcode,
        questions,
        records,
        qtype,
    })
}

fn read_question(bytes: &[u8], at: usize) -> Result<(u16, usize), Unread> {
    let after = walk_name(bytes, at, &mut |_| {})?;
    let mut reader = Reader(bytes.get(after..).ok_or(Unread::Incomplete)?);
    let (kind, class) = (reader.u16()?, reader.u16()?);
    // The top bit of the class asks for a unicast answer in multicast DNS.
    if kind == 0 || !matches!(class & 0x7fff, 1 | 3 | 4 | 254 | 255) {
        return Err(Unread::Not("a question of a known class"));
    }
    Ok((kind, after + 4))
}

/// Walks a possibly compressed name, showing each label; gives the offset behind it.
fn walk_name(bytes: &[u8], start: usize, show: &mut impl FnMut(&[u8])) -> Result<usize, Unread> {
    let (mut at, mut end, mut length) = (start, None, 0);
    for _ in 0..NAME_LIMIT + JUMPS {
        let head = *bytes.get(at).ok_or(Unread::Incomplete)?;
        match head {
            0 => return Ok(end.unwrap_or(at + 1)),
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + usize::from(head)).ok_or(Unread::Incomplete)?;
                length += label.len() + 1;
                if length > NAME_LIMIT {
                    return Err(Unread::Not("a name of at most 255 bytes"));
                }
                show(label);
                at += label.len() + 1;
            }
            192..=255 => {
                let low = *bytes.get(at + 1).ok_or(Unread::Incomplete)?;
                let target = usize::from(head & 0x3f) << 8 | usize::from(low);
                end = end.or(Some(at + 2));
                // Only backwards: whoever points forward or at itself means harm.
                if target >= at {
                    return Err(Unread::Not("a name that points backwards"));
                }
                at = target;
            }
            _ => return Err(Unread::Not("a label of at most 63 bytes")),
        }
    }
    Err(Unread::Not("a name that ends"))
}

/// A name in lower case without its last dot; what cannot be printed becomes `?`. As far as it reads.
fn name_at(bytes: &[u8], at: usize) -> String {
    let mut name = String::new();
    let _ = walk_name(bytes, at, &mut |label| {
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|&byte| match byte {
            b'.' => '?',
            0x20..=0x7e => char::from(byte.to_ascii_lowercase()),
            _ => '?',
        }));
    });
    name
}

impl<'a> Message<'a> {
    /// The first question's name in lower case, empty for the root or without a question.
    #[must_use]
    pub fn name(&self) -> String {
        if self.questions == 0 { String::new() } else { name_at(self.bytes, HEADER) }
    }

    /// The records of all sections in order, as far as they read; at most 64.
    pub fn iter(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let (bytes, mut at, mut left) = (self.bytes, self.records_at, self.records.min(64));
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let name_at = at;
            let after = walk_name(bytes, at, &mut |_| {}).ok()?;
            let mut reader = Reader(bytes.get(after..)?);
            let kind = reader.u16().ok()?;
            reader.take(6).ok()?;
            let data = reader.field16().ok()?;
            let data_at = after + 10;
            at = data_at + data.len();
            Some(Record { bytes, name_at, data_at, kind, data })
        })
    }

    /// The addresses that the records give, at most 16.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        if !self.response {
            return Vec::new();
        }
        self.iter().filter_map(|record| record.address()).take(16).collect()
    }
}

impl Record<'_> {
    /// Whom it speaks of.
    #[must_use]
    pub fn name(&self) -> String {
        name_at(self.bytes, self.name_at)
    }

    /// The name in its data, for PTR and CNAME; of an SRV record the target.
    #[must_use]
    pub fn target(&self) -> Option<String> {
        match self.kind {
            5 | 12 => Some(name_at(self.bytes, self.data_at)),
            33 => Some(name_at(self.bytes, self.data_at + 6)),
            _ => None,
        }
    }

    /// The address of A and AAAA records.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.kind {
            1 => <[u8; 4]>::try_from(self.data).ok().map(IpAddr::from),
            28 => <[u8; 16]>::try_from(self.data).ok().map(IpAddr::from),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes
    }

    #[test]
    fn reads_questions_and_answers() {
        let asked = query("Cam.Example.ORG", 1);
        let message = parse(&asked).unwrap();
        assert_eq!((message.name().as_str(), message.qtype, message.response), ("cam.example.org", 1, false));

        let mut answer = asked;
        answer[2] = 0x81;
        answer[3] = 0x80;
        answer[7] = 2;
        answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 16]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        let message = parse(&answer).unwrap();
        assert!(message.response && message.recursion_available);
        assert_eq!(message.addresses(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(message.iter().next().unwrap().target().unwrap(), "example.org");
        assert_eq!(parse(&query("", 2)).unwrap().name(), "");
    }

    #[test]
    fn refuses_what_is_not_dns_and_never_loops() {
        let mut looping = query("a", 1);
        looping[12] = 0xc0;
        looping[13] = 12;
        let mut reserved = query("a.b", 1);
        reserved[3] = 0x40;
        let mut wrong_class = query("a.b", 1);
        *wrong_class.last_mut().unwrap() = 77;
        let netbios = query("CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 33);
        for bad in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[0; 12],
            &[0xff; 64],
            &looping,
            &reserved,
            &wrong_class,
            &netbios,
        ] {
            assert!(parse(bad).is_err(), "{bad:02x?}");
        }
        let whole = query("a.b.c", 1);
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]).unwrap_err(), Unread::Incomplete, "{end}");
        }
    }
}
