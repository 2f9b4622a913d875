//! Quarantine of suspended assets in a real kernel: with the suspension, as long as it stands, and not longer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, missing_docs, dead_code, reason = "tests; the street is shared")]

mod fixture;
mod street;

use fixture::{NOW, botnet, camera, state};
use model::{Asset, Criticality, Effect, NetSet, Plan, PlanStatus, Suspension, Timestamp};
use protect::{Mode, ResponseConfig};
use sensor::{
    Notice, Order,
    respond::{Responder, nft::Nftables, verify_file},
};
use std::path::Path;
use stop::Actuator;
use street::{Host, Street, in_namespaces, passes, rules};

fn asset(host: &Host) -> Asset {
    camera(host.mac, &[host.v4, host.v6])
}

fn config() -> ResponseConfig {
    ResponseConfig { cap_share_of_kind: 1.0, ..ResponseConfig::default() }
}

fn open(config: ResponseConfig, folder: &Path, now: Timestamp) -> Responder {
    let actuator: Box<dyn Actuator> = Box::new(Nftables::open(&config, "test").unwrap());
    Responder::open(config, NetSet::private(), folder, actuator, now).unwrap()
}

fn suspended(assets: &[Asset]) -> Order {
    let suspension = |asset: &Asset| Suspension { asset: asset.clone(), at: NOW, who: "ada".into() };
    Order::Suspended { assets: assets.iter().map(suspension).collect(), who: "ada".into() }
}

fn cut(street: &Street, host: &Host) -> bool {
    let inside = passes(host, &street.resolver, false, 5000, 5);
    let outside = passes(host, &street.outside, true, 5000, 5);
    assert!((inside == 0) == (outside == 0), "half cut: {inside} {outside}");
    inside == 0
}

fn plans(notices: &[Notice]) -> Vec<Plan> {
    let plan = |notice: &Notice| match notice {
        Notice::Plan(plan) => Some((**plan).clone()),
        _ => None,
    };
    notices.iter().filter_map(plan).collect()
}

#[test]
fn quarantine_stands_and_falls_with_the_suspension() {
    in_namespaces("quarantine_stands_and_falls_with_the_suspension", |street| {
        let folder = tempfile::tempdir().unwrap();
        let before = rules();
        let mut responder = open(config(), folder.path(), NOW);
        // Not seen here yet: what was told is what is known.
        responder.order(suspended(&[asset(&street.camera)]), NOW);
        assert!(cut(street, &street.camera) && !cut(street, &street.neighbour));
        let notices = responder.tick(NOW);
        let plan = plans(&notices).pop().unwrap();
        assert_eq!((plan.status, plan.commands.len()), (PlanStatus::Active, 1));
        assert!(plan.because.starts_with("ada took its identity away"), "{}", plan.because);
        assert_eq!(plan.incident, Suspension::incident_id(&asset(&street.camera).id, NOW));

        // The same told again changes nothing; at half of its time it is renewed.
        responder.order(suspended(&[asset(&street.camera)]), NOW.plus_secs(5));
        assert!(plans(&responder.tick(NOW.plus_secs(5))).is_empty());
        let first = state(folder.path()).in_force[0].command.clone();
        responder.tick(NOW.plus_secs(12 * 3_600 + 60));
        let renewed = state(folder.path()).in_force[0].command.clone();
        assert_eq!(renewed.id, first.id);
        assert_eq!(renewed.expires, NOW.plus_secs(36 * 3_600 + 60));

        // Restored, it talks again; what others did to others stays.
        let mut other = botnet(&[(street.neighbour.v4, street.neighbour.mac)]);
        other.last = NOW.plus_secs(43_300);
        responder.asset(&asset(&street.neighbour));
        responder.incident(&other, NOW.plus_secs(43_300));
        let waiting = plans(&responder.tick(NOW.plus_secs(43_300))).pop().unwrap().id;
        responder.order(Order::Approve { plan: waiting, who: "ben".into() }, NOW.plus_secs(43_301));
        responder.order(suspended(&[]), NOW.plus_secs(43_302));
        assert!(!cut(street, &street.camera) && cut(street, &street.neighbour));
        responder.order(Order::UndoAll { who: "ben".into() }, NOW.plus_secs(43_303));
        assert_eq!(rules(), before, "nothing stays");
        assert_eq!(verify_file(folder.path()).unwrap().unwrap().fault, None);
    });
}

#[test]
fn quarantine_follows_the_addresses_and_outlasts_a_restart() {
    in_namespaces("quarantine_follows_the_addresses_and_outlasts_a_restart", |street| {
        let folder = tempfile::tempdir().unwrap();
        let first = camera(street.camera.mac, &[street.camera.v4]);
        {
            let mut responder = open(config(), folder.path(), NOW);
            responder.order(suspended(std::slice::from_ref(&first)), NOW);
            assert_eq!(passes(&street.camera, &street.resolver, false, 5000, 5), 0);
        }
        // Another run, that is told nothing, sees it with another address.
        let mut responder = open(config(), folder.path(), NOW.plus_secs(1));
        let mut moved = camera(street.camera.mac, &["10.9.0.77".parse().unwrap(), street.camera.v6]);
        moved.last_seen = NOW.plus_secs(2);
        responder.asset(&moved);
        responder.tick(NOW.plus_secs(2));
        assert!(cut(street, &street.camera));
        let held = state(folder.path()).in_force;
        let [held] = held.as_slice() else { panic!("{held:?}") };
        let model::Target::Device { addresses, .. } = &held.command.on else { panic!("{held:?}") };
        assert!(addresses.contains(&"10.9.0.77".parse().unwrap()) && addresses.contains(&street.camera.v6));
        // An address that another device has by now is that one's.
        let mut heir = camera(street.neighbour.mac, &[street.camera.v4]);
        heir.last_seen = NOW.plus_secs(20);
        responder.asset(&heir);
        responder.tick(NOW.plus_secs(20));
        let held = state(folder.path()).in_force;
        let model::Target::Device { addresses, .. } = &held[0].command.on else { panic!("{held:?}") };
        assert!(!addresses.contains(&street.camera.v4), "{addresses:?}");
    });
}

#[test]
fn nothing_goes_around_settings_lever_or_a_persons_word() {
    in_namespaces("nothing_goes_around_settings_lever_or_a_persons_word", |street| {
        let camera = asset(&street.camera);
        let unknown = Asset { criticality: Criticality::Unknown, ..camera.clone() };
        let off = [("camera".to_owned(), Mode::Off)].into();
        for (config, asset, reason) in [
            (ResponseConfig { keep: vec![street.camera.v4], ..config() }, &camera, "it is Bastide itself"),
            (
                ResponseConfig { never: vec!["fd09::/64".parse().unwrap()], ..config() },
                &camera,
                "never acted on",
            ),
            (ResponseConfig { kinds: off, ..config() }, &camera, "responding is off for the kind camera"),
            (config(), &unknown, "nobody has said how critical"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut responder = open(config, folder.path(), NOW);
            responder.order(suspended(std::slice::from_ref(asset)), NOW);
            assert!(!cut(street, &street.camera), "{reason}");
            let plan = plans(&responder.tick(NOW)).pop().unwrap();
            assert_eq!(plan.status, PlanStatus::Shown);
            assert!(plan.withheld.iter().all(|withheld| withheld.reason.contains(reason)), "{plan:?}");
        }

        let folder = tempfile::tempdir().unwrap();
        let mut responder = open(config(), folder.path(), NOW);
        responder.order(Order::StopResponding { who: "ben".into() }, NOW);
        responder.order(suspended(&[camera]), NOW);
        assert!(!cut(street, &street.camera));
        let plan = plans(&responder.tick(NOW)).pop().unwrap();
        assert_eq!((plan.status, plan.because.as_str()), (PlanStatus::Shown, "responding is stopped"));
        responder.order(Order::ResumeResponding { who: "ben".into() }, NOW.plus_secs(1));
        assert!(cut(street, &street.camera), "it is suspended still");
        // A person's word wins, until a person says otherwise.
        let command = state(folder.path()).in_force[0].command.id.clone();
        responder.order(Order::Undo { command, who: "ben".into() }, NOW.plus_secs(2));
        let notices = responder.tick(NOW.plus_secs(15));
        assert!(!cut(street, &street.camera));
        let waiting = plans(&notices).pop().unwrap();
        assert_eq!(waiting.status, PlanStatus::Proposed);
        assert!(waiting.because.contains("ben took it back"), "{}", waiting.because);
        responder.order(Order::Approve { plan: waiting.id, who: "ada".into() }, NOW.plus_secs(16));
        assert!(cut(street, &street.camera));
        let receipts = responder.tick(NOW.plus_secs(16));
        assert!(
            receipts.iter().any(
                |notice| matches!(notice, Notice::Receipt(receipt) if receipt.effect == Effect::Applied)
            )
        );
    });
}
