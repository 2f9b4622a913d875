//! What a sensor has to tell and no server has taken yet: on the disk, in its order, bounded.
//!
//! Guarantees: what was pushed survives a power cut until the server has said that it is kept; past the bounds the oldest goes,
//! counted, and the count is told.

use agent::disk::{DiskError, Folder};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;
use wire::{Notices, VERSION, limit};

/// The most batches that wait.
const MOST_BATCHES: usize = 4_096;
/// The most bytes that wait.
const MOST_BYTES: u64 = 128 << 20;
/// How far it came.
const STATE: &str = "spool.json";

/// Batches of notices that wait.
pub(super) struct Spool {
    folder: Folder,
    waiting: VecDeque<(u64, u64)>,
    state: State,
}

/// What outlasts the batches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// No batch has this number or a higher one.
    next: u64,
    /// How many were shed.
    shed: u64,
}

impl Spool {
    /// Those that wait in the sensor's folder.
    pub(super) fn open(folder: &Folder, now: Timestamp) -> Result<Self, DiskError> {
        let folder = folder.inside("spool")?;
        let mut state: State = match folder.read(STATE, limit::ANSWER_BYTES)? {
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            None => State::default(),
        };
        let mut waiting: Vec<(u64, u64)> = Vec::new();
        for name in folder.names()? {
            let number = name.strip_suffix(".notices").and_then(|digits| digits.parse().ok());
            let Some(number) = number else { continue };
            let bytes = std::fs::metadata(folder.path(&name)).map_or(0, |metadata| metadata.len());
            waiting.push((number, bytes));
        }
        waiting.sort_unstable();
        let waits = waiting.last().map_or(1, |(number, _)| number.saturating_add(1));
        // Numbers rise also where what was written down is lost or was put back: they begin at the time of day.
        state.next = state.next.max(waits).max(now.micros().unsigned_abs());
        Ok(Self { folder, waiting: waiting.into(), state })
    }

    /// Puts notices at the end. When this returns, they survive a power cut.
    pub(super) fn push(&mut self, notices: Vec<Value>) -> Result<(), DiskError> {
        let number = self.state.next;
        // The number is used up before it is used: no two batches have the same, whenever the power is cut.
        self.state.next = number.saturating_add(1);
        self.save()?;
        let bytes = self.batch(number, notices);
        self.folder.replace(&name(number), &bytes)?;
        self.waiting.push_back((number, bytes.len() as u64));
        self.make_room()
    }

    /// A batch as it is sent.
    pub(super) fn batch(&self, number: u64, notices: Vec<Value>) -> Vec<u8> {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let notices = Notices { version: VERSION, number, shed: self.state.shed, program, notices };
        serde_json::to_vec(&notices).unwrap_or_default()
    }

    /// The oldest that waits, with its number; what cannot be read any more waits no longer, and counts as shed.
    pub(super) fn first(&mut self) -> Result<Option<(u64, Vec<u8>)>, DiskError> {
        while let Some(&(number, _)) = self.waiting.front() {
            let read = self.folder.read(&name(number), limit::NOTICES_BYTES);
            match read {
                Ok(Some(bytes)) if Notices::from_json(&bytes).is_ok_and(|read| read.number == number) => {
                    return Ok(Some((number, bytes)));
                }
                Ok(_) | Err(DiskError::Content { .. }) => self.shed(number)?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The server has it.
    pub(super) fn remove(&mut self, number: u64) -> Result<(), DiskError> {
        self.waiting.retain(|(waiting, _)| *waiting != number);
        self.folder.remove(&name(number))
    }

    /// It will never be taken, or there is no room.
    pub(super) fn shed(&mut self, number: u64) -> Result<(), DiskError> {
        self.state.shed = self.state.shed.saturating_add(1);
        self.save()?;
        self.remove(number)
    }

    fn save(&self) -> Result<(), DiskError> {
        self.folder.replace(STATE, &serde_json::to_vec(&self.state).unwrap_or_default())
    }

    fn make_room(&mut self) -> Result<(), DiskError> {
        loop {
            let bytes: u64 = self.waiting.iter().map(|(_, bytes)| bytes).sum();
            if self.waiting.len() <= MOST_BATCHES && bytes <= MOST_BYTES {
                return Ok(());
            }
            let Some(&(oldest, _)) = self.waiting.front() else { return Ok(()) };
            self.shed(oldest)?;
        }
    }
}

fn name(number: u64) -> String {
    format!("{number:020}.notices")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_pushed_is_there_after_a_restart_in_its_order_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let mut spool = Spool::open(&folder, Timestamp::from_micros(0)).unwrap();
        (0..3).for_each(|number| spool.push(vec![json!({ "n": number })]).unwrap());
        drop(spool);
        let mut spool = Spool::open(&folder, Timestamp::from_micros(0)).unwrap();
        let mut read = Vec::new();
        while let Some((number, bytes)) = spool.first().unwrap() {
            let batch = Notices::from_json(&bytes).unwrap();
            assert_eq!((batch.number, batch.shed), (number, 0));
            read.push((number, batch.notices));
            spool.remove(number).unwrap();
        }
        assert_eq!(
            read,
            [(1, vec![json!({"n": 0})]), (2, vec![json!({"n": 1})]), (3, vec![json!({"n": 2})])]
        );
        // What was taken has used its number up, also where the folder is empty.
        drop(spool);
        let mut spool = Spool::open(&folder, Timestamp::from_micros(0)).unwrap();
        spool.push(vec![json!({})]).unwrap();
        assert_eq!(spool.first().unwrap().unwrap().0, 4);
    }

    #[test]
    fn past_the_bounds_the_oldest_goes_and_damage_is_passed_over_counted() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let mut spool = Spool::open(&folder, Timestamp::from_micros(0)).unwrap();
        let large = "x".repeat(3 << 20);
        (0..50).for_each(|_| spool.push(vec![json!({ "text": large })]).unwrap());
        assert!(spool.waiting.len() < 45, "{}", spool.waiting.len());
        let (first, _) = spool.first().unwrap().unwrap();
        assert_eq!(first, 51 - spool.waiting.len() as u64);
        std::fs::write(folder.path(&format!("spool/{}", name(first))), b"torn").unwrap();
        let (next, _) = spool.first().unwrap().unwrap();
        assert_eq!(next, first + 1);
        assert_eq!(Notices::from_json(&spool.batch(0, Vec::new())).unwrap().shed, first);
    }
}
