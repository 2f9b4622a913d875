//! Issuers whose key is away, or whose certificate comes from somebody else.

use super::{
    IssuerKey, IssuerRecord,
    issued::{self, NewCertificate},
    issuer::insert,
};
use crate::{Decided, Repository, StoreError, database::query};
use model::Timestamp;

/// A key that waits for somebody else to certify it.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerRequest {
    /// Made of the request.
    pub id: String,
    /// Where the private key is.
    pub key: IssuerKey,
    /// Since when.
    pub made: Timestamp,
    /// The request in DER.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for IssuerRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerRequest").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Repository {
    /// Changes where the key of one of this authority's issuers is; `list` is what is shown while it is away. False where it is
    /// not `before` any more.
    ///
    /// # Errors
    /// [`StoreError`]; then it is where it was.
    pub async fn move_issuer_key(
        &self,
        id: &str,
        (before, now): (&IssuerKey, &IssuerKey),
        list: Option<Vec<u8>>,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, id) = (self.authority.clone(), id.to_owned());
        let (before, now) = (before.clone(), now.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                // The number of the next list is higher than that of this one, whoever signs it.
                let changed = query(
                    "UPDATE issuer SET key = $3, list = $4, base = number, number = number + 1, changed = $6 \
                     WHERE authority_id = $1 AND id = $2 AND COALESCE(key, '') = $5",
                )
                .bind(authority.as_str())
                .bind(&id)
                .bind(now.kept())
                .bind(list)
                .bind(before.kept().unwrap_or_default())
                .bind(decided.at.micros())
                .execute(&mut *transaction)
                .await?;
                if changed == 0 {
                    return Ok(false);
                }
                transaction.decide(&authority, &decided).await.map(|_| true)
            })
        })
        .await
    }

    /// The list of an issuer whose key is away, in DER; nothing where none was kept.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn kept_list(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = query("SELECT list FROM issuer WHERE id = $1 AND key IS NULL")
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        Ok(row.map(|row| row.try_get::<Option<Vec<u8>>>(0)).transpose()?.flatten())
    }

    /// Keeps a list that was signed elsewhere, with its number. False where the key is here, or there is a list with a number
    /// that is not lower.
    ///
    /// # Errors
    /// [`StoreError`]; then the list before holds.
    pub async fn keep_list(
        &self,
        id: &str,
        (number, list): (u64, Vec<u8>),
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, id) = (self.authority.clone(), id.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let changed = query(
                    "UPDATE issuer SET list = $3, base = $4, number = $4 WHERE authority_id = $1 AND id = $2 \
                     AND key IS NULL AND number <= $4",
                )
                .bind(authority.as_str())
                .bind(&id)
                .bind(list)
                .bind(super::fitting(number))
                .execute(&mut *transaction)
                .await?;
                if changed == 0 {
                    return Ok(false);
                }
                transaction.decide(&authority, &decided).await.map(|_| true)
            })
        })
        .await
    }

    /// When the last of those ends whom this issuer certified as issuers; nothing where it certified none.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn last_below(&self, id: &str) -> Result<Option<Timestamp>, StoreError> {
        let row = query("SELECT MAX(ends) FROM issuer WHERE parent = $1")
            .bind(id)
            .fetch_one(self.readers())
            .await?;
        Ok(row.try_get::<Option<i64>>(0)?.map(Timestamp::from_micros))
    }

    /// The key of this authority that waits for somebody else to certify it.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn issuer_request(&self) -> Result<Option<IssuerRequest>, StoreError> {
        let row = query("SELECT id, key, made, body FROM issuer_request WHERE authority_id = $1 ORDER BY made DESC LIMIT 1")
            .bind(self.authority.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| {
            let made = Timestamp::from_micros(row.try_get(2)?);
            Ok(IssuerRequest {
                id: row.try_get(0)?,
                key: IssuerKey::of(row.try_get(1)?),
                made,
                body: row.try_get(3)?,
            })
        })
        .transpose()
    }

    /// Keeps a key that is to be certified elsewhere; it takes the place of the one before it.
    ///
    /// # Errors
    /// [`StoreError`]; then the one before it waits.
    pub async fn add_issuer_request(&self, new: &IssuerRequest, decided: Decided) -> Result<(), StoreError> {
        let (authority, new) = (self.authority.clone(), new.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                query("DELETE FROM issuer_request WHERE authority_id = $1")
                    .bind(authority.as_str())
                    .execute(&mut *transaction)
                    .await?;
                query("INSERT INTO issuer_request (authority_id, id, key, made, body) VALUES ($1, $2, $3, $4, $5)")
                    .bind(authority.as_str())
                    .bind(&new.id)
                    .bind(new.key.kept())
                    .bind(new.made.micros())
                    .bind(new.body)
                    .execute(&mut *transaction)
                    .await?;
                transaction.decide(&authority, &decided).await.map(|_| ())
            })
        })
        .await
    }

    /// Keeps an issuer that somebody else certified, with those above it, the root last; those that are known already stay. It takes
    /// the place of the active one, and what waited for it waits no more. `certificate` is how a root of this node keeps it. False where it is known already.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub async fn import_issuer(
        &self,
        own: IssuerRecord,
        above: Vec<IssuerRecord>,
        certificate: Option<NewCertificate>,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let known = async |transaction: &mut crate::Transaction, id: &str| {
                    let row = query("SELECT 1 FROM issuer WHERE id = $1")
                        .bind(id)
                        .fetch_optional(transaction)
                        .await?;
                    Ok::<_, StoreError>(row.is_some())
                };
                if known(&mut *transaction, &own.id).await? {
                    return Ok(false);
                }
                for one in above.into_iter().rev() {
                    if !known(&mut *transaction, &one.id).await? {
                        insert(transaction, authority.as_str(), one).await?;
                    }
                }
                query("UPDATE issuer SET state = 'retired' WHERE authority_id = $1 AND state = 'active'")
                    .bind(authority.as_str())
                    .execute(&mut *transaction)
                    .await?;
                // Only the one that this is the answer to waits no more.
                query("DELETE FROM issuer_request WHERE authority_id = $1 AND key = $2")
                    .bind(authority.as_str())
                    .bind(own.key.kept())
                    .execute(&mut *transaction)
                    .await?;
                insert(transaction, authority.as_str(), own).await?;
                if let Some(certificate) = certificate {
                    issued::keep(transaction, authority.as_str(), certificate, decided.at).await?;
                }
                transaction.decide(&authority, &decided).await.map(|_| true)
            })
        })
        .await
    }
}
