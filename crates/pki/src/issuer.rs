//! An authority that issues: its root, those below it, and the certificates of everything else.

use crate::{
    encode,
    error::IssueError,
    key::{PublicKey, Signer},
    limits::{self, Limits},
    names::{Bounds, SubjectName},
    oid,
    profile::{Profile, Usage},
};
use der::{
    Decode as _, Encode as _,
    asn1::{Ia5String, Null, OctetString},
    flagset::FlagSet,
};
use model::Timestamp;
use std::{fmt, sync::Arc};
use x509_cert::{
    Certificate, TbsCertificate, Version,
    ext::{
        AsExtension, Extension, Extensions,
        pkix::{
            AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints,
            CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, KeyUsages, NameConstraints, SubjectAltName,
            SubjectKeyIdentifier,
            crl::{FreshestCrl, dp::DistributionPoint},
            name::{DistributionPointName, GeneralName},
        },
    },
    name::Name,
    serial_number::SerialNumber,
    time::Validity,
};

/// For how long before now a certificate is good already: clocks of devices are behind.
const BACKDATED_SECS: i64 = 300;
/// The longest common name, organisation and unit (RFC 5280, upper bounds of X.520).
const LONGEST: usize = 64;
const DAY: i64 = 86_400;

/// A serial number: at least 64 random bits, and positive.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// From 16 random bytes.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        // Positive, and always as long: nothing about it tells how many there are.
        let [first, ..] = &mut bytes;
        *first = *first & 0x7f | 0x40;
        Self(bytes.to_vec())
    }

    /// From its bytes, as a certificate or an OCSP request holds them.
    ///
    /// # Errors
    /// [`IssueError::Serial`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IssueError> {
        let bytes = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        if bytes.is_empty() || bytes.len() > 20 { Err(IssueError::Serial) } else { Ok(Self(bytes.to_vec())) }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn encoded(&self) -> der::Result<SerialNumber> {
        SerialNumber::new(&self.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whom a certificate is about. The authority's own parts (organisation, unit) are put before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is called.
    pub common_name: String,
    /// By what it is told from others of that name, in letters, digits, dashes and dots.
    pub serial_number: Option<String>,
}

/// An authority that is to issue, below a root.
#[derive(Clone, Copy, Debug)]
pub struct NewAuthority<'a> {
    /// Whose it is: the first part of every name below it.
    pub organization: &'a str,
    /// Which of theirs: the second.
    pub unit: &'a str,
    /// Within what it stays.
    pub bounds: &'a Bounds,
    /// How long it is good.
    pub days: i64,
}

/// Where revocation is asked for, as it stands in certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Of the full revocation list.
    pub crl: Vec<String>,
    /// Of the delta list.
    pub delta: Vec<String>,
    /// Of OCSP.
    pub ocsp: Vec<String>,
    /// Of the issuer's certificate.
    pub issuer: Vec<String>,
}

/// A certificate as it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub der: Vec<u8>,
    /// Its number.
    pub serial: Serial,
    /// From when it is good.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

/// A certificate with its key, by which others are issued.
#[derive(Clone)]
pub struct Issuer {
    certificate: Certificate,
    der: Vec<u8>,
    bounds: Bounds,
    addresses: Addresses,
    signer: Arc<dyn Signer>,
    /// What its own certificate says of the names below it, and those above say.
    limits: Vec<Limits>,
}

impl NewAuthority<'_> {
    pub(crate) fn subject(&self) -> Result<Name, IssueError> {
        let (organization, unit) =
            (text("the organisation", self.organization)?, text("the unit", self.unit)?);
        let place = [(oid::ORGANIZATION, organization), (oid::UNIT, unit)];
        let common = format!("{organization} {unit} CA");
        let common: String = common.chars().take(LONGEST).collect();
        Ok(encode::directory_name(place.into_iter().chain([(oid::COMMON_NAME, common.as_str())]))?)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.certificate.tbs_certificate.subject)
    }
}

impl Issuer {
    /// A root: its certificate, signed by itself. It issues those of authorities, and may be kept away from the net.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn root(
        organization: &str,
        signer: &dyn Signer,
        serial: Serial,
        now: Timestamp,
        days: i64,
    ) -> Result<Issued, IssueError> {
        let organization = text("the organisation", organization)?;
        let common: String = format!("{organization} Root").chars().take(LONGEST).collect();
        let subject =
            encode::directory_name([(oid::ORGANIZATION, organization), (oid::COMMON_NAME, &common)])?;
        let (from, to) = (now.plus_secs(-BACKDATED_SECS), now.plus_secs(days.saturating_mul(DAY)));
        let key = signer.public_key();
        let mut extensions = authority_extensions(None)?;
        extensions.push(SubjectKeyIdentifier(OctetString::new(key.id())?).to_extension(&subject, &[])?);
        let body = Body { subject: subject.clone(), key, serial, from, to, extensions };
        sign(subject, signer, body)
    }

    /// One that issues from now on: its certificate has to be an authority's, and about the signer's key.
    ///
    /// # Errors
    /// [`IssueError::Issuer`] with what is wrong with it.
    pub fn new(
        der: &[u8],
        signer: Arc<dyn Signer>,
        bounds: Bounds,
        addresses: Addresses,
    ) -> Result<Self, IssueError> {
        let wrong = |reason: &str| IssueError::Issuer(reason.to_owned());
        let certificate = Certificate::from_der(der)
            .map_err(|error| IssueError::Issuer(format!("it is no certificate in DER: {error}")))?;
        let body = &certificate.tbs_certificate;
        if body.subject_public_key_info != *signer.public_key().info() {
            return Err(wrong("it is about another key"));
        }
        let constraints =
            body.get::<BasicConstraints>().map_err(|_| wrong("its basic constraints cannot be read"))?;
        if !constraints.is_some_and(|(_, constraints)| constraints.ca) {
            return Err(wrong("it is not an authority's (basic constraints)"));
        }
        let usage = body.get::<KeyUsage>().map_err(|_| wrong("its key usage cannot be read"))?;
        if usage.is_some_and(|(_, usage)| !usage.key_cert_sign() || !usage.crl_sign()) {
            return Err(wrong("its key may not sign certificates and revocation lists (key usage)"));
        }
        let limits = vec![Limits::of(&certificate).map_err(wrong)?];
        Ok(Self { der: der.to_vec(), certificate, bounds, addresses, signer, limits })
    }

    /// The same, heeding what these certificates above it say of the names below them.
    ///
    /// # Errors
    /// [`IssueError::Issuer`] where that cannot be read.
    pub fn below<'a>(mut self, above: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, IssueError> {
        for der in above {
            let limits = Limits::of(&Certificate::from_der(der)?);
            self.limits.push(limits.map_err(|reason| IssueError::Issuer(reason.to_owned()))?);
        }
        Ok(self)
    }

    /// Whether certificates with this name stay within what it and those above it are held to.
    ///
    /// # Errors
    /// [`IssueError::OutOfBounds`] with what would.
    pub fn allows(&self, name: &SubjectName) -> Result<(), IssueError> {
        self.bounds.check(name)?;
        self.check(&Name::default(), std::slice::from_ref(name))
    }

    fn check(&self, subject: &Name, names: &[SubjectName]) -> Result<(), IssueError> {
        let mut limits = self.limits.iter();
        limits.try_for_each(|limits| limits.check(subject, names)).map_err(|(name, expected)| {
            let expected = format!("{expected} (name constraints of its authority)");
            IssueError::OutOfBounds { name, expected }
        })
    }

    /// Its certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Until when its own certificate is good.
    #[must_use]
    pub fn good_until(&self) -> Timestamp {
        encode::moment(self.certificate.tbs_certificate.validity.not_after)
    }

    pub(crate) const fn name(&self) -> &Name {
        &self.certificate.tbs_certificate.subject
    }

    pub(crate) fn signer(&self) -> &dyn Signer {
        &*self.signer
    }

    pub(crate) const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The certificate of an authority below, which issues no further authorities and nothing outside its bounds.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn authority(
        &self,
        new: &NewAuthority<'_>,
        key: &PublicKey,
        serial: Serial,
        now: Timestamp,
    ) -> Result<Issued, IssueError> {
        self.sub_authority(new.subject()?, key, &new.bounds.constraints()?, (serial, now, new.days))
    }

    pub(crate) fn sub_authority(
        &self,
        subject: Name,
        key: &PublicKey,
        limits: &NameConstraints,
        (serial, now, days): (Serial, Timestamp, i64),
    ) -> Result<Issued, IssueError> {
        let own = self.certificate.tbs_certificate.get::<BasicConstraints>()?;
        if own.is_some_and(|(_, own)| own.path_len_constraint == Some(0)) {
            return Err(IssueError::Issuer("it issues no authorities (path length)".into()));
        }
        let mut extensions = authority_extensions(Some(0))?;
        extensions.push(limits.to_extension(&subject, &[])?);
        extensions.extend(self.issued_extensions(key)?);
        let to = self.until(now, days)?;
        let body = Body { subject, key, serial, from: now.plus_secs(-BACKDATED_SECS), to, extensions };
        sign(self.name().clone(), &*self.signer, body)
    }

    /// The certificate of a device, service, gateway or person.
    ///
    /// # Errors
    /// [`IssueError`] where the subject, a name or the moment is not for this issuer and profile.
    pub fn issue(
        &self,
        subject: &Subject,
        key: &PublicKey,
        names: &[SubjectName],
        (called, profile): (&str, &Profile),
        serial: Serial,
        now: Timestamp,
    ) -> Result<Issued, IssueError> {
        for name in names {
            profile.check(called, name)?;
            self.bounds.check(name)?;
        }
        let mut extensions = vec![
            BasicConstraints { ca: false, path_len_constraint: None }.to_extension(self.name(), &[])?,
            key_usage(key).to_extension(self.name(), &[])?,
        ];
        let usages = profile.usages.iter().map(|usage| match usage {
            Usage::Client => oid::CLIENT_AUTH,
            Usage::Server => oid::SERVER_AUTH,
        });
        extensions.push(ExtendedKeyUsage(usages.collect()).to_extension(self.name(), &[])?);
        if !names.is_empty() {
            let names = names.iter().map(SubjectName::write).collect::<der::Result<Vec<_>>>()?;
            // Not critical: the subject is never empty (RFC 5280, 4.2.1.6).
            extensions.push(encode::extension(oid::SUBJECT_NAMES, false, &SubjectAltName(names))?);
        }
        extensions.extend(self.issued_extensions(key)?);
        let to = self.until(now, i64::from(profile.days))?;
        let subject = self.subject(subject)?;
        self.check(&subject, names)?;
        let body = Body { subject, key, serial, from: now.plus_secs(-BACKDATED_SECS), to, extensions };
        sign(self.name().clone(), &*self.signer, body)
    }

    /// The certificate of whoever answers OCSP for this issuer: short, and not asked about itself.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn responder(
        &self,
        key: &PublicKey,
        serial: Serial,
        now: Timestamp,
        days: i64,
    ) -> Result<Issued, IssueError> {
        let subject = self.subject(&Subject { common_name: "OCSP responder".into(), serial_number: None })?;
        let mut usage = FlagSet::<KeyUsages>::empty();
        usage |= KeyUsages::DigitalSignature;
        let mut extensions = vec![
            BasicConstraints { ca: false, path_len_constraint: None }.to_extension(&subject, &[])?,
            KeyUsage(usage).to_extension(&subject, &[])?,
            ExtendedKeyUsage(vec![oid::OCSP_SIGNING]).to_extension(&subject, &[])?,
            encode::extension(oid::OCSP_NO_CHECK, false, &Null)?,
        ];
        extensions.extend(self.key_extensions(key)?);
        let to = self.until(now, days)?;
        let body = Body { subject, key, serial, from: now.plus_secs(-BACKDATED_SECS), to, extensions };
        sign(self.name().clone(), &*self.signer, body)
    }

    /// The authority's own parts of the name, then the subject's.
    fn subject(&self, subject: &Subject) -> Result<Name, IssueError> {
        let mut name = self.name().clone();
        name.0.retain(|part| !part.0.iter().any(|part| limits::is_own_part(part.oid)));
        let common = text("the common name", &subject.common_name)?;
        let mut own = vec![(oid::COMMON_NAME, common)];
        if let Some(number) = &subject.serial_number {
            let printable = |c: char| c.is_ascii_alphanumeric() || "-.:/".contains(c);
            if number.is_empty() || number.len() > LONGEST || !number.chars().all(printable) {
                let found = number.chars().count();
                return Err(IssueError::Subject { what: "the serial number", found, most: LONGEST });
            }
            own.push((oid::SERIAL_NUMBER, number));
        }
        name.0.extend(encode::directory_name(own)?.0);
        Ok(name)
    }

    /// Until when something issued now is good: no longer than the issuer.
    fn until(&self, now: Timestamp, days: i64) -> Result<Timestamp, IssueError> {
        let validity = &self.certificate.tbs_certificate.validity;
        let (from, to) = (encode::moment(validity.not_before), encode::moment(validity.not_after));
        if now < from || now >= to {
            return Err(IssueError::IssuerNotGood { from, to, now });
        }
        Ok(now.plus_secs(days.saturating_mul(DAY)).min(to))
    }

    /// Whose key it is and whose signature.
    fn key_extensions(&self, key: &PublicKey) -> der::Result<Extensions> {
        Ok(vec![
            SubjectKeyIdentifier(OctetString::new(key.id())?).to_extension(self.name(), &[])?,
            self.authority_key()?.to_extension(self.name(), &[])?,
        ])
    }

    pub(crate) fn authority_key(&self) -> der::Result<AuthorityKeyIdentifier> {
        // The id that the issuer's certificate gives itself: that of an imported one is made in its own way.
        let own = self.certificate.tbs_certificate.get::<SubjectKeyIdentifier>().ok().flatten();
        let id = match own {
            Some((_, id)) => id.0,
            None => OctetString::new(self.signer.public_key().id())?,
        };
        Ok(AuthorityKeyIdentifier {
            key_identifier: Some(id),
            authority_cert_issuer: None,
            authority_cert_serial_number: None,
        })
    }

    /// Keys, and where revocation is asked for.
    fn issued_extensions(&self, key: &PublicKey) -> der::Result<Extensions> {
        let mut extensions = self.key_extensions(key)?;
        let Addresses { crl, delta, ocsp, issuer } = &self.addresses;
        if !crl.is_empty() {
            extensions.push(CrlDistributionPoints(points(crl)?).to_extension(self.name(), &[])?);
        }
        if !delta.is_empty() {
            extensions.push(FreshestCrl(points(delta)?).to_extension(self.name(), &[])?);
        }
        let access = [(oid::OCSP_ACCESS, ocsp), (oid::ISSUER_ACCESS, issuer)];
        let access = access.into_iter().flat_map(|(method, all)| all.iter().map(move |uri| (method, uri)));
        let access = access
            .map(|(access_method, uri)| {
                let access_location = GeneralName::UniformResourceIdentifier(Ia5String::new(uri)?);
                Ok(AccessDescription { access_method, access_location })
            })
            .collect::<der::Result<Vec<_>>>()?;
        if !access.is_empty() {
            extensions.push(AuthorityInfoAccessSyntax(access).to_extension(self.name(), &[])?);
        }
        Ok(extensions)
    }
}

pub(crate) fn points(uris: &[String]) -> der::Result<Vec<DistributionPoint>> {
    let names = uris.iter().map(|uri| Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(uri)?)));
    let names = names.collect::<der::Result<Vec<_>>>()?;
    // One point with several addresses: any of them serves the same list.
    let distribution_point = Some(DistributionPointName::FullName(names));
    Ok(vec![DistributionPoint { distribution_point, reasons: None, crl_issuer: None }])
}

/// What makes a certificate an authority's.
pub(crate) fn authority_extensions(below: Option<u8>) -> der::Result<Extensions> {
    let nobody = Name::default();
    let mut usage = FlagSet::<KeyUsages>::empty();
    usage |= KeyUsages::KeyCertSign;
    usage |= KeyUsages::CRLSign;
    Ok(vec![
        BasicConstraints { ca: true, path_len_constraint: below }.to_extension(&nobody, &[])?,
        KeyUsage(usage).to_extension(&nobody, &[])?,
    ])
}

fn key_usage(key: &PublicKey) -> KeyUsage {
    let mut usage = FlagSet::<KeyUsages>::empty();
    usage |= KeyUsages::DigitalSignature;
    if key.is_rsa() {
        usage |= KeyUsages::KeyEncipherment;
    }
    KeyUsage(usage)
}

fn text<'a>(what: &'static str, text: &'a str) -> Result<&'a str, IssueError> {
    let found = text.chars().count();
    if found == 0 || found > LONGEST || text.chars().any(char::is_control) {
        return Err(IssueError::Subject { what, found, most: LONGEST });
    }
    Ok(text)
}

/// What a certificate is about.
struct Body<'a> {
    subject: Name,
    key: &'a PublicKey,
    serial: Serial,
    from: Timestamp,
    to: Timestamp,
    extensions: Vec<Extension>,
}

fn sign(issuer: Name, signer: &dyn Signer, body: Body<'_>) -> Result<Issued, IssueError> {
    let tbs_certificate = TbsCertificate {
        version: Version::V3,
        serial_number: body.serial.encoded()?,
        signature: signer.algorithm().identifier(),
        issuer,
        validity: Validity { not_before: encode::time(body.from)?, not_after: encode::time(body.to)? },
        subject: body.subject,
        subject_public_key_info: body.key.info().clone(),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(body.extensions),
    };
    let signature = encode::sign(signer, &tbs_certificate)?;
    let signature_algorithm = signer.algorithm().identifier();
    let der = Certificate { tbs_certificate, signature_algorithm, signature }.to_der()?;
    Ok(Issued { der, serial: body.serial, from: body.from, to: body.to })
}
