//! The journal's file, `journal.ndjson`.
//!
//! Guarantees: an entry that was appended durably survives power loss. The whole file is checked when it is opened. A
//! torn last line is cut off and the cut is an entry of its own; a journal that was tampered with is set aside as it
//! is, under another name, and the new one begins with what was wrong. Entries of another program (the command line)
//! are taken in before the next is linked.

use super::state::free_name;
use model::Timestamp;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use stop::journal::{Act, Entry, Fault, MAX_LINE, Verified, Verifier};

/// A longer file is closed and a new one begun.
const MAX_FILE: u64 = 64 << 20;

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    file: File,
    verifier: Verifier,
}

/// Who writes, and under which settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hand<'a> {
    pub(crate) at: Timestamp,
    pub(crate) who: &'a str,
    pub(crate) configuration: &'a str,
}

impl Journal {
    /// Opens and checks; the entries that opening itself made are given back. Call with the lock held.
    pub(crate) fn open(folder: &Path, hand: Hand<'_>) -> io::Result<(Self, Vec<Entry>)> {
        let file = open_file(folder)?;
        let mut journal = Self { folder: folder.to_owned(), file, verifier: Verifier::default() };
        journal.take_in()?;
        let notes = journal.mend(hand)?;
        Ok((journal, notes))
    }

    /// The entries that others wrote since; then the acts are linked and written. With `durable` they survive power
    /// loss when this returns. Call with the lock held.
    pub(crate) fn append(
        &mut self,
        hand: Hand<'_>,
        acts: impl IntoIterator<Item = (String, Act)>,
        durable: bool,
    ) -> io::Result<Vec<Entry>> {
        let mut entries = self.take_in()?;
        entries.extend(self.mend(hand)?);
        if self.verifier.state().bytes > MAX_FILE {
            entries.extend(self.turn_over(hand)?);
        }
        entries.extend(self.write(hand, acts, durable)?);
        Ok(entries)
    }

    fn write(
        &mut self,
        hand: Hand<'_>,
        acts: impl IntoIterator<Item = (String, Act)>,
        durable: bool,
    ) -> io::Result<Vec<Entry>> {
        let mut chain = self.verifier.state().chain.clone();
        let entries: Vec<Entry> = acts
            .into_iter()
            .map(|(why, act)| chain.link(hand.at, hand.who, &why, hand.configuration, act))
            .collect();
        let mut text = String::new();
        for entry in &entries {
            let line = entry.line();
            if line.len() > MAX_LINE {
                // Nobody would read it back, and the journal would count as damaged from here on.
                let length = line.len();
                return Err(io::Error::other(format!(
                    "expected an entry of {MAX_LINE} bytes at most, found {length}"
                )));
            }
            text.push_str(&line);
            text.push('\n');
        }
        // One write for all lines: where it fails in the middle, the rest is torn and cut off at the next opening.
        self.file.seek(SeekFrom::Start(self.verifier.state().bytes))?;
        self.file.write_all(text.as_bytes())?;
        if durable {
            self.file.sync_data()?;
        }
        for line in text.split_inclusive('\n') {
            self.verifier.line(line.as_bytes());
        }
        Ok(entries)
    }

    /// Reads what stands behind the part that is known.
    fn take_in(&mut self) -> io::Result<Vec<Entry>> {
        let known = self.verifier.state().bytes;
        let current = fs::metadata(self.folder.join("journal.ndjson")).ok();
        let moved = current.as_ref().is_none_or(|current| !is_same(current, &self.file));
        if moved {
            self.file = open_file(&self.folder)?;
            self.verifier = Verifier::default();
        } else if self.verifier.state().fault.is_none() && self.file.metadata()?.len() == known {
            return Ok(Vec::new());
        } else if self.file.metadata()?.len() < known {
            // Somebody cut the end off: what is left is checked anew, and the cut shows in the server's copy.
            self.verifier = Verifier::default();
        }
        let mut entries = Vec::new();
        self.file.seek(SeekFrom::Start(self.verifier.state().bytes))?;
        let mut reader = BufReader::new(&self.file);
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(MAX_LINE as u64 + 2).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            match self.verifier.line(&line) {
                Some(entry) if known > 0 && !moved => entries.push(entry),
                Some(_) => {}
                None => break,
            }
        }
        Ok(entries)
    }

    /// Deals with a fault, in the open.
    fn mend(&mut self, hand: Hand<'_>) -> io::Result<Vec<Entry>> {
        let Some(fault) = self.verifier.state().fault.clone() else { return Ok(Vec::new()) };
        let note = if let Fault::Torn { offset, length, .. } = fault {
            self.file.set_len(offset)?;
            self.file.sync_all()?;
            let mut verifier = Verifier::default();
            std::mem::swap(&mut verifier, &mut self.verifier);
            self.reread()?;
            format!("{fault}: {length} bytes were cut off")
        } else {
            let aside = free_name(&self.folder, "journal.damaged");
            fs::rename(self.folder.join("journal.ndjson"), &aside)?;
            self.file = open_file(&self.folder)?;
            self.verifier = Verifier::default();
            format!("the journal before this one is damaged and was set aside as {}: {fault}", name(&aside))
        };
        tracing::warn!(%note, "journal");
        self.write(hand, [("the journal was found in this state".to_owned(), Act::Noted { note })], true)
    }

    fn turn_over(&mut self, hand: Hand<'_>) -> io::Result<Vec<Entry>> {
        let last = self.verifier.state().chain.last.clone();
        let aside = free_name(&self.folder, "journal.full");
        fs::rename(self.folder.join("journal.ndjson"), &aside)?;
        self.file = open_file(&self.folder)?;
        self.verifier = Verifier::default();
        let note = format!("goes on from {}, whose last hash is {last}", name(&aside));
        self.write(hand, [("the file was full".to_owned(), Act::Noted { note })], true)
    }

    fn reread(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        while reader.by_ref().take(MAX_LINE as u64 + 2).read_until(b'\n', &mut line)? > 0 {
            if self.verifier.line(&line).is_none() {
                break;
            }
            line.clear();
        }
        Ok(())
    }
}

/// Checks a journal without touching it; nothing where there is none.
///
/// # Errors
/// Where the file cannot be read.
pub fn verify_file(state_dir: &Path) -> io::Result<Option<Verified>> {
    read_file(state_dir, drop)
}

/// The same, with each entry that is whole and in its place.
pub(super) fn read_file(state_dir: &Path, mut each: impl FnMut(Entry)) -> io::Result<Option<Verified>> {
    let file = match File::open(state_dir.join("journal.ndjson")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut verifier = Verifier::default();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.by_ref().take(MAX_LINE as u64 + 2).read_until(b'\n', &mut line)? > 0 {
        let Some(entry) = verifier.line(&line) else { break };
        each(entry);
        line.clear();
    }
    Ok(Some(verifier.state().clone()))
}

fn open_file(folder: &Path) -> io::Result<File> {
    let path = folder.join("journal.ndjson");
    let fresh = !path.try_exists()?;
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    if fresh {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn is_same(current: &fs::Metadata, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|open| open.ino() == current.ino() && open.dev() == current.dev())
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
