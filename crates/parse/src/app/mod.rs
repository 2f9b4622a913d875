//! Application protocols: what a payload says, read from borrowed bytes.
//!
//! Guarantees: results borrow from the payload, nothing is kept between calls (but for the few bytes of state that
//! [`telnet::Stripper`] shows), and no payload can panic any parser. A result is only given for what is certainly
//! the protocol: these parsers are asked about any port.

pub mod coap;
pub mod dhcp;
pub mod dns;
pub mod field;
pub mod ftp;
pub mod http;
pub mod irc;
pub mod ja4;
pub mod mdns;
pub mod mqtt;
pub mod ntp;
mod reader;
pub mod rtsp;
pub mod ssdp;
pub mod ssh;
pub mod telnet;
pub mod tftp;
pub mod tls;

/// Why a payload was not read as the protocol that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// What is there fits, but more is needed to tell.
    #[error("incomplete: more bytes are needed")]
    Incomplete,
    /// Not this protocol.
    #[error("not this protocol: expected {0}")]
    Not(&'static str),
}
