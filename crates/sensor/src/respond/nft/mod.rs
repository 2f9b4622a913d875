//! The actuator that uses the kernel's packet filter, nftables.
//!
//! Guarantees: those of [`stop::Actuator`]. Own tables `bastide`, one per family, that are there only while something
//! is in force: applying and undoing leaves the rule set as it was. Every change is one transaction over all families.
//! Where somebody flushed the tables (`nft flush ruleset`), [`Nftables::adopt`] says what is missing. Where `nft` had to be
//! killed, what the kernel holds decides whether a change was made: it may have been committed before.
//!
//! Needs the capability `CAP_NET_ADMIN` in the network namespace of the calling thread, and the program `nft`, which
//! inherits both.

mod elements;
mod listing;
mod process;
mod script;

pub use process::NftError;

use elements::{Element, elements};
use listing::Listing;
use model::{Command, CommandId, Effect, Receipt, Timestamp};
use process::Nft;
use protect::{Permit, ResponseConfig};
use script::{Family, TABLE};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use stop::{Actuator, Adopted, Count};

/// The most commands in force at once.
const MAX_IN_FORCE: usize = 4096;

/// Carries commands out with nftables.
#[derive(Debug)]
pub struct Nftables {
    nft: Nft,
    config: ResponseConfig,
    name: String,
    families: Vec<Family>,
    in_force: BTreeMap<CommandId, InForce>,
    /// The tables stand as this run made or found them.
    ready: bool,
    counters: HashMap<(Family, Element), Counter>,
    limits: HashMap<(Family, CommandId), Counter>,
}

#[derive(Debug)]
struct InForce {
    command: Command,
    elements: BTreeSet<Element>,
    /// What its elements had counted before it was applied.
    before: u64,
}

/// A counter that goes on where the kernel's begins anew.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    last: u64,
    total: u64,
}

impl Counter {
    fn read(&mut self, raw: u64) {
        self.total = self.total.saturating_add(raw.checked_sub(self.last).unwrap_or(raw));
        self.last = raw;
    }
}

impl Nftables {
    /// Finds `nft` and tries, in a transaction that leaves nothing, what the kernel can do.
    ///
    /// # Errors
    /// Where neither family can be used: not installed, not permitted, not in the kernel.
    pub fn open(config: &ResponseConfig, place: &str) -> Result<Self, NftError> {
        let nft = Nft::find()?;
        let mut families = Vec::new();
        let mut problem = NftError::Refused("no family can be used".into());
        for family in Family::ALL {
            match nft.script(&script::probe(family, config)) {
                Ok(()) => families.push(family),
                Err(error) => {
                    tracing::warn!(family = family.name(), %error, "the kernel's packet filter cannot be used");
                    problem = error;
                }
            }
        }
        if families.is_empty() {
            return Err(problem);
        }
        let missing = if families.len() == Family::ALL.len() { "" } else { " (one family only)" };
        Ok(Self {
            nft,
            config: config.clone(),
            name: format!("nftables@{place}{missing}"),
            families,
            in_force: BTreeMap::new(),
            ready: false,
            counters: HashMap::new(),
            limits: HashMap::new(),
        })
    }

    /// Removes the tables of any run, by any version, whatever the state on disk: the lever.
    ///
    /// # Errors
    /// Where something may still be in force.
    pub fn flush() -> Result<(), NftError> {
        let nft = Nft::find()?;
        let mut problem = None;
        for family in Family::ALL {
            // A kernel without a family has no table of it either.
            let there = !matches!(nft.table(family.name(), TABLE), Ok(None));
            if let Err(error) = nft.script(&script::remove(family))
                && there
                && !is_unsupported(&error)
            {
                problem = Some(error);
            }
        }
        problem.map_or(Ok(()), Err)
    }

    fn put(&self, command: &Command, elements: &BTreeSet<Element>, now: Timestamp) -> String {
        let mut text = String::new();
        for &family in &self.families {
            for element in elements {
                let others = self.others(&command.id, element).map(|other| script::left(other, now)).max();
                let left = script::left(command, now).max(others.unwrap_or(0));
                text.push_str(&script::put(family, element, left, &command.id));
            }
            text.push_str(&script::limit_rule(family, command).unwrap_or_default());
        }
        text
    }

    /// Makes the tables anew with everything that is in force.
    fn rebuild(&self, now: Timestamp) -> String {
        let mut text: String =
            self.families.iter().map(|&family| script::build(family, &self.config)).collect();
        for entry in self.in_force.values().filter(|entry| script::left(&entry.command, now) > 0) {
            text.push_str(&self.put(&entry.command, &entry.elements, now));
        }
        text
    }

    /// The other commands in force that need an element too.
    fn others<'a>(&'a self, id: &'a CommandId, element: &'a Element) -> impl Iterator<Item = &'a Command> {
        self.in_force
            .iter()
            .filter(move |(other, entry)| *other != id && entry.elements.contains(element))
            .map(|(_, entry)| &entry.command)
    }

    /// Brings the kernel to what `in_force` says: the quick way where the tables stand, else anew.
    fn commit(&mut self, quick: &str, now: Timestamp) -> Result<(), NftError> {
        if self.ready {
            match self.nft.script(quick) {
                Ok(()) => return Ok(()),
                Err(NftError::Late(_)) if self.stands(now) => return Ok(()),
                Err(error) => tracing::debug!(%error, "the quick way failed: the tables are made anew"),
            }
        }
        let outcome = match self.nft.script(&self.rebuild(now)) {
            Err(NftError::Late(_)) if self.stands(now) => Ok(()),
            outcome => outcome,
        };
        self.ready = outcome.is_ok();
        // Counters begin anew with the tables.
        self.counters.values_mut().chain(self.limits.values_mut()).for_each(|counter| counter.last = 0);
        outcome
    }

    fn remove_tables(&mut self) -> Result<(), NftError> {
        let text: String = self.families.iter().map(|&family| script::remove(family)).collect();
        match self.nft.script(&text) {
            Err(NftError::Late(_)) if self.is_gone() => {}
            outcome => outcome?,
        }
        self.ready = false;
        self.counters.clear();
        self.limits.clear();
        Ok(())
    }

    /// Whether the kernel holds the tables whole, with everything that is in force and nothing else.
    fn stands(&self, now: Timestamp) -> bool {
        let left = |entry: &&InForce| script::left(&entry.command, now) > 0;
        let held: BTreeSet<&Element> =
            self.in_force.values().filter(left).flat_map(|entry| &entry.elements).collect();
        self.listings().is_ok_and(|listings| {
            listings.iter().all(|(family, listing)| {
                listing.as_ref().is_some_and(|listing| {
                    is_intact(*family, listing)
                        && held.len() == listing.elements.len()
                        && held.iter().all(|&element| listing.elements.contains_key(element))
                        && self
                            .in_force
                            .values()
                            .filter(left)
                            .all(|entry| holds_limit(listing, &entry.command))
                })
            })
        })
    }

    /// Whether the kernel holds no table of ours.
    fn is_gone(&self) -> bool {
        self.listings().is_ok_and(|listings| listings.iter().all(|(_, listing)| listing.is_none()))
    }

    fn listings(&self) -> Result<Vec<(Family, Option<Listing>)>, String> {
        let list = |&family: &Family| {
            let output = self.nft.table(family.name(), TABLE).map_err(|error| error.to_string())?;
            Ok((family, output.map(|output| Listing::parse(&output)).transpose()?))
        };
        self.families.iter().map(list).collect()
    }

    fn read_counters(&mut self, listings: &[(Family, Option<Listing>)]) {
        for (family, listing) in
            listings.iter().filter_map(|(family, listing)| Some((family, listing.as_ref()?)))
        {
            for (element, raw) in listing.elements.iter().filter(|(element, _)| element.set.counts()) {
                self.counters.entry((*family, element.clone())).or_default().read(*raw);
            }
            for (id, raw) in &listing.limits {
                self.limits.entry((*family, id.clone())).or_default().read(*raw);
            }
        }
    }

    fn counted(&self, id: &CommandId, elements: &BTreeSet<Element>) -> u64 {
        let by_elements = self.counters.iter().filter(|((_, element), _)| elements.contains(element));
        let by_limits = self.limits.iter().filter(|((_, limited), _)| limited == id);
        by_elements.map(|(_, counter)| counter.total).chain(by_limits.map(|(_, counter)| counter.total)).sum()
    }

    /// Keeps no counters of what is no longer in force.
    fn forget_counters(&mut self) {
        let in_force = &self.in_force;
        self.counters
            .retain(|(_, element), _| in_force.values().any(|entry| entry.elements.contains(element)));
        self.limits.retain(|(_, id), _| in_force.contains_key(id));
    }

    fn receipt(&self, command: &CommandId, now: Timestamp, effect: Effect, stopped: u64) -> Receipt {
        Receipt {
            command: command.clone(),
            at: now,
            effect,
            packets_stopped: stopped,
            packets_passed: 0,
            actuator: self.name.clone(),
        }
    }
}

/// Whether a table is as this version makes it.
fn is_intact(family: Family, listing: &Listing) -> bool {
    listing.sets == elements::Set::ALL.len() && listing.rules == script::rule_count(family)
}

/// Whether the rule of a command that limits a flow is there; other commands have none.
fn holds_limit(listing: &Listing, command: &Command) -> bool {
    script::limit_rule(Family::Inet, command).is_none() || listing.limits.contains_key(&command.id)
}

fn is_unsupported(error: &NftError) -> bool {
    matches!(error, NftError::Refused(reason) if reason.contains("not supported"))
}

impl Actuator for Nftables {
    fn name(&self) -> &str {
        &self.name
    }

    fn in_path(&self) -> bool {
        true
    }

    fn apply(&mut self, command: &Command, permit: Permit, now: Timestamp) -> Receipt {
        let failed = |reason: String| Effect::Failed { reason };
        let elements = elements(command, &self.config);
        let refusal = if !permit.covers(command) {
            Some("the permit is for another command".to_owned())
        } else if script::left(command, now) <= 0 {
            Some(format!("it ran out at {}", command.expires))
        } else if elements.is_empty() {
            Some("it names nobody".to_owned())
        } else if self.in_force.len() >= MAX_IN_FORCE && !self.in_force.contains_key(&command.id) {
            Some(format!("{MAX_IN_FORCE} commands are in force and that is the most"))
        } else {
            None
        };
        if let Some(reason) = refusal {
            return self.receipt(&command.id, now, failed(reason), 0);
        }
        let mut quick = String::new();
        let before = match self.in_force.get(&command.id) {
            Some(old) => {
                // What the earlier form of the same command held and this one does not.
                for &family in &self.families {
                    let gone = old.elements.difference(&elements);
                    gone.for_each(|element| quick.push_str(&script::take(family, element)));
                }
                old.before
            }
            None => self.counted(&command.id, &elements),
        };
        quick.push_str(&self.put(command, &elements, now));
        let is_limit = script::limit_rule(Family::Inet, command).is_some();
        let old =
            self.in_force.insert(command.id.clone(), InForce { command: command.clone(), elements, before });
        if old.is_some() && is_limit {
            // A second rule for the same flow would stand beside the first.
            self.ready = false;
        }
        match self.commit(&quick, now) {
            Ok(()) => self.receipt(&command.id, now, Effect::Applied, 0),
            Err(error) => {
                match old {
                    Some(old) => self.in_force.insert(command.id.clone(), old),
                    None => self.in_force.remove(&command.id),
                };
                self.receipt(&command.id, now, failed(error.to_string()), 0)
            }
        }
    }

    fn undo(&mut self, command: &Command, now: Timestamp) -> Receipt {
        let listed = self.listings();
        // What cannot be looked at is there for all that is known: it is taken out, or that fails and is said.
        let there =
            listed.as_ref().map_or(true, |listings| listings.iter().any(|(_, listing)| listing.is_some()));
        let listings = listed.unwrap_or_default();
        self.read_counters(&listings);
        let entry = self.in_force.remove(&command.id);
        let (own, before) = match &entry {
            Some(entry) => (entry.elements.clone(), entry.before),
            None => (elements(command, &self.config), 0),
        };
        let stopped = self.counted(&command.id, &own).saturating_sub(before);
        let outcome = if there { self.withdraw(command, &own, &listings, now) } else { Ok(()) };
        self.forget_counters();
        match outcome {
            Ok(()) => self.receipt(&command.id, now, Effect::Undone, stopped),
            Err(error) => {
                if let Some(entry) = entry {
                    self.in_force.insert(command.id.clone(), entry);
                }
                self.receipt(&command.id, now, Effect::Failed { reason: error.to_string() }, stopped)
            }
        }
    }

    fn undo_all(&mut self) -> Result<(), String> {
        self.in_force.clear();
        self.ready = false;
        self.counters.clear();
        self.limits.clear();
        Self::flush().map_err(|error| error.to_string())
    }

    fn adopt(&mut self, should: &[Command]) -> Result<Adopted, String> {
        let listings = self.listings()?;
        self.read_counters(&listings);
        let intact = listings
            .iter()
            .all(|(family, listing)| listing.as_ref().is_some_and(|listing| is_intact(*family, listing)));
        self.ready = intact;
        self.in_force.retain(|id, _| should.iter().any(|command| command.id == *id));
        let mut adopted = Adopted::default();
        for command in should {
            let own = elements(command, &self.config);
            let present = intact
                && listings.iter().all(|(_, listing)| {
                    listing.as_ref().is_some_and(|listing| {
                        let held = own.iter().all(|element| listing.elements.contains_key(element));
                        held && holds_limit(listing, command)
                    })
                });
            if present {
                adopted.present.push(command.id.clone());
                self.in_force.entry(command.id.clone()).or_insert_with(|| InForce {
                    command: command.clone(),
                    elements: own,
                    before: 0,
                });
            } else {
                self.in_force.remove(&command.id);
                adopted.missing.push(command.id.clone());
            }
        }
        let known: BTreeSet<&str> = should.iter().map(|command| command.id.as_str()).collect();
        let found =
            listings.iter().filter_map(|(_, listing)| listing.as_ref()).flat_map(|listing| &listing.commands);
        let unknown: BTreeSet<String> =
            found.filter(|name| !known.contains(name.as_str())).cloned().collect();
        adopted.unknown = unknown.into_iter().collect();
        Ok(adopted)
    }

    fn counts(&mut self) -> Result<Vec<Count>, String> {
        if self.in_force.is_empty() {
            return Ok(Vec::new());
        }
        let listings = self.listings()?;
        self.read_counters(&listings);
        let count = |(id, entry): (&CommandId, &InForce)| Count {
            command: id.clone(),
            packets_stopped: self.counted(id, &entry.elements).saturating_sub(entry.before),
        };
        Ok(self.in_force.iter().map(count).collect())
    }

    fn tidy(&mut self, now: Timestamp) -> Result<(), String> {
        let ended: Vec<CommandId> = self
            .in_force
            .iter()
            .filter(|(_, entry)| script::left(&entry.command, now) <= 0)
            .map(|(id, _)| id.clone())
            .collect();
        if ended.is_empty() {
            return Ok(());
        }
        // The kernel lets go by its own clock; where the wall clock was set, its elements are still there.
        for command in ended.iter().filter_map(|id| self.in_force.remove(id)).collect::<Vec<_>>() {
            let listings = self.listings()?;
            self.withdraw(&command.command, &command.elements, &listings, now)
                .map_err(|error| error.to_string())?;
        }
        self.forget_counters();
        Ok(())
    }
}

impl Nftables {
    /// Takes a command's elements out, or all tables where nothing else is held in them.
    fn withdraw(
        &mut self,
        command: &Command,
        own: &BTreeSet<Element>,
        listings: &[(Family, Option<Listing>)],
        now: Timestamp,
    ) -> Result<(), NftError> {
        let others = listings.iter().filter_map(|(_, listing)| listing.as_ref()).any(|listing| {
            listing.elements.keys().any(|element| !own.contains(element))
                || listing.commands.iter().any(|name| name != command.id.as_str())
        });
        if self.in_force.is_empty() && !others {
            return self.remove_tables();
        }
        let mut quick = String::new();
        for &family in &self.families {
            for element in own {
                let heir = self.others(&command.id, element).max_by_key(|other| other.expires);
                quick.push_str(&match heir {
                    Some(heir) => script::put(family, element, script::left(heir, now), &heir.id),
                    None => script::take(family, element),
                });
            }
        }
        if script::limit_rule(Family::Inet, command).is_some() {
            self.ready = false;
        }
        self.commit(&quick, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Action, ContentHasher, Kind, Target};
    use protect::Licence;
    use serde_json::{Value, json};
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn block(number: u8) -> Command {
        let on = Target::Remote { address: [192, 0, 2, number].into() };
        Command {
            id: CommandId::from_content(ContentHasher::new().part(on.subject())),
            action: Action::Block,
            on,
            why: String::new(),
            hits: Vec::new(),
            created: NOW,
            expires: NOW.plus_secs(3600),
            inverse: String::new(),
            kind: Kind("camera".into()),
        }
    }

    /// What `nft -j list table` says of our table with these remote addresses blocked.
    fn listing(blocked: &[u8]) -> Value {
        let sets = elements::Set::ALL.iter().map(|set| {
            let blocked: Vec<String> = match set {
                elements::Set::Blocked4 => blocked.iter().map(|number| format!("192.0.2.{number}")).collect(),
                _ => Vec::new(),
            };
            json!({ "set": { "name": set.name(), "elem": blocked } })
        });
        let rule = json!({ "rule": { "chain": "forward" } });
        let rules = std::iter::repeat_n(rule, script::rule_count(Family::Inet));
        json!({ "nftables": sets.chain(rules).collect::<Vec<_>>() })
    }

    /// An `nft` that never ends after a change; the kernel then holds what `after` says, or what it held before.
    fn hanging(dir: &Path, before: Option<Value>, after: Option<Value>) -> Nftables {
        let (held, next) = (dir.join("held"), dir.join("next"));
        for (path, table) in [(&held, before), (&next, after)] {
            if let Some(table) = table {
                fs::write(path, table.to_string()).unwrap();
            }
        }
        let (held, next) = (held.display(), next.display());
        let program = dir.join("nft");
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = -f ]; then\n  cat >/dev/null; rm -f {held}; cp {next} {held} 2>/dev/null\n  \
             exec sleep 60\nfi\n[ -e {held} ] || {{ echo 'No such file or directory' >&2; exit 1; }}\nexec cat {held}\n"
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Nftables {
            nft: Nft::in_place(&program, Duration::from_millis(500)),
            config: ResponseConfig::default(),
            name: "nftables@test".into(),
            families: vec![Family::Inet],
            in_force: BTreeMap::new(),
            ready: true,
            counters: HashMap::new(),
            limits: HashMap::new(),
        }
    }

    fn applied(nftables: &mut Nftables, command: &Command) -> Effect {
        let config = ResponseConfig::default();
        let permit = Licence::new().approve(command, "ada", &config, NOW).unwrap();
        nftables.apply(command, permit, NOW).effect
    }

    #[test]
    fn a_change_that_the_kernel_made_before_nft_was_killed_was_made() {
        let check = |before: Option<&[u8]>, after: Option<&[u8]>, expected: bool| {
            let dir = tempfile::tempdir().unwrap();
            let mut nftables = hanging(dir.path(), before.map(listing), after.map(listing));
            let effect = applied(&mut nftables, &block(1));
            assert_eq!(effect == Effect::Applied, expected, "{before:?} {after:?}: {effect:?}");
            assert_eq!(nftables.in_force.len(), usize::from(expected));
        };
        check(Some(&[]), Some(&[1]), true);
        check(Some(&[]), Some(&[]), false);
        check(Some(&[]), None, false);
        check(Some(&[2]), Some(&[1, 2]), false);
    }

    #[test]
    fn what_was_taken_back_before_nft_was_killed_is_gone() {
        let check = |after: Option<&[u8]>, expected: bool| {
            let dir = tempfile::tempdir().unwrap();
            let mut nftables = hanging(dir.path(), Some(listing(&[1])), after.map(listing));
            nftables.adopt(&[block(1)]).unwrap();
            let effect = nftables.undo(&block(1), NOW).effect;
            assert_eq!(effect == Effect::Undone, expected, "{after:?}: {effect:?}");
        };
        check(None, true);
        check(Some(&[1]), false);
    }
}
