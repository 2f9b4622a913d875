//! People and their roles, and the authorities in which they hold them.

use super::{
    actions::Fields,
    frame::{Frame, Trouble, Visit, page},
    shown,
    view::{self, Choice, Markup, Pager},
};
use crate::{
    AppState,
    api::{Parameters, Problem},
    auth::{IDLE_SECS, User},
    manage::{self, Invitation},
    reach::Reach,
};
use askama::Template;
use axum::{
    extract::{Path, RawForm},
    http::HeaderMap,
    response::{IntoResponse as _, Redirect, Response},
};
use model::{Authority, AuthorityId, AuthorityLevel, AuthorityRole, Holding, PersonId, PersonState};
use policy::Action;
use report::words;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};
use store::{Paging, Tree};

/// What the address asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    text: String,
    page: String,
}

#[derive(Template)]
#[template(path = "people.html")]
struct People {
    frame: Frame,
    asked: Asked,
    rows: Vec<Row>,
    pager: Pager,
    places: Vec<Choice>,
    roles: Vec<Choice>,
    /// Whether people of more than one authority are shown.
    several: bool,
}

struct Row {
    id: String,
    name: String,
    /// They belong elsewhere; what is not told of them is unset.
    guest: bool,
    login: Option<String>,
    authority: String,
    roles: String,
    suspended: bool,
    made: Option<Markup>,
}

/// `GET /people`.
pub(super) async fn list(
    Reach(state): Reach,
    visit: Visit,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Trouble> {
    let frame = Frame::new(&state, &visit, "people", "People").await;
    let people = read(&state, frame, asked).await.map_err(|problem| visit.trouble(problem))?;
    Ok(page(&people))
}

async fn read(state: &AppState, frame: Frame, asked: Asked) -> Result<People, Problem> {
    let text = Some(asked.text.trim()).filter(|text| !text.is_empty());
    let found = manage::people(state, text, Paging::new(asked.page.parse().unwrap_or(1), 50)).await?;
    let tree = state.repository().tree().await?;
    let mut rows = Vec::new();
    for person in &found.items {
        rows.push(Row {
            id: person.id.to_string(),
            name: person.name.clone(),
            guest: person.guest,
            login: person.login.as_ref().map(ToString::to_string),
            authority: named(&tree, &person.authority),
            roles: roles_in(&person.holds, &person.authority, &tree),
            suspended: person.state == Some(PersonState::Suspended),
            made: person.made.map(|made| view::ago(made, state.now())),
        });
    }
    let places = places(state, &tree);
    Ok(People {
        pager: Pager::new(&found, |page| {
            format!("/people{}", view::query(&[("text", &asked.text), ("page", &page.to_string())]))
        }),
        several: places.len() > 1 || found.items.iter().any(|person| person.guest),
        places,
        roles: roles(),
        rows,
        asked,
        frame,
    })
}

/// "analyst, operator; auditor in Harbour Police".
fn roles_in(holds: &[Holding], home: &AuthorityId, tree: &Tree) -> String {
    let own: Vec<&str> =
        holds.iter().filter(|held| held.authority == *home).map(|held| held.role.as_str()).collect();
    let elsewhere = holds
        .iter()
        .filter(|held| held.authority != *home)
        .map(|held| format!("{} in {}", held.role, named(tree, &held.authority)));
    let all: Vec<String> =
        Some(own.join(", ")).filter(|own| !own.is_empty()).into_iter().chain(elsewhere).collect();
    all.join("; ")
}

fn named(tree: &Tree, id: &AuthorityId) -> String {
    tree.get(id).map_or_else(|| id.to_string(), |authority| authority.name.clone())
}

/// The authorities that are shown, as choices of a form.
fn places(state: &AppState, tree: &Tree) -> Vec<Choice> {
    let own = state.repository().authority();
    tree.all()
        .filter(|authority| state.repository().shows(&authority.id))
        .map(|authority| Choice::new(authority.id.as_str(), &called(authority), own.as_str()))
        .collect()
}

/// By its name, and its id where that says more.
pub(super) fn called(authority: &Authority) -> String {
    if authority.name == authority.id.as_str() {
        return authority.name.clone();
    }
    format!("{} ({})", authority.name, authority.id)
}

fn roles() -> Vec<Choice> {
    AuthorityRole::ALL
        .iter()
        .map(|role| Choice::new(role.as_str(), &format!("{role}: {}", means(*role)), "analyst"))
        .collect()
}

pub(super) const fn means(role: AuthorityRole) -> &'static str {
    match role {
        AuthorityRole::Administrator => "people, roles, authorities, settings",
        AuthorityRole::Analyst => "judges incidents",
        AuthorityRole::Operator => "approves, refuses and undoes responses",
        AuthorityRole::Auditor => "reads all, changes nothing",
        AuthorityRole::Integrator => "enrols devices",
    }
}

/// A sign-in link, shown this once.
#[derive(Serialize, Deserialize)]
struct MadeLink {
    why: String,
    link: String,
}

/// `POST /people`: invites somebody; their page shows their link this once.
pub(super) async fn invite(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    RawForm(form): RawForm,
) -> Result<Response, Trouble> {
    let done = async {
        let fields = Fields::read(&form, &["login", "name", "place"], &["role"])?;
        let roles = fields.all("role").map(|role| parsed("role", role)).collect::<Result<_, _>>()?;
        let invitation = Invitation {
            login: parsed("login", &fields.one("login").unwrap_or_default())?,
            name: fields.one("name").unwrap_or_default(),
            authority: Some(parsed("place", &fields.one("place").unwrap_or_default())?),
            roles,
        };
        manage::invite(&state, &user, invitation).await
    };
    let (person, link) = done.await.map_err(|problem| visit.trouble(problem))?;
    let why =
        "They sign in with this link once, within three days, and then set up how they sign in from then on.";
    let made = MadeLink { why: why.to_owned(), link };
    shown::lead_to(&state, &user, &path_of(&person.id), &made).map_err(|problem| visit.trouble(problem))
}

fn path_of(id: &PersonId) -> String {
    format!("/people/{id}")
}

fn parsed<T: FromStr<Err = String>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|reason: String| Problem::parameter(name, reason))
}

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    frame: Frame,
    id: String,
    name: String,
    facts: Vec<(&'static str, Markup)>,
    guest: bool,
    made: Option<MadeLink>,
    suspended: bool,
    holds: Vec<HoldRow>,
    sessions: Vec<SessionRow>,
    places: Vec<Choice>,
    roles: Vec<Choice>,
    may_manage: bool,
    own: bool,
}

struct HoldRow {
    role: &'static str,
    means: &'static str,
    authority: String,
    place: String,
    may_take: bool,
}

pub(super) struct SessionRow {
    pub(super) method: &'static str,
    pub(super) device: String,
    pub(super) place: String,
    pub(super) made: Markup,
    pub(super) seen: Markup,
}

/// `GET /people/{id}`.
pub(super) async fn show(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let read = async {
        let id: PersonId = id.parse().map_err(|_| Problem::not_found("person", &id))?;
        let made = shown::take(&state, &user, &path_of(&id), &headers);
        read_person(&state, &visit, &user, &id, made).await
    };
    let person = read.await.map_err(|problem| visit.trouble(problem))?;
    Ok(if person.made.is_some() { shown::forget(page(&person)) } else { page(&person) })
}

async fn read_person(
    state: &AppState,
    visit: &Visit,
    user: &User,
    id: &PersonId,
    made: Option<MadeLink>,
) -> Result<PersonPage, Problem> {
    let person = manage::seen(state, id).await?;
    let (now, tree) = (state.now(), state.repository().tree().await?);
    let sessions = match person.guest {
        true => Vec::new(),
        false => state.repository().sessions(id, now, now.plus_secs(-IDLE_SECS)).await?,
    };
    let mut facts = vec![("Belongs to", Markup::text(&named(&tree, &person.authority)))];
    facts.extend(person.login.as_ref().map(|login| ("Signs in as", view::code(login.as_str()))));
    facts.extend(person.made.map(|made| ("Since", view::ago(made, now))));
    facts.push(("Id", view::code(id.as_str())));
    Ok(PersonPage {
        frame: Frame::new(state, visit, "people", person.name.clone()).await,
        facts,
        guest: person.guest,
        made,
        suspended: person.state == Some(PersonState::Suspended),
        holds: person
            .holds
            .iter()
            .map(|held| HoldRow {
                may_take: user.may(Action::ManagePeople, &held.authority).is_ok(),
                role: held.role.as_str(),
                means: means(held.role),
                authority: named(&tree, &held.authority),
                place: held.authority.to_string(),
            })
            .collect(),
        sessions: sessions
            .into_iter()
            .map(|session| SessionRow {
                method: super::account::by(&session.method),
                device: session.device,
                place: session.place,
                made: view::ago(session.made, now),
                seen: view::ago(session.seen, now),
            })
            .collect(),
        places: places(state, &tree),
        roles: roles(),
        may_manage: !person.guest && user.may(Action::ManagePeople, &person.authority).is_ok(),
        own: user.is(id),
        id: person.id.to_string(),
        name: person.name,
    })
}

/// `POST /people/{id}/{deed}`: what can be done with somebody, then back to their page.
pub(super) async fn act(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path((id, deed)): Path<(String, String)>,
    RawForm(form): RawForm,
) -> Result<Response, Trouble> {
    let done = async {
        let names: &[&str] = match deed.as_str() {
            "name" => &["name"],
            "give" | "take" => &["role", "place"],
            _ => &[],
        };
        let fields = Fields::read(&form, names, &[])?;
        let id: PersonId = id.parse().map_err(|_| Problem::not_found("person", &id))?;
        let holding = || {
            Ok::<_, Problem>(Holding {
                role: parsed("role", &fields.one("role").unwrap_or_default())?,
                authority: parsed("place", &fields.one("place").unwrap_or_default())?,
            })
        };
        match deed.as_str() {
            "name" => {
                let name = fields.one("name").unwrap_or_default();
                manage::change(&state, &user, &id, Some(&name), None).await?;
            }
            "suspend" => manage::change(&state, &user, &id, None, Some(PersonState::Suspended)).await?,
            "allow" => manage::change(&state, &user, &id, None, Some(PersonState::Active)).await?,
            "give" => manage::give(&state, &user, &id, &holding()?).await?,
            "take" => manage::take(&state, &user, &id, &holding()?).await?,
            "sign-out" => drop(manage::sign_out(&state, &user, &id).await?),
            "link" => {
                let link = manage::link(&state, &user, &id).await?;
                let why = "They sign in with this link once, within three days. A link before it is no good any more.";
                let made = MadeLink { why: why.to_owned(), link };
                return shown::lead_to(&state, &user, &path_of(&id), &made);
            }
            "erase" => manage::erase(&state, &user, &id).await?,
            other => return Err(Problem::not_found("deed", other)),
        }
        // Who is erased, or was a guest by that role alone, has no page any more.
        let back = if manage::seen(&state, &id).await.is_ok() { path_of(&id) } else { "/people".to_owned() };
        Ok(Redirect::to(&back).into_response())
    };
    done.await.map_err(|problem: Problem| visit.trouble(problem))
}

#[derive(Template)]
#[template(path = "authorities.html")]
struct Authorities {
    frame: Frame,
    rows: Vec<AuthorityRow>,
    pager: Pager,
    parents: Vec<Choice>,
    levels: Vec<Choice>,
    may_manage: bool,
}

struct AuthorityRow {
    id: String,
    name: String,
    level: &'static str,
    above: String,
    depth: usize,
    people: String,
    open: String,
    may_rename: bool,
    /// May set up its identity provider.
    may_provide: bool,
}

/// `GET /authorities`: the tree, as far as the reader sees it.
pub(super) async fn authorities(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Trouble> {
    let paging = Paging::new(asked.page.parse().unwrap_or(1), 50);
    let read = read_authorities(&state, &visit, &user, paging).await;
    read.map(|tree| page(&tree)).map_err(|problem| visit.trouble(problem))
}

/// The authorities that are shown, each after the one above it and with how far it is below the first.
fn downwards(tree: &Tree, shown: impl Fn(&AuthorityId) -> bool) -> Vec<(&Authority, usize)> {
    let mut below: BTreeMap<&AuthorityId, Vec<&Authority>> = BTreeMap::new();
    for authority in tree.all() {
        below.entry(authority.parent.as_ref().unwrap_or(&authority.id)).or_default().push(authority);
    }
    let tops =
        tree.all().filter(|authority| shown(&authority.id) && !authority.parent.as_ref().is_some_and(&shown));
    let mut waiting: Vec<(&Authority, usize)> = tops.map(|authority| (authority, 0)).collect();
    waiting.reverse();
    let mut all = Vec::new();
    while let Some((authority, depth)) = waiting.pop() {
        all.push((authority, depth));
        let below = below.get(&authority.id).into_iter().flatten().rev();
        waiting.extend(below.filter(|below| below.parent.is_some()).map(|below| (*below, depth + 1)));
    }
    all
}

async fn read_authorities(
    state: &AppState,
    visit: &Visit,
    user: &User,
    paging: Paging,
) -> Result<Authorities, Problem> {
    let tree = state.repository().tree().await?;
    let shown = |id: &AuthorityId| state.repository().shows(id);
    let all = paging.cut(downwards(&tree, shown));
    let mut rows = Vec::new();
    for (authority, depth) in &all.items {
        let theirs = state.repository().of(authority.id.clone());
        let open = theirs.open_incidents().await?;
        let people = theirs.people(None, Paging::new(1, 1)).await?.total;
        rows.push(AuthorityRow {
            id: authority.id.to_string(),
            name: authority.name.clone(),
            level: authority.level.as_str(),
            above: authority
                .parent
                .as_ref()
                .filter(|id| shown(id))
                .map(|id| named(&tree, id))
                .unwrap_or_default(),
            depth: *depth.min(&8),
            people: words::count(people),
            open: words::count(model::Severity::ALL.iter().map(|severity| open.of(*severity)).sum()),
            may_rename: user.may(Action::ManageAuthorities, &authority.id).is_ok(),
            may_provide: user.may(Action::ManagePeople, &authority.id).is_ok(),
        });
    }
    let managed = user.reach(Action::ManageAuthorities);
    let managed: BTreeSet<&str> = managed.iter().map(|grant| grant.authority().as_str()).collect();
    let parents: Vec<Choice> =
        places(state, &tree).into_iter().filter(|place| managed.contains(place.value.as_str())).collect();
    let levels =
        AuthorityLevel::ALL.iter().map(|level| Choice::new(level.as_str(), level.as_str(), "department"));
    Ok(Authorities {
        frame: Frame::new(state, visit, "people", "Authorities").await,
        pager: Pager::new(&all, |page| {
            format!("/authorities{}", view::query(&[("page", &page.to_string())]))
        }),
        rows,
        may_manage: !parents.is_empty(),
        parents,
        levels: levels.collect(),
    })
}

/// `POST /authorities`: makes one.
pub(super) async fn add_authority(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    RawForm(form): RawForm,
) -> Result<Redirect, Trouble> {
    let done = async {
        let fields = Fields::read(&form, &["id", "name", "level", "parent"], &[])?;
        let field = |name: &str| fields.one(name).unwrap_or_default();
        let new = Authority {
            id: parsed("id", field("id").trim())?,
            name: field("name"),
            level: parsed("level", &field("level"))?,
            parent: Some(parsed("parent", &field("parent"))?),
        };
        manage::add_authority(&state, &user, new).await
    };
    done.await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to("/authorities"))
}

/// `POST /authorities/{id}/rename`.
pub(super) async fn rename_authority(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
    RawForm(form): RawForm,
) -> Result<Redirect, Trouble> {
    let done = async {
        let name = Fields::read(&form, &["name"], &[])?.one("name").unwrap_or_default();
        let id = id.parse().map_err(|_: String| Problem::not_found("authority", &id))?;
        manage::rename_authority(&state, &user, &id, &name).await
    };
    done.await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to("/authorities"))
}
