//! My account: by what somebody signs in, where they are signed in, and how many tokens they made.

use super::{
    files,
    frame::{Frame, Trouble, Visit, capitalised, page, ways_in},
    view::{self, Markup},
};
use crate::{
    AppState,
    api::{Parameters, Problem},
    auth::{IDLE_SECS, User},
    people::{passkey::PasskeyError, prove},
};
use askama::Template;
use axum::{
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
    response::Response,
};
use model::Timestamp;
use serde::Deserialize;
use store::{Credential, CredentialKind, Person, Repository, Session};

/// Somebody at their own account; a program has none.
pub(super) struct Owner {
    pub(super) user: User,
    pub(super) session: Session,
}

impl Owner {
    pub(super) fn person(&self) -> &Person {
        &self.session.person
    }

    /// The authority in whose ledger it stands what they decide about themselves.
    pub(super) fn home(&self, state: &AppState) -> Repository {
        state.repository().of(self.person().authority.clone())
    }
}

impl FromRequestParts<AppState> for Owner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let user = User::from_request_parts(parts, state).await?;
        match user.session().cloned() {
            Some(session) => Ok(Self { user, session }),
            None => Err(Problem::new(StatusCode::CONFLICT, "a token has no account of its own")
                .expected("a person's session")),
        }
    }
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    passkey_script: String,
    done: &'static str,
    name: String,
    login: String,
    home: String,
    roles: Vec<String>,
    /// Whether changes are taken.
    fresh: bool,
    passkeys: Vec<CredentialRow>,
    identities: Vec<CredentialRow>,
    /// The authorities whose identity providers can be connected, and the names of these.
    providers: Vec<(String, String)>,
    passkeys_work: bool,
    no_passkeys: String,
    has_password: bool,
    password_since: Markup,
    password_problem: String,
    recovery_left: usize,
    /// One way in is left.
    last_way: bool,
    sessions: Vec<SessionRow>,
    tokens: usize,
}

struct CredentialRow {
    id: String,
    label: String,
    made: Markup,
    used: Markup,
}

struct SessionRow {
    id: String,
    device: String,
    place: String,
    method: &'static str,
    made: Markup,
    seen: Markup,
    is_this: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    done: Option<String>,
}

/// `GET /account`.
pub(super) async fn show(
    State(state): State<AppState>,
    visit: Visit,
    owner: Owner,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Trouble> {
    let done = match asked.done.as_deref() {
        Some("passkey-added") => "The passkey was added.",
        Some("passkey-removed") => "The passkey was removed.",
        Some("identity-added") => "Your account at the identity provider is connected.",
        Some("identity-removed") => "The connection with the identity provider was removed.",
        Some("password-set") => {
            "The password was set. Make recovery codes now, for the day the phone is lost."
        }
        Some("password-changed") => "The password was changed.",
        Some("password-removed") => "Password, code and recovery codes were removed.",
        Some("sessions-ended") => "Ended.",
        _ => "",
    };
    shown(&state, &visit, &owner, done, String::new()).await.map_err(|problem| visit.trouble(problem))
}

/// The page, with what was done or why a password was not taken.
pub(super) async fn shown(
    state: &AppState,
    visit: &Visit,
    owner: &Owner,
    done: &'static str,
    password_problem: String,
) -> Result<Response, Problem> {
    let (now, repository, person) = (state.now(), state.repository(), owner.person());
    let credentials = repository.credentials(&person.id).await?;
    let tree = repository.tree().await?;
    let name_of =
        |id: &model::AuthorityId| tree.get(id).map_or_else(|| id.to_string(), |known| known.name.clone());
    let (holdings, home) = (repository.holdings(&person.id).await?, tree.lineage(&person.authority));
    let sessions = repository.sessions(&person.id, now, now.plus_secs(-IDLE_SECS)).await?;
    let everywhere = repository.seeing(tree.all().map(|authority| &authority.id));
    let tokens = everywhere.tokens(Some(&person.id), now).await?;
    let password = prove::of(&credentials, CredentialKind::Password);
    let no_name = state.proofs().passkeys().err();
    let page_of = AccountPage {
        frame: Frame::new(state, visit, "account", "My account").await,
        passkey_script: files::passkey_path(),
        done,
        name: person.name.clone(),
        login: person.login.to_string(),
        home: name_of(&person.authority),
        roles: holdings
            .iter()
            .map(|holding| format!("{} in {}", holding.role, name_of(&holding.authority)))
            .collect(),
        fresh: owner.user.is_fresh(now),
        passkeys: rows(&credentials, CredentialKind::Passkey, now),
        identities: rows(&credentials, CredentialKind::Identity, now),
        providers: repository
            .providers()
            .await?
            .into_iter()
            .filter(|provider| home.upwards().any(|above| *above == provider.authority))
            .filter(|provider| !credentials.iter().any(|one| one.is_identity_at(&provider.authority)))
            .map(|provider| (provider.authority.to_string(), provider.name))
            .collect(),
        passkeys_work: no_name.is_none(),
        no_passkeys: no_name.map(|error: PasskeyError| capitalised(&error.to_string())).unwrap_or_default(),
        has_password: password.is_some(),
        password_since: password.map(|password| view::ago(password.made, now)).unwrap_or_default(),
        password_problem,
        recovery_left: credentials.iter().filter(|one| one.kind == CredentialKind::Recovery).count(),
        last_way: ways_in(&credentials) == 1,
        sessions: sessions.iter().map(|session| session_row(session, &owner.session, now)).collect(),
        tokens: tokens.len(),
    };
    Ok(page(&page_of))
}

fn rows(credentials: &[Credential], kind: CredentialKind, now: Timestamp) -> Vec<CredentialRow> {
    credentials
        .iter()
        .filter(|credential| credential.kind == kind)
        .map(|credential| CredentialRow {
            id: credential.id.clone(),
            label: credential.label.clone(),
            made: view::ago(credential.made, now),
            used: used(credential.used, now),
        })
        .collect()
}

fn session_row(session: &Session, this: &Session, now: Timestamp) -> SessionRow {
    SessionRow {
        id: session.id.clone(),
        device: session.device.clone(),
        place: session.place.clone(),
        method: by(&session.method),
        made: view::ago(session.made, now),
        seen: view::ago(session.seen, now),
        is_this: session.id == this.id,
    }
}

/// By what a session was begun, in words.
pub(super) fn by(method: &str) -> &'static str {
    match method {
        "passkey" => "passkey",
        "password" => "password and code",
        "recovery" => "recovery code",
        "link" => "link",
        crate::auth::IDENTITY => "identity provider",
        store::COMMAND_LINE => "command line",
        _ => "something else",
    }
}

fn used(at: Option<Timestamp>, now: Timestamp) -> Markup {
    at.map_or_else(|| Markup::text("never"), |at| view::ago(at, now))
}
