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
fn two_disjoint_networks_give_what_each_gives_alone() {
    let mut faults = Vec::new();
    for (one, two) in [
        ("mirai", "flood-syn-out"),
        ("scan-in", "guess-ssh"),
        ("amp-ntp", "ok-inventory"),
        ("arp-spoof", "lateral"),
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
