//! Mirai's scanner: SYN packets without a state, told apart in the answers by their sequence number, which is the
//! destination's address; then a telnet login with the factory list.

use crate::{
    city::{
        cell::Inside,
        plan::{FACTORY, Subnet, weighted_factory},
        world::{World, lock},
    },
    clock,
    dice::Dice,
    error::{Result, Tried},
    mirai::report,
    things::telnet::Client,
    wire::{Segment, flag, read_ipv4},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::BTreeSet,
    io::Read,
    net::{Ipv4Addr, SocketAddrV4},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Mirai's rate: 160 SYN a second.
const PER_SECOND: u64 = 160;
/// A scan ends after this, whatever its caller says.
const LONGEST: Duration = Duration::from_secs(90);

/// A raw socket that sends whole IPv4 packets and gets copies of what arrives by TCP.
pub(crate) fn raw_sockets() -> Result<(Socket, Socket)> {
    let open = || -> std::io::Result<(Socket, Socket)> {
        let sender = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
        let receiver = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP))?;
        receiver.set_read_timeout(Some(Duration::from_millis(20)))?;
        Ok((sender, receiver))
    };
    open().tried(|| "open raw sockets for the scan".into())
}

/// What a scan is told.
pub(crate) struct Scan {
    /// The scanner's own address.
    pub(crate) from: Ipv4Addr,
    /// Where it looks.
    pub(crate) into: Vec<Subnet>,
    /// Which city device it runs on, if any.
    pub(crate) device: Option<usize>,
    /// What its chance comes from.
    pub(crate) purpose: String,
}

impl Scan {
    /// Scans until `stop` says so or [`LONGEST`] has passed.
    pub(crate) fn run(self, world: &Arc<World>, stop: impl Fn() -> bool) -> Result<()> {
        let inside = Inside::prove(&world.token)?;
        let mut dice = Dice::new(world.plan.seed, &self.purpose);
        let (sender, mut receiver) = raw_sockets()?;
        let (source_port, window) = (dice.range(1_025, 65_535) as u16, dice.range(1_000, 60_000) as u16);
        let [often, seldom] = world.plan.ports.telnet;
        let (mut tried, mut sent) = (BTreeSet::from([self.from]), 0_u64);
        let start = Instant::now();
        while !stop() && start.elapsed() < LONGEST {
            // A tenth of a second's worth, then whatever was answered.
            for _ in 0..PER_SECOND / 10 {
                let net = self.into.get(dice.range(0, (self.into.len() as u64).saturating_sub(1)) as usize);
                let Some(net) = net.copied() else { return Ok(()) };
                let to =
                    inside.target(net.host(dice.range(1, u64::from(net.size()).saturating_sub(2)) as u32))?;
                let port = if sent % 10 == 9 { seldom } else { often };
                sent += 1;
                let syn = Segment {
                    src: (self.from, source_port),
                    dst: (to, port),
                    seq: to.to_bits(),
                    ack: 0,
                    flags: flag::SYN,
                    window,
                    id: dice.throw() as u16,
                };
                let _ = sender.send_to(&syn.packet(&[]), &SocketAddrV4::new(to, port).into());
            }
            if let Some(device) = self.device {
                world.count_attack(device, PER_SECOND / 10);
            }
            let until = Instant::now() + Duration::from_millis(100);
            while Instant::now() < until {
                if let Some(open) = opened(&mut receiver, source_port)
                    && tried.insert(*open.ip())
                {
                    self.guess(world, open);
                }
            }
        }
        Ok(())
    }

    /// Logs in from a thread of its own.
    fn guess(&self, world: &Arc<World>, open: SocketAddrV4) {
        let world = Arc::clone(world);
        let purpose = format!("{} {open}", self.purpose);
        let device = self.device;
        let _ = thread::Builder::new().name("guess".into()).spawn(move || {
            let mut dice = Dice::new(world.plan.seed, &purpose);
            let mut rest: Vec<(&str, &str)> =
                FACTORY.iter().take(8).map(|(user, word, _)| (*user, *word)).collect();
            while !rest.is_empty() {
                let (user, password, _) = weighted_factory(&mut dice, 8);
                let Some(at) = rest.iter().position(|entry| *entry == (user, password)) else { continue };
                rest.swap_remove(at);
                let called_off = match device {
                    Some(device) => world.is_repaired(device),
                    None => world.scan_over.load(Relaxed),
                };
                if called_off {
                    return;
                }
                match attempt(open, user, password) {
                    Ok(true) => {
                        if device.is_none() {
                            // One is enough: the scanner goes on to other networks.
                            world.scan_over.store(true, Relaxed);
                        }
                        if let Some(found) = world.plan.device_at(*open.ip()) {
                            lock(&world.logins).entry(found.number).or_insert_with(clock::now);
                            let who = device.and_then(|device| world.plan.devices.get(device));
                            let who = who
                                .map_or("the scanner".to_owned(), |bot| format!("the bot in {}", bot.name));
                            world.say(format!("{who} logged in to {} with a factory password", found.name));
                        }
                        let to = SocketAddrV4::new(world.plan.outside.report, world.plan.ports.report);
                        let _ = report::send(to, open, user, password);
                        return;
                    }
                    Ok(false) => clock::pause(world.plan.timing.login_pause),
                    Err(_) => return,
                }
            }
        });
    }
}

/// The address and port that answered one of our SYNs.
fn opened(receiver: &mut Socket, source_port: u16) -> Option<SocketAddrV4> {
    let mut buffer = [0; 128];
    let length = receiver.read(&mut buffer).ok()?;
    let seen = read_ipv4(buffer.get(..length)?)?;
    let ours = seen.flags == flag::SYN | flag::ACK
        && seen.dst_port == source_port
        && seen.ack.wrapping_sub(1) == seen.src.to_bits();
    ours.then(|| SocketAddrV4::new(seen.src, seen.src_port))
}

/// One login, and the question that tells busybox from a honeypot.
fn attempt(device: SocketAddrV4, user: &str, password: &str) -> std::io::Result<bool> {
    let mut telnet = Client::connect(device)?;
    if !telnet.log_in(user, password)? {
        return Ok(false);
    }
    for line in ["enable", "system", "shell", "sh"] {
        telnet.say(line)?;
        telnet.expect(&["# ", "> ", "$ "])?;
    }
    telnet.say("/bin/busybox MIRAI")?;
    Ok(telnet.expect(&["MIRAI: applet not found", "not found"])? == 0)
}

/// The scanner outside of the city.
pub(crate) fn outside(world: &Arc<World>) -> Result<()> {
    let plan = &world.plan;
    let around = Subnet { base: Ipv4Addr::from_bits(plan.street.base.to_bits() & !0x3ff), prefix: 22 };
    let scan = Scan {
        from: plan.outside.scanner,
        into: vec![plan.street, around],
        device: None,
        purpose: "scanner".into(),
    };
    let over = Arc::clone(world);
    scan.run(world, move || over.scan_over.load(Relaxed))
}
