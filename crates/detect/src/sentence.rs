//! The sentences of findings that grow with every packet, written once somebody wants to read them.

use std::{fmt, net::IpAddr};

/// The figures of a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sentence {
    /// One sends to another.
    Flood { src: IpAddr, dst: IpAddr, method: &'static str, packets: u64, peak: u64, seconds: f64 },
    /// One sends to a whole network.
    Carpet { src: IpAddr, network: IpAddr, method: &'static str, packets: u64, peak: u64, hosts: usize },
    /// One receives from many; `hosts` where it is a network.
    Incoming {
        dst: IpAddr,
        hosts: Option<u64>,
        method: &'static str,
        packets: u64,
        sources: u64,
        seconds: f64,
        peak: u64,
        completed: u64,
    },
    /// One receives answers.
    Answers { victim: IpAddr, port: u16, bytes: u64, datagrams: u64, servers: u64 },
    /// Many do the same.
    Crowd { count: u64 },
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Flood { src, dst, method, packets, peak, seconds } => write!(
                f,
                "{src} sent {packets} {method} packets that nobody answered to {dst} within {:.0} s, up to {peak} in one second",
                seconds.max(1.0)
            ),
            Self::Carpet { src, network, method, packets, peak, hosts } => write!(
                f,
                "{src} sent {packets} {method} packets that nobody answered to {hosts} hosts of one network ({network}), up to \
                 {peak} in one second"
            ),
            Self::Incoming { dst, hosts, method, packets, sources, seconds, peak, completed } => {
                match hosts {
                    Some(hosts) => write!(f, "the network of {dst} ({hosts} hosts)")?,
                    None => write!(f, "{dst}")?,
                }
                write!(
                    f,
                    " received {packets} {method} packets that it had not asked for from about {sources} addresses within \
                     {:.0} s, up to {peak} in one second; {completed} of the connections were completed, so the addresses can \
                     be forged",
                    seconds.max(1.0)
                )
            }
            Self::Answers { victim, port, bytes, datagrams, servers } => write!(
                f,
                "{victim} received {bytes} bytes in {datagrams} datagrams from port {port} of {servers} servers that it had \
                 not asked"
            ),
            Self::Crowd { count } => {
                write!(f, "{count} more under addresses that can be forged did the same")
            }
        }
    }
}
