//! Certificates: who issues them, which there are, what of them is revoked, and how devices come to theirs.
//!
//! Guarantees: a token, a maker's word or a person's yes is used up in the transaction that keeps the certificate and writes
//! its leaf; a key is one asset's for ever, and one that was revoked is never certified again; a revocation raises the
//! issuer's number in the transaction of its leaf, and that number is the revocation list's. Private keys are kept as they
//! were encrypted elsewhere.

mod elsewhere;
mod enrolment;
mod issued;
mod issuer;
mod standing;
mod suspended;

pub use elsewhere::IssuerRequest;
pub use enrolment::{
    EnrolmentRecord, EnrolmentState, EnrolmentToken, MOST_ENROLMENT_TOKENS, MOST_MAKERS, MOST_WAITING, Maker,
};
pub use issued::{
    Admission, CertificateFilter, CertificateRecord, CertificateState, Enrolled, NewCertificate,
};
pub use issuer::{IssuerKey, IssuerRecord, IssuerState};
pub use standing::{Changed, Listed, Standing, Which};

/// A count as the databases keep it.
fn fitting(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
