//! What a document says as a whole, in sentences that a mayor reads.

use crate::{Document, Gap, words};
use model::{Incident, Severity, Timestamp};

/// How many incidents there are of a severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Of which severity.
    pub severity: Severity,
    /// How many.
    pub count: u64,
}

/// Incidents by severity, worst first, without the severities that do not occur.
#[must_use]
pub fn tally(incidents: &[Incident]) -> Vec<Tally> {
    let of = |severity| incidents.iter().filter(|incident| incident.severity == severity).count() as u64;
    let tallies =
        Severity::ALL.iter().rev().map(|severity| Tally { severity: *severity, count: of(*severity) });
    tallies.filter(|tally| tally.count > 0).collect()
}

/// The one sentence at the top of a document: never an all-clear where nothing was read.
#[must_use]
pub(crate) fn headline(document: &Document) -> String {
    let read: u64 = document.inputs.iter().map(|input| input.records).sum();
    if read == 0 && document.inputs.iter().any(|input| input.error.is_some()) {
        return "Nothing could be read, so nothing can be said.".into();
    }
    verdict(&document.incidents)
}

/// The one sentence at the top.
#[must_use]
pub fn verdict(incidents: &[Incident]) -> String {
    let of = |severity| incidents.iter().filter(|incident| incident.severity == severity).count() as u64;
    let (critical, high, medium) = (of(Severity::Critical), of(Severity::High), of(Severity::Medium));
    let rest = incidents.len() as u64 - critical - high - medium;
    let mut parts = Vec::new();
    // Each with its severity, for that is the word which the list below it uses.
    if critical > 0 {
        parts.push(format!("{} or did harm (critical)", attacks(critical, "succeeded")));
    }
    if high > 0 {
        parts
            .push(format!("{} a person now (high)", attacks(high, if high == 1 { "needs" } else { "need" })));
    }
    if medium > 0 {
        parts.push(format!(
            "{} a person today (medium)",
            attacks(medium, if medium == 1 { "needs" } else { "need" })
        ));
    }
    match (parts.is_empty(), rest) {
        (true, 0) => "Nothing that looks like an attack was found.".into(),
        (true, rest) => format!(
            "Nothing that needs a person was found; {} worth knowing.",
            words::counted(rest, "thing is", "things are")
        ),
        (false, 0) => format!("{}.", capital(&parts.join("; "))),
        (false, rest) => format!(
            "{}. {} can wait.",
            capital(&parts.join("; ")),
            words::counted(rest, "lesser incident", "lesser incidents")
        ),
    }
}

fn attacks(number: u64, verb: &str) -> String {
    let number = match number {
        1 => return format!("one attack {verb}"),
        2 => "two".into(),
        3 => "three".into(),
        more => words::count(more),
    };
    format!("{number} attacks {verb}")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// How much evidence of an incident is not among the first `most`: what the document still has (`within`), and what is
/// only counted. Each finding is one piece of evidence. Empty where nothing is left out.
#[must_use]
pub(crate) fn evidence_left_out(incident: &Incident, most: usize, within: &str) -> String {
    let kept = incident.evidence.len().saturating_sub(most) as u64;
    let counted = incident.findings.saturating_sub(incident.evidence.len() as u64);
    let kept = (kept > 0).then(|| format!("{} more in {within}", words::count(kept)));
    let counted = (counted > 0)
        .then(|| format!("{}, not listed", words::counted(counted, "finding counted", "findings counted")));
    let parts: Vec<String> = kept.into_iter().chain(counted).collect();
    if parts.is_empty() { String::new() } else { format!("and {}", parts.join("; ")) }
}

/// Inputs of one analysis rarely lie further apart than this.
const FAR_APART_SECS: f64 = 400.0 * 86_400.0;

/// A warning where the inputs span more time than anybody means to look at together.
#[must_use]
pub(crate) fn far_apart(document: &Document) -> Option<String> {
    let (first, last) = document.span()?;
    if last.seconds_since(first) < FAR_APART_SECS {
        return None;
    }
    let begins =
        document.inputs.iter().filter(|input| input.first.is_some()).min_by_key(|input| input.first)?;
    let ends = document.inputs.iter().max_by_key(|input| input.last)?;
    let (begins, ends) = (document.short_file(&begins.path), document.short_file(&ends.path));
    let (first, last) = (words::day(first), words::day(last));
    Some(if begins == ends {
        format!("{begins} reaches from {first} to {last}: was a clock wrong?")
    } else {
        format!(
            "{begins} begins on {first} and {ends} ends on {last}: was a clock wrong, or do they not belong together?"
        )
    })
}

/// The spans inside a document that no input covers.
#[must_use]
pub fn gaps(document: &Document) -> Vec<Gap> {
    let mut seen: Vec<(Timestamp, Timestamp)> =
        document.inputs.iter().filter_map(|input| Some((input.first?, input.last?))).collect();
    seen.sort();
    let mut gaps = Vec::new();
    let mut end: Option<Timestamp> = None;
    for (first, last) in seen {
        if let Some(end) = end
            && first > end
        {
            gaps.push(Gap { from: end, to: first, why: "no input covers this time".into() });
        }
        end = Some(end.map_or(last, |end| end.max(last)));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Input;

    #[test]
    fn inputs_far_apart_are_told() {
        let input = |path: &str, first: i64, last: i64| Input {
            path: path.into(),
            first: Some(Timestamp::from_secs(first)),
            last: Some(Timestamp::from_secs(last)),
            ..Input::default()
        };
        let check = |inputs: &[Input], expected: Option<&str>| {
            let document = Document { inputs: inputs.to_vec(), ..Document::default() };
            assert_eq!(far_apart(&document).as_deref(), expected);
        };
        let now = 1_700_000_000;
        let unread = Input { path: "c".into(), ..Input::default() };
        check(&[], None);
        check(&[input("a", now, now + 300 * 86_400)], None);
        let one = "a reaches from 1970-01-01 to 2023-11-14: was a clock wrong?";
        check(&[unread.clone(), input("/in/a", 5, now)], Some(one));
        let two = "a begins on 1970-01-01 and b ends on 2023-11-14: was a clock wrong, or do they not belong together?";
        check(&[unread, input("b", now - 5, now), input("a", 0, 9)], Some(two));
    }

    #[test]
    fn what_evidence_is_left_out_is_told() {
        let check = |findings: u64, shown: usize, expected: &str| {
            let record = serde_json::json!({
                "at": "2016-10-21T02:14:00.000000Z", "detector": "x", "stage": "impact", "why": "", "value": 1.0,
                "threshold": 1.0, "file": "x", "record": 1
            });
            let incident: Incident = serde_json::from_value(serde_json::json!({
                "id": "inc-0123456789abcdef", "title": "x", "severity": "low", "confidence": 1, "stages": [],
                "techniques": [], "first": "2016-10-21T02:14:00.000000Z", "last": "2016-10-21T02:14:00.000000Z",
                "assets": [], "assets_omitted": 0, "findings": findings, "flows": 0, "summary": "", "joined": [],
                "evidence": vec![record; shown], "advice": []
            }))
            .unwrap();
            assert_eq!(evidence_left_out(&incident, 6, "--format json"), expected);
        };
        check(6, 6, "");
        check(9, 9, "and 3 more in --format json");
        check(250, 100, "and 94 more in --format json; 150 findings counted, not listed");
        check(7, 6, "and 1 finding counted, not listed");
    }

    #[test]
    fn gaps_are_what_no_input_covers() {
        let at = Timestamp::from_secs;
        let input = |first, last| Input { first: Some(at(first)), last: Some(at(last)), ..Input::default() };
        let check = |spans: &[(i64, i64)], expected: &[(i64, i64)]| {
            let inputs = spans.iter().map(|(first, last)| input(*first, *last)).collect();
            let document = Document { inputs, ..Document::default() };
            let found: Vec<_> = gaps(&document).into_iter().map(|gap| (gap.from, gap.to)).collect();
            let expected: Vec<_> = expected.iter().map(|(from, to)| (at(*from), at(*to))).collect();
            assert_eq!(found, expected);
        };
        check(&[], &[]);
        check(&[(0, 10), (5, 20)], &[]);
        check(&[(50, 60), (0, 10), (0, 30)], &[(30, 50)]);
        check(&[(0, 1), (2, 3), (9, 9)], &[(1, 2), (3, 9)]);
    }
}
