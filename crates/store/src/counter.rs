//! Counters by the hour, and small named settings.

use crate::{Repository, StoreError, Transaction, database::query};
use model::Timestamp;

const HOUR: i64 = 3_600_000_000;

/// Adds to counters in the hour of `at`.
pub(crate) async fn add(
    transaction: &mut Transaction,
    whose: &str,
    at: Timestamp,
    amounts: &[(&'static str, u64)],
) -> Result<(), StoreError> {
    for (name, amount) in amounts.iter().filter(|(_, amount)| *amount > 0) {
        query(
            "INSERT INTO counter (authority_id, name, hour, value) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (authority_id, name, hour) DO UPDATE SET value = counter.value + $4",
        )
        .bind(whose)
        .bind(*name)
        .bind(at.micros().div_euclid(HOUR))
        .bind(i64::try_from(*amount).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

impl Repository {
    /// Adds to counters in the hour of `at`. Names are the program's own, never taken from traffic.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was added.
    pub async fn add_to_counters(
        &self,
        at: Timestamp,
        amounts: &[(&'static str, u64)],
    ) -> Result<(), StoreError> {
        let amounts: Vec<_> = amounts.iter().copied().filter(|(_, amount)| *amount > 0).collect();
        if amounts.is_empty() {
            return Ok(());
        }
        let whose = self.whose();
        self.write(move |transaction| Box::pin(async move { add(transaction, &whose, at, &amounts).await }))
            .await
    }

    /// A counter by the hour, from `from` (its hour included) to `until`; hours without a value are left out.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn counter(
        &self,
        name: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(Timestamp, u64)>, StoreError> {
        let rows = query(
            "SELECT hour, value FROM counter WHERE authority_id = $1 AND name = $2 AND hour >= $3 AND hour < $4 \
             ORDER BY hour LIMIT 20000",
        )
        .bind(self.whose())
        .bind(name)
        .bind(from.micros().div_euclid(HOUR))
        .bind(until.micros().saturating_add(HOUR - 1).div_euclid(HOUR))
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                let (hour, value): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                Ok((Timestamp::from_micros(hour.saturating_mul(HOUR)), value.unsigned_abs()))
            })
            .collect()
    }

    /// A counter over all that is kept.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn counter_total(&self, name: &str) -> Result<u64, StoreError> {
        let row =
            query("SELECT CAST(SUM(value) AS BIGINT) FROM counter WHERE authority_id = $1 AND name = $2")
                .bind(self.whose())
                .bind(name)
                .fetch_one(self.readers())
                .await?;
        Ok(row.try_get::<Option<i64>>(0)?.unwrap_or_default().unsigned_abs())
    }

    /// A small value that the program keeps for itself.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = query("SELECT value FROM setting WHERE authority_id = $1 AND name = $2")
            .bind(self.whose())
            .bind(name)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// Keeps a small value.
    ///
    /// # Errors
    /// [`StoreError`]; then the old value stays.
    pub async fn set_setting(
        &self,
        name: &'static str,
        value: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (whose, value) = (self.whose(), value.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                query(
                    "INSERT INTO setting (authority_id, name, value, changed) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (authority_id, name) DO UPDATE SET value = $3, changed = $4",
                )
                .bind(&whose)
                .bind(name)
                .bind(&value)
                .bind(now.micros())
                .execute(transaction)
                .await?;
                Ok(())
            })
        })
        .await
    }
}
