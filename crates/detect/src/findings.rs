//! The findings that are open: stated by detectors, kept current, read by the correlator.
//!
//! Guarantees: bounded; weak findings leave room for strong ones; what was refused for lack of room is counted.

use model::{
    ContentHasher, Finding, FindingId, FlowScope, Party, RecordRef, Severity, Tactic, Technique, Timestamp,
};

const CAPACITY: usize = 16_384;
const CAPACITY_WEAK: usize = 12_288;
/// Scopes and parties of one finding that are kept.
pub(crate) const MAX_SCOPES: usize = 4_096;
pub(crate) const MAX_PARTIES: usize = 256;

/// Names a finding; outlives it harmlessly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Handle {
    slot: u32,
    generation: u32,
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
    announced: (f64, Timestamp),
}

/// All open findings.
pub(crate) struct Findings {
    slots: Vec<Slot>,
    free: Vec<u32>,
    fresh: Vec<Handle>,
    changed: Vec<Handle>,
    stated: u64,
    refused: u64,
}

impl Findings {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            fresh: Vec::new(),
            changed: Vec::new(),
            stated: 0,
            refused: 0,
        }
    }

    /// States a new finding.
    pub(crate) fn state(&mut self, draft: Draft) -> Option<Handle> {
        let alive = self.slots.len() - self.free.len();
        if alive >= if draft.severity <= Severity::Low { CAPACITY_WEAK } else { CAPACITY } {
            self.refused += 1;
            return None;
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
        let announced = (finding.value, finding.last);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { finding: None, generation: 0, announced });
                (self.slots.len() - 1) as u32
            }
        };
        let place = self.slots.get_mut(slot as usize)?;
        place.finding = Some(finding);
        place.announced = announced;
        let handle = Handle { slot, generation: place.generation };
        self.fresh.push(handle);
        Some(handle)
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
        finding.last = finding.last.max(last);
        for scope in &mut finding.scopes {
            if scope.last == before.0 {
                scope.last = finding.last;
            }
        }
        change(finding);
        let parties = finding.parties.len();
        let grown =
            finding.value >= slot.announced.0 * 2.0 || finding.last.seconds_since(slot.announced.1) >= 10.0;
        if grown || finding.severity != before.1 || parties != before.2 {
            slot.announced = (finding.value, finding.last);
            self.changed.push(handle);
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

    pub(crate) fn forget(&mut self, handle: Handle) {
        if let Some(slot) =
            self.slots.get_mut(handle.slot as usize).filter(|slot| slot.generation == handle.generation)
        {
            slot.finding = None;
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
            let handle = Handle { slot: at as u32, generation: slot.generation };
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
    FlowScope { src, dst, port, protocol, reversed: false, first, last }
}

/// The flows from one to another on one port, about now.
pub(crate) fn exactly(key: &model::FlowKey, at: Timestamp) -> FlowScope {
    scope(Some(key.src), Some(key.dst), Some(key.dst_port), Some(key.protocol), at.plus_secs(-1), at)
}
