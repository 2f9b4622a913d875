//! `bastide asset …`.

use super::{
    asking::{Asking, Limit},
    connection::{Query, encoded},
    standing::{Reasons, Why, ended},
    table::{Column, facts, moment, table, text},
};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

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
        /// Only of this layer: device, cloud, marketplace or application
        #[arg(long)]
        layer: Option<String>,
        /// Only of this owner
        #[arg(long)]
        owner: Option<String>,
        /// Only in this district
        #[arg(long)]
        district: Option<String>,
        /// Only with this text in name, addresses, vendor, kind, or in what was declared
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
    /// Where one is known from, and why these are one device
    Sources {
        /// As `bastide asset list` names it
        id: String,
        #[command(flatten)]
        asking: Asking,
    },
    /// Takes a list of assets as CSV or JSON, whole or not at all
    Import {
        /// The list; - reads it from the standard input. docs/inventory.md describes its columns
        file: PathBuf,
        /// Only says what is wrong with it
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        asking: Asking,
    },
    /// Declares something of one or more; it comes before what is guessed
    Declare {
        /// As `bastide asset list` names them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// A column of a list and what it is to say: owner=Roads, kind=camera; nothing after the sign takes it back
        #[arg(long = "set", required = true, value_name = "COLUMN=TEXT", value_parser = column)]
        set: Vec<(String, String)>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Takes one off the list: what was declared of it is forgotten
    Unlist {
        /// As `bastide asset list` names it
        id: String,
        #[command(flatten)]
        asking: Asking,
    },
    /// Says that two are one device
    Join {
        /// As `bastide asset list` names it
        id: String,
        /// The other
        with: String,
        #[command(flatten)]
        asking: Asking,
    },
    /// Says that what a source speaks of is another device
    Part {
        /// As `bastide asset list` names it
        id: String,
        /// The source, as `bastide asset sources` names it
        #[arg(long)]
        source: String,
        /// What the source calls the device
        #[arg(long)]
        subject: String,
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
        Verb::List { kind, criticality, status, layer, owner, district, text, limit, asking } => {
            let filter = [
                ("kind", kind.as_ref()),
                ("criticality", criticality.as_ref()),
                ("status", status.as_ref()),
                ("layer", layer.as_ref()),
                ("owner", owner.as_ref()),
                ("district", district.as_ref()),
                ("text", text.as_ref()),
            ];
            asking.list(PATH, &filter, &limit, COLUMNS, "assets")
        }
        Verb::Show { id, asking } => asking.show(PATH, &id, described),
        Verb::Sources { id, asking } => asking.look(&format!("{PATH}/{}/sources", encoded(&id)), sources),
        Verb::Import { file, dry_run, asking } => import(&file, dry_run, &asking),
        Verb::Declare { ids, set, asking } => {
            let mut body: serde_json::Map<String, Value> =
                set.into_iter().map(|(column, text)| (column, text.into())).collect();
            body.insert("ids".into(), ids.into());
            asking.change(PATH, &Value::Object(body), |answer| {
                let number = answer.as_array().map_or(0, Vec::len) as u64;
                format!("declared of {}", report::words::counted(number, "asset", "assets"))
            })
        }
        Verb::Unlist { id, asking } => asking.remove(PATH, &id, |_| format!("{id} is on no list any more")),
        Verb::Join { id, with, asking } => {
            asking.act_on(PATH, &id, "join", Some(&json!({ "with": with })), |answer| {
                format!("both are {}", text(answer, "id"))
            })
        }
        Verb::Part { id, source, subject, asking } => {
            let body = json!({ "source": source, "subject": subject });
            asking
                .act_on(PATH, &id, "part", Some(&body), |answer| format!("it is {} now", text(answer, "id")))
        }
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

/// `COLUMN=TEXT`.
fn column(text: &str) -> Result<(String, String), String> {
    let (column, text) = text.split_once('=').ok_or("expected COLUMN=TEXT, such as owner=Roads")?;
    match column.trim() {
        "" | "ids" => Err("expected a column of a list before the sign, such as owner=Roads".into()),
        column => Ok((column.to_owned(), text.trim().to_owned())),
    }
}

fn import(file: &Path, dry_run: bool, asking: &Asking) -> anyhow::Result<ExitCode> {
    let read = || match file == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        false => std::fs::read(file),
    };
    let bytes = read().with_context(|| format!("{} cannot be read", file.display()))?;
    let query = if dry_run { Query::default().and("dry_run", true) } else { Query::default() };
    asking.send(PATH, query, "text/csv", bytes, |answer| {
        let number = |field: &str| answer.get(field).and_then(Value::as_u64).unwrap_or_default();
        let assets = report::words::counted(number("assets"), "asset", "assets");
        match dry_run {
            true => format!("{assets}: nothing is wrong with the list; nothing was taken"),
            false => format!("{assets} listed: {} new, {} known", number("new"), number("known")),
        }
    })
}

fn sources(answer: &Value) -> String {
    let list = |field: &str| answer.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let columns: &[Column] = &[
        ("SOURCE", |row| text(row, "source")),
        ("CALLS IT", |row| text(row, "subject")),
        ("KNOWN BY", |row| {
            let known = row.get("known").and_then(Value::as_array).cloned().unwrap_or_default();
            let known = known.iter().map(|one| format!("{} {}", text(one, "by"), text(one, "value")));
            known.collect::<Vec<_>>().join(", ")
        }),
    ];
    let rows = list("sources");
    let mut said = table(columns, &rows, rows.len() as u64, "sources");
    for reason in list("one_because") {
        said.push_str(&format!("one because {}\n", reason.as_str().unwrap_or_default()));
    }
    said
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
        ("Owner", declared(asset, "owner")),
        ("Place", declared(asset, "place")),
        ("District", declared(asset, "district")),
        ("Maintenance", declared(asset, "maintenance")),
        ("Note", declared(asset, "note")),
        ("First seen", moment(asset, "first_seen")),
        ("Last seen", moment(asset, "last_seen")),
        ("Authority", text(asset, "authority_id")),
    ])
}

fn declared(asset: &Value, field: &str) -> String {
    asset.get("declared").map(|declared| text(declared, field)).unwrap_or_default()
}
