//! Erasing a person: what is theirs goes, what was decided stays.
//!
//! Guarantees: with the leaf that says so, in one transaction, everything goes that says who somebody was: names and details
//! of their decisions and of decisions about them, in the logs of all authorities, their login, credentials, sessions,
//! roles, and their name where an incident or an exception tells it. The leaves stay, so that every log verifies as
//! before; what is left in them was salted, and its salts are gone. SQLite overwrites what it deletes (`secure_delete`)
//! and its log is emptied at once; PostgreSQL overwrites it with its next vacuum.

use crate::{Decided, Repository, StoreError, Transaction, database::query};
use ledger::Subject;
use model::PersonId;
use serde_json::Value;

/// What stands where a name was.
pub const ERASED: &str = "(erased)";

/// What erasing somebody came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// They are gone.
    Done,
    /// Nobody of this authority has that id.
    Unknown,
    /// They are the last administrator: somebody must be left who can let others in.
    Last,
}

impl Repository {
    /// Erases somebody of this authority.
    ///
    /// # Errors
    /// [`StoreError`]; then they are as they were.
    pub async fn erase_person(&self, person: &PersonId, decided: Decided) -> Result<Erased, StoreError> {
        let (authority, person) = (self.authority.clone(), person.clone());
        let erased = self
            .write(move |transaction| {
                Box::pin(async move {
                    let row = query("SELECT login, name FROM person WHERE authority_id = $1 AND id = $2")
                        .bind(authority.as_str())
                        .bind(person.as_str())
                        .fetch_optional(&mut *transaction)
                        .await?;
                    let Some(row) = row else { return Ok(Erased::Unknown) };
                    if is_last_administrator(transaction, &person).await? {
                        return Ok(Erased::Last);
                    }
                    let names: [String; 2] = [row.try_get(0)?, row.try_get(1)?];
                    erase(transaction, &person, &names).await?;
                    transaction.decide(&authority, &decided).await?;
                    Ok(Erased::Done)
                })
            })
            .await?;
        if erased == Erased::Done {
            self.inner.writer.empty_log().await;
        }
        Ok(erased)
    }
}

async fn is_last_administrator(transaction: &mut Transaction, person: &PersonId) -> Result<bool, StoreError> {
    let administrators = query(
        "SELECT DISTINCT person.id FROM holding JOIN person ON person.id = holding.person \
         WHERE holding.role = 'administrator' AND person.state = 'active' LIMIT 2",
    )
    .fetch_all(transaction)
    .await?;
    match administrators.as_slice() {
        [only] => Ok(only.try_get::<String>(0)? == person.as_str()),
        _ => Ok(false),
    }
}

async fn erase(
    transaction: &mut Transaction,
    person: &PersonId,
    names: &[String; 2],
) -> Result<(), StoreError> {
    // A subject is at most 160 letters; an id of ours fits.
    let subject = Subject::new("person", person).map_err(crate::LedgerError::from)?;
    query(
        "DELETE FROM opening WHERE person = $1 OR (part = 'details' AND (authority_id, number) IN \
         (SELECT authority_id, number FROM leaf_about WHERE subject = $2))",
    )
    .bind(person.as_str())
    .bind(subject.as_str())
    .execute(&mut *transaction)
    .await?;
    for sql in [
        "DELETE FROM session WHERE person = $1",
        "DELETE FROM sign_in_link WHERE person = $1",
        "DELETE FROM credential WHERE person = $1",
        "DELETE FROM holding WHERE person = $1",
        "DELETE FROM token WHERE person = $1",
        "DELETE FROM person WHERE id = $1",
    ] {
        query(sql).bind(person.as_str()).execute(&mut *transaction).await?;
    }
    let [login, name] = names;
    query("UPDATE incident SET closed_by = $3 WHERE closed_by IN ($1, $2)")
        .bind(login)
        .bind(name)
        .bind(ERASED)
        .execute(&mut *transaction)
        .await?;
    let rows = query("SELECT authority_id, id, body FROM exception").fetch_all(&mut *transaction).await?;
    for row in &rows {
        let (authority, id, body): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let Ok(mut body) = serde_json::from_str::<Value>(&body) else { continue };
        let Some(who) = body.get_mut("who") else { continue };
        if !names.iter().any(|name| who.as_str() == Some(name.as_str())) {
            continue;
        }
        *who = ERASED.into();
        query("UPDATE exception SET body = $3 WHERE authority_id = $1 AND id = $2")
            .bind(authority)
            .bind(id)
            .bind(body.to_string())
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}
