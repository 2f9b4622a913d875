//! Assets seen: the list, and one asset with what happened to it.

use super::{
    devices::{self, Certificate},
    frame::{Frame, Trouble, Visit, page},
    inventory::{self, SourceRow},
    named::{Named, named_in},
    posture::{self, Reported},
    response::names_in,
    view::{self, Choice, Markup, Pager},
};
use crate::{
    AppState,
    api::{Parameters, Problem},
    quarantine,
    reach::{Narrowed, Reach},
};
use askama::Template;
use axum::{
    extract::{Path, Query},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use model::{Asset, AssetStatus, Criticality, Layer, Timestamp};
use policy::Action;
use report::{Names, words};
use serde::Deserialize;
use std::net::IpAddr;
use store::{
    AssetFilter, AssetGroup, AssetSort, CertificateFilter, Findable, IncidentFilter, IncidentSort, Paging,
};

/// Rows of a page unless the address says otherwise.
const ROWS: u32 = 50;
const MOST_INCIDENTS: u32 = 25;
const MOST_ADDRESSES: usize = 40;
const MOST_CERTIFICATES: u32 = 20;
const MOST_DECISIONS: u32 = 20;

/// What the address asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    text: String,
    kind: String,
    criticality: String,
    status: String,
    layer: String,
    owner: String,
    district: String,
    sort: String,
    page: String,
    rows: String,
    #[serde(skip)]
    authority: String,
}

#[derive(Template)]
#[template(path = "assets.html")]
struct Assets {
    frame: Frame,
    asked: Asked,
    kinds: Vec<Choice>,
    criticalities: Vec<Choice>,
    statuses: Vec<Choice>,
    layers: Vec<Choice>,
    owners: Vec<Choice>,
    districts: Vec<Choice>,
    sorts: Vec<Choice>,
    /// One of those that are folded away is set.
    more: bool,
    bulk: inventory::Bulk,
    /// Where to come back to.
    here: String,
    filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
    watching: bool,
}

struct Row {
    id: String,
    link: String,
    /// Whose, where it is not the node's own.
    whose: String,
    name: String,
    addresses: String,
    addresses_more: String,
    kind: String,
    confidence: u8,
    reasons: String,
    vendor: String,
    /// Who answers for it, and where it stands.
    owner: String,
    place: String,
    criticality: &'static str,
    protected: bool,
    status: &'static str,
    last: Markup,
}

/// `GET /assets`.
pub(super) async fn list(
    Reach(state): Reach,
    visit: Visit,
    Query(narrowed): Query<Narrowed>,
    Parameters(mut asked): Parameters<Asked>,
) -> Result<Response, Trouble> {
    asked.authority = narrowed.authority.unwrap_or_default();
    let frame = Frame::new(&state, &visit, "assets", "Assets").await;
    let list = read(&state, frame, asked).await.map_err(|problem| visit.trouble(problem))?;
    Ok(page(&list))
}

async fn read(state: &AppState, frame: Frame, asked: Asked) -> Result<Assets, Problem> {
    let now = state.now();
    let set =
        |text: &str| (!text.trim().is_empty()).then(|| text.trim().chars().take(200).collect::<String>());
    let filter = AssetFilter {
        kind: set(&asked.kind),
        criticality: set(&asked.criticality),
        status: set(&asked.status),
        layer: set(&asked.layer),
        owner: set(&asked.owner),
        district: set(&asked.district),
        text: set(&asked.text),
        sort: match asked.sort.as_str() {
            "name" => AssetSort::Name,
            "kind" => AssetSort::Kind,
            _ => AssetSort::Seen,
        },
    };
    let number = |text: &str, other: u32| text.parse::<u32>().unwrap_or(other);
    let paging = Paging::new(number(&asked.page, 1), number(&asked.rows, ROWS).min(200));
    let found = state.repository().assets(&filter, paging).await?;
    Ok(Assets {
        kinds: grouped(state, AssetGroup::Kind, &asked.kind).await?,
        owners: grouped(state, AssetGroup::Owner, &asked.owner).await?,
        districts: grouped(state, AssetGroup::District, &asked.district).await?,
        layers: choices(&Layer::ALL.map(Layer::as_str), &asked.layer),
        more: [&asked.layer, &asked.owner, &asked.district].iter().any(|text| !text.is_empty()),
        bulk: inventory::bulk(),
        here: link(&asked, found.page),
        criticalities: choices(
            &[Criticality::Protected, Criticality::Important, Criticality::Ordinary, Criticality::Unknown]
                .map(Criticality::as_str),
            &asked.criticality,
        ),
        statuses: choices(
            &[
                AssetStatus::Discovered,
                AssetStatus::Enrolled,
                AssetStatus::Quarantined,
                AssetStatus::Revoked,
                AssetStatus::Retired,
            ]
            .map(AssetStatus::as_str),
            &asked.status,
        ),
        sorts: [("", "last seen first"), ("name", "by name"), ("kind", "by kind")]
            .iter()
            .map(|(value, label)| Choice::new(value, label, &asked.sort))
            .collect(),
        filtered: filters(&asked).iter().any(|(_, text)| !text.is_empty()),
        pager: Pager::new(&found, |page| link(&asked, page)),
        rows: found
            .items
            .iter()
            .map(|asset| row(asset, now, &view::of(state, &asset.authority_id)))
            .collect(),
        watching: state.has_sensor(),
        asked,
        frame,
    })
}

pub(super) fn choices(words: &[&str], chosen: &str) -> Vec<Choice> {
    let any = std::iter::once(Choice::new("", "any", chosen));
    any.chain(words.iter().map(|word| Choice::new(word, word, chosen))).collect()
}

fn link(asked: &Asked, page: u32) -> String {
    let page = if page == 1 { String::new() } else { page.to_string() };
    let rest = [
        ("sort", asked.sort.as_str()),
        ("rows", &asked.rows),
        ("page", &page),
        ("authority", &asked.authority),
    ];
    format!("/assets{}", view::query(&[&filters(asked)[..], &rest[..]].concat()))
}

/// What narrows the list.
fn filters(asked: &Asked) -> [(&'static str, &str); 7] {
    [
        ("text", &asked.text),
        ("kind", &asked.kind),
        ("criticality", &asked.criticality),
        ("status", &asked.status),
        ("layer", &asked.layer),
        ("owner", &asked.owner),
        ("district", &asked.district),
    ]
}

/// What there is of something, each with how many, to choose from.
async fn grouped(state: &AppState, by: AssetGroup, chosen: &str) -> Result<Vec<Choice>, Problem> {
    let known = state.repository().asset_groups(by).await?;
    let any = std::iter::once(Choice::new("", "any", chosen));
    let each = known.iter().map(|(word, number)| {
        Choice::new(word, &format!("{} ({})", report::clipped(word, 60), words::count(*number)), chosen)
    });
    Ok(any.chain(each).collect())
}

/// The address of an asset's page.
fn path_of(asset: &Asset) -> String {
    format!("/assets/{}", view::encoded(&asset.id))
}

fn row(asset: &Asset, now: Timestamp, of: &str) -> Row {
    let more = asset.addresses.len().saturating_sub(1);
    let declared = asset.declared.as_deref().cloned().unwrap_or_default();
    let place: Vec<String> = [declared.place, declared.district].into_iter().flatten().collect();
    Row {
        id: asset.id.clone(),
        owner: report::clipped(&declared.owner.unwrap_or_default(), 120),
        place: report::clipped(&place.join(", "), 160),
        link: format!("{}{of}", path_of(asset)),
        whose: if of.is_empty() { String::new() } else { asset.authority_id.to_string() },
        name: report::clipped(&asset.label(), 200),
        addresses: asset.addresses.first().map(IpAddr::to_string).unwrap_or_default(),
        addresses_more: if more > 0 { format!("+{more}") } else { String::new() },
        kind: asset.kind.to_string(),
        confidence: asset.confidence,
        reasons: report::clipped(&asset.reasons.join("; "), 400),
        vendor: asset.vendor.as_deref().map(|vendor| report::clipped(vendor, 120)).unwrap_or_default(),
        criticality: asset.criticality.as_str(),
        protected: asset.criticality.is_protected(),
        status: asset.status.as_str(),
        last: seen(asset, now),
    }
}

/// `GET /assets/at/{address}`: on to the asset that was last seen there.
pub(super) async fn at(
    Reach(state): Reach,
    visit: Visit,
    Path(address): Path<String>,
) -> Result<Response, Trouble> {
    let parsed: IpAddr =
        address.parse().map_err(|_| visit.trouble(Problem::not_found("address", &address)))?;
    let found = match state.at(Findable::Address, &parsed.to_string()).await {
        Ok(theirs) => theirs.repository().asset_at(parsed).await.map_err(|error| visit.trouble(error))?,
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => None,
        Err(problem) => return Err(visit.trouble(problem)),
    };
    match found {
        Some(asset) => {
            let of = view::of(&state, &asset.authority_id);
            Ok(Redirect::to(&format!("{}{of}", path_of(&asset))).into_response())
        }
        None => stranger(&state, &visit, parsed).await.map_err(|problem| visit.trouble(problem)),
    }
}

#[derive(Template)]
#[template(path = "asset.html")]
struct AssetPage {
    frame: Frame,
    name: String,
    known: bool,
    facts: Vec<(&'static str, Markup)>,
    reasons: Vec<String>,
    addresses: Vec<Markup>,
    addresses_more: usize,
    protection: &'static str,
    reported: Option<Reported>,
    incidents: Vec<IncidentRow>,
    incidents_more: u64,
    all: String,
    /// Its id, in forms.
    asset_id: String,
    /// Its id as it stands in addresses, and what has to follow to mean this authority's.
    id: String,
    of: String,
    standing: &'static str,
    certificates: Vec<Certificate>,
    certificates_more: u64,
    /// What became of its addresses, where its identity is taken away.
    quarantine: Vec<String>,
    reasons_to_revoke: Vec<Choice>,
    sources: Vec<SourceRow>,
    talks: Vec<inventory::TalkRow>,
    one_because: Vec<String>,
    form: Option<inventory::Form>,
    /// Unset for who may not see the record.
    decisions: Option<Vec<Decision>>,
}

/// What was decided about an asset.
struct Decision {
    at: Markup,
    deed: String,
    who: String,
    details: String,
}

struct IncidentRow {
    id: String,
    of: String,
    severity: Markup,
    title: String,
    role: String,
    last: Markup,
    state: &'static str,
}

/// `GET /assets/{id}`.
pub(super) async fn show(
    Reach(state): Reach,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let reached = state.clone();
    let state = match state.at(Findable::Asset, &id).await {
        Ok(state) => state,
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
            // It may be one with another by now.
            let now = reached.repository().asset_once(&id).await.map_err(|error| visit.trouble(error))?;
            let Some(now) = now else { return Err(visit.trouble(problem)) };
            return Ok(
                Redirect::to(&format!("/assets/{}{}", view::encoded(&now), visit.query())).into_response()
            );
        }
        Err(problem) => return Err(visit.trouble(problem)),
    };
    let asset = state.repository().asset(&id).await.map_err(|error| visit.trouble(error))?;
    let Some(asset) = asset else { return Err(visit.trouble(Problem::not_found("asset", &id))) };
    let sources = crate::inventory::sources(&state, &id).await;
    let (sayings, one_because) = sources.map_err(|problem| visit.trouble(problem))?;
    let may_see =
        visit.user.as_ref().is_some_and(|user| user.may(Action::SeeRecord, &asset.authority_id).is_ok());
    let decisions = match may_see {
        true => Some(decisions(&state, &id).await.map_err(|problem| visit.trouble(problem))?),
        false => None,
    };
    let label = report::clipped(&asset.label(), 200);
    let frame = Frame::new(&state, &visit, "assets", label.clone()).await;
    let (incidents, incidents_more) =
        incidents(&state, &asset.addresses).await.map_err(|problem| visit.trouble(problem))?;
    let filter = CertificateFilter { asset: Some(asset.id.clone()), ..CertificateFilter::default() };
    let held = state.repository().certificates(&filter, Paging::new(1, MOST_CERTIFICATES)).await;
    let held = held.map_err(|error| visit.trouble(error))?;
    let quarantine = quarantined(&state, &asset).await.map_err(|problem| visit.trouble(problem))?;
    let body = AssetPage {
        name: label,
        quarantine,
        known: true,
        sources: sayings.iter().map(inventory::row).collect(),
        talks: inventory::talks(&sayings, state.now()),
        one_because,
        form: Some(inventory::form_of(&sayings)),
        decisions,
        facts: facts(&asset, state.now()),
        reasons: asset.reasons.iter().take(20).map(|reason| report::clipped(reason, 300)).collect(),
        addresses: asset
            .addresses
            .iter()
            .take(MOST_ADDRESSES)
            .map(|address| view::code(&address.to_string()))
            .collect(),
        addresses_more: asset.addresses.len().saturating_sub(MOST_ADDRESSES),
        protection: protection(asset.criticality),
        reported: posture::of(&state, &asset.id).await.map_err(|error| visit.trouble(error))?,
        incidents,
        incidents_more,
        all: all_of(asset.addresses.first().copied()),
        id: view::encoded(&asset.id),
        asset_id: asset.id.clone(),
        of: view::of(&state, &asset.authority_id),
        standing: asset.status.as_str(),
        certificates_more: held.total.saturating_sub(held.items.len() as u64),
        certificates: held.items.iter().map(|one| devices::certificate(&state, one, state.now())).collect(),
        reasons_to_revoke: crate::ca::REASONS
            .iter()
            .map(|reason| Choice::new(reason.as_str(), &reason.as_str().replace('-', " "), "unspecified"))
            .collect(),
        frame,
    };
    Ok(page(&body))
}

/// What became of the addresses of an asset whose identity is taken away.
async fn quarantined(state: &AppState, asset: &Asset) -> Result<Vec<String>, Problem> {
    let Some(quarantine) = quarantine::of(state, asset).await? else { return Ok(Vec::new()) };
    let said = quarantine.said();
    let named = Named::of(state, named_in(said.iter().map(String::as_str))).await?;
    Ok(said.iter().take(MOST_ADDRESSES).map(|line| report::clipped(&named.text(line), 300)).collect())
}

/// An address that no asset of ours has: somebody outside, or too old.
async fn stranger(state: &AppState, visit: &Visit, address: IpAddr) -> Result<Response, Problem> {
    let frame = Frame::new(state, visit, "assets", address.to_string()).await;
    let (incidents, incidents_more) = incidents(state, &[address]).await?;
    let status = if incidents.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let body = AssetPage {
        name: address.to_string(),
        known: false,
        facts: vec![("Address", view::code(&address.to_string()))],
        reasons: Vec::new(),
        addresses: Vec::new(),
        addresses_more: 0,
        protection: "",
        reported: None,
        incidents,
        incidents_more,
        all: all_of(Some(address)),
        id: String::new(),
        asset_id: String::new(),
        of: String::new(),
        standing: "",
        certificates: Vec::new(),
        certificates_more: 0,
        quarantine: Vec::new(),
        reasons_to_revoke: Vec::new(),
        sources: Vec::new(),
        talks: Vec::new(),
        one_because: Vec::new(),
        form: None,
        decisions: None,
        frame,
    };
    Ok((status, page(&body)).into_response())
}

fn all_of(address: Option<IpAddr>) -> String {
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    format!("/incidents{}", view::query(&[("address", &address)]))
}

const fn protection(criticality: Criticality) -> &'static str {
    match criticality {
        Criticality::Unknown => {
            "Nobody has said how much the city depends on it: it counts as protected and is never hit without a person."
        }
        Criticality::Protected => "Protected: it is never cut off without a person.",
        Criticality::Important => "Missed within the hour.",
        Criticality::Ordinary => "Can be cut off for a while without harm.",
    }
}

/// When it was last seen.
fn seen(asset: &Asset, now: Timestamp) -> Markup {
    if asset.last_seen == Asset::NEVER { Markup::text("not yet") } else { view::ago(asset.last_seen, now) }
}

fn facts(asset: &Asset, now: Timestamp) -> Vec<(&'static str, Markup)> {
    let text = |text: &str| Markup::text(&report::clipped(text, 200));
    let mut facts = vec![
        ("Kind", text(&format!("{} ({} % sure)", asset.kind, asset.confidence))),
        ("Criticality", text(asset.criticality.as_str())),
        ("Status", text(asset.status.as_str())),
        ("Last seen", seen(asset, now)),
        ("Known since", view::ago(asset.first_seen, now)),
    ];
    if let Some(vendor) = &asset.vendor {
        facts.push(("Maker", text(vendor)));
    }
    if let Some(mac) = asset.mac {
        facts.push(("Hardware address", view::code(&mac.to_string())));
    }
    if !asset.functions.is_empty() {
        facts.push(("Serves as", text(&asset.functions.join(", "))));
    }
    if let Some(declared) = &asset.declared {
        let windows: Vec<String> = declared.maintenance.iter().map(ToString::to_string).collect();
        let windows = (!windows.is_empty()).then(|| windows.join("; "));
        for (label, said) in [
            ("Owner", &declared.owner),
            ("Place", &declared.place),
            ("District", &declared.district),
            ("Serial number", &declared.serial),
            ("Maintenance", &windows),
            ("Note", &declared.note),
        ] {
            facts.extend(said.as_ref().map(|said| (label, text(said))));
        }
    }
    facts.push(("Layer", text(asset.layer.as_str())));
    facts.push(("Id", view::code(&asset.id)));
    facts
}

/// What was decided about an asset, the latest first.
async fn decisions(state: &AppState, id: &str) -> Result<Vec<Decision>, Problem> {
    let Ok(about) = ledger::Subject::new("asset", id) else { return Ok(Vec::new()) };
    let found = state.repository().decisions(Some(&about), Paging::new(1, MOST_DECISIONS)).await?;
    let now = state.now();
    let decision = |one: &store::DecisionRecord| Decision {
        at: view::ago(one.at, now),
        deed: one.deed.as_str().replace('-', " "),
        who: one.who.clone().unwrap_or_default(),
        details: report::clipped(&one.details.clone().unwrap_or_default(), 300),
    };
    Ok(found.items.iter().map(decision).collect())
}

/// The incidents of an asset's addresses, the latest first.
async fn incidents(state: &AppState, addresses: &[IpAddr]) -> Result<(Vec<IncidentRow>, u64), Problem> {
    let now = state.now();
    let mut found = Vec::new();
    let mut total = 0;
    for address in addresses.iter().take(8) {
        let filter = IncidentFilter {
            address: Some(*address),
            sort: IncidentSort::Newest,
            ..IncidentFilter::default()
        };
        let some = state.repository().incidents(&filter, Paging::new(1, MOST_INCIDENTS)).await?;
        total += some.total;
        found.extend(some.items.into_iter().map(|record| (*address, record)));
    }
    found.sort_by(|(_, a), (_, b)| {
        b.incident.last.cmp(&a.incident.last).then(a.incident.id.cmp(&b.incident.id))
    });
    let before = found.len() as u64;
    found.dedup_by(|(_, a), (_, b)| a.incident.id == b.incident.id && a.authority == b.authority);
    total = total.saturating_sub(before - found.len() as u64);
    let mut names = Names::new();
    for (_, record) in &found {
        names.extend(names_in(state, std::slice::from_ref(record)).await?);
    }
    let rows: Vec<IncidentRow> = found
        .iter()
        .take(MOST_INCIDENTS as usize)
        .map(|(address, record)| IncidentRow {
            id: record.incident.id.to_string(),
            of: view::of(state, &record.authority),
            severity: view::severity(record.incident.severity),
            title: report::clipped(&report::titled(&record.incident.title, &names), 300),
            role: record
                .incident
                .assets
                .iter()
                .find(|asset| asset.address == *address)
                .map(|asset| asset.role.to_string())
                .unwrap_or_default(),
            last: view::ago(record.incident.last, now),
            state: super::incidents::state_words(record.state),
        })
        .collect();
    let more = total.saturating_sub(rows.len() as u64);
    Ok((rows, more))
}
