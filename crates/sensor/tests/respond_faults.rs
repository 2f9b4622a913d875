//! Responding where the packet filter, the state or the clock fails: nothing is forgotten that is still in force, and
//! nothing is held that nobody wants.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, missing_docs, reason = "tests; the fixture is shared")]

mod fixture;

use fixture::{NOW, botnet, state};
use model::{Asset, Command, CommandId, Effect, Incident, Mac, NetSet, Receipt, Severity, Timestamp};
use protect::{Mode, Permit, ResponseConfig};
use sensor::{
    Notice, Order,
    respond::{Responder, hand, verify_file},
};
use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex},
};
use stop::{Actuator, Adopted, Count};

/// A packet filter that can be told to fail, and that outlives the program.
#[derive(Clone, Default)]
struct Filter(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    commands: BTreeMap<CommandId, Command>,
    broken: bool,
}

impl Filter {
    fn holds(&self) -> Vec<Command> {
        self.0.lock().unwrap().commands.values().cloned().collect()
    }

    fn set_broken(&self, broken: bool) {
        self.0.lock().unwrap().broken = broken;
    }

    fn empty(&self) {
        self.0.lock().unwrap().commands.clear();
    }

    fn attempt(&self, change: impl FnOnce(&mut Held)) -> Result<(), String> {
        let mut held = self.0.lock().unwrap();
        if held.broken {
            return Err("the filter does not answer".into());
        }
        change(&mut held);
        Ok(())
    }

    fn receipt(command: &Command, now: Timestamp, outcome: Result<(), String>, effect: Effect) -> Receipt {
        let effect = outcome.map_or_else(|reason| Effect::Failed { reason }, |()| effect);
        let (command, actuator) = (command.id.clone(), "a filter".to_owned());
        Receipt { command, at: now, effect, packets_stopped: 0, packets_passed: 0, actuator }
    }
}

impl Actuator for Filter {
    fn name(&self) -> &str {
        "a filter"
    }

    fn in_path(&self) -> bool {
        true
    }

    fn apply(&mut self, command: &Command, permit: Permit, now: Timestamp) -> Receipt {
        assert!(permit.covers(command));
        let outcome = self.attempt(|held| _ = held.commands.insert(command.id.clone(), command.clone()));
        Self::receipt(command, now, outcome, Effect::Applied)
    }

    fn undo(&mut self, command: &Command, now: Timestamp) -> Receipt {
        let outcome = self.attempt(|held| _ = held.commands.remove(&command.id));
        Self::receipt(command, now, outcome, Effect::Undone)
    }

    fn undo_all(&mut self) -> Result<(), String> {
        self.attempt(|held| held.commands.clear())
    }

    fn adopt(&mut self, should: &[Command]) -> Result<Adopted, String> {
        let held = self.0.lock().unwrap();
        let ids = should.iter().map(|command| command.id.clone());
        let (present, missing) = ids.partition(|id| held.commands.contains_key(id));
        Ok(Adopted { present, missing, unknown: Vec::new() })
    }

    fn counts(&mut self) -> Result<Vec<Count>, String> {
        let count = |command: &CommandId| Count { command: command.clone(), packets_stopped: 7 };
        Ok(self.0.lock().unwrap().commands.keys().map(count).collect())
    }

    fn tidy(&mut self, _now: Timestamp) -> Result<(), String> {
        Ok(())
    }
}

fn config() -> ResponseConfig {
    ResponseConfig { kinds: [("camera".to_owned(), Mode::Auto)].into(), ..ResponseConfig::default() }
}

const MAC: Mac = Mac([2, 0, 0x5e, 0x10, 0, 7]);

fn camera(addresses: &[&str]) -> Asset {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    fixture::camera(MAC, &addresses)
}

fn incident() -> Incident {
    botnet(&[("10.0.0.7".parse().unwrap(), MAC)])
}

fn open_with(config: ResponseConfig, folder: &Path, filter: &Filter, now: Timestamp) -> Responder {
    let actuator = Box::new(filter.clone());
    let mut responder = Responder::open(config, NetSet::private(), folder, actuator, now).unwrap();
    responder.asset(&camera(&["10.0.0.7"]));
    responder
}

/// A responder with the camera cut off.
fn cutting(folder: &Path, filter: &Filter) -> Responder {
    let mut responder = open_with(config(), folder, filter, NOW);
    responder.incident(&incident(), NOW);
    assert_eq!(filter.holds().len(), 1);
    responder.tick(NOW);
    responder
}

fn effects(notices: &[Notice]) -> Vec<Effect> {
    let receipts = notices.iter().filter_map(|notice| match notice {
        Notice::Receipt(receipt) => Some(receipt.effect.clone()),
        _ => None,
    });
    receipts.collect()
}

/// Time goes on for so many seconds, ten times a second.
fn pass(responder: &mut Responder, from: Timestamp, secs: i64) -> Vec<Notice> {
    (1..=secs * 10).flat_map(|tenth| responder.tick(from.plus_micros(tenth * 100_000))).collect()
}

#[test]
fn the_lever_is_tried_again_until_everything_is_back_and_nothing_is_applied_meanwhile() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    filter.set_broken(true);
    responder.order(Order::StopResponding { who: "ada".into() }, NOW.plus_secs(1));
    assert!(!effects(&pass(&mut responder, NOW.plus_secs(1), 2)).contains(&Effect::Undone), "it is not back");
    // Somebody helped the filter up, and it is empty now: it stays so.
    filter.empty();
    filter.set_broken(false);
    let notices = pass(&mut responder, NOW.plus_secs(3), 12);
    assert!(filter.holds().is_empty(), "the lever is pulled");
    assert!(effects(&notices).contains(&Effect::Undone));
    assert!(state(folder.path()).in_force.is_empty());
}

#[test]
fn a_start_with_the_lever_pulled_takes_back_also_what_no_state_knows_of() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    drop(cutting(folder.path(), &filter));
    fs::remove_file(folder.path().join("commands.json")).unwrap();
    fs::write(folder.path().join("stopped"), b"").unwrap();
    drop(open_with(config(), folder.path(), &filter, NOW.plus_secs(1)));
    assert!(filter.holds().is_empty());
}

#[test]
fn a_state_that_is_lost_or_damaged_while_the_program_runs_is_written_again() {
    for damage in [None, Some("{\"version\":1,")] {
        let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
        let mut responder = cutting(folder.path(), &filter);
        let before = state(folder.path()).in_force;
        let file = folder.path().join("commands.json");
        match damage {
            None => fs::remove_file(&file).unwrap(),
            Some(text) => fs::write(&file, text).unwrap(),
        }
        let notices = pass(&mut responder, NOW, 6);
        assert!(!effects(&notices).contains(&Effect::Undone), "it is in force: {notices:?}");
        assert_eq!(state(folder.path()).in_force, before, "{damage:?}");
        responder.order(
            Order::Undo { command: before[0].command.id.clone(), who: "ada".into() },
            NOW.plus_secs(7),
        );
        assert!(filter.holds().is_empty());
    }
}

#[test]
fn a_command_that_could_not_reach_further_can_still_be_taken_back() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    filter.set_broken(true);
    responder.asset(&camera(&["10.0.0.7", "10.0.0.8"]));
    responder.incident(&incident(), NOW.plus_secs(1));
    filter.set_broken(false);
    assert_eq!(filter.holds().len(), 1, "the earlier form stands");
    let held = hand::status(folder.path()).unwrap().in_force;
    assert_eq!(held.len(), 1, "and is known of");
    responder.order(Order::Undo { command: held[0].command.id.clone(), who: "ada".into() }, NOW.plus_secs(2));
    assert!(filter.holds().is_empty());
}

#[test]
fn a_clock_that_was_set_back_holds_nobody_for_longer() {
    // At work, and at a start: a router without a battery begins in the past.
    let past = NOW.plus_secs(-30 * 86_400);
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    let notices = responder.tick(past);
    assert!(filter.holds().is_empty() && effects(&notices).contains(&Effect::Expired), "{notices:?}");

    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    drop(cutting(folder.path(), &filter));
    filter.empty();
    let mut responder = open_with(config(), folder.path(), &filter, past);
    pass(&mut responder, past, 6);
    assert!(filter.holds().is_empty());

    // A little back is nothing.
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    pass(&mut responder, NOW.plus_secs(-60), 6);
    assert_eq!(filter.holds().len(), 1);
}

#[test]
fn who_is_never_acted_on_from_now_on_is_let_go_at_the_next_start() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    drop(cutting(folder.path(), &filter));
    let spare = ResponseConfig { never: vec!["10.0.0.0/24".parse().unwrap()], ..config() };
    let mut responder = open_with(spare, folder.path(), &filter, NOW.plus_secs(1));
    assert!(filter.holds().is_empty());
    assert!(effects(&responder.tick(NOW.plus_secs(1))).contains(&Effect::Undone));
    assert!(state(folder.path()).in_force.is_empty());
}

#[test]
fn an_entry_that_is_too_long_is_left_out_and_the_journal_stays_whole() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    let command = state(folder.path()).in_force[0].command.id.clone();
    responder.order(Order::Undo { command, who: "x".repeat(300 << 10) }, NOW.plus_secs(1));
    assert!(filter.holds().is_empty(), "giving way needs no journal");
    responder.order(Order::UndoAll { who: "ada".into() }, NOW.plus_secs(2));
    assert_eq!(verify_file(folder.path()).unwrap().unwrap().fault, None);
    assert!(!folder.path().join("journal.damaged-1").exists());
}

#[test]
fn an_order_that_came_while_another_program_held_the_lock_is_carried_out_later() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    let command = state(folder.path()).in_force[0].command.id.clone();
    let lock = fs::File::options().write(true).open(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    responder.order(Order::Undo { command, who: "ada".into() }, NOW.plus_secs(1));
    assert_eq!(filter.holds().len(), 1, "nothing is done without the lock");
    drop(lock);
    responder.tick(NOW.plus_secs(2));
    assert!(filter.holds().is_empty());
}

#[test]
fn what_is_in_force_is_known_as_of_its_last_look_on_disk_too() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    let known = || state(folder.path()).in_force[0].receipt.at;
    (1..=100).for_each(|second| drop(responder.tick(NOW.plus_secs(second))));
    assert!(known() >= NOW.plus_secs(60) && known() <= NOW.plus_secs(100), "{}", known());
    assert_eq!(state(folder.path()).in_force[0].receipt.packets_stopped, 7);
}

#[test]
fn plans_that_do_not_fit_are_told_and_counted() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    responder.take_notices();
    let mut given_up = 0;
    for number in 0..300_u64 {
        let mut other = incident();
        other.id = format!("inc-{number:016x}").parse().unwrap();
        other.severity = Severity::High;
        other.assets[0].address = IpAddr::from([10, 0, 1 + (number / 250) as u8, (number % 250) as u8]);
        other.assets[0].mac = None;
        responder.incident(&other, NOW.plus_secs(1));
        given_up += responder
            .take_notices()
            .iter()
            .filter(|notice| matches!(notice, Notice::Plan(plan) if plan.because.starts_with("given up")))
            .count();
    }
    let state = state(folder.path());
    assert_eq!((state.plans.len(), state.plans_given_up, given_up), (256, 45, 45));
    assert_eq!(responder.plans_given_up(), 45);
    let active = |open: &sensor::respond::Open| open.plan.status == model::PlanStatus::Active;
    assert!(state.plans.iter().any(active), "what is in force stays");
    assert_eq!(hand::status(folder.path()).unwrap().plans_given_up, 45);
}

#[test]
fn other_settings_let_go_whom_they_spare_and_keep_the_rest() {
    let (folder, filter) = (tempfile::tempdir().unwrap(), Filter::default());
    let mut responder = cutting(folder.path(), &filter);
    let settings = |keep: &[&str]| ResponseConfig {
        keep: keep.iter().map(|address| address.parse().unwrap()).collect(),
        ..config()
    };
    let now = NOW.plus_secs(5);
    let moved = "this machine's addresses changed";
    assert!(responder.reconfigure(settings(&["10.0.0.9"]), Box::new(filter.clone()), moved, now));
    assert_eq!(filter.holds().len(), 1, "nothing that concerns the camera has changed");
    assert!(responder.reconfigure(settings(&["10.0.0.7"]), Box::new(filter.clone()), moved, now));
    assert_eq!(filter.holds(), [], "what is now Bastide itself is let go");
    responder.incident(&incident(), NOW.plus_secs(6));
    assert_eq!(filter.holds(), [], "and not acted on again");
    let journal = fs::read_to_string(folder.path().join("journal.ndjson")).unwrap();
    assert!(journal.contains("this machine's addresses changed; never acted on as Bastide's own: 10.0.0.7"));
}
