//! DNS: messages to events, over UDP and, with their lengths, over TCP.

use super::Conversation;
use super::teller::{Side, Teller};
use model::{Dns, EventKind, HintKind};
use parse::app::dns;

/// Question and the first answers; of longer messages the rest is skipped.
const LIMIT: usize = 1024;

/// Tells a message that `from` sent; `length` is its true length. True where it was an answer worth trusting.
pub(super) fn tell_message(
    message: &dns::Message<'_>,
    from: Side,
    asked: bool,
    length: usize,
    tell: &mut Teller<'_>,
) {
    let asker = if message.response { from.other() } else { from };
    let server = asker.other();
    let outward = tell.address(server) == tell.flow.key.dst;
    let event = Dns {
        client: tell.address(asker),
        client_mac: if outward { tell.flow.src_mac } else { tell.flow.dst_mac },
        server: tell.address(server),
        server_port: if outward { tell.flow.key.dst_port } else { tell.flow.key.src_port },
        response: message.response,
        asked,
        name: message.name(),
        qtype: message.qtype,
        rcode: if message.response { message.rcode } else { 0 },
        answers: message.addresses(),
        length,
    };
    tell.tell(EventKind::Dns(event));
}

/// An answer to a question that was seen: its sender resolves names for others.
pub(super) fn tell_resolver(message: &dns::Message<'_>, from: Side, asked: bool, tell: &mut Teller<'_>) {
    if asked && message.response && message.recursion_available && matches!(message.rcode, 0 | 3) {
        tell.hint(from, HintKind::Function, b"resolver");
    }
}

#[derive(Debug, Default)]
struct Inflow {
    /// Length field and the beginning of the message.
    begun: Vec<u8>,
    /// What is left of a message that was told.
    skip: u64,
}

/// DNS over TCP.
#[derive(Debug, Default)]
pub(super) struct DnsStream {
    client: Inflow,
    server: Inflow,
    asked: bool,
    lost: bool,
}

impl Conversation for DnsStream {
    fn heard(&mut self, from: Side, mut bytes: &[u8], lost: u32, tell: &mut Teller<'_>) {
        while !bytes.is_empty() && !self.lost {
            let inflow = if from == Side::Client { &mut self.client } else { &mut self.server };
            if inflow.skip > 0 {
                let skipped = usize::try_from(inflow.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
                inflow.skip -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let length = match inflow.begun.as_slice() {
                [high, low, ..] => Some(usize::from(*high) << 8 | usize::from(*low)),
                _ => None,
            };
            let wanted = length.map_or(2, |length| 2 + length.min(LIMIT));
            let taken = bytes.len().min(wanted.saturating_sub(inflow.begun.len()));
            inflow.begun.extend_from_slice(bytes.get(..taken).unwrap_or_default());
            bytes = bytes.get(taken..).unwrap_or_default();
            let Some(length) = length.filter(|_| inflow.begun.len() >= wanted) else { continue };
            inflow.skip = length.saturating_sub(LIMIT) as u64;
            let begun = std::mem::take(&mut inflow.begun);
            match dns::parse(begun.get(2..).unwrap_or_default()) {
                Ok(message) => {
                    self.asked |= !message.response;
                    tell_message(&message, from, self.asked, length, tell);
                    tell_resolver(&message, from, self.asked, tell);
                }
                Err(_) => self.lost = true,
            }
        }
        if lost > 0 {
            let inflow = if from == Side::Client { &mut self.client } else { &mut self.server };
            match inflow.skip.checked_sub(u64::from(lost)) {
                Some(left) => inflow.skip = left,
                None => self.lost = true,
            }
        }
    }

    fn close(&mut self, _: &mut Teller<'_>) {}

    fn is_finished(&self) -> bool {
        self.lost
    }
}
