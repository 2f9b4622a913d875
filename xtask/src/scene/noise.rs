//! Attacks under deliberate noise: what is loud, forged or out of time hides nothing.

use super::Scene;
use crate::{
    traffic::{Host, SYN, TelnetGuess},
    world::{self, MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "noise-scans",
    about: "two cameras are taken over, one before and one after thousands of forged scans",
    play: scans,
}];

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
