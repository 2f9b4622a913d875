//! Parts that fail are started again.
//!
//! Guarantees: a panic in a part ends neither the process nor the other parts; the part begins anew after a pause
//! that grows while it keeps failing; how often and why is known.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A part that ran so long was well: the next failure is a first one again.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// How the parts of a sensor are, and whether they are to go on.
#[derive(Debug, Default)]
pub(crate) struct Health {
    stop: AtomicBool,
    restarts: AtomicU64,
    last_fault: Mutex<Option<String>>,
}

impl Health {
    /// Asks all parts to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(crate) fn last_fault(&self) -> Option<String> {
        self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fault(&self, part: &str, why: &str) {
        tracing::error!(part, why, "a part of the sensor failed and is started again");
        self.restarts.fetch_add(1, Ordering::Relaxed);
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{part}: {why}"));
    }
}

/// Runs a part until the sensor is stopped. `run` returns when it is asked to stop, or with why it cannot go on;
/// `mend` puts the part's state in order before it runs again.
pub(crate) fn supervise<T>(
    part: &str,
    health: &Health,
    state: &mut T,
    mut run: impl FnMut(&mut T) -> Result<(), String>,
    mut mend: impl FnMut(&mut T),
) {
    let mut pause = FIRST_PAUSE;
    while !health.is_stopping() {
        let began = Instant::now();
        // What a panic leaves half done in the state is what `mend` is for.
        let why = match catch_unwind(AssertUnwindSafe(|| run(state))) {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(panic) => words_of(&*panic),
        };
        health.fault(part, &why);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| mend(state))) {
            health.fault(part, &words_of(&*panic));
        }
        if began.elapsed() >= WELL_AFTER {
            pause = FIRST_PAUSE;
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !health.is_stopping() {
            thread::sleep(FIRST_PAUSE.min(until.saturating_duration_since(Instant::now())));
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_panics_is_mended_and_started_again() {
        let health = Health::default();
        let mut state = (0, 0);
        supervise(
            "part",
            &health,
            &mut state,
            |(runs, _)| {
                *runs += 1;
                match *runs {
                    1 => panic!("at run {runs}"),
                    2 => Err("no luck".into()),
                    _ => Ok(()),
                }
            },
            |(_, mends)| *mends += 1,
        );
        assert_eq!(state, (3, 2));
        assert_eq!((health.restarts(), health.last_fault().unwrap().as_str()), (2, "part: no luck"));
    }

    #[test]
    fn a_part_that_always_fails_ends_when_it_is_asked_to() {
        let health = Health::default();
        thread::scope(|scope| {
            scope.spawn(|| supervise("part", &health, &mut (), |()| Err("never".into()), |()| {}));
            thread::sleep(Duration::from_millis(300));
            assert!(health.restarts() <= 4, "{} restarts in 300 ms", health.restarts());
            health.stop();
        });
    }
}
