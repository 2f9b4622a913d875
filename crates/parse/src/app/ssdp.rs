//! SSDP (UPnP Device Architecture 2.0): searches, announcements and answers.

use super::{Unread, http};

/// What an SSDP message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody looks for devices.
    Search,
    /// A device announces itself.
    Announcement,
    /// A device answers a search.
    Answer,
}

/// An SSDP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Kind,
    /// The device's software.
    pub server: Option<&'a [u8]>,
    /// The type of device or service searched, announced or found.
    pub target: Option<&'a [u8]>,
    /// What is announced or found, by its own name: `uuid:…`, often with the type behind it.
    pub unique_name: Option<&'a [u8]>,
}

/// Reads a message.
///
/// # Errors
/// [`Unread::Not`] unless the first line and one of the headers are those of SSDP.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Unread> {
    let not = Unread::Not("an SSDP message");
    if !matches!(bytes.first(), Some(b'M' | b'N' | b'H')) {
        return Err(not);
    }
    let mut lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let first = lines.next().unwrap_or_default();
    let kind = if first.starts_with(b"M-SEARCH * HTTP/1.") {
        Kind::Search
    } else if first.starts_with(b"NOTIFY * HTTP/1.") {
        Kind::Announcement
    } else if first.starts_with(b"HTTP/1.1 200") {
        Kind::Answer
    } else {
        return Err(not);
    };
    let mut message = Message { kind, server: None, target: None, unique_name: None };
    let mut named = kind != Kind::Answer;
    for line in lines.take(32).take_while(|line| !line.is_empty()) {
        let Some((name, value)) = http::header(line) else { continue };
        if name.eq_ignore_ascii_case(b"server") {
            message.server = Some(value);
        } else if name.eq_ignore_ascii_case(b"st") || name.eq_ignore_ascii_case(b"nt") {
            message.target = Some(value);
            named = true;
        } else if name.eq_ignore_ascii_case(b"usn") {
            message.unique_name = Some(value);
            named = true;
        }
    }
    if named { Ok(message) } else { Err(not) }
}

/// The UUID in a unique name, or in the UDN of a description; `None` unless it has the form of one and is not all zeros.
#[must_use]
pub fn uuid(name: &[u8]) -> Option<&str> {
    let name = name.trim_ascii();
    let (head, rest) = name.split_at_checked(5)?;
    let uuid = head.eq_ignore_ascii_case(b"uuid:").then_some(rest)?.first_chunk::<36>()?;
    let fits = uuid.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let is_some = uuid.iter().any(|byte| !matches!(byte, b'0' | b'-'));
    (fits && is_some).then(|| std::str::from_utf8(uuid).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_announcements() {
        let message = parse(
            b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: urn:schemas-upnp-org:device:MediaServer:1\r\nServer: Linux UPnP/1.0\r\n\r\n",
        )
        .unwrap();
        assert_eq!(message.kind, Kind::Announcement);
        assert_eq!(message.server, Some(&b"Linux UPnP/1.0"[..]));
        assert_eq!(message.target, Some(&b"urn:schemas-upnp-org:device:MediaServer:1"[..]));
        assert_eq!(message.unique_name, None);
        let name = b"uuid:2fac1234-31f8-11b4-a222-08002b34c003::upnp:rootdevice";
        assert_eq!(uuid(name), Some("2fac1234-31f8-11b4-a222-08002b34c003"));
        assert_eq!(uuid(b"uuid:00000000-0000-0000-0000-000000000000"), None);
        assert_eq!(uuid(b"uuid:2fac1234"), None);
        assert_eq!(parse(b"M-SEARCH * HTTP/1.1\r\n\r\n").unwrap().kind, Kind::Search);
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n").is_err());
        assert!(parse(b"\xff\n\n").is_err());
    }
}
