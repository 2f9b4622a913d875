//! The inventory: assets from events.
//!
//! An asset is known by its hardware address where ARP, DHCP or an answered conversation bound one to its address,
//! else by its address. It comes into being when it speaks for itself (ARP, DHCP, an answered conversation, an
//! announcement), never because somebody aimed at its address. When the inventory is full, the least certain and
//! longest unseen make room; assets that count as protected by their kind or function go last.

use crate::{
    kinds::{Kinds, Source},
    merge::{Observation, Observed},
    register::{Answered, Binding, Id, MANY_CLIENTS, Register},
    wiring::Wiring,
};
use model::{
    Arp, Asset, Dhcp, DhcpOperation, Dns, Event, EventKind, FlowUpdate, Hint, HintKind, Mac, NetSet, Outcome,
    Phase, Service, Talk, Timestamp,
};
use std::net::IpAddr;

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
    register: Register,
    wiring: Wiring,
    /// DHCP servers in order of appearance, each with the first clients that it served.
    dhcp_servers: Vec<(IpAddr, Vec<Mac>)>,
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
            register: Register::new(kinds, capacity),
            wiring: Wiring::new(capacity.macs.max(1)),
            dhcp_servers: Vec::new(),
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
        self.register.at(address).and_then(|id| self.register.asset(&id))
    }

    /// The asset with this hardware address.
    #[must_use]
    pub fn asset_of(&self, mac: Mac) -> Option<&Asset> {
        self.register.asset(&Id::Mac(mac))
    }

    /// All assets, in no order.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.register.assets()
    }

    /// The assets, each with by what it is told from others, for [`crate::merge`]. `site` names the network that is watched.
    pub fn observations(&self, site: &str) -> impl Iterator<Item = (&Asset, Observation)> {
        self.register.observations(site)
    }

    /// The assets that are new, changed or seen again since the last call.
    pub fn take_changed(&mut self) -> Vec<Observed> {
        self.register.take_changed()
    }

    /// What the inventory did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.register.stats()
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
        if flow.phase == Phase::Progress {
            // More of the same: what it told was told when it was answered, and will be when it ends.
            self.register.again(at, flow.key.src, flow.src_mac);
            self.register.again(at, flow.key.dst, flow.dst_mac);
            return;
        }
        for (address, mac, serves) in
            [(flow.key.src, flow.src_mac, false), (flow.key.dst, flow.dst_mac, true)]
        {
            let ours = self.home.contains(address) && is_unicast(address);
            let mac = mac.filter(|mac| is_device(*mac));
            let fronted = mac.is_some_and(|mac| self.wiring.fronts(mac));
            // What the network names as its router carries others' packets, however few were seen.
            let fronts = mac.is_some_and(|mac| self.wiring.saw(mac, address, ours))
                || mac.is_some_and(|mac| self.register.is_router(&Id::Mac(mac)));
            if let (Some(mac), true) = (mac, fronts) {
                self.register.function(&Id::Mac(mac), "router");
                if !fronted {
                    self.register.disown(&Id::Mac(mac));
                }
            }
            if !ours {
                continue;
            }
            let id = self.register.place(at, address, mac.filter(|_| !fronts), Binding::Answered);
            self.register.talks(&id, talk(flow, serves, at));
            if serves && flow.service != Service::Unknown && flow.total.packets_in > 0 {
                self.register.show(&id, Source::Serves, flow.service.as_str());
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
        match (mac, self.register.at(address)) {
            (_, Some(id)) => self.register.seen(&id, at),
            (Some(mac), None) if !self.wiring.fronts(mac) && self.register.asset(&Id::Mac(mac)).is_none() => {
                self.register.place(at, address, Some(mac), Binding::Sent);
            }
            // A log without hardware addresses names who opened a flow; that is all there is.
            (None, None) if flow.phase == Phase::Summary => {
                self.register.place(at, address, None, Binding::Sent);
            }
            _ => {}
        }
    }

    fn arp(&mut self, at: Timestamp, arp: &Arp) {
        let honest = arp.frame_src == arp.sender_mac && is_device(arp.sender_mac);
        if honest && self.home.contains(arp.sender) && is_unicast(arp.sender) {
            self.register.place(at, arp.sender, Some(arp.sender_mac), Binding::Claimed);
        }
    }

    fn dhcp(&mut self, at: Timestamp, dhcp: &Dhcp) {
        let from_server =
            matches!(dhcp.operation, DhcpOperation::Offer | DhcpOperation::Ack | DhcpOperation::Nak);
        let granted = dhcp
            .address
            .filter(|address| is_unicast(*address) && self.home.contains(*address))
            .filter(|_| dhcp.operation == DhcpOperation::Ack && dhcp.asked && is_device(dhcp.client));
        if let Some(address) = granted {
            self.register.place(at, address, Some(dhcp.client), Binding::Granted);
        }
        if !from_server {
            if is_device(dhcp.client) && dhcp.frame_src.is_none_or(|src| src == dhcp.client) {
                self.register.ensure(Id::Mac(dhcp.client), at);
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
                let id = self.register.place(at, address, None, Binding::Sent);
                self.register.function(&id, function);
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
            if let Some(id) = self.register.at(dns.client) {
                self.register.show(&id, Source::Cloud, &dns.name);
                self.register.seen(&id, at);
            }
        } else if let Some(id) = self.register.at(dns.server) {
            self.answered(&id, dns.client, Answered::Name);
        }
    }

    /// Only whom of ours a server answered says what it is to us.
    fn answered(&mut self, server: &Id, client: IpAddr, what: Answered) {
        if self.home.contains(client) {
            self.register.answered(server, client, what);
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
            HintKind::DhcpHostname
                | HintKind::DhcpVendorClass
                | HintKind::DhcpParameters
                | HintKind::DhcpClientId
        );
        let id = match (address, mac) {
            (_, Some(mac)) if from_client => self.register.ensure(Id::Mac(mac), at),
            (Some(address), mac) => self.register.place(at, address, mac, Binding::Sent),
            (None, Some(mac)) if hint.address.is_none() => self.register.ensure(Id::Mac(mac), at),
            _ => return,
        };
        self.register.seen(&id, at);
        self.register.named(&id, at, hint);
        if let Some(source) = Source::of(hint.kind) {
            self.register.show(&id, source, &hint.value);
        }
    }
}

/// A flow as one side of it sees it.
fn talk(flow: &FlowUpdate, serves: bool, at: Timestamp) -> Talk {
    Talk {
        peer: if serves { flow.key.src } else { flow.key.dst },
        port: flow.key.dst_port,
        service: flow.service,
        asks: !serves,
        count: u64::from(flow.phase.closes()),
        last: at,
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
