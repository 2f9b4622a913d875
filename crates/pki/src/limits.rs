//! Name constraints (RFC 5280, 4.2.1.10) of those above: within what everything below them has to stay.

use crate::{encode, names::SubjectName, oid};
use der::asn1::AnyRef;
use std::net::IpAddr;
use x509_cert::{
    Certificate,
    ext::pkix::{NameConstraints, constraints::name::GeneralSubtree, name::GeneralName},
    name::{Name, RelativeDistinguishedName},
};

/// What one certificate says of the names below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    permitted: Vec<GeneralSubtree>,
    excluded: Vec<GeneralSubtree>,
}

impl Limits {
    /// Those of a certificate.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn of(certificate: &Certificate) -> Result<Self, &'static str> {
        let found = certificate.tbs_certificate.get::<NameConstraints>();
        let Some((_, found)) = found.map_err(|_| "its name constraints cannot be read")? else {
            return Ok(Self::default());
        };
        let read = Self {
            permitted: found.permitted_subtrees.unwrap_or_default(),
            excluded: found.excluded_subtrees.unwrap_or_default(),
        };
        let mut all = read.permitted.iter().chain(&read.excluded);
        match all.any(|subtree| subtree.minimum != 0 || subtree.maximum.is_some()) {
            true => Err("its name constraints count levels, which nobody does"),
            false => Ok(read),
        }
    }

    /// Whether a certificate about this subject, with these names, stays within.
    ///
    /// # Errors
    /// What does not, and within what it had to be.
    pub(crate) fn check(&self, subject: &Name, names: &[SubjectName]) -> Result<(), (String, String)> {
        let subject = Some(subject).filter(|subject| !subject.0.is_empty());
        let all = subject.map(Named::Subject).into_iter().chain(names.iter().map(Named::Host));
        for name in all {
            let about = |subtrees: &[GeneralSubtree]| {
                let about = subtrees
                    .iter()
                    .filter_map(|subtree| Some((shown(&subtree.base), name.lies_within(&subtree.base)?)));
                about.collect::<Vec<_>>()
            };
            let permitted = about(&self.permitted);
            if !permitted.is_empty() && !permitted.iter().any(|(_, within)| *within) {
                let all: Vec<String> = permitted.into_iter().map(|(base, _)| base).collect();
                return Err((name.shown(), format!("a name in {}", all.join(", "))));
            }
            if let Some((base, _)) = about(&self.excluded).into_iter().find(|(_, within)| *within) {
                return Err((name.shown(), format!("no name in {base}")));
            }
        }
        Ok(())
    }
}

/// A name that is looked at.
enum Named<'a> {
    Subject(&'a Name),
    Host(&'a SubjectName),
}

impl Named<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Subject(name) => name.to_string(),
            Self::Host(name) => name.to_string(),
        }
    }

    /// Whether it lies within a base; nothing where that is about another kind of name.
    fn lies_within(&self, base: &GeneralName) -> Option<bool> {
        Some(match (self, base) {
            (Self::Subject(name), GeneralName::DirectoryName(base)) => begins_with(name, base),
            (Self::Host(SubjectName::Dns(host)), GeneralName::DnsName(base)) => {
                let base = base.as_str();
                is_below(host, base.strip_prefix('.').unwrap_or(base), !base.starts_with('.'))
            }
            (Self::Host(SubjectName::Mail(mail)), GeneralName::Rfc822Name(base)) => {
                mail_within(mail, base.as_str())
            }
            (Self::Host(SubjectName::Uri(uri)), GeneralName::UniformResourceIdentifier(base)) => {
                let base = base.as_str();
                // Of one that names no host, nothing can be said: it is not within (RFC 5280).
                crate::names::host_of(uri).is_some_and(|host| host_or_below(&host, base))
            }
            (Self::Host(SubjectName::Address(address)), GeneralName::IpAddress(base)) => {
                in_net(*address, base.as_bytes())
            }
            _ => return None,
        })
    }
}

/// Whether a host is this domain (where that counts) or below it. Everything is below the empty one.
fn is_below(host: &str, domain: &str, itself: bool) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    domain.is_empty()
        || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.') || rest.is_empty() && itself)
}

/// Of mail and URIs, a host alone means the host alone, and one with a dot before it all below.
fn host_or_below(host: &str, base: &str) -> bool {
    match base.strip_prefix('.') {
        Some(domain) => is_below(host, domain, false),
        None => base.is_empty() || host.eq_ignore_ascii_case(base),
    }
}

fn mail_within(mail: &str, base: &str) -> bool {
    match base.rsplit_once('@') {
        Some((local, host)) => {
            mail.rsplit_once('@').is_some_and(|(own, at)| own == local && at.eq_ignore_ascii_case(host))
        }
        None => mail.rsplit_once('@').is_some_and(|(_, host)| host_or_below(host, base)),
    }
}

/// Whether an address lies in a network; one of IPv6 lies in none of IPv4.
fn in_net(address: IpAddr, net: &[u8]) -> bool {
    let address = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let parts = net.split_at_checked(address.len()).filter(|(base, mask)| base.len() == mask.len());
    parts.is_some_and(|(base, mask)| {
        address.iter().zip(base).zip(mask).all(|((own, base), mask)| own & mask == base & mask)
    })
}

fn begins_with(name: &Name, base: &Name) -> bool {
    let same = |(own, base): (&RelativeDistinguishedName, &RelativeDistinguishedName)| {
        own.0.len() == base.0.len()
            && own.0.iter().zip(base.0.iter()).all(|(own, base)| {
                let words = |value| encode::text(AnyRef::from(value)).map(|text| plain(&text));
                own.oid == base.oid
                    && (own.value == base.value || {
                        let (own, base) = (words(&own.value), words(&base.value));
                        own.is_some() && own == base
                    })
            })
    };
    name.0.len() >= base.0.len() && name.0.iter().zip(base.0.iter()).all(same)
}

/// As names are compared: without regard to case and to how many blanks there are.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn shown(base: &GeneralName) -> String {
    match base {
        GeneralName::DnsName(text) => text.to_string(),
        GeneralName::Rfc822Name(text) => text.to_string(),
        GeneralName::UniformResourceIdentifier(text) => text.to_string(),
        GeneralName::DirectoryName(name) => name.to_string(),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
            numbers.join(".")
        }
        _ => "another kind of name".into(),
    }
}

/// Attributes by which a subject is told from others of its authority: they are not the authority's part of a name.
pub(crate) fn is_own_part(oid: der::asn1::ObjectIdentifier) -> bool {
    [oid::COMMON_NAME, oid::SERIAL_NUMBER, oid::MAIL].contains(&oid)
}
