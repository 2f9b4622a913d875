//! FTP control connections (RFC 959): replies and commands, a line each.

use super::Unread;

/// A reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// 100 to 599.
    pub code: u16,
    /// More lines of the same reply follow.
    pub more: bool,
    /// The text.
    pub text: &'a [u8],
}

/// Reads a reply's line (without its end).
///
/// # Errors
/// [`Unread::Not`] unless it begins with a code.
pub fn reply(line: &[u8]) -> Result<Reply<'_>, Unread> {
    let not = Err(Unread::Not("a reply code of three digits"));
    let (code, separator, text) = match line {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            let digit = |byte: &u8| u16::from(byte - b'0');
            let (separator, text) = rest.split_first().map_or((b' ', rest), |(first, text)| (*first, text));
            (digit(a) * 100 + digit(b) * 10 + digit(c), separator, text)
        }
        _ => return not,
    };
    if !matches!(separator, b' ' | b'-') { not } else { Ok(Reply { code, more: separator == b'-', text }) }
}

/// Reads a command's line: its verb (three or four letters) and what follows it.
///
/// # Errors
/// [`Unread::Not`] for anything else.
pub fn command(line: &[u8]) -> Result<(&[u8], &[u8]), Unread> {
    let line = line.trim_ascii_end();
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (verb, rest) = line.split_at_checked(end).unwrap_or((line, &[]));
    if !(3..=4).contains(&verb.len()) || !verb.iter().all(u8::is_ascii_alphabetic) {
        return Err(Unread::Not("a verb of three or four letters"));
    }
    Ok((verb, rest.strip_prefix(b" ").unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_replies_and_commands() {
        assert_eq!(reply(b"530 Login incorrect.").unwrap().code, 530);
        assert!(reply(b"220-Welcome").unwrap().more);
        assert_eq!(reply(b"220").unwrap(), Reply { code: 220, more: false, text: b"" });
        assert!(reply(b"22x hello").is_err() && reply(b"2200 hello").is_err() && reply(b"").is_err());
        assert_eq!(command(b"USER root\r").unwrap(), (&b"USER"[..], &b"root"[..]));
        assert_eq!(command(b"PASS ").unwrap(), (&b"PASS"[..], &b""[..]));
        assert!(command(b"\x00\x01").is_err() && command(b"TOOLONG x").is_err());
    }
}
