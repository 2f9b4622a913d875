//! What can go wrong in the lab.

use std::{io, path::PathBuf};

/// Why the city could not be built, driven or measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not let this user make namespaces.
    #[error(
        "this machine does not let this user make private namespaces ({source}); the drill needs them, as root too. {advice}"
    )]
    Namespaces {
        /// What the kernel said.
        source: nix::Error,
        /// Which setting to change.
        advice: String,
    },
    /// Something was asked of the attack outside of the city, and it refused.
    #[error("refused: {0}")]
    Refused(String),
    /// A file or a socket.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What came of it.
        source: io::Error,
    },
    /// A program that the city needs.
    #[error("`{command}` failed: {said}")]
    Command {
        /// The command.
        command: String,
        /// The end of what it wrote.
        said: String,
    },
    /// A file that is not as expected.
    #[error("{path}: {expected}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: String,
    },
    /// Something did not happen in the time that it was given.
    #[error("waited {seconds} s in vain for {what}")]
    Late {
        /// For what.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// A host of the city stopped.
    #[error("the host {0} of the city stopped")]
    HostGone(String),
}

/// A result of the lab.
pub type Result<T> = std::result::Result<T, Error>;

/// Says what was tried when an operating system call fails.
pub(crate) trait Tried<T> {
    /// Names the attempt.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}

impl<T> Tried<T> for nix::Result<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::Io { what: what(), source: errno.into() })
    }
}
