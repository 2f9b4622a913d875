//! The harmless life of many devices and of those who look after them; and lies told with forged addresses.

use super::Scene;
use crate::{
    traffic::{self, ACK, FtpGuess, Host, MqttGuess, RST, Record, SYN, dns_answer, dns_question},
    world::{self, HOUR, MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "ok-rollout",
        about: "fifty devices fetch new firmware in the same quarter of an hour",
        play: rollout,
    },
    Scene {
        name: "ok-outage",
        about: "a cloud is away; a hundred devices call in vain, then all come back at once",
        play: outage,
    },
    Scene {
        name: "ok-inventory",
        about: "the administrator's host polls forty known devices by SNMP and HTTP",
        play: inventory,
    },
    Scene { name: "ok-browsing", about: "a laptop browses the web", play: browsing },
    Scene { name: "ok-backup", about: "servers are backed up at night", play: backup },
    Scene {
        name: "ok-speed-test",
        about: "a speed test fills the line in both directions",
        play: speed_test,
    },
    Scene {
        name: "ok-resolver",
        about: "the city's resolver asks many authoritative servers",
        play: resolver,
    },
    Scene {
        name: "ok-lease-storm",
        about: "fifty known devices ask for their addresses after a power cut",
        play: lease_storm,
    },
    Scene {
        name: "ok-mqtt-storm",
        about: "eighty devices reconnect to their broker at once",
        play: mqtt_storm,
    },
    Scene {
        name: "ok-one-way",
        about: "everyday traffic of which only one direction was recorded",
        play: |world| one_way(world, false),
    },
    Scene {
        name: "ok-two-uplinks",
        about: "most answers come back on another uplink, which is not seen",
        play: |world| one_way(world, true),
    },
    Scene {
        name: "ok-ftp-drop",
        about: "cameras drop pictures on an FTP server with a right password",
        play: ftp_drop,
    },
    Scene {
        name: "ok-web-visitors",
        about: "a campaign brings many visitors to the city's web server",
        play: visitors,
    },
    Scene {
        name: "forged-flood",
        about: "a one-way flood that carries the address of an innocent device",
        play: |world| forged(world, true),
    },
    Scene {
        name: "forged-scan",
        about: "a one-way scan that carries the address of an innocent device",
        play: |world| forged(world, false),
    },
];

fn benign(world: &mut World, hosts: &[Host]) {
    world.truth.benign = true;
    world.truth.max_incidents = 0;
    world.truth.innocent.extend(hosts.iter().map(|host| host.ip));
}

fn rollout(world: &mut World) {
    let devices = world.devices(50);
    let inside = world.rng.chance(0.5);
    let server = if inside { world.device() } else { world.outside() };
    let pushed = inside && world.rng.chance(0.5);
    for device in &devices {
        let at = world.start + world.secs(0.0, 900.0);
        if pushed {
            // The management server calls each device and sends the image.
            let (mut talk, mut own) = world.talk(at, server, *device, 443);
            talk.tls(&mut own, "device").bulk(true, 600_000, 8_000_000, &mut own).close();
            continue;
        }
        world.lookup(at, device, "firmware.city.example", server.ip);
        let (mut talk, mut own) = world.talk(at + 50_000, *device, server, 80);
        talk.open().up(
            b"GET /lamp/2.4.0.img HTTP/1.1\r\nHost: firmware.city.example\r\nUser-Agent: lampd/2.3\r\n\r\n",
        );
        talk.down(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 600032\r\n\r\n\xd0\x0d\xfe\xedlamp-firmware-image-2.4.0-abcd");
        talk.bulk(false, 600_000, 10_000_000, &mut own).close();
    }
    benign(world, &devices);
}

fn outage(world: &mut World) {
    let devices = world.devices(100);
    let cloud = world.outside();
    let port = *world.doors.pick(&[443, 8883, 5671]);
    let away = world.start + 5 * MINUTE;
    let back = away + world.secs(600.0, 1_800.0);
    for device in &devices {
        let at = world.start + world.secs(0.0, 60.0);
        world.lookup(at, device, "hub.maker.example", cloud.ip);
        let (mut talk, mut own) = world.talk(at + 90_000, *device, cloud, port);
        talk.tls(&mut own, "hub.maker.example");
        while talk.at < away {
            talk.sealed_up(&mut own, 40).sealed_down(&mut own, 40).pause(30 * SECOND);
        }
        // In vain, again and again; some look the name up once more.
        let mut at = away + world.secs(0.0, 30.0);
        while at < back {
            if world.rng.chance(0.3) {
                world.lookup(at, device, "hub.maker.example", cloud.ip);
            }
            let (mut talk, _) = world.talk(at + 60_000, *device, cloud, port);
            talk.unanswered(4);
            at += world.secs(15.0, 40.0);
        }
        let at = back + world.secs(0.0, 3.0);
        let (mut talk, mut own) = world.talk(at, *device, cloud, port);
        talk.tls(&mut own, "hub.maker.example");
        for _ in 0..6 {
            talk.sealed_up(&mut own, 40).sealed_down(&mut own, 40).pause(30 * SECOND);
        }
    }
    benign(world, &devices);
    world.truth.innocent.insert(cloud.ip);
}

fn inventory(world: &mut World) {
    let admin = world.device();
    let devices = world.devices(40);
    for device in &devices {
        let (from, until) = (world.start, world.start + HOUR);
        if world.rng.chance(0.2) {
            world.everyday(device, from, until);
        }
    }
    for round in 0..4 {
        let mut at = world.start + round * 10 * MINUTE + world.secs(1.0, 20.0);
        for device in &devices {
            world.arp(at, &admin, device);
            let port = world.doors.ephemeral();
            let get = b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x0e\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x05\x00";
            if world.rng.chance(0.9) {
                world.tape.ask(
                    at,
                    (&admin, device),
                    (port, 161),
                    get,
                    &[get.as_slice(), b"Linux lamp 4.9"].concat(),
                    2_500,
                );
            } else {
                // Some do not speak it and say nothing; it is asked three times.
                for step in 0..3 {
                    world.tape.udp(at + step * SECOND, &admin, device, (port, 161), get);
                }
            }
            let (mut talk, _) = world.talk(at + 20_000, admin, *device, 80);
            if talk.at % 7 == 0 {
                talk.refused();
            } else {
                talk.open()
                    .up(b"GET /status HTTP/1.1\r\nHost: device\r\nUser-Agent: inventory/3.1\r\n\r\n")
                    .down(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    .close();
            }
            at += world.secs(0.05, 1.0);
        }
    }
    benign(world, &devices);
    world.truth.innocent.insert(admin.ip);
}

fn browsing(world: &mut World) {
    let laptop = world.device();
    let mut at = world.start + SECOND;
    for page in 0..25 {
        for _ in 0..world.rng.between(8, 25) {
            let server = world.outside();
            let name = format!("{}.cdn{page}.example", world.rng.word(5));
            world.lookup(at, &laptop, &name, server.ip);
            let (mut talk, mut own) = world.talk(at + 60_000, laptop, server, 443);
            // Some are blocked or away.
            if own.chance(0.06) {
                talk.unanswered(2);
                continue;
            }
            talk.tls(&mut own, &name).sealed_up(&mut own, 500);
            let length = own.between(500, 15_000) as usize;
            talk.sealed_down(&mut own, length).pause(SECOND).close();
            if world.rng.chance(0.2) {
                let port = world.doors.ephemeral();
                for step in 0..12 {
                    let up = world.rng.bytes(if step == 0 { 1_200 } else { 60 });
                    let down = world.rng.bytes(1_200);
                    world.tape.udp(at + 100_000 + step * 20_000, &laptop, &server, (port, 443), &up);
                    world.tape.udp(at + 110_000 + step * 20_000, &server, &laptop, (443, port), &down);
                }
            }
            at += world.secs(0.005, 0.2);
        }
        at += world.secs(5.0, 60.0);
    }
    benign(world, &[laptop]);
}

fn backup(world: &mut World) {
    let servers = world.devices(4);
    let store = world.device();
    for (number, server) in servers.iter().enumerate() {
        let at = world.start + number as i64 * 5 * MINUTE;
        world.arp(at, server, &store);
        let (mut talk, mut own) = world.talk(at + SECOND, *server, store, 22);
        traffic::SshGuess {
            wrong: 0,
            right: false,
            client: "SSH-2.0-OpenSSH_9.2p1",
            thinking: (1_000, 2_000),
        }
        .play(&mut talk, &mut own);
        let (mut talk, mut own) = world.talk(at + 10 * SECOND, *server, store, 873);
        talk.open()
            .up(b"@RSYNCD: 31.0\n")
            .down(b"@RSYNCD: 31.0\n")
            .bulk(true, 25_000_000, 90_000_000, &mut own)
            .close();
    }
    benign(world, &servers);
}

fn speed_test(world: &mut World) {
    let laptop = world.device();
    let server = world.outside();
    world.lookup(world.start, &laptop, "speed.example", server.ip);
    for (number, upward) in [false, true, false, true].into_iter().enumerate() {
        for stream in 0..4 {
            let at = world.start + SECOND + number as i64 * 15 * SECOND + stream * 10_000;
            let (mut talk, mut own) = world.talk(at, laptop, server, 8080);
            talk.open().up(b"GET /download HTTP/1.1\r\nHost: speed.example:8080\r\n\r\n");
            talk.bulk(upward, 10_000_000, 12_000_000, &mut own).close();
        }
    }
    benign(world, &[laptop]);
}

fn resolver(world: &mut World) {
    let ours = world.device();
    world.resolver = ours;
    let clients = world.devices(20);
    let servers = world.outsiders(600);
    let until = world.start + 20 * MINUTE;
    let mut at = world.start;
    while at < until {
        let client = *world.rng.pick(&clients);
        let name = format!("{}.{}.example", world.rng.word(5), world.rng.word(6));
        let address = world::public(&mut world.places).into();
        world.lookup(at, &client, &name, address);
        // Two or three steps down the tree; some servers never answer.
        for step in 0..world.rng.between(1, 3) as i64 {
            let server = *world.rng.pick(&servers);
            let (id, port) = (world.rng.bits() as u16, world.doors.port(1_024, 65_000));
            let question = dns_question(id, &name, 1, true);
            world.tape.udp(at + 1_000 + step * 30_000, &ours, &server, (port, 53), &question);
            if world.rng.chance(0.92) {
                let answer = dns_answer(id, &name, 1, 0, &[Record::Address(address), Record::Blob(16, 200)]);
                world.tape.udp(at + 25_000 + step * 30_000, &server, &ours, (53, port), &answer);
            }
        }
        at += world.secs(0.01, 0.4);
    }
    benign(world, &clients);
    world.truth.innocent.insert(ours.ip);
}

fn lease_storm(world: &mut World) {
    let devices = world.devices(50);
    let gateway = world.gateway;
    for device in &devices {
        let at = world.start + world.secs(0.0, 3_000.0);
        world.lease(at, device, &gateway, "meter");
    }
    let dark = world.start + HOUR;
    for device in &devices {
        let mut at = dark + world.secs(0.0, 6.0);
        // The server is not up at once: some ask several times.
        for _ in 0..world.rng.below(3) {
            let message = traffic::DhcpMessage {
                kind: 1,
                xid: 1,
                client: device.mac,
                address: device.v4(),
                server: [0, 0, 0, 0].into(),
                router: gateway.v4(),
                resolver: gateway.v4(),
                name: "meter".into(),
            };
            let nobody = Host { ip: [0, 0, 0, 0].into(), ..*device };
            let everybody = Host { mac: [0xff; 6], ip: [255, 255, 255, 255].into(), ttl: 64 };
            world.tape.udp(at, &nobody, &everybody, (68, 67), &traffic::dhcp(&message));
            at += world.secs(3.0, 8.0);
        }
        world.lease(at, device, &gateway, "meter");
        // They say who they are, and look for the gateway.
        world
            .tape
            .put(at + 60_000, &traffic::arp(1, (device.mac, device.v4()), ([0; 6], device.v4()), [0xff; 6]));
        world.arp(at + 90_000, device, &gateway);
    }
    benign(world, &devices);
    world.truth.innocent.insert(gateway.ip);
}

fn mqtt_storm(world: &mut World) {
    let devices = world.devices(80);
    let broker = world.device();
    let full = world.start + 4 * MINUTE;
    for device in &devices {
        let id = format!("lamp-{}", device.v4());
        let mut at = world.start + world.secs(0.0, 60.0);
        // At first the broker refuses connections, then it takes them.
        for _ in 0..world.rng.below(6) {
            let (mut talk, _) = world.talk(at, *device, broker, 1883);
            talk.refused();
            at += world.secs(2.0, 20.0);
        }
        let at = full + world.secs(0.0, 2.0);
        let (mut talk, mut own) = world.talk(at, *device, broker, 1883);
        MqttGuess { login: ("lamp", "long-and-own", true), id: &id, publishes: 5 }.play(&mut talk, &mut own);
    }
    benign(world, &devices);
    world.truth.innocent.insert(broker.ip);
}

fn one_way(world: &mut World, some_come_back: bool) {
    let devices = world.devices(6);
    let (from, until) = (world.start, world.start + 3 * HOUR);
    for device in &devices {
        world.everyday(device, from, until);
    }
    let laptop = devices.first().copied().unwrap_or(world.gateway);
    for _ in 0..300 {
        let server = world.outside();
        let at = from + world.secs(0.0, 3_000.0);
        world.lookup(at, &laptop, "page.example", server.ip);
        let (mut talk, mut own) = world.talk(at + 50_000, laptop, server, 443);
        talk.tls(&mut own, "page.example").sealed_up(&mut own, 300).sealed_down(&mut own, 9_000).close();
    }
    // A mirror port set to one direction: what goes out, or what comes in.
    let gateway = world.gateway.mac;
    let outward = some_come_back || world.rng.chance(0.5);
    world.tape.retain(|_, frame| {
        // By the last byte of the server's address, as routes are shared out.
        let comes_back = some_come_back && frame.get(29).is_some_and(|last| last % 8 == 0);
        comes_back || (frame.get(6..12) != Some(gateway.as_slice())) == outward
    });
    world.truth.one_way = true;
    benign(world, &devices);
}

fn ftp_drop(world: &mut World) {
    let cameras = world.devices(5);
    let server = world.device();
    for camera in &cameras {
        let mut at = world.start + world.secs(0.0, 60.0);
        for _ in 0..40 {
            let (mut talk, _) = world.talk(at, *camera, server, 21);
            FtpGuess { logins: &[("camera", "drop-Only-7", true)] }.play(&mut talk);
            let port = world.doors.port(30_000, 31_000);
            let (mut talk, mut own) = world.talk(at + 700_000, *camera, server, port);
            talk.open().bulk(true, 60_000, 6_000_000, &mut own).close();
            at += world.secs(30.0, 90.0);
        }
    }
    benign(world, &cameras);
    world.truth.innocent.insert(server.ip);
}

fn visitors(world: &mut World) {
    let server = world.device();
    let mut at = world.start;
    for _ in 0..2_500 {
        let visitor = world.outside();
        let (mut talk, mut own) = world.talk(at, visitor, server, 443);
        talk.tls(&mut own, "www.city.example");
        for _ in 0..own.between(1, 4) {
            let length = own.between(800, 12_000) as usize;
            talk.sealed_up(&mut own, 400).sealed_down(&mut own, length).pause(SECOND);
        }
        talk.close();
        at += world.secs(0.01, 0.5);
        // Health checks of strangers and the odd closed port.
        if world.rng.chance(0.05) {
            let from = world.doors.port(30_000, 60_000);
            world.tape.tcp(at, &visitor, &server, (from, 8_081), (7, 0), SYN);
            world.tape.tcp(at + 900, &server, &visitor, (8_081, from), (0, 8), RST | ACK);
        }
    }
    benign(world, &[server]);
}

fn forged(world: &mut World, flood: bool) {
    let innocent = world.device();
    let others = world.devices(4);
    let (from, until) = (world.start, world.start + 10 * MINUTE);
    for host in others.iter().chain([&innocent]) {
        world.everyday(host, from, until);
    }
    // What lies comes through the gateway, so it wears the gateway's hardware address and nobody's handshake.
    let liar = Host { mac: world.gateway.mac, ttl: 51, ..innocent };
    let far = world.outside();
    let victim = Host { mac: [0x02, 0x42, 0, 0, 0, 7], ..far };
    let mut at = world.start + world.secs(120.0, 300.0);
    world.truth.attack_at(at);
    for _ in 0..20_000 {
        let from = world.doors.port(1_024, 65_000);
        let seq = world.rng.bits() as u32;
        let aim = if flood { victim } else { Host { ip: world::public(&mut world.places).into(), ..victim } };
        world.tape.tcp(at, &liar, &aim, (from, if flood { 80 } else { 23 }), (seq, 0), SYN);
        at += world.secs(0.0003, 0.002);
    }
    world.truth.attack_at(at);
    world.truth.one_way = true;
    world.truth.innocent.extend(others.iter().chain([&innocent]).map(|host| host.ip));
    world.truth.innocent.insert(far.ip);
    // It may be told as a flood with a victim; nobody may be named for it.
    world.truth.severity = "info".into();
    world.truth.max_incidents = 2;
}
