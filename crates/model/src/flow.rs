//! Flows: who talked to whom, how much, and how much of it was visible.

use crate::{Mac, RecordRef, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// An IANA protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// Generic routing encapsulation.
    pub const GRE: Self = Self(47);
    /// ICMP for IPv6.
    pub const ICMP6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    /// True for both ICMPs.
    #[must_use]
    pub const fn is_icmp(self) -> bool {
        matches!(self.0, 1 | 58)
    }

    /// From a name as logs write it (`tcp`, `UDP`, `ipv6-icmp`, `47`).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let known = [
            ("tcp", Self::TCP),
            ("udp", Self::UDP),
            ("icmp", Self::ICMP),
            ("icmp6", Self::ICMP6),
            ("ipv6-icmp", Self::ICMP6),
            ("icmpv6", Self::ICMP6),
            ("gre", Self::GRE),
            ("sctp", Self::SCTP),
            ("igmp", Self(2)),
            ("esp", Self(50)),
        ];
        known
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, protocol)| *protocol)
            .or_else(|| name.parse().ok().map(Self))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.pad("icmp"),
            2 => f.pad("igmp"),
            6 => f.pad("tcp"),
            17 => f.pad("udp"),
            47 => f.pad("gre"),
            50 => f.pad("esp"),
            58 => f.pad("icmp6"),
            132 => f.pad("sctp"),
            other => f.pad(&format!("ip-{other}")),
        }
    }
}

/// Who opened the flow (`src`) to what (`dst`). For ICMP the ports are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The originator.
    pub src: IpAddr,
    /// The responder.
    pub dst: IpAddr,
    /// The originator's port.
    pub src_port: u16,
    /// The responder's port.
    pub dst_port: u16,
    /// The transport.
    pub protocol: Protocol,
}

/// What was counted in each direction; `out` is originator to responder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets from the originator.
    pub packets_out: u64,
    /// Packets from the responder.
    pub packets_in: u64,
    /// IP bytes from the originator (header included).
    pub bytes_out: u64,
    /// IP bytes from the responder.
    pub bytes_in: u64,
    /// Payload bytes above the transport from the originator.
    pub payload_out: u64,
    /// Payload bytes above the transport from the responder.
    pub payload_in: u64,
    /// Opening SYNs (without ACK) from the originator, retransmissions included.
    pub syns: u64,
}

/// How much of a flow could be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Both directions, or one with the certainty that the other would have been seen.
    #[default]
    Both,
    /// Only one direction passes the place where this was recorded.
    OneWay,
    /// Both directions, packets cut at the snap length before the end of their payload.
    Truncated,
}

impl Visibility {
    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::OneWay => "one-way",
            Self::Truncated => "truncated",
        }
    }
}

/// What became of the attempt to talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// No answer yet.
    #[default]
    Pending,
    /// No answer although one would have been seen.
    Silent,
    /// Refused by the responder: a reset, or ICMP unreachable.
    Refused,
    /// Lost on its way, as its way was too long (ICMP time exceeded): whoever it was meant for never saw it.
    Expired,
    /// TCP: answered with SYN-ACK, never completed by the originator.
    HalfOpen,
    /// TCP handshake completed, or data seen in both directions; UDP and others: answered.
    Established,
    /// The responder's direction is not visible: nothing can be said.
    Unknown,
}

impl Outcome {
    /// True where the attempt certainly came to nothing.
    #[must_use]
    pub const fn failed(self) -> bool {
        matches!(self, Self::Silent | Self::Refused)
    }
}

/// Where in a flow's life an update was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The first packet.
    Opened,
    /// The outcome is now known, or something notable changed.
    Changed,
    /// More of the same, a second or more after the last update.
    Progress,
    /// The flow ended or was given up.
    Closed,
    /// A log's summary: opened and closed at once; `first` and `last` span its life.
    Summary,
}

impl Phase {
    /// True where this update is the first word about its flow.
    #[must_use]
    pub const fn opens(self) -> bool {
        matches!(self, Self::Opened | Self::Summary)
    }

    /// True where this update is the last word about its flow.
    #[must_use]
    pub const fn closes(self) -> bool {
        matches!(self, Self::Closed | Self::Summary)
    }
}

/// An application protocol, recognised by what was said, never by the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Not recognised (yet).
    #[default]
    Unknown,
    /// Telnet, or a line-based login that behaves like it.
    Telnet,
    /// SSH.
    Ssh,
    /// HTTP 1.x.
    Http,
    /// TLS.
    Tls,
    /// MQTT.
    Mqtt,
    /// FTP control.
    Ftp,
    /// DNS.
    Dns,
    /// Multicast DNS.
    Mdns,
    /// SSDP.
    Ssdp,
    /// DHCP.
    Dhcp,
    /// NTP.
    Ntp,
    /// RTSP.
    Rtsp,
    /// CoAP.
    Coap,
    /// TFTP.
    Tftp,
    /// IRC.
    Irc,
    /// SMB.
    Smb,
    /// SIP.
    Sip,
    /// Media as it is sent on: RTP, MPEG transport streams.
    Media,
    /// Copies of packets on their way to who looks at them: VXLAN, TZSP.
    Mirror,
}

impl Service {
    /// The name used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Telnet => "telnet",
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Mqtt => "mqtt",
            Self::Ftp => "ftp",
            Self::Dns => "dns",
            Self::Mdns => "mdns",
            Self::Ssdp => "ssdp",
            Self::Dhcp => "dhcp",
            Self::Ntp => "ntp",
            Self::Rtsp => "rtsp",
            Self::Coap => "coap",
            Self::Tftp => "tftp",
            Self::Irc => "irc",
            Self::Smb => "smb",
            Self::Sip => "sip",
            Self::Media => "media",
            Self::Mirror => "mirror",
        }
    }
}

/// What is new about a flow since the last update. Updates come on opening, on every change of outcome, after a
/// second of activity and on closing, so that detectors see increments and never a packet.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowUpdate {
    /// Numbered in order of opening within one run.
    pub id: u64,
    /// Who and what.
    pub key: FlowKey,
    /// Where in its life.
    pub phase: Phase,
    /// When it was opened.
    pub first: Timestamp,
    /// The last packet so far.
    pub last: Timestamp,
    /// Counted since the last update.
    pub delta: Counts,
    /// Counted in all.
    pub total: Counts,
    /// What became of it so far.
    pub outcome: Outcome,
    /// How much could be seen so far.
    pub visibility: Visibility,
    /// The application protocol so far.
    pub service: Service,
    /// Hardware address of the originator's side as last seen, where the link has one.
    pub src_mac: Option<Mac>,
    /// Hardware address of the responder's side as last seen.
    pub dst_mac: Option<Mac>,
    /// Routers that the originator's packets passed before they were seen here, as far as their time to live tells.
    pub hops: Option<u8>,
    /// Union of the TCP flags from the originator.
    pub flags_out: u8,
    /// Union of the TCP flags from the responder.
    pub flags_in: u8,
    /// The record that opened it.
    pub opened_by: RecordRef,
}
