//! The report for a terminal: calm, dense, aligned.
//!
//! Guarantees: colour only helps (shape and word say the same without it), no line is wider than asked where it can be
//! broken, nothing that a stranger wrote reaches the terminal as a control sequence, and the length is bounded.

use crate::{Document, html::worst_first, parties, story, visible, words};
use model::{Evidence, Incident, IncidentAsset, Severity};
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Incidents told in full; the others are a line each.
const MOST_DETAILED: usize = 20;
/// Incidents as a line.
const MOST_LINES: usize = 200;
/// Parties and records of one incident.
const MOST_PARTIES: usize = 8;
const MOST_EVIDENCE: usize = 6;
const MOST_SKIPPED: usize = 6;
/// Devices, and reasons of each.
const MOST_DEVICES: usize = 40;
const MOST_REASONS: usize = 3;
/// Letters of one text by a stranger.
const MOST_LETTERS: usize = 600;
const NARROWEST: usize = 40;
const WIDEST: usize = 140;

/// The report as text, `width` columns wide (40 to 140), with ANSI colours where asked.
#[must_use]
pub fn text(document: &Document, colour: bool, width: usize) -> String {
    let mut page = Page { document, out: String::new(), colour, width: width.clamp(NARROWEST, WIDEST) };
    page.head(document);
    let incidents = worst_first(&document.incidents);
    for incident in incidents.iter().take(MOST_DETAILED) {
        page.incident(incident);
    }
    page.others(&incidents);
    page.devices(document);
    page.inputs(document);
    page.out
}

struct Page<'d> {
    document: &'d Document,
    out: String,
    colour: bool,
    width: usize,
}

/// What a stretch of text is, for its colour.
#[derive(Clone, Copy)]
enum Ink {
    Plain,
    Bold,
    Quiet,
    Of(Severity),
    Trouble,
}

impl Page<'_> {
    fn head(&mut self, document: &Document) {
        let verdict = story::headline(document);
        self.wrapped(0, 0, Ink::Bold, &verdict);
        let totals = &document.totals;
        let mut facts = Vec::new();
        if let Some((first, last)) = document.span() {
            facts.push(words::between(first, last));
        }
        if totals.packets > 0 {
            facts.push(words::counted(totals.packets, "packet", "packets"));
        }
        // Alerts and sessions are no flows: what there was of them is said by events.
        facts.push(match totals.flows {
            0 => words::counted(totals.events, "event", "events"),
            flows => words::counted(flows, "flow", "flows"),
        });
        facts.push(words::counted(totals.findings, "finding", "findings"));
        facts.push(format!("analysed in {}", words::span((totals.seconds * 1e6) as i64)));
        self.wrapped(0, 0, Ink::Quiet, &facts.join(" · "));
        if let Some(warning) = story::far_apart(document) {
            self.wrapped(0, 2, Ink::Trouble, &format!("! {}", crate::clipped(&warning, MOST_LETTERS)));
        }
    }

    fn incident(&mut self, incident: &Incident) {
        self.out.push('\n');
        let mark = format!("{} {}", incident.severity.shape(), incident.severity);
        self.ink(Ink::Of(incident.severity), &mark);
        self.out.push_str("  ");
        let indent = mark.width() + 2;
        self.wrapped_after(indent, 2, Ink::Bold, &crate::clipped(&incident.title, MOST_LETTERS));
        self.wrapped(2, 2, Ink::Plain, &crate::clipped(&incident.summary, MOST_LETTERS));
        self.field(
            "when",
            &format!(
                "{} ({})",
                words::between(incident.first, incident.last),
                words::span(incident.last.micros_since(incident.first))
            ),
        );
        let stages: Vec<&str> = incident.stages.iter().map(|stage| stage.as_str()).collect();
        self.field("stages", &stages.join(" → "));
        self.field(
            "sure",
            &format!(
                "{} % ({}), {} about {}",
                incident.confidence,
                words::sureness(incident.confidence),
                words::counted(incident.findings, "finding", "findings"),
                words::counted(incident.flows, "flow", "flows")
            ),
        );
        self.parties(incident);
        self.evidence(incident);
        for (index, advice) in incident.advice.iter().take(MOST_PARTIES).enumerate() {
            let label = if index == 0 { "do" } else { "" };
            self.field(label, &format!("{}. {}", index + 1, crate::clipped(advice, MOST_LETTERS)));
        }
        self.field("id", incident.id.as_str());
    }

    fn parties(&mut self, incident: &Incident) {
        let shown = parties::foremost(&incident.assets, MOST_PARTIES);
        let widest = shown.iter().map(|asset| asset.address.to_string().width()).max().unwrap_or(0);
        for (index, asset) in shown.into_iter().enumerate() {
            let label = if index == 0 { "who" } else { "" };
            self.field(label, &party(asset, widest));
        }
        let more = incident.assets.len().saturating_sub(MOST_PARTIES) as u64 + incident.assets_omitted;
        if incident.assets.is_empty() && more == 0 {
            self.field("who", "nobody that could be named: the addresses could be forged");
        } else if more > 0 {
            self.field("", &format!("and {} more", words::count(more)));
        }
    }

    fn evidence(&mut self, incident: &Incident) {
        for (index, evidence) in incident.evidence.iter().take(MOST_EVIDENCE).enumerate() {
            let label = if index == 0 { "evidence" } else { "" };
            let line = shown(evidence, self.document.short_file(&evidence.file));
            self.field(label, &line);
        }
        self.field("", &story::evidence_left_out(incident, MOST_EVIDENCE, "--format json"));
    }

    /// The incidents that are not told in full, a line each.
    fn others(&mut self, incidents: &[&Incident]) {
        let rest = incidents.get(MOST_DETAILED..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let _ = writeln!(self.out, "\n{} more:", words::counted(rest.len() as u64, "incident", "incidents"));
        for incident in rest.iter().take(MOST_LINES) {
            let mark = format!("{} {:<8}", incident.severity.shape(), incident.severity);
            self.out.push_str("  ");
            self.ink(Ink::Of(incident.severity), &mark);
            let line = format!("  {}  {}", words::moment(incident.first), visible(&incident.title));
            let room = self.width.saturating_sub(2 + mark.width());
            let _ = writeln!(self.out, "{}", cut(&line, room));
        }
        let hidden = rest.len().saturating_sub(MOST_LINES);
        if hidden > 0 {
            let _ = writeln!(self.out, "  and {} more (--format json has all)", words::count(hidden as u64));
        }
    }

    /// What stands behind the traffic, and why that is thought.
    fn devices(&mut self, document: &Document) {
        if document.devices.is_empty() {
            return;
        }
        self.out.push_str("\ndevices\n");
        for device in document.devices.iter().take(MOST_DEVICES) {
            let line = crate::clipped(&words::device(device), MOST_LETTERS);
            self.wrapped(2, 4, Ink::Plain, &line);
            for reason in device.reasons.iter().take(MOST_REASONS).chain(device.joined.first()) {
                self.wrapped(4, 6, Ink::Quiet, &crate::clipped(reason, MOST_LETTERS));
            }
        }
        let hidden = document.devices.len().saturating_sub(MOST_DEVICES);
        if hidden > 0 {
            let _ = writeln!(self.out, "  and {} more (--format json has all)", words::count(hidden as u64));
        }
    }

    fn inputs(&mut self, document: &Document) {
        if document.inputs.is_empty() {
            return;
        }
        self.out.push_str("\nread\n");
        for input in document.inputs.iter().take(MOST_LINES) {
            let format = input.format.as_deref().unwrap_or("not recognised");
            let line = format!(
                "{}  {}, {}, {}",
                crate::clipped(&input.path, MOST_LETTERS),
                crate::clipped(format, 40),
                words::counted(input.records, "record", "records"),
                words::bytes(input.bytes)
            );
            self.wrapped(2, 4, Ink::Plain, &line);
            for skipped in input.skipped.iter().take(MOST_SKIPPED) {
                let reason = crate::clipped(&skipped.reason, MOST_LETTERS);
                self.wrapped(
                    4,
                    6,
                    Ink::Quiet,
                    &format!("left aside {}: {reason}", words::count(skipped.count)),
                );
            }
            let more: u64 = input
                .skipped
                .iter()
                .skip(MOST_SKIPPED)
                .map(|skipped| skipped.count)
                .fold(0, u64::saturating_add);
            if more > 0 {
                self.wrapped(
                    4,
                    6,
                    Ink::Quiet,
                    &format!("left aside {} for other reasons", words::count(more)),
                );
            }
            if let Some(error) = &input.error {
                self.wrapped(4, 6, Ink::Trouble, &format!("! {}", crate::clipped(error, MOST_LETTERS)));
            }
        }
        let hidden = document.inputs.len().saturating_sub(MOST_LINES);
        if hidden > 0 {
            let _ = writeln!(self.out, "  and {} more inputs", words::count(hidden as u64));
        }
    }

    fn field(&mut self, label: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.out.push_str("  ");
        self.ink(Ink::Quiet, &format!("{label:<10}"));
        self.wrapped_after(12, 12, Ink::Plain, value);
    }

    fn wrapped(&mut self, first: usize, rest: usize, ink: Ink, text: &str) {
        self.out.extend(std::iter::repeat_n(' ', first));
        self.wrapped_after(first, rest, ink, text);
    }

    /// Writes a text of which `used` columns of the first line are taken; further lines begin at `rest`.
    fn wrapped_after(&mut self, used: usize, rest: usize, ink: Ink, text: &str) {
        for (index, line) in
            lines(text, self.width.saturating_sub(used), self.width.saturating_sub(rest)).iter().enumerate()
        {
            if index > 0 {
                self.out.extend(std::iter::repeat_n(' ', rest));
            }
            self.ink(ink, line);
            self.out.push('\n');
        }
    }

    fn ink(&mut self, ink: Ink, text: &str) {
        let code = match ink {
            Ink::Plain => "",
            Ink::Bold => "1",
            Ink::Quiet => "2",
            Ink::Trouble => "33",
            Ink::Of(Severity::Critical) => "1;35",
            Ink::Of(Severity::High) => "1;31",
            Ink::Of(Severity::Medium) => "33",
            Ink::Of(Severity::Low) => "36",
            Ink::Of(Severity::Info) => "2",
        };
        if self.colour && !code.is_empty() {
            let _ = write!(self.out, "\u{1b}[{code}m{text}\u{1b}[0m");
        } else {
            self.out.push_str(text);
        }
    }
}

fn party(asset: &IncidentAsset, widest: usize) -> String {
    let mac = asset.mac.map(|mac| format!("  {mac}")).unwrap_or_default();
    format!("{:<10}  {:<widest$}  {}{mac}", asset.role, asset.address.to_string(), words::side(asset))
}

fn shown(evidence: &Evidence, file: &str) -> String {
    format!(
        "{}  {}: {} [{} against {}; {}:{}]",
        words::clock(evidence.at),
        crate::clipped(&evidence.detector, 80),
        crate::clipped(&evidence.why, MOST_LETTERS),
        words::figure(evidence.value),
        words::figure(evidence.threshold),
        crate::clipped(file, 120),
        evidence.record
    )
}

/// The text up to a number of columns.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        shown.push(c);
    }
    shown.push('…');
    shown
}

/// Breaks at blanks; a word wider than a line is broken where it must. Runs of blanks (columns) are kept.
fn lines(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    let mut room = first.max(8);
    for (blanks, word) in pieces(text) {
        let wide = word.width();
        if used > 0 && used + blanks + wide > room {
            lines.push(String::new());
            used = 0;
            room = rest.max(8);
        } else if let Some(line) = lines.last_mut() {
            line.extend(std::iter::repeat_n(' ', blanks));
            used += blanks;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > room {
                lines.push(String::new());
                used = 0;
                room = rest.max(8);
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += wide;
        }
    }
    lines
}

/// Words, each with the number of blanks before it.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut blanks = 0;
    text.split(' ').filter_map(move |word| {
        if word.is_empty() {
            blanks += 1;
            return None;
        }
        let before = blanks;
        blanks = 1;
        Some((before, word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_never_overflow() {
        let check = |text: &str, first, rest, expected: &[&str]| {
            assert_eq!(lines(text, first, rest), expected, "{text}")
        };
        check("one two three", 8, 9, &["one two", "three"]);
        check("", 8, 8, &[""]);
        check("a  b", 8, 8, &["a  b"]);
        check("abcdefghijkl", 8, 8, &["abcdefgh", "ijkl"]);
        check("摄像头摄像头", 8, 8, &["摄像头摄", "像头"]);
    }

    #[test]
    fn lines_that_do_not_fit_are_cut() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("摄像头", 5), "摄像…");
    }
}
