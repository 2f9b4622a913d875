//! What is set about certificates.

use model::Net;
use pkcs11::Place;
use pki::{Algorithm, Bounds, Profiles, SubjectName};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::net::SocketAddr;

/// The longest name of an organisation, in letters: what a certificate holds.
const MOST_NAME: usize = 64;
/// The most addresses, domains and networks.
const MOST: usize = 64;

/// What is set about certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What stands first in the names of all issuers.
    #[serde(deserialize_with = "organization")]
    pub organization: String,
    /// With what issuers sign.
    pub algorithm: Algorithm,
    /// Domains in which certificates may name hosts and mail addresses.
    #[serde(deserialize_with = "domains")]
    pub domains: Vec<String>,
    /// Networks of which certificates may name addresses.
    #[serde(deserialize_with = "networks")]
    pub networks: Vec<Net>,
    /// Where lists and OCSP are found, as it stands in certificates; where the console is, where nothing is said.
    #[serde(deserialize_with = "addresses")]
    pub addresses: Vec<String>,
    /// Where revocation lists, OCSP and issuers' certificates are served without TLS; unset: nowhere.
    #[serde(deserialize_with = "socket_address")]
    pub listen: Option<SocketAddr>,
    /// On which token the keys of issuers are made; unset: they lie in the database, under a passphrase.
    #[serde(with = "place")]
    pub keys: Option<Place>,
    /// What certificates are for.
    pub profiles: Profiles,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            organization: "Bastide".into(),
            algorithm: Algorithm::default(),
            domains: Vec::new(),
            networks: Vec::new(),
            addresses: Vec::new(),
            listen: None,
            keys: None,
            profiles: Profiles::default(),
        }
    }
}

impl Settings {
    /// Within what is issued.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { domains: self.domains.clone(), networks: self.networks.clone() }
    }
}

impl Settings {
    /// Where lists and OCSP are found, for a node that is reached at `url`.
    pub(super) fn listened_at(&self, url: &str) -> String {
        let host = url.trim_start_matches("https://");
        // A host in brackets has colons of its own.
        let host =
            host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(host, _)| host);
        match self.listen.map(|address| address.port()) {
            None => url.to_owned(),
            Some(80) => format!("http://{host}"),
            Some(port) => format!("http://{host}:{port}"),
        }
    }
}

fn socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    let address = text.parse();
    address.map(Some).map_err(|_| {
        let found: String = text.chars().take(60).collect();
        D::Error::custom(format!("expected address and port such as 0.0.0.0:80, found {found:?}"))
    })
}

fn organization<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    crate::words::line(&text, MOST_NAME).map_err(|expected| D::Error::custom(format!("expected {expected}")))
}

fn domains<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let read = |text: String| match SubjectName::dns(text.trim_end_matches('.')) {
        Ok(SubjectName::Dns(name)) => Ok(name),
        Ok(_) => Err(D::Error::custom(format!("expected a domain, found {text:?}"))),
        Err(reason) => Err(D::Error::custom(format!("{text:?}: {reason}"))),
    };
    bounded(Vec::<String>::deserialize(from)?)?.into_iter().map(read).collect()
}

fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Net>, D::Error> {
    bounded(Vec::deserialize(from)?)
}

fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let read = |text: String| {
        let good = SubjectName::uri(&text).is_ok()
            && (text.starts_with("http://") || text.starts_with("https://"))
            && !text.contains(['?', '#']);
        match good {
            true => Ok(text.trim_end_matches('/').to_owned()),
            false => Err(D::Error::custom(format!(
                "expected an address such as http://pki.city.example, found {text:?}"
            ))),
        }
    };
    bounded(Vec::<String>::deserialize(from)?)?.into_iter().map(read).collect()
}

/// A token as its URI.
mod place {
    use super::{Deserialize, Deserializer, Place};
    use serde::{Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(place: &Option<Place>, to: S) -> Result<S::Ok, S::Error> {
        match place {
            Some(place) => to.collect_str(place),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Place>, D::Error> {
        let place: Place = String::deserialize(from)?.parse().map_err(D::Error::custom)?;
        match place.object() {
            None => Ok(Some(place)),
            Some(_) => Err(D::Error::custom(
                "expected a token, and no object on it: keys are named as they are made",
            )),
        }
    }
}

fn bounded<T, E: serde::de::Error>(all: Vec<T>) -> Result<Vec<T>, E> {
    if all.len() > MOST {
        return Err(E::custom(format!("expected at most {MOST}, found {}", all.len())));
    }
    Ok(all)
}
