//! The responding thread: carries out what the watching thread found and what people ask.
//!
//! Guarantees: orders are taken up within [`BEAT`]; a response that takes long holds up neither watching nor traffic.
//! Where responding fails altogether it begins anew from its state directory; what is in force stays in the kernel.

use crate::{
    Order, clock,
    feed::{Batch, Watched},
    outbox::Outbox,
    own::{own_addresses, spared},
    respond::{RespondError, Responder, Sighting},
    supervise::{Health, supervise},
};
use identify::import::Row;
use model::{Exception, NetSet};
use protect::ResponseConfig;
use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};
use stop::Actuator;

/// How often time goes on for the responder, and how long an order waits at most.
const BEAT: Duration = Duration::from_millis(50);
/// How often this machine's own addresses are looked at.
const OWN_EVERY: Duration = Duration::from_secs(5);
/// Addresses that are asked about when the watch list is made.
const MOST_ADDRESSES: usize = 1 << 16;

/// What the responding thread asks of the watching one.
#[derive(Default)]
pub(crate) struct Wishes {
    exceptions: Mutex<Option<Vec<Exception>>>,
    known: Mutex<Option<Vec<Row>>>,
    all_assets: AtomicBool,
    /// Not a wish, but told the same way: plans that were given up for lack of room.
    plans_given_up: AtomicU64,
}

impl Wishes {
    /// The exceptions that now hold, where they were changed since the last call.
    pub(crate) fn exceptions(&self) -> Option<Vec<Exception>> {
        self.exceptions.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The assets that are now listed or enrolled, where they were changed since the last call.
    pub(crate) fn known(&self) -> Option<Vec<Row>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether every asset is to be told once more.
    pub(crate) fn all_assets(&self) -> bool {
        self.all_assets.swap(false, Ordering::AcqRel)
    }

    /// Plans that were given up because too many waited.
    pub(crate) fn plans_given_up(&self) -> u64 {
        self.plans_given_up.load(Ordering::Relaxed)
    }
}

/// Chooses an actuator for settings.
pub(crate) type Choosing = Box<dyn Fn(&ResponseConfig) -> Box<dyn Actuator> + Send>;

/// How a responder is made, at the start and after a failure.
pub(crate) struct Making {
    /// As it was set, without this machine's addresses.
    pub(crate) config: ResponseConfig,
    pub(crate) home: NetSet,
    pub(crate) identity: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) actuator: Choosing,
    /// This machine's addresses: whoever runs the sensor is never acted on.
    pub(crate) own: Vec<IpAddr>,
}

impl Making {
    pub(crate) fn make(&self) -> Result<Responder, RespondError> {
        let config = spared(&self.config, &self.own);
        let actuator = (self.actuator)(&config);
        let responder = Responder::open(config, self.home.clone(), &self.state_dir, actuator, clock::now())?;
        Ok(responder.called(&self.identity))
    }

    /// Lets a responder follow this machine's addresses, which come and go while it runs.
    fn follow_own(&mut self, responder: &mut Responder) {
        let own = own_addresses();
        // Where none can be read, those that were known are the better guess.
        if own == self.own || own.is_empty() {
            return;
        }
        let config = spared(&self.config, &own);
        let actuator = (self.actuator)(&config);
        if responder.reconfigure(config, actuator, "this machine's addresses changed", clock::now()) {
            self.own = own;
        }
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
        let mut looked = Instant::now();
        while !self.health.is_stopping() {
            if looked.elapsed() >= OWN_EVERY {
                looked = Instant::now();
                self.making.follow_own(&mut responder);
            }
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
            self.wishes.plans_given_up.store(responder.plans_given_up(), Ordering::Relaxed);
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
            Order::Known(known) => {
                *self.wishes.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
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
