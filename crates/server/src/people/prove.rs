//! How somebody proves who they are: password and then a code, or a passkey.
//!
//! Guarantees: no session without a [`Proven`], and none of these from a password alone; who is unknown, suspended or
//! has no password is refused in the words and the time in which a wrong password is; a refusal is logged without what
//! was typed.

use super::{patience::Wait, recovery, totp};
use crate::{
    AppState,
    api::Problem,
    auth::KNOWN_SECS,
    people::{
        passkey::PasskeyError,
        password::{CannotHash, LONGEST},
    },
    secret::NoRandomness,
};
use axum::http::StatusCode;
use model::{LoginName, PersonId, PersonState, Timestamp};
use std::net::IpAddr;
use store::{Credential, CredentialKind, Person, StoreError, Vouching};
use webauthn_rs::prelude::{Passkey, PublicKeyCredential};

/// How many codes are tried before the password is asked for again.
const TRIES: u8 = 5;
/// When to come back where too many stand in line, in seconds.
const BUSY_SECS: i64 = 5;

/// Somebody who proved who they are.
pub(crate) struct Proven {
    pub(crate) person: Person,
    /// By what, as sessions name it.
    pub(crate) method: &'static str,
    /// The page that they were on their way to.
    pub(crate) next: String,
    /// The provider that says so, where it was not proved here.
    pub(crate) vouched: Option<Vouching>,
    /// The session that this browser had, where the request cannot show it.
    pub(crate) before: Option<String>,
}

impl Proven {
    /// Proved here, in a browser that shows what it has.
    pub(crate) const fn here(person: Person, method: &'static str, next: String) -> Self {
        Self { person, method, next, vouched: None, before: None }
    }
}

/// Somebody who gave their password.
pub(crate) struct Step {
    person: PersonId,
    /// The credential: another one since then asks for the password again.
    password: String,
    next: String,
    tries: u8,
}

/// Where an attempt comes from.
pub(crate) struct Origin<'a> {
    pub(crate) place: IpAddr,
    /// What this browser keeps of who came in with it before.
    pub(crate) mark: Option<&'a str>,
}

/// Why somebody is not let in.
pub(crate) enum Refused {
    /// Wrong; for a code, with the name under which another may be tried.
    Wrong(Option<String>),
    /// Too many attempts; for a code, with the name under which it may be tried later.
    Wait(Wait, Option<String>),
    /// There is no first step, or it was too long ago.
    Over,
    /// The server is in trouble, or the request cannot be read.
    Problem(Problem),
}

/// What [`AppState::proofs`] remembers browsers by.
const KNOWN: &str = "known";

/// The mark that a browser keeps once somebody came in with it: it opens nothing, but whoever guesses elsewhere does not
/// make this browser wait. It holds since when, and is good as long as its cookie.
pub(crate) fn mark_of(state: &AppState, person: &PersonId) -> String {
    let since = state.now().micros().div_euclid(1_000_000);
    format!("{since}.{}", state.proofs().seal.mark(KNOWN, &format!("{person} {since}")))
}

fn is_known(state: &AppState, person: &PersonId, from: &Origin<'_>) -> bool {
    let Some((since, mark)) = from.mark.and_then(|mark| mark.split_once('.')) else { return false };
    let Ok(secs) = since.parse::<i64>() else { return false };
    let age = state.now().seconds_since(Timestamp::from_secs(secs));
    age < KNOWN_SECS as f64 && state.proofs().seal.is_mark(KNOWN, &format!("{person} {since}"), mark)
}

/// The first step: a password. The name of what then waits for a code.
///
/// # Errors
/// [`Refused`].
pub(crate) async fn password(
    state: &AppState,
    login: &str,
    password: String,
    next: String,
    from: &Origin<'_>,
) -> Result<String, Refused> {
    let (proofs, repository, now) = (state.proofs(), state.repository(), state.now());
    // Nobody has one as long, and it is counted for nobody.
    if password.chars().count() > LONGEST {
        return Err(Refused::Wrong(None));
    }
    let person = match login.parse::<LoginName>() {
        Ok(login) => repository.person_by_login(&login).await?,
        Err(_) => None,
    };
    let person = person.filter(|person| person.state == PersonState::Active);
    let known = person.as_ref().is_some_and(|person| is_known(state, &person.id, from));
    proofs.patience.ask(login, from.place, known, now).map_err(|wait| Refused::Wait(wait, None))?;
    // For nobody as well: it takes as long.
    let id = person.as_ref().map_or_else(|| PersonId::from_random([0; 16]), |person| person.id.clone());
    let credentials = repository.credentials(&id).await?;
    let both = of(&credentials, CredentialKind::Password).zip(of(&credentials, CredentialKind::Totp));
    let kept = both.map(|(password, _)| password.body.clone());
    let right = proofs.passwords.is(password, kept, known).await?;
    let (true, Some((password, _))) = (right, both) else {
        proofs.patience.failed(login, from.place, known, state.now());
        // Not what was typed: it happens that this is a password.
        let who = person.as_ref().map_or("nobody that is known", |person| person.login.as_str());
        tracing::warn!(who, place = %from.place, "a password was refused");
        return Err(Refused::Wrong(None));
    };
    let step = Step { person: id, password: password.id.clone(), next, tries: TRIES };
    Ok(proofs.steps.begin(from.place, step, state.now())?)
}

/// The second step: a code of the authenticator app, or a recovery code.
///
/// # Errors
/// [`Refused`].
pub(crate) async fn code(
    state: &AppState,
    step: &str,
    typed: &str,
    from: &Origin<'_>,
) -> Result<Proven, Refused> {
    let (proofs, repository, now) = (state.proofs(), state.repository(), state.now());
    let step = proofs.steps.take(step, now).ok_or(Refused::Over)?;
    let person = repository.person(&step.person).await?;
    let person = person.filter(|person| person.state == PersonState::Active).ok_or(Refused::Over)?;
    let credentials = repository.credentials(&person.id).await?;
    if of(&credentials, CredentialKind::Password).is_none_or(|password| password.id != step.password) {
        return Err(Refused::Over);
    }
    let known = is_known(state, &person.id, from);
    // Apart from passwords: only who knows the password can make these wait.
    let name = format!("code {}", person.login);
    if let Err(wait) = proofs.patience.ask(&name, from.place, known, now) {
        return Err(Refused::Wait(wait, Some(proofs.steps.begin(from.place, step, now)?)));
    }
    if let Some(method) = second_factor(state, &person, &credentials, typed, now).await? {
        proofs.patience.came_in(&name, from.place);
        proofs.patience.came_in(person.login.as_str(), from.place);
        return Ok(Proven::here(person, method, step.next));
    }
    proofs.patience.failed(&name, from.place, known, now);
    tracing::warn!(who = %person.login, place = %from.place, "a code was refused");
    match step.tries.saturating_sub(1) {
        0 => Err(Refused::Over),
        tries => Err(Refused::Wrong(Some(proofs.steps.begin(from.place, Step { tries, ..step }, now)?))),
    }
}

/// By which second factor the code is right: it is used up with this.
async fn second_factor(
    state: &AppState,
    person: &Person,
    credentials: &[Credential],
    typed: &str,
    now: Timestamp,
) -> Result<Option<&'static str>, Refused> {
    if let Some(hash) = recovery::kept(typed) {
        let taken = state.repository().take_recovery_code(&person.id, &hash).await?;
        return Ok(taken.then_some("recovery"));
    }
    let Some(app) = of(credentials, CredentialKind::Totp) else { return Ok(None) };
    let secret = state.proofs().seal.open("totp", person.id.as_str(), &app.body).map_err(|error| {
        tracing::error!(who = %person.login, %error, "a second factor was sealed with another people.key");
        Refused::Problem(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "this node cannot check codes; the server's log says why",
        ))
    })?;
    let Some(step) = totp::step(&secret, typed, now) else { return Ok(None) };
    let taken = state.repository().use_credential(&app.id, totp::moment(step), None).await?;
    Ok(taken.then_some("password"))
}

/// A passkey's answer.
///
/// # Errors
/// [`Refused`].
pub(crate) async fn passkey(
    state: &AppState,
    ceremony: &str,
    answer: &PublicKeyCredential,
    next: String,
    from: &Origin<'_>,
) -> Result<Proven, Refused> {
    let (passkeys, repository, now) = (state.proofs().passkeys()?, state.repository(), state.now());
    let refused = |why: &dyn std::fmt::Display| {
        tracing::warn!(place = %from.place, %why, "a passkey was refused");
        Refused::Wrong(None)
    };
    let (id, key) = passkeys.whose(answer).map_err(|error| refused(&error))?;
    let person = repository.person(&id).await?;
    let person = person.filter(|person| person.state == PersonState::Active);
    let person = person.ok_or_else(|| refused(&"nobody has it"))?;
    let found = repository.credentials(&id).await?.into_iter().find_map(|credential| {
        let passkey = read(&credential)?;
        (passkey.cred_id().as_slice() == key).then_some((credential, passkey))
    });
    let (credential, mut passkey) = found.ok_or_else(|| refused(&"it is not known, or not any more"))?;
    let changed =
        passkeys.finish_sign_in(ceremony, answer, &mut passkey, now).map_err(|error| match error {
            PasskeyError::NotBegun => Refused::Over,
            error => refused(&error),
        })?;
    let body = if changed { serde_json::to_string(&passkey).ok() } else { None };
    // Later than the last time also where the clock was put back; gone meanwhile is refused.
    let moment = credential.used.map_or(now, |used| now.max(used.plus_micros(1)));
    if !repository.use_credential(&credential.id, moment, body).await? {
        return Err(refused(&"it was used or removed at the same moment"));
    }
    Ok(Proven::here(person, "passkey", next))
}

/// The passkey of a credential, where it is one.
pub(crate) fn read(credential: &Credential) -> Option<Passkey> {
    if credential.kind != CredentialKind::Passkey {
        return None;
    }
    let read = serde_json::from_str(&credential.body);
    read.inspect_err(|error| tracing::error!(id = credential.id, %error, "a passkey cannot be read")).ok()
}

/// The one of a kind.
pub(crate) fn of(credentials: &[Credential], kind: CredentialKind) -> Option<&Credential> {
    credentials.iter().find(|credential| credential.kind == kind)
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<NoRandomness> for Refused {
    fn from(error: NoRandomness) -> Self {
        Self::Problem(error.into())
    }
}

impl From<CannotHash> for Refused {
    fn from(error: CannotHash) -> Self {
        match error {
            CannotHash::Busy => Self::Wait(Wait { seconds: BUSY_SECS }, None),
            CannotHash::Machine => Self::Problem(error.into()),
        }
    }
}

impl From<PasskeyError> for Refused {
    fn from(error: PasskeyError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<CannotHash> for Problem {
    fn from(error: CannotHash) -> Self {
        tracing::error!(%error, "a password could not be hashed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Self {
        tracing::warn!(%error, source = ?std::error::Error::source(&error), "a passkey was not taken");
        let status = match error {
            PasskeyError::NoName(_) => StatusCode::NOT_FOUND,
            PasskeyError::NotBegun => StatusCode::CONFLICT,
            PasskeyError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            PasskeyError::NoRandomness(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
