//! pcap: a file header, then records. Both byte orders, micro- and nanoseconds, and Kuznetzov's variant whose
//! records carry eight more bytes.

use super::{MAX_RECORD, Order, RawPacket, Step, short};
use crate::LinkType;

const FILE_HEADER: usize = 24;

#[derive(Debug)]
pub(super) struct Classic {
    order: Order,
    nanoseconds: bool,
    record_header: usize,
    link: Option<LinkType>,
}

impl Classic {
    pub(super) fn recognise(magic: [u8; 4]) -> Option<Self> {
        let of = |order: Order| match order.u32(magic) {
            0xa1b2_c3d4 => Some((order, false, 16)),
            0xa1b2_3c4d => Some((order, true, 16)),
            0xa1b2_cd34 => Some((order, false, 24)),
            _ => None,
        };
        let (order, nanoseconds, record_header) = of(Order::Little).or_else(|| of(Order::Big))?;
        Some(Self { order, nanoseconds, record_header, link: None })
    }

    #[inline]
    pub(super) fn step<'a>(&mut self, buffer: &'a [u8], end_of_input: bool) -> Step<'a> {
        let Some(link) = self.link else { return self.file_header(buffer, end_of_input) };
        let Some((header, rest)) = buffer.split_at_checked(self.record_header) else {
            return short(buffer, self.record_header, end_of_input, "a packet's record header");
        };
        let Some((seconds, fraction, captured, wire_length)) = self.fields(header) else {
            return short(buffer, self.record_header, end_of_input, "a packet's record header");
        };
        let length = captured as usize;
        if length > MAX_RECORD {
            return Step::Damaged {
                reason: format!(
                    "a packet record claims {captured} bytes: expected at most {MAX_RECORD}; the file is corrupt here"
                ),
            };
        }
        let Some(data) = rest.get(..length) else {
            return short(buffer, self.record_header + length, end_of_input, "a packet");
        };
        let fraction = if self.nanoseconds { fraction / 1_000 } else { fraction };
        let micros = i64::from(seconds) * 1_000_000 + i64::from(fraction);
        let packet = RawPacket { micros, wire_length, interface: 0, link, data };
        Step::Packet { consumed: self.record_header + length, packet }
    }

    /// Seconds, fraction, captured length, wire length.
    #[inline]
    fn fields(&self, mut header: &[u8]) -> Option<(u32, u32, u32, u32)> {
        let order = self.order;
        Some((
            order.take_u32(&mut header)?,
            order.take_u32(&mut header)?,
            order.take_u32(&mut header)?,
            order.take_u32(&mut header)?,
        ))
    }

    fn file_header<'a>(&mut self, buffer: &[u8], end_of_input: bool) -> Step<'a> {
        let Some(network) = buffer.get(20..FILE_HEADER).and_then(|bytes| bytes.first_chunk()) else {
            return short(buffer, FILE_HEADER, end_of_input, "the file header");
        };
        // The upper bits say whether frames end with their check sequence; the length in the IP header settles that.
        let network = self.order.u32(*network) & 0x03ff_ffff;
        let Ok(number) = u16::try_from(network) else {
            return Step::Damaged {
                reason: format!("the file header names link type {network}: expected a number below 65536"),
            };
        };
        self.link = Some(LinkType(number));
        Step::Consumed(FILE_HEADER)
    }
}
