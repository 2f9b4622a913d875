//! What is known about hosts: whose hardware address is bound to an address, who completed a handshake, who answered
//! whom, which names were resolved, who forwards for others.
//!
//! Guarantees: bounded; nobody's address counts as proven on one-way packets. A hardware address that speaks for many
//! network addresses is a forwarder's and proves nothing about any of them.

use crate::{bounded::Bounded, measure::Distinct, measure::digest};
use model::{
    ArpOperation, DhcpOperation, Event, EventKind, FlowUpdate, Mac, NetSet, Outcome, Party, Phase, Proof,
    Protocol, Role, Timestamp, Visibility,
};
use std::net::IpAddr;

/// A hardware address with more network addresses than this speaks for others.
const OWN_ADDRESSES: u64 = 8;
/// Who was answered so often, without handshakes, holds conversations under its address.
const ANSWERS: u8 = 3;
/// A route can change by so many routers.
const DETOUR: u8 = 2;

#[derive(Clone, Copy, Default)]
struct Host {
    mac: Option<Mac>,
    bound_at: Timestamp,
    handshake: bool,
    asks_dns: bool,
    /// Answers to what it sent.
    answers: u8,
    /// How far away its packets come from, where no hardware address is seen.
    hops: Option<u8>,
    /// They come from more than one distance: somebody else sends under this address, too.
    disputed: bool,
}

/// What became of talking between two hosts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pair {
    /// Payload went both ways.
    pub(crate) fruitful: bool,
    /// Anything came back from the second to the first.
    pub(crate) answered: bool,
    /// It came back in a flow that the first had opened.
    pub(crate) asked: bool,
    /// The second refused: reset, or unreachable.
    pub(crate) refused: bool,
    /// When the first was first answered.
    pub(crate) since: Option<Timestamp>,
}

/// Knowledge about hosts.
pub(crate) struct Hosts {
    home: NetSet,
    ours: Bounded<IpAddr, Host>,
    others: Bounded<IpAddr, Host>,
    pairs: Bounded<(IpAddr, IpAddr), Pair>,
    resolved: Bounded<IpAddr, ()>,
    macs: Bounded<Mac, Distinct>,
    /// Hardware addresses that bring the world's conversations to the local network.
    routers: Bounded<Mac, ()>,
    /// To which hardware addresses ours send what goes elsewhere, and how many of ours do.
    next_hops: Bounded<Mac, Distinct>,
}

impl Hosts {
    pub(crate) fn new(home: NetSet) -> Self {
        Self {
            home,
            ours: Bounded::new(1 << 16),
            others: Bounded::new(1 << 16),
            pairs: Bounded::new(1 << 18),
            resolved: Bounded::new(1 << 16),
            macs: Bounded::new(1 << 14),
            routers: Bounded::new(1 << 10),
            next_hops: Bounded::new(1 << 10),
        }
    }

    pub(crate) fn is_home(&self, address: IpAddr) -> bool {
        self.home.contains(address)
    }

    pub(crate) fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Flow(flow) => self.flow(flow),
            EventKind::Dns(dns) => {
                if self.is_home(dns.client) {
                    self.ours.entry(dns.client, Host::default).asks_dns = true;
                }
                // Anybody can send an answer that nobody asked for.
                if dns.response && dns.asked && self.is_home(dns.client) {
                    for &answer in &dns.answers {
                        self.resolved.entry(answer, || ());
                        self.resolved.promote(&answer);
                    }
                }
            }
            EventKind::Arp(arp) => {
                let honest = arp.frame_src == arp.sender_mac || arp.frame_src == Mac::ZERO;
                if honest
                    && (arp.operation == ArpOperation::Reply || arp.broadcast)
                    && !arp.sender.is_unspecified()
                {
                    self.bind(arp.sender, arp.sender_mac, event.at);
                }
            }
            EventKind::Dhcp(dhcp) => {
                // Anybody can grant what nobody asked for.
                if let (true, DhcpOperation::Ack, Some(address)) = (dhcp.asked, dhcp.operation, dhcp.address)
                {
                    self.bind(address, dhcp.client, event.at);
                }
            }
            _ => {}
        }
    }

    fn flow(&mut self, flow: &FlowUpdate) {
        let (src, dst) = (flow.key.src, flow.key.dst);
        for (address, mac) in [(src, flow.src_mac), (dst, flow.dst_mac)] {
            // Only a sender shows its hardware address; the responder's counts once it spoke.
            let spoke = if address == src { flow.total.packets_out > 0 } else { flow.total.packets_in > 0 };
            if let Some(mac) = mac.filter(|mac| spoke && flow.phase.opens() && !mac.is_group()) {
                self.macs.entry(mac, Distinct::default).insert(digest(address));
                if self.home.contains(address) {
                    self.macs.promote(&mac);
                }
            }
        }
        if flow.phase == Phase::Opened
            && self.home.contains(src)
            && !self.home.contains(dst)
            && !dst.is_multicast()
            && let Some(mac) = flow.dst_mac.filter(|mac| !mac.is_group())
        {
            let senders = self.next_hops.entry(mac, Distinct::default);
            // Two of ours agree on the way out; one alone could be wrong on purpose.
            if senders.insert(digest(src)) && senders.count() == 2 {
                self.routers.entry(mac, || ());
            }
        }
        if let (None, Some(hops), true) = (flow.src_mac, flow.hops, flow.phase.opens())
            && self.home.contains(src)
            && !dst.is_multicast()
        {
            let host = self.ours.entry(src, Host::default);
            host.disputed |= hops.abs_diff(*host.hops.get_or_insert(hops)) > DETOUR;
        }
        if flow.outcome == Outcome::Refused {
            self.pairs.entry((src, dst), Pair::default).refused = true;
        }
        if flow.total.packets_in == 0 {
            return;
        }
        if flow.outcome == Outcome::Established && flow.total.packets_out > 0 {
            for (address, mac) in [(src, flow.src_mac), (dst, flow.dst_mac)] {
                if let Some(mac) = mac
                    .filter(|mac| !mac.is_group() && !self.home.contains(address) && !address.is_multicast())
                {
                    self.routers.entry(mac, || ());
                }
            }
        }
        let news = flow.phase != Phase::Progress || flow.key.protocol != Protocol::TCP;
        if news && flow.delta.packets_in > 0 && flow.total.packets_out > 0 && self.home.contains(src) {
            let host = self.ours.entry(src, Host::default);
            host.answers = host.answers.saturating_add(1);
        }
        let pair = self.pairs.entry((src, dst), Pair::default);
        let news = !pair.answered;
        pair.answered = true;
        pair.asked |= flow.total.packets_out > 0;
        if flow.outcome == Outcome::Established {
            pair.since.get_or_insert(flow.last);
        }
        if flow.outcome == Outcome::Established
            && flow.total.payload_out > 0
            && flow.total.payload_in > 0
            && !pair.fruitful
        {
            pair.fruitful = true;
            self.pairs.promote(&(src, dst));
        }
        if news && flow.total.packets_out > 0 {
            self.pairs.entry((dst, src), Pair::default).answered = true;
        }
        let seen_both = flow.outcome == Outcome::Established && flow.visibility != Visibility::OneWay;
        if flow.key.protocol == Protocol::TCP && seen_both {
            self.handshake(src, flow.src_mac, flow.last);
            self.handshake(dst, flow.dst_mac, flow.last);
        }
    }

    fn handshake(&mut self, address: IpAddr, mac: Option<Mac>, at: Timestamp) {
        let ours = self.is_home(address);
        let table = if ours { &mut self.ours } else { &mut self.others };
        let host = table.entry(address, Host::default);
        let first = !host.handshake;
        host.handshake = true;
        let bound = host.mac;
        if first {
            table.promote(&address);
        }
        if let Some(mac) = mac.filter(|_| ours && bound.is_none()) {
            self.bind(address, mac, at);
        }
    }

    fn bind(&mut self, address: IpAddr, mac: Mac, at: Timestamp) {
        if mac.is_group() || mac == Mac::ZERO || !self.is_home(address) {
            return;
        }
        let host = self.ours.entry(address, Host::default);
        // A binding that is in use is not overwritten by a claim; see `local` for who claims another's address.
        if host.mac.is_none() || host.mac == Some(mac) || at.seconds_since(host.bound_at) > 3600.0 {
            host.mac = Some(mac);
            host.bound_at = at;
        }
        self.ours.promote(&address);
    }

    /// The hardware address bound to one of ours.
    pub(crate) fn mac(&self, address: IpAddr) -> Option<Mac> {
        let mac = self.ours.get(&address)?.mac?;
        (!self.forwards(mac)).then_some(mac)
    }

    /// Whether the hardware address speaks for many network addresses.
    pub(crate) fn forwards(&self, mac: Mac) -> bool {
        self.routers.get(&mac).is_some()
            || self.macs.get(&mac).is_some_and(|addresses| addresses.count() > OWN_ADDRESSES)
    }

    pub(crate) fn pair(&self, src: IpAddr, dst: IpAddr) -> Pair {
        self.pairs.get(&(src, dst)).copied().unwrap_or_default()
    }

    /// Whether any answer in DNS named the address.
    pub(crate) fn was_resolved(&self, address: IpAddr) -> bool {
        self.resolved.get(&address).is_some()
    }

    /// Whether questions of this host to DNS are seen here at all.
    pub(crate) fn asks_dns(&self, address: IpAddr) -> bool {
        self.ours.get(&address).is_some_and(|host| host.asks_dns)
    }

    /// Whether one of ours is known to live at its address: it held conversations under it, and nobody else was seen to
    /// use it. That proves nothing about a single packet, as a handshake within the evidence would.
    pub(crate) fn lives(&self, address: IpAddr) -> bool {
        self.ours
            .get(&address)
            .is_some_and(|host| (host.handshake || host.answers >= ANSWERS) && !host.disputed)
    }

    /// How sure it is that packets with this source address and hardware address are the address's owner's. What was
    /// proven of other packets, by a handshake of long ago, proves nothing about these.
    pub(crate) fn proof(&self, address: IpAddr, mac: Option<Mac>) -> Proof {
        let Some(mac) = mac.filter(|&mac| self.is_home(address) && !self.forwards(mac)) else {
            return Proof::None;
        };
        let alone = || self.macs.get(&mac).is_some_and(|all| all.count() == 1);
        match self.ours.get(&address).and_then(|host| host.mac) {
            Some(bound) if bound == mac => Proof::Hardware,
            Some(_) => Proof::None,
            // Nobody disputes the address: its hardware address speaks for it alone.
            None if alone() => Proof::Hardware,
            None => Proof::None,
        }
    }

    /// Whether a party is surely there, so that somebody else cannot have made it up.
    pub(crate) fn is_there(&self, party: &Party) -> bool {
        party.proof.max(self.proof(party.address, party.mac)) != Proof::None
            || (party.home && party.mac.is_none() && self.lives(party.address))
    }

    /// A party to a finding, by the hardware address that its packets carried.
    pub(crate) fn party(&self, address: IpAddr, mac: Option<Mac>, role: Role) -> Party {
        // Where the address is bound, what its packets carried is kept, even to its disadvantage.
        let bound = self.mac(address);
        let mac = mac.filter(|&mac| self.is_home(address) && (bound.is_some() || !self.forwards(mac)));
        Party { address, mac, role, proof: self.proof(address, mac), home: self.is_home(address) }
    }

    /// A party to what was said in a flow of this protocol. What is said over TCP is only heard once both ends were seen
    /// to hear each other; a datagram proves nothing.
    pub(crate) fn party_to_talk(&self, protocol: Protocol, address: IpAddr, role: Role) -> Party {
        let proof = if protocol == Protocol::TCP { Proof::Handshake } else { Proof::None };
        Party { proof, ..self.party(address, None, role) }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.ours.forgotten() + self.others.forgotten() + self.pairs.forgotten() + self.resolved.forgotten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Counts, FlowKey, RecordRef, Service};

    fn flow(outcome: Outcome, hops: u8) -> Event {
        let counts = Counts { packets_out: 2, packets_in: 1, ..Counts::default() };
        let update = FlowUpdate {
            id: 1,
            key: FlowKey {
                src: IpAddr::from([10, 0, 0, 5]),
                dst: IpAddr::from([192, 0, 2, 9]),
                src_port: 40_000,
                dst_port: 5_683,
                protocol: if outcome == Outcome::Refused { Protocol::UDP } else { Protocol::TCP },
            },
            phase: Phase::Summary,
            first: Timestamp::default(),
            last: Timestamp::default(),
            delta: counts,
            total: counts,
            outcome,
            visibility: Visibility::Both,
            service: Service::Unknown,
            src_mac: None,
            dst_mac: None,
            hops: Some(hops),
            flags_out: 0,
            flags_in: 0,
            opened_by: RecordRef::default(),
        };
        Event { at: Timestamp::default(), record: RecordRef::default(), kind: EventKind::Flow(update) }
    }

    #[test]
    fn an_address_without_hardware_is_believed_until_it_is_used_from_two_distances() {
        let check = |flows: &[(Outcome, u8)], lives: bool| {
            let mut hosts = Hosts::new(NetSet::private());
            flows.iter().for_each(|&(outcome, hops)| hosts.event(&flow(outcome, hops)));
            let us = IpAddr::from([10, 0, 0, 5]);
            assert_eq!(hosts.lives(us), lives, "{flows:?}");
        };
        let (made, refused) = (Outcome::Established, Outcome::Refused);
        check(&[(refused, 0)], false);
        check(&[(refused, 0), (refused, 0), (refused, 0)], true);
        check(&[(made, 0), (refused, 1), (refused, 1)], true);
        check(&[(made, 0), (refused, 13), (refused, 13)], false);
        check(&[(refused, 13), (made, 0), (made, 0)], false);
    }
}
