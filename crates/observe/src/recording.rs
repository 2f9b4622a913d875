//! What a recorded input is, told by its first bytes and never by its name.

use crate::logs::{LogDecoder, LogFormat};
pub use parse::{
    LinkType,
    capture::{Decoder as CaptureDecoder, MAX_NEED, RawPacket, Step},
};

/// How an input is decoded.
pub enum Recording {
    /// Packets.
    Capture(parse::capture::Decoder),
    /// Lines.
    Log(LogDecoder, LogFormat),
}

impl Recording {
    /// The decoder for an input that begins like this (up to 64 KiB help); `None` where nothing is recognised.
    #[must_use]
    pub fn recognise(start: &[u8], input: u32) -> Option<Self> {
        if let Some(decoder) = parse::capture::Decoder::recognise(start) {
            return Some(Self::Capture(decoder));
        }
        let format = LogDecoder::recognise(start)?;
        Some(Self::Log(LogDecoder::new(format, input), format))
    }

    /// The format's name in reports.
    #[must_use]
    pub const fn format(&self) -> &'static str {
        match self {
            Self::Capture(decoder) => decoder.format(),
            Self::Log(_, format) => format.as_str(),
        }
    }
}
