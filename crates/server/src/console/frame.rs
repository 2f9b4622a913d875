//! What stands around every page, and the pages of trouble.

use super::{files, view::Markup};
use crate::{AppState, api::Problem, auth::User};
use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use model::Severity;
use policy::Action;
use store::{Credential, CredentialKind};

/// What stands around a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) section: &'static str,
    pub(super) theme: &'static str,
    pub(super) path: String,
    pub(super) user: String,
    pub(super) may: May,
    /// Open incidents that need a person.
    pub(super) pressing: u64,
    /// The lever is pulled.
    pub(super) stopped: bool,
    pub(super) troubles: Vec<Markup>,
    /// Signed in by a link, with nothing else to come back by.
    pub(super) by_link_only: bool,
    pub(super) version: String,
    pub(super) css: String,
    pub(super) script: String,
}

/// What the reader may: what they may not is not offered.
#[derive(Default)]
pub(super) struct May {
    pub(super) incidents: bool,
    pub(super) assets: bool,
    pub(super) record: bool,
    pub(super) node: bool,
    pub(super) people: bool,
    pub(super) enrol: bool,
    /// In the authority whose records are shown.
    pub(super) judge: bool,
    pub(super) respond: bool,
    pub(super) manage: bool,
}

impl May {
    /// The sections that show anything at all.
    fn sections(user: &User) -> Self {
        let anywhere = |action| user.may_anywhere(action);
        Self {
            incidents: anywhere(Action::SeeIncidents),
            assets: anywhere(Action::SeeAssets),
            record: anywhere(Action::SeeRecord),
            people: anywhere(Action::SeePeople),
            enrol: anywhere(Action::EnrolDevices),
            node: user.may_here(Action::SeeNode).is_ok(),
            ..Self::default()
        }
    }
}

/// The path that is shown, its theme, and who looks.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(super) user: Option<User>,
    pub(super) theme: &'static str,
    pub(super) path: String,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _state: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

impl Visit {
    /// The query of the request's address with its question mark: says which authority's record was meant.
    pub(super) fn query(&self) -> &str {
        self.path.find('?').and_then(|at| self.path.get(at..)).unwrap_or_default()
    }

    /// Who looks at what, by the request.
    pub(super) fn of(parts: &mut axum::http::request::Parts) -> Self {
        Self {
            user: parts.extensions.get::<User>().cloned(),
            theme: theme_of(&parts.headers),
            path: parts.uri.path_and_query().map_or_else(|| "/".into(), |path| path.as_str().to_owned()),
        }
    }
}

pub(super) const THEME_COOKIE: &str = "bastide-theme";

/// The theme that the reader chose; empty follows the system.
fn theme_of(headers: &HeaderMap) -> &'static str {
    let chosen = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == THEME_COOKIE)
        .map(|(_, value)| value);
    match chosen {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

impl Frame {
    /// Around a page for somebody who is signed in. Figures that cannot be had are left out and said.
    pub(super) async fn new(
        state: &AppState,
        visit: &Visit,
        section: &'static str,
        title: impl Into<String>,
    ) -> Self {
        let sensor = state.sensor();
        let mut frame = Self::bare(state.node().version.clone(), visit, section, title);
        frame.stopped = sensor.responding_stopped;
        if let Some(user) = &visit.user {
            let may = |action| user.may(action, state.repository().authority()).is_ok();
            (frame.may.judge, frame.may.respond) = (may(Action::JudgeIncidents), may(Action::Respond));
            frame.may.manage = may(Action::ManagePeople);
        }
        match state.repository().open_incidents().await {
            Ok(counts) => frame.pressing = counts.of(Severity::Critical) + counts.of(Severity::High),
            Err(error) => tracing::error!(%error, "open incidents could not be counted"),
        }
        if let Some((what, _)) = state.repository().trouble() {
            // What it is called and where it runs is for those who may see the node.
            let here = |user: &User| user.may_here(Action::SeeNode).is_ok();
            let what =
                if visit.user.as_ref().is_some_and(here) { format!(" ({what})") } else { String::new() };
            frame.troubles.push(Markup::text(&format!(
                "The database is in trouble{what}: what you change now is refused, and what you see may be old. The \
                 sensor goes on without it, and keeps what it has to report."
            )));
        }
        if let Some(session) =
            visit.user.as_ref().and_then(User::session).filter(|session| session.method == "link")
        {
            // Where it cannot be read the page says so above.
            let has = state.repository().credentials(&session.person.id).await;
            frame.by_link_only = has.is_ok_and(|has| ways_in(&has) == 0);
        }
        for input in &sensor.inputs {
            if let Some(problem) = &input.problem {
                frame.troubles.push(Markup::text(&format!("{}: {problem}", input.name)));
            }
        }
        frame
    }

    /// Around a page for which nothing is asked of the database.
    pub(super) fn bare(
        version: String,
        visit: &Visit,
        section: &'static str,
        title: impl Into<String>,
    ) -> Self {
        Self {
            title: title.into(),
            section,
            theme: visit.theme,
            path: visit.path.clone(),
            user: visit.user.as_ref().map(|user| user.name().to_owned()).unwrap_or_default(),
            may: visit.user.as_ref().map(May::sections).unwrap_or_default(),
            pressing: 0,
            stopped: false,
            troubles: Vec::new(),
            by_link_only: false,
            version,
            css: files::css_path(),
            script: files::script_path(),
        }
    }
}

/// By how many things somebody can sign in by themselves.
pub(super) fn ways_in(credentials: &[Credential]) -> usize {
    let way =
        |kind| matches!(kind, CredentialKind::Passkey | CredentialKind::Password | CredentialKind::Identity);
    credentials.iter().filter(|credential| way(credential.kind)).count()
}

/// A page, or the page of trouble where it could not be written.
pub(super) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written; the server's log says why")
                .into_response()
        }
    }
}

/// A problem, told as a page.
pub(super) struct Trouble(Box<(Problem, Visit)>);

impl Visit {
    /// Turns what went wrong into a page for this reader.
    pub(super) fn trouble(&self, problem: impl Into<Problem>) -> Trouble {
        Trouble(Box::new((problem.into(), self.clone())))
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (problem, visit) = *self.0;
        error_page(&visit, &problem)
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    heading: &'static str,
    detail: String,
    expected: String,
    works: &'static str,
}

/// The page for a problem.
pub(super) fn error_page(visit: &Visit, problem: &Problem) -> Response {
    let status = problem.status();
    let (heading, works) = match status {
        StatusCode::NOT_FOUND => (
            "There is nothing here",
            "It may have been removed by age, or the address was cut off on its way to you.",
        ),
        StatusCode::FORBIDDEN => ("This is not allowed", "Nothing was changed."),
        StatusCode::UNAUTHORIZED => ("Nobody is signed in", "Nothing was changed."),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => {
            ("This could not be understood", "Nothing was changed.")
        }
        StatusCode::CONFLICT => {
            ("Too late for that", "Somebody or something was faster; what holds now is one page back.")
        }
        StatusCode::SERVICE_UNAVAILABLE => (
            "The server is in trouble",
            "Watching and responding go on in the sensor. On the machine itself, `bastide command list`, \
             `bastide command undo --all` and `bastide stop-responding` work without this server.",
        ),
        _ => ("Something went wrong", "Watching and responding go on in the sensor."),
    };
    let frame = Frame::bare(env!("CARGO_PKG_VERSION").into(), visit, "", heading);
    let body = ErrorPage {
        frame,
        status: status.as_u16(),
        heading,
        detail: capitalised(problem.detail()),
        expected: problem.what_was_expected().unwrap_or_default().to_owned(),
        works,
    };
    (status, page(&body)).into_response()
}

pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
