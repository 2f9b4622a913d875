//! Sensors on other machines and a real node: joined by one command and one token, heard after the server was away, ordered,
//! and cut off with their certificate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod node;

use node::{Node, PROGRAM, house, run, scan_log, until};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

struct City {
    _dir: tempfile::TempDir,
    data: PathBuf,
    listen: String,
    node: Option<Node>,
    bearer: String,
}

impl City {
    fn new() -> Self {
        let (dir, data) = house();
        drop(Node::start(&data, &[]));
        let roles = ["integrator", "operator", "auditor"].map(|role| ["--token-role", role]).concat();
        let token = run(&data, &[&["--token", "city"], roles.as_slice()].concat()).stdout;
        let bearer = format!("Authorization: Bearer {}", String::from_utf8(token).unwrap().trim());
        // Free a moment ago: the sensors come back to the same place.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let node = Some(Node::start_at(&data, &listen, &[]));
        Self { _dir: dir, data, listen, node, bearer }
    }

    fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let mut more = vec!["--request", method, "--header", &self.bearer];
        if body != "null" {
            more.extend(["--header", "Content-Type: application/json", "--data", &body]);
        }
        let answer = self.node().curl(&format!("/api/v1{path}"), &more);
        let body = answer.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (answer.status, serde_json::from_str(body).unwrap_or_default())
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.api("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn token(&self, name: &str) -> String {
        let asked = json!({ "name": name, "profile": "sensor" });
        let (status, made) = self.api("POST", "/enrolment-tokens", &asked);
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    }

    fn incidents(&self, number: u64) {
        until(&format!("incident {number}"), || {
            (self.get("/incidents")["total"].as_u64().unwrap() >= number).then_some(())
        });
    }
}

/// A machine with a log, and a sensor that follows it.
struct Machine {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("conn.log"), "").unwrap();
        Self { dir, child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&mut self, more: &[&str]) {
        let err = fs::File::options().create(true).append(true).open(self.path("err")).unwrap();
        let child = Command::new(PROGRAM)
            .args(["sensor", "--follow-from-start", "--follow"])
            .arg(self.path("conn.log"))
            .arg("--state-dir")
            .arg(self.path("state"))
            .args(more)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdout(Stdio::null())
            .stderr(err)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// One host tries another's neighbours.
    fn is_scanned_by(&self, host: &str) {
        let mut log = fs::File::options().append(true).open(self.path("conn.log")).unwrap();
        log.write_all(scan_log().replace("10.1.2.3", host).as_bytes()).unwrap();
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("err")).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn within(what: &str, most: Duration, mut look: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < most, "{what} did not come within {most:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

fn spooled(state: &Path) -> usize {
    let names = fs::read_dir(state.join("server/spool")).into_iter().flatten().flatten();
    names.filter(|entry| entry.path().extension().is_some_and(|end| end == "notices")).count()
}

#[test]
fn two_machines_join_are_heard_ordered_missed_and_cut_off() {
    let mut city = City::new();
    let url = city.node().url.clone();
    let (mut north, mut south) = (Machine::new(), Machine::new());
    for (machine, name) in [(&mut north, "north"), (&mut south, "south")] {
        let token = city.token(name);
        machine.start(&["--server", &url, "--token", &token, "--called", name]);
    }
    north.is_scanned_by("10.1.2.3");
    south.is_scanned_by("10.1.9.9");
    city.incidents(2);
    // From now on one command without a token suffices.
    north.stop();
    north.start(&[]);

    let page = city.node().press(city.node().link(), &[]);
    assert_eq!(page.status, 303);
    until("both on the overview", || {
        let page = city.node().curl("/", &["--header", "Accept: text/html"]).text;
        let all = ["Sensors on other machines", ">north<", ">south<", "conn.log"];
        (all.iter().all(|part| page.contains(part)) && !page.contains("out of reach")).then_some(())
    });

    // The lever reaches both within a second.
    let (status, said) = city.api("POST", "/responding", &json!({ "responding": false }));
    assert_eq!(status, 202, "{said}");
    let took = within("the lever", Duration::from_secs(1), || {
        [&north, &south].iter().all(|machine| machine.path("state/stopped").exists())
    });
    println!("the lever: {took:?}");
    until("the journals of both", || {
        let journal = city.get("/journal").to_string();
        (journal.matches("\"stopped\"").count() >= 2).then_some(())
    });

    // The server is away: what is noticed waits, and comes once.
    drop(city.node.take());
    north.is_scanned_by("10.1.7.7");
    until("what waits on the disk", || (spooled(&north.path("state")) > 0).then_some(()));
    north.stop();
    north.start(&[]);
    city.node = Some(Node::start_at(&city.data, &city.listen, &[]));
    city.incidents(3);
    until("an empty spool", || (spooled(&north.path("state")) == 0).then_some(()));
    assert_eq!(city.get("/incidents")["total"], 3);

    // Its certificate is revoked: its stream ends at once, and it says so.
    let found = city.get("/assets?text=north");
    let id =
        found["items"].as_array().unwrap().iter().find(|one| one["name"] == "north").unwrap()["id"].clone();
    // It is asking for orders at this moment, or will be.
    std::thread::sleep(Duration::from_secs(2));
    let (status, ended) = city.api("POST", &format!("/assets/{}/revoke", id.as_str().unwrap()), &json!({}));
    assert_eq!(status, 200, "{ended}");
    assert!(ended["connections"].as_u64().unwrap() >= 1, "{ended}");
    let took = within("its word", Duration::from_secs(5), || north.said().contains("was revoked at"));
    println!("cut off and said: {took:?}");
    assert!(!south.said().contains("was revoked at"));
}

#[test]
fn what_cannot_join_says_why() {
    let city = City::new();
    let url = city.node().url.clone();
    let refused = |more: &[&str]| {
        let mut machine = Machine::new();
        machine.start(more);
        let status = machine.child.as_mut().unwrap().wait().unwrap();
        assert!(!status.success());
        machine.said()
    };
    for (more, expected) in [
        (vec!["--token", "x"], "--server"),
        (vec!["--server", &url], "expected --server URL and --token TOKEN"),
        (vec!["--server", "ftp://x", "--token", "x"], "expected https://host"),
        (vec!["--server", &url, "--token", "x"], "this is no enrolment token"),
    ] {
        let said = refused(&more);
        assert!(said.contains(expected), "{more:?}: {said}");
    }
    // A token of a device makes no sensor.
    let (_, made) = city.api("POST", "/enrolment-tokens", &json!({ "name": "lamp" }));
    let token = made["token"].as_str().unwrap();
    let mut lamp = Machine::new();
    lamp.start(&["--server", &url, "--token", token, "--called", "lamp"]);
    until("why not", || lamp.said().contains("only sensors speak here").then_some(()));
}
