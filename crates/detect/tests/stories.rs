//! How findings become incidents: what is joined, what stays apart, what is folded, what a person can except.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use detect::{Config, Engine};
use model::{
    Counts, Event, EventKind, Exception, FlowKey, FlowUpdate, Incident, Login, LoginOutcome, Mac, Outcome,
    Phase, Protocol, RecordRef, Role, Service, Severity, Tactic, Timestamp, Transfer, TransferKind,
    Visibility,
};
use std::net::IpAddr;

const CAMERA: &str = "192.168.7.20";
const OTHER: &str = "192.168.7.30";
const CAMERA_MAC: Mac = Mac([0x44, 0x19, 0xb6, 1, 2, 3]);
const ROUTER_MAC: Mac = Mac([0x00, 0x1b, 0x21, 9, 9, 9]);

/// Events with times in seconds from the beginning of the test.
struct World {
    engine: Engine,
    next: u64,
}

impl World {
    fn new() -> Self {
        Self { engine: Engine::new(Config::default(), vec!["test".into()]), next: 1 }
    }

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_secs_f64(1_700_000_000.0 + seconds)
    }

    fn event(&mut self, seconds: f64, kind: EventKind) {
        let record = RecordRef { input: 0, record: self.next };
        self.engine.event(&Event { at: Self::at(seconds), record, kind });
    }

    fn key(src: &str, dst: &str, port: u16) -> FlowKey {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        FlowKey {
            src: address(src),
            dst: address(dst),
            src_port: 40_000,
            dst_port: port,
            protocol: Protocol::TCP,
        }
    }

    /// A whole connection: answered with payload both ways, or in vain.
    fn connection(
        &mut self,
        seconds: f64,
        src: &str,
        dst: &str,
        port: u16,
        outcome: Outcome,
        src_mac: Option<Mac>,
    ) {
        self.next += 1;
        let answered = outcome == Outcome::Established;
        let total = Counts {
            packets_out: 1 + 3 * u64::from(answered),
            packets_in: 3 * u64::from(answered) + u64::from(outcome == Outcome::Refused),
            bytes_out: 60,
            bytes_in: 60 * u64::from(answered),
            payload_out: 20 * u64::from(answered),
            payload_in: 20 * u64::from(answered),
            syns: 1,
        };
        let mut update = FlowUpdate {
            id: self.next,
            key: Self::key(src, dst, port),
            phase: Phase::Opened,
            first: Self::at(seconds),
            last: Self::at(seconds),
            delta: Counts { packets_out: 1, bytes_out: 60, syns: 1, ..Counts::default() },
            total: Counts { packets_out: 1, bytes_out: 60, syns: 1, ..Counts::default() },
            outcome: Outcome::Pending,
            visibility: Visibility::Both,
            service: Service::Unknown,
            src_mac,
            dst_mac: None,
            hops: None,
            flags_out: 0x02,
            flags_in: 0,
            opened_by: RecordRef::default(),
        };
        self.event(seconds, EventKind::Flow(update.clone()));
        (update.phase, update.outcome, update.delta, update.total) =
            (Phase::Changed, outcome, Counts::default(), total);
        update.flags_in = 0x12;
        self.event(seconds + 0.1, EventKind::Flow(update.clone()));
        update.phase = Phase::Closed;
        self.event(seconds + 0.2, EventKind::Flow(update));
    }

    /// A login with a password that was never tried before.
    fn login(&mut self, seconds: f64, src: &str, dst: &str, outcome: LoginOutcome, factory: Option<&str>) {
        self.login_with(seconds, (src, dst), outcome, factory, Some(self.next));
    }

    fn login_with(
        &mut self,
        seconds: f64,
        (src, dst): (&str, &str),
        outcome: LoginOutcome,
        factory: Option<&str>,
        secret: Option<u64>,
    ) {
        self.next += 1;
        let key = Self::key(src, dst, 23);
        let factory = factory.map(str::to_owned);
        let login = Login { flow: self.next, key, service: Service::Telnet, outcome, factory, secret };
        self.event(seconds, EventKind::Login(login));
    }

    fn guess(&mut self, seconds: f64, src: &str, dst: &str) {
        for attempt in 0..8 {
            self.login(seconds + f64::from(attempt), src, dst, LoginOutcome::Refused, None);
        }
    }

    fn transfer(&mut self, seconds: f64, from: &str, to: &str, kind: TransferKind) {
        self.next += 1;
        let key = Self::key(from, to, 80);
        let (from, to) = (key.src, key.dst);
        let what = "a rule".to_owned();
        let transfer = Transfer { flow: self.next, key, to, from, kind, service: Service::Telnet, what };
        self.event(seconds, EventKind::Transfer(transfer));
    }

    fn incidents(&mut self) -> Vec<Incident> {
        self.engine.incidents()
    }
}

fn roles(incident: &Incident) -> Vec<(String, Role)> {
    incident.assets.iter().map(|asset| (asset.address.to_string(), asset.role)).collect()
}

#[test]
fn two_attacks_on_one_target_are_two_and_many_are_one_row() {
    let check = |strangers: u8, expected: usize| {
        let mut world = World::new();
        for stranger in 0..strangers {
            world.guess(f64::from(stranger) * 30.0, &format!("203.0.113.{stranger}"), CAMERA);
        }
        let incidents = world.incidents();
        assert_eq!(incidents.len(), expected, "{strangers} strangers");
        assert_eq!(incidents[0].severity, Severity::Medium);
    };
    check(1, 1);
    check(2, 2);
    check(3, 1);
    check(40, 1);
}

#[test]
fn the_one_who_gets_in_is_told_apart_from_those_who_do_not() {
    let mut world = World::new();
    for stranger in 0..20u8 {
        world.guess(f64::from(stranger) * 30.0, &format!("203.0.113.{stranger}"), CAMERA);
    }
    world.login(700.0, "203.0.113.7", CAMERA, LoginOutcome::Accepted, Some("an entry"));
    let incidents = world.incidents();
    assert_eq!(incidents.len(), 2);
    assert_eq!(incidents[0].severity, Severity::Critical);
    assert_eq!(
        roles(&incidents[0]),
        [(CAMERA.to_owned(), Role::Infected), ("203.0.113.7".to_owned(), Role::Attacker)]
    );
    assert!(!roles(&incidents[1]).iter().any(|(address, _)| address == "203.0.113.7"));
}

#[test]
fn what_happens_to_one_device_is_one_story_whoever_does_it() {
    let mut world = World::new();
    world.login(0.0, "203.0.113.1", CAMERA, LoginOutcome::Accepted, Some("an entry"));
    world.transfer(5.0, "203.0.113.2", CAMERA, TransferKind::LoaderCommand);
    let before = world.incidents();
    world.transfer(9.0, "203.0.113.3", CAMERA, TransferKind::Elf);
    // Another device, another stranger: another story.
    world.login(10.0, "198.51.100.9", OTHER, LoginOutcome::Accepted, Some("an entry"));
    let incidents = world.incidents();
    assert_eq!(incidents.len(), 2);
    let story =
        incidents.iter().find(|incident| incident.id == before[0].id).expect("keeps its id while it grows");
    assert_eq!(story.stages, [Tactic::Execution, Tactic::CredentialAccess]);
    assert_eq!(story.findings, 3);
    assert_eq!(story.joined.len(), 2, "why it was joined is kept: {:?}", story.joined);
}

#[test]
fn two_stories_become_one_and_the_later_names_what_it_swallowed() {
    let mut world = World::new();
    world.login(0.0, "203.0.113.1", CAMERA, LoginOutcome::Accepted, Some("an entry"));
    world.login(1.0, "203.0.113.2", OTHER, LoginOutcome::Accepted, Some("an entry"));
    let two = world.incidents();
    assert_eq!(two.len(), 2);
    // The loader of both turns out to be one.
    world.transfer(2.0, "203.0.113.3", CAMERA, TransferKind::LoaderCommand);
    world.transfer(3.0, "203.0.113.3", OTHER, TransferKind::LoaderCommand);
    let one = world.incidents();
    assert_eq!(one.len(), 1);
    let first = two.iter().min_by_key(|incident| incident.first).unwrap();
    let second = two.iter().max_by_key(|incident| incident.first).unwrap();
    assert_eq!(one[0].id, first.id);
    assert_eq!(one[0].supersedes, std::slice::from_ref(&second.id));
}

/// The camera answers under its own hardware address; then its address does something.
fn flood(mac: Mac) -> Vec<Incident> {
    let mut world = World::new();
    world.connection(0.0, CAMERA, "203.0.113.50", 443, Outcome::Established, Some(CAMERA_MAC));
    for packet in 0..1_500 {
        let seconds = 10.0 + f64::from(packet) / 300.0;
        world.connection(seconds, CAMERA, "198.51.100.66", 80, Outcome::Silent, Some(mac));
    }
    world.incidents()
}

#[test]
fn nobody_is_named_for_packets_that_carry_anothers_hardware_address() {
    let own = flood(CAMERA_MAC);
    assert_eq!(own.len(), 1);
    assert_eq!(roles(&own[0])[0], (CAMERA.to_owned(), Role::Infected));
    let forged = flood(ROUTER_MAC);
    assert_eq!(forged.len(), 1, "the victim suffers all the same");
    assert_eq!(roles(&forged[0]), [("198.51.100.66".to_owned(), Role::Victim)]);
    assert!(forged[0].severity < own[0].severity);
}

#[test]
fn a_beacon_alone_is_no_incident_and_joins_one_with_a_second_sign() {
    let beacon = |world: &mut World| {
        for contact in 0..20 {
            let seconds = f64::from(contact) * 60.0;
            world.connection(seconds, CAMERA, "203.0.113.80", 4_444, Outcome::Established, Some(CAMERA_MAC));
        }
    };
    let mut world = World::new();
    beacon(&mut world);
    assert_eq!(world.incidents(), []);
    world.transfer(1_300.0, "203.0.113.99", CAMERA, TransferKind::LoaderCommand);
    let incidents = world.incidents();
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0].stages.contains(&Tactic::CommandAndControl));
    assert!(roles(&incidents[0]).contains(&("203.0.113.80".to_owned(), Role::Controller)));
}

#[test]
fn what_a_person_excepted_stays_silent_until_the_exception_ends() {
    let check = |until: f64, peer: Option<&str>, expected: usize| {
        let mut world = World::new();
        world.guess(0.0, "203.0.113.1", CAMERA);
        let incident = world.incidents()[0].id.clone();
        let mut world = World::new();
        world.engine.set_exceptions(vec![Exception {
            incident,
            detector: "password-guessing".into(),
            address: "203.0.113.1".parse().unwrap(),
            peer: peer.map(|peer| peer.parse().unwrap()),
            until: World::at(until),
            reason: "our own audit".into(),
            who: "tester".into(),
        }]);
        world.guess(0.0, "203.0.113.1", CAMERA);
        assert_eq!(world.incidents().len(), expected, "until {until}, peer {peer:?}");
        assert_eq!(world.engine.stats().excepted, 1 - expected as u64);
    };
    check(3_600.0, None, 0);
    check(3_600.0, Some(CAMERA), 0);
    check(3_600.0, Some(OTHER), 1);
    check(-1.0, None, 1);
}

#[test]
fn a_story_that_ended_days_ago_does_not_swallow_todays() {
    let mut world = World::new();
    world.guess(0.0, "203.0.113.1", CAMERA);
    let then = world.engine.take_changed();
    for hour in 1..80 {
        world.engine.advance(World::at(f64::from(hour) * 3_600.0));
    }
    assert_eq!(world.incidents(), [], "what is over is let go");
    world.guess(80.0 * 3_600.0, "203.0.113.1", CAMERA);
    let now = world.engine.take_changed();
    assert_eq!((then.len(), now.len()), (1, 1));
    assert_ne!(then[0].id, now[0].id);
}

#[test]
fn a_row_that_dissolves_is_superseded() {
    let mut world = World::new();
    for stranger in 0..3u8 {
        world.guess(f64::from(stranger) * 30.0, &format!("203.0.113.{stranger}"), CAMERA);
    }
    let row = world.engine.take_changed();
    assert_eq!(row.len(), 1);
    world.login(200.0, "203.0.113.0", CAMERA, LoginOutcome::Accepted, Some("an entry"));
    let told = world.engine.take_changed();
    assert_eq!(told.len(), 3);
    let heirs = told.iter().filter(|incident| incident.supersedes.contains(&row[0].id)).count();
    assert_eq!(heirs, 1);
}

#[test]
fn only_what_changed_is_told_again() {
    let mut world = World::new();
    world.guess(0.0, "203.0.113.1", CAMERA);
    world.guess(0.0, "203.0.113.2", OTHER);
    assert_eq!(world.engine.take_changed().len(), 2);
    assert_eq!(world.engine.take_changed(), []);
    world.login(20.0, "203.0.113.2", OTHER, LoginOutcome::Accepted, None);
    let changed = world.engine.take_changed();
    assert_eq!(changed.len(), 1);
    assert!(roles(&changed[0]).contains(&(OTHER.to_owned(), Role::Infected)));
}

#[test]
fn who_repeats_itself_guesses_nothing() {
    // How many attempts a minute, how they end, how many different logins there are (none: it cannot be seen).
    let check = |pace: u32, outcome: LoginOutcome, different: Option<u64>, expected: usize| {
        let mut world = World::new();
        for attempt in 0..pace * 9 {
            let seconds = f64::from(attempt) * 60.0 / f64::from(pace);
            let secret = different.map(|different| u64::from(attempt) % different);
            world.login_with(seconds, (OTHER, CAMERA), outcome, None, secret);
        }
        assert_eq!(world.incidents().len(), expected, "{pace} a minute, {outcome:?}, {different:?}");
    };
    check(10, LoginOutcome::Refused, Some(1), 0);
    check(10, LoginOutcome::Refused, Some(5), 0);
    check(10, LoginOutcome::Refused, Some(6), 1);
    check(10, LoginOutcome::Tried, Some(90), 0);
    check(4, LoginOutcome::Refused, None, 0);
    check(10, LoginOutcome::Refused, None, 1);
}

#[test]
fn one_old_password_at_many_servers_is_no_spraying() {
    let check = |different: u64, expected: usize| {
        let mut world = World::new();
        for server in 0..40_u64 {
            let dst = format!("192.168.7.{}", 100 + server);
            let secret = Some(server % different);
            world.login_with(server as f64, (OTHER, &dst), LoginOutcome::Refused, None, secret);
        }
        assert_eq!(world.incidents().len(), expected, "{different} different logins");
    };
    check(1, 0);
    check(2, 0);
    check(3, 1);
}

#[test]
fn a_crowd_that_shares_a_list_is_told_by_its_target() {
    let mut world = World::new();
    let entries = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    for bot in 0..40_u8 {
        let src = format!("203.0.113.{bot}");
        let entry = entries[usize::from(bot) % entries.len()];
        world.login(f64::from(bot) * 5.0, &src, CAMERA, LoginOutcome::Refused, Some(entry));
    }
    let incidents = world.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(roles(&incidents[0]), [(CAMERA.to_owned(), Role::Target)]);
}

/// Two devices are taken over; in between, something loud happens.
fn around(noise: impl FnOnce(&mut World)) -> Vec<Incident> {
    let mut world = World::new();
    world.login(0.0, "203.0.113.1", CAMERA, LoginOutcome::Accepted, Some("an entry"));
    let before = world.incidents();
    noise(&mut world);
    world.login(40_000.0, "203.0.113.2", OTHER, LoginOutcome::Accepted, Some("an entry"));
    let incidents = world.incidents();
    let infected = |device: &str| {
        incidents.iter().find(|incident| roles(incident).contains(&(device.to_owned(), Role::Infected)))
    };
    assert_eq!(infected(CAMERA).map(|incident| &incident.id), Some(&before[0].id), "the old story");
    assert!(infected(OTHER).is_some(), "the new story");
    incidents
}

#[test]
fn forged_scanners_displace_nothing_and_are_told_in_a_row() {
    for (what, net, mac) in [("outside", "198.18", None), ("inside", "10.9", Some(ROUTER_MAC))] {
        let incidents = around(|world| {
            for number in 0..17_000 {
                let source = format!("{net}.{}.{}", number / 250, number % 250);
                for host in 0..20 {
                    let seconds = 10.0 + f64::from(number) * 2.0 + f64::from(host) * 0.1;
                    let target = match mac {
                        None => format!("192.168.8.{host}"),
                        Some(_) => format!("203.0.114.{host}"),
                    };
                    world.connection(seconds, &source, &target, 23, Outcome::Silent, mac);
                }
            }
        });
        let titles: Vec<&str> = incidents.iter().map(|incident| incident.title.as_str()).take(5).collect();
        // Who forges begins with one address, which is his for all that is known by then.
        assert_eq!(incidents.len(), if mac.is_some() { 4 } else { 3 }, "{what}: {titles:?}");
        let told: u32 = titles.last().and_then(|title| title.split(' ').next()?.parse().ok()).unwrap_or(0);
        assert!((16_000..=17_000).contains(&told), "{what}: {titles:?}");
    }
}

#[test]
fn the_least_goes_where_there_is_no_room_for_all() {
    let incidents = around(|world| {
        for number in 0..6_000 {
            let stranger = format!("198.18.{}.{}", number / 250, number % 250);
            world.guess(10.0 + f64::from(number), &stranger, CAMERA);
        }
    });
    assert_eq!(incidents.len(), 3);
}
