//! What can go wrong with the store, for an operator to read.

use crate::{LedgerError, database::advice};
use model::AuthorityId;
use std::sync::Arc;

/// Why a store could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is something else.
    #[error("{place} is not a Bastide database ({found}); move it away or name another place")]
    Foreign {
        /// The database.
        place: String,
        /// What it seems to be.
        found: String,
    },
    /// Written by a later version.
    #[error(
        "{place} was written by a newer Bastide (schema {found}, this program knows up to {known}); \
         start the newer program, or restore the backup taken before the upgrade"
    )]
    Newer {
        /// The database.
        place: String,
        /// The version found.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// Its schema was not brought up to date yet.
    #[error(
        "{place} has an older schema (expected {known}, found {found}): start `bastide up` once, which brings it up to date"
    )]
    Older {
        /// The database.
        place: String,
        /// What was found.
        found: String,
        /// The version of today.
        known: i64,
    },
    /// The schema is not the one that this program makes.
    #[error(
        "{place} has another schema than this program made ({found}); \
         it was changed by hand or by another build: restore a backup, or start with a new database"
    )]
    Changed {
        /// The database.
        place: String,
        /// What differs.
        found: String,
    },
    /// The database says that it is damaged.
    #[error("{place} is damaged ({found}); restore a backup, or move it away to start empty")]
    Damaged {
        /// The database.
        place: String,
        /// What the check found.
        found: String,
    },
    /// The server does not keep what it acknowledges, or not as it was written.
    #[error("the server of {place} cannot be used: {found}")]
    Unfit {
        /// The database.
        place: String,
        /// What was expected and what was found.
        found: String,
    },
    /// Its ledger was signed by another node.
    #[error(
        "the ledger in {place} was signed with another key than this node's ledger.key; \
         put that node's ledger.key into the data directory, or name another database"
    )]
    OtherKey {
        /// The database.
        place: String,
    },
    /// It serves others.
    #[error(
        "{place} belongs to authority {root}, and {own} is not below it: make {own} there first (console, Authorities), start \
         without --authority, or name another database"
    )]
    OtherAuthority {
        /// The database.
        place: String,
        /// For whom it was to be opened.
        own: AuthorityId,
        /// For whom it was founded.
        root: AuthorityId,
    },
    /// Anything else.
    #[error("cannot open {place}: {}; {}", plain(source), advice(source))]
    Database {
        /// The database.
        place: String,
        /// Why.
        source: sqlx::Error,
    },
    /// A migration failed.
    #[error("cannot bring {place} to schema {version}; nothing was changed")]
    Migration {
        /// The database.
        place: String,
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
    /// The database cannot be reached, or went away. Of a write that was under way it is not known whether it was kept.
    #[error("the database is away: {what}")]
    Away {
        /// What is known about it.
        what: String,
    },
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
    /// It belongs to another sensor than the one that speaks of it.
    #[error("{table} {id} is another sensor's")]
    Another {
        /// The table.
        table: &'static str,
        /// Which record.
        id: String,
    },
    /// More is asked of the database than it answers in bearable time.
    #[error("the database is too slow: no answer within {seconds} s")]
    Overloaded {
        /// How long was waited.
        seconds: u64,
    },
    /// The transaction failed before it came to this write.
    #[error("the write was not kept; the server's log says why")]
    NotKept,
    /// No more are kept there.
    #[error("an authority above holds {most} {what} with all below it, and takes no more")]
    Full {
        /// Of what, such as `people`.
        what: &'static str,
        /// How many.
        most: u64,
    },
    /// What the write rested on is not so any more.
    #[error("rights changed between the question and the write; nothing was written")]
    Moved,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A decision cannot be written into the ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl StoreError {
    /// What is wrong, in one line for an operator.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Database(error) => plain(error),
            Self::Away { what } => what.clone(),
            other => other.to_string(),
        }
    }

    /// Whether it says something about the database and not about what was asked of it, so that the same may well work
    /// later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(error) => !error.as_database_error().is_some_and(blames_the_question),
            Self::Away { .. } | Self::Overloaded { .. } | Self::NotKept => true,
            Self::Unreadable { .. }
            | Self::Another { .. }
            | Self::TooLarge { .. }
            | Self::Full { .. }
            | Self::Moved
            | Self::Closed
            | Self::Ledger(_) => false,
        }
    }
}

fn blames_the_question(error: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    use sqlx::error::ErrorKind;
    let code = error.code();
    // PostgreSQL: 22 data exception, 23 constraint violation
    let class = code.as_deref().filter(|_| is_of_postgres(error)).and_then(|code| code.get(..2));
    !matches!(error.kind(), ErrorKind::Other) || matches!(class, Some("22" | "23"))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        let gone = match &error {
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
            Error::Database(error) if is_of_postgres(error.as_ref()) => error.code().is_some_and(|code| {
                // 08: connection exception, 57P: shut down, crashed, starting; 53300: too many connections
                code.starts_with("08") || code.starts_with("57P") || code == "53300"
            }),
            _ => false,
        };
        if gone { Self::Away { what: plain(&error) } } else { Self::Database(Arc::new(error)) }
    }
}

fn is_of_postgres(error: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some()
}

/// An error in words, those that an operator can do something about in plainer ones.
fn plain(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    let plain = match code.as_deref() {
        // Primary codes of SQLite are the low byte: https://www.sqlite.org/rescode.html
        Some("53100") => "the server's disk is full",
        Some("25006") => "the server takes no writes",
        Some(code) => match code.parse::<u32>().map(|code| code & 0xff) {
            Ok(5) if code.len() < 5 => "another process holds the database",
            Ok(8) if code.len() < 5 => "the database can only be read",
            Ok(10) if code.len() < 5 => "the disk fails",
            Ok(13) if code.len() < 5 => "the disk is full",
            _ => return error.to_string(),
        },
        None => return error.to_string(),
    };
    format!("{plain} ({error})")
}
