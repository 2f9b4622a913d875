//! Incidents to tell about, for the tests of whoever tells them: this crate's and the server's.

use model::{
    ContentHasher, Evidence, Incident, IncidentAsset, IncidentId, Mac, Proof, Role, Severity, Tactic,
    Technique, Timestamp,
};

pub(crate) fn id(text: &str) -> IncidentId {
    IncidentId::from_content(ContentHasher::new().part(text))
}

pub(crate) fn party(address: &str, role: Role, home: bool) -> IncidentAsset {
    let mac = home.then_some(Mac([2, 0, 0x5e, 0x10, 0, 7]));
    let proof = if home { Proof::Hardware } else { Proof::Handshake };
    IncidentAsset { address: address.parse().unwrap(), mac, role, proof, home }
}

/// A camera is taken over through telnet and floods a name server.
///
/// `login` is when it was logged into, `file` where that was seen.
pub(crate) fn takeover(login: Timestamp, file: &str) -> Incident {
    let evidence =
        |after: i64, detector: &str, stage: Tactic, why: &str, value: f64, threshold: f64| Evidence {
            at: login.plus_secs(after),
            detector: detector.into(),
            stage,
            why: why.into(),
            value,
            threshold,
            file: file.into(),
            record: 1_000 + after.unsigned_abs() * 10,
        };
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
        first: login.plus_secs(-840),
        last: login.plus_secs(95),
        assets: vec![
            party("192.168.20.17", Role::Infected, true),
            party("203.0.113.66", Role::Attacker, false),
            party("203.0.113.80", Role::Controller, false),
            party("198.51.100.53", Role::Victim, false),
            party("192.168.20.21", Role::Target, true),
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
        supersedes: Vec::new(),
    }
}

/// Somebody guesses passwords in vain; who and whom go by the number.
pub(crate) fn guessing(number: usize, last: Timestamp, severity: Severity) -> Incident {
    let source = format!("203.0.113.{}", number % 250 + 1);
    let target = format!("192.168.{}.{}", 20 + number / 250 % 200, number % 250 + 1);
    Incident {
        id: id(&format!("guessing {number}")),
        title: format!("{source} guesses SSH passwords on {target}"),
        severity,
        confidence: 85,
        stages: vec![Tactic::CredentialAccess],
        techniques: vec![Technique::new("T1110.001")],
        first: last.plus_secs(-13),
        last,
        assets: vec![party(&source, Role::Attacker, false), party(&target, Role::Target, true)],
        assets_omitted: 0,
        findings: 1,
        flows: 60,
        summary: format!("{source} tried 60 SSH logins on {target}:902 in 13 s; none was accepted."),
        joined: Vec::new(),
        evidence: vec![Evidence {
            at: last,
            detector: "guessing-ssh".into(),
            stage: Tactic::CredentialAccess,
            why: "60 sessions of the same shape in 13 s".into(),
            value: 60.0,
            threshold: 10.0,
            file: "uplink0".into(),
            record: 91_211,
        }],
        advice: vec!["Let SSH in from known networks only.".into()],
        supersedes: Vec::new(),
    }
}
