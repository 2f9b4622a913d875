//! `bastide drill`: a live attack on a city of network namespaces. The exit code is 0 where every claim holds, 1 where
//! one fails or the drill could not be run.

use lab::{
    dice::Dice,
    drill::{Drill, Options},
    measure::table::Paint,
    run::Mode,
};
use model::Incident;
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};
use store::{IncidentFilter, IncidentState, Paging, Repository};

/// Arguments of `bastide drill`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    attack: Attack,
}

#[derive(clap::Subcommand)]
enum Attack {
    /// Mirai, as in 2016: scan, login, loader, bot, flood of a DNS provider; watched, then stopped, then stopped unseen
    Mirai(Mirai),
}

#[derive(clap::Args)]
struct Mirai {
    /// Addresses, ports, timing and order come from it; chosen and printed where not given
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Where to leave captures, reports, firewalls and data; ./drill-SEED where not given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The table for people, or everything for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Shorter runs
    #[arg(long)]
    quick: bool,
    /// Only these runs, in this order
    #[arg(long, value_enum, value_name = "RUN", value_delimiter = ',')]
    only: Vec<Run>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Run {
    Watched,
    Responding,
    OutOfSight,
}

/// Arguments of the hidden verb that plays the city's parts.
#[derive(clap::Args)]
pub(crate) struct HostArgs {
    #[arg(hide = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Attack::Mirai(args) = args.attack;
    let seed = args.seed.unwrap_or_else(Dice::fresh_seed);
    let out = args.out.unwrap_or_else(|| PathBuf::from(format!("drill-{seed}")));
    let runs: Vec<Mode> = args
        .only
        .iter()
        .map(|run| match run {
            Run::Watched => Mode::Watched,
            Run::Responding => Mode::Responding,
            Run::OutOfSight => Mode::OutOfSight,
        })
        .collect();
    let options = Options {
        program: std::env::current_exe()?,
        seed,
        out,
        quick: args.quick,
        lived,
        runs: if runs.is_empty() { Mode::ALL.to_vec() } else { runs },
    };
    eprintln!(
        "Mirai against a city of network namespaces, seed {seed}. Nothing outside of it can be reached."
    );
    let drill = lab::drill::run(&options)?;
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&drill)?)?,
        Format::Text => {
            writeln!(
                out,
                "\n{}",
                drill.text(Paint(io::stdout().is_terminal() && crate::terminal::colour()))
            )?;
            writeln!(out, "{}", closing(&drill))?;
        }
    }
    Ok(ExitCode::from(u8::from(!drill.passed)))
}

/// The incidents that a data directory ended with, without those that became part of others.
fn lived(data: &Path) -> Result<Vec<Incident>, String> {
    let read = async {
        let key = crate::up::place::ledger_key(data)?;
        let repository =
            Repository::open(&data.join("bastide.sqlite"), model::AuthorityId::local(), key).await?;
        let page = repository.incidents(&IncidentFilter::default(), Paging::new(1, Paging::MOST)).await?;
        repository.close().await;
        let apart = page.items.into_iter().filter(|record| record.state != IncidentState::Merged);
        anyhow::Ok(apart.map(|record| record.incident).collect())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(read))
        .map_err(|error| format!("{error:#}"))
}

/// Where things are, and what to do with them.
fn closing(drill: &Drill) -> String {
    let out = drill.out.display();
    let failed = drill.claims.iter().filter(|claim| !claim.met).count();
    let verdict = match (drill.passed, failed) {
        (true, _) => "Every claim holds.".to_owned(),
        (false, 0) => "The captures could not be analysed.".to_owned(),
        (false, 1) => "One claim fails.".to_owned(),
        (false, failed) => format!("{failed} claims fail."),
    };
    let mut text = format!(
        "{verdict} Repeat with --seed {}.\n\
         In {out}: drill.json, and per run pcap/ (a capture per interface), report.html, the firewall before and \
         after, run.json.",
        drill.seed
    );
    if drill.runs.iter().any(|run| run.mode == Mode::Responding) {
        text.push_str(&format!("\nSee it in the console: bastide up --data-dir {out}/responding/data"));
    }
    text
}

/// The hidden verb: a part of the city, inside of its namespaces.
pub(crate) fn host(args: &HostArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::from(lab::drill::host(&std::env::current_exe()?, &args.arguments)?))
}
