//! What waits on the server for the second step of somebody who may be a stranger.
//!
//! Guarantees: what waits is good once and for [`SECS`]; only its name leaves the server; at most [`MOST`] wait, of one
//! household [`OF_A_PLACE`], and whoever begins more pushes out their own oldest first.

use crate::secret::{self, NoRandomness};
use model::Timestamp;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// How long something waits, in seconds.
pub(crate) const SECS: i64 = 300;
const MOST: usize = 4_096;
const OF_A_PLACE: usize = 256;

/// Things that wait, by names that cannot be guessed.
pub(crate) struct Waiting<T>(Mutex<HashMap<String, Entry<T>>>);

struct Entry<T> {
    place: IpAddr,
    from: Timestamp,
    state: T,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Waiting<T> {
    /// Keeps `state` for whoever comes back with the name that is returned.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub(crate) fn begin(&self, place: IpAddr, state: T, now: Timestamp) -> Result<String, NoRandomness> {
        let name = secret::fresh()?;
        let place = crate::listen::household(place);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_place = waiting.values().filter(|entry| entry.place == place).count();
        if of_place >= OF_A_PLACE || waiting.len() >= MOST {
            waiting.retain(|_, entry| entry.holds(now));
        }
        if waiting.values().filter(|entry| entry.place == place).count() >= OF_A_PLACE {
            push_out(&mut waiting, |entry| entry.place == place);
        } else if waiting.len() >= MOST {
            push_out(&mut waiting, |_| true);
        }
        waiting.insert(name.clone(), Entry { place, from: now, state });
        Ok(name)
    }

    /// Whether something waits under this name.
    pub(crate) fn is_waiting(&self, name: &str, now: Timestamp) -> bool {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(name).is_some_and(|entry| entry.holds(now))
    }

    /// What waits under this name; it is gone with this.
    pub(crate) fn take(&self, name: &str, now: Timestamp) -> Option<T> {
        let entry = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name)?;
        entry.holds(now).then_some(entry.state)
    }
}

impl<T> Entry<T> {
    /// Also false where the clock was put back meanwhile.
    fn holds(&self, now: Timestamp) -> bool {
        now >= self.from && now < self.from.plus_secs(SECS)
    }
}

fn push_out<T>(waiting: &mut HashMap<String, Entry<T>>, of: impl Fn(&Entry<T>) -> bool) {
    let oldest = waiting
        .iter()
        .filter(|(_, entry)| of(entry))
        .min_by_key(|(_, entry)| entry.from)
        .map(|(name, _)| name.clone());
    if let Some(name) = oldest {
        waiting.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(n: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + n).into())
    }

    #[test]
    fn what_waits_is_good_once_and_for_a_while() {
        let waiting = Waiting::<u8>::default();
        let now = Timestamp::from_secs(10_000);
        let name = waiting.begin(place(1), 7, now).unwrap();
        assert!(waiting.is_waiting(&name, now));
        assert_eq!(waiting.take(&name, now), Some(7));
        assert_eq!(waiting.take(&name, now), None);
        assert!(!waiting.is_waiting(&name, now));
        for wrong in [now.plus_secs(SECS), now.plus_secs(3_600), now.plus_secs(-3_600)] {
            let name = waiting.begin(place(1), 7, now).unwrap();
            assert!(!waiting.is_waiting(&name, wrong));
            assert_eq!(waiting.take(&name, wrong), None);
        }
        assert_eq!(waiting.take("", now), None);
    }

    #[test]
    fn whoever_begins_too_many_pushes_out_their_own() {
        let waiting = Waiting::<u32>::default();
        let now = Timestamp::from_secs(10_000);
        let mine = waiting.begin(place(1), 0, now).unwrap();
        for n in 0..1_000 {
            waiting.begin(place(2), n, now.plus_secs(i64::from(n) / 10)).unwrap();
        }
        let later = now.plus_secs(100);
        assert!(waiting.is_waiting(&mine, later));
        assert_eq!(waiting.0.lock().unwrap().len(), OF_A_PLACE + 1);
        for n in 0..6_000 {
            waiting.begin(place(n), n, later).unwrap();
        }
        assert_eq!(waiting.0.lock().unwrap().len(), MOST);
    }
}
