//! What a person can do, the same for the API and the console.
//!
//! Guarantees: nothing is done for who may only read (the doors have refused them); each deed is written down with who did
//! it; what is refused says what would have been right. An order is handed to the sensor, which computes the plan anew
//! before it acts: the answer comes as a change of the plan, not here.

use crate::{
    AppState,
    api::Problem,
    auth::{User, decided},
    live::{Change, Order, OrderError},
    quarantine, suspending, words,
};
use axum::http::StatusCode;
use ledger::Deed;
use model::{Action, CommandId, Exception, Incident, IncidentId, PlanId, PlanStatus, Role, Timestamp};
use std::time::Duration;
use std::{collections::BTreeSet, net::IpAddr};
use store::{Closed, Decided, ExceptionRecord, Findable, IncidentRecord, IncidentState, PlanRecord};

/// How long an exception lasts where nothing is said, in days.
pub const EXCEPTION_DAYS: u32 = 30;
/// The longest that an exception may last, in days.
pub const MOST_EXCEPTION_DAYS: u32 = 90;
/// How many exceptions one closing may make.
const MOST_EXCEPTIONS: usize = 20;
/// The longest reason, in letters.
const MOST_REASON: usize = 500;

/// How an incident is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// `FalseAlarm` or `Resolved`.
    pub state: IncidentState,
    /// Why, in the words of who closes it.
    pub reason: String,
    /// For a false alarm: how long the exceptions last.
    pub days: u32,
    /// For a false alarm: the exceptions; those of [`suggested`] where empty.
    pub exceptions: Vec<Narrow>,
}

/// One narrow exception: a detector, an address, and a peer where there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Narrow {
    /// Only findings of this detector.
    pub detector: String,
    /// Only about this address.
    pub address: IpAddr,
    /// Only towards this peer; any where unset.
    pub peer: Option<IpAddr>,
}

/// The narrowest exceptions that keep this incident from coming back: each detector that spoke, about the one who acted
/// (or, where nobody did, about the one who suffered), towards the other where there is one other only.
#[must_use]
pub fn suggested(incident: &Incident) -> Vec<Narrow> {
    let rank = |role: Role| match role {
        Role::Infected | Role::Attacker => 0,
        Role::Victim | Role::Reflector => 1,
        Role::Target => 2,
        Role::Controller => 3,
    };
    let Some(about) = incident.assets.iter().min_by_key(|asset| rank(asset.role)) else { return Vec::new() };
    let others: BTreeSet<_> = incident
        .assets
        .iter()
        .map(|asset| asset.address)
        .filter(|address| *address != about.address)
        .collect();
    let peer = match (others.first(), others.len(), incident.assets_omitted) {
        (Some(peer), 1, 0) => Some(*peer),
        _ => None,
    };
    let detectors: BTreeSet<_> = incident.evidence.iter().map(|evidence| evidence.detector.clone()).collect();
    detectors
        .into_iter()
        .take(MOST_EXCEPTIONS)
        .map(|detector| Narrow { detector, address: about.address, peer })
        .collect()
}

/// Closes an incident; as a false alarm with exceptions that expire.
///
/// # Errors
/// [`Problem`] that says what is wrong; then it stays open.
pub(crate) async fn close(
    state: &AppState,
    user: &User,
    id: &IncidentId,
    closing: Closing,
) -> Result<(), Problem> {
    let state = &state.at(Findable::Incident, id.as_str()).await?;
    let known = incident(state, id).await?;
    let reason = words::lines(&closing.reason, MOST_REASON).map_err(|expected| {
        unfit("the reason is missing or cannot be used")
            .expected(format!("`reason` in {expected}: who reads it next year must understand it"))
    })?;
    if matches!(closing.state, IncidentState::Open | IncidentState::Merged) {
        return Err(unfit("an incident is closed as `false-alarm` or as `resolved`"));
    }
    let now = state.now();
    let exceptions = match closing.state {
        IncidentState::FalseAlarm => exceptions(state, &known.incident, &closing, &reason, user, now)?,
        _ => Vec::new(),
    };
    let closed = Closed { at: now, by: user.name().to_owned(), reason };
    let details = format!("{}: {}", closing.state.as_str(), closed.reason);
    let decided = decided(state, user, Deed::IncidentClosed, &[("incident", id.as_str())], Some(details))?;
    if !state.repository().close_incident(id, closing.state, &closed, &exceptions, decided).await? {
        return Err(Problem::not_found("incident", id.as_str()));
    }
    announce(state, &known, closing.state);
    if !exceptions.is_empty() {
        send_exceptions(state).await?;
    }
    Ok(())
}

/// Opens a closed incident again. Its exceptions stay until they are taken back or end.
///
/// # Errors
/// [`Problem`] that says what is wrong.
pub(crate) async fn reopen(state: &AppState, user: &User, id: &IncidentId) -> Result<(), Problem> {
    let state = &state.at(Findable::Incident, id.as_str()).await?;
    let known = incident(state, id).await?;
    let decided = decided(state, user, Deed::IncidentReopened, &[("incident", id.as_str())], None)?;
    if !state.repository().reopen_incident(id, decided).await? {
        return Err(Problem::new(StatusCode::CONFLICT, "this incident is open").expected("a closed incident"));
    }
    announce(state, &known, IncidentState::Open);
    Ok(())
}

/// Takes an exception back.
///
/// # Errors
/// [`Problem`] that says what is wrong; then it still holds.
pub(crate) async fn revoke_exception(state: &AppState, user: &User, id: &str) -> Result<(), Problem> {
    let state = &state.at(Findable::Exception, id).await?;
    let decided = decided(state, user, Deed::ExceptionRevoked, &[("exception", id)], None)?;
    if !state.repository().revoke_exception(id, decided).await? {
        return Err(Problem::not_found("exception that still holds", id));
    }
    send_exceptions(state).await
}

/// Hands the approval of a plan to the sensor.
///
/// # Errors
/// [`Problem`] where there is no such plan, it does not wait for a person, or there is no sensor.
pub(crate) async fn approve(state: &AppState, user: &User, id: &PlanId) -> Result<PlanRecord, Problem> {
    let state = &state.at(Findable::Plan, id.as_str()).await?;
    let plan = waiting_plan(state, id).await?;
    if suspending::is_here(&plan.plan) {
        suspending::approve(state, user, &plan).await?;
        return Ok(plan);
    }
    let order = Order::Approve { plan: id.clone(), who: user.lasting_name() };
    decide(state, user, Some(&plan.plan.incident), order).await?;
    Ok(plan)
}

/// Hands the refusal of a plan to the sensor.
///
/// # Errors
/// [`Problem`] where there is no such plan, it does not wait for a person, or there is no sensor.
pub(crate) async fn refuse(state: &AppState, user: &User, id: &PlanId) -> Result<PlanRecord, Problem> {
    let state = &state.at(Findable::Plan, id.as_str()).await?;
    let plan = waiting_plan(state, id).await?;
    if suspending::is_here(&plan.plan) {
        suspending::refuse(state, user, &plan).await?;
        return Ok(plan);
    }
    let order = Order::Refuse { plan: id.clone(), who: user.lasting_name() };
    decide(state, user, Some(&plan.plan.incident), order).await?;
    Ok(plan)
}

/// Has a command taken back. Returns the incident that it belongs to.
///
/// # Errors
/// [`Problem`] where there is no such command, it is not in force, or there is no sensor.
pub(crate) async fn undo(state: &AppState, user: &User, id: &CommandId) -> Result<IncidentId, Problem> {
    let state = &state.at(Findable::Command, id.as_str()).await?;
    let command =
        state.repository().command(id).await?.ok_or_else(|| Problem::not_found("command", id.as_str()))?;
    if !command.in_force(state.now()) {
        return Err(
            Problem::new(StatusCode::CONFLICT, "this command is not in force").expected("a command in force")
        );
    }
    if matches!(command.command.action, Action::Suspend { .. }) {
        suspending::undo(state, user, &command).await?;
        return Ok(command.incident);
    }
    let order = Order::Undo { command: id.clone(), who: user.lasting_name() };
    decide(state, user, Some(&command.incident), order).await?;
    Ok(command.incident)
}

/// Has all commands taken back.
///
/// # Errors
/// [`Problem`] where there is no sensor.
pub(crate) async fn undo_all(state: &AppState, user: &User) -> Result<(), Problem> {
    decide(state, user, None, Order::UndoAll { who: user.lasting_name() }).await
}

/// Pulls the lever, or puts it back.
///
/// # Errors
/// [`Problem`] where there is no sensor.
pub(crate) async fn set_responding(state: &AppState, user: &User, responding: bool) -> Result<(), Problem> {
    let who = user.lasting_name();
    let order = match responding {
        true => Order::ResumeResponding { who },
        false => Order::StopResponding { who },
    };
    decide(state, user, None, order).await
}

/// Tells the sensor which exceptions hold now. Where none runs, the next start reads them.
///
/// # Errors
/// [`Problem`] where they cannot be read or the sensor takes no orders.
pub async fn send_exceptions(state: &AppState) -> Result<(), Problem> {
    state.announce(Change::Exceptions);
    let _turn = state.telling_exceptions().await;
    let exceptions = state.repository().exceptions_in_force(state.now()).await?;
    match state.order(Order::Exceptions(exceptions)) {
        Ok(()) | Err(OrderError::NoSensor) => Ok(()),
        Err(error @ (OrderError::Busy | OrderError::Away)) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the exceptions are kept and hold from the next start on: {error}"),
        )),
    }
}

/// How long the sensor is not told again which assets are known: a thousand that are let in at once are told once.
const TELLING: Duration = Duration::from_secs(1);

/// Tells the sensors which assets of their authority are listed or enrolled, and what is declared of them: now, and whenever that
/// changes.
pub async fn keep_known(state: AppState) {
    loop {
        if let Err(error) = tell_known(&state).await {
            tracing::warn!(%error, "the sensors were not told which assets are known; they will be");
            state.known_changed();
        }
        tokio::time::sleep(TELLING).await;
        state.until_known_changed().await;
    }
}

async fn tell_known(state: &AppState) -> Result<(), quarantine::Untold> {
    let tree = state.repository().tree().await?;
    for authority in tree.all().map(|known| &known.id) {
        let state = state.in_name_of(authority);
        if !state.has_sensor() {
            continue;
        }
        match state.order(Order::Known(state.repository().known_assets().await?)) {
            Ok(()) | Err(OrderError::NoSensor) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// One incident, or a problem that says that there is none.
///
/// # Errors
/// [`Problem`] where there is none or it cannot be read.
pub(crate) async fn incident(state: &AppState, id: &IncidentId) -> Result<IncidentRecord, Problem> {
    state.repository().incident(id).await?.ok_or_else(|| Problem::not_found("incident", id.as_str()))
}

fn exceptions(
    state: &AppState,
    incident: &Incident,
    closing: &Closing,
    reason: &str,
    user: &User,
    now: Timestamp,
) -> Result<Vec<(ExceptionRecord, Decided)>, Problem> {
    if !(1..=MOST_EXCEPTION_DAYS).contains(&closing.days) {
        return Err(unfit("an exception lasts some days and then ends")
            .expected(format!("`days` from 1 to {MOST_EXCEPTION_DAYS}")));
    }
    let narrow = if closing.exceptions.is_empty() { suggested(incident) } else { closing.exceptions.clone() };
    if narrow.len() > MOST_EXCEPTIONS {
        return Err(unfit("that is more exceptions than one closing makes")
            .expected(format!("at most {MOST_EXCEPTIONS}")));
    }
    let made = |narrow| {
        let exception = fit(incident, narrow, reason, closing.days, user, now)?;
        let Exception { detector, address, until, .. } = &exception;
        let peer = exception.peer.map_or_else(String::new, |peer| format!(" towards {peer}"));
        let details = Some(format!("{detector} about {address}{peer} until {until}"));
        let record = ExceptionRecord::new(state.repository().authority().clone(), exception, now);
        let about = [("exception", record.id.as_str()), ("incident", incident.id.as_str())];
        let decided = decided(state, user, Deed::ExceptionMade, &about, details)?;
        Ok((record, decided))
    };
    narrow.into_iter().map(made).collect()
}

/// An exception must be about what is in the incident: its detectors, its addresses. Evidence is capped, so a detector
/// that is not in it cannot be known here.
fn fit(
    incident: &Incident,
    narrow: Narrow,
    reason: &str,
    days: u32,
    user: &User,
    now: Timestamp,
) -> Result<Exception, Problem> {
    let spoke = incident.evidence.iter().any(|evidence| evidence.detector == narrow.detector);
    let in_it = |address: IpAddr| incident.assets.iter().any(|asset| asset.address == address);
    if !spoke {
        let detectors: BTreeSet<_> =
            incident.evidence.iter().map(|evidence| evidence.detector.as_str()).collect();
        let detectors = detectors.into_iter().collect::<Vec<_>>().join(", ");
        return Err(unfit("an exception is about a detector of this incident")
            .expected(format!("`detector` one of: {detectors}")));
    }
    if !in_it(narrow.address) {
        return Err(unfit("an exception is about an address of this incident")
            .expected("`address` one of the incident's `assets`"));
    }
    let until = now.plus_secs(i64::from(days) * 86_400);
    Ok(Exception {
        incident: incident.id.clone(),
        detector: narrow.detector,
        address: narrow.address,
        peer: narrow.peer,
        until,
        reason: reason.to_owned(),
        who: user.name().to_owned(),
    })
}

async fn waiting_plan(state: &AppState, id: &PlanId) -> Result<PlanRecord, Problem> {
    let plan = state.repository().plan(id).await?.ok_or_else(|| Problem::not_found("plan", id.as_str()))?;
    if plan.plan.status == PlanStatus::Proposed {
        return Ok(plan);
    }
    let status = format!("{:?}", plan.plan.status).to_lowercase();
    Err(Problem::new(StatusCode::CONFLICT, format!("this plan is {status}: it does not wait for a person"))
        .expected("a plan with the status `proposed`"))
}

/// Writes a decision into the ledger, then hands it to the sensor: what happens was decided. Where it cannot be handed on,
/// the ledger says that too; what the sensor makes of it comes back as receipts, which are leaves of their own.
async fn decide(
    state: &AppState,
    user: &User,
    incident: Option<&IncidentId>,
    order: Order,
) -> Result<(), Problem> {
    // What is about a plan is for the sensor whose plan it is.
    let one = match &order {
        Order::Approve { plan, .. } | Order::Refuse { plan, .. } => {
            state.repository().sensor_of_plan(plan).await?
        }
        Order::Undo { command, .. } => state.repository().sensor_of_command(command).await?,
        _ => None,
    };
    let refusal = match one.as_deref() {
        Some(sensor) if state.takes_orders(sensor) => None,
        None if state.has_sensor() => None,
        Some("") | None => Some(OrderError::NoSensor),
        Some(_) => Some(OrderError::Away),
    };
    if let Some(refusal) = refusal {
        return Err(Problem::new(StatusCode::CONFLICT, refusal.to_string()));
    }
    let Some((deed, nearest)) = order.decision() else { return Ok(()) };
    let incident = incident.map(|id| ("incident", id.as_str()));
    let about: Vec<(&str, &str)> = nearest.into_iter().chain(incident).collect();
    let decision = decided(state, user, deed, &about, None)?;
    let not_carried_out = decided(state, user, Deed::NotCarriedOut, &about, Some(deed.to_string()))?;
    let repository = state.repository();
    repository.decide(decision).await?;
    let ordered = match one {
        Some(sensor) => state.order_one(&sensor, order),
        None => state.order(order),
    };
    let Err(error) = ordered else { return Ok(()) };
    repository.decide(not_carried_out).await?;
    Err(match error {
        OrderError::NoSensor | OrderError::Away => Problem::new(StatusCode::CONFLICT, error.to_string()),
        OrderError::Busy => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    })
}

fn announce(state: &AppState, known: &IncidentRecord, to: IncidentState) {
    state.announce(Change::Incident {
        id: known.incident.id.clone(),
        title: known.incident.title.clone(),
        severity: known.incident.severity,
        state: to,
        new: false,
    });
}

fn unfit(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}
