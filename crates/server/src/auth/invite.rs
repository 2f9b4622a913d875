//! Letting in from outside of a browser: the first administrator, sign-in links, tokens.
//!
//! Guarantees: what is handed out is random, 256 bits, kept as a hash, and a leaf in the ledger.

use super::{User, salts};
use crate::secret;
use ledger::{Deed, Subject};
use model::{AuthorityId, AuthorityRole, LoginName, PersonId, PersonState, Timestamp};
use store::{Actor, Decided, MOST_TOKENS, NewLink, Person, Repository, StoreError, Taken};

/// How the ledger tells what nobody did who is signed in.
const BY_HAND: &str = "by a command on the machine itself";

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
    let who = by.map_or(Actor::Program, User::actor);
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
    let who = by.map_or(Actor::Program, User::actor);
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
