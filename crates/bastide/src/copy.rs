//! `bastide backup`, `bastide restore`, `bastide move`: all that a server keeps, in a file and in another database.

use crate::{
    settings::{self, Given, Settings},
    up::{Place, database, now, small_runtime},
};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};
use store::{
    DatabaseUrl,
    copy::{self, Copied, Progress},
};

/// Which database; as of `bastide up`.
#[derive(clap::Args)]
pub(crate) struct Which {
    /// The data directory of `bastide up`
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where the database is, where it is not in the data directory
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The settings of `bastide up` [environment: BASTIDE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Says nothing about how far it is
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Arguments of `bastide backup`.
#[derive(clap::Args)]
pub(crate) struct BackupArgs {
    /// A new file; it holds everything that the database holds, so keep it where nobody else reads it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

/// Arguments of `bastide restore`.
#[derive(clap::Args)]
pub(crate) struct RestoreArgs {
    /// A file that `bastide backup` made
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Removes what is in the database and puts the backup in its place
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: Which,
}

/// Arguments of `bastide move`.
#[derive(clap::Args)]
pub(crate) struct MoveArgs {
    /// Where to: postgres://USER@HOST/DATABASE or sqlite:PATH
    #[arg(long, value_name = "URL")]
    to: String,
    /// Removes what is in the database there and puts this one in its place
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: Which,
}

/// `bastide backup FILE`: next to a server that runs, or without one.
pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let settings = args.which.settings()?;
    let from = database(&settings, &settings.data_dir);
    let bar = args.which.bar();
    let mut tell = |progress| show(bar.as_ref(), progress);
    let made = small_runtime()?.block_on(copy::backup(&from, &args.file, now(), &mut tell));
    finished(bar);
    let Copied { rows, digest } = made?;
    say(&format!("{}: {rows} rows of {from}, SHA-256 {digest}", args.file.display()))
}

/// `bastide restore FILE`.
pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let settings = args.which.settings()?;
    // No server of this data directory runs while its database is exchanged.
    let _place = Place::take(&settings.data_dir)?;
    let to = database(&settings, &settings.data_dir);
    let bar = args.which.bar();
    let mut tell = |progress| show(bar.as_ref(), progress);
    let made = small_runtime()?.block_on(copy::restore(&args.file, &to, args.force, &mut tell));
    finished(bar);
    let Copied { rows, digest } = made?;
    say(&format!("{to}: {rows} rows of {}, SHA-256 {digest}", args.file.display()))
}

/// `bastide move --to URL`.
pub(crate) fn transfer(args: &MoveArgs) -> anyhow::Result<ExitCode> {
    // Parsed here: what the command line's parser refuses, it shows, with the password in it.
    let to: DatabaseUrl = args.to.parse().context("wrong --to")?;
    let settings = args.which.settings()?;
    // What a server wrote meanwhile would be missing there.
    let _place = Place::take(&settings.data_dir)?;
    let from = database(&settings, &settings.data_dir);
    let bar = args.which.bar();
    let mut tell = |progress| show(bar.as_ref(), progress);
    let made = small_runtime()?.block_on(copy::transfer(&from, &to, args.force, &mut tell));
    finished(bar);
    let Copied { rows, digest } = made?;
    say(&format!(
        "{to}: {rows} rows of {from}, SHA-256 {digest}\n\
         From now on start the server with --database (or `database` in its settings file); {from} stays as it is, to be \
         removed by hand."
    ))
}

impl Which {
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let flags = [("data_dir", &self.data_dir), ("database", &self.database)];
        let flags = flags.into_iter().filter_map(|(key, value)| Some((key, vec![value.clone()?]))).collect();
        let loaded = settings::load(&Given { file: self.config.clone(), flags }, settings::variables())?;
        // Whatever is made from here on is for its owner only.
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
        Ok(loaded.settings)
    }

    fn bar(&self) -> Option<ProgressBar> {
        if self.quiet || !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::no_length();
        let style = ProgressStyle::with_template("{bar:40} {msg} {human_pos} rows, {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Some(bar)
    }
}

fn show(bar: Option<&ProgressBar>, progress: Progress) {
    let Some(bar) = bar else { return };
    match progress.of {
        Some(rows) => bar.set_length(rows),
        None => bar.unset_length(),
    }
    bar.set_position(progress.rows);
    bar.set_message(progress.step);
}

fn finished(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn say(line: &str) -> anyhow::Result<ExitCode> {
    crate::terminal::say(line)?;
    Ok(ExitCode::SUCCESS)
}
