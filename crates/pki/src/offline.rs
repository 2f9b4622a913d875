//! What passes between an issuer and whoever certifies it elsewhere: its request, the certificate for that, and lists that
//! are signed before they are needed.

use crate::{
    certificate::Certificate,
    encode,
    error::{IssueError, ListError},
    issuer::{Issued, Issuer, NewAuthority, Serial},
    key::Signer,
    oid,
    request::Request,
};
use der::{Decode as _, Encode as _, oid::AssociatedOid as _};
use model::Timestamp;
use x509_cert::{
    crl::CertificateList,
    ext::{
        AsExtension as _,
        pkix::{BaseCrlNumber, CrlNumber, NameConstraints},
    },
};

/// The largest list that is taken, in bytes: one of 20 000 certificates.
const MOST_BYTES: usize = 1024 * 1024;

/// The request of an issuer that somebody else is to certify, in DER: with the name constraints that it is to have.
///
/// # Errors
/// [`IssueError`] where the key does not sign or a name cannot be written.
pub fn ask_for_authority(signer: &dyn Signer, new: &NewAuthority<'_>) -> Result<Vec<u8>, IssueError> {
    let subject = new.subject()?;
    let mut extensions = crate::issuer::authority_extensions(Some(0))?;
    extensions.push(new.bounds.constraints()?.to_extension(&subject, &[])?);
    crate::ask::write(signer, subject, extensions)
}

impl Issuer {
    /// The certificate that such a request asks for. It issues no further authorities.
    ///
    /// # Errors
    /// [`IssueError`]; where the request is none, [`IssueError::Issuer`].
    pub fn certify(
        &self,
        request: &[u8],
        serial: Serial,
        now: Timestamp,
        days: i64,
    ) -> Result<Issued, IssueError> {
        let request = Request::from_der(request).map_err(|error| IssueError::Issuer(error.to_string()))?;
        let limits = request.extension(oid::NAME_CONSTRAINTS);
        // What it is to stay within is the request's; that it stays within anything is ours.
        let limits = limits
            .ok_or_else(|| IssueError::Issuer("the request names no bounds (name constraints)".into()))?;
        let limits = NameConstraints::from_der(limits.extn_value.as_bytes())?;
        self.sub_authority(request.subject().clone(), request.key(), &limits, (serial, now, days))
    }
}

/// A revocation list as it was signed somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedList {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub made: Timestamp,
    /// When the next one comes at the latest.
    pub next: Timestamp,
    /// How many certificates it revokes.
    pub revoked: usize,
}

impl SignedList {
    /// Reads a full list in DER, and verifies that this issuer signed it.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn verify(der: &[u8], by: &Certificate) -> Result<Self, ListError> {
        if der.len() > MOST_BYTES {
            return Err(ListError::TooLarge { found: der.len(), most: MOST_BYTES });
        }
        let read = CertificateList::from_der(der).map_err(ListError::NotDer)?;
        let body = &read.tbs_cert_list;
        if body.issuer != *by.subject() {
            return Err(ListError::OtherIssuer {
                found: body.issuer.to_string(),
                expected: by.view().subject.clone(),
            });
        }
        let signed = body.to_der().map_err(ListError::NotDer)?;
        let signature = read.signature.as_bytes().unwrap_or_default();
        if by.key().verify(&read.signature_algorithm, &signed, signature) != Ok(true) {
            return Err(ListError::NotSigned { expected: by.view().subject.clone() });
        }
        let extension = |id| body.crl_extensions.iter().flatten().find(|extension| extension.extn_id == id);
        let number = extension(CrlNumber::OID).ok_or(ListError::Lacks("a number (cRLNumber)"))?;
        let number = CrlNumber::from_der(number.extn_value.as_bytes()).map_err(ListError::NotDer)?;
        let number = number.0.as_bytes();
        let number =
            number.iter().try_fold(0_u64, |all, byte| all.checked_mul(256)?.checked_add(u64::from(*byte)));
        if extension(BaseCrlNumber::OID).is_some() {
            return Err(ListError::Lacks("all that is revoked: it is a delta"));
        }
        Ok(Self {
            number: number
                .filter(|number| *number <= i64::MAX.unsigned_abs())
                .ok_or(ListError::Lacks("a number below 2^63"))?,
            made: encode::moment(body.this_update),
            next: encode::moment(body.next_update.ok_or(ListError::Lacks("an end (nextUpdate)"))?),
            revoked: body.revoked_certificates.as_ref().map_or(0, Vec::len),
        })
    }
}
