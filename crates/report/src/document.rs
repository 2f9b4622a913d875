//! The document that `bastide analyze --format json` writes: what was read, how much, and what was found.
//!
//! Guarantees: serialises exactly as `docs/analysis.schema.json` says (a test holds the two together) and reads back
//! what it wrote. Moments are RFC 3339 in UTC with microseconds.

use model::{Asset, Incident, Mac, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What an analysis read and found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The inputs, in the order they were named.
    pub inputs: Vec<Input>,
    /// Figures over all inputs.
    pub totals: Totals,
    /// The incidents, worst first.
    pub incidents: Vec<Incident>,
    /// The devices of the home networks that the traffic showed, the surest first.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// A device that the traffic showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Stable name: the hardware address where known, else the network address.
    pub id: String,
    /// A name, where one was seen.
    pub name: Option<String>,
    /// What it seems to be; `unknown` where that cannot be told.
    pub kind: String,
    /// How sure that is, 0 to 100.
    pub confidence: u8,
    /// Why: one short sentence per reason, the weightiest first.
    pub reasons: Vec<String>,
    /// How much a city would depend on such a thing.
    pub criticality: String,
    /// Maker by its hardware address.
    pub vendor: Option<String>,
    /// Hardware address.
    pub mac: Option<Mac>,
    /// Network addresses, last seen first.
    pub addresses: Vec<IpAddr>,
    /// What it is to the network: `router`, `resolver`, `dhcp`, `time`.
    pub functions: Vec<String>,
    /// Why several sightings are taken for this one device.
    pub joined: Vec<String>,
    /// First seen.
    pub first: Timestamp,
    /// Last seen.
    pub last: Timestamp,
}

impl Device {
    /// An asset as it was found, and why several sightings are it.
    #[must_use]
    pub fn new(asset: Asset, joined: Vec<String>) -> Self {
        Self {
            id: asset.id,
            name: asset.name,
            kind: asset.kind.0,
            confidence: asset.confidence,
            reasons: asset.reasons,
            criticality: asset.criticality.as_str().to_owned(),
            vendor: asset.vendor,
            mac: asset.mac,
            addresses: asset.addresses,
            functions: asset.functions,
            joined,
            first: asset.first_seen,
            last: asset.last_seen,
        }
    }
}

/// One file or stream that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// As it was named on the command line; `-` is standard input.
    pub path: String,
    /// What its content was recognised as (`pcap`, `pcapng`, `zeek-tsv`, `zeek-json`, `eve`, `cowrie`); unset where
    /// nothing was recognised.
    pub format: Option<String>,
    /// Packets or lines that were understood.
    pub records: u64,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Event time of the earliest record.
    pub first: Option<Timestamp>,
    /// Event time of the latest record.
    pub last: Option<Timestamp>,
    /// What was read and left aside, with the reason.
    pub skipped: Vec<Skipped>,
    /// Why reading stopped before the end, with the offset; unset where it did not.
    pub error: Option<String>,
}

/// Records left aside for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Figures over all inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Packets read from captures.
    pub packets: u64,
    /// Flows seen in packets and logs.
    pub flows: u64,
    /// Events made of them.
    pub events: u64,
    /// Findings of all detectors.
    pub findings: u64,
    /// Incidents that the findings were joined into.
    pub incidents: u64,
    /// How long the analysis took, in seconds.
    pub seconds: f64,
}

impl Document {
    /// The worst severity of any incident; none where there is no incident.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.incidents.iter().map(|incident| incident.severity).max()
    }

    /// The span of event time that the inputs cover.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.inputs.iter().filter_map(|input| input.first).min()?;
        let last = self.inputs.iter().filter_map(|input| input.last).max()?;
        Some((first, last.max(first)))
    }

    /// A file without its folders, where that still tells the inputs apart.
    #[must_use]
    pub fn short_file<'a>(&self, file: &'a str) -> &'a str {
        fn last(path: &str) -> &str {
            path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
        }
        let short = last(file);
        let alike = self.inputs.iter().filter(|input| last(&input.path) == short).count();
        if alike == 1 { short } else { file }
    }

    /// Whether anything was not read to its end.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.inputs.iter().any(|input| input.error.is_some())
    }
}
