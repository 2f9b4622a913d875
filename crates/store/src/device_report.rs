//! What devices say of themselves: the last report of each kind, as it came.

use crate::{
    Repository, StoreError,
    database::{Row, query},
};
use model::Timestamp;

/// The setting under which it is kept what agents are told.
const TOLD: &str = "agents_told";

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// How the device stands.
    Posture,
    /// What is installed on it.
    Sbom,
}

impl ReportKind {
    /// The word that is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Posture => "posture",
            Self::Sbom => "sbom",
        }
    }
}

/// A report as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReport {
    /// Of which asset.
    pub asset: String,
    /// About what.
    pub kind: ReportKind,
    /// Its number, by the device.
    pub number: u64,
    /// When it was made, by the device's clock.
    pub made: Timestamp,
    /// When it came.
    pub came: Timestamp,
    /// What it says, as JSON.
    pub body: String,
}

impl Repository {
    /// Keeps a report of an asset of this authority, in place of the one before. The same may come twice.
    ///
    /// # Errors
    /// [`StoreError`]; then the one before stays.
    pub async fn keep_device_report(&self, report: DeviceReport) -> Result<(), StoreError> {
        let whose = self.whose();
        self.write(move |transaction| {
            Box::pin(async move {
                query(
                    "INSERT INTO device_report (authority_id, asset, kind, number, made, came, body) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (authority_id, asset, kind) DO UPDATE SET \
                     number = $4, made = $5, came = $6, body = $7",
                )
                .bind(&whose)
                .bind(&report.asset)
                .bind(report.kind.as_str())
                .bind(i64::try_from(report.number).unwrap_or(i64::MAX))
                .bind(report.made.micros())
                .bind(report.came.micros())
                .bind(&report.body)
                .execute(transaction)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// The last report of that kind of an asset of this authority.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn device_report(
        &self,
        asset: &str,
        kind: ReportKind,
    ) -> Result<Option<DeviceReport>, StoreError> {
        let row = query(
            "SELECT number, made, came, body FROM device_report \
             WHERE authority_id = $1 AND asset = $2 AND kind = $3",
        )
        .bind(self.whose())
        .bind(asset)
        .bind(kind.as_str())
        .fetch_optional(self.readers())
        .await?;
        let read = |row: Row| {
            Ok(DeviceReport {
                asset: asset.to_owned(),
                kind,
                number: row.try_get::<i64>(0)?.unsigned_abs(),
                made: Timestamp::from_micros(row.try_get(1)?),
                came: Timestamp::from_micros(row.try_get(2)?),
                body: row.try_get(3)?,
            })
        };
        row.map(read).transpose()
    }

    /// The number of what agents are told: it rises with each change of `told`, also over restarts and servers.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read or kept.
    pub async fn number_of_told(&self, told: &str, now: Timestamp) -> Result<u64, StoreError> {
        // Asked for each report and changed once in years: nothing is written where nothing changed.
        let kept = self.setting(TOLD).await?;
        if let Some((number, content)) = kept.as_deref().and_then(number_and_content)
            && content == told
        {
            return Ok(number);
        }
        let (whose, told) = (self.whose(), told.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let row = query("SELECT value FROM setting WHERE authority_id = $1 AND name = $2")
                    .bind(&whose)
                    .bind(TOLD)
                    .fetch_optional(&mut *transaction)
                    .await?;
                let kept: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
                let number = match kept.as_deref().and_then(number_and_content) {
                    Some((number, content)) if content == told => return Ok(number),
                    Some((number, _)) => number.saturating_add(1),
                    None => 1,
                };
                query(
                    "INSERT INTO setting (authority_id, name, value, changed) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (authority_id, name) DO UPDATE SET value = $3, changed = $4",
                )
                .bind(&whose)
                .bind(TOLD)
                .bind(format!("{number} {told}"))
                .bind(now.micros())
                .execute(transaction)
                .await?;
                Ok(number)
            })
        })
        .await
    }
}

/// What was told last, as it is kept: its number, a blank, and the text.
fn number_and_content(kept: &str) -> Option<(u64, &str)> {
    let (number, content) = kept.split_once(' ')?;
    Some((number.parse().ok()?, content))
}
