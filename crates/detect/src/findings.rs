//! The findings that are open: stated by detectors, kept current, read by the correlator.
//!
//! Guarantees: bounded, as long as the correlator makes room when it is asked to; strangers whose addresses nothing proves
//! have a pool of their own (`crowds`); what was refused for lack of room is counted.

use crate::{
    crowds::{self, Crowds, Standing},
    sentence::Sentence,
};
use model::{
    ContentHasher, Finding, FindingId, FlowScope, Party, RecordRef, Severity, Tactic, Technique, Timestamp,
};

/// So many may be open; the correlator lets go of the least when there are more.
pub(crate) const CAPACITY: usize = 16_384;
/// What may be stated before the correlator had its turn.
const IN_BETWEEN: usize = 1_024;
/// Scopes and parties of one finding that are kept.
pub(crate) const MAX_SCOPES: usize = 4_096;
pub(crate) const MAX_PARTIES: usize = 256;
/// Scopes of all findings together.
const ALL_SCOPES: usize = 1 << 18;

/// Names a finding; outlives it harmlessly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Handle {
    slot: u32,
    generation: u32,
    /// The finding stands for many; whoever holds this is one of them.
    member: bool,
}

/// What a detector states.
pub(crate) struct Draft {
    pub(crate) detector: &'static str,
    /// What tells this finding from others of the detector with the same beginning.
    pub(crate) anchor: String,
    pub(crate) severity: Severity,
    pub(crate) confidence: u8,
    pub(crate) stage: Tactic,
    pub(crate) technique: Technique,
    pub(crate) method: String,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) parties: Vec<Party>,
    pub(crate) why: String,
    pub(crate) value: f64,
    pub(crate) threshold: f64,
    pub(crate) record: RecordRef,
    pub(crate) scopes: Vec<FlowScope>,
    pub(crate) flows: u64,
    pub(crate) supporting: bool,
}

struct Slot {
    finding: Option<Finding>,
    generation: u32,
    standing: Standing,
    announced: (f64, Timestamp),
    /// What is to be written before the finding is read.
    unwritten: Option<Sentence>,
    /// Waits among those that changed.
    listed: bool,
}

/// All open findings.
pub(crate) struct Findings {
    slots: Vec<Slot>,
    free: Vec<u32>,
    fresh: Vec<Handle>,
    changed: Vec<Handle>,
    unwritten: Vec<u32>,
    crowds: Crowds,
    scopes: usize,
    stated: u64,
    refused: u64,
}

impl Findings {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            fresh: Vec::new(),
            changed: Vec::new(),
            unwritten: Vec::new(),
            crowds: Crowds::default(),
            scopes: 0,
            stated: 0,
            refused: 0,
        }
    }

    /// States a new finding. `proven`: somebody is surely there who acts in it, or nobody is said to.
    pub(crate) fn state(&mut self, mut draft: Draft, proven: bool) -> Option<Handle> {
        let mut standing = Standing::Proven;
        if !proven {
            let (place, crowd) = self.crowds.place(&draft);
            if let Some(slot) = crowd {
                return self.join(slot, draft);
            }
            standing = place;
        }
        if self.open() >= CAPACITY + IN_BETWEEN {
            self.refused += 1;
            return None;
        }
        let member = matches!(standing, Standing::Crowd(_));
        if member {
            crowds::begin(&mut draft);
        }
        self.stated += 1;
        let id = FindingId::from_content(
            ContentHasher::new()
                .part(draft.detector)
                .part(&draft.anchor)
                .part(draft.first.micros().to_be_bytes()),
        );
        let finding = Finding {
            id,
            detector: draft.detector,
            severity: draft.severity,
            confidence: draft.confidence,
            stage: draft.stage,
            technique: draft.technique,
            first: draft.first,
            last: draft.last,
            decided: draft.last,
            parties: draft.parties,
            parties_omitted: 0,
            why: draft.why,
            value: draft.value,
            threshold: draft.threshold,
            record: draft.record,
            scopes: draft.scopes,
            flows: draft.flows,
            method: draft.method,
            supporting: draft.supporting,
        };
        self.scopes += finding.scopes.len();
        let announced = (finding.value, finding.last);
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        self.crowds.enter(&standing, slot);
        let generation = match self.slots.get_mut(slot as usize) {
            Some(place) => {
                (place.finding, place.standing, place.announced) = (Some(finding), standing, announced);
                place.generation
            }
            None => {
                let finding = Some(finding);
                let (unwritten, listed) = (None, false);
                self.slots.push(Slot { finding, generation: 0, standing, announced, unwritten, listed });
                0
            }
        };
        self.fresh.push(Handle { slot, generation, member: false });
        Some(Handle { slot, generation, member })
    }

    /// One more of a crowd.
    fn join(&mut self, slot: u32, draft: Draft) -> Option<Handle> {
        let generation = self.slots.get(slot as usize)?.generation;
        self.stated += 1;
        let crowd = Handle { slot, generation, member: false };
        let mut count = 0;
        self.extend(crowd, draft.last, |finding| {
            crowds::join(finding, draft);
            count = finding.value as u64;
        });
        self.say(crowd, Sentence::Crowd { count });
        Some(Handle { member: true, ..crowd })
    }

    /// How many are open.
    pub(crate) const fn open(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A finding goes on. Its scopes that reached to its last moment reach to the new one.
    pub(crate) fn extend(&mut self, handle: Handle, last: Timestamp, change: impl FnOnce(&mut Finding)) {
        let Some(slot) =
            self.slots.get_mut(handle.slot as usize).filter(|slot| slot.generation == handle.generation)
        else {
            return;
        };
        let Some(finding) = slot.finding.as_mut() else { return };
        let before = (finding.last, finding.severity, finding.parties.len());
        let scopes = finding.scopes.len();
        finding.last = finding.last.max(last);
        for scope in &mut finding.scopes {
            if scope.last == before.0 {
                scope.last = finding.last;
            }
        }
        // What one of a crowd measures is not what is said of all.
        if !handle.member {
            change(finding);
        }
        // Flows beyond that are in the story all the same, but not told one by one.
        if finding.scopes.len() > scopes && self.scopes >= ALL_SCOPES {
            self.refused += (finding.scopes.len() - scopes) as u64;
            finding.scopes.truncate(scopes);
        }
        self.scopes = self.scopes + finding.scopes.len() - scopes;
        let parties = finding.parties.len();
        let grown =
            finding.value >= slot.announced.0 * 2.0 || finding.last.seconds_since(slot.announced.1) >= 10.0;
        if grown || finding.severity != before.1 || parties != before.2 {
            slot.announced = (finding.value, finding.last);
            if !std::mem::replace(&mut slot.listed, true) {
                self.changed.push(Handle { member: false, ..handle });
            }
        }
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&Finding> {
        let slot = self.slots.get(handle.slot as usize)?;
        slot.finding.as_ref().filter(|_| slot.generation == handle.generation)
    }

    /// Whether the finding is still open: its story may have ended and been let go.
    pub(crate) fn is_open(&self, handle: Handle) -> bool {
        self.get(handle).is_some()
    }

    /// The finding's sentence is this from now on; it is written when it is wanted.
    pub(crate) fn say(&mut self, handle: Handle, sentence: Sentence) {
        if let Some(slot) = self.slots.get_mut(handle.slot as usize)
            && slot.generation == handle.generation
            && !handle.member
            && slot.unwritten.replace(sentence).is_none()
        {
            self.unwritten.push(handle.slot);
        }
    }

    /// Writes the sentences that are to be read.
    pub(crate) fn write(&mut self) {
        for slot in std::mem::take(&mut self.unwritten) {
            let Some(slot) = self.slots.get_mut(slot as usize) else { continue };
            if let (Some(sentence), Some(finding)) = (slot.unwritten.take(), &mut slot.finding) {
                finding.why = sentence.to_string();
            }
        }
    }

    /// How many the finding stands for, where it stands for a crowd.
    pub(crate) fn crowd(&self, handle: Handle) -> Option<u64> {
        let slot = self.slots.get(handle.slot as usize)?;
        let finding = slot.finding.as_ref().filter(|_| slot.generation == handle.generation)?;
        matches!(slot.standing, Standing::Crowd(_)).then_some(finding.value as u64)
    }

    pub(crate) fn forget(&mut self, handle: Handle) {
        if let Some(slot) =
            self.slots.get_mut(handle.slot as usize).filter(|slot| slot.generation == handle.generation)
        {
            self.scopes -= slot.finding.take().map_or(0, |finding| finding.scopes.len());
            slot.unwritten = None;
            slot.listed = false;
            self.crowds.leave(&std::mem::replace(&mut slot.standing, Standing::Proven));
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(handle.slot);
        }
    }

    /// Findings stated since the last call.
    pub(crate) fn take_fresh(&mut self) -> Vec<Handle> {
        std::mem::take(&mut self.fresh)
    }

    /// Findings that changed noticeably since the last call.
    pub(crate) fn take_changed(&mut self) -> Vec<Handle> {
        for handle in &self.changed {
            if let Some(slot) = self.slots.get_mut(handle.slot as usize) {
                slot.listed = false;
            }
        }
        std::mem::take(&mut self.changed)
    }

    pub(crate) const fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    pub(crate) const fn stated(&self) -> u64 {
        self.stated
    }

    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Handle, &Finding)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| {
            let handle = Handle { slot: at as u32, generation: slot.generation, member: false };
            Some((handle, slot.finding.as_ref()?))
        })
    }
}

/// All flows from one to another on one port within a span.
pub(crate) const fn scope(
    src: Option<std::net::IpAddr>,
    dst: Option<std::net::IpAddr>,
    port: Option<u16>,
    protocol: Option<model::Protocol>,
    first: Timestamp,
    last: Timestamp,
) -> FlowScope {
    FlowScope { src, dst, port, protocol, first, last }
}

/// The flows from one to another on one port, about now.
pub(crate) fn exactly(key: &model::FlowKey, at: Timestamp) -> FlowScope {
    scope(Some(key.src), Some(key.dst), Some(key.dst_port), Some(key.protocol), at.plus_secs(-1), at)
}
