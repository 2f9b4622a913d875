//! One TCP flow: payload put in order, recognised, and given to the talk that it turned out to be.
//!
//! Guarantees: what was retransmitted is seen once; one segment of at most 512 bytes out of order is held for its
//! predecessor; what is missing after that, and what the snap length cut, is told to the talk as lost bytes.

use super::messages::Messages;
use super::recognise::{Guess, Talk, guess};
use super::teller::{Side, Teller, Told};
use super::{Conversation, FlowContext, Segment, ftp, mqtt, raw, resolve, ssh, telnet, tls, web};
use model::{EventKind, Service};

const HOLD: usize = 512;
const BEGINNING: usize = 1024;
/// Sequence numbers that jump further than any window are a new beginning.
const WINDOW: i32 = 16 << 20;

#[derive(Debug, Default)]
struct Direction {
    next: Option<u32>,
    /// A segment that came before its predecessor: sequence number, payload, true length.
    held: Option<Box<(u32, Vec<u8>, u32)>>,
    /// The beginning, until it is known what it is.
    beginning: Vec<u8>,
    segments: u32,
    nothing: bool,
}

/// See the module.
pub(super) struct Stream {
    outward: Direction,
    inward: Direction,
    outward_first: Option<bool>,
    talk: Option<Box<dyn Conversation>>,
    client_outward: bool,
    messages: Messages,
    pub(super) service: Service,
    told: Told,
}

/// A payload in its place.
#[derive(Clone, Copy)]
struct Piece<'a> {
    outward: bool,
    bytes: &'a [u8],
    /// How many bytes are missing behind it.
    lost: u32,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self {
            outward: Direction::default(),
            inward: Direction::default(),
            outward_first: None,
            talk: None,
            client_outward: true,
            messages: Messages::default(),
            service: Service::Unknown,
            told: Told::default(),
        }
    }

    const fn direction(&mut self, outward: bool) -> &mut Direction {
        if outward { &mut self.outward } else { &mut self.inward }
    }

    pub(super) fn segment(
        &mut self,
        flow: &FlowContext,
        segment: Segment<'_>,
        emit: &mut dyn FnMut(EventKind),
    ) {
        let direction = self.direction(segment.outward);
        let next = direction.next.unwrap_or(segment.seq);
        let ahead = segment.seq.wrapping_sub(next) as i32;
        if ahead.saturating_abs() > WINDOW {
            self.settle(flow, segment.outward, emit);
            self.accept(flow, segment, 1, emit);
        } else if ahead <= 0 {
            let known = ahead.unsigned_abs();
            if known >= segment.length {
                return;
            }
            let payload = segment.payload.get(known as usize..).unwrap_or_default();
            let rest = Segment { seq: next, payload, length: segment.length - known, ..segment };
            self.accept(flow, rest, 0, emit);
            self.release(flow, segment.outward, false, emit);
        } else if direction.held.is_none() && segment.payload.len() <= HOLD {
            direction.held = Some(Box::new((segment.seq, segment.payload.to_vec(), segment.length)));
        } else {
            // Its predecessor is not coming: go on behind the gap.
            self.settle(flow, segment.outward, emit);
            let next = self.direction(segment.outward).next.unwrap_or(segment.seq);
            let gap = segment.seq.wrapping_sub(next) as i32;
            if gap >= 0 {
                self.accept(flow, segment, gap.unsigned_abs(), emit);
            } else if gap.unsigned_abs() < segment.length {
                let known = gap.unsigned_abs();
                let payload = segment.payload.get(known as usize..).unwrap_or_default();
                self.accept(flow, Segment { payload, length: segment.length - known, ..segment }, 0, emit);
            }
        }
    }

    /// Gives up waiting for what is missing before the held segment.
    fn settle(&mut self, flow: &FlowContext, outward: bool, emit: &mut dyn FnMut(EventKind)) {
        self.release(flow, outward, true, emit);
    }

    /// Takes up the held segment if its turn has come, or `anyway`.
    fn release(&mut self, flow: &FlowContext, outward: bool, anyway: bool, emit: &mut dyn FnMut(EventKind)) {
        let direction = self.direction(outward);
        let Some(held) = direction.held.take() else { return };
        let (seq, payload, length) = *held;
        let gap = seq.wrapping_sub(direction.next.unwrap_or(seq)) as i32;
        if gap > 0 && !anyway {
            direction.held = Some(Box::new((seq, payload, length)));
            return;
        }
        let known = if gap < 0 { gap.unsigned_abs() } else { 0 };
        if known < length {
            let rest = payload.get(known as usize..).unwrap_or_default();
            let segment =
                Segment { outward, seq: seq.wrapping_add(known), payload: rest, length: length - known };
            self.accept(flow, segment, gap.max(0).unsigned_abs(), emit);
        }
    }

    /// A segment in its place, `gap` bytes behind the last one.
    fn accept(
        &mut self,
        flow: &FlowContext,
        segment: Segment<'_>,
        gap: u32,
        emit: &mut dyn FnMut(EventKind),
    ) {
        let outward = segment.outward;
        let direction = self.direction(outward);
        direction.next = Some(segment.seq.wrapping_add(segment.length));
        direction.segments = direction.segments.saturating_add(1);
        if gap > 0 {
            self.piece(flow, Piece { outward, bytes: &[], lost: gap }, emit);
        }
        let payload = segment.payload.get(..segment.length as usize).unwrap_or(segment.payload);
        let lost = segment.length - u32::try_from(payload.len()).unwrap_or(segment.length);
        self.piece(flow, Piece { outward, bytes: payload, lost }, emit);
        if matches!(self.service, Service::Unknown | Service::Irc) {
            self.messages.count(flow, &segment, emit);
        }
    }

    fn piece(&mut self, flow: &FlowContext, piece: Piece<'_>, emit: &mut dyn FnMut(EventKind)) {
        if self.talk.is_some() {
            self.talk_on(flow, piece, emit);
            return;
        }
        if !piece.bytes.is_empty() {
            self.outward_first.get_or_insert(piece.outward);
        }
        let direction = self.direction(piece.outward);
        let room = BEGINNING - direction.beginning.len().min(BEGINNING);
        direction.beginning.extend_from_slice(piece.bytes.get(..room).unwrap_or(piece.bytes));
        let beyond = piece.bytes.get(room..).unwrap_or_default();
        if !self.recognise(flow, emit) {
            if piece.lost == 0 && beyond.is_empty() {
                return;
            }
            if piece.lost > 0 && self.direction(piece.outward).segments < 4 {
                // The beginning is lost; a later segment may begin with something that is known.
                self.direction(piece.outward).beginning.clear();
                return;
            }
            self.begin(flow, None, emit);
        }
        self.talk_on(flow, Piece { bytes: beyond, ..piece }, emit);
    }

    /// True once the talk has begun, with what was said so far.
    fn recognise(&mut self, flow: &FlowContext, emit: &mut dyn FnMut(EventKind)) -> bool {
        let mut silent = 0;
        for outward in [true, false] {
            let (own, other) =
                if outward { (&self.outward, &self.inward) } else { (&self.inward, &self.outward) };
            if own.nothing || own.beginning.is_empty() {
                silent += u8::from(own.beginning.is_empty());
                continue;
            }
            match guess(&own.beginning, &other.beginning) {
                Guess::Known(talk, client) => {
                    self.client_outward = client.is_none_or(|client| client == outward);
                    self.begin(flow, Some(talk), emit);
                    return true;
                }
                Guess::Open if own.beginning.len() < BEGINNING => {}
                Guess::Open | Guess::Nothing => self.direction(outward).nothing = true,
            }
        }
        let nothing = |direction: &Direction| direction.nothing;
        let spoken = if self.outward.beginning.is_empty() { &self.inward } else { &self.outward };
        let given_up = match silent {
            0 => nothing(&self.outward) && nothing(&self.inward),
            // Only one side has spoken, and says nothing that is known: wait for the other, but not for long.
            _ => nothing(spoken) && (spoken.segments >= 4 || spoken.beginning.len() >= BEGINNING),
        };
        if given_up {
            self.begin(flow, None, emit);
        }
        given_up
    }

    fn begin(&mut self, flow: &FlowContext, talk: Option<Talk>, emit: &mut dyn FnMut(EventKind)) {
        let (service, conversation): (Service, Box<dyn Conversation>) = match talk {
            None | Some(Talk::Program) => (Service::Unknown, Box::new(raw::Raw::new())),
            Some(Talk::Dns) => (Service::Dns, Box::new(resolve::DnsStream::default())),
            Some(Talk::Ftp) => (Service::Ftp, Box::new(ftp::Ftp::new())),
            Some(Talk::Irc) => (Service::Irc, Box::new(raw::Named)),
            Some(Talk::Mail) => (Service::Unknown, Box::new(raw::Named)),
            Some(Talk::Mqtt) => (Service::Mqtt, Box::new(mqtt::Mqtt::default())),
            Some(Talk::Smb) => (Service::Smb, Box::new(raw::Named)),
            Some(Talk::Ssh) => (Service::Ssh, Box::new(ssh::Ssh::default())),
            Some(Talk::Telnet) => (Service::Telnet, Box::new(telnet::Telnet::new())),
            Some(Talk::Tls) => (Service::Tls, Box::new(tls::Tls::default())),
            Some(Talk::TlsLater) => (Service::Tls, Box::new(raw::Named)),
            Some(Talk::Web(family)) => (web::service(family), Box::new(web::Web::new(family))),
        };
        self.service = service;
        self.talk = Some(conversation);
        if talk == Some(Talk::Mail) {
            self.messages.give_up();
        }
        let first = self.outward_first.unwrap_or(true);
        for outward in [first, !first] {
            let bytes = std::mem::take(&mut self.direction(outward).beginning);
            if !bytes.is_empty() {
                self.talk_on(flow, Piece { outward, bytes: &bytes, lost: 0 }, emit);
            }
        }
    }

    fn talk_on(&mut self, flow: &FlowContext, piece: Piece<'_>, emit: &mut dyn FnMut(EventKind)) {
        let Some(talk) = self.talk.as_mut() else { return };
        if piece.bytes.is_empty() && piece.lost == 0 {
            return;
        }
        let from = if piece.outward == self.client_outward { Side::Client } else { Side::Server };
        let mut tell = Teller {
            flow,
            service: self.service,
            client_outward: self.client_outward,
            told: &mut self.told,
            emit,
        };
        talk.heard(from, piece.bytes, piece.lost, &mut tell);
    }

    pub(super) fn close(&mut self, flow: &FlowContext, emit: &mut dyn FnMut(EventKind)) {
        for outward in [true, false] {
            self.settle(flow, outward, emit);
        }
        if self.talk.is_none() {
            self.begin(flow, None, emit);
        }
        let Some(talk) = self.talk.as_mut() else { return };
        let mut tell = Teller {
            flow,
            service: self.service,
            client_outward: self.client_outward,
            told: &mut self.told,
            emit,
        };
        talk.close(&mut tell);
    }

    /// Nothing further can be learned, also not from the flow's end.
    pub(super) fn is_finished(&self) -> bool {
        let said = self.talk.as_ref().is_some_and(|talk| talk.is_finished());
        said && (!matches!(self.service, Service::Unknown | Service::Irc) || self.messages.is_over())
    }
}
