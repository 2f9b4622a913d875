//! Much at once, harmless or not: what number alone does not tell.

use super::Scene;
use crate::{
    traffic::{self, Host, Record, SYN, dns_answer, dns_question},
    world::{self, MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "flood-torture-in",
        about: "a name server of ours is asked for random names below its domain through thousands of resolvers",
        play: torture,
    },
    Scene {
        name: "flood-pages-in",
        about: "a thousand bots ask a web server of ours for pages over connections that they keep",
        play: kept_connections,
    },
    Scene {
        name: "flood-carpet-in",
        about: "all addresses of one of our networks are flooded with SYNs, each a little",
        play: carpet,
    },
    Scene {
        name: "guess-crowd",
        about: "hundreds of bots try a few factory passwords each on one device",
        play: guessing_crowd,
    },
    Scene {
        name: "ok-balancer",
        about: "a balancer, and the edge of a content network, ask our servers without end",
        play: balancer,
    },
    Scene {
        name: "ok-tunnels",
        about: "people outside work through our VPN server, look at our cameras and ask our name server",
        play: tunnels,
    },
    Scene {
        name: "ok-sent-on",
        about: "media, copies of packets and lights' colours are sent on and never answered; strangers export their logs",
        play: sent_on,
    },
    Scene {
        name: "ok-mail-names",
        about: "a mail server looks up everybody who connects, backwards and in lists of spammers",
        play: mail_names,
    },
];

fn background(world: &mut World, count: usize) -> Vec<Host> {
    let others = world.devices(count);
    let (from, until) = (world.start, world.start + 10 * MINUTE);
    for other in &others {
        world.everyday(other, from, until);
    }
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    others
}

fn harm(world: &mut World, victim: &Host) {
    world.truth.victims.insert(victim.ip);
    world.truth.innocent.insert(victim.ip);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

fn benign(world: &mut World, hosts: &[Host]) {
    world.truth.benign = true;
    world.truth.max_incidents = 0;
    world.truth.innocent.extend(hosts.iter().map(|host| host.ip));
}

fn torture(world: &mut World) {
    let server = world.device();
    background(world, 3);
    let resolvers = world.outsiders(2_000);
    let domain = "city.example";
    // The zone's own visitors, before and all the time.
    let mut at = world.start;
    while at < world.start + 4 * MINUTE {
        let (id, port, client) =
            (world.rng.bits() as u16, world.doors.ephemeral(), *world.rng.pick(&resolvers));
        let name = format!("{}.{domain}", world.rng.pick(&["www", "mail", "map"]));
        let answer = dns_answer(id, &name, 1, 0, &[Record::Address(server.ip)]);
        world.tape.ask(at, (&client, &server), (port, 53), &dns_question(id, &name, 1, false), &answer, 400);
        at += world.secs(0.01, 0.1);
    }
    let rate = world.rng.between(800, 3_000) as f64;
    let two = world.rng.chance(0.5);
    let mut at = world.start + world.secs(60.0, 120.0);
    world.truth.attack_at(at);
    for _ in 0..(rate * 20.0) as u64 {
        let (id, port, client) =
            (world.rng.bits() as u16, world.doors.ephemeral(), *world.rng.pick(&resolvers));
        let below = if two { format!("{}.", world.rng.word(6)) } else { String::new() };
        let name = format!("{}.{below}{domain}", world.rng.word(12));
        let answer = dns_answer(id, &name, 1, 3, &[]);
        world.tape.ask(at, (&client, &server), (port, 53), &dns_question(id, &name, 1, false), &answer, 400);
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.innocent.extend(resolvers.iter().map(|host| host.ip));
    harm(world, &server);
}

fn kept_connections(world: &mut World) {
    let server = world.device();
    background(world, 3);
    let bots = world.outsiders(400);
    let begins = world.start + world.secs(120.0, 200.0);
    let overloaded = world.rng.chance(0.5);
    world.truth.attack_at(begins);
    let mut last = begins;
    for bot in bots {
        let at = begins + world.secs(0.0, 2.0);
        let (mut talk, mut own) = world.talk(at, bot, server, 80);
        talk.open();
        let rtt = talk.at - at;
        while talk.at < begins + 15 * SECOND {
            let path = own.word(6);
            talk.up(format!("GET /{path} HTTP/1.1\r\nHost: city.example\r\n\r\n").as_bytes());
            if overloaded {
                talk.down(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
            }
            talk.pause((200_000.0 * own.around(0.4)) as i64 - rtt.min(50_000));
        }
        last = last.max(talk.at);
    }
    world.truth.attack_at(last);
    harm(world, &server);
}

fn carpet(world: &mut World) {
    let victims = background(world, 12);
    let mut aims = world.empty_addresses(200);
    aims.extend(&victims);
    let rate = world.rng.between(15, 60) as f64 * aims.len() as f64;
    let source = world.outside();
    let port = *world.doors.pick(&[80, 443, 22]);
    let mut at = world.start + world.secs(120.0, 200.0);
    world.truth.attack_at(at);
    for _ in 0..(rate * 8.0) as u64 {
        let aim = *world.rng.pick(&aims);
        let from = Host { ip: world::public(&mut world.places).into(), ..source };
        let (ports, seq) = ((world.doors.port(1_024, 65_000), port), world.rng.bits() as u32);
        world.tape.tcp(at, &from, &aim, ports, (seq, 0), SYN);
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
    world.truth.attack_at(at);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
    world.truth.max_incidents = 2;
}

fn guessing_crowd(world: &mut World) {
    let aim = world.device();
    background(world, 3);
    let mut at = world.start + world.secs(20.0, 60.0);
    world.truth.attack_at(at);
    let list = [
        ("root", "xc3511"),
        ("root", "vizxv"),
        ("root", "admin"),
        ("admin", "admin"),
        ("root", "888888"),
        ("root", "xmhdipc"),
        ("root", "juantech"),
        ("root", "54321"),
        ("support", "support"),
        ("root", "klv123"),
        ("root", "Zte521"),
        ("root", "hi3518"),
    ];
    let bots = world.outsiders(200);
    for bot in &bots {
        for _ in 0..2 {
            let (name, password) = *world.rng.pick(&list);
            let (mut talk, mut own) = world.talk(at, *bot, aim, 23);
            traffic::TelnetGuess { logins: &[(name, password, false)], commands: &[] }
                .play(&mut talk, &mut own);
            talk.closed_by_server();
        }
        at += world.secs(0.2, 3.0);
    }
    world.truth.attack_at(at);
    world.truth.targets.insert(aim.ip);
    world.truth.innocent.insert(aim.ip);
    world.truth.accomplices.extend(bots.iter().map(|bot| bot.ip));
    world.truth.stages = vec!["credential-access".into()];
}

fn balancer(world: &mut World) {
    let (balancer, backend, origin) = (world.device(), world.device(), world.device());
    let edge = world.outside();
    let until = world.start + 3 * MINUTE;
    // A new version that does not work at first.
    let broken = world.start + 2 * MINUTE..world.start + 2 * MINUTE + 20 * SECOND;
    let page = |talk: &mut traffic::Talk<'_>, own: &mut traffic::Rng| {
        let answer = if broken.contains(&talk.at) { "502 Bad Gateway" } else { "200 OK" };
        talk.up(format!("GET /{} HTTP/1.1\r\nHost: city.example\r\n\r\n", own.word(6)).as_bytes());
        talk.down(format!("HTTP/1.1 {answer}\r\nContent-Length: 4\r\n\r\nyes!").as_bytes());
    };
    for _ in 0..3 {
        let mut at = world.start + world.secs(0.0, 2.0);
        while at < until {
            let (mut talk, mut own) = world.talk(at, balancer, backend, 80);
            talk.open();
            for _ in 0..400 {
                page(&mut talk, &mut own);
                talk.pause(own.between(0, 30_000) as i64);
            }
            at = talk.at;
            talk.close();
        }
    }
    let mut at = world.start + world.secs(0.0, 2.0);
    while at < until {
        let (mut talk, mut own) = world.talk(at, edge, origin, 80);
        talk.open();
        page(&mut talk, &mut own);
        talk.close();
        at += (world.rng.wait(1.0 / 60.0) * SECOND as f64) as i64;
    }
    benign(world, &[balancer, backend, origin, edge]);
}

fn tunnels(world: &mut World) {
    let (vpn, streamer, names) = (world.device(), world.device(), world.device());
    let people = world.outsiders(6);
    for (number, person) in people.iter().enumerate() {
        let (server, port, hello, welcome) =
            if number % 2 == 0 { (vpn, 51_820, 148, 92) } else { (streamer, 9_000, 64, 64) };
        let mut at = world.start + world.secs(1.0, 60.0);
        let ports = (world.doors.ephemeral(), port);
        let (one, two) = (world.rng.bytes(hello), world.rng.bytes(welcome));
        world.tape.ask(at, (person, &server), ports, &one, &two, 20_000);
        // Much comes down, little goes up.
        while at < world.start + 5 * MINUTE {
            at += world.secs(0.02, 0.06);
            let up = world.rng.bytes(96);
            world.tape.udp(at, person, &server, ports, &up);
            for step in 0..3 {
                let down = world.rng.bytes(1_300);
                world.tape.udp(at + 1_000 + step * 300, &server, person, (ports.1, ports.0), &down);
            }
        }
    }
    // Signed answers are large, and each resolver wants a few.
    let resolvers = world.outsiders(600);
    let mut at = world.start;
    while at < world.start + 5 * MINUTE {
        let client = *world.rng.pick(&resolvers);
        let (id, port) = (world.rng.bits() as u16, world.doors.ephemeral());
        let name = format!("{}.city.example", world.rng.pick(&["www", "mail", "map", "bus", "pool"]));
        let answer = dns_answer(id, &name, 48, 0, &[Record::Blob(48, 700), Record::Blob(46, 500)]);
        world.tape.ask(at, (&client, &names), (port, 53), &dns_question(id, &name, 48, true), &answer, 400);
        at += world.secs(0.005, 0.06);
    }
    benign(world, &[vpn, streamer, names]);
}

fn sent_on(world: &mut World) {
    let senders = world.devices(4);
    let [camera, encoder, tap, desk] =
        [0, 1, 2, 3].map(|at| senders.get(at).copied().unwrap_or(world.gateway));
    let sink = if world.rng.chance(0.5) { world.device() } else { world.outside() };
    let all = Host { mac: [0xff; 6], ip: world.broadcast(), ttl: 64 };
    for number in 0..12_000_u32 {
        let at = world.start + SECOND + i64::from(number) * 1_100;
        let [high, low] = (number as u16).to_be_bytes();
        let mut rtp = vec![0x80, 33, high, low, 0, 0, 0, 1, 9, 8, 7, 6];
        rtp.extend(world.rng.bytes(1_000));
        world.tape.udp(at, &camera, &sink, (40_000, 5_004), &rtp);
        let ts: Vec<u8> = (0..7).flat_map(|_| [&[0x47][..], &world.rng.bytes(187)].concat()).collect();
        world.tape.udp(at + 100, &encoder, &sink, (40_002, 1_234), &ts);
        let inner = traffic::udp(&camera, &desk, (1, 2), &[0; 40]);
        let mirrored = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &inner].concat();
        world.tape.udp(at + 200, &tap, &sink, (40_004, 4_789), &mirrored);
        let mut light = b"Art-Net\0\0\x50\0\x0e".to_vec();
        light.extend(world.rng.bytes(512));
        world.tape.udp(at + 300, &desk, &all, (6_454, 6_454), &light);
    }
    let log = world.device();
    for exporter in world.outsiders(8) {
        let mut at = world.start + world.secs(0.0, 3.0);
        while at < world.start + MINUTE {
            let line = world.rng.word(300);
            world.tape.udp(at, &exporter, &log, (514, 514), line.as_bytes());
            at += world.secs(0.5, 4.0);
        }
    }
    benign(world, &senders);
    world.truth.innocent.extend([sink.ip, log.ip]);
}

fn mail_names(world: &mut World) {
    let mail = world.device();
    let resolver = world.resolver;
    let until = world.start + 3 * MINUTE;
    let mut at = world.start + SECOND;
    while at < until {
        let [a, b, c, d] = world::public(&mut world.places).octets();
        for list in ["in-addr.arpa", "zen.list.example", "bl.other.example", "spam.third.example"] {
            let name = format!("{d}.{c}.{b}.{a}.{list}");
            let (id, port) = (world.rng.bits() as u16, world.doors.ephemeral());
            let question = dns_question(id, &name, 1, false);
            // Whole lists are slow now and then; most that are asked for are on none.
            let dead = list == "in-addr.arpa" && world.rng.chance(0.6);
            let answer = dns_answer(id, &name, 1, if dead { 2 } else { 3 }, &[]);
            world.tape.ask(at, (&mail, &resolver), (port, 53), &question, &answer, 30_000);
        }
        at += world.secs(0.004, 0.024);
    }
    benign(world, &[mail]);
}
