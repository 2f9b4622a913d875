//! `bastide certificate …`: what was issued, and how it stands.

use super::{
    asking::{Asking, Limit},
    standing::{Reasons, ended},
    table::{Column, moment, text},
};
use std::process::ExitCode;

const PATH: &str = "/api/v1/certificates";
const COLUMNS: &[Column] = &[
    ("FINGERPRINT (SHA-256)", |row| text(row, "fingerprint").chars().take(16).collect()),
    ("STATE", |row| text(row, "state")),
    ("ENDS (UTC)", |row| moment(row, "ends")),
    ("PROFILE", |row| text(row, "profile")),
    ("ASSET", |row| text(row, "asset")),
    ("SUBJECT", |row| text(row, "subject")),
];

/// Verbs of `bastide certificate`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// The certificates, those that end first first
    List {
        /// Only of this asset
        #[arg(long, value_name = "ID")]
        asset: Option<String>,
        /// good, held or revoked
        #[arg(long)]
        state: Option<String>,
        /// Only those that end within so many days
        #[arg(long)]
        days: Option<u32>,
        /// Only with this text in subject, number or fingerprint
        #[arg(long)]
        text: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asking: Asking,
    },
    /// Revokes one for ever; its asset keeps the others (`bastide asset revoke` takes all)
    Revoke {
        /// SHA-256 of it, whole (--json lists it so)
        fingerprint: String,
        #[command(flatten)]
        reasons: Reasons,
        #[command(flatten)]
        asking: Asking,
    },
}

/// `bastide certificate …`.
pub(crate) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List { asset, state, days, text, limit, asking } => {
            let days = days.map(|days| days.to_string());
            let filter = [
                ("asset", asset.as_ref()),
                ("state", state.as_ref()),
                ("days", days.as_ref()),
                ("text", text.as_ref()),
            ];
            asking.list(PATH, &filter, &limit, COLUMNS, "certificates")
        }
        Verb::Revoke { fingerprint, reasons, asking } => {
            asking.act_on(PATH, &fingerprint, "revoke", Some(&reasons.body()), |answer| {
                ended("revoked", answer)
            })
        }
    }
}
