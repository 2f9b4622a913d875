//! Lists as JSON: an array of objects, or an object whose `assets` is one. Keys are the columns of CSV.

use super::{Column, MOST_ROWS, Refused, Row, row::Draft};
use crate::Kinds;
use serde::{
    Deserialize,
    de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Keys of one object, and values of one key, that are looked at; there are fewer columns, and fewer values in each.
const MOST_PARTS: usize = 64;

/// An object's keys and values in their order, also where a key comes twice.
struct Pairs(Vec<(String, Cell)>);

/// A value, as the texts that it stands for.
enum Cell {
    One(String),
    Several(Vec<String>),
    Nothing,
    /// An object, an array in an array, or more values than anything has.
    Other,
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object for each asset")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() >= MOST_PARTS {
                        return Err(A::Error::custom(format_args!("an asset has at most {MOST_PARTS} keys")));
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Cell;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
                Ok(Cell::One(text.to_owned()))
            }

            fn visit_bool<E>(self, is: bool) -> Result<Cell, E> {
                Ok(Cell::One((if is { "yes" } else { "no" }).to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
                Ok(Cell::One(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
                Ok(Cell::One(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
                Ok(Cell::One(number.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Cell, E> {
                Ok(Cell::Nothing)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell, A::Error> {
                let (mut texts, mut other) = (Vec::new(), false);
                while !other {
                    match list.next_element()? {
                        Some(Cell::One(text)) if texts.len() < MOST_PARTS => texts.push(text),
                        Some(Cell::Nothing) => {}
                        Some(_) => other = true,
                        None => return Ok(Cell::Several(texts)),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Cell::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Cell::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// How far the text was read, and on which line that is.
struct Reading<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl<'a> Reading<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn pass(&mut self, count: usize) -> &'a str {
        let passed = self.rest().get(..count).unwrap_or_default();
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count() as u64;
        self.at += count;
        passed
    }

    fn skip_blanks(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.pass(rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len());
        self.rest().bytes().next()
    }

    /// Takes this mark, or says that it was expected.
    fn takes(&mut self, mark: u8) -> Result<(), (u64, String, String)> {
        match self.skip_blanks() {
            Some(found) if found == mark => {
                self.pass(1);
                Ok(())
            }
            found => {
                let found =
                    found.map_or_else(|| "the end".to_owned(), |_| self.rest().chars().take(20).collect());
                Err((self.line, format!("“{}”", char::from(mark)), found))
            }
        }
    }
}

pub(super) fn read(text: &str, kinds: &Kinds, refused: &mut Refused) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Err((line, expected, found)) = array(text, kinds, refused, &mut rows) {
        refused.add(line, "", expected, &found);
    }
    rows
}

fn array(
    text: &str,
    kinds: &Kinds,
    refused: &mut Refused,
    rows: &mut Vec<Row>,
) -> Result<(), (u64, String, String)> {
    let mut reading = Reading { text, at: 0, line: 1 };
    let wrapped = reading.skip_blanks() == Some(b'{');
    if wrapped {
        reading.takes(b'{')?;
        reading.skip_blanks();
        if !reading.rest().starts_with("\"assets\"") {
            return Err((
                reading.line,
                "an array of assets, or an object with the key “assets” alone".into(),
                String::new(),
            ));
        }
        reading.pass("\"assets\"".len());
        reading.takes(b':')?;
    }
    reading.takes(b'[')?;
    let mut first = true;
    loop {
        if reading.skip_blanks() == Some(b']') && first {
            break;
        }
        if !first {
            match reading.skip_blanks() {
                Some(b']') => break,
                _ => reading.takes(b',')?,
            }
            reading.skip_blanks();
        }
        first = false;
        if rows.len() >= MOST_ROWS {
            return Err((reading.line, format!("at most {MOST_ROWS} assets"), "more".into()));
        }
        let begun = reading.line;
        let mut stream = serde_json::Deserializer::from_str(reading.rest()).into_iter::<Pairs>();
        let pairs = match stream.next() {
            Some(Ok(pairs)) => pairs,
            Some(Err(error)) => {
                let line = begun + (error.line() as u64).saturating_sub(1);
                return Err((line, "JSON, an object for each asset".into(), error.to_string()));
            }
            None => return Err((begun, "an object for each asset".into(), "the end".into())),
        };
        let length = stream.byte_offset();
        let raw = reading.pass(length);
        rows.extend(asset(&pairs.0, raw, begun, kinds, refused));
    }
    reading.takes(b']')?;
    if wrapped {
        reading.takes(b'}')?;
    }
    match reading.skip_blanks() {
        None => Ok(()),
        Some(_) => Err((reading.line, "the end".into(), reading.rest().chars().take(20).collect())),
    }
}

fn asset(
    pairs: &[(String, Cell)],
    raw: &str,
    begun: u64,
    kinds: &Kinds,
    refused: &mut Refused,
) -> Option<Row> {
    let mut draft = Draft::new(begun);
    let mut seen = Vec::new();
    for (key, cell) in pairs {
        let wrong = |refused: &mut Refused, expected: String, found: &str| {
            // Errors that are only counted need no place.
            let line = if refused.is_full() { begun } else { begun + line_of(raw, key) };
            refused.add(line, key, expected, found);
        };
        let Some(column) = Column::named(key) else {
            wrong(refused, format!("one of the columns {}", Column::names()), key);
            continue;
        };
        if seen.contains(&column) {
            wrong(refused, "each key once".into(), key);
            continue;
        }
        seen.push(column);
        let texts: &[String] = match cell {
            Cell::One(text) => std::slice::from_ref(text),
            Cell::Several(texts) if column.takes_several() => texts,
            Cell::Nothing => &[],
            Cell::Several(_) | Cell::Other => {
                let expected = if column.takes_several() { "a text or a list of texts" } else { "a text" };
                wrong(refused, expected.into(), "");
                continue;
            }
        };
        for text in texts {
            if let Err(expected) = draft.set(column, text, kinds) {
                wrong(refused, expected, text);
            }
        }
    }
    draft.finish(kinds, refused)
}

/// Lines of an object before its key, where the key is written plainly.
fn line_of(raw: &str, key: &str) -> u64 {
    let quoted = format!("\"{key}\"");
    let is_key =
        |at: &usize| raw.get(at + quoted.len()..).is_some_and(|rest| rest.trim_start().starts_with(':'));
    let at = raw.match_indices(&quoted).map(|(at, _)| at).find(is_key).unwrap_or(0);
    raw.bytes().take(at).filter(|byte| *byte == b'\n').count() as u64
}
