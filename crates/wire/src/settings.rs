//! What a device is told to do. Signed by the server, as a JWS whose payload this is.

use crate::{
    limit::{self, Invalid},
    report,
};
use model::Timestamp;
use serde::{Deserialize, Serialize};

/// What a device is told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// [`crate::VERSION`].
    pub version: u32,
    /// For whom: the SHA-256 of the device's `SubjectPublicKeyInfo`, as 64 hexadecimal digits.
    pub device: String,
    /// Rises with each change; a device takes none below what it had.
    pub number: u64,
    /// When they were made.
    pub made: Timestamp,
    /// Until when they hold; then those that the agent comes with do.
    pub not_after: Timestamp,
    /// How often the device looks at itself and speaks, in seconds: [`limit::REPORT_EVERY`].
    pub report_every: u32,
    /// What it looks at.
    pub collect: Collect,
}

/// What a device looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// The package databases: the SBOM.
    pub packages: bool,
    /// Listening ports, and telnet among them.
    pub ports: bool,
    /// Accounts with a factory password or none.
    pub accounts: bool,
}

impl Default for Collect {
    fn default() -> Self {
        Self { packages: true, ports: true, accounts: true }
    }
}

impl Settings {
    /// How often a device speaks that was told nothing, in seconds.
    pub const REPORT_EVERY: u32 = 3_600;

    /// From the payload of a JWS whose signature was verified.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that is not within its bounds.
    pub fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        let settings: Self = report::read("settings", json, limit::ANSWER_BYTES)?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether every field is within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first that is not.
    pub fn check(&self) -> Result<(), Invalid> {
        limit::version("version", self.version)?;
        limit::hex("device", &self.device, 64)?;
        if self.number == 0 {
            return Err(Invalid::new("number", 0, "1 or more"));
        }
        if self.not_after <= self.made {
            let found = format!("{}", self.not_after);
            return Err(Invalid::new("not_after", found, format!("later than `made`, {}", self.made)));
        }
        if !limit::REPORT_EVERY.contains(&self.report_every) {
            let (least, most) = limit::REPORT_EVERY.into_inner();
            let expected = format!("{least} to {most} seconds");
            return Err(Invalid::new("report_every", self.report_every, expected));
        }
        Ok(())
    }
}
