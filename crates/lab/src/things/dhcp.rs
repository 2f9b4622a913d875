//! DHCP as the street speaks it: a server with one reserved address per device, and a client.

use crate::{
    city::plan::Plan,
    clock,
    error::{Error, Result, Tried},
};
use model::Mac;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

const MAGIC: [u8; 4] = [99, 130, 83, 99];
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
/// Seconds for which an address is lent. Hours in a real street; here every device renews while the drill looks on.
const LEASE: u32 = 16;

struct Message {
    operation: u8,
    transaction: [u8; 4],
    client: Mac,
    yours: Ipv4Addr,
    kind: u8,
    options: BTreeMap<u8, Vec<u8>>,
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.operation, 1, 6, 0];
        bytes.extend(self.transaction);
        bytes.extend([0, 0, 0x80, 0, 0, 0, 0, 0]);
        bytes.extend(self.yours.octets());
        bytes.extend([0; 8]);
        bytes.extend(self.client.0);
        bytes.resize(236, 0);
        bytes.extend(MAGIC);
        bytes.extend([53, 1, self.kind]);
        for (code, value) in &self.options {
            bytes.extend([*code, value.len().min(255) as u8]);
            bytes.extend(value.iter().take(255));
        }
        bytes.push(255);
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let array = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
        if array(236)? != MAGIC {
            return None;
        }
        let mut options = BTreeMap::new();
        let mut at = 240;
        while let Some(code) = bytes.get(at).copied().filter(|code| *code != 255) {
            let length = usize::from(*bytes.get(at + 1)?);
            options.insert(code, bytes.get(at + 2..at + 2 + length)?.to_vec());
            at += 2 + length;
        }
        Some(Self {
            operation: *bytes.first()?,
            transaction: array(4)?,
            client: Mac(bytes.get(28..34)?.try_into().ok()?),
            yours: array(16)?.into(),
            kind: *options.get(&53)?.first()?,
            options,
        })
    }
}

fn socket(interface: &str, port: u16) -> Result<UdpSocket> {
    let open = || -> std::io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
        Ok(UdpSocket::from(socket))
    };
    open().tried(|| format!("open UDP port {port} on {interface} for DHCP"))
}

const EVERYBODY: (Ipv4Addr, u16) = (Ipv4Addr::BROADCAST, 68);

/// The street's server. Its reservations are how the drill knows which address is which device's.
pub(crate) fn serve(plan: &Plan) -> Result<()> {
    let socket = socket("street0", 67)?;
    let gateway = plan.gateway();
    let mask = u32::MAX.checked_shl(32 - u32::from(plan.street.prefix)).unwrap_or(0);
    let mut buffer = [0; 1500];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut buffer) else { continue };
        let Some(asked) = buffer.get(..length).and_then(Message::read).filter(|asked| asked.operation == 1)
        else {
            continue;
        };
        let Some(device) = plan.devices.iter().find(|device| device.mac == asked.client) else { continue };
        let kind = match asked.kind {
            DISCOVER => OFFER,
            REQUEST => ACK,
            _ => continue,
        };
        let options = BTreeMap::from([
            (1, Ipv4Addr::from_bits(mask).octets().to_vec()),
            (3, gateway.octets().to_vec()),
            (6, gateway.octets().to_vec()),
            (42, gateway.octets().to_vec()),
            (51, LEASE.to_be_bytes().to_vec()),
            (54, gateway.octets().to_vec()),
        ]);
        let reply = Message { operation: 2, yours: device.address, kind, options, ..asked };
        let _ = socket.send_to(&reply.bytes(), EVERYBODY);
    }
}

/// What a client tells of itself.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) mac: Mac,
    pub(crate) hostname: String,
    pub(crate) vendor_class: String,
}

impl Client {
    /// Asks until it has an address.
    pub(crate) fn obtain(&self, interface: &str) -> Result<Ipv4Addr> {
        let socket = socket(interface, 68)?;
        socket.set_read_timeout(Some(Duration::from_millis(700))).tried(|| "set a timeout".into())?;
        let [.., c, d, e, f] = self.mac.0;
        let seen = (clock::now().micros() & 0xff) as u8;
        let transaction = [c ^ seen, d, e, f];
        for _ in 0..12 {
            let Some(offer) = self.exchange(&socket, transaction, DISCOVER, None) else { continue };
            if let Some(granted) = self.exchange(&socket, transaction, REQUEST, Some(offer)) {
                return Ok(granted);
            }
        }
        Err(Error::Late { what: format!("an address for {}", self.hostname), seconds: 8 })
    }

    /// Asks for the same address again, as a device does half-way through its lease.
    pub(crate) fn renew(&self, interface: &str, address: Ipv4Addr) -> Result<()> {
        let socket = socket(interface, 68)?;
        socket.set_read_timeout(Some(Duration::from_millis(700))).tried(|| "set a timeout".into())?;
        let [.., c, d, e, f] = self.mac.0;
        self.exchange(&socket, [d, c, f, e], REQUEST, Some(address));
        Ok(())
    }

    fn exchange(
        &self,
        socket: &UdpSocket,
        transaction: [u8; 4],
        kind: u8,
        wanted: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        let mut options = BTreeMap::from([
            (12, self.hostname.clone().into_bytes()),
            (55, vec![1, 3, 6, 12, 15, 28, 42]),
            (60, self.vendor_class.clone().into_bytes()),
            (61, [[1].as_slice(), &self.mac.0].concat()),
        ]);
        if let Some(wanted) = wanted {
            options.insert(50, wanted.octets().to_vec());
        }
        let ask = Message {
            operation: 1,
            transaction,
            client: self.mac,
            yours: Ipv4Addr::UNSPECIFIED,
            kind,
            options,
        };
        let _ = socket.send_to(&ask.bytes(), (Ipv4Addr::BROADCAST, 67));
        let mut buffer = [0; 1500];
        loop {
            let (length, _) = socket.recv_from(&mut buffer).ok()?;
            let reply = buffer.get(..length).and_then(Message::read);
            let expected = if kind == DISCOVER { OFFER } else { ACK };
            if let Some(reply) = reply
                && reply.transaction == transaction
                && reply.client == self.mac
                && reply.kind == expected
            {
                return Some(reply.yours);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back() {
        let message = Message {
            operation: 1,
            transaction: [1, 2, 3, 4],
            client: Mac([2, 0, 0, 0, 0, 1]),
            yours: Ipv4Addr::new(10, 0, 0, 9),
            kind: DISCOVER,
            options: BTreeMap::from([(12, b"cam".to_vec())]),
        };
        let bytes = message.bytes();
        let read = Message::read(&bytes).unwrap();
        assert_eq!((read.client, read.yours, read.kind), (message.client, message.yours, DISCOVER));
        assert_eq!(read.options.get(&12).map(Vec::as_slice), Some(&b"cam"[..]));
        for cut in 0..bytes.len() {
            let _ = Message::read(&bytes[..cut]);
        }
    }
}
