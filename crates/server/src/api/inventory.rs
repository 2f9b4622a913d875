//! Assets: which there are, what is said of them, lists of them.

use super::{Body, Id, Listed, Parameters, Problem};
use crate::{auth::User, inventory, reach::Reach};
use axum::{Json, http::StatusCode};
use identify::{import::Column, merge::Known};
use model::Asset;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use store::{AssetFilter, AssetSort, Findable, Saying, Says};
use utoipa::{IntoParams, ToSchema};

/// Which assets to list. What is left out matches anything.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only of this kind, such as camera.
    kind: Option<String>,
    /// Only of this criticality: unknown, ordinary, important, protected.
    criticality: Option<String>,
    /// Only in this status: discovered, enrolled, quarantined, revoked, retired.
    status: Option<String>,
    /// Only of this layer: device, cloud, marketplace, application.
    layer: Option<String>,
    /// Only of this owner.
    owner: Option<String>,
    /// Only in this district.
    district: Option<String>,
    /// Only with this text in name, addresses, vendor, kind, or in what was declared.
    text: Option<String>,
    /// seen (the default), name or kind.
    #[param(value_type = Option<String>)]
    sort: Option<AssetSort>,
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// The assets, one page of them.
#[utoipa::path(
    get, path = "/api/v1/assets", tag = "assets", params(Which),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/Assets")))
)]
pub(super) async fn assets(
    Reach(state): Reach,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Listed<Asset>>, Problem> {
    let filter = AssetFilter {
        kind: which.kind,
        criticality: which.criticality,
        status: which.status,
        layer: which.layer,
        owner: which.owner,
        district: which.district,
        text: which.text.filter(|text| !text.is_empty()),
        sort: which.sort.unwrap_or_default(),
    };
    let paging = super::paging(which.page, which.per_page)?;
    Ok(Json(state.repository().assets(&filter, paging).await?.into()))
}

/// One asset, by its id, by one that it had, or by its address.
#[utoipa::path(
    get, path = "/api/v1/assets/{id}", tag = "assets",
    params(("id" = String, Path, description = "Its id, or its network address")),
    responses(
        (status = 200, description = "The asset", body = ref("#/components/schemas/Asset")),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn asset(Reach(state): Reach, Id(id): Id<String>) -> Result<Json<Asset>, Problem> {
    let not_found = || Problem::not_found("asset", &id);
    let named =
        |problem: Problem| if problem.status() == StatusCode::NOT_FOUND { not_found() } else { problem };
    let known = match id.parse::<IpAddr>() {
        Ok(address) => {
            let state = state.at(Findable::Address, &address.to_string()).await.map_err(named)?;
            state.repository().asset_at(address).await?
        }
        Err(_) => {
            let state = state.at(Findable::Asset, &id).await?;
            state.repository().asset(&id).await?
        }
    };
    known.map(Json).ok_or_else(not_found)
}

/// How a list is taken.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Reads the list and says what is wrong with it, and takes nothing.
    dry_run: Option<bool>,
}

/// What came of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Taken {
    /// Assets in the list.
    assets: usize,
    /// Those that nobody knew of; 0 where it was only tried.
    new: u64,
    /// Those that were known; 0 where it was only tried.
    known: u64,
}

/// Takes a list of assets as CSV or JSON, whole or not at all; `docs/inventory.md` describes the columns.
#[utoipa::path(
    post, path = "/api/v1/assets", tag = "assets", params(How),
    request_body(content = String, content_type = "text/csv", description = "CSV with a header, or JSON: an array of objects"),
    responses(
        (status = 200, description = "It was taken", body = Taken),
        (status = 413, description = "It is too long", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Something is wrong with it: `errors` by line and column; nothing was taken", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    Reach(state): Reach,
    user: User,
    Parameters(how): Parameters<How>,
    body: axum::body::Body,
) -> Result<Json<Taken>, Problem> {
    let bytes = axum::body::to_bytes(body, inventory::MOST_BYTES).await.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the list cannot be read to its end")
            .expected(format!("at most {} MiB", inventory::MOST_BYTES >> 20))
    })?;
    let only_try = how.dry_run.unwrap_or_default();
    let (assets, listing) = inventory::list(&state, &user, bytes.into(), only_try).await?;
    Ok(Json(Taken { assets, new: listing.new, known: listing.known }))
}

/// What is declared of some assets, as a list says it; an empty text takes back what was declared before.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Declaration {
    /// Of which assets, all of one authority.
    ids: Vec<String>,
    /// What people call it.
    name: Option<String>,
    /// One of the kinds, such as camera; layer and criticality come with it where nothing else is said.
    kind: Option<String>,
    /// device, cloud, marketplace or application.
    layer: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Where it stands.
    place: Option<String>,
    /// The part of the city.
    district: Option<String>,
    /// unknown, ordinary, important or protected.
    criticality: Option<String>,
    /// When it is worked on, such as `sun 02:00-04:00`; several with semicolons between.
    maintenance: Option<String>,
    /// Anything else.
    note: Option<String>,
}

/// Declares the same of some assets: it comes before what was guessed.
#[utoipa::path(
    patch, path = "/api/v1/assets", tag = "assets", request_body = Declaration,
    responses(
        (status = 200, description = "The assets as they are now", body = [Object]),
        (status = 404, description = "There is no such asset", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It does not go together", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn declare(
    Reach(state): Reach,
    user: User,
    Body(said): Body<Declaration>,
) -> Result<Json<Vec<Asset>>, Problem> {
    // What comes with a kind gives way to what is said of it.
    let columns = [
        (Column::Name, said.name),
        (Column::Kind, said.kind),
        (Column::Layer, said.layer),
        (Column::Owner, said.owner),
        (Column::Place, said.place),
        (Column::District, said.district),
        (Column::Criticality, said.criticality),
        (Column::Maintenance, said.maintenance),
        (Column::Note, said.note),
    ];
    let columns = columns.into_iter().filter_map(|(column, text)| Some((column, text?))).collect();
    Ok(Json(inventory::declare(&state, &user, said.ids, columns).await?))
}

/// Takes an asset off the list: what was declared of it is forgotten, and it too where nothing else speaks of it.
#[utoipa::path(
    delete, path = "/api/v1/assets/{id}", tag = "assets", params(("id" = String, Path, description = "Which")),
    responses(
        (status = 204, description = "Done"),
        (status = 409, description = "Nobody listed it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn unlist(
    Reach(state): Reach,
    user: User,
    Id(id): Id<String>,
) -> Result<StatusCode, Problem> {
    inventory::unlist(&state, &user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a source says of an asset.
#[derive(Serialize, ToSchema)]
pub(super) struct SourceOf {
    /// `enrolment`, `sensor`, `sensor` and a name, or `list`.
    source: String,
    /// What the source calls it.
    subject: String,
    /// By what it is known there, and when it was seen.
    #[schema(value_type = [Object])]
    known: Vec<Known>,
    /// What the source makes of it.
    #[schema(value_type = Object)]
    says: serde_json::Value,
}

/// Where an asset is known from.
#[derive(Serialize, ToSchema)]
pub(super) struct Sources {
    /// Each source's word.
    sources: Vec<SourceOf>,
    /// Why they are taken for one device.
    one_because: Vec<String>,
}

/// Where an asset is known from, and why these are one device.
#[utoipa::path(
    get, path = "/api/v1/assets/{id}/sources", tag = "assets", params(("id" = String, Path, description = "Which")),
    responses(
        (status = 200, description = "All", body = Sources),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sources(Reach(state): Reach, Id(id): Id<String>) -> Result<Json<Sources>, Problem> {
    let (sayings, one_because) = inventory::sources(&state, &id).await?;
    let source = |saying: &Saying| SourceOf {
        source: saying.source.to_string(),
        subject: saying.subject.clone(),
        known: saying.known(),
        says: match &saying.says {
            Says::Seen(observed) => serde_json::to_value(&observed.asset),
            Says::Listed(listed) => serde_json::to_value(listed),
        }
        .unwrap_or_default(),
    };
    Ok(Json(Sources { sources: sayings.iter().map(source).collect(), one_because }))
}

/// With which other asset this is one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct With {
    /// Its id.
    with: String,
}

/// Says that two assets are one device, whatever speaks against it.
#[utoipa::path(
    post, path = "/api/v1/assets/{id}/join", tag = "assets", params(("id" = String, Path, description = "Which")),
    request_body = With,
    responses(
        (status = 200, description = "The asset that both are", body = ref("#/components/schemas/Asset")),
        (status = 404, description = "There is no such asset", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They cannot be one", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn join(
    Reach(state): Reach,
    user: User,
    Id(id): Id<String>,
    Body(with): Body<With>,
) -> Result<Json<Asset>, Problem> {
    Ok(Json(inventory::join(&state, &user, &id, &with.with).await?))
}

/// What of an asset is another device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct What {
    /// The source, as `sources` says.
    source: String,
    /// What it calls the device.
    subject: String,
}

/// Says that what a source speaks of is another device than what the others of this asset speak of.
#[utoipa::path(
    post, path = "/api/v1/assets/{id}/part", tag = "assets", params(("id" = String, Path, description = "Which")),
    request_body = What,
    responses(
        (status = 200, description = "The asset that it is now", body = ref("#/components/schemas/Asset")),
        (status = 404, description = "There is no such asset or source", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They cannot be told apart", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn part(
    Reach(state): Reach,
    user: User,
    Id(id): Id<String>,
    Body(what): Body<What>,
) -> Result<Json<Asset>, Problem> {
    Ok(Json(inventory::part(&state, &user, &id, &what.source, &what.subject).await?))
}
