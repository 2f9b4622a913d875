//! `bastide <verb>`: a city's security backend in one program.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod analyze;
mod sensor;
mod terminal;

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
    /// The sensor alone: watches interfaces and logs, says what it notices
    Sensor(Box<sensor::Args>),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Exit code 1 is usage, as of every verb; asking for help is no error.
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let outcome = match cli.verb {
        Verb::Analyze(args) => analyze::run(args),
        Verb::Sensor(args) => sensor::run(*args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("bastide: {error:#}");
        ExitCode::from(1)
    })
}
