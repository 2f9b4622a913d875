//! The witness protocol (`c2sp.org/tlog-witness`), both sides: what a log asks and what a witness answers, as pure
//! functions. HTTP and keeping are the caller's.
//!
//! Guarantees: a witness cosigns only what [`judge`] accepted, and that continues what it cosigned before (the
//! caller's [`Head`], [`Head::EMPTY`] for a log it never cosigned), so that it never signs two histories. For that
//! the caller must replace the head that it gave to [`judge`] by [`Accepted::head`] *if it is still the same*,
//! durably, before it sends the cosignature; where it is not the same any more, it judges again.

use crate::{
    Checkpoint, CheckpointError, Hash, Head, Note, NoteError, ProofError, Signature, Trust, VerifierKey,
    WitnessKey,
    check::MAX_PROOF,
    check_consistency,
    checkpoint::number,
    note::{MAX_NOTE, read_signatures},
    shortened,
};
use model::Timestamp;
use std::fmt;

/// The longest request that a witness reads, in bytes.
pub const MAX_REQUEST: usize = MAX_NOTE + 4 * 1024;

/// The content type of the body of a conflict.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// What a log asks of a witness: the body of `POST <prefix>/add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness is believed to have cosigned last.
    pub old: u64,
    /// The proof that the checkpoint continues that.
    pub proof: Vec<Hash>,
    /// The checkpoint, signed by the log.
    pub checkpoint: Note,
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// What is wrong with a request. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Too long.
    #[error("expected a request of at most {MAX_REQUEST} bytes, found {0}")]
    TooLong(usize),
    /// No empty line before the checkpoint.
    #[error("expected `old SIZE`, a proof, an empty line and a checkpoint")]
    Shape,
    /// A line is not what it has to be.
    #[error("line {line}: expected {expected}, found {found:?}")]
    Line {
        /// Which.
        line: usize,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Too long a proof.
    #[error("expected at most {MAX_PROOF} hashes, found {0}")]
    Proof(usize),
    /// No checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// [`RequestError`] saying what was expected where.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_REQUEST {
            return Err(RequestError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| CheckpointError::Note(NoteError::NotText(error.valid_up_to())))?;
        let (before, checkpoint) = text.split_once("\n\n").ok_or(RequestError::Shape)?;
        let mut lines = before.split('\n');
        let first = lines.next().unwrap_or_default();
        let old = first.strip_prefix("old ").and_then(number).ok_or_else(|| RequestError::Line {
            line: 1,
            expected: "`old` and a size without leading zeros",
            found: shortened(first),
        })?;
        let proof = read_hashes(lines, 2)?;
        let checkpoint = Note::from_bytes(checkpoint.as_bytes()).map_err(CheckpointError::Note)?;
        Ok(Self { old, proof, checkpoint })
    }

    /// Which log it says to be of: what the witness looks its keys and its last head up by.
    ///
    /// # Errors
    /// [`RequestError::Checkpoint`] where it holds no checkpoint.
    pub fn origin(&self) -> Result<String, RequestError> {
        Ok(self.checkpoint.text().parse::<Checkpoint>()?.origin)
    }
}

/// Reads hashes, one a line, counted from `first`.
pub(crate) fn read_hashes<'a>(
    lines: impl Iterator<Item = &'a str>,
    first: usize,
) -> Result<Vec<Hash>, RequestError> {
    let mut hashes = Vec::new();
    for (line, found) in (first..).zip(lines) {
        if hashes.len() == MAX_PROOF {
            return Err(RequestError::Proof(MAX_PROOF + 1));
        }
        let expected = "the base64 of a hash of 32 bytes";
        let wrong = |_| RequestError::Line { line, expected, found: shortened(found) };
        hashes.push(found.parse().map_err(wrong)?);
    }
    Ok(hashes)
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a request.
    #[error(transparent)]
    Malformed(#[from] RequestError),
    /// Not a log that this witness knows.
    #[error("the log {0:?} is not known here")]
    UnknownLog(String),
    /// Not signed by the log.
    #[error(transparent)]
    NotSigned(CheckpointError),
    /// An old size beyond the new one.
    #[error("expected an old size of at most {size}, found {old}")]
    OldTooLarge {
        /// What it says the last size was.
        old: u64,
        /// The size of the checkpoint.
        size: u64,
    },
    /// The witness stands elsewhere.
    #[error("the last size cosigned is {0}")]
    Conflict(u64),
    /// Another root for the size that was cosigned: the log has two histories.
    #[error("at {0} leaves another root was cosigned")]
    Fork(u64),
    /// The checkpoint does not continue what was cosigned.
    #[error(transparent)]
    Inconsistent(ProofError),
}

impl Refusal {
    /// The status of HTTP that says so.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldTooLarge { .. } => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownLog(_) => 404,
            Self::Conflict(_) | Self::Fork(_) => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// Content type and body.
    #[must_use]
    pub fn body(&self) -> (&'static str, String) {
        match self {
            Self::Conflict(size) | Self::Fork(size) => (SIZE_TYPE, format!("{size}\n")),
            other => ("text/plain; charset=utf-8", format!("{other}\n")),
        }
    }
}

/// A checkpoint that may be cosigned once its head is kept.
#[derive(Debug)]
pub struct Accepted<'a> {
    note: &'a Note,
    origin: String,
    old: Head,
    head: Head,
}

/// Whether a witness cosigns: `keys` are those it knows for the origin of the request, none where it does not know
/// the log; `last` is what it cosigned last for that origin.
///
/// # Errors
/// [`Refusal`], in the order that the protocol lays down.
pub fn judge<'a>(
    request: &'a AddCheckpoint,
    keys: &[VerifierKey],
    last: Head,
) -> Result<Accepted<'a>, Refusal> {
    let origin = request.origin()?;
    if keys.is_empty() {
        return Err(Refusal::UnknownLog(shortened(&origin)));
    }
    let trust = Trust { origin: origin.clone(), log: keys.to_vec(), witnesses: Vec::new(), quorum: 0 };
    let head = trust.open(&request.checkpoint).map_err(Refusal::NotSigned)?.checkpoint.head;
    if request.old > head.size {
        return Err(Refusal::OldTooLarge { old: request.old, size: head.size });
    }
    if request.old != last.size {
        return Err(Refusal::Conflict(last.size));
    }
    if request.old == head.size && head.root != last.root {
        return Err(Refusal::Fork(last.size));
    }
    check_consistency(&request.proof, head, last).map_err(Refusal::Inconsistent)?;
    Ok(Accepted { note: &request.checkpoint, origin, old: last, head })
}

impl Accepted<'_> {
    /// Of which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What was cosigned last: keeping [`Self::head`] must fail where this is not what is kept.
    #[must_use]
    pub const fn old(&self) -> Head {
        self.old
    }

    /// What is cosigned now, to be kept before the cosignature is sent.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The cosignature; its line with a line end is the body of the answer.
    ///
    /// # Errors
    /// None that a key which was made can cause.
    pub fn cosign(&self, key: &WitnessKey, at: Timestamp) -> Result<Signature, NoteError> {
        key.cosign(self.note.text(), at)
    }
}

/// What a witness answered, as the log understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It cosigned; the note that was sent has its cosignature now.
    Cosigned,
    /// It cosigned another size last; ask again with a proof from there.
    Conflict(u64),
    /// It cosigned that size with another root, or a size that this log has not reached: somebody signed another
    /// history with the key of this log, or this log was put back to an earlier state.
    OtherHistory(u64),
    /// It refused.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it said, shortened.
        reason: String,
    },
}

/// Reads what a witness answered to a request, and adds its cosignature to the note where it verifies.
///
/// # Errors
/// [`CheckpointError`] where the witness said to have cosigned and did not, or answered what the protocol does not
/// know.
pub fn answered(
    request: &AddCheckpoint,
    note: &mut Note,
    witness: &VerifierKey,
    status: u16,
    body: &[u8],
) -> Result<Answer, CheckpointError> {
    let body = String::from_utf8_lossy(body.get(..MAX_NOTE).unwrap_or(body));
    let size = request.checkpoint.text().parse::<Checkpoint>()?.head.size;
    match status {
        200 => {
            let signatures = read_signatures(&body, 1)?;
            let ours = signatures.into_iter().find(|signature| witness.is_named_by(signature));
            let bad = || CheckpointError::BadSignature { key: witness.to_string() };
            let signature = ours.ok_or(CheckpointError::TooFewWitnesses { expected: 1, found: 0 })?;
            witness.verify(request.checkpoint.text(), &signature).ok_or_else(bad)?;
            note.add(signature)?;
            Ok(Answer::Cosigned)
        }
        409 => {
            let wrong = || CheckpointError::Line {
                line: 1,
                expected: "the size that was cosigned last",
                found: shortened(&body),
            };
            let theirs = body.strip_suffix('\n').and_then(number).ok_or_else(wrong)?;
            let other = theirs > size || theirs == request.old;
            Ok(if other { Answer::OtherHistory(theirs) } else { Answer::Conflict(theirs) })
        }
        // It stands where it was said to stand, and from there the proof does not lead here.
        422 => Ok(Answer::OtherHistory(request.old)),
        status => Ok(Answer::Refused { status, reason: shortened(body.trim_end()) }),
    }
}
