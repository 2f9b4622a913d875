//! What nobody recognised: programs and loaders' commands sent over bare TCP, and protocols of the field by name.
//!
//! A line that looks like a command is one where somebody takes commands: a shell that shows its prompt, or Android's
//! debug bridge. Logs of machines are full of such lines.

use super::Conversation;
use super::code::{self, typed_command};
use super::lines::Lines;
use super::teller::{Side, Teller, wipe};
use super::telnet::{Prompt, prompt};
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
    /// The last command said on this side that nobody was seen to take yet.
    order: Option<(TransferKind, &'static str)>,
    /// This side showed a shell's prompt.
    is_shell: bool,
}

impl Inflow {
    const fn new() -> Self {
        Self {
            head: Vec::new(),
            judged: false,
            lines: Lines::new(400),
            seen: 0,
            order: None,
            is_shell: false,
        }
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

    fn order(&mut self, line: &[u8], from: Side, tell: &mut Teller<'_>) {
        let Some((kind, rule)) = typed_command(line) else { return };
        // Android's debug bridge names the service that it opens.
        if code::contains(line, b"shell:") {
            tell.transfer(from.other(), kind, rule);
        } else if self.order.is_none_or(|(earlier, _)| earlier != TransferKind::LoaderCommand) {
            self.order = Some((kind, rule));
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

    /// Tells what was said to a side that showed itself to be a shell.
    fn obey(&mut self, tell: &mut Teller<'_>) {
        let Self { client, server } = self;
        for (from, order, is_shell) in [
            (Side::Client, &mut client.order, server.is_shell),
            (Side::Server, &mut server.order, client.is_shell),
        ] {
            if let Some((kind, rule)) = order.take_if(|_| is_shell) {
                tell.transfer(from.other(), kind, rule);
            }
        }
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
            inflow.order(&line, from, tell);
            if let Cow::Owned(mut line) = line {
                wipe(&mut line);
            }
        }
        inflow.is_shell |= prompt(inflow.lines.begun()) == Some(Prompt::Shell);
        if lost > 0 {
            inflow.lines.clear();
        }
        self.obey(tell);
    }

    fn close(&mut self, tell: &mut Teller<'_>) {
        for (from, inflow) in [(Side::Client, &mut self.client), (Side::Server, &mut self.server)] {
            if !inflow.head.is_empty() {
                inflow.judge(from, true, tell);
            }
            let begun = inflow.lines.begun().to_vec();
            inflow.order(&begun, from, tell);
            inflow.lines.clear();
        }
        self.obey(tell);
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
