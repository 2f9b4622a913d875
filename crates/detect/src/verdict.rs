//! What each flow comes to in the light of the incidents.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::{Finding, FlowKey, FlowScope, IncidentId, Severity, Tactic, Timestamp};
use serde::Serialize;
use std::net::IpAddr;

/// What a flow is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing speaks of it.
    #[default]
    Benign,
    /// A finding speaks of it that came to no incident, or to one below medium.
    Suspicious,
    /// Evidence in an incident of medium or more.
    Malicious,
}

/// A flow's verdict with what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowVerdict {
    /// What it is.
    pub verdict: Verdict,
    /// The stages of the findings that speak of it.
    pub stages: Vec<Tactic>,
    /// The gravest incident that it is evidence in.
    pub incident: Option<IncidentId>,
}

/// So many statements about flows of stories that are over are kept.
const MAX_SPOKEN: usize = 1 << 19;

struct Spoken {
    scope: FlowScope,
    stage: Tactic,
    incident: Option<(Severity, IncidentId)>,
}

/// Looks up flows among all that findings speak of.
#[derive(Default)]
pub struct Verdicts {
    spoken: HashMap<(Option<IpAddr>, Option<IpAddr>), Vec<Spoken>, FixedState>,
    count: usize,
}

impl Verdicts {
    /// A finding speaks of its flows, as evidence in an incident where it came to one.
    pub(crate) fn speak(&mut self, finding: &Finding, incident: Option<&(Severity, IncidentId)>) {
        // Regularity alone is no reason to suspect anybody.
        if incident.is_none() && finding.severity == Severity::Info {
            return;
        }
        for &scope in finding.scopes.iter().take(MAX_SPOKEN.saturating_sub(self.count)) {
            let spoken = Spoken { scope, stage: finding.stage, incident: incident.cloned() };
            self.spoken.entry((scope.src, scope.dst)).or_default().push(spoken);
            self.count += 1;
        }
    }

    /// What a flow that lived from `first` to `last` comes to.
    #[must_use]
    pub fn of(&self, key: &FlowKey, first: Timestamp, last: Timestamp) -> FlowVerdict {
        let mut found = FlowVerdict::default();
        let mut worst: Option<&(Severity, IncidentId)> = None;
        for ends in
            [(Some(key.src), Some(key.dst)), (Some(key.src), None), (None, Some(key.dst)), (None, None)]
        {
            for spoken in self
                .spoken
                .get(&ends)
                .into_iter()
                .flatten()
                .filter(|spoken| covers(&spoken.scope, key, first, last))
            {
                if !found.stages.contains(&spoken.stage) {
                    found.stages.push(spoken.stage);
                }
                let verdict = match &spoken.incident {
                    Some((severity, _)) if *severity >= Severity::Medium => Verdict::Malicious,
                    _ => Verdict::Suspicious,
                };
                found.verdict = found.verdict.max(verdict);
                if let Some(incident) = &spoken.incident
                    && worst.is_none_or(|worst| incident.0 > worst.0)
                {
                    worst = Some(incident);
                }
            }
        }
        found.stages.sort_unstable();
        found.incident = worst.map(|(_, id)| id.clone());
        found
    }
}

fn covers(scope: &FlowScope, key: &FlowKey, first: Timestamp, last: Timestamp) -> bool {
    scope.port.is_none_or(|port| port == key.dst_port)
        && scope.protocol.is_none_or(|protocol| protocol == key.protocol)
        && first <= scope.last
        && last >= scope.first
}
