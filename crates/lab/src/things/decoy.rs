//! What looks a bit like an attack and is none: the administrator's telnet session, new firmware for every device, the
//! inventory's poll, and a burst of telemetry. None of it may ever be touched.

use crate::{
    city::{
        plan::{DeviceKind, Plan},
        world::World,
    },
    dice::Dice,
    things::{telnet::Client, web},
};
use std::{
    net::{SocketAddrV4, TcpStream, UdpSocket},
    time::Duration,
};

/// The administrator logs in to a traffic-light controller or to a camera with a good password, and looks around.
pub(crate) fn administrator(world: &World) {
    let plan = &world.plan;
    let strong: Vec<_> = plan
        .devices
        .iter()
        .filter_map(|device| {
            device.telnet.clone().filter(|telnet| !telnet.factory).map(|telnet| (device, telnet))
        })
        .collect();
    let at = (plan.seed % (strong.len() as u64).max(1)) as usize;
    let Some((device, telnet)) = strong.get(at) else { return };
    let session = || -> std::io::Result<bool> {
        let mut client = Client::connect(SocketAddrV4::new(device.address, telnet.port))?;
        if !client.log_in(&telnet.user, &telnet.password)? {
            return Ok(false);
        }
        for line in if device.kind == DeviceKind::TrafficLight {
            ["show plan", "uptime"]
        } else {
            ["uptime", "ls /etc"]
        } {
            client.say(line)?;
            client.expect(&["# ", "> "])?;
        }
        client.say("exit")?;
        Ok(true)
    };
    let ok = session().unwrap_or(false);
    world.decoy(format!("the administrator's telnet session with {}", device.name), ok);
}

/// The firmware image of a kind of device: a header as boot loaders read it, a compressed part, and programs inside.
pub(crate) fn image(plan: &Plan, kind: DeviceKind) -> Vec<u8> {
    let mut dice = Dice::new(plan.seed, &format!("firmware {kind:?}"));
    let mut image = vec![0x27, 0x05, 0x19, 0x56];
    image.extend(dice.bytes(28));
    image.extend(format!("{kind:?}-2.4.{}", dice.range(0, 40)).bytes());
    image.resize(64, 0);
    image.extend(b"hsqs");
    image.extend(dice.bytes(40_000));
    // An uncompressed program in the middle of the file system, as images of small devices have.
    image.resize(45_056, 0xff);
    image.extend(crate::mirai::program::elf_header());
    image.extend(dice.bytes(if kind == DeviceKind::Meter { 30_000 } else { 160_000 }));
    image
}

/// A device takes its new firmware.
pub(crate) fn take_firmware(world: &World, number: usize) {
    let plan = &world.plan;
    let Some(device) = plan.devices.get(number) else { return };
    let Some(zone) = plan.other_zones.get(1) else { return };
    let host = format!("fw.{zone}");
    let found = crate::things::dns::resolve(plan.gateway(), &host, number as u16, Duration::from_secs(2));
    let body = found.and_then(|(address, _)| {
        let path = format!("/update/{:?}-2.4.bin", device.kind);
        web::fetch(SocketAddrV4::new(address, 80), &host, &path, "fwupd/1.3")
    });
    let ok = body.is_some_and(|body| body == image(plan, device.kind));
    world.decoy(format!("new firmware for {}", device.name), ok);
}

/// The inventory asks every device on the ports that an inventory asks on; most are closed.
pub(crate) fn inventory(world: &World) {
    let mut answered = 0;
    for device in &world.plan.devices {
        for port in [80, 443, 554, 8080] {
            let to = SocketAddrV4::new(device.address, port).into();
            if TcpStream::connect_timeout(&to, Duration::from_millis(400)).is_ok() {
                answered += 1;
            }
        }
        let page = web::fetch(SocketAddrV4::new(device.address, 80), &device.name, "/", "inventory/3.1");
        answered += u32::from(page.is_some());
        // SNMP: the system's description, version 2c, community public.
        if let Ok(socket) = UdpSocket::bind(("0.0.0.0", 0)) {
            let ask = [
                0x30, 0x29, 0x02, 0x01, 0x01, 0x04, 0x06, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 0x1c,
                0x02, 0x04, 0x12, 0x34, 0x56, 0x78, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x30, 0x0e, 0x30,
                0x0c, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x01, 0x01, 0x00, 0x05, 0x00,
            ];
            let _ = socket.send_to(&ask, (device.address, 161));
        }
        if device.kind == DeviceKind::Camera {
            answered += u32::from(web::rtsp_ask(device.address));
        }
    }
    world.decoy(format!("the inventory's poll of {} devices", world.plan.devices.len()), answered > 0);
}
