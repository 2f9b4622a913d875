//! The list of incidents: filters, order and page live in the address.

use super::{
    frame::{Frame, Trouble, Visit, page},
    response::names_in,
    view::{self, Choice, Markup, Pager},
};
use crate::{
    AppState,
    api::{Parameters, Problem},
    reach::{Narrowed, Reach},
};
use askama::Template;
use axum::{extract::Query, response::Response};
use model::{Severity, Tactic, Timestamp};
use report::{Names, words};
use serde::Deserialize;
use std::net::IpAddr;
use store::{IncidentFilter, IncidentRecord, IncidentSort, IncidentState, Paging};

/// Rows of a page unless the address says otherwise.
const ROWS: u32 = 50;
/// All stages that an incident can show.
const STAGES: [Tactic; 10] = [
    Tactic::Reconnaissance,
    Tactic::InitialAccess,
    Tactic::Execution,
    Tactic::Persistence,
    Tactic::CredentialAccess,
    Tactic::Discovery,
    Tactic::LateralMovement,
    Tactic::CommandAndControl,
    Tactic::Exfiltration,
    Tactic::Impact,
];

/// What the address asks for. Everything is text, so that a wrong value is explained and not refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    text: String,
    severity: String,
    state: String,
    stage: String,
    address: String,
    from: String,
    until: String,
    sort: String,
    page: String,
    rows: String,
    #[serde(skip)]
    authority: String,
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct Incidents {
    frame: Frame,
    asked: Asked,
    wrong: Vec<String>,
    severities: Vec<Choice>,
    states: Vec<Choice>,
    stages: Vec<Choice>,
    sorts: Vec<Choice>,
    filtered: bool,
    more_open: bool,
    rows: Vec<Row>,
    pager: Pager,
    here: String,
    watching: bool,
}

struct Row {
    id: String,
    of: String,
    /// Whose, where it is not the node's own.
    whose: String,
    severity: Markup,
    title: String,
    summary: String,
    stages: String,
    stages_full: String,
    who: Vec<Markup>,
    who_more: String,
    last: Markup,
    state: &'static str,
    confidence: u8,
}

/// `GET /incidents`.
pub(super) async fn show(
    Reach(state): Reach,
    visit: Visit,
    Query(narrowed): Query<Narrowed>,
    Parameters(mut asked): Parameters<Asked>,
) -> Result<Response, Trouble> {
    asked.authority = narrowed.authority.unwrap_or_default();
    let frame = Frame::new(&state, &visit, "incidents", "Incidents").await;
    let list = read(&state, frame, asked).await.map_err(|problem| visit.trouble(problem))?;
    Ok(page(&list))
}

async fn read(state: &AppState, frame: Frame, asked: Asked) -> Result<Incidents, Problem> {
    let now = state.now();
    let (filter, wrong) = filter(&asked);
    let number = |text: &str, other: u32| text.parse::<u32>().unwrap_or(other);
    let paging = Paging::new(number(&asked.page, 1), number(&asked.rows, ROWS).min(200));
    let found = state.repository().incidents(&filter, paging).await?;
    let names = names_in(state, &found.items).await?;
    let pager = Pager::new(&found, |page| link(&asked, &page.to_string(), &asked.sort));
    Ok(Incidents {
        wrong,
        severities: severities(&asked.severity),
        states: states(&asked.state),
        stages: stages(&asked.stage),
        sorts: sorts(&asked.sort),
        filtered: link(&Asked { state: String::new(), ..asked.clone() }, "", "") != "/incidents"
            || !asked.state.is_empty(),
        more_open: [&asked.address, &asked.from, &asked.until].iter().any(|text| !text.is_empty()),
        rows: found
            .items
            .iter()
            .map(|record| row(record, &names, now, &view::of(state, &record.authority)))
            .collect(),
        here: link(&asked, "", &asked.sort),
        pager,
        watching: state.has_sensor(),
        asked,
        frame,
    })
}

/// The filter, and what of the address could not be understood.
fn filter(asked: &Asked) -> (IncidentFilter, Vec<String>) {
    let mut wrong = Vec::new();
    let mut filter = IncidentFilter { sort: sort_of(&asked.sort), ..IncidentFilter::default() };
    if !asked.severity.is_empty() {
        match asked.severity.parse::<Severity>() {
            Ok(severity) => filter.severity = Some(severity),
            Err(error) => wrong.push(format!("severity: {error}")),
        }
    }
    if !asked.state.is_empty() {
        match asked.state.parse::<IncidentState>() {
            Ok(state) => filter.state = Some(state),
            Err(error) => wrong.push(format!("status: {error}")),
        }
    }
    if !asked.stage.is_empty() {
        match STAGES.iter().find(|stage| stage.as_str() == asked.stage) {
            Some(stage) => filter.stage = Some(*stage),
            None => wrong.push("stage: expected an ATT&CK tactic such as impact".into()),
        }
    }
    if !asked.address.trim().is_empty() {
        match asked.address.trim().parse::<IpAddr>() {
            Ok(address) => filter.address = Some(address),
            Err(_) => wrong.push("address: expected an address such as 192.168.1.7 or fd00::7".into()),
        }
    }
    if !asked.text.trim().is_empty() {
        filter.text = Some(asked.text.trim().chars().take(200).collect());
    }
    for (name, text, slot) in
        [("from", &asked.from, &mut filter.from), ("until", &asked.until, &mut filter.until)]
    {
        match moment(text) {
            Ok(at) => *slot = at,
            Err(()) => wrong.push(format!("{name}: expected a moment such as 2026-01-31T12:00 (UTC)")),
        }
    }
    (filter, wrong)
}

/// A moment as a form field writes it (`2026-01-31T12:00`), taken as UTC, or as RFC 3339.
fn moment(text: &str) -> Result<Option<Timestamp>, ()> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let candidates =
        [text.to_owned(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    candidates.iter().find_map(|text| Timestamp::parse(text).ok()).map(Some).ok_or(())
}

fn sort_of(text: &str) -> IncidentSort {
    match text {
        "oldest" => IncidentSort::Oldest,
        "severity" => IncidentSort::Severity,
        _ => IncidentSort::Newest,
    }
}

fn link(asked: &Asked, page: &str, sort: &str) -> String {
    let page = if page == "1" { "" } else { page };
    let pairs = [
        ("text", asked.text.as_str()),
        ("severity", &asked.severity),
        ("state", &asked.state),
        ("stage", &asked.stage),
        ("address", &asked.address),
        ("from", &asked.from),
        ("until", &asked.until),
        ("sort", sort),
        ("rows", &asked.rows),
        ("page", page),
        ("authority", &asked.authority),
    ];
    format!("/incidents{}", view::query(&pairs))
}

fn severities(chosen: &str) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "any", chosen)];
    choices.extend(Severity::ALL.iter().rev().map(|severity| {
        let label = match severity {
            Severity::Critical => "◆ critical".to_owned(),
            other => format!("{} {other} or worse", other.shape()),
        };
        Choice::new(severity.as_str(), &label, chosen)
    }));
    choices
}

fn states(chosen: &str) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "any", chosen)];
    choices.extend(
        IncidentState::ALL.iter().map(|state| Choice::new(state.as_str(), state_words(*state), chosen)),
    );
    choices
}

pub(super) const fn state_words(state: IncidentState) -> &'static str {
    match state {
        IncidentState::Open => "open",
        IncidentState::Resolved => "resolved",
        IncidentState::FalseAlarm => "false alarm",
        IncidentState::Merged => "part of another",
    }
}

fn stages(chosen: &str) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "any", chosen)];
    choices
        .extend(STAGES.iter().map(|stage| Choice::new(stage.as_str(), words::stage_title(*stage), chosen)));
    choices
}

fn sorts(chosen: &str) -> Vec<Choice> {
    [("", "latest first"), ("oldest", "earliest first"), ("severity", "worst first")]
        .iter()
        .map(|(value, label)| Choice::new(value, label, chosen))
        .collect()
}

fn row(record: &IncidentRecord, names: &Names, now: Timestamp, of: &str) -> Row {
    let incident = &record.incident;
    let stages: Vec<&str> = incident.stages.iter().map(|stage| stage.as_str()).collect();
    let more = incident.assets.len().saturating_sub(1) as u64 + incident.assets_omitted;
    Row {
        id: incident.id.to_string(),
        whose: if of.is_empty() { String::new() } else { record.authority.to_string() },
        of: of.to_owned(),
        severity: view::severity(incident.severity),
        title: report::clipped(&report::titled(&incident.title, names), 300),
        summary: report::clipped(&report::with_names(&incident.summary, names), 600),
        stages: stages.last().map(|stage| (*stage).to_owned()).unwrap_or_default(),
        stages_full: stages.join(" → "),
        who: incident
            .assets
            .iter()
            .take(1)
            .map(|asset| view::address(asset.address, names.get(&asset.address).map(String::as_str), of))
            .collect(),
        who_more: if more > 0 { format!("+{}", words::count(more)) } else { String::new() },
        last: view::ago(incident.last, now),
        state: state_words(record.state),
        confidence: incident.confidence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_filters_and_what_is_wrong_is_said() {
        let asked = Asked {
            text: "  cam ".into(),
            severity: "high".into(),
            state: "false-alarm".into(),
            stage: "impact".into(),
            address: "fd00::7".into(),
            from: "2026-01-31T12:00".into(),
            until: "2026-02-01".into(),
            sort: "severity".into(),
            ..Asked::default()
        };
        let (found, wrong) = filter(&asked);
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(found.text.as_deref(), Some("cam"));
        assert_eq!(found.severity, Some(Severity::High));
        assert_eq!(found.state, Some(IncidentState::FalseAlarm));
        assert_eq!(found.from, Timestamp::parse("2026-01-31T12:00:00Z").ok());
        assert_eq!(found.until, Timestamp::parse("2026-02-01T00:00:00Z").ok());
        assert_eq!(found.sort, IncidentSort::Severity);
        assert!(link(&asked, "2", "severity").starts_with("/incidents?text=%20%20cam%20&severity=high&"));
        let bad = Asked {
            severity: "grave".into(),
            state: "x".into(),
            stage: "x".into(),
            address: "x".into(),
            from: "yesterday".into(),
            ..Asked::default()
        };
        let (found, wrong) = filter(&bad);
        assert_eq!(wrong.len(), 5, "{wrong:?}");
        assert_eq!(found, IncidentFilter::default());
    }
}
