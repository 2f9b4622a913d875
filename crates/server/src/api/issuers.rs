//! Who issues certificates: where their keys are, and issuers that somebody else certifies.

use super::{Body, Problem};
use crate::{auth::User, reach::Reach};
use axum::{Json, extract::Path, http::StatusCode};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is done with a root's key or its list.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WithRoot {
    /// The passphrase that the key is under in `file`, or is to be put under; made where nothing is said for an export.
    passphrase: Option<String>,
    /// What an export gave; for `list` a revocation list in PEM.
    file: Option<String>,
}

/// What came of it.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct OfRoot {
    /// The root with its encrypted key, in PEM; of an export.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The passphrase that was made for it; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase: Option<String>,
    /// Until when the revocation list holds that is shown while the key is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    list_until: Option<Timestamp>,
}

/// Exports the key of a root, takes it away, brings it back, or takes in a list that was signed where it is.
#[utoipa::path(
    post, path = "/api/v1/certificate-authorities/{id}/{deed}", tag = "devices", request_body = WithRoot,
    params(
        ("id" = String, Path, description = "A root of this node"),
        ("deed" = String, Path, description = "export, remove-key, return-key or list"),
    ),
    responses(
        (status = 200, description = "Done, and in the ledger", body = OfRoot),
        (status = 403, description = "A token does not do that", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It stands otherwise", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A file or passphrase is wrong", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn root(
    Reach(state): Reach,
    user: User,
    Path((id, deed)): Path<(String, String)>,
    Body(with): Body<WithRoot>,
) -> Result<Json<OfRoot>, Problem> {
    let state = state.in_name_of(state.authority()).writing_for(&user);
    let ca = state.ca();
    let passphrase = with.passphrase.as_deref();
    let file = (with.file.as_deref().unwrap_or_default(), passphrase.unwrap_or_default());
    let mut done = OfRoot::default();
    match deed.as_str() {
        "export" => {
            let exported = ca.export_root(&state, &user, &id, passphrase).await?;
            (done.file, done.passphrase) = (Some(exported.file), exported.passphrase);
        }
        "remove-key" => done.list_until = Some(ca.remove_root_key(&state, &user, &id, file).await?),
        "return-key" => ca.return_root_key(&state, &user, &id, file).await?,
        "list" => done.list_until = Some(ca.take_list(&state, &user, &id, file.0).await?.next),
        other => {
            let found: String = other.chars().take(40).collect();
            return Err(Problem::new(StatusCode::NOT_FOUND, "there is no such deed")
                .expected(format!("expected export, remove-key, return-key or list; found {found:?}")));
        }
    }
    Ok(Json(done))
}

/// Which request is wanted.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WhichRequest {
    /// A new one, with a new key; the one that waits is forgotten.
    again: bool,
}

/// A request of this node's issuer.
#[derive(Serialize, ToSchema)]
pub(super) struct Asked {
    /// PKCS #10 in PEM.
    request: String,
}

/// The request of this node's issuer, to be certified by somebody else.
#[utoipa::path(
    post, path = "/api/v1/certificate-authorities/request", tag = "devices", request_body = WhichRequest,
    responses(
        (status = 200, description = "The request", body = Asked),
        (status = 403, description = "A token does not do that", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn request(
    Reach(state): Reach,
    user: User,
    Body(which): Body<WhichRequest>,
) -> Result<Json<Asked>, Problem> {
    let state = state.in_name_of(state.authority()).writing_for(&user);
    let request = state.ca().request(&state, &user, which.again).await?;
    Ok(Json(Asked { request }))
}

/// An issuer that somebody else certified.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    /// Its certificate and all above it up to the root, in PEM.
    chain: String,
    /// Its key as encrypted PKCS #8 in PEM, where it is not that of the request that waits.
    key: Option<String>,
    /// The passphrase of the key.
    passphrase: Option<String>,
}

/// What was taken in.
#[derive(Serialize, ToSchema)]
pub(super) struct Imported {
    /// Names it in addresses.
    id: String,
    /// Its subject.
    name: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    ends: Timestamp,
}

/// Takes an issuer in that somebody else certified: it issues from now on.
#[utoipa::path(
    post, path = "/api/v1/certificate-authorities/import", tag = "devices", request_body = Import,
    responses(
        (status = 200, description = "It issues", body = Imported),
        (status = 403, description = "A token does not do that", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nothing waits for it, or it is known", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It does not fit", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn import(
    Reach(state): Reach,
    user: User,
    Body(import): Body<Import>,
) -> Result<Json<Imported>, Problem> {
    let state = state.in_name_of(state.authority()).writing_for(&user);
    let key = import.key.as_deref().map(|key| (key, import.passphrase.as_deref().unwrap_or_default()));
    let taken = state.ca().import(&state, &user, &import.chain, key).await?;
    Ok(Json(Imported { id: taken.id, name: taken.name, ends: taken.ends }))
}
