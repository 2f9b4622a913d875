//! The settings file: what it says, and where exactly it is wrong.

use super::{Settings, Wrong};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{net::SocketAddr, path::Path};

/// Larger files are something else.
const MOST_BYTES: u64 = 1 << 20;

/// Reads the file as a table whose every key and value is right.
pub(super) fn read(path: &Path) -> Result<toml::Table, Wrong> {
    let whole = |problem: String| Wrong { place: path.display().to_string(), key: String::new(), problem };
    let size = std::fs::metadata(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
    if !size.is_file() || size.len() > MOST_BYTES {
        return Err(whole("expected a TOML file of at most 1 MiB".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
    parse(&text, &path.display().to_string())
}

/// The same, from text.
pub(super) fn parse(text: &str, name: &str) -> Result<toml::Table, Wrong> {
    let wrong = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let (line, column) = position(text, at);
        let place = format!("{name}, line {line}, column {column}");
        Wrong { place, key: key_at(text, at), problem: error.message().replace('\n', " ") }
    };
    let table: toml::Table = toml::from_str(text).map_err(|error| wrong(&error))?;
    toml::from_str::<Settings>(text).map_err(|error| wrong(&error))?;
    Ok(table)
}

/// Line and column, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

/// The key with its table at a place of the file: the last `[table]` before it and the `key =` of its line. A value that
/// goes over several lines belongs to the last `key =` before it.
fn key_at(text: &str, at: usize) -> String {
    let end = text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| at + length);
    let mut table = "";
    let mut key = "";
    for line in text.get(..end).unwrap_or(text).lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            // A line of a list begins with a bracket too, but names are plain.
            if line.ends_with(']')
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._- ".contains(letter))
            {
                table = name.trim();
                key = "";
            }
        } else if let Some((name, _)) = line.split_once('=')
            && name.trim().chars().all(|letter| letter.is_ascii_alphanumeric() || "._-\"".contains(letter))
        {
            key = name.trim();
        }
    }
    match (table, key) {
        ("", key) => key.to_owned(),
        (table, "") => table.to_owned(),
        (table, key) => format!("{table}.{key}"),
    }
}

pub(super) fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "expected an address and a port such as 127.0.0.1:8443 or [::]:8443, found {text:?}"
        ))
    })
}

pub(super) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Err(D::Error::custom(format!(
            "expected names such as bastide.city.example, without scheme and port, found {name:?}"
        ))),
        None => Ok(names),
    }
}

pub(super) fn authority_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    server::name(&name).map(Some).map_err(|expected| D::Error::custom(format!("expected {expected}")))
}

/// A host name: RFC 1123, section 2.1.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: i64,
    most: i64,
    what: &str,
) -> Result<i64, D::Error> {
    let number = i64::deserialize(deserializer)?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(D::Error::custom(format!("expected {least} to {most} {what}, found {number}")))
}

fn narrow<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: u32,
    most: u32,
    what: &str,
) -> Result<u32, D::Error> {
    let number = within(deserializer, least.into(), most.into(), what)?;
    u32::try_from(number).map_err(D::Error::custom)
}

pub(super) fn from_1_to_1024<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    narrow(deserializer, 1, 1024, "MiB")
}

pub(super) fn from_1_to_64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    narrow(deserializer, 1, 64, "witnesses")
}

pub(super) fn flows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    narrow(deserializer, 1_000, 16_000_000, "flows")
}

pub(super) fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    narrow(deserializer, 1, 36_500, "days")
}

pub(super) fn disk_mib<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, 16, 1 << 24, "MiB").map(i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_what_is_wrong() {
        let check = |text: &str, place: &str, key: &str, problem: &str| {
            let wrong = parse(text, "x.toml").unwrap_err();
            assert_eq!(wrong.place, format!("x.toml, {place}"), "{text}: {wrong}");
            assert_eq!(wrong.key, key, "{text}: {wrong}");
            assert!(wrong.problem.contains(problem), "{text}: {wrong}");
        };
        check(
            "[server]\nlistne = \"1\"\n",
            "line 2, column 1",
            "server.listne",
            "expected `listen` or `names`",
        );
        check(
            "[authority]\nid = \"Harbour City\"\n",
            "line 2, column 6",
            "authority.id",
            "expected an authority's id: 1 to 63 lower-case letters, digits and inner hyphens",
        );
        check("[authority]\nlevel = \"urban\"\n", "line 2, column 9", "authority.level", "`regional`");
        check(
            "[authority]\nname = \" \"\n",
            "line 2, column 8",
            "authority.name",
            "expected 1 to 120 letters",
        );
        check(
            "[servre]\nlisten = \"1\"\n",
            "line 1, column 2",
            "servre",
            "unknown field `servre`, expected one of",
        );
        check(
            "[server]\nlisten = \"localhost\"\n",
            "line 2, column 10",
            "server.listen",
            "expected an address and a port such as 127.0.0.1:8443",
        );
        check("[server]\nlisten = 8443\n", "line 2, column 10", "server.listen", "expected a string");
        check(
            "[sensor]\nhome = [\n  \"10.0.0.0/8\",\n  \"10.0.0.0/33\",\n]\n",
            "line 2, column 8",
            "sensor.home",
            "expected a network such as 192.168.0.0/16",
        );
        check(
            "[retention]\nincident_days = 0\n",
            "line 2, column 17",
            "retention.incident_days",
            "expected 1 to 36500 days, found 0",
        );
        check(
            "[response]\nmode = \"on\"\n",
            "line 2, column 8",
            "response.mode",
            "expected one of `off`, `ask`, `auto`",
        );
        check(
            "[notify]\nseverity = \"loud\"",
            "line 2, column 12",
            "notify.severity",
            "expected one of `info`",
        );
        check("log = \n", "line 1, column 7", "log", "");
        check("log = \"a\"\nlog = \"b\"\n", "line 2, column 1", "log", "duplicate key");
    }

    #[test]
    fn names_are_host_names() {
        for good in ["localhost", "bastide.city.example", "a-1.b"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a..b", "-a", "a-", "https://a", "a:8443", "a b", "*.a", &"a".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
