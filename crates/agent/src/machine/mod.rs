//! The device as it says of itself what it is: files below its root, read and never written.
//!
//! What cannot be read is told ([`Unread`]); nothing in any of these files can stop the agent or make it read without end.

mod accounts;
mod crypt;
mod os;
mod packages;
mod ports;

pub use accounts::Guesses;
pub use packages::{Database, read_packages};
pub use ports::read_sockets;

use model::Mac;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};
use wire::{Collect, Posture, Sbom, Software, Transport, Unread, limit};

/// The longest line that is read, in bytes; what is beyond is skipped.
const LONGEST_LINE: u64 = 4_096;
/// The most that is read of one file.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// A Linux machine, by its root folder.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// The one whose root is here: `/` for the one that this runs on.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// What it calls itself.
    #[must_use]
    pub fn host_name(&self) -> Option<String> {
        self.line("proc/sys/kernel/hostname").filter(|name| !name.is_empty())
    }

    /// How it stands, and the list of its software where `collect` wants it.
    #[must_use]
    pub fn look(&self, agent: &str, collect: Collect, guesses: &mut Guesses) -> (Posture, Option<Sbom>) {
        let os = self.os();
        let mut unread = Vec::new();
        let sbom = if collect.packages { self.sbom(agent, &os, &mut unread) } else { None };
        let listening = if collect.ports { self.listening(&mut unread) } else { None };
        let telnet = listening.as_ref().map(|listening| {
            let open = listening.iter().filter(|one| one.transport == Transport::Tcp && is_telnet(one));
            let mut ports: Vec<u16> = open.map(|one| one.port).collect();
            ports.dedup();
            ports
        });
        let accounts = if collect.accounts { self.accounts(guesses, &mut unread) } else { None };
        unread.sort_unstable();
        unread.dedup();
        unread.truncate(limit::UNREAD);
        let software = sbom.as_ref().map(|sbom| Software {
            packages: u32::try_from(sbom.components.len()).unwrap_or(u32::MAX),
            sbom: sbom.serial_number.clone(),
        });
        let (boot, started) = self.start();
        let agent = agent.to_owned();
        (
            Posture {
                agent,
                os,
                boot,
                started,
                hardware: self.hardware(),
                software,
                listening,
                telnet,
                accounts,
                unread,
            },
            sbom,
        )
    }

    /// The addresses of the interfaces that are hardware: those that it made up itself have no device behind them.
    fn hardware(&self) -> Vec<Mac> {
        let interfaces = fs::read_dir(self.path("sys/class/net")).into_iter().flatten().flatten();
        let real = interfaces.filter(|interface| interface.path().join("device").exists());
        let address = |interface: fs::DirEntry| {
            self.line(&format!("sys/class/net/{}/address", interface.file_name().to_str()?))?
                .trim()
                .parse()
                .ok()
        };
        let mut found: Vec<Mac> = real.take(limit::INTERFACES).filter_map(address).collect();
        found.retain(|mac| *mac != Mac::ZERO && !mac.is_group());
        found.sort_unstable();
        found.dedup();
        found
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The first line of a small file.
    fn line(&self, path: &str) -> Option<String> {
        let mut first = None;
        self.lines(path, |line| {
            first.get_or_insert_with(|| cut(line, limit::TEXT));
        })
        .ok()?;
        first
    }

    /// Every line of a file, as text.
    fn lines(&self, path: &str, mut take: impl FnMut(&str)) -> io::Result<()> {
        each_line(BufReader::new(File::open(self.path(path))?), &mut take)
    }
}

/// Whether telnet is open here to others.
fn is_telnet(one: &wire::Listening) -> bool {
    let named = one.process.as_ref().is_some_and(|process| process.contains("telnetd"));
    (matches!(one.port, 23 | 2323) || named) && !one.address.is_loopback()
}

/// Every line, without its end; bytes that are no text are replaced.
fn each_line(reader: impl BufRead, take: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut reader = reader.take(MOST_BYTES);
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::by_ref(&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else {
            // The rest of a line that is too long: to its end, in pieces.
            let mut rest = Vec::new();
            while io::Read::by_ref(&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut rest)? > 0
                && rest.last() != Some(&b'\n')
            {
                rest.clear();
            }
        }
        take(&String::from_utf8_lossy(&line));
    }
}

/// A text as it may be sent: without control characters, and not longer than that.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let mut clean: String = text.chars().filter(|c| !c.is_control()).collect();
    while clean.len() > most {
        clean.pop();
    }
    clean
}

fn unread(source: &str, reason: impl ToString) -> Unread {
    Unread { source: source.to_owned(), reason: cut(&reason.to_string(), limit::TEXT) }
}

#[cfg(test)]
mod tests;
