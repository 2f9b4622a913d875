//! Recordings of many days: what is over is let go, and told all the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use analyze::{Options, analyze};
use model::NetSet;
use std::{collections::BTreeSet, fs, path::Path};
use xtask::{
    scene,
    traffic::{self, Form, Tape},
    world::{self, Change, World},
};

/// The ids of the incidents, and how many flows are malicious.
fn analysed(tape: &Tape, home: &str, dir: &Path) -> (BTreeSet<String>, usize) {
    let (capture, flows) = (dir.join("scene.pcap"), dir.join("flows.ndjson"));
    traffic::write(&capture, tape, Form::Pcap, 65_535).unwrap();
    let options = Options {
        files: vec![capture.to_str().unwrap().to_owned()],
        home: NetSet::new(home.split(',').map(|net| net.parse().unwrap()).collect()),
        flows: Some(flows.clone()),
        ..Options::default()
    };
    let document = analyze(&options, &mut |_| {}).unwrap().document;
    let ids = document.incidents.iter().map(|incident| incident.id.to_string()).collect();
    let malicious = fs::read_to_string(flows).unwrap().matches("\"verdict\":\"malicious\"").count();
    (ids, malicious)
}

#[test]
fn what_is_long_over_stands_in_the_document() {
    let dir = tempfile::tempdir().unwrap();
    let week = |days: i64| {
        let change = Change { places: 5, doors: 5, shift: days * world::DAY };
        scene::stage(scene::find("guess-telnet-in").unwrap(), World::changed("guess-telnet-in", 5, &change))
    };
    let mut all = Tape::default();
    let (mut ids, mut malicious) = (BTreeSet::new(), 0);
    for days in [0, 4, 8] {
        let played = week(days);
        all.append(&played.tape, 0);
        let alone = analysed(&played.tape, &played.truth.home, dir.path());
        assert!(!alone.0.is_empty() && alone.1 > 0);
        ids.extend(alone.0);
        malicious += alone.1;
    }
    assert_eq!(analysed(&all, &week(0).truth.home, dir.path()), (ids, malicious));
}
