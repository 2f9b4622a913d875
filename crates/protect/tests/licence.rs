//! The licence, by tables: when the settings let a command run by itself, when a person is asked, and why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::{
    Action, Command, CommandId, ContentHasher, Criticality, Hit, Incident, IncidentAsset, Kind, Mac, Proof,
    Protocol, Role, Severity, Target, Timestamp,
};
use protect::{By, Decision, Licence, PermitError, ResponseConfig};
use std::net::IpAddr;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn camera(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

fn hit(address: IpAddr, criticality: Criticality) -> Hit {
    Hit { address, name: None, kind: Kind("x".into()), criticality, loses: "1 flow".into() }
}

fn command(action: Action, on: Target, kind: &str) -> Command {
    let hits = match &on {
        Target::Device { addresses, .. } => vec![hit(addresses[0], Criticality::Ordinary)],
        _ => Vec::new(),
    };
    Command {
        id: CommandId::from_content(ContentHasher::new().part(on.subject()).part(action.verb())),
        action,
        on,
        why: String::new(),
        hits,
        created: NOW,
        expires: NOW.plus_secs(3600),
        inverse: String::new(),
        kind: Kind(kind.into()),
    }
}

fn isolate(number: u8) -> Command {
    let on = Target::Device { addresses: vec![camera(number)], mac: Some(Mac([2, 0, 0, 0, 0, number])) };
    command(Action::Isolate { keep: Vec::new() }, on, "camera")
}

fn block(number: u8) -> Command {
    command(Action::Block, Target::Remote { address: IpAddr::from([203, 0, 113, number]) }, "camera")
}

fn incident() -> Incident {
    let asset = |address, role, proof, home| IncidentAsset { address, mac: None, role, proof, home };
    let cameras = (0..=255).map(|n| asset(camera(n), Role::Infected, Proof::Hardware, true));
    let remotes =
        (0..=255).map(|n| asset(IpAddr::from([203, 0, 113, n]), Role::Controller, Proof::Handshake, false));
    Incident {
        id: "inc-0123456789abcdef".parse().unwrap(),
        title: String::new(),
        severity: Severity::High,
        confidence: 90,
        stages: Vec::new(),
        techniques: Vec::new(),
        first: NOW,
        last: NOW,
        assets: cameras.chain(remotes).collect(),
        assets_omitted: 0,
        findings: 1,
        flows: 1,
        summary: String::new(),
        joined: Vec::new(),
        evidence: Vec::new(),
        advice: Vec::new(),
        supersedes: Vec::new(),
    }
}

fn auto() -> ResponseConfig {
    toml::from_str("kinds = { camera = 'auto' }\ncap_share_of_kind = 1.0").unwrap()
}

fn word(decision: Decision) -> String {
    match decision {
        Decision::Act(_) => "act".into(),
        Decision::Ask(reason) => format!("ask: {reason}"),
        Decision::Show(reason) => format!("show: {reason}"),
    }
}

#[test]
fn only_what_the_settings_name_runs_by_itself() {
    let check = |settings: &str, change: &dyn Fn(&mut Command, &mut Incident), expected: &str| {
        let config: ResponseConfig = toml::from_str(settings).unwrap();
        let (mut command, mut incident) = (isolate(7), incident());
        change(&mut command, &mut incident);
        let told = word(Licence::new().decide(&command, &incident, 100, &config, NOW));
        assert!(told.starts_with(expected), "{settings}: {expected}: {told}");
    };
    let nothing = |_: &mut Command, _: &mut Incident| {};
    let camera_auto = "kinds = { camera = 'auto' }";
    check(camera_auto, &nothing, "act");
    check("mode = 'auto'", &nothing, "act");
    check("", &nothing, "ask: responding asks a person for the kind camera");
    check("mode = 'off'", &nothing, "show: responding is off for the kind camera");
    check("mode = 'off'\nkinds = { camera = 'auto' }", &nothing, "act");
    check(
        "mode = 'auto'",
        &|command, _| command.kind = Kind::unknown(),
        "ask: responding asks a person for assets of unknown kind",
    );
    check(camera_auto, &|_, incident| incident.severity = Severity::Low, "ask: the incident is low");
    check(camera_auto, &|_, incident| incident.confidence = 49, "ask: the incident is 49 % sure");
    check(camera_auto, &|_, incident| incident.assets.clear(), "ask: the evidence could be forged");
    check(
        camera_auto,
        &|_, incident| incident.assets.iter_mut().for_each(|asset| asset.proof = Proof::None),
        "ask: the evidence could be forged",
    );
    for criticality in [Criticality::Unknown, Criticality::Protected] {
        check(
            camera_auto,
            &|command, _| command.hits[0].criticality = criticality,
            "ask: the asset is protected",
        );
    }
    check(camera_auto, &|command, _| command.hits.clear(), "ask: the asset is protected, or nobody has said");
    check(
        camera_auto,
        &|command, _| command.hits.push(hit("192.168.0.1".parse().unwrap(), Criticality::Protected)),
        "ask: 192.168.0.1 would be hit too",
    );
    check(
        camera_auto,
        &|command, _| command.hits.push(hit("192.168.0.1".parse().unwrap(), Criticality::Important)),
        "act",
    );
    check(
        camera_auto,
        &|command, _| {
            let mut router = hit("192.168.0.1".parse().unwrap(), Criticality::Protected);
            router.kind = Kind("gateway-router".into());
            command.hits.push(router);
        },
        "act",
    );
    check(
        camera_auto,
        &|command, _| command.action = Action::Restrict { peers: Vec::new() },
        "ask: to restrict needs a person",
    );
    check(camera_auto, &|command, _| *command = block(5), "act");
    check(
        camera_auto,
        &|command, _| {
            *command = block(5);
            command.hits.push(hit("192.168.0.1".parse().unwrap(), Criticality::Ordinary));
        },
        "ask: 192.168.0.1 would be hit too",
    );
    check(
        camera_auto,
        &|command, _| {
            *command = block(5);
            command.hits.push(hit(camera(9), Criticality::Ordinary));
        },
        "act",
    );
    check(
        camera_auto,
        &|command, _| {
            command.on = Target::Flow {
                src: "0.0.0.0".parse().unwrap(),
                dst: camera(7),
                protocol: Protocol::UDP,
                port: None,
            };
            command.action = Action::Limit { packets_per_second: 10 };
        },
        "ask: limiting a flow hits honest senders too",
    );
}

#[test]
fn caps_turn_acting_into_asking_and_slide_with_the_hour() {
    let mut licence = Licence::new();
    let config = auto();
    let mut decide = |number: u8, secs: i64| {
        word(licence.decide(&isolate(number), &incident(), 1000, &config, NOW.plus_secs(secs)))
    };
    for number in 1..=5 {
        assert_eq!(decide(number, i64::from(number) * 60), "act");
    }
    assert_eq!(decide(6, 400), "ask: 5 assets were acted on within the hour and the cap is 5");
    assert_eq!(decide(3, 400), "act", "who counts already counts once");
    assert!(decide(6, 3600).starts_with("ask"));
    assert_eq!(decide(6, 3661), "act", "the first is over an hour ago");
    assert!(decide(7, 3662).starts_with("ask"));
}

#[test]
fn the_stricter_of_both_caps_counts_and_one_asset_may_always_be_hit() {
    let check = |share: f64, per_hour: u32, known: usize, expected: usize| {
        let mut licence = Licence::new();
        let config = ResponseConfig { cap_share_of_kind: share, cap_assets_per_hour: per_hour, ..auto() };
        let acted = (1..=50)
            .filter(|&number| {
                let decision = licence.decide(&isolate(number), &incident(), known, &config, NOW);
                matches!(decision, Decision::Act(_))
            })
            .count();
        assert_eq!(acted, expected, "{share} {per_hour} {known}");
    };
    check(0.02, 5, 0, 1);
    check(0.02, 5, 12, 1);
    check(0.02, 5, 99, 1);
    check(0.02, 5, 100, 2);
    check(0.02, 5, 10_000, 5);
    check(1.0, 5, 3, 3);
    check(0.0, 5, 10_000, 1);
    check(1.0, 0, 10_000, 0);
    check(0.5, 40, 60, 30);
}

#[test]
fn remote_addresses_have_a_cap_of_their_own() {
    let mut licence = Licence::new();
    let config = ResponseConfig { cap_blocks_per_hour: 3, ..auto() };
    let mut told: Vec<String> = Vec::new();
    for number in 1..=4 {
        told.push(word(licence.decide(&block(number), &incident(), 1, &config, NOW)));
    }
    assert_eq!(told[..3], ["act", "act", "act"]);
    assert!(told[3].contains("3 remote addresses were acted on within the hour and the cap is 3"));
    assert_eq!(word(licence.decide(&isolate(1), &incident(), 1, &config, NOW)), "act");
}

#[test]
fn the_caps_survive_a_restart_and_people_count_but_are_not_bound() {
    let mut licence = Licence::new();
    for number in 1..=7 {
        licence.approve(&isolate(number), "ada", &auto(), NOW).unwrap();
    }
    let mut next = Licence::resume(licence.acted().cloned().collect::<Vec<_>>());
    let told = word(next.decide(&isolate(8), &incident(), 1000, &auto(), NOW.plus_secs(10)));
    assert!(told.starts_with("ask: 7 assets"), "{told}");
    let permit = next.approve(&isolate(8), "ada", &auto(), NOW).unwrap();
    assert_eq!(permit.by(), &By::Person("ada".into()));
}

#[test]
fn a_permit_holds_for_one_command_and_its_rest_only() {
    let config = auto();
    let permit = Licence::new().approve(&isolate(7), " ada ", &config, NOW).unwrap();
    assert!(permit.covers(&isolate(7)));
    assert!(!permit.covers(&isolate(8)));
    for change in [
        (|command: &mut Command| command.expires = command.expires.plus_secs(1)) as fn(&mut Command),
        |command| command.action = Action::Block,
        |command| command.on = Target::Remote { address: camera(7) },
        |command| command.id = isolate(8).id,
    ] {
        let mut other = isolate(7);
        change(&mut other);
        assert!(!permit.covers(&other));
        assert_eq!(
            Licence::rest(&other, &permit.grant(), NOW).unwrap_err(),
            PermitError::OtherCommand(other.id.clone())
        );
    }
    assert!(Licence::rest(&isolate(7), &permit.grant(), NOW.plus_secs(3599)).unwrap().covers(&isolate(7)));
    assert!(matches!(
        Licence::rest(&isolate(7), &permit.grant(), NOW.plus_secs(3600)),
        Err(PermitError::Expired(..))
    ));
    assert_eq!(Licence::new().approve(&isolate(7), "  ", &config, NOW).unwrap_err(), PermitError::Nobody);
    assert_eq!(permit.configuration(), config.fingerprint());
}

#[test]
fn a_clock_that_was_set_back_does_not_empty_the_caps() {
    let mut licence = Licence::new();
    for number in 1..=5 {
        licence.decide(&isolate(number), &incident(), 1000, &auto(), NOW);
    }
    let told = word(licence.decide(&isolate(6), &incident(), 1000, &auto(), NOW.plus_secs(-86_400)));
    assert!(told.starts_with("ask"), "{told}");
}
