//! Checkpoints (`c2sp.org/tlog-checkpoint`): how large a log is and what its root is, signed by the log and cosigned
//! by witnesses (`c2sp.org/tlog-cosignature`).
//!
//! Guarantees: a [`Witnessed`] checkpoint was signed by a key that [`Trust`] names, and cosigned by as many witnesses
//! as it asks for. A signature by a trusted key that does not verify spoils the whole note.

use crate::{
    Algorithm, Hash, MAX_SIZE, Note, NoteError, VerifierKey, key::Signed, note::check_name, shortened,
};
use model::{AuthorityId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

/// How many extension lines are read.
pub const MAX_EXTENSIONS: usize = 16;

/// The size of a tree and its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// How many leaves.
    pub size: u64,
    /// The root.
    pub root: Hash,
}

impl Head {
    /// Of a log that has no leaf yet.
    pub const EMPTY: Self = Self { size: 0, root: Hash::EMPTY };
}

impl Default for Head {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// What a log says of itself: the text of the note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Its size and root.
    pub head: Head,
    /// Further lines; our logs write none, since no witness vouches for them.
    pub extensions: Vec<String>,
}

/// The origin of an authority's log on a node: `bastide/<node>/<authority>`.
///
/// # Errors
/// [`NoteError::Name`] where that is no name for a key.
pub fn origin(node: &str, authority: &AuthorityId) -> Result<String, NoteError> {
    let origin = format!("bastide/{node}/{authority}");
    check_name(&origin)?;
    Ok(origin)
}

/// What is wrong with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
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
    /// Too many further lines.
    #[error("expected at most {MAX_EXTENSIONS} extension lines, found {0}")]
    Extensions(usize),
    /// More leaves than are worked with.
    #[error("expected a tree of at most {MAX_SIZE} leaves, found {0}")]
    TooLarge(u64),
    /// Of another log.
    #[error("expected a checkpoint of {expected:?}, found one of {found:?}")]
    Origin {
        /// Which log was asked for.
        expected: String,
        /// Which it is.
        found: String,
    },
    /// Not signed by the log.
    #[error("expected a signature by a key of the log ({keys}), found none")]
    NotSigned {
        /// The keys that would do.
        keys: String,
    },
    /// Signed wrongly by a key that is trusted.
    #[error("the signature by {key} does not verify: the checkpoint was changed, or it was never signed")]
    BadSignature {
        /// Whose.
        key: String,
    },
    /// Too few witnesses.
    #[error("expected cosignatures by {expected} of the trusted witnesses, found {found}")]
    TooFewWitnesses {
        /// How many have to be.
        expected: usize,
        /// How many are.
        found: usize,
    },
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.head.size, self.head.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let wrong =
            |line, expected, found: &str| CheckpointError::Line { line, expected, found: shortened(found) };
        let whole = text.strip_suffix('\n').ok_or(NoteError::NoLineEnd)?;
        let mut lines = whole.split('\n');
        let origin = lines.next().unwrap_or_default();
        if origin.is_empty() {
            return Err(wrong(1, "an origin", origin));
        }
        let size = lines.next().unwrap_or_default();
        let size = number(size).ok_or_else(|| wrong(2, "a number of leaves without leading zeros", size))?;
        if size > MAX_SIZE {
            return Err(CheckpointError::TooLarge(size));
        }
        let root = lines.next().unwrap_or_default();
        let root = root.parse().map_err(|_| wrong(3, "the base64 of a root of 32 bytes", root))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.len() > MAX_EXTENSIONS {
            return Err(CheckpointError::Extensions(extensions.len()));
        }
        if let Some(empty) = extensions.iter().position(String::is_empty) {
            return Err(wrong(4 + empty, "an extension", ""));
        }
        Ok(Self { origin: origin.into(), head: Head { size, root }, extensions })
    }
}

/// A decimal number without leading zeros.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// Whom to believe.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The log.
    pub origin: String,
    /// Its keys: one, or two while it changes them.
    pub log: Vec<VerifierKey>,
    /// The witnesses that count.
    pub witnesses: Vec<VerifierKey>,
    /// How many of them have to have cosigned.
    pub quorum: usize,
}

/// A checkpoint that was found to be signed as [`Trust`] asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Which trusted witnesses cosigned it, and when.
    pub witnesses: BTreeMap<String, Timestamp>,
}

impl Trust {
    /// Of a log with one key and no witnesses.
    #[must_use]
    pub fn of(key: VerifierKey) -> Self {
        Self { origin: key.name().into(), log: vec![key], witnesses: Vec::new(), quorum: 0 }
    }

    /// Reads a checkpoint and believes it, or not.
    ///
    /// # Errors
    /// [`CheckpointError`] saying why it cannot be believed.
    pub fn open(&self, note: &Note) -> Result<Witnessed, CheckpointError> {
        let checkpoint: Checkpoint = note.text().parse()?;
        if checkpoint.origin != self.origin {
            return Err(CheckpointError::Origin {
                expected: shortened(&self.origin),
                found: shortened(&checkpoint.origin),
            });
        }
        let mut by_log = false;
        for key in self.log.iter().filter(|key| key.algorithm() == Algorithm::Note) {
            by_log |= signed(key, note)?.is_some();
        }
        if !by_log {
            let keys: Vec<String> = self.log.iter().map(ToString::to_string).collect();
            return Err(CheckpointError::NotSigned { keys: keys.join(", ") });
        }
        // A witness with two keys is one witness, and so is a key with two names.
        let (mut witnesses, mut counted) = (BTreeMap::new(), BTreeSet::new());
        for key in self.witnesses.iter().filter(|key| key.algorithm() == Algorithm::Cosignature) {
            if let Some(Signed::At(at)) = signed(key, note)?
                && counted.insert(key.bytes())
            {
                witnesses.insert(key.name().to_owned(), at);
            }
        }
        if witnesses.len() < self.quorum {
            return Err(CheckpointError::TooFewWitnesses { expected: self.quorum, found: witnesses.len() });
        }
        Ok(Witnessed { checkpoint, witnesses })
    }
}

/// How the note is signed by that key, if it says to be.
fn signed(key: &VerifierKey, note: &Note) -> Result<Option<Signed>, CheckpointError> {
    let mut found = None;
    for signature in note.signatures().iter().filter(|signature| key.is_named_by(signature)) {
        let bad = || CheckpointError::BadSignature { key: key.to_string() };
        found = Some(key.verify(note.text(), signature).ok_or_else(bad)?);
    }
    Ok(found)
}
