//! Keys: those that sign, wherever they are kept, and the public ones of requests and certificates.

use crate::{
    error::{KeyError, SignError},
    oid,
};
use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use der::{
    Decode as _, Encode as _, Reader as _, SliceReader,
    asn1::{Any, BitString, ObjectIdentifier, UintRef},
};
use std::fmt;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

/// With what an issuer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: what every device can verify.
    #[default]
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl Algorithm {
    /// All.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::Ed25519];

    /// As settings name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
        }
    }

    /// How a signature made with it is marked.
    pub(crate) const fn identifier(self) -> AlgorithmIdentifierOwned {
        let oid = match self {
            Self::P256 => oid::ECDSA_SHA256,
            Self::P384 => oid::ECDSA_SHA384,
            Self::Ed25519 => oid::ED25519,
        };
        AlgorithmIdentifierOwned { oid, parameters: None }
    }

    const fn curve(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            Self::P256 => Some(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
            Self::P384 => Some(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
            Self::Ed25519 => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A private key, wherever it is kept: in a file, in a PKCS#11 token, in a TPM.
pub trait Signer: Send + Sync {
    /// With what it signs.
    fn algorithm(&self) -> Algorithm;

    /// Its public half.
    fn public_key(&self) -> &PublicKey;

    /// A signature: an ECDSA one in DER.
    ///
    /// # Errors
    /// [`SignError`] where the key cannot be reached.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A key in memory, read from PKCS #8.
pub struct SoftwareKey {
    pair: Pair,
    algorithm: Algorithm,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SoftwareKey {
    /// A new key as PKCS #8 in DER: the caller keeps it from others' eyes.
    ///
    /// # Errors
    /// [`SignError`] where there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        let document = match algorithm.curve() {
            Some(curve) => EcdsaKeyPair::generate_pkcs8(curve, &random),
            None => Ed25519KeyPair::generate_pkcs8v1(&random),
        };
        let document = document.map_err(|_| SignError::Refused("no key could be made".into()))?;
        Ok(document.as_ref().to_vec())
    }

    /// From PKCS #8 in DER, whichever of the algorithms it is for.
    ///
    /// # Errors
    /// [`SignError`] where it is for none of them.
    pub fn read(pkcs8: &[u8]) -> Result<Self, SignError> {
        let mut read = Algorithm::ALL.into_iter().map(|algorithm| Self::from_pkcs8(algorithm, pkcs8));
        read.find_map(Result::ok).ok_or(SignError::Unreadable("P-256, P-384 or Ed25519"))
    }

    /// From PKCS #8 in DER.
    ///
    /// # Errors
    /// [`SignError`] where this is no such key.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, SignError> {
        let unreadable = || SignError::Unreadable(algorithm.as_str());
        let pair = match algorithm.curve() {
            Some(curve) => Pair::Ecdsa(EcdsaKeyPair::from_pkcs8(curve, pkcs8).map_err(|_| unreadable())?),
            None => {
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| unreadable())?)
            }
        };
        let point = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        let public = PublicKey::of_point(algorithm, point).map_err(|_| unreadable())?;
        Ok(Self { pair, algorithm, public })
    }
}

impl Signer for SoftwareKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signed = match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        };
        let signed = signed.map_err(|_| SignError::Refused("the signature could not be made".into()))?;
        Ok(signed.as_ref().to_vec())
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A public key that is strong enough to be certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    info: SubjectPublicKeyInfoOwned,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa(usize),
}

impl PublicKey {
    /// From a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`KeyError`] with what was found.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(SubjectPublicKeyInfoOwned::from_der(der).map_err(KeyError::NotDer)?)
    }

    pub(crate) fn new(info: SubjectPublicKeyInfoOwned) -> Result<Self, KeyError> {
        if info.subject_public_key.as_bytes().is_none() {
            return Err(KeyError::Kind("one that does not end with a whole byte".into()));
        }
        let kind = match info.algorithm.oid {
            oid::EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters.as_ref();
                let curve = curve.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
                match curve {
                    Some(oid::SECP256R1) => Kind::P256,
                    Some(oid::SECP384R1) => Kind::P384,
                    Some(other) => return Err(KeyError::Kind(format!("a curve with the OID {other}"))),
                    None => return Err(KeyError::Kind("a curve that is not named".into())),
                }
            }
            oid::ED25519 if info.algorithm.parameters.is_none() => Kind::Ed25519,
            oid::RSA => Kind::Rsa(rsa_bits(info.subject_public_key.raw_bytes())?),
            other => return Err(KeyError::Kind(format!("OID {other}"))),
        };
        Ok(Self { info, kind })
    }

    /// From the point of a curve as X9.62 writes it (uncompressed), or the 32 bytes of an Ed25519 key.
    ///
    /// # Errors
    /// [`KeyError`] where it has not the length of one.
    pub fn of_point(algorithm: Algorithm, point: &[u8]) -> Result<Self, KeyError> {
        let (length, mark) = match algorithm.coordinate() {
            Some(length) => (2 * length + 1, Some(&4)),
            None => (32, None),
        };
        if point.len() != length || mark.is_some_and(|mark| point.first() != Some(mark)) {
            return Err(KeyError::Kind(format!(
                "a point of {} bytes that is none of {algorithm}",
                point.len()
            )));
        }
        Self::from_point(algorithm, point).map_err(KeyError::NotDer)
    }

    fn from_point(algorithm: Algorithm, point: &[u8]) -> der::Result<Self> {
        let (oid, parameters, kind) = match algorithm {
            Algorithm::P256 => (oid::EC_PUBLIC_KEY, Some(oid::SECP256R1), Kind::P256),
            Algorithm::P384 => (oid::EC_PUBLIC_KEY, Some(oid::SECP384R1), Kind::P384),
            Algorithm::Ed25519 => (oid::ED25519, None, Kind::Ed25519),
        };
        let parameters = parameters.map(|curve| Any::encode_from(&curve)).transpose()?;
        let algorithm = AlgorithmIdentifierOwned { oid, parameters };
        let info = SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(point)? };
        Ok(Self { info, kind })
    }

    /// As a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// None in practice: what was read can be written.
    pub fn to_der(&self) -> der::Result<Vec<u8>> {
        self.info.to_der()
    }

    pub(crate) const fn info(&self) -> &SubjectPublicKeyInfoOwned {
        &self.info
    }

    /// What it is, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.kind {
            Kind::P256 => "P-256".into(),
            Kind::P384 => "P-384".into(),
            Kind::Ed25519 => "Ed25519".into(),
            Kind::Rsa(bits) => format!("RSA {bits}"),
        }
    }

    /// With what it is used here to sign; nothing where such keys sign nothing here.
    #[must_use]
    pub const fn algorithm(&self) -> Option<Algorithm> {
        match self.kind {
            Kind::P256 => Some(Algorithm::P256),
            Kind::P384 => Some(Algorithm::P384),
            Kind::Ed25519 => Some(Algorithm::Ed25519),
            Kind::Rsa(_) => None,
        }
    }

    /// Whether keys are moved with it, rather than agreed on.
    pub(crate) const fn is_rsa(&self) -> bool {
        matches!(self.kind, Kind::Rsa(_))
    }

    /// The key's id in certificates: the first 160 bits of its SHA-256 (RFC 7093, method 1).
    #[must_use]
    pub fn id(&self) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA256, self.info.subject_public_key.raw_bytes());
        digest.as_ref().iter().copied().take(20).collect()
    }

    /// SHA-256 over the whole `SubjectPublicKeyInfo`: the same key, the same fingerprint.
    ///
    /// # Errors
    /// None in practice: what was read can be written.
    pub fn fingerprint(&self) -> der::Result<[u8; 32]> {
        let digest = digest::digest(&digest::SHA256, &self.to_der()?);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest.as_ref());
        Ok(fingerprint)
    }

    /// Whether this key made `signed` over `message`.
    ///
    /// # Errors
    /// The algorithm's name, where signatures made with it prove nothing or it is not of this kind of key.
    pub(crate) fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signed: &[u8],
    ) -> Result<bool, String> {
        use signature::{
            ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
            ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
            RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, VerificationAlgorithm,
        };
        // Those of RSA hold a NULL, the others nothing (RFC 4055, RFC 5758, RFC 8410).
        let plain = match &algorithm.parameters {
            None => true,
            Some(parameters) => self.is_rsa() && parameters.is_null(),
        };
        if !plain {
            return Err(format!("the algorithm {} with parameters that it does not have", algorithm.oid));
        }
        let verifier: &dyn VerificationAlgorithm = match (self.kind, algorithm.oid) {
            (Kind::P256, oid::ECDSA_SHA256) => &ECDSA_P256_SHA256_ASN1,
            (Kind::P256, oid::ECDSA_SHA384) => &ECDSA_P256_SHA384_ASN1,
            (Kind::P256, oid::ECDSA_SHA512) => &ECDSA_P256_SHA512_ASN1,
            (Kind::P384, oid::ECDSA_SHA256) => &ECDSA_P384_SHA256_ASN1,
            (Kind::P384, oid::ECDSA_SHA384) => &ECDSA_P384_SHA384_ASN1,
            (Kind::P384, oid::ECDSA_SHA512) => &ECDSA_P384_SHA512_ASN1,
            (Kind::Ed25519, oid::ED25519) => &ED25519,
            (Kind::Rsa(_), oid::RSA_SHA256) => &RSA_PKCS1_2048_8192_SHA256,
            (Kind::Rsa(_), oid::RSA_SHA384) => &RSA_PKCS1_2048_8192_SHA384,
            (Kind::Rsa(_), oid::RSA_SHA512) => &RSA_PKCS1_2048_8192_SHA512,
            (_, other) => return Err(format!("the algorithm {other} by a key of {}", self.describe())),
        };
        let key = UnparsedPublicKey::new(verifier, self.info.subject_public_key.raw_bytes());
        Ok(key.verify(message, signed).is_ok())
    }
}

/// The length of an RSA key's modulus.
fn rsa_bits(der: &[u8]) -> Result<usize, KeyError> {
    let mut reader = SliceReader::new(der).map_err(KeyError::NotDer)?;
    let (modulus, exponent) = reader
        .sequence(|reader| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?)))
        .and_then(|numbers| reader.finish(numbers))
        .map_err(KeyError::NotDer)?;
    let modulus = modulus.as_bytes();
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = (modulus.len() * 8).saturating_sub(leading);
    if !(2_048..=8_192).contains(&bits) {
        return Err(KeyError::RsaSize(bits));
    }
    let exponent = exponent.as_bytes();
    let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    // 65537 takes three bytes; what is longer is larger.
    if !odd || exponent.len() < 3 || exponent.len() > 8 {
        return Err(KeyError::RsaExponent);
    }
    Ok(bits)
}
