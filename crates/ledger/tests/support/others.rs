//! Other people's programs at work on what was exported.

use signed_note::{Note, StandardVerifier, VerifierList};
use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

/// How many leaves of a bundle the crates `signed_note` and `tlog_tiles` verify, alone: their parser of notes, their parser
/// of checkpoints, their Ed25519 and their check of a proof. Panics at the first that they do not.
pub(crate) fn verified_by_crates(files: &BTreeMap<String, Vec<u8>>) -> usize {
    let keys = std::str::from_utf8(&files["keys"]).unwrap();
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
        let note = Note::from_bytes(checkpoint.as_bytes()).unwrap();
        assert_eq!(note.verify(&verifiers).unwrap().0.len(), 1);
        let tree = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        let leaf = tlog_tiles::record_hash(&files[&format!("{number}.json")]);
        let index = number.parse().unwrap();
        tlog_tiles::check_record(&hashes, tree.size(), *tree.hash(), index, leaf).unwrap();
        verified += 1;
    }
    verified
}

/// Runs `elsewhere.py`; unset where no Python here has the package `cryptography`.
pub(crate) fn elsewhere(arguments: &[&str]) -> Option<Output> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ledger/tests/elsewhere.py");
    let run = |python: &str, arguments: &[&str]| Command::new(python).arg(script).args(arguments).output();
    // That of the distribution is last: ./test installs what it needs.
    let python = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| run(python, &["--installed"]).is_ok_and(|it| it.status.success()))?;
    Some(run(python, arguments).unwrap())
}
