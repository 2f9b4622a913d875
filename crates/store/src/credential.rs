//! What proves who somebody is: passwords, second factors, passkeys, recovery codes, identities at a provider.
//!
//! Guarantees: what is kept opens nothing by itself (hashes, public keys, texts sealed with a key that is not here); what is
//! good once is taken once, also by two requests at the same moment.

use crate::{
    Decided, Repository, StoreError, Transaction,
    database::{Row, query},
    repository::unreadable,
};
use model::{AuthorityId, PersonId, Timestamp};

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialKind {
    /// A WebAuthn credential.
    Passkey,
    /// The hash of a password; one at most.
    Password,
    /// The shared secret of one-time codes; one at most.
    Totp,
    /// The hash of a recovery code.
    Recovery,
    /// Issuer and subject at an identity provider.
    Identity,
}

impl CredentialKind {
    /// All.
    pub const ALL: [Self; 5] = [Self::Passkey, Self::Password, Self::Totp, Self::Recovery, Self::Identity];

    /// The word that is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Recovery => "recovery",
            Self::Identity => "identity",
        }
    }
}

/// Something that proves who somebody is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id, unique in the database: `crd-` and 32 hexadecimal digits, or what is looked up by.
    pub id: String,
    /// What it is.
    pub kind: CredentialKind,
    /// What its owner calls it.
    pub label: String,
    /// What is compared.
    pub body: String,
    /// Since when.
    pub made: Timestamp,
    /// When it was last used; for one-time codes the moment that the last one was for.
    pub used: Option<Timestamp>,
}

impl Credential {
    /// Whether it is an identity at the provider of this authority.
    #[must_use]
    pub fn is_identity_at(&self, authority: &AuthorityId) -> bool {
        self.kind == CredentialKind::Identity && self.body == authority.as_str()
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("kind", &self.kind)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// The most credentials that somebody has.
pub const MOST_CREDENTIALS: usize = 60;

impl Repository {
    /// Everything that proves who somebody is, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; then nothing proves it.
    pub async fn credentials(&self, person: &PersonId) -> Result<Vec<Credential>, StoreError> {
        let rows = query(
            "SELECT id, kind, label, body, made, used FROM credential WHERE person = $1 ORDER BY made, id LIMIT $2",
        )
        .bind(person.as_str())
        .bind(MOST_CREDENTIALS as i64)
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(record).collect()
    }

    /// Whose credential of a kind has this id, in whatever authority: identities at a provider are found by theirs.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn whose_credential(
        &self,
        kind: CredentialKind,
        id: &str,
    ) -> Result<Option<PersonId>, StoreError> {
        let row = query("SELECT person FROM credential WHERE id = $1 AND kind = $2")
            .bind(id)
            .bind(kind.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| {
            let person: String = row.try_get(0)?;
            person.parse().map_err(|reason| unreadable("credential", id, reason))
        })
        .transpose()
    }

    /// Gives somebody of this authority credentials. Those of a kind of which one has one at most, and recovery codes, take the
    /// place of those before. False where they would be too many or one is known already.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub async fn add_credentials(
        &self,
        person: &PersonId,
        new: Vec<Credential>,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, person) = (self.authority.clone(), person.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                let replaced = |kind| {
                    !matches!(kind, CredentialKind::Passkey | CredentialKind::Identity)
                        && new.iter().any(|credential| credential.kind == kind)
                };
                let rows = query("SELECT id, kind FROM credential WHERE person = $1")
                    .bind(person.as_str())
                    .fetch_all(&mut *transaction)
                    .await?;
                let mut stay = 0;
                for row in &rows {
                    let kind: String = row.try_get(1)?;
                    stay += usize::from(
                        !CredentialKind::ALL
                            .into_iter()
                            .any(|known| known.as_str() == kind && replaced(known)),
                    );
                }
                for credential in &new {
                    let known = query("SELECT 1 FROM credential WHERE id = $1").bind(&credential.id);
                    if known.fetch_optional(&mut *transaction).await?.is_some() {
                        return Ok(false);
                    }
                }
                if stay + new.len() > MOST_CREDENTIALS {
                    return Ok(false);
                }
                for kind in CredentialKind::ALL.into_iter().filter(|kind| replaced(*kind)) {
                    query("DELETE FROM credential WHERE person = $1 AND kind = $2")
                        .bind(person.as_str())
                        .bind(kind.as_str())
                        .execute(&mut *transaction)
                        .await?;
                }
                for credential in &new {
                    insert(transaction, &authority, &person, credential).await?;
                }
                transaction.decide(&authority, &decided).await.map(|_| true)
            })
        })
        .await
    }

    /// Takes a credential from somebody. False where they do not have it.
    ///
    /// # Errors
    /// [`StoreError`]; then it is good.
    pub async fn remove_credential(
        &self,
        person: &PersonId,
        id: &str,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let gone =
            query("DELETE FROM credential WHERE person = $1 AND id = $2").bind(person.as_str()).bind(id);
        self.decide_change(gone, decided).await
    }

    /// Notes that a credential was used at `moment`, with its new body where it has one. False where it was used at or after
    /// that moment, or is gone: then it proves nothing.
    ///
    /// # Errors
    /// [`StoreError`]; then it proves nothing.
    pub async fn use_credential(
        &self,
        id: &str,
        moment: Timestamp,
        body: Option<String>,
    ) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |transaction| {
            Box::pin(async move {
                let used = query(
                    "UPDATE credential SET used = $2, body = COALESCE($3, body) \
                     WHERE id = $1 AND (used IS NULL OR used < $2)",
                )
                .bind(&id)
                .bind(moment.micros())
                .bind(&body)
                .execute(transaction)
                .await?;
                Ok(used > 0)
            })
        })
        .await
    }

    /// Takes a recovery code: it is gone with this. False where it was none.
    ///
    /// # Errors
    /// [`StoreError`]; then it proves nothing.
    pub async fn take_recovery_code(&self, person: &PersonId, hash: &str) -> Result<bool, StoreError> {
        let (person, hash) = (person.clone(), hash.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let gone =
                    query("DELETE FROM credential WHERE person = $1 AND kind = 'recovery' AND body = $2")
                        .bind(person.as_str())
                        .bind(&hash)
                        .execute(transaction)
                        .await?;
                Ok(gone > 0)
            })
        })
        .await
    }
}

pub(crate) async fn insert(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    person: &PersonId,
    credential: &Credential,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO credential (authority_id, id, person, kind, label, body, made, used) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(authority.as_str())
    .bind(&credential.id)
    .bind(person.as_str())
    .bind(credential.kind.as_str())
    .bind(&credential.label)
    .bind(&credential.body)
    .bind(credential.made.micros())
    .bind(credential.used.map(Timestamp::micros))
    .execute(transaction)
    .await
    .map(drop)
}

fn record(row: &Row) -> Result<Credential, StoreError> {
    let id: String = row.try_get(0)?;
    let kind: String = row.try_get(1)?;
    let kind = CredentialKind::ALL
        .into_iter()
        .find(|known| known.as_str() == kind)
        .ok_or_else(|| unreadable("credential", &id, format!("no kind of credential is called {kind:?}")))?;
    Ok(Credential {
        id,
        kind,
        label: row.try_get(2)?,
        body: row.try_get(3)?,
        made: Timestamp::from_micros(row.try_get(4)?),
        used: row.try_get::<Option<i64>>(5)?.map(Timestamp::from_micros),
    })
}
