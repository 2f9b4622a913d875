//! What an incident is called: who acts in it, and on which day of theirs it began.
//!
//! Guarantees: the same story has the same id however its packets were taken. Which copy of a packet came first, a
//! clock that is a moment off, a sensor that began to watch a little later or a capture that ends earlier change nothing.
//! Two stories of one subject never have the same id: what comes within a day of the last is the same story (`OVER`), so
//! another one begins on another day. That day begins at a time of its own for each subject, so that what happens at
//! midnight everywhere falls on no border; where it does, by a chance of one in ten million for a millisecond, the id
//! differs and nothing else.

use crate::measure::digest;
use model::{ContentHasher, Finding, IncidentId, Role, Timestamp};

/// The length of a subject's day: what separates two stories of one subject.
pub(super) const DAY_MICROS: i64 = 86_400_000_000;

/// The id of the story that this finding opens.
pub(super) fn of_story(finding: &Finding) -> IncidentId {
    let subject = subject(finding);
    called(&["story", &subject], finding.first)
}

/// The id of the story that this finding opens beside another one of the same subject that it has no part in.
pub(super) fn of_story_beside(finding: &Finding) -> IncidentId {
    let subject = subject(finding);
    called(&["beside", &subject, finding.detector, &finding.method], finding.first)
}

/// The id of many stories that are shown as one.
pub(super) fn of_fold(method: &str, target: &str, first: Timestamp) -> IncidentId {
    called(&["folded", method, target], first)
}

fn called(parts: &[&str], first: Timestamp) -> IncidentId {
    let phase = (digest(parts) % DAY_MICROS as u64) as i64;
    let day = first.micros().saturating_add(phase).div_euclid(DAY_MICROS);
    let hasher = parts.iter().fold(ContentHasher::new(), |hasher, part| hasher.part(part));
    IncidentId::from_content(hasher.part(day.to_be_bytes()))
}

/// Who acts, else who suffers; whether or not they may be named.
fn subject(finding: &Finding) -> String {
    let first = |roles: &[Role]| finding.parties.iter().find(|party| roles.contains(&party.role));
    first(&[Role::Infected, Role::Attacker])
        .or_else(|| first(&[Role::Victim]))
        .or_else(|| finding.parties.first())
        .map_or_else(|| finding.detector.to_owned(), |party| party.address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_makes_no_difference_and_a_day_does() {
        let parts = ["story", "10.0.0.5"];
        let start = Timestamp::from_secs(1_700_000_000);
        let id = |micros: i64| called(&parts, start.plus_micros(micros));
        let changes = |step: i64| (0..1_000).filter(|&at| id(at * step) != id((at + 1) * step)).count();
        assert_eq!(changes(1_000), 0, "a second");
        assert!(changes(60_000_000) <= 1, "less than a day");
        assert_eq!(changes(DAY_MICROS), 1_000, "a day each");
        assert_ne!(called(&["story", "10.0.0.6"], start), id(0));
    }
}
