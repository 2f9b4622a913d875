//! Who may come in: sign-in links, sessions, tokens.
//!
//! Guarantees: only hashes are kept; a link is taken once, also by two requests at the same moment; a session ends when
//! it was idle for too long or at its end, whichever comes first.

use crate::{Actor, Decided, Repository, StoreError, database::query};
use ledger::{Deed, Salt};
use model::Timestamp;
use serde::Serialize;

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Who.
    pub who: String,
    /// Since when.
    pub made: Timestamp,
    /// Last seen.
    pub seen: Timestamp,
    /// Ends then, whatever happens.
    pub expires: Timestamp,
}

/// A token for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// What it is for, in the words of who made it.
    pub name: String,
    /// What it opens.
    pub scope: String,
    /// Since when.
    pub made: Timestamp,
    /// Until then.
    pub expires: Timestamp,
}

impl Repository {
    /// Keeps a sign-in link; links that were not used before end with it, so that one link at a time is good.
    ///
    /// # Errors
    /// [`StoreError`]; then the link is no good.
    pub async fn add_link(
        &self,
        hash: &str,
        who: &str,
        made: Timestamp,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let (whose, hash, who) = (self.whose(), hash.to_owned(), who.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                query("DELETE FROM sign_in_link WHERE authority_id = $1 AND (used IS NULL OR expires <= $2)")
                    .bind(&whose)
                    .bind(made.micros())
                    .execute(&mut *transaction)
                    .await?;
                query(
                    "INSERT INTO sign_in_link (authority_id, hash, who, made, expires) VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(&whose)
                .bind(&hash)
                .bind(&who)
                .bind(made.micros())
                .bind(expires.micros())
                .execute(transaction)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Takes a sign-in link and opens a session with it, in one transaction: who it is for, or nothing where the link is
    /// unknown, used or over.
    ///
    /// # Errors
    /// [`StoreError`]; then the link is as it was and there is no session.
    pub async fn redeem_link(
        &self,
        link: &str,
        session: &str,
        now: Timestamp,
        expires: Timestamp,
        salts: [Salt; 2],
    ) -> Result<Option<String>, StoreError> {
        let (authority, link, session) = (self.authority.clone(), link.to_owned(), session.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let row = query(
                    "UPDATE sign_in_link SET used = $3 \
                     WHERE authority_id = $1 AND hash = $2 AND used IS NULL AND expires > $3 RETURNING who",
                )
                .bind(authority.as_str())
                .bind(&link)
                .bind(now.micros())
                .fetch_optional(&mut *transaction)
                .await?;
                let Some(row) = row else { return Ok(None) };
                let who: String = row.try_get(0)?;
                query(
                    "INSERT INTO session (authority_id, hash, who, made, seen, expires) VALUES ($1, $2, $3, $4, $4, $5)",
                )
                .bind(authority.as_str())
                .bind(&session)
                .bind(&who)
                .bind(now.micros())
                .bind(expires.micros())
                .execute(&mut *transaction)
                .await?;
                let actor = Actor::Person { id: who.clone(), login: who.clone() };
                let decided = Decided { at: now, who: actor, deed: Deed::SignedIn, about: vec![], details: None, salts };
                transaction.decide(&authority, &decided).await?;
                Ok(Some(who))
            })
        })
        .await
    }

    /// The session of a hash that was seen at or after `seen_since` and has not ended at `now`.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; the caller then lets nobody in.
    pub async fn session(
        &self,
        hash: &str,
        now: Timestamp,
        seen_since: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let row = query(
            "SELECT who, made, seen, expires FROM session \
             WHERE authority_id = $1 AND hash = $2 AND expires > $3 AND seen >= $4",
        )
        .bind(self.whose())
        .bind(hash)
        .bind(now.micros())
        .bind(seen_since.micros())
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| {
            Ok(Session {
                who: row.try_get(0)?,
                made: Timestamp::from_micros(row.try_get(1)?),
                seen: Timestamp::from_micros(row.try_get(2)?),
                expires: Timestamp::from_micros(row.try_get(3)?),
            })
        })
        .transpose()
    }

    /// Notes that a session was seen.
    ///
    /// # Errors
    /// [`StoreError`]; then it ends the earlier.
    pub async fn touch_session(&self, hash: &str, now: Timestamp) -> Result<(), StoreError> {
        let (whose, hash) = (self.whose(), hash.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                query("UPDATE session SET seen = $3 WHERE authority_id = $1 AND hash = $2 AND seen < $3")
                    .bind(&whose)
                    .bind(&hash)
                    .bind(now.micros())
                    .execute(transaction)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Ends a session, or all of them where `hash` is unset. How many ended.
    ///
    /// # Errors
    /// [`StoreError`]; then they go on.
    pub async fn end_sessions(&self, hash: Option<&str>, decided: Decided) -> Result<u64, StoreError> {
        let (authority, hash) = (self.authority.clone(), hash.map(str::to_owned));
        self.write(move |transaction| {
            Box::pin(async move {
                let ended =
                    query("DELETE FROM session WHERE authority_id = $1 AND ($2 IS NULL OR hash = $2)")
                        .bind(authority.as_str())
                        .bind(&hash)
                        .execute(&mut *transaction)
                        .await?;
                if ended > 0 {
                    transaction.decide(&authority, &decided).await?;
                }
                Ok(ended)
            })
        })
        .await
    }

    /// How many sessions are good at `now`.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be counted.
    pub async fn active_sessions(&self, now: Timestamp, seen_since: Timestamp) -> Result<u64, StoreError> {
        let row =
            query("SELECT COUNT(*) FROM session WHERE authority_id = $1 AND expires > $2 AND seen >= $3")
                .bind(self.whose())
                .bind(now.micros())
                .bind(seen_since.micros())
                .fetch_one(self.readers())
                .await?;
        Ok(row.try_get::<i64>(0)?.unsigned_abs())
    }

    /// Keeps a token for programs.
    ///
    /// # Errors
    /// [`StoreError`]; then the token is no good.
    pub async fn add_token(&self, hash: &str, token: &Token, decided: Decided) -> Result<(), StoreError> {
        let (authority, hash, token) = (self.authority.clone(), hash.to_owned(), token.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                query(
                    "INSERT INTO token (authority_id, hash, name, scope, made, expires) VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(authority.as_str())
                .bind(&hash)
                .bind(&token.name)
                .bind(&token.scope)
                .bind(token.made.micros())
                .bind(token.expires.micros())
                .execute(&mut *transaction)
                .await?;
                transaction.decide(&authority, &decided).await.map(drop)
            })
        })
        .await
    }

    /// The token of a hash, where it is still good.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; the caller then lets nobody in.
    pub async fn token(&self, hash: &str, now: Timestamp) -> Result<Option<Token>, StoreError> {
        let row = query(
            "SELECT name, scope, made, expires FROM token WHERE authority_id = $1 AND hash = $2 AND expires > $3",
        )
        .bind(self.whose())
        .bind(hash)
        .bind(now.micros())
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| {
            Ok(Token {
                name: row.try_get(0)?,
                scope: row.try_get(1)?,
                made: Timestamp::from_micros(row.try_get(2)?),
                expires: Timestamp::from_micros(row.try_get(3)?),
            })
        })
        .transpose()
    }
}
