//! Becoming a device: with one token, from whoever the token names, and from nobody else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod city;

use agent::identity::{Identity, Trust};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use city::{Authority, City, Device, SECRET, now};
use model::Timestamp;
use wire::Token;

#[test]
fn one_token_is_enough() {
    let (city, device) = (City::new(), Device::new());
    let (identity, _) = device.enrol(&city, now());
    let identity = identity.unwrap();
    assert_eq!(identity.certificate().view().subject, "CN=camera-7,OU=harbour,O=City");
    assert_eq!(identity.chain().len(), 2, "with what lies between it and the root");
    let kept = Identity::load(&device.folder()).unwrap().unwrap();
    assert_eq!(kept.chain(), identity.chain());
    let pinned = Trust::load(&device.folder()).unwrap().unwrap();
    assert_eq!(pinned, Trust::new(vec![city.authority.root.clone()]).unwrap());
    assert!(!device.path("agent/pending.pem").exists());
    city.behave(|behaviour| {
        assert_eq!(behaviour.asked.len(), 1);
        assert_eq!(behaviour.asked[0].0, "/.well-known/est/simpleenroll");
        assert_eq!(behaviour.group.as_deref(), Some("X25519MLKEM768"), "hybrid, without being asked for");
    });
}

#[test]
fn while_a_person_decides_the_same_request_is_sent_again() {
    let (city, device) = (City::new(), Device::new());
    city.behave(|behaviour| behaviour.waits = 3);
    let (identity, words) = device.enrol(&city, now());
    let identity = identity.unwrap();
    assert_eq!(words.len(), 3);
    let shown = format!("waiting for a person to approve camera-7; its key is {}", identity.fingerprint());
    assert!(words[0].starts_with(&shown) && words[0].ends_with("asking again in 5 s"), "{words:?}");
    city.behave(|behaviour| {
        assert_eq!(behaviour.asked.len(), 4);
        assert!(behaviour.asked.iter().all(|asked| *asked == behaviour.asked[0]));
    });
}

#[test]
fn an_enrolment_that_was_cut_off_is_taken_up_with_the_same_key() {
    let (city, device) = (City::new(), Device::new());
    city.behave(|behaviour| {
        // cacerts, then nothing where a certificate was issued already.
        behaviour.instead = vec![];
        behaviour.waits = 1;
    });
    let cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let enrol = agent::enrol::Enrol {
            server: city.server(),
            label: Some("harbour".into()),
            ground: agent::enrol::Ground::Token(city.token()),
            name: "camera-7".into(),
            algorithm: pki::Algorithm::P256,
            token: None,
        };
        let _ = enrol.run(&device.folder(), now(), &mut |_| {}, &mut |_| panic!("the power is cut"));
    }));
    assert!(cut.is_err() && device.path("agent/pending.pem").exists());
    device.enrol(&city, now()).0.unwrap();
    city.behave(|behaviour| {
        assert_eq!(behaviour.asked[0].0, "/.well-known/est/harbour/simpleenroll");
        let key = |body: &str| {
            let request = pki::Request::from_der(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
            request.key().fingerprint().unwrap()
        };
        assert_eq!(key(&behaviour.asked[0].2), key(&behaviour.asked[1].2));
    });
}

#[test]
fn the_secret_is_said_to_nobody_but_whom_the_token_names() {
    let check = |city: &City, token: Token, expected: &str| {
        let device = Device::new();
        let error = device.enrol_with(city, token, now()).0.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        city.behave(|behaviour| assert_eq!(behaviour.asked.len(), 0, "{expected}"));
        assert!(Identity::load(&device.folder()).unwrap().is_none());
    };
    let city = City::new();
    let another = Authority::new("City");
    let names_another = Token::new(&another.root, SECRET).unwrap();
    check(&city, names_another.clone(), "does not show the authority that the token names (it showed 1");
    let names_one_below = Token::new(city.authority.issuer.der(), SECRET).unwrap();
    check(&city, names_one_below, "0 of which fit");
    // In the middle stands somebody who shows the right root, and has a certificate of their own.
    let shown = vec![another.root.clone(), another.issuer.der().to_vec()];
    let middle = City::of(Authority::new("City"), Some(shown), now(), "127.0.0.1:0");
    check(&middle, names_another, "is not the server that this device trusts");
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let (city, device) = (City::new(), Device::new());
    let token = Token::new(&city.authority.root, &"B".repeat(43)).unwrap();
    let error = device.enrol_with(&city, token, now()).0.unwrap_err().to_string();
    assert_eq!(error, "the server refuses (401): the token is not known, used up or over");
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n!", "expected base64 (RFC 8951)"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nAAAA", "expected certificates as PKCS #7"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n", "longer than 262144 bytes"),
        (
            "HTTP/1.1 403 No\r\n\r\n{\"detail\":\"no token\",\"expected\":\"a whole\"}",
            "the server refuses (403): no token; expected a whole",
        ),
        ("HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\n\x1b[2", "the server refuses (500): [2"),
        ("SSH-2.0-x\r\n", "no answer in HTTP/1.1"),
        ("", "ends in its middle"),
    ] {
        city.behave(|behaviour| behaviour.instead = vec![answer.into()]);
        let error = Device::new().enrol(&city, now()).0.unwrap_err().to_string();
        assert!(error.contains(expected), "{answer:?}: {error}");
    }
}

#[test]
fn a_clock_a_year_off_is_named_as_the_cause() {
    let check = |clock: Timestamp, expected: &str| {
        let (city, device) = (City::new(), Device::new());
        city.behave(|behaviour| behaviour.date = Some("Sun, 22 Nov 2026 12:00:00 GMT".into()));
        let (outcome, words) = device.enrol(&city, clock);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("is the clock right?"), "{error}");
        let hint =
            format!("the server's clock says 2026-11-22T12:00:00.000000Z, the clock of this device {clock}");
        assert!(words.iter().any(|word| word.contains(&hint)), "{words:?}");
        city.behave(|behaviour| assert_eq!(behaviour.asked.len(), 0));
        // Nothing is spoiled: with the clock set it works.
        device.enrol(&city, now()).0.unwrap();
    };
    check(Timestamp::from_secs(0), "good only from 2026-11-22T11:55:00.000000Z");
    check(now().plus_secs(-365 * 86_400), "good only from 2026-11-22T11:55:00.000000Z");
    check(now().plus_secs(365 * 86_400), "good until 2027-02-20T12:00:00.000000Z only");
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_away() {
    let device = Device::new();
    let address = {
        let city = City::new();
        city.address.clone()
    };
    let enrol = agent::enrol::Enrol {
        server: format!("https://{address}").parse().unwrap(),
        label: None,
        ground: agent::enrol::Ground::Token(Token::new(b"x", SECRET).unwrap()),
        name: "camera-7".into(),
        algorithm: pki::Algorithm::Ed25519,
        token: None,
    };
    let error = enrol.run(&device.folder(), now(), &mut |_| {}, &mut |_| now()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("https://{address} cannot be reached")), "{error}");
}
