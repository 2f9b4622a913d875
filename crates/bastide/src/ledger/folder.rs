//! Logs and bundles as files.

use anyhow::{Context as _, bail};
use ledger::{Bundle, MAX_ARCHIVE, MAX_FILES, Place, Source};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// A log that was exported.
pub(super) struct Folder(pub(super) PathBuf);

/// A file of a log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("{path}", path = path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is too long: expected at most {most} bytes", path = path.display())]
    TooLong { path: PathBuf, most: usize },
}

impl Source for Folder {
    type Error = FolderError;

    fn read(&self, place: Place) -> Result<Option<Vec<u8>>, FolderError> {
        bounded(&self.0.join(place.to_string()), place.max_bytes())
    }
}

/// The bytes of a file that may have so many; nothing where there is no file.
pub(super) fn bounded(path: &Path, most: usize) -> Result<Option<Vec<u8>>, FolderError> {
    let failed = |source| FolderError::File { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        return Err(FolderError::TooLong { path: path.to_owned(), most });
    }
    Ok(Some(bytes))
}

/// Reads a bundle: an archive, or the folder that it was unpacked into.
pub(super) fn read_bundle(path: &Path) -> anyhow::Result<Bundle> {
    if !path.is_dir() {
        let bytes =
            bounded(path, MAX_ARCHIVE)?.with_context(|| format!("{} is not there", path.display()))?;
        return Bundle::from_archive(&bytes).with_context(|| format!("{}", path.display()));
    }
    if !path.join("keys").is_file() {
        bail!(
            "{path} is neither an exported log (it has no `checkpoint`) nor a bundle (it has no `keys`); the data \
             directory of a node is given with --data-dir",
            path = path.display()
        );
    }
    let (mut files, mut room) = (Vec::new(), MAX_ARCHIVE);
    let entries = fs::read_dir(path).with_context(|| format!("{}", path.display()))?;
    for entry in entries.take(MAX_FILES + 1) {
        let entry = entry.with_context(|| format!("{}", path.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = bounded(&entry.path(), room)?.unwrap_or_default();
        room = room.saturating_sub(bytes.len());
        files.push((name, bytes));
    }
    Bundle::from_files(files).with_context(|| format!("{}", path.display()))
}

/// A folder that is new, or empty.
pub(super) fn make(path: &Path) -> anyhow::Result<()> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => bail!("{} is not empty: name a new folder", path.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be used", path.display())),
    }
}

/// Writes a new file, and the folders that it is in.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).with_context(cannot)?;
    file.write_all(bytes).with_context(cannot)
}
