//! What the terminal can show, and writing to it.

use anyhow::Context as _;
use std::io::Write as _;

/// Writes to standard output, with a line's end. Whoever stops reading has seen enough.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// Whether colours are wanted: not where `NO_COLOR` is set or the terminal is dumb.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary is the front door that the environment comes in by"
)]
pub(crate) fn colour() -> bool {
    std::env::var("NO_COLOR").unwrap_or_default().is_empty()
        && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

/// Columns of the terminal; 100 where there is none.
pub(crate) fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map_or(100, |size| usize::from(size.ws_col).clamp(60, 160))
}
