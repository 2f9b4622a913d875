//! The agent of a device and a real node: enrolled by a token or by a person's yes, reporting, told, renewed, revoked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod node;

use agent::{
    disk::Folder,
    enrol::{Enrol, Ground},
    identity::{Identity, Trust},
    machine::Machine,
    run::Agent,
};
use model::Timestamp;
use node::{Node, PROGRAM, house, run};
use pki::Algorithm;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

#[expect(clippy::disallowed_methods, reason = "the node has a clock of its own")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap())
}

/// A node, and a program that may see assets, let devices in and take their identities away.
struct City {
    _dir: tempfile::TempDir,
    node: Node,
    bearer: String,
}

impl City {
    fn new() -> Self {
        let (dir, data) = house();
        // The first start founds the authority; what it is called there does not matter.
        drop(Node::start(&data, &[]));
        let made = ["--token", "city", "--token-role", "integrator", "--token-role", "operator"];
        let token = String::from_utf8(run(&data, &made).stdout).unwrap();
        let config = dir.path().join("bastide.toml");
        fs::write(&config, "[agents]\nreport_every = 120\nports = false\n").unwrap();
        let node = Node::start(&data, &["--config", config.to_str().unwrap()]);
        Self { _dir: dir, node, bearer: format!("Authorization: Bearer {}", token.trim()) }
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

    fn token(&self, name: &str) -> String {
        let name = Some(name).filter(|name| !name.is_empty());
        let (status, made) = self.api("POST", "/enrolment-tokens", &json!({ "name": name }));
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    }

    fn asset(&self, name: &str) -> String {
        let found = self.get(&format!("/assets?text={name}"));
        assert_eq!(found["total"], 1, "{found}");
        found["items"][0]["id"].as_str().unwrap().to_owned()
    }

    fn revoke(&self, asset: &str) {
        let (status, ended) =
            self.api("POST", &format!("/assets/{asset}/revoke"), &json!({ "reason": "key-compromise" }));
        assert_eq!(status, 200, "{ended}");
    }
}

/// A camera as it comes from its maker, with the agent on it.
struct Camera {
    dir: tempfile::TempDir,
}

impl Camera {
    fn new() -> Self {
        let camera = Self { dir: tempfile::tempdir().unwrap() };
        let any = format!("{:08X}:0017", 0);
        camera.write("etc/os-release", "ID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME=\"Camera <OS>\"\n");
        camera.write("etc/passwd", "root::0:0::/:/bin/sh\n");
        camera.write(
            "lib/apk/db/installed",
            "P:busybox\nV:1.36.1-r15\nA:armv7\n\nP:musl\nV:1.2.4-r2\nA:armv7\n",
        );
        camera.write("proc/net/tcp", &format!(" sl\n 0: {any} 00000000:0000 0A 0:0 0:0 0 0 0 7 1\n"));
        camera
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn folder(&self) -> Folder {
        Folder::open(&self.path("agent")).unwrap()
    }

    fn enrol(&self, city: &City, ground: Ground, wait: &mut dyn FnMut(&str)) -> Result<Identity, String> {
        let server = city.node.url.parse().unwrap();
        let enrol = Enrol {
            server,
            label: None,
            ground,
            name: "camera-7".into(),
            algorithm: Algorithm::P256,
            token: None,
        };
        let mut said = String::new();
        let said = std::cell::RefCell::new(&mut said);
        let outcome = enrol.run(&self.folder(), now(), &mut |word| **said.borrow_mut() = word, &mut |_| {
            wait(&said.borrow());
            now()
        });
        outcome.map_err(|error| error.to_string())
    }

    fn agent(&self) -> Agent {
        Agent::open(self.folder(), Machine::new(self.dir.path()), now()).unwrap().0
    }
}

fn turn(agent: &mut Agent, at: Timestamp, elapsed: u64) -> String {
    let mut said = Vec::new();
    agent.turn(at, Duration::from_secs(elapsed), &mut |word| said.push(word.to_owned()));
    said.join("\n")
}

#[test]
fn a_device_is_enrolled_reports_is_told_is_renewed_and_revoked() {
    let (city, camera) = (City::new(), Camera::new());
    let token = city.token("camera-7");
    let ground = || Ground::Token(token.parse().unwrap());
    let first = camera.enrol(&city, ground(), &mut |_| {}).unwrap();
    // The token is used up: another key gets nothing for it.
    let thief = Camera::new();
    let refused = thief.enrol(&city, ground(), &mut |_| {}).unwrap_err();
    assert!(refused.contains("the server refuses (40"), "{refused}");

    let mut agent = camera.agent();
    let said = turn(&mut agent, now(), 0);
    assert!(said.contains("settings 1 hold until"), "{said}");
    let told = agent.settings().unwrap();
    assert_eq!((told.report_every, told.collect.ports, told.collect.packages), (120, false, true));
    let asset = city.asset("camera-7");
    let said = city.get(&format!("/assets/{asset}/posture"));
    assert_eq!(said["posture"]["telnet"], json!([23]), "{said}");
    assert_eq!(said["posture"]["accounts"]["weak"], json!([{ "name": "root", "rule": "empty password" }]));
    let sbom = city.get(&format!("/assets/{asset}/sbom"));
    assert_eq!(said["posture"]["software"]["sbom"], sbom["serialNumber"]);
    assert_eq!(
        sbom["components"][0]["purl"],
        "pkg:apk/alpine/busybox@1.36.1-r15?arch=armv7&distro=alpine-3.19.1"
    );
    // As it was told, it looks for ports no more.
    assert_eq!(turn(&mut agent, now(), 1), "");
    let said = city.get(&format!("/assets/{asset}/posture"));
    assert_eq!(said["posture"]["listening"], Value::Null, "{said}");
    camera.write("lib/apk/db/installed", "P:busybox\nV:1.37\nA:armv7\n");
    assert_eq!(turn(&mut agent, now(), 200), "");
    assert_eq!(city.get(&format!("/assets/{asset}/sbom"))["components"].as_array().unwrap().len(), 1);

    // On its page, for people.
    city.node.press(city.node.link(), &[]);
    let page = city.node.curl(&format!("/assets/{asset}"), &["--header", "Accept: text/html"]).text;
    for part in [
        "What its agent says",
        "Camera &lt;OS&gt;",
        "1 package",
        "Anybody can sign in as root: empty password.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }

    // Two thirds of its life later, by its own clock.
    let later = first.renew_from().plus_secs(1);
    let said = turn(&mut agent, later, 400);
    assert!(said.contains("the certificate is renewed, until"), "{said}");
    let second = Identity::load(&camera.folder()).unwrap().unwrap();
    assert_ne!(second.fingerprint(), first.fingerprint());
    assert_eq!(second.certificate().view().subject, first.certificate().view().subject);
    assert_eq!(city.asset("camera-7"), asset, "the same asset with another key");
    camera.write("lib/apk/db/installed", "P:busybox\nV:1.38\nA:armv7\n");
    let said = turn(&mut agent, now(), 4_000);
    assert!(!said.contains("refuses"), "{said}");
    assert!(agent.spool().waiting().is_empty());
    assert_eq!(agent.settings().unwrap().device, second.fingerprint(), "told anew for the new key");

    city.revoke(&asset);
    camera.write("lib/apk/db/installed", "P:busybox\nV:1.39\nA:armv7\n");
    let said = turn(&mut agent, now(), 8_000);
    assert!(said.contains("(403)") && said.contains("revoked"), "{said}");
    assert_eq!(agent.spool().waiting().len(), 2, "kept, and not taken");
}

#[test]
fn without_a_token_a_person_says_yes() {
    let (city, camera) = (City::new(), Camera::new());
    let trust = Trust::from_pem(&fs::read(city.node.dir.join("tls/ca.pem")).unwrap()).unwrap();
    let mut asked = 0;
    let identity = camera
        .enrol(&city, Ground::Person(trust), &mut |said| {
            asked += 1;
            let waiting = city.get("/enrolments?state=waiting");
            let (id, key) = (&waiting["items"][0]["id"], waiting["items"][0]["key"].as_str().unwrap());
            assert!(said.contains(key), "the same key on both sides: {said} {waiting}");
            let approve = format!("/enrolments/{}/approve", id.as_str().unwrap());
            assert_eq!(city.api("POST", &approve, &Value::Null).0, 204);
        })
        .unwrap();
    assert_eq!(asked, 1);
    assert!(identity.certificate().view().subject.contains("CN=camera-7"));
    assert!(!turn(&mut camera.agent(), now(), 0).contains("refuses"));
    assert_eq!(city.get(&format!("/assets/{}/posture", city.asset("camera-7")))["number"], 2);
}

/// curl with a client certificate, where there is one.
fn curl(city: &City, camera: Option<&Camera>, path: &str, more: &[&str]) -> (u16, String) {
    let ca = city.node.dir.join("tls/ca.pem");
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "-w", "\n%{http_code}", "--cacert"]).arg(ca).args(more);
    if let Some(camera) = camera {
        let pem = camera.path("agent/identity.pem");
        command.arg("--cert").arg(&pem).arg("--key").arg(pem);
    }
    let Output { status, stdout, stderr } = command.arg(format!("{}{path}", city.node.url)).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let said = String::from_utf8(stdout).unwrap();
    let (body, code) = said.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), body.to_owned())
}

#[test]
fn what_is_no_report_or_comes_from_nobody_is_refused_in_words() {
    let (city, camera) = (City::new(), Camera::new());
    camera.enrol(&city, Ground::Token(city.token("camera-7").parse().unwrap()), &mut |_| {}).unwrap();
    let large = camera.path("large");
    fs::write(&large, vec![b' '; 5 << 20]).unwrap();
    let (json, large) = ("Content-Type: application/json", format!("@{}", large.display()));
    let report = "/api/v1/agent/report";
    for (who, path, more, status, expected) in [
        (None, report, vec!["-H", json, "-d", "{}"], 401, "no certificate of this node"),
        (None, "/api/v1/agent/settings", vec![], 401, "no certificate of this node"),
        (None, report, vec!["-H", json, "-H", &city.bearer, "-d", "{}"], 401, "no certificate of this node"),
        (Some(&camera), report, vec!["-d", "{}"], 415, "application/json"),
        (Some(&camera), report, vec!["-H", json, "-d", "{}"], 422, "missing field `version`"),
        (Some(&camera), report, vec!["-H", json, "-d", "rubbish"], 422, "`report` is not readable at line 1"),
        (Some(&camera), report, vec!["-H", json, "--data-binary", &large], 413, "at most 4194304 bytes"),
        (Some(&camera), "/api/v1/agent/settings", vec![], 200, "eyJ"),
        // A device's certificate opens no other door.
        (Some(&camera), "/api/v1/assets", vec![], 401, ""),
    ] {
        let (found, said) = curl(&city, who, path, &more);
        assert_eq!(found, status, "{path} {more:?}: {said}");
        assert!(said.contains(expected), "{path} {more:?}: {said}");
    }
}

/// The program itself, where it was built beside this one.
#[test]
fn the_program_enrols_and_says_how_it_stands() {
    let program = Path::new(PROGRAM).with_file_name("bastide-agent");
    if !program.exists() {
        eprintln!("SKIPPED: {} is not built (cargo build --release -p agent)", program.display());
        return;
    }
    let city = City::new();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("agent");
    let said = |arguments: &[&str], good: bool| {
        let output = Command::new(&program)
            .args(arguments)
            .args(["--dir", folder.to_str().unwrap()])
            .env_clear()
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.success(), good, "{arguments:?}: {said}");
        said
    };
    assert!(said(&["status"], false).contains("this device is not enrolled"));
    let token = city.token("");
    let enrol = ["enrol", "--server", &city.node.url, "--token", &token, "--name", "gateway-1"];
    let enrolled = said(&enrol, true);
    assert!(enrolled.contains("enrolled as ") && enrolled.contains("CN=gateway-1"), "{enrolled}");
    assert!(said(&enrol, false).contains("--replace enrols anew"));
    let mut child = Command::new(&program).arg("run").arg("--dir").arg(&folder).env_clear().spawn().unwrap();
    node::until("the report", || {
        let (status, _) =
            city.api("GET", &format!("/assets/{}/posture", city.asset("gateway-1")), &Value::Null);
        (status == 200).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let stands = said(&["status"], true);
    assert!(
        stands.contains("CN=gateway-1") && stands.contains(", good") && stands.contains("waiting      0"),
        "{stands}"
    );
}
