//! TLS: the ClientHello (RFC 8446, RFC 6066 for the name of the server).

use super::{Unread, reader::Reader};

/// What a client says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The server's name, where asked for.
    pub server_name: Option<&'a str>,
}

/// Whether the beginning of a direction is a TLS record with a hello; true for the client's, false for the server's.
///
/// # Errors
/// [`Unread::Incomplete`] while it fits but is too short to tell.
pub fn recognise(bytes: &[u8]) -> Result<bool, Unread> {
    let not = Unread::Not("a TLS record with a hello");
    let (record, head) = bytes.split_at_checked(5).unwrap_or((bytes, &[]));
    let fits = match record {
        [] | [0x16] | [0x16, 3] => true,
        [0x16, 3, 0..=4] | [0x16, 3, 0..=4, _] => true,
        [0x16, 3, 0..=4, high, low] => (4..=0x4100).contains(&(u16::from(*high) << 8 | u16::from(*low))),
        _ => false,
    };
    if !fits {
        return Err(not);
    }
    match head {
        [] => Err(Unread::Incomplete),
        [1, 0, ..] | [1] => Ok(true),
        [2, 0, ..] | [2] => Ok(false),
        _ => Err(not),
    }
}

/// Reads a ClientHello as far as the server's name.
///
/// # Errors
/// [`Unread::Incomplete`] until the name, or the end of the extensions, is there.
pub fn client_hello(bytes: &[u8]) -> Result<ClientHello<'_>, Unread> {
    if !recognise(bytes)? {
        return Err(Unread::Not("a ClientHello"));
    }
    let mut reader = Reader(bytes);
    reader.take(3)?;
    let record = usize::from(reader.u16()?);
    // The hello ends with its record; what is missing of the record may still come.
    let whole = reader.0.len() >= record;
    let mut hello = Reader(reader.0.get(..record).unwrap_or(reader.0));
    match read_name(&mut hello) {
        Err(Unread::Incomplete) if whole => Ok(ClientHello { server_name: None }),
        read => read.map(|server_name| ClientHello { server_name }),
    }
}

fn read_name<'a>(hello: &mut Reader<'a>) -> Result<Option<&'a str>, Unread> {
    hello.u8()?;
    let length = hello.u24()?;
    if length > 0x4000 {
        return Err(Unread::Not("a hello of at most 16 KiB"));
    }
    hello.take(2 + 32)?;
    hello.field8()?;
    hello.field16()?;
    hello.field8()?;
    let mut left = usize::from(hello.u16()?);
    while left >= 4 {
        let kind = hello.u16()?;
        let data = hello.field16()?;
        left = left.saturating_sub(4 + data.len());
        if kind == 0 {
            let mut list = Reader(data);
            let name = list.u16().and_then(|_| list.u8()).and_then(|_| list.field16());
            return Ok(name
                .ok()
                .and_then(|name| std::str::from_utf8(name).ok())
                .filter(|name| !name.is_empty()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(name: Option<&str>) -> Vec<u8> {
        let mut extensions = vec![0, 43, 0, 3, 2, 3, 4];
        if let Some(name) = name {
            let length = name.len() as u16;
            extensions.extend([0, 0]);
            extensions.extend((length + 5).to_be_bytes());
            extensions.extend((length + 3).to_be_bytes());
            extensions.push(0);
            extensions.extend(length.to_be_bytes());
            extensions.extend(name.as_bytes());
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut bytes = vec![0x16, 3, 1];
        bytes.extend((body.len() as u16 + 4).to_be_bytes());
        bytes.extend([1, 0, 0, body.len() as u8]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn reads_the_server_name() {
        let named = hello(Some("cloud.example.org"));
        assert_eq!(client_hello(&named).unwrap().server_name, Some("cloud.example.org"));
        for end in 0..named.len() {
            assert_eq!(client_hello(&named[..end]).unwrap_err(), Unread::Incomplete, "{end}");
        }
        assert_eq!(client_hello(&hello(None)).unwrap().server_name, None);
        assert!(matches!(recognise(b"\x16\x03\x09"), Err(Unread::Not(_))));
        assert!(matches!(recognise(b"GET / HTTP/1.1"), Err(Unread::Not(_))));
        assert_eq!(recognise(b"\x16\x03\x03\x00\x7a\x02\x00"), Ok(false));
    }
}
