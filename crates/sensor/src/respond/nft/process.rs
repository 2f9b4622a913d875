//! Runs `nft`.
//!
//! Guarantees: no shell, no environment, an absolute path; what is handed over was rendered from typed values. It
//! ends within the deadline or is killed, and what it prints is bounded.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where distributions put it.
const PLACES: [&str; 5] =
    ["/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft", "/usr/bin/nft", "/run/current-system/sw/bin/nft"];

/// How long one run may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The most that is read of what it prints.
const MAX_OUTPUT: u64 = 16 << 20;

/// Why `nft` did not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NftError {
    /// Not installed.
    #[error("nft was not found in {}: install the package nftables", PLACES.join(", "))]
    Missing,
    /// Could not be started or talked to.
    #[error("{path}: {source}")]
    Run {
        /// Which program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Ran too long.
    #[error("nft did not end within {} s and was killed", .0.as_secs())]
    Late(Duration),
    /// Said no.
    #[error("nft refused: {0}")]
    Refused(String),
}

/// The program that was found.
#[derive(Clone, Debug)]
pub(crate) struct Nft {
    path: PathBuf,
    deadline: Duration,
}

impl Nft {
    pub(crate) fn find() -> Result<Self, NftError> {
        let found = PLACES.iter().map(Path::new).find(|path| path.is_file());
        found.map(|path| Self { path: path.to_owned(), deadline: DEADLINE }).ok_or(NftError::Missing)
    }

    /// Another program in its place.
    #[cfg(test)]
    pub(crate) fn in_place(path: &Path, deadline: Duration) -> Self {
        Self { path: path.to_owned(), deadline }
    }

    /// Carries a script out as one transaction: all of it, or nothing.
    pub(crate) fn script(&self, script: &str) -> Result<(), NftError> {
        self.run(&["-f", "-"], script).map(|_| ())
    }

    /// A table as JSON; `None` where there is no such table.
    pub(crate) fn table(&self, family: &str, table: &str) -> Result<Option<Vec<u8>>, NftError> {
        match self.run(&["-j", "list", "table", family, table], "") {
            Ok(output) => Ok(Some(output)),
            Err(NftError::Refused(reason)) if reason.contains("No such file or directory") => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn run(&self, arguments: &[&str], input: &str) -> Result<Vec<u8>, NftError> {
        let wrap = |source| NftError::Run { path: self.path.clone(), source };
        let mut child = Command::new(&self.path)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(wrap)?;
        let stdout = child.stdout.take().map(read_apart);
        let stderr = child.stderr.take().map(read_apart);
        if let Some(mut stdin) = child.stdin.take() {
            // A refusal may come before all is read; its reason is on stderr, so a broken pipe is not the story.
            let written = stdin.write_all(input.as_bytes());
            if let Err(error) = written.and_then(|()| stdin.flush()) {
                tracing::debug!(%error, "nft closed its input early");
            }
        }
        let succeeded = wait(&mut child, self.deadline).map_err(wrap)?;
        let collect = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
            reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
        };
        let (output, complaint) = (collect(stdout), collect(stderr));
        match succeeded {
            Some(true) => Ok(output),
            Some(false) => Err(NftError::Refused(brief(&complaint))),
            None => Err(NftError::Late(self.deadline)),
        }
    }
}

fn read_apart(source: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut output = Vec::new();
        // What was read before an error is what there is to show.
        let _ = source.take(MAX_OUTPUT).read_to_end(&mut output);
        output
    })
}

/// Whether it succeeded; `None` where it had to be killed.
fn wait(child: &mut Child, deadline: Duration) -> std::io::Result<Option<bool>> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(100);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if begun.elapsed() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// The first line of a complaint; the rest repeats the script.
fn brief(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
    line.chars().take(300).collect()
}
