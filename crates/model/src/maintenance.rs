//! When somebody works on a device: what it does then is expected.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: i64 = 24 * 60;

/// A time at which a device is worked on, every week or once.
///
/// Written as `sun 02:00-04:00`, `mon-fri 22:00-05:00 +01:00` (days, from, to, and how far the clock there is from UTC, which it
/// is without), or as `2026-12-01T22:00Z/2026-12-02T02:00Z`. A window that ends before it begins ends on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Maintenance {
    /// Every week.
    Weekly {
        /// Bit 0 is Monday.
        days: u8,
        /// Minute of the day.
        from: u16,
        /// Minute of the day; not after `from` where it is on the next.
        to: u16,
        /// Minutes by which the clock there is ahead of UTC.
        ahead: i16,
    },
    /// Once.
    Once {
        /// From then.
        from: Timestamp,
        /// Until then.
        to: Timestamp,
    },
}

/// Why a text is no maintenance window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected days and times such as “sun 02:00-04:00”, or an interval such as “2026-12-01T22:00Z/2026-12-02T02:00Z”"
)]
pub struct MaintenanceError;

impl Maintenance {
    /// Whether it is on at a moment.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        match *self {
            Self::Once { from, to } => (from..to).contains(&at),
            Self::Weekly { days, from, to, ahead } => {
                let minutes = at.micros().div_euclid(60_000_000) + i64::from(ahead);
                // The first of January 1970 was a Thursday.
                let day = (minutes.div_euclid(DAY_MINUTES) + 3).rem_euclid(7);
                let minute = minutes.rem_euclid(DAY_MINUTES);
                let on = |day: i64| days >> day.rem_euclid(7) & 1 == 1;
                let (from, to) = (i64::from(from), i64::from(to));
                if from < to {
                    on(day) && (from..to).contains(&minute)
                } else {
                    (on(day) && minute >= from) || (on(day - 1) && minute < to)
                }
            }
        }
    }
}

impl FromStr for Maintenance {
    type Err = MaintenanceError;

    fn from_str(text: &str) -> Result<Self, MaintenanceError> {
        if let Some((from, to)) = text.split_once('/') {
            let (from, to) = (moment(from)?, moment(to)?);
            return if from < to { Ok(Self::Once { from, to }) } else { Err(MaintenanceError) };
        }
        let mut words = text.split_whitespace();
        let days = days(words.next().ok_or(MaintenanceError)?)?;
        let (from, to) = words.next().and_then(|times| times.split_once('-')).ok_or(MaintenanceError)?;
        let (from, to) = (minute(from)?, minute(to)?);
        let ahead = words.next().map_or(Ok(0), offset)?;
        if words.next().is_some() || from == DAY_MINUTES as u16 {
            return Err(MaintenanceError);
        }
        Ok(Self::Weekly { days, from, to: to % DAY_MINUTES as u16, ahead })
    }
}

/// RFC 3339; seconds may be left out.
fn moment(text: &str) -> Result<Timestamp, MaintenanceError> {
    let text = text.trim();
    let with_seconds = |at: usize| text.split_at_checked(at).map(|(head, tail)| format!("{head}:00{tail}"));
    Timestamp::parse(text)
        .or_else(|_| Timestamp::parse(&with_seconds(16).unwrap_or_default()))
        .map_err(|_| MaintenanceError)
}

/// `mon`, `mon-fri`, `sat,sun`, `daily`.
fn days(text: &str) -> Result<u8, MaintenanceError> {
    let text = text.to_ascii_lowercase();
    if text == "daily" {
        return Ok(0x7f);
    }
    let day = |name: &str| {
        let name = name.get(..3).ok_or(MaintenanceError)?;
        DAYS.iter().position(|known| *known == name).ok_or(MaintenanceError)
    };
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days |= 1 << at;
        while at != last {
            at = (at + 1) % 7;
            days |= 1 << at;
        }
    }
    Ok(days)
}

fn minute(text: &str) -> Result<u16, MaintenanceError> {
    let (hour, minute) = text.split_once(':').ok_or(MaintenanceError)?;
    let number = |text: &str| match text.len() {
        1 | 2 if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().map_err(|_| MaintenanceError),
        _ => Err(MaintenanceError),
    };
    let (hour, minute): (u16, u16) = (number(hour)?, number(minute)?);
    let fits = minute < 60 && (hour < 24 || (hour, minute) == (24, 0));
    if fits { Ok(hour * 60 + minute) } else { Err(MaintenanceError) }
}

/// `UTC`, `Z`, `+02:00`.
fn offset(text: &str) -> Result<i16, MaintenanceError> {
    if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
        return Ok(0);
    }
    let (sign, rest) = text.split_at_checked(1).ok_or(MaintenanceError)?;
    let minutes = i16::try_from(minute(rest)?).map_err(|_| MaintenanceError)?;
    match sign {
        "+" if minutes <= 14 * 60 => Ok(minutes),
        "-" if minutes <= 14 * 60 => Ok(-minutes),
        _ => Err(MaintenanceError),
    }
}

impl fmt::Display for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Once { from, to } => write!(f, "{from}/{to}"),
            Self::Weekly { days, from, to, ahead } => {
                let on = DAYS.iter().enumerate().filter(|(day, _)| days >> day & 1 == 1);
                let named: Vec<&str> = on.map(|(_, name)| *name).collect();
                let (hour, minute, away, rest) = (from / 60, from % 60, ahead.abs() / 60, ahead.abs() % 60);
                write!(f, "{} {hour:02}:{minute:02}-{:02}:{:02}", named.join(","), to / 60, to % 60)?;
                match ahead {
                    0 => Ok(()),
                    ahead => write!(f, " {}{away:02}:{rest:02}", if ahead < 0 { '-' } else { '+' }),
                }
            }
        }
    }
}

impl TryFrom<String> for Maintenance {
    type Error = MaintenanceError;

    fn try_from(text: String) -> Result<Self, MaintenanceError> {
        text.parse()
    }
}

impl From<Maintenance> for String {
    fn from(window: Maintenance) -> Self {
        window.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_on_when_they_say() {
        // 2026-11-22 is a Sunday.
        for (window, at, expected) in [
            ("sun 02:00-04:00", "2026-11-22T02:00:00Z", true),
            ("sun 02:00-04:00", "2026-11-22T04:00:00Z", false),
            ("sun 02:00-04:00", "2026-11-23T03:00:00Z", false),
            ("Sunday 2:00-4:00 +01:00", "2026-11-22T01:30:00Z", true),
            ("sun 02:00-04:00 +01:00", "2026-11-22T03:30:00Z", false),
            ("sat 22:00-05:00", "2026-11-22T04:59:00Z", true),
            ("sat 22:00-05:00", "2026-11-22T22:30:00Z", false),
            ("mon-fri 00:00-24:00", "2026-11-22T12:00:00Z", false),
            ("mon-fri 00:00-24:00", "2026-11-27T23:59:59Z", true),
            ("fri-mon 00:00-24:00", "2026-11-22T12:00:00Z", true),
            ("daily 12:00-13:00", "2026-11-22T12:30:00Z", true),
            ("2026-11-22T22:00Z/2026-11-23T02:00Z", "2026-11-23T01:59:59Z", true),
            ("2026-11-22T22:00Z/2026-11-23T02:00Z", "2026-11-23T02:00:00Z", false),
        ] {
            let read: Maintenance = window.parse().unwrap();
            assert_eq!(read.covers(Timestamp::parse(at).unwrap()), expected, "{window} at {at}");
            assert_eq!(read.to_string().parse(), Ok(read), "{window}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "sun",
            "sun 02:00",
            "sun 25:00-26:00",
            "xyz 02:00-04:00",
            "sun 02:00-04:00 +25:00",
            "sun 2-4",
            "2026-11-23T02:00Z/2026-11-22T22:00Z",
            "sun 02:00-04:00 UTC more",
            "sun 24:00-02:00",
            "é",
            "sun 0é:00-04:00",
            "sun 02:00-04:00 é",
        ] {
            assert_eq!(text.parse::<Maintenance>(), Err(MaintenanceError), "{text}");
        }
    }
}
