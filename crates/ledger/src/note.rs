//! Signed notes (`c2sp.org/signed-note`): text, and lines of who signed it.
//!
//! Guarantees: whatever is read is written again byte for byte; nothing is believed here, a note says who *claims* to
//! have signed it. Of our own rather than of the crate `signed_note`, because that brings a second implementation of
//! Ed25519 beside the one that TLS stands on, and says of any bad note only that it is malformed; the tests open our
//! notes with that crate and its notes with ours.

use crate::shortened;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::fmt;

/// The longest note that is read, in bytes: sixteen signatures of any kind fit.
pub const MAX_NOTE: usize = 128 * 1024;

/// The most signatures that a note may have.
pub const MAX_SIGNATURES: usize = 64;

/// The longest name of a key, in bytes.
pub const MAX_NAME: usize = 255;

/// What every line of a signature begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Text, and who says to have signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One line of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    name: String,
    /// The first bytes of its hash.
    id: [u8; 4],
    /// The signature; what is in it is the key's affair.
    bytes: Vec<u8>,
}

/// What is wrong with a note. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Too long.
    #[error("expected a note of at most {MAX_NOTE} bytes, found {0}")]
    TooLong(usize),
    /// Not text.
    #[error("expected UTF-8, found something else at byte {0}")]
    NotText(usize),
    /// A control character.
    #[error("expected no control character but line ends, found one at byte {0}")]
    Control(usize),
    /// Text without a line end.
    #[error("expected text that ends with a line end")]
    NoLineEnd,
    /// No line between text and signatures.
    #[error("expected an empty line between the text and its signatures")]
    NoSignatures,
    /// Too many signatures.
    #[error("expected at most {MAX_SIGNATURES} signatures, found more")]
    TooManySignatures,
    /// Not a signature.
    #[error(
        "line {line}: expected an em dash, a name, and the base64 of an id and a signature, found {found:?}"
    )]
    Signature {
        /// Which line.
        line: usize,
        /// What is there.
        found: String,
    },
    /// Not a name of a key.
    #[error("expected the name of a key: 1 to {MAX_NAME} bytes without spaces and `+`, found {0:?}")]
    Name(String),
}

impl Note {
    /// A note that nobody has signed yet.
    ///
    /// # Errors
    /// [`NoteError`] for text that no note may have.
    pub fn new(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        if text.len() > MAX_NOTE {
            return Err(NoteError::TooLong(text.len()));
        }
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::NoLineEnd);
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note with at least one signature.
    ///
    /// # Errors
    /// [`NoteError`] saying what was expected where.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let whole = std::str::from_utf8(bytes).map_err(|error| NoteError::NotText(error.valid_up_to()))?;
        check_characters(whole)?;
        let (text, signatures) = whole.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        // The text keeps its last line end.
        let mut note = Self::new(format!("{text}\n"))?;
        let first = text.matches('\n').count() + 3;
        note.signatures = read_signatures(signatures, first)?;
        if note.signatures.is_empty() { Err(NoteError::NoSignatures) } else { Ok(note) }
    }

    /// The text, with its last line end: what was signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Who says to have signed.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature; an earlier one by the same key is replaced.
    ///
    /// # Errors
    /// [`NoteError::TooManySignatures`] beyond [`MAX_SIGNATURES`].
    pub fn add(&mut self, signature: Signature) -> Result<(), NoteError> {
        self.signatures.retain(|old| (&old.name, old.id) != (&signature.name, signature.id));
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        self.signatures.push(signature);
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// Reads lines of signatures, as a witness answers them.
///
/// # Errors
/// [`NoteError`] naming the line, counted from `first`.
pub(crate) fn read_signatures(text: &str, first: usize) -> Result<Vec<Signature>, NoteError> {
    if text.len() > MAX_NOTE {
        return Err(NoteError::TooLong(text.len()));
    }
    if !text.ends_with('\n') {
        return Err(NoteError::NoLineEnd);
    }
    let mut signatures = Vec::new();
    for (line, found) in (first..).zip(text.split_terminator('\n')) {
        if signatures.len() == MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let signature = read_signature(found);
        signatures.push(signature.ok_or_else(|| NoteError::Signature { line, found: shortened(found) })?);
    }
    Ok(signatures)
}

fn read_signature(line: &str) -> Option<Signature> {
    let (name, base64) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>().filter(|(_, bytes)| !bytes.is_empty())?;
    Signature::new(name, *id, bytes.to_vec()).ok()
}

impl Signature {
    /// A signature by the key of that name and id.
    ///
    /// # Errors
    /// [`NoteError::Name`] for what no key is called.
    pub fn new(name: &str, id: [u8; 4], bytes: Vec<u8>) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.into(), id, bytes })
    }

    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The signature itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, id, bytes } = self;
        write!(f, "{DASH}{name} {}", BASE64_STANDARD.encode([id.as_slice(), bytes].concat()))
    }
}

/// Checks the name of a key.
pub(crate) fn check_name(name: &str) -> Result<(), NoteError> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && !name.chars().any(|char| char.is_whitespace() || char.is_control() || char == '+');
    if fits { Ok(()) } else { Err(NoteError::Name(shortened(name))) }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    let control = text.bytes().position(|byte| byte < 0x20 && byte != b'\n');
    control.map_or(Ok(()), |at| Err(NoteError::Control(at)))
}
