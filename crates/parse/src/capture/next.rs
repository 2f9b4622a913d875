//! pcapng: sections of blocks (draft-ietf-opsawg-pcapng). Several sections, both byte orders, several interfaces
//! with their own clocks; packets from enhanced, simple and obsolete packet blocks; all other blocks are stepped over.

use super::{MAX_RECORD, Order, RawPacket, Step, short};
use crate::LinkType;

/// The type of a section header block, the same in both byte orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Blocks that are read whole: a packet with headers and options, or an interface description.
const MAX_WHOLE: usize = MAX_RECORD + 32 * 1024;
/// Blocks that are stepped over, such as the secrets of decryption.
const MAX_FOREIGN: usize = 64 * 1024 * 1024;
const MAX_INTERFACES: usize = 4096;

#[derive(Debug)]
pub(super) struct Next {
    order: Order,
    interfaces: Vec<Interface>,
    /// Bytes of the present block that are stepped over before its trailing length.
    stepping: usize,
    /// The trailing length that must follow.
    trailer: Option<u32>,
    /// The last time read, for simple packets, which have none.
    last: i64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snap: u32,
    clock: Clock,
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Micros {
        offset: i64,
    },
    Nanos {
        offset: i64,
    },
    /// Ticks per second, 0 where there are more than can be counted.
    Ticks {
        per_second: u128,
        offset: i64,
    },
}

impl Clock {
    fn new(resolution: u8, offset: i64) -> Self {
        let power = u32::from(resolution & 0x7f);
        match resolution {
            6 => Self::Micros { offset },
            9 => Self::Nanos { offset },
            _ if resolution & 0x80 == 0 => {
                Self::Ticks { per_second: 10_u128.checked_pow(power).unwrap_or(0), offset }
            }
            _ => Self::Ticks { per_second: 1_u128.checked_shl(power).unwrap_or(0), offset },
        }
    }

    fn micros(self, ticks: u64) -> i64 {
        let (micros, offset) = match self {
            Self::Micros { offset } => (i64::try_from(ticks).unwrap_or(i64::MAX), offset),
            Self::Nanos { offset } => (i64::try_from(ticks / 1_000).unwrap_or(i64::MAX), offset),
            Self::Ticks { per_second, offset } => {
                // A u64 of ticks times a million fits; a clock too fine to count gives zero.
                let micros = (u128::from(ticks) * 1_000_000).checked_div(per_second).unwrap_or(0);
                (i64::try_from(micros).unwrap_or(i64::MAX), offset)
            }
        };
        micros.saturating_add(offset.saturating_mul(1_000_000))
    }
}

impl Next {
    pub(super) const fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), stepping: 0, trailer: None, last: 0 }
    }

    #[inline]
    pub(super) fn step<'a>(&mut self, buffer: &'a [u8], end_of_input: bool) -> Step<'a> {
        if self.trailer.is_some() {
            return self.step_over(buffer, end_of_input);
        }
        let Some((kind, length)) = buffer
            .split_first_chunk::<4>()
            .and_then(|(kind, rest)| rest.first_chunk::<4>().map(|length| (*kind, *length)))
        else {
            return short(buffer, 8, end_of_input, "a block's header");
        };
        if kind == SECTION_HEADER {
            return self.section(buffer, length, end_of_input);
        }
        let (kind, claimed) = (self.order.u32(kind), self.order.u32(length));
        let whole = matches!(kind, INTERFACE | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET);
        let length = claimed as usize;
        let most = if whole { MAX_WHOLE } else { MAX_FOREIGN };
        if length < 12 || !length.is_multiple_of(4) || length > most {
            return Step::Damaged {
                reason: format!(
                    "a block of type {kind} claims {claimed} bytes: expected a multiple of 4 from 12 to {most}"
                ),
            };
        }
        if !whole {
            (self.stepping, self.trailer) = (length - 12, Some(claimed));
            return Step::Consumed(8);
        }
        let Some(block) = buffer.get(..length) else {
            return short(buffer, length, end_of_input, "a block");
        };
        let Some((inner, trailer)) = block.split_last_chunk::<4>() else {
            return short(buffer, length, end_of_input, "a block");
        };
        let trailer = self.order.u32(*trailer);
        if trailer != claimed {
            return wrong_trailer(claimed, trailer);
        }
        let body = inner.get(8..).unwrap_or_default();
        match kind {
            INTERFACE => self.interface(body, length),
            ENHANCED_PACKET => self.enhanced(body, length),
            OBSOLETE_PACKET => self.obsolete(body, length),
            _ => self.simple(body, length),
        }
    }

    /// The rest of a block that is not read, however long, then its trailing length.
    fn step_over<'a>(&mut self, buffer: &[u8], end_of_input: bool) -> Step<'a> {
        if self.stepping > 0 {
            let now = self.stepping.min(buffer.len());
            if now == 0 {
                return self.cut_in_block(buffer, 1, end_of_input);
            }
            self.stepping -= now;
            return Step::Consumed(now);
        }
        let Some(found) = buffer.first_chunk::<4>() else {
            return self.cut_in_block(buffer, 4, end_of_input);
        };
        let (found, expected) = (self.order.u32(*found), self.trailer.unwrap_or_default());
        if found != expected {
            return wrong_trailer(expected, found);
        }
        self.trailer = None;
        Step::Consumed(4)
    }

    fn cut_in_block<'a>(&self, buffer: &[u8], at_least: usize, end_of_input: bool) -> Step<'a> {
        if end_of_input {
            let missing = (self.stepping + 4).saturating_sub(buffer.len());
            return Step::Damaged {
                reason: format!("the file ends inside a block: expected {missing} more bytes"),
            };
        }
        Step::NeedMore { at_least }
    }

    fn section<'a>(&mut self, buffer: &[u8], length: [u8; 4], end_of_input: bool) -> Step<'a> {
        let Some(magic) = buffer.get(8..12).and_then(|bytes| bytes.first_chunk::<4>()) else {
            return short(buffer, 12, end_of_input, "a section's header");
        };
        self.order = match (Order::Little.u32(*magic), Order::Big.u32(*magic)) {
            (BYTE_ORDER_MAGIC, _) => Order::Little,
            (_, BYTE_ORDER_MAGIC) => Order::Big,
            (found, _) => {
                return Step::Damaged {
                    reason: format!(
                        "a section header has the byte-order magic {found:08x}: expected 1a2b3c4d in either order"
                    ),
                };
            }
        };
        let claimed = self.order.u32(length);
        let bytes = claimed as usize;
        if bytes < 28 || !bytes.is_multiple_of(4) || bytes > MAX_FOREIGN {
            return Step::Damaged {
                reason: format!(
                    "a section header claims {claimed} bytes: expected a multiple of 4 from 28 to {MAX_FOREIGN}"
                ),
            };
        }
        self.interfaces.clear();
        (self.stepping, self.trailer) = (bytes - 16, Some(claimed));
        Step::Consumed(12)
    }

    fn interface<'a>(&mut self, mut body: &[u8], consumed: usize) -> Step<'a> {
        let order = self.order;
        let fields = (order.take_u16(&mut body), order.take_u16(&mut body), order.take_u32(&mut body));
        let (Some(link), Some(_), Some(snap)) = fields else {
            return Step::Damaged {
                reason: format!("an interface description has {consumed} bytes: expected 20 or more"),
            };
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Step::Damaged {
                reason: format!(
                    "a section describes more interfaces than the {MAX_INTERFACES} expected at most"
                ),
            };
        }
        let (mut resolution, mut offset) = (6, 0);
        while let (Some(code), Some(length)) = (order.take_u16(&mut body), order.take_u16(&mut body)) {
            let length = usize::from(length);
            let Some(value) = body.get(..length).filter(|_| code != 0) else { break };
            match code {
                9 => resolution = value.first().copied().unwrap_or(6),
                14 => offset = value.first_chunk().map_or(0, |bytes| order.u64(*bytes).cast_signed()),
                _ => {}
            }
            body = body.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        let clock = Clock::new(resolution, offset);
        self.interfaces.push(Interface { link: LinkType(link), snap, clock });
        Step::Consumed(consumed)
    }

    #[inline]
    fn enhanced<'a>(&mut self, mut body: &'a [u8], consumed: usize) -> Step<'a> {
        let order = self.order;
        let Some(interface) = order.take_u32(&mut body) else { return too_short(consumed) };
        self.timed(interface, body, consumed)
    }

    fn obsolete<'a>(&mut self, mut body: &'a [u8], consumed: usize) -> Step<'a> {
        let order = self.order;
        let (Some(interface), Some(_drops)) = (order.take_u16(&mut body), order.take_u16(&mut body)) else {
            return too_short(consumed);
        };
        self.timed(interface.into(), body, consumed)
    }

    /// What enhanced and obsolete packet blocks have in common: the time in two halves, the lengths, the data.
    #[inline]
    fn timed<'a>(&mut self, interface: u32, mut body: &'a [u8], consumed: usize) -> Step<'a> {
        let order = self.order;
        let fields = (
            order.take_u32(&mut body),
            order.take_u32(&mut body),
            order.take_u32(&mut body),
            order.take_u32(&mut body),
        );
        let (Some(high), Some(low), Some(captured), Some(wire_length)) = fields else {
            return too_short(consumed);
        };
        let Some(data) = body.get(..captured as usize).filter(|data| data.len() <= MAX_RECORD) else {
            return Step::Damaged {
                reason: format!(
                    "a packet claims {captured} bytes: expected at most {}, which its block holds",
                    body.len().min(MAX_RECORD)
                ),
            };
        };
        let Some(&Interface { link, clock, .. }) = self.interfaces.get(interface as usize) else {
            return Step::Skipped {
                consumed,
                reason: "packet of an interface that its section does not describe",
            };
        };
        let micros = clock.micros(u64::from(high) << 32 | u64::from(low));
        self.last = micros;
        Step::Packet { consumed, packet: RawPacket { micros, wire_length, interface, link, data } }
    }

    fn simple<'a>(&mut self, mut body: &'a [u8], consumed: usize) -> Step<'a> {
        let Some(wire_length) = self.order.take_u32(&mut body) else { return too_short(consumed) };
        let Some(&Interface { link, snap, .. }) = self.interfaces.first() else {
            return Step::Skipped {
                consumed,
                reason: "packet of an interface that its section does not describe",
            };
        };
        let snap = if snap == 0 { u32::MAX } else { snap };
        let captured = (wire_length.min(snap) as usize).min(body.len()).min(MAX_RECORD);
        let data = body.get(..captured).unwrap_or_default();
        Step::Packet {
            consumed,
            packet: RawPacket { micros: self.last, wire_length, interface: 0, link, data },
        }
    }
}

fn wrong_trailer<'a>(expected: u32, found: u32) -> Step<'a> {
    Step::Damaged {
        reason: format!("a block ends with the length {found}: expected {expected}, as at its start"),
    }
}

fn too_short<'a>(length: usize) -> Step<'a> {
    Step::Damaged { reason: format!("a packet block has {length} bytes: expected its whole header") }
}
