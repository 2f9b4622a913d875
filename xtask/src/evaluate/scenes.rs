//! All scenes, several seeds each: recall and precision of roles, stages, counts, false alarms, time to detect.

use super::{Judgement, Options, judge, median};
use crate::{scene, traffic::Form};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What came of one scene with one seed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// The scene.
    pub scene: String,
    /// The seed.
    pub seed: u64,
    /// Nothing happened in it.
    pub benign: bool,
    /// Device-days.
    pub device_days: f64,
    /// What was judged.
    pub judgement: Judgement,
}

/// What came of all.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Outcomes(pub Vec<Outcome>);

/// Sums over all scenes.
pub(super) struct Totals {
    /// Device-days of benign scenes.
    pub device_days: f64,
    /// Incidents of medium or more in them.
    pub false_incidents: u64,
}

/// Plays and judges them, two at a time.
///
/// # Errors
/// Where there is no place for the captures.
pub(super) fn evaluate(options: &Options) -> Result<Outcomes> {
    let mut work = Vec::new();
    for scene in scene::all()
        .filter(|scene| scene.name.contains(&options.only) && (!options.logs || scene::in_logs(scene)))
    {
        for seed in options.first_seed..options.first_seed + options.seeds {
            work.push((scene, seed));
        }
    }
    let dir = tempfile::tempdir().context("no place for captures")?;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |cores| cores.get().min(4)) {
            scope.spawn(|| {
                while let Some((scene, seed)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one(options, scene, *seed, dir.path());
                    if let Ok(mut done) = done.lock() {
                        done.push(outcome);
                    }
                }
            });
        }
    });
    let mut outcomes = done.into_inner().unwrap_or_default();
    let order: BTreeMap<&str, usize> =
        scene::all().enumerate().map(|(place, scene)| (scene.name, place)).collect();
    outcomes.sort_by_key(|outcome: &Outcome| (order.get(outcome.scene.as_str()).copied(), outcome.seed));
    Ok(Outcomes(outcomes))
}

fn one(options: &Options, scene: &scene::Scene, seed: u64, dir: &std::path::Path) -> Outcome {
    let world = scene::play(scene, seed);
    let (form, snap) = if options.logs { (Form::Zeek, 0) } else { scene::dress(&world, seed) };
    let truth = &world.truth;
    let judgement = scene::save(&world, dir, &format!("{}-{seed}", scene.name), form, snap)
        .and_then(|(capture, told)| {
            let more: Vec<&str> = if truth.tell_home { vec!["--home", &truth.home] } else { Vec::new() };
            let document = options.analyzer.run(&[&capture], &more);
            let judgement = document.map(|document| judge(truth, &document));
            if let (Some(keep), Ok(judgement)) = (&options.keep, &judgement)
                && !judgement.faults.is_empty()
            {
                fs::create_dir_all(keep)?;
                for file in [&capture, &told] {
                    fs::copy(file, keep.join(file.file_name().unwrap_or_default()))?;
                }
            }
            fs::remove_file(&capture)?;
            judgement
        })
        .unwrap_or_else(|error| Judgement { faults: vec![format!("{error:#}")], ..Judgement::default() });
    Outcome {
        scene: scene.name.to_owned(),
        seed,
        benign: truth.benign,
        device_days: truth.device_days,
        judgement,
    }
}

impl Outcomes {
    /// Whether nothing is wrong.
    #[must_use]
    pub(super) fn pass(&self) -> bool {
        self.0.iter().all(|outcome| outcome.judgement.faults.is_empty())
    }

    /// Sums over the benign; none where there were none.
    #[must_use]
    pub(super) fn totals(&self) -> Option<Totals> {
        let benign: Vec<_> = self.0.iter().filter(|outcome| outcome.benign).collect();
        (!benign.is_empty()).then(|| Totals {
            device_days: benign.iter().map(|outcome| outcome.device_days).sum(),
            false_incidents: benign.iter().map(|outcome| outcome.judgement.false_incidents).sum(),
        })
    }

    /// The table.
    pub(super) fn print(&self) {
        let mut scenes: Vec<(&str, Vec<&Outcome>)> = Vec::new();
        for outcome in &self.0 {
            match scenes.last_mut() {
                Some((name, list)) if *name == outcome.scene => list.push(outcome),
                _ => scenes.push((&outcome.scene, vec![outcome])),
            }
        }
        println!("      {:<22} {:>6} {:>10} {:>6} {:>10}", "scene", "right", "incidents", "minor", "delay s");
        for (name, outcomes) in &scenes {
            let right = outcomes.iter().filter(|outcome| outcome.judgement.faults.is_empty()).count();
            let span = |of: fn(&Judgement) -> usize| {
                let counts: Vec<_> = outcomes.iter().map(|outcome| of(&outcome.judgement)).collect();
                let (low, high) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
                if low == high { low.to_string() } else { format!("{low}-{high}") }
            };
            let delays: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.judgement.delay).collect();
            let delay = median(&delays, 0.5).map_or(String::new(), |delay| format!("{delay:.1}"));
            let mark = if right == outcomes.len() { "ok" } else { "FAIL" };
            let of = format!("{right}/{}", outcomes.len());
            println!(
                "{mark:<5} {name:<22} {of:>6} {:>10} {:>6} {delay:>10}",
                span(|j| j.incidents),
                span(|j| j.minor)
            );
            for outcome in outcomes {
                for fault in &outcome.judgement.faults {
                    println!("{:<30}seed {}: {fault}", "", outcome.seed);
                }
            }
        }
        self.print_sums();
    }

    fn print_sums(&self) {
        let attacks: Vec<_> =
            self.0.iter().filter(|outcome| !outcome.benign).map(|outcome| &outcome.judgement).collect();
        let sum = |of: fn(&Judgement) -> usize| attacks.iter().map(|judgement| of(judgement)).sum::<usize>();
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let (right, said, truth) = (sum(|j| j.named.right), sum(|j| j.named.said), sum(|j| j.named.truth));
        let delays: Vec<_> = attacks.iter().filter_map(|judgement| judgement.delay).collect();
        println!();
        println!(
            "{} attack plays, {} right; attackers, infected, controllers: recall {:.1} %, precision {:.1} %; stages: recall {:.1} %",
            attacks.len(),
            attacks.iter().filter(|judgement| judgement.faults.is_empty()).count(),
            percent(right, truth),
            percent(right, said),
            percent(sum(|j| j.stages.0), sum(|j| j.stages.1)),
        );
        if let (Some(half), Some(most), Some(last)) =
            (median(&delays, 0.5), median(&delays, 0.95), median(&delays, 1.0))
        {
            println!("time to detect: median {half:.1} s, 95 % within {most:.1} s, longest {last:.0} s");
        }
    }
}
