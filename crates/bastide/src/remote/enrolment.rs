//! `bastide enrolment …`: how devices are let in.

use super::{
    asking::{Asking, Limit},
    table::{Column, moment, text},
};
use serde_json::json;
use std::process::ExitCode;

const PATH: &str = "/api/v1/enrolments";
const COLUMNS: &[Column] = &[
    ("ID", |row| text(row, "id")),
    ("STATE", |row| text(row, "state")),
    ("CALLS ITSELF", |row| text(row, "subject")),
    ("FROM", |row| text(row, "place")),
    ("ASKED (UTC)", |row| moment(row, "asked")),
    ("KEY (SHA-256)", |row| text(row, "key")),
];

/// Verbs of `bastide enrolment`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Makes a token that lets one device in, once, and prints it
    Token {
        /// What the device is called; what it calls itself where nothing is said
        #[arg(long)]
        name: Option<String>,
        /// By which profile its certificate is issued: device, sensor, service, gateway, person, or one of the settings
        #[arg(long, default_value = "device")]
        profile: String,
        /// The asset that it is, where that is known already: as `bastide asset list` names it
        #[arg(long, value_name = "ID")]
        asset: Option<String>,
        /// How long it is good
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=2160))]
        hours: u32,
        #[command(flatten)]
        asking: Asking,
    },
    /// Those who asked to be let in without a token, the latest first
    List {
        /// waiting, approved, refused or issued
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asking: Asking,
    },
    /// Lets somebody in who waits; compare the key with what the device shows first
    Approve {
        /// As `bastide enrolment list` names it
        id: String,
        #[command(flatten)]
        asking: Asking,
    },
    /// Says no to somebody who waits
    Refuse {
        /// As `bastide enrolment list` names it
        id: String,
        #[command(flatten)]
        asking: Asking,
    },
}

/// `bastide enrolment …`.
pub(crate) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Token { name, profile, asset, hours, asking } => {
            let body = json!({ "name": name, "profile": profile, "asset": asset, "hours": hours });
            asking.act("/api/v1/enrolment-tokens", Some(&body), |answer| text(answer, "token"))
        }
        Verb::List { state, limit, asking } => {
            asking.list(PATH, &[("state", state.as_ref())], &limit, COLUMNS, "enrolments")
        }
        Verb::Approve { id, asking } => asking.act_on(PATH, &id, "approve", None, |_| {
            format!("approved: {id} gets its certificate when it asks again")
        }),
        Verb::Refuse { id, asking } => asking.act_on(PATH, &id, "refuse", None, |_| format!("refused: {id}")),
    }
}
