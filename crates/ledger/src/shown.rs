//! What may be shown: openings of what leaves committed to, beside the log and never in it.

use crate::{Commitment, Decision, LeafError, MAX_VALUE, Opening, shortened};
use serde::{Deserialize, Serialize};

/// The longest file of openings, in bytes: both parts of every leaf of a bundle, of a usual length.
pub const MAX_OPENINGS: usize = 16 * 1024 * 1024;

/// Which part of a leaf is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Who it was.
    Who,
    /// The details.
    Details,
}

/// An opening, and what it opens. Written as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The number of the leaf.
    pub leaf: u64,
    /// Which part of it.
    pub part: Part,
    /// Salt and value.
    #[serde(flatten)]
    pub opening: Opening,
}

/// What is wrong with openings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShownError {
    /// Too many bytes.
    #[error("expected at most {MAX_OPENINGS} bytes of openings, found {0}")]
    TooLong(usize),
    /// Not an opening.
    #[error("line {line}: expected an opening: {reason}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What was expected.
        reason: String,
    },
    /// Of a leaf that is not there.
    #[error("leaf {0} is opened, but is not among these leaves")]
    NoSuchLeaf(u64),
    /// Of a leaf that cannot be read.
    #[error("leaf {leaf} is opened, but cannot be read: {reason}")]
    Unread {
        /// Which leaf.
        leaf: u64,
        /// Why not.
        reason: LeafError,
    },
    /// Of a part that is not there, or is another.
    #[error("leaf {leaf}: what is shown as its {part} is not what it committed to")]
    Wrong {
        /// Which leaf.
        leaf: u64,
        /// Which part.
        part: &'static str,
    },
}

impl Part {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::Details => "details",
        }
    }
}

impl Decision {
    /// The commitment to a part, where there is one.
    #[must_use]
    pub const fn commitment(&self, part: Part) -> Option<&Commitment> {
        match part {
            Part::Who => self.who.commitment(),
            Part::Details => self.details.as_ref(),
        }
    }
}

impl Shown {
    /// Checks it against its leaf.
    ///
    /// # Errors
    /// [`ShownError`] where it opens nothing.
    pub fn check(&self, leaf: &[u8]) -> Result<Decision, ShownError> {
        let decision = Decision::from_bytes(leaf);
        self.check_decision(decision.as_ref())?;
        decision.map_err(|reason| ShownError::Unread { leaf: self.leaf, reason })
    }

    /// Checks it against what its leaf says, or why that cannot be read.
    pub(crate) fn check_decision(&self, decision: Result<&Decision, &LeafError>) -> Result<(), ShownError> {
        let decision =
            decision.map_err(|reason| ShownError::Unread { leaf: self.leaf, reason: reason.clone() })?;
        let commitment = decision.commitment(self.part);
        if commitment.is_some_and(|commitment| self.opening.opens(commitment)) {
            Ok(())
        } else {
            Err(ShownError::Wrong { leaf: self.leaf, part: self.part.as_str() })
        }
    }

    /// Lines of JSON.
    #[must_use]
    pub fn to_lines(shown: &[Self]) -> Vec<u8> {
        let lines = shown.iter().filter_map(|one| serde_json::to_vec(one).ok());
        lines.flat_map(|line| line.into_iter().chain([b'\n'])).collect()
    }

    /// Reads lines of JSON.
    ///
    /// # Errors
    /// [`ShownError`] naming the line.
    pub fn from_lines(bytes: &[u8]) -> Result<Vec<Self>, ShownError> {
        if bytes.len() > MAX_OPENINGS {
            return Err(ShownError::TooLong(bytes.len()));
        }
        let lines = (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.is_empty());
        lines.map(|(line, text)| Self::from_line(line, text)).collect()
    }

    fn from_line(line: usize, text: &[u8]) -> Result<Self, ShownError> {
        let wrong = |reason: String| ShownError::Line { line, reason: shortened(&reason) };
        let shown: Self = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        if shown.opening.value.len() > MAX_VALUE {
            return Err(wrong(format!("expected a value of at most {MAX_VALUE} bytes")));
        }
        Ok(shown)
    }
}
