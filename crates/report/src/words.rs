//! Numbers, spans and moments as a person reads them. The same words in terminal, report and console.

use model::{IncidentAsset, Proof, Role, Severity, Tactic, Timestamp};

/// A count with thin spaces between the thousands: `1 294 443`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `1 flow`, `2 flows`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A measured value: whole numbers as counts, others with as many digits as matter.
#[must_use]
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let size = value.abs();
    if size >= 1e15 || (size > 0.0 && size < 1e-4) {
        return format!("{value:.1e}");
    }
    let sign = if value < 0.0 { "−" } else { "" };
    if size.fract() == 0.0 || size >= 1_000.0 {
        return format!("{sign}{}", count(size.round() as u64));
    }
    let digits = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 0.1 {
        2
    } else {
        4
    };
    let text = format!("{size:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{sign}{text}")
}

/// Bytes in units of 1 024.
#[must_use]
pub fn bytes(number: u64) -> String {
    let mut size = number as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if size < 1_024.0 || unit == "TiB" {
            let digits = usize::from(unit != "B" && size < 10.0);
            return format!("{size:.digits$} {unit}");
        }
        size /= 1_024.0;
    }
    String::new()
}

/// A span of time in the two units that matter: `0.6 s`, `15 min 35 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn span(micros: i64) -> String {
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    match seconds {
        0 if micros == 0 => "0 s".into(),
        0 if micros < 1_000 => format!("{micros} µs"),
        0 if micros < 100_000 => format!("{} ms", micros / 1_000),
        0..=9 => format!("{:.1} s", micros as f64 / 1e6),
        10..=59 => format!("{seconds} s"),
        60..=3_599 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..=86_399 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn two(great: u64, great_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{} {great_unit}", count(great))
    } else {
        format!("{} {great_unit} {small} {small_unit}", count(great))
    }
}

/// `2016-10-21`.
#[must_use]
pub fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// `02:14:00`.
#[must_use]
pub fn clock(at: Timestamp) -> String {
    at.to_string().chars().skip(11).take(8).collect()
}

/// `2016-10-21 02:14:00`, UTC.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    format!("{} {}", day(at), clock(at))
}

/// From when to when, with the day named once where it is the same.
#[must_use]
pub fn between(first: Timestamp, last: Timestamp) -> String {
    if last <= first {
        format!("{} UTC", moment(first))
    } else if day(first) == day(last) {
        format!("{} – {} UTC", moment(first), clock(last))
    } else {
        format!("{} – {} UTC", moment(first), moment(last))
    }
}

/// What a severity asks of the reader.
#[must_use]
pub const fn severity_means(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "An attack that succeeds or does harm. Act at once.",
        Severity::High => "Needs a person now.",
        Severity::Medium => "Needs a person today.",
        Severity::Low => "Look at it when there is time.",
        Severity::Info => "Worth knowing, nothing to do.",
    }
}

/// A stage as somebody says it who has never heard of ATT&CK.
#[must_use]
pub const fn stage_means(stage: Tactic) -> &'static str {
    match stage {
        Tactic::Reconnaissance => "looking for a way in",
        Tactic::InitialAccess => "getting in",
        Tactic::Execution => "running the attacker's program",
        Tactic::Persistence => "staying in",
        Tactic::CredentialAccess => "guessing or stealing passwords",
        Tactic::Discovery => "looking around inside",
        Tactic::LateralMovement => "spreading to neighbours",
        Tactic::CommandAndControl => "taking orders",
        Tactic::Exfiltration => "carrying data out",
        Tactic::Impact => "doing harm",
    }
}

/// A stage as a heading: `Command and control`.
#[must_use]
pub const fn stage_title(stage: Tactic) -> &'static str {
    match stage {
        Tactic::Reconnaissance => "Reconnaissance",
        Tactic::InitialAccess => "Initial access",
        Tactic::Execution => "Execution",
        Tactic::Persistence => "Persistence",
        Tactic::CredentialAccess => "Credential access",
        Tactic::Discovery => "Discovery",
        Tactic::LateralMovement => "Lateral movement",
        Tactic::CommandAndControl => "Command and control",
        Tactic::Exfiltration => "Exfiltration",
        Tactic::Impact => "Impact",
    }
}

/// What somebody in a role did or suffered.
#[must_use]
pub const fn role_means(role: Role) -> &'static str {
    match role {
        Role::Infected => "taken over and used by somebody else",
        Role::Attacker => "acted against others",
        Role::Controller => "gave orders to what was taken over",
        Role::Victim => "suffered the harm",
        Role::Reflector => "was made to answer to somebody who never asked",
        Role::Target => "was aimed at",
    }
}

/// How sure it is that an address is its owner's.
#[must_use]
pub const fn proof_means(asset: &IncidentAsset) -> &'static str {
    match (asset.proof, asset.role) {
        (Proof::None, Role::Victim | Role::Target) => "only sent to",
        (Proof::None, _) => "could be forged",
        (Proof::Handshake, _) => "completed a connection",
        (Proof::Hardware, _) => "bound to its hardware address",
    }
}

/// Lines that say the same, once, with how often it was said.
#[must_use]
pub fn once(lines: &[String]) -> Vec<String> {
    let mut told: Vec<(&str, u64)> = Vec::new();
    for line in lines {
        if let Some((_, times)) = told.iter_mut().find(|(known, _)| known == line) {
            *times += 1;
        } else if told.len() < 40 {
            told.push((line, 1));
        }
    }
    told.into_iter()
        .map(|(line, times)| if times > 1 { format!("{line} (×{})", count(times)) } else { line.to_owned() })
        .collect()
}

/// Ours, or from outside.
#[must_use]
pub const fn side(asset: &IncidentAsset) -> &'static str {
    if asset.home { "ours" } else { "outside" }
}

/// How sure a figure from 0 to 100 is, in a word.
#[must_use]
pub const fn sureness(confidence: u8) -> &'static str {
    match confidence {
        90.. => "almost certain",
        70..=89 => "likely",
        50..=69 => "probable",
        30..=49 => "possible",
        _ => "a weak sign",
    }
}

/// The name of a kind for people: `lock-hub` is a lock hub.
pub(crate) fn kind(name: &str) -> String {
    name.replace('-', " ")
}

/// A device in a line: what it seems to be, its name, addresses and hardware.
pub(crate) fn device(device: &crate::Device) -> String {
    let sure = if device.reasons.is_empty() { String::new() } else { format!(" ({} %)", device.confidence) };
    let mac = device.mac.map(|mac| mac.to_string());
    let addresses = device.addresses.iter().take(3).map(ToString::to_string);
    let facts = device.name.iter().cloned().chain(addresses).chain(mac).chain(device.vendor.clone());
    format!("{}{sure}  {}", kind(&device.kind), facts.collect::<Vec<_>>().join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (1_294_443, "1\u{202f}294\u{202f}443")]
        {
            assert_eq!(count(number), expected);
        }
        assert_eq!(counted(1, "flow", "flows"), "1 flow");
        assert_eq!(counted(0, "flow", "flows"), "0 flows");
        for (value, expected) in [
            (0.0, "0"),
            (10_412.4, "10\u{202f}412"),
            (12.0, "12"),
            (12.34, "12.3"),
            (0.95, "0.95"),
            (0.5, "0.5"),
            (0.0123, "0.0123"),
            (250.4, "250"),
            (-3.0, "−3"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
            (f64::MAX, "1.8e308"),
            (f64::MIN_POSITIVE, "2.2e-308"),
        ] {
            assert_eq!(figure(value), expected, "{value}");
        }
        for (number, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (181_222_931, "173 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(number), expected);
        }
    }

    #[test]
    fn spans_have_the_two_units_that_matter() {
        for (micros, expected) in [
            (0, "0 s"),
            (900, "900 µs"),
            (45_000, "45 ms"),
            (600_000, "0.6 s"),
            (13_000_000, "13 s"),
            (60_000_000, "1 min"),
            (935_000_000, "15 min 35 s"),
            (7_500_000_000, "2 h 5 min"),
            (273_600_000_000, "3 d 4 h"),
            (-1_000_000, "1.0 s"),
            (i64::MIN, "106\u{202f}751\u{202f}991 d 4 h"),
        ] {
            assert_eq!(span(micros), expected);
        }
    }

    #[test]
    fn the_same_is_said_once() {
        let lines = ["a", "b", "a", "a"].map(str::to_owned);
        assert_eq!(once(&lines), ["a (×3)", "b"]);
        assert_eq!(once(&[]), Vec::<String>::new());
    }

    #[test]
    fn moments_name_the_day_once() {
        let at = |text| Timestamp::parse(text).unwrap();
        let check = |first, last, expected: &str| assert_eq!(between(at(first), at(last)), expected);
        check("2016-10-21T02:14:00Z", "2016-10-21T02:15:35.5Z", "2016-10-21 02:14:00 – 02:15:35 UTC");
        check(
            "2016-10-21T23:59:59Z",
            "2016-10-22T00:00:01Z",
            "2016-10-21 23:59:59 – 2016-10-22 00:00:01 UTC",
        );
        check("2016-10-21T02:14:00Z", "2016-10-21T02:14:00Z", "2016-10-21 02:14:00 UTC");
    }
}
