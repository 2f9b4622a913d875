//! The certificates that were issued, to whom, and how they stand.

use super::{enrolment, fitting};
use crate::{
    Decided, Page, Paging, Repository, StoreError, Transaction, asset,
    database::{Query, Row, query},
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

/// How something is to stand from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As before it was suspended.
    Good,
    /// Suspended.
    Held,
    /// Revoked for ever, for this reason as RFC 5280 names it.
    Revoked(&'static str),
}

/// What is to stand otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// An asset with all its certificates.
    Asset(String),
    /// One certificate, by its fingerprint.
    Certificate(String),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// There is no such thing.
    Unknown,
    /// It stands so that this cannot be done, in a word.
    Not(&'static str),
    /// Done.
    Done {
        /// The fingerprints of the certificates that changed.
        certificates: Vec<String>,
        /// The asset as it stands now.
        asset: Option<Box<Asset>>,
    },
}

/// A certificate on a revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number, in hexadecimal.
    pub serial: String,
    /// Since when.
    pub at: Timestamp,
    /// Why; unset where it was suspended and is not any more, which only deltas say.
    pub reason: Option<String>,
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
                    match asset::one(&mut *transaction, whose, id).await?.map(|asset| asset.status) {
                        None => {
                            let asset = enrolled(&authority, id, &new, decided.at);
                            asset::keep(transaction, whose, &asset).await?;
                        }
                        Some(AssetStatus::Discovered | AssetStatus::Enrolled) => {
                            set_status(transaction, whose, id, AssetStatus::Enrolled).await?;
                        }
                        Some(other) => return Ok(Enrolled::NotLetIn(other)),
                    }
                }
                keep(transaction, whose, new, decided.at).await?;
                transaction.decide(&authority, &decided).await?;
                Ok(Enrolled::Kept)
            })
        })
        .await
    }

    /// Lets an asset with all its certificates, or one certificate, stand otherwise. Their issuers' lists have a new number
    /// from then on; what an asset could still be let in by is gone when it is suspended or revoked.
    ///
    /// # Errors
    /// [`StoreError`]; then all stands as it did.
    pub async fn let_stand(
        &self,
        which: Which,
        standing: Standing,
        decided: Decided,
    ) -> Result<Changed, StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let whose = authority.as_str();
                let rows = affected(transaction, whose, &which, standing, decided.at).await?;
                if let Some(id) = asset_of(transaction, whose, &which).await? {
                    let Some(asset) = asset::one(&mut *transaction, whose, &id).await? else {
                        return Ok(Changed::Unknown);
                    };
                    if let Some(not) = refuses(asset.status, &which, standing, rows.is_empty()) {
                        return Ok(Changed::Not(not));
                    }
                }
                if rows.is_empty()
                    && let Which::Certificate(fingerprint) = &which
                {
                    let known =
                        query("SELECT 1 FROM certificate WHERE authority_id = $1 AND fingerprint = $2")
                            .bind(whose)
                            .bind(fingerprint)
                            .fetch_optional(&mut *transaction)
                            .await?;
                    return Ok(known.map_or(Changed::Unknown, |_| Changed::Not("so already, or over")));
                }
                let alone = matches!(which, Which::Certificate(_)) && standing == Standing::Held;
                let certificates = mark(transaction, whose, &rows, standing, alone, decided.at).await?;
                let asset = match &which {
                    Which::Certificate(_) => None,
                    Which::Asset(id) => {
                        let status = match standing {
                            Standing::Good => status_again(transaction, whose, id).await?,
                            Standing::Held => AssetStatus::Quarantined,
                            Standing::Revoked(_) => AssetStatus::Revoked,
                        };
                        set_status(transaction, whose, id, status).await?;
                        if standing != Standing::Good {
                            enrolment::forget(transaction, whose, id).await?;
                        }
                        asset::one(&mut *transaction, whose, id).await?.map(Box::new)
                    }
                };
                transaction.decide(&authority, &decided).await?;
                Ok(Changed::Done { certificates, asset })
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

    /// What stands on an issuer's revocation list at `now`: all, or what changed after the list with the number `since`.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn listed(
        &self,
        issuer: &str,
        since: Option<u64>,
        now: Timestamp,
    ) -> Result<Vec<Listed>, StoreError> {
        let all = "SELECT serial, changed, reason FROM certificate WHERE issuer = $1 AND listed IS NOT NULL AND ends > $2 \
                   AND (state <> 'good' OR $3 >= 0) AND number > $3 ORDER BY serial";
        let rows = query(all)
            .bind(issuer)
            .bind(now.micros())
            .bind(since.map_or(-1, fitting))
            .fetch_all(self.readers())
            .await?;
        let read = |row: &Row| {
            Ok(Listed {
                serial: row.try_get(0)?,
                at: Timestamp::from_micros(row.try_get(1)?),
                reason: row.try_get(2)?,
            })
        };
        rows.iter().map(read).collect()
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

/// Why an asset in this status, or a certificate of it, cannot be let stand so.
const fn refuses(
    status: AssetStatus,
    which: &Which,
    standing: Standing,
    nothing_changes: bool,
) -> Option<&'static str> {
    match (which, status, standing) {
        (Which::Certificate(_), AssetStatus::Quarantined, Standing::Good) => {
            Some("of an asset that is suspended: restore that")
        }
        (Which::Certificate(_), _, Standing::Held | Standing::Revoked(_)) => None,
        (_, AssetStatus::Revoked | AssetStatus::Retired, _) => Some("revoked for ever: enrol it anew"),
        (Which::Asset(_), AssetStatus::Quarantined, Standing::Held) if nothing_changes => {
            Some("suspended already")
        }
        (Which::Asset(_), AssetStatus::Discovered | AssetStatus::Enrolled, Standing::Good) => {
            Some("not suspended")
        }
        _ => None,
    }
}

/// The asset that it is about.
async fn asset_of(
    transaction: &mut Transaction,
    whose: &str,
    which: &Which,
) -> Result<Option<String>, StoreError> {
    let fingerprint = match which {
        Which::Asset(id) => return Ok(Some(id.clone())),
        Which::Certificate(fingerprint) => fingerprint,
    };
    let row = query("SELECT asset FROM certificate WHERE authority_id = $1 AND fingerprint = $2")
        .bind(whose)
        .bind(fingerprint)
        .fetch_optional(transaction)
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// What an asset is after it was suspended.
async fn status_again(
    transaction: &mut Transaction,
    whose: &str,
    asset: &str,
) -> Result<AssetStatus, StoreError> {
    let row = query("SELECT COUNT(*) FROM certificate WHERE authority_id = $1 AND asset = $2")
        .bind(whose)
        .bind(asset)
        .fetch_one(transaction)
        .await?;
    Ok(if count(&row)? > 0 { AssetStatus::Enrolled } else { AssetStatus::Discovered })
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
    }
}

async fn set_status(
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

/// Issuer, number and fingerprint of those that change.
async fn affected(
    transaction: &mut Transaction,
    whose: &str,
    which: &Which,
    standing: Standing,
    now: Timestamp,
) -> Result<Vec<Row>, StoreError> {
    let (asset, fingerprint) = match which {
        Which::Asset(asset) => (Some(asset.as_str()), None),
        Which::Certificate(fingerprint) => (None, Some(fingerprint.as_str())),
    };
    let (first, second) = match standing {
        Standing::Good => (CertificateState::Held, CertificateState::Held),
        Standing::Held => (CertificateState::Good, CertificateState::Good),
        Standing::Revoked(_) => (CertificateState::Good, CertificateState::Held),
    };
    query(
        "SELECT issuer, serial, fingerprint FROM certificate WHERE authority_id = $1 AND ($2 IS NULL OR asset = $2) \
         AND ($3 IS NULL OR fingerprint = $3) AND state IN ($4, $5) AND ends > $6 AND ($7 = 0 OR alone = 0) \
         ORDER BY issuer, serial",
    )
    .bind(whose)
    .bind(asset)
    .bind(fingerprint)
    .bind(first.as_str())
    .bind(second.as_str())
    .bind(now.micros())
    // What was suspended by itself is not given back with its asset.
    .bind(i64::from(asset.is_some() && standing == Standing::Good))
    .fetch_all(transaction)
    .await
}

/// Lets certificates stand so, and raises the numbers of their issuers' lists.
async fn mark(
    transaction: &mut Transaction,
    whose: &str,
    rows: &[Row],
    standing: Standing,
    alone: bool,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let (state, reason) = match standing {
        Standing::Good => (CertificateState::Good, None),
        Standing::Held => (CertificateState::Held, Some("certificate-hold")),
        Standing::Revoked(reason) => (CertificateState::Revoked, Some(reason)),
    };
    let mut raised: Option<(String, i64)> = None;
    let mut fingerprints = Vec::with_capacity(rows.len());
    for row in rows {
        let (issuer, serial): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let number = match &raised {
            Some((known, number)) if *known == issuer => *number,
            _ => {
                let row = query(
                    "UPDATE issuer SET number = number + 1, changed = $2 WHERE id = $1 RETURNING number",
                )
                .bind(&issuer)
                .bind(now.micros())
                .fetch_optional(&mut *transaction)
                .await?;
                let gone = || unreadable("certificate", &serial, "its issuer is gone".into());
                let number = row.ok_or_else(gone)?.try_get(0)?;
                raised = Some((issuer.clone(), number));
                number
            }
        };
        query(
            "UPDATE certificate SET state = $4, reason = $5, changed = $6, number = $7, listed = COALESCE(listed, $7), \
             alone = $8 WHERE authority_id = $1 AND issuer = $2 AND serial = $3",
        )
        .bind(whose)
        .bind(&issuer)
        .bind(&serial)
        .bind(state.as_str())
        .bind(reason)
        .bind(now.micros())
        .bind(number)
        .bind(i64::from(alone))
        .execute(&mut *transaction)
        .await?;
        fingerprints.push(row.try_get(2)?);
    }
    Ok(fingerprints)
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
