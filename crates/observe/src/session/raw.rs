//! What nobody recognised: programs and loaders' commands sent over bare TCP, and protocols of the field by name.

use super::Conversation;
use super::code::{self, loader_command};
use super::lines::Lines;
use super::teller::{Side, Teller, wipe};
use model::{HintKind, TransferKind};
use parse::app::field;
use std::borrow::Cow;

/// Commands come early; a connection that goes on is something else.
const BYTES: u64 = 4 << 10;

#[derive(Debug)]
struct Inflow {
    head: Vec<u8>,
    judged: bool,
    lines: Lines,
    seen: u64,
}

impl Inflow {
    const fn new() -> Self {
        Self { head: Vec::new(), judged: false, lines: Lines::new(400), seen: 0 }
    }

    fn judge(&mut self, from: Side, whole: bool, tell: &mut Teller<'_>) {
        if self.judged {
            return;
        }
        if let Some(verdict) = code::program(&self.head, whole) {
            if let Some((kind, what)) = verdict {
                tell.transfer(from.other(), kind, what);
            }
            self.judged = true;
            self.head = Vec::new();
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Raw {
    client: Inflow,
    server: Inflow,
}

impl Raw {
    pub(super) const fn new() -> Self {
        Self { client: Inflow::new(), server: Inflow::new() }
    }
}

impl Conversation for Raw {
    fn heard(&mut self, from: Side, bytes: &[u8], lost: u32, tell: &mut Teller<'_>) {
        let inflow = if from == Side::Client { &mut self.client } else { &mut self.server };
        if inflow.seen >= BYTES {
            return;
        }
        // Requests can look like much; of RSMP it is the controller that calls.
        if inflow.seen == 0
            && let Some(name) = field::over_tcp(bytes)
            && (from == Side::Server || name == "rsmp")
        {
            tell.hint(from, HintKind::Serves, name.as_bytes());
        }
        inflow.seen += bytes.len() as u64 + u64::from(lost);
        if !inflow.judged {
            let room = code::HEAD - inflow.head.len().min(code::HEAD);
            inflow.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            inflow.judge(from, lost > 0, tell);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(line) = inflow.lines.next(&mut rest) else { break };
            if let Some(rule) = loader_command(&line) {
                tell.transfer(from.other(), TransferKind::LoaderCommand, rule);
            }
            if let Cow::Owned(mut line) = line {
                wipe(&mut line);
            }
        }
        if lost > 0 {
            inflow.lines.clear();
        }
    }

    fn close(&mut self, tell: &mut Teller<'_>) {
        for (from, inflow) in [(Side::Client, &mut self.client), (Side::Server, &mut self.server)] {
            if !inflow.head.is_empty() {
                inflow.judge(from, true, tell);
            }
            if let Some(rule) = loader_command(inflow.lines.begun()) {
                tell.transfer(from.other(), TransferKind::LoaderCommand, rule);
            }
            inflow.lines.clear();
        }
    }

    fn is_finished(&self) -> bool {
        self.client.seen >= BYTES || self.server.seen >= BYTES
    }
}

/// A talk that is recognised but of which no more is asked; IRC, SMB, mail.
#[derive(Debug)]
pub(super) struct Named;

impl Conversation for Named {
    fn heard(&mut self, _: Side, _: &[u8], _: u32, _: &mut Teller<'_>) {}

    fn close(&mut self, _: &mut Teller<'_>) {}

    fn is_finished(&self) -> bool {
        true
    }
}
