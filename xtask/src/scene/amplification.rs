//! Answers to somebody who never asked: our host as the victim, our service as the reflector.

use super::Scene;
use crate::{
    traffic::{self, Host, Record, dns_answer, dns_question},
    world::{MINUTE, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "amp-dns",
        about: "large DNS answers nobody asked for, in fragments",
        play: |world| amplified(world, 53),
    },
    Scene {
        name: "amp-ntp",
        about: "NTP monitor lists nobody asked for",
        play: |world| amplified(world, 123),
    },
    Scene { name: "amp-ssdp", about: "SSDP answers nobody asked for", play: |world| amplified(world, 1900) },
    Scene {
        name: "amp-memcached",
        about: "memcached answers nobody asked for",
        play: |world| amplified(world, 11_211),
    },
    Scene { name: "amp-cldap", about: "CLDAP answers nobody asked for", play: |world| amplified(world, 389) },
    Scene { name: "amp-snmp", about: "SNMP answers nobody asked for", play: |world| amplified(world, 161) },
    Scene { name: "amp-coap", about: "CoAP answers nobody asked for", play: |world| amplified(world, 5683) },
    Scene {
        name: "amp-odd",
        about: "answers of a service on an unusual port nobody asked for",
        play: |world| amplified(world, 0),
    },
    Scene {
        name: "reflector-dns",
        about: "our open resolver is used against a stranger",
        play: |world| reflect(world, 53),
    },
    Scene {
        name: "reflector-ssdp",
        about: "our device's SSDP is used against a stranger",
        play: |world| reflect(world, 1900),
    },
    Scene {
        name: "reflector-ntp",
        about: "our time server is used against a stranger",
        play: |world| reflect(world, 123),
    },
];

/// What a server of the service answers.
fn answer(world: &mut World, port: u16, id: u16) -> Vec<u8> {
    match port {
        53 => {
            let blobs: Vec<_> = (0..world.rng.between(6, 12)).map(|_| Record::Blob(16, 250)).collect();
            dns_answer(id, "amp.example", 255, 0, &blobs)
        }
        123 => {
            let mut out = vec![0xd7, 0, 3, 42, 0, 6, 0, 72];
            out.extend(world.rng.bytes(432));
            out
        }
        1900 => format!("HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: http://192.168.0.1:49152/rootDesc.xml\r\nSERVER: Linux/2.6 UPnP/1.0\r\nST: upnp:rootdevice\r\nUSN: uuid:{}::upnp:rootdevice\r\n\r\n", world.rng.word(32)).into_bytes(),
        389 => {
            let mut out = vec![0x30, 0x84, 0, 0, 0x05, 0x20, 2, 1, 1, 0x64];
            out.extend(world.rng.bytes(1_300));
            out
        }
        161 => {
            let mut out = vec![0x30, 0x82, 0x04, 0x10, 2, 1, 1, 4, 6];
            out.extend_from_slice(b"public");
            out.extend(world.rng.bytes(1_000));
            out
        }
        5683 => {
            let mut out = vec![0x60, 0x45, (id >> 8) as u8, id as u8, 0xc1, 40, 0xff];
            out.extend(b"</sensors/temp>;rt=\"temperature\",".iter().cycle().take(900));
            out
        }
        _ => world.rng.bytes(1_400),
    }
}

/// A datagram that is larger than a frame comes in fragments; only the first carries the ports.
fn send(world: &mut World, at: i64, from: &Host, to: &Host, ports: (u16, u16), payload: &[u8]) {
    if payload.len() <= 1_472 {
        world.tape.udp(at, from, to, ports, payload);
        return;
    }
    let whole = traffic::udp(from, to, ports, payload);
    let datagram = whole.get(34..).unwrap_or_default();
    let id = (world.rng.bits() as u16).to_be_bytes();
    let mut offset = 0;
    for chunk in datagram.chunks(1_480) {
        let mut frame = traffic::ip(from, to, 17, chunk);
        let more = if offset + chunk.len() < datagram.len() { 0x2000 } else { 0 };
        let [high, low] = (more | (offset / 8) as u16).to_be_bytes();
        let header = [
            0x45,
            0,
            (20 + chunk.len()).to_be_bytes()[6],
            (20 + chunk.len()).to_be_bytes()[7],
            id[0],
            id[1],
            high,
            low,
        ];
        if let Some(place) = frame.get_mut(14..22) {
            place.copy_from_slice(&header);
        }
        traffic::mend_header(&mut frame);
        world.tape.put(at + offset as i64 / 100, &frame);
        offset += chunk.len();
    }
}

fn amplified(world: &mut World, port: u16) {
    let port = if port == 0 { world.doors.port(3_000, 40_000) } else { port };
    let victim = world.device();
    let others = world.devices(4);
    let (from, until) = (world.start, world.start + 10 * MINUTE);
    for host in others.iter().chain([&victim]) {
        world.everyday(host, from, until);
    }
    let count = world.rng.between(30, 400) as usize;
    let reflectors = world.outsiders(count);
    let rate = world.rng.between(500, 4_000) as f64;
    let one_port = world.rng.chance(0.5).then(|| world.doors.ephemeral());
    let mut at = world.start + world.secs(120.0, 300.0);
    world.truth.attack_at(at);
    for _ in 0..(rate * 12.0) as u64 {
        let reflector = *world.rng.pick(&reflectors);
        let id = world.rng.bits() as u16;
        let payload = answer(world, port, id);
        let to = one_port.unwrap_or_else(|| world.doors.port(1_024, 65_000));
        send(world, at, &reflector, &victim, (port, to), &payload);
        world.truth.reflectors.insert(reflector.ip);
        at += world.secs(0.0, 2.0 / rate);
    }
    world.truth.attack_at(at);
    world.truth.victims.insert(victim.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.innocent.insert(victim.ip);
    let reflectors = world.truth.reflectors.clone();
    world.truth.innocent.extend(reflectors);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

fn reflect(world: &mut World, port: u16) {
    let ours = world.device();
    let others = world.devices(4);
    let (from, until) = (world.start, world.start + 10 * MINUTE);
    for host in &others {
        world.everyday(host, from, until);
    }
    let victim = world.outside();
    let rate = world.rng.between(80, 800) as f64;
    let mut at = world.start + world.secs(120.0, 300.0);
    world.truth.attack_at(at);
    for _ in 0..(rate * 40.0) as u64 {
        let (id, source) = (world.rng.bits() as u16, world.doors.port(1_024, 65_000));
        let question = match port {
            53 => dns_question(id, "amp.example", 255, true),
            123 => vec![0x17, 0, 3, 42, 0, 0, 0, 0],
            _ => b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n".to_vec(),
        };
        world.tape.udp(at, &victim, &ours, (source, port), &question);
        for reply in 0..if port == 53 { 1 } else { 8 } {
            let payload = answer(world, port, id);
            send(world, at + 300 + reply * 150, &ours, &victim, (port, source), &payload);
        }
        at += world.secs(0.0, 2.0 / rate);
    }
    world.truth.attack_at(at);
    world.truth.reflectors.insert(ours.ip);
    world.truth.victims.insert(victim.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.innocent.extend([ours.ip, victim.ip]);
    world.truth.stages = vec!["impact".into()];
}
