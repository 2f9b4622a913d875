//! The HTTP side: API and console.
//!
//! Guarantees: closed by default: nothing is answered but what [`routes`] opens, and to whom; whatever a sensor reports is durable before anybody is told; queues, connections, bodies and waiting times are
//! bounded.

pub mod act;
pub mod agents;
pub mod api;
pub mod auth;
pub mod basis;
pub mod ca;
pub mod client;
mod console;
mod enrol;
pub mod guard;
mod health;
pub mod intake;
mod inventory;
pub mod keyfile;
mod ledger_files;
pub mod listen;
pub mod live;
mod manage;
mod metrics;
pub mod notify;
mod people;
mod provider;
pub mod quarantine;
mod reach;
pub mod routes;
mod secret;
mod sensors;
mod state;
mod suspending;
pub mod tls;
mod unread;
pub mod witness;
mod words;

pub use guard::Doors;
pub use live::{Change, InputStatus, Order, OrderError, Orders, SensorStatus};
pub use manage::plain_name as name;
pub use people::StartError;
pub use state::{AppState, Clock, Node, Setting};

use axum::{Router, extract::DefaultBodyLimit, middleware, routing};

/// The largest body of a request, in bytes.
pub const BODY: usize = 64 << 10;

/// Revocation lists, OCSP and issuers' certificates, and nothing else: each is signed, so that it needs no TLS, which could not be
/// verified without them.
pub fn status_router(state: AppState) -> Router {
    ca::status_router()
        .layer(middleware::from_fn(api::refusals_as_problems))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(guard::outer))
        .with_state(state)
}

/// Everything that is served, behind its doors.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/sign-in", routing::get(auth::sign_in))
        .route("/sign-out", routing::post(auth::sign_out))
        .route(ledger_files::PATH, routing::get(ledger_files::serve))
        .merge(witness::router())
        .merge(ca::router())
        .merge(api::router())
        .merge(console::router())
        .fallback(console::not_found)
        .layer(middleware::from_fn(api::refusals_as_problems))
        .layer(middleware::from_fn(console::problems_as_pages))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(state.clone(), guard::doors))
        // Once more: what the doors themselves refuse is told as a page too.
        .layer(middleware::from_fn(console::problems_as_pages))
        .layer(middleware::from_fn(guard::outer))
        .with_state(state)
}
