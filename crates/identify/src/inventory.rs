//! The inventory: assets from events.
//!
//! An asset is known by its hardware address where ARP, DHCP or an answered conversation bound one to its address,
//! else by its address. It comes into being when it speaks for itself (ARP, DHCP, an answered conversation, an
//! announcement), never because somebody aimed at its address. When the inventory is full, the least certain and
//! longest unseen make room; assets that count as protected by their kind or function go last.

use crate::{
    guess::{Shown, printable},
    kinds::{Kinds, Source},
    wiring::Wiring,
};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::{
    Arp, Asset, AssetStatus, AuthorityId, Criticality, Dhcp, DhcpOperation, Dns, Event, EventKind,
    FlowUpdate, Hint, HintKind, Kind, Layer, Mac, NetSet, Outcome, Phase, Service, Timestamp,
};
use std::net::IpAddr;

/// Addresses that are kept of one asset.
const MAX_ADDRESSES: usize = 8;
/// A binding that was confirmed so recently is not taken over by a mere claim.
const BINDING_HOLDS_SECS: i64 = 600;
/// An asset that goes on being seen is told again so often.
const SEEN_AGAIN_SECS: i64 = 300;
/// So many different clients must have been answered before a server is believed to be the network's.
const MANY_CLIENTS: usize = 3;
/// DHCP servers that are told apart.
const MAX_SERVERS: usize = 64;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Assets.
    pub assets: usize,
    /// Hardware addresses whose wiring is remembered.
    pub macs: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { assets: 65_536, macs: 65_536 }
    }
}

/// What the inventory did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Assets known now.
    pub assets: usize,
    /// Assets given up because there was no room.
    pub evicted: u64,
    /// Assets not taken up because all that were there had to stay.
    pub refused: u64,
}

/// Which assets there are.
#[derive(Debug)]
pub struct Inventory {
    home: NetSet,
    kinds: Kinds,
    capacity: usize,
    entries: HashMap<Id, Entry, RandomState>,
    by_address: HashMap<IpAddr, Id, RandomState>,
    wiring: Wiring,
    /// DHCP servers in order of appearance, each with the first clients that it served.
    dhcp_servers: Vec<(IpAddr, Vec<Mac>)>,
    changed: Vec<Id>,
    stats: Stats,
}

/// What an asset is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Id {
    Address(IpAddr),
    Mac(Mac),
}

/// How an address came to an asset; the stronger way wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    /// It sent a packet from there.
    Sent,
    /// It was answered there.
    Answered,
    /// It claimed it by ARP.
    Claimed,
    /// A DHCP server granted it.
    Granted,
}

#[derive(Debug)]
struct Entry {
    asset: Asset,
    shown: Shown,
    bindings: Vec<(IpAddr, Binding, Timestamp)>,
    /// Clients that it answered as a resolver or time server, until there are enough.
    answered: [Vec<IpAddr>; 2],
    told: Option<Timestamp>,
    is_changed: bool,
}

impl Inventory {
    /// Nothing known yet. `home` is what is ours: only there are assets.
    #[must_use]
    pub fn new(home: NetSet, kinds: Kinds) -> Self {
        Self::with_capacity(home, kinds, Capacity::default())
    }

    /// The same with bounds of one's own.
    #[must_use]
    pub fn with_capacity(home: NetSet, kinds: Kinds, capacity: Capacity) -> Self {
        Self {
            home,
            kinds,
            capacity: capacity.assets.max(1),
            entries: HashMap::default(),
            by_address: HashMap::default(),
            wiring: Wiring::new(capacity.macs.max(1)),
            dhcp_servers: Vec::new(),
            changed: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Learns from an event.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Flow(flow) => self.flow(event.at, flow),
            EventKind::Arp(arp) => self.arp(event.at, arp),
            EventKind::Dhcp(dhcp) => self.dhcp(event.at, dhcp),
            EventKind::Dns(dns) => self.dns(event.at, dns),
            EventKind::Hint(hint) => self.hint(event.at, hint),
            _ => {}
        }
    }

    /// The asset that has this address now.
    #[must_use]
    pub fn asset_at(&self, address: IpAddr) -> Option<&Asset> {
        self.by_address.get(&address).and_then(|id| self.entries.get(id)).map(|entry| &entry.asset)
    }

    /// The asset with this hardware address.
    #[must_use]
    pub fn asset_of(&self, mac: Mac) -> Option<&Asset> {
        self.entries.get(&Id::Mac(mac)).map(|entry| &entry.asset)
    }

    /// All assets, in no order.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.entries.values().map(|entry| &entry.asset)
    }

    /// The assets that are new, changed or seen again since the last call.
    pub fn take_changed(&mut self) -> Vec<Asset> {
        let mut assets = Vec::new();
        for id in std::mem::take(&mut self.changed) {
            if let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.is_changed) {
                entry.is_changed = false;
                entry.told = Some(entry.asset.last_seen);
                assets.push(entry.asset.clone());
            }
        }
        assets
    }

    /// What the inventory did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { assets: self.entries.len(), ..self.stats }
    }

    fn flow(&mut self, at: Timestamp, flow: &FlowUpdate) {
        let at = at.max(flow.last);
        if flow.outcome != Outcome::Established {
            // One-way packets prove little: enough for an asset of its own, not for taking an address from another.
            if matches!(flow.phase, Phase::Progress | Phase::Closed | Phase::Summary) {
                self.one_way(at, flow);
            }
            return;
        }
        for (address, mac, serves) in
            [(flow.key.src, flow.src_mac, false), (flow.key.dst, flow.dst_mac, true)]
        {
            let ours = self.home.contains(address) && is_unicast(address);
            let mac = mac.filter(|mac| is_device(*mac));
            let fronted = mac.is_some_and(|mac| self.wiring.fronts(mac));
            let fronts = mac.is_some_and(|mac| self.wiring.saw(mac, address, ours));
            if let (Some(mac), true) = (mac, fronts) {
                self.function(&Id::Mac(mac), "router");
                if !fronted {
                    self.disown(&Id::Mac(mac));
                }
            }
            if !ours {
                continue;
            }
            let id = self.place(at, address, mac.filter(|_| !fronts), Binding::Answered);
            if serves && flow.service != Service::Unknown && flow.total.packets_in > 0 {
                self.show(&id, Source::Serves, flow.service.as_str());
                match flow.service {
                    Service::Ntp => self.answered(&id, flow.key.src, Answered::Time),
                    Service::Dns => self.answered(&id, flow.key.src, Answered::Name),
                    _ => {}
                }
            }
        }
    }

    fn one_way(&mut self, at: Timestamp, flow: &FlowUpdate) {
        let (address, mac) = (flow.key.src, flow.src_mac.filter(|mac| is_device(*mac)));
        if !self.home.contains(address) || !is_unicast(address) {
            return;
        }
        match (mac, self.by_address.get(&address).copied()) {
            (_, Some(id)) => self.seen(&id, at),
            (Some(mac), None) if !self.wiring.fronts(mac) && !self.entries.contains_key(&Id::Mac(mac)) => {
                self.place(at, address, Some(mac), Binding::Sent);
            }
            // A log without hardware addresses names who opened a flow; that is all there is.
            (None, None) if flow.phase == Phase::Summary => {
                self.place(at, address, None, Binding::Sent);
            }
            _ => {}
        }
    }

    fn arp(&mut self, at: Timestamp, arp: &Arp) {
        let honest = arp.frame_src == arp.sender_mac && is_device(arp.sender_mac);
        if honest && self.home.contains(arp.sender) && is_unicast(arp.sender) {
            self.place(at, arp.sender, Some(arp.sender_mac), Binding::Claimed);
        }
    }

    fn dhcp(&mut self, at: Timestamp, dhcp: &Dhcp) {
        let from_server =
            matches!(dhcp.operation, DhcpOperation::Offer | DhcpOperation::Ack | DhcpOperation::Nak);
        let granted = dhcp
            .address
            .filter(|address| is_unicast(*address) && self.home.contains(*address))
            .filter(|_| dhcp.operation == DhcpOperation::Ack && is_device(dhcp.client));
        if let Some(address) = granted {
            self.place(at, address, Some(dhcp.client), Binding::Granted);
        }
        if !from_server {
            if is_device(dhcp.client) && dhcp.frame_src.is_none_or(|src| src == dhcp.client) {
                self.ensure(Id::Mac(dhcp.client), at);
            }
            return;
        }
        let server = dhcp.server.unwrap_or(dhcp.sender);
        let named = std::iter::once((server, "dhcp"))
            .chain(dhcp.routers.iter().map(|address| (*address, "router")))
            .chain(dhcp.resolvers.iter().map(|address| (*address, "resolver")));
        if dhcp.operation != DhcpOperation::Ack || !self.believes(server, dhcp.client) {
            return;
        }
        for (address, function) in named {
            if self.home.contains(address) && is_unicast(address) {
                let id = self.place(at, address, None, Binding::Sent);
                self.function(&id, function);
            }
        }
    }

    /// The first DHCP server that is seen is the network's; another must first have served many, so that one
    /// device cannot by a single answer pass itself, or its helpers, off as the network's own.
    fn believes(&mut self, server: IpAddr, client: Mac) -> bool {
        if self.dhcp_servers.iter().all(|(known, _)| *known != server) {
            if self.dhcp_servers.len() >= MAX_SERVERS {
                return false;
            }
            self.dhcp_servers.push((server, Vec::new()));
        }
        let first = self.dhcp_servers.first().is_some_and(|(known, _)| *known == server);
        let Some((_, clients)) = self.dhcp_servers.iter_mut().find(|(known, _)| *known == server) else {
            return false;
        };
        if clients.len() < MANY_CLIENTS && !clients.contains(&client) {
            clients.push(client);
        }
        first || clients.len() >= MANY_CLIENTS
    }

    fn dns(&mut self, at: Timestamp, dns: &Dns) {
        if !dns.response {
            if let Some(id) = self.by_address.get(&dns.client).copied() {
                self.show(&id, Source::Cloud, &dns.name);
                self.seen(&id, at);
            }
        } else if let Some(id) = self.by_address.get(&dns.server).copied() {
            self.answered(&id, dns.client, Answered::Name);
        }
    }

    fn hint(&mut self, at: Timestamp, hint: &Hint) {
        // What a device is to the network is judged here from whom it answered; a single answer proves nothing.
        if hint.kind == HintKind::Function {
            return;
        }
        let mac = hint.mac.filter(|mac| is_device(*mac) && !self.wiring.fronts(*mac));
        let address = hint.address.filter(|address| self.home.contains(*address) && is_unicast(*address));
        let from_client = matches!(
            hint.kind,
            HintKind::DhcpHostname | HintKind::DhcpVendorClass | HintKind::DhcpParameters
        );
        let id = match (address, mac) {
            (_, Some(mac)) if from_client => self.ensure(Id::Mac(mac), at),
            (Some(address), mac) => self.place(at, address, mac, Binding::Sent),
            (None, Some(mac)) if hint.address.is_none() => self.ensure(Id::Mac(mac), at),
            _ => return,
        };
        self.seen(&id, at);
        if hint.kind == HintKind::DhcpHostname {
            self.name(&id, &hint.value);
        }
        self.show(&id, hint.kind.into(), &hint.value);
    }

    /// The asset at an address, made or moved as the binding allows.
    fn place(&mut self, at: Timestamp, address: IpAddr, mac: Option<Mac>, binding: Binding) -> Id {
        let held = self.by_address.get(&address).copied();
        let id = match (mac, held) {
            (None, Some(held)) => held,
            (None, None) => Id::Address(address),
            (Some(mac), None) => Id::Mac(mac),
            (Some(mac), Some(held)) if held == Id::Mac(mac) => held,
            (Some(mac), Some(held @ Id::Address(_))) => self.adopt(held, mac),
            (Some(mac), Some(held @ Id::Mac(_))) => {
                if !self.may_take(&held, address, binding, at) {
                    return held;
                }
                self.release(&held, address);
                Id::Mac(mac)
            }
        };
        let id = self.ensure(id, at);
        self.bind(&id, address, binding, at);
        self.seen(&id, at);
        id
    }

    /// Whether an address may go from one hardware address to another: not by a mere claim while it is in use.
    fn may_take(&self, held: &Id, address: IpAddr, binding: Binding, at: Timestamp) -> bool {
        let known = self
            .entries
            .get(held)
            .and_then(|entry| entry.bindings.iter().find(|(bound, _, _)| *bound == address));
        known.is_none_or(|(_, strength, confirmed)| {
            binding == Binding::Granted
                || binding > *strength
                || binding >= Binding::Answered
                    && at.micros_since(*confirmed) > BINDING_HOLDS_SECS * 1_000_000
        })
    }

    /// What was known by its address is now known by its hardware address.
    fn adopt(&mut self, held: Id, mac: Mac) -> Id {
        let id = Id::Mac(mac);
        let Some(mut old) = self.entries.remove(&held) else { return id };
        for (address, _, _) in &old.bindings {
            self.by_address.insert(*address, id);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.bindings.append(&mut old.bindings);
            entry.asset.first_seen = entry.asset.first_seen.min(old.asset.first_seen);
            entry.asset.functions.extend(old.asset.functions);
            entry.asset.functions.sort_unstable();
            entry.asset.functions.dedup();
            entry.asset.name = entry.asset.name.take().or(old.asset.name);
            entry.shown.absorb(old.shown);
        } else {
            old.asset.id = mac.to_string();
            old.asset.mac = Some(mac);
            self.entries.insert(id, old);
            self.vendor(&id, mac);
        }
        self.judge(&id);
        id
    }

    /// A hardware address turned out to front for others: what it did not claim itself was theirs.
    fn disown(&mut self, id: &Id) {
        let Some(entry) = self.entries.get(id) else { return };
        let theirs: Vec<IpAddr> = entry
            .bindings
            .iter()
            .filter(|(_, binding, _)| *binding <= Binding::Answered)
            .map(|(address, _, _)| *address)
            .collect();
        for address in theirs {
            self.release(id, address);
            self.by_address.remove(&address);
        }
    }

    fn release(&mut self, held: &Id, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(held) {
            entry.bindings.retain(|(bound, _, _)| *bound != address);
            entry.asset.addresses.retain(|bound| *bound != address);
        }
        self.mark(held);
    }

    fn bind(&mut self, id: &Id, address: IpAddr, binding: Binding, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if let Some(known) = entry.bindings.iter_mut().find(|(bound, _, _)| *bound == address) {
            known.1 = known.1.max(binding);
            known.2 = known.2.max(at);
            if entry.asset.addresses.first() == Some(&address) {
                return;
            }
        } else {
            if entry.bindings.len() >= MAX_ADDRESSES {
                let (oldest, _, _) = entry.bindings.remove(0);
                entry.asset.addresses.retain(|bound| *bound != oldest);
                self.by_address.remove(&oldest);
            }
            entry.bindings.push((address, binding, at));
        }
        entry.asset.addresses.retain(|bound| *bound != address);
        entry.asset.addresses.insert(0, address);
        self.by_address.insert(address, *id);
        self.mark(id);
    }

    /// The entry of this id, made where there is none and there is room.
    fn ensure(&mut self, id: Id, at: Timestamp) -> Id {
        if self.entries.contains_key(&id) {
            return id;
        }
        if self.entries.len() >= self.capacity && !self.make_room() {
            self.stats.refused += 1;
            return id;
        }
        let (name, mac) = match id {
            Id::Mac(mac) => (mac.to_string(), Some(mac)),
            Id::Address(address) => (address.to_string(), None),
        };
        self.entries.insert(id, Entry::new(name, mac, at));
        self.mark(&id);
        if let Some(mac) = mac {
            self.vendor(&id, mac);
        }
        id
    }

    /// Gives up a sixteenth of the assets, so that under a flood of new ones each costs little.
    fn make_room(&mut self) -> bool {
        let mut ranked: Vec<(u8, Timestamp, Id)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.asset.criticality != Criticality::Protected)
            .filter(|(_, entry)| entry.asset.functions.is_empty())
            .map(|(id, entry)| (entry.certainty(), entry.asset.last_seen, *id))
            .collect();
        let go = (self.capacity / 16).max(1).min(ranked.len());
        if go == 0 {
            return false;
        }
        ranked.select_nth_unstable(go - 1);
        for (_, _, id) in ranked.into_iter().take(go) {
            if let Some(entry) = self.entries.remove(&id) {
                for (address, _, _) in entry.bindings {
                    self.by_address.remove(&address);
                }
                self.stats.evicted += 1;
            }
        }
        true
    }

    fn vendor(&mut self, id: &Id, mac: Mac) {
        let Some(vendor) = self.kinds.vendor(mac).map(str::to_owned) else { return };
        if let Some(entry) = self.entries.get_mut(id) {
            entry.asset.vendor = Some(vendor.clone());
        }
        self.show(id, Source::Vendor, &vendor);
    }

    fn show(&mut self, id: &Id, source: Source, text: &str) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let carried = entry.speaks_for_others() && source.is_carried();
        if !carried && entry.shown.take(&self.kinds, source, text) {
            self.judge(id);
        }
    }

    fn judge(&mut self, id: &Id) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let guess = entry.shown.guess(&self.kinds);
        let asset = &mut entry.asset;
        (asset.kind, asset.layer, asset.criticality) = (guess.kind, guess.layer, guess.criticality);
        (asset.confidence, asset.reasons) = (guess.confidence, guess.reasons);
        self.mark(id);
    }

    fn name(&mut self, id: &Id, name: &str) {
        let name = printable(name);
        let Some(entry) = self.entries.get_mut(id) else { return };
        if !name.is_empty() && entry.asset.name.as_deref() != Some(name.as_str()) {
            entry.asset.name = Some(name);
            self.mark(id);
        }
    }

    fn function(&mut self, id: &Id, function: &str) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.asset.functions.iter().all(|known| known != function) {
            entry.asset.functions.push(function.to_owned());
            entry.asset.functions.sort_unstable();
            if entry.speaks_for_others() {
                entry.shown.forget(&self.kinds, Source::is_carried);
                self.judge(id);
            }
            self.mark(id);
            self.show(id, Source::Function, function);
        }
    }

    /// A server that answered many of ours is the network's; one that answered few may be anything.
    fn answered(&mut self, id: &Id, client: IpAddr, what: Answered) {
        if !self.home.contains(client) {
            return;
        }
        let Some(entry) = self.entries.get_mut(id) else { return };
        let [names, times] = &mut entry.answered;
        let (clients, function) = match what {
            Answered::Name => (names, "resolver"),
            Answered::Time => (times, "time"),
        };
        if clients.len() < MANY_CLIENTS && !clients.contains(&client) {
            clients.push(client);
            if clients.len() == MANY_CLIENTS {
                self.function(id, function);
            }
        }
    }

    fn seen(&mut self, id: &Id, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.asset.first_seen = entry.asset.first_seen.min(at);
        entry.asset.last_seen = entry.asset.last_seen.max(at);
        let due = entry
            .told
            .is_none_or(|told| entry.asset.last_seen.micros_since(told) > SEEN_AGAIN_SECS * 1_000_000);
        if due {
            self.mark(id);
        }
    }

    fn mark(&mut self, id: &Id) {
        if let Some(entry) = self.entries.get_mut(id).filter(|entry| !entry.is_changed) {
            entry.is_changed = true;
            self.changed.push(*id);
        }
        // Where nobody asks what changed, assets that came and went must not pile up.
        if self.changed.len() > 2 * self.capacity {
            self.changed.sort_unstable();
            self.changed.dedup();
            self.changed.retain(|id| self.entries.contains_key(id));
        }
    }
}

#[derive(Clone, Copy)]
enum Answered {
    Name,
    Time,
}

impl Entry {
    fn new(id: String, mac: Option<Mac>, at: Timestamp) -> Self {
        Self {
            asset: Asset {
                id,
                authority_id: AuthorityId::local(),
                layer: Layer::Device,
                kind: Kind::unknown(),
                confidence: 0,
                reasons: Vec::new(),
                criticality: Criticality::Unknown,
                status: AssetStatus::Discovered,
                name: None,
                vendor: None,
                mac,
                addresses: Vec::new(),
                functions: Vec::new(),
                first_seen: at,
                last_seen: at,
            },
            shown: Shown::default(),
            bindings: Vec::new(),
            answered: [Vec::new(), Vec::new()],
            told: None,
            is_changed: false,
        }
    }

    /// Routers and resolvers ask in their own name for what others want.
    fn speaks_for_others(&self) -> bool {
        self.asset.functions.iter().any(|function| matches!(function.as_str(), "router" | "resolver"))
    }

    /// The more is known of an asset, the longer it stays.
    fn certainty(&self) -> u8 {
        let bound = self.bindings.iter().map(|(_, binding, _)| *binding).max();
        let proved = match bound {
            Some(Binding::Granted) => 3,
            Some(Binding::Claimed | Binding::Answered) => 2,
            Some(Binding::Sent) => 1,
            None => 0,
        };
        let told = u8::from(self.asset.name.is_some()) + u8::from(self.asset.confidence > 0) * 2;
        proved + told + u8::from(self.asset.mac.is_some())
    }
}

fn is_device(mac: Mac) -> bool {
    !mac.is_group() && mac != Mac::ZERO
}

fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !v4.is_multicast() && !v4.is_broadcast() && !v4.is_unspecified() && v4.octets()[3] != 255
        }
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ArpOperation, Counts, FlowKey, Protocol, RecordRef, Visibility};

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    fn event(secs: i64, kind: EventKind) -> Event {
        Event { at: Timestamp::from_secs(secs), record: RecordRef::default(), kind }
    }

    fn arp(secs: i64, sender: &str, from: u8) -> Event {
        let arp = Arp {
            operation: ArpOperation::Reply,
            frame_src: mac(from),
            broadcast: false,
            sender_mac: mac(from),
            sender: address(sender),
            target_mac: Mac::ZERO,
            target: address("10.0.0.254"),
        };
        event(secs, EventKind::Arp(arp))
    }

    fn flow(src: (&str, u8), dst: (&str, u8), outcome: Outcome, service: Service) -> Event {
        let mac = |last: u8| (last != 0).then(|| mac(last));
        let counts = Counts { packets_out: 1, packets_in: 1, ..Counts::default() };
        let update = FlowUpdate {
            id: 1,
            key: FlowKey {
                src: address(src.0),
                dst: address(dst.0),
                src_port: 40_000,
                dst_port: 80,
                protocol: Protocol::TCP,
            },
            phase: Phase::Closed,
            first: Timestamp::from_secs(1),
            last: Timestamp::from_secs(1),
            delta: counts,
            total: counts,
            outcome,
            visibility: Visibility::Both,
            service,
            src_mac: mac(src.1),
            dst_mac: mac(dst.1),
            flags_out: 0,
            flags_in: 0,
            opened_by: RecordRef::default(),
        };
        event(1, EventKind::Flow(update))
    }

    fn hint(at: &str, kind: HintKind, value: &str) -> Event {
        let hint = Hint { address: Some(address(at)), mac: None, kind, value: value.into() };
        event(1, EventKind::Hint(hint))
    }

    fn inventory() -> Inventory {
        Inventory::new(NetSet::private(), Kinds::shipped())
    }

    fn ids(inventory: &Inventory) -> Vec<String> {
        let mut ids: Vec<_> = inventory.assets().map(|asset| asset.id.clone()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn only_what_speaks_becomes_an_asset() {
        let check = |event: Event, expected: &[&str]| {
            let mut inventory = inventory();
            inventory.event(&event);
            assert_eq!(ids(&inventory), expected, "{event:?}");
        };
        let unknown = Service::Unknown;
        check(flow(("192.0.2.1", 9), ("10.0.0.5", 5), Outcome::Silent, unknown), &[]);
        check(flow(("192.0.2.1", 9), ("10.0.0.5", 5), Outcome::Established, unknown), &["02:00:00:00:00:05"]);
        check(flow(("10.0.0.5", 0), ("192.0.2.1", 0), Outcome::Established, unknown), &["10.0.0.5"]);
        check(flow(("10.0.0.5", 5), ("192.0.2.1", 9), Outcome::Silent, unknown), &["02:00:00:00:00:05"]);
        check(flow(("10.0.0.5", 0), ("192.0.2.1", 0), Outcome::Silent, unknown), &[]);
        check(arp(1, "10.0.0.5", 5), &["02:00:00:00:00:05"]);
        check(arp(1, "198.51.100.5", 5), &[]);
        check(flow(("192.0.2.1", 9), ("224.0.0.251", 5), Outcome::Established, unknown), &[]);
    }

    #[test]
    fn a_router_fronts_for_others_and_takes_none_of_their_addresses() {
        let mut inventory = inventory();
        inventory.event(&arp(1, "10.0.0.1", 1));
        for remote in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            inventory.event(&flow(("10.0.0.5", 5), (remote, 1), Outcome::Established, Service::Unknown));
        }
        // A host behind the router carries the router's hardware address; the first is taken for the router's own
        // until that is known to front for others.
        inventory.event(&flow(("10.0.9.7", 1), ("10.0.0.5", 5), Outcome::Established, Service::Unknown));
        assert_eq!(ids(&inventory), ["02:00:00:00:00:01", "02:00:00:00:00:05", "10.0.9.7"]);
        let router = inventory.asset_at(address("10.0.0.1")).unwrap();
        assert_eq!(
            (router.functions.as_slice(), router.kind.as_str()),
            (&["router".to_owned()][..], "gateway-router")
        );
        assert!(router.criticality.is_protected());
    }

    #[test]
    fn addresses_taken_for_the_routers_own_are_given_back() {
        let mut inventory = inventory();
        inventory.event(&arp(1, "10.0.0.1", 1));
        inventory.event(&flow(("10.0.9.7", 1), ("10.0.0.5", 5), Outcome::Established, Service::Unknown));
        for remote in ["192.0.2.1", "192.0.2.2"] {
            inventory.event(&flow(("10.0.0.5", 5), (remote, 1), Outcome::Established, Service::Unknown));
        }
        assert_eq!(inventory.asset_of(mac(1)).unwrap().addresses, [address("10.0.0.1")]);
        assert!(inventory.asset_at(address("10.0.9.7")).is_none());
    }

    #[test]
    fn a_resolver_is_not_what_its_clients_talk_to() {
        let mut inventory = inventory();
        inventory.event(&arp(1, "10.0.0.1", 1));
        inventory.event(&hint("10.0.0.1", HintKind::Cloud, "rest.blinkforhome.com"));
        assert_eq!(inventory.asset_at(address("10.0.0.1")).unwrap().kind.as_str(), "camera");
        for remote in ["192.0.2.1", "192.0.2.2"] {
            inventory.event(&flow(("10.0.0.5", 5), (remote, 1), Outcome::Established, Service::Unknown));
        }
        assert_eq!(inventory.asset_at(address("10.0.0.1")).unwrap().kind.as_str(), "gateway-router");
        inventory.event(&hint("10.0.0.1", HintKind::Cloud, "api.nuki.io"));
        assert_eq!(inventory.asset_at(address("10.0.0.1")).unwrap().reasons.len(), 1);
    }

    #[test]
    fn hints_of_others_make_no_asset_of_the_router() {
        let mut inventory = inventory();
        let hint = |at: &str, kind, value: &str| {
            let hint = Hint { address: Some(address(at)), mac: Some(mac(1)), kind, value: value.into() };
            event(1, EventKind::Hint(hint))
        };
        inventory.event(&hint("192.0.2.1", HintKind::UserAgent, "iPhone"));
        inventory.event(&hint("10.0.0.66", HintKind::Function, "router"));
        assert_eq!(inventory.assets().count(), 0);
    }

    #[test]
    fn forged_packets_make_nobody_a_router_and_take_no_address() {
        let mut inventory = inventory();
        inventory.event(&arp(1, "10.0.0.5", 5));
        inventory.event(&arp(1, "10.0.0.6", 6));
        for last in 1..100 {
            let forged = format!("192.0.2.{last}");
            inventory.event(&flow((&forged, 5), ("203.0.113.9", 1), Outcome::Silent, Service::Unknown));
            let forged = format!("10.0.1.{last}");
            inventory.event(&flow((&forged, 5), ("203.0.113.9", 1), Outcome::Silent, Service::Unknown));
        }
        inventory.event(&arp(2, "10.0.0.6", 5));
        assert_eq!(ids(&inventory), ["02:00:00:00:00:05", "02:00:00:00:00:06"]);
        assert_eq!(inventory.asset_at(address("10.0.0.6")).unwrap().mac, Some(mac(6)));
        assert!(inventory.assets().all(|asset| asset.functions.is_empty()));
    }

    #[test]
    fn addresses_move_when_granted_or_long_unused() {
        let granted = |secs, to: u8| {
            let dhcp = Dhcp {
                operation: DhcpOperation::Ack,
                frame_src: Some(mac(1)),
                sender: address("10.0.0.1"),
                client: mac(to),
                address: Some(address("10.0.0.6")),
                server: Some(address("10.0.0.1")),
                routers: vec![address("10.0.0.1")],
                resolvers: vec![address("10.0.0.2")],
                relayed: false,
                client_id: 0,
            };
            event(secs, EventKind::Dhcp(dhcp))
        };
        let check = |next: Event, expected: u8| {
            let mut inventory = inventory();
            inventory.event(&arp(0, "10.0.0.6", 6));
            inventory.event(&next);
            assert_eq!(inventory.asset_at(address("10.0.0.6")).unwrap().mac, Some(mac(expected)), "{next:?}");
        };
        check(arp(5, "10.0.0.6", 7), 6);
        check(arp(5000, "10.0.0.6", 7), 7);
        check(granted(5, 7), 7);

        let mut inventory = inventory();
        inventory.event(&granted(1, 7));
        let functions = |at: &str| inventory.asset_at(address(at)).unwrap().functions.clone();
        assert_eq!(functions("10.0.0.1"), ["dhcp", "router"]);
        assert_eq!(functions("10.0.0.2"), ["resolver"]);
    }

    #[test]
    fn what_was_known_by_address_is_later_known_by_hardware_address() {
        let mut inventory = inventory();
        inventory.event(&flow(("192.0.2.1", 0), ("10.0.0.5", 0), Outcome::Established, Service::Rtsp));
        assert_eq!(inventory.asset_at(address("10.0.0.5")).unwrap().kind.as_str(), "camera");
        inventory.event(&arp(2, "10.0.0.5", 5));
        let asset = inventory.asset_at(address("10.0.0.5")).unwrap();
        assert_eq!((asset.id.as_str(), asset.kind.as_str()), ("02:00:00:00:00:05", "camera"));
        assert_eq!(ids(&inventory).len(), 1);
    }

    #[test]
    fn a_second_dhcp_server_must_have_served_many() {
        let mut inventory = inventory();
        let mut ack = |server: &str, client: u8| {
            let dhcp = Dhcp {
                operation: DhcpOperation::Ack,
                frame_src: None,
                sender: address(server),
                client: mac(client),
                address: None,
                server: Some(address(server)),
                routers: Vec::new(),
                resolvers: Vec::new(),
                relayed: false,
                client_id: 0,
            };
            inventory.event(&event(1, EventKind::Dhcp(dhcp)));
            inventory.asset_at(address(server)).is_some_and(|asset| asset.functions == ["dhcp"])
        };
        assert!(ack("10.0.0.1", 5));
        for (client, expected) in [(5, false), (5, false), (6, false), (7, true)] {
            assert_eq!(ack("10.0.0.66", client), expected);
        }
    }

    #[test]
    fn a_resolver_is_one_that_answers_many() {
        let mut inventory = inventory();
        inventory.event(&arp(1, "10.0.0.2", 2));
        for client in ["10.0.0.5", "10.0.0.5", "10.0.0.6", "192.0.2.7", "10.0.0.7"] {
            assert!(inventory.asset_at(address("10.0.0.2")).unwrap().functions.is_empty());
            inventory.event(&event(
                1,
                EventKind::Dns(Dns {
                    client: address(client),
                    server: address("10.0.0.2"),
                    server_port: 53,
                    response: true,
                    name: "example".into(),
                    qtype: 1,
                    rcode: 0,
                    answers: Vec::new(),
                    length: 60,
                }),
            ));
        }
        assert_eq!(inventory.asset_at(address("10.0.0.2")).unwrap().functions, ["resolver"]);
    }

    #[test]
    fn a_flood_of_addresses_evicts_the_least_known_first() {
        let capacity = Capacity { assets: 64, macs: 64 };
        let mut inventory = Inventory::with_capacity(NetSet::private(), Kinds::shipped(), capacity);
        inventory.event(&arp(1, "10.0.0.5", 5));
        inventory.event(&hint("10.0.0.5", HintKind::HttpServer, "IP Camera"));
        inventory.event(&arp(1, "10.0.0.9", 9));
        inventory.event(&hint("10.0.0.9", HintKind::Banner, "Swarco ITC-3 signal controller"));
        for host in 0..2000_u16 {
            let [high, low] = host.to_be_bytes();
            let at = format!("10.7.{high}.{}", low.min(254));
            inventory.event(&flow((&at, 0), ("192.0.2.1", 0), Outcome::Established, Service::Unknown));
            assert!(inventory.stats().assets <= 64);
        }
        assert!(inventory.stats().evicted > 1000);
        assert_eq!(inventory.asset_at(address("10.0.0.5")).unwrap().kind.as_str(), "camera");
        assert_eq!(inventory.asset_at(address("10.0.0.9")).unwrap().criticality, Criticality::Protected);
    }

    #[test]
    fn changes_are_told_once() {
        let mut inventory = inventory();
        inventory.event(&arp(1, "10.0.0.5", 5));
        assert_eq!(inventory.take_changed().len(), 1);
        inventory.event(&arp(2, "10.0.0.5", 5));
        assert_eq!(inventory.take_changed().len(), 0);
        inventory.event(&arp(1000, "10.0.0.5", 5));
        assert_eq!(inventory.take_changed().len(), 1);
        inventory.event(&hint("10.0.0.5", HintKind::Cloud, "rest.blinkforhome.com"));
        let changed = inventory.take_changed();
        assert_eq!((changed.len(), changed[0].kind.as_str()), (1, "camera"));
        assert!(changed[0].reasons[0].contains("talks to “rest.blinkforhome.com”"));
    }
}
