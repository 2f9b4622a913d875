//! How people and programs came in: sign-in links, sessions, tokens.
//!
//! Guarantees: only hashes are kept; a link is taken once, also by two requests at the same moment; a session ends when
//! it was idle for too long or at its end, whichever comes first; whoever is suspended has none, and the tokens that they
//! made are no good meanwhile.

use crate::{
    Actor, Decided, Person, Repository, StoreError, Transaction,
    database::{Row, query},
    person,
    repository::{seen, unreadable},
};
use ledger::{Deed, Salt};
use model::{AuthorityId, AuthorityRole, PersonId, Timestamp};
use serde::Serialize;

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Names the session: the hash of what opens it.
    pub id: String,
    /// Who.
    pub person: Person,
    /// By what, such as `passkey`.
    pub method: String,
    /// Browser and system, as far as they say.
    pub device: String,
    /// The address they came from.
    pub place: String,
    /// Since when.
    pub made: Timestamp,
    /// Last seen.
    pub seen: Timestamp,
    /// Ends then, whatever happens.
    pub expires: Timestamp,
}

/// A session that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// The hash of what opens it.
    pub hash: String,
    /// By what, such as `passkey`.
    pub method: &'static str,
    /// Browser and system, as far as they say.
    pub device: String,
    /// The address they come from.
    pub place: String,
    /// When it begins.
    pub made: Timestamp,
    /// Ends then, whatever happens.
    pub expires: Timestamp,
}

/// A sign-in link that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// The hash of what it holds.
    pub hash: String,
    /// When it was made.
    pub made: Timestamp,
    /// Good until then.
    pub expires: Timestamp,
}

/// How the session of a command line began: it ends by its age alone, and is no browser's.
pub const COMMAND_LINE: &str = "cli";

impl Session {
    /// Whether a command line holds it, and no browser.
    #[must_use]
    pub fn is_command_line(&self) -> bool {
        self.method == COMMAND_LINE
    }
}

/// A token for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Names the token: the hash of what opens with it.
    pub id: String,
    /// Where its roles are held.
    pub authority: AuthorityId,
    /// What it is for, in the words of who made it.
    pub name: String,
    /// What it may: these roles, and no more than who made it.
    pub roles: Vec<AuthorityRole>,
    /// Who made it; unset where the program did, on the machine itself.
    pub person: Option<PersonId>,
    /// Since when.
    pub made: Timestamp,
    /// Until then.
    pub expires: Timestamp,
    /// When it was last used, to the hour.
    pub used: Option<Timestamp>,
}

/// The most tokens that an authority has.
pub const MOST_TOKENS: u32 = 500;
/// The most tokens that somebody has made which are not over.
pub const TOKENS_OF_A_PERSON: u32 = 50;

/// Columns of a session, then those of its person, in the order that [`session`] reads.
macro_rules! session_columns {
    () => {
        concat!(
            "SELECT session.hash, session.method, session.device, session.place, session.made, session.seen, \
             session.expires, ",
            person::columns!(),
            " FROM session JOIN person ON person.id = session.person AND person.state = 'active' "
        )
    };
}

/// A session that was seen lately enough. People do not sit at a command line all the time.
macro_rules! not_idle {
    ($since:literal) => {
        concat!("(session.seen >= ", $since, " OR session.method = 'cli')")
    };
}

/// Columns of a token, in the order that [`token`] reads.
macro_rules! token_columns {
    () => {
        "SELECT hash, authority_id, name, roles, person, made, expires, used FROM token "
    };
}

impl Repository {
    /// Keeps a sign-in link for somebody of this authority; links of theirs that were not used before end with it. False
    /// where they may not sign in.
    ///
    /// # Errors
    /// [`StoreError`]; then the link is no good.
    pub async fn add_link(
        &self,
        person: &PersonId,
        link: NewLink,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, person) = (self.authority.clone(), person.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                let kept = keep_link(transaction, &authority, &person, &link).await?;
                if kept {
                    transaction.decide(&authority, &decided).await?;
                }
                Ok(kept)
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
        session: NewSession,
        salts: [Salt; 2],
    ) -> Result<Option<Person>, StoreError> {
        let link = link.to_owned();
        self.write(move |transaction| {
            Box::pin(async move {
                let row = query(
                    "UPDATE sign_in_link SET used = $2 WHERE hash = $1 AND used IS NULL AND expires > $2 RETURNING person",
                )
                .bind(&link)
                .bind(session.made.micros())
                .fetch_optional(&mut *transaction)
                .await?;
                let Some(row) = row else { return Ok(None) };
                let Some(who) = person::active(transaction, &row.try_get::<String>(0)?).await? else {
                    return Ok(None);
                };
                begin(transaction, &who, session, None, salts).await?;
                Ok(Some(who))
            })
        })
        .await
    }

    /// Opens a session for somebody who proved who they are. False where they may not sign in any more.
    ///
    /// # Errors
    /// [`StoreError`]; then there is no session.
    pub async fn open_session(
        &self,
        person: &PersonId,
        session: NewSession,
        salts: [Salt; 2],
    ) -> Result<bool, StoreError> {
        let id = person.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let Some(who) = person::active(transaction, id.as_str()).await? else { return Ok(false) };
                begin(transaction, &who, session, None, salts).await?;
                Ok(true)
            })
        })
        .await
    }

    /// The same from a session of theirs: who vouched for that one vouches for this, and it ends with their word.
    ///
    /// # Errors
    /// [`StoreError`]; then there is no session.
    pub async fn open_session_from(
        &self,
        person: &PersonId,
        from: &str,
        session: NewSession,
        salts: [Salt; 2],
    ) -> Result<bool, StoreError> {
        let (id, from) = (person.clone(), from.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let Some(who) = person::active(transaction, id.as_str()).await? else { return Ok(false) };
                let vouched = query("SELECT provider FROM session WHERE hash = $1").bind(&from);
                let vouched = vouched.fetch_optional(&mut *transaction).await?;
                let vouched: Option<String> = vouched.map(|row| row.try_get(0)).transpose()?.flatten();
                begin(transaction, &who, session, vouched, salts).await?;
                Ok(true)
            })
        })
        .await
    }

    /// The session of a hash that was seen at or after `seen_since` and has not ended at `now`, in whatever authority.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; the caller then lets nobody in.
    pub async fn session(
        &self,
        hash: &str,
        now: Timestamp,
        seen_since: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let row = query(concat!(
            session_columns!(),
            "WHERE session.hash = $1 AND session.expires > $2 AND ",
            not_idle!("$3")
        ))
        .bind(hash)
        .bind(now.micros())
        .bind(seen_since.micros())
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| session(&row)).transpose()
    }

    /// The sessions of somebody that are good at `now`, the latest seen first; at most 100.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn sessions(
        &self,
        person: &PersonId,
        now: Timestamp,
        seen_since: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = query(concat!(
            session_columns!(),
            "WHERE session.person = $1 AND session.expires > $2 AND ",
            not_idle!("$3"),
            " ORDER BY session.seen DESC, session.hash LIMIT 100"
        ))
        .bind(person.as_str())
        .bind(now.micros())
        .bind(seen_since.micros())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(session).collect()
    }

    /// Notes that a session was seen.
    ///
    /// # Errors
    /// [`StoreError`]; then it ends the earlier.
    pub async fn touch_session(&self, hash: &str, now: Timestamp) -> Result<(), StoreError> {
        self.touch("UPDATE session SET seen = $2 WHERE hash = $1 AND seen < $2", hash, now).await
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not noted.
    pub async fn touch_token(&self, hash: &str, now: Timestamp) -> Result<(), StoreError> {
        self.touch("UPDATE token SET used = $2 WHERE hash = $1 AND (used IS NULL OR used < $2)", hash, now)
            .await
    }

    async fn touch(&self, sql: &'static str, hash: &str, now: Timestamp) -> Result<(), StoreError> {
        let hash = hash.to_owned();
        self.write(move |transaction| {
            Box::pin(
                async move { query(sql).bind(&hash).bind(now.micros()).execute(transaction).await.map(drop) },
            )
        })
        .await
    }

    /// Ends a session of somebody of this authority; or all but `keep`, and the links that were not used, where `hash` is unset.
    /// How many ended.
    ///
    /// # Errors
    /// [`StoreError`]; then they go on.
    pub async fn end_sessions(
        &self,
        person: &PersonId,
        hash: Option<&str>,
        keep: Option<&str>,
        decided: Decided,
    ) -> Result<u64, StoreError> {
        let (authority, person) = (self.authority.clone(), person.clone());
        let (hash, keep) = (hash.map(str::to_owned), keep.map(str::to_owned));
        self.write(move |transaction| {
            Box::pin(async move {
                let ended = query(
                    "DELETE FROM session WHERE person = $1 AND ($2 IS NULL OR hash = $2) AND ($3 IS NULL OR hash <> $3)",
                )
                .bind(person.as_str())
                .bind(&hash)
                .bind(&keep)
                .execute(&mut *transaction)
                .await?;
                if hash.is_none() {
                    query("DELETE FROM sign_in_link WHERE person = $1")
                        .bind(person.as_str())
                        .execute(&mut *transaction)
                        .await?;
                }
                if ended > 0 {
                    transaction.decide(&authority, &decided).await?;
                }
                Ok(ended)
            })
        })
        .await
    }

    /// Keeps a token for programs in this authority. False where it has too many.
    ///
    /// # Errors
    /// [`StoreError`]; then the token is no good.
    pub async fn add_token(&self, token: &Token, decided: Decided) -> Result<bool, StoreError> {
        let (authority, token) = (self.authority.clone(), token.clone());
        let decided = decided.naming(&token.roles)?;
        self.write(move |transaction| {
            Box::pin(async move {
                let row = query("SELECT COUNT(*) FROM token WHERE authority_id = $1 AND expires > $2")
                    .bind(authority.as_str())
                    .bind(token.made.micros())
                    .fetch_one(&mut *transaction)
                    .await?;
                let own = query("SELECT COUNT(*) FROM token WHERE person = $1 AND expires > $2")
                    .bind(token.person.as_ref().map(PersonId::as_str))
                    .bind(token.made.micros())
                    .fetch_one(&mut *transaction)
                    .await?;
                if row.try_get::<i64>(0)? >= i64::from(MOST_TOKENS)
                    || own.try_get::<i64>(0)? >= i64::from(TOKENS_OF_A_PERSON)
                {
                    return Ok(false);
                }
                query(
                    "INSERT INTO token (authority_id, hash, name, roles, person, made, expires) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(authority.as_str())
                .bind(&token.id)
                .bind(&token.name)
                .bind(words(&token.roles))
                .bind(token.person.as_ref().map(PersonId::as_str))
                .bind(token.made.micros())
                .bind(token.expires.micros())
                .execute(&mut *transaction)
                .await?;
                transaction.decide(&authority, &decided).await?;
                Ok(true)
            })
        })
        .await
    }

    /// The token of a hash, in whatever authority, where it is still good.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; the caller then lets nobody in.
    pub async fn token(&self, hash: &str, now: Timestamp) -> Result<Option<Token>, StoreError> {
        let row = query(concat!(
            token_columns!(),
            "WHERE hash = $1 AND expires > $2 \
             AND (person IS NULL OR person IN (SELECT id FROM person WHERE state = 'active'))"
        ))
        .bind(hash)
        .bind(now.micros())
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| token(&row)).transpose()
    }

    /// The tokens of the authorities that are seen which are not over at `now`, the latest first; only those that `person` made
    /// where that is set.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn tokens(&self, person: Option<&PersonId>, now: Timestamp) -> Result<Vec<Token>, StoreError> {
        let rows = query(concat!(
            token_columns!(),
            "WHERE ",
            seen!(),
            " AND expires > $2 AND ($3 IS NULL OR person = $3) ORDER BY made DESC, hash LIMIT 500"
        ))
        .bind(self.sees())
        .bind(now.micros())
        .bind(person.map(PersonId::as_str))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(token).collect()
    }

    /// A token by its id, in whatever authority, good or not.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn token_by_id(&self, id: &str) -> Result<Option<Token>, StoreError> {
        let row = query(concat!(token_columns!(), "WHERE hash = $1"))
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| token(&row)).transpose()
    }

    /// Ends a token of this authority. False where it has none such.
    ///
    /// # Errors
    /// [`StoreError`]; then it is good.
    pub async fn revoke_token(&self, id: &str, decided: Decided) -> Result<bool, StoreError> {
        let gone = query("DELETE FROM token WHERE authority_id = $1 AND hash = $2")
            .bind(self.authority.as_str())
            .bind(id);
        self.decide_change(gone, decided).await
    }
}

/// Keeps a link in place of those that somebody of the authority has; false where they may not sign in.
pub(crate) async fn keep_link(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    person: &PersonId,
    link: &NewLink,
) -> Result<bool, StoreError> {
    query("DELETE FROM sign_in_link WHERE person = $1")
        .bind(person.as_str())
        .execute(&mut *transaction)
        .await?;
    let kept = query(
        "INSERT INTO sign_in_link (authority_id, hash, person, made, expires) \
         SELECT $1, $2, id, $4, $5 FROM person WHERE id = $3 AND state = 'active' AND authority_id = $1",
    )
    .bind(authority.as_str())
    .bind(&link.hash)
    .bind(person.as_str())
    .bind(link.made.micros())
    .bind(link.expires.micros())
    .execute(transaction)
    .await?;
    Ok(kept > 0)
}

/// Opens a session for somebody; with the authority whose identity provider vouches for it.
pub(crate) async fn begin(
    transaction: &mut Transaction,
    who: &Person,
    session: NewSession,
    provider: Option<String>,
    salts: [Salt; 2],
) -> Result<(), StoreError> {
    query(
        "INSERT INTO session (authority_id, hash, person, method, device, place, made, seen, expires, provider) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)",
    )
    .bind(who.authority.as_str())
    .bind(&session.hash)
    .bind(who.id.as_str())
    .bind(session.method)
    .bind(&session.device)
    .bind(&session.place)
    .bind(session.made.micros())
    .bind(session.expires.micros())
    .bind(&provider)
    .execute(&mut *transaction)
    .await?;
    let decided = Decided {
        at: session.made,
        who: Actor::Person { id: who.id.to_string(), login: who.login.to_string() },
        deed: Deed::SignedIn,
        about: Vec::new(),
        details: Some(format!("by {} from {}, {}", session.method, session.place, session.device)),
        salts,
    };
    transaction.decide(&who.authority, &decided).await.map(drop)
}

fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.try_get(0)?,
        method: row.try_get(1)?,
        device: row.try_get(2)?,
        place: row.try_get(3)?,
        made: Timestamp::from_micros(row.try_get(4)?),
        seen: Timestamp::from_micros(row.try_get(5)?),
        expires: Timestamp::from_micros(row.try_get(6)?),
        person: person::record(row, 7)?,
    })
}

fn token(row: &Row) -> Result<Token, StoreError> {
    let id: String = row.try_get(0)?;
    let wrong = |reason| unreadable("token", &id, reason);
    Ok(Token {
        authority: row.try_get::<String>(1)?.parse().map_err(wrong)?,
        name: row.try_get(2)?,
        roles: row
            .try_get::<String>(3)?
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(wrong)?,
        person: row.try_get::<Option<String>>(4)?.map(|person| person.parse()).transpose().map_err(wrong)?,
        made: Timestamp::from_micros(row.try_get(5)?),
        expires: Timestamp::from_micros(row.try_get(6)?),
        used: row.try_get::<Option<i64>>(7)?.map(Timestamp::from_micros),
        id,
    })
}

fn words(roles: &[AuthorityRole]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}
