//! The one writer.
//!
//! Guarantees: a write is acknowledged after the transaction that holds it is on disk (WAL, `synchronous=FULL`), never
//! before; writes that arrive together share one sync; a write that fails takes none of its neighbours with it; at most
//! [`QUEUE`] writes wait.

use crate::StoreError;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How many writes may wait.
const QUEUE: usize = 1024;
/// How many writes share one sync at most.
const BATCH: usize = 256;
/// How long a caller waits for a place in the queue.
const PATIENCE: Duration = Duration::from_secs(10);

/// A future that borrows the connection.
pub(crate) type Borrowing<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;
type Acknowledge = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Apply = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> Borrowing<'c, (bool, Acknowledge)> + Send>;

enum Job {
    Apply(Apply),
    Close(oneshot::Sender<()>),
}

/// The way in to the writer task.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    health: Arc<Health>,
}

/// How the writer is doing.
#[derive(Default)]
pub(crate) struct Health {
    /// The last transaction failed.
    pub(crate) failing: AtomicBool,
    /// Transactions committed.
    pub(crate) commits: AtomicU64,
    /// Writes acknowledged.
    pub(crate) writes: AtomicU64,
}

impl Writer {
    /// Starts the writer over its own connection.
    pub(crate) fn start(connection: SqliteConnection) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let health = Arc::new(Health::default());
        tokio::spawn(run(connection, queue, Arc::clone(&health)));
        Self { jobs, health }
    }

    /// Applies a write and returns once it is durable.
    pub(crate) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Borrowing<'c, Result<T, StoreError>> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let apply: Apply = Box::new(move |connection| {
            Box::pin(async move {
                let outcome = write(connection).await;
                let keep = outcome.is_ok();
                let acknowledge: Acknowledge = Box::new(move |committed| {
                    let _gone = tell.send(committed.and(outcome));
                });
                (keep, acknowledge)
            })
        });
        match tokio::time::timeout(PATIENCE, self.jobs.send(Job::Apply(apply))).await {
            Ok(Ok(())) => told.await.unwrap_or_else(|_never_run| {
                Err(if self.jobs.is_closed() { StoreError::Closed } else { StoreError::NotKept })
            }),
            Ok(Err(_closed)) => Err(StoreError::Closed),
            Err(_elapsed) => Err(StoreError::Overloaded { seconds: PATIENCE.as_secs() }),
        }
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// How many writes wait.
    pub(crate) fn depth(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Finishes what waits, folds the log into the file and closes it.
    pub(crate) async fn close(&self) {
        let (tell, told) = oneshot::channel();
        if self.jobs.send(Job::Close(tell)).await.is_ok() {
            let _ = told.await;
        }
    }
}

async fn run(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Job>, health: Arc<Health>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut closing = None;
    while closing.is_none() && queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut writes = Vec::with_capacity(batch.len());
        for job in batch.drain(..) {
            match job {
                Job::Apply(apply) => writes.push(apply),
                Job::Close(tell) => closing = Some(tell),
            }
        }
        if !writes.is_empty() {
            commit(&mut connection, writes, &health).await;
        }
    }
    // Refuse what comes later, so that nobody waits for an answer that will not come.
    queue.close();
    let _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let _ = connection.close().await;
    if let Some(tell) = closing {
        let _ = tell.send(());
    }
}

async fn commit(connection: &mut SqliteConnection, writes: Vec<Apply>, health: &Health) {
    let count = writes.len() as u64;
    let mut acknowledgements = Vec::with_capacity(writes.len());
    let outcome = transaction(connection, writes, &mut acknowledgements).await;
    health.failing.store(outcome.is_err(), Ordering::Relaxed);
    if let Err(error) = &outcome {
        tracing::error!(%error, source = ?std::error::Error::source(error), writes = count, "writes were not kept");
        // A commit that failed may have left the transaction open.
        let _ = connection.execute("ROLLBACK").await;
    } else {
        health.commits.fetch_add(1, Ordering::Relaxed);
        health.writes.fetch_add(count, Ordering::Relaxed);
    }
    for acknowledge in acknowledgements {
        acknowledge(outcome.clone());
    }
}

async fn transaction(
    connection: &mut SqliteConnection,
    writes: Vec<Apply>,
    acknowledgements: &mut Vec<Acknowledge>,
) -> Result<(), StoreError> {
    connection.execute("BEGIN IMMEDIATE").await?;
    for write in writes {
        connection.execute("SAVEPOINT one_write").await?;
        let (keep, acknowledge) = write(connection).await;
        acknowledgements.push(acknowledge);
        if !keep {
            connection.execute("ROLLBACK TO one_write").await?;
        }
        connection.execute("RELEASE one_write").await?;
    }
    connection.execute("COMMIT").await?;
    Ok(())
}
