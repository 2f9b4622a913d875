//! A PostgreSQL server for a test: in a temporary directory, reached through a socket in it, ended with the test, also
//! when that panics or is killed.

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown, geteuid},
};
use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// A running server.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    programs: PathBuf,
    /// Set where this process is root, as whom the server refuses to run.
    user: Option<User>,
    options: Vec<String>,
    process: Option<Child>,
    databases: AtomicU32,
}

impl Server {
    /// Starts an empty server.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts an empty server with settings such as `fsync=off`.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let user = geteuid().is_root().then(|| {
            let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).unwrap());
            let user = user.expect("a user to run PostgreSQL as");
            chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
            user
        });
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server =
            Self { dir, programs: programs(), user, options, process: None, databases: AtomicU32::new(0) };
        let data = server.data();
        let made = server
            .program("initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=bastide",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "-D",
            ])
            .arg(data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.resume();
        server
    }

    /// Starts it again over the data that it has.
    pub(crate) fn resume(&mut self) {
        assert!(self.process.is_none());
        let (data, log) = (self.data(), std::fs::File::create(self.dir.path().join("log")).unwrap());
        let mut command = self.program("postgres");
        command.arg("-D").arg(data).arg("-k").arg(self.dir.path());
        for option in ["listen_addresses=", "shared_buffers=16MB", "max_connections=40"] {
            command.args(["-c", option]);
        }
        for option in &self.options {
            command.args(["-c", option]);
        }
        self.process = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let patience = Instant::now() + Duration::from_secs(60);
        while !self.run_psql("postgres", "SELECT 1").status.success() {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < patience, "PostgreSQL did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Ends it as an administrator would who does not wait for connections to end.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::SIGINT);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            let _ = kill(Pid::from_raw(process.id().cast_signed()), signal);
            let _ = process.wait();
        }
    }

    /// The URL of a new, empty database.
    pub(crate) fn new_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://bastide@{}/{name}", self.socket())
    }

    /// Makes a database as good as new, which is quicker than a new one.
    pub(crate) fn empty(&self, url: &str) {
        let name = url.rsplit('/').next().unwrap();
        self.psql(name, "SET client_min_messages TO warning; DROP SCHEMA IF EXISTS bastide CASCADE");
    }

    /// Runs a statement as the owner of all.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let run = self.run_psql(database, sql);
        assert!(run.status.success(), "{sql}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap().trim().to_owned()
    }

    fn run_psql(&self, database: &str, sql: &str) -> Output {
        let mut command = self.program("psql");
        command.args(["-X", "-q", "-A", "-t", "-U", "bastide", "-d", database, "-c", sql, "-h"]);
        command.arg(self.dir.path()).output().unwrap()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn socket(&self) -> String {
        self.dir.path().display().to_string().replace('/', "%2F")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// One of PostgreSQL's programs, as the user that may run it, and ended where this test is killed.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = &self.user {
            command
                .arg(format!("--reuid={}", user.uid))
                .arg(format!("--regid={}", user.gid))
                .arg("--clear-groups");
        }
        command.arg(self.programs.join(name)).current_dir("/").stdin(Stdio::null()).process_group(0);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Signal::SIGQUIT);
    }
}

/// Where Debian and others put the programs: the newest that Debian has, else what is installed by hand.
fn programs() -> PathBuf {
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|version| version.unwrap().path().join("bin"))
        .collect();
    debian.sort();
    debian
        .into_iter()
        .rev()
        .chain(["/usr/bin".into(), "/usr/local/bin".into(), "/usr/local/pgsql/bin".into()])
        .find(|programs| ["initdb", "postgres", "psql"].iter().all(|name| programs.join(name).exists()))
        .expect("PostgreSQL's initdb, postgres and psql: ./test installs them")
}
