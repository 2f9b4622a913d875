//! A bundle in one file: its files in a tar archive (POSIX.1-1988, ustar), as every system unpacks it.
//!
//! Guarantees: the same bundle gives the same bytes; nothing is read but plain files with the names of a bundle, each no
//! longer than it may be.

use crate::{Bundle, BundleError, bundle::File, shortened};
use std::io::Read as _;

/// The longest archive that is read, in bytes.
pub const MAX_ARCHIVE: usize = 256 << 20;

impl Bundle {
    /// One file.
    ///
    /// # Errors
    /// None that the files of a bundle can cause.
    pub fn to_archive(&self) -> Result<Vec<u8>, BundleError> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in self.files() {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, &name, bytes.as_slice()).map_err(broken)?;
        }
        archive.into_inner().map_err(broken)
    }

    /// Reads one file.
    ///
    /// # Errors
    /// [`BundleError`] for what is no archive, or not that of a bundle.
    pub fn from_archive(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_ARCHIVE {
            return Err(BundleError::Archive(format!("found {} bytes", bytes.len())));
        }
        let mut files = Vec::new();
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let kind = entry.header().entry_type();
            // Others put the folder itself and `./` before names.
            if kind.is_dir() {
                continue;
            }
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            if !kind.is_file() || File::named(&name).is_none() {
                return Err(BundleError::File(shortened(&name)));
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(broken)?;
            if content.len() as u64 != entry.size() {
                return Err(BundleError::Archive(format!("{name} is cut off")));
            }
            files.push((name, content));
        }
        if files.is_empty() {
            return Err(BundleError::Archive("found no file in it".into()));
        }
        Self::from_files(files)
    }
}

fn broken(error: impl std::fmt::Display) -> BundleError {
    BundleError::Archive(error.to_string())
}
