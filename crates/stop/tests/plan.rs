//! The planner, by tables: who is hit, how, and who is spared and why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::{
    Asset, AssetStatus, AuthorityId, Counts, Criticality, FlowKey, FlowUpdate, Incident, IncidentAsset,
    IncidentId, Kind, Layer, Mac, NetSet, Outcome, Phase, Plan, PlanStatus, Proof, Protocol, RecordRef, Role,
    Service, Severity, Tactic, Target, Timestamp, Visibility,
};
use protect::ResponseConfig;
use std::{collections::BTreeMap, net::IpAddr};
use stop::{Context, Directory, Talks, difference, plan};

const BEGAN: i64 = 1_800_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac_of(address: IpAddr) -> Mac {
    let last = match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    };
    Mac([2, 0, 0x5e, 0x10, 0, last])
}

/// A city of a camera (.7), a second one (.8), a meter (.9), a light that nobody rated (.10), a traffic controller
/// (.20), a broker (.30), a router (.1), a resolver (.53).
struct City {
    config: ResponseConfig,
    home: NetSet,
    directory: Directory,
    talks: Talks,
    rounds: BTreeMap<String, u32>,
}

fn asset(address: &str, kind: &str, criticality: Criticality) -> Asset {
    Asset {
        id: mac_of(ip(address)).to_string(),
        authority_id: AuthorityId::local(),
        layer: Layer::Device,
        kind: Kind(kind.into()),
        confidence: 90,
        reasons: Vec::new(),
        criticality,
        status: AssetStatus::Discovered,
        name: Some(format!("{kind}-{}", address.rsplit('.').next().unwrap())),
        vendor: None,
        mac: Some(mac_of(ip(address))),
        addresses: vec![ip(address)],
        functions: Vec::new(),
        first_seen: Timestamp::from_secs(BEGAN - 10_000),
        last_seen: Timestamp::from_secs(BEGAN),
        declared: None,
    }
}

impl City {
    fn new(settings: &str) -> Self {
        let mut directory = Directory::new(100);
        for (address, kind, criticality) in [
            ("10.0.0.7", "camera", Criticality::Ordinary),
            ("10.0.0.8", "camera", Criticality::Ordinary),
            ("10.0.0.9", "meter", Criticality::Ordinary),
            ("10.0.0.10", "light", Criticality::Unknown),
            ("10.0.0.20", "traffic-light-controller", Criticality::Protected),
            ("10.0.0.30", "server", Criticality::Important),
        ] {
            directory.insert(asset(address, kind, criticality));
        }
        let functions: [(&str, &[&str]); 2] = [("10.0.0.1", &["router"]), ("10.0.0.53", &["resolver"])];
        for (address, functions) in functions {
            let mut asset = asset(address, "server", Criticality::Important);
            asset.functions = functions.iter().map(ToString::to_string).collect();
            directory.insert(asset);
        }
        Self {
            config: toml::from_str(settings).unwrap(),
            home: NetSet::private(),
            directory,
            talks: Talks::new(1000),
            rounds: BTreeMap::new(),
        }
    }

    /// An answered flow, so many seconds after the attack began (before, where negative).
    fn talk(mut self, src: &str, dst: &str, port: u16, at: i64) -> Self {
        self.talks.flow(&flow(src, dst, port, at, Outcome::Established));
        self
    }

    fn plan(&self, incident: &Incident) -> Plan {
        plan(
            incident,
            &Context {
                config: &self.config,
                home: &self.home,
                directory: &self.directory,
                talks: &self.talks,
                rounds: &self.rounds,
                now: Timestamp::from_secs(BEGAN + 60),
            },
        )
    }
}

fn flow(src: &str, dst: &str, port: u16, at: i64, outcome: Outcome) -> FlowUpdate {
    let counts = Counts { packets_out: 10, packets_in: 10, ..Counts::default() };
    FlowUpdate {
        id: 1,
        key: FlowKey {
            src: ip(src),
            dst: ip(dst),
            src_port: 40_000,
            dst_port: port,
            protocol: Protocol::TCP,
        },
        phase: Phase::Summary,
        first: Timestamp::from_secs(BEGAN + at),
        last: Timestamp::from_secs(BEGAN + at + 1),
        delta: counts,
        total: counts,
        outcome,
        visibility: Visibility::Both,
        service: Service::Unknown,
        src_mac: None,
        dst_mac: None,
        hops: None,
        flags_out: 0,
        flags_in: 0,
        opened_by: RecordRef::default(),
    }
}

fn incident(assets: &[(&str, Role, Proof)]) -> Incident {
    Incident {
        id: "inc-0123456789abcdef".parse::<IncidentId>().unwrap(),
        title: "a botnet".into(),
        severity: Severity::Critical,
        confidence: 95,
        stages: vec![Tactic::CommandAndControl, Tactic::Impact],
        techniques: Vec::new(),
        first: Timestamp::from_secs(BEGAN),
        last: Timestamp::from_secs(BEGAN + 50),
        assets: assets
            .iter()
            .map(|&(address, role, proof)| {
                let home = NetSet::private().contains(ip(address));
                let mac = (home && proof == Proof::Hardware).then(|| mac_of(ip(address)));
                IncidentAsset { address: ip(address), mac, role, proof, home }
            })
            .collect(),
        assets_omitted: 0,
        findings: 3,
        flows: 30,
        summary: String::new(),
        joined: Vec::new(),
        evidence: Vec::new(),
        advice: Vec::new(),
        supersedes: Vec::new(),
    }
}

fn commands(plan: &Plan) -> Vec<String> {
    let on = |target: &Target| match target {
        Target::Device { addresses, .. } => {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
        }
        Target::Remote { address } => address.to_string(),
        Target::Flow { src, dst, protocol, port } => format!("{src}>{dst} {protocol} {port:?}"),
    };
    plan.commands.iter().map(|command| format!("{} {}", command.action.verb(), on(&command.on))).collect()
}

const CAMERA: (&str, Role, Proof) = ("10.0.0.7", Role::Infected, Proof::Hardware);

#[test]
fn each_role_gets_what_fits_it_and_no_more() {
    let check = |assets: &[(&str, Role, Proof)], expected: &[&str]| {
        let plan = City::new("").plan(&incident(assets));
        assert_eq!(commands(&plan), expected, "{assets:?}\n{:?}", plan.withheld);
        let status = if expected.is_empty() { PlanStatus::Shown } else { PlanStatus::Proposed };
        assert_eq!(plan.status, status);
    };
    use Proof::{Handshake, Hardware, None};
    use Role::{Attacker, Controller, Infected, Reflector, Target, Victim};
    check(&[CAMERA], &["isolate 10.0.0.7"]);
    check(&[("10.0.0.7", Infected, Handshake)], &["isolate 10.0.0.7"]);
    check(&[("10.0.0.7", Attacker, Hardware)], &["isolate 10.0.0.7"]);
    check(&[("10.0.0.7", Controller, Hardware)], &["isolate 10.0.0.7"]);
    check(&[("10.0.0.7", Infected, None)], &[]);
    for suffers in [Victim, Target, Reflector] {
        check(&[("10.0.0.7", suffers, Hardware)], &[]);
        check(&[("203.0.113.5", suffers, Handshake)], &[]);
    }
    check(&[("203.0.113.5", Attacker, Handshake)], &["block 203.0.113.5"]);
    check(&[("203.0.113.5", Controller, Handshake)], &["block 203.0.113.5"]);
    check(&[("203.0.113.5", Infected, Handshake)], &["block 203.0.113.5"]);
    check(&[("203.0.113.5", Attacker, None)], &[]);
    check(&[("203.0.113.5", Controller, None)], &[]);
    // A hardware address that a remote address seems to have is the router's.
    check(&[("203.0.113.5", Attacker, Hardware)], &[]);
    check(
        &[
            ("203.0.113.6", Attacker, Handshake),
            ("203.0.113.5", Controller, Handshake),
            ("198.51.100.9", Victim, None),
            CAMERA,
            ("10.0.0.8", Infected, Hardware),
        ],
        &["isolate 10.0.0.7", "isolate 10.0.0.8", "block 203.0.113.5", "block 203.0.113.6"],
    );
}

#[test]
fn what_is_spared_is_named_with_the_reason() {
    let check = |settings: &str, address: &str, proof: Proof, expected: &str| {
        let plan = City::new(settings).plan(&incident(&[(address, Role::Infected, proof)]));
        assert_eq!(commands(&plan), [""; 0], "{address}");
        let reasons: Vec<&str> = plan.withheld.iter().map(|withheld| withheld.reason.as_str()).collect();
        assert!(reasons.len() == 1 && reasons[0].contains(expected), "{address}: {expected}: {reasons:?}");
        assert_eq!(plan.withheld[0].address, ip(address));
    };
    let (hardware, handshake) = (Proof::Hardware, Proof::Handshake);
    check("", "10.0.0.1", hardware, "router");
    check("", "10.0.0.53", hardware, "resolver");
    check("", "10.0.0.10", hardware, "nobody has said how critical");
    check("", "10.0.0.99", hardware, "nobody knows what it is");
    check("", "10.0.0.20", hardware, "no peers are declared");
    check("", "10.0.0.7", Proof::None, "can be forged");
    check("", "203.0.113.5", Proof::None, "can be forged");
    check("keep = ['10.0.0.7']", "10.0.0.7", hardware, "Bastide itself");
    check("administrators = ['10.0.0.7']", "10.0.0.7", hardware, "administrator");
    check("administrators = ['203.0.113.5']", "203.0.113.5", handshake, "administrator");
    check("resolvers = ['10.0.0.7']", "10.0.0.7", hardware, "resolver");
    check("resolvers = ['203.0.113.5']", "203.0.113.5", handshake, "resolver");
    check("time_servers = ['10.0.0.7']", "10.0.0.7", hardware, "time server");
    check("gateways = ['10.0.0.7']", "10.0.0.7", hardware, "gateway");
    check("never = ['10.0.0.0/29']", "10.0.0.7", hardware, "never");
    check("never = ['203.0.113.0/24']", "203.0.113.5", handshake, "never");
    check("", "224.0.0.251", handshake, "no single machine");
    check("", "255.255.255.255", handshake, "no single machine");
    check("", "ff02::1", handshake, "no single machine");
    check("", "0.0.0.0", handshake, "no single machine");
}

#[test]
fn an_asset_is_spared_by_any_of_its_addresses() {
    let mut city = City::new("never = ['fd00::7']");
    let mut camera = asset("10.0.0.7", "camera", Criticality::Ordinary);
    camera.addresses.push(ip("fd00::7"));
    city.directory.insert(camera);
    let plan = city.plan(&incident(&[CAMERA]));
    assert_eq!(commands(&plan), [""; 0]);
    assert!(plan.withheld[0].reason.contains("never"));
}

#[test]
fn what_fronts_others_is_spared() {
    let check = |change: &dyn Fn(&mut Asset, &mut Directory), expected: &str| {
        let mut city = City::new("");
        let mut camera = asset("10.0.0.7", "camera", Criticality::Ordinary);
        change(&mut camera, &mut city.directory);
        city.directory.insert(camera);
        let plan = city.plan(&incident(&[CAMERA]));
        assert_eq!(commands(&plan), [""; 0]);
        assert!(plan.withheld[0].reason.contains(expected), "{:?}", plan.withheld);
    };
    check(&|camera, _| camera.functions = vec!["router".into()], "router");
    check(&|camera, _| camera.functions = vec!["dhcp".into()], "DHCP");
    check(&|camera, _| camera.functions = vec!["time".into()], "time server");
    check(&|camera, _| camera.kind = Kind("gateway-router".into()), "router");
    check(&|camera, _| camera.kind = Kind("access-point".into()), "router");
    check(
        &|camera, _| camera.addresses.extend((100..105).map(|n| ip(&format!("10.0.0.{n}")))),
        "fronts many",
    );
    check(
        &|_, directory| {
            let mut other = asset("10.0.0.44", "meter", Criticality::Ordinary);
            other.mac = Some(mac_of(ip("10.0.0.7")));
            directory.insert(other);
        },
        "fronts many",
    );
}

#[test]
fn an_address_that_changed_hands_is_spared() {
    let mut infected = incident(&[CAMERA]);
    infected.assets[0].mac = Some(Mac([2, 9, 9, 9, 9, 9]));
    let plan = City::new("").plan(&infected);
    assert_eq!(commands(&plan), [""; 0]);
    assert!(plan.withheld[0].reason.contains("02:09:09:09:09:09"), "{:?}", plan.withheld);
}

#[test]
fn a_protected_asset_is_restricted_to_its_declared_peers_and_never_isolated() {
    let controller = incident(&[("10.0.0.20", Role::Infected, Proof::Hardware)]);
    let city = City::new("[declared_peers]\n'10.0.0.20' = ['10.0.0.30', '10.0.0.21']");
    let plan = city.plan(&controller);
    assert_eq!(commands(&plan), ["restrict 10.0.0.20"]);
    let model::Action::Restrict { peers } = &plan.commands[0].action else { panic!() };
    assert_eq!(*peers, [ip("10.0.0.21"), ip("10.0.0.30")]);
}

#[test]
fn isolation_keeps_the_named_servers_and_reaches_all_addresses_of_the_device() {
    let mut city = City::new(
        "resolvers = ['10.0.0.53', 'fd00::53']\ntime_servers = ['10.0.0.123']\nkeep = ['10.0.0.2']",
    );
    let mut camera = asset("10.0.0.7", "camera", Criticality::Ordinary);
    camera.addresses.push(ip("fd00::7"));
    city.directory.insert(camera);
    let plan = city.plan(&incident(&[CAMERA]));
    assert_eq!(commands(&plan), ["isolate 10.0.0.7+fd00::7"]);
    let command = &plan.commands[0];
    let model::Action::Isolate { keep } = &command.action else { panic!() };
    assert_eq!(*keep, [ip("10.0.0.2"), ip("10.0.0.53"), ip("10.0.0.123"), ip("fd00::53")]);
    assert_eq!(command.expires.seconds_since(command.created), 3600.0);
    assert_eq!(command.inverse, "let camera-7 talk again");
    assert_eq!(command.kind, Kind("camera".into()));
}

#[test]
fn what_a_protected_asset_depends_on_is_spared() {
    let check = |city: City, address: &str, proof: Proof, spared: bool| {
        let plan = city.plan(&incident(&[(address, Role::Infected, proof)]));
        assert_eq!(plan.commands.is_empty(), spared, "{address} {:?}", plan.withheld);
        if spared {
            let reason = &plan.withheld[0].reason;
            assert!(
                reason.contains("traffic-light-controller-20 is protected and depends on it"),
                "{reason}"
            );
        }
    };
    let (hardware, handshake) = (Proof::Hardware, Proof::Handshake);
    // It opens flows to the broker, or to somebody outside: at any time.
    check(City::new("").talk("10.0.0.20", "10.0.0.30", 1883, -500), "10.0.0.30", hardware, true);
    check(City::new("").talk("10.0.0.20", "10.0.0.30", 1883, 10), "10.0.0.30", hardware, true);
    check(City::new("").talk("10.0.0.20", "203.0.113.5", 443, -500), "203.0.113.5", handshake, true);
    // However many the broker itself went to before.
    let crowded = (0..300).fold(City::new(""), |city, port| city.talk("10.0.0.30", "192.0.2.9", port, -600));
    check(crowded.talk("10.0.0.20", "10.0.0.30", 1883, -500), "10.0.0.30", hardware, true);
    // It is fed by a camera: since before the attack.
    check(City::new("").talk("10.0.0.7", "10.0.0.20", 554, -500), "10.0.0.7", hardware, true);
    // The bot attacked it, with success or without.
    check(City::new("").talk("10.0.0.7", "10.0.0.20", 23, 10), "10.0.0.7", hardware, false);
    let mut scanned = City::new("");
    scanned.talks.flow(&flow("10.0.0.7", "10.0.0.20", 23, -500, Outcome::Refused));
    check(scanned, "10.0.0.7", hardware, false);
    // A server of the network answers the camera; it does not depend on it.
    check(City::new("").talk("10.0.0.7", "10.0.0.53", 53, -500), "10.0.0.7", hardware, false);
    check(City::new("").talk("10.0.0.7", "10.0.0.1", 80, -500), "10.0.0.7", hardware, false);
    check(City::new("").talk("10.0.0.1", "10.0.0.7", 80, -500), "10.0.0.7", hardware, false);
    // Somebody who is not protected depends on it.
    check(City::new("").talk("10.0.0.9", "10.0.0.30", 1883, -500), "10.0.0.30", hardware, false);
}

#[test]
fn hits_are_read_from_recent_flows_and_the_attack_is_nobodys_loss() {
    let city = City::new("resolvers = ['10.0.0.53']")
        .talk("10.0.0.30", "10.0.0.7", 554, -500)
        .talk("10.0.0.7", "10.0.0.30", 1883, -400)
        .talk("10.0.0.7", "10.0.0.53", 53, -400)
        .talk("203.0.113.5", "10.0.0.7", 23, 5)
        .talk("10.0.0.7", "203.0.113.6", 48_101, 7)
        .talk("10.0.0.7", "10.0.0.9", 23, 20);
    let plan = city.plan(&incident(&[
        CAMERA,
        ("10.0.0.9", Role::Target, Proof::Hardware),
        ("203.0.113.5", Role::Attacker, Proof::Handshake),
        ("203.0.113.6", Role::Controller, Proof::Handshake),
    ]));
    assert_eq!(commands(&plan), ["isolate 10.0.0.7", "block 203.0.113.6", "block 203.0.113.5"]);
    let hits = |at: usize| -> Vec<(String, String)> {
        plan.commands[at].hits.iter().map(|hit| (hit.address.to_string(), hit.loses.clone())).collect()
    };
    assert_eq!(
        hits(0),
        [
            ("10.0.0.7".into(), "everything but DHCP, names, time and Bastide".into()),
            ("10.0.0.30".into(), "1 flow to 1883/tcp from it, 1 flow to 554/tcp with it".to_string()),
        ]
    );
    // That the camera talks with its controller, and the scanner with the camera, is the attack.
    assert_eq!(hits(1), []);
    assert_eq!(hits(2), []);
}

#[test]
fn innocents_who_use_a_remote_address_are_hits_of_its_block() {
    let city =
        City::new("").talk("10.0.0.9", "203.0.113.5", 443, 10).talk("10.0.0.30", "203.0.113.5", 443, -10);
    let plan = city.plan(&incident(&[CAMERA, ("203.0.113.5", Role::Controller, Proof::Handshake)]));
    let block = plan.commands.iter().find(|command| command.action.verb() == "block").unwrap();
    let hits: Vec<IpAddr> = block.hits.iter().map(|hit| hit.address).collect();
    assert_eq!(hits, [ip("10.0.0.30"), ip("10.0.0.9")]);
}

#[test]
fn a_flood_that_nobody_can_be_named_for_is_limited_at_most() {
    let flood = |role, proof| {
        let mut city = City::new("limit_packets_per_second = 50");
        city.talks.flow(&flow("192.0.2.77", "10.0.0.30", 80, 5, Outcome::Silent));
        let plan =
            city.plan(&incident(&[("10.0.0.30", Role::Victim, Proof::None), ("192.0.2.77", role, proof)]));
        assert_eq!(plan.status, PlanStatus::Proposed);
        commands(&plan)
    };
    assert_eq!(flood(Role::Attacker, Proof::None), ["limit 0.0.0.0>10.0.0.30 tcp Some(80)"]);
    assert_eq!(flood(Role::Reflector, Proof::Handshake), ["limit 0.0.0.0>10.0.0.30 tcp Some(80)"]);
    assert_eq!(flood(Role::Attacker, Proof::Handshake), ["block 192.0.2.77"]);
    // What is never acted on is not slowed down either.
    let mut city = City::new("resolvers = ['10.0.0.30']");
    city.talks.flow(&flow("192.0.2.77", "10.0.0.30", 53, 5, Outcome::Silent));
    let plan = city.plan(&incident(&[("10.0.0.30", Role::Victim, Proof::None)]));
    assert_eq!(commands(&plan), [""; 0]);
    assert_eq!(plan.withheld[0].reason, "it is a resolver of the city");
    let mut recon = incident(&[("10.0.0.30", Role::Victim, Proof::None)]);
    recon.stages = vec![Tactic::Reconnaissance];
    assert_eq!(commands(&City::new("").plan(&recon)), [""; 0]);
}

#[test]
fn small_incidents_are_not_responded_to() {
    for severity in [Severity::Info, Severity::Low] {
        let mut small = incident(&[CAMERA]);
        small.severity = severity;
        let plan = City::new("").plan(&small);
        assert_eq!((commands(&plan).len(), plan.status), (0, PlanStatus::Shown));
        assert!(plan.because.contains(severity.as_str()));
    }
}

#[test]
fn each_round_doubles_the_duration_up_to_the_longest_and_has_its_own_id() {
    let mut ids = std::collections::BTreeSet::new();
    for (round, secs) in
        [(0, 3600.0), (1, 7200.0), (2, 14_400.0), (4, 57_600.0), (5, 86_400.0), (4_000_000_000, 86_400.0)]
    {
        let mut city = City::new("");
        city.rounds.insert(mac_of(ip("10.0.0.7")).to_string(), round);
        let plan = city.plan(&incident(&[CAMERA]));
        let command = &plan.commands[0];
        assert_eq!(command.expires.seconds_since(command.created), secs, "round {round}");
        ids.insert(command.id.clone());
    }
    assert_eq!(ids.len(), 6);
}

#[test]
fn the_same_incident_gives_the_same_ids_and_growth_gives_new_ones() {
    let city = City::new("");
    let one = city.plan(&incident(&[CAMERA]));
    let mut later = incident(&[CAMERA]);
    later.last = Timestamp::from_secs(BEGAN + 5000);
    later.findings = 99;
    assert_eq!(city.plan(&later).id, one.id);
    assert_eq!(city.plan(&later).commands[0].id, one.commands[0].id);
    let two = city.plan(&incident(&[CAMERA, ("10.0.0.8", Role::Infected, Proof::Hardware)]));
    assert_ne!(two.id, one.id);
    assert_eq!(two.commands[0].id, one.commands[0].id);
    let mut other = incident(&[CAMERA]);
    other.id = "inc-fedcba9876543210".parse().unwrap();
    assert_ne!(city.plan(&other).commands[0].id, one.commands[0].id);
}

#[test]
fn what_changed_since_a_person_looked_is_named() {
    let seen = City::new("").talk("10.0.0.30", "10.0.0.7", 554, -500).plan(&incident(&[CAMERA]));
    let check = |city: City, incident: &Incident, expected: Option<&str>| {
        let told = difference(&seen, &city.plan(incident));
        match expected {
            None => assert_eq!(told, None),
            Some(word) => {
                assert!(told.as_deref().is_some_and(|told| told.contains(word)), "{word}: {told:?}")
            }
        }
    };
    let base = || City::new("").talk("10.0.0.30", "10.0.0.7", 554, -500);
    check(base(), &incident(&[CAMERA]), None);
    check(City::new(""), &incident(&[CAMERA]), None);
    check(base().talk("10.0.0.7", "198.51.100.1", 443, -5), &incident(&[CAMERA]), None);
    check(
        base().talk("10.0.0.9", "10.0.0.7", 554, -5),
        &incident(&[CAMERA]),
        Some("would now hit meter-9 too"),
    );
    check(
        base(),
        &incident(&[CAMERA, ("10.0.0.8", Role::Infected, Proof::Hardware)]),
        Some("also to isolate 10.0.0.8"),
    );
    check(
        base().talk("10.0.0.20", "10.0.0.7", 554, -5),
        &incident(&[CAMERA]),
        Some("no longer to isolate 10.0.0.7: traffic-light-controller-20 is protected"),
    );
    check(base(), &incident(&[]), Some("no longer to isolate 10.0.0.7"));
    let mut grown = base();
    let mut camera = asset("10.0.0.7", "camera", Criticality::Ordinary);
    camera.addresses.push(ip("fd00::7"));
    grown.directory.insert(camera);
    check(grown, &incident(&[CAMERA]), Some("now reaches other addresses"));
}

#[test]
fn a_plan_stays_bounded_whatever_the_incident_holds() {
    let crowd: Vec<String> = (0..2000).map(|n| format!("203.0.{}.{}", n / 250, n % 250 + 1)).collect();
    let assets: Vec<(&str, Role, Proof)> =
        crowd.iter().map(|address| (address.as_str(), Role::Attacker, Proof::Handshake)).collect();
    let plan = City::new("").plan(&incident(&assets));
    assert_eq!(plan.commands.len(), 64);
    assert!(plan.withheld.len() <= 64 && plan.withheld[0].reason.contains("at most 64"));
}
