//! Errors as RFC 9457 problem details: what a client may know, and what was expected.

use crate::secret::NoRandomness;
use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use store::StoreError;

/// What went wrong, for a client to read. What an operator needs is in the log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// What would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// Where to look for more.
    #[serde(skip_serializing_if = "Option::is_none")]
    see: Option<&'static str>,
    /// One by one, where several things are wrong.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    errors: Box<[String]>,
}

impl Problem {
    /// A problem with a status and a sentence.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            expected: None,
            see: None,
            errors: Box::default(),
        }
    }

    /// Says what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says where to look for more.
    #[must_use]
    pub fn see(mut self, see: &'static str) -> Self {
        self.see = Some(see);
        self
    }

    /// Says one by one what is wrong.
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = String>) -> Self {
        self.errors = faults.into_iter().collect();
        self
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(what: &str, id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} {id:?}"))
    }

    /// A parameter is wrong.
    #[must_use]
    pub fn parameter(name: &str, expected: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("the parameter `{name}` is wrong")).expected(expected)
    }

    /// A body that is longer than any that is taken.
    #[must_use]
    pub fn too_long() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long")
            .expected(format!("at most {} bytes", crate::BODY))
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What is wrong, one by one.
    #[must_use]
    pub fn each(&self) -> &[String] {
        &self.errors
    }

    /// What would have been right.
    #[must_use]
    pub fn what_was_expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }
}

/// Tells what an extractor refused, in its own words, as every other problem is told. What a witness and
/// EST answer is text by their standards.
pub(crate) async fn refusals_as_problems(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_est = path.starts_with(crate::ca::EST);
    let speaks_text = is_est || path == crate::witness::PATH;
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_plain = kind.is_some_and(|kind| kind.starts_with("text/plain"));
    if !is_plain || !response.status().is_client_error() {
        return response;
    }
    if speaks_text {
        let too_long = response.status() == StatusCode::PAYLOAD_TOO_LARGE && is_est;
        return if too_long {
            crate::ca::Refusal::from(Problem::too_long()).into_response()
        } else {
            response
        };
    }
    let (answer, body) = response.into_parts();
    if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::too_long().into_response();
    }
    let text = axum::body::to_bytes(body, 4 << 10).await.unwrap_or_default();
    Problem::new(answer.status, String::from_utf8_lossy(&text)).into_response()
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Moved) {
            return Self::new(
                StatusCode::CONFLICT,
                "roles changed while this was under way, and nothing was done",
            )
            .expected("the same again, where it may still be done");
        }
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the store did not answer a request");
        match error {
            StoreError::TooLarge { table, size, most, .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the {table} has {size} bytes"))
                    .expected(format!("at most {most} bytes"))
            }
            StoreError::Another { .. } => Self::new(StatusCode::CONFLICT, error.to_string()),
            StoreError::Full { .. } => Self::new(StatusCode::CONFLICT, error.to_string())
                .expected("room, or an administrator further up"),
            StoreError::Overloaded { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database is too slow at the moment; try again",
            ),
            StoreError::Closed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"),
            StoreError::Away { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database is away; the server connects again by itself, and its log says why",
            ),
            StoreError::Ledger(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the ledger cannot be continued, and nothing is decided that it does not hold; the server's log says why",
            ),
            StoreError::Database(_)
            | StoreError::NotKept
            | StoreError::Moved
            | StoreError::Unreadable { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer, or keeps nothing (where the disk is full, for one); the server's log says why",
            ),
        }
    }
}

impl From<NoRandomness> for Problem {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "a secret could not be made");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
