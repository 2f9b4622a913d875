//! A city as an agent meets it: an authority with an intermediate below its root, EST, and the agent's doors, over real TLS.
//! It does what it is told, wrong things included, and remembers what it was asked.

#![allow(dead_code, reason = "not every test asks for everything")]

use agent::{
    address::Server,
    disk::Folder,
    enrol::{Enrol, EnrolError, Ground},
    identity::Identity,
    machine::Machine,
    run::Agent,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use model::Timestamp;
use pki::{
    Addresses, Algorithm, Bounds, Issuer, NewAuthority, Profile, Profiles, Request, Serial, Signer as _,
    SoftwareKey, Subject, SubjectName, certificates_only, read_certificates, sign_jws,
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime},
    server::WebPkiClientVerifier,
    time_provider::TimeProvider,
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use wire::{Report, SETTINGS_TYPE, Settings, Token, VERSION};

pub(crate) const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T12:00:00Z").unwrap()
}

/// A key with its chain.
pub(crate) struct Holder {
    pub(crate) key: SoftwareKey,
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) chain: Vec<Vec<u8>>,
}

/// An authority: a root, and one below that issues.
pub(crate) struct Authority {
    pub(crate) root: Vec<u8>,
    pub(crate) issuer: Issuer,
}

impl Authority {
    pub(crate) fn new(organization: &str) -> Self {
        let make = || {
            let pkcs8 = SoftwareKey::generate(Algorithm::P256).unwrap();
            Arc::new(SoftwareKey::from_pkcs8(Algorithm::P256, &pkcs8).unwrap())
        };
        let (above, own) = (make(), make());
        let root = Issuer::root(organization, &*above, serial(), now(), 3_650).unwrap();
        let bounds = Bounds { domains: vec![], networks: vec!["127.0.0.0/8".parse().unwrap()] };
        let new = NewAuthority { organization, unit: "harbour", bounds: &bounds, days: 1_825 };
        let above = Issuer::new(&root.der, above, Bounds::default(), Addresses::default()).unwrap();
        let der = above.authority(&new, own.public_key(), serial(), now()).unwrap().der;
        Self { root: root.der, issuer: Issuer::new(&der, own, bounds, Addresses::default()).unwrap() }
    }

    pub(crate) fn holder(&self, name: &str, profile: &str, algorithm: Algorithm, at: Timestamp) -> Holder {
        let pkcs8 = SoftwareKey::generate(algorithm).unwrap();
        let key = SoftwareKey::from_pkcs8(algorithm, &pkcs8).unwrap();
        let names = match profile {
            "service" => vec![SubjectName::Address([127, 0, 0, 1].into())],
            _ => vec![],
        };
        let profiles = Profiles::default();
        let profile = (profile, profiles.get(profile).unwrap());
        let subject = Subject { common_name: name.into(), serial_number: None };
        let issued = self.issuer.issue(&subject, key.public_key(), &names, profile, serial(), at).unwrap();
        Holder { key, pkcs8, chain: vec![issued.der, self.issuer.der().to_vec()] }
    }
}

fn serial() -> Serial {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Serial::from_random(bytes)
}

/// What the city does, and what it was asked.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// So many times a person is asked before a certificate is issued.
    pub(crate) waits: u32,
    /// Each request for a certificate: path, `Authorization`, body.
    pub(crate) asked: Vec<(String, String, String)>,
    pub(crate) reports: Vec<Report>,
    pub(crate) settings: Option<String>,
    pub(crate) settings_number: u64,
    /// The next answers, in place of the right ones; an empty one closes the connection after the work is done.
    pub(crate) instead: Vec<String>,
    /// The group on which keys were agreed last.
    pub(crate) group: Option<String>,
    pub(crate) date: Option<String>,
}

pub(crate) struct City {
    pub(crate) authority: Authority,
    pub(crate) server: Holder,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    pub(crate) address: String,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct At(Timestamp);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_micros(u64::try_from(self.0.micros()).unwrap())))
    }
}

struct Doors {
    config: Arc<ServerConfig>,
    issuer: Issuer,
    shown: Vec<Vec<u8>>,
    at: Timestamp,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl City {
    pub(crate) fn new() -> Self {
        Self::at(now())
    }

    /// A city whose clock says that.
    pub(crate) fn at(at: Timestamp) -> Self {
        Self::of(Authority::new("City"), None, at, "127.0.0.1:0")
    }

    /// One that shows these certificates as its own in place of the right ones.
    pub(crate) fn of(authority: Authority, shown: Option<Vec<Vec<u8>>>, at: Timestamp, listen: &str) -> Self {
        let server = authority.holder("city", "service", Algorithm::P256, at);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.root.clone())).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let chain = server.chain.iter().cloned().map(CertificateDer::from).collect();
        let config = ServerConfig::builder_with_details(provider, Arc::new(At(at)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, PrivatePkcs8KeyDer::from(server.pkcs8.clone()).into())
            .unwrap();
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let doors = Doors {
            config: Arc::new(config),
            issuer: authority.issuer.clone(),
            shown: shown.unwrap_or_else(|| vec![authority.root.clone(), authority.issuer.der().to_vec()]),
            at,
            behaviour: Arc::clone(&behaviour),
        };
        let listener = TcpListener::bind(listen).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                doors.answer(stream);
            }
        });
        Self { authority, server, behaviour, address, stop, thread: Some(thread) }
    }

    pub(crate) fn behave<T>(&self, change: impl FnOnce(&mut Behaviour) -> T) -> T {
        change(&mut self.behaviour.lock().unwrap())
    }

    pub(crate) fn token(&self) -> Token {
        Token::new(&self.authority.root, SECRET).unwrap()
    }

    pub(crate) fn server(&self) -> Server {
        format!("https://{}", self.address).parse().unwrap()
    }

    /// Settings for this device, signed by `by`.
    pub(crate) fn sign(&self, by: &Holder, identity: &Identity, number: u64, every: u32) -> String {
        let settings = Settings {
            version: VERSION,
            device: identity.fingerprint(),
            number,
            made: now(),
            not_after: now().plus_secs(30 * 86_400),
            report_every: every,
            collect: wire::Collect { packages: true, ports: false, accounts: true },
        };
        self.sign_as(by, SETTINGS_TYPE, &settings)
    }

    pub(crate) fn sign_as(&self, by: &Holder, kind: &str, settings: &Settings) -> String {
        let chain: Vec<&[u8]> = by.chain.iter().map(Vec::as_slice).collect();
        sign_jws(&by.key, kind, &chain, &serde_json::to_vec(settings).unwrap()).unwrap()
    }
}

impl Drop for City {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Doors {
    fn answer(&self, mut socket: TcpStream) {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut connection = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut socket).is_err() {
                let _ = connection.write_tls(&mut socket);
                return;
            }
        }
        let group = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        let peer = connection.peer_certificates().map(|chain| chain[0].to_vec());
        let mut stream = Stream::new(&mut connection, &mut socket);
        let Some((method, path, authorization, body)) = read(&mut stream) else { return };
        let mut behaviour = self.behaviour.lock().unwrap();
        behaviour.group = group;
        let done = self.handle(&mut behaviour, &method, &path, &authorization, &body, peer.as_deref());
        let instead = if behaviour.instead.is_empty() { None } else { Some(behaviour.instead.remove(0)) };
        drop(behaviour);
        let _ = stream.write_all(instead.unwrap_or(done).as_bytes());
        connection.send_close_notify();
        let _ = connection.complete_io(&mut socket);
    }

    fn handle(
        &self,
        behaviour: &mut Behaviour,
        method: &str,
        path: &str,
        authorization: &str,
        body: &str,
        peer: Option<&[u8]>,
    ) -> String {
        let date = behaviour.date.clone();
        let say = |status: &str, more: &str, body: &str| {
            let date = date.as_ref().map_or_else(String::new, |date| format!("Date: {date}\r\n"));
            format!("HTTP/1.1 {status}\r\n{date}{more}Content-Length: {}\r\n\r\n{body}", body.len())
        };
        let operation = path.rsplit('/').next().unwrap();
        match (method, operation) {
            ("GET", "cacerts") => say("200 OK", "", &pkcs7(&self.shown)),
            ("POST", "simpleenroll" | "simplereenroll") => {
                behaviour.asked.push((path.into(), authorization.into(), body.into()));
                let first = operation == "simpleenroll";
                let token = Token::new(&self.shown[0], SECRET).unwrap().reveal();
                let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("camera-7:{token}")));
                if first && authorization != expected {
                    return say("401 Unauthorized", "", "the token is not known, used up or over\n");
                }
                if !first && peer.is_none() {
                    return say("403 Forbidden", "", "expected a certificate\n");
                }
                if behaviour.waits > 0 {
                    behaviour.waits -= 1;
                    return say("202 Accepted", "Retry-After: 1\r\n", "");
                }
                let request = Request::from_der(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
                let subject = Subject {
                    common_name: request.common_name().unwrap(),
                    serial_number: request.serial_number(),
                };
                let profile = Profile { days: 90, ..Profiles::default().get("device").unwrap().clone() };
                let key = request.key();
                let issued = self.issuer.issue(&subject, key, &[], ("device", &profile), serial(), self.at);
                say("200 OK", "", &pkcs7(&[issued.unwrap().der]))
            }
            ("POST", "report") if peer.is_some() => {
                let report = Report::from_json(body.as_bytes()).unwrap();
                let taken = format!(
                    r#"{{"version":1,"number":{},"settings":{}}}"#,
                    report.number, behaviour.settings_number
                );
                behaviour.reports.push(report);
                say("200 OK", "", &taken)
            }
            ("GET", "settings") if peer.is_some() => match &behaviour.settings {
                Some(settings) => say("200 OK", "", settings),
                None => say("204 No Content", "", ""),
            },
            _ => say("403 Forbidden", "", "this needs the certificate of a device"),
        }
    }
}

fn pkcs7(certificates: &[Vec<u8>]) -> String {
    let der = certificates_only(certificates.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(read_certificates(&der).unwrap().len(), certificates.len());
    // In lines, as some servers write it.
    BASE64_STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\r\n", String::from_utf8_lossy(line)))
        .collect()
}

type Asked = (String, String, String, String);

fn read(stream: &mut impl std::io::Read) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).ok().filter(|length| *length > 0)?;
        bytes.extend_from_slice(&piece[..length]);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(begin) = head.parse(&bytes).unwrap() else { continue };
        let value = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map_or_else(String::new, |header| String::from_utf8(header.value.to_vec()).unwrap())
        };
        let (method, path) = (head.method.unwrap().to_owned(), head.path.unwrap().to_owned());
        let length: usize = value("content-length").parse().unwrap_or(0);
        let authorization = value("authorization");
        let mut body = bytes.split_off(begin);
        stream.take((length - body.len()) as u64).read_to_end(&mut body).ok()?;
        return Some((method, path, authorization, String::from_utf8(body).unwrap()));
    }
}

/// A device: a root with a few files in it, and the agent's folder.
pub(crate) struct Device {
    dir: tempfile::TempDir,
}

impl Device {
    pub(crate) fn new() -> Self {
        let device = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(device.path("etc")).unwrap();
        fs::create_dir_all(device.path("var/lib/dpkg")).unwrap();
        device.packages(3);
        device.write("etc/passwd", "root::0:0::/:/bin/sh\n");
        device
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    pub(crate) fn packages(&self, count: usize) {
        let entry =
            |n| format!("Package: p{n}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n");
        self.write("var/lib/dpkg/status", &(0..count).map(entry).collect::<String>());
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder::open(&self.path("agent")).unwrap()
    }

    pub(crate) fn enrol(&self, city: &City, at: Timestamp) -> (Result<Identity, EnrolError>, Vec<String>) {
        self.enrol_with(city, city.token(), at)
    }

    pub(crate) fn enrol_with(
        &self,
        city: &City,
        token: Token,
        at: Timestamp,
    ) -> (Result<Identity, EnrolError>, Vec<String>) {
        let enrol = Enrol {
            server: city.server(),
            label: None,
            ground: Ground::Token(token),
            name: "camera-7".into(),
            algorithm: Algorithm::P256,
            token: None,
        };
        let mut words = Vec::new();
        let outcome = enrol.run(&self.folder(), at, &mut |word| words.push(word), &mut |_| at);
        (outcome, words)
    }

    pub(crate) fn agent(&self, at: Timestamp) -> Agent {
        Agent::open(self.folder(), Machine::new(self.dir.path()), at).unwrap().0
    }
}

/// A turn, and what was said in it.
pub(crate) fn turn(agent: &mut Agent, at: Timestamp, elapsed: u64) -> (Duration, String) {
    let mut said = Vec::new();
    let wait = agent.turn(at, Duration::from_secs(elapsed), &mut |word| said.push(word.to_owned()));
    (wait, said.join("\n"))
}
