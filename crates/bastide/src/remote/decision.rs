//! `bastide decision …`.

use super::{
    asking::{Asking, Limit},
    table::{Column, moment, text},
};
use std::process::ExitCode;

const COLUMNS: &[Column] = &[
    ("AT (UTC)", |row| moment(row, "at")),
    ("AUTHORITY", |row| text(row, "authority")),
    ("NUMBER", |row| text(row, "number")),
    ("DEED", |row| text(row, "deed")),
    ("WHO", |row| match text(row, "who") {
        who if !who.is_empty() => who,
        _ if row.get("by_program").and_then(serde_json::Value::as_bool) == Some(true) => {
            "the program".to_owned()
        }
        _ => "(erased)".to_owned(),
    }),
    ("ABOUT", |row| text(row, "about")),
    ("DETAILS", |row| text(row, "details")),
];

/// Verbs of `bastide decision`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Who decided or opened what, the latest first
    List {
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asking: Asking,
    },
}

/// `bastide decision …`.
pub(crate) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let Verb::List { limit, asking } = verb;
    asking.list("/api/v1/decisions", &[], &limit, COLUMNS, "decisions")
}
