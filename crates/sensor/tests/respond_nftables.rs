//! The nftables actuator in a real kernel: what is stopped, what still passes, and that nothing stays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, missing_docs, reason = "tests")]

mod street;

use model::{Action, Command, CommandId, ContentHasher, Effect, Kind, Protocol, Target, Timestamp};
use protect::{Licence, ResponseConfig};
use sensor::respond::nft::Nftables;
use std::{net::IpAddr, thread, time::Duration};
use stop::Actuator;
use street::{Host, Street, in_namespaces, passes, reach_router, rules, run};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn config(street: &Street) -> ResponseConfig {
    ResponseConfig {
        resolvers: vec![street.resolver.v4, street.resolver.v6],
        keep: vec!["10.9.0.1".parse().unwrap()],
        ..ResponseConfig::default()
    }
}

fn command(name: &str, action: Action, on: Target, secs: i64) -> Command {
    Command {
        id: CommandId::from_content(ContentHasher::new().part(name)),
        action,
        on,
        why: name.into(),
        hits: Vec::new(),
        created: NOW,
        expires: NOW.plus_secs(secs),
        inverse: "let it talk again".into(),
        kind: Kind("camera".into()),
    }
}

fn device(host: &Host, mac: bool) -> Target {
    Target::Device { addresses: vec![host.v4, host.v6], mac: mac.then_some(host.mac) }
}

fn isolate(street: &Street, mac: bool, secs: i64) -> Command {
    let keep = vec![street.resolver.v4, street.resolver.v6];
    command("isolate", Action::Isolate { keep }, device(&street.camera, mac), secs)
}

fn apply(nftables: &mut Nftables, command: &Command) {
    let permit = Licence::new().approve(command, "a test", &ResponseConfig::default(), NOW).unwrap();
    let receipt = nftables.apply(command, permit, NOW);
    assert_eq!(receipt.effect, Effect::Applied, "{receipt:?}");
}

fn open(street: &Street) -> Nftables {
    Nftables::open(&config(street), "test").unwrap()
}

#[test]
fn an_isolated_device_reaches_nobody_but_what_is_kept() {
    in_namespaces("an_isolated_device_reaches_nobody_but_what_is_kept", |street| {
        for mac in [true, false] {
            let before = rules();
            let mut nftables = open(street);
            assert_eq!(rules(), before, "opening leaves nothing");
            let command = isolate(street, mac, 600);
            apply(&mut nftables, &command);
            for v6 in [false, true] {
                let case = format!("mac {mac} v6 {v6}");
                let Street { camera, neighbour, resolver, outside } = street;
                assert_eq!(passes(camera, neighbour, v6, 5000, 10), 0, "to a neighbour: {case}");
                assert_eq!(passes(camera, outside, v6, 5000, 10), 0, "to the outside: {case}");
                assert_eq!(passes(neighbour, camera, v6, 5000, 10), 0, "from a neighbour: {case}");
                assert_eq!(passes(outside, camera, v6, 5000, 10), 0, "from the outside: {case}");
                assert_eq!(
                    passes(camera, resolver, v6, 5000, 10),
                    0,
                    "to the resolver, another port: {case}"
                );
                let names = passes(camera, resolver, v6, 53, 200);
                assert!(
                    (15..=if mac { 40 } else { 60 }).contains(&names),
                    "names at a bounded rate: {case}: {names}"
                );
                assert!(passes(camera, resolver, v6, 123, 5) <= 5);
                assert_eq!(passes(neighbour, resolver, v6, 53, 100), 100, "others' names: {case}");
                assert_eq!(passes(neighbour, outside, v6, 5000, 10), 10, "others: {case}");
            }
            assert_eq!(reach_router(&street.camera, 5000, 50), 50, "Bastide itself stays reachable");
            let names = reach_router(&street.camera, 53, 150);
            assert!((10..=40).contains(&names), "but names have their rate there too: {names}");
            let counts = nftables.counts().unwrap();
            assert_eq!(counts.len(), 1);
            assert!(counts[0].packets_stopped >= 40, "{counts:?}");
            let receipt = nftables.undo(&command, NOW);
            assert_eq!(receipt.effect, Effect::Undone);
            assert!(receipt.packets_stopped >= 40);
            assert_eq!(rules(), before, "undoing leaves nothing");
            for v6 in [false, true] {
                assert_eq!(passes(&street.camera, &street.neighbour, v6, 5000, 10), 10);
                assert_eq!(passes(&street.camera, &street.outside, v6, 5000, 10), 10);
            }
        }
    });
}

#[test]
fn a_restricted_device_reaches_its_peers_only() {
    in_namespaces("a_restricted_device_reaches_its_peers_only", |street| {
        let mut nftables = open(street);
        let peers: Vec<IpAddr> = vec![street.neighbour.v4, street.neighbour.v6];
        let command = command("restrict", Action::Restrict { peers }, device(&street.camera, true), 600);
        apply(&mut nftables, &command);
        for v6 in [false, true] {
            assert_eq!(passes(&street.camera, &street.neighbour, v6, 5000, 100), 100, "to its peer");
            assert_eq!(passes(&street.neighbour, &street.camera, v6, 5000, 100), 100, "from its peer");
            assert_eq!(passes(&street.camera, &street.outside, v6, 5000, 10), 0);
            assert!(passes(&street.camera, &street.resolver, v6, 53, 5) > 0, "names");
        }
    });
}

#[test]
fn a_blocked_address_is_blocked_both_ways_and_nobody_else_is() {
    in_namespaces("a_blocked_address_is_blocked_both_ways_and_nobody_else_is", |street| {
        let before = rules();
        let mut nftables = open(street);
        let block =
            |host: IpAddr| command(&host.to_string(), Action::Block, Target::Remote { address: host }, 600);
        let (four, six) = (block(street.outside.v4), block(street.outside.v6));
        apply(&mut nftables, &four);
        assert_eq!(passes(&street.outside, &street.camera, false, 5000, 10), 0);
        assert_eq!(passes(&street.camera, &street.outside, false, 5000, 10), 0);
        assert_eq!(
            passes(&street.camera, &street.outside, true, 5000, 10),
            10,
            "its other address is not blocked"
        );
        apply(&mut nftables, &six);
        assert_eq!(passes(&street.outside, &street.camera, true, 5000, 10), 0);
        let stopped: Vec<u64> =
            nftables.counts().unwrap().iter().map(|count| count.packets_stopped).collect();
        // The neighbour discovery of a blocked address is not answered either: fewer IPv6 packets reach the filter.
        assert!(stopped.iter().all(|&stopped| stopped > 0), "{stopped:?}");
        assert_eq!(nftables.undo(&four, NOW).effect, Effect::Undone);
        assert_eq!(passes(&street.outside, &street.camera, false, 5000, 10), 10);
        assert_eq!(passes(&street.outside, &street.camera, true, 5000, 10), 0, "the other stays");
        assert_eq!(nftables.undo(&six, NOW).effect, Effect::Undone);
        assert_eq!(rules(), before);
    });
}

#[test]
fn a_limited_flow_passes_at_its_rate_and_others_are_left_alone() {
    in_namespaces("a_limited_flow_passes_at_its_rate_and_others_are_left_alone", |street| {
        let before = rules();
        let mut nftables = open(street);
        let on = Target::Flow {
            src: "0.0.0.0".parse().unwrap(),
            dst: street.camera.v4,
            protocol: Protocol::UDP,
            port: Some(5000),
        };
        let command = command("limit", Action::Limit { packets_per_second: 50 }, on, 600);
        apply(&mut nftables, &command);
        let passed = passes(&street.outside, &street.camera, false, 5000, 200);
        assert!((40..=120).contains(&passed), "{passed}");
        let passed = passes(&street.neighbour, &street.camera, false, 5000, 200);
        assert!((1..=120).contains(&passed), "between neighbours too: {passed}");
        assert_eq!(passes(&street.outside, &street.camera, false, 5001, 200), 200, "another port");
        assert!(nftables.counts().unwrap()[0].packets_stopped >= 100);
        assert_eq!(nftables.undo(&command, NOW).effect, Effect::Undone);
        assert_eq!(passes(&street.outside, &street.camera, false, 5000, 200), 200);
        assert_eq!(rules(), before);
    });
}

#[test]
fn what_is_in_force_ends_by_itself_when_the_program_is_dead() {
    in_namespaces("what_is_in_force_ends_by_itself_when_the_program_is_dead", |street| {
        let mut nftables = open(street);
        apply(&mut nftables, &isolate(street, true, 2));
        let on = Target::Remote { address: street.outside.v4 };
        apply(&mut nftables, &command("block", Action::Block, on, 2));
        drop(nftables);
        assert_eq!(passes(&street.camera, &street.neighbour, false, 5000, 10), 0);
        assert_eq!(passes(&street.neighbour, &street.outside, false, 5000, 10), 0);
        thread::sleep(Duration::from_millis(2500));
        assert_eq!(passes(&street.camera, &street.neighbour, false, 5000, 10), 10);
        assert_eq!(passes(&street.camera, &street.neighbour, true, 5000, 10), 10);
        assert_eq!(passes(&street.camera, &street.outside, false, 5000, 10), 10);
    });
}

#[test]
fn two_commands_share_a_target_and_the_longer_holds() {
    in_namespaces("two_commands_share_a_target_and_the_longer_holds", |street| {
        let before = rules();
        let mut nftables = open(street);
        let on = Target::Remote { address: street.outside.v4 };
        let first = command("first", Action::Block, on.clone(), 600);
        let second = command("second", Action::Block, on, 2);
        apply(&mut nftables, &first);
        apply(&mut nftables, &first);
        apply(&mut nftables, &second);
        nftables.undo(&second, NOW);
        assert_eq!(passes(&street.camera, &street.outside, false, 5000, 10), 0, "the first still holds");
        apply(&mut nftables, &second);
        nftables.undo(&first, NOW);
        assert_eq!(passes(&street.camera, &street.outside, false, 5000, 10), 0, "the second still holds");
        thread::sleep(Duration::from_millis(2500));
        assert_eq!(passes(&street.camera, &street.outside, false, 5000, 10), 10, "and ends in its own time");
        nftables.tidy(NOW.plus_secs(3)).unwrap();
        assert_eq!(rules(), before);
    });
}

#[test]
fn a_new_run_takes_over_what_an_old_one_left() {
    in_namespaces("a_new_run_takes_over_what_an_old_one_left", |street| {
        let before = rules();
        let mut old = open(street);
        let command = isolate(street, true, 600);
        apply(&mut old, &command);
        drop(old);
        let mut new = open(street);
        let adopted = new.adopt(std::slice::from_ref(&command)).unwrap();
        assert_eq!(
            (adopted.present.len(), adopted.missing.len(), adopted.unknown.len()),
            (1, 0, 0),
            "{adopted:?}"
        );
        let nobody = open(street).adopt(&[]).unwrap();
        assert_eq!(nobody.unknown, [command.id.to_string()]);
        run("nft flush ruleset");
        let adopted = new.adopt(std::slice::from_ref(&command)).unwrap();
        assert_eq!(adopted.missing, std::slice::from_ref(&command.id));
        apply(&mut new, &command);
        assert_eq!(passes(&street.camera, &street.neighbour, false, 5000, 10), 0);
        run("nft flush chain bridge bastide from_isolated");
        let adopted = new.adopt(std::slice::from_ref(&command)).unwrap();
        assert_eq!(
            adopted.missing,
            std::slice::from_ref(&command.id),
            "a table that somebody changed is made anew"
        );
        apply(&mut new, &command);
        assert_eq!(passes(&street.camera, &street.neighbour, false, 5000, 10), 0);
        assert_eq!(new.undo(&command, NOW).effect, Effect::Undone);
        assert_eq!(rules(), before);
    });
}

#[test]
fn the_lever_empties_everything_and_leaves_the_citys_own_rules() {
    in_namespaces("the_lever_empties_everything_and_leaves_the_citys_own_rules", |street| {
        run("nft add table inet city");
        run("nft add chain inet city forward { type filter hook forward priority 0 ; policy accept ; }");
        run("nft add rule inet city forward udp dport 7777 drop");
        let before = rules();
        let mut nftables = open(street);
        apply(&mut nftables, &isolate(street, true, 600));
        let peers = vec![street.outside.v4];
        let on = device(&street.neighbour, true);
        apply(&mut nftables, &command("restrict", Action::Restrict { peers }, on, 600));
        assert_eq!(passes(&street.neighbour, &street.outside, false, 5000, 10), 10);
        assert_eq!(
            passes(&street.neighbour, &street.outside, false, 7777, 10),
            0,
            "the city's own rule holds"
        );
        drop(nftables);
        Nftables::flush().unwrap();
        assert_eq!(rules(), before);
        Nftables::flush().unwrap();
        assert_eq!(rules(), before);
    });
}

/// Numbers that look like chance and are the same in every run.
fn dice(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

fn any_command(seed: &mut u64, number: usize) -> Command {
    let address = |seed: &mut u64| -> IpAddr {
        let low = (dice(seed) % 6 + 1) as u8;
        if dice(seed).is_multiple_of(2) {
            IpAddr::from([10, 77, 0, low])
        } else {
            IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(low)])
        }
    };
    let some = |seed: &mut u64| (0..dice(seed) % 4).map(|_| address(seed)).collect::<Vec<_>>();
    let mac = dice(seed).is_multiple_of(2).then(|| model::Mac([2, 0, 0, 0, 0, (dice(seed) % 3) as u8]));
    let device = |seed: &mut u64| {
        let mut addresses = some(seed);
        addresses.push(address(seed));
        Target::Device { addresses, mac }
    };
    let (action, on) = match dice(seed) % 4 {
        0 => (Action::Isolate { keep: some(seed) }, device(seed)),
        1 => (Action::Restrict { peers: some(seed) }, device(seed)),
        2 => (Action::Block, Target::Remote { address: address(seed) }),
        _ => {
            let (dst, protocol) =
                (address(seed), Protocol([1, 6, 17, 47, 58, 200][(dice(seed) % 6) as usize]));
            let port = dice(seed).is_multiple_of(2).then_some(53);
            let action = Action::Limit { packets_per_second: (dice(seed) % 1000) as u32 };
            (action, Target::Flow { src: address(seed), dst, protocol, port })
        }
    };
    command(&format!("{number}"), action, on, 600 + (dice(seed) % 100) as i64)
}

#[test]
fn whatever_is_applied_and_undone_in_whatever_order_leaves_nothing() {
    in_namespaces("whatever_is_applied_and_undone_in_whatever_order_leaves_nothing", |street| {
        let before = rules();
        for round in 0..6_u64 {
            let seed = &mut (round + 42);
            let mut nftables = open(street);
            let mut commands: Vec<Command> = (0..8).map(|number| any_command(seed, number)).collect();
            for command in &commands {
                apply(&mut nftables, command);
            }
            let adopted = open(street).adopt(&commands).unwrap();
            assert_eq!(adopted.missing, [], "round {round}: what was applied is recognised");
            while !commands.is_empty() {
                let at = dice(seed) as usize % commands.len();
                let receipt = nftables.undo(&commands.swap_remove(at), NOW);
                assert_eq!(receipt.effect, Effect::Undone, "{receipt:?}");
                if !commands.is_empty() {
                    let adopted = nftables.adopt(&commands).unwrap();
                    assert_eq!(adopted.missing, [], "round {round}: undoing one leaves what others need");
                    assert_eq!(adopted.unknown, [""; 0], "round {round}");
                }
            }
            assert_eq!(rules(), before, "round {round}");
        }
    });
}
