//! Keys of the node that are 32 random bytes in a file of their own.
//!
//! Guarantees: a key is made once, durable before it is used, and for its owner only; a file that others can read or that
//! is no key is refused with what to do.

use aws_lc_rs::rand;
use std::{
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// How long a key is, in bytes.
pub const BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or made.
    #[error("cannot read or make {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could read it.
    #[error("{path} can be read by others (mode {mode:o}); expected 0600: chmod 600 {path}", path = path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no key.
    #[error("{path} has {found} bytes; expected a key of {BYTES}: restore it from the backup of this node", path = path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// No randomness.
    #[error("the machine gives no randomness")]
    NoRandomness,
}

/// The key in the file at `path`, which is made (0600) where it is missing.
///
/// # Errors
/// [`KeyFileError`].
pub fn at(path: &Path) -> Result<[u8; BYTES], KeyFileError> {
    if let Some(key) = there(path)? {
        return Ok(key);
    }
    let mut key = [0_u8; BYTES];
    rand::fill(&mut key).map_err(|_| KeyFileError::NoRandomness)?;
    write_whole(path, &key, 0o600).map_err(|source| KeyFileError::File { path: path.to_owned(), source })?;
    Ok(key)
}

/// The key in the file at `path`, where there is one.
///
/// # Errors
/// [`KeyFileError`].
pub fn there(path: &Path) -> Result<Option<[u8; BYTES]>, KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    match std::fs::File::open(path) {
        Ok(file) => {
            let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(KeyFileError::Readable { path: path.to_owned(), mode });
            }
            let mut key = Vec::with_capacity(BYTES);
            file.take(BYTES as u64 + 1).read_to_end(&mut key).map_err(failed)?;
            let found = key.len();
            key.try_into().map(Some).map_err(|_| KeyFileError::NoKey { path: path.to_owned(), found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file beside and moves it into place, so that a start that is cut off leaves the old file or the new one, and
/// what was told of the new one stays true after a power cut.
///
/// # Errors
/// Where it cannot be written; then the old file is there.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    // The process's mask may have taken more away; what is to be read by browsers must be readable.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        let key = at(&path).unwrap();
        assert_eq!(at(&path).unwrap(), key);
        assert_ne!(at(&dir.path().join("other.key")).unwrap(), key);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        at(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(at(&path), Err(KeyFileError::Readable { mode: 0o640, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for (content, length) in [(&b"short"[..], 5), (b"", 0), (&[7; 40], 33)] {
            std::fs::write(&path, content).unwrap();
            assert!(matches!(at(&path), Err(KeyFileError::NoKey { found, .. }) if found == length));
        }
        assert!(matches!(at(&dir.path().join("no/such/folder")), Err(KeyFileError::File { .. })));
    }
}
