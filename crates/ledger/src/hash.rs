//! The hashes of the tree: SHA-256 as RFC 6962, section 2.1, separates leaves from nodes.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::{fmt, str::FromStr};

/// A hash of a leaf, a node or a root. Written in base64 as C2SP does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; Self::BYTES]);

/// What was not a hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the base64 of 32 bytes, found {0:?}")]
pub struct HashError(String);

impl Hash {
    /// How long a hash is.
    pub const BYTES: usize = 32;

    /// The root of a tree without leaves.
    pub const EMPTY: Self = Self(tlog_tiles::EMPTY_HASH.0);

    /// The hash of a leaf: SHA-256 of `00` and its bytes.
    #[must_use]
    pub fn of_leaf(leaf: &[u8]) -> Self {
        tlog_tiles::record_hash(leaf).into()
    }
}

impl From<tlog_tiles::Hash> for Hash {
    fn from(hash: tlog_tiles::Hash) -> Self {
        Self(hash.0)
    }
}

impl From<Hash> for tlog_tiles::Hash {
    fn from(hash: Hash) -> Self {
        Self(hash.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let bytes = BASE64_STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| HashError(crate::shortened(text)))
    }
}
