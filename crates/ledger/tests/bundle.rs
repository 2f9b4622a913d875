//! A bundle and an exported folder in the hands of others: programs that were not written here verify them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use ledger::{
    Bundle, BundleError, Head, LeafProof, LeafProofError, Leaves, Note, Part, Place, ProofError, Shown, Tree,
    Trust, export, judge, keys_file, witness::AddCheckpoint,
};
use model::Timestamp;
use std::{fs, path::Path};
use support::others::{elsewhere, verified_by_crates};
use support::{Folder, decisions, folder, log_key, opening, witness_key};

/// Names and bytes.
type Files = Vec<(String, Vec<u8>)>;

const WITNESS: &str = "witness.example/w1";

/// A log of so many leaves, its witnessed checkpoint, and a bundle of the leaves about one incident.
fn witnessed(size: u64) -> (Folder, Note, Bundle) {
    let (mut folder, head) = folder(&decisions(size));
    let request = AddCheckpoint { old: 0, proof: vec![], checkpoint: log_key().sign(head).unwrap() };
    let accepted = judge(&request, &[log_key().public().clone()], Head::EMPTY).unwrap();
    let mut note = request.checkpoint.clone();
    let witness = witness_key(WITNESS, 21);
    note.add(accepted.cosign(&witness, Timestamp::from_secs(1_790_000_000)).unwrap()).unwrap();
    let keys = vec![log_key().public().clone(), witness.public().clone()];
    folder.insert(Place::Checkpoint, note.to_string().into_bytes());
    folder.insert(Place::Keys, keys_file(&keys));
    let mut bundle = Bundle { keys, ..Bundle::default() };
    let tree = Tree::open(&folder, head).unwrap();
    for place in Place::entries_of_tree(size) {
        let Place::Entries { index, .. } = place else { unreachable!() };
        for (leaf, number) in Leaves::new(place, &folder[&place]).map(Result::unwrap).zip(index * 256..) {
            let decision = ledger::Decision::from_bytes(leaf).unwrap();
            if decision.concerns("incident", "inc-0000000000000001") && number % 7 == 0 {
                let shown = decision.commitment(Part::Who).map(|_| Shown {
                    leaf: number,
                    part: Part::Who,
                    opening: opening(number),
                });
                let shown = shown.into_iter().collect();
                bundle.add(&tree, &note, number, leaf.to_vec(), shown).unwrap();
            }
        }
    }
    assert!(bundle.exhibits.len() > 3);
    (folder.clone(), note, bundle)
}

fn trust() -> Trust {
    let witnesses = vec![witness_key(WITNESS, 21).public().clone()];
    Trust { witnesses, quorum: 1, ..Trust::of(log_key().public().clone()) }
}

#[test]
fn a_bundle_is_read_as_it_was_written_and_proves_its_leaves() {
    let (_, _, bundle) = witnessed(700);
    let files: Files = bundle.files().collect();
    let read = Bundle::from_files(files.clone()).unwrap();
    assert_eq!(read, bundle);
    let proved = read.verify(&trust()).unwrap();
    assert_eq!(proved.len(), bundle.exhibits.len());
    assert!(proved.iter().all(|proved| proved.decision.is_ok() && proved.witnessed.witnesses.len() == 1));
    let check = |change: &dyn Fn(&mut Files), expected: &str| {
        let mut changed = files.clone();
        change(&mut changed);
        let error = Bundle::from_files(changed).and_then(|bundle| bundle.verify(&trust())).unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    };
    let place = |name: &str| files.iter().position(|(other, _)| other == name).unwrap();
    let (leaf, proof, shown) = (place("28.json"), place("28.tlog-proof"), place("28.openings"));
    check(&|files| files[leaf].1[100] ^= 1, "leaf 28: the proof does not lead from leaf 28");
    check(&|files| files[leaf].1.clear(), "leaf 28: the proof does not lead");
    check(&|files| drop(files.remove(proof)), "leaf 28: expected a proof");
    check(&|files| drop(files.remove(leaf)), "leaf 28: expected the leaf itself");
    check(&|files| files[proof].1[0] ^= 1, "leaf 28: line 1");
    check(&|files| files[proof].1 = files[place("7.tlog-proof")].1.clone(), "found that of leaf 7");
    check(&|files| files[shown].1 = files[place("7.openings")].1.clone(), "leaf 28: leaf 7 is opened");
    check(&|files| files[shown].1 = b"{}".to_vec(), "leaf 28: line 1");
    check(&|files| files.push(("../etc".into(), vec![])), "found \"../etc\"");
    check(&|files| files.push(("01.json".into(), vec![])), "found \"01.json\"");
    check(&|files| files.push(("9.json".into(), vec![0; 70_000])), "9.json: expected at most 65535 bytes");
    check(&|files| files[0].1 = b"no key\n".to_vec(), "keys, line 1");
    let stricter = Trust { quorum: 2, ..trust() };
    assert!(matches!(
        read.verify(&stricter),
        Err(BundleError::Proof { error: LeafProofError::Checkpoint(_), .. })
    ));
}

#[test]
fn a_bundle_is_one_file() {
    let (_, _, bundle) = witnessed(700);
    let archive = bundle.to_archive().unwrap();
    assert_eq!(archive, bundle.to_archive().unwrap());
    assert_eq!(Bundle::from_archive(&archive).unwrap(), bundle);
    // As tar packs it by hand.
    let temporary = tempfile::tempdir().unwrap();
    write(temporary.path(), bundle.files());
    let packed = std::process::Command::new("tar")
        .arg("-C")
        .arg(temporary.path())
        .args(["-cf", "-", "."])
        .output()
        .unwrap();
    assert_eq!(Bundle::from_archive(&packed.stdout).unwrap(), bundle);
    let check = |bytes: &[u8], expected: &str| {
        let error = Bundle::from_archive(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    check(b"", "found no file");
    check(b"not an archive", "tar archive");
    check(&[0xff; 2048], "tar archive");
    check(&archive[..700], "");
    for length in (0..archive.len()).step_by(171) {
        let _ = Bundle::from_archive(&archive[..length]);
    }
    let hostile = |path: &str, kind: tar::EntryType| {
        let (mut builder, mut header) = (tar::Builder::new(Vec::new()), tar::Header::new_ustar());
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
        builder.into_inner().unwrap()
    };
    check(&hostile("../keys", tar::EntryType::Regular), "found \"../keys\"");
    check(&hostile("/keys", tar::EntryType::Regular), "found \"/keys\"");
    check(&hostile("keys", tar::EntryType::Symlink), "found \"keys\"");
    check(&hostile("keys", tar::EntryType::GNUSparse), "");
    check(&hostile("7.json", tar::EntryType::Regular), "leaf 7: expected a proof");
}

#[test]
fn what_concerns_one_incident_is_gathered_with_its_proofs() {
    let (mut log, note, _) = witnessed(600);
    // Since then it has grown, and keeps what it had: what was witnessed is proved by what witnesses cosigned.
    let (grown, _) = folder(&decisions(700));
    let keys = log.remove(&Place::Keys).unwrap();
    let openings = |index: u64| {
        let opens = |leaf: &u64| !leaf.is_multiple_of(5) && *leaf < 700;
        let shown: Vec<Shown> = (index * 256..(index + 1) * 256)
            .filter(opens)
            .map(|leaf| Shown { leaf, part: Part::Who, opening: opening(leaf) })
            .collect();
        (Place::Openings { index }, Shown::to_lines(&shown))
    };
    log.extend(grown.into_iter().chain((0..3).map(openings)));
    log.insert(Place::Keys, keys);
    log.insert(Place::Witnessed, note.to_string().into_bytes());
    let subject = ledger::Subject::new("incident", "inc-0000000000000001").unwrap();
    let numbers = ledger::about(&log, &subject).unwrap();
    assert_eq!(numbers, (0..700).filter(|number| number % 3 == 1).collect::<Vec<_>>());
    let bundle = Bundle::gather(&log, numbers.clone()).unwrap();
    let proved = bundle.verify(&Trust { quorum: 0, ..trust() }).unwrap();
    assert_eq!(proved.iter().map(|one| one.index).collect::<Vec<_>>(), numbers);
    for one in &proved {
        assert_eq!(one.witnessed.witnesses.len(), usize::from(one.index < 600), "{}", one.index);
        let exhibit = &bundle.exhibits[&one.index];
        assert_eq!(exhibit.shown.len(), usize::from(one.index % 5 != 0), "{}", one.index);
    }
    assert!(ledger::about(&log, &ledger::Subject::new("incident", "inc-x").unwrap()).unwrap().is_empty());
    let out = Bundle::gather(&log, [700]).unwrap_err().to_string();
    assert!(out.contains("within the 700 leaves"), "{out}");
    // What was changed is not handed on.
    let place = Place::Entries { index: 1, width: 256 };
    let bytes = log.get_mut(&place).unwrap();
    let at = bytes.windows(4).position(|four| four == b"\"who").unwrap();
    bytes[at + 1] = b'W';
    let refused = Bundle::gather(&log, [256]).unwrap_err().to_string();
    assert!(refused.contains("leaf 256 (tile/entries/001) is not the one that was signed"), "{refused}");
}

#[test]
fn a_proof_has_one_form() {
    let (_, _, bundle) = witnessed(700);
    let proof = &bundle.exhibits[&28].proof;
    let text = proof.to_string();
    assert_eq!(LeafProof::from_bytes(text.as_bytes()).as_ref(), Ok(proof));
    let extra = LeafProof { extra: Some(b"anything".to_vec()), ..proof.clone() };
    let with_extra = extra.to_string();
    assert!(with_extra.starts_with("c2sp.org/tlog-proof@v1\nextra YW55dGhpbmc=\nindex 28\n"));
    assert_eq!(LeafProof::from_bytes(with_extra.as_bytes()), Ok(extra));
    let check = |text: String, expected: &str| {
        let error = LeafProof::from_bytes(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    check(String::new(), "expected an empty line and a checkpoint");
    check(text.replace("@v1", "@v2"), "line 1");
    check(text.replace("index 28", "index 028"), "line 2");
    check(text.replace("index 28\n", ""), "line 2");
    check(with_extra.replace("YW55", "YW5"), "line 2");
    check(with_extra.replace("index 28", "28"), "line 3");
    check(text.replacen("=\n", "\n", 1), "line 3");
    check(
        text.replacen(
            "index 28\n",
            &format!("index 28\n{}", format!("{}\n", ledger::Hash::EMPTY).repeat(64)),
            1,
        ),
        "63 hashes",
    );
    check(text.replace('\u{2014}', "-"), "the checkpoint");
    let other = LeafProof { index: 29, ..proof.clone() };
    let leaf = &bundle.exhibits[&28].leaf;
    assert!(proof.check(leaf, &trust()).is_ok());
    let error = other.check(leaf, &trust()).unwrap_err();
    assert_eq!(error, LeafProofError::Proof(ProofError::Inclusion { index: 29, size: 700 }));
}

#[test]
fn other_crates_verify_a_bundle() {
    let (_, _, bundle) = witnessed(700);
    assert_eq!(verified_by_crates(&bundle.files().collect()), bundle.exhibits.len());
}

fn write(folder: &Path, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// With Python's `cryptography` and standard library, by a script that was written from the texts of C2SP: the whole
/// folder (every tile, every bundle, root, signature and cosignature), the bundle as folder and as archive, and openings.
/// It must also refuse what was changed.
#[test]
fn a_python_program_verifies_folder_and_bundle() {
    let run = |arguments: &[&str]| {
        elsewhere(arguments).expect("python3 with the package cryptography: ./test installs it")
    };
    let (log, _, bundle) = witnessed(700);
    let temporary = tempfile::tempdir().unwrap();
    let whole = temporary.path().join("log");
    write(
        &whole,
        export(&log).unwrap().map(|file| file.map(|(place, bytes)| (place.to_string(), bytes)).unwrap()),
    );
    let part = temporary.path().join("bundle");
    write(&part, bundle.files());
    let archive = temporary.path().join("bundle.tar");
    fs::write(&archive, bundle.to_archive().unwrap()).unwrap();
    let output = run(&[whole.to_str().unwrap(), archive.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("each checkpoint signed by its log and 1 witness"), "{told}");
    let check = |what: &str, expected: bool| {
        let output = run(&[whole.to_str().unwrap(), part.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), expected, "{what}: {said}");
    };
    check("as it was written", true);
    for (file, at) in [
        (whole.join("tile/entries/000"), 100),
        (whole.join("tile/0/000"), 100),
        (whole.join("tile/1/000.p/2"), 3),
        (whole.join("checkpoint"), 30),
        (part.join("28.json"), 50),
        (part.join("28.tlog-proof"), 40),
        (part.join("28.openings"), 60),
    ] {
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, bad).unwrap();
        check(&file.display().to_string(), false);
        fs::write(&file, good).unwrap();
    }
    check("put back", true);
}
