//! Bad requests: each is refused, with what is wrong with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use pki::{KeyError, Request, RequestError};
use proptest::prelude::*;
use std::{fs, path::Path, process::Command};

fn openssl(dir: &Path, arguments: &[&str]) {
    let output =
        Command::new("openssl").args(arguments).current_dir(dir).output().expect("openssl is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A request by openssl with these arguments beside the usual ones.
fn made(more: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments =
        vec!["req", "-new", "-nodes", "-keyout", "key", "-outform", "DER", "-out", "csr", "-subj", "/CN=x"];
    arguments.extend(more);
    openssl(dir.path(), &arguments);
    fs::read(dir.path().join("csr")).unwrap()
}

const EC: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn with(names: &str) -> Result<Request, RequestError> {
    let asked = format!("subjectAltName={names}");
    Request::from_der(&made(&[EC.as_slice(), &["-addext", &asked]].concat()))
}

#[test]
fn weak_keys_and_algorithms_are_refused() {
    let curve = |name: &str| format!("ec_paramgen_curve:{name}");
    for (more, expected) in [
        (vec!["-newkey", "rsa:1024"], "the RSA key has 1024 bits: expected 2048 to 8192"),
        (vec!["-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"], "a weak exponent"),
        (vec!["-newkey", "rsa:2048", "-sha1"], "expected ECDSA with SHA-256 or longer"),
        (vec!["-newkey", "ec", "-pkeyopt", &curve("P-224")], "a curve with the OID 1.3.132.0.33"),
        (vec!["-newkey", "ec", "-pkeyopt", &curve("secp256k1")], "a curve with the OID 1.3.132.0.10"),
        (
            vec!["-newkey", "ec", "-pkeyopt", &curve("P-256"), "-pkeyopt", "ec_param_enc:explicit"],
            "not named",
        ),
        (vec!["-newkey", "ed448"], "expected P-256, P-384, Ed25519, or RSA"),
        ([EC.as_slice(), &["-sha1"]].concat(), "expected ECDSA with SHA-256 or longer"),
    ] {
        let refused = Request::from_der(&made(&more)).unwrap_err().to_string();
        assert!(refused.contains(expected), "{more:?}: {refused}");
    }
}

#[test]
fn names_that_are_none_are_refused() {
    for (names, expected) in [
        ("DNS:*.harbour.example", "wildcards are not issued"),
        ("DNS:a b.example", "expected a host's name"),
        ("DNS:10.0.0.1", "expected a host's name"),
        ("DNS:-a.example", "expected a host's name"),
        ("DNS:a..example", "expected a host's name"),
        ("URI:not a uri", "expected a URI"),
        ("email:ada", "expected a mail address"),
        ("RID:1.2.3.4", "expected a host's name, an address"),
        ("otherName:1.2.3.4;UTF8:x", "expected a host's name, an address"),
    ] {
        let refused = with(names).unwrap_err().to_string();
        assert!(refused.contains(expected), "{names}: {refused}");
    }
    let many: Vec<String> = (0..33).map(|number| format!("DNS:a{number}.example")).collect();
    let refused = with(&many.join(",")).unwrap_err();
    assert_eq!(refused, RequestError::TooManyNames { found: 33, most: 32 });
    assert_eq!(with("DNS:a.example,DNS:A.example").unwrap().names().len(), 1);
}

#[test]
fn a_request_for_somebody_elses_key_is_refused() {
    let (one, other) = (made(&EC), made(&EC));
    // The same shape with the other's key in it: the key is 65 bytes before the attributes and the signature.
    let find = |der: &[u8]| der.windows(2).position(|bytes| bytes == [0x03, 0x42]).unwrap();
    let mut forged = one.clone();
    let (at, from) = (find(&one), find(&other));
    forged[at..at + 68].copy_from_slice(&other[from..from + 68]);
    assert_eq!(Request::from_der(&forged).unwrap_err(), RequestError::NotItsKey);
    Request::from_der(&one).unwrap();
}

#[test]
fn what_is_no_request_is_refused() {
    let good = made(&EC);
    for length in 0..good.len() {
        Request::from_der(&good[..length]).unwrap_err();
    }
    let mut longer = good;
    longer.push(0);
    Request::from_der(&longer).unwrap_err();
    assert!(matches!(Request::from_der(&vec![0x30; 1 << 20]), Err(RequestError::TooLarge { .. })));
    // Lengths that promise what does not come, and depth.
    for bomb in
        [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..], &[0x30, 0x80, 0, 0], &[0x30; 16_000], &[0xa0; 9_000]]
    {
        assert!(matches!(Request::from_der(bomb), Err(RequestError::NotDer(_))), "{:02x?}", &bomb[..4]);
    }
    assert_eq!(RequestError::from(KeyError::RsaSize(512)).to_string(), KeyError::RsaSize(512).to_string());
}

#[test]
fn what_was_given_to_prove_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[req]\ndistinguished_name=dn\nattributes=at\nprompt=no\n[dn]\nCN=cam\n[at]\nchallengePassword=once-0815\n";
    fs::write(dir.path().join("conf"), config).unwrap();
    let usual =
        ["req", "-new", "-nodes", "-config", "conf", "-keyout", "key", "-outform", "DER", "-out", "csr"];
    openssl(dir.path(), &[usual.as_slice(), &EC].concat());
    let request = Request::from_der(&fs::read(dir.path().join("csr")).unwrap()).unwrap();
    assert_eq!(request.challenge(), Some("once-0815"));
    assert_eq!(request.common_name().as_deref(), Some("cam"));
    assert_eq!(request.key().describe(), "P-256");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = Request::from_der(&bytes);
        let _ = pki::OcspRequest::from_der(&bytes);
        let _ = pki::read_certificates(&bytes);
    }

    #[test]
    fn a_changed_byte_is_noticed(index in 0_usize..200, bit in 0_u8..8) {
        static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut changed = GOOD.get_or_init(|| made(&EC)).clone();
        let index = index % changed.len();
        changed[index] ^= 1 << bit;
        prop_assert!(Request::from_der(&changed).is_err(), "{index} {bit} {:02x?}", GOOD.get());
    }
}
