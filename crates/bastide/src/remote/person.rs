//! `bastide person …`.

use super::{
    asking::{Asking, Limit},
    table::{Column, facts, moment, text},
};
use model::{AuthorityRole, LoginName, PersonId};
use serde_json::{Value, json};
use std::process::ExitCode;

const PATH: &str = "/api/v1/people";
const COLUMNS: &[Column] = &[
    ("ID", |row| text(row, "id")),
    ("LOGIN", |row| text(row, "login")),
    ("STATE", |row| text(row, "state")),
    ("AUTHORITY", |row| text(row, "authority")),
    ("NAME", |row| text(row, "name")),
];

/// Verbs of `bastide person`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// The people, by name
    List {
        /// Only with this text in name or login
        #[arg(long)]
        text: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asking: Asking,
    },
    /// One with their roles
    Show {
        /// As `bastide person list` names them
        id: PersonId,
        #[command(flatten)]
        asking: Asking,
    },
    /// Adds somebody, and prints the link that they sign in with once
    Invite {
        /// What they sign in as, such as ada@city.example
        login: LoginName,
        /// How others call them [default: the login]
        #[arg(long)]
        name: Option<String>,
        /// What they hold: administrator, analyst, operator, auditor, integrator; may be given more than once
        #[arg(long, value_name = "ROLE")]
        role: Vec<AuthorityRole>,
        #[command(flatten)]
        asking: Asking,
    },
}

/// `bastide person …`.
pub(crate) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List { text, limit, asking } => {
            asking.list(PATH, &[("text", text.as_ref())], &limit, COLUMNS, "people")
        }
        Verb::Show { id, asking } => asking.show(PATH, id.as_str(), described),
        Verb::Invite { login, name, role, asking } => {
            let body = json!({
                "login": login.as_str(),
                "name": name.as_deref().unwrap_or(login.as_str()),
                "authority": asking.authority,
                "roles": role.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
            });
            asking.act(PATH, Some(&body), |answer| {
                format!(
                    "{login} is invited, as {}. Their link, good once and for three days, is not shown again:\n\n  {}\n",
                    report::visible(&text(answer, "id")),
                    report::visible(&text(answer, "link"))
                )
            })
        }
    }
}

fn described(person: &Value) -> String {
    let holds = person.get("holds").and_then(Value::as_array).cloned().unwrap_or_default();
    let roles: Vec<_> =
        holds.iter().map(|held| format!("{} in {}", text(held, "role"), text(held, "authority"))).collect();
    facts(&[
        ("Id", text(person, "id")),
        ("Login", text(person, "login")),
        ("Name", text(person, "name")),
        ("State", text(person, "state")),
        ("Authority", text(person, "authority")),
        ("Roles", roles.join(", ")),
        ("Since", moment(person, "made")),
    ])
}
