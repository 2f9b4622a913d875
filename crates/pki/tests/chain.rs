//! Issuers that somebody else certifies: openssl is the city's authority, and judges what comes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::Timestamp;
use pki::{
    Addresses, Algorithm, Bounds, Certificate, Chain, Issuer, NewAuthority, Profile, Reason, RevocationList,
    Revoked, Serial, SignedList, Signer, SoftwareKey, Subject, SubjectName, Usage, ask_for_authority,
};
use std::{fs, path::Path, process::Command, sync::Arc};

const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";

fn openssl(dir: &Path, arguments: &str) {
    let done = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{arguments}: {done:?}");
}

/// A root `<name>.der` that openssl made, with `<name>.key`.
fn root(dir: &Path, name: &str, called: &str, days: u32) -> Vec<u8> {
    fs::write(
        dir.join("root.cnf"),
        format!("[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\n{CA}"),
    )
    .unwrap();
    openssl(dir, &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"));
    let subject = format!("-subj /O=City/CN={called}");
    openssl(
        dir,
        &format!(
            "req -x509 -new -config root.cnf -key {name}.key {subject} -days {days} -outform DER -out {name}.der"
        ),
    );
    fs::read(dir.join(format!("{name}.der"))).unwrap()
}

/// What `by` certifies for a request, with these extensions.
fn certified(dir: &Path, by: &str, request: &[u8], name: &str, extensions: &str) -> Vec<u8> {
    fs::write(dir.join("request.der"), request).unwrap();
    fs::write(dir.join("extensions"), extensions).unwrap();
    openssl(dir, &format!("x509 -in {by}.der -inform DER -out {by}.pem"));
    openssl(
        dir,
        &format!(
            "x509 -req -in request.der -inform DER -CA {by}.pem -CAkey {by}.key -CAcreateserial -extfile extensions -days 1000 \
             -outform DER -out {name}.der"
        ),
    );
    fs::read(dir.join(format!("{name}.der"))).unwrap()
}

fn key() -> Arc<SoftwareKey> {
    Arc::new(SoftwareKey::read(&SoftwareKey::generate(Algorithm::P256).unwrap()).unwrap())
}

fn bounds() -> Bounds {
    Bounds {
        domains: vec!["city.example".into()],
        networks: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
    }
}

fn request(key: &SoftwareKey) -> Vec<u8> {
    let new = NewAuthority { organization: "City", unit: "local", bounds: &bounds(), days: 1_000 };
    ask_for_authority(key, &new).unwrap()
}

/// The moment by the machine's clock, which is openssl's.
fn now(dir: &Path) -> Timestamp {
    let at = fs::metadata(dir).unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_secs(i64::try_from(at.as_secs()).unwrap() + 5)
}

fn serial(number: u8) -> Serial {
    Serial::from_random([number; 16])
}

#[test]
fn a_chain_is_taken_or_refused_with_what_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let top = root(dir, "top", "Root", 3_650);
    let key = key();
    let request = request(&key);
    let now = now(dir);
    let verify = |ders: &[Vec<u8>], now: Timestamp| {
        Chain::verify(ders, key.public_key(), now)
            .map(|chain| chain.ders().len())
            .map_err(|error| error.to_string())
    };
    // What the issuer's certificate may say of itself.
    for (extensions, expected) in [
        (CA.to_owned(), ""),
        (CA.replace("TRUE", "TRUE,pathlen:0"), ""),
        (format!("{CA}extendedKeyUsage=clientAuth,serverAuth,OCSPSigning\n"), ""),
        (CA.replace("TRUE", "FALSE"), "is not an authority's (basic constraints"),
        ("keyUsage=critical,keyCertSign,cRLSign\n".to_owned(), "is not an authority's (basic constraints"),
        (CA.replace("keyCertSign,cRLSign", "digitalSignature"), "key usage without keyCertSign"),
        (CA.replace(",cRLSign", ""), "key usage without cRLSign"),
        (format!("{CA}extendedKeyUsage=emailProtection\n"), "not for TLS clients and servers"),
        (
            format!("{CA}1.2.3.4=critical,ASN1:NULL\n"),
            "critical extension that verifiers will not know (1.2.3.4)",
        ),
    ] {
        let own = certified(dir, "top", &request, "own", &extensions);
        match verify(&[top.clone(), own], now) {
            Ok(length) => assert!(expected.is_empty() && length == 2, "{extensions}"),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{extensions}: {error}"),
        }
    }
    // What the file holds.
    let own = certified(dir, "top", &request, "own", CA);
    let other_key = crate::key();
    let other = certified(dir, "top", &crate::request(&other_key), "other", CA);
    let twin = root(dir, "twin", "Root", 3_650);
    let own_root = Issuer::root("City", &*key, serial(1), now, 100).unwrap().der;
    let later = now.plus_secs(2_000 * 86_400);
    for (ders, at, expected) in [
        (vec![own.clone()], now, "is not among them: expected all up to the root"),
        (vec![top.clone()], now, "none of the 1 certificates is about the key"),
        (vec![other, top.clone()], now, "none of the 2 certificates is about the key"),
        (vec![own.clone(), twin], now, "is not signed by CN=Root,O=City"),
        (vec![own_root], now, "this is a root"),
        (vec![own.clone(), top.clone()], later, "is good from"),
        (vec![], now, "found 0 certificates"),
        (vec![vec![0x30, 0x00], top.clone()], now, "this is no certificate"),
        (vec![own.clone(); 40], now, "found 40 certificates"),
    ] {
        let error = verify(&ders, at).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    // One between, which may have authorities below it or not.
    for (length, expected) in [
        ("", ""),
        (",pathlen:1", ""),
        (",pathlen:0", "allows 0 authorities below it (path length), and there are 1"),
    ] {
        openssl(dir, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out between.key");
        openssl(dir, "req -new -key between.key -subj /O=City/CN=Between -outform DER -out between.csr");
        let asked = fs::read(dir.join("between.csr")).unwrap();
        let between = certified(dir, "top", &asked, "between", &CA.replace("TRUE", &format!("TRUE{length}")));
        let own = certified(dir, "between", &request, "own", CA);
        match verify(&[own, top.clone(), between], now) {
            Ok(length) => assert!(expected.is_empty() && length == 3),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{error}"),
        }
    }
}

#[test]
fn a_root_that_is_over_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let top = root(dir.path(), "top", "Root", 1);
    let key = key();
    let own = certified(dir.path(), "top", &request(&key), "own", CA);
    let later = now(dir.path()).plus_secs(2 * 86_400);
    let error = Chain::verify(&[own, top], key.public_key(), later).unwrap_err().to_string();
    assert!(error.starts_with("the certificate of CN=Root,O=City is good from"), "{error}");
}

/// What those above say of names is heeded, as openssl would have it.
#[test]
fn name_constraints_of_those_above_are_heeded() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let top = root(dir, "top", "Root", 3_650);
    let key = key();
    let limits = "nameConstraints=critical,permitted;DNS:city.example,permitted;IP:10.0.0.0/255.0.0.0,\
                  permitted;URI:.city.example,excluded;DNS:secret.city.example\n";
    let own = certified(dir, "top", &request(&key), "own", &format!("{CA}{limits}"));
    let chain = Chain::verify(&[own, top], key.public_key(), now(dir)).unwrap();
    let ders: Vec<&[u8]> = chain.ders().collect();
    let issuer = Issuer::new(ders[0], key, bounds(), Addresses::default()).unwrap();
    let issuer = issuer.below(ders.iter().skip(1).copied()).unwrap();
    let profile = Profile {
        days: 90,
        usages: vec![Usage::Client],
        names: vec![pki::NameKind::Dns, pki::NameKind::Address, pki::NameKind::Uri, pki::NameKind::Mail],
        server_keygen: false,
    };
    let subject = Subject { common_name: "lamp".into(), serial_number: None };
    let device = self::key();
    openssl(dir, "x509 -in own.der -inform DER -out own.pem");
    openssl(dir, "x509 -in top.der -inform DER -out top.pem");
    let dns = |name: &str| SubjectName::dns(name).unwrap();
    let address = |text: &str| SubjectName::Address(text.parse().unwrap());
    for (name, allowed) in [
        (dns("lamp.city.example"), true),
        (dns("city.example"), true),
        (dns("secret.city.example"), false),
        (dns("a.secret.city.example"), false),
        (address("10.1.2.3"), true),
        (address("11.1.2.3"), false),
        (address("fd00::1"), false),
        (SubjectName::uri("https://a.city.example/x").unwrap(), true),
        (SubjectName::uri("https://city.example/x").unwrap(), false),
        (SubjectName::uri("urn:bastide:1").unwrap(), false),
        (SubjectName::mail("a@city.example").unwrap(), true),
    ] {
        assert_eq!(issuer.allows(&name).is_ok(), allowed, "{name}");
        let names = std::slice::from_ref(&name);
        let issued =
            issuer.issue(&subject, device.public_key(), names, ("device", &profile), serial(9), now(dir));
        match issued {
            Ok(issued) => {
                assert!(allowed, "{name}");
                fs::write(dir.join("device.der"), issued.der).unwrap();
                openssl(dir, "x509 -in device.der -inform DER -out device.pem");
                openssl(dir, "verify -x509_strict -CAfile top.pem -untrusted own.pem device.pem");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!allowed && error.contains("(name constraints of its authority)"), "{name}: {error}");
            }
        }
    }
    assert!(issuer.allows(&dns("other.example")).is_err());
}

#[test]
fn a_root_that_is_offline_certifies_a_request_and_signs_a_list() {
    let dir = tempfile::tempdir().unwrap();
    let now = now(dir.path());
    let (top, own) = (key(), key());
    let root = Issuer::root("City", &*top, serial(1), now, 3_650).unwrap().der;
    let root = Issuer::new(&root, top, Bounds::default(), Addresses::default()).unwrap();
    let issued = root.certify(&request(&own), serial(2), now, 1_825).unwrap();
    let chain = Chain::verify(&[issued.der.clone(), root.der().to_vec()], own.public_key(), now).unwrap();
    let issuer = Issuer::new(&issued.der, own.clone(), bounds(), Addresses::default()).unwrap();
    // What the request asked to be held to holds, and nobody else's.
    assert!(issuer.allows(&SubjectName::dns("lamp.city.example").unwrap()).is_ok());
    assert_eq!(chain.ders().len(), 2);
    let error = root.certify(b"no request", serial(3), now, 100).unwrap_err().to_string();
    assert!(error.contains("no PKCS#10"), "{error}");
    let device = pki::ask(&*own, "lamp", &[]).unwrap();
    let error = root.certify(&device, serial(3), now, 100).unwrap_err().to_string();
    assert!(error.contains("names no bounds"), "{error}");

    let by = Certificate::from_der(root.der()).unwrap();
    let list = RevocationList { number: 300, base: None, made: now, next: now.plus_secs(100 * 86_400) };
    let revoked = [Revoked { serial: issued.serial, at: now, reason: Reason::CessationOfOperation }];
    let der = root.revocation_list(list, revoked).unwrap();
    let read = SignedList::verify(&der, &by).unwrap();
    assert_eq!((read.number, read.next, read.revoked), (300, list.next, 1));
    let mut broken = der.clone();
    *broken.last_mut().unwrap() ^= 1;
    let delta = root.revocation_list(RevocationList { base: Some(1), ..list }, []).unwrap();
    let others = issuer.revocation_list(list, []).unwrap();
    for (list, expected) in [
        (broken, "is not signed by"),
        (delta, "it is a delta"),
        (others, "is that of CN=City local CA"),
        (vec![0; 10], "no revocation list in DER"),
        (vec![0; 2 << 20], "expected at most"),
    ] {
        let error = SignedList::verify(&list, &by).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
