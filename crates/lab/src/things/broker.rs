//! Telemetry: the cloud's broker (MQTT 3.1.1 over TCP, and confirmable-free CoAP over UDP for meters) and the devices'
//! side of both. Every message carries its number, so that the broker knows exactly what did not arrive.

use crate::{
    city::world::World,
    clock,
    error::{Result, Tried},
    things::serve_tcp,
    wire::word,
};
use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    sync::Arc,
    time::Duration,
};

/// MQTT's port.
pub(crate) const MQTT: u16 = 1883;
/// CoAP's port.
pub(crate) const COAP: u16 = 5683;

fn text(device: usize, number: u32) -> String {
    format!("{{\"device\":{device},\"number\":{number},\"state\":\"ok\"}}")
}

fn read_text(text: &[u8]) -> Option<(usize, u32)> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let number = |key: &str| value.get(key)?.as_u64();
    Some((usize::try_from(number("device")?).ok()?, u32::try_from(number("number")?).ok()?))
}

/// The broker's MQTT side; goes on for as long as the city does.
pub(crate) fn mqtt(world: &Arc<World>) -> Result<()> {
    let world = Arc::clone(world);
    serve_tcp(MQTT, 64, move |mut stream, _| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
        while let Ok((kind, body)) = packet(&mut stream) {
            let reply: Option<Vec<u8>> = match kind >> 4 {
                1 => Some(vec![0x20, 2, 0, 0]),
                3 => published(kind, &body, &world),
                12 => Some(vec![0xd0, 0]),
                14 => return,
                _ => None,
            };
            if let Some(reply) = reply
                && stream.write_all(&reply).is_err()
            {
                return;
            }
        }
    })
}

fn published(kind: u8, body: &[u8], world: &World) -> Option<Vec<u8>> {
    let topic = usize::from(word(body, 0)?) + 2;
    let acknowledge = kind & 6 != 0;
    let payload = body.get(if acknowledge { topic + 2 } else { topic }..)?;
    if let Some((device, number)) = read_text(payload) {
        world.telemetry_arrived(device, number);
    }
    let id = word(body, topic)?.to_be_bytes();
    acknowledge.then(|| [&[0x40, 2], id.as_slice()].concat())
}

/// One MQTT control packet: its first byte and its body.
fn packet(stream: &mut impl Read) -> std::io::Result<(u8, Vec<u8>)> {
    let mut byte = [0; 1];
    let mut next =
        |stream: &mut dyn Read| stream.read_exact(&mut byte).map(|()| byte.first().copied().unwrap_or(0));
    let kind = next(stream)?;
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let part = next(stream)?;
        length |= usize::from(part & 127) << shift;
        if part & 128 == 0 {
            break;
        }
    }
    let mut body = vec![0; length.min(4096)];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

/// The broker's CoAP side.
pub(crate) fn coap(world: &World) -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", COAP)).tried(|| "open the broker's CoAP port".into())?;
    let mut buffer = [0; 1500];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let Some(message) = buffer.get(..length) else { continue };
        let payload = message.iter().position(|byte| *byte == 0xff).and_then(|at| message.get(at + 1..));
        if let Some((device, number)) = payload.and_then(read_text) {
            world.telemetry_arrived(device, number);
            // 2.04 Changed, as a piggybacked acknowledgement with the same message id.
            let id = word(message, 2).unwrap_or(0).to_be_bytes();
            let _ = socket.send_to(&[&[0x60, 0x44], id.as_slice()].concat(), from);
        }
    }
}

/// A device's connection to the broker.
pub(crate) struct Connection {
    stream: TcpStream,
    waiting: VecDeque<model::Timestamp>,
    next: u16,
}

impl Connection {
    /// Connects and says who it is.
    pub(crate) fn open(broker: Ipv4Addr, name: &str) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(
            &SocketAddrV4::new(broker, MQTT).into(),
            Duration::from_millis(1_500),
        )?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(1_500)))?;
        let length = (12 + name.len()) as u8;
        let head = [0x10, length, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 30, 0, name.len() as u8];
        stream.write_all(&[&head, name.as_bytes()].concat())?;
        packet(&mut stream)?;
        stream.set_read_timeout(Some(Duration::from_millis(5)))?;
        Ok(Self { stream, waiting: VecDeque::new(), next: 1 })
    }

    /// Publishes one message; fails where the broker has acknowledged nothing for three seconds.
    pub(crate) fn publish(&mut self, topic: &str, device: usize, number: u32) -> std::io::Result<()> {
        let payload = text(device, number);
        let length = 4 + topic.len() + payload.len();
        self.next = self.next.wrapping_add(1).max(1);
        let mut packet = vec![0x32];
        if length < 128 {
            packet.push(length as u8);
        } else {
            packet.extend([(length % 128) as u8 | 128, (length / 128) as u8]);
        }
        packet.extend((topic.len() as u16).to_be_bytes());
        packet.extend(topic.as_bytes());
        packet.extend(self.next.to_be_bytes());
        packet.extend(payload.as_bytes());
        self.stream.write_all(&packet)?;
        self.waiting.push_back(clock::now());
        self.acknowledged()
    }

    /// Takes in acknowledgements.
    pub(crate) fn acknowledged(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 256];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(std::io::ErrorKind::ConnectionReset.into()),
            Ok(length) => drop(self.waiting.drain(..(length / 4).min(self.waiting.len()))),
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        let patience = 3.0;
        match self.waiting.front() {
            Some(oldest) if clock::now().seconds_since(*oldest) > patience => {
                Err(std::io::ErrorKind::TimedOut.into())
            }
            _ => Ok(()),
        }
    }
}

/// A meter's message: CoAP, non-confirmable POST to `/t`.
pub(crate) fn coap_message(device: usize, number: u32) -> Vec<u8> {
    let mut message = vec![0x50, 0x02];
    message.extend((number as u16).to_be_bytes());
    message.extend([0xb1, b't', 0xff]);
    message.extend(text(device, number).as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back() {
        assert_eq!(read_text(text(3, 9).as_bytes()), Some((3, 9)));
        assert_eq!(read_text(b"{}"), None);
        let message = coap_message(1, 2);
        let at = message.iter().position(|byte| *byte == 0xff).unwrap();
        assert_eq!(read_text(&message[at + 1..]), Some((1, 2)));
        let mut wire: &[u8] = &[0x32, 0x80, 0x01];
        assert!(packet(&mut wire).is_err(), "cut short");
    }
}
