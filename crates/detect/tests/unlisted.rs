//! Devices that are on no list: evidence on watched networks, silence everywhere else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use detect::{Config, Engine, Roll};
use model::{
    Counts, Dhcp, DhcpOperation, Event, EventKind, FlowKey, FlowUpdate, Incident, Mac, NetSet, Outcome,
    Phase, Protocol, RecordRef, Service, Severity, Timestamp, Visibility,
};
use std::net::IpAddr;

const LISTED: Mac = Mac([0x44, 0x19, 0xb6, 1, 2, 3]);
const UNKNOWN: Mac = Mac([0x00, 0x40, 0x8c, 9, 9, 9]);
const ROUTER: Mac = Mac([0x00, 0x1b, 0x21, 9, 9, 9]);

fn roll(opens: bool) -> Roll {
    Roll {
        watched: NetSet::new(vec!["10.2.0.0/16".parse().unwrap()]),
        macs: [LISTED, ROUTER].into(),
        addresses: ["10.2.0.9".parse().unwrap()].into(),
        opens,
    }
}

struct World(Engine, u64);

impl World {
    fn new(roll: Roll) -> Self {
        let mut engine = Engine::new(Config::default(), vec!["test".into()]);
        engine.set_roll(roll);
        Self(engine, 0)
    }

    fn event(&mut self, kind: EventKind) {
        self.1 += 1;
        let at = Timestamp::from_secs(1_700_000_000 + self.1 as i64);
        self.0.event(&Event { at, record: RecordRef { input: 0, record: self.1 }, kind });
    }

    fn talk(&mut self, address: &str, mac: Mac, outcome: Outcome) {
        let both = u64::from(outcome == Outcome::Established);
        let total = Counts {
            packets_out: 3,
            packets_in: 3 * both,
            payload_out: 9,
            payload_in: 9 * both,
            syns: 1,
            ..Counts::default()
        };
        let at = Timestamp::from_secs(1_700_000_000 + self.1 as i64);
        for phase in [Phase::Opened, Phase::Closed] {
            self.event(EventKind::Flow(FlowUpdate {
                id: self.1,
                key: FlowKey {
                    src: address.parse().unwrap(),
                    dst: "10.2.0.1".parse().unwrap(),
                    src_port: 40_000,
                    dst_port: 443,
                    protocol: Protocol::TCP,
                },
                phase,
                first: at,
                last: at,
                delta: total,
                total,
                outcome,
                visibility: Visibility::Both,
                service: Service::Tls,
                src_mac: Some(mac),
                dst_mac: Some(ROUTER),
                hops: None,
                flags_out: 0x02,
                flags_in: 0x12,
                opened_by: RecordRef::default(),
            }));
        }
    }

    fn granted(&mut self, address: &str, client: Mac, asked: bool) {
        let at: IpAddr = "10.2.0.1".parse().unwrap();
        self.event(EventKind::Dhcp(Dhcp {
            operation: DhcpOperation::Ack,
            frame_src: Some(ROUTER),
            sender: at,
            client,
            address: Some(address.parse().unwrap()),
            server: Some(at),
            routers: vec![at],
            resolvers: Vec::new(),
            relayed: false,
            transaction: 7,
            asked,
        }));
    }

    fn incidents(&mut self) -> Vec<Incident> {
        self.0.incidents()
    }
}

#[test]
fn only_what_is_on_no_list_of_a_watched_network_is_told() {
    let check = |what: &str, expected: u64, act: &dyn Fn(&mut World)| {
        let mut world = World::new(roll(true));
        act(&mut world);
        let told: u64 = world.incidents().iter().map(|incident| incident.findings).sum();
        assert_eq!(told, expected, "{what}");
    };
    let (yes, no) = (Outcome::Established, Outcome::Silent);
    check("listed", 0, &|world| world.talk("10.2.0.5", LISTED, yes));
    check("listed by its address alone", 0, &|world| world.talk("10.2.0.9", UNKNOWN, yes));
    check("elsewhere", 0, &|world| world.talk("10.3.0.5", UNKNOWN, yes));
    check("anybody could have sent that", 0, &|world| world.talk("10.2.0.66", UNKNOWN, no));
    check("unknown", 1, &|world| world.talk("10.2.0.66", UNKNOWN, yes));
    check("once", 1, &|world| {
        world.talk("10.2.0.66", UNKNOWN, yes);
        world.granted("10.2.0.67", UNKNOWN, true);
    });
    check("granted an address", 1, &|world| world.granted("10.2.0.67", UNKNOWN, true));
    check("a grant that nobody asked for", 0, &|world| world.granted("10.2.0.67", UNKNOWN, false));
}

#[test]
fn it_is_evidence_and_an_incident_only_where_that_was_asked_for() {
    let mut world = World::new(roll(false));
    world.talk("10.2.0.66", UNKNOWN, Outcome::Established);
    assert!(world.incidents().is_empty());
    let mut world = World::new(roll(true));
    world.talk("10.2.0.66", UNKNOWN, Outcome::Established);
    let incidents = world.incidents();
    assert_eq!((incidents.len(), incidents[0].severity), (1, Severity::Low));
    assert_eq!(incidents[0].title, "10.2.0.66 is on a watched network and on no list");
    assert!(incidents[0].advice[0].contains("list it, or take it off"), "{:?}", incidents[0].advice);
}

#[test]
fn nothing_is_said_before_anything_is_listed_or_watched() {
    for silent in [
        Roll::default(),
        Roll { watched: roll(true).watched, opens: true, ..Roll::default() },
        Roll { watched: NetSet::default(), ..roll(true) },
    ] {
        let mut world = World::new(silent.clone());
        world.talk("10.2.0.66", UNKNOWN, Outcome::Established);
        assert!(world.incidents().is_empty(), "{silent:?}");
        assert_eq!(world.0.stats().findings, 0);
    }
}

#[test]
fn made_up_addresses_do_not_make_thousands_of_findings() {
    let mut world = World::new(roll(true));
    for host in 0..1_000_u16 {
        let [high, low] = host.to_be_bytes();
        world.granted(&format!("10.2.{}.{}", 100 + high, low), Mac([2, 0, 0, 0, high, low]), true);
    }
    let stats = world.0.stats();
    assert!(stats.findings <= 70 && stats.shed >= 900, "{stats:?}");
}
