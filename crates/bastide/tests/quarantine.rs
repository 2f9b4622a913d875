//! One action takes an identity away everywhere: sessions that a device holds open, with the node and through the router that
//! its sensor runs on, end within a second of it. In a real kernel, in namespaces of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, missing_docs, dead_code, reason = "tests; the street is shared")]

mod node;
#[path = "../../sensor/tests/street/mod.rs"]
mod street;

use node::{Node, house, run, until};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};
use street::{Host, Street, in_namespaces};

struct City {
    node: Node,
    bearer: String,
}

impl City {
    fn api(&self, method: &str, path: &str, kind: &str, body: &str) -> (u16, Value) {
        let kind = format!("Content-Type: {kind}");
        let mut more = vec!["--request", method, "--header", &self.bearer];
        if !body.is_empty() {
            more.extend(["--header", &kind, "--data-binary", body]);
        }
        let answer = self.node.curl(&format!("/api/v1{path}"), &more);
        let body = answer.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (answer.status, serde_json::from_str(body).unwrap_or_default())
    }
}

/// A certificate of the node for an asset, in `camera.pem` and `camera.key`.
fn enrol(city: &City, asset: &str, dir: &Path) {
    let (status, made) =
        city.api("POST", "/enrolment-tokens", "application/json", &json!({ "asset": asset }).to_string());
    assert_eq!(status, 201, "{made}");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(&[
        "req",
        "-new",
        "-nodes",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-subj",
        "/CN=camera-7",
        "-keyout",
        "camera.key",
        "-outform",
        "DER",
        "-out",
        "camera.der",
    ]);
    openssl(&["base64", "-in", "camera.der", "-out", "camera.b64"]);
    let (user, data) =
        (format!("x:{}", made["token"].as_str().unwrap()), format!("@{}", dir.join("camera.b64").display()));
    let answer = city.node.curl(
        "/.well-known/est/simpleenroll",
        &["--user", &user, "--header", "Content-Type: application/pkcs10", "--data-binary", &data],
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
    fs::write(dir.join("camera.p7.b64"), answer.text.split_once("\r\n\r\n").unwrap().1).unwrap();
    openssl(&["base64", "-d", "-A", "-in", "camera.p7.b64", "-out", "camera.p7"]);
    openssl(&["pkcs7", "-inform", "DER", "-in", "camera.p7", "-print_certs", "-out", "camera.pem"]);
}

/// A TLS session of the camera with the node, held open from the camera's own network. What ends it ends the process.
fn hold(camera: &Host, port: u16, dir: &Path) -> Child {
    let (pid, place) = (camera.pid().to_string(), format!("10.9.0.1:{port}"));
    let mut child = Command::new("nsenter")
        .args(["-t", &pid, "-n", "openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", &place])
        .args(["-cert", "camera.pem", "-key", "camera.key"])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    to.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    to.flush().unwrap();
    // The pipe stays open: nobody but the node ends the session.
    child.stdin = Some(to);
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1"), "{line}");
    thread::spawn(move || drop(from.read_to_end(&mut Vec::new())));
    child
}

/// A TCP session of the camera with somebody outside, through the router, that says a word every few milliseconds; when each
/// came back.
fn talk(street: &Street, port: u16) -> Receiver<Instant> {
    let listener = street.outside.inside(move || TcpListener::bind(("0.0.0.0", port)).unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut word = [0; 4];
        while stream.read_exact(&mut word).and_then(|()| stream.write_all(&word)).is_ok() {}
    });
    let outside = SocketAddr::new(street.outside.v4, port);
    let mut stream = street.camera.inside(move || TcpStream::connect(outside).unwrap());
    stream.set_nodelay(true).unwrap();
    let (heard, hears) = channel();
    thread::spawn(move || {
        let mut word = [0; 4];
        while stream.write_all(b"word").and_then(|()| stream.read_exact(&mut word)).is_ok()
            && heard.send(Instant::now()).is_ok()
        {
            thread::sleep(Duration::from_millis(5));
        }
    });
    hears
}

#[test]
fn one_action_ends_every_session_within_a_second() {
    in_namespaces("one_action_ends_every_session_within_a_second", |street| {
        let (dir, data) = house();
        drop(Node::start(&data, &[]));
        let roles = ["integrator", "operator"].map(|role| ["--token-role", role]).concat();
        let token = run(&data, &[&["--token", "city"], roles.as_slice()].concat()).stdout;
        let bearer = format!("Authorization: Bearer {}", String::from_utf8(token).unwrap().trim());
        let node = Node::start_at(&data, "0.0.0.0:0", &["--sensor", "cam", "--home", "10.9.0.0/24"]);
        let port: u16 = node.url.rsplit(':').next().unwrap().parse().unwrap();
        let city = City { node, bearer };
        let list =
            format!("name;kind;mac;addresses\ncamera-7;camera;{};{}\n", street.camera.mac, street.camera.v4);
        let (status, listed) = city.api("POST", "/assets", "text/csv", &list);
        assert!(status < 300, "{status} {listed}");
        let asset = until("the camera", || {
            let (_, found) = city.api("GET", "/assets?text=camera-7", "", "");
            found["items"][0]["id"].as_str().map(str::to_owned)
        });
        enrol(&city, &asset, dir.path());

        for round in 0..3 {
            let hears = talk(street, 7000 + round);
            let mut held = hold(&street.camera, port, dir.path());
            hears.recv_timeout(Duration::from_secs(5)).unwrap();
            assert!(held.try_wait().unwrap().is_none());
            let begun = Instant::now();
            let path = format!("/assets/{}", asset.replace(':', "%3A"));
            let (status, ended) = city.api("POST", &format!("{path}/suspend"), "application/json", "{}");
            let answered = begun.elapsed();
            assert_eq!(status, 200, "{ended}");
            while held.try_wait().unwrap().is_none() {
                assert!(begun.elapsed() < Duration::from_secs(1), "the node's session goes on: {ended}");
                thread::sleep(Duration::from_millis(1));
            }
            let cut = begun.elapsed();
            // The last word that came through.
            let mut last = begun;
            while let Ok(at) = hears.recv_timeout(Duration::from_millis(700)) {
                last = at;
                assert!(begun.elapsed() < Duration::from_secs(2), "the router lets it through: {ended}");
            }
            let through = last.duration_since(begun);
            assert!(through < Duration::from_secs(1), "{through:?}");
            assert_eq!(ended["quarantine"]["state"], "in-force", "{ended}");
            println!(
                "round {round}: answered {answered:?}, session with the node {cut:?}, through the router {through:?}"
            );
            let (status, ended) = city.api("POST", &format!("{path}/restore"), "application/json", "{}");
            assert_eq!(status, 200, "{ended}");
            assert!(street::passes(&street.camera, &street.outside, false, 5000, 5) > 0, "{ended}");
        }
    });
}
