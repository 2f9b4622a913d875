//! The witness protocol, both sides, as the standard writes it down.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use ledger::{
    Hash, Head, LogKey, Note, Tree, Trust, VerifierKey, WitnessKey, new_private_key,
    witness::{AddCheckpoint, Answer, Refusal, answered, judge},
};
use model::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{Folder, ORIGIN, decision, decisions, log_key, tiles, witness_key};

const NAME: &str = "witness.example/w1";

/// A witness as a node keeps it: one head for each log it knows.
struct Witness {
    key: WitnessKey,
    known: BTreeMap<String, Vec<VerifierKey>>,
    last: BTreeMap<String, Head>,
    /// All that it ever cosigned.
    signed: Vec<Head>,
}

impl Witness {
    fn new() -> Self {
        let known = BTreeMap::from([(ORIGIN.to_owned(), vec![log_key().public().clone()])]);
        Self { key: witness_key(NAME, 21), known, last: BTreeMap::new(), signed: Vec::new() }
    }

    /// What HTTP would carry: a body in, a status and a body out.
    fn post(&mut self, body: &[u8]) -> (u16, String) {
        match self.try_post(body) {
            Ok(line) => (200, line),
            Err(refusal) => (refusal.status(), refusal.body().1),
        }
    }

    fn try_post(&mut self, body: &[u8]) -> Result<String, Refusal> {
        let request = AddCheckpoint::from_bytes(body)?;
        let origin = request.origin()?;
        let keys = self.known.get(&origin).map_or(&[][..], Vec::as_slice);
        let last = self.last.get(&origin).copied().unwrap_or_default();
        let accepted = judge(&request, keys, last)?;
        assert_eq!((accepted.origin(), accepted.old()), (origin.as_str(), last));
        self.last.insert(origin, accepted.head());
        self.signed.push(accepted.head());
        Ok(format!("{}\n", accepted.cosign(&self.key, Timestamp::from_secs(1_790_000_000)).unwrap()))
    }
}

fn request(folder: &Folder, head: Head, old: u64) -> AddCheckpoint {
    let proof = Tree::open(folder, head).unwrap().consistency(old).unwrap();
    AddCheckpoint { old, proof, checkpoint: log_key().sign(head).unwrap() }
}

#[test]
fn a_log_that_grows_is_cosigned_and_everybody_can_verify_it() {
    let all = decisions(700);
    let mut witness = Witness::new();
    let trust = Trust {
        witnesses: vec![witness.key.public().clone()],
        quorum: 1,
        ..Trust::of(log_key().public().clone())
    };
    let mut old = 0;
    for size in [1, 1, 5, 256, 300, 700_usize] {
        let (folder, head) = tiles(&all[..size]);
        let request = request(&folder, head, old);
        let (status, body) = witness.post(request.to_string().as_bytes());
        assert_eq!(status, 200, "{body}");
        let mut note = request.checkpoint.clone();
        assert!(trust.open(&note).is_err(), "not witnessed yet");
        let answer = answered(&request, &mut note, witness.key.public(), status, body.as_bytes());
        assert_eq!(answer, Ok(Answer::Cosigned));
        let opened = trust.open(&Note::from_bytes(note.to_string().as_bytes()).unwrap()).unwrap();
        let at = Timestamp::from_secs(1_790_000_000);
        assert_eq!(opened.witnesses, BTreeMap::from([(NAME.to_owned(), at)]));
        old = size as u64;
    }
}

#[test]
fn refusals_are_those_of_the_protocol() {
    let all = decisions(400);
    let (at_300, head_300) = tiles(&all[..300]);
    let (at_400, head_400) = tiles(&all);
    let mut other = all.clone();
    other[10] = decision(9_999).to_bytes().unwrap();
    let (fork, fork_400) = tiles(&other);
    let (fork_at_300, fork_300) = tiles(&other[..300]);
    let stranger = LogKey::from_pkcs8(ORIGIN, &new_private_key(&[8; 32]).unwrap()).unwrap();
    let unknown = LogKey::from_pkcs8("bastide/other/local", &new_private_key(&[7; 32]).unwrap()).unwrap();
    let fresh = |check: &dyn Fn(&mut Witness)| {
        let mut witness = Witness::new();
        let first = request(&at_300, head_300, 0).to_string();
        assert_eq!(witness.post(first.as_bytes()).0, 200);
        check(&mut witness);
        let signed = witness.signed.iter().all(|head| [head_300, head_400].contains(head));
        assert!(signed, "nothing of another history");
    };
    let check = |request: AddCheckpoint, status: u16, body: &str| {
        fresh(&|witness| {
            let answer = witness.post(request.to_string().as_bytes());
            assert_eq!((answer.0, answer.1.contains(body)), (status, true), "{answer:?}");
        });
    };
    let good = request(&at_400, head_400, 300);
    check(good.clone(), 200, NAME);
    check(AddCheckpoint { checkpoint: unknown.sign(head_400).unwrap(), ..good.clone() }, 404, "not known");
    check(AddCheckpoint { checkpoint: stranger.sign(head_400).unwrap(), ..good.clone() }, 403, "found none");
    check(AddCheckpoint { old: 401, ..good.clone() }, 400, "at most 400");
    // Where it stands comes back as a number alone, so that the log can ask again.
    for (folder, head, old) in [(&at_400, head_400, 0), (&at_400, head_400, 299), (&at_400, head_400, 400)] {
        fresh(&|witness| {
            let answer = witness.post(request(folder, head, old).to_string().as_bytes());
            assert_eq!(answer, (409, "300\n".into()));
        });
    }
    let same_size = request(&fork_at_300, fork_300, 300);
    fresh(&|witness| assert_eq!(witness.post(same_size.to_string().as_bytes()), (409, "300\n".into())));
    check(request(&fork, fork_400, 300), 422, "does not lead");
    check(AddCheckpoint { proof: vec![], ..good.clone() }, 422, "does not lead");
    let mut padded = good.clone();
    padded.proof.push(Hash([0; 32]));
    check(padded, 422, "does not lead");
    // A proof from nothing is empty, and the empty log has one root.
    let mut witness = Witness::new();
    let first = AddCheckpoint { proof: vec![Hash([0; 32])], ..request(&at_300, head_300, 0) };
    assert_eq!(witness.post(first.to_string().as_bytes()).0, 422);
    let forged = log_key().sign(Head { size: 0, root: Hash([1; 32]) }).unwrap();
    let first = AddCheckpoint { old: 0, proof: vec![], checkpoint: forged };
    assert_eq!(witness.post(first.to_string().as_bytes()), (409, "0\n".into()));
    let empty = AddCheckpoint { checkpoint: log_key().sign(Head::EMPTY).unwrap(), ..first };
    assert_eq!(witness.post(empty.to_string().as_bytes()).0, 200);
}

#[test]
fn what_is_no_request_is_refused_with_its_place() {
    // The example of the standard.
    let example = "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\nexample.com/behind-the-sofa\n20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u{2014} example.com/behind-the-sofa \
        Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\u{2014} \
        example.com/behind-the-sofa \
        opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    let read = AddCheckpoint::from_bytes(example.as_bytes()).unwrap();
    assert_eq!((read.old, read.proof.len(), read.checkpoint.signatures().len()), (20_852_014, 4, 2));
    assert_eq!(read.to_string(), example);
    assert_eq!(read.origin().unwrap(), "example.com/behind-the-sofa");
    let check = |text: String, expected: &str| {
        let error = AddCheckpoint::from_bytes(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(Witness::new().post(text.as_bytes()).0, 400, "{error}");
    };
    check(String::new(), "expected `old SIZE`");
    check(example.replace("old 2", "old 02"), "line 1");
    check(example.replace("old 2", "old -2"), "line 1");
    check(example.replace("old ", "new "), "line 1");
    check(example.replace("kaw=", "kaw"), "line 2");
    check(example.replace("3swk=", "3swl="), "line 3");
    check(example.replace("\n\nexample", "\nexample"), "line 6");
    check(example.split("\n\n\u{2014}").next().unwrap().to_owned(), "empty line between");
    let hash = format!("{}\n", Hash::EMPTY);
    let long = example.split_once('\n').unwrap();
    check(format!("{}\n{}{}", long.0, hash.repeat(60), long.1), "at most 63 hashes");
    check("x".repeat(200_000), "at most");
    assert_eq!(Witness::new().post(&[0xff; 9]).0, 400);
}

#[test]
fn a_log_understands_what_it_is_answered() {
    let all = decisions(400);
    let (folder, head) = tiles(&all);
    let request = request(&folder, head, 300);
    let witness = witness_key(NAME, 21);
    let check = |status, body: &str, expected: Result<Answer, &str>| {
        let mut note = request.checkpoint.clone();
        let before = note.clone();
        let answer = answered(&request, &mut note, witness.public(), status, body.as_bytes());
        assert_eq!(note, before, "nothing is added that does not verify");
        match (answer, expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            other => panic!("{other:?}"),
        }
    };
    check(409, "250\n", Ok(Answer::Conflict(250)));
    check(409, "0\n", Ok(Answer::Conflict(0)));
    check(409, "401\n", Ok(Answer::OtherHistory(401)));
    check(409, "300\n", Ok(Answer::OtherHistory(300)));
    check(422, "no\n", Ok(Answer::OtherHistory(300)));
    check(409, "300", Err("the size that was cosigned last"));
    check(409, "0300\n", Err("the size that was cosigned last"));
    let refused = |status, reason: &str| Ok(Answer::Refused { status, reason: reason.into() });
    check(404, "not known\n", refused(404, "not known"));
    check(500, "", refused(500, ""));
    check(200, "", Err("line end"));
    check(200, "nonsense\n", Err("line 1"));
    check(200, &format!("\u{2014} {NAME} AAAAAAAA\n"), Err("found 0"));
    // Another witness's answer, and an answer for another checkpoint.
    let mut elsewhere = Witness { key: witness_key("witness.example/w2", 22), ..Witness::new() };
    let (first, first_head) = tiles(&all[..300]);
    let earlier = self::request(&first, first_head, 0);
    assert_eq!(elsewhere.post(earlier.to_string().as_bytes()).0, 200);
    let (_, foreign) = elsewhere.post(request.to_string().as_bytes());
    check(200, &foreign, Err("found 0"));
    let (_, earlier) = Witness::new().post(earlier.to_string().as_bytes());
    check(200, &earlier, Err("does not verify"));
}

#[test]
fn a_witness_counts_once() {
    let (folder, head) = tiles(&decisions(3));
    let request = request(&folder, head, 0);
    let keys =
        [witness_key("w.example/1", 21), witness_key("w.example/2", 21), witness_key("w.example/1", 22)];
    let mut note = request.checkpoint.clone();
    for key in &keys {
        let accepted = judge(&request, &[log_key().public().clone()], Head::EMPTY).unwrap();
        note.add(accepted.cosign(key, Timestamp::from_secs(1)).unwrap()).unwrap();
    }
    let witnesses: Vec<VerifierKey> = keys.iter().map(|key| key.public().clone()).collect();
    let trust =
        |quorum| Trust { witnesses: witnesses.clone(), quorum, ..Trust::of(log_key().public().clone()) };
    assert_eq!(trust(1).open(&note).unwrap().witnesses.len(), 1, "one key, two names; one name, two keys");
    assert!(trust(2).open(&note).is_err());
    // A cosignature is no signature of a log, whatever its key is called.
    let as_log = Trust { log: witnesses.clone(), ..trust(0) };
    assert!(as_log.open(&note).is_err());
    let mut changed = note.to_string();
    let at = changed.rfind('=').unwrap() - 8;
    let other = if changed.as_bytes()[at] == b'A' { "B" } else { "A" };
    changed.replace_range(at..=at, other);
    assert!(trust(1).open(&Note::from_bytes(changed.as_bytes()).unwrap()).is_err(), "a bad one spoils it");
}

proptest! {
    /// Two histories of one log compete for a witness: all that it ever cosigns is one of them.
    #[test]
    fn a_witness_never_signs_two_histories(
        parted in 0_usize..40,
        asks in prop::collection::vec((any::<bool>(), 1_usize..60, 0_u64..60, any::<bool>()), 1..30),
    ) {
        let ours = decisions(60);
        let mut theirs = ours.clone();
        for (number, leaf) in theirs.iter_mut().enumerate().skip(parted) {
            *leaf = decision(10_000 + number as u64).to_bytes().unwrap();
        }
        let mut witness = Witness::new();
        for (which, size, old, follow) in asks {
            let leaves = if which { &ours } else { &theirs };
            let (folder, head) = tiles(&leaves[..size]);
            // Often from where the witness stands, which any log can ask for.
            let last = witness.last.get(ORIGIN).map_or(0, |head| head.size);
            let old = if follow { last } else { old }.min(head.size);
            let (status, _) = witness.post(request(&folder, head, old).to_string().as_bytes());
            prop_assert!([200, 409, 422].contains(&status), "{}", status);
        }
        let in_one = |leaves: &[Vec<u8>]| {
            witness.signed.iter().all(|head| tiles(&leaves[..head.size as usize]).1 == *head)
        };
        prop_assert!(in_one(&ours) || in_one(&theirs));
        prop_assert!(witness.signed.is_sorted_by_key(|head| head.size));
    }
}
