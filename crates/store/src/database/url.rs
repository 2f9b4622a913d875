//! Where the database is.
//!
//! Guarantees: a password is never shown; what a setting says and this program does not do is refused, not ignored;
//! over a network the server has to prove who it is, unless the setting says otherwise.

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};
use url::Url;

/// Where the database is: a file of SQLite, or a database on a PostgreSQL server. Shown without its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A database on a server.
    Postgres(PostgresUrl),
}

/// A database on a PostgreSQL server.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// As it was given, with its password.
    text: String,
    shown: String,
    mode: Mode,
}

/// How much a connection is protected, of what libpq knows what makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// No TLS.
    Disable,
    /// TLS where the server has it.
    Prefer,
    /// TLS, with whoever answers.
    Require,
    /// TLS, with a server that proves that it is the one named.
    VerifyFull,
}

/// Why a text names no database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct WrongUrl {
    expected: &'static str,
    /// Never the text itself: it may hold a password.
    found: String,
}

const FORMS: &str = "sqlite:PATH or postgres://USER@HOST/DATABASE";
/// Parameters of a URL that are understood.
const PARAMETERS: [&str; 5] = ["host", "sslcert", "sslkey", "sslmode", "sslrootcert"];

impl DatabaseUrl {
    /// `SQLite` or `PostgreSQL`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = WrongUrl;

    fn from_str(text: &str) -> Result<Self, WrongUrl> {
        match text.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest)) {
            Some((scheme, path)) if scheme == "sqlite" => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() || path.contains('?') {
                    return Err(wrong("sqlite:PATH", "no path, or one with parameters"));
                }
                Ok(Self::Sqlite(path.into()))
            }
            Some((scheme, _)) if scheme == "postgres" || scheme == "postgresql" => {
                PostgresUrl::parse(text).map(Self::Postgres)
            }
            Some((scheme, rest)) if rest.starts_with("//") => {
                Err(wrong(FORMS, format!("a URL of scheme {scheme:?}")))
            }
            _ if text.trim().is_empty() => Err(wrong(FORMS, "nothing")),
            _ => Ok(Self::Sqlite(text.into())),
        }
    }
}

impl PostgresUrl {
    fn parse(text: &str) -> Result<Self, WrongUrl> {
        let url = Url::parse(text).map_err(|error| wrong(FORMS, format!("a URL with an {error}")))?;
        if url.path().trim_matches('/').is_empty() || url.path().trim_start_matches('/').contains('/') {
            return Err(wrong("the name of one database, as in postgres://USER@HOST/DATABASE", "none"));
        }
        if url.fragment().is_some() {
            return Err(wrong("a URL without #", "one; in a password write %23"));
        }
        let (mut mode, mut host) = (None, url.host_str().unwrap_or_default().replace("%2F", "/"));
        for (name, value) in url.query_pairs() {
            match &*name {
                "sslmode" => mode = Some(value.into_owned()),
                "host" => host = value.into_owned(),
                name if PARAMETERS.contains(&name) => {}
                name => {
                    let expected = "only the parameters host, sslcert, sslkey, sslmode, sslrootcert";
                    return Err(wrong(expected, format!("{name:?}")));
                }
            }
        }
        let here = host.is_empty()
            || host.starts_with('/')
            || host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let has_root = url.query_pairs().any(|(name, _)| name == "sslrootcert");
        let mode = match mode.as_deref() {
            None if here && !has_root => Mode::Prefer,
            Some("disable") => Mode::Disable,
            Some("prefer") => Mode::Prefer,
            // With the certificate of an authority to check it by, `require` checks, as in libpq.
            Some("require") if !has_root => Mode::Require,
            None | Some("require" | "verify-full") => Mode::VerifyFull,
            Some(other) => {
                let expected = "sslmode to be verify-full, require, prefer or disable \
                                (verify-ca would take any certificate of any public authority)";
                return Err(wrong(expected, format!("{other:?}")));
            }
        };
        PgConnectOptions::from_str(text).map_err(|error| wrong(FORMS, format!("a wrong URL: {error}")))?;
        let mut shown = url;
        if shown.password().is_some() {
            // Cannot fail: there is a host where there is a password.
            let _ = shown.set_password(Some("***"));
        }
        Ok(Self { text: text.to_owned(), shown: shown.into(), mode })
    }

    /// How to connect. Reads a password file (`PGPASSFILE`, `~/.pgpass`) anew, so that a changed password is found.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        Ok(PgConnectOptions::from_str(&self.text)?.ssl_mode(match self.mode {
            Mode::Disable => PgSslMode::Disable,
            Mode::Prefer => PgSslMode::Prefer,
            Mode::Require => PgSslMode::Require,
            Mode::VerifyFull => PgSslMode::VerifyFull,
        }))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl From<&Path> for DatabaseUrl {
    fn from(path: &Path) -> Self {
        Self::Sqlite(path.to_owned())
    }
}

impl From<PathBuf> for DatabaseUrl {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

impl From<&PathBuf> for DatabaseUrl {
    fn from(path: &PathBuf) -> Self {
        Self::Sqlite(path.clone())
    }
}

impl From<&Self> for DatabaseUrl {
    fn from(url: &Self) -> Self {
        url.clone()
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = WrongUrl;

    fn try_from(text: String) -> Result<Self, WrongUrl> {
        text.parse()
    }
}

impl From<DatabaseUrl> for String {
    fn from(url: DatabaseUrl) -> Self {
        match url {
            DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            DatabaseUrl::Postgres(url) => url.shown,
        }
    }
}

fn wrong(expected: &'static str, found: impl Into<String>) -> WrongUrl {
    WrongUrl { expected, found: found.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_names_a_database() {
        for (text, shown, mode) in [
            ("/var/lib/x.sqlite", "/var/lib/x.sqlite", None),
            ("sqlite:x y.sqlite", "x y.sqlite", None),
            ("sqlite:///x.sqlite", "/x.sqlite", None),
            ("postgres://u@localhost/b", "postgres://u@localhost/b", Some(Mode::Prefer)),
            ("postgresql://u@[::1]:5433/b", "postgresql://u@[::1]:5433/b", Some(Mode::Prefer)),
            ("postgres://u@%2Frun%2Fpostgresql/b", "postgres://u@%2Frun%2Fpostgresql/b", Some(Mode::Prefer)),
            ("postgres:///b?host=/run/postgresql", "postgres:///b?host=/run/postgresql", Some(Mode::Prefer)),
            ("postgres://u:s3cret@db.example/b", "postgres://u:***@db.example/b", Some(Mode::VerifyFull)),
            ("postgres://u@db/b?sslmode=disable", "postgres://u@db/b?sslmode=disable", Some(Mode::Disable)),
            ("postgres://u@db/b?sslmode=require", "postgres://u@db/b?sslmode=require", Some(Mode::Require)),
            (
                "postgres://u@db/b?sslmode=require&sslrootcert=/x",
                "postgres://u@db/b?sslmode=require&sslrootcert=/x",
                Some(Mode::VerifyFull),
            ),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            let found = match &url {
                DatabaseUrl::Sqlite(_) => None,
                DatabaseUrl::Postgres(url) => Some(url.mode),
            };
            assert_eq!(found, mode, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_without_showing_the_password() {
        for (text, expected) in [
            ("", "expected sqlite:PATH or postgres://USER@HOST/DATABASE, found nothing"),
            ("mysql://u:s3cret@h/b", "found a URL of scheme \"mysql\""),
            ("sqlite:", "expected sqlite:PATH"),
            ("sqlite:x?mode=memory", "expected sqlite:PATH"),
            ("postgres://u:s3cret@h", "expected the name of one database"),
            ("postgres://u:s3cret@h/a/b", "expected the name of one database"),
            ("postgres://u:s3cret@h:99999/b", "invalid port"),
            ("postgres://u:s3#cret@h/b", "expected"),
            ("postgres://u:s3cret@h/b?sslmode=verify-ca", "sslmode to be verify-full"),
            ("postgres://u:s3cret@h/b?sslmode=allow", "found \"allow\""),
            ("postgres://u@h/b?password=s3cret", "found \"password\""),
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("s3"), "{error}");
        }
        let url: DatabaseUrl = "postgres://u:s3cret@h/b".parse().unwrap();
        assert!(!format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap()).contains("s3cret"));
    }
}
