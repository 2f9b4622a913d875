//! Syslog: RFC 5424 over UDP (RFC 5426) or TCP with octet counting (RFC 6587).

use super::{AddressError, SendError};
use crate::AppState;
use model::{Incident, Severity};
use std::{fmt::Write as _, time::Duration};
use store::Outgoing;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpStream, UdpSocket},
};

/// Facility 4: security and authorisation.
const FACILITY: u8 = 4;
/// What every receiver of UDP should take (RFC 5426, section 3.2).
const MOST_BYTES: usize = 2048;
/// How long sending may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The enterprise number for documentation (RFC 5612): Bastide has none of its own.
const STRUCTURE: &str = "bastide@32473";

/// Where to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    tcp: bool,
    host: String,
    port: u16,
}

impl Syslog {
    /// `udp://host[:port]` or `tcp://host[:port]`; the port is 514 (UDP) or 601 (TCP) where left out.
    ///
    /// # Errors
    /// [`AddressError`] with what was expected.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError {
            expected: "an address such as udp://log.city.example:514 or tcp://[2001:db8::1]:601",
            found: address.chars().take(200).collect(),
        };
        let uri: axum::http::Uri = address.parse().map_err(|_| wrong())?;
        let tcp = match uri.scheme_str() {
            Some("udp") => false,
            Some("tcp") => true,
            _ => return Err(wrong()),
        };
        let host = uri.host().map(|host| host.trim_matches(['[', ']'])).filter(|host| !host.is_empty());
        if !matches!(uri.path(), "" | "/") || uri.authority().is_some_and(|name| name.as_str().contains('@'))
        {
            return Err(wrong());
        }
        let port = uri.port_u16().unwrap_or(if tcp { 601 } else { 514 });
        Ok(Self { tcp, host: host.ok_or_else(wrong)?.to_owned(), port })
    }

    /// Where it is.
    pub(super) fn place(&self) -> String {
        format!("syslog at {} {}:{}", if self.tcp { "tcp" } else { "udp" }, self.host, self.port)
    }

    pub(super) async fn send(&self, state: &AppState, message: &Outgoing) -> Result<(), SendError> {
        let node = state.node().url.trim_start_matches("https://");
        let host = node.rsplit_once(':').map_or(node, |(host, _)| host);
        let line = line(host, message.made, &message.incident);
        match tokio::time::timeout(PATIENCE, self.write(&line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SendError::Passing(error.to_string())),
            Err(_) => Err(SendError::Passing(format!("not taken within {} s", PATIENCE.as_secs()))),
        }
    }

    async fn write(&self, line: &str) -> std::io::Result<()> {
        if self.tcp {
            let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.write_all(format!("{} {line}", line.len()).as_bytes()).await?;
            return stream.shutdown().await;
        }
        let address = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await?
            .next()
            .ok_or_else(|| std::io::Error::other(format!("{} has no address", self.host)))?;
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        socket.send(line.as_bytes()).await.map(|_| ())
    }
}

/// One message: RFC 5424, section 6.
fn line(host: &str, at: model::Timestamp, incident: &Incident) -> String {
    let severity = match incident.severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    };
    let host: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let mut text = format!("<{}>1 {at} {host} bastide - incident [{STRUCTURE}", FACILITY * 8 + severity);
    let stages = incident.stages.iter().map(|stage| stage.as_str()).collect::<Vec<_>>().join(",");
    let assets = incident
        .assets
        .iter()
        .take(8)
        .map(|asset| format!("{}={}", asset.role, asset.address))
        .collect::<Vec<_>>()
        .join(",");
    for (name, value) in [
        ("id", incident.id.to_string()),
        ("severity", incident.severity.to_string()),
        ("confidence", incident.confidence.to_string()),
        ("stages", stages),
        ("first", incident.first.to_string()),
        ("last", incident.last.to_string()),
        ("assets", assets),
    ] {
        let _ = write!(text, " {name}=\"{}\"", escaped(&value));
    }
    // The mark says that UTF-8 follows. A new line would begin another message for some receivers.
    let _ = write!(text, "] \u{feff}{}: {}", incident.title, incident.summary);
    cut(text.replace(|letter: char| letter.is_control(), " "))
}

fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        if matches!(letter, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn cut(mut text: String) -> String {
    if text.len() > MOST_BYTES {
        let end = (0..=MOST_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ContentHasher, IncidentId, Tactic, Timestamp};

    fn incident(title: &str, summary: &str) -> Incident {
        Incident {
            id: IncidentId::from_content(ContentHasher::new().part("x")),
            title: title.into(),
            severity: Severity::High,
            confidence: 90,
            stages: vec![Tactic::CommandAndControl, Tactic::Impact],
            techniques: vec![],
            first: Timestamp::from_secs(0),
            last: Timestamp::from_secs(1),
            assets: vec![],
            assets_omitted: 0,
            findings: 1,
            flows: 1,
            summary: summary.into(),
            joined: vec![],
            evidence: vec![],
            advice: vec![],
            supersedes: vec![],
        }
    }

    #[test]
    fn writes_rfc_5424() {
        let line = line("bastide.city.example", Timestamp::from_secs(2), &incident("A\nB", "c"));
        assert!(line.starts_with("<35>1 1970-01-01T00:00:02.000000Z bastide.city.example bastide - incident [bastide@32473 id=\"inc-"), "{line}");
        assert!(line.contains(" stages=\"command-and-control,impact\" "), "{line}");
        assert!(line.ends_with("] \u{feff}A B: c"), "{line}");
    }

    #[test]
    fn stays_within_a_datagram() {
        let line = line("", Timestamp::from_secs(2), &incident("é", &"é".repeat(4000)));
        assert!(line.len() <= MOST_BYTES && line.len() > MOST_BYTES - 2);
        assert!(line.contains("Z - bastide"), "{line}");
    }

    #[test]
    fn escapes_what_would_end_the_structure() {
        assert_eq!(escaped("a\"b]c\\d"), "a\\\"b\\]c\\\\d");
    }

    #[test]
    fn reads_addresses() {
        let check = |address: &str, expected: Option<(bool, &str, u16)>| {
            let read = Syslog::new(address).ok();
            let read = read.as_ref().map(|syslog| (syslog.tcp, syslog.host.as_str(), syslog.port));
            assert_eq!(read, expected, "{address}");
        };
        check("udp://log.example", Some((false, "log.example", 514)));
        check("tcp://log.example", Some((true, "log.example", 601)));
        check("udp://[::1]:1514", Some((false, "::1", 1514)));
        check("tls://log.example", None);
        check("log.example", None);
        check("udp://log.example/path", None);
        check("udp://", None);
    }
}
