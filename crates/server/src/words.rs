//! What people type, to be read by others: names, labels, reasons.
//!
//! Guarantees: one line that shows as it is written. What acts on a reader's screen instead of showing itself (control
//! characters, overrides of the direction, breaks of lines, what is invisible) is refused; letters of every script are taken.

/// One line of at most `most` letters, without the blanks around it.
///
/// # Errors
/// What is expected of one.
pub(crate) fn line(text: &str, most: usize) -> Result<String, String> {
    let line = text.trim();
    if (1..=most).contains(&line.chars().count()) && report::visible(line) == line {
        return Ok(line.to_owned());
    }
    Err(format!("1 to {most} letters on one line, without control characters or invisible ones"))
}

/// The same of what was typed on several lines: they become one.
///
/// # Errors
/// What is expected of it.
pub(crate) fn lines(text: &str, most: usize) -> Result<String, String> {
    line(&text.replace("\r\n", " ").replace(['\n', '\r', '\t'], " "), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_as_it_is_written() {
        for (text, expected) in [
            (" my phone ", "my phone"),
            ("<b>clé</b> & 鍵", "<b>clé</b> & 鍵"),
            ("e\u{301}le\u{300}ve", "e\u{301}le\u{300}ve"),
            ("שרה לוי", "שרה לוי"),
            ("محمد", "محمد"),
            ("Nguyễn Thị Hạnh", "Nguyễn Thị Hạnh"),
            ("हिन्दी", "हिन्दी"),
            ("O’Neill-Müller, Jr.", "O’Neill-Müller, Jr."),
            ("🚦 lights", "🚦 lights"),
        ] {
            assert_eq!(line(text, 60).as_deref(), Ok(expected), "{text:?}");
        }
        for bad in [
            "",
            "   ",
            "a\nb",
            "a\tb",
            "a\u{1b}[2J",
            "a\0b",
            "a\u{7f}b",
            "a\u{85}b",
            "a\u{9b}b",
            "a\u{202e}b",
            "a\u{2066}b",
            "\u{200f}a",
            "a\u{2028}b",
            "a\u{2029}b",
            "\u{200b}",
            "\u{feff}",
            "a\u{200b}b",
            "\u{ad}",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "\u{ffa0}",
            "\u{2800}",
            "\u{34f}",
            "\u{e0041}",
        ] {
            assert!(line(bad, 60).unwrap_err().contains("1 to 60 letters on one line"), "{bad:?}");
        }
        assert!(line(&"é".repeat(60), 60).is_ok());
        assert!(line(&"é".repeat(61), 60).is_err());
    }

    #[test]
    fn lines_become_one() {
        assert_eq!(lines(" the installer,\r\nsee mail\n", 60).as_deref(), Ok("the installer, see mail"));
        assert!(lines("\r\n", 60).is_err());
        assert!(lines("a\u{2028}b", 60).is_err());
        assert!(lines("a\u{202e}b", 60).is_err());
    }
}
