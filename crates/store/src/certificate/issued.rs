//! The certificates that were issued, to whom, and how they stand.

use super::enrolment;
use crate::{
    Decided, Page, Paging, Repository, StoreError, Transaction, asset,
    database::{Query, Row, query},
    inventory,
    repository::{contains_pattern, count, seen, unreadable, whose},
};
use model::{Asset, AssetStatus, AuthorityId, Criticality, Kind, Layer, Timestamp};
use serde::Serialize;

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateState {
    /// It is good while it lasts.
    Good,
    /// It is suspended, which can be taken back.
    Held,
    /// It is no good any more, for ever.
    Revoked,
}

impl CertificateState {
    /// All.
    pub const ALL: [Self; 3] = [Self::Good, Self::Held, Self::Revoked];

    /// The word that is kept and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Held => "held",
            Self::Revoked => "revoked",
        }
    }
}

/// A certificate as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateRecord {
    /// Whose.
    pub authority: AuthorityId,
    /// Who issued it.
    pub issuer: String,
    /// Its number, in hexadecimal.
    pub serial: String,
    /// Whose identity it is; unset for the node's own.
    pub asset: Option<String>,
    /// Its subject, in words.
    pub subject: String,
    /// By which profile it was issued.
    pub profile: String,
    /// SHA-256 of its public key, in hexadecimal.
    pub key: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    /// From when it is good.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// How it stands.
    pub state: CertificateState,
    /// Why it is not good, as RFC 5280 names it.
    pub reason: Option<String>,
    /// Since when it stands so.
    pub changed: Timestamp,
    /// The certificate in DER.
    #[serde(skip)]
    pub body: Vec<u8>,
}

impl CertificateRecord {
    /// Whether it proves who shows it, at `now`.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.state == CertificateState::Good && self.begins <= now && now < self.ends
    }
}

/// A certificate that is to be kept.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// Who issued it.
    pub issuer: String,
    /// Its number, in hexadecimal.
    pub serial: String,
    /// Whose identity it is; unset for the node's own.
    pub asset: Option<String>,
    /// What that asset is called, where it is new.
    pub name: String,
    /// Its subject, in words.
    pub subject: String,
    /// By which profile it was issued.
    pub profile: String,
    /// SHA-256 of its public key, in hexadecimal.
    pub key: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    /// From when it is good.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// The names in it, of hosts, addresses and the like.
    pub names: Vec<String>,
    /// The certificate in DER.
    pub body: Vec<u8>,
}

/// On what ground a certificate is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A one-time token, by its hash.
    Token(String),
    /// A person's yes to what waited, by its id.
    Approval(String),
    /// The certificate of a maker that is trusted, by that maker's id.
    Maker(String),
    /// The certificate that it takes the place of, by its fingerprint.
    Renewal(String),
    /// The node's own.
    Program,
}

/// What came of a certificate that was to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// It is kept, and good.
    Kept,
    /// This key was certified on this ground before: this is that certificate.
    Again(Vec<u8>),
    /// The ground is gone: the token was used or is over, the person's yes was taken, the maker is not trusted any more, the
    /// certificate before it is not good.
    NoGround,
    /// The key is another asset's, or was revoked.
    KeyTaken,
    /// This name stands in a good certificate of another asset, or of the node itself.
    NameTaken(String),
    /// The asset is not one that is let in.
    NotLetIn(AssetStatus),
}

/// Which certificates to list; what is unset matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFilter {
    /// Only of this asset.
    pub asset: Option<String>,
    /// Only in this state.
    pub state: Option<CertificateState>,
    /// Only those that end before then.
    pub ends_before: Option<Timestamp>,
    /// Only those that end after then.
    pub ends_after: Option<Timestamp>,
    /// Only with this text in subject, number or fingerprint.
    pub text: Option<String>,
}

/// Columns of a certificate, in the order that [`record`] reads.
macro_rules! columns {
    () => {
        "SELECT authority_id, issuer, serial, asset, subject, profile, key, fingerprint, begins, ends, state, reason, changed, \
         body FROM certificate "
    };
}

/// $1 authorities, $2 asset, $3 state, $4 and $5 when it ends, $6 text.
macro_rules! matching {
    () => {
        concat!(
            "WHERE ",
            seen!(),
            " AND ($2 IS NULL OR asset = $2) AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR ends < $4) \
             AND ($5 IS NULL OR ends > $5) AND ($6 IS NULL OR LOWER(subject) LIKE $6 ESCAPE '\\' \
             OR serial LIKE $6 ESCAPE '\\' OR fingerprint LIKE $6 ESCAPE '\\')"
        )
    };
}

impl Repository {
    /// Keeps a certificate of this authority, on a ground that is looked at and used up in the same transaction; a new asset
    /// comes to be with it.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept, and the certificate must not leave this machine.
    pub async fn add_certificate(
        &self,
        new: NewCertificate,
        on: Admission,
        decided: Decided,
    ) -> Result<Enrolled, StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let whose = authority.as_str();
                if let Some(known) = known_key(transaction, &new).await? {
                    return Ok(known);
                }
                if let Some(name) = taken_name(transaction, &new, decided.at).await? {
                    return Ok(Enrolled::NameTaken(name));
                }
                if !enrolment::admits(transaction, whose, &new, &on, decided.at).await? {
                    // The answer may have been lost on its way: who asks again with the same key gets the same.
                    let again = match on {
                        Admission::Token(_) | Admission::Approval(_) => {
                            same_key(transaction, &new, decided.at).await?
                        }
                        Admission::Maker(_) | Admission::Renewal(_) | Admission::Program => None,
                    };
                    return Ok(again.map_or(Enrolled::NoGround, Enrolled::Again));
                }
                if let Some(id) = &new.asset {
                    let known = asset::one(&mut *transaction, whose, id).await?.map(|asset| asset.status);
                    if let Some(other) = known
                        .filter(|status| !matches!(status, AssetStatus::Discovered | AssetStatus::Enrolled))
                    {
                        return Ok(Enrolled::NotLetIn(other));
                    }
                    let asset = enrolled(&authority, id, &new, decided.at);
                    inventory::enrol(transaction, whose, asset, &new.key).await?;
                    set_status(transaction, whose, id, AssetStatus::Enrolled).await?;
                }
                keep(transaction, whose, new, decided.at).await?;
                transaction.decide(&authority, &decided).await?;
                Ok(Enrolled::Kept)
            })
        })
        .await
    }

    /// A certificate by SHA-256 of its DER, whosever it is.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; then it proves nothing.
    pub async fn certificate(&self, fingerprint: &str) -> Result<Option<CertificateRecord>, StoreError> {
        let row = query(concat!(columns!(), "WHERE fingerprint = $1"))
            .bind(fingerprint)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// How the certificate with this number stands that an issuer issued, since when and why; nothing where it did not.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn standing_of(
        &self,
        issuer: &str,
        serial: &str,
    ) -> Result<Option<(CertificateState, Timestamp, Option<String>)>, StoreError> {
        let row = query("SELECT state, changed, reason FROM certificate WHERE issuer = $1 AND serial = $2")
            .bind(issuer)
            .bind(serial)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| Ok((state(&row, 0, serial)?, Timestamp::from_micros(row.try_get(1)?), row.try_get(2)?)))
            .transpose()
    }

    /// The certificates that match, those that end first first; one page of them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn certificates(
        &self,
        filter: &CertificateFilter,
        paging: Paging,
    ) -> Result<Page<CertificateRecord>, StoreError> {
        let total = self
            .bind_certificates(concat!("SELECT COUNT(*) FROM certificate ", matching!()), filter)
            .fetch_one(self.readers())
            .await?;
        let sql = concat!(columns!(), matching!(), " ORDER BY ends, authority_id, serial LIMIT $7 OFFSET $8");
        let rows = self
            .bind_certificates(sql, filter)
            .bind(paging.limit())
            .bind(paging.offset())
            .fetch_all(self.readers())
            .await?;
        let items = rows.iter().map(record).collect::<Result<_, _>>()?;
        Ok(paging.page(items, count(&total)?))
    }

    /// How many good certificates end before then for which there is no later one.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be counted.
    pub async fn certificates_ending(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let row = query(concat!(
            "SELECT COUNT(*) FROM certificate WHERE ",
            seen!(),
            " AND state = 'good' AND ends > $2 AND ends < $3 AND NOT EXISTS (SELECT 1 FROM certificate AS later \
             WHERE later.authority_id = certificate.authority_id AND later.subject = certificate.subject \
             AND later.state = 'good' AND later.ends > certificate.ends)"
        ))
        .bind(self.sees())
        .bind(now.micros())
        .bind(before.micros())
        .fetch_one(self.readers())
        .await?;
        Ok(count(&row)?.unsigned_abs())
    }

    fn bind_certificates(&self, sql: &'static str, filter: &CertificateFilter) -> Query {
        query(sql)
            .bind(self.sees())
            .bind(filter.asset.clone())
            .bind(filter.state.map(CertificateState::as_str))
            .bind(filter.ends_before.map(Timestamp::micros))
            .bind(filter.ends_after.map(Timestamp::micros))
            .bind(filter.text.as_deref().map(contains_pattern))
    }
}

/// Whether the key is known otherwise than as this asset's.
async fn known_key(
    transaction: &mut Transaction,
    new: &NewCertificate,
) -> Result<Option<Enrolled>, StoreError> {
    let row = query(
        "SELECT 1 FROM certificate WHERE key = $1 AND (asset IS NULL OR asset <> $2 OR state <> 'good') LIMIT 1",
    )
    .bind(&new.key)
    .bind(new.asset.as_deref().unwrap_or_default())
    .fetch_optional(transaction)
    .await?;
    Ok(row.map(|_| Enrolled::KeyTaken))
}

/// A name that somebody else has.
async fn taken_name(
    transaction: &mut Transaction,
    new: &NewCertificate,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    for name in &new.names {
        let row = query(
            "SELECT 1 FROM certificate_name JOIN certificate ON certificate.authority_id = certificate_name.authority_id \
             AND certificate.issuer = certificate_name.issuer AND certificate.serial = certificate_name.serial \
             WHERE certificate_name.name = $1 AND certificate.state <> 'revoked' AND certificate.ends > $2 \
             AND COALESCE(certificate.asset, '') <> $3 LIMIT 1",
        )
        .bind(name)
        .bind(now.micros())
        .bind(new.asset.as_deref().unwrap_or_default())
        .fetch_optional(&mut *transaction)
        .await?;
        if row.is_some() {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

async fn same_key(
    transaction: &mut Transaction,
    new: &NewCertificate,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = query(
        "SELECT body FROM certificate WHERE key = $1 AND asset = $2 AND state = 'good' AND ends > $3 \
         ORDER BY ends DESC LIMIT 1",
    )
    .bind(&new.key)
    .bind(&new.asset)
    .bind(now.micros())
    .fetch_optional(transaction)
    .await?;
    row.map(|row| row.try_get(0)).transpose()
}

pub(super) async fn keep(
    transaction: &mut Transaction,
    whose: &str,
    new: NewCertificate,
    now: Timestamp,
) -> Result<(), StoreError> {
    for name in &new.names {
        query("INSERT INTO certificate_name (authority_id, name, issuer, serial) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
            .bind(whose)
            .bind(name)
            .bind(&new.issuer)
            .bind(&new.serial)
            .execute(&mut *transaction)
            .await?;
    }
    query(
        "INSERT INTO certificate (authority_id, issuer, serial, asset, subject, profile, key, fingerprint, begins, ends, state, \
         changed, number, alone, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'good', $11, 0, 0, $12)",
    )
    .bind(whose)
    .bind(&new.issuer)
    .bind(&new.serial)
    .bind(&new.asset)
    .bind(&new.subject)
    .bind(&new.profile)
    .bind(&new.key)
    .bind(&new.fingerprint)
    .bind(new.begins.micros())
    .bind(new.ends.micros())
    .bind(now.micros())
    .bind(new.body)
    .execute(transaction)
    .await
    .map(drop)
}

/// An asset of which nothing is known but that it was let in.
fn enrolled(authority: &AuthorityId, id: &str, new: &NewCertificate, now: Timestamp) -> Asset {
    Asset {
        id: id.to_owned(),
        authority_id: authority.clone(),
        layer: Layer::Device,
        kind: Kind::unknown(),
        confidence: 0,
        reasons: Vec::new(),
        criticality: Criticality::Unknown,
        status: AssetStatus::Enrolled,
        name: Some(new.name.clone()),
        vendor: None,
        mac: None,
        addresses: Vec::new(),
        functions: Vec::new(),
        first_seen: now,
        last_seen: now,
        declared: None,
    }
}

pub(super) async fn set_status(
    transaction: &mut Transaction,
    whose: &str,
    asset: &str,
    status: AssetStatus,
) -> Result<(), StoreError> {
    query("UPDATE asset SET status = $3 WHERE authority_id = $1 AND id = $2")
        .bind(whose)
        .bind(asset)
        .bind(status.as_str())
        .execute(transaction)
        .await
        .map(drop)
}

fn state(row: &Row, column: usize, id: &str) -> Result<CertificateState, StoreError> {
    let state: String = row.try_get(column)?;
    CertificateState::ALL
        .into_iter()
        .find(|known| known.as_str() == state)
        .ok_or_else(|| unreadable("certificate", id, format!("the state {state:?}")))
}

fn record(row: &Row) -> Result<CertificateRecord, StoreError> {
    let serial: String = row.try_get(2)?;
    let moment = |column| Ok::<_, StoreError>(Timestamp::from_micros(row.try_get(column)?));
    Ok(CertificateRecord {
        authority: whose("certificate", &serial, row, 0)?,
        issuer: row.try_get(1)?,
        asset: row.try_get(3)?,
        subject: row.try_get(4)?,
        profile: row.try_get(5)?,
        key: row.try_get(6)?,
        fingerprint: row.try_get(7)?,
        begins: moment(8)?,
        ends: moment(9)?,
        state: state(row, 10, &serial)?,
        reason: row.try_get(11)?,
        changed: moment(12)?,
        body: row.try_get(13)?,
        serial,
    })
}
