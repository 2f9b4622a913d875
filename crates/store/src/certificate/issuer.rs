//! Those who issue: roots and the authorities' own, with their keys as they are kept.

use super::{
    fitting,
    issued::{self, NewCertificate},
};
use crate::{
    Decided, Repository, StoreError, Transaction,
    database::{Row, query},
    repository::{unreadable, whose},
};
use model::{AuthorityId, Timestamp};

/// Whether an issuer issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerState {
    /// The top: it issues those of authorities, and nothing else.
    Root,
    /// It issues what its authority gives out.
    Active,
    /// Another took its place: it still says what of its own is revoked.
    Retired,
    /// Somebody else's, above one of ours: only its certificate is here.
    Foreign,
}

impl IssuerState {
    const ALL: [Self; 4] = [Self::Root, Self::Active, Self::Retired, Self::Foreign];

    /// The word that is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Foreign => "foreign",
        }
    }
}

/// Where the private key of an issuer is.
#[derive(Clone, PartialEq, Eq)]
pub enum IssuerKey {
    /// Here, as encrypted PKCS #8 in PEM.
    Sealed(String),
    /// On a token, at this URI (RFC 7512).
    At(String),
    /// Elsewhere: it signs nothing here.
    Away,
}

impl IssuerKey {
    /// The scheme by which a place is told from a key.
    const SCHEME: &str = "pkcs11:";

    pub(super) fn kept(&self) -> Option<&str> {
        match self {
            Self::Sealed(text) | Self::At(text) => Some(text),
            Self::Away => None,
        }
    }

    pub(super) fn of(kept: Option<String>) -> Self {
        match kept {
            None => Self::Away,
            Some(place) if place.starts_with(Self::SCHEME) => Self::At(place),
            Some(pem) => Self::Sealed(pem),
        }
    }
}

/// An issuer as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerRecord {
    /// Names it in addresses: 32 hexadecimal digits of its certificate's hash.
    pub id: String,
    /// Whose.
    pub authority: AuthorityId,
    /// Who issued it; unset for a root.
    pub parent: Option<String>,
    /// Its subject, in words.
    pub name: String,
    /// Its certificate in DER.
    pub certificate: Vec<u8>,
    /// Where its private key is.
    pub key: IssuerKey,
    /// Within what it issues, as JSON.
    pub bounds: String,
    /// From when it is good.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// Whether it issues.
    pub state: IssuerState,
    /// The number of its revocation list.
    pub number: u64,
    /// The number on which deltas build.
    pub base: u64,
    /// When that list came to be.
    pub changed: Timestamp,
}

impl std::fmt::Debug for IssuerRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerRecord")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Columns of an issuer, in the order that [`record`] reads.
macro_rules! columns {
    () => {
        "SELECT authority_id, id, parent, name, body, key, bounds, begins, ends, state, number, base, changed FROM issuer "
    };
}

impl Repository {
    /// Keeps a new issuer of this authority. The active one before it, where there is one, retires. False where `instead_of`
    /// is not the one that is in its place now: somebody else was faster. `certificate` is how its parent keeps it.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub async fn add_issuer(
        &self,
        new: &IssuerRecord,
        instead_of: Option<&str>,
        certificate: Option<NewCertificate>,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, new, instead_of) =
            (self.authority.clone(), new.clone(), instead_of.map(str::to_owned));
        self.write(move |transaction| {
            Box::pin(async move {
                let before = query("SELECT id FROM issuer WHERE authority_id = $1 AND state = $2")
                    .bind(authority.as_str())
                    .bind(new.state.as_str())
                    .fetch_optional(&mut *transaction)
                    .await?;
                if before.map(|row| row.try_get::<String>(0)).transpose()? != instead_of {
                    return Ok(false);
                }
                query("UPDATE issuer SET state = 'retired' WHERE authority_id = $1 AND state = $2")
                    .bind(authority.as_str())
                    .bind(new.state.as_str())
                    .execute(&mut *transaction)
                    .await?;
                insert(transaction, authority.as_str(), new).await?;
                if let Some(certificate) = certificate {
                    issued::keep(transaction, authority.as_str(), certificate, decided.at).await?;
                }
                transaction.decide(&authority, &decided).await.map(|_| true)
            })
        })
        .await
    }

    /// One issuer, whosever it is: who meets its certificates asks by its id.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn issuer(&self, id: &str) -> Result<Option<IssuerRecord>, StoreError> {
        let row = query(concat!(columns!(), "WHERE id = $1")).bind(id).fetch_optional(self.readers()).await?;
        row.as_ref().map(record).transpose()
    }

    /// The issuer in this state of this authority; of retired ones the latest.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn issuer_in(&self, state: IssuerState) -> Result<Option<IssuerRecord>, StoreError> {
        let row =
            query(concat!(columns!(), "WHERE authority_id = $1 AND state = $2 ORDER BY begins DESC LIMIT 1"))
                .bind(self.authority.as_str())
                .bind(state.as_str())
                .fetch_optional(self.readers())
                .await?;
        row.as_ref().map(record).transpose()
    }

    /// All roots, whosever they are, those that issue first: everybody trusts them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn roots(&self) -> Result<Vec<IssuerRecord>, StoreError> {
        let rows =
            query(concat!(columns!(), "WHERE parent IS NULL ORDER BY state DESC, begins DESC LIMIT 16"))
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(record).collect()
    }

    /// The issuers of this authority, the latest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn issuers(&self) -> Result<Vec<IssuerRecord>, StoreError> {
        let rows = query(concat!(columns!(), "WHERE authority_id = $1 ORDER BY begins DESC, id LIMIT 64"))
            .bind(self.authority.as_str())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(record).collect()
    }

    /// A number that changes whenever anything is revoked or taken back, whosever it is.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn revocations(&self) -> Result<u64, StoreError> {
        let row = query("SELECT CAST(COALESCE(SUM(number), 0) AS BIGINT) FROM issuer")
            .fetch_one(self.readers())
            .await?;
        Ok(row.try_get::<i64>(0)?.unsigned_abs())
    }

    /// Renews the revocation list of an issuer whose list is older than `before`, or from a clock that was ahead, so that it never runs out: deltas build on
    /// it from then on. Whether it was renewed.
    ///
    /// # Errors
    /// [`StoreError`]; then it is as it was.
    pub async fn renew_list(&self, id: &str, before: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |transaction| {
            Box::pin(async move {
                let changed = query(
                    "UPDATE issuer SET base = number, number = number + 1, changed = $3 WHERE id = $1 AND (changed < $2 OR changed > $3)",
                )
                .bind(&id)
                .bind(before.micros())
                .bind(now.micros())
                .execute(transaction)
                .await?;
                Ok(changed > 0)
            })
        })
        .await
    }
}

pub(super) async fn insert(
    transaction: &mut Transaction,
    authority: &str,
    new: IssuerRecord,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO issuer (authority_id, id, parent, name, body, key, bounds, begins, ends, state, number, base, changed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(authority)
    .bind(&new.id)
    .bind(&new.parent)
    .bind(&new.name)
    .bind(new.certificate)
    .bind(new.key.kept())
    .bind(&new.bounds)
    .bind(new.begins.micros())
    .bind(new.ends.micros())
    .bind(new.state.as_str())
    .bind(fitting(new.number))
    .bind(fitting(new.base))
    .bind(new.changed.micros())
    .execute(transaction)
    .await?;
    Ok(())
}

fn record(row: &Row) -> Result<IssuerRecord, StoreError> {
    let id: String = row.try_get(1)?;
    let moment = |column| Ok::<_, StoreError>(Timestamp::from_micros(row.try_get(column)?));
    let number = |column| Ok::<_, StoreError>(row.try_get::<i64>(column)?.unsigned_abs());
    let state: String = row.try_get(9)?;
    let known = IssuerState::ALL.into_iter().find(|known| known.as_str() == state);
    Ok(IssuerRecord {
        authority: whose("issuer", &id, row, 0)?,
        parent: row.try_get(2)?,
        name: row.try_get(3)?,
        certificate: row.try_get(4)?,
        key: IssuerKey::of(row.try_get(5)?),
        bounds: row.try_get(6)?,
        begins: moment(7)?,
        ends: moment(8)?,
        state: known.ok_or_else(|| unreadable("issuer", &id, format!("the state {state:?}")))?,
        number: number(10)?,
        base: number(11)?,
        changed: moment(12)?,
        id,
    })
}
