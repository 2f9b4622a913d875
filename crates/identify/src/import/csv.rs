//! Lists as CSV (RFC 4180), with the delimiter that the header shows.

use super::{Column, MOST_ROWS, Refused, Row, row::Draft};
use crate::Kinds;

/// Cells of a header that are looked at; there are fewer columns.
const MOST_COLUMNS: usize = 64;
const DELIMITERS: [u8; 4] = [b';', b',', b'\t', b'|'];

pub(super) fn read(text: &str, kinds: &Kinds, refused: &mut Refused) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(text))
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let mut columns: Vec<(String, Column)> = Vec::new();
    let (mut rows, mut begun) = (Vec::new(), false);
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                refused.add(line, "", "CSV", &error.to_string());
                break;
            }
        }
        let line = line_of(text, &record);
        // Spreadsheets end their lists with rows of nothing.
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if !begun {
            // What a spreadsheet writes for another spreadsheet: its delimiter.
            if record.get(0).is_some_and(|cell| cell.starts_with("sep=")) {
                continue;
            }
            begun = true;
            columns = header(line, &record, refused);
            if columns.is_empty() {
                break;
            }
            continue;
        }
        if rows.len() >= MOST_ROWS {
            refused.add(line, "", format!("at most {MOST_ROWS} assets"), "more");
            break;
        }
        if record.len() != columns.len() {
            let found = format!("{} cells", record.len());
            refused.add(line, "", format!("{} cells, as the header has", columns.len()), &found);
            continue;
        }
        let mut draft = Draft::new(line);
        for ((name, column), cell) in columns.iter().zip(record.iter()) {
            for text in column.values(cell) {
                if let Err(expected) = draft.set(*column, text, kinds) {
                    refused.add(line, name, expected, text);
                }
            }
        }
        rows.extend(draft.finish(kinds, refused));
    }
    if !begun {
        refused.add(1, "", "a header with the columns", "nothing");
    }
    rows
}

/// The delimiter that is most often in the header, outside of quotes.
fn delimiter(text: &str) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in text.trim_start().bytes().take_while(|byte| *byte != b'\n').take(1 << 16) {
        quoted ^= byte == b'"';
        if let Some(at) = DELIMITERS.iter().position(|known| *known == byte && !quoted)
            && let Some(count) = counts.get_mut(at)
        {
            *count += 1;
        }
    }
    let most = DELIMITERS.iter().zip(counts).rev().max_by_key(|(_, count)| *count);
    most.filter(|(_, count)| *count > 0).map_or(b',', |(delimiter, _)| *delimiter)
}

/// The line on which a record begins: the reader counts those before it, and blank ones belong to the next.
fn line_of(text: &str, record: &csv::StringRecord) -> u64 {
    let Some(position) = record.position() else { return 1 };
    let rest = text.get(position.byte() as usize..).unwrap_or_default();
    let blank = rest.bytes().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + blank.filter(|byte| *byte == b'\n').count() as u64
}

fn header(line: u64, record: &csv::StringRecord, refused: &mut Refused) -> Vec<(String, Column)> {
    let mut columns: Vec<(String, Column)> = Vec::new();
    if record.len() > MOST_COLUMNS {
        let found = format!("{} cells", record.len());
        refused.add(line, "", format!("a header of at most {MOST_COLUMNS} columns"), &found);
        return columns;
    }
    for name in record {
        match Column::named(name) {
            Some(column) if columns.iter().all(|(_, known)| *known != column) => {
                columns.push((name.trim().to_owned(), column));
            }
            Some(_) => refused.add(line, name, "each column once", name),
            None => refused.add(line, name, format!("one of the columns {}", Column::names()), name),
        }
    }
    if refused.is_empty() { columns } else { Vec::new() }
}
