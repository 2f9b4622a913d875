//! Incidents to test with.
#![allow(dead_code, reason = "each test uses what it needs")]

use ledger::{Deed, Place, Salt, Subject};
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
    let log = repository.log().await.unwrap().unwrap();
    let copy = async |place| Some((place, log.read(place).await.unwrap()?));
    let openings = (0..log.head().size.div_ceil(256)).map(|index| Place::Openings { index });
    let mut copied = BTreeMap::new();
    for place in Place::of_tree(log.head().size).chain(openings).chain([Place::Checkpoint, Place::Witnessed])
    {
        copied.extend(copy(place).await);
    }
    copied
}

/// What the checkpoint of the log says.
pub(crate) async fn head(repository: &Repository) -> ledger::Head {
    repository.log().await.unwrap().unwrap().head()
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
