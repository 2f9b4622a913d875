//! The payload of one flow to events: what was said, by whom, and what it means.
//!
//! Guarantees: a service is recognised by what is said, never by the port. Whatever the payload, a session holds
//! at most about 3 KiB, never panics, and says [`Session::is_finished`] as soon as nothing is left to be learned.

use model::{EventKind, FlowKey, Mac, Protocol, RecordRef, Service, Timestamp};

/// What the flow table knows of the flow that a segment belongs to.
#[derive(Clone, Copy, Debug)]
pub struct FlowContext {
    /// The flow's number.
    pub id: u64,
    /// Who and what.
    pub key: FlowKey,
    /// Event time of the packet.
    pub at: Timestamp,
    /// Where the packet was read.
    pub record: RecordRef,
    /// Hardware address of the originator's side.
    pub src_mac: Option<Mac>,
    /// Hardware address of the responder's side.
    pub dst_mac: Option<Mac>,
    /// Packets of the flow so far.
    pub packets: u64,
}

/// The payload of one packet.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// From the flow's originator.
    pub outward: bool,
    /// TCP sequence number of the first payload byte; 0 for UDP.
    pub seq: u32,
    /// What was captured of the payload.
    pub payload: &'a [u8],
    /// Its true length; more than `payload.len()` where the snap length cut it.
    pub length: u32,
}

/// What is known of the conversation in one flow.
#[derive(Debug)]
pub struct Session {
    protocol: Protocol,
    service: Service,
    finished: bool,
}

impl Session {
    /// Nothing said yet.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        let finished = !matches!(protocol, Protocol::TCP | Protocol::UDP);
        Self { protocol, service: Service::Unknown, finished }
    }

    /// Takes the payload of the next packet of the flow, in order of arrival. Packets without payload are ignored.
    pub fn segment(&mut self, flow: &FlowContext, segment: Segment<'_>, emit: &mut dyn FnMut(EventKind)) {
        if self.finished || segment.length == 0 {
            return;
        }
        let _ = (self.protocol, flow, emit);
    }

    /// The flow ended or was given up: what is still open is told now.
    pub fn close(&mut self, flow: &FlowContext, emit: &mut dyn FnMut(EventKind)) {
        let _ = (flow, emit);
        self.finished = true;
    }

    /// The service as far as it is recognised.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.service
    }

    /// True where nothing is left to be learned: no further segment needs to be shown, nor the flow's end.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }
}
