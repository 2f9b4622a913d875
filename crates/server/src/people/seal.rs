//! The node's own key, and what is sealed with it.
//!
//! Guarantees: what has to be read again (shared secrets of second factors, of identity providers) lies in the database
//! only under AES-256-GCM with a key that does not; a sealed text opens for the purpose and the owner it was sealed for
//! and for no other; a mark can be made by this node only.

use crate::secret::{self, NoRandomness};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    constant_time, hmac,
};

const NONCE: usize = 12;
/// The form of what is sealed; another would begin otherwise.
const VERSION: u8 = 1;

/// Seals and opens, and makes marks.
pub(crate) struct Seal {
    sealing: RandomizedNonceKey,
    marking: hmac::Key,
}

/// What was sealed does not open: another key, another owner, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was sealed does not open with this node's key")]
pub(crate) struct DoesNotOpen;

impl Seal {
    /// With the node's own key ([`crate::keyfile`]).
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, DoesNotOpen> {
        let node = hmac::Key::new(hmac::HMAC_SHA256, key);
        let part = |purpose: &[u8]| hmac::sign(&node, purpose);
        let sealing =
            RandomizedNonceKey::new(&AES_256_GCM, part(b"sealing").as_ref()).map_err(|_| DoesNotOpen)?;
        Ok(Self { sealing, marking: hmac::Key::new(hmac::HMAC_SHA256, part(b"marking").as_ref()) })
    }

    /// What shows later that this node said something of somebody, in hexadecimal.
    pub(crate) fn mark(&self, purpose: &str, owner: &str) -> String {
        secret::hex(hmac::sign(&self.marking, &about(purpose, owner)).as_ref())
    }

    /// Whether a mark is this node's.
    pub(crate) fn is_mark(&self, purpose: &str, owner: &str, mark: &str) -> bool {
        constant_time::verify_slices_are_equal(self.mark(purpose, owner).as_bytes(), mark.as_bytes()).is_ok()
    }

    /// Seals `secret` for one purpose and owner, such as `totp` and a person's id: hexadecimal text.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub(crate) fn seal(&self, purpose: &str, owner: &str, secret: &[u8]) -> Result<String, NoRandomness> {
        let mut text = secret.to_vec();
        let nonce = self
            .sealing
            .seal_in_place_append_tag(aad(purpose, owner), &mut text)
            .map_err(|_| NoRandomness)?;
        let mut sealed = Vec::with_capacity(1 + NONCE + text.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&text);
        Ok(secret::hex(&sealed))
    }

    /// Opens what was sealed for this purpose and owner.
    ///
    /// # Errors
    /// [`DoesNotOpen`].
    pub(crate) fn open(&self, purpose: &str, owner: &str, sealed: &str) -> Result<Vec<u8>, DoesNotOpen> {
        let sealed = secret::unhex(sealed).ok_or(DoesNotOpen)?;
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(DoesNotOpen)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(DoesNotOpen)?;
        let mut text = text.to_vec();
        let opened = self
            .sealing
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad(purpose, owner), &mut text)
            .map_err(|_| DoesNotOpen)?
            .len();
        text.truncate(opened);
        Ok(text)
    }
}

fn aad(purpose: &str, owner: &str) -> Aad<Vec<u8>> {
    Aad::from(about(purpose, owner))
}

fn about(purpose: &str, owner: &str) -> Vec<u8> {
    [purpose.as_bytes(), &[0], owner.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_its_purpose_and_owner_only() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let sealed = seal.seal("totp", "per-1", b"secret").unwrap();
        assert!(!sealed.contains(&secret::hex(b"secret")));
        assert_ne!(sealed, seal.seal("totp", "per-1", b"secret").unwrap());
        // Another start, the same key.
        let seal = Seal::new(&[7; 32]).unwrap();
        assert_eq!(seal.open("totp", "per-1", &sealed).unwrap(), b"secret");
        assert_eq!(seal.open("totp", "per-2", &sealed), Err(DoesNotOpen));
        assert_eq!(seal.open("oidc", "per-1", &sealed), Err(DoesNotOpen));
        for at in 0..sealed.len() {
            let other = if sealed.as_bytes()[at] == b'0' { "1" } else { "0" };
            let bad = format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]);
            assert_eq!(seal.open("totp", "per-1", &bad), Err(DoesNotOpen), "letter {at}");
        }
        assert_eq!(seal.open("totp", "per-1", &sealed[..10]), Err(DoesNotOpen));
        for bad in ["", "0", "zz", "é"] {
            assert_eq!(seal.open("totp", "per-1", bad), Err(DoesNotOpen));
        }
        let mark = seal.mark("known", "per-1");
        assert!(seal.is_mark("known", "per-1", &mark));
        for (purpose, owner, mark) in
            [("known", "per-2", mark.as_str()), ("other", "per-1", &mark), ("known", "per-1", "")]
        {
            assert!(!seal.is_mark(purpose, owner, mark));
        }
        let other = Seal::new(&[8; 32]).unwrap();
        assert_eq!(other.open("totp", "per-1", &sealed), Err(DoesNotOpen));
    }
}
