//! One run of the drill, from the inside of its namespaces: builds the city, lets it live, attacks it, and writes down
//! what happened.

use crate::{
    city::{
        cell,
        plan::{Decoy, Plan},
        streets::City,
        world::{World, lock},
    },
    clock,
    dice::Dice,
    error::{Error, Result, Tried},
    guard::Guard,
    measure::{
        outcome::{self, Marks, Outcome},
        recorder::Recording,
    },
    mirai::controller::Order,
    things::{decoy, device},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// Packets a second that the DNS provider can take.
const PROVIDER_TAKES: u32 = 2_500;

/// What Bastide may do in a run, and what it can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Bastide watches and does nothing.
    Watched,
    /// Bastide responds by itself where cameras are concerned.
    Responding,
    /// The same, but the camera was taken over before the sensor started.
    OutOfSight,
}

impl Mode {
    /// All runs, in their order.
    pub const ALL: [Self; 3] = [Self::Watched, Self::Responding, Self::OutOfSight];

    /// The folder's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watched => "watched",
            Self::Responding => "responding",
            Self::OutOfSight => "out-of-sight",
        }
    }
}

/// What a run is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The city's seed.
    pub seed: u64,
    /// A shorter run.
    pub quick: bool,
    /// Which run.
    pub mode: Mode,
    /// Where to leave what it makes.
    pub out: PathBuf,
    /// What proves that a thread is inside; eight hexadecimal digits that no other run has.
    pub token: String,
    /// The program that protects the city; unset to see the attack alone.
    pub bastide: Option<PathBuf>,
}

/// Runs inside of fresh namespaces, as their first process.
///
/// # Errors
/// [`Error::Refused`] anywhere else; what could not be built or measured otherwise.
pub fn inside(task: &Task) -> Result<Outcome> {
    cell::settle()?;
    fs::create_dir_all(&task.out).tried(|| format!("create {}", task.out.display()))?;
    let plan = Plan::of(task.seed, task.quick);
    save(&task.out.join("city.json"), &serde_json::to_string_pretty(&plan).unwrap_or_default())?;
    let world = Arc::new(World::new(plan, task.token.clone()));
    let devices = world.plan.devices.len();
    world.say(format!("building a city of {devices} devices out of network namespaces (seed {})", task.seed));
    let city = City::build(Arc::clone(&world))?;
    city.settle()?;
    world.say("every device has its address and sends telemetry; citizens look up names");
    let outcome = Run { task, city, world }.play()?;
    save(&task.out.join("run.json"), &serde_json::to_string_pretty(&outcome).unwrap_or_default())?;
    Ok(outcome)
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).tried(|| format!("write {}", path.display()))
}

struct Run<'a> {
    task: &'a Task,
    city: City,
    world: Arc<World>,
}

impl Run<'_> {
    fn play(self) -> Result<Outcome> {
        let mut marks = Marks::default();
        if self.task.mode == Mode::OutOfSight {
            self.city.resident_bot()?;
            clock::pause(2_000);
        }
        self.count_packets()?;
        let recordings = self.record()?;
        self.firewall("firewall-before.txt")?;
        let guard = Guard::start(self.task, &self.city)?;
        marks.guarded = Some(clock::now());
        self.peace()?;
        marks.attack = Some(clock::now());
        self.takeover()?;
        self.flood()?;
        marks.attack_over = Some(clock::now());
        clock::pause(self.world.plan.timing.aftermath);
        self.firewall("firewall-after.txt")?;
        let undone = self.repair(guard.as_ref())?;
        clock::pause(1_500);
        marks.end = Some(clock::now());
        let counters = self.counters()?;
        for recording in recordings.values() {
            recording.end();
        }
        let seen = guard.map(|guard| guard.end()).transpose()?;
        outcome::sum_up(self.task, &self.world, &marks, &recordings, counters, seen, undone)
    }

    /// Counters of the lab's own, in networks that Bastide has nothing to do with.
    fn count_packets(&self) -> Result<()> {
        let plan = &self.world.plan;
        let street = format!("{}/{}", plan.street.base, plan.street.prefix);
        let (victim, wan) = (plan.outside.provider, plan.wan);
        let counters = |hook: &str, then: &str| {
            format!(
                "table ip lab {{\n counter from_street {{}}\n counter from_resolver {{}}\n chain count {{\n  \
                 type filter hook {hook} priority -300;\n  ip saddr {street} ip daddr {victim} counter name from_street\n  \
                 ip saddr {wan} ip daddr {victim} counter name from_resolver\n  {then}\n }}\n}}\n"
            )
        };
        self.city.internet.nft(&counters("forward", ""))?;
        // The provider can take only so much: what is more is lost, whosever it is.
        let line = format!("limit rate over {PROVIDER_TAKES}/second burst 200 packets drop");
        self.city.outside("provider")?.nft(&counters("input", &line))
    }

    /// Packets from the street and from the resolver, at the internet provider and at the victim.
    fn counters(&self) -> Result<BTreeMap<String, u64>> {
        let mut counted = BTreeMap::new();
        for (place, host) in [("internet", &self.city.internet), ("victim", self.city.outside("provider")?)] {
            let listed = host.nft_list(&["-j", "list", "counters"])?;
            let listed: serde_json::Value = serde_json::from_str(&listed).map_err(|error| {
                Error::Command { command: "nft -j list counters".into(), said: error.to_string() }
            })?;
            for entry in listed.get("nftables").and_then(|all| all.as_array()).into_iter().flatten() {
                let counter = entry.get("counter");
                let name = counter.and_then(|counter| counter.get("name")).and_then(|name| name.as_str());
                let packets =
                    counter.and_then(|counter| counter.get("packets")).and_then(|count| count.as_u64());
                if let (Some(name), Some(packets)) = (name, packets) {
                    counted.insert(format!("{place} {name}"), packets);
                }
            }
        }
        Ok(counted)
    }

    /// A capture per interface of the router, of its line and of the victim.
    fn record(&self) -> Result<BTreeMap<&'static str, Recording>> {
        let folder = self.task.out.join("pcap");
        fs::create_dir_all(&folder).tried(|| format!("create {}", folder.display()))?;
        let provider = self.city.outside("provider")?;
        let wanted = [
            ("street0", &self.city.router, "street0"),
            ("wan0", &self.city.router, "wan0"),
            ("internet", &self.city.internet, "isp0"),
            ("victim", provider, self.city.interface.as_str()),
        ];
        wanted
            .into_iter()
            .map(|(name, host, interface)| {
                Ok((name, Recording::begin(host, interface, &folder.join(format!("{name}.pcap")))?))
            })
            .collect()
    }

    fn firewall(&self, name: &str) -> Result<()> {
        let rules = self.city.router.nft_list(&["list", "ruleset"])?;
        let text =
            if rules.trim().is_empty() { "# the router's firewall is empty\n".to_owned() } else { rules };
        save(&self.task.out.join(name), &text)
    }

    /// An ordinary quarter of a minute, with everything in it that looks a bit like an attack.
    fn peace(&self) -> Result<()> {
        let plan = &self.world.plan;
        let each = plan.timing.peace / (plan.decoys.len() as u64 + 1);
        clock::pause(each / 2);
        for decoy in &plan.decoys {
            self.decoy(*decoy)?;
            clock::pause(each);
        }
        clock::pause(each / 2);
        Ok(())
    }

    fn decoy(&self, decoy: Decoy) -> Result<()> {
        let world = Arc::clone(&self.world);
        let office =
            |number: usize| self.city.office.get(number).ok_or_else(|| Error::HostGone("office".into()));
        match decoy {
            Decoy::AdministratorTelnet => {
                world.say("decoy: the administrator logs in to a device by telnet");
                office(0)?.start("telnet", move || decoy::administrator(&world))
            }
            Decoy::InventoryPoll => {
                world.say("decoy: the inventory asks every device on several ports");
                office(1)?.start("inventory", move || decoy::inventory(&world))
            }
            Decoy::TelemetryBurst => {
                world.say("decoy: every device sends a burst of telemetry");
                world.burst.fetch_add(1, Relaxed);
                Ok(())
            }
            Decoy::FirmwareRollOut => {
                world.say("decoy: new firmware for every device");
                let mut dice = Dice::new(world.plan.seed, "roll-out");
                for (number, host) in self.city.devices.iter().enumerate() {
                    let world = Arc::clone(&world);
                    host.call(move || device::update(&world, number)).flatten()?;
                    clock::pause(dice.range(20, 120));
                }
                Ok(())
            }
        }
    }

    /// From the first scan to a bot that waits for orders.
    fn takeover(&self) -> Result<()> {
        let (world, plan) = (&self.world, &self.world.plan);
        if self.task.mode == Mode::OutOfSight {
            let Some(host) = self.city.devices.get(plan.resident) else { return Ok(()) };
            let name = &host.name;
            if plan.resident_scans {
                world.say(format!("the bot that was in {name} all along looks for neighbours"));
                let device = plan.resident;
                let shared = Arc::clone(world);
                host.start("bot/scan", move || drop(crate::mirai::bot::scan(&shared, device)))?;
                clock::pause(plan.timing.bot_idle);
            }
            return Ok(());
        }
        world.say("the scanner outside looks for telnet");
        self.city.begin_scan()?;
        let logged_in = || !lock(&world.logins).is_empty();
        clock::wait_until(30_000, logged_in);
        world.scan_over.store(true, Relaxed);
        let infected = || !world.infected().is_empty();
        // Where the camera was cut off in time, the loader never gets in.
        if !clock::wait_until(8_000, infected) {
            world.say(if logged_in() { "the loader did not get in" } else { "the scanner found nothing" });
        }
        clock::pause(plan.timing.bot_idle);
        Ok(())
    }

    /// The order to flood, and the flood.
    fn flood(&self) -> Result<()> {
        let (world, plan) = (&self.world, &self.world.plan);
        let bots = self.city.bots.count();
        world.say(match bots {
            0 => "the controller has no bot to order: nobody floods the DNS provider".to_owned(),
            1 => "the controller orders its bot to flood the DNS provider".to_owned(),
            bots => format!("the controller orders its {bots} bots to flood the DNS provider"),
        });
        let straight = plan.vectors.len().saturating_sub(1).max(1) as u64;
        let slice = plan.timing.flood / straight;
        let order = |vector, millis: u64| Order {
            seconds: millis.div_ceil(1_000) as u32,
            vector,
            target: plan.outside.provider,
            domain: plan.provider_zones.first().cloned().unwrap_or_default(),
        };
        for (number, vector) in plan.vectors.iter().enumerate() {
            if number as u64 == straight {
                break;
            }
            if number == 0
                && let Some(last) = plan.vectors.last()
            {
                self.city.bots.order(&order(*last, plan.timing.flood));
            }
            self.city.bots.order(&order(*vector, slice));
            if number == 1 {
                self.decoy(Decoy::AdministratorTelnet)?;
                self.decoy(Decoy::InventoryPoll)?;
            }
            let sent = || lock(&world.attack_sent).values().sum::<u64>();
            let before = sent();
            clock::pause(slice);
            world.say(format!(
                "flood by {vector:?}: the bots sent {} packets in {:.1} s",
                sent() - before,
                slice as f64 / 1000.0
            ));
        }
        Ok(())
    }

    /// A technician restarts what was taken over and changes its password; then undo is pressed.
    fn repair(&self, guard: Option<&Guard>) -> Result<Option<outcome::Undone>> {
        let world = &self.world;
        for device in world.infected() {
            lock(&world.repaired).insert(device);
        }
        world.say("a technician restarts what was taken over and changes its password");
        clock::pause(500);
        for (host, _) in self.city.devices.iter().zip(0..).filter(|(_, number)| world.is_repaired(*number)) {
            // A restarted device has forgotten what it wanted to send, and to whom.
            host.ip(&format!("neigh flush dev {}\n", self.city.interface))?;
        }
        let Some(guard) = guard.filter(|_| self.task.mode != Mode::Watched) else { return Ok(None) };
        guard.undo(&self.city)
    }
}
