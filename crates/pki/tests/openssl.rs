//! What is issued here, read and verified by openssl; what openssl makes, read here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::Timestamp;
use pki::{
    Addresses, Algorithm, Bounds, Issuer, NewAuthority, OcspRequest, Profiles, PublicKey, Reason, Request,
    Responder, RevocationList, Revoked, Serial, Signer as _, SoftwareKey, Status, Subject, SubjectName,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::SystemTime,
};

struct City {
    dir: tempfile::TempDir,
    now: Timestamp,
    issuer: Issuer,
    algorithm: Algorithm,
}

fn key(algorithm: Algorithm) -> Arc<SoftwareKey> {
    Arc::new(SoftwareKey::from_pkcs8(algorithm, &SoftwareKey::generate(algorithm).unwrap()).unwrap())
}

fn serial(number: u8) -> Serial {
    Serial::from_random([number; 16])
}

fn bounds() -> Bounds {
    Bounds {
        domains: vec!["harbour.example".into()],
        networks: vec!["10.20.0.0/14".parse().unwrap(), "fd00:20::/32".parse().unwrap()],
    }
}

/// openssl with these arguments; what it said, where it went well.
fn openssl(dir: &Path, arguments: &[&str]) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        Command::new("openssl").args(arguments).current_dir(dir).output().expect("openssl is installed");
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(said) } else { Err(said) }
}

#[test]
fn a_sealed_key_opens_with_its_passphrase_and_openssl_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    for algorithm in Algorithm::ALL {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let sealed = pki::seal(&key, "a long passphrase").unwrap();
        assert_eq!(pki::unseal(&sealed, "a long passphrase").unwrap().as_bytes(), key);
        let public = SoftwareKey::read(&key).unwrap().public_key().to_der().unwrap();
        fs::write(dir.path().join("key.pem"), &sealed).unwrap();
        let arguments = [
            "pkey",
            "-in",
            "key.pem",
            "-passin",
            "pass:a long passphrase",
            "-pubout",
            "-outform",
            "DER",
            "-out",
            "pub",
        ];
        openssl(dir.path(), &arguments).unwrap();
        assert_eq!(fs::read(dir.path().join("pub")).unwrap(), public, "{algorithm}");
        // And the other way round: a key that somebody brings.
        let arguments = [
            "pkcs8",
            "-topk8",
            "-in",
            "key.pem",
            "-passin",
            "pass:a long passphrase",
            "-passout",
            "pass:another one",
            "-v2",
            "aes-256-cbc",
            "-scrypt",
            "-out",
            "theirs.pem",
        ];
        openssl(dir.path(), &arguments).unwrap();
        let theirs = fs::read_to_string(dir.path().join("theirs.pem")).unwrap();
        let read = SoftwareKey::read(pki::unseal(&theirs, "another one").unwrap().as_bytes()).unwrap();
        assert_eq!(read.public_key().to_der().unwrap(), public, "{algorithm}");
        for (pem, passphrase) in
            [(sealed.as_str(), "another"), (&sealed[..90], "a long passphrase"), ("", ""), (&theirs, "")]
        {
            assert!(pki::unseal(pem, passphrase).is_err(), "{algorithm}: {passphrase}");
        }
    }
}

fn pem(path: &Path, label: &str, der: &[u8]) {
    let text = der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap();
    fs::write(path, text).unwrap();
}

impl City {
    #[expect(clippy::disallowed_methods, reason = "openssl compares with the clock")]
    fn new(algorithm: Algorithm) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let now = Timestamp::from_secs(i64::try_from(elapsed.as_secs()).unwrap());
        let (root, own) = (key(algorithm), key(algorithm));
        let root_certificate = Issuer::root("Freie Stadt Örlau", &*root, serial(1), now, 3_650).unwrap();
        pem(&dir.path().join("root.pem"), "CERTIFICATE", &root_certificate.der);
        let above =
            Issuer::new(&root_certificate.der, root, Bounds::default(), Addresses::default()).unwrap();
        let new = NewAuthority {
            organization: "Freie Stadt Örlau",
            unit: "harbour",
            bounds: &bounds(),
            days: 1_825,
        };
        let authority = above.authority(&new, own.public_key(), serial(2), now).unwrap();
        pem(&dir.path().join("ca.pem"), "CERTIFICATE", &authority.der);
        let root_list = RevocationList { number: 1, base: None, made: now, next: now.plus_secs(86_400) };
        pem(&dir.path().join("root-crl.pem"), "X509 CRL", &above.revocation_list(root_list, []).unwrap());
        let at = |what: &str| vec![format!("http://pki.harbour.example/{what}")];
        let addresses =
            Addresses { crl: at("ca.crl"), delta: at("delta.crl"), ocsp: at("ocsp"), issuer: at("ca.cer") };
        let issuer = Issuer::new(&authority.der, own, bounds(), addresses).unwrap();
        Self { dir, now, issuer, algorithm }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) -> Result<String, String> {
        openssl(self.dir.path(), arguments)
    }

    /// A request that openssl makes with a new key of that kind.
    fn request(&self, new_key: &[&str], more: &[&str]) -> Request {
        let mut arguments =
            vec!["req", "-new", "-nodes", "-keyout", "leaf.key", "-outform", "DER", "-out", "leaf.csr"];
        arguments.extend(["-subj", "/CN=camera-7/serialNumber=SN.0815"]);
        arguments.extend(new_key);
        arguments.extend(more);
        self.openssl(&arguments).unwrap();
        Request::from_der(&fs::read(self.path("leaf.csr")).unwrap()).unwrap()
    }

    fn issue(&self, request: &Request, profile: &str, number: u8) -> Serial {
        let profiles = Profiles::default();
        let subject =
            Subject { common_name: request.common_name().unwrap(), serial_number: request.serial_number() };
        let profile = (profile, profiles.get(profile).unwrap());
        let issued = self
            .issuer
            .issue(&subject, request.key(), request.names(), profile, serial(number), self.now)
            .unwrap();
        pem(&self.path("leaf.pem"), "CERTIFICATE", &issued.der);
        issued.serial
    }

    fn list(&self, number: u64, base: Option<u64>, revoked: Vec<Revoked>, file: &str) {
        let list = RevocationList { number, base, made: self.now, next: self.now.plus_secs(3_600) };
        pem(&self.path(file), "X509 CRL", &self.issuer.revocation_list(list, revoked).unwrap());
    }

    fn verify(&self, more: &[&str]) -> Result<String, String> {
        let mut arguments = vec!["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "ca.pem"];
        arguments.extend(more);
        arguments.push("leaf.pem");
        self.openssl(&arguments)
    }
}

const KINDS: [&[&str]; 4] = [
    &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    &["-newkey", "ed25519"],
    &["-newkey", "rsa:2048"],
];
const NAMES: [&str; 2] = [
    "-addext",
    "subjectAltName=DNS:Cam7.harbour.example,IP:10.21.0.7,IP:fd00:20::7,URI:urn:bastide:camera-7",
];

#[test]
fn every_kind_of_key_is_certified_by_every_kind_of_issuer() {
    for algorithm in Algorithm::ALL {
        let city = City::new(algorithm);
        assert_eq!(city.algorithm, algorithm);
        for (number, kind) in KINDS.iter().enumerate() {
            let request = city.request(kind, &NAMES);
            assert_eq!(request.names().len(), 4, "{kind:?}");
            let issued = city.issue(&request, "device", 10 + u8::try_from(number).unwrap());
            city.verify(&["-purpose", "sslclient", "-verify_ip", "10.21.0.7"]).unwrap();
            city.verify(&["-purpose", "sslserver"]).unwrap_err();
            let shown =
                city.openssl(&["x509", "-in", "leaf.pem", "-noout", "-text", "-nameopt", "utf8"]).unwrap();
            for expected in [
                "O=Freie Stadt Örlau, OU=harbour, CN=camera-7, serialNumber=SN.0815",
                "DNS:cam7.harbour.example, IP Address:10.21.0.7",
                "URI:http://pki.harbour.example/delta.crl",
                "OCSP - URI:http://pki.harbour.example/ocsp",
                "TLS Web Client Authentication",
                "CA:FALSE",
            ] {
                assert!(shown.contains(expected), "{expected} is missing in {shown}");
            }
            assert!(shown.to_lowercase().replace(':', "").contains(&issued.to_string()));
        }
    }
}

#[test]
fn a_local_authority_stays_local() {
    let city = City::new(Algorithm::P256);
    let request = city.request(KINDS[0], &[]);
    let profiles = Profiles::default();
    let profile = ("device", profiles.get("device").unwrap());
    let subject = Subject { common_name: "camera-7".into(), serial_number: None };
    let issue = |issuer: &Issuer, names: &[SubjectName]| {
        issuer.issue(&subject, request.key(), names, profile, serial(9), city.now)
    };
    let dns = |text: &str| SubjectName::dns(text).unwrap();
    let outside = [
        dns("lights.example"),
        dns("evilharbour.example"),
        SubjectName::Address("10.24.0.1".parse().unwrap()),
        SubjectName::Address("fd00:21::1".parse().unwrap()),
        SubjectName::uri("https://evil.example/harbour.example").unwrap(),
    ];
    for bad in [
        "https://harbour.example@evil.example/",
        "https://evil.example\\@harbour.example/",
        "https:evil.example",
    ] {
        assert!(SubjectName::uri(bad).is_err(), "{bad}");
    }
    for name in &outside {
        let refused = issue(&city.issuer, std::slice::from_ref(name)).unwrap_err().to_string();
        assert!(refused.contains("is not this authority's"), "{name}: {refused}");
    }
    let mail = SubjectName::mail("ada@harbour.example").unwrap();
    let refused = issue(&city.issuer, &[mail]).unwrap_err().to_string();
    assert_eq!(refused, "certificates of the profile `device` hold no mail: expected dns, address, uri");

    // An issuer whose own program bounds it by nothing is bounded by its certificate, wherever that is verified.
    let own = key(Algorithm::P256);
    let root = key(Algorithm::P256);
    let at_root = Issuer::root("City", &*root, serial(1), city.now, 10).unwrap();
    pem(&city.path("root.pem"), "CERTIFICATE", &at_root.der);
    let above = Issuer::new(&at_root.der, root, Bounds::default(), Addresses::default()).unwrap();
    for (bounds, names) in [
        (bounds(), vec![outside[0].clone()]),
        (bounds(), vec![outside[1].clone()]),
        (Bounds::default(), vec![dns("harbour.example")]),
    ] {
        let new = NewAuthority { organization: "City", unit: "harbour", bounds: &bounds, days: 10 };
        let authority = above.authority(&new, own.public_key(), serial(2), city.now).unwrap();
        pem(&city.path("ca.pem"), "CERTIFICATE", &authority.der);
        let everything = Bounds {
            domains: vec!["example".into()],
            networks: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        };
        // It signs as if it had another certificate: the program heeds its own.
        let wide = NewAuthority { bounds: &everything, ..new };
        let wide = above.authority(&wide, own.public_key(), serial(3), city.now).unwrap();
        let loose =
            Issuer::new(&wide.der, Arc::clone(&own) as _, everything.clone(), Addresses::default()).unwrap();
        pem(&city.path("leaf.pem"), "CERTIFICATE", &issue(&loose, &names).unwrap().der);
        let refused = city.verify(&[]).unwrap_err();
        let said = ["permitted subtree violation", "excluded subtree violation"];
        assert!(said.iter().any(|said| refused.contains(said)), "{names:?}: {refused}");
    }
}

#[test]
fn an_authority_issues_no_authorities() {
    let city = City::new(Algorithm::P256);
    let below = key(Algorithm::P256);
    // openssl would take it: one with its issuer's own name does not count in the length of a path.
    let new = NewAuthority { organization: "City", unit: "below", bounds: &bounds(), days: 1 };
    let made = city.issuer.authority(&new, below.public_key(), serial(3), city.now);
    assert!(made.unwrap_err().to_string().contains("issues no authorities"));
    // Nor is anything issued by what is no authority.
    let profiles = Profiles::default();
    let subject = Subject { common_name: "x".into(), serial_number: None };
    let profile = ("device", profiles.get("device").unwrap());
    let leaf = city.issuer.issue(&subject, below.public_key(), &[], profile, serial(4), city.now).unwrap();
    let refused = Issuer::new(&leaf.der, below, bounds(), Addresses::default()).unwrap_err();
    assert!(refused.to_string().contains("not an authority's"), "{refused}");
}

#[test]
fn what_is_revoked_is_refused_and_what_was_suspended_comes_back() {
    for algorithm in Algorithm::ALL {
        let city = City::new(algorithm);
        let number = city.issue(&city.request(KINDS[0], &NAMES), "device", 20);
        let revoked = |reason| vec![Revoked { serial: number.clone(), at: city.now.plus_secs(-60), reason }];
        let checked = |lists: &[&str]| {
            let mut arguments = vec!["-crl_check_all", "-CRLfile", "root-crl.pem"];
            arguments.extend(lists.iter().flat_map(|list| ["-CRLfile", list]));
            if lists.len() > 1 {
                arguments.extend(["-extended_crl", "-use_deltas"]);
            }
            city.verify(&arguments)
        };
        city.list(7, None, Vec::new(), "full.pem");
        checked(&["full.pem"]).unwrap();
        city.list(8, Some(7), revoked(Reason::CertificateHold), "delta.pem");
        assert!(checked(&["full.pem", "delta.pem"]).unwrap_err().contains("revoked"));
        city.list(9, None, revoked(Reason::CertificateHold), "full.pem");
        assert!(checked(&["full.pem"]).unwrap_err().contains("revoked"));
        city.list(10, Some(9), revoked(Reason::RemoveFromCrl), "delta.pem");
        checked(&["full.pem", "delta.pem"]).unwrap();
        let shown = city.openssl(&["crl", "-in", "full.pem", "-noout", "-text"]).unwrap();
        for expected in ["Certificate Hold", "X509v3 CRL Number", "X509v3 Freshest CRL", "Version 2"] {
            assert!(shown.contains(expected), "{expected} is missing in {shown}");
        }
    }
}

#[test]
fn a_responder_answers_as_openssl_expects() {
    for algorithm in Algorithm::ALL {
        let city = City::new(algorithm);
        city.issue(&city.request(KINDS[0], &NAMES), "device", 30);
        let own = key(algorithm);
        let certificate = city.issuer.responder(own.public_key(), serial(31), city.now, 14).unwrap();
        let responder = Responder::new(&city.issuer, &certificate.der, own).unwrap();
        let ask = |more: &[&str], status: Status| {
            let mut arguments = vec!["ocsp"];
            arguments.extend(more);
            arguments.extend(["-issuer", "ca.pem", "-cert", "leaf.pem", "-reqout", "req.der"]);
            city.openssl(&arguments).unwrap();
            let request = OcspRequest::from_der(&fs::read(city.path("req.der")).unwrap()).unwrap();
            assert_eq!(request.is_fresh(), !more.contains(&"-no_nonce"));
            assert_eq!(request.single().is_some(), more.contains(&"-no_nonce"));
            let next = city.now.plus_secs(600);
            let answer = responder.answer(&request, city.now, next, |_| status).unwrap();
            fs::write(city.path("resp.der"), answer.der).unwrap();
            let mut arguments = vec!["ocsp"];
            arguments.extend(more.iter().filter(|option| **option == "-sha256"));
            arguments.extend(["-respin", "resp.der", "-issuer", "ca.pem", "-cert", "leaf.pem"]);
            // The nonce is that of the request as it was made: openssl is to add none, and compares.
            arguments.extend([
                "-reqin",
                "req.der",
                "-no_nonce",
                "-CAfile",
                "root.pem",
                "-verify_other",
                "ca.pem",
            ]);
            city.openssl(&arguments).unwrap()
        };
        let revoked = Status::Revoked(city.now.plus_secs(-5), Reason::KeyCompromise);
        for (more, status, expected) in [
            (&["-no_nonce"][..], Status::Good, "leaf.pem: good"),
            (&[], Status::Good, "leaf.pem: good"),
            (&["-sha256"], revoked, "leaf.pem: revoked"),
            (&["-no_nonce"], revoked, "Reason: keyCompromise"),
            (&[], Status::Unknown, "leaf.pem: unknown"),
        ] {
            let said = ask(more, status);
            assert!(said.contains(expected) && said.contains("Response verify OK"), "{more:?}: {said}");
        }
        // About a certificate of somebody else.
        city.openssl(&["ocsp", "-issuer", "root.pem", "-serial", "0x1234", "-reqout", "req.der"]).unwrap();
        let request = OcspRequest::from_der(&fs::read(city.path("req.der")).unwrap()).unwrap();
        let answer = responder.answer(&request, city.now, city.now, |_| Status::Good).unwrap();
        fs::write(city.path("resp.der"), answer.der).unwrap();
        let said = city.openssl(&["ocsp", "-respin", "resp.der", "-resp_text", "-noverify"]);
        assert!(format!("{said:?}").contains("unauthorized"), "{said:?}");
    }
}

#[test]
fn certificates_travel_as_pkcs7() {
    let city = City::new(Algorithm::P256);
    let parts = [city.issuer.der()];
    let message = pki::certificates_only(parts).unwrap();
    fs::write(city.path("certs.p7"), &message).unwrap();
    let said = city.openssl(&["pkcs7", "-inform", "DER", "-in", "certs.p7", "-print_certs"]).unwrap();
    assert!(said.contains("BEGIN CERTIFICATE"), "{said}");
    assert_eq!(pki::read_certificates(&message).unwrap(), parts.map(<[u8]>::to_vec));
    fs::write(city.path("attributes.der"), pki::attributes().unwrap()).unwrap();
    let said = city.openssl(&["asn1parse", "-inform", "DER", "-in", "attributes.der"]).unwrap();
    for expected in ["challengePassword", "id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"] {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
}

#[test]
fn a_key_made_elsewhere_signs_here() {
    let dir = tempfile::tempdir().unwrap();
    for (algorithm, kind) in Algorithm::ALL.into_iter().zip(&KINDS) {
        let path = dir.path();
        let option = kind.get(3).copied().unwrap_or_default();
        let mut arguments = vec!["genpkey", "-algorithm", kind[1], "-out", "key.pem"];
        if !option.is_empty() {
            arguments.extend(["-pkeyopt", option]);
        }
        openssl(path, &arguments).unwrap();
        openssl(
            path,
            &["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der"],
        )
        .unwrap();
        let key = SoftwareKey::from_pkcs8(algorithm, &fs::read(path.join("key.der")).unwrap()).unwrap();
        openssl(
            path,
            &["pkey", "-inform", "DER", "-in", "key.der", "-pubout", "-outform", "DER", "-out", "pub.der"],
        )
        .unwrap();
        let public = PublicKey::from_der(&fs::read(path.join("pub.der")).unwrap()).unwrap();
        assert_eq!(*key.public_key(), public, "{algorithm}");
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            SoftwareKey::from_pkcs8(other, &fs::read(path.join("key.der")).unwrap()).unwrap_err();
        }
    }
}
