//! On which ports something waits, and what.

use super::{Machine, cut, each_line, unread};
use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use wire::{Listening, Transport, Unread, limit};

/// The most processes whose open files are looked through, and the most files of one.
const MOST_PROCESSES: usize = 8_192;
const MOST_FILES: usize = 4_096;
/// Where ports begin that are taken by who asks, where the kernel does not say.
const EPHEMERAL: u16 = 32_768;

/// The tables of the kernel, and the state in which a socket waits for anybody: LISTEN, and not connected.
const TABLES: [(Transport, &str, &str); 4] = [
    (Transport::Tcp, "proc/net/tcp", "0A"),
    (Transport::Tcp, "proc/net/tcp6", "0A"),
    (Transport::Udp, "proc/net/udp", "07"),
    (Transport::Udp, "proc/net/udp6", "07"),
];

impl Machine {
    pub(super) fn listening(&self, missing: &mut Vec<Unread>) -> Option<Vec<Listening>> {
        let asks_from = self.line("proc/sys/net/ipv4/ip_local_port_range");
        let asks_from = asks_from.and_then(|range| range.split_whitespace().next()?.parse().ok());
        let asks_from: u16 = asks_from.unwrap_or(EPHEMERAL);
        let (mut found, mut any) = (Vec::new(), false);
        for (transport, table, waits) in TABLES {
            let read = fs::File::open(self.path(table));
            match read.and_then(|file| read_sockets(waits, BufReader::new(file))) {
                Ok(sockets) => {
                    any = true;
                    // Above that, a socket of UDP waits for the answer to a question of its own.
                    let serves = |port: u16| port != 0 && (transport == Transport::Tcp || port < asks_from);
                    found.extend(sockets.into_iter().filter(|&(_, port, _)| serves(port)).map(
                        |(address, port, inode)| {
                            (Listening { transport, port, address, process: None }, inode)
                        },
                    ));
                }
                // A kernel without IPv6 has no such table.
                Err(error) if error.kind() == io::ErrorKind::NotFound && table.ends_with('6') => {}
                Err(error) => missing.push(unread(&format!("/{table}"), error)),
            }
        }
        if !any {
            return None;
        }
        let names = self.holders(&found.iter().map(|(_, inode)| *inode).collect());
        if found.iter().any(|(_, inode)| !names.contains_key(inode)) {
            let reason = "not everything may be read: some ports are without the name of their process";
            missing.push(unread("/proc/*/fd", reason));
        }
        let mut listening: Vec<Listening> = found
            .into_iter()
            .map(|(one, inode)| Listening { process: names.get(&inode).cloned(), ..one })
            .collect();
        listening.sort_unstable();
        listening.dedup();
        if listening.len() > limit::LISTENING {
            let reason = format!("more than {} ports: the others are left out", limit::LISTENING);
            missing.push(unread("/proc/net", reason));
            listening.truncate(limit::LISTENING);
        }
        Some(listening)
    }

    /// The names of the processes that hold these sockets; of several that with the lowest number.
    fn holders(&self, wanted: &HashSet<u64>) -> HashMap<u64, String> {
        let mut names: HashMap<u64, (u32, String)> = HashMap::new();
        let processes = fs::read_dir(self.path("proc")).into_iter().flatten().flatten();
        let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for process in processes.take(MOST_PROCESSES) {
            let files = fs::read_dir(self.path(&format!("proc/{process}/fd"))).into_iter().flatten();
            let mut name = None;
            for file in files.flatten().take(MOST_FILES) {
                let Ok(target) = fs::read_link(file.path()) else { continue };
                let inode = target.to_str().and_then(|target| target.strip_prefix("socket:["));
                let inode = inode.and_then(|rest| rest.strip_suffix(']')?.parse().ok());
                let Some(inode) = inode.filter(|inode| wanted.contains(inode)) else { continue };
                if names.get(&inode).is_some_and(|(known, _)| *known <= process) {
                    continue;
                }
                let name = name.get_or_insert_with(|| self.line(&format!("proc/{process}/comm")));
                if let Some(name) = name.as_ref().filter(|name| !name.is_empty()) {
                    names.insert(inode, (process, cut(name, limit::TEXT)));
                }
            }
        }
        names.into_iter().map(|(inode, (_, name))| (inode, name)).collect()
    }
}

/// Address, port and inode of each socket in that state, out of a table such as `/proc/net/tcp`.
///
/// # Errors
/// Where the reader fails. What is no line of such a table is skipped.
pub fn read_sockets(state: &str, reader: impl BufRead) -> io::Result<Vec<(IpAddr, u16, u64)>> {
    let mut sockets = Vec::new();
    each_line(reader, &mut |line| {
        if let Some(socket) = socket(state, line).filter(|_| sockets.len() < 4 * limit::LISTENING) {
            sockets.push(socket);
        }
    })?;
    Ok(sockets)
}

fn socket(state: &str, line: &str) -> Option<(IpAddr, u16, u64)> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let _remote = fields.next()?;
    if fields.next()? != state {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of 32 bits as the machine has them in memory, which is the order of the network.
    let word = |at: usize| {
        let word = address.get(at * 8..at * 8 + 8).and_then(|word| u32::from_str_radix(word, 16).ok());
        word.map(u32::to_ne_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some((address, port, inode))
}
