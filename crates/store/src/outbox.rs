//! What still has to be told to somebody outside.
//!
//! A message is written in the transaction of the incident that it tells of, so that neither can be without the other;
//! it leaves when it was taken or given up. About [`MOST_WAITING`] wait for a channel; beyond, the oldest go and are
//! counted.

use crate::{Decided, Repository, StoreError, database::query, repository::from_json, writer::Transaction};
use model::{Incident, Timestamp};

/// How many messages may wait for one channel.
pub(crate) const MOST_WAITING: i64 = 10_000;
/// After how many messages they are counted; so many more may wait for a while.
const COUNTED_EVERY: i64 = 64;

/// A message that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Its place in the queue.
    pub seq: i64,
    /// When it was put there.
    pub made: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// The incident that it tells of, as it was then.
    pub incident: Incident,
}

impl Repository {
    /// The messages of a channel that are due, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn outgoing(
        &self,
        channel: &str,
        now: Timestamp,
        most: u32,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let rows = query(
            "SELECT seq, made, tries, body FROM outbox WHERE authority_id = $1 AND channel = $2 AND due <= $3 \
             ORDER BY due, seq LIMIT $4",
        )
        .bind(self.whose())
        .bind(channel)
        .bind(now.micros())
        .bind(i64::from(most.min(1_000)))
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                let seq: i64 = row.try_get(0)?;
                let body: String = row.try_get(3)?;
                Ok(Outgoing {
                    seq,
                    made: Timestamp::from_micros(row.try_get(1)?),
                    tries: u32::try_from(row.try_get::<i64>(2)?).unwrap_or(u32::MAX),
                    incident: from_json("outbox", &seq.to_string(), &body)?,
                })
            })
            .collect()
    }

    /// How many messages wait for a channel.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be counted.
    pub async fn outgoing_waiting(&self, channel: &str) -> Result<u64, StoreError> {
        let row = query("SELECT COUNT(*) FROM outbox WHERE authority_id = $1 AND channel = $2")
            .bind(self.whose())
            .bind(channel)
            .fetch_one(self.readers())
            .await?;
        Ok(row.try_get::<i64>(0)?.unsigned_abs())
    }

    /// Removes a message that was taken, which is a leaf, or given up, which is none.
    ///
    /// # Errors
    /// [`StoreError`]; then it is sent once more.
    pub async fn outgoing_done(&self, seq: i64, sent: Option<Decided>) -> Result<(), StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let waited = query("DELETE FROM outbox WHERE authority_id = $1 AND seq = $2")
                    .bind(authority.as_str())
                    .bind(seq)
                    .execute(&mut *transaction)
                    .await?;
                if let (1.., Some(sent)) = (waited, sent) {
                    transaction.decide(&authority, &sent).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Puts a message back until `due`, with what went wrong.
    ///
    /// # Errors
    /// [`StoreError`]; then it stays due.
    pub async fn outgoing_later(&self, seq: i64, due: Timestamp, error: &str) -> Result<(), StoreError> {
        let (whose, error) = (self.whose(), error.chars().take(500).collect::<String>());
        self.write(move |transaction| {
            Box::pin(async move {
                query(
                    "UPDATE outbox SET due = $3, tries = tries + 1, error = $4 WHERE authority_id = $1 AND seq = $2",
                )
                .bind(&whose)
                .bind(seq)
                .bind(due.micros())
                .bind(&error)
                .execute(transaction)
                .await?;
                Ok(())
            })
        })
        .await
    }
}

pub(crate) async fn insert_outgoing(
    transaction: &mut Transaction,
    whose: &str,
    channel: &str,
    body: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = query(
        "INSERT INTO outbox (authority_id, seq, channel, made, due, tries, body) \
         SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $3, 0, $4 FROM outbox WHERE authority_id = $1 RETURNING seq",
    )
    .bind(whose)
    .bind(channel)
    .bind(now.micros())
    .bind(body)
    .fetch_one(&mut *transaction)
    .await?;
    if row.try_get::<i64>(0)? % COUNTED_EVERY != 0 {
        return Ok(());
    }
    let shed = query(
        "DELETE FROM outbox WHERE authority_id = $1 AND seq IN (SELECT seq FROM \
         (SELECT seq, ROW_NUMBER() OVER (PARTITION BY channel ORDER BY seq DESC) AS place \
         FROM outbox WHERE authority_id = $1) AS ranked WHERE place > $2)",
    )
    .bind(whose)
    .bind(MOST_WAITING)
    .execute(&mut *transaction)
    .await?;
    if shed > 0 {
        query(
            "INSERT INTO counter (authority_id, name, hour, value) VALUES ($1, 'messages shed', $2, $3) \
             ON CONFLICT (authority_id, name, hour) DO UPDATE SET value = counter.value + $3",
        )
        .bind(whose)
        .bind(now.micros().div_euclid(3_600_000_000))
        .bind(i64::try_from(shed).unwrap_or(i64::MAX))
        .execute(transaction)
        .await?;
    }
    Ok(())
}
