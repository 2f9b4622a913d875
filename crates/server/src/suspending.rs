//! Plans to take an identity away: offered for a device that a sensor would cut off and that has one, carried out here.
//!
//! Guarantees: it waits for a person, whatever the settings let run by itself; what is done is what suspending the asset does, with
//! its leaf and its quarantine, and is undone by the plan or by restoring the asset, whichever comes first.

use crate::{
    AppState,
    api::Problem,
    auth::{User, decided, salts},
    ca::{self, Act},
    live::Change,
};
use axum::http::StatusCode;
use ledger::Deed;
use model::{
    Action, Asset, AssetStatus, Command, CommandId, ContentHasher, Effect, Plan, PlanId, PlanStatus, Receipt,
    Target, Timestamp,
};
use store::{CommandRecord, PlanRecord, StoreError, Which};

/// It stands until somebody gives the identity back: a command has to say when it ends, and this one is far away.
const DAYS: i64 = 3_650;

/// Offers beside a sensor's plan to take the identity of each device that it would cut off and that is enrolled; each once,
/// whatever became of it.
pub(crate) async fn offer(state: &AppState, plan: &Plan) -> Result<(), Problem> {
    if !matches!(plan.status, PlanStatus::Proposed | PlanStatus::Active) {
        return Ok(());
    }
    // What is offered here is this server's, whichever sensor it was that saw the attack.
    let repository = state.repository().of_sensor("");
    for command in &plan.commands {
        let Target::Device { addresses, mac } = &command.on else { continue };
        if !matches!(command.action, Action::Isolate { .. } | Action::Restrict { .. }) {
            continue;
        }
        let Some(asset) = enrolled(state, addresses, *mac).await? else { continue };
        let content = || ContentHasher::new().part("suspend").part(plan.incident.as_str()).part(&asset.id);
        let id = PlanId::from_content(content());
        if repository.plan(&id).await?.is_some() {
            continue;
        }
        let command = Command {
            id: CommandId::from_content(content()),
            action: Action::Suspend { asset: asset.id.clone() },
            on: command.on.clone(),
            why: command.why.clone(),
            hits: command.hits.clone(),
            created: plan.made,
            expires: plan.made.plus_secs(DAYS * 86_400),
            inverse: format!("give {} its identity back", asset.label()),
            kind: asset.kind.clone(),
        };
        let offered = Plan {
            id,
            incident: plan.incident.clone(),
            made: plan.made,
            status: PlanStatus::Proposed,
            commands: vec![command],
            withheld: Vec::new(),
            because: "an identity is never taken away without a person".into(),
        };
        keep(state, offered).await?;
    }
    Ok(())
}

/// The enrolled asset with this hardware, or at one of these addresses.
async fn enrolled(
    state: &AppState,
    addresses: &[std::net::IpAddr],
    mac: Option<model::Mac>,
) -> Result<Option<Asset>, StoreError> {
    for address in addresses {
        let known = state.repository().asset_at(*address).await?;
        let fits =
            |asset: &Asset| asset.status == AssetStatus::Enrolled && (mac.is_none() || asset.mac == mac);
        if let Some(asset) = known.filter(fits) {
            return Ok(Some(asset));
        }
    }
    Ok(None)
}

/// Whether a plan is carried out here, and not by a sensor.
pub(crate) fn is_here(plan: &Plan) -> bool {
    plan.commands.iter().any(|command| matches!(command.action, Action::Suspend { .. }))
}

/// Does what a person approved.
pub(crate) async fn approve(state: &AppState, user: &User, record: &PlanRecord) -> Result<(), Problem> {
    let plan = &record.plan;
    state.repository().decide(about(state, user, Deed::PlanApproved, plan)?).await?;
    for command in &plan.commands {
        let Action::Suspend { asset } = &command.action else { continue };
        let why = format!("{}: {}", plan.incident, command.why);
        let why = report::clipped(&why, 400);
        let which = Which::Asset(asset.clone());
        match ca::let_stand(state, user, which, Act::Suspend, None, Some(&why)).await {
            Ok(_) => came_to(state, command, Effect::Applied).await?,
            // Somebody else took it away, or it is gone: this plan neither did that nor undoes it.
            Err(problem) if [StatusCode::CONFLICT, StatusCode::NOT_FOUND].contains(&problem.status()) => {
                let because = format!("it was done otherwise: {}", problem.detail());
                keep(state, Plan { status: PlanStatus::Shown, because, ..plan.clone() }).await?;
                return Err(problem);
            }
            Err(problem) => return Err(problem),
        }
    }
    let because = format!("{} approved it", user.lasting_name());
    keep(state, Plan { status: PlanStatus::Active, because, ..plan.clone() }).await
}

/// Does not do what was offered.
pub(crate) async fn refuse(state: &AppState, user: &User, record: &PlanRecord) -> Result<(), Problem> {
    let plan = &record.plan;
    state.repository().decide(about(state, user, Deed::PlanRefused, plan)?).await?;
    let because = format!("{} refused it", user.lasting_name());
    keep(state, Plan { status: PlanStatus::Refused, because, ..plan.clone() }).await
}

/// Gives an identity back that a plan took away.
pub(crate) async fn undo(state: &AppState, user: &User, command: &CommandRecord) -> Result<(), Problem> {
    let Action::Suspend { asset } = &command.command.action else { return Ok(()) };
    let why = format!("{} was taken back", command.plan);
    match ca::let_stand(state, user, Which::Asset(asset.clone()), Act::Restore, None, Some(&why)).await {
        Ok(_) => Ok(()),
        // It stands already: only the plan did not know.
        Err(problem) if problem.status() == StatusCode::CONFLICT => restored(state, user, asset).await,
        Err(problem) => Err(problem),
    }
}

/// An asset was given its identity back: the plans that took it away are over.
pub(crate) async fn restored(state: &AppState, user: &User, asset: &str) -> Result<(), Problem> {
    for held in state.repository().commands_in_force(state.now()).await? {
        if !matches!(&held.command.action, Action::Suspend { asset: of } if of == asset) {
            continue;
        }
        came_to(state, &held.command, Effect::Undone).await?;
        let Some(record) = state.repository().plan(&held.plan).await? else { continue };
        let because = format!("{} gave the identity back", user.lasting_name());
        keep(state, Plan { status: PlanStatus::Undone, because, ..record.plan }).await?;
    }
    Ok(())
}

fn about(state: &AppState, user: &User, deed: Deed, plan: &Plan) -> Result<store::Decided, Problem> {
    decided(state, user, deed, &[("plan", plan.id.as_str()), ("incident", plan.incident.as_str())], None)
}

async fn keep(state: &AppState, plan: Plan) -> Result<(), Problem> {
    state.repository().of_sensor("").keep_plan(&plan, state.now(), salts()?).await?;
    state.announce(Change::Plan { id: plan.id, incident: plan.incident, status: plan.status });
    Ok(())
}

async fn came_to(state: &AppState, command: &Command, effect: Effect) -> Result<(), Problem> {
    let at: Timestamp = state.now();
    let receipt = Receipt {
        command: command.id.clone(),
        at,
        effect,
        packets_stopped: 0,
        packets_passed: 0,
        actuator: "certificate authority".into(),
    };
    state.repository().of_sensor("").keep_receipt(&receipt, salts()?).await?;
    Ok(())
}
