//! The captures and logs that nobody here made, against what their notes say of them.

use super::{
    Analyzer, Row,
    document::{Document, Incident, rank},
};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

/// What the benign captures gave.
#[derive(Default)]
pub(super) struct Benign {
    /// Their device-days.
    pub device_days: f64,
    /// Incidents of medium or more in them.
    pub false_incidents: u64,
}

type Check = fn(&Document, &Path, &mut Vec<Row>) -> Result<()>;

/// Fills the table.
pub(super) fn evaluate(analyzer: &Analyzer, data: &Path, rows: &mut Vec<Row>) -> Benign {
    let mut benign = Benign::default();
    for name in ["blink-cam-01.pcap", "lockly-hub-01.pcap", "sifely-hub-01.pcap"] {
        match run(analyzer, &data.join(name), rows, name) {
            Some(document) => {
                let count = document.that_matter().count();
                benign.false_incidents += count as u64;
                benign.device_days += 7.2;
                rows.push(Row::new(name, "incidents of medium or more", "0", count, count == 0));
                let low = document.incidents.iter().filter(|incident| incident.severity == "low").count();
                rows.push(Row::new(name, "low incidents", "at most 1", low, low <= 1));
            }
            None => continue,
        }
    }
    let path = data.join("iot23-34-1-mirai.conn.log.labeled");
    if let Err(error) = iot23(analyzer, &path, rows) {
        rows.push(Row::new("iot23-34-1", "analysed", "yes", format!("{error:#}"), false));
    }
    let checks: [(&str, Check); 6] = [
        ("malicious-ssh-bruteforce.pcap", ssh),
        ("pkt.TCP.synflood.spoofed.pcap", syn_flood),
        ("amp.dns.RRSIG.fragmented.pcap", amplification),
        ("cowrie.json.2019-12-03.gz", cowrie),
        ("slips-test6-malicious.suricata.json.gz", slips),
        ("eve.json.8.gz", internet),
    ];
    for (name, check) in checks {
        let path = data.join(name);
        if let Some(document) = run(analyzer, &path, rows, name)
            && let Err(error) = check(&document, &path, rows)
        {
            rows.push(Row::new(name, "judged", "yes", format!("{error:#}"), false));
        }
    }
    let name = "sv-telnet.pcap";
    if let Some(document) = run(analyzer, &data.join(name), rows, name) {
        let count = document.that_matter().count();
        rows.push(Row::new(name, "incidents of medium or more", "0", count, count == 0));
    }
    benign
}

fn run(analyzer: &Analyzer, path: &Path, rows: &mut Vec<Row>, name: &str) -> Option<Document> {
    match analyzer.run(&[path], &[]) {
        Ok(document) => Some(document),
        Err(error) => {
            rows.push(Row::new(name, "analysed", "yes", format!("{error:#}"), false));
            None
        }
    }
}

fn everybody(document: &Document, roles: &[&str]) -> BTreeSet<IpAddr> {
    document.incidents.iter().flat_map(|incident| incident.with_role(roles)).collect()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn stages(document: &Document) -> BTreeSet<&str> {
    document.incidents.iter().flat_map(|incident| incident.stages.iter().map(String::as_str)).collect()
}

fn one_incident(name: &str, document: &Document, rows: &mut Vec<Row>) {
    let count = document.incidents.len();
    rows.push(Row::new(name, "incidents", "1", count, count == 1));
}

fn ssh(document: &Document, _: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let name = "ssh-bruteforce";
    one_incident(name, document, rows);
    let acting = everybody(document, &["attacker", "infected"]);
    let right = acting == BTreeSet::from([address("147.32.80.40")]);
    rows.push(Row::new(name, "attacker", "147.32.80.40 alone", format!("{acting:?}"), right));
    let aims = everybody(document, &["target", "victim"]);
    rows.push(Row::new(
        name,
        "target",
        "147.32.80.37",
        format!("{aims:?}"),
        aims.contains(&address("147.32.80.37")),
    ));
    let told = stages(document).contains("credential-access");
    rows.push(Row::new(name, "stage credential-access", "told", told, told));
    Ok(())
}

fn syn_flood(document: &Document, _: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let name = "synflood.spoofed";
    one_incident(name, document, rows);
    let victims = everybody(document, &["victim"]);
    let right = victims == BTreeSet::from([address("10.10.10.10")]);
    rows.push(Row::new(name, "victim", "10.10.10.10 alone", format!("{victims:?}"), right));
    let others: usize =
        document.incidents.iter().map(|incident| incident.assets.len()).sum::<usize>() - victims.len();
    let omitted: u64 = document.incidents.iter().map(|incident| incident.assets_omitted).sum();
    let listed = others as u64 + omitted;
    rows.push(Row::new(name, "sources listed", "0", listed, listed == 0));
    Ok(())
}

fn amplification(document: &Document, path: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let name = "amp.dns";
    one_incident(name, document, rows);
    let victims = everybody(document, &["victim"]);
    let right = victims == BTreeSet::from([address("10.10.10.10")]);
    rows.push(Row::new(name, "victim", "10.10.10.10 alone", format!("{victims:?}"), right));
    let truth = answering_from(path, 53)?;
    let said = everybody(document, &["reflector"]);
    let both = truth.intersection(&said).count() as f64;
    let precision = both / said.len().max(1) as f64;
    let recall = both / truth.len().max(1) as f64;
    let of = format!("{precision:.3} ({} named)", said.len());
    rows.push(Row::new(name, "reflectors, precision", "at least 0.9", of, precision >= 0.9));
    let of = format!("{recall:.3} of {}", truth.len());
    rows.push(Row::new(name, "reflectors, recall", "at least 0.9", of, recall >= 0.9));
    let blamed = everybody(document, &["attacker", "infected", "controller"]);
    rows.push(Row::new(
        name,
        "called attacker, infected or controller",
        "nobody",
        format!("{blamed:?}"),
        blamed.is_empty(),
    ));
    let told = stages(document).contains("impact");
    rows.push(Row::new(name, "stage impact", "told", told, told));
    Ok(())
}

/// Who sends IPv4 UDP from that port, by the first fragments.
fn answering_from(path: &Path, port: u16) -> Result<BTreeSet<IpAddr>> {
    let capture = crate::traffic::read(path)?;
    let mut out = BTreeSet::new();
    for (_, _, frame) in &capture.frames {
        let Some(packet) = frame.get(14..).filter(|_| frame.get(12..14) == Some(&[8, 0])) else { continue };
        let Some([first, _, _, _, _, _, high, low, _, 17, _, _, a, b, c, d]) = packet.first_chunk::<16>()
        else {
            continue;
        };
        let header = usize::from(first & 15) * 4;
        let later = u16::from_be_bytes([*high, *low]) & 0x1fff != 0;
        if !later && packet.get(header..header + 2) == Some(&port.to_be_bytes()) {
            out.insert(IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d)));
        }
    }
    Ok(out)
}

fn cowrie(document: &Document, _: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let name = "cowrie day";
    let count = document.incidents.len();
    rows.push(Row::new(name, "incidents", "1 to 40", count, (1..=40).contains(&count)));
    let has = |incident: &&Incident, stage: &str| incident.stages.iter().any(|told| told == stage);
    let loaders = document.incidents.iter().filter(|incident| has(incident, "execution")).count();
    let guessing = document
        .incidents
        .iter()
        .filter(|incident| has(incident, "credential-access") && !has(incident, "execution"))
        .count();
    let of = format!("{loaders} with execution, {guessing} with guessing alone");
    rows.push(Row::new(
        name,
        "loaders told apart from guessing",
        "both kinds",
        of,
        loaders > 0 && guessing > 0,
    ));
    Ok(())
}

fn slips(document: &Document, _: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let name = "slips eve";
    let count = document.incidents.len();
    rows.push(Row::new(name, "incidents", "1 to 10", count, (1..=10).contains(&count)));
    let largest = document
        .incidents
        .iter()
        .filter(|incident| rank(&incident.severity) <= 1)
        .max_by_key(|incident| incident.findings);
    let of = largest
        .map_or("none".to_owned(), |incident| format!("{} findings: {}", incident.findings, incident.title));
    rows.push(Row::new(name, "reputation hits", "one low row", of, largest.is_some()));
    Ok(())
}

fn internet(document: &Document, _: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let name = "internet eve";
    let count = document.incidents.len();
    rows.push(Row::new(name, "incidents", "at most 20", count, count <= 20));
    let critical = document.incidents.iter().filter(|incident| incident.severity == "critical").count();
    rows.push(Row::new(name, "critical", "0", critical, critical == 0));
    Ok(())
}

#[derive(Deserialize)]
struct Verdict {
    uid: Option<String>,
    verdict: String,
    #[serde(default)]
    stages: Vec<String>,
}

struct Labelled {
    uid: String,
    at: f64,
    responder: IpAddr,
    port: u16,
    label: String,
}

/// The labelled flows; the label's fields are separated by spaces.
fn labels(path: &Path) -> Result<Vec<Labelled>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut out = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [at, uid, _, _, responder, port, ..] = fields.as_slice() else { continue };
        out.push(Labelled {
            uid: (*uid).to_owned(),
            at: at.parse().unwrap_or_default(),
            responder: address(responder),
            port: port.parse().unwrap_or_default(),
            label: fields.last().copied().unwrap_or_default().to_owned(),
        });
    }
    Ok(out)
}

fn iot23(analyzer: &Analyzer, path: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let name = "iot23-34-1";
    let dir = tempfile::tempdir()?;
    let flows = dir.path().join("flows.ndjson");
    let document = analyzer.run(&[path], &["--flows", &flows.to_string_lossy()])?;
    let (labels, verdicts) = (labels(path)?, verdicts(&flows)?);
    let count = document.incidents.len();
    rows.push(Row::new(name, "incidents", "1 to 3", count, (1..=3).contains(&count)));
    let of = format!("{} of {}", verdicts.len(), labels.len());
    rows.push(Row::new(name, "flows told", "all", of, verdicts.len() == labels.len()));
    let infected = everybody(&document, &["infected"]);
    let right = infected == BTreeSet::from([address("192.168.1.195")]);
    rows.push(Row::new(name, "infected", "192.168.1.195 alone", format!("{infected:?}"), right));
    let controllers = everybody(&document, &["controller"]);
    let right = controllers.contains(&address("185.244.25.235"));
    rows.push(Row::new(name, "controller", "185.244.25.235", format!("{controllers:?}"), right));
    targets(name, &document, &labels, rows);
    for stage in ["command-and-control", "impact"] {
        let told = stages(&document).contains(stage);
        rows.push(Row::new(name, &format!("stage {stage}"), "told", told, told));
    }
    shares(name, &labels, &verdicts, rows);
    let control = labels.iter().filter(|flow| flow.label.contains("C&C"));
    let first = control.map(|flow| flow.at).fold(f64::MAX, f64::min);
    let told = document.incidents.iter().filter_map(|incident| incident.decided("command-and-control")).min();
    let minutes = told.map(|at| (at as f64 / 1e6 - first) / 60.0);
    let of = minutes.map_or("never".to_owned(), |minutes| format!("{minutes:.1}"));
    let what = "minutes from the first C&C flow to the finding";
    rows.push(Row::new(name, what, "told", of, minutes.is_some()));
    Ok(())
}

/// What was said of each flow, by its id.
fn verdicts(flows: &Path) -> Result<BTreeMap<String, Verdict>> {
    let mut out = BTreeMap::new();
    for line in fs::read_to_string(flows).context("no flows were written")?.lines() {
        let verdict: Verdict = serde_json::from_str(line).context("expected a flow")?;
        if let Some(uid) = verdict.uid.clone() {
            out.insert(uid, verdict);
        }
    }
    Ok(out)
}

/// Which share of the flows of a kind is called malicious (with a stage, where one is named).
fn shares(name: &str, labels: &[Labelled], verdicts: &BTreeMap<String, Verdict>, rows: &mut Vec<Row>) {
    type Kind = fn(&Labelled) -> bool;
    let kinds: [(&str, &str, f64, bool, Kind); 4] = [
        ("C&C flows, malicious as command-and-control", "command-and-control", 0.95, true, |flow| {
            flow.label.contains("C&C")
        }),
        ("flood flows, malicious as impact", "impact", 0.99, true, |flow| flow.label.contains("DDoS")),
        ("the 122 mislabelled floods, malicious", "", 0.99, true, |flow| {
            flow.label.contains("HorizontalPortScan")
        }),
        ("benign flows called malicious", "", 0.01, false, really_benign),
    ];
    for (what, stage, bound, at_least, kind) in kinds {
        let of_kind: Vec<_> = labels.iter().filter(|flow| kind(flow)).collect();
        let hit = of_kind.iter().filter(|flow| {
            verdicts.get(&flow.uid).is_some_and(|verdict| {
                let told = stage.is_empty() || verdict.stages.iter().any(|told| told == stage);
                verdict.verdict == "malicious" && told
            })
        });
        let hit = hit.count();
        let part = hit as f64 / of_kind.len().max(1) as f64;
        let expected = format!("at {} {bound}", if at_least { "least" } else { "most" });
        let pass = if at_least { part >= bound } else { part <= bound };
        rows.push(Row::new(name, what, &expected, format!("{part:.4} ({hit} of {})", of_kind.len()), pass));
    }
}

/// Labelled benign, and not one of the 110 that are not.
fn really_benign(flow: &Labelled) -> bool {
    let not = [("185.244.25.235", 80), ("50.50.50.53", 53), ("1.1.1.1", 1)];
    flow.label.to_lowercase().contains("benign")
        && !not.iter().any(|(host, port)| flow.responder == address(host) && flow.port == *port)
}

fn targets(name: &str, document: &Document, labels: &[Labelled], rows: &mut Vec<Row>) {
    let mut flooded: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for flow in
        labels.iter().filter(|flow| flow.label.contains("DDoS") || flow.label.contains("HorizontalPortScan"))
    {
        *flooded.entry(flow.responder).or_default() += 1;
    }
    let told = everybody(document, &["victim", "target"]);
    let story: String = document.incidents.iter().map(|incident| incident.summary.as_str()).collect();
    let missing: Vec<_> = flooded.keys().filter(|host| !told.contains(host)).collect();
    let unsaid = flooded.keys().filter(|host| !story.contains(&host.to_string())).count();
    let of = format!(
        "{} of {} as victims (missing {missing:?}); {unsaid} not in a summary",
        flooded.len() - missing.len(),
        flooded.len()
    );
    rows.push(Row::new(name, "flooded targets", "each in the story", of, missing.is_empty()));
}
