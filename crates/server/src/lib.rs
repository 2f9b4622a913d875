//! The HTTP side: API and console.
//!
//! Guarantees: closed by default: but for what [`guard::is_open`] lists, nothing is answered without a session or a
//! token; whatever a sensor reports is durable before anybody is told; queues, connections, bodies and waiting times are
//! bounded.

pub mod act;
pub mod api;
pub mod auth;
mod console;
pub mod guard;
pub mod live;
mod secret;
mod state;

pub use guard::Doors;
pub use live::{Change, InputStatus, Order, OrderError, Orders, SensorStatus};
pub use state::{AppState, Node, Setting};

use axum::{Router, middleware, routing};

/// Everything that is served, behind its doors.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/sign-in", routing::get(auth::sign_in))
        .route("/sign-out", routing::post(auth::sign_out))
        .merge(console::router())
        .layer(middleware::from_fn_with_state(state.clone(), guard::doors))
        .layer(middleware::from_fn(guard::outer))
        .with_state(state)
}
