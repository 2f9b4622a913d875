//! What is true about a scene: written by who made it, compared with what was found.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::IpAddr};

/// The ground truth of a scene.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Truth {
    /// The scene's name.
    pub scene: String,
    /// The seed.
    pub seed: u64,
    /// What it shows.
    pub about: String,
    /// What is ours; to be passed as `--home` where `tell_home`.
    pub home: String,
    /// The home network is not a private one, so it has to be told.
    pub tell_home: bool,
    /// Nothing here is an attack.
    pub benign: bool,
    /// Device-days: our hosts times the span.
    pub device_days: f64,
    /// Who acts against others of their own will.
    pub attackers: BTreeSet<IpAddr>,
    /// Who was taken over. A home device that acts may be called attacker or infected.
    pub infected: BTreeSet<IpAddr>,
    /// Who commands.
    pub controllers: BTreeSet<IpAddr>,
    /// Who suffers.
    pub victims: BTreeSet<IpAddr>,
    /// Who is made to answer.
    pub reflectors: BTreeSet<IpAddr>,
    /// Who is aimed at.
    pub targets: BTreeSet<IpAddr>,
    /// Who has a part that may be told in more than one way, or not at all (a file server, a device somebody got into).
    pub accomplices: BTreeSet<IpAddr>,
    /// Who must never be called attacker, infected or controller.
    pub innocent: BTreeSet<IpAddr>,
    /// Stages that must be told; `a|b` where either will do.
    pub stages: Vec<String>,
    /// Incidents of medium or more that are too many.
    pub max_incidents: usize,
    /// The least severity of the worst incident.
    pub severity: String,
    /// The first packet of the attack, microseconds since the epoch.
    pub begins: i64,
    /// The last packet of the attack.
    pub ends: i64,
    /// Something was let through by the captured direction alone: roles may be unknown.
    pub one_way: bool,
    /// Why a detector may rightly stay silent until then, in seconds from the beginning.
    pub patience: f64,
}

impl Truth {
    /// Widens the span of the attack.
    pub fn attack_at(&mut self, at: i64) {
        if self.begins == 0 || at < self.begins {
            self.begins = at;
        }
        self.ends = self.ends.max(at);
    }

    /// Who acts: attackers and infected.
    pub fn acting(&self) -> impl Iterator<Item = &IpAddr> {
        self.attackers.iter().chain(&self.infected)
    }
}
