//! What makes an asset, what it is known by, and what is believed of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use identify::{Capacity, Inventory, Kinds};
use model::{
    Arp, ArpOperation, Counts, Criticality, Dhcp, DhcpOperation, Dns, Event, EventKind, FlowKey, FlowUpdate,
    Hint, HintKind, Mac, NetSet, Outcome, Phase, Protocol, RecordRef, Service, Timestamp, Visibility,
};
use std::net::IpAddr;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

fn event(secs: i64, kind: EventKind) -> Event {
    Event { at: Timestamp::from_secs(secs), record: RecordRef::default(), kind }
}

fn arp(secs: i64, sender: &str, from: u8) -> Event {
    let arp = Arp {
        operation: ArpOperation::Reply,
        frame_src: mac(from),
        broadcast: false,
        sender_mac: mac(from),
        sender: address(sender),
        target_mac: Mac::ZERO,
        target: address("10.0.0.254"),
    };
    event(secs, EventKind::Arp(arp))
}

fn flow(src: (&str, u8), dst: (&str, u8), outcome: Outcome, service: Service) -> Event {
    let mac = |last: u8| (last != 0).then(|| mac(last));
    let counts = Counts { packets_out: 1, packets_in: 1, ..Counts::default() };
    let update = FlowUpdate {
        id: 1,
        key: FlowKey {
            src: address(src.0),
            dst: address(dst.0),
            src_port: 40_000,
            dst_port: 80,
            protocol: Protocol::TCP,
        },
        phase: Phase::Closed,
        first: Timestamp::from_secs(1),
        last: Timestamp::from_secs(1),
        delta: counts,
        total: counts,
        outcome,
        visibility: Visibility::Both,
        service,
        src_mac: mac(src.1),
        dst_mac: mac(dst.1),
        hops: None,
        flags_out: 0,
        flags_in: 0,
        opened_by: RecordRef::default(),
    };
    event(1, EventKind::Flow(update))
}

fn hint(at: &str, kind: HintKind, value: &str) -> Event {
    let hint = Hint { address: Some(address(at)), mac: None, kind, value: value.into() };
    event(1, EventKind::Hint(hint))
}

fn inventory() -> Inventory {
    Inventory::new(NetSet::private(), Kinds::shipped())
}

fn ids(inventory: &Inventory) -> Vec<String> {
    let mut ids: Vec<_> = inventory.assets().map(|asset| asset.id.clone()).collect();
    ids.sort();
    ids
}

#[test]
fn only_what_speaks_becomes_an_asset() {
    let check = |event: Event, expected: &[&str]| {
        let mut inventory = inventory();
        inventory.event(&event);
        assert_eq!(ids(&inventory), expected, "{event:?}");
    };
    let unknown = Service::Unknown;
    check(flow(("192.0.2.1", 9), ("10.0.0.5", 5), Outcome::Silent, unknown), &[]);
    check(flow(("192.0.2.1", 9), ("10.0.0.5", 5), Outcome::Established, unknown), &["02:00:00:00:00:05"]);
    check(flow(("10.0.0.5", 0), ("192.0.2.1", 0), Outcome::Established, unknown), &["10.0.0.5"]);
    check(flow(("10.0.0.5", 5), ("192.0.2.1", 9), Outcome::Silent, unknown), &["02:00:00:00:00:05"]);
    check(flow(("10.0.0.5", 0), ("192.0.2.1", 0), Outcome::Silent, unknown), &[]);
    check(arp(1, "10.0.0.5", 5), &["02:00:00:00:00:05"]);
    check(arp(1, "198.51.100.5", 5), &[]);
    check(flow(("192.0.2.1", 9), ("224.0.0.251", 5), Outcome::Established, unknown), &[]);
}

#[test]
fn a_router_fronts_for_others_and_takes_none_of_their_addresses() {
    let mut inventory = inventory();
    inventory.event(&arp(1, "10.0.0.1", 1));
    for remote in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        inventory.event(&flow(("10.0.0.5", 5), (remote, 1), Outcome::Established, Service::Unknown));
    }
    // A host behind the router carries the router's hardware address; the first is taken for the router's own
    // until that is known to front for others.
    inventory.event(&flow(("10.0.9.7", 1), ("10.0.0.5", 5), Outcome::Established, Service::Unknown));
    assert_eq!(ids(&inventory), ["02:00:00:00:00:01", "02:00:00:00:00:05", "10.0.9.7"]);
    let router = inventory.asset_at(address("10.0.0.1")).unwrap();
    assert_eq!(
        (router.functions.as_slice(), router.kind.as_str()),
        (&["router".to_owned()][..], "gateway-router")
    );
    assert!(router.criticality.is_protected());
}

#[test]
fn addresses_taken_for_the_routers_own_are_given_back() {
    let mut inventory = inventory();
    inventory.event(&arp(1, "10.0.0.1", 1));
    inventory.event(&flow(("10.0.9.7", 1), ("10.0.0.5", 5), Outcome::Established, Service::Unknown));
    for remote in ["192.0.2.1", "192.0.2.2"] {
        inventory.event(&flow(("10.0.0.5", 5), (remote, 1), Outcome::Established, Service::Unknown));
    }
    assert_eq!(inventory.asset_of(mac(1)).unwrap().addresses, [address("10.0.0.1")]);
    assert!(inventory.asset_at(address("10.0.9.7")).is_none());
}

#[test]
fn a_resolver_is_not_what_its_clients_talk_to() {
    let mut inventory = inventory();
    inventory.event(&arp(1, "10.0.0.1", 1));
    inventory.event(&hint("10.0.0.1", HintKind::Cloud, "rest.blinkforhome.com"));
    assert_eq!(inventory.asset_at(address("10.0.0.1")).unwrap().kind.as_str(), "camera");
    for remote in ["192.0.2.1", "192.0.2.2"] {
        inventory.event(&flow(("10.0.0.5", 5), (remote, 1), Outcome::Established, Service::Unknown));
    }
    assert_eq!(inventory.asset_at(address("10.0.0.1")).unwrap().kind.as_str(), "gateway-router");
    inventory.event(&hint("10.0.0.1", HintKind::Cloud, "api.nuki.io"));
    assert_eq!(inventory.asset_at(address("10.0.0.1")).unwrap().reasons.len(), 1);
}

#[test]
fn hints_of_others_make_no_asset_of_the_router() {
    let mut inventory = inventory();
    let hint = |at: &str, kind, value: &str| {
        let hint = Hint { address: Some(address(at)), mac: Some(mac(1)), kind, value: value.into() };
        event(1, EventKind::Hint(hint))
    };
    inventory.event(&hint("192.0.2.1", HintKind::UserAgent, "iPhone"));
    inventory.event(&hint("10.0.0.66", HintKind::Function, "router"));
    assert_eq!(inventory.assets().count(), 0);
}

#[test]
fn forged_packets_make_nobody_a_router_and_take_no_address() {
    let mut inventory = inventory();
    inventory.event(&arp(1, "10.0.0.5", 5));
    inventory.event(&arp(1, "10.0.0.6", 6));
    for last in 1..100 {
        let forged = format!("192.0.2.{last}");
        inventory.event(&flow((&forged, 5), ("203.0.113.9", 1), Outcome::Silent, Service::Unknown));
        let forged = format!("10.0.1.{last}");
        inventory.event(&flow((&forged, 5), ("203.0.113.9", 1), Outcome::Silent, Service::Unknown));
    }
    inventory.event(&arp(2, "10.0.0.6", 5));
    assert_eq!(ids(&inventory), ["02:00:00:00:00:05", "02:00:00:00:00:06"]);
    assert_eq!(inventory.asset_at(address("10.0.0.6")).unwrap().mac, Some(mac(6)));
    assert!(inventory.assets().all(|asset| asset.functions.is_empty()));
}

#[test]
fn addresses_move_when_granted_or_long_unused() {
    let granted = |secs, to: u8| {
        let dhcp = Dhcp {
            operation: DhcpOperation::Ack,
            frame_src: Some(mac(1)),
            sender: address("10.0.0.1"),
            client: mac(to),
            address: Some(address("10.0.0.6")),
            server: Some(address("10.0.0.1")),
            routers: vec![address("10.0.0.1")],
            resolvers: vec![address("10.0.0.2")],
            relayed: false,
            transaction: 0,
            asked: true,
        };
        event(secs, EventKind::Dhcp(dhcp))
    };
    let check = |next: Event, expected: u8| {
        let mut inventory = inventory();
        inventory.event(&arp(0, "10.0.0.6", 6));
        inventory.event(&next);
        assert_eq!(inventory.asset_at(address("10.0.0.6")).unwrap().mac, Some(mac(expected)), "{next:?}");
    };
    check(arp(5, "10.0.0.6", 7), 6);
    check(arp(5000, "10.0.0.6", 7), 7);
    check(granted(5, 7), 7);

    let mut inventory = inventory();
    inventory.event(&granted(1, 7));
    inventory.event(&arp(1, "10.0.0.1", 1));
    inventory.event(&flow(("10.0.9.7", 1), ("10.0.0.5", 5), Outcome::Established, Service::Unknown));
    assert_eq!(
        inventory.asset_of(mac(1)).unwrap().addresses,
        [address("10.0.0.1")],
        "a host behind the router"
    );
    let functions = |at: &str| inventory.asset_at(address(at)).unwrap().functions.clone();
    assert_eq!(functions("10.0.0.1"), ["dhcp", "router"]);
    assert_eq!(functions("10.0.0.2"), ["resolver"]);
}

#[test]
fn what_was_known_by_address_is_later_known_by_hardware_address() {
    let mut inventory = inventory();
    inventory.event(&flow(("192.0.2.1", 0), ("10.0.0.5", 0), Outcome::Established, Service::Rtsp));
    assert_eq!(inventory.asset_at(address("10.0.0.5")).unwrap().kind.as_str(), "camera");
    inventory.event(&arp(2, "10.0.0.5", 5));
    let asset = inventory.asset_at(address("10.0.0.5")).unwrap();
    assert_eq!((asset.id.as_str(), asset.kind.as_str()), ("02:00:00:00:00:05", "camera"));
    assert_eq!(ids(&inventory).len(), 1);
}

#[test]
fn a_second_dhcp_server_must_have_served_many() {
    let mut inventory = inventory();
    let mut ack = |server: &str, client: u8| {
        let dhcp = Dhcp {
            operation: DhcpOperation::Ack,
            frame_src: None,
            sender: address(server),
            client: mac(client),
            address: None,
            server: Some(address(server)),
            routers: Vec::new(),
            resolvers: Vec::new(),
            relayed: false,
            transaction: 0,
            asked: true,
        };
        inventory.event(&event(1, EventKind::Dhcp(dhcp)));
        inventory.asset_at(address(server)).is_some_and(|asset| asset.functions == ["dhcp"])
    };
    assert!(ack("10.0.0.1", 5));
    for (client, expected) in [(5, false), (5, false), (6, false), (7, true)] {
        assert_eq!(ack("10.0.0.66", client), expected);
    }
}

#[test]
fn a_resolver_is_one_that_answers_many() {
    let mut inventory = inventory();
    inventory.event(&arp(1, "10.0.0.2", 2));
    for client in ["10.0.0.5", "10.0.0.5", "10.0.0.6", "192.0.2.7", "10.0.0.7"] {
        assert!(inventory.asset_at(address("10.0.0.2")).unwrap().functions.is_empty());
        inventory.event(&event(
            1,
            EventKind::Dns(Dns {
                client: address(client),
                client_mac: None,
                server: address("10.0.0.2"),
                server_port: 53,
                response: true,
                asked: true,
                name: "example".into(),
                qtype: 1,
                rcode: 0,
                answers: Vec::new(),
                length: 60,
            }),
        ));
    }
    assert_eq!(inventory.asset_at(address("10.0.0.2")).unwrap().functions, ["resolver"]);
}

#[test]
fn a_flood_of_addresses_evicts_the_least_known_first() {
    let capacity = Capacity { assets: 64, macs: 64 };
    let mut inventory = Inventory::with_capacity(NetSet::private(), Kinds::shipped(), capacity);
    inventory.event(&arp(1, "10.0.0.5", 5));
    inventory.event(&hint("10.0.0.5", HintKind::HttpServer, "IP Camera"));
    inventory.event(&arp(1, "10.0.0.9", 9));
    inventory.event(&hint("10.0.0.9", HintKind::Banner, "Swarco ITC-3 signal controller"));
    for host in 0..2000_u16 {
        let [high, low] = host.to_be_bytes();
        let at = format!("10.7.{high}.{}", low.min(254));
        inventory.event(&flow((&at, 0), ("192.0.2.1", 0), Outcome::Established, Service::Unknown));
        assert!(inventory.stats().assets <= 64);
    }
    assert!(inventory.stats().evicted > 1000);
    assert_eq!(inventory.asset_at(address("10.0.0.5")).unwrap().kind.as_str(), "camera");
    assert_eq!(inventory.asset_at(address("10.0.0.9")).unwrap().criticality, Criticality::Protected);
}

#[test]
fn changes_are_told_once() {
    let mut inventory = inventory();
    inventory.event(&arp(1, "10.0.0.5", 5));
    assert_eq!(inventory.take_changed().len(), 1);
    inventory.event(&arp(2, "10.0.0.5", 5));
    assert_eq!(inventory.take_changed().len(), 0);
    inventory.event(&arp(1000, "10.0.0.5", 5));
    assert_eq!(inventory.take_changed().len(), 1);
    inventory.event(&hint("10.0.0.5", HintKind::Cloud, "rest.blinkforhome.com"));
    let changed = inventory.take_changed();
    assert_eq!((changed.len(), changed[0].asset.kind.as_str()), (1, "camera"));
    assert!(changed[0].asset.reasons[0].contains("talks to “rest.blinkforhome.com”"));
}

#[test]
fn each_source_tells_what_it_can() {
    let check = |kind: HintKind, value: &str, expected: &str| {
        let mut inventory = inventory();
        inventory.event(&arp(1, "10.0.0.5", 5));
        inventory.event(&hint("10.0.0.5", kind, value));
        let asset = inventory.asset_at(address("10.0.0.5")).unwrap();
        assert_eq!(asset.kind.as_str(), expected, "{kind:?} {value}: {:?}", asset.reasons);
        assert!(expected == "unknown" || asset.reasons[0].contains(value), "{:?}", asset.reasons);
    };
    use HintKind::{
        Banner, Cloud, DhcpHostname, DhcpParameters, DhcpVendorClass, GivenName, HttpServer, Ja4, Mdns,
        MdnsHost, Model, Serves, Ssdp, UserAgent,
    };
    check(DhcpHostname, "PGH200", "lock-hub");
    check(DhcpHostname, "srv-pgh-01", "server");
    check(DhcpHostname, "host-pgh-01", "unknown");
    check(DhcpVendorClass, "MSFT 5.0", "computer");
    check(DhcpParameters, "1,3,6,15,31,33,43,44,46,47,119,121,249,252", "computer");
    check(DhcpParameters, "1,3,6,15,26,28,51,58,59,43", "phone");
    check(DhcpParameters, "1,3,28,6,15,44,46,47,31,33,121,43", "embedded-device");
    check(DhcpParameters, "1,3,6", "unknown");
    check(Mdns, "office._ipp._tcp", "printer");
    check(MdnsHost, "axis-00408c010203", "camera");
    check(Model, "AXIS P3245-LVE Network Camera", "camera");
    check(Model, "Chromecast Ultra", "media");
    check(GivenName, "Kamera Tor 3", "camera");
    check(Ssdp, "urn:schemas-upnp-org:device:MediaRenderer:1", "media");
    check(Ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1", "computer");
    check(Ja4, "t12d190900_000000000000_000000000000", "unknown");
    check(UserAgent, "Mozilla/5.0 (Windows NT 10.0)", "computer");
    check(HttpServer, "App-webs/", "camera");
    check(Banner, "dropbear_2019.78", "embedded-device");
    check(Banner, "OpenBSD/i386 (oof) (ttyp1)", "server");
    check(Cloud, "a1b2c3.iot-as-mqtt.eu-central-1.aliyuncs.com", "embedded-device");
    check(Cloud, "plug.sciener.cn", "lock-hub");
    check(Serves, "rsmp", "traffic-light-controller");
}

#[test]
fn names_come_from_where_they_are_meant_and_others_names_are_nobodys() {
    let mut inventory = inventory();
    inventory.event(&arp(1, "10.0.0.5", 5));
    for (kind, value, expected) in [
        (HintKind::GivenName, "Gate 3", "Gate 3"),
        (HintKind::MdnsHost, "cam-17", "cam-17"),
        (HintKind::GivenName, "Gate 4", "cam-17"),
        (HintKind::DhcpHostname, "CAM17", "CAM17"),
        (HintKind::MdnsHost, "cam-18", "CAM17"),
    ] {
        inventory.event(&hint("10.0.0.5", kind, value));
        assert_eq!(
            inventory.asset_at(address("10.0.0.5")).unwrap().name.as_deref(),
            Some(expected),
            "{value}"
        );
    }
    let names = |inventory: &Inventory| {
        let (_, observation) =
            inventory.observations("").find(|(asset, _)| asset.mac == Some(mac(5))).unwrap();
        observation.known.iter().filter(|known| matches!(known.by, model::Identifier::Name(_))).count()
    };
    assert_eq!(names(&inventory), 3);
    // Whoever announces many names announces them for others.
    for number in 0..9 {
        inventory.event(&hint("10.0.0.5", HintKind::MdnsHost, &format!("host-{number}")));
    }
    assert_eq!(names(&inventory), 0);
}
