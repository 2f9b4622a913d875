//! Personal data in an append-only log: a salted commitment in the leaf, salt and value elsewhere.
//!
//! Guarantees: a commitment is HMAC-SHA-256 with the salt as key over the value. HMAC is a pseudorandom function, so
//! that without the salt nothing can be learnt about the value, not even by trying all names of a city; and since a
//! salt has exactly 256 bits (shorter keys of HMAC are padded, so that several would be one), nobody can open a
//! commitment in two ways. Erasing salt and value therefore erases the data, and the log stays whole.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;

/// The longest value that can be committed to, in bytes.
pub const MAX_VALUE: usize = 64 * 1024;

/// 256 bits drawn for one commitment alone. Never used twice, never derived from the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; Self::BYTES]);

impl Salt {
    /// How long a salt is.
    pub const BYTES: usize = 32;

    /// From bytes that a generator for keys has drawn.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// To be kept beside the value, and erased with it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// What a leaf says of something that must be erasable.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment(pub [u8; Self::BYTES]);

impl Commitment {
    /// How long a commitment is.
    pub const BYTES: usize = 32;
}

/// What opens a commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The salt.
    pub salt: Salt,
    /// The value: text, or JSON as text.
    pub value: String,
}

/// A value is too long to be committed to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a value of at most {MAX_VALUE} bytes, found {0}")]
pub struct ValueTooLong(usize);

impl Opening {
    /// Of a value, with a salt of its own.
    ///
    /// # Errors
    /// [`ValueTooLong`] for more than [`MAX_VALUE`] bytes.
    pub fn new(salt: Salt, value: impl Into<String>) -> Result<Self, ValueTooLong> {
        let value = value.into();
        if value.len() > MAX_VALUE { Err(ValueTooLong(value.len())) } else { Ok(Self { salt, value }) }
    }

    /// What goes into the leaf.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.salt.0), self.value.as_bytes());
        let mut bytes = [0; Commitment::BYTES];
        for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        Commitment(bytes)
    }

    /// Whether this is what the leaf committed to.
    #[must_use]
    pub fn opens(&self, commitment: &Commitment) -> bool {
        verify_slices_are_equal(&self.commitment().0, &commitment.0).is_ok()
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_32(deserializer).map(Self)
    }
}

impl Serialize for Commitment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Commitment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_32(deserializer).map(Self)
    }
}

fn read_32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    text.parse::<crate::Hash>().map(|hash| hash.0).map_err(D::Error::custom)
}
