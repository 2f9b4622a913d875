//! What a device says about itself, and what it is told in return.

use crate::{
    limit::{self, Invalid},
    posture::Posture,
    sbom::Sbom,
};
use model::Timestamp;
use serde::{Deserialize, Serialize};

/// One report. The same number may come twice, where the answer to the first was lost: it is then the same report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Rises by one with each report of a device, also over restarts; gaps are reports that were shed.
    pub number: u64,
    /// When it was made, by the clock of the device.
    pub made: Timestamp,
    /// How many reports were shed since the device was enrolled, for want of room while no server was in reach.
    pub shed: u64,
    /// The number of the settings in force; 0 means those it comes with.
    pub settings: u64,
    /// What it is about.
    pub about: About,
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// How the device stands.
    Posture(Posture),
    /// What is installed on it.
    Sbom(Sbom),
}

/// The answer to a report that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The number of the report.
    pub number: u64,
    /// The number of the newest settings for this device: it fetches those that are newer than its own. 0: none.
    pub settings: u64,
}

impl Report {
    /// From JSON, whole and within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that is not.
    pub fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        let report: Self = read("report", json, limit::REPORT_BYTES)?;
        report.check()?;
        Ok(report)
    }

    /// Whether every field is within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first that is not.
    pub fn check(&self) -> Result<(), Invalid> {
        limit::version("version", self.version)?;
        match &self.about {
            About::Posture(posture) => posture.check(),
            About::Sbom(sbom) => sbom.check(),
        }
    }
}

impl Taken {
    /// From JSON, whole and within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that is not.
    pub fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        let taken: Self = read("answer", json, limit::ANSWER_BYTES)?;
        limit::version("version", taken.version)?;
        Ok(taken)
    }
}

/// Bounded before it is parsed.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    what: &'static str,
    json: &'a [u8],
    most: usize,
) -> Result<T, Invalid> {
    limit::count(what, json.len(), most)?;
    serde_json::from_slice(json).map_err(|error| {
        let place = format!("not readable at line {} column {}", error.line(), error.column());
        Invalid::new(what, place, format!("JSON of version {} ({error})", crate::VERSION))
    })
}
