//! Harmless machines out of luck, or at work in ways that look like attacks: old passwords, servers out of order, paths
//! that are traced, files that are fetched.

use super::Scene;
use crate::{
    traffic::{self, ACK, Host, HttpGuess, MqttGuess, SYN, TelnetGuess},
    world::{HOUR, MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "ok-old-password",
        about: "a recorder knows an old password of its cameras until somebody corrects it",
        play: old_password,
    },
    Scene {
        name: "ok-broker-down",
        about: "an MQTT broker, and a web service, are out of order; their clients try on with what they have",
        play: broker_down,
    },
    Scene {
        name: "ok-stale-nonce",
        about: "telephones register hourly with nonces that have run out",
        play: stale_nonce,
    },
    Scene { name: "ok-traceroute", about: "somebody looks where the way to a server ends", play: traceroute },
    Scene {
        name: "ok-too-big",
        about: "a router tells many servers that their packets are too big for its tunnel",
        play: too_big,
    },
    Scene {
        name: "ok-passive-ftp",
        about: "a machine fetches many files by passive FTP, each over a connection of its own",
        play: passive_ftp,
    },
    Scene {
        name: "ok-broken-six",
        about: "a machine looks up names, tries IPv6, which leads nowhere, and goes on with IPv4",
        play: broken_six,
    },
    Scene {
        name: "ok-gateway-dead-cloud",
        about: "a gateway with hundreds of devices behind it tries a cloud by name that does not answer",
        play: dead_cloud,
    },
    Scene {
        name: "ok-command-lines",
        about: "machines log the commands that they run over TCP, and an administrator fetches firmware by hand",
        play: command_lines,
    },
];

fn benign(world: &mut World, hosts: &[Host]) {
    world.truth.benign = true;
    world.truth.max_incidents = 0;
    world.truth.innocent.extend(hosts.iter().map(|host| host.ip));
}

fn old_password(world: &mut World) {
    let recorder = world.device();
    let cameras = world.devices(12);
    let corrected = world.start + 40 * MINUTE;
    for (number, camera) in cameras.iter().enumerate() {
        let every = world.secs(15.0, 60.0);
        let mut at = world.start + world.secs(0.0, 60.0);
        while at < world.start + HOUR {
            let right = at > corrected;
            let (mut talk, _) = world.talk(at, recorder, *camera, 80);
            if number % 3 == 0 {
                let answer = if right { "200 OK" } else { "401 Unauthorized" };
                let head = "GET /snapshot HTTP/1.1\r\nHost: camera\r\n";
                let asks = "WWW-Authenticate: Digest realm=\"cam\", nonce=\"7\"\r\nContent-Length: 0\r\n\r\n";
                talk.open().up(format!("{head}\r\n").as_bytes());
                talk.down(format!("HTTP/1.1 401 Unauthorized\r\n{asks}").as_bytes());
                talk.up(format!(
                    "{head}Authorization: Digest username=\"admin\", nonce=\"7\", response=\"{at:x}\"\r\n\r\n"
                )
                .as_bytes());
                talk.down(format!("HTTP/1.1 {answer}\r\n{asks}").as_bytes()).close();
            } else if number % 3 == 1 {
                let word = if right { "new-secret" } else { "old-secret" };
                HttpGuess { login: ("admin", word, right), path: "/snapshot", form: false }
                    .play(&mut talk, "camera");
            } else {
                let ask = "GET /snapshot.cgi?user=admin&pwd=old-secret HTTP/1.1\r\nHost: camera\r\n\r\n";
                let body = if right { "HTTP/1.1 200 OK" } else { "HTTP/1.1 403 Forbidden" };
                talk.open().up(ask.as_bytes());
                talk.down(format!("{body}\r\nContent-Length: 0\r\n\r\n").as_bytes()).close();
            }
            at += every;
        }
    }
    benign(world, &cameras);
    world.truth.innocent.insert(recorder.ip);
}

fn broker_down(world: &mut World) {
    let devices = world.devices(15);
    let broker = if world.rng.chance(0.5) { world.device() } else { world.outside() };
    let (down, up) = (world.start + 10 * MINUTE, world.start + 35 * MINUTE);
    for (number, device) in devices.iter().enumerate() {
        let name = format!("meter{number}");
        let secret = world.rng.word(12);
        let mut at = world.start + world.secs(0.0, 60.0);
        while at < world.start + 50 * MINUTE {
            let out = (down..up).contains(&at);
            let web = number % 3 == 0;
            let (mut talk, mut own) = world.talk(at, *device, broker, if web { 80 } else { 1_883 });
            if web {
                let auth = traffic::base64(format!("{name}:{secret}").as_bytes());
                let body = format!("{{\"username\":\"{name}\",\"password\":\"{secret}\"}}");
                let answer = if out { "502 Bad Gateway" } else { "200 OK" };
                let head = if number % 2 == 0 {
                    format!(
                        "POST /login HTTP/1.1\r\nHost: collector\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    )
                } else {
                    format!(
                        "POST /measures HTTP/1.1\r\nHost: collector\r\nAuthorization: Basic {auth}\r\nContent-Length: 2\r\n\r\n{{}}"
                    )
                };
                talk.open().up(head.as_bytes());
                talk.down(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes()).close();
            } else if out && number % 2 == 0 {
                // The balancer accepts; nobody is behind it.
                let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0xc2, 0, 60];
                for part in [&name, &name, &secret] {
                    body.extend_from_slice(&(part.len() as u16).to_be_bytes());
                    body.extend_from_slice(part.as_bytes());
                }
                let connect = [&[0x10, body.len() as u8][..], &body].concat();
                talk.open().up(&connect).closed_by_server();
            } else {
                MqttGuess { login: (&name, &secret, !out), id: &name, publishes: 1 }
                    .play(&mut talk, &mut own);
            }
            at += if out { world.secs(8.0, 40.0) } else { world.secs(50.0, 70.0) };
        }
    }
    benign(world, &devices);
    world.truth.innocent.insert(broker.ip);
}

fn stale_nonce(world: &mut World) {
    let phones = world.devices(10);
    let exchange = world.outside();
    for (number, phone) in phones.iter().enumerate() {
        let every = world.secs(200.0, 1_200.0);
        let mut at = world.start + world.secs(0.0, 200.0);
        let mut nonce = 0_u32;
        while at < world.start + 6 * HOUR {
            let register = |nonce: u32, step: u32| {
                format!(
                    "REGISTER sip:city.example SIP/2.0\r\nVia: SIP/2.0/UDP {}:5060\r\nFrom: <sip:{number}@city.example>\r\nCall-ID: {number}\r\nCSeq: {step} REGISTER\r\nAuthorization: Digest username=\"{number}\", nonce=\"{nonce}\", response=\"{nonce:08x}\"\r\nContent-Length: 0\r\n\r\n",
                    phone.ip
                )
            };
            let answer = |word: &str, step: u32, more: &str| {
                format!(
                    "SIP/2.0 {word}\r\nVia: SIP/2.0/UDP {}:5060\r\nFrom: <sip:{number}@city.example>\r\nCall-ID: {number}\r\nCSeq: {step} REGISTER\r\n{more}Content-Length: 0\r\n\r\n",
                    phone.ip
                )
            };
            let stale =
                format!("WWW-Authenticate: Digest realm=\"city\", nonce=\"{}\", stale=TRUE\r\n", nonce + 1);
            let ports = (5_060, 5_060);
            let (old, new) = (register(nonce, 1), register(nonce + 1, 2));
            let (refused, granted) = (answer("401 Unauthorized", 1, &stale), answer("200 OK", 2, ""));
            world.tape.ask(at, (phone, &exchange), ports, old.as_bytes(), refused.as_bytes(), 30_000);
            world.tape.ask(
                at + 50_000,
                (phone, &exchange),
                ports,
                new.as_bytes(),
                granted.as_bytes(),
                30_000,
            );
            nonce += 1;
            at += every;
        }
    }
    benign(world, &phones);
    world.truth.innocent.insert(exchange.ip);
}

fn traceroute(world: &mut World) {
    let people = world.devices(3);
    let (from, until) = (world.start, world.start + 30 * MINUTE);
    for person in &people {
        world.everyday(person, from, until);
        for _ in 0..3 {
            let aim = world.outside();
            let length = world.rng.between(6, 14);
            // Behind a firewall the way never ends; some routers on it say nothing.
            let filtered = world.rng.chance(0.5);
            let routers = world.outsiders(length as usize);
            let silent: Vec<bool> = routers.iter().map(|_| world.rng.chance(0.25)).collect();
            let at_once = world.rng.chance(0.5);
            let mut at = world.start + world.secs(60.0, 1_500.0);
            let source = world.doors.ephemeral();
            for probe in 0..if filtered { 90_u16 } else { length as u16 * 3 + 3 } {
                let hop = usize::from(probe / 3);
                let ports = (source + probe % 16, 33_434 + probe);
                let frame = traffic::udp(person, &aim, ports, &[0x40; 32]);
                let original = frame.get(14..42).unwrap_or_default().to_vec();
                world.tape.put(at, &frame);
                let rtt = world.rng.between(2_000, 60_000) as i64;
                let answered = match (routers.get(hop), silent.get(hop)) {
                    (Some(router), Some(false)) => {
                        let told = traffic::icmp(router, person, 11, 0, [0; 4], &original);
                        world.tape.put(at + rtt, &told);
                        true
                    }
                    (None, _) if !filtered => {
                        world.tape.put(at + rtt, &traffic::icmp(&aim, person, 3, 3, [0; 4], &original));
                        true
                    }
                    _ => false,
                };
                at += if at_once {
                    8_000
                } else if answered {
                    rtt
                } else {
                    3 * SECOND
                };
            }
        }
    }
    benign(world, &people);
}

fn too_big(world: &mut World) {
    let person = world.device();
    let router = world.gateway;
    let mut at = world.start + SECOND;
    for server in world.outsiders(40) {
        let (mut talk, mut own) = world.talk(at, person, server, 443);
        talk.tls(&mut own, "page.example").sealed_down(&mut own, 4_000);
        // The server's packets are too big for what is behind the router, which tells it so and then again.
        let original = traffic::tcp(&server, &person, (443, 50_000), 1, 1, ACK, &[0; 20]);
        let original = original.get(14..54).unwrap_or_default().to_vec();
        let end = talk.at;
        talk.close();
        for step in 0..2 {
            let told = traffic::icmp(&router, &server, 3, 4, [0, 0, 0x05, 0x78], &original);
            world.tape.put(end - 30_000 + step * 10_000, &told);
        }
        at += world.secs(0.3, 3.0);
    }
    benign(world, &[person, router]);
}

fn passive_ftp(world: &mut World) {
    let machine = world.device();
    let server = if world.rng.chance(0.5) { world.device() } else { world.outside() };
    let files = world.rng.between(60, 200);
    let (mut control, mut own) = world.talk(world.start + SECOND, machine, server, 21);
    control.open().down(b"220 files\r\n").up(b"USER city\r\n").down(b"331 password\r\n");
    control.up(b"PASS some-secret\r\n").down(b"230 welcome\r\n");
    let mut at = control.at;
    control.pause(own.between(1, 9) as i64 * SECOND).up(b"NOOP\r\n").down(b"200 ok\r\n");
    for _ in 0..files {
        let port = world.doors.port(20_000, 60_000);
        let size = world.rng.between(300, 60_000) as usize;
        let (mut talk, mut own) = world.talk(at, machine, server, port);
        talk.open().bulk(false, size, 20_000_000, &mut own);
        talk.closed_by_server();
        at = talk.at + world.secs(0.01, 0.6);
    }
    benign(world, &[machine, server]);
}

fn broken_six(world: &mut World) {
    let machine = world.device();
    let six = world.six(&machine, true);
    let mut at = world.start + SECOND;
    for _ in 0..60 {
        let server = world.outside();
        let there = world.six(&server, false);
        let name = format!("{}.example", world.rng.word(7));
        world.lookup(at, &machine, &name, there.ip);
        world.lookup(at + 1_000, &machine, &name, server.ip);
        let (mut talk, _) = world.talk(at + 60_000, six, there, 443);
        talk.unanswered(2);
        let (mut talk, mut own) = world.talk(at + 310_000, machine, server, 443);
        talk.tls(&mut own, &name).sealed_down(&mut own, 3_000).close();
        at += world.secs(0.2, 3.0);
    }
    benign(world, &[machine, six]);
    if world.truth.tell_home {
        world.truth.home = format!("{},fd12:77:1::/48", world.truth.home);
    }
}

fn dead_cloud(world: &mut World) {
    let gateway = world.device();
    let cloud = world.outside();
    let mut at = world.start + SECOND;
    world.lookup(at, &gateway, "cloud.example", cloud.ip);
    while at < world.start + 3 * MINUTE {
        let from = (world.doors.ephemeral(), 8_883);
        let seq = world.rng.bits() as u32;
        world.tape.tcp(at, &gateway, &cloud, from, (seq, 0), SYN);
        at += world.secs(0.005, 0.03);
    }
    benign(world, &[gateway]);
}

fn command_lines(world: &mut World) {
    let machines = world.devices(4);
    let sink = world.device();
    for machine in &machines {
        let at = world.start + world.secs(0.0, 60.0);
        let (mut talk, mut own) = world.talk(at, *machine, sink, 1_470);
        talk.open();
        for _ in 0..40 {
            let line = *own.pick(&[
                "<78>Jan  1 00:05:01 lamp CROND[412]: (root) CMD (wget -q -O- http://localhost/cron.php)\n",
                "<86>Jan  1 00:05:01 lamp sudo: ops : COMMAND=/bin/busybox wget http://10.0.0.5/fw.bin\n",
                "<78>Jan  1 00:06:11 lamp CROND[413]: (root) CMD (chmod 755 /var/run/lamp)\n",
            ]);
            talk.pause(own.between(1, 60) as i64 * SECOND).up(line.as_bytes());
        }
        talk.close();
    }
    let (admin, camera) = (world.device(), world.device());
    let at = world.start + world.secs(60.0, 300.0);
    world.arp(at - SECOND, &admin, &camera);
    let (mut talk, mut own) = world.talk(at, admin, camera, 23);
    let commands = [
        ("cd /tmp", ""),
        ("tftp -g -r fw.bin 10.0.0.5", ""),
        ("wget -O conf http://10.0.0.5/conf", "saved"),
        ("reboot", ""),
    ];
    TelnetGuess { logins: &[("service", "not-on-any-list", true)], commands: &commands }
        .play(&mut talk, &mut own);
    talk.closed_by_server();
    benign(world, &machines);
    world.truth.innocent.extend([sink.ip, admin.ip, camera.ip]);
}
