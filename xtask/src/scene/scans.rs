//! Looking for what can be attacked: horizontally, vertically, by ping and by ARP; fast, slow, in clear and hidden.

use super::Scene;
use crate::{
    traffic::{self, ACK, Host, RST, SYN},
    world::{DAY, MINUTE, SECOND, World},
};
use std::net::Ipv4Addr;

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "scan-out",
        about: "one of our devices scans the internet for one service",
        play: scan_out,
    },
    Scene { name: "scan-in", about: "somebody outside scans our network for one service", play: scan_in },
    Scene { name: "scan-sideways", about: "one of our devices scans its neighbours", play: scan_sideways },
    Scene {
        name: "scan-slow-in",
        about: "somebody outside tries one of our addresses every few minutes for a day",
        play: scan_slow_in,
    },
    Scene {
        name: "scan-slow-out",
        about: "one of our devices tries a stranger every few minutes for a day",
        play: scan_slow_out,
    },
    Scene {
        name: "scan-connect",
        about: "a connect scan of common ports on all of our hosts, with answers",
        play: scan_connect,
    },
    Scene {
        name: "scan-vertical",
        about: "one host of ours is tried on a thousand ports",
        play: scan_vertical,
    },
    Scene {
        name: "scan-vertical-slow",
        about: "one host of ours is tried on hundreds of ports over hours",
        play: scan_vertical_slow,
    },
    Scene {
        name: "scan-udp",
        about: "UDP ports of one host are tried, closed ones answer by ICMP",
        play: scan_udp,
    },
    Scene {
        name: "scan-udp-wide",
        about: "one UDP service is looked for on many addresses",
        play: scan_udp_wide,
    },
    Scene {
        name: "sweep-ping",
        about: "all of our addresses are pinged from outside or from a device",
        play: sweep_ping,
    },
    Scene {
        name: "arp-sweep",
        about: "a device asks for every address of the network in a short time",
        play: arp_sweep,
    },
    Scene {
        name: "scan-ipv6",
        about: "one of our devices scans IPv6 strangers for one service",
        play: scan_ipv6,
    },
];

const SERVICES: [u16; 14] = [23, 2323, 22, 80, 8080, 81, 5555, 7547, 37215, 52869, 445, 1883, 554, 60001];

fn noise(world: &mut World, hosts: &[Host], length: i64) {
    let (from, until) = (world.start, world.start + length);
    for host in hosts {
        world.everyday(host, from, until);
    }
}

/// One probe of a scan: mostly nobody answers, some refuse, few are open (and are then reset or closed).
fn probe(world: &mut World, at: i64, from: &Host, to: &Host, port: u16, refused: f64, open: f64) {
    let ports = (world.doors.port(1_024, 65_000), port);
    let seq = world.rng.bits() as u32;
    world.tape.tcp(at, from, to, ports, (seq, 0), SYN);
    let rtt = world.rng.between(2_000, 150_000) as i64;
    let back = (port, ports.0);
    let dice = world.rng.unit();
    if dice < refused {
        world.tape.tcp(at + rtt, to, from, back, (0, seq.wrapping_add(1)), RST | ACK);
    } else if dice < refused + open {
        let answer = world.rng.bits() as u32;
        world.tape.tcp(at + rtt, to, from, back, (answer, seq.wrapping_add(1)), SYN | ACK);
        world.tape.tcp(at + rtt + 200, from, to, ports, (seq.wrapping_add(1), 0), RST);
    }
}

fn scan_out(world: &mut World) {
    let bot = world.device();
    let others = world.devices(3);
    noise(world, &others, 10 * MINUTE);
    noise(world, &[bot], 10 * MINUTE);
    let count = world.rng.between(300, 20_000);
    let rate = world.rng.between(20, 1_500) as f64;
    let port = *world.doors.pick(&SERVICES);
    let mut at = world.start + world.secs(20.0, 200.0);
    world.truth.attack_at(at);
    for _ in 0..count {
        let stranger = Host { ip: crate::world::public(&mut world.places).into(), ..world.gateway };
        // Mirai tries its second port once in ten.
        let port = if port == 23 && world.rng.chance(0.1) { 2323 } else { port };
        probe(world, at, &bot, &stranger, port, 0.04, 0.01);
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery".into()];
}

fn scan_in(world: &mut World) {
    let others = world.devices(8);
    noise(world, &others, 5 * MINUTE);
    let scanner = world.outside();
    let mut aims = world.empty_addresses(200);
    aims.extend(&others);
    world.rng.shuffle(&mut aims);
    let port = *world.doors.pick(&SERVICES);
    let rate = world.rng.between(5, 400) as f64;
    let mut at = world.start + world.secs(10.0, 100.0);
    world.truth.attack_at(at);
    for aim in &aims {
        let lives = others.contains(aim);
        probe(world, at, &scanner, aim, port, if lives { 0.7 } else { 0.0 }, if lives { 0.3 } else { 0.0 });
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.attackers.insert(scanner.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery".into()];
    // The internet scans everybody all the time: telling it is enough.
    world.truth.severity = "low".into();
}

fn scan_sideways(world: &mut World) {
    let bot = world.device();
    let others = world.devices(12);
    noise(world, &others, 10 * MINUTE);
    let mut aims = world.empty_addresses(180);
    aims.extend(&others);
    world.rng.shuffle(&mut aims);
    let port = *world.doors.pick(&SERVICES);
    let rate = world.rng.between(3, 200) as f64;
    let mut at = world.start + world.secs(30.0, 200.0);
    world.truth.attack_at(at);
    for aim in &aims {
        if others.contains(aim) {
            world.arp(at - 2_000, &bot, aim);
            probe(world, at, &bot, aim, port, 0.7, 0.3);
        } else {
            // Nobody lives there: the question is asked and stays without answer.
            let question = traffic::arp(1, (bot.mac, bot.v4()), ([0; 6], aim.v4()), [0xff; 6]);
            world.tape.put(at, &question);
            world.tape.put(at + SECOND, &question);
        }
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery|lateral-movement".into()];
}

fn slow(world: &mut World, from: Host, aims: &[Host], length: i64, refused: f64) {
    let port = *world.doors.pick(&SERVICES);
    let gap = length as f64 / aims.len() as f64;
    let mut at = world.start + world.secs(1.0, 100.0);
    world.truth.attack_at(at);
    for aim in aims {
        probe(world, at, &from, aim, port, refused, 0.02);
        at += (gap * world.rng.around(0.6)) as i64;
    }
    world.truth.attack_at(at);
    world.truth.stages = vec!["reconnaissance|discovery".into()];
    world.truth.patience = 43_200.0;
}

fn scan_slow_in(world: &mut World) {
    let others = world.devices(3);
    noise(world, &others, DAY);
    let scanner = world.outside();
    let mut aims = world.empty_addresses(220);
    aims.extend(&others);
    world.rng.shuffle(&mut aims);
    slow(world, scanner, &aims, DAY, 0.0);
    world.truth.attackers.insert(scanner.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.severity = "low".into();
}

fn scan_slow_out(world: &mut World) {
    let bot = world.device();
    let others = world.devices(2);
    noise(world, &others, DAY);
    noise(world, &[bot], DAY);
    let count = world.rng.between(250, 600) as usize;
    let aims: Vec<_> = (0..count)
        .map(|_| Host { ip: crate::world::public(&mut world.places).into(), ..world.gateway })
        .collect();
    slow(world, bot, &aims, DAY, 0.05);
    world.truth.infected.insert(bot.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
}

fn scan_connect(world: &mut World) {
    let inside = world.rng.chance(0.5);
    let scanner = if inside { world.device() } else { world.outside() };
    let others = world.devices(25);
    noise(world, others.get(..4).unwrap_or_default(), 5 * MINUTE);
    let mut at = world.start + world.secs(10.0, 60.0);
    world.truth.attack_at(at);
    let ports = [
        21, 22, 23, 25, 53, 80, 81, 110, 139, 143, 443, 445, 554, 993, 1883, 3306, 3389, 5555, 5900, 8000,
        8080, 8443, 8883, 9100,
    ];
    for other in &others {
        if inside {
            world.arp(at, &scanner, other);
        }
        for port in ports {
            let open = world.rng.chance(0.06);
            let (mut talk, _) = world.talk(at, scanner, *other, port);
            if open {
                talk.open();
                talk.reset();
            } else {
                talk.refused();
            }
            at += world.secs(0.001, 0.03);
        }
    }
    world.truth.attack_at(at);
    if inside {
        world.truth.infected.insert(scanner.ip)
    } else {
        world.truth.attackers.insert(scanner.ip)
    };
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery|lateral-movement".into()];
    world.truth.severity = "low".into();
}

fn vertical(world: &mut World, count: usize, gap: (f64, f64), length: i64) {
    let aim = world.device();
    let others = world.devices(3);
    noise(world, &others, length);
    let inside = world.rng.chance(0.4);
    let scanner = if inside { world.device() } else { world.outside() };
    let mut ports: Vec<u16> = (1..=10_000).collect();
    world.doors.shuffle(&mut ports);
    let silent = world.rng.chance(0.3);
    let mut at = world.start + world.secs(10.0, 60.0);
    world.truth.attack_at(at);
    for port in ports.into_iter().take(count) {
        probe(world, at, &scanner, &aim, port, if silent { 0.0 } else { 0.99 }, 0.01);
        at += world.secs(gap.0, gap.1);
    }
    world.truth.attack_at(at);
    if inside {
        world.truth.infected.insert(scanner.ip)
    } else {
        world.truth.attackers.insert(scanner.ip)
    };
    world.truth.targets.insert(aim.ip);
    world.truth.innocent.extend(others.iter().chain([&aim]).map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery".into()];
    world.truth.severity = "low".into();
}

fn scan_vertical(world: &mut World) {
    vertical(world, 1_000, (0.0005, 0.02), 5 * MINUTE);
}

fn scan_vertical_slow(world: &mut World) {
    vertical(world, 400, (30.0, 60.0), 5 * 60 * MINUTE);
    world.truth.patience = 3.0 * 3_600.0;
}

fn scan_udp(world: &mut World) {
    let aim = world.device();
    let others = world.devices(3);
    noise(world, &others, 5 * MINUTE);
    let scanner = if world.rng.chance(0.4) { world.device() } else { world.outside() };
    let mut ports: Vec<u16> = (1..=5_000).collect();
    world.doors.shuffle(&mut ports);
    let mut at = world.start + world.secs(10.0, 60.0);
    world.truth.attack_at(at);
    for (number, port) in ports.into_iter().take(600).enumerate() {
        let from = 40_000 + (number % 3) as u16;
        let frame = traffic::udp(&scanner, &aim, (from, port), &[]);
        world.tape.put(at, &frame);
        // Closed ports answer, at a limited rate as real stacks do.
        if number % 4 == 0 {
            let original = frame.get(14..42).unwrap_or_default().to_vec();
            world.tape.put(at + 1_500, &traffic::icmp(&aim, &scanner, 3, 3, [0; 4], &original));
        }
        at += world.secs(0.005, 0.08);
    }
    world.truth.attack_at(at);
    let inside = scanner.ttl == 64;
    if inside {
        world.truth.infected.insert(scanner.ip)
    } else {
        world.truth.attackers.insert(scanner.ip)
    };
    world.truth.targets.insert(aim.ip);
    world.truth.innocent.extend(others.iter().chain([&aim]).map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery".into()];
    world.truth.severity = "low".into();
}

fn scan_udp_wide(world: &mut World) {
    let bot = world.device();
    let others = world.devices(3);
    noise(world, &others, 5 * MINUTE);
    let port = *world.doors.pick(&[161, 1900, 5060, 5683, 53413, 11211, 389]);
    let count = world.rng.between(400, 5_000);
    let mut at = world.start + world.secs(10.0, 60.0);
    world.truth.attack_at(at);
    let from = world.doors.ephemeral();
    // A ping of the service, or a whole request of it.
    let length = *world.rng.pick(&[40, 420]);
    let payload = world.rng.bytes(length);
    for _ in 0..count {
        let stranger = Host { ip: crate::world::public(&mut world.places).into(), ..world.gateway };
        world.tape.udp(at, &bot, &stranger, (from, port), &payload);
        if world.rng.chance(0.02) {
            world.tape.udp(at + 40_000, &stranger, &bot, (port, from), &[1; 80]);
        }
        at += world.secs(0.001, 0.05);
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery".into()];
}

fn sweep_ping(world: &mut World) {
    let others = world.devices(20);
    noise(world, others.get(..3).unwrap_or_default(), 5 * MINUTE);
    let inside = world.rng.chance(0.5);
    let scanner = if inside { world.device() } else { world.outside() };
    let mut aims = if inside { Vec::new() } else { world.empty_addresses(200) };
    aims.extend(&others);
    if inside {
        // A device that looks around far away.
        aims.extend((0..220).map(|host| Host { ip: Ipv4Addr::new(10, 99, 7, host).into(), ..world.gateway }));
    }
    world.rng.shuffle(&mut aims);
    let mut at = world.start + world.secs(10.0, 60.0);
    world.truth.attack_at(at);
    let id = world.rng.bits() as u16;
    for (number, aim) in aims.iter().enumerate() {
        let [a, b] = id.to_be_bytes();
        let [c, d] = (number as u16).to_be_bytes();
        world.tape.put(at, &traffic::icmp(&scanner, aim, 8, 0, [a, b, c, d], &[0x61; 32]));
        if others.contains(aim) {
            world.tape.put(at + 2_000, &traffic::icmp(aim, &scanner, 0, 0, [a, b, c, d], &[0x61; 32]));
        }
        at += world.secs(0.002, 0.1);
    }
    world.truth.attack_at(at);
    if inside {
        world.truth.infected.insert(scanner.ip)
    } else {
        world.truth.attackers.insert(scanner.ip)
    };
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery".into()];
    world.truth.severity = "low".into();
}

fn arp_sweep(world: &mut World) {
    let bot = world.device();
    let others = world.devices(15);
    noise(world, &others, 10 * MINUTE);
    let mut aims = world.empty_addresses(200);
    aims.extend(&others);
    if world.rng.chance(0.5) {
        world.rng.shuffle(&mut aims);
    }
    let mut at = world.start + world.secs(60.0, 200.0);
    world.truth.attack_at(at);
    for aim in &aims {
        if others.contains(aim) {
            world.arp(at, &bot, aim);
        } else {
            world.tape.put(at, &traffic::arp(1, (bot.mac, bot.v4()), ([0; 6], aim.v4()), [0xff; 6]));
        }
        at += world.secs(0.005, 0.15);
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery".into()];
    world.truth.severity = "low".into();
}

fn scan_ipv6(world: &mut World) {
    let four = world.device();
    let bot = world.six(&four, true);
    let others = world.devices(3);
    noise(world, &others, 5 * MINUTE);
    let gateway = world.gateway;
    let port = *world.doors.pick(&SERVICES);
    let mut at = world.start + world.secs(10.0, 60.0);
    world.truth.attack_at(at);
    for _ in 0..world.rng.between(300, 3_000) {
        let stranger = world.six(&gateway, false);
        probe(world, at, &bot, &stranger, port, 0.03, 0.01);
        at += world.secs(0.001, 0.03);
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["reconnaissance|discovery".into()];
    // The device's own IPv6 network is private whatever the IPv4 one is.
    world.truth.home.push_str(",fd00::/8");
}
