//! MQTT 3.1, 3.1.1 and 5: how a connection is opened.

use super::{Unread, reader::Reader};

/// What a client says when it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// 3, 4 (3.1.1) or 5.
    pub level: u8,
    /// Its name for itself.
    pub client: &'a [u8],
    /// The user, where given.
    pub user: Option<&'a [u8]>,
    /// The password, where given.
    pub password: Option<&'a [u8]>,
}

/// Whether the beginning of a direction is a CONNECT: the fixed header and the protocol's name.
///
/// # Errors
/// [`Unread::Incomplete`] while it fits but is too short to tell.
pub fn recognise(bytes: &[u8]) -> Result<(), Unread> {
    let mut reader = Reader(bytes);
    if reader.u8()? != 0x10 {
        return Err(Unread::Not("a CONNECT packet"));
    }
    let length = variable(&mut reader)?;
    let name_length = reader.u16()?;
    let name: &[u8] = match name_length {
        4 => b"MQTT",
        6 => b"MQIsdp",
        _ => return Err(Unread::Not("the protocol name MQTT")),
    };
    let known = reader.0.len().min(name.len());
    if length < 10 || reader.0.get(..known) != name.get(..known) {
        return Err(Unread::Not("the protocol name MQTT"));
    }
    if known < name.len() { Err(Unread::Incomplete) } else { Ok(()) }
}

/// Reads a CONNECT packet.
///
/// # Errors
/// [`Unread::Incomplete`] until all of it is there.
pub fn connect(bytes: &[u8]) -> Result<Connect<'_>, Unread> {
    recognise(bytes)?;
    let not = Unread::Not("a well-formed CONNECT packet");
    let mut whole = Reader(bytes);
    whole.u8()?;
    let length = variable(&mut whole)?;
    let inside = |_: Unread| not;
    let mut reader = Reader(whole.take(length)?);
    reader.field16().map_err(inside)?;
    let level = reader.u8().map_err(inside)?;
    let flags = reader.u8().map_err(inside)?;
    reader.u16().map_err(inside)?;
    if level >= 5 {
        let properties = variable(&mut reader).map_err(inside)?;
        reader.take(properties).map_err(inside)?;
    }
    let client = reader.field16().map_err(inside)?;
    if flags & 0x04 != 0 {
        if level >= 5 {
            let properties = variable(&mut reader).map_err(inside)?;
            reader.take(properties).map_err(inside)?;
        }
        reader.field16().map_err(inside)?;
        reader.field16().map_err(inside)?;
    }
    let mut optional = |bit: u8| -> Result<Option<&[u8]>, Unread> {
        if flags & bit == 0 { Ok(None) } else { reader.field16().map(Some).map_err(inside) }
    };
    let user = optional(0x80)?;
    let password = optional(0x40)?;
    Ok(Connect { level, client, user, password })
}

/// Reads a CONNACK packet: its return or reason code, 0 for accepted.
///
/// # Errors
/// [`Unread`] for anything else.
pub fn connack(bytes: &[u8]) -> Result<u8, Unread> {
    let mut reader = Reader(bytes);
    if reader.u8()? != 0x20 {
        return Err(Unread::Not("a CONNACK packet"));
    }
    if variable(&mut reader)? < 2 || reader.u8()? > 1 {
        return Err(Unread::Not("a CONNACK packet"));
    }
    reader.u8()
}

/// True where a CONNACK code speaks of the user or the password: 3.1.1 has 4 and 5, 5 has 0x86, 0x87 and others.
#[must_use]
pub const fn refuses_credentials(code: u8) -> bool {
    matches!(code, 4 | 5 | 0x86 | 0x87 | 0x8a | 0x8c)
}

fn variable(reader: &mut Reader<'_>) -> Result<usize, Unread> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = reader.u8()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Unread::Not("a length of at most four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_who_connects_and_the_answer() {
        let v4 = b"\x10\x1d\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03cam\x00\x05admin\x00\x05admin";
        let read = connect(v4).unwrap();
        assert_eq!((read.level, read.user, read.password), (4, Some(&b"admin"[..]), Some(&b"admin"[..])));
        for end in 0..v4.len() {
            assert_eq!(connect(&v4[..end]).unwrap_err(), Unread::Incomplete, "{end}");
        }
        let v5 = b"\x10\x13\x00\x04MQTT\x05\x80\x00\x3c\x00\x00\x00\x00\x04root";
        assert_eq!(connect(v5).unwrap().user, Some(&b"root"[..]));
        assert!(matches!(connect(b"\x10\x0c\x00\x04MQTX\x05\x80\x00\x3c\x00\x00"), Err(Unread::Not(_))));
        assert!(matches!(connect(b"\x10\x0c\x00\x04MQTT\x04\xc0\x00\x3c\x00\x00"), Err(Unread::Not(_))));
        assert_eq!(connack(b"\x20\x02\x00\x05"), Ok(5));
        assert_eq!(connack(b"\x20\x03\x00\x86\x00"), Ok(0x86));
        assert!(connack(b"\x20\x01\x00").is_err() && connack(b"\x30\x02\x00\x00").is_err());
    }
}
