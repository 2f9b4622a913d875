//! Plans, commands and receipts as pages show them: whom it hits before, the receipt and the undo after.

use super::view::{self, Markup};
use crate::{AppState, api::Problem};
use model::{Action, Command, Effect, IncidentAsset, Plan, PlanStatus, Receipt, Target, Timestamp};
use report::{Names, words};
use std::{collections::BTreeMap, net::IpAddr};
use store::{CommandRecord, PlanRecord};

/// Whom to show of those that a command hits; the rest is a number.
const MOST_HITS: usize = 20;
/// Addresses whose names are looked up for one page.
const MOST_NAMES: usize = 120;

/// A plan on a page.
pub(super) struct PlanView {
    pub(super) id: String,
    pub(super) status: &'static str,
    pub(super) explained: &'static str,
    pub(super) because: String,
    pub(super) made: Markup,
    /// It waits for a person.
    pub(super) waiting: bool,
    /// What a person has decided and the sensor has not answered yet.
    pub(super) ordered: String,
    pub(super) label: String,
    /// It hits something that the city depends on: ask once more.
    pub(super) grave: String,
    pub(super) commands: Vec<CommandView>,
    pub(super) withheld: Vec<(Markup, String)>,
    pub(super) withheld_more: usize,
}

/// A command on a page.
pub(super) struct CommandView {
    pub(super) id: String,
    pub(super) of: String,
    pub(super) label: String,
    pub(super) why: String,
    pub(super) inverse: String,
    pub(super) keeps: String,
    pub(super) hits: Vec<HitView>,
    pub(super) hits_more: usize,
    pub(super) in_force: bool,
    pub(super) left: Markup,
    pub(super) incident: String,
    pub(super) receipts: Vec<ReceiptView>,
    pub(super) latest: Option<ReceiptView>,
}

/// Somebody whom a command hits.
pub(super) struct HitView {
    pub(super) who: Markup,
    pub(super) kind: String,
    pub(super) criticality: &'static str,
    pub(super) loses: String,
}

/// A receipt on a page.
#[derive(Clone)]
pub(super) struct ReceiptView {
    pub(super) at: Markup,
    pub(super) micros: i64,
    pub(super) word: &'static str,
    pub(super) class: &'static str,
    pub(super) means: String,
    pub(super) actuator: String,
}

impl ReceiptView {
    pub(super) fn new(receipt: &Receipt, now: Timestamp) -> Self {
        let class = match receipt.effect {
            Effect::Effective => "good",
            Effect::Failed { .. } | Effect::WithoutEffect => "bad",
            Effect::Applied | Effect::Undone | Effect::Expired => "plain",
        };
        Self {
            at: view::ago(receipt.at, now),
            micros: receipt.at.micros(),
            word: report::effect_word(&receipt.effect),
            class,
            means: report::effect_means(&receipt.effect, receipt.packets_stopped, receipt.packets_passed),
            actuator: receipt.actuator.clone(),
        }
    }
}

impl CommandView {
    pub(super) fn new(record: &CommandRecord, names: &Names, now: Timestamp, of: &str) -> Self {
        let command = &record.command;
        Self {
            id: command.id.to_string(),
            of: of.to_owned(),
            label: report::command_label(command, names),
            why: sentence(&command.why),
            inverse: command.inverse.clone(),
            keeps: keeps(command, names),
            hits: command
                .hits
                .iter()
                .take(MOST_HITS)
                .map(|hit| HitView {
                    who: view::address(
                        hit.address,
                        hit.name.as_deref().filter(|name| *name != hit.address.to_string()),
                        of,
                    ),
                    kind: hit.kind.to_string(),
                    criticality: hit.criticality.as_str(),
                    loses: hit.loses.clone(),
                })
                .collect(),
            hits_more: command.hits.len().saturating_sub(MOST_HITS),
            in_force: record.in_force(now),
            left: view::left(command.expires, now),
            incident: record.incident.to_string(),
            receipts: record
                .receipts
                .iter()
                .rev()
                .take(10)
                .map(|receipt| ReceiptView::new(receipt, now))
                .collect(),
            latest: record.receipt().map(|receipt| ReceiptView::new(receipt, now)),
        }
    }
}

/// A clause as a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.trim().trim_end_matches('.').chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).chain(['.']).collect(),
        None => String::new(),
    }
}

/// What stays reachable.
fn keeps(command: &Command, names: &Names) -> String {
    let list = |addresses: &[IpAddr]| {
        let mut shown: Vec<String> =
            addresses.iter().take(6).map(|address| report::called(*address, names)).collect();
        if addresses.len() > 6 {
            shown.push(format!("{} more", addresses.len() - 6));
        }
        shown.join(", ")
    };
    match &command.action {
        Action::Isolate { keep } if keep.is_empty() => "It keeps DHCP only.".into(),
        Action::Isolate { keep } => format!("It keeps DHCP and, at a bounded rate, {}.", list(keep)),
        Action::Restrict { peers } if peers.is_empty() => {
            "It has no declared peers: nothing stays reachable.".into()
        }
        Action::Restrict { peers } => format!("It still reaches {}.", list(peers)),
        Action::Suspend { .. } => {
            "Its certificates and tokens are no good and its connections end at once, until it is restored."
                .into()
        }
        Action::Block | Action::Limit { .. } => String::new(),
    }
}

impl PlanView {
    /// A plan with its commands and what they came to.
    pub(super) fn new(
        record: &PlanRecord,
        commands: &[CommandRecord],
        names: &Names,
        now: Timestamp,
        of: &str,
    ) -> Self {
        let plan = &record.plan;
        let (status, explained) = status_words(plan.status);
        Self {
            id: plan.id.to_string(),
            status,
            explained,
            because: sentence(&plan.because),
            made: view::ago(plan.made, now),
            waiting: plan.status == PlanStatus::Proposed && !plan.commands.is_empty(),
            ordered: String::new(),
            label: report::plan_label(&plan.commands, names),
            grave: grave(plan),
            commands: commands.iter().map(|command| CommandView::new(command, names, now, of)).collect(),
            withheld: plan
                .withheld
                .iter()
                .take(MOST_HITS)
                .map(|withheld| {
                    let name = names.get(&withheld.address).map(String::as_str);
                    (view::address(withheld.address, name, of), withheld.reason.clone())
                })
                .collect(),
            withheld_more: plan.withheld.len().saturating_sub(MOST_HITS),
        }
    }
}

/// A status and what it means.
pub(super) const fn status_words(status: PlanStatus) -> (&'static str, &'static str) {
    match status {
        PlanStatus::Proposed => ("proposed", "It waits for a person: nothing has been done yet."),
        PlanStatus::Active => ("active", "Its commands are in force."),
        PlanStatus::Refused => ("refused", "A person decided against it: nothing was done."),
        PlanStatus::Undone => ("undone", "A person took it back."),
        PlanStatus::Expired => ("expired", "Its commands ran out by themselves."),
        PlanStatus::Shown => ("shown", "Nothing was done; this is what would have been."),
    }
}

/// Why a plan deserves a second look: it hits what the city depends on.
fn grave(plan: &Plan) -> String {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for hit in plan.commands.iter().flat_map(|command| &command.hits) {
        if hit.criticality != model::Criticality::Ordinary {
            *kinds.entry(hit.criticality.as_str()).or_default() += 1;
        }
    }
    if kinds.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = kinds
        .iter()
        .map(|(kind, number)| words::counted(*number, &format!("{kind} asset"), &format!("{kind} assets")))
        .collect();
    format!("It hits {}.", parts.join(" and "))
}

/// Names of the assets of ours in incidents, for a list of them.
pub(super) async fn names_in(state: &AppState, records: &[store::IncidentRecord]) -> Result<Names, Problem> {
    // An address may be another device's in another authority: what is not ours goes by its address.
    let ours = records.iter().filter(|record| record.authority == *state.repository().authority());
    names_of(state, ours.flat_map(|record| record.incident.assets.iter().take(4)), [].iter()).await
}

/// Names of the assets of an incident, as far as they are known. A name that looks like an address is none.
pub(super) async fn names_of<'a>(
    state: &AppState,
    assets: impl Iterator<Item = &'a IncidentAsset>,
    commands: impl Iterator<Item = &'a Command>,
) -> Result<Names, Problem> {
    let mut wanted: Vec<IpAddr> = assets.filter(|asset| asset.home).map(|asset| asset.address).collect();
    let mut names = Names::new();
    for command in commands {
        if let Target::Device { addresses, .. } = &command.on {
            wanted.extend(addresses);
        }
        for hit in &command.hits {
            if let Some(name) = hit.name.as_ref().filter(|name| name.parse::<IpAddr>().is_err()) {
                names.insert(hit.address, name.clone());
            }
        }
    }
    wanted.sort();
    wanted.dedup();
    for address in wanted.into_iter().take(MOST_NAMES) {
        let name = state.repository().asset_at(address).await?.and_then(|asset| asset.name);
        if let Some(name) = name.filter(|name| name.parse::<IpAddr>().is_err()) {
            names.insert(address, name);
        }
    }
    Ok(names)
}
