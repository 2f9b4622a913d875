//! A database that an earlier version filled: it is brought up to date with all that is in it, and until then not read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use incidents::{copied, decided, incident, key};
use ledger::{Deed, Trust};
use model::{AuthorityRole, Timestamp};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};
use std::path::Path;
use store::{Archive, DatabaseUrl, OpenError, Paging, Repository};

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    what_an_earlier_version_kept_is_there_after_the_upgrade,
}

/// The steps of the schema as the files say, which no release changes.
fn steps(of: &str) -> Vec<Migration> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(of);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let step = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let version = name.split('_').next().unwrap().parse().unwrap();
        let sql = AssertSqlSafe(std::fs::read_to_string(path).unwrap()).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    files.iter().map(step).collect()
}

/// Tables that have been the same since they were made, and in which step that was.
const SAME: [(&str, usize); 8] = [
    ("incident", 1),
    ("incident_address", 1),
    ("outbox", 1),
    ("leaf", 2),
    ("leaf_about", 2),
    ("opening", 2),
    ("tile", 2),
    ("checkpoint", 2),
];

/// Fills the database as a version did that knew so many steps; `filled` holds what is to be in it.
async fn as_of(database: &Database, known: usize, filled: &Database) {
    let mut statements: Vec<String> = SAME
        .iter()
        .filter(|(_, since)| *since <= known)
        .map(|(table, _)| format!("INSERT INTO {table} SELECT * FROM filled.{table}"))
        .collect();
    if known < 3 {
        for (hash, scope) in [("one", "act"), ("two", "read")] {
            statements.push(format!(
                "INSERT INTO token VALUES ('local', '{hash}', 'prometheus', '{scope}', 1, 20000000000)"
            ));
        }
        statements
            .push("INSERT INTO session VALUES ('local', 'open', 'administrator', 1, 2, 20000000000)".into());
    }
    let (DatabaseUrl::Sqlite(to), DatabaseUrl::Sqlite(from)) = (&database.url, &filled.url) else {
        let mut connection = PgConnection::connect(&database.url.to_string()).await.unwrap();
        connection.execute("ALTER SCHEMA bastide RENAME TO filled; CREATE SCHEMA bastide").await.unwrap();
        connection.execute("SET search_path TO bastide").await.unwrap();
        let steps = steps("postgres").into_iter().take(known).collect();
        Migrator::with_migrations(steps).run(&mut connection).await.unwrap();
        for sql in statements {
            connection.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        connection.execute("DROP SCHEMA filled CASCADE").await.unwrap();
        return connection.close().await.unwrap();
    };
    let options = SqliteConnectOptions::new().filename(to).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    connection.execute("PRAGMA application_id = 1113682804").await.unwrap();
    let steps = steps("sqlite").into_iter().take(known).collect();
    Migrator::with_migrations(steps).run(&mut connection).await.unwrap();
    let attach = format!("ATTACH '{}' AS filled", from.display());
    connection.execute(AssertSqlSafe(attach)).await.unwrap();
    for sql in statements {
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    connection.close().await.unwrap();
}

async fn what_an_earlier_version_kept_is_there_after_the_upgrade(database: Database) {
    let of = if database.is_sqlite() { "sqlite" } else { "postgres" };
    for known in 1..steps(of).len() {
        // On PostgreSQL it is filled in its own place, and moved aside.
        let filled = if database.is_sqlite() {
            Database::sqlite()
        } else {
            Database { url: database.url.clone(), dir: None }
        };
        database.remove_all().await;
        let repository = filled.open().await;
        let incident = incident("a");
        repository.keep_incident(&incident, &["webhook"], NOW).await.unwrap();
        for _ in 0..40 {
            let deed = decided(Deed::EvidenceOpened, NOW, &[("incident", incident.id.as_str())]);
            repository.decide(deed).await.unwrap();
        }
        repository.close().await;
        as_of(&database, known, &filled).await;

        // Who only reads changes nothing, and says what to do.
        let refused = Archive::open(&database.url).await.err().unwrap();
        assert!(matches!(refused, OpenError::Older { .. }), "{refused}");
        let said = refused.to_string();
        assert!(said.contains(&format!("found schema {known}")) && said.contains("`bastide up`"), "{said}");

        let repository = database.open().await;
        assert_eq!(repository.incident(&incident.id).await.unwrap().unwrap().incident, incident, "{known}");
        assert_eq!(repository.outgoing_waiting("webhook").await.unwrap(), 1);
        let leaves = if known < 2 { 0 } else { 40 };
        assert_eq!(repository.decisions(None, Paging::default()).await.unwrap().total, leaves);
        tokens_are_kept(&repository, known).await;
        // The log goes on where it was.
        let deed = decided(Deed::IncidentReopened, NOW, &[]);
        repository.decide(deed).await.unwrap();
        let trust = Trust::of(key().public(repository.authority()).unwrap());
        let verified = ledger::verify(&copied(&repository).await, &trust, &[]).unwrap();
        assert_eq!(verified.witnessed.checkpoint.head.size, leaves + 1);
        repository.close().await;
        Archive::open(&database.url).await.unwrap().close().await;
    }
}

/// Tokens of before there were people go on with the roles that they had; whoever was signed in signs in again.
async fn tokens_are_kept(repository: &Repository, known: usize) {
    let expected: &[(&str, &[AuthorityRole])] = match known {
        1 | 2 => {
            &[("one", &[AuthorityRole::Analyst, AuthorityRole::Operator]), ("two", &[AuthorityRole::Auditor])]
        }
        _ => &[],
    };
    for (hash, roles) in expected {
        assert_eq!(repository.token(hash, NOW).await.unwrap().unwrap().roles, *roles);
    }
    assert!(repository.session("open", NOW, Timestamp::from_secs(0)).await.unwrap().is_none());
}
