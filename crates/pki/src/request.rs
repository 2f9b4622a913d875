//! Certificate signing requests (PKCS #10, RFC 2986), as they come from devices of every make.

use crate::{encode, error::RequestError, key::PublicKey, names::SubjectName, oid, view::attribute};
use der::{
    Decode as _, Reader as _, SliceReader,
    asn1::{AnyRef, BitString, ObjectIdentifier},
};
use x509_cert::{
    attr::Attribute,
    ext::{Extension, Extensions, pkix::name::GeneralNames},
    name::Name,
    request::CertReqInfo,
    spki::AlgorithmIdentifierOwned,
};

/// The largest request that is read: a key of 8192 bits and many names take 4 KiB.
const MOST_BYTES: usize = 16 * 1024;
/// The most names that a request may ask for.
const MOST_NAMES: usize = 32;

/// A request that was signed by the key it is about.
#[derive(Clone, Debug)]
pub struct Request {
    key: PublicKey,
    subject: Name,
    names: Vec<SubjectName>,
    extensions: Extensions,
    challenge: Option<String>,
}

impl Request {
    /// Reads a request and verifies that whoever made it has the key.
    ///
    /// What it asks for beside names (key usages, lifetimes) is not read: that is the profile's.
    ///
    /// # Errors
    /// [`RequestError`], with what was expected.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MOST_BYTES {
            return Err(RequestError::TooLarge { found: der.len(), most: MOST_BYTES });
        }
        let (signed, algorithm, signature) = split(der).map_err(RequestError::NotDer)?;
        let info = CertReqInfo::from_der(signed).map_err(RequestError::NotDer)?;
        let key = PublicKey::new(info.public_key)?;
        // Over the bytes as they came: what would be written again need not be the same.
        let signature = signature.as_bytes().ok_or(RequestError::NotItsKey)?;
        let verified = key.verify(&algorithm, signed, signature);
        if !verified.map_err(RequestError::Algorithm)? {
            return Err(RequestError::NotItsKey);
        }
        let (mut names, mut extensions) = (Vec::new(), Extensions::new());
        if let Some(asked) = one(info.attributes.iter(), oid::EXTENSION_REQUEST, "an extension request")? {
            extensions = asked.decode_as().map_err(RequestError::NotDer)?;
            names = asked_names(&extensions)?;
        }
        let challenge = one(info.attributes.iter(), oid::CHALLENGE_PASSWORD, "a challenge password")?;
        let challenge = challenge
            .map(|value| encode::text(value).ok_or(RequestError::NotDer(der::ErrorKind::Failed.into())));
        Ok(Self { key, subject: info.subject, names, extensions, challenge: challenge.transpose()? })
    }

    /// The key that is to be certified.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The names it asks for, each once.
    #[must_use]
    pub fn names(&self) -> &[SubjectName] {
        &self.names
    }

    pub(crate) const fn subject(&self) -> &Name {
        &self.subject
    }

    pub(crate) fn extension(&self, id: ObjectIdentifier) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.extn_id == id)
    }

    /// The common name of its subject: what it calls itself, and nothing more than that.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        attribute(&self.subject, oid::COMMON_NAME)
    }

    /// The serial number of its subject, with which makers tell devices apart.
    #[must_use]
    pub fn serial_number(&self) -> Option<String> {
        attribute(&self.subject, oid::SERIAL_NUMBER)
    }

    /// What it was given to prove: a one-time token, or the channel binding of EST.
    #[must_use]
    pub fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }
}

/// The part that is signed, as it came, and its signature.
fn split(der: &[u8]) -> der::Result<(&[u8], AlgorithmIdentifierOwned, BitString)> {
    let mut reader = SliceReader::new(der)?;
    let parts = reader.sequence(|reader| {
        let signed = reader.tlv_bytes()?;
        Ok((signed, AlgorithmIdentifierOwned::decode(reader)?, BitString::decode(reader)?))
    })?;
    reader.finish(parts)
}

/// The one value of the one attribute of that kind.
fn one<'a>(
    attributes: impl Iterator<Item = &'a Attribute>,
    id: ObjectIdentifier,
    what: &'static str,
) -> Result<Option<AnyRef<'a>>, RequestError> {
    let mut values = attributes.filter(|attribute| attribute.oid == id).flat_map(|found| found.values.iter());
    let value = values.next();
    if values.next().is_some() {
        return Err(RequestError::Twice(what));
    }
    Ok(value.map(AnyRef::from))
}

fn asked_names(extensions: &Extensions) -> Result<Vec<SubjectName>, RequestError> {
    let mut asked = extensions.iter().filter(|extension| extension.extn_id == oid::SUBJECT_NAMES);
    let Some(extension) = asked.next() else { return Ok(Vec::new()) };
    if asked.next().is_some() {
        return Err(RequestError::Twice("subject alternative names"));
    }
    let names = GeneralNames::from_der(extension.extn_value.as_bytes()).map_err(RequestError::NotDer)?;
    if names.len() > MOST_NAMES {
        return Err(RequestError::TooManyNames { found: names.len(), most: MOST_NAMES });
    }
    let mut read = Vec::with_capacity(names.len());
    for name in &names {
        let name = SubjectName::read(name).map_err(|(asked, reason)| RequestError::Name { asked, reason })?;
        if !read.contains(&name) {
            read.push(name);
        }
    }
    Ok(read)
}
