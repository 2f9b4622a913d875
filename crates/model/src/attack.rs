//! MITRE ATT&CK names for what a finding shows (Enterprise 17; where an id is of ATT&CK for ICS it begins `T0`).

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// An ATT&CK tactic: the stage of an attack, in the order of an attack's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tactic {
    /// Looking for what can be attacked.
    Reconnaissance,
    /// Getting in.
    InitialAccess,
    /// Running the attacker's code.
    Execution,
    /// Staying in.
    Persistence,
    /// Guessing or stealing what proves identity; also standing between two machines.
    CredentialAccess,
    /// Looking around from inside.
    Discovery,
    /// From one device to its neighbours.
    LateralMovement,
    /// Taking orders.
    CommandAndControl,
    /// Carrying data out.
    Exfiltration,
    /// Doing harm: floods, interruption, manipulation.
    Impact,
}

impl Tactic {
    /// The tactic's name in lower case with hyphens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reconnaissance => "reconnaissance",
            Self::InitialAccess => "initial-access",
            Self::Execution => "execution",
            Self::Persistence => "persistence",
            Self::CredentialAccess => "credential-access",
            Self::Discovery => "discovery",
            Self::LateralMovement => "lateral-movement",
            Self::CommandAndControl => "command-and-control",
            Self::Exfiltration => "exfiltration",
            Self::Impact => "impact",
        }
    }
}

impl fmt::Display for Tactic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An ATT&CK technique id such as `T1110.001`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Technique(pub Cow<'static, str>);

impl Technique {
    /// A technique known when the program was written.
    #[must_use]
    pub const fn new(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
