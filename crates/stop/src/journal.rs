//! The journal of responding: who did what, why and under which settings, in a chain of hashes.
//!
//! Guarantees: each entry is one line of canonical JSON (keys in order, no spaces) whose hash is SHA-256 over the
//! hash of the entry before and its own content, so that [`verify`] finds a changed, missing, added or reordered
//! line and names it. A last line that power loss tore is told apart from a changed one: it has no line end.
//! What the chain cannot show by itself is that its end was cut off cleanly; for that the last hash has to be kept
//! elsewhere, as the server does. This module computes; the file is the sensor's.

use model::{Command, CommandId, IncidentId, PlanId, Receipt, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The hash that the first entry of a journal names as the one before.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The longest line that is read.
pub const MAX_LINE: usize = 256 * 1024;

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who: `auto`, a person, or `bastide` for what follows from earlier entries.
    pub who: String,
    /// Why.
    pub why: String,
    /// SHA-256 of the response settings in force.
    pub configuration: String,
    /// What.
    pub what: Act,
    /// The hash of the entry before.
    pub previous: String,
    /// SHA-256 over `previous` and everything above, in hexadecimal.
    pub hash: String,
}

/// What was done, or is about to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "act")]
#[non_exhaustive]
pub enum Act {
    /// A program took responding up.
    Started {
        /// What carries commands out.
        actuator: String,
    },
    /// A plan was put before a person.
    Proposed {
        /// Which.
        plan: PlanId,
        /// For which incident.
        incident: IncidentId,
        /// What it would do.
        commands: Vec<CommandId>,
    },
    /// A plan was approved by a person.
    Approved {
        /// Which.
        plan: PlanId,
    },
    /// A plan was refused by a person.
    Refused {
        /// Which.
        plan: PlanId,
    },
    /// Written before a command is put in force.
    Applying {
        /// By which plan.
        plan: PlanId,
        /// The command in full.
        command: Box<Command>,
    },
    /// Written before a command is taken back.
    Undoing {
        /// Which.
        command: CommandId,
    },
    /// Written before everything is taken back.
    UndoingAll,
    /// What an act came to.
    Outcome {
        /// The receipt.
        receipt: Receipt,
    },
    /// Everything was taken back.
    UndoneAll {
        /// What could not be, in words.
        problem: Option<String>,
    },
    /// A command ran out; the attack is watched for.
    Expired {
        /// Which.
        command: CommandId,
    },
    /// The attack went on after a command ran out.
    GoesOn {
        /// Which command had run out.
        command: CommandId,
        /// For how many seconds the next one would hold.
        seconds: u64,
    },
    /// Nothing happened after a command ran out: it stays off.
    Quiet {
        /// Which.
        command: CommandId,
    },
    /// The lever was pulled.
    Stopped,
    /// The lever was released.
    Resumed,
    /// Something about the journal or the state that a reader has to know.
    Noted {
        /// What.
        note: String,
    },
}

/// Where a chain stands: what the next entry is linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The number of the next entry.
    pub next: u64,
    /// The hash of the last entry.
    pub last: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next: 1, last: GENESIS.into() }
    }
}

impl Chain {
    /// Links an entry and moves on.
    pub fn link(&mut self, at: Timestamp, who: &str, why: &str, configuration: &str, what: Act) -> Entry {
        let mut entry = Entry {
            seq: self.next,
            at,
            who: who.into(),
            why: why.into(),
            configuration: configuration.into(),
            what,
            previous: self.last.clone(),
            hash: String::new(),
        };
        entry.hash = entry.content_hash();
        self.next = self.next.saturating_add(1);
        self.last.clone_from(&entry.hash);
        entry
    }
}

impl Entry {
    /// The line that stands in the file, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        canonical(&serde_json::to_value(self).unwrap_or(Value::Null))
    }

    fn content_hash(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or(Value::Null);
        if let Value::Object(fields) = &mut value {
            fields.remove("hash");
        }
        let mut hasher = Sha256::new();
        hasher.update(self.previous.as_bytes());
        hasher.update(canonical(&value).as_bytes());
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What is wrong with a journal, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The last line has no end: power was lost while it was written.
    #[error("line {line} at byte {offset} is torn: {length} bytes without a line end")]
    Torn {
        /// Which line, from 1.
        line: u64,
        /// Where it begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// Not an entry.
    #[error("line {line} at byte {offset} is no entry: {reason}")]
    NoEntry {
        /// Which line, from 1.
        line: u64,
        /// Where it begins.
        offset: u64,
        /// What was expected.
        reason: String,
    },
    /// The content does not have the hash that it names.
    #[error("line {line} at byte {offset} (entry {seq}) was changed: its content does not have its hash")]
    Changed {
        /// Which line, from 1.
        line: u64,
        /// Where it begins.
        offset: u64,
        /// The number it gives itself.
        seq: u64,
    },
    /// Whole in itself, but not the one that has to come here.
    #[error(
        "line {line} at byte {offset}: expected entry {expected} linked to the line before, found entry {found}; \
         lines are missing, added or out of order"
    )]
    Unlinked {
        /// Which line, from 1.
        line: u64,
        /// Where it begins.
        offset: u64,
        /// The number that has to come here.
        expected: u64,
        /// The number that stands here.
        found: u64,
    },
}

/// What a journal shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// Where the chain stands after the last whole line before any fault.
    pub chain: Chain,
    /// Whole lines.
    pub lines: u64,
    /// Bytes of whole lines.
    pub bytes: u64,
    /// The first fault.
    pub fault: Option<Fault>,
}

/// Checks a whole journal.
#[must_use]
pub fn verify(content: &[u8]) -> Verified {
    let mut verifier = Verifier::default();
    for piece in content.split_inclusive(|byte| *byte == b'\n') {
        if verifier.line(piece).is_none() && verifier.state.fault.is_some() {
            break;
        }
    }
    verifier.state
}

/// Checks a journal line by line, so that one need not hold the whole.
#[derive(Debug, Default)]
pub struct Verifier {
    state: Verified,
}

impl Verifier {
    /// Takes the next line, with its line end; gives the entry where all is well so far.
    pub fn line(&mut self, piece: &[u8]) -> Option<Entry> {
        if self.state.fault.is_some() || piece.is_empty() {
            return None;
        }
        match self.check(piece) {
            Ok(entry) => {
                self.state.chain = Chain { next: entry.seq.saturating_add(1), last: entry.hash.clone() };
                self.state.lines += 1;
                self.state.bytes += piece.len() as u64;
                Some(entry)
            }
            Err(fault) => {
                self.state.fault = Some(fault);
                None
            }
        }
    }

    /// What was found so far.
    #[must_use]
    pub const fn state(&self) -> &Verified {
        &self.state
    }

    fn check(&self, piece: &[u8]) -> Result<Entry, Fault> {
        let (line, offset) = (self.state.lines + 1, self.state.bytes);
        let Some(text) = piece.strip_suffix(b"\n") else {
            return Err(Fault::Torn { line, offset, length: piece.len() as u64 });
        };
        if text.len() > MAX_LINE {
            let reason = format!("expected at most {MAX_LINE} bytes, found {}", text.len());
            return Err(Fault::NoEntry { line, offset, reason });
        }
        let entry: Entry = serde_json::from_slice(text).map_err(|error| Fault::NoEntry {
            line,
            offset,
            reason: error.to_string(),
        })?;
        // The line has to be what the entry is written as, to the byte: fields that nobody reads are changes too.
        if entry.content_hash() != entry.hash || entry.line().as_bytes() != text {
            return Err(Fault::Changed { line, offset, seq: entry.seq });
        }
        let chain = &self.state.chain;
        if entry.seq != chain.next || entry.previous != chain.last {
            return Err(Fault::Unlinked { line, offset, expected: chain.next, found: entry.seq });
        }
        Ok(entry)
    }
}

/// JSON with its keys in order and without spaces, whatever the maps' own order is.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            let parts: Vec<String> = keys
                .into_iter()
                .filter_map(|key| {
                    Some(format!("{}:{}", Value::from(key.as_str()), canonical(fields.get(key)?)))
                })
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => {
            let parts: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", parts.join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(entries: u64) -> Vec<Entry> {
        let mut chain = Chain::default();
        (1..=entries)
            .map(|n| {
                let note = format!("entry \"{n}\" with a line\nend and an ü");
                chain.link(Timestamp::from_secs(n as i64), "auto", "test", "cafe", Act::Noted { note })
            })
            .collect()
    }

    fn bytes(entries: &[Entry]) -> Vec<u8> {
        entries.iter().flat_map(|entry| format!("{}\n", entry.line()).into_bytes()).collect()
    }

    #[test]
    fn a_whole_journal_verifies_and_says_where_it_stands() {
        let entries = journal(5);
        let verified = verify(&bytes(&entries));
        assert_eq!(verified.fault, None);
        assert_eq!(verified.lines, 5);
        assert_eq!(verified.chain, Chain { next: 6, last: entries[4].hash.clone() });
        assert_eq!(verify(b""), Verified::default());
    }

    #[test]
    fn every_kind_of_tampering_is_found_and_the_line_is_named() {
        let good = journal(5);
        let check = |entries: &[Entry], expected: &str| {
            let fault = verify(&bytes(entries)).fault.map(|fault| fault.to_string()).unwrap_or_default();
            assert!(fault.contains(expected), "{expected}: {fault}");
        };
        let mut changed = good.clone();
        changed[2].who = "somebody else".into();
        check(&changed, "line 3 at byte");
        check(&changed, "(entry 3) was changed");
        let mut rehashed = changed.clone();
        rehashed[2].hash = rehashed[2].content_hash();
        check(&rehashed, "line 4");
        let mut missing = good.clone();
        missing.remove(1);
        check(&missing, "line 2 at byte");
        check(&missing, "expected entry 2 linked to the line before, found entry 3");
        let mut headless = good.clone();
        headless.remove(0);
        check(&headless, "expected entry 1");
        let mut swapped = good.clone();
        swapped.swap(2, 3);
        check(&swapped, "expected entry 3 linked to the line before, found entry 4");
        let mut doubled = good.clone();
        doubled.insert(2, good[1].clone());
        check(&doubled, "expected entry 3 linked to the line before, found entry 2");
    }

    #[test]
    fn every_single_flipped_bit_is_found() {
        let good = bytes(&journal(3));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(verify(&bad).fault.is_some(), "byte {at}");
        }
    }

    #[test]
    fn every_cut_is_torn_or_at_a_line_end() {
        let entries = journal(3);
        let good = bytes(&entries);
        for at in 0..good.len() {
            let verified = verify(&good[..at]);
            if at == 0 || good[at - 1] == b'\n' {
                assert_eq!(verified.fault, None, "cut at {at}");
            } else {
                assert!(
                    matches!(verified.fault, Some(Fault::Torn { .. })),
                    "cut at {at}: {:?}",
                    verified.fault
                );
            }
            assert!(verified.lines <= 3 && verified.bytes <= at as u64);
        }
    }

    #[test]
    fn unknown_fields_and_spaces_are_changes() {
        let line = journal(1)[0].line();
        for bad in
            [line.replacen("{", "{\"more\":1,", 1), line.replacen("\":", "\": ", 1), "{}".into(), "x".into()]
        {
            assert!(verify(format!("{bad}\n").as_bytes()).fault.is_some(), "{bad}");
        }
    }
}
