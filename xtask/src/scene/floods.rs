//! Doing harm by sheer number: floods of every kind, sent by one of ours or received by one of ours.

use super::Scene;
use crate::{
    traffic::{self, ACK, FIN, Host, PSH, RST, SYN, dns_answer, dns_question},
    world::{self, MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "flood-syn-out",
        about: "one of our devices floods a stranger with SYNs",
        play: |world| out(world, Kind::Syn),
    },
    Scene {
        name: "flood-ack-out",
        about: "one of our devices floods a stranger with ACKs",
        play: |world| out(world, Kind::Ack),
    },
    Scene {
        name: "flood-synack-out",
        about: "one of our devices floods a stranger with SYN-ACKs",
        play: |world| out(world, Kind::SynAck),
    },
    Scene {
        name: "flood-udp-out",
        about: "one of our devices floods a stranger with UDP",
        play: |world| out(world, Kind::Udp),
    },
    Scene {
        name: "flood-icmp-out",
        about: "one of our devices floods a stranger with pings",
        play: |world| out(world, Kind::Icmp),
    },
    Scene {
        name: "flood-gre-out",
        about: "one of our devices floods a stranger with GRE",
        play: |world| out(world, Kind::Gre),
    },
    Scene {
        name: "flood-dns-random",
        about: "one of our devices asks for random subdomains without end",
        play: dns_random,
    },
    Scene {
        name: "flood-http-out",
        about: "one of our devices floods a web server with requests",
        play: http_out,
    },
    Scene {
        name: "flood-syn-in",
        about: "a host of ours is flooded with SYNs from forged sources",
        play: |world| inward(world, Kind::Syn, true),
    },
    Scene {
        name: "flood-ack-in",
        about: "a host of ours is flooded with ACKs from forged sources",
        play: |world| inward(world, Kind::Ack, true),
    },
    Scene {
        name: "flood-udp-in",
        about: "a host of ours is flooded with UDP from forged sources",
        play: |world| inward(world, Kind::Udp, true),
    },
    Scene {
        name: "flood-icmp-in",
        about: "a host of ours is flooded with pings from forged sources",
        play: |world| inward(world, Kind::Icmp, true),
    },
    Scene {
        name: "flood-syn-open-in",
        about: "an open port of ours is flooded with SYNs by bots that show their addresses, so that each is answered",
        play: |world| answered(world, Kind::Syn),
    },
    Scene {
        name: "flood-ack-answered-in",
        about: "a host of ours is flooded with ACKs, and refuses each of them",
        play: |world| answered(world, Kind::Ack),
    },
    Scene {
        name: "flood-ping-in",
        about: "a host of ours is flooded with pings, and answers them",
        play: |world| answered(world, Kind::Icmp),
    },
    Scene {
        name: "flood-http-in",
        about: "a web server of ours is flooded by a thousand bots with full handshakes",
        play: http_in,
    },
];

#[derive(Clone, Copy)]
enum Kind {
    Syn,
    Ack,
    SynAck,
    Udp,
    Icmp,
    Gre,
}

fn blow(world: &mut World, kind: Kind, at: i64, from: &Host, to: &Host, port: u16, number: u64) {
    let ports = (world.doors.port(1_024, 65_000), port);
    let (seq, ack) = (world.rng.bits() as u32, world.rng.bits() as u32);
    match kind {
        Kind::Syn => world.tape.tcp(at, from, to, ports, (seq, 0), SYN),
        Kind::Ack => {
            let payload = world.rng.bytes(if number.is_multiple_of(2) { 0 } else { 512 });
            world.tape.put(
                at,
                &traffic::tcp(
                    from,
                    to,
                    ports,
                    seq,
                    ack,
                    ACK | if payload.is_empty() { 0 } else { PSH },
                    &payload,
                ),
            );
        }
        Kind::SynAck => world.tape.tcp(at, from, to, ports, (seq, ack), SYN | ACK),
        Kind::Udp => {
            let payload = world.rng.bytes(512);
            world.tape.udp(at, from, to, ports, &payload);
        }
        Kind::Icmp => {
            let frame = traffic::icmp(from, to, 8, 0, (number as u32).to_be_bytes(), &[0x55; 400]);
            world.tape.put(at, &frame);
        }
        Kind::Gre => {
            let one = Host { ip: world::public(&mut world.places).into(), ..*from };
            let two = Host { ip: world::public(&mut world.places).into(), ..*to };
            let payload = world.rng.bytes(512);
            let inner = traffic::udp(&one, &two, ports, &payload);
            let mut packet = vec![0, 0, 0x08, 0];
            packet.extend_from_slice(inner.get(14..).unwrap_or_default());
            world.tape.put(at, &traffic::ip(from, to, 47, &packet));
        }
    }
}

fn background(world: &mut World, count: usize, length: i64) -> Vec<Host> {
    let others = world.devices(count);
    let (from, until) = (world.start, world.start + length);
    for other in &others {
        world.everyday(other, from, until);
    }
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    others
}

fn out(world: &mut World, kind: Kind) {
    let bot = world.device();
    background(world, 4, 10 * MINUTE);
    let (from, until) = (world.start, world.start + 10 * MINUTE);
    world.everyday(&bot, from, until);
    let victim = world.outside();
    let port = *world.doors.pick(&[80, 443, 53, 25_565, 3_074, 8_080]);
    let rate = world.rng.between(400, 4_000) as f64;
    let seconds = world.rng.between(8, 25) as f64;
    let mut at = world.start + world.secs(120.0, 300.0);
    world.truth.attack_at(at);
    for number in 0..(rate * seconds) as u64 {
        let any = world.doors.port(1, 65_535);
        let port = if matches!(kind, Kind::Udp) && world.truth.seed.is_multiple_of(2) { any } else { port };
        blow(world, kind, at, &bot, &victim, port, number);
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.victims.insert(victim.ip);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

fn inward(world: &mut World, kind: Kind, forged: bool) {
    let victim = world.device();
    background(world, 4, 10 * MINUTE);
    let port = *world.doors.pick(&[80, 443, 22, 8_883]);
    let rate = world.rng.between(800, 4_000) as f64;
    let seconds = world.rng.between(10, 25) as f64;
    // A public service has visitors of its own.
    for _ in 0..40 {
        let visitor = world.outside();
        let at = world.start + world.secs(0.0, 500.0);
        let (mut talk, mut own) = world.talk(at, visitor, victim, 443);
        talk.tls(&mut own, "service.city.example")
            .sealed_up(&mut own, 300)
            .sealed_down(&mut own, 9_000)
            .close();
        world.truth.innocent.insert(visitor.ip);
    }
    let mut at = world.start + world.secs(120.0, 300.0);
    world.truth.attack_at(at);
    let source = world.outside();
    for number in 0..(rate * seconds) as u64 {
        let from =
            if forged { Host { ip: world::public(&mut world.places).into(), ..source } } else { source };
        blow(world, kind, at, &from, &victim, port, number);
        if matches!(kind, Kind::Syn) && number.is_multiple_of(5) {
            let back = (port, world.doors.port(1_024, 65_000));
            world.tape.tcp(at + 300, &victim, &from, back, (1, 2), SYN | ACK);
        }
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.victims.insert(victim.ip);
    world.truth.innocent.insert(victim.ip);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

/// A flood whose packets are all answered, from one bot or many; some were visitors before.
fn answered(world: &mut World, kind: Kind) {
    let victim = world.device();
    background(world, 4, 10 * MINUTE);
    let count = *world.rng.pick(&[1, 40, 200]);
    let bots = world.outsiders(count);
    let port = *world.doors.pick(&[80, 443, 22, 8_883]);
    for bot in bots.iter().step_by(3) {
        let at = world.start + world.secs(0.0, 60.0);
        let (mut talk, mut own) = world.talk(at, *bot, victim, port);
        talk.tls(&mut own, "service.city.example")
            .sealed_up(&mut own, 300)
            .sealed_down(&mut own, 900)
            .close();
    }
    let rate = world.rng.between(1_500, 4_000) as f64;
    let seconds = world.rng.between(10, 20) as f64;
    let mut at = world.start + world.secs(120.0, 300.0);
    world.truth.attack_at(at);
    for number in 0..(rate * seconds) as u64 {
        let bot = *world.rng.pick(&bots);
        let ports = (world.doors.port(1_024, 65_000), port);
        let back = (ports.1, ports.0);
        let (seq, rtt) = (world.rng.bits() as u32, 300);
        match kind {
            Kind::Syn => {
                world.tape.tcp(at, &bot, &victim, ports, (seq, 0), SYN);
                world.tape.tcp(at + rtt, &victim, &bot, back, (1, seq.wrapping_add(1)), SYN | ACK);
                world.tape.tcp(at + 2 * rtt, &bot, &victim, ports, (seq.wrapping_add(1), 0), RST);
            }
            Kind::Icmp => {
                let rest = (number as u32).to_be_bytes();
                world.tape.put(at, &traffic::icmp(&bot, &victim, 8, 0, rest, &[0x55; 56]));
                world.tape.put(at + rtt, &traffic::icmp(&victim, &bot, 0, 0, rest, &[0x55; 56]));
            }
            _ => {
                world.tape.tcp(at, &bot, &victim, ports, (seq, 7), ACK);
                world.tape.tcp(at + rtt, &victim, &bot, back, (7, 0), RST);
            }
        }
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.victims.insert(victim.ip);
    world.truth.innocent.insert(victim.ip);
    // One alone that answers to its address may be named.
    world.truth.accomplices.extend(bots.iter().map(|bot| bot.ip));
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

fn dns_random(world: &mut World) {
    let bot = world.device();
    background(world, 4, 10 * MINUTE);
    let (from, until) = (world.start, world.start + 10 * MINUTE);
    world.everyday(&bot, from, until);
    let through_ours = world.rng.chance(0.5);
    let server = if through_ours { world.resolver } else { world.outside() };
    let domain = format!("{}.example", world.rng.word(9));
    let rate = world.rng.between(150, 2_000) as f64;
    let mut at = world.start + world.secs(120.0, 300.0);
    world.truth.attack_at(at);
    for _ in 0..(rate * 15.0) as u64 {
        let (id, port) = (world.rng.bits() as u16, world.doors.ephemeral());
        let name = format!("{}.{domain}", world.rng.word(12));
        let question = dns_question(id, &name, 1, false);
        world.tape.udp(at, &bot, &server, (port, 53), &question);
        // A provider under attack answers less and less.
        if world.rng.chance(if through_ours { 0.5 } else { 0.15 }) {
            let rcode = if world.rng.chance(0.6) { 2 } else { 3 };
            world.tape.udp(at + 30_000, &server, &bot, (53, port), &dns_answer(id, &name, 1, rcode, &[]));
        }
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    if !through_ours {
        world.truth.victims.insert(server.ip);
    }
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

fn http_out(world: &mut World) {
    let bot = world.device();
    background(world, 4, 10 * MINUTE);
    let victim = world.outside();
    let rate = world.rng.between(60, 250) as f64;
    let mut at = world.start + world.secs(60.0, 200.0);
    world.truth.attack_at(at);
    for _ in 0..(rate * 20.0) as u64 {
        let path = world.rng.word(6);
        let (mut talk, _) = world.talk(at, bot, victim, 80);
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0)\r\nConnection: keep-alive\r\n\r\n"
        );
        talk.open()
            .up(request.as_bytes())
            .down(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            .close();
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.victims.insert(victim.ip);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

fn http_in(world: &mut World) {
    let victim = world.device();
    background(world, 4, 10 * MINUTE);
    let bots = world.outsiders(1_000);
    let mut at = world.start + world.secs(120.0, 200.0);
    world.truth.attack_at(at);
    for _ in 0..12_000 {
        let bot = *world.rng.pick(&bots);
        let path = world.rng.word(5);
        let from = world.doors.ephemeral();
        let mut own = traffic::Rng::new(world.rng.bits(), "bot");
        let mut talk = world.tape.talk(&mut own, at, bot, victim, (from, 80));
        let request =
            format!("GET /search?q={path} HTTP/1.1\r\nHost: city.example\r\nUser-Agent: Mozilla/5.0\r\n\r\n");
        talk.open().up(request.as_bytes());
        at += world.secs(0.0005, 0.003);
    }
    // A goodbye, so that the last are not cut.
    world.tape.tcp(
        at + SECOND,
        &bots.first().copied().unwrap_or(victim),
        &victim,
        (40_000, 80),
        (1, 1),
        FIN | ACK,
    );
    world.truth.attack_at(at);
    world.truth.victims.insert(victim.ip);
    world.truth.innocent.insert(victim.ip);
    world.truth.stages = vec!["impact".into()];
}
