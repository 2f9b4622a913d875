//! One UDP flow: each datagram by itself, read as what the first ones showed the flow to be.
//!
//! Guarantees: no buffers; a flow whose first four datagrams are nothing known is finished. A flow of DNS, DHCP, SIP
//! or CoAP is never finished, because each of its datagrams is an event of its own.

use super::teller::{Asked, Side, Teller, Told};
use super::{Conversation, FlowContext, Segment, code, digest, resolve, web};
use model::{Dhcp, DhcpOperation, EventKind, HintKind, Service};
use parse::app::{coap, dhcp, dns, field, http, mdns, ntp, ssdp, tftp};
use std::net::IpAddr;

const UNKNOWN: u8 = 4;
/// Announcements repeat themselves: after so many datagrams a flow has said what it has to say.
const ANNOUNCEMENTS: u8 = 64;

/// See the module.
pub(super) struct Datagrams {
    pub(super) service: Service,
    seen: u8,
    /// A question or request was seen from: outward, inward.
    asked: [bool; 2],
    /// What RTP would go on from: source and sequence.
    stream: Option<(u32, u16)>,
    finished: bool,
    calls: Option<Box<web::Web>>,
    told: Option<Box<Told>>,
}

/// What one datagram was.
enum Read {
    As(Service),
    /// Known, and nothing more to learn from its flow.
    Last(Service),
    Nothing,
}

impl Datagrams {
    pub(super) fn new() -> Self {
        Self {
            service: Service::Unknown,
            seen: 0,
            asked: [false; 2],
            stream: None,
            finished: false,
            calls: None,
            told: None,
        }
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn segment(
        &mut self,
        flow: &FlowContext,
        segment: Segment<'_>,
        emit: &mut dyn FnMut(EventKind),
    ) {
        let from = if segment.outward { Side::Client } else { Side::Server };
        let payload = segment.payload.get(..segment.length as usize).unwrap_or(segment.payload);
        // Most flows of UDP never tell anything that would have to be remembered.
        let mut told = self.told.as_deref().copied().unwrap_or_default();
        let mut tell = Teller { flow, service: self.service, client_outward: true, told: &mut told, emit };
        let length = segment.length as usize;
        let read = self.read(from, payload, length, &mut tell);
        let full = told.hints_are_full();
        if !told.is_empty() {
            match self.told.as_deref_mut() {
                Some(kept) => *kept = told,
                None => self.told = Some(Box::new(told)),
            }
        }
        self.seen = self.seen.saturating_add(1);
        match read {
            Read::As(service) => {
                self.service = service;
                let announces =
                    matches!(service, Service::Mdns | Service::Ssdp | Service::Ntp | Service::Tftp);
                self.finished = announces && (self.seen >= ANNOUNCEMENTS || full);
            }
            Read::Last(service) => {
                self.service = service;
                self.finished = true;
            }
            Read::Nothing => self.finished = self.service == Service::Unknown && self.seen >= UNKNOWN,
        }
    }

    pub(super) fn close(&mut self, flow: &FlowContext, emit: &mut dyn FnMut(EventKind)) {
        if let Some(calls) = self.calls.as_mut() {
            let mut told = self.told.as_deref().copied().unwrap_or_default();
            let mut tell =
                Teller { flow, service: Service::Sip, client_outward: true, told: &mut told, emit };
            calls.close(&mut tell);
        }
        self.finished = true;
    }

    fn read(&mut self, from: Side, payload: &[u8], length: usize, tell: &mut Teller<'_>) -> Read {
        match self.service {
            Service::Unknown => {}
            Service::Dns => return self.dns(from, payload, length, tell),
            Service::Mdns => return announcement(from, payload, tell),
            Service::Dhcp => return configuration(from, payload, tell),
            Service::Ssdp => return discovery(from, payload, tell),
            Service::Ntp => return self.time(from, payload, tell),
            Service::Coap => return constrained(from, payload, tell),
            Service::Tftp => return trivial(from, payload, tell),
            Service::Sip => return self.call(from, payload, length, tell),
            _ => return Read::Nothing,
        }
        if names_a_group(tell.address(from.other())) {
            match announcement(from, payload, tell) {
                Read::Nothing => {}
                read => return read,
            }
        }
        if let Some(service) = self.goes_on(payload) {
            return Read::Last(service);
        }
        for attempt in 0..8 {
            let read = match attempt {
                0 => self.dns(from, payload, length, tell),
                1 => configuration(from, payload, tell),
                2 => discovery(from, payload, tell),
                3 => self.call(from, payload, length, tell),
                4 => self.time(from, payload, tell),
                5 => trivial(from, payload, tell),
                6 => management(from, payload, tell),
                _ => constrained(from, payload, tell),
            };
            if !matches!(read, Read::Nothing) {
                return read;
            }
        }
        Read::Nothing
    }

    /// Streams are known by what each datagram goes on with, copies of packets by what is in them.
    fn goes_on(&mut self, payload: &[u8]) -> Option<Service> {
        match *payload {
            // Version 2, any type of media: twice in a row, the same source and the next number (RFC 3550 section 5.1).
            [first, _, high, low, _, _, _, _, a, b, c, d, ..] if first >> 6 == 2 => {
                let (source, number) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([high, low]));
                let before = self.stream.replace((source, number));
                (before == Some((source, number.wrapping_sub(1)))).then_some(Service::Media)
            }
            [0x47, ..] if payload.len().is_multiple_of(188) => {
                payload.chunks_exact(188).all(|chunk| chunk.first() == Some(&0x47)).then_some(Service::Media)
            }
            // VXLAN with a network's number (RFC 7348 section 5), TZSP of version 1: frames of IP or ARP inside.
            [0x08, 0, 0, 0, _, _, _, 0, ref frame @ ..] | [1, 0, 0, 1, 1, ref frame @ ..] => {
                let kind = frame.get(12..14)?;
                matches!(kind, [0x08, 0x00 | 0x06] | [0x86, 0xdd] | [0x81, 0x00]).then_some(Service::Mirror)
            }
            _ => None,
        }
    }

    const fn ask(&mut self, from: Side) {
        let [outward, inward] = &mut self.asked;
        match from {
            Side::Client => *outward = true,
            Side::Server => *inward = true,
        }
    }

    fn was_asked(&self, by: Side) -> bool {
        let [outward, inward] = self.asked;
        if by == Side::Client { outward } else { inward }
    }

    fn dns(&mut self, from: Side, payload: &[u8], length: usize, tell: &mut Teller<'_>) -> Read {
        let Ok(message) = dns::parse(payload) else { return Read::Nothing };
        if !message.response {
            self.ask(from);
        }
        resolve::tell_message(&message, from, self.was_asked(from.other()), length, tell);
        resolve::tell_resolver(&message, from, self.was_asked(from.other()), tell);
        Read::As(Service::Dns)
    }

    fn time(&mut self, from: Side, payload: &[u8], tell: &mut Teller<'_>) -> Read {
        match ntp::parse(payload) {
            Ok(ntp::Packet::Client) => {
                self.ask(from);
                Read::As(Service::Ntp)
            }
            Ok(ntp::Packet::Server) if self.was_asked(from.other()) => {
                tell.hint(from, HintKind::Function, b"time");
                Read::Last(Service::Ntp)
            }
            Ok(ntp::Packet::Server | ntp::Packet::Peer | ntp::Packet::Control(_)) => Read::As(Service::Ntp),
            Err(_) => Read::Nothing,
        }
    }

    fn call(&mut self, from: Side, payload: &[u8], length: usize, tell: &mut Teller<'_>) -> Read {
        if !matches!(http::recognise(payload), Ok((http::Family::Sip, _))) {
            return Read::Nothing;
        }
        tell.service = Service::Sip;
        let calls = self.calls.get_or_insert_with(|| Box::new(web::Web::new(http::Family::Sip)));
        let lost = u32::try_from(length.saturating_sub(payload.len())).unwrap_or(u32::MAX);
        calls.heard(from, payload, lost, tell);
        calls.datagram_over(tell);
        Read::As(Service::Sip)
    }
}

/// Multicast DNS and LLMNR are spoken to groups.
fn names_a_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

fn announcement(from: Side, payload: &[u8], tell: &mut Teller<'_>) -> Read {
    let Ok(message) = mdns::parse(payload) else { return Read::Nothing };
    let said = mdns::announcement(&message);
    // What is bounded in number begins with what says most.
    for (kind, texts) in [
        (HintKind::MdnsHost, said.host.as_slice()),
        (HintKind::Model, &said.models),
        (HintKind::Mdns, &said.services),
    ] {
        for text in texts {
            tell.hint(from, kind, text.as_bytes());
        }
    }
    Read::As(Service::Mdns)
}

fn discovery(from: Side, payload: &[u8], tell: &mut Teller<'_>) -> Read {
    let Ok(message) = ssdp::parse(payload) else { return Read::Nothing };
    if message.kind != ssdp::Kind::Search {
        if let Some(uuid) = message.unique_name.and_then(ssdp::uuid) {
            tell.hint(from, HintKind::Uuid, uuid.to_ascii_lowercase().as_bytes());
        }
        for value in [message.server, message.target].into_iter().flatten() {
            tell.hint(from, HintKind::Ssdp, value);
        }
    }
    Read::As(Service::Ssdp)
}

fn configuration(from: Side, payload: &[u8], tell: &mut Teller<'_>) -> Read {
    // Hosts take their configuration on these ports and no others (RFC 2131, section 4.1).
    let key = tell.flow.key;
    if ![key.src_port, key.dst_port].iter().all(|port| matches!(port, 67 | 68)) {
        return Read::Nothing;
    }
    let Ok(packet) = dhcp::parse(payload) else { return Read::Nothing };
    let outward = from == Side::Client;
    let frame_src = if outward { tell.flow.src_mac } else { tell.flow.dst_mac };
    let operation = match packet.message_type {
        1 => DhcpOperation::Discover,
        2 => DhcpOperation::Offer,
        3 => DhcpOperation::Request,
        5 => DhcpOperation::Ack,
        6 => DhcpOperation::Nak,
        _ => DhcpOperation::Other,
    };
    let client = model::Mac(packet.client);
    let own = packet.client_address.map(IpAddr::V4);
    tell.tell(EventKind::Dhcp(Dhcp {
        operation,
        frame_src,
        sender: tell.address(from),
        client,
        address: packet.your_address.or(packet.requested).map(IpAddr::V4).or(own),
        server: packet.server.map(IpAddr::V4),
        routers: packet.routers.iter().copied().map(IpAddr::V4).collect(),
        resolvers: packet.resolvers.iter().copied().map(IpAddr::V4).collect(),
        relayed: packet.relayed,
        transaction: packet.transaction,
        asked: false,
    }));
    // All clients without an address share one flow: its hints are bounded, but must not end with the first devices.
    tell.forget_hints_when_full();
    if packet.request {
        let texts =
            [(HintKind::DhcpHostname, packet.hostname), (HintKind::DhcpVendorClass, packet.vendor_class)];
        for (kind, value) in texts {
            tell.hint_of(own, Some(client), kind, value.unwrap_or_default());
        }
        let parameters = packet.parameters.unwrap_or_default();
        let list: Vec<String> = parameters.iter().take(40).map(u8::to_string).collect();
        tell.hint_of(own, Some(client), HintKind::DhcpParameters, list.join(",").as_bytes());
        if let Some(id) = packet.client_id.and_then(|id| client_id(id, packet.client)) {
            tell.hint_of(own, Some(client), HintKind::DhcpClientId, id.as_bytes());
        }
    } else if matches!(operation, DhcpOperation::Offer | DhcpOperation::Ack) {
        tell.hint(from, HintKind::Function, b"dhcp");
    }
    Read::As(Service::Dhcp)
}

/// What a client wants to be known by, where that says more than its hardware address. Longer ones are left aside:
/// cut short they could be another's.
fn client_id(id: &[u8], client: [u8; 6]) -> Option<String> {
    let (_, value) = id.split_first()?;
    let says_more = value.iter().any(|byte| *byte != 0) && !value.ends_with(&client) && id.len() <= 48;
    says_more.then(|| id.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn trivial(from: Side, payload: &[u8], tell: &mut Teller<'_>) -> Read {
    match tftp::parse(payload) {
        Ok(tftp::Packet::Request { read, file }) => {
            tell.service = Service::Tftp;
            let method = if read { "RRQ" } else { "WRQ" };
            tell.request(Asked { method, path_digest: digest(file), ..Asked::default() });
            Read::As(Service::Tftp)
        }
        // Data comes on a flow of its own: only a program shows what it is.
        Ok(tftp::Packet::First(data)) => match code::program(data, true) {
            Some(Some((kind, what))) => {
                tell.service = Service::Tftp;
                tell.transfer(from.other(), kind, what);
                Read::Last(Service::Tftp)
            }
            _ => Read::Nothing,
        },
        Err(_) => Read::Nothing,
    }
}

/// SNMP and protocols of the field have no service of their own here; who answers them is worth knowing.
fn management(from: Side, payload: &[u8], tell: &mut Teller<'_>) -> Read {
    if from == Side::Server
        && let Some(name) = field::over_udp(payload)
    {
        tell.hint(from, HintKind::Serves, name.as_bytes());
        return Read::Last(Service::Unknown);
    }
    let &[0x30, length, ref rest @ ..] = payload else { return Read::Nothing };
    let rest = match length {
        0x81 => rest.get(1..),
        0x82 => rest.get(2..),
        0..=0x7f => Some(rest),
        _ => None,
    };
    let Some(&[2, 1, 0 | 1, 4, community, ref rest @ ..]) = rest else { return Read::Nothing };
    match rest.get(usize::from(community)) {
        Some(0xa2) => {
            tell.hint(from, HintKind::Serves, b"snmp");
            Read::Last(Service::Unknown)
        }
        _ => Read::Nothing,
    }
}

fn constrained(from: Side, payload: &[u8], tell: &mut Teller<'_>) -> Read {
    let Ok(message) = coap::parse(payload) else { return Read::Nothing };
    if tell.service == Service::Unknown && message.options == 0 {
        // A bare header could be anything.
        return Read::Nothing;
    }
    tell.service = Service::Coap;
    match message.method() {
        Some(method) => {
            tell.request(Asked { method, path_digest: digest(message.path), ..Asked::default() });
        }
        None => {
            let status = u16::from(message.class) * 100 + u16::from(message.detail);
            tell.request(Asked { method: "", status: Some(status), ..Asked::default() });
            tell.hint(from, HintKind::Serves, b"coap");
        }
    }
    Read::As(Service::Coap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_groups() {
        for (address, expected) in
            [("224.0.0.251", true), ("ff02::fb", true), ("192.0.2.1", false), ("fe80::1", false)]
        {
            assert_eq!(names_a_group(address.parse().unwrap()), expected, "{address}");
        }
    }
}
