//! Factory passwords: which entry of the public lists a tried password matches.
//!
//! Guarantees: only the entry's name comes out; the list is read once; a lookup never copies what was tried.

use hashbrown::HashMap;
use std::sync::OnceLock;

const SHIPPED: &str = include_str!("../../../../rules/factory-passwords.toml");

type List = HashMap<&'static str, HashMap<&'static str, &'static str>>;

/// The name of the entry for this user and password, such as `mirai-list-02 (Dahua DVR)`.
#[must_use]
pub fn matching(user: &str, password: &str) -> Option<&'static str> {
    list().get(user)?.get(password).copied()
}

/// As [`matching`], for what came over the wire.
pub(super) fn matching_bytes(user: &[u8], password: &[u8]) -> Option<&'static str> {
    matching(std::str::from_utf8(user).ok()?, std::str::from_utf8(password).ok()?)
}

fn list() -> &'static List {
    static LIST: OnceLock<List> = OnceLock::new();
    LIST.get_or_init(|| {
        // The file is part of the program and read in a test, so that nothing is left out here.
        let entries = read(SHIPPED).unwrap_or_default();
        let mut list = List::new();
        for [user, password, name] in entries {
            let passwords = list.entry(&*Box::leak(user.into_boxed_str())).or_default();
            passwords
                .entry(&*Box::leak(password.into_boxed_str()))
                .or_insert(&*Box::leak(name.into_boxed_str()));
        }
        list
    })
}

/// User, password and name of each entry.
fn read(text: &str) -> Result<Vec<[String; 3]>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let entries = table.get("entry").and_then(toml::Value::as_array).ok_or("expected [[entry]] tables")?;
    let field = |number: usize, entry: &toml::Value, key: &str| {
        let value = entry.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        value.ok_or_else(|| format!("entry {number}: expected {key} as a string"))
    };
    let read_one = |(index, entry): (usize, &toml::Value)| {
        let number = index + 1;
        Ok([field(number, entry, "user")?, field(number, entry, "password")?, field(number, entry, "name")?])
    };
    entries.iter().enumerate().map(read_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_is_whole_and_names_no_password() {
        let entries = read(SHIPPED).unwrap();
        assert!(entries.len() > 180, "{}", entries.len());
        assert_eq!(entries.iter().filter(|[_, _, name]| name.starts_with("mirai-list-")).count(), 62);
        for [user, password, name] in &entries {
            let shown = name.to_lowercase();
            assert!(
                password.len() < 3 || !shown.contains(&password.to_lowercase()),
                "{name} shows {user}'s password"
            );
            assert!(matching(user, password).is_some(), "{name}");
        }
    }

    #[test]
    fn matches_only_what_is_listed() {
        assert_eq!(matching("root", "vizxv"), Some("mirai-list-02 (Dahua DVR)"));
        assert_eq!(matching("root", ""), Some("mirai-list-12 (Vivotek camera)"));
        assert_eq!(matching("root", "Vizxv"), None);
        assert_eq!(matching("nobody", "vizxv"), None);
        assert_eq!(matching_bytes(b"root", b"\xff"), None);
    }

    #[test]
    fn a_bad_list_says_what_was_expected() {
        assert_eq!(read("x = 1").unwrap_err(), "expected [[entry]] tables");
        assert_eq!(read("[[entry]]\nuser = \"a\"").unwrap_err(), "entry 1: expected password as a string");
    }
}
