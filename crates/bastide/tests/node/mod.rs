//! A running `bastide up`, as an administrator starts it and a browser sees it.

#![allow(dead_code, reason = "each test uses a part")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bastide");

/// A running `bastide up`; killed when dropped.
pub(crate) struct Node {
    pub(crate) child: Child,
    out: BufReader<std::process::ChildStdout>,
    pub(crate) greeting: String,
    pub(crate) url: String,
    pub(crate) dir: PathBuf,
}

impl Node {
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        Self::start_at(dir, "127.0.0.1:0", more)
    }

    /// At this address.
    pub(crate) fn start_at(dir: &Path, listen: &str, more: &[&str]) -> Self {
        Self::started(dir, listen, more, &[])
    }

    /// With variables.
    pub(crate) fn start_with(dir: &Path, more: &[&str], variables: &[(&str, String)]) -> Self {
        Self::started(dir, "127.0.0.1:0", more, variables)
    }

    fn started(dir: &Path, listen: &str, more: &[&str], variables: &[(&str, String)]) -> Self {
        let mut child = command(dir)
            .args(["--listen", listen])
            .args(more)
            .envs(variables.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C stops it.") {
            if out.read_line(&mut greeting).unwrap() == 0 {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("it did not start: {greeting}{said}");
            }
        }
        let port = word(&greeting, "https://").split("/sign-in").next().unwrap().rsplit(':').next().unwrap();
        let url = format!("https://localhost:{port}");
        Self { child, out, greeting, url, dir: dir.to_owned() }
    }

    pub(crate) fn link(&self) -> &str {
        word(&self.greeting, &format!("{}/sign-in?link=", self.url))
    }

    /// One request by curl, which verifies the certificate against our own authority and nothing else.
    pub(crate) fn curl(&self, path: &str, more: &[&str]) -> Answer {
        let ca = self.dir.join("tls/ca.pem");
        let address =
            if path.starts_with("https://") { path.to_owned() } else { format!("{}{path}", self.url) };
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "20",
                "--cacert",
                ca.to_str().unwrap(),
                "--include",
            ])
            .args(["--cookie", self.jar().to_str().unwrap(), "--cookie-jar", self.jar().to_str().unwrap()])
            .args(more)
            .arg(address)
            .output()
            .expect("curl is needed by this test");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let status = text.split_whitespace().nth(1).unwrap().parse().unwrap();
        Answer { status, text }
    }

    /// Presses the button of the page to which a link leads.
    pub(crate) fn press(&self, link: &str, more: &[&str]) -> Answer {
        let body = link.trim().split_once('?').unwrap().1;
        let origin = format!("Origin: {}", self.url);
        let all = [&["--header", &origin, "--data", body], more].concat();
        self.curl("/sign-in/link", &all)
    }

    pub(crate) fn jar(&self) -> PathBuf {
        self.dir.join("jar")
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Stops it as an administrator does; what it said last.
    pub(crate) fn stop(mut self) -> String {
        self.signal("-TERM");
        let mut last = String::new();
        self.out.read_to_string(&mut last).unwrap();
        assert!(self.child.wait().unwrap().success(), "{last}");
        last
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("up").arg("--data-dir").arg(dir).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Runs it to its end, which has to come.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Output {
    let mut child =
        command(dir).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it goes on with {arguments:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

pub(crate) fn refused(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The word of a text that begins so.
pub(crate) fn word<'a>(text: &'a str, begins: &str) -> &'a str {
    text.split_whitespace()
        .find(|word| word.starts_with(begins))
        .unwrap_or_else(|| panic!("no {begins} in {text}"))
}

pub(crate) fn house() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    (dir, data)
}

/// Looks again and again until it is there.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A Zeek log in which one host tries another's SSH again and again, and many neighbours.
pub(crate) fn scan_log() -> String {
    let mut log = String::new();
    for number in 0..400 {
        log.push_str(&format!(
            "{{\"ts\":{}.5,\"uid\":\"C{number}\",\"id.orig_h\":\"10.1.2.3\",\"id.orig_p\":{},\"id.resp_h\":\"10.1.{}.{}\",\
             \"id.resp_p\":23,\"proto\":\"tcp\",\"conn_state\":\"S0\",\"orig_pkts\":1,\"orig_ip_bytes\":40,\"resp_pkts\":0,\
             \"resp_ip_bytes\":0,\"history\":\"S\"}}\n",
            1_700_000_000 + number / 20,
            40_000 + number,
            3 + number / 200,
            1 + number % 200,
        ));
    }
    log
}
