//! `bastide asset …`.

use super::{
    asking::{Asking, Limit},
    standing::{Reasons, Why, ended},
    table::{Column, facts, moment, text},
};
use serde_json::Value;
use std::process::ExitCode;

const PATH: &str = "/api/v1/assets";
const COLUMNS: &[Column] = &[
    ("ID", |row| text(row, "id")),
    ("NAME", |row| text(row, "name")),
    ("KIND", |row| text(row, "kind")),
    ("CRITICALITY", |row| text(row, "criticality")),
    ("STATUS", |row| text(row, "status")),
    ("SEEN (UTC)", |row| moment(row, "last_seen")),
    ("ADDRESSES", |row| text(row, "addresses")),
];

/// Verbs of `bastide asset`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// The assets, the last seen first
    List {
        /// Only of this kind, such as camera
        #[arg(long)]
        kind: Option<String>,
        /// unknown, ordinary, important or protected
        #[arg(long)]
        criticality: Option<String>,
        /// discovered, enrolled, quarantined, revoked or retired
        #[arg(long)]
        status: Option<String>,
        /// Only with this text in name, addresses, vendor or kind
        #[arg(long)]
        text: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asking: Asking,
    },
    /// One, with the reasons for what it is taken for
    Show {
        /// As `bastide asset list` names it
        id: String,
        #[command(flatten)]
        asking: Asking,
    },
    /// Suspends one, until it is restored: its certificates are no good and its connections end at once
    Suspend {
        /// As `bastide asset list` names it
        id: String,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        asking: Asking,
    },
    /// Gives a suspended one its identity back
    Restore {
        /// As `bastide asset list` names it
        id: String,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        asking: Asking,
    },
    /// Revokes one for ever: it has to be enrolled anew, with another key
    Revoke {
        /// As `bastide asset list` names it
        id: String,
        #[command(flatten)]
        reasons: Reasons,
        #[command(flatten)]
        asking: Asking,
    },
}

/// `bastide asset …`.
pub(crate) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List { kind, criticality, status, text, limit, asking } => {
            let filter = [
                ("kind", kind.as_ref()),
                ("criticality", criticality.as_ref()),
                ("status", status.as_ref()),
                ("text", text.as_ref()),
            ];
            asking.list(PATH, &filter, &limit, COLUMNS, "assets")
        }
        Verb::Show { id, asking } => asking.show(PATH, &id, described),
        Verb::Suspend { id, why, asking } => {
            asking.act_on(PATH, &id, "suspend", Some(&why.body()), |answer| ended("suspended", answer))
        }
        Verb::Restore { id, why, asking } => {
            asking.act_on(PATH, &id, "restore", Some(&why.body()), |answer| ended("restored", answer))
        }
        Verb::Revoke { id, reasons, asking } => {
            asking.act_on(PATH, &id, "revoke", Some(&reasons.body()), |answer| ended("revoked", answer))
        }
    }
}

fn described(answer: &Value) -> String {
    let asset = answer.get("asset").unwrap_or(answer);
    facts(&[
        ("Id", text(asset, "id")),
        ("Name", text(asset, "name")),
        ("Kind", format!("{}, {} % sure", text(asset, "kind"), text(asset, "confidence"))),
        ("Because", text(asset, "reasons")),
        ("Criticality", text(asset, "criticality")),
        ("Status", text(asset, "status")),
        ("Maker", text(asset, "vendor")),
        ("Addresses", text(asset, "addresses")),
        ("Functions", text(asset, "functions")),
        ("First seen", moment(asset, "first_seen")),
        ("Last seen", moment(asset, "last_seen")),
        ("Authority", text(asset, "authority_id")),
    ])
}
