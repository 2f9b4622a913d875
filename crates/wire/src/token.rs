//! The token that a device is enrolled with: whom to trust, and a secret that is good once.
//!
//! `bst-enrol_<32 hexadecimal digits>_<43 characters of base64url>`: the digits are the first half of the SHA-256 of the
//! authority's own certificate (self-signed, in DER), so that one line of text is enough to begin with: the device asks
//! an unknown server for its certificates, and believes the one that the token names.

use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

const PREFIX: &str = "bst-enrol_";
const PIN_BYTES: usize = 16;
const SECRET: usize = 43;

/// An enrolment token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pin: [u8; PIN_BYTES],
    secret: String,
}

/// What is no token. It is not repeated: it may be one with a letter too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no enrolment token ({0}): expected bst-enrol_, 32 hexadecimal digits, _ and 43 letters, digits, - or _"
)]
pub struct TokenError(&'static str);

impl Token {
    /// The token of this secret, under the authority with this self-signed certificate (DER).
    ///
    /// # Errors
    /// [`TokenError`] where the secret is none.
    pub fn new(authority: &[u8], secret: &str) -> Result<Self, TokenError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if secret.len() != SECRET {
            return Err(TokenError("its secret has another length"));
        }
        if !secret.bytes().all(plain) {
            return Err(TokenError("its secret has other characters"));
        }
        Ok(Self { pin: pin(authority), secret: secret.to_owned() })
    }

    /// Whether this certificate (DER) is the one it names.
    #[must_use]
    pub fn names(&self, certificate: &[u8]) -> bool {
        pin(certificate) == self.pin
    }

    /// The whole token: to be shown once, and to be sent to nobody but the server that the certificate vouches for.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.pin_text(), self.secret)
    }

    fn pin_text(&self) -> String {
        self.pin.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest = text.strip_prefix(PREFIX).ok_or(TokenError("it begins otherwise"))?;
        let (digits, secret) = rest.split_once('_').ok_or(TokenError("a part is missing"))?;
        if digits.len() != PIN_BYTES * 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(TokenError("its first part is not 32 hexadecimal digits"));
        }
        let mut token = Self::new(&[], secret)?;
        for (byte, digits) in token.pin.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let digits =
                std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
            *byte = digits.ok_or(TokenError("its first part is not 32 hexadecimal digits"))?;
        }
        Ok(token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_…", self.pin_text())
    }
}

fn pin(certificate: &[u8]) -> [u8; PIN_BYTES] {
    let mut pin = [0; PIN_BYTES];
    pin.iter_mut().zip(Sha256::digest(certificate)).for_each(|(byte, hashed)| *byte = hashed);
    pin
}
