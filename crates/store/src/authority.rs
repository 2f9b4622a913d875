//! The tree of authorities.
//!
//! Guarantees: an authority stands below one that is there and of a wider kind, so the tree has no loop; it is never moved
//! and never taken away, because its ledger stays.

use crate::{
    Decided, Repository, StoreError,
    database::{Row, query},
    repository::unreadable,
};
use model::{Authority, AuthorityId, AuthorityLevel, Lineage};
use std::collections::BTreeMap;

/// The rows that [`tree`] reads.
const ALL: &str = "SELECT authority_id, parent, name, level FROM authority ORDER BY authority_id";

/// The most authorities that a database holds.
pub const MOST_AUTHORITIES: usize = 2_000;

/// All authorities of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<AuthorityId, Authority>);

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
    #[error("a node serves {MOST_AUTHORITIES} authorities at most")]
    TooMany,
}

impl Tree {
    /// An authority.
    #[must_use]
    pub fn get(&self, id: &AuthorityId) -> Option<&Authority> {
        self.0.get(id)
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

    fn may_take(&self, new: &Authority) -> Result<(), NotPlanted> {
        if self.0.contains_key(&new.id) {
            return Err(NotPlanted::Taken);
        }
        if self.0.len() >= MOST_AUTHORITIES {
            return Err(NotPlanted::TooMany);
        }
        let Some(parent) = &new.parent else { return Ok(()) };
        let above = self.0.get(parent).ok_or(NotPlanted::NoParent)?;
        if !new.level.may_stand_below(above.level) {
            return Err(NotPlanted::TooWide);
        }
        if self.lineage(parent).upwards().count() >= Lineage::MOST {
            return Err(NotPlanted::TooDeep);
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
        let rows = query(ALL).fetch_all(self.readers()).await?;
        tree(&rows)
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
                let rows = query(ALL).fetch_all(&mut *transaction).await?;
                if let Err(reason) = tree(&rows)?.may_take(&new) {
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
        let (authority, name) = (self.authority.clone(), name.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let changed = query("UPDATE authority SET name = $2 WHERE authority_id = $1")
                    .bind(authority.as_str())
                    .bind(&name)
                    .execute(&mut *transaction)
                    .await?;
                if changed > 0 {
                    transaction.decide(&authority, &decided).await?;
                }
                Ok(changed > 0)
            })
        })
        .await
    }

    /// Makes sure that this authority is in the tree: the node's own, at its first start.
    pub(crate) async fn plant(&self) -> Result<(), StoreError> {
        let new = Authority {
            id: self.authority.clone(),
            name: self.authority.to_string(),
            level: AuthorityLevel::Local,
            parent: None,
        };
        if self.tree().await?.get(&new.id).is_some() {
            return Ok(());
        }
        self.write(move |transaction| {
            Box::pin(async move { insert(&new).execute(transaction).await.map(drop) })
        })
        .await
    }
}

fn insert(new: &Authority) -> crate::database::Query {
    query(
        "INSERT INTO authority (authority_id, parent, name, level) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(new.id.as_str())
    .bind(new.parent.as_ref().map(AuthorityId::as_str))
    .bind(new.name.as_str())
    .bind(new.level.as_str())
}

fn tree(rows: &[Row]) -> Result<Tree, StoreError> {
    let mut tree = BTreeMap::new();
    for row in rows {
        let id: String = row.try_get(0)?;
        let wrong = |reason| unreadable("authority", &id, reason);
        let parent: Option<String> = row.try_get(1)?;
        let authority = Authority {
            id: id.parse().map_err(wrong)?,
            parent: parent.map(|parent| parent.parse()).transpose().map_err(wrong)?,
            name: row.try_get(2)?,
            level: row.try_get::<String>(3)?.parse().map_err(wrong)?,
        };
        tree.insert(authority.id.clone(), authority);
    }
    Ok(Tree(tree))
}
