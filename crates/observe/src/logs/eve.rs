//! Suricata's EVE to events.
//!
//! Who attacks in an alert: `key` runs from the flow's originator to its responder, also where a reply raised it,
//! since both an intruder and a device that calls its controller open the flow. Where the rule itself names its
//! source and target, `key` runs from that source to that target. The originator is known from the alert's `flow`
//! object or `direction` (Suricata 7), from earlier records of the same flow, or, failing these, from ports: an
//! answered packet from a port below 1024 to one above 32767 is a reply.

use super::{
    LogError, MOST, Place, alert,
    bounded::Bounded,
    moment, shortened,
    symmetry::{Shown, Symmetry},
    zeek::service,
};
use crate::session::{self, code, loader_command};
use model::{
    Alert, AppRequest, Counts, Dns, Event, EventKind, FlowKey, FlowUpdate, Hint, HintKind, Login,
    LoginOutcome, Outcome, Phase, Protocol, Service, Timestamp, Transfer, TransferKind,
};
use parse::log::eve::{self, Ends, Kind};
use parse::packet::Tcp;
use std::net::IpAddr;

/// Flows whose originator is remembered for later alerts.
const ORIGINATORS: usize = 16_384;

#[derive(Debug)]
pub(super) struct Eve {
    symmetry: Symmetry,
    originators: Bounded<u64, (IpAddr, u16)>,
    unnamed: u64,
}

impl Default for Eve {
    fn default() -> Self {
        Self { symmetry: Symmetry::default(), originators: Bounded::new(ORIGINATORS), unnamed: 0 }
    }
}

/// What all events of one record share.
struct About {
    place: Place,
    at: Timestamp,
    flow: u64,
    key: FlowKey,
}

impl About {
    const fn event(&self, kind: EventKind) -> Event {
        self.place.event(self.at, kind)
    }
}

impl Eve {
    pub(super) fn line(
        &mut self,
        place: Place,
        line: &[u8],
        emit: &mut dyn FnMut(Event),
    ) -> Result<Option<String>, LogError> {
        let record = eve::record(line)?;
        if let Kind::Other(_) = record.kind {
            return Ok(None);
        }
        let Some(ends) = &record.ends else {
            return Err(LogError {
                reason: "fields src_ip, dest_ip, proto are not addresses and a transport".into(),
            });
        };
        let about = About {
            place,
            at: moment(&record.timestamp, "timestamp")?,
            flow: self.flow(place, record.flow_id),
            key: key(ends)?,
        };
        self.learn_originator(&record, &about.key);
        match &record.kind {
            Kind::Flow(flow) => {
                let update = self.update(&about, &record, flow)?;
                emit(place.event(update.first, EventKind::Flow(update)));
            }
            Kind::Alert(alert) => {
                emit(about.event(EventKind::Alert(self.alert(&about, record.flow_id, alert))))
            }
            Kind::Dns(dns) => emit(about.event(EventKind::Dns(dns_event(&about.key, dns)))),
            Kind::Http(http) => http_events(&about, http, emit),
            Kind::Ssh(ssh) => ssh_events(&about, ssh, emit),
            Kind::Tls(tls) => {
                hint(&about, about.key.src, HintKind::Cloud, tls.sni.as_deref(), "", emit);
                hint(&about, about.key.src, HintKind::Ja4, tls.ja4.as_deref(), "", emit);
            }
            Kind::File(file) => file_event(&about, record.app_proto.as_deref(), file, emit),
            Kind::Ftp(ftp) => ftp_events(&about, ftp, emit),
            Kind::Mqtt(mqtt) => mqtt_events(&about, mqtt, emit),
            // Without a method it is an answer, which names the server first.
            Kind::Request { event_type, method: Some(method) } => {
                request(&about, service(event_type), method, emit);
            }
            Kind::Request { method: None, .. } => {}
            Kind::Other(_) => {}
        }
        Ok(record.flow_id.map(|id| id.to_string()))
    }

    fn flow(&mut self, place: Place, flow_id: Option<u64>) -> u64 {
        match flow_id {
            Some(id) => place.flow(session::digest(&id.to_be_bytes())),
            None => {
                self.unnamed += 1;
                place.flow(self.unnamed)
            }
        }
    }

    /// Records of protocols name the flow's originator first; those of alerts and files name the packet's sender.
    fn learn_originator(&mut self, record: &eve::Eve, key: &FlowKey) {
        let of_flow = matches!(record.kind, Kind::Flow(_) | Kind::Http(_) | Kind::Ssh(_) | Kind::Tls(_));
        if let (true, Some(id)) = (of_flow, record.flow_id) {
            self.originators.insert(id, (key.src, key.src_port));
        }
    }

    fn update(&mut self, about: &About, record: &eve::Eve, flow: &eve::Flow) -> Result<FlowUpdate, LogError> {
        let counted = &bounded_counters(&flow.counters);
        let first = match &counted.start {
            Some(start) => moment(start, "flow.start")?,
            None => about.at,
        };
        let last = match &flow.end {
            Some(end) => moment(end, "flow.end")?.max(first),
            None => first,
        };
        let (flags_out, flags_in) = (flow.flags_to_server.unwrap_or(0), flow.flags_to_client.unwrap_or(0));
        let syn_only = flags_out & (Tcp::SYN | Tcp::ACK) == Tcp::SYN;
        let syns = if syn_only { counted.packets_to_server } else { u64::from(flags_out & Tcp::SYN != 0) };
        // Suricata counts frames, so 14 bytes of Ethernet are taken off each; payload it does not count.
        let ip_bytes = |bytes: u64, packets: u64| bytes.saturating_sub(packets.saturating_mul(14));
        let headers = if about.key.protocol == Protocol::TCP { 52 } else { 28 };
        let payload = |bytes: u64, packets: u64| bytes.saturating_sub(packets.saturating_mul(headers));
        let bytes_out = ip_bytes(counted.bytes_to_server, counted.packets_to_server);
        let bytes_in = ip_bytes(counted.bytes_to_client, counted.packets_to_client);
        let total = Counts {
            packets_out: counted.packets_to_server,
            packets_in: counted.packets_to_client,
            bytes_out,
            bytes_in,
            payload_out: payload(bytes_out, counted.packets_to_server),
            payload_in: payload(bytes_in, counted.packets_to_client),
            syns,
        };
        let (outcome, visibility) = self.outcome(&about.key, flow, &total);
        let mac = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        Ok(FlowUpdate {
            id: about.flow,
            key: about.key,
            phase: Phase::Summary,
            first,
            last,
            delta: total,
            total,
            outcome,
            visibility,
            service: service(record.app_proto.as_deref().unwrap_or_default()),
            src_mac: mac(&record.src_mac),
            dst_mac: mac(&record.dst_mac),
            hops: None,
            flags_out,
            flags_in,
            opened_by: about.place.record,
        })
    }

    fn outcome(&mut self, key: &FlowKey, flow: &eve::Flow, total: &Counts) -> (Outcome, model::Visibility) {
        let tcp = key.protocol == Protocol::TCP;
        let flags_out = flow.flags_to_server.unwrap_or(0);
        let went_on = tcp && flags_out & Tcp::SYN != 0 && flags_out & Tcp::ACK != 0;
        let shown = match (total.packets_out > 0, total.packets_in > 0) {
            (true, true) => Shown::Both,
            (false, true) => Shown::AnswersOnly,
            (true, false) if went_on => Shown::AnsweredOutOfSight,
            _ => Shown::Unanswered,
        };
        let (silence, visibility) = self.symmetry.judge(key.dst, shown);
        (
            silence.unwrap_or_else(|| if tcp { tcp_outcome(flow, total) } else { Outcome::Established }),
            visibility,
        )
    }

    fn alert(&self, about: &About, flow_id: Option<u64>, alert: &eve::Alert) -> Alert {
        let verdict = alert::judge(alert);
        let answered = alert.flow.as_ref().is_some_and(|flow| flow.packets_to_client > 0);
        Alert {
            key: self.attack_key(about, flow_id, alert, answered),
            signature: shortened(&alert.signature),
            signature_id: alert.signature_id,
            category: shortened(&alert.category),
            severity: verdict.severity,
            reputation: verdict.reputation,
            noise: verdict.noise,
            tactic: verdict.tactic,
            technique: verdict.technique,
            // A reset answers a forged packet, too; an application talks to whoever hears it.
            answered: answered && alert.talks && about.key.protocol == Protocol::TCP,
        }
    }

    fn attack_key(&self, about: &About, flow_id: Option<u64>, alert: &eve::Alert, answered: bool) -> FlowKey {
        let named = about.key;
        let sent_by = |end: (IpAddr, u16)| (named.src, named.src_port) == end;
        let received_by = |end: (IpAddr, u16)| (named.dst, named.dst_port) == end;
        let reversed = if let (Some(source), Some(target)) = (alert.source, alert.target) {
            received_by(source) && sent_by(target)
        } else if let Some(originator) = alert.originator {
            received_by(originator) && !sent_by(originator)
        } else if let Some(to_client) = alert.to_client {
            to_client
        } else if let Some(originator) = flow_id.and_then(|id| self.originators.get(&id)) {
            received_by(*originator) && !sent_by(*originator)
        } else {
            answered && named.src_port < 1024 && named.src_port != 0 && named.dst_port >= 32_768
        };
        if reversed { reverse(named) } else { named }
    }
}

const fn reverse(key: FlowKey) -> FlowKey {
    FlowKey {
        src: key.dst,
        dst: key.src,
        src_port: key.dst_port,
        dst_port: key.src_port,
        protocol: key.protocol,
    }
}

fn key(ends: &Ends) -> Result<FlowKey, LogError> {
    let protocol = Protocol::from_name(&ends.protocol)
        .ok_or_else(|| LogError { reason: "field proto is not a transport's name".into() })?;
    let (src_port, dst_port) = if protocol.is_icmp() { (0, 0) } else { (ends.src_port, ends.dst_port) };
    Ok(FlowKey { src: ends.src, dst: ends.dst, src_port, dst_port, protocol })
}

fn bounded_counters(counters: &eve::Counters) -> eve::Counters {
    eve::Counters {
        packets_to_server: counters.packets_to_server.min(MOST),
        packets_to_client: counters.packets_to_client.min(MOST),
        bytes_to_server: counters.bytes_to_server.min(MOST),
        bytes_to_client: counters.bytes_to_client.min(MOST),
        start: counters.start.clone(),
    }
}

/// What became of a TCP flow with packets both ways.
fn tcp_outcome(flow: &eve::Flow, total: &Counts) -> Outcome {
    let (out, back) = (flow.flags_to_server.unwrap_or(0), flow.flags_to_client.unwrap_or(0));
    if out == 0 && back == 0 {
        return match flow.state.as_deref() {
            Some("established" | "closed" | "bypassed") => Outcome::Established,
            // Untracked, and no answer longer than a bare header (54 bytes, 60 with Ethernet's padding): resets.
            _ if total.bytes_in <= total.packets_in.saturating_mul(46) => Outcome::Refused,
            _ => Outcome::HalfOpen,
        };
    }
    if back & Tcp::RST != 0 && back & Tcp::SYN == 0 && back & Tcp::PSH == 0 {
        // Reset without ever having greeted, unless the middle of an old flow was seen.
        if out & Tcp::SYN != 0 || out & Tcp::ACK == 0 { Outcome::Refused } else { Outcome::Established }
    } else if back & Tcp::SYN != 0 && out & Tcp::ACK == 0 {
        Outcome::HalfOpen
    } else {
        Outcome::Established
    }
}

fn dns_event(key: &FlowKey, dns: &eve::Dns) -> Dns {
    // Old versions name the sender of an answer first, newer ones always the client.
    let from_server = dns.response && key.src_port == 53 && key.dst_port != 53;
    let key = if from_server { reverse(*key) } else { *key };
    Dns {
        client: key.src,
        client_mac: None,
        server: key.dst,
        server_port: key.dst_port,
        response: dns.response,
        asked: true,
        name: dns.name.trim_end_matches('.').chars().take(255).collect::<String>().to_lowercase(),
        qtype: qtype(&dns.qtype),
        rcode: dns.rcode.as_deref().map_or(0, rcode),
        answers: dns.answers.clone(),
        length: 0,
    }
}

fn qtype(name: &str) -> u16 {
    let known = [
        ("A", 1),
        ("NS", 2),
        ("CNAME", 5),
        ("SOA", 6),
        ("NULL", 10),
        ("PTR", 12),
        ("HINFO", 13),
        ("MX", 15),
        ("TXT", 16),
        ("AAAA", 28),
        ("SRV", 33),
        ("NAPTR", 35),
        ("DS", 43),
        ("RRSIG", 46),
        ("DNSKEY", 48),
        ("SVCB", 64),
        ("HTTPS", 65),
        ("ANY", 255),
    ];
    let name = name.trim();
    let number = || name.strip_prefix("TYPE").unwrap_or(name).parse().unwrap_or(0);
    known
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map_or_else(number, |(_, number)| *number)
}

fn rcode(name: &str) -> u8 {
    ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"]
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name))
        .and_then(|at| u8::try_from(at).ok())
        .unwrap_or_else(|| name.parse().unwrap_or(2))
}

fn hint(
    about: &About,
    address: IpAddr,
    kind: HintKind,
    value: Option<&str>,
    prefix: &str,
    emit: &mut dyn FnMut(Event),
) {
    if let Some(value) = value {
        let value = shortened(&format!("{prefix}{value}"));
        emit(about.event(EventKind::Hint(Hint { address: Some(address), mac: None, kind, value })));
    }
}

fn app_request(about: &About, service: Service, method: &str) -> AppRequest {
    AppRequest {
        flow: about.flow,
        key: about.key,
        service,
        method: method.chars().take(32).collect(),
        host: None,
        path_digest: 0,
        status: None,
        scanner: None,
    }
}

fn request(about: &About, service: Service, method: &str, emit: &mut dyn FnMut(Event)) {
    emit(about.event(EventKind::Request(app_request(about, service, method))));
}

fn http_events(about: &About, http: &eve::Http, emit: &mut dyn FnMut(Event)) {
    let path = http.url.as_deref().unwrap_or_default().split('?').next().unwrap_or_default();
    let request = AppRequest {
        scanner: http
            .user_agent
            .as_deref()
            .and_then(|agent| code::scanner(agent.as_bytes()))
            .map(str::to_owned),
        host: http.host.as_deref().map(shortened),
        path_digest: session::digest(path.as_bytes()),
        status: http.status,
        ..app_request(about, Service::Http, http.method.as_deref().unwrap_or_default())
    };
    emit(about.event(EventKind::Request(request)));
    if let Some(what) = http.url.as_deref().and_then(injected) {
        emit(about.event(EventKind::Transfer(Transfer {
            flow: about.flow,
            key: about.key,
            to: about.key.dst,
            from: about.key.src,
            kind: TransferKind::InjectedCommand,
            service: Service::Http,
            what,
        })));
    }
    hint(about, about.key.src, HintKind::UserAgent, http.user_agent.as_deref(), "", emit);
}

/// Each record is one connection that got as far as its greetings.
fn ssh_events(about: &About, ssh: &eve::Ssh, emit: &mut dyn FnMut(Event)) {
    request(about, Service::Ssh, "session", emit);
    hint(about, about.key.dst, HintKind::Banner, ssh.server.as_deref(), "SSH-2.0-", emit);
    hint(about, about.key.src, HintKind::Banner, ssh.client.as_deref(), "SSH-2.0-", emit);
}

fn login(about: &About, service: Service, outcome: LoginOutcome, emit: &mut dyn FnMut(Event)) {
    let login = Login { flow: about.flow, key: about.key, service, outcome, factory: None, secret: None };
    emit(about.event(EventKind::Login(login)));
}

fn ftp_events(about: &About, ftp: &eve::Ftp, emit: &mut dyn FnMut(Event)) {
    request(about, Service::Ftp, &ftp.command, emit);
    if ftp.command.eq_ignore_ascii_case("PASS") {
        let code = |wanted: &str| ftp.codes.iter().any(|code| code == wanted);
        let outcome = match (code("230"), code("530")) {
            (true, _) => LoginOutcome::Accepted,
            (_, true) => LoginOutcome::Refused,
            _ => LoginOutcome::Tried,
        };
        login(about, Service::Ftp, outcome, emit);
    }
}

fn mqtt_events(about: &About, mqtt: &eve::Mqtt, emit: &mut dyn FnMut(Event)) {
    match (mqtt.connect, mqtt.connack) {
        // 4 and 5 in MQTT 3.1.1; 134 and 135 in MQTT 5: bad user name or password, not authorised.
        (_, Some(4 | 5 | 134 | 135)) => login(about, Service::Mqtt, LoginOutcome::Refused, emit),
        (Some(true), Some(0)) => login(about, Service::Mqtt, LoginOutcome::Accepted, emit),
        (Some(true), None) => login(about, Service::Mqtt, LoginOutcome::Tried, emit),
        _ => request(about, Service::Mqtt, "", emit),
    }
}

/// A file's record names its sender first. It was asked for by its receiver, unless it was posted.
fn file_event(about: &About, app_proto: Option<&str>, file: &eve::File, emit: &mut dyn FnMut(Event)) {
    let magic = file.magic.as_deref().unwrap_or_default();
    let (kind, what) = if magic.starts_with("ELF ") {
        (TransferKind::Elf, "ELF program")
    } else if magic.contains("shell script") {
        (TransferKind::Script, "shell script")
    } else if magic.starts_with("PE32") || magic.starts_with("Mach-O") || magic.starts_with("Dalvik") {
        (TransferKind::Executable, "executable")
    } else {
        return;
    };
    let posted = matches!(file.method.as_deref(), Some("POST" | "PUT"));
    emit(about.event(EventKind::Transfer(Transfer {
        flow: about.flow,
        key: if posted { about.key } else { reverse(about.key) },
        to: about.key.dst,
        from: about.key.src,
        kind,
        service: service(app_proto.unwrap_or_default()),
        what: what.into(),
    })));
}

/// The rule by which a path or query carries a loader's command, once decoded as web servers decode it.
fn injected(url: &str) -> Option<String> {
    let text = decoded(url);
    let loader = loader_command(&text).map(|rule| format!("{rule}, in a request"));
    loader.or_else(|| code::injection(&text).map(str::to_owned))
}

/// Percent signs and pluses decoded, at most 4 KiB.
fn decoded(url: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(url.len().min(4096));
    let mut rest = url.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if bytes.len() >= 4096 {
            break;
        }
        let escaped = tail.split_at_checked(2).filter(|_| first == b'%').and_then(|(hex, tail)| {
            Some((u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?, tail))
        });
        let (byte, tail) = escaped.unwrap_or((if first == b'+' { b' ' } else { first }, tail));
        bytes.push(byte);
        rest = tail;
    }
    bytes
}
