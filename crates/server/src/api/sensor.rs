//! Sensors on other machines: what they tell and are told.

use super::Problem;
use crate::{AppState, ca::peer::Peer, sensors::Sensor};
use axum::{Extension, Json, body::Body, extract::State};
use wire::{Heard, Orders};

/// Takes what the sensor whose certificate is shown in TLS noticed and did.
#[utoipa::path(
    post, path = "/api/v1/sensor/notices", tag = "devices", request_body(content = Object, content_type = "application/json"),
    responses(
        (status = 200, description = "It is kept", body = Object),
        (status = 401, description = "No certificate", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "One that is no good, or no sensor's", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not notices", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not kept: tell it again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn notices(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Result<Json<Heard>, Problem> {
    Ok(Json(Sensor::of(&state, peer).await?.notices(body).await?))
}

/// What the sensor whose certificate is shown in TLS is to do: at once where something is, else as soon as it is.
#[utoipa::path(
    post, path = "/api/v1/sensor/orders", tag = "devices", request_body(content = Object, content_type = "application/json"),
    responses(
        (status = 200, description = "Orders, or none after a while", body = Object),
        (status = 401, description = "No certificate", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "One that is no good, or no sensor's", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not a question", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn orders(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Result<Json<Orders>, Problem> {
    Ok(Json(Sensor::of(&state, peer).await?.orders(body).await?))
}
