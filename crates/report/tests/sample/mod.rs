//! Documents to tell about: a takeover as it happens, strings by an enemy, and a thousand incidents.

#![allow(dead_code, reason = "each test uses a part")]

mod incidents;

pub(crate) use incidents::id;

use model::{Incident, Severity, Timestamp};
use report::{Device, Document, Input, Skipped, Totals};
use std::net::IpAddr;

/// 2016-10-21T02:14:00Z, in seconds.
pub(crate) const NIGHT: i64 = 1_477_016_040;

/// What an enemy would call a host.
pub(crate) const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</style><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "cam\u{202e}gpj.exe\u{2066}x",
    "&lt;b&gt;&amp;&#60;",
    "nul\0 del\u{7f} c1\u{9b}31m\r\nSet-Cookie: a=b",
];

fn takeover() -> Incident {
    let supersedes = vec![id("the scan alone")];
    Incident { supersedes, ..incidents::takeover(Timestamp::from_secs(NIGHT), "street.pcap") }
}

fn guessing() -> Incident {
    incidents::guessing(8, Timestamp::from_secs(NIGHT + 1_013), Severity::Medium)
}

/// What was read.
pub(crate) fn inputs() -> Vec<Input> {
    vec![
        Input {
            path: "street.pcap".into(),
            format: Some("pcap".into()),
            records: 1_204_331,
            bytes: 181_222_931,
            first: Some(Timestamp::from_secs(NIGHT - 3_600)),
            last: Some(Timestamp::from_secs(NIGHT + 3_600)),
            skipped: vec![Skipped { reason: "not IP or ARP".into(), count: 311 }],
            error: None,
        },
        Input {
            path: "uplink.pcapng".into(),
            format: Some("pcapng".into()),
            records: 90_112,
            bytes: 33_554_432,
            first: Some(Timestamp::from_secs(NIGHT - 3_000)),
            last: Some(Timestamp::from_secs(NIGHT + 800)),
            skipped: Vec::new(),
            error: Some(
                "uplink.pcapng: the block at offset 33 554 432 says 4 GiB, expected at most 16 MiB".into(),
            ),
        },
    ]
}

/// A night in a small city.
pub(crate) fn city() -> Document {
    let incidents = vec![takeover(), guessing()];
    Document {
        inputs: inputs(),
        totals: Totals {
            packets: 1_294_443,
            flows: 90_211,
            events: 140_002,
            findings: 10,
            incidents: incidents.len() as u64,
            seconds: 1.284,
        },
        incidents,
        devices: vec![
            Device {
                id: "44:19:b6:01:02:03".into(),
                name: Some("cam-entrance".into()),
                kind: "camera".into(),
                confidence: 87,
                reasons: vec!["serves “rtsp”".into(), "has a hardware address of “Hikvision”".into()],
                criticality: "ordinary".into(),
                vendor: Some("Hikvision".into()),
                mac: "44:19:b6:01:02:03".parse().ok(),
                addresses: vec![IpAddr::from([10, 2, 0, 17])],
                functions: Vec::new(),
                joined: vec!["2 sources share the name “cam-entrance”".into()],
                first: Timestamp::from_secs(NIGHT),
                last: Timestamp::from_secs(NIGHT + 800),
            },
            Device {
                id: "10.2.0.90".into(),
                name: None,
                kind: "unknown".into(),
                confidence: 0,
                reasons: Vec::new(),
                criticality: "unknown".into(),
                vendor: None,
                mac: None,
                addresses: vec![IpAddr::from([10, 2, 0, 90])],
                functions: Vec::new(),
                joined: Vec::new(),
                first: Timestamp::from_secs(NIGHT),
                last: Timestamp::from_secs(NIGHT),
            },
        ],
    }
}

/// Every text is an enemy's.
pub(crate) fn hostile() -> Document {
    let text = HOSTILE.join(" ");
    let mut document = city();
    for input in &mut document.inputs {
        input.path.clone_from(&text);
        input.format = Some(text.clone());
        input.error = Some(text.clone());
        input.skipped = vec![Skipped { reason: text.clone(), count: u64::MAX }];
    }
    for device in &mut document.devices {
        device.id.clone_from(&text);
        device.kind.clone_from(&text);
        (device.name, device.vendor) = (Some(text.clone()), Some(text.clone()));
        (device.reasons, device.joined) = (vec![text.clone()], vec![text.clone()]);
    }
    for incident in &mut document.incidents {
        incident.title.clone_from(&text);
        incident.summary.clone_from(&text);
        incident.advice = vec![text.clone()];
        incident.joined = vec![text.clone()];
        for evidence in &mut incident.evidence {
            evidence.detector.clone_from(&text);
            evidence.why.clone_from(&text);
            evidence.file.clone_from(&text);
            evidence.value = f64::MAX;
            evidence.threshold = f64::MIN_POSITIVE;
            evidence.record = u64::MAX;
        }
    }
    document
}

/// More incidents than anybody reads.
pub(crate) fn thousand() -> Document {
    let mut document = city();
    document.incidents = (0..1_000)
        .map(|number| {
            let mut incident = if number % 7 == 0 { takeover() } else { guessing() };
            incident.id = id(&number.to_string());
            incident.severity = Severity::ALL[4 - (number * 5 / 1_000)];
            incident.title = format!("{} ({number})", incident.title);
            incident
        })
        .collect();
    document.totals.incidents = 1_000;
    document
}
