//! Names that a certificate gives to its subject, and the bounds within which an authority may give them.

use crate::error::IssueError;
use der::asn1::{Ia5String, OctetString};
use model::Net;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};
use x509_cert::ext::pkix::{NameConstraints, constraints::name::GeneralSubtree, name::GeneralName};

/// The longest text that is taken as a name.
const LONGEST: usize = 253;

/// A name under which somebody meets the subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectName {
    /// A host's name, in small letters.
    Dns(String),
    /// An address.
    Address(IpAddr),
    /// A URI, such as `urn:bastide:…`.
    Uri(String),
    /// A mail address.
    Mail(String),
}

impl SubjectName {
    /// The kind, as profiles name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Address(_) => "address",
            Self::Uri(_) => "uri",
            Self::Mail(_) => "mail",
        }
    }

    /// A host's name: labels of letters, digits and dashes. No wildcards.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn dns(text: &str) -> Result<Self, &'static str> {
        if text.contains('*') {
            return Err("wildcards are not issued");
        }
        if is_host(text) { Ok(Self::Dns(text.to_ascii_lowercase())) } else { Err("expected a host's name") }
    }

    /// A URI with a scheme, in ASCII, without blanks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn uri(text: &str) -> Result<Self, &'static str> {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        let good = scheme.is_some_and(|scheme| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        });
        // Of a host, no two readers may understand another one.
        let plain = text.chars().all(|c| c.is_ascii_graphic() && c != '\\')
            && host_part(text).is_none_or(|host| !host.contains('@'))
            && (text.contains("://")
                || !["http", "https", "ws", "wss", "ftp"].contains(&scheme.unwrap_or_default()));
        if good && text.len() <= LONGEST && plain {
            Ok(Self::Uri(text.to_owned()))
        } else {
            Err("expected a URI in ASCII of at most 253 characters")
        }
    }

    /// A mail address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn mail(text: &str) -> Result<Self, &'static str> {
        let (local, host) = text.rsplit_once('@').ok_or("expected a mail address")?;
        let plain = |c: char| c.is_ascii_graphic() && !"@\"(),:;<>[\\]".contains(c);
        if local.is_empty() || local.len() > 64 || !local.chars().all(plain) || !is_host(host) {
            return Err("expected a mail address");
        }
        Ok(Self::Mail(format!("{local}@{}", host.to_ascii_lowercase())))
    }

    /// As a request or a certificate holds it.
    ///
    /// # Errors
    /// What it was, and what is wrong with it.
    pub(crate) fn read(name: &GeneralName) -> Result<Self, (String, &'static str)> {
        let shown = |text: &str, read: Result<Self, &'static str>| {
            read.map_err(|reason| (text.chars().take(64).collect(), reason))
        };
        match name {
            GeneralName::DnsName(text) => shown(text.as_str(), Self::dns(text.as_str())),
            GeneralName::UniformResourceIdentifier(text) => shown(text.as_str(), Self::uri(text.as_str())),
            GeneralName::Rfc822Name(text) => shown(text.as_str(), Self::mail(text.as_str())),
            GeneralName::IpAddress(bytes) => {
                let bytes = bytes.as_bytes();
                let address = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                let address = address.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
                address
                    .map(Self::Address)
                    .map_err(|_| (format!("an address of {} bytes", bytes.len()), "expected 4 or 16"))
            }
            GeneralName::DirectoryName(_)
            | GeneralName::OtherName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::RegisteredId(_) => Err((
                "a directory name, other name, EDI party or registered id".to_owned(),
                "expected a host's name, an address, a URI or a mail address",
            )),
        }
    }

    pub(crate) fn write(&self) -> der::Result<GeneralName> {
        Ok(match self {
            Self::Dns(text) => GeneralName::DnsName(Ia5String::new(text)?),
            Self::Uri(text) => GeneralName::UniformResourceIdentifier(Ia5String::new(text)?),
            Self::Mail(text) => GeneralName::Rfc822Name(Ia5String::new(text)?),
            Self::Address(IpAddr::V4(address)) => GeneralName::IpAddress(OctetString::new(address.octets())?),
            Self::Address(IpAddr::V6(address)) => GeneralName::IpAddress(OctetString::new(address.octets())?),
        })
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Mail(text) => f.pad(text),
            Self::Address(address) => address.fmt(f),
        }
    }
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What reads as an address is one, and no name.
    text.len() <= LONGEST && text.split('.').all(label) && text.parse::<IpAddr>().is_err()
}

/// Within which names an authority's certificates stay. They are checked before anything is issued; the domains also stand in its
/// own certificate as name constraints, so that whoever verifies refuses what lies outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Domains: themselves and all below. Of none, no host's name and no mail address is issued.
    pub domains: Vec<String>,
    /// Networks. Of none, no address is issued.
    pub networks: Vec<Net>,
}

impl Bounds {
    /// Whether a name lies within.
    ///
    /// # Errors
    /// [`IssueError::OutOfBounds`] with what would.
    pub fn check(&self, name: &SubjectName) -> Result<(), IssueError> {
        let within = |host: &str| {
            self.domains.iter().any(|domain| {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        let (good, expected) = match name {
            SubjectName::Dns(host) => (within(host), "a name in"),
            SubjectName::Mail(mail) => {
                (mail.rsplit_once('@').is_some_and(|(_, host)| within(host)), "a mail address in")
            }
            SubjectName::Address(address) => {
                (self.networks.iter().any(|net| net.contains(*address)), "an address in")
            }
            // One that names no host is nobody else's; one that does is bounded by its host.
            SubjectName::Uri(uri) => (host_of(uri).is_none_or(|host| within(&host)), "a URI of a host in"),
        };
        if good {
            return Ok(());
        }
        let all: Vec<String> = match name {
            SubjectName::Address(_) => self.networks.iter().map(ToString::to_string).collect(),
            _ => self.domains.clone(),
        };
        let expected = if all.is_empty() {
            "none: the authority has no domains or networks to name".to_owned()
        } else {
            format!("{expected} {}", all.join(", "))
        };
        Err(IssueError::OutOfBounds { name: name.to_string(), expected })
    }

    /// Whether all that lies within `other` lies within these.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        let domain = |domain: &String| self.check(&SubjectName::Dns(domain.clone())).is_ok();
        let network = |net: &Net| {
            self.networks.iter().any(|own| own.prefix() <= net.prefix() && own.contains(net.address()))
        };
        other.domains.iter().all(domain) && other.networks.iter().all(network)
    }

    /// What lies within either.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for domain in &other.domains {
            let one = Self { domains: vec![domain.clone()], networks: Vec::new() };
            if !self.cover(&one) {
                self.domains.push(domain.clone());
            }
        }
        for net in &other.networks {
            let one = Self { domains: Vec::new(), networks: vec![*net] };
            if !self.cover(&one) {
                self.networks.push(*net);
            }
        }
        self
    }

    /// As an authority's certificate holds them: domains. Directory names and addresses are not constrained there, because some
    /// of what verifies certificates refuses all below such a constraint (webpki the first, strongSwan the second); that
    /// what is issued names only addresses within is checked before it is signed.
    pub(crate) fn constraints(&self) -> der::Result<NameConstraints> {
        let subtree = |base| GeneralSubtree { base, minimum: 0, maximum: None };
        let mut permitted = Vec::new();
        let mut excluded = Vec::new();
        for domain in &self.domains {
            permitted.push(subtree(GeneralName::DnsName(Ia5String::new(domain)?)));
            // Of mail addresses, the host alone means the host alone (RFC 5280, 4.2.1.10).
            permitted.push(subtree(GeneralName::Rfc822Name(Ia5String::new(domain)?)));
            permitted.push(subtree(GeneralName::Rfc822Name(Ia5String::new(&format!(".{domain}"))?)));
        }
        if self.domains.is_empty() {
            excluded.push(subtree(GeneralName::DnsName(Ia5String::new("")?)));
            excluded.push(subtree(GeneralName::Rfc822Name(Ia5String::new("")?)));
        }
        let some = |all: Vec<GeneralSubtree>| if all.is_empty() { None } else { Some(all) };
        Ok(NameConstraints { permitted_subtrees: some(permitted), excluded_subtrees: some(excluded) })
    }
}

/// What a URI says of a host, with its port.
fn host_part(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

/// The host that a URI names.
pub(crate) fn host_of(uri: &str) -> Option<String> {
    let part = host_part(uri)?;
    let host = part.rsplit_once(':').map_or(part, |(host, _)| host);
    Some(host.to_ascii_lowercase())
}
