//! What verification finds: nothing in a log that is well, and what was done to one that is not, by its name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use ledger::{
    Fault, Hash, Head, Leaves, Note, Part, Place, Remembered, ResourceError, Shown, ShownError, Trust,
    entry_bundle, export, verify,
};
use proptest::prelude::*;
use std::{cell::RefCell, convert::Infallible};
use support::{Folder, decision, decisions, folder, log_key, opening, tiles};

fn trust() -> Trust {
    Trust::of(log_key().public().clone())
}

fn remembered(head: Head, by: &str) -> Remembered {
    Remembered { head, by: by.into() }
}

fn head_of(leaves: &[Vec<u8>]) -> Head {
    tiles(leaves).1
}

/// The folder with leaf `index` replaced, and nothing else.
fn with_leaf(folder: &Folder, size: u64, index: u64, leaf: Vec<u8>) -> Folder {
    let place = Place::entries_of_tree(size).nth((index / 256) as usize).unwrap();
    let mut leaves: Vec<Vec<u8>> =
        Leaves::new(place, &folder[&place]).map(|leaf| leaf.unwrap().to_vec()).collect();
    leaves[(index % 256) as usize] = leaf;
    let mut changed = folder.clone();
    changed.insert(place, entry_bundle(leaves.iter().map(Vec::as_slice)).unwrap());
    changed
}

fn sign(folder: &mut Folder, head: Head) {
    folder.insert(Place::Checkpoint, log_key().sign(head).unwrap().to_string().into_bytes());
}

fn fault(folder: &Folder, remembered: &[Remembered]) -> Fault<Infallible> {
    let fault = verify(folder, &trust(), remembered).unwrap_err();
    assert!(!fault.to_string().is_empty());
    fault
}

#[test]
fn a_log_that_is_well_verifies_at_every_size() {
    let all = decisions(1_000);
    for size in [0, 1, 2, 255, 256, 257, 512, 1_000] {
        let (log, head) = folder(&all[..size]);
        let earlier: Vec<Remembered> = [0, 1, 255, 256, 300, size]
            .into_iter()
            .filter(|earlier| *earlier <= size)
            .map(|earlier| remembered(head_of(&all[..earlier]), "here"))
            .collect();
        let verified = verify(&log, &trust(), &earlier).unwrap();
        assert_eq!(verified.witnessed.checkpoint.head, head);
        assert_eq!((verified.unread, verified.shown), (0, 0));
        assert_eq!(verified.remembered, earlier.len());
    }
}

#[test]
fn a_changed_leaf_is_named_by_its_number() {
    let all = decisions(700);
    let (log, head) = folder(&all);
    for index in [0, 1, 255, 256, 300, 511, 512, 699] {
        for leaf in [decision(index + 1).to_bytes().unwrap(), b"{}".to_vec(), vec![], vec![7; 65_535]] {
            let changed = with_leaf(&log, head.size, index, leaf.clone());
            let expected = Hash::of_leaf(&all[index as usize]);
            let found = Hash::of_leaf(&leaf);
            let place = Place::entries_with(index, 700);
            assert_eq!(fault(&changed, &[]), Fault::ChangedLeaf { place, index, expected, found });
        }
    }
    // Also in a log of one leaf, whose tile is its root.
    let (one, head) = folder(&all[..1]);
    let changed = with_leaf(&one, head.size, 0, b"other".to_vec());
    assert!(matches!(fault(&changed, &[]), Fault::ChangedLeaf { index: 0, .. }));
    // Two leaves that changed places: the first is named.
    let swapped = with_leaf(&with_leaf(&log, 700, 300, all[301].clone()), 700, 301, all[300].clone());
    assert!(matches!(fault(&swapped, &[]), Fault::ChangedLeaf { index: 300, .. }));
}

#[test]
fn a_bundle_that_lost_its_lengths_names_the_first_leaf_that_is_not_what_it_was() {
    let (log, _) = folder(&decisions(300));
    let place = Place::Entries { index: 0, width: 256 };
    let lengths: Vec<usize> = Leaves::new(place, &log[&place]).map(|leaf| leaf.unwrap().len() + 2).collect();
    for leaf in [0_usize, 9, 255] {
        let mut changed = log.clone();
        let at: usize = lengths[..leaf].iter().sum();
        changed.get_mut(&place).unwrap()[at] ^= 0x40;
        match fault(&changed, &[]) {
            Fault::ChangedLeaf { index, .. } => assert_eq!(index, leaf as u64),
            Fault::Resource(ResourceError::LeafCut { leaf: cut, .. }) => assert_eq!(cut, leaf as u64),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_changed_tile_is_told_apart_from_a_changed_leaf() {
    let (log, head) = folder(&decisions(700));
    for place in Place::hashes_of_tree(head.size) {
        let mut changed = log.clone();
        let tile = changed.get_mut(&place).unwrap();
        let at = tile.len() - 1;
        tile[at] ^= 1;
        assert_eq!(fault(&changed, &[]), Fault::ChangedTile { place, at: at as u64 / 32 });
        changed.get_mut(&place).unwrap().pop();
        assert!(matches!(fault(&changed, &[]), Fault::Resource(ResourceError::TileLength { .. })));
        changed.remove(&place);
        assert_eq!(fault(&changed, &[]), Fault::Missing(place));
    }
}

#[test]
fn leaves_and_tiles_that_were_changed_together_do_not_give_what_was_signed() {
    let all = decisions(700);
    let (log, head) = folder(&all);
    let mut other = all.clone();
    other[300] = decision(9_999).to_bytes().unwrap();
    let (mut rewritten, new) = tiles(&other);
    rewritten.insert(Place::Checkpoint, log[&Place::Checkpoint].clone());
    let expected = Fault::Rewritten { size: 700, expected: head.root, found: new.root, first: None };
    assert_eq!(fault(&rewritten, &[]), expected);
    // The leaf and its tile alone: the tile does not fit the tile above it.
    let mut half = with_leaf(&log, 700, 300, other[300].clone());
    let place = Place::Tile { level: 0, index: 1, width: 256 };
    half.insert(place, rewritten[&place].clone());
    assert!(matches!(fault(&half, &[]), Fault::Rewritten { size: 700, .. }));
}

#[test]
fn a_tail_that_was_cut_off_is_named_by_its_sizes() {
    let all = decisions(700);
    let (log, _) = folder(&all);
    for left in [0, 1, 255, 256, 300, 512, 699] {
        // Everything of the shorter log, under the old checkpoint.
        let (mut cut, _) = tiles(&all[..left]);
        cut.insert(Place::Checkpoint, log[&Place::Checkpoint].clone());
        let whole = left / 256 * 256;
        let expected = Fault::CutOff { expected: 700, found: whole as u64 };
        assert_eq!(fault(&cut, &[]), expected, "files of the shorter log");
        // A database that lost its last rows answers the same place with fewer leaves.
        let mut short = log.clone();
        for place in Place::entries_of_tree(700) {
            let Place::Entries { index, width } = place else { unreachable!() };
            let first = (index as usize * 256).min(left);
            let rest = &all[first..left.min(first + usize::from(width))];
            short.insert(place, entry_bundle(rest.iter().map(Vec::as_slice)).unwrap());
            if rest.is_empty() {
                short.remove(&place);
            }
        }
        assert_eq!(fault(&short, &[]), Fault::CutOff { expected: 700, found: left as u64 }, "rows");
    }
    let mut hole = log.clone();
    let place = Place::Entries { index: 1, width: 256 };
    hole.remove(&place);
    assert_eq!(fault(&hole, &[]), Fault::Missing(place));
}

#[test]
fn a_fork_is_named_by_who_saw_the_other_history() {
    let all = decisions(700);
    let (honest, _) = folder(&all);
    // The log's own key signs another history, in which leaf 300 never was.
    let mut other = all.clone();
    other[300] = decision(9_999).to_bytes().unwrap();
    let (forked, forked_head) = folder(&other);
    assert!(verify(&forked, &trust(), &[]).is_ok(), "by itself it cannot be told");
    let before = remembered(head_of(&all[..300]), "the witness before");
    assert!(verify(&forked, &trust(), std::slice::from_ref(&before)).is_ok(), "they part after that");
    for seen in [301, 512, 699, 700] {
        let head = head_of(&all[..seen]);
        let found = head_of(&other[..seen]).root;
        let memory = [remembered(head, "witness.example/w1"), before.clone()];
        let by = "witness.example/w1".to_owned();
        let expected = Fault::Fork { size: seen as u64, by, expected: head.root, found };
        assert_eq!(fault(&forked, &memory), expected);
        assert!(verify(&honest, &trust(), &memory).is_ok());
    }
    // A log that says to be empty is at one with nobody who saw it begin.
    let (mut emptied, _) = folder(&[]);
    sign(&mut emptied, Head { size: 0, root: forked_head.root });
    assert!(matches!(fault(&emptied, &[]), Fault::Rewritten { size: 0, .. }));
}

#[test]
fn a_rewound_checkpoint_is_named_by_who_saw_more() {
    let all = decisions(700);
    let (rewound, _) = folder(&all[..500]);
    assert!(verify(&rewound, &trust(), &[]).is_ok(), "by itself it cannot be told");
    let memory = [remembered(head_of(&all[..200]), "here"), remembered(head_of(&all), "witness.example/w1")];
    let expected = Fault::Rewound { by: "witness.example/w1".into(), remembered: 700, found: 500 };
    assert_eq!(fault(&rewound, &memory), expected);
    assert!(verify(&rewound, &trust(), &memory[..1]).is_ok());
}

#[test]
fn a_checkpoint_that_cannot_be_believed_ends_it() {
    let (log, head) = folder(&decisions(10));
    let mut none = log.clone();
    none.remove(&Place::Checkpoint);
    assert_eq!(fault(&none, &[]), Fault::NoCheckpoint);
    let mut changed = log.clone();
    let text = String::from_utf8(changed[&Place::Checkpoint].clone()).unwrap();
    changed.insert(Place::Checkpoint, text.replace("\n10\n", "\n9\n").into_bytes());
    assert!(matches!(fault(&changed, &[]), Fault::Checkpoint(_)));
    changed.insert(Place::Checkpoint, b"nonsense".to_vec());
    assert!(matches!(fault(&changed, &[]), Fault::Checkpoint(_)));
    // A size that no log has, signed all the same: it ends at once.
    let mut huge = log;
    sign(&mut huge, Head { size: 1 << 48, ..head });
    assert_eq!(fault(&huge, &[]), Fault::CutOff { expected: 1 << 48, found: 0 });
}

#[test]
fn leaves_of_a_newer_program_are_whole_but_unread() {
    let mut all = decisions(300);
    all[7] = br#"{"v":2,"something":"else"}"#.to_vec();
    all[280] = vec![0xff; 10];
    let (log, _) = folder(&all);
    let verified = verify(&log, &trust(), &[]).unwrap();
    assert_eq!(verified.unread, 2);
    assert_eq!(verified.first_unread.map(|(index, _)| index), Some(7));
}

#[test]
fn what_is_shown_must_be_what_was_committed_to() {
    let all = decisions(300);
    let (log, _) = folder(&all);
    let shown = |leaf| Shown { leaf, part: Part::Who, opening: opening(leaf) };
    let with = |index, shown: &[Shown]| {
        let mut log = log.clone();
        log.insert(Place::Openings { index }, Shown::to_lines(shown));
        log
    };
    let good = with(1, &[shown(256), shown(299)]);
    assert_eq!(verify(&good, &trust(), &[]).unwrap().shown, 2);
    let check = |log: Folder, index, expected: ShownError| {
        let place = Place::Openings { index };
        assert_eq!(fault(&log, &[]), Fault::Shown { place, error: expected });
    };
    let lie = Shown { opening: opening(8), ..shown(7) };
    check(with(0, &[shown(1), lie]), 0, ShownError::Wrong { leaf: 7, part: "who" });
    let part = Shown { part: Part::Details, ..shown(7) };
    check(with(0, &[part]), 0, ShownError::Wrong { leaf: 7, part: "details" });
    check(with(0, &[shown(256)]), 0, ShownError::NoSuchLeaf(256));
    check(with(1, &[shown(255)]), 1, ShownError::NoSuchLeaf(255));
    check(with(1, &[shown(300)]), 1, ShownError::NoSuchLeaf(300));
    let mut erased = good;
    erased.remove(&Place::Openings { index: 1 });
    assert_eq!(verify(&erased, &trust(), &[]).unwrap().shown, 0, "erasing leaves the log whole");
}

/// A node keeps full tiles only where it can, and its log grows while it is exported.
#[test]
fn an_export_is_whole_for_the_size_that_was_signed() {
    let all = decisions(700);
    let (mut live, _) = folder(&all);
    let (earlier, head) = folder(&all[..300]);
    live.insert(Place::Checkpoint, earlier[&Place::Checkpoint].clone());
    // The tiles that were partial at 300 leaves are full or wider now; those that are wider are kept beside.
    for place in Place::hashes_of_tree(300).filter(|place| matches!(place, Place::Tile { level: 1.., .. })) {
        live.insert(place, earlier[&place].clone());
    }
    let shown = Shown { leaf: 7, part: Part::Who, opening: opening(7) };
    live.insert(Place::Openings { index: 0 }, Shown::to_lines(&[shown]));
    let exported: Folder = export(&live).unwrap().map(Result::unwrap).collect();
    assert_eq!(verify(&exported, &trust(), &[]).unwrap().witnessed.checkpoint.head, head);
    let mut expected = earlier;
    expected.insert(Place::Openings { index: 0 }, live[&Place::Openings { index: 0 }].clone());
    assert_eq!(exported, expected);
    live.remove(&Place::Tile { level: 0, index: 0, width: 256 });
    assert!(export(&live).unwrap().any(|file| file.is_err()));
    live.remove(&Place::Checkpoint);
    assert!(export(&live).is_err());
}

/// Never more than one bundle and a tile a level at once: what was read is let go.
#[test]
fn it_reads_every_resource_once() {
    struct Counting(Folder, RefCell<Vec<Place>>);
    impl ledger::Source for Counting {
        type Error = Infallible;
        fn read(&self, place: Place) -> Result<Option<Vec<u8>>, Infallible> {
            self.1.borrow_mut().push(place);
            Ok(self.0.get(&place).cloned())
        }
    }
    let (log, _) = folder(&decisions(2_000));
    let counting = Counting(log.clone(), RefCell::default());
    verify(&counting, &trust(), &[]).unwrap();
    let mut read = counting.1.into_inner();
    read.retain(|place| log.contains_key(place));
    read.sort_unstable();
    let all: Vec<Place> = log.into_keys().filter(|place| *place != Place::Keys).collect();
    assert_eq!(read, all);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any change of any byte of any file is found.
    #[test]
    fn every_changed_byte_is_found(size in 1_usize..600, file in any::<prop::sample::Index>(),
                                   at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (log, head) = folder(&decisions(size as u64));
        let places: Vec<Place> = log.keys().copied().filter(|place| *place != Place::Keys).collect();
        let place = *file.get(&places);
        let mut changed = log.clone();
        let bytes = changed.get_mut(&place).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let fault = verify(&changed, &trust(), &[remembered(head, "here")]).unwrap_err();
        prop_assert!(!fault.to_string().is_empty());
        match (place, &fault) {
            (Place::Checkpoint, Fault::Checkpoint(_)) => {}
            (Place::Tile { .. }, Fault::ChangedTile { place: found, at: hash }) => {
                prop_assert_eq!((*found, *hash), (place, at as u64 / 32));
            }
            (Place::Entries { index, .. }, Fault::ChangedLeaf { index: leaf, .. }
                | Fault::Resource(ResourceError::LeafCut { leaf, .. })) => {
                prop_assert_eq!(leaf / 256, index);
            }
            // A length that grew by so much that nothing of the tail is left.
            (Place::Entries { .. }, Fault::Resource(ResourceError::LeafCount { .. }) | Fault::CutOff { .. }) => {}
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// Any bytes anywhere: an error, or nothing that matters was changed; never a panic.
    #[test]
    fn random_damage_never_panics(size in 0_u64..300, damage in prop::collection::vec(
        (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..200), any::<bool>()), 1..4)) {
        let (log, _) = folder(&decisions(size));
        let mut changed = log.clone();
        let places: Vec<Place> = log.keys().copied().collect();
        for (file, bytes, whole) in damage {
            let place = *file.get(&places);
            let old = changed.get_mut(&place).unwrap();
            if whole {
                *old = bytes;
            } else {
                let at = file.index(old.len() + 1);
                old.splice(at..old.len().min(at + bytes.len()), bytes);
            }
        }
        let same = log.iter().all(|(place, bytes)| *place == Place::Keys || changed[place] == *bytes);
        prop_assert_eq!(verify(&changed, &trust(), &[]).is_ok(), same);
        let _ = export(&changed).map(|files| files.count());
    }
}

#[test]
fn a_note_without_signatures_is_not_a_checkpoint() {
    let (mut log, head) = folder(&decisions(3));
    let text = log_key().sign(head).unwrap().text().to_owned();
    log.insert(Place::Checkpoint, Note::new(text).unwrap().to_string().into_bytes());
    assert!(matches!(fault(&log, &[]), Fault::Checkpoint(_)));
}
