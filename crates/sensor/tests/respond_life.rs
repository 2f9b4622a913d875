//! Responding from incident to undo in a real kernel: licence, journal, lever, restart, reboot, expiry, proof.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, missing_docs, dead_code, reason = "tests; the street is shared")]

mod fixture;
mod street;

use fixture::{NOW, botnet, camera, state};
use model::{
    Asset, AssetStatus, AuthorityId, Criticality, Effect, Incident, IncidentAsset, Kind, Layer, NetSet, Plan,
    PlanStatus, Proof, Protocol, Role, Timestamp,
};
use protect::{Mode, ResponseConfig};
use sensor::{
    Notice, Order,
    respond::{Mirror, Responder, Sighting, hand, nft::Nftables, verify_file},
};
use std::{fs, path::Path, thread, time::Duration};
use stop::{Actuator, journal::Act};
use street::{Host, Street, in_namespaces, passes, rules, run};

fn config(mode: Mode) -> ResponseConfig {
    ResponseConfig {
        kinds: [("camera".to_owned(), mode)].into(),
        cap_share_of_kind: 1.0,
        ..ResponseConfig::default()
    }
}

fn asset(host: &Host) -> Asset {
    camera(host.mac, &[host.v4, host.v6])
}

fn incident(infected: &[&Host]) -> Incident {
    let infected: Vec<_> = infected.iter().map(|host| (host.v4, host.mac)).collect();
    botnet(&infected)
}

fn open_with(config: ResponseConfig, folder: &Path, street: &Street, now: Timestamp) -> Responder {
    let actuator: Box<dyn Actuator> = Box::new(Nftables::open(&config, "test").unwrap());
    let mut responder = Responder::open(config, NetSet::private(), folder, actuator, now).unwrap();
    responder.asset(&asset(&street.camera));
    responder.asset(&asset(&street.neighbour));
    responder
}

fn open(folder: &Path, street: &Street, now: Timestamp) -> Responder {
    open_with(config(Mode::Auto), folder, street, now)
}

fn cut(street: &Street) -> bool {
    let inside = passes(&street.camera, &street.neighbour, false, 5000, 5);
    let outside = passes(&street.camera, &street.outside, true, 5000, 5);
    assert!((inside == 0) == (outside == 0), "half cut: {inside} {outside}");
    inside == 0
}

fn plans(notices: &[Notice]) -> Vec<&Plan> {
    notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Plan(plan) => Some(&**plan),
            _ => None,
        })
        .collect()
}

fn effects(notices: &[Notice]) -> Vec<Effect> {
    notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Receipt(receipt) => Some(receipt.effect.clone()),
            _ => None,
        })
        .collect()
}

fn acts(notices: &[Notice]) -> Vec<Act> {
    notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Journal(entry) => Some(entry.what.clone()),
            _ => None,
        })
        .collect()
}

fn assert_journal_is_whole(folder: &Path) {
    let verified = verify_file(folder).unwrap().unwrap();
    assert_eq!(verified.fault, None);
    assert!(verified.lines > 0);
}

/// Waits for what the kernel's packets prove.
fn receipts(responder: &mut Responder, from: i64) -> Vec<Notice> {
    (0..3).flat_map(|n| responder.tick(NOW.plus_micros(from * 1_000_000 + n * 1_100_000))).collect()
}

#[test]
fn an_incident_is_contained_when_the_call_returns_and_a_person_takes_it_back() {
    in_namespaces("an_incident_is_contained_when_the_call_returns_and_a_person_takes_it_back", |street| {
        let folder = tempfile::tempdir().unwrap();
        let before = rules();
        let mut responder = open(folder.path(), street, NOW);
        assert!(!cut(street));
        responder.incident(&incident(&[&street.camera]), NOW);
        assert!(cut(street));
        let notices = responder.tick(NOW);
        assert_eq!(effects(&notices)[0], Effect::Applied);
        assert_eq!(plans(&notices).last().unwrap().status, PlanStatus::Active);
        let told = acts(&notices);
        let applying = told.iter().position(|act| matches!(act, Act::Applying { .. })).unwrap();
        let outcome = told.iter().position(|act| matches!(act, Act::Outcome { .. })).unwrap();
        assert!(applying < outcome, "written before it was done");
        let later = receipts(&mut responder, 2);
        assert!(effects(&notices).iter().chain(&effects(&later)).any(|effect| *effect == Effect::Effective));

        // The same again changes nothing; another infected device is one more command.
        responder.incident(&incident(&[&street.camera]), NOW.plus_secs(6));
        assert_eq!(plans(&responder.tick(NOW.plus_secs(6))).len(), 0);
        responder.incident(&incident(&[&street.camera, &street.neighbour]), NOW.plus_secs(7));
        assert_eq!(state(folder.path()).in_force.len(), 2);

        let command = state(folder.path()).in_force[0].command.id.clone();
        responder.order(Order::Undo { command, who: "ada".into() }, NOW.plus_secs(8));
        responder.order(Order::UndoAll { who: "ada".into() }, NOW.plus_secs(9));
        assert!(!cut(street));
        assert_eq!(rules(), before, "nothing stays");
        let notices = responder.tick(NOW.plus_secs(9));
        assert!(plans(&notices).iter().any(|plan| plan.status == PlanStatus::Undone));
        // A person's word wins: the same incident asks now.
        let mut grown = incident(&[&street.camera, &street.neighbour]);
        grown.findings = 99;
        responder.incident(&grown, NOW.plus_secs(10));
        assert!(!cut(street));
        let notices = responder.tick(NOW.plus_secs(10));
        let plan = plans(&notices)[0];
        assert_eq!(plan.status, PlanStatus::Proposed);
        assert!(plan.because.contains("ada took it back"), "{}", plan.because);
        assert_journal_is_whole(folder.path());
    });
}

#[test]
fn nothing_is_done_without_a_person_where_the_settings_ask() {
    in_namespaces("nothing_is_done_without_a_person_where_the_settings_ask", |street| {
        let folder = tempfile::tempdir().unwrap();
        let mut responder = open_with(config(Mode::Ask), folder.path(), street, NOW);
        responder.incident(&incident(&[&street.camera]), NOW);
        let notices = responder.tick(NOW);
        let waiting = plans(&notices)[0].clone();
        assert_eq!(waiting.status, PlanStatus::Proposed);
        assert!(!cut(street));
        // It grew since the person looked: back it goes, with the difference.
        responder.incident(&incident(&[&street.camera, &street.neighbour]), NOW.plus_secs(1));
        let notices = responder.tick(NOW.plus_secs(1));
        let statuses: Vec<(bool, PlanStatus)> =
            plans(&notices).iter().map(|plan| (plan.id == waiting.id, plan.status)).collect();
        assert_eq!(statuses, [(true, PlanStatus::Expired), (false, PlanStatus::Proposed)]);
        responder.order(Order::Approve { plan: waiting.id.clone(), who: "ada".into() }, NOW.plus_secs(2));
        assert!(!cut(street), "what is approved is what was seen");
        let current = plans(&notices)[1].clone();
        // A restart in between: the plan still waits.
        drop(responder);
        let mut responder = open_with(config(Mode::Ask), folder.path(), street, NOW.plus_secs(3));
        responder.order(Order::Approve { plan: current.id.clone(), who: "ada".into() }, NOW.plus_secs(4));
        assert!(cut(street));
        let notices = responder.tick(NOW.plus_secs(4));
        let active = plans(&notices).into_iter().find(|plan| plan.status == PlanStatus::Active).unwrap();
        assert_eq!(active.id, current.id);
        assert!(state(folder.path()).in_force.iter().all(|held| held.grant.by().to_string() == "ada"));

        // Refused is refused.
        responder.order(Order::UndoAll { who: "ada".into() }, NOW.plus_secs(5));
        responder.incident(&incident(&[&street.camera]), NOW.plus_secs(6));
        let notices = responder.tick(NOW.plus_secs(6));
        let id = plans(&notices).last().unwrap().id.clone();
        responder.order(Order::Refuse { plan: id, who: "bob".into() }, NOW.plus_secs(7));
        let mut grown = incident(&[&street.camera]);
        grown.findings = 50;
        responder.incident(&grown, NOW.plus_secs(8));
        let notices = responder.tick(NOW.plus_secs(8));
        assert!(!plans(&notices).iter().any(|plan| plan.status == PlanStatus::Proposed), "{notices:?}");
        assert!(!cut(street));
    });
}

#[test]
fn the_lever_works_from_the_command_line_with_the_sensor_at_work_and_dead() {
    in_namespaces("the_lever_works_from_the_command_line_with_the_sensor_at_work_and_dead", |street| {
        let folder = tempfile::tempdir().unwrap();
        let before = rules();
        let mut responder = open(folder.path(), street, NOW);
        responder.incident(&incident(&[&street.camera]), NOW);
        assert!(cut(street));
        assert_eq!(hand::stop(folder.path(), "ada", NOW.plus_secs(1)).unwrap(), 1);
        assert!(!cut(street));
        assert_eq!(rules(), before);
        // The running sensor honours it at once, and tells.
        responder.incident(&incident(&[&street.camera, &street.neighbour]), NOW.plus_secs(2));
        assert!(!cut(street));
        let notices = responder.tick(NOW.plus_secs(2));
        assert!(effects(&notices).contains(&Effect::Undone), "{notices:?}");
        assert!(plans(&notices).iter().any(|plan| plan.status == PlanStatus::Undone));
        assert!(plans(&notices).iter().any(|plan| {
            plan.status == PlanStatus::Shown && plan.because.contains("responding is stopped")
        }));
        assert!(acts(&notices).contains(&Act::Stopped), "what the command line wrote is told too");
        assert!(hand::status(folder.path()).unwrap().stopped);
        hand::resume(folder.path(), "ada", NOW.plus_secs(3)).unwrap();
        responder.tick(NOW.plus_secs(3));
        responder.incident(&incident(&[&street.camera, &street.neighbour]), NOW.plus_secs(4));
        assert!(cut(street));

        // One command, from the command line.
        let held = hand::status(folder.path()).unwrap().in_force;
        let camera =
            held.iter().find(|held| held.command.on.subject() == street.camera.mac.to_string()).unwrap();
        hand::undo(folder.path(), &camera.command.id, "ada", NOW.plus_secs(5)).unwrap();
        assert!(hand::undo(folder.path(), &camera.command.id, "ada", NOW.plus_secs(5)).is_err());
        assert_eq!(passes(&street.camera, &street.outside, false, 5000, 5), 5);
        assert_eq!(passes(&street.neighbour, &street.outside, false, 5000, 5), 0);
        responder.incident(&incident(&[&street.camera, &street.neighbour]), NOW.plus_secs(6));
        assert_eq!(passes(&street.camera, &street.outside, false, 5000, 5), 5, "a person's word wins");

        // Dead sensor, damaged state.
        drop(responder);
        fs::write(folder.path().join("commands.json"), b"{\"version\":1,").unwrap();
        hand::undo_all(folder.path(), "ada", NOW.plus_secs(7)).unwrap();
        assert_eq!(rules(), before);
        // No state at all.
        let mut responder = open(folder.path(), street, NOW.plus_secs(8));
        responder.incident(&incident(&[&street.camera]), NOW.plus_secs(8));
        assert_ne!(rules(), before);
        fs::remove_dir_all(folder.path()).unwrap();
        hand::stop(folder.path(), "ada", NOW.plus_secs(9)).unwrap();
        assert_eq!(rules(), before);
        assert!(folder.path().join("stopped").exists());
        // By hand: a file is enough.
        drop(responder);
        let other = tempfile::tempdir().unwrap();
        let mut responder = open(other.path(), street, NOW);
        responder.incident(&incident(&[&street.camera]), NOW);
        assert!(cut(street));
        fs::write(other.path().join("stopped"), b"").unwrap();
        responder.tick(NOW.plus_secs(1));
        assert!(!cut(street));
        assert_eq!(rules(), before);
    });
}

#[test]
fn what_was_in_force_is_taken_over_after_a_crash_and_applied_again_after_a_reboot() {
    in_namespaces(
        "what_was_in_force_is_taken_over_after_a_crash_and_applied_again_after_a_reboot",
        |street| {
            let folder = tempfile::tempdir().unwrap();
            let mut responder = open(folder.path(), street, NOW);
            responder.incident(&incident(&[&street.camera]), NOW);
            drop(responder);
            assert!(cut(street), "it holds without the program");
            let mut responder = open(folder.path(), street, NOW.plus_secs(10));
            let notices = responder.tick(NOW.plus_secs(10));
            assert!(
                !acts(&notices).iter().any(|act| matches!(act, Act::Applying { .. })),
                "taken over: {notices:?}"
            );
            assert!(plans(&notices).iter().any(|plan| plan.status == PlanStatus::Active));
            drop(responder);

            // A reboot: the kernel forgets.
            run("nft flush ruleset");
            assert!(!cut(street));
            let mut responder = open(folder.path(), street, NOW.plus_secs(1000));
            assert!(cut(street));
            assert!(
                acts(&responder.tick(NOW.plus_secs(1000)))
                    .iter()
                    .any(|act| matches!(act, Act::Applying { .. }))
            );
            let left: u64 = shown_timeout("stopped_m");
            assert!((2500..=2600).contains(&left), "the rest of the hour: {left} s");

            // Somebody's firewall reload empties everything while the sensor runs.
            run("nft flush ruleset");
            for n in 0..8 {
                responder.tick(NOW.plus_secs(1001 + n));
            }
            assert!(cut(street));

            // Past its end nothing comes back.
            drop(responder);
            run("nft flush ruleset");
            let mut responder = open(folder.path(), street, NOW.plus_secs(3601));
            assert!(!cut(street));
            assert!(effects(&responder.tick(NOW.plus_secs(3601))).contains(&Effect::Expired));
            assert_journal_is_whole(folder.path());

            // Stopped while it was down: nothing comes back either.
            let mut grown = incident(&[&street.neighbour]);
            grown.id = "inc-00000000000000aa".parse().unwrap();
            responder.incident(&grown, NOW.plus_secs(3700));
            assert_eq!(state(folder.path()).in_force.len(), 1);
            drop(responder);
            run("nft flush ruleset");
            fs::write(folder.path().join("stopped"), b"").unwrap();
            drop(open(folder.path(), street, NOW.plus_secs(3800)));
            assert_eq!(state(folder.path()).in_force.len(), 0);
            assert_eq!(passes(&street.neighbour, &street.outside, false, 5000, 5), 5);
        },
    );
}

fn shown_timeout(set: &str) -> u64 {
    let listed = run(&format!("nft -j list set bridge bastide {set}"));
    let value: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    value["nftables"][1]["set"]["elem"][0]["elem"]["expires"].as_u64().unwrap()
}

#[test]
fn what_ran_out_is_watched_and_done_again_for_longer_only_where_the_attack_goes_on() {
    in_namespaces(
        "what_ran_out_is_watched_and_done_again_for_longer_only_where_the_attack_goes_on",
        |street| {
            let folder = tempfile::tempdir().unwrap();
            let short = ResponseConfig { isolate_for_secs: 1, probe_secs: 30, ..config(Mode::Auto) };
            let mut responder = open_with(short, folder.path(), street, NOW);
            let before = rules();
            let mut story = incident(&[&street.camera]);
            responder.incident(&story, NOW);
            assert!(cut(street));
            thread::sleep(Duration::from_millis(1300));
            assert!(!cut(street), "the kernel lets go by itself");
            let notices = responder.tick(NOW.plus_secs(2));
            assert!(effects(&notices).contains(&Effect::Expired));
            assert!(plans(&notices).iter().any(|plan| plan.status == PlanStatus::Expired));
            assert_eq!(rules(), before);

            // News of the incident, but the camera talks to nobody new.
            story.last = NOW.plus_secs(3);
            responder.incident(&story, NOW.plus_secs(3));
            assert!(!cut(street));
            // It attacks again.
            responder.flow(&attack_flow(street, NOW.plus_secs(4)));
            story.last = NOW.plus_secs(4);
            responder.incident(&story, NOW.plus_secs(4));
            assert!(cut(street));
            let notices = responder.tick(NOW.plus_secs(4));
            assert!(
                acts(&notices).iter().any(|act| matches!(act, Act::GoesOn { seconds: 2, .. })),
                "{notices:?}"
            );
            let held = &state(folder.path()).in_force[0];
            assert_eq!(held.command.expires.seconds_since(held.command.created), 2.0, "twice as long");

            // This time it stays quiet: off it is.
            thread::sleep(Duration::from_millis(2300));
            responder.tick(NOW.plus_secs(7));
            let notices = responder.tick(NOW.plus_secs(40));
            assert!(acts(&notices).iter().any(|act| matches!(act, Act::Quiet { .. })), "{notices:?}");
            story.last = NOW.plus_secs(41);
            responder.incident(&story, NOW.plus_secs(41));
            assert!(!cut(street));
            assert_journal_is_whole(folder.path());
        },
    );
}

fn attack_flow(street: &Street, at: Timestamp) -> model::FlowUpdate {
    let counts = model::Counts { packets_out: 10, ..model::Counts::default() };
    model::FlowUpdate {
        id: 1,
        key: model::FlowKey {
            src: street.camera.v4,
            dst: street.outside.v4,
            src_port: 4000,
            dst_port: 23,
            protocol: Protocol::TCP,
        },
        phase: model::Phase::Opened,
        first: at,
        last: at,
        delta: counts,
        total: counts,
        outcome: model::Outcome::Pending,
        visibility: model::Visibility::Both,
        service: model::Service::Unknown,
        src_mac: Some(street.camera.mac),
        dst_mac: None,
        hops: None,
        flags_out: 2,
        flags_in: 0,
        opened_by: model::RecordRef::default(),
    }
}

#[test]
fn a_receipt_says_without_effect_where_packets_are_seen_and_none_is_stopped() {
    in_namespaces("a_receipt_says_without_effect_where_packets_are_seen_and_none_is_stopped", |street| {
        let folder = tempfile::tempdir().unwrap();
        let mut responder = open(folder.path(), street, NOW);
        responder.incident(&incident(&[&street.camera]), NOW);
        assert!(
            responder.is_watching()
                && responder.watches(street.camera.v4)
                && responder.watches(street.camera.v6)
        );
        let seen = |at: i64, dst_port: u16, passed: bool| Sighting {
            at: NOW.plus_secs(at),
            src: street.camera.v4,
            dst: street.outside.v4,
            src_mac: Some(street.camera.mac),
            protocol: Protocol::UDP,
            src_port: 4000,
            dst_port,
            passed,
            packets: 20,
        };
        // Within the grace, and leases: prove nothing.
        responder.sighting(&seen(1, 80, false));
        responder.sighting(&Sighting { src_port: 68, ..seen(5, 67, true) });
        assert!(!effects(&receipts(&mut responder, 5)).contains(&Effect::WithoutEffect));
        // Seen on a mirror port, and the filter stops nothing.
        responder.sighting(&seen(9, 80, false));
        let notices = receipts(&mut responder, 10);
        assert!(effects(&notices).contains(&Effect::WithoutEffect), "{notices:?}");
        assert!(acts(&notices).iter().any(|act| matches!(act, Act::Outcome { .. })));
        // The kernel does stop packets: what only arrives no longer counts against it.
        assert!(cut(street));
        assert!(effects(&receipts(&mut responder, 15)).contains(&Effect::Effective));
        // But what is seen leaving does.
        responder.sighting(&seen(20, 80, true));
        responder.sighting(&seen(21, 80, true));
        assert!(effects(&receipts(&mut responder, 22)).contains(&Effect::WithoutEffect));
    });
}

#[test]
fn a_mirror_port_stops_nothing_and_says_so() {
    let street_less = tempfile::tempdir().unwrap();
    let actuator = Box::new(Mirror::new("this machine forwards nothing of what it sees"));
    let mut responder =
        Responder::open(config(Mode::Auto), NetSet::private(), street_less.path(), actuator, NOW).unwrap();
    let mut camera = incident(&[]);
    let address = "10.0.0.7".parse().unwrap();
    let mac = "02:00:5e:10:00:07".parse().unwrap();
    camera.assets.push(IncidentAsset {
        address,
        mac: Some(mac),
        role: Role::Infected,
        proof: Proof::Hardware,
        home: true,
    });
    responder.asset(&Asset {
        id: "x".into(),
        authority_id: AuthorityId::local(),
        layer: Layer::Device,
        kind: Kind("camera".into()),
        confidence: 90,
        reasons: Vec::new(),
        criticality: Criticality::Ordinary,
        status: AssetStatus::Discovered,
        name: None,
        vendor: None,
        mac: Some(mac),
        addresses: vec![address],
        functions: Vec::new(),
        first_seen: NOW,
        last_seen: NOW,
        declared: None,
    });
    responder.incident(&camera, NOW);
    let notices = responder.tick(NOW);
    assert_eq!(effects(&notices), [Effect::WithoutEffect]);
    assert!(plans(&notices)[0].because.contains("nothing is stopped here"), "{notices:?}");
}

#[test]
fn what_an_earlier_run_put_into_the_kernel_is_taken_out_also_where_this_one_can_stop_nothing() {
    in_namespaces(
        "what_an_earlier_run_put_into_the_kernel_is_taken_out_also_where_this_one_can_stop_nothing",
        |street| {
            let folder = tempfile::tempdir().unwrap();
            let both = incident(&[&street.camera, &street.neighbour]);
            let before = rules();
            open(folder.path(), street, NOW).incident(&both, NOW);
            assert!(cut(street));
            let mirror = Box::new(Mirror::new("this machine forwards nothing any more"));
            let mut responder = Responder::open(
                config(Mode::Auto),
                NetSet::private(),
                folder.path(),
                mirror,
                NOW.plus_secs(1),
            )
            .unwrap();
            let held = state(folder.path()).in_force;
            let camera =
                held.iter().find(|held| held.command.on.subject() == street.camera.mac.to_string()).unwrap();
            let order = Order::Undo { command: camera.command.id.clone(), who: "ada".into() };
            responder.order(order, NOW.plus_secs(2));
            assert_eq!(passes(&street.camera, &street.outside, false, 5000, 5), 5);
            assert_eq!(passes(&street.neighbour, &street.outside, false, 5000, 5), 0);
            responder.order(Order::StopResponding { who: "ada".into() }, NOW.plus_secs(3));
            assert_eq!(rules(), before);
        },
    );
}

#[test]
fn incidents_that_merge_keep_what_people_said() {
    in_namespaces("incidents_that_merge_keep_what_people_said", |street| {
        let folder = tempfile::tempdir().unwrap();
        let mut responder = open(folder.path(), street, NOW);
        responder.incident(&incident(&[&street.camera]), NOW);
        responder.order(Order::UndoAll { who: "ada".into() }, NOW.plus_secs(1));
        let mut merged = incident(&[&street.camera]);
        merged.supersedes = vec![merged.id.clone()];
        merged.id = "inc-00000000000000bb".parse().unwrap();
        responder.incident(&merged, NOW.plus_secs(2));
        assert!(!cut(street));
        let notices = responder.tick(NOW.plus_secs(2));
        assert!(plans(&notices).iter().any(|plan| plan.because.contains("ada took it back")), "{notices:?}");
    });
}

#[test]
fn what_a_device_is_may_become_known_after_the_incident() {
    in_namespaces("what_a_device_is_may_become_known_after_the_incident", |street| {
        let folder = tempfile::tempdir().unwrap();
        let config = config(Mode::Auto);
        let actuator: Box<dyn Actuator> = Box::new(Nftables::open(&config, "test").unwrap());
        let mut responder = Responder::open(config, NetSet::private(), folder.path(), actuator, NOW).unwrap();
        responder.incident(&incident(&[&street.camera]), NOW);
        let notices = responder.tick(NOW);
        assert!(plans(&notices)[0].withheld[0].reason.contains("nobody knows what it is"), "{notices:?}");
        assert!(!cut(street));
        responder.asset(&asset(&street.camera));
        responder.tick(NOW.plus_secs(1));
        assert!(cut(street));
    });
}

#[test]
fn a_damaged_journal_is_set_aside_in_the_open_and_a_torn_one_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let actuator = Box::new(Mirror::new("a test"));
        Responder::open(config(Mode::Ask), NetSet::private(), folder.path(), actuator, NOW).unwrap()
    };
    let journal = folder.path().join("journal.ndjson");
    drop(open());
    drop(open());
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 7]).unwrap();
    let notes = |responder: &mut Responder| -> Vec<String> {
        let notices = responder.tick(NOW);
        let notes = acts(&notices).into_iter().filter_map(|act| match act {
            Act::Noted { note } => Some(note),
            _ => None,
        });
        notes.collect()
    };
    let told = notes(&mut open());
    assert!(told.len() == 1 && told[0].contains("torn") && told[0].contains("were cut off"), "{told:?}");
    assert_journal_is_whole(folder.path());
    let mut bad = fs::read(&journal).unwrap();
    bad[30] ^= 1;
    fs::write(&journal, &bad).unwrap();
    let told = notes(&mut open());
    assert!(told.len() == 1 && told[0].contains("set aside as journal.damaged-1"), "{told:?}");
    assert_journal_is_whole(folder.path());
    assert_eq!(fs::read(folder.path().join("journal.damaged-1")).unwrap(), bad);
}

#[test]
fn wrong_settings_and_folders_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let open = |config: ResponseConfig, path: &Path| {
        Responder::open(config, NetSet::private(), path, Box::new(Mirror::new("a test")), NOW).map(|_| ())
    };
    let wrong = ResponseConfig { auto_confidence: 200, ..config(Mode::Ask) };
    assert!(open(wrong, folder.path()).unwrap_err().to_string().contains("response.auto_confidence"));
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(open(config(Mode::Ask), &file).unwrap_err().to_string().contains("file"));
}
