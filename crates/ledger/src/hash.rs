//! The hashes of the tree: SHA-256 as RFC 6962, section 2.1, separates leaves from nodes.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};
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
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The hash of a leaf: SHA-256 of `00` and its bytes.
    #[must_use]
    pub fn of_leaf(leaf: &[u8]) -> Self {
        Self(Sha256::new_with_prefix([0]).chain_update(leaf).finalize().into())
    }

    /// The hash of a node: SHA-256 of `01` and its two children.
    #[must_use]
    pub fn of_node(left: Self, right: Self) -> Self {
        Self(Sha256::new_with_prefix([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// The hash above hashes that stand one after the other, as many as a power of two.
    pub(crate) fn of_subtree(hashes: &[u8]) -> Self {
        let mut row: Vec<Self> = hashes.as_chunks().0.iter().copied().map(Self).collect();
        while row.len() > 1 {
            row = row.as_chunks().0.iter().map(|&[left, right]| Self::of_node(left, right)).collect();
        }
        row.first().copied().unwrap_or(Self::EMPTY)
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
