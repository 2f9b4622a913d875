//! The stateful part of responding.

use crate::{Notice, Order};
use model::{Asset, FlowUpdate, Incident, Mac, NetSet, Protocol, Timestamp};
use protect::ResponseConfig;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};
use stop::Actuator;

/// Why responding cannot be taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RespondError {
    /// The state directory cannot be used.
    #[error("{path}: {source}")]
    State {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A packet (or a run of alike packets) from or to an address that is acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Timestamp,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source hardware address on the link where it was seen.
    pub src_mac: Option<Mac>,
    /// Transport.
    pub protocol: Protocol,
    /// Source port, 0 where there is none.
    pub src_port: u16,
    /// Destination port, 0 where there is none.
    pub dst_port: u16,
    /// It was seen leaving this machine, or again on a second interface: it passed.
    pub passed: bool,
    /// How many.
    pub packets: u64,
}

/// From incidents to commands in force.
pub struct Responder {
    notices: Vec<Notice>,
}

impl Responder {
    /// Takes responding up in a state directory, which is made where it is missing. What was in force and has time
    /// left is taken over, or applied again.
    ///
    /// # Errors
    /// [`RespondError`] where the state directory cannot be used.
    pub fn open(
        _config: ResponseConfig,
        _home: NetSet,
        _state_dir: &Path,
        _actuator: Box<dyn Actuator>,
        _now: Timestamp,
    ) -> Result<Self, RespondError> {
        Ok(Self { notices: Vec::new() })
    }

    /// An asset is new or changed.
    pub fn asset(&mut self, _asset: &Asset) {}

    /// A flow began, changed, went on or ended.
    pub fn flow(&mut self, _update: &FlowUpdate) {}

    /// Whether packets from or to this address are wanted by [`Responder::sighting`]. Cheap; asked per packet.
    #[must_use]
    pub fn watches(&self, _address: IpAddr) -> bool {
        false
    }

    /// Whether any address is watched at all: asked before [`Responder::watches`].
    #[must_use]
    pub fn is_watching(&self) -> bool {
        false
    }

    /// A packet of a watched address.
    pub fn sighting(&mut self, _seen: &Sighting) {}

    /// An incident is new or changed.
    pub fn incident(&mut self, _incident: &Incident, _now: Timestamp) {}

    /// A person asks for something. [`Order::Exceptions`] is no matter of the responder.
    pub fn order(&mut self, _order: Order, _now: Timestamp) {}

    /// Time goes on: expiries, probes, receipts. Gives what there is to tell since the last call.
    pub fn tick(&mut self, _now: Timestamp) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}
