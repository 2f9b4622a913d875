//! What the server's clock says, as a hint for people: nothing is set by it and nothing is refused for it.

use model::Timestamp;

/// How far two clocks may be apart before it is worth a word, in seconds.
const WORTH_A_WORD: f64 = 300.0;

/// A word about the clock, where `Date` of an answer says something else.
#[must_use]
pub fn hint(date: Option<&str>, now: Timestamp) -> Option<String> {
    let theirs = moment(date?)?;
    if now.seconds_since(theirs).abs() < WORTH_A_WORD {
        return None;
    }
    Some(format!("the server's clock says {theirs}, the clock of this device {now}: is it right?"))
}

/// `Sun, 22 Nov 2026 12:00:00 GMT` (RFC 9110, 5.6.7).
fn moment(date: &str) -> Option<Timestamp> {
    let mut words = date.strip_suffix(" GMT")?.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_told_and_no_other() {
        let now = Timestamp::parse("2026-11-22T12:00:00Z").unwrap();
        let check =
            |date: &str, expected: bool| assert_eq!(hint(Some(date), now).is_some(), expected, "{date}");
        check("Sun, 22 Nov 2026 12:00:00 GMT", false);
        check("Sun, 22 Nov 2026 12:04:00 GMT", false);
        check("Sun, 22 Nov 2026 12:06:00 GMT", true);
        check("Sat, 22 Nov 2025 12:00:00 GMT", true);
        check("Sat, 22 Foo 2025 12:00:00 GMT", false);
        check("", false);
        check("2026", false);
        assert_eq!(hint(None, now), None);
    }
}
