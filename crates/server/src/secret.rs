//! Secrets that open doors: 256 random bits, shown once, kept as SHA-256.

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// A fresh secret in base64url without padding: 43 letters.
///
/// # Errors
/// Where the machine has no randomness; nothing may be opened then.
pub(crate) fn fresh() -> Result<String, NoRandomness> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// Random bytes.
///
/// # Errors
/// Where the machine has none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0_u8; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// The machine gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the machine gives no randomness")]
pub struct NoRandomness;

/// What is kept of a secret. Comparing hashes of 256 random bits leaks nothing by its time.
#[must_use]
pub(crate) fn hash(secret: impl AsRef<[u8]>) -> String {
    hex(digest::digest(&digest::SHA256, secret.as_ref()).as_ref())
}

/// Whether the text could be a secret of ours at all.
#[must_use]
pub(crate) fn is_well_formed(secret: &str) -> bool {
    secret.len() == 43 && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Lower-case hexadecimal.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal text; unset where it is none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_secrets_are_well_formed_and_differ() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert!(is_well_formed(&one) && is_well_formed(&other));
        assert_ne!(one, other);
        assert_ne!(hash(&one), hash(&other));
        for bad in ["", "short", &format!("{one}A"), &one.replacen(|_: char| true, "=", 1)] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
