//! Who it is here that a provider speaks of.
//!
//! Guarantees: a provider's word alone makes nobody a person: an identity is bound by the person themselves, or once to
//! somebody who was invited and has nothing else to come in with, where an administrator said by what they are recognised; and only by a provider that may
//! vouch for them ([`store::Bound`]).

use super::{Said, credential_id};
use crate::{
    AppState,
    api::Problem,
    auth::{self, IDLE_SECS},
    secret::NoRandomness,
};
use axum::http::StatusCode;
use ledger::{Deed, Subject};
use model::{LoginName, PersonId, PersonState, Timestamp};
use store::{
    Actor, Bound, Credential, CredentialKind, Decided, Ground, Person, Provider, Recognises, Repository,
    StoreError, Vouching,
};

/// Why nobody is let in, or nothing connected.
pub(crate) enum Unknown {
    /// Nobody here is connected with this account there, or not any more.
    Nobody,
    /// The account is connected with somebody already.
    Taken,
    /// The session from which somebody wanted to connect it has ended.
    SignedOut,
    /// As it says.
    Problem(Problem),
}

/// Somebody, and who vouches for them.
///
/// # Errors
/// [`Unknown`].
pub(crate) async fn whose(
    state: &AppState,
    provider: &Provider,
    said: &Said,
) -> Result<(Person, Vouching), Unknown> {
    let (repository, now) = (state.repository(), state.now());
    let id = credential_id(provider, &said.subject);
    let person = match repository.whose_credential(CredentialKind::Identity, &id).await? {
        Some(person) => repository.person(&person).await?,
        None => recognised(state, provider, said, &id).await?,
    };
    let person = person.filter(|person| person.state == PersonState::Active).ok_or(Unknown::Nobody)?;
    let credentials = repository.credentials(&person.id).await?;
    let identity = credentials.iter().find(|credential| credential.id == id).ok_or(Unknown::Nobody)?;
    // Later than the last time also where the clock was put back; gone meanwhile is refused.
    let moment = identity.used.map_or(now, |used| now.max(used.plus_micros(1)));
    if !repository.use_credential(&id, moment, None).await? {
        return Err(Unknown::Nobody);
    }
    let (authority, changed) = (provider.authority.clone(), provider.changed);
    Ok((person, Vouching { authority, changed, credential: id }))
}

/// Somebody invited who comes for the first time, and is bound with this.
async fn recognised(
    state: &AppState,
    provider: &Provider,
    said: &Said,
    id: &str,
) -> Result<Option<Person>, Unknown> {
    let claim = match provider.recognises {
        Recognises::None => None,
        Recognises::PreferredUsername => said.username.as_deref(),
        Recognises::Email => said.email.as_deref(),
    };
    let Some(claim) = claim else { return Ok(None) };
    let Ok(login) = claim.parse::<LoginName>() else { return Ok(None) };
    // Letter by letter: `Ada` and `ada` may be two there. Of mail addresses case tells nobody apart.
    let same = match provider.recognises {
        Recognises::Email => claim.eq_ignore_ascii_case(login.as_str()),
        Recognises::PreferredUsername | Recognises::None => claim == login.as_str(),
    };
    if !same {
        return Ok(None);
    }
    let Some(person) = state.repository().person_by_login(&login).await? else { return Ok(None) };
    let details = format!(
        "an identity at {}, recognised by {} at the first sign-in",
        provider.name,
        provider.recognises.as_str()
    );
    let now = state.now();
    let decided = decided(now, Actor::Program, &person.id, details)?;
    match bind(&place_of(state, provider), provider, &person.id, id, true, decided).await? {
        Bound::Done => Ok(Some(person)),
        Bound::NotTheirs => Err(Unknown::Problem(auth::not_theirs())),
        Bound::Taken | Bound::Gone => Ok(None),
    }
}

/// Connects what somebody is at a provider with their account here, where the session that wanted it goes on.
///
/// # Errors
/// [`Unknown`].
pub(crate) async fn connect(
    state: &AppState,
    provider: &Provider,
    said: &Said,
    person: &PersonId,
    session: &str,
) -> Result<(), Unknown> {
    let now = state.now();
    let session = state.repository().session(session, now, now.plus_secs(-IDLE_SECS)).await?;
    let session = session.filter(|session| session.person.id == *person).ok_or(Unknown::SignedOut)?;
    let who = Actor::Person { id: person.to_string(), login: session.person.login.to_string() };
    let decided = decided(now, who, person, format!("an identity at {}", provider.name))?;
    let (id, place) = (credential_id(provider, &said.subject), place_of(state, provider));
    // Also in the transaction that binds it: whoever was signed out meanwhile connects nothing.
    let place = place.on_grounds(&[Ground::Session(session.id)]);
    match bind(&place, provider, person, &id, false, decided).await? {
        Bound::Done => Ok(()),
        Bound::Taken => Err(Unknown::Taken),
        Bound::Gone => Err(Unknown::SignedOut),
        Bound::NotTheirs => Err(Unknown::Problem(auth::not_theirs())),
    }
}

fn place_of(state: &AppState, provider: &Provider) -> Repository {
    state.repository().of(provider.authority.clone())
}

async fn bind(
    place: &Repository,
    provider: &Provider,
    person: &PersonId,
    id: &str,
    first: bool,
    decided: Decided,
) -> Result<Bound, StoreError> {
    let identity = Credential {
        id: id.to_owned(),
        kind: CredentialKind::Identity,
        label: provider.name.clone(),
        body: String::new(),
        made: decided.at,
        used: None,
    };
    place.bind_identity(person, identity, provider.changed, first, decided).await
}

fn decided(at: Timestamp, who: Actor, person: &PersonId, details: String) -> Result<Decided, Unknown> {
    let unfit = |error: ledger::LeafError| {
        Unknown::Problem(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
    };
    let about = vec![Subject::new("person", person).map_err(unfit)?];
    Ok(Decided { at, who, deed: Deed::CredentialAdded, about, details: Some(details), salts: auth::salts()? })
}

impl From<StoreError> for Unknown {
    fn from(error: StoreError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<NoRandomness> for Unknown {
    fn from(error: NoRandomness) -> Self {
        Self::Problem(error.into())
    }
}
