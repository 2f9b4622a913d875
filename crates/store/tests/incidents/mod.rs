//! Incidents to test with.
#![allow(dead_code, reason = "each test uses what it needs")]

use model::{
    ContentHasher, Evidence, Incident, IncidentAsset, IncidentId, Proof, Role, Severity, Tactic, Technique,
    Timestamp,
};

/// An incident whose id comes from a name.
pub(crate) fn incident(name: &str) -> Incident {
    Incident {
        id: IncidentId::from_content(ContentHasher::new().part(name)),
        title: format!("Camera {name} was taken over"),
        severity: Severity::High,
        confidence: 90,
        stages: vec![Tactic::CredentialAccess, Tactic::CommandAndControl],
        techniques: vec![Technique::new("T1110.001")],
        first: Timestamp::from_secs(1_000),
        last: Timestamp::from_secs(2_000),
        assets: vec![asset("10.0.0.7", Role::Infected), asset("192.0.2.1", Role::Controller)],
        assets_omitted: 0,
        findings: 2,
        flows: 9,
        summary: "It was taken over through telnet.".into(),
        joined: vec!["the same device".into()],
        evidence: vec![Evidence {
            at: Timestamp::from_secs(1_500),
            detector: "login-accepted".into(),
            stage: Tactic::CredentialAccess,
            why: "a factory password was accepted".into(),
            value: 1.0,
            threshold: 1.0,
            file: "eth0".into(),
            record: 7,
        }],
        advice: vec!["Change the password.".into()],
        supersedes: vec![],
    }
}

pub(crate) fn asset(address: &str, role: Role) -> IncidentAsset {
    IncidentAsset { address: address.parse().unwrap(), mac: None, role, proof: Proof::Handshake, home: true }
}
