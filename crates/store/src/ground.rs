//! On what grounds something is done.
//!
//! Guarantees: what was looked at before a write (who may do this, whom is it done to?) still stands in the transaction
//! that holds the write, or the write is not made. A role that is taken or given between the look and the write ends in
//! [`StoreError::Moved`], never in a deed that nobody had the right to.

use crate::{
    Repository, StoreError, Transaction,
    database::{On, Row, query},
    person::holding,
};
use model::{Holding, PersonId, PersonState};

/// Something that was looked at, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Somebody, in this state and with exactly these roles.
    Person {
        /// Who.
        id: PersonId,
        /// Whether they may sign in.
        state: PersonState,
        /// All their roles, as [`Repository::holdings`] tells them.
        holds: Vec<Holding>,
    },
    /// A session that has not been ended.
    Session(String),
    /// A token that has not been revoked.
    Token(String),
}

impl Repository {
    /// The roles of somebody, in all authorities.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read; then they hold none.
    pub async fn holdings(&self, person: &PersonId) -> Result<Vec<Holding>, StoreError> {
        holdings(self.readers(), person).await
    }
}

/// Refuses to go on where any of them does not stand any more.
pub(crate) async fn stand(transaction: &mut Transaction, grounds: &[Ground]) -> Result<(), StoreError> {
    for ground in grounds {
        if !ground.stands(transaction).await? {
            return Err(StoreError::Moved);
        }
    }
    Ok(())
}

impl Ground {
    async fn stands(&self, transaction: &mut Transaction) -> Result<bool, StoreError> {
        let (sql, id) = match self {
            Self::Person { id, .. } => ("SELECT state FROM person WHERE id = $1", id.as_str()),
            Self::Session(id) => ("SELECT person FROM session WHERE hash = $1", id.as_str()),
            Self::Token(id) => ("SELECT name FROM token WHERE hash = $1", id.as_str()),
        };
        let row = query(sql).bind(id).fetch_optional(&mut *transaction).await?;
        let Self::Person { id, state, holds } = self else { return Ok(row.is_some()) };
        let found = row.map(|row| row.try_get::<String>(0)).transpose()?;
        Ok(found.as_deref() == Some(state.as_str()) && holdings(transaction, id).await? == *holds)
    }
}

async fn holdings<'t>(on: impl Into<On<'t>>, person: &PersonId) -> Result<Vec<Holding>, StoreError> {
    let rows = query(
        "SELECT authority_id, role FROM holding WHERE person = $1 ORDER BY authority_id, role LIMIT $2",
    )
    .bind(person.as_str())
    .bind(crate::MOST_HOLDINGS as i64)
    .fetch_all(on)
    .await?;
    rows.iter().map(|row: &Row| holding(person.as_str(), row)).collect()
}
