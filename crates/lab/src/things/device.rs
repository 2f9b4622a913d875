//! A device's life: an address by DHCP, its servers, the time, a name, and telemetry until the city ends.

use crate::{
    city::{
        plan::{Device, DeviceKind},
        world::{World, lock},
    },
    clock,
    dice::Dice,
    error::Result,
    things::{
        broker::{COAP, Connection, coap_message},
        decoy, dhcp, dns,
        shell::{OnRun, Shell},
        telnet, web,
    },
};
use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

/// How many messages a burst of telemetry has.
const BURST: u32 = 25;

/// Brings a device up: gets its address, starts its servers and its telemetry. Runs on the device's host.
pub(crate) fn boot(world: &Arc<World>, device: &Device, interface: &str, on_run: OnRun) -> Result<()> {
    let client = dhcp::Client {
        mac: device.mac,
        hostname: device.name.clone(),
        vendor_class: device.vendor_class.clone(),
    };
    let address = client.obtain(interface)?;
    let prefix = world.plan.street.prefix;
    let gateway = world.plan.gateway();
    let lines = format!("addr add {address}/{prefix} dev {interface}\nroute add default via {gateway}\n");
    crate::city::host::command("ip", ["-batch", "-"], &lines)?;
    servers(device, on_run)?;
    let mut dice = Dice::new(world.plan.seed, &format!("lease {}", device.number));
    let own = interface.to_owned();
    spawn("lease", move || {
        loop {
            clock::pause(dice.range(3_000, 6_000));
            let _ = client.renew(&own, address);
        }
    })?;
    let (shared, number) = (Arc::clone(world), device.number);
    spawn("telemetry", move || telemetry(&shared, number))?;
    let shared = Arc::clone(world);
    let mut dice = Dice::new(world.plan.seed, &format!("time {}", device.number));
    spawn("time", move || {
        loop {
            web::ntp_ask(shared.plan.gateway());
            clock::pause(dice.range(4_000, 9_000));
        }
    })?;
    Ok(())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    use crate::error::Tried as _;
    thread::Builder::new().name(name.into()).spawn(run).map(drop).tried(|| format!("start the thread {name}"))
}

fn servers(device: &Device, on_run: OnRun) -> Result<()> {
    if let Some(telnet) = device.telnet.clone() {
        let device = device.clone();
        spawn("telnetd", move || {
            let name = device.name.clone();
            let _ = telnet::serve(telnet, name, move || Shell::new(device.clone(), Arc::clone(&on_run)));
        })?;
    }
    if device.kind == DeviceKind::Camera {
        spawn("rtspd", || drop(web::rtsp("Hipcam RealServer/V1.0")))?;
    }
    if !device.web_server.is_empty() {
        let (server, name) = (device.web_server.clone(), device.name.clone());
        spawn("httpd", move || {
            let page = format!("<html><head><title>{name}</title></head><body>login</body></html>");
            let _ = web::http(80, server, move |path| (path == "/").then(|| page.clone().into_bytes()));
        })?;
    }
    Ok(())
}

/// The broker's address, asked for until there is an answer.
fn broker(world: &World, device: usize) -> Ipv4Addr {
    let Some(zone) = world.plan.other_zones.first() else { return Ipv4Addr::UNSPECIFIED };
    loop {
        let found = dns::resolve(
            world.plan.gateway(),
            &format!("mqtt.{zone}"),
            device as u16,
            Duration::from_secs(1),
        );
        if let Some((address, _)) = found {
            return address;
        }
        clock::pause(300);
    }
}

fn telemetry(world: &World, number: usize) {
    let Some(device) = world.plan.devices.get(number) else { return };
    let to = broker(world, number);
    let mut dice = Dice::new(world.plan.seed, &format!("telemetry {number}"));
    let meter = (device.kind == DeviceKind::Meter).then(|| UdpSocket::bind(("0.0.0.0", 0)).ok()).flatten();
    let topic = format!("city/{}/state", device.name);
    let mut connection = None;
    let mut bursts = 0;
    loop {
        let asked = world.burst.load(Relaxed);
        let messages = if asked > bursts { BURST } else { 1 };
        bursts = asked;
        for _ in 0..messages {
            let message = world.telemetry_made(number);
            if let Some(socket) = &meter {
                let _ = socket.send_to(&coap_message(number, message), (to, COAP));
                continue;
            }
            if connection.is_none() {
                connection = Connection::open(to, &device.name).ok();
            }
            let sent = connection.as_mut().map(|open| open.publish(&topic, number, message));
            if !matches!(sent, Some(Ok(()))) {
                connection = None;
            }
        }
        if messages == 1 && world.arrived(number) > 0 {
            lock(&world.ready).insert(number);
        }
        let pause = dice.range(device.telemetry_every * 9 / 10, device.telemetry_every * 11 / 10);
        clock::pause(pause);
    }
}

/// A device takes new firmware in a thread of its own.
pub(crate) fn update(world: &Arc<World>, number: usize) -> Result<()> {
    let world = Arc::clone(world);
    spawn("update", move || decoy::take_firmware(&world, number))
}
