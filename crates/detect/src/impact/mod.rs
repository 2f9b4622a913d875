//! Impact: floods, seen from whoever we are in them.
//!
//! `outgoing`: one of ours floods somebody. `incoming`: one of ours is flooded, by sources that may be forged.
//! `reflection`: answers that nobody asked for, at the victim and at the reflector. `questions`: floods made of
//! requests that each look right (DNS, HTTP).

mod incoming;
mod outgoing;
mod questions;
mod reflection;

use crate::engine::Context;
use model::{AppRequest, Dns, FlowUpdate, Outcome, Phase, Protocol, Visibility};
use std::net::IpAddr;

/// What a flood is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Method {
    Syn,
    Ack,
    SynAck,
    Udp,
    Icmp,
    Gre,
    Other,
}

impl Method {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Syn => "SYN",
            Self::Ack => "ACK",
            Self::SynAck => "SYN-ACK",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
            Self::Gre => "GRE",
            Self::Other => "packet",
        }
    }
}

/// Detects floods.
pub(crate) struct Impact {
    outgoing: outgoing::Outgoing,
    incoming: incoming::Incoming,
    reflection: reflection::Reflection,
    questions: questions::Questions,
}

impl Impact {
    pub(crate) fn new() -> Self {
        Self {
            outgoing: outgoing::Outgoing::new(),
            incoming: incoming::Incoming::new(),
            reflection: reflection::Reflection::new(),
            questions: questions::Questions::new(),
        }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.outgoing.forgotten()
            + self.incoming.forgotten()
            + self.reflection.forgotten()
            + self.questions.forgotten()
    }

    pub(crate) fn flow(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        // What is said to all is aimed at nobody; the broadcast address of a network shows on the link.
        let to_all = context.hosts.is_home(flow.key.dst) && flow.dst_mac.is_some_and(|mac| mac.is_group());
        if flow.key.dst.is_multicast() || to_all {
            return;
        }
        self.outgoing.flow(flow, context);
        self.incoming.flow(flow, context);
        self.questions.connection(flow, context);
        if flow.key.protocol == Protocol::UDP {
            self.reflection.flow(flow, context);
        }
    }

    pub(crate) fn dns(&mut self, dns: &Dns, context: &mut Context<'_>) {
        self.questions.dns(dns, context);
    }

    pub(crate) fn request(&mut self, request: &AppRequest, context: &mut Context<'_>) {
        self.questions.request(request, context);
    }

    /// Whether the flow is part of a flood that is told as such.
    pub(crate) fn is_flooding(&self, flow: &FlowUpdate) -> bool {
        self.outgoing.is_flooding(flow) || self.incoming.is_flooding(flow)
    }
}

/// What one end of a flow sends to the other that makes no conversation. How many packets can be 0.
struct Sent {
    method: Method,
    packets: u64,
    src: IpAddr,
    dst: IpAddr,
}

/// Who sends what to whom. A flow that was first seen from its answer on belongs to whoever sent that: the originator
/// has said nothing in it, or no more than that it knows of no connection.
fn sent(flow: &FlowUpdate) -> Option<Sent> {
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    let key = &flow.key;
    let refuses = flow.flags_out & RST != 0 && flow.flags_out & !(RST | ACK) == 0;
    let answered_only = key.protocol == Protocol::TCP
        && flow.outcome != Outcome::Established
        && flow.total.syns == 0
        && flow.total.packets_in > 0
        && (flow.total.packets_out == 0 || refuses);
    if answered_only {
        let syn_ack = flow.flags_in & 0x12 == 0x12;
        // Where one direction is all that is seen, this is what any conversation looks like.
        if !syn_ack && flow.visibility == Visibility::OneWay {
            return None;
        }
        let method = if syn_ack { Method::SynAck } else { Method::Ack };
        return Some(Sent { method, packets: flow.delta.packets_in, src: key.dst, dst: key.src });
    }
    let (method, packets) = method(flow)?;
    Some(Sent { method, packets, src: key.src, dst: key.dst })
}

/// What kind of packets a flow's update adds to a flood, if it is of a flood's shape at all: unanswered, or answered
/// without ever becoming a conversation. How many they are can be 0.
fn method(flow: &FlowUpdate) -> Option<(Method, u64)> {
    let out = flow.delta.packets_out;
    // Logs write a flow whose packets were all malformed with no packet at all: it was at least one.
    let at_least_one = |packets: u64| if packets == 0 && flow.phase == Phase::Summary { 1 } else { packets };
    Some(match flow.key.protocol {
        Protocol::TCP if flow.outcome == Outcome::Established => return None,
        Protocol::TCP if flow.total.syns > 0 => (Method::Syn, flow.delta.syns),
        Protocol::TCP if flow.flags_in & 0x12 == 0x12 => return None,
        Protocol::TCP => (Method::Ack, at_least_one(out)),
        Protocol::UDP if flow.total.packets_in * 20 < flow.total.packets_out.max(1) => {
            (Method::Udp, at_least_one(out))
        }
        Protocol::UDP => return None,
        Protocol::GRE if flow.total.packets_in == 0 => (Method::Gre, at_least_one(out)),
        protocol if protocol.is_icmp() => (Method::Icmp, out),
        Protocol::GRE | Protocol(4 | 41 | 50 | 51) => return None,
        _ if flow.total.packets_in == 0 => (Method::Other, at_least_one(out)),
        _ => return None,
    })
}

/// The network that a carpet covers: 256 addresses of IPv4, a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    model::Net::new(address, prefix).map_or(address, |net| net.address())
}
