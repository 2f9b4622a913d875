//! The agent at work: reports, settings, renewal; with the server away, and with a clock that is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod city;

use agent::identity::Identity;
use city::{Authority, City, Device, now, turn};
use pki::Algorithm;
use wire::{About, Report, Settings};

const DAY: i64 = 86_400;

fn enrolled() -> (City, Device) {
    let (city, device) = (City::new(), Device::new());
    device.enrol(&city, now()).0.unwrap();
    (city, device)
}

fn kinds(reports: &[Report]) -> Vec<(u64, &'static str)> {
    let kind = |about: &About| if matches!(about, About::Sbom(_)) { "sbom" } else { "posture" };
    reports.iter().map(|report| (report.number, kind(&report.about))).collect()
}

#[test]
fn what_changed_is_reported_and_once_a_day_what_did_not() {
    let (city, device) = enrolled();
    let mut agent = device.agent(now());
    let reported = |city: &City| city.behave(|behaviour| kinds(&std::mem::take(&mut behaviour.reports)));
    let (wait, said) = turn(&mut agent, now(), 0);
    assert_eq!((wait.as_secs(), said.as_str()), (3_600, ""));
    assert_eq!(reported(&city), [(1, "sbom"), (2, "posture")]);
    turn(&mut agent, now().plus_secs(3_600), 3_600);
    assert_eq!(reported(&city), [], "nothing changed");
    device.write("etc/passwd", "root:*:0:0::/:/bin/sh\n");
    turn(&mut agent, now().plus_secs(7_200), 7_200);
    assert_eq!(reported(&city), [(3, "posture")]);
    device.packages(4);
    turn(&mut agent, now().plus_secs(10_800), 10_800);
    assert_eq!(reported(&city), [(4, "sbom"), (5, "posture")], "which names the list");
    drop(agent);
    // Started again within the day: it remembers.
    let mut agent = device.agent(now().plus_secs(14_400));
    turn(&mut agent, now().plus_secs(14_400), 0);
    assert_eq!(reported(&city), []);
    turn(&mut agent, now().plus_secs(10_800 + DAY), 90_000);
    assert_eq!(reported(&city), [(6, "sbom"), (7, "posture")]);
}

#[test]
fn a_day_without_the_server_is_caught_up_in_order() {
    let (city, device) = enrolled();
    let City { address, .. } = &city;
    let address = address.clone();
    let mut agent = device.agent(now());
    turn(&mut agent, now(), 0);
    let authority = Authority { root: city.authority.root.clone(), issuer: city.authority.issuer.clone() };
    drop(city);
    let (mut elapsed, mut turns, mut said) = (3_600_u64, 0, String::new());
    let mut hour = 0;
    while elapsed < 25 * 3_600 {
        if elapsed / 3_600 > hour {
            hour = elapsed / 3_600;
            device.write("etc/passwd", &format!("user-{hour}::0:0::/:/bin/sh\n"));
        }
        let (wait, words) = turn(&mut agent, now().plus_secs(elapsed.try_into().unwrap()), elapsed);
        assert!((1..=3_600).contains(&wait.as_secs()));
        elapsed += wait.as_secs();
        turns += 1;
        said.push_str(&words);
    }
    assert!(turns < 100, "ever less often: {turns} turns");
    assert_eq!(said.matches("cannot be reached").count(), 1, "and said once: {said}");
    let waiting: Vec<u64> = agent.spool().waiting().iter().map(|one| one.number).collect();
    assert!(waiting.len() >= 24, "{waiting:?}");
    // Also over a restart.
    drop(agent);
    let city = City::of(authority, None, now().plus_secs(DAY), &address);
    let at = now().plus_secs(elapsed.try_into().unwrap());
    let mut agent = device.agent(at);
    turn(&mut agent, at, 0);
    assert_eq!(agent.spool().waiting().len(), 0);
    city.behave(|behaviour| {
        let numbers: Vec<u64> = behaviour.reports.iter().map(|report| report.number).collect();
        assert_eq!(numbers[..waiting.len()], waiting);
        assert!(behaviour.reports.is_sorted_by_key(|report| (report.number, report.made)));
        assert!(behaviour.reports.iter().all(|report| report.shed == 0));
    });
}

#[test]
fn a_report_whose_answer_was_lost_comes_again_as_the_same() {
    let (city, device) = enrolled();
    let mut agent = device.agent(now());
    city.behave(|behaviour| behaviour.instead = vec![String::new()]);
    let (wait, said) = turn(&mut agent, now(), 0);
    assert!((7..=15).contains(&wait.as_secs()), "{wait:?}");
    assert!(said.contains("ends in its middle"), "{said}");
    turn(&mut agent, now().plus_secs(20), 20);
    city.behave(|behaviour| {
        assert_eq!(kinds(&behaviour.reports), [(1, "sbom"), (1, "sbom"), (2, "posture")]);
        assert_eq!(behaviour.reports[0], behaviour.reports[1]);
    });
}

#[test]
fn a_server_that_refuses_is_left_alone_and_a_report_it_cannot_read_is_let_go() {
    let (city, device) = enrolled();
    let mut agent = device.agent(now());
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 600\r\ncontent-length: 5\r\n\r\nlater";
    city.behave(|behaviour| behaviour.instead = vec![busy.into()]);
    let (wait, said) = turn(&mut agent, now(), 0);
    assert_eq!((wait.as_secs(), said.as_str()), (600, "the server refuses a report (503): later"));
    let (wait, _) = turn(&mut agent, now().plus_secs(60), 60);
    assert_eq!(wait.as_secs(), 540, "not before");
    let bad = "HTTP/1.1 400 Bad\r\ncontent-length: 12\r\n\r\n`os`: absent";
    city.behave(|behaviour| behaviour.instead = vec![bad.into()]);
    let (_, said) = turn(&mut agent, now().plus_secs(600), 600);
    assert!(said.contains("the server does not take report 1 (400): `os`: absent"), "{said}");
    assert!(agent.spool().waiting().is_empty() && agent.state().shed == 1);
    let no = "HTTP/1.1 403 No\r\ncontent-length: 9\r\n\r\nsuspended";
    device.packages(9);
    city.behave(|behaviour| behaviour.instead = vec![no.into()]);
    let (_, said) = turn(&mut agent, now().plus_secs(3_600), 3_600);
    assert!(said.contains("the server refuses a report (403): suspended"), "{said}");
    assert_eq!(agent.spool().waiting().len(), 2, "kept for when it may again");
}

#[test]
fn settings_are_taken_from_the_server_and_never_go_back() {
    let (city, device) = enrolled();
    let mut agent = device.agent(now());
    let identity = Identity::load(&device.folder()).unwrap().unwrap();
    let give = |text: String, number: u64| {
        city.behave(|behaviour| {
            behaviour.settings = Some(text);
            behaviour.settings_number = number;
        });
    };
    give(city.sign(&city.server, &identity, 5, 120), 5);
    let (wait, said) = turn(&mut agent, now(), 0);
    assert!(said.contains("settings 5 hold until 2026-12-22"), "{said}");
    assert_eq!(wait.as_secs(), 1, "looks at once, as it is told now");
    let (wait, _) = turn(&mut agent, now().plus_secs(1), 1);
    assert_eq!(wait.as_secs(), 120);
    let last = city.behave(|behaviour| behaviour.reports.last().unwrap().clone());
    let About::Posture(posture) = last.about else { panic!("{last:?}") };
    assert!(last.settings == 5 && posture.listening.is_none() && posture.accounts.is_some());

    // The same, signed anew, are nothing new; that they hold for longer is kept.
    let longer = |secs: i64| Settings {
        version: 1,
        device: identity.fingerprint(),
        number: 5,
        made: now(),
        not_after: now().plus_secs(30 * DAY + secs),
        report_every: 120,
        collect: wire::Collect { packages: true, ports: false, accounts: true },
    };
    for (at, secs, kept) in [(130, 9, 0), (260, 2 * DAY, 2 * DAY)] {
        give(city.sign_as(&city.server, "bastide-settings", &longer(secs)), 5);
        let (wait, said) = turn(&mut agent, now().plus_secs(at), at.unsigned_abs());
        assert_eq!((wait.as_secs(), said.as_str()), (120, ""));
        assert_eq!(agent.settings().unwrap().not_after, now().plus_secs(30 * DAY + kept));
    }

    let mut elapsed = 260;
    let mut refused = |text: String, expected: &str| {
        give(text, 6);
        elapsed += 4_000;
        let (_, said) = turn(&mut agent, now().plus_secs(elapsed.try_into().unwrap()), elapsed);
        assert!(said.contains(expected), "{said}");
        assert_eq!(agent.settings().map(|settings| settings.number), Some(5));
    };
    refused(city.sign(&city.server, &identity, 4, 60), "their number is 4, and number 5 was in force");
    let camera = city.authority.holder("camera-8", "device", Algorithm::P256, now());
    refused(city.sign(&camera, &identity, 6, 60), "who signed them is not the server");
    let another = Authority::new("City").holder("city", "service", Algorithm::P256, now());
    refused(city.sign(&another, &identity, 6, 60), "who signed them is not the server");
    let text = city.sign(&city.server, &identity, 6, 60);
    let settings: Settings = agent::settings::Reader {
        trust: &agent::identity::Trust::load(&device.folder()).unwrap().unwrap(),
        host: "127.0.0.1",
        device: &identity.fingerprint(),
        highest: 5,
    }
    .read(&text, now())
    .unwrap();
    refused(city.sign_as(&city.server, "report", &settings), "it signed \"report\"");
    let (head, rest) = text.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let flipped = if payload.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{head}.{}{flipped}.{signature}", &payload[..payload.len() - 1]);
    refused(changed, "the settings are not taken");
    let other = Settings { device: "00".repeat(32), ..settings.clone() };
    refused(city.sign_as(&city.server, "bastide-settings", &other), "they are for the device 0000");
    let over = Settings { not_after: now().plus_secs(1), ..settings };
    refused(city.sign_as(&city.server, "bastide-settings", &over), "they held until");
    refused("rubbish".into(), "no signed message");

    // They hold over a restart, and end by themselves; then what the agent comes with does.
    let mut agent = device.agent(now().plus_secs(60));
    assert_eq!(agent.settings().unwrap().number, 5);
    city.behave(|behaviour| behaviour.settings = None);
    let (wait, _) = turn(&mut agent, now().plus_secs(60), 0);
    assert_eq!(wait.as_secs(), 120);
    let (wait, _) = turn(&mut agent, now().plus_secs(33 * DAY), 200);
    assert_eq!(wait.as_secs(), 3_600);
    let last = city.behave(|behaviour| behaviour.reports.last().unwrap().clone());
    let About::Posture(posture) = last.about else { panic!("{last:?}") };
    assert_eq!(last.settings, 0);
    assert!(posture.unread.iter().any(|unread| unread.source == "/proc/net/tcp"), "it looks for ports again");
}

#[test]
fn the_certificate_is_renewed_at_two_thirds_of_its_life_with_another_key() {
    let (_, device) = enrolled();
    let first = Identity::load(&device.folder()).unwrap().unwrap();
    let due = first.renew_from();
    let life = first.certificate().view().ends.seconds_since(first.certificate().view().begins);
    let share = due.seconds_since(first.certificate().view().begins) / life;
    assert!((0.66..0.72).contains(&share), "{share}");
}

#[test]
fn a_renewal_goes_over_the_old_certificate_and_keeps_the_name() {
    let authority = Authority::new("City");
    let copy = || Authority { root: authority.root.clone(), issuer: authority.issuer.clone() };
    let device = Device::new();
    let (first, address) = {
        let city = City::of(copy(), None, now(), "127.0.0.1:0");
        (device.enrol(&city, now()).0.unwrap(), city.address.clone())
    };
    let due = first.renew_from();
    let city = City::of(copy(), None, due, &address);
    let mut agent = device.agent(due);
    turn(&mut agent, due.plus_secs(-1), 0);
    city.behave(|behaviour| assert_eq!(behaviour.asked.len(), 0, "not before"));
    city.behave(|behaviour| behaviour.waits = 1);
    let (_, said) = turn(&mut agent, due, 1);
    assert!(said.contains("a person is asked whether the certificate is renewed"), "{said}");
    let (_, said) = turn(&mut agent, due.plus_secs(3_600), 3_601);
    assert!(said.contains("the certificate is renewed, until"), "{said}");
    city.behave(|behaviour| {
        assert_eq!(behaviour.asked.len(), 2);
        assert_eq!(behaviour.asked[0].0, "/.well-known/est/simplereenroll");
        assert_eq!(behaviour.asked[0].1, "", "by the certificate, not by a password");
        let request = |index: usize| {
            use base64::{Engine as _, prelude::BASE64_STANDARD};
            pki::Request::from_der(&BASE64_STANDARD.decode(&behaviour.asked[index].2).unwrap()).unwrap()
        };
        assert_eq!(request(0).key(), request(1).key(), "the same request, as long as a person is asked");
        assert_eq!(request(0).common_name().as_deref(), Some("camera-7"));
    });
    let second = Identity::load(&device.folder()).unwrap().unwrap();
    assert_ne!(second.fingerprint(), first.fingerprint());
    assert_eq!(second.certificate().view().subject, first.certificate().view().subject);
    assert!(second.certificate().view().ends > first.certificate().view().ends);
    // It works with it, at once and after a restart.
    device.packages(7);
    turn(&mut agent, due.plus_secs(7_200), 7_202);
    let mut agent = device.agent(due.plus_secs(7_300));
    device.packages(8);
    turn(&mut agent, due.plus_secs(7_300), 0);
    assert!(agent.spool().waiting().is_empty());
}

#[test]
fn a_clock_a_year_off_stops_nothing_for_good() {
    for wrong in [now().plus_secs(-365 * DAY), now().plus_secs(365 * DAY), model::Timestamp::from_secs(0)] {
        let (city, device) = enrolled();
        let mut agent = device.agent(wrong);
        let (mut elapsed, mut all) = (0, String::new());
        for _ in 0..10 {
            let (wait, said) = turn(&mut agent, wrong.plus_secs(elapsed.try_into().unwrap()), elapsed);
            elapsed += wait.as_secs();
            all.push_str(&said);
        }
        assert!(all.contains("is the clock right?"), "{all}");
        city.behave(|behaviour| assert!(behaviour.reports.is_empty()));
        // The clock is set; at the next turn it is all made good.
        turn(&mut agent, now(), elapsed + 3_600);
        let reports = city.behave(|behaviour| kinds(&behaviour.reports));
        assert!(reports.len() >= 2, "{reports:?}");
        assert!(agent.spool().waiting().is_empty());
    }
}
