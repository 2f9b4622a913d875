//! Signing in: the page, and what it sends.
//!
//! Guarantees: works without script but for passkeys; a refusal does not tell whether somebody exists; no answer holds
//! what was typed but the login.

use super::{
    actions::Fields,
    files,
    frame::{Frame, Visit, page},
    view,
};
use crate::{
    AppState,
    api::{Body, Problem},
    auth::{self, Reason, User, is_local_path},
    people::prove::{self, Origin, Refused},
};
use askama::Template;
use axum::{
    Json,
    extract::{ConnectInfo, RawForm, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use store::{Provider, StoreError, Tree};
use webauthn_rs::prelude::{PublicKeyCredential, RequestChallengeResponse};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    heading: &'static str,
    why: String,
    /// Where somebody who came from another site goes on.
    elsewhere: String,
    next: String,
    login: String,
    problem: String,
    passkeys: bool,
    providers: Vec<Button>,
    /// Somebody who is signed in proves it once more.
    confirms: bool,
    script: String,
}

/// An identity provider to sign in with.
struct Button {
    to: String,
    name: String,
    authority: String,
}

/// The identity providers of all authorities, or none where they cannot be read.
async fn buttons(state: &AppState, next: &str) -> Vec<Button> {
    let read = async {
        let repository = state.repository();
        let providers = repository.providers().await?;
        // Most nodes have none, and then nothing more is asked.
        let tree = if providers.is_empty() { Tree::default() } else { repository.tree().await? };
        Ok::<_, StoreError>((providers, tree))
    };
    let (providers, tree) = read.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the identity providers cannot be read");
        Default::default()
    });
    let button = |provider: Provider| Button {
        to: format!("/sign-in/with/{}{}", provider.authority, view::query(&[("next", next)])),
        authority: tree.get(&provider.authority).map(|known| known.name.clone()).unwrap_or_default(),
        name: provider.name,
    };
    providers.into_iter().map(button).collect()
}

impl SignInPage {
    async fn new(state: &AppState, visit: &Visit, heading: &'static str, why: &str, next: String) -> Self {
        Self {
            frame: Frame::bare(state.node().version.clone(), visit, "", heading),
            heading,
            why: why.to_owned(),
            elsewhere: String::new(),
            providers: buttons(state, &next).await,
            next,
            login: String::new(),
            problem: String::new(),
            passkeys: state.proofs().passkeys().is_ok(),
            confirms: false,
            script: files::passkey_path(),
        }
    }
}

fn nobody() -> Visit {
    Visit { user: None, theme: "", path: "/sign-in".into() }
}

/// The page on which people sign in. `elsewhere`: they came from another site, and may be signed in already.
pub(crate) async fn sign_in_page(state: &AppState, reason: Reason, next: &str, elsewhere: bool) -> Response {
    let (heading, why) = match reason {
        Reason::Closed if elsewhere => {
            ("One more step", "You came from another site, and your browser did not show who you are.")
        }
        Reason::Closed => ("Sign in", ""),
        Reason::LinkRefused => {
            ("This link is no good any more", "A sign-in link is good once, and for fifteen minutes.")
        }
        Reason::SignedOut => ("Signed out", "Your session has ended on this server."),
    };
    let mut form = SignInPage::new(state, &nobody(), heading, why, next.to_owned()).await;
    if elsewhere {
        form.elsewhere = next.to_owned();
    }
    page(&form)
}

#[derive(Template)]
#[template(path = "come_in.html")]
struct LinkPage {
    frame: Frame,
    link: String,
    next: String,
}

/// The page that asks whether a link is to be used.
pub(crate) fn link_page(state: &AppState, link: &str, next: &str) -> Response {
    let frame = Frame::bare(state.node().version.clone(), &nobody(), "", "Sign in");
    page(&LinkPage { frame, link: link.to_owned(), next: next.to_owned() })
}

/// `POST /sign-in/link`: uses a link up.
pub(super) async fn link(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Result<Response, Problem> {
    let fields = Fields::read(&form, &["link", "next"], &[])?;
    let link = fields
        .one("link")
        .ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the link is missing"))?;
    auth::let_in_by_link(&state, &link, &next(fields.one("next")), &headers, peer.ip()).await
}

#[derive(Template)]
#[template(path = "code.html")]
struct CodePage {
    frame: Frame,
    problem: String,
}

/// The page that asks for a code.
pub(crate) fn code_page(state: &AppState, problem: &str) -> Response {
    let frame = Frame::bare(state.node().version.clone(), &nobody(), "", "One-time code");
    page(&CodePage { frame, problem: problem.to_owned() })
}

/// The page on which people sign in, with why they were not let in.
pub(super) async fn refused(state: &AppState, status: StatusCode, problem: String, next: String) -> Response {
    let mut form = SignInPage::new(state, &nobody(), "Sign in", "", next).await;
    form.problem = problem;
    (status, page(&form)).into_response()
}

/// `GET /account/confirm`: somebody who is signed in proves who they are once more.
pub(super) async fn confirm(State(state): State<AppState>, visit: Visit, user: User) -> Response {
    let why = "Changing by what you sign in needs a session of at most fifteen minutes that began with a passkey, a \
               password or a link. Sign in once more; you come back to your account.";
    let mut form =
        SignInPage::new(&state, &visit, "Confirm that it is you", why, "/account".to_owned()).await;
    form.login = user.session().map(|session| session.person.login.to_string()).unwrap_or_default();
    // A provider's word does not count for this.
    form.providers.clear();
    form.confirms = true;
    page(&form)
}

/// `POST /sign-in/password`: the first step.
pub(super) async fn password(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    let fields = match Fields::read(&form, &["next", "login", "password"], &[]) {
        Ok(fields) => fields,
        Err(problem) => return problem.into_response(),
    };
    let [login, password] = ["login", "password"].map(|name| fields.one(name).unwrap_or_default());
    let next = next(fields.one("next"));
    let again = async |status: StatusCode, problem: &str| {
        let mut form = SignInPage::new(&state, &nobody(), "Sign in", "", next.clone()).await;
        form.login = login.chars().take(128).collect();
        form.problem = problem.to_owned();
        (status, page(&form)).into_response()
    };
    if login.trim().is_empty() || password.is_empty() {
        return again(StatusCode::UNPROCESSABLE_ENTITY, "A login and a password are needed.").await;
    }
    let origin = Origin { place: peer.ip(), mark: auth::mark(&headers) };
    match prove::password(&state, &login, password, next.clone(), &origin).await {
        Ok(step) => {
            let mut response = Redirect::to("/sign-in").into_response();
            auth::set_step(&mut response, &step);
            response
        }
        Err(Refused::Wait(wait, _)) => {
            waiting(again(StatusCode::TOO_MANY_REQUESTS, &said(&wait)).await, wait.seconds)
        }
        Err(Refused::Problem(problem)) => problem.into_response(),
        Err(Refused::Wrong(_) | Refused::Over) => {
            let wrong = "This login and password do not go together, or no password is set for it.";
            again(StatusCode::FORBIDDEN, wrong).await
        }
    }
}

/// `POST /sign-in/code`: the second step.
pub(super) async fn code(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    let origin = Origin { place: peer.ip(), mark: auth::mark(&headers) };
    let typed = match Fields::read(&form, &["code"], &[]) {
        Ok(fields) => fields.one("code").unwrap_or_default(),
        Err(problem) => return problem.into_response(),
    };
    let step = auth::step_of(&headers).unwrap_or_default();
    let refused = match prove::code(&state, step, &typed, &origin).await {
        Ok(proven) => {
            return match auth::let_in(&state, proven, &headers, peer.ip()).await {
                Ok(response) => response,
                Err(problem) => problem.into_response(),
            };
        }
        Err(refused) => refused,
    };
    let (mut response, step) = match refused {
        Refused::Wrong(step) => {
            let wrong =
                "This code is wrong, was used before, or is too old. Is the clock of the phone right?";
            ((StatusCode::FORBIDDEN, code_page(&state, wrong)).into_response(), step)
        }
        Refused::Wait(wait, step) => {
            let page = (StatusCode::TOO_MANY_REQUESTS, code_page(&state, &said(&wait))).into_response();
            (waiting(page, wait.seconds), step)
        }
        Refused::Over => {
            let late = "The code came too late or too often: begin again with the password.".to_owned();
            (self::refused(&state, StatusCode::UNPROCESSABLE_ENTITY, late, "/".to_owned()).await, None)
        }
        Refused::Problem(problem) => return problem.into_response(),
    };
    auth::set_step(&mut response, &step.unwrap_or_default());
    response
}

/// What a browser's script is told to ask a passkey.
#[derive(Serialize)]
pub(super) struct Ceremony<T> {
    pub(super) ceremony: String,
    #[serde(flatten)]
    pub(super) asked: T,
}

/// `POST /sign-in/passkey/begin`.
pub(super) async fn passkey_begin(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Result<Json<Ceremony<RequestChallengeResponse>>, Problem> {
    let (ceremony, asked) = state.proofs().passkeys()?.begin_sign_in(peer.ip(), state.now())?;
    Ok(Json(Ceremony { ceremony, asked }))
}

/// A passkey's answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answered {
    ceremony: String,
    credential: PublicKeyCredential,
    next: Option<String>,
}

/// `POST /sign-in/passkey/finish`.
pub(super) async fn passkey_finish(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Body(answered): Body<Answered>,
) -> Result<Response, Problem> {
    let Answered { ceremony, credential, next: asked } = answered;
    let origin = Origin { place: peer.ip(), mark: auth::mark(&headers) };
    let proven = prove::passkey(&state, &ceremony, &credential, next(asked), &origin).await;
    let proven = proven.map_err(|refused| match refused {
        Refused::Problem(problem) => problem,
        Refused::Over => Problem::new(StatusCode::CONFLICT, "this took too long; try again"),
        Refused::Wrong(_) | Refused::Wait(..) => {
            Problem::new(StatusCode::FORBIDDEN, "this passkey is not known here, or was removed")
        }
    })?;
    // Where to go on stands in the address of the redirection; a script goes there itself.
    let mut response = auth::let_in(&state, proven, &headers, peer.ip()).await?;
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}

pub(super) fn next(asked: Option<String>) -> String {
    asked.filter(|next| is_local_path(next)).unwrap_or_else(|| "/".to_owned())
}

pub(super) fn said(wait: &crate::people::patience::Wait) -> String {
    format!("Too many attempts from here. Try again in {} s; passkeys do not wait.", wait.seconds)
}

pub(super) fn waiting(mut response: Response, seconds: i64) -> Response {
    if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}
