//! `bastide up` over PostgreSQL, and `bastide backup`, `restore` and `move`, as an administrator meets them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(dead_code, reason = "the server can more than is asked of it here")]

#[path = "../../store/tests/databases/server.rs"]
mod server;

use server::Server;
use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bastide");

fn bastide(verb: &str, data: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg(verb).arg("--data-dir").arg(data).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// A running `bastide up`; killed when dropped.
struct Node {
    child: Child,
    out: BufReader<ChildStdout>,
    greeting: String,
    url: String,
}

impl Node {
    fn start(data: &Path, database: &str) -> Self {
        let mut command = bastide("up", data);
        command.args(["--listen", "127.0.0.1:0", "--database", database]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut out, mut greeting) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        while !greeting.contains("Ctrl-C stops it.") {
            if out.read_line(&mut greeting).unwrap() == 0 {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("it did not start: {greeting}{said}");
            }
        }
        let console = greeting.lines().find(|line| line.trim_start().starts_with("Console")).unwrap();
        let url = console.split_whitespace().last().unwrap().to_owned();
        Self { child, out, greeting, url }
    }

    /// Status and body of the health endpoint.
    fn health(&self) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--insecure", "--max-time", "30", "--write-out", " %{http_code}"]);
        let answer = curl.arg(format!("{}/healthz", self.url)).output().unwrap();
        String::from_utf8(answer.stdout).unwrap()
    }

    fn until_health(&self, expected: &str) -> String {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let health = self.health();
            if health.ends_with(expected) {
                return health;
            }
            assert!(Instant::now() < patience, "{health}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn stop(mut self) {
        assert!(
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success()
        );
        let mut last = String::new();
        self.out.read_to_string(&mut last).unwrap();
        assert!(self.child.wait().unwrap().success(), "{last}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", said(&output));
    said(&output)
}

/// `bastide ledger …` on the node's database, or on that of a URL.
fn ledger(verb: &str, data: &Path, database: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["ledger", verb, "--data-dir"]).arg(data).env_clear();
    if !database.is_empty() {
        command.args(["--database", database]);
    }
    command
}

/// How many leaves the ledger has, which is whole.
fn verified(data: &Path, database: &str) -> u64 {
    let told = succeeds(ledger("verify", data, database).args(["--format", "json"]));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["whole"], true, "{told}");
    told["logs"][0]["leaves"].as_u64().unwrap()
}

#[test]
fn a_node_over_postgresql_and_its_copies() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("bastide.backup"));
    let mut server = Server::start();
    let url = server.new_database();
    let node = Node::start(&data, &url);
    assert!(node.greeting.contains("\n  Database    postgres://bastide@"), "{}", node.greeting);
    assert!(!data.join("bastide.sqlite").exists());
    assert!(node.health().ends_with(" 200"));

    // Away and back again, without a restart.
    server.stop();
    let health = node.until_health(" 503");
    assert!(health.contains("\"database\":\"failing\",\"database_failing_secs\":"), "{health}");
    server.resume();
    node.until_health(" 200");

    // By command, while it runs: what it decided by is in its ledger already.
    let leaves = verified(&data, &url);
    assert!(leaves >= 2, "{leaves}");
    let exported = dir.path().join("exported");
    succeeds(ledger("export", &data, &url).arg(&exported));
    succeeds(Command::new(PROGRAM).args(["ledger", "verify"]).arg(&exported).env_clear());

    // A backup while it runs; what is in use is not replaced.
    let backup = || {
        let mut command = bastide("backup", &data);
        command.arg("--database").arg(&url).arg(&file);
        command
    };
    let told = succeeds(&mut backup());
    assert!(told.contains("rows of postgres://") && told.contains("SHA-256"), "{told}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(fails(&mut backup()).contains("it is there already"));
    let told = fails(bastide("restore", &data).arg("--database").arg(&url).arg("--force").arg(&file));
    assert!(told.contains("is in use by process"), "{told}");
    node.stop();

    // Into a file, and from there into another database on the server.
    let other = dir.path().join("other");
    succeeds(bastide("restore", &other).arg(&file));
    let database = other.join("bastide.sqlite");
    assert_eq!(database.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    let told = fails(bastide("restore", &other).arg(&file));
    assert!(told.contains("--force removes all of it"), "{told}");
    // A copy of the database is no node: what signs its ledger lies beside it.
    let told = fails(bastide("up", &other).arg("--sign-in-link"));
    assert!(told.contains("put that node's ledger.key into the data directory"), "{told}");
    std::fs::copy(data.join("ledger.key"), other.join("ledger.key")).unwrap();
    assert_eq!(verified(&other, ""), leaves);
    assert!(succeeds(bastide("up", &other).arg("--sign-in-link")).contains("/sign-in?link="));
    let new = server.new_database();
    let told = succeeds(bastide("move", &other).args(["--to", &new]));
    assert!(told.contains("From now on start the server with --database"), "{told}");
    let after = verified(&other, &new);
    assert!(after >= leaves, "{after}");
    let link = succeeds(bastide("up", &other).args(["--database", &new, "--sign-in-link"]));
    assert!(link.contains("/sign-in?link="), "{link}");
}

#[test]
fn a_password_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let url = "postgres://bastide:s3cret@127.0.0.1:1/b";
    for command in [
        bastide("up", dir.path()).arg("--print-config"),
        bastide("up", dir.path()).args(["--listen", "127.0.0.1:0"]),
        bastide("backup", dir.path()).arg(dir.path().join("file")),
        bastide("move", dir.path()).args(["--to", "postgres://u:s3cret@127.0.0.1:1/c"]),
    ] {
        let told = said(&command.args(["--database", url]).output().unwrap());
        assert!(told.contains("127.0.0.1:1") && !told.contains("s3cret"), "{told}");
    }
    for wrong in
        ["postgres://bastide:s3cret@host", "mysql://bastide:s3cret@host/b", "postgres://a:s3#cret@h/b"]
    {
        let told = fails(bastide("up", dir.path()).args(["--database", wrong]));
        assert!(told.contains("--database: database: expected") && !told.contains("s3"), "{told}");
        let told = fails(bastide("move", dir.path()).args(["--to", wrong]));
        assert!(told.contains("expected") && !told.contains("s3cret"), "{told}");
    }
}
