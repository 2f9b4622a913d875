//! Documents to tell about: a takeover as it happens, strings by an enemy, and a thousand incidents.

#![allow(dead_code, reason = "each test uses a part")]

use model::{
    ContentHasher, Evidence, Incident, IncidentAsset, IncidentId, Proof, Role, Severity, Tactic, Technique,
    Timestamp,
};
use report::{Document, Input, Skipped, Totals};

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

pub(crate) fn id(text: &str) -> IncidentId {
    IncidentId::from_content(ContentHasher::new().part(text))
}

pub(crate) fn asset(address: &str, role: Role, home: bool) -> IncidentAsset {
    let mac = home.then_some(model::Mac([2, 0, 0x5e, 0x10, 0, 7]));
    let proof = if home { Proof::Hardware } else { Proof::Handshake };
    IncidentAsset { address: address.parse().unwrap(), mac, role, proof, home }
}

fn evidence(after: i64, detector: &str, stage: Tactic, why: &str, value: f64, threshold: f64) -> Evidence {
    Evidence {
        at: Timestamp::from_secs(NIGHT + after),
        detector: detector.into(),
        stage,
        why: why.into(),
        value,
        threshold,
        file: "street.pcap".into(),
        record: 1_000 + after.unsigned_abs() * 10,
    }
}

/// A camera is taken over through telnet and floods a name server.
pub(crate) fn takeover() -> Incident {
    Incident {
        id: id("takeover"),
        title: "192.168.20.17 was taken over and floods 198.51.100.53".into(),
        severity: Severity::Critical,
        confidence: 98,
        stages: vec![
            Tactic::Reconnaissance,
            Tactic::InitialAccess,
            Tactic::Execution,
            Tactic::CredentialAccess,
            Tactic::CommandAndControl,
            Tactic::Impact,
        ],
        techniques: ["T1595.001", "T1110.001", "T1059.004", "T1071", "T1498.001"].map(Technique::new).to_vec(),
        first: Timestamp::from_secs(NIGHT - 840),
        last: Timestamp::from_secs(NIGHT + 95),
        assets: vec![
            asset("192.168.20.17", Role::Infected, true),
            asset("203.0.113.66", Role::Attacker, false),
            asset("203.0.113.80", Role::Controller, false),
            asset("198.51.100.53", Role::Victim, false),
            asset("192.168.20.21", Role::Target, true),
        ],
        assets_omitted: 11,
        findings: 9,
        flows: 41_230,
        summary: "192.168.20.17 was logged into from 203.0.113.66 by telnet with the factory password of a camera, \
                  fetched a program, keeps contact with 203.0.113.80 and floods 198.51.100.53 on 53/udp."
            .into(),
        joined: vec!["same asset 192.168.20.17".into(), "the login precedes the keep-alive by 40 s".into()],
        evidence: vec![
            evidence(
                -840,
                "scan-horizontal",
                Tactic::Reconnaissance,
                "203.0.113.66 tried 23/tcp on 14 new addresses in 60 s, 12 of them without an answer",
                14.0,
                10.0,
            ),
            evidence(
                0,
                "factory-password",
                Tactic::CredentialAccess,
                "telnet login with the factory entry xc3511 was accepted",
                1.0,
                1.0,
            ),
            evidence(
                20,
                "loader",
                Tactic::Execution,
                "busybox wget in a telnet session, then an ELF program",
                1.0,
                1.0,
            ),
            evidence(
                40,
                "keep-alive",
                Tactic::CommandAndControl,
                "2 bytes every 60 s to 203.0.113.80:23",
                4.0,
                3.0,
            ),
            evidence(
                60,
                "flood-udp",
                Tactic::Impact,
                "10 412 packets/s to 198.51.100.53:53, 2 100 times the device's own past",
                10_412.0,
                200.0,
            ),
        ],
        advice: vec![
            "Cut 192.168.20.17 off now and restart it: the program lives in memory only.".into(),
            "Change its password before it is connected again and close telnet.".into(),
            "Ask 203.0.113.80's provider to take the controller down.".into(),
        ],
        supersedes: vec![id("the scan alone")],
    }
}

pub(crate) fn guessing() -> Incident {
    Incident {
        id: id("guessing"),
        title: "203.0.113.9 guesses SSH passwords on 192.168.20.4".into(),
        severity: Severity::Medium,
        confidence: 85,
        stages: vec![Tactic::CredentialAccess],
        techniques: vec![Technique::new("T1110.001")],
        first: Timestamp::from_secs(NIGHT + 1_000),
        last: Timestamp::from_secs(NIGHT + 1_013),
        assets: vec![asset("203.0.113.9", Role::Attacker, false), asset("192.168.20.4", Role::Target, true)],
        assets_omitted: 0,
        findings: 1,
        flows: 60,
        summary: "203.0.113.9 tried 60 SSH logins on 192.168.20.4:902 in 13 s; none was accepted.".into(),
        joined: Vec::new(),
        evidence: vec![evidence(
            1_013,
            "guessing-ssh",
            Tactic::CredentialAccess,
            "60 sessions of the same shape in 13 s",
            60.0,
            10.0,
        )],
        advice: vec!["Let SSH in from known networks only.".into()],
        supersedes: Vec::new(),
    }
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
