//! What a device sends and reads: requests, certificates, signed messages; openssl judges what is sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::Timestamp;
use pki::{
    Addresses, Algorithm, Bounds, Certificate, Issuer, Jws, Profiles, Request, Serial, Signer as _,
    SoftwareKey, Subject, SubjectName, ask, ask_again, sign_jws,
};
use std::{fs, process::Command, sync::Arc};

fn key(algorithm: Algorithm) -> Arc<SoftwareKey> {
    Arc::new(SoftwareKey::from_pkcs8(algorithm, &SoftwareKey::generate(algorithm).unwrap()).unwrap())
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T12:00:00Z").unwrap()
}

fn root(algorithm: Algorithm) -> Issuer {
    let key = key(algorithm);
    let issued = Issuer::root("Örlau", &*key, Serial::from_random([1; 16]), now(), 365).unwrap();
    let bounds = Bounds { domains: vec!["example".into()], networks: vec![] };
    Issuer::new(&issued.der, key, bounds, Addresses::default()).unwrap()
}

/// A device's key with its certificate.
fn device(issuer: &Issuer, algorithm: Algorithm) -> (Arc<SoftwareKey>, Vec<u8>) {
    let key = key(algorithm);
    let profiles = Profiles::default();
    let subject = Subject { common_name: "camera-7".into(), serial_number: Some("SN.0815".into()) };
    let names = [SubjectName::dns("camera-7.example").unwrap()];
    let profile = ("device", profiles.get("device").unwrap());
    let serial = Serial::from_random([2; 16]);
    let issued = issuer.issue(&subject, key.public_key(), &names, profile, serial, now()).unwrap();
    (key, issued.der)
}

#[test]
fn a_request_says_whom_it_is_for_and_is_signed_by_its_key() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let names = [SubjectName::dns("camera-7.example").unwrap()];
        let der = ask(&*key, "camera-7", &names).unwrap();
        let read = Request::from_der(&der).unwrap();
        assert_eq!((read.common_name().as_deref(), read.names()), (Some("camera-7"), names.as_slice()));
        assert_eq!(read.key(), key.public_key());

        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("csr"), &der).unwrap();
        let judged = Command::new("openssl")
            .args(["req", "-inform", "DER", "-in", "csr", "-verify", "-noout", "-subject"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&judged.stdout).into_owned();
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
        assert!(said.contains("CN = camera-7") || said.contains("CN=camera-7"), "{said}");

        let mut changed = der;
        *changed.iter_mut().rev().nth(5).unwrap() ^= 1;
        assert!(Request::from_der(&changed).is_err(), "{algorithm}");
    }
}

#[test]
fn who_renews_asks_for_what_it_has_with_another_key() {
    let issuer = root(Algorithm::P256);
    let (old, der) = device(&issuer, Algorithm::P256);
    let certificate = Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.key(), old.public_key());
    assert_eq!(certificate.view().ends, now().plus_secs(90 * 86_400));
    assert_eq!(certificate.view().begins, now().plus_secs(-300));
    let new = key(Algorithm::P256);
    let request = Request::from_der(&ask_again(&*new, &certificate).unwrap()).unwrap();
    assert_eq!(request.key(), new.public_key());
    assert_eq!(request.common_name().as_deref(), Some("camera-7"));
    assert_eq!(request.serial_number().as_deref(), Some("SN.0815"));
    assert_eq!(request.names(), [SubjectName::dns("camera-7.example").unwrap()]);
}

#[test]
fn a_root_is_told_from_the_rest() {
    let issuer = root(Algorithm::Ed25519);
    let (_, der) = device(&issuer, Algorithm::P384);
    let leaf = Certificate::from_der(&der).unwrap();
    assert_eq!((leaf.is_root(), leaf.may_sign()), (false, true));
    let own = Certificate::from_der(issuer.der()).unwrap();
    assert_eq!((own.is_root(), own.may_sign()), (true, false), "a CA's key signs certificates only");
    let mut forged = issuer.der().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert!(!Certificate::from_der(&forged).unwrap().is_root(), "not signed by itself");
    for (wrong, expected) in [
        (&b"rubbish"[..], "no certificate in DER"),
        (&der[..der.len() - 1], "no certificate in DER"),
        (&[0x30; 70_000], "70000 bytes: expected at most 65536"),
    ] {
        let error = Certificate::from_der(wrong).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_signed_message_is_believed_from_its_signer_only() {
    for algorithm in Algorithm::ALL {
        let issuer = root(Algorithm::P256);
        let (signer, certificate) = device(&issuer, algorithm);
        // Often enough that numbers with leading zeros come up.
        for round in 0..600_u32 {
            let payload = round.to_be_bytes();
            let text = sign_jws(&*signer, "test", &[&certificate], &payload).unwrap();
            let read = Jws::parse(&text).unwrap();
            assert_eq!((read.kind(), read.chain()), ("test", [certificate.clone()].as_slice()));
            assert_eq!(read.payload_signed().unwrap(), payload, "{algorithm} {text}");
            if round > 0 && algorithm == Algorithm::P384 && round > 60 {
                break;
            }
        }
        let text = sign_jws(&*signer, "test", &[&certificate], b"the payload").unwrap();
        let (_, another) = device(&issuer, algorithm);
        let stolen = sign_jws(&*signer, "test", &[&another], b"the payload").unwrap();
        let refused = Jws::parse(&stolen).unwrap().payload_signed().unwrap_err().to_string();
        assert!(refused.contains("not that of its certificate"), "{refused}");
        // Whatever letter is another one, nothing else is read out of it.
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let Ok(read) = Jws::parse(std::str::from_utf8(&changed).unwrap()) else { continue };
            if let Ok(payload) = read.payload_signed() {
                panic!("{algorithm}: letter {at}: {payload:?}");
            }
        }
    }
}

#[test]
fn a_message_of_another_form_is_refused() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as URL};
    let issuer = root(Algorithm::P256);
    let (_, leaf) = device(&issuer, Algorithm::P384);
    let leaf = base64::prelude::BASE64_STANDARD.encode(leaf);
    let check = |header: String, expected: &str| {
        let text = format!("{}.{}.{}", URL.encode(&header), URL.encode("x"), URL.encode([1; 64]));
        let outcome = Jws::parse(&text).and_then(Jws::payload_signed);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(expected), "{header}: {error}");
    };
    let with = |alg: &str, more: &str| format!(r#"{{"alg":"{alg}","typ":"t","x5c":["{leaf}"]{more}}}"#);
    check(with("none", ""), "expected ES256, ES384 or EdDSA");
    check(with("HS256", ""), "expected ES256, ES384 or EdDSA");
    check(with("ES256", ""), "marked ES256 and was signed by a key of P-384");
    check(with("ES384", ""), "not that of its certificate");
    check(with("ES384", r#","crit":["exp"]"#), "unknown field `crit`");
    check(with("ES384", r#","jwk":{}"#), "unknown field `jwk`");
    check(r#"{"alg":"ES256","typ":"t","x5c":[]}"#.into(), "`x5c` is empty");
    check(r#"{"alg":"ES256","typ":"t","x5c":["AAAA"]}"#.into(), "no certificate in DER");
    check(r#"{"alg":"ES256","typ":"t","x5c":["%"]}"#.into(), "not base64");
    check(format!(r#"{{"alg":"ES256","typ":"t","x5c":[{}]}}"#, ["\"\""; 6].join(",")), "more than 5");
    for wrong in ["", "a", "a.b", "e30.e30", "e30=.e30.e30", "{}.{}.{}"] {
        assert!(Jws::parse(wrong).is_err(), "{wrong}");
    }
}
