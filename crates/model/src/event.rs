//! Events: one thing that happened, seen by a sensor, gateway, server or foreign tool.
//!
//! Data minimisation is built in: an event never holds a tried password, and of payload only what its type says.

use crate::{FlowKey, FlowUpdate, Mac, Protocol, Service, Severity, Tactic, Technique, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where an event was read: which input, and which record of it (packets and lines are counted from 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordRef {
    /// Index of the input (file or interface).
    pub input: u32,
    /// Number of the record in it, from 1.
    pub record: u64,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Event time.
    pub at: Timestamp,
    /// Where it was read.
    pub record: RecordRef,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// A flow began, changed, went on or ended.
    Flow(FlowUpdate),
    /// A DNS message.
    Dns(Dns),
    /// An attempt to log in.
    Login(Login),
    /// Code or a loader's command on its way to a device.
    Transfer(Transfer),
    /// A small application message on a quiet flow (what keep-alives are made of).
    Message(Message),
    /// A request of an application protocol.
    Request(AppRequest),
    /// An ARP packet.
    Arp(Arp),
    /// A DHCP packet.
    Dhcp(Dhcp),
    /// Something that tells what a device is.
    Hint(Hint),
    /// Another tool's alert.
    Alert(Alert),
    /// A honeypot's observation.
    Honeypot(Honeypot),
}

/// A DNS message over UDP or TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Who asked.
    pub client: IpAddr,
    /// Hardware address of the client's side of the flow, where the link shows one.
    pub client_mac: Option<Mac>,
    /// Who is asked.
    pub server: IpAddr,
    /// The server's port.
    pub server_port: u16,
    /// An answer, not a question.
    pub response: bool,
    /// A question was seen in the same flow before: an answer answers it.
    pub asked: bool,
    /// The first question's name in lower case without the last dot; empty for the root.
    pub name: String,
    /// The first question's type.
    pub qtype: u16,
    /// The answer's code (0 in questions).
    pub rcode: u8,
    /// Addresses in the answer.
    pub answers: Vec<IpAddr>,
    /// Length of the message in bytes.
    pub length: usize,
}

/// How an attempt to log in went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoginOutcome {
    /// Tried; the answer is not known.
    Tried,
    /// Refused by the server.
    Refused,
    /// Accepted: a prompt, command output or a positive answer followed.
    Accepted,
    /// Probably accepted, judged from an encrypted session's shape.
    Possible,
}

/// An attempt to log in. One event per attempt; outcome updates come as further events with the same flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The flow it happened in.
    pub flow: u64,
    /// Who and what.
    pub key: FlowKey,
    /// The protocol.
    pub service: Service,
    /// How it went.
    pub outcome: LoginOutcome,
    /// The entry of the factory-password list that matched; never what was typed.
    pub factory: Option<String>,
    /// Tells what was tried from what was tried before: a digest under a key that this run made up and forgets. Unset
    /// where name and password were not seen.
    pub secret: Option<u64>,
}

/// What kind of code was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferKind {
    /// An ELF program.
    Elf,
    /// A shell script that fetches and runs more.
    Script,
    /// A loader's command in a shell session (busybox wget, tftp, echo of program bytes).
    LoaderCommand,
    /// A command in a shell session that only fetches a file, or only makes one executable: people type those, too.
    TypedFetch,
    /// A shell command injected into a request.
    InjectedCommand,
    /// Another executable (Windows, macOS, Android).
    Executable,
}

/// Code or a loader's command on its way to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The flow it was seen in.
    pub flow: u64,
    /// Its key.
    pub key: FlowKey,
    /// Who receives (and would run) it.
    pub to: IpAddr,
    /// Who sends it.
    pub from: IpAddr,
    /// What it is.
    pub kind: TransferKind,
    /// The protocol it came by.
    pub service: Service,
    /// What it looked like: the rule that matched, at most 80 characters, no payload.
    pub what: String,
}

/// A small application message on a quiet flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The flow.
    pub flow: u64,
    /// Its key.
    pub key: FlowKey,
    /// From the originator (else from the responder).
    pub outward: bool,
    /// Payload length in bytes.
    pub length: u32,
    /// Digest of the payload, to tell repeated messages.
    pub digest: u64,
    /// Number of this message in its flow and direction, from 1.
    pub number: u32,
}

/// A request of an application protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRequest {
    /// The flow.
    pub flow: u64,
    /// Its key.
    pub key: FlowKey,
    /// The protocol.
    pub service: Service,
    /// The method or message type, such as `GET`.
    pub method: String,
    /// The host asked for, where named.
    pub host: Option<String>,
    /// Digest of the path without its query.
    pub path_digest: u64,
    /// The answer's status code, where this event is made by an answer.
    pub status: Option<u16>,
    /// The client's name for itself, where it is one that only scanners and bots use.
    pub scanner: Option<String>,
}

/// ARP operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArpOperation {
    /// Who has?
    Request,
    /// Is at.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Question or answer.
    pub operation: ArpOperation,
    /// The Ethernet source, which can differ from the sender named inside.
    pub frame_src: Mac,
    /// Sent to everybody.
    pub broadcast: bool,
    /// The sender's hardware address as claimed.
    pub sender_mac: Mac,
    /// The sender's address as claimed.
    pub sender: IpAddr,
    /// The target's hardware address.
    pub target_mac: Mac,
    /// The target's address.
    pub target: IpAddr,
}

/// DHCP message types that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DhcpOperation {
    /// A client looks for a server.
    Discover,
    /// A server offers.
    Offer,
    /// A client takes an offer or renews.
    Request,
    /// A server grants.
    Ack,
    /// A server refuses.
    Nak,
    /// Any other.
    Other,
}

/// A DHCP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp {
    /// What it is.
    pub operation: DhcpOperation,
    /// Ethernet source.
    pub frame_src: Option<Mac>,
    /// IP source.
    pub sender: IpAddr,
    /// The client's hardware address.
    pub client: Mac,
    /// The address offered, granted or asked for.
    pub address: Option<IpAddr>,
    /// The server's identifier.
    pub server: Option<IpAddr>,
    /// The routers that a server hands out.
    pub routers: Vec<IpAddr>,
    /// The resolvers that a server hands out.
    pub resolvers: Vec<IpAddr>,
    /// Relayed by a DHCP relay.
    pub relayed: bool,
    /// The number that the client gave to what it asked.
    pub transaction: u32,
    /// A grant that the client was seen to ask for, of the server that offered it.
    pub asked: bool,
}

/// Where a hint about a device came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HintKind {
    /// DHCP option 12.
    DhcpHostname,
    /// DHCP option 60.
    DhcpVendorClass,
    /// DHCP option 55, as `1,3,6,15`.
    DhcpParameters,
    /// DHCP option 61 in hexadecimal, where it is not the hardware address again.
    DhcpClientId,
    /// A service, or an instance of one, in multicast DNS.
    Mdns,
    /// The machine's own name in multicast DNS, without `.local`.
    MdnsHost,
    /// An SSDP server or device type.
    Ssdp,
    /// The UUID by which a device is known in SSDP.
    Uuid,
    /// What a device announces as its maker, model or product.
    Model,
    /// The name that somebody gave to a device, as it announces it.
    GivenName,
    /// An HTTP user agent.
    UserAgent,
    /// An HTTP server header or realm.
    HttpServer,
    /// A greeting of telnet, SSH, FTP or RTSP.
    Banner,
    /// A name that the device resolves or asks for in TLS: whose cloud it talks to.
    Cloud,
    /// How the device greets as a TLS client (JA4).
    Ja4,
    /// A protocol that the device serves (`rtsp`, `snmp`, ...).
    Serves,
    /// The device answered as a gateway, resolver, DHCP or time server (`router`, `resolver`, `dhcp`, `time`).
    Function,
}

/// Something that tells what a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Its address, where known.
    pub address: Option<IpAddr>,
    /// Its hardware address, where known.
    pub mac: Option<Mac>,
    /// Where the hint came from.
    pub kind: HintKind,
    /// The text, at most 128 characters.
    pub value: String,
}

/// Another tool's alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// From the flow's originator to its responder, or from source to target where the rule names them.
    pub key: FlowKey,
    /// The rule's name.
    pub signature: String,
    /// The rule's number.
    pub signature_id: u64,
    /// The rule's class.
    pub category: String,
    /// Severity as the tool rates it, in our words.
    pub severity: Severity,
    /// True where the rule only knows that an address has a bad name.
    pub reputation: bool,
    /// True where the rule speaks of the protocol's form or of policy, not of an attack.
    pub noise: bool,
    /// What the rule says of the tactic, where it does.
    pub tactic: Option<Tactic>,
    /// The rule's ATT&CK technique, where it names one.
    pub technique: Option<Technique>,
    /// The alert's flow was a conversation over TCP: both ends heard each other.
    pub answered: bool,
}

/// What a visitor of a honeypot did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoneypotAct {
    /// Opened a session.
    Connected,
    /// Tried a password in vain; the factory entry that it matched, if any.
    Refused(Option<String>),
    /// Was let in.
    Accepted(Option<String>),
    /// Ran a command; true where it is a loader's.
    Command {
        /// A loader's command: fetches, writes or runs code.
        loader: bool,
        /// What it looked like: the rule that matched, no more.
        what: String,
    },
    /// Fetched or brought a file; the host it came from.
    Download(Option<IpAddr>),
    /// Used the honeypot as a relay to somebody else.
    Relay,
}

/// A honeypot's observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Honeypot {
    /// The session's name in the honeypot.
    pub session: String,
    /// The visitor.
    pub client: IpAddr,
    /// The honeypot; unspecified where the log does not say.
    pub server: IpAddr,
    /// Its port; 0 where the log does not say.
    pub port: u16,
    /// TCP, as far as is known.
    pub protocol: Protocol,
    /// What it played.
    pub service: Service,
    /// What the visitor did.
    pub act: HoneypotAct,
}

impl Message {
    /// The digest of a message's payload (FNV-1a), so that a detector can name a message without having seen it.
    #[must_use]
    pub const fn digest_of(payload: &[u8]) -> u64 {
        let mut digest = 0xcbf2_9ce4_8422_2325_u64;
        let mut rest = payload;
        while let Some((&byte, tail)) = rest.split_first() {
            digest = (digest ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
            rest = tail;
        }
        digest
    }
}
