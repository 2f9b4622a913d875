//! The licence: who may act on what, and how often.
//!
//! Guarantees: [`Licence::decide`] gives a [`Permit`] only where the mode of every kind concerned is `auto`, nobody
//! but the target would be hit, the evidence cannot be forged, the incident is grave and sure enough, and the caps
//! leave room. Everything else asks a person. What was acted on in the last hour survives a restart through
//! [`Licence::acted`] and [`Licence::resume`], so that a crash does not empty the caps.

use crate::{Mode, ResponseConfig};
use model::{Action, Command, CommandId, Incident, Kind, Proof, Target, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    net::IpAddr,
};

/// How long an act counts towards the caps.
const WINDOW_MICROS: i64 = 3_600 * 1_000_000;

/// The most acts that are remembered; past it nothing is automatic.
const MAX_ACTED: usize = 4096;

/// On whose word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "by", content = "who")]
pub enum By {
    /// The settings of the authority.
    Settings,
    /// A person.
    Person(String),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings => f.pad("auto"),
            Self::Person(who) => f.pad(who),
        }
    }
}

/// The right to carry out one command, once. Not `Clone`, not readable from anything: only [`Licence`] makes it.
#[derive(Debug)]
pub struct Permit {
    command: CommandId,
    digest: [u8; 32],
    by: By,
    configuration: String,
}

impl Permit {
    /// Whether it holds for exactly this command: action, target and expiry.
    #[must_use]
    pub fn covers(&self, command: &Command) -> bool {
        self.command == command.id && self.digest == digest(command)
    }

    /// On whose word.
    #[must_use]
    pub const fn by(&self) -> &By {
        &self.by
    }

    /// The settings under which it was given, as [`ResponseConfig::fingerprint`] names them.
    #[must_use]
    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// A note of what was permitted, to be kept with the command while that is in force.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant {
            digest: self.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            by: self.by.clone(),
            configuration: self.configuration.clone(),
        }
    }
}

/// A note of a permit that was spent. It acts on nothing by itself; [`Licence::rest`] turns it into a permit for
/// what is left of the same command, and for nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    digest: String,
    by: By,
    configuration: String,
}

impl Grant {
    /// On whose word the command was carried out.
    #[must_use]
    pub const fn by(&self) -> &By {
        &self.by
    }
}

/// Why there is no permit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermitError {
    /// Nobody's word.
    #[error("expected the name of the person who approves, found none")]
    Nobody,
    /// The note is of another command.
    #[error("the note of the permit is not of command {0}, or the command was changed since")]
    OtherCommand(CommandId),
    /// Nothing is left.
    #[error("command {0} ran out at {1}")]
    Expired(CommandId, Timestamp),
}

/// What the settings say to a command.
#[derive(Debug)]
pub enum Decision {
    /// Act now.
    Act(Permit),
    /// Wait for a person, for this reason.
    Ask(String),
    /// Only show what would have been done, for this reason.
    Show(String),
}

/// One asset or remote address that was acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// When.
    pub at: Timestamp,
    /// The asset's hardware address where bound, else its first address.
    pub on: String,
    /// Its kind.
    pub kind: Kind,
    /// Somebody outside.
    pub remote: bool,
}

/// Gives permits and counts what was acted on.
#[derive(Debug, Default)]
pub struct Licence {
    acted: VecDeque<Acted>,
}

impl Licence {
    /// Nothing acted on yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on counting where an earlier run stopped.
    #[must_use]
    pub fn resume(acted: impl IntoIterator<Item = Acted>) -> Self {
        let mut acted: Vec<Acted> = acted.into_iter().collect();
        acted.sort_by_key(|act| act.at);
        let excess = acted.len().saturating_sub(MAX_ACTED);
        Self { acted: acted.split_off(excess).into() }
    }

    /// What was acted on within the last hour.
    pub fn acted(&self) -> impl Iterator<Item = &Acted> {
        self.acted.iter()
    }

    /// What the settings say to a command that would stop an incident. `known_of_kind` is how many assets of the
    /// command's kind are known. An act counts from the moment it was permitted.
    pub fn decide(
        &mut self,
        command: &Command,
        incident: &Incident,
        known_of_kind: usize,
        config: &ResponseConfig,
        now: Timestamp,
    ) -> Decision {
        match config.mode_for(&command.kind) {
            Mode::Off => return Decision::Show(format!("responding is off for {}", named(&command.kind))),
            Mode::Ask => {
                return Decision::Ask(format!("responding asks a person for {}", named(&command.kind)));
            }
            Mode::Auto => {}
        }
        let reason =
            unfit(command, incident, config).or_else(|| self.past_caps(command, known_of_kind, config, now));
        match reason {
            Some(reason) => Decision::Ask(reason),
            None => Decision::Act(self.permit(command, By::Settings, config, now)),
        }
    }

    /// A permit on a person's word. The caps do not bind people, but what they do counts.
    ///
    /// # Errors
    /// [`PermitError::Nobody`] where the person has no name.
    pub fn approve(
        &mut self,
        command: &Command,
        who: &str,
        config: &ResponseConfig,
        now: Timestamp,
    ) -> Result<Permit, PermitError> {
        let who = who.trim();
        if who.is_empty() {
            return Err(PermitError::Nobody);
        }
        Ok(self.permit(command, By::Person(who.to_owned()), config, now))
    }

    /// A permit for what is left of a command that was permitted before, after a restart of the program or the
    /// machine.
    ///
    /// # Errors
    /// Where the note is not of this very command, or the command ran out.
    pub fn rest(command: &Command, grant: &Grant, now: Timestamp) -> Result<Permit, PermitError> {
        let digest = digest(command);
        let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if text != grant.digest {
            return Err(PermitError::OtherCommand(command.id.clone()));
        }
        if now >= command.expires {
            return Err(PermitError::Expired(command.id.clone(), command.expires));
        }
        Ok(Permit {
            command: command.id.clone(),
            digest,
            by: grant.by.clone(),
            configuration: grant.configuration.clone(),
        })
    }

    fn permit(&mut self, command: &Command, by: By, config: &ResponseConfig, now: Timestamp) -> Permit {
        self.forget_before(now);
        if self.acted.len() >= MAX_ACTED {
            self.acted.pop_front();
        }
        let remote = !matches!(command.on, Target::Device { .. });
        self.acted.push_back(Acted { at: now, on: command.on.subject(), kind: command.kind.clone(), remote });
        Permit {
            command: command.id.clone(),
            digest: digest(command),
            by,
            configuration: config.fingerprint(),
        }
    }

    fn past_caps(
        &mut self,
        command: &Command,
        known_of_kind: usize,
        config: &ResponseConfig,
        now: Timestamp,
    ) -> Option<String> {
        self.forget_before(now);
        if self.acted.len() >= MAX_ACTED {
            return Some(format!("{MAX_ACTED} acts within the hour are the most that are counted"));
        }
        let on = command.on.subject();
        let others = |remote: bool, kind: Option<&Kind>| {
            let counted = self.acted.iter().filter(|act| {
                act.remote == remote && act.on != on && kind.is_none_or(|kind| act.kind == *kind)
            });
            counted.map(|act| act.on.as_str()).collect::<BTreeSet<_>>().len()
        };
        if !matches!(command.on, Target::Device { .. }) {
            let cap = config.cap_blocks_per_hour as usize;
            let used = others(true, None);
            return (used >= cap).then(|| {
                format!("{used} remote addresses were acted on within the hour and the cap is {cap}")
            });
        }
        let cap = config.cap_assets_per_hour as usize;
        let used = others(false, None);
        if used >= cap {
            return Some(format!("{used} assets were acted on within the hour and the cap is {cap}"));
        }
        let share = ((known_of_kind as f64 * config.cap_share_of_kind).floor() as usize).max(1);
        let used = others(false, Some(&command.kind));
        (used >= share).then(|| {
            let percent = config.cap_share_of_kind * 100.0;
            let kind = &command.kind;
            format!(
                "{used} of {known_of_kind} known assets of kind {kind} were acted on within the hour and the cap is \
                 {share} ({percent} %, at least one)"
            )
        })
    }

    /// Forgets what is older than the hour. What lies in the future (a clock was set back) still counts.
    fn forget_before(&mut self, now: Timestamp) {
        self.acted.retain(|act| now.micros_since(act.at) < WINDOW_MICROS);
    }
}

/// Why a command is no matter for automatic response, whatever the mode.
fn unfit(command: &Command, incident: &Incident, config: &ResponseConfig) -> Option<String> {
    if incident.severity < config.auto_severity {
        return Some(format!(
            "the incident is {} and only {} or worse is responded to automatically",
            incident.severity, config.auto_severity
        ));
    }
    if incident.confidence < config.auto_confidence {
        return Some(format!(
            "the incident is {} % sure and automatic response needs {} %",
            incident.confidence, config.auto_confidence
        ));
    }
    let targets: Vec<IpAddr> = match &command.on {
        Target::Device { addresses, .. } => addresses.clone(),
        Target::Remote { address } => vec![*address],
        Target::Flow { .. } => return Some("limiting a flow hits honest senders too".into()),
    };
    if matches!(command.action, Action::Restrict { .. } | Action::Limit { .. }) {
        return Some(format!("to {} needs a person", command.action.verb()));
    }
    let proven =
        incident.assets.iter().any(|asset| targets.contains(&asset.address) && asset.proof > Proof::None);
    if !proven {
        return Some("the evidence could be forged".into());
    }
    let ours = matches!(command.on, Target::Device { .. });
    let known =
        command.hits.iter().any(|hit| targets.contains(&hit.address) && !hit.criticality.is_protected());
    if ours && !known {
        return Some("the asset is protected, or nobody has said how critical it is".into());
    }
    let infected = |address: IpAddr| {
        incident.assets.iter().any(|asset| asset.address == address && asset.role == model::Role::Infected)
    };
    let dependent = command.hits.iter().find(|hit| {
        let bystander = !targets.contains(&hit.address) && !infected(hit.address);
        // A router loses nothing of its own when one of ours is cut off.
        let loses = hit.criticality == model::Criticality::Protected && !hit.kind.carries();
        if ours { bystander && loses } else { bystander }
    });
    dependent.map(|hit| {
        let name = hit.name.clone().unwrap_or_else(|| hit.address.to_string());
        format!("{name} would be hit too: {}", hit.loses)
    })
}

fn named(kind: &Kind) -> String {
    if *kind == Kind::unknown() { "assets of unknown kind".into() } else { format!("the kind {kind}") }
}

/// What a permit is bound to.
fn digest(command: &Command) -> [u8; 32] {
    let content = (&command.id, &command.action, &command.on, command.expires);
    Sha256::digest(serde_json::to_vec(&content).unwrap_or_default()).into()
}
