//! The repository: what is kept for one authority.
//!
//! Guarantees: every statement names the authority, so one authority never sees another's records; what a method has
//! acknowledged is on disk; nothing here reads a clock: the caller says when it is.

use crate::{
    Ground, StoreError,
    database::{DatabaseUrl, Readers, Row, Size, query, size},
    ground,
    writer::{Borrowing, Transaction, Writer},
};
use model::AuthorityId;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

/// The largest record that is kept, in bytes of JSON.
pub const MOST_BYTES: usize = 1 << 20;

/// What is kept for one authority. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pub(crate) authority: AuthorityId,
    /// The authorities whose records lists show.
    shown: Arc<BTreeSet<AuthorityId>>,
    /// The same as JSON: `["harbour-city","harbour-police"]`.
    sees: Arc<str>,
    /// What writes rest on.
    grounds: Arc<[Ground]>,
    /// Whose plans and journal are written: empty for the sensor of the node itself.
    pub(crate) sensor: Arc<str>,
    pub(crate) inner: Arc<Inner>,
}

/// Rows of the authorities that are seen, which stand in $1.
macro_rules! seen {
    () => {
        "authority_id IN (SELECT value FROM json_each(CAST($1 AS TEXT)))"
    };
}
pub(crate) use seen;

/// What all authorities share.
pub(crate) struct Inner {
    pub(crate) url: DatabaseUrl,
    pub(crate) readers: Arc<Readers>,
    pub(crate) writer: Writer,
}

/// How the store is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `SQLite` or `PostgreSQL`.
    pub database: &'static str,
    /// Reads are answered and the last write was kept.
    pub ok: bool,
    /// What is wrong, for an operator.
    pub problem: Option<String>,
    /// For how long it has been, in seconds.
    pub failing_secs: Option<u64>,
    /// Writes that wait.
    pub waiting: u64,
    /// Writes acknowledged since the start.
    pub writes: u64,
    /// Transactions (one sync each) since the start.
    pub commits: u64,
    /// Bytes of the database; unset while it does not say.
    pub bytes: Option<u64>,
}

/// What is looked up by its id alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Findable {
    /// An incident.
    Incident,
    /// A plan.
    Plan,
    /// A command.
    Command,
    /// An asset.
    Asset,
    /// An asset, by one of its addresses.
    Address,
    /// An exception.
    Exception,
    /// A certificate, by its fingerprint.
    Certificate,
    /// A token that lets a device in.
    EnrolmentToken,
    /// Somebody who asked to be let in.
    Enrolment,
    /// A maker that is trusted.
    Maker,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: u64,
    /// This page, from 1.
    pub page: u32,
    /// Rows on a full page.
    pub per_page: u32,
}

impl<T> Page<T> {
    /// How many pages there are; at least one.
    #[must_use]
    pub fn pages(&self) -> u32 {
        u32::try_from(self.total.div_ceil(u64::from(self.per_page.max(1)))).unwrap_or(u32::MAX).max(1)
    }
}

/// Which page of a list, and how long a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    page: u32,
    per_page: u32,
}

impl Paging {
    /// The longest page.
    pub const MOST: u32 = 500;

    /// Page `page` (from 1) of `per_page` rows (1 to [`Self::MOST`]); what lies outside is moved inside.
    #[must_use]
    pub fn new(page: u32, per_page: u32) -> Self {
        Self { page: page.clamp(1, 1_000_000), per_page: per_page.clamp(1, Self::MOST) }
    }

    /// This page of a list that is at hand.
    pub fn cut<T>(self, all: impl IntoIterator<Item = T>) -> Page<T> {
        let mut all = all.into_iter();
        let before = self.offset().unsigned_abs() as usize;
        let skipped = all.by_ref().take(before).count();
        let items: Vec<T> = all.by_ref().take(self.per_page as usize).collect();
        let total = (skipped + items.len() + all.count()) as i64;
        self.page(items, total)
    }

    pub(crate) fn limit(self) -> i64 {
        i64::from(self.per_page)
    }

    pub(crate) fn offset(self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.per_page)
    }

    pub(crate) fn page<T>(self, items: Vec<T>, total: i64) -> Page<T> {
        Page { items, total: total.unsigned_abs(), page: self.page, per_page: self.per_page }
    }
}

impl Default for Paging {
    fn default() -> Self {
        Self::new(1, 50)
    }
}

impl Repository {
    pub(crate) fn from_parts(authority: AuthorityId, inner: Arc<Inner>) -> Self {
        let shown = Arc::new(BTreeSet::from([authority.clone()]));
        Self { sees: json(&shown), shown, authority, grounds: Arc::default(), sensor: "".into(), inner }
    }

    /// The same store, for another authority, on the same grounds.
    #[must_use]
    pub fn of(&self, authority: AuthorityId) -> Self {
        let grounds = Arc::clone(&self.grounds);
        Self { grounds, ..Self::from_parts(authority, Arc::clone(&self.inner)) }
    }

    /// The same for what a sensor on another machine says: plans and the journal are that sensor's from here on.
    #[must_use]
    pub fn of_sensor(&self, id: &str) -> Self {
        Self { sensor: id.into(), ..self.clone() }
    }

    /// Whose plans and journal are written; empty for the sensor of the node itself.
    #[must_use]
    pub fn sensor(&self) -> &str {
        &self.sensor
    }

    /// The same, writing only while all these stand, beside those that were given before.
    #[must_use]
    pub fn on_grounds(&self, grounds: &[Ground]) -> Self {
        let grounds = self.grounds.iter().chain(grounds).cloned().collect();
        Self { grounds, ..self.clone() }
    }

    /// The same, with lists that show the records of all these authorities. What is looked up by its id and what is changed
    /// stay those of the one.
    #[must_use]
    pub fn seeing<'a>(&self, authorities: impl IntoIterator<Item = &'a AuthorityId>) -> Self {
        let shown: Arc<BTreeSet<_>> = Arc::new(authorities.into_iter().cloned().collect());
        Self { sees: json(&shown), shown, ..self.clone() }
    }

    /// Whether lists show the records of an authority.
    #[must_use]
    pub fn shows(&self, authority: &AuthorityId) -> bool {
        self.shown.contains(authority)
    }

    /// Whose records these are.
    #[must_use]
    pub const fn authority(&self) -> &AuthorityId {
        &self.authority
    }

    /// Which of the authorities that are seen have something with this id: ids come from content, so more than one may.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn whose_is(&self, what: Findable, id: &str) -> Result<Vec<AuthorityId>, StoreError> {
        macro_rules! select {
            ($table:literal, $key:literal) => {
                concat!(
                    "SELECT DISTINCT authority_id FROM ",
                    $table,
                    " WHERE ",
                    seen!(),
                    " AND ",
                    $key,
                    " = $2 ORDER BY authority_id LIMIT 20"
                )
            };
        }
        let sql = match what {
            Findable::Incident => select!("incident", "id"),
            Findable::Plan => select!("plan", "id"),
            Findable::Command => select!("command", "id"),
            Findable::Asset => select!("asset", "id"),
            Findable::Address => select!("asset_address", "address"),
            Findable::Exception => select!("exception", "id"),
            Findable::Certificate => select!("certificate", "fingerprint"),
            Findable::EnrolmentToken => select!("enrolment_token", "hash"),
            Findable::Enrolment => select!("enrolment", "id"),
            Findable::Maker => select!("maker", "id"),
        };
        let rows = query(sql).bind(self.sees()).bind(id).fetch_all(self.readers()).await?;
        rows.iter().map(|row| whose("authority", id, row, 0)).collect()
    }

    /// Where the database is.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.inner.url
    }

    /// Finishes the writes that wait and closes the file. Later calls answer [`StoreError::Closed`].
    pub async fn close(&self) {
        self.inner.writer.close().await;
        self.inner.readers.close().await;
    }

    /// How the store is doing; asks the database.
    pub async fn health(&self) -> Health {
        let bytes = self.bytes_on_disk().await.ok();
        let (problem, failing_secs) = self.trouble().unzip();
        let writer = self.inner.writer.health();
        Health {
            database: self.inner.url.kind(),
            ok: problem.is_none(),
            problem,
            failing_secs,
            waiting: self.inner.writer.depth() as u64,
            writes: writer.writes.load(Ordering::Relaxed),
            commits: writer.commits.load(Ordering::Relaxed),
            bytes,
        }
    }

    /// What is wrong with the database in one line, and for how many seconds, as its last uses told; asks nothing.
    #[must_use]
    pub fn trouble(&self) -> Option<(String, u64)> {
        let (reads, writes) =
            (self.readers().condition().trouble(), self.inner.writer.health().condition.trouble());
        let secs = [&reads, &writes].into_iter().flatten().map(|(_, time)| time.as_secs()).max();
        let what = match (reads, writes) {
            (Some((what, _)), _) => format!("reading fails: {what}"),
            (None, Some((what, _))) => format!("writes are not kept: {what}"),
            (None, None) => return None,
        };
        Some((what, secs.unwrap_or_default()))
    }

    /// Bytes that the database takes of the disk.
    ///
    /// # Errors
    /// [`StoreError`] where it does not say.
    pub async fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        self.bytes(Size::OnDisk).await
    }

    pub(crate) async fn bytes(&self, what: Size) -> Result<u64, StoreError> {
        let row = size(&self.inner.url, what).fetch_one(self.readers()).await?;
        Ok(count(&row)?.unsigned_abs())
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.inner.readers
    }

    pub(crate) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Transaction) -> Borrowing<'c, Result<T, StoreError>> + Send + 'static,
    {
        let grounds = Arc::clone(&self.grounds);
        let on_grounds = self.inner.writer.write(move |transaction| {
            Box::pin(async move {
                ground::stand(transaction, &grounds).await?;
                write(transaction).await
            })
        });
        on_grounds.await
    }

    /// The authority's name, owned, to be moved into a write.
    pub(crate) fn whose(&self) -> String {
        self.authority.as_str().to_owned()
    }

    /// What [`seen`] is asked with.
    pub(crate) fn sees(&self) -> &str {
        &self.sees
    }
}

/// A list of ids for `json_each`. They are DNS labels: nothing in them needs escaping.
fn json(ids: &BTreeSet<AuthorityId>) -> Arc<str> {
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    format!("[{}]", ids.join(",")).into()
}

/// A record as JSON, refused where it is larger than the store takes.
pub(crate) fn to_json<T: Serialize>(table: &'static str, id: &str, record: &T) -> Result<String, StoreError> {
    let json = serde_json::to_string(record).map_err(|error| unreadable(table, id, error.to_string()))?;
    if json.len() > MOST_BYTES {
        return Err(StoreError::TooLarge { table, id: id.to_owned(), size: json.len(), most: MOST_BYTES });
    }
    Ok(json)
}

/// A record from JSON.
pub(crate) fn from_json<T: DeserializeOwned>(
    table: &'static str,
    id: &str,
    json: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| unreadable(table, id, error.to_string()))
}

/// Whose row it is.
pub(crate) fn whose(
    table: &'static str,
    id: &str,
    row: &Row,
    column: usize,
) -> Result<AuthorityId, StoreError> {
    row.try_get::<String>(column)?.parse().map_err(|reason| unreadable(table, id, reason))
}

/// A row that this program cannot have written.
pub(crate) fn unreadable(table: &'static str, id: &str, reason: String) -> StoreError {
    StoreError::Unreadable { table, id: id.to_owned(), reason }
}

/// A `LIKE` pattern that finds `text` anywhere; `\` is the escape.
pub(crate) fn contains_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.to_lowercase().chars().take(200) {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// A count in the first column.
pub(crate) fn count(row: &Row) -> Result<i64, StoreError> {
    row.try_get(0)
}
