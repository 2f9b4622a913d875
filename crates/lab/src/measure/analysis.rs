//! What `bastide analyze` makes of the drill's captures, and whether that is what was lived.

use crate::error::{Error, Result, Tried};
use model::{Incident, Role, Severity};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::Path,
    process::{Command, Stdio},
};

/// What `analyze` says of one run's captures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Analysis {
    /// Incidents of medium severity or more: headline and severity.
    pub incidents: Vec<String>,
    /// Incidents of medium severity or more that the live run ended with.
    pub lived: usize,
    /// Of these, incidents that `analyze` has too: under the same id, or with the same part for the same addresses.
    pub same: usize,
    /// Of these, under the same id.
    pub same_id: usize,
    /// What differs, in words; empty where nothing does.
    pub differs: Vec<String>,
}

/// The part of the document that is looked at.
#[derive(Deserialize)]
struct Document {
    incidents: Vec<Incident>,
}

/// Analyses the captures of the router's interfaces, leaves the report, and compares.
pub(crate) fn compare(program: &Path, out: &Path, lived: &[Incident]) -> Result<Analysis> {
    let captures = ["street0", "wan0"].map(|name| out.join("pcap").join(format!("{name}.pcap")));
    let output = Command::new(program)
        .args(["analyze", "--format", "json", "--report"])
        .arg(out.join("report.html"))
        .args(&captures)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .tried(|| format!("start {} analyze", program.display()))?;
    let said = || -> String { String::from_utf8_lossy(&output.stderr).trim().chars().take(400).collect() };
    let document: Document = serde_json::from_slice(&output.stdout).map_err(|error| Error::Command {
        command: "bastide analyze".into(),
        said: format!("{error}: {}", said()),
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    std::fs::write(out.join("analysis.json"), text.as_bytes())
        .tried(|| format!("write {}", out.join("analysis.json").display()))?;
    Ok(difference(&document.incidents, lived))
}

fn difference(captured: &[Incident], lived: &[Incident]) -> Analysis {
    let serious = |all: &[Incident]| -> Vec<Incident> {
        all.iter().filter(|one| one.severity >= Severity::Medium).cloned().collect()
    };
    let (captured, lived) = (serious(captured), serious(lived));
    let same_id = |one: &Incident, other: &Incident| one.id == other.id;
    let same = |one: &Incident, other: &Incident| same_id(one, other) || actors(one) == actors(other);
    let missing = |of: &[Incident], from: &[Incident], place: &str| -> Vec<String> {
        of.iter()
            .filter(|one| !from.iter().any(|other| same(one, other)))
            .map(|one| format!("only {place}: {} ({})", one.title, one.id))
            .collect()
    };
    let count = |alike: &dyn Fn(&Incident, &Incident) -> bool| {
        lived.iter().filter(|one| captured.iter().any(|other| alike(one, other))).count()
    };
    let mut differs = missing(&lived, &captured, "lived");
    differs.extend(missing(&captured, &lived, "in the captures"));
    Analysis {
        incidents: captured
            .iter()
            .map(|incident| format!("{}: {}", incident.severity, incident.title))
            .collect(),
        lived: lived.len(),
        same: count(&same),
        same_id: count(&same_id),
        differs,
    }
}

/// Who acts in an incident, and how: what makes two accounts speak of the same attack. An id is made from the first
/// packet that was seen, and a sensor that reads two interfaces may see its two copies in either order.
fn actors(incident: &Incident) -> BTreeSet<(IpAddr, Role)> {
    let acts = |role| matches!(role, Role::Infected | Role::Attacker | Role::Controller | Role::Victim);
    incident.assets.iter().filter(|asset| acts(asset.role)).map(|asset| (asset.address, asset.role)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ContentHasher, IncidentAsset, IncidentId, Proof, Timestamp};

    fn incident(id: &str, severity: Severity, actors: &[(&str, Role)]) -> Incident {
        Incident {
            id: IncidentId::from_content(ContentHasher::new().part(id)),
            title: id.into(),
            severity,
            confidence: 90,
            stages: Vec::new(),
            techniques: Vec::new(),
            first: Timestamp::default(),
            last: Timestamp::default(),
            assets: actors
                .iter()
                .map(|(address, role)| IncidentAsset {
                    address: address.parse().unwrap(),
                    mac: None,
                    role: *role,
                    proof: Proof::None,
                    home: true,
                })
                .collect(),
            assets_omitted: 0,
            findings: 1,
            flows: 1,
            summary: String::new(),
            joined: Vec::new(),
            supersedes: Vec::new(),
            evidence: Vec::new(),
            advice: Vec::new(),
        }
    }

    #[test]
    fn the_same_attack_is_known_by_its_id_or_by_who_acts() {
        let bot = [("10.0.0.7", Role::Infected), ("10.0.0.9", Role::Target)];
        let other = [("10.0.0.8", Role::Infected)];
        let a = incident("a", Severity::High, &bot);
        let again = incident("b", Severity::High, &[("10.0.0.7", Role::Infected)]);
        let another = incident("c", Severity::High, &other);
        let low = incident("d", Severity::Low, &other);
        for (captured, lived, same, same_id, differs) in [
            (vec![a.clone()], vec![a.clone()], 1, 1, 0),
            (vec![again.clone()], vec![a.clone()], 1, 0, 0),
            (vec![another.clone()], vec![a.clone()], 0, 0, 2),
            (vec![a.clone(), low.clone()], vec![a.clone()], 1, 1, 0),
            (vec![], vec![a.clone()], 0, 0, 1),
        ] {
            let analysis = difference(&captured, &lived);
            assert_eq!((analysis.same, analysis.same_id, analysis.differs.len()), (same, same_id, differs));
        }
    }
}
