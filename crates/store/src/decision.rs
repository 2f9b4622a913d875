//! Decisions: each is a leaf of its authority's Merkle log, written in the transaction of the change that it decides.
//!
//! Guarantees: neither change nor leaf exists without the other; before the transaction ends, the tree and its signed
//! checkpoint include every leaf in it, so that what was acknowledged can be proved from then on; what is personal in
//! a decision lies beside its leaf and can be erased. With several servers on one database, they take turns.

use crate::{
    Page, Paging, Repository, StoreError, Transaction,
    database::{Query, Row, query},
    log::{signed, tile},
    outcome::subject,
    repository::{count, seen},
};
use ledger::{Decision, Deed, Frontier, Head, LogKey, Opening, Part, Place, Salt, Subject, VerifierKey, Who};
use model::{AuthorityId, AuthorityRole, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// What signs the checkpoints of all authorities on a node.
#[derive(Clone)]
pub struct LedgerKey {
    pkcs8: Vec<u8>,
    /// Names the node in the origin of every log: made of the public key, so that it is nobody else's.
    node: String,
}

impl LedgerKey {
    /// The key of 32 random bytes that are the node's own for ever.
    ///
    /// # Errors
    /// [`LedgerError`] where they make no key.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, LedgerError> {
        let pkcs8 = ledger::new_private_key(seed)?;
        let public = LogKey::from_pkcs8("bastide", &pkcs8)?.public().to_string();
        let name: String = ledger::Hash::of_leaf(public.as_bytes())
            .0
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self { pkcs8, node: name })
    }

    /// The key of an authority's log.
    fn of(&self, authority: &AuthorityId) -> Result<LogKey, LedgerError> {
        Ok(LogKey::from_pkcs8(&ledger::origin(&self.node, authority)?, &self.pkcs8)?)
    }

    /// What the signatures under an authority's checkpoints are verified with.
    ///
    /// # Errors
    /// None that a key which was made can cause.
    pub fn public(&self, authority: &AuthorityId) -> Result<VerifierKey, LedgerError> {
        Ok(self.of(authority)?.public().clone())
    }

    /// Whether a checkpoint was signed by this node.
    pub(crate) fn has_signed(&self, note: &str) -> bool {
        note.strip_prefix("bastide/")
            .and_then(|rest| rest.strip_prefix(&self.node))
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Why a ledger cannot be continued.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// No key.
    #[error("the ledger's key: {0}")]
    Key(#[from] ledger::KeyError),
    /// No name.
    #[error("the ledger's origin: {0}")]
    Origin(#[from] ledger::NoteError),
    /// A decision that is no leaf.
    #[error("a decision does not fit into the ledger: {0}")]
    Leaf(#[from] ledger::LeafError),
    /// More than can be committed to.
    #[error("a decision does not fit into the ledger: {0}")]
    Value(#[from] ledger::ValueTooLong),
    /// The tree in the database is not the one that was signed.
    #[error(
        "the ledger of {authority} does not continue what was signed: {reason}; `bastide ledger verify` says more"
    )]
    Broken {
        /// Whose.
        authority: AuthorityId,
        /// What is wrong.
        reason: String,
    },
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The program, by settings that people made.
    Program,
    /// Somebody at the command line of the machine itself, whom nothing proves but that they could.
    Machine(
        /// The name that they gave.
        String,
    ),
    /// A person.
    Person {
        /// Their id.
        id: String,
        /// Their login.
        login: String,
    },
    /// A program with a token.
    Token {
        /// The token's name.
        name: String,
        /// The id of the person who made it.
        person: String,
    },
}

impl Actor {
    /// What is committed to: enough to say who it was, and erasable.
    fn value(&self) -> Option<String> {
        match self {
            Self::Program => None,
            Self::Machine(name) => Some(name.clone()),
            Self::Person { id, login } => Some(format!("{id} {login}")),
            Self::Token { name, person } => Some(format!("token {name} of {person}")),
        }
    }

    /// Of what [`Self::value`] gave, what may stand in texts that cannot be changed later: a person's id, or the token's.
    pub(crate) fn lasting(value: &str) -> &str {
        match value.rsplit_once(' ') {
            Some((token, person)) if token.starts_with("token ") => person,
            Some((id, _)) if id.parse::<model::PersonId>().is_ok() => id,
            _ => value,
        }
    }

    /// The person whose data it is.
    fn person(&self) -> Option<&str> {
        match self {
            Self::Program | Self::Machine(_) => None,
            Self::Person { id, .. } => Some(id),
            Self::Token { person, .. } => Some(person),
        }
    }
}

/// A decision on its way into the ledger.
#[derive(Clone, Debug)]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Actor,
    /// What.
    pub deed: Deed,
    /// About what, the nearest first.
    pub about: Vec<Subject>,
    /// Everything else that must be known later; may hold personal data.
    pub details: Option<String>,
    /// Drawn for this decision alone.
    pub salts: [Salt; 2],
}

impl Decided {
    /// What the program did by itself: it names nobody and has no details, so that there is nothing to salt.
    pub(crate) fn by_program(at: Timestamp, deed: Deed, about: Vec<Subject>) -> Self {
        let salts = [const { Salt::new([0; Salt::BYTES]) }; 2];
        Self { at, who: Actor::Program, deed, about, details: None, salts }
    }

    /// The same about these roles in the authority whose log it is: which role it was says nothing of a person, and outlasts
    /// their erasing.
    pub(crate) fn naming(mut self, roles: &[AuthorityRole]) -> Result<Self, LedgerError> {
        for role in roles {
            self.about.push(subject("role", role.as_str())?);
        }
        Ok(self)
    }
}

/// A decision as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecisionRecord {
    /// Whose ledger.
    pub authority: AuthorityId,
    /// Its number there, from 0.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub deed: Deed,
    /// Whether nobody but the program did it, by settings that people made.
    pub by_program: bool,
    /// Who, where it was not erased.
    pub who: Option<String>,
    /// About what, the nearest first.
    pub about: Vec<Subject>,
    /// The details, where they were not erased.
    pub details: Option<String>,
    /// The hash of its leaf, in base64.
    pub hash: String,
    /// Whether it had a name or details that were erased.
    pub erased: bool,
}

impl Transaction {
    /// Makes a decision a leaf; its number.
    pub(crate) async fn decide(
        &mut self,
        authority: &AuthorityId,
        decided: &Decided,
    ) -> Result<u64, StoreError> {
        // Where the log is broken, this decision fails and no other write with it.
        self.open_ledger(authority).await?;
        let [salt_of_who, salt_of_details] = decided.salts.clone();
        let opening = |salt, value: Option<String>| {
            // No database keeps a NUL in a text the same; what is committed to is what will be read.
            let value = value.map(|value| value.replace('\0', "\u{fffd}"));
            value.map(|value| Opening::new(salt, value)).transpose().map_err(LedgerError::from)
        };
        let who = opening(salt_of_who, decided.who.value())?;
        let details = opening(salt_of_details, decided.details.clone())?;
        let decision = Decision {
            at: decided.at,
            authority: authority.clone(),
            who: match (&decided.who, &who) {
                (Actor::Person { .. }, Some(opening)) => Who::Person(opening.commitment()),
                (Actor::Token { .. }, Some(opening)) => Who::Token(opening.commitment()),
                (Actor::Machine(_), Some(opening)) => Who::Machine(opening.commitment()),
                _ => Who::Program,
            },
            deed: decided.deed,
            about: decided.about.clone(),
            details: details.as_ref().map(Opening::commitment),
        };
        let leaf = decision.to_bytes().map_err(LedgerError::from)?;
        let row = query(
            "INSERT INTO leaf (authority_id, number, at, deed, body) \
             SELECT $1, COALESCE(MAX(number), -1) + 1, $2, $3, $4 FROM leaf WHERE authority_id = $1 RETURNING number",
        )
        .bind(authority.as_str())
        .bind(decided.at.micros())
        .bind(decided.deed.as_str())
        .bind(leaf)
        .fetch_one(&mut *self)
        .await?;
        let number: i64 = row.try_get(0)?;
        for subject in &decided.about {
            query("INSERT INTO leaf_about (authority_id, subject, number) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(authority.as_str())
                .bind(subject.as_str())
                .bind(number)
                .execute(&mut *self)
                .await?;
        }
        let person = decided.who.person();
        for (part, opening) in [(Part::Who, who), (Part::Details, details)] {
            let Some(opening) = opening else { continue };
            query(
                "INSERT INTO opening (authority_id, number, part, person, salt, value) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(authority.as_str())
            .bind(number)
            .bind(part.as_str())
            .bind(person)
            .bind(opening.salt.as_bytes().to_vec())
            .bind(opening.value)
            .execute(&mut *self)
            .await?;
        }
        Ok(number.unsigned_abs())
    }
}

/// The trees of all authorities: what the next leaf is appended to.
pub(crate) struct Ledgers {
    key: LedgerKey,
    /// As the database holds them.
    kept: HashMap<AuthorityId, Frontier>,
    /// Those that the transaction decides in, as they will be when it is kept.
    open: HashMap<AuthorityId, Frontier>,
}

impl Ledgers {
    pub(crate) fn new(key: LedgerKey) -> Self {
        Self { key, kept: HashMap::new(), open: HashMap::new() }
    }

    /// The transaction was kept, or not: then what the database holds is read again.
    pub(crate) fn ended(&mut self, kept: bool) {
        if kept {
            self.kept.extend(self.open.drain());
        } else {
            self.open.clear();
            self.kept.clear();
        }
    }
}

impl Transaction {
    /// Readies the tree of an authority for new leaves.
    async fn open_ledger(&mut self, authority: &AuthorityId) -> Result<(), StoreError> {
        if self.ledgers.open.contains_key(authority) {
            return Ok(());
        }
        let head = head(self, authority).await?;
        // Another server may have continued it.
        let frontier = match self.ledgers.kept.get(authority).filter(|kept| kept.head() == head) {
            Some(frontier) => frontier.clone(),
            None => restore(self, authority, head).await?,
        };
        self.ledgers.open.insert(authority.clone(), frontier);
        Ok(())
    }

    /// Takes every new leaf in the transaction into its tree, and signs.
    pub(crate) async fn seal_ledgers(&mut self) -> Result<(), StoreError> {
        let mut open = std::mem::take(&mut self.ledgers.open);
        for (authority, frontier) in &mut open {
            self.seal_ledger(authority, frontier).await?;
        }
        self.ledgers.open = open;
        Ok(())
    }

    async fn seal_ledger(
        &mut self,
        authority: &AuthorityId,
        frontier: &mut Frontier,
    ) -> Result<(), StoreError> {
        let leaves = query("SELECT body FROM leaf WHERE authority_id = $1 AND number >= $2 ORDER BY number")
            .bind(authority.as_str())
            .bind(signed(frontier.size()))
            .fetch_all(&mut *self)
            .await?;
        for leaf in &leaves {
            frontier.append(&leaf.try_get::<Vec<u8>>(0)?).map_err(LedgerError::from)?;
        }
        for (place, bytes) in frontier.take_changed() {
            keep_tile(self, authority, place, bytes).await?;
        }
        if leaves.is_empty() {
            return Ok(());
        }
        let head = frontier.head();
        let note = self.ledgers.key.of(authority)?.sign(head).map_err(LedgerError::from)?;
        query(
            "INSERT INTO checkpoint (authority_id, size, root, note) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (authority_id) DO UPDATE SET size = $2, root = $3, note = $4",
        )
        .bind(authority.as_str())
        .bind(signed(head.size))
        .bind(head.root.to_string())
        .bind(note.to_string())
        .execute(self)
        .await
        .map(drop)
    }
}

async fn restore(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    head: Head,
) -> Result<Frontier, StoreError> {
    let mut tiles = BTreeMap::new();
    for place in Place::edge_of_tree(head.size) {
        if let Some(bytes) = tile(&mut *transaction, authority, place).await? {
            tiles.insert(place, bytes);
        }
    }
    Frontier::restore(&tiles, head).map_err(|error| broken(authority, &error))
}

fn broken(authority: &AuthorityId, reason: &dyn std::error::Error) -> StoreError {
    LedgerError::Broken { authority: authority.clone(), reason: reason.to_string() }.into()
}

async fn head(transaction: &mut Transaction, authority: &AuthorityId) -> Result<Head, StoreError> {
    let row = query("SELECT size, root FROM checkpoint WHERE authority_id = $1")
        .bind(authority.as_str())
        .fetch_optional(transaction)
        .await?;
    let Some(row) = row else { return Ok(Head::EMPTY) };
    let root: String = row.try_get(1)?;
    let root = root.parse().map_err(|error: ledger::HashError| broken(authority, &error))?;
    Ok(Head { size: row.try_get::<i64>(0)?.unsigned_abs(), root })
}

async fn keep_tile(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    place: Place,
    bytes: Vec<u8>,
) -> Result<(), StoreError> {
    let Place::Tile { level, index, .. } = place else { return Ok(()) };
    query(
        "INSERT INTO tile (authority_id, level, number, hashes) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (authority_id, level, number) DO UPDATE SET hashes = $4",
    )
    .bind(authority.as_str())
    .bind(i64::from(level))
    .bind(signed(index))
    .bind(bytes)
    .execute(transaction)
    .await
    .map(drop)
}

/// $1 authorities, $2 subject.
macro_rules! matching {
    () => {
        concat!(
            " WHERE ",
            seen!(),
            " AND ($2 IS NULL OR (authority_id, number) IN \
             (SELECT authority_id, number FROM leaf_about WHERE ",
            seen!(),
            " AND subject = $2))"
        )
    };
}

impl Repository {
    /// Keeps a decision that changes nothing here: what it leads to happens elsewhere, or nowhere.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing may happen.
    pub async fn decide(&self, decided: Decided) -> Result<(), StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move { transaction.decide(&authority, &decided).await.map(drop) })
        })
        .await
    }

    /// Runs one statement; where it changed anything, that is the decision. Whether it did.
    pub(crate) async fn decide_change(&self, change: Query, decided: Decided) -> Result<bool, StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let changed = change.execute(&mut *transaction).await? > 0;
                if changed {
                    transaction.decide(&authority, &decided).await?;
                }
                Ok(changed)
            })
        })
        .await
    }

    /// Keeps what a setting of the node is from now on. True where it was something else before: that is the decision.
    ///
    /// # Errors
    /// [`StoreError`]; then it is as it was.
    pub async fn decide_setting(
        &self,
        name: &str,
        value: &str,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let change = query(
            "INSERT INTO setting (authority_id, name, value, changed) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (authority_id, name) DO UPDATE SET value = $3, changed = $4 WHERE setting.value <> $3",
        )
        .bind(self.authority.as_str())
        .bind(name)
        .bind(value)
        .bind(decided.at.micros());
        self.decide_change(change, decided).await
    }

    /// The decisions of the authorities that are seen, the latest first; only about one thing where `about` is set.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn decisions(
        &self,
        about: Option<&Subject>,
        paging: Paging,
    ) -> Result<Page<DecisionRecord>, StoreError> {
        let about = about.map(Subject::as_str);
        let total = query(concat!("SELECT COUNT(*) FROM leaf", matching!()))
            .bind(self.sees())
            .bind(about)
            .fetch_one(self.readers())
            .await?;
        let rows = query(concat!(
            "SELECT number, body, \
             (SELECT value FROM opening WHERE authority_id = leaf.authority_id AND number = leaf.number AND part = 'who'), \
             (SELECT value FROM opening WHERE authority_id = leaf.authority_id AND number = leaf.number AND part = 'details') \
             FROM leaf",
            matching!(),
            " ORDER BY at DESC, authority_id, number DESC LIMIT $3 OFFSET $4"
        ))
        .bind(self.sees())
        .bind(about)
        .bind(paging.limit())
        .bind(paging.offset())
        .fetch_all(self.readers())
        .await?;
        let items = rows.iter().map(record).collect::<Result<_, _>>()?;
        Ok(paging.page(items, count(&total)?))
    }

    /// Whether the logs in the database are those of the node with this key; also where there is none yet.
    pub(crate) async fn is_signed_with(&self, key: &LedgerKey) -> Result<bool, StoreError> {
        let row = query("SELECT note FROM checkpoint LIMIT 1").fetch_optional(self.readers()).await?;
        Ok(row.map(|row| row.try_get::<String>(0)).transpose()?.is_none_or(|note| key.has_signed(&note)))
    }
}

fn record(row: &Row) -> Result<DecisionRecord, StoreError> {
    let number = row.try_get::<i64>(0)?.unsigned_abs();
    let body: Vec<u8> = row.try_get(1)?;
    let decision = Decision::from_bytes(&body).map_err(|error| StoreError::Unreadable {
        table: "leaf",
        id: number.to_string(),
        reason: error.to_string(),
    })?;
    let (who, details): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
    Ok(DecisionRecord {
        hash: ledger::Hash::of_leaf(&body).to_string(),
        erased: decision.who.commitment().is_some() && who.is_none()
            || decision.details.is_some() && details.is_none(),
        authority: decision.authority,
        number,
        at: decision.at,
        deed: decision.deed,
        by_program: decision.who == Who::Program,
        who,
        about: decision.about,
        details,
    })
}
