//! The drill from the outside: three runs of one city, one after the other, each in namespaces of its own.

use crate::{
    city::cell,
    dice::Dice,
    error::{Error, Result, Tried},
    measure::outcome::Outcome,
    run::{self, Mode, Task},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How the program is asked to be a part of the drill: its verb, and how far inside it is.
pub const HOST_VERB: &str = "drill-host";

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
