//! Incident to plan: what would stop it, whom that would hit, and what is spared and why.
//!
//! Guarantees: pure, and the same for the same incident and context. Victims, targets and reflectors are never hit.
//! A device of ours is isolated only where its address is proven and somebody said that it can be missed; a
//! protected one is restricted to its declared peers, never isolated. A remote address is blocked only after a
//! completed handshake. A flood without a sender that can be named is limited at most, which always asks.

use crate::{
    directory::Directory,
    guard::{dependent, spared_address, spared_device},
    hits,
    talks::Talks,
};
use model::{
    Action, Asset, Command, CommandId, ContentHasher, Criticality, Incident, IncidentAsset, Kind, NetSet,
    Plan, PlanId, PlanStatus, Proof, Role, Severity, Tactic, Target, Timestamp, Withheld,
};
use protect::ResponseConfig;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The most commands of one plan.
pub(crate) const MAX_COMMANDS: usize = 64;

/// The most that is listed as withheld.
pub(crate) const MAX_WITHHELD: usize = 64;

/// The most differences between two plans that are told.
const MAX_DIFFERENCES: usize = 24;

/// What a plan is made from beside the incident.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The settings.
    pub config: &'a ResponseConfig,
    /// What is ours.
    pub home: &'a NetSet,
    /// The known assets.
    pub directory: &'a Directory,
    /// Who talked to whom of late.
    pub talks: &'a Talks,
    /// How often each target ([`Target::subject`]) was acted on before and went on: each time doubles the duration.
    pub rounds: &'a BTreeMap<String, u32>,
    /// Now.
    pub now: Timestamp,
}

/// What would stop an incident. Its status is `Proposed`, or `Shown` where nothing can be done; whether it may be
/// carried out is the licence's matter.
#[must_use]
pub fn plan(incident: &Incident, context: &Context<'_>) -> Plan {
    let mut draft = Draft::new(incident, context);
    if incident.severity >= Severity::Medium {
        for asset in ordered(incident) {
            draft.consider(asset);
        }
        if draft.commands.is_empty() {
            draft.limit_floods();
        }
    }
    draft.finish()
}

/// What quarantines the assets that an incident made of a suspension names. Planned like a response, with nobody hit who is
/// spared there; it holds for as long as the settings let anything hold, to be renewed while the suspension stands.
#[must_use]
pub fn quarantine(incident: &Incident, context: &Context<'_>) -> Plan {
    let mut draft = Draft { standing: true, ..Draft::new(incident, context) };
    for asset in &incident.assets {
        draft.consider_device(asset);
    }
    draft.finish()
}

/// The id of a command: of the same incident, verb, target and round it is the same.
#[must_use]
pub fn command_id(incident: &Incident, action: &Action, on: &Target, round: u32) -> CommandId {
    let hasher = ContentHasher::new().part(incident.id.as_str()).part(action.verb()).part(on.subject());
    CommandId::from_content(if round == 0 { hasher } else { hasher.part(round.to_be_bytes()) })
}

/// The id of a plan: of the same incident with the same commands and the same withheld addresses it is the same.
#[must_use]
pub fn plan_id(plan: &Plan) -> PlanId {
    let mut hasher = ContentHasher::new().part(plan.incident.as_str());
    for command in &plan.commands {
        hasher = hasher.part(command.id.as_str());
        if let Target::Device { addresses, .. } = &command.on {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            hasher = hasher.part(addresses.join(","));
        }
    }
    for withheld in &plan.withheld {
        hasher = hasher.part("withheld").part(withheld.address.to_string());
    }
    PlanId::from_content(hasher)
}

/// In what a plan made again differs from the one that a person saw, where it matters: another command, another
/// reach of a command, or somebody more of ours who would be hit. Fewer hits are no difference.
#[must_use]
pub fn difference(seen: &Plan, now: &Plan) -> Option<String> {
    let mut differences = Vec::new();
    let find =
        |plan: &'_ Plan, id: &CommandId| plan.commands.iter().find(|command| command.id == *id).cloned();
    for old in &seen.commands {
        let Some(new) = find(now, &old.id) else {
            let reason = now.withheld.iter().find(|withheld| holds(&old.on, withheld.address));
            let reason = reason.map_or_else(String::new, |withheld| format!(": {}", withheld.reason));
            differences.push(format!("no longer to {} {}{reason}", old.action.verb(), named(&old.on)));
            continue;
        };
        if new.action != old.action || new.on != old.on {
            differences.push(format!(
                "to {} {} now reaches other addresses",
                new.action.verb(),
                named(&new.on)
            ));
        }
        let known: BTreeSet<(IpAddr, Criticality)> =
            old.hits.iter().map(|hit| (hit.address, hit.criticality)).collect();
        let more = new.hits.iter().filter(|hit| hit.kind.as_str() != "outside");
        for hit in more.filter(|hit| !known.contains(&(hit.address, hit.criticality))) {
            let name = hit.name.clone().unwrap_or_else(|| hit.address.to_string());
            differences.push(format!("to {} {} would now hit {name} too", new.action.verb(), named(&new.on)));
        }
    }
    for new in now.commands.iter().filter(|new| find(seen, &new.id).is_none()) {
        differences.push(format!("also to {} {}", new.action.verb(), named(&new.on)));
    }
    let more = differences.len().saturating_sub(MAX_DIFFERENCES);
    if more > 0 {
        differences.truncate(MAX_DIFFERENCES);
        differences.push(format!("and {more} more differences"));
    }
    (!differences.is_empty()).then(|| differences.join("; "))
}

/// Whether a packet of an acted-on target is one that the command lets through: what an actuator must not stop and
/// what proves nothing where it is seen passing.
#[must_use]
pub fn exempt(
    command: &Command,
    config: &ResponseConfig,
    peer: IpAddr,
    protocol: u8,
    ports: (u16, u16),
) -> bool {
    let names_or_time = |port: u16| matches!(port, 53 | 123);
    let dhcp = protocol == 17 && matches!(ports, (67 | 68, 67 | 68) | (546 | 547, 546 | 547));
    let neighbours = protocol == 58;
    let served = matches!(protocol, 6 | 17) && (names_or_time(ports.0) || names_or_time(ports.1));
    match &command.action {
        Action::Isolate { keep } => {
            dhcp || neighbours || config.keep.contains(&peer) || (keep.contains(&peer) && served)
        }
        Action::Restrict { peers } => {
            let named = config.resolvers.contains(&peer) || config.time_servers.contains(&peer);
            dhcp || neighbours || config.keep.contains(&peer) || peers.contains(&peer) || (named && served)
        }
        Action::Block | Action::Suspend { .. } => false,
        Action::Limit { .. } => true,
    }
}

struct Draft<'a> {
    incident: &'a Incident,
    context: &'a Context<'a>,
    /// A person wants the devices of the incident cut off for as long as they say.
    standing: bool,
    commands: Vec<Command>,
    withheld: BTreeMap<IpAddr, String>,
}

/// Those who act, the infected before their controllers before other attackers; the order is that of the cap too.
fn ordered(incident: &Incident) -> Vec<&IncidentAsset> {
    let mut assets: Vec<&IncidentAsset> = incident
        .assets
        .iter()
        .filter(|asset| matches!(asset.role, Role::Infected | Role::Attacker | Role::Controller))
        .collect();
    let rank = |asset: &IncidentAsset| match asset.role {
        Role::Infected => 0,
        Role::Controller => 1,
        _ => 2,
    };
    assets.sort_by_key(|asset| (rank(asset), !asset.home, asset.address));
    assets.dedup_by_key(|asset| asset.address);
    assets
}

impl<'a> Draft<'a> {
    const fn new(incident: &'a Incident, context: &'a Context<'a>) -> Self {
        Self { incident, context, standing: false, commands: Vec::new(), withheld: BTreeMap::new() }
    }

    fn consider(&mut self, asset: &IncidentAsset) {
        if self.commands.len() >= MAX_COMMANDS {
            self.withhold(asset.address, format!("a plan holds at most {MAX_COMMANDS} commands"));
        } else if asset.home || self.context.home.contains(asset.address) {
            self.consider_device(asset);
        } else {
            self.consider_remote(asset);
        }
    }

    fn consider_device(&mut self, named: &IncidentAsset) {
        let context = self.context;
        let asset = context.directory.at(named.address);
        if let Some(reason) = spared_device(named.address, asset, context) {
            return self.withhold(named.address, reason);
        }
        let Some(asset) = asset else { return };
        if named.proof == Proof::None {
            let reason = "its address can be forged: no completed handshake, no bound hardware address";
            return self.withhold(named.address, reason.into());
        }
        if let (Some(seen), Some(bound)) = (named.mac, asset.mac)
            && seen != bound
        {
            let reason = if self.standing {
                format!("the address belongs to {bound} now, and this is {seen}")
            } else {
                format!("the attack came from {seen} and the address belongs to {bound}")
            };
            return self.withhold(named.address, reason);
        }
        let addresses = own_addresses(asset, named.address, context);
        let action = if asset.criticality == Criticality::Protected {
            let peers = declared_peers(asset, named.address, context);
            if peers.is_empty() {
                let reason = "it is protected and no peers are declared that it could be restricted to";
                return self.withhold(named.address, reason.into());
            }
            Action::Restrict { peers }
        } else {
            if let Some((protected, how)) = dependent(&addresses, self.incident, context) {
                let reason = format!("{} is protected and depends on it: {how}", protected.label());
                return self.withhold(named.address, reason);
            }
            Action::Isolate { keep: kept_servers(context) }
        };
        let hits = hits::of_device(asset, &addresses, &action, self.incident, context);
        let name = asset.label();
        let why = if self.standing {
            self.incident.title.clone()
        } else {
            format!("{name} is {} in \u{201c}{}\u{201d}", named.role, self.incident.title)
        };
        let inverse = format!("let {name} talk again");
        let on = Target::Device { addresses, mac: asset.mac };
        let config = context.config;
        let secs = if self.standing { config.longest_secs } else { config.isolate_for_secs };
        let same = self.commands.iter().any(|command| command.on.subject() == on.subject());
        if !same {
            self.push(action, on, secs, why, hits, inverse, asset.kind.clone());
        }
    }

    fn consider_remote(&mut self, named: &IncidentAsset) {
        let context = self.context;
        let address = named.address;
        if let Some(reason) = spared_address(address, context) {
            return self.withhold(address, reason);
        }
        // A bound hardware address outside is the router's and proves nothing about the sender.
        if named.proof != Proof::Handshake {
            return self.withhold(address, "its address can be forged: no completed handshake".into());
        }
        if let Some((protected, how)) = dependent(&[address], self.incident, context) {
            let reason = format!("{} is protected and depends on it: {how}", protected.label());
            return self.withhold(address, reason);
        }
        let hits = hits::of_remote(address, self.incident, context);
        let kind = self.strictest_kind();
        let why = format!("{address} is {} in \u{201c}{}\u{201d}", named.role, self.incident.title);
        let inverse = format!("let {address} through again");
        let secs = context.config.block_for_secs;
        self.push(Action::Block, Target::Remote { address }, secs, why, hits, inverse, kind);
    }

    /// Where nobody can be named, what comes at the victim can be slowed down, if a person wants that.
    fn limit_floods(&mut self) {
        if !self.incident.stages.contains(&Tactic::Impact) {
            return;
        }
        let context = self.context;
        for victim in self.incident.assets.iter().filter(|asset| asset.role == Role::Victim) {
            if let Some(reason) = spared_address(victim.address, context) {
                self.withhold(victim.address, reason);
                continue;
            }
            let Some(pressure) = context.talks.pressure(victim.address) else { continue };
            if self.commands.len() >= MAX_COMMANDS {
                return;
            }
            let rate = context.config.limit_packets_per_second;
            let src = match victim.address {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let on =
                Target::Flow { src, dst: victim.address, protocol: pressure.protocol, port: pressure.port };
            let hits = hits::of_victim(victim.address, &on, rate, context);
            let kind = hits.first().map_or_else(Kind::unknown, |hit| hit.kind.clone());
            let what = pressure.port.map_or_else(
                || pressure.protocol.to_string(),
                |port| format!("{port}/{}", pressure.protocol),
            );
            let why = format!(
                "a flood of {what} at {}, and nobody who sends it can be named for sure",
                victim.address
            );
            let inverse = format!("let everything through to {} again", victim.address);
            let action = Action::Limit { packets_per_second: rate };
            self.push(action, on, context.config.limit_for_secs, why, hits, inverse, kind);
        }
    }

    /// A block is done for the devices of ours in the incident, the infected where there are any; the strictest mode
    /// among their kinds decides.
    fn strictest_kind(&self) -> Kind {
        let context = self.context;
        let ours = |asset: &&IncidentAsset| asset.home || context.home.contains(asset.address);
        let infected = self.incident.assets.iter().any(|asset| ours(&asset) && asset.role == Role::Infected);
        let concerned = self
            .incident
            .assets
            .iter()
            .filter(ours)
            .filter(|asset| !infected || asset.role == Role::Infected);
        let kinds = concerned.map(|asset| {
            context.directory.at(asset.address).map_or_else(Kind::unknown, |asset| asset.kind.clone())
        });
        kinds.min_by_key(|kind| (context.config.mode_for(kind), kind.clone())).unwrap_or_else(Kind::unknown)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a command, each once")]
    fn push(
        &mut self,
        action: Action,
        on: Target,
        secs: u32,
        why: String,
        hits: Vec<model::Hit>,
        inverse: String,
        kind: Kind,
    ) {
        let round = self.context.rounds.get(&on.subject()).copied().unwrap_or(0);
        let longest = u64::from(self.context.config.longest_secs);
        let secs = u64::from(secs).saturating_mul(1 << round.min(31)).min(longest);
        let created = self.context.now;
        let id = command_id(self.incident, &action, &on, round);
        let expires = created.plus_secs(secs as i64);
        self.commands.push(Command { id, action, on, why, hits, created, expires, inverse, kind });
    }

    fn withhold(&mut self, address: IpAddr, reason: String) {
        if self.withheld.len() < MAX_WITHHELD {
            self.withheld.entry(address).or_insert(reason);
        }
    }

    fn finish(self) -> Plan {
        let withheld: Vec<Withheld> =
            self.withheld.into_iter().map(|(address, reason)| Withheld { address, reason }).collect();
        let (status, because) = if self.commands.is_empty() {
            let because = if self.incident.severity < Severity::Medium {
                format!("the incident is {}: nothing is cut off for that", self.incident.severity)
            } else {
                "nothing can be done without hitting somebody who must not be hit".into()
            };
            (PlanStatus::Shown, because)
        } else {
            (PlanStatus::Proposed, "waits for a person".into())
        };
        let mut plan = Plan {
            id: PlanId::from_content(ContentHasher::new()),
            incident: self.incident.id.clone(),
            made: self.context.now,
            status,
            commands: self.commands,
            withheld,
            because,
        };
        plan.id = plan_id(&plan);
        plan
    }
}

/// All addresses of a device, the one that acted included, in order.
fn own_addresses(asset: &Asset, acted: IpAddr, context: &Context<'_>) -> Vec<IpAddr> {
    let own = asset.addresses.iter().copied().filter(|&address| {
        let held = context.directory.at(address).is_some_and(|holder| holder.id == asset.id);
        held && spared_address(address, context).is_none()
    });
    own.chain([acted]).collect::<BTreeSet<_>>().into_iter().collect()
}

fn declared_peers(asset: &Asset, acted: IpAddr, context: &Context<'_>) -> Vec<IpAddr> {
    let own = asset.addresses.iter().copied().chain([acted]);
    let peers = own.filter_map(|address| context.config.declared_peers.get(&address)).flatten().copied();
    peers.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The named resolvers and time servers; Bastide's own addresses stay reachable without being listed.
fn kept_servers(context: &Context<'_>) -> Vec<IpAddr> {
    let config = context.config;
    let kept = config.resolvers.iter().chain(&config.time_servers).chain(&config.keep).copied();
    kept.collect::<BTreeSet<_>>().into_iter().collect()
}

fn holds(on: &Target, address: IpAddr) -> bool {
    match on {
        Target::Device { addresses, .. } => addresses.contains(&address),
        Target::Remote { address: remote } => *remote == address,
        Target::Flow { dst, .. } => *dst == address,
    }
}

fn named(on: &Target) -> String {
    match on {
        Target::Device { addresses, mac } => addresses
            .first()
            .map(ToString::to_string)
            .or_else(|| mac.map(|mac| mac.to_string()))
            .unwrap_or_else(|| "nobody".into()),
        Target::Remote { address } => address.to_string(),
        Target::Flow { dst, .. } => format!("what goes to {dst}"),
    }
}
