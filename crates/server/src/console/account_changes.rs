//! What somebody changes about their own account.
//!
//! Guarantees: by what somebody signs in changes only in a session that is fresh ([`User::is_fresh`](crate::auth::User));
//! each change is a decision in the ledger of their authority; a password counts only together with a second factor;
//! the last way in is removed only by whoever was told that it is the last.

use super::{
    account::{self, Owner},
    actions::Fields,
    frame::{Frame, Trouble, Visit, capitalised, page, ways_in},
    sign_in::Ceremony,
    view::Markup,
};
use crate::{
    AppState,
    api::{Body, Problem},
    auth::decided,
    people::{Setup, passkey, password, prove, recovery, totp},
    secret, words,
};
use askama::Template;
use axum::{
    Json,
    extract::{ConnectInfo, Path, RawForm, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use ledger::Deed;
use model::Timestamp;
use serde::Deserialize;
use std::net::SocketAddr;
use store::{Credential, CredentialKind, Decided};
use webauthn_rs::prelude::{CreationChallengeResponse, RegisterPublicKeyCredential};

/// The longest name of a passkey, in letters.
const LABEL: usize = 60;

impl Owner {
    /// Sends whoever proved who they are too long ago to prove it again.
    pub(super) fn fresh(&self, state: &AppState) -> Result<(), Stop> {
        if self.user.is_fresh(state.now()) { Ok(()) } else { Err(Stop::Stale) }
    }

    fn decided(&self, state: &AppState, deed: Deed, details: String) -> Result<Decided, Problem> {
        decided(state, &self.user, deed, &[("person", self.person().id.as_str())], Some(details))
    }

    /// Adds credentials, as one decision.
    async fn add(&self, state: &AppState, new: Vec<Credential>, details: String) -> Result<(), Problem> {
        let decided = self.decided(state, Deed::CredentialAdded, details)?;
        if self.home(state).add_credentials(&self.person().id, new, decided).await? {
            return Ok(());
        }
        Err(Problem::new(StatusCode::CONFLICT, "this is known already, or there are too many")
            .expected("remove what is not used any more"))
    }

    async fn remove(
        &self,
        state: &AppState,
        credential: &Credential,
        details: String,
    ) -> Result<(), Problem> {
        let decided = self.decided(state, Deed::CredentialRemoved, details)?;
        self.home(state).remove_credential(&self.person().id, &credential.id, decided).await?;
        Ok(())
    }
}

/// Why a form changed nothing.
pub(super) enum Stop {
    /// Its sender proved who they are too long ago.
    Stale,
    /// Told as a page.
    Told(Trouble),
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        match self {
            Self::Stale => Redirect::to("/account/confirm").into_response(),
            Self::Told(trouble) => trouble.into_response(),
        }
    }
}

pub(super) fn told(visit: &Visit) -> impl Fn(Problem) -> Stop + '_ {
    |problem| Stop::Told(visit.trouble(problem))
}

fn back(done: &str, at: &str) -> Response {
    Redirect::to(&format!("/account?done={done}#{at}")).into_response()
}

/// A credential's id, of random bits.
fn fresh_id() -> Result<String, Problem> {
    Ok(format!("crd-{}", secret::hex(&secret::random::<16>()?)))
}

fn credential(kind: CredentialKind, body: String, now: Timestamp) -> Result<Credential, Problem> {
    Ok(Credential { id: fresh_id()?, kind, label: String::new(), body, made: now, used: None })
}

/// `POST /account/passkeys/begin`.
pub(super) async fn passkey_begin(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    owner: Owner,
) -> Result<Json<Ceremony<CreationChallengeResponse>>, Problem> {
    fresh_for_scripts(&state, &owner)?;
    let has: Vec<_> =
        state.repository().credentials(&owner.person().id).await?.iter().filter_map(prove::read).collect();
    if has.len() >= passkey::OF_A_PERSON {
        return Err(Problem::new(StatusCode::CONFLICT, "this is one passkey too many")
            .expected(format!("at most {}; remove what is not used any more", passkey::OF_A_PERSON)));
    }
    let passkeys = state.proofs().passkeys()?;
    let (ceremony, asked) = passkeys.begin_registration(owner.person(), &has, peer.ip(), state.now())?;
    Ok(Json(Ceremony { ceremony, asked }))
}

/// A new passkey, and what its owner calls it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Made {
    ceremony: String,
    label: String,
    credential: RegisterPublicKeyCredential,
}

/// `POST /account/passkeys/finish`.
pub(super) async fn passkey_finish(
    State(state): State<AppState>,
    owner: Owner,
    Body(made): Body<Made>,
) -> Result<StatusCode, Problem> {
    fresh_for_scripts(&state, &owner)?;
    let label = label(&made.label)?;
    let (passkeys, now) = (state.proofs().passkeys()?, state.now());
    let key = passkeys.finish_registration(&made.ceremony, &owner.person().id, &made.credential, now)?;
    // The same key is the same credential, whoever adds it.
    let id: String = secret::hash(key.cred_id().as_slice()).chars().take(32).collect();
    let body = serde_json::to_string(&key).map_err(|error| {
        tracing::error!(%error, "a passkey cannot be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the passkey cannot be kept")
    })?;
    let details = format!("a passkey, {label}");
    let kind = CredentialKind::Passkey;
    let new = Credential { id: format!("crd-{id}"), kind, label, body, made: now, used: None };
    owner.add(&state, vec![new], details).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn fresh_for_scripts(state: &AppState, owner: &Owner) -> Result<(), Problem> {
    if owner.user.is_fresh(state.now()) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::CONFLICT, "you proved who you are too long ago")
        .expected("load the page anew and confirm that it is you"))
}

/// What somebody calls a passkey.
fn label(text: &str) -> Result<String, Problem> {
    let label = if text.trim().is_empty() { "passkey" } else { text };
    words::line(label, LABEL).map_err(|expected| Problem::parameter("label", expected))
}

/// `POST /account/credentials/{id}/remove`: removes a passkey, or an identity at a provider.
pub(super) async fn remove(
    State(state): State<AppState>,
    visit: Visit,
    owner: Owner,
    Path(id): Path<String>,
    RawForm(form): RawForm,
) -> Result<Response, Stop> {
    owner.fresh(&state)?;
    let removed = async {
        let fields = Fields::read(&form, &["last"], &[])?;
        let credentials = state.repository().credentials(&owner.person().id).await?;
        let named =
            credentials.iter().find(|credential| credential.id == id).and_then(|credential| match credential
                .kind
            {
                CredentialKind::Passkey => Some((credential, "passkey", ("passkey-removed", "passkeys"))),
                CredentialKind::Identity => {
                    Some((credential, "identity at", ("identity-removed", "identities")))
                }
                _ => None,
            });
        let (credential, what, done) =
            named.ok_or_else(|| Problem::not_found("passkey or identity of yours", &id))?;
        warned(&credentials, &fields)?;
        owner.remove(&state, credential, format!("the {what} {}", credential.label)).await?;
        Ok(done)
    };
    let (done, at) = removed.await.map_err(told(&visit))?;
    Ok(back(done, at))
}

/// The last way in goes only where its owner was told that it is the last.
fn warned(credentials: &[Credential], fields: &Fields) -> Result<(), Problem> {
    if ways_in(credentials) > 1 || fields.one("last").as_deref() == Some("yes") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        "this is your last way in; after it only a sign-in link lets you in again",
    )
    .expected("add another first, or remove it from the account page, which now says so"))
}

#[derive(Template)]
#[template(path = "account_app.html")]
struct AppPage {
    frame: Frame,
    problem: &'static str,
    picture: Markup,
    secret: String,
    setup: String,
}

/// `POST /account/password`: chooses a password; without a second factor, sets that up before anything counts.
pub(super) async fn set_password(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    visit: Visit,
    owner: Owner,
    RawForm(form): RawForm,
) -> Result<Response, Stop> {
    owner.fresh(&state)?;
    // The login is there for the browser, which keeps it with the password.
    let names = ["login", "password", "again", "app"];
    let fields = Fields::read(&form, &names, &[]).map_err(told(&visit))?;
    let [chosen, again] = ["password", "again"].map(|name| fields.one(name).unwrap_or_default());
    let person = owner.person();
    let unfit = password::check_choice(&chosen, &[person.login.as_str(), &person.name, "Bastide"]);
    let problem = match unfit {
        Err(unfit) => Some(format!("{}.", capitalised(&unfit.to_string()))),
        Ok(()) if chosen != again => Some("The two are not the same.".to_owned()),
        Ok(()) => None,
    };
    if let Some(problem) = problem {
        let page = account::shown(&state, &visit, &owner, "", problem).await.map_err(told(&visit))?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let set = async {
        let (proofs, now) = (state.proofs(), state.now());
        let hash = proofs.passwords.hash(chosen).await?;
        let credentials = state.repository().credentials(&person.id).await?;
        let has_app = prove::of(&credentials, CredentialKind::Totp).is_some();
        if has_app && fields.one("app").is_none() {
            let new = vec![credential(CredentialKind::Password, hash, now)?];
            owner.add(&state, new, "another password".to_owned()).await?;
            return Ok(back("password-changed", "password"));
        }
        let setup = Setup { person: person.id.clone(), password: hash, secret: totp::fresh()? };
        app_page(&state, &visit, &owner, peer, setup, "").await
    };
    set.await.map_err(told(&visit))
}

/// The page with the picture for an authenticator app.
async fn app_page(
    state: &AppState,
    visit: &Visit,
    owner: &Owner,
    peer: SocketAddr,
    setup: Setup,
    problem: &'static str,
) -> Result<Response, Problem> {
    let unwritable = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the picture cannot be drawn");
    let issuer = state.node().url.trim_start_matches("https://").to_owned();
    let address = totp::address(&setup.secret, &format!("Bastide {issuer}"), owner.person().login.as_str())
        .ok_or_else(unwritable)?;
    let body = AppPage {
        frame: Frame::new(state, visit, "account", "Set up the authenticator app").await,
        problem,
        picture: picture(&address).ok_or_else(unwritable)?,
        secret: totp::as_text(&setup.secret),
        setup: state.proofs().setups.begin(peer.ip(), setup, state.now())?,
    };
    Ok(page(&body))
}

/// A QR code as a drawing: dark squares on light ground in every theme, with the margin of four that readers need.
fn picture(text: &str) -> Option<Markup> {
    let code = qrcode::QrCode::new(text).ok()?;
    let (width, margin) = (code.width(), 4);
    let mut path = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == qrcode::Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", index % width + margin, index / width + margin));
        }
    }
    let side = width + 2 * margin;
    Some(Markup::drawing(format!(
        r#"<svg viewBox="0 0 {side} {side}" role="img" aria-label="QR code for an authenticator app" shape-rendering="crispEdges"><path d="{path}"/></svg>"#
    )))
}

/// `POST /account/password/confirm`: the app shows the right code, and password and code count from now on.
pub(super) async fn confirm_password(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    visit: Visit,
    owner: Owner,
    RawForm(form): RawForm,
) -> Result<Response, Stop> {
    owner.fresh(&state)?;
    let fields = Fields::read(&form, &["setup", "code"], &[]).map_err(told(&visit))?;
    let [name, code] = ["setup", "code"].map(|name| fields.one(name).unwrap_or_default());
    let confirmed = async {
        let (proofs, now, person) = (state.proofs(), state.now(), owner.person());
        let setup = proofs.setups.take(&name, now).filter(|setup| setup.person == person.id);
        let Some(setup) = setup else {
            return Err(Problem::new(StatusCode::CONFLICT, "this took too long, or was done before")
                .expected("set the password again on the account page"));
        };
        let Some(step) = totp::step(&setup.secret, &code, now) else {
            let problem = "This is not the code of these thirty seconds. Is the clock of the phone right?";
            let page = app_page(&state, &visit, &owner, peer, setup, problem).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        };
        let sealed = proofs.seal.seal("totp", person.id.as_str(), &setup.secret)?;
        // The code that was shown just now signs nobody in.
        let app =
            Credential { used: Some(totp::moment(step)), ..credential(CredentialKind::Totp, sealed, now)? };
        let new = vec![credential(CredentialKind::Password, setup.password, now)?, app];
        owner.add(&state, new, "a password and an authenticator app".to_owned()).await?;
        Ok(back("password-set", "password"))
    };
    confirmed.await.map_err(told(&visit))
}

/// `POST /account/password/remove`: the password goes first, then what is good only with it.
pub(super) async fn remove_password(
    State(state): State<AppState>,
    visit: Visit,
    owner: Owner,
    RawForm(form): RawForm,
) -> Result<Response, Stop> {
    owner.fresh(&state)?;
    let removed = async {
        let fields = Fields::read(&form, &["last"], &[])?;
        let credentials = state.repository().credentials(&owner.person().id).await?;
        if prove::of(&credentials, CredentialKind::Password).is_none() {
            return Err(Problem::new(StatusCode::CONFLICT, "no password is set"));
        }
        warned(&credentials, &fields)?;
        for (kind, what) in [
            (CredentialKind::Password, "the password"),
            (CredentialKind::Totp, "the authenticator app"),
            (CredentialKind::Recovery, "a recovery code"),
        ] {
            for credential in credentials.iter().filter(|credential| credential.kind == kind) {
                owner.remove(&state, credential, what.to_owned()).await?;
            }
        }
        Ok(())
    };
    removed.await.map_err(told(&visit))?;
    Ok(back("password-removed", "password"))
}

#[derive(Template)]
#[template(path = "account_codes.html")]
struct CodesPage {
    frame: Frame,
    codes: Vec<String>,
}

/// `POST /account/recovery`: ten codes, shown this once.
pub(super) async fn make_recovery(
    State(state): State<AppState>,
    visit: Visit,
    owner: Owner,
) -> Result<Response, Stop> {
    owner.fresh(&state)?;
    let made = async {
        let credentials = state.repository().credentials(&owner.person().id).await?;
        if prove::of(&credentials, CredentialKind::Password).is_none() {
            return Err(Problem::new(StatusCode::CONFLICT, "recovery codes go with a password")
                .expected("a password, set first"));
        }
        let (codes, now) = (recovery::fresh()?, state.now());
        let mut new = Vec::with_capacity(codes.len());
        for hash in codes.iter().filter_map(|code| recovery::kept(code)) {
            new.push(credential(CredentialKind::Recovery, hash, now)?);
        }
        owner.add(&state, new, format!("{} recovery codes", codes.len())).await?;
        let frame = Frame::new(&state, &visit, "account", "Recovery codes").await;
        Ok(page(&CodesPage { frame, codes }))
    };
    made.await.map_err(told(&visit))
}

/// `POST /account/sessions/{id}/end`.
pub(super) async fn end_session(
    State(state): State<AppState>,
    visit: Visit,
    owner: Owner,
    Path(id): Path<String>,
) -> Result<Response, Stop> {
    let ended = async {
        let decided = owner.decided(&state, Deed::SessionEnded, "one of their own".to_owned())?;
        match owner.home(&state).end_sessions(&owner.person().id, Some(&id), None, decided).await? {
            0 => Err(Problem::not_found("session of yours", &id)),
            _ => Ok(()),
        }
    };
    ended.await.map_err(told(&visit))?;
    Ok(back("sessions-ended", "sessions"))
}

/// `POST /account/sessions/end-others`.
pub(super) async fn end_others(
    State(state): State<AppState>,
    visit: Visit,
    owner: Owner,
) -> Result<Response, Stop> {
    let ended = async {
        let decided = owner.decided(&state, Deed::SessionEnded, "all their own but one".to_owned())?;
        let keep = Some(owner.session.id.as_str());
        Ok(owner.home(&state).end_sessions(&owner.person().id, None, keep, decided).await?)
    };
    ended.await.map_err(told(&visit))?;
    Ok(back("sessions-ended", "sessions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passkey_has_a_name() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(label(text).ok().as_deref(), expected, "{text:?}");
        };
        check(" my phone ", Some("my phone"));
        check("", Some("passkey"));
        check("<b>clé</b> & 鍵", Some("<b>clé</b> & 鍵"));
        check(&"x".repeat(60), Some(&"x".repeat(60)));
        check(&"x".repeat(61), None);
        check("a\u{202e}b", None);
    }

    #[test]
    fn the_picture_is_a_square_of_squares() {
        let drawn = picture("otpauth://totp/x?secret=ABC").unwrap().to_string();
        assert!(drawn.starts_with("<svg viewBox=\"0 0 37 37\" role=\"img\""), "{drawn}");
        // The upper left corner of the finder pattern, behind the margin.
        assert!(drawn.contains("M4 4h1v1h-1z") && !drawn.contains("M3 "), "{drawn}");
    }
}
