//! The clock that every host of the city shares: CLOCK_REALTIME, in microseconds, as the captures have it.

use model::Timestamp;
use std::{
    thread,
    time::{Duration, SystemTime},
};

/// Now.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the lab is a shell around a real kernel and measures real time"
)]
pub fn now() -> Timestamp {
    let micros =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Sleeps.
pub(crate) fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

/// Looks every 20 ms until it holds; false where `millis` pass first.
pub(crate) fn wait_until(millis: u64, mut holds: impl FnMut() -> bool) -> bool {
    let start = now();
    loop {
        if holds() {
            return true;
        }
        if now().micros_since(start) > i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1000) {
            return false;
        }
        pause(20);
    }
}
