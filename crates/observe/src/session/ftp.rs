//! FTP control connections: greeting, USER and PASS, and the server's word on them.

use super::Conversation;
use super::lines::Lines;
use super::teller::{Attempt, Side, Teller, wipe};
use model::{HintKind, LoginOutcome};
use parse::app::ftp;
use std::borrow::Cow;

/// See the module.
#[derive(Debug)]
pub(super) struct Ftp {
    client: Lines,
    server: Lines,
    user: Vec<u8>,
    attempt: Option<Attempt>,
    greeted: bool,
    done: bool,
    lines: u32,
}

/// A login comes early; a connection that goes on without one has nothing to tell.
const LINES: u32 = 4096;

impl Ftp {
    pub(super) const fn new() -> Self {
        Self {
            client: Lines::new(256),
            server: Lines::new(256),
            user: Vec::new(),
            attempt: None,
            greeted: false,
            done: false,
            lines: 0,
        }
    }

    fn command(&mut self, line: &[u8], tell: &mut Teller<'_>) {
        let Ok((verb, argument)) = ftp::command(line) else { return };
        if verb.eq_ignore_ascii_case(b"USER") {
            self.user.clear();
            self.user.extend_from_slice(argument.get(..64).unwrap_or(argument));
        } else if verb.eq_ignore_ascii_case(b"PASS") {
            if let Some(earlier) = self.attempt.take() {
                tell.login(earlier, LoginOutcome::Tried);
            }
            self.attempt = Some(Attempt::of(&self.user, argument));
        }
    }

    fn reply(&mut self, line: &[u8], tell: &mut Teller<'_>) {
        let Ok(reply) = ftp::reply(line) else { return };
        match reply.code {
            220 if !self.greeted => {
                self.greeted = true;
                tell.hint(Side::Server, HintKind::Banner, reply.text);
                tell.hint(Side::Server, HintKind::Serves, b"ftp");
            }
            230 | 232 if !reply.more => {
                let by_name = Attempt::of(&self.user, b"");
                tell.login(self.attempt.take().unwrap_or(by_name), LoginOutcome::Accepted);
                self.done = true;
            }
            // 234: what follows is encrypted.
            234 => self.done = true,
            421 | 430 | 500..=559 if !reply.more => {
                if let Some(attempt) = self.attempt.take() {
                    tell.login(attempt, LoginOutcome::Refused);
                }
            }
            _ => {}
        }
    }
}

impl Conversation for Ftp {
    fn heard(&mut self, from: Side, mut bytes: &[u8], lost: u32, tell: &mut Teller<'_>) {
        while !bytes.is_empty() && !self.done {
            let lines = if from == Side::Client { &mut self.client } else { &mut self.server };
            let Some(line) = lines.next(&mut bytes) else { break };
            self.lines += 1;
            if from == Side::Client {
                self.command(&line, tell);
            } else {
                self.reply(&line, tell);
            }
            if let Cow::Owned(mut line) = line {
                wipe(&mut line);
            }
            self.done |= self.lines > LINES;
        }
        if lost > 0 {
            if from == Side::Client { self.client.clear() } else { self.server.clear() }
        }
    }

    fn close(&mut self, tell: &mut Teller<'_>) {
        if let Some(attempt) = self.attempt.take() {
            tell.login(attempt, LoginOutcome::Tried);
        }
        self.client.clear();
        self.done = true;
    }

    fn is_finished(&self) -> bool {
        self.done && self.attempt.is_none()
    }
}
