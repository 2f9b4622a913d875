//! The wall clock: the only place of the sensor that reads it.

use model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the clock that the kernel stamps packets with.
#[expect(clippy::disallowed_methods, reason = "living traffic is watched at the time it lives")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
