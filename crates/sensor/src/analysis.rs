//! Packets and log lines to incidents and assets: the pure parts, wired together.
//!
//! Guarantees: no IO and no clock. Living traffic and logs that speak of now tell one story; a log of the past is
//! analysed in its own time, apart, so that its incidents do not mix with today's and nothing is done about them.

use crate::{feed::Feed, headers, lanes::Packet};
use detect::{Engine, Roll};
use identify::{Inventory, Kinds, Listed, merge::Observed};
use model::{Asset, Event, EventKind, Exception, Incident, IncidentId, NetSet, Timestamp};
use observe::{LinkType, Observer};
use std::collections::{BTreeMap, BTreeSet};

/// A log whose last event is older speaks of the past.
const PAST_AFTER_SECS: f64 = 3_600.0;
/// What is further in the future has a clock of its own too.
const FUTURE_AFTER_SECS: f64 = 60.0;
/// Ids that are remembered to count incidents.
const MOST_COUNTED: usize = 1 << 16;

/// What to analyse and within which bounds.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) home: NetSet,
    pub(crate) exclude: NetSet,
    /// Networks on which a device that is on no list is told.
    pub(crate) watched: NetSet,
    pub(crate) max_flows: usize,
    /// The names of the inputs: interfaces, then files.
    pub(crate) sources: Vec<String>,
}

/// The state of the analysis.
pub(crate) struct Analysis {
    scope: Scope,
    observer: Observer,
    inventory: Inventory,
    living: Engine,
    /// Made when the first log of the past comes.
    past: Option<Past>,
    exceptions: Vec<Exception>,
    /// What is listed or enrolled.
    listed: Listed,
    counted: BTreeSet<IncidentId>,
    /// Something happened since the last look at the incidents.
    stirred: bool,
}

/// What was is analysed by its own clock.
struct Past {
    engine: Engine,
    now: Timestamp,
}

/// What is to be told.
pub(crate) struct Changes {
    pub(crate) assets: Vec<Observed>,
    /// Of now: these may be responded to.
    pub(crate) living: Vec<Incident>,
    /// Of logs of the past.
    pub(crate) past: Vec<Incident>,
}

/// Figures for the statistics.
pub(crate) struct Figures {
    pub(crate) excluded: u64,
    pub(crate) skipped: BTreeMap<String, u64>,
    pub(crate) events: u64,
    pub(crate) flows: u64,
    pub(crate) findings: u64,
    pub(crate) incidents: u64,
    pub(crate) assets: u64,
    pub(crate) shed: BTreeMap<String, u64>,
}

impl Analysis {
    pub(crate) fn new(scope: Scope, exceptions: Vec<Exception>) -> Self {
        let observing = observe::Config {
            home: scope.home.clone(),
            exclude: scope.exclude.clone(),
            max_flows: scope.max_flows,
        };
        Self {
            observer: Observer::new(observing),
            inventory: Inventory::new(scope.home.clone(), Kinds::shipped()),
            living: engine(&scope, &exceptions),
            past: None,
            exceptions,
            listed: Listed::default(),
            counted: BTreeSet::new(),
            stirred: false,
            scope,
        }
    }

    /// Begins anew with what people said. What was in the middle of a panic may be in any state.
    pub(crate) fn begin_anew(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        *self = Self::new(self.scope.clone(), std::mem::take(&mut self.exceptions));
        self.set_listed(listed);
    }

    pub(crate) fn packet(&mut self, packet: &Packet<'_>, feed: &mut Feed) {
        let Self { observer, inventory, living, stirred, .. } = self;
        let link = LinkType(packet.link);
        observer.packet(packet.record, packet.at, link, packet.wire_length, packet.data, &mut |event| {
            *stirred = true;
            take(&event, inventory, living, feed);
        });
        if observer.take_set_back() {
            living.begin_anew();
        }
    }

    /// Looks at a packet or a copy of it for the responder only.
    pub(crate) fn glance(packet: &Packet<'_>, feed: &mut Feed) {
        if feed.is_watching()
            && let Some(headers) = headers::read(packet.link, packet.data)
        {
            feed.packet(headers, packet.left, packet.at);
        }
    }

    /// An event of a followed log; `newest` is the last event time in that log.
    pub(crate) fn log_event(&mut self, event: &Event, newest: Timestamp, now: Timestamp, feed: &mut Feed) {
        self.stirred = true;
        // One line with a moment yet to come must not carry the living story, or its file, away from now.
        let is_now = |at| (-FUTURE_AFTER_SECS..=PAST_AFTER_SECS).contains(&now.seconds_since(at));
        if is_now(event.at) || (is_now(newest) && now >= event.at) {
            take(event, &mut self.inventory, &mut self.living, feed);
        } else {
            let make = || Past { engine: engine(&self.scope, &self.exceptions), now: event.at };
            let past = self.past.get_or_insert_with(make);
            past.now = past.now.max(event.at);
            past.engine.event(event);
        }
    }

    /// Time goes on. `elapsed` is how long the last call was ago, for logs of the past, whose clock stands elsewhere.
    pub(crate) fn advance(&mut self, now: Timestamp, elapsed_micros: i64, feed: &mut Feed) {
        let Self { observer, inventory, living, stirred, .. } = self;
        observer.advance(now, &mut |event| {
            *stirred = true;
            take(&event, inventory, living, feed);
        });
        if observer.take_set_back() {
            living.begin_anew();
        }
        living.advance(now);
        self.stirred = true;
        if let Some(past) = &mut self.past {
            past.now = past.now.plus_micros(elapsed_micros.clamp(0, 1_000_000));
            past.engine.advance(past.now);
        }
    }

    /// What is new or changed since the last call.
    pub(crate) fn changes(&mut self) -> Option<Changes> {
        if !std::mem::take(&mut self.stirred) {
            return None;
        }
        let changes = Changes {
            assets: self.inventory.take_changed(),
            living: self.living.take_changed(),
            past: self.past.as_mut().map(|past| past.engine.take_changed()).unwrap_or_default(),
        };
        for incident in changes.living.iter().chain(&changes.past) {
            if self.counted.len() < MOST_COUNTED {
                self.counted.insert(incident.id.clone());
            }
        }
        Some(changes)
    }

    /// Every asset known, for a responder that begins anew.
    pub(crate) fn assets(&self) -> impl Iterator<Item = Asset> {
        self.inventory.assets().map(|asset| self.declared(asset))
    }

    /// An asset with what people declared of it, which comes before what is guessed.
    pub(crate) fn declared(&self, asset: &Asset) -> Asset {
        let mut asset = asset.clone();
        self.listed.declare(&mut asset);
        asset
    }

    /// These are listed or enrolled from now on. Of the past nothing is known: what was listed then.
    pub(crate) fn set_listed(&mut self, listed: Listed) {
        let (macs, addresses) = (listed.macs(), listed.addresses());
        self.living.set_roll(Roll { watched: self.scope.watched.clone(), macs, addresses, opens: true });
        self.listed = listed;
    }

    pub(crate) fn set_exceptions(&mut self, exceptions: Vec<Exception>) {
        self.living.set_exceptions(exceptions.clone());
        if let Some(past) = &mut self.past {
            past.engine.set_exceptions(exceptions.clone());
        }
        self.exceptions = exceptions;
    }

    pub(crate) fn figures(&self) -> Figures {
        let (observed, living) = (self.observer.counters(), self.living.stats());
        let past = self.past.as_ref().map(|past| past.engine.stats()).unwrap_or_default();
        Figures {
            excluded: observed.excluded,
            skipped: observed.skipped.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
            events: living.events + past.events,
            flows: self.observer.flows_alive() as u64,
            findings: living.findings + past.findings,
            incidents: self.counted.len() as u64,
            assets: self.inventory.stats().assets as u64,
            shed: BTreeMap::from([
                ("flows ended early".to_owned(), observed.shed.flows),
                ("flows not looked into".to_owned(), observed.shed.sessions),
                ("detection".to_owned(), living.shed + past.shed),
            ]),
        }
    }
}

fn engine(scope: &Scope, exceptions: &[Exception]) -> Engine {
    let config = detect::Config { home: scope.home.clone(), exceptions: exceptions.to_vec() };
    Engine::new(config, scope.sources.clone())
}

fn take(event: &Event, inventory: &mut Inventory, engine: &mut Engine, feed: &mut Feed) {
    inventory.event(event);
    engine.event(event);
    if let EventKind::Flow(update) = &event.kind {
        feed.flow(update);
    }
}
