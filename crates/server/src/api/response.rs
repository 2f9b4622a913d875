//! Plans, commands, the lever and the journal.

use super::{Accepted, Body, Id, Listed, Parameters, Problem, WhichPage};
use crate::{act, auth::User, reach::Reach};
use axum::{Json, http::StatusCode};
use ledger::Subject;
use model::{CommandId, PlanId, PlanStatus};
use serde::{Deserialize, Serialize};
use store::{CommandRecord, DecisionRecord, Findable, JournalRow, PlanRecord};
use utoipa::{IntoParams, ToSchema};

/// Which plans to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only in this status: proposed, active, refused, undone, expired, shown.
    #[param(value_type = Option<String>, example = "proposed")]
    status: Option<PlanStatus>,
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// The plans, the latest first.
#[utoipa::path(
    get, path = "/api/v1/plans", tag = "response", params(Which),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/Plans")))
)]
pub(super) async fn plans(
    Reach(state): Reach,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Listed<PlanRecord>>, Problem> {
    let paging = super::paging(which.page, which.per_page)?;
    Ok(Json(state.repository().plans(which.status, paging).await?.into()))
}

/// A plan with what its commands came to.
#[derive(Serialize)]
pub(super) struct WholePlan {
    #[serde(flatten)]
    record: PlanRecord,
    outcomes: Vec<CommandRecord>,
}

/// One plan: its commands, whom each would hit, what each came to.
#[utoipa::path(
    get, path = "/api/v1/plans/{id}", tag = "response",
    params(("id" = String, Path, description = "Such as plan-0123456789abcdef")),
    responses(
        (status = 200, description = "The plan", body = ref("#/components/schemas/PlanWhole")),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn plan(Reach(state): Reach, Id(id): Id<PlanId>) -> Result<Json<WholePlan>, Problem> {
    let state = state.at(Findable::Plan, id.as_str()).await?;
    let known = state.repository().plan(&id).await?;
    let record = known.ok_or_else(|| Problem::not_found("plan", id.as_str()))?;
    let outcomes = state.repository().commands_of(&record.plan).await?;
    Ok(Json(WholePlan { record, outcomes }))
}

/// Approves a plan. The sensor computes it anew first; what comes of it is to be read from the plan.
#[utoipa::path(
    post, path = "/api/v1/plans/{id}/approve", tag = "response",
    params(("id" = String, Path, description = "Such as plan-0123456789abcdef")),
    responses(
        (status = 202, description = "Handed to the sensor", body = Accepted),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait, or no sensor runs", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn approve(
    Reach(state): Reach,
    user: User,
    Id(id): Id<PlanId>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let plan = act::approve(&state, &user, &id).await?;
    // Computed anew it may be another plan with another id: the incident knows all of them.
    Ok(super::accepted(format!("/api/v1/incidents/{}", plan.plan.incident)))
}

/// Refuses a plan.
#[utoipa::path(
    post, path = "/api/v1/plans/{id}/refuse", tag = "response",
    params(("id" = String, Path, description = "Such as plan-0123456789abcdef")),
    responses(
        (status = 202, description = "Handed to the sensor", body = Accepted),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait, or no sensor runs", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn refuse(
    Reach(state): Reach,
    user: User,
    Id(id): Id<PlanId>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    act::refuse(&state, &user, &id).await?;
    Ok(super::accepted(format!("/api/v1/plans/{id}")))
}

/// The commands in force, the next to end first.
#[utoipa::path(
    get, path = "/api/v1/commands", tag = "response",
    responses((status = 200, description = "All in force", body = ref("#/components/schemas/Commands")))
)]
pub(super) async fn commands(Reach(state): Reach) -> Result<Json<Listed<CommandRecord>>, Problem> {
    let items = state.repository().commands_in_force(state.now()).await?;
    Ok(Json(Listed::all(items)))
}

/// One command with its receipts.
#[utoipa::path(
    get, path = "/api/v1/commands/{id}", tag = "response",
    params(("id" = String, Path, description = "Such as cmd-0123456789abcdef")),
    responses(
        (status = 200, description = "The command", body = ref("#/components/schemas/Command")),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn command(
    Reach(state): Reach,
    Id(id): Id<CommandId>,
) -> Result<Json<CommandRecord>, Problem> {
    let state = state.at(Findable::Command, id.as_str()).await?;
    let known = state.repository().command(&id).await?;
    known.map(Json).ok_or_else(|| Problem::not_found("command", id.as_str()))
}

/// Has a command taken back.
#[utoipa::path(
    post, path = "/api/v1/commands/{id}/undo", tag = "response",
    params(("id" = String, Path, description = "Such as cmd-0123456789abcdef")),
    responses(
        (status = 202, description = "Handed to the sensor", body = Accepted),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not in force, or no sensor runs", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn undo(
    Reach(state): Reach,
    user: User,
    Id(id): Id<CommandId>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    act::undo(&state, &user, &id).await?;
    Ok(super::accepted(format!("/api/v1/commands/{id}")))
}

/// Has all commands taken back.
#[utoipa::path(
    post, path = "/api/v1/commands/undo-all", tag = "response",
    responses(
        (status = 202, description = "Handed to the sensor", body = Accepted),
        (status = 409, description = "No sensor runs", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn undo_all(
    Reach(state): Reach,
    user: User,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    act::undo_all(&state, &user).await?;
    Ok(super::accepted("/api/v1/commands".to_owned()))
}

/// Where the lever stands.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Responding {
    /// False: nothing is responded to, whatever is configured.
    responding: bool,
}

/// Whether anything is responded to at all.
#[utoipa::path(
    get, path = "/api/v1/responding", tag = "response",
    responses((status = 200, description = "The lever", body = Responding))
)]
pub(super) async fn responding(Reach(state): Reach) -> Json<Responding> {
    Json(Responding { responding: !state.sensor().responding_stopped })
}

/// Pulls the lever (all commands are taken back and nothing is responded to), or puts it back.
#[utoipa::path(
    post, path = "/api/v1/responding", tag = "response", request_body = Responding,
    responses(
        (status = 202, description = "Handed to the sensor", body = Accepted),
        (status = 409, description = "No sensor runs", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_responding(
    Reach(state): Reach,
    user: User,
    Body(asked): Body<Responding>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    act::set_responding(&state, &user, asked.responding).await?;
    Ok(super::accepted("/api/v1/responding".to_owned()))
}

/// The journal of responding, the latest entry first. Each entry holds the hash of the one before it.
#[utoipa::path(
    get, path = "/api/v1/journal", tag = "response", params(WhichPage),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/Journal")))
)]
pub(super) async fn journal(
    Reach(state): Reach,
    Parameters(which): Parameters<WhichPage>,
) -> Result<Json<Listed<JournalRow>>, Problem> {
    let paging = super::paging(which.page, which.per_page)?;
    Ok(Json(state.repository().journal(paging).await?.into()))
}

/// Which decisions to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichDecisions {
    /// Only about this: a kind and an id, such as asset:dev-0123456789abcdef01234567.
    about: Option<String>,
    /// Which page, from 1.
    page: Option<u32>,
    /// Rows on a page, 1 to 500; 50 where left out.
    per_page: Option<u32>,
}

/// Who decided or opened what, the latest first: the leaves of the ledger.
#[utoipa::path(
    get, path = "/api/v1/decisions", tag = "node", params(WhichDecisions),
    responses((status = 200, description = "One page", body = ref("#/components/schemas/Decisions")))
)]
pub(super) async fn decisions(
    Reach(state): Reach,
    Parameters(which): Parameters<WhichDecisions>,
) -> Result<Json<Listed<DecisionRecord>>, Problem> {
    let about = which.about.map(Subject::try_from).transpose();
    let about = about.map_err(|error| Problem::parameter("about", error.to_string()))?;
    let paging = super::paging(which.page, which.per_page)?;
    Ok(Json(state.repository().decisions(about.as_ref(), paging).await?.into()))
}
