//! `/healthz`: whether database, sensor and disk are well, for a load balancer or a watchdog. Open to anybody, so it says
//! no more than that.

use crate::AppState;
use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// Below this much free disk the node is not well.
const LEAST_FREE: u64 = 64 << 20;
/// Figures older than this mean that the sensor hangs, in seconds.
const SILENT_SECS: f64 = 30.0;

/// How the node is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok` or `degraded`.
    status: &'static str,
    /// `ok`, or what is wrong.
    database: &'static str,
    /// For how long it has been, in seconds; only where something is wrong with the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_failing_secs: Option<u64>,
    /// `ok`, `none` (a console over existing data), or what is wrong.
    sensor: &'static str,
    /// `ok`, or what is wrong.
    disk: &'static str,
}

/// Whether database, sensor and disk are well.
#[utoipa::path(
    get, path = "/healthz", tag = "node", security(()),
    responses((status = 200, description = "All well", body = Health), (status = 503, description = "Something is not", body = Health))
)]
pub(crate) async fn healthz(State(state): State<AppState>) -> (StatusCode, Json<Health>) {
    let store = state.repository().health().await;
    let database = if store.ok { "ok" } else { "failing" };
    let disk = match free_bytes(&state) {
        Some(free) if free < LEAST_FREE => "full",
        Some(_) => "ok",
        None => "unreadable",
    };
    let sensor = sensor(&state);
    let well = database == "ok" && disk == "ok" && matches!(sensor, "ok" | "none" | "starting");
    let (code, status) =
        if well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "degraded") };
    (code, Json(Health { status, database, database_failing_secs: store.failing_secs, sensor, disk }))
}

fn sensor(state: &AppState) -> &'static str {
    if !state.has_sensor() {
        return "none";
    }
    let status = state.sensor();
    match status.at {
        None if state.uptime_secs() < 30 => "starting",
        None => "silent",
        Some(at) if state.now().seconds_since(at) > SILENT_SECS => "silent",
        Some(_) if status.inputs.iter().any(|input| input.problem.is_some()) => "blind in part",
        Some(_) => "ok",
    }
}

/// Bytes that this process may still write where the data is.
pub(crate) fn free_bytes(state: &AppState) -> Option<u64> {
    let disk = rustix::fs::statvfs(&state.node().data_dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
