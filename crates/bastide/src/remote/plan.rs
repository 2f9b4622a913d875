//! `bastide plan …`: what would stop an incident, and a person's yes or no to it.

use super::{
    asking::{Asking, Limit},
    table::{Column, facts, moment, text},
};
use model::{Plan, PlanId};
use serde_json::Value;
use std::process::ExitCode;

const PATH: &str = "/api/v1/plans";
const COLUMNS: &[Column] = &[
    ("ID", |row| text(row, "id")),
    ("STATUS", |row| text(row, "status")),
    ("MADE (UTC)", |row| moment(row, "made")),
    ("INCIDENT", |row| text(row, "incident")),
    ("COMMANDS", commands),
];

/// Verbs of `bastide plan`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// The plans, the latest first
    List {
        /// proposed, active, refused, undone, expired or shown
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asking: Asking,
    },
    /// One: its commands, whom each would hit, and how each is undone
    Show {
        /// Such as plan-0123456789abcdef
        id: PlanId,
        #[command(flatten)]
        asking: Asking,
    },
    /// Has one carried out
    Approve {
        /// Such as plan-0123456789abcdef
        id: PlanId,
        #[command(flatten)]
        asking: Asking,
    },
    /// Says no to one
    Refuse {
        /// Such as plan-0123456789abcdef
        id: PlanId,
        #[command(flatten)]
        asking: Asking,
    },
}

/// `bastide plan …`.
pub(crate) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List { status, limit, asking } => {
            asking.list(PATH, &[("status", status.as_ref())], &limit, COLUMNS, "plans")
        }
        Verb::Show { id, asking } => asking.show(PATH, id.as_str(), described),
        Verb::Approve { id, asking } => asking.act(&format!("{PATH}/{id}/approve"), None, |answer| {
            let incident = text(answer, "look").rsplit('/').next().unwrap_or_default().to_owned();
            format!(
                "{id} is with the sensor; what comes of it: `bastide incident show {}`",
                report::visible(&incident)
            )
        }),
        Verb::Refuse { id, asking } => asking
            .act(&format!("{PATH}/{id}/refuse"), None, |_| format!("{id} is refused: the sensor is told")),
    }
}

fn commands(row: &Value) -> String {
    serde_json::from_value::<Plan>(row.clone())
        .map(|plan| crate::respond::commands_of(&plan))
        .unwrap_or_default()
}

fn described(answer: &Value) -> String {
    let mut told = facts(&[
        ("Id", text(answer, "id")),
        ("Status", text(answer, "status")),
        ("Because", text(answer, "because")),
        ("Incident", text(answer, "incident")),
        ("Authority", text(answer, "authority")),
        ("Made", moment(answer, "made")),
    ]);
    let Ok(plan) = serde_json::from_value::<Plan>(answer.clone()) else { return told };
    let mut line = |text: String| {
        told.push_str(&report::visible(&text));
        told.push('\n');
    };
    for command in &plan.commands {
        line(String::new());
        line(format!(
            "{} {}, until {}",
            command.action.verb(),
            crate::respond::target(&command.on),
            command.expires
        ));
        line(format!("  because  {}", command.why));
        for hit in &command.hits {
            let name = hit.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            line(format!("  hits     {}{name}, which loses {}", hit.address, hit.loses));
        }
        line(format!("  undo     {}", command.inverse));
    }
    for withheld in &plan.withheld {
        line(String::new());
        line(format!("{} is spared: {}", withheld.address, withheld.reason));
    }
    told
}
