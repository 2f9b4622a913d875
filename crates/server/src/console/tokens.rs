//! Tokens for programs: who made them, what they may, when they end.

use super::{
    actions::Fields,
    frame::{Frame, Trouble, Visit, page},
    people::{called, means},
    shown,
    view::{self, Choice, Markup},
};
use crate::{
    AppState,
    api::Problem,
    auth::User,
    manage::{self, NewToken},
};
use askama::Template;
use axum::{
    extract::{Path, RawForm, State},
    http::HeaderMap,
    response::{Redirect, Response},
};
use model::{AuthorityId, AuthorityRole};
use policy::Action;
use serde::{Deserialize, Serialize};

const PATH: &str = "/tokens";

#[derive(Template)]
#[template(path = "tokens.html")]
struct Tokens {
    frame: Frame,
    rows: Vec<Row>,
    places: Vec<Choice>,
    roles: Vec<Choice>,
    days: Vec<Choice>,
    /// Just made; shown this once.
    made: Option<Made>,
}

#[derive(Serialize, Deserialize)]
struct Made {
    name: String,
    token: String,
    url: String,
}

struct Row {
    id: String,
    name: String,
    roles: String,
    authority: String,
    maker: String,
    used: Option<Markup>,
    ends: Markup,
}

/// `GET /tokens`.
pub(super) async fn show(
    State(state): State<AppState>,
    visit: Visit,
    user: User,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let made = shown::take::<Made>(&state, &user, PATH, &headers);
    let once = made.is_some();
    let tokens = read(&state, &visit, &user, made).await.map_err(|problem| visit.trouble(problem))?;
    Ok(if once { shown::forget(page(&tokens)) } else { page(&tokens) })
}

async fn read(state: &AppState, visit: &Visit, user: &User, made: Option<Made>) -> Result<Tokens, Problem> {
    let now = state.now();
    let tree = state.repository().tree().await?;
    let named = |id: &AuthorityId| tree.get(id).map_or_else(|| id.to_string(), |known| known.name.clone());
    let mut rows = Vec::new();
    for token in manage::tokens(state, user).await? {
        let maker = match &token.person {
            None => "on the machine itself".to_owned(),
            Some(id) if user.is(id) => "you".to_owned(),
            Some(id) => match state.repository().person(id).await? {
                None => "(erased)".to_owned(),
                Some(person) if user.may(Action::SeePeople, &person.authority).is_ok() => {
                    person.login.to_string()
                }
                Some(_) => "somebody of another authority".to_owned(),
            },
        };
        rows.push(Row {
            roles: token.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", "),
            authority: named(&token.authority),
            maker,
            used: token.used.map(|at| view::ago(at, now)),
            ends: view::left(token.expires, now),
            name: token.name,
            id: token.id,
        });
    }
    let tokens_hold = |role: &AuthorityRole| *role != AuthorityRole::Administrator;
    let places = user.reach(Action::MakeTokens);
    let places = places
        .iter()
        .filter_map(|grant| tree.get(grant.authority()))
        .map(|authority| Choice::new(authority.id.as_str(), &called(authority), user.home().as_str()));
    Ok(Tokens {
        frame: Frame::new(state, visit, "tokens", "Tokens").await,
        rows,
        places: places.collect(),
        roles: AuthorityRole::ALL
            .iter()
            .filter(|role| tokens_hold(role) && user.hands_on(**role))
            .map(|role| Choice::new(role.as_str(), &format!("{role}: {}", means(*role)), "auditor"))
            .collect(),
        days: [("7", "7 days"), ("90", "90 days"), ("365", "a year")]
            .iter()
            .map(|(value, label)| Choice::new(value, label, "90"))
            .collect(),
        made,
    })
}

/// `POST /tokens`: makes one, which the page that follows shows this once.
pub(super) async fn make(
    State(state): State<AppState>,
    visit: Visit,
    user: User,
    RawForm(form): RawForm,
) -> Result<Response, Trouble> {
    let done = async {
        let fields = Fields::read(&form, &["name", "place", "days"], &["role"])?;
        let wrong = |name: &'static str| move |reason: String| Problem::parameter(name, reason);
        let name = fields.one("name").unwrap_or_default();
        let place = fields.one("place").unwrap_or_default();
        let new = NewToken {
            name: name.clone(),
            authority: Some(place.parse().map_err(wrong("place"))?),
            roles: fields
                .all("role")
                .map(|role| role.parse().map_err(wrong("role")))
                .collect::<Result<_, _>>()?,
            days: fields.one("days").and_then(|days| days.parse().ok()).unwrap_or(90),
        };
        let token = manage::make_token(&state, &user, new).await?;
        shown::lead_to(&state, &user, PATH, &Made { name, token, url: state.node().url.clone() })
    };
    done.await.map_err(|problem: Problem| visit.trouble(problem))
}

/// `POST /tokens/{id}/revoke`.
pub(super) async fn revoke(
    State(state): State<AppState>,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    manage::revoke_token(&state, &user, &id).await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to(PATH))
}
