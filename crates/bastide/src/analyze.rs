//! `bastide analyze`: captures and logs in, incidents and a report out.

use analyze::{Options, Progress, analyze};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use model::{NetSet, Severity, Timestamp};
use report::Document;
use std::{io::IsTerminal, path::PathBuf, process::ExitCode, time::Instant};

/// Arguments of `bastide analyze`.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 fine, 1 usage or nothing readable, 2 read in part, 3 --fail-on met (3 beats 2)."
)]
pub(crate) struct Args {
    /// Captures (pcap, pcapng) and logs (Zeek conn.log, Suricata EVE, Cowrie), gzip or not; `-` reads standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// What is ours [default: private ranges]
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    home: Vec<model::Net>,
    /// Never looked into
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    exclude: Vec<model::Net>,
    /// A list of assets, CSV or JSON (docs/inventory.md): devices are called and counted as it says
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// Networks of which the inventory is complete: a device there that it does not list is an incident
    #[arg(long, value_name = "CIDR", value_delimiter = ',', requires = "inventory")]
    watched: Vec<model::Net>,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write a report that a person can read and print
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Write every flow with its verdict, a JSON object a line
    #[arg(long, value_name = "FILE.ndjson")]
    flows: Option<PathBuf>,
    /// Exit with 3, which beats 2, where an incident is this severe or more: info (worth knowing), low (when there is
    /// time), medium (needs a person today), high (needs one now), critical (succeeds or does harm)
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Print nothing but errors; exit code, report and flows tell
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs: one document, see docs/analysis.schema.json
    Json,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    if args.files.iter().filter(|file| *file == "-").count() > 1 {
        anyhow::bail!("standard input (-) can be read once only");
    }
    let home = if args.home.is_empty() { NetSet::private() } else { NetSet::new(args.home) };
    let options = Options {
        files: args.files,
        home,
        exclude: NetSet::new(args.exclude),
        flows: args.flows,
        inventory: args.inventory,
        watched: NetSet::new(args.watched),
    };
    let bar = progress_bar(args.quiet);
    let analysis = analyze(&options, &mut |progress| show(bar.as_ref(), progress))?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let mut document = analysis.document;
    document.totals.seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &args.report {
        let html = report::html(&document, now());
        std::fs::write(path, html)
            .with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    if !args.quiet {
        print(&document, args.format)?;
    }
    for input in &document.inputs {
        if let Some(error) = &input.error {
            eprintln!("bastide: {}: {error}", input.path);
        }
    }
    Ok(ExitCode::from(exit_code(&document, args.fail_on)))
}

/// 0 fine, 1 nothing readable, 2 read in part, 3 `--fail-on` met.
fn exit_code(document: &Document, fail_on: Option<Severity>) -> u8 {
    if fail_on.is_some_and(|bar| document.worst().is_some_and(|worst| worst >= bar)) {
        return 3;
    }
    let readable = document.inputs.iter().any(|input| input.records > 0 || input.error.is_none());
    match (readable, document.is_partial()) {
        (false, _) => 1,
        (true, true) => 2,
        (true, false) => 0,
    }
}

fn print(document: &Document, format: Format) -> anyhow::Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let text = match format {
        Format::Json => serde_json::to_string_pretty(document)?,
        Format::Text => {
            report::text(document, terminal && crate::terminal::colour(), crate::terminal::width())
        }
    };
    crate::terminal::say(&text)
}

fn progress_bar(quiet: bool) -> Option<ProgressBar> {
    if quiet || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg} {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    Some(bar)
}

fn show(bar: Option<&ProgressBar>, progress: Progress) {
    let Some(bar) = bar else { return };
    if let Some(size) = progress.size {
        bar.set_length(size);
    }
    bar.set_position(progress.read);
    bar.set_message(format!("{} records", progress.records));
}

#[expect(clippy::disallowed_methods, reason = "the binary is the front door that time comes in by")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(since.as_micros() as i64)
}
