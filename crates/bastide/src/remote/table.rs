//! Rows for people: aligned, clipped to the terminal where there is one, and in words of their own.
//!
//! Guarantees: nothing that a stranger wrote reaches the terminal as a control sequence.

use report::{clipped, visible};
use serde_json::Value;
use std::io::IsTerminal as _;
use unicode_width::UnicodeWidthStr as _;

/// The widest cell but the last, in letters.
const WIDEST: usize = 48;

/// One column: its heading, and where its value stands in a row.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// The rows as lines under their headings, or that there are none.
pub(super) fn table(columns: &[Column], rows: &[Value], total: u64, what: &str) -> String {
    if rows.is_empty() {
        return format!("no {what}");
    }
    let heads: Vec<String> = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let cells = rows.iter().map(|row| columns.iter().map(|(_, cell)| visible(&cell(row))).collect());
    let mut lines: Vec<Vec<String>> = std::iter::once(heads).chain(cells).collect();
    let last = columns.len().saturating_sub(1);
    let mut widths = vec![0; columns.len()];
    for line in &mut lines {
        for (at, cell) in line.iter_mut().enumerate() {
            if at < last {
                *cell = clipped(cell, WIDEST);
            }
            if let Some(width) = widths.get_mut(at) {
                *width = cell.width().max(*width);
            }
        }
    }
    let before: usize = widths.iter().take(last).map(|width| width + 2).sum();
    let room =
        std::io::stdout().is_terminal().then(|| crate::terminal::width().saturating_sub(before).max(20));
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            match room.filter(|_| at == last) {
                Some(room) => row.push_str(&clipped(cell, room)),
                None => row.push_str(cell),
            }
            row.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 2));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    if total > rows.len() as u64 {
        text.push_str(&format!("{} of {total} {what}; --limit shows more\n", rows.len()));
    }
    text
}

/// One thing as a list of names and values; what is empty is left out.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let shown = facts.iter().filter(|(_, value)| !value.is_empty());
    let wide = shown.clone().map(|(name, _)| name.width()).max().unwrap_or(0);
    let lines = shown.map(|(name, value)| format!("{name:<wide$}  {}\n", visible(value)));
    lines.collect()
}

/// The text of a field; of a list, its parts.
pub(super) fn text(row: &Value, field: &str) -> String {
    match row.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}

/// A moment to the minute, in UTC.
pub(super) fn moment(row: &Value, field: &str) -> String {
    let moment: String = text(row, field).replace('T', " ").chars().take("2026-01-01 00:00".len()).collect();
    // Of what was listed and not seen yet.
    if moment.starts_with("1970-01-01 00:00") { "not yet".into() } else { moment }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_stand_below_each_other() {
        let columns: [Column; 3] = [
            ("NAME", |row| text(row, "name")),
            ("SEEN", |row| moment(row, "seen")),
            ("WHAT", |row| text(row, "what")),
        ];
        let rows = [
            json!({"name": "cam", "seen": "2026-11-22T20:14:33.123456Z", "what": ["a", 1]}),
            json!({"name": "街灯", "what": "x\u{1b}[2Jy"}),
        ];
        let shown = table(&columns, &rows, 7, "things");
        assert_eq!(
            shown,
            "NAME  SEEN              WHAT\n\
             cam   2026-11-22 20:14  a, 1\n\
             街灯                    x⟨U+001B⟩[2Jy\n\
             2 of 7 things; --limit shows more\n"
        );
        assert_eq!(table(&columns, &[], 0, "things"), "no things");
        assert_eq!(
            facts(&[("Name", "a\nb".into()), ("None", String::new()), ("Where", "c".into())]),
            "Name   a b\nWhere  c\n"
        );
    }
}
