//! What a request carries, read with errors that say what was expected.

use super::Problem;
use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{StatusCode, Uri, request::Parts},
};
use serde::de::DeserializeOwned;
use std::{fmt::Display, str::FromStr};

/// The query, with unknown and wrong parameters refused by name.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&without_authority(&parts.uri)) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                Err(Problem::new(StatusCode::BAD_REQUEST, "a parameter of the address is wrong")
                    .expected(innermost(&rejection))
                    .see("/api/v1/openapi.json"))
            }
        }
    }
}

/// The address without the parameter that [`Reach`](crate::reach::Reach) takes.
fn without_authority(uri: &Uri) -> Uri {
    let Some(query) = uri.query() else { return uri.clone() };
    let rest: Vec<&str> =
        query.split('&').filter(|pair| *pair != "authority" && !pair.starts_with("authority=")).collect();
    format!("{}?{}", uri.path(), rest.join("&")).parse().unwrap_or_else(|_| uri.clone())
}

/// An id in the path.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T> FromRequestParts<S> for Id<T>
where
    T: FromStr,
    T::Err: Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the address has no id that can be read"))?;
        text.parse().map(Self).map_err(|error: T::Err| {
            Problem::new(StatusCode::BAD_REQUEST, "the id in the address is wrong")
                .expected(error.to_string())
        })
    }
}

/// A JSON body, with unknown and wrong fields refused by name.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::too_long()),
            Err(rejection) => {
                let detail = match &rejection {
                    JsonRejection::MissingJsonContentType(_) => {
                        "the body must be JSON (`Content-Type: application/json`)"
                    }
                    JsonRejection::JsonSyntaxError(_) => "the body is not JSON",
                    JsonRejection::JsonDataError(_) => "a field of the body is wrong",
                    _ => "the body cannot be read",
                };
                Err(Problem::new(rejection.status(), detail)
                    .expected(innermost(&rejection))
                    .see("/api/v1/openapi.json"))
            }
        }
    }
}

/// That a name is none of those that are known, in the words that bodies and parameters are refused with.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    match known {
        [] => format!("unknown {what} `{name}`, there are none"),
        known => format!("unknown {what} `{name}`, expected one of `{}`", known.join("`, `")),
    }
}

/// The error that says most: the last in the chain of causes.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string().chars().take(500).collect()
}
