//! Builds the city: a network per host, the street's bridge, the line to the internet, and everything that runs
//! before an attack begins.
//!
//! ```text
//!   devices ── street0 ┐                       ┌ scanner, report server, loader, controller
//!   office  ── office0 ├ router ── wan0 ─ isp0 ┤ DNS provider (the victim), another one
//!   citizens ─ public0 ┘ (resolver, DHCP, time, Bastide)   └ firmware server, cloud
//! ```

use crate::{
    city::{
        cell::Inside,
        host::Host,
        plan::DeviceKind,
        world::{World, lock},
    },
    clock,
    error::{Error, Result},
    mirai::{
        bot::Bot,
        controller::{self, Bots},
        flood, loader, program, report, scanner,
    },
    things::{broker, citizen, decoy, device, dhcp, dns, shell::OnRun, web},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::Ipv4Addr,
    sync::{Arc, mpsc},
};

/// Everything that runs.
pub(crate) struct City {
    pub(crate) world: Arc<World>,
    pub(crate) router: Host,
    pub(crate) internet: Host,
    pub(crate) office: Vec<Host>,
    pub(crate) citizens: Vec<Host>,
    pub(crate) devices: Vec<Host>,
    pub(crate) outside: BTreeMap<&'static str, Host>,
    pub(crate) bots: Bots,
    /// The interface that every host but the two routers has; its name is the proof of being inside.
    pub(crate) interface: String,
}

/// Turns off what would make packets larger than the wire allows.
const PLAIN: &str = "gso_max_segs 1";

impl City {
    /// Builds the streets; nobody lives there yet.
    pub(crate) fn build(world: Arc<World>) -> Result<Self> {
        let interface = Inside::marker(&world.token);
        let plan = &world.plan;
        let outside_names =
            ["scanner", "report", "loader", "controller", "provider", "other-dns", "firmware", "broker"];
        let mut city = Self {
            router: Host::raise("router")?,
            internet: Host::raise("internet")?,
            office: ["administrator", "inventory"].map(Host::raise).into_iter().collect::<Result<_>>()?,
            citizens: (0..plan.citizens.len())
                .map(|number| Host::raise(&format!("citizen-{number}")))
                .collect::<Result<_>>()?,
            devices: plan.devices.iter().map(|device| Host::raise(&device.name)).collect::<Result<_>>()?,
            outside: BTreeMap::new(),
            bots: Bots::default(),
            interface,
            world,
        };
        for name in outside_names {
            city.outside.insert(name, Host::raise(name)?);
        }
        city.lay_lines()?;
        Ok(city)
    }

    fn lay_lines(&self) -> Result<()> {
        let plan = &self.world.plan;
        for router in [&self.router, &self.internet] {
            router.set("net/ipv4/ip_forward", "1")?;
        }
        let mut lines = String::from("link set lo up\n");
        let lans = [("street0", plan.street), ("office0", plan.office), ("public0", plan.public)];
        for (bridge, net) in lans {
            let _ =
                writeln!(lines, "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0");
            let _ = writeln!(lines, "addr add {}/{} dev {bridge}", net.host(1), net.prefix);
            let _ = writeln!(lines, "link set {bridge} up promisc on");
        }
        let ports = self.devices.iter().zip(plan.devices.iter().map(|device| device.mac.to_string()));
        for (number, (host, mac)) in ports.enumerate() {
            self.port(&mut lines, &format!("port{number}"), "street0", host, &format!("address {mac}"));
        }
        for (number, host) in self.office.iter().enumerate() {
            self.port(&mut lines, &format!("desk{number}"), "office0", host, "");
        }
        for (number, host) in self.citizens.iter().enumerate() {
            self.port(&mut lines, &format!("home{number}"), "public0", host, "");
        }
        let _ = writeln!(lines, "link add wan0 type veth peer name isp0 netns {}", self.internet.netns());
        let _ = writeln!(lines, "addr add {} peer {} dev wan0\nlink set wan0 up {PLAIN}", plan.wan, plan.isp);
        let _ = writeln!(lines, "route add default via {}", plan.isp);
        self.router.ip(&lines)?;
        self.internet_lines()?;
        for host in &self.devices {
            host.ip(&format!("link set lo up\nlink set {} up {PLAIN}\n", self.interface))?;
        }
        let desks = [plan.administrator, plan.inventory];
        let office = self.office.iter().zip(desks.map(|address| (address, plan.office)));
        let public = self.citizens.iter().zip(plan.citizens.iter().map(|address| (*address, plan.public)));
        for (host, (address, net)) in office.chain(public) {
            let device = &self.interface;
            host.ip(&format!(
                "link set lo up\nlink set {device} up {PLAIN}\naddr add {address}/{} dev {device}\nroute add default via {}\n",
                net.prefix,
                net.host(1)
            ))?;
        }
        Ok(())
    }

    /// A cable from a bridge of the router to a host.
    fn port(&self, lines: &mut String, port: &str, bridge: &str, host: &Host, more: &str) {
        let _ = writeln!(
            lines,
            "link add {port} type veth peer name {} {more} netns {}\nlink set {port} master {bridge} up {PLAIN}",
            self.interface,
            host.netns()
        );
    }

    /// The internet: one router, and a line of its own to each host.
    fn internet_lines(&self) -> Result<()> {
        let plan = &self.world.plan;
        let mut lines = format!(
            "link set lo up\naddr add {} peer {} dev isp0\nlink set isp0 up {PLAIN}\n",
            plan.isp, plan.wan
        );
        for net in [plan.street, plan.office, plan.public] {
            let _ = writeln!(lines, "route add {}/{} via {}", net.base, net.prefix, plan.wan);
        }
        let addresses = self.outside_addresses();
        for (number, (name, host)) in self.outside.iter().enumerate() {
            let address = addresses.get(name).copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
            let _ = writeln!(
                lines,
                "link add line{number} type veth peer name {} netns {}\nlink set line{number} up {PLAIN}\n\
                 addr add 169.254.0.1 peer {address} dev line{number}",
                self.interface,
                host.netns()
            );
        }
        self.internet.ip(&lines)?;
        for (name, host) in &self.outside {
            let address = addresses.get(name).copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
            let device = &self.interface;
            host.ip(&format!(
                "link set lo up\nlink set {device} up {PLAIN}\naddr add {address} peer 169.254.0.1 dev {device}\n\
                 route add default via 169.254.0.1 src {address}\n"
            ))?;
        }
        Ok(())
    }

    fn outside_addresses(&self) -> BTreeMap<&'static str, Ipv4Addr> {
        let outside = &self.world.plan.outside;
        BTreeMap::from([
            ("scanner", outside.scanner),
            ("report", outside.report),
            ("loader", outside.loader),
            ("controller", outside.controller),
            ("provider", outside.provider),
            ("other-dns", outside.other_dns),
            ("firmware", outside.firmware),
            ("broker", outside.broker),
        ])
    }

    /// The host outside with this name.
    pub(crate) fn outside(&self, name: &'static str) -> Result<&Host> {
        self.outside.get(name).ok_or_else(|| Error::HostGone(name.into()))
    }

    /// Everybody moves in: servers first, then the devices, then the citizens.
    pub(crate) fn settle(&self) -> Result<()> {
        self.servers()?;
        self.attackers()?;
        for (host, device) in self.devices.iter().zip(&self.world.plan.devices) {
            let (world, device, interface) =
                (Arc::clone(&self.world), device.clone(), self.interface.clone());
            let on_run = self.on_run(device.number);
            host.start("boot", move || {
                if let Err(error) = device::boot(&world, &device, &interface, on_run) {
                    world.say(format!("{} did not come up: {error}", device.name));
                }
            })?;
        }
        for (number, host) in self.citizens.iter().enumerate() {
            for person in 0..2 {
                let world = Arc::clone(&self.world);
                host.start("citizen", move || citizen::live(&world, number * 2 + person))?;
            }
        }
        let devices = self.world.plan.devices.len();
        if clock::wait_until(15_000, || lock(&self.world.ready).len() == devices) {
            Ok(())
        } else {
            let missing = devices - lock(&self.world.ready).len();
            Err(Error::Late { what: format!("the telemetry of {missing} of {devices} devices"), seconds: 15 })
        }
    }

    /// What happens on a device when the loader's program is run there.
    fn on_run(&self, number: usize) -> OnRun {
        let world = Arc::clone(&self.world);
        let host = self.devices.get(number).cloned();
        Arc::new(move |orders: program::Orders| {
            let Some(host) = &host else { return };
            let _ = start_bot(&world, host, number, orders, Some(2_500));
        })
    }

    fn servers(&self) -> Result<()> {
        let plan = &self.world.plan;
        let zones =
            |zones: &[String], at: Ipv4Addr| zones.iter().map(|zone| (zone.clone(), at)).collect::<Vec<_>>();
        let mut authorities = BTreeMap::from_iter(zones(&plan.provider_zones, plan.outside.provider));
        authorities.extend(zones(&plan.other_zones, plan.outside.other_dns));
        self.router.start("resolver", move || drop(dns::resolver(authorities)))?;
        let world = Arc::clone(&self.world);
        self.router.start("dhcp", move || drop(dhcp::serve(&world.plan)))?;
        self.router.start("time", || drop(web::ntp()))?;
        let names = |zones: &[String], extra: &[(&str, Ipv4Addr)]| {
            let mut names = BTreeMap::new();
            for zone in zones {
                for (host, last) in citizen::HOSTS.iter().zip(1_u8..) {
                    names.insert(format!("{host}.{zone}"), Ipv4Addr::new(198, 51, 100, last));
                }
                names.extend(extra.iter().map(|(host, address)| (format!("{host}.{zone}"), *address)));
            }
            names
        };
        let of_provider = names(&plan.provider_zones, &[]);
        let of_other =
            names(&plan.other_zones, &[("mqtt", plan.outside.broker), ("fw", plan.outside.firmware)]);
        let provider = self.outside("provider")?;
        provider.start("dns", move || drop(dns::authority(&of_provider)))?;
        provider.start("dns-tcp", || drop(crate::things::serve_tcp(53, 64, |_, _| {})))?;
        self.outside("other-dns")?.start("dns", move || drop(dns::authority(&of_other)))?;
        let broker = self.outside("broker")?;
        let world = Arc::clone(&self.world);
        broker.start("mqtt", move || drop(broker::mqtt(&world)))?;
        let world = Arc::clone(&self.world);
        broker.start("coap", move || drop(broker::coap(&world)))?;
        let images: BTreeMap<String, Vec<u8>> =
            [DeviceKind::Camera, DeviceKind::TrafficLight, DeviceKind::Meter, DeviceKind::StreetLight]
                .map(|kind| (format!("/update/{kind:?}-2.4.bin"), decoy::image(plan, kind)))
                .into();
        self.outside("firmware")?
            .start("http", move || drop(web::http(80, "nginx".into(), move |path| images.get(path).cloned())))
    }

    fn attackers(&self) -> Result<()> {
        let ports = self.world.plan.ports.clone();
        let (to, reports) = mpsc::channel();
        self.outside("report")?.start("report", move || drop(report::serve(ports.report, to)))?;
        let loader = self.outside("loader")?;
        let world = Arc::clone(&self.world);
        loader.start("loader", move || {
            if let Err(error) = loader::run(&world, &reports) {
                world.say(format!("the loader stopped: {error}"));
            }
        })?;
        let program = loader::payload(&self.world, 48_000);
        let same = program.clone();
        loader.start("http", move || {
            let serve = move |path: &str| (path == "/bins/mirai.arm7").then(|| program.clone());
            drop(web::http(ports.loader, "Apache".into(), serve));
        })?;
        loader.start("tftp", move || drop(loader::tftp(&same)))?;
        let (world, bots) = (Arc::clone(&self.world), self.bots.clone());
        self.outside("controller")?.start("control", move || drop(controller::serve(&world, &bots)))?;
        let world = Arc::clone(&self.world);
        self.internet.start("budget", move || flood::fill_budget(&world))
    }

    /// The scanner begins.
    pub(crate) fn begin_scan(&self) -> Result<()> {
        let world = Arc::clone(&self.world);
        self.outside("scanner")?.start("scan", move || {
            if let Err(error) = scanner::outside(&world) {
                world.say(format!("the scanner stopped: {error}"));
            }
        })
    }

    /// A bot that was there before anybody looked.
    pub(crate) fn resident_bot(&self) -> Result<()> {
        let plan = &self.world.plan;
        let Some(host) = self.devices.get(plan.resident) else { return Ok(()) };
        let controller = std::net::SocketAddrV4::new(plan.outside.controller, plan.ports.controller);
        let at = clock::now();
        lock(&self.world.infections).push(crate::city::world::Infection {
            device: plan.resident,
            at,
            login: at,
        });
        start_bot(&self.world, host, plan.resident, program::Orders { controller }, None)
    }
}

/// Starts a bot on a device's host.
fn start_bot(
    world: &Arc<World>,
    host: &Host,
    number: usize,
    orders: program::Orders,
    scan_after: Option<u64>,
) -> Result<()> {
    let Some(device) = world.plan.devices.get(number) else { return Ok(()) };
    let bot = Bot { world: Arc::clone(world), device: number, address: device.address, orders, scan_after };
    host.start("bot", move || {
        if let Err(error) = bot.run() {
            bot.world.say(format!("the bot stopped: {error}"));
        }
    })
}
