//! Capture files: pcap and pcapng, one record at a time from a growing buffer.
//!
//! Guarantees: never asks for more than [`MAX_NEED`] bytes at once; a record that claims more than [`MAX_RECORD`]
//! bytes is damage, as is a file that ends inside a record. The caller owns the buffer and the absolute offset:
//! after each step it drops `consumed` bytes from the front.

mod classic;
mod next;

pub use crate::LinkType;

/// The longest captured packet that is believed.
pub const MAX_RECORD: usize = 256 * 1024;

/// The most bytes that [`Step::NeedMore`] ever asks for: a longest packet with its headers and options.
pub const MAX_NEED: usize = MAX_RECORD + 64 * 1024;

/// One captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawPacket<'a> {
    /// Microseconds since the Unix epoch.
    pub micros: i64,
    /// Its length on the wire, which is more than `data` where the snap length cut it.
    pub wire_length: u32,
    /// The interface's number in its section (0 in pcap).
    pub interface: u32,
    /// How `data` begins.
    pub link: LinkType,
    /// What was captured.
    pub data: &'a [u8],
}

/// What one look at the buffer gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The buffer must hold at least so many bytes before the next call.
    NeedMore {
        /// Length of the buffer that is needed, at most [`MAX_NEED`].
        at_least: usize,
    },
    /// A packet.
    Packet {
        /// Bytes to drop.
        consumed: usize,
        /// The packet.
        packet: RawPacket<'a>,
    },
    /// A header or another block without a packet: bytes to drop.
    Consumed(usize),
    /// A packet that cannot be used.
    Skipped {
        /// Bytes to drop.
        consumed: usize,
        /// Why not.
        reason: &'static str,
    },
    /// The file is damaged here; nothing after this can be read.
    Damaged {
        /// What was expected and what was there.
        reason: String,
    },
    /// The file ended where a file may end.
    End,
}

/// Reads a capture file of either form.
#[derive(Debug)]
pub struct Decoder(Form);

#[derive(Debug)]
enum Form {
    Classic(classic::Classic),
    Next(next::Next),
}

impl Decoder {
    /// The decoder for a file that begins like this (four bytes suffice); `None` where it is no capture.
    #[must_use]
    pub fn recognise(start: &[u8]) -> Option<Self> {
        let magic = start.first_chunk()?;
        if *magic == next::SECTION_HEADER {
            return Some(Self(Form::Next(next::Next::new())));
        }
        classic::Classic::recognise(*magic).map(|classic| Self(Form::Classic(classic)))
    }

    /// The format's name for the report.
    #[must_use]
    pub const fn format(&self) -> &'static str {
        match self.0 {
            Form::Classic(_) => "pcap",
            Form::Next(_) => "pcapng",
        }
    }

    /// Looks at the front of the buffer. `end_of_input` says that no more bytes will come.
    #[inline]
    pub fn step<'a>(&mut self, buffer: &'a [u8], end_of_input: bool) -> Step<'a> {
        match &mut self.0 {
            Form::Classic(classic) => classic.step(buffer, end_of_input),
            Form::Next(next) => next.step(buffer, end_of_input),
        }
    }
}

/// The byte order in which a file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// Takes a number off the front.
    fn take_u16(self, bytes: &mut &[u8]) -> Option<u16> {
        let (head, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(self.u16(*head))
    }

    /// Takes a number off the front.
    fn take_u32(self, bytes: &mut &[u8]) -> Option<u32> {
        let (head, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(self.u32(*head))
    }
}

/// What to answer when the buffer is too short: more, or the end, or the damage of a file cut inside `what`.
fn short<'a>(buffer: &[u8], at_least: usize, end_of_input: bool, what: &str) -> Step<'a> {
    if !end_of_input {
        Step::NeedMore { at_least }
    } else if buffer.is_empty() {
        Step::End
    } else {
        Step::Damaged {
            reason: format!("the file ends inside {what}: expected {at_least} bytes, found {}", buffer.len()),
        }
    }
}
