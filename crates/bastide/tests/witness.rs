//! Two real nodes: one decides, the other is its witness; restarts, a rewound log, a forked one, and requests that are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use ledger::{Hash, Head, LogKey, Note, witness::AddCheckpoint};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bastide");

fn bastide(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A data directory, its settings, and a server over it now and then.
struct Node {
    dir: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Node {
    fn new(dir: PathBuf) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.with_extension("toml"), "").unwrap();
        Self { dir, port, server: None }
    }

    fn data(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    fn config(&self) -> PathBuf {
        self.dir.with_extension("toml")
    }

    fn start(&mut self) {
        let listen = format!("127.0.0.1:{}", self.port);
        let config = self.config();
        let arguments =
            ["up", "--data-dir", self.data(), "--listen", &listen, "--config", config.to_str().unwrap()];
        let mut child = bastide(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut out, mut greeting) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        while !greeting.contains("Ctrl-C stops it.") {
            if out.read_line(&mut greeting).unwrap() == 0 {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("it did not start: {greeting}{said}");
            }
        }
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        let mut errors = child.stderr.take().unwrap();
        std::thread::spawn(move || errors.read_to_end(&mut Vec::new()));
        self.server = Some(child);
    }

    fn stop(&mut self) {
        let mut child = self.server.take().unwrap();
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert!(child.wait().unwrap().success());
    }

    /// A decision: a token that is made beside the server.
    fn decide(&self, name: &str) -> String {
        let config = self.config();
        let arguments =
            ["up", "--data-dir", self.data(), "--config", config.to_str().unwrap(), "--token", name];
        succeeds(&mut bastide(&arguments)).split_whitespace().last().unwrap().to_owned()
    }

    /// The verifier keys: of the log, and as a witness.
    fn keys(&self) -> Vec<String> {
        let told = succeeds(&mut bastide(&["ledger", "keys", "--data-dir", self.data()]));
        told.lines().map(str::to_owned).collect()
    }

    fn verify(&self) -> Output {
        let config = self.config();
        let arguments = ["ledger", "verify", "--data-dir", self.data(), "--config", config.to_str().unwrap()];
        bastide(&arguments).args(["--quorum", "1"]).output().unwrap()
    }

    fn head(&self) -> Head {
        let note = succeeds(&mut bastide(&["ledger", "checkpoint", "--data-dir", self.data()]));
        Note::from_bytes(note.as_bytes()).unwrap().text().parse::<ledger::Checkpoint>().unwrap().head
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Status, content type and body.
    fn curl(&self, path: &str, more: &[&str]) -> (u16, String, Vec<u8>) {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "30", "--cacert"]).arg(self.dir.join("tls/ca.pem"));
        command.args(["--write-out", "\n%{http_code} %{content_type}"]).args(more).arg(self.url(path));
        let answer = command.output().unwrap().stdout;
        let at = answer.iter().rposition(|byte| *byte == b'\n').unwrap();
        let last = String::from_utf8(answer[at + 1..].to_vec()).unwrap();
        let (status, kind) = last.split_once(' ').unwrap();
        (status.parse().unwrap(), kind.to_owned(), answer[..at].to_vec())
    }

    fn get(&self, path: &str, token: &str) -> (u16, Vec<u8>) {
        let (status, _, body) = self.curl(path, &["-H", &format!("Authorization: Bearer {token}")]);
        (status, body)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.server {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn until<T>(what: &str, mut told: impl FnMut() -> Result<T, String>) -> T {
    let patience = Instant::now() + Duration::from_secs(90);
    loop {
        match told() {
            Ok(value) => return value,
            Err(last) => assert!(Instant::now() < patience, "{what}: {last}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until all leaves of a log are cosigned.
fn until_cosigned(node: &Node) {
    let size = node.head().size;
    until("cosigned", || {
        let output = node.verify();
        let told = said(&output);
        let cosigned = told.contains(&format!("cosigned the first {size} leaves"));
        if output.status.success() && cosigned { Ok(()) } else { Err(told) }
    });
}

fn copy(from: &Path, to: &Path) {
    for name in ["bastide.sqlite", "bastide.sqlite-wal", "bastide.sqlite-shm"] {
        let _ = fs::remove_file(to.join(name));
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

#[test]
fn a_node_cosigns_what_continues_and_nothing_else() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut log, mut witness) =
        (Node::new(temporary.path().join("log")), Node::new(temporary.path().join("witness")));
    log.start();
    let token = log.decide("reader");
    log.stop();
    let log_key = log.keys().remove(0);
    witness.start();
    let (status, _, body) = witness.curl("/witness/add-checkpoint", &["-d", "old 0\n\n"]);
    assert_eq!((status, String::from_utf8_lossy(&body).trim()), (404, "this node is no witness"));
    witness.stop();
    fs::write(witness.config(), format!("[ledger]\nwitness_for = [\"{log_key}\"]\n")).unwrap();
    witness.start();
    let witness_key = witness.keys().remove(1);
    let settings = format!(
        "[ledger]\nwitnesses = [\"{witness_key} {}\"]\nwitness_ca = \"{}\"\n",
        witness.url("/witness/"),
        witness.dir.join("tls/ca.pem").display()
    );
    fs::write(log.config(), settings).unwrap();

    // Cosigned, and on with it after both were started anew.
    log.start();
    until_cosigned(&log);
    witness.stop();
    log.decide("two");
    witness.start();
    until_cosigned(&log);
    log.stop();
    let early = temporary.path().join("early");
    fs::create_dir(&early).unwrap();
    copy(&log.dir, &early);
    log.start();
    for name in ["three", "four", "five"] {
        log.decide(name);
    }
    until_cosigned(&log);

    // What anybody who may see the record reads over HTTP.
    let size = log.head().size;
    assert_eq!(log.curl("/ledger/local/checkpoint", &[]).0, 401);
    let (status, checkpoint) = log.get("/ledger/local/checkpoint", &token);
    let checkpoint = String::from_utf8(checkpoint).unwrap();
    assert_eq!(status, 200, "{checkpoint}");
    assert!(
        checkpoint.contains(&format!("/local\n{size}\n")) && checkpoint.contains("\u{2014} bastide-witness/")
    );
    assert_eq!(log.get(&format!("/ledger/local/tile/0/000.p/{size}"), &token).1.len() as u64, size * 32);
    assert_eq!(log.get(&format!("/ledger/local/tile/entries/000.p/{size}"), &token).0, 200);
    let (_, keys) = log.get("/ledger/local/keys", &token);
    assert_eq!(String::from_utf8(keys).unwrap(), format!("{log_key}\n{witness_key}\n"));
    for (path, expected) in [
        ("tile/entries/000", 404),
        ("tile/9/000", 404),
        ("nothing", 404),
        ("leaf/999.tar", 404),
        ("leaf/x.tar", 404),
        ("incident/inc-0000000000000000.tar", 404),
    ] {
        assert_eq!(log.get(&format!("/ledger/local/{path}"), &token).0, expected, "{path}");
    }
    assert_eq!(log.get("/ledger/elsewhere/checkpoint", &token).0, 404);
    let (status, bundle) = log.get("/ledger/local/leaf/0.tar", &token);
    assert_eq!(status, 200);
    let file = temporary.path().join("leaf.tar");
    fs::write(&file, bundle).unwrap();
    let told = succeeds(bastide(&["ledger", "verify", "--quorum", "1"]).arg(&file));
    assert!(told.contains("Leaf 0 ") && told.contains("cosigned at"), "{told}");
    let figure = |name: &str| {
        let figures = String::from_utf8(log.get("/metrics", &token).1).unwrap();
        let line = figures.lines().find(|line| line.starts_with(&format!("{name}{{"))).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{name} in {figures}")).rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(figure("bastide_ledger_cosigned_leaves"), size.to_string());
    assert_eq!(
        (figure("bastide_ledger_witness_failing"), figure("bastide_ledger_other_history")),
        ("0".into(), "0".into())
    );

    // An exported folder tells who cosigned, without any server.
    let folder = temporary.path().join("folder");
    let config = log.config();
    let arguments = ["ledger", "export", "--data-dir", log.data(), "--config", config.to_str().unwrap()];
    succeeds(bastide(&arguments).arg(&folder));
    let told = succeeds(bastide(&["ledger", "verify", "--quorum", "1"]).arg(&folder));
    assert!(told.contains(&format!("cosigned the first {size} leaves")), "{told}");

    // Put back to an earlier state, and then on from there: rewound, and forked.
    let remembered = temporary.path().join("remembered.txt");
    fs::write(&remembered, &checkpoint).unwrap();
    log.stop();
    copy(&early, &log.dir);
    log.start();
    let history = || {
        let figures = String::from_utf8(log.get("/metrics", &token).1).unwrap();
        let found = figures
            .lines()
            .any(|line| line.starts_with("bastide_ledger_other_history{") && line.ends_with(" 1"));
        if found { Ok(()) } else { Err(figures) }
    };
    until("the witness knows more of a rewound log", history);
    for number in 0..size {
        log.decide(&format!("fork-{number}"));
    }
    log.stop();
    log.start();
    until("the witness knows another history of a forked log", || {
        let figures = String::from_utf8(log.get("/metrics", &token).1).unwrap();
        let found = figures
            .lines()
            .any(|line| line.starts_with("bastide_ledger_other_history{") && line.ends_with(" 1"));
        if found { Ok(()) } else { Err(figures) }
    });
    let told = said(
        bastide(&["ledger", "verify", "--data-dir", log.data(), "--remembered"])
            .arg(&remembered)
            .output()
            .as_ref()
            .unwrap(),
    );
    assert!(told.contains("the log forked: "), "{told}");
}

#[test]
fn a_witness_answers_as_the_protocol_says() {
    let temporary = tempfile::tempdir().unwrap();
    let mut witness = Node::new(temporary.path().join("witness"));
    let key = |seed: u8| {
        LogKey::from_pkcs8("log.example/one", &ledger::new_private_key(&[seed; 32]).unwrap()).unwrap()
    };
    let known = key(1).public().to_string();
    fs::write(witness.config(), format!("[ledger]\nwitness_for = [\"{known}\"]\n")).unwrap();
    witness.start();
    let root = |number: u64| Hash::of_leaf(&number.to_be_bytes());
    // A log whose tree has one node a size: two leaves under their parent, and what cannot be proved.
    let (one, two) = (root(1), Hash::of_node(root(1), root(2)));
    let ask = |witness: &Node, old: u64, proof: &[Hash], head: Head, key: &LogKey| {
        let request = AddCheckpoint { old, proof: proof.to_vec(), checkpoint: key.sign(head).unwrap() };
        let body = temporary.path().join("body");
        fs::write(&body, request.to_string()).unwrap();
        let (status, kind, body) =
            witness.curl("/witness/add-checkpoint", &["--data-binary", &format!("@{}", body.display())]);
        (status, kind, String::from_utf8(body).unwrap())
    };
    let head = |size, root| Head { size, root };
    let text = "text/plain; charset=utf-8";
    let (status, kind, body) = ask(&witness, 0, &[], head(1, one), &key(1));
    assert_eq!((status, kind.as_str()), (200, text), "{body}");
    assert!(body.starts_with("\u{2014} bastide-witness/"), "{body}");
    let check = |asked: (u16, String, String), status: u16, kind: &str, expected: &str| {
        assert_eq!((asked.0, asked.1.as_str()), (status, kind), "{}", asked.2);
        assert!(asked.2.contains(expected), "{expected}: {}", asked.2);
    };
    check(ask(&witness, 0, &[], head(2, two), &key(1)), 409, "text/x.tlog.size", "1");
    check(ask(&witness, 1, &[], head(1, two), &key(1)), 409, "text/x.tlog.size", "1");
    check(ask(&witness, 1, &[root(3)], head(2, two), &key(1)), 422, text, "does not lead");
    check(ask(&witness, 3, &[], head(2, two), &key(1)), 400, text, "old size");
    check(ask(&witness, 1, &[root(2)], head(2, two), &key(2)), 403, text, "expected a signature");
    let other = LogKey::from_pkcs8("log.example/two", &ledger::new_private_key(&[1; 32]).unwrap()).unwrap();
    check(ask(&witness, 0, &[], head(2, two), &other), 404, text, "not known");
    check(ask(&witness, 1, &[root(2)], head(2, two), &key(1)), 200, text, "bastide-witness");
    check(ask(&witness, 2, &[], head(2, two), &key(1)), 200, text, "bastide-witness");
    check(ask(&witness, 2, &[], head(2, root(9)), &key(1)), 409, "text/x.tlog.size", "2");
    let post = |body: &str| witness.curl("/witness/add-checkpoint", &["-d", body]);
    let (status, _, _) = post("rubbish");
    assert_eq!(status, 400);
    let (status, _, _) = post(&"x".repeat(120_000));
    assert_eq!(status, 400);
    let long = temporary.path().join("long");
    fs::write(&long, vec![b'x'; 200_000]).unwrap();
    let (status, _, _) =
        witness.curl("/witness/add-checkpoint", &["--data-binary", &format!("@{}", long.display())]);
    // Refused unread: some see the answer, others the end of the connection.
    assert!(matches!(status, 413 | 0), "{status}");
    assert_eq!(witness.curl("/witness/add-checkpoint", &[]).0, 401);
    witness.stop();
    witness.start();
    let asked = ask(&witness, 1, &[root(2)], head(2, two), &key(1));
    assert_eq!((asked.0, asked.2.trim()), (409, "2"), "remembered after a restart");
}
