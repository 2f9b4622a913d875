//! The addresses of assets whose identity is taken away: told to the sensor, and what it made of that.
//!
//! Guarantees: what is suspended is told whole, at the start and whenever it changes, so that a sensor that missed a word
//! has it with the next; whoever suspends hears within a second and a little what became of the addresses, or that nobody
//! has answered; an incident stands for each suspension that a sensor was told of, and is closed with it.

use crate::{
    AppState,
    api::Problem,
    auth::{User, decided},
    live::{Change, Order, OrderError},
};
use ledger::Deed;
use model::{Asset, AssetStatus, Effect, IncidentId, Plan, PlanStatus, Suspension, Target};
use serde::Serialize;
use std::time::Duration;
use store::{Closed, CommandRecord, IncidentState, StoreError};
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;

/// How long whoever suspends waits for the sensor.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Where a quarantine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stands {
    /// Every address that is known is cut off.
    InForce,
    /// Some are.
    InPart,
    /// None is.
    NotInForce,
    /// The sensor has not said yet.
    Unanswered,
}

/// What became of the addresses of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Quarantine {
    /// Where it stands.
    state: Stands,
    /// The incident that stands for it, with its plan; null where no sensor was told.
    #[schema(value_type = Option<String>)]
    incident: Option<IncidentId>,
    /// What was done and what was not, and why, in words.
    said: Vec<String>,
}

impl Quarantine {
    fn not(said: impl Into<String>) -> Self {
        Self { state: Stands::NotInForce, incident: None, said: vec![said.into()] }
    }

    /// What was done and what was not, in words.
    #[must_use]
    pub fn said(&self) -> &[String] {
        &self.said
    }
}

/// Why the sensor does not know what is suspended.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It takes no orders.
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// Tells the sensor what is suspended now, where it does not know that. Where none runs, the next start does.
///
/// # Errors
/// [`Untold`]; then it is told with the sensor's next word.
pub async fn tell(state: &AppState, who: &str) -> Result<(), Untold> {
    let authority = state.repository().authority();
    let state = &state.in_name_of(authority);
    if !state.has_sensor() {
        return Err(OrderError::NoSensor.into());
    }
    let mut told = state.telling_suspended().await;
    let assets = state.repository().suspended().await?;
    let before = told.remove(authority);
    if before.as_ref().is_some_and(|told| told.iter().map(matters).eq(assets.iter().map(matters))) {
        told.insert(authority.clone(), assets);
        return Ok(());
    }
    let is_new = |one: &&Suspension| !before.iter().flatten().any(|before| matters(before) == matters(one));
    for suspension in assets.iter().filter(is_new) {
        let incident = suspension.incident();
        let kept = state.repository().keep_incident(&incident, &[], state.now()).await?;
        if kept != store::Kept::Unchanged {
            let (id, title, severity) = (incident.id, incident.title, incident.severity);
            let new = kept == store::Kept::New;
            state.announce(Change::Incident { id, title, severity, state: IncidentState::Open, new });
        }
    }
    state.order(Order::Suspended { assets: assets.clone(), who: who.to_owned() })?;
    told.insert(authority.clone(), assets);
    Ok(())
}

/// What of a suspension the sensor goes by: that an asset was seen once more is no news.
fn matters(suspension: &Suspension) -> impl PartialEq {
    let Suspension { asset, at, .. } = suspension;
    let mut addresses = asset.addresses.clone();
    addresses.sort_unstable();
    let is = (asset.kind.clone(), asset.criticality, asset.functions.clone(), asset.status);
    (asset.id.clone(), *at, addresses, asset.mac, is)
}

/// Brings the quarantine of an asset to how that stands now, and waits a moment for what comes of it.
pub(crate) async fn follow(state: &AppState, user: &User, asset: &Asset) -> Result<Quarantine, Problem> {
    let before = told_of(state, asset).await;
    let mut changes = state.changes();
    match tell(state, &user.lasting_name()).await {
        Ok(()) => {}
        Err(Untold::Store(error)) => return Err(error.into()),
        Err(Untold::Order(OrderError::NoSensor)) => {
            return Ok(Quarantine::not(
                "No sensor of its authority takes orders here: its addresses are as reachable as before. One that comes \
                 quarantines them.",
            ));
        }
        Err(Untold::Order(error @ (OrderError::Busy | OrderError::Away))) => {
            let details = Some(format!("quarantine: {error}"));
            let about = [("asset", asset.id.as_str())];
            state.repository().decide(decided(state, user, Deed::NotCarriedOut, &about, details)?).await?;
            return Ok(Quarantine::not(
                "The sensor is too busy to be told: it is, as soon as it takes orders.",
            ));
        }
    }
    let taken_away = matches!(asset.status, AssetStatus::Quarantined | AssetStatus::Revoked);
    let suspension = match taken_away {
        true => told_of(state, asset).await,
        false => before,
    };
    let Some(suspension) = suspension else {
        return Ok(Quarantine::not(match taken_away {
            true => {
                "More assets are suspended or revoked than a sensor holds: its addresses are not quarantined."
            }
            false => "Nothing of it was quarantined.",
        }));
    };
    let incident = Suspension::incident_id(&suspension.asset.id, suspension.at);
    if !taken_away {
        close(state, user, &incident).await?;
    }
    if taken_away && asset.addresses.is_empty() && asset.mac.is_none() {
        let said = "No address of it is known: it is quarantined as soon as it is seen with one.".to_owned();
        return Ok(Quarantine { incident: Some(incident), ..Quarantine::not(said) });
    }
    let answered = async {
        loop {
            let found = look(state, &incident).await?;
            let settled = if taken_away { found.is_settled() } else { found.is_over() };
            if settled {
                return Ok::<_, StoreError>(());
            }
            loop {
                match changes.recv().await {
                    Ok(Change::Plan { incident: of, .. }) if of == incident => break,
                    Ok(Change::Receipt { incident: Some(of), .. }) if of == incident => break,
                    Ok(Change::Resync) | Err(RecvError::Lagged(_)) => break,
                    Ok(_) => {}
                    Err(RecvError::Closed) => return Ok(()),
                }
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, answered).await;
    let found = look(state, &incident).await?;
    Ok(match in_time {
        Ok(Err(error)) => return Err(error.into()),
        Ok(Ok(())) => found.told(incident, taken_away),
        Err(_) => Quarantine {
            state: Stands::Unanswered,
            incident: Some(incident),
            said: vec!["The sensor has not said within a second what it made of that.".to_owned()],
        },
    })
}

/// Where the quarantine of an asset stands, as far as the sensor has said; unset where its identity is not taken away.
pub(crate) async fn of(state: &AppState, asset: &Asset) -> Result<Option<Quarantine>, Problem> {
    if !matches!(asset.status, AssetStatus::Quarantined | AssetStatus::Revoked) || !state.has_sensor() {
        return Ok(None);
    }
    let Some(suspension) = told_of(state, asset).await else { return Ok(None) };
    let incident = Suspension::incident_id(&suspension.asset.id, suspension.at);
    let found = look(state, &incident).await?;
    Ok(found.is_settled().then(|| found.told(incident, true)))
}

/// The suspension of an asset, as the sensors of its authority were told of it.
async fn told_of(state: &AppState, asset: &Asset) -> Option<Suspension> {
    let told = state.telling_suspended().await;
    let mut theirs = told.get(state.repository().authority()).into_iter().flatten();
    theirs.find(|one| one.asset.id == asset.id).cloned()
}

async fn close(state: &AppState, user: &User, incident: &IncidentId) -> Result<(), Problem> {
    let reason = "its identity was given back".to_owned();
    let details = format!("{}: {reason}", IncidentState::Resolved.as_str());
    let decided =
        decided(state, user, Deed::IncidentClosed, &[("incident", incident.as_str())], Some(details))?;
    let closed = Closed { at: state.now(), by: user.name().to_owned(), reason };
    state.repository().close_incident(incident, IncidentState::Resolved, &closed, &[], decided).await?;
    Ok(())
}

/// The plans of a quarantine that count, with what their commands came to.
struct Found(Vec<(Plan, Vec<CommandRecord>)>);

async fn look(state: &AppState, incident: &IncidentId) -> Result<Found, StoreError> {
    let mut found = Vec::new();
    for record in state.repository().plans_of(incident).await? {
        let counts =
            matches!(record.plan.status, PlanStatus::Active | PlanStatus::Proposed | PlanStatus::Shown);
        if counts {
            let commands = state.repository().commands_of(&record.plan).await?;
            found.push((record.plan, commands));
        }
    }
    Ok(Found(found))
}

impl Found {
    /// Whether the sensor has said what it makes of it.
    fn is_settled(&self) -> bool {
        let answered = |(plan, commands): &(Plan, Vec<CommandRecord>)| {
            plan.status != PlanStatus::Active || commands.iter().all(|one| one.receipt().is_some())
        };
        !self.0.is_empty() && self.0.iter().all(answered)
    }

    /// Whether nothing is in force or waits any more.
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn told(self, incident: IncidentId, taken_away: bool) -> Quarantine {
        if !taken_away {
            let said = vec!["Its quarantine is over.".to_owned()];
            return Quarantine { state: Stands::NotInForce, incident: Some(incident), said };
        }
        let (mut done, mut not) = (Vec::new(), Vec::new());
        for (plan, commands) in &self.0 {
            if plan.status != PlanStatus::Active {
                not.push(format!("Not quarantined: {}.", plan.because));
            }
            for record in commands.iter().filter(|_| plan.status == PlanStatus::Active) {
                let Some(receipt) = record.receipt() else { continue };
                let on = match &record.command.on {
                    Target::Device { addresses, .. } => {
                        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                    }
                    on => on.subject(),
                };
                let (verb, actuator) = (record.command.action.verb(), &receipt.actuator);
                match &receipt.effect {
                    Effect::Applied | Effect::Effective => done.push(format!("{on}: {verb}, by {actuator}.")),
                    Effect::WithoutEffect => not.push(format!("{on}: nothing is stopped by {actuator}.")),
                    Effect::Failed { reason } => not.push(format!("{on}: {reason}.")),
                    Effect::Undone | Effect::Expired => not.push(format!("{on}: not in force any more.")),
                }
            }
            not.extend(plan.withheld.iter().map(|one| format!("{}: {}.", one.address, one.reason)));
        }
        let state = match (done.is_empty(), not.is_empty()) {
            (false, true) => Stands::InForce,
            (false, false) => Stands::InPart,
            (true, _) => Stands::NotInForce,
        };
        Quarantine { state, incident: Some(incident), said: done.into_iter().chain(not).collect() }
    }
}
