//! Copies of a whole database: into a file, out of a file, from one database into another.
//!
//! Guarantees: a copy shows one moment, also while others write; it holds all rows of all tables; a file that is
//! damaged, cut off or not ours is refused before anything is changed; what is made is compared with what it was made
//! from, and then takes its place in one step, so that a copy that fails or is killed changes nothing; memory is
//! bounded by the largest rows.

mod error;
mod file;
mod row;
mod source;
mod target;

pub use error::CopyError;

use crate::database::DatabaseUrl;
use file::{Reader, Writer};
use model::Timestamp;
use row::{Digest, Line};
use source::Snapshot;
use std::path::Path;
use target::Target;

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, such as `reading`.
    pub step: &'static str,
    /// Rows done in this step.
    pub rows: u64,
    /// Rows that there are, where that is known.
    pub of: Option<u64>,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many rows.
    pub rows: u64,
    /// SHA-256 over all of them.
    pub digest: String,
}

/// Told now and then how far a copy is.
pub type Tell<'t> = &'t mut (dyn FnMut(Progress) + Send);

/// Writes all of a database into a new file, which its owner alone may read. Others may write meanwhile.
///
/// # Errors
/// [`CopyError`]; then there is no such file.
pub async fn backup(
    from: &DatabaseUrl,
    file: &Path,
    made: Timestamp,
    tell: Tell<'_>,
) -> Result<Copied, CopyError> {
    let mut writer = Writer::new(file)?;
    let mut snapshot = Snapshot::take(from).await?;
    writer.begin(snapshot.schema(), made)?;
    let mut step = Step::new("reading", Some(snapshot.rows().await?), tell);
    for table in snapshot.tables() {
        writer.line(&Line::Table(table.clone()))?;
        let mut rows = snapshot.read(&table);
        while let Some(row) = rows.next().await? {
            writer.line(&Line::Row(row))?;
            step.one();
        }
    }
    writer.finish()
}

/// Reads a backup to its end, under the name that errors shall tell: whether it is whole, and its rows fit their tables. Puts it
/// nowhere.
///
/// # Errors
/// [`CopyError`] where it would not be restored.
pub fn check(name: &Path, packed: impl std::io::Read) -> Result<Copied, CopyError> {
    Reader::over(name, packed)?.check(|| ())
}

/// Puts what a file holds in the place of a database, whatever was in there where `force`.
///
/// # Errors
/// [`CopyError`]; then the database is as it was.
pub async fn restore(
    file: &Path,
    to: &DatabaseUrl,
    force: bool,
    tell: Tell<'_>,
) -> Result<Copied, CopyError> {
    let mut step = Step::new("checking", None, tell);
    let checked = Reader::open(file)?.check(|| step.one())?;
    let mut reader = Reader::open(file)?;
    let mut target = Target::make(to, reader.schema(), force).await?;
    let mut step = Step::new("writing", Some(checked.rows), step.tell);
    let copy = async {
        while let Some(line) = reader.next()? {
            target.take(line).await?;
            step.one();
        }
        // Compared with what was checked first: a file that changed in between is found out.
        target.finish(&checked.digest, step.tell).await
    };
    clean_up(to, copy.await).await
}

/// Puts all of a database in the place of another, whatever was in there where `force`.
///
/// # Errors
/// [`CopyError`]; then both are as they were.
pub async fn transfer(
    from: &DatabaseUrl,
    to: &DatabaseUrl,
    force: bool,
    tell: Tell<'_>,
) -> Result<Copied, CopyError> {
    if from == to {
        return Err(CopyError::Same { place: from.to_string() });
    }
    let mut snapshot = Snapshot::take(from).await?;
    let mut target = Target::make(to, snapshot.schema(), force).await?;
    let mut step = Step::new("writing", Some(snapshot.rows().await?), tell);
    let copy = async {
        let mut digest = Digest::default();
        for table in snapshot.tables() {
            let line = Line::Table(table.clone());
            digest.add(&line);
            target.take(line).await?;
            let mut rows = snapshot.read(&table);
            while let Some(row) = rows.next().await? {
                let line = Line::Row(row);
                digest.add(&line);
                target.take(line).await?;
                step.one();
            }
        }
        target.finish(&digest.finish(), step.tell).await
    };
    clean_up(to, copy.await).await
}

/// Leaves nothing of a copy that failed.
async fn clean_up(to: &DatabaseUrl, outcome: Result<Copied, CopyError>) -> Result<Copied, CopyError> {
    if outcome.is_err() {
        target::abandon(to).await;
    }
    outcome
}

/// Counts rows and tells of them now and then.
struct Step<'t> {
    name: &'static str,
    rows: u64,
    of: Option<u64>,
    tell: Tell<'t>,
}

impl<'t> Step<'t> {
    fn new(name: &'static str, of: Option<u64>, tell: Tell<'t>) -> Self {
        tell(Progress { step: name, rows: 0, of });
        Self { name, rows: 0, of, tell }
    }

    fn one(&mut self) {
        self.rows += 1;
        if self.rows.is_multiple_of(256) {
            (self.tell)(Progress { step: self.name, rows: self.rows, of: self.of });
        }
    }
}
