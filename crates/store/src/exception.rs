//! Exceptions: narrow, expiring statements that something is no attack.

use crate::{
    Decided, Repository, StoreError,
    database::{Row, query},
    repository::{from_json, seen, to_json, whose},
    writer::Transaction,
};
use model::{AuthorityId, ContentHasher, Exception, FindingId, Timestamp};
use serde::Serialize;

/// An exception as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExceptionRecord {
    /// Whose.
    pub authority: AuthorityId,
    /// Names it in addresses and orders.
    pub id: String,
    /// The exception.
    #[serde(flatten)]
    pub exception: Exception,
    /// When it was made.
    pub made: Timestamp,
    /// When it was taken back, where it was.
    pub revoked: Option<Timestamp>,
}

impl ExceptionRecord {
    /// An exception made now; its id comes from its content.
    #[must_use]
    pub fn new(authority: AuthorityId, exception: Exception, made: Timestamp) -> Self {
        let content = ContentHasher::new()
            .part(exception.incident.as_str())
            .part(&exception.detector)
            .part(exception.address.to_string())
            .part(exception.peer.map(|peer| peer.to_string()).unwrap_or_default())
            .part(made.micros().to_be_bytes());
        let id = FindingId::from_content(content).to_string().replacen("fnd-", "exc-", 1);
        Self { authority, id, exception, made, revoked: None }
    }

    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.exception.until > now
    }
}

impl Repository {
    /// The exceptions, the latest first; at most 1 000.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn exceptions(&self) -> Result<Vec<ExceptionRecord>, StoreError> {
        let rows = query(concat!(
            "SELECT id, made, revoked, body, authority_id FROM exception WHERE ",
            seen!(),
            " ORDER BY made DESC, id LIMIT 1000"
        ))
        .bind(self.sees())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(record).collect()
    }

    /// The exceptions that hold at `now`, for the detectors; at most 1 000, the latest.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn exceptions_in_force(&self, now: Timestamp) -> Result<Vec<Exception>, StoreError> {
        let rows = query(
            "SELECT id, made, revoked, body, authority_id FROM exception \
             WHERE authority_id = $1 AND until > $2 AND revoked IS NULL ORDER BY made DESC, id LIMIT 1000",
        )
        .bind(self.whose())
        .bind(now.micros())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| record(row).map(|record| record.exception)).collect()
    }

    /// Takes an exception back. False where there is none that holds.
    ///
    /// # Errors
    /// [`StoreError`]; then it still holds.
    pub async fn revoke_exception(&self, id: &str, decided: Decided) -> Result<bool, StoreError> {
        let change = query(
            "UPDATE exception SET revoked = $3 \
             WHERE authority_id = $1 AND id = $2 AND revoked IS NULL AND until > $3",
        )
        .bind(self.authority.as_str())
        .bind(id)
        .bind(decided.at.micros());
        self.decide_change(change, decided).await
    }
}

pub(crate) async fn insert_exception(
    transaction: &mut Transaction,
    whose: &str,
    record: &ExceptionRecord,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO exception (authority_id, id, incident, made, until, revoked, body) \
         VALUES ($1, $2, $3, $4, $5, NULL, $6) ON CONFLICT (authority_id, id) DO UPDATE SET until = $5, body = $6",
    )
    .bind(whose)
    .bind(&record.id)
    .bind(record.exception.incident.as_str())
    .bind(record.made.micros())
    .bind(record.exception.until.micros())
    .bind(to_json("exception", &record.id, &record.exception)?)
    .execute(transaction)
    .await?;
    Ok(())
}

fn record(row: &Row) -> Result<ExceptionRecord, StoreError> {
    let id: String = row.try_get(0)?;
    let body: String = row.try_get(3)?;
    Ok(ExceptionRecord {
        authority: whose("exception", &id, row, 4)?,
        exception: from_json("exception", &id, &body)?,
        id,
        made: Timestamp::from_micros(row.try_get(1)?),
        revoked: row.try_get::<Option<i64>>(2)?.map(Timestamp::from_micros),
    })
}
