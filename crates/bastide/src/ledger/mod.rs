//! `bastide ledger …`: every decision, proved on a node or far from one.

mod export;
mod folder;
mod outcome;
mod verify;

use crate::{
    copy::Which,
    up::{database, place::ledger_key_there},
};
use ::ledger::{Shown, ShownError, Source, VerifierKey};
use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use model::AuthorityId;
use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};
use store::Archive;

/// Arguments of `bastide ledger`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Checks every leaf, every tile, the signature, and what anybody remembers of the log
    Verify(verify::Args),
    /// A whole log as a folder, or all decisions about an incident as one file, to be verified by anybody
    Export(export::Args),
    /// Prints the verifier keys of this node: of an authority's log, and its own as a witness where it is one
    Keys {
        /// Whose log; the node's own where none is named
        #[arg(long, value_name = "ID")]
        authority: Option<AuthorityId>,
        #[command(flatten)]
        which: Which,
    },
    /// Prints the signed checkpoint: keep it elsewhere, and verify against it later
    Checkpoint {
        /// Whose log; the node's own where none is named
        #[arg(long, value_name = "ID")]
        authority: Option<AuthorityId>,
        #[command(flatten)]
        which: Which,
    },
}

/// `bastide ledger …`.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Verify(args) => verify::run(&args),
        Verb::Export(args) => export::run(&args),
        Verb::Keys { authority, which } => {
            let authority = match authority {
                Some(authority) => authority,
                None => on_node(&which, async |node| Ok(node.own.clone()))?,
            };
            keys(&which.settings()?.data_dir, &authority)
        }
        Verb::Checkpoint { authority, which } => on_node(&which, async |node| {
            crate::terminal::say(node.log(authority.as_ref()).await?.checkpoint())?;
            Ok(ExitCode::SUCCESS)
        }),
    }
}

fn keys(data_dir: &Path, authority: &AuthorityId) -> anyhow::Result<ExitCode> {
    let file = data_dir.join("ledger.key");
    let key = ledger_key_there(data_dir)?.with_context(|| {
        format!(
            "{} is not there: expected the --data-dir of a server that was started before",
            file.display()
        )
    })?;
    let mut keys = vec![key.public(authority)?];
    if let Some(seed) = server::keyfile::there(&data_dir.join("witness.key"))? {
        keys.push(server::witness::key(&seed)?.public().clone());
    }
    crate::terminal::say(&String::from_utf8_lossy(&::ledger::keys_file(&keys)))?;
    Ok(ExitCode::SUCCESS)
}

/// The database of a node and what its logs are signed with.
struct Node {
    archive: Archive,
    own: AuthorityId,
    key: Option<store::LedgerKey>,
    /// Where the key is, or would be.
    key_file: PathBuf,
    /// The keys of the witnesses that its settings name.
    witnesses: Vec<VerifierKey>,
}

/// Opens the database of a node, whether its server runs or not, and changes nothing in it.
fn on_node<T>(which: &Which, what: impl AsyncFnOnce(&Node) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let settings = which.settings()?;
    let database = database(&settings, &settings.data_dir);
    if let store::DatabaseUrl::Sqlite(path) = &database
        && !path.exists()
    {
        bail!("{} is not there: expected the --data-dir or --database of a server", path.display());
    }
    let key_file = settings.data_dir.join("ledger.key");
    let key = ledger_key_there(&settings.data_dir)?;
    let witnesses =
        settings.ledger.witnesses.iter().filter_map(|text| text.split(' ').next()?.parse().ok()).collect();
    crate::up::small_runtime()?.block_on(async {
        let archive = Archive::open(database).await?;
        let own = match settings.authority.id {
            Some(own) => own,
            None => archive.own().await?,
        };
        let node = Node { archive, own, key, key_file, witnesses };
        let outcome = what(&node).await;
        node.archive.close().await;
        outcome
    })
}

impl Node {
    /// The log of an authority; the node's own where none is named.
    async fn log(&self, authority: Option<&AuthorityId>) -> anyhow::Result<store::Log> {
        let authority = authority.unwrap_or(&self.own);
        let log = self.archive.log(authority).await?;
        log.with_context(|| format!("{}: authority {authority} has decided nothing yet", self.archive.url()))
    }

    /// What an authority's checkpoints are verified with, where this is the node that signs them: its own key, then those of
    /// the witnesses that its settings name.
    fn keys(&self, authority: &AuthorityId) -> anyhow::Result<Vec<VerifierKey>> {
        let own = self.key.iter().map(|key| key.public(authority)).collect::<Result<Vec<_>, _>>()?;
        let witnesses = if own.is_empty() { Vec::new() } else { self.witnesses.clone() };
        Ok(own.into_iter().chain(witnesses).collect())
    }
}

/// A log that tells how far it was read.
struct Ticking<S> {
    log: S,
    bar: Option<ProgressBar>,
}

impl<S: Source> Source for Ticking<S> {
    type Error = S::Error;

    fn read(&self, place: ::ledger::Place) -> Result<Option<Vec<u8>>, S::Error> {
        if let (Some(bar), ::ledger::Place::Entries { index, width }) = (&self.bar, place) {
            bar.set_position(index * ::ledger::TILE_WIDTH + u64::from(width));
        }
        self.log.read(place)
    }

    fn openings(&self, index: u64) -> Result<Result<Vec<Shown>, ShownError>, S::Error> {
        self.log.openings(index)
    }
}

impl<S> Drop for Ticking<S> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A bar over so many leaves, on a terminal.
fn bar(quiet: bool, leaves: u64) -> Option<ProgressBar> {
    if quiet || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new(leaves);
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} leaves, {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    Some(bar)
}

/// Verifier keys as they are given: each itself, or a file with one a line.
fn read_keys(given: &[String]) -> anyhow::Result<Vec<VerifierKey>> {
    let mut keys = Vec::new();
    for text in given {
        match text.parse() {
            Ok(key) => keys.push(key),
            Err(error) if Path::new(text).is_file() => {
                let bytes = folder::bounded(Path::new(text), ::ledger::MAX_NOTE)?.unwrap_or_default();
                let read = ::ledger::read_keys(&bytes).with_context(|| format!("wrong --key: {text}"))?;
                if read.is_empty() {
                    return Err(error).with_context(|| format!("wrong --key: {text} has no key"));
                }
                keys.extend(read);
            }
            Err(error) => return Err(error).context("wrong --key: no such file, and no key"),
        }
    }
    Ok(keys)
}
