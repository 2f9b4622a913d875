//! Who sends a request, and what they may.
//!
//! Guarantees: nobody is taken for somebody without a session or a token that is good now; what opens a browser's session is a
//! cookie and nothing else, and the other way round for a command line's; a token may never more than whoever made it.

use super::{COOKIE, FRESH_SECS, IDENTITY, IDLE_SECS, cookies::cookie};
use crate::{AppState, api::Problem, secret};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use model::{AuthorityId, AuthorityRole, Holding, PersonId, PersonState, Timestamp};
use policy::{Action, Asker, DecisionPoint, Denied, Grant, Kind};
use std::{collections::BTreeSet, sync::Arc};
use store::{Actor, Ground, Repository, Session, Tree};

/// A session is noted as seen at most this often, in seconds.
const TOUCH_SECS: i64 = 60;
/// What a page's script puts on requests that nobody asked for.
pub(super) const BACKGROUND: &str = "bastide-background";

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

    /// Who it is, as the ledger names them.
    pub(super) fn actor(&self) -> Actor {
        self.actor.clone()
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

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && secret::is_well_formed(token.trim())).then(|| token.trim())
}
