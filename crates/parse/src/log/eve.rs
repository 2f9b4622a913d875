//! Suricata's EVE, a JSON object a line (<https://docs.suricata.io/en/latest/output/eve/eve-json-format.html>).
//!
//! Versions 4 to 8 are read: DNS in its three forms, alerts with and without the flow's own addresses.

use super::{LineError, json};
use serde_json::Value;
use std::net::IpAddr;

/// The most entries of a list in a record that are taken.
const MAX_LIST: usize = 64;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Eve {
    /// When, in RFC 3339 (the offset without its colon).
    pub timestamp: String,
    /// The flow's id.
    pub flow_id: Option<u64>,
    /// Addresses as the record names them; absent in records about Suricata itself.
    pub ends: Option<Ends>,
    /// The application protocol that was recognised.
    pub app_proto: Option<String>,
    /// Hardware address of the packet's sender, where logged.
    pub src_mac: Option<String>,
    /// Hardware address of the packet's receiver, where logged.
    pub dst_mac: Option<String>,
    /// What the record is about.
    pub kind: Kind,
}

/// Who talks to whom, as a record names it. Ports are 0 where there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Source.
    pub src: IpAddr,
    /// Source port.
    pub src_port: u16,
    /// Destination.
    pub dst: IpAddr,
    /// Destination port.
    pub dst_port: u16,
    /// The transport's name.
    pub protocol: String,
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A flow ended.
    Flow(Box<Flow>),
    /// A rule matched.
    Alert(Box<Alert>),
    /// A DNS message.
    Dns(Box<Dns>),
    /// An HTTP transaction.
    Http(Box<Http>),
    /// An SSH session was recognised.
    Ssh(Ssh),
    /// A TLS session was recognised.
    Tls(Tls),
    /// A file was seen.
    File(Box<File>),
    /// An FTP command.
    Ftp(Box<Ftp>),
    /// A message of MQTT.
    Mqtt(Mqtt),
    /// A request of another protocol: its event type, and its method where one is named.
    Request {
        /// Such as `sip`.
        event_type: String,
        /// Such as `REGISTER`.
        method: Option<String>,
    },
    /// Anything else, by its event type.
    Other(String),
}

/// Counters of a flow, as flow records and alerts carry them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets from the originator.
    pub packets_to_server: u64,
    /// Packets from the responder.
    pub packets_to_client: u64,
    /// Bytes from the originator.
    pub bytes_to_server: u64,
    /// Bytes from the responder.
    pub bytes_to_client: u64,
    /// When the flow began.
    pub start: Option<String>,
}

/// A flow that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// What was counted.
    pub counters: Counters,
    /// When it ended.
    pub end: Option<String>,
    /// `new`, `established`, `closed`, `bypassed`.
    pub state: Option<String>,
    /// TCP's state, such as `syn_sent`.
    pub tcp_state: Option<String>,
    /// TCP flags from the originator.
    pub flags_to_server: Option<u8>,
    /// TCP flags from the responder.
    pub flags_to_client: Option<u8>,
}

/// A rule that matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alert {
    /// The rule's name.
    pub signature: String,
    /// The rule's number.
    pub signature_id: u64,
    /// The rule's class.
    pub category: String,
    /// 1 is the worst.
    pub severity: u64,
    /// `to_server` or `to_client`, where the version says.
    pub to_client: Option<bool>,
    /// The flow's originator, where the version says.
    pub originator: Option<(IpAddr, u16)>,
    /// Who attacks, where the rule says (`target` keyword).
    pub source: Option<(IpAddr, u16)>,
    /// Who is attacked, where the rule says.
    pub target: Option<(IpAddr, u16)>,
    /// ATT&CK technique ids in the rule's metadata.
    pub techniques: Vec<String>,
    /// ATT&CK tactic names in the rule's metadata.
    pub tactics: Vec<String>,
    /// Tags and former categories in the rule's metadata.
    pub tags: Vec<String>,
    /// The flow so far, where logged.
    pub flow: Option<Counters>,
    /// An application's protocol was recognised in the flow.
    pub talks: bool,
}

/// A DNS message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// An answer.
    pub response: bool,
    /// The name asked for.
    pub name: String,
    /// The type asked for, such as `A`.
    pub qtype: String,
    /// The answer's code, such as `NXDOMAIN`.
    pub rcode: Option<String>,
    /// Addresses in the answer.
    pub answers: Vec<IpAddr>,
}

/// An HTTP transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// The method.
    pub method: Option<String>,
    /// The host asked for.
    pub host: Option<String>,
    /// The path with its query.
    pub url: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The answer's code.
    pub status: Option<u16>,
}

/// An SSH session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssh {
    /// The client's software.
    pub client: Option<String>,
    /// The server's software.
    pub server: Option<String>,
}

/// A TLS session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The name asked for.
    pub sni: Option<String>,
    /// How the client greets.
    pub ja4: Option<String>,
}

/// A file on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// What libmagic calls it.
    pub magic: Option<String>,
    /// The method, where it came by HTTP.
    pub method: Option<String>,
}

/// An FTP command with its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ftp {
    /// The command.
    pub command: String,
    /// The answer's codes.
    pub codes: Vec<String>,
}

/// What an MQTT record says of a login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mqtt {
    /// A CONNECT, and whether it named a user.
    pub connect: Option<bool>,
    /// A CONNACK's return code.
    pub connack: Option<u64>,
}

/// Reads one line.
///
/// # Errors
/// Names the field that is missing.
pub fn record(line: &[u8]) -> Result<Eve, LineError> {
    let value = json::object(line)?;
    let event_type = json::text(&value, &["event_type"]).ok_or(LineError::Missing("event_type"))?;
    Ok(Eve {
        timestamp: json::owned(&value, &["timestamp"]).ok_or(LineError::Missing("timestamp"))?,
        flow_id: json::number(&value, &["flow_id"]),
        ends: ends(&value),
        app_proto: json::owned(&value, &["app_proto"]),
        src_mac: json::owned(&value, &["ether", "src_mac"]),
        dst_mac: json::owned(&value, &["ether", "dest_mac"]),
        kind: kind(&value, event_type),
    })
}

fn ends(value: &Value) -> Option<Ends> {
    Some(Ends {
        src: json::address(value, &["src_ip"])?,
        src_port: json::port(value, &["src_port"]).unwrap_or(0),
        dst: json::address(value, &["dest_ip"])?,
        dst_port: json::port(value, &["dest_port"]).unwrap_or(0),
        protocol: json::owned(value, &["proto"])?,
    })
}

fn kind(value: &Value, event_type: &str) -> Kind {
    match event_type {
        "flow" => Kind::Flow(Box::new(flow(value))),
        "alert" => Kind::Alert(Box::new(alert(value))),
        "dns" => Kind::Dns(Box::new(dns(value))),
        "http" => Kind::Http(Box::new(Http {
            method: json::owned(value, &["http", "http_method"]),
            host: json::owned(value, &["http", "hostname"]),
            url: json::owned(value, &["http", "url"]),
            user_agent: json::owned(value, &["http", "http_user_agent"]),
            status: json::port(value, &["http", "status"]),
        })),
        "ssh" => Kind::Ssh(Ssh {
            client: json::owned(value, &["ssh", "client", "software_version"]),
            server: json::owned(value, &["ssh", "server", "software_version"]),
        }),
        "tls" => Kind::Tls(Tls {
            sni: json::owned(value, &["tls", "sni"]),
            ja4: json::owned(value, &["tls", "ja4"]),
        }),
        "quic" => Kind::Tls(Tls {
            sni: json::owned(value, &["quic", "sni"]),
            ja4: json::owned(value, &["quic", "ja4"]),
        }),
        "fileinfo" => Kind::File(Box::new(File {
            magic: json::owned(value, &["fileinfo", "magic"]),
            method: json::owned(value, &["http", "http_method"]),
        })),
        "ftp" => Kind::Ftp(Box::new(Ftp {
            command: json::owned(value, &["ftp", "command"]).unwrap_or_default(),
            codes: json::texts(value, &["ftp", "completion_code"], 8),
        })),
        "mqtt" => Kind::Mqtt(Mqtt {
            connect: json::at(value, &["mqtt", "connect"]).map(|connect| {
                json::flag(connect, &["flags", "username"]) || connect.get("username").is_some()
            }),
            connack: json::number(value, &["mqtt", "connack", "return_code"]),
        }),
        "sip" => request(value, event_type, &["sip", "method"]),
        "smb" => request(value, event_type, &["smb", "command"]),
        "tftp" => request(value, event_type, &["tftp", "packet"]),
        other => Kind::Other(other.to_owned()),
    }
}

fn request(value: &Value, event_type: &str, method: &[&str]) -> Kind {
    Kind::Request { event_type: event_type.to_owned(), method: json::owned(value, method) }
}

fn counters(value: &Value) -> Counters {
    let number = |key: &str| json::number(value, &["flow", key]).unwrap_or(0);
    Counters {
        packets_to_server: number("pkts_toserver"),
        packets_to_client: number("pkts_toclient"),
        bytes_to_server: number("bytes_toserver"),
        bytes_to_client: number("bytes_toclient"),
        start: json::owned(value, &["flow", "start"]),
    }
}

fn flow(value: &Value) -> Flow {
    let flags = |key: &str| {
        let text = json::text(value, &["tcp", key])?;
        u8::from_str_radix(text.trim_start_matches("0x"), 16).ok()
    };
    Flow {
        counters: counters(value),
        end: json::owned(value, &["flow", "end"]),
        state: json::owned(value, &["flow", "state"]),
        tcp_state: json::owned(value, &["tcp", "state"]),
        flags_to_server: flags("tcp_flags_ts"),
        flags_to_client: flags("tcp_flags_tc"),
    }
}

fn alert(value: &Value) -> Alert {
    let end = |path: [&str; 2], address: &str, port: &str| {
        let [first, second] = path;
        let path = |key| if second.is_empty() { vec![first, key] } else { vec![first, second, key] };
        Some((json::address(value, &path(address))?, json::port(value, &path(port)).unwrap_or(0)))
    };
    let metadata = |key: &str| json::texts(value, &["alert", "metadata", key], MAX_LIST);
    Alert {
        signature: json::owned(value, &["alert", "signature"]).unwrap_or_default(),
        signature_id: json::number(value, &["alert", "signature_id"]).unwrap_or(0),
        category: json::owned(value, &["alert", "category"]).unwrap_or_default(),
        severity: json::number(value, &["alert", "severity"]).unwrap_or(3),
        to_client: match json::text(value, &["direction"]) {
            Some("to_client") => Some(true),
            Some("to_server") => Some(false),
            _ => None,
        },
        originator: end(["flow", ""], "src_ip", "src_port"),
        source: end(["alert", "source"], "ip", "port"),
        target: end(["alert", "target"], "ip", "port"),
        techniques: metadata("mitre_technique_id"),
        tactics: metadata("mitre_tactic_name"),
        tags: [metadata("tag"), metadata("former_category")].concat(),
        flow: json::at(value, &["flow", "pkts_toserver"]).map(|_| counters(value)),
        talks: json::text(value, &["app_proto"])
            .is_some_and(|name| !matches!(name, "failed" | "unknown" | "")),
    }
}

/// Version 1 names everything in the record, version 2 puts answers into a list, version 3 the questions too.
fn dns(value: &Value) -> Dns {
    let record = value.get("dns").unwrap_or(&Value::Null);
    let question = record.get("queries").and_then(|queries| queries.get(0)).unwrap_or(record);
    let mut answers: Vec<IpAddr> = json::address(record, &["rdata"]).into_iter().collect();
    for answer in record.get("answers").and_then(Value::as_array).into_iter().flatten().take(MAX_LIST) {
        answers.extend(json::address(answer, &["rdata"]));
    }
    for kind in ["A", "AAAA"] {
        let grouped = json::texts(record, &["grouped", kind], MAX_LIST);
        answers.extend(grouped.iter().filter_map(|text| text.parse::<IpAddr>().ok()));
    }
    answers.sort_unstable();
    answers.dedup();
    answers.truncate(MAX_LIST);
    Dns {
        response: matches!(json::text(record, &["type"]), Some("answer" | "response")),
        name: json::owned(question, &["rrname"]).unwrap_or_default(),
        qtype: json::owned(question, &["rrtype"]).unwrap_or_default(),
        rcode: json::owned(record, &["rcode"]),
        answers,
    }
}
