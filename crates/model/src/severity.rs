//! How bad it is.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Severity of a finding or an incident, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Info,
    /// Look at it when there is time.
    Low,
    /// Needs a person today.
    Medium,
    /// Needs a person now.
    High,
    /// An attack that succeeds or does harm right now.
    Critical,
}

impl Severity {
    /// All, in ascending order.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The shape that stands beside the word, so that colour is never alone.
    #[must_use]
    pub const fn shape(self) -> &'static str {
        match self {
            Self::Info => "·",
            Self::Low => "○",
            Self::Medium => "●",
            Self::High => "▲",
            Self::Critical => "◆",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("expected one of info, low, medium, high, critical, found {text:?}"))
    }
}
