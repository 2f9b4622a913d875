//! Cowrie, a honeypot for SSH and telnet: its JSON log (<https://docs.cowrie.org/en/latest/OUTPUT.html>).
//!
//! A record borrows nothing from its line, and only what is named here is taken from it.

use super::{LineError, json};
use std::{fmt, net::IpAddr};

/// One line of the honeypot's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, in RFC 3339.
    pub timestamp: String,
    /// The session's id.
    pub session: String,
    /// The visitor.
    pub src: Option<IpAddr>,
    /// What happened.
    pub act: Act,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A visitor connected; the honeypot's own address, port and what it plays.
    Connect {
        /// The honeypot's address.
        dst: Option<IpAddr>,
        /// Its port.
        dst_port: Option<u16>,
        /// `ssh` or `telnet`.
        protocol: Option<String>,
    },
    /// A try to log in.
    Login {
        /// It was let in.
        accepted: bool,
        /// The user's name.
        user: String,
        /// What was tried.
        password: Tried,
    },
    /// A command was typed.
    Command {
        /// The line.
        input: String,
    },
    /// A file was fetched, or brought along by the visitor.
    Download {
        /// Where it came from; absent where the visitor brought it.
        url: Option<String>,
    },
    /// The honeypot was asked to connect to somebody else.
    Relay,
    /// The session ended.
    Closed,
    /// Any other line.
    Other,
}

/// A password that was tried: to be matched against the list of factory passwords and then forgotten. It cannot be
/// printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Tried(String);

impl Tried {
    /// The password, for matching only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tried(..)")
    }
}

/// Reads one line.
///
/// # Errors
/// Names the field that is missing.
pub fn record(line: &[u8]) -> Result<Record, LineError> {
    let value = json::object(line)?;
    let event = json::text(&value, &["eventid"]).ok_or(LineError::Missing("eventid"))?;
    let owned = |key: &str| json::owned(&value, &[key]);
    let act = match event {
        "cowrie.session.connect" => Act::Connect {
            dst: json::address(&value, &["dst_ip"]),
            dst_port: json::port(&value, &["dst_port"]),
            protocol: owned("protocol"),
        },
        "cowrie.login.failed" | "cowrie.login.success" => Act::Login {
            accepted: event.ends_with("success"),
            user: owned("username").unwrap_or_default(),
            password: Tried(owned("password").unwrap_or_default()),
        },
        "cowrie.command.input" => Act::Command { input: owned("input").unwrap_or_default() },
        "cowrie.session.file_download"
        | "cowrie.session.file_download.failed"
        | "cowrie.session.file_upload" => Act::Download { url: owned("url") },
        "cowrie.direct-tcpip.request" => Act::Relay,
        "cowrie.session.closed" => Act::Closed,
        _ => Act::Other,
    };
    Ok(Record {
        timestamp: owned("timestamp").ok_or(LineError::Missing("timestamp"))?,
        session: owned("session").unwrap_or_default(),
        src: json::address(&value, &["src_ip"]),
        act,
    })
}
