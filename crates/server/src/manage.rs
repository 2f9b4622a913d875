//! What can be done with people, authorities and tokens, the same for the API and the console.
//!
//! Guarantees: nobody gets at more than they hold: who lets somebody in, out or in again must be allowed to manage people
//! wherever that person holds a role; nobody suspends or erases themselves; each deed is a leaf of the ledger of the
//! authority that it is about, and names people there by their ids only.

use crate::{
    AppState,
    api::Problem,
    auth::{self, LinkError, User, decided},
};
use axum::http::StatusCode;
use ledger::Deed;
use model::{Authority, AuthorityId, AuthorityRole, Holding, LoginName, PersonId, PersonState};
use policy::Action;
use store::{Erased, Person, Repository, Taken, Token};

/// How long an invitation is good, in seconds.
pub(crate) const INVITATION_SECS: i64 = 3 * 86_400;
/// The longest name of a person, an authority or a token, in letters.
const MOST_NAME: usize = 120;
/// The longest that a token is good, in days.
pub(crate) const MOST_DAYS: u32 = 3_650;

/// Somebody who is invited.
pub(crate) struct Invitation {
    pub(crate) login: LoginName,
    pub(crate) name: String,
    /// Where they belong and hold the roles.
    pub(crate) authority: Option<AuthorityId>,
    pub(crate) roles: Vec<AuthorityRole>,
}

/// Adds a person; who it is, and the link that they sign in with for the first time.
pub(crate) async fn invite(
    state: &AppState,
    user: &User,
    invitation: Invitation,
) -> Result<(Person, String), Problem> {
    let theirs = within(state, Some(invitation.authority.as_ref().unwrap_or_else(|| user.home())))?;
    let now = state.now();
    let person = Person {
        authority: theirs.authority().clone(),
        id: PersonId::from_random(crate::secret::random()?),
        login: invitation.login,
        name: name(&invitation.name)?,
        state: PersonState::Active,
        made: now,
    };
    let mut roles = invitation.roles;
    roles.sort();
    roles.dedup();
    let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let details = Some(if words.is_empty() { "without a role".to_owned() } else { words.join(", ") });
    let decided = decided(state, user, Deed::PersonInvited, &[("person", person.id.as_str())], details)?;
    if !theirs.add_person(&person, &roles, decided).await? {
        return Err(Problem::new(StatusCode::CONFLICT, "somebody signs in with this login already")
            .expected("a login that nobody has, such as name@authority.example"));
    }
    let link = auth::make_link(&theirs, &state.node().url, &person, now, INVITATION_SECS).await?;
    Ok((person, link))
}

/// Somebody of the authorities that the request reaches.
pub(crate) async fn person(state: &AppState, id: &PersonId) -> Result<Person, Problem> {
    let known = state.repository().person(id).await?;
    known
        .filter(|person| state.repository().shows(&person.authority))
        .ok_or_else(|| Problem::not_found("person", id.as_str()))
}

/// Somebody over whom `user` may decide: they manage people wherever that person holds a role.
async fn beneath(state: &AppState, user: &User, id: &PersonId) -> Result<(Person, Repository), Problem> {
    let person = person(state, id).await?;
    let holdings = state.repository().holdings(id).await?;
    let above = holdings.iter().find(|held| user.may(Action::ManagePeople, &held.authority).is_err());
    if above.is_some() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this person is not yours alone to manage")
            .expected("an administrator further up"));
    }
    let theirs = state.repository().of(person.authority.clone());
    Ok((person, theirs))
}

/// Gives somebody another name, or lets them in no more, or again.
pub(crate) async fn change(
    state: &AppState,
    user: &User,
    id: &PersonId,
    new_name: Option<&str>,
    new_state: Option<PersonState>,
) -> Result<(), Problem> {
    let (person, theirs) = beneath(state, user, id).await?;
    if new_name.is_none() && new_state.is_none() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing is to change")
            .expected("`name` or `state`"));
    }
    let suspends = new_state == Some(PersonState::Suspended);
    if suspends && user.is(id) {
        return Err(itself("suspend"));
    }
    let new_name = new_name.map(name).transpose()?;
    let deed = if suspends { Deed::PersonSuspended } else { Deed::PersonChanged };
    let details = (new_state == Some(PersonState::Active)).then(|| "may sign in again".to_owned());
    let decided = decided(state, user, deed, &[("person", id.as_str())], details)?;
    match theirs.change_person(id, new_name.as_deref(), new_state, decided).await? {
        Taken::Done => Ok(()),
        Taken::NotHeld => Err(Problem::not_found("person", person.id.as_str())),
        Taken::Last => Err(last()),
    }
}

/// A new link to sign in with: for who lost what they signed in with.
pub(crate) async fn link(state: &AppState, user: &User, id: &PersonId) -> Result<String, Problem> {
    let (person, theirs) = beneath(state, user, id).await?;
    if person.state == PersonState::Suspended {
        return Err(Problem::new(StatusCode::CONFLICT, "this person is suspended")
            .expected("let them in again first"));
    }
    let details = Some("a new sign-in link".to_owned());
    theirs.decide(decided(state, user, Deed::PersonChanged, &[("person", id.as_str())], details)?).await?;
    Ok(auth::make_link(&theirs, &state.node().url, &person, state.now(), INVITATION_SECS).await?)
}

/// Gives somebody a role.
pub(crate) async fn give(
    state: &AppState,
    user: &User,
    id: &PersonId,
    holding: &Holding,
) -> Result<(), Problem> {
    let person = person(state, id).await?;
    let place = within(state, Some(&holding.authority))?;
    let details = Some(holding.role.to_string());
    let decided = decided(state, user, Deed::RoleGiven, &[("person", person.id.as_str())], details)?;
    if place.give_role(id, holding.role, decided).await? {
        return Ok(());
    }
    Err(Problem::new(StatusCode::CONFLICT, "they hold that role there already, or too many roles"))
}

/// Takes a role from somebody.
pub(crate) async fn take(
    state: &AppState,
    user: &User,
    id: &PersonId,
    holding: &Holding,
) -> Result<(), Problem> {
    // Of anybody, wherever they belong: an authority has the last word on who holds a role in it.
    let place = within(state, Some(&holding.authority))?;
    let details = Some(holding.role.to_string());
    let decided = decided(state, user, Deed::RoleTaken, &[("person", id.as_str())], details)?;
    match place.take_role(id, holding.role, decided).await? {
        Taken::Done => Ok(()),
        Taken::NotHeld => Err(Problem::new(StatusCode::NOT_FOUND, "they do not hold that role there")),
        Taken::Last => Err(last()),
    }
}

/// Ends all sessions of somebody.
pub(crate) async fn sign_out(state: &AppState, user: &User, id: &PersonId) -> Result<u64, Problem> {
    let (_, theirs) = beneath(state, user, id).await?;
    let decided = decided(state, user, Deed::SessionEnded, &[("person", id.as_str())], None)?;
    Ok(theirs.end_sessions(id, None, None, decided).await?)
}

/// Erases somebody: their names, what proves who they are, and what the ledger says of them in clear. The log stays whole.
pub(crate) async fn erase(state: &AppState, user: &User, id: &PersonId) -> Result<(), Problem> {
    let (_, theirs) = beneath(state, user, id).await?;
    if user.is(id) {
        return Err(itself("erase"));
    }
    let decided = decided(state, user, Deed::PersonErased, &[("person", id.as_str())], None)?;
    match theirs.erase_person(id, decided).await? {
        Erased::Done => Ok(()),
        Erased::Unknown => Err(Problem::not_found("person", id.as_str())),
        Erased::Last => Err(last()),
    }
}

/// Makes an authority below one that the request reaches.
pub(crate) async fn add_authority(state: &AppState, user: &User, new: Authority) -> Result<(), Problem> {
    let parent = within(state, new.parent.as_ref())?;
    let new = Authority { name: name(&new.name)?, parent: Some(parent.authority().clone()), ..new };
    let details = Some(format!("{}, {}", new.name, new.level.as_str()));
    let decided = decided(state, user, Deed::AuthorityMade, &[("authority", new.id.as_str())], details)?;
    parent
        .add_authority(&new, decided)
        .await?
        .map_err(|reason| Problem::new(StatusCode::CONFLICT, reason.to_string()))
}

/// Gives an authority another name.
pub(crate) async fn rename_authority(
    state: &AppState,
    user: &User,
    id: &AuthorityId,
    new: &str,
) -> Result<(), Problem> {
    let place = within(state, Some(id))?;
    let new = name(new)?;
    let details = Some(new.clone());
    let decided = decided(state, user, Deed::AuthorityRenamed, &[("authority", id.as_str())], details)?;
    if place.rename_authority(&new, decided).await? {
        return Ok(());
    }
    Err(Problem::not_found("authority", id.as_str()))
}

/// A token that somebody makes.
pub(crate) struct NewToken {
    pub(crate) name: String,
    pub(crate) authority: Option<AuthorityId>,
    pub(crate) roles: Vec<AuthorityRole>,
    pub(crate) days: u32,
}

/// Makes a token with roles that may no more than its maker; the token itself, which is not shown again.
pub(crate) async fn make_token(state: &AppState, user: &User, new: NewToken) -> Result<String, Problem> {
    let authority = new.authority.unwrap_or_else(|| user.home().clone());
    let mut roles = new.roles;
    roles.sort();
    roles.dedup();
    if roles.is_empty() || roles.contains(&AuthorityRole::Administrator) {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a token has roles, and manages no people",
        )
        .expected("`roles` of analyst, operator, auditor, integrator"));
    }
    if let Some(role) = roles.iter().find(|role| !user.may_hand_on(**role, &authority)) {
        let detail = format!("you cannot hand on the role of {role} in {authority}");
        return Err(Problem::new(StatusCode::FORBIDDEN, detail)
            .expected("roles that may no more there than you; a program with a token hands on none"));
    }
    if !(1..=MOST_DAYS).contains(&new.days) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "a token ends")
            .expected(format!("`days` from 1 to {MOST_DAYS}")));
    }
    let place = state.repository().of(authority);
    let name = name(&new.name)?;
    Ok(auth::make_token(&place, Some(user), &name, &roles, state.now(), new.days).await?)
}

/// The tokens that somebody may see: their own, and those of the authorities whose people they see.
pub(crate) async fn tokens(state: &AppState, user: &User) -> Result<Vec<Token>, Problem> {
    let now = state.now();
    let seen: Vec<AuthorityId> =
        user.reach(Action::SeePeople).iter().map(|grant| grant.authority().clone()).collect();
    let mut tokens = state.reaching(&seen).repository().tokens(None, now).await?;
    if let Some(session) = user.session() {
        let id = &session.person.id;
        let tree = state.repository().tree().await?;
        let all = state.repository().seeing(tree.all().map(|authority| &authority.id));
        let own = all.tokens(Some(id), now).await?;
        tokens.extend(own.into_iter().filter(|token| !seen.contains(&token.authority)));
    }
    Ok(tokens)
}

/// Ends a token: one's own, or one of an authority whose people one manages.
pub(crate) async fn revoke_token(state: &AppState, user: &User, id: &str) -> Result<(), Problem> {
    let not_found = || Problem::not_found("token", id);
    let token = state.repository().token_by_id(id).await?.ok_or_else(not_found)?;
    let own = token.person.as_ref().is_some_and(|person| user.is(person));
    if !own {
        user.may(Action::SeePeople, &token.authority).map_err(|_| not_found())?;
        user.may(Action::ManagePeople, &token.authority).map_err(|denied| {
            Problem::new(StatusCode::FORBIDDEN, "you may not do this").expected(denied.to_string())
        })?;
    }
    let about = token.person.as_ref().map(|person| ("person", person.as_str()));
    let decided = decided(state, user, Deed::TokenRevoked, about.as_slice(), Some(token.name.clone()))?;
    if state.repository().of(token.authority).revoke_token(id, decided).await? {
        return Ok(());
    }
    Err(not_found())
}

/// The repository of an authority that the request reaches; of the first where none is named.
fn within(state: &AppState, authority: Option<&AuthorityId>) -> Result<Repository, Problem> {
    let Some(authority) = authority else { return Ok(state.repository().clone()) };
    if state.repository().shows(authority) {
        return Ok(state.repository().of(authority.clone()));
    }
    Err(Problem::not_found("authority in which you may do this", authority.as_str()))
}

fn name(text: &str) -> Result<String, Problem> {
    let name = text.trim();
    let fits = (1..=MOST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits {
        return Ok(name.to_owned());
    }
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the name cannot be used")
        .expected(format!("1 to {MOST_NAME} letters on one line")))
}

fn last() -> Problem {
    Problem::new(StatusCode::CONFLICT, "this is the last administrator")
        .expected("give somebody else that role first: nobody could give it back")
}

fn itself(what: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, format!("nobody can {what} themselves"))
        .expected("another administrator does it")
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Randomness(error) => error.into(),
            LinkError::Store(error) => error.into(),
            LinkError::Login(reason) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason),
            LinkError::TooMany => Self::new(StatusCode::CONFLICT, error.to_string()),
        }
    }
}
