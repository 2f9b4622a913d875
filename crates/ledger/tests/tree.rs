//! The tree, its tiles and its proofs, against published figures, and against `ct-merkle` and `tlog_tiles`, which
//! share no code with each other and none with the making of proofs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ledger::{
    Frontier, Hash, Head, Place, ProofError, Source, Tree, TreeError, check_consistency, check_inclusion,
};
use proptest::prelude::*;
use sha2::Sha256;
use std::collections::BTreeSet;
use support::{Folder, tiles};

fn leaves(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("leaf {number}").into_bytes()).collect()
}

fn hexadecimal(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn independent(leaves: &[Vec<u8>]) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    leaves.iter().for_each(|leaf| tree.push(leaf.clone()));
    tree
}

/// Checked with `tlog_tiles`.
fn elsewhere_included(proof: &[Hash], head: Head, index: u64, leaf: &[u8]) {
    let proof = proof.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect();
    let (root, leaf) = (tlog_tiles::Hash(head.root.0), tlog_tiles::record_hash(leaf));
    tlog_tiles::check_record(&proof, head.size, root, index, leaf).unwrap();
}

fn elsewhere_continued(proof: &[Hash], head: Head, old: Head) {
    let proof = proof.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect();
    let (root, before) = (tlog_tiles::Hash(head.root.0), tlog_tiles::Hash(old.root.0));
    tlog_tiles::check_tree(&proof, head.size, root, old.size, before).unwrap();
}

fn flat(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

/// The eight leaves that the tests of Certificate Transparency begin with, and the roots of their first n.
#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(frontier.head().root.0.to_vec(), hexadecimal(root), "{size} leaves");
        if let Some(leaf) = leaves.get(size) {
            assert_eq!(frontier.append(&hexadecimal(leaf)), Ok(size as u64));
        }
    }
}

/// The standard's own example: which tiles a tree of 70 000 leaves, and one of 256, has.
#[test]
fn tiles_are_those_that_the_standard_counts() {
    let hashes = |size| Place::hashes_of_tree(size).collect::<Vec<_>>();
    let all = hashes(70_000);
    let count = |level, width| {
        let is = |place: &&Place| matches!(place, Place::Tile { level: l, width: w, .. } if (*l, *w) == (level, width));
        all.iter().filter(is).count()
    };
    assert_eq!((count(0, 256), count(0, 112)), (273, 1));
    assert_eq!((count(1, 256), count(1, 17), count(2, 1)), (1, 1, 1));
    assert_eq!(all.len(), 273 + 1 + 1 + 1 + 1);
    let paths: Vec<String> = hashes(256).iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["tile/0/000", "tile/1/000.p/1"]);
}

#[test]
fn a_place_has_one_path() {
    let check =
        |path: &str, expected: Option<Place>| assert_eq!(path.parse::<Place>().ok(), expected, "{path}");
    check("checkpoint", Some(Place::Checkpoint));
    check("keys", Some(Place::Keys));
    check("tile/0/x001/x234/067", Some(Place::Tile { level: 0, index: 1_234_067, width: 256 }));
    check("tile/63/000.p/255", Some(Place::Tile { level: 63, index: 0, width: 255 }));
    check("tile/entries/x001/000.p/7", Some(Place::Entries { index: 1_000, width: 7 }));
    check("openings/x001/234", Some(Place::Openings { index: 1_234 }));
    for wrong in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/64/000",
        "tile/00/000",
        "tile/8/0/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/1/",
        "/tile/0/000",
        "tile/entries/../checkpoint",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "openings/000.p/1",
        "checkpoint/",
    ] {
        check(wrong, None);
    }
}

#[test]
fn every_proof_of_every_small_tree_verifies_elsewhere() {
    let all = leaves(40);
    for size in 1..=all.len() {
        let (folder, head) = tiles(&all[..size]);
        let theirs = independent(&all[..size]);
        assert_eq!(theirs.root().as_bytes().as_slice(), head.root.0, "{size}");
        let tree = Tree::open(&folder, head).unwrap();
        for index in 0..size as u64 {
            let proof = tree.inclusion(index).unwrap();
            let leaf = &all[index as usize];
            assert_eq!(theirs.prove_inclusion(index as usize).as_bytes(), flat(&proof));
            elsewhere_included(&proof, head, index, leaf);
            check_inclusion(&proof, head, index, leaf).unwrap();
            assert!(check_inclusion(&proof, head, index, b"other").is_err());
        }
        for old in 1..=size as u64 {
            let before = Head { size: old, root: tree.root_at(old).unwrap() };
            let proof = tree.consistency(old).unwrap();
            assert_eq!(theirs.prove_consistency(size - old as usize).as_bytes(), flat(&proof));
            elsewhere_continued(&proof, head, before);
            check_consistency(&proof, head, before).unwrap();
        }
    }
}

#[test]
fn trees_of_several_levels_of_tiles_verify_elsewhere() {
    // One beyond each edge: full tiles with nothing after them, one leaf after them, and a third level.
    for size in [255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000_u64] {
        let all = leaves(size);
        let (folder, head) = tiles(&all);
        assert_eq!(independent(&all).root().as_bytes().as_slice(), head.root.0, "{size}");
        let wanted: BTreeSet<Place> = Place::of_tree(size).collect();
        assert!(wanted.iter().all(|place| folder.contains_key(place)), "{size}");
        let tree = Tree::open(&folder, head).unwrap();
        for index in [0, 1, size / 2, size - 1] {
            let proof = tree.inclusion(index).unwrap();
            elsewhere_included(&proof, head, index, &all[index as usize]);
            check_inclusion(&proof, head, index, &all[index as usize]).unwrap();
        }
        for old in [1, 200, 255, size - 1].into_iter().filter(|old| *old < size) {
            let before = Head { size: old, root: tree.root_at(old).unwrap() };
            assert_eq!(independent(&all[..old as usize]).root().as_bytes().as_slice(), before.root.0);
            let proof = tree.consistency(old).unwrap();
            elsewhere_continued(&proof, head, before);
            check_consistency(&proof, head, before).unwrap();
        }
    }
}

#[test]
fn asking_for_what_is_not_there_is_an_error() {
    let (mut folder, head) = tiles(&leaves(300));
    let opened = |folder: &Folder, head| Tree::open(folder, head).map(|tree| tree.size());
    let tree = Tree::open(&folder, head).unwrap();
    assert_eq!(tree.inclusion(300), Err(TreeError::OutOfTree { size: 300, found: 300 }));
    assert_eq!(tree.consistency(301), Err(TreeError::OutOfTree { size: 300, found: 301 }));
    assert_eq!(tree.root_at(301), Err(TreeError::OutOfTree { size: 300, found: 301 }));
    assert_eq!(tree.consistency(0), Ok(vec![]));
    assert_eq!(tree.root_at(0), Ok(Hash::EMPTY));
    let other = Head { root: Hash([1; 32]), ..head };
    assert_eq!(opened(&folder, other), Err(TreeError::Root { size: 300, root: other.root }));
    let huge = Head { size: u64::MAX, root: Hash::EMPTY };
    assert_eq!(opened(&folder, huge), Err(TreeError::TooLarge(u64::MAX)));
    assert_eq!(opened(&folder, Head { size: 0, ..head }), Err(TreeError::Root { size: 0, root: head.root }));
    let gone = Place::Tile { level: 0, index: 0, width: 256 };
    folder.remove(&gone);
    assert_eq!(Tree::open(&folder, head).unwrap().inclusion(3), Err(TreeError::Missing(gone)));
    folder.insert(gone, vec![0; 8192]);
    assert_eq!(Tree::open(&folder, head).unwrap().inclusion(3), Err(TreeError::Changed(gone)));
    let empty = Folder::new();
    let none = Tree::open(&empty, Head::EMPTY).unwrap();
    assert_eq!(none.inclusion(0), Err(TreeError::OutOfTree { size: 0, found: 0 }));
    assert_eq!((none.root_at(0), none.consistency(0)), (Ok(Hash::EMPTY), Ok(vec![])));
    assert_eq!(none.leaf_hash(0), Err(TreeError::OutOfTree { size: 0, found: 0 }));
}

#[test]
fn proofs_of_impossible_sizes_are_refused_without_a_panic() {
    let head = Head { size: u64::MAX, root: Hash::EMPTY };
    assert!(check_inclusion(&[], head, 0, b"").is_err());
    assert!(check_consistency(&[], head, Head::EMPTY).is_err());
    let long = vec![Hash::EMPTY; 64];
    assert_eq!(check_inclusion(&long, Head::EMPTY, 0, b""), Err(ProofError::TooLong(64)));
    assert_eq!(check_consistency(&long, Head::EMPTY, Head::EMPTY), Err(ProofError::TooLong(64)));
    let forged = Head { size: 0, root: Hash([9; 32]) };
    assert!(check_consistency(&[], forged, Head::EMPTY).is_err());
    assert!(check_consistency(&[], Head::EMPTY, Head::EMPTY).is_ok());
    assert!(check_consistency(&[], Head::EMPTY, forged).is_err());
}

proptest! {
    /// However appends are grouped, and wherever the edge is put down and taken up again, the tree is the same.
    #[test]
    fn restoring_goes_on_where_it_ended(groups in prop::collection::vec(0_u64..600, 1..6)) {
        let all = leaves(groups.iter().sum());
        let mut kept = Folder::new();
        let mut frontier = Frontier::new();
        let mut next = all.iter();
        for group in groups {
            for leaf in next.by_ref().take(group as usize) {
                frontier.append(leaf).unwrap();
            }
            kept.extend(frontier.take_changed());
            prop_assert!(frontier.take_changed().is_empty());
            let restored = Frontier::restore(&kept, frontier.head()).unwrap();
            prop_assert_eq!(&restored, &frontier);
            frontier = restored;
        }
        let (whole, head) = tiles(&all);
        prop_assert_eq!(frontier.head(), head);
        for place in Place::hashes_of_tree(head.size) {
            prop_assert_eq!(kept.read(place).unwrap(), whole.read(place).unwrap(), "{}", place);
        }
    }

    /// No proof proves anything but what it was made for.
    #[test]
    fn a_changed_proof_proves_nothing(size in 2_u64..700, at in any::<prop::sample::Index>(), bit in 0_usize..256) {
        let all = leaves(size);
        let (folder, head) = tiles(&all);
        let tree = Tree::open(&folder, head).unwrap();
        let index = at.index(size as usize) as u64;
        let leaf = &all[index as usize];
        let mut proof = tree.inclusion(index).unwrap();
        prop_assert!(check_inclusion(&proof, head, index, leaf).is_ok());
        prop_assert!(check_inclusion(&proof, head, (index + 1) % size, leaf).is_err());
        let which = at.index(proof.len());
        proof[which].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(check_inclusion(&proof, head, index, leaf).is_err());
        let old = 1 + at.index(size as usize - 1) as u64;
        let before = Head { size: old, root: tree.root_at(old).unwrap() };
        let mut proof = tree.consistency(old).unwrap();
        prop_assert!(check_consistency(&proof, head, before).is_ok());
        let which = at.index(proof.len());
        proof[which].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(check_consistency(&proof, head, before).is_err());
    }
}

/// What the reader of `tlog_tiles` 0.2 lets pass (CVE-2026-56865): a full tile that is not what the tile above it
/// says.
#[test]
fn no_tile_is_believed_that_the_one_above_it_does_not_say() {
    for size in [257_u64, 515, 700, 65_536 + 700] {
        let (folder, head) = tiles(&leaves(size));
        for place in Place::hashes_of_tree(size).filter(|place| place.full() == *place).step_by(50) {
            let Place::Tile { level, index, .. } = place else { unreachable!() };
            let mut changed = folder.clone();
            changed.get_mut(&place).unwrap()[40] ^= 1;
            let tree = Tree::open(&changed, head).unwrap();
            let below = index << (8 * (u32::from(level) + 1));
            assert_eq!(tree.leaf_hash(below), Err(TreeError::Changed(place)), "{size}: {place}");
            assert_eq!(tree.inclusion(below), Err(TreeError::Changed(place)), "{size}: {place}");
        }
    }
}
