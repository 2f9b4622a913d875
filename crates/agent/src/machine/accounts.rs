//! Accounts that anybody could use: those without a password, and those with one that the device left its maker with.
//!
//! Neither a password nor a hash leaves this file: what comes out is the account's name and which rule it matched.

use super::{Machine, crypt, cut, unread};
use sha2::{Digest as _, Sha256};
use std::{collections::HashMap, io};
use wire::{Accounts, Unread, WeakAccount, limit};

const SHIPPED: &str = include_str!("../../../../rules/factory-passwords.toml");
/// The most accounts that are read.
const MOST_ACCOUNTS: usize = 4_096;
/// The most guesses of one look: a file full of accounts is not worth minutes of a small device.
const MOST_GUESSES: usize = 2_000;

/// What was found by guessing, as long as the files are the same: it takes a small device seconds.
#[derive(Default)]
pub struct Guesses {
    of: Option<[u8; 32]>,
    found: Option<Accounts>,
}

impl std::fmt::Debug for Guesses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guesses").field("known", &self.found.is_some()).finish()
    }
}

impl Machine {
    pub(super) fn accounts(&self, guesses: &mut Guesses, missing: &mut Vec<Unread>) -> Option<Accounts> {
        let mut accounts = Vec::new();
        let mut digest = Sha256::new();
        let read = self.lines("etc/passwd", |line| {
            digest.update(line);
            if let Some((name, hash)) = two_fields(line).filter(|_| accounts.len() < MOST_ACCOUNTS) {
                accounts.push((name.to_owned(), hash.to_owned()));
            }
        });
        if let Err(error) = read {
            missing.push(unread("/etc/passwd", error));
            return None;
        }
        if accounts.iter().any(|(_, hash)| hash == "x") {
            let mut shadow = HashMap::new();
            let read = self.lines("etc/shadow", |line| {
                digest.update(line);
                if let Some((name, hash)) = two_fields(line).filter(|_| shadow.len() < MOST_ACCOUNTS) {
                    shadow.insert(name.to_owned(), hash.to_owned());
                }
            });
            if let Err(error) = read {
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                let reason = if denied {
                    "no permission: expected CAP_DAC_READ_SEARCH, or to run as root".to_owned()
                } else {
                    error.to_string()
                };
                missing.push(unread("/etc/shadow", reason));
                return None;
            }
            for (name, hash) in accounts.iter_mut().filter(|(_, hash)| hash == "x") {
                // Without a line there, nobody comes in.
                *hash = shadow.remove(name).unwrap_or_else(|| "*".into());
            }
        }
        let of: [u8; 32] = digest.finalize().into();
        if guesses.of != Some(of) {
            guesses.found = Some(judge(&accounts));
            guesses.of = Some(of);
        }
        guesses.found.clone()
    }
}

/// Name and password of a line of `passwd` or `shadow`.
fn two_fields(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(':')?;
    let (hash, _) = rest.split_once(':')?;
    (!name.is_empty()).then_some((name, hash))
}

fn judge(accounts: &[(String, String)]) -> Accounts {
    let list = factory();
    let (mut weak, mut unchecked, mut guesses) = (Vec::new(), 0_u32, 0);
    for (name, hash) in accounts {
        let rule = match hash.as_str() {
            "" => Some("empty password".to_owned()),
            locked if locked.starts_with(['!', '*']) => continue,
            hash => {
                let tried = list.iter().filter(|[user, _, _]| user == name);
                let mut matched = None;
                for [_, password, rule] in tried {
                    guesses += 1;
                    match crypt::matches(password.as_bytes(), hash).filter(|_| guesses <= MOST_GUESSES) {
                        Some(false) => {}
                        Some(true) => {
                            matched = Some(rule.clone());
                            break;
                        }
                        None => {
                            unchecked += 1;
                            break;
                        }
                    }
                }
                matched
            }
        };
        if let Some(rule) = rule.filter(|_| weak.len() < limit::ACCOUNTS) {
            weak.push(WeakAccount { name: cut(name, limit::TEXT), rule: cut(&rule, limit::TEXT) });
        }
    }
    weak.sort_unstable();
    weak.dedup();
    Accounts { weak, unchecked }
}

/// User, password and name of each entry of the shipped list.
fn factory() -> Vec<[String; 3]> {
    let list: toml::Table = SHIPPED.parse().unwrap_or_default();
    let entries = list.get("entry").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |entry: &toml::Value, key: &str| entry.get(key)?.as_str().map(str::to_owned);
    let read = |entry| Some([text(entry, "user")?, text(entry, "password")?, text(entry, "name")?]);
    entries.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_is_read_whole() {
        assert_eq!(factory().len(), SHIPPED.matches("[[entry]]").count());
        assert!(factory().len() > 180);
    }
}
