//! The doors: what is refused before any handler sees it.
//!
//! Guarantees: a request for a name that is not ours is refused (DNS rebinding); a request that changes something and
//! does not come from our own pages, or from a program with a token, is refused (forged requests); everybody gets
//! where [`routes`] lets them and nowhere else; parameters and bodies that nothing reads are refused; every answer carries the security headers; no answer takes longer to begin
//! than [`PATIENCE`].

use crate::{
    AppState,
    api::{Problem, unknown},
    auth::{self, User},
    reach::Granted,
    routes::{self, Door},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};
use hyper::body::Body as _;
use policy::{Denied, Grant};
use std::{net::IpAddr, time::Duration};

/// How long an answer may take to begin.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The names under which this server answers.
#[derive(Clone, Debug)]
pub struct Doors {
    hosts: Vec<String>,
    port: u16,
}

impl Doors {
    /// `localhost`, the loopback addresses, and the names and addresses given, all on `port`.
    #[must_use]
    pub fn new(names: &[String], addresses: &[IpAddr], port: u16) -> Self {
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec();
        hosts.extend(names.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()));
        hosts.extend(addresses.iter().map(|address| match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        }));
        hosts.sort();
        hosts.dedup();
        Self { hosts, port }
    }

    /// Whether a `Host` is ours.
    #[must_use]
    pub fn is_ours(&self, host: &str) -> bool {
        let (name, port) = split_port(host);
        let port_fits = match port {
            None => self.port == 443,
            Some(port) => port.parse() == Ok(self.port),
        };
        port_fits && self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name.trim_end_matches('.')))
    }

    /// Whether an `Origin` is one of our own pages.
    #[must_use]
    pub fn is_own_origin(&self, origin: &str) -> bool {
        origin.strip_prefix("https://").is_some_and(|host| self.is_ours(host))
    }
}

/// `name` and `port` of `name:port`; brackets around an IPv6 address stay.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// The outermost layer: headers on every answer, and an end to waiting.
pub(crate) async fn outer(request: Request, next: Next) -> Response {
    let is_static = request.uri().path().starts_with("/static/");
    let Ok(mut response) = tokio::time::timeout(PATIENCE, next.run(request)).await else {
        let mut response =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the answer took too long; try again")
                .into_response();
        harden(response.headers_mut(), false);
        return response;
    };
    harden(response.headers_mut(), is_static);
    response
}

/// Refuses what is not for us or not from us, then what nobody has signed in for.
pub(crate) async fn doors(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let host = host(request.uri(), request.headers());
    if !host.is_some_and(|host| state.doors().is_ours(host)) {
        let detail = format!("this server answers at {} only", state.node().url);
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, detail)
            .expected("a Host header that names this server; more names can be given with --name")
            .into_response();
    }
    let route = request.extensions().get::<MatchedPath>().cloned();
    let door = match &route {
        Some(route) => routes::door(request.method(), route.as_str()),
        // No route at all: only who is signed in learns that.
        None => Some(Door::SignedIn),
    };
    // Whoever may pass here is not looked up: also with the database away.
    let open = door == Some(Door::Anybody);
    if door == Some(Door::Proved) || open && !is_changing(request.method()) {
        return pass(request, door, next).await;
    }
    let user = match auth::identify(&state, request.headers()).await {
        Ok(user) => user,
        Err(problem) => return problem.into_response(),
    };
    // Nobody has nothing that could be used without their knowing, and is told that they are nobody.
    if is_changing(request.method())
        && (open || user.is_some())
        && !user.as_ref().is_some_and(User::is_program)
        && !is_from_our_pages(state.doors(), request.headers())
    {
        let detail = "a request that changes something must come from this console's own pages";
        return Problem::new(StatusCode::FORBIDDEN, detail)
            .expected(format!(
                "the header `Origin: {}`, or an API token as `Authorization: Bearer …`",
                state.node().url
            ))
            .into_response();
    }
    let Some(user) = user else {
        return if open { pass(request, door, next).await } else { closed(&request) };
    };
    let granted = match door {
        None => {
            return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes no such request")
                .see("/api/v1/openapi.json")
                .into_response();
        }
        Some(Door::Anybody | Door::Proved | Door::SignedIn) => Vec::new(),
        Some(Door::Of(action)) => {
            let granted = user.reach(action);
            if granted.is_empty() {
                return denied(user.may(action, user.home()));
            }
            granted
        }
        Some(Door::Here(action)) => match user.may_here(action) {
            Ok(grant) => vec![grant],
            no => return denied(no),
        },
    };
    request.extensions_mut().insert(Granted(granted.into()));
    request.extensions_mut().insert(user);
    pass(request, door, next).await
}

/// Lets through what holds nothing that its route does not read.
async fn pass(mut request: Request, door: Option<Door>, next: Next) -> Response {
    let Some(route) = request.extensions().get::<MatchedPath>().cloned() else {
        return next.run(request).await;
    };
    let route = route.as_str();
    // Whoever leads somebody here from elsewhere adds what they like.
    let from_elsewhere = matches!(door, Some(Door::Anybody | Door::Proved));
    if !from_elsewhere && !routes::reads_parameters(request.method(), route) {
        let narrows = matches!(door, Some(Door::Of(_) | Door::Here(_)));
        let known: &[&str] = if narrows { &["authority"] } else { &[] };
        let names = request.uri().query().unwrap_or_default().split('&');
        let names = names.map(|pair| pair.split('=').next().unwrap_or_default());
        if let Some(name) = names.filter(|name| !name.is_empty()).find(|name| !known.contains(name)) {
            return Problem::new(StatusCode::BAD_REQUEST, "a parameter of the address is wrong")
                .expected(unknown("parameter", name, known))
                .into_response();
        }
    }
    if !routes::reads_body(request.method(), route) {
        let body = std::mem::take(request.body_mut());
        if !body.is_end_stream() && axum::body::to_bytes(body, 0).await.is_err() {
            return Problem::new(StatusCode::BAD_REQUEST, "this address takes no body")
                .expected("the request without its body")
                .into_response();
        }
    }
    next.run(request).await
}

/// No, and who could.
fn denied(decision: Result<Grant, Denied>) -> Response {
    let detail = "you may not do this";
    let problem = Problem::new(StatusCode::FORBIDDEN, detail);
    match decision {
        Err(denied) => problem.expected(denied.to_string()).into_response(),
        Ok(_) => problem.into_response(),
    }
}

fn closed(request: &Request) -> Response {
    let wants_page = request.method() == Method::GET
        && !request.uri().path().starts_with("/api/")
        && request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
    if wants_page {
        return Redirect::to(&auth::sign_in_path(request.uri())).into_response();
    }
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, "nobody is signed in")
        .expected("a session from the sign-in link that `bastide up` prints, or `Authorization: Bearer` with a token")
        .into_response();
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bastide\""));
    response
}

/// The name that the request asks for: `:authority` in HTTP/2, `Host` in HTTP/1; where both are there they must agree.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let authority = uri.authority().map(|authority| authority.as_str());
    let mut named = headers.get_all(header::HOST).iter();
    let named = match (named.next(), named.next()) {
        (Some(host), None) => Some(host.to_str().ok()?),
        (None, _) => None,
        (Some(_), Some(_)) => return None,
    };
    match (authority, named) {
        (Some(authority), Some(named)) => (authority == named).then_some(named),
        (authority, named) => authority.or(named),
    }
}

fn is_changing(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Fetch Metadata where the browser sends it, else `Origin`; neither means no.
fn is_from_our_pages(doors: &Doors, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = text(header::ORIGIN).map(|origin| doors.is_own_origin(origin));
    match (text(HeaderName::from_static("sec-fetch-site")), origin) {
        (Some("same-origin"), origin) => origin != Some(false),
        (Some(_), _) => false,
        (None, origin) => origin == Some(true),
    }
}

/// Browsers say `Origin: null` for the forms of pages that name no referrer at all, which would then be nobody's.
fn harden(headers: &mut HeaderMap, is_static: bool) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
        connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'";
    for (name, value) in [
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), usb=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    if !is_static || !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_its_own_names_only() {
        let doors = Doors::new(&["Bastide.City.example".into()], &["10.0.0.5".parse().unwrap()], 8443);
        let check = |host: &str, expected: bool| assert_eq!(doors.is_ours(host), expected, "{host}");
        check("localhost:8443", true);
        check("LOCALHOST:8443", true);
        check("127.0.0.1:8443", true);
        check("[::1]:8443", true);
        check("bastide.city.example:8443", true);
        check("bastide.city.example.:8443", true);
        check("10.0.0.5:8443", true);
        check("localhost", false);
        check("localhost:8444", false);
        check("evil.example:8443", false);
        check("localhost:8443.evil.example:8443", false);
        check("", false);
        check(":8443", false);
        check("[::1]", false);
        let doors = Doors::new(&[], &[], 443);
        assert!(
            doors.is_ours("localhost") && doors.is_ours("localhost:443") && !doors.is_ours("localhost:8443")
        );
    }

    #[test]
    fn changes_come_from_our_pages() {
        let doors = Doors::new(&[], &[], 8443);
        let check = |headers: &[(&'static str, &'static str)], expected: bool| {
            let map = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(is_from_our_pages(&doors, &map), expected, "{headers:?}");
        };
        check(&[], false);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("sec-fetch-site", "none")], false);
        check(&[("origin", "https://localhost:8443")], true);
        check(&[("origin", "http://localhost:8443")], false);
        check(&[("origin", "https://localhost:9443")], false);
        check(&[("origin", "null")], false);
        check(&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], false);
        check(&[("sec-fetch-site", "same-origin"), ("origin", "https://localhost:8443")], true);
    }
}
