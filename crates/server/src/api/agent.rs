//! Agents of devices: what they report and are told, and what is kept of it.

use super::{Id, Problem};
use crate::{AppState, agents::Device, ca::peer::Peer, reach::Reach};
use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use model::Timestamp;
use serde::Serialize;
use store::{DeviceReport, Findable, ReportKind};
use utoipa::ToSchema;
use wire::Taken;

/// Takes a report of the device whose certificate is shown in TLS: its posture, or the SBOM of its software.
#[utoipa::path(
    post, path = "/api/v1/agent/report", tag = "devices", request_body(content = Object, content_type = "application/json"),
    responses(
        (status = 200, description = "It is kept: its number, and that of the newest settings", body = Object),
        (status = 401, description = "No certificate", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "One that is no good", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not a report", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn report(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Taken>, Problem> {
    Ok(Json(Device::of(&state, peer).await?.report(&headers, body).await?))
}

/// What the device whose certificate is shown in TLS is told, as a JWS.
#[utoipa::path(
    get, path = "/api/v1/agent/settings", tag = "devices",
    responses(
        (status = 200, description = "A compact JWS", body = String, content_type = "application/jose"),
        (status = 401, description = "No certificate", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "One that is no good", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn settings(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
) -> Result<impl IntoResponse, Problem> {
    let told = Device::of(&state, peer).await?.told().await?;
    Ok(([(header::CONTENT_TYPE, "application/jose")], told))
}

/// How a device said last that it stands.
#[derive(Serialize, ToSchema)]
pub(super) struct Said {
    /// The number of the report, by the device.
    number: u64,
    /// When it was made, by the device's clock.
    #[schema(value_type = String, format = DateTime)]
    made: Timestamp,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    came: Timestamp,
    /// What it says.
    #[schema(value_type = Object)]
    posture: serde_json::Value,
}

/// How an asset with an agent said last that it stands.
#[utoipa::path(
    get, path = "/api/v1/assets/{id}/posture", tag = "assets",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The last report", body = Said),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn posture(Reach(state): Reach, Id(id): Id<String>) -> Result<Json<Said>, Problem> {
    let DeviceReport { number, made, came, body, .. } = kept(&state, &id, ReportKind::Posture).await?;
    let posture = serde_json::from_str(&body).unwrap_or_default();
    Ok(Json(Said { number, made, came, posture }))
}

/// What an asset with an agent said last that is installed on it: CycloneDX 1.6.
#[utoipa::path(
    get, path = "/api/v1/assets/{id}/sbom", tag = "assets",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The list", body = Object, content_type = "application/vnd.cyclonedx+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sbom(Reach(state): Reach, Id(id): Id<String>) -> Result<impl IntoResponse, Problem> {
    let report = kept(&state, &id, ReportKind::Sbom).await?;
    Ok(([(header::CONTENT_TYPE, "application/vnd.cyclonedx+json; version=1.6")], report.body))
}

async fn kept(state: &AppState, id: &str, kind: ReportKind) -> Result<DeviceReport, Problem> {
    let state = state.at(Findable::Asset, id).await?;
    let report = state.repository().device_report(id, kind).await?;
    report.ok_or_else(|| Problem::not_found("report of asset", id))
}
