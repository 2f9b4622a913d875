//! Certificates: requests, certificates, revocation lists and OCSP answers, as DER.
//!
//! Guarantees: no IO and no clock; moments and serial numbers are given, and only what makes and uses keys draws
//! randomness. A [`Request`] that exists was signed by the key that it is about; a certificate holds nothing but what
//! the [`Profile`] allows, the issuer's [`Bounds`] contain and its lifetime covers. What is read is bounded in size, and a
//! refusal says what was found and what was expected.

mod ask;
mod certificate;
mod chain;
mod encode;
mod enrol;
mod error;
mod issuer;
mod jws;
mod key;
mod limits;
mod names;
mod ocsp;
mod offline;
mod oid;
mod profile;
mod request;
mod revocation;
mod sealed;
mod view;

pub use ask::{ask, ask_again};
pub use certificate::Certificate;
pub use chain::Chain;
pub use enrol::{attributes, certificates_only, read_certificates};
pub use error::{
    CertificateError, ChainError, IssueError, JwsError, KeyError, ListError, OcspError, ProfileError,
    RequestError, SignError,
};
pub use issuer::{Addresses, Issued, Issuer, NewAuthority, Serial, Subject};
pub use jws::{Jws, sign_jws};
pub use key::{Algorithm, PublicKey, Signer, SoftwareKey};
pub use names::{Bounds, SubjectName};
pub use ocsp::{OcspRequest, Responder, Status, Verdict};
pub use offline::{SignedList, ask_for_authority};
pub use pkcs8::SecretDocument;
pub use profile::{NameKind, Profile, Profiles, Usage};
pub use request::Request;
pub use revocation::{Reason, RevocationList, Revoked};
pub use sealed::{seal, unseal};
pub use view::View;
