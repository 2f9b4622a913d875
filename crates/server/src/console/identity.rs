//! Signing in, and connecting an account, with an authority's identity provider: there and back.
//!
//! Guarantees: works without script; whoever comes back is listened to only in the browser that went, once, and at the
//! address of the provider to which it went; what a provider writes is shown as text and cut short.

use super::{
    account::Owner,
    account_changes::{Stop, told},
    frame::{Frame, Visit, page},
    sign_in, sign_in_page,
};
use crate::{
    AppState,
    api::Problem,
    auth,
    people::{
        identity::{self, Begun, IdentityError, Purpose, Unknown},
        prove::Proven,
    },
};
use askama::Template;
use axum::{
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use model::AuthorityId;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use store::Provider;

/// The longest code that is handed on, in bytes.
const MOST_CODE: usize = 4_096;

#[derive(Template)]
#[template(path = "onward.html")]
struct OnwardPage {
    frame: Frame,
    heading: String,
    lead: String,
    problem: String,
    to: String,
    button: String,
    /// The browser goes on by itself.
    goes_on: bool,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    next: Option<String>,
}

async fn provider(state: &AppState, id: &str) -> Result<Provider, Problem> {
    let none = || Problem::not_found("identity provider of", id);
    let authority: AuthorityId = id.parse().map_err(|_| none())?;
    state.repository().of(authority).provider().await?.ok_or_else(none)
}

/// `GET /sign-in/with/{id}`: sends the browser to the provider of an authority.
pub(super) async fn begin(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let provider = match provider(&state, &id).await {
        Ok(provider) => provider,
        Err(problem) => return problem.into_response(),
    };
    let next = sign_in::next(asked.next);
    // No other site has somebody signed in, or sent on from here: they press the button themselves.
    if auth::is_from_elsewhere(&headers) {
        return sign_in_page(&state, auth::Reason::Closed, &next, false).await;
    }
    let purpose = Purpose::SignIn { next: next.clone(), before: auth::session_of(&headers) };
    let (identities, name) = (&state.proofs().identities, provider.name.clone());
    match identities.begin(provider, purpose, peer.ip(), state.now()).await {
        Ok(onward) => {
            let mut response = Redirect::to(&onward.url).into_response();
            auth::set_away(&mut response, &onward.state);
            response
        }
        Err(error) => {
            tracing::warn!(authority = %id, %error, "a sign-in with an identity provider could not begin");
            let (status, problem) = in_words(&error, &name);
            sign_in::refused(&state, status, problem, next).await
        }
    }
}

/// `POST /account/identities/{id}/connect`: sends somebody who is signed in to a provider, to come back connected. By a page
/// that goes on by itself: the answer to a form may lead to no other site.
pub(super) async fn connect(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    visit: Visit,
    owner: Owner,
    Path(id): Path<String>,
) -> Result<Response, Stop> {
    owner.fresh(&state)?;
    let begun = async {
        let provider = provider(&state, &id).await?;
        let (identities, name) = (&state.proofs().identities, provider.name.clone());
        let purpose =
            Purpose::Connect { person: owner.person().id.clone(), session: owner.session.id.clone() };
        let onward = identities.begin(provider, purpose, peer.ip(), state.now()).await.map_err(|error| {
            tracing::warn!(authority = %id, %error, "an identity could not be connected");
            let (status, problem) = in_words(&error, &name);
            Problem::new(status, problem)
        })?;
        let mut response = page(&OnwardPage {
            frame: Frame::new(&state, &visit, "account", format!("Connect with {name}")).await,
            heading: format!("Connect with {name}"),
            lead: format!("Sign in at {name}; you come back to your account."),
            problem: String::new(),
            to: onward.url,
            button: format!("Go on to {name}"),
            goes_on: true,
        });
        auth::set_away(&mut response, &onward.state);
        Ok(response)
    };
    begun.await.map_err(told(&visit))
}

/// What a provider sends back with the browser (RFC 6749, section 4.1.2; RFC 9207). Others are of no use here.
#[derive(Deserialize)]
pub(super) struct Answer {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// `GET /sign-in/return/{id}`: somebody comes back from the provider of an authority.
pub(super) async fn returned(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    headers: HeaderMap,
    visit: Visit,
    Path(id): Path<String>,
    Query(answer): Query<Answer>,
) -> Response {
    if method != Method::GET {
        // Looking ahead must not use it up.
        return StatusCode::NO_CONTENT.into_response();
    }
    let again = |status, problem: String| sign_in::refused(&state, status, problem, "/".to_owned());
    let (now, proofs) = (state.now(), state.proofs());
    // Whoever was sent there from here does not wait for those who were not.
    let kept = auth::away(&headers).filter(|kept| answer.state.as_deref() == Some(*kept));
    let begun = kept.and_then(|kept| proofs.identities.begun.take(kept, now));
    let Some(begun) = begun.filter(|begun| begun.authority.as_str() == id) else {
        if let Err(wait) = proofs.patience.stray(peer.ip(), now) {
            return again(StatusCode::TOO_MANY_REQUESTS, sign_in::said(&wait)).await;
        }
        tracing::warn!(%peer, "somebody came back from an identity provider who did not go there from here");
        let problem = format!(
            "This sign-in was not begun in this browser, was done before, or took more than five minutes. Begin again, at {}.",
            state.node().url
        );
        return again(StatusCode::UNPROCESSABLE_ENTITY, problem).await;
    };
    let mut response = match Return::read(&state, begun, answer).await {
        Ok(back) => back.done(&state, &visit, &headers, peer.ip()).await,
        Err(problem) => problem.into_response(),
    };
    auth::set_away(&mut response, "");
    response
}

/// Somebody who came back, and what the provider says.
struct Return {
    provider: Provider,
    begun: Begun,
    code: Result<String, (StatusCode, String)>,
}

impl Return {
    async fn read(state: &AppState, begun: Begun, answer: Answer) -> Result<Self, Problem> {
        let provider = provider(state, begun.authority.as_str()).await?;
        let name = &provider.name;
        let refused = |problem: String| Err((StatusCode::UNPROCESSABLE_ENTITY, problem));
        let code = match answer {
            Answer { iss: Some(iss), .. } if iss != provider.issuer => {
                tracing::warn!(authority = %provider.authority, iss = %foreign(&iss), "an answer names another issuer");
                refused(format!("The answer that came back is not from {name}. Begin again."))
            }
            Answer { error: Some(error), error_description, .. } => {
                let why = match error.as_str() {
                    "access_denied" => "you or they refused".to_owned(),
                    "login_required" | "interaction_required" => {
                        "they want you to sign in there first".to_owned()
                    }
                    "temporarily_unavailable" | "server_error" => {
                        "they are in trouble; try again later".to_owned()
                    }
                    other => foreign(other),
                };
                let more = error_description.map(|more| format!(" They say: “{}”", foreign(&more)));
                refused(format!("{name} did not let you in: {why}.{}", more.unwrap_or_default()))
            }
            Answer { code: Some(code), .. } if (1..=MOST_CODE).contains(&code.len()) => Ok(code),
            Answer { .. } => refused(format!("{name} sent you back without a code that can be used.")),
        };
        Ok(Self { provider, begun, code })
    }

    async fn done(self, state: &AppState, visit: &Visit, headers: &HeaderMap, place: IpAddr) -> Response {
        let Self { provider, begun: Begun { purpose, proof, .. }, code } = self;
        let code = match code {
            Ok(code) => code,
            Err((status, problem)) => return refused(state, visit, purpose, status, problem).await,
        };
        let proofs = state.proofs();
        let said = proofs.identities.finish(&proofs.seal, provider.clone(), proof, code, state.now()).await;
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                tracing::warn!(authority = %provider.authority, %place, %error, "an identity provider's answer was refused");
                let (status, problem) = in_words(&error, &provider.name);
                return refused(state, visit, purpose, status, problem).await;
            }
        };
        let unknown = match &purpose {
            Purpose::SignIn { next, before } => match identity::whose(state, &provider, &said).await {
                Ok((person, by)) => {
                    let (vouched, before) = (Some(by), before.clone());
                    let proven =
                        Proven { person, method: auth::IDENTITY, next: next.clone(), vouched, before };
                    match auth::let_in(state, proven, headers, place).await {
                        Ok(response) => return arrived(state, visit, response),
                        Err(problem) => Unknown::Problem(problem),
                    }
                }
                Err(unknown) => unknown,
            },
            Purpose::Connect { person, session } => {
                match identity::connect(state, &provider, &said, person, session).await {
                    Ok(()) => {
                        return onward(state, visit, "Connected", "/account?done=identity-added#identities");
                    }
                    Err(unknown) => unknown,
                }
            }
        };
        tracing::warn!(authority = %provider.authority, %place, "an identity was not taken");
        let (status, problem) = not_known(unknown, &provider.name);
        refused(state, visit, purpose, status, problem).await
    }
}

/// Lets the browser go on from a page of our own: it came from another site, and would not show its new cookie there.
fn arrived(state: &AppState, visit: &Visit, let_in: Response) -> Response {
    let to = let_in.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("/");
    let mut response = onward(state, visit, "Signed in", to);
    for cookie in let_in.headers().get_all(header::SET_COOKIE) {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

fn onward(state: &AppState, visit: &Visit, heading: &str, to: &str) -> Response {
    page(&OnwardPage {
        frame: Frame::bare(state.node().version.clone(), visit, "", heading),
        heading: heading.to_owned(),
        lead: String::new(),
        problem: String::new(),
        to: to.to_owned(),
        button: "Go on".to_owned(),
        goes_on: true,
    })
}

async fn refused(
    state: &AppState,
    visit: &Visit,
    purpose: Purpose,
    status: StatusCode,
    problem: String,
) -> Response {
    match purpose {
        Purpose::SignIn { next, .. } => sign_in::refused(state, status, problem, next).await,
        Purpose::Connect { .. } => {
            let body = OnwardPage {
                frame: Frame::bare(state.node().version.clone(), visit, "", "Not connected"),
                heading: "Not connected".to_owned(),
                lead: String::new(),
                problem,
                to: "/account".to_owned(),
                button: "Back to my account".to_owned(),
                goes_on: false,
            };
            (status, page(&body)).into_response()
        }
    }
}

fn not_known(unknown: Unknown, name: &str) -> (StatusCode, String) {
    match unknown {
        Unknown::Nobody => (
            StatusCode::FORBIDDEN,
            format!(
                "{name} knows you, but nobody here is connected with your account there. Sign in otherwise, such as by the \
                 link of your invitation, and connect it under “My account”."
            ),
        ),
        Unknown::Taken => (
            StatusCode::CONFLICT,
            format!(
                "Your account at {name} is connected here already, or you have too many ways to sign in."
            ),
        ),
        Unknown::SignedOut => (
            StatusCode::FORBIDDEN,
            "Your session here has ended meanwhile. Sign in, and connect again.".to_owned(),
        ),
        Unknown::Problem(problem) => {
            let more = problem.what_was_expected().map(|more| format!(" Expected: {more}."));
            let told = super::frame::capitalised(problem.detail());
            (problem.status(), format!("{told}.{}", more.unwrap_or_default()))
        }
    }
}

/// What somebody who wants to sign in is told; what an operator needs is in the log.
fn in_words(error: &IdentityError, name: &str) -> (StatusCode, String) {
    match error {
        IdentityError::Unreadable(_) | IdentityError::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "{name} does not answer as it should. Try again, or sign in otherwise; the server's log says more."
            ),
        ),
        IdentityError::NoToken(_) | IdentityError::Refused(_) => (
            StatusCode::FORBIDDEN,
            format!("What came back from {name} cannot be verified. Begin again; the server's log says why."),
        ),
        IdentityError::Changed => {
            (StatusCode::CONFLICT, format!("The settings of {name} were changed meanwhile. Begin again."))
        }
        IdentityError::Sealed(_) | IdentityError::NoRandomness(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("This node cannot use {name} at the moment; the server's log says why."),
        ),
    }
}

/// What somebody else wrote, on one line and cut short; pages escape it.
fn foreign(text: &str) -> String {
    let cut: String = text.chars().take(200).collect();
    report::visible(&cut)
}
