//! A small world to play scenes in: our network, its gateway and resolver, strangers outside, and everyday noise.

use crate::traffic::{self, DhcpMessage, Host, Record, Rng, Talk, Tape, dns_answer, dns_question};
use crate::truth::Truth;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// One second in the tape's microseconds.
pub const SECOND: i64 = 1_000_000;
/// A minute.
pub const MINUTE: i64 = 60 * SECOND;
/// An hour.
pub const HOUR: i64 = 60 * MINUTE;
/// A day.
pub const DAY: i64 = 24 * HOUR;

/// Everything a scene needs.
pub struct World {
    /// Where behaviour comes from: timing, rates, lengths, choices.
    pub rng: Rng,
    /// Where addresses come from.
    pub places: Rng,
    /// Where ports come from.
    pub doors: Rng,
    /// Where packets go to.
    pub tape: Tape,
    /// What is true.
    pub truth: Truth,
    /// When it begins.
    pub start: i64,
    /// Our gateway, as seen from inside.
    pub gateway: Host,
    /// The resolver that our devices use (inside, mostly on the gateway).
    pub resolver: Host,
    /// Where the clock goes wrong once the tape is in order: from when on, by how much, for one frame or for all.
    pub slips: Vec<(i64, i64, bool)>,
    network: u32,
    mask: u32,
    taken: BTreeSet<IpAddr>,
    home_hosts: u64,
}

/// What may change without changing what happens.
pub struct Change {
    /// Seed of the addresses.
    pub places: u64,
    /// Seed of the ports.
    pub doors: u64,
    /// Microseconds added to the beginning.
    pub shift: i64,
}

const VENDORS: [[u8; 3]; 8] = [
    [0x44, 0x19, 0xb6], // cameras
    [0x9c, 0x8e, 0xcd],
    [0xb8, 0x27, 0xeb],
    [0x24, 0x0a, 0xc4],
    [0x00, 0x17, 0x88],
    [0x50, 0xc7, 0xbf],
    [0x60, 0x01, 0x94],
    [0x00, 0x0e, 0x58],
];

impl World {
    /// The world of a scene and a seed. One in six has public addresses for its own.
    #[must_use]
    pub fn new(name: &str, seed: u64) -> Self {
        Self::changed(name, seed, &Change { places: seed, doors: seed, shift: 0 })
    }

    /// The same world with other addresses or ports, or at another time: what happens in it is the same.
    #[must_use]
    pub fn changed(name: &str, seed: u64, change: &Change) -> Self {
        let mut rng = Rng::new(seed, name);
        let mut places = Rng::new(change.places, &format!("places of {name}"));
        let doors = Rng::new(change.doors, &format!("doors of {name}"));
        let tell_home = places.chance(1.0 / 6.0);
        let (network, prefix) = match places.below(3) {
            _ if tell_home => {
                (u32::from_be_bytes([198, 51, 100, 0]) ^ (places.between(0, 40) as u32) << 16, 23)
            }
            0 => (u32::from_be_bytes([10, places.below(256) as u8, places.below(256) as u8 & 0xfc, 0]), 22),
            1 => (u32::from_be_bytes([192, 168, places.below(256) as u8, 0]), 24),
            _ => {
                let (b, c) = (16 + places.below(16) as u8, places.below(256) as u8 & 0xfe);
                (u32::from_be_bytes([172, b, c, 0]), 23)
            }
        };
        let mask = u32::MAX << (32 - prefix);
        // Between 2019 and 2026.
        let day = 1_546_300_800 + rng.below(7 * 365 * 86_400) as i64;
        let start = day * SECOND + rng.below(1_000_000) as i64 + change.shift;
        let gateway = Host {
            mac: mac(&mut places),
            ip: IpAddr::V4((network | if places.chance(0.7) { 1 } else { !mask - 1 }).into()),
            ttl: 64,
        };
        let home = format!("{}/{prefix}", Ipv4Addr::from(network));
        let truth = Truth {
            scene: name.to_owned(),
            seed,
            home,
            tell_home,
            max_incidents: 1,
            severity: "medium".to_owned(),
            ..Truth::default()
        };
        let taken = BTreeSet::from([gateway.ip]);
        let (tape, resolver) = (Tape::default(), gateway);
        Self {
            rng,
            places,
            doors,
            tape,
            truth,
            start,
            gateway,
            resolver,
            slips: Vec::new(),
            network,
            mask,
            taken,
            home_hosts: 1,
        }
    }

    /// A new device of ours.
    pub fn device(&mut self) -> Host {
        loop {
            let ip =
                IpAddr::V4((self.network | self.places.between(2, u64::from(!self.mask) - 2) as u32).into());
            if self.taken.insert(ip) {
                self.home_hosts += 1;
                let device = Host { mac: mac(&mut self.places), ip, ttl: 64 };
                // Nothing leaves a device before it knows where its gateway is.
                let (gateway, wait) = (self.gateway, self.secs(0.0, 5.0));
                self.arp(self.start + wait, &device, &gateway);
                return device;
            }
        }
    }

    /// So many devices of ours.
    pub fn devices(&mut self, count: usize) -> Vec<Host> {
        (0..count).map(|_| self.device()).collect()
    }

    /// Addresses of our network in which nobody lives, in any order. They wear no hardware address of their own.
    pub fn empty_addresses(&mut self, count: usize) -> Vec<Host> {
        let mut all: Vec<_> = (1..!self.mask)
            .map(|host| IpAddr::V4((self.network | host).into()))
            .filter(|ip| !self.taken.contains(ip))
            .collect();
        self.places.shuffle(&mut all);
        all.truncate(count);
        all.into_iter().map(|ip| Host { mac: self.gateway.mac, ip, ttl: 64 }).collect()
    }

    /// The address of everybody in our network.
    #[must_use]
    pub fn broadcast(&self) -> IpAddr {
        IpAddr::V4((self.network | !self.mask).into())
    }

    /// Somebody outside; what comes from there wears the gateway's hardware address.
    pub fn outside(&mut self) -> Host {
        loop {
            let ip = IpAddr::V4(public(&mut self.places));
            let home = matches!(ip, IpAddr::V4(v4) if u32::from(v4) & self.mask == self.network);
            if !home && self.taken.insert(ip) {
                return Host { mac: self.gateway.mac, ip, ttl: self.places.between(38, 60) as u8 };
            }
        }
    }

    /// So many strangers.
    pub fn outsiders(&mut self, count: usize) -> Vec<Host> {
        (0..count).map(|_| self.outside()).collect()
    }

    /// The same host with an IPv6 address: ours are unique local ones.
    pub fn six(&mut self, host: &Host, home: bool) -> Host {
        let low = self.places.bits();
        let net: u16 = if home { 0xfd12 } else { 0x2a02 };
        let ip = IpAddr::V6(Ipv6Addr::new(
            net,
            0x77,
            if home { 1 } else { (low >> 48) as u16 },
            0,
            (low >> 32) as u16,
            (low >> 16) as u16,
            0xfffe,
            low as u16,
        ));
        Host { ip, ..*host }
    }

    /// A number of microseconds between two numbers of seconds.
    pub fn secs(&mut self, low: f64, high: f64) -> i64 {
        ((low + (high - low) * self.rng.unit()) * SECOND as f64) as i64
    }

    /// Begins a TCP conversation from a fresh port.
    pub fn talk(&mut self, at: i64, client: Host, server: Host, port: u16) -> (Talk<'_>, Rng) {
        let from = self.doors.ephemeral();
        let mut own = Rng::new(self.rng.bits(), "talk");
        (self.tape.talk(&mut own, at, client, server, (from, port)), own)
    }

    /// The host asks the resolver for a name and learns an address.
    pub fn lookup(&mut self, at: i64, client: &Host, name: &str, address: IpAddr) {
        let (id, port) = (self.rng.bits() as u16, self.doors.ephemeral());
        let qtype = if address.is_ipv6() { 28 } else { 1 };
        let answer = dns_answer(id, name, qtype, 0, &[Record::Address(address)]);
        let rtt = self.rng.between(600, 40_000) as i64;
        self.tape.ask(
            at,
            (client, &self.resolver),
            (port, 53),
            &dns_question(id, name, qtype, false),
            &answer,
            rtt,
        );
    }

    /// A host asks who has an address and is told.
    pub fn arp(&mut self, at: i64, asker: &Host, owner: &Host) {
        let everybody = [0xff; 6];
        self.tape.put(at, &traffic::arp(1, (asker.mac, asker.v4()), ([0; 6], owner.v4()), everybody));
        self.tape
            .put(at + 400, &traffic::arp(2, (owner.mac, owner.v4()), (asker.mac, asker.v4()), asker.mac));
    }

    /// The four messages by which a device gets its address from `server`.
    pub fn lease(&mut self, at: i64, client: &Host, server: &Host, name: &str) {
        let xid = self.rng.bits() as u32;
        let nobody = Host { ip: Ipv4Addr::UNSPECIFIED.into(), ..*client };
        let everybody = Host { mac: [0xff; 6], ip: Ipv4Addr::BROADCAST.into(), ttl: 64 };
        let (router, resolver) = (self.gateway.v4(), self.resolver.v4());
        for (step, kind) in [1_u8, 2, 3, 5].into_iter().enumerate() {
            let message = DhcpMessage {
                kind,
                xid,
                client: client.mac,
                address: client.v4(),
                server: if kind == 1 { Ipv4Addr::UNSPECIFIED } else { server.v4() },
                router,
                resolver,
                name: name.to_owned(),
            };
            let at = at + step as i64 * 9_000;
            if matches!(kind, 1 | 3) {
                self.tape.udp(at, &nobody, &everybody, (68, 67), &traffic::dhcp(&message));
            } else {
                self.tape.udp(at, server, &everybody, (67, 68), &traffic::dhcp(&message));
            }
        }
    }

    /// Everyday life of one device: a cloud that it keeps alive with, names, time, neighbours.
    pub fn everyday(&mut self, device: &Host, from: i64, until: i64) {
        let gateway = self.gateway;
        let cloud = self.outside();
        let time = self.outside();
        let name = format!("{}.cloud-{}.example", self.rng.word(6), self.rng.word(3));
        let mut at = from + self.secs(0.0, 20.0);
        self.lookup(at, device, &name, cloud.ip);
        let every = self.secs(25.0, 90.0);
        let port = *self.doors.pick(&[443, 8883, 443, 8443]);
        while at < until {
            // One connection lasts a few hours, then the next.
            let end = (at + self.secs(1_800.0, 14_400.0)).min(until);
            let (mut talk, mut own) = self.talk(at + 50_000, *device, cloud, port);
            talk.tls(&mut own, &name);
            while talk.at < end {
                talk.sealed_up(&mut own, 37).sealed_down(&mut own, 37);
                talk.pause((every as f64 * own.around(0.03)) as i64);
            }
            talk.close();
            at = end + self.secs(1.0, 30.0);
            self.lookup(at, device, &name, cloud.ip);
        }
        let mut at = from + self.secs(0.0, 600.0);
        while at < until {
            let port = self.doors.ephemeral();
            let mut question = vec![0x23, 0, 6, 0xec];
            question.extend(self.rng.bytes(44));
            let mut answer = vec![0x24, 2, 6, 0xec];
            answer.extend(self.rng.bytes(44));
            self.tape.ask(at, (device, &time), (port, 123), &question, &answer, 25_000);
            at += self.secs(900.0, 1_100.0);
        }
        let mut at = from + self.secs(0.0, 120.0);
        while at < until {
            self.arp(at, device, &gateway);
            at += self.secs(60.0, 600.0);
        }
    }

    /// Ends the scene: sorts the tape and fills in what follows from it.
    pub fn finish(&mut self) {
        self.tape.sort();
        let mut times = self.tape.frames().map(|(at, _)| at);
        let first = times.next().unwrap_or_default();
        let last = times.last().unwrap_or(first);
        if self.truth.device_days == 0.0 {
            self.truth.device_days = self.home_hosts as f64 * (last - first) as f64 / DAY as f64;
        }
        // The last first: what slipped is where it was.
        self.slips.sort_unstable_by_key(|(from, ..)| std::cmp::Reverse(*from));
        for (from, shift, all) in std::mem::take(&mut self.slips) {
            self.tape.slip(from, shift, all);
        }
    }
}

/// A hardware address of one of the makers.
fn mac(rng: &mut Rng) -> [u8; 6] {
    let [a, b, c] = *rng.pick(&VENDORS);
    [a, b, c, rng.below(256) as u8, rng.below(256) as u8, rng.below(256) as u8]
}

/// A public address of somebody.
pub fn public(rng: &mut Rng) -> Ipv4Addr {
    loop {
        let address = Ipv4Addr::from(rng.bits() as u32);
        let [a, b, ..] = address.octets();
        let special = address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_documentation()
            || a == 0
            || a >= 224
            || (a == 100 && (64..128).contains(&b))
            || (a == 198 && (b == 18 || b == 19));
        if !special {
            return address;
        }
    }
}
