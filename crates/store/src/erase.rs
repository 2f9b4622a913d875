//! Erasing a person: what is theirs goes, what was decided stays.
//!
//! Guarantees: with the leaf that says so, in one transaction, everything goes that says who somebody was: names and details
//! of their decisions and of decisions about them, in the logs of all authorities, their login, credentials, sessions,
//! roles, and their name where an incident or an exception tells it. The leaves stay, so that every log verifies as
//! before; what is left in them was salted, and its salts are gone. SQLite overwrites what it deletes (`secure_delete`)
//! and its log is emptied at once; PostgreSQL overwrites it with its next vacuum.

use crate::{
    Decided, Repository, StoreError, Transaction,
    database::query,
    person::{is_last_administrator, shut_out},
};
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
                    let row = query("SELECT login FROM person WHERE authority_id = $1 AND id = $2")
                        .bind(authority.as_str())
                        .bind(person.as_str())
                        .fetch_optional(&mut *transaction)
                        .await?;
                    let Some(row) = row else { return Ok(Erased::Unknown) };
                    if is_last_administrator(transaction, &person, None).await? {
                        return Ok(Erased::Last);
                    }
                    let login: String = row.try_get(0)?;
                    erase(transaction, &person, &login).await?;
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

async fn erase(transaction: &mut Transaction, person: &PersonId, login: &str) -> Result<(), StoreError> {
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
    shut_out(transaction, person).await?;
    for sql in [
        "DELETE FROM credential WHERE person = $1",
        "DELETE FROM holding WHERE person = $1",
        "DELETE FROM token WHERE person = $1",
        "DELETE FROM person WHERE id = $1",
    ] {
        query(sql).bind(person.as_str()).execute(&mut *transaction).await?;
    }
    // By the login, which is theirs alone; a name may be anybody's.
    query("UPDATE incident SET closed_by = $2 WHERE closed_by = $1")
        .bind(login)
        .bind(ERASED)
        .execute(&mut *transaction)
        .await?;
    let rows = query("SELECT authority_id, id, body FROM exception").fetch_all(&mut *transaction).await?;
    for row in &rows {
        let (authority, id, body): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let Ok(mut body) = serde_json::from_str::<Value>(&body) else { continue };
        let Some(who) = body.get_mut("who") else { continue };
        if who.as_str() != Some(login) {
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
