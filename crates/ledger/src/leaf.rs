//! A leaf: one decision in canonical bytes.
//!
//! Guarantees: a decision has exactly one form in bytes, and bytes that are not that form are no decision. The form
//! is JSON with its keys in a fixed order and without spaces. JSON, because whoever reads a ledger in ten years has a
//! parser for it and can see with bare eyes what it says; the bytes that are hashed are the bytes that are stored, so
//! that no reader ever has to make them again. Text is held to characters that JSON never escapes. FORMAT.md has the
//! whole of it.
//!
//! Nothing in a leaf is personal data: who acted and what the details were is committed to (see
//! [`Commitment`]), and ids are restricted to characters in which neither a name with spaces nor a mail address fits.

use crate::{Commitment, Deed, shortened};
use model::{AuthorityId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest leaf that tlog-tiles can carry, in bytes.
pub const MAX_LEAF: usize = 65_535;

/// The version of the form that this program writes.
pub const VERSION: u32 = 1;

/// How many subjects a decision may name.
pub const MAX_SUBJECTS: usize = 8;

/// One decision. Its place in the log is its number; the log is that of its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When it was made.
    pub at: Timestamp,
    /// Whose decision it is.
    pub authority: AuthorityId,
    /// Who made it.
    pub who: Who,
    /// What was decided.
    pub deed: Deed,
    /// What it is about: at most [`MAX_SUBJECTS`], the nearest first (a plan, then its incident).
    pub about: Vec<Subject>,
    /// Everything else: JSON that can be opened, and erased.
    pub details: Option<Commitment>,
}

/// Who made a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind", content = "id")]
pub enum Who {
    /// The program, by settings that people made.
    Program,
    /// A person.
    Person(Commitment),
    /// Whoever holds a token.
    Token(Commitment),
    /// A device or another node.
    Machine(Commitment),
}

impl Who {
    /// The commitment to the name, where there is one.
    #[must_use]
    pub const fn commitment(&self) -> Option<&Commitment> {
        match self {
            Self::Program => None,
            Self::Person(id) | Self::Token(id) | Self::Machine(id) => Some(id),
        }
    }
}

/// What a decision is about: a kind and an id, written `kind:id`, such as `incident:inc-0123456789abcdef`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(String);

impl Subject {
    /// The longest, kind and colon included.
    pub const MAX: usize = 160;

    /// Of a kind (lower-case letters and `-`) and an id.
    ///
    /// # Errors
    /// [`LeafError::Subject`] for what [`Self`] does not allow.
    pub fn new(kind: &str, id: impl fmt::Display) -> Result<Self, LeafError> {
        Self::try_from(format!("{kind}:{id}"))
    }

    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or("", |(kind, _)| kind)
    }

    /// Which one.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, id)| id)
    }

    /// Kind and id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Subject {
    type Error = LeafError;

    fn try_from(text: String) -> Result<Self, LeafError> {
        let fits = text.len() <= Self::MAX
            && text.split_once(':').is_some_and(|(kind, id)| {
                !kind.is_empty()
                    && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
                    && is_id(id)
            });
        if fits { Ok(Self(text)) } else { Err(LeafError::Subject(shortened(&text))) }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0
    }
}

/// What is wrong with a leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// It does not fit into the log.
    #[error("expected a leaf of at most {MAX_LEAF} bytes, found {0}")]
    TooLong(usize),
    /// Not JSON, or not of this shape.
    #[error("expected a decision: {0}")]
    Shape(String),
    /// A later form.
    #[error("expected a leaf of version {VERSION}, found version {0}: read it with a newer program")]
    Version(u32),
    /// Right in meaning, but not in the one form that a decision has.
    #[error("expected the canonical form of the decision, which differs from byte {0} on")]
    NotCanonical(usize),
    /// No subject.
    #[error("expected `kind:id` of at most {max} letters, digits and `-._~/:`, found {0:?}", max = Subject::MAX)]
    Subject(String),
    /// Too many subjects.
    #[error("expected at most {MAX_SUBJECTS} subjects, found {0}")]
    Subjects(usize),
}

/// What stands in the bytes, in this order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    v: u32,
    at: Timestamp,
    authority: AuthorityId,
    who: Who,
    deed: Deed,
    about: Vec<Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Commitment>,
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl Decision {
    /// The bytes that become the leaf.
    ///
    /// # Errors
    /// [`LeafError::Subjects`] for more than [`MAX_SUBJECTS`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, LeafError> {
        if self.about.len() > MAX_SUBJECTS {
            return Err(LeafError::Subjects(self.about.len()));
        }
        let form = Form {
            v: VERSION,
            at: self.at,
            authority: self.authority.clone(),
            who: self.who,
            deed: self.deed,
            about: self.about.clone(),
            details: self.details,
        };
        form.write(512)
    }

    /// Whether it is about that.
    #[must_use]
    pub fn concerns(&self, kind: &str, id: &str) -> bool {
        self.about.iter().any(|subject| subject.kind() == kind && subject.id() == id)
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// [`LeafError`]: what a newer program wrote is told apart from what no program wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > MAX_LEAF {
            return Err(LeafError::TooLong(bytes.len()));
        }
        let form: Form = serde_json::from_slice(bytes).map_err(|error| {
            match serde_json::from_slice::<Versioned>(bytes) {
                Ok(Versioned { v }) if v != VERSION => LeafError::Version(v),
                _ => LeafError::Shape(error.to_string()),
            }
        })?;
        if form.v != VERSION {
            return Err(LeafError::Version(form.v));
        }
        if form.about.len() > MAX_SUBJECTS {
            return Err(LeafError::Subjects(form.about.len()));
        }
        let canonical = form.write(bytes.len())?;
        if canonical != bytes {
            let same = canonical.iter().zip(bytes).take_while(|(left, right)| left == right).count();
            return Err(LeafError::NotCanonical(same));
        }
        let Form { at, authority, who, deed, about, details, .. } = form;
        Ok(Self { at, authority, who, deed, about, details })
    }
}

impl Form {
    fn write(&self, about: usize) -> Result<Vec<u8>, LeafError> {
        let mut bytes = Vec::with_capacity(about);
        serde_json::to_writer(&mut bytes, self).map_err(|error| LeafError::Shape(error.to_string()))?;
        Ok(bytes)
    }
}

/// Letters, digits and what stands in ids; nothing that JSON would escape, no space, no `@`.
fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte))
}
