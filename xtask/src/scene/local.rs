//! Attacks on the local network itself: ARP and DHCP.

use super::Scene;
use crate::{
    traffic::{self, DhcpMessage, Host},
    world::{HOUR, MINUTE, SECOND, World},
};
use std::net::{IpAddr, Ipv4Addr};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "arp-spoof",
        about: "a device tells its neighbours that it is the gateway, and the gateway that it is them",
        play: arp_spoof,
    },
    Scene {
        name: "dhcp-rogue",
        about: "a second DHCP server hands out itself as the gateway and resolver",
        play: dhcp_rogue,
    },
    Scene {
        name: "dhcp-starvation",
        about: "a device asks for every address under invented names",
        play: dhcp_starvation,
    },
    Scene {
        name: "ok-shared-address",
        about: "a service's address moves between two machines that both live on, and back",
        play: shared_address,
    },
    Scene {
        name: "ok-dhcp-pair",
        about: "two DHCP servers share a network and hand out the same; then one is replaced by another",
        play: dhcp_pair,
    },
    Scene {
        name: "ok-power-cut",
        about: "after a power cut a street asks for addresses, and the DHCP server is the last to come back",
        play: power_cut,
    },
    Scene {
        name: "ok-port-of-a-switch",
        about: "a recorder looks for its cameras after a restart; on our port only the questions are heard",
        play: deaf_port,
    },
];

fn street(world: &mut World, count: usize, length: i64) -> Vec<Host> {
    let others = world.devices(count);
    let (from, until) = (world.start, world.start + length);
    let gateway = world.gateway;
    for other in &others {
        let at = world.start + world.secs(0.0, 20.0);
        world.lease(at, other, &gateway, "device");
        world.everyday(other, from, until);
    }
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.innocent.insert(gateway.ip);
    others
}

fn arp_spoof(world: &mut World) {
    let others = street(world, 6, HOUR);
    let bot = world.device();
    let gateway = world.gateway;
    world.arp(world.start + SECOND, &bot, &gateway);
    for other in &others {
        world.arp(world.start + 2 * SECOND, &gateway, other);
    }
    let victim = others.first().copied().unwrap_or(bot);
    let mut at = world.start + world.secs(600.0, 900.0);
    let until = at + world.secs(300.0, 1_500.0);
    let everybody = world.rng.chance(0.3);
    let every = world.secs(1.0, 10.0);
    world.truth.attack_at(at);
    while at < until {
        // "The gateway's address is at my hardware address", and the other way round.
        let to = if everybody { [0xff; 6] } else { victim.mac };
        world.tape.put(at, &traffic::arp(2, (bot.mac, gateway.v4()), (victim.mac, victim.v4()), to));
        world.tape.put(
            at + 300,
            &traffic::arp(2, (bot.mac, victim.v4()), (gateway.mac, gateway.v4()), gateway.mac),
        );
        at += every;
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    // Told to everybody, the lie is about the gateway; told to one, it is that one who is deceived.
    world.truth.victims.insert(if everybody { gateway.ip } else { victim.ip });
    world.truth.stages = vec!["credential-access|collection|lateral-movement".into()];
}

fn dhcp_rogue(world: &mut World) {
    let others = street(world, 5, HOUR);
    let bot = world.device();
    let gateway = world.gateway;
    world.arp(world.start + SECOND, &bot, &gateway);
    let everybody = Host { mac: [0xff; 6], ip: Ipv4Addr::BROADCAST.into(), ttl: 64 };
    let mut at = world.start + world.secs(600.0, 1_200.0);
    world.truth.attack_at(at);
    for other in others.iter().cycle().take(8) {
        let xid = world.rng.bits() as u32;
        let nobody = Host { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), ..*other };
        for (step, (server, kind)) in
            [(None, 1_u8), (Some(bot), 2), (Some(gateway), 2), (None, 3), (Some(bot), 5)]
                .into_iter()
                .enumerate()
        {
            let from = server.unwrap_or(bot);
            let message = DhcpMessage {
                kind,
                xid,
                client: other.mac,
                address: other.v4(),
                server: if kind == 1 { Ipv4Addr::UNSPECIFIED } else { from.v4() },
                router: from.v4(),
                resolver: from.v4(),
                name: "device".into(),
            };
            let when = at + step as i64 * 3_000;
            match server {
                Some(server) => world.tape.udp(when, &server, &everybody, (67, 68), &traffic::dhcp(&message)),
                None => world.tape.udp(when, &nobody, &everybody, (68, 67), &traffic::dhcp(&message)),
            }
        }
        at += world.secs(20.0, 90.0);
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.stages = vec!["credential-access|collection|lateral-movement".into()];
}

fn dhcp_starvation(world: &mut World) {
    street(world, 5, 30 * MINUTE);
    let bot = world.device();
    let gateway = world.gateway;
    world.arp(world.start + SECOND, &bot, &gateway);
    let own_frames = world.rng.chance(0.5);
    let everybody = Host { mac: [0xff; 6], ip: Ipv4Addr::BROADCAST.into(), ttl: 64 };
    let mut pool = world.empty_addresses(120).into_iter();
    let mut at = world.start + world.secs(300.0, 600.0);
    world.truth.attack_at(at);
    for _ in 0..world.rng.between(250, 3_000) {
        let mut client = [0; 6];
        client.copy_from_slice(&world.rng.bytes(6));
        client[0] &= 0xfe;
        let message = DhcpMessage {
            kind: 1,
            xid: world.rng.bits() as u32,
            client,
            address: Ipv4Addr::UNSPECIFIED,
            server: Ipv4Addr::UNSPECIFIED,
            router: gateway.v4(),
            resolver: gateway.v4(),
            name: String::new(),
        };
        // Some tools invent the frame's source as well.
        let mac = if own_frames { bot.mac } else { client };
        let nobody = Host { mac, ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), ttl: 64 };
        world.tape.udp(at, &nobody, &everybody, (68, 67), &traffic::dhcp(&message));
        // As long as there are any.
        if let Some(free) = pool.next() {
            let offer = DhcpMessage { kind: 2, address: free.v4(), server: gateway.v4(), ..message };
            world.tape.udp(at + 700, &gateway, &everybody, (67, 68), &traffic::dhcp(&offer));
        }
        at += world.secs(0.002, 0.06);
    }
    world.truth.attack_at(at);
    if own_frames {
        world.truth.infected.insert(bot.ip);
    }
    world.truth.victims.insert(gateway.ip);
    world.truth.stages = vec!["impact".into()];
}

fn benign(world: &mut World) {
    world.truth.benign = true;
    world.truth.max_incidents = 0;
}

fn shared_address(world: &mut World) {
    let others = street(world, 6, HOUR);
    let (one, two) = (world.device(), world.device());
    let service = world.device();
    let (from, until) = (world.start, world.start + HOUR);
    for node in [one, two] {
        world.everyday(&node, from, until);
    }
    let moves = [world.start + 5 * MINUTE, world.start + 20 * MINUTE, world.start + 40 * MINUTE];
    let mut holder = one;
    let mut next = moves.iter().copied().peekable();
    let mut at = world.start + world.secs(5.0, 20.0);
    while at < until {
        if let Some(moved) = next.next_if(|&moved| moved <= at) {
            holder = if holder.mac == one.mac { two } else { one };
            // The new holder tells everybody, a few times.
            for step in 0..5 {
                let me = (holder.mac, service.v4());
                world
                    .tape
                    .put(moved + step * SECOND, &traffic::arp(1, me, ([0; 6], service.v4()), [0xff; 6]));
            }
        }
        let client = *world.rng.pick(&others);
        let here = Host { mac: holder.mac, ..service };
        world.arp(at, &client, &here);
        let (mut talk, mut own) = world.talk(at + 2_000, client, here, 443);
        talk.tls(&mut own, "service.example").sealed_up(&mut own, 200).sealed_down(&mut own, 2_000).close();
        // Both go on with addresses of their own.
        for node in [one, two] {
            world.arp(at + 700_000, &node, &client);
        }
        at += world.secs(3.0, 20.0);
    }
    world.truth.innocent.extend([one.ip, two.ip, service.ip]);
    benign(world);
}

fn dhcp_pair(world: &mut World) {
    let clients = street(world, 8, 2 * HOUR);
    let (first, second, third) = (world.device(), world.device(), world.device());
    let mut at = world.start + MINUTE;
    while at < world.start + 2 * HOUR {
        let client = *world.rng.pick(&clients);
        let late = at > world.start + HOUR;
        // The second answers beside the first; after an hour a third stands in for it.
        let other = if late { third } else { second };
        let server = if world.rng.chance(0.5) { first } else { other };
        world.lease(at, &client, &server, "device");
        at += world.secs(20.0, 200.0);
    }
    world.truth.innocent.extend([first.ip, second.ip, third.ip]);
    benign(world);
}

fn power_cut(world: &mut World) {
    let clients = world.devices(60);
    let gateway = world.gateway;
    let everybody = Host { mac: [0xff; 6], ip: Ipv4Addr::BROADCAST.into(), ttl: 64 };
    let back = world.start + 3 * MINUTE;
    for client in &clients {
        // Nothing is heard of a device before it has an address.
        let mac = client.mac;
        world.tape.retain(|_, frame| frame.get(6..12) != Some(mac.as_slice()));
        let nobody = Host { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), ..*client };
        let mut at = world.start + world.secs(0.0, 20.0);
        while at < back {
            let message = DhcpMessage {
                kind: 1,
                xid: world.rng.bits() as u32,
                client: client.mac,
                address: Ipv4Addr::UNSPECIFIED,
                server: Ipv4Addr::UNSPECIFIED,
                router: gateway.v4(),
                resolver: gateway.v4(),
                name: "lamp".into(),
            };
            world.tape.udp(at, &nobody, &everybody, (68, 67), &traffic::dhcp(&message));
            at += world.secs(8.0, 64.0);
        }
        world.lease(at, client, &gateway, "lamp");
        world.arp(at + SECOND, client, &gateway);
    }
    world.truth.innocent.extend(clients.iter().map(|host| host.ip));
    benign(world);
}

fn deaf_port(world: &mut World) {
    let recorder = world.device();
    let cameras = world.devices(40);
    let mut at = world.start + 10 * SECOND;
    for _ in 0..3 {
        for camera in &cameras {
            world.arp(at, &recorder, camera);
            at += world.secs(0.01, 0.1);
        }
        at += 20 * MINUTE;
    }
    // A switch sends answers to who asked, and to nobody else.
    world.tape.retain(|_, frame| frame.first() == Some(&0xff));
    world.truth.innocent.insert(recorder.ip);
    benign(world);
}
