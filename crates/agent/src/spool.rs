//! Reports that wait for the server: on the disk, in order, bounded.
//!
//! Where there is no more room the oldest goes, but never the newest of its kind: what the server hears first when it is
//! back may be short of what was, never of what is.

use crate::{
    disk::{DiskError, Folder},
    state::State,
};
use wire::{About, Report, limit};

/// The most reports that wait.
pub const MOST_REPORTS: usize = 64;
/// The most bytes that wait, beyond the newest of each kind.
pub const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// The reports that wait.
#[derive(Debug)]
pub struct Spool {
    folder: Folder,
    waiting: Vec<Waiting>,
}

/// A report that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub number: u64,
    kind: String,
    bytes: u64,
}

impl Waiting {
    fn name(&self) -> String {
        format!("{:020}-{}.json", self.number, self.kind)
    }

    fn read(name: &str, folder: &Folder) -> Option<Self> {
        let (number, kind) = name.strip_suffix(".json")?.split_once('-')?;
        let bytes = std::fs::metadata(folder.path(name)).ok()?.len();
        let waiting = Self { number: number.parse().ok()?, kind: kind.to_owned(), bytes };
        (waiting.name() == name).then_some(waiting)
    }
}

impl Spool {
    /// Those that wait in the agent's folder.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn open(folder: &Folder) -> Result<Self, DiskError> {
        let folder = folder.inside("spool")?;
        let names = folder.names()?;
        let mut waiting: Vec<_> = names.iter().filter_map(|name| Waiting::read(name, &folder)).collect();
        waiting.sort_unstable_by_key(|one| one.number);
        Ok(Self { folder, waiting })
    }

    /// Those that wait, the oldest first.
    #[must_use]
    pub fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    /// The number after the highest that waits.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.waiting.last().map_or(1, |last| last.number.saturating_add(1))
    }

    /// Puts a report at the end. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn push(&mut self, report: &Report, state: &mut State) -> Result<(), DiskError> {
        let bytes = serde_json::to_vec(report)
            .map_err(|error| self.folder.content("", format!("a report cannot be written: {error}")))?;
        let kind = match report.about {
            About::Posture(_) => "posture",
            About::Sbom(_) => "sbom",
        };
        let waiting = Waiting { number: report.number, kind: kind.to_owned(), bytes: bytes.len() as u64 };
        self.folder.replace(&waiting.name(), &bytes)?;
        self.waiting.push(waiting);
        self.make_room(state)
    }

    /// The report as it is sent; nothing where it cannot be read any more, and then it waits no longer.
    ///
    /// # Errors
    /// [`DiskError`] where the disk fails.
    pub fn read(&mut self, number: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(one) = self.waiting.iter().find(|one| one.number == number) else { return Ok(None) };
        let bytes = match self.folder.read(&one.name(), limit::REPORT_BYTES) {
            Ok(bytes) => {
                bytes.filter(|bytes| Report::from_json(bytes).is_ok_and(|read| read.number == number))
            }
            Err(DiskError::Content { .. }) => None,
            Err(error) => return Err(error),
        };
        if bytes.is_none() {
            self.remove(number)?;
        }
        Ok(bytes)
    }

    /// A report waits no longer: it was taken, or never will be.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn remove(&mut self, number: u64) -> Result<(), DiskError> {
        if let Some(at) = self.waiting.iter().position(|one| one.number == number) {
            self.folder.remove(&self.waiting.remove(at).name())?;
        }
        Ok(())
    }

    fn make_room(&mut self, state: &mut State) -> Result<(), DiskError> {
        loop {
            let bytes: u64 = self.waiting.iter().map(|one| one.bytes).sum();
            if self.waiting.len() <= MOST_REPORTS && bytes <= MOST_BYTES {
                return Ok(());
            }
            let newer =
                |one: &Waiting| self.waiting.iter().any(|it| it.kind == one.kind && it.number > one.number);
            let Some(oldest) = self.waiting.iter().find(|one| newer(one)) else { return Ok(()) };
            let number = oldest.number;
            state.shed = state.shed.saturating_add(1);
            self.remove(number)?;
        }
    }
}
