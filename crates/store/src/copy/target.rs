//! A database that is made beside the one whose place it takes.
//!
//! SQLite: a file beside it, renamed over it at the end. PostgreSQL: the schema `bastide_copy` in the same database,
//! renamed at the end in the transaction that drops the old one. What a copy that was killed has left is removed by the
//! next one.

use super::{
    Copied, CopyError, Step, Tell,
    file::sync_folder,
    row::{Digest, Line, from_json},
    source::Rows,
};
use crate::{
    database::{Connection, DatabaseUrl, Query, Role, Value, connect, query},
    open::{fit, migration_failed, recognise_file, recognise_schema},
    schema::{self, Table},
};
use sqlx::{
    AssertSqlSafe, Connection as _, SqlSafeStr, SqliteConnection, migrate::Migrator,
    sqlite::SqliteConnectOptions,
};
use std::{
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

/// How many values go with one statement; SQLite takes 32 766, PostgreSQL 65 535.
const MOST_VALUES: usize = 4_000;
/// How many bytes of text go with one statement, about.
const MOST_BYTES: usize = 4 << 20;

/// How often a server is asked whether others have gone.
const GOODBYES: u32 = 10;

/// A database that is being made.
pub(super) struct Target {
    url: DatabaseUrl,
    connection: Connection,
    /// Where SQLite's new file is until it takes its place; removed when dropped.
    beside: Option<Beside>,
    tables: Vec<Table>,
    /// Rows of the last table that were not written yet.
    waiting: Vec<Vec<Value>>,
    bytes: usize,
}

/// A file that goes where it is not wanted any more, with what SQLite puts beside it.
struct Beside(PathBuf);

impl Target {
    /// Begins a database of a schema, where nothing is yet, or where what is there may go.
    pub(super) async fn make(url: &DatabaseUrl, schema: i64, force: bool) -> Result<Self, CopyError> {
        let failed = |error: sqlx::Error| CopyError::database(url, error);
        let (connection, beside) = match url {
            DatabaseUrl::Sqlite(path) => {
                look_at_file(url, path, force).await?;
                let beside = Beside(hidden_beside(path));
                beside.remove();
                let new = DatabaseUrl::Sqlite(beside.0.clone());
                let mut connection = connect(&new, Role::Maker).await.map_err(failed)?;
                connection.run("PRAGMA application_id = 1113682804").await.map_err(failed)?;
                (connection, Some(beside))
            }
            DatabaseUrl::Postgres(_) => {
                let mut connection = connect(url, Role::Maker).await.map_err(failed)?;
                look_at_schema(url, &mut connection, force).await?;
                connection
                    .run(
                        "SET client_min_messages TO warning; \
                         DROP SCHEMA IF EXISTS bastide_copy CASCADE; CREATE SCHEMA bastide_copy; \
                         SET search_path TO bastide_copy, pg_temp",
                    )
                    .await
                    .map_err(failed)?;
                (connection, None)
            }
        };
        let mut target =
            Self { url: url.clone(), connection, beside, tables: Vec::new(), waiting: Vec::new(), bytes: 0 };
        target.migrate(schema).await?;
        target.run("BEGIN").await?;
        Ok(target)
    }

    /// Takes the next table or row.
    pub(super) async fn take(&mut self, line: Line) -> Result<(), CopyError> {
        match line {
            Line::Table(table) => {
                self.write().await?;
                self.tables.push(table);
            }
            Line::Row(row) => {
                let table = self.tables.last();
                let width = table.map_or(1, |table| table.columns.len());
                let Some(row) = table.and_then(|table| from_json(table, row)) else {
                    let what =
                        format!("a row does not fit {}", table.map_or("any table", |table| &table.name));
                    return Err(CopyError::Database { place: self.url.to_string(), what });
                };
                self.bytes += row.iter().map(size).sum::<usize>();
                self.waiting.push(row);
                if (self.waiting.len() + 1) * width > MOST_VALUES || self.bytes > MOST_BYTES {
                    self.write().await?;
                }
            }
        }
        Ok(())
    }

    /// Writes the rows that wait.
    async fn write(&mut self) -> Result<(), CopyError> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.waiting);
        let Some(table) = self.tables.last().filter(|_| !rows.is_empty()) else { return Ok(()) };
        let insert = query(AssertSqlSafe(table.insert(rows.len())));
        let insert = rows.into_iter().flatten().fold(insert, Query::bind);
        let outcome = insert.rows(&mut self.connection).await;
        outcome.map(drop).map_err(|error| CopyError::database(&self.url, error))
    }

    /// Reads all back, compares it with the digest of what was to be written, and puts it in its place.
    pub(super) async fn finish(mut self, expected: &str, tell: Tell<'_>) -> Result<Copied, CopyError> {
        self.write().await?;
        self.run("COMMIT").await?;
        let place = self.url.to_string();
        let mut step = Step::new("comparing", None, tell);
        let mut digest = Digest::default();
        for table in &self.tables {
            digest.add(&Line::Table(table.clone()));
            let mut rows = Rows::read(&mut self.connection, &place, table);
            while let Some(row) = rows.next().await? {
                digest.add(&Line::Row(row));
                step.one();
            }
        }
        let (found, rows) = (digest.finish(), step.rows);
        if found != expected {
            return Err(CopyError::Differs { place, expected: expected.to_owned(), found });
        }
        self.migrate(schema::today()).await?;
        self.run(AssertSqlSafe(schema::look_at_all())).await?;
        self.take_place().await?;
        Ok(Copied { rows, digest: found })
    }

    async fn take_place(mut self) -> Result<(), CopyError> {
        self.run(match &self.url {
            DatabaseUrl::Sqlite(_) => "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE",
            DatabaseUrl::Postgres(_) => {
                "BEGIN; DROP SCHEMA IF EXISTS bastide CASCADE; ALTER SCHEMA bastide_copy RENAME TO bastide; COMMIT"
            }
        })
        .await?;
        self.connection.close(false).await;
        if let (DatabaseUrl::Sqlite(path), Some(beside)) = (&self.url, &self.beside) {
            alone(&self.url, path).await?;
            let failed = |error| CopyError::file(path, error);
            File::open(&beside.0).and_then(|file| file.sync_all()).map_err(failed)?;
            std::fs::rename(&beside.0, path).and_then(|()| sync_folder(path)).map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the tables of a schema, or brings them to it.
    async fn migrate(&mut self, schema: i64) -> Result<(), CopyError> {
        let outcome = match &mut self.connection {
            Connection::Sqlite(connection) => {
                Migrator::with_migrations(schema::for_sqlite()).run_to(schema, connection).await
            }
            Connection::Postgres(connection) => {
                Migrator::with_migrations(schema::for_postgres()).run_to(schema, connection).await
            }
        };
        Ok(outcome.map_err(|error| migration_failed(&self.url, error))?)
    }

    async fn run(&mut self, sql: impl SqlSafeStr) -> Result<(), CopyError> {
        self.connection.run(sql).await.map_err(|error| CopyError::database(&self.url, error))
    }
}

/// Removes what a copy that failed has left on a server; a file goes by itself.
pub(super) async fn abandon(url: &DatabaseUrl) {
    if let DatabaseUrl::Postgres(_) = url
        && let Ok(mut connection) = connect(url, Role::Maker).await
    {
        let _ = connection.run("DROP SCHEMA IF EXISTS bastide_copy CASCADE").await;
        connection.close(false).await;
    }
}

/// Whether a file may be replaced.
async fn look_at_file(url: &DatabaseUrl, path: &Path, force: bool) -> Result<(), CopyError> {
    if !path.exists() {
        return Ok(());
    }
    recognise_file(url, path).await?;
    alone(url, path).await?;
    let mut connection = connect(url, Role::Reader).await.map_err(|error| CopyError::database(url, error))?;
    let outcome = look_at_content(url, &mut connection, force).await;
    connection.close(false).await;
    outcome?;
    alone(url, path).await
}

/// Refuses a file that another process has open, and leaves it without a log beside it.
async fn alone(url: &DatabaseUrl, path: &Path) -> Result<(), CopyError> {
    if !path.exists() {
        return Ok(());
    }
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_millis(500));
    let mut connection =
        SqliteConnection::connect_with(&options).await.map_err(|error| CopyError::database(url, error))?;
    // Only who is alone with a file can take its log away: https://www.sqlite.org/wal.html
    let mode =
        sqlx::query_scalar::<_, String>("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await;
    let _ = connection.close().await;
    match mode {
        Ok(mode) if mode == "delete" => Ok(()),
        Ok(_) => Err(CopyError::InUse { place: url.to_string(), what: "another process has it open".into() }),
        Err(error) => match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("5" | "261" | "517") => {
                Err(CopyError::InUse { place: url.to_string(), what: "another process has it open".into() })
            }
            _ => Err(CopyError::database(url, error)),
        },
    }
}

/// Whether what a server holds for us may be replaced.
async fn look_at_schema(
    url: &DatabaseUrl,
    connection: &mut Connection,
    force: bool,
) -> Result<(), CopyError> {
    let Connection::Postgres(server) = connection else { return Ok(()) };
    let failed = |error| CopyError::database(url, error);
    fit(url, server).await?;
    let exists = recognise_schema(url, server).await?;
    for attempt in 0.. {
        let others: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'bastide' AND pid <> pg_backend_pid()",
        )
        .fetch_one(&mut *server)
        .await
        .map_err(failed)?;
        // Who has just hung up may be listed for another moment.
        if others > 0 && attempt == GOODBYES {
            let what = format!("{others} connections of Bastide");
            return Err(CopyError::InUse { place: url.to_string(), what });
        }
        if others == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if exists { look_at_content(url, connection, force).await } else { Ok(()) }
}

async fn look_at_content(
    url: &DatabaseUrl,
    connection: &mut Connection,
    force: bool,
) -> Result<(), CopyError> {
    // The node's own authority stands in every database that was opened once.
    let tables: Vec<_> = schema::tables().into_iter().filter(|table| table.name != "authority").collect();
    let counted = query(AssertSqlSafe(schema::count_all(&tables))).rows(connection).await;
    let what = match counted.ok().and_then(|rows| rows.first()?.try_get::<i64>(0).ok()) {
        Some(0) => return Ok(()),
        Some(rows) => format!("{rows} rows"),
        None => "tables of another version".to_owned(),
    };
    if force { Ok(()) } else { Err(CopyError::NotEmpty { place: url.to_string(), what }) }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.as_ref().map_or(0, String::len),
        Value::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
        Value::Int(_) => 8,
    }
}

/// A name that nobody else would give, in the same folder.
fn hidden_beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".being-restored");
    path.with_file_name(name)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

impl Beside {
    fn remove(&self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(with_ending(&self.0, ending));
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.remove();
    }
}
