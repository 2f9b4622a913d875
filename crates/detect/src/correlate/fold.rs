//! What many strangers do in vain to one target is one row.
//!
//! A server on the internet is knocked at by hundreds; each in a row of its own hides the one that matters. Stories of
//! strangers outside that came to nothing are folded by target and method once there are more than a few; a story in
//! which something succeeded, or one of ours acts, is never folded.

use super::{Case, identity, is_named};
use crate::{
    crowds,
    findings::{Findings, Handle},
    hosts::Hosts,
    measure::digest,
};
use model::{Finding, Incident, IncidentId, Party, Role, Severity, Tactic, Timestamp};
use std::{collections::BTreeMap, net::IpAddr};

/// Stories of one kind that are still shown apart.
const APART: usize = 2;

/// One incident as it is shown: a story, or many folded.
pub(super) struct View {
    pub(super) id: IncidentId,
    /// The stories by their numbers.
    pub(super) cases: Vec<u32>,
    pub(super) findings: Vec<Handle>,
    pub(super) joined: Vec<String>,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) dirty: bool,
    pub(super) supersedes: Vec<IncidentId>,
    /// How many stories were folded; 1 for one that stands alone.
    pub(super) stories: u64,
    /// How many who act are told by their number only.
    pub(super) unlisted: u64,
}

/// What stories are folded by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    method: String,
    target: Option<IpAddr>,
}

/// All incidents as they are shown.
pub(super) fn views(cases: &BTreeMap<u32, Case>, findings: &Findings, hosts: &Hosts) -> Vec<View> {
    let mut apart = Vec::new();
    let mut classes: BTreeMap<Class, Vec<(u32, &Case)>> = BTreeMap::new();
    for (&number, case) in cases {
        match class(case, findings, hosts) {
            Some(class) => classes.entry(class).or_default().push((number, case)),
            None => apart.push(alone(number, case, findings)),
        }
    }
    for (class, cases) in classes {
        if cases.len() <= APART {
            apart.extend(cases.into_iter().map(|(number, case)| alone(number, case, findings)));
        } else {
            apart.push(folded(&class, &cases, findings));
        }
    }
    apart
}

fn alone(number: u32, case: &Case, findings: &Findings) -> View {
    let (stories, unlisted) = many(case, findings);
    View {
        id: case.id.clone(),
        cases: vec![number],
        findings: case.findings.clone(),
        joined: case.joined.clone(),
        first: case.first,
        last: case.last,
        dirty: case.dirty,
        supersedes: case.supersedes.clone(),
        stories,
        unlisted,
    }
}

/// For how many a story stands, and how many of them it does not list.
fn many(case: &Case, findings: &Findings) -> (u64, u64) {
    let crowds = case.findings.iter().filter_map(|&handle| Some((findings.crowd(handle)?, handle)));
    crowds.fold((1, 0), |(stories, unlisted), (crowd, handle)| {
        let more = findings.get(handle).map_or(0, |finding| finding.parties_omitted);
        (stories.max(crowd), unlisted + more)
    })
}

fn folded(class: &Class, stories: &[(u32, &Case)], findings: &Findings) -> View {
    let cases: Vec<&Case> = stories.iter().map(|&(_, case)| case).collect();
    let numbers = stories.iter().map(|&(number, _)| number).collect();
    let (stories, unlisted) = cases.iter().fold((0, 0), |sum, case| {
        let (stories, unlisted) = many(case, findings);
        (sum.0 + stories, sum.1 + unlisted)
    });
    let first = cases.iter().map(|case| case.first).min().unwrap_or_default();
    let last = cases.iter().map(|case| case.last).max().unwrap_or_default();
    let target = class.target.map(|target| target.to_string()).unwrap_or_default();
    let mut supersedes: Vec<IncidentId> = cases.iter().map(|case| case.id.clone()).collect();
    supersedes.extend(cases.iter().flat_map(|case| case.supersedes.iter().cloned()));
    supersedes.truncate(1_024);
    View {
        id: identity::of_fold(&class.method, &target, first),
        cases: numbers,
        findings: cases.iter().flat_map(|case| case.findings.iter().copied()).collect(),
        joined: vec![format!("{stories} sources did the same ({}) to the same target in vain", class.method)],
        first,
        last,
        dirty: cases.iter().any(|case| case.dirty),
        supersedes,
        stories,
        unlisted,
    }
}

/// The class of a story that may be folded; none where one of ours acts, something succeeded or harm was done.
fn class(case: &Case, findings: &Findings, hosts: &Hosts) -> Option<Class> {
    let all: Vec<&Finding> = case.findings.iter().filter_map(|&handle| findings.get(handle)).collect();
    let grave = |finding: &&Finding| {
        let acting = || crowds::acting(&finding.parties);
        let named = |party: &Party| is_named(party, finding, hosts);
        // What is done in names that could be forged is no worse than that (see `story`).
        let forged = acting().next().is_some() && !acting().any(named);
        finding.stage == Tactic::Impact
            || (finding.severity > Severity::Medium && !forged)
            || acting().any(|party| (party.home || party.role == Role::Infected) && named(party))
    };
    if all.is_empty() || all.iter().any(grave) {
        return None;
    }
    // The story is known by the worst that was tried.
    let worst = all.iter().max_by_key(|finding| (rank(finding), finding.severity))?;
    let many = worst.detector.starts_with("scan-horizontal")
        || case.findings.iter().any(|&handle| findings.crowd(handle).is_some());
    let mut targets = worst.parties.iter().filter(|party| matches!(party.role, Role::Target | Role::Victim));
    let target = if many { None } else { Some(targets.next()?.address) };
    Some(Class { method: method(worst), target })
}

/// How far an attempt went.
fn rank(finding: &Finding) -> u8 {
    match finding.detector {
        "foreign-reputation" => 0,
        "honeypot-visit" => 1,
        "foreign-alert" | "scanner-name" => 2,
        "honeypot-relay" => 3,
        "honeypot-guessing" => 4,
        "honeypot-login" => 5,
        "honeypot-loader" => 6,
        _ => 4,
    }
}

fn method(finding: &Finding) -> String {
    match finding.detector {
        "foreign-reputation" => "reputation".into(),
        "foreign-alert" => format!("alerts of {}", finding.stage),
        "honeypot-visit" => "visits".into(),
        detector if detector.starts_with("honeypot-") => format!("{detector} {}", finding.method),
        "password-guessing" | "password-spraying" => format!("guessing {}", finding.method),
        "scan-vertical" | "scan-vertical-slow" => "port scans".into(),
        "scan-horizontal" | "scan-horizontal-slow" => finding.method.clone(),
        other => format!("{other} {}", finding.method),
    }
}

/// What of an incident is worth telling again when it changes.
pub(super) fn fingerprint(incident: &Incident) -> u64 {
    let assets: Vec<_> =
        incident.assets.iter().map(|asset| (asset.address, asset.role as u8, asset.proof as u8)).collect();
    digest((
        incident.severity as u8,
        incident.confidence,
        &incident.title,
        assets,
        incident.assets_omitted,
        incident.findings,
        incident.supersedes.len(),
        incident.last.micros() / 10_000_000,
        incident.flows.checked_ilog2(),
    ))
}
