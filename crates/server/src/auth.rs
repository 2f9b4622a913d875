//! Signing in.
//!
//! Guarantees: a sign-in link is good once and for [`LINK_SECS`]; link, session and token are random, 256 bits, and kept
//! as hashes; a session ends after [`IDLE_SECS`] without a request of a person (what a page asks by itself is none) and
//! after [`SESSION_SECS`] in any case; a database that does not answer lets nobody in.

use crate::{AppState, api::Problem, secret};
use axum::{
    extract::{ConnectInfo, FromRequestParts, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use ledger::{Deed, Salt, Subject};
use model::{IncidentId, Timestamp};
use serde::Deserialize;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};
use store::{Actor, Decided, StoreError};

/// How long a sign-in link is good, in seconds.
pub const LINK_SECS: i64 = 15 * 60;
/// How long a session lasts without a request, in seconds.
pub const IDLE_SECS: i64 = 12 * 3600;
/// How long a session lasts in any case, in seconds.
pub const SESSION_SECS: i64 = 7 * 24 * 3600;
/// Who a sign-in link is for, as long as there is one person only.
pub const ADMINISTRATOR: &str = "administrator";
/// A session is noted as seen at most this often, in seconds.
const TOUCH_SECS: i64 = 60;
/// What a page's script puts on requests that nobody asked for.
const BACKGROUND: &str = "bastide-background";
/// The `__Host-` prefix makes browsers refuse it without `Secure`, with a `Domain`, or for another path.
const COOKIE: &str = "__Host-bastide";

/// Somebody who is signed in, or a program with a token. A handler that takes one is never called without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    /// The hash of the session; unset for programs.
    session: Option<String>,
    may_act: bool,
}

impl User {
    /// Who it is, as the journal names them.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program with a token, not a person with a session.
    #[must_use]
    pub const fn is_program(&self) -> bool {
        self.session.is_none()
    }

    /// May change something, not only read.
    #[must_use]
    pub const fn may_act(&self) -> bool {
        self.may_act
    }
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // Put there by the doors; a route that is mounted past them is closed all the same.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "nobody is signed in"))
    }
}

/// Makes a sign-in link for `who` and returns its address. Links that were made before and not used end.
///
/// # Errors
/// [`LinkError`] where there is no randomness or the database does not keep it.
pub async fn make_link(
    repository: &store::Repository,
    url: &str,
    who: &str,
    now: Timestamp,
) -> Result<String, LinkError> {
    let link = secret::fresh()?;
    repository.add_link(&secret::hash(&link), who, now, now.plus_secs(LINK_SECS)).await?;
    Ok(format!("{url}/sign-in?link={link}"))
}

/// Makes a token for a program and returns it; it is not shown again.
///
/// # Errors
/// [`LinkError`] where there is no randomness or the database does not keep it.
pub async fn make_token(
    repository: &store::Repository,
    name: &str,
    may_act: bool,
    now: Timestamp,
    days: u32,
) -> Result<String, LinkError> {
    let token = secret::fresh()?;
    let scope = if may_act { "act" } else { "read" };
    let expires = now.plus_secs(i64::from(days) * 86_400);
    let kept = store::Token { name: name.to_owned(), scope: scope.to_owned(), made: now, expires };
    let details = Some(format!("{name}, may {scope}, until {expires}"));
    let (who, deed) = (Actor::Program, Deed::TokenMade);
    let decided = Decided { at: now, who, deed, about: Vec::new(), details, salts: salts()? };
    repository.add_token(&secret::hash(&token), &kept, decided).await?;
    Ok(token)
}

/// Why a link or a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] secret::NoRandomness),
    /// Not kept.
    #[error("the database did not keep it")]
    Store(#[from] StoreError),
}

/// Who sends a request: nobody where neither a session nor a token of ours is in it.
pub(crate) async fn identify(state: &AppState, headers: &HeaderMap) -> Result<Option<User>, Problem> {
    let now = state.now();
    if let Some(token) = bearer(headers) {
        let token = state.repository().token(&secret::hash(token), now).await?;
        return Ok(token.map(|token| User {
            may_act: token.scope == "act",
            name: format!("token {}", token.name),
            session: None,
        }));
    }
    let Some(cookie) = cookie(headers) else { return Ok(None) };
    let hash = secret::hash(cookie);
    let Some(session) = state.repository().session(&hash, now, now.plus_secs(-IDLE_SECS)).await? else {
        return Ok(None);
    };
    if !is_background(headers) && now.seconds_since(session.seen) > TOUCH_SECS as f64 {
        // Where it cannot be noted the session ends the earlier, nothing worse.
        if let Err(error) = state.repository().touch_session(&hash, now).await {
            tracing::warn!(%error, "a session was not noted as seen");
        }
    }
    Ok(Some(User { name: session.who, session: Some(hash), may_act: true }))
}

/// Whether a page asks by itself: the stream of changes, which browsers open again and again, and what its script fetches.
/// A screen that nobody looks at must not keep a session alive.
fn is_background(headers: &HeaderMap) -> bool {
    let streams = |accept: &HeaderValue| accept.as_bytes() == b"text/event-stream";
    headers.contains_key(BACKGROUND) || headers.get(header::ACCEPT).is_some_and(streams)
}

/// What the sign-in page is asked.
#[derive(Deserialize)]
pub(crate) struct SignIn {
    link: Option<String>,
    next: Option<String>,
}

/// Why the sign-in page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No session, or it has ended.
    Closed,
    /// The link was used before, is too old, or never was one.
    LinkRefused,
    /// Signed out just now.
    SignedOut,
}

/// `GET /sign-in`: takes a link and opens a session, or explains how to get a link.
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: axum::http::Method,
    headers: HeaderMap,
    Query(asked): Query<SignIn>,
) -> Response {
    let next = asked.next.as_deref().filter(|next| is_local_path(next)).unwrap_or("/");
    let Some(link) = asked.link else {
        return explain(&state, &headers, next, Reason::Closed).await;
    };
    // Looking ahead must not use the link up.
    let ahead = ["sec-purpose", "purpose", "x-moz"].iter().any(|name| headers.contains_key(*name));
    if ahead || method != axum::http::Method::GET {
        return StatusCode::NO_CONTENT.into_response();
    }
    if !state.attempts().allow(peer.ip(), state.now()) {
        let mut response =
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many sign-in attempts from this address")
                .into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        return response;
    }
    match redeem(&state, &link).await {
        Ok(Some((who, session))) => {
            tracing::info!(%who, %peer, "signed in");
            let mut response = Redirect::to(next).into_response();
            set_cookie(
                &mut response,
                &format!(
                    "{COOKIE}={session}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={SESSION_SECS}"
                ),
            );
            response
        }
        Ok(None) => {
            tracing::warn!(%peer, "a sign-in link was refused");
            let page = crate::console::sign_in_page(&state, Reason::LinkRefused, None);
            (StatusCode::FORBIDDEN, page).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn redeem(state: &AppState, link: &str) -> Result<Option<(String, String)>, Problem> {
    if !secret::is_well_formed(link) {
        return Ok(None);
    }
    let now = state.now();
    let session = secret::fresh()?;
    let who = state
        .repository()
        .redeem_link(&secret::hash(link), &secret::hash(&session), now, now.plus_secs(SESSION_SECS), salts()?)
        .await?;
    Ok(who.map(|who| (who, session)))
}

/// The page that says how to sign in. Who follows a link from another site comes without the cookie (`SameSite=Strict`)
/// although signed in: the page then asks once more, from our own site.
async fn explain(state: &AppState, headers: &HeaderMap, next: &str, reason: Reason) -> Response {
    if let Ok(Some(_)) = identify(state, headers).await {
        return Redirect::to(next).into_response();
    }
    let from_elsewhere =
        headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
    crate::console::sign_in_page(state, reason, from_elsewhere.then_some(next)).into_response()
}

/// `POST /sign-out`: ends the session.
pub(crate) async fn sign_out(State(state): State<AppState>, user: User) -> Result<Response, Problem> {
    if let Some(session) = &user.session {
        let decided = decided(&state, &user, Deed::SignedOut, &[], None)?;
        state.repository().end_sessions(Some(session), decided).await?;
    }
    let mut response = crate::console::sign_in_page(&state, Reason::SignedOut, None).into_response();
    set_cookie(&mut response, &format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"));
    Ok(response)
}

impl User {
    /// Who it is in the ledger.
    fn actor(&self) -> Actor {
        match self.session {
            Some(_) => Actor::Person { id: self.name.clone(), login: self.name.clone() },
            None => Actor::Token { name: self.name.clone(), person: ADMINISTRATOR.to_owned() },
        }
    }
}

/// A decision of `user`, on its way into the ledger. `about` and `details` name what it concerns; the details may be
/// personal.
///
/// # Errors
/// [`Problem`] where the machine gives no randomness: nothing may be done that cannot be written down.
pub(crate) fn decided(
    state: &AppState,
    user: &User,
    deed: ledger::Deed,
    about: &[(&str, &str)],
    details: Option<String>,
) -> Result<Decided, Problem> {
    let about = about
        .iter()
        .map(|(kind, id)| Subject::new(kind, id))
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    Ok(Decided { at: state.now(), who: user.actor(), deed, about, details, salts: salts()? })
}

/// Notes in the ledger that `user` opened or took evidence: once an hour for the same. Where it cannot be noted that is
/// logged, and the evidence shown all the same: somebody who has to act on an attack must see it.
pub(crate) async fn note_evidence(state: &AppState, user: Option<&User>, deed: Deed, incident: &IncidentId) {
    let Some(user) = user else { return };
    if !state.is_first_look(user.name(), deed, incident) {
        return;
    }
    let noted = async {
        let decided = decided(state, user, deed, &[("incident", incident.as_str())], None)?;
        Ok::<_, Problem>(state.repository().decide(decided).await?)
    };
    if let Err(problem) = noted.await {
        tracing::error!(problem = problem.detail(), %incident, "opened evidence was not noted");
    }
}

/// Salts for one decision.
fn salts() -> Result<[Salt; 2], secret::NoRandomness> {
    Ok([Salt::new(secret::random()?), Salt::new(secret::random()?)])
}

/// Where a page that is closed sends its reader.
pub(crate) fn sign_in_path(uri: &Uri) -> String {
    let next = uri.path_and_query().map_or("/", |path| path.as_str());
    if next == "/" || !is_local_path(next) {
        return "/sign-in".to_owned();
    }
    let mut path = String::from("/sign-in?next=");
    for byte in next.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// A path of this server: one slash, then nothing that a browser takes for another host.
pub(crate) fn is_local_path(path: &str) -> bool {
    path.len() <= 2_048
        && path.starts_with('/')
        && !path.starts_with("//")
        && !path.starts_with("/sign-")
        && path.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\')
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && secret::is_well_formed(token.trim())).then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
        .filter(|value| secret::is_well_formed(value))
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// How often each address has tried a link within the last minute. Bounded: where too many addresses try at once, all of
/// them wait.
#[derive(Default)]
pub(crate) struct Attempts {
    recent: Mutex<HashMap<IpAddr, (Timestamp, u32)>>,
}

impl Attempts {
    const A_MINUTE: u32 = 10;
    const ADDRESSES: usize = 4096;

    fn allow(&self, address: IpAddr, now: Timestamp) -> bool {
        let address = crate::listen::household(address);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= Self::ADDRESSES {
            recent.retain(|_, (since, _)| now.seconds_since(*since).abs() < 60.0);
        }
        if recent.len() >= Self::ADDRESSES && !recent.contains_key(&address) {
            return false;
        }
        let (since, tries) = recent.entry(address).or_insert((now, 0));
        if now.seconds_since(*since).abs() >= 60.0 {
            (*since, *tries) = (now, 0);
        }
        *tries = tries.saturating_add(1);
        *tries <= Self::A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_only_to_its_own_pages() {
        let check = |path: &str, expected: bool| assert_eq!(is_local_path(path), expected, "{path}");
        check("/", true);
        check("/incidents/inc-0123456789abcdef?page=2", true);
        check("//evil.example", false);
        check("/\\evil.example", false);
        check("https://evil.example", false);
        check("", false);
        check("/a\nb", false);
        check("/sign-in?next=/", false);
        check("/sign-out", false);
        let path = sign_in_path(&"/incidents?text=a b&x=%0d".replace(' ', "%20").parse().unwrap());
        assert_eq!(path, "/sign-in?next=/incidents%3Ftext%3Da%2520b%26x%3D%250d");
    }

    #[test]
    fn an_address_tries_ten_times_a_minute() {
        let attempts = Attempts::default();
        let now = Timestamp::from_secs(1_000);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let tries = |now| (0..20).filter(|_| attempts.allow(one, now)).count();
        assert_eq!(tries(now), 10);
        assert!(attempts.allow("::ffff:192.0.2.2".parse().unwrap(), now));
        assert_eq!(tries(now.plus_secs(59)), 0);
        assert_eq!(tries(now.plus_secs(60)), 10);
        for n in 0..10_000_u32 {
            attempts.allow(IpAddr::V4(n.into()), now);
        }
        assert!(attempts.recent.lock().unwrap().len() <= Attempts::ADDRESSES);
    }

    #[tokio::test]
    async fn what_a_page_asks_by_itself_keeps_no_session_alive() {
        let dir = tempfile::tempdir().unwrap();
        let state = AppState::bare(dir.path()).await;
        let (link, session) = (secret::fresh().unwrap(), secret::fresh().unwrap());
        let (now, repository) = (state.now(), state.repository());
        let then = now.plus_secs(-IDLE_SECS + 3600);
        repository.add_link(&secret::hash(&link), "ada", then, now).await.unwrap();
        let hash = secret::hash(&session);
        repository
            .redeem_link(&secret::hash(&link), &hash, then, now.plus_secs(3600), salts().unwrap())
            .await
            .unwrap();
        let ask = async |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_str(&format!("{COOKIE}={session}")).unwrap());
            headers.append(name, HeaderValue::from_static(value));
            assert!(identify(&state, &headers).await.unwrap().is_some());
            repository.session(&hash, now, then).await.unwrap().unwrap().seen
        };
        assert_eq!(ask("accept", "text/event-stream").await, then);
        assert_eq!(ask(BACKGROUND, "1").await, then);
        assert!(ask("accept", "text/html").await >= now, "somebody looks");
    }

    #[test]
    fn finds_its_cookie_among_others() {
        let secret = secret::fresh().unwrap();
        let mut headers = HeaderMap::new();
        headers
            .append(header::COOKIE, HeaderValue::from_str(&format!("a=b; {COOKIE}={secret}; c=d")).unwrap());
        assert_eq!(cookie(&headers), Some(secret.as_str()));
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("bastide={secret}")).unwrap());
        assert_eq!(cookie(&headers), None);
        headers.insert(header::COOKIE, HeaderValue::from_static("__Host-bastide=short"));
        assert_eq!(cookie(&headers), None);
    }
}
