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

    /// The same as a person who signed in.
    fn as_person(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (origin, body) = (format!("Origin: {}", self.node.url), body.to_string());
        let more = [
            "--request",
            method,
            "--header",
            &origin,
            "--header",
            "Content-Type: application/json",
            "--data",
            &body,
        ];
        let answer = self.node.curl(&format!("/api/v1{path}"), &more);
        let body = answer.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (answer.status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Signs somebody in who may do everything.
    fn sign_in(&self) {
        assert_eq!(self.node.press(self.node.link(), &[]).status, 303);
    }

    /// A verb that needs no node, with a passphrase on its standard input.
    fn offline(&self, arguments: &[&str], passphrase: &str) -> (bool, String) {
        let mut verb = Command::new(node::PROGRAM)
            .arg("ca")
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let _ =
            std::io::Write::write_all(&mut verb.stdin.take().unwrap(), format!("{passphrase}\n").as_bytes());
        let done = verb.wait_with_output().unwrap();
        (done.status.success(), String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
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

#[test]
fn the_root_goes_offline_and_what_it_issued_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let city = City::new(dir.path(), "", Vec::new(), &mut || {});
    let root = city.issuer("root")["id"].as_str().unwrap().to_owned();
    let deed = |city: &City, deed: &str, body: Value| {
        city.as_person("POST", &format!("/certificate-authorities/{root}/{deed}"), &body)
    };
    // A program's token takes no root away, whatever roles it has.
    let (status, said) = city.api("POST", &format!("/certificate-authorities/{root}/export"), &json!({}));
    assert_eq!(status, 403, "{said}");
    city.sign_in();
    let (status, said) = deed(&city, "export", json!({ "passphrase": "too short" }));
    assert!(status == 422 && said["expected"].as_str().unwrap().contains("16 to 1024 letters"), "{said}");
    let (status, exported) = deed(&city, "export", json!({}));
    assert_eq!(status, 200, "{exported}");
    let (file, passphrase) = (exported["file"].as_str().unwrap(), exported["passphrase"].as_str().unwrap());
    assert!(file.contains("BEGIN ENCRYPTED PRIVATE KEY") && file.contains("BEGIN CERTIFICATE"), "{file}");
    fs::write(city.path("root.offline"), file).unwrap();
    // It goes only when the copy opens.
    for (file, passphrase, expected) in [
        ("", passphrase, "expected a certificate in PEM"),
        (file, "another passphrase", "the passphrase does not fit"),
        (
            &file.replace("ENCRYPTED PRIVATE KEY", "PRIVATE KEY"),
            passphrase,
            "expected an encrypted private key",
        ),
    ] {
        let (status, said) = deed(&city, "remove-key", json!({ "file": file, "passphrase": passphrase }));
        assert!(status == 422 && said["detail"].as_str().unwrap().contains(expected), "{expected}: {said}");
    }
    assert_eq!(city.issuer("root")["key"], "here");
    let (status, removed) = deed(&city, "remove-key", json!({ "file": file, "passphrase": passphrase }));
    assert_eq!(status, 200, "{removed}");
    // Its list holds as long as the issuer does, and everything goes on, through a restart.
    let active = city.issuer("active");
    assert!(removed["list_until"].as_str() >= active["ends"].as_str(), "{removed} {active}");
    assert!(active["to_do"].as_str().unwrap().starts_with("the root's key is needed from 20"), "{active}");
    let city = city.restart(&mut || {});
    assert_eq!(city.issuer("root")["key"], "away");
    let (status, said) = city.enrol("first");
    assert_eq!(status, 200, "{said}");
    assert!(city.is_good("first"));
    assert!(city.ocsp("first").contains("first.pem: good"));
    // A list that is signed offline, on a machine without a node.
    let number = city.issuer("root")["revocation_list"].as_u64().unwrap() + 5;
    for (number, expected) in [(number, 200), (number - 3, 409)] {
        let (name, number) = (format!("{number}.crl"), number.to_string());
        let sign = ["sign-list", "--root", "root.offline", "--number", &number, "--out", &name];
        let (_, said) = city.offline(&sign, "another passphrase");
        assert!(said.contains("the passphrase does not fit"), "{said}");
        assert!(!city.path(&name).exists());
        let (done, said) = city.offline(&sign, passphrase);
        assert!(done, "{said}");
        let list = fs::read_to_string(city.path(&name)).unwrap();
        let (status, said) = deed(&city, "list", json!({ "file": list }));
        assert_eq!(status, expected, "{said}");
    }
    assert!(city.is_good("first"));
    // The next issuer is certified offline.
    let (status, asked) = city.as_person("POST", "/certificate-authorities/request", &json!({}));
    assert_eq!(status, 200, "{asked}");
    let (_, again) = city.as_person("POST", "/certificate-authorities/request", &json!({}));
    assert_eq!(again, asked);
    fs::write(city.path("issuer.csr"), asked["request"].as_str().unwrap()).unwrap();
    let sign = ["sign-issuer", "issuer.csr", "--root", "root.offline", "--out", "chain.pem"];
    let (done, said) = city.offline(&sign, passphrase);
    assert!(done, "{said}");
    let chain = fs::read_to_string(city.path("chain.pem")).unwrap();
    let (status, taken) =
        city.as_person("POST", "/certificate-authorities/import", &json!({ "chain": chain }));
    assert_eq!(status, 200, "{taken}");
    assert_eq!(city.issuer("active")["id"], taken["id"]);
    assert_eq!(city.enrol("second").0, 200);
    assert!(city.is_good("second"));
    let (status, said) =
        city.as_person("POST", "/certificate-authorities/import", &json!({ "chain": chain }));
    assert_eq!(status, 409, "{said}");
    // And the key comes back.
    let (status, said) = deed(&city, "return-key", json!({ "file": file, "passphrase": passphrase }));
    assert_eq!(status, 200, "{said}");
    let (status, said) = deed(&city, "return-key", json!({ "file": file, "passphrase": passphrase }));
    assert_eq!(status, 409, "{said}");
    assert_eq!(city.issuer("root")["key"], "here");
    assert!(city.issuer("root")["revocation_list"].as_u64().unwrap() > number);
    assert!(city.is_good("second"));
    let decisions = city.get(&format!("/decisions?about=issuer:{root}"));
    let decisions = decisions["items"].to_string();
    for words in ["key exported", "key taken away", "key brought back"] {
        assert!(decisions.contains(words), "{words}: {decisions}");
    }
}

/// A city's authority as openssl makes it: a root, and one below it that certifies issuers. What is to stand in their
/// certificates is given.
fn certify(city: &City, between: &str, own: &str) -> String {
    let write = |name: &str, text: &str| fs::write(city.path(name), text).unwrap();
    let ca = "basicConstraints=critical,CA:TRUE";
    let usage = "keyUsage=critical,keyCertSign,cRLSign";
    write(
        "root.cnf",
        &format!("[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\n{ca}\n{usage}\n"),
    );
    let key = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out"];
    if !city.path("city.pem").exists() {
        city.openssl(&[&key[..], &["city.key"]].concat());
        let root = ["req", "-x509", "-new", "-config", "root.cnf", "-key", "city.key", "-days", "3650"];
        city.openssl(&[&root[..], &["-subj", "/O=Example/CN=City Root", "-out", "city.pem"]].concat());
    }
    city.openssl(&[&key[..], &["between.key"]].concat());
    let subject = ["-subj", "/O=Example/CN=City Devices", "-out", "between.csr"];
    city.openssl(&[&["req", "-new", "-config", "root.cnf", "-key", "between.key"], &subject[..]].concat());
    let sign = |request: &str, by: &str, extensions: &str, out: &str| {
        write("extensions", extensions);
        let (certificate, key) = (format!("{by}.pem"), format!("{by}.key"));
        let by = ["-CA", &certificate, "-CAkey", &key, "-CAcreateserial", "-days", "1000"];
        let all =
            [&["x509", "-req", "-in", request, "-extfile", "extensions", "-out", out], &by[..]].concat();
        city.openssl(&all);
        fs::read_to_string(city.path(out)).unwrap()
    };
    let between = sign("between.csr", "city", &format!("{ca}\n{usage}\n{between}"), "between.pem");
    let own = sign("issuer.csr", "between", &format!("{ca},pathlen:0\n{usage}\n{own}"), "own.pem");
    // In no order: whoever sends it need not know one.
    fs::read_to_string(city.path("city.pem")).unwrap() + &own + &between
}

#[test]
fn a_citys_own_authority_becomes_the_issuer() {
    let dir = tempfile::tempdir().unwrap();
    let settings = "[certificates]\ndomains = [\"iot.city.example\", \"other.example\"]\n";
    let city = City::new(dir.path(), settings, Vec::new(), &mut || {});
    city.sign_in();
    let import =
        |chain: &str| city.as_person("POST", "/certificate-authorities/import", &json!({ "chain": chain }));
    let (status, said) = import("");
    assert_eq!(status, 409, "{said}");
    let (status, asked) = city.as_person("POST", "/certificate-authorities/request", &json!({}));
    assert_eq!(status, 200, "{asked}");
    fs::write(city.path("issuer.csr"), asked["request"].as_str().unwrap()).unwrap();
    let refused = |chain: &str, expected: &str| {
        let (status, said) = import(chain);
        assert!(status == 422 && said["detail"].as_str().unwrap().contains(expected), "{expected}: {said}");
    };
    let limits = "nameConstraints=critical,permitted;DNS:city.example,permitted;DNS:localhost\n";
    let chain = certify(&city, limits, "");
    refused("no chain", "found 0 certificates");
    refused(&fs::read_to_string(city.path("own.pem")).unwrap(), "is not among them");
    refused(&fs::read_to_string(city.path("city.pem")).unwrap(), "is about the key of this request");
    refused(
        &certify(
            &city,
            "nameConstraints=critical,permitted;DNS:elsewhere.example,permitted;IP:192.0.2.0/255.255.255.0\n",
            "",
        ),
        "this authority could not certify this node itself",
    );
    refused(&certify(&city, "", "extendedKeyUsage=emailProtection\n"), "not for TLS clients and servers");
    let before = city.issuer("active")["id"].clone();
    let chain_again = certify(&city, limits, "");
    assert_ne!(chain, chain_again);
    let (status, taken) = import(&chain_again);
    assert_eq!(status, 200, "{taken}");
    let active = city.issuer("active");
    assert_ne!(active["id"], before);
    assert!(active["to_do"].as_str().unwrap().contains("have the next one certified"), "{active}");
    // The node itself has a certificate of it before long, which its root vouches for.
    node::until("the node's new certificate", || {
        let address = format!("{}/healthz", city.node.url);
        let ca = city.path("city.pem").display().to_string();
        let asked = Command::new("curl").args(["-sS", "--cacert", &ca, &address]).output().unwrap();
        asked.status.success().then_some(())
    });
    // A device comes in by it, as the agent does: its token names the city's root.
    let (status, made) = city.api("POST", "/enrolment-tokens", &json!({ "name": "lamp" }));
    assert_eq!(status, 201, "{made}");
    let folder = agent::disk::Folder::open(&dir.path().join("agent")).unwrap();
    let enrol = agent::enrol::Enrol {
        server: city.node.url.parse().unwrap(),
        label: None,
        ground: agent::enrol::Ground::Token(made["token"].as_str().unwrap().parse().unwrap()),
        name: "lamp".into(),
        algorithm: pki::Algorithm::P256,
        token: None,
    };
    let since = fs::metadata(city.path("own.pem")).unwrap().modified().unwrap();
    let since = since.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let now = model::Timestamp::from_secs(i64::try_from(since).unwrap());
    let identity = enrol.run(&folder, now, &mut |_| {}, &mut |_| now).unwrap();
    assert_eq!(identity.chain().len(), 3);
    // openssl finds it good, by the node's list and OCSP.
    let (status, said) = city.enrol("first");
    assert_eq!(status, 200, "{said}");
    city.openssl(&[
        "verify",
        "-x509_strict",
        "-crl_check",
        "-CAfile",
        "city.pem",
        "-untrusted",
        "between.pem",
        "-untrusted",
        "own.pem",
        "-CRLfile",
        "active.crl",
        "first.pem",
    ]);
    // Names outside of what the city's authority may name are refused, and said.
    let names = |name: &str| {
        let alternative = format!("subjectAltName=DNS:{name}");
        let subject = [
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-keyout",
            "x.key",
        ];
        let out = ["-subj", "/CN=lamp-2", "-addext", &alternative, "-outform", "DER", "-out", "x.csr"];
        city.openssl(&[&subject[..], &out[..]].concat());
        let encoded = Command::new("base64").arg(city.path("x.csr")).output().unwrap();
        fs::write(city.path("x.b64"), encoded.stdout).unwrap();
        let (_, made) = city.api("POST", "/enrolment-tokens", &json!({ "name": "lamp-2" }));
        let user = format!("device:{}", made["token"].as_str().unwrap());
        let body = format!("@{}", city.path("x.b64").display());
        let more = ["-u", &user, "-H", "Content-Type: application/pkcs10", "--data-binary", &body];
        city.node.curl("/.well-known/est/simpleenroll", &more)
    };
    let answer = names("lamp.other.example");
    assert!(
        answer.status == 400 && answer.text.contains("name constraints of its authority"),
        "{}",
        answer.text
    );
    assert_eq!(names("lamp.iot.city.example").status, 200);
    // Through a restart.
    let city = city.restart(&mut || {});
    assert_eq!(city.enrol("second").0, 200);
}

#[test]
fn an_issuer_comes_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let city = City::new(dir.path(), "", Vec::new(), &mut || {});
    city.sign_in();
    city.openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "own.key"]);
    city.openssl(&[
        "req",
        "-new",
        "-key",
        "own.key",
        "-subj",
        "/O=Example/OU=local/CN=Own",
        "-out",
        "issuer.csr",
    ]);
    let chain = certify(&city, "", "");
    city.openssl(&[
        "pkcs8",
        "-topk8",
        "-in",
        "own.key",
        "-v2",
        "aes-256-cbc",
        "-passout",
        "pass:a long passphrase",
        "-out",
        "own.p8",
    ]);
    let key = fs::read_to_string(city.path("own.p8")).unwrap();
    let import = |passphrase: &str| {
        let body = json!({ "chain": chain, "key": key, "passphrase": passphrase });
        city.as_person("POST", "/certificate-authorities/import", &body)
    };
    let (status, said) = import("another passphrase");
    assert!(
        status == 422 && said["detail"].as_str().unwrap().contains("the passphrase does not fit"),
        "{said}"
    );
    let (status, taken) = import("a long passphrase");
    assert_eq!(status, 200, "{taken}");
    assert_eq!(city.enrol("first").0, 200);
    city.issuer("active");
    city.openssl(&[
        "verify",
        "-CAfile",
        "city.pem",
        "-untrusted",
        "between.pem",
        "-untrusted",
        "own.pem",
        "first.pem",
    ]);
}

#[test]
fn lists_and_ocsp_are_served_without_tls_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!("[server]\nnames = [\"localhost\"]\n[certificates]\nlisten = \"{free}\"\n");
    let city = City::new(dir.path(), &settings, Vec::new(), &mut || {});
    assert_eq!(city.enrol("first").0, 200);
    let (root, active) = (city.issuer("root"), city.issuer("active"));
    let text = city.openssl(&["x509", "-in", "first.pem", "-noout", "-text"]);
    let text = String::from_utf8(text.stdout).unwrap();
    let base = format!("http://localhost:{}", free.port());
    let (crl, ocsp) = (
        format!("{base}/crl/{}.crl", active["id"].as_str().unwrap()),
        format!("{base}/ocsp/{}", active["id"].as_str().unwrap()),
    );
    assert!(text.contains(&crl) && text.contains(&ocsp), "{text}");
    let checked = [
        "verify",
        "-crl_check",
        "-crl_download",
        "-CAfile",
        "root.pem",
        "-untrusted",
        "active.pem",
        "first.pem",
    ];
    city.openssl(&checked);
    let asked = ["ocsp", "-issuer", "active.pem", "-cert", "first.pem", "-url", &ocsp, "-CAfile", "root.pem"];
    let told = city.openssl(&[&asked[..], &["-verify_other", "active.pem"]].concat());
    assert!(String::from_utf8(told.stdout).unwrap().contains("first.pem: good"));
    let asset = city.get("/assets?text=first")["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(city.api("POST", &format!("/assets/{asset}/revoke"), &json!({})).0, 200);
    let judged = city.tried(&checked);
    assert!(String::from_utf8_lossy(&judged.stderr).contains("certificate revoked"), "{judged:?}");
    let ca = format!("/ca/{}.cer", root["id"].as_str().unwrap());
    for (method, path, expected) in [
        ("GET", ca.as_str(), "200"),
        ("GET", "/", "404"),
        ("GET", "/healthz", "404"),
        ("GET", "/sign-in", "404"),
        ("GET", "/static/console.css", "404"),
        ("GET", "/api/v1/assets", "404"),
        ("GET", "/metrics", "404"),
        ("GET", "/crl/../healthz", "404"),
        ("GET", "/.well-known/est/cacerts", "404"),
        ("POST", "/.well-known/est/simpleenroll", "404"),
        ("POST", ca.as_str(), "405"),
    ] {
        let address = format!("{base}{path}");
        let more =
            ["--path-as-is", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "-H", &city.bearer];
        let found = Command::new("curl").args(more).arg(&address).output().unwrap();
        assert_eq!(String::from_utf8(found.stdout).unwrap(), expected, "{method} {path}");
    }
}
