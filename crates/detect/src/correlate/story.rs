//! Tells an incident: who, what, how bad, in words a person would use.

use super::{advice::advice, fold::View, is_named, is_weak, proof};
use crate::{crowds, findings::Findings, hosts::Hosts};
use model::{
    Evidence, Finding, FlowScope, Incident, IncidentAsset, Proof, Role, Severity, Tactic, Technique,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Assets and pieces of evidence that are shown.
const MAX_ASSETS: usize = 256;
const MAX_EVIDENCE: usize = 100;
/// Sentences of a summary.
const MAX_SENTENCES: usize = 7;
/// Addresses of one role that a summary lists.
const MAX_NAMED: usize = 12;

/// What an incident is made of, gathered once.
pub(super) struct Gathered<'a> {
    pub(super) findings: Vec<&'a Finding>,
    pub(super) assets: Vec<IncidentAsset>,
    pub(super) stages: Vec<Tactic>,
    pub(super) stories: u64,
    /// How many who act are told by their number only.
    pub(super) unlisted: u64,
}

impl Gathered<'_> {
    pub(super) fn with(&self, role: Role) -> impl Iterator<Item = &IncidentAsset> {
        self.assets.iter().filter(move |asset| asset.role == role)
    }

    pub(super) fn has(&self, detector: &str) -> bool {
        self.findings.iter().any(|finding| finding.detector == detector)
    }

    pub(super) fn has_any(&self, detectors: &[&str]) -> bool {
        detectors.iter().any(|detector| self.has(detector))
    }

    pub(super) fn is(&self, stage: Tactic) -> bool {
        self.stages.contains(&stage)
    }

    /// The finding that says most.
    pub(super) fn worst(&self) -> Option<&Finding> {
        self.findings.iter().copied().filter(|finding| !finding.supporting).max_by(|a, b| {
            (a.severity, a.confidence).cmp(&(b.severity, b.confidence)).then(b.first.cmp(&a.first))
        })
    }
}

pub(super) fn tell(view: &View, findings: &Findings, hosts: &Hosts, sources: &[String]) -> Incident {
    let mut gathered: Vec<&Finding> =
        view.findings.iter().filter_map(|&handle| findings.get(handle)).collect();
    gathered.sort_by(|a, b| (a.first, a.detector, &a.id).cmp(&(b.first, b.detector, &b.id)));
    let (assets, unlisted) = assets(&gathered, hosts);
    let mut stages: Vec<Tactic> = gathered.iter().map(|finding| finding.stage).collect();
    stages.sort_unstable();
    stages.dedup();
    let mut techniques: Vec<Technique> = gathered.iter().map(|finding| finding.technique.clone()).collect();
    techniques.sort_unstable();
    techniques.dedup();
    let story =
        Gathered { findings: gathered, assets, stages, stories: view.stories, unlisted: view.unlisted };
    let severity = severity(&story);
    let assets_omitted = unlisted + story.assets.len().saturating_sub(MAX_ASSETS) as u64;
    Incident {
        id: view.id.clone(),
        title: title(&story),
        severity,
        confidence: confidence(&story),
        techniques,
        first: view.first,
        last: view.last,
        assets_omitted,
        findings: story.findings.len() as u64,
        flows: flows(&story),
        summary: summary(&story),
        joined: view.joined.clone(),
        evidence: evidence(&story, sources),
        advice: advice(&story),
        supersedes: view.supersedes.clone(),
        stages: story.stages,
        assets: story.assets.into_iter().take(MAX_ASSETS).collect(),
    }
}

/// Everybody in it by their gravest role, the most important first; and how many the findings did not list.
fn assets(findings: &[&Finding], hosts: &Hosts) -> (Vec<IncidentAsset>, u64) {
    let mut by_address: BTreeMap<IpAddr, (IncidentAsset, usize)> = BTreeMap::new();
    let mut order = 0;
    for finding in findings {
        for party in finding.parties.iter().filter(|party| is_named(party, finding, hosts)) {
            let entry = by_address.entry(party.address).or_insert_with(|| {
                order += 1;
                let asset = IncidentAsset {
                    address: party.address,
                    mac: party.mac,
                    role: party.role,
                    proof: Proof::None,
                    home: party.home,
                };
                (asset, order)
            });
            entry.0.role = entry.0.role.min(party.role);
            entry.0.mac = entry.0.mac.or(party.mac);
            // Nobody is acted against for what is weak by itself, in whatever company it stands.
            if !is_weak(finding) {
                entry.0.proof = entry.0.proof.max(proof(party, hosts));
            }
        }
    }
    // Who acts for somebody else is infected, whichever finding said so.
    let controlled = by_address.values().any(|(asset, _)| asset.role == Role::Controller);
    let mut listed: Vec<(IncidentAsset, usize)> = by_address.into_values().collect();
    let runs_code = |address: IpAddr| {
        let received = |finding: &&&Finding| {
            finding.stage == Tactic::Execution
                && finding.parties.iter().any(|party| party.address == address && party.role == Role::Target)
        };
        findings.iter().any(|finding| received(&finding))
    };
    for (asset, _) in &mut listed {
        asset.mac = asset.mac.or_else(|| hosts.mac(asset.address));
        let obeys = asset.role == Role::Attacker || (asset.role == Role::Target && runs_code(asset.address));
        if controlled && asset.home && obeys {
            asset.role = Role::Infected;
        }
    }
    listed.sort_by_key(|(asset, order)| (asset.role, *order));
    let unlisted = findings.iter().map(|finding| finding.parties_omitted).max().unwrap_or(0);
    (listed.into_iter().map(|(asset, _)| asset).collect(), unlisted)
}

fn severity(story: &Gathered<'_>) -> Severity {
    let worst = story.worst().map_or(Severity::Info, |finding| finding.severity);
    let infected = story.with(Role::Infected).next().is_some();
    let acting = infected || story.with(Role::Attacker).next().is_some();
    let signs = [
        Tactic::InitialAccess,
        Tactic::CredentialAccess,
        Tactic::Execution,
        Tactic::CommandAndControl,
        Tactic::Impact,
    ];
    let shown = signs.into_iter().filter(|&stage| story.is(stage)).count();
    let obeys =
        story.is(Tactic::CommandAndControl) && (story.is(Tactic::Impact) || story.is(Tactic::Execution));
    if infected && worst >= Severity::High && (obeys || shown >= 3) {
        Severity::Critical
    } else if story.has_any(&["flood-outgoing", "scan-horizontal"]) && !acting {
        // Somebody did it in a name that could be forged: there is harm, and nobody to act against.
        worst.min(Severity::Medium)
    } else {
        worst
    }
}

/// One minus the product of the doubts, one doubt per detector.
fn confidence(story: &Gathered<'_>) -> u8 {
    let mut best: BTreeMap<&str, u8> = BTreeMap::new();
    for finding in &story.findings {
        let entry = best.entry(finding.detector).or_default();
        *entry = (*entry).max(finding.confidence);
    }
    let doubt: f64 = best.values().map(|&confidence| 1.0 - f64::from(confidence) / 100.0).product();
    ((1.0 - doubt) * 100.0).round().clamp(1.0, 99.0) as u8
}

/// Flows spoken of; findings about the same flows count once.
fn flows(story: &Gathered<'_>) -> u64 {
    let mut by_scope: BTreeMap<_, u64> = BTreeMap::new();
    for finding in &story.findings {
        let key = finding.scopes.first().map(|FlowScope { src, dst, port, .. }| (*src, *dst, *port));
        let entry = by_scope.entry(key).or_default();
        *entry = (*entry).max(finding.flows);
    }
    by_scope.values().sum()
}

fn evidence(story: &Gathered<'_>, sources: &[String]) -> Vec<Evidence> {
    // Where there is more than can be shown, the gravest of each detector stays.
    let mut chosen: Vec<&Finding> = story.findings.clone();
    if chosen.len() > MAX_EVIDENCE {
        let mut per_detector: BTreeMap<&str, usize> = BTreeMap::new();
        chosen.sort_by(|a, b| (b.severity, a.first).cmp(&(a.severity, b.first)));
        let share = MAX_EVIDENCE / 8;
        chosen.retain(|finding| {
            let count = per_detector.entry(finding.detector).or_default();
            *count += 1;
            *count <= share
        });
        chosen.truncate(MAX_EVIDENCE);
    }
    chosen.sort_by(|a, b| (a.decided, a.detector, &a.id).cmp(&(b.decided, b.detector, &b.id)));
    chosen
        .into_iter()
        .map(|finding| Evidence {
            at: finding.decided,
            detector: finding.detector.to_owned(),
            stage: finding.stage,
            why: finding.why.clone(),
            value: finding.value,
            threshold: finding.threshold,
            file: sources.get(finding.record.input as usize).cloned().unwrap_or_default(),
            record: finding.record.record,
        })
        .collect()
}

/// "a", "a and b", "a and 5 others".
fn names<'a>(assets: impl Iterator<Item = &'a IncidentAsset>) -> Option<String> {
    let all: Vec<String> = assets.map(|asset| asset.address.to_string()).collect();
    match all.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [one, two] => Some(format!("{one} and {two}")),
        [one, rest @ ..] => Some(format!("{one} and {} others", rest.len())),
    }
}

fn title(story: &Gathered<'_>) -> String {
    let infected = names(story.with(Role::Infected));
    let attacker = names(story.with(Role::Attacker));
    let controller = names(story.with(Role::Controller));
    let victim = names(story.with(Role::Victim));
    let target = names(story.with(Role::Target));
    let reflectors = story.with(Role::Reflector).count();
    let worst = story.worst().map(|finding| (finding.detector, finding.method.clone())).unwrap_or_default();
    if let (Some(infected), false) = (&infected, worst.0 == "stubborn-retries") {
        return title_infected(story, infected, controller, victim);
    }
    let at = |target: Option<String>| target.map(|target| format!(" at {target}")).unwrap_or_default();
    let of = |who: Option<String>| who.unwrap_or_else(|| "somebody".into());
    if story.stories > 1 || worst.0 == "foreign-reputation" {
        let acting = story.findings.iter().flat_map(|finding| crowds::acting(&finding.parties));
        let listed: BTreeSet<IpAddr> = acting.map(|party| party.address).collect();
        let sources = listed.len() as u64 + story.unlisted;
        return format!("{sources} sources {}{}", tried(worst.0, &worst.1), at(target));
    }
    match worst.0 {
        "stubborn-retries" => {
            format!(
                "{} calls {} again and again in vain",
                of(infected.or(target)),
                controller.unwrap_or_else(|| "somebody".into())
            )
        }
        "amplification" => format!(
            "{} is flooded with answers it never asked for, through {reflectors} reflectors",
            of(victim)
        ),
        "reflector" => format!("{} is used to flood {}", of(names(story.with(Role::Reflector))), of(victim)),
        "flood-incoming" => format!("{} is flooded ({})", of(victim), worst.1),
        "flood-outgoing" | "random-names" | "http-flood" | "connection-flood" => match attacker {
            Some(attacker) => format!("{attacker} floods {}", of(victim.or(target))),
            None if worst.0 == "connection-flood" => {
                format!("{} is flooded with connections", of(victim.or(target)))
            }
            None => format!("{} is flooded from addresses that can be forged", of(victim.or(target))),
        },
        "arp-spoofing" => format!("{} stands between {} and its neighbours", of(attacker), of(victim)),
        "rogue-dhcp" => format!("{} plays the DHCP server", of(attacker)),
        "unknown-device" => format!("{} is on a watched network and on no list", of(target)),
        "dhcp-starvation" => "Somebody exhausts the addresses of the DHCP server".into(),
        detector => match attacker {
            Some(attacker) => format!("{attacker} {}{}", tries(detector, &worst.1), at(target)),
            None => {
                format!("Somebody whose address can be forged {}{}", tries(detector, &worst.1), at(target))
            }
        },
    }
}

fn title_infected(
    story: &Gathered<'_>,
    infected: &str,
    controller: Option<String>,
    victim: Option<String>,
) -> String {
    let taken = story.has_any(&["guessed-login", "factory-login"]);
    let many = story.with(Role::Infected).count() > 1;
    let mut deeds = Vec::new();
    if taken {
        deeds.push(format!("{} taken over", if many { "were" } else { "was" }));
    } else {
        deeds.push(format!("{} infected", if many { "are" } else { "is" }));
    }
    if let Some(controller) = controller {
        deeds.push(format!("{} orders from {controller}", if many { "take" } else { "takes" }));
    }
    if story.is(Tactic::Impact) {
        let victims = victim.unwrap_or_else(|| "others".into());
        deeds.push(format!("{} {victims}", if many { "flood" } else { "floods" }));
    } else if story.is(Tactic::Reconnaissance) {
        deeds.push(format!("{} for others to attack", if many { "look" } else { "looks" }));
    }
    let (last, rest) =
        deeds.split_last().map_or((String::new(), Vec::new()), |(last, rest)| (last.clone(), rest.to_vec()));
    if rest.is_empty() {
        format!("{infected} {last}")
    } else {
        format!("{infected} {} and {last}", rest.join(", "))
    }
}

/// What one does: "guesses telnet passwords".
fn tries(detector: &str, method: &str) -> String {
    match detector {
        "password-guessing" | "password-spraying" => format!("guesses {method} passwords"),
        "guessed-login" => format!("guessed a {method} password"),
        "factory-login" => format!("got in by {method} with a factory password"),
        "code-delivery" => "sends code or commands that run it".into(),
        "scan-vertical" | "scan-vertical-slow" => "looks for open ports".into(),
        "scan-horizontal" | "scan-horizontal-slow" => {
            format!("looks for {}", method.strip_prefix("scan ").unwrap_or(method))
        }
        "arp-sweep" => "looks for neighbours".into(),
        "stubborn-retries" => "is called again and again in vain".into(),
        "foreign-reputation" => "has a bad name and sent something".into(),
        "honeypot-loader" => "loads a bot onto a honeypot".into(),
        "honeypot-login" | "honeypot-guessing" => format!("tries passwords ({method})"),
        "honeypot-visit" => "looks in".into(),
        "honeypot-relay" => "looks for a relay".into(),
        "scanner-name" => "looks for weak web pages".into(),
        _ => "set off other sensors' alerts".into(),
    }
}

/// What many do: "guess telnet passwords".
fn tried(detector: &str, method: &str) -> String {
    match detector {
        "password-guessing" | "password-spraying" => format!("guess {method} passwords"),
        "foreign-reputation" => "of bad name sent something".into(),
        "honeypot-loader" => {
            format!("load a bot onto a honeypot ({})", method.strip_prefix("honeypot ").unwrap_or(method))
        }
        "honeypot-login" | "honeypot-guessing" => format!("try passwords ({method})"),
        "honeypot-visit" => "look in".into(),
        "honeypot-relay" => "look for a relay".into(),
        detector if detector.starts_with("scan-vertical") => "look for open ports".into(),
        detector if detector.starts_with("scan-horizontal") => {
            format!("look for {}", method.strip_prefix("scan ").unwrap_or(method))
        }
        _ => "set off other sensors' alerts".into(),
    }
}

/// The story in order: the strongest statement of each detector, with how long after the first it came.
fn summary(story: &Gathered<'_>) -> String {
    let mut told: Vec<&Finding> = Vec::new();
    for finding in &story.findings {
        match told.iter_mut().find(|other| other.detector == finding.detector) {
            Some(other)
                if (finding.severity, finding.confidence, finding.flows)
                    > (other.severity, other.confidence, other.flows) =>
            {
                *other = finding;
            }
            Some(_) => {}
            None => told.push(finding),
        }
    }
    let more = story.findings.len() - told.len();
    told.sort_by_key(|finding| (finding.first, finding.detector));
    let Some(start) = told.first().map(|finding| finding.first) else { return String::new() };
    let mut sentences: Vec<String> = told
        .iter()
        .take(MAX_SENTENCES)
        .enumerate()
        .map(|(at, finding)| {
            let after = finding.first.seconds_since(start);
            let when =
                if at == 0 || after < 0.05 { String::new() } else { format!("{} later, ", duration(after)) };
            let sentence = format!("{when}{}.", finding.why);
            capitalised(&sentence)
        })
        .collect();
    if more > 0 {
        let (are, s) = if more == 1 { ("is", "") } else { ("are", "s") };
        sentences.push(format!("There {are} {more} further finding{s} of the same kinds."));
    }
    for (role, word) in
        [(Role::Controller, "Controllers"), (Role::Infected, "Infected"), (Role::Victim, "Victims")]
    {
        let all: Vec<String> = story.with(role).map(|asset| asset.address.to_string()).collect();
        let untold =
            all.iter().any(|address| !sentences.iter().any(|sentence| sentence.contains(address.as_str())));
        if untold {
            let more = if all.len() > MAX_NAMED {
                format!(" and {} more", all.len() - MAX_NAMED)
            } else {
                String::new()
            };
            let listed: Vec<String> = all.into_iter().take(MAX_NAMED).collect();
            sentences.push(format!("{word}: {}{more}.", listed.join(", ")));
        }
    }
    sentences.join(" ")
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
