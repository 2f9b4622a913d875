//! What is written the same way into certificates, lists and answers.

use crate::{
    error::{IssueError, SignError},
    key::Signer,
    oid,
};
use der::{
    DateTime, Encode, Tag,
    asn1::{
        Any, AnyRef, BitString, GeneralizedTime, Ia5StringRef, ObjectIdentifier, OctetString,
        PrintableStringRef, SetOfVec, TeletexStringRef, UtcTime, Utf8StringRef,
    },
};
use model::Timestamp;
use std::time::Duration;
use x509_cert::{
    attr::AttributeTypeAndValue,
    ext::Extension,
    name::{Name, RdnSequence, RelativeDistinguishedName},
    time::Time,
};

/// An extension.
pub(crate) fn extension(id: ObjectIdentifier, critical: bool, value: &impl Encode) -> der::Result<Extension> {
    Ok(Extension { extn_id: id, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// A directory name of these attributes, in this order.
pub(crate) fn directory_name<'a>(
    attributes: impl IntoIterator<Item = (ObjectIdentifier, &'a str)>,
) -> der::Result<Name> {
    let mut names = Vec::new();
    for (oid, text) in attributes {
        // RFC 5280 wants this one printable; it is made of letters, digits and dashes.
        let tag = if oid == oid::SERIAL_NUMBER { Tag::PrintableString } else { Tag::Utf8String };
        let value = Any::new(tag, text.as_bytes())?;
        let mut set = SetOfVec::new();
        set.insert(AttributeTypeAndValue { oid, value })?;
        names.push(RelativeDistinguishedName(set));
    }
    Ok(RdnSequence(names))
}

fn date(at: Timestamp) -> der::Result<DateTime> {
    let secs = u64::try_from(at.micros().div_euclid(1_000_000)).unwrap_or(0);
    DateTime::from_unix_duration(Duration::from_secs(secs))
}

/// As RFC 5280 writes a moment: two digits for the year until 2049.
pub(crate) fn time(at: Timestamp) -> der::Result<Time> {
    let date = date(at)?;
    Ok(if date.year() <= 2049 {
        Time::UtcTime(UtcTime::from_date_time(date)?)
    } else {
        Time::GeneralTime(GeneralizedTime::from_date_time(date))
    })
}

/// As RFC 6960 writes a moment.
pub(crate) fn general_time(at: Timestamp) -> der::Result<GeneralizedTime> {
    Ok(GeneralizedTime::from_date_time(date(at)?))
}

/// The moment of a certificate.
pub(crate) fn moment(time: Time) -> Timestamp {
    Timestamp::from_secs(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

/// The signature over what is to be signed.
pub(crate) fn sign(signer: &dyn Signer, to_be_signed: &impl Encode) -> Result<BitString, IssueError> {
    let signed = signer.sign(&to_be_signed.to_der()?)?;
    if signed.is_empty() {
        return Err(SignError::Refused("an empty signature".into()).into());
    }
    Ok(BitString::from_bytes(&signed)?)
}

/// The text of a value, in whichever of the string types makers use.
pub(crate) fn text(value: AnyRef<'_>) -> Option<String> {
    if let Ok(text) = value.decode_as::<Utf8StringRef<'_>>() {
        return Some(text.as_str().to_owned());
    }
    if let Ok(text) = value.decode_as::<PrintableStringRef<'_>>() {
        return Some(text.as_str().to_owned());
    }
    if let Ok(text) = value.decode_as::<Ia5StringRef<'_>>() {
        return Some(text.as_str().to_owned());
    }
    value.decode_as::<TeletexStringRef<'_>>().ok().map(|text| text.as_str().to_owned())
}
