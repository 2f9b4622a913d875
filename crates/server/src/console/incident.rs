//! One incident: the story, the picture, the evidence, and what can be done about it.

use super::{
    frame::{Frame, Trouble, Visit, page},
    incidents::state_words,
    journal::{Entry, decisions, proof},
    named::{Named, named_in},
    proof::Proof,
    response::{PlanView, names_of},
    view::{self, Choice, Markup},
};
use crate::{AppState, act, api::Problem, auth, reach::Reach};
use askama::Template;
use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use ledger::Deed;
use model::{Action, Effect, Evidence, Incident, IncidentAsset, IncidentId, Timestamp};
use report::{Act, Context, Document, Names, Totals, words};
use store::{CommandRecord, Findable, IncidentRecord, IncidentState, PlanRecord};

/// Rows of each table.
const MOST_EVIDENCE: usize = 100;
const MOST_ROLES: usize = 60;
/// Plans that are shown; older ones are in the journal.
const MOST_PLANS: usize = 6;

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    frame: Frame,
    id: String,
    severity: Markup,
    title: String,
    summary: String,
    done: String,
    state: &'static str,
    open: bool,
    closed: String,
    facts: Vec<(&'static str, Markup)>,
    timeline: Markup,
    picture: Option<Markup>,
    roles: Vec<RoleRow>,
    roles_more: u64,
    evidence: Vec<EvidenceRow>,
    evidence_more: usize,
    joined: Vec<String>,
    plans: Vec<PlanView>,
    plans_more: usize,
    has_sensor: bool,
    advice: Vec<String>,
    journal: Vec<Entry>,
    proof: Proof,
    bundle: String,
    supersedes: Vec<String>,
    form: FalseAlarm,
    /// Behind the address of what is done with it.
    of: String,
}

struct RoleRow {
    role: &'static str,
    who: Markup,
    mac: Markup,
    side: &'static str,
    did: &'static str,
    proof: &'static str,
}

struct EvidenceRow {
    at: Markup,
    stage: &'static str,
    detector: String,
    why: String,
    value: String,
    threshold: String,
    record: String,
}

/// The form that closes an incident as no attack.
struct FalseAlarm {
    detectors: Vec<Choice>,
    addresses: Vec<Choice>,
    peers: Vec<Choice>,
    days: Vec<Choice>,
    most_days: u32,
}

/// Everything that is known about an incident.
struct Known {
    /// Reaching the authority whose it is.
    state: AppState,
    record: IncidentRecord,
    plans: Vec<(PlanRecord, Vec<CommandRecord>)>,
    plans_more: usize,
    names: Names,
}

async fn read(state: &AppState, id: &str) -> Result<Known, Problem> {
    let id: IncidentId = id.parse().map_err(|_| Problem::not_found("incident", id))?;
    let state = &state.at(Findable::Incident, id.as_str()).await?;
    let record = act::incident(state, &id).await?;
    let all = state.repository().plans_of(&id).await?;
    let plans_more = all.len().saturating_sub(MOST_PLANS);
    let mut plans = Vec::new();
    for plan in all.into_iter().take(MOST_PLANS) {
        let commands = state.repository().commands_of(&plan.plan).await?;
        plans.push((plan, commands));
    }
    name_people(state, &mut plans).await?;
    let commands = plans.iter().flat_map(|(plan, _)| &plan.plan.commands);
    let names = names_of(state, record.incident.assets.iter(), commands).await?;
    Ok(Known { state: state.clone(), record, plans, plans_more, names })
}

/// Whoever decided on plans, as people know them.
async fn name_people(
    state: &AppState,
    plans: &mut [(PlanRecord, Vec<CommandRecord>)],
) -> Result<(), Problem> {
    let texts = plans.iter().flat_map(|(PlanRecord { plan, .. }, _)| {
        let withheld = plan.withheld.iter().map(|withheld| withheld.reason.as_str());
        withheld.chain([plan.because.as_str()])
    });
    let named = Named::of(state, named_in(texts)).await?;
    for (PlanRecord { plan, .. }, _) in plans {
        plan.because = named.text(&plan.because);
        for withheld in &mut plan.withheld {
            withheld.reason = named.text(&withheld.reason);
        }
    }
    Ok(())
}

impl Known {
    /// What was done about it, by the receipts.
    fn acts(&self) -> Vec<Act> {
        let mut acts: Vec<Act> = self
            .plans
            .iter()
            .flat_map(|(_, commands)| commands)
            .flat_map(|command| {
                let what = report::command_label(&command.command, &self.names);
                let ends = |effect: &Effect| {
                    matches!(effect, Effect::Undone | Effect::Expired | Effect::Failed { .. })
                };
                let first = command.receipts.first();
                let end = command.receipts.iter().skip(1).find(|receipt| ends(&receipt.effect));
                let latest = command.receipts.last();
                first
                    .map(|receipt| (receipt.at, what.clone(), latest.unwrap_or(receipt)))
                    .into_iter()
                    .chain(end.map(|receipt| {
                        (receipt.at, format!("{} ({what})", report::effect_word(&receipt.effect)), receipt)
                    }))
                    .collect::<Vec<_>>()
            })
            .map(|(at, what, receipt)| Act {
                incident: Some(self.record.incident.id.clone()),
                at,
                what,
                who: format!("Bastide, {}", receipt.actuator),
                effect: format!(
                    "{}: {}",
                    report::effect_word(&receipt.effect),
                    report::effect_means(&receipt.effect, receipt.packets_stopped, receipt.packets_passed)
                ),
            })
            .collect();
        acts.sort_by_key(|act| act.at);
        acts
    }
}

impl Known {
    /// What stopped it, in a sentence: "cam-07 was isolated 0.6 s after flood-udp was found." Empty where nothing did.
    fn done(&self) -> String {
        let evidence = &self.record.incident.evidence;
        let mut sentences = Vec::new();
        for command in self.plans.iter().flat_map(|(_, commands)| commands).take(3) {
            let (Some(first), Some(latest)) = (command.receipts.first(), command.receipt()) else { continue };
            let held = matches!(first.effect, Effect::Applied | Effect::Effective);
            if !held || matches!(latest.effect, Effect::WithoutEffect | Effect::Failed { .. }) {
                continue;
            }
            let before =
                evidence.iter().filter(|evidence| evidence.at <= first.at).max_by_key(|evidence| evidence.at);
            let when = before.map_or_else(
                || format!("at {} UTC", words::clock(first.at)),
                |found| {
                    let after = words::span(first.at.micros_since(found.at));
                    format!("{after} after {} was found", report::clipped(&found.detector, 60))
                },
            );
            let verb = match command.command.action {
                Action::Isolate { .. } => "isolated",
                Action::Restrict { .. } => "restricted to its declared peers",
                Action::Block => "blocked",
                Action::Limit { .. } => "limited",
                Action::Suspend { .. } => "suspended, with its identity",
            };
            let end = match latest.effect {
                Effect::Undone => ", and let go by a person since",
                Effect::Expired => ", and that has run out since",
                _ => "",
            };
            let target = report::target_label(&command.command.on, &self.names);
            sentences.push(format!("{target} was {verb} {when}{end}."));
        }
        sentences.join(" ")
    }
}

/// `GET /incidents/{id}`.
pub(super) async fn show(
    Reach(state): Reach,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let known = read(&state, &id).await.map_err(|problem| visit.trouble(problem))?;
    let state = known.state.clone();
    let frame = Frame::new(
        &state,
        &visit,
        "incidents",
        report::clipped(&report::titled(&known.record.incident.title, &known.names), 120),
    )
    .await;
    let journal = decisions(&state, &known.record.incident.id, &known.plans).await;
    let journal = journal.map_err(|problem| visit.trouble(problem))?;
    // Opening evidence is recorded.
    let id = &known.record.incident.id;
    auth::note_evidence(&state, visit.user.as_ref(), Deed::EvidenceOpened, id).await;
    let proof = proof(&state, &journal).await.map_err(|problem| visit.trouble(problem))?;
    Ok(page(&IncidentPage::new(&state, frame, &known, journal, proof)))
}

impl IncidentPage {
    fn new(state: &AppState, frame: Frame, known: &Known, journal: Vec<Entry>, proof: Proof) -> Self {
        let now = state.now();
        let (record, names) = (&known.record, &known.names);
        let incident = &record.incident;
        let of = view::of(state, &record.authority);
        let context = Context { names: names.clone(), acts: known.acts(), ..Context::default() };
        Self {
            id: incident.id.to_string(),
            severity: view::severity(incident.severity),
            title: report::clipped(&report::titled(&incident.title, names), 300),
            summary: report::clipped(&report::with_names(&incident.summary, names), 1_500),
            done: known.done(),
            state: state_words(record.state),
            open: record.state == IncidentState::Open,
            closed: record
                .closed
                .as_ref()
                .map(|closed| format!("{} UTC by {}: {}", words::moment(closed.at), closed.by, closed.reason))
                .unwrap_or_default(),
            facts: facts(record, now),
            timeline: Markup::drawing(report::incident_timeline("when", incident, &context.acts, &[])),
            picture: report::incident_picture("who", incident, &context).map(Markup::drawing),
            roles: incident.assets.iter().take(MOST_ROLES).map(|asset| role(asset, names, &of)).collect(),
            roles_more: incident.assets.len().saturating_sub(MOST_ROLES) as u64 + incident.assets_omitted,
            evidence: incident
                .evidence
                .iter()
                .take(MOST_EVIDENCE)
                .map(|line| evidence(line, names))
                .collect(),
            evidence_more: incident.evidence.len().saturating_sub(MOST_EVIDENCE),
            joined: words::once(&incident.joined),
            plans: known
                .plans
                .iter()
                .map(|(plan, commands)| PlanView::new(plan, commands, names, now, &of))
                .map(|plan| ordered(plan, &journal))
                .collect(),
            plans_more: known.plans_more,
            has_sensor: state.has_sensor(),
            advice: incident.advice.iter().take(20).map(|line| report::with_names(line, names)).collect(),
            journal,
            bundle: format!(
                "/ledger/{}/incident/{}.tar",
                state.repository().authority(),
                known.record.incident.id
            ),
            proof,
            supersedes: incident.supersedes.iter().take(20).map(ToString::to_string).collect(),
            form: FalseAlarm::new(incident, names),
            of,
            frame,
        }
    }
}

/// A plan that a person has decided on and that still waits: the order is on its way.
fn ordered(mut plan: PlanView, journal: &[Entry]) -> PlanView {
    let decided = |entry: &&Entry| {
        entry.about == plan.id && matches!(entry.what.as_str(), "plan approved" | "plan refused")
    };
    if plan.waiting
        && let Some(entry) = journal.iter().find(decided)
    {
        let what = entry.what.trim_start_matches("plan ");
        plan.ordered = format!("It was {what} by {}; the sensor has not answered yet.", entry.who);
    }
    plan
}

fn facts(record: &IncidentRecord, now: Timestamp) -> Vec<(&'static str, Markup)> {
    let incident = &record.incident;
    let stages: Vec<&str> = incident.stages.iter().map(|stage| stage.as_str()).collect();
    let techniques: Vec<&str> = incident.techniques.iter().map(|technique| technique.0.as_ref()).collect();
    let length = words::span(incident.last.micros_since(incident.first));
    vec![
        ("Last seen", view::ago(incident.last, now)),
        ("When", Markup::text(&format!("{} ({length})", words::between(incident.first, incident.last)))),
        (
            "Sure",
            Markup::text(&format!("{} %, {}", incident.confidence, words::sureness(incident.confidence))),
        ),
        ("Stages", Markup::text(&stages.join(" → "))),
        ("ATT&CK", Markup::text(&techniques.join(", "))),
        (
            "Made of",
            Markup::text(&format!(
                "{} about {}",
                words::counted(incident.findings, "finding", "findings"),
                words::counted(incident.flows, "flow", "flows")
            )),
        ),
        ("Authority", Markup::text(record.authority.as_str())),
        ("Id", view::code(incident.id.as_str())),
    ]
}

fn role(asset: &IncidentAsset, names: &Names, of: &str) -> RoleRow {
    RoleRow {
        role: asset.role.as_str(),
        who: view::address(asset.address, names.get(&asset.address).map(String::as_str), of),
        mac: asset.mac.map(|mac| view::code(&mac.to_string())).unwrap_or_default(),
        side: words::side(asset),
        did: words::role_means(asset.role),
        proof: words::proof_means(asset),
    }
}

fn evidence(evidence: &Evidence, names: &Names) -> EvidenceRow {
    EvidenceRow {
        at: view::exact(evidence.at),
        stage: evidence.stage.as_str(),
        detector: report::clipped(&evidence.detector, 80),
        why: report::clipped(&report::with_names(&evidence.why, names), 600),
        value: words::figure(evidence.value),
        threshold: words::figure(evidence.threshold),
        record: format!("{}:{}", report::clipped(&evidence.file, 120), evidence.record),
    }
}

impl FalseAlarm {
    /// Filled with the narrowest exception that keeps the incident from coming back.
    fn new(incident: &Incident, names: &Names) -> Self {
        let suggested = act::suggested(incident);
        let address = suggested.first().map(|narrow| narrow.address.to_string()).unwrap_or_default();
        let peer =
            suggested.first().and_then(|narrow| narrow.peer).map(|peer| peer.to_string()).unwrap_or_default();
        let mut detectors: Vec<String> =
            incident.evidence.iter().map(|evidence| evidence.detector.clone()).collect();
        detectors.sort();
        detectors.dedup();
        let choice = |asset: &IncidentAsset, chosen: &str| {
            let text = asset.address.to_string();
            let label =
                format!("{} ({}, {})", report::called(asset.address, names), asset.role, words::side(asset));
            Choice::new(&text, &label, chosen)
        };
        let shown = || incident.assets.iter().take(MOST_ROLES);
        let mut peers = vec![Choice::new("", "anybody", &peer)];
        peers.extend(shown().map(|asset| choice(asset, &peer)));
        Self {
            detectors: detectors
                .iter()
                .take(20)
                .map(|detector| Choice { value: detector.clone(), label: detector.clone(), chosen: true })
                .collect(),
            addresses: shown().map(|asset| choice(asset, &address)).collect(),
            peers,
            days: [("1", "1 day"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days")]
                .iter()
                .map(|(value, label)| Choice::new(value, label, "30"))
                .collect(),
            most_days: act::MOST_EXCEPTION_DAYS,
        }
    }
}

/// `GET /incidents/{id}/report.html`: the report as one file.
pub(super) async fn download(
    Reach(state): Reach,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let known = read(&state, &id).await.map_err(|problem| visit.trouble(problem))?;
    let state = known.state.clone();
    let id = &known.record.incident.id;
    auth::note_evidence(&state, visit.user.as_ref(), Deed::ReportTaken, id).await;
    let incident = known.record.incident.clone();
    let name = format!("attachment; filename=\"{}.html\"", incident.id);
    let context = Context {
        heading: Some(report::clipped(&report::titled(&incident.title, &known.names), 200)),
        acts: known.acts(),
        names: known.names,
        gaps: Vec::new(),
    };
    let totals =
        Totals { findings: incident.findings, flows: incident.flows, incidents: 1, ..Totals::default() };
    let document = Document { totals, incidents: vec![incident], ..Document::default() };
    let mut response = Html(report::html_with(&document, state.now(), &context)).into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    // The file brings its style along; nothing else may be loaded or run.
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}
