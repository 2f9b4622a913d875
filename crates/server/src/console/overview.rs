//! The first page: what needs a person now, what is watched, what is in force.

use super::{
    devices::SOON_DAYS,
    frame::{Frame, Trouble, Visit, page},
    response::{CommandView, ReceiptView, names_in, names_of},
    view::{self, Markup},
};
use crate::{AppState, SensorStatus, api::Problem, ca, reach::Reach};
use askama::Template;
use axum::{Json, response::Response};
use model::{PlanStatus, Severity, Timestamp};
use report::{Names, words};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use store::{
    EnrolmentState, IncidentFilter, IncidentRecord, IncidentSort, IncidentState, Paging, SensorRecord,
    SeverityCounts,
};

/// Rows of each list; more are one link away.
const MOST_PRESSING: u32 = 8;
const MOST_PLANS: u32 = 8;
const MOST_IN_FORCE: usize = 12;
const MOST_RECEIPTS: usize = 8;
/// Sensors on other machines that are shown.
const MOST_SENSORS: usize = 50;
const MOST_INPUTS: usize = 40;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    sentence: String,
    waiting: Vec<Waiting>,
    waiting_more: u64,
    pressing: Vec<Pressing>,
    pressing_more: u64,
    /// Devices that wait to be let in.
    asking: u64,
    /// Certificates that end soon and were not renewed.
    ending: u64,
    /// What is to be done about who issues certificates.
    issuers: Vec<String>,
    tallies: Vec<TallyView>,
    timeline: Option<Markup>,
    in_force: Vec<CommandView>,
    in_force_more: usize,
    receipts: Vec<Recent>,
    inputs: Vec<InputView>,
    inputs_more: usize,
    sensor_at: Option<Markup>,
    has_sensor: bool,
    /// Sensors on other machines.
    sensors: Vec<SensorRow>,
    response_mode: String,
    ever: bool,
}

/// A plan that waits for a person.
struct Waiting {
    id: String,
    of: String,
    incident: String,
    title: String,
    label: String,
    hits: String,
    made: Markup,
}

struct Pressing {
    id: String,
    of: String,
    severity: Markup,
    title: String,
    last: Markup,
}

struct TallyView {
    word: &'static str,
    severity: Markup,
    count: String,
    number: u64,
    /// Width of the bar, 0 to 100.
    share: u64,
}

struct Recent {
    /// Of which command: the last word on it.
    id: String,
    of: String,
    incident: String,
    label: String,
    receipt: ReceiptView,
}

pub(super) struct InputView {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) records: String,
    pub(super) dropped: String,
    pub(super) lossy: bool,
    pub(super) skipped: String,
    pub(super) last: Option<Markup>,
    pub(super) problem: String,
}

/// `GET /`.
pub(super) async fn show(Reach(state): Reach, visit: Visit) -> Result<Response, Trouble> {
    let frame = Frame::new(&state, &visit, "overview", "Overview").await;
    let overview = read(&state, frame).await.map_err(|problem| visit.trouble(problem))?;
    Ok(page(&overview))
}

async fn read(state: &AppState, frame: Frame) -> Result<Overview, Problem> {
    let now = state.now();
    let repository = state.repository();
    let counts = repository.open_incidents().await?;
    let pressing_filter = IncidentFilter {
        state: Some(IncidentState::Open),
        severity: Some(Severity::High),
        sort: IncidentSort::Severity,
        ..IncidentFilter::default()
    };
    let pressing = repository.incidents(&pressing_filter, Paging::new(1, MOST_PRESSING)).await?;
    let plans = repository.plans(Some(PlanStatus::Proposed), Paging::new(1, MOST_PLANS)).await?;
    let names = names_in(state, &pressing.items).await?;
    let mut waiting = Vec::new();
    for plan in &plans.items {
        let theirs = state.reaching(std::slice::from_ref(&plan.authority));
        let names = names_of(&theirs, [].iter(), plan.plan.commands.iter()).await?;
        let known = theirs.repository().incident(&plan.plan.incident).await?;
        let of: Vec<IncidentRecord> = known.into_iter().collect();
        let named = names_in(&theirs, &of).await?;
        let title = of.first().map(|record| report::titled(&record.incident.title, &named));
        let hits: u64 = plan.plan.commands.iter().map(|command| command.hits.len() as u64).sum();
        waiting.push(Waiting {
            id: plan.plan.id.to_string(),
            of: view::of(state, &plan.authority),
            incident: plan.plan.incident.to_string(),
            title: title.unwrap_or_else(|| plan.plan.incident.to_string()),
            label: report::plan_label(&plan.plan.commands, &names),
            hits: format!("hits {}", words::counted(hits, "asset", "assets")),
            made: view::ago(plan.plan.made, now),
        });
    }
    let in_force = repository.commands_in_force(now).await?;
    let mut commands = Vec::new();
    for record in in_force.iter().take(MOST_IN_FORCE) {
        let theirs = state.reaching(std::slice::from_ref(&record.authority));
        let names = names_of(&theirs, [].iter(), std::iter::once(&record.command)).await?;
        commands.push(CommandView::new(record, &names, now, &view::of(state, &record.authority)));
    }
    let sensor = state.sensor();
    let open = open_timeline(state, now).await?;
    let ever = counts_total(&counts) > 0
        || repository.incidents(&IncidentFilter::default(), Paging::new(1, 1)).await?.total > 0;
    Ok(Overview {
        sentence: sentence(&counts, plans.total, sensor.responding_stopped),
        waiting,
        waiting_more: plans.total.saturating_sub(plans.items.len() as u64),
        pressing_more: pressing.total.saturating_sub(pressing.items.len() as u64),
        asking: match frame.may.enrol {
            true => repository.enrolments(Some(EnrolmentState::Waiting), Paging::new(1, 1)).await?.total,
            false => 0,
        },
        issuers: issuers_to_do(state).await?,
        ending: repository.certificates_ending(now.plus_secs(SOON_DAYS * 86_400), now).await?,
        pressing: pressing.items.iter().map(|record| pressing_row(state, record, &names, now)).collect(),
        tallies: tallies(&counts),
        timeline: open,
        in_force_more: in_force.len().saturating_sub(commands.len()),
        in_force: commands,
        receipts: recent(state, now).await?,
        inputs: inputs(&sensor, now),
        inputs_more: sensor.inputs.len().saturating_sub(MOST_INPUTS),
        sensor_at: sensor.at.map(|at| view::ago(at, now)),
        has_sensor: state.has_sensor(),
        sensors: sensors(state, now).await?,
        response_mode: sensor.response_mode.clone(),
        ever,
        frame,
    })
}

/// The sensors on other machines, with what each said last of itself.
async fn sensors(state: &AppState, now: Timestamp) -> Result<Vec<SensorRow>, Problem> {
    let known = state.repository().sensors().await?;
    let row = |sensor: &SensorRecord| {
        let status = state.sensors().status(&sensor.authority, &sensor.id).unwrap_or_default();
        let watched: Vec<&str> =
            status.inputs.iter().take(MOST_INPUTS).map(|input| input.name.as_str()).collect();
        let mut problems: Vec<String> = status
            .inputs
            .iter()
            .filter_map(|input| Some(format!("{}: {}", input.name, input.problem.as_ref()?)))
            .collect();
        if !state.sensors().is_in_reach(&sensor.authority, &sensor.id) {
            problems.insert(0, "out of reach".to_owned());
        }
        if status.responding_stopped {
            problems.push("responding is stopped there".to_owned());
        }
        if sensor.shed > 0 {
            problems
                .push(format!("{} batches of notices were lost for want of room", words::count(sensor.shed)));
        }
        SensorRow {
            link: format!("/assets/{}{}", view::encoded(&sensor.id), view::of(state, &sensor.authority)),
            name: report::clipped(&sensor.name, 120),
            heard: view::ago(sensor.heard, now),
            program: report::clipped(&sensor.program, 40),
            watched: report::clipped(&watched.join(", "), 300),
            problems: report::clipped(&problems.join("; "), 500),
        }
    };
    Ok(known.iter().take(MOST_SENSORS).map(row).collect())
}

/// What it is time to do about the node's own issuers.
async fn issuers_to_do(state: &AppState) -> Result<Vec<String>, Problem> {
    if state.repository().authority() != state.authority() {
        return Ok(Vec::new());
    }
    let soon = ca::to_do(state).await?.into_iter().filter(|about| about.soon);
    Ok(soon.map(|about| about.words).collect())
}

fn pressing_row(state: &AppState, record: &IncidentRecord, names: &Names, now: Timestamp) -> Pressing {
    Pressing {
        id: record.incident.id.to_string(),
        of: view::of(state, &record.authority),
        severity: view::severity(record.incident.severity),
        title: report::clipped(&report::titled(&record.incident.title, names), 300),
        last: view::ago(record.incident.last, now),
    }
}

/// A sensor on another machine.
struct SensorRow {
    link: String,
    name: String,
    heard: Markup,
    program: String,
    watched: String,
    problems: String,
}

/// The state of things in one sentence.
fn sentence(counts: &SeverityCounts, waiting: u64, stopped: bool) -> String {
    let pressing = counts.critical + counts.high;
    let mut parts = Vec::new();
    match pressing {
        0 => {}
        1 => parts.push("One incident needs a person now".to_owned()),
        more => parts.push(format!("{} incidents need a person now", words::count(more))),
    }
    match waiting {
        0 => {}
        1 => parts.push("one plan waits for a decision".into()),
        more => parts.push(format!("{} plans wait for a decision", words::count(more))),
    }
    if stopped {
        parts.push("responding is stopped".into());
    }
    if parts.is_empty() {
        return match counts.medium {
            0 => "Nothing needs a person right now.".into(),
            1 => "Nothing is urgent; one incident wants a look today.".into(),
            more => format!("Nothing is urgent; {} incidents want a look today.", words::count(more)),
        };
    }
    let text = parts.join("; ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}

fn counts_total(counts: &SeverityCounts) -> u64 {
    Severity::ALL.iter().map(|severity| counts.of(*severity)).sum()
}

fn tallies(counts: &SeverityCounts) -> Vec<TallyView> {
    let most = Severity::ALL.iter().map(|severity| counts.of(*severity)).max().unwrap_or(0).max(1);
    Severity::ALL
        .iter()
        .rev()
        .map(|severity| {
            let number = counts.of(*severity);
            TallyView {
                word: severity.as_str(),
                severity: view::severity(*severity),
                count: words::count(number),
                number,
                share: number.saturating_mul(100).div_ceil(most).min(100),
            }
        })
        .collect()
}

/// The open incidents of the last day on one drawing.
async fn open_timeline(state: &AppState, now: Timestamp) -> Result<Option<Markup>, Problem> {
    let filter = IncidentFilter {
        state: Some(IncidentState::Open),
        from: Some(now.plus_secs(-86_400)),
        sort: IncidentSort::Severity,
        ..IncidentFilter::default()
    };
    let recent = state.repository().incidents(&filter, Paging::new(1, 8)).await?;
    let names = names_in(state, &recent.items).await?;
    let named = |record: IncidentRecord| model::Incident {
        title: report::titled(&record.incident.title, &names),
        ..record.incident
    };
    let incidents: Vec<model::Incident> = recent.items.into_iter().map(named).collect();
    if incidents.is_empty() {
        return Ok(None);
    }
    Ok(Some(Markup::drawing(report::incidents_timeline("open-incidents", &incidents, None, &[]))))
}

async fn recent(state: &AppState, now: Timestamp) -> Result<Vec<Recent>, Problem> {
    let plans = state.repository().plans(None, Paging::new(1, 12)).await?;
    let mut rows = Vec::new();
    for plan in &plans.items {
        if matches!(plan.plan.status, PlanStatus::Proposed | PlanStatus::Shown | PlanStatus::Refused) {
            continue;
        }
        let theirs = state.reaching(std::slice::from_ref(&plan.authority));
        let names = names_of(&theirs, [].iter(), plan.plan.commands.iter()).await?;
        for command in theirs.repository().commands_of(&plan.plan).await? {
            if let Some(receipt) = command.receipt() {
                rows.push(Recent {
                    id: command.command.id.to_string(),
                    of: view::of(state, &plan.authority),
                    incident: command.incident.to_string(),
                    label: report::command_label(&command.command, &names),
                    receipt: ReceiptView::new(receipt, now),
                });
            }
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.receipt.micros));
    // A command can stand in the plan that was approved and in the one that took its place.
    let mut told = HashSet::new();
    rows.retain(|row| told.insert(row.id.clone()));
    rows.truncate(MOST_RECEIPTS);
    Ok(rows)
}

pub(super) fn inputs(sensor: &SensorStatus, now: Timestamp) -> Vec<InputView> {
    sensor
        .inputs
        .iter()
        .take(MOST_INPUTS)
        .map(|input| InputView {
            name: input.name.clone(),
            kind: input.kind.clone(),
            records: words::count(input.records),
            dropped: words::count(input.dropped),
            lossy: input.dropped > 0,
            skipped: words::count(input.skipped),
            last: input.last.map(|at| view::ago(at, now)),
            problem: input.problem.clone().unwrap_or_default(),
        })
        .collect()
}

/// `GET /live`: the figures of the first page for the script, by the name of their place.
pub(super) async fn figures(Reach(state): Reach) -> Result<Json<Value>, Problem> {
    let counts = state.repository().open_incidents().await?;
    let waiting = state.repository().plans(Some(PlanStatus::Proposed), Paging::new(1, 1)).await?.total;
    let sensor = state.sensor();
    let mut figures = Map::new();
    for severity in Severity::ALL {
        figures.insert(format!("open-{severity}"), json!(words::count(counts.of(severity))));
    }
    figures.insert("pressing".into(), json!(words::count(counts.critical + counts.high)));
    figures.insert("sentence".into(), json!(sentence(&counts, waiting, sensor.responding_stopped)));
    for (index, input) in sensor.inputs.iter().take(MOST_INPUTS).enumerate() {
        figures.insert(format!("records-{index}"), json!(words::count(input.records)));
        figures.insert(format!("dropped-{index}"), json!(words::count(input.dropped)));
    }
    Ok(Json(Value::Object(figures)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_things_is_one_sentence() {
        let counts =
            |critical, high, medium| SeverityCounts { critical, high, medium, ..SeverityCounts::default() };
        for (counts, waiting, stopped, expected) in [
            (counts(0, 0, 0), 0, false, "Nothing needs a person right now."),
            (counts(0, 0, 2), 0, false, "Nothing is urgent; 2 incidents want a look today."),
            (counts(1, 0, 2), 0, false, "One incident needs a person now."),
            (counts(1, 2, 0), 1, false, "3 incidents need a person now; one plan waits for a decision."),
            (counts(0, 0, 0), 2, true, "2 plans wait for a decision; responding is stopped."),
            (counts(0, 0, 0), 0, true, "Responding is stopped."),
        ] {
            assert_eq!(sentence(&counts, waiting, stopped), expected);
        }
    }
}
