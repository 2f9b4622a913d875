//! Why a copy was not made.

use crate::{OpenError, StoreError};
use std::path::Path;

/// Why a copy was not made. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed.
    #[error("{place}: {what}")]
    Database {
        /// The database.
        place: String,
        /// What failed.
        what: String,
    },
    /// The file cannot be read or written.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no backup, or not all of one.
    #[error("{file}, line {line}: expected {expected}, found {found}; nothing was changed")]
    Damaged {
        /// The file.
        file: String,
        /// The line of what is packed in it, from 1.
        line: u64,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The backup is of a later version.
    #[error("{file} was written by a newer Bastide (schema {found}, this program knows up to {known})")]
    Newer {
        /// The file.
        file: String,
        /// Its schema.
        found: i64,
        /// The latest schema known.
        known: i64,
    },
    /// The database has not got the schema of this program yet.
    #[error(
        "{place} has schema {found}, and this program copies schema {known}: \
         start `bastide up` on it once, or copy it with the program that wrote it"
    )]
    Older {
        /// The database.
        place: String,
        /// Its schema.
        found: i64,
        /// The schema of this program.
        known: i64,
    },
    /// There is something in the database.
    #[error("{place} holds {what}; --force removes all of it and puts the copy in its place")]
    NotEmpty {
        /// The database.
        place: String,
        /// What it holds.
        what: String,
    },
    /// A server works on the database.
    #[error("{place} is in use ({what}): stop what uses it first")]
    InUse {
        /// The database.
        place: String,
        /// By what.
        what: String,
    },
    /// Both are the same.
    #[error("{place} cannot be moved to itself")]
    Same {
        /// The database.
        place: String,
    },
    /// What was written is not what was read.
    #[error(
        "{place}: what was written differs from what was read ({found}, expected {expected}); it was thrown away"
    )]
    Differs {
        /// The database.
        place: String,
        /// The digest of what was read.
        expected: String,
        /// The digest of what was written.
        found: String,
    },
}

impl CopyError {
    pub(super) fn database(place: &impl ToString, error: impl Into<StoreError>) -> Self {
        Self::Database { place: place.to_string(), what: error.into().what() }
    }

    pub(super) fn file(file: &Path, source: std::io::Error) -> Self {
        Self::File { file: file.display().to_string(), source }
    }
}
