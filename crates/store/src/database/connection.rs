//! A connection to either database, and what the two do differently.

use super::{DatabaseUrl, Query, query};
use crate::schema;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr, SqliteConnection};

/// Writers of all servers that share one PostgreSQL database take turns by this lock: what is counted up
/// (`MAX(seq) + 1`) is then counted up by one at a time. "Bastide" in ASCII.
pub(super) const TURN: i64 = 0x0042_6173_7469_6465;

/// A connection to either database.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// What takes how much room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// All that the database takes of the disk.
    OnDisk,
    /// What the records take, without what was freed and waits to be used again.
    Used,
}

impl Connection {
    /// Runs statements that take no values, separated by `;`.
    pub(crate) async fn run(&mut self, sql: impl SqlSafeStr) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
            Self::Postgres(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
        }
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.run("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => self.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await,
        }
    }

    /// Waits until nobody else writes; after [`Self::begin`], until the transaction ends.
    pub(crate) async fn take_turn(&mut self) -> Result<(), sqlx::Error> {
        match self {
            // It was this connection's turn when BEGIN IMMEDIATE came back.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(connection) => {
                sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(connection).await.map(drop)
            }
        }
    }

    /// Gives freed pages back to the disk, a few at a time. PostgreSQL does so by itself.
    pub(crate) async fn give_back_pages(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.run("PRAGMA incremental_vacuum(2000)").await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Folds SQLite's log into the file and empties it, where nobody reads from it. PostgreSQL's log is its server's.
    pub(crate) async fn empty_log(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.run("PRAGMA wal_checkpoint(TRUNCATE)").await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Ends the connection, folding SQLite's log into the file where `last`.
    pub(crate) async fn close(mut self, last: bool) {
        if last {
            let _ = self.empty_log().await;
        }
        let _ = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }
}

/// Asks how many bytes a database takes.
pub(crate) fn size(url: &DatabaseUrl, what: Size) -> Query {
    match (url, what) {
        (DatabaseUrl::Sqlite(_), Size::OnDisk) => {
            query("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        }
        (DatabaseUrl::Sqlite(_), Size::Used) => query(
            "SELECT (page_count - freelist_count) * page_size \
             FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        ),
        (DatabaseUrl::Postgres(_), Size::OnDisk) => query(
            "SELECT CAST(COALESCE(SUM(pg_total_relation_size(oid)), 0) AS BIGINT) \
             FROM pg_class WHERE relnamespace = 'bastide'::regnamespace AND relkind = 'r'",
        ),
        // Deleted rows leave room in the files that only later rows use; so the rows are weighed themselves.
        (DatabaseUrl::Postgres(_), Size::Used) => query(AssertSqlSafe(schema::weight())),
    }
}
