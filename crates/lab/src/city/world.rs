//! What the hosts of one city share: the plan, the drill's own log, and the ground truth that they write down
//! themselves. Nothing of it reaches Bastide.

use crate::{city::plan::Plan, clock};
use model::Timestamp;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// Locks, also where a thread panicked while it held the lock: what is in there is counts and lists.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thing that the drill itself knows of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) what: String,
}

/// A device that was taken over.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Infection {
    /// The device's number.
    pub(crate) device: usize,
    /// When the bot ran.
    pub(crate) at: Timestamp,
    /// When a scanner was first let in with a factory password; the same as `at` where nobody saw it.
    pub(crate) login: Timestamp,
}

/// What one device sent and what of it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry {
    /// When each message was made, by its number.
    pub(crate) made: Vec<Timestamp>,
    /// The numbers that arrived, and when.
    pub(crate) arrived: BTreeMap<u32, Timestamp>,
}

/// What citizens found of one question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    pub(crate) at: Timestamp,
    /// Microseconds to the answer; unset where none came.
    pub(crate) took: Option<u64>,
    /// Whether the victim is the authority for the name.
    pub(crate) provider: bool,
}

/// What all hosts share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) token: String,
    pub(crate) started: Timestamp,
    pub(crate) log: Mutex<Vec<Entry>>,
    pub(crate) infections: Mutex<Vec<Infection>>,
    pub(crate) logins: Mutex<BTreeMap<usize, Timestamp>>,
    pub(crate) telemetry: Mutex<Vec<Telemetry>>,
    pub(crate) lookups: Mutex<Vec<Lookup>>,
    pub(crate) ready: Mutex<BTreeSet<usize>>,
    /// Attack packets that bots handed to their network, by device.
    pub(crate) attack_sent: Mutex<BTreeMap<usize, u64>>,
    /// Attack packets of the current tenth of a second, of all bots: bounded by construction.
    pub(crate) budget: AtomicU64,
    /// Devices whose bot is told to stop because the device was restarted.
    pub(crate) repaired: Mutex<BTreeSet<usize>>,
    /// The scanners go elsewhere.
    pub(crate) scan_over: AtomicBool,
    /// Decoys that were carried out, and how that went.
    pub(crate) decoys: Mutex<Vec<DecoyOutcome>>,
    /// A burst of telemetry is asked for.
    pub(crate) burst: AtomicU64,
}

/// How a decoy went.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DecoyOutcome {
    pub(crate) at: Timestamp,
    pub(crate) what: String,
    pub(crate) ok: bool,
}

impl World {
    pub(crate) fn new(plan: Plan, token: String) -> Self {
        let devices = plan.devices.len();
        Self {
            plan,
            token,
            started: clock::now(),
            log: Mutex::default(),
            infections: Mutex::default(),
            logins: Mutex::default(),
            telemetry: Mutex::new(vec![Telemetry::default(); devices]),
            lookups: Mutex::default(),
            ready: Mutex::default(),
            attack_sent: Mutex::default(),
            budget: AtomicU64::new(0),
            repaired: Mutex::default(),
            scan_over: AtomicBool::new(false),
            decoys: Mutex::default(),
            burst: AtomicU64::new(0),
        }
    }

    /// Writes into the drill's log and tells whoever watches.
    pub(crate) fn say(&self, what: impl Into<String>) {
        let entry = Entry { at: clock::now(), what: what.into() };
        let _ =
            writeln!(std::io::stderr(), "  {:5.1} s  {}", entry.at.seconds_since(self.started), entry.what);
        lock(&self.log).push(entry);
    }

    /// The devices that were taken over.
    pub(crate) fn infected(&self) -> Vec<usize> {
        lock(&self.infections).iter().map(|infection| infection.device).collect()
    }

    /// How many telemetry messages of a device arrived.
    pub(crate) fn arrived(&self, device: usize) -> usize {
        lock(&self.telemetry).get(device).map_or(0, |telemetry| telemetry.arrived.len())
    }

    pub(crate) fn telemetry_made(&self, device: usize) -> u32 {
        let mut all = lock(&self.telemetry);
        let Some(telemetry) = all.get_mut(device) else { return 0 };
        telemetry.made.push(clock::now());
        telemetry.made.len() as u32
    }

    pub(crate) fn telemetry_arrived(&self, device: usize, number: u32) {
        if let Some(telemetry) = lock(&self.telemetry).get_mut(device) {
            telemetry.arrived.entry(number).or_insert_with(clock::now);
        }
    }

    pub(crate) fn count_attack(&self, device: usize, packets: u64) {
        *lock(&self.attack_sent).entry(device).or_default() += packets;
    }

    pub(crate) fn is_repaired(&self, device: usize) -> bool {
        lock(&self.repaired).contains(&device)
    }

    pub(crate) fn decoy(&self, what: String, ok: bool) {
        lock(&self.decoys).push(DecoyOutcome { at: clock::now(), what, ok });
    }

    /// Takes so many packets out of what all bots together may send; false where that is used up for now.
    pub(crate) fn may_send(&self, packets: u64) -> bool {
        self.budget.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(packets)).is_ok()
    }
}
