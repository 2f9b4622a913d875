//! Private keys at rest: PKCS #8 under a passphrase, in PEM, as openssl reads and writes it.

use crate::error::SignError;
use aws_lc_rs::rand;
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument,
    der::{Decode as _, pem::PemLabel as _},
    pkcs5::pbes2::Parameters,
};

/// How often the passphrase is hashed. It holds 256 random bits where nobody chose another; one that somebody chose is to be
/// long.
const ROUNDS: u32 = 100_000;

/// A private key (PKCS #8 in DER) under a passphrase: PBES2 with PBKDF2 (SHA-256) and AES-256-CBC, in PEM.
///
/// # Errors
/// [`SignError`] where this is no private key, or there is no randomness.
pub fn seal(pkcs8: &[u8], passphrase: &str) -> Result<String, SignError> {
    let refused = |error: String| SignError::Refused(format!("it could not be encrypted: {error}"));
    let key = PrivateKeyInfoRef::from_der(pkcs8).map_err(|error| refused(error.to_string()))?;
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    rand::fill(&mut salt).and_then(|()| rand::fill(&mut iv)).map_err(|_| refused("no randomness".into()))?;
    let how = Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv);
    let how = how.map_err(|error| refused(error.to_string()))?;
    let sealed = key.encrypt_with_params(how, passphrase).map_err(|error| refused(error.to_string()))?;
    let pem = sealed.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF);
    Ok(pem.map_err(|error| refused(error.to_string()))?.to_string())
}

/// The private key (PKCS #8 in DER) that lies in PEM under a passphrase.
///
/// # Errors
/// [`SignError::NotOpened`] with what is wrong.
pub fn unseal(pem: &str, passphrase: &str) -> Result<SecretDocument, SignError> {
    let wrong = |reason: String| SignError::NotOpened(reason);
    let (label, sealed) = SecretDocument::from_pem(pem).map_err(|error| wrong(error.to_string()))?;
    if label != EncryptedPrivateKeyInfoRef::PEM_LABEL {
        return Err(wrong(format!("expected {}, found {label}", EncryptedPrivateKeyInfoRef::PEM_LABEL)));
    }
    let sealed = EncryptedPrivateKeyInfoRef::from_der(sealed.as_bytes());
    let sealed = sealed.map_err(|error| wrong(error.to_string()))?;
    sealed.decrypt(passphrase).map_err(|_| wrong("the passphrase does not fit".into()))
}
