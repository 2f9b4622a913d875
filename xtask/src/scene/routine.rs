//! The harmless routine of machines that look after other machines, and of networks that mend themselves.

use super::Scene;
use crate::{
    traffic::{self, Host, HttpGuess, SshGuess},
    world::{DAY, HOUR, MINUTE, SECOND, World},
};
use std::net::Ipv4Addr;

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "ok-failover",
        about: "the gateway's address moves to the standby router, and back",
        play: failover,
    },
    Scene {
        name: "ok-replaced",
        about: "a broken device is replaced; the new one gets the same address",
        play: replaced,
    },
    Scene {
        name: "ok-monitoring",
        about: "the monitoring host pings every device each minute and checks its services",
        play: monitoring,
    },
    Scene {
        name: "ok-automation",
        about: "an automation host works on forty machines over SSH, one after another",
        play: automation,
    },
    Scene {
        name: "ok-recorder",
        about: "a video recorder pulls streams from eight cameras without end",
        play: recorder,
    },
    Scene {
        name: "ok-discovery",
        about: "a recorder looks for cameras by WS-Discovery and all of them answer",
        play: discovery,
    },
    Scene {
        name: "ok-time-server",
        about: "the city's time server answers a thousand strangers and all devices",
        play: time_server,
    },
    Scene { name: "ok-tunnel", about: "everything goes through one VPN tunnel, all day", play: tunnel },
    Scene {
        name: "ok-relay",
        about: "a DHCP relay carries the requests of three hundred devices",
        play: relay,
    },
    Scene {
        name: "ok-crawler",
        about: "a search engine reads the city's web site, broken links included",
        play: crawler,
    },
    Scene {
        name: "ok-portal",
        about: "sixty people sign in to a portal in the morning, some mistype",
        play: portal,
    },
    Scene {
        name: "ok-logs",
        about: "all devices send their logs to one host by UDP and never get an answer",
        play: logs,
    },
];

fn benign(world: &mut World, hosts: &[Host]) {
    world.truth.benign = true;
    world.truth.max_incidents = 0;
    world.truth.innocent.extend(hosts.iter().map(|host| host.ip));
}

fn failover(world: &mut World) {
    let devices = world.devices(10);
    let standby = world.device();
    let gateway = world.gateway;
    let (from, until) = (world.start, world.start + 2 * HOUR);
    for device in &devices {
        world.everyday(device, from, until);
    }
    // While the standby is active, all that the gateway did wears the standby's hardware address.
    let (leaves, returns) = (from + 35 * MINUTE, from + 80 * MINUTE);
    world.tape.edit(|at, frame| {
        if (leaves..returns).contains(&at) {
            for place in [0, 6, 22, 32] {
                let inside_arp = frame.get(12..14) == Some(&[8, 6]);
                if let Some(mac) = frame.get_mut(place..place + 6)
                    && (place < 12 || inside_arp)
                    && mac == gateway.mac
                {
                    mac.copy_from_slice(&standby.mac);
                }
            }
        }
    });
    for (at, active) in [(leaves, Host { mac: standby.mac, ..gateway }), (returns, gateway)] {
        // "I am the gateway now", told to everybody a few times, then answered for.
        for step in 0..3 {
            let me = (active.mac, active.v4());
            world.tape.put(at + step * SECOND, &traffic::arp(1, me, ([0; 6], active.v4()), [0xff; 6]));
        }
        for device in &devices {
            let wait = world.secs(5.0, 120.0);
            world.arp(at + wait, device, &active);
        }
    }
    benign(world, &devices);
    world.truth.innocent.insert(gateway.ip);
    world.truth.innocent.insert(standby.ip);
}

fn replaced(world: &mut World) {
    let old = world.device();
    let others = world.devices(5);
    let gateway = world.gateway;
    let (from, until) = (world.start, world.start + DAY / 3);
    for other in &others {
        world.everyday(other, from, until);
    }
    world.lease(from, &old, &gateway, "camera");
    world.everyday(&old, from, from + 2 * HOUR);
    let new = Host { mac: world.device().mac, ..old };
    let at = from + 3 * HOUR;
    world.lease(at, &new, &gateway, "camera");
    world.tape.put(at + SECOND, &traffic::arp(1, (new.mac, new.v4()), ([0; 6], new.v4()), [0xff; 6]));
    world.everyday(&new, at + 2 * SECOND, until);
    benign(world, &others);
    world.truth.innocent.insert(new.ip);
}

fn monitoring(world: &mut World) {
    let monitor = world.device();
    let devices = world.devices(45);
    for round in 0..90_i64 {
        for (number, device) in devices.iter().enumerate() {
            let at = world.start + round * MINUTE + number as i64 * 40_000;
            let away = number == 7 || (number == 20 && (30..50).contains(&round));
            let rest = [0x12, 0x34, (round >> 8) as u8, round as u8];
            world.tape.put(at, &traffic::icmp(&monitor, device, 8, 0, rest, &[7; 48]));
            if !away {
                world.tape.put(at + 900, &traffic::icmp(device, &monitor, 0, 0, rest, &[7; 48]));
            }
            if round % 5 == 0 {
                if round % 20 == 0 {
                    world.arp(at + 1_000, &monitor, device);
                }
                for port in [22, 80, 443, 554] {
                    let (mut talk, mut own) = world.talk(at + 5_000, monitor, *device, port);
                    if away {
                        talk.unanswered(2);
                    } else if (usize::from(port) + number).is_multiple_of(3) {
                        talk.refused();
                    } else {
                        let hello = own.bytes(20);
                        talk.open().down(&hello).reset();
                    }
                }
            }
        }
    }
    benign(world, &devices);
    world.truth.innocent.insert(monitor.ip);
}

fn automation(world: &mut World) {
    let control = world.device();
    let machines = world.devices(40);
    let mut at = world.start + SECOND;
    for machine in &machines {
        world.arp(at, &control, machine);
        for _ in 0..3 {
            let (mut talk, mut own) = world.talk(at + 1_000, control, *machine, 22);
            SshGuess { wrong: 0, right: true, client: "SSH-2.0-paramiko_3.4.0", thinking: (1_000, 30_000) }
                .play(&mut talk, &mut own);
            at += world.secs(0.5, 2.0);
        }
    }
    benign(world, &machines);
    world.truth.innocent.insert(control.ip);
}

fn recorder(world: &mut World) {
    let recorder = world.device();
    let cameras = world.devices(8);
    let until = world.start + 4 * MINUTE;
    for (number, camera) in cameras.iter().enumerate() {
        let at = world.start + number as i64 * SECOND;
        world.arp(at, &recorder, camera);
        let (mut talk, _) = world.talk(at + 2_000, recorder, *camera, 554);
        let request = |method: &str, step: u32| {
            format!(
                "{method} rtsp://{}/live RTSP/1.0\r\nCSeq: {step}\r\nUser-Agent: recorder\r\n\r\n",
                camera.ip
            )
        };
        talk.open()
            .up(request("OPTIONS", 1).as_bytes())
            .down(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n");
        talk.up(request("DESCRIBE", 2).as_bytes()).down(b"RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"1\"\r\n\r\n");
        talk.up(request("DESCRIBE", 3).as_bytes())
            .down(b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 0\r\n\r\n");
        talk.up(request("SETUP", 4).as_bytes())
            .down(b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nTransport: RTP/AVP;unicast\r\n\r\n");
        talk.up(request("PLAY", 5).as_bytes()).down(b"RTSP/1.0 200 OK\r\nCSeq: 5\r\nSession: 7\r\n\r\n");
        let mut when = talk.at + 50_000;
        let ports = (world.doors.port(20_000, 30_000) & !1, world.doors.port(40_000, 50_000) & !1);
        let mut count = 0_u16;
        while when < until {
            let [high, low] = count.to_be_bytes();
            let mut payload = vec![0x80, 96, high, low, 0, 0, 0, 1, 1, 2, 3, number as u8];
            payload.extend(world.rng.bytes(1_100));
            world.tape.udp(when, camera, &recorder, ports, &payload);
            if count.is_multiple_of(400) {
                world.tape.udp(
                    when + 500,
                    &recorder,
                    camera,
                    (ports.1 + 1, ports.0 + 1),
                    &[0x81, 0xc9, 0, 7, 0, 0, 0, 1],
                );
            }
            count = count.wrapping_add(1);
            when += world.secs(0.002, 0.008);
        }
    }
    benign(world, &cameras);
    world.truth.innocent.insert(recorder.ip);
}

fn discovery(world: &mut World) {
    let recorder = world.device();
    let cameras = world.devices(40);
    let group =
        Host { mac: [1, 0, 0x5e, 0x7f, 0xff, 0xfa], ip: Ipv4Addr::new(239, 255, 255, 250).into(), ttl: 1 };
    let mut at = world.start + SECOND;
    while at < world.start + 8 * HOUR {
        let port = world.doors.ephemeral();
        let probe = b"<?xml version=\"1.0\"?><s:Envelope><s:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></s:Body></s:Envelope>";
        world.tape.udp(at, &recorder, &group, (port, 3702), probe);
        for camera in &cameras {
            let wait = world.secs(0.01, 0.9);
            let answer = format!(
                "<?xml version=\"1.0\"?><s:Envelope><s:Body><d:ProbeMatches><d:XAddrs>http://{}/onvif</d:XAddrs></d:ProbeMatches></s:Body></s:Envelope>",
                camera.ip
            );
            world.tape.udp(at + wait, camera, &recorder, (3702, port), answer.as_bytes());
        }
        at += world.secs(120.0, 400.0);
    }
    benign(world, &cameras);
    world.truth.innocent.insert(recorder.ip);
}

fn time_server(world: &mut World) {
    let server = world.device();
    let devices = world.devices(20);
    let mut clients = world.outsiders(1_000);
    clients.extend(&devices);
    let mut at = world.start;
    while at < world.start + 10 * MINUTE {
        let client = *world.rng.pick(&clients);
        let port = if world.rng.chance(0.3) { 123 } else { world.doors.port(1_024, 65_000) };
        let mut question = vec![0x23, 0, 6, 0xec];
        question.extend(world.rng.bytes(44));
        let mut answer = vec![0x24, 2, 6, 0xec];
        answer.extend(world.rng.bytes(44));
        world.tape.ask(at, (&client, &server), (port, 123), &question, &answer, 200);
        at += world.secs(0.0, 0.03);
    }
    benign(world, &devices);
    world.truth.innocent.insert(server.ip);
}

fn tunnel(world: &mut World) {
    let router = world.device();
    let far = world.outside();
    let port = *world.doors.pick(&[51_820, 4_500, 1_194]);
    let mut at = world.start;
    while at < world.start + 6 * HOUR {
        // Keep-alive, and now and then a busy minute.
        let busy = world.rng.chance(0.02);
        for _ in 0..if busy { 2_000 } else { 1 } {
            let (up, down) = (world.rng.between(80, 1_350) as usize, world.rng.between(80, 1_350) as usize);
            let (up, down) = (world.rng.bytes(up), world.rng.bytes(down));
            world.tape.ask(at, (&router, &far), (port, port), &up, &down, 18_000);
            at += if busy { 4_000 } else { 25 * SECOND };
        }
    }
    benign(world, &[router]);
}

fn relay(world: &mut World) {
    let server = world.device();
    let gateway = world.gateway;
    let router = Host { mac: gateway.mac, ..gateway };
    for _ in 0..300 {
        let mac = world.outside();
        let mut client = [0x50, 0xc7, 0xbf, 0, 0, 0];
        let [_, _, _, low @ ..] = &mut client;
        low.copy_from_slice(&world.places.bytes(3));
        let at = world.start + world.secs(0.0, 1_200.0);
        let xid = world.rng.bits() as u32;
        for (step, kind) in [1_u8, 2, 3, 5].into_iter().enumerate() {
            let message = traffic::DhcpMessage {
                kind,
                xid,
                client,
                address: mac.v4(),
                server: if kind == 1 { Ipv4Addr::UNSPECIFIED } else { server.v4() },
                router: gateway.v4(),
                resolver: gateway.v4(),
                name: "meter".into(),
            };
            let mut bytes = traffic::dhcp(&message);
            // One hop, and the relay's address.
            for (place, value) in [(3, vec![1]), (24, router.v4().octets().to_vec())] {
                if let Some(field) = bytes.get_mut(place..place + value.len()) {
                    field.copy_from_slice(&value);
                }
            }
            let at = at + step as i64 * 4_000;
            if matches!(kind, 1 | 3) {
                world.tape.udp(at, &router, &server, (67, 67), &bytes);
            } else {
                world.tape.udp(at, &server, &router, (67, 67), &bytes);
            }
        }
    }
    benign(world, &[server, gateway]);
}

fn crawler(world: &mut World) {
    let server = world.device();
    let robot = world.outside();
    let mut at = world.start + SECOND;
    for _ in 0..1_500 {
        let path = world.rng.word(8);
        let missing = world.rng.chance(0.25);
        let (mut talk, mut own) = world.talk(at, robot, server, 80);
        talk.open();
        for _ in 0..own.between(1, 3) {
            talk.up(format!("GET /{path}.html HTTP/1.1\r\nHost: www.city.example\r\nUser-Agent: Mozilla/5.0 (compatible; Searchbot/2.1; +http://search.example/bot.html)\r\n\r\n").as_bytes());
            if missing {
                talk.down(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found");
            } else {
                let body = own.word(3_000);
                talk.down(
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3000\r\n\r\n{body}"
                    )
                    .as_bytes(),
                );
            }
        }
        talk.close();
        at += world.secs(0.1, 1.0);
    }
    benign(world, &[server]);
    world.truth.innocent.insert(robot.ip);
}

fn portal(world: &mut World) {
    let server = world.device();
    let people = world.devices(60);
    for person in &people {
        let mut at = world.start + world.secs(0.0, 1_800.0);
        let name = world.rng.word(7);
        for attempt in 0..=world.rng.below(3) {
            let right = attempt == 2 || world.rng.chance(0.7);
            let word = world.rng.word(10);
            let (mut talk, _) = world.talk(at, *person, server, 80);
            HttpGuess { login: (&name, &word, right), path: "/login", form: true }
                .play(&mut talk, "portal.city.example");
            if right {
                break;
            }
            at += world.secs(4.0, 15.0);
        }
    }
    benign(world, &people);
}

fn logs(world: &mut World) {
    let devices = world.devices(30);
    let sink = if world.rng.chance(0.5) { world.device() } else { world.outside() };
    for device in &devices {
        let mut at = world.start + world.secs(0.0, 30.0);
        let port = world.doors.ephemeral();
        while at < world.start + 2 * HOUR {
            // A burst when something happens, a line now and then.
            let lines = if world.rng.chance(0.01) { 1_500 } else { 1 };
            for _ in 0..lines {
                let line = format!("<134>Jan  1 00:00:00 lamp[7]: {}", world.rng.word(60));
                world.tape.udp(at, device, &sink, (port, 514), line.as_bytes());
                at += 400;
            }
            at += world.secs(5.0, 90.0);
        }
    }
    benign(world, &devices);
}
