//! Where somebody answers a program that asks to be let in as them.
//!
//! Guarantees: who answers sees which machine asks, from where and since when; codes are guessed slowly; a program, by a
//! token or as somebody's command line, lets no other program in.

use super::{
    actions::Fields,
    frame::{Frame, Trouble, Visit, page},
    view::{self, Markup},
};
use crate::{
    AppState,
    api::{Parameters, Problem},
    auth::{self, User},
    people::device::Asker,
};
use askama::Template;
use axum::{
    extract::{ConnectInfo, RawForm, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use store::Session;

/// Where the page is.
pub(crate) const PATH: &str = "/sign-in/device";

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    frame: Frame,
    login: String,
    asker: Option<Shown>,
    /// What came of it.
    done: Option<bool>,
    problem: String,
}

struct Shown {
    code: String,
    facts: Vec<(&'static str, Markup)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    user_code: Option<String>,
}

/// `GET /sign-in/device`: asks for the code, or whether whoever shows it is to be let in.
pub(super) async fn show(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    visit: Visit,
    user: User,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Trouble> {
    let session = in_a_browser(&user).map_err(|problem| visit.trouble(problem))?;
    let mut told = DevicePage::new(&state, &visit, session).await;
    let Some(code) = asked.user_code.filter(|code| !code.trim().is_empty()) else { return Ok(page(&told)) };
    match find(&state, session, peer.ip(), || state.proofs().questions.asker(&code, state.now())) {
        Ok(asker) => {
            told.asker = Some(Shown {
                facts: vec![
                    (
                        "Machine",
                        Markup::text(if asker.machine.is_empty() { "(has no name)" } else { &asker.machine }),
                    ),
                    ("Address", view::code(&asker.place.to_string())),
                    ("Asked", view::ago(asker.from, state.now())),
                ],
                code: asker.code,
            });
            Ok(page(&told))
        }
        Err(refused) => Ok(told.refused(refused)),
    }
}

/// `POST /sign-in/device`: the answer.
pub(super) async fn answer(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    visit: Visit,
    user: User,
    RawForm(form): RawForm,
) -> Result<Response, Trouble> {
    let fields =
        Fields::read(&form, &["answer", "user_code"], &[]).map_err(|problem| visit.trouble(problem))?;
    let session = in_a_browser(&user).map_err(|problem| visit.trouble(problem))?;
    let yes = match fields.one("answer").as_deref() {
        Some("yes") => true,
        Some("no") => false,
        _ => {
            return Err(visit.trouble(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "yes or no is missing")));
        }
    };
    let mut told = DevicePage::new(&state, &visit, session).await;
    if yes && !user.is_recent(state.now()) {
        told.problem = "You came in more than fifteen minutes ago. Sign out, sign in again, and open this page again: so \
                        nobody who finds a browser open lets a program in."
            .to_owned();
        return Ok((StatusCode::FORBIDDEN, page(&told)).into_response());
    }
    let code = fields.one("user_code").unwrap_or_default();
    let questions = &state.proofs().questions;
    let asker = match find(&state, session, peer.ip(), || questions.begin_answer(&code, state.now())) {
        Ok(asker) => asker,
        Err(refused) => return Ok(told.refused(refused)),
    };
    let granted = match yes {
        true => match auth::let_program_in(&state, &user, &asker).await {
            Ok(granted) => Some(granted),
            Err(problem) => {
                questions.take_back(&asker);
                return Err(visit.trouble(problem));
            }
        },
        false => None,
    };
    questions.answer(&asker, granted);
    told.done = Some(yes);
    Ok(page(&told))
}

/// The session of a person who sits at a browser.
fn in_a_browser(user: &User) -> Result<&Session, Problem> {
    user.session().filter(|_| !user.is_program()).ok_or_else(|| {
        Problem::new(StatusCode::FORBIDDEN, "a program lets no other program in")
            .expected("a browser in which somebody is signed in")
    })
}

/// Why nobody is found by a code.
enum Refused {
    Unknown,
    Wait(i64),
}

/// Whoever asks with a code. Guessing makes the guesser wait, and nobody else.
fn find(
    state: &AppState,
    session: &Session,
    place: IpAddr,
    look: impl FnOnce() -> Option<Asker>,
) -> Result<Asker, Refused> {
    let (patience, now) = (&state.proofs().patience, state.now());
    let name = format!("device {}", session.person.id);
    patience.ask(&name, place, false, now).map_err(|wait| Refused::Wait(wait.seconds))?;
    look().ok_or_else(|| {
        patience.failed(&name, place, false, now);
        Refused::Unknown
    })
}

impl DevicePage {
    async fn new(state: &AppState, visit: &Visit, session: &Session) -> Self {
        Self {
            frame: Frame::new(state, visit, "", "Let a program in").await,
            login: session.person.login.to_string(),
            asker: None,
            done: None,
            problem: String::new(),
        }
    }

    fn refused(mut self, refused: Refused) -> Response {
        let (status, wait) = match refused {
            Refused::Unknown => {
                self.problem =
                    "No program asks with this code. It is good for ten minutes and for one answer: run \
                                the command again for another."
                        .to_owned();
                (StatusCode::NOT_FOUND, None)
            }
            Refused::Wait(seconds) => {
                self.problem = format!("Too many codes were wrong. Try again in {seconds} s.");
                (StatusCode::TOO_MANY_REQUESTS, Some(seconds))
            }
        };
        let response = (status, page(&self)).into_response();
        match wait {
            Some(seconds) => super::sign_in::waiting(response, seconds),
            None => response,
        }
    }
}
