//! Retention: records go by age, and before the disk fills.
//!
//! Guarantees: what belongs to a command in force stays until that is over, for it must be found to be taken back. Of
//! the rest, what is open and bad stays longest. By age, a record goes when nothing about it has changed for the time
//! given. Over the cap, incidents go in this order until the size fits: closed ones, then open ones of low severity,
//! then the rest; the oldest first within each. What went is counted.

use crate::{
    Decided, Repository, StoreError,
    database::{DatabaseUrl, Size, query},
    outcome::subject,
    repository::whose,
    writer::Transaction,
};
use ledger::Deed;
use model::Timestamp;
use serde::Serialize;

/// How long records stay and how much disk they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Incidents with their plans and receipts, in days since they last changed.
    pub incident_days: u32,
    /// Assets, in days since they were last seen.
    pub asset_days: u32,
    /// Journal, what opens the leaves of the ledger, and exceptions that are over, in days.
    pub journal_days: u32,
    /// Counters, in days.
    pub counter_days: u32,
    /// The most bytes that the database may take.
    pub most_bytes: u64,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Incidents too old.
    pub incidents_by_age: u64,
    /// Incidents that did not fit.
    pub incidents_by_size: u64,
    /// Assets.
    pub assets: u64,
    /// Everything else.
    pub other: u64,
}

const DAY: i64 = 86_400;
/// How many incidents go before the size is looked at again; how many sessions end at once.
const STEP: i64 = 200;

impl Repository {
    /// Removes what is too old at `now`, then what does not fit.
    ///
    /// # Errors
    /// [`StoreError`]; what was removed before it stays removed.
    pub async fn sweep(&self, retention: &Retention, now: Timestamp) -> Result<Swept, StoreError> {
        let mut swept = self.sweep_by_age(retention, now).await?;
        let mut used = self.bytes(Size::Used).await?;
        // Bounded: a database of nothing but assets and journal cannot shrink further here.
        for _ in 0..10_000 {
            if used <= retention.most_bytes {
                used = self.bytes(Size::Used).await?;
                if used <= retention.most_bytes {
                    break;
                }
            }
            let (gone, freed) = self.drop_incidents(None, now).await?;
            if gone == 0 {
                tracing::warn!(
                    most = retention.most_bytes,
                    "the database is over its cap and holds no incident that could go"
                );
                break;
            }
            swept.incidents_by_size += gone;
            // Where weighing everything takes long, what went is subtracted, and weighed again at the end.
            used = match self.url() {
                DatabaseUrl::Sqlite(_) => self.bytes(Size::Used).await?,
                DatabaseUrl::Postgres(_) => used.saturating_sub(freed),
            };
        }
        self.give_back_pages().await?;
        if swept.incidents_by_size > 0 {
            self.add_to_counters(now, &[("incidents dropped for space", swept.incidents_by_size)]).await?;
        }
        Ok(swept)
    }

    async fn sweep_by_age(&self, retention: &Retention, now: Timestamp) -> Result<Swept, StoreError> {
        let before = |days: u32| now.plus_secs(-DAY.saturating_mul(i64::from(days))).micros();
        let mut swept = Swept::default();
        loop {
            let (gone, _) = self.drop_incidents(Some(before(retention.incident_days)), now).await?;
            swept.incidents_by_age += gone;
            if gone < STEP.unsigned_abs() {
                break;
            }
        }
        let whose = self.whose();
        let (assets, journal, counters) =
            (before(retention.asset_days), before(retention.journal_days), before(retention.counter_days));
        let now = now.micros();
        let (assets, other) = self
            .write(move |transaction| {
                Box::pin(async move {
                    let gone = delete(transaction, "DELETE FROM asset WHERE authority_id = $1 AND last_seen < $2 AND status = 'discovered' AND NOT EXISTS \
                         (SELECT 1 FROM observation WHERE observation.authority_id = asset.authority_id AND observation.asset = asset.id AND source = 'list')", &whose, assets).await?;
                    delete(transaction, "DELETE FROM asset_address WHERE authority_id = $1 AND $2 = $2 AND asset NOT IN (SELECT id FROM asset WHERE authority_id = $1)", &whose, 0).await?;
                    delete(transaction, "DELETE FROM observation WHERE authority_id = $1 AND $2 = $2 AND asset NOT IN (SELECT id FROM asset WHERE authority_id = $1)", &whose, 0).await?;
                    delete(transaction, "DELETE FROM observation_identifier WHERE authority_id = $1 AND $2 = $2 AND (source, subject) NOT IN (SELECT source, subject FROM observation WHERE authority_id = $1)", &whose, 0).await?;
                    let mut other = end_sessions(transaction, now).await?;
                    for (sql, limit) in [
                        ("DELETE FROM journal WHERE authority_id = $1 AND at < $2", journal),
                        // Leaves stay for ever; what they say of people does not.
                        ("DELETE FROM opening WHERE $1 = $1 AND (authority_id, number) IN (SELECT authority_id, number FROM leaf WHERE at < $2)", journal),
                        ("DELETE FROM exception WHERE authority_id = $1 AND until < $2", journal),
                        ("DELETE FROM counter WHERE authority_id = $1 AND hour < $2 / 3600000000", counters),
                        ("DELETE FROM sign_in_link WHERE $1 = $1 AND expires < $2", now),
                        ("DELETE FROM token WHERE $1 = $1 AND expires < $2", now),
                        ("DELETE FROM enrolment_token WHERE $1 = $1 AND expires < $2", now),
                        ("DELETE FROM enrolment WHERE $1 = $1 AND seen < $2", journal),
                        ("DELETE FROM device_report WHERE authority_id = $1 AND came < $2", assets),
                        ("DELETE FROM certificate WHERE $1 = $1 AND ends < $2", journal),
                        ("DELETE FROM certificate_name WHERE $1 = $1 AND $2 = $2 AND (issuer, serial) NOT IN (SELECT issuer, serial FROM certificate)", now),
                    ] {
                        other += delete(transaction, sql, &whose, limit).await?;
                    }
                    Ok((gone, other))
                })
            })
            .await?;
        swept.assets = assets;
        swept.other = other;
        Ok(swept)
    }

    /// Drops up to [`STEP`] incidents with all that hangs on them: those unchanged since `before`, or, where unset, those
    /// that are missed least. None whose commands may be in force at `now`. How many went, and about how many bytes.
    async fn drop_incidents(&self, before: Option<i64>, now: Timestamp) -> Result<(u64, u64), StoreError> {
        let whose = self.whose();
        self.write(move |transaction| {
            Box::pin(async move {
                let rows = query(
                    "SELECT id, CAST(LENGTH(body) + LENGTH(search) AS BIGINT) FROM incident WHERE authority_id = $1 AND ($2 IS NULL OR changed < $2) \
                     AND id NOT IN (SELECT plan.incident FROM command JOIN plan \
                     ON plan.authority_id = command.authority_id AND plan.id = command.plan \
                     WHERE command.authority_id = $1 AND command.expires > $4 AND plan.status = 'active') \
                     ORDER BY CASE WHEN state <> 'open' THEN 0 WHEN severity <= 1 THEN 1 ELSE 2 END, changed, id LIMIT $3",
                )
                .bind(&whose)
                .bind(before)
                .bind(STEP)
                .bind(now.micros())
                .fetch_all(&mut *transaction)
                .await?;
                let mut freed = 0;
                for row in &rows {
                    let id: String = row.try_get(0)?;
                    freed += row.try_get::<i64>(1)?.unsigned_abs();
                    drop_incident(transaction, &whose, &id).await?;
                }
                Ok((rows.len() as u64, freed))
            })
        })
        .await
    }

    async fn give_back_pages(&self) -> Result<(), StoreError> {
        // Not within a transaction of the writer: the pragma works on what is free when it runs, which is enough.
        self.write(|transaction| {
            Box::pin(async move { Ok(transaction.connection().give_back_pages().await?) })
        })
        .await
    }
}

async fn delete(
    transaction: &mut Transaction,
    sql: &'static str,
    whose: &str,
    limit: i64,
) -> Result<u64, StoreError> {
    query(sql).bind(whose).bind(limit).execute(transaction).await
}

/// Sessions whose time is over end, and the ledger says so; what is left is no good meanwhile, and goes with the next sweep.
async fn end_sessions(transaction: &mut Transaction, now: i64) -> Result<u64, StoreError> {
    let rows = query(
        "DELETE FROM session WHERE (authority_id, hash) IN \
         (SELECT authority_id, hash FROM session WHERE expires < $1 ORDER BY expires LIMIT $2) \
         RETURNING authority_id, person, expires",
    )
    .bind(now)
    .bind(STEP)
    .fetch_all(&mut *transaction)
    .await?;
    for row in &rows {
        let person: String = row.try_get(1)?;
        let authority = whose("session", &person, row, 0)?;
        let at = Timestamp::from_micros(row.try_get(2)?);
        let decided = Decided::by_program(at, Deed::SessionEnded, vec![subject("person", &person)?]);
        transaction.decide(&authority, &decided).await?;
    }
    Ok(rows.len() as u64)
}

async fn drop_incident(transaction: &mut Transaction, whose: &str, id: &str) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM receipt WHERE authority_id = $1 AND command IN (SELECT command.id FROM command JOIN plan \
         ON plan.authority_id = command.authority_id AND plan.id = command.plan \
         WHERE plan.authority_id = $1 AND plan.incident = $2)",
        "DELETE FROM command WHERE authority_id = $1 AND plan IN \
         (SELECT id FROM plan WHERE authority_id = $1 AND incident = $2)",
        "DELETE FROM plan WHERE authority_id = $1 AND incident = $2",
        "DELETE FROM incident_address WHERE authority_id = $1 AND incident = $2",
        "DELETE FROM incident WHERE authority_id = $1 AND id = $2",
    ] {
        query(sql).bind(whose).bind(id).execute(&mut *transaction).await?;
    }
    Ok(())
}
