//! One run of the city, without the rest of the drill: `cargo run --example city -- SEED OUT [RUN [BASTIDE]]`, where RUN
//! is watched, responding or out-of-sight and BASTIDE a program that protects it; without one the attack is alone.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a developer's tool")]

use lab::{drill, run::Mode};
use std::process::ExitCode;

fn main() -> ExitCode {
    let program = std::env::current_exe().unwrap_or_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [verb, rest @ ..] if verb == drill::HOST_VERB => drill::host(&program, rest),
        [seed, out, rest @ ..] => {
            let named = |mode: &Mode| rest.first().is_some_and(|name| name == mode.as_str());
            let mode = Mode::ALL.into_iter().find(named).unwrap_or(Mode::Watched);
            let bastide = rest.get(1).map(Into::into);
            let task = drill::task(seed.parse().unwrap_or(1), true, mode, out.into(), bastide);
            drill::one(&program, &task).map(|outcome| {
                println!("{outcome:#?}");
                0
            })
        }
        _ => return ExitCode::from(1),
    };
    outcome.map(ExitCode::from).unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(1)
    })
}
