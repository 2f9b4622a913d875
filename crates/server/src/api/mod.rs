//! The HTTP API under `/api/v1`, described by OpenAPI 3.1 at `/api/v1/openapi.json`.

mod problem;

pub use problem::Problem;
