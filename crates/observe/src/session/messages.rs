//! Small messages on quiet flows: what keep-alives of bots are made of.
//!
//! Only flows of unknown services and of IRC are looked at, only while they stay small: at most 4 096 messages,
//! 256 KiB in all, and from 32 KiB on no more than 512 bytes a message. Messages cut by the snap length are counted
//! but not told, since nothing says whether two of them are alike.

use super::{FlowContext, Segment, digest};
use model::{EventKind, Message};

const SMALL: u32 = 64;
const NUMBER: u32 = 4096;
const TOTAL: u64 = 256 << 10;

/// What a flow's messages amount to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Messages {
    outward: u32,
    inward: u32,
    total: u64,
    over: bool,
}

impl Messages {
    /// Counts a payload that was not seen before, and tells it where it is small.
    pub(super) fn count(
        &mut self,
        flow: &FlowContext,
        segment: &Segment<'_>,
        emit: &mut dyn FnMut(EventKind),
    ) {
        if self.over {
            return;
        }
        let number = if segment.outward { &mut self.outward } else { &mut self.inward };
        *number += 1;
        let number = *number;
        self.total += u64::from(segment.length);
        let all = u64::from(self.outward) + u64::from(self.inward);
        self.over =
            number >= NUMBER || self.total >= TOTAL || (self.total >= TOTAL / 8 && self.total / all > 512);
        if segment.length <= SMALL && segment.payload.len() == segment.length as usize {
            emit(EventKind::Message(Message {
                flow: flow.id,
                key: flow.key,
                outward: segment.outward,
                length: segment.length,
                digest: digest(segment.payload),
                number,
            }));
        }
    }

    /// The flow is no quiet one: nothing further will be told.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }
}

impl Messages {
    /// The service is known and no carrier of such messages.
    pub(super) const fn give_up(&mut self) {
        self.over = true;
    }
}
