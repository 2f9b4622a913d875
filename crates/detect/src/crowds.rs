//! Those who act in names that nothing proves: the first of them each by itself, the rest in one number.
//!
//! Whoever forges sources makes as many of them as it likes; each in a finding of its own would push out what matters.
//!
//! Guarantees: at most [`APART`] findings about strangers of ours and as many about others stand apart; beyond that, those
//! who do the same are counted in at most [`CROWDS`] findings, and one more for each detector.

use crate::{
    findings::{Draft, MAX_PARTIES, MAX_SCOPES},
    sentence::Sentence,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::{Finding, Party, Role};

/// Findings about strangers that stand apart.
const APART: usize = 1_024;
/// Crowds that are told from each other by what they do.
const CROWDS: usize = 64;

/// What one finding is among the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    /// Somebody is surely there, or nobody is said to act.
    Proven,
    /// It stands apart, though nothing proves who acts: one of ours, or not.
    Stranger { home: bool },
    /// It stands for many.
    Crowd(Class),
}

/// What those in a crowd have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Class {
    home: bool,
    detector: &'static str,
    /// None where there are too many kinds.
    method: Option<String>,
}

/// The room for strangers.
#[derive(Default)]
pub(crate) struct Crowds {
    apart: [usize; 2],
    /// In which slot each crowd's finding is.
    slots: HashMap<Class, u32, FixedState>,
}

impl Crowds {
    /// Where a stranger stands who does this, and the slot of its crowd where there is one already.
    pub(crate) fn place(&self, draft: &Draft) -> (Standing, Option<u32>) {
        let home = acting(&draft.parties).any(|party| party.home);
        if self.apart.get(usize::from(home)).is_some_and(|&apart| apart < APART) {
            return (Standing::Stranger { home }, None);
        }
        let mut class = Class { home, detector: draft.detector, method: Some(draft.method.clone()) };
        if !self.slots.contains_key(&class) && self.slots.len() >= CROWDS {
            class.method = None;
        }
        let slot = self.slots.get(&class).copied();
        (Standing::Crowd(class), slot)
    }

    /// A finding took its place.
    pub(crate) fn enter(&mut self, standing: &Standing, slot: u32) {
        match standing {
            Standing::Proven => {}
            Standing::Stranger { home } => {
                if let Some(apart) = self.apart.get_mut(usize::from(*home)) {
                    *apart += 1;
                }
            }
            Standing::Crowd(class) => {
                self.slots.insert(class.clone(), slot);
            }
        }
    }

    /// A finding gave up its place.
    pub(crate) fn leave(&mut self, standing: &Standing) {
        match standing {
            Standing::Proven => {}
            Standing::Stranger { home } => {
                if let Some(apart) = self.apart.get_mut(usize::from(*home)) {
                    *apart = apart.saturating_sub(1);
                }
            }
            Standing::Crowd(class) => {
                self.slots.remove(class);
            }
        }
    }
}

/// What the first of a crowd did is said of all.
pub(crate) fn begin(draft: &mut Draft) {
    draft.anchor = format!("crowd {}", draft.method);
    (draft.value, draft.threshold) = (1.0, 1.0);
    draft.why = Sentence::Crowd { count: 1 }.to_string();
}

/// One more does the same.
pub(crate) fn join(crowd: &mut Finding, mut draft: Draft) {
    crowd.value += 1.0;
    crowd.flows += draft.flows;
    crowd.first = crowd.first.min(draft.first);
    crowd.severity = crowd.severity.max(draft.severity);
    for party in acting(&draft.parties) {
        if crowd.parties.len() < MAX_PARTIES {
            crowd.parties.push(*party);
        } else {
            crowd.parties_omitted += 1;
        }
    }
    draft.scopes.truncate(MAX_SCOPES.saturating_sub(crowd.scopes.len()));
    crowd.scopes.append(&mut draft.scopes);
}

/// Who does something in a finding.
pub(crate) fn acting(parties: &[Party]) -> impl Iterator<Item = &Party> {
    parties.iter().filter(|party| matches!(party.role, Role::Infected | Role::Attacker))
}
