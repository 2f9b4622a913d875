//! How well detection does: `bastide analyze` is run as anybody would run it, and what it says is compared with what
//! is known. Nothing of the product is linked in.

mod data;
mod document;
mod judge;
mod scenes;
mod statistics;

pub use document::{Analyzer, Asset, Document, Incident, rank};
pub use judge::{Judgement, judge};
pub use statistics::{median, poisson_upper};

use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// What to evaluate.
pub struct Options {
    /// The program.
    pub analyzer: Analyzer,
    /// Where the captures are.
    pub data: PathBuf,
    /// How many seeds of each scene; none where 0.
    pub seeds: u64,
    /// The first seed.
    pub first_seed: u64,
    /// Only scenes whose name contains this.
    pub only: String,
    /// Connection logs of the scenes instead of captures.
    pub logs: bool,
    /// For programs.
    pub json: bool,
    /// Keep the captures of scenes that fail here.
    pub keep: Option<PathBuf>,
}

/// A line of the table: what was expected of an input, and what came.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The input or scene.
    pub input: String,
    /// What is looked at.
    pub what: String,
    /// What is expected.
    pub expected: String,
    /// What was measured.
    pub measured: String,
    /// Whether that will do.
    pub pass: bool,
}

impl Row {
    fn new(input: &str, what: &str, expected: &str, measured: impl ToString, pass: bool) -> Self {
        Self {
            input: input.to_owned(),
            what: what.to_owned(),
            expected: expected.to_owned(),
            measured: measured.to_string(),
            pass,
        }
    }
}

/// Runs everything and prints the table; true where nothing failed.
///
/// # Errors
/// Where the program cannot be run at all.
pub fn run(options: &Options) -> Result<bool> {
    let mut rows = Vec::new();
    let mut benign_days = 0.0;
    let mut benign_false = 0;
    if options.only.is_empty() {
        if options.data.is_dir() {
            let told = data::evaluate(&options.analyzer, &options.data, &mut rows);
            (benign_days, benign_false) = (told.device_days, told.false_incidents);
        } else {
            eprintln!("SKIPPED: {} is not here", options.data.display());
        }
    }
    let scenes = scenes::evaluate(options)?;
    if options.json {
        let document = serde_json::json!({
            "data": rows,
            "captures": { "device_days": benign_days, "false_incidents": benign_false },
            "scenes": scenes,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print_rows(&rows);
        if benign_days > 0.0 {
            print_rate("the benign captures", benign_false, benign_days);
        }
        scenes.print();
        if let Some(totals) = scenes.totals() {
            print_rate("benign scenes", totals.false_incidents, totals.device_days);
            let (count, days) = (totals.false_incidents + benign_false, totals.device_days + benign_days);
            print_rate("both", count, days);
        }
    }
    Ok(rows.iter().all(|row| row.pass) && scenes.pass())
}

fn print_rate(of: &str, count: u64, days: f64) {
    println!(
        "false incidents of medium or more, {of}: {count} in {days:.1} device-days = {:.3} per 1 000 (95 % bound {:.3})",
        count as f64 * 1_000.0 / days,
        poisson_upper(count) * 1_000.0 / days,
    );
}

fn print_rows(rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    println!("      {:<22} {:<44} {:<26} measured", "input", "what", "expected");
    let mut last = "";
    for row in rows {
        let input = if row.input == last { "" } else { &row.input };
        let mark = if row.pass { "ok" } else { "FAIL" };
        println!("{mark:<5} {input:<22} {:<44} {:<26} {}", row.what, row.expected, row.measured);
        last = &row.input;
    }
    let passed = rows.iter().filter(|row| row.pass).count();
    println!("{passed} of {} rows pass\n", rows.len());
}
