//! What was acknowledged is there after `kill -9`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod incidents;

use incidents::incident;
use model::{AuthorityId, Timestamp};
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use store::{IncidentFilter, Paging, Repository};

/// Names the directory to the writing child.
const DIRECTORY: &str = "BASTIDE_TEST_STORE";

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = BTreeSet::new();
    // Three lives of one database: what an earlier life has acknowledged must survive the later ones too.
    for life in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, format!("{}|{life}", dir.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(id) = line.split("acknowledged ").nth(1) {
                expected.insert(id.to_owned());
                acknowledged += 1;
            }
            if acknowledged == 300 {
                // SIGKILL: nothing of the child runs after this.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= 300, "the writer ended early, after {acknowledged}");
    }
    let repository = open(dir.path()).await;
    let mut found = BTreeSet::new();
    for page in 1.. {
        let page = repository.incidents(&IncidentFilter::default(), Paging::new(page, 500)).await.unwrap();
        if page.items.is_empty() {
            break;
        }
        found.extend(page.items.into_iter().map(|record| record.incident.id.to_string()));
    }
    let lost: Vec<_> = expected.difference(&found).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged incidents are lost", lost.len(), expected.len());
}

/// Not a test: the child that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of acknowledged_writes_survive_kill_9"]
async fn writer() {
    let Ok(told) = std::env::var(DIRECTORY) else { return };
    let (dir, life) = told.split_once('|').unwrap();
    let repository = open(Path::new(dir)).await;
    let mut writers = tokio::task::JoinSet::new();
    for lane in 0..8 {
        let (repository, life) = (repository.clone(), life.to_owned());
        writers.spawn(async move {
            for number in 0..100_000 {
                let incident = incident(&format!("{life} {lane} {number}"));
                repository.keep_incident(&incident, &[], Timestamp::from_secs(1)).await.unwrap();
                println!("acknowledged {}", incident.id);
            }
        });
    }
    writers.join_all().await;
}

async fn open(dir: &Path) -> Repository {
    let path: PathBuf = dir.join("bastide.sqlite");
    Repository::open(&path, AuthorityId::local()).await.unwrap()
}
