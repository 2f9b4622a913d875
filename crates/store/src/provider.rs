//! The identity provider of an authority: what is kept of it, for whom it vouches, and who signs in with it.
//!
//! Guarantees: a provider vouches only for people who are wholly its authority's, at home there or below and with every
//! role held there or below; that is looked at in the transaction that binds an identity or opens a session, so that a
//! role given meanwhile counts. A provider that is taken away, or becomes another, takes its sessions and the
//! identities bound by it along. Each change is a leaf in the same transaction.

use crate::{
    Credential, CredentialKind, Decided, MOST_CREDENTIALS, NewSession, Person, Repository, StoreError,
    Transaction, access, credential,
    database::{Row, query},
    person::{self, stands_below},
    repository::{count, unreadable},
};
use ledger::Salt;
use model::{AuthorityId, PersonId, Timestamp};
use serde::{Deserialize, Serialize};

/// An authority's identity provider.
#[derive(Clone, PartialEq, Eq)]
pub struct Provider {
    /// Whose.
    pub authority: AuthorityId,
    /// What stands on the button.
    pub name: String,
    /// Its address, as it names itself.
    pub issuer: String,
    /// What it knows this node as.
    pub client: String,
    /// What this node shows it, sealed.
    pub secret: String,
    /// The certificates that are trusted for it, as PEM; unset where those of the system are.
    pub ca: Option<String>,
    /// By what somebody invited is recognised when they first come with it.
    pub recognises: Recognises,
    /// Since when it is as it is.
    pub changed: Timestamp,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("authority", &self.authority)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// By what an administrator lets a provider recognise somebody who was invited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recognises {
    /// By nothing: everybody connects themselves.
    #[default]
    None,
    /// The claim `preferred_username` is their login.
    PreferredUsername,
    /// The claim `email` is their login, and the provider has verified it.
    Email,
}

impl Recognises {
    /// All.
    pub const ALL: [Self; 3] = [Self::None, Self::PreferredUsername, Self::Email];

    /// The word that is kept and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PreferredUsername => "preferred_username",
            Self::Email => "email",
        }
    }
}

impl std::str::FromStr for Recognises {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| {
            format!(
                "expected none, preferred_username or email; found {:?}",
                text.chars().take(40).collect::<String>()
            )
        })
    }
}

/// Who says who somebody is, and by which credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouching {
    /// Whose provider.
    pub authority: AuthorityId,
    /// As it is since then.
    pub changed: Timestamp,
    /// The identity that is bound.
    pub credential: String,
}

/// What came of a session that a provider vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// It is open.
    Opened,
    /// The provider, the identity or the person is gone meanwhile, or the person is suspended.
    Gone,
    /// The person is not wholly that authority's.
    NotTheirs,
}

/// What came of binding an identity to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It is bound.
    Done,
    /// It is somebody's already, or they have too many, or are recognised only once.
    Taken,
    /// The provider or the person is gone meanwhile, or the person is suspended.
    Gone,
    /// The person is not wholly that authority's.
    NotTheirs,
}

/// The most identity providers that a node serves: each is a button on its sign-in page.
pub const MOST_PROVIDERS: usize = 200;

/// Columns of a provider, in the order that [`record`] reads.
macro_rules! columns {
    () => {
        "SELECT authority_id, name, issuer, client, secret, ca, recognises, changed FROM provider "
    };
}

impl Repository {
    /// The identity provider of this authority.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn provider(&self) -> Result<Option<Provider>, StoreError> {
        let row = query(concat!(columns!(), "WHERE authority_id = $1"))
            .bind(self.authority.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| record(&row)).transpose()
    }

    /// All identity providers, whosever they are: the sign-in page shows them to everybody.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn providers(&self) -> Result<Vec<Provider>, StoreError> {
        let rows = query(concat!(columns!(), "ORDER BY name, authority_id LIMIT $1"))
            .bind(MOST_PROVIDERS as i64)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(record).collect()
    }

    /// Sets up the identity provider of this authority. Under another issuer it is another provider: sessions begun with
    /// the one before end, and its identities are gone. False where the node has too many.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub async fn set_provider(&self, new: &Provider, decided: Decided) -> Result<bool, StoreError> {
        let (authority, new) = (self.authority.clone(), new.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                let before = query("SELECT issuer, changed FROM provider WHERE authority_id = $1")
                    .bind(authority.as_str())
                    .fetch_optional(&mut *transaction)
                    .await?;
                let mut changed = new.changed.micros();
                match before {
                    Some(row) => {
                        // Tells what was before from what is now, also where the clock was put back.
                        changed = changed.max(row.try_get::<i64>(1)?.saturating_add(1));
                        if row.try_get::<String>(0)? != new.issuer {
                            forget(transaction, &authority).await?;
                        }
                    }
                    None => {
                        let all = query("SELECT COUNT(*) FROM provider").fetch_one(&mut *transaction).await?;
                        if count(&all)? >= MOST_PROVIDERS as i64 {
                            return Ok(false);
                        }
                    }
                }
                query(
                    "INSERT INTO provider (authority_id, name, issuer, client, secret, ca, recognises, changed) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (authority_id) DO UPDATE SET \
                     name = $2, issuer = $3, client = $4, secret = $5, ca = $6, recognises = $7, changed = $8",
                )
                .bind(authority.as_str())
                .bind(&new.name)
                .bind(&new.issuer)
                .bind(&new.client)
                .bind(&new.secret)
                .bind(&new.ca)
                .bind(new.recognises.as_str())
                .bind(changed)
                .execute(&mut *transaction)
                .await?;
                transaction.decide(&authority, &decided).await.map(|_| true)
            })
        })
        .await
    }

    /// Takes the identity provider of this authority away, with the sessions begun with it and its identities. False where
    /// it has none.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub async fn remove_provider(&self, decided: Decided) -> Result<bool, StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let gone = query("DELETE FROM provider WHERE authority_id = $1")
                    .bind(authority.as_str())
                    .execute(&mut *transaction)
                    .await?;
                if gone > 0 {
                    forget(transaction, &authority).await?;
                    transaction.decide(&authority, &decided).await?;
                }
                Ok(gone > 0)
            })
        })
        .await
    }

    /// Binds an identity at this authority's provider, as it is since `by`, to somebody. `first`: the provider recognised
    /// them, which it does for whoever has nothing yet by which they sign in.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not bound.
    pub async fn bind_identity(
        &self,
        person: &PersonId,
        identity: Credential,
        by: Timestamp,
        first: bool,
        decided: Decided,
    ) -> Result<Bound, StoreError> {
        let (authority, person) = (self.authority.clone(), person.clone());
        let identity = Credential { kind: CredentialKind::Identity, body: authority.to_string(), ..identity };
        self.write(move |transaction| {
            Box::pin(async move {
                let known = is_still(transaction, &authority, by).await?;
                let Some(who) = person::active(transaction, person.as_str()).await?.filter(|_| known) else {
                    return Ok(Bound::Gone);
                };
                if !is_wholly_of(transaction, &who, &authority).await? {
                    return Ok(Bound::NotTheirs);
                }
                let row = query(
                    "SELECT (SELECT COUNT(*) FROM credential WHERE id = $1), \
                     (SELECT COUNT(*) FROM credential WHERE person = $2)",
                )
                .bind(&identity.id)
                .bind(person.as_str())
                .fetch_one(&mut *transaction)
                .await?;
                let number = |column| row.try_get::<i64>(column);
                if number(0)? > 0 || number(1)? >= MOST_CREDENTIALS as i64 || first && number(1)? > 0 {
                    return Ok(Bound::Taken);
                }
                credential::insert(transaction, &who.authority, &person, &identity).await?;
                transaction.decide(&who.authority, &decided).await?;
                Ok(Bound::Done)
            })
        })
        .await
    }

    /// Opens a session for somebody for whom a provider vouches.
    ///
    /// # Errors
    /// [`StoreError`]; then there is no session.
    pub async fn open_vouched_session(
        &self,
        person: &PersonId,
        by: Vouching,
        session: NewSession,
        salts: [Salt; 2],
    ) -> Result<Vouched, StoreError> {
        let person = person.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let still = is_still(transaction, &by.authority, by.changed).await?;
                let bound = query(
                    "SELECT 1 FROM credential WHERE id = $1 AND person = $2 AND kind = 'identity' AND body = $3",
                )
                .bind(&by.credential)
                .bind(person.as_str())
                .bind(by.authority.as_str())
                .fetch_optional(&mut *transaction)
                .await?
                .is_some();
                let Some(who) = person::active(transaction, person.as_str()).await?.filter(|_| bound && still) else {
                    return Ok(Vouched::Gone);
                };
                if !is_wholly_of(transaction, &who, &by.authority).await? {
                    return Ok(Vouched::NotTheirs);
                }
                let by = by.authority.to_string();
                access::begin(transaction, &who, session, Some(by), salts).await?;
                Ok(Vouched::Opened)
            })
        })
        .await
    }
}

/// Whether the provider of an authority is the one that was asked: a word of the one before counts for nothing.
async fn is_still(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    changed: Timestamp,
) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM provider WHERE authority_id = $1 AND changed = $2")
        .bind(authority.as_str())
        .bind(changed.micros())
        .fetch_optional(transaction)
        .await?;
    Ok(row.is_some())
}

/// Ends what came by a provider.
async fn forget(transaction: &mut Transaction, authority: &AuthorityId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM session WHERE provider = $1",
        "DELETE FROM credential WHERE kind = 'identity' AND body = $1",
    ] {
        query(sql).bind(authority.as_str()).execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Whether somebody is at home in an authority or below, and holds no role but there or below.
async fn is_wholly_of(
    transaction: &mut Transaction,
    who: &Person,
    authority: &AuthorityId,
) -> Result<bool, StoreError> {
    let rows = query("SELECT DISTINCT authority_id FROM holding WHERE person = $1")
        .bind(who.id.as_str())
        .fetch_all(&mut *transaction)
        .await?;
    let mut places = vec![who.authority.clone()];
    for row in &rows {
        let place: String = row.try_get(0)?;
        places.push(place.parse().map_err(|reason| unreadable("holding", who.id.as_str(), reason))?);
    }
    for place in places {
        if !stands_below(transaction, &place, authority.as_str()).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn record(row: &Row) -> Result<Provider, StoreError> {
    let id: String = row.try_get(0)?;
    let wrong = |reason| unreadable("provider", &id, reason);
    Ok(Provider {
        authority: id.parse().map_err(wrong)?,
        name: row.try_get(1)?,
        issuer: row.try_get(2)?,
        client: row.try_get(3)?,
        secret: row.try_get(4)?,
        ca: row.try_get(5)?,
        recognises: row.try_get::<String>(6)?.parse().map_err(wrong)?,
        changed: Timestamp::from_micros(row.try_get(7)?),
    })
}
