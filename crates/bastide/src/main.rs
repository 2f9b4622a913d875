//! `bastide <verb>`: a city's security backend in one program.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod analyze;

/// A city's security backend: identifies, stops and reports attacks on things, clouds, markets and apps.
#[derive(Parser)]
#[command(name = "bastide", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Captures and logs in, incidents and a report out; no server, no root
    Analyze(analyze::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Analyze(args) => analyze::run(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("bastide: {error:#}");
        ExitCode::from(1)
    })
}
