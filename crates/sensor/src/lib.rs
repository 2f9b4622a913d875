//! Capture, parse, detect and act at the edge.
//!
//! Guarantees: the sensor only listens; whatever happens to it, traffic flows as before, and commands in force stay
//! in force in the kernel until they run out. Every queue is bounded and what is shed is counted. A part that
//! fails is started again, after a growing pause, and says so in [`Stats`].
//!
//! Two threads: one reads rings and logs and decides, one carries out. Once the rings
//! are open they give up their privileges: the watching one all (but reading files that belong to others, where it
//! follows logs), the responding one all but `CAP_NET_ADMIN`, which changing the firewall needs. Both may still
//! write a state directory that belongs to another user, where it does. The caller's own threads are the caller's
//! matter: see [`give_up_privileges`].

mod analysis;
mod clock;
mod feed;
mod follow;
mod headers;
mod instance;
mod lanes;
mod notice;
mod outbox;
mod own;
mod position;
pub mod respond;
mod responding;
mod supervise;
mod translation;
mod watch;

pub use instance::{Instance, InstanceError};
pub use notice::{FollowStats, InterfaceState, InterfaceStats, Notice, Order, Stats};
pub use own::own_addresses;
pub use protect::{Mode, ResponseConfig};

use analysis::{Analysis, Scope};
use capture::{Capability, CaptureError};
use feed::{Feed, MOST_BATCHES, Watched};
use follow::Follower;
use lanes::Lanes;
use model::NetSet;
use outbox::Outbox;
use position::Positions;
use protect::ConfigError;
use responding::{Making, Responding, Wishes};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};
use supervise::Health;
use watch::Watch;

/// Orders that may wait.
const MOST_ORDERS: usize = 256;

/// What a sensor watches and how it may act.
#[derive(Clone, Debug)]
pub struct SensorConfig {
    /// What this sensor is called in receipts, such as `router`.
    pub name: String,
    /// What tells its plans from those of other sensors of one server, which may see the same attack; empty for the one of a
    /// node.
    pub identity: String,
    /// Interfaces to watch.
    pub interfaces: Vec<String>,
    /// EVE, Zeek and Cowrie logs to follow.
    pub follow: Vec<PathBuf>,
    /// Read followed files from their beginning the first time, not from their end.
    pub follow_from_start: bool,
    /// What is ours.
    pub home: NetSet,
    /// What is never parsed.
    pub exclude: NetSet,
    /// Where every device is listed: one that is on no list is told.
    pub watched: NetSet,
    /// How it may respond. This machine's own addresses are added to those that are kept.
    pub response: ResponseConfig,
    /// Where offsets, journal and commands in force are kept; made where it is missing.
    pub state_dir: PathBuf,
    /// Bytes of each interface's ring.
    pub ring_bytes: usize,
    /// Ask the interfaces for packets that are not for this machine too.
    pub promiscuous: bool,
    /// Flows to remember at once.
    pub max_flows: usize,
    /// Notices that may wait to be taken.
    pub max_notices: usize,
}

impl Default for SensorConfig {
    fn default() -> Self {
        Self {
            name: "sensor".to_owned(),
            identity: String::new(),
            interfaces: Vec::new(),
            follow: Vec::new(),
            follow_from_start: false,
            home: NetSet::private(),
            exclude: NetSet::default(),
            watched: NetSet::default(),
            response: ResponseConfig::default(),
            state_dir: PathBuf::from("sensor"),
            ring_bytes: 8 << 20,
            promiscuous: true,
            max_flows: observe::Config::default().max_flows,
            max_notices: 1024,
        }
    }
}

/// Why a sensor could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SensorError {
    /// Nothing to watch.
    #[error("nothing to watch: expected an interface, or a log to follow")]
    NothingToWatch,
    /// The same thing twice would be counted twice.
    #[error("{0} is named twice")]
    Twice(String),
    /// An interface cannot be watched.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The response settings cannot be.
    #[error(transparent)]
    Response(#[from] ConfigError),
    /// Responding cannot be taken up.
    #[error("responding: {0}")]
    Respond(#[from] respond::RespondError),
    /// The state directory cannot be used.
    #[error("{path}: {source}")]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another sensor works on the same state.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// A running sensor. Its fields may be taken apart; whoever holds the guard keeps the sensor running.
#[derive(Debug)]
pub struct SensorHandle {
    /// What the sensor tells.
    pub notices: Receiver<Notice>,
    /// What it is told. A full queue means that it is busy: try again.
    pub orders: SyncSender<Order>,
    /// Keeps it running.
    pub guard: Guard,
}

/// Keeps a sensor running. Dropping it stops the sensor and waits until it has written down where it was; commands
/// in force stay in the kernel.
#[derive(Debug)]
pub struct Guard {
    health: Arc<Health>,
    threads: Vec<JoinHandle<()>>,
    /// Let go after the threads have ended.
    _instance: Instance,
}

impl Guard {
    /// Something that asks the sensor to stop from elsewhere, and does not wait for it.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let health = Arc::clone(&self.health);
        move || health.stop()
    }

    /// Whether the sensor was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.health.is_stopping()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.health.stop();
        for thread in self.threads.drain(..) {
            // A part that failed has said so; there is nothing to add.
            let _ended = thread.join();
        }
    }
}

/// Starts a sensor on threads of its own. When this returns, the rings are open and what was in force is looked after.
///
/// # Errors
/// [`SensorError`], with nothing left running.
pub fn spawn(config: SensorConfig) -> Result<SensorHandle, SensorError> {
    check(&config)?;
    make_state_dir(&config.state_dir)?;
    let instance = Instance::take(&config.state_dir, "holder")?;
    let lanes = Lanes::open(&config.interfaces, config.ring_bytes, config.promiscuous)?;
    let making = Making {
        config: config.response.clone(),
        home: config.home.clone(),
        identity: config.identity.clone(),
        state_dir: config.state_dir.clone(),
        actuator: choose_actuator(&config),
        own: own_addresses(),
    };
    let responder = making.make()?;

    let health = Arc::new(Health::default());
    let (to_notices, notices) = sync_channel(config.max_notices.max(1));
    let (orders, from_orders) = sync_channel(MOST_ORDERS);
    let (to_batches, batches) = sync_channel(MOST_BATCHES);
    let wishes = Arc::new(Wishes::default());
    let watched = Watched::default();
    let feed = Feed::new(to_batches, watched.clone());
    let outbox = || Outbox::new(to_notices.clone(), config.max_notices);
    let mut guard = Guard { health: Arc::clone(&health), threads: Vec::new(), _instance: instance };

    let keep = privileges(&config, Capability::NetworkAdmin);
    let (health_, wishes_, outbox_) = (Arc::clone(&health), Arc::clone(&wishes), outbox());
    guard.threads.push(start("sensor-respond", keep, move || {
        let responder = Some(responder);
        let (health, wishes) = (&*health_, &*wishes_);
        Responding {
            making,
            responder,
            batches,
            orders: from_orders,
            outbox: outbox_,
            watched,
            wishes,
            health,
            addresses: BTreeSet::new(),
        }
        .run();
    })?);

    let keep = privileges(&config, Capability::ReadAnyFile);
    let outbox_ = outbox();
    guard.threads.push(start("sensor-watch", keep, move || {
        let (positions, followers) = followers(&config);
        let scope = Scope {
            home: config.home.clone(),
            exclude: config.exclude.clone(),
            watched: config.watched.clone(),
            max_flows: config.max_flows,
            sources: sources(&config),
        };
        let analysis = Analysis::new(scope, Vec::new());
        let (wishes, health, since) = (&*wishes, &*health, clock::now());
        Watch { lanes, followers, positions, analysis, feed, outbox: outbox_, wishes, health, since }.run();
    })?);
    Ok(SensorHandle { notices, orders, guard })
}

/// The kinds of asset that are told apart, for which responding can be set.
#[must_use]
pub fn kinds() -> Vec<String> {
    identify::Kinds::shipped().names().map(str::to_owned).collect()
}

/// Gives up every privilege of the calling thread, and of all threads and programs that it starts from now on. For a
/// program that runs a sensor in it: call it after [`spawn`] and before starting other threads.
///
/// # Errors
/// What the kernel says.
pub fn give_up_privileges() -> io::Result<()> {
    capture::limit_thread(&[])
}

fn check(config: &SensorConfig) -> Result<(), SensorError> {
    if config.interfaces.is_empty() && config.follow.is_empty() {
        return Err(SensorError::NothingToWatch);
    }
    let mut named = BTreeSet::new();
    if let Some(twice) = sources(config).into_iter().find(|source| !named.insert(source.clone())) {
        return Err(SensorError::Twice(twice));
    }
    Ok(config.response.validate()?)
}

/// How the actuator is chosen, at the start, after a failure, and for other settings.
fn choose_actuator(config: &SensorConfig) -> responding::Choosing {
    let (interfaces, place) = (config.interfaces.clone(), config.name.clone());
    Box::new(move |response| respond::choose(response, &interfaces, &place))
}

/// Nobody but its owner needs to read who did what.
fn make_state_dir(path: &Path) -> Result<(), SensorError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| SensorError::State { path: path.to_owned(), source })
}

fn sources(config: &SensorConfig) -> Vec<String> {
    let files = config.follow.iter().map(|path| path.display().to_string());
    config.interfaces.iter().cloned().chain(files).collect()
}

fn followers(config: &SensorConfig) -> (Positions, Vec<Follower>) {
    let positions = Positions::load(&config.state_dir);
    let followers = config.follow.iter().enumerate().map(|(number, path)| {
        let input = (config.interfaces.len() + number) as u32;
        Follower::new(path, input, config.follow_from_start, positions.of(path))
    });
    let followers = followers.collect();
    (positions, followers)
}

/// What a thread must keep: its own capability, and writing a state directory that belongs to somebody else.
fn privileges(config: &SensorConfig, own: Capability) -> Vec<Capability> {
    let mut keep = Vec::new();
    if own != Capability::ReadAnyFile || !config.follow.is_empty() {
        keep.push(own);
    }
    let owner = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.uid());
    if owner(&config.state_dir) != owner(Path::new("/proc/self")) {
        keep.push(Capability::WriteAnyFile);
    }
    keep
}

fn start(
    name: &str,
    keep: Vec<Capability>,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, SensorError> {
    let body = move || {
        if let Err(error) = capture::limit_thread(&keep) {
            tracing::warn!(%error, "privileges could not be given up");
        }
        run();
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map_err(SensorError::Thread)
}
