//! Who may come in: sign-in links, sessions, tokens; and the record of who did what.
//!
//! Guarantees: only hashes are kept; a link is taken once, also by two requests at the same moment; a session ends when
//! it was idle for too long or at its end, whichever comes first.

use crate::{Page, Paging, Repository, StoreError, database::query, repository::count};
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

/// Something that somebody did or opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What, such as `signed in`.
    pub what: String,
    /// About what: an id or nothing.
    pub about: String,
}

/// How many deeds are kept.
const MOST_DEEDS: i64 = 100_000;

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
    ) -> Result<Option<String>, StoreError> {
        let (whose, link, session) = (self.whose(), link.to_owned(), session.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let row = query(
                    "UPDATE sign_in_link SET used = $3 \
                     WHERE authority_id = $1 AND hash = $2 AND used IS NULL AND expires > $3 RETURNING who",
                )
                .bind(&whose)
                .bind(&link)
                .bind(now.micros())
                .fetch_optional(&mut *transaction)
                .await?;
                let Some(row) = row else { return Ok(None) };
                let who: String = row.try_get(0)?;
                query(
                    "INSERT INTO session (authority_id, hash, who, made, seen, expires) VALUES ($1, $2, $3, $4, $4, $5)",
                )
                .bind(&whose)
                .bind(&session)
                .bind(&who)
                .bind(now.micros())
                .bind(expires.micros())
                .execute(transaction)
                .await?;
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
    pub async fn end_sessions(&self, hash: Option<&str>) -> Result<u64, StoreError> {
        let (whose, hash) = (self.whose(), hash.map(str::to_owned));
        self.write(move |transaction| {
            Box::pin(async move {
                query("DELETE FROM session WHERE authority_id = $1 AND ($2 IS NULL OR hash = $2)")
                    .bind(&whose)
                    .bind(&hash)
                    .execute(transaction)
                    .await
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
    pub async fn add_token(&self, hash: &str, token: &Token) -> Result<(), StoreError> {
        let (whose, hash, token) = (self.whose(), hash.to_owned(), token.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                query(
                    "INSERT INTO token (authority_id, hash, name, scope, made, expires) VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(&whose)
                .bind(&hash)
                .bind(&token.name)
                .bind(&token.scope)
                .bind(token.made.micros())
                .bind(token.expires.micros())
                .execute(transaction)
                .await?;
                Ok(())
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

    /// Writes down who did or opened what.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not written down.
    pub async fn record_deed(&self, deed: &Deed) -> Result<(), StoreError> {
        let (whose, deed) = (self.whose(), deed.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                query(
                    "INSERT INTO deed (authority_id, seq, at, who, what, about) \
                     SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5 FROM deed WHERE authority_id = $1",
                )
                .bind(&whose)
                .bind(deed.at.micros())
                .bind(&deed.who)
                .bind(&deed.what)
                .bind(&deed.about)
                .execute(&mut *transaction)
                .await?;
                query(
                    "DELETE FROM deed WHERE authority_id = $1 AND seq <= (SELECT MAX(seq) - $2 FROM deed \
                     WHERE authority_id = $1)",
                )
                .bind(&whose)
                .bind(MOST_DEEDS)
                .execute(transaction)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// The deeds, the latest first; only about one thing where `about` is set.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn deeds(&self, about: Option<&str>, paging: Paging) -> Result<Page<Deed>, StoreError> {
        let total = query("SELECT COUNT(*) FROM deed WHERE authority_id = $1 AND ($2 IS NULL OR about = $2)")
            .bind(self.whose())
            .bind(about)
            .fetch_one(self.readers())
            .await?;
        let rows = query(
            "SELECT at, who, what, about FROM deed WHERE authority_id = $1 AND ($2 IS NULL OR about = $2) \
             ORDER BY seq DESC LIMIT $3 OFFSET $4",
        )
        .bind(self.whose())
        .bind(about)
        .bind(paging.limit())
        .bind(paging.offset())
        .fetch_all(self.readers())
        .await?;
        let items = rows
            .iter()
            .map(|row| {
                Ok(Deed {
                    at: Timestamp::from_micros(row.try_get(0)?),
                    who: row.try_get(1)?,
                    what: row.try_get(2)?,
                    about: row.try_get(3)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(paging.page(items, count(&total)?))
    }
}
