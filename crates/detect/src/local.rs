//! The local network: somebody claims another's address, or plays or exhausts the DHCP server.
//!
//! A device not seen before is inventory, not an incident. An address that moves with a DHCP grant, or between the
//! virtual addresses of a redundancy protocol, is no spoofing. A crowd of devices that comes back after a power cut talks
//! afterwards; a starvation's clients never do.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle},
    measure::{Distinct, digest},
};
use model::{
    Arp, ArpOperation, Counts, Dhcp, DhcpOperation, FlowUpdate, Mac, Net, Party, Proof, Role, Severity,
    Tactic, Technique, Timestamp,
};
use std::{collections::VecDeque, net::IpAddr};

/// Claims of an address that its holder still uses.
const CLAIMS: u32 = 3;
/// A holder that was heard of within this time still uses its address.
const HOLDS_MICROS: i64 = 600_000_000;
/// Within this, what was said last was said now.
const SHORT_MICROS: i64 = 2_000_000;
/// A holder that is silent for so long after another's first claim gave its address away.
const HANDED_OVER_MICROS: i64 = 300_000_000;
/// How many of those that are lied to are named.
const MAX_DECEIVED: usize = 64;
/// New clients within a minute, and how many of them may be heard of otherwise.
const CLIENTS: usize = 40;
const CLIENTS_MICROS: i64 = 60_000_000;

struct Holder {
    mac: Mac,
    heard: Timestamp,
    rival: Option<Mac>,
    claims: u32,
    first_claim: Timestamp,
    /// To whom the claims were told, where not to everybody.
    deceived: Vec<IpAddr>,
    granted: Option<Mac>,
    finding: Option<Handle>,
}

struct Server {
    address: IpAddr,
    mac: Option<Mac>,
    clients: Distinct,
    network: Option<Net>,
}

/// Detects attacks on the local network.
pub(crate) struct Local {
    holders: Bounded<IpAddr, Holder>,
    /// Which addresses a hardware address holds, the last of them.
    owns: Bounded<Mac, IpAddr>,
    /// When holders of addresses were last heard of in any traffic.
    heard: Bounded<Mac, Timestamp>,
    servers: Vec<Server>,
    clients: VecDeque<(Timestamp, Mac, Mac)>,
    talked: Bounded<Mac, ()>,
    known: Bounded<Mac, ()>,
    starvation: Option<(Handle, Timestamp)>,
}

impl Local {
    pub(crate) fn new() -> Self {
        Self {
            holders: Bounded::new(1 << 14),
            owns: Bounded::new(1 << 14),
            heard: Bounded::new(1 << 14),
            servers: Vec::new(),
            clients: VecDeque::new(),
            talked: Bounded::new(1 << 14),
            known: Bounded::new(1 << 14),
            starvation: None,
        }
    }

    /// A hardware address was heard of in traffic.
    pub(crate) fn flow(&mut self, flow: &FlowUpdate) {
        // When each side spoke last is known where it alone did since the last update, and of short flows.
        let short = flow.last.micros_since(flow.first) <= SHORT_MICROS;
        let Counts { packets_out, packets_in, .. } = flow.delta;
        let spoke = [
            (flow.src_mac, packets_out > 0 && (short || packets_in == 0)),
            (flow.dst_mac, packets_in > 0 && (short || packets_out == 0)),
        ];
        for mac in spoke.into_iter().filter_map(|(mac, alone)| mac.filter(|_| alone)) {
            if let Some(heard) = self.heard.get_mut(&mac) {
                *heard = (*heard).max(flow.last);
            }
        }
    }

    pub(crate) fn arp(&mut self, arp: &Arp, context: &mut Context<'_>) {
        let (mac, address, at) = (arp.sender_mac, arp.sender, context.at);
        if address.is_unspecified() || mac == Mac::ZERO || mac.is_group() {
            return;
        }
        self.talked.entry(mac, || ());
        let fresh = || Holder {
            mac,
            heard: at,
            rival: None,
            claims: 0,
            first_claim: at,
            deceived: Vec::new(),
            granted: None,
            finding: None,
        };
        let holder = self.holders.entry(address, fresh);
        if holder.mac == mac {
            holder.heard = at;
            *self.heard.entry(mac, || at) = at;
            self.owns.entry(mac, || address);
            return;
        }
        let moved = holder.granted == Some(mac)
            || at.micros_since(holder.heard) > HOLDS_MICROS
            || is_virtual(mac)
            || is_virtual(holder.mac);
        if moved {
            *holder = fresh();
            self.owns.entry(mac, || address);
            return;
        }
        if holder.rival != Some(mac) {
            (holder.rival, holder.claims, holder.first_claim) = (Some(mac), 0, at);
            holder.deceived.clear();
        }
        // A claim is an answer, or an announcement of one's own address.
        let claims = arp.operation == ArpOperation::Reply || arp.sender == arp.target;
        holder.claims += u32::from(claims);
        let count = holder.claims;
        let told =
            (claims && !arp.broadcast && arp.target != address && !holder.deceived.contains(&arp.target))
                .then_some(arp.target)
                .filter(|_| holder.deceived.len() < MAX_DECEIVED);
        holder.deceived.extend(told);
        if let Some(handle) = holder.finding.filter(|&handle| context.findings.is_open(handle)) {
            let victim = told.map(|told| context.hosts.party(told, None, Role::Victim));
            context.findings.extend(handle, at, |finding| {
                finding.value = f64::from(count);
                finding.parties.extend(victim);
            });
            return;
        }
        if count < CLAIMS {
            return;
        }
        // Who is robbed of its address goes on talking; who handed it over is silent from then on.
        let first_claim = holder.first_claim;
        let robbed = self
            .heard
            .get(&holder.mac)
            .is_some_and(|&heard| heard.micros_since(first_claim) > 2 * SHORT_MICROS);
        if at.micros_since(first_claim) > HANDED_OVER_MICROS {
            // Claims of long ago are not held against anybody: it was handed over, or it begins anew.
            if robbed {
                (holder.claims, holder.first_claim) = (u32::from(claims), at);
            } else {
                *holder = fresh();
                self.owns.entry(mac, || address);
            }
            return;
        }
        if !robbed {
            return;
        }
        let (held_by, first) = (holder.mac, holder.first_claim);
        // Who sent the frame says so, whatever hardware address it names.
        let teller = if arp.frame_src == Mac::ZERO { mac } else { arp.frame_src };
        let own = self.owns.get(&teller).copied().filter(|&own| own != address);
        // Who is robbed of its address suffers, and who is told the lie.
        let suffer = std::iter::once(&address).chain(&holder.deceived);
        let mut parties: Vec<Party> =
            suffer.map(|&address| context.hosts.party(address, None, Role::Victim)).collect();
        // The claimant is known by its own address, where it has shown one.
        if let Some(own) = own {
            parties.push(Party {
                address: own,
                mac: Some(teller),
                role: Role::Attacker,
                proof: Proof::Hardware,
                home: context.hosts.is_home(own),
            });
        }
        let who = own.map_or_else(|| teller.to_string(), |own| format!("{own} ({teller})"));
        let finding = context.findings.state(Draft {
            detector: "arp-spoofing",
            anchor: format!("{address} {mac}"),
            severity: Severity::High,
            confidence: 85,
            stage: Tactic::CredentialAccess,
            technique: Technique::new("T1557.002"),
            method: "arp".into(),
            first,
            last: at,
            parties,
            why: format!("{who} claims {address} again and again, which {held_by} still holds: traffic can be read and changed on its way"),
            value: f64::from(count),
            threshold: f64::from(CLAIMS),
            record: context.record,
            scopes: Vec::new(),
            flows: 0,
            supporting: false,
        });
        if let Some(holder) = self.holders.get_mut(&address) {
            holder.finding = finding;
        }
    }

    pub(crate) fn dhcp(&mut self, dhcp: &Dhcp, context: &mut Context<'_>) {
        match dhcp.operation {
            DhcpOperation::Offer | DhcpOperation::Ack => {
                if let (DhcpOperation::Ack, Some(address)) = (dhcp.operation, dhcp.address) {
                    let at = context.at;
                    let mac = dhcp.client;
                    let fresh = || Holder {
                        mac,
                        heard: at,
                        rival: None,
                        claims: 0,
                        first_claim: at,
                        deceived: Vec::new(),
                        granted: None,
                        finding: None,
                    };
                    self.holders.entry(address, fresh).granted = Some(mac);
                }
                self.server(dhcp, context);
            }
            DhcpOperation::Discover | DhcpOperation::Request => self.client(dhcp, context),
            DhcpOperation::Nak | DhcpOperation::Other => {}
        }
    }

    /// A second server that hands out other routers or resolvers than the first.
    fn server(&mut self, dhcp: &Dhcp, context: &mut Context<'_>) {
        let at = context.at;
        let address = dhcp.server.unwrap_or(dhcp.sender);
        if let Some(known) = self.servers.iter_mut().find(|server| server.address == address) {
            known.clients.insert(digest(dhcp.client));
            return;
        }
        if self.servers.len() >= 64 {
            return;
        }
        let network =
            dhcp.address.and_then(|offered| Net::new(offered, if offered.is_ipv4() { 24 } else { 64 }));
        // A server of another network is nobody's rival: they compete for a client, or for a network's addresses.
        let rival = |server: &&Server| {
            server.clients.contains(digest(dhcp.client))
                || (server.network.is_some() && server.network == network)
        };
        let first = self.servers.iter().find(rival).map(|server| (server.address, server.mac));
        let mut clients = Distinct::default();
        clients.insert(digest(dhcp.client));
        self.servers.push(Server { address, mac: dhcp.frame_src, clients, network });
        let Some((established, mac)) = first else { return };
        // Relays and the other half of a redundant pair speak for the same network.
        let pair = mac.is_some() && mac == dhcp.frame_src;
        if dhcp.relayed || pair {
            return;
        }
        let offers = dhcp
            .routers
            .iter()
            .chain(&dhcp.resolvers)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        // Whoever sent the frame is told of, whatever address stands in it.
        let teller = dhcp.frame_src.and_then(|mac| self.owns.get(&mac).copied()).unwrap_or(dhcp.sender);
        let mut rogue = context.hosts.party(teller, dhcp.frame_src, Role::Attacker);
        rogue.mac = rogue.mac.or(dhcp.frame_src);
        context.findings.state(Draft {
            detector: "rogue-dhcp",
            anchor: address.to_string(),
            severity: Severity::High,
            confidence: 75,
            stage: Tactic::CredentialAccess,
            technique: Technique::new("T1557.003"),
            method: "dhcp".into(),
            first: at,
            last: at,
            parties: vec![rogue, context.hosts.party(established, None, Role::Victim)],
            why: format!("{address} answers DHCP clients beside {established} and hands out {offers} as router or resolver"),
            value: 2.0,
            threshold: 1.0,
            record: context.record,
            scopes: Vec::new(),
            flows: 0,
            supporting: false,
        });
    }

    fn client(&mut self, dhcp: &Dhcp, context: &mut Context<'_>) {
        let at = context.at;
        if dhcp.operation == DhcpOperation::Request {
            // A client that takes what it was offered is known from then on.
            self.known.entry(dhcp.client, || ());
        }
        if dhcp.operation != DhcpOperation::Discover
            || dhcp.relayed
            || self.clients.iter().any(|(_, client, _)| *client == dhcp.client)
        {
            return;
        }
        let strangers = self.talked.get(&dhcp.client).is_none();
        if strangers {
            self.clients.push_back((at, dhcp.client, dhcp.frame_src.unwrap_or(dhcp.client)));
        }
        while self.clients.front().is_some_and(|(first, ..)| at.micros_since(*first) > CLIENTS_MICROS)
            || self.clients.len() > 512
        {
            self.clients.pop_front();
        }
        self.starved(context);
    }

    /// Event time went on: a crowd may have turned out to be silent.
    pub(crate) fn advance(&mut self, context: &mut Context<'_>) {
        self.starved(context);
    }

    fn starved(&mut self, context: &mut Context<'_>) {
        let count = self.clients.len();
        if count < CLIENTS {
            return;
        }
        let at = context.at;
        if let Some((handle, told)) = self.starvation
            && at.seconds_since(told) < 3600.0
        {
            context.findings.extend(handle, at, |finding| finding.value = finding.value.max(count as f64));
            return;
        }
        // One sender behind many clients gives itself away; else they are those that were never heard of again.
        let mut senders = Distinct::default();
        let mut silent = 0;
        for (_, client, sender) in &self.clients {
            senders.insert(digest(sender));
            silent += usize::from(self.talked.get(client).is_none() && self.known.get(client).is_none());
        }
        let one_sender = senders.count() * 4 <= count as u64;
        let waited = self.clients.front().is_some_and(|(first, ..)| at.seconds_since(*first) > 5.0);
        if !(one_sender || (waited && silent * 10 >= count * 9)) {
            return;
        }
        let first = self.clients.front().map_or(at, |(first, ..)| *first);
        // The one who asks in everybody's name is known by its own address, where it has shown one.
        let sender = self.clients.front().map(|(.., sender)| *sender).filter(|_| one_sender);
        let asker =
            sender.and_then(|mac| self.owns.get(&mac).map(|&own| (own, mac))).map(|(own, mac)| Party {
                address: own,
                mac: Some(mac),
                role: Role::Attacker,
                proof: Proof::Hardware,
                home: context.hosts.is_home(own),
            });
        let victims =
            self.servers.first().map(|server| context.hosts.party(server.address, None, Role::Victim));
        let finding = context.findings.state(Draft {
            detector: "dhcp-starvation",
            anchor: "clients".into(),
            severity: Severity::High,
            confidence: 80,
            stage: Tactic::Impact,
            technique: Technique::new("T1499"),
            method: "dhcp".into(),
            first,
            last: at,
            parties: victims.into_iter().chain(asker).collect(),
            why: format!("{count} clients that were never heard of before asked for addresses within a minute, {silent} of them never to be heard of again"),
            value: count as f64,
            threshold: CLIENTS as f64,
            record: context.record,
            scopes: Vec::new(),
            flows: 0,
            supporting: false,
        });
        self.starvation = finding.map(|handle| (handle, at));
    }
}

/// VRRP, HSRP and CARP give an address a hardware address of its own.
const fn is_virtual(mac: Mac) -> bool {
    matches!(
        mac.0,
        [0x00, 0x00, 0x5e, 0x00, 0x01 | 0x02, _]
            | [0x00, 0x00, 0x0c, 0x07, 0xac, _]
            | [0x00, 0x00, 0x0c, 0x9f, ..]
    )
}
