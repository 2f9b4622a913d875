//! Assets that somebody lists, as CSV or JSON; `docs/inventory.md` describes the columns.
//!
//! Guarantees: all rows or all errors, never a part; an error says line, column and what was expected. What spreadsheets
//! of Europe write is read: semicolons, a byte order mark, quotes, lines ended either way. Text that a spreadsheet would
//! run as a formula is refused. Bounded: [`MOST_BYTES`], [`MOST_ROWS`], and [`MOST_ERRORS`] told one by one.

mod csv;
mod json;
mod row;

pub use row::{Column, Row};

use crate::Kinds;
use hashbrown::HashMap;
use model::Identifier;

/// The longest list that is read.
pub const MOST_BYTES: usize = 50 << 20;
/// The most assets of one list.
pub const MOST_ROWS: usize = 200_000;
/// Errors that are told one by one; the others are counted.
pub const MOST_ERRORS: usize = 100;

/// What is wrong with a list, in the order of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.told())]
pub struct Refused {
    /// The first [`MOST_ERRORS`].
    pub errors: Vec<Fault>,
    /// How many more there are.
    pub more: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    pub line: u64,
    /// The column's name as the list has it; empty where the whole line is meant.
    pub column: String,
    /// What was expected.
    pub expected: String,
    /// What was there, cut short.
    pub found: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.column.is_empty() {
            write!(f, ", column {}", self.column)?;
        }
        write!(f, ": expected {}", self.expected)?;
        if !self.found.is_empty() {
            write!(f, ", found “{}”", self.found)?;
        }
        Ok(())
    }
}

impl Refused {
    fn told(&self) -> String {
        let mut lines: Vec<String> = self.errors.iter().map(ToString::to_string).collect();
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        lines.join("\n")
    }

    /// A list that cannot be read at all.
    fn whole(line: u64, expected: impl Into<String>, found: &str) -> Self {
        let mut refused = Self::default();
        refused.add(line, "", expected, found);
        refused
    }

    fn add(&mut self, line: u64, column: &str, expected: impl Into<String>, found: &str) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        let (column, found) = (shown(column), shown(found));
        self.errors.push(Fault { line, column, expected: expected.into(), found });
    }

    const fn is_full(&self) -> bool {
        self.errors.len() >= MOST_ERRORS
    }

    fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }
}

/// Reads a list; whether it is JSON shows in its first letter.
///
/// # Errors
/// [`Refused`] with everything that is wrong; nothing is taken then.
pub fn read(bytes: &[u8], kinds: &Kinds) -> Result<Vec<Row>, Refused> {
    if bytes.len() > MOST_BYTES {
        let found = format!("{} bytes", bytes.len());
        return Err(Refused::whole(1, format!("at most {} MiB", MOST_BYTES >> 20), &found));
    }
    let text = text(bytes)?;
    let mut refused = Refused::default();
    let rows = match text.trim_start().as_bytes().first() {
        None => return Err(Refused::whole(1, "a header with the columns, or JSON", "nothing")),
        Some(b'[' | b'{') => json::read(text, kinds, &mut refused),
        Some(_) => csv::read(text, kinds, &mut refused),
    };
    twice(&rows, &mut refused);
    refused.errors.sort_by_key(|fault| fault.line);
    if refused.is_empty() { Ok(rows) } else { Err(refused) }
}

/// UTF-8, with or without a byte order mark.
fn text(bytes: &[u8]) -> Result<&str, Refused> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Refused::whole(1, "UTF-8 (in a spreadsheet: save as “CSV UTF-8”)", "UTF-16"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count() as u64;
        let column = 1 + good.iter().rev().take_while(|byte| **byte != b'\n').count();
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        let found = format!("byte {byte:#04x} at place {column} of the line");
        Refused::whole(line, "UTF-8 (in a spreadsheet: save as “CSV UTF-8”)", &found)
    })
}

/// The same device in two rows is a slip that nobody can resolve but who made the list.
fn twice(rows: &[Row], refused: &mut Refused) {
    let mut known: HashMap<Identifier, u64> = HashMap::new();
    for row in rows {
        let identifiers = row.identifiers();
        let named = identifiers.is_empty().then_some(row.name.as_ref()).flatten();
        let named = named.map(|name| Identifier::Name(name.to_lowercase()));
        for by in identifiers.into_iter().chain(named) {
            match known.get(&by) {
                Some(line) if *line != row.line => {
                    refused.add(
                        row.line,
                        "",
                        format!("each device once, but {by} is in line {line}, too"),
                        "",
                    );
                }
                Some(_) => {}
                None => {
                    known.insert(by, row.line);
                }
            }
        }
    }
}

/// What is shown of a strange text.
fn shown(text: &str) -> String {
    let clean: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(61).collect();
    match clean.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", clean.get(..at).unwrap_or_default()),
        None => clean,
    }
}
