//! The console's pages.

use crate::{AppState, auth::Reason};
use axum::{
    Router,
    response::{Html, IntoResponse},
};

/// The pages and what they are made of.
pub(crate) fn router() -> Router<AppState> {
    Router::new()
}

/// The page that says how to sign in. `again`: the reader may be signed in already and comes from another site; the page
/// then goes there by itself (`<meta http-equiv="refresh">`), for a browser sends the cookie only from our own pages.
pub(crate) fn sign_in_page(
    _state: &AppState,
    reason: Reason,
    again: Option<&str>,
) -> impl IntoResponse + use<> {
    let refresh = again
        .map(|path| format!("<meta http-equiv=\"refresh\" content=\"0; url={}\">", path.replace('"', "%22")))
        .unwrap_or_default();
    Html(format!("<!doctype html><title>Bastide</title>{refresh}<p>{reason:?}"))
}
