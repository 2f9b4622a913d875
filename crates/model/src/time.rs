//! Event time: microseconds since the Unix epoch, UTC. Written and read as RFC 3339 with microseconds.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment in event time, in microseconds since 1970-01-01T00:00:00Z.
///
/// Differences saturate; a recording whose clock jumps must not panic anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// What was not an RFC 3339 moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 moment such as 2026-01-31T12:00:00.000000Z, found {0:?}")]
pub struct TimestampError(String);

impl Timestamp {
    /// The earliest and latest moments that can be written as RFC 3339 (years 0001 to 9999).
    const MIN: i64 = -62_135_596_800_000_000;
    const MAX: i64 = 253_402_300_799_999_999;

    /// From microseconds since the epoch, clamped to the years 0001 to 9999.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN {
            Self(Self::MIN)
        } else if micros > Self::MAX {
            Self(Self::MAX)
        } else {
            Self(micros)
        }
    }

    /// From whole seconds since the epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// From fractional seconds since the epoch, as Zeek writes them.
    #[must_use]
    pub fn from_secs_f64(secs: f64) -> Self {
        Self::from_micros((secs * 1e6).round() as i64)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Seconds from `earlier` to this moment; negative where this is the earlier one.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }

    /// Microseconds from `earlier` to this moment; negative where this is the earlier one.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment moved by microseconds.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// This moment moved by whole seconds.
    #[must_use]
    pub const fn plus_secs(self, secs: i64) -> Self {
        self.plus_micros(secs.saturating_mul(1_000_000))
    }

    /// Reads RFC 3339; any offset is taken and turned into UTC. Suricata's `+0000` without a colon is read too.
    ///
    /// # Errors
    /// [`TimestampError`] with the text that was not a moment.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let error = || TimestampError(text.chars().take(64).collect());
        let read = |text: &str| OffsetDateTime::parse(text, &Rfc3339);
        let moment = match read(text) {
            Ok(moment) => moment,
            Err(_) => {
                // "2020-02-16T16:45:46.912858+0000": the offset lacks its colon.
                let split =
                    text.len().checked_sub(2).filter(|&at| text.is_char_boundary(at)).ok_or_else(error)?;
                let (head, minutes) = text.split_at(split);
                read(&format!("{head}:{minutes}")).map_err(|_| error())?
            }
        };
        Ok(Self::from_micros((moment.unix_timestamp_nanos() / 1_000) as i64))
    }

    fn date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.date_time();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.microsecond()
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_what_suricata_writes() {
        for (text, micros) in [
            ("1970-01-01T00:00:00.000001Z", 1),
            ("2020-02-16T16:45:46.912858+0000", 1_581_871_546_912_858),
            ("2021-06-06T15:59:46.457984+0200", 1_622_987_986_457_984),
            ("2021-06-06T15:59:46+02:00", 1_622_987_986_000_000),
        ] {
            let read = Timestamp::parse(text).unwrap();
            assert_eq!(read.micros(), micros, "{text}");
            assert_eq!(Timestamp::parse(&read.to_string()).unwrap(), read);
        }
        for bad in ["", "x", "é", "2020-13-01T00:00:00Z", "1581871546"] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clamps_to_what_can_be_written() {
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_micros(i64::MIN).to_string(), "0001-01-01T00:00:00.000000Z");
    }
}
