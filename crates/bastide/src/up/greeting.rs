//! What the daemon says when it is up and when it stops.

use crate::settings::Settings;
use server::tls::Tls;
use std::fmt::Write as _;
use store::{CommandRecord, SeverityCounts};

/// What is said at the start.
pub(super) struct Greeting<'a> {
    pub(super) url: &'a str,
    pub(super) link: Option<&'a str>,
    pub(super) tls: &'a Tls,
    pub(super) data_dir: &'a str,
    pub(super) settings: &'a Settings,
    pub(super) open: SeverityCounts,
}

impl Greeting<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = format!("Bastide {} is up.\n\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, what: &str| {
            let _ = writeln!(text, "  {name:<11} {what}");
        };
        line("Console", self.url);
        match self.link {
            Some(link) => {
                line("Sign in", link);
                line(
                    "",
                    &format!(
                        "(once, within {} minutes; another, which ends this one: bastide up --sign-in-link {})",
                        server::auth::LINK_SECS / 60,
                        self.same_data()
                    ),
                );
            }
            None => line(
                "Sign in",
                &format!("somebody is signed in; a new link: bastide up --sign-in-link {}", self.same_data()),
            ),
        }
        line("Trust", &self.tls.ca_path.display().to_string());
        line(
            "",
            &format!(
                "(its own certificate authority, for your browser; SHA-256 {})",
                self.tls.ca_fingerprint
            ),
        );
        line("Data", &format!("{} ({})", self.data_dir, open_incidents(&self.open)));
        if let Some(database) = &self.settings.database {
            line("Database", &database.to_string());
        }
        let sensor = &self.settings.sensor;
        let interfaces = sensor.interfaces.iter().map(|name| match is_there(name) {
            true => name.clone(),
            false => format!("{name} (not there; watched as soon as it is)"),
        });
        let watched: Vec<String> =
            interfaces.chain(sensor.follow.iter().map(|path| path.display().to_string())).collect();
        if watched.is_empty() {
            line("Watching", "nothing: a console over what is there (--sensor IFACE, --follow FILE)");
        } else {
            line("Watching", &watched.join(", "));
            line("Responding", &responding(&self.settings.response));
        }
        text.push_str("\nCtrl-C stops it. Blocks in force stay until they expire.\n");
        text
    }

    /// The flags that name the same data, as a shell takes them.
    fn same_data(&self) -> String {
        let mut flags = format!("--data-dir {}", quoted(self.data_dir));
        if let Some(database) = &self.settings.database {
            let _ = write!(flags, " --database {}", quoted(&database.to_string()));
        }
        if let Some(authority) = &self.settings.authority.id {
            let _ = write!(flags, " --authority {authority}");
        }
        flags
    }
}

fn is_there(interface: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(interface).exists()
}

fn responding(response: &sensor::ResponseConfig) -> String {
    use sensor::Mode;
    let mut text = match response.mode {
        Mode::Off => "off: nothing is acted on".to_owned(),
        Mode::Ask => "ask: a person approves each plan".to_owned(),
        Mode::Auto => "auto: acts at once, within the caps".to_owned(),
    };
    for (kind, mode) in response.kinds.iter().take(8) {
        let _ = write!(text, "; {kind}: {}", mode.as_str());
    }
    text
}

fn open_incidents(open: &SeverityCounts) -> String {
    let words: Vec<String> = model::Severity::ALL
        .into_iter()
        .rev()
        .filter(|severity| open.of(*severity) > 0)
        .map(|severity| format!("{} {severity}", open.of(severity)))
        .collect();
    if words.is_empty() {
        "no open incident".to_owned()
    } else {
        format!("open incidents: {}", words.join(", "))
    }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@".contains(letter);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// What is said at the stop.
pub(super) fn farewell(in_force: &[CommandRecord]) -> String {
    let Some(last) = in_force.iter().map(|command| command.command.expires).max() else {
        return "Bastide has stopped. No block is in force.\n".to_owned();
    };
    let (number, verb) = match in_force.len() {
        1 => ("1 block stays".to_owned(), "it"),
        number => (format!("{number} blocks stay"), "them"),
    };
    format!(
        "Bastide has stopped. {number} in force until {last} at the latest; `bastide command undo --all` takes {verb} back now.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_take_apart() {
        assert_eq!(quoted("/var/lib/bastide"), "/var/lib/bastide");
        assert_eq!(quoted("/a b/it's"), "'/a b/it'\\''s'");
    }

    #[test]
    fn says_what_is_open() {
        assert_eq!(open_incidents(&SeverityCounts::default()), "no open incident");
        let open = SeverityCounts { high: 2, low: 1, ..SeverityCounts::default() };
        assert_eq!(open_incidents(&open), "open incidents: 2 high, 1 low");
    }
}
