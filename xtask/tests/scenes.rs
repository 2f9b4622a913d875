//! The scenes themselves: they repeat themselves for a seed, and their truths do not contradict themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use xtask::{
    scene,
    traffic::{self, Form},
    world::{self, Change, World},
};

fn bytes(world: &World) -> Vec<(i64, Vec<u8>)> {
    world.tape.frames().map(|(at, frame)| (at, frame.to_vec())).collect()
}

#[test]
fn a_seed_gives_the_same_frames_and_another_seed_others() {
    for name in ["guess-telnet", "arp-spoof", "dhcp-rogue", "exploit-http", "ok-admin-ssh", "beacon-scan"] {
        let scene = scene::find(name).unwrap();
        let first = bytes(&scene::play(scene, 1));
        assert_eq!(first, bytes(&scene::play(scene, 1)), "{name}");
        assert_ne!(first, bytes(&scene::play(scene, 2)), "{name}");
    }
}

#[test]
fn changed_addresses_ports_or_time_change_nothing_else() {
    for name in ["guess-ssh", "scan-sideways", "irc-bot", "retries"] {
        let scene = scene::find(name).unwrap();
        let plain = scene::play(scene, 6);
        for change in [
            Change { places: 99, doors: 6, shift: 0 },
            Change { places: 6, doors: 99, shift: 0 },
            Change { places: 6, doors: 6, shift: world::DAY },
        ] {
            let other = scene::stage(scene, World::changed(name, 6, &change));
            let times = |world: &World| -> Vec<i64> { world.tape.frames().map(|(at, _)| at).collect() };
            let shifted: Vec<_> = times(&plain).iter().map(|at| at + change.shift).collect();
            assert_eq!(shifted, times(&other), "{name}: the same frames at the same moments");
            assert_eq!(plain.truth.stages, other.truth.stages);
        }
    }
}

#[test]
fn every_truth_fits_its_frames() {
    let mut names = BTreeSet::new();
    for scene in scene::all() {
        assert!(names.insert(scene.name), "{}: twice", scene.name);
        let world = scene::play(scene, 4);
        let truth = &world.truth;
        let times: Vec<i64> = world.tape.frames().map(|(at, _)| at).collect();
        let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
        // But for the scenes about clocks that are wrong for a while.
        let ordered = times.is_sorted() || ["noise-leaps", "noise-set-back"].contains(&scene.name);
        assert!(ordered && truth.device_days > 0.0, "{}", scene.name);
        assert_eq!(truth.benign, scene.name.starts_with("ok-"), "{}", scene.name);
        let acting: BTreeSet<_> = truth.acting().chain(&truth.controllers).copied().collect();
        assert!(acting.is_disjoint(&truth.innocent), "{}: innocent and guilty", scene.name);
        if truth.benign {
            assert!(acting.is_empty() && truth.stages.is_empty(), "{}", scene.name);
        } else {
            // An attack may end with a pause that leaves no frame.
            assert!(first <= truth.begins && truth.begins <= last, "{}: begins outside", scene.name);
            assert!(truth.begins < truth.ends, "{}: ends before it begins", scene.name);
        }
    }
}

#[test]
fn a_written_capture_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let world = scene::play(scene::find("guess-ftp").unwrap(), 1);
    let path = dir.path().join("x.pcap");
    traffic::write(&path, &world.tape, Form::Pcap, 65_535).unwrap();
    let read: Vec<_> =
        traffic::read(&path).unwrap().frames.into_iter().map(|(at, _, frame)| (at, frame)).collect();
    assert_eq!(read, bytes(&world));
}
