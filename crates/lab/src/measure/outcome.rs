//! What came of a run, in figures from the lab's own counters, captures and hosts. Only when Bastide acted and spoke
//! is Bastide's to say, and where it claims an effect the captures are asked.

use crate::{
    city::{
        plan::Plan,
        world::{Lookup, World, lock},
    },
    error::Result,
    guard::Seen,
    measure::{
        recorder::Recording,
        tally::{self, Tally},
    },
    run::{Mode, Task},
};
use model::{Incident, Role, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

/// When the run's phases were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    pub(crate) guarded: Option<Timestamp>,
    pub(crate) attack: Option<Timestamp>,
    pub(crate) attack_over: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
}

/// A command of Bastide's that was put in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Act {
    /// The command.
    pub id: String,
    /// `isolate`, `block`, ...
    pub action: String,
    /// On one of the city's own devices.
    pub device: bool,
    /// The addresses that it acts on.
    pub addresses: Vec<Ipv4Addr>,
    /// Bastide's reason.
    pub why: String,
    /// When it was in force.
    pub applied: Option<Timestamp>,
}

/// What Bastide told of an incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// When that arrived.
    pub at: Timestamp,
    /// The incident.
    pub id: String,
    /// Its headline.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Who is in it, and as what.
    pub assets: Vec<(IpAddr, Role)>,
}

impl Told {
    fn read(message: &crate::guard::Message) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_str(&message.text).ok()?;
        let incident: Incident = serde_json::from_value(value.get("incident")?.clone()).ok()?;
        Some(Self {
            at: message.at,
            id: incident.id.to_string(),
            title: incident.title,
            severity: incident.severity,
            assets: incident.assets.iter().map(|asset| (asset.address, asset.role)).collect(),
        })
    }
}

/// Undo, pressed live.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Undone {
    /// The device.
    pub device: String,
    /// When it was pressed.
    pub at: Timestamp,
    /// How many commands were taken back.
    pub commands: usize,
    /// Whether its telemetry arrived again.
    pub back: bool,
    /// After how many seconds.
    pub seconds: f64,
}

/// How lookups of citizens went.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Names {
    /// Names asked for.
    pub asked: u64,
    /// Answers in time.
    pub answered: u64,
    /// Half of the answers took at most so many milliseconds.
    pub median_ms: f64,
    /// All but one in a hundred did.
    pub p99_ms: f64,
}

/// A device whose telemetry was lost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lost {
    /// Which.
    pub device: String,
    /// Messages that it made.
    pub made: u64,
    /// Of these, never arrived.
    pub lost: u64,
}

/// A capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capture {
    /// The file.
    pub file: String,
    /// Packets in it.
    pub packets: u64,
    /// Packets that are missing from it.
    pub dropped: u64,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Which run.
    pub mode: Mode,
    /// The seed.
    pub seed: u64,
    /// Names of the devices that were taken over.
    pub taken_over: Vec<String>,
    /// When a scanner was first let in.
    pub login: Option<Timestamp>,
    /// When the first bot ran.
    pub takeover: Option<Timestamp>,
    /// The first attack packet of a bot that was seen in the street while Bastide watched.
    pub first_attack: Option<Timestamp>,
    /// The first word of Bastide about an incident that names the device.
    pub finding: Option<Timestamp>,
    /// When the first command on an infected device was in force, by the journal.
    pub contained: Option<Timestamp>,
    /// The last attack packet that left the city, by the capture at the internet provider.
    pub last_left: Option<Timestamp>,
    /// Attack packets that the bots handed to their network.
    pub attack_sent: u64,
    /// Attack packets that left the city, by the capture at the internet provider.
    pub attack_left: u64,
    /// Flood packets from the street that the victim got, by its own counter.
    pub victim_got: u64,
    /// Questions for random names that reached the victim by the city's resolver, by the capture at the internet
    /// provider.
    pub victim_by_resolver: u64,
    /// The most flood packets in one second.
    pub peak: u64,
    /// Seconds with ten thousand flood packets or more.
    pub loud_seconds: u64,
    /// Telemetry that innocent devices lost.
    pub lost: Vec<Lost>,
    /// Telemetry messages that innocent devices made.
    pub telemetry: u64,
    /// Lookups before the attack.
    pub names_before: Names,
    /// Lookups during the attack.
    pub names_during: Names,
    /// Of these, names that the victim is the authority for.
    pub names_of_victim: Names,
    /// What Bastide told of incidents, as it arrived.
    pub told: Vec<Told>,
    /// Commands in force.
    pub acts: Vec<Act>,
    /// Whom they cut wrongly.
    pub wrongly: Vec<String>,
    /// Innocent ones whom an incident of medium severity or more calls attacker, infected or controller.
    pub accused: Vec<String>,
    /// Decoys that did not go through.
    pub decoys_hurt: Vec<String>,
    /// How many decoys there were.
    pub decoys: usize,
    /// Undo, pressed live.
    pub undone: Option<Undone>,
    /// The captures.
    pub captures: Vec<Capture>,
    /// The lab's own counters.
    pub counters: BTreeMap<String, u64>,
    /// When Bastide began to watch.
    pub guarded: Option<Timestamp>,
}

pub(crate) fn sum_up(
    task: &Task,
    world: &World,
    marks: &Marks,
    recordings: &BTreeMap<&'static str, Recording>,
    counters: BTreeMap<String, u64>,
    seen: Option<Seen>,
    undone: Option<Undone>,
) -> Result<Outcome> {
    let plan = &world.plan;
    let tally = |name: &str| match recordings.get(name) {
        Some(recording) => tally::count(&recording.path, plan),
        None => Ok(Tally::default()),
    };
    let (street, internet) = (tally("street0")?, tally("internet")?);
    let infections = lock(&world.infections).clone();
    let infected: Vec<Ipv4Addr> = infections
        .iter()
        .filter_map(|infection| plan.devices.get(infection.device).map(|device| device.address))
        .collect();
    let seen = seen.unwrap_or_default();
    // A camera that let a scanner in is rightly cut, also where the loader came too late.
    let logged_in: Vec<Ipv4Addr> = lock(&world.logins)
        .keys()
        .filter_map(|number| plan.devices.get(*number).map(|device| device.address))
        .collect();
    let guilty = |address: Ipv4Addr| {
        infected.contains(&address) || logged_in.contains(&address) || plan.is_attacker(address)
    };
    let wrongly = seen.acts.iter().flat_map(|act| {
        let wrong = act.addresses.iter().filter(|address| !guilty(**address));
        wrong.map(|address| format!("{} ({})", plan.name(*address), act.action)).collect::<Vec<_>>()
    });
    let contained = seen.acts.iter().filter(|act| {
        act.device
            && act.addresses.iter().any(|address| infected.contains(address) || logged_in.contains(address))
    });
    let told: Vec<Told> = seen.told.iter().filter_map(Told::read).collect();
    let named = |told: &&Told| {
        let ours =
            |address: &IpAddr| infected.iter().chain(&logged_in).any(|own| IpAddr::V4(*own) == *address);
        told.assets.iter().any(|(address, _)| ours(address))
    };
    let bots = |tally: &Tally| tally.attacks.clone().into_iter().filter(|(from, _)| infected.contains(from));
    let end = marks.end.unwrap_or(world.started);
    let not_innocent: Vec<usize> =
        infections.iter().map(|one| one.device).chain(lock(&world.logins).keys().copied()).collect();
    let (lost, telemetry) = telemetry(world, &not_innocent, end);
    // What a bot misses while it is cut off is the point of cutting it off.
    let guilty_names: Vec<&str> = not_innocent
        .iter()
        .filter_map(|number| plan.devices.get(*number))
        .map(|device| device.name.as_str())
        .collect();
    let mut decoys = lock(&world.decoys).clone();
    decoys.retain(|decoy| decoy.ok || !guilty_names.iter().any(|name| decoy.what.ends_with(name)));
    Ok(Outcome {
        mode: task.mode,
        seed: task.seed,
        taken_over: infections
            .iter()
            .filter_map(|infection| plan.devices.get(infection.device).map(|device| device.name.clone()))
            .collect(),
        login: lock(&world.logins).values().min().copied(),
        takeover: infections.iter().map(|infection| infection.at).min(),
        first_attack: bots(&street).map(|(_, span)| span.first).min(),
        finding: told.iter().find(named).map(|told| told.at),
        contained: contained.filter_map(|act| act.applied).min(),
        last_left: bots(&internet).map(|(_, span)| span.last).max(),
        attack_sent: lock(&world.attack_sent).values().sum(),
        attack_left: bots(&internet).map(|(_, span)| span.packets).sum(),
        victim_got: counters.get("victim from_street").copied().unwrap_or(0),
        victim_by_resolver: internet.by_resolver,
        peak: internet.peak,
        loud_seconds: internet.loud_seconds,
        lost,
        telemetry,
        names_before: names(world, marks.guarded, marks.attack, false),
        names_during: names(world, marks.attack, marks.attack_over, false),
        names_of_victim: names(world, marks.attack, marks.attack_over, true),
        wrongly: wrongly.collect(),
        accused: accused(&told, plan, &guilty),
        acts: seen.acts,
        told,
        decoys_hurt: decoys.iter().filter(|decoy| !decoy.ok).map(|decoy| decoy.what.clone()).collect(),
        decoys: decoys.len(),
        undone,
        captures: recordings
            .values()
            .map(|recording| Capture {
                file: recording.path.display().to_string(),
                packets: recording.packets.load(std::sync::atomic::Ordering::Relaxed),
                dropped: recording.dropped.load(std::sync::atomic::Ordering::Relaxed),
            })
            .collect(),
        counters,
        guarded: marks.guarded,
    })
}

/// Whom Bastide accused without a reason.
fn accused(told: &[Told], plan: &Plan, guilty: &impl Fn(Ipv4Addr) -> bool) -> Vec<String> {
    let mut accused: Vec<String> = Vec::new();
    for told in told.iter().filter(|told| told.severity >= Severity::Medium) {
        for (address, role) in &told.assets {
            let accuses = matches!(role, Role::Attacker | Role::Infected | Role::Controller);
            let IpAddr::V4(address) = *address else { continue };
            if accuses && !guilty(address) {
                let line =
                    format!("{} as {role} in {:?} ({})", plan.name(address), told.title, told.severity);
                if !accused.contains(&line) {
                    accused.push(line);
                }
            }
        }
    }
    accused
}

/// What innocent devices lost, and how much they sent. The last second and a half is left out: it may be on its way.
fn telemetry(world: &World, not_innocent: &[usize], end: Timestamp) -> (Vec<Lost>, u64) {
    let all = lock(&world.telemetry);
    let mut lost = Vec::new();
    let mut total = 0;
    for device in world.plan.devices.iter().filter(|device| !not_innocent.contains(&device.number)) {
        let Some(telemetry) = all.get(device.number) else { continue };
        let due = telemetry.made.iter().filter(|at| end.seconds_since(**at) > 1.5).count();
        let missing = (1..=due as u32).filter(|number| !telemetry.arrived.contains_key(number)).count();
        total += due as u64;
        if missing > 0 {
            lost.push(Lost { device: device.name.clone(), made: due as u64, lost: missing as u64 });
        }
    }
    (lost, total)
}

fn names(world: &World, from: Option<Timestamp>, to: Option<Timestamp>, of_victim: bool) -> Names {
    let (Some(from), Some(to)) = (from, to) else { return Names::default() };
    let lookups = lock(&world.lookups);
    let within = |lookup: &&Lookup| lookup.at >= from && lookup.at < to && (lookup.provider || !of_victim);
    let within: Vec<_> = lookups.iter().filter(within).collect();
    let mut took: Vec<u64> = within.iter().filter_map(|lookup| lookup.took).collect();
    took.sort_unstable();
    let at = |share: f64| {
        let index = (took.len().saturating_sub(1) as f64 * share).round() as usize;
        took.get(index).map_or(0.0, |micros| *micros as f64 / 1_000.0)
    };
    Names { asked: within.len() as u64, answered: took.len() as u64, median_ms: at(0.5), p99_ms: at(0.99) }
}
