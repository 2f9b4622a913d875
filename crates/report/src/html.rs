//! The HTML report: one self-contained file, without script, that prints well and whose first page a mayor understands.
//!
//! Guarantees: every value is escaped by [`crate::Escape`]; nothing is loaded from anywhere (the page forbids it
//! itself); bounded: the worst incidents are told in full, the others as rows, and what is left out is said.

use crate::{
    Context, Document, EarlyWarning, Gap, early_warning, incident_picture, incident_timeline,
    incidents_timeline, parties, story, words,
};
use askama::Template;
use model::{Incident, Severity, Timestamp};

/// Incidents on the first page.
const MOST_CARDS: usize = 5;
/// Incidents told in full.
const MOST_DETAILED: usize = 25;
/// Incidents as rows.
const MOST_ROWS: usize = 2_000;
/// Evidence of one incident.
const MOST_EVIDENCE: usize = 60;
/// Assets of one incident.
const MOST_ROLES: usize = 60;
/// Drafts of an early warning.
const MOST_WARNINGS: usize = 3;
/// Inputs as rows.
const MOST_INPUTS: usize = 500;
/// Devices as rows.
const MOST_DEVICES: usize = 500;
/// Letters of one sentence by a stranger.
const MOST_LETTERS: usize = 1_500;

/// Custom properties of both themes, shared with the console.
pub const TOKENS_CSS: &str = include_str!("../templates/tokens.css");
/// How timelines and pictures are painted, shared with the console.
pub const DRAWING_CSS: &str = include_str!("../templates/drawing.css");

/// The report about a document, made at a moment that the caller names.
#[must_use]
pub fn html(document: &Document, made: Timestamp) -> String {
    html_with(document, made, &Context::default())
}

/// The report with what else is known: names, what was done, when nobody looked.
#[must_use]
pub fn html_with(document: &Document, made: Timestamp, context: &Context) -> String {
    let page = Page::new(document, made, context);
    // Rendering into a string fails only where a value's `Display` does, and none of these can.
    page.render().unwrap_or_default()
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    tokens: &'static str,
    drawing: &'static str,
    style: &'static str,
    version: &'static str,
    heading: String,
    verdict: String,
    covered: String,
    far_apart: String,
    made: String,
    partial: bool,
    cards: Vec<Card>,
    more: String,
    overview: String,
    rows: Vec<Row>,
    rows_omitted: u64,
    incidents: Vec<Told>,
    details_omitted: usize,
    warnings: Vec<EarlyWarning>,
    warnings_omitted: usize,
    devices: Vec<Found>,
    devices_omitted: usize,
    inputs: Vec<Read>,
    inputs_omitted: usize,
    totals: String,
    scale: Vec<(&'static str, &'static str, &'static str)>,
}

/// An incident on the first page.
struct Card {
    id: String,
    class: &'static str,
    shape: &'static str,
    title: String,
    summary: String,
    when: String,
    how_bad: String,
    do_now: String,
    done: String,
}

struct Row {
    id: String,
    detailed: bool,
    class: &'static str,
    shape: &'static str,
    title: String,
    first: String,
    last: String,
    flows: String,
    confidence: u8,
}

/// An incident told in full.
struct Told {
    card: Card,
    sure: String,
    stages: String,
    techniques: String,
    made_of: String,
    timeline: String,
    picture: Option<String>,
    roles: Vec<Part>,
    roles_note: String,
    evidence: Vec<Line>,
    evidence_note: String,
    joined: String,
    acts: Vec<Done>,
    advice: Vec<String>,
}

struct Part {
    role: &'static str,
    name: String,
    address: String,
    mac: String,
    side: &'static str,
    did: &'static str,
    proof: &'static str,
}

struct Line {
    at: String,
    detector: String,
    stage: &'static str,
    why: String,
    value: String,
    threshold: String,
    file: String,
    record: u64,
}

struct Done {
    at: String,
    what: String,
    who: String,
    effect: String,
}

/// A device that the traffic showed.
struct Found {
    name: String,
    kind: String,
    sure: String,
    addresses: Vec<String>,
    hardware: Vec<String>,
    reasons: Vec<String>,
}

struct Read {
    path: String,
    format: String,
    records: String,
    bytes: String,
    covers: String,
    troubles: Vec<String>,
    error: String,
}

impl Page {
    fn new(document: &Document, made: Timestamp, context: &Context) -> Self {
        let incidents = worst_first(&document.incidents);
        let mut gaps = story::gaps(document);
        gaps.extend(context.gaps.iter().cloned());
        let drafts = || incidents.iter().filter(|incident| incident.severity >= Severity::Medium);
        let warnings: Vec<EarlyWarning> = drafts()
            .take(MOST_WARNINGS)
            .filter_map(|incident| early_warning(incident, made, context))
            .collect();
        let owned: Vec<Incident> = incidents
            .iter()
            .take(MOST_CARDS * 3)
            .map(|incident| Incident {
                title: crate::titled(&incident.title, &context.names),
                ..(*incident).clone()
            })
            .collect();
        Self {
            tokens: TOKENS_CSS,
            drawing: DRAWING_CSS,
            style: include_str!("../templates/report.css"),
            version: env!("CARGO_PKG_VERSION"),
            heading: context.heading.clone().unwrap_or_else(|| heading(document)),
            verdict: story::headline(document),
            covered: covered(document),
            far_apart: story::far_apart(document).as_deref().map(clip).unwrap_or_default(),
            made: words::moment(made),
            partial: document.is_partial(),
            cards: incidents.iter().take(MOST_CARDS).map(|incident| Card::new(incident, context)).collect(),
            more: more(&incidents),
            overview: incidents_timeline("overview", &owned, document.span(), &gaps),
            rows: incidents
                .iter()
                .take(MOST_ROWS)
                .enumerate()
                .map(|(at, incident)| Row::new(at, incident, context))
                .collect(),
            rows_omitted: incidents.len().saturating_sub(MOST_ROWS) as u64,
            incidents: incidents
                .iter()
                .take(MOST_DETAILED)
                .map(|incident| Told::new(incident, document, context, &gaps))
                .collect(),
            details_omitted: incidents.len().saturating_sub(MOST_DETAILED),
            warnings_omitted: drafts().count().saturating_sub(MOST_WARNINGS),
            warnings,
            devices: document.devices.iter().take(MOST_DEVICES).map(Found::new).collect(),
            devices_omitted: document.devices.len().saturating_sub(MOST_DEVICES),
            inputs: document.inputs.iter().take(MOST_INPUTS).map(Read::new).collect(),
            inputs_omitted: document.inputs.len().saturating_sub(MOST_INPUTS),
            totals: totals(document),
            scale: Severity::ALL
                .iter()
                .rev()
                .map(|severity| (severity.shape(), severity.as_str(), words::severity_means(*severity)))
                .collect(),
        }
    }
}

/// Worst first; of the same severity the surest, then the earliest.
pub(crate) fn worst_first(incidents: &[Incident]) -> Vec<&Incident> {
    let mut sorted: Vec<&Incident> = incidents.iter().collect();
    sorted.sort_by(|a, b| {
        (b.severity, b.confidence)
            .cmp(&(a.severity, a.confidence))
            .then(a.first.cmp(&b.first))
            .then(a.id.cmp(&b.id))
    });
    sorted
}

fn heading(document: &Document) -> String {
    match document.inputs.as_slice() {
        [] => "What was watched".into(),
        [one] => document.short_file(&one.path).to_owned(),
        [first, rest @ ..] => {
            format!(
                "{} and {}",
                document.short_file(&first.path),
                words::counted(rest.len() as u64, "more input", "more inputs")
            )
        }
    }
}

fn covered(document: &Document) -> String {
    document
        .span()
        .map(|(first, last)| {
            format!("Covers {} ({}).", words::between(first, last), words::span(last.micros_since(first)))
        })
        .unwrap_or_default()
}

fn totals(document: &Document) -> String {
    let totals = &document.totals;
    format!(
        "{}, {}, {}, {}; analysed in {}",
        words::counted(totals.packets, "packet", "packets"),
        words::counted(totals.flows, "flow", "flows"),
        words::counted(totals.events, "event", "events"),
        words::counted(totals.findings, "finding", "findings"),
        words::span((totals.seconds * 1e6) as i64)
    )
}

fn more(incidents: &[&Incident]) -> String {
    let rest: Vec<Incident> = incidents.iter().skip(MOST_CARDS).map(|incident| (*incident).clone()).collect();
    if rest.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = story::tally(&rest)
        .iter()
        .map(|tally| format!("{} {}", words::count(tally.count), tally.severity))
        .collect();
    format!(
        "And {} below: {}.",
        words::counted(rest.len() as u64, "more incident", "more incidents"),
        parts.join(", ")
    )
}

fn clip(text: &str) -> String {
    crate::clipped(text, MOST_LETTERS)
}

impl Found {
    fn new(device: &crate::Device) -> Self {
        let addresses = device.addresses.iter().take(4).map(ToString::to_string);
        let more = device.addresses.len().saturating_sub(4);
        let more = (more > 0).then(|| format!("and {more} more"));
        let vendor = device.vendor.as_deref().map(|vendor| crate::clipped(vendor, 60));
        Self {
            name: crate::clipped(device.name.as_deref().unwrap_or_default(), 120),
            kind: words::kind(&device.kind),
            sure: if device.reasons.is_empty() { String::new() } else { format!("{} %", device.confidence) },
            addresses: addresses.chain(more).collect(),
            hardware: device.mac.map(|mac| mac.to_string()).into_iter().chain(vendor).collect(),
            reasons: device.reasons.iter().chain(&device.joined).take(8).map(|reason| clip(reason)).collect(),
        }
    }
}

impl Card {
    fn new(incident: &Incident, context: &Context) -> Self {
        let act = context.acts.iter().rfind(|act| act.incident.as_ref().is_none_or(|id| *id == incident.id));
        Self {
            id: incident.id.to_string(),
            class: incident.severity.as_str(),
            shape: incident.severity.shape(),
            title: crate::clipped(&crate::titled(&incident.title, &context.names), 300),
            summary: clip(&crate::with_names(&incident.summary, &context.names)),
            when: format!(
                "{}{}",
                words::between(incident.first, incident.last),
                if incident.last > incident.first {
                    format!(" ({})", words::span(incident.last.micros_since(incident.first)))
                } else {
                    String::new()
                }
            ),
            how_bad: format!(
                "{} It is {} ({} %).",
                words::severity_means(incident.severity),
                words::sureness(incident.confidence),
                incident.confidence
            ),
            do_now: incident.advice.first().map_or_else(
                || "Nothing in particular; keep watching.".into(),
                |text| clip(&crate::with_names(text, &context.names)),
            ),
            done: act
                .map(|act| format!("{} UTC: {} ({})", words::moment(act.at), act.what, act.effect))
                .unwrap_or_default(),
        }
    }
}

impl Row {
    fn new(index: usize, incident: &Incident, context: &Context) -> Self {
        Self {
            id: incident.id.to_string(),
            detailed: index < MOST_DETAILED,
            class: incident.severity.as_str(),
            shape: incident.severity.shape(),
            title: crate::clipped(&crate::titled(&incident.title, &context.names), 160),
            first: words::moment(incident.first),
            last: words::moment(incident.last),
            flows: words::count(incident.flows),
            confidence: incident.confidence,
        }
    }
}

impl Told {
    fn new(incident: &Incident, document: &Document, context: &Context, gaps: &[Gap]) -> Self {
        let left_out = incident.assets.len().saturating_sub(MOST_ROLES) as u64 + incident.assets_omitted;
        let stages: Vec<String> =
            incident.stages.iter().map(|stage| format!("{stage} ({})", words::stage_means(*stage))).collect();
        let techniques: Vec<&str> =
            incident.techniques.iter().map(|technique| technique.0.as_ref()).collect();
        Self {
            card: Card::new(incident, context),
            sure: format!("{}, {} %", words::sureness(incident.confidence), incident.confidence),
            stages: stages.join(" → "),
            techniques: techniques.join(", "),
            made_of: format!(
                "{} about {}",
                words::counted(incident.findings, "finding", "findings"),
                words::counted(incident.flows, "flow", "flows")
            ),
            timeline: incident_timeline(&format!("{}-when", incident.id), incident, &context.acts, gaps),
            picture: incident_picture(&format!("{}-who", incident.id), incident, context),
            roles: parties::foremost(&incident.assets, MOST_ROLES)
                .into_iter()
                .map(|asset| Part::new(asset, context))
                .collect(),
            roles_note: if left_out > 0 {
                format!("{} not listed here.", words::counted(left_out, "more party is", "more parties are"))
            } else {
                String::new()
            },
            evidence: incident
                .evidence
                .iter()
                .take(MOST_EVIDENCE)
                .map(|evidence| Line::new(evidence, document))
                .collect(),
            evidence_note: story::evidence_left_out(incident, MOST_EVIDENCE, "the JSON document"),
            joined: clip(&words::once(&incident.joined).join("; ")),
            acts: context
                .acts
                .iter()
                .filter(|act| act.incident.as_ref().is_none_or(|id| *id == incident.id))
                .take(MOST_EVIDENCE)
                .map(|act| Done {
                    at: words::moment(act.at),
                    what: clip(&act.what),
                    who: clip(&act.who),
                    effect: clip(&act.effect),
                })
                .collect(),
            advice: incident
                .advice
                .iter()
                .take(20)
                .map(|advice| clip(&crate::with_names(advice, &context.names)))
                .collect(),
        }
    }
}

impl Part {
    fn new(asset: &model::IncidentAsset, context: &Context) -> Self {
        Self {
            role: asset.role.as_str(),
            name: context.names.get(&asset.address).map(|name| crate::clipped(name, 120)).unwrap_or_default(),
            address: asset.address.to_string(),
            mac: asset.mac.map_or_else(|| "–".into(), |mac| mac.to_string()),
            side: words::side(asset),
            did: words::role_means(asset.role),
            proof: words::proof_means(asset),
        }
    }
}

impl Line {
    fn new(evidence: &model::Evidence, document: &Document) -> Self {
        Self {
            at: words::moment(evidence.at),
            detector: crate::clipped(&evidence.detector, 80),
            stage: evidence.stage.as_str(),
            why: clip(&evidence.why),
            value: words::figure(evidence.value),
            threshold: words::figure(evidence.threshold),
            file: crate::clipped(document.short_file(&evidence.file), 200),
            record: evidence.record,
        }
    }
}

impl Read {
    fn new(input: &crate::Input) -> Self {
        Self {
            path: crate::clipped(&input.path, 300),
            format: input
                .format
                .as_deref()
                .map_or_else(|| "not recognised".into(), |format| crate::clipped(format, 40)),
            records: words::count(input.records),
            bytes: words::bytes(input.bytes),
            covers: match (input.first, input.last) {
                (Some(first), Some(last)) => words::between(first, last).trim_end_matches(" UTC").into(),
                _ => "–".into(),
            },
            troubles: input
                .skipped
                .iter()
                .take(20)
                .map(|skipped| format!("{}: {}", words::count(skipped.count), clip(&skipped.reason)))
                .collect(),
            error: input.error.as_deref().map(clip).unwrap_or_default(),
        }
    }
}
