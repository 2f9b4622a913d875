//! How devices come to a certificate: one-time tokens, those who wait for a person, makers that are trusted.

use super::issued::{Admission, NewCertificate};
use crate::{
    Decided, Page, Paging, Repository, StoreError, Transaction,
    database::{Row, query},
    repository::{count, seen, unreadable, whose},
};
use model::{AuthorityId, Timestamp};
use serde::Serialize;

/// The most tokens of an authority that were not used and are not over.
pub const MOST_ENROLMENT_TOKENS: usize = 10_000;
/// The most that wait in an authority for a person.
pub const MOST_WAITING: usize = 1_000;
/// The most that wait there from one place.
const OF_ONE_PLACE: i64 = 100;
/// Who has not asked again for so long, in seconds, waits no more.
const GIVEN_UP_SECS: i64 = 86_400;
/// The most makers that an authority trusts.
pub const MOST_MAKERS: usize = 200;

/// A one-time token that lets one device in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnrolmentToken {
    /// Names the token: the hash of its secret.
    pub id: String,
    /// Whose devices it lets in.
    pub authority: AuthorityId,
    /// What the device is called; what it calls itself does not count. Empty where that is left to it.
    pub name: String,
    /// By which profile its certificate is issued.
    pub profile: String,
    /// The asset that it is, where that is known already.
    pub asset: Option<String>,
    /// Since when.
    pub made: Timestamp,
    /// Until then.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

/// Where somebody who asked without proof stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentState {
    /// A person has to say.
    Waiting,
    /// A person said yes: the device fetches its certificate when it asks again.
    Approved,
    /// A person said no.
    Refused,
    /// It has its certificate.
    Issued,
}

impl EnrolmentState {
    /// All.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Approved, Self::Refused, Self::Issued];

    /// The word that is kept and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Issued => "issued",
        }
    }
}

/// Somebody who asked without proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnrolmentRecord {
    /// Made of the request: who asks again with the same is the same.
    pub id: String,
    /// Of which authority it was asked.
    pub authority: AuthorityId,
    /// What it calls itself.
    pub subject: String,
    /// By which profile its certificate would be issued.
    pub profile: String,
    /// SHA-256 of its public key, in hexadecimal: to be compared with what the device shows.
    pub key: String,
    /// The address it came from.
    pub place: String,
    /// When it asked first.
    pub asked: Timestamp,
    /// When it asked last.
    pub seen: Timestamp,
    /// Where it stands.
    pub state: EnrolmentState,
    /// The request in DER.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// A maker whose devices come with a certificate (IDevID, IEEE 802.1AR).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Maker {
    /// SHA-256 of its certificate, in hexadecimal.
    pub id: String,
    /// Who trusts it.
    pub authority: AuthorityId,
    /// What it is called.
    pub name: String,
    /// By which profile its devices are let in.
    pub profile: String,
    /// Since when.
    pub made: Timestamp,
    /// Its certificate in DER.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// Columns of a token, in the order that [`token`] reads.
macro_rules! token_columns {
    () => {
        "SELECT authority_id, hash, name, profile, asset, made, expires, used FROM enrolment_token "
    };
}

/// Columns of somebody who waits, in the order that [`record`] reads.
macro_rules! columns {
    () => {
        "SELECT authority_id, id, subject, profile, key, place, asked, seen, state, body FROM enrolment "
    };
}

impl Repository {
    /// Keeps a token of this authority. False where it has too many.
    ///
    /// # Errors
    /// [`StoreError`]; then it lets nobody in.
    pub async fn add_enrolment_token(
        &self,
        new: &EnrolmentToken,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, new) = (self.authority.clone(), new.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                let open = query(
                    "SELECT COUNT(*) FROM enrolment_token WHERE authority_id = $1 AND used IS NULL AND expires > $2",
                )
                .bind(authority.as_str())
                .bind(decided.at.micros())
                .fetch_one(&mut *transaction)
                .await?;
                if count(&open)? >= MOST_ENROLMENT_TOKENS as i64 {
                    return Ok(false);
                }
                query(
                    "INSERT INTO enrolment_token (authority_id, hash, name, profile, asset, made, expires) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(authority.as_str())
                .bind(&new.id)
                .bind(&new.name)
                .bind(&new.profile)
                .bind(&new.asset)
                .bind(new.made.micros())
                .bind(new.expires.micros())
                .execute(&mut *transaction)
                .await?;
                transaction.decide(&authority, &decided).await.map(|_| true)
            })
        })
        .await
    }

    /// Takes a token that was not used away. False where there is none.
    ///
    /// # Errors
    /// [`StoreError`]; then it is as it was.
    pub async fn remove_enrolment_token(&self, id: &str, decided: Decided) -> Result<bool, StoreError> {
        let gone =
            query("DELETE FROM enrolment_token WHERE authority_id = $1 AND hash = $2 AND used IS NULL")
                .bind(self.authority.as_str())
                .bind(id);
        self.decide_change(gone, decided).await
    }

    /// A token by its id, whosever it is.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; then it lets nobody in.
    pub async fn enrolment_token(&self, id: &str) -> Result<Option<EnrolmentToken>, StoreError> {
        let row = query(concat!(token_columns!(), "WHERE hash = $1"))
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(token).transpose()
    }

    /// The tokens of the authorities that are seen, the latest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn enrolment_tokens(&self, paging: Paging) -> Result<Page<EnrolmentToken>, StoreError> {
        let total = query(concat!("SELECT COUNT(*) FROM enrolment_token WHERE ", seen!()))
            .bind(self.sees())
            .fetch_one(self.readers())
            .await?;
        let rows = query(concat!(
            token_columns!(),
            "WHERE ",
            seen!(),
            " ORDER BY made DESC, hash LIMIT $2 OFFSET $3"
        ))
        .bind(self.sees())
        .bind(paging.limit())
        .bind(paging.offset())
        .fetch_all(self.readers())
        .await?;
        Ok(paging.page(rows.iter().map(token).collect::<Result<_, _>>()?, count(&total)?))
    }

    /// Somebody asks this authority without proof: keeps who it is, or says how they stand. Nothing where too many wait.
    ///
    /// # Errors
    /// [`StoreError`]; then they have to ask again.
    pub async fn ask_for_enrolment(
        &self,
        new: &EnrolmentRecord,
    ) -> Result<Option<EnrolmentState>, StoreError> {
        let (authority, new) = (self.authority.clone(), new.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                let known = query(concat!(columns!(), "WHERE authority_id = $1 AND id = $2"))
                    .bind(authority.as_str())
                    .bind(&new.id)
                    .fetch_optional(&mut *transaction)
                    .await?;
                if let Some(row) = known {
                    let known = record(&row)?;
                    // How long ago it asked need not be known to the second.
                    if new.seen.seconds_since(known.seen).abs() < 60.0 && known.place == new.place {
                        return Ok(Some(known.state));
                    }
                    query("UPDATE enrolment SET seen = $3, place = $4 WHERE authority_id = $1 AND id = $2")
                        .bind(authority.as_str())
                        .bind(&new.id)
                        .bind(new.seen.micros())
                        .bind(&new.place)
                        .execute(&mut *transaction)
                        .await?;
                    return Ok(Some(known.state));
                }
                query("DELETE FROM enrolment WHERE authority_id = $1 AND state = 'waiting' AND seen < $2")
                    .bind(authority.as_str())
                    .bind(new.seen.plus_secs(-GIVEN_UP_SECS).micros())
                    .execute(&mut *transaction)
                    .await?;
                let waiting = query(
                    "SELECT COUNT(*), COUNT(CASE WHEN place = $2 THEN 1 END) FROM enrolment \
                     WHERE authority_id = $1 AND state = 'waiting'",
                )
                .bind(authority.as_str())
                .bind(&new.place)
                .fetch_one(&mut *transaction)
                .await?;
                if count(&waiting)? >= MOST_WAITING as i64 || waiting.try_get::<i64>(1)? >= OF_ONE_PLACE {
                    return Ok(None);
                }
                query(
                    "INSERT INTO enrolment (authority_id, id, subject, profile, key, place, asked, seen, state, body) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 'waiting', $8)",
                )
                .bind(authority.as_str())
                .bind(&new.id)
                .bind(&new.subject)
                .bind(&new.profile)
                .bind(&new.key)
                .bind(&new.place)
                .bind(new.seen.micros())
                .bind(new.body)
                .execute(&mut *transaction)
                .await?;
                Ok(Some(EnrolmentState::Waiting))
            })
        })
        .await
    }

    /// A person says yes or no to somebody who waits. False where they do not wait.
    ///
    /// # Errors
    /// [`StoreError`]; then they wait on.
    pub async fn judge_enrolment(&self, id: &str, yes: bool, decided: Decided) -> Result<bool, StoreError> {
        let state = if yes { EnrolmentState::Approved } else { EnrolmentState::Refused };
        let change = query(
            "UPDATE enrolment SET state = $3 WHERE authority_id = $1 AND id = $2 AND state = 'waiting'",
        )
        .bind(self.authority.as_str())
        .bind(id)
        .bind(state.as_str());
        self.decide_change(change, decided).await
    }

    /// Somebody who asked this authority.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn enrolment(&self, id: &str) -> Result<Option<EnrolmentRecord>, StoreError> {
        let row = query(concat!(columns!(), "WHERE authority_id = $1 AND id = $2"))
            .bind(self.authority.as_str())
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// Those who asked the authorities that are seen, in one state where it is given; the latest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn enrolments(
        &self,
        state: Option<EnrolmentState>,
        paging: Paging,
    ) -> Result<Page<EnrolmentRecord>, StoreError> {
        let state = state.map(EnrolmentState::as_str);
        let total = query(concat!(
            "SELECT COUNT(*) FROM enrolment WHERE ",
            seen!(),
            " AND ($2 IS NULL OR state = $2)"
        ))
        .bind(self.sees())
        .bind(state)
        .fetch_one(self.readers())
        .await?;
        let rows = query(concat!(
            columns!(),
            "WHERE ",
            seen!(),
            " AND ($2 IS NULL OR state = $2) ORDER BY asked DESC, id LIMIT $3 OFFSET $4"
        ))
        .bind(self.sees())
        .bind(state)
        .bind(paging.limit())
        .bind(paging.offset())
        .fetch_all(self.readers())
        .await?;
        Ok(paging.page(rows.iter().map(record).collect::<Result<_, _>>()?, count(&total)?))
    }

    /// Trusts a maker from now on, or under another name and profile. False where the authority trusts too many.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub async fn add_maker(&self, new: &Maker, decided: Decided) -> Result<bool, StoreError> {
        let (authority, new) = (self.authority.clone(), new.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                let others = query("SELECT COUNT(*) FROM maker WHERE authority_id = $1 AND id <> $2")
                    .bind(authority.as_str())
                    .bind(&new.id)
                    .fetch_one(&mut *transaction)
                    .await?;
                if count(&others)? >= MOST_MAKERS as i64 {
                    return Ok(false);
                }
                query(
                    "INSERT INTO maker (authority_id, id, name, profile, made, body) VALUES ($1, $2, $3, $4, $5, $6) \
                     ON CONFLICT (authority_id, id) DO UPDATE SET name = $3, profile = $4",
                )
                .bind(authority.as_str())
                .bind(&new.id)
                .bind(&new.name)
                .bind(&new.profile)
                .bind(new.made.micros())
                .bind(new.body)
                .execute(&mut *transaction)
                .await?;
                transaction.decide(&authority, &decided).await.map(|_| true)
            })
        })
        .await
    }

    /// Trusts a maker no longer. False where it was not trusted.
    ///
    /// # Errors
    /// [`StoreError`]; then it is still trusted.
    pub async fn remove_maker(&self, id: &str, decided: Decided) -> Result<bool, StoreError> {
        let gone = query("DELETE FROM maker WHERE authority_id = $1 AND id = $2")
            .bind(self.authority.as_str())
            .bind(id);
        self.decide_change(gone, decided).await
    }

    /// The makers that the authorities which are seen trust.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn makers(&self) -> Result<Vec<Maker>, StoreError> {
        let rows = query(concat!(
            "SELECT authority_id, id, name, profile, made, body FROM maker WHERE ",
            seen!(),
            " ORDER BY authority_id, name, id LIMIT $2"
        ))
        .bind(self.sees())
        .bind(MOST_MAKERS as i64)
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(maker).collect()
    }
}

/// Whether the ground still stands; it is used up.
pub(super) async fn admits(
    transaction: &mut Transaction,
    whose: &str,
    new: &NewCertificate,
    on: &Admission,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let now = now.micros();
    let statement = match on {
        Admission::Program => return Ok(true),
        Admission::Token(hash) => query(
            "UPDATE enrolment_token SET used = $3, key = $4 WHERE authority_id = $1 AND hash = $2 AND used IS NULL \
             AND expires > $3 AND (asset IS NULL OR asset = $5) RETURNING hash",
        )
        .bind(whose)
        .bind(hash)
        .bind(now)
        .bind(&new.key)
        .bind(&new.asset),
        Admission::Approval(id) => query(
            "UPDATE enrolment SET state = 'issued', asset = $4 WHERE authority_id = $1 AND id = $2 AND state = 'approved' \
             AND key = $3 RETURNING id",
        )
        .bind(whose)
        .bind(id)
        .bind(&new.key)
        .bind(&new.asset),
        Admission::Maker(id) => query("SELECT id FROM maker WHERE authority_id = $1 AND id = $2").bind(whose).bind(id),
        Admission::Renewal(fingerprint) => query(
            "SELECT serial FROM certificate WHERE authority_id = $1 AND fingerprint = $2 AND asset = $3 \
             AND state = 'good' AND ends > $4",
        )
        .bind(whose)
        .bind(fingerprint)
        .bind(&new.asset)
        .bind(now),
    };
    Ok(statement.fetch_optional(transaction).await?.is_some())
}

/// Takes away what an asset could be let in by.
pub(super) async fn forget(
    transaction: &mut Transaction,
    whose: &str,
    asset: &str,
) -> Result<(), StoreError> {
    query("DELETE FROM enrolment_token WHERE authority_id = $1 AND asset = $2 AND used IS NULL")
        .bind(whose)
        .bind(asset)
        .execute(transaction)
        .await
        .map(drop)
}

fn token(row: &Row) -> Result<EnrolmentToken, StoreError> {
    let id: String = row.try_get(1)?;
    Ok(EnrolmentToken {
        authority: whose("enrolment_token", &id, row, 0)?,
        name: row.try_get(2)?,
        profile: row.try_get(3)?,
        asset: row.try_get(4)?,
        made: Timestamp::from_micros(row.try_get(5)?),
        expires: Timestamp::from_micros(row.try_get(6)?),
        used: row.try_get::<Option<i64>>(7)?.map(Timestamp::from_micros),
        id,
    })
}

fn record(row: &Row) -> Result<EnrolmentRecord, StoreError> {
    let id: String = row.try_get(1)?;
    let state: String = row.try_get(8)?;
    let known = EnrolmentState::ALL.into_iter().find(|known| known.as_str() == state);
    Ok(EnrolmentRecord {
        authority: whose("enrolment", &id, row, 0)?,
        subject: row.try_get(2)?,
        profile: row.try_get(3)?,
        key: row.try_get(4)?,
        place: row.try_get(5)?,
        asked: Timestamp::from_micros(row.try_get(6)?),
        seen: Timestamp::from_micros(row.try_get(7)?),
        state: known.ok_or_else(|| unreadable("enrolment", &id, format!("the state {state:?}")))?,
        body: row.try_get(9)?,
        id,
    })
}

fn maker(row: &Row) -> Result<Maker, StoreError> {
    let id: String = row.try_get(1)?;
    Ok(Maker {
        authority: whose("maker", &id, row, 0)?,
        name: row.try_get(2)?,
        profile: row.try_get(3)?,
        made: Timestamp::from_micros(row.try_get(4)?),
        body: row.try_get(5)?,
        id,
    })
}
