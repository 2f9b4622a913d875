//! Signed messages: the compact form of JWS (RFC 7515) with ES256, ES384 or EdDSA, and the signer's certificates in `x5c`.
//!
//! A [`Jws`] that exists is well formed, and nothing more. Whether its certificates lead to an authority that is trusted
//! is for whoever knows one; then [`Jws::payload_signed`] gives the payload, if the first of them signed it.

use crate::{
    certificate::Certificate,
    error::{IssueError, JwsError, SignError},
    key::{Algorithm, Signer},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use der::{
    Decode as _, Encode as _, Reader as _, SliceReader,
    asn1::{SequenceOf, UintRef},
};
use serde::{Deserialize, Serialize};

/// The largest message that is read, in bytes.
const MOST_BYTES: usize = 256 * 1024;
/// The most certificates that come with one.
const MOST_CERTIFICATES: usize = 5;

/// A signed message as it came.
#[derive(Debug)]
pub struct Jws {
    algorithm: Algorithm,
    kind: String,
    chain: Vec<Vec<u8>>,
    signer: Certificate,
    signed: String,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Everything that is understood: a message with more in its header, such as `crit`, is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    x5c: Vec<String>,
}

/// Signs `payload` as a message of the kind `typ`; `chain` begins with the signer's certificate (DER) and leaves the root
/// out.
///
/// # Errors
/// [`IssueError`] where the key does not sign.
pub fn sign_jws(
    signer: &dyn Signer,
    typ: &str,
    chain: &[&[u8]],
    payload: &[u8],
) -> Result<String, IssueError> {
    let algorithm = signer.algorithm();
    let header = Header {
        alg: algorithm.jws_name().to_owned(),
        typ: typ.to_owned(),
        x5c: chain.iter().map(|certificate| BASE64_STANDARD.encode(certificate)).collect(),
    };
    let header = serde_json::to_vec(&header).map_err(|error| SignError::Refused(error.to_string()))?;
    let signed =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(payload));
    let signature = signer.sign(signed.as_bytes())?;
    let signature = match algorithm.coordinate() {
        Some(length) => plain(&signature, length)?,
        None => signature,
    };
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

impl Jws {
    /// Reads the form.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn parse(text: &str) -> Result<Self, JwsError> {
        if text.len() > MOST_BYTES {
            return Err(JwsError::Form("it is longer than 256 KiB"));
        }
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part);
        let three = || JwsError::Form("expected three parts in base64url with dots between");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(three)?;
        let (header, payload) = signed.split_once('.').ok_or_else(three)?;
        let (Ok(header), Ok(payload), Ok(signature)) = (decode(header), decode(payload), decode(signature))
        else {
            return Err(three());
        };
        let header: Header =
            serde_json::from_slice(&header).map_err(|error| JwsError::Header(error.to_string()))?;
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.jws_name() == header.alg);
        let algorithm = algorithm.ok_or_else(|| {
            let found: String = header.alg.chars().take(32).collect();
            JwsError::Header(format!("`alg` is {found:?}: expected ES256, ES384 or EdDSA"))
        })?;
        if header.x5c.len() > MOST_CERTIFICATES {
            return Err(JwsError::Header(format!("`x5c` holds more than {MOST_CERTIFICATES} certificates")));
        }
        let chain = header.x5c.iter().map(|certificate| BASE64_STANDARD.decode(certificate));
        let chain = chain.collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| JwsError::Header("`x5c` is not base64".into()))?;
        let signer = chain.first().ok_or_else(|| JwsError::Header("`x5c` is empty".into()))?;
        let signer = Certificate::from_der(signer)?;
        Ok(Self { algorithm, kind: header.typ, chain, signer, signed: signed.to_owned(), payload, signature })
    }

    /// What it says it is.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The certificates that came with it, the signer's first, in DER.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The signer's certificate. Whether it is to be trusted is not known here.
    #[must_use]
    pub const fn signer(&self) -> &Certificate {
        &self.signer
    }

    /// The payload, where the key of [`Self::signer`] signed it.
    ///
    /// # Errors
    /// [`JwsError::Algorithm`], [`JwsError::NotSigned`].
    pub fn payload_signed(self) -> Result<Vec<u8>, JwsError> {
        let marked = self.algorithm;
        let key = self.signer.key();
        if key.algorithm() != Some(marked) {
            return Err(JwsError::Algorithm { marked: marked.jws_name(), key: key.describe() });
        }
        let signature = marked.signature_from_plain(self.signature).ok_or(JwsError::NotSigned)?;
        match key.verify(&marked.identifier(), self.signed.as_bytes(), &signature) {
            Ok(true) => Ok(self.payload),
            _ => Err(JwsError::NotSigned),
        }
    }
}

impl Algorithm {
    /// As JWS names it (RFC 7518, 3.4; RFC 8037, 3.1).
    const fn jws_name(self) -> &'static str {
        match self {
            Self::P256 => "ES256",
            Self::P384 => "ES384",
            Self::Ed25519 => "EdDSA",
        }
    }

    /// A signature as the plain numbers or bytes that tokens and JWS give, in the form of certificates: ECDSA's in DER.
    /// `None` where it has not the length of one.
    #[must_use]
    pub fn signature_from_plain(self, plain: Vec<u8>) -> Option<Vec<u8>> {
        match self.coordinate() {
            Some(length) => sequence(&plain, length),
            None => Some(plain).filter(|plain| plain.len() == 64),
        }
    }

    /// The length of each of the two numbers of an ECDSA signature in JWS, and of a coordinate of a point.
    pub(crate) const fn coordinate(self) -> Option<usize> {
        match self {
            Self::P256 => Some(32),
            Self::P384 => Some(48),
            Self::Ed25519 => None,
        }
    }
}

/// The two numbers of an ECDSA signature in DER, one after the other.
fn plain(signature: &[u8], length: usize) -> Result<Vec<u8>, IssueError> {
    let mut reader = SliceReader::new(signature)?;
    let numbers = reader.sequence(|reader| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?)))?;
    let mut both = Vec::with_capacity(2 * length);
    for number in <[_; 2]>::from(reader.finish(numbers)?) {
        let number = number.as_bytes();
        let padding = length.checked_sub(number.len());
        let padding = padding.ok_or_else(|| SignError::Refused("a signature that is too long".into()))?;
        both.resize(both.len() + padding, 0);
        both.extend_from_slice(number);
    }
    Ok(both)
}

/// The same in DER again; `None` where it has not exactly that length.
fn sequence(plain: &[u8], length: usize) -> Option<Vec<u8>> {
    if plain.len() != 2 * length {
        return None;
    }
    let (one, other) = plain.split_at_checked(length)?;
    let mut numbers = SequenceOf::<UintRef<'_>, 2>::new();
    for number in [one, other] {
        numbers.add(UintRef::new(number).ok()?).ok()?;
    }
    numbers.to_der().ok()
}
