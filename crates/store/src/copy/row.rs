//! Rows on their way, in the form that they have in a file.

use crate::{
    StoreError,
    database::{Row, Value, unhex},
    schema::{Holds, Table},
};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

/// A line between the first and the last.
pub(super) enum Line {
    /// A table begins.
    Table(Table),
    /// A row of the table that began last.
    Row(Vec<Json>),
}

impl Line {
    /// As it stands in a file, with its end.
    pub(super) fn text(&self) -> String {
        let text = match self {
            Self::Table(table) => serde_json::to_string(table),
            Self::Row(row) => serde_json::to_string(row),
        };
        // Neither holds anything that JSON has no form for.
        text.unwrap_or_default() + "\n"
    }
}

/// SHA-256 over tables and rows: the same for the same content, wherever it is kept.
#[derive(Default)]
pub(super) struct Digest(Sha256);

impl Digest {
    pub(super) fn add(&mut self, line: &Line) {
        self.add_text(&line.text());
    }

    pub(super) fn add_text(&mut self, text: &str) {
        self.0.update(text.as_bytes());
    }

    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// A row as it was read from a database.
pub(super) fn to_json(table: &Table, row: &Row) -> Result<Vec<Json>, StoreError> {
    let column = |(index, (_, holds)): (usize, &(String, Holds))| {
        Ok(match holds {
            // As it would be kept today: see `Query::bind`.
            Holds::Text => {
                row.try_get::<Option<String>>(index)?.map(|text| text.replace('\0', "\u{fffd}").into())
            }
            Holds::Int => row.try_get::<Option<i64>>(index)?.map(Into::into),
            Holds::Bytes => row.try_get::<Option<Vec<u8>>>(index)?.map(|bytes| hex(&bytes).into()),
        }
        .unwrap_or(Json::Null))
    };
    table.columns.iter().enumerate().map(column).collect()
}

/// A row as a database takes it; nothing where it does not fit its table.
pub(super) fn from_json(table: &Table, row: Vec<Json>) -> Option<Vec<Value>> {
    if row.len() != table.columns.len() {
        return None;
    }
    let column = |((_, holds), json): (&(String, Holds), Json)| {
        Some(match (holds, json) {
            (Holds::Text, Json::Null) => Value::Text(None),
            (Holds::Text, Json::String(text)) => Value::Text(Some(text)),
            (Holds::Int, Json::Null) => Value::Int(None),
            (Holds::Int, Json::Number(number)) => Value::Int(Some(number.as_i64()?)),
            (Holds::Bytes, Json::Null) => Value::Bytes(None),
            (Holds::Bytes, Json::String(text)) => Value::Bytes(Some(unhex(&text)?)),
            _ => return None,
        })
    };
    table.columns.iter().zip(row).map(column).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
