//! `bastide ledger export`: a log, or what concerns one incident, for somebody who has no Bastide.

use super::{Ticking, bar, folder, on_node};
use crate::copy::Which;
use anyhow::Context as _;
use ledger::{Bundle, Place, Subject};
use model::{AuthorityId, IncidentId};
use report::words::counted;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use store::BlockingLog;

/// Arguments of `bastide ledger export`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A new folder for the whole log; for an incident a new file [default there: ID.tar]
    #[arg(value_name = "FOLDER", required_unless_present = "incident")]
    to: Option<PathBuf>,
    /// Only the decisions about this incident, each with its proof, in one file
    #[arg(long, value_name = "ID")]
    incident: Option<IncidentId>,
    /// Whose log; the node's own where none is named
    #[arg(long, value_name = "ID")]
    authority: Option<AuthorityId>,
    /// Leaves out the names and details that the leaves only commit to
    #[arg(long)]
    without_openings: bool,
    #[command(flatten)]
    which: Which,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    on_node(&args.which, async |node| {
        let log = node.log(args.authority.as_ref()).await?;
        let keys = node.keys(log.authority())?;
        let mut log = log.with_keys(keys);
        if args.without_openings {
            log = log.without_openings();
        }
        let source = Ticking { bar: bar(args.which.quiet, log.head().size), log: log.blocking() };
        let (to, incident) = (args.to.clone(), args.incident.clone());
        let told = tokio::task::spawn_blocking(move || match (incident, to) {
            (None, to) => whole(&source, &to.unwrap_or_default()),
            (Some(incident), to) => {
                one(&source, &incident, &to.unwrap_or_else(|| format!("{incident}.tar").into()))
            }
        });
        crate::terminal::say(&told.await.context("the export broke off")??)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn whole(source: &Ticking<BlockingLog>, to: &Path) -> anyhow::Result<String> {
    folder::make(to)?;
    let (mut files, mut opened) = (0_u64, 0_u64);
    for file in ledger::export(source)? {
        let (place, bytes) = file?;
        folder::write(&to.join(place.to_string()), &bytes)?;
        files += 1;
        if matches!(place, Place::Openings { .. }) {
            opened += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }
    let size = source.log.log().head().size;
    Ok(format!(
        "{}: {}, {}, {}\nVerify it anywhere with `bastide ledger verify {}`, or with any program for C2SP tlog-tiles.",
        to.display(),
        counted(size, "leaf", "leaves"),
        counted(files, "file", "files"),
        if opened == 0 { "no names and details".to_owned() } else { counted(opened, "opening", "openings") },
        to.display()
    ))
}

fn one(source: &Ticking<BlockingLog>, incident: &IncidentId, to: &Path) -> anyhow::Result<String> {
    let numbers = ledger::about(source, &Subject::new("incident", incident)?)?;
    if numbers.is_empty() {
        anyhow::bail!(
            "the log has no decision about {incident}: see `/incidents` of the console for the ids"
        );
    }
    let bundle = Bundle::gather(source, numbers)?;
    let shown: usize = bundle.exhibits.values().map(|exhibit| exhibit.shown.len()).sum();
    folder::write(to, &bundle.to_archive()?)?;
    Ok(format!(
        "{}: {} about {incident}, each with its proof, {}\nVerify it anywhere with `bastide ledger verify {}`.",
        to.display(),
        counted(bundle.exhibits.len() as u64, "decision", "decisions"),
        if shown == 0 {
            "no names and details".to_owned()
        } else {
            counted(shown as u64, "opening", "openings")
        },
        to.display()
    ))
}
