//! `bastide up` as an administrator meets it: the real program, real TLS, real signals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod node;

use node::{Node, command, house, refused, run, scan_log, until, word};
use std::{
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::Duration,
};

#[test]
fn the_first_start_lets_one_person_in_once() {
    let (_dir, data) = house();
    let node = Node::start(&data, &[]);
    for part in [
        "Console",
        "Sign in",
        "Trust",
        "tls/ca.pem",
        "no open incident",
        "nothing: a console over what is there",
    ] {
        assert!(node.greeting.contains(part), "{}", node.greeting);
    }
    assert_eq!(node.curl("/api/v1/incidents", &[]).status, 401);
    assert_eq!(node.curl("/", &["--header", "Accept: text/html"]).status, 303);
    assert_eq!(node.curl("/healthz", &[]).status, 200);

    assert_eq!(node.curl(node.link(), &[]).status, 200, "who only looks uses nothing up");
    let signed_in = node.press(node.link(), &[]);
    assert_eq!(signed_in.status, 303);
    let cookie = signed_in.text.to_lowercase();
    for part in ["__host-bastide=", "; secure", "; httponly", "; samesite=strict", "; path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(node.curl("/api/v1/incidents", &[]).status, 200);
    assert_eq!(node.curl("/", &["--header", "Accept: text/html"]).status, 200);
    assert_eq!(node.press(node.link(), &["--cookie", "none=1"]).status, 403, "a link is good once");

    // Another link while the server runs.
    let output = run(&data, &["--sign-in-link"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("within 15 minutes. Links made before that were not used no longer work."),
        "{said}"
    );
    let another = String::from_utf8(output.stdout).unwrap();
    assert!(another.starts_with(&format!("{}/sign-in?link=", node.url)), "{another}");
    assert_eq!(node.press(&another, &[]).status, 303);

    let changing = ["--request", "POST"];
    assert_eq!(node.curl("/api/v1/commands/undo-all", &changing).status, 403, "from nowhere");
    let origin = format!("Origin: {}", node.url);
    assert_eq!(
        node.curl("/api/v1/commands/undo-all", &["--request", "POST", "--header", &origin]).status,
        409
    );

    assert!(node.stop().ends_with("Bastide has stopped. No block is in force.\n"));
}

#[test]
fn a_full_disk_is_told_on_every_page_and_ends_by_itself() {
    use nix::{
        mount::{MntFlags, MsFlags, mount, umount2},
        sched::{CloneFlags, unshare},
    };
    let (dir, data) = house();
    let own = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(None::<&str>, "/", None::<&str>, own, None::<&str>))
        .and_then(|()| mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=256m")));
    if let Err(error) = mounted {
        eprintln!("SKIPPED: a disk of its own cannot be mounted here: {error}");
        return;
    }
    let node = Node::start(&data, &[]);
    assert_eq!(node.press(node.link(), &[]).status, 303);
    let another = String::from_utf8(run(&data, &["--sign-in-link"]).stdout).unwrap();
    // The jar stands on the same disk.
    let kept = ["--cookie-jar", "/dev/null", "--header", "Accept: text/html"];
    let page = || node.curl("/account", &kept);
    assert_eq!(page().status, 200);
    assert!(!page().text.contains("in trouble"));

    let ballast = dir.path().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
    // What is begun now is refused, and nothing of it is kept: the link is as good as before.
    let refused = node.press(another.trim(), &kept);
    assert_eq!(refused.status, 503, "{}", refused.text);
    let told = page();
    assert_eq!(told.status, 200);
    assert!(told.text.contains("The database is in trouble (writes are not kept"), "{}", told.text);
    assert_eq!(node.curl("/healthz", &kept).status, 503);

    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    until("the end of the trouble", || (node.curl("/healthz", &kept).status == 200).then_some(()));
    assert!(!page().text.contains("in trouble"));
    assert_eq!(node.press(another.trim(), &kept).status, 303);
    drop(node);
    let _ = umount2(dir.path(), MntFlags::MNT_DETACH);
}

#[test]
fn programs_come_in_by_token() {
    let (_dir, data) = house();
    let node = Node::start(&data, &[]);
    let token = String::from_utf8(run(&data, &["--token", "prometheus"]).stdout).unwrap();
    let bearer = format!("Authorization: Bearer {}", token.trim());
    assert_eq!(node.curl("/metrics", &[]).status, 401);
    let metrics = node.curl("/metrics", &["--header", &bearer]);
    assert!(metrics.status == 200 && metrics.text.contains("bastide_store_up 1"), "{}", metrics.text);
    assert_eq!(
        node.curl("/api/v1/commands/undo-all", &["--request", "POST", "--header", &bearer]).status,
        403
    );
}

#[test]
fn tls_is_verified_by_a_foreign_tool() {
    let (_dir, data) = house();
    let node = Node::start(&data, &["--name", "bastide.city.example"]);
    assert!(node.greeting.contains("https://bastide.city.example:"), "{}", node.greeting);
    let port = node.url.rsplit(':').next().unwrap();
    let output = Command::new("openssl")
        .args(["s_client", "-brief", "-verify_return_error", "-verify_hostname", "bastide.city.example"])
        .args([
            "-CAfile",
            data.join("tls/ca.pem").to_str().unwrap(),
            "-connect",
            &format!("127.0.0.1:{port}"),
        ])
        .stdin(Stdio::null())
        .output()
        .expect("openssl is needed by this test");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("Verification: OK"), "{said}");
    assert!(said.contains("TLSv1.3"), "{said}");
    for (file, mode) in
        [("ca.passphrase", 0o600), ("tls/server.key", 0o600), ("bastide.sqlite", 0o600), (".", 0o700)]
    {
        let found = std::fs::metadata(data.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }
}

#[test]
fn an_incident_is_noticed_told_and_survives_kill_9() {
    let (dir, data) = house();
    let log = dir.path().join("conn.log");
    std::fs::write(&log, "").unwrap();
    let syslog = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    syslog.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = dir.path().join("bastide.toml");
    std::fs::write(
        &config,
        format!(
            "[notify]\nwebhook = \"http://{}/hook\"\nwebhook_secret_file = {secret:?}\nsyslog = \"udp://{}\"\n",
            receiver.local_addr().unwrap(),
            syslog.local_addr().unwrap()
        ),
    )
    .unwrap();
    let arguments =
        ["--follow", log.to_str().unwrap(), "--follow-from-start", "--config", config.to_str().unwrap()];
    let mut node = Node::start(&data, &arguments);
    assert_eq!(node.press(node.link(), &[]).status, 303);
    std::fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(scan_log().as_bytes()).unwrap();

    let posted = std::thread::spawn(move || post(&receiver));
    let found = until("the incident", || {
        let text = node.curl("/api/v1/incidents", &[]).text;
        text.contains("\"total\":1").then_some(text)
    });
    let id = word(&found.replace('"', " "), "inc-").to_owned();
    let mut datagram = [0; 4096];
    let length = syslog.recv(&mut datagram).unwrap();
    let line = String::from_utf8_lossy(&datagram[..length]).into_owned();
    assert!(line.contains(" bastide - incident [bastide@32473 id=\"inc-"), "{line}");
    let posted = posted.join().unwrap();
    assert!(
        posted.contains("x-bastide-signature: t=") && posted.contains("\"incident\":{\"id\":\"inc-"),
        "{posted}"
    );

    node.signal("-KILL");
    node.child.wait().unwrap();
    let again = Node::start(&data, &[]);
    assert!(again.greeting.contains("open incidents: 1"), "{}", again.greeting);
    assert!(again.greeting.contains("somebody is signed in"), "{}", again.greeting);
    let kept = again.curl(&format!("/api/v1/incidents/{id}"), &[]);
    assert_eq!(kept.status, 200, "the session and the incident survive: {}", kept.text);
    assert_eq!(again.curl(&format!("/incidents/{id}"), &["--header", "Accept: text/html"]).status, 200);
    again.stop();
}

/// One POST as a receiver takes it.
fn post(receiver: &std::net::TcpListener) -> String {
    let (mut stream, _) = receiver.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut text = Vec::new();
    let mut part = [0; 65536];
    loop {
        let length = stream.read(&mut part).unwrap();
        text.extend_from_slice(&part[..length]);
        let said = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = said.split_once("\r\n\r\n") else { continue };
        let expected: usize = word(&head.to_lowercase().replace("content-length: ", "length="), "length=")
            .trim_start_matches("length=")
            .parse()
            .unwrap();
        if body.len() >= expected || length == 0 {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            return said;
        }
    }
}

#[test]
fn what_is_wrong_stops_the_start_and_is_named() {
    let (dir, data) = house();
    let config = dir.path().join("bastide.toml");
    let with = |text: &str| {
        std::fs::write(&config, text).unwrap();
        refused(&data, &["--config", config.to_str().unwrap()])
    };
    let check = |said: String, expected: &[&str]| {
        for part in expected {
            assert!(said.contains(part), "{said}");
        }
    };
    check(
        with("[server]\nlistne = \"127.0.0.1:1\"\n"),
        &[
            "bastide.toml, line 2, column 1: server.listne: unknown field `listne`, expected `listen` or `names`",
        ],
    );
    check(
        with("[sensor]\nhome = [\"10.0.0.0/40\"]\n"),
        &["line 2", "sensor.home", "expected a network such as 192.168.0.0/16"],
    );
    check(with("[response]\nmode = \"yes\"\n"), &["response.mode", "`off`, `ask`, `auto`"]);
    check(
        with("[notify]\nwebhook = \"http://siem.example/\"\n"),
        &["notify.webhook", "expected an address such as https://"],
    );
    check(with("x"), &["bastide.toml, line 1"]);
    check(
        refused(&data, &["--listen", "localhost"]),
        &["--listen: server.listen: expected an address and a port"],
    );
    check(refused(&data, &["--config", "/does/not/exist"]), &["/does/not/exist: cannot be read"]);
    check(refused(&data, &["--follow", "/dev/null", "--follow", "/dev/null"]), &["named twice"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(
        refused(&data, &["--listen", &address]),
        &[&address, "another program listens there", "--listen ADDR:PORT"],
    );

    let node = Node::start(&data, &[]);
    let said = refused(&data, &["--listen", "127.0.0.1:0"]);
    check(said, &[&format!("is in use by process {}", node.child.id()), "--data-dir DIR"]);
    drop(node);
    std::fs::write(data.join("bastide.sqlite"), "something else entirely ".repeat(50)).unwrap();
    let _ = std::fs::remove_file(data.join("bastide.sqlite-wal"));
    check(
        refused(&data, &["--listen", "127.0.0.1:0"]),
        &["bastide.sqlite is not a Bastide database", "move it away"],
    );
}

#[test]
fn settings_are_printed_with_meaning_and_source() {
    let (_dir, data) = house();
    let output =
        command(&data).env("BASTIDE_RETENTION_DISK_MIB", "100").arg("--print-config").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "[server]",
        "# Address and port of console and API.",
        "listen = \"127.0.0.1:8443\"",
        "disk_mib = 100",
        "From: environment BASTIDE_RETENTION_DISK_MIB",
        "From: flag --data-dir",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(!data.exists(), "printing makes nothing");
}
