//! What the lab's captures hold of the attack.

use crate::{
    city::plan::Plan,
    error::Result,
    measure::recorder,
    things::{citizen, dns},
    wire::{Seen, flag, read_ipv4},
};
use model::Timestamp;
use std::{collections::BTreeMap, net::Ipv4Addr, path::Path};

/// Attack packets of one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) packets: u64,
}

impl Span {
    fn add(spans: &mut BTreeMap<Ipv4Addr, Self>, source: Ipv4Addr, at: i64) {
        let at = Timestamp::from_micros(at);
        let span = spans.entry(source).or_insert(Self { first: at, last: at, packets: 0 });
        span.first = span.first.min(at);
        span.last = span.last.max(at);
        span.packets += 1;
    }
}

/// What one capture holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// All packets.
    pub(crate) packets: u64,
    /// Attack packets of the street's devices, by address: floods of the victim, and scans.
    pub(crate) attacks: BTreeMap<Ipv4Addr, Span>,
    /// Of these, packets to the victim.
    pub(crate) to_victim: u64,
    /// Everything that infected devices sent to anybody but the broker, the resolver and the time server.
    pub(crate) talk: BTreeMap<Ipv4Addr, Span>,
    /// Questions for random names that the city's resolver passed on to the victim.
    pub(crate) by_resolver: u64,
    /// The most packets to the victim in any one second.
    pub(crate) peak: u64,
    /// Seconds with more than ten thousand packets to the victim.
    pub(crate) loud_seconds: u64,
}

/// Counts a capture of Ethernet frames.
pub(crate) fn count(path: &Path, plan: &Plan) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut seconds: BTreeMap<i64, u64> = BTreeMap::new();
    let mut begun = None;
    let victim = plan.outside.provider;
    recorder::read(path, |at, frame| {
        tally.packets += 1;
        let Some(seen) = frame.get(14..).filter(|_| frame.get(12..14) == Some(&[8, 0])).and_then(read_ipv4)
        else {
            return;
        };
        let from_street = plan.street.contains(seen.src) && seen.src != plan.gateway();
        if seen.dst == victim {
            if from_street {
                tally.to_victim += 1;
                let first = *begun.get_or_insert(at);
                *seconds.entry((at - first) / 1_000_000).or_default() += 1;
            } else if seen.src == plan.wan && seen.protocol == 17 && is_random(frame) {
                tally.by_resolver += 1;
            }
        }
        if from_street && is_attack(&seen, plan) {
            Span::add(&mut tally.attacks, seen.src, at);
        }
        let everyday = [plan.gateway(), plan.outside.broker, plan.outside.firmware];
        if from_street && !everyday.contains(&seen.dst) && plan.device_at(seen.src).is_some() {
            Span::add(&mut tally.talk, seen.src, at);
        }
    })?;
    tally.peak = seconds.values().copied().max().unwrap_or(0);
    tally.loud_seconds = seconds.values().filter(|count| **count >= 10_000).count() as u64;
    Ok(tally)
}

/// A question for a name that no citizen asks for.
fn is_random(frame: &[u8]) -> bool {
    let name = frame.get(42..).and_then(dns::asked).map(|(name, _)| name);
    name.is_some_and(|name| !citizen::HOSTS.contains(&name.split('.').next().unwrap_or_default()))
}

/// A packet that only the attack sends: anything to the victim, and a SYN to the ports that the scan looks at.
fn is_attack(seen: &Seen, plan: &Plan) -> bool {
    let scan = seen.protocol == 6
        && seen.flags & (flag::SYN | flag::ACK | flag::RST) == flag::SYN
        && plan.ports.telnet.contains(&seen.dst_port)
        // The controller may listen where others have telnet.
        && seen.dst != plan.outside.controller;
    seen.dst == plan.outside.provider || scan
}
