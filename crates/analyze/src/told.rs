//! The incidents of a recording as one who watched would have been told them.
//!
//! Guarantees: time goes on by the events, as it would by the clock, so that what waits for time is decided and what is
//! over is let go; at most [`MOST`] incidents that are over are kept, the least go first and are counted.

use detect::{Engine, worst_first};
use model::{Incident, IncidentId, Timestamp};
use std::collections::BTreeMap;

const STEP_MICROS: i64 = 1_000_000;
/// How often it is looked at what is to be told.
const LOOK_MICROS: i64 = 600_000_000;
const MOST: usize = 8_192;

/// What was told so far.
#[derive(Default)]
pub(crate) struct Told {
    incidents: BTreeMap<IncidentId, Incident>,
    stepped: Timestamp,
    looked: Timestamp,
    shed: u64,
}

impl Told {
    /// It is that late by the events.
    pub(crate) fn as_of(&mut self, now: Timestamp, engine: &mut Engine) {
        if (0..STEP_MICROS).contains(&now.micros_since(self.stepped)) {
            return;
        }
        self.stepped = now;
        if !(0..LOOK_MICROS).contains(&now.micros_since(self.looked)) {
            self.looked = now;
            self.take(engine.take_changed());
        }
        engine.advance(now);
    }

    fn take(&mut self, incidents: Vec<Incident>) {
        for incident in incidents {
            for id in &incident.supersedes {
                self.incidents.remove(id);
            }
            self.incidents.insert(incident.id.clone(), incident);
        }
        if self.incidents.len() > MOST {
            let mut all: Vec<_> =
                self.incidents.values().map(|told| (told.severity, told.last, told.id.clone())).collect();
            all.sort_unstable();
            for (_, _, id) in all.into_iter().take(MOST / 16) {
                self.shed += 1;
                self.incidents.remove(&id);
            }
        }
    }

    /// All incidents at the end, worst first; and how many were given up for lack of room.
    pub(crate) fn finish(mut self, engine: &mut Engine) -> (Vec<Incident>, u64) {
        self.take(engine.take_changed());
        self.take(engine.incidents());
        let mut all: Vec<Incident> = self.incidents.into_values().collect();
        worst_first(&mut all);
        (all, self.shed)
    }
}
