//! SSH (RFC 4253): the greeting and the frames of the key exchange that are sent in clear.

use super::Unread;

/// The greeting's software and comment, such as `OpenSSH_9.6p1 Ubuntu-3ubuntu13.11`, and how long the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// What follows the protocol's version.
    pub software: &'a [u8],
    /// Bytes of the line with its end.
    pub length: usize,
}

/// Reads the greeting.
///
/// # Errors
/// [`Unread::Not`] unless it begins with `SSH-`; [`Unread::Incomplete`] until the line ends (255 bytes at most).
pub fn greeting(bytes: &[u8]) -> Result<Greeting<'_>, Unread> {
    const START: &[u8] = b"SSH-";
    let not = Unread::Not("a greeting such as SSH-2.0-software");
    let known = bytes.len().min(START.len());
    if bytes.get(..known) != START.get(..known) {
        return Err(not);
    }
    let Some(end) = bytes.iter().take(256).position(|&byte| byte == b'\n') else {
        return Err(if bytes.len() < 256 { Unread::Incomplete } else { not });
    };
    let line = bytes.get(START.len()..end).ok_or(not)?.trim_ascii_end();
    let software =
        line.iter().position(|&byte| byte == b'-').and_then(|dash| line.get(dash + 1..)).ok_or(not)?;
    Ok(Greeting { software, length: end + 1 })
}

/// A frame of the key exchange: its message number and its whole length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// 20 is KEXINIT, 21 NEWKEYS.
    pub message: u8,
    /// Bytes with the length field.
    pub length: u32,
}

/// The message that ends the clear part.
pub const NEW_KEYS: u8 = 21;

/// Reads the head of a frame that is not encrypted.
///
/// # Errors
/// [`Unread::Incomplete`] below six bytes; [`Unread::Not`] where the lengths make no frame of the key exchange.
pub fn frame(bytes: &[u8]) -> Result<Frame, Unread> {
    let [a, b, c, d, padding, message] = *bytes.first_chunk::<6>().ok_or(Unread::Incomplete)?;
    let length = u32::from_be_bytes([a, b, c, d]);
    if !(6..=35_000).contains(&length)
        || padding < 4
        || u32::from(padding) >= length
        || !matches!(message, 1..=49)
    {
        return Err(Unread::Not("a frame of the key exchange"));
    }
    Ok(Frame { message, length: length + 4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_greetings_and_frames() {
        let read = greeting(b"SSH-2.0-dropbear_2016.74\r\nrest").unwrap();
        assert_eq!((read.software, read.length), (&b"dropbear_2016.74"[..], 26));
        assert_eq!(greeting(b"SSH-2.0-x").unwrap_err(), Unread::Incomplete);
        assert_eq!(greeting(b"SS").unwrap_err(), Unread::Incomplete);
        assert!(matches!(greeting(b"GET /"), Err(Unread::Not(_))));
        assert!(matches!(greeting(b"SSH-\n"), Err(Unread::Not(_))));
        assert_eq!(frame(&[0, 0, 0, 12, 10, 21]).unwrap(), Frame { message: 21, length: 16 });
        assert!(frame(&[0, 0, 0, 12, 12, 21]).is_err());
        assert!(frame(&[0xff, 0, 0, 12, 10, 21]).is_err());
    }
}
