//! The console: pages that work without script for every read and every action.
//!
//! Guarantees: every value is escaped where it is written ([`report::Escape`]); no page holds inline script or style;
//! what a person does goes through [`crate::act`], as it does for programs; whoever sees a page is signed in
//! ([`crate::guard`]).

mod account;
mod account_changes;
mod actions;
mod assets;
mod device;
mod devices;
mod files;
mod frame;
mod identity;
mod incident;
mod incidents;
mod inventory;
mod journal;
mod named;
mod overview;
mod people;
mod posture;
mod proof;
mod provider;
mod response;
mod settings;
mod shown;
mod sign_in;
mod tokens;
mod view;

pub(crate) use device::PATH as DEVICE_PATH;
pub(crate) use sign_in::{code_page, link_page, sign_in_page};

use crate::{AppState, api::Problem};
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, post},
};

/// The pages and what they are made of.
pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/", get(overview::show))
        .route("/live", get(overview::figures))
        .route("/incidents", get(incidents::show))
        .route("/incidents/{id}", get(incident::show))
        .route("/incidents/{id}/report.html", get(incident::download))
        .route("/incidents/{id}/close", post(actions::close))
        .route("/incidents/{id}/reopen", post(actions::reopen))
        .route("/plans/{id}/approve", post(actions::approve))
        .route("/plans/{id}/refuse", post(actions::refuse))
        .route("/commands/{id}/undo", post(actions::undo))
        .route("/commands/undo-all", post(actions::undo_all))
        .route("/exceptions/{id}/revoke", post(actions::revoke_exception))
        .route("/responding/stop", post(actions::stop_responding))
        .route("/responding/resume", post(actions::resume_responding))
        .route("/assets", get(assets::list))
        .route("/assets/at/{address}", get(assets::at))
        .route("/assets/list", get(inventory::show).post(inventory::list))
        .route("/assets/declare", post(inventory::declare))
        .route("/assets/{id}", get(assets::show))
        .route("/assets/{id}/unlist", post(inventory::unlist))
        .route("/assets/{id}/join", post(inventory::join))
        .route("/assets/{id}/part", post(inventory::part))
        .route("/assets/{id}/{deed}", post(devices::asset_stands))
        .route("/enrolment", get(devices::enrolment))
        .route("/enrolment/tokens", post(devices::make_token))
        .route("/enrolment/tokens/{id}/revoke", post(devices::revoke_token))
        .route("/enrolment/waiting/{id}/{deed}", post(devices::judge))
        .route("/enrolment/makers", post(devices::trust))
        .route("/enrolment/makers/{id}/remove", post(devices::distrust))
        .route("/certificates", get(devices::certificates))
        .route("/journal", get(journal::show))
        .route("/settings", get(settings::show))
        .route("/people", get(people::list).post(people::invite))
        .route("/people/{id}", get(people::show))
        .route("/people/{id}/{deed}", post(people::act))
        .route("/authorities", get(people::authorities).post(people::add_authority))
        .route("/authorities/{id}/rename", post(people::rename_authority))
        .route("/authorities/{id}/identity-provider", get(provider::show).post(provider::set))
        .route("/authorities/{id}/identity-provider/remove", post(provider::remove))
        .route("/tokens", get(tokens::show).post(tokens::make))
        .route("/tokens/{id}/revoke", post(tokens::revoke))
        .route("/theme", post(actions::theme))
        .route(DEVICE_PATH, get(device::show).post(device::answer))
        .route("/sign-in/link", post(sign_in::link))
        .route("/sign-in/password", post(sign_in::password))
        .route("/sign-in/code", post(sign_in::code))
        .route("/sign-in/passkey/begin", post(sign_in::passkey_begin))
        .route("/sign-in/passkey/finish", post(sign_in::passkey_finish))
        .route("/sign-in/with/{id}", get(identity::begin))
        .route("/sign-in/return/{id}", get(identity::returned))
        .route("/account", get(account::show))
        .route("/account/confirm", get(sign_in::confirm))
        .route("/account/passkeys/begin", post(account_changes::passkey_begin))
        .route("/account/passkeys/finish", post(account_changes::passkey_finish))
        .route("/account/credentials/{id}/remove", post(account_changes::remove))
        .route("/account/identities/{id}/connect", post(identity::connect))
        .route("/account/password", post(account_changes::set_password))
        .route("/account/password/confirm", post(account_changes::confirm_password))
        .route("/account/password/remove", post(account_changes::remove_password))
        .route("/account/recovery", post(account_changes::make_recovery))
        .route("/account/sessions/{id}/end", post(account_changes::end_session))
        .route("/account/sessions/end-others", post(account_changes::end_others))
        .route("/static/{file}", get(files::file))
}

/// What is answered where there is no such page.
pub(crate) async fn not_found(visit: frame::Visit, headers: HeaderMap) -> Response {
    let problem = Problem::new(StatusCode::NOT_FOUND, "there is no such page");
    if wants_page(&headers) { frame::error_page(&visit, &problem) } else { problem.into_response() }
}

/// The longest problem that is turned into a page.
const MOST_BYTES: usize = 64 * 1024;

/// A problem as it stands in an answer.
#[derive(serde::Deserialize)]
struct Told {
    detail: String,
    expected: Option<String>,
}

/// Turns problems into pages for whoever asked for a page; programs get them as they are.
pub(crate) async fn problems_as_pages(request: Request, next: Next) -> Response {
    if !wants_page(request.headers()) || request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let visit = frame::Visit::of(&mut parts);
    let response = next.run(Request::from_parts(parts, body)).await;
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind != Some("application/problem+json") {
        return response;
    }
    let (answer, body) = response.into_parts();
    let told = axum::body::to_bytes(body, MOST_BYTES).await.ok();
    let told = told.and_then(|bytes| serde_json::from_slice::<Told>(&bytes).ok());
    let mut problem = Problem::new(answer.status, told.as_ref().map_or("", |told| told.detail.as_str()));
    if let Some(expected) = told.and_then(|told| told.expected) {
        problem = problem.expected(expected);
    }
    let mut page = frame::error_page(&visit, &problem);
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = answer.headers.get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
