//! A clock that goes wrong holds nothing back: what happens then is found while it happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::{NetSet, RecordRef, Role, Timestamp};
use observe::{LinkType, Observer};
use xtask::scene;

#[test]
fn attacks_are_found_before_the_end_whatever_the_clock_did() {
    for name in ["noise-leaps", "noise-set-back"] {
        for seed in 1..6 {
            let world = scene::play(scene::find(name).unwrap(), seed);
            let home = NetSet::new(vec![world.truth.home.parse().unwrap()]);
            let config = observe::Config { home: home.clone(), ..observe::Config::default() };
            let mut observer = Observer::new(config);
            let mut engine = detect::Engine::new(detect::Config { home, ..Default::default() }, vec![]);
            for (number, (at, frame)) in world.tape.frames().enumerate() {
                let (at, record) =
                    (Timestamp::from_micros(at), RecordRef { input: 0, record: number as u64 });
                let length = frame.len() as u32;
                let emit = &mut |event: model::Event| engine.event(&event);
                observer.packet(record, at, LinkType::ETHERNET, length, frame, emit);
                if observer.take_set_back() {
                    engine.begin_anew();
                }
            }
            // The recording goes on: nothing was ended yet.
            let found = engine.incidents();
            let infected = found.iter().flat_map(|incident| &incident.assets);
            let infected: Vec<_> = infected.filter(|asset| asset.role == Role::Infected).collect();
            assert_eq!(infected.len(), 1, "{name}, seed {seed}");
            assert!(world.truth.infected.contains(&infected[0].address), "{name}, seed {seed}");
        }
    }
}
