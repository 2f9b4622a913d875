//! What a command is made of in the firewall: elements of named sets, alike in every family.
//!
//! Guarantees: pure. Every element ends by itself with its command; none can be made of anything but typed addresses.

use model::{Action, Command, Mac, Protocol, Target};
use protect::ResponseConfig;
use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The sets of a table, with what their keys are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Set {
    /// Devices that are cut off, by hardware address and by address: selects.
    IsolatedMac,
    Isolated4,
    Isolated6,
    /// The same: counts what is stopped.
    StoppedMac,
    Stopped4,
    Stopped6,
    /// Device and its own address: may ask for neighbours and leases, at a bounded rate.
    OwnMac4,
    OwnMac6,
    /// Addresses that neighbour advertisements of cut off devices may speak of.
    OwnTarget,
    /// Device and server: may ask for names and time, at a bounded rate.
    AskMac4,
    AskMac6,
    Ask44,
    Ask66,
    /// Servers whose answers about names and time pass.
    Servers4,
    Servers6,
    /// Device and peer: may talk.
    PeerMac4,
    PeerMac6,
    Peer44,
    Peer66,
    /// Bastide's own addresses: may be talked to, but for names and time, which have their rate.
    Bastide4,
    Bastide6,
    /// Remote addresses that nothing passes from or to; counts.
    Blocked4,
    Blocked6,
    /// Destination and transport of limited flows.
    Limited4,
    Limited6,
}

impl Set {
    pub(crate) const ALL: [Self; 25] = [
        Self::IsolatedMac,
        Self::Isolated4,
        Self::Isolated6,
        Self::StoppedMac,
        Self::Stopped4,
        Self::Stopped6,
        Self::OwnMac4,
        Self::OwnMac6,
        Self::OwnTarget,
        Self::AskMac4,
        Self::AskMac6,
        Self::Ask44,
        Self::Ask66,
        Self::Servers4,
        Self::Servers6,
        Self::PeerMac4,
        Self::PeerMac6,
        Self::Peer44,
        Self::Peer66,
        Self::Bastide4,
        Self::Bastide6,
        Self::Blocked4,
        Self::Blocked6,
        Self::Limited4,
        Self::Limited6,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::IsolatedMac => "isolated_m",
            Self::Isolated4 => "isolated_4",
            Self::Isolated6 => "isolated_6",
            Self::StoppedMac => "stopped_m",
            Self::Stopped4 => "stopped_4",
            Self::Stopped6 => "stopped_6",
            Self::OwnMac4 => "own_m4",
            Self::OwnMac6 => "own_m6",
            Self::OwnTarget => "own_target",
            Self::AskMac4 => "ask_m4",
            Self::AskMac6 => "ask_m6",
            Self::Ask44 => "ask_44",
            Self::Ask66 => "ask_66",
            Self::Servers4 => "servers_4",
            Self::Servers6 => "servers_6",
            Self::PeerMac4 => "peer_m4",
            Self::PeerMac6 => "peer_m6",
            Self::Peer44 => "peer_44",
            Self::Peer66 => "peer_66",
            Self::Bastide4 => "bastide_4",
            Self::Bastide6 => "bastide_6",
            Self::Blocked4 => "blocked_4",
            Self::Blocked6 => "blocked_6",
            Self::Limited4 => "limited_4",
            Self::Limited6 => "limited_6",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// The set's type in the language of nft.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::IsolatedMac | Self::StoppedMac => "type ether_addr",
            Self::Isolated4 | Self::Stopped4 | Self::Servers4 | Self::Bastide4 | Self::Blocked4 => {
                "type ipv4_addr"
            }
            Self::Isolated6 | Self::Stopped6 | Self::Servers6 | Self::Bastide6 | Self::Blocked6 => {
                "type ipv6_addr"
            }
            Self::OwnMac4 | Self::AskMac4 | Self::PeerMac4 => "type ether_addr . ipv4_addr",
            Self::OwnMac6 | Self::AskMac6 | Self::PeerMac6 => "type ether_addr . ipv6_addr",
            Self::OwnTarget => "typeof @th,64,128",
            Self::Ask44 | Self::Peer44 => "type ipv4_addr . ipv4_addr",
            Self::Ask66 | Self::Peer66 => "type ipv6_addr . ipv6_addr",
            Self::Limited4 => "type ipv4_addr . inet_proto",
            Self::Limited6 => "type ipv6_addr . inet_proto",
        }
    }

    /// Whether its elements count the packets that they stop.
    pub(crate) const fn counts(self) -> bool {
        matches!(self, Self::StoppedMac | Self::Stopped4 | Self::Stopped6 | Self::Blocked4 | Self::Blocked6)
    }

    /// Whether its elements let a bounded rate pass only.
    pub(crate) const fn is_rated(self) -> bool {
        matches!(
            self,
            Self::OwnMac4 | Self::OwnMac6 | Self::AskMac4 | Self::AskMac6 | Self::Ask44 | Self::Ask66
        )
    }
}

/// A part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Atom {
    Mac(Mac),
    Ip(IpAddr),
    Protocol(Protocol),
    /// An IPv6 address where the payload is compared as a number.
    Number(u128),
}

impl Atom {
    /// Reads what nft lists.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("0x") {
            return u128::from_str_radix(digits, 16).ok().map(Self::Number);
        }
        let mac = || text.parse().ok().map(Self::Mac);
        let ip = || text.parse().ok().map(Self::Ip);
        mac().or_else(ip).or_else(|| Protocol::from_name(text).map(Self::Protocol))
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => write!(f, "{mac}"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Protocol(protocol) => write!(f, "{}", protocol.0),
            Self::Number(number) => write!(f, "{number:#034x}"),
        }
    }
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Element {
    pub(crate) set: Set,
    pub(crate) key: Vec<Atom>,
}

impl Element {
    fn one(set: Set, atom: Atom) -> Self {
        Self { set, key: vec![atom] }
    }

    fn two(set: Set, first: Atom, second: Atom) -> Self {
        Self { set, key: vec![first, second] }
    }

    pub(crate) fn key(&self) -> String {
        self.key.iter().map(ToString::to_string).collect::<Vec<_>>().join(" . ")
    }
}

/// The elements that put a command in force; none where it names nobody.
pub(crate) fn elements(command: &Command, config: &ResponseConfig) -> BTreeSet<Element> {
    let mut found = BTreeSet::new();
    match (&command.on, &command.action) {
        // An identity is taken away elsewhere; the quarantine that comes of it is a command of its own.
        (_, Action::Suspend { .. }) => {}
        (Target::Device { addresses, mac }, action) => {
            let mut device = Device { addresses, mac: *mac, found: &mut found };
            device.select();
            let named = config.resolvers.iter().chain(&config.time_servers);
            let (servers, peers): (Vec<IpAddr>, &[IpAddr]) = match action {
                Action::Isolate { keep } => (keep.clone(), &[]),
                Action::Restrict { peers } => (named.copied().collect(), peers),
                Action::Block | Action::Limit { .. } | Action::Suspend { .. } => (Vec::new(), &[]),
            };
            servers.iter().chain(&config.keep).for_each(|&server| device.may_ask(server));
            peers.iter().for_each(|&peer| device.may_talk(peer));
            config.keep.iter().for_each(|&bastide| device.may_report(bastide));
        }
        (Target::Remote { address }, _) => {
            let set = if address.is_ipv4() { Set::Blocked4 } else { Set::Blocked6 };
            found.insert(Element::one(set, Atom::Ip(*address)));
        }
        (Target::Flow { dst, protocol, .. }, _) => {
            let set = if dst.is_ipv4() { Set::Limited4 } else { Set::Limited6 };
            found.insert(Element::two(set, Atom::Ip(*dst), Atom::Protocol(*protocol)));
        }
    }
    found
}

struct Device<'a> {
    addresses: &'a [IpAddr],
    mac: Option<Mac>,
    found: &'a mut BTreeSet<Element>,
}

impl Device<'_> {
    /// Selects, counts, and lets it ask for neighbours and leases under its own addresses.
    fn select(&mut self) {
        for &address in self.addresses {
            let (isolated, stopped) = match address {
                IpAddr::V4(_) => (Set::Isolated4, Set::Stopped4),
                IpAddr::V6(_) => (Set::Isolated6, Set::Stopped6),
            };
            self.found.insert(Element::one(isolated, Atom::Ip(address)));
            self.found.insert(Element::one(stopped, Atom::Ip(address)));
            self.own(address);
        }
        if let Some(mac) = self.mac {
            self.found.insert(Element::one(Set::IsolatedMac, Atom::Mac(mac)));
            self.found.insert(Element::one(Set::StoppedMac, Atom::Mac(mac)));
            self.own(Ipv4Addr::UNSPECIFIED.into());
            self.own(Ipv6Addr::UNSPECIFIED.into());
            self.own(link_local(mac).into());
        }
    }

    fn own(&mut self, address: IpAddr) {
        if let Some(mac) = self.mac {
            let set = if address.is_ipv4() { Set::OwnMac4 } else { Set::OwnMac6 };
            self.found.insert(Element::two(set, Atom::Mac(mac), Atom::Ip(address)));
        }
        if let IpAddr::V6(v6) = address
            && !v6.is_unspecified()
        {
            self.found.insert(Element::one(Set::OwnTarget, Atom::Number(v6.into())));
        }
    }

    fn may_ask(&mut self, server: IpAddr) {
        let (by_mac, by_address, servers) = match server {
            IpAddr::V4(_) => (Set::AskMac4, Set::Ask44, Set::Servers4),
            IpAddr::V6(_) => (Set::AskMac6, Set::Ask66, Set::Servers6),
        };
        match self.mac {
            // By one of both, for each element has the whole rate.
            Some(mac) => _ = self.found.insert(Element::two(by_mac, Atom::Mac(mac), Atom::Ip(server))),
            None => self.pairs(by_mac, by_address, server),
        }
        self.found.insert(Element::one(servers, Atom::Ip(server)));
    }

    fn may_talk(&mut self, peer: IpAddr) {
        let (by_mac, by_address) = match peer {
            IpAddr::V4(_) => (Set::PeerMac4, Set::Peer44),
            IpAddr::V6(_) => (Set::PeerMac6, Set::Peer66),
        };
        self.pairs(by_mac, by_address, peer);
    }

    fn may_report(&mut self, bastide: IpAddr) {
        let set = if bastide.is_ipv4() { Set::Bastide4 } else { Set::Bastide6 };
        self.found.insert(Element::one(set, Atom::Ip(bastide)));
    }

    fn pairs(&mut self, by_mac: Set, by_address: Set, other: IpAddr) {
        if let Some(mac) = self.mac {
            self.found.insert(Element::two(by_mac, Atom::Mac(mac), Atom::Ip(other)));
        }
        for &address in self.addresses.iter().filter(|address| address.is_ipv4() == other.is_ipv4()) {
            self.found.insert(Element::two(by_address, Atom::Ip(address), Atom::Ip(other)));
        }
    }
}

/// The link-local address that a device makes of its hardware address (RFC 4291, appendix A).
fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for atom in [
            Atom::Mac("02:00:5e:10:00:01".parse().unwrap()),
            Atom::Ip("10.0.0.1".parse().unwrap()),
            Atom::Ip("fd00::1".parse().unwrap()),
            Atom::Protocol(Protocol::UDP),
            Atom::Number(u128::from("fe80::1".parse::<Ipv6Addr>().unwrap())),
        ] {
            assert_eq!(Atom::parse(&atom.to_string()), Some(atom));
        }
        assert_eq!(Atom::parse("udp"), Some(Atom::Protocol(Protocol::UDP)));
        for set in Set::ALL {
            assert_eq!(Set::named(set.name()), Some(set));
        }
    }

    #[test]
    fn link_local_addresses_are_made_as_the_standard_says() {
        let mac = "34:56:78:9a:bc:de".parse().unwrap();
        assert_eq!(link_local(mac), "fe80::3656:78ff:fe9a:bcde".parse::<Ipv6Addr>().unwrap());
    }
}
