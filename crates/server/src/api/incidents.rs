//! Incidents and the exceptions that closing them makes.

use super::{Accepted, Body, Id, Listed, Parameters, Problem};
use crate::{
    act::{self, Closing, EXCEPTION_DAYS, Narrow},
    auth::{User, note_evidence},
    reach::Reach,
};
use axum::{Json, http::StatusCode};
use ledger::Deed;
use model::{IncidentId, Severity, Tactic, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use store::{
    ExceptionRecord, Findable, IncidentFilter, IncidentRecord, IncidentSort, IncidentState, PlanRecord,
};
use utoipa::{IntoParams, ToSchema};

/// Which incidents to list. What is left out matches anything.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only in this state.
    #[param(value_type = Option<String>, example = "open")]
    state: Option<IncidentState>,
    /// At least this bad: info, low, medium, high, critical.
    #[param(value_type = Option<String>, example = "medium")]
    severity: Option<Severity>,
    /// Only with this stage, an ATT&CK tactic in lower case with hyphens.
    #[param(value_type = Option<String>, example = "command-and-control")]
    stage: Option<Tactic>,
    /// Only with this address among the assets.
    #[param(value_type = Option<String>, example = "192.168.1.195")]
    address: Option<IpAddr>,
    /// Only with this text in id, title, summary or addresses.
    text: Option<String>,
    /// Only with events at or after this moment (RFC 3339).
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Only with events before this moment (RFC 3339).
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// newest (the default), oldest or severity.
    #[param(value_type = Option<String>)]
    sort: Option<IncidentSort>,
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// The incidents that match, one page of them.
#[utoipa::path(
    get, path = "/api/v1/incidents", tag = "incidents", params(Which),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/Incidents")))
)]
pub(super) async fn list(
    Reach(state): Reach,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Listed<IncidentRecord>>, Problem> {
    let filter = IncidentFilter {
        state: which.state,
        severity: which.severity,
        stage: which.stage,
        address: which.address,
        text: which.text.filter(|text| !text.is_empty()),
        from: which.from,
        until: which.until,
        sort: which.sort.unwrap_or_default(),
    };
    let paging = super::paging(which.page, which.per_page)?;
    Ok(Json(state.repository().incidents(&filter, paging).await?.into()))
}

/// An incident with its plans, and the exceptions that closing it as a false alarm would make.
#[derive(Serialize)]
pub(super) struct Whole {
    #[serde(flatten)]
    record: IncidentRecord,
    plans: Vec<PlanRecord>,
    exceptions_suggested: Vec<NarrowBody>,
}

/// One incident: its story, evidence and plans. That its evidence was opened is written down.
#[utoipa::path(
    get, path = "/api/v1/incidents/{id}", tag = "incidents",
    params(("id" = String, Path, description = "Such as inc-0123456789abcdef")),
    responses(
        (status = 200, description = "The incident", body = ref("#/components/schemas/IncidentWhole")),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(
    Reach(state): Reach,
    user: User,
    Id(id): Id<IncidentId>,
) -> Result<Json<Whole>, Problem> {
    let state = state.at(Findable::Incident, id.as_str()).await?;
    let known = act::incident(&state, &id).await?;
    let plans = state.repository().plans_of(&id).await?;
    note_evidence(&state, Some(&user), Deed::EvidenceOpened, &id).await;
    let exceptions_suggested = act::suggested(&known.incident).into_iter().map(NarrowBody::from).collect();
    Ok(Json(Whole { record: known, plans, exceptions_suggested }))
}

/// How to close an incident.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Close {
    /// `false-alarm` (the default) or `resolved`.
    #[schema(value_type = Option<String>)]
    state: Option<IncidentState>,
    /// Why, so that who reads it next year understands it.
    reason: String,
    /// How long the exceptions of a false alarm last, 1 to 90; 30 where left out.
    days: Option<u32>,
    /// The exceptions of a false alarm; left out, the narrowest ones that keep this incident from coming back.
    #[serde(default)]
    exceptions: Vec<NarrowBody>,
}

/// One narrow exception.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NarrowBody {
    /// Only findings of this detector.
    detector: String,
    /// Only about this address.
    #[schema(value_type = String)]
    address: IpAddr,
    /// Only towards this peer; any where left out.
    #[schema(value_type = Option<String>)]
    peer: Option<IpAddr>,
}

impl From<Narrow> for NarrowBody {
    fn from(narrow: Narrow) -> Self {
        Self { detector: narrow.detector, address: narrow.address, peer: narrow.peer }
    }
}

/// Closes an incident: as a false alarm with narrow exceptions that expire, or as resolved.
#[utoipa::path(
    post, path = "/api/v1/incidents/{id}/close", tag = "incidents", request_body = Close,
    params(("id" = String, Path, description = "Such as inc-0123456789abcdef")),
    responses(
        (status = 204, description = "Closed"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not like this", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn close(
    Reach(state): Reach,
    user: User,
    Id(id): Id<IncidentId>,
    Body(close): Body<Close>,
) -> Result<StatusCode, Problem> {
    let closing = Closing {
        state: close.state.unwrap_or(IncidentState::FalseAlarm),
        reason: close.reason,
        days: close.days.unwrap_or(EXCEPTION_DAYS),
        exceptions: close
            .exceptions
            .into_iter()
            .map(|narrow| Narrow { detector: narrow.detector, address: narrow.address, peer: narrow.peer })
            .collect(),
    };
    act::close(&state, &user, &id, closing).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Opens a closed incident again.
#[utoipa::path(
    post, path = "/api/v1/incidents/{id}/reopen", tag = "incidents",
    params(("id" = String, Path, description = "Such as inc-0123456789abcdef")),
    responses(
        (status = 204, description = "Open again"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is open", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn reopen(
    Reach(state): Reach,
    user: User,
    Id(id): Id<IncidentId>,
) -> Result<StatusCode, Problem> {
    act::reopen(&state, &user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The exceptions, those that are over too, the latest first.
#[utoipa::path(
    get, path = "/api/v1/exceptions", tag = "incidents",
    responses((status = 200, description = "All", body = ref("#/components/schemas/Exceptions")))
)]
pub(super) async fn exceptions(Reach(state): Reach) -> Result<Json<Listed<ExceptionRecord>>, Problem> {
    let items = state.repository().exceptions().await?;
    Ok(Json(Listed::all(items)))
}

/// Takes an exception back: what it spoke of is an incident again.
#[utoipa::path(
    delete, path = "/api/v1/exceptions/{id}", tag = "incidents",
    params(("id" = String, Path, description = "Such as exc-0123456789abcdef")),
    responses(
        (status = 202, description = "Taken back; the sensor is told", body = Accepted),
        (status = 404, description = "There is none that holds", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn revoke(
    Reach(state): Reach,
    user: User,
    Id(id): Id<String>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    act::revoke_exception(&state, &user, &id).await?;
    Ok(super::accepted("/api/v1/exceptions".to_owned()))
}
