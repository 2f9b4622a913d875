//! How a command line is let in as somebody: the device authorization grant (RFC 8628), and who one is by one's bearer.
//!
//! Guarantees: what is handed out is a session of the person who said yes in a browser, listed, revocable and ended like
//! every other; it is taken as a bearer and never as a cookie; it changes nothing by which that person signs in.

use super::Problem;
use crate::{
    AppState,
    auth::User,
    people::device::{self, Look},
};
use axum::{
    Form, Json,
    extract::{ConnectInfo, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::{Holding, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use utoipa::ToSchema;

/// The only client that there is: it has no secret.
const CLIENT: &str = "bastide-cli";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A program asks to be let in.
#[derive(Deserialize, ToSchema)]
pub(super) struct AskedDevice {
    /// `bastide-cli`.
    client_id: String,
    /// What the machine is called, for the person who is asked.
    #[serde(default)]
    device_name: String,
}

/// How it goes on.
#[derive(Serialize, ToSchema)]
pub(super) struct DeviceAsked {
    /// For the program, to look with.
    device_code: String,
    /// For the person, to compare or to type.
    user_code: String,
    /// Where the person answers.
    verification_uri: String,
    /// The same with the code in it.
    verification_uri_complete: String,
    /// How long the codes are good, in seconds.
    expires_in: i64,
    /// How long to wait between two looks, in seconds.
    interval: i64,
}

/// A program looks whether it was let in.
#[derive(Deserialize, ToSchema)]
pub(super) struct AskedToken {
    /// `urn:ietf:params:oauth:grant-type:device_code`.
    grant_type: String,
    /// `bastide-cli`.
    client_id: String,
    /// As it was given.
    device_code: Option<String>,
}

/// It was.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenGiven {
    /// To be sent as `Authorization: Bearer …`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long it is good, in seconds.
    expires_in: i64,
}

/// An error in the form of RFC 6749, section 5.2.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GrantError {
    /// authorization_pending, slow_down, expired_token, access_denied, invalid_grant, invalid_request, invalid_client or
    /// unsupported_grant_type.
    error: &'static str,
    /// The same for people.
    error_description: &'static str,
}

impl GrantError {
    const fn new(error: &'static str, error_description: &'static str) -> Self {
        Self { error, error_description }
    }

    fn unreadable(rejection: FormRejection) -> Response {
        tracing::debug!(%rejection, "a form of a program cannot be read");
        let too_long = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
        let status = if too_long { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        let error = Self::new(
            "invalid_request",
            "expected a form (application/x-www-form-urlencoded) with client_id, and grant_type and device_code where a token \
             is asked for, each once",
        );
        (status, Json(error)).into_response()
    }

    fn of_client(id: &str) -> Result<(), Self> {
        if id == CLIENT {
            return Ok(());
        }
        Err(Self::new("invalid_client", "expected the client_id bastide-cli"))
    }
}

impl IntoResponse for GrantError {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(self)).into_response()
    }
}

/// Begins letting a program in: it shows the code, and a person answers in a browser (RFC 8628).
#[utoipa::path(
    post, path = "/api/v1/device-authorization", tag = "sign-in",
    request_body(content = AskedDevice, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Asked", body = DeviceAsked),
        (status = 400, description = "Not like this", body = GrantError),
    )
)]
pub(super) async fn authorize(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    form: Result<Form<AskedDevice>, FormRejection>,
) -> Result<Response, Problem> {
    let asked = match form {
        Ok(Form(asked)) => asked,
        Err(rejection) => return Ok(GrantError::unreadable(rejection)),
    };
    if let Err(error) = GrantError::of_client(&asked.client_id) {
        return Ok(error.into_response());
    }
    let (device_code, asker) = state.proofs().questions.ask(&asked.device_name, peer.ip(), state.now())?;
    let verification_uri = format!("{}{}", state.node().url, crate::console::DEVICE_PATH);
    Ok(Json(DeviceAsked {
        device_code,
        verification_uri_complete: format!("{verification_uri}?user_code={}", asker.code),
        user_code: asker.code,
        verification_uri,
        expires_in: device::SECS,
        interval: device::INTERVAL,
    })
    .into_response())
}

/// Hands out what a person said yes to, once (RFC 8628, section 3.4).
#[utoipa::path(
    post, path = "/api/v1/token", tag = "sign-in",
    request_body(content = AskedToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Let in", body = TokenGiven),
        (status = 400, description = "Not yet, or not at all", body = GrantError),
    )
)]
pub(super) async fn token(
    State(state): State<AppState>,
    form: Result<Form<AskedToken>, FormRejection>,
) -> Result<Json<TokenGiven>, Response> {
    let Form(asked) = form.map_err(GrantError::unreadable)?;
    let given = given(&state, &asked);
    given.map(Json).map_err(IntoResponse::into_response)
}

fn given(state: &AppState, asked: &AskedToken) -> Result<TokenGiven, GrantError> {
    GrantError::of_client(&asked.client_id)?;
    if asked.grant_type != GRANT {
        return Err(GrantError::new(
            "unsupported_grant_type",
            "expected the grant_type urn:ietf:params:oauth:grant-type:device_code",
        ));
    }
    let Some(device_code) = &asked.device_code else {
        return Err(GrantError::new("invalid_request", "device_code is missing"));
    };
    let now = state.now();
    let (error, description) = match state.proofs().questions.look(device_code, now) {
        Look::Granted(granted) => {
            return Ok(TokenGiven {
                access_token: granted.secret,
                token_type: "Bearer",
                expires_in: granted.expires.micros_since(now) / 1_000_000,
            });
        }
        Look::Pending => ("authorization_pending", "nobody has answered yet"),
        Look::TooEarly => ("slow_down", "nobody has answered yet; wait five seconds longer from now on"),
        Look::Expired => ("expired_token", "nobody answered within ten minutes; ask again"),
        Look::Denied => ("access_denied", "the person said no"),
        Look::Unknown => ("invalid_grant", "this device code was never given, or was used"),
    };
    Err(GrantError::new(error, description))
}

/// Who sends this, and what they hold.
#[derive(Serialize)]
pub(super) struct Me {
    /// The login, or the token's name.
    name: String,
    /// Where they belong.
    authority: model::AuthorityId,
    /// The roles that count: a token's are its own, and never more than its maker's.
    holds: Vec<Holding>,
    /// Unset for a program with a token.
    session: Option<MySession>,
}

/// What one's own session is. Its id stays here: it is the hash of what opens it.
#[derive(Serialize)]
struct MySession {
    method: String,
    device: String,
    place: String,
    made: Timestamp,
    expires: Timestamp,
}

/// Who sends this request.
#[utoipa::path(
    get, path = "/api/v1/me", tag = "sign-in",
    responses((status = 200, description = "Who", body = ref("#/components/schemas/Me")))
)]
pub(super) async fn me(user: User) -> Json<Me> {
    Json(Me {
        name: user.name().to_owned(),
        authority: user.home().clone(),
        holds: user.holds().to_vec(),
        session: user.session().cloned().map(|session| MySession {
            method: session.method,
            device: session.device,
            place: session.place,
            made: session.made,
            expires: session.expires,
        }),
    })
}
