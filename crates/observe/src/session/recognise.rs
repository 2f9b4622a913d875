//! Which protocol a TCP stream speaks, by the first bytes of its directions.
//!
//! Guarantees: ports are not asked. What is recognised in one piece is recognised in any split of it.

use super::code;
use super::telnet::{Prompt, prompt};
use parse::app::{Unread, dns, ftp, http, irc, mqtt, ssh, telnet, tls};

/// What a talk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Talk {
    Dns,
    Ftp,
    Irc,
    Mail,
    Mqtt,
    /// A program or script sent bare.
    Program,
    Smb,
    Ssh,
    Telnet,
    Tls,
    /// TLS records in the middle of a connection.
    TlsLater,
    Web(http::Family),
}

/// What the bytes of one direction, and possibly those of the other, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// This; true where the speaker is the client, false where it is the server, `None` where that does not show.
    Known(Talk, Option<bool>),
    /// More is needed.
    Open,
    /// None of those known.
    Nothing,
}

/// What the beginning of one direction shows by itself, given what the other direction has said so far.
pub(super) fn guess(start: &[u8], other: &[u8]) -> Guess {
    if start.is_empty() {
        return Guess::Open;
    }
    let mut open = false;
    let mut keep = |read: Unread| {
        open |= read == Unread::Incomplete;
    };
    match tls::recognise(start) {
        Ok(client) => return Guess::Known(Talk::Tls, Some(client)),
        Err(read) => keep(read),
    }
    if let [0x14 | 0x15 | 0x17, 3, 0..=4, high, _, ..] = start
        && *high <= 0x41
    {
        return Guess::Known(Talk::TlsLater, None);
    }
    match http::recognise(start) {
        Ok((family, client)) => return Guess::Known(Talk::Web(family), Some(client)),
        Err(read) => keep(read),
    }
    match ssh::greeting(start) {
        Ok(_) => return Guess::Known(Talk::Ssh, None),
        Err(_) if start.starts_with(b"SSH-") => return Guess::Known(Talk::Ssh, None),
        Err(read) => keep(read),
    }
    match mqtt::recognise(start) {
        Ok(()) => return Guess::Known(Talk::Mqtt, Some(true)),
        Err(read) => keep(read),
    }
    match telnet::recognise(start) {
        Some(true) => return Guess::Known(Talk::Telnet, None),
        Some(false) => {}
        None => keep(Unread::Incomplete),
    }
    match code::program(start, false) {
        Some(Some(_)) => return Guess::Known(Talk::Program, None),
        Some(None) => {}
        None => keep(Unread::Incomplete),
    }
    match binary(start) {
        Ok((talk, client)) => return Guess::Known(talk, client),
        Err(read) => keep(read),
    }
    match text(start, other) {
        Guess::Nothing => {}
        // Whoever has begun to talk in words may yet come to a prompt.
        Guess::Open => return Guess::Open,
        known => return known,
    }
    if open { Guess::Open } else { Guess::Nothing }
}

/// SMB and DNS over TCP: both begin with a length.
fn binary(start: &[u8]) -> Result<(Talk, Option<bool>), Unread> {
    let nothing = Err(Unread::Not("a length"));
    if let [0, _, _, _, 0xff | 0xfe, b'S', b'M', b'B', ..] = start {
        return Ok((Talk::Smb, None));
    }
    let smb_so_far = start.iter().enumerate().take(8).all(|(at, &byte)| match at {
        0 => byte == 0,
        4 => matches!(byte, 0xff | 0xfe),
        5.. => b"SMB".get(at - 5) == Some(&byte),
        _ => true,
    });
    if smb_so_far {
        return Err(Unread::Incomplete);
    }
    match start {
        [high, low, message @ ..] => {
            let length = usize::from(*high) << 8 | usize::from(*low);
            // Header and the question for the root.
            if length < 17 {
                return nothing;
            }
            match dns::parse(message.get(..length).unwrap_or(message)) {
                Ok(message) => Ok((Talk::Dns, Some(!message.response))),
                Err(Unread::Incomplete) if message.len() < length && plausible(message) => {
                    Err(Unread::Incomplete)
                }
                Err(_) => nothing,
            }
        }
        [_] => Err(Unread::Incomplete),
        _ => nothing,
    }
}

/// The beginning of a DNS header: opcode, and one question.
const fn plausible(message: &[u8]) -> bool {
    match message {
        [_, _, flags, low, 0, 1, ..] => *flags & 0x78 == 0 && *low & 0x40 == 0,
        [_, _, flags, ..] => *flags & 0x78 == 0 && message.len() < 6,
        _ => true,
    }
}

/// Talk in lines: FTP, mail, IRC, and logins.
fn text(start: &[u8], other: &[u8]) -> Guess {
    let printable =
        start.iter().all(|&byte| byte >= b' ' || matches!(byte, b'\t' | b'\r' | b'\n' | 0x1b | 7 | 8));
    if !printable {
        return Guess::Nothing;
    }
    if matches!(start.first(), Some(b'{' | b'[' | b'<')) && start.len() >= 48 {
        // Messages of programs to programs, in which nobody is asked for a name.
        return Guess::Nothing;
    }
    let line_end = memchr::memchr(b'\n', start);
    let line = start.get(..line_end.unwrap_or(start.len())).unwrap_or_default().trim_ascii_end();
    if let Ok(reply) = ftp::reply(line) {
        let Some(_) = line_end else { return Guess::Open };
        return served(reply.text, other);
    }
    if line_end.is_some() {
        if matches!(line.get(..4), Some(b"EHLO" | b"HELO"))
            || line.starts_with(b"+OK")
            || line.starts_with(b"* OK")
        {
            return Guess::Known(Talk::Mail, None);
        }
        if let Some(known) = chat(line, start, other) {
            return known;
        }
    }
    if line_end.is_some()
        && start.split(|&byte| byte == b'\n').any(|line| code::loader_command(line).is_some())
    {
        return Guess::Nothing;
    }
    match prompt(start) {
        Some(Prompt::Login | Prompt::Password) => Guess::Known(Talk::Telnet, Some(false)),
        _ => Guess::Open,
    }
}

/// A greeting with a code: FTP unless it is mail; the client's first word may have to tell.
fn served(greeting: &[u8], other: &[u8]) -> Guess {
    let greeting = greeting.to_ascii_lowercase();
    let client = other.get(..4).unwrap_or_default().to_ascii_uppercase();
    if code::contains(&greeting, b"smtp") || matches!(client.as_slice(), b"EHLO" | b"HELO") {
        Guess::Known(Talk::Mail, Some(false))
    } else if code::contains(&greeting, b"ftp")
        || matches!(client.as_slice(), b"USER" | b"AUTH" | b"FEAT" | b"SYST" | b"OPTS")
    {
        Guess::Known(Talk::Ftp, Some(false))
    } else {
        Guess::Open
    }
}

/// The first lines of an IRC client or server, or an FTP client that nobody was seen to greet.
fn chat(line: &[u8], start: &[u8], other: &[u8]) -> Option<Guess> {
    let read = irc::parse(line).ok()?;
    let words = read.parameters.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).count();
    let greeted = other.first().is_some_and(u8::is_ascii_digit);
    match (read.source, read.command) {
        (None, b"NICK" | b"JOIN" | b"CAP") if words > 0 && !greeted => {
            Some(Guess::Known(Talk::Irc, Some(true)))
        }
        (None, b"USER") if words >= 3 && !greeted => Some(Guess::Known(Talk::Irc, Some(true))),
        (None, b"USER") if words == 1 && (other.is_empty() || greeted) => {
            Some(Guess::Known(Talk::Ftp, Some(true)))
        }
        (None, b"PASS") if !greeted => {
            let mut lines = start.split(|&byte| byte == b'\n').skip(1);
            let second = lines.next().unwrap_or_default();
            let known = second.starts_with(b"NICK ") || second.starts_with(b"USER ");
            Some(if known { Guess::Known(Talk::Irc, Some(true)) } else { Guess::Open })
        }
        (None, b"NOTICE" | b"PING" | b"ERROR") | (Some(_), _) if words > 0 => {
            Some(Guess::Known(Talk::Irc, Some(false)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Family;

    #[test]
    fn services_are_known_by_what_is_said() {
        let check = |start: &[u8], expected: Guess| assert_eq!(guess(start, b""), expected, "{start:?}");
        check(b"GET / HTTP/1.1\r\n", Guess::Known(Talk::Web(Family::Http), Some(true)));
        check(b"RTSP/1.0 200 OK\r\n", Guess::Known(Talk::Web(Family::Rtsp), Some(false)));
        check(b"SSH-2.0-Go\r\n", Guess::Known(Talk::Ssh, None));
        check(b"SSH-2.0", Guess::Known(Talk::Ssh, None));
        check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Guess::Known(Talk::Tls, Some(true)));
        check(b"\x17\x03\x03\x00\x20abc", Guess::Known(Talk::TlsLater, None));
        check(b"\xff\xfd\x18", Guess::Known(Talk::Telnet, None));
        check(b"camera login: ", Guess::Known(Talk::Telnet, Some(false)));
        check(b"\r\nPassword:", Guess::Known(Talk::Telnet, Some(false)));
        check(b"\x10\x0c\x00\x04MQTT\x04", Guess::Known(Talk::Mqtt, Some(true)));
        check(b"220 (vsFTPd 3.0.3)\r\n", Guess::Known(Talk::Ftp, Some(false)));
        check(b"220 mail ESMTP\r\n", Guess::Known(Talk::Mail, Some(false)));
        check(b"NICK bot\r\n", Guess::Known(Talk::Irc, Some(true)));
        check(b":irc.x 001 bot :hi\r\n", Guess::Known(Talk::Irc, Some(false)));
        check(b"PING :x\r\n", Guess::Known(Talk::Irc, Some(false)));
        check(b"USER anonymous\r\n", Guess::Known(Talk::Ftp, Some(true)));
        check(b"\0\0\0\x54\xfeSMB@", Guess::Known(Talk::Smb, None));
        check(
            b"\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01",
            Guess::Known(Talk::Dns, Some(true)),
        );
        check(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0", Guess::Known(Talk::Program, None));
        // Keep-alives of bots, and what is nothing in particular.
        check(b"\0\0", Guess::Open);
        check(b"\0\0\0\x01", Guess::Open);
        check(b"\0\0\0\x01\x03x86", Guess::Nothing);
        check(b"\x33\x66\x99", Guess::Open);
        check(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a", Guess::Nothing);
        check(b"hello", Guess::Open);
        check(b"", Guess::Open);
    }
}
