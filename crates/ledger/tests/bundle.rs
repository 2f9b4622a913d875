//! A bundle and an exported folder in the hands of others: programs that were not written here verify them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::print_stderr, reason = "says what was skipped")]

mod support;

use ledger::{
    Bundle, BundleError, Head, LeafProof, LeafProofError, Leaves, Note, Part, Place, ProofError, Shown, Tree,
    Trust, export, judge, keys_file, witness::AddCheckpoint,
};
use model::Timestamp;
use signed_note::{Note as TheirNote, StandardVerifier, VerifierList};
use std::{fs, path::Path, process::Command};
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

/// What stands in the files, verified with the crates `signed_note` and `tlog_tiles` alone: their parser of notes,
/// their parser of checkpoints, their Ed25519 and their check of a proof.
#[test]
fn other_crates_verify_a_bundle() {
    let (_, _, bundle) = witnessed(700);
    let files: std::collections::BTreeMap<String, Vec<u8>> = bundle.files().collect();
    let keys = String::from_utf8(files["keys"].clone()).unwrap();
    let key = StandardVerifier::new(keys.lines().next().unwrap()).unwrap();
    let verifiers = VerifierList::new(vec![Box::new(key)]);
    let proofs = files.iter().filter_map(|(name, bytes)| Some((name.strip_suffix(".tlog-proof")?, bytes)));
    let mut verified = 0;
    for (number, proof) in proofs {
        let text = std::str::from_utf8(proof).unwrap();
        let (before, checkpoint) = text.split_once("\n\n").unwrap();
        let mut lines = before.lines();
        assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
        assert_eq!(lines.next(), Some(format!("index {number}").as_str()));
        let hashes = lines.map(|line| tlog_tiles::Hash::parse_hash(line).unwrap()).collect();
        let note = TheirNote::from_bytes(checkpoint.as_bytes()).unwrap();
        assert_eq!(note.verify(&verifiers).unwrap().0.len(), 1);
        let tree = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        let leaf = tlog_tiles::record_hash(&files[&format!("{number}.json")]);
        let index = number.parse().unwrap();
        tlog_tiles::check_record(&hashes, tree.size(), *tree.hash(), index, leaf).unwrap();
        verified += 1;
    }
    assert_eq!(verified, bundle.exhibits.len());
}

fn write(folder: &Path, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// With the Python package `aics-tlog`, where it is installed: the whole folder (every tile, every bundle, root,
/// signature and cosignature), the bundle, and openings with nothing but the standard library. It must also refuse
/// what was changed.
#[test]
fn a_python_program_verifies_folder_and_bundle() {
    let python = std::env::var_os("LEDGER_PYTHON").unwrap_or_else(|| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/elsewhere.py");
    let run = |arguments: &[&str]| Command::new(&python).arg(script).args(arguments).output();
    if !run(&["--installed"]).is_ok_and(|output| output.status.success()) {
        eprintln!(
            "SKIPPED: needs Python 3.12 with the package aics-tlog (LEDGER_PYTHON names the interpreter)"
        );
        return;
    }
    let (log, _, bundle) = witnessed(700);
    let temporary = tempfile::tempdir().unwrap();
    let whole = temporary.path().join("log");
    write(
        &whole,
        export(&log).unwrap().map(|file| file.map(|(place, bytes)| (place.to_string(), bytes)).unwrap()),
    );
    let part = temporary.path().join("bundle");
    write(&part, bundle.files());
    let check = |what: &str, expected: bool| {
        let output = run(&[whole.to_str().unwrap(), part.to_str().unwrap()]).unwrap();
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
