//! What a certificate says, whoever issued it: to be shown, compared and looked up.

use crate::{
    encode,
    error::{IssueError, KeyError},
    key::PublicKey,
    names::SubjectName,
    oid,
};
use der::{Decode as _, Encode as _, asn1::AnyRef};
use model::Timestamp;
use x509_cert::{
    Certificate,
    ext::pkix::{BasicConstraints, SubjectAltName},
    name::Name,
};

/// The longest name that is shown, in letters.
const LONGEST: usize = 300;

/// What a certificate says of itself. That it says so proves nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    /// Its subject, as RFC 4514 writes names.
    pub subject: String,
    /// The subject in DER, as TLS hints at whose certificates are taken.
    pub subject_der: Vec<u8>,
    /// The common name in it.
    pub common_name: Option<String>,
    /// The serial number in it, with which makers tell devices apart.
    pub serial_number: Option<String>,
    /// From when it is good.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// The names in it that this program knows.
    pub names: Vec<SubjectName>,
    /// Whether it may issue others.
    pub is_authority: bool,
    /// Its key, or why that is none that is taken.
    pub key: Result<PublicKey, KeyError>,
}

impl View {
    /// Of a certificate in DER.
    ///
    /// # Errors
    /// [`IssueError::Der`] where it is none.
    pub fn of(der: &[u8]) -> Result<Self, IssueError> {
        let certificate = Certificate::from_der(der)?;
        let body = certificate.tbs_certificate;
        let constraints = body.get::<BasicConstraints>().ok().flatten();
        let names = body.get::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
        Ok(Self {
            subject: words(&body.subject),
            subject_der: body.subject.to_der()?,
            common_name: attribute(&body.subject, oid::COMMON_NAME),
            serial_number: attribute(&body.subject, oid::SERIAL_NUMBER),
            begins: encode::moment(body.validity.not_before),
            ends: encode::moment(body.validity.not_after),
            names: names.iter().filter_map(|name| SubjectName::read(name).ok()).collect(),
            is_authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
            key: PublicKey::new(body.subject_public_key_info),
        })
    }
}

/// A name in words. Whoever made it chose them: nothing that moves a cursor is left.
fn words(name: &Name) -> String {
    name.to_string().chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

/// The first attribute of that kind in a name, in whichever of the string types makers use.
pub(crate) fn attribute(name: &Name, id: der::asn1::ObjectIdentifier) -> Option<String> {
    let mut found = name.0.iter().flat_map(|name| name.0.iter()).filter(|part| part.oid == id);
    found.next().and_then(|part| encode::text(AnyRef::from(&part.value)))
}
