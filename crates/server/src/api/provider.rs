//! The identity provider of an authority.

use super::{Body, Id, Problem};
use crate::{
    AppState,
    auth::User,
    provider::{self, Wanted},
    reach::Reach,
};
use axum::{Json, http::StatusCode};
use model::{AuthorityId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Provider, Recognises};
use utoipa::ToSchema;

/// An authority's identity provider, without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct IdentityProvider {
    /// Whose.
    #[schema(value_type = String)]
    authority: AuthorityId,
    /// What stands on the button.
    name: String,
    /// Its address, as it names itself.
    issuer: String,
    /// What it knows this node as.
    client_id: String,
    /// The certificates that are trusted for it, as PEM; null where those of the system are.
    ca: Option<String>,
    /// none, preferred_username or email.
    #[schema(value_type = String)]
    recognises: Recognises,
    /// Where it sends people back to: to be registered there.
    return_address: String,
    /// Since when it is as it is.
    #[schema(value_type = String, format = DateTime)]
    changed: Timestamp,
}

fn shown(state: &AppState, provider: Provider) -> IdentityProvider {
    let return_address = state.proofs().identities.return_address(&provider.authority);
    let Provider { authority, name, issuer, client, ca, recognises, changed, .. } = provider;
    IdentityProvider { authority, name, issuer, client_id: client, ca, recognises, return_address, changed }
}

/// The identity provider of an authority.
#[utoipa::path(
    get, path = "/api/v1/authorities/{id}/identity-provider", tag = "people",
    params(("id" = String, Path, description = "Such as harbour-city")),
    responses(
        (status = 200, description = "The provider", body = IdentityProvider),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn provider(
    Reach(state): Reach,
    Id(id): Id<AuthorityId>,
) -> Result<Json<IdentityProvider>, Problem> {
    let known = provider::of(&state, &id).await?.ok_or_else(|| provider::none(&id))?;
    Ok(Json(shown(&state, known)))
}

/// An identity provider to set up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedProvider {
    /// What stands on the button.
    name: String,
    /// Its address, exactly as it names itself; https, or http on this machine itself.
    #[schema(example = "https://login.city.example/realms/city")]
    issuer: String,
    /// What it knows this node as.
    client_id: String,
    /// What this node shows it. Left out it stays, where issuer, client_id and ca stay.
    client_secret: Option<String>,
    /// The certificates to trust for it, as PEM; those of the system where left out.
    ca: Option<String>,
    /// By which claim somebody invited is recognised at their first sign-in: none, preferred_username, or email where it is
    /// verified. None where left out.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    recognises: Recognises,
}

/// Sets up the identity provider of an authority, once it could be read. Under another issuer, sessions begun with the one
/// before end, and what people had connected is gone.
#[utoipa::path(
    put, path = "/api/v1/authorities/{id}/identity-provider", tag = "people", request_body = WantedProvider,
    params(("id" = String, Path, description = "Such as harbour-city")),
    responses(
        (status = 200, description = "As it is now", body = IdentityProvider),
        (status = 404, description = "There is no such authority", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be read, or a field is wrong", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_provider(
    Reach(state): Reach,
    user: User,
    Id(id): Id<AuthorityId>,
    Body(new): Body<WantedProvider>,
) -> Result<Json<IdentityProvider>, Problem> {
    let WantedProvider { name, issuer, client_id: client, client_secret: secret, ca, recognises } = new;
    let wanted = Wanted { name, issuer, client, secret, ca, recognises };
    let provider = provider::set(&state, &user, &id, wanted).await?;
    Ok(Json(shown(&state, provider)))
}

/// Takes the identity provider of an authority away. Sessions begun with it end.
#[utoipa::path(
    delete, path = "/api/v1/authorities/{id}/identity-provider", tag = "people",
    params(("id" = String, Path, description = "Such as harbour-city")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove_provider(
    Reach(state): Reach,
    user: User,
    Id(id): Id<AuthorityId>,
) -> Result<StatusCode, Problem> {
    provider::remove(&state, &user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
