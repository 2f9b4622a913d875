//! What is seen of targets after they were acted on: the proof of effect, or of none.
//!
//! Guarantees: only packets that should have been stopped count; packets within two seconds of applying prove
//! nothing, for they may have been on their way. Bounded by the commands in force.

use super::Sighting;
use model::{Command, CommandId, Effect, FlowUpdate, Mac, Target, Timestamp};
use protect::ResponseConfig;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};
use stop::Talks;

/// How long packets may still be on their way after applying.
const GRACE_MICROS: i64 = 2_000_000;

/// So many packets show that nothing is stopped; fewer may be chance.
const ENOUGH: u64 = 5;

/// What was seen of one command's target.
#[derive(Clone, Debug)]
struct Seen {
    command: Command,
    /// When it was applied, or ran out.
    since: Timestamp,
    /// When the attack began: relations older than that are no attack.
    attack: Timestamp,
    /// Arrived here and should have been stopped.
    arrived: u64,
    /// Left here although it should have been stopped.
    passed: u64,
    /// Sent to somebody whom it did not talk to before the attack.
    strange: u64,
}

/// Watches the targets of commands in force, and of those that ran out.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    addresses: HashMap<IpAddr, Vec<CommandId>>,
    macs: HashMap<Mac, Vec<CommandId>>,
    seen: BTreeMap<CommandId, Seen>,
}

impl Watch {
    pub(crate) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }

    /// Begins, or begins anew, at the moment when the command was applied or ran out.
    pub(crate) fn begin(&mut self, command: &Command, since: Timestamp, attack: Timestamp) {
        self.end(&command.id);
        for address in addresses(&command.on) {
            self.addresses.entry(address).or_default().push(command.id.clone());
        }
        if let Target::Device { mac: Some(mac), .. } = command.on {
            self.macs.entry(mac).or_default().push(command.id.clone());
        }
        let seen = Seen { command: command.clone(), since, attack, arrived: 0, passed: 0, strange: 0 };
        self.seen.insert(command.id.clone(), seen);
    }

    pub(crate) fn end(&mut self, id: &CommandId) {
        if self.seen.remove(id).is_some() {
            forget(&mut self.addresses, id);
            forget(&mut self.macs, id);
        }
    }

    /// Keeps only the commands named.
    pub(crate) fn retain(&mut self, keep: &HashSet<CommandId>) {
        let gone: Vec<CommandId> = self.seen.keys().filter(|id| !keep.contains(id)).cloned().collect();
        gone.iter().for_each(|id| self.end(id));
    }

    /// A packet from or to a target.
    pub(crate) fn sighting(&mut self, sighting: &Sighting, config: &ResponseConfig) {
        let by_address = |address: &IpAddr| self.addresses.get(address).into_iter().flatten();
        let by_mac = sighting.src_mac.and_then(|mac| self.macs.get(&mac)).into_iter().flatten();
        let mut ids: Vec<CommandId> = by_address(&sighting.src).chain(by_mac).cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let Some(seen) = self.seen.get_mut(&id) else { continue };
            let late = sighting.at.micros_since(seen.since) > GRACE_MICROS;
            let ports = (sighting.src_port, sighting.dst_port);
            if late && !stop::exempt(&seen.command, config, sighting.dst, sighting.protocol.0, ports) {
                let count = if sighting.passed { &mut seen.passed } else { &mut seen.arrived };
                *count = count.saturating_add(sighting.packets);
            }
        }
    }

    /// A flow that a target opened, or that was opened to it.
    pub(crate) fn flow(&mut self, update: &FlowUpdate, talks: &Talks) {
        let Some(ids) = self.addresses.get(&update.key.src) else { return };
        for id in ids {
            let Some(seen) = self.seen.get_mut(id) else { continue };
            let begun_after = update.first.micros_since(seen.since) > 0;
            let strange = || {
                !talks.of(update.key.src).any(|talk| {
                    talk.first < seen.attack && (talk.src == update.key.dst || talk.dst == update.key.dst)
                })
            };
            if begun_after && strange() {
                seen.strange = seen.strange.saturating_add(update.delta.packets_out.max(1));
            }
        }
    }

    /// Whether the target sent to strangers since it was begun to be watched.
    pub(crate) fn is_strange(&self, id: &CommandId) -> bool {
        self.seen.get(id).is_some_and(|seen| seen.strange > 0)
    }

    /// What the counters of the firewall and what was seen say together, with the packets that passed.
    pub(crate) fn judge(&self, id: &CommandId, stopped: u64) -> (Effect, u64) {
        let (arrived, passed) = self.seen.get(id).map_or((0, 0), |seen| (seen.arrived, seen.passed));
        let leaks = passed >= ENOUGH && passed > stopped / 10;
        let effect = if leaks || (stopped == 0 && arrived >= ENOUGH) {
            Effect::WithoutEffect
        } else if stopped > 0 {
            Effect::Effective
        } else {
            Effect::Applied
        };
        // Where nothing is stopped, what arrives goes on its way.
        (effect, if stopped == 0 { passed.max(arrived) } else { passed })
    }
}

fn addresses(on: &Target) -> Vec<IpAddr> {
    match on {
        Target::Device { addresses, .. } => addresses.clone(),
        Target::Remote { address } => vec![*address],
        // What is limited still passes: nothing is proven by seeing it.
        Target::Flow { .. } => Vec::new(),
    }
}

fn forget<K: Eq + std::hash::Hash>(index: &mut HashMap<K, Vec<CommandId>>, id: &CommandId) {
    index.retain(|_, ids| {
        ids.retain(|held| held != id);
        !ids.is_empty()
    });
}
