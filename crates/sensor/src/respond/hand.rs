//! Responding by hand, from the command line: with the sensor at work, or with it dead.
//!
//! Guarantees: works on the state directory and the kernel alone. The lever is written down before anything else is
//! tried, and everything is taken out of the kernel also where the state is locked, damaged or gone.

use super::{
    Mirror, RespondError, Responder,
    journal::{read_file, verify_file},
    nft::{NftError, Nftables},
    state::{Held, Loaded, State, StateDir},
};
use crate::{Notice, Order};
use model::{CommandId, NetSet, Plan, Timestamp};
use serde::Serialize;
use std::{collections::VecDeque, io, path::Path};
use stop::{
    Actuator,
    journal::{Act, Entry},
};

/// What stands behind the name of whoever acts here, in the journal.
const BY_HAND: &str = " (command line)";
/// How many orders are read back.
const MOST_GIVEN: usize = 1_000;

/// How things stand.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whether the lever is pulled.
    pub stopped: bool,
    /// Commands in force, as the state says.
    pub in_force: Vec<Held>,
    /// Plans that wait, are shown, or are in force.
    pub plans: Vec<Plan>,
    /// Plans that were given up because more were open than are kept.
    pub plans_given_up: u64,
    /// What the journal shows.
    pub journal: JournalStatus,
}

/// What the journal shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JournalStatus {
    /// Whole entries.
    pub entries: u64,
    /// The hash of the last one.
    pub last: String,
    /// What is wrong, and where.
    pub fault: Option<String>,
}

/// Why an order could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] RespondError),
    /// The kernel's packet filter.
    #[error("commands may still be in force: {0}")]
    Kernel(#[from] NftError),
    /// A file.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No such command.
    #[error("{0} is not in force")]
    Unknown(CommandId),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// How the journal names somebody who acts here.
#[must_use]
pub fn named(who: &str) -> String {
    format!("{who}{BY_HAND}")
}

/// The order that an entry of the journal says was carried out, where it was given here.
#[must_use]
pub fn order_of(entry: &Entry) -> Option<Order> {
    let who = entry.who.ends_with(BY_HAND).then(|| entry.who.clone())?;
    match &entry.what {
        Act::Stopped => Some(Order::StopResponding { who }),
        Act::Resumed => Some(Order::ResumeResponding { who }),
        Act::UndoingAll => Some(Order::UndoAll { who }),
        Act::Undoing { command } => Some(Order::Undo { command: command.clone(), who }),
        _ => None,
    }
}

/// The entries of the journal that say that an order was given here, the latest 1 000 of them.
///
/// # Errors
/// Where the journal cannot be read.
pub fn given(state_dir: &Path) -> io::Result<Vec<Entry>> {
    let mut given = VecDeque::new();
    read_file(state_dir, |entry| {
        if order_of(&entry).is_some() {
            given.push_back(entry);
            if given.len() > MOST_GIVEN {
                given.pop_front();
            }
        }
    })?;
    Ok(given.into())
}

/// How things stand, without touching anything.
///
/// # Errors
/// Where the state directory cannot be read.
pub fn status(state_dir: &Path) -> Result<Status, HandError> {
    let state = StateDir::peek(state_dir)?;
    let verified = verify_file(state_dir)?.unwrap_or_default();
    let journal = JournalStatus {
        entries: verified.lines,
        last: verified.chain.last,
        fault: verified.fault.map(|fault| fault.to_string()),
    };
    let state = match state {
        Loaded::State(state) => *state,
        Loaded::Nothing => State::default(),
        Loaded::Damaged { reason, aside } => {
            return Err(HandError::Failed(format!("{} cannot be read: {reason}", aside.display())));
        }
    };
    let State { in_force, plans, plans_given_up, .. } = state;
    let plans = plans.into_iter().map(|open| open.plan).collect();
    Ok(Status { stopped: StateDir::lever(state_dir), in_force, plans, plans_given_up, journal })
}

/// Takes one command back.
///
/// # Errors
/// Where it is not in force, or could not be taken back.
pub fn undo(state_dir: &Path, command: &CommandId, who: &str, now: Timestamp) -> Result<(), HandError> {
    let mut responder = attach(state_dir, now)?;
    if !responder.holds(command) {
        return Err(HandError::Unknown(command.clone()));
    }
    responder.order(Order::Undo { command: command.clone(), who: who.to_owned() }, now);
    if responder.holds(command) {
        return Err(HandError::Failed(failure(&responder.take_notices())));
    }
    Ok(())
}

/// Takes everything back: what the state knows of, and whatever else the kernel holds in tables of ours. How many
/// commands the state knew of.
///
/// # Errors
/// Where something may still be in force.
pub fn undo_all(state_dir: &Path, who: &str, now: Timestamp) -> Result<usize, HandError> {
    all(state_dir, Order::UndoAll { who: who.to_owned() }, now)
}

/// Pulls the lever: nothing is done any more until [`resume`], and everything is taken back.
///
/// # Errors
/// Where something may still be in force. The lever is pulled in any case where it can be written down.
pub fn stop(state_dir: &Path, who: &str, now: Timestamp) -> Result<usize, HandError> {
    let lever = StateDir::open(state_dir).and_then(|dir| dir.pull_lever(&format!("{now} by {who}\n")));
    let outcome = all(state_dir, Order::StopResponding { who: who.to_owned() }, now);
    lever?;
    outcome
}

/// Releases the lever.
///
/// # Errors
/// Where the state directory cannot be used.
pub fn resume(state_dir: &Path, who: &str, now: Timestamp) -> Result<(), HandError> {
    let mut responder = attach(state_dir, now)?;
    responder.order(Order::ResumeResponding { who: who.to_owned() }, now);
    if StateDir::lever(state_dir) {
        return Err(HandError::Failed(failure(&responder.take_notices())));
    }
    Ok(())
}

/// Takes everything out of the kernel, where there is no state to go with it.
///
/// # Errors
/// Where something may still be in force.
pub fn clear() -> Result<(), HandError> {
    match Nftables::flush() {
        Err(NftError::Missing) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn all(state_dir: &Path, order: Order, now: Timestamp) -> Result<usize, HandError> {
    let known = match attach(state_dir, now) {
        Ok(mut responder) => {
            let known = responder.state.in_force.len();
            responder.order(order, now);
            known
        }
        Err(error) => {
            // The kernel is what matters; the state is second.
            Nftables::flush()?;
            return Err(error);
        }
    };
    // Once more without the state: what it never knew of.
    match Nftables::flush() {
        Err(NftError::Missing) if known == 0 => Ok(known),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(known),
    }
}

fn attach(state_dir: &Path, now: Timestamp) -> Result<Responder, HandError> {
    let mut problem = None;
    let mut responder = Responder::attach(
        None,
        NetSet::default(),
        state_dir,
        |config| match Nftables::open(config, "command line") {
            Ok(nftables) => Box::new(nftables) as Box<dyn Actuator>,
            Err(error) => {
                let mirror = Mirror::new(&error.to_string());
                problem = Some(error);
                Box::new(mirror)
            }
        },
        now,
    )?;
    let in_kernel = responder.state.in_force.iter().any(Held::is_in_kernel);
    if let Some(problem) = problem.filter(|_| in_kernel) {
        return Err(problem.into());
    }
    responder.recognise().map_err(HandError::Failed)?;
    Ok(responder)
}

fn failure(notices: &[Notice]) -> String {
    let failed = notices.iter().rev().find_map(|notice| match notice {
        Notice::Receipt(receipt) => match &receipt.effect {
            model::Effect::Failed { reason } => Some(reason.clone()),
            _ => None,
        },
        Notice::Journal(entry) => match &entry.what {
            Act::Noted { note } => Some(note.clone()),
            _ => None,
        },
        _ => None,
    });
    failed.unwrap_or_else(|| "it could not be done; the log says why".into())
}
