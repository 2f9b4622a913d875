//! From the watching thread to the responding one.
//!
//! Guarantees: the watching thread never waits for a response to be carried out. Batches are bounded: under a flood,
//! flow updates and sightings are shed and counted; incidents and assets are kept, the latest word on each, up to
//! their own bounds.

use crate::headers::Headers;
use model::{Asset, FlowUpdate, Incident, Timestamp};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::{
        Arc, PoisonError, RwLock,
        mpsc::{SyncSender, TrySendError},
    },
};

/// Flow updates in one batch; about 2 MiB.
const MOST_FLOWS: usize = 8192;
const MOST_SIGHTINGS: usize = 4096;
const MOST_INCIDENTS: usize = 4096;
const MOST_ASSETS: usize = 65_536;
/// Batches that may wait; the next one grows meanwhile.
pub(crate) const MOST_BATCHES: usize = 8;

/// What the responding thread learns at once.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) assets: BTreeMap<String, Asset>,
    pub(crate) flows: Vec<FlowUpdate>,
    /// Alike packets of watched addresses: the last time and how many; the flag says that they left this machine.
    pub(crate) sightings: HashMap<(Headers, bool), (Timestamp, u64)>,
    pub(crate) incidents: Vec<Incident>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.assets.is_empty()
            && self.flows.is_empty()
            && self.sightings.is_empty()
            && self.incidents.is_empty()
    }
}

/// The addresses whose packets the responding thread wants to know of.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<RwLock<HashSet<IpAddr>>>);

impl Watched {
    pub(crate) fn set(&self, addresses: HashSet<IpAddr>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    pub(crate) fn get(&self) -> HashSet<IpAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The watching thread's end.
pub(crate) struct Feed {
    to: SyncSender<Batch>,
    next: Batch,
    watched: HashSet<IpAddr>,
    source: Watched,
    shed: u64,
}

impl Feed {
    pub(crate) fn new(to: SyncSender<Batch>, source: Watched) -> Self {
        Self { to, next: Batch::default(), watched: HashSet::new(), source, shed: 0 }
    }

    /// Whether any packet matters to the responding thread: asked before a packet's headers are read for it.
    pub(crate) fn is_watching(&self) -> bool {
        !self.watched.is_empty()
    }

    pub(crate) fn packet(&mut self, headers: Headers, left: bool, at: Timestamp) {
        if !self.watched.contains(&headers.src) && !self.watched.contains(&headers.dst) {
            return;
        }
        let full = self.next.sightings.len() >= MOST_SIGHTINGS;
        match self.next.sightings.get_mut(&(headers, left)) {
            Some((last, count)) => (*last, *count) = (at, *count + 1),
            None if full => self.shed += 1,
            None => _ = self.next.sightings.insert((headers, left), (at, 1)),
        }
    }

    pub(crate) fn flow(&mut self, update: &FlowUpdate) {
        if self.next.flows.len() < MOST_FLOWS {
            self.next.flows.push(update.clone());
        } else {
            self.shed += 1;
        }
    }

    pub(crate) fn asset(&mut self, asset: Asset) {
        if self.next.assets.len() < MOST_ASSETS || self.next.assets.contains_key(&asset.id) {
            self.next.assets.insert(asset.id.clone(), asset);
        } else {
            self.shed += 1;
        }
    }

    pub(crate) fn incident(&mut self, incident: Incident) {
        if let Some(earlier) = self.next.incidents.iter_mut().find(|earlier| earlier.id == incident.id) {
            *earlier = incident;
        } else if self.next.incidents.len() < MOST_INCIDENTS {
            self.next.incidents.push(incident);
        } else {
            self.shed += 1;
        }
    }

    /// Hands the batch over if there is room; else it grows on.
    pub(crate) fn flush(&mut self) {
        self.watched = self.source.get();
        if self.next.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(batch)) = self.to.try_send(std::mem::take(&mut self.next)) {
            self.next = batch;
        }
    }

    pub(crate) const fn shed(&self) -> u64 {
        self.shed
    }

    /// What waits for the responding thread to take it.
    pub(crate) fn waiting(&self) -> u64 {
        (self.next.flows.len() + self.next.incidents.len() + self.next.assets.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    fn incident(id: u8, confidence: u8) -> Incident {
        let at = "2026-01-31T12:00:00Z";
        serde_json::from_value(serde_json::json!({
            "id": format!("inc-{id:016x}"), "title": "", "severity": "high", "confidence": confidence,
            "stages": [], "techniques": [], "first": at, "last": at, "assets": [], "assets_omitted": 0,
            "findings": 1, "flows": 1, "summary": "", "joined": [], "evidence": [], "advice": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_busy_responder_gets_the_latest_word_and_bounded_packets() {
        let (to, from) = sync_channel(1);
        let watched = Watched::default();
        let mut feed = Feed::new(to, watched.clone());
        feed.incident(incident(0, 1));
        feed.flush();
        watched.set(HashSet::from(["10.0.0.2".parse().unwrap()]));
        for confidence in 0..50 {
            feed.incident(incident(1, confidence));
            feed.incident(incident(2, confidence));
            feed.flush();
        }
        let headers = |port| Headers {
            src_mac: None,
            src: "10.0.0.2".parse().unwrap(),
            dst: "192.0.2.1".parse().unwrap(),
            protocol: model::Protocol::UDP,
            src_port: port,
            dst_port: 53,
        };
        (0..10_000).for_each(|number| feed.packet(headers(number), false, Timestamp::default()));
        feed.packet(headers(1), false, Timestamp::from_secs(9));
        feed.packet(Headers { src: "10.0.0.3".parse().unwrap(), ..headers(1) }, false, Timestamp::default());
        assert_eq!(feed.shed(), 10_000 - MOST_SIGHTINGS as u64);
        assert_eq!(from.try_iter().count(), 1);
        feed.flush();
        let batch = from.try_recv().unwrap();
        assert_eq!(batch.incidents, [incident(1, 49), incident(2, 49)]);
        assert_eq!(batch.sightings.len(), MOST_SIGHTINGS);
        assert_eq!(batch.sightings.get(&(headers(1), false)), Some(&(Timestamp::from_secs(9), 2)));
    }
}
