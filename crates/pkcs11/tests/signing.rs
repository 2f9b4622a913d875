//! Keys on real tokens: SoftHSM, and a TPM by way of tpm2-pkcs11. openssl judges what they sign.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod tokens;

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    object::{Attribute, AttributeType, ObjectClass},
    session::UserType,
};
use pkcs11::{Place, TokenKey};
use pki::{Algorithm, Signer as _};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tokens::{PIN, Tokens};

/// The folder and the URI, in the process that knows the tokens.
fn inside() -> Option<(PathBuf, String)> {
    let uri = std::env::var_os("TOKEN_URI")?.into_string().unwrap();
    Some((PathBuf::from(std::env::var_os("TOKEN_DIR")?), uri))
}

/// A key is made, signs, is found again, and is gone once it is destroyed.
fn lives(place: &Place, algorithm: Algorithm, dir: &Path) {
    let place = place.with_object(&format!("key {algorithm}"));
    let key = TokenKey::make(place.clone(), algorithm).unwrap();
    let again = TokenKey::make(place.clone(), algorithm).unwrap_err().to_string();
    assert!(again.contains("there is one of that name already"), "{again}");
    let found = TokenKey::open(place.clone()).unwrap();
    assert_eq!((found.algorithm(), found.public_key()), (algorithm, key.public_key()));
    // Signatures of many lengths: the two numbers begin with zeros now and then.
    for round in 0..12_u8 {
        let message = vec![round; 100 + usize::from(round)];
        openssl_verifies(&found, &message, dir);
    }
    TokenKey::destroy(&place).unwrap();
    let gone = found.sign(b"message").unwrap_err();
    assert!(matches!(gone, pki::SignError::Away(_) | pki::SignError::Refused(_)), "{gone}");
}

fn openssl_verifies(key: &TokenKey, message: &[u8], dir: &Path) {
    let file = |name: &str| dir.join(name).display().to_string();
    fs::write(file("message"), message).unwrap();
    fs::write(file("signature"), key.sign(message).unwrap()).unwrap();
    fs::write(file("public.der"), key.public_key().to_der().unwrap()).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin"]);
    openssl.args(["-inkey", &file("public.der"), "-in", &file("message"), "-sigfile", &file("signature")]);
    match key.algorithm() {
        Algorithm::P256 => openssl.args(["-digest", "sha256"]),
        Algorithm::P384 => openssl.args(["-digest", "sha384"]),
        Algorithm::Ed25519 => &mut openssl,
    };
    let judged = openssl.output().unwrap();
    assert!(judged.status.success(), "{judged:?}");
}

#[test]
fn softhsm_makes_keys_and_signs_with_all_algorithms() {
    let Some((dir, uri)) = inside() else {
        let dir = tempfile::tempdir().unwrap();
        let Some(tokens) = Tokens::softhsm(dir.path()) else { return };
        let uri = tokens.add("city");
        return tokens.again("softhsm_makes_keys_and_signs_with_all_algorithms", &uri);
    };
    let place: Place = uri.parse().unwrap();
    Algorithm::ALL.into_iter().for_each(|algorithm| lives(&place, algorithm, &dir));
}

#[test]
fn a_tpm_makes_its_token_and_keys_and_signs() {
    let Some((dir, uri)) = inside() else {
        let dir = tempfile::tempdir().unwrap();
        let Some(tokens) = Tokens::tpm(dir.path()) else { return };
        return tokens.again("a_tpm_makes_its_token_and_keys_and_signs", &tokens.uri("device"));
    };
    let place: Place = uri.parse().unwrap();
    let error = TokenKey::open(place.with_object("key")).unwrap_err().to_string();
    assert!(error.contains("the token \"device\" is not there") && error.contains("shows none"), "{error}");
    let module = uri.split_once("module-path=").unwrap().1.split_once('&').unwrap().0;
    for _ in 0..2 {
        let made = Place::make_token(Path::new(module), "device", &dir.join("pin"), "98765432").unwrap();
        assert_eq!(made, place);
    }
    lives(&place, Algorithm::P256, &dir);
}

#[test]
fn a_key_cannot_be_taken_out_of_its_token() {
    let Some((_, uri)) = inside() else {
        let dir = tempfile::tempdir().unwrap();
        let Some(tokens) = Tokens::softhsm(dir.path()) else { return };
        let uri = tokens.add("city");
        return tokens.again("a_key_cannot_be_taken_out_of_its_token", &uri);
    };
    let place: Place = uri.parse().unwrap();
    TokenKey::make(place.with_object("root"), Algorithm::P256).unwrap();
    let module = uri.split_once("module-path=").unwrap().1.split_once('&').unwrap().0;
    let context = Pkcs11::new(module).unwrap();
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = context.get_slots_with_initialized_token().unwrap()[0];
    let session = context.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&PIN.to_owned().into()));
    let keys = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap();
    let wanted = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
        AttributeType::AlwaysSensitive,
        AttributeType::Value,
    ];
    let said = session.get_attributes(keys[0], &wanted).unwrap();
    let expected = [
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::NeverExtractable(true),
        Attribute::AlwaysSensitive(true),
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_token_that_was_away_is_found_again() {
    let Some((dir, uri)) = inside() else {
        let dir = tempfile::tempdir().unwrap();
        let Some(tokens) = Tokens::softhsm(dir.path()) else { return };
        let uri = tokens.add("city");
        return tokens.again("a_token_that_was_away_is_found_again", &uri);
    };
    let module = uri.split_once("module-path=").unwrap().1.split_once('&').unwrap().0.into();
    let tokens = Tokens::there(module, &dir);
    let place: Place = uri.parse().unwrap();
    let key = TokenKey::make(place.with_object("root"), Algorithm::P256).unwrap();
    for _ in 0..3 {
        tokens.plugged(false);
        let error = key.sign(b"message").unwrap_err();
        assert!(matches!(error, pki::SignError::Away(_)), "{error:?}");
        assert!(error.to_string().contains("the token \"city\" is not there"), "{error}");
        tokens.plugged(true);
        openssl_verifies(&key, b"message", &dir);
    }
}

#[test]
fn what_is_wrong_is_said_without_the_pin() {
    let Some((dir, uri)) = inside() else {
        let dir = tempfile::tempdir().unwrap();
        let Some(tokens) = Tokens::softhsm(dir.path()) else { return };
        let uri = tokens.add("city");
        return tokens.again("what_is_wrong_is_said_without_the_pin", &uri);
    };
    let pin = dir.join("pin");
    let said = |place: &Place| TokenKey::open(place.with_object("root")).unwrap_err().to_string();
    let right: Place = uri.parse().unwrap();
    let module = uri.split_once("module-path=").unwrap().1.split_once('&').unwrap().0;
    let no_module: Place = uri.replace(module, "/nowhere/m.so").parse().unwrap();
    assert!(
        said(&no_module).contains("the PKCS #11 module /nowhere/m.so cannot be used"),
        "{}",
        said(&no_module)
    );
    let no_token: Place = uri.replace("token=city", "token=town").parse().unwrap();
    assert!(said(&no_token).contains("shows \"city\""), "{}", said(&no_token));
    let no_pin = Place::of_token(Path::new(module), "city");
    assert!(said(&no_pin).contains("expected pin-source=file:"), "{}", said(&no_pin));
    let unnamed = TokenKey::open(right.clone()).unwrap_err().to_string();
    assert!(unnamed.contains("names no object"), "{unnamed}");
    let mode = |mode| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&pin, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    assert!(said(&right).contains("can be read by everybody (mode 0644)"), "{}", said(&right));
    mode(0o600);
    for unfit in ["", "\n", "a\nb\n", &"x".repeat(300)] {
        fs::write(&pin, unfit).unwrap();
        assert!(said(&right).contains("expected one line of 1 to 255"), "{}", said(&right));
    }
    // A wrong one is tried once: a real token locks itself after a few.
    fs::write(&pin, "00000000\n").unwrap();
    let first = said(&right);
    assert!(first.contains("refused the PIN in") && !first.contains("00000000"), "{first}");
    assert!(said(&right).contains("(before)"), "{}", said(&right));
    fs::write(&pin, format!("{PIN}\n")).unwrap();
    // A key that was destroyed, or never made.
    assert!(said(&right).contains("holds 0 private keys named \"root\""), "{}", said(&right));
}
