//! A device that is on no list, on a network whose list somebody said is complete.
//!
//! That is evidence for a story about the device, and by itself no attack: it waits for one, unless it was asked to be an
//! incident of its own. Nothing is said of networks that nobody watches, nor while nothing is listed: in its first hours
//! everything is unknown.
//!
//! Guarantees: a device is told once, under a hardware address of its own that held a conversation or was granted an
//! address; at most [`MOST_IN_AN_HOUR`] within an hour, the others are counted.

use crate::{bounded::Bounded, engine::Context, findings::Draft};
use model::{
    Dhcp, DhcpOperation, FlowUpdate, Mac, NetSet, Outcome, Proof, Role, Severity, Tactic, Technique,
    Timestamp,
};
use std::{collections::BTreeSet, net::IpAddr};

/// Findings within an hour; hardware addresses can be made up by the thousand.
const MOST_IN_AN_HOUR: u32 = 64;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Which networks are watched, and which devices are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// Networks whose inventory is complete.
    pub watched: NetSet,
    /// Hardware addresses of listed devices.
    pub macs: BTreeSet<Mac>,
    /// Addresses of listed devices whose hardware address is not known.
    pub addresses: BTreeSet<IpAddr>,
    /// An unknown device is an incident of its own, and not only evidence.
    pub opens: bool,
}

impl Roll {
    fn is_silent(&self) -> bool {
        self.macs.is_empty() && self.addresses.is_empty()
    }

    fn lists(&self, address: IpAddr, mac: Mac) -> bool {
        self.macs.contains(&mac) || self.addresses.contains(&address)
    }
}

/// Notices devices that are on no list.
pub(crate) struct Unlisted {
    roll: Roll,
    told: Bounded<Mac, ()>,
    hour: Timestamp,
    in_hour: u32,
    untold: u64,
}

impl Unlisted {
    pub(crate) fn new() -> Self {
        Self {
            roll: Roll::default(),
            told: Bounded::new(1 << 14),
            hour: Timestamp::default(),
            in_hour: 0,
            untold: 0,
        }
    }

    pub(crate) fn set_roll(&mut self, roll: Roll) {
        self.roll = roll;
    }

    pub(crate) const fn forgotten(&self) -> u64 {
        self.told.forgotten() + self.untold
    }

    pub(crate) fn flow(&mut self, flow: &FlowUpdate, context: &mut Context<'_>) {
        if self.roll.is_silent() || flow.outcome != Outcome::Established {
            return;
        }
        for (address, mac, spoke) in [
            (flow.key.src, flow.src_mac, flow.total.packets_out > 0),
            (flow.key.dst, flow.dst_mac, flow.total.packets_in > 0),
        ] {
            let own = |mac: &Mac| context.hosts.proof(address, Some(*mac)) == Proof::Hardware;
            if let Some(mac) = mac.filter(|mac| spoke && own(mac)) {
                self.there(address, mac, context);
            }
        }
    }

    pub(crate) fn dhcp(&mut self, dhcp: &Dhcp, context: &mut Context<'_>) {
        if let (DhcpOperation::Ack, true, Some(address)) = (dhcp.operation, dhcp.asked, dhcp.address) {
            self.there(address, dhcp.client, context);
        }
    }

    /// A device is at this address.
    fn there(&mut self, address: IpAddr, mac: Mac, context: &mut Context<'_>) {
        let of_no_list = self.roll.watched.contains(address) && !self.roll.lists(address, mac);
        if self.roll.is_silent() || mac.is_group() || !of_no_list || self.told.get(&mac).is_some() {
            return;
        }
        if context.at.micros_since(self.hour) >= HOUR_MICROS {
            (self.hour, self.in_hour) = (context.at, 0);
        }
        if self.in_hour >= MOST_IN_AN_HOUR {
            self.untold += 1;
            return;
        }
        self.in_hour += 1;
        self.told.entry(mac, || ());
        self.told.promote(&mac);
        let party = context.hosts.party(address, Some(mac), Role::Target);
        let made_up = if mac.is_local() { ", which it made up," } else { "" };
        context.state(Draft {
            detector: "unknown-device",
            anchor: mac.to_string(),
            severity: Severity::Low,
            confidence: 60,
            stage: Tactic::InitialAccess,
            technique: Technique::new("T1200"),
            method: "inventory".into(),
            first: context.at,
            last: context.at,
            parties: vec![party],
            why: format!(
                "{address} with the hardware address {mac}{made_up} is on a watched network and on no list"
            ),
            value: f64::from(self.in_hour),
            threshold: 0.0,
            record: context.record,
            scopes: Vec::new(),
            flows: 0,
            supporting: !self.roll.opens,
        });
    }
}
