//! How long somebody who guesses has to wait.
//!
//! Guarantees: what a stranger does from elsewhere never closes the door to the owner of an account. Failures are counted
//! for a name *from a place* (an address, for IPv6 its /64), for a place, and for a name from everywhere. A browser with
//! which the owner came in before waits for its own failures only; a name that is guessed at from many places takes an attempt
//! every few seconds from all others together, which keeps guessing hopeless; passkeys and links wait for nothing of this.
//! Tables are bounded: where one is full, what failed least and longest ago is forgotten, so that filling it does not
//! make forget who is being guessed at.

use aws_lc_rs::digest;
use model::Timestamp;
use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// Failures of one name from one place before it waits.
const FREE: u32 = 5;
/// The first wait in seconds; it doubles with every failure.
const FIRST_WAIT: i64 = 2;
/// The longest wait in seconds.
const LONGEST_WAIT: i64 = 15 * 60;
/// Failures of one name from one place are forgotten so many seconds after the last.
const FORGOTTEN: i64 = 24 * HOUR;
/// Failures of one place within a minute, whatever the name, before strangers there wait.
const OF_A_PLACE: u32 = 30;
/// Failures of one name from everywhere within an hour before strangers take turns.
const OF_A_NAME: u32 = 100;
/// Seconds between their turns.
const TURN: i64 = 10;
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
/// How many names and places are remembered, each.
const MOST: usize = 8_192;

/// Counts failures.
#[derive(Default)]
pub(crate) struct Patience(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    /// Apart for browsers that the owner used before: who sits beside them does not make them wait.
    pairs: Table<([u8; 32], IpAddr, bool)>,
    places: Table<IpAddr>,
    names: Table<[u8; 32]>,
}

struct Table<K>(HashMap<K, Count>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Clone, Copy)]
struct Count {
    /// The last failure of a pair; the beginning of the window of a place or a name.
    from: Timestamp,
    number: u32,
    /// When a stranger last had a turn.
    turn: Timestamp,
}

/// Come back in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; try again in {seconds} s")]
pub(crate) struct Wait {
    pub(crate) seconds: i64,
}

impl Patience {
    /// Whether an attempt for `name` from `place` may be made at `now`. `known`: the owner was signed in from this
    /// browser before.
    ///
    /// # Errors
    /// [`Wait`].
    pub(crate) fn ask(&self, name: &str, place: IpAddr, known: bool, now: Timestamp) -> Result<(), Wait> {
        let (name, place) = (digest_of(name), crate::listen::household(place));
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = &mut *tables;
        if !known {
            tables.at(place, now)?;
        }
        if let Some(pair) = tables.pairs.of(&(name, place, known), now, FORGOTTEN)
            && pair.number >= FREE
        {
            let doublings = (pair.number - FREE).min(16);
            let wait = (FIRST_WAIT << doublings).min(LONGEST_WAIT) - elapsed(pair.from, now);
            if wait > 0 {
                return Err(Wait { seconds: wait });
            }
        }
        if let Some(all) = tables.names.of(&name, now, HOUR)
            && !known
            && all.number >= OF_A_NAME
        {
            let wait = TURN - elapsed(all.turn, now);
            if wait > 0 {
                return Err(Wait { seconds: wait });
            }
            all.turn = now;
        }
        Ok(())
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, name: &str, place: IpAddr, known: bool, now: Timestamp) {
        let (name, place) = (digest_of(name), crate::listen::household(place));
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = &mut *tables;
        let pair = tables.pairs.count((name, place, known), now, FORGOTTEN);
        pair.from = now;
        for count in [pair, tables.places.count(place, now, MINUTE), tables.names.count(name, now, HOUR)] {
            count.number = count.number.saturating_add(1);
        }
    }

    /// Somebody at a place does what nobody does by mistake often, under no name.
    ///
    /// # Errors
    /// [`Wait`]; then it is not counted.
    pub(crate) fn stray(&self, place: IpAddr, now: Timestamp) -> Result<(), Wait> {
        let place = crate::listen::household(place);
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.at(place, now)?;
        let count = tables.places.count(place, now, MINUTE);
        count.number = count.number.saturating_add(1);
        Ok(())
    }

    /// The owner came in from there: what was counted for this name from this place is forgotten.
    pub(crate) fn came_in(&self, name: &str, place: IpAddr) {
        let (name, place) = (digest_of(name), crate::listen::household(place));
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for known in [false, true] {
            tables.pairs.0.remove(&(name, place, known));
        }
    }
}

impl Tables {
    /// Whether strangers at a place may try.
    fn at(&mut self, place: IpAddr, now: Timestamp) -> Result<(), Wait> {
        match self.places.of(&place, now, MINUTE) {
            Some(here) if here.number >= OF_A_PLACE => {
                Err(Wait { seconds: MINUTE - elapsed(here.from, now) })
            }
            _ => Ok(()),
        }
    }
}

impl<K: Eq + Hash + Clone> Table<K> {
    /// What is counted for `key`, unless that is older than `window` seconds.
    fn of(&mut self, key: &K, now: Timestamp, window: i64) -> Option<&mut Count> {
        self.0.get_mut(key).filter(|count| elapsed(count.from, now) < window)
    }

    /// The count for `key`, begun anew where it is older than `window` seconds.
    fn count(&mut self, key: K, now: Timestamp, window: i64) -> &mut Count {
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.0.retain(|_, count| elapsed(count.from, now) < window);
        }
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            let least = self.0.iter().min_by_key(|(_, count)| (count.number, count.from));
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                self.0.remove(&least);
            }
        }
        let fresh = Count { from: now, number: 0, turn: Timestamp::from_secs(0) };
        let count = self.0.entry(key).or_insert(fresh);
        if elapsed(count.from, now) >= window {
            *count = fresh;
        }
        count
    }
}

/// Either way: a clock that is put back must not make anybody wait for longer.
fn elapsed(since: Timestamp, now: Timestamp) -> i64 {
    (now.micros() - since.micros()).abs().div_euclid(1_000_000)
}

/// Names are not kept, only what tells them apart.
fn digest_of(name: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let digest = digest::digest(&digest::SHA256, name.trim().to_lowercase().as_bytes());
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(n: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + n).into())
    }

    #[test]
    fn who_guesses_waits_ever_longer() {
        let patience = Patience::default();
        let mut now = Timestamp::from_secs(1_000_000);
        let mut waits = Vec::new();
        for _ in 0..18 {
            if let Err(wait) = patience.ask("jean", place(1), false, now) {
                waits.push(wait.seconds);
                now = now.plus_secs(wait.seconds);
                assert!(patience.ask("jean", place(1), false, now).is_ok());
            }
            patience.failed("jean", place(1), false, now);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]);
        // Other names and other places do not wait for it.
        assert!(patience.ask("jeanne", place(1), false, now).is_ok());
        assert!(patience.ask("jean", place(2), false, now).is_ok());
        // Nor does the owner's own browser at the same place; it waits for its own failures.
        assert!(patience.ask("jean", place(1), true, now).is_ok());
        for _ in 0..=FREE {
            patience.failed("jean", place(3), true, now);
        }
        assert!(patience.ask("jean", place(3), true, now).is_err());
        assert!(
            patience.ask("jean", place(3), true, now.plus_secs(-3_600)).is_ok(),
            "the clock was put back"
        );
        patience.came_in("JEAN ", place(1));
        assert!(patience.ask("jean", place(1), false, now).is_ok());
    }

    #[test]
    fn nobody_is_locked_out_by_others() {
        let patience = Patience::default();
        let now = Timestamp::from_secs(1_000_000);
        for n in 0..OF_A_NAME {
            assert!(patience.ask("jean", place(n), false, now).is_ok(), "{n}");
            patience.failed("jean", place(n), false, now);
        }
        // From now on those who were never seen take turns, wherever they are.
        let tries = |from: i64, to: i64| {
            let ask = |at: i64| patience.ask("jean", place(7_000 + at as u32), false, now.plus_secs(at));
            (from..to).filter(|at| ask(*at).is_ok()).count()
        };
        assert_eq!(tries(0, 60), 6);
        assert!(patience.ask("jean", place(7_000), true, now.plus_secs(1)).is_ok());
        assert_eq!(tries(HOUR, HOUR + 60), 60);
    }

    #[test]
    fn strangers_in_a_place_fail_thirty_times_a_minute() {
        let patience = Patience::default();
        let now = Timestamp::from_secs(1_000_000);
        let fails = |now| {
            let fail = |n: &i32| {
                let name = format!("n{n}");
                let asked = patience.ask(&name, place(1), false, now);
                asked.map(|()| patience.failed(&name, place(1), false, now)).is_ok()
            };
            (0..50).filter(fail).count()
        };
        assert_eq!(fails(now), 30);
        assert_eq!(fails(now.plus_secs(59)), 0);
        // Whoever has come in there before, and whoever gets it right, costs nobody a turn.
        assert!(patience.ask("jean", place(1), true, now).is_ok());
        assert_eq!(fails(now.plus_secs(60)), 30);
        let right = (0..50).filter(|n| patience.ask(&format!("r{n}"), place(2), false, now).is_ok());
        assert_eq!(right.count(), 50);
    }

    #[test]
    fn who_fills_the_tables_still_waits() {
        let patience = Patience::default();
        let now = Timestamp::from_secs(1_000_000);
        for _ in 0..FREE {
            patience.failed("jean", place(1), false, now);
        }
        for n in 0..20_000 {
            let _ = patience.ask(&format!("n{n}"), place(n), false, now);
            patience.failed(&format!("n{n}"), place(n), false, now);
        }
        assert!(patience.ask("jean", place(1), false, now).is_err(), "forgotten among so many");
        let tables = patience.0.lock().unwrap();
        for size in [tables.pairs.0.len(), tables.places.0.len(), tables.names.0.len()] {
            assert_eq!(size, MOST);
        }
    }
}
