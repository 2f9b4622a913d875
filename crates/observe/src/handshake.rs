//! Whether the two ends of a TCP connection hear each other.
//!
//! Who acknowledges what the other end sent has received it; who forges packets blindly cannot know the other end's
//! sequence numbers. Only numbers that were seen here count, and a reset ends the matter: the answer to a forged
//! packet repeats the forger's own numbers.

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What was seen of both ends' sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handshake {
    originator: End,
    responder: End,
    broken: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// The first number that was seen.
    first: u32,
    /// The one after the last.
    next: u32,
    spoke: bool,
    /// It acknowledged what the other end was seen to send.
    hears: bool,
}

impl Handshake {
    /// Takes a packet of one end, with its payload's length.
    pub(crate) fn packet(&mut self, outward: bool, flags: u8, seq: u32, ack: u32, length: u32) {
        if flags & RST != 0 {
            self.broken = true;
            return;
        }
        let (end, other) = if outward {
            (&mut self.originator, self.responder)
        } else {
            (&mut self.responder, self.originator)
        };
        end.hears |= flags & ACK != 0
            && other.spoke
            && ack.wrapping_sub(other.first) <= other.next.wrapping_sub(other.first);
        let counted = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let after = seq.wrapping_add(length).wrapping_add(counted);
        if !end.spoke || after.wrapping_sub(end.first) > i32::MAX as u32 {
            (end.first, end.next, end.spoke) = (seq, after, true);
        } else if after.wrapping_sub(end.next) <= i32::MAX as u32 {
            end.next = after;
        }
    }

    /// Both ends heard each other before anything broke.
    pub(crate) const fn is_made(&self) -> bool {
        self.originator.hears && self.responder.hears && !self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_other_ends_numbers_hears_it() {
        let (out, back) = (true, false);
        let check = |packets: &[(bool, u8, u32, u32, u32)], made: bool| {
            let mut handshake = Handshake::default();
            for &(outward, flags, seq, ack, length) in packets {
                handshake.packet(outward, flags, seq, ack, length);
            }
            assert_eq!(handshake.is_made(), made, "{packets:?}");
        };
        let (syn, syn_ack) = ((out, SYN, 100, 0, 0), (back, SYN | ACK, 7_000, 101, 0));
        check(&[syn, syn_ack, (out, ACK, 101, 7_001, 0)], true);
        check(&[syn, syn_ack, (out, ACK, 101, 7_001, 40)], true);
        // Forged: the numbers are guessed, or taken from a reset.
        check(&[syn, syn_ack, (out, ACK, 101, 9_999, 40)], false);
        check(&[syn, syn_ack, (out, ACK, 101, 7_002, 0)], false);
        check(&[syn, syn_ack, (out, RST, 101, 0, 0), (out, ACK, 101, 7_001, 0)], false);
        check(&[(out, ACK, 5, 800, 1), (back, RST, 800, 0, 0), (out, ACK, 6, 800, 1)], false);
        check(&[(out, ACK, 5, 800, 900)], false);
        // In the middle of a conversation, over the end of the numbers too.
        let end = u32::MAX - 9;
        check(&[(out, ACK, 5, 800, 20), (back, ACK, end, 25, 30), (out, ACK, 25, 20, 0)], true);
        check(&[(out, ACK, 5, 800, 20), (back, ACK, end, 25, 30), (out, ACK, 25, 21, 0)], false);
    }
}
