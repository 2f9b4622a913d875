//! Incidents: findings that tell one story about one attack. Serialised as `bastide analyze --format json` shows them.

use crate::{IncidentId, Mac, Proof, Severity, Tactic, Technique, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// What an asset did or suffered in an incident. The order is that of precedence: the least wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Taken over and used by somebody else. Beats `attacker`.
    Infected,
    /// Acts against others.
    Attacker,
    /// Commands infected assets.
    Controller,
    /// Suffers harm.
    Victim,
    /// Made to answer to somebody who never asked.
    Reflector,
    /// Aimed at.
    Target,
}

impl Role {
    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Infected => "infected",
            Self::Attacker => "attacker",
            Self::Controller => "controller",
            Self::Victim => "victim",
            Self::Reflector => "reflector",
            Self::Target => "target",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An asset in an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentAsset {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, where bound.
    pub mac: Option<Mac>,
    /// Its part.
    pub role: Role,
    /// How sure it is that the address is really the asset's.
    #[serde(default)]
    pub proof: Proof,
    /// One of ours.
    #[serde(default)]
    pub home: bool,
}

/// One finding as evidence in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it was decided (event time).
    pub at: Timestamp,
    /// By which detector.
    pub detector: String,
    /// The stage of the attack that it shows.
    pub stage: Tactic,
    /// One sentence with the figures.
    pub why: String,
    /// What was measured.
    pub value: f64,
    /// What it was measured against.
    pub threshold: f64,
    /// The file or interface.
    pub file: String,
    /// The packet or line in it, from 1.
    pub record: u64,
}

/// One attack, told as one story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Made from the finding that opened it; stays while the incident grows.
    pub id: IncidentId,
    /// A headline.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// How sure, 0 to 100.
    pub confidence: u8,
    /// The stages of the attack, in the order of an attack's life.
    pub stages: Vec<Tactic>,
    /// The techniques.
    pub techniques: Vec<Technique>,
    /// The beginning.
    pub first: Timestamp,
    /// The end so far.
    pub last: Timestamp,
    /// Who is in it, the most important first, capped.
    pub assets: Vec<IncidentAsset>,
    /// How many more there were.
    pub assets_omitted: u64,
    /// How many findings it is made of.
    pub findings: u64,
    /// How many flows those speak of.
    pub flows: u64,
    /// The story in plain words.
    pub summary: String,
    /// Why the findings were joined into one story.
    pub joined: Vec<String>,
    /// What shows it, in order of time, capped.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub advice: Vec<String>,
    /// Incidents that were told apart before and turned out to be this one.
    #[serde(default)]
    pub supersedes: Vec<IncidentId>,
}
