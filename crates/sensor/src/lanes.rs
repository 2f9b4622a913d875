//! All watched interfaces as one stream of packets in the order of time.
//!
//! Guarantees: a packet is handed on when no other interface can still bring an earlier one: at once with one
//! interface, at most [`HOLD`] later with several. A packet that crosses the machine is seen at several
//! places; all but the first are marked as copies (see [`Sightings`]
//! and [`crate::translation`]). An interface that is down or missing holds nobody up.

use crate::{InterfaceState, InterfaceStats, translation::Translation};
use capture::{CaptureError, Direction, Options, Ring, State};
use model::{RecordRef, Timestamp};
use observe::{LinkType, Sightings};
use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// How long the kernel may hold packets of a block that is not full.
const BLOCK_TIMEOUT: Duration = Duration::from_millis(10);
/// After so long every interface has shown what it had: the kernel closes a block at the second tick at the latest.
pub(crate) const HOLD: Duration = Duration::from_millis(25);

/// A packet, from whichever interface.
pub(crate) struct Packet<'a> {
    pub(crate) record: RecordRef,
    pub(crate) at: Timestamp,
    pub(crate) link: u16,
    pub(crate) wire_length: u32,
    pub(crate) data: &'a [u8],
    /// It was sent by this machine, made here or forwarded: no firewall can stop it any more.
    pub(crate) left: bool,
    /// It was handed on before, as seen elsewhere on this machine.
    pub(crate) copy: bool,
}

/// Why reading paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paused {
    /// Nothing more is there.
    Drained,
    /// Another interface may still bring an earlier packet.
    Held,
    /// There is more, but others want their turn.
    Budget,
}

struct Lane {
    ring: Ring,
    state: InterfaceState,
    last_packet: Option<Timestamp>,
    records: u64,
}

/// The watched interfaces.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    sightings: Sightings,
    /// With one interface, only one side of a translation is seen.
    translation: Option<Translation>,
    packets: u64,
    bytes: u64,
    duplicates: u64,
}

impl Lanes {
    /// Opens a ring on each. Needs the right to capture; nothing later does.
    pub(crate) fn open(
        interfaces: &[String],
        ring_bytes: usize,
        promiscuous: bool,
    ) -> Result<Self, CaptureError> {
        let options = Options { ring_bytes, block_timeout: BLOCK_TIMEOUT, promiscuous };
        let open = |interface: &String| {
            let ring = Ring::open(interface, &options)?;
            Ok(Lane { ring, state: InterfaceState::Missing, last_packet: None, records: 0 })
        };
        let lanes = interfaces.iter().map(open).collect::<Result<Vec<_>, CaptureError>>()?;
        let translation = (lanes.len() > 1).then(Translation::new);
        let sightings = Sightings::new(RandomState::new().hash_one(0));
        let mut lanes = Self { lanes, sightings, translation, packets: 0, bytes: 0, duplicates: 0 };
        lanes.refresh();
        Ok(lanes)
    }

    /// Looks after the interfaces: finds those that came, notes those that went.
    pub(crate) fn refresh(&mut self) {
        for lane in &mut self.lanes {
            let state = match lane.ring.refresh() {
                Ok(State::Up) => InterfaceState::Up,
                Ok(State::Down) => InterfaceState::Down,
                Ok(State::Missing) => InterfaceState::Missing,
                Err(error) => {
                    if lane.state != InterfaceState::Missing {
                        tracing::error!(interface = lane.ring.interface(), %error, "cannot be watched");
                    }
                    InterfaceState::Missing
                }
            };
            if state != lane.state {
                tracing::info!(interface = lane.ring.interface(), state = state.as_str(), "interface");
                lane.state = state;
            }
        }
    }

    /// Waits for packets. Returns whether an interface is in trouble and wants [`Lanes::refresh`].
    pub(crate) fn wait(&self, timeout: Duration) -> std::io::Result<bool> {
        capture::wait(self.lanes.iter().map(|lane| &lane.ring), timeout)
    }

    /// Hands on at most `budget` packets that are due by now.
    pub(crate) fn read(&mut self, now: Timestamp, budget: usize, mut to: impl FnMut(Packet<'_>)) -> Paused {
        for _ in 0..budget {
            let Some((index, nanos, all_have)) = self.earliest() else { return Paused::Drained };
            let at = Timestamp::from_micros(nanos / 1_000);
            // A packet far in the future only says that the clock was set back.
            let age = now.micros_since(at);
            if !all_have && (-1_000_000..HOLD.as_micros() as i64).contains(&age) {
                return Paused::Held;
            }
            self.take(index, at, &mut to);
        }
        Paused::Budget
    }

    /// The interface with the earliest packet, that packet's time, and whether no interface is without one.
    fn earliest(&mut self) -> Option<(usize, i64, bool)> {
        let mut earliest: Option<(usize, i64)> = None;
        let mut all_have = true;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            match lane.ring.peek() {
                Some(nanos) if earliest.is_none_or(|(_, before)| nanos < before) => {
                    earliest = Some((index, nanos))
                }
                Some(_) => {}
                None => all_have &= lane.state != InterfaceState::Up,
            }
        }
        earliest.map(|(index, nanos)| (index, nanos, all_have))
    }

    fn take(&mut self, index: usize, at: Timestamp, to: &mut impl FnMut(Packet<'_>)) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let link = lane.ring.link();
        let Some(frame) = lane.ring.next_frame() else { return };
        lane.records += 1;
        lane.last_packet = Some(at);
        let (direction, nanos) = (frame.direction, frame.nanos);
        let left = direction == Direction::Out;
        let copy = self.sightings.is_copy(index as u32, left, nanos, LinkType(link), frame.data)
            || self.translation.as_mut().is_some_and(|it| it.is_outside(direction, nanos, link, frame.data));
        if copy {
            self.duplicates += 1;
        } else {
            self.packets += 1;
            self.bytes += u64::from(frame.wire_length);
        }
        let record = RecordRef { input: index as u32, record: lane.records };
        to(Packet { record, at, link, wire_length: frame.wire_length, data: frame.data, left, copy });
    }

    pub(crate) const fn packets(&self) -> u64 {
        self.packets
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Each interface, as it is now.
    pub(crate) fn stats(&mut self) -> Vec<InterfaceStats> {
        let stats = |lane: &mut Lane| {
            let counters = lane.ring.counters();
            InterfaceStats {
                name: lane.ring.interface().to_owned(),
                state: lane.state,
                packets: counters.packets,
                bytes: counters.bytes,
                dropped: counters.dropped,
                last_packet: lane.last_packet,
            }
        };
        self.lanes.iter_mut().map(stats).collect()
    }
}
