//! Authorities: the public bodies to which every record belongs, the tree they form, and the roles people hold in them.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The name of an authority in addresses, files and logs: a DNS label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AuthorityId(String);

impl AuthorityId {
    /// The longest id, in bytes.
    pub const MOST: usize = 63;

    /// The authority of a node that was told of no other.
    #[must_use]
    pub fn local() -> Self {
        Self("local".into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for AuthorityId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let whole = (1..=Self::MOST).contains(&text.len()) && text.bytes().all(allowed);
        if whole && !text.starts_with('-') && !text.ends_with('-') {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(format!(
            "expected an authority's id: 1 to {} lower-case letters, digits and inner hyphens, such as harbour-city; \
             found {shown:?}",
            Self::MOST
        ))
    }
}

impl<'de> Deserialize<'de> for AuthorityId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What kind of public body an authority is. Those below another are never of a wider kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityLevel {
    /// A country's.
    National,
    /// A region's.
    Regional,
    /// A city's or a district's.
    Local,
    /// A department of any of them.
    Department,
}

impl AuthorityLevel {
    /// All, the widest first.
    pub const ALL: [Self; 4] = [Self::National, Self::Regional, Self::Local, Self::Department];

    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::National => "national",
            Self::Regional => "regional",
            Self::Local => "local",
            Self::Department => "department",
        }
    }

    /// Whether an authority of this level may stand directly below one of `parent`: departments stand below anything,
    /// also below each other; the others below a wider one.
    #[must_use]
    pub fn may_stand_below(self, parent: Self) -> bool {
        self == Self::Department || parent < self
    }
}

impl FromStr for AuthorityLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        named(&Self::ALL, Self::as_str, text, "an authority's level")
    }
}

/// A public body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its id.
    pub id: AuthorityId,
    /// Its name, as people say it.
    pub name: String,
    /// What it is.
    pub level: AuthorityLevel,
    /// The one above; unset for the root of the tree.
    pub parent: Option<AuthorityId>,
}

/// What somebody is, in an authority and in all below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityRole {
    /// Runs the authority: people, roles, authorities below, settings.
    Administrator,
    /// Judges incidents.
    Analyst,
    /// Approves, refuses and undoes responses.
    Operator,
    /// Reads all, changes nothing.
    Auditor,
    /// Enrols devices.
    Integrator,
}

impl AuthorityRole {
    /// All.
    pub const ALL: [Self; 5] =
        [Self::Administrator, Self::Analyst, Self::Operator, Self::Auditor, Self::Integrator];

    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Analyst => "analyst",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Integrator => "integrator",
        }
    }
}

impl fmt::Display for AuthorityRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for AuthorityRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        named(&Self::ALL, Self::as_str, text, "a role")
    }
}

/// A role in an authority, which reaches to all below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holding {
    /// What.
    pub role: AuthorityRole,
    /// Where.
    pub authority: AuthorityId,
}

/// An authority with all above it: what decides who may see its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    authority: AuthorityId,
    above: Vec<AuthorityId>,
}

impl Lineage {
    /// How deep the tree may be.
    pub const MOST: usize = 16;

    /// `authority`, and from its parent up to the root those above it.
    ///
    /// # Errors
    /// Where they are more than [`Self::MOST`] or one comes twice.
    pub fn new(authority: AuthorityId, above: Vec<AuthorityId>) -> Result<Self, String> {
        let lineage = Self { authority, above };
        let twice = lineage
            .upwards()
            .enumerate()
            .any(|(at, id)| lineage.upwards().skip(at + 1).any(|other| other == id));
        if twice || lineage.above.len() >= Self::MOST {
            let found = lineage.above.len() + 1;
            return Err(format!(
                "expected at most {} authorities above each other, each once; found {found}",
                Self::MOST
            ));
        }
        Ok(lineage)
    }

    /// An authority that stands alone.
    #[must_use]
    pub const fn alone(authority: AuthorityId) -> Self {
        Self { authority, above: Vec::new() }
    }

    /// Whose it is.
    #[must_use]
    pub const fn authority(&self) -> &AuthorityId {
        &self.authority
    }

    /// From the authority itself up to the root.
    pub fn upwards(&self) -> impl Iterator<Item = &AuthorityId> {
        std::iter::once(&self.authority).chain(&self.above)
    }
}

fn named<T: Copy>(all: &[T], word: fn(T) -> &'static str, text: &str, what: &str) -> Result<T, String> {
    all.iter().copied().find(|one| word(*one) == text).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
        let shown: String = text.chars().take(80).collect();
        format!("expected {what}: {}; found {shown:?}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::{IntoDeserializer as _, value::StrDeserializer};

    #[test]
    fn an_authority_is_named_by_a_dns_label() {
        let check = |text: &str, expected: bool| {
            assert_eq!(text.parse::<AuthorityId>().is_ok(), expected, "{text:?}");
            let from: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
            assert_eq!(AuthorityId::deserialize(from).is_ok(), expected, "{text:?}");
        };
        check("local", true);
        check("harbour-city", true);
        check("9", true);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
        check("", false);
        check("-a", false);
        check("a-", false);
        check("Harbour", false);
        check("a/b", false);
        check("a.b", false);
        check("..", false);
        check("ä", false);
        check("a b", false);
    }

    #[test]
    fn levels_narrow_downwards() {
        use AuthorityLevel::*;
        let check = |below: AuthorityLevel, parent, expected| {
            assert_eq!(below.may_stand_below(parent), expected, "{below:?} below {parent:?}");
        };
        check(Regional, National, true);
        check(Local, National, true);
        check(Local, Regional, true);
        check(Department, Department, true);
        check(Department, National, true);
        check(National, National, false);
        check(Regional, Local, false);
        check(Local, Local, false);
        check(Local, Department, false);
        assert!(
            "city".parse::<AuthorityLevel>().unwrap_err().contains("national, regional, local, department")
        );
    }

    #[test]
    fn a_lineage_is_short_and_goes_up() {
        let id = |n: usize| format!("a{n}").parse::<AuthorityId>().unwrap();
        assert!(Lineage::new(id(1), vec![id(2), id(1)]).is_err());
        assert!(Lineage::new(id(0), (1..16).map(id).collect()).is_ok());
        assert!(Lineage::new(id(0), (1..17).map(id).collect()).is_err());
        let lineage = Lineage::new(id(1), vec![id(2), id(3)]).unwrap();
        assert!(lineage.upwards().eq(&[id(1), id(2), id(3)]));
    }
}
