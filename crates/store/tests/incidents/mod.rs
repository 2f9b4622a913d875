//! Incidents to test with.
#![allow(dead_code, reason = "each test uses what it needs")]

use ledger::{Deed, Note, Place, Salt, Subject};
use model::{
    ContentHasher, Evidence, Incident, IncidentAsset, IncidentId, Proof, Role, Severity, Tactic, Technique,
    Timestamp,
};
use std::collections::BTreeMap;
use store::{Actor, Decided, LedgerKey, Repository};

/// The key that signs ledgers in tests.
pub(crate) fn key() -> LedgerKey {
    LedgerKey::from_seed(&[7; 32]).unwrap()
}

/// A decision of a person.
pub(crate) fn decided(deed: Deed, at: Timestamp, about: &[(&str, &str)]) -> Decided {
    Decided {
        at,
        who: Actor::Person { id: "per-1".into(), login: "jean.dupont".into() },
        deed,
        about: about.iter().map(|(kind, id)| Subject::new(kind, id).unwrap()).collect(),
        details: Some("in their words".into()),
        salts: salts(),
    }
}

/// Salts that are good enough for tests.
pub(crate) fn salts() -> [Salt; 2] {
    [Salt::new([1; 32]), Salt::new([2; 32])]
}

/// All resources of a log, as a third party would copy them.
pub(crate) async fn copied(repository: &Repository) -> BTreeMap<Place, Vec<u8>> {
    let note = repository.checkpoint().await.unwrap().unwrap();
    let size = head(&note).size;
    let mut copy = BTreeMap::from([(Place::Checkpoint, note.into_bytes())]);
    let openings = (0..size.div_ceil(256)).map(|index| Place::Openings { index });
    for place in Place::of_tree(size).chain(openings) {
        if let Some(bytes) = repository.ledger_resource(place).await.unwrap() {
            copy.insert(place, bytes);
        }
    }
    copy
}

/// What a checkpoint says of its log.
pub(crate) fn head(note: &str) -> ledger::Head {
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    note.text().parse::<ledger::Checkpoint>().unwrap().head
}

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
