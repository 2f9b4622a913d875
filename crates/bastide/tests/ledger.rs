//! `bastide ledger`, as an auditor meets it: on a node whose server runs, on one that does not, and far from both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

#[path = "../../ledger/tests/support/others.rs"]
mod others;

use ledger::{Deed, LogKey, Note, Salt, Subject};
use model::{AuthorityId, Timestamp};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
};
use store::{Actor, Decided, LedgerKey, Repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bastide");
const SEED: [u8; 32] = [7; 32];
const INCIDENT: &str = "inc-0123456789abcdef";

fn bastide(arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("ledger").args(arguments).env_clear().output().unwrap()
}

/// What it says with that exit code.
fn says(arguments: &[&str], code: i32) -> String {
    let output = bastide(arguments);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// A data directory, and its database with the server's hands on it.
struct Node {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    repository: Repository,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("ledger.key");
        fs::write(&key, SEED).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = dir.path().join("bastide.sqlite");
        let key = LedgerKey::from_seed(&SEED).unwrap();
        let repository = runtime.block_on(Repository::open(&database, AuthorityId::local(), key)).unwrap();
        Self { dir, runtime, repository }
    }

    fn data(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Every seventh is about the incident.
    fn decide(&self, count: u8) {
        self.decide_about(0..count);
    }

    fn decide_about(&self, numbers: std::ops::Range<u8>) {
        let all = numbers.map(|number| {
            let (repository, salt) = (self.repository.clone(), Salt::new([number; 32]));
            let incident = if number % 7 == 0 { INCIDENT } else { "inc-ffffffffffffffff" };
            let decided = Decided {
                at: Timestamp::from_secs(1_790_000_000 + i64::from(number)),
                who: Actor::Person { id: "per-1".into(), login: "jean.dupont".into() },
                deed: Deed::IncidentClosed,
                about: vec![Subject::new("incident", incident).unwrap()],
                details: Some(format!("in\u{1b}[31m their words {number}")),
                salts: [salt.clone(), salt],
            };
            async move { repository.decide(decided).await.unwrap() }
        });
        self.runtime.block_on(async {
            let all: Vec<_> = all.map(|one| tokio::spawn(one)).collect();
            for one in all {
                one.await.unwrap();
            }
        });
    }

    /// Changes the database past the program.
    fn sql(&self, sql: &str) {
        let status = Command::new("python3")
            .args([
                "-c",
                "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()",
            ])
            .arg(self.path("bastide.sqlite"))
            .arg(sql)
            .status()
            .unwrap();
        assert!(status.success(), "{sql}");
    }

    fn verify(&self, more: &[&str], code: i32) -> String {
        says(&[&["verify", "--data-dir", self.data()], more].concat(), code)
    }

    /// Today's checkpoint in a file.
    fn remember(&self, name: &str) -> String {
        let path = self.path(name);
        fs::write(&path, says(&["checkpoint", "--data-dir", self.data()], 0)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn export(&self, name: &str, more: &[&str]) -> PathBuf {
        let to = self.path(name);
        says(&[&["export", "--data-dir", self.data(), to.to_str().unwrap()], more].concat(), 0);
        to
    }
}

#[test]
fn a_node_is_verified_while_its_server_runs_and_after() {
    let node = Node::new();
    assert!(node.verify(&[], 1).contains("nobody has decided anything yet"));
    node.decide(200);
    let early = node.remember("early.txt");
    node.decide(200);
    node.decide(100);
    let said = node.verify(&["--remembered", &early], 0);
    for expected in [
        "authority local: bastide/",
        "is whole",
        "Leaves      500, each hashed anew",
        "ledger.key",
        "early.txt: its 200 leaves are the first of these",
        "names and details open what the leaves committed to",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("Caution"), "{said}");
    assert!(node.verify(&[], 0).contains("Caution     nobody else's word was compared"));
    let told: Value = serde_json::from_str(&node.verify(&["--format", "json"], 0)).unwrap();
    assert_eq!((&told["whole"], &told["logs"][0]["leaves"]), (&Value::Bool(true), &500.into()));
    node.runtime.block_on(node.repository.close());
    node.verify(&["--remembered", &early, "--quiet"], 0);
    assert!(!node.path("lock").exists(), "nothing is made by looking");
    let nowhere = node.path("nowhere");
    assert!(says(&["verify", "--data-dir", nowhere.to_str().unwrap()], 1).contains("is not there"));
    assert!(!nowhere.exists());
    // Without the key it has to be given.
    let public = LedgerKey::from_seed(&SEED).unwrap().public(&AuthorityId::local()).unwrap().to_string();
    fs::remove_file(node.path("ledger.key")).unwrap();
    assert!(node.verify(&[], 1).contains("give --key"));
    node.verify(&["--key", &public], 0);
    assert!(!node.path("ledger.key").exists());
    assert!(node.verify(&["--key", "rubbish"], 1).contains("no such file, and no key"));
}

#[test]
fn what_was_done_to_a_node_is_found_and_named() {
    let node = Node::new();
    node.decide(200);
    let early = node.remember("early.txt");
    node.decide(150);
    let late = node.remember("late.txt");
    // A changed leaf, by itself.
    node.sql("UPDATE leaf SET body = CAST(replace(CAST(body AS TEXT), '-', '~') AS BLOB) WHERE number = 300");
    let said = node.verify(&[], 3);
    assert!(said.contains("IS WRONG\n  leaf 300 (tile/entries/001.p/94) was changed"), "{said}");
    let told: Value = serde_json::from_str(&node.verify(&["--format", "json"], 3)).unwrap();
    let wrong = &told["logs"][0]["wrong"];
    assert_eq!((&wrong["what"], &wrong["leaf"]), (&"changed-leaf".into(), &300.into()), "{told}");
    assert_eq!(wrong["file"], "tile/entries/001.p/94");
    node.sql("UPDATE leaf SET body = CAST(replace(CAST(body AS TEXT), '~', '-') AS BLOB) WHERE number = 300");
    node.verify(&[], 0);
    // A name that was put beside a leaf.
    node.sql("UPDATE opening SET value = 'per-2 mallory' WHERE number = 5 AND part = 'who'");
    assert!(node.verify(&[], 3).contains("openings/000: leaf 5: what is shown as its who is not what"));
    node.sql("UPDATE opening SET value = 'per-1 jean.dupont' WHERE number = 5 AND part = 'who'");
    // A decision past the program.
    node.sql("INSERT INTO leaf SELECT authority_id, 350, at, deed, body FROM leaf WHERE number = 7");
    assert!(node.verify(&[], 3).contains("351 leaves are in the database, and 350 were signed"));
    node.sql("DELETE FROM leaf WHERE number = 350");
    node.verify(&["--remembered", &early, "--remembered", &late], 0);
    // A cut-off tail, by itself.
    node.sql("DELETE FROM leaf WHERE number > 340");
    assert!(
        node.verify(&[], 3).contains("the tail was cut off: the log signed 350 leaves, and 341 are there")
    );
}

/// Everything that can be done with the key of the log: only a remembered checkpoint tells.
#[test]
fn a_fork_and_a_rewound_log_are_found_by_what_is_remembered() {
    let (node, other) = (Node::new(), Node::new());
    node.decide(40);
    let early = node.remember("early.txt");
    other.decide_about(1..42);
    node.decide(5);
    let late = node.remember("late.txt");
    // The other log has the same key, and decisions of its own.
    let said = other.verify(&["--remembered", &early], 3);
    assert!(said.contains("the log forked: ") && said.contains("early.txt saw root"), "{said}");
    other.verify(&[], 0);
    let rewound = other.verify(&["--remembered", &late], 3);
    assert!(rewound.contains("the log was rewound: ") && rewound.contains("saw 45 leaves"), "{rewound}");
    assert!(rewound.contains("its checkpoint now says 41"), "{rewound}");
    // A checkpoint of somebody else, and one that was changed.
    let foreign = LogKey::from_pkcs8("elsewhere", &ledger::new_private_key(&[9; 32]).unwrap()).unwrap();
    let note = foreign.sign(ledger::Head::EMPTY).unwrap().to_string();
    let (foreign, changed) = (node.path("foreign.txt"), node.path("changed.txt"));
    fs::write(&foreign, &note).unwrap();
    let said = node.verify(&["--remembered", foreign.to_str().unwrap()], 1);
    assert!(said.contains("a checkpoint of elsewhere, which is not what is verified"), "{said}");
    fs::write(&changed, fs::read_to_string(&early).unwrap().replace("\n40\n", "\n41\n")).unwrap();
    let said = node.verify(&["--remembered", changed.to_str().unwrap()], 1);
    assert!(said.contains("changed.txt cannot be believed") && said.contains("does not verify"), "{said}");
    fs::write(&changed, "nothing").unwrap();
    assert!(node.verify(&["--remembered", changed.to_str().unwrap()], 1).contains("is no signed checkpoint"));
}

#[test]
fn an_exported_log_is_verified_without_a_node() {
    let node = Node::new();
    node.decide(200);
    let early = node.remember("early.txt");
    node.decide(150);
    let whole = node.export("whole", &[]);
    let folder = whole.to_str().unwrap();
    let said = says(&["verify", folder, "--remembered", &early], 0);
    assert!(said.contains("Leaves      350") && said.contains("Openings    700"), "{said}");
    assert!(said.contains("the key came with what it signs"), "{said}");
    let key = fs::read_to_string(whole.join("keys")).unwrap();
    assert!(!says(&["verify", folder, "--remembered", &early, "--key", key.trim()], 0).contains("Caution"));
    let other = LedgerKey::from_seed(&[8; 32]).unwrap().public(&AuthorityId::local()).unwrap().to_string();
    assert!(says(&["verify", folder, "--key", &other], 3).contains("expected a checkpoint of"));
    assert!(says(&["export", "--data-dir", node.data(), folder], 1).contains("is not empty"));

    let check = |file: &str, change: &dyn Fn(&mut Vec<u8>), code: i32, expected: &str| {
        let path = whole.join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        change(&mut bad);
        fs::write(&path, bad).unwrap();
        let said = says(&["verify", folder, "--remembered", &early], code);
        assert!(said.contains(expected), "{expected}: {said}");
        fs::write(&path, good).unwrap();
    };
    check("tile/entries/000", &|bytes| bytes[40] ^= 1, 3, "leaf 0 (tile/entries/000) was changed");
    check("tile/entries/001.p/94", &|bytes| bytes.truncate(9_000), 3, "tile/entries/001.p/94");
    check("tile/0/000", &|bytes| bytes[33] ^= 1, 3, "tile/0/000 was changed at hash 1");
    check("tile/0/000", &|bytes| bytes.clear(), 3, "tile/0/000: expected 8192 bytes, found 0");
    check("tile/1/000.p/1", &|bytes| bytes.extend([7; 9000]), 1, "is too long");
    check("checkpoint", &|bytes| bytes[50] ^= 1, 3, "checkpoint");
    check("keys", &|bytes| bytes.clear(), 1, "give --key");
    check("openings/000", &|bytes| bytes[0] = b'!', 3, "openings/000: line 1");
    // Rewound, with the earlier checkpoint, which was signed once; and cut off.
    let earlier = fs::read(&early).unwrap();
    let late = node.remember("late.txt");
    let path = whole.join("checkpoint");
    let good = fs::read(&path).unwrap();
    fs::write(&path, &earlier).unwrap();
    let said = says(&["verify", folder, "--remembered", &late], 3);
    assert!(said.contains("the log was rewound: ") && said.contains("saw 350 leaves"), "{said}");
    fs::write(&path, &good).unwrap();
    fs::remove_file(whole.join("tile/entries/001.p/94")).unwrap();
    let said = says(&["verify", folder], 3);
    assert!(said.contains("the tail was cut off: the log signed 350 leaves, and 256 are there"), "{said}");
    assert!(says(&["verify", node.data()], 1).contains("neither an exported log"));

    let bare = node.export("bare", &["--without-openings"]);
    assert!(!bare.join("openings").exists());
    assert!(says(&["verify", bare.to_str().unwrap()], 0).contains("Openings    0 names"));
}

#[test]
fn the_decisions_about_an_incident_are_one_file() {
    let node = Node::new();
    node.decide(100);
    let (name, key) = (node.path("one.tar"), LedgerKey::from_seed(&SEED).unwrap());
    let to = name.to_str().unwrap();
    let export = |more: &[&str]| {
        let _ = fs::remove_file(&name);
        says(&[&["export", "--data-dir", node.data(), "--incident", INCIDENT, to], more].concat(), 0)
    };
    let said = export(&[]);
    assert!(
        said.contains("15 decisions about inc-0123456789abcdef, each with its proof, 30 openings"),
        "{said}"
    );
    let said = says(&["verify", to], 0);
    assert!(
        said.contains("Leaf ") && said.contains("incident-closed by per-1 jean.dupont, incident:inc-"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "what people wrote does not write on the terminal: {said:?}");
    assert!(said.contains("only the whole log shows"), "{said}");
    let public = key.public(&AuthorityId::local()).unwrap().to_string();
    says(&["verify", to, "--key", &public], 0);
    assert!(says(&["verify", to, "--quorum", "1"], 3).contains("cosignatures by 1 of the trusted witnesses"));
    assert!(
        says(&["verify", to, "--remembered", &node.remember("a.txt")], 1).contains("needs the whole log")
    );
    // Unpacked and changed.
    let unpacked = node.path("unpacked");
    fs::create_dir(&unpacked).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(&name).arg("-C").arg(&unpacked).status().unwrap().success());
    says(&["verify", unpacked.to_str().unwrap()], 0);
    // By programs that were not written here.
    let files = fs::read_dir(&unpacked).unwrap().map(|file| {
        let path = file.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
    });
    assert_eq!(others::verified_by_crates(&files.collect()), 15);
    let whole = node.export("whole", &[]);
    match others::elsewhere(&[whole.to_str().unwrap(), to]) {
        Some(run) => {
            let said = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            assert!(said.contains("100 leaves") && said.contains("15 leaves of the bundle proved"), "{said}");
            assert!(said.contains("signed by its log and 0 witnesses"), "{said}");
        }
        None => eprintln!("SKIPPED: no python3 with the package cryptography, which ./test installs"),
    }
    let leaf = fs::read_dir(&unpacked)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path: &PathBuf| path.extension() == Some("json".as_ref()))
        .unwrap();
    fs::write(&leaf, fs::read_to_string(&leaf).unwrap().replace("closed", "opened")).unwrap();
    let said = says(&["verify", unpacked.to_str().unwrap()], 3);
    assert!(said.contains("First wrong leaf") && said.contains("IS WRONG"), "{said}");
    // Without what is personal.
    assert!(export(&["--without-openings"]).contains("no names and details"));
    let bytes = fs::read(&name).unwrap();
    assert!(!contains(&bytes, b"jean.dupont") && !contains(&bytes, b"their words"));
    assert!(!says(&["verify", to], 0).contains("jean.dupont"));
    let unknown = ["export", "--data-dir", node.data(), "--incident", "inc-00000000000000aa", "x.tar"];
    assert!(says(&unknown, 1).contains("no decision about"));
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn the_checkpoint_is_printed_to_be_kept() {
    let node = Node::new();
    node.decide(3);
    let printed = says(&["checkpoint", "--data-dir", node.data()], 0);
    let note = Note::from_bytes(printed.as_bytes()).unwrap();
    assert!(note.text().contains("/local\n3\n"), "{printed}");
    let none = says(&["checkpoint", "--data-dir", node.data(), "--authority", "town"], 1);
    assert!(none.contains("authority town has decided nothing yet"), "{none}");
    assert!(
        says(&["checkpoint", "--data-dir", node.data(), "--authority", "No Such"], 1).contains("--authority")
    );
}
