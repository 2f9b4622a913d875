//! The device's key with the certificate that says whose it is, and the authorities it trusts.

use crate::{
    disk::{DiskError, Folder},
    pem, tpm,
};
use model::Timestamp;
use pkcs11::{Place, TokenKey};
use pki::{Algorithm, Certificate, SignError, Signer, SoftwareKey};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::WebPkiClientVerifier,
};
use std::{sync::Arc, time::Duration};

const IDENTITY: &str = "identity.pem";
const PENDING: &str = "pending.pem";
const TRUST: &str = "ca.pem";
const MOST_BYTES: usize = 256 * 1024;
/// The most authorities that are trusted: the one that is, and the next.
const MOST_ROOTS: usize = 8;

/// A private key: in memory and on the disk, or on a token.
pub struct Key {
    kept: Kept,
    signer: Arc<dyn Signer>,
}

enum Kept {
    /// Here, as PKCS #8 in DER.
    Here(Vec<u8>),
    /// There, and nowhere else.
    On(Place),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.signer.algorithm()).finish_non_exhaustive()
    }
}

/// Why a key that was begun with cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The token.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A key with its certificate.
#[derive(Debug)]
pub struct Identity {
    key: Key,
    chain: Vec<Vec<u8>>,
    certificate: Certificate,
}

/// The authorities that are trusted, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    roots: Vec<Vec<u8>>,
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// [`SignError`] where there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SignError> {
        let pkcs8 = SoftwareKey::generate(algorithm)?;
        let signer = Arc::new(SoftwareKey::from_pkcs8(algorithm, &pkcs8)?);
        Ok(Self { signer, kept: Kept::Here(pkcs8) })
    }

    /// A new one on this token; without one, here.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn generate_on(token: Option<&Place>, algorithm: Algorithm) -> Result<Self, SignError> {
        let Some(token) = token else { return Self::generate(algorithm) };
        let place = token.with_object(&format!("{}{}", tpm::LABEL, tpm::random()?));
        let key = TokenKey::make(place.clone(), algorithm)?;
        Ok(Self { signer: Arc::new(key), kept: Kept::On(place) })
    }

    fn read(pkcs8: Vec<u8>) -> Option<Self> {
        Some(Self { signer: Arc::new(SoftwareKey::read(&pkcs8).ok()?), kept: Kept::Here(pkcs8) })
    }

    /// What signs with it.
    #[must_use]
    pub fn signer(&self) -> &Arc<dyn Signer> {
        &self.signer
    }

    /// On which token it is; nothing where it is in the folder.
    #[must_use]
    pub const fn token(&self) -> Option<&Place> {
        match &self.kept {
            Kept::Here(_) => None,
            Kept::On(place) => Some(place),
        }
    }

    /// Forgets it for ever, where others would not: its token keeps what nobody uses any more.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn destroy(&self) -> Result<(), SignError> {
        match &self.kept {
            Kept::Here(_) => Ok(()),
            Kept::On(place) => Ok(TokenKey::destroy(place)?),
        }
    }

    fn text(&self) -> String {
        match &self.kept {
            Kept::Here(pkcs8) => pem::write("PRIVATE KEY", pkcs8),
            Kept::On(place) => format!("{place}\n"),
        }
    }

    /// The one that an enrolment was begun with, if one was.
    ///
    /// # Errors
    /// [`KeyError`], also where its token is away.
    pub fn pending(folder: &Folder) -> Result<Option<Self>, KeyError> {
        let Some(text) = folder.read_secret(PENDING, MOST_BYTES)? else { return Ok(None) };
        let Ok(parts) = pem::read(&text) else { return Ok(None) };
        if let Some(place) = parts.places.into_iter().next() {
            let signer = Arc::new(TokenKey::open(place.clone()).map_err(SignError::from)?);
            return Ok(Some(Self { signer, kept: Kept::On(place) }));
        }
        Ok(parts.keys.into_iter().next().and_then(Self::read))
    }

    /// Keeps it until a certificate is there.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn save_pending(&self, folder: &Folder) -> Result<(), DiskError> {
        folder.replace(PENDING, self.text().as_bytes())
    }
}

impl Identity {
    /// Of these, where the first certificate of the chain is about the key.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(key: Key, chain: Vec<Vec<u8>>) -> Result<Self, String> {
        let first = chain.first().ok_or("expected a certificate")?;
        let certificate = Certificate::from_der(first).map_err(|error| error.to_string())?;
        if certificate.key() != key.signer.public_key() {
            return Err("the certificate is about another key".into());
        }
        Ok(Self { key, chain, certificate })
    }

    /// The one of this folder; nothing where there is none.
    ///
    /// # Errors
    /// [`DiskError`], also where others may read it.
    pub fn load(folder: &Folder) -> Result<Option<Self>, DiskError> {
        let Some(text) = folder.read_secret(IDENTITY, MOST_BYTES)? else { return Ok(None) };
        let read = || {
            let parts = pem::read(&text)?;
            let key = match parts.places.into_iter().next() {
                Some(place) => on_token(place, &parts.certificates)?,
                None => parts.keys.into_iter().next().and_then(Key::read).ok_or("expected a private key")?,
            };
            Self::new(key, parts.certificates)
        };
        read().map(Some).map_err(|reason| {
            folder.content(IDENTITY, format!("{reason}; enrol the device again with --replace"))
        })
    }

    /// Keeps key and certificates, in one write: one is never there without the other.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn save(&self, folder: &Folder) -> Result<(), DiskError> {
        let mut text = self.key.text();
        text.extend(self.chain.iter().map(|certificate| pem::write("CERTIFICATE", certificate)));
        folder.replace(IDENTITY, text.as_bytes())?;
        folder.remove(PENDING)
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Its certificates, its own first, in DER.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// Its own certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// SHA-256 of its public key, in hexadecimal digits: by this the server's settings name it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&*self.key.signer)
    }

    /// From when it is to be renewed: two thirds of its life and up to a twentieth more, by its serial number, so that those
    /// who were enrolled together do not come back together.
    #[must_use]
    pub fn renew_from(&self) -> Timestamp {
        let (from, to) = (self.certificate.view().begins, self.certificate.view().ends);
        let life = to.micros_since(from);
        let share = self.share();
        from.plus_micros(life / 3 * 2 + (life / 20) / 256 * i64::from(share))
    }

    /// A number of this certificate's own, out of its serial number.
    #[must_use]
    pub fn share(&self) -> u8 {
        // The last byte: the first is made to be positive.
        self.certificate.serial().as_bytes().last().copied().unwrap_or_default()
    }
}

/// The key at this place: its certificate says which it is, so that the token is not asked before it has to sign.
fn on_token(place: Place, chain: &[Vec<u8>]) -> Result<Key, String> {
    let first = chain.first().ok_or("expected a certificate")?;
    let certificate = Certificate::from_der(first).map_err(|error| error.to_string())?;
    let public = certificate.key().clone();
    let algorithm = public.algorithm().ok_or("the certificate is about a key that is not used here")?;
    let signer = Arc::new(TokenKey::known(place.clone(), algorithm, public));
    Ok(Key { signer, kept: Kept::On(place) })
}

/// SHA-256 of a public key, in hexadecimal digits.
#[must_use]
pub fn fingerprint(signer: &dyn Signer) -> String {
    let bytes = signer.public_key().fingerprint().unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Trust {
    /// These authorities.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(roots: Vec<Vec<u8>>) -> Result<Self, String> {
        if roots.is_empty() || roots.len() > MOST_ROOTS {
            return Err(format!("found {} authorities: expected 1 to {MOST_ROOTS}", roots.len()));
        }
        let trust = Self { roots };
        trust.store()?;
        Ok(trust)
    }

    /// Those of a PEM text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pem(text: &[u8]) -> Result<Self, String> {
        Self::new(pem::read(text)?.certificates)
    }

    /// Those of this folder; nothing where there are none.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn load(folder: &Folder) -> Result<Option<Self>, DiskError> {
        let Some(text) = folder.read(TRUST, MOST_BYTES)? else { return Ok(None) };
        Self::from_pem(&text).map(Some).map_err(|reason| folder.content(TRUST, reason))
    }

    /// Keeps them.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn save(&self, folder: &Folder) -> Result<(), DiskError> {
        let text: String = self.roots.iter().map(|root| pem::write("CERTIFICATE", root)).collect();
        folder.replace(TRUST, text.as_bytes())
    }

    /// Whether one of them is among the others, too.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        self.roots.iter().any(|root| other.roots.contains(root))
    }

    /// As TLS takes them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn store(&self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        for root in &self.roots {
            store.add(CertificateDer::from(root.as_slice())).map_err(|error| error.to_string())?;
        }
        Ok(store)
    }

    /// Whether these certificates are those of the server of that name, as TLS would have it.
    ///
    /// # Errors
    /// Why not.
    pub fn vouches_for_server(&self, chain: &[Vec<u8>], host: &str, now: Timestamp) -> Result<(), String> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(self.store()?), provider());
        let verifier = verifier.build().map_err(|error| error.to_string())?;
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let (first, others) = split(chain)?;
        let verified = verifier.verify_server_cert(&first, &others, &name, &[], moment(now));
        verified.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Whether they are those of a device.
    ///
    /// # Errors
    /// Why not.
    pub fn vouches_for_device(&self, chain: &[Vec<u8>], now: Timestamp) -> Result<(), String> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.store()?), provider());
        let verifier = verifier.build().map_err(|error| error.to_string())?;
        let (first, others) = split(chain)?;
        verifier
            .verify_client_cert(&first, &others, moment(now))
            .map(|_| ())
            .map_err(|error| error.to_string())
    }
}

fn split(chain: &[Vec<u8>]) -> Result<(CertificateDer<'_>, Vec<CertificateDer<'_>>), String> {
    let mut chain = chain.iter().map(|certificate| CertificateDer::from(certificate.as_slice()));
    Ok((chain.next().ok_or("expected a certificate")?, chain.collect()))
}

/// What does the cryptography: with the hybrid of X25519 and ML-KEM-768 as its first choice for keys.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A moment as TLS has it; those before 1970 are 1970.
pub(crate) fn moment(at: Timestamp) -> UnixTime {
    let secs = u64::try_from(at.micros().div_euclid(1_000_000)).unwrap_or_default();
    UnixTime::since_unix_epoch(Duration::from_secs(secs))
}
