//! Reading a log back: everything that C2SP tlog-tiles serves, out of the database.
//!
//! Guarantees: a [`Log`] is the log as its checkpoint was when it was opened, however it grows meanwhile; nothing here
//! writes, and [`Archive`] reads the database of a server that runs as well as of one that does not.

use crate::{
    DatabaseUrl, LedgerError, OpenError, Repository, StoreError,
    database::{
        Cell, Connection, On, Readers, Role, Row, bytes, connect, number, packed, query, text, unpack,
    },
    open::{classify, fit, recognise_file, recognise_schema},
    schema,
};
use ledger::{Head, Note, Opening, Part, Place, Salt, Shown, ShownError, Source, TILE_WIDTH, VerifierKey};
use model::AuthorityId;
use sqlx::AssertSqlSafe;
use std::sync::Arc;

/// A database that is only read: by whoever verifies or exports, next to a server or without one.
pub struct Archive {
    readers: Arc<Readers>,
    url: DatabaseUrl,
}

/// The log of an authority, up to the checkpoint that it had when this was opened.
#[derive(Clone)]
pub struct Log {
    readers: Arc<Readers>,
    authority: AuthorityId,
    note: String,
    head: Head,
    witnessed: Option<String>,
    keys: Vec<VerifierKey>,
    openings: bool,
}

/// A log as `ledger` reads it, for a thread that may wait.
pub struct BlockingLog {
    log: Log,
    runtime: tokio::runtime::Handle,
}

impl Archive {
    /// Opens a database that is there and has the schema of today, and changes nothing in it.
    ///
    /// # Errors
    /// [`OpenError`] with what to do.
    pub async fn open(database: impl Into<DatabaseUrl>) -> Result<Self, OpenError> {
        let url = database.into();
        if let DatabaseUrl::Sqlite(path) = &url {
            recognise_file(&url, path).await?;
        }
        let failed = |source| classify(&url, source);
        let mut connection = connect(&url, Role::Reader).await.map_err(failed)?;
        if let Connection::Postgres(server) = &mut connection {
            fit(&url, server).await?;
            recognise_schema(&url, server).await?;
        }
        let version = query("SELECT MAX(version) FROM _sqlx_migrations").rows(&mut connection).await;
        let version = version.ok().and_then(|rows| rows.first()?.try_get::<Option<i64>>(0).ok()?);
        let place = url.to_string();
        match version {
            Some(found) if found > schema::today() => {
                return Err(OpenError::Newer { place, found, known: schema::today() });
            }
            Some(found) if found == schema::today() => {}
            found => {
                let found = found.map_or_else(|| "none".to_owned(), |found| format!("schema {found}"));
                return Err(OpenError::Older { place, found, known: schema::today() });
            }
        }
        connection.close(false).await;
        Ok(Self { readers: Arc::new(Readers::new(url.clone(), Arc::default())), url })
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Where the database is.
    #[must_use]
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The log of an authority; unset where it has decided nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn log(&self, authority: &AuthorityId) -> Result<Option<Log>, StoreError> {
        Log::open(Arc::clone(&self.readers), authority).await
    }

    /// The authorities that have a log.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn authorities(&self) -> Result<Vec<AuthorityId>, StoreError> {
        let rows = query("SELECT authority_id FROM checkpoint ORDER BY authority_id")
            .fetch_all(&*self.readers)
            .await?;
        let read = |row: &Row| {
            let name: String = row.try_get(0)?;
            name.parse::<AuthorityId>().map_err(|error| unreadable(&name, &error.to_string()))
        };
        rows.iter().map(read).collect()
    }

    /// Ends its connections.
    pub async fn close(self) {
        self.readers.close().await;
    }
}

impl Repository {
    /// The log of the authority; unset where it has decided nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn log(&self) -> Result<Option<Log>, StoreError> {
        Log::open(Arc::clone(&self.inner.readers), &self.authority).await
    }
}

impl Log {
    async fn open(readers: Arc<Readers>, authority: &AuthorityId) -> Result<Option<Self>, StoreError> {
        let row = query(
            "SELECT checkpoint.note, witnessed.note FROM checkpoint \
             LEFT JOIN witnessed ON witnessed.authority_id = checkpoint.authority_id WHERE checkpoint.authority_id = $1",
        )
        .bind(authority.as_str())
        .fetch_optional(&*readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let note: String = row.try_get(0)?;
        let head = head_of(&note).map_err(|reason| unreadable(authority.as_str(), &reason))?;
        let witnessed: Option<String> = row.try_get(1)?;
        // Where witnesses cosigned all of it, that is the checkpoint.
        let whole = witnessed.clone().filter(|witnessed| text_of(witnessed) == text_of(&note));
        Ok(Some(Self {
            readers,
            authority: authority.clone(),
            note: whole.unwrap_or(note),
            head,
            witnessed,
            keys: Vec::new(),
            openings: true,
        }))
    }

    /// With the keys that its signatures are verified with, which are told with it.
    #[must_use]
    pub fn with_keys(mut self, keys: Vec<VerifierKey>) -> Self {
        self.keys = keys;
        self
    }

    /// Without what opens the commitments in its leaves.
    #[must_use]
    pub fn without_openings(mut self) -> Self {
        self.openings = false;
        self
    }

    /// The signed checkpoint, with the cosignatures of witnesses where they made any under this very one.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.note
    }

    /// The latest checkpoint that enough witnesses cosigned, which may be older.
    #[must_use]
    pub fn witnessed(&self) -> Option<&str> {
        self.witnessed.as_deref()
    }

    /// What the checkpoint says.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Whose log it is.
    #[must_use]
    pub const fn authority(&self) -> &AuthorityId {
        &self.authority
    }

    /// How many leaves the database holds; more than the checkpoint says were never signed.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be counted.
    pub async fn leaves(&self) -> Result<u64, StoreError> {
        // Both at one moment, or a server that runs would be suspected.
        let row = query(
            "SELECT (SELECT COUNT(*) FROM leaf WHERE authority_id = $1) \
             - (SELECT size FROM checkpoint WHERE authority_id = $1)",
        )
        .bind(self.authority.as_str())
        .fetch_one(&*self.readers)
        .await?;
        Ok(self.head.size.saturating_add_signed(row.try_get(0)?))
    }

    /// For a thread that may wait; made within the runtime.
    #[must_use]
    pub fn blocking(self) -> BlockingLog {
        BlockingLog { log: self, runtime: tokio::runtime::Handle::current() }
    }

    /// A resource of the log, as `c2sp.org/tlog-tiles` lays it out.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn read(&self, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        match place {
            Place::Checkpoint => Ok(Some(self.note.clone().into_bytes())),
            Place::Keys => Ok((!self.keys.is_empty()).then(|| ledger::keys_file(&self.keys))),
            Place::Witnessed => Ok(self.witnessed.clone().map(String::into_bytes)),
            Place::Tile { .. } => tile(&*self.readers, &self.authority, place).await,
            Place::Entries { index, width } => {
                let leaves = self.leaves_in(index, width).await?;
                // What is missing of what was signed is told by whoever counts; what was not signed yet is not there.
                if leaves.is_empty() || !self.covers(index, width) {
                    return Ok(None);
                }
                let bundle = ledger::entry_bundle(leaves.iter().map(Vec::as_slice));
                Ok(Some(bundle.map_err(LedgerError::from)?))
            }
            Place::Openings { index } => {
                let shown = self.openings(index).await?;
                Ok((!shown.is_empty()).then(|| Shown::to_lines(&shown)))
            }
        }
    }

    /// What may be shown of the leaves of a bundle.
    async fn openings(&self, index: u64) -> Result<Vec<Shown>, StoreError> {
        const CELLS: [Cell; 4] =
            [Cell::Number("number"), Cell::Text("part"), Cell::Bytes("salt"), Cell::Text("value")];
        if !self.openings {
            return Ok(Vec::new());
        }
        let rows = self.rows("opening", &CELLS, index, TILE_WIDTH as u16).await?;
        let mut shown = unpack(&rows).map(shown).collect::<Result<Vec<_>, _>>()?;
        // `who` before `details`, as they stand in a leaf.
        shown.sort_by_key(|shown| (shown.leaf, shown.part));
        Ok(shown)
    }

    /// The leaves of a bundle that there are, smallest number first.
    async fn leaves_in(&self, index: u64, width: u16) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = self.rows("leaf", &[Cell::Number("number"), Cell::Bytes("body")], index, width).await?;
        let read = |mut cells: std::str::Split<'_, char>| Ok((number(cells.next())?, bytes(cells.next())?));
        let mut leaves = unpack(&rows).map(read).collect::<Result<Vec<_>, StoreError>>()?;
        leaves.sort_by_key(|(number, _)| *number);
        Ok(leaves.into_iter().map(|(_, leaf)| leaf).collect())
    }

    /// Whether the checkpoint covers a bundle of that width.
    fn covers(&self, index: u64, width: u16) -> bool {
        index.saturating_mul(TILE_WIDTH).saturating_add(width.into()) <= self.head.size
    }

    /// The rows of the leaves of a bundle, of those that the checkpoint covers, packed.
    async fn rows(
        &self,
        table: &'static str,
        cells: &[Cell],
        index: u64,
        width: u16,
    ) -> Result<String, StoreError> {
        let first = index.saturating_mul(TILE_WIDTH);
        let end = first.saturating_add(u64::from(width)).min(self.head.size);
        let packed = packed(self.readers.url().is_sqlite(), cells);
        let row = query(AssertSqlSafe(format!(
            "SELECT {packed} FROM {table} WHERE authority_id = $1 AND number >= $2 AND number < $3"
        )))
        .bind(self.authority.as_str())
        .bind(signed(first))
        .bind(signed(end))
        .fetch_one(&*self.readers)
        .await?;
        Ok(row.try_get::<Option<String>>(0)?.unwrap_or_default())
    }
}

impl BlockingLog {
    /// The log itself.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }
}

impl Source for BlockingLog {
    type Error = StoreError;

    fn read(&self, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        self.runtime.block_on(self.log.read(place))
    }

    fn openings(&self, index: u64) -> Result<Result<Vec<Shown>, ShownError>, StoreError> {
        self.runtime.block_on(self.log.openings(index)).map(Ok)
    }
}

/// What of a note was signed.
fn text_of(note: &str) -> &str {
    note.rsplit_once("\n\n").map_or(note, |(text, _)| text)
}

fn head_of(note: &str) -> Result<Head, String> {
    let note = Note::from_bytes(note.as_bytes()).map_err(|error| error.to_string())?;
    let checkpoint = note.text().parse::<ledger::Checkpoint>().map_err(|error| error.to_string())?;
    Ok(checkpoint.head)
}

fn unreadable(id: &str, reason: &str) -> StoreError {
    StoreError::Unreadable { table: "checkpoint", id: id.to_owned(), reason: reason.to_owned() }
}

/// The hashes at a place, as many as it says; unset where there are fewer.
pub(crate) async fn tile<'t>(
    on: impl Into<On<'t>>,
    authority: &AuthorityId,
    place: Place,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Place::Tile { level, index, width } = place else { return Ok(None) };
    let row = query("SELECT hashes FROM tile WHERE authority_id = $1 AND level = $2 AND number = $3")
        .bind(authority.as_str())
        .bind(i64::from(level))
        .bind(signed(index))
        .fetch_optional(on)
        .await?;
    let hashes: Option<Vec<u8>> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(hashes.and_then(|hashes| hashes.get(..usize::from(width) * ledger::Hash::BYTES).map(<[u8]>::to_vec)))
}

fn shown<'a>(mut cells: impl Iterator<Item = &'a str>) -> Result<Shown, StoreError> {
    let leaf = number(cells.next())?;
    let unreadable =
        |reason: String| StoreError::Unreadable { table: "opening", id: leaf.to_string(), reason };
    let part = match bytes(cells.next())?.as_slice() {
        b"who" => Part::Who,
        b"details" => Part::Details,
        other => {
            let other = String::from_utf8_lossy(other);
            return Err(unreadable(format!("expected `who` or `details`, found {other:?}")));
        }
    };
    let salt = bytes(cells.next())?;
    let salt = salt.try_into().map_err(|_| unreadable("expected a salt of 32 bytes".into()))?;
    let opening =
        Opening::new(Salt::new(salt), text(cells.next())?).map_err(|error| unreadable(error.to_string()))?;
    Ok(Shown { leaf, part, opening })
}

/// Sizes and numbers stay below [`ledger::MAX_SIZE`], far from the sign.
pub(crate) const fn signed(number: u64) -> i64 {
    number as i64
}
