//! What a copy holds, when it is refused, and that a copy that fails changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, Server, on_both};
use incidents::{copied, decided, incident, key};
use ledger::{Deed, Trust};
use model::Timestamp;
use std::{
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};
use store::{
    Paging, Repository,
    copy::{self, Copied, CopyError},
};

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    what_was_backed_up_comes_back,
    a_backup_shows_one_moment,
    what_is_there_is_not_overwritten_unless_asked,
    a_backup_that_was_changed_is_refused_and_changes_nothing,
    a_database_that_is_in_use_is_not_replaced,
    a_backup_of_an_older_schema_is_brought_up_to_date,
}

async fn backup(from: &Database, file: &Path) -> Result<Copied, CopyError> {
    copy::backup(&from.url, file, NOW, &mut |_| ()).await
}

async fn restore(file: &Path, to: &Database, force: bool) -> Result<Copied, CopyError> {
    copy::restore(file, &to.url, force, &mut |_| ()).await
}

/// Everything that a repository can hold that is difficult to carry: quotes, letters of all kinds, what is unset, the
/// largest record.
async fn fill(repository: &Repository) {
    for number in 0..30 {
        let mut incident = incident(&format!("\"quoted\" 'n' \u{1F600} \u{fffd} {number}"));
        incident.summary = "tab\t, line\n, \u{202e}backwards, back\\slash, \u{1}".repeat(number);
        repository.keep_incident(&incident, &["webhook"], NOW).await.unwrap();
    }
    let mut large = incident("large");
    large.summary = "\"".repeat(store::MOST_BYTES / 2 - 2_000);
    repository.keep_incident(&large, &[], NOW).await.unwrap();
    let mut decision = decided(Deed::PlanApproved, NOW, &[("plan", "plan-1")]);
    decision.details = Some("NUL \0 here".into());
    repository.decide(decision).await.unwrap();
    repository
        .add_to_counters(Timestamp::from_micros(i64::MIN), &[("packets", i64::MAX.unsigned_abs())])
        .await
        .unwrap();
}

/// The head of the log, which is whole.
async fn verified(repository: &Repository) -> ledger::Head {
    let trust = Trust::of(key().public(repository.authority()).unwrap());
    ledger::verify(&copied(repository).await, &trust, &[]).unwrap().witnessed.checkpoint.head
}

async fn what_was_backed_up_comes_back(database: Database) {
    let repository = database.open().await;
    fill(&repository).await;
    let before = repository.incidents(&store::IncidentFilter::default(), Paging::new(1, 500)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("one.backup");
    let copied = backup(&database, &file).await.unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    let error = backup(&database, &file).await.unwrap_err().to_string();
    assert!(error.contains("it is there already"), "{error}");

    // Into SQLite, whatever it came from, and from there once more.
    let other = Database::sqlite();
    let mut steps = Vec::new();
    let restored =
        copy::restore(&file, &other.url, false, &mut |progress| steps.push(progress.step)).await.unwrap();
    assert_eq!(restored, copied);
    steps.dedup();
    assert_eq!(steps, ["checking", "writing", "comparing"]);
    let again = other.open().await;
    let after = again.incidents(&store::IncidentFilter::default(), Paging::new(1, 500)).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(verified(&again).await, verified(&repository).await);
    // It goes on where it was.
    again.decide(decided(Deed::PlanRefused, NOW, &[])).await.unwrap();
    assert_eq!(verified(&again).await.size, verified(&repository).await.size + 1);
    again.close().await;
    let (third, file) = (Database::sqlite(), dir.path().join("one.backup"));
    assert_eq!(restore(&file, &third, false).await.unwrap(), copied);
    assert_eq!(backup(&third, &dir.path().join("two.backup")).await.unwrap(), copied);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left behind");
}

async fn a_backup_shows_one_moment(database: Database) {
    let repository = database.open().await;
    let write = |repository: Repository, from: usize| async move {
        for number in from..from + 60 {
            // Two tables that belong together.
            let incident = incident(&number.to_string());
            repository.keep_incident(&incident, &["webhook"], NOW).await.unwrap();
        }
    };
    write(repository.clone(), 0).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    let writing = tokio::spawn(write(repository.clone(), 60));
    backup(&database, &file).await.unwrap();
    writing.await.unwrap();
    let other = Database::sqlite();
    restore(&file, &other, false).await.unwrap();
    let copy = other.open().await;
    let incidents = copy.incidents(&store::IncidentFilter::default(), Paging::new(1, 1)).await.unwrap().total;
    let told = copy.outgoing_waiting("webhook").await.unwrap();
    assert!((60..=120).contains(&incidents));
    assert_eq!(incidents, told);
}

async fn what_is_there_is_not_overwritten_unless_asked(database: Database) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    let source = Database::sqlite();
    let repository = source.open().await;
    repository.keep_incident(&incident("new"), &[], NOW).await.unwrap();
    repository.close().await;
    backup(&source, &file).await.unwrap();

    let old = database.open().await;
    old.close().await;
    restore(&file, &database, false).await.expect("an empty one may be replaced");
    let error = restore(&file, &database, false).await.unwrap_err().to_string();
    assert!(error.contains("rows; --force removes all of it"), "{error}");
    let kept = database.open().await;
    kept.keep_incident(&incident("old"), &[], NOW).await.unwrap();
    kept.close().await;
    restore(&file, &database, true).await.unwrap();
    let now = database.open().await;
    assert_eq!(now.incident(&incident("old").id).await.unwrap(), None);
    assert!(now.incident(&incident("new").id).await.unwrap().is_some());
    now.keep_incident(&incident("newer"), &[], NOW).await.unwrap();
}

async fn a_backup_that_was_changed_is_refused_and_changes_nothing(database: Database) {
    let repository = database.open().await;
    repository.keep_incident(&incident("kept"), &[], NOW).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    backup(&database, &file).await.unwrap();
    repository.close().await;
    let packed = std::fs::read(&file).unwrap();
    let mut lines = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut lines).unwrap();
    let last = lines.trim_end().rfind('\n').unwrap();
    for (changed, expected) in [
        (packed[..packed.len() / 2].to_vec(), "line"),
        (packed[..packed.len() - 4].to_vec(), "line"),
        (b"something else".to_vec(), "expected a Bastide backup"),
        (Vec::new(), "expected a Bastide backup"),
        (
            repack(&lines.replacen("taken over", "taken oven", 1)),
            "expected the SHA-256 that the last line gives",
        ),
        (repack(&lines[..last + 1]), "the end of the file"),
        (repack(&format!("{lines}{{}}\n")), "expected the end of the file, found more"),
        (repack(&lines.replace("\"rows\":", "\"rows\":1")), "expected as many rows as the last line counts"),
        (
            repack(&lines.replace("\"table\":\"token\"", "\"table\":\"token; DROP\"")),
            "expected a table with plain names",
        ),
        (repack(&lines.replace("\"schema\":", "\"schema\":9")), "was written by a newer Bastide"),
        (repack(&lines.replacen("[\"local\",", "[\"local\",1,", 1)), "expected a row"),
    ] {
        std::fs::write(&file, changed).unwrap();
        let error = restore(&file, &database, true).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    // A row whose value does not fit its column, with everything else in order.
    let at = lines.find("\n[\"local\",").unwrap() + 1;
    let wrong = format!("{}{}", &lines[..at], lines[at..].replacen("\"local\"", "true", 1));
    let body = &wrong[wrong.find('\n').unwrap() + 1..wrong.trim_end().rfind('\n').unwrap() + 1];
    let sum = sum(body);
    let from = wrong.rfind("\"sha256\":\"").unwrap() + 10;
    let wrong = format!("{}{sum}{}", &wrong[..from], &wrong[from + 64..]);
    std::fs::write(&file, repack(&wrong)).unwrap();
    let error = restore(&file, &database, true).await.unwrap_err().to_string();
    assert!(error.contains("expected a row, found other values than incident holds"), "{error}");
    let left = match &database.url {
        store::DatabaseUrl::Sqlite(path) => std::fs::read_dir(path.parent().unwrap()).unwrap().count() - 1,
        store::DatabaseUrl::Postgres(_) => {
            database.number("SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'bastide_copy'").await as usize
        }
    };
    assert_eq!(left, 0, "nothing is left behind");

    let repository = database.open().await;
    assert!(repository.incident(&incident("kept").id).await.unwrap().is_some());
}

fn repack(lines: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn sum(body: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn a_backup_of_an_older_schema_is_brought_up_to_date(database: Database) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    // As the first version wrote it, when there were fewer tables.
    let body = "{\"table\":\"setting\",\"key\":2,\"columns\":[[\"authority_id\",\"text\"],[\"name\",\"text\"],\
                [\"value\",\"text\"],[\"changed\",\"int\"]]}\n[\"local\",\"url\",\"https://old\",7]\n";
    let first = "{\"bastide-backup\":1,\"schema\":1,\"made\":\"2026-01-01T00:00:00Z\",\"program\":\"0.1.0\"}";
    let last = format!("{{\"rows\":1,\"sha256\":\"{}\"}}", sum(body));
    std::fs::write(&file, repack(&format!("{first}\n{body}{last}\n"))).unwrap();
    assert_eq!(restore(&file, &database, false).await.unwrap().rows, 1);
    let repository = database.open().await;
    assert_eq!(repository.setting("url").await.unwrap().as_deref(), Some("https://old"));
    // The tables that came later are there too.
    fill(&repository).await;
    repository.close().await;
    backup(&database, &dir.path().join("new")).await.unwrap();
}

async fn a_database_that_is_in_use_is_not_replaced(database: Database) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    let repository = database.open().await;
    repository.keep_incident(&incident("a"), &[], NOW).await.unwrap();
    backup(&database, &file).await.unwrap();
    let error = restore(&file, &database, true).await.unwrap_err().to_string();
    assert!(error.contains("is in use") && error.contains("stop what uses it first"), "{error}");
    repository.keep_incident(&incident("b"), &[], NOW).await.unwrap();
    repository.close().await;
    restore(&file, &database, true).await.unwrap();
}

#[tokio::test]
async fn from_a_file_to_a_server_and_back() {
    let (server, file, back) = (Server::start(), Database::sqlite(), Database::sqlite());
    let there = Database::postgres(&server.new_database());
    let repository = file.open().await;
    fill(&repository).await;
    repository.close().await;
    let transfer =
        async |from: &Database, to: &Database| copy::transfer(&from.url, &to.url, false, &mut |_| ()).await;
    let moved = transfer(&file, &there).await.unwrap();
    assert!(moved.rows > 90);
    assert_eq!(server.psql("test0", "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'bastide_copy'"), "0");
    let repository = there.open().await;
    repository.decide(decided(Deed::PlanRefused, NOW, &[])).await.unwrap();
    repository.close().await;
    let returned = transfer(&there, &back).await.unwrap();
    // A leaf, and what opens its two parts.
    assert_eq!(returned.rows, moved.rows + 3);
    let repository = back.open().await;
    let trust = ledger::Trust::of(incidents::key().public(repository.authority()).unwrap());
    let verified = ledger::verify(&incidents::copied(&repository).await, &trust, &[]).unwrap();
    assert_eq!((verified.witnessed.checkpoint.head.size, verified.shown), (2, 4));
    repository.close().await;
    let same = transfer(&back, &back).await.unwrap_err().to_string();
    assert!(same.contains("cannot be moved to itself"), "{same}");
    assert!(transfer(&back, &there).await.unwrap_err().to_string().contains("--force"));
}
