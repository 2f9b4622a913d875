//! Which grants of addresses were asked for.
//!
//! Anybody can send an acknowledgement that binds an address to a hardware address. It counts where that client was seen
//! to ask under this number, and where servers offered before, where it comes from the one that offered it.
//!
//! Guarantees: at most [`ASKED`] exchanges are remembered, the last ones.

use model::{Dhcp, DhcpOperation, Mac, Timestamp};
use std::{collections::VecDeque, net::IpAddr};

const ASKED: usize = 256;
const OFFERS: usize = 4;
/// A client asks anew after a while.
const PATIENCE_MICROS: i64 = 60_000_000;

struct Exchange {
    client: Mac,
    transaction: u32,
    at: Timestamp,
    offers: Vec<(IpAddr, Option<Mac>)>,
}

/// Exchanges that are under way.
#[derive(Default)]
pub(crate) struct Leases(VecDeque<Exchange>);

impl Leases {
    /// Follows an exchange; whether the packet grants what was asked for.
    pub(crate) fn take(&mut self, at: Timestamp, dhcp: &Dhcp) -> bool {
        let known = self.0.iter_mut().rev().find(|exchange| {
            exchange.client == dhcp.client
                && exchange.transaction == dhcp.transaction
                && at.micros_since(exchange.at).abs() <= PATIENCE_MICROS
        });
        let server = dhcp.server.unwrap_or(dhcp.sender);
        match (dhcp.operation, known) {
            (DhcpOperation::Discover | DhcpOperation::Request, known) => {
                // Nobody asks in another's name, but for a relay.
                if dhcp.relayed || dhcp.frame_src.is_none_or(|src| src == dhcp.client) {
                    match known {
                        Some(exchange) => exchange.at = at,
                        None => self.begin(at, dhcp),
                    }
                }
                false
            }
            (DhcpOperation::Offer, Some(exchange)) => {
                let is_new = exchange.offers.iter().all(|(other, _)| *other != server);
                if is_new && exchange.offers.len() < OFFERS {
                    exchange.offers.push((server, dhcp.frame_src));
                }
                false
            }
            (DhcpOperation::Ack, Some(exchange)) => {
                exchange.offers.is_empty() || exchange.offers.contains(&(server, dhcp.frame_src))
            }
            _ => false,
        }
    }

    fn begin(&mut self, at: Timestamp, dhcp: &Dhcp) {
        if self.0.len() >= ASKED {
            self.0.pop_front();
        }
        let (client, transaction) = (dhcp.client, dhcp.transaction);
        self.0.push_back(Exchange { client, transaction, at, offers: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DhcpOperation::{Ack, Discover, Offer, Request};

    const CLIENT: Mac = Mac([0x44, 0x19, 0xb6, 1, 2, 3]);
    const SERVER: Mac = Mac([0, 0x1b, 0x21, 1, 1, 1]);
    const LIAR: Mac = Mac([0, 0x1b, 0x21, 6, 6, 6]);

    #[test]
    fn what_nobody_asked_for_is_no_grant() {
        // Operation, who sends the frame, the number, the server.
        let check = |packets: &[(DhcpOperation, Mac, u32, u8)], granted: bool| {
            let mut leases = Leases::default();
            let mut last = false;
            for &(operation, frame_src, transaction, server) in packets {
                let dhcp = Dhcp {
                    operation,
                    frame_src: Some(frame_src),
                    sender: IpAddr::from([10, 0, 0, server]),
                    client: CLIENT,
                    address: None,
                    server: None,
                    routers: Vec::new(),
                    resolvers: Vec::new(),
                    relayed: false,
                    transaction,
                    asked: false,
                };
                last = leases.take(Timestamp::from_secs(1), &dhcp);
            }
            assert_eq!(last, granted, "{packets:?}");
        };
        let (discover, offer, request) =
            ((Discover, CLIENT, 7, 0), (Offer, SERVER, 7, 1), (Request, CLIENT, 7, 0));
        check(&[discover, offer, request, (Ack, SERVER, 7, 1)], true);
        check(&[request, (Ack, SERVER, 7, 1)], true);
        check(&[(Ack, LIAR, 7, 1)], false);
        check(&[request, (Ack, LIAR, 8, 1)], false);
        check(&[(Request, LIAR, 7, 0), (Ack, LIAR, 7, 1)], false);
        check(&[discover, offer, request, (Ack, LIAR, 7, 1)], false);
        check(&[discover, offer, request, (Ack, LIAR, 7, 6)], false);
        check(&[discover, offer, (Offer, LIAR, 7, 6), request, (Ack, SERVER, 7, 1)], true);
    }
}
