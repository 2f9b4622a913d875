//! Text by strangers, made safe to show: host names, file names and banners are written by whoever sends them.
//!
//! Guarantees: no control character, bidirectional override or invisible character reaches a reader as itself, in no
//! output; what is hidden is shown as `⟨U+202E⟩`. In markup every special character is escaped as well, so that a
//! value is text wherever a page puts it, in an attribute too.

use askama::filters::Escaper;
use std::fmt::{self, Write};

/// Whether a character would act on the reader's screen instead of showing itself.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

fn show(mut out: impl Write, c: char) -> fmt::Result {
    match c {
        '\n' | '\r' | '\t' => out.write_char(' '),
        c if acts(c) => write!(out, "⟨U+{:04X}⟩", u32::from(c)),
        c => out.write_char(c),
    }
}

/// The text with everything that acts replaced by its number; line breaks and tabs become blanks.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = show(&mut shown, c);
    }
    shown
}

/// The visible text, cut to a number of characters with an ellipsis.
#[must_use]
pub fn clipped(text: &str, characters: usize) -> String {
    // What acts grows when it is shown: cut before as well, so that a megabyte of it stays cheap.
    let head: String = text.chars().take(characters.saturating_add(1)).collect();
    let shown = visible(&head);
    if shown.chars().count() <= characters {
        return shown;
    }
    let mut cut: String = shown.chars().take(characters.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Escapes text for HTML and SVG, in content and in quoted attributes. The escaper of all templates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Escape;

impl Escaper for Escape {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        for c in string.chars() {
            self.write_escaped_char(&mut dest, c)?;
        }
        Ok(())
    }

    fn write_escaped_char<W: Write>(&self, mut dest: W, c: char) -> fmt::Result {
        match c {
            '&' => dest.write_str("&amp;"),
            '<' => dest.write_str("&lt;"),
            '>' => dest.write_str("&gt;"),
            '"' => dest.write_str("&quot;"),
            '\'' => dest.write_str("&#39;"),
            c => show(dest, c),
        }
    }
}

/// The text escaped for markup.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut markup = String::with_capacity(text.len() + 16);
    // Writing to a string cannot fail.
    let _ = Escape.write_escaped_str(&mut markup, text);
    markup
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_instead() {
        for (text, expected) in [
            ("cam-07", "cam-07"),
            ("Käfer 摄像头", "Käfer 摄像头"),
            ("\u{1b}[2J", "⟨U+001B⟩[2J"),
            ("cam\u{202e}gpj", "cam⟨U+202E⟩gpj"),
            ("a\r\nb\tc", "a  b c"),
            ("\u{9b}31m\u{7f}\0", "⟨U+009B⟩31m⟨U+007F⟩⟨U+0000⟩"),
            ("a\u{200b}\u{feff}\u{e0041}", "a⟨U+200B⟩⟨U+FEFF⟩⟨U+E0041⟩"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn markup_is_text_everywhere() {
        for (text, expected) in [
            ("<b a=\"x\" c='y'>&", "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;"),
            ("&lt;", "&amp;lt;"),
            ("\u{2028}", "⟨U+2028⟩"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        assert_eq!(clipped("abcdef", 6), "abcdef");
        assert_eq!(clipped("abcdefg", 6), "abcde…");
        assert_eq!(clipped("\u{202e}\u{202e}", 6), "⟨U+20…");
        assert_eq!(clipped("", 0), "");
    }
}
