//! What the drill claims of Bastide, and whether it is so.

use crate::{
    measure::{analysis::Analysis, outcome::Outcome},
    run::Mode,
};
use model::Timestamp;
use serde::Serialize;

/// The longest that containment may take, in seconds.
const CONTAINED_WITHIN: f64 = 1.0;
/// The largest share of the watched run's flood that the victim may get.
const VICTIM_SHARE: f64 = 0.01;
/// The smallest share of citizens' lookups that must be answered.
const NAMES_ANSWERED: f64 = 0.995;
/// What the unprotected attack must reach: packets a second, and for how many seconds.
const ATTACK_SECONDS: u64 = 10;

/// A claim and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// Of which run.
    pub run: Mode,
    /// What is claimed.
    pub claim: String,
    /// What was measured.
    pub measured: String,
    /// Whether it is so.
    pub met: bool,
}

/// All claims of a drill.
pub(crate) fn claims(runs: &[Outcome], analyses: &[(Mode, Option<Analysis>)]) -> Vec<Claim> {
    let mut claims = Vec::new();
    let watched = runs.iter().find(|run| run.mode == Mode::Watched);
    for run in runs {
        match run.mode {
            Mode::Watched => of_watched(run, &mut claims),
            Mode::Responding | Mode::OutOfSight => of_responding(run, watched, &mut claims),
        }
        of_all(run, &mut claims);
    }
    for (mode, analysis) in analyses {
        let Some(analysis) = analysis else { continue };
        claims.push(Claim {
            run: *mode,
            claim: "the captures, analysed, give the incidents that were lived".into(),
            measured: if analysis.differs.is_empty() {
                format!("{} of {}, {} under the same id", analysis.same, analysis.lived, analysis.same_id)
            } else {
                analysis.differs.join("; ")
            },
            met: analysis.differs.is_empty() && analysis.lived > 0,
        });
    }
    claims
}

fn of_watched(run: &Outcome, claims: &mut Vec<Claim>) {
    let mut claim = |claim: &str, measured: String, met| {
        claims.push(Claim { run: run.mode, claim: claim.into(), measured, met });
    };
    claim(
        "unprotected, the flood has 10 000 packets/s or more for 10 s or more",
        format!("{} s, at most {}/s", run.loud_seconds, grouped(run.peak)),
        run.loud_seconds >= ATTACK_SECONDS,
    );
    claim("the attack is noticed", moment(run.finding, run.takeover, "takeover"), run.finding.is_some());
    claim("nothing is done", format!("{} commands", run.acts.len()), run.acts.is_empty());
}

fn of_responding(run: &Outcome, watched: Option<&Outcome>, claims: &mut Vec<Claim>) {
    let mut claim = |claim: &str, measured: String, met| {
        claims.push(Claim { run: run.mode, claim: claim.into(), measured, met });
    };
    let (from, what) = match run.mode {
        Mode::OutOfSight => (run.first_attack, "first attack packet"),
        _ if run.takeover.is_some() => (run.takeover, "takeover"),
        // Cut off in time: the loader never got in, so the login is what there is.
        _ => (run.login, "first login"),
    };
    claim("the attack is noticed", moment(run.finding, from, what), run.finding.is_some());
    claim(
        "the camera is cut off within a second",
        moment(run.contained, from, what),
        within(run.contained, from),
    );
    claim(
        "no attack packet leaves the city more than a second after the first one",
        match (run.last_left, run.first_attack) {
            (None, _) => "none left".into(),
            (last, first) => moment(last, first, "first attack packet"),
        },
        run.last_left.is_none() || within(run.last_left, run.first_attack),
    );
    let harm = |run: &Outcome| run.victim_got + run.victim_by_resolver;
    if let Some(watched) = watched {
        let share = harm(run) as f64 / harm(watched).max(1) as f64;
        claim(
            "the victim gets at most a hundredth of what it got unprotected",
            format!("{:.3} %", share * 100.0),
            share <= VICTIM_SHARE,
        );
    }
    let lost: u64 = run.lost.iter().map(|lost| lost.lost).sum();
    let whose: Vec<&str> = run.lost.iter().map(|lost| lost.device.as_str()).collect();
    let from_whom = if whose.is_empty() { String::new() } else { format!(": {}", whose.join(", ")) };
    claim(
        "innocent devices lose no telemetry",
        format!("{lost} of {} messages{from_whom}", grouped(run.telemetry)),
        lost == 0,
    );
    let names = run.names_during;
    claim(
        "citizens' lookups are answered throughout",
        format!("{} of {}", names.answered, names.asked),
        names.asked > 0 && names.answered as f64 >= names.asked as f64 * NAMES_ANSWERED,
    );
    claim(
        "nothing is cut wrongly",
        if run.wrongly.is_empty() { "none".into() } else { run.wrongly.join(", ") },
        run.wrongly.is_empty(),
    );
    claim(
        "undo brings the camera back",
        match &run.undone {
            Some(undone) if undone.back => format!("{} after {:.1} s", undone.device, undone.seconds),
            Some(undone) => format!("{} is not back", undone.device),
            None => "nothing to undo".into(),
        },
        run.undone.as_ref().is_some_and(|undone| undone.back),
    );
}

fn of_all(run: &Outcome, claims: &mut Vec<Claim>) {
    claims.push(Claim {
        run: run.mode,
        claim: "nobody innocent is accused".into(),
        measured: if run.accused.is_empty() { "nobody".into() } else { run.accused.join("; ") },
        met: run.accused.is_empty(),
    });
    claims.push(Claim {
        run: run.mode,
        claim: "the administrator, the inventory, firmware and telemetry go through".into(),
        measured: if run.decoys_hurt.is_empty() {
            format!("{} of {}", run.decoys, run.decoys)
        } else {
            format!("hurt: {}", run.decoys_hurt.join(", "))
        },
        met: run.decoys_hurt.is_empty() && run.decoys > 0,
    });
}

fn within(at: Option<Timestamp>, from: Option<Timestamp>) -> bool {
    matches!((at, from), (Some(at), Some(from)) if at.seconds_since(from) <= CONTAINED_WITHIN)
}

/// A moment, told from another one.
pub(crate) fn moment(at: Option<Timestamp>, from: Option<Timestamp>, what: &str) -> String {
    match (at, from) {
        (None, _) => "never".into(),
        (Some(at), None) => format!("at {at} (no {what})"),
        (Some(at), Some(from)) => {
            let seconds = at.seconds_since(from);
            if seconds < 0.0 {
                format!("{:.2} s before the {what}", -seconds)
            } else {
                format!("{seconds:.2} s after the {what}")
            }
        }
    }
}

/// A number with thin groups, as people read them.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_moments_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), text);
        }
        let at = Timestamp::from_secs(100);
        assert_eq!(moment(Some(at.plus_micros(250_000)), Some(at), "takeover"), "0.25 s after the takeover");
        assert_eq!(
            moment(Some(at.plus_micros(-250_000)), Some(at), "takeover"),
            "0.25 s before the takeover"
        );
        assert_eq!(moment(None, Some(at), "takeover"), "never");
        assert!(
            within(Some(at.plus_secs(1)), Some(at)) && !within(Some(at.plus_micros(1_000_001)), Some(at))
        );
        assert!(!within(None, Some(at)) && !within(Some(at), None));
    }
}
