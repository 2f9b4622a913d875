//! Assets whose identity is taken away, for now or for ever: nothing of them is to talk.

use crate::{Asset, ContentHasher, Incident, IncidentAsset, IncidentId, Proof, Role, Severity, Timestamp};
use serde::{Deserialize, Serialize};

/// An asset that is suspended or revoked, as long as that stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspension {
    /// What is known of it, with the addresses that it has now.
    pub asset: Asset,
    /// Since when.
    pub at: Timestamp,
    /// By whom.
    pub who: String,
}

impl Suspension {
    /// The most that are told and held at once, the latest of them.
    pub const MOST: usize = 1_000;

    /// Names this suspension of this asset, and its quarantine: suspended again later it is another.
    #[must_use]
    pub fn incident_id(asset: &str, at: Timestamp) -> IncidentId {
        let content = ContentHasher::new().part("suspension").part(asset).part(at.micros().to_be_bytes());
        IncidentId::from_content(content)
    }

    /// What stands for it among incidents, so that its quarantine is planned, shown and undone like every response. A person
    /// speaks of the asset itself here, so that its addresses are proven by what is known of it, not by traffic.
    #[must_use]
    pub fn incident(&self) -> Incident {
        let Asset { id, mac, addresses, .. } = &self.asset;
        let name = self.asset.label();
        let word = if self.asset.status == crate::AssetStatus::Revoked { "revoked" } else { "suspended" };
        let proof = if mac.is_some() { Proof::Hardware } else { Proof::Handshake };
        let assets = addresses.iter().map(|&address| IncidentAsset {
            address,
            mac: *mac,
            role: Role::Target,
            proof,
            home: true,
        });
        Incident {
            id: Self::incident_id(id, self.at),
            title: format!("{name} is {word}"),
            severity: Severity::Medium,
            confidence: 100,
            stages: Vec::new(),
            techniques: Vec::new(),
            first: self.at,
            last: self.at,
            assets: assets.collect(),
            assets_omitted: 0,
            findings: 0,
            flows: 0,
            summary: format!(
                "The identity of {name} was {word} by a person. Its addresses are quarantined as long as that stands."
            ),
            joined: Vec::new(),
            evidence: Vec::new(),
            advice: vec![format!(
                "Look into {name}, then restore it as an asset: that ends its quarantine too."
            )],
            supersedes: Vec::new(),
        }
    }
}
