//! The state directory: what is in force, what people decided, the lock and the lever.
//!
//! Guarantees: `commands.json` is replaced whole, never written in place; what cannot be read is set aside and said,
//! never overwritten silently. The lever is a file: who can make a file can stop all responding. One holder of the
//! lock at a time, in this program or another; a holder that dies lets go.

use model::{Command, Incident, IncidentId, Plan, PlanId, Receipt, Suspension, Timestamp};
use protect::{Acted, Grant, ResponseConfig};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The most entries of each list of decisions.
pub(crate) const MAX_DECISIONS: usize = 1024;

/// The most plans that are kept open.
pub(crate) const MAX_PLANS: usize = 256;

/// The longest state that is read.
const MAX_STATE: u64 = 64 << 20;

/// The version that this program writes.
const VERSION: u32 = 1;

/// What is kept in `commands.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The form of this file.
    pub version: u32,
    /// The settings under which it was written; undoing without the sensor reads them.
    pub config: ResponseConfig,
    /// Commands in force.
    pub in_force: Vec<Held>,
    /// Commands that ran out within the last day.
    pub ended: Vec<Ended>,
    /// What people decided that no program may override.
    pub decided: Vec<Decided>,
    /// How often each target was acted on and ran out, which is what its next command's duration grows with.
    pub rounds: BTreeMap<String, Round>,
    /// What counts towards the caps.
    pub acted: Vec<Acted>,
    /// Plans that wait or are in force, with their incidents (without evidence).
    pub plans: Vec<Open>,
    /// Plans that were given up because more were open than are kept.
    #[serde(default)]
    pub plans_given_up: u64,
    /// Assets whose identity is taken away, as was last told.
    #[serde(default)]
    pub suspended: Vec<Suspension>,
}

/// A command in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The command.
    pub command: Command,
    /// By which plan.
    pub plan: PlanId,
    /// For which incident.
    pub incident: IncidentId,
    /// What permitted it.
    pub grant: Grant,
    /// Since when.
    pub applied: Timestamp,
    /// What is known of its effect.
    pub receipt: Receipt,
}

impl Held {
    /// Whether the kernel's packet filter holds it, by whichever run of the program.
    pub(crate) fn is_in_kernel(&self) -> bool {
        self.receipt.actuator.starts_with("nftables")
    }
}

/// A command that ran out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Which.
    pub command: Command,
    /// Its target.
    pub subject: String,
    /// For which incident.
    pub incident: IncidentId,
    /// When.
    pub at: Timestamp,
    /// Watched until then; afterwards it stays off.
    pub until: Timestamp,
    /// Nothing happened while it was watched.
    pub quiet: bool,
}

/// What a person decided about a target in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// In which incident.
    pub incident: IncidentId,
    /// About which target.
    pub subject: String,
    /// Who.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// Refused before it was done; else taken back afterwards.
    pub refused: bool,
}

/// How often a target was acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The round of the next command, from 0.
    pub next: u32,
    /// When the last one ended.
    pub at: Timestamp,
}

/// A plan that is not closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// The plan.
    pub plan: Plan,
    /// The incident as the plan was made, without its evidence.
    pub incident: Incident,
}

/// The folder with the state.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// Digest of what was written last, so that the same is not written again.
    written: Option<u64>,
}

/// What tells one version of a file from another.
type Stamp = (u64, u64, i64, i64);

/// Holds the lock while it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// What was found on disk.
pub(crate) enum Loaded {
    State(Box<State>),
    /// No file yet.
    Nothing,
    /// Not readable as a state; set aside under this name.
    Damaged {
        reason: String,
        aside: PathBuf,
    },
}

impl StateDir {
    /// Opens the folder, which is made where it is missing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self { path: path.to_owned(), stamp: None, written: None })
    }

    /// Reads the state without touching anything; what is damaged stays where it is.
    pub(crate) fn peek(path: &Path) -> io::Result<Loaded> {
        let file = path.join("commands.json");
        Ok(match read_state(&file)? {
            None => Loaded::Nothing,
            Some(Ok(state)) => Loaded::State(Box::new(state)),
            Some(Err(reason)) => Loaded::Damaged { reason, aside: file },
        })
    }

    /// Whether the lever is pulled. Where that cannot be known it counts as pulled.
    pub(crate) fn lever(path: &Path) -> bool {
        path.join("stopped").try_exists().unwrap_or(true)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock, waiting at most so long.
    pub(crate) fn lock(&self, patience: Duration) -> io::Result<Option<Lock>> {
        let path = self.path.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Lock { _file: file })),
                Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        Self::lever(&self.path)
    }

    pub(crate) fn pull_lever(&self, note: &str) -> io::Result<()> {
        let mut file = File::create(self.path.join("stopped"))?;
        file.write_all(note.as_bytes())?;
        file.sync_all()?;
        self.sync()
    }

    pub(crate) fn release_lever(&self) -> io::Result<()> {
        match fs::remove_file(self.path.join("stopped")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync(),
        }
    }

    /// Whether somebody else wrote the state since this one read or wrote it.
    pub(crate) fn is_stale(&self) -> bool {
        self.current_stamp() != self.stamp
    }

    pub(crate) fn load(&mut self) -> io::Result<Loaded> {
        self.stamp = self.current_stamp();
        self.written = None;
        let path = self.path.join("commands.json");
        match read_state(&path)? {
            None => Ok(Loaded::Nothing),
            Some(Ok(state)) => Ok(Loaded::State(Box::new(state))),
            Some(Err(reason)) => {
                let aside = free_name(&self.path, "commands.damaged");
                fs::rename(&path, &aside)?;
                self.stamp = None;
                Ok(Loaded::Damaged { reason, aside })
            }
        }
    }

    /// Replaces the state; `durable` waits until it survives power loss.
    pub(crate) fn save(&mut self, state: &mut State, durable: bool) -> io::Result<()> {
        state.version = VERSION;
        let content = serde_json::to_vec(state).map_err(io::Error::other)?;
        let digest = digest(&content);
        if self.written == Some(digest) && !self.is_stale() {
            return Ok(());
        }
        let fresh = self.path.join("commands.json.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&content)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&fresh, self.path.join("commands.json"))?;
        if durable {
            self.sync()?;
        }
        self.stamp = self.current_stamp();
        self.written = Some(digest);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn current_stamp(&self) -> Option<Stamp> {
        let metadata = fs::metadata(self.path.join("commands.json")).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    }
}

/// The state in a file; why it is none.
fn read_state(path: &Path) -> io::Result<Option<Result<State, String>>> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MAX_STATE {
        return Ok(Some(Err(format!("expected at most {MAX_STATE} bytes, found {length}"))));
    }
    let content = fs::read(path)?;
    let read = serde_json::from_slice::<State>(&content).map_err(|error| error.to_string());
    Ok(Some(read.and_then(|state| match state.version {
        VERSION => Ok(state),
        other => Err(format!("expected version {VERSION}, found {other}")),
    })))
}

fn digest(content: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    hasher.finish()
}

/// A name in a folder that nothing has yet.
pub(crate) fn free_name(folder: &Path, stem: &str) -> PathBuf {
    let names = (1u32..).map(|n| folder.join(format!("{stem}-{n}")));
    let mut free = names.filter(|path| !path.try_exists().unwrap_or(false));
    free.next().unwrap_or_else(|| folder.join(stem))
}

impl State {
    /// Forgets what no longer matters and keeps every list in its bounds.
    pub(crate) fn trim(&mut self, now: Timestamp) {
        let day = 86_400.0;
        self.rounds.retain(|_, round| now.seconds_since(round.at) < 2.0 * day);
        self.ended.retain(|ended| now.seconds_since(ended.at) < day);
        keep_last(&mut self.ended, MAX_DECISIONS);
        keep_last(&mut self.decided, MAX_DECISIONS);
        while self.rounds.len() > MAX_DECISIONS {
            self.rounds.pop_first();
        }
    }

    /// What a person decided last about a target in an incident.
    pub(crate) fn word(&self, incident: &IncidentId, subject: &str) -> Option<&Decided> {
        self.decided.iter().rev().find(|decided| decided.incident == *incident && decided.subject == subject)
    }
}

fn keep_last<T>(list: &mut Vec<T>, most: usize) {
    let excess = list.len().saturating_sub(most);
    list.drain(..excess);
}
