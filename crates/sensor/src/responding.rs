//! The responding thread: carries out what the watching thread found and what people ask.
//!
//! Guarantees: orders are taken up within [`BEAT`]; a response that takes long holds up neither watching nor traffic.
//! Where responding fails altogether it begins anew from its state directory; what is in force stays in the kernel.

use crate::{
    Order, clock,
    feed::{Batch, Watched},
    outbox::Outbox,
    respond::{RespondError, Responder, Sighting},
    supervise::{Health, supervise},
};
use model::{Exception, NetSet};
use protect::ResponseConfig;
use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};
use stop::Actuator;

/// How often time goes on for the responder, and how long an order waits at most.
const BEAT: Duration = Duration::from_millis(50);
/// Addresses that are asked about when the watch list is made.
const MOST_ADDRESSES: usize = 1 << 16;

/// What the responding thread asks of the watching one.
#[derive(Default)]
pub(crate) struct Wishes {
    exceptions: Mutex<Option<Vec<Exception>>>,
    all_assets: AtomicBool,
}

impl Wishes {
    /// The exceptions that now hold, where they were changed since the last call.
    pub(crate) fn exceptions(&self) -> Option<Vec<Exception>> {
        self.exceptions.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether every asset is to be told once more.
    pub(crate) fn all_assets(&self) -> bool {
        self.all_assets.swap(false, Ordering::AcqRel)
    }
}

/// How a responder is made, at the start and after a failure.
pub(crate) struct Making {
    pub(crate) config: ResponseConfig,
    pub(crate) home: NetSet,
    pub(crate) state_dir: PathBuf,
    pub(crate) actuator: Box<dyn Fn() -> Box<dyn Actuator> + Send>,
}

impl Making {
    pub(crate) fn make(&self) -> Result<Responder, RespondError> {
        let actuator = (self.actuator)();
        Responder::open(self.config.clone(), self.home.clone(), &self.state_dir, actuator, clock::now())
    }
}

/// The responding thread's state.
pub(crate) struct Responding<'a> {
    pub(crate) making: Making,
    pub(crate) responder: Option<Responder>,
    pub(crate) batches: Receiver<Batch>,
    pub(crate) orders: Receiver<Order>,
    pub(crate) outbox: Outbox,
    pub(crate) watched: Watched,
    pub(crate) wishes: &'a Wishes,
    pub(crate) health: &'a Health,
    /// Addresses seen in assets and incidents: those that may be acted on.
    pub(crate) addresses: BTreeSet<IpAddr>,
}

impl Responding<'_> {
    /// Until the sensor is stopped.
    pub(crate) fn run(&mut self) {
        let health = self.health;
        supervise("responding", health, self, Self::respond, |this| {
            // Whatever state it was in when it failed, what it wrote down is what counts.
            this.responder = None;
            this.wishes.all_assets.store(true, Ordering::Release);
        });
    }

    fn respond(&mut self) -> Result<(), String> {
        let mut responder = match self.responder.take() {
            Some(responder) => responder,
            None => self.making.make().map_err(|error| error.to_string())?,
        };
        while !self.health.is_stopping() {
            match self.batches.recv_timeout(BEAT) {
                Ok(batch) => self.take(batch, &mut responder),
                Err(RecvTimeoutError::Timeout) => {}
                // The watching thread is gone for good: so is the sensor, soon.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(BEAT),
            }
            while let Ok(order) = self.orders.try_recv() {
                self.order(order, &mut responder);
            }
            for notice in responder.tick(clock::now()) {
                self.outbox.tell(notice);
            }
            self.outbox.flush();
            self.watched.set(self.watched_by(&responder));
        }
        Ok(())
    }

    fn take(&mut self, batch: Batch, responder: &mut Responder) {
        let now = clock::now();
        for asset in batch.assets.values() {
            self.remember(asset.addresses.iter().copied());
            responder.asset(asset);
        }
        batch.flows.iter().for_each(|update| responder.flow(update));
        for (&(headers, passed), &(at, packets)) in &batch.sightings {
            responder.sighting(&Sighting {
                at,
                src: headers.src,
                dst: headers.dst,
                src_mac: headers.src_mac,
                protocol: headers.protocol,
                src_port: headers.src_port,
                dst_port: headers.dst_port,
                passed,
                packets,
            });
        }
        for incident in &batch.incidents {
            self.remember(incident.assets.iter().map(|asset| asset.address));
            responder.incident(incident, now);
        }
    }

    fn order(&mut self, order: Order, responder: &mut Responder) {
        match order {
            Order::Exceptions(exceptions) => {
                *self.wishes.exceptions.lock().unwrap_or_else(PoisonError::into_inner) = Some(exceptions);
            }
            order => responder.order(order, clock::now()),
        }
    }

    fn remember(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        for address in addresses {
            if self.addresses.len() < MOST_ADDRESSES {
                self.addresses.insert(address);
            }
        }
    }

    fn watched_by(&self, responder: &Responder) -> HashSet<IpAddr> {
        if !responder.is_watching() {
            return HashSet::new();
        }
        self.addresses.iter().copied().filter(|&address| responder.watches(address)).collect()
    }
}
