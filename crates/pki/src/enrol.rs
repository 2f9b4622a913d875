//! What EST (RFC 7030) carries: certificates in a PKCS #7 that signs nothing, and what a request should hold.

use crate::{error::IssueError, oid};
use cms::{cert::CertificateChoices, content_info::ContentInfo, signed_data::SignedData};
use der::{
    Decode as _, Encode as _,
    asn1::{Any, SetOfVec},
};
use x509_cert::{Certificate, attr::Attribute};

/// The most certificates that are read from one message.
const MOST: usize = 16;

/// Certificates as a PKCS #7 (`certs-only`) in DER.
///
/// # Errors
/// [`IssueError::Der`] where one is no certificate, or twice the same.
pub fn certificates_only<'a>(
    certificates: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, IssueError> {
    let certificates = certificates.into_iter().map(Certificate::from_der);
    let certificates = certificates.collect::<der::Result<Vec<_>>>()?;
    Ok(ContentInfo::try_from(certificates)?.to_der()?)
}

/// The certificates of such a PKCS #7, each in DER.
///
/// # Errors
/// [`IssueError::Der`] where it is none, or holds more than any answer does.
pub fn read_certificates(der: &[u8]) -> Result<Vec<Vec<u8>>, IssueError> {
    let content = ContentInfo::from_der(der)?.content.decode_as::<SignedData>()?;
    let certificates = content.certificates.map(|set| set.0.into_vec()).unwrap_or_default();
    if certificates.len() > MOST {
        return Err(der::Error::from(der::ErrorKind::Overlength).into());
    }
    let plain = certificates.iter().filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate.to_der()),
        CertificateChoices::Other(_) => None,
    });
    Ok(plain.collect::<der::Result<Vec<_>>>()?)
}

/// What a request is asked to hold (`csrattrs`): a P-256 key, a signature with SHA-256, and the challenge password where the
/// session is bound to the request.
///
/// # Errors
/// None in practice.
pub fn attributes() -> der::Result<Vec<u8>> {
    let mut curve = SetOfVec::new();
    curve.insert(Any::encode_from(&oid::SECP256R1)?)?;
    let key = Attribute { oid: oid::EC_PUBLIC_KEY, values: curve };
    let asked = vec![
        Any::encode_from(&oid::CHALLENGE_PASSWORD)?,
        Any::encode_from(&key)?,
        Any::encode_from(&oid::ECDSA_SHA256)?,
    ];
    asked.to_der()
}
