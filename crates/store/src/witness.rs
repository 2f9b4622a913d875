//! What witnesses cosigned of our logs, and what this node cosigned of others'.
//!
//! Guarantees: what was cosigned of a log is replaced only by what continues it, by whoever found it unchanged: of two that
//! ask at once, one judges again. The latest cosigned checkpoint of a log never gives way to an earlier one.

use crate::{Repository, StoreError, database::query, log::signed, repository::unreadable};
use ledger::Head;
use model::{AuthorityId, Timestamp};

/// Whose nodes' memory it is: the node's own, which is of no authority.
const NODE: &str = "";

/// How far a log is cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// Whose log.
    pub authority: AuthorityId,
    /// How many leaves its checkpoint says.
    pub leaves: u64,
    /// How many of them witnesses cosigned, and when that was kept; unset where they never did.
    pub cosigned: Option<(u64, Timestamp)>,
}

impl Repository {
    /// How far each log on this node is cosigned, of all authorities.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn logs(&self) -> Result<Vec<LogState>, StoreError> {
        let rows = query(
            "SELECT checkpoint.authority_id, checkpoint.size, witnessed.size, witnessed.at FROM checkpoint \
             LEFT JOIN witnessed ON witnessed.authority_id = checkpoint.authority_id ORDER BY 1",
        )
        .fetch_all(self.readers())
        .await?;
        let read = |row: &crate::database::Row| {
            let authority: String = row.try_get(0)?;
            let (size, at): (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
            Ok(LogState {
                authority: authority
                    .parse()
                    .map_err(|reason| unreadable("checkpoint", &authority, reason))?,
                leaves: row.try_get::<i64>(1)?.unsigned_abs(),
                cosigned: size.zip(at).map(|(size, at)| (size.unsigned_abs(), Timestamp::from_micros(at))),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Keeps a checkpoint of this authority's log that enough witnesses cosigned, where it is not older than the one that is
    /// kept.
    ///
    /// # Errors
    /// [`StoreError`]; then it has to be kept again.
    pub async fn keep_witnessed(&self, size: u64, note: String, at: Timestamp) -> Result<(), StoreError> {
        let whose = self.whose();
        self.write(move |transaction| {
            Box::pin(async move {
                query(
                    "INSERT INTO witnessed (authority_id, size, note, at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (authority_id) DO UPDATE SET size = $2, note = $3, at = $4 WHERE witnessed.size <= $2",
                )
                .bind(whose)
                .bind(signed(size))
                .bind(note)
                .bind(at.micros())
                .execute(transaction)
                .await
                .map(drop)
            })
        })
        .await
    }

    /// What this node cosigned last of the log of that origin; [`Head::EMPTY`] where it never did.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; then nothing may be cosigned.
    pub async fn cosigned(&self, origin: &str) -> Result<Head, StoreError> {
        let row = query("SELECT size, root FROM cosigned WHERE authority_id = $1 AND origin = $2")
            .bind(NODE)
            .bind(origin)
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = row else { return Ok(Head::EMPTY) };
        let root = row.try_get::<String>(1)?.parse();
        let root =
            root.map_err(|error: ledger::HashError| unreadable("cosigned", origin, error.to_string()))?;
        Ok(Head { size: row.try_get::<i64>(0)?.unsigned_abs(), root })
    }

    /// Puts `new` in the place of `old` as what was cosigned last of a log, before it is told. False where it is not `old`
    /// any more: then nothing may be told.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing may be told either.
    pub async fn keep_cosigned(
        &self,
        origin: &str,
        old: Head,
        new: Head,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let origin = origin.to_owned();
        self.write(move |transaction| {
            Box::pin(async move {
                let sql = if old == Head::EMPTY {
                    // The first time, or again for a log that had no leaf.
                    "INSERT INTO cosigned (authority_id, origin, size, root, at) VALUES ($1, $2, $5, $6, $7) \
                     ON CONFLICT (authority_id, origin) DO UPDATE SET size = $5, root = $6, at = $7 \
                     WHERE cosigned.size = $3 AND cosigned.root = $4"
                } else {
                    "UPDATE cosigned SET size = $5, root = $6, at = $7 \
                     WHERE authority_id = $1 AND origin = $2 AND size = $3 AND root = $4"
                };
                let kept = query(sql)
                    .bind(NODE)
                    .bind(origin)
                    .bind(signed(old.size))
                    .bind(old.root.to_string())
                    .bind(signed(new.size))
                    .bind(new.root.to_string())
                    .bind(at.micros())
                    .execute(transaction)
                    .await?;
                Ok(kept > 0)
            })
        })
        .await
    }
}
