//! CoAP over UDP (RFC 7252).

use super::{Unread, reader::Reader};

/// A CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `class.detail`: 0.01 is GET, 2.05 is content.
    pub class: u8,
    /// See `class`.
    pub detail: u8,
    /// The first part of the path asked for.
    pub path: &'a [u8],
    /// How many options it has.
    pub options: u8,
}

impl Message<'_> {
    /// A request's method, where it is one.
    #[must_use]
    pub const fn method(&self) -> Option<&'static str> {
        match (self.class, self.detail) {
            (0, 1) => Some("GET"),
            (0, 2) => Some("POST"),
            (0, 3) => Some("PUT"),
            (0, 4) => Some("DELETE"),
            (0, 5) => Some("FETCH"),
            (0, 6) => Some("PATCH"),
            (0, 7) => Some("iPATCH"),
            _ => None,
        }
    }
}

/// Reads a message to its last option.
///
/// # Errors
/// [`Unread::Not`] unless version, code and every option are those of CoAP.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Unread> {
    let not = Unread::Not("a CoAP message");
    let mut reader = Reader(bytes);
    let (head, code) = (reader.u8()?, reader.u8()?);
    let (version, kind, token) = (head >> 6, head >> 4 & 3, head & 0xf);
    let (class, detail) = (code >> 5, code & 0x1f);
    let known = matches!((class, detail), (0, 1..=7) | (2, 1..=5 | 31) | (4, 0..=15 | 22 | 29) | (5, 0..=8));
    // Requests are confirmable or not; only answers acknowledge.
    if version != 1 || token > 8 || !known || kind == 3 || (class == 0 && kind == 2) {
        return Err(not);
    }
    reader.take(2 + usize::from(token))?;
    let mut message = Message { class, detail, path: &[], options: 0 };
    let mut number = 0_u32;
    while let Ok(head) = reader.u8() {
        if head == 0xff {
            return if reader.0.is_empty() { Err(not) } else { Ok(message) };
        }
        let delta = extended(&mut reader, head >> 4)?;
        let length = extended(&mut reader, head & 0xf)?;
        let value = reader.take(length as usize)?;
        number += delta;
        let fits = matches!(
            (number, value.len()),
            (1 | 4, 0..=8)
                | (3 | 8 | 11 | 15 | 20 | 39, 0..=255)
                | (5, 0)
                | (6 | 12 | 17 | 23 | 27, 0..=3)
                | (7, 0..=2)
                | (14 | 28 | 60, 0..=4)
                | (9 | 258, 0..=255)
                | (16, 0..=1)
                | (35, 1..=1034)
                | (252, 1..=40)
                | (292, 0..=8)
        );
        if !fits || (matches!(number, 3 | 8 | 11 | 15 | 20) && std::str::from_utf8(value).is_err()) {
            return Err(not);
        }
        if number == 11 && message.path.is_empty() {
            message.path = value;
        }
        message.options = message.options.saturating_add(1);
    }
    Ok(message)
}

fn extended(reader: &mut Reader<'_>, nibble: u8) -> Result<u32, Unread> {
    match nibble {
        0..=12 => Ok(u32::from(nibble)),
        13 => Ok(u32::from(reader.u8()?) + 13),
        14 => Ok(u32::from(reader.u16()?) + 269),
        _ => Err(Unread::Not("an option length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_discovery() {
        let message = parse(b"\x40\x01\x12\x34\xbb.well-known\x04core").unwrap();
        assert_eq!((message.method(), message.path), (Some("GET"), &b".well-known"[..]));
        let answer = parse(b"\x60\x45\x12\x34\xc1\x28\xff</sensors>").unwrap();
        assert_eq!((answer.method(), answer.class, answer.detail), (None, 2, 5));
        for bad in [
            &b""[..],
            b"\x80\x60",
            b"\x40\x01\x12",
            b"\x40\x01\x12\x34\xff",
            b"\x60\x01\x12\x34",
            b"\x49\x01\x12\x34",
        ] {
            assert!(parse(bad).is_err(), "{bad:02x?}");
        }
    }
}
