//! One flow: what its packets come to.
//!
//! Guarantees: what becomes of the attempt to talk is told by what was seen, and silence only where an answer would have
//! been seen.

use crate::{
    handshake::Handshake,
    rooms::Kind,
    session::{FlowContext, Segment, Session},
};
use model::{
    Counts, Event, EventKind, FlowKey, FlowUpdate, Mac, Outcome, Phase, Protocol, RecordRef, Service,
    Timestamp, Visibility,
};

const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// One packet as the flow table sees it.
pub(crate) struct Seen<'a> {
    pub(crate) record: RecordRef,
    pub(crate) at: Timestamp,
    /// Sender first.
    pub(crate) key: FlowKey,
    pub(crate) src_mac: Option<Mac>,
    pub(crate) dst_mac: Option<Mac>,
    pub(crate) ttl: u8,
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) ip_length: u32,
    pub(crate) payload: &'a [u8],
    pub(crate) payload_length: u32,
    /// The sender answers to something: an echo reply.
    pub(crate) is_reply: bool,
    /// Nobody may answer to it: an ICMP error (RFC 1122 section 3.2.2).
    pub(crate) is_error: bool,
}

/// A flow and what became of it so far.
pub(crate) struct Flow {
    pub(crate) id: u64,
    pub(crate) key: FlowKey,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) reported_at: Timestamp,
    pub(crate) total: Counts,
    pub(crate) reported: Counts,
    pub(crate) opened_by: RecordRef,
    pub(crate) src_mac: Option<Mac>,
    pub(crate) dst_mac: Option<Mac>,
    pub(crate) hops: Option<u8>,
    pub(crate) flags_out: u8,
    pub(crate) flags_in: u8,
    pub(crate) handshake: Handshake,
    pub(crate) outcome: Outcome,
    pub(crate) answer_visible: bool,
    /// No answer is to be expected.
    pub(crate) is_error: bool,
    pub(crate) cut: bool,
    /// Ended; waits for stragglers.
    pub(crate) closing: bool,
    pub(crate) session: Option<Box<Session>>,
    pub(crate) session_over: bool,
    /// It spoke since somebody last looked for room.
    pub(crate) heard: bool,
    pub(crate) service: Service,
}

impl Flow {
    pub(crate) fn add(&mut self, outward: bool, seen: &Seen<'_>) {
        self.last = self.last.max(seen.at);
        self.cut |= (seen.payload.len() as u64) < u64::from(seen.payload_length);
        let (bytes, payload) = (u64::from(seen.ip_length), u64::from(seen.payload_length));
        if outward {
            self.hops = hops(seen.ttl);
            self.total.packets_out += 1;
            self.total.bytes_out += bytes;
            self.total.payload_out += payload;
            self.flags_out |= seen.flags;
            self.total.syns +=
                u64::from(self.key.protocol == Protocol::TCP && seen.flags & (SYN | ACK) == SYN);
            self.src_mac = seen.src_mac.or(self.src_mac);
            self.dst_mac = self.dst_mac.or(seen.dst_mac);
        } else {
            self.total.packets_in += 1;
            self.total.bytes_in += bytes;
            self.total.payload_in += payload;
            self.flags_in |= seen.flags;
            self.dst_mac = seen.src_mac.or(self.dst_mac);
            self.src_mac = self.src_mac.or(seen.dst_mac);
        }
    }

    /// What becomes of the attempt to talk.
    pub(crate) fn follow(&mut self, outward: bool, seen: &Seen<'_>) {
        if self.key.protocol != Protocol::TCP {
            if self.total.packets_in > 0 && self.total.packets_out > 0 {
                self.outcome = Outcome::Established;
            }
            return;
        }
        self.handshake.packet(outward, seen.flags, seen.seq, seen.ack, seen.payload_length);
        let unanswered =
            matches!(self.outcome, Outcome::Pending | Outcome::Silent | Outcome::Unknown | Outcome::Expired);
        if (unanswered || self.outcome == Outcome::HalfOpen) && self.handshake.is_made() {
            self.outcome = Outcome::Established;
        } else if unanswered && !outward && self.total.packets_out > 0 {
            if seen.flags & RST != 0 {
                self.outcome = Outcome::Refused;
            } else if seen.flags & SYN != 0 {
                self.outcome = Outcome::HalfOpen;
            }
        }
        if seen.flags & RST != 0 || (self.flags_out & FIN != 0 && self.flags_in & FIN != 0) {
            self.closing = true;
        }
    }

    /// Tells how the flow stands, and what came since it was told last.
    pub(crate) fn report(
        &mut self,
        phase: Phase,
        at: Timestamp,
        record: RecordRef,
        emit: &mut impl FnMut(Event),
    ) {
        let update = FlowUpdate {
            id: self.id,
            key: self.key,
            phase,
            first: self.first,
            last: self.last,
            delta: minus(&self.total, &self.reported),
            total: self.total,
            outcome: self.outcome,
            visibility: self.visibility(),
            service: self.service,
            src_mac: self.src_mac,
            dst_mac: self.dst_mac,
            hops: self.hops,
            flags_out: self.flags_out,
            flags_in: self.flags_in,
            opened_by: self.opened_by,
        };
        self.reported = self.total;
        self.reported_at = at;
        emit(Event { at, record, kind: EventKind::Flow(update) });
    }

    /// Gives a payload to the flow's session; one that has nothing left to learn ends.
    pub(crate) fn listen(&mut self, outward: bool, seen: &Seen<'_>, emit: &mut impl FnMut(Event)) {
        let context = self.context(seen.at, seen.record);
        let segment = Segment { outward, seq: seen.seq, payload: seen.payload, length: seen.payload_length };
        let mut tell = |kind| emit(Event { at: seen.at, record: seen.record, kind });
        let session = self.session.get_or_insert_with(|| Box::new(Session::new(self.key.protocol)));
        session.segment(&context, segment, &mut tell);
        self.service = session.service();
        self.session_over = session.is_finished();
        if self.session_over {
            self.session = None;
        }
    }

    /// What is still open in the session is told.
    pub(crate) fn end_session(&mut self, emit: &mut impl FnMut(Event)) {
        let Some(mut session) = self.session.take() else { return };
        let context = self.context(self.last, self.opened_by);
        session.close(&context, &mut |kind| emit(Event { at: context.at, record: context.record, kind }));
        self.service = session.service();
    }

    /// What kind of talk it is, as far as room is shared out by it.
    pub(crate) const fn kind(&self) -> Kind {
        Kind { datagrams: self.key.protocol.0 == Protocol::UDP.0, service: self.service }
    }

    pub(crate) fn context(&self, at: Timestamp, record: RecordRef) -> FlowContext {
        FlowContext {
            id: self.id,
            key: self.key,
            at,
            record,
            src_mac: self.src_mac,
            dst_mac: self.dst_mac,
            packets: self.total.packets_out + self.total.packets_in,
        }
    }

    /// The originator acknowledged what was not seen, so it was answered elsewhere, or pretends to be.
    pub(crate) const fn goes_on_unanswered(&self) -> bool {
        self.total.syns > 0
            && self.flags_out & (ACK | RST) == ACK
            && self.total.packets_in == 0
            && matches!(self.outcome, Outcome::Pending)
    }

    /// What it comes to that no answer was understood: silence, where an answer would have been seen and there was none.
    pub(crate) const fn without_answer(&self) -> Outcome {
        if self.answer_visible && self.total.packets_in == 0 { Outcome::Silent } else { Outcome::Unknown }
    }

    pub(crate) const fn unreported(&self) -> u64 {
        self.total.packets_out + self.total.packets_in - self.reported.packets_out - self.reported.packets_in
    }

    pub(crate) fn idle_class(&self) -> usize {
        match self.outcome {
            Outcome::Established if self.key.protocol == Protocol::TCP && !self.closing => 2,
            Outcome::Established => 1,
            _ => 0,
        }
    }

    pub(crate) const fn visibility(&self) -> Visibility {
        // An error by ICMP is an answer, too.
        let both = (self.total.packets_in > 0 && self.total.packets_out > 0)
            || matches!(self.outcome, Outcome::Refused | Outcome::Expired);
        if !both && !self.answer_visible {
            Visibility::OneWay
        } else if self.cut {
            Visibility::Truncated
        } else {
            Visibility::Both
        }
    }
}

/// Whether the first packet seen of a flow is an answer to something that was not seen.
pub(crate) fn opened_by_the_other(seen: &Seen<'_>) -> bool {
    if seen.key.protocol != Protocol::TCP {
        return seen.is_reply;
    }
    match seen.flags & (SYN | ACK) {
        flags if flags == SYN | ACK => true,
        SYN => false,
        // In the middle of a conversation the ports are all there is; a service's port is the lower kind.
        _ => {
            let (src, dst) = (seen.key.src_port, seen.key.dst_port);
            (src < 1024 && dst >= 1024) || (src < 32_768 && dst >= 32_768)
        }
    }
}

/// How far away a sender is, from what is left of the time to live: hosts begin with 64, 128 or 255. What begins lower,
/// as greetings to neighbours and traces of a route do, tells nothing.
const fn hops(ttl: u8) -> Option<u8> {
    match ttl {
        0..=31 => None,
        32..=64 => Some(64 - ttl),
        65..=128 => Some(128 - ttl),
        129.. => Some(255 - ttl),
    }
}

pub(crate) const fn reversed(key: &FlowKey) -> FlowKey {
    FlowKey {
        src: key.dst,
        dst: key.src,
        src_port: key.dst_port,
        dst_port: key.src_port,
        protocol: key.protocol,
    }
}

const fn minus(total: &Counts, reported: &Counts) -> Counts {
    Counts {
        packets_out: total.packets_out - reported.packets_out,
        packets_in: total.packets_in - reported.packets_in,
        bytes_out: total.bytes_out - reported.bytes_out,
        bytes_in: total.bytes_in - reported.bytes_in,
        payload_out: total.payload_out - reported.payload_out,
        payload_in: total.payload_in - reported.payload_in,
        syns: total.syns - reported.syns,
    }
}
