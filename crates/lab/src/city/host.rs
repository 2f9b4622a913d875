//! A host of the city: threads that live in a network namespace of their own.
//!
//! A Linux network namespace belongs to a thread, so a host is a thread that left for a fresh one, and whatever that
//! thread starts: threads and child processes inherit the namespace. Nothing but the network is apart.

use crate::{Error, Result, error::Tried};
use nix::sched::{CloneFlags, unshare};
use std::{
    ffi::OsStr,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

type Job = Box<dyn FnOnce() + Send>;

/// A host of the city.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its name in messages.
    pub(crate) name: String,
    thread: i32,
    jobs: mpsc::Sender<Job>,
}

impl Host {
    /// A host with nothing but a loopback interface that is down.
    pub(crate) fn raise(name: &str) -> Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (ready, started) = mpsc::channel();
        let main = move || {
            let entered = unshare(CloneFlags::CLONE_NEWNET);
            let ok = entered.is_ok();
            let _ = ready.send(entered.map(|()| nix::unistd::gettid().as_raw()));
            if ok {
                inbox.iter().for_each(|job| job());
            }
        };
        thread::Builder::new().name(name.into()).spawn(main).tried(|| format!("start the host {name}"))?;
        let thread = started
            .recv()
            .map_err(|_| Error::HostGone(name.into()))?
            .tried(|| format!("give {name} a network of its own"))?;
        Ok(Self { name: name.into(), thread, jobs })
    }

    /// What `ip link … netns` takes for the host's namespace.
    pub(crate) const fn netns(&self) -> i32 {
        self.thread
    }

    /// Does something on the host and waits for what comes of it.
    pub(crate) fn call<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (give, take) = mpsc::channel();
        let gone = || Error::HostGone(self.name.clone());
        self.jobs.send(Box::new(move || drop(give.send(job())))).map_err(|_| gone())?;
        take.recv().map_err(|_| gone())
    }

    /// Starts something on the host that goes on by itself.
    pub(crate) fn start(&self, what: &str, job: impl FnOnce() + Send + 'static) -> Result<()> {
        let name: String = format!("{}/{what}", self.name).chars().take(15).collect();
        let what = name.clone();
        self.call(move || thread::Builder::new().name(name).spawn(job).map(drop))?
            .tried(|| format!("start the thread {what}"))
    }

    /// Runs `ip -batch` on the host.
    pub(crate) fn ip(&self, lines: &str) -> Result<()> {
        let lines = lines.to_owned();
        self.call(move || command("ip", ["-batch", "-"], &lines)).flatten().map(drop)
    }

    /// Runs `nft -f` on the host.
    pub(crate) fn nft(&self, rules: &str) -> Result<()> {
        let rules = rules.to_owned();
        self.call(move || command("nft", ["-f", "-"], &rules)).flatten().map(drop)
    }

    /// Runs `nft` on the host and gives what it printed.
    pub(crate) fn nft_list(&self, arguments: &'static [&'static str]) -> Result<String> {
        self.call(move || command("nft", arguments, "")).flatten()
    }

    /// Sets a kernel setting of the host's network.
    pub(crate) fn set(&self, key: &'static str, value: &'static str) -> Result<()> {
        self.call(move || std::fs::write(format!("/proc/sys/{key}"), value))
            .and_then(|set| set.tried(|| format!("set {key} to {value}")))
    }
}

/// Runs a program to its end in the calling thread's network, feeds it, and gives what it printed.
pub(crate) fn command<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    input: &str,
) -> Result<String> {
    // An ordinary user's PATH lacks the folders of a network engineer's tools.
    let places = ["/usr/sbin", "/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(program));
    let found = places.into_iter().find(|place| place.is_file()).unwrap_or_else(|| program.into());
    let mut child = Command::new(found);
    child.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().tried(|| format!("start `{program}` (./run installs what is missing)"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that stopped early says why on its standard error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().tried(|| format!("wait for `{program}`"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().rev().take(3).collect::<Vec<_>>().join("; ");
        Err(Error::Command { command: program.into(), said: said.chars().take(400).collect() })
    }
}
