//! Many small rows on their way as one value: each row that a database hands over by itself costs more than its bytes do.

use super::{Connection, DatabaseUrl};
use crate::StoreError;

/// A column of rows that are packed, by what is in it.
#[derive(Clone, Copy)]
pub(crate) enum Cell {
    Number(&'static str),
    Text(&'static str),
    Bytes(&'static str),
}

/// An expression over all rows that a `SELECT` finds: they come out as one text, for [`unpack`], in no order; NULL where there are
/// none. No cell may be NULL.
pub(crate) fn packed(sqlite: bool, cells: &[Cell]) -> String {
    let cell = |cell: &Cell| match (cell, sqlite) {
        (Cell::Number(name), _) => format!("CAST({name} AS TEXT)"),
        (Cell::Text(name) | Cell::Bytes(name), true) => format!("HEX({name})"),
        (Cell::Text(name), false) => format!("ENCODE(CONVERT_TO({name}, 'UTF8'), 'hex')"),
        (Cell::Bytes(name), false) => format!("ENCODE({name}, 'hex')"),
    };
    let cells: Vec<String> = cells.iter().map(cell).collect();
    let (row, gather) = (cells.join(" || ' ' || "), if sqlite { "GROUP_CONCAT" } else { "STRING_AGG" });
    format!("{gather}({row}, ',')")
}

/// The rows that were packed, each with its cells: numbers as they are written, bytes and texts to be taken with [`bytes`].
pub(crate) fn unpack(packed: &str) -> impl Iterator<Item = std::str::Split<'_, char>> {
    packed.split(',').filter(|row| !row.is_empty()).map(|row| row.split(' '))
}

impl DatabaseUrl {
    pub(crate) const fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

impl Connection {
    pub(crate) const fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

/// The number in a cell.
pub(crate) fn number(cell: Option<&str>) -> Result<u64, StoreError> {
    let number = cell.and_then(|cell| cell.parse().ok());
    number.ok_or_else(|| sqlx::Error::Decode("expected a number from 0".into()).into())
}

/// The text in a cell.
pub(crate) fn text(cell: Option<&str>) -> Result<String, StoreError> {
    String::from_utf8(bytes(cell)?).map_err(|error| sqlx::Error::Decode(error.into()).into())
}

/// The bytes in a cell.
pub(crate) fn bytes(cell: Option<&str>) -> Result<Vec<u8>, StoreError> {
    cell.and_then(unhex).ok_or_else(|| sqlx::Error::Decode("expected bytes in hexadecimal".into()).into())
}

/// The bytes that hexadecimal digits of either case stand for.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut wrong = !rest.is_empty();
    let byte = |[high, low]: &[u8; 2]| {
        let (high, low) = (digit(*high), digit(*low));
        wrong |= (high | low) > 15;
        high << 4 | low & 15
    };
    let bytes: Vec<u8> = pairs.iter().map(byte).collect();
    (!wrong).then_some(bytes)
}

/// The value of a digit; more than 15 for other letters.
const fn digit(letter: u8) -> u8 {
    match letter {
        b'0'..=b'9' => letter - b'0',
        b'a'..=b'f' => letter - b'a' + 10,
        b'A'..=b'F' => letter - b'A' + 10,
        _ => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_bytes_and_other_letters_are_refused() {
        let all: Vec<u8> = (0..=255).collect();
        let lower: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(unhex(&lower), Some(all.clone()));
        assert_eq!(unhex(&lower.to_uppercase()), Some(all));
        assert_eq!(unhex(""), Some(Vec::new()));
        for wrong in ["0", "0g", "g0", "000", "é", " 0", "0x", "+1", "00 0"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
