//! A device's shell, as far as Mirai's loader and an administrator use it. It only plays: nothing is ever executed.
//! Where the program that the drill's own loader brought is "run", the caller is told so.

use crate::{
    city::plan::{Device, DeviceKind, Fetcher},
    mirai::program,
    things::web,
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    sync::Arc,
    time::Duration,
};

const MOST_FILES: usize = 32;
const LARGEST_FILE: usize = 1 << 20;

/// Called with the arguments of a harmless program that was run.
pub(crate) type OnRun = Arc<dyn Fn(program::Orders) + Send + Sync>;

/// A session's shell.
pub(crate) struct Shell {
    device: Device,
    files: BTreeMap<String, Vec<u8>>,
    on_run: OnRun,
}

impl Shell {
    pub(crate) fn new(device: Device, on_run: OnRun) -> Self {
        Self { device, files: BTreeMap::new(), on_run }
    }

    pub(crate) fn greeting(&self) -> &'static str {
        match self.device.kind {
            DeviceKind::TrafficLight => "\r\nTraffic controller, firmware 4.1.7\r\n",
            _ => {
                "\r\n\r\nBusyBox v1.22.1 (2016-06-03 11:21:36 CST) built-in shell (ash)\r\n\
                 Enter 'help' for a list of built-in commands.\r\n\r\n"
            }
        }
    }

    pub(crate) fn prompt(&self) -> &'static [u8] {
        match self.device.kind {
            DeviceKind::TrafficLight => b"tlc> ",
            _ => b"# ",
        }
    }

    /// What the shell prints for a line.
    pub(crate) fn line(&mut self, line: &str) -> Vec<u8> {
        let mut said = Vec::new();
        for command in split(line) {
            said.extend(self.command(command.trim()));
        }
        said
    }

    fn command(&mut self, command: &str) -> Vec<u8> {
        let (command, target) = redirection(command);
        let words: Vec<&str> = command.split_whitespace().collect();
        let words = match words.as_slice() {
            ["/bin/busybox" | "busybox", rest @ ..] => rest,
            all => all,
        };
        let busybox = command.starts_with("/bin/busybox") || command.starts_with("busybox");
        let said: Vec<u8> = match words {
            [] if busybox => b"BusyBox v1.22.1 (2016-06-03 11:21:36 CST) multi-call binary.\r\n".to_vec(),
            [] => Vec::new(),
            ["enable" | "system" | "shell" | "linuxshell" | "sh", ..] => Vec::new(),
            ["echo", rest @ ..] => echo(command, rest),
            ["cat", file] => self.cat(file),
            ["cp", from, to] => {
                let content = self.cat(from);
                self.write(to, content, false);
                Vec::new()
            }
            ["rm", rest @ ..] => {
                rest.iter().for_each(|file| drop(self.files.remove(*file)));
                Vec::new()
            }
            ["chmod", ..] | ["cd", ..] | ["killall" | "kill", ..] => Vec::new(),
            ["ps"] => b"  PID USER       VSZ STAT COMMAND\r\n    1 root      1432 S    init\r\n  612 root      1480 S    telnetd\r\n".to_vec(),
            ["uptime"] => b" 10:12:44 up 61 days,  2:03, load average: 0.21, 0.17, 0.11\r\n".to_vec(),
            ["ls", ..] => b"bin  dev  etc  mnt  proc  tmp  usr  var\r\n".to_vec(),
            ["wget", rest @ ..] => self.wget(rest, target),
            ["tftp", rest @ ..] => self.tftp(rest),
            [run, ..] if run.starts_with("./") => self.run(run),
            [applet, ..] if busybox => format!("{applet}: applet not found\r\n").into_bytes(),
            ["show", ..] => b"plan 3, phase 2, all detectors in order\r\n".to_vec(),
            [other, ..] => format!("-sh: {other}: not found\r\n").into_bytes(),
        };
        match target {
            Some((file, append)) if !matches!(words, ["wget", ..]) => {
                self.write(file, said, append);
                Vec::new()
            }
            _ => said,
        }
    }

    fn cat(&self, file: &str) -> Vec<u8> {
        match file {
            "/proc/mounts" => {
                b"rootfs / rootfs rw 0 0\r\n/dev/root / squashfs ro,relatime 0 0\r\nproc /proc proc rw 0 0\r\ntmpfs /dev tmpfs rw,relatime 0 0\r\ntmpfs /var tmpfs rw 0 0\r\n".to_vec()
            }
            "/bin/echo" => program::elf_header(),
            other => self.files.get(name(other)).cloned().unwrap_or_else(|| {
                format!("cat: can't open '{other}': No such file or directory\r\n").into_bytes()
            }),
        }
    }

    fn write(&mut self, file: &str, content: Vec<u8>, append: bool) {
        let file = name(file);
        if self.files.len() >= MOST_FILES && !self.files.contains_key(file) {
            return;
        }
        let kept = self.files.entry(file.to_owned()).or_default();
        if !append {
            kept.clear();
        }
        if kept.len() + content.len() <= LARGEST_FILE {
            kept.extend(content);
        }
    }

    fn wget(&mut self, words: &[&str], target: Option<(&str, bool)>) -> Vec<u8> {
        if self.device.fetcher != Fetcher::Wget {
            return b"wget: applet not found\r\n".to_vec();
        }
        let Some((host, path)) = words.iter().find_map(|word| word.strip_prefix("http://")?.split_once('/'))
        else {
            return b"BusyBox v1.22.1 (2016-06-03 11:21:36 CST) multi-call binary.\r\n\r\nUsage: wget [-csq] URL\r\n".to_vec();
        };
        let at = if host.contains(':') { host.parse() } else { format!("{host}:80").parse() };
        let fetched = at.ok().and_then(|at: SocketAddrV4| web::fetch(at, host, &format!("/{path}"), "Wget"));
        match (fetched, target) {
            (Some(content), Some((file, append))) => {
                self.write(file, content, append);
                b"-                    100% |*******************************| 00:00:00 ETA\r\n".to_vec()
            }
            _ => format!("wget: can't connect to remote host ({host})\r\n").into_bytes(),
        }
    }

    fn tftp(&mut self, words: &[&str]) -> Vec<u8> {
        if self.device.fetcher == Fetcher::Echo {
            return b"tftp: applet not found\r\n".to_vec();
        }
        let ["-g", "-l", local, "-r", remote, server] = words else {
            return b"BusyBox v1.22.1 (2016-06-03 11:21:36 CST) multi-call binary.\r\n\r\nUsage: tftp [OPTIONS] HOST [PORT]\r\n".to_vec();
        };
        match server.parse().ok().and_then(|server| tftp_get(server, remote)) {
            Some(content) => {
                self.write(local, content, false);
                Vec::new()
            }
            None => b"tftp: timeout\r\n".to_vec(),
        }
    }

    fn run(&self, file: &str) -> Vec<u8> {
        match self.files.get(name(file)).map(|content| program::orders(content)) {
            Some(Some(orders)) => {
                (self.on_run)(orders);
                b"listening tun0\r\n".to_vec()
            }
            Some(None) => format!("-sh: {file}: Exec format error\r\n").into_bytes(),
            None => format!("-sh: {file}: not found\r\n").into_bytes(),
        }
    }
}

/// A file by its last name: the shell knows no folders.
fn name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// Commands between semicolons that are not quoted.
fn split(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|c| {
        quoted ^= c == '\'';
        c == ';' && !quoted
    })
    .collect()
}

/// A command and where its output goes: the file, and whether it is added to.
fn redirection(command: &str) -> (&str, Option<(&str, bool)>) {
    match command.rsplit_once('>') {
        Some((head, file)) if !file.contains('\'') => {
            let (head, append) = head.strip_suffix('>').map_or((head, false), |head| (head, true));
            (head.trim(), Some((file.trim(), append)))
        }
        _ => (command, None),
    }
}

/// `echo`, with `\x` escapes where `-e` asks for them.
fn echo(command: &str, words: &[&str]) -> Vec<u8> {
    let escapes = words.first().is_some_and(|first| first.starts_with('-') && first.contains('e'));
    let no_newline = words.first().is_some_and(|first| first.starts_with('-') && first.contains('n'));
    let text = match command.split_once('\'') {
        Some((_, quoted)) => quoted.trim_end_matches('\'').to_owned(),
        None => words.iter().filter(|word| !word.starts_with('-')).copied().collect::<Vec<_>>().join(" "),
    };
    let mut said = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("\\x").filter(|_| escapes) {
        said.extend(rest.get(..at).unwrap_or_default().bytes());
        let digits = rest.get(at + 2..at + 4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        said.extend(digits);
        rest = rest.get(at + 4..).unwrap_or_default();
    }
    said.extend(rest.bytes());
    if !no_newline {
        said.extend(b"\r\n");
    }
    said
}

/// Fetches a file by TFTP (RFC 1350).
fn tftp_get(server: Ipv4Addr, file: &str) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    socket.send_to(&[&[0, 1], file.as_bytes(), b"\0octet\0"].concat(), (server, 69)).ok()?;
    let mut content = Vec::new();
    let mut buffer = [0; 600];
    for block in 1_u16..=2_000 {
        let (length, from) = socket.recv_from(&mut buffer).ok()?;
        let data = buffer.get(..length)?;
        if crate::wire::word(data, 0)? != 3 || crate::wire::word(data, 2)? != block {
            return None;
        }
        content.extend(data.get(4..)?);
        socket.send_to(&[[0, 4], block.to_be_bytes()].concat(), from).ok()?;
        if length < 516 {
            return Some(content);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::plan::Plan;
    use std::sync::Mutex;

    fn shell(fetcher: Fetcher) -> (Shell, Arc<Mutex<usize>>) {
        let mut device = Plan::of(1, true).devices.swap_remove(0);
        device.fetcher = fetcher;
        let runs = Arc::new(Mutex::new(0));
        let count = Arc::clone(&runs);
        (Shell::new(device, Arc::new(move |_| *count.lock().unwrap() += 1)), runs)
    }

    fn check(line: &str, expected: &str) {
        let (mut shell, _) = shell(Fetcher::Echo);
        assert_eq!(String::from_utf8_lossy(&shell.line(line)), expected, "{line}");
    }

    #[test]
    fn it_answers_as_mirai_expects() {
        check("/bin/busybox ECCHI", "ECCHI: applet not found\r\n");
        check("enable", "");
        check(
            "/bin/busybox wget; /bin/busybox tftp; /bin/busybox ECCHI",
            "wget: applet not found\r\ntftp: applet not found\r\nECCHI: applet not found\r\n",
        );
        check(
            "/bin/busybox echo -e '\\x6b\\x61\\x6d\\x69/dev' > /dev/.nippon; /bin/busybox cat /dev/.nippon",
            "kami/dev\r\n",
        );
        check("echo -ne 'a;b'", "a;b");
        check("./nothing", "-sh: ./nothing: not found\r\n");
        check("", "");
        check(";;;>>>''\\x", "-sh: >>>''\\x: not found\r\n");
    }

    #[test]
    fn only_the_drills_own_program_runs_and_only_whole() {
        let orders = program::Orders { controller: "198.18.0.1:23".parse().unwrap() };
        let whole = program::build(&orders, 1400);
        for (content, ran) in
            [(whole.clone(), 1), (whole[..700].to_vec(), 0), (b"#!/bin/sh\nreboot\n".to_vec(), 0)]
        {
            let (mut shell, runs) = shell(Fetcher::Echo);
            for chunk in content.chunks(128) {
                let escaped: String = chunk.iter().map(|byte| format!("\\x{byte:02x}")).collect();
                shell.line(&format!("echo -ne '{escaped}' >> upnp; /bin/busybox ECCHI"));
            }
            shell.line("./upnp telnet.arm7");
            assert_eq!(*runs.lock().unwrap(), ran);
        }
    }
}
