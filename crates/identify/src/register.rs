//! The register behind the inventory: entries, what they are known by, and which addresses are whose.
//!
//! Guarantees: never more entries than its capacity; an address belongs to one entry, and that entry lists it.

use crate::{
    guess::{Shown, printable},
    inventory::{Capacity, Stats},
    kinds::{Kinds, Source},
    merge::{Known, Observation, Observed},
};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::{
    Asset, AssetStatus, AuthorityId, Criticality, Hint, HintKind, Identifier, Kind, Layer, Mac, Service,
    Talk, Timestamp,
};
use std::{hash::BuildHasher as _, net::IpAddr};

/// Addresses that are kept of one asset.
const MAX_ADDRESSES: usize = 8;
/// What else is kept of by what an asset is known.
const MAX_KNOWN: usize = 8;
/// Who announces more names than this announces them for others.
const OWN_NAMES: usize = 4;
/// A binding that was confirmed so recently is not taken over by a mere claim.
const BINDING_HOLDS_SECS: i64 = 600;
/// An asset that goes on being seen is told again so often.
const SEEN_AGAIN_SECS: i64 = 300;
/// So many different clients must have been answered before a server is believed to be the network's.
pub(crate) const MANY_CLIENTS: usize = 3;

/// Others with whom an asset talks that are remembered.
const MAX_TALKS: usize = 16;

/// All assets.
#[derive(Debug)]
pub(crate) struct Register {
    kinds: Kinds,
    capacity: usize,
    entries: HashMap<Id, Entry, RandomState>,
    by_address: HashMap<IpAddr, Id, RandomState>,
    changed: Vec<Id>,
    stats: Stats,
}

/// What an asset is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Id {
    Address(IpAddr),
    Mac(Mac),
}

/// How an address came to an asset; the stronger way wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binding {
    /// It sent a packet from there.
    Sent,
    /// It was answered there.
    Answered,
    /// It claimed it by ARP.
    Claimed,
    /// A DHCP server granted it.
    Granted,
}

/// An address that an asset has, and for how long.
#[derive(Clone, Copy, Debug)]
struct Bound {
    address: IpAddr,
    binding: Binding,
    since: Timestamp,
    confirmed: Timestamp,
}

#[derive(Debug)]
struct Entry {
    asset: Asset,
    shown: Shown,
    /// What it said last, as digests.
    said: [u64; 8],
    bindings: Vec<Bound>,
    /// Names and identifiers that it gave.
    known: Vec<Known>,
    /// It announces others' names.
    announces_for_others: bool,
    /// How its name came: by DHCP, as a host, as somebody named it; the first wins.
    named_by: Option<HintKind>,
    /// With whom it talked last.
    talks: Vec<Talk>,
    /// Clients that it answered as a resolver or time server, until there are enough.
    answered: [Vec<IpAddr>; 2],
    told: Option<Timestamp>,
    is_changed: bool,
}
impl Register {
    pub(crate) fn new(kinds: Kinds, capacity: Capacity) -> Self {
        Self {
            kinds,
            capacity: capacity.assets.max(1),
            entries: HashMap::default(),
            by_address: HashMap::default(),
            changed: Vec::new(),
            stats: Stats::default(),
        }
    }

    pub(crate) fn at(&self, address: IpAddr) -> Option<Id> {
        self.by_address.get(&address).copied()
    }

    pub(crate) fn asset(&self, id: &Id) -> Option<&Asset> {
        self.entries.get(id).map(|entry| &entry.asset)
    }

    pub(crate) fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.entries.values().map(|entry| &entry.asset)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats { assets: self.entries.len(), ..self.stats }
    }

    /// The assets that are new, changed or seen again since the last call.
    pub(crate) fn take_changed(&mut self) -> Vec<Observed> {
        let mut assets = Vec::new();
        for id in std::mem::take(&mut self.changed) {
            if let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.is_changed) {
                entry.is_changed = false;
                entry.told = Some(entry.asset.last_seen);
                assets.push(Observed {
                    asset: entry.asset.clone(),
                    known: entry.known(),
                    talks: entry.talks.clone(),
                });
            }
        }
        assets
    }

    /// The asset at an address, made or moved as the binding allows.
    pub(crate) fn place(&mut self, at: Timestamp, address: IpAddr, mac: Option<Mac>, binding: Binding) -> Id {
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
            .and_then(|entry| entry.bindings.iter().find(|bound| bound.address == address));
        known.is_none_or(|bound| {
            binding == Binding::Granted
                || binding > bound.binding
                || binding >= Binding::Answered
                    && at.micros_since(bound.confirmed) > BINDING_HOLDS_SECS * 1_000_000
        })
    }

    /// What was known by its address is now known by its hardware address.
    fn adopt(&mut self, held: Id, mac: Mac) -> Id {
        let id = Id::Mac(mac);
        let Some(mut old) = self.entries.remove(&held) else { return id };
        for bound in &old.bindings {
            self.by_address.insert(bound.address, id);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.bindings.append(&mut old.bindings);
            for known in old.known {
                entry.know(known);
            }
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
    pub(crate) fn disown(&mut self, id: &Id) {
        let Some(entry) = self.entries.get(id) else { return };
        let theirs: Vec<IpAddr> = entry
            .bindings
            .iter()
            .filter(|bound| bound.binding <= Binding::Answered)
            .map(|bound| bound.address)
            .collect();
        for address in theirs {
            self.release(id, address);
            self.by_address.remove(&address);
        }
    }

    fn release(&mut self, held: &Id, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(held) {
            entry.bindings.retain(|bound| bound.address != address);
            entry.asset.addresses.retain(|bound| *bound != address);
        }
        self.mark(held);
    }

    fn bind(&mut self, id: &Id, address: IpAddr, binding: Binding, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if let Some(known) = entry.bindings.iter_mut().find(|bound| bound.address == address) {
            known.binding = known.binding.max(binding);
            known.since = known.since.min(at);
            known.confirmed = known.confirmed.max(at);
            if entry.asset.addresses.first() == Some(&address) {
                return;
            }
        } else {
            if entry.bindings.len() >= MAX_ADDRESSES {
                let oldest = entry.bindings.remove(0).address;
                entry.asset.addresses.retain(|bound| *bound != oldest);
                self.by_address.remove(&oldest);
            }
            entry.bindings.push(Bound { address, binding, since: at, confirmed: at });
        }
        entry.asset.addresses.retain(|bound| *bound != address);
        entry.asset.addresses.insert(0, address);
        self.by_address.insert(address, *id);
        self.mark(id);
    }

    /// The entry of this id, made where there is none and there is room.
    pub(crate) fn ensure(&mut self, id: Id, at: Timestamp) -> Id {
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
                for bound in entry.bindings {
                    self.by_address.remove(&bound.address);
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

    pub(crate) fn show(&mut self, id: &Id, source: Source, text: &str) {
        let mark = self.entries.hasher().hash_one((source, text));
        let Some(entry) = self.entries.get_mut(id) else { return };
        // Devices say the same again and again.
        if entry.said.contains(&mark) {
            return;
        }
        entry.said.rotate_right(1);
        if let Some(last) = entry.said.first_mut() {
            *last = mark;
        }
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

    /// Takes what a hint says of names, and of by what an asset is told from others.
    pub(crate) fn named(&mut self, id: &Id, at: Timestamp, hint: &Hint) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let text = printable(&hint.value);
        let by = match hint.kind {
            HintKind::DhcpHostname | HintKind::MdnsHost => Some(Identifier::Name(text.to_lowercase())),
            HintKind::DhcpClientId => Some(Identifier::DhcpClient(hint.value.clone())),
            HintKind::Uuid => Some(Identifier::Uuid(hint.value.clone())),
            HintKind::GivenName => None,
            _ => return,
        };
        if text.is_empty() || (entry.speaks_for_others() && hint.kind != HintKind::DhcpHostname) {
            return;
        }
        if let Some(by) = by
            && entry.know(Known { by, during: Some((at, at)) })
        {
            self.mark(id);
        }
        let Some(entry) = self.entries.get_mut(id) else { return };
        let names = matches!(hint.kind, HintKind::DhcpHostname | HintKind::MdnsHost | HintKind::GivenName);
        let better = entry.named_by.is_none_or(|known| hint.kind <= known);
        if names && better && entry.asset.name.as_deref() != Some(text.as_str()) {
            (entry.asset.name, entry.named_by) = (Some(text), Some(hint.kind));
            self.mark(id);
        }
    }

    /// What is known of by what each asset is told from others.
    pub(crate) fn observations(&self, site: &str) -> impl Iterator<Item = (&Asset, Observation)> {
        self.entries
            .values()
            .map(move |entry| (&entry.asset, Observation { site: site.to_owned(), known: entry.known() }))
    }

    /// A conversation that it holds: remembered, and told with the next word on it.
    pub(crate) fn talks(&mut self, id: &Id, talk: Talk) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let same = |known: &Talk| (known.peer, known.port, known.asks) == (talk.peer, talk.port, talk.asks);
        let before = entry.talks.iter().position(same).map(|at| entry.talks.remove(at));
        let talk = match before {
            Some(before) => Talk {
                service: if talk.service == Service::Unknown { before.service } else { talk.service },
                count: before.count + talk.count,
                last: before.last.max(talk.last),
                ..talk
            },
            None => talk,
        };
        entry.talks.truncate(MAX_TALKS - 1);
        entry.talks.insert(0, talk);
    }

    pub(crate) fn function(&mut self, id: &Id, function: &str) {
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

    pub(crate) fn is_router(&self, id: &Id) -> bool {
        self.entries
            .get(id)
            .is_some_and(|entry| entry.asset.functions.iter().any(|function| function == "router"))
    }

    /// A server that answered many is the network's; one that answered few may be anything.
    pub(crate) fn answered(&mut self, id: &Id, client: IpAddr, what: Answered) {
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

    pub(crate) fn seen(&mut self, id: &Id, at: Timestamp) {
        if self.entries.get_mut(id).is_some_and(|entry| entry.seen(at)) {
            self.mark(id);
        }
    }

    /// The asset at an address goes on as before.
    pub(crate) fn again(&mut self, at: Timestamp, address: IpAddr, mac: Option<Mac>) {
        let Some(id) = self.by_address.get(&address).copied() else { return };
        if let (Id::Mac(own), Some(mac)) = (id, mac)
            && own != mac
        {
            return;
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Some(bound) = entry.bindings.iter_mut().find(|bound| bound.address == address) {
            bound.confirmed = bound.confirmed.max(at);
        }
        if entry.seen(at) {
            self.mark(&id);
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
/// What a server answered.
#[derive(Clone, Copy)]
pub(crate) enum Answered {
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
                declared: None,
            },
            shown: Shown::default(),
            said: [0; 8],
            bindings: Vec::new(),
            known: Vec::new(),
            announces_for_others: false,
            named_by: None,
            talks: Vec::new(),
            answered: [Vec::new(), Vec::new()],
            told: None,
            is_changed: false,
        }
    }

    /// It is there; true where that is to be told again.
    fn seen(&mut self, at: Timestamp) -> bool {
        self.asset.first_seen = self.asset.first_seen.min(at);
        self.asset.last_seen = self.asset.last_seen.max(at);
        let since = |told: Timestamp| self.asset.last_seen.micros_since(told) > SEEN_AGAIN_SECS * 1_000_000;
        !self.is_changed && self.told.is_none_or(since)
    }

    /// Routers and resolvers ask in their own name for what others want.
    fn speaks_for_others(&self) -> bool {
        self.asset.functions.iter().any(|function| matches!(function.as_str(), "router" | "resolver"))
    }

    /// Remembers by what it is known; the last where there is no room. True where it was not known before.
    fn know(&mut self, known: Known) -> bool {
        if let Some(before) = self.known.iter_mut().find(|before| before.by == known.by) {
            before.during = before.during.zip(known.during).map(|((a, b), (c, d))| (a.min(c), b.max(d)));
            return false;
        }
        let is_name = |known: &Known| matches!(known.by, Identifier::Name(_));
        if is_name(&known) {
            if self.known.iter().filter(|known| is_name(known)).count() >= OWN_NAMES {
                self.announces_for_others = true;
            }
            if self.announces_for_others {
                self.known.retain(|known| !is_name(known));
                return false;
            }
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.remove(0);
        }
        self.known.push(known);
        true
    }

    /// By what it is told from others, the surest first but for the addresses.
    fn known(&self) -> Vec<Known> {
        let mac = self.asset.mac.map(|mac| Known {
            by: Identifier::Mac(mac),
            during: Some((self.asset.first_seen, self.asset.last_seen)),
        });
        let addresses = self.bindings.iter().map(|bound| Known {
            by: Identifier::Address(bound.address),
            during: Some((bound.since, bound.confirmed)),
        });
        mac.into_iter().chain(self.known.iter().cloned()).chain(addresses).collect()
    }

    /// The more is known of an asset, the longer it stays.
    fn certainty(&self) -> u8 {
        let bound = self.bindings.iter().map(|bound| bound.binding).max();
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
