//! The harmless life of single devices, in the shapes that look most like an attack.

use super::Scene;
use crate::{
    traffic::{self, Host, Login, SshGuess, TelnetGuess},
    world::{DAY, HOUR, MINUTE, SECOND, World},
};
use std::net::Ipv4Addr;

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "ok-camera-days",
        about: "cameras keep alive with their cloud for days",
        play: camera_days,
    },
    Scene {
        name: "ok-ntp-unanswered",
        about: "devices ask a pool of time servers that never answers",
        play: ntp_unanswered,
    },
    Scene { name: "ok-chatter", about: "multicast DNS, SSDP and ARP refresh, all day", play: chatter },
    Scene { name: "ok-video", about: "cameras upload video in bursts, by UDP and TCP", play: video },
    Scene {
        name: "ok-telemetry-bursts",
        about: "meters send their readings all at once, every quarter of an hour",
        play: telemetry,
    },
    Scene { name: "ok-peers", about: "a camera punches holes to many peers with STUN", play: peers },
    Scene {
        name: "ok-dead-cloud",
        about: "a device keeps looking up and calling a cloud that no longer exists",
        play: dead_cloud,
    },
    Scene {
        name: "ok-admin-ssh",
        about: "the administrator mistypes a password three times, then works",
        play: admin_ssh,
    },
    Scene {
        name: "ok-admin-telnet",
        about: "the administrator logs in to a switch over telnet",
        play: admin_telnet,
    },
    Scene {
        name: "ok-firmware-self",
        about: "a device looks up its maker, fetches its firmware and restarts",
        play: firmware_self,
    },
    Scene {
        name: "ok-poller",
        about: "an MQTT and HTTP poller with a regular pace of small requests",
        play: poller,
    },
];

fn benign(world: &mut World, hosts: &[Host]) {
    world.truth.benign = true;
    world.truth.max_incidents = 0;
    world.truth.innocent.extend(hosts.iter().map(|host| host.ip));
}

fn camera_days(world: &mut World) {
    let cameras = world.devices(4);
    let days = world.rng.between(2, 4) as i64;
    let (from, until) = (world.start, world.start + days * DAY);
    for camera in &cameras {
        world.everyday(camera, from, until);
    }
    benign(world, &cameras);
}

fn ntp_unanswered(world: &mut World) {
    let devices = world.devices(6);
    let (from, until) = (world.start, world.start + DAY);
    for device in &devices {
        world.everyday(device, from, until);
        let servers = world.outsiders(40);
        let mut at = from + world.secs(0.0, 64.0);
        while at < until {
            let server = *world.rng.pick(&servers);
            let port = if world.rng.chance(0.5) { 123 } else { world.doors.ephemeral() };
            let mut question = vec![0x23, 0, 6, 0xec];
            question.extend(world.rng.bytes(44));
            world.tape.udp(at, device, &server, (port, 123), &question);
            at += world.secs(16.0, 120.0);
        }
    }
    benign(world, &devices);
}

fn chatter(world: &mut World) {
    let devices = world.devices(15);
    let length = world.rng.between(4, 12) as i64 * HOUR;
    let (from, until) = (world.start, world.start + length);
    let mdns = Host { mac: [1, 0, 0x5e, 0, 0, 0xfb], ip: Ipv4Addr::new(224, 0, 0, 251).into(), ttl: 1 };
    let ssdp =
        Host { mac: [1, 0, 0x5e, 0x7f, 0xff, 0xfa], ip: Ipv4Addr::new(239, 255, 255, 250).into(), ttl: 1 };
    for device in &devices {
        let name = format!("{}._http._tcp.local", world.rng.word(8));
        let mut at = from + world.secs(0.0, 60.0);
        while at < until {
            world.tape.udp(at, device, &mdns, (5353, 5353), &traffic::dns_question(0, &name, 12, false));
            if world.rng.chance(0.3) {
                let port = world.doors.ephemeral();
                for step in 0..3 {
                    let search = b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: ssdp:all\r\n\r\n";
                    world.tape.udp(at + step * SECOND, device, &ssdp, (port, 1900), search);
                }
                for other in devices.iter().take(5) {
                    let answer = b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nST: upnp:rootdevice\r\nUSN: uuid:1::upnp:rootdevice\r\nLOCATION: http://10.0.0.1/d.xml\r\n\r\n";
                    let wait = world.secs(0.1, 1.5);
                    world.tape.udp(at + wait, other, device, (1900, port), answer);
                }
            }
            at += world.secs(20.0, 120.0);
        }
        // Somebody who greets all neighbours once in a while, as phones and televisions do.
        let mut at = from + world.secs(0.0, 60.0);
        while at < until {
            for other in devices.iter().filter(|other| other.ip != device.ip) {
                world.arp(at, device, other);
                at += world.secs(0.05, 2.0);
            }
            at += world.secs(120.0, 900.0);
        }
    }
    benign(world, &devices);
}

fn video(world: &mut World) {
    let cameras = world.devices(2);
    let (from, until) = (world.start, world.start + HOUR);
    for camera in &cameras {
        world.everyday(camera, from, until);
        let server = world.outside();
        world.lookup(from + SECOND, camera, "video.maker.example", server.ip);
        for burst in 0..3 {
            let at = from + world.secs(100.0, 600.0) + burst * 15 * MINUTE;
            let rate = world.rng.between(5_000_000, 20_000_000);
            let seconds = world.rng.between(4, 10);
            if world.rng.chance(0.5) {
                let (mut talk, mut own) = world.talk(at, *camera, server, 443);
                talk.tls(&mut own, "video.maker.example");
                talk.bulk(true, (rate / 8 * seconds) as usize, rate, &mut own).close();
            } else {
                let port = world.doors.ephemeral();
                let to = *world.doors.pick(&[3_478, 10_000, 32_100, 50_004]);
                let mut when = at;
                world.tape.ask(
                    at - SECOND,
                    (camera, &server),
                    (port, to),
                    &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
                    &[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
                    30_000,
                );
                for number in 0..rate / 8 / 1_100 * seconds {
                    let payload = world.rng.bytes(1_100);
                    world.tape.udp(when, camera, &server, (port, to), &payload);
                    if number % 200 == 0 {
                        world.tape.udp(
                            when + 20_000,
                            &server,
                            camera,
                            (to, port),
                            &[0x81, 0xc9, 0, 7, 0, 0, 0, 1],
                        );
                    }
                    when += (1_100.0 * 8.0 * 1e6 / rate as f64 * world.rng.around(0.5)) as i64 + 1;
                }
            }
        }
    }
    benign(world, &cameras);
}

fn telemetry(world: &mut World) {
    let meters = world.devices(60);
    let broker = if world.rng.chance(0.5) { world.device() } else { world.outside() };
    let udp = world.rng.chance(0.5);
    for round in 0..6 {
        for meter in &meters {
            let at = world.start + round * 15 * MINUTE + world.secs(0.0, 2.0);
            if udp {
                // CoAP, confirmed.
                let port = world.doors.ephemeral();
                let id = world.rng.bits() as u16;
                let mut post = vec![0x44, 2, (id >> 8) as u8, id as u8, 1, 2, 3, 4, 0xb5];
                post.extend_from_slice(b"meter\xff{\"kwh\":12.5}");
                world.tape.ask(
                    at,
                    (meter, &broker),
                    (port, 5683),
                    &post,
                    &[0x64, 0x44, (id >> 8) as u8, id as u8, 1, 2, 3, 4],
                    9_000,
                );
            } else {
                let id = format!("meter-{}", meter.v4());
                let (mut talk, mut own) = world.talk(at, *meter, broker, 1883);
                traffic::MqttGuess { login: ("meter", "long-and-own", true), id: &id, publishes: 4 }
                    .play(&mut talk, &mut own);
            }
        }
    }
    benign(world, &meters);
}

fn peers(world: &mut World) {
    let camera = world.device();
    let (from, until) = (world.start, world.start + 2 * HOUR);
    world.everyday(&camera, from, until);
    let stun = world.outside();
    let port = world.doors.ephemeral();
    let mut at = from + MINUTE;
    while at < until {
        world.lookup(at - SECOND, &camera, "stun.maker.example", stun.ip);
        let binding = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 9, 9, 9, 9, 8, 8, 8, 8, 7, 7, 7, 7];
        world.tape.ask(
            at,
            (&camera, &stun),
            (port, 3478),
            &binding,
            &[
                1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42, 9, 9, 9, 9, 8, 8, 8, 8, 7, 7, 7, 7, 0, 0x20, 0, 8, 0, 1,
                1, 2, 3, 4, 5, 6,
            ],
            40_000,
        );
        // Candidates: some answer, most do not, every one on its own port.
        for _ in 0..world.rng.between(6, 14) {
            let peer = world.outside();
            let theirs = world.doors.port(1_024, 65_000);
            for attempt in 0..4 {
                world.tape.udp(at + attempt * 500_000, &camera, &peer, (port, theirs), &binding);
            }
            if world.rng.chance(0.35) {
                for step in 0..30 {
                    let payload = world.rng.bytes(500);
                    world.tape.udp(at + 900_000 + step * 30_000, &peer, &camera, (theirs, port), &binding);
                    world.tape.udp(at + 910_000 + step * 30_000, &camera, &peer, (port, theirs), &payload);
                }
            }
        }
        at += world.secs(300.0, 900.0);
    }
    benign(world, &[camera]);
}

fn dead_cloud(world: &mut World) {
    let device = world.device();
    let (from, until) = (world.start, world.start + DAY / 2);
    world.everyday(&device, from, until);
    let cloud = world.outside();
    let mut at = from + world.secs(10.0, 100.0);
    while at < until {
        world.lookup(at, &device, "gone.maker.example", cloud.ip);
        let (mut talk, _) = world.talk(at + 60_000, device, cloud, 443);
        talk.unanswered(4);
        at += world.secs(30.0, 120.0);
    }
    benign(world, &[device]);
}

fn admin_ssh(world: &mut World) {
    let server = world.device();
    let others = world.devices(3);
    let (from, until) = (world.start, world.start + HOUR);
    for other in &others {
        world.everyday(other, from, until);
    }
    // From home through a forwarded port, or from the desk.
    let admin = if world.rng.chance(0.5) { world.outside() } else { world.device() };
    let port = *world.doors.pick(&[22, 2222, 22_022]);
    let mut at = from + world.secs(60.0, 600.0);
    for wrong in [3, 0, 1] {
        let (mut talk, mut own) = world.talk(at, admin, server, port);
        SshGuess {
            wrong,
            right: true,
            client: "SSH-2.0-OpenSSH_9.2p1 Debian-2",
            thinking: (2_000_000, 7_000_000),
        }
        .play(&mut talk, &mut own);
        at = talk.at + world.secs(60.0, 500.0);
    }
    benign(world, &[server, admin]);
}

fn admin_telnet(world: &mut World) {
    let switches = world.devices(3);
    let admin = world.device();
    let mut at = world.start + world.secs(10.0, 60.0);
    let (from, until) = (world.start, world.start + HOUR);
    world.everyday(&admin, from, until);
    for (number, switch) in switches.iter().enumerate() {
        world.arp(at, &admin, switch);
        let logins: &[Login<'_>] = if number == 1 {
            &[("netadmin", "Spring-2O24", false), ("netadmin", "Spring-2024!", true)]
        } else {
            &[("netadmin", "Spring-2024!", true)]
        };
        let (mut talk, mut own) = world.talk(at, admin, *switch, 23);
        TelnetGuess {
            logins,
            commands: &[("show version", "Version 12.2"), ("show vlan", "1 default active")],
        }
        .play(&mut talk, &mut own);
        talk.close();
        at = talk.at + world.secs(20.0, 120.0);
    }
    benign(world, &[admin]);
}

fn firmware_self(world: &mut World) {
    let devices = world.devices(3);
    let maker = world.outside();
    let (from, until) = (world.start, world.start + 2 * HOUR);
    for device in &devices {
        world.everyday(device, from, until);
        let at = from + world.secs(600.0, 3_000.0);
        world.lookup(at, device, "update.maker.example", maker.ip);
        let (mut talk, mut own) = world.talk(at + 80_000, *device, maker, 80);
        talk.open().up(b"GET /fw/cam_v5.4.1.bin HTTP/1.1\r\nHost: update.maker.example\r\nUser-Agent: IPCam-Updater/1.2\r\n\r\n");
        talk.down(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 3000040\r\n\r\n\x27\x05\x19\x56firmware-image-of-the-maker-v5.4");
        talk.bulk(false, 3_000_000, 8_000_000, &mut own).close();
        let restart = talk.at + 30 * SECOND;
        let gateway = world.gateway;
        world.lease(restart, device, &gateway, "camera");
    }
    benign(world, &devices);
}

fn poller(world: &mut World) {
    let gauge = world.device();
    let station = if world.rng.chance(0.5) { world.device() } else { world.outside() };
    if station.ttl != 64 {
        world.lookup(world.start, &gauge, "weather.example", station.ip);
    }
    let every = world.secs(5.0, 60.0);
    let mut at = world.start + SECOND;
    let until = world.start + 6 * HOUR;
    let port = *world.doors.pick(&[80, 8080, 443, 502]);
    while at < until {
        let (mut talk, mut own) = world.talk(at, gauge, station, port);
        if port == 502 {
            talk.open()
                .up(&[0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2])
                .down(&[0, 1, 0, 0, 0, 7, 1, 3, 4, 0, 1, 0, 2])
                .close();
        } else if port == 443 {
            talk.tls(&mut own, "weather.example").sealed_up(&mut own, 90).sealed_down(&mut own, 200).close();
        } else {
            talk.open()
                .up(b"GET /now HTTP/1.1\r\nHost: weather.example\r\nUser-Agent: gauge/1\r\n\r\n")
                .down(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"rain\": 0.25}")
                .close();
        }
        at += (every as f64 * world.rng.around(0.01)) as i64;
    }
    world.truth.innocent.insert(station.ip);
    benign(world, &[gauge]);
}
