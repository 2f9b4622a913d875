//! People: who they are to a program.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Names a person for ever, also when their names and their login change: 128 random bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PersonId(String);

impl PersonId {
    const PREFIX: &str = "per-";

    /// The id of 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("{}{:032x}", Self::PREFIX, u128::from_be_bytes(bytes)))
    }

    /// The bytes that it was made of.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 16] {
        let digits = self.0.strip_prefix(Self::PREFIX).unwrap_or_default();
        u128::from_str_radix(digits, 16).unwrap_or_default().to_be_bytes()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for PersonId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix(Self::PREFIX).unwrap_or_default();
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() == 32 && digits.bytes().all(hex) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(format!("expected a person's id: per- and 32 hexadecimal digits; found {shown:?}"))
    }
}

impl<'de> Deserialize<'de> for PersonId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What somebody signs in as: an address or a short name, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LoginName(String);

impl LoginName {
    /// The longest, in letters.
    pub const MOST: usize = 128;

    /// The login as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for LoginName {
    type Err = String;

    /// Spaces around it and capital letters are forgiven; what is left must be told apart from every other by sight.
    fn from_str(text: &str) -> Result<Self, String> {
        let login = text.trim().to_ascii_lowercase();
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-+@".contains(&byte);
        let begins = login.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        // What the program does by itself stands under its own name.
        if login == "bastide" {
            return Err("expected a login of a person; bastide is the program itself".to_owned());
        }
        if begins && login.len() <= Self::MOST && login.bytes().all(allowed) {
            return Ok(Self(login));
        }
        let shown: String = text.chars().take(80).collect();
        Err(format!(
            "expected a login of 1 to {} letters a to z, digits and . _ - + @, such as ada@city.example; found {shown:?}",
            Self::MOST
        ))
    }
}

impl<'de> Deserialize<'de> for LoginName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether somebody may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonState {
    /// They may.
    Active,
    /// They may not, until somebody allows it again; sessions and tokens are dead.
    Suspended,
}

impl PersonState {
    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

impl FromStr for PersonState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Active, Self::Suspended]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("expected active or suspended, found {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_bytes() {
        let bytes = *b"0123456789abcdef";
        let id = PersonId::from_random(bytes);
        assert_eq!(id.to_bytes(), bytes);
        assert_eq!(id.as_str().parse::<PersonId>().unwrap(), id);
        for bad in ["", "per-", "per-0123", "per-0123456789ABCDEF0123456789ABCDEF", "inc-0123456789abcdef"] {
            assert!(bad.parse::<PersonId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_login_is_plain_to_see() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text.parse::<LoginName>().ok().as_ref().map(LoginName::as_str), expected, "{text:?}");
        };
        check("Ada@City.example ", Some("ada@city.example"));
        check("j.doe+night", Some("j.doe+night"));
        check("", None);
        check("Bastide", None);
        check("-ada", None);
        check("ada lovelace", None);
        check("аda", None); // a Cyrillic letter
        check("<b>", None);
        check("ada\n", Some("ada"));
        check("ad\na", None);
        check(&"a".repeat(129), None);
    }
}
