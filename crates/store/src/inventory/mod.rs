//! What sources say of devices, and the assets that come of it.
//!
//! Guarantees: what a source says is kept as it was said, in the transaction that makes the asset of it; which sayings are of
//! one device is judged by [`identify::merge`] over all that share anything with them; an asset's id stays while any of its
//! sources does, and an enrolled asset's for good. Lists are taken whole or not at all, and each is a decision.

mod said;
mod settle;

pub use said::{Joined, Listing, MOST_DECLARED, MOST_JUDGEMENTS, NotSaid, Parted};

use crate::{
    Repository, StoreError, Transaction,
    database::{Row, query},
    repository::{from_json, to_json, unreadable},
};
use identify::{
    import,
    merge::{Known, Observed},
};
use model::{Asset, Identifier, Mac, Timestamp};
use serde::{Deserialize, Serialize};

/// Hardware addresses that are believed of one device, and identifiers that are kept of it.
const MOST_HARDWARE: usize = 8;
/// Keys by which an enrolled device is known.
const MOST_KEYS: usize = 4;

/// Who says something of a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub enum Source {
    /// It was let in, and says so by its key.
    Enrolment,
    /// Traffic, as a sensor sees it: that of the node, or one of its own name.
    Sensor(Option<String>),
    /// Somebody listed it.
    List,
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        match source {
            Source::Enrolment => "enrolment".into(),
            Source::Sensor(None) => "sensor".into(),
            Source::Sensor(Some(name)) => format!("sensor {name}"),
            Source::List => "list".into(),
        }
    }
}

impl Source {
    /// The source of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match (word, word.strip_prefix("sensor ")) {
            ("enrolment", _) => Some(Self::Enrolment),
            ("list", _) => Some(Self::List),
            ("sensor", _) => Some(Self::Sensor(None)),
            (_, Some(name)) => Some(Self::Sensor(Some(name.to_owned()))),
            _ => None,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from(self.clone()))
    }
}

/// What is said of a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    /// What was seen of it.
    Seen(Box<Observed>),
    /// What was listed of it.
    Listed(Box<Listed>),
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// When it was listed.
    pub at: Timestamp,
    /// What was listed.
    #[serde(flatten)]
    pub row: import::Row,
}

/// One source's word on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Saying {
    /// Whose word.
    pub source: Source,
    /// What the source calls the device.
    pub subject: String,
    /// Of which asset it is a part.
    pub asset: String,
    /// The word.
    pub says: Says,
}

impl Saying {
    fn seen(source: Source, observed: Observed) -> Self {
        let subject = observed.asset.id.clone();
        Self { source, subject, asset: String::new(), says: Says::Seen(Box::new(observed)) }
    }

    /// By what the source knows it.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        match &self.says {
            Says::Seen(observed) => observed.known.clone(),
            Says::Listed(listed) => listed.row.observation("").known,
        }
    }

    fn body(&self) -> Result<String, StoreError> {
        match &self.says {
            Says::Seen(observed) => to_json("observation", &self.subject, observed),
            Says::Listed(listed) => to_json("observation", &self.subject, listed),
        }
    }
}

/// What an asset is now that something was said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The asset.
    pub asset: Asset,
    /// Nobody knew of it before.
    pub new: bool,
}

impl Repository {
    /// Keeps what a source sees of a device, in place of what it said of it before, and what the asset is with it.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept.
    pub async fn observe(&self, source: Source, observed: Observed) -> Result<Settled, StoreError> {
        let whose = self.whose();
        self.write(move |transaction| {
            Box::pin(async move { observe(transaction, &whose, source, observed).await })
        })
        .await
    }

    /// A device that is enrolled here was heard of, with the hardware addresses that it has.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept.
    pub async fn heard(&self, asset: &str, macs: Vec<Mac>, at: Timestamp) -> Result<(), StoreError> {
        let (whose, id) = (self.whose(), asset.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let Some(mut saying) = one(transaction, &whose, &Source::Enrolment, &id).await? else {
                    return Ok(());
                };
                if let Says::Seen(observed) = &mut saying.says {
                    observed.asset.last_seen = observed.asset.last_seen.max(at);
                    for mac in macs.iter().take(MOST_HARDWARE) {
                        let by = Identifier::Mac(*mac);
                        let is_mac = |known: &&Known| matches!(known.by, Identifier::Mac(_));
                        let full = observed.known.iter().filter(is_mac).count() >= MOST_HARDWARE;
                        if full || observed.known.iter().any(|known| known.by == by) {
                            continue;
                        }
                        // Whose hardware it is was told before: nobody takes it away by saying so later.
                        if is_of_another(transaction, &whose, &by, &saying.asset).await? {
                            tracing::warn!(device = id, %by, "claims hardware of another asset");
                        } else {
                            observed.known.push(Known { by, during: None });
                        }
                    }
                    let believed = observed.known.iter().find_map(|known| match known.by {
                        Identifier::Mac(mac) => Some(mac),
                        _ => None,
                    });
                    observed.asset.mac = observed.asset.mac.or(believed);
                }
                settle::settle(transaction, &whose, vec![saying]).await.map(drop)
            })
        })
        .await
    }

    /// What every source says of an asset of this authority, in order of the sources.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn sayings(&self, asset: &str) -> Result<Vec<Saying>, StoreError> {
        let rows = query(concat!(
            "SELECT source, subject, asset, body FROM observation WHERE authority_id = $1 AND asset = $2 ",
            "ORDER BY source, subject LIMIT 500"
        ))
        .bind(self.whose())
        .bind(asset)
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(saying).collect()
    }

    /// The assets of this authority that somebody listed, and those that were enrolled, each with the hardware it is known to have
    /// or, where that is not known, its addresses.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn known_assets(&self) -> Result<Vec<import::Row>, StoreError> {
        let rows = query(
            "SELECT source, subject, asset, body FROM observation WHERE authority_id = $1 AND asset IN \
             (SELECT asset FROM observation WHERE authority_id = $1 AND source IN ('list', 'enrolment')) ORDER BY asset",
        )
        .bind(self.whose())
        .fetch_all(self.readers())
        .await?;
        let sayings = rows.iter().map(saying).collect::<Result<Vec<_>, _>>()?;
        Ok(sayings.chunk_by(|one, other| one.asset == other.asset).map(known_asset).collect())
    }

    /// The asset that now is what was known by this id: the asset itself, or what it was joined with.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn asset_once(&self, id: &str) -> Result<Option<String>, StoreError> {
        let row = query(
            "SELECT asset FROM observation WHERE authority_id = $1 AND subject = $2 ORDER BY source LIMIT 1",
        )
        .bind(self.whose())
        .bind(id)
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| row.try_get(0)).transpose()
    }
}

/// An asset as a sensor is to know it: what was declared of it, the last word over those before, by all that it is known by.
fn known_asset(of: &[Saying]) -> import::Row {
    let mut rows: Vec<&Listed> = of
        .iter()
        .filter_map(|saying| match &saying.says {
            Says::Listed(listed) => Some(&**listed),
            Says::Seen(_) => None,
        })
        .collect();
    rows.sort_by_key(|listed| listed.at);
    let mut known = import::Row::default();
    for Listed { row, .. } in rows {
        known.name = row.name.clone().or(known.name);
        known.kind = row.kind.clone().or(known.kind);
        known.layer = row.layer.or(known.layer);
        known.criticality = row.criticality.or(known.criticality);
    }
    for by in of.iter().flat_map(Saying::known).map(|known| known.by) {
        match by {
            Identifier::Mac(mac) if !known.macs.contains(&mac) => known.macs.push(mac),
            Identifier::Address(address) if !known.addresses.contains(&address) => {
                known.addresses.push(address)
            }
            _ => {}
        }
    }
    known
}

/// Keeps what a source sees.
pub(crate) async fn observe(
    transaction: &mut Transaction,
    whose: &str,
    source: Source,
    observed: Observed,
) -> Result<Settled, StoreError> {
    let id = observed.asset.id.clone();
    let settled = settle::settle(transaction, whose, vec![Saying::seen(source, observed)]).await?;
    settled.into_iter().next().ok_or_else(|| unreadable("observation", &id, "it came to nothing".into()))
}

/// Keeps that a device was let in with this key, as an asset that may be known by other sources.
pub(crate) async fn enrol(
    transaction: &mut Transaction,
    whose: &str,
    asset: Asset,
    key: &str,
) -> Result<(), StoreError> {
    let id = asset.id.clone();
    let mut saying = match one(transaction, whose, &Source::Enrolment, &id).await? {
        Some(saying) => saying,
        None => {
            // Whoever said that it is this asset said so of what the asset is known by.
            let others = settle::of_asset(transaction, whose, &id).await?;
            let known = others.iter().flat_map(Saying::known).collect();
            let mut saying = Saying::seen(Source::Enrolment, Observed { asset, known, talks: Vec::new() });
            saying.asset = id;
            saying
        }
    };
    if let Says::Seen(observed) = &mut saying.says {
        let by = Identifier::Key(key.to_owned());
        if observed.known.iter().all(|known| known.by != by) {
            observed.known.push(Known { by, during: None });
        }
        // The latest few: a device that renews for years is known by what it has now.
        let is_key = |known: &Known| matches!(known.by, Identifier::Key(_));
        while observed.known.iter().filter(|known| is_key(known)).count() > MOST_KEYS {
            if let Some(oldest) = observed.known.iter().position(is_key) {
                observed.known.remove(oldest);
            }
        }
    }
    settle::settle(transaction, whose, vec![saying]).await.map(drop)
}

/// Whether another asset is known by this that is listed, enrolled, or without its identity.
async fn is_of_another(
    transaction: &mut Transaction,
    whose: &str,
    by: &Identifier,
    asset: &str,
) -> Result<bool, StoreError> {
    let row = query(
        "SELECT 1 FROM observation_identifier AS mark JOIN observation ON observation.authority_id = mark.authority_id \
         AND observation.source = mark.source AND observation.subject = mark.subject \
         JOIN asset ON asset.authority_id = observation.authority_id AND asset.id = observation.asset \
         WHERE mark.authority_id = $1 AND mark.identifier = $2 AND observation.asset <> $3 \
         AND (asset.status <> 'discovered' OR observation.source <> 'sensor' AND observation.source NOT LIKE 'sensor %' \
         OR EXISTS (SELECT 1 FROM observation AS listed WHERE listed.authority_id = $1 AND listed.asset = asset.id \
         AND listed.source = 'list')) LIMIT 1",
    )
    .bind(whose)
    .bind(written(by))
    .bind(asset)
    .fetch_optional(transaction)
    .await?;
    Ok(row.is_some())
}

async fn one(
    transaction: &mut Transaction,
    whose: &str,
    source: &Source,
    subject: &str,
) -> Result<Option<Saying>, StoreError> {
    let row = query(
        "SELECT source, subject, asset, body FROM observation WHERE authority_id = $1 AND source = $2 AND subject = $3",
    )
    .bind(whose)
    .bind(source.to_string())
    .bind(subject)
    .fetch_optional(transaction)
    .await?;
    row.as_ref().map(saying).transpose()
}

fn saying(row: &Row) -> Result<Saying, StoreError> {
    let (source, subject): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let body: String = row.try_get(3)?;
    let source = Source::named(&source)
        .ok_or_else(|| unreadable("observation", &subject, format!("the source {source:?}")))?;
    let says = match source {
        Source::List => Says::Listed(from_json("observation", &subject, &body)?),
        Source::Enrolment | Source::Sensor(_) => Says::Seen(from_json("observation", &subject, &body)?),
    };
    Ok(Saying { source, subject, asset: row.try_get(2)?, says })
}

/// An identifier as it is kept and looked for.
fn written(by: &Identifier) -> String {
    let parts = serde_json::to_value(by).unwrap_or_default();
    let part = |name: &str| parts.get(name).and_then(|part| part.as_str()).unwrap_or_default().to_owned();
    format!("{} {}", part("by"), part("value"))
}

/// An identifier as it was written.
fn read_identifier(text: &str) -> Option<Identifier> {
    let (by, value) = text.split_once(' ')?;
    serde_json::from_value(serde_json::json!({"by": by, "value": value})).ok()
}
