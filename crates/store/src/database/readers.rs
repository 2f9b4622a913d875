//! The connections for reading.
//!
//! Guarantees: at most [`MOST`] at once; nobody waits longer than [`PATIENCE`] for one, and no statement takes longer
//! than [`LONGEST`]; a connection that was lost is made again for the next read, and a read that only found its
//! connection lost is asked once more over a new one; what failed is known to [`Condition`]. Where the writer had to
//! connect anew, so do the readers: after a change of servers or disks, what is read is what is written.

use super::{Condition, Connection, DatabaseUrl, Query, Role, Row, connect};
use crate::StoreError;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// How many reads run side by side.
const MOST: u32 = 4;
/// How long a read waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a statement may take.
const LONGEST: Duration = Duration::from_secs(12);

/// The connections for reading.
pub(crate) struct Readers {
    url: DatabaseUrl,
    turns: Semaphore,
    /// Connections with the epoch that they were made in.
    idle: Mutex<Vec<(u64, Connection)>>,
    /// Counted up by the writer whenever it connects anew.
    epoch: Arc<AtomicU64>,
    condition: Condition,
}

impl Readers {
    pub(crate) fn new(url: DatabaseUrl, epoch: Arc<AtomicU64>) -> Self {
        Self {
            url,
            turns: Semaphore::new(MOST as usize),
            idle: Mutex::default(),
            epoch,
            condition: Condition::default(),
        }
    }

    /// All rows that a statement answers with.
    pub(super) async fn fetch(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        let _turn = match tokio::time::timeout(PATIENCE, self.turns.acquire()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_closed)) => return Err(StoreError::Closed),
            Err(_elapsed) => return Err(StoreError::Overloaded { seconds: PATIENCE.as_secs() }),
        };
        let epoch = self.epoch.load(Ordering::Acquire);
        let idle = {
            let mut idle = self.locked_idle();
            idle.retain(|(made_in, _)| *made_in == epoch);
            idle.pop()
        };
        let outcome = match idle {
            None => self.over_new(query, epoch).await,
            Some((_, idle)) => match self.over(idle, query, epoch).await {
                // It was lost since it was last used, and so were the others.
                Err(StoreError::Away { .. }) => {
                    self.locked_idle().clear();
                    self.over_new(query, epoch).await
                }
                outcome => outcome,
            },
        };
        match &outcome {
            Ok(_) => {
                self.condition.well();
            }
            Err(error) => {
                if self.condition.failing(error.what()) {
                    tracing::error!(database = %self.url, problem = error.what(), "reading fails");
                }
            }
        }
        outcome
    }

    /// Where they read.
    pub(crate) const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// How reading is going.
    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Ends them all; later reads answer [`StoreError::Closed`].
    pub(crate) async fn close(&self) {
        // Those that are reading now finish first.
        if let Ok(all) = self.turns.acquire_many(MOST).await {
            all.forget();
        }
        self.turns.close();
        let idle = std::mem::take(&mut *self.locked_idle());
        for (_, connection) in idle {
            connection.close(false).await;
        }
    }

    async fn over_new(&self, query: &Query, epoch: u64) -> Result<Vec<Row>, StoreError> {
        self.over(connect(&self.url, Role::Reader).await?, query, epoch).await
    }

    /// Asks over a connection, which is kept where it may be used again.
    async fn over(
        &self,
        mut connection: Connection,
        query: &Query,
        epoch: u64,
    ) -> Result<Vec<Row>, StoreError> {
        // Where the caller goes away in the middle, so does the connection: what it would still say belongs to nobody.
        let rows = tokio::time::timeout(LONGEST, query.rows(&mut connection))
            .await
            .map_err(|_elapsed| StoreError::Overloaded { seconds: LONGEST.as_secs() })??;
        self.locked_idle().push((epoch, connection));
        Ok(rows)
    }

    fn locked_idle(&self) -> MutexGuard<'_, Vec<(u64, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
