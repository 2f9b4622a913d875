//! The table that the drill ends with.

use crate::{
    measure::{
        analysis::Analysis,
        outcome::{Names, Outcome},
        verdict::{Claim, grouped},
    },
    run::Mode,
};
use model::Timestamp;
use std::fmt::Write as _;

/// Colours, where a terminal wants them.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const TITLE: usize = 44;
const CELL: usize = 22;

/// The runs side by side, then each claim with what was measured.
pub(crate) fn text(
    seed: u64,
    runs: &[Outcome],
    analyses: &[(Mode, Option<Analysis>)],
    claims: &[Claim],
    paint: Paint,
) -> String {
    let mut text = String::new();
    let heads = runs.iter().map(|run| match run.mode {
        Mode::Watched => "watched only",
        Mode::Responding => "responding",
        Mode::OutOfSight => "taken over unseen",
    });
    let head = heads
        .fold(format!("{:TITLE$}", format!("The same city (seed {seed}), attacked:")), |line, head| {
            format!("{line}{head:>CELL$}")
        });
    let _ = writeln!(text, "{}", paint.wrap("1", &head));
    let mut row = |title: &str, cell: &dyn Fn(&Outcome) -> String| {
        let cells: String = runs.iter().map(|run| format!("{:>CELL$}", cell(run))).collect();
        let _ = writeln!(text, "{title:TITLE$}{cells}");
    };
    row("devices taken over", &|run| run.taken_over.len().to_string());
    row("from takeover to Bastide's first word", &|run| match run.mode {
        Mode::OutOfSight => "not seen".into(),
        _ => after(run.finding, run.takeover.or(run.login)),
    });
    row("from takeover to containment", &|run| match run.mode {
        Mode::Watched => "-".into(),
        Mode::OutOfSight => "not seen".into(),
        Mode::Responding => after(run.contained, run.takeover.or(run.login)),
    });
    row("from first attack packet to first word", &|run| after(run.finding, run.first_attack));
    row("from first attack packet to containment", &|run| match run.mode {
        Mode::Watched => "-".into(),
        _ => after(run.contained, run.first_attack),
    });
    row("from first to last attack packet that left", &|run| match run.last_left {
        None => "none left".into(),
        last => after(last, run.first_attack),
    });
    row("attack packets that bots sent", &|run| grouped(run.attack_sent));
    row("attack packets that left the city", &|run| grouped(run.attack_left));
    row("  the most in one second", &|run| grouped(run.peak));
    row("flood packets that the victim got", &|run| grouped(run.victim_got));
    row("  and through the city's resolver", &|run| grouped(run.victim_by_resolver));
    let watched = runs.iter().find(|run| run.mode == Mode::Watched);
    row("  of the watched run", &|run| share(run, watched));
    row("telemetry lost by innocent devices", &|run| {
        format!("{} of {}", run.lost.iter().map(|lost| lost.lost).sum::<u64>(), grouped(run.telemetry))
    });
    row("citizens' lookups answered", &|run| names(run.names_during));
    row("  of names at the victim", &|run| names(run.names_of_victim));
    row("  99 of 100 answered within", &|run| format!("{:.1} ms", run.names_during.p99_ms));
    row("commands in force", &|run| run.acts.len().to_string());
    row("cut wrongly", &|run| {
        if run.wrongly.is_empty() { "none".into() } else { run.wrongly.len().to_string() }
    });
    row("innocent ones accused", &|run| {
        if run.accused.is_empty() { "none".into() } else { run.accused.len().to_string() }
    });
    row("decoys hurt", &|run| format!("{} of {}", run.decoys_hurt.len(), run.decoys));
    row("undo: camera heard of again", &|run| match &run.undone {
        Some(undone) if undone.back => format!("after {:.1} s", undone.seconds),
        Some(_) => "not back".into(),
        None => "-".into(),
    });
    row("incidents in the captures, medium or more", &|run| {
        of(analyses, run.mode, |one| one.incidents.len().to_string())
    });
    row("  lived ones that analyze gives too", &|run| {
        of(analyses, run.mode, |one| format!("{} of {}", one.same, one.lived))
    });
    text.push('\n');
    for claim in claims {
        let (mark, code) = if claim.met { ("✓ holds", "32") } else { ("✗ fails", "31;1") };
        let _ = writeln!(
            text,
            "{}  {:12} {} — {}",
            paint.wrap(code, mark),
            claim.run.as_str(),
            claim.claim,
            claim.measured
        );
    }
    text
}

fn after(at: Option<Timestamp>, from: Option<Timestamp>) -> String {
    match (at, from) {
        (None, _) => "never".into(),
        (Some(_), None) => "-".into(),
        (Some(at), Some(from)) => {
            let seconds = at.seconds_since(from);
            if seconds < 0.0 { format!("{:.2} s before", -seconds) } else { format!("{seconds:.2} s") }
        }
    }
}

fn share(run: &Outcome, watched: Option<&Outcome>) -> String {
    let harm = |run: &Outcome| (run.victim_got + run.victim_by_resolver) as f64;
    watched.map_or("-".into(), |watched| format!("{:.3} %", harm(run) / harm(watched).max(1.0) * 100.0))
}

fn names(names: Names) -> String {
    if names.asked == 0 {
        return "-".into();
    }
    format!("{} ({:.1} %)", names.answered, names.answered as f64 / names.asked as f64 * 100.0)
}

fn of(analyses: &[(Mode, Option<Analysis>)], mode: Mode, cell: impl Fn(&Analysis) -> String) -> String {
    let found = analyses.iter().find(|(of, _)| *of == mode).and_then(|(_, analysis)| analysis.as_ref());
    found.map_or("-".into(), cell)
}
