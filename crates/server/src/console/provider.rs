//! The page on which the identity provider of an authority is set up.

use super::{
    actions::Fields,
    frame::{Frame, Trouble, Visit, page},
    view::{self, Choice, Markup},
};
use crate::{
    AppState,
    api::Problem,
    auth::User,
    provider::{self, Wanted},
    reach::Reach,
};
use askama::Template;
use axum::{
    extract::{Path, RawForm},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use model::AuthorityId;
use store::Recognises;

#[derive(Template)]
#[template(path = "provider.html")]
struct ProviderPage {
    frame: Frame,
    id: String,
    authority: String,
    return_address: String,
    problem: String,
    expected: String,
    /// Whether one is set up.
    known: bool,
    since: Markup,
    name: String,
    issuer: String,
    client: String,
    ca: String,
    recognises: Vec<Choice>,
}

/// What stands in the form.
#[derive(Default)]
struct Form {
    name: String,
    issuer: String,
    client: String,
    ca: String,
    recognises: Recognises,
}

/// `GET /authorities/{id}/identity-provider`.
pub(super) async fn show(
    Reach(state): Reach,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let read = async { shown(&state, &visit, &authority(&id)?, None).await };
    read.await.map_err(|problem: Problem| visit.trouble(problem))
}

fn authority(id: &str) -> Result<AuthorityId, Problem> {
    id.parse().map_err(|_: String| Problem::not_found("authority", id))
}

/// The page; with what was typed, and why it was not taken.
async fn shown(
    state: &AppState,
    visit: &Visit,
    id: &AuthorityId,
    typed: Option<(Form, Problem)>,
) -> Result<Response, Problem> {
    let known = provider::of(state, id).await?;
    let since = known.as_ref().map(|known| view::ago(known.changed, state.now()));
    let kept = known.map(|known| Form {
        name: known.name,
        issuer: known.issuer,
        client: known.client,
        ca: known.ca.unwrap_or_default(),
        recognises: known.recognises,
    });
    let is_known = kept.is_some();
    let (form, problem) = match typed {
        Some((form, problem)) => (form, Some(problem)),
        None => (kept.unwrap_or_default(), None),
    };
    let tree = state.repository().tree().await?;
    let named = tree.get(id).map_or_else(|| id.to_string(), |known| known.name.clone());
    let recognises = Recognises::ALL.map(|by| {
        let means = match by {
            Recognises::None => "by nothing: everybody connects themselves, on their account page",
            Recognises::PreferredUsername => "by preferred_username, where it is their login",
            Recognises::Email => "by email, where it is their login and verified there",
        };
        Choice::new(by.as_str(), means, form.recognises.as_str())
    });
    let status = problem.as_ref().map_or(StatusCode::OK, Problem::status);
    let body = ProviderPage {
        frame: Frame::new(state, visit, "people", format!("Identity provider of {named}")).await,
        authority: named,
        return_address: state.proofs().identities.return_address(id),
        problem: problem.as_ref().map(|it| super::frame::capitalised(it.detail())).unwrap_or_default(),
        expected: problem.as_ref().and_then(Problem::what_was_expected).unwrap_or_default().to_owned(),
        known: is_known,
        since: since.unwrap_or_default(),
        name: form.name,
        issuer: form.issuer,
        client: form.client,
        ca: form.ca,
        recognises: recognises.to_vec(),
        id: id.to_string(),
    };
    Ok((status, page(&body)).into_response())
}

/// `POST /authorities/{id}/identity-provider`.
pub(super) async fn set(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
    RawForm(form): RawForm,
) -> Result<Response, Trouble> {
    let done = async {
        let id = authority(&id)?;
        // Whether it is theirs at all comes before what they typed.
        provider::of(&state, &id).await?;
        let names = ["name", "issuer", "client_id", "client_secret", "ca", "recognises"];
        let fields = Fields::read(&form, &names, &[])?;
        let field = |name: &str| fields.one(name).unwrap_or_default();
        let recognises =
            field("recognises").parse().map_err(|reason: String| Problem::parameter("recognises", reason))?;
        let wanted = Wanted {
            name: field("name"),
            issuer: field("issuer"),
            client: field("client_id"),
            secret: fields.one("client_secret"),
            ca: fields.one("ca"),
            recognises,
        };
        match provider::set(&state, &user, &id, wanted).await {
            Ok(_) => Ok(Redirect::to(&format!("/authorities/{id}/identity-provider")).into_response()),
            Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
                let (name, issuer, client, ca) =
                    (field("name"), field("issuer"), field("client_id"), field("ca"));
                shown(&state, &visit, &id, Some((Form { name, issuer, client, ca, recognises }, problem)))
                    .await
            }
            Err(problem) => Err(problem),
        }
    };
    done.await.map_err(|problem: Problem| visit.trouble(problem))
}

/// `POST /authorities/{id}/identity-provider/remove`.
pub(super) async fn remove(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    let done = async { provider::remove(&state, &user, &authority(&id)?).await };
    done.await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to(&format!("/authorities/{id}/identity-provider")))
}
