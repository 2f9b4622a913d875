//! What a browser keeps for this server.

use crate::secret;
use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

/// The `__Host-` prefix makes browsers refuse it without `Secure`, with a `Domain`, or for another path.
pub(super) const COOKIE: &str = "__Host-bastide";
/// What a browser keeps of who came in with it.
pub(super) const KNOWN_COOKIE: &str = "__Host-bastide-known";
/// How long it keeps that, in seconds.
pub(crate) const KNOWN_SECS: i64 = 180 * 86_400;
/// What waits for a code while somebody signs in.
pub(super) const STEP_COOKIE: &str = "__Host-bastide-step";
/// What waits while somebody is at their identity provider.
const AWAY_COOKIE: &str = "__Host-bastide-away";

/// The id of the session that a request shows, good or not.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<String> {
    cookie(headers, COOKIE).map(secret::hash)
}

/// The sign-in with a provider that this browser has begun.
pub(crate) fn away(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, AWAY_COOKIE)
}

/// Keeps in the browser which sign-in with a provider it has begun; an empty one takes it away. The provider's site sends it
/// back, so this one cookie comes along from another site; it opens nothing by itself.
pub(crate) fn set_away(response: &mut Response, state: &str) {
    keep_cookie(response, AWAY_COOKIE, state, waiting(state), "Lax");
}

/// The mark that this browser keeps.
pub(crate) fn mark(headers: &HeaderMap) -> Option<&str> {
    any_cookie(headers, KNOWN_COOKIE)
}

/// The first step of signing in that this browser has done.
pub(crate) fn step_of(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, STEP_COOKIE)
}

/// Keeps the first step in the browser; an empty one takes it away.
pub(crate) fn set_step(response: &mut Response, step: &str) {
    set_cookie(response, STEP_COOKIE, step, waiting(step));
}

/// How long the name of what waits is kept, in seconds; of nothing, not at all.
const fn waiting(name: &str) -> i64 {
    if name.is_empty() { 0 } else { crate::people::WAITING_SECS }
}

/// A cookie that holds one of our secrets.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    any_cookie(headers, name).filter(|value| secret::is_well_formed(value))
}

pub(crate) fn any_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

pub(crate) fn set_cookie(response: &mut Response, name: &str, value: &str, secs: i64) {
    keep_cookie(response, name, value, secs, "Strict");
}

fn keep_cookie(response: &mut Response, name: &str, value: &str, secs: i64, same_site: &str) {
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={secs}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_cookie_among_others() {
        let secret = secret::fresh().unwrap();
        let mut headers = HeaderMap::new();
        headers
            .append(header::COOKIE, HeaderValue::from_str(&format!("a=b; {COOKIE}={secret}; c=d")).unwrap());
        assert_eq!(cookie(&headers, COOKIE), Some(secret.as_str()));
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("bastide={secret}")).unwrap());
        assert_eq!(cookie(&headers, COOKIE), None);
        headers.insert(header::COOKIE, HeaderValue::from_static("__Host-bastide=short"));
        assert_eq!(cookie(&headers, COOKIE), None);
    }
}
