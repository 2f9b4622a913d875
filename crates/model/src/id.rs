//! Identifiers: one type per entity, so that a finding's id cannot be taken for an incident's.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

macro_rules! content_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                // Ids stand in addresses and in scripts for the packet filter: what is read is an id or refused.
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl $name {
            /// The id of what was fed to the hasher.
            #[must_use]
            pub fn from_content(content: ContentHasher) -> Self {
                Self(format!("{}-{}", $prefix, content.finish()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let digits = text.strip_prefix(concat!($prefix, "-")).unwrap_or_default();
                if digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(format!(concat!("expected an id such as ", $prefix, "-0123456789abcdef, found {:?}"), text))
                }
            }
        }
    };
}

content_id!(
    /// A finding, named by its detector, its parties and its beginning.
    FindingId, "fnd");
content_id!(
    /// An incident, named by the finding that opened it.
    IncidentId, "inc");
content_id!(
    /// A plan, named by its incident and its version.
    PlanId, "plan");
content_id!(
    /// A command, named by its plan, its action and its target.
    CommandId, "cmd");

/// SHA-256 over length-prefixed parts, cut to 64 bits: enough to tell the incidents of a city apart.
#[derive(Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Nothing fed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds one part; parts cannot run into each other.
    #[must_use]
    pub fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    fn finish(self) -> String {
        self.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::{IntoDeserializer as _, value::StrDeserializer};

    #[test]
    fn ids_are_made_of_content_and_read_back() {
        let id = |parts: &[&str]| {
            FindingId::from_content(parts.iter().fold(ContentHasher::new(), |hasher, part| hasher.part(part)))
        };
        assert_eq!(id(&["a", "bc"]), id(&["a", "bc"]));
        assert_ne!(id(&["a", "bc"]), id(&["ab", "c"]));
        assert_eq!(id(&["a"]).to_string().parse::<FindingId>().unwrap(), id(&["a"]));
        let read = |text: &str| {
            let from: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
            FindingId::deserialize(from)
        };
        assert_eq!(read(id(&["a"]).as_str()), Ok(id(&["a"])));
        assert!(read("fnd-0123456789abcde\"\nflush ruleset").is_err());
        assert!("inc-0123456789abcdef".parse::<FindingId>().is_err());
        assert!("fnd-0123456789ABCDEF".parse::<FindingId>().is_err());
    }
}
