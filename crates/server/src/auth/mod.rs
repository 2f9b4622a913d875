//! Signing in.
//!
//! Guarantees: a sign-in link is good once and for [`LINK_SECS`], and is used up by nobody who only looks at it; sessions are
//! random, 256 bits, and kept as hashes; a session ends after [`IDLE_SECS`] without a request of a person (what a page asks by itself is none) and
//! after [`SESSION_SECS`] in any case; a database that does not answer lets nobody in.

mod cookies;
mod invite;
mod user;

use crate::{
    AppState,
    api::Problem,
    people::{
        device::{self, Granted},
        prove::{self, Proven},
    },
    secret,
};
use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use cookies::{COOKIE, KNOWN_COOKIE, STEP_COOKIE};
pub(crate) use cookies::{
    KNOWN_SECS, any_cookie, away, mark, session_of, set_away, set_cookie, set_step, step_of,
};
pub(crate) use invite::new_link;
pub use invite::{LinkError, administrator, make_link, make_token};
use ledger::{Deed, Salt, Subject};
use model::{IncidentId, Timestamp};
use serde::Deserialize;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};
use store::{Actor, Decided, NewSession, Person, Vouched};
pub use user::User;
pub(crate) use user::{identify, standing};

/// How long a sign-in link is good, in seconds.
pub const LINK_SECS: i64 = 15 * 60;
/// How long a session lasts without a request, in seconds.
pub const IDLE_SECS: i64 = 2 * 3600;
/// How long a session lasts in any case, in seconds.
pub const SESSION_SECS: i64 = 12 * 3600;
/// How a session began for which an identity provider vouches.
pub(crate) const IDENTITY: &str = "identity";
/// How old a session may be in which somebody changes by what they prove who they are, in seconds.
pub(crate) const FRESH_SECS: i64 = 15 * 60;

/// What the sign-in page is asked.
#[derive(Deserialize)]
pub(crate) struct SignIn {
    link: Option<String>,
    next: Option<String>,
    /// Begin again, although a code is waited for.
    again: Option<String>,
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

/// `GET /sign-in`: asks who it is. With a link it asks whether to use it: programs that look at mail before its reader
/// follow links too, and press no button.
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(asked): Query<SignIn>,
) -> Response {
    let next = asked.next.as_deref().filter(|next| is_local_path(next)).unwrap_or("/");
    match asked.link {
        Some(link) if secret::is_well_formed(&link) => crate::console::link_page(&state, &link, next),
        Some(_) => link_refused(&state, next).await,
        None => {
            let waits =
                step_of(&headers).is_some_and(|step| state.proofs().steps.is_waiting(step, state.now()));
            if waits && asked.again.is_none() {
                return crate::console::code_page(&state, "").into_response();
            }
            explain(&state, &headers, next, Reason::Closed).await
        }
    }
}

/// Lets somebody in who pressed the button, once, and sends them on.
pub(crate) async fn let_in_by_link(
    state: &AppState,
    link: &str,
    next: &str,
    headers: &HeaderMap,
    place: IpAddr,
) -> Result<Response, Problem> {
    if !state.attempts().allow(place, state.now()) {
        let mut response =
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many sign-in attempts from this address")
                .into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        return Ok(response);
    }
    let Some((who, session)) = redeem(state, link, headers, place).await? else {
        tracing::warn!(%place, "a sign-in link was refused");
        return Ok(link_refused(state, next).await);
    };
    tracing::info!(who = %who.id, %place, "signed in");
    let mut response = Redirect::to(next).into_response();
    set_cookie(&mut response, COOKIE, &session, SESSION_SECS);
    set_cookie(&mut response, KNOWN_COOKIE, &prove::mark_of(state, &who.id), KNOWN_SECS);
    Ok(response)
}

async fn link_refused(state: &AppState, next: &str) -> Response {
    let page = crate::console::sign_in_page(state, Reason::LinkRefused, next, false).await;
    (StatusCode::FORBIDDEN, page).into_response()
}

async fn redeem(
    state: &AppState,
    link: &str,
    headers: &HeaderMap,
    place: IpAddr,
) -> Result<Option<(Person, String)>, Problem> {
    if !secret::is_well_formed(link) {
        return Ok(None);
    }
    let secret = secret::fresh()?;
    let session = new_session(state, &secret, "link", device_of(headers), place);
    let who = state.repository().redeem_link(&secret::hash(link), session, salts()?).await?;
    Ok(who.map(|who| (who, secret)))
}

/// Lets somebody in who proved who they are, and sends them on. Their session in this browser before, where there is one,
/// ends.
pub(crate) async fn let_in(
    state: &AppState,
    proven: Proven,
    headers: &HeaderMap,
    place: IpAddr,
) -> Result<Response, Problem> {
    let Proven { person, method, next, vouched, before } = proven;
    let (repository, secret) = (state.repository(), secret::fresh()?);
    let session = new_session(state, &secret, method, device_of(headers), place);
    let opened = match vouched {
        Some(by) => repository.open_vouched_session(&person.id, by, session, salts()?).await?,
        None if repository.open_session(&person.id, session, salts()?).await? => Vouched::Opened,
        None => Vouched::Gone,
    };
    match opened {
        Vouched::Opened => {}
        Vouched::Gone => {
            return Err(no_more());
        }
        Vouched::NotTheirs => return Err(not_theirs()),
    }
    tracing::info!(who = %person.id, %place, method, "signed in");
    if let Some(before) = session_of(headers).or(before) {
        let decided = Decided {
            at: state.now(),
            who: Actor::Person { id: person.id.to_string(), login: person.login.to_string() },
            deed: Deed::SessionEnded,
            about: Vec::new(),
            details: Some("signed in again in the same browser".to_owned()),
            salts: salts()?,
        };
        let home = repository.of(person.authority.clone());
        home.end_sessions(&person.id, Some(&before), None, decided).await?;
    }
    let mut response = Redirect::to(&next).into_response();
    set_cookie(&mut response, COOKIE, &secret, SESSION_SECS);
    set_cookie(&mut response, KNOWN_COOKIE, &prove::mark_of(state, &person.id), KNOWN_SECS);
    set_cookie(&mut response, STEP_COOKIE, "", 0);
    Ok(response)
}

/// Somebody was suspended or erased meanwhile.
fn no_more() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "this person may not sign in any more")
}

/// Why a provider's word is not taken for somebody.
pub(crate) fn not_theirs() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "this identity provider may not say who you are: you belong to, or hold a role in, more than its authority and what is below it",
    )
    .expected("a passkey, or a password with a one-time code")
}

/// Opens a session for a program that somebody said yes to: theirs, for as long as it lasts.
pub(crate) async fn let_program_in(
    state: &AppState,
    by: &User,
    asker: &device::Asker,
) -> Result<Granted, Problem> {
    let secret = secret::fresh()?;
    let device = format!("bastide on {}", asker.machine);
    let session = new_session(state, &secret, store::COMMAND_LINE, device, asker.place);
    let expires = session.expires;
    let from = by.session().ok_or_else(no_more)?;
    let person = &from.person.id;
    if !by.writing(state.repository()).open_session_from(person, &from.id, session, salts()?).await? {
        return Err(no_more());
    }
    tracing::info!(who = %person, place = %asker.place, "let a program in");
    Ok(Granted { secret, expires })
}

/// A session that `secret` will open.
fn new_session(
    state: &AppState,
    secret: &str,
    method: &'static str,
    device: String,
    place: IpAddr,
) -> NewSession {
    let now = state.now();
    NewSession {
        hash: secret::hash(secret),
        method,
        device,
        place: place.to_canonical().to_string(),
        made: now,
        expires: now.plus_secs(SESSION_SECS),
    }
}

/// Browser and system, as far as they say: enough for somebody to know their own again.
fn device_of(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // In this order: browsers name those they are like.
    let browser = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "an unknown program".to_owned(),
    }
}

/// The page that says how to sign in. Who follows a link from another site comes without the cookie (`SameSite=Strict`)
/// although signed in: the page then asks once more, from our own site.
async fn explain(state: &AppState, headers: &HeaderMap, next: &str, reason: Reason) -> Response {
    if let Ok(Some(_)) = identify(state, headers).await {
        return Redirect::to(next).into_response();
    }
    crate::console::sign_in_page(state, reason, next, is_from_elsewhere(headers)).await
}

/// Whether another site sent the browser here, where the browser says.
pub(crate) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

/// `POST /sign-out`: ends the session.
pub(crate) async fn sign_out(State(state): State<AppState>, user: User) -> Result<Response, Problem> {
    if let Some(session) = user.session() {
        let decided = decided(&state, &user, Deed::SignedOut, &[], None)?;
        let home = state.repository().of(user.home().clone());
        home.end_sessions(&session.person.id, Some(&session.id), None, decided).await?;
    }
    let mut response = crate::console::sign_in_page(&state, Reason::SignedOut, "/", false).await;
    set_cookie(&mut response, COOKIE, "", 0);
    Ok(response)
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
pub(crate) fn salts() -> Result<[Salt; 2], secret::NoRandomness> {
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
        && (!path.starts_with("/sign-") || is_device_page(path))
        && path.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\')
}

/// The one page of signing in on which somebody has to be signed in already.
fn is_device_page(path: &str) -> bool {
    path.strip_prefix(crate::console::DEVICE_PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('?'))
}

/// How often each address has tried a link within the last minute. Bounded: where too many addresses try at once, they are
/// forgotten.
#[derive(Default)]
pub(crate) struct Attempts {
    recent: Mutex<HashMap<IpAddr, (Timestamp, u32)>>,
}

impl Attempts {
    const A_MINUTE: u32 = 30;
    const ADDRESSES: usize = 4096;

    fn allow(&self, address: IpAddr, now: Timestamp) -> bool {
        let address = crate::listen::household(address);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= Self::ADDRESSES {
            recent.retain(|_, (since, _)| now.seconds_since(*since).abs() < 60.0);
        }
        // Nobody guesses a link: this only bounds what one address costs, and forgets before it refuses anybody else.
        if recent.len() >= Self::ADDRESSES && !recent.contains_key(&address) {
            recent.clear();
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
        check("/sign-in/device?user_code=BCDF-GHJK", true);
        check("/sign-in/devices", false);
        let path = sign_in_path(&"/incidents?text=a b&x=%0d".replace(' ', "%20").parse().unwrap());
        assert_eq!(path, "/sign-in?next=/incidents%3Ftext%3Da%2520b%26x%3D%250d");
    }

    #[test]
    fn an_address_tries_thirty_links_a_minute() {
        let attempts = Attempts::default();
        let now = Timestamp::from_secs(1_000);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let tries = |now| (0..40).filter(|_| attempts.allow(one, now)).count();
        assert_eq!(tries(now), 30);
        assert!(attempts.allow("::ffff:192.0.2.2".parse().unwrap(), now));
        assert_eq!(tries(now.plus_secs(59)), 0);
        assert_eq!(tries(now.plus_secs(60)), 30);
        for n in 0..10_000_u32 {
            attempts.allow(IpAddr::V4(n.into()), now);
        }
        assert!(attempts.recent.lock().unwrap().len() <= Attempts::ADDRESSES);
    }

    #[tokio::test]
    async fn what_a_page_asks_by_itself_keeps_no_session_alive() {
        let dir = tempfile::tempdir().unwrap();
        let state = AppState::bare(dir.path()).await;
        let (session, now, repository) = (secret::fresh().unwrap(), state.now(), state.repository());
        let then = now.plus_secs(-IDLE_SECS + 3600);
        let ada = administrator(repository, then).await.unwrap();
        let hash = secret::hash(&session);
        let new = NewSession {
            made: then,
            expires: now.plus_secs(3600),
            ..new_session(&state, &session, "link", "x".into(), [192, 0, 2, 1].into())
        };
        assert!(repository.open_session(&ada.id, new, salts().unwrap()).await.unwrap());
        let ask = async |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_str(&format!("{COOKIE}={session}")).unwrap());
            headers.append(name, HeaderValue::from_static(value));
            assert!(identify(&state, &headers).await.unwrap().is_some());
            repository.session(&hash, now, then).await.unwrap().unwrap().seen
        };
        assert_eq!(ask("accept", "text/event-stream").await, then);
        assert_eq!(ask(user::BACKGROUND, "1").await, then);
        assert!(ask("accept", "text/html").await >= now, "somebody looks");
    }
}
