//! What the city of a seed looks like: who lives in it, under which addresses and ports, and when the attack does what.
//!
//! Guarantees: the same seed gives the same city. Nothing of it is told to the sensor.

use crate::dice::Dice;
use model::Mac;
use serde::Serialize;
use std::{collections::BTreeSet, net::Ipv4Addr};

/// An IPv4 network.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Subnet {
    /// Its first address.
    pub base: Ipv4Addr,
    /// Its prefix length.
    pub prefix: u8,
}

impl Subnet {
    /// The host with this number in it.
    #[must_use]
    pub fn host(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits().wrapping_add(number))
    }

    /// How many addresses it has.
    #[must_use]
    pub fn size(self) -> u32 {
        1_u32.checked_shl(32_u32.saturating_sub(u32::from(self.prefix))).unwrap_or(u32::MAX)
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits().wrapping_sub(self.base.to_bits()) < self.size()
    }
}

/// What a device of the street is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// A camera.
    Camera,
    /// A traffic-light controller, protected.
    TrafficLight,
    /// An electricity or water meter.
    Meter,
    /// A street light.
    StreetLight,
}

/// A telnet server on a device.
#[derive(Clone, Debug, Serialize)]
pub struct Telnet {
    /// Its port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// Whether it is a factory password.
    pub factory: bool,
}

/// A device of the street.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// Its number, from 0.
    pub number: usize,
    /// Its name in messages and in DHCP.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Its hardware address.
    pub mac: Mac,
    /// The address that DHCP gives it.
    pub address: Ipv4Addr,
    /// DHCP option 60.
    pub vendor_class: String,
    /// What its web server calls itself.
    pub web_server: String,
    /// Its telnet server.
    pub telnet: Option<Telnet>,
    /// Milliseconds between two telemetry messages.
    pub telemetry_every: u64,
    /// How code gets into it: which of busybox's fetchers it has.
    pub fetcher: Fetcher,
}

/// Which of busybox's fetchers a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fetcher {
    /// `wget`.
    Wget,
    /// `tftp`, without `wget`.
    Tftp,
    /// Neither: the loader writes the program with `echo`.
    Echo,
}

/// What the bots are told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vector {
    /// UDP datagrams to port 53.
    Udp,
    /// TCP SYN to port 53.
    Syn,
    /// TCP ACK to port 53.
    Ack,
    /// Questions for random names, straight to the provider.
    Torture,
    /// Questions for random names through the city's resolver.
    TortureByResolver,
}

/// Everything that is outside of the city.
#[derive(Clone, Debug, Serialize)]
pub struct Outside {
    /// Looks for telnet servers.
    pub scanner: Ipv4Addr,
    /// Takes the scanners' reports.
    pub report: Ipv4Addr,
    /// Logs in and loads the bot.
    pub loader: Ipv4Addr,
    /// Commands the bots.
    pub controller: Ipv4Addr,
    /// The DNS provider: the victim.
    pub provider: Ipv4Addr,
    /// Another DNS provider, whom nobody attacks.
    pub other_dns: Ipv4Addr,
    /// The maker's firmware server.
    pub firmware: Ipv4Addr,
    /// The broker of the city's cloud.
    pub broker: Ipv4Addr,
}

/// Ports that vary.
#[derive(Clone, Debug, Serialize)]
pub struct Ports {
    /// Where the scan looks for telnet, the second one in every tenth packet.
    pub telnet: [u16; 2],
    /// The report server's.
    pub report: u16,
    /// The controller's.
    pub controller: u16,
    /// The loader's web server's.
    pub loader: u16,
}

/// When things happen, in milliseconds. Mirai's own times are compressed: its keep-alive of a minute is seconds here.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// From the sensor's start to the scan.
    pub peace: u64,
    /// Between two keep-alives of the bot (60 s in Mirai).
    pub keep_alive: u64,
    /// From the takeover to the order to flood.
    pub bot_idle: u64,
    /// How long the flood is.
    pub flood: u64,
    /// From the flood's end to the repair.
    pub aftermath: u64,
    /// Between two tries to log in.
    pub login_pause: u64,
}

/// The city of a seed.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// A shorter drill.
    pub quick: bool,
    /// The street's network.
    pub street: Subnet,
    /// The city hall's network: the administrator and the inventory.
    pub office: Subnet,
    /// The citizens' network.
    pub public: Subnet,
    /// The router's address on its way out.
    pub wan: Ipv4Addr,
    /// The internet provider's end of it.
    pub isp: Ipv4Addr,
    /// The street's devices.
    pub devices: Vec<Device>,
    /// The administrator's address.
    pub administrator: Ipv4Addr,
    /// The inventory's address.
    pub inventory: Ipv4Addr,
    /// Citizens' addresses.
    pub citizens: Vec<Ipv4Addr>,
    /// Everything else.
    pub outside: Outside,
    /// Ports that vary.
    pub ports: Ports,
    /// Names whose authority is the victim.
    pub provider_zones: Vec<String>,
    /// Names whose authority is somebody else.
    pub other_zones: Vec<String>,
    /// When things happen.
    pub timing: Timing,
    /// What the bots do, in this order, each for an equal share of the flood.
    pub vectors: Vec<Vector>,
    /// Attack packets a second, of all bots together.
    pub rate: u32,
    /// At most so many bots.
    pub most_bots: usize,
    /// The camera that is taken over before the sensor starts, in the run where that happens out of sight.
    pub resident: usize,
    /// In that run: whether the bot looks for neighbours before it is told to flood.
    pub resident_scans: bool,
    /// The order of the decoys.
    pub decoys: Vec<Decoy>,
}

/// Something that looks a bit like an attack and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoy {
    /// The administrator's telnet session with a device.
    AdministratorTelnet,
    /// New firmware for every device.
    FirmwareRollOut,
    /// The inventory asks every device on several ports.
    InventoryPoll,
    /// Every device sends a burst of telemetry.
    TelemetryBurst,
}

/// Users and passwords of the factory, as Mirai's source lists them, with its weights.
pub(crate) const FACTORY: [(&str, &str, u64); 24] = [
    ("root", "xc3511", 10),
    ("root", "vizxv", 9),
    ("root", "admin", 8),
    ("admin", "admin", 7),
    ("root", "888888", 6),
    ("root", "xmhdipc", 5),
    ("root", "default", 5),
    ("root", "juantech", 5),
    ("root", "123456", 5),
    ("root", "54321", 5),
    ("support", "support", 5),
    ("admin", "password", 4),
    ("root", "root", 4),
    ("root", "12345", 4),
    ("user", "user", 3),
    ("root", "pass", 3),
    ("admin", "admin1234", 3),
    ("root", "1111", 3),
    ("admin", "smcadmin", 3),
    ("root", "666666", 2),
    ("root", "klv123", 1),
    ("root", "7ujMko0vizxv", 1),
    ("root", "hi3518", 1),
    ("root", "dreambox", 1),
];

impl Plan {
    /// The city of a seed.
    #[must_use]
    pub fn of(seed: u64, quick: bool) -> Self {
        let [street, office, public] = subnets(&mut Dice::new(seed, "subnets"));
        let mut dice = Dice::new(seed, "ports");
        let ports = ports(&mut dice);
        let devices = devices(&mut Dice::new(seed, "devices"), street, &ports);
        let mut dice = Dice::new(seed, "order");
        let weak: Vec<usize> = devices
            .iter()
            .filter(|device| device.telnet.as_ref().is_some_and(|telnet| telnet.factory))
            .map(|device| device.number)
            .collect();
        let mut decoys =
            [Decoy::AdministratorTelnet, Decoy::FirmwareRollOut, Decoy::InventoryPoll, Decoy::TelemetryBurst];
        dice.shuffle(&mut decoys);
        let mut vectors = vec![Vector::Udp, Vector::Syn, Vector::Ack, Vector::Torture];
        dice.shuffle(&mut vectors);
        vectors.push(Vector::TortureByResolver);
        let [wan, isp, rest @ ..] = outside_addresses(&mut Dice::new(seed, "outside"));
        let [scanner, report, loader, controller, provider, other_dns, firmware, broker] = rest;
        Self {
            seed,
            quick,
            street,
            office,
            public,
            wan,
            isp,
            administrator: office.host(dice.range(10, 50) as u32),
            inventory: office.host(dice.range(60, 100) as u32),
            citizens: (0..3).map(|number| public.host(20 + number * 7)).collect(),
            outside: Outside { scanner, report, loader, controller, provider, other_dns, firmware, broker },
            ports,
            provider_zones: ["news", "shop", "music"]
                .iter()
                .map(|zone| format!("{zone}-{}.example", dice.word(4)))
                .collect(),
            other_zones: ["cloud", "clinic", "bus"]
                .iter()
                .map(|zone| format!("{zone}-{}.example", dice.word(4)))
                .collect(),
            timing: timing(&mut Dice::new(seed, "timing"), quick),
            vectors,
            rate: dice.range(13_000, 16_000) as u32,
            most_bots: 3,
            resident: dice.pick(&weak),
            resident_scans: dice.percent(70),
            decoys: decoys.to_vec(),
            devices,
        }
    }

    /// The router's address in the street.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.street.host(1)
    }

    /// The device with this address.
    #[must_use]
    pub fn device_at(&self, address: Ipv4Addr) -> Option<&Device> {
        self.devices.iter().find(|device| device.address == address)
    }

    /// What to call an address.
    #[must_use]
    pub fn name(&self, address: Ipv4Addr) -> String {
        let outside = &self.outside;
        let named = [
            (outside.scanner, "the scanner"),
            (outside.report, "the report server"),
            (outside.loader, "the loader"),
            (outside.controller, "the controller"),
            (outside.provider, "the DNS provider"),
            (outside.other_dns, "the other DNS provider"),
            (outside.firmware, "the firmware server"),
            (outside.broker, "the cloud"),
            (self.administrator, "the administrator"),
            (self.inventory, "the inventory"),
            (self.gateway(), "the router"),
            (self.wan, "the router"),
            (self.isp, "the internet provider"),
        ];
        let device = self.device_at(address).map(|device| device.name.clone());
        device
            .or_else(|| named.iter().find(|(named, _)| *named == address).map(|(_, name)| (*name).to_owned()))
            .unwrap_or_else(|| address.to_string())
    }

    /// Whether an address is of the attackers.
    #[must_use]
    pub fn is_attacker(&self, address: Ipv4Addr) -> bool {
        let outside = &self.outside;
        [outside.scanner, outside.report, outside.loader, outside.controller].contains(&address)
    }
}

fn subnets(dice: &mut Dice) -> [Subnet; 3] {
    let mut taken = BTreeSet::new();
    let mut draw = |prefix: u8| loop {
        let base = match dice.range(0, 2) {
            0 => Ipv4Addr::new(10, dice.range(0, 255) as u8, dice.range(0, 255) as u8, 0),
            1 => Ipv4Addr::new(172, dice.range(16, 31) as u8, dice.range(0, 255) as u8, 0),
            _ => Ipv4Addr::new(192, 168, dice.range(0, 255) as u8, 0),
        };
        // Two networks never share a /22.
        if taken.insert(base.to_bits() >> 10) {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            return Subnet { base: Ipv4Addr::from_bits(base.to_bits() & mask), prefix };
        }
    };
    [draw(23), draw(24), draw(24)]
}

/// Ten addresses of RFC 2544 and RFC 5737; the first two are the two ends of the city's line.
fn outside_addresses(dice: &mut Dice) -> [Ipv4Addr; 10] {
    let mut taken = BTreeSet::new();
    let mut draw = || loop {
        let last = dice.range(1, 254) as u8;
        let address = match dice.range(0, 5) {
            0 => Ipv4Addr::new(192, 0, 2, last),
            1 => Ipv4Addr::new(198, 51, 100, last),
            2 => Ipv4Addr::new(203, 0, 113, last),
            half => Ipv4Addr::new(198, 18 + (half % 2) as u8, dice.range(1, 254) as u8, last),
        };
        if taken.insert(address) {
            return address;
        }
    };
    std::array::from_fn(|_| draw())
}

fn ports(dice: &mut Dice) -> Ports {
    // Half of the botnets look where Mirai did, the others on ports that later ones took to.
    let telnet = if dice.percent(50) {
        [23, 2323]
    } else {
        let mut ports = [23, 2323, 26, 5555, 9527, 12323, 6789, dice.range(20_000, 60_000) as u16];
        dice.shuffle(&mut ports);
        let [first, second, ..] = ports;
        [first, second]
    };
    Ports {
        telnet,
        report: dice.pick(&[48101, 9555, 1312, 23455]),
        controller: dice.pick(&[23, 6667, 666, 7267, 8443, 21_420]),
        loader: dice.pick(&[80, 80, 8080, 7110]),
    }
}

fn timing(dice: &mut Dice, quick: bool) -> Timing {
    let third = |millis: u64| if quick { millis / 2 } else { millis };
    Timing {
        peace: third(dice.range(10_000, 13_000)),
        keep_alive: dice.range(900, 1_600),
        bot_idle: third(dice.range(7_000, 9_000)),
        flood: if quick { 11_000 } else { dice.range(12_000, 14_000) },
        aftermath: third(3_000),
        login_pause: dice.range(80, 200),
    }
}

fn devices(dice: &mut Dice, street: Subnet, ports: &Ports) -> Vec<Device> {
    use DeviceKind::{Camera, Meter, StreetLight, TrafficLight};
    let mut kinds = vec![Camera; dice.range(6, 8) as usize];
    kinds.extend([TrafficLight, TrafficLight]);
    kinds.extend(vec![Meter; dice.range(2, 4) as usize]);
    kinds.extend(vec![StreetLight; dice.range(3, 4) as usize]);
    let mut taken = BTreeSet::from([0, 1]);
    let cameras = kinds.iter().filter(|kind| **kind == Camera).count();
    let mut of_kind = [0_usize; 4];
    let mut made = Vec::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        let place = loop {
            let place = dice.range(2, u64::from(street.size()) - 2) as u32;
            if taken.insert(place) {
                break place;
            }
        };
        let nth = of_kind.get_mut(kind as usize).map_or(0, |count| {
            *count += 1;
            *count
        });
        made.push(device(dice, number, kind, nth, street.host(place), ports, nth + 2 > cameras));
    }
    made
}

fn device(
    dice: &mut Dice,
    number: usize,
    kind: DeviceKind,
    nth: usize,
    address: Ipv4Addr,
    ports: &Ports,
    strong: bool,
) -> Device {
    let tail = dice.bytes(3);
    let tail: [u8; 3] = tail.try_into().unwrap_or_default();
    let (oui, name, vendor_class, web_server) = match kind {
        DeviceKind::Camera => {
            let makers = [
                ([0x00, 0x12, 0x12], "IPCAM", "udhcp 1.19.4", "uc-httpd 1.0.0"),
                ([0x4c, 0x11, 0xbf], "IPC-HDW", "udhcp 1.22.1", "DNVRS-Webs"),
                ([0x9c, 0x8e, 0xcd], "NVR-CAM", "ipcamera", "Boa/0.94.14rc21"),
            ];
            let (oui, name, class, web) = dice.pick(&makers);
            (oui, format!("{name}-{nth:02}"), class, web)
        }
        DeviceKind::TrafficLight => ([0x00, 0x50, 0xc2], format!("traffic-light-{nth}"), "TLC", "SEPAC/4.1"),
        DeviceKind::Meter => ([0x00, 0x1e, 0xb8], format!("smart-meter-{nth:02}"), "meter", ""),
        DeviceKind::StreetLight => {
            ([0x00, 0x0d, 0x6f], format!("street-light-{nth:02}"), "luminaire", "lwIP/1.4.1")
        }
    };
    let (user, password, _) = weighted_factory(dice, 8);
    // The last two cameras had their password changed; the controllers have telnet too, with a good one.
    let telnet = match kind {
        DeviceKind::Camera => {
            let [first, second] = ports.telnet;
            let port = if dice.percent(80) { first } else { second };
            let port = if nth == 1 { first } else { port };
            let (user, password) =
                if strong { ("root".into(), dice.word(14)) } else { (user.to_owned(), password.to_owned()) };
            Some(Telnet { port, user, password, factory: !strong })
        }
        DeviceKind::TrafficLight => {
            Some(Telnet { port: 23, user: "operator".into(), password: dice.word(14), factory: false })
        }
        DeviceKind::Meter | DeviceKind::StreetLight => None,
    };
    let [a, b, c] = oui;
    let [d, e, f] = tail;
    Device {
        number,
        name,
        kind,
        mac: Mac([a, b, c, d, e, f]),
        address,
        vendor_class: vendor_class.into(),
        web_server: web_server.into(),
        telnet,
        telemetry_every: dice.range(350, 900),
        fetcher: match dice.range(0, 3) {
            0 => Fetcher::Tftp,
            1 => Fetcher::Echo,
            _ => Fetcher::Wget,
        },
    }
}

/// One entry of the factory list, by its weight among the first `among`.
pub(crate) fn weighted_factory(dice: &mut Dice, among: usize) -> (&'static str, &'static str, u64) {
    let total: u64 = FACTORY.iter().take(among).map(|(_, _, weight)| weight).sum();
    let mut at = dice.range(1, total.max(1));
    for entry in FACTORY.iter().take(among) {
        if at <= entry.2 {
            return *entry;
        }
        at -= entry.2;
    }
    ("root", "xc3511", 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_gives_a_whole_city() {
        for seed in 0..500 {
            let plan = Plan::of(seed, seed % 2 == 0);
            let count = |kind| plan.devices.iter().filter(|device| device.kind == kind).count();
            assert!(plan.devices.len() >= 12, "seed {seed}");
            assert!(count(DeviceKind::Camera) >= 6 && count(DeviceKind::TrafficLight) == 2, "seed {seed}");
            let weak = plan.devices.iter().filter(|device| device.telnet.as_ref().is_some_and(|t| t.factory));
            assert!(weak.clone().count() >= 4, "seed {seed}");
            assert!(weak.clone().all(|device| device.kind == DeviceKind::Camera));
            assert!(weak.clone().any(|device| device.number == plan.resident), "seed {seed}");
            assert!(plan.rate >= 10_000 && plan.timing.flood >= 10_000, "seed {seed}");
            let addresses: BTreeSet<_> = plan.devices.iter().map(|device| device.address).collect();
            assert_eq!(addresses.len(), plan.devices.len(), "seed {seed}");
            assert!(addresses.iter().all(|address| plan.street.contains(*address)), "seed {seed}");
            let names: BTreeSet<_> = plan.devices.iter().map(|device| &device.name).collect();
            assert_eq!(names.len(), plan.devices.len(), "seed {seed}");
            assert!(!plan.street.contains(plan.administrator) && !plan.street.contains(plan.citizens[0]));
        }
    }

    #[test]
    fn the_seed_decides() {
        let text = |seed| serde_json::to_string(&Plan::of(seed, false)).unwrap();
        assert_eq!(text(3), text(3));
        assert_ne!(text(3), text(4));
    }
}
