//! pkilint (PyPI), by people who judge public authorities, on every kind of certificate, list and answer that is made here:
//! nothing found from a warning on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::Timestamp;
use pki::{
    Addresses, Algorithm, Bounds, Issuer, NewAuthority, OcspRequest, Profiles, PublicKey, Reason, Responder,
    RevocationList, Revoked, Serial, Signer, SoftwareKey, Status, Subject, SubjectName,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

const NOW: i64 = 1_790_000_000;
/// What is found and argued about in docs/certificates.md: in a name of so made, words of the finding.
const ARGUED: &[(&str, &str)] = &[
    // RFC 3986 and RFC 8141 know URIs without an authority; pkilint takes URLs only.
    ("device, 3 names", "Invalid URI syntax: \"urn:bastide:1\""),
    // That no mail address is below: every one matches the empty one (RFC 5280 speaks of addresses and hosts only).
    ("bare", "Invalid e-mail address syntax: \"\""),
];

/// Where `./test` puts it; a test that needs it says so where it is not.
fn tools() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let tools = cache.join("bastide/tools/pkilint/bin");
    if tools.join("lint_pkix_cert").exists() {
        return Some(tools);
    }
    eprintln!("SKIPPED: pkilint is not installed; ./test installs it where PyPI can be reached");
    None
}

/// What a linter finds in a file.
fn found(tools: &Path, linter: &str, more: &[&str], file: &Path) -> String {
    let all = ["lint", "--severity", "WARNING", "--document-format", "DER"];
    let done = Command::new(tools.join(linter)).args(all).args(more).arg(file).output().unwrap();
    // Its status counts the findings.
    String::from_utf8([done.stdout, done.stderr].concat()).unwrap()
}

fn key(algorithm: Algorithm) -> Arc<SoftwareKey> {
    Arc::new(SoftwareKey::read(&SoftwareKey::generate(algorithm).unwrap()).unwrap())
}

fn serial(number: u8) -> Serial {
    Serial::from_random([number; 16])
}

fn addresses(id: &str) -> Addresses {
    let at = |what: &str| vec![format!("http://pki.city.example/{what}")];
    Addresses {
        crl: at(&format!("crl/{id}.crl")),
        delta: at(&format!("crl/{id}-delta.crl")),
        ocsp: at(&format!("ocsp/{id}")),
        issuer: at(&format!("ca/{id}.cer")),
    }
}

fn rsa(dir: &Path) -> PublicKey {
    let out = dir.join("rsa.der").display().to_string();
    let make = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem"];
    assert!(Command::new("openssl").args(make).current_dir(dir).output().unwrap().status.success());
    let show = ["pkey", "-in", "rsa.pem", "-pubout", "-outform", "DER", "-out", &out];
    assert!(Command::new("openssl").args(show).current_dir(dir).output().unwrap().status.success());
    PublicKey::from_der(&fs::read(out).unwrap()).unwrap()
}

/// All that an issuer with keys of this kind makes: linter, what else it has to know, name, DER.
fn everything(
    algorithm: Algorithm,
    dir: &Path,
) -> Vec<(&'static str, &'static [&'static str], String, Vec<u8>)> {
    const CERTIFICATE: &str = "lint_pkix_cert";
    const LIST: &[&str] = &["-t", "CRL", "-p", "PKIX"];
    const ROOTS: &[&str] = &["-t", "ARL", "-p", "PKIX"];
    let now = Timestamp::from_secs(NOW);
    let mut all: Vec<(&str, &[&str], String, Vec<u8>)> = Vec::new();
    let (top, own) = (key(algorithm), key(algorithm));
    let root = Issuer::root("City of Example", &*top, serial(1), now, 7_300).unwrap().der;
    all.push((CERTIFICATE, &[], "root".into(), root.clone()));
    let root = Issuer::new(&root, top, Bounds::default(), addresses("root")).unwrap();
    let wide = Bounds { domains: vec!["city.example".into()], networks: vec!["10.0.0.0/8".parse().unwrap()] };
    let mut issuer = None;
    for (name, bounds) in [("bare", Bounds::default()), ("issuer", wide)] {
        let new =
            NewAuthority { organization: "City of Example", unit: "local", bounds: &bounds, days: 1_825 };
        let der = root.authority(&new, own.public_key(), serial(2), now).unwrap().der;
        all.push((CERTIFICATE, &[], name.into(), der.clone()));
        issuer = Some(Issuer::new(&der, own.clone(), bounds, addresses("own")).unwrap());
    }
    let issuer = issuer.unwrap();
    let profiles = Profiles::default();
    let host = SubjectName::dns("lamp.city.example").unwrap();
    let names =
        [host, SubjectName::Address("10.1.2.3".parse().unwrap()), SubjectName::uri("urn:bastide:1").unwrap()];
    let mail = [SubjectName::mail("a@city.example").unwrap()];
    let keys = [
        key(Algorithm::P256).public_key().clone(),
        key(Algorithm::P384).public_key().clone(),
        key(Algorithm::Ed25519).public_key().clone(),
        rsa(dir),
    ];
    for (called, names) in [
        ("device", &names[..]),
        ("device", &[]),
        ("gateway", &names[..2]),
        ("service", &names[..2]),
        ("person", &mail),
    ] {
        let profile = (called, profiles.get(called).unwrap());
        for key in &keys {
            let subject = Subject { common_name: "lamp 12".into(), serial_number: Some("ast-0123".into()) };
            let der = issuer.issue(&subject, key, names, profile, serial(9), now).unwrap().der;
            all.push((CERTIFICATE, &[], format!("{called}, {} names, {}", names.len(), key.describe()), der));
        }
    }
    let revoked = |reason| Revoked { serial: serial(9), at: now, reason };
    let list = RevocationList { number: 7, base: None, made: now, next: now.plus_secs(7 * 86_400) };
    let reasons = Reason::ALL.into_iter().filter(|reason| *reason != Reason::RemoveFromCrl).map(revoked);
    let back = [revoked(Reason::RemoveFromCrl)];
    let delta = RevocationList { base: Some(3), ..list };
    all.push(("lint_crl", LIST, "empty list".into(), issuer.revocation_list(list, []).unwrap()));
    all.push(("lint_crl", LIST, "full list".into(), issuer.revocation_list(list, reasons).unwrap()));
    all.push(("lint_crl", LIST, "delta".into(), issuer.revocation_list(delta, back).unwrap()));
    all.push(("lint_crl", ROOTS, "root's list".into(), root.revocation_list(list, []).unwrap()));
    let answering = key(algorithm);
    let responder = issuer.responder(answering.public_key(), serial(5), now, 30).unwrap().der;
    all.push((CERTIFICATE, &[], "responder".into(), responder.clone()));
    let responder = Responder::new(&issuer, &responder, answering).unwrap();
    fs::write(dir.join("issuer.der"), issuer.der()).unwrap();
    for nonce in ["-no_nonce", "-nonce"] {
        let hexadecimal = format!("0x{}", serial(9));
        let ask = ["ocsp", "-issuer", "issuer.der", "-serial", &hexadecimal, nonce, "-reqout", "ask.der"];
        let pem = ["x509", "-inform", "DER", "-in", "issuer.der", "-out", "issuer.der"];
        let _ = Command::new("openssl").args(pem).current_dir(dir).output().unwrap();
        assert!(Command::new("openssl").args(ask).current_dir(dir).output().unwrap().status.success());
        let request = OcspRequest::from_der(&fs::read(dir.join("ask.der")).unwrap()).unwrap();
        for status in [Status::Good, Status::Unknown, Status::Revoked(now, Reason::KeyCompromise)] {
            let verdict = responder.answer(&request, now, now.plus_secs(900), |_| status).unwrap();
            all.push(("lint_ocsp_response", &[], format!("{status:?}, {nonce}"), verdict.der));
        }
    }
    all
}

#[test]
fn pkilint_finds_nothing_wrong() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    // Every algorithm signs everything; one that was judged need not be judged thrice.
    let all = Algorithm::ALL.into_iter().flat_map(|algorithm| {
        let every = algorithm == Algorithm::P256;
        let made = everything(algorithm, dir.path()).into_iter();
        made.filter(move |(_, _, name, _)| {
            every || ["root", "issuer", "full list", "Good, -nonce"].contains(&name.as_str())
        })
        .map(move |(linter, more, name, der)| (linter, more, format!("{algorithm}: {name}"), der))
    });
    let all: Vec<_> = all.collect();
    assert!(all.len() > 40);
    let next = std::sync::Mutex::new(all.into_iter().enumerate());
    let faults = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((number, (linter, more, name, der))) = next.lock().unwrap().next() else {
                        break;
                    };
                    let file = dir.path().join(format!("{number}.lint"));
                    fs::write(&file, der).unwrap();
                    let said = found(&tools, linter, more, &file);
                    let argued = |(made, words): &(&str, &str)| name.contains(made) && said.contains(words);
                    // One finding is two lines: where, and what.
                    let alone = said.trim().lines().count() == 2;
                    if !(said.trim().is_empty() || alone && ARGUED.iter().any(argued)) {
                        faults.lock().unwrap().push(format!("{name}: {said}"));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // It does find what is wrong.
    let broken = dir.path().join("broken");
    fs::write(&broken, [0x30, 0x03, 0x02, 0x01, 0x01]).unwrap();
    assert!(!found(&tools, "lint_pkix_cert", &[], &broken).trim().is_empty());
}
