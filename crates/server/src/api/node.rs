//! Settings and figures of this node.

use super::{Listed, Problem};
use crate::{live::SensorStatus, reach::Reach, state::Setting};
use axum::Json;
use model::Timestamp;
use serde::Serialize;
use store::SeverityCounts;
use utoipa::ToSchema;

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
