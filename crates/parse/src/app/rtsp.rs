//! RTSP (RFC 2326, 7826): its lines are those of [`super::http`]; media may be interleaved with them.

use super::Unread;
pub use super::http::{StartLine, header, start_line};

/// Length of an interleaved media frame with its head of four bytes.
///
/// # Errors
/// [`Unread::Not`] unless it begins with `$`; [`Unread::Incomplete`] below four bytes.
pub fn interleaved(bytes: &[u8]) -> Result<usize, Unread> {
    match bytes {
        [b'$', _, high, low, ..] => Ok(4 + (usize::from(*high) << 8 | usize::from(*low))),
        [] | [b'$', ..] => Err(Unread::Incomplete),
        _ => Err(Unread::Not("an interleaved frame")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_media() {
        assert_eq!(interleaved(b"$\x00\x01\x02media"), Ok(4 + 258));
        assert_eq!(interleaved(b"$\x00"), Err(Unread::Incomplete));
        assert!(matches!(interleaved(b"RTSP/1.0"), Err(Unread::Not(_))));
    }
}
