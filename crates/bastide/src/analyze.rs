//! `bastide analyze`.

use std::process::ExitCode;

/// Arguments of `bastide analyze`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
