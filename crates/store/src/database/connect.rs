//! Connecting: what every connection is set to, and what a server must be like.

use super::{Connection, DatabaseUrl, PostgresUrl};
use sqlx::{
    Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{path::Path, time::Duration};

/// How long a server may take to let us in.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It reads, and cannot do else.
    Reader,
    /// It writes what is there.
    Writer,
    /// It makes what is missing, and takes its time.
    Maker,
}

/// Connects, or says why not within a few seconds.
pub(crate) async fn connect(url: &DatabaseUrl, role: Role) -> Result<Connection, sqlx::Error> {
    match url {
        DatabaseUrl::Sqlite(path) => {
            SqliteConnection::connect_with(&sqlite(path, role)).await.map(Connection::Sqlite)
        }
        DatabaseUrl::Postgres(url) => match tokio::time::timeout(PATIENCE, postgres(url, role)).await {
            Ok(connection) => connection.map(Connection::Postgres),
            Err(_elapsed) => {
                let what = format!("the server did not answer within {} s", PATIENCE.as_secs());
                Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what)))
            }
        },
    }
}

fn sqlite(path: &Path, role: Role) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(role == Role::Maker)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(64)
        // KiB where negative: caches stay small, the page cache of the kernel does the rest.
        .pragma("cache_size", "-2048")
        .pragma("temp_store", "MEMORY")
        // A damaged or hostile schema must not run code of its own.
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON");
    match role {
        // Sets nothing that would be written: a disk that takes no writes can still be read.
        Role::Reader => options.pragma("query_only", "ON"),
        Role::Writer | Role::Maker => options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            // What is deleted is overwritten: a person who was erased is in no free page.
            .pragma("secure_delete", "ON")
            .pragma("journal_size_limit", "16777216"),
    }
}

/// Connects and sets what must hold whatever the server's own settings are: commits wait for the disk, and nothing
/// waits for minutes.
async fn postgres(url: &PostgresUrl, role: Role) -> Result<PgConnection, sqlx::Error> {
    let options = url.options()?.application_name("bastide").statement_cache_capacity(128);
    let mut connection = PgConnection::connect_with(&options).await?;
    connection
        .execute(
            "SET search_path TO bastide, pg_temp; SET synchronous_commit TO on; \
             SET standard_conforming_strings TO on",
        )
        .await?;
    connection
        .execute(match role {
            Role::Reader | Role::Writer => {
                "SET statement_timeout TO '10s'; SET lock_timeout TO '5s'; \
                 SET idle_in_transaction_session_timeout TO '60s'"
            }
            // A migration takes as long as it takes.
            Role::Maker => "SET statement_timeout TO 0; SET lock_timeout TO '60s'",
        })
        .await?;
    if role == Role::Reader {
        connection.execute("SET default_transaction_read_only TO on").await?;
    } else if connection.fetch_one("SELECT pg_is_in_recovery()").await?.try_get(0)? {
        return Err(sqlx::Error::Protocol("the server is a standby, which takes no writes".into()));
    }
    Ok(connection)
}

/// What a server must be like to be trusted with records; what is wrong where it is not.
pub(crate) async fn check_server(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let row = connection
        .fetch_one(
            "SELECT CAST(current_setting('server_version_num') AS BIGINT), current_setting('server_encoding'), \
             current_setting('fsync'), current_setting('full_page_writes')",
        )
        .await?;
    let version: i64 = row.try_get(0)?;
    if version < 130_000 {
        return Ok(Some(format!("expected PostgreSQL 13 or later, found {}", version / 10_000)));
    }
    for (index, name, expected) in
        [(1, "server_encoding", "UTF8"), (2, "fsync", "on"), (3, "full_page_writes", "on")]
    {
        let found: String = row.try_get(index)?;
        if found != expected {
            return Ok(Some(format!("expected {name} = {expected}, found {found}")));
        }
    }
    Ok(None)
}

/// What to do about an error of connecting.
pub(crate) fn advice(error: &sqlx::Error) -> &'static str {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        Some("3D000") => "make the database first: CREATE DATABASE name",
        Some("28P01" | "28000") => "give the right user and password, in the URL or in ~/.pgpass",
        Some("42501") => "let the user make its schema: GRANT CREATE ON DATABASE name TO user",
        // https://www.sqlite.org/rescode.html
        Some("14") => "give a file in a directory that can be written",
        Some("13") => "make room on the disk",
        Some("8" | "264" | "520" | "776" | "1032" | "1288" | "1544") => {
            "make the file and its directory writable"
        }
        _ => match error {
            // What TLS refuses during the handshake comes as an error of reading.
            sqlx::Error::Io(error) if error.kind() != std::io::ErrorKind::InvalidData => {
                "start the server, or give its right address"
            }
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
                "give the name that its certificate is for, the authority with sslrootcert=FILE, or see sslmode"
            }
            _ => "see the server's log",
        },
    }
}
