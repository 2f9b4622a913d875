//! From sayings to assets: all that may be of one device is read, judged together and kept.

use super::{Saying, Says, Source, read_identifier, saying, written};
use crate::{StoreError, Transaction, asset, database::query, repository::unreadable};
use identify::merge::{Device, MOST_SHARING, Observation, Said, merge, unite};
use model::{Asset, AssetStatus, AuthorityId, Criticality, Identifier, Kind, Layer, Timestamp};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

/// Sayings that are judged together. A network on which more hang together by sure identifiers is none that there is.
const MOST_TOGETHER: usize = 2_048;
/// Identifiers or assets in one question to the database.
const AT_ONCE: usize = 500;

type Name = (Source, String);
/// How much of an id is a device's, and which device: whether it was enrolled by it, whether it was first called so, and how many of
/// its sayings are.
type Claim = ((bool, bool, usize), usize);

/// Keeps what is said in place of what the same sources said before, and makes the assets of it. Those that the sayings are
/// now part of come back, in their order.
pub(super) async fn settle(
    transaction: &mut Transaction,
    whose: &str,
    said: Vec<Saying>,
) -> Result<Vec<super::Settled>, StoreError> {
    let authority = authority(whose)?;
    let judged = judgements(transaction, whose).await?;
    let mut all: BTreeMap<Name, Saying> = BTreeMap::new();
    let mut touched: BTreeSet<Name> = BTreeSet::new();
    for mut saying in said {
        let before = super::one(transaction, whose, &saying.source, &saying.subject).await?;
        let name = (saying.source.clone(), saying.subject.clone());
        if saying.asset.is_empty() {
            saying.asset = before.as_ref().map(|before| before.asset.clone()).unwrap_or_default();
        }
        keep(transaction, whose, &saying, before.as_ref()).await?;
        touched.insert(name.clone());
        all.insert(name, saying);
    }
    gather(transaction, whose, &mut all, &judged).await?;

    let sayings: Vec<Saying> = all.into_values().collect();
    let observations: Vec<Observation> =
        sayings.iter().map(|saying| Observation { site: String::new(), known: saying.known() }).collect();
    let fixed = fixed(transaction, whose, &sayings).await?;
    let devices = merge(&observations, &judged).devices;
    let devices: Vec<Device> =
        devices.into_iter().flat_map(|device| apart(device, &sayings, &fixed)).collect();
    let ids = name(transaction, whose, &sayings, &devices, &fixed).await?;
    let mut had: HashMap<&str, usize> = HashMap::new();
    sayings.iter().for_each(|saying| *had.entry(&saying.asset).or_default() += 1);
    let mut settled: BTreeMap<usize, super::Settled> = BTreeMap::new();
    for (device, id) in devices.iter().zip(&ids) {
        let of: Vec<&Saying> = device.observations.iter().filter_map(|at| sayings.get(*at)).collect();
        let is_touched = |saying: &Saying| touched.contains(&(saying.source.clone(), saying.subject.clone()));
        let stays = of.iter().all(|saying| saying.asset == *id) && had.get(id.as_str()) == Some(&of.len());
        if stays && !of.iter().any(|saying| is_touched(saying)) {
            continue;
        }
        for saying in of.iter().filter(|saying| saying.asset != *id) {
            query(
                "UPDATE observation SET asset = $4 WHERE authority_id = $1 AND source = $2 AND subject = $3",
            )
            .bind(whose)
            .bind(saying.source.to_string())
            .bind(&saying.subject)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        }
        let made = asset_of(&authority, id, &of);
        let new = asset::keep(transaction, whose, &made).await?;
        let made = asset::one(&mut *transaction, whose, id).await?.unwrap_or(made);
        if let Some(first) = device.observations.iter().find(|at| sayings.get(**at).is_some_and(is_touched)) {
            settled.insert(*first, super::Settled { asset: made, new });
        }
    }
    let kept: HashSet<&String> = ids.iter().collect();
    let left: BTreeSet<&String> = sayings
        .iter()
        .map(|saying| &saying.asset)
        .filter(|id| !id.is_empty() && !kept.contains(id))
        .collect();
    for id in left {
        asset::forget(transaction, whose, id).await?;
    }
    Ok(settled.into_values().collect())
}

/// The assets among these that were enrolled, or whose identity was taken away: nothing that is seen makes one of two, or ends one.
async fn fixed(
    transaction: &mut Transaction,
    whose: &str,
    sayings: &[Saying],
) -> Result<HashSet<String>, StoreError> {
    let ids: BTreeSet<String> =
        sayings.iter().map(|saying| saying.asset.clone()).filter(|id| !id.is_empty()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let mut found = HashSet::new();
    for some in ids.chunks(AT_ONCE) {
        let rows = query(
            "SELECT id FROM asset WHERE authority_id = $1 AND status <> 'discovered' \
             AND id IN (SELECT value FROM json_each(CAST($2 AS TEXT)))",
        )
        .bind(whose)
        .bind(texts(some))
        .fetch_all(&mut *transaction)
        .await?;
        for row in &rows {
            found.insert(row.try_get(0)?);
        }
    }
    // One that is enrolled at this moment has no row yet.
    let enrolled = sayings.iter().filter(|saying| saying.source == Source::Enrolment);
    found.extend(enrolled.map(|saying| saying.subject.clone()));
    Ok(found)
}

/// A device as it is, or as several where two of its assets are fixed: then each keeps what it had, and the first the rest.
fn apart(device: Device, sayings: &[Saying], fixed: &HashSet<String>) -> Vec<Device> {
    let asset = |at: &usize| sayings.get(*at).map(|saying| saying.asset.as_str()).unwrap_or_default();
    let own: BTreeSet<&str> =
        device.observations.iter().map(asset).filter(|id| fixed.contains(*id)).collect();
    if own.len() < 2 {
        return vec![device];
    }
    let parts = own.iter().enumerate().map(|(number, id)| {
        let is_of = |at: &&usize| asset(at) == *id || number == 0 && !own.contains(asset(at));
        Device {
            observations: device.observations.iter().filter(is_of).copied().collect(),
            joined: Vec::new(),
        }
    });
    parts.collect()
}

/// Everything said of an asset.
pub(super) async fn of_asset(
    transaction: &mut Transaction,
    whose: &str,
    id: &str,
) -> Result<Vec<Saying>, StoreError> {
    of_assets(transaction, whose, &[id.to_owned()]).await
}

/// Takes what sources said of an asset back, and settles what is left of it.
pub(super) async fn withdraw(
    transaction: &mut Transaction,
    whose: &str,
    id: &str,
    said: &[&Saying],
) -> Result<(), StoreError> {
    for saying in said {
        for sql in [
            "DELETE FROM observation WHERE authority_id = $1 AND source = $2 AND subject = $3",
            "DELETE FROM observation_identifier WHERE authority_id = $1 AND source = $2 AND subject = $3",
        ] {
            query(sql)
                .bind(whose)
                .bind(saying.source.to_string())
                .bind(&saying.subject)
                .execute(&mut *transaction)
                .await?;
        }
    }
    let rest = of_asset(transaction, whose, id).await?;
    if rest.is_empty() {
        return asset::forget(transaction, whose, id).await;
    }
    settle(transaction, whose, rest).await.map(drop)
}

/// What people said of two.
pub(super) async fn judgements(transaction: &mut Transaction, whose: &str) -> Result<Said, StoreError> {
    let rows = query("SELECT one, other, same FROM judgement WHERE authority_id = $1 ORDER BY one, other")
        .bind(whose)
        .fetch_all(transaction)
        .await?;
    let mut said = Said::default();
    for row in &rows {
        let (one, other): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (Some(one), Some(other)) = (read_identifier(&one), read_identifier(&other)) else { continue };
        let among = if row.try_get::<i64>(2)? == 1 { &mut said.same } else { &mut said.apart };
        among.insert((one, other));
    }
    Ok(said)
}

async fn keep(
    transaction: &mut Transaction,
    whose: &str,
    saying: &Saying,
    before: Option<&Saying>,
) -> Result<(), StoreError> {
    let source = saying.source.to_string();
    query(
        "INSERT INTO observation (authority_id, source, subject, asset, body) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (authority_id, source, subject) DO UPDATE SET asset = $4, body = $5",
    )
    .bind(whose)
    .bind(&source)
    .bind(&saying.subject)
    .bind(&saying.asset)
    .bind(saying.body()?)
    .execute(&mut *transaction)
    .await?;
    let marks = |saying: &Saying| -> BTreeSet<String> {
        saying.known().iter().map(|known| written(&known.by)).collect()
    };
    let (now, then) = (marks(saying), before.map(marks).unwrap_or_default());
    for gone in then.difference(&now) {
        query("DELETE FROM observation_identifier WHERE authority_id = $1 AND identifier = $2 AND source = $3 AND subject = $4")
            .bind(whose)
            .bind(gone)
            .bind(&source)
            .bind(&saying.subject)
            .execute(&mut *transaction)
            .await?;
    }
    for new in now.difference(&then) {
        query("INSERT INTO observation_identifier (authority_id, identifier, source, subject) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
            .bind(whose)
            .bind(new)
            .bind(&source)
            .bind(&saying.subject)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}

/// Adds what has to be judged together with what is there: whatever shares an identifier with it, and what is one asset with any
/// of that. Addresses go from one to another: only those of what was said now are followed.
async fn gather(
    transaction: &mut Transaction,
    whose: &str,
    all: &mut BTreeMap<Name, Saying>,
    judged: &Said,
) -> Result<(), StoreError> {
    let mut partners: HashMap<&Identifier, Vec<&Identifier>> = HashMap::new();
    for (one, other) in &judged.same {
        partners.entry(one).or_default().push(other);
        partners.entry(other).or_default().push(one);
    }
    let (mut asked, mut assets_asked) = (HashSet::new(), HashSet::new());
    let mut fresh: Vec<Saying> = all.values().cloned().collect();
    let mut is_first = true;
    let most = all.len() + MOST_TOGETHER;
    while !fresh.is_empty() && all.len() <= most {
        let (mut marks, mut assets) = (Vec::new(), Vec::new());
        for saying in &fresh {
            for known in saying.known() {
                if !is_first && matches!(known.by, Identifier::Address(_)) {
                    continue;
                }
                let others = partners.get(&known.by).into_iter().flatten().copied();
                let new = others.chain([&known.by]).map(written).filter(|mark| asked.insert(mark.clone()));
                marks.extend(new);
            }
            if !saying.asset.is_empty() && assets_asked.insert(saying.asset.clone()) {
                assets.push(saying.asset.clone());
            }
        }
        is_first = false;
        fresh = of_assets(transaction, whose, &assets).await?;
        for some in marks.chunks(AT_ONCE) {
            // What more share than one device could is nobody's.
            let rows = query(
                "SELECT identifier FROM observation_identifier WHERE authority_id = $1 \
                 AND identifier IN (SELECT value FROM json_each(CAST($2 AS TEXT))) \
                 GROUP BY identifier HAVING COUNT(*) BETWEEN 2 AND $3",
            )
            .bind(whose)
            .bind(texts(some))
            .bind(MOST_SHARING as i64)
            .fetch_all(&mut *transaction)
            .await?;
            let shared = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            if shared.is_empty() {
                continue;
            }
            let rows = query(
                "SELECT observation.source, observation.subject, asset, body FROM observation_identifier AS mark \
                 JOIN observation ON observation.authority_id = mark.authority_id AND observation.source = mark.source \
                 AND observation.subject = mark.subject WHERE mark.authority_id = $1 \
                 AND mark.identifier IN (SELECT value FROM json_each(CAST($2 AS TEXT)))",
            )
            .bind(whose)
            .bind(texts(&shared))
            .fetch_all(&mut *transaction)
            .await?;
            for row in &rows {
                fresh.push(saying(row)?);
            }
        }
        fresh.retain(|saying| {
            let name = (saying.source.clone(), saying.subject.clone());
            let is_new = !all.contains_key(&name);
            all.entry(name).or_insert_with(|| saying.clone());
            is_new
        });
    }
    if all.len() > most {
        tracing::warn!(together = all.len(), "more hangs together than is judged at once");
    }
    Ok(())
}

async fn of_assets(
    transaction: &mut Transaction,
    whose: &str,
    ids: &[String],
) -> Result<Vec<Saying>, StoreError> {
    let mut found = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let rows = query(
            "SELECT source, subject, asset, body FROM observation WHERE authority_id = $1 \
             AND asset IN (SELECT value FROM json_each(CAST($2 AS TEXT))) LIMIT $3",
        )
        .bind(whose)
        .bind(texts(some))
        .bind(MOST_TOGETHER as i64)
        .fetch_all(&mut *transaction)
        .await?;
        for row in &rows {
            found.push(saying(row)?);
        }
    }
    Ok(found)
}

/// Texts for `json_each`.
fn texts(some: &[String]) -> String {
    serde_json::to_string(some).unwrap_or_default()
}

/// The id of each device: one that it had, where it had one, else what its surest source calls it.
async fn name(
    transaction: &mut Transaction,
    whose: &str,
    sayings: &[Saying],
    devices: &[Device],
    fixed: &HashSet<String>,
) -> Result<Vec<String>, StoreError> {
    // Who keeps an id that several have now: who was enrolled by it, who was first called so, then most of what it was.
    let mut claims: BTreeMap<&str, Vec<Claim>> = BTreeMap::new();
    for (number, device) in devices.iter().enumerate() {
        let mut of: BTreeMap<&str, (bool, bool, usize)> = BTreeMap::new();
        for saying in device.observations.iter().filter_map(|at| sayings.get(*at)) {
            if !saying.asset.is_empty() {
                let claim = of.entry(&saying.asset).or_default();
                let is_first = saying.subject == saying.asset;
                let is_enrolled = is_first && saying.source == Source::Enrolment;
                *claim = (claim.0 || is_enrolled, claim.1 || is_first, claim.2 + 1);
            }
        }
        of.into_iter().for_each(|(id, claim)| claims.entry(id).or_default().push((claim, number)));
    }
    let mut won: Vec<Vec<&str>> = vec![Vec::new(); devices.len()];
    for (id, claims) in &claims {
        let winner = claims.iter().max_by_key(|(claim, number)| (*claim, Reverse(*number)));
        if let Some(ids) = winner.and_then(|(_, number)| won.get_mut(*number)) {
            ids.push(id);
        }
    }
    let mut names: Vec<String> = Vec::with_capacity(devices.len());
    let mut given: HashSet<String> = HashSet::new();
    for (device, mine) in devices.iter().zip(&won) {
        let of: Vec<&Saying> = device.observations.iter().filter_map(|at| sayings.get(*at)).collect();
        let kept = mine.iter().min_by_key(|id| {
            let since = of.iter().filter(|one| one.asset == ***id).filter_map(|one| since(one)).min();
            (!fixed.contains(**id), since.unwrap_or(Timestamp::from_micros(i64::MAX)), **id)
        });
        if let Some(kept) = kept {
            names.push((*kept).to_owned());
            continue;
        }
        let surest = of.iter().min_by_key(|one| (rank(one), &one.subject)).copied();
        let Some(surest) = surest else {
            return Err(unreadable("observation", "", "a device of nothing".into()));
        };
        let mut id = surest.subject.clone();
        let taken = claims.contains_key(id.as_str())
            || given.contains(&id)
            || asset::one(&mut *transaction, whose, &id).await?.is_some();
        if taken {
            id = format!("{id}@{}", String::from(surest.source.clone()).replace(' ', "-"));
        }
        given.insert(id.clone());
        names.push(id);
    }
    Ok(names)
}

const fn since(saying: &Saying) -> Option<Timestamp> {
    match &saying.says {
        Says::Seen(observed) => Some(observed.asset.first_seen),
        Says::Listed(_) => None,
    }
}

/// The surest source of a name first.
const fn rank(saying: &Saying) -> u8 {
    match (&saying.source, &saying.says) {
        (Source::Enrolment, _) => 0,
        (_, Says::Seen(observed)) if observed.asset.mac.is_some() => 1,
        (_, Says::Seen(_)) => 2,
        (_, Says::Listed(_)) => 3,
    }
}

/// The asset that all this is said of.
fn asset_of(authority: &AuthorityId, id: &str, of: &[&Saying]) -> Asset {
    let mut seen: Vec<&Asset> = Vec::new();
    let mut rows = Vec::new();
    for saying in of {
        match &saying.says {
            Says::Seen(observed) => seen.push(&observed.asset),
            Says::Listed(listed) => rows.push(listed),
        }
    }
    // What was listed last comes last, over all the others.
    rows.sort_by_key(|listed| listed.at);
    let since = rows.first().map_or(Timestamp::from_micros(0), |listed| listed.at);
    let mut asset = unite(&seen).unwrap_or_else(|| unseen(since));
    // By what name it was let in counts more than how it calls itself.
    let enrolled = of.iter().find(|saying| saying.source == Source::Enrolment);
    if let Some(Says::Seen(observed)) = enrolled.map(|saying| &saying.says) {
        asset.name = observed.asset.name.clone().or(asset.name);
    }
    for listed in rows {
        listed.row.declare(&mut asset);
    }
    (asset.id, asset.authority_id) = (id.to_owned(), authority.clone());
    // How it stands is decided elsewhere.
    asset.status = AssetStatus::Discovered;
    asset
}

/// An asset that nobody has seen yet.
fn unseen(since: Timestamp) -> Asset {
    Asset {
        id: String::new(),
        authority_id: AuthorityId::local(),
        layer: Layer::Device,
        kind: Kind::unknown(),
        confidence: 0,
        reasons: Vec::new(),
        criticality: Criticality::Unknown,
        status: AssetStatus::Discovered,
        name: None,
        vendor: None,
        mac: None,
        addresses: Vec::new(),
        functions: Vec::new(),
        first_seen: since,
        last_seen: Asset::NEVER,
        declared: None,
    }
}

fn authority(whose: &str) -> Result<AuthorityId, StoreError> {
    whose.parse().map_err(|reason| unreadable("observation", "", reason))
}
