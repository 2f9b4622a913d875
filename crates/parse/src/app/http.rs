//! The lines of HTTP 1.x and of its relatives RTSP, SIP and SSDP; credentials and forms inside them.
//!
//! Guarantees: decoders write into what the caller gives and never beyond; nothing is kept.

use super::Unread;

/// Whose lines they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// HTTP/1.0 or 1.1 (and what calls itself so).
    Http,
    /// RTSP.
    Rtsp,
    /// SIP.
    Sip,
}

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// A request.
    Request {
        /// By its version; HTTP where there is none (HTTP/0.9).
        family: Family,
        /// Such as `GET`.
        method: &'a str,
        /// The target as sent.
        target: &'a [u8],
    },
    /// An answer.
    Response {
        /// By its version.
        family: Family,
        /// 100 to 999.
        status: u16,
    },
}

const METHODS: [&str; 34] = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "OPTIONS",
    "DELETE",
    "CONNECT",
    "PATCH",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "NOTIFY",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "M-SEARCH",
    "DESCRIBE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "TEARDOWN",
    "ANNOUNCE",
    "RECORD",
    "GET_PARAMETER",
    "SET_PARAMETER",
    "REGISTER",
    "INVITE",
    "ACK",
    "BYE",
];

fn family(version: &[u8]) -> Option<Family> {
    if version.starts_with(b"HTTP/") {
        Some(Family::Http)
    } else if version.starts_with(b"RTSP/") {
        Some(Family::Rtsp)
    } else if version.starts_with(b"SIP/") {
        Some(Family::Sip)
    } else {
        None
    }
}

/// Whether the beginning of a direction is a message of the family; true for a request, false for an answer.
///
/// # Errors
/// [`Unread::Incomplete`] while it fits but is too short to tell.
pub fn recognise(bytes: &[u8]) -> Result<(Family, bool), Unread> {
    let not = Err(Unread::Not("a request or status line"));
    if !bytes.first().is_none_or(u8::is_ascii_uppercase) {
        return not;
    }
    for (version, family) in
        [(&b"HTTP/1."[..], Family::Http), (b"RTSP/1.", Family::Rtsp), (b"SIP/2.0 ", Family::Sip)]
    {
        let known = bytes.len().min(version.len());
        if bytes.get(..known) == version.get(..known) {
            return if known < version.len() { Err(Unread::Incomplete) } else { Ok((family, false)) };
        }
    }
    let begun = METHODS.iter().any(|method| {
        let known = bytes.len().min(method.len());
        bytes.get(..known) == method.as_bytes().get(..known)
            && bytes.get(known).is_none_or(|&next| next == b' ')
    });
    if !begun {
        return not;
    }
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) => match start_line(bytes.get(..end).unwrap_or_default())? {
            StartLine::Request { family, .. } => Ok((family, true)),
            StartLine::Response { .. } => not,
        },
        // Nobody else has such lines of this length.
        None if bytes.len() >= 200 => Ok((Family::Http, true)),
        None => Err(Unread::Incomplete),
    }
}

/// Reads a first line (without its end).
///
/// # Errors
/// [`Unread::Not`] unless it is a request line with a method that is known or a version, or a status line.
pub fn start_line(line: &[u8]) -> Result<StartLine<'_>, Unread> {
    let not = Unread::Not("a request or status line");
    let line = line.trim_ascii_end();
    let first = line.iter().position(|&byte| byte == b' ').ok_or(not)?;
    let (head, rest) = line.split_at_checked(first).ok_or(not)?;
    let rest = rest.trim_ascii_start();
    if let Some(family) = family(head) {
        return match rest {
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
                let digit = |byte: &u8| u16::from(byte - b'0');
                Ok(StartLine::Response { family, status: digit(a) * 100 + digit(b) * 10 + digit(c) })
            }
            _ => Err(not),
        };
    }
    let method = std::str::from_utf8(head).map_err(|_| not)?;
    let known = METHODS.contains(&method);
    let (target, version) = match rest.iter().rposition(|&byte| byte == b' ') {
        Some(space) => {
            let (target, version) = rest.split_at_checked(space).ok_or(not)?;
            (target.trim_ascii_end(), family(version.trim_ascii_start()))
        }
        None => (rest, None),
    };
    match version {
        Some(family) if is_token(head) => Ok(StartLine::Request { family, method, target }),
        None if known && rest.first() == Some(&b'/') => {
            Ok(StartLine::Request { family: Family::Http, method, target: rest })
        }
        _ => Err(not),
    }
}

fn is_token(bytes: &[u8]) -> bool {
    (1..=24).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A header's name and value; `None` where the line is none.
#[must_use]
pub fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

/// The target without query and fragment.
#[must_use]
pub fn path(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    target.get(..end).unwrap_or(target)
}

/// The query of a target, empty without one.
#[must_use]
pub fn query(target: &[u8]) -> &[u8] {
    target.iter().position(|&byte| byte == b'?').and_then(|at| target.get(at + 1..)).unwrap_or_default()
}

/// Name and value pairs of a form or query, still encoded.
pub fn pairs(form: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    form.split(|&byte| byte == b'&').map(|pair| {
        let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        (pair.get(..end).unwrap_or_default(), pair.get(end + 1..).unwrap_or_default())
    })
}

/// Decodes `%41` (and `+` where it is a form) into `out`, as far as there is room; gives the length.
pub fn percent_decode(encoded: &[u8], form: bool, out: &mut [u8]) -> usize {
    let digit =
        |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16)).map(|digit| digit as u8);
    let (mut at, mut length) = (0, 0);
    for slot in out.iter_mut() {
        let Some(&byte) = encoded.get(at) else { break };
        at += 1;
        *slot = match (byte, digit(encoded.get(at)), digit(encoded.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                high << 4 | low
            }
            (b'+', ..) if form => b' ',
            _ => byte,
        };
        length += 1;
    }
    length
}

/// Decodes base64 (RFC 4648, padding optional) into `out`; gives the length, `None` where it is none or too long.
pub fn base64_decode(encoded: &[u8], out: &mut [u8]) -> Option<usize> {
    let (mut bits, mut held, mut length) = (0_u32, 0_u8, 0);
    for &byte in encoded.trim_ascii_end().iter().take_while(|&&byte| byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            *out.get_mut(length)? = (bits >> held) as u8;
            length += 1;
        }
    }
    Some(length)
}

/// Length and further extensions of a chunk's line in hexadecimal.
///
/// # Errors
/// [`Unread::Not`] where it is no length.
pub fn chunk_length(line: &[u8]) -> Result<u64, Unread> {
    let not = Unread::Not("the length of a chunk");
    let line = line.trim_ascii();
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let digits = line.get(..end).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(not)?;
    u64::from_str_radix(digits, 16).map_err(|_| not)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_requests_from_answers() {
        let request = |family, method, target| Ok(StartLine::Request { family, method, target });
        for (line, expected) in [
            (&b"GET /index.html HTTP/1.1\r"[..], request(Family::Http, "GET", &b"/index.html"[..])),
            (b"DESCRIBE rtsp://cam/1 RTSP/1.0", request(Family::Rtsp, "DESCRIBE", b"rtsp://cam/1")),
            (b"REGISTER sip:pbx SIP/2.0", request(Family::Sip, "REGISTER", b"sip:pbx")),
            (b"GET /a b;wget x HTTP/1.0", request(Family::Http, "GET", b"/a b;wget x")),
            (b"GET /old", request(Family::Http, "GET", b"/old")),
            (b"HTTP/1.1 401 Unauthorized", Ok(StartLine::Response { family: Family::Http, status: 401 })),
            (b"RTSP/1.0 200 OK", Ok(StartLine::Response { family: Family::Rtsp, status: 200 })),
        ] {
            assert_eq!(start_line(line), expected);
        }
        for bad in [
            &b""[..],
            b"HELO example.org",
            b"GET",
            b"HTTP/1.1 abc",
            b"BYE friends",
            b"\xff\xfb\x01 x HTTP/1.1",
        ] {
            assert!(start_line(bad).is_err(), "{bad:?}");
        }
        assert_eq!(recognise(b"GET / HTTP/1.1\r\n"), Ok((Family::Http, true)));
        assert_eq!(recognise(b"HTTP/1.1 200"), Ok((Family::Http, false)));
        assert_eq!(recognise(b"GE"), Err(Unread::Incomplete));
        assert_eq!(recognise(b"GET /"), Err(Unread::Incomplete));
        assert!(matches!(recognise(b"GETX"), Err(Unread::Not(_))));
        assert!(matches!(recognise(b"NICK bot\r\n"), Err(Unread::Not(_))));
    }

    #[test]
    fn decodes_within_bounds() {
        let percent = |text: &[u8], form| {
            let mut out = [0; 16];
            let length = percent_decode(text, form, &mut out);
            out[..length].to_vec()
        };
        assert_eq!(percent(b"%3Bwget+x%2", false), b";wget+x%2");
        assert_eq!(percent(b"a+b%20c", true), b"a b c");
        assert_eq!(percent(&[b'x'; 40], true).len(), 16);
        let base64 = |text: &[u8]| {
            let mut out = [0; 16];
            base64_decode(text, &mut out).map(|length| out[..length].to_vec())
        };
        assert_eq!(base64(b"cm9vdDp2aXp4dg==").unwrap(), b"root:vizxv");
        assert_eq!(base64(b"YQ").unwrap(), b"a");
        assert_eq!(base64(b"!!"), None);
        assert_eq!(base64(&[b'A'; 100]), None);
        assert_eq!(chunk_length(b"1aF;x=y\r"), Ok(0x1af));
        assert!(chunk_length(b"xyz").is_err() && chunk_length(b"").is_err());
        let form: Vec<_> = pairs(b"user=a&pwd=b&flag").collect();
        assert_eq!(form, [(&b"user"[..], &b"a"[..]), (b"pwd", b"b"), (b"flag", b"")]);
        assert_eq!((path(b"/a?b=c"), query(b"/a?b=c"), query(b"/a")), (&b"/a"[..], &b"b=c"[..], &b""[..]));
    }
}
