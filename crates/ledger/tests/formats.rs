//! Leaves, commitments, notes, keys and checkpoints: one form each, and those that the standards publish.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use ledger::{
    Checkpoint, Commitment, Decision, Deed, Hash, Head, KeyError, LeafError, LogKey, Note, Opening, Part,
    Salt, Shown, Subject, Trust, VerifierKey, Who, new_private_key, origin,
};
use model::{AuthorityId, Timestamp};
use proptest::prelude::*;
use signed_note::{Note as TheirNote, StandardSigner, StandardVerifier, VerifierList};
use support::{ORIGIN, decision, log_key, opening};

/// The verifier key and the note that the signed-note standard publishes.
const STANDARD: (&str, &str) = (
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    "This is an example message.\n\n\u{2014} example.com/foo \
     Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
);

/// Those that the documentation of Go's package publishes, with the private key.
const GO: (&str, &str, &str) = (
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} \
     PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
);

#[test]
fn a_leaf_is_what_the_format_says() {
    let mut salt = [0; 32];
    (1_u8..).zip(&mut salt).for_each(|(number, byte)| *byte = number);
    let who = Opening::new(Salt::new(salt), "alice@example.org").unwrap();
    let decision = Decision {
        at: Timestamp::from_micros(1_790_000_000_123_456),
        authority: AuthorityId::local(),
        who: Who::Person(who.commitment()),
        deed: Deed::PlanApproved,
        about: vec![
            Subject::new("plan", "plan-0123456789abcdef").unwrap(),
            Subject::new("incident", "inc-0123456789abcdef").unwrap(),
        ],
        details: None,
    };
    // The commitment was computed with openssl: FORMAT.md says how.
    let expected = r#"{"v":1,"at":"2026-09-21T14:13:20.123456Z","authority":"local","who":{"kind":"person","id":"XpOrwdxeEc4KTi5KzG9yeoqvTDAuzs3n6x6hu6DHqjg="},"deed":"plan-approved","about":["plan:plan-0123456789abcdef","incident:inc-0123456789abcdef"]}"#;
    assert_eq!(String::from_utf8(decision.to_bytes().unwrap()).unwrap(), expected);
    assert_eq!(Decision::from_bytes(expected.as_bytes()), Ok(decision.clone()));
    assert_eq!(decision.about[1].kind(), "incident");
    assert_eq!(decision.about[1].id(), "inc-0123456789abcdef");
    let program = Decision { who: Who::Program, details: Some(Commitment([0; 32])), ..decision };
    let text = String::from_utf8(program.to_bytes().unwrap()).unwrap();
    assert!(
        text.contains(r#""who":{"kind":"program"},"#)
            && text.ends_with(r#""details":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#)
    );
    assert_eq!(Decision::from_bytes(text.as_bytes()), Ok(program));
}

/// The words of the ledger. A word that is not here any more is a leaf that nobody can read.
#[test]
fn deeds_keep_their_words() {
    let words: Vec<&str> = Deed::ALL.iter().map(|deed| deed.as_str()).collect();
    let published = [
        "signed-in",
        "signed-out",
        "session-ended",
        "role-given",
        "role-taken",
        "person-invited",
        "person-erased",
        "policy-changed",
        "authority-made",
        "plan-approved",
        "plan-refused",
        "command-run",
        "command-undone",
        "incident-closed",
        "incident-reopened",
        "exception-made",
        "exception-revoked",
        "responding-stopped",
        "responding-resumed",
        "token-made",
        "token-revoked",
        "settings-changed",
        "report-sent",
        "evidence-opened",
        "enrolled",
        "issued",
        "revoked",
        "suspended",
    ];
    assert_eq!(words[..published.len()], published);
    for number in 0..Deed::ALL.len() as u64 {
        let leaf = decision(number).to_bytes().unwrap();
        assert_eq!(Decision::from_bytes(&leaf), Ok(decision(number)));
    }
}

#[test]
fn only_canonical_bytes_are_a_decision() {
    let good = String::from_utf8(decision(2).to_bytes().unwrap()).unwrap();
    let check = |bytes: &str, expected: fn(&LeafError) -> bool| {
        let error = Decision::from_bytes(bytes.as_bytes()).unwrap_err();
        assert!(expected(&error), "{bytes}: {error:?}");
        assert!(!error.to_string().is_empty());
    };
    let shape: fn(&LeafError) -> bool = |error| matches!(error, LeafError::Shape(_));
    let canonical: fn(&LeafError) -> bool = |error| matches!(error, LeafError::NotCanonical(_));
    check("", shape);
    check("{}", shape);
    check(&good[..good.len() - 1], shape);
    check(&format!("{good} "), canonical);
    check(&good.replacen(':', ": ", 1), canonical);
    check(&good.replacen("{\"v\":1,", "{", 1).replacen("\"deed\"", "\"v\":1,\"deed\"", 1), canonical);
    check(&good.replace(".000000Z", "Z"), canonical);
    check(&good.replace(".000000Z", ".000000+00:00"), canonical);
    check(&good.replace("local", "loc\\u0061l"), canonical);
    check(&good.replace("local", "Local"), shape);
    check(&good.replace("local", "lo cal"), shape);
    check(&good.replace("incident:", "Incident:"), shape);
    check(&good.replace("inc-0", "somebody@example.org"), shape);
    check(&good.replacen("\"v\":1", "\"v\":1,\"more\":1", 1), shape);
    check(&good.replace("role-", "roll-").replace("session-ended", "session-bended"), shape);
    check(&good.replacen("\"v\":1", "\"v\":2", 1), |error| *error == LeafError::Version(2));
    check(r#"{"v":7,"something":"else"}"#, |error| *error == LeafError::Version(7));
    check(&"x".repeat(65_536), |error| *error == LeafError::TooLong(65_536));
    let crowd = Decision { about: vec![Subject::new("asset", "1").unwrap(); 9], ..decision(1) };
    assert_eq!(crowd.to_bytes(), Err(LeafError::Subjects(9)));
    for wrong in ["", "incident", ":x", "incident:", "Incident:x", "incident:a b", "incident:a@b", "i:\u{e4}"]
    {
        assert!(Subject::try_from(wrong.to_owned()).is_err(), "{wrong}");
    }
    assert!(Subject::new("incident", "x".repeat(200)).is_err());
}

#[test]
fn a_commitment_opens_in_one_way_only() {
    let shown = opening(1);
    let commitment = shown.commitment();
    assert!(shown.opens(&commitment));
    assert!(!opening(2).opens(&commitment));
    let other = Opening { value: "person number 2".into(), ..shown.clone() };
    assert!(!other.opens(&commitment));
    // Without its salt a commitment is that of any value.
    assert_ne!(Opening { salt: Salt::new([0; 32]), ..shown.clone() }.commitment(), commitment);
    assert!(!format!("{shown:?}").contains("90, 90"), "a salt is not printed");
    assert!(Opening::new(Salt::new([0; 32]), "x".repeat(64 * 1024 + 1)).is_err());
    let line = Shown { leaf: 1, part: Part::Who, opening: shown };
    let lines = Shown::to_lines(std::slice::from_ref(&line));
    assert_eq!(Shown::from_lines(&lines), Ok(vec![line.clone()]));
    assert!(line.check(&decision(1).to_bytes().unwrap()).is_ok());
    for wrong in [decision(2), decision(5)] {
        assert!(line.check(&wrong.to_bytes().unwrap()).is_err());
    }
    for wrong in ["x", "{}", r#"{"leaf":1,"part":"who","salt":"AA==","value":""}"#] {
        assert!(Shown::from_lines(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn published_notes_and_keys_are_written_as_they_were() {
    for (key, note) in [STANDARD, (GO.0, GO.1)] {
        let key: VerifierKey = key.parse().unwrap();
        let read = Note::from_bytes(note.as_bytes()).unwrap();
        assert_eq!(read.to_string(), note);
        assert!(key.is_named_by(&read.signatures()[0]));
    }
    let keys = [STANDARD.0, GO.0];
    assert_eq!(keys.map(|key| key.parse::<VerifierKey>().unwrap().to_string()), keys);
}

/// Our notes open with the crate `signed_note`, and its notes with ours.
#[test]
fn notes_are_those_of_others() {
    let head = Head { size: 3, root: Hash([5; 32]) };
    let ours = log_key().sign(head).unwrap().to_string();
    let theirs = TheirNote::from_bytes(ours.as_bytes()).unwrap();
    let verifier = StandardVerifier::new(&log_key().public().to_string()).unwrap();
    let (verified, unverified) = theirs.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    assert_eq!(theirs.to_bytes(), ours.as_bytes());

    let text = "PeterNeumann\n3\nBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n";
    let mut theirs = TheirNote::new(text.as_bytes(), &[]).unwrap();
    theirs.add_sigs(&[&StandardSigner::new(GO.2).unwrap()]).unwrap();
    let note = Note::from_bytes(&theirs.to_bytes()).unwrap();
    let opened = Trust::of(GO.0.parse().unwrap()).open(&note).unwrap();
    assert_eq!(opened.checkpoint, Checkpoint { origin: "PeterNeumann".into(), head, extensions: vec![] });
}

#[test]
fn what_is_no_note_is_refused_with_its_place() {
    let good = STANDARD.1;
    let check = |bytes: &[u8], expected: &str| {
        let error = Note::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    check(b"", "empty line");
    check(b"text\n", "empty line");
    check(b"text\n\n", "line end");
    check(b"\xff", "something else at byte 0");
    check(b"a\tb\n\n", "control character but line ends, found one at byte 1");
    check(good.trim_end().as_bytes(), "line end");
    check(good.replace('\u{2014}', "-").as_bytes(), "line 3");
    check(good.replace("example.com/foo ", "").as_bytes(), "line 3");
    check(good.replace("example.com/foo ", "exa+mple ").as_bytes(), "line 3");
    check(good.replace("aQM=", "aQM").as_bytes(), "line 3");
    check(good.replace("aQM=", "aQN=").as_bytes(), "line 3");
    check(b"a\nb\n\n\xe2\x80\x94 x AAAAAA==\n", "line 4");
    check(format!("{good}rest\n").as_bytes(), "line 4");
    let line = good.rsplit_once("\n\n").unwrap().1;
    check(format!("a\n\n{}", line.repeat(65)).as_bytes(), "at most 64 signatures");
    check("x".repeat(200_000).as_bytes(), "at most 131072 bytes");
    // The last empty line is the one that separates.
    let poem = good.replace("This is an example message.\n", "ed \u{e8} subito\n\nsera\n\n");
    assert_eq!(Note::from_bytes(poem.as_bytes()).unwrap().to_string(), poem);
    assert_eq!(Note::from_bytes(poem.as_bytes()).unwrap().text(), "ed \u{e8} subito\n\nsera\n\n");
}

#[test]
fn what_is_no_key_is_refused_with_its_reason() {
    let good = STANDARD.0;
    assert!(good.parse::<VerifierKey>().is_ok());
    let check = |key: &str, expected: fn(&KeyError) -> bool| {
        let error = key.parse::<VerifierKey>().unwrap_err();
        assert!(expected(&error), "{key}: {error:?}");
    };
    let form: fn(&KeyError) -> bool = |error| matches!(error, KeyError::Form(_));
    check("", form);
    check("a+b", form);
    check(&good[..good.len() - 1], form);
    check("example.com/foo+530d903a+AQ==", form);
    check(&good.replace("530d903a", "530d903b"), |error| matches!(error, KeyError::Id { .. }));
    check(&good.replace("530d903a", "530D903A"), |error| matches!(error, KeyError::Id { .. }));
    check(&good.replace("foo", "fop"), |error| matches!(error, KeyError::Id { .. }));
    check(&good.replace("+Ae", "+Be"), |error| matches!(error, KeyError::Algorithm(5)));
    check(&good.replace("example.com/foo", "example com"), |error| matches!(error, KeyError::Name(_)));
    check(&format!("{}{good}", "x".repeat(400)), form);
    assert!(matches!(LogKey::from_pkcs8(ORIGIN, b"no key"), Err(KeyError::PrivateKey)));
    let key = new_private_key(&[1; 32]).unwrap();
    assert!(matches!(LogKey::from_pkcs8("a b", &key), Err(KeyError::Name(_))));
    assert!(!format!("{:?}", log_key()).contains("07, 07"));
}

#[test]
fn a_checkpoint_has_one_form() {
    let root = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
    let good = format!("example.com/log\n20852163\n{root}\n");
    let read: Checkpoint = good.parse().unwrap();
    assert_eq!((read.head.size, read.to_string()), (20_852_163, good.clone()));
    let extended = format!("{good}extension\nanother one\n");
    assert_eq!(extended.parse::<Checkpoint>().unwrap().to_string(), extended);
    let check = |text: String, expected: &str| {
        let error = text.parse::<Checkpoint>().unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    check(String::new(), "line end");
    check("x\n".into(), "line 2");
    check("x\n1\n".into(), "line 3");
    check(good.trim_end().into(), "line end");
    check(good.replace("example.com/log", ""), "line 1");
    for size in ["", "01", "+1", "-1", " 1", "0x1", "18446744073709551616"] {
        check(good.replace("20852163", size), "line 2");
    }
    check(good.replace("20852163", "18446744073709551615"), "at most 281474976710656 leaves");
    check(good.replace("U=\n", "\n"), "line 3");
    check(good.replace("U=\n", "V=\n"), "line 3");
    check(format!("{good}\n"), "line 4");
    check(format!("{good}{}", "x\n".repeat(17)), "at most 16");
    assert_eq!(origin("node.example", &AuthorityId::local()).unwrap(), ORIGIN);
    assert!(origin("a node", &AuthorityId::local()).is_err());
}

#[test]
fn a_checkpoint_is_believed_only_as_trust_says() {
    let head = Head { size: 3, root: Hash([5; 32]) };
    let note = log_key().sign(head).unwrap();
    let trust = Trust::of(log_key().public().clone());
    assert_eq!(trust.open(&note).unwrap().checkpoint.head, head);
    let check = |trust: &Trust, text: String, expected: &str| {
        let error = trust.open(&Note::from_bytes(text.as_bytes()).unwrap()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    check(&trust, note.to_string().replace("\n3\n", "\n4\n"), "does not verify");
    check(&trust, note.to_string().replace("local", "other"), "expected a checkpoint of");
    let stranger = LogKey::from_pkcs8(ORIGIN, &new_private_key(&[8; 32]).unwrap()).unwrap();
    check(&trust, stranger.sign(head).unwrap().to_string(), "found none");
    check(&Trust { quorum: 1, ..trust.clone() }, note.to_string(), "by 1 of the trusted witnesses, found 0");
    // Signatures of strangers are passed over, whatever they hold.
    let strangers = format!("{note}\u{2014} {ORIGIN} AAAAAAAAAAA=\n");
    assert!(trust.open(&Note::from_bytes(strangers.as_bytes()).unwrap()).is_ok());
}

proptest! {
    /// Whatever a decision says, it is read as it was written.
    #[test]
    fn every_decision_reads_back(
        micros in any::<i64>(),
        (authority, kind, id) in ("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "[a-z-]{1,30}", "[A-Za-z0-9._~/:-]{1,128}"),
        (who, deed, subjects) in (0_u8..4, any::<prop::sample::Index>(), 0_usize..=8),
        commitment in any::<[u8; 32]>(),
        details in any::<bool>(),
    ) {
        let commitment = Commitment(commitment);
        let decision = Decision {
            at: Timestamp::from_micros(micros),
            authority: authority.parse().unwrap(),
            who: match who {
                0 => Who::Program,
                1 => Who::Person(commitment),
                2 => Who::Token(commitment),
                _ => Who::Machine(commitment),
            },
            deed: *deed.get(Deed::ALL),
            about: vec![Subject::new(&kind, &id).unwrap(); subjects],
            details: details.then_some(commitment),
        };
        let leaf = decision.to_bytes().unwrap();
        prop_assert!(!leaf.contains(&b'\\') && leaf.is_ascii());
        prop_assert_eq!(decision.concerns(&kind, &id), subjects > 0);
        prop_assert_eq!(Decision::from_bytes(&leaf), Ok(decision));
    }
}
