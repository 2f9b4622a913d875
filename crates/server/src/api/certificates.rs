//! Certificates, who issues them, and the one action that takes an identity away.

use super::{Body, Id, Listed, Parameters, Problem, paging};
use crate::{
    AppState,
    auth::User,
    ca::{self, Act},
    quarantine::Quarantine,
    reach::Reach,
};
use axum::{Json, extract::Path, http::header, response::IntoResponse};
use model::{Asset, AuthorityId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{CertificateFilter, CertificateRecord, CertificateState, IssuerKey, IssuerState, Which};
use utoipa::{IntoParams, ToSchema};

/// Which certificates to list. What is left out matches anything.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichCertificates {
    /// Only of this asset.
    asset: Option<String>,
    /// Only in this state: good, held, revoked.
    state: Option<String>,
    /// Only those that end within so many days.
    days: Option<u32>,
    /// Only with this text in subject, number or fingerprint.
    text: Option<String>,
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// The certificates that were issued and have not been over for long, those that end first first; one page of them.
#[utoipa::path(
    get, path = "/api/v1/certificates", tag = "devices", params(WhichCertificates),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/Certificates")))
)]
pub(super) async fn certificates(
    Reach(state): Reach,
    Parameters(which): Parameters<WhichCertificates>,
) -> Result<Json<Listed<CertificateRecord>>, Problem> {
    let only = which.state.as_deref().map(|word| {
        CertificateState::ALL
            .into_iter()
            .find(|known| known.as_str() == word)
            .ok_or_else(|| Problem::parameter("state", "good, held or revoked"))
    });
    let now = state.now();
    let filter = CertificateFilter {
        asset: which.asset,
        state: only.transpose()?,
        ends_before: which.days.map(|days| now.plus_secs(i64::from(days.min(10_000)) * 86_400)),
        ends_after: which.days.map(|_| now),
        text: which.text.filter(|text| !text.is_empty()),
    };
    let paging = paging(which.page, which.per_page)?;
    Ok(Json(state.repository().certificates(&filter, paging).await?.into()))
}

/// One certificate in DER.
#[utoipa::path(
    get, path = "/api/v1/certificates/{fingerprint}", tag = "devices",
    params(("fingerprint" = String, Path, description = "SHA-256 of it, in hexadecimal")),
    responses(
        (status = 200, description = "The certificate", content_type = "application/pkix-cert"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn certificate(
    Reach(state): Reach,
    Id(fingerprint): Id<String>,
) -> Result<impl IntoResponse, Problem> {
    let state = state.at(store::Findable::Certificate, &fingerprint).await?;
    let known = state.repository().certificate(&fingerprint).await?;
    let known = known.ok_or_else(|| Problem::not_found("certificate", &fingerprint))?;
    Ok(([(header::CONTENT_TYPE, "application/pkix-cert")], known.body))
}

/// Who issues certificates.
#[derive(Serialize, ToSchema)]
pub(super) struct Authority {
    /// Names it in addresses.
    id: String,
    /// Whose.
    #[schema(value_type = String)]
    authority: AuthorityId,
    /// Its subject.
    name: String,
    /// root, active, retired, or foreign: somebody else's, above one of ours.
    #[schema(value_type = String)]
    state: IssuerState,
    /// Who issued it; null for a root.
    parent: Option<String>,
    /// Within what it issues: `domains` and `networks`.
    #[schema(value_type = Object)]
    bounds: serde_json::Value,
    /// Where its private key is: here (in the database, under the passphrase), token, away.
    key: &'static str,
    /// From when it is good.
    #[schema(value_type = String, format = DateTime)]
    begins: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    ends: Timestamp,
    /// The number of its revocation list.
    revocation_list: u64,
    /// What people have to do about it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_do: Option<String>,
}

/// The certificate authorities of the authority that is asked for, the latest first.
#[utoipa::path(
    get, path = "/api/v1/certificate-authorities", tag = "devices",
    responses((status = 200, description = "All", body = [Authority]))
)]
pub(super) async fn authorities(Reach(state): Reach) -> Result<Json<Vec<Authority>>, Problem> {
    let issuers = state.repository().issuers().await?;
    let to_do = ca::to_do(&state).await?;
    let shown = issuers.into_iter().map(|issuer| Authority {
        bounds: serde_json::from_str(&issuer.bounds).unwrap_or_default(),
        to_do: to_do.iter().find(|about| about.issuer == issuer.id).map(|about| about.words.clone()),
        id: issuer.id,
        authority: issuer.authority,
        name: issuer.name,
        state: issuer.state,
        parent: issuer.parent,
        key: match issuer.key {
            IssuerKey::Sealed(_) => "here",
            IssuerKey::At(_) => "token",
            IssuerKey::Away => "away",
        },
        begins: issuer.begins,
        ends: issuer.ends,
        revocation_list: issuer.number,
    });
    Ok(Json(shown.collect()))
}

/// Why an identity is taken away, or given back.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Reasons {
    /// For a revocation: unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation or
    /// privilege-withdrawn.
    reason: Option<String>,
    /// In words, for the ledger.
    why: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(super) struct Ended {
    /// How many certificates changed.
    certificates: usize,
    /// How many connections were ended.
    connections: usize,
    /// The asset as it stands now; null where it was about one certificate.
    #[schema(value_type = Option<Object>)]
    asset: Option<Asset>,
    /// What became of its addresses; null where it was about one certificate.
    quarantine: Option<Quarantine>,
}

/// Suspends, restores or revokes an asset: all its certificates, its tokens, its connections and its addresses at once. The
/// answer comes as soon as the sensor has said what became of its addresses, or after a second.
#[utoipa::path(
    post, path = "/api/v1/assets/{id}/{deed}", tag = "devices", request_body = Reasons,
    params(
        ("id" = String, Path, description = "The asset's id"),
        ("deed" = String, Path, description = "suspend, restore or revoke"),
    ),
    responses(
        (status = 200, description = "Done, and in the ledger", body = Ended),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It stands otherwise", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn asset_stands(
    Reach(state): Reach,
    user: User,
    Path((id, deed)): Path<(String, String)>,
    Body(reasons): Body<Reasons>,
) -> Result<Json<Ended>, Problem> {
    stands(&state, &user, Which::Asset(id), &deed, &reasons).await
}

/// Suspends, restores or revokes one certificate; its asset keeps the others.
#[utoipa::path(
    post, path = "/api/v1/certificates/{fingerprint}/{deed}", tag = "devices", request_body = Reasons,
    params(
        ("fingerprint" = String, Path, description = "SHA-256 of the certificate, in hexadecimal"),
        ("deed" = String, Path, description = "suspend, restore or revoke"),
    ),
    responses(
        (status = 200, description = "Done, and in the ledger", body = Ended),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It stands otherwise", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn certificate_stands(
    Reach(state): Reach,
    user: User,
    Path((fingerprint, deed)): Path<(String, String)>,
    Body(reasons): Body<Reasons>,
) -> Result<Json<Ended>, Problem> {
    stands(&state, &user, Which::Certificate(fingerprint), &deed, &reasons).await
}

async fn stands(
    state: &AppState,
    user: &User,
    which: Which,
    deed: &str,
    Reasons { reason, why }: &Reasons,
) -> Result<Json<Ended>, Problem> {
    let deed = Act::named(deed)?;
    let ended = ca::let_stand(state, user, which, deed, reason.as_deref(), why.as_deref()).await?;
    Ok(Json(Ended {
        certificates: ended.certificates,
        connections: ended.connections,
        asset: ended.asset.map(|asset| *asset),
        quarantine: ended.quarantine,
    }))
}
