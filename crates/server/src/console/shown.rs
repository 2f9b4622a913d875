//! What is shown once: a sign-in link, a token.
//!
//! Guarantees: whatever makes it is a POST that leads to a page, and loading that page again makes nothing and shows nothing any
//! more; until then it lies sealed in the browser, for the session that made it and for that page, and for [`SECS`] at most.

use crate::{
    AppState,
    api::Problem,
    auth::{User, any_cookie, set_cookie},
};
use axum::{
    http::HeaderMap,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::{Serialize, de::DeserializeOwned};

const COOKIE: &str = "__Host-bastide-shown";
const SECS: i64 = 60;

/// Leads to the page at `path`, which will show it.
pub(super) fn lead_to<T: Serialize>(
    state: &AppState,
    user: &User,
    path: &str,
    what: &T,
) -> Result<Response, Problem> {
    let text = serde_json::to_vec(what).unwrap_or_default();
    let sealed = state.proofs().seal.seal(&purpose(path), session(user), &text)?;
    let mut response = Redirect::to(path).into_response();
    set_cookie(&mut response, COOKIE, &sealed, SECS);
    Ok(response)
}

/// What the page at `path` is to show this once.
pub(super) fn take<T: DeserializeOwned>(
    state: &AppState,
    user: &User,
    path: &str,
    headers: &HeaderMap,
) -> Option<T> {
    let sealed = any_cookie(headers, COOKIE)?;
    let text = state.proofs().seal.open(&purpose(path), session(user), sealed).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The page that shows it takes it out of the browser.
pub(super) fn forget(mut page: Response) -> Response {
    set_cookie(&mut page, COOKIE, "", 0);
    page
}

fn purpose(path: &str) -> String {
    format!("shown at {path}")
}

fn session(user: &User) -> &str {
    user.session().map_or("", |session| &session.id)
}
