//! `bastide <verb>`: a city's security backend in one program.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod analyze;
mod copy;
mod drill;
mod ledger;
mod remote;
mod respond;
mod sensor;
mod settings;
mod terminal;
mod up;

/// A city's security backend: identifies, stops and reports attacks on things, clouds, markets and apps.
#[derive(Parser)]
#[command(name = "bastide", bin_name = "bastide", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Captures and logs in, incidents and a report out; no server, no root
    Analyze(analyze::Args),
    /// A whole node on one machine: sensor, server and console
    Up(Box<up::Args>),
    /// Everything that the database holds, as it is at one moment, into a file; also while the server runs
    Backup(copy::BackupArgs),
    /// A backup back into a database
    Restore(copy::RestoreArgs),
    /// Everything from one database into another, such as from SQLite to PostgreSQL
    Move(copy::MoveArgs),
    /// Every decision as a leaf of a signed log: verify it, export it, remember it
    Ledger(ledger::Args),
    /// A live attack on a city of network namespaces: noticed, stopped, reported
    Drill(drill::Args),
    /// A part of a drill, inside of its namespaces
    #[command(hide = true)]
    DrillHost(drill::HostArgs),
    /// The one lever: takes every command back and responds to nothing any more, with the server dead too
    StopResponding(respond::StopArgs),
    /// How responding stands; releases the lever
    Respond(respond::Args),
    /// Commands in force: list them, take them back
    Command(respond::CommandArgs),
    /// Signs this command line in to a server, here or elsewhere: a person says yes in a browser
    SignIn(remote::sign_in::SignInArgs),
    /// Ends the session of this command line
    SignOut(remote::sign_in::SignOutArgs),
    /// As whom this command line is signed in, and what that person holds
    Whoami(remote::sign_in::WhoamiArgs),
    /// Incidents, over the API: list, show, close, reopen
    #[command(subcommand)]
    Incident(remote::incident::Verb),
    /// Assets, over the API: list, show, suspend, restore, revoke
    #[command(subcommand)]
    Asset(remote::asset::Verb),
    /// Letting devices in, over the API: token, list, approve, refuse
    #[command(subcommand)]
    Enrolment(remote::enrolment::Verb),
    /// Certificates, over the API: list, revoke
    #[command(subcommand)]
    Certificate(remote::certificate::Verb),
    /// Who issues certificates: list, the root taken offline and back, a city's own authority as issuer
    #[command(subcommand)]
    Ca(remote::ca::Verb),
    /// Plans, over the API: list, show, approve, refuse
    #[command(subcommand)]
    Plan(remote::plan::Verb),
    /// People, over the API: list, show, invite
    #[command(subcommand)]
    Person(remote::person::Verb),
    /// Decisions, over the API: list
    #[command(subcommand)]
    Decision(remote::decision::Verb),
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
        Verb::Up(args) => up::run(*args),
        Verb::Backup(args) => copy::backup(&args),
        Verb::Restore(args) => copy::restore(&args),
        Verb::Move(args) => copy::transfer(&args),
        Verb::Ledger(args) => ledger::run(args),
        Verb::Drill(args) => drill::run(args),
        Verb::DrillHost(args) => drill::host(&args),
        Verb::StopResponding(args) => respond::stop(&args),
        Verb::Respond(args) => respond::run(args),
        Verb::Command(args) => respond::command(args),
        Verb::SignIn(args) => remote::sign_in::sign_in(&args),
        Verb::SignOut(args) => remote::sign_in::sign_out(&args),
        Verb::Whoami(args) => remote::sign_in::whoami(&args),
        Verb::Incident(verb) => remote::incident::run(verb),
        Verb::Asset(verb) => remote::asset::run(verb),
        Verb::Enrolment(verb) => remote::enrolment::run(verb),
        Verb::Certificate(verb) => remote::certificate::run(verb),
        Verb::Ca(verb) => remote::ca::run(verb),
        Verb::Plan(verb) => remote::plan::run(verb),
        Verb::Person(verb) => remote::person::run(verb),
        Verb::Decision(verb) => remote::decision::run(verb),
        Verb::Sensor(args) => sensor::run(*args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("bastide: {error:#}");
        ExitCode::from(1)
    })
}
