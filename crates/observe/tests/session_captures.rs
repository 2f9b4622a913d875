//! Sessions on captures that nobody here made; skipped, and said so, where they are missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::print_stderr, reason = "says what was skipped")]

use model::{EventKind, HintKind, Timestamp};
use observe::{Config, Observer};
use parse::capture::{Decoder, Step};
use std::collections::BTreeMap;
use std::path::Path;

fn events(name: &str) -> Option<Vec<EventKind>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let mut decoder = Decoder::recognise(&bytes).unwrap();
    let mut observer = Observer::new(Config::default());
    let mut events = Vec::new();
    let (mut at, mut record) = (0, 0);
    loop {
        match decoder.step(&bytes[at..], true) {
            Step::Packet { consumed, packet } => {
                at += consumed;
                record += 1;
                let place = model::RecordRef { input: 0, record };
                let moment = Timestamp::from_micros(packet.micros);
                observer.packet(place, moment, packet.link, packet.wire_length, packet.data, &mut |event| {
                    events.push(event.kind);
                });
            }
            Step::Consumed(consumed) | Step::Skipped { consumed, .. } => at += consumed,
            Step::NeedMore { .. } | Step::Damaged { .. } | Step::End => break,
        }
    }
    observer.finish(&mut |event| events.push(event.kind));
    Some(events)
}

fn logins(events: &[EventKind]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for event in events {
        if let EventKind::Login(login) = event {
            *counted.entry(format!("{} {:?}", login.service.as_str(), login.outcome)).or_default() += 1;
        }
    }
    counted
}

fn services(events: &[EventKind]) -> BTreeMap<&'static str, usize> {
    let mut counted = BTreeMap::new();
    for event in events {
        if let EventKind::Flow(flow) = event
            && flow.phase.closes()
        {
            *counted.entry(flow.service.as_str()).or_default() += 1;
        }
    }
    counted
}

#[test]
fn a_telnet_session_is_followed_through_its_negotiation() {
    let Some(events) = events("sv-telnet.pcap") else { return };
    assert_eq!(logins(&events), BTreeMap::from([("telnet Accepted".to_owned(), 1)]));
    assert!(!events.iter().any(|event| matches!(event, EventKind::Transfer(_))));
    let banner = |event: &EventKind| matches!(event, EventKind::Hint(hint) if hint.kind == HintKind::Banner && hint.value.contains("OpenBSD"));
    assert!(events.iter().any(banner));
}

#[test]
fn ssh_guessing_on_an_odd_port_is_seen() {
    let Some(events) = events("malicious-ssh-bruteforce.pcap") else { return };
    let counted = logins(&events);
    eprintln!("{counted:?} {:?}", services(&events));
    assert!(counted.get("ssh Refused").is_some_and(|refused| *refused >= 40), "{counted:?}");
    assert!(!counted.contains_key("ssh Possible"), "{counted:?}");
    assert!(counted.keys().all(|told| told.starts_with("ssh ")), "{counted:?}");
}

#[test]
fn benign_devices_neither_log_in_nor_fetch_programs() {
    for name in ["blink-cam-01.pcap", "lockly-hub-01.pcap", "sifely-hub-01.pcap"] {
        let Some(events) = events(name) else { return };
        assert_eq!(logins(&events), BTreeMap::new(), "{name}");
        assert!(!events.iter().any(|event| matches!(event, EventKind::Transfer(_))), "{name}");
        let count = |wanted: fn(&EventKind) -> bool| events.iter().filter(|event| wanted(event)).count();
        let hints: Vec<String> = events
            .iter()
            .filter_map(|event| match event {
                EventKind::Hint(hint) => Some(format!("{:?} {}", hint.kind, hint.value)),
                _ => None,
            })
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        eprintln!("{name}: {:?}", services(&events));
        eprintln!(
            "  dns {} dhcp {} messages {} requests {} hints {hints:?}",
            count(|event| matches!(event, EventKind::Dns(_))),
            count(|event| matches!(event, EventKind::Dhcp(_))),
            count(|event| matches!(event, EventKind::Message(_))),
            count(|event| matches!(event, EventKind::Request(_))),
        );
        assert!(!hints.is_empty(), "{name}");
    }
}

#[test]
fn amplified_answers_are_dns() {
    let Some(events) = events("amp.dns.RRSIG.fragmented.pcap") else { return };
    let answers = events.iter().filter(|event| matches!(event, EventKind::Dns(dns) if dns.response)).count();
    let asked = events.iter().filter(|event| matches!(event, EventKind::Dns(dns) if !dns.response)).count();
    eprintln!("answers {answers} questions {asked} {:?}", services(&events));
    assert!(answers > 100);
    // Nobody here asked: nobody here is a resolver.
    assert!(
        !events.iter().any(|event| matches!(event, EventKind::Hint(hint) if hint.kind == HintKind::Function))
    );
}
