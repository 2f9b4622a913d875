//! What certificates are for: readable settings, with what is sensible where nothing is set.

use crate::{
    error::{IssueError, ProfileError},
    names::SubjectName,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest that a certificate is good, in days: browsers take 398.
const MOST_DAYS: u32 = 398;

/// What a certificate may be used for, and what it may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// How long it is good, in days.
    pub days: u32,
    /// As what it may be shown in TLS: `client`, `server`.
    pub usages: Vec<Usage>,
    /// The kinds of names it may hold: `dns`, `address`, `uri`, `mail`.
    pub names: Vec<NameKind>,
    /// Whether the key may be made for the device (`serverkeygen`), which then was known elsewhere.
    #[serde(default)]
    pub server_keygen: bool,
}

/// As what a certificate may be shown in TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// By who connects.
    Client,
    /// By who is connected to.
    Server,
}

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameKind {
    /// Hosts' names.
    Dns,
    /// Addresses.
    Address,
    /// URIs.
    Uri,
    /// Mail addresses.
    Mail,
}

impl NameKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Address => "address",
            Self::Uri => "uri",
            Self::Mail => "mail",
        }
    }
}

impl Profile {
    /// Whether it gives a name of this kind; `called` is the profile's own name.
    ///
    /// # Errors
    /// [`IssueError::NotInProfile`].
    pub(crate) fn check(&self, called: &str, name: &SubjectName) -> Result<(), IssueError> {
        if self.names.iter().any(|kind| kind.as_str() == name.kind()) {
            return Ok(());
        }
        let kinds: Vec<&str> = self.names.iter().map(|kind| kind.as_str()).collect();
        let expected = if kinds.is_empty() { "no names".to_owned() } else { kinds.join(", ") };
        Err(IssueError::NotInProfile { profile: called.to_owned(), kind: name.kind(), expected })
    }
}

/// The profiles of an authority, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Profile>", into = "BTreeMap<String, Profile>")]
pub struct Profiles(BTreeMap<String, Profile>);

impl From<Profiles> for BTreeMap<String, Profile> {
    fn from(profiles: Profiles) -> Self {
        profiles.0
    }
}

impl TryFrom<BTreeMap<String, Profile>> for Profiles {
    type Error = ProfileError;

    /// Those that are set, over those that are shipped.
    fn try_from(set: BTreeMap<String, Profile>) -> Result<Self, ProfileError> {
        Self::default().with(set)
    }
}

impl Default for Profiles {
    fn default() -> Self {
        use NameKind::{Address, Dns, Mail, Uri};
        let profile = |days, usages: &[Usage], names: &[NameKind]| Profile {
            days,
            usages: usages.to_vec(),
            names: names.to_vec(),
            server_keygen: false,
        };
        let profiles = [
            ("device", profile(90, &[Usage::Client], &[Dns, Address, Uri])),
            ("sensor", profile(90, &[Usage::Client], &[Dns, Address])),
            ("service", profile(90, &[Usage::Client, Usage::Server], &[Dns, Address, Uri])),
            ("gateway", profile(90, &[Usage::Client, Usage::Server], &[Dns, Address, Uri])),
            ("person", profile(365, &[Usage::Client], &[Mail])),
        ];
        Self(profiles.map(|(name, profile)| (name.to_owned(), profile)).into())
    }
}

impl Profiles {
    /// These over those that are shipped.
    ///
    /// # Errors
    /// [`ProfileError`] with the profile and what was expected.
    pub fn with(mut self, set: impl IntoIterator<Item = (String, Profile)>) -> Result<Self, ProfileError> {
        for (name, profile) in set {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !(1..=32).contains(&name.len()) || !name.chars().all(plain) {
                return Err(ProfileError::Name(name.chars().take(64).collect()));
            }
            if !(1..=MOST_DAYS).contains(&profile.days) {
                return Err(ProfileError::Days { profile: name, found: profile.days, most: MOST_DAYS });
            }
            if profile.usages.is_empty() {
                return Err(ProfileError::NoUsage { profile: name });
            }
            self.0.insert(name, profile);
        }
        Ok(self)
    }

    /// The one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Profile)> {
        self.0.iter().map(|(name, profile)| (name.as_str(), profile))
    }
}
