//! OCSP (RFC 6960): what is asked, and signed answers by a responder that the issuer named.

use crate::{
    encode,
    error::{IssueError, OcspError},
    issuer::{Issuer, Serial},
    key::Signer,
    oid,
    revocation::Reason,
};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use der::{
    Decode as _, Encode as _,
    asn1::{Null, ObjectIdentifier, OctetString},
};
use model::Timestamp;
use std::{fmt, sync::Arc};
use x509_cert::{Certificate, ext::Extension};
use x509_ocsp::{
    AsResponseBytes as _, BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspResponse,
    ResponderId, ResponseData, RevokedInfo, SingleResponse, Version, ext::Nonce,
};

/// The largest request that is read.
const MOST_BYTES: usize = 4 * 1024;
/// The most certificates that one request may ask about.
const MOST_ASKED: usize = 8;
/// The longest nonce (RFC 9654).
const MOST_NONCE: usize = 128;

/// What is asked about certificates.
#[derive(Clone, Debug)]
pub struct OcspRequest {
    asked: Vec<CertId>,
    nonce: Option<Nonce>,
}

impl OcspRequest {
    /// Reads a request. Who signed it, if somebody did, does not matter: answers are for everybody.
    ///
    /// # Errors
    /// [`OcspError`].
    pub fn from_der(der: &[u8]) -> Result<Self, OcspError> {
        let malformed = |reason: String| OcspError::Malformed(reason);
        if der.len() > MOST_BYTES {
            return Err(malformed(format!("it has {} bytes: expected at most {MOST_BYTES}", der.len())));
        }
        let request = x509_ocsp::OcspRequest::from_der(der).map_err(|error| malformed(error.to_string()))?;
        let body = request.tbs_request;
        if body.request_list.is_empty() || body.request_list.len() > MOST_ASKED {
            let found = body.request_list.len();
            return Err(malformed(format!("it asks about {found} certificates: expected 1 to {MOST_ASKED}")));
        }
        let nonce = body.nonce();
        if let Some(nonce) = &nonce
            && !(1..=MOST_NONCE).contains(&nonce.0.as_bytes().len())
        {
            let found = nonce.0.as_bytes().len();
            return Err(malformed(format!("its nonce has {found} bytes: expected 1 to {MOST_NONCE}")));
        }
        Ok(Self { asked: body.request_list.into_iter().map(|asked| asked.req_cert).collect(), nonce })
    }

    /// Whether the answer is for this request alone, and cannot be kept for others.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.nonce.is_some()
    }

    /// The one certificate that it asks about, where it is one: under this an answer can be kept.
    #[must_use]
    pub fn single(&self) -> Option<Vec<u8>> {
        match self.asked.as_slice() {
            [one] if self.nonce.is_none() => one.to_der().ok(),
            _ => None,
        }
    }
}

/// What is said of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is good.
    Good,
    /// It is not, since then, for this.
    Revoked(Timestamp, Reason),
    /// This issuer did not issue it.
    Unknown,
}

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The whole `OCSPResponse` in DER.
    pub der: Vec<u8>,
    /// When it has to be asked again.
    pub next: Timestamp,
}

/// Whoever answers for an issuer.
#[derive(Clone)]
pub struct Responder {
    certificate: Certificate,
    signer: Arc<dyn Signer>,
    /// The issuer's name and key under each hash that is asked with.
    issuer: [Hashed; 2],
}

#[derive(Clone)]
struct Hashed {
    algorithm: ObjectIdentifier,
    name: Vec<u8>,
    key: Vec<u8>,
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Responder({})", self.certificate.tbs_certificate.issuer)
    }
}

impl Responder {
    /// One with a certificate from [`Issuer::responder`].
    ///
    /// # Errors
    /// [`IssueError::Issuer`] where the certificate is about another key.
    pub fn new(issuer: &Issuer, certificate: &[u8], signer: Arc<dyn Signer>) -> Result<Self, IssueError> {
        let certificate = Certificate::from_der(certificate).map_err(|error| {
            IssueError::Issuer(format!("the responder's is no certificate in DER: {error}"))
        })?;
        if certificate.tbs_certificate.subject_public_key_info != *signer.public_key().info() {
            return Err(IssueError::Issuer("the responder's is about another key".into()));
        }
        let name = issuer.name().to_der()?;
        let key = issuer.signer().public_key().info().subject_public_key.raw_bytes();
        let hashed = |algorithm, with: &'static digest::Algorithm| Hashed {
            algorithm,
            name: digest::digest(with, &name).as_ref().to_vec(),
            key: digest::digest(with, key).as_ref().to_vec(),
        };
        let issuer = [hashed(oid::SHA1, &SHA1_FOR_LEGACY_USE_ONLY), hashed(oid::SHA256, &SHA256)];
        Ok(Self { certificate, signer, issuer })
    }

    /// The numbers that are asked about, of this issuer; `None` for those of others.
    #[must_use]
    pub fn asked(&self, request: &OcspRequest) -> Vec<Option<Serial>> {
        request.asked.iter().map(|asked| self.whose(asked)).collect()
    }

    fn whose(&self, asked: &CertId) -> Option<Serial> {
        let known = self.issuer.iter().find(|hashed| hashed.algorithm == asked.hash_algorithm.oid)?;
        let same =
            known.name == asked.issuer_name_hash.as_bytes() && known.key == asked.issuer_key_hash.as_bytes();
        if same { Serial::from_bytes(asked.serial_number.as_bytes()).ok() } else { None }
    }

    /// Answers; `status` says how a certificate of this issuer stands. A request about none of this issuer's is answered
    /// with `unauthorized` (RFC 5019).
    ///
    /// # Errors
    /// [`IssueError`] where the key does not sign.
    pub fn answer(
        &self,
        request: &OcspRequest,
        now: Timestamp,
        next: Timestamp,
        status: impl Fn(&Serial) -> Status,
    ) -> Result<Verdict, IssueError> {
        let serials = self.asked(request);
        if serials.iter().all(Option::is_none) {
            return Ok(Verdict { der: OcspResponse::unauthorized().to_der()?, next });
        }
        let (this_update, next_update) = (time(now)?, Some(time(next)?));
        let responses = request.asked.iter().zip(&serials).map(|(asked, serial)| {
            let status = serial.as_ref().map_or(Status::Unknown, &status);
            Ok(SingleResponse {
                cert_id: asked.clone(),
                cert_status: match status {
                    Status::Good => CertStatus::Good(Null),
                    Status::Unknown => CertStatus::Unknown(Null),
                    Status::Revoked(at, reason) => CertStatus::Revoked(RevokedInfo {
                        revocation_time: time(at)?,
                        revocation_reason: (reason != Reason::Unspecified).then(|| reason.code()),
                    }),
                },
                this_update,
                next_update,
                single_extensions: None,
            })
        });
        let response_extensions = request.nonce.as_ref().map(|nonce| {
            let value = OctetString::new(nonce.to_der()?)?;
            let extn_id = <Nonce as der::oid::AssociatedOid>::OID;
            Ok::<_, der::Error>(vec![Extension { extn_id, critical: false, extn_value: value }])
        });
        let tbs_response_data = ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByName(self.certificate.tbs_certificate.subject.clone()),
            produced_at: this_update,
            responses: responses.collect::<der::Result<Vec<_>>>()?,
            response_extensions: response_extensions.transpose()?,
        };
        let signature = encode::sign(&*self.signer, &tbs_response_data)?;
        let response = BasicOcspResponse {
            tbs_response_data,
            signature_algorithm: self.signer.algorithm().identifier(),
            signature,
            certs: Some(vec![self.certificate.clone()]),
        };
        let der = OcspResponse {
            response_status: x509_ocsp::OcspResponseStatus::Successful,
            response_bytes: Some(response.to_response_bytes()?),
        };
        Ok(Verdict { der: der.to_der()?, next })
    }

    /// What is answered to something that is no request.
    ///
    /// # Errors
    /// None in practice.
    pub fn try_later() -> der::Result<Vec<u8>> {
        OcspResponse::try_later().to_der()
    }

    /// The answer to what is no request.
    ///
    /// # Errors
    /// None in practice.
    pub fn malformed() -> der::Result<Vec<u8>> {
        OcspResponse::malformed_request().to_der()
    }
}

fn time(at: Timestamp) -> der::Result<OcspGeneralizedTime> {
    Ok(OcspGeneralizedTime::from(encode::general_time(at)?))
}
