//! TFTP (RFC 1350): requests, and the first block of data.

use super::Unread;

/// A TFTP packet that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A request to read (else to write) a file.
    Request {
        /// Read, else write.
        read: bool,
        /// The file's name.
        file: &'a [u8],
    },
    /// The first block of a file.
    First(&'a [u8]),
}

/// Reads a packet.
///
/// # Errors
/// [`Unread::Not`] for anything that is not a request or a first block.
pub fn parse(bytes: &[u8]) -> Result<Packet<'_>, Unread> {
    match bytes {
        [0, operation @ (1 | 2), rest @ ..] => {
            let mut parts = rest.split(|&byte| byte == 0);
            let (file, mode) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let known =
                [&b"octet"[..], b"netascii", b"mail"].iter().any(|known| mode.eq_ignore_ascii_case(known));
            if !known || file.is_empty() || !file.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
                return Err(Unread::Not("a file name and a transfer mode"));
            }
            Ok(Packet::Request { read: *operation == 1, file })
        }
        [0, 3, 0, 1, data @ ..] => Ok(Packet::First(data)),
        _ => Err(Unread::Not("a TFTP request or first block")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_requests_and_first_blocks() {
        assert_eq!(
            parse(b"\x00\x01bot.arm\x00octet\x00").unwrap(),
            Packet::Request { read: true, file: b"bot.arm" }
        );
        assert_eq!(parse(b"\x00\x03\x00\x01\x7fELF").unwrap(), Packet::First(b"\x7fELF"));
        for bad in
            [&b""[..], b"\x00\x01", b"\x00\x01a\x00what\x00", b"\x00\x03\x00\x02x", b"\x00\x01\x00octet\x00"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
