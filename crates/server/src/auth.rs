//! Signing in.
//!
//! Guarantees: a sign-in link is good once and for [`LINK_SECS`], is used up by nobody who only looks at it, and is a leaf in
//! the ledger; link, session and token are random, 256 bits, and kept
//! as hashes; a session ends after [`IDLE_SECS`] without a request of a person (what a page asks by itself is none) and
//! after [`SESSION_SECS`] in any case; a database that does not answer lets nobody in.

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
    extract::{FromRequestParts, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use ledger::{Deed, Salt, Subject};
use model::{AuthorityId, AuthorityRole, Holding, IncidentId, LoginName, PersonId, PersonState, Timestamp};
use policy::{Action, Asker, DecisionPoint, Denied, Grant, Kind};
use serde::Deserialize;
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};
use store::{
    Actor, Decided, Ground, MOST_TOKENS, NewLink, NewSession, Person, Repository, Session, StoreError, Taken,
    Tree, Vouched,
};

/// How long a sign-in link is good, in seconds.
pub const LINK_SECS: i64 = 15 * 60;
/// How long a session lasts without a request, in seconds.
pub const IDLE_SECS: i64 = 2 * 3600;
/// How long a session lasts in any case, in seconds.
pub const SESSION_SECS: i64 = 12 * 3600;
/// A session is noted as seen at most this often, in seconds.
const TOUCH_SECS: i64 = 60;
/// What a page's script puts on requests that nobody asked for.
const BACKGROUND: &str = "bastide-background";
/// The `__Host-` prefix makes browsers refuse it without `Secure`, with a `Domain`, or for another path.
const COOKIE: &str = "__Host-bastide";
/// What a browser keeps of who came in with it.
const KNOWN_COOKIE: &str = "__Host-bastide-known";
/// How long it keeps that, in seconds.
pub(crate) const KNOWN_SECS: i64 = 180 * 86_400;
/// What waits for a code while somebody signs in.
const STEP_COOKIE: &str = "__Host-bastide-step";
/// What waits while somebody is at their identity provider.
const AWAY_COOKIE: &str = "__Host-bastide-away";
/// How a session began for which an identity provider vouches.
pub(crate) const IDENTITY: &str = "identity";
/// How the ledger tells what nobody did who is signed in.
const BY_HAND: &str = "by a command on the machine itself";
/// How old a session may be in which somebody changes by what they prove who they are, in seconds.
pub(crate) const FRESH_SECS: i64 = 15 * 60;

/// Somebody who is signed in, or a program with a token. A handler that takes one is never called without.
#[derive(Clone)]
pub struct User {
    name: String,
    /// Where they belong: what they decide about themselves stands in its ledger.
    home: AuthorityId,
    actor: Actor,
    session: Option<Arc<Session>>,
    /// Each of these has to be allowed: a token, and whoever made it.
    held: Arc<[Held]>,
    /// What was looked at to know that.
    grounds: Arc<[Ground]>,
    tree: Arc<Tree>,
    point: Arc<DecisionPoint>,
    /// The node's own authority.
    here: AuthorityId,
}

/// Somebody or something with its roles.
#[derive(Debug)]
struct Held {
    kind: Kind,
    id: String,
    holds: Vec<Holding>,
}

impl Held {
    fn asker(&self) -> Asker<'_> {
        Asker { kind: self.kind, id: &self.id, holds: &self.holds }
    }
}

impl User {
    /// Who it is, as the journal names them.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who it is in texts that cannot be changed later, such as the sensor's journal: a person by their id, so that nothing there
    /// says who they were once they are erased.
    pub(crate) fn lasting_name(&self) -> String {
        match &self.actor {
            Actor::Person { id, .. } => id.clone(),
            // What a token is called is in the words of its maker.
            Actor::Token { person, .. } if person.parse::<PersonId>().is_ok() => format!("token of {person}"),
            Actor::Program | Actor::Machine(_) | Actor::Token { .. } => self.name.clone(),
        }
    }

    /// The roles that it has; a token's are also those of whoever made it.
    pub(crate) fn holds(&self) -> &[Holding] {
        self.held.first().map(|held| held.holds.as_slice()).unwrap_or_default()
    }

    /// A program, with a token or as somebody's command line: what it sends is its own doing, and no page's.
    #[must_use]
    pub fn is_program(&self) -> bool {
        self.session.as_deref().is_none_or(Session::is_command_line)
    }

    /// The session, for a person; also that of their command line.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Whether this is who they are, themselves and not by a token.
    pub(crate) fn is(&self, person: &PersonId) -> bool {
        self.session().is_some_and(|session| session.person.id == *person)
    }

    /// Whether a token of theirs may hold a role in an authority: whoever makes tokens, where they may all that it may.
    pub(crate) fn may_hand_on(&self, role: AuthorityRole, authority: &AuthorityId) -> bool {
        let holds = [Holding { role, authority: authority.clone() }];
        let token = Asker { kind: Kind::Program, id: "a token", holds: &holds };
        let place = self.tree.lineage(authority);
        self.may(Action::MakeTokens, authority).is_ok()
            && Action::ALL.iter().all(|action| {
                self.point.decide(token, *action, &place).is_err() || self.may(*action, authority).is_ok()
            })
    }

    /// Whether tokens of theirs may hold a role where they hold one.
    pub(crate) fn hands_on(&self, role: AuthorityRole) -> bool {
        let held = self.held.first();
        held.is_some_and(|held| held.holds.iter().any(|held| self.may_hand_on(role, &held.authority)))
    }

    /// Whether they proved who they are so lately that they may change by what they do. A session that began later than now
    /// is none such: a clock was put back. A command line's is none, because a file on a disk is no proof of a person.
    #[must_use]
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        // A provider's word opens what its authority may open, and changes nothing that stays when somebody rises above it.
        self.is_recent(now) && self.session().is_some_and(|session| session.method != IDENTITY)
    }

    /// Whether they came in, themselves and in a browser, so lately that they may let a program in.
    pub(crate) fn is_recent(&self, now: Timestamp) -> bool {
        let session = self.session().filter(|session| !session.is_command_line());
        let age = session.map(|session| now.seconds_since(session.made));
        age.is_some_and(|age| (0.0..FRESH_SECS as f64).contains(&age))
    }

    /// The repository as they may write: only while they are who they were, with the roles that they had.
    pub(crate) fn writing(&self, repository: &Repository) -> Repository {
        repository.on_grounds(&self.grounds)
    }

    /// Where they belong.
    #[must_use]
    pub const fn home(&self) -> &AuthorityId {
        &self.home
    }

    /// Whether they may do something in an authority.
    ///
    /// # Errors
    /// [`Denied`] with the roles that may.
    pub(crate) fn may(&self, action: Action, authority: &AuthorityId) -> Result<Grant, Denied> {
        let point = &self.point;
        let place = self.tree.lineage(authority);
        let mut grant = None;
        for held in self.held.iter() {
            grant = Some(point.decide(held.asker(), action, &place)?);
        }
        // Nobody at all may nothing.
        let nobody = Asker { kind: Kind::Person, id: "nobody", holds: &[] };
        grant.map_or_else(|| point.decide(nobody, action, &place), Ok)
    }

    /// Whether they may do something in the node's own authority.
    ///
    /// # Errors
    /// [`Denied`] with the roles that may.
    pub(crate) fn may_here(&self, action: Action) -> Result<Grant, Denied> {
        self.may(action, &self.here)
    }

    /// Whether they may do something in any authority: those where they hold a role are asked first, and mostly do.
    pub(crate) fn may_anywhere(&self, action: Action) -> bool {
        let Some(held) = self.held.first() else { return false };
        held.holds.iter().any(|holding| self.may(action, &holding.authority).is_ok())
            || !self.reach(action).is_empty()
    }

    /// All authorities in which they may do something. Asked of those in which they hold a role, and of all below these.
    pub(crate) fn reach(&self, action: Action) -> Vec<Grant> {
        let Some((held, others)) = self.held.split_first() else { return Vec::new() };
        let places: BTreeSet<&AuthorityId> = held.holds.iter().map(|holding| &holding.authority).collect();
        let below = self.tree.all().map(|authority| self.tree.lineage(&authority.id));
        let below = below.filter(|lineage| lineage.upwards().any(|id| places.contains(id)));
        let granted = self.point.decide_each(held.asker(), action, below);
        others.iter().fold(granted, |granted, held| {
            let places = granted.iter().map(|grant| self.tree.lineage(grant.authority()));
            self.point.decide_each(held.asker(), action, places)
        })
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

/// The first administrator of the repository's authority, who is made where it has none.
///
/// # Errors
/// [`LinkError`] where there is no randomness or the database does not answer.
pub async fn administrator(repository: &Repository, now: Timestamp) -> Result<Person, LinkError> {
    if let Some(person) = repository.administrator().await? {
        return Ok(person);
    }
    let authority = repository.authority().clone();
    let login = if authority == AuthorityId::local() {
        "administrator".to_owned()
    } else {
        format!("administrator@{authority}")
    };
    let login: LoginName = login.parse().map_err(LinkError::Login)?;
    let known = repository.person_by_login(&login).await?;
    // Whoever took that login elsewhere does not become administrator here for it.
    let login = match &known {
        Some(person) if person.authority != authority => {
            let number = u32::from_be_bytes(secret::random()?);
            format!("{login}-{number:08x}").parse().map_err(LinkError::Login)?
        }
        _ => login,
    };
    let person = match known {
        // Suspended, or without the role: somebody on the machine itself outranks that.
        Some(person) if person.authority == authority => person,
        _ => Person {
            authority,
            id: PersonId::from_random(secret::random()?),
            name: "Administrator".to_owned(),
            login,
            state: PersonState::Active,
            made: now,
        },
    };
    let decided = |deed| {
        let about =
            vec![Subject::new("person", &person.id).map_err(|error| LinkError::Login(error.to_string()))?];
        let details = Some(BY_HAND.to_owned());
        Ok::<_, LinkError>(Decided { at: now, who: Actor::Program, deed, about, details, salts: salts()? })
    };
    // The only one there is does everything; who comes later is given what they need.
    let roles = [AuthorityRole::Administrator, AuthorityRole::Analyst, AuthorityRole::Operator];
    if !repository.add_person(&person, &roles, decided(Deed::PersonInvited)?).await? {
        // What was begun before does not rise with them.
        repository.end_sessions(&person.id, None, None, decided(Deed::SessionEnded)?).await?;
        let active = Some(PersonState::Active);
        let changed =
            repository.change_person(&person.id, None, active, decided(Deed::PersonChanged)?).await?;
        let given =
            repository.give_role(&person.id, AuthorityRole::Administrator, decided(Deed::RoleGiven)?).await?;
        if changed != Taken::Done || !given && repository.administrator().await?.is_none() {
            return Err(LinkError::Login(format!("{} could not be made an administrator", person.login)));
        }
    }
    Ok(person)
}

/// Makes a sign-in link for somebody, good for `secs`, and returns its address. Links of theirs that were not used end. `by`
/// made it, or somebody on the machine itself.
///
/// # Errors
/// [`LinkError`] where there is no randomness or the database does not keep it.
pub async fn make_link(
    repository: &Repository,
    url: &str,
    person: &Person,
    by: Option<&User>,
    now: Timestamp,
    secs: i64,
) -> Result<String, LinkError> {
    let (link, address) = new_link(url, now, secs)?;
    let about =
        vec![Subject::new("person", &person.id).map_err(|error| LinkError::Login(error.to_string()))?];
    let who = by.map_or(Actor::Program, |user| user.actor.clone());
    let details = by.is_none().then(|| BY_HAND.to_owned());
    let decided = Decided { at: now, who, deed: Deed::LinkMade, about, details, salts: salts()? };
    if !repository.of(person.authority.clone()).add_link(&person.id, link, decided).await? {
        return Err(LinkError::Login(format!("{} may not sign in", person.login)));
    }
    Ok(address)
}

/// A link that is kept nowhere yet, and its address.
pub(crate) fn new_link(
    url: &str,
    now: Timestamp,
    secs: i64,
) -> Result<(NewLink, String), secret::NoRandomness> {
    let link = secret::fresh()?;
    let kept = NewLink { hash: secret::hash(&link), made: now, expires: now.plus_secs(secs) };
    Ok((kept, format!("{url}/sign-in?link={link}")))
}

/// Makes a token for a program in the repository's authority and returns it; it is not shown again. `by` made it, or somebody on
/// the machine itself.
///
/// # Errors
/// [`LinkError`] where there is no randomness or the database does not keep it.
pub async fn make_token(
    repository: &Repository,
    by: Option<&User>,
    name: &str,
    roles: &[AuthorityRole],
    now: Timestamp,
    days: u32,
) -> Result<String, LinkError> {
    let token = secret::fresh()?;
    let expires = now.plus_secs(i64::from(days) * 86_400);
    let kept = store::Token {
        id: secret::hash(&token),
        authority: repository.authority().clone(),
        name: name.to_owned(),
        roles: roles.to_vec(),
        person: by.and_then(User::session).map(|session| session.person.id.clone()),
        made: now,
        expires,
        used: None,
    };
    let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let details = Some(format!("{name}, as {}, until {expires}", words.join(" and ")));
    let who = by.map_or(Actor::Program, |user| user.actor.clone());
    let deed = Deed::TokenMade;
    let decided = Decided { at: now, who, deed, about: Vec::new(), details, salts: salts()? };
    if !repository.add_token(&kept, decided).await? {
        return Err(LinkError::TooMany);
    }
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
    /// A name that is none.
    #[error("{0}")]
    Login(String),
    /// Too many tokens.
    #[error("this authority has {MOST_TOKENS} tokens, and no more are kept: revoke some")]
    TooMany,
}

/// Who sends a request: nobody where neither a session nor a token of ours is in it.
pub(crate) async fn identify(state: &AppState, headers: &HeaderMap) -> Result<Option<User>, Problem> {
    let now = state.now();
    let repository = state.repository();
    let seen_since = now.plus_secs(-IDLE_SECS);
    if let Some(secret) = bearer(headers) {
        let hash = secret::hash(secret);
        let Some(token) = repository.token(&hash, now).await? else {
            let session = repository.session(&hash, now, seen_since).await?;
            // What opens a browser's session is a cookie and nothing else, and the other way round.
            return match session.filter(Session::is_command_line) {
                Some(session) => Ok(Some(person(state, headers, session).await?)),
                None => Ok(None),
            };
        };
        if token.used.is_none_or(|used| now.seconds_since(used) > 3_600.0)
            && let Err(error) = repository.touch_token(&token.id, now).await
        {
            tracing::warn!(%error, "a token was not noted as used");
        }
        return Ok(Some(program(state, token).await?));
    }
    let Some(cookie) = cookie(headers, COOKIE) else { return Ok(None) };
    let session = repository.session(&secret::hash(cookie), now, seen_since).await?;
    match session.filter(|session| !session.is_command_line()) {
        Some(session) => Ok(Some(person(state, headers, session).await?)),
        None => Ok(None),
    }
}

/// A person in a session, with the roles that they hold today.
async fn person(state: &AppState, headers: &HeaderMap, session: Session) -> Result<User, Problem> {
    let (repository, now) = (state.repository(), state.now());
    if !is_background(headers) && now.seconds_since(session.seen) > TOUCH_SECS as f64 {
        // Where it cannot be noted the session ends the earlier, nothing worse.
        if let Err(error) = repository.touch_session(&session.id, now).await {
            tracing::warn!(%error, "a session was not noted as seen");
        }
    }
    let person = &session.person;
    let holds = repository.holdings(&person.id).await?;
    let grounds =
        [Ground::Session(session.id.clone()), standing(&person.id, PersonState::Active, holds.clone())];
    let held = Held { kind: Kind::Person, id: person.id.to_string(), holds };
    Ok(User {
        grounds: Arc::new(grounds),
        name: person.login.to_string(),
        home: person.authority.clone(),
        actor: Actor::Person { id: person.id.to_string(), login: person.login.to_string() },
        held: Arc::new([held]),
        tree: Arc::new(repository.tree().await?),
        point: Arc::clone(state.point()),
        here: state.authority().clone(),
        session: Some(Arc::new(session)),
    })
}

/// Somebody as they were looked at.
pub(crate) fn standing(person: &PersonId, state: PersonState, holds: Vec<Holding>) -> Ground {
    Ground::Person { id: person.clone(), state, holds }
}

/// A program: its token's roles in its token's authority, and never more than whoever made it has today.
async fn program(state: &AppState, token: store::Token) -> Result<User, Problem> {
    let repository = state.repository();
    let holds =
        token.roles.iter().map(|role| Holding { role: *role, authority: token.authority.clone() }).collect();
    let mut grounds = vec![Ground::Token(token.id.clone())];
    let mut held = vec![Held { kind: Kind::Program, id: token.id, holds }];
    if let Some(maker) = &token.person {
        let holds = repository.holdings(maker).await?;
        grounds.push(standing(maker, PersonState::Active, holds.clone()));
        held.push(Held { kind: Kind::Person, id: maker.to_string(), holds });
    }
    Ok(User {
        name: format!("token {}", token.name),
        home: token.authority,
        actor: Actor::Token {
            name: token.name,
            person: token.person.map_or_else(|| "the machine".to_owned(), |person| person.to_string()),
        },
        held: held.into(),
        grounds: grounds.into(),
        tree: Arc::new(repository.tree().await?),
        point: Arc::clone(state.point()),
        here: state.authority().clone(),
        session: None,
    })
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
    let session = new_session(state, &secret, "link", headers, place);
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
    let session = new_session(state, &secret, method, headers, place);
    let opened = match vouched {
        Some(by) => repository.open_vouched_session(&person.id, by, session, salts()?).await?,
        None if repository.open_session(&person.id, session, salts()?).await? => Vouched::Opened,
        None => Vouched::Gone,
    };
    match opened {
        Vouched::Opened => {}
        Vouched::Gone => {
            return Err(Problem::new(StatusCode::FORBIDDEN, "this person may not sign in any more"));
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

/// Why a provider's word is not taken for somebody.
pub(crate) fn not_theirs() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "this identity provider may not say who you are: you belong to, or hold a role in, more than its authority and what is below it",
    )
    .expected("a passkey, or a password with a one-time code")
}

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
    let secs = if state.is_empty() { 0 } else { crate::people::WAITING_SECS };
    keep_cookie(response, AWAY_COOKIE, state, secs, "Lax");
}

/// Opens a session for a program that somebody said yes to: theirs, for as long as it lasts.
pub(crate) async fn let_program_in(
    state: &AppState,
    by: &User,
    asker: &device::Asker,
) -> Result<Granted, Problem> {
    let (secret, now) = (secret::fresh()?, state.now());
    let expires = now.plus_secs(SESSION_SECS);
    let session = NewSession {
        hash: secret::hash(&secret),
        method: store::COMMAND_LINE,
        device: format!("bastide on {}", asker.machine),
        place: asker.place.to_string(),
        made: now,
        expires,
    };
    let may_not = || Problem::new(StatusCode::FORBIDDEN, "this person may not sign in any more");
    let person = by.session().map(|session| &session.person.id).ok_or_else(may_not)?;
    let from = by.session().map(|session| session.id.as_str()).unwrap_or_default();
    if !by.writing(state.repository()).open_session_from(person, from, session, salts()?).await? {
        return Err(may_not());
    }
    tracing::info!(who = %person, place = %asker.place, "let a program in");
    Ok(Granted { secret, expires })
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
    let secs = if step.is_empty() { 0 } else { crate::people::WAITING_SECS };
    set_cookie(response, STEP_COOKIE, step, secs);
}

/// A session that `secret` will open.
fn new_session(
    state: &AppState,
    secret: &str,
    method: &'static str,
    headers: &HeaderMap,
    place: IpAddr,
) -> NewSession {
    let now = state.now();
    NewSession {
        hash: secret::hash(secret),
        method,
        device: device(headers),
        place: place.to_canonical().to_string(),
        made: now,
        expires: now.plus_secs(SESSION_SECS),
    }
}

/// Browser and system, as far as they say: enough for somebody to know their own again.
fn device(headers: &HeaderMap) -> String {
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
    let from_elsewhere =
        headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
    crate::console::sign_in_page(state, reason, next, from_elsewhere).await
}

/// `POST /sign-out`: ends the session.
pub(crate) async fn sign_out(State(state): State<AppState>, user: User) -> Result<Response, Problem> {
    if let Some(session) = user.session() {
        let decided = decided(&state, &user, Deed::SignedOut, &[], None)?;
        let home = state.repository().of(user.home.clone());
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
    Ok(Decided { at: state.now(), who: user.actor.clone(), deed, about, details, salts: salts()? })
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

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && secret::is_well_formed(token.trim())).then(|| token.trim())
}

/// A cookie that holds one of our secrets.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
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

/// How often each address has tried a link within the last minute. Bounded: where too many addresses try at once, all of
/// them wait.
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
            ..new_session(&state, &session, "link", &HeaderMap::new(), [192, 0, 2, 1].into())
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
        assert_eq!(ask(BACKGROUND, "1").await, then);
        assert!(ask("accept", "text/html").await >= now, "somebody looks");
    }

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
