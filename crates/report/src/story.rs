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
    if critical > 0 {
        parts.push(format!("{} or did harm", attacks(critical, "succeeded")));
    }
    if high > 0 {
        parts.push(format!("{} a person now", attacks(high, if high == 1 { "needs" } else { "need" })));
    }
    if medium > 0 {
        parts.push(format!("{} a person today", attacks(medium, if medium == 1 { "needs" } else { "need" })));
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
