//! Getting in by trying: telnet, SSH on any port, HTTP, MQTT, FTP; in vain and with success.

use super::Scene;
use crate::{
    traffic::{FtpGuess, Host, HttpGuess, Login, MqttGuess, SshGuess, TelnetGuess},
    world::{MINUTE, SECOND, World},
};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "guess-telnet",
        about: "factory passwords are tried over telnet, in vain",
        play: |world| telnet(world, false),
    },
    Scene {
        name: "guess-telnet-in",
        about: "factory passwords are tried over telnet until one fits",
        play: |world| telnet(world, true),
    },
    Scene {
        name: "guess-telnet-out",
        about: "one of our devices tries factory passwords on strangers",
        play: telnet_out,
    },
    Scene {
        name: "guess-ssh",
        about: "passwords are guessed over SSH on an odd port",
        play: |world| ssh(world, false),
    },
    Scene {
        name: "guess-ssh-in",
        about: "passwords are guessed over SSH until one fits",
        play: |world| ssh(world, true),
    },
    Scene {
        name: "guess-http-basic",
        about: "passwords are guessed at a camera's page",
        play: |world| http(world, false),
    },
    Scene {
        name: "guess-http-form",
        about: "passwords are posted to a login form",
        play: |world| http(world, true),
    },
    Scene { name: "guess-mqtt", about: "passwords are guessed at an MQTT broker", play: mqtt },
    Scene { name: "guess-ftp", about: "passwords are guessed over FTP", play: ftp },
];

/// The names and passwords with which Mirai began, in the order of its source.
const FACTORY: [(&str, &str); 24] = [
    ("root", "xc3511"),
    ("root", "vizxv"),
    ("root", "admin"),
    ("admin", "admin"),
    ("root", "888888"),
    ("root", "xmhdipc"),
    ("root", "default"),
    ("root", "juantech"),
    ("root", "123456"),
    ("root", "54321"),
    ("support", "support"),
    ("root", "root"),
    ("root", "12345"),
    ("user", "user"),
    ("admin", "password"),
    ("root", "pass"),
    ("admin", "admin1234"),
    ("root", "1111"),
    ("admin", "smcadmin"),
    ("root", "klv123"),
    ("root", "Zte521"),
    ("root", "hi3518"),
    ("root", "jvbzd"),
    ("root", "anko"),
];

fn scene(world: &mut World) -> (Host, Host) {
    let aim = world.device();
    let others = world.devices(4);
    let (from, until) = (world.start, world.start + 15 * MINUTE);
    for other in &others {
        world.everyday(other, from, until);
    }
    let inside = world.rng.chance(0.3);
    let guesser = if inside { world.device() } else { world.outside() };
    if inside {
        world.truth.infected.insert(guesser.ip)
    } else {
        world.truth.attackers.insert(guesser.ip)
    };
    world.truth.targets.insert(aim.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["credential-access".into()];
    let begins = world.start + world.secs(20.0, 120.0);
    world.truth.attack_at(begins);
    (guesser, aim)
}

fn telnet(world: &mut World, success: bool) {
    let (guesser, aim) = scene(world);
    let port = *world.doors.pick(&[23, 23, 2323, 6023, 9527]);
    let each = world.rng.between(1, 3) as usize;
    let mut list = FACTORY.to_vec();
    world.rng.shuffle(&mut list);
    let count = world.rng.between(14, 24) as usize;
    let mut at = world.truth.begins;
    for (number, chunk) in list.get(..count).unwrap_or_default().chunks(each).enumerate() {
        let last = success && (number + 1) * each >= count;
        let logins: Vec<Login<'_>> = chunk
            .iter()
            .enumerate()
            .map(|(place, (name, password))| (*name, *password, last && place + 1 == chunk.len()))
            .collect();
        let (mut talk, mut own) = world.talk(at, guesser, aim, port);
        let commands =
            [("enable", "enable: not found"), ("sh", ""), ("cat /proc/mounts", "rootfs / rootfs rw 0 0")];
        TelnetGuess { logins: &logins, commands: &commands }.play(&mut talk, &mut own);
        talk.closed_by_server();
        at = talk.at + world.secs(0.05, 3.0);
    }
    world.truth.attack_at(at);
    if success {
        // Whom somebody got into may be told as target or as infected.
        world.truth.accomplices.insert(aim.ip);
        world.truth.severity = "high".into();
    } else {
        world.truth.innocent.insert(aim.ip);
    }
}

fn telnet_out(world: &mut World) {
    let bot = world.device();
    let others = world.devices(3);
    let (from, until) = (world.start, world.start + 15 * MINUTE);
    for other in &others {
        world.everyday(other, from, until);
    }
    let mut at = world.start + world.secs(20.0, 120.0);
    world.truth.attack_at(at);
    for aim in world.outsiders(30) {
        let mut list = FACTORY.to_vec();
        world.rng.shuffle(&mut list);
        let count = world.rng.between(2, 6) as usize;
        for (name, password) in list.get(..count).unwrap_or_default() {
            let (mut talk, mut own) = world.talk(at, bot, aim, 23);
            TelnetGuess { logins: &[(name, password, false)], commands: &[] }.play(&mut talk, &mut own);
            talk.closed_by_server();
            at += world.secs(0.1, 2.0);
        }
        world.truth.targets.insert(aim.ip);
    }
    world.truth.attack_at(at);
    world.truth.infected.insert(bot.ip);
    world.truth.innocent.extend(others.iter().map(|host| host.ip));
    world.truth.stages = vec!["credential-access".into()];
}

fn ssh(world: &mut World, success: bool) {
    let (guesser, aim) = scene(world);
    let port = *world.doors.pick(&[22, 2222, 902, 22_222, 8_022, 443]);
    let client =
        *world.rng.pick(&["SSH-2.0-libssh2_1.4.3", "SSH-2.0-Go", "SSH-2.0-PUTTY", "SSH-2.0-OpenSSH_7.4p1"]);
    let sessions = world.rng.between(15, 50);
    let wrong = world.rng.between(1, 5) as u32;
    let mut at = world.truth.begins;
    for number in 0..sessions {
        let right = success && number + 1 == sessions;
        let (mut talk, mut own) = world.talk(at, guesser, aim, port);
        SshGuess { wrong, right, client, thinking: (1_000, 20_000) }.play(&mut talk, &mut own);
        at += world.secs(0.2, 4.0);
    }
    world.truth.attack_at(at);
    if success {
        world.truth.accomplices.insert(aim.ip)
    } else {
        world.truth.innocent.insert(aim.ip)
    };
}

fn http(world: &mut World, form: bool) {
    let (guesser, aim) = scene(world);
    let port = *world.doors.pick(&[80, 8080, 81, 8000]);
    let mut at = world.truth.begins;
    let path = *world.rng.pick(&["/", "/video.cgi", "/login.asp", "/cgi-bin/guest/Login.cgi"]);
    for _ in 0..world.rng.between(30, 120) {
        let (name, word) = (*world.rng.pick(&["admin", "root", "user"]), world.rng.word(7));
        let (mut talk, _) = world.talk(at, guesser, aim, port);
        HttpGuess { login: (name, &word, false), path, form }.play(&mut talk, "camera");
        at += world.secs(0.05, 1.5);
    }
    world.truth.attack_at(at);
    world.truth.innocent.insert(aim.ip);
}

fn mqtt(world: &mut World) {
    let (guesser, aim) = scene(world);
    let port = *world.doors.pick(&[1883, 1883, 11_883, 2883]);
    let mut at = world.truth.begins;
    for number in 0..world.rng.between(30, 150) {
        let word = world.rng.word(8);
        let id = format!("probe{number}");
        let (mut talk, mut own) = world.talk(at, guesser, aim, port);
        MqttGuess { login: ("admin", &word, false), id: &id, publishes: 0 }.play(&mut talk, &mut own);
        at += world.secs(0.05, 1.5);
    }
    world.truth.attack_at(at);
    world.truth.innocent.insert(aim.ip);
}

fn ftp(world: &mut World) {
    let (guesser, aim) = scene(world);
    let port = *world.doors.pick(&[21, 21, 2121]);
    let mut at = world.truth.begins;
    for _ in 0..world.rng.between(15, 60) {
        let words = [world.rng.word(6), world.rng.word(8)];
        let logins: Vec<Login<'_>> = words.iter().map(|word| ("admin", word.as_str(), false)).collect();
        let (mut talk, _) = world.talk(at, guesser, aim, port);
        FtpGuess { logins: &logins }.play(&mut talk);
        at += world.secs(0.3, 3.0);
    }
    at += SECOND;
    world.truth.attack_at(at);
    world.truth.innocent.insert(aim.ip);
}
