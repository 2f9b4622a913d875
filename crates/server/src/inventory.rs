//! The inventory as people keep it: lists, what they declare of assets, what is one device and what is not.
//!
//! Guarantees: a list is taken whole or not at all; each change is one decision in the ledger, about every asset that it names;
//! nothing that a device says of itself comes before what a person declared.

use crate::{
    AppState,
    api::Problem,
    auth::{User, decided},
    live::Change,
};
use axum::http::StatusCode;
use identify::{
    Kinds,
    import::{self, Column, Refused},
};
use ledger::Deed;
use model::{Asset, Criticality, Kind, Layer};
use std::sync::{Arc, LazyLock};
use store::{Findable, Joined, Listing, MOST_DECLARED, NotSaid, Parted, Saying, Source};

/// The longest list that is taken at once, in bytes.
pub(crate) const MOST_BYTES: usize = 4 << 20;
/// The most assets that are listed at once: the database takes no other change meanwhile.
const MOST_ROWS: usize = 20_000;
/// Assets that a decision names one by one.
const MOST_NAMED: usize = 50;

static KINDS: LazyLock<Arc<Kinds>> = LazyLock::new(|| Arc::new(Kinds::shipped()));

/// The kinds that there are, in their order.
pub(crate) fn kinds() -> Vec<&'static str> {
    let mut names: Vec<&str> = KINDS.names().collect();
    names.sort_unstable();
    names
}

/// What a kind means where nothing else is said: its layer, and how much the city depends on it.
pub(crate) fn meaning(kind: &Kind) -> Option<(Layer, Criticality)> {
    KINDS.meaning(kind.as_str())
}

/// Takes a list of assets of the authority that is reached; `only_try` reads it and keeps nothing.
pub(crate) async fn list(
    state: &AppState,
    user: &User,
    bytes: Vec<u8>,
    only_try: bool,
) -> Result<(usize, Listing), Problem> {
    let read = tokio::task::spawn_blocking(move || import::read(&bytes, &KINDS)).await;
    let rows = read
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the list could not be read"))?
        .map_err(|refused| unfit(&refused))?;
    if rows.len() > MOST_ROWS {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the list has too many assets")
            .expected(format!("at most {MOST_ROWS} at once; the rest in a second list")));
    }
    let number = rows.len();
    if only_try || rows.is_empty() {
        return Ok((number, Listing::default()));
    }
    let details = format!("{number} assets");
    let decided = decided(state, user, Deed::AssetsListed, &[], Some(details))?;
    let listing = state.repository().list_assets(rows, decided).await?;
    state.known_changed();
    Ok((number, listing))
}

/// Declares the same of some assets: columns as a list has them, with nothing where a text is empty.
pub(crate) async fn declare(
    state: &AppState,
    user: &User,
    ids: Vec<String>,
    columns: Vec<(Column, String)>,
) -> Result<Vec<Asset>, Problem> {
    let Some(first) = ids.first() else {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no asset was chosen")
            .expected(format!("1 to {MOST_DECLARED} ids of assets")));
    };
    if ids.len() > MOST_DECLARED {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too many assets at once")
            .expected(format!("1 to {MOST_DECLARED} ids of assets")));
    }
    if columns.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing was declared")
            .expected("one of the columns of a list, such as owner, place or criticality"));
    }
    // All are of one authority: that of the first.
    let state = &state.at(Findable::Asset, first).await?;
    let what: Vec<String> =
        columns.iter().map(|(column, text)| format!("{}: {}", column.as_str(), text.trim())).collect();
    let details = format!("{} assets; {}", ids.len(), what.join("; "));
    let about: Vec<_> = ids.iter().take(MOST_NAMED).map(|id| ("asset", id.as_str())).collect();
    let details = report::clipped(&details, 900);
    let decided = decided(state, user, Deed::AssetDeclared, &about, Some(details))?;
    match state.repository().declare(ids.clone(), columns, Arc::clone(&KINDS), decided).await? {
        Ok(assets) => {
            assets.iter().for_each(|asset| announce(state, asset));
            state.known_changed();
            Ok(assets)
        }
        Err(NotSaid::Unknown(id)) => Err(Problem::not_found("asset", &id)),
        Err(NotSaid::Unfit(refused)) => Err(unfit(&refused)),
    }
}

/// Takes an asset off the list.
pub(crate) async fn unlist(state: &AppState, user: &User, id: &str) -> Result<(), Problem> {
    let state = &state.at(Findable::Asset, id).await?;
    let decided = decided(state, user, Deed::AssetUnlisted, &[("asset", id)], None)?;
    if !state.repository().unlist_asset(id, decided).await? {
        return Err(Problem::new(StatusCode::CONFLICT, "nobody listed this asset"));
    }
    state.known_changed();
    Ok(())
}

/// Says that two assets are one.
pub(crate) async fn join(state: &AppState, user: &User, one: &str, other: &str) -> Result<Asset, Problem> {
    let state = &state.at(Findable::Asset, one).await?;
    let decided = decided(state, user, Deed::AssetsJoined, &[("asset", one), ("asset", other)], None)?;
    match state.repository().join_assets(one, other, decided).await? {
        Joined::Done(asset) => {
            announce(state, &asset);
            state.known_changed();
            Ok(*asset)
        }
        Joined::Unknown(id) => Err(Problem::not_found("asset of this authority", &id)),
        Joined::Not(why) => Err(Problem::new(StatusCode::CONFLICT, format!("they cannot be one: {why}"))),
    }
}

/// Says that what a source calls `subject` is another device. The asset that it is now comes back.
pub(crate) async fn part(
    state: &AppState,
    user: &User,
    id: &str,
    source: &str,
    subject: &str,
) -> Result<Asset, Problem> {
    let state = &state.at(Findable::Asset, id).await?;
    let unknown = || Problem::not_found("source of this asset", &format!("{source} {subject}"));
    let source = Source::named(source).ok_or_else(unknown)?;
    let details = format!("{source}: {subject}");
    let decided = decided(state, user, Deed::AssetParted, &[("asset", id)], Some(details))?;
    match state.repository().part_asset(id, source.clone(), subject, decided).await? {
        Parted::Done(now, was) => {
            announce(state, &now);
            announce(state, &was);
            state.known_changed();
            Ok(*now)
        }
        Parted::Unknown => Err(Problem::not_found("source of this asset", &format!("{source} {subject}"))),
        Parted::Not(why) => {
            Err(Problem::new(StatusCode::CONFLICT, format!("they cannot be told apart: {why}")))
        }
    }
}

/// What each source says of an asset, and why these are one.
pub(crate) async fn sources(state: &AppState, id: &str) -> Result<(Vec<Saying>, Vec<String>), Problem> {
    let state = &state.at(Findable::Asset, id).await?;
    let sayings = state.repository().sayings(id).await?;
    Ok((sayings.clone(), why_one(&sayings)))
}

/// Why these are one, the surest reason first.
fn why_one(sayings: &[Saying]) -> Vec<String> {
    let observations: Vec<_> = sayings
        .iter()
        .map(|saying| identify::merge::Observation { site: String::new(), known: saying.known() })
        .collect();
    let merged = identify::merge::merge(&observations, &identify::merge::Said::default());
    let mut reasons: Vec<String> =
        merged.devices.iter().flat_map(|device| &device.joined).map(|join| join.reason()).collect();
    if merged.devices.len() > 1 {
        reasons.push("somebody said that these are one device".into());
    }
    reasons
}

fn announce(state: &AppState, asset: &Asset) {
    state.announce(Change::Asset { id: asset.id.clone(), label: asset.label(), new: false });
}

fn unfit(refused: &Refused) -> Problem {
    let number = refused.errors.len() as u64 + refused.more;
    let things = if number == 1 { "one thing is".to_owned() } else { format!("{number} things are") };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{things} wrong, and nothing was taken"))
        .faults(refused.errors.iter().map(ToString::to_string))
        .see("docs/inventory.md")
}
