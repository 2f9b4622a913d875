//! What a device sends to be given a certificate: a PKCS #10 request, signed by the key it is about.

use crate::{certificate::Certificate, encode, error::IssueError, key::Signer, names::SubjectName, oid};
use der::{
    Encode as _,
    asn1::{Any, SetOfVec},
};
use x509_cert::{
    attr::Attribute,
    ext::{Extension, Extensions, pkix::SubjectAltName},
    name::Name,
    request::{CertReq, CertReqInfo, Version},
};

/// A first request, in DER: for this common name and these further names.
///
/// # Errors
/// [`IssueError`] where the key does not sign or a name cannot be written.
pub fn ask(signer: &dyn Signer, common_name: &str, names: &[SubjectName]) -> Result<Vec<u8>, IssueError> {
    let subject = encode::directory_name([(oid::COMMON_NAME, common_name)])?;
    let mut extensions = Extensions::new();
    if !names.is_empty() {
        let names = names.iter().map(SubjectName::write).collect::<der::Result<Vec<_>>>()?;
        extensions.push(encode::extension(oid::SUBJECT_NAMES, false, &SubjectAltName(names))?);
    }
    write(signer, subject, extensions)
}

/// A request to renew, in DER: the subject and the further names are those of the certificate, as EST wants it (RFC 7030,
/// 4.2.2); the key may be a new one.
///
/// # Errors
/// [`IssueError`] where the key does not sign.
pub fn ask_again(signer: &dyn Signer, certificate: &Certificate) -> Result<Vec<u8>, IssueError> {
    let names = certificate.extension(oid::SUBJECT_NAMES).cloned();
    write(signer, certificate.subject().clone(), names.into_iter().collect())
}

pub(crate) fn write(
    signer: &dyn Signer,
    subject: Name,
    extensions: Vec<Extension>,
) -> Result<Vec<u8>, IssueError> {
    let mut attributes = SetOfVec::new();
    if !extensions.is_empty() {
        let mut values = SetOfVec::new();
        values.insert(Any::encode_from(&extensions)?)?;
        attributes.insert(Attribute { oid: oid::EXTENSION_REQUEST, values })?;
    }
    let public_key = signer.public_key().info().clone();
    let info = CertReqInfo { version: Version::V1, subject, public_key, attributes };
    let signature = encode::sign(signer, &info)?;
    Ok(CertReq { info, algorithm: signer.algorithm().identifier(), signature }.to_der()?)
}
