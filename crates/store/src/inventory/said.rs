//! What people say of devices: lists, what they declare of one, that two are one or are not.

use super::{Listed, Saying, Says, Source, settle, written};
use crate::{
    Decided, Repository, StoreError, Transaction, asset,
    database::query,
    repository::{count, unreadable},
};
use identify::{
    Kinds,
    import::{Column, Refused, Row},
    merge::{self, Observation},
};
use model::{Asset, AssetStatus, AuthorityId, Identifier, Timestamp};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Assets of which something is declared at once.
pub const MOST_DECLARED: usize = 500;
/// What people may say of two, in one authority.
pub const MOST_JUDGEMENTS: i64 = 1_000;
/// Rows of a list that are settled together.
const TOGETHER: usize = 500;

/// What came of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Listing {
    /// Assets that nobody knew of.
    pub new: u64,
    /// Assets that were known, and of which the list now says something.
    pub known: u64,
}

/// Why nothing was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSaid {
    /// There is no asset of this id.
    Unknown(String),
    /// It does not go together; what was expected.
    Unfit(Refused),
}

/// What came of saying that two are one.
#[derive(Clone, Debug, PartialEq)]
pub enum Joined {
    /// The asset that both are.
    Done(Box<Asset>),
    /// There is no such asset.
    Unknown(String),
    /// They cannot be, in words.
    Not(&'static str),
}

/// What came of saying that a source speaks of another device than the others of its asset.
#[derive(Clone, Debug, PartialEq)]
pub enum Parted {
    /// The asset that it is now, and that it was.
    Done(Box<Asset>, Box<Asset>),
    /// There is no such asset, or nothing of that name says anything of it.
    Unknown,
    /// They cannot be told apart, in words.
    Not(String),
}

impl Repository {
    /// Takes a list: each row is kept in place of what was listed under its name before.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept.
    pub async fn list_assets(&self, rows: Vec<Row>, decided: Decided) -> Result<Listing, StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let whose = authority.as_str();
                let names = names(&rows);
                let (mut listing, mut seen) = (Listing::default(), HashSet::new());
                let mut sayings =
                    rows.into_iter().zip(names).map(|(row, subject)| said(subject, row, decided.at));
                loop {
                    let some: Vec<Saying> = sayings.by_ref().take(TOGETHER).collect();
                    if some.is_empty() {
                        break;
                    }
                    for settled in settle::settle(transaction, whose, some).await? {
                        if seen.insert(settled.asset.id) {
                            *(if settled.new { &mut listing.new } else { &mut listing.known }) += 1;
                        }
                    }
                }
                transaction.decide(&authority, &decided).await?;
                Ok(listing)
            })
        })
        .await
    }

    /// Declares the same of some assets: each column with what it is to say, nothing where the text is empty.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept.
    pub async fn declare(
        &self,
        ids: Vec<String>,
        columns: Vec<(Column, String)>,
        kinds: Arc<Kinds>,
        decided: Decided,
    ) -> Result<Result<Vec<Asset>, NotSaid>, StoreError> {
        let authority = self.authority.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                let whose = authority.as_str();
                let mut sayings = Vec::with_capacity(ids.len());
                for id in ids.iter().take(MOST_DECLARED) {
                    let of = settle::of_asset(transaction, whose, id).await?;
                    if of.is_empty() {
                        return Ok(Err(NotSaid::Unknown(id.clone())));
                    }
                    let mut saying = declared(id, &of, decided.at);
                    if let Says::Listed(listed) = &mut saying.says {
                        for (column, text) in &columns {
                            if let Err(refused) = listed.row.change(*column, text, &kinds) {
                                return Ok(Err(NotSaid::Unfit(refused)));
                            }
                        }
                    }
                    sayings.push(saying);
                }
                settle::settle(transaction, whose, sayings).await?;
                let mut assets = Vec::with_capacity(ids.len());
                for id in &ids {
                    assets.extend(asset::one(&mut *transaction, whose, id).await?);
                }
                transaction.decide(&authority, &decided).await?;
                Ok(Ok(assets))
            })
        })
        .await
    }

    /// Remembers that two assets are one, whatever speaks against it.
    ///
    /// # Errors
    /// [`StoreError`]; then they stay two.
    pub async fn join_assets(&self, one: &str, other: &str, decided: Decided) -> Result<Joined, StoreError> {
        let (authority, ids) = (self.authority.clone(), [one.to_owned(), other.to_owned()]);
        self.write(move |transaction| {
            Box::pin(async move { join(transaction, &authority, ids, decided).await })
        })
        .await
    }

    /// Remembers that what a source calls `subject` is another device than what the other sources of the asset speak of.
    ///
    /// # Errors
    /// [`StoreError`]; then they stay one.
    pub async fn part_asset(
        &self,
        id: &str,
        source: Source,
        subject: &str,
        decided: Decided,
    ) -> Result<Parted, StoreError> {
        let (authority, id, subject) = (self.authority.clone(), id.to_owned(), subject.to_owned());
        self.write(move |transaction| {
            Box::pin(async move { part(transaction, &authority, &id, (source, subject), decided).await })
        })
        .await
    }

    /// Takes an asset off the list: what was declared of it is forgotten, and it too where nothing else speaks of it. False
    /// where it is on none.
    ///
    /// # Errors
    /// [`StoreError`]; then it stays.
    pub async fn unlist_asset(&self, id: &str, decided: Decided) -> Result<bool, StoreError> {
        let (authority, id) = (self.authority.clone(), id.to_owned());
        self.write(move |transaction| {
            Box::pin(async move {
                let whose = authority.as_str();
                let of = settle::of_asset(transaction, whose, &id).await?;
                let listed: Vec<&Saying> = of.iter().filter(|one| one.source == Source::List).collect();
                if listed.is_empty() {
                    return Ok(false);
                }
                settle::withdraw(transaction, whose, &id, &listed).await?;
                transaction.decide(&authority, &decided).await?;
                Ok(true)
            })
        })
        .await
    }
}

async fn join(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    ids: [String; 2],
    decided: Decided,
) -> Result<Joined, StoreError> {
    let whose = authority.as_str();
    let mut marks = Vec::new();
    let mut enrolled = 0;
    let mut sayings = Vec::new();
    for id in &ids {
        let of = settle::of_asset(transaction, whose, id).await?;
        let Some(asset) = asset::one(&mut *transaction, whose, id).await? else {
            return Ok(Joined::Unknown(id.clone()));
        };
        enrolled += usize::from(asset.status != AssetStatus::Discovered);
        // The surest by which it is known: the one that stays.
        let Some(mark) = of.iter().flat_map(Saying::known).map(|known| known.by).min() else {
            return Ok(Joined::Not("nothing is known by which one of them could be told from others"));
        };
        marks.push(mark);
        sayings.extend(of);
    }
    let [one, other] = marks.as_slice() else { return Ok(Joined::Unknown(ids[0].clone())) };
    if ids[0] == ids[1] {
        return Ok(Joined::Not("they are one already"));
    }
    if enrolled > 1 {
        return Ok(Joined::Not("each was enrolled with a key of its own; revoke one of them first"));
    }
    if marks.iter().any(|mark| matches!(mark, Identifier::Address(_))) {
        return Ok(Joined::Not("one is known by an address only, which another may have tomorrow"));
    }
    if !has_room(transaction, whose, 1).await? {
        return Ok(Joined::Not("too much was said of two in this authority already"));
    }
    // What was said before to keep just these apart does not hold any more.
    let known: Vec<String> = sayings.iter().flat_map(Saying::known).map(|known| written(&known.by)).collect();
    forget_judgements(transaction, whose, &known, false).await?;
    remember(transaction, whose, one, other, true).await?;
    let settled = settle::settle(transaction, whose, sayings).await?;
    let Some(settled) = settled.into_iter().next() else {
        return Err(unreadable("asset", &ids[0], "it came to nothing".into()));
    };
    transaction.decide(authority, &decided).await?;
    Ok(Joined::Done(Box::new(settled.asset)))
}

async fn part(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    id: &str,
    (source, subject): (Source, String),
    decided: Decided,
) -> Result<Parted, StoreError> {
    let whose = authority.as_str();
    let of = settle::of_asset(transaction, whose, id).await?;
    let Some(off) = of.iter().position(|one| one.source == source && one.subject == subject) else {
        return Ok(Parted::Unknown);
    };
    if of.len() < 2 {
        return Ok(Parted::Not("nothing else speaks of this asset".into()));
    }
    let observations: Vec<Observation> =
        of.iter().map(|one| Observation { site: String::new(), known: one.known() }).collect();
    let device = merge::Device { observations: (0..of.len()).collect(), joined: Vec::new() };
    let pairs = match merge::part(&observations, &device, off) {
        Ok(pairs) => pairs,
        Err(error) => return Ok(Parted::Not(error.to_string())),
    };
    if !has_room(transaction, whose, pairs.len()).await? {
        return Ok(Parted::Not("too much was said of two in this authority already".into()));
    }
    let own: Vec<String> =
        of.get(off).map(Saying::known).unwrap_or_default().iter().map(|known| written(&known.by)).collect();
    forget_judgements(transaction, whose, &own, true).await?;
    for (one, other) in pairs {
        remember(transaction, whose, &one, &other, false).await?;
    }
    settle::settle(transaction, whose, of).await?;
    let now =
        super::one(transaction, whose, &source, &subject).await?.map(|one| one.asset).unwrap_or_default();
    let (now, was) =
        (asset::one(&mut *transaction, whose, &now).await?, asset::one(&mut *transaction, whose, id).await?);
    match (now, was) {
        (Some(now), Some(was)) if now.id != was.id => {
            transaction.decide(authority, &decided).await?;
            Ok(Parted::Done(Box::new(now), Box::new(was)))
        }
        // It was the one that the id is of: then the others have another.
        (Some(now), _) => {
            transaction.decide(authority, &decided).await?;
            Ok(Parted::Done(Box::new(now.clone()), Box::new(now)))
        }
        (None, _) => Err(unreadable("asset", id, "it came to nothing".into())),
    }
}

/// Whether so much more may be said of two.
async fn has_room(transaction: &mut Transaction, whose: &str, more: usize) -> Result<bool, StoreError> {
    let row = query("SELECT COUNT(*) FROM judgement WHERE authority_id = $1")
        .bind(whose)
        .fetch_one(transaction)
        .await?;
    Ok(count(&row)? + i64::try_from(more).unwrap_or(i64::MAX) <= MOST_JUDGEMENTS)
}

/// Remembers what was said of two.
async fn remember(
    transaction: &mut Transaction,
    whose: &str,
    one: &Identifier,
    other: &Identifier,
    same: bool,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO judgement (authority_id, one, other, same) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (authority_id, one, other) DO UPDATE SET same = $4",
    )
    .bind(whose)
    .bind(written(one))
    .bind(written(other))
    .bind(i64::from(same))
    .execute(transaction)
    .await
    .map(drop)
}

/// Forgets what was said between identifiers: of `apart` both ends have to be among them, of `same` one.
async fn forget_judgements(
    transaction: &mut Transaction,
    whose: &str,
    known: &[String],
    same: bool,
) -> Result<(), StoreError> {
    let sql = if same {
        "DELETE FROM judgement WHERE authority_id = $1 AND same = 1 AND (one IN (SELECT value FROM json_each(CAST($2 AS TEXT))) \
         OR other IN (SELECT value FROM json_each(CAST($2 AS TEXT))))"
    } else {
        "DELETE FROM judgement WHERE authority_id = $1 AND same = 0 AND one IN (SELECT value FROM json_each(CAST($2 AS TEXT))) \
         AND other IN (SELECT value FROM json_each(CAST($2 AS TEXT)))"
    };
    query(sql)
        .bind(whose)
        .bind(serde_json::to_string(known).unwrap_or_default())
        .execute(transaction)
        .await
        .map(drop)
}

fn said(subject: String, row: Row, at: Timestamp) -> Saying {
    let says = Says::Listed(Box::new(Listed { at, row }));
    Saying { source: Source::List, subject, asset: String::new(), says }
}

/// What is listed of an asset: the last word on it, or a new one that knows it by what it surely is.
fn declared(id: &str, of: &[Saying], at: Timestamp) -> Saying {
    let last = of
        .iter()
        .filter_map(|one| match &one.says {
            Says::Listed(listed) => Some((listed.at, one)),
            Says::Seen(_) => None,
        })
        .max_by_key(|(at, _)| *at);
    if let Some((_, saying)) = last {
        let mut saying = saying.clone();
        if let Says::Listed(listed) = &mut saying.says {
            listed.at = at;
        }
        return saying;
    }
    let mut row = Row::default();
    let mut known: Vec<Identifier> = of.iter().flat_map(Saying::known).map(|known| known.by).collect();
    known.sort_unstable();
    let surest =
        known.iter().find(|by| matches!(by, Identifier::Key(_) | Identifier::Serial(_) | Identifier::Mac(_)));
    match surest.or(known.last()) {
        Some(Identifier::Key(key)) => row.key = Some(key.clone()),
        Some(Identifier::Serial(serial)) => row.serial = Some(serial.clone()),
        Some(Identifier::Mac(mac)) => row.macs.push(*mac),
        Some(Identifier::Address(address)) => row.addresses.push(*address),
        Some(Identifier::Name(name)) => row.host_name = Some(name.clone()),
        Some(Identifier::DhcpClient(_) | Identifier::Uuid(_)) | None => {}
    }
    let mut saying = said(subject_of(&format!("asset {id}")), row, at);
    id.clone_into(&mut saying.asset);
    saying
}

/// What each row is kept under: its name, where no other row of the list has it, else the first by which it is known.
fn names(rows: &[Row]) -> Vec<String> {
    let mut named: HashMap<String, usize> = HashMap::new();
    for name in rows.iter().filter_map(|row| row.name.as_ref()) {
        *named.entry(name.to_lowercase()).or_default() += 1;
    }
    rows.iter()
        .map(|row| {
            let name = row.name.as_ref().map(|name| name.to_lowercase());
            let alone = name.as_ref().is_some_and(|name| named.get(name) == Some(&1));
            let known = row.identifiers().iter().min().map(written).filter(|_| !alone);
            subject_of(&[name, known].into_iter().flatten().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn subject_of(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("list-{hex}")
}
