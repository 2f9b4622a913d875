//! The drill from the outside: three runs of one city, one after the other, each in namespaces of its own, then the
//! table that compares them.

use crate::{
    city::cell,
    dice::Dice,
    error::{Error, Result, Tried},
    measure::{
        analysis::{self, Analysis},
        outcome::Outcome,
        table::{self, Paint},
        verdict::{self, Claim},
    },
    run::{self, Mode, Task},
};
use model::Incident;
use serde::Serialize;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How the program is asked to be a part of the drill: its verb, and how far inside it is.
pub const HOST_VERB: &str = "drill-host";

/// Reads the incidents that a data directory of Bastide ended with.
pub type Lived = fn(&Path) -> std::result::Result<Vec<Incident>, String>;

/// What is asked of a drill.
#[derive(Clone, Debug)]
pub struct Options {
    /// The running program itself, which understands [`HOST_VERB`], `up`, `analyze` and `command`.
    pub program: PathBuf,
    /// The city's seed.
    pub seed: u64,
    /// Where to leave what it makes.
    pub out: PathBuf,
    /// A shorter drill.
    pub quick: bool,
    /// Which runs.
    pub runs: Vec<Mode>,
    /// How to read what Bastide kept.
    pub lived: Lived,
}

/// What came of a drill.
#[derive(Clone, Debug, Serialize)]
pub struct Drill {
    /// The city's seed.
    pub seed: u64,
    /// Where everything is.
    pub out: PathBuf,
    /// Whether every claim holds.
    pub passed: bool,
    /// The claims.
    pub claims: Vec<Claim>,
    /// The runs.
    pub runs: Vec<Outcome>,
    /// What `analyze` makes of their captures.
    pub analyses: Vec<(Mode, Option<Analysis>)>,
}

impl Drill {
    /// The table, and each claim.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        table::text(self.seed, &self.runs, &self.analyses, &self.claims, paint)
    }
}

/// The whole drill. Tells what happens on standard error.
///
/// # Errors
/// What the city could not do; a claim that fails is no error.
pub fn run(options: &Options) -> Result<Drill> {
    let out = std::path::absolute(&options.out).tried(|| format!("find {}", options.out.display()))?;
    fs::create_dir_all(&out).tried(|| format!("create {}", out.display()))?;
    let (mut runs, mut analyses) = (Vec::new(), Vec::new());
    for mode in &options.runs {
        tell(match mode {
            Mode::Watched => "First, Bastide only watches.",
            Mode::Responding => "Now Bastide may respond by itself where cameras are concerned.",
            Mode::OutOfSight => {
                "Now the camera was taken over before Bastide came: only what its bot does can be seen."
            }
        });
        let folder = out.join(mode.as_str());
        let bastide = Some(options.program.clone());
        let outcome =
            one(&options.program, &task(options.seed, options.quick, *mode, folder.clone(), bastide))?;
        tell("  analysing the captures of this run");
        let lived = (options.lived)(&folder.join("data"))
            .map_err(|expected| Error::Format { path: folder.join("data"), expected });
        let compared = lived.and_then(|lived| analysis::compare(&options.program, &folder, &lived));
        let analysis = match compared {
            Ok(analysis) => Some(analysis),
            Err(error) => {
                tell(&format!("  the captures could not be analysed: {error}"));
                None
            }
        };
        analyses.push((*mode, analysis));
        runs.push(outcome);
    }
    let claims = verdict::claims(&runs, &analyses);
    let passed =
        claims.iter().all(|claim| claim.met) && analyses.iter().all(|(_, analysis)| analysis.is_some());
    let drill = Drill { seed: options.seed, out: out.clone(), passed, claims, runs, analyses };
    let json = serde_json::to_string_pretty(&drill).unwrap_or_default();
    fs::write(out.join("drill.json"), json).tried(|| "write drill.json".into())?;
    fs::write(out.join("drill.txt"), drill.text(Paint(false))).tried(|| "write drill.txt".into())?;
    Ok(drill)
}

fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// One run, in a process of its own; waits for it and gives what came of it.
///
/// `program` is the running program itself, which understands [`HOST_VERB`].
///
/// # Errors
/// What the run could not do, in its own words, as far as it told.
pub fn one(program: &Path, task: &Task) -> Result<Outcome> {
    fs::create_dir_all(&task.out).tried(|| format!("create {}", task.out.display()))?;
    let file = task.out.join("task.json");
    fs::write(&file, serde_json::to_string(task).unwrap_or_default())
        .tried(|| format!("write {}", file.display()))?;
    let status = Command::new(program)
        .args([HOST_VERB, "enclose", &std::process::id().to_string()])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        // The pipe stays open for as long as the child is waited for.
        .and_then(|mut child| {
            let pipe = child.stdin.take();
            let status = child.wait();
            drop(pipe);
            status
        })
        .tried(|| format!("start {} {HOST_VERB}", program.display()))?;
    let _ = fs::remove_file(&file);
    let result = task.out.join("run.json");
    match fs::read_to_string(&result) {
        Ok(text) if status.success() => serde_json::from_str(&text)
            .map_err(|error| Error::Format { path: result, expected: error.to_string() }),
        _ => Err(Error::Command {
            command: format!("the run {}", task.mode.as_str()),
            said: "it ended early; what it said stands above".into(),
        }),
    }
}

/// The hidden verb: `enclose PARENT TASK` makes the namespaces, `city TASK` lives in them.
///
/// # Errors
/// As [`cell::enclose`] and [`run::inside`].
pub fn host(program: &Path, arguments: &[String]) -> Result<u8> {
    match arguments {
        [stage, parent, task] if stage == "enclose" => {
            let parent = parent.parse().map_err(|_| Error::Refused("expected a process number".into()))?;
            cell::enclose(parent, program, &[HOST_VERB.into(), "city".into(), task.clone()])
        }
        [stage, task] if stage == "city" => {
            let path = PathBuf::from(task);
            let text = fs::read_to_string(&path).tried(|| format!("read {task}"))?;
            let task = serde_json::from_str(&text)
                .map_err(|error| Error::Format { path, expected: error.to_string() })?;
            run::inside(&task).map(|_| 0)
        }
        _ => Err(Error::Refused("this verb is the drill's own; start `bastide drill mirai`".into())),
    }
}

/// A task with a fresh token.
#[must_use]
pub fn task(seed: u64, quick: bool, mode: Mode, out: PathBuf, bastide: Option<PathBuf>) -> Task {
    let token = format!("{:08x}", Dice::fresh_seed() as u32);
    Task { seed, quick, mode, out, token, bastide }
}
