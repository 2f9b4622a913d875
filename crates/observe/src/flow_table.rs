//! The flow table: packets in, increments of flows out.
//!
//! Guarantees: at most `max_flows` flows are held; under pressure the oldest unanswered ones are given up first and
//! counted, so that a flood cannot push out the conversations beside it. Silence is concluded only where an answer
//! would have been seen. All times are event time.

use crate::{
    dues::{ANSWER_MICROS, CLASSES, Due, Dues, idle_until},
    flow::{ACK, Flow, SYN, Seen, opened_by_the_other, reversed},
    handshake::Handshake,
    rooms::Rooms,
    sight::Sight,
};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use model::{Counts, Event, FlowKey, NetSet, Outcome, Phase, Protocol, RecordRef, Service, Timestamp};
use std::hash::BuildHasher;

/// A flow reports at least this often while it is active.
const REPORT_MICROS: i64 = 1_000_000;
const REPORT_PACKETS: u64 = 1_000;
/// So many that spoke since the last look are passed by when room is made for another.
const SPARED: usize = 64;

/// What was given up for lack of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Flows ended early.
    pub flows: u64,
    /// Flows whose payload was looked into no further.
    pub sessions: u64,
}

/// All flows that are alive.
pub struct FlowTable {
    hasher: FixedState,
    index: HashTable<u32>,
    slots: Vec<Option<Flow>>,
    free: Vec<u32>,
    max_flows: usize,
    next_id: u64,
    rooms: Rooms,
    now: Timestamp,
    dues: Dues,
    sight: Sight,
    shed: Shed,
}

impl FlowTable {
    /// A table of at most `max_flows` flows (at least 16). `home` is what is ours.
    #[must_use]
    pub fn new(home: NetSet, max_flows: usize) -> Self {
        Self {
            hasher: FixedState::default(),
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            max_flows: max_flows.clamp(16, u32::MAX as usize),
            next_id: 1,
            rooms: Rooms::default(),
            now: Timestamp::default(),
            dues: Dues::default(),
            sight: Sight::new(home),
            shed: Shed::default(),
        }
    }

    /// Flows opened so far.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.next_id - 1
    }

    /// Flows alive now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no flow is alive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What was given up for lack of room.
    #[must_use]
    pub const fn shed(&self) -> Shed {
        self.shed
    }

    /// Counts a packet to its flow, opening one where there is none.
    pub(crate) fn packet(&mut self, seen: &Seen<'_>, emit: &mut impl FnMut(Event)) {
        self.advance(seen.at, emit);
        let hash = self.hash(&seen.key);
        let found = self.find(hash, &seen.key);
        let slot = match found {
            Some((slot, outward)) if self.reopens(slot, outward, seen) => {
                self.close(slot, self.now, emit);
                None
            }
            other => other,
        };
        match slot {
            Some((slot, outward)) => self.count(slot, outward, seen, emit),
            None => self.open(hash, seen, emit),
        }
    }

    /// An ICMP error about a packet of the flow, and what it means for the attempt to talk, if anything. Whether the flow
    /// was known.
    pub(crate) fn error(
        &mut self,
        key: &FlowKey,
        outcome: Option<Outcome>,
        at: Timestamp,
        record: RecordRef,
        emit: &mut impl FnMut(Event),
    ) -> bool {
        let Some((slot, outward)) = self.find(self.hash(key), key) else { return false };
        if outward {
            // Who refused is seen to speak to the originator.
            self.sight.packet(key.dst, key.src);
        }
        let Some(flow) = self.flow_mut(slot) else { return false };
        if outward
            && let Some(outcome) = outcome
            && matches!(flow.outcome, Outcome::Pending | Outcome::Silent | Outcome::Unknown)
        {
            flow.outcome = outcome;
            flow.report(Phase::Changed, at, record, emit);
        }
        true
    }

    /// Event time goes on: decides on silence and ends what is idle.
    pub fn advance(&mut self, now: Timestamp, emit: &mut impl FnMut(Event)) {
        if now < self.now {
            return;
        }
        self.now = now;
        while let Some(due) = self.dues.waited(now) {
            self.waited(due, emit);
        }
        for class in 0..CLASSES {
            while let Some(due) = self.dues.idled(class, now) {
                self.idled(due, emit);
            }
        }
    }

    /// The clock was set back to `now`: no flow was seen later than that, and each waits anew.
    pub(crate) fn set_back(&mut self, now: Timestamp) {
        self.now = now;
        self.dues.clear();
        let mut alive: Vec<(Timestamp, u32)> = Vec::new();
        for (slot, flow) in self.slots.iter_mut().enumerate() {
            if let Some(flow) = flow {
                flow.first = flow.first.min(now);
                flow.last = flow.last.min(now);
                flow.reported_at = flow.reported_at.min(now);
                alive.push((flow.last, slot as u32));
            }
        }
        alive.sort_unstable();
        for (last, slot) in alive {
            let Some(flow) = self.slots.get(slot as usize).and_then(Option::as_ref) else { continue };
            self.dues.idle(flow.idle_class(), last, slot, flow.id);
            if flow.closing || flow.outcome == Outcome::Pending {
                self.dues.wait(now, slot, flow.id);
            }
        }
    }

    /// Ends all flows, in the order in which they were opened.
    pub fn finish(&mut self, emit: &mut impl FnMut(Event)) {
        let mut alive: Vec<(u64, u32)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(slot, flow)| Some((flow.as_ref()?.id, slot as u32)))
            .collect();
        alive.sort_unstable();
        for (_, slot) in alive {
            let last = self.flow_mut(slot).map(|flow| flow.last).unwrap_or_default();
            self.close(slot, last, emit);
        }
        self.dues.clear();
    }

    fn hash(&self, key: &FlowKey) -> u64 {
        // Both directions hash alike.
        let (a, b) = ((key.src, key.src_port), (key.dst, key.dst_port));
        let ends = if a <= b { (a, b) } else { (b, a) };
        self.hasher.hash_one((ends, key.protocol))
    }

    /// The flow of a packet, and whether the packet goes from its originator to its responder.
    fn find(&self, hash: u64, key: &FlowKey) -> Option<(u32, bool)> {
        let slot = *self.index.find(hash, |&slot| {
            self.flow(slot).is_some_and(|flow| flow.key == *key || flow.key == reversed(key))
        })?;
        Some((slot, self.flow(slot)?.key == *key))
    }

    fn flow(&self, slot: u32) -> Option<&Flow> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn flow_mut(&mut self, slot: u32) -> Option<&mut Flow> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// A SYN on a flow that had ended, or was established, begins another.
    fn reopens(&self, slot: u32, outward: bool, seen: &Seen<'_>) -> bool {
        if seen.key.protocol != Protocol::TCP || seen.flags & (SYN | ACK) != SYN {
            return false;
        }
        self.flow(slot).is_some_and(|flow| {
            flow.closing || !outward || (flow.outcome == Outcome::Established && flow.flags_out & ACK != 0)
        })
    }

    fn open(&mut self, hash: u64, seen: &Seen<'_>, emit: &mut impl FnMut(Event)) {
        if self.index.len() >= self.max_flows {
            self.make_room(emit);
        }
        self.tidy();
        let outward = !opened_by_the_other(seen);
        let (key, src_mac, dst_mac) = if outward {
            (seen.key, seen.src_mac, seen.dst_mac)
        } else {
            (reversed(&seen.key), seen.dst_mac, seen.src_mac)
        };
        let id = self.next_id;
        self.next_id += 1;
        let flow = Flow {
            id,
            key,
            first: seen.at,
            last: seen.at,
            reported_at: seen.at,
            total: Counts::default(),
            reported: Counts::default(),
            opened_by: seen.record,
            src_mac,
            dst_mac,
            hops: None,
            flags_out: 0,
            flags_in: 0,
            handshake: Handshake::default(),
            outcome: Outcome::Pending,
            answer_visible: !seen.is_error && self.sight.answer_visible(seen.key.src, seen.key.dst),
            is_error: seen.is_error,
            cut: false,
            closing: false,
            session: None,
            session_over: !matches!(key.protocol, Protocol::TCP | Protocol::UDP),
            heard: false,
            service: Service::Unknown,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = Some(flow);
                }
                slot
            }
            None => {
                self.slots.push(Some(flow));
                (self.slots.len() - 1) as u32
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        let _ = self.index.insert_unique(hash, slot, |&slot| {
            slots.get(slot as usize).and_then(Option::as_ref).map_or(0, |flow| {
                let (a, b) = ((flow.key.src, flow.key.src_port), (flow.key.dst, flow.key.dst_port));
                hasher.hash_one((if a <= b { (a, b) } else { (b, a) }, flow.key.protocol))
            })
        });
        self.dues.wait(seen.at, slot, id);
        self.dues.idle(0, seen.at, slot, id);
        self.sight.packet(seen.key.src, seen.key.dst);
        self.count(slot, outward, seen, emit);
    }

    /// Counts one packet to a flow, follows the conversation and reports what is notable.
    fn count(&mut self, slot: u32, outward: bool, seen: &Seen<'_>, emit: &mut impl FnMut(Event)) {
        let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let opening = flow.total == Counts::default();
        if !outward && flow.total.packets_in == 0 && !opening {
            self.sight.packet(seen.key.src, seen.key.dst);
        }
        let before = (flow.outcome, flow.total.payload_out > 0, flow.total.payload_in > 0, flow.service);
        flow.add(outward, seen);
        let was_closing = flow.closing;
        flow.follow(outward, seen);
        let phase = if opening {
            Some(Phase::Opened)
        } else if before.0 != flow.outcome
            || before.1 != (flow.total.payload_out > 0)
            || before.2 != (flow.total.payload_in > 0)
        {
            Some(Phase::Changed)
        } else if seen.at.micros_since(flow.reported_at) >= REPORT_MICROS
            || flow.unreported() >= REPORT_PACKETS
        {
            Some(Phase::Progress)
        } else {
            None
        };
        if let Some(phase) = phase {
            flow.report(phase, seen.at, seen.record, emit);
        }
        let (ends, id) = (flow.closing && !was_closing, flow.id);
        // What is said over TCP counts once it is sure that both ends hear each other.
        let speaks = seen.key.protocol == Protocol::UDP || flow.outcome == Outcome::Established;
        if seen.payload_length > 0 && !flow.session_over && speaks {
            self.hear(slot, outward, seen, emit);
        }
        if ends {
            self.dues.wait(seen.at, slot, id);
        }
    }

    /// Gives a payload to the session of its flow, making room for it where there is none.
    fn hear(&mut self, slot: u32, outward: bool, seen: &Seen<'_>, emit: &mut impl FnMut(Event)) {
        if self.rooms.is_full() && self.flow(slot).is_some_and(|flow| flow.session.is_none()) {
            self.make_room_to_listen(emit);
        }
        let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let (before, fresh) = (flow.kind(), flow.session.is_none());
        flow.listen(outward, seen, emit);
        flow.heard = true;
        let after = flow.kind();
        match (fresh, flow.session.is_some()) {
            (true, true) => self.rooms.enter(after, slot, flow.id),
            (false, false) => self.rooms.leave(before),
            (false, true) if before != after => {
                self.rooms.leave(before);
                self.rooms.enter(after, slot, flow.id);
            }
            _ => {}
        }
        if before != after {
            flow.report(Phase::Changed, seen.at, seen.record, emit);
        }
    }

    /// Of the most numerous kind of talk, the one that has been silent for longest is listened to no further, unless it
    /// speaks again.
    fn make_room_to_listen(&mut self, emit: &mut impl FnMut(Event)) {
        let mut spared = 0;
        while let Some((kind, slot, id)) = self.rooms.next() {
            let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { continue };
            if flow.id != id || flow.kind() != kind || flow.session.is_none() {
                continue;
            }
            if spared < SPARED && std::mem::take(&mut flow.heard) {
                spared += 1;
                self.rooms.again(kind, slot, id);
                continue;
            }
            self.shed.sessions += 1;
            flow.end_session(emit);
            self.rooms.leave(kind);
            return;
        }
    }

    /// The time for an answer, or for stragglers, is over.
    fn waited(&mut self, due: Due, emit: &mut impl FnMut(Event)) {
        let Some(ends) = self.flow(due.slot).filter(|flow| flow.id == due.id).map(|flow| flow.key) else {
            return;
        };
        if self.flow(due.slot).is_some_and(Flow::goes_on_unanswered) {
            self.sight.missed(ends.src, ends.dst);
        }
        // What was not known to pass here when the flow began can be known by now.
        let visible = self.sight.answer_visible(ends.src, ends.dst);
        let Some(flow) = self.flow_mut(due.slot) else { return };
        flow.answer_visible |= visible && !flow.is_error;
        if flow.closing {
            // The wait for an answer was queued before the end; only the wait for stragglers ends the flow.
            if due.at.micros_since(flow.last) >= ANSWER_MICROS {
                self.close(due.slot, due.at, emit);
            } else {
                let last = flow.last;
                self.dues.wait(last, due.slot, due.id);
            }
        } else if flow.outcome == Outcome::Pending {
            flow.outcome = flow.without_answer();
            let record = flow.opened_by;
            flow.report(Phase::Changed, due.at, record, emit);
        }
    }

    /// A flow may have been idle for long enough.
    fn idled(&mut self, due: Due, emit: &mut impl FnMut(Event)) {
        let Some(flow) = self.flow(due.slot).filter(|flow| flow.id == due.id) else { return };
        let (class, last) = (flow.idle_class(), flow.last);
        let at = idle_until(class, last);
        if at <= due.at.max(self.now) {
            self.close(due.slot, at, emit);
        } else {
            self.dues.idle(class, last, due.slot, due.id);
        }
    }

    /// Flows that ended leave their place in the queues; under a flood of short ones those are swept in good time.
    fn tidy(&mut self) {
        let slots = &self.slots;
        let flow = |slot: u32, id| {
            slots.get(slot as usize).and_then(Option::as_ref).filter(|flow: &&Flow| flow.id == id)
        };
        self.dues.tidy(4 * self.max_flows, |due| flow(due.slot, due.id).is_some());
        self.rooms.tidy(|slot, id| flow(slot, id).is_some_and(|flow| flow.session.is_some()));
    }

    fn make_room(&mut self, emit: &mut impl FnMut(Event)) {
        for class in 0..CLASSES {
            while let Some(due) = self.dues.oldest(class) {
                let Some(flow) = self.flow(due.slot).filter(|flow| flow.id == due.id) else { continue };
                let (now_in, last) = (flow.idle_class(), flow.last);
                if now_in > class {
                    // Answered since it was queued: it stands with its like.
                    self.dues.idle(now_in, last, due.slot, due.id);
                    continue;
                }
                self.shed.flows += 1;
                self.close(due.slot, self.now, emit);
                return;
            }
        }
    }

    fn close(&mut self, slot: u32, at: Timestamp, emit: &mut impl FnMut(Event)) {
        let Some(mut flow) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        let hash = self.hash(&flow.key);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        self.free.push(slot);
        if flow.session.is_some() {
            self.rooms.leave(flow.kind());
            flow.end_session(emit);
        }
        if flow.outcome == Outcome::Pending {
            flow.outcome = flow.without_answer();
        }
        let record = flow.opened_by;
        flow.report(Phase::Closed, at, record, emit);
    }
}
