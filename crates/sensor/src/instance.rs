//! One holder of a directory at a time.
//!
//! Guarantees: the lock is the kernel's and goes with the process, also when that is killed; who holds it is named to
//! whoever comes second.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Holds a directory for this process while it lives.
#[derive(Debug)]
pub struct Instance {
    _lock: File,
}

/// Why a directory could not be held.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// Another process holds it.
    #[error("{path} is in use by {holder}: stop that one, or choose another directory")]
    InUse {
        /// Which directory.
        path: PathBuf,
        /// `process 4711`, as that one wrote down.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}: {source}")]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Instance {
    /// Takes the directory, by the lock file of that name in it.
    ///
    /// # Errors
    /// [`InstanceError`] where another process holds it, or the lock file cannot be used.
    pub fn take(directory: &Path, name: &str) -> Result<Self, InstanceError> {
        let path = directory.join(name);
        let unusable = |source| InstanceError::Unusable { path: path.clone(), source };
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it may not have written that down yet.
                let _ = lock.take(64).read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another process" } else { holder };
                return Err(InstanceError::InUse { path: directory.to_owned(), holder: holder.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "process {}", std::process::id()))
            .map_err(unusable)?;
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_who_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let first = Instance::take(dir.path(), "holder").unwrap();
        let second = Instance::take(dir.path(), "holder").unwrap_err().to_string();
        let expected = format!(
            "{} is in use by process {}: stop that one, or choose another directory",
            dir.path().display(),
            std::process::id()
        );
        assert_eq!(second, expected);
        drop(first);
        assert!(Instance::take(dir.path(), "holder").is_ok());
        let gone = Instance::take(&dir.path().join("none"), "holder").unwrap_err();
        assert!(matches!(gone, InstanceError::Unusable { .. }), "{gone}");
    }
}
