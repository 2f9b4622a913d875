//! Letting devices in: tokens, those who wait, makers.

use super::{Body, Id, Listed, Parameters, Problem, WhichPage, paging};
use crate::{auth::User, enrol, reach::Reach};
use axum::{Json, http::StatusCode};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use store::{EnrolmentRecord, EnrolmentState, EnrolmentToken, Maker};
use utoipa::{IntoParams, ToSchema};

/// The tokens that let devices in, the latest first. What they open with is not shown again.
#[utoipa::path(
    get, path = "/api/v1/enrolment-tokens", tag = "devices", params(WhichPage),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/EnrolmentTokens")))
)]
pub(super) async fn tokens(
    Reach(state): Reach,
    Parameters(which): Parameters<WhichPage>,
) -> Result<Json<Listed<EnrolmentToken>>, Problem> {
    let paging = paging(which.page, which.per_page)?;
    Ok(Json(state.repository().enrolment_tokens(paging).await?.into()))
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedEnrolmentToken {
    /// What the device is called; what it calls itself where left out.
    name: Option<String>,
    /// Whose device it is; that of the address where left out.
    authority: Option<String>,
    /// By which profile its certificate is issued; device where left out.
    profile: Option<String>,
    /// The asset that it is, where that is known already.
    asset: Option<String>,
    /// How long it is good, 1 to 2160 hours; 24 where left out.
    hours: Option<u32>,
}

/// A token, shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeEnrolmentToken {
    /// Names it.
    id: String,
    /// What the device shows: the password of HTTP Basic in EST. It begins with the hash of the certificate that the device is to
    /// trust.
    token: String,
    /// Until then.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
}

/// Makes a token that lets one device in, once.
#[utoipa::path(
    post, path = "/api/v1/enrolment-tokens", tag = "devices", request_body = WantedEnrolmentToken,
    responses(
        (status = 201, description = "Made", body = MadeEnrolmentToken),
        (status = 422, description = "A field is wrong", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn make_token(
    Reach(state): Reach,
    user: User,
    Body(wanted): Body<WantedEnrolmentToken>,
) -> Result<(StatusCode, Json<MadeEnrolmentToken>), Problem> {
    let WantedEnrolmentToken { name, authority, profile, asset, hours } = wanted;
    let state = enrol::at(&state, &user, authority.as_deref())?;
    let new = enrol::NewToken {
        name,
        profile: profile.unwrap_or_else(|| enrol::PROFILE.to_owned()),
        asset,
        hours: hours.unwrap_or(enrol::TOKEN_HOURS),
    };
    let made = enrol::make_token(&state, &user, new).await?;
    let enrol::Made { text, token } = made;
    Ok((StatusCode::CREATED, Json(MadeEnrolmentToken { id: token.id, token: text, expires: token.expires })))
}

/// Takes a token away that was not used.
#[utoipa::path(
    delete, path = "/api/v1/enrolment-tokens/{id}", tag = "devices",
    params(("id" = String, Path, description = "64 hexadecimal digits")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It was used", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn revoke_token(
    Reach(state): Reach,
    user: User,
    Id(id): Id<String>,
) -> Result<StatusCode, Problem> {
    enrol::revoke_token(&state, &user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which of those who asked.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichEnrolments {
    /// Only in this state: waiting, approved, refused, issued.
    state: Option<String>,
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// Those who asked for a certificate without proof, the latest first.
#[utoipa::path(
    get, path = "/api/v1/enrolments", tag = "devices", params(WhichEnrolments),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/Enrolments")))
)]
pub(super) async fn enrolments(
    Reach(state): Reach,
    Parameters(which): Parameters<WhichEnrolments>,
) -> Result<Json<Listed<EnrolmentRecord>>, Problem> {
    let only = which.state.as_deref().map(|word| {
        EnrolmentState::ALL
            .into_iter()
            .find(|known| known.as_str() == word)
            .ok_or_else(|| Problem::parameter("state", "waiting, approved, refused or issued"))
    });
    let paging = paging(which.page, which.per_page)?;
    Ok(Json(state.repository().enrolments(only.transpose()?, paging).await?.into()))
}

/// Lets somebody in who waits: the device gets its certificate when it asks again.
#[utoipa::path(
    post, path = "/api/v1/enrolments/{id}/approve", tag = "devices",
    params(("id" = String, Path, description = "32 hexadecimal digits")),
    responses(
        (status = 204, description = "Approved"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They do not wait", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn approve(
    Reach(state): Reach,
    user: User,
    Id(id): Id<String>,
) -> Result<StatusCode, Problem> {
    enrol::judge(&state, &user, &id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Does not let somebody in who waits.
#[utoipa::path(
    post, path = "/api/v1/enrolments/{id}/refuse", tag = "devices",
    params(("id" = String, Path, description = "32 hexadecimal digits")),
    responses(
        (status = 204, description = "Refused"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They do not wait", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn refuse(
    Reach(state): Reach,
    user: User,
    Id(id): Id<String>,
) -> Result<StatusCode, Problem> {
    enrol::judge(&state, &user, &id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makers whose devices are let in by the certificate that they come with.
#[utoipa::path(
    get, path = "/api/v1/makers", tag = "devices",
    responses((status = 200, description = "All", body = ref("#/components/schemas/Makers")))
)]
pub(super) async fn makers(Reach(state): Reach) -> Result<Json<Listed<Maker>>, Problem> {
    Ok(Json(Listed::all(state.repository().makers().await?)))
}

/// A maker to trust.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedMaker {
    /// What it is called.
    name: String,
    /// Who trusts it; the authority of the address where left out.
    authority: Option<String>,
    /// By which profile its devices are let in; device where left out.
    profile: Option<String>,
    /// The certificate by which it issues those of its devices (IDevID), in PEM.
    certificate: String,
}

/// Trusts a maker to say who its devices are.
#[utoipa::path(
    post, path = "/api/v1/makers", tag = "devices", request_body = WantedMaker,
    responses(
        (status = 201, description = "Trusted", body = ref("#/components/schemas/Maker")),
        (status = 422, description = "A field is wrong", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn trust(
    Reach(state): Reach,
    user: User,
    Body(wanted): Body<WantedMaker>,
) -> Result<(StatusCode, Json<Maker>), Problem> {
    let state = enrol::at(&state, &user, wanted.authority.as_deref())?;
    let profile = wanted.profile.as_deref().unwrap_or(enrol::PROFILE);
    let maker = enrol::trust(&state, &user, &wanted.name, profile, &wanted.certificate).await?;
    Ok((StatusCode::CREATED, Json(maker)))
}

/// Trusts a maker no longer. What came in by it stays.
#[utoipa::path(
    delete, path = "/api/v1/makers/{id}", tag = "devices",
    params(("id" = String, Path, description = "64 hexadecimal digits")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn distrust(
    Reach(state): Reach,
    user: User,
    Id(id): Id<String>,
) -> Result<StatusCode, Problem> {
    enrol::distrust(&state, &user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
