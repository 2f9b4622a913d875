//! Whatever happens on the network, the inventory stays bounded and consistent, and forgets nothing by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use identify::{Capacity, Inventory, Kinds};
use model::{
    Arp, ArpOperation, Counts, Dhcp, DhcpOperation, Event, EventKind, FlowKey, FlowUpdate, Hint, HintKind,
    Mac, NetSet, Outcome, Phase, Protocol, RecordRef, Service, Timestamp, Visibility,
};
use proptest::prelude::*;
use std::{net::IpAddr, sync::LazyLock};

static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::shipped);

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        4 => (0u8..12).prop_map(|host| IpAddr::from([10, 0, 0, host])),
        1 => (0u8..4).prop_map(|host| IpAddr::from([192, 0, 2, host])),
        1 => (0u16..4).prop_map(|host| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, host])),
    ]
}

fn mac() -> impl Strategy<Value = Mac> {
    (0u8..8).prop_map(|last| Mac([if last == 7 { 1 } else { 0 }, 0x40, 0x8c, 0, 0, last]))
}

fn kind() -> impl Strategy<Value = EventKind> {
    let arp = (address(), mac(), mac()).prop_map(|(sender, sender_mac, frame_src)| {
        EventKind::Arp(Arp {
            operation: ArpOperation::Reply,
            frame_src,
            broadcast: false,
            sender_mac,
            sender,
            target_mac: Mac::ZERO,
            target: sender,
        })
    });
    let services = prop::sample::select(vec![Service::Unknown, Service::Rtsp, Service::Dns, Service::Ntp]);
    let outcomes = prop::sample::select(vec![Outcome::Established, Outcome::Silent, Outcome::Unknown]);
    let phases = prop::sample::select(vec![Phase::Opened, Phase::Closed, Phase::Summary]);
    let macs = (prop::option::of(mac()), prop::option::of(mac()));
    let flow = (address(), address(), macs, services, outcomes, phases).prop_map(
        |(src, dst, (src_mac, dst_mac), service, outcome, phase)| {
            let counts = Counts { packets_out: 1, packets_in: 1, ..Counts::default() };
            EventKind::Flow(FlowUpdate {
                id: 1,
                key: FlowKey { src, dst, src_port: 1, dst_port: 2, protocol: Protocol::TCP },
                phase,
                first: Timestamp::default(),
                last: Timestamp::default(),
                delta: counts,
                total: counts,
                outcome,
                visibility: Visibility::Both,
                service,
                src_mac,
                dst_mac,
                hops: None,
                flags_out: 0,
                flags_in: 0,
                opened_by: RecordRef::default(),
            })
        },
    );
    let operations =
        prop::sample::select(vec![DhcpOperation::Request, DhcpOperation::Ack, DhcpOperation::Offer]);
    let dhcp = (operations, mac(), address(), address()).prop_map(|(operation, client, sender, given)| {
        EventKind::Dhcp(Dhcp {
            operation,
            frame_src: None,
            sender,
            client,
            address: Some(given),
            server: Some(sender),
            routers: vec![sender],
            resolvers: vec![given],
            relayed: false,
            transaction: 0,
            asked: true,
        })
    });
    let words =
        prop::sample::select(vec!["IP Camera", "traffic light", "printer", "x", "sensor \u{7}\u{202e}", ""]);
    let sources =
        prop::sample::select(vec![HintKind::HttpServer, HintKind::DhcpHostname, HintKind::Function]);
    let hint = (prop::option::of(address()), prop::option::of(mac()), sources, words).prop_map(
        |(address, mac, kind, value)| EventKind::Hint(Hint { address, mac, kind, value: value.into() }),
    );
    prop_oneof![arp, flow, dhcp, hint]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn it_stays_bounded_and_consistent(
        events in prop::collection::vec((0i64..4000, kind()), 0..200),
        assets in 1usize..12,
    ) {
        let home = NetSet::private();
        let capacity = Capacity { assets, macs: 6 };
        let mut inventory = Inventory::with_capacity(home.clone(), KINDS.clone(), capacity);
        for (secs, kind) in events {
            inventory.event(&Event { at: Timestamp::from_secs(secs), record: RecordRef::default(), kind });
            prop_assert!(inventory.stats().assets <= assets);
        }
        for asset in inventory.assets() {
            prop_assert!(asset.addresses.len() <= 8);
            prop_assert!(asset.first_seen <= asset.last_seen);
            prop_assert_eq!(asset.id.clone(), asset.mac.map_or_else(|| asset.id.clone(), |mac| mac.to_string()));
            prop_assert!(asset.mac.is_none_or(|mac| !mac.is_group()));
            for address in &asset.addresses {
                prop_assert!(home.contains(*address));
                prop_assert_eq!(&inventory.asset_at(*address).unwrap().id, &asset.id);
            }
        }
        let changed = inventory.take_changed();
        prop_assert!(changed.len() <= assets);
        prop_assert!(inventory.take_changed().is_empty());
    }

    /// Moving all of history in time moves when things were seen, and nothing else.
    #[test]
    fn shifted_time_changes_nothing_but_times(events in prop::collection::vec((0i64..4000, kind()), 0..80)) {
        let seen = |shift: i64| {
            let mut inventory = Inventory::new(NetSet::private(), KINDS.clone());
            for (secs, kind) in &events {
                let at = Timestamp::from_secs(1_000_000 + secs + shift);
                inventory.event(&Event { at, record: RecordRef::default(), kind: kind.clone() });
            }
            let mut assets: Vec<_> = inventory
                .assets()
                .map(|asset| {
                    let first = asset.first_seen.plus_secs(-shift);
                    (asset.id.clone(), asset.kind.clone(), asset.addresses.clone(), asset.functions.clone(), first)
                })
                .collect();
            assets.sort();
            assets
        };
        prop_assert_eq!(seen(0), seen(86_400));
    }
}
