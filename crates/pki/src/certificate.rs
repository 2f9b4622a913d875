//! A certificate as whoever holds or meets it uses it; [`View`] is what it says in words.

use crate::{error::CertificateError, issuer::Serial, key::PublicKey, view::View};
use der::{Decode as _, Encode as _, asn1::ObjectIdentifier};
use x509_cert::{
    ext::{
        Extension,
        pkix::{BasicConstraints, KeyUsage},
    },
    name::Name,
};

/// The largest certificate that is read, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// A certificate. That it can be read proves nothing: whom it comes from is verified elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    read: x509_cert::Certificate,
    key: PublicKey,
    serial: Serial,
    view: View,
}

impl Certificate {
    /// From DER.
    ///
    /// # Errors
    /// [`CertificateError`] with what is wrong.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MOST_BYTES {
            return Err(CertificateError::TooLarge { found: der.len(), most: MOST_BYTES });
        }
        let read = x509_cert::Certificate::from_der(der).map_err(CertificateError::NotDer)?;
        let key = PublicKey::new(read.tbs_certificate.subject_public_key_info.clone())?;
        let serial = Serial::from_bytes(read.tbs_certificate.serial_number.as_bytes())
            .map_err(|_| CertificateError::Serial)?;
        let view = View::of(der).map_err(|_| CertificateError::Names)?;
        Ok(Self { read, key, serial, view })
    }

    /// Its public key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Its serial number.
    #[must_use]
    pub const fn serial(&self) -> &Serial {
        &self.serial
    }

    /// What it says of itself.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Whether it is an authority's, signed by its own key.
    #[must_use]
    pub fn is_root(&self) -> bool {
        let body = &self.read.tbs_certificate;
        let constraints = body.get::<BasicConstraints>().ok().flatten();
        body.issuer == body.subject
            && constraints.is_some_and(|(_, constraints)| constraints.ca)
            && self.is_signed_by(self)
    }

    /// Whether its key may sign what is neither a certificate nor a revocation list.
    #[must_use]
    pub fn may_sign(&self) -> bool {
        let usage = self.read.tbs_certificate.get::<KeyUsage>();
        usage.is_ok_and(|usage| usage.is_none_or(|(_, usage)| usage.digital_signature()))
    }

    /// Whether the key of `above` signed it.
    pub(crate) fn is_signed_by(&self, above: &Self) -> bool {
        let signed = self.read.tbs_certificate.to_der().ok().zip(self.read.signature.as_bytes());
        signed.is_some_and(|(signed, signature)| {
            above.key.verify(&self.read.signature_algorithm, &signed, signature) == Ok(true)
        })
    }

    pub(crate) const fn certificate(&self) -> &x509_cert::Certificate {
        &self.read
    }

    pub(crate) const fn body(&self) -> &x509_cert::TbsCertificate {
        &self.read.tbs_certificate
    }

    pub(crate) const fn issuer(&self) -> &Name {
        &self.read.tbs_certificate.issuer
    }

    pub(crate) const fn subject(&self) -> &Name {
        &self.read.tbs_certificate.subject
    }

    pub(crate) fn extension(&self, id: ObjectIdentifier) -> Option<&Extension> {
        let extensions = self.read.tbs_certificate.extensions.as_ref()?;
        extensions.iter().find(|extension| extension.extn_id == id)
    }
}
