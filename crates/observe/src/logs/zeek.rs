//! Zeek's conn.log to flow updates.
//!
//! The history letters decide where they are there, the state where they are not. Packets that Zeek did not count
//! because their check sum was wrong (history `C`) happened all the same and are counted as one packet a letter.

use super::{
    LogError, MOST, Place,
    symmetry::{Shown, Symmetry},
};
use model::{
    Counts, Event, EventKind, FlowKey, FlowUpdate, Mac, Outcome, Phase, Protocol, Service, Timestamp,
    Visibility,
};
use parse::log::zeek::{self, Conn, Header};
use parse::packet::Tcp;

#[derive(Debug)]
pub(super) struct Zeek {
    json: bool,
    header: Header,
    symmetry: Symmetry,
    flows: u64,
}

impl Zeek {
    pub(super) fn new(json: bool) -> Self {
        Self { json, header: Header::new(), symmetry: Symmetry::default(), flows: 0 }
    }

    pub(super) fn line(
        &mut self,
        place: Place,
        line: &[u8],
        emit: &mut dyn FnMut(Event),
    ) -> Result<Option<String>, LogError> {
        let conn = if self.json {
            zeek::json(line, |text| Timestamp::parse(text).ok().map(Timestamp::micros))?
        } else if line.starts_with(b"#") {
            return Ok(self.header.directive(line).map(|()| None)?);
        } else {
            self.header.conn(line)?
        };
        let protocol = Protocol::from_name(&conn.protocol)
            .ok_or_else(|| LogError { reason: "field proto is not a transport's name".into() })?;
        self.flows += 1;
        let update = self.update(place, &conn, protocol);
        emit(place.event(update.first, EventKind::Flow(update)));
        Ok(Some(conn.uid.into_owned()).filter(|uid| !uid.is_empty()))
    }

    fn update(&mut self, place: Place, conn: &Conn<'_>, protocol: Protocol) -> FlowUpdate {
        let first = Timestamp::from_micros(conn.micros);
        let history = History::read(conn.history.as_deref().unwrap_or_default());
        let state = conn.state.as_deref().unwrap_or_default();
        let count = |counted: Option<u64>, letters: u64| match counted {
            Some(packets) if packets > 0 => packets.min(MOST),
            _ => letters,
        };
        let bytes = |counted: Option<u64>| counted.unwrap_or(0).min(MOST);
        let mut total = Counts {
            packets_out: count(conn.orig_packets, history.letters_out),
            packets_in: count(conn.resp_packets, history.letters_in),
            bytes_out: bytes(conn.orig_ip_bytes),
            bytes_in: bytes(conn.resp_ip_bytes),
            payload_out: bytes(conn.orig_bytes),
            payload_in: bytes(conn.resp_bytes),
            syns: 0,
        };
        let (outcome, visibility) = self.outcome(conn, protocol, &history, state, &total);
        if protocol == Protocol::TCP && history.flags_out & Tcp::SYN != 0 {
            // Nothing but SYNs was sent where nothing else stands in the history.
            total.syns = if history.only_syns() { total.packets_out.max(1) } else { 1 };
        }
        // For ICMP, Zeek writes type and code where the ports are.
        let ports = if protocol.is_icmp() { (0, 0) } else { (conn.src_port, conn.dst_port) };
        let update = FlowUpdate {
            id: place.flow(self.flows),
            key: FlowKey { src: conn.src, dst: conn.dst, src_port: ports.0, dst_port: ports.1, protocol },
            phase: Phase::Summary,
            first,
            last: first.plus_micros(conn.duration.unwrap_or(0).max(0)),
            delta: total,
            total,
            outcome,
            visibility,
            service: service(conn.service.as_deref().unwrap_or_default()),
            src_mac: conn.orig_mac.map(Mac),
            dst_mac: conn.resp_mac.map(Mac),
            hops: None,
            flags_out: history.flags_out,
            flags_in: history.flags_in,
            opened_by: place.record,
        };
        // That something is unreachable is an answer, to whoever is told so.
        let unreachable = matches!((protocol.0, conn.src_port), (1, 3) | (58, 1)) && total.packets_in == 0;
        if unreachable { refusal(update) } else { update }
    }

    fn outcome(
        &mut self,
        conn: &Conn<'_>,
        protocol: Protocol,
        history: &History,
        state: &str,
        total: &Counts,
    ) -> (Outcome, Visibility) {
        let tcp = protocol == Protocol::TCP;
        let shown = match (total.packets_out > 0, total.packets_in > 0) {
            (true, true) => Shown::Both,
            (false, true) => Shown::AnswersOnly,
            (true, false) if tcp && history.went_on_unanswered() => Shown::AnsweredOutOfSight,
            (true, false) => Shown::Unanswered,
            // Neither counts nor history: the state alone must say.
            (false, false) => match state {
                "S1" | "S2" | "S3" | "SF" | "REJ" | "RSTO" | "RSTR" => Shown::Both,
                "SHR" | "RSTRH" => Shown::AnswersOnly,
                "SH" => Shown::AnsweredOutOfSight,
                _ => Shown::Unanswered,
            },
        };
        let (silence, visibility) = self.symmetry.judge(conn.dst, shown);
        let outcome = silence.unwrap_or_else(|| {
            if !tcp {
                Outcome::Established
            } else if state == "REJ" || history.refused() {
                Outcome::Refused
            } else if history.half_open() {
                Outcome::HalfOpen
            } else {
                Outcome::Established
            }
        });
        (outcome, visibility)
    }
}

/// The same packets as the answer that they are.
fn refusal(update: FlowUpdate) -> FlowUpdate {
    let key = FlowKey { src: update.key.dst, dst: update.key.src, ..update.key };
    let total = Counts {
        packets_in: update.total.packets_out,
        bytes_in: update.total.bytes_out,
        payload_in: update.total.payload_out,
        ..Counts::default()
    };
    let (src_mac, dst_mac) = (update.dst_mac, update.src_mac);
    let (outcome, visibility) = (Outcome::Refused, Visibility::OneWay);
    FlowUpdate { key, delta: total, total, src_mac, dst_mac, outcome, visibility, ..update }
}

/// What the history letters tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct History {
    flags_out: u8,
    flags_in: u8,
    letters_out: u64,
    letters_in: u64,
    data_in: bool,
    shook_hands_in: bool,
    acted_out: bool,
    other_out: bool,
}

impl History {
    fn read(letters: &str) -> Self {
        let mut history = Self::default();
        for letter in letters.chars().filter(char::is_ascii_alphabetic).take(256) {
            let flags = match letter.to_ascii_lowercase() {
                's' => Tcp::SYN,
                'h' => Tcp::SYN | Tcp::ACK,
                'a' => Tcp::ACK,
                'd' => Tcp::ACK | Tcp::PSH,
                'f' => Tcp::ACK | Tcp::FIN,
                'r' => Tcp::RST,
                _ => 0,
            };
            if letter.is_ascii_uppercase() {
                history.flags_out |= flags;
                history.letters_out += 1;
                history.acted_out |= matches!(letter, 'A' | 'D' | 'F');
                history.other_out |= letter != 'S';
            } else {
                history.flags_in |= flags;
                history.letters_in += 1;
                history.data_in |= letter == 'd';
                history.shook_hands_in |= letter == 'h';
            }
        }
        history
    }

    const fn only_syns(&self) -> bool {
        self.flags_out == Tcp::SYN && !self.other_out
    }

    /// The originator opened and then acknowledged what nobody was seen to say.
    const fn went_on_unanswered(&self) -> bool {
        self.flags_out & Tcp::SYN != 0 && self.flags_out & Tcp::ACK != 0 && self.letters_in == 0
    }

    /// Answered with a reset and nothing else.
    const fn refused(&self) -> bool {
        self.flags_in & Tcp::RST != 0 && !self.shook_hands_in && !self.data_in
    }

    /// Answered with SYN-ACK, never completed.
    const fn half_open(&self) -> bool {
        self.shook_hands_in && !self.data_in && !self.acted_out
    }
}

/// The first of the services that we have a word for.
pub(super) fn service(names: &str) -> Service {
    names
        .split(',')
        .map(|name| match name.trim().to_ascii_lowercase().as_str() {
            "telnet" => Service::Telnet,
            "ssh" => Service::Ssh,
            "http" | "http2" => Service::Http,
            "ssl" | "tls" | "quic" | "dtls" => Service::Tls,
            "mqtt" => Service::Mqtt,
            "ftp" => Service::Ftp,
            "dns" => Service::Dns,
            "mdns" => Service::Mdns,
            "ssdp" => Service::Ssdp,
            "dhcp" => Service::Dhcp,
            "ntp" => Service::Ntp,
            "rtsp" => Service::Rtsp,
            "coap" => Service::Coap,
            "tftp" => Service::Tftp,
            "irc" => Service::Irc,
            "smb" => Service::Smb,
            "sip" => Service::Sip,
            _ => Service::Unknown,
        })
        .find(|service| *service != Service::Unknown)
        .unwrap_or_default()
}
