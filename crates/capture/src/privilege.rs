//! Giving up privileges.

use std::io;

/// A Linux capability that a thread may need to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Write files that belong to others (`CAP_DAC_OVERRIDE`).
    WriteAnyFile = 1,
    /// Read files that belong to others (`CAP_DAC_READ_SEARCH`).
    ReadAnyFile = 2,
    /// Change the firewall (`CAP_NET_ADMIN`).
    NetworkAdmin = 12,
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;
/// More than any kernel has; the first that it does not know ends the walk.
const LAST: u8 = 63;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up all capabilities of the calling thread but these, for itself and for every thread and program that it
/// starts from now on; programs cannot get more back (`no_new_privs`). What the thread does not have it does not
/// get. Threads that run already are not touched.
///
/// # Errors
/// What the kernel says. After an error the thread may hold more than was asked for.
pub fn limit_thread(keep: &[Capability]) -> io::Result<()> {
    let keep = keep.iter().fold(0_u64, |mask, &capability| mask | 1 << (capability as u8));
    // Root gets capabilities back from the bounding set when it starts a program, so that goes first. A thread without
    // CAP_SETPCAP cannot change it, and then has nothing there to lose that `no_new_privs` does not hold back.
    for capability in (0..=LAST).filter(|capability| keep & (1 << capability) == 0) {
        match control(libc::PR_CAPBSET_DROP, capability.into(), 0) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => break,
            other => other?,
        }
    }
    let header = Header { version: VERSION, pid: 0 };
    let mut sets = [Sets::default(); 2];
    // SAFETY: the header and the two sets are what version 3 of the interface reads and fills.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()) })?;
    for (sets, keep) in sets.iter_mut().zip([keep as u32, (keep >> 32) as u32]) {
        let kept = sets.permitted & keep;
        *sets = Sets { effective: kept, permitted: kept, inheritable: kept };
    }
    // SAFETY: the header and the two sets are what version 3 of the interface reads.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) })?;
    control(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    for capability in (0..=LAST).filter(|capability| keep & (1 << capability) != 0) {
        // So that a program started by somebody who is not root has it too; fails where the thread lacks it.
        let _lacking = control(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, capability.into());
    }
    Ok(())
}

fn control(option: i32, first: u64, second: u64) -> io::Result<()> {
    // SAFETY: the options used here take numbers, no pointers; unused arguments are zero.
    check(unsafe { libc::prctl(option, first, second, 0_u64, 0_u64) }.into())
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, thread};

    fn sets_of_this_thread() -> Vec<(String, u64)> {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines = status.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(name, _)| name.starts_with("Cap"))
            .map(|(name, value)| (name.to_owned(), u64::from_str_radix(value.trim(), 16).unwrap()))
            .collect()
    }

    #[test]
    fn a_thread_keeps_what_it_names_and_no_more() {
        let before = sets_of_this_thread();
        let admin = 1_u64 << (Capability::NetworkAdmin as u8);
        thread::spawn(move || {
            limit_thread(&[Capability::NetworkAdmin]).unwrap();
            for (name, value) in sets_of_this_thread() {
                if name != "CapBnd" {
                    assert_eq!(value & !admin, 0, "{name}");
                }
            }
            limit_thread(&[]).unwrap();
            for (name, value) in sets_of_this_thread() {
                if name != "CapBnd" {
                    assert_eq!(value, 0, "{name}");
                }
            }
        })
        .join()
        .unwrap();
        assert_eq!(sets_of_this_thread(), before, "other threads keep theirs");
    }
}
