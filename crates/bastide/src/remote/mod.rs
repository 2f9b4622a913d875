//! Administration over the API of a server, here or elsewhere: `bastide sign-in`, `bastide <noun> <verb>`.

mod asking;
pub(crate) mod asset;
pub(crate) mod ca;
pub(crate) mod certificate;
mod connection;
mod credentials;
pub(crate) mod decision;
pub(crate) mod enrolment;
pub(crate) mod incident;
pub(crate) mod person;
pub(crate) mod plan;
pub(crate) mod sign_in;
mod standing;
mod table;

use std::process::ExitCode;

/// A variable of the environment that is set to something.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary is the front door that the environment comes in by"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Runs what talks to a server.
fn run(task: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    crate::up::small_runtime()?.block_on(task)
}
