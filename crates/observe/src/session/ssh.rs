//! SSH on any port: greetings, and logins judged by their shape, since what is said is encrypted.
//!
//! How it is judged. The key exchange is in clear and is followed frame by frame to NEWKEYS; where frames were cut
//! or lost, the server's third turn counts as its end. From there only *turns* are looked at (what one side sends
//! until the other speaks), of long ones at their first segment. The client's first encrypted turn asks for the
//! authentication service and the server's answer to it (`accept`) carries 17 bytes; a failure carries at least 14
//! and, with two methods left, 24; a success a single one, so that whatever the cipher, a success is shorter than
//! `accept`. A connection gives one event:
//! - `Possible` as soon as an answer is shorter than `accept` by eight bytes or more and the talk goes on for two
//!   turns of the server that are alike neither to it nor to each other (failures are all alike); or when more flows
//!   than attempts can explain: 4 KiB from the server with a turn of 400 bytes, or 16 KiB from the client with a turn
//!   of 1 400;
//! - else, at its end, `Refused` where the server answered an attempt, however many passwords were tried;
//! - else, at its end, `Tried` where the client went on beyond the key exchange, but no answer was seen.
//!
//! Held against OpenSSH 9.2 and Dropbear 2022.83 with keys, passwords, several ciphers, one short command and copies.

use super::Conversation;
use super::teller::{Attempt, Side, Teller};
use model::{HintKind, LoginOutcome};
use parse::app::{Unread, ssh};

/// Turns of so many bytes are one short message, in however many segments it came.
const ONE_MESSAGE: u64 = 128;

const ATTEMPT: Attempt = Attempt::UNSEEN;

#[derive(Debug, Default)]
struct Talker {
    greeted: bool,
    /// The beginning of a greeting or of a frame.
    begun: Vec<u8>,
    /// What is left of a frame whose head was read.
    skip: u64,
    /// NEWKEYS was sent: what follows is encrypted.
    keyed: bool,
    encrypted: u64,
    largest_turn: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ssh {
    client: Talker,
    server: Talker,
    /// Frames can no longer be followed.
    blind: bool,
    clear_turns: u8,
    last: Option<Side>,
    turn: u64,
    turn_first: u64,
    accept: Option<u64>,
    success: Option<Success>,
    answers: u32,
    tried: bool,
    done: bool,
}

/// A short answer, and what followed it.
#[derive(Clone, Copy, Debug)]
struct Success {
    size: u64,
    last: u64,
    turns: u8,
}

impl Success {
    /// With the server's next turn; `None` where that shows it to be no success.
    const fn followed_by(self, size: u64) -> Option<Self> {
        let again = size == self.size;
        if (again && self.turns == 0) || size == self.last {
            None
        } else if again {
            Some(self)
        } else {
            Some(Self { last: size, turns: self.turns.saturating_add(1), ..self })
        }
    }
}

impl Ssh {
    fn talker(&mut self, side: Side) -> &mut Talker {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Follows the clear part; gives how many of the bytes belong to the encrypted part.
    fn clear(&mut self, from: Side, mut bytes: &[u8], lost: u32, tell: &mut Teller<'_>) -> u64 {
        while !bytes.is_empty() {
            let blind = self.blind;
            let talker = self.talker(from);
            if talker.skip > 0 && !blind {
                let skipped = usize::try_from(talker.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
                talker.skip -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            if talker.keyed {
                return bytes.len() as u64 + u64::from(lost);
            }
            if blind {
                return 0;
            }
            // Greetings have at most 255 bytes, heads of frames six.
            let before = talker.begun.len();
            let wanted = if talker.greeted { 6 } else { 256 };
            talker.begun.extend(bytes.iter().take(wanted.max(before) - before));
            let taken = talker.begun.len() - before;
            let used = if talker.greeted { self.frame(from) } else { self.greeting(from, tell) };
            match used {
                Ok(length) => {
                    let talker = self.talker(from);
                    talker.begun.clear();
                    let used = length.saturating_sub(before as u64);
                    talker.skip = used.saturating_sub(bytes.len() as u64);
                    bytes = usize::try_from(used).ok().and_then(|used| bytes.get(used..)).unwrap_or_default();
                }
                Err(Unread::Incomplete) => bytes = bytes.get(taken..).unwrap_or_default(),
                Err(Unread::Not(_)) => self.blind = true,
            }
        }
        let talker = self.talker(from);
        let beyond = u64::from(lost).saturating_sub(talker.skip);
        talker.skip = talker.skip.saturating_sub(u64::from(lost));
        if talker.keyed {
            return beyond;
        }
        self.blind |= beyond > 0;
        0
    }

    fn greeting(&mut self, from: Side, tell: &mut Teller<'_>) -> Result<u64, Unread> {
        let talker = self.talker(from);
        let greeting = ssh::greeting(&talker.begun)?;
        talker.greeted = true;
        tell.hint(from, HintKind::Banner, greeting.software);
        Ok(greeting.length as u64)
    }

    fn frame(&mut self, from: Side) -> Result<u64, Unread> {
        let talker = self.talker(from);
        let frame = ssh::frame(&talker.begun)?;
        talker.keyed = frame.message == ssh::NEW_KEYS;
        Ok(u64::from(frame.length))
    }

    /// One side's turn is over.
    fn turn_over(&mut self, side: Side, tell: &mut Teller<'_>) {
        let (turn, first) = (std::mem::take(&mut self.turn), std::mem::take(&mut self.turn_first));
        if turn == 0 {
            if side == Side::Server && self.clear_turns < 9 {
                self.clear_turns += 1;
            }
            return;
        }
        // Of a turn of several messages (host keys follow a success unasked) the first is what answers.
        let first = if turn <= ONE_MESSAGE { turn } else { first };
        match (side, self.accept) {
            (Side::Server, None) if self.client.encrypted > 0 => self.accept = Some(first),
            (Side::Server, Some(accept)) => {
                self.answers = self.answers.saturating_add(1);
                self.success = match self.success {
                    Some(success) => success.followed_by(turn),
                    None if first + 8 <= accept => Some(Success { size: first, last: 0, turns: 0 }),
                    None => None,
                };
            }
            (Side::Client, Some(_)) => self.tried = true,
            _ => {}
        }
        self.conclude(tell);
    }

    fn conclude(&mut self, tell: &mut Teller<'_>) {
        if self.tried && !self.done && self.looks_like_a_session() {
            tell.login(ATTEMPT, LoginOutcome::Possible);
            self.done = true;
        }
    }

    fn looks_like_a_session(&self) -> bool {
        self.success.is_some_and(|success| success.turns >= 2)
            || (self.server.encrypted >= 4 << 10 && self.server.largest_turn >= 400 && self.answers >= 3)
            || (self.client.encrypted >= 16 << 10 && self.client.largest_turn >= 1400 && self.answers >= 3)
    }
}

impl Conversation for Ssh {
    fn heard(&mut self, from: Side, bytes: &[u8], lost: u32, tell: &mut Teller<'_>) {
        if self.done {
            return;
        }
        if let Some(last) = self.last.filter(|last| *last != from) {
            self.turn_over(last, tell);
        }
        self.last = Some(from);
        if self.blind && self.clear_turns >= 3 {
            // Greeting, KEXINIT and the reply with NEWKEYS are behind the server.
            self.client.keyed = true;
            self.server.keyed = true;
        }
        let encrypted = self.clear(from, bytes, lost, tell);
        if self.turn == 0 {
            self.turn_first = encrypted;
        }
        self.turn = self.turn.saturating_add(encrypted);
        let so_far = if self.accept.is_some() { self.turn } else { 0 };
        let talker = self.talker(from);
        talker.encrypted = talker.encrypted.saturating_add(encrypted);
        talker.largest_turn = talker.largest_turn.max(so_far);
        self.conclude(tell);
    }

    fn close(&mut self, tell: &mut Teller<'_>) {
        if self.done {
            return;
        }
        if let Some(last) = self.last {
            self.turn_over(last, tell);
        }
        if self.done {
            return;
        }
        self.done = true;
        // Asking for the service takes some 50 bytes, trying a password some 80 more.
        if self.tried && self.answers > 0 {
            tell.login(ATTEMPT, LoginOutcome::Refused);
        } else if self.tried || self.client.encrypted >= 100 {
            tell.login(ATTEMPT, LoginOutcome::Tried);
        }
    }

    fn is_finished(&self) -> bool {
        self.done
    }
}
