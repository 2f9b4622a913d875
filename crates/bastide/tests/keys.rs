//! The keys of a node's certificate authorities, where they are not in its database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod node;
#[path = "../../pkcs11/tests/tokens/mod.rs"]
mod tokens;

use node::{Node, house, run};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tokens::Tokens;

/// A node with a program that may do everything there.
struct City {
    dir: PathBuf,
    node: Node,
    bearer: String,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl City {
    fn new(
        dir: &Path,
        settings: &str,
        variables: Vec<(&'static str, String)>,
        between: &mut dyn FnMut(),
    ) -> Self {
        let (data, config) = (dir.join("data"), dir.join("bastide.toml"));
        fs::write(&config, settings).unwrap();
        let arguments = vec!["--config".to_owned(), config.display().to_string()];
        let start = || {
            let all: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Node::start_with(&data, &all, &variables)
        };
        drop(start());
        between();
        let made = run(&data, &["--token", "city", "--token-role", "integrator", "--token-role", "operator"]);
        let token = String::from_utf8(made.stdout).unwrap();
        let node = start();
        let bearer = format!("Authorization: Bearer {}", token.trim());
        Self { dir: dir.to_owned(), node, bearer, arguments, variables }
    }

    fn restart(self, between: &mut dyn FnMut()) -> Self {
        let Self { dir, node, bearer, arguments, variables } = self;
        node.stop();
        between();
        let all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let node = Node::start_with(&dir.join("data"), &all, &variables);
        Self { dir, node, bearer, arguments, variables }
    }

    fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let mut more = vec!["--request", method, "--header", &self.bearer];
        if body != "null" {
            more.extend(["--header", "Content-Type: application/json", "--data", &body]);
        }
        let answer = self.node.curl(&format!("/api/v1{path}"), &more);
        let body = answer.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (answer.status, serde_json::from_str(body).unwrap_or_default())
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.api("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Lets a device in as openssl and curl do it; what came, and its certificate in `<name>.pem` where it is one.
    fn enrol(&self, name: &str) -> (u16, String) {
        let (status, made) = self.api("POST", "/enrolment-tokens", &json!({ "name": name }));
        assert_eq!(status, 201, "{made}");
        let subject = format!("/CN={name}");
        let request = format!("{name}.csr");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "device.key"];
        let csr = ["-subj", &subject, "-outform", "DER", "-out", &request];
        self.openssl(&[&["req", "-new", "-nodes"], &key[..], &csr[..]].concat());
        let encoded = Command::new("base64").arg(self.path(&request)).output().unwrap();
        fs::write(self.path("request.b64"), encoded.stdout).unwrap();
        let (user, body) = (
            format!("device:{}", made["token"].as_str().unwrap()),
            format!("@{}", self.path("request.b64").display()),
        );
        let more = ["-u", &user, "-H", "Content-Type: application/pkcs10", "--data-binary", &body];
        let answer = self.node.curl("/.well-known/est/simpleenroll", &more);
        let body = answer.text.split_once("\r\n\r\n").unwrap().1.to_owned();
        if answer.status == 200 {
            let one: String = body.split_whitespace().collect();
            fs::write(self.path("answer.b64"), one).unwrap();
            self.openssl(&["enc", "-d", "-a", "-A", "-in", "answer.b64", "-out", "answer.p7"]);
            let out = format!("{name}.pem");
            self.openssl(&["pkcs7", "-inform", "DER", "-in", "answer.p7", "-print_certs", "-out", &out]);
        }
        (answer.status, body)
    }

    /// The issuer in this state, as the API shows it; its certificate in `<state>.pem`, its list in `<state>.crl`.
    fn issuer(&self, state: &str) -> Value {
        let all = self.get("/certificate-authorities");
        let found = all.as_array().unwrap().iter().find(|issuer| issuer["state"] == state).unwrap().clone();
        let id = found["id"].as_str().unwrap();
        for (from, to, kind) in [("ca", "cer", "x509"), ("crl", "crl", "crl")] {
            let file = self.path("got.der").display().to_string();
            let ca = self.dir.join("data/tls/ca.pem").display().to_string();
            let url = format!("{}/{from}/{id}.{to}", self.node.url);
            let got =
                Command::new("curl").args(["-sSf", "--cacert", &ca, "-o", &file, &url]).output().unwrap();
            assert!(got.status.success(), "{got:?}");
            let out = format!("{state}.{}", if kind == "crl" { "crl" } else { "pem" });
            self.openssl(&[kind, "-inform", "DER", "-in", "got.der", "-out", &out]);
        }
        found
    }

    /// Whether openssl finds that certificate good, by the lists of all above it.
    fn is_good(&self, name: &str) -> bool {
        self.issuer("root");
        self.issuer("active");
        let certificate = format!("{name}.pem");
        let verify = ["verify", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "active.pem"];
        let lists = ["-CRLfile", "root.crl", "-CRLfile", "active.crl", &certificate];
        let judged = self.tried(&[&verify[..], &lists[..]].concat());
        let said = String::from_utf8_lossy(&judged.stderr);
        assert!(judged.status.success() || said.contains("certificate revoked"), "{said}");
        judged.status.success()
    }

    /// What openssl reads in the answer of OCSP.
    fn ocsp(&self, name: &str) -> String {
        let id = self.issuer("active")["id"].as_str().unwrap().to_owned();
        let certificate = format!("{name}.pem");
        self.openssl(&[
            "ocsp",
            "-no_nonce",
            "-issuer",
            "active.pem",
            "-cert",
            &certificate,
            "-reqout",
            "ask.der",
        ]);
        let (url, ca) = (format!("{}/ocsp/{id}", self.node.url), self.dir.join("data/tls/ca.pem"));
        let body = format!("@{}", self.path("ask.der").display());
        let told = Command::new("curl")
            .args(["-sSf", "-H", "Content-Type: application/ocsp-request", "--data-binary", &body, &url])
            .args(["--cacert", ca.to_str().unwrap(), "-o", self.path("told.der").to_str().unwrap()])
            .output()
            .unwrap();
        assert!(told.status.success(), "{told:?}");
        let read =
            ["ocsp", "-no_nonce", "-issuer", "active.pem", "-cert", &certificate, "-respin", "told.der"];
        let read =
            self.openssl(&[&read[..], &["-CAfile", "root.pem", "-verify_other", "active.pem"]].concat());
        String::from_utf8([read.stdout, read.stderr].concat()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn tried(&self, arguments: &[&str]) -> Output {
        Command::new("openssl").args(arguments).current_dir(&self.dir).output().unwrap()
    }

    fn openssl(&self, arguments: &[&str]) -> Output {
        let done = self.tried(arguments);
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        done
    }
}

/// Devices are let in and suspended by an issuer whose key is on a token; `between` starts something is done.
fn issues_from_a_token(
    dir: &Path,
    variables: Vec<(&'static str, String)>,
    uri: &str,
    between: &mut dyn FnMut(),
) -> City {
    let settings = format!("[certificates]\nkeys = \"{uri}\"\n");
    let city = City::new(dir, &settings, variables, between);
    for (state, key) in [("root", "token"), ("active", "token")] {
        assert_eq!(city.issuer(state)["key"], key);
    }
    let (status, said) = city.enrol("first");
    assert_eq!(status, 200, "{said}");
    assert!(city.is_good("first"));
    assert!(city.ocsp("first").contains("first.pem: good"), "{}", city.ocsp("first"));
    let asset = city.get("/assets?text=first")["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(city.api("POST", &format!("/assets/{asset}/suspend"), &json!({})).0, 200);
    assert!(!city.is_good("first"));
    assert!(city.ocsp("first").contains("first.pem: revoked"), "{}", city.ocsp("first"));
    city
}

#[test]
fn issuers_sign_on_a_token_and_go_on_when_it_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let Some(tokens) = Tokens::softhsm(dir.path()) else { return };
    let uri = tokens.add("city");
    let city = issues_from_a_token(dir.path(), tokens.variables.clone(), &uri, &mut || {});
    let city = city.restart(&mut || {});
    let (status, said) = city.enrol("second");
    assert_eq!(status, 200, "{said}");
    assert!(city.is_good("second") && !city.is_good("first"));
    // Nothing of it in the database, but where it is.
    let kept = fs::read(dir.path().join("data/bastide.sqlite")).unwrap();
    let wal = fs::read(dir.path().join("data/bastide.sqlite-wal")).unwrap_or_default();
    let kept = String::from_utf8_lossy(&[kept, wal].concat()).into_owned();
    assert!(kept.contains("pkcs11:token=city;object=bastide-") && !kept.contains("PRIVATE KEY"));
    tokens.plugged(false);
    let (status, said) = city.enrol("third");
    assert_eq!(status, 503, "{said}");
    assert!(said.contains("the token \"city\" is not there") && !said.contains(tokens::PIN), "{said}");
    // Answers about what there is go on, and the node starts.
    assert!(city.ocsp("second").contains("second.pem: good"));
    let city = city.restart(&mut || {});
    assert_eq!(city.get("/certificate-authorities")[0]["key"], "token");
    assert_eq!(city.enrol("third").0, 503);
    tokens.plugged(true);
    let (status, said) = city.enrol("third");
    assert_eq!(status, 200, "{said}");
    assert!(city.is_good("third"));
}

#[test]
fn issuers_sign_in_a_tpm() {
    // The token is made in a process that knows the TPM.
    if let Some(uri) = std::env::var_os("TOKEN_URI") {
        let uri = uri.into_string().unwrap();
        let part = |begins: &str| uri.split_once(begins).unwrap().1.split('&').next().unwrap().to_owned();
        let (module, pin) = (part("module-path="), part("pin-source=file:"));
        pkcs11::Place::make_token(Path::new(&module), "city", Path::new(&pin), "98765432").unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(mut tokens) = Tokens::tpm(dir.path()) else { return };
    let uri = tokens.uri("city");
    tokens.again("issuers_sign_in_a_tpm", &uri);
    tokens.power_cycle();
    let variables = tokens.variables.clone();
    issues_from_a_token(dir.path(), variables, &uri, &mut || tokens.power_cycle());
}

#[test]
fn settings_that_name_no_token_stop_the_start_and_show_no_pin() {
    let (dir, data) = house();
    let config = dir.path().join("bastide.toml");
    for (keys, expected) in [
        ("softhsm", "does not begin with pkcs11:"),
        ("pkcs11:token=city?module-path=/m.so&pin-value=4711", "does not belong in settings"),
        ("pkcs11:token=city;object=root?module-path=/m.so", "no object on it"),
        ("pkcs11:token=city?module-path=/nowhere/m.so", "the PKCS #11 module /nowhere/m.so cannot be used"),
    ] {
        fs::write(&config, format!("[certificates]\nkeys = \"{keys}\"\n")).unwrap();
        let said = node::refused(&data, &["--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
        assert!(said.contains(expected), "{keys}: {said}");
        assert!(!said.contains("4711"), "{said}");
    }
    let keys = "pkcs11:token=city?module-path=/m.so&pin-source=file:/etc/bastide/pin";
    fs::write(&config, format!("[certificates]\nkeys = \"{keys}\"\n")).unwrap();
    let shown = run(&data, &["--config", config.to_str().unwrap(), "--print-config"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&format!("keys = \"{keys}\"")), "{shown}");
}
