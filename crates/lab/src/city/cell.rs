//! The private namespaces in which a drill lives.
//!
//! Guarantees: nothing of the drill exists outside of one user, network, mount, pid, ipc and uts namespace, made
//! afresh for each run and by root too. Its first process dies with the program that started it (parent-death signal,
//! and end of file on a pipe), and the kernel then kills every other process in it and takes its network away. So
//! nothing is left after Ctrl-C, a panic or `kill -9`. [`Inside`] is the proof that the calling thread is in there;
//! every attacking function asks for one.

use crate::{Error, Result, error::Tried};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{prctl, signal::Signal},
    unistd::{Pid, getegid, geteuid, getpid, getppid},
};
use std::{
    fs,
    io::Read as _,
    net::Ipv4Addr,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// Makes the namespaces, starts `program` with `arguments` as their first process and waits for it.
///
/// Must be called by a process of one thread (the kernel asks for that) whose parent is `starter`.
///
/// # Errors
/// [`Error::Namespaces`] with the setting to change, where the kernel refuses; [`Error::Io`] otherwise.
pub fn enclose(starter: u32, program: &Path, arguments: &[String]) -> Result<u8> {
    let (uid, gid) = (geteuid(), getegid());
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    let refused = |source| Error::Namespaces { source, advice: advice() };
    unshare(all).map_err(refused)?;
    // Set after the credentials changed: changing them clears it.
    die_with_parent(Some(starter))?;
    let map = |file: &str, line: String| {
        fs::write(file, line)
            .map_err(|error| refused(nix::Error::from_raw(error.raw_os_error().unwrap_or(0))))
    };
    // Kernels before 3.19 have no setgroups file and need no line in it.
    let _ = fs::write("/proc/self/setgroups", "deny");
    map("/proc/self/uid_map", format!("0 {uid} 1\n"))?;
    map("/proc/self/gid_map", format!("0 {gid} 1\n"))?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .tried(|| "make the mounts private".into())?;
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .status()
        .tried(|| format!("start {} in the namespaces", program.display()))?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, Some(signal)) => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
        (None, None) => 1,
    })
}

/// What the first process of the namespaces does first: makes sure that it is that, and that it will not outlive its
/// starter. Standard input must be a pipe that the starter holds open.
///
/// # Errors
/// [`Error::Refused`] where this is not the first process of fresh namespaces.
pub fn settle() -> Result<()> {
    if getpid() != Pid::from_raw(1) {
        return Err(Error::Refused(
            "a city lives only in namespaces of its own; start it with `bastide drill mirai`".into(),
        ));
    }
    die_with_parent(None)?;
    let nothing = None::<&str>;
    let hidden = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // Not allowed in some containers; then the old one serves, with other process numbers in it.
    let _ = mount(Some("proc"), "/proc", Some("proc"), hidden, nothing);
    let watch = thread::Builder::new().name("starter".into()).spawn(|| {
        let mut rest = [0; 64];
        while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
        std::process::exit(70);
    });
    watch.map(drop).tried(|| "start a thread".into())
}

fn die_with_parent(expected: Option<u32>) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).tried(|| "ask to die with the parent".into())?;
    match expected {
        Some(parent) if getppid().as_raw().unsigned_abs() != parent => {
            Err(Error::Refused("the program that started the drill is gone".into()))
        }
        _ => Ok(()),
    }
}

/// Which setting keeps this user from making namespaces.
fn advice() -> String {
    let value = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let mut lines = Vec::new();
    if value("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        lines.push("Allow them: sudo sysctl -w kernel.unprivileged_userns_clone=1");
    }
    if value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        lines.push("Allow them: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
    }
    if value("/proc/sys/user/max_user_namespaces") == "0" {
        lines.push("Allow some: sudo sysctl -w user.max_user_namespaces=10000");
    }
    if value("/proc/sys/user/max_net_namespaces") == "0" {
        lines.push("Allow some: sudo sysctl -w user.max_net_namespaces=10000");
    }
    if lines.is_empty() {
        lines.push(
            "No sysctl forbids them (kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, \
             user.max_user_namespaces were looked at), so a container's seccomp profile does: start the container with \
             --security-opt seccomp=unconfined --security-opt apparmor=unconfined, or run as root on the host",
        );
    }
    lines.join(". ")
}

/// Proof that the calling thread is in a network namespace of the city: the only key to the attack's functions.
///
/// The proof is a network interface whose name holds the run's secret token. The city puts one into each namespace
/// that it makes, and no other namespace has it.
#[derive(Clone, Debug)]
pub struct Inside {
    token: String,
}

impl Inside {
    /// The name of the interface that only namespaces of this run have.
    #[must_use]
    pub fn marker(token: &str) -> String {
        format!("lab-{token}")
    }

    /// Looks around.
    ///
    /// # Errors
    /// [`Error::Refused`] where the calling thread's network is not of the city.
    pub fn prove(token: &str) -> Result<Self> {
        let inside = Self { token: token.to_owned() };
        inside.check()?;
        Ok(inside)
    }

    /// Looks around again; attacking threads do before their first packet.
    ///
    /// # Errors
    /// [`Error::Refused`] where the calling thread's network is not of the city.
    pub fn check(&self) -> Result<()> {
        let valid = self.token.len() == 8 && self.token.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !valid || nix::net::if_::if_nametoindex(Self::marker(&self.token).as_str()).is_err() {
            return Err(Error::Refused(
                "the attack runs only inside the network namespaces that the drill made".into(),
            ));
        }
        Ok(())
    }

    /// Lets only lab addresses through: private networks, and those that RFC 5737 and RFC 2544 keep for documentation
    /// and benchmarks, which nobody on the internet has.
    ///
    /// # Errors
    /// [`Error::Refused`] with the address.
    pub fn target(&self, address: Ipv4Addr) -> Result<Ipv4Addr> {
        let [a, b, ..] = address.octets();
        if address.is_private() || address.is_documentation() || (a == 198 && (b == 18 || b == 19)) {
            Ok(address)
        } else {
            Err(Error::Refused(format!("{address} is no address of the lab")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_attacks_outside_of_the_city() {
        for token in ["", "lo", "00c0ffee", "zzzzzzzz"] {
            assert!(Inside::prove(token).is_err(), "{token}");
        }
        assert!(settle().is_err(), "this test is not the first process of a namespace");
    }

    #[test]
    fn only_lab_addresses_are_targets() {
        let inside = Inside { token: String::new() };
        for (address, lab) in [
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("192.168.9.9", true),
            ("192.0.2.1", true),
            ("198.51.100.7", true),
            ("203.0.113.1", true),
            ("198.18.0.1", true),
            ("198.19.255.255", true),
            ("198.20.0.1", false),
            ("8.8.8.8", false),
            ("127.0.0.1", false),
            ("172.32.0.1", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(inside.target(address.parse().unwrap()).is_ok(), lab, "{address}");
        }
    }
}
