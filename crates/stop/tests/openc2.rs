//! OpenC2: what is written is read back, in the form that the standard's own examples have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::{Action, Command, CommandId, ContentHasher, Criticality, Hit, Kind, Protocol, Target, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::net::IpAddr;
use stop::openc2::{Message, command, foreign_block, inverse, messages};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn made(action: Action, on: Target) -> Command {
    Command {
        id: CommandId::from_content(ContentHasher::new().part("a command")),
        action,
        on,
        why: "camera-7 is infected".into(),
        hits: vec![Hit {
            address: ip("10.0.0.9"),
            name: Some("recorder".into()),
            kind: Kind("server".into()),
            criticality: Criticality::Important,
            loses: "3 flows to 554/tcp (rtsp) with it".into(),
        }],
        created: Timestamp::from_micros(1_800_000_000_123_456),
        expires: Timestamp::from_micros(1_800_003_600_123_456),
        inverse: "let camera-7 talk again".into(),
        kind: Kind("camera".into()),
    }
}

#[test]
fn a_block_is_one_deny_that_any_packet_filter_understands() {
    let block = made(Action::Block, Target::Remote { address: ip("203.0.113.9") });
    let mut value = serde_json::to_value(messages(&block)).unwrap();
    value[0]["args"].as_object_mut().unwrap().remove("x-bastide");
    assert_eq!(
        value,
        json!([{
            "action": "deny",
            "target": { "ipv4_net": "203.0.113.9/32" },
            "args": {
                "start_time": 1_800_000_000_123_i64,
                "stop_time": 1_800_003_600_123_i64,
                "response_requested": "complete",
                "slpf": { "drop_process": "none", "persistent": false, "direction": "both", "insert_rule": 1 }
            },
            "actuator": { "slpf": {} },
            "command_id": block.id.to_string()
        }])
    );
}

#[test]
fn isolation_allows_names_and_time_before_it_denies_the_rest() {
    let on = Target::Device {
        addresses: vec![ip("10.0.0.7"), ip("fd00::7")],
        mac: Some("02:00:5e:10:00:07".parse().unwrap()),
    };
    let isolate = made(Action::Isolate { keep: vec![ip("10.0.0.53")] }, on);
    let shown: Vec<(String, Value)> = messages(&isolate)
        .iter()
        .map(|message| {
            let value = serde_json::to_value(message).unwrap();
            (value["action"].as_str().unwrap().to_owned(), value["target"].clone())
        })
        .collect();
    let allow = |protocol: &str, port: u16| {
        (
            "allow".to_owned(),
            json!({ "ipv4_connection": {
                "src_addr": "10.0.0.7/32", "dst_addr": "10.0.0.53/32", "dst_port": port, "protocol": protocol } }),
        )
    };
    assert_eq!(
        shown,
        [
            allow("udp", 53),
            allow("tcp", 53),
            allow("udp", 123),
            ("deny".to_owned(), json!({ "ipv4_net": "10.0.0.7/32" })),
            ("deny".to_owned(), json!({ "ipv6_net": "fd00::7/128" })),
        ]
    );
    let undone: Vec<Value> =
        inverse(&isolate).iter().map(|message| serde_json::to_value(message).unwrap()).collect();
    assert_eq!(undone.len(), 2);
    assert!(undone.iter().all(|message| message["action"] == "allow"));
}

#[test]
fn tampered_messages_are_refused() {
    let on = Target::Remote { address: ip("203.0.113.9") };
    let good = serde_json::to_value(messages(&made(Action::Block, on))).unwrap();
    let check = |change: &dyn Fn(&mut Value), expected: &str| {
        let mut value = good.clone();
        change(&mut value);
        let told = match serde_json::from_value::<Vec<Message>>(value) {
            Ok(messages) => command(&messages).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(expected), "{expected}: {told}");
    };
    check(&|value| value[0]["target"] = json!({ "ipv4_net": "203.0.113.10/32" }), "does not say");
    check(&|value| value[0]["args"]["stop_time"] = json!(1), "does not say");
    check(&|value| value[0]["args"]["x-bastide"]["on"]["address"] = json!("203.0.113.10"), "does not say");
    check(&|value| value[0]["action"] = json!("allow"), "does not say");
    check(&|value| value[0]["action"] = json!("scan"), "unknown variant");
    check(&|value| value[0]["command_id"] = json!("x"), "command_id");
    check(&|value| value[0]["args"]["more"] = json!(1), "unknown field");
    check(&|value| *value = json!([]), "expected 1 to 1024 messages, found 0");
}

#[test]
fn others_may_ask_for_one_host_for_a_time() {
    let now = Timestamp::from_secs(1_000);
    let check = |message: Value, expected: Result<(&str, i64), &str>| {
        let message: Message = serde_json::from_value(message).unwrap();
        match (foreign_block(&message, now), expected) {
            (Ok((address, until)), Ok((expected, secs))) => {
                assert_eq!((address, until), (ip(expected), Timestamp::from_secs(secs)));
            }
            (Err(error), Err(word)) => assert!(error.to_string().contains(word), "{error}"),
            other => panic!("{other:?}"),
        }
    };
    let deny = |target: Value, args: Value| json!({ "action": "deny", "target": target, "args": args });
    check(deny(json!({"ipv4_net": "192.0.2.1"}), json!({"stop_time": 2_000_000})), Ok(("192.0.2.1", 2000)));
    check(
        deny(json!({"ipv6_net": "2001:db8::1/128"}), json!({"duration": 60_000})),
        Ok(("2001:db8::1", 1060)),
    );
    check(deny(json!({"ipv4_net": "192.0.2.0/24"}), json!({"duration": 60_000})), Err("single host"));
    check(deny(json!({"ipv4_net": "192.0.2.1"}), json!({})), Err("every command ends"));
    check(deny(json!({"ipv4_net": "192.0.2.1"}), json!({"stop_time": 999_000})), Err("a moment to come"));
    check(deny(json!({"ipv4_net": "x"}), json!({"duration": 1})), Err("single host"));
    check(deny(json!({"ipv4_connection": {}}), json!({"duration": 1})), Err("ipv4_net or ipv6_net"));
    check(json!({"action": "allow", "target": {"ipv4_net": "192.0.2.1"}}), Err("deny"));
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn target_and_action() -> impl Strategy<Value = (Target, Action)> {
    let device = || {
        (proptest::collection::vec(address(), 1..4), any::<Option<[u8; 6]>>())
            .prop_map(|(addresses, mac)| Target::Device { addresses, mac: mac.map(model::Mac) })
    };
    let some = || proptest::collection::vec(address(), 0..4);
    prop_oneof![
        (device(), some()).prop_map(|(on, keep)| (on, Action::Isolate { keep })),
        (device(), some()).prop_map(|(on, peers)| (on, Action::Restrict { peers })),
        address().prop_map(|address| (Target::Remote { address }, Action::Block)),
        (address(), address(), any::<u8>(), any::<Option<u16>>(), any::<u32>()).prop_map(
            |(src, dst, protocol, port, packets_per_second)| {
                (
                    Target::Flow { src, dst, protocol: Protocol(protocol), port },
                    Action::Limit { packets_per_second },
                )
            }
        ),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back((on, action) in target_and_action(), created in 0_i64..1 << 52, secs in 1_i64..86_400) {
        let mut written = made(action, on);
        written.created = Timestamp::from_micros(created);
        written.expires = written.created.plus_secs(secs);
        let text = serde_json::to_string(&messages(&written)).unwrap();
        let read: Vec<Message> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(command(&read).unwrap(), written);
    }
}

#[test]
fn an_identity_is_contained_and_restored_by_the_language_itself() {
    let on = Target::Device { addresses: vec![ip("10.0.0.7")], mac: None };
    let suspend = made(Action::Suspend { asset: "dev-7".into() }, on);
    let mut value = serde_json::to_value(messages(&suspend)).unwrap();
    value[0]["args"].as_object_mut().unwrap().remove("x-bastide");
    assert_eq!(
        value,
        json!([{
            "action": "contain",
            "target": { "device": { "device_id": "dev-7" } },
            "args": {
                "start_time": 1_800_000_000_123_i64,
                "stop_time": 1_800_003_600_123_i64,
                "response_requested": "complete"
            },
            "command_id": suspend.id.to_string()
        }])
    );
    assert_eq!(command(&messages(&suspend)).unwrap(), suspend);
    let undone = serde_json::to_value(inverse(&suspend)).unwrap();
    assert_eq!((&undone[0]["action"], &undone[0]["target"]), (&json!("restore"), &value[0]["target"]));
    // Said otherwise in the standard part than in our own, it is refused.
    let mut other = messages(&suspend);
    other[0].target = stop::openc2::Object::Device(stop::openc2::Device { device_id: "dev-8".into() });
    assert!(command(&other).is_err());
}
