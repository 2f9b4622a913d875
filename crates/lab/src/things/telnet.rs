//! Telnet: a device's server with a login, and the client's side that the administrator, the scanner and the loader
//! share.

use crate::{
    city::plan::Telnet,
    clock,
    error::Result,
    things::{serve_tcp, shell::Shell},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddrV4, TcpStream},
    time::Duration,
};

const IAC: u8 = 255;
/// WILL echo, WILL suppress go-ahead, DO window size: what busybox's telnetd opens with.
const OPENING: [u8; 12] = [IAC, 253, 1, IAC, 253, 31, IAC, 251, 1, IAC, 251, 3];

/// A device's telnet server; `shell` makes the shell of each session.
pub(crate) fn serve(
    telnet: Telnet,
    name: String,
    shell: impl Fn() -> Shell + Send + Sync + 'static,
) -> Result<()> {
    serve_tcp(telnet.port, 8, move |stream, _| {
        let _ = session(stream, &telnet, &name, shell());
    })
}

fn session(mut stream: TcpStream, telnet: &Telnet, name: &str, mut shell: Shell) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(&OPENING)?;
    let mut line = Lines::default();
    for _ in 0..3 {
        stream.write_all(format!("\r\n{name} login: ").as_bytes())?;
        let user = line.next(&mut stream, true)?;
        stream.write_all(b"Password: ")?;
        let password = line.next(&mut stream, false)?;
        stream.write_all(b"\r\n")?;
        if user == telnet.user && password == telnet.password {
            stream.write_all(shell.greeting().as_bytes())?;
            return run(&mut stream, &mut line, &mut shell);
        }
        clock::pause(120);
        stream.write_all(b"Login incorrect\r\n")?;
    }
    Ok(())
}

fn run(stream: &mut TcpStream, lines: &mut Lines, shell: &mut Shell) -> std::io::Result<()> {
    loop {
        stream.write_all(shell.prompt())?;
        let line = lines.next(stream, true)?;
        if matches!(line.trim(), "exit" | "quit" | "logout") {
            return Ok(());
        }
        let said = shell.line(&line);
        stream.write_all(&said)?;
    }
}

/// Lines out of a telnet stream, without its negotiation.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn next(&mut self, stream: &mut TcpStream, echo: bool) -> std::io::Result<String> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.0.drain(..=end).collect();
                line.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
                if echo {
                    stream.write_all(&[&line, b"\r\n".as_slice()].concat())?;
                }
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            let length = stream.read(&mut buffer)?;
            if length == 0 || self.0.len() > 65_536 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.0.extend(without_negotiation(buffer.get(..length).unwrap_or_default()));
        }
    }
}

/// Drops telnet commands; in this city they never straddle two reads.
fn without_negotiation(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = bytes.iter();
    while let Some(byte) = at.next() {
        if *byte == IAC {
            if at.next().is_some_and(|command| (251..=254).contains(command)) {
                at.next();
            }
        } else {
            plain.push(*byte);
        }
    }
    plain
}

/// The client's side.
pub(crate) struct Client {
    stream: TcpStream,
    seen: Vec<u8>,
    negotiated: bool,
}

impl Client {
    /// Connects; waits at most two seconds for anything, ever.
    pub(crate) fn connect(to: SocketAddrV4) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, seen: Vec::new(), negotiated: false })
    }

    /// Sends a line.
    pub(crate) fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes())
    }

    /// Reads until one of the texts was seen, and says which one; what was read up to then is gone afterwards.
    pub(crate) fn expect(&mut self, texts: &[&str]) -> std::io::Result<usize> {
        self.until(texts).map(|(which, _)| which)
    }

    /// Like `expect`, and gives what was read.
    pub(crate) fn until(&mut self, texts: &[&str]) -> std::io::Result<(usize, Vec<u8>)> {
        let mut buffer = [0; 4096];
        loop {
            let found = texts.iter().enumerate().filter_map(|(which, text)| {
                let at = self.seen.windows(text.len()).position(|window| window == text.as_bytes())?;
                Some((at + text.len(), which))
            });
            if let Some((end, which)) = found.min() {
                return Ok((which, self.seen.drain(..end).collect()));
            }
            let length = self.stream.read(&mut buffer)?;
            if length == 0 || self.seen.len() > 1 << 20 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let read = buffer.get(..length).unwrap_or_default();
            self.negotiate(read)?;
            // The ELF header of /bin/echo may hold any byte; only the opening is negotiation.
            self.seen.extend(if read.starts_with(&[IAC]) {
                without_negotiation(read)
            } else {
                read.to_vec()
            });
        }
    }

    /// Refuses what it is asked to do and accepts what it is offered, once.
    fn negotiate(&mut self, read: &[u8]) -> std::io::Result<()> {
        if self.negotiated || !read.starts_with(&[IAC]) {
            return Ok(());
        }
        self.negotiated = true;
        self.stream.write_all(&[IAC, 252, 1, IAC, 252, 31, IAC, 253, 1, IAC, 253, 3])
    }

    /// Gives user and password; true where the device lets it in.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> std::io::Result<bool> {
        self.expect(&["login: "])?;
        self.say(user)?;
        self.expect(&["assword: "])?;
        self.say(password)?;
        Ok(self.expect(&["# ", "$ ", "> ", "ncorrect"])? != 3)
    }
}
