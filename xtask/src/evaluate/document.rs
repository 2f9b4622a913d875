//! What `bastide analyze --format json` says, read as a stranger would read it.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
};

/// An analysis.
#[derive(Clone, Debug, Deserialize)]
pub struct Document {
    /// Its incidents.
    pub incidents: Vec<Incident>,
    /// Its totals.
    pub totals: Totals,
}

/// Totals.
#[derive(Clone, Debug, Deserialize)]
pub struct Totals {
    /// Packets read.
    pub packets: u64,
    /// Flows seen.
    pub flows: u64,
}

/// An incident.
#[derive(Clone, Debug, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// Its headline.
    pub title: String,
    /// Its severity.
    pub severity: String,
    /// Its stages.
    pub stages: Vec<String>,
    /// Who is in it.
    pub assets: Vec<Asset>,
    /// How many more.
    pub assets_omitted: u64,
    /// How many findings.
    pub findings: u64,
    /// The story.
    pub summary: String,
    /// What shows it.
    pub evidence: Vec<Evidence>,
}

/// Somebody in an incident.
#[derive(Clone, Debug, Deserialize)]
pub struct Asset {
    /// The address.
    pub address: IpAddr,
    /// The part.
    pub role: String,
}

/// Evidence.
#[derive(Clone, Debug, Deserialize)]
pub struct Evidence {
    /// When it was decided.
    pub at: String,
    /// By which detector.
    pub detector: String,
    /// Its stage, where told.
    #[serde(default)]
    pub stage: String,
    /// Why.
    pub why: String,
}

/// The severities in ascending order.
pub(super) const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];

/// The place of a severity in the order.
#[must_use]
pub fn rank(severity: &str) -> usize {
    SEVERITIES.iter().position(|known| *known == severity).unwrap_or(0)
}

impl Incident {
    /// Of medium severity or more.
    #[must_use]
    pub fn matters(&self) -> bool {
        rank(&self.severity) >= 2
    }

    /// Addresses with one of the roles.
    #[must_use]
    pub fn with_role(&self, roles: &[&str]) -> BTreeSet<IpAddr> {
        self.assets
            .iter()
            .filter(|asset| roles.contains(&asset.role.as_str()))
            .map(|asset| asset.address)
            .collect()
    }

    /// The earliest evidence (of a stage, where given), in microseconds since the epoch.
    #[must_use]
    pub fn decided(&self, stage: &str) -> Option<i64> {
        self.evidence
            .iter()
            .filter(|evidence| stage.is_empty() || evidence.stage == stage)
            .filter_map(|evidence| micros(&evidence.at))
            .min()
    }
}

impl Document {
    /// Incidents of medium or more.
    pub fn that_matter(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().filter(|incident| incident.matters())
    }
}

/// An RFC 3339 moment in UTC as microseconds since the epoch.
#[must_use]
pub(super) fn micros(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let fraction: String = text.get(20..)?.chars().take_while(char::is_ascii_digit).take(6).collect();
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    // Days since the epoch of a date in the Gregorian calendar (Howard Hinnant's formula).
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + micros)
}

/// How to run `bastide analyze`.
#[derive(Clone)]
pub struct Analyzer {
    /// The program.
    pub binary: PathBuf,
}

impl Analyzer {
    /// Analyses files and reads what is said. Exit codes 0 and 2 (read in part) will do.
    ///
    /// # Errors
    /// Where the program fails, or says what is no analysis.
    pub fn run(&self, files: &[&Path], more: &[&str]) -> Result<Document> {
        let output = Command::new(&self.binary)
            .args(["analyze", "--format", "json"])
            .args(more)
            .args(files)
            .output()
            .with_context(|| format!("cannot run {}", self.binary.display()))?;
        if !matches!(output.status.code(), Some(0 | 2)) {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("bastide analyze ended with {}: {}", output.status, said.trim());
        }
        serde_json::from_slice(&output.stdout).context("expected an analysis as JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00.000001Z", 1),
            ("2020-02-16T16:45:46.912858Z", 1_581_871_546_912_858),
            ("2024-02-29T23:59:59.000000Z", 1_709_251_199_000_000),
        ] {
            assert_eq!(micros(text), Some(expected), "{text}");
        }
        assert_eq!(micros("x"), None);
    }
}
