//! What `bastide analyze` makes of the drill's captures, and whether that is what was lived.

use crate::{
    error::{Error, Result, Tried},
    measure::outcome::Outcome,
};
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
    /// All incidents.
    pub all: usize,
    /// Incidents that the live run told of and that `analyze` has under the same id.
    pub same: usize,
    /// Incidents that the live run told of.
    pub told: usize,
    /// What differs, in words; empty where nothing does.
    pub differs: Vec<String>,
    /// Devices that it calls infected.
    pub infected: Vec<IpAddr>,
}

/// The part of the document that is looked at.
#[derive(Deserialize)]
struct Document {
    incidents: Vec<Incident>,
}

/// Analyses the captures of the router's interfaces, leaves the report, and compares.
pub(crate) fn compare(program: &Path, out: &Path, outcome: &Outcome) -> Result<Analysis> {
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
    Ok(difference(&document.incidents, outcome))
}

fn difference(incidents: &[Incident], outcome: &Outcome) -> Analysis {
    let serious: Vec<&Incident> = incidents.iter().filter(|one| one.severity >= Severity::Medium).collect();
    let ids: BTreeSet<String> = incidents.iter().map(|incident| incident.id.to_string()).collect();
    let told: BTreeSet<&String> = outcome.told.iter().map(|told| &told.id).collect();
    let mut differs: Vec<String> = Vec::new();
    for told in &outcome.told {
        let line = format!("only lived: {} ({})", told.title, told.id);
        if !ids.contains(&told.id) && !differs.contains(&line) {
            differs.push(line);
        }
    }
    for incident in serious.iter().filter(|incident| !told.contains(&incident.id.to_string())) {
        differs.push(format!("only in the captures: {} ({})", incident.title, incident.id));
    }
    let infected: BTreeSet<IpAddr> = serious
        .iter()
        .flat_map(|incident| &incident.assets)
        .filter(|asset| asset.role == Role::Infected)
        .map(|asset| asset.address)
        .collect();
    Analysis {
        incidents: serious
            .iter()
            .map(|incident| format!("{}: {}", incident.severity, incident.title))
            .collect(),
        all: incidents.len(),
        same: told.iter().filter(|id| ids.contains(**id)).count(),
        told: told.len(),
        differs,
        infected: infected.into_iter().collect(),
    }
}
