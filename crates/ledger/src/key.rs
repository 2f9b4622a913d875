//! Keys: those that sign a log, those that witness one, and those that verify both.
//!
//! Guarantees: a key of a log signs heads of its own log only; a key of a witness signs only what [`crate::judge`]
//! accepted. They are different types and must be different keys: a cosignature does not say whose it is. All are
//! Ed25519; ids are made as the signed-note format recommends.

use crate::{
    Checkpoint, Head, Note, NoteError, Signature,
    note::{MAX_NAME, check_name},
    shortened,
};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use model::Timestamp;
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// What a key signs with, as its first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// Ed25519 over the text of a note: the key of a log.
    Note = 1,
    /// Ed25519 over a time and a checkpoint, `cosignature/v1`: the key of a witness.
    Cosignature = 4,
}

/// A public key that signatures are verified with. Written as `name+id+key`, the form that all C2SP tools take.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    key: [u8; 32],
    id: [u8; 4],
}

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not the form of a verifier key.
    #[error("expected a verifier key `name+12345678+base64`, found {0:?}")]
    Form(String),
    /// Another algorithm.
    #[error("expected a key of type 1 (Ed25519) or 4 (Ed25519 cosignature), found type {0}")]
    Algorithm(u8),
    /// The id is not that of name and key: one of the three is mistyped.
    #[error("expected the id {expected} for this name and key, found {found}")]
    Id {
        /// What it has to be.
        expected: String,
        /// What it says.
        found: String,
    },
    /// A point under which anybody can sign, or bytes that write a point in a second way.
    #[error("expected an Ed25519 public key, found one that is weak or not canonical")]
    Weak,
    /// Not PKCS#8 of an Ed25519 key.
    #[error("expected an Ed25519 private key in PKCS#8")]
    PrivateKey,
    /// A name that no key may have.
    #[error(transparent)]
    Name(#[from] NoteError),
}

impl VerifierKey {
    /// Of its parts.
    ///
    /// # Errors
    /// [`KeyError`] for a name or a key that is none.
    pub fn new(name: &str, algorithm: Algorithm, key: [u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        if is_weak(&key) {
            return Err(KeyError::Weak);
        }
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([b'\n', algorithm as u8]);
        hasher.update(key);
        let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
        Ok(Self { name: name.into(), algorithm, key, id: [a, b, c, d] })
    }

    /// Its name; that of a log's key is the origin of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key itself.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Whether a signature says to be by this key.
    #[must_use]
    pub fn is_named_by(&self, signature: &Signature) -> bool {
        signature.name() == self.name && signature.id() == self.id
    }

    /// Whether the signature is by this key over that text; for a cosignature, when it was made.
    pub(crate) fn verify(&self, text: &str, signature: &Signature) -> Option<Signed> {
        if !self.is_named_by(signature) {
            return None;
        }
        let (message, bytes, signed) = match self.algorithm {
            Algorithm::Note => (text.to_owned(), signature.bytes(), Signed::Plain),
            Algorithm::Cosignature => {
                let (time, bytes) = signature.bytes().split_first_chunk::<8>()?;
                let seconds = u64::from_be_bytes(*time);
                let at = i64::try_from(seconds).ok()?;
                (cosigned_message(seconds, text), bytes, Signed::At(Timestamp::from_secs(at)))
            }
        };
        let key = ParsedPublicKey::new(&ED25519, self.key).ok()?;
        key.verify_sig(message.as_bytes(), bytes).ok().map(|()| signed)
    }
}

/// Whether the bytes are one of the eight points of small order, under which a signature needs no private key, or a
/// coordinate that is not below 2^255 - 19. Libraries leave that to whoever takes keys from others.
fn is_weak(key: &[u8; 32]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let mut y = *key;
    let [first, middle @ .., last] = &mut y;
    // The highest bit is the sign of the other coordinate.
    *last &= 0x7f;
    // 2^255 - 20, which has order 2, and all above it; 0 has order 4, and 1 is the neutral element.
    let high = *last == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xec;
    let low = *last == 0 && middle.iter().all(|byte| *byte == 0) && *first <= 1;
    high || low || ORDER_8.contains(&y)
}

/// How a text was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// As it stands.
    Plain,
    /// With a time.
    At(Timestamp),
}

fn cosigned_message(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [[self.algorithm as u8].as_slice(), &self.key].concat();
        write!(f, "{}+{}+{}", self.name, hexadecimal(self.id), BASE64_STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let form = || KeyError::Form(shortened(text));
        if text.len() > MAX_NAME + 64 {
            return Err(form());
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form());
        };
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| form())?;
        let (algorithm, key) = bytes.split_first().ok_or_else(form)?;
        let algorithm = match algorithm {
            1 => Algorithm::Note,
            4 => Algorithm::Cosignature,
            other => return Err(KeyError::Algorithm(*other)),
        };
        let key = Self::new(name, algorithm, key.try_into().map_err(|_| form())?)?;
        let expected = hexadecimal(key.id);
        if id == expected { Ok(key) } else { Err(KeyError::Id { expected, found: shortened(id) }) }
    }
}

fn hexadecimal(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// A private key in PKCS#8 for 32 random bytes, for the caller to keep.
///
/// # Errors
/// [`KeyError::PrivateKey`] where the bytes make no key.
pub fn new_private_key(seed: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::PrivateKey)?;
    let document = pair.to_pkcs8().map_err(|_| KeyError::PrivateKey)?;
    Ok(document.as_ref().to_vec())
}

/// The key of a log.
pub struct LogKey(PrivateKey);

/// The key of a witness.
pub struct WitnessKey(PrivateKey);

struct PrivateKey {
    pair: Ed25519KeyPair,
    public: VerifierKey,
}

impl PrivateKey {
    fn from_pkcs8(name: &str, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::PrivateKey)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| KeyError::PrivateKey)?;
        Ok(Self { public: VerifierKey::new(name, algorithm, key)?, pair })
    }

    fn sign(&self, prefix: &[u8], message: &str) -> Result<Signature, NoteError> {
        let signature = self.pair.sign(message.as_bytes());
        Signature::new(&self.public.name, self.public.id, [prefix, signature.as_ref()].concat())
    }
}

impl LogKey {
    /// The key of the log of that origin.
    ///
    /// # Errors
    /// [`KeyError`] for what is no key or no name.
    pub fn from_pkcs8(origin: &str, pkcs8: &[u8]) -> Result<Self, KeyError> {
        PrivateKey::from_pkcs8(origin, Algorithm::Note, pkcs8).map(Self)
    }

    /// What its signatures are verified with.
    #[must_use]
    pub const fn public(&self) -> &VerifierKey {
        &self.0.public
    }

    /// Signs a head of its log. Never to be asked for a head that does not continue the one signed before.
    ///
    /// # Errors
    /// None that a name which passed [`Self::from_pkcs8`] can cause; the signed note is checked like any other.
    pub fn sign(&self, head: Head) -> Result<Note, NoteError> {
        let checkpoint = Checkpoint { origin: self.0.public.name.clone(), head, extensions: Vec::new() };
        let mut note = Note::new(checkpoint.to_string())?;
        note.add(self.0.sign(&[], note.text())?)?;
        Ok(note)
    }
}

impl WitnessKey {
    /// The key of the witness of that name.
    ///
    /// # Errors
    /// [`KeyError`] for what is no key or no name.
    pub fn from_pkcs8(name: &str, pkcs8: &[u8]) -> Result<Self, KeyError> {
        PrivateKey::from_pkcs8(name, Algorithm::Cosignature, pkcs8).map(Self)
    }

    /// What its cosignatures are verified with.
    #[must_use]
    pub const fn public(&self) -> &VerifierKey {
        &self.0.public
    }

    /// Cosigns; reached through [`crate::Accepted`] only.
    pub(crate) fn cosign(&self, text: &str, at: Timestamp) -> Result<Signature, NoteError> {
        let seconds = u64::try_from(at.micros() / 1_000_000).unwrap_or(0);
        self.0.sign(&seconds.to_be_bytes(), &cosigned_message(seconds, text))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.0.public)
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessKey({})", self.0.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_anybody_can_sign_with_is_none() {
        let point = |first: u8, middle: u8, last: u8| {
            let mut bytes = [middle; 32];
            (bytes[0], bytes[31]) = (first, last);
            bytes
        };
        let check = |bytes, weak: bool| {
            let key = VerifierKey::new("a", Algorithm::Note, bytes);
            assert_eq!(key == Err(KeyError::Weak), weak, "{bytes:x?}: {key:?}");
        };
        for sign in [0, 0x80] {
            check(point(0, 0, sign), true);
            check(point(1, 0, sign), true);
            check(point(2, 0, sign), false);
            check(point(0xeb, 0xff, 0x7f | sign), false);
            (0xec..=0xff).for_each(|first| check(point(first, 0xff, 0x7f | sign), true));
        }
        // With the neutral element as key and as R, and S = 0, everything verifies: that is why.
        let (key, signature) = (point(1, 0, 0), [point(1, 0, 0), [0; 32]].concat());
        let parsed = ParsedPublicKey::new(&ED25519, key).unwrap();
        assert!(parsed.verify_sig(b"anything", &signature).is_ok());
    }

    /// The note that the signed-note standard publishes with its key, and that of Go's package.
    #[test]
    fn published_notes_verify() {
        let check = |key: &str, note: &str| {
            let key: VerifierKey = key.parse().unwrap();
            let good = Note::from_bytes(note.as_bytes()).unwrap();
            assert_eq!(key.verify(good.text(), &good.signatures()[0]), Some(Signed::Plain));
            assert_eq!(key.verify(&good.text().replace('m', "n"), &good.signatures()[0]), None);
            let other = VerifierKey::new(key.name(), Algorithm::Cosignature, key.key).unwrap();
            assert_eq!(other.verify(good.text(), &good.signatures()[0]), None);
        };
        check(
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "This is an example message.\n\n\u{2014} example.com/foo \
             Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
        );
        check(
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
             \u{2014} PeterNeumann \
             x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
        );
    }
}
