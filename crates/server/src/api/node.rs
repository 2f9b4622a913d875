//! Assets, settings and figures of this node.

use super::{Id, Listed, Parameters, Problem};
use crate::{live::SensorStatus, reach::Reach, state::Setting};
use axum::{Json, http::StatusCode};
use model::{Asset, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use store::{AssetFilter, AssetSort, Findable, SeverityCounts};
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
    /// Only with this text in name, addresses, vendor or kind.
    text: Option<String>,
    /// seen (the default), name or kind.
    #[param(value_type = Option<String>)]
    sort: Option<AssetSort>,
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// The assets seen, one page of them.
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
        text: which.text.filter(|text| !text.is_empty()),
        sort: which.sort.unwrap_or_default(),
    };
    let paging = super::paging(which.page, which.per_page)?;
    Ok(Json(state.repository().assets(&filter, paging).await?.into()))
}

/// One asset, by its id or by its address.
#[utoipa::path(
    get, path = "/api/v1/assets/{id}", tag = "assets",
    params(("id" = String, Path, description = "Its hardware address, or its network address")),
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

/// The settings in force, with their meaning and where each came from. Secrets are masked.
#[utoipa::path(
    get, path = "/api/v1/settings", tag = "node",
    responses((status = 200, description = "All", body = ref("#/components/schemas/Settings")))
)]
pub(super) async fn settings(Reach(state): Reach) -> Json<Listed<Setting>> {
    Json(Listed::all(state.node().settings.clone()))
}

/// The node's figures.
#[derive(Serialize, ToSchema)]
pub(super) struct Figures {
    /// Bastide's version.
    version: String,
    /// When this was read.
    #[schema(value_type = String)]
    at: Timestamp,
    /// Seconds since the start.
    uptime_seconds: u64,
    /// Open incidents by severity.
    #[schema(value_type = Object)]
    open_incidents: SeverityCounts,
    /// What the sensor last said of itself.
    #[schema(value_type = Object)]
    sensor: SensorStatus,
    /// How the store is doing.
    #[schema(value_type = Object)]
    store: store::Health,
}

/// The node's figures: sensor, store, open incidents.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "node",
    responses((status = 200, description = "The figures", body = Figures))
)]
pub(super) async fn stats(Reach(state): Reach) -> Result<Json<Figures>, Problem> {
    Ok(Json(Figures {
        version: state.node().version.clone(),
        at: state.now(),
        uptime_seconds: state.uptime_secs(),
        open_incidents: state.repository().open_incidents().await?,
        sensor: state.sensor(),
        store: state.repository().health().await,
    }))
}
