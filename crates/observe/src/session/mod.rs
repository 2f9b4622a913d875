//! The payload of one flow to events: what was said, by whom, and what it means.
//!
//! Guarantees: a service is recognised by what is said, never by the port. Whatever the payload, a session holds at
//! most about 4 KiB (some hundred bytes as a rule, two dozen for most flows of UDP), never panics, and says
//! [`Session::is_finished`] as soon as nothing is left to be learned. A tried password is gone, overwritten, as soon
//! as it was looked up.
//!
//! Logins: one event per attempt when its outcome is known; `Tried` where the flow ends without one. An SSH connection
//! is one attempt, told once. One exception, in which a later event of the same flow corrects an earlier one: telnet
//! tells `Accepted` after `Refused` where a shell's prompt follows words that looked like a refusal.

pub(crate) mod code;
mod datagram;
pub mod factory;
mod ftp;
mod lines;
mod messages;
mod mqtt;
mod raw;
mod recognise;
mod resolve;
mod ssh;
mod stream;
mod teller;
mod telnet;
mod tls;
mod web;

pub use code::loader_command;

use datagram::Datagrams;
use model::{EventKind, FlowKey, Mac, Protocol, RecordRef, Service, Timestamp};
use stream::Stream;
use teller::{Side, Teller};

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
pub struct Session(State);

enum State {
    /// Nothing said yet.
    Fresh(Protocol),
    Stream(Box<Stream>),
    Datagrams(Datagrams),
    Finished(Service),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("service", &self.service())
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl Session {
    /// Nothing said yet.
    #[must_use]
    pub const fn new(protocol: Protocol) -> Self {
        Self(match protocol {
            Protocol::TCP | Protocol::UDP => State::Fresh(protocol),
            _ => State::Finished(Service::Unknown),
        })
    }

    /// Takes the payload of the next packet of the flow, in order of arrival. Packets without payload are ignored.
    pub fn segment(&mut self, flow: &FlowContext, segment: Segment<'_>, emit: &mut dyn FnMut(EventKind)) {
        if segment.length == 0 {
            return;
        }
        if let State::Fresh(protocol) = self.0 {
            self.0 = if protocol == Protocol::UDP {
                State::Datagrams(Datagrams::new())
            } else {
                State::Stream(Box::new(Stream::new()))
            };
        }
        match &mut self.0 {
            State::Stream(stream) => {
                stream.segment(flow, segment, emit);
                if stream.is_finished() {
                    self.0 = State::Finished(stream.service);
                }
            }
            State::Datagrams(datagrams) => {
                datagrams.segment(flow, segment, emit);
                if datagrams.is_finished() {
                    self.0 = State::Finished(datagrams.service);
                }
            }
            State::Fresh(_) | State::Finished(_) => {}
        }
    }

    /// The flow ended or was given up: what is still open is told now.
    pub fn close(&mut self, flow: &FlowContext, emit: &mut dyn FnMut(EventKind)) {
        match &mut self.0 {
            State::Stream(stream) => stream.close(flow, emit),
            State::Datagrams(datagrams) => datagrams.close(flow, emit),
            State::Fresh(_) | State::Finished(_) => {}
        }
        self.0 = State::Finished(self.service());
    }

    /// The service as far as it is recognised.
    #[must_use]
    pub fn service(&self) -> Service {
        match &self.0 {
            State::Fresh(_) => Service::Unknown,
            State::Stream(stream) => stream.service,
            State::Datagrams(datagrams) => datagrams.service,
            State::Finished(service) => *service,
        }
    }

    /// True where nothing is left to be learned: no further segment needs to be shown, nor the flow's end.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self.0, State::Finished(_))
    }
}

/// A recognised talk over TCP.
trait Conversation: Send {
    /// One side said `bytes`, behind which `lost` bytes are missing.
    fn heard(&mut self, from: Side, bytes: &[u8], lost: u32, tell: &mut Teller<'_>);

    /// The flow is over.
    fn close(&mut self, tell: &mut Teller<'_>);

    /// Nothing further can be learned, also not from the end.
    fn is_finished(&self) -> bool;
}

/// Digest of a path or a small payload (FNV-1a of 64 bits): the same in every run and on every machine.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
