//! Opening: one file, its schema brought up to date or refused with what to do.

use crate::{OpenError, Repository, repository::Inner, writer::Writer};
use model::AuthorityId;
use sqlx::{
    Connection as _, Executor as _, Row as _, SqlSafeStr as _, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// "Bast": marks the file as ours (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x4261_7374;
/// How many reads run side by side.
const READERS: u32 = 3;

fn migrations() -> Vec<Migration> {
    let step = |version, what: &'static str, sql: &'static str| {
        Migration::new(version, what.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    vec![step(1, "first", include_str!("../migrations/0001_first.sql"))]
}

impl Repository {
    /// Opens the database at `path`, making it where it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] where the file is not ours, newer than this program, changed or damaged; it is then left as it was.
    pub async fn open(path: &Path, authority: AuthorityId) -> Result<Self, OpenError> {
        let database = |source| classify(path, source);
        // Looked at before anything is set: a file of somebody else stays as it is.
        recognise(path).await?;
        let mut connection =
            SqliteConnection::connect_with(&options(path).create_if_missing(true)).await.map_err(database)?;
        connection.execute("PRAGMA application_id = 1113682804").await.map_err(database)?;
        migrate(path, &mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .idle_timeout(Duration::from_secs(60))
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options(path).pragma("query_only", "ON"))
            .await
            .map_err(database)?;
        let inner = Inner { path: path.to_owned(), readers, writer: Writer::start(connection) };
        Ok(Self::from_parts(authority, Arc::new(inner)))
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(64)
        // KiB where negative: caches stay small, the page cache of the kernel does the rest.
        .pragma("cache_size", "-2048")
        .pragma("journal_size_limit", "16777216")
        .pragma("temp_store", "MEMORY")
        // A damaged or hostile schema must not run code of its own.
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
}

async fn recognise(path: &Path) -> Result<(), OpenError> {
    if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        return Ok(());
    }
    let database = |source| classify(path, source);
    let bare = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5));
    let mut connection = SqliteConnection::connect_with(&bare).await.map_err(database)?;
    let application = number(&mut connection, "PRAGMA application_id").await.map_err(database)?;
    let tables = number(&mut connection, "SELECT COUNT(*) FROM sqlite_master").await.map_err(database)?;
    connection.close().await.map_err(database)?;
    if application == APPLICATION_ID || tables == 0 {
        return Ok(());
    }
    let found = format!("a SQLite file of another program, with {tables} tables and indexes");
    Err(OpenError::Foreign { path: path.to_owned(), found })
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    connection.fetch_one(sql).await?.try_get(0)
}

async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let path = || -> PathBuf { path.to_owned() };
    let migrations = migrations();
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    Migrator::with_migrations(migrations).run(connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => OpenError::Newer { path: path(), found, known },
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => {
            OpenError::Changed { path: path(), version }
        }
        MigrateError::Execute(source) => OpenError::Database { path: path(), source },
        source => OpenError::Migration { path: path(), version: known, source },
    })
}

fn classify(path: &Path, source: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    // SQLITE_NOTADB and SQLITE_CORRUPT: https://www.sqlite.org/rescode.html
    match source.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("26") => OpenError::Foreign { path, found: "not a SQLite file".into() },
        Some("11") => OpenError::Damaged { path, found: source.to_string() },
        _ => OpenError::Database { path, source },
    }
}
