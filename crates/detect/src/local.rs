//! The local network: somebody claims another's address, or plays or exhausts the DHCP server.
//!
//! A device not seen before is inventory, not an incident. An address that moves, with a DHCP grant or from one machine of
//! a pair to the other, is no spoofing as long as the one who had it uses it no more. A second DHCP server is a rogue
//! where it hands out what the first never did, and the first is alive. A crowd of devices that comes back after a power
//! cut talks afterwards, or finds no server; a starvation's clients are offered addresses and never talk. What is counted
//! about clients is counted for each input: there is no network that two of them share.

use crate::{
    bounded::Bounded,
    engine::Context,
    findings::{Draft, Handle},
    measure::{Distinct, digest},
};
use model::{
    Arp, ArpOperation, Counts, Dhcp, DhcpOperation, FlowUpdate, Mac, Net, Party, Proof, RecordRef, Role,
    Severity, Tactic, Technique, Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

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
/// An offer comes within this time of the question.
const OFFER_MICROS: i64 = 5_000_000;
/// Inputs told apart, servers known, and what is kept of what each hands out.
const INPUTS: usize = 64;
const SERVERS: usize = 64;
const OFFERS: usize = 16;

struct Holder {
    mac: Mac,
    /// When it last said by ARP that the address is its own, and when it last used it.
    heard: Timestamp,
    used: Timestamp,
    rival: Option<Mac>,
    /// The rival passes on what others say, and did so before it claimed anything; the holder does not.
    speaks_for: bool,
    claims: u32,
    first_claim: Timestamp,
    /// To whom the claims were told, where not to everybody.
    deceived: Vec<IpAddr>,
    granted: Option<Mac>,
    finding: Option<Handle>,
}

impl Holder {
    const fn new(mac: Mac, at: Timestamp) -> Self {
        Self {
            mac,
            heard: at,
            used: at,
            rival: None,
            speaks_for: false,
            claims: 0,
            first_claim: at,
            deceived: Vec::new(),
            granted: None,
            finding: None,
        }
    }

    /// Since the first claim of its rival it went on with the address. Of an address that is a redundancy protocol's, the
    /// machine behind it may go on to send from it.
    fn holds_on(&self) -> bool {
        let shared = self.mac.is_virtual() || self.rival.is_some_and(Mac::is_virtual);
        let last = if shared { self.heard } else { self.heard.max(self.used) };
        last.micros_since(self.first_claim) > 2 * SHORT_MICROS
    }
}

struct Server {
    address: IpAddr,
    mac: Option<Mac>,
    clients: Distinct,
    network: Option<Net>,
    heard: Timestamp,
    /// The routers and resolvers that it handed out.
    offers: BTreeSet<IpAddr>,
    /// Who served the same clients or network before it.
    rival_of: Option<IpAddr>,
    /// What it handed out that the other never did.
    strange: Option<Strange>,
}

struct Strange {
    at: Timestamp,
    record: RecordRef,
    sender: IpAddr,
    mac: Option<Mac>,
    offers: Vec<IpAddr>,
}

/// A server offers addresses.
#[derive(Clone, Copy)]
struct Offering {
    server: IpAddr,
    /// Since when, without a longer pause.
    since: Timestamp,
    last: Timestamp,
}

impl Offering {
    fn goes_on(self, at: Timestamp) -> bool {
        at.micros_since(self.last) <= CLIENTS_MICROS
    }
}

/// The clients of one input that nobody knew.
#[derive(Default)]
struct Crowd {
    clients: VecDeque<(Timestamp, Mac, Mac)>,
    offering: Option<Offering>,
    told: Option<(Handle, Timestamp)>,
}

/// Detects attacks on the local network.
pub(crate) struct Local {
    holders: Bounded<IpAddr, Holder>,
    /// Which addresses a hardware address holds, the last of them.
    owns: Bounded<Mac, IpAddr>,
    servers: Vec<Server>,
    /// By input.
    crowds: BTreeMap<u32, Crowd>,
    talked: Bounded<Mac, ()>,
    known: Bounded<Mac, ()>,
}

impl Local {
    pub(crate) fn new() -> Self {
        Self {
            holders: Bounded::new(1 << 14),
            owns: Bounded::new(1 << 14),
            servers: Vec::new(),
            crowds: BTreeMap::new(),
            talked: Bounded::new(1 << 14),
            known: Bounded::new(1 << 14),
        }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.holders.forgotten() + self.owns.forgotten() + self.talked.forgotten() + self.known.forgotten()
    }

    /// A hardware address used a network address.
    pub(crate) fn flow(&mut self, flow: &FlowUpdate) {
        // When each side spoke last is known where it alone did since the last update, and of short flows.
        let short = flow.last.micros_since(flow.first) <= SHORT_MICROS;
        let Counts { packets_out, packets_in, .. } = flow.delta;
        let spoke = [
            (flow.key.src, flow.src_mac, packets_out > 0 && (short || packets_in == 0)),
            (flow.key.dst, flow.dst_mac, packets_in > 0 && (short || packets_out == 0)),
        ];
        for (address, mac, _) in spoke.into_iter().filter(|(_, _, alone)| *alone) {
            if let Some(holder) = self.holders.get_mut(&address).filter(|holder| Some(holder.mac) == mac) {
                holder.used = holder.used.max(flow.last);
            }
        }
    }

    pub(crate) fn arp(&mut self, arp: &Arp, context: &mut Context<'_>) {
        let (mac, address, at) = (arp.sender_mac, arp.sender, context.at);
        if address.is_unspecified() || mac == Mac::ZERO || mac.is_group() {
            return;
        }
        self.talked.entry(mac, || ());
        let holder = self.holders.entry(address, || Holder::new(mac, at));
        if holder.mac == mac {
            holder.heard = at;
            self.owns.entry(mac, || address);
            return;
        }
        let moved = holder.granted == Some(mac)
            || at.micros_since(holder.heard.max(holder.used)) > HOLDS_MICROS
            || (mac.is_balanced() && holder.mac.is_balanced());
        if moved {
            *holder = Holder::new(mac, at);
            self.owns.entry(mac, || address);
            return;
        }
        if holder.rival != Some(mac) {
            (holder.rival, holder.claims, holder.first_claim) = (Some(mac), 0, at);
            holder.deceived.clear();
            // A router that answers for hosts beyond it speaks for others, but never for another router.
            holder.speaks_for = context.hosts.forwards(mac) && !context.hosts.forwards(holder.mac);
        }
        // A claim is an answer, or an announcement of one's own address.
        let claims = arp.operation == ArpOperation::Reply || arp.sender == arp.target;
        holder.claims += u32::from(claims && !holder.speaks_for);
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
        let robbed = holder.holds_on();
        if at.micros_since(first_claim) > HANDED_OVER_MICROS {
            // Claims of long ago are not held against anybody: it was handed over, or it begins anew.
            if robbed {
                (holder.claims, holder.first_claim) = (u32::from(claims), at);
            } else {
                *holder = Holder::new(mac, at);
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
        let finding = context.state(Draft {
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
                if let (true, DhcpOperation::Ack, Some(address)) = (dhcp.asked, dhcp.operation, dhcp.address)
                {
                    let (at, mac) = (context.at, dhcp.client);
                    self.holders.entry(address, || Holder::new(mac, at)).granted = Some(mac);
                }
                self.server(dhcp, context);
            }
            DhcpOperation::Discover | DhcpOperation::Request => self.client(dhcp, context),
            DhcpOperation::Nak | DhcpOperation::Other => {}
        }
    }

    /// A server spoke.
    fn server(&mut self, dhcp: &Dhcp, context: &mut Context<'_>) {
        let (at, address) = (context.at, dhcp.server.unwrap_or(dhcp.sender));
        let crowd = self.crowd(context);
        let before = crowd.offering.filter(|offering| offering.goes_on(at));
        crowd.offering =
            Some(Offering { server: address, since: before.map_or(at, |before| before.since), last: at });
        let Some(place) = self.place_of(dhcp, address, at) else { return };
        let handed_out: Vec<IpAddr> = dhcp.routers.iter().chain(&dhcp.resolvers).copied().collect();
        let other = self.servers.get(place).and_then(|server| server.rival_of);
        let established = self.servers.iter().find(|server| Some(server.address) == other);
        let strange = established.filter(|_| !dhcp.relayed).is_some_and(|established| {
            // The other half of a redundant pair may wear the same hardware address.
            let pair = established.mac.is_some() && established.mac == dhcp.frame_src;
            !pair && handed_out.iter().any(|offer| !established.offers.contains(offer))
        });
        let beside = established.is_some_and(|other| at.micros_since(other.heard) <= SHORT_MICROS);
        let Some(server) = self.servers.get_mut(place) else { return };
        server.heard = at;
        server.clients.insert(digest(dhcp.client));
        server.offers.extend(handed_out.iter().take(OFFERS.saturating_sub(server.offers.len())));
        if strange && server.strange.is_none() {
            let (record, sender, mac) = (context.record, dhcp.sender, dhcp.frame_src);
            server.strange = Some(Strange { at, record, sender, mac, offers: handed_out });
        }
        // The first is alive: it speaks beside the second, or after it.
        if beside {
            self.rogue(place, context);
        }
        for rival in 0..self.servers.len() {
            if self.servers.get(rival).is_some_and(|server| server.rival_of == Some(address)) {
                self.rogue(rival, context);
            }
        }
    }

    /// Where the server is kept; a new one with whom it competes, if with anybody.
    fn place_of(&mut self, dhcp: &Dhcp, address: IpAddr, at: Timestamp) -> Option<usize> {
        let known = self.servers.iter().position(|server| server.address == address);
        if known.is_some() || self.servers.len() >= SERVERS {
            return known;
        }
        let network =
            dhcp.address.and_then(|offered| Net::new(offered, if offered.is_ipv4() { 24 } else { 64 }));
        // A server of another network is nobody's rival: they compete for a client, or for a network's addresses.
        let rival = |server: &&Server| {
            server.clients.contains(digest(dhcp.client))
                || (server.network.is_some() && server.network == network)
        };
        self.servers.push(Server {
            address,
            mac: dhcp.frame_src,
            clients: Distinct::default(),
            network,
            heard: at,
            offers: BTreeSet::new(),
            rival_of: self.servers.iter().find(rival).map(|server| server.address),
            strange: None,
        });
        Some(self.servers.len() - 1)
    }

    /// Tells of a second server that handed out other routers or resolvers than the first, once.
    fn rogue(&mut self, place: usize, context: &mut Context<'_>) {
        let Some(server) = self.servers.get_mut(place) else { return };
        let Some((strange, established)) = server.strange.take().zip(server.rival_of) else {
            return;
        };
        let Strange { at, record, sender, mac, offers } = strange;
        // Told once: what it hands out is known from now on.
        server.rival_of = None;
        let address = server.address;
        let offers = offers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        // Whoever sent the frame is told of, whatever address stands in it.
        let teller = mac.and_then(|mac| self.owns.get(&mac).copied()).unwrap_or(sender);
        let mut rogue = context.hosts.party(teller, mac, Role::Attacker);
        rogue.mac = rogue.mac.or(mac);
        context.state(Draft {
            detector: "rogue-dhcp",
            anchor: address.to_string(),
            severity: Severity::High,
            confidence: 75,
            stage: Tactic::CredentialAccess,
            technique: Technique::new("T1557.003"),
            method: "dhcp".into(),
            first: at,
            last: context.at,
            parties: vec![rogue, context.hosts.party(established, None, Role::Victim)],
            why: format!("{address} answers DHCP clients beside {established} and hands out {offers} as router or resolver"),
            value: 2.0,
            threshold: 1.0,
            record,
            scopes: Vec::new(),
            flows: 0,
            supporting: false,
        });
    }

    fn crowd(&mut self, context: &Context<'_>) -> &mut Crowd {
        let input = context.record.input;
        // So many inputs that they cannot be told apart any more share what is left.
        let full = self.crowds.len() >= INPUTS && !self.crowds.contains_key(&input);
        self.crowds.entry(if full { u32::MAX } else { input }).or_default()
    }

    fn client(&mut self, dhcp: &Dhcp, context: &mut Context<'_>) {
        let at = context.at;
        if dhcp.operation == DhcpOperation::Request {
            // A client that takes what it was offered is known from then on.
            self.known.entry(dhcp.client, || ());
        }
        if dhcp.operation != DhcpOperation::Discover || dhcp.relayed {
            return;
        }
        let stranger = self.talked.get(&dhcp.client).is_none();
        let crowd = self.crowd(context);
        if crowd.clients.iter().any(|(_, client, _)| *client == dhcp.client) {
            return;
        }
        if stranger {
            crowd.clients.push_back((at, dhcp.client, dhcp.frame_src.unwrap_or(dhcp.client)));
        }
        while crowd.clients.front().is_some_and(|(first, ..)| at.micros_since(*first) > CLIENTS_MICROS)
            || crowd.clients.len() > 512
        {
            crowd.clients.pop_front();
        }
        self.starved(context);
    }

    /// Event time went on: a crowd may have turned out to be silent.
    pub(crate) fn advance(&mut self, context: &mut Context<'_>) {
        self.starved(context);
    }

    fn starved(&mut self, context: &mut Context<'_>) {
        let Self { crowds, owns, talked, known, .. } = self;
        for crowd in crowds.values_mut() {
            let is_silent = |client: &Mac| talked.get(client).is_none() && known.get(client).is_none();
            crowd.starved(is_silent, owns, context);
        }
    }
}

impl Crowd {
    fn starved(
        &mut self,
        is_silent: impl Fn(&Mac) -> bool,
        owns: &Bounded<Mac, IpAddr>,
        context: &mut Context<'_>,
    ) {
        let count = self.clients.len();
        if count < CLIENTS {
            return;
        }
        let at = context.at;
        if let Some((handle, told)) = self.told
            && at.seconds_since(told) < 3600.0
        {
            context.findings.extend(handle, at, |finding| finding.value = finding.value.max(count as f64));
            return;
        }
        // One sender behind many clients gives itself away; else they are those that were never heard of again.
        let mut senders = Distinct::default();
        // Without a server nobody is starved: they all wait for it, and who asked before it came has to ask again.
        let served = self.offering.filter(|offering| offering.goes_on(at));
        let (mut asked, mut silent) = (0, 0);
        for (first, client, sender) in &self.clients {
            senders.insert(digest(sender));
            if served.is_some_and(|offering| *first >= offering.since.plus_micros(-OFFER_MICROS)) {
                asked += 1;
                silent += usize::from(is_silent(client));
            }
        }
        let one_sender = senders.count() * 4 <= count as u64;
        let waited = self.clients.front().is_some_and(|(first, ..)| at.seconds_since(*first) > 5.0);
        if !(one_sender || (waited && asked >= CLIENTS && silent * 10 >= asked * 9)) {
            return;
        }
        let first = self.clients.front().map_or(at, |(first, ..)| *first);
        // The one who asks in everybody's name is known by its own address, where it has shown one.
        let sender = self.clients.front().map(|(.., sender)| *sender).filter(|_| one_sender);
        let asker = sender.and_then(|mac| owns.get(&mac).map(|&own| (own, mac))).map(|(own, mac)| Party {
            address: own,
            mac: Some(mac),
            role: Role::Attacker,
            proof: Proof::Hardware,
            home: context.hosts.is_home(own),
        });
        let victims = self.offering.map(|offering| context.hosts.party(offering.server, None, Role::Victim));
        let finding = context.state(Draft {
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
        self.told = finding.map(|handle| (handle, at));
    }
}
