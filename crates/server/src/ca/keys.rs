//! Where the private keys of issuers are made and used: on a token where one is set, else here under a passphrase.
//!
//! Guarantees: a key of a token is never here; whoever waits for a token holds nobody else up.

use super::{CaError, key::Passphrase};
use pkcs11::{Place, TokenKey};
use pki::{Algorithm, PublicKey, SignError, Signer, SoftwareKey};
use std::sync::Arc;
use store::{IssuerKey, IssuerRecord};
use tokio::runtime::{Handle, RuntimeFlavor};

/// What makes and opens keys.
pub(super) struct Keys {
    passphrase: Passphrase,
    token: Option<Place>,
}

/// A key, and how it is kept.
pub(super) struct Kept {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) key: IssuerKey,
}

impl Keys {
    pub(super) const fn new(passphrase: Passphrase, token: Option<Place>) -> Self {
        Self { passphrase, token }
    }

    /// A new key, where the settings want keys to be.
    pub(super) fn make(&self, algorithm: Algorithm) -> Result<Kept, SignError> {
        let Some(token) = &self.token else {
            return self.keep(&SoftwareKey::generate(algorithm)?);
        };
        let random = crate::secret::random::<16>().map_err(|_| SignError::Refused("no randomness".into()))?;
        let place = token.with_object(&format!("bastide-{}", crate::secret::hex(&random)));
        let key = IssuerKey::At(place.to_string());
        let signer = off_the_runtime(|| TokenKey::make(place, algorithm))?;
        Ok(Kept { signer: Arc::new(Patient(signer)), key })
    }

    /// Keeps a key (PKCS #8 in DER) here, under the passphrase.
    pub(super) fn keep(&self, pkcs8: &[u8]) -> Result<Kept, SignError> {
        let key = IssuerKey::Sealed(self.passphrase.seal(pkcs8)?);
        Ok(Kept { signer: Arc::new(SoftwareKey::read(pkcs8)?), key })
    }

    /// The key of an issuer.
    pub(super) fn open(&self, of: &IssuerRecord) -> Result<Arc<dyn Signer>, CaError> {
        self.at(&of.key, &of.name)
    }

    fn at(&self, key: &IssuerKey, whose: &str) -> Result<Arc<dyn Signer>, CaError> {
        let failed = |error| CaError::Key { issuer: whose.to_owned(), error };
        match key {
            IssuerKey::Away => Err(CaError::Away(whose.to_owned())),
            IssuerKey::Sealed(pem) => {
                let pkcs8 = self.passphrase.open(pem).map_err(failed)?;
                Ok(Arc::new(SoftwareKey::read(pkcs8.as_bytes()).map_err(failed)?))
            }
            IssuerKey::At(place) => {
                let place = self.place(place).ok_or_else(|| CaError::Unreadable(whose.to_owned()))?;
                let key = off_the_runtime(|| TokenKey::open(place));
                Ok(Arc::new(Patient(key.map_err(|error| failed(error.into()))?)))
            }
        }
    }

    /// A key that is kept already.
    pub(super) fn again(&self, key: IssuerKey, whose: &str) -> Result<Kept, CaError> {
        Ok(Kept { signer: self.at(&key, whose)?, key })
    }

    /// The key of an issuer as PKCS #8, to be taken away.
    pub(super) fn take(&self, of: &IssuerRecord) -> Result<pki::SecretDocument, CaError> {
        let failed = |error| CaError::Key { issuer: of.name.clone(), error };
        match &of.key {
            IssuerKey::Away => Err(CaError::Away(of.name.clone())),
            IssuerKey::Sealed(pem) => self.passphrase.open(pem).map_err(failed),
            IssuerKey::At(place) => Err(failed(SignError::Refused(format!(
                "it is on a token, which nobody takes it out of ({place})"
            )))),
        }
    }

    /// Forgets a key that was made for nothing.
    pub(super) fn forget(&self, key: &IssuerKey) {
        let IssuerKey::At(place) = key else { return };
        let Some(place) = self.place(place) else { return };
        if let Err(error) = off_the_runtime(|| TokenKey::destroy(&place)) {
            tracing::warn!(%error, %place, "a key that nobody needs stays on its token");
        }
    }

    fn place(&self, kept: &str) -> Option<Place> {
        let kept: Place = kept.parse().ok()?;
        Some(match &self.token {
            Some(now) => kept.reached_as(now),
            None => kept,
        })
    }
}

/// A key on a token, which may take its time to sign.
struct Patient(TokenKey);

impl Signer for Patient {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        off_the_runtime(|| self.0.sign(message))
    }
}

/// Does what blocks, and lets this thread's other tasks be done by others meanwhile.
fn off_the_runtime<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
