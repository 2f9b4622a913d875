//! The city's names: authorities that answer, the city's resolver that forwards and remembers, clients that ask.
//!
//! Bounded: the resolver holds at most [`PENDING`] open questions and [`REMEMBERED`] answers, as real ones do.

use crate::{
    clock,
    error::{Result, Tried},
    wire::word,
};
use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

const PENDING: usize = 2_000;
const REMEMBERED: usize = 4_000;
/// Seconds for which an answer may be remembered; short, so that citizens depend on the authorities.
const TTL: u32 = 2;
const NO_SUCH_NAME: u8 = 3;
const SERVER_FAILED: u8 = 2;

/// A question for the address of a name.
pub(crate) fn question(id: u16, name: &str, recursion: bool) -> Vec<u8> {
    let mut message = Vec::with_capacity(name.len() + 18);
    message.extend(id.to_be_bytes());
    message.extend([u8::from(recursion), 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = label.as_bytes().get(..label.len().min(63)).unwrap_or_default();
        message.push(label.len() as u8);
        message.extend(label);
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The name asked for, and where its question ends.
pub(crate) fn asked(message: &[u8]) -> Option<(String, usize)> {
    let mut at = 12;
    let mut name = String::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at + 4)).filter(|(_, end)| *end <= message.len());
        }
        if length > 63 || name.len() > 255 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(message.get(at..at + length)?.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        at += length;
    }
}

fn answer(message: &[u8], outcome: std::result::Result<Ipv4Addr, u8>, authority: bool) -> Option<Vec<u8>> {
    let (_, end) = asked(message)?;
    let mut reply = message.get(..end)?.to_vec();
    let flags = 0x80 | (message.get(2)? & 1) | if authority { 4 } else { 0 };
    let (code, count) = match outcome {
        Ok(_) => (0, 1),
        Err(code) => (code, 0),
    };
    let head = [flags, if authority { code } else { 0x80 | code }, 0, 1, 0, count, 0, 0, 0, 0];
    reply.splice(2..12, head);
    if let Ok(address) = outcome {
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(TTL.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

/// The address in an answer, or its code.
fn answered(message: &[u8]) -> Option<std::result::Result<Ipv4Addr, u8>> {
    let (_, end) = asked(message)?;
    let code = message.get(3)? & 15;
    if word(message, 6)? == 0 {
        return Some(Err(if code == 0 { NO_SUCH_NAME } else { code }));
    }
    let data: [u8; 4] = message.get(end + 12..end + 16)?.try_into().ok()?;
    Some(Ok(Ipv4Addr::from(data)))
}

/// An authority: knows some names exactly, and that others of its zones do not exist.
pub(crate) fn authority(names: &BTreeMap<String, Ipv4Addr>) -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", 53)).tried(|| "open the authority's port 53".into())?;
    crowd(&socket);
    let mut buffer = [0; 1500];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let question =
            buffer.get(..length).filter(|message| message.get(2).is_some_and(|flags| flags & 0x80 == 0));
        let Some((question, (name, _))) = question.and_then(|question| Some((question, asked(question)?)))
        else {
            continue;
        };
        let outcome = names.get(&name).copied().ok_or(NO_SUCH_NAME);
        if let Some(reply) = answer(question, outcome, true) {
            let _ = socket.send_to(&reply, from);
        }
    }
}

/// A larger queue for a socket that many talk to.
fn crowd(socket: &UdpSocket) {
    let _ = socket2::SockRef::from(socket).set_recv_buffer_size(1 << 20);
}

struct Open {
    client: SocketAddr,
    question: Vec<u8>,
    name: String,
    authority: Ipv4Addr,
    asked: Instant,
    again: bool,
}

#[derive(Default)]
struct Memory {
    open: HashMap<u16, Open>,
    known: HashMap<String, (std::result::Result<Ipv4Addr, u8>, Instant)>,
    next: u16,
}

/// The city's resolver: knows which authority has which zone, asks it, and remembers the answer for its time.
pub(crate) fn resolver(zones: BTreeMap<String, Ipv4Addr>) -> Result<()> {
    let front = UdpSocket::bind(("0.0.0.0", 53)).tried(|| "open the resolver's port 53".into())?;
    let back = UdpSocket::bind(("0.0.0.0", 0)).tried(|| "open the resolver's way out".into())?;
    crowd(&front);
    crowd(&back);
    let memory = Arc::new(Mutex::new(Memory::default()));
    let (out, answers) = (
        back.try_clone().tried(|| "share a socket".into())?,
        front.try_clone().tried(|| "share a socket".into())?,
    );
    let shared = Arc::clone(&memory);
    thread::Builder::new()
        .name("resolver/back".into())
        .spawn(move || take_answers(&back, &answers, &shared))
        .tried(|| "start a thread".into())?;
    let mut buffer = [0; 1500];
    loop {
        let Ok((length, client)) = front.recv_from(&mut buffer) else { continue };
        let Some(question) = buffer.get(..length) else { continue };
        let Some((name, _)) = asked(question) else { continue };
        let zone = name.split_once('.').map(|(_, rest)| rest).and_then(|rest| {
            zones.get(rest).or_else(|| zones.iter().find(|(zone, _)| rest.ends_with(*zone)).map(|(_, at)| at))
        });
        let Some(&authority) = zone.or_else(|| zones.get(&name)) else {
            let _ = answer(question, Err(NO_SUCH_NAME), false).map(|reply| front.send_to(&reply, client));
            continue;
        };
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((outcome, until)) = memory.known.get(&name)
            && *until > Instant::now()
        {
            let _ = answer(question, *outcome, false).map(|reply| front.send_to(&reply, client));
            continue;
        }
        if memory.open.len() >= PENDING {
            let _ = answer(question, Err(SERVER_FAILED), false).map(|reply| front.send_to(&reply, client));
            continue;
        }
        memory.next = memory.next.wrapping_mul(25_173).wrapping_add(13_849);
        let id = memory.next;
        let _ = out.send_to(&self::question(id, &name, false), (authority, 53));
        let open = Open {
            client,
            question: question.to_vec(),
            name,
            authority,
            asked: Instant::now(),
            again: false,
        };
        memory.open.insert(id, open);
    }
}

fn take_answers(back: &UdpSocket, front: &UdpSocket, memory: &Mutex<Memory>) {
    let _ = back.set_read_timeout(Some(Duration::from_millis(100)));
    let mut buffer = [0; 1500];
    let mut swept = Instant::now();
    loop {
        if let Ok((length, _)) = back.recv_from(&mut buffer)
            && let Some(message) = buffer.get(..length)
            && let Some(outcome) = answered(message)
            && let Some(id) = word(message, 0)
        {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = memory.open.remove(&id) {
                let _ =
                    answer(&open.question, outcome, false).map(|reply| front.send_to(&reply, open.client));
                if memory.known.len() >= REMEMBERED {
                    memory.known.clear();
                }
                memory.known.insert(open.name, (outcome, Instant::now() + Duration::from_secs(TTL.into())));
            }
        }
        if swept.elapsed() > Duration::from_millis(100) {
            swept = Instant::now();
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            for (id, open) in &mut memory.open {
                if !open.again && open.asked.elapsed() > Duration::from_millis(700) {
                    open.again = true;
                    let _ = back.send_to(&question(*id, &open.name, false), (open.authority, 53));
                }
            }
            memory.open.retain(|_, open| {
                let keep = open.asked.elapsed() < Duration::from_millis(2_000);
                if !keep {
                    let _ = answer(&open.question, Err(SERVER_FAILED), false)
                        .map(|reply| front.send_to(&reply, open.client));
                }
                keep
            });
        }
    }
}

/// One question to a resolver: the address and how long the answer took, in microseconds.
pub(crate) fn resolve(
    resolver: Ipv4Addr,
    name: &str,
    id: u16,
    patience: Duration,
) -> Option<(Ipv4Addr, u64)> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(SocketAddrV4::new(resolver, 53)).ok()?;
    socket.set_read_timeout(Some(patience)).ok()?;
    let start = clock::now();
    socket.send(&question(id, name, true)).ok()?;
    let mut buffer = [0; 1500];
    loop {
        let length = socket.recv(&mut buffer).ok()?;
        let message = buffer.get(..length)?;
        if word(message, 0) == Some(id) {
            let took = u64::try_from(clock::now().micros_since(start)).unwrap_or(0);
            return answered(message)?.ok().map(|address| (address, took));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_read_back() {
        let asked_for = question(7, "www.news.example", true);
        assert_eq!(asked(&asked_for), Some(("www.news.example".into(), asked_for.len())));
        let address = Ipv4Addr::new(198, 18, 1, 1);
        for (outcome, authority) in [(Ok(address), true), (Ok(address), false), (Err(NO_SUCH_NAME), true)] {
            let reply = answer(&asked_for, outcome, authority).unwrap();
            assert_eq!(answered(&reply), Some(outcome));
            for cut in 0..reply.len() {
                let _ = answered(&reply[..cut]);
            }
        }
        assert_eq!(asked(&[0xff; 40]), None);
        assert_eq!(asked(&[]), None);
    }
}
