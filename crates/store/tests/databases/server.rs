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
    port: u16,
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
        Self::hand_over(dir.path());
        let user = user();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let port =
            options.iter().find_map(|option| option.strip_prefix("port=")?.parse().ok()).unwrap_or(5432);
        let mut server = Self {
            dir,
            programs: programs(),
            user,
            options,
            port,
            process: None,
            databases: AtomicU32::new(0),
        };
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
        // After a kill, the whole disk is synced at once and not file by file, which takes seconds.
        let ours = [
            "listen_addresses=",
            "shared_buffers=16MB",
            "max_connections=40",
            "recovery_init_sync_method=syncfs",
        ];
        for option in ours.into_iter().chain(self.options.iter().map(String::as_str)) {
            command.args(["-c", option]);
        }
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        let patience = Instant::now() + Duration::from_secs(60);
        while !self.run_psql("postgres", "SELECT 1").status.success() {
            assert!(Instant::now() < patience, "PostgreSQL did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
            // After a kill, those whom it had started may hold its memory for another moment.
            if self.process.as_mut().unwrap().try_wait().unwrap().is_some() {
                self.process = Some(command.spawn().unwrap());
            }
        }
    }

    /// Ends all of it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.signal_all("KILL");
        self.end(Signal::SIGKILL);
    }

    /// Ends it as an administrator would who does not wait for connections to end.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::SIGINT);
    }

    /// Sends a signal to the server and all that it has started.
    pub(crate) fn signal_all(&self, name: &str) {
        let server = self.process.as_ref().unwrap().id().to_string();
        let children = Command::new("pgrep").args(["-P", &server]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let all = children.split_whitespace().chain([server.as_str()]);
        // One that has ended meanwhile is no fault.
        let _ = Command::new("kill").arg(format!("-{name}")).args(all).output();
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
        let port = self.port.to_string();
        command.args(["-X", "-q", "-A", "-t", "-U", "bastide", "-p", &port, "-d", database, "-c", sql, "-h"]);
        command.arg(self.dir.path()).output().unwrap()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Hands a file over to the user that servers run as.
    pub(crate) fn hand_over(path: &Path) {
        if let Some(user) = user() {
            chown(path, Some(user.uid), Some(user.gid)).unwrap();
        }
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

/// As whom servers run, where this process is root.
fn user() -> Option<User> {
    geteuid().is_root().then(|| {
        let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).unwrap());
        user.expect("a user to run PostgreSQL as")
    })
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
