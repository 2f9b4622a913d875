//! One analysis against one truth.

use super::document::{Document, Incident, rank};
use crate::truth::Truth;
use serde::Serialize;
use std::{collections::BTreeSet, net::IpAddr};

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Judgement {
    /// What is wrong, in words; empty where all is right.
    pub faults: Vec<String>,
    /// Incidents of medium or more.
    pub incidents: usize,
    /// Incidents below that.
    pub minor: usize,
    /// Who acts or commands: rightly named, named in all, to be named.
    pub named: Ratio,
    /// Stages: told, to be told.
    pub stages: (usize, usize),
    /// Incidents of medium or more where nothing happened.
    pub false_incidents: u64,
    /// Seconds from the first packet of the attack to the first evidence; none where not found.
    pub delay: Option<f64>,
}

/// Right, said, true.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Ratio {
    /// Said and true.
    pub right: usize,
    /// Said.
    pub said: usize,
    /// True.
    pub truth: usize,
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    let shown: Vec<_> = addresses.iter().take(3).map(ToString::to_string).collect();
    let more = addresses.len().saturating_sub(3);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

const ACTING: [&str; 3] = ["attacker", "infected", "controller"];

/// Compares.
#[must_use]
pub fn judge(truth: &Truth, document: &Document) -> Judgement {
    let mut out = Judgement::default();
    out.incidents = document.that_matter().count();
    out.minor = document.incidents.len() - out.incidents;
    if out.incidents > truth.max_incidents {
        let titles: Vec<_> = document.that_matter().map(|incident| incident.title.as_str()).take(4).collect();
        out.faults.push(format!(
            "{} incidents, at most {}: {}",
            out.incidents,
            truth.max_incidents,
            titles.join(" | ")
        ));
    }
    // The innocent are safe in every row that is shown; a low row may name a source that only looked.
    let accused: BTreeSet<IpAddr> =
        document.incidents.iter().flat_map(|incident| incident.with_role(&ACTING)).collect();
    let wronged: BTreeSet<IpAddr> = accused.intersection(&truth.innocent).copied().collect();
    if !wronged.is_empty() && !truth.benign {
        out.faults.push(format!("innocent, but named: {}", list(&wronged)));
    }
    if truth.benign {
        out.false_incidents = out.incidents as u64;
        return out;
    }
    parties(truth, document, &accused, &mut out);
    stages(truth, document, &mut out);
    out
}

fn told<'d>(truth: &Truth, document: &'d Document) -> Vec<&'d Incident> {
    let least = rank(&truth.severity);
    document.incidents.iter().filter(|incident| rank(&incident.severity) >= least.min(2)).collect()
}

fn parties(truth: &Truth, document: &Document, accused: &BTreeSet<IpAddr>, out: &mut Judgement) {
    let incidents = told(truth, document);
    let all = |roles: &[&str]| -> BTreeSet<IpAddr> {
        incidents.iter().flat_map(|incident| incident.with_role(roles)).collect()
    };
    let mut missing = |what: &str, expected: &BTreeSet<IpAddr>, found: &BTreeSet<IpAddr>, share: f64| {
        let absent: BTreeSet<IpAddr> = expected.difference(found).copied().collect();
        if (absent.len() as f64) > expected.len() as f64 * (1.0 - share) {
            out.faults.push(format!("{what} not named: {}", list(&absent)));
        }
    };
    let acting: BTreeSet<IpAddr> = truth.acting().copied().collect();
    let found = all(&["attacker", "infected"]);
    missing("acting", &acting, &found, 1.0);
    missing("controller", &truth.controllers, &all(&["controller"]), 1.0);
    missing("victim", &truth.victims, &all(&["victim", "target"]), 1.0);
    let omitted: u64 = incidents.iter().map(|incident| incident.assets_omitted).sum();
    if omitted == 0 {
        missing("reflector", &truth.reflectors, &all(&["reflector"]), 0.9);
        missing("target", &truth.targets, &all(&["target", "victim", "infected"]), 0.8);
    }
    let mut guilty = acting;
    guilty.extend(&truth.controllers);
    out.named.truth = guilty.len();
    out.named.right = accused.intersection(&guilty).count();
    out.named.said = accused.difference(&truth.accomplices).count();
    let wrong: BTreeSet<IpAddr> = accused
        .difference(&guilty)
        .filter(|address| !truth.accomplices.contains(address) && !truth.innocent.contains(address))
        .copied()
        .collect();
    if !wrong.is_empty() {
        out.faults.push(format!("wrongly named attacker, infected or controller: {}", list(&wrong)));
    }
    let worst = incidents.iter().map(|incident| rank(&incident.severity)).max();
    if worst.is_none_or(|worst| worst < rank(&truth.severity)) && truth.severity != "info" {
        let said = worst.and_then(|worst| super::document::SEVERITIES.get(worst).copied());
        out.faults.push(format!(
            "severity {}, at least {}",
            said.unwrap_or("none: not found"),
            truth.severity
        ));
    }
    let decided = incidents.iter().filter_map(|incident| incident.decided("")).min();
    out.delay = decided.map(|at| (at - truth.begins) as f64 / 1e6);
    let allowed = truth.patience.max((truth.ends - truth.begins) as f64 / 1e6 + 60.0);
    if out.delay.is_some_and(|delay| delay > allowed) {
        out.faults.push(format!(
            "found after {:.0} s, expected within {allowed:.0} s",
            out.delay.unwrap_or_default()
        ));
    }
}

fn stages(truth: &Truth, document: &Document, out: &mut Judgement) {
    let said: BTreeSet<&str> = told(truth, document)
        .iter()
        .flat_map(|incident| incident.stages.iter().map(String::as_str))
        .collect();
    out.stages.1 = truth.stages.len();
    for stage in &truth.stages {
        if stage.split('|').any(|either| said.contains(either)) {
            out.stages.0 += 1;
        } else {
            out.faults.push(format!("stage {stage} not told"));
        }
    }
}
