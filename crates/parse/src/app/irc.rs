//! IRC (RFC 2812): one message a line.

use super::Unread;

/// A message: who says it (where named), what, and with which parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The prefix, without its colon.
    pub source: Option<&'a [u8]>,
    /// A word such as `PRIVMSG`, or a number of three digits.
    pub command: &'a [u8],
    /// The rest.
    pub parameters: &'a [u8],
}

const WORDS: [&[u8]; 16] = [
    b"NICK", b"USER", b"PASS", b"JOIN", b"PING", b"PONG", b"PRIVMSG", b"NOTICE", b"MODE", b"QUIT", b"CAP",
    b"PART", b"TOPIC", b"KICK", b"WHO", b"ERROR",
];

/// Reads a line (without its end).
///
/// # Errors
/// [`Unread::Not`] unless its command is one of IRC.
pub fn parse(line: &[u8]) -> Result<Line<'_>, Unread> {
    let line = line.trim_ascii_end();
    let (source, rest) = match line.strip_prefix(b":") {
        Some(rest) => {
            let (source, rest) = word(rest);
            (Some(source), rest)
        }
        None => (None, line),
    };
    let (command, parameters) = word(rest);
    let numeric = command.len() == 3 && command.iter().all(u8::is_ascii_digit) && source.is_some();
    if numeric || WORDS.contains(&command) {
        Ok(Line { source, command, parameters })
    } else {
        Err(Unread::Not("a command of IRC"))
    }
}

fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    let (word, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    (word, rest.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_messages() {
        let line = parse(b":irc.example.org 001 bot :Welcome\r").unwrap();
        assert_eq!((line.command, line.source), (&b"001"[..], Some(&b"irc.example.org"[..])));
        assert_eq!(parse(b"JOIN #bots key").unwrap().parameters, b"#bots key");
        for bad in [&b""[..], b"HELO example.org", b"001 x", b":", b"220 ready"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
