//! Cowrie's log to honeypot events.
//!
//! Passwords are matched against the factory list here and forgotten; commands become the name of the rule that they
//! match. Only the line that opens a session names the honeypot's address, so open sessions are remembered, bounded.

use super::{LogError, Place, bounded::Bounded, loader, moment};
use crate::session::factory;
use model::{Event, EventKind, Honeypot, HoneypotAct, Protocol, Service};
use parse::log::cowrie::{self, Act};
use std::net::{IpAddr, Ipv4Addr};

const SESSIONS: usize = 16_384;
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[derive(Debug)]
pub(super) struct Cowrie {
    sessions: Bounded<String, Opened>,
}

#[derive(Clone, Copy, Debug)]
struct Opened {
    client: IpAddr,
    server: IpAddr,
    port: u16,
    service: Service,
}

impl Default for Cowrie {
    fn default() -> Self {
        Self { sessions: Bounded::new(SESSIONS) }
    }
}

impl Cowrie {
    pub(super) fn line(
        &mut self,
        place: Place,
        line: &[u8],
        emit: &mut dyn FnMut(Event),
    ) -> Result<(), LogError> {
        let record = cowrie::record(line)?;
        let at = moment(&record.timestamp, "timestamp")?;
        let known = self.sessions.get(&record.session).copied();
        let act = match record.act {
            Act::Connect { dst, dst_port, protocol } => {
                if let Some(client) = record.src {
                    let service = match protocol.as_deref() {
                        Some("ssh") => Service::Ssh,
                        Some("telnet") => Service::Telnet,
                        _ => Service::Unknown,
                    };
                    let opened = Opened {
                        client,
                        server: dst.unwrap_or(UNSPECIFIED),
                        port: dst_port.unwrap_or(0),
                        service,
                    };
                    self.sessions.insert(record.session.clone(), opened);
                }
                HoneypotAct::Connected
            }
            Act::Login { accepted, user, password } => {
                let factory = factory::matching(&user, password.reveal()).map(str::to_owned);
                if accepted { HoneypotAct::Accepted(factory) } else { HoneypotAct::Refused(factory) }
            }
            Act::Command { input } => {
                let rule = loader::classify(&input);
                HoneypotAct::Command { loader: rule.is_some(), what: rule.unwrap_or("other command").into() }
            }
            Act::Download { url } => HoneypotAct::Download(url.as_deref().and_then(loader::host_address)),
            Act::Relay => HoneypotAct::Relay,
            Act::Closed | Act::Other => return Ok(()),
        };
        let known = self.sessions.get(&record.session).copied().or(known);
        let client = record
            .src
            .or(known.map(|known| known.client))
            .ok_or_else(|| LogError { reason: "field src_ip is missing".into() })?;
        emit(place.event(
            at,
            EventKind::Honeypot(Honeypot {
                session: record.session,
                client,
                server: known.map_or(UNSPECIFIED, |known| known.server),
                port: known.map_or(0, |known| known.port),
                protocol: Protocol::TCP,
                service: known.map_or(Service::Unknown, |known| known.service),
                act,
            }),
        ));
        Ok(())
    }
}
