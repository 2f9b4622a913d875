//! Packets from a network interface: an `AF_PACKET` ring shared with the kernel (TPACKET_V3), and the privileges
//! that a thread may give up once its rings are open.
//!
//! Guarantees: all `unsafe` of the house is in this crate. A [`Ring`] only listens; a reader that is too slow loses
//! packets, never traffic, and the loss is counted. A ring holds a fixed amount of memory. Frames are handed out
//! in place, each once, with the VLAN tag that the kernel took off put back. After [`Ring::open`] no privilege is
//! needed any more: an interface that goes down, vanishes or comes back is followed on the same socket.

mod error;
mod interface;
mod mapping;
mod privilege;
mod ring;
mod socket;

pub use error::CaptureError;
pub use privilege::{Capability, limit_thread};
pub use ring::{Counters, Direction, Frame, Options, Ring, State, wait};

/// Frames with an Ethernet header (LINKTYPE_ETHERNET).
pub const LINK_ETHERNET: u16 = 1;
/// Bare IP packets (LINKTYPE_RAW).
pub const LINK_RAW: u16 = 101;
