//! Authorities, people, their roles, and tokens.

use super::{Body, Id, Listed, Parameters, Problem, WhichPage};
use crate::{
    AppState,
    auth::User,
    manage::{self, Invitation, NewToken, Seen},
    reach::Reach,
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use model::{
    Authority, AuthorityId, AuthorityLevel, AuthorityRole, Holding, LoginName, PersonId, PersonState,
};
use serde::{Deserialize, Serialize};
use store::Token;
use utoipa::{IntoParams, ToSchema};

/// The authorities that the reader may see the people of.
#[utoipa::path(
    get, path = "/api/v1/authorities", tag = "people", params(WhichPage),
    responses((status = 200, description = "One page, by id", body = ref("#/components/schemas/Authorities")))
)]
pub(super) async fn authorities(
    Reach(state): Reach,
    Parameters(which): Parameters<WhichPage>,
) -> Result<Json<Listed<Authority>>, Problem> {
    let paging = super::paging(which.page, which.per_page)?;
    let tree = state.repository().tree().await?;
    let seen = tree.all().filter(|authority| state.repository().shows(&authority.id));
    Ok(Json(paging.cut(seen.cloned()).into()))
}

/// A new authority.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAuthority {
    /// A DNS label, for ever.
    #[schema(value_type = String, example = "harbour-police")]
    id: AuthorityId,
    /// As people say it.
    name: String,
    /// national, regional, local or department; narrower than the one above.
    #[schema(value_type = String)]
    level: AuthorityLevel,
    /// The one above it.
    #[schema(value_type = String)]
    parent: AuthorityId,
}

/// Makes an authority below another. It cannot be moved or taken away: its ledger stays.
#[utoipa::path(
    post, path = "/api/v1/authorities", tag = "people", request_body = NewAuthority,
    responses(
        (status = 204, description = "Made"),
        (status = 404, description = "There is no such parent", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not there, or not with this id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn add_authority(
    Reach(state): Reach,
    user: User,
    Body(new): Body<NewAuthority>,
) -> Result<StatusCode, Problem> {
    let new = Authority { id: new.id, name: new.name, level: new.level, parent: Some(new.parent) };
    manage::add_authority(&state, &user, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    /// As people say it.
    name: String,
}

/// Gives an authority another name.
#[utoipa::path(
    patch, path = "/api/v1/authorities/{id}", tag = "people", request_body = Rename,
    params(("id" = String, Path, description = "Such as harbour-city")),
    responses(
        (status = 204, description = "Renamed"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn rename_authority(
    Reach(state): Reach,
    user: User,
    Id(id): Id<AuthorityId>,
    Body(new): Body<Rename>,
) -> Result<StatusCode, Problem> {
    manage::rename_authority(&state, &user, &id, &new.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which people to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only with this text in name or login; of a guest, in the name.
    text: Option<String>,
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// The people, and guests who hold a role here, by name.
#[utoipa::path(
    get, path = "/api/v1/people", tag = "people", params(Which),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/People")))
)]
pub(super) async fn people(
    Reach(state): Reach,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Listed<Seen>>, Problem> {
    let paging = super::paging(which.page, which.per_page)?;
    let text = which.text.filter(|text| !text.is_empty());
    Ok(Json(manage::people(&state, text.as_deref(), paging).await?.into()))
}

/// One person with their roles.
#[utoipa::path(
    get, path = "/api/v1/people/{id}", tag = "people",
    params(("id" = String, Path, description = "Such as per-0123456789abcdef0123456789abcdef")),
    responses(
        (status = 200, description = "The person", body = ref("#/components/schemas/Person")),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn person(Reach(state): Reach, Id(id): Id<PersonId>) -> Result<Json<Seen>, Problem> {
    manage::seen(&state, &id).await.map(Json)
}

/// Somebody new.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPerson {
    /// What they sign in as.
    #[schema(value_type = String, example = "ada@city.example")]
    login: LoginName,
    /// How others call them.
    name: String,
    /// Where they belong; the reader's own where left out.
    #[schema(value_type = Option<String>)]
    authority: Option<AuthorityId>,
    /// administrator, analyst, operator, auditor, integrator.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    roles: Vec<AuthorityRole>,
}

/// Who was invited, and how they come in.
#[derive(Serialize, ToSchema)]
pub(super) struct Invited {
    /// Who.
    #[schema(value_type = String)]
    id: PersonId,
    /// Good once, for three days, and not shown again.
    link: String,
}

/// Invites somebody.
#[utoipa::path(
    post, path = "/api/v1/people", tag = "people", request_body = NewPerson,
    responses(
        (status = 201, description = "Invited", body = Invited),
        (status = 409, description = "The login is taken", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn invite(
    Reach(state): Reach,
    user: User,
    Body(new): Body<NewPerson>,
) -> Result<(StatusCode, Json<Invited>), Problem> {
    let NewPerson { login, name, authority, roles } = new;
    let invitation = Invitation { login, name, authority, roles };
    let (person, link) = manage::invite(&state, &user, invitation).await?;
    Ok((StatusCode::CREATED, Json(Invited { id: person.id, link })))
}

/// What is to change of a person. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedPerson {
    /// How others call them.
    name: Option<String>,
    /// active or suspended.
    #[schema(value_type = Option<String>)]
    state: Option<PersonState>,
}

/// Gives somebody another name, or lets them in no more, or again. Whoever is suspended is signed out at once.
#[utoipa::path(
    patch, path = "/api/v1/people/{id}", tag = "people", request_body = ChangedPerson,
    params(("id" = String, Path, description = "Such as per-0123456789abcdef0123456789abcdef")),
    responses(
        (status = 204, description = "Changed"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn change(
    Reach(state): Reach,
    user: User,
    Id(id): Id<PersonId>,
    Body(new): Body<ChangedPerson>,
) -> Result<StatusCode, Problem> {
    manage::change(&state, &user, &id, new.name.as_deref(), new.state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Erases a person: names, credentials, and what the ledger says of them in clear. The ledger still verifies.
#[utoipa::path(
    delete, path = "/api/v1/people/{id}", tag = "people",
    params(("id" = String, Path, description = "Such as per-0123456789abcdef0123456789abcdef")),
    responses(
        (status = 204, description = "Erased"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn erase(
    Reach(state): Reach,
    user: User,
    Id(id): Id<PersonId>,
) -> Result<StatusCode, Problem> {
    manage::erase(&state, &user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new sign-in link for somebody who lost what they signed in with.
#[utoipa::path(
    post, path = "/api/v1/people/{id}/link", tag = "people",
    params(("id" = String, Path, description = "Such as per-0123456789abcdef0123456789abcdef")),
    responses(
        (status = 201, description = "The link", body = Invited),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn link(
    Reach(state): Reach,
    user: User,
    Id(id): Id<PersonId>,
) -> Result<(StatusCode, Json<Invited>), Problem> {
    let link = manage::link(&state, &user, &id).await?;
    Ok((StatusCode::CREATED, Json(Invited { id, link })))
}

/// Ends all sessions of somebody.
#[utoipa::path(
    delete, path = "/api/v1/people/{id}/sessions", tag = "people",
    params(("id" = String, Path, description = "Such as per-0123456789abcdef0123456789abcdef")),
    responses(
        (status = 204, description = "Ended"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sign_out(
    Reach(state): Reach,
    user: User,
    Id(id): Id<PersonId>,
) -> Result<StatusCode, Problem> {
    manage::sign_out(&state, &user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A role in an authority.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Role {
    /// administrator, analyst, operator, auditor, integrator.
    #[schema(value_type = String)]
    role: AuthorityRole,
    /// Where; it reaches to all below.
    #[schema(value_type = String)]
    authority: AuthorityId,
}

/// Gives somebody a role.
#[utoipa::path(
    post, path = "/api/v1/people/{id}/roles", tag = "people", request_body = Role,
    params(("id" = String, Path, description = "Such as per-0123456789abcdef0123456789abcdef")),
    responses(
        (status = 204, description = "Given"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Held already", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn give(
    Reach(state): Reach,
    user: User,
    Id(id): Id<PersonId>,
    Body(role): Body<Role>,
) -> Result<StatusCode, Problem> {
    manage::give(&state, &user, &id, &Holding { role: role.role, authority: role.authority }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a role from somebody.
#[utoipa::path(
    delete, path = "/api/v1/people/{id}/roles/{place}/{role}", tag = "people",
    params(
        ("id" = String, Path, description = "Such as per-0123456789abcdef0123456789abcdef"),
        ("place" = String, Path, description = "The authority in which it is held"),
        ("role" = String, Path, description = "Such as analyst"),
    ),
    responses(
        (status = 204, description = "Taken"),
        (status = 404, description = "Not held", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The last administrator", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn take(
    Reach(state): Reach,
    user: User,
    Path((id, place, role)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let wrong =
        |reason: String| Problem::new(StatusCode::BAD_REQUEST, "the address is wrong").expected(reason);
    let id: PersonId = id.parse().map_err(wrong)?;
    let holding = Holding { role: role.parse().map_err(wrong)?, authority: place.parse().map_err(wrong)? };
    manage::take(&state, &user, &id, &holding).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The tokens that the reader may see: their own, and those of the authorities whose people they see.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "people",
    responses((status = 200, description = "All", body = ref("#/components/schemas/Tokens")))
)]
pub(super) async fn tokens(
    State(state): State<AppState>,
    user: User,
) -> Result<Json<Listed<Token>>, Problem> {
    Ok(Json(Listed::all(manage::tokens(&state, &user).await?)))
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedToken {
    /// What it is for.
    name: String,
    /// Where its roles are held; where the maker belongs if left out.
    #[schema(value_type = Option<String>)]
    authority: Option<AuthorityId>,
    /// Roles that its maker holds: analyst, operator, auditor, integrator.
    #[schema(value_type = Vec<String>)]
    roles: Vec<AuthorityRole>,
    /// How long it is good, 1 to 3650; 90 where left out.
    days: Option<u32>,
}

/// A token, shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// To be sent as `Authorization: Bearer …`.
    token: String,
}

/// Makes a token for a program. It may no more than whoever made it, today and later.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "people", request_body = WantedToken,
    responses((status = 201, description = "Made", body = MadeToken))
)]
pub(super) async fn make_token(
    State(state): State<AppState>,
    user: User,
    Body(new): Body<WantedToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let WantedToken { name, authority, roles, days } = new;
    let new = NewToken { name, authority, roles, days: days.unwrap_or(90) };
    let token = manage::make_token(&state, &user, new).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { token })))
}

/// Ends a token.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "people",
    params(("id" = String, Path, description = "64 hexadecimal digits")),
    responses(
        (status = 204, description = "Ended"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn revoke_token(
    State(state): State<AppState>,
    user: User,
    Id(id): Id<String>,
) -> Result<StatusCode, Problem> {
    manage::revoke_token(&state, &user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
