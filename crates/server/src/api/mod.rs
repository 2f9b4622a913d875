//! The HTTP API under `/api/v1`, described by OpenAPI 3.1 at `/api/v1/openapi.json`.

mod agent;
mod certificates;
mod device;
mod enrolment;
mod extract;
mod incidents;
mod inventory;
mod issuers;
mod node;
mod people;
mod problem;
mod provider;
mod response;
mod sensor;
mod stream;

pub(crate) use extract::{Body, Id, Parameters, unknown};
pub use problem::Problem;
pub(crate) use problem::refusals_as_problems;

use crate::{AppState, auth::User};
use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use store::{Page, Paging};
use utoipa::{IntoParams, OpenApi as _, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Schemas of what the model's words look like in JSON, and how to sign in; the paths come from the handlers.
const DOCUMENT: &str = include_str!("openapi.json");

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Described;

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::one))
        .routes(routes!(incidents::close))
        .routes(routes!(incidents::reopen))
        .routes(routes!(incidents::exceptions))
        .routes(routes!(incidents::revoke))
        .routes(routes!(response::plans))
        .routes(routes!(response::plan))
        .routes(routes!(response::approve))
        .routes(routes!(response::refuse))
        .routes(routes!(response::commands))
        .routes(routes!(response::undo_all))
        .routes(routes!(response::command))
        .routes(routes!(response::undo))
        .routes(routes!(response::responding, response::set_responding))
        .routes(routes!(response::journal))
        .routes(routes!(response::decisions))
        .routes(routes!(people::authorities, people::add_authority))
        .routes(routes!(people::rename_authority))
        .routes(routes!(provider::provider, provider::set_provider, provider::remove_provider))
        .routes(routes!(people::people, people::invite))
        .routes(routes!(people::person, people::change, people::erase))
        .routes(routes!(people::link))
        .routes(routes!(people::sign_out))
        .routes(routes!(people::give))
        .routes(routes!(people::take))
        .routes(routes!(people::tokens, people::make_token))
        .routes(routes!(people::revoke_token))
        .routes(routes!(device::authorize))
        .routes(routes!(device::token))
        .routes(routes!(device::me))
        .routes(routes!(inventory::assets, inventory::list, inventory::declare))
        .routes(routes!(inventory::asset, inventory::unlist))
        .routes(routes!(inventory::sources))
        .routes(routes!(inventory::join))
        .routes(routes!(inventory::part))
        .routes(routes!(agent::report))
        .routes(routes!(agent::settings))
        .routes(routes!(sensor::notices))
        .routes(routes!(sensor::orders))
        .routes(routes!(agent::posture))
        .routes(routes!(agent::sbom))
        .routes(routes!(certificates::asset_stands))
        .routes(routes!(certificates::certificates))
        .routes(routes!(certificates::certificate))
        .routes(routes!(certificates::certificate_stands))
        .routes(routes!(certificates::authorities))
        .routes(routes!(issuers::root))
        .routes(routes!(issuers::request))
        .routes(routes!(issuers::import))
        .routes(routes!(enrolment::tokens, enrolment::make_token))
        .routes(routes!(enrolment::revoke_token))
        .routes(routes!(enrolment::enrolments))
        .routes(routes!(enrolment::approve))
        .routes(routes!(enrolment::refuse))
        .routes(routes!(enrolment::makers, enrolment::trust))
        .routes(routes!(enrolment::distrust))
        .routes(routes!(node::settings))
        .routes(routes!(node::stats))
        .routes(routes!(stream::stream))
        .routes(routes!(openapi))
        .routes(routes!(crate::metrics::metrics))
        .routes(routes!(crate::health::healthz))
}

/// The API, health and metrics.
pub(crate) fn router() -> Router<AppState> {
    routes().split_for_parts().0
}

/// The API's description, as it is served.
#[must_use]
pub fn document() -> serde_json::Value {
    let (_, described) = routes().split_for_parts();
    let mut document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let described = serde_json::to_value(described).unwrap_or_default();
    if let Some(paths) = described.get("paths") {
        document.as_object_mut().map(|document| document.insert("paths".into(), paths.clone()));
    }
    let schemas = described.pointer("/components/schemas").and_then(|schemas| schemas.as_object());
    if let (Some(from), Some(into)) =
        (schemas, document.pointer_mut("/components/schemas").and_then(|schemas| schemas.as_object_mut()))
    {
        into.extend(from.iter().map(|(name, schema)| (name.clone(), schema.clone())));
    }
    if let Some(info) = document.pointer_mut("/info/version") {
        *info = env!("CARGO_PKG_VERSION").into();
    }
    document
}

/// This description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "node",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
async fn openapi(_user: User) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document().to_string())
}

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichPage {
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// A list, or one page of it.
#[derive(Serialize)]
pub(crate) struct Listed<T> {
    items: Vec<T>,
    total: u64,
    page: u32,
    pages: u32,
    per_page: u32,
}

impl<T> Listed<T> {
    fn all(items: Vec<T>) -> Self {
        let total = items.len() as u64;
        Self { items, total, page: 1, pages: 1, per_page: u32::try_from(total).unwrap_or(u32::MAX) }
    }
}

impl<T> From<Page<T>> for Listed<T> {
    fn from(page: Page<T>) -> Self {
        let pages = page.pages();
        Self { items: page.items, total: page.total, page: page.page, pages, per_page: page.per_page }
    }
}

/// What was asked is on its way.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Where to look for what came of it; the stream says when.
    look: String,
}

fn accepted(look: String) -> (StatusCode, Json<Accepted>) {
    (StatusCode::ACCEPTED, Json(Accepted { look }))
}

fn paging(page: Option<u32>, per_page: Option<u32>) -> Result<Paging, Problem> {
    if page == Some(0) {
        return Err(Problem::parameter("page", "a number from 1"));
    }
    if per_page.is_some_and(|rows| rows == 0 || rows > Paging::MOST) {
        return Err(Problem::parameter("per_page", format!("a number from 1 to {}", Paging::MOST)));
    }
    Ok(Paging::new(page.unwrap_or(1), per_page.unwrap_or(50)))
}
