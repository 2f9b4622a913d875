//! What speaks of one device becomes one; what a surer sign keeps apart stays apart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use identify::merge::{Known, Observation, Said, merge, part};
use model::{Identifier, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// `key K`, `serial S`, `mac M`, `client C`, `uuid U`, `name N`, `at A`; with `@1-5` while it was seen from 1 to 5.
fn known(text: &str) -> Known {
    let (what, during) = text.split_once('@').map_or((text, None), |(what, during)| (what, Some(during)));
    let (kind, value) = what.trim().split_once(' ').unwrap();
    let value = value.trim().to_owned();
    let by = match kind {
        "key" => Identifier::Key(value),
        "serial" => Identifier::Serial(value),
        "mac" => Identifier::Mac(value.parse().unwrap()),
        "client" => Identifier::DhcpClient(value),
        "uuid" => Identifier::Uuid(value),
        "name" => Identifier::Name(value),
        "at" => Identifier::Address(value.parse().unwrap()),
        other => panic!("{other}"),
    };
    let during = during.map(|during| {
        let (first, last) = during.split_once('-').unwrap();
        let at = |text: &str| Timestamp::from_secs(text.trim().parse().unwrap());
        (at(first), at(last))
    });
    Known { by, during }
}

/// Identifiers with commas between; `site:` before them.
fn seen(text: &str) -> Observation {
    let (site, rest) = text.split_once(':').filter(|(site, _)| !site.contains(' ')).unwrap_or(("", text));
    Observation { site: site.to_owned(), known: rest.split(',').map(|text| known(text.trim())).collect() }
}

fn pairs(list: &[(&str, &str)]) -> BTreeSet<(Identifier, Identifier)> {
    list.iter().map(|(one, other)| (known(one).by, known(other).by)).collect()
}

/// `0+1 2`: the first two are one.
fn grouped(observations: &[Observation], said: &Said) -> String {
    let merged = merge(observations, said);
    let group = |device: &identify::merge::Device| {
        device.observations.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
    };
    merged.devices.iter().map(group).collect::<Vec<_>>().join(" ")
}

const AXIS: &str = "mac 00:40:8c:01:02:03";
const HIK: &str = "mac 44:19:b6:01:02:03";
const PHONE: &str = "mac 02:aa:00:00:00:01";
const AGAIN: &str = "mac 06:bb:00:00:00:02";

#[test]
fn what_speaks_of_one_device_becomes_one() {
    let check = |given: &[String], expected: &str| {
        let observations: Vec<Observation> = given.iter().map(|text| seen(text)).collect();
        assert_eq!(grouped(&observations, &Said::default()), expected, "{given:#?}");
        let mut back = observations.clone();
        back.reverse();
        let count = expected.split(' ').count();
        assert_eq!(merge(&back, &Said::default()).devices.len(), count, "backwards: {given:#?}");
    };
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    // One hardware address at two sensors; another address each time.
    check(&[format!("a:{AXIS}, at 10.0.0.5"), format!("b:{AXIS}, at 10.9.0.5"), HIK.into()], "0+1 2");
    // A certificate's key joins what was seen at a wire and at a door, through the row that names both.
    check(
        &[format!("key k1, {AXIS}"), "key k1, at 192.0.2.1".into(), format!("{AXIS}, name cam-12")],
        "0+1+2",
    );
    // A second hardware address of a machine whose serial number is known.
    check(&[format!("serial S1, {AXIS}"), format!("serial S1, {HIK}")], "0+1");
    // A phone makes up a new address, and keeps its client identifier, or its name.
    check(&[format!("{PHONE}, client ff01"), format!("{AGAIN}, client ff01")], "0+1");
    check(&[format!("{PHONE} @1-5, client ff01 @1-5"), format!("{AGAIN} @6-9, client ff01 @6-9")], "0+1");
    // Who borrows another's client identifier while the other is there is somebody else.
    check(&[format!("{AXIS} @1-9, client ff01 @1-9"), format!("{AGAIN} @3-4, client ff01 @3-4")], "0 1");
    check(
        &[format!("{PHONE} @1-5, name annas-phone @1-5"), format!("{AGAIN} @9-12, name annas-phone @9-12")],
        "0+1",
    );
    // Two at once under one name are two.
    check(
        &[format!("{PHONE} @1-5, name annas-phone @1-5"), format!("{AGAIN} @3-12, name annas-phone @3-12")],
        "0 1",
    );
    // What every product of a maker is called says nothing.
    check(&[format!("{PHONE} @1-5, name iphone @1-5"), format!("{AGAIN} @9-12, name iphone @9-12")], "0 1");
    // A made-up address means something on its own network only.
    check(&[format!("a:{PHONE}"), format!("b:{PHONE}")], "0 1");
    // Privacy addresses of one machine.
    check(&[format!("{PHONE}, at 2001:db8::1, at 2001:db8::2"), "at 2001:db8::2".into()], "0+1");
    // A log without hardware addresses, while the address was its own; a lease that changed hands.
    check(
        &[format!("{AXIS}, at 10.0.0.5 @1-5"), format!("{HIK}, at 10.0.0.5 @6-9"), "at 10.0.0.5 @7-8".into()],
        "0 1+2",
    );
    // Many behind one address: it is nobody's.
    check(
        &[format!("{AXIS}, at 10.0.0.1 @1-9"), format!("{HIK}, at 10.0.0.1 @1-9"), "at 10.0.0.1 @3-4".into()],
        "0 1 2",
    );
    // A declared address is whose it is, as long as only one had it.
    check(&[format!("{AXIS}, at 10.0.0.5 @1-5"), "at 10.0.0.5, serial S1".into()], "0+1");
    check(
        &[
            format!("{AXIS}, at 10.0.0.5 @1-5"),
            format!("{HIK}, at 10.0.0.5 @7-9"),
            "at 10.0.0.5, serial S1".into(),
        ],
        "0 1 2",
    );
    // Forged: the same hardware address under another key; what has neither key belongs to neither.
    check(&[format!("key k1, {AXIS}"), format!("key k2, {AXIS}"), AXIS.into()], "0 1 2");
    // A clone of an image: one client identifier, two registered addresses. One UUID for a whole series of products.
    check(&[format!("{AXIS}, client ff01"), format!("{HIK}, client ff01")], "0 1");
    check(&[format!("{AXIS}, uuid u"), format!("{HIK}, uuid u")], "0 1");
    // One key in two devices that are known to be two.
    check(&list(&["key k1, serial S1", "key k1, serial S2"]), "0 1");
    // A router's shared address, group addresses and zeros say nothing.
    check(&list(&["mac 00:00:5e:00:01:01, name gw-a1", "mac 00:00:5e:00:01:01, name gw-b1"]), "0 1");
    check(&list(&["at 0.0.0.0 @1-2", "at 0.0.0.0 @1-2"]), "0 1");
}

#[test]
fn reasons_are_told_the_surest_first_and_what_is_nobodys_too() {
    let given = [
        format!("{AXIS}, name cam-12"),
        AXIS.to_owned(),
        "name cam-12".to_owned(),
        format!("{HIK}, name cam-12"),
    ];
    let observations: Vec<Observation> = given.iter().map(|text| seen(text)).collect();
    let merged = merge(&observations[..3], &Said::default());
    let reasons: Vec<String> = merged.devices[0].joined.iter().map(|join| join.reason()).collect();
    assert_eq!(
        reasons,
        ["2 sources share the hardware address 00:40:8c:01:02:03", "2 sources share the name “cam-12”"]
    );
    let merged = merge(&observations, &Said::default());
    assert_eq!(merged.contested.len(), 1);
    assert_eq!(
        (merged.contested[0].by.clone(), merged.contested[0].among.len()),
        (known("name cam-12").by, 3)
    );
}

#[test]
fn what_was_parted_stays_apart_and_the_rest_together() {
    let given = [
        format!("{PHONE}, client ff01, name one"),
        format!("{AGAIN}, client ff01, name two"),
        "mac 0a:cc:00:00:00:03, client ff01, name three".to_owned(),
    ];
    let observations: Vec<Observation> = given.iter().map(|text| seen(text)).collect();
    let merged = merge(&observations, &Said::default());
    assert_eq!(merged.devices.len(), 1);
    let apart = part(&observations, &merged.devices[0], 2).unwrap();
    let said = Said { apart: apart.into_iter().collect(), ..Said::default() };
    assert_eq!(grouped(&observations, &said), "0+1 2");
    // Seen again later, with more, it still is.
    let mut later = observations.clone();
    later.push(seen(&format!("{AGAIN}, client ff01, at 10.0.0.9 @1-2")));
    assert_eq!(grouped(&later, &said), "0+1+3 2");
    // Nothing tells what is alike from the others.
    let alike = vec![observations[0].clone(), observations[0].clone()];
    let merged = merge(&alike, &Said::default());
    assert!(part(&alike, &merged.devices[0], 1).is_err());
}

#[test]
fn what_somebody_said_is_one_is_one_but_for_what_was_parted() {
    let observations = [seen(AXIS), seen(HIK), seen("serial S9")];
    let same = pairs(&[(AXIS, HIK)]);
    assert_eq!(grouped(&observations, &Said { same: same.clone(), ..Said::default() }), "0+1 2");
    let apart = pairs(&[(HIK, AXIS)]);
    assert_eq!(grouped(&observations, &Said { same, apart }), "0 1 2");
}

#[test]
fn a_name_that_hundreds_share_costs_little_and_joins_nobody() {
    let observations: Vec<Observation> = (0..2_000_u32)
        .map(|host| {
            seen(&format!(
                "mac 02:00:00:00:{:02x}:{:02x} @1-9, name stall-7 @1-9, client {host}",
                host >> 8,
                host & 255
            ))
        })
        .collect();
    let merged = merge(&observations, &Said::default());
    assert_eq!((merged.devices.len(), merged.contested.len()), (2_000, 1));
    assert!(merged.contested[0].among.len() <= identify::merge::MOST_SHARING);
}

#[test]
fn a_new_hardware_address_each_day_is_one_device_for_as_long_as_it_goes_on() {
    let days: Vec<Observation> = (0..300_u32)
        .map(|day| {
            seen(&format!(
                "mac 06:{:02x}:00:00:00:{:02x} @{day}00-{day}50, client ff01 @{day}00-{day}50",
                255 - (day & 255),
                day >> 8
            ))
        })
        .collect();
    assert_eq!(merge(&days, &Said::default()).devices.len(), 1);
}

fn anything() -> impl Strategy<Value = Observation> {
    let during = prop::option::of((0_i64..20, 0_i64..20)).prop_map(|during| {
        during.map(|(a, b)| (Timestamp::from_secs(a.min(b)), Timestamp::from_secs(a.max(b))))
    });
    let by = prop_oneof![
        1 => (0..3).prop_map(|n| format!("key k{n}")),
        1 => (0..3).prop_map(|n| format!("serial S{n}")),
        3 => (0..6).prop_map(|n| format!("mac 00:40:8c:00:00:0{n}")),
        3 => (0..6).prop_map(|n| format!("mac 02:00:00:00:00:0{n}")),
        2 => (0..4).prop_map(|n| format!("client ff0{n}")),
        1 => (0..3).prop_map(|n| format!("uuid u{n}")),
        3 => (0..5).prop_map(|n| format!("name host-{n}")),
        3 => (1..6).prop_map(|n| format!("at 10.0.0.{n}")),
    ];
    let known = (by, during).prop_map(|(by, during)| Known { during, ..known(&by) });
    ("[ab]", prop::collection::vec(known, 0..5)).prop_map(|(site, known)| Observation { site, known })
}

/// The devices by what their observations say.
fn contents(observations: &[Observation], said: &Said) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = merge(observations, said)
        .devices
        .iter()
        .map(|device| {
            let mut texts: Vec<String> =
                device.observations.iter().map(|at| format!("{:?}", observations[*at])).collect();
            texts.sort();
            texts
        })
        .collect();
    all.sort();
    all
}

proptest! {
    #[test]
    fn the_order_given_does_not_matter(
        (observations, shuffled) in prop::collection::vec(anything(), 0..40)
            .prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle()))
    ) {
        let said = Said::default();
        prop_assert_eq!(contents(&observations, &said), contents(&shuffled, &said));
    }

    #[test]
    fn each_observation_is_of_one_device_and_proofs_never_mix_by_looser_signs(
        observations in prop::collection::vec(anything(), 0..40)
    ) {
        let merged = merge(&observations, &Said::default());
        let mut all: Vec<usize> =
            merged.devices.iter().flat_map(|device| device.observations.clone()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..observations.len()).collect::<Vec<_>>());
        for device in &merged.devices {
            // Two keys are one device's only where a single source says so, or a serial number does.
            let of = |wanted: fn(&Identifier) -> bool, at: &usize| -> BTreeSet<Identifier> {
                observations[*at].known.iter().map(|known| known.by.clone()).filter(wanted).collect()
            };
            for wanted in [
                (|by: &Identifier| matches!(by, Identifier::Key(_))) as fn(&Identifier) -> bool,
                |by: &Identifier| matches!(by, Identifier::Serial(_)),
            ] {
                let sets: Vec<BTreeSet<Identifier>> = device.observations.iter().map(|at| of(wanted, at)).collect();
                let all: BTreeSet<&Identifier> = sets.iter().flatten().collect();
                let said_together = sets.iter().any(|set| set.len() > 1);
                prop_assert!(all.len() <= 1 || said_together, "{all:?}");
            }
        }
    }

    #[test]
    fn a_merge_can_be_undone(observations in prop::collection::vec(anything(), 2..30)) {
        let merged = merge(&observations, &Said::default());
        for device in merged.devices.iter().filter(|device| device.observations.len() > 1) {
            let off = device.observations[0];
            let Ok(apart) = part(&observations, device, off) else { continue };
            let said = Said { apart: apart.into_iter().collect(), ..Said::default() };
            let again = merge(&observations, &said);
            let with = again.devices.iter().find(|device| device.observations.contains(&off)).unwrap();
            for other in device.observations.iter().filter(|other| **other != off) {
                prop_assert!(!with.observations.contains(other), "{off} and {other}");
            }
        }
    }
}
