//! Small pieces of pages: severities, moments, addresses, pages of a list.
//!
//! Guarantees: a [`Markup`] is only made here, of constant markup and escaped values; templates escape all else.

use crate::AppState;
use model::{AuthorityId, Severity, Timestamp};
use report::{clipped, escaped, words};
use std::{fmt, net::IpAddr};

/// Finished markup; templates write it with `|safe`.
#[derive(Clone, Debug, Default)]
pub(super) struct Markup(String);

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Markup {
    /// A drawing of the report crate, which escapes its texts itself.
    pub(super) const fn drawing(svg: String) -> Self {
        Self(svg)
    }

    /// Plain text.
    pub(super) fn text(text: &str) -> Self {
        Self(escaped(text))
    }
}

/// Shape and word of a severity.
pub(super) fn severity(severity: Severity) -> Markup {
    let word = severity.as_str();
    Markup(format!(
        r#"<span class="severity {word}"><span aria-hidden="true">{}</span> {word}</span>"#,
        severity.shape()
    ))
}

/// How long ago, with the exact moment on hover.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    Markup(format!(
        r#"<time datetime="{at}" title="{} UTC" data-ago>{}</time>"#,
        words::moment(at),
        escaped(&ago_words(at, now))
    ))
}

/// The exact moment in UTC.
pub(super) fn exact(at: Timestamp) -> Markup {
    Markup(format!(r#"<time datetime="{at}" title="{at}">{}</time>"#, words::moment(at)))
}

/// How long it still is until then.
pub(super) fn left(until: Timestamp, now: Timestamp) -> Markup {
    let left = until.micros_since(now).max(0);
    Markup(format!(
        r#"<time datetime="{until}" title="until {} UTC" data-left>{}</time>"#,
        words::moment(until),
        escaped(&words::span(left / 1_000_000 * 1_000_000))
    ))
}

fn ago_words(at: Timestamp, now: Timestamp) -> String {
    let micros = now.micros_since(at);
    let seconds = micros / 1_000_000;
    match seconds {
        ..-60 => format!("in {}", coarse(-seconds)),
        -60..=1 => "now".into(),
        _ => format!("{} ago", coarse(seconds)),
    }
}

/// One unit is enough for how long ago.
fn coarse(seconds: i64) -> String {
    match seconds {
        ..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", words::count((seconds / 86_400).unsigned_abs())),
    }
}

/// An id or an address, monospaced; the script puts a copy button beside it.
pub(super) fn code(text: &str) -> Markup {
    let text = escaped(text);
    Markup(format!(r#"<code data-copy="{text}">{text}</code>"#))
}

/// What an address of this server needs behind it to mean the record of `authority`: nothing for the node's own.
pub(super) fn of(state: &AppState, authority: &AuthorityId) -> String {
    if authority == state.authority() { String::new() } else { format!("?authority={authority}") }
}

/// An address as a link to the asset at it, by its name where there is one; `of` is from [`of`].
pub(super) fn address(address: IpAddr, name: Option<&str>, of: &str) -> Markup {
    let shown = match name {
        Some(name) => format!("{} <code>{address}</code>", escaped(&clipped(name, 80))),
        None => format!("<code>{address}</code>"),
    };
    Markup(format!(r#"<a class="thing" href="/assets/at/{address}{of}">{shown}</a>"#))
}

/// A path segment or a query value, percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A query string of the pairs that have a value.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let set: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={}", encoded(value)))
        .collect();
    if set.is_empty() { String::new() } else { format!("?{}", set.join("&")) }
}

/// Where a reader is in a list, and the ways on.
#[derive(Clone, Debug, Default)]
pub(super) struct Pager {
    pub(super) total: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) page: u32,
    pub(super) pages: u32,
    /// Addresses; empty where there is no such page.
    pub(super) previous: String,
    pub(super) next: String,
    pub(super) start: String,
    pub(super) end: String,
}

impl Pager {
    /// Of a page of a list; `link` makes the address of another page.
    pub(super) fn new<T>(page: &store::Page<T>, link: impl Fn(u32) -> String) -> Self {
        let pages = page.pages();
        let before = u64::from(page.page.saturating_sub(1)) * u64::from(page.per_page);
        let shown = page.items.len() as u64;
        let way = |open: bool, to: u32| if open { link(to) } else { String::new() };
        Self {
            total: page.total,
            first: if shown == 0 { 0 } else { before + 1 },
            last: before + shown,
            page: page.page,
            pages,
            previous: way(page.page > 1, page.page.saturating_sub(1).min(pages)),
            next: way(page.page < pages, page.page.saturating_add(1)),
            start: way(page.page > 2, 1),
            end: way(page.page.saturating_add(1) < pages, pages),
        }
    }

    pub(super) fn total(&self) -> String {
        words::count(self.total)
    }

    pub(super) fn range(&self) -> String {
        format!("{}–{}", words::count(self.first), words::count(self.last))
    }
}

/// A choice in a form.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) chosen: bool,
}

impl Choice {
    pub(super) fn new(value: &str, label: &str, chosen: &str) -> Self {
        Self { value: value.into(), label: label.into(), chosen: value == chosen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_is_one_unit() {
        let now = Timestamp::from_secs(1_000_000);
        for (before, expected) in [
            (0, "now"),
            (1, "now"),
            (42, "42 s ago"),
            (600, "10 min ago"),
            (7_300, "2 h ago"),
            (200_000, "2 d ago"),
            (-30, "now"),
            (-7_300, "in 2 h"),
        ] {
            assert_eq!(ago_words(now.plus_secs(-before), now), expected);
        }
    }

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(
            query(&[("text", "a&b=c d\"<é"), ("empty", ""), ("page", "2")]),
            "?text=a%26b%3Dc%20d%22%3C%C3%A9&page=2"
        );
        assert_eq!(query(&[("a", "")]), "");
    }

    #[test]
    fn pages_know_their_neighbours() {
        let page = |page, total, shown| store::Page { items: vec![(); shown], total, page, per_page: 50 };
        let pager = |of: store::Page<()>| Pager::new(&of, |page| page.to_string());
        let first = pager(page(1, 120, 50));
        assert_eq!((first.range().as_str(), first.previous.as_str(), first.next.as_str()), ("1–50", "", "2"));
        assert_eq!((first.start.as_str(), first.end.as_str()), ("", "3"));
        let last = pager(page(3, 120, 20));
        assert_eq!((last.range().as_str(), last.previous.as_str(), last.next.as_str()), ("101–120", "2", ""));
        assert_eq!(pager(page(1, 0, 0)).range(), "0–0");
        assert_eq!(pager(page(9, 120, 0)).previous, "3");
    }
}
