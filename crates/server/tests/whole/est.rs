//! Devices come to certificates, renew and lose them: by openssl and curl, over the real door.

use crate::city::{Served, serve_with};
use model::AuthorityRole;
use serde_json::{Value, json};
use server::ca::Settings;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

static ASKED: AtomicU64 = AtomicU64::new(0);

/// What is asked of a server by curl.
pub(crate) struct City {
    pub(crate) served: Served,
    /// A person's program with every right about devices.
    bearer: String,
}

/// What curl was answered.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// openssl with these arguments; what it said, where it went well.
fn openssl(dir: &Path, arguments: &[&str]) -> Result<String, String> {
    let Output { status, stdout, stderr } = run(dir, "openssl", arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(said) } else { Err(said) }
}

/// `openssl req` with a new P-256 key.
fn new_key(dir: &Path, more: &[&str]) {
    let with = ["req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    openssl(dir, &[with.as_slice(), more].concat()).unwrap();
}

impl City {
    pub(crate) async fn new() -> Self {
        let certificates = Settings {
            organization: "City of Example".into(),
            domains: vec!["city.example".into()],
            networks: vec!["10.20.0.0/16".parse().unwrap()],
            ..Settings::default()
        };
        let served = serve_with(certificates).await;
        let roles = [AuthorityRole::Operator, AuthorityRole::Integrator, AuthorityRole::Auditor];
        let repository = served.state.repository();
        let bearer =
            server::auth::make_token(repository, None, "city", &roles, served.state.now(), 1).await.unwrap();
        Self { served, bearer }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.served.dir.path()
    }

    /// curl with these arguments, while the server goes on.
    pub(crate) async fn curl(&self, path: &str, more: &[&str]) -> Said {
        let (url, dir) = (format!("{}{path}", self.served.url), self.dir().to_owned());
        let more: Vec<String> = more.iter().map(|&text| text.to_owned()).collect();
        // Several may be asking at the same time.
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || {
            let (head, rest) = (format!("headers-{number}"), format!("body-{number}"));
            let mut all =
                vec!["-sS", "-D", &head, "-o", &rest, "-w", "%{http_code}", "--cacert", "tls/ca.pem"];
            all.extend(more.iter().map(String::as_str));
            all.push(&url);
            let output = run(&dir, "curl", &all);
            assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
            let read = |name: &str| {
                String::from_utf8_lossy(&fs::read(dir.join(name)).unwrap_or_default()).into_owned()
            };
            let status = String::from_utf8_lossy(&output.stdout).parse().unwrap();
            let said = Said { status, headers: read(&head).to_lowercase(), body: read(&rest) };
            [head, rest].iter().for_each(|name| drop(fs::remove_file(dir.join(name))));
            said
        })
        .await
        .unwrap()
    }

    /// The API, as a person's program asks it.
    pub(crate) async fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (bearer, body) = (format!("Authorization: Bearer {}", self.bearer), body.to_string());
        let mut more = vec!["-X", method, "-H", &bearer];
        if method != "GET" && body != "null" {
            more.extend(["-H", "Content-Type: application/json", "-d", &body]);
        }
        let said = self.curl(&format!("/api/v1{path}"), &more).await;
        (said.status, serde_json::from_str(&said.body).unwrap_or_default())
    }

    pub(crate) async fn token(&self, name: &str) -> String {
        let (status, made) = self
            .api(
                "POST",
                "/enrolment-tokens",
                &(if name.is_empty() { json!({}) } else { json!({ "name": name }) }),
            )
            .await;
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    }

    /// A key and a request in `<name>.key` and `<name>.csr`.
    pub(crate) fn request(&self, name: &str, more: &[&str]) {
        let (key, csr, subject) = (format!("{name}.key"), format!("{name}.csr"), format!("/CN={name}"));
        let with = ["-new", "-keyout", &key, "-subj", &subject, "-out", &csr];
        new_key(self.dir(), &[with.as_slice(), more].concat());
        self.encode(name);
    }

    /// What is sent of `<name>.csr`: base64 in `<name>.b64`.
    pub(crate) fn encode(&self, name: &str) {
        let (csr, der, b64) = (format!("{name}.csr"), format!("{name}.der"), format!("{name}.b64"));
        openssl(self.dir(), &["req", "-in", &csr, "-outform", "DER", "-out", &der]).unwrap();
        openssl(self.dir(), &["base64", "-in", &der, "-out", &b64]).unwrap();
    }

    pub(crate) async fn est(&self, operation: &str, name: &str, more: &[&str]) -> Said {
        let data = format!("@{name}.b64");
        let mut all = vec!["-H", "Content-Type: application/pkcs10", "--data-binary", &data];
        all.extend(more);
        self.curl(&format!("/.well-known/est/{operation}"), &all).await
    }

    /// The certificate of an answer, in `<name>.pem`.
    pub(crate) fn keep(&self, said: &Said, name: &str) {
        assert_eq!(said.status, 200, "{said:?}");
        assert!(
            said.headers.contains("content-type: application/pkcs7-mime; smime-type=certs-only"),
            "{said:?}"
        );
        fs::write(self.dir().join("answer.b64"), &said.body).unwrap();
        openssl(self.dir(), &["base64", "-d", "-A", "-in", "answer.b64", "-out", "answer.p7"])
            .or_else(|_| openssl(self.dir(), &["base64", "-d", "-in", "answer.b64", "-out", "answer.p7"]))
            .unwrap();
        let pem = format!("{name}.pem");
        openssl(self.dir(), &["pkcs7", "-inform", "DER", "-in", "answer.p7", "-print_certs", "-out", &pem])
            .unwrap();
    }

    /// A device that came in by a token.
    pub(crate) async fn enrolled(&self, name: &str) {
        let token = self.token("").await;
        self.request(name, &[]);
        let said = self.est("simpleenroll", name, &["-u", &format!("{name}:{token}")]).await;
        self.keep(&said, name);
    }

    /// What a device shows in TLS.
    pub(crate) fn shown(name: &str) -> [String; 4] {
        ["--cert".into(), format!("{name}.pem"), "--key".into(), format!("{name}.key")]
    }

    /// The issuer of the devices in `issuer.pem`, all that is trusted in `tls/ca.pem`.
    pub(crate) async fn issuer(&self) -> String {
        let (_, all) = self.api("GET", "/certificate-authorities", &Value::Null).await;
        let id = all.as_array().unwrap().iter().find(|one| one["state"] == "active").unwrap()["id"].clone();
        let id = id.as_str().unwrap().to_owned();
        self.curl(&format!("/ca/{id}.cer"), &[]).await;
        let dir = self.dir().to_owned();
        let url = format!("{}/ca/{id}.cer", self.served.url);
        tokio::task::spawn_blocking(move || {
            assert!(
                run(&dir, "curl", &["-sS", "--cacert", "tls/ca.pem", "-o", "issuer.cer", &url])
                    .status
                    .success()
            );
            openssl(&dir, &["x509", "-inform", "DER", "-in", "issuer.cer", "-out", "issuer.pem"]).unwrap();
        })
        .await
        .unwrap();
        id
    }

    /// Whether openssl finds a certificate good, by the list that is given out now.
    pub(crate) async fn verifies(&self, name: &str, issuer: &str) -> Result<String, String> {
        let url = format!("{}/crl/{issuer}.crl", self.served.url);
        let (dir, pem) = (self.dir().to_owned(), format!("{name}.pem"));
        tokio::task::spawn_blocking(move || {
            assert!(
                run(&dir, "curl", &["-sS", "--cacert", "tls/ca.pem", "-o", "list.crl", &url])
                    .status
                    .success()
            );
            openssl(&dir, &["crl", "-inform", "DER", "-in", "list.crl", "-out", "crl.pem"]).unwrap();
            let with = [
                "verify",
                "-x509_strict",
                "-crl_check",
                "-CRLfile",
                "crl.pem",
                "-CAfile",
                "tls/ca.pem",
                "-untrusted",
                "issuer.pem",
            ];
            openssl(&dir, &[with.as_slice(), &[&pem]].concat())
        })
        .await
        .unwrap()
    }

    /// What OCSP says of a certificate, verified by openssl.
    pub(crate) async fn ocsp(&self, name: &str, issuer: &str, by_address: bool) -> String {
        let url = format!("{}/ocsp/{issuer}", self.served.url);
        let (dir, pem) = (self.dir().to_owned(), format!("{name}.pem"));
        tokio::task::spawn_blocking(move || {
            let asked = ["ocsp", "-issuer", "issuer.pem", "-cert", &pem, "-reqout", "ocsp.req"];
            let asked = if by_address { [asked.as_slice(), &["-no_nonce"]].concat() } else { asked.to_vec() };
            openssl(&dir, &asked).unwrap();
            let output = if by_address {
                openssl(&dir, &["base64", "-A", "-in", "ocsp.req", "-out", "ocsp.b64"]).unwrap();
                let text = fs::read_to_string(dir.join("ocsp.b64")).unwrap();
                let text = text.trim().replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                run(
                    &dir,
                    "curl",
                    &["-sSf", "--cacert", "tls/ca.pem", "-o", "ocsp.resp", &format!("{url}/{text}")],
                )
            } else {
                let with = [
                    "-sSf",
                    "--cacert",
                    "tls/ca.pem",
                    "-H",
                    "Content-Type: application/ocsp-request",
                    "--data-binary",
                    "@ocsp.req",
                    "-o",
                    "ocsp.resp",
                ];
                run(&dir, "curl", &[with.as_slice(), &[&url]].concat())
            };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let read = [
                "ocsp",
                "-no_nonce",
                "-respin",
                "ocsp.resp",
                "-CAfile",
                "tls/ca.pem",
                "-verify_other",
                "issuer.pem",
                "-issuer",
                "issuer.pem",
                "-cert",
                &pem,
            ];
            openssl(&dir, &read).unwrap()
        })
        .await
        .unwrap()
    }

    /// A connection that a device holds open.
    pub(crate) async fn hold(&self, name: &str) -> Child {
        let at = self.served.url.strip_prefix("https://").unwrap();
        let arguments =
            ["s_client", "-brief", "-connect", at, "-CAfile", "tls/ca.pem", "-verify_return_error"];
        let mut child = Command::new("openssl")
            .args(arguments)
            .args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")])
            .current_dir(self.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            while !line.contains("CONNECTION ESTABLISHED") {
                line.clear();
                assert!(said.read_line(&mut line).unwrap() > 0, "no connection");
            }
            // What else it says is read, so that it does not wait for a reader.
            std::thread::spawn(move || said.read_to_string(&mut line));
        })
        .await
        .unwrap();
        child
    }
}

async fn ends(child: &mut Child, within: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < within {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

pub(crate) fn shown(name: &str) -> Vec<String> {
    City::shown(name).to_vec()
}

pub(crate) fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_comes_in_by_a_token_once_and_openssl_finds_nothing_wrong() {
    let city = City::new().await;
    // What a device learns first.
    let said = city.curl("/.well-known/est/cacerts", &[]).await;
    city.keep(&said, "cacerts");
    assert_eq!(
        fs::read_to_string(city.dir().join("cacerts.pem")).unwrap().matches("BEGIN CERTIFICATE").count(),
        2
    );
    assert_eq!(city.curl("/.well-known/est/csrattrs", &[]).await.status, 200);
    let token = city.token("camera 12, harbour").await;
    city.request("camera", &["-addext", "subjectAltName=DNS:camera-12.city.example,IP:10.20.3.4"]);
    let user = format!("anything:{token}");
    let said = city.est("simpleenroll", "camera", &["-u", &user]).await;
    city.keep(&said, "camera");
    let issuer = city.issuer().await;
    assert!(city.verifies("camera", &issuer).await.unwrap().contains("camera.pem: OK"));
    let text = openssl(
        city.dir(),
        &[
            "x509",
            "-in",
            "camera.pem",
            "-noout",
            "-subject",
            "-ext",
            "subjectAltName,extendedKeyUsage,basicConstraints,crlDistributionPoints,authorityInfoAccess",
        ],
    )
    .unwrap();
    for expected in [
        "O = City of Example, OU = local, CN = \"camera 12, harbour\", serialNumber = dev-",
        "DNS:camera-12.city.example",
        "IP Address:10.20.3.4",
        "TLS Web Client Authentication",
        "CA:FALSE",
        &format!("/crl/{issuer}.crl"),
        &format!("/ocsp/{issuer}"),
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    // Its key, and only that, gets the same once more: the answer may have been lost.
    let again = city.est("simpleenroll", "camera", &["-u", &user]).await;
    assert_eq!(again.body, said.body);
    city.request("thief", &[]);
    let thief = city.est("simpleenroll", "thief", &["-u", &user]).await;
    assert_eq!(thief.status, 401, "{thief:?}");
    assert!(
        thief.body.contains("was used") && thief.headers.contains("www-authenticate: basic"),
        "{thief:?}"
    );
    // It is an asset now, and in the ledger.
    let (_, assets) = city.api("GET", "/assets?status=enrolled", &Value::Null).await;
    assert_eq!(assets["items"][0]["name"], "camera 12, harbour", "{assets}");
    let (_, decided) = city.api("GET", "/decisions?per_page=20", &Value::Null).await;
    let deeds: Vec<_> =
        decided["items"].as_array().unwrap().iter().map(|one| one["deed"].as_str().unwrap()).collect();
    for deed in ["enrolled", "enrolment-token-made", "issuer-changed", "issued"] {
        assert!(deeds.contains(&deed), "{deed}: {deeds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_renews_by_what_it_has_and_gains_no_names() {
    let city = City::new().await;
    city.enrolled("meter").await;
    let issuer = city.issuer().await;
    city.request("next", &[]);
    let said = city.est("simplereenroll", "next", &texts(&shown("meter"))).await;
    city.keep(&said, "next");
    assert!(city.verifies("next", &issuer).await.is_ok());
    let subject = |name: &str| {
        openssl(city.dir(), &["x509", "-in", &format!("{name}.pem"), "-noout", "-subject"]).unwrap()
    };
    assert_eq!(subject("meter"), subject("next"));
    city.request("greedy", &["-addext", "subjectAltName=DNS:portal.city.example"]);
    let said = city.est("simplereenroll", "greedy", &texts(&shown("meter"))).await;
    assert_eq!(
        (said.status, said.body.contains("adds no names, and portal.city.example is new")),
        (403, true),
        "{said:?}"
    );
    // Without a certificate there is nothing to renew.
    let said = city.est("simplereenroll", "greedy", &[]).await;
    assert_eq!(
        (said.status, said.body.contains("no certificate of this node was shown")),
        (401, true),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_action_ends_connections_lists_and_answers_at_once() {
    let city = City::new().await;
    city.enrolled("camera").await;
    city.enrolled("lamp").await;
    let issuer = city.issuer().await;
    for by_address in [false, true] {
        let said = city.ocsp("camera", &issuer, by_address).await;
        assert!(said.contains("camera.pem: good") && said.contains("Response verify OK"), "{said}");
    }
    let (mut held, mut other) = (city.hold("camera").await, city.hold("lamp").await);
    // A connection that asks for nothing is closed by itself, later than this.
    assert!(!ends(&mut held, Duration::from_secs(1)).await && other.try_wait().unwrap().is_none());
    let (_, assets) = city.api("GET", "/assets?text=camera", &Value::Null).await;
    let id = assets["items"][0]["id"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    let (status, ended) =
        city.api("POST", &format!("/assets/{id}/suspend"), &json!({"why": "it scans the street"})).await;
    assert_eq!(
        (status, &ended["certificates"], &ended["connections"]),
        (200, &json!(1), &json!(1)),
        "{ended}"
    );
    assert_eq!(ended["asset"]["status"], "quarantined");
    assert!(ends(&mut held, Duration::from_secs(5)).await, "after {:?}", begun.elapsed());
    assert!(other.try_wait().unwrap().is_none());
    let _ = other.kill();
    // Everywhere: the list, OCSP, renewing, and a new token.
    assert!(city.verifies("camera", &issuer).await.unwrap_err().contains("certificate revoked"));
    assert!(city.verifies("lamp", &issuer).await.is_ok());
    for by_address in [false, true] {
        let said = city.ocsp("camera", &issuer, by_address).await;
        assert!(said.contains("camera.pem: revoked") && said.contains("certificateHold"), "{said}");
    }
    city.request("again", &[]);
    let said = city.est("simplereenroll", "again", &texts(&shown("camera"))).await;
    assert_eq!((said.status, said.body.contains("was suspended at")), (403, true), "{said:?}");
    let (status, made) = city.api("POST", "/enrolment-tokens", &json!({"asset": id})).await;
    assert_eq!(status, 201, "{made}");
    let user = format!("x:{}", made["token"].as_str().unwrap());
    let said = city.est("simpleenroll", "again", &["-u", &user]).await;
    assert_eq!((said.status, said.body.contains("this device is quarantined")), (403, true), "{said:?}");
    // Given back.
    let (status, ended) = city.api("POST", &format!("/assets/{id}/restore"), &json!({})).await;
    assert_eq!((status, &ended["asset"]["status"]), (200, &json!("enrolled")), "{ended}");
    assert!(city.verifies("camera", &issuer).await.is_ok());
    assert!(city.ocsp("camera", &issuer, true).await.contains("camera.pem: good"));
    // And for ever.
    let (status, _) =
        city.api("POST", &format!("/assets/{id}/revoke"), &json!({"reason": "key-compromise"})).await;
    assert_eq!(status, 200);
    assert!(city.ocsp("camera", &issuer, true).await.contains("keyCompromise"));
    let (status, problem) = city.api("POST", &format!("/assets/{id}/restore"), &json!({})).await;
    assert_eq!(
        (status, problem["detail"].as_str().unwrap()),
        (409, "this is revoked for ever: enrol it anew")
    );
    let (_, decided) = city.api("GET", &format!("/decisions?about=asset:{id}"), &Value::Null).await;
    let deeds: Vec<_> =
        decided["items"].as_array().unwrap().iter().map(|one| one["deed"].as_str().unwrap()).collect();
    assert_eq!(deeds, ["revoked", "restored", "enrolment-token-made", "suspended", "enrolled"], "{decided}");
    // A key that was revoked is certified never again, whoever brings it.
    let token = city.token("").await;
    let said = city.est("simpleenroll", "camera", &["-u", &format!("x:{token}")]).await;
    assert_eq!(
        (said.status, said.body.contains("make") || said.body.contains("revoked before")),
        (409, true),
        "{said:?}"
    );
}

/// From one address come many devices behind a router, and whoever else: the ones do not keep the others out.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_does_not_take_up_the_room_of_strangers() {
    let city = City::new().await;
    city.enrolled("camera").await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(city.hold("camera").await);
    }
    let at = city.served.url.strip_prefix("https://").unwrap().to_owned();
    let mut strangers = Vec::new();
    for _ in 0..server::listen::OF_ONE_ADDRESS + 1 {
        strangers.push(tokio::net::TcpStream::connect(&at).await.unwrap());
    }
    // Whoever found no room is let go at once; the others have time for their handshake.
    let mut gone = 0;
    for stranger in &mut strangers {
        let mut one = [0];
        let read = tokio::time::timeout(
            Duration::from_millis(20),
            tokio::io::AsyncReadExt::read(stranger, &mut one),
        );
        gone += usize::from(read.await.is_ok());
    }
    assert_eq!(gone, 1);
    for mut device in held {
        assert!(device.try_wait().unwrap().is_none(), "nor are devices");
        let _ = device.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_says_what_changed_since() {
    let city = City::new().await;
    city.enrolled("camera").await;
    let issuer = city.issuer().await;
    let list = async |what: &str| {
        let url = format!("{}/crl/{issuer}{what}.crl", city.served.url);
        let dir = city.dir().to_owned();
        tokio::task::spawn_blocking(move || {
            assert!(
                run(&dir, "curl", &["-sSf", "--cacert", "tls/ca.pem", "-o", "x.crl", &url]).status.success()
            );
            openssl(
                &dir,
                &["crl", "-inform", "DER", "-in", "x.crl", "-noout", "-text", "-CAfile", "issuer.pem"],
            )
            .unwrap()
        })
        .await
        .unwrap()
    };
    assert!(list("").await.contains("No Revoked Certificates"));
    let (_, assets) = city.api("GET", "/assets?text=camera", &Value::Null).await;
    let id = assets["items"][0]["id"].as_str().unwrap().to_owned();
    city.api("POST", &format!("/assets/{id}/suspend"), &json!({})).await;
    let (full, delta) = (list("").await, list("-delta").await);
    assert!(full.contains("Certificate Hold") && delta.contains("Certificate Hold"), "{full}\n{delta}");
    assert!(delta.contains("Delta CRL Indicator: critical") && !full.contains("Delta CRL Indicator"));
    let number = |text: &str| {
        text.split("X509v3 CRL Number:").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(number(&full), number(&delta));
    city.api("POST", &format!("/assets/{id}/restore"), &json!({})).await;
    assert!(list("").await.contains("No Revoked Certificates"));
    assert_ne!(number(&list("").await), number(&full));
    // Whoever has the list before with the delta of now takes it off.
    let delta = list("-delta").await;
    assert!(delta.contains("Remove From CRL"), "{delta}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_proves_nothing_waits_for_a_person() {
    let city = City::new().await;
    city.request("kiosk", &["-addext", "subjectAltName=DNS:kiosk.city.example"]);
    let said = city.est("simpleenroll", "kiosk", &[]).await;
    assert_eq!((said.status, said.headers.contains("retry-after: 30")), (202, true), "{said:?}");
    let (_, waiting) = city.api("GET", "/enrolments?state=waiting", &Value::Null).await;
    let one = &waiting["items"][0];
    assert_eq!(
        (one["subject"].as_str().unwrap(), waiting["total"].as_u64()),
        ("kiosk (kiosk.city.example)", Some(1))
    );
    assert_eq!(city.est("simpleenroll", "kiosk", &[]).await.status, 202);
    let id = one["id"].as_str().unwrap();
    assert_eq!(city.api("POST", &format!("/enrolments/{id}/approve"), &Value::Null).await.0, 204);
    assert_eq!(city.api("POST", &format!("/enrolments/{id}/approve"), &Value::Null).await.0, 409);
    let said = city.est("simpleenroll", "kiosk", &[]).await;
    city.keep(&said, "kiosk");
    assert_eq!(city.est("simpleenroll", "kiosk", &[]).await.body, said.body);
    city.request("other", &[]);
    city.est("simpleenroll", "other", &[]).await;
    let (_, waiting) = city.api("GET", "/enrolments?state=waiting", &Value::Null).await;
    let id = waiting["items"][0]["id"].as_str().unwrap();
    assert_eq!(city.api("POST", &format!("/enrolments/{id}/refuse"), &Value::Null).await.0, 204);
    let said = city.est("simpleenroll", "other", &[]).await;
    assert_eq!((said.status, said.body.contains("refused it")), (403, true), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_makers_device_comes_in_by_its_makers_certificate() {
    let city = City::new().await;
    let dir = city.dir();
    let maker = |name: &str, days: &str| {
        let (key, pem, subject) =
            (format!("{name}.key"), format!("{name}.pem"), format!("/O={name}/CN=IDevID CA"));
        new_key(
            dir,
            &[
                "-x509",
                "-keyout",
                &key,
                "-out",
                &pem,
                "-subj",
                &subject,
                "-days",
                days,
                "-addext",
                "basicConstraints=critical,CA:TRUE",
                "-addext",
                "keyUsage=critical,keyCertSign",
            ],
        );
    };
    maker("Lumen", "3650");
    fs::write(dir.join("idevid.ext"), "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n").unwrap();
    let idevid = |name: &str, by: &str| {
        new_key(
            dir,
            &[
                "-new",
                "-keyout",
                &format!("{name}.key"),
                "-out",
                "id.csr",
                "-subj",
                &format!("/O={by}/serialNumber=LU-0042"),
            ],
        );
        openssl(
            dir,
            &[
                "x509",
                "-req",
                "-in",
                "id.csr",
                "-CA",
                &format!("{by}.pem"),
                "-CAkey",
                &format!("{by}.key"),
                "-CAcreateserial",
                "-days",
                "3650",
                "-extfile",
                "idevid.ext",
                "-out",
                &format!("{name}.pem"),
            ],
        )
        .unwrap();
    };
    idevid("idevid", "Lumen");
    city.request("lamp", &[]);
    let said = city.est("simpleenroll", "lamp", &texts(&shown("idevid"))).await;
    assert_eq!((said.status, said.body.contains("by nobody who is trusted here")), (403, true), "{said:?}");
    let pem = fs::read_to_string(dir.join("Lumen.pem")).unwrap();
    let (status, made) =
        city.api("POST", "/makers", &json!({"name": "Lumen lamps", "certificate": pem})).await;
    assert_eq!(status, 201, "{made}");
    let said = city.est("simpleenroll", "lamp", &texts(&shown("idevid"))).await;
    city.keep(&said, "lamp");
    let issuer = city.issuer().await;
    assert!(city.verifies("lamp", &issuer).await.is_ok());
    let subject = openssl(dir, &["x509", "-in", "lamp.pem", "-noout", "-subject"]).unwrap();
    assert!(subject.contains("CN = LU-0042"), "{subject}");
    // With another key it is still the same asset.
    city.request("lamp2", &[]);
    let said = city.est("simpleenroll", "lamp2", &texts(&shown("idevid"))).await;
    city.keep(&said, "lamp2");
    assert_eq!(openssl(dir, &["x509", "-in", "lamp2.pem", "-noout", "-subject"]).unwrap(), subject);
    // Somebody else who says so.
    maker("Lumen", "3650");
    idevid("forged", "Lumen");
    city.request("forger", &[]);
    let said = city.est("simpleenroll", "forger", &texts(&shown("forged"))).await;
    assert_eq!(said.status, 403, "{said:?}");
    // What is no authority's certificate cannot be trusted as a maker.
    let pem = fs::read_to_string(dir.join("idevid.pem")).unwrap();
    let (status, problem) = city.api("POST", "/makers", &json!({"name": "x", "certificate": pem})).await;
    assert_eq!(
        (status, problem["expected"].as_str().unwrap().contains("basic constraints: CA")),
        (422, true),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_said_in_plain_words() {
    let city = City::new().await;
    let dir = city.dir();
    let write = |name: &str, text: &[u8]| fs::write(dir.join(format!("{name}.b64")), text).unwrap();
    city.request("good", &[]);
    let good = fs::read(dir.join("good.der")).unwrap();
    let mut forged = good.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    fs::write(dir.join("forged.der"), &forged).unwrap();
    openssl(dir, &["base64", "-in", "forged.der", "-out", "forged.b64"]).unwrap();
    openssl(
        dir,
        &[
            "req", "-new", "-nodes", "-newkey", "rsa:1024", "-keyout", "weak.key", "-subj", "/CN=weak",
            "-out", "weak.csr",
        ],
    )
    .unwrap();
    city.encode("weak");
    city.request("foreign", &["-addext", "subjectAltName=DNS:www.example.org"]);
    city.request("elsewhere", &["-addext", "subjectAltName=IP:192.0.2.1"]);
    city.request("mail", &["-addext", "subjectAltName=email:mayor@city.example"]);
    city.request("star", &["-addext", "subjectAltName=DNS:*.city.example"]);
    fs::write(dir.join("bound.cnf"), "[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\n[dn]\nCN=bound\n[at]\nchallengePassword=not this connection\n").unwrap();
    new_key(dir, &["-new", "-keyout", "bound.key", "-config", "bound.cnf", "-out", "bound.csr"]);
    city.encode("bound");
    write("nothing", b"");
    write("text", b"-----BEGIN CERTIFICATE REQUEST-----");
    // Sequences in sequences, each as long as the rest.
    write("bomb", &[0x30, 0x80].repeat(8_000));
    for (name, status, expected) in [
        ("forged", 400, "not signed by its own key"),
        ("weak", 400, "the RSA key has 1024 bits: expected 2048 to 8192"),
        ("foreign", 400, "www.example.org is not this authority's: expected a name in city.example"),
        ("elsewhere", 400, "192.0.2.1 is not this authority's: expected an address in 10.20.0.0/16"),
        ("mail", 400, "certificates of the profile `device` hold no mail"),
        ("star", 400, "wildcards are not issued"),
        ("bound", 400, "bound to another connection"),
        ("nothing", 400, "not base64"),
        ("text", 400, "not base64"),
        ("bomb", 400, "no PKCS#10 certificate signing request"),
    ] {
        let token = city.token("").await;
        let said = city.est("simpleenroll", name, &["-u", &format!("x:{token}")]).await;
        assert_eq!((said.status, said.body.contains(expected)), (status, true), "{name}: {said:?}");
        assert!(said.headers.contains("content-type: text/plain"), "{name}: {said:?}");
    }
    for (user, expected) in
        [("x:no token", "no token that lets a device in"), ("x:", "no token that lets a device in")]
    {
        let said = city.est("simpleenroll", "good", &["-u", user]).await;
        assert_eq!((said.status, said.body.contains(expected)), (401, true), "{said:?}");
    }
    let said = city.curl("/.well-known/est/simpleenroll", &["-d", "x=y"]).await;
    assert_eq!(
        (said.status, said.body.contains("expected: Content-Type: application/pkcs10")),
        (415, true),
        "{said:?}"
    );
    let said = city.curl("/.well-known/est/nowhere/cacerts", &[]).await;
    assert_eq!(
        (said.status, said.body.contains("there is no authority that enrols \"nowhere\"")),
        (404, true),
        "{said:?}"
    );
    // A key is made only where the profile says so.
    let token = city.token("").await;
    let said = city.est("serverkeygen", "good", &["-u", &format!("x:{token}")]).await;
    assert_eq!((said.status, said.body.contains("`server_keygen = true`")), (403, true), "{said:?}");
    // Two devices with one key.
    city.enrolled("first").await;
    fs::copy(dir.join("first.b64"), dir.join("second.b64")).unwrap();
    let (_, made) = city.api("POST", "/enrolment-tokens", &json!({"asset": "no-such"})).await;
    assert_eq!(made["status"], 404);
    // OCSP about what nobody issued, and about nothing.
    let issuer = city.issuer().await;
    openssl(dir, &["ocsp", "-issuer", "issuer.pem", "-serial", "0x1234", "-reqout", "ocsp.req"]).unwrap();
    for (file, expected) in [("ocsp.req", "unknown"), ("good.der", "malformedrequest")] {
        let (dir, url, at) =
            (dir.to_owned(), format!("{}/ocsp/{issuer}", city.served.url), format!("@{file}"));
        let said = tokio::task::spawn_blocking(move || {
            assert!(
                run(
                    &dir,
                    "curl",
                    &["-sSf", "--cacert", "tls/ca.pem", "--data-binary", &at, "-o", "ocsp.resp", &url]
                )
                .status
                .success()
            );
            openssl(&dir, &["ocsp", "-respin", "ocsp.resp", "-noverify", "-resp_text"])
                .unwrap_or_else(|said| said)
        });
        assert!(said.await.unwrap().contains(expected), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_comes_in_too() {
    if Command::new("pki").arg("--version").output().is_err() {
        eprintln!("SKIPPED: strongSwan's `pki` is not here (Debian's package strongswan-pki)");
        return;
    }
    let city = City::new().await;
    let (dir, url) = (city.dir().to_owned(), city.served.url.clone());
    city.request("tower", &[]);
    city.request("new", &[]);
    let user = format!("tower:{}", city.token("").await);
    tokio::task::spawn_blocking(move || {
        let est = |more: &[&str]| {
            let with =
                ["--est", "--url", &url, "--cacert", "tls/ca.pem", "--outform", "pem", "--maxpolltime", "20"];
            let output = run(&dir, "pki", &[with.as_slice(), more].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::write(dir.join("got.pem"), &output.stdout).unwrap();
            openssl(&dir, &["x509", "-in", "got.pem", "-noout", "-subject"]).unwrap()
        };
        let subject = est(&["--in", "tower.der", "--userpass", &user]);
        assert!(subject.contains("CN = tower"), "{subject}");
        fs::rename(dir.join("got.pem"), dir.join("tower.pem")).unwrap();
        assert_eq!(est(&["--in", "new.der", "--cert", "tower.pem", "--key", "tower.key"]), subject);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_in_another_language_comes_in_and_renews() {
    let city = City::new().await;
    let (dir, url, token) = (city.dir().to_owned(), city.served.url.clone(), city.token("").await);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/whole/est_client.py");
    let said = tokio::task::spawn_blocking(move || {
        let has = |python: &&str| run(&dir, python, &["-c", "import cryptography"]).status.success();
        let python =
            ["python3", "/usr/bin/python3"].into_iter().find(has).expect("Python's package cryptography");
        let output = run(&dir, python, &[script, &url, "tls/ca.pem", &token]);
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
    });
    let said = said.await.unwrap();
    assert!(said.contains("enrolled and renewed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_bound_to_its_connection_is_taken_there_and_nowhere_else() {
    let city = City::new().await;
    let token = city.token("").await;
    let (dir, at) = (city.dir().to_owned(), city.served.url.strip_prefix("https://").unwrap().to_owned());
    let bound = tokio::task::spawn_blocking(move || {
        let mut child = Command::new("openssl")
            .args(["s_client", "-connect", &at, "-CAfile", "tls/ca.pem", "-ign_eof"])
            .args(["-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"])
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("Keying material: ") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "no keying material");
        }
        fs::write(dir.join("binding.hex"), line.rsplit(' ').next().unwrap().trim()).unwrap();
        let python = "import base64;print(base64.b64encode(bytes.fromhex(open('binding.hex').read())).decode())";
        let binding = String::from_utf8(run(&dir, "python3", &["-c", python]).stdout).unwrap();
        let config = format!("[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\n[dn]\nCN=bound\n[at]\nchallengePassword={binding}");
        fs::write(dir.join("bound.cnf"), config).unwrap();
        new_key(&dir, &["-new", "-keyout", "bound.key", "-config", "bound.cnf", "-outform", "DER", "-out", "bound.der"]);
        openssl(&dir, &["base64", "-in", "bound.der", "-out", "bound.b64"]).unwrap();
        fs::write(dir.join("user"), format!("x:{token}")).unwrap();
        openssl(&dir, &["base64", "-A", "-in", "user", "-out", "user.b64"]).unwrap();
        let (body, user) = (fs::read_to_string(dir.join("bound.b64")).unwrap(), fs::read_to_string(dir.join("user.b64")).unwrap());
        let request = format!(
            "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: {at}\r\nAuthorization: Basic {}\r\n\
             Content-Type: application/pkcs10\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            user.trim(),
            body.len()
        );
        child.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        lines.read_to_string(&mut answer).unwrap();
        let _ = child.wait();
        answer
    })
    .await
    .unwrap();
    assert!(bound.contains("HTTP/1.1 200 OK") && bound.contains("application/pkcs7-mime"), "{bound}");
    // Whoever saw it cannot use it again elsewhere.
    let token = city.token("").await;
    let said = city.est("simpleenroll", "bound", &["-u", &format!("x:{token}")]).await;
    assert_eq!((said.status, said.body.contains("bound to another connection")), (400, true), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_one_devices_and_never_the_nodes_own() {
    let city = City::new().await;
    let enrol = async |name: &str, names: &str| {
        city.request(name, &["-addext", &format!("subjectAltName={names}")]);
        let user = format!("x:{}", city.token("").await);
        city.est("simpleenroll", name, &["-u", &user]).await
    };
    for (names, expected) in [
        ("DNS:localhost", "localhost is not this authority's"),
        ("IP:127.0.0.1", "127.0.0.1 is not this authority's"),
        ("URI:https://localhost/", "https://localhost/ is not this authority's"),
    ] {
        let said = enrol("liar", names).await;
        assert_eq!((said.status, said.body.contains(expected)), (400, true), "{names}: {said:?}");
    }
    assert_eq!(enrol("first", "DNS:scada.city.example").await.status, 200);
    let said = enrol("second", "DNS:scada.city.example").await;
    assert_eq!((said.status, said.body.contains("another device's name")), (409, true), "{said:?}");
    // What reads as a host's name is one, also where it stands as what a device is called.
    let (status, problem) = city.api("POST", "/enrolment-tokens", &json!({"name": "www.example.org"})).await;
    assert_eq!(
        (status, problem["expected"].as_str().unwrap().contains("is not this authority's")),
        (422, true),
        "{problem}"
    );
    city.request("www.example.org", &[]);
    let user = format!("x:{}", city.token("").await);
    let said = city.est("simpleenroll", "www.example.org", &["-u", &user]).await;
    assert_eq!((said.status, said.body.contains("expected: a name without dots")), (400, true), "{said:?}");
    // Nobody says yes to what they cannot see.
    let long = "x".repeat(200);
    city.request(
        "lamp",
        &["-addext", &format!("subjectAltName=URI:urn:{long},URI:urn:y{long},DNS:scada.city.example")],
    );
    let said = city.est("simpleenroll", "lamp", &[]).await;
    assert_eq!((said.status, said.body.contains("cannot be shown all the names")), (400, true), "{said:?}");
    // Signed anew by the same key, it is the same that waits.
    city.request("kiosk", &[]);
    for _ in 0..2 {
        openssl(city.dir(), &["req", "-new", "-key", "kiosk.key", "-subj", "/CN=kiosk", "-out", "kiosk.csr"])
            .unwrap();
        city.encode("kiosk");
        assert_eq!(city.est("simpleenroll", "kiosk", &[]).await.status, 202);
    }
    let (_, waiting) = city.api("GET", "/enrolments?state=waiting", &Value::Null).await;
    assert_eq!(waiting["total"], 1, "{waiting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_suspended_by_itself_does_not_come_back_with_its_asset() {
    let city = City::new().await;
    city.enrolled("camera").await;
    city.request("next", &[]);
    let said = city.est("simplereenroll", "next", &texts(&shown("camera"))).await;
    city.keep(&said, "next");
    let (_, held) = city.api("GET", "/certificates?text=camera", &Value::Null).await;
    let fingerprints: Vec<_> =
        held["items"].as_array().unwrap().iter().map(|one| one["fingerprint"].as_str().unwrap()).collect();
    let asset = held["items"][0]["asset"].as_str().unwrap();
    let suspend = async |what: String| city.api("POST", &format!("/{what}/suspend"), &json!({})).await;
    let restore = async |what: String| city.api("POST", &format!("/{what}/restore"), &json!({})).await;
    assert_eq!(suspend(format!("certificates/{}", fingerprints[0])).await.0, 200);
    assert_eq!(suspend(format!("assets/{asset}")).await.1["certificates"], 1);
    // One of a suspended asset is not given back alone.
    assert_eq!(restore(format!("certificates/{}", fingerprints[1])).await.0, 409);
    assert_eq!(suspend(format!("assets/{asset}")).await.0, 409);
    assert_eq!(restore(format!("assets/{asset}")).await.1["certificates"], 1);
    let (_, held) = city.api("GET", "/certificates?state=held", &Value::Null).await;
    assert_eq!(
        (held["total"].as_u64(), held["items"][0]["fingerprint"].as_str()),
        (Some(1), Some(fingerprints[0]))
    );
    assert_eq!(restore(format!("certificates/{}", fingerprints[0])).await.0, 200);
}
