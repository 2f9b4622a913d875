//! How certificates and their assets stand, and what of them is revoked.

use super::{
    enrolment, fitting,
    issued::{CertificateState, set_status},
};
use crate::{
    Decided, Repository, StoreError, Transaction, asset,
    database::{Row, query},
    repository::{count, unreadable},
};
use model::{Asset, AssetStatus, Timestamp};

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

impl Repository {
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
