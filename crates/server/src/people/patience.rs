//! How long somebody who guesses has to wait.
//!
//! Guarantees: what a stranger does from elsewhere never closes the door to the owner of an account. Failures are counted
//! for a name *from a place* (an address, for IPv6 its /64), and for a place; a name that is guessed at from many places
//! closes for places where its owner was never seen, and stays open where they were, and for passkeys, which cannot be
//! guessed. Tables are bounded: where they are full, unknown places wait.

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
/// Attempts of one place within a minute, whatever the name.
const OF_A_PLACE: u32 = 30;
/// Failures of one name from everywhere within an hour before unknown places are refused.
const OF_A_NAME: u32 = 100;
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

struct Table<K> {
    counts: HashMap<K, Count>,
    /// When what is over was last taken out.
    cleared: Timestamp,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { counts: HashMap::new(), cleared: Timestamp::from_secs(0) }
    }
}

#[derive(Clone, Copy)]
struct Count {
    /// The last failure of a pair; the beginning of the window of a place or a name.
    last: Timestamp,
    number: u32,
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
        let too_many = match tables.places.count(place, now, MINUTE) {
            None => Some(MINUTE),
            Some(here) => {
                here.number = here.number.saturating_add(1);
                (here.number > OF_A_PLACE).then(|| MINUTE - elapsed(here.last, now))
            }
        };
        if let Some(seconds) = too_many.filter(|_| !known) {
            return Err(Wait { seconds });
        }
        if let Some(pair) = tables.pairs.counts.get(&(name, place, known))
            && pair.number >= FREE
        {
            let doublings = (pair.number - FREE).min(16);
            let wait = (FIRST_WAIT << doublings).min(LONGEST_WAIT) - elapsed(pair.last, now);
            if wait > 0 {
                return Err(Wait { seconds: wait });
            }
        }
        match tables.names.counts.get(&name) {
            Some(all) if !known && all.number >= OF_A_NAME && elapsed(all.last, now) < HOUR => {
                Err(Wait { seconds: HOUR - elapsed(all.last, now) })
            }
            _ => Ok(()),
        }
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, name: &str, place: IpAddr, known: bool, now: Timestamp) {
        let (name, place) = (digest_of(name), crate::listen::household(place));
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = &mut *tables;
        if let Some(pair) = tables.pairs.count((name, place, known), now, FORGOTTEN) {
            *pair = Count { last: now, number: pair.number.saturating_add(1) };
        }
        if let Some(all) = tables.names.count(name, now, HOUR) {
            all.number = all.number.saturating_add(1);
        }
    }

    /// The owner came in from there: what was counted for this name from this place is forgotten.
    pub(crate) fn came_in(&self, name: &str, place: IpAddr) {
        let (name, place) = (digest_of(name), crate::listen::household(place));
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for known in [false, true] {
            tables.pairs.counts.remove(&(name, place, known));
        }
    }
}

impl<K: Eq + Hash> Table<K> {
    /// The count for `key`, begun anew where it is older than `window` seconds; unset where the table is full.
    fn count(&mut self, key: K, now: Timestamp, window: i64) -> Option<&mut Count> {
        if self.counts.len() >= MOST && !self.counts.contains_key(&key) {
            if elapsed(self.cleared, now) > 0 {
                self.counts.retain(|_, count| elapsed(count.last, now) < window);
                self.cleared = now;
            }
            if self.counts.len() >= MOST {
                return None;
            }
        }
        let fresh = Count { last: now, number: 0 };
        let count = self.counts.entry(key).or_insert(fresh);
        if elapsed(count.last, now) >= window {
            *count = fresh;
        }
        Some(count)
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
        assert!(patience.ask("jean", place(7_000), false, now).is_err());
        assert!(patience.ask("jean", place(7_000), true, now).is_ok());
        assert!(patience.ask("jean", place(7_000), false, now.plus_secs(HOUR)).is_ok());
    }

    #[test]
    fn a_place_tries_thirty_times_a_minute() {
        let patience = Patience::default();
        let now = Timestamp::from_secs(1_000_000);
        let tries =
            |now| (0..50).filter(|n| patience.ask(&format!("n{n}"), place(1), false, now).is_ok()).count();
        assert_eq!(tries(now), 30);
        assert_eq!(tries(now.plus_secs(59)), 0);
        assert_eq!(tries(now.plus_secs(60)), 30);
    }

    #[test]
    fn tables_stay_bounded() {
        let patience = Patience::default();
        let now = Timestamp::from_secs(1_000_000);
        for n in 0..20_000 {
            let _ = patience.ask(&format!("n{n}"), place(n), false, now);
            patience.failed(&format!("n{n}"), place(n), false, now);
        }
        let tables = patience.0.lock().unwrap();
        assert!(tables.pairs.counts.len() <= MOST);
        assert!(tables.places.counts.len() <= MOST && tables.names.counts.len() <= MOST);
    }
}
