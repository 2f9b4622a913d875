//! What can go wrong with the store, for an operator to read.

use std::{path::PathBuf, sync::Arc};

/// Why a store could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file holds something else.
    #[error("{path} is not a Bastide database ({found}); move it away or name another data directory", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        found: String,
    },
    /// Written by a later version.
    #[error(
        "{path} was written by a newer Bastide (schema {found}, this program knows up to {known}); \
         start the newer program, or restore the backup taken before the upgrade",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// A migration that was applied is not the one this program knows.
    #[error(
        "{path} has another schema than this program made (schema {version} differs); \
         it was changed by hand or by another build: restore a backup, or start with a new data directory",
        path = path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The version that differs.
        version: i64,
    },
    /// The database says that it is damaged.
    #[error("{path} is damaged ({found}); restore a backup, or move it away to start empty", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found.
        found: String,
    },
    /// Anything else.
    #[error("cannot open {path}", path = path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A migration failed.
    #[error("cannot bring {path} to schema {version}; nothing was changed", path = path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// The version that failed.
        version: i64,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// Why a read or a write failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database refused: disk full, damaged file.
    #[error("the database refused")]
    Database(#[source] Arc<sqlx::Error>),
    /// A record cannot be read back.
    #[error("{table} {id} cannot be read back: {reason}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// Which record.
        id: String,
        /// Why.
        reason: String,
    },
    /// A record is larger than the store takes.
    #[error("{table} {id} has {size} bytes; at most {most} are kept")]
    TooLarge {
        /// The table.
        table: &'static str,
        /// Which record.
        id: String,
        /// Its size.
        size: usize,
        /// The bound.
        most: usize,
    },
    /// More writes wait than the queue holds, for longer than is bearable.
    #[error("the database is too slow: writes have waited for {seconds} s")]
    Overloaded {
        /// How long it waited.
        seconds: u64,
    },
    /// The transaction failed before it came to this write.
    #[error("the write was not kept; the server's log says why")]
    NotKept,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}
