//! What can be done with people, authorities and tokens, the same for the API and the console.
//!
//! Guarantees: nobody gets at more than they hold: who lets somebody in, out or in again must be allowed to manage people
//! wherever that person holds a role, still when it is written down; nobody suspends or erases themselves; each deed is a leaf of the ledger of the
//! authority that it is about, and names people there by their ids only.

use crate::{
    AppState,
    api::Problem,
    auth::{self, LinkError, User, decided},
    words,
};
use axum::http::StatusCode;
use ledger::Deed;
use model::{Authority, AuthorityId, AuthorityRole, Holding, LoginName, PersonId, PersonState, Timestamp};
use policy::Action;
use serde::Serialize;
use store::{Erased, Page, Paging, Person, Repository, Taken, Token};

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
    let (kept, link) = auth::new_link(&state.node().url, now, INVITATION_SECS)?;
    if !theirs.invite_person(&person, &roles, kept, decided).await? {
        return Err(Problem::new(StatusCode::CONFLICT, "this login cannot be had on this node")
            .expected("another, such as name@authority.example: a login is one person's on the whole node"));
    }
    Ok((person, link))
}

/// Somebody as the reader may see them. Guests belong to an authority that the reader does not see, and hold a role in one that
/// they see: of these no more is told than name, home and those roles.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) authority: AuthorityId,
    pub(crate) id: PersonId,
    pub(crate) name: String,
    pub(crate) guest: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<LoginName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<PersonState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) made: Option<Timestamp>,
    /// In authorities that the reader sees.
    pub(crate) holds: Vec<Holding>,
}

impl Seen {
    async fn new(state: &AppState, person: Person) -> Result<Self, Problem> {
        let guest = !state.repository().shows(&person.authority);
        let mut holds = state.repository().holdings(&person.id).await?;
        holds.retain(|held| state.repository().shows(&held.authority));
        let Person { authority, id, login, name, state, made } = person;
        let own = !guest;
        Ok(Self {
            login: own.then_some(login),
            state: own.then_some(state),
            made: own.then_some(made),
            authority,
            id,
            name,
            guest,
            holds,
        })
    }
}

/// The people of the authorities that the request reaches, and their guests.
pub(crate) async fn people(
    state: &AppState,
    text: Option<&str>,
    paging: Paging,
) -> Result<Page<Seen>, Problem> {
    let Page { items, total, page, per_page } = state.repository().people(text, paging).await?;
    let mut seen = Vec::with_capacity(items.len());
    for person in items {
        seen.push(Seen::new(state, person).await?);
    }
    Ok(Page { items: seen, total, page, per_page })
}

/// One of them.
pub(crate) async fn seen(state: &AppState, id: &PersonId) -> Result<Seen, Problem> {
    let not_found = || Problem::not_found("person", id.as_str());
    let seen = Seen::new(state, state.repository().person(id).await?.ok_or_else(not_found)?).await?;
    if seen.guest && seen.holds.is_empty() { Err(not_found()) } else { Ok(seen) }
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
    // On these grounds only: somebody further up may give them a role at any moment.
    let theirs = state.repository().of(person.authority.clone());
    let theirs = theirs.on_grounds(&[auth::standing(id, person.state, holdings)]);
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
    // Whoever finds a session open does not make a fresh one of it.
    if user.is(id) && !user.is_fresh(state.now()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a link for yourself needs a session of at most fifteen minutes",
        )
        .expected("sign in in the browser once more"));
    }
    let url = &state.node().url;
    Ok(auth::make_link(&theirs, url, &person, Some(user), state.now(), INVITATION_SECS).await?)
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
    // What a program was let in for must not outlast it.
    if user.is_program() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "a program makes no tokens")
            .expected("a person in a browser"));
    }
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
        return Err(
            Problem::new(StatusCode::FORBIDDEN, detail).expected("roles that may no more there than you")
        );
    }
    if !(1..=MOST_DAYS).contains(&new.days) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "a token ends")
            .expected(format!("`days` from 1 to {MOST_DAYS}")));
    }
    let place = user.writing(&state.repository().of(authority));
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
    if user.writing(&state.repository().of(token.authority)).revoke_token(id, decided).await? {
        return Ok(());
    }
    Err(not_found())
}

/// The repository of an authority that the request reaches; of the first where none is named.
pub(crate) fn within(state: &AppState, authority: Option<&AuthorityId>) -> Result<Repository, Problem> {
    let Some(authority) = authority else { return Ok(state.repository().clone()) };
    if state.repository().shows(authority) {
        return Ok(state.repository().of(authority.clone()));
    }
    Err(Problem::not_found("authority in which you may do this", authority.as_str()))
}

pub(crate) fn name(text: &str) -> Result<String, Problem> {
    plain_name(text).map_err(|expected| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the name cannot be used").expected(expected)
    })
}

/// A name of a person, an authority or a token.
///
/// # Errors
/// What is expected of one.
pub fn plain_name(text: &str) -> Result<String, String> {
    words::line(text, MOST_NAME)
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

#[cfg(test)]
mod tests {
    use super::*;
    use model::AuthorityLevel;
    use store::{Actor, Decided, NewSession};

    fn of_the_machine(state: &AppState, deed: Deed) -> Decided {
        let salts = [1, 2].map(|byte| ledger::Salt::new([byte; 32]));
        Decided { at: state.now(), who: Actor::Program, deed, about: Vec::new(), details: None, salts }
    }

    async fn add(state: &AppState, number: u8, roles: &[AuthorityRole]) -> Person {
        let person = Person {
            authority: AuthorityId::local(),
            id: PersonId::from_random([number; 16]),
            login: format!("login-{number}").parse().unwrap(),
            name: format!("Name {number}"),
            state: PersonState::Active,
            made: state.now(),
        };
        let decided = of_the_machine(state, Deed::PersonInvited);
        assert!(state.repository().add_person(&person, roles, decided).await.unwrap());
        person
    }

    /// Who sends a request in a session, as the doors find out.
    async fn signed_in(state: &AppState, person: &Person) -> User {
        let secret = crate::secret::fresh().unwrap();
        let session = NewSession {
            hash: crate::secret::hash(&secret),
            method: "link",
            device: "Firefox on Linux".into(),
            place: "192.0.2.7".into(),
            made: state.now(),
            expires: state.now().plus_secs(3_600),
        };
        let salts = [1, 2].map(|byte| ledger::Salt::new([byte; 32]));
        assert!(state.repository().open_session(&person.id, session, salts).await.unwrap());
        let cookie = format!("__Host-bastide={secret}").parse().unwrap();
        let headers = [(axum::http::header::COOKIE, cookie)].into_iter().collect();
        auth::identify(state, &headers).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_role_that_is_taken_while_a_request_is_under_way_does_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let state = AppState::bare(dir.path()).await;
        let every = [AuthorityRole::Administrator, AuthorityRole::Auditor];
        let (_first, eve, ada) =
            (add(&state, 1, &every).await, add(&state, 2, &every).await, add(&state, 3, &[]).await);
        let user = signed_in(&state, &eve).await;
        let reached = state.reaching(&[AuthorityId::local()]).writing_for(&user);
        let token =
            NewToken { name: "export".into(), authority: None, roles: vec![AuthorityRole::Auditor], days: 1 };
        make_token(&reached, &user, token).await.unwrap();
        let token = tokens(&reached, &user).await.unwrap().remove(0);
        let role = Holding { role: AuthorityRole::Operator, authority: AuthorityId::local() };
        // The doors have let the request in; now the role goes.
        let taken = of_the_machine(&state, Deed::RoleTaken);
        let taken = state.repository().take_role(&eve.id, AuthorityRole::Administrator, taken).await;
        assert_eq!(taken.unwrap(), Taken::Done);
        let below = Authority {
            id: "police".parse().unwrap(),
            name: "Police".into(),
            level: AuthorityLevel::Department,
            parent: Some(AuthorityId::local()),
        };
        let invitation = Invitation {
            login: "new".parse().unwrap(),
            name: "New".into(),
            authority: None,
            roles: vec![AuthorityRole::Administrator],
        };
        let another = NewToken {
            name: "another".into(),
            authority: None,
            roles: vec![AuthorityRole::Auditor],
            days: 1,
        };
        let leaves = async || state.repository().log().await.unwrap().unwrap().head().size;
        let before = leaves().await;
        let outcomes = [
            ("invite", invite(&reached, &user, invitation).await.map(drop)),
            ("change", change(&reached, &user, &ada.id, Some("Other"), None).await),
            ("suspend", change(&reached, &user, &ada.id, None, Some(PersonState::Suspended)).await),
            ("link", link(&reached, &user, &ada.id).await.map(drop)),
            ("give", give(&reached, &user, &ada.id, &role).await),
            ("give oneself", give(&reached, &user, &eve.id, &role).await),
            ("take", take(&reached, &user, &eve.id, &Holding { role: AuthorityRole::Auditor, ..role }).await),
            ("sign out", sign_out(&reached, &user, &ada.id).await.map(drop)),
            ("erase", erase(&reached, &user, &ada.id).await),
            ("make an authority", add_authority(&reached, &user, below).await),
            ("rename", rename_authority(&reached, &user, &AuthorityId::local(), "Other").await),
            ("make a token", make_token(&reached, &user, another).await.map(drop)),
            ("revoke a token", revoke_token(&reached, &user, &token.id).await),
        ];
        for (what, outcome) in outcomes {
            assert_eq!(outcome.unwrap_err().status(), StatusCode::CONFLICT, "{what}");
        }
        assert_eq!(leaves().await, before);
    }
}
