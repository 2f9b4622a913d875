//! The proof of one leaf that needs nothing else (`c2sp.org/tlog-proof@v1`): its number, its path to the root, and
//! the checkpoint with its cosignatures.

use crate::{
    CheckpointError, Hash, Note, NoteError, ProofError, Source, Tree, TreeError, Trust, Witnessed,
    check::MAX_PROOF, check_inclusion, checkpoint::number, note::MAX_NOTE, shortened,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::{fmt, str::FromStr};

/// The longest proof that is read, in bytes.
pub(crate) const MAX_TEXT: usize = MAX_NOTE + MAX_EXTRA * 2 + 8 * 1024;

/// The most extra data that a proof may carry, in bytes.
pub(crate) const MAX_EXTRA: usize = 64 * 1024;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafProof {
    /// Data that the proof says nothing about; ours have none.
    pub extra: Option<Vec<u8>>,
    /// The number of the leaf, from 0.
    pub index: u64,
    /// From its sibling up.
    pub hashes: Vec<Hash>,
    /// What it leads to.
    pub checkpoint: Note,
}

/// Why a proof does not prove.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafProofError {
    /// Too long.
    #[error("expected a proof of at most {MAX_TEXT} bytes, found {0}")]
    TooLong(usize),
    /// A line is not what it has to be.
    #[error("line {line}: expected {expected}, found {found:?}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// No empty line before the checkpoint.
    #[error("expected an empty line and a checkpoint after the hashes")]
    NoCheckpoint,
    /// The checkpoint cannot be believed.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The leaf is not in the tree of the checkpoint.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl LeafProof {
    /// Makes the proof of a leaf, from a tree and the note that its head comes from.
    ///
    /// # Errors
    /// [`TreeError`] for no such leaf, and for tiles that are not those of the root.
    pub fn new<S: Source>(
        tree: &Tree<'_, S>,
        checkpoint: Note,
        index: u64,
    ) -> Result<Self, TreeError<S::Error>> {
        Ok(Self { extra: None, index, hashes: tree.inclusion(index)?, checkpoint })
    }

    /// Checks that these bytes are that leaf of a log that can be believed.
    ///
    /// # Errors
    /// [`LeafProofError`] saying why not.
    pub fn check(&self, leaf: &[u8], trust: &Trust) -> Result<Witnessed, LeafProofError> {
        let witnessed = trust.open(&self.checkpoint)?;
        check_inclusion(&self.hashes, witnessed.checkpoint.head, self.index, leaf)?;
        Ok(witnessed)
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// [`LeafProofError`] saying what was expected where.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LeafProofError> {
        if bytes.len() > MAX_TEXT {
            return Err(LeafProofError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| CheckpointError::Note(NoteError::NotText(error.valid_up_to())))?;
        text.parse()
    }
}

impl fmt::Display for LeafProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for LeafProof {
    type Err = LeafProofError;

    fn from_str(text: &str) -> Result<Self, LeafProofError> {
        let wrong =
            |line, expected, found: &str| LeafProofError::Line { line, expected, found: shortened(found) };
        let (before, checkpoint) = text.split_once("\n\n").ok_or(LeafProofError::NoCheckpoint)?;
        let mut lines = (1..).zip(before.split('\n')).peekable();
        let (line, header) = lines.next().unwrap_or_default();
        if header != HEADER {
            return Err(wrong(line, "c2sp.org/tlog-proof@v1", header));
        }
        let mut extra = None;
        if let Some((line, base64)) =
            lines.peek().and_then(|(line, text)| Some((*line, text.strip_prefix("extra ")?)))
        {
            let read = BASE64_STANDARD.decode(base64).ok().filter(|extra| extra.len() <= MAX_EXTRA);
            extra =
                Some(read.ok_or_else(|| wrong(line, "`extra` and the base64 of at most 64 KiB", base64))?);
            lines.next();
        }
        let (line, index) = lines.next().unwrap_or((line + 1, ""));
        let read = index.strip_prefix("index ").and_then(number);
        let index = read.ok_or_else(|| wrong(line, "`index` and a number without leading zeros", index))?;
        let mut hashes = Vec::new();
        for (line, found) in lines {
            if hashes.len() == MAX_PROOF {
                return Err(ProofError::TooLong(MAX_PROOF + 1).into());
            }
            let hash = found.parse().map_err(|_| wrong(line, "the base64 of a hash of 32 bytes", found))?;
            hashes.push(hash);
        }
        let checkpoint = Note::from_bytes(checkpoint.as_bytes()).map_err(CheckpointError::Note)?;
        Ok(Self { extra, index, hashes, checkpoint })
    }
}
