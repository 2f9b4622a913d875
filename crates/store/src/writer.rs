//! The one writer.
//!
//! Guarantees: a write is acknowledged after the transaction that holds it is on disk (SQLite's log with
//! `synchronous=FULL`, PostgreSQL with `synchronous_commit=on`), never before; writes that arrive together share one
//! sync; a write that fails takes none of its neighbours with it; at most [`QUEUE`] writes wait. A database that went
//! away is connected to again by itself; until then writes are refused at once, and nothing is claimed.

use crate::{
    LedgerKey, StoreError,
    database::{Condition, Connection, DatabaseUrl, Role, connect, query},
    decision::Ledgers,
};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// How many writes may wait.
const QUEUE: usize = 1024;
/// How many writes share one sync at most.
const BATCH: usize = 256;
/// How long a caller waits for a place in the queue.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a transaction may take.
const LONGEST: Duration = Duration::from_secs(20);
/// How long a connection that was idle may take to answer before a new one is made.
const ANSWER: Duration = Duration::from_secs(6);
/// The first wait between two attempts to connect; it doubles up to [`LATEST`].
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(5);

/// A future that borrows the transaction.
pub(crate) type Borrowing<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;
type Acknowledge = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A write: what went wrong with it by itself, and how it is answered.
type Apply =
    Box<dyn for<'c> FnOnce(&'c mut Transaction) -> Borrowing<'c, (Option<StoreError>, Acknowledge)> + Send>;

enum Job {
    Apply(Apply),
    EmptyLog(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// What a write runs its statements in: others' writes come before and after it, and all are kept together.
pub(crate) struct Transaction {
    connection: Connection,
    /// The logs of decisions that are made in it.
    pub(crate) ledgers: Ledgers,
}

impl Transaction {
    fn new(connection: Connection, key: LedgerKey) -> Self {
        Self { connection, ledgers: Ledgers::new(key) }
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
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
    /// Whether the last transaction was kept.
    pub(crate) condition: Condition,
    /// Transactions committed.
    pub(crate) commits: AtomicU64,
    /// Writes acknowledged.
    pub(crate) writes: AtomicU64,
    /// How often the writer had to connect anew; what others have open from before may show another server or disk.
    pub(crate) epoch: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the writer over its own connection.
    pub(crate) fn start(url: DatabaseUrl, connection: Connection, key: LedgerKey) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let health = Arc::new(Health::default());
        let keeper = Keeper {
            url,
            transaction: Some(Transaction::new(connection, key.clone())),
            key,
            health: Arc::clone(&health),
            wait: SOONEST,
            again: None,
        };
        tokio::spawn(keeper.run(queue));
        Self { jobs, health }
    }

    /// Applies a write and returns once it is durable.
    pub(crate) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Transaction) -> Borrowing<'c, Result<T, StoreError>> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let apply: Apply = Box::new(move |transaction| {
            Box::pin(async move {
                let outcome = write(transaction).await;
                let failure = outcome.as_ref().err().cloned();
                let acknowledge: Acknowledge = Box::new(move |committed| {
                    let _gone = tell.send(committed.and(outcome));
                });
                (failure, acknowledge)
            })
        });
        match tokio::time::timeout(PATIENCE, self.jobs.send(Job::Apply(apply))).await {
            Ok(Ok(())) => told.await.unwrap_or_else(|_never_run| Err(self.why_not())),
            Ok(Err(_closed)) => Err(StoreError::Closed),
            Err(_elapsed) => Err(StoreError::Overloaded { seconds: PATIENCE.as_secs() }),
        }
    }

    /// Why a write was dropped without an answer.
    fn why_not(&self) -> StoreError {
        match self.health.condition.trouble() {
            _ if self.jobs.is_closed() => StoreError::Closed,
            Some((what, _)) => StoreError::Away { what },
            None => StoreError::NotKept,
        }
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// How many writes wait.
    pub(crate) fn depth(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Empties SQLite's log between two transactions, so that nothing that was deleted is left in it.
    pub(crate) async fn empty_log(&self) {
        let (tell, told) = oneshot::channel();
        if self.jobs.send(Job::EmptyLog(tell)).await.is_ok() {
            let _ = told.await;
        }
    }

    /// Finishes what waits, folds the log into the file and closes it.
    pub(crate) async fn close(&self) {
        let (tell, told) = oneshot::channel();
        if self.jobs.send(Job::Close(tell)).await.is_ok() {
            let _ = told.await;
        }
    }
}

/// The task that owns the connection.
struct Keeper {
    url: DatabaseUrl,
    /// Unset while the database is away.
    transaction: Option<Transaction>,
    key: LedgerKey,
    health: Arc<Health>,
    /// How long to wait after the next failure.
    wait: Duration,
    /// When to try again by itself, after a failure.
    again: Option<Instant>,
}

impl Keeper {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut closing = None;
        while closing.is_none() {
            let received = match self.again {
                None => queue.recv_many(&mut batch, BATCH).await,
                Some(again) => tokio::select! {
                    received = queue.recv_many(&mut batch, BATCH) => received,
                    () = tokio::time::sleep_until(again.into()) => {
                        self.probe().await;
                        continue;
                    }
                },
            };
            if received == 0 {
                break;
            }
            let (mut writes, mut emptied) = (Vec::with_capacity(batch.len()), Vec::new());
            for job in batch.drain(..) {
                match job {
                    Job::Apply(apply) => writes.push(apply),
                    Job::EmptyLog(tell) => emptied.push(tell),
                    Job::Close(tell) => closing = Some(tell),
                }
            }
            if !writes.is_empty() {
                self.commit(writes).await;
            }
            if let (false, Some(transaction)) = (emptied.is_empty(), &mut self.transaction) {
                // Where somebody reads from it, the next checkpoint does so.
                let _ = transaction.connection.empty_log().await;
            }
            // Whoever asked is told by their ends going away.
            drop(emptied);
        }
        // Refuse what comes later, so that nobody waits for an answer that will not come.
        queue.close();
        if let Some(transaction) = self.transaction {
            transaction.connection.close(true).await;
        }
        if let Some(tell) = closing {
            let _ = tell.send(());
        }
    }

    /// Makes the writes durable together and answers each.
    async fn commit(&mut self, writes: Vec<Apply>) {
        let mut batch = Batch { answers: Vec::with_capacity(writes.len()), trouble: None };
        let outcome = self.transaction(writes, &mut batch).await;
        if outcome.is_ok() {
            self.health.commits.fetch_add(1, Ordering::Relaxed);
            self.health.writes.fetch_add(batch.answers.len() as u64, Ordering::Relaxed);
        }
        match outcome.as_ref().err().or(batch.trouble.as_ref()) {
            None => self.went_well(),
            Some(error) => self.failed(error).await,
        }
        for answer in batch.answers {
            answer(outcome.clone());
        }
    }

    async fn transaction(&mut self, writes: Vec<Apply>, batch: &mut Batch) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        let outcome = tokio::time::timeout(LONGEST, batch.apply(transaction, writes))
            .await
            .unwrap_or(Err(StoreError::Overloaded { seconds: LONGEST.as_secs() }));
        transaction.ledgers.ended(outcome.is_ok());
        outcome
    }

    /// Tries by itself whether a database that failed keeps again what it is given.
    async fn probe(&mut self) {
        let outcome = match self.begin().await {
            Ok(transaction) => tokio::time::timeout(LONGEST, keep_something(transaction))
                .await
                .unwrap_or(Err(StoreError::Overloaded { seconds: LONGEST.as_secs() })),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => self.went_well(),
            Err(error) => self.failed(&error).await,
        }
    }

    /// A transaction that has begun; over a new connection where there is none, or where the old one was lost while
    /// nobody wrote.
    async fn begin(&mut self) -> Result<&mut Transaction, StoreError> {
        if let Some(mut transaction) = self.transaction.take() {
            match tokio::time::timeout(ANSWER, transaction.connection.begin()).await {
                Ok(Ok(())) => return Ok(self.transaction.insert(transaction)),
                Ok(Err(error)) => tracing::debug!(%error, "the connection of the writer was lost"),
                Err(_elapsed) => tracing::debug!("the connection of the writer does not answer"),
            }
        } else if let (Some((what, _)), Some(again)) = (self.health.condition.trouble(), self.again)
            && Instant::now() < again
        {
            return Err(StoreError::Away { what });
        }
        let mut connection = connect(&self.url, Role::Writer).await?;
        connection.begin().await?;
        self.health.epoch.fetch_add(1, Ordering::Release);
        Ok(self.transaction.insert(Transaction::new(connection, self.key.clone())))
    }

    fn went_well(&mut self) {
        if self.health.condition.well() {
            tracing::info!(database = %self.url, "the database keeps again what it is given");
        }
        self.again = None;
        self.wait = SOONEST;
    }

    /// Lets go of the connection: what state it is in, nobody knows.
    async fn failed(&mut self, error: &StoreError) {
        let what = error.what();
        if self.health.condition.failing(what.clone()) {
            tracing::error!(database = %self.url, problem = what, "writes are not kept");
        }
        if let Some(transaction) = self.transaction.take() {
            let _ = tokio::time::timeout(SOONEST, transaction.connection.close(false)).await;
        }
        self.again = Some(Instant::now() + self.wait);
        self.wait = (self.wait * 2).min(LATEST);
    }
}

/// What becomes of writes that share a transaction.
struct Batch {
    /// How each is answered.
    answers: Vec<Acknowledge>,
    /// Why one of them failed, where that was the database's doing.
    trouble: Option<StoreError>,
}

impl Batch {
    async fn apply(&mut self, transaction: &mut Transaction, writes: Vec<Apply>) -> Result<(), StoreError> {
        transaction.connection.take_turn().await?;
        transaction.connection.run("SAVEPOINT one_write").await?;
        for write in writes {
            let (failure, answer) = write(transaction).await;
            self.answers.push(answer);
            let next = match failure {
                None => "RELEASE SAVEPOINT one_write; SAVEPOINT one_write",
                Some(_) => "ROLLBACK TO SAVEPOINT one_write",
            };
            self.trouble = failure.filter(StoreError::is_passing).or(self.trouble.take());
            transaction.connection.run(next).await?;
        }
        transaction.seal_ledgers().await?;
        Ok(transaction.connection.run("COMMIT").await?)
    }
}

/// A transaction with nothing in it would prove nothing.
async fn keep_something(transaction: &mut Transaction) -> Result<(), StoreError> {
    transaction.connection.take_turn().await?;
    query(
        "INSERT INTO setting (authority_id, name, value, changed) VALUES ('', 'probe', '', 1) \
         ON CONFLICT (authority_id, name) DO UPDATE SET changed = setting.changed + 1",
    )
    .execute(transaction)
    .await?;
    Ok(transaction.connection.run("COMMIT").await?)
}
