//! How reading and writing are going: since when something is wrong, and what.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How one of the two is going. Well until told otherwise.
#[derive(Debug, Default)]
pub(crate) struct Condition(Mutex<Option<Trouble>>);

#[derive(Debug)]
struct Trouble {
    since: Instant,
    what: String,
}

impl Condition {
    /// It worked. True where it had not before.
    pub(crate) fn well(&self) -> bool {
        self.locked().take().is_some()
    }

    /// It did not work. True where it had before.
    pub(crate) fn failing(&self, what: String) -> bool {
        let mut trouble = self.locked();
        let news = trouble.is_none();
        let since = trouble.as_ref().map_or_else(Instant::now, |trouble| trouble.since);
        *trouble = Some(Trouble { since, what });
        news
    }

    /// What is wrong, and for how long.
    pub(crate) fn trouble(&self) -> Option<(String, Duration)> {
        self.locked().as_ref().map(|trouble| (trouble.what.clone(), trouble.since.elapsed()))
    }

    fn locked(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
