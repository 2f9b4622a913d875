//! Citizens: they look up names through the city's resolver all day, and know exactly how that went.

use crate::{
    city::world::{Lookup, World, lock},
    clock,
    dice::Dice,
    things::dns,
};
use std::time::Duration;

/// The names that exist in a zone.
pub(crate) const HOSTS: [&str; 4] = ["www", "m", "api", "static"];

/// Looks up one name after the other, for as long as the city lives.
pub(crate) fn live(world: &World, number: usize) {
    let plan = &world.plan;
    let mut dice = Dice::new(plan.seed, &format!("citizen {number}"));
    let zones: Vec<(&String, bool)> = plan
        .provider_zones
        .iter()
        .map(|zone| (zone, true))
        .chain(plan.other_zones.iter().map(|zone| (zone, false)))
        .collect();
    loop {
        let at = dice.range(0, (zones.len() as u64).saturating_sub(1)) as usize;
        let Some((zone, provider)) = zones.get(at) else { return };
        let name = format!("{}.{zone}", dice.pick(&HOSTS));
        let at = clock::now();
        let found =
            dns::resolve(plan.public.host(1), &name, dice.throw() as u16, Duration::from_millis(2_500));
        let took = found.map(|(_, took)| took);
        lock(&world.lookups).push(Lookup { at, took, provider: *provider });
        clock::pause(dice.range(60, 200));
    }
}
