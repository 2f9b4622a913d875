//! Attacks under deliberate noise: what is loud, forged or out of time hides nothing.

use super::Scene;
use crate::{
    traffic::{Host, SYN, TelnetGuess},
    world::{self, DAY, HOUR, MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "noise-scans",
        about: "two cameras are taken over, one before and one after thousands of forged scans",
        play: scans,
    },
    Scene {
        name: "noise-sessions",
        about: "a camera is taken over while thousands of connections to others say next to nothing",
        play: sessions,
    },
    Scene {
        name: "noise-leaps",
        about: "single records of a far future stand in a capture of a bot that looks for others",
        play: |world| clock(world, None),
    },
    Scene {
        name: "noise-set-back",
        about: "the clock is set back by an hour, and a bot looks for others before and after",
        play: |world| clock(world, Some(-HOUR)),
    },
];

/// Two cameras and the everyday life of others; from when on and until when there may be noise.
fn street(world: &mut World, length: i64) -> ([Host; 2], i64, i64) {
    let cameras = [world.device(), world.device()];
    let others = world.devices(8);
    for host in others.iter().chain(&cameras) {
        world.everyday(host, world.start, world.start + length);
    }
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    (cameras, world.start + 3 * MINUTE, world.start + length - 3 * MINUTE)
}

/// Somebody gets in with a factory password and looks around.
fn takeover(world: &mut World, at: i64, camera: Host) {
    let attacker = world.outside();
    world.truth.attack_at(at);
    let (mut talk, mut own) = world.talk(at, attacker, camera, 23);
    let logins = [("admin", "admin", false), ("root", "vizxv", true)];
    TelnetGuess { logins: &logins, commands: &[("enable", ""), ("sh", "")] }.play(&mut talk, &mut own);
    let end = talk.at;
    talk.close();
    world.truth.attack_at(end);
    world.truth.attackers.insert(attacker.ip);
    world.truth.infected.insert(camera.ip);
    world.truth.stages = vec!["credential-access".into()];
    world.truth.severity = "high".into();
    world.truth.max_incidents = 2;
}

fn scans(world: &mut World) {
    let ([one, two], from, until) = street(world, 90 * MINUTE);
    takeover(world, from - MINUTE, one);
    let aims: Vec<Host> = world.devices(10);
    world.truth.innocent.extend(aims.iter().map(|host| host.ip));
    let (gateway, count) = (world.gateway.mac, 5_000);
    let step = (until - from) / (count * aims.len() as i64);
    let mut at = from;
    for _ in 0..count {
        let source = Host { mac: gateway, ip: world::public(&mut world.places).into(), ttl: 50 };
        let door = *world.doors.pick(&[23, 2_323, 8_080]);
        for aim in &aims {
            let ports = (world.doors.port(1_024, 65_000), door);
            let seq = world.rng.bits() as u32;
            world.tape.tcp(at, &source, aim, ports, (seq, 0), SYN);
            at += step;
        }
        world.truth.accomplices.insert(source.ip);
    }
    takeover(world, until + 30 * SECOND, two);
    // What is forged is told in a row for each service.
    world.truth.max_incidents = 2 + 3;
}

/// Somebody's device tries strangers, one after the other.
fn look_around(world: &mut World, at: i64, bot: Host, count: usize) -> i64 {
    let mut at = at;
    for _ in 0..count {
        let aim = world.outside();
        let ports = (world.doors.port(1_024, 65_000), 23);
        let seq = world.rng.bits() as u32;
        world.tape.tcp(at, &bot, &Host { mac: world.gateway.mac, ..aim }, ports, (seq, 0), SYN);
        at += world.secs(0.5, 2.5);
    }
    at
}

fn clock(world: &mut World, set_back: Option<i64>) {
    let ([bot, other], from, until) = street(world, 40 * MINUTE);
    world.truth.innocent.insert(other.ip);
    match set_back {
        None => {
            for (number, years) in [1, 60, 10].into_iter().enumerate() {
                let at = from + number as i64 * 40 * SECOND + world.secs(0.0, 30.0);
                look_around(world, at, other, 1);
                world.slips.push((at, years * 365 * DAY, false));
            }
            world.truth.attack_at(from + 4 * MINUTE);
        }
        Some(shift) => {
            // What it did before alone is too little to be told.
            look_around(world, from, bot, 3);
            world.slips.push((from + 3 * MINUTE, shift, true));
            world.truth.attack_at(from + 4 * MINUTE + shift);
        }
    }
    let ends = look_around(world, from + 4 * MINUTE, bot, 20);
    world.truth.attack_at(ends + set_back.unwrap_or_default());
    assert!(ends < until, "the scene is too short");
    world.truth.infected.insert(bot.ip);
    world.truth.stages = vec!["reconnaissance|discovery".into()];
    world.truth.patience = 90.0;
}

fn sessions(world: &mut World) {
    let ([camera, server], from, _) = street(world, 40 * MINUTE);
    world.truth.innocent.insert(server.ip);
    let idlers = world.outsiders(40);
    let mut at = from;
    for number in 0..18_000_usize {
        let idler = idlers.get(number % idlers.len()).copied().unwrap_or(server);
        let (mut talk, mut own) = world.talk(at, idler, server, 8_443);
        let word = own.bytes(1);
        talk.open().up(&word);
        at += world.secs(0.01, 0.07);
    }
    takeover(world, at + 10 * SECOND, camera);
    // So many connections may be called a flood.
    world.truth.accomplices.extend(idlers.iter().map(|idler| idler.ip));
    world.truth.max_incidents = 2;
}
