//! What was acknowledged is there after `kill -9`, of us and of the server; and it was on disk before it was
//! acknowledged. What was decided is there with its leaf, and the ledger verifies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod databases;
mod incidents;

use databases::{Database, Server};
use incidents::{copied, decided, incident, key};
use ledger::{Deed, Trust};
use model::{AuthorityId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};
use store::{Closed, DatabaseUrl, IncidentFilter, IncidentState, Paging, Repository, StoreError};

/// Tells the writing child where, which life it is, and how many lanes it writes in.
const TOLD: &str = "BASTIDE_TEST_STORE";
/// How often it is killed.
const LIVES: u64 = 100;

#[tokio::test]
async fn acknowledged_writes_survive_kill_9_on_sqlite() {
    let database = Database::sqlite();
    let mut expected = BTreeSet::new();
    for life in 0..LIVES {
        live(&database.url, life, &mut expected, Child::kill);
    }
    check(&database, &expected).await;
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9_on_postgresql() {
    let mut server = Server::start();
    let database = Database::postgres(&server.new_database());
    let mut expected = BTreeSet::new();
    for life in 0..LIVES {
        // Every tenth time it is the server that is killed: the writer then ends by itself.
        if life % 10 == 9 {
            live(&database.url, life, &mut expected, |_| {
                server.kill();
                Ok(())
            });
            server.resume();
        } else {
            live(&database.url, life, &mut expected, Child::kill);
        }
    }
    check(&database, &expected).await;
}

/// One life of a writer, ended after so many acknowledgements as the dice say.
fn live(
    url: &DatabaseUrl,
    life: u64,
    expected: &mut BTreeSet<String>,
    end: impl FnOnce(&mut Child) -> std::io::Result<()>,
) {
    let dice = (life + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let (most, mut end) = (1 + dice as usize % 40, Some(end));
    let mut child = writer(url, life, 8).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(id) = line.split("acknowledged ").nth(1) {
            expected.insert(id.to_owned());
            acknowledged += 1;
        }
        if acknowledged >= most
            && let Some(end) = end.take()
        {
            // Nothing of it runs after this; what it has still said before is read on.
            end(&mut child).unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged >= most, "life {life} ended early, after {acknowledged} of {most}");
}

async fn check(database: &Database, expected: &BTreeSet<String>) {
    let repository = database.open().await;
    let (mut found, mut of) = (BTreeSet::new(), 0);
    for page in 1.. {
        let page = repository.incidents(&IncidentFilter::default(), Paging::new(page, 500)).await.unwrap();
        if page.items.is_empty() {
            break;
        }
        of = page.total;
        found.extend(page.items.into_iter().map(|record| record.incident.id.to_string()));
    }
    for (what, deed) in [("closed", Deed::IncidentClosed), ("decided", Deed::EvidenceOpened)] {
        found.extend(leaves(&repository, deed).await.into_iter().map(|id| format!("{what} {id}")));
    }
    let lost: Vec<_> = expected.difference(&found).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged writes are lost", lost.len(), expected.len());
    for what in ["inc-", "closed ", "decided "] {
        assert!(expected.iter().any(|id| id.starts_with(what)), "nothing was acknowledged as {what:?}");
    }
    // The ledger is whole, and says that exactly those were closed that are.
    let trust = Trust::of(key().public(repository.authority()).unwrap());
    ledger::verify(&copied(&repository).await, &trust, &[]).unwrap();
    let resolved = IncidentFilter { state: Some(IncidentState::Resolved), ..IncidentFilter::default() };
    let mut closed = BTreeSet::new();
    for page in 1.. {
        let page = repository.incidents(&resolved, Paging::new(page, 500)).await.unwrap();
        if page.items.is_empty() {
            break;
        }
        closed.extend(page.items.into_iter().map(|record| record.incident.id.to_string()));
    }
    assert_eq!(closed, leaves(&repository, Deed::IncidentClosed).await);
    // An incident and what is told of it are written together or not at all.
    assert_eq!(repository.outgoing_waiting("webhook").await.unwrap(), of);
    assert!(of < 10_000, "{of}: more than the outbox holds proves nothing");
}

/// What the leaves with a deed are about.
async fn leaves(repository: &Repository, deed: Deed) -> BTreeSet<String> {
    let mut about = BTreeSet::new();
    for page in 1.. {
        let page = repository.decisions(None, Paging::new(page, 500)).await.unwrap();
        if page.items.is_empty() {
            break;
        }
        let with = page.items.iter().filter(|decision| decision.deed == deed);
        about.extend(with.map(|decision| decision.about[0].id().to_owned()));
    }
    about
}

fn writer(url: &DatabaseUrl, life: u64, lanes: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(TOLD, format!("{}|{life}|{lanes}", String::from(url.clone())));
    command
}

/// Not a test: the child that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the tests here"]
async fn child() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let mut told = told.split('|');
    let (url, life, lanes) = (told.next().unwrap(), told.next().unwrap(), told.next().unwrap());
    let url: DatabaseUrl = url.parse().unwrap();
    let lanes: usize = lanes.parse().unwrap();
    let repository = Repository::open(url, AuthorityId::local(), key()).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for lane in 0..lanes {
        let (repository, life) = (repository.clone(), life.to_owned());
        writers.spawn(async move {
            for number in 0..(if lanes == 1 { 20 } else { 100_000 }) {
                let name = format!("{life} {lane} {}", number / 3);
                let Ok(what) = write(&repository, &name, number % 3).await else {
                    // Whatever comes after the server has gone proves nothing.
                    return;
                };
                println!("acknowledged {what}");
            }
        });
    }
    writers.join_all().await;
}

/// One durable write and how it is acknowledged: an incident, then a decision about it, and then its end with one.
async fn write(repository: &Repository, name: &str, step: usize) -> Result<String, StoreError> {
    let at = Timestamp::from_secs(1);
    let incident = incident(name);
    let id = &incident.id;
    let decided = |deed| decided(deed, at, &[("incident", id.as_str())]);
    match step {
        0 => {
            repository.keep_incident(&incident, &["webhook"], at).await?;
            Ok(id.to_string())
        }
        1 => {
            repository.decide(decided(Deed::EvidenceOpened)).await?;
            Ok(format!("decided {id}"))
        }
        _ => {
            let closed = Closed { at, by: "jean".into(), reason: "seen".into() };
            let decided = decided(Deed::IncidentClosed);
            assert!(repository.close_incident(id, IncidentState::Resolved, &closed, &[], decided).await?);
            Ok(format!("closed {id}"))
        }
    }
}

/// SQLite's log is written and synced before each acknowledgement, seen from outside.
#[test]
fn the_disk_has_it_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (url, trace) = (dir.path().join("bastide.sqlite"), dir.path().join("trace"));
    let child = writer(&url.into(), 0, 1);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", "trace=write,pwrite64,fsync,fdatasync", "-o"]).arg(&trace);
    strace.arg(child.get_program()).args(child.get_args());
    strace.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    match strace.output() {
        Ok(run) if run.status.success() => {}
        Ok(run) => {
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            assert!(said.contains("ptrace") || said.contains("not permitted"), "{said}");
            eprintln!("SKIPPED: strace is not allowed here: {said}");
            return;
        }
        Err(error) => panic!("strace, which ./test installs: {error}"),
    }
    let (mut written, mut synced, mut acknowledged) = (0, 0, 0);
    // Calls of a thread that were interrupted by those of another, until they return.
    let mut unfinished = BTreeMap::new();
    for line in std::fs::read_to_string(&trace).unwrap().lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let (begun, ended) = match (call.strip_suffix("<unfinished ...>"), call.starts_with("<... ")) {
            (Some(begun), _) => {
                unfinished.insert(thread.to_owned(), begun.to_owned());
                (Some(begun.to_owned()), None)
            }
            (None, true) => (None, unfinished.remove(thread)),
            (None, false) => (Some(call.to_owned()), Some(call.to_owned())),
        };
        // A write counts from its beginning, a sync from its end, an acknowledgement from its beginning.
        let log = |call: &str| call.contains("bastide.sqlite-wal>");
        if begun.as_deref().is_some_and(|call| call.starts_with("pwrite64(") && log(call)) {
            (written, synced) = (written + 1, 0);
        }
        if ended.as_deref().is_some_and(|call| call.contains("sync(") && log(call)) && call.ends_with("= 0") {
            synced += 1;
        }
        if begun.as_deref().is_some_and(|call| call.starts_with("write(1<") && call.contains("acknowledged"))
        {
            assert!(written > 0, "acknowledged without a write: {line}");
            assert!(synced > 0, "acknowledged before it was on disk: {line}");
            acknowledged += 1;
            written = 0;
        }
    }
    assert_eq!(acknowledged, 20);
}
