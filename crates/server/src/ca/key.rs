//! The passphrase under which issuers' keys lie in the database.
//!
//! Guarantees: it is 256 random bits in a file for its owner only, or what systemd hands over as a credential; a file that
//! others can read, or that holds too little, is refused.

use crate::{keyfile, people::StartError, secret};
use pki::SignError;
use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The file in the folder of the node's data.
const FILE: &str = "ca.passphrase";
/// Its name among the credentials that systemd hands over.
const CREDENTIAL: &str = "bastide.ca.passphrase";
/// The shortest that is taken, in letters.
const LEAST: usize = 20;
/// The longest.
const MOST: usize = 1_024;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
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
    #[error("{path} can be read by others (mode {mode:04o}): expected 0600: chmod 600 {path}", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Too little to keep anybody out, or no text.
    #[error("{path} holds no passphrase: expected one line of {LEAST} to {MOST} letters", path = path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
    },
}

/// The passphrase.
pub(super) struct Passphrase(String);

impl Passphrase {
    /// The one of systemd, else the one in the data directory, which is made where it is missing.
    pub(super) fn at(data_dir: &Path) -> Result<Self, StartError> {
        if let Some(path) = credential().filter(|path| path.exists()) {
            return Ok(read(&path, false)?);
        }
        let path = data_dir.join(FILE);
        if !path.exists() {
            let made = secret::fresh().map_err(|_| StartError::Cryptography)?;
            keyfile::write_whole(&path, format!("{made}\n").as_bytes(), 0o600)
                .map_err(|source| PassphraseError::File { path: path.clone(), source })?;
        }
        Ok(read(&path, true)?)
    }

    pub(super) fn seal(&self, pkcs8: &[u8]) -> Result<String, SignError> {
        pki::seal(pkcs8, &self.0)
    }

    pub(super) fn open(&self, sealed: &str) -> Result<pki::SecretDocument, SignError> {
        pki::unseal(sealed, &self.0)
    }
}

/// Where systemd says, by a variable, that the credentials are.
fn credential() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join(CREDENTIAL))
}

fn read(path: &Path, own: bool) -> Result<Passphrase, PassphraseError> {
    let failed = |source| PassphraseError::File { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o7777;
    if own && mode & 0o077 != 0 {
        return Err(PassphraseError::Exposed { path: path.to_owned(), mode });
    }
    let text = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(text).unwrap_or_default();
    let line = text.trim_end_matches(['\r', '\n']);
    if !(LEAST..=MOST).contains(&line.chars().count()) || line.chars().any(char::is_control) {
        return Err(PassphraseError::Unfit { path: path.to_owned() });
    }
    Ok(Passphrase(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passphrase_is_made_once_and_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let first = Passphrase::at(dir.path()).unwrap();
        assert_eq!(Passphrase::at(dir.path()).unwrap().0, first.0);
        assert_eq!(first.0.len(), 43);
        let path = dir.path().join(FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = Passphrase::at(dir.path()).err().unwrap().to_string();
        assert!(error.contains("can be read by others (mode 0640)"), "{error}");
        for unfit in ["too short\n", "", "two lines that are long\nenough for a passphrase\n"] {
            std::fs::write(&path, unfit).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let error = Passphrase::at(dir.path()).err().unwrap().to_string();
            assert!(error.contains("expected one line of 20"), "{error}");
        }
    }
}
