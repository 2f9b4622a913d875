//! The agent's folder. A power cut in the middle of any write leaves a file as it was before or as it is after: new content is
//! written beside, synced, renamed over the old, and the folder is synced.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// How the name of a file ends that is not whole yet.
const UNFINISHED: &str = ".new";
/// How much is written at a time.
const PIECE: usize = if cfg!(test) { 256 } else { 64 * 1024 };

/// A folder for the agent alone.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    #[cfg(test)]
    pub(crate) fuse: Option<std::rc::Rc<std::cell::Cell<u64>>>,
}

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    Failed {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read or change it.
    #[error("{} can be used by others (mode {mode:04o}): expected {expected:04o} or less", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it may be.
        expected: u32,
    },
    /// It is not what the agent writes.
    #[error("{}: {reason}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
}

impl Folder {
    /// That folder, made where it is not there yet; what a power cut left unfinished is cleared away.
    ///
    /// # Errors
    /// [`DiskError`], also where others may use the folder.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let folder = Self {
            path: path.to_owned(),
            #[cfg(test)]
            fuse: None,
        };
        let failed = |error| folder.failed("", error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let metadata = fs::metadata(path).map_err(failed)?;
        let mode = metadata.mode() & 0o7777;
        // The kernel says so there who this process is.
        let own = fs::metadata("/proc/self").map_or_else(|_| metadata.uid(), |own| own.uid());
        if metadata.uid() != own {
            let owner = metadata.uid();
            let reason =
                format!("it is of user {owner}, and this runs as user {own}: expected to run as that user");
            return Err(folder.content("", reason));
        }
        if mode & 0o022 != 0 {
            return Err(DiskError::Open { path: path.to_owned(), mode, expected: 0o755 });
        }
        for name in folder.names()? {
            if name.ends_with(UNFINISHED) {
                folder.remove(&name)?;
            }
        }
        Ok(folder)
    }

    /// A folder inside, with the same guarantees.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn inside(&self, name: &str) -> Result<Self, DiskError> {
        #[cfg_attr(not(test), expect(unused_mut, reason = "tests cut its power, too"))]
        let mut inside = Self::open(&self.path.join(name))?;
        #[cfg(test)]
        inside.fuse.clone_from(&self.fuse);
        Ok(inside)
    }

    /// Where a file of it lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.path.clone() } else { self.path.join(name) }
    }

    /// The names of its files.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn names(&self) -> Result<Vec<String>, DiskError> {
        let entries = fs::read_dir(&self.path).map_err(|error| self.failed("", error))?;
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// What a file holds; nothing where there is none.
    ///
    /// # Errors
    /// [`DiskError`], also where it is larger than `most` bytes.
    pub fn read(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>, DiskError> {
        let file = match File::open(self.path(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(name, error)),
        };
        let mut bytes = Vec::new();
        let read = file.take(most as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.failed(name, error))?;
        if bytes.len() > most {
            return Err(self.content(name, format!("expected at most {most} bytes")));
        }
        Ok(Some(bytes))
    }

    /// The same of a file that nobody else may read.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn read_secret(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>, DiskError> {
        if let Ok(metadata) = fs::metadata(self.path(name)) {
            let mode = metadata.mode() & 0o7777;
            if mode & 0o077 != 0 {
                return Err(DiskError::Open { path: self.path(name), mode, expected: 0o600 });
            }
        }
        self.read(name, most)
    }

    /// Makes `bytes` the content of a file that nobody else may read. When this returns, it is on the disk; where it fails,
    /// the file is as it was, or holds the new content already.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let beside = format!("{name}{UNFINISHED}");
        let write = || {
            self.step()?;
            let path = self.path(&beside);
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
            for piece in bytes.chunks(PIECE) {
                self.step()?;
                file.write_all(piece)?;
            }
            self.step()?;
            file.sync_all()?;
            self.step()?;
            fs::rename(self.path(&beside), self.path(name))?;
            self.sync()
        };
        write().map_err(|error| self.failed(name, error))
    }

    /// Removes a file, durably; one that is not there is removed already.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn remove(&self, name: &str) -> Result<(), DiskError> {
        let remove = || {
            self.step()?;
            match fs::remove_file(self.path(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
                Ok(()) => self.sync(),
            }
        };
        remove().map_err(|error| self.failed(name, error))
    }

    /// Keeps other agents out of the folder, as long as what is returned lives.
    ///
    /// # Errors
    /// [`DiskError`], where another one is in it.
    pub fn lock(&self) -> Result<File, DiskError> {
        let lock = File::create(self.path("lock")).map_err(|error| self.failed("lock", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(fs::TryLockError::WouldBlock) => {
                Err(self.content("lock", "another bastide-agent uses this folder".into()))
            }
            Err(fs::TryLockError::Error(error)) => Err(self.failed("lock", error)),
        }
    }

    /// A file that is not what the agent writes.
    pub(crate) fn content(&self, name: &str, reason: String) -> DiskError {
        DiskError::Content { path: self.path(name), reason }
    }

    fn failed(&self, name: &str, error: io::Error) -> DiskError {
        DiskError::Failed { path: self.path(name), error }
    }

    fn sync(&self) -> io::Result<()> {
        self.step()?;
        File::open(&self.path)?.sync_all()
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "where tests cut the power")]
    const fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// Each step that changes the disk. When the fuse is burnt, nothing changes any more.
    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        if let Some(fuse) = &self.fuse {
            let left = fuse.get().checked_sub(1).ok_or_else(|| io::Error::other("the power is cut"))?;
            fuse.set(left);
        }
        Ok(())
    }
}
