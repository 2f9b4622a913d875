//! The tree of authorities.
//!
//! Guarantees: a tree has one root, for whom its database was founded, and nothing is ever put above it: whoever could do that
//! would rule all below; an authority stands below one that is there and of a wider kind, so the tree has no loop; it is never moved
//! and never taken away, because its ledger stays.

use crate::{
    Archive, Decided, Repository, StoreError, Transaction,
    database::{Cell, Query, Row, packed, query, text, unpack},
    repository::unreadable,
};
use model::{Authority, AuthorityId, AuthorityLevel, Lineage};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;

/// Asks for all authorities, packed: every request does, and there may be many.
fn rows(sqlite: bool) -> Query {
    const CELLS: [Cell; 4] = [
        Cell::Text("authority_id"),
        Cell::Text("COALESCE(parent, '')"),
        Cell::Text("name"),
        Cell::Text("level"),
    ];
    let packed = packed(sqlite, &CELLS);
    query(AssertSqlSafe(format!("SELECT {packed} FROM authority")))
}

/// The most authorities that a database holds.
pub const MOST_AUTHORITIES: u64 = 2_000;
/// As many find room in every authority, however far down: as many as the tree is deep.
const FEW_AUTHORITIES: u64 = Lineage::MOST as u64;

/// All authorities of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<AuthorityId, Authority>);

/// The authority that a node is opened for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Its id; that of whom the database was founded for where unset, or `local` where nobody has founded it yet.
    pub id: Option<AuthorityId>,
    /// Its name where it founds the tree; its id where unset.
    pub name: Option<String>,
    /// What it is where it founds the tree; local where unset.
    pub level: Option<AuthorityLevel>,
}

impl From<AuthorityId> for Own {
    fn from(id: AuthorityId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }
}

/// Why an authority was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlanted {
    /// Its id is taken, perhaps where the asker cannot see it.
    #[error("there is an authority with this id; choose another")]
    Taken,
    /// There is no such parent.
    #[error("the authority above it is not there")]
    NoParent,
    /// Too wide for its parent.
    #[error("an authority stands below one of a wider level; departments stand anywhere")]
    TooWide,
    /// Too deep.
    #[error("the tree has {} levels at most", Lineage::MOST)]
    TooDeep,
    /// Too many.
    #[error("an authority above holds {0} with all below it, and takes no more")]
    Full(u64),
}

impl Tree {
    /// An authority.
    #[must_use]
    pub fn get(&self, id: &AuthorityId) -> Option<&Authority> {
        self.0.get(id)
    }

    /// The one that all others are below: for whom the database was founded.
    #[must_use]
    pub fn root(&self) -> Option<&AuthorityId> {
        self.0.values().find(|authority| authority.parent.is_none()).map(|root| &root.id)
    }

    /// All, by their ids.
    pub fn all(&self) -> impl Iterator<Item = &Authority> {
        self.0.values()
    }

    /// An authority with all above it. One that the tree does not know stands alone.
    #[must_use]
    pub fn lineage(&self, id: &AuthorityId) -> Lineage {
        let mut above = Vec::new();
        let mut parent = self.0.get(id).and_then(|authority| authority.parent.as_ref());
        while let Some(id) = parent.filter(|_| above.len() < Lineage::MOST) {
            above.push(id.clone());
            parent = self.0.get(id).and_then(|authority| authority.parent.as_ref());
        }
        Lineage::new(id.clone(), above).unwrap_or_else(|_loop| Lineage::alone(id.clone()))
    }

    /// Those that stand directly below an authority.
    pub fn below<'a>(&'a self, id: &'a AuthorityId) -> impl Iterator<Item = &'a Authority> {
        self.0.values().filter(move |authority| authority.parent.as_ref() == Some(id))
    }

    /// How many of `most` each authority from this one up to the root may hold with all below it: the root all of them, and each
    /// step further down a quarter of what is above it, but `least`. So nobody who runs a part uses up the whole.
    pub(crate) fn shares(&self, id: &AuthorityId, most: u64, least: u64) -> Vec<(AuthorityId, u64)> {
        let lineage = self.lineage(id);
        let downwards = lineage.upwards().cloned().collect::<Vec<_>>().into_iter().rev();
        (0_u32..).zip(downwards).map(|(depth, id)| (id, (most >> (2 * depth).min(63)).max(least))).collect()
    }

    fn may_take(&self, new: &Authority) -> Result<(), NotPlanted> {
        if self.0.contains_key(&new.id) {
            return Err(NotPlanted::Taken);
        }
        let parent = new.parent.as_ref().ok_or(NotPlanted::NoParent)?;
        let above = self.0.get(parent).ok_or(NotPlanted::NoParent)?;
        if !new.level.may_stand_below(above.level) {
            return Err(NotPlanted::TooWide);
        }
        if self.lineage(parent).upwards().count() >= Lineage::MOST {
            return Err(NotPlanted::TooDeep);
        }
        for (top, most) in self.shares(parent, MOST_AUTHORITIES, FEW_AUTHORITIES) {
            let below = self.0.keys().filter(|id| self.lineage(id).upwards().any(|above| *above == top));
            if below.count() as u64 >= most {
                return Err(NotPlanted::Full(most));
            }
        }
        Ok(())
    }
}

impl Repository {
    /// The authorities of this database, whosever they are: what decides who may see what.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn tree(&self) -> Result<Tree, StoreError> {
        tree(&rows(self.url().is_sqlite()).fetch_one(self.readers()).await?)
    }

    /// Makes an authority below this one; what was decided stands in this one's ledger.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not there.
    pub async fn add_authority(
        &self,
        new: &Authority,
        decided: Decided,
    ) -> Result<Result<(), NotPlanted>, StoreError> {
        let (authority, new) = (self.authority.clone(), new.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                if let Err(reason) = all(transaction).await?.may_take(&new) {
                    return Ok(Err(reason));
                }
                insert(&new).execute(&mut *transaction).await?;
                transaction.decide(&authority, &decided).await?;
                Ok(Ok(()))
            })
        })
        .await
    }

    /// Gives this authority another name. False where it is not there.
    ///
    /// # Errors
    /// [`StoreError`]; then it has its old one.
    pub async fn rename_authority(&self, name: &str, decided: Decided) -> Result<bool, StoreError> {
        let change = query("UPDATE authority SET name = $2 WHERE authority_id = $1")
            .bind(self.authority.as_str())
            .bind(name);
        self.decide_change(change, decided).await
    }

    /// Finds a node's own authority in the tree, or founds the tree with it; where it is not there, whom the tree belongs to.
    pub(crate) async fn plant(
        &self,
        own: Own,
    ) -> Result<Result<AuthorityId, (AuthorityId, AuthorityId)>, StoreError> {
        let known = |tree: &Tree| {
            let root = tree.root()?;
            let id = own.id.as_ref().unwrap_or(root);
            Some(if tree.get(id).is_some() { Ok(id.clone()) } else { Err((id.clone(), root.clone())) })
        };
        // A later start writes nothing.
        if let Some(known) = known(&self.tree().await?) {
            return Ok(known);
        }
        let id = own.id.clone().unwrap_or_else(AuthorityId::local);
        let founded = Authority {
            name: own.name.clone().unwrap_or_else(|| id.to_string()),
            level: own.level.unwrap_or(AuthorityLevel::Local),
            id,
            parent: None,
        };
        let plant = self.write(move |transaction| {
            Box::pin(async move {
                // Of two servers that start together one founds it.
                if all(transaction).await?.root().is_none() {
                    insert(&founded).execute(transaction).await?;
                }
                Ok(())
            })
        });
        plant.await?;
        known(&self.tree().await?).ok_or(StoreError::NotKept)
    }
}

impl Archive {
    /// The authority that the database was founded for.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn own(&self) -> Result<AuthorityId, StoreError> {
        let tree = tree(&rows(self.url().is_sqlite()).fetch_one(self.readers()).await?)?;
        Ok(tree.root().cloned().unwrap_or_else(AuthorityId::local))
    }
}

/// The tree as the transaction sees it.
pub(crate) async fn all(transaction: &mut Transaction) -> Result<Tree, StoreError> {
    let sqlite = transaction.connection().is_sqlite();
    tree(&rows(sqlite).fetch_one(transaction).await?)
}

fn insert(new: &Authority) -> Query {
    query(
        "INSERT INTO authority (authority_id, parent, name, level) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(new.id.as_str())
    .bind(new.parent.as_ref().map(AuthorityId::as_str))
    .bind(new.name.as_str())
    .bind(new.level.as_str())
}

/// Reads what [`rows`] answers with.
fn tree(row: &Row) -> Result<Tree, StoreError> {
    let mut tree = BTreeMap::new();
    for mut cells in unpack(&row.try_get::<Option<String>>(0)?.unwrap_or_default()) {
        let id = text(cells.next())?;
        let wrong = |reason| unreadable("authority", &id, reason);
        let parent = Some(text(cells.next())?).filter(|parent| !parent.is_empty());
        let authority = Authority {
            id: id.parse().map_err(wrong)?,
            parent: parent.map(|parent| parent.parse()).transpose().map_err(wrong)?,
            name: text(cells.next())?,
            level: text(cells.next())?.parse().map_err(wrong)?,
        };
        tree.insert(authority.id.clone(), authority);
    }
    Ok(Tree(tree))
}
