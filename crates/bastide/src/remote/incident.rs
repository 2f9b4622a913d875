//! `bastide incident …`.

use super::{
    asking::{Asking, Limit},
    table::{Column, facts, moment, text},
};
use model::IncidentId;
use serde_json::{Value, json};
use std::process::ExitCode;

const PATH: &str = "/api/v1/incidents";
const COLUMNS: &[Column] = &[
    ("ID", |row| text(row, "id")),
    ("SEVERITY", |row| text(row, "severity")),
    ("STATE", |row| text(row, "state")),
    ("LAST (UTC)", |row| moment(row, "last")),
    ("TITLE", |row| text(row, "title")),
];
/// Evidence that is told; the rest is counted.
const EVIDENCE: usize = 12;

/// Verbs of `bastide incident`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// The incidents, the newest first
    List {
        /// open, resolved, false-alarm or merged
        #[arg(long)]
        state: Option<String>,
        /// At least this bad: info, low, medium, high, critical
        #[arg(long)]
        severity: Option<String>,
        /// Only with this text in id, title, summary or addresses
        #[arg(long)]
        text: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asking: Asking,
    },
    /// One with its story, evidence and plans; that it was opened is written down
    Show {
        /// Such as inc-0123456789abcdef
        id: IncidentId,
        #[command(flatten)]
        asking: Asking,
    },
    /// Closes one
    Close {
        /// Such as inc-0123456789abcdef
        id: IncidentId,
        /// What it was: a false alarm makes narrow exceptions that keep it from coming back
        #[arg(long = "as", value_name = "STATE", value_parser = ["resolved", "false-alarm"])]
        state: String,
        /// Why, so that who reads it next year understands it
        #[arg(long)]
        reason: String,
        /// How long the exceptions of a false alarm last [default: 30]
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Opens a closed one again
    Reopen {
        /// Such as inc-0123456789abcdef
        id: IncidentId,
        #[command(flatten)]
        asking: Asking,
    },
}

/// `bastide incident …`.
pub(crate) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List { state, severity, text, limit, asking } => {
            let filter =
                [("state", state.as_ref()), ("severity", severity.as_ref()), ("text", text.as_ref())];
            asking.list(PATH, &filter, &limit, COLUMNS, "incidents")
        }
        Verb::Show { id, asking } => asking.show(PATH, id.as_str(), story),
        Verb::Close { id, state, reason, days, asking } => {
            let mut body = json!({"state": state, "reason": reason});
            if let (Some(days), Some(body)) = (days, body.as_object_mut()) {
                body.insert("days".to_owned(), days.into());
            }
            asking.act(&format!("{PATH}/{id}/close"), Some(&body), |_| format!("{id} is closed as {state}"))
        }
        Verb::Reopen { id, asking } => {
            asking.act(&format!("{PATH}/{id}/reopen"), None, |_| format!("{id} is open again"))
        }
    }
}

fn story(incident: &Value) -> String {
    let parts = |field: &str| incident.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut told = format!(
        "{}\n\n{}\n",
        report::visible(&text(incident, "title")),
        report::visible(&text(incident, "summary"))
    );
    told.push('\n');
    told.push_str(&facts(&[
        ("Id", text(incident, "id")),
        ("Authority", text(incident, "authority")),
        ("State", text(incident, "state")),
        ("Severity", format!("{}, {} % sure", text(incident, "severity"), text(incident, "confidence"))),
        ("Stages", text(incident, "stages")),
        ("From", moment(incident, "first")),
        ("To", moment(incident, "last")),
        ("Closed", incident.get("closed").map(|closed| text(closed, "reason")).unwrap_or_default()),
    ]));
    let mut section = |heading: &str, lines: Vec<String>, most: usize| {
        if lines.is_empty() {
            return;
        }
        told.push_str(&format!("\n{heading}\n"));
        for line in lines.iter().take(most) {
            told.push_str(&format!("  {}\n", report::visible(line)));
        }
        if lines.len() > most {
            told.push_str(&format!("  and {} more (--json)\n", lines.len() - most));
        }
    };
    let party = |asset: &Value| format!("{:<15} {}", text(asset, "role"), text(asset, "address"));
    section("Parties", parts("assets").iter().map(party).collect(), EVIDENCE);
    let shown =
        |one: &Value| format!("{}  {}: {}", moment(one, "at"), text(one, "detector"), text(one, "why"));
    section("Evidence", parts("evidence").iter().map(shown).collect(), EVIDENCE);
    let advice = parts("advice").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    section("Advice", advice, EVIDENCE);
    let plan =
        |plan: &Value| format!("{} {}: {}", text(plan, "id"), text(plan, "status"), text(plan, "because"));
    section("Plans", parts("plans").iter().map(plan).collect(), EVIDENCE);
    told
}
