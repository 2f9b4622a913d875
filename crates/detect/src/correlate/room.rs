//! Where there is no room for all, the least goes.
//!
//! Guarantees: stories and findings that wait for one go by severity, then by proof, then by age; a story goes as a
//! whole, and of one that grows without end the least findings go.

use super::Correlator;
use crate::{
    crowds,
    findings::{CAPACITY, Findings, Handle},
};
use model::{Finding, Proof, Severity, Timestamp};

/// Stories that are kept.
pub(super) const MAX_CASES: usize = 4_096;
/// Findings of one story that are kept.
const MAX_OF_CASE: usize = 2_048;
/// Room is made for so many at once, as a share.
const SHARE: usize = 16;

/// What a finding or a story weighs: the gravest that is said, and how sure it is who acts.
pub(super) type Weight = (Severity, Proof);

/// What a finding weighs by itself.
pub(super) fn weight(finding: &Finding) -> Weight {
    let proof = crowds::acting(&finding.parties).map(|party| party.proof).max();
    (finding.severity, proof.unwrap_or_default())
}

#[derive(Clone, Copy)]
enum Thing {
    Story(u32),
    /// It stands in no story.
    Alone(Handle),
}

impl Correlator {
    pub(super) fn make_room(&mut self, findings: &mut Findings) {
        if findings.open() > CAPACITY {
            self.trim(findings);
        }
        if findings.open() <= CAPACITY && self.cases.len() <= MAX_CASES {
            return;
        }
        let stories = self.cases.iter().map(|(&number, case)| (case.weight, case.last, Thing::Story(number)));
        let alone = findings
            .iter()
            .filter(|(handle, _)| !self.of_finding.contains_key(handle))
            .map(|(handle, finding)| (weight(finding), finding.last, Thing::Alone(handle)));
        let mut all: Vec<(Weight, Timestamp, Thing)> = stories.chain(alone).collect();
        all.sort_by_key(|&(weight, last, _)| (weight, last));
        for (_, _, thing) in all {
            let few_findings = findings.open() <= CAPACITY - CAPACITY / SHARE;
            let few_cases = self.cases.len() <= MAX_CASES - MAX_CASES / SHARE;
            match thing {
                _ if few_findings && few_cases => break,
                Thing::Story(number) => {
                    for handle in self.drop_case(number) {
                        self.shed += 1;
                        findings.forget(handle);
                    }
                }
                Thing::Alone(handle) if !few_findings => {
                    self.shed += 1;
                    findings.forget(handle);
                }
                Thing::Alone(_) => {}
            }
        }
    }

    /// Of stories that grow without end the least findings go.
    fn trim(&mut self, findings: &mut Findings) {
        for case in self.cases.values_mut().filter(|case| case.findings.len() > MAX_OF_CASE) {
            let key = |handle: &Handle| findings.get(*handle).map(|finding| (weight(finding), finding.last));
            case.findings.sort_by_key(|handle| std::cmp::Reverse(key(handle)));
            for handle in case.findings.split_off(MAX_OF_CASE - MAX_OF_CASE / SHARE) {
                self.shed += 1;
                self.of_finding.remove(&handle);
                findings.forget(handle);
            }
        }
    }
}
