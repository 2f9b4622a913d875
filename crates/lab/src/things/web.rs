//! Small servers and their clients: HTTP, RTSP, NTP.

use crate::{
    clock,
    error::{Result, Tried},
    things::serve_tcp,
};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    time::Duration,
};

/// The head of a request or an answer, up to the empty line, and what of the body came with it.
fn head(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        read.extend(buffer.get(..length)?);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = read.split_off(end + 4);
            return Some((String::from_utf8_lossy(&read).into_owned(), body));
        }
        if read.len() > 8192 {
            return None;
        }
    }
}

/// An HTTP server: asks `content` for what is at a path.
pub(crate) fn http(
    port: u16,
    server: String,
    content: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Result<()> {
    serve_tcp(port, 64, move |mut stream, _| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let Some((request, _)) = head(&mut stream) else { return };
        let path = request.split_whitespace().nth(1).unwrap_or("/");
        let named = if server.is_empty() { String::new() } else { format!("Server: {server}\r\n") };
        let (status, body) = match content(path) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", b"<html><body>404</body></html>".to_vec()),
        };
        let kind = if body.starts_with(b"<") { "text/html" } else { "application/octet-stream" };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{named}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    })
}

/// Fetches a path; at most 4 MiB.
pub(crate) fn fetch(at: SocketAddrV4, host: &str, path: &str, agent: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&at.into(), Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(4))).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let (answer, mut body) = head(&mut stream)?;
    let length: usize = answer
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .and_then(|length| length.trim().parse().ok())?;
    stream.take(4 << 20).read_to_end(&mut body).ok()?;
    (body.len() == length && answer.split_whitespace().nth(1) == Some("200")).then_some(body)
}

/// A camera's RTSP server: knows who it is and that one has to log in.
pub(crate) fn rtsp(server: &'static str) -> Result<()> {
    serve_tcp(554, 8, move |mut stream, _| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        while let Some((request, _)) = head(&mut stream) {
            let sequence = request.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("1").trim();
            let status = if request.starts_with("OPTIONS") {
                "200 OK\r\nPublic: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY"
            } else {
                "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"IP Camera\", nonce=\"5d8a0c\""
            };
            let answer = format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\nServer: {server}\r\n\r\n");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// A recorder asks a camera for its stream's description.
pub(crate) fn rtsp_ask(camera: Ipv4Addr) -> bool {
    let ask = || -> Option<bool> {
        let at = SocketAddrV4::new(camera, 554);
        let mut stream = TcpStream::connect_timeout(&at.into(), Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let request =
            format!("OPTIONS rtsp://{camera}/ch0 RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: vms/4.2\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        head(&mut stream).map(|(answer, _)| answer.starts_with("RTSP/1.0 200"))
    };
    ask().unwrap_or(false)
}

const NTP_EPOCH: i64 = 2_208_988_800;

fn ntp_time() -> [u8; 8] {
    let micros = clock::now().micros();
    let seconds = micros.div_euclid(1_000_000).wrapping_add(NTP_EPOCH) as u32;
    let fraction = ((micros.rem_euclid(1_000_000) as u64) << 32) / 1_000_000;
    let mut time = [0; 8];
    for (to, from) in
        time.iter_mut().zip(seconds.to_be_bytes().into_iter().chain((fraction as u32).to_be_bytes()))
    {
        *to = from;
    }
    time
}

/// The city's time server.
pub(crate) fn ntp() -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", 123)).tried(|| "open the time server's port".into())?;
    let mut buffer = [0; 256];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let Some(asked) = buffer.get(..length).filter(|asked| asked.len() >= 48) else { continue };
        let mut answer = vec![0x24, 2, 6, 0xec];
        answer.extend([0; 4]);
        answer.extend([0, 0, 0, 9, b'L', b'O', b'C', b'L']);
        answer.extend(ntp_time());
        answer.extend(asked.get(40..48).unwrap_or_default());
        answer.extend(ntp_time());
        answer.extend(ntp_time());
        let _ = socket.send_to(&answer, from);
    }
}

/// Asks a time server once.
pub(crate) fn ntp_ask(server: Ipv4Addr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(800)))?;
        let mut question = [0; 48];
        if let Some(first) = question.first_mut() {
            *first = 0x23;
        }
        for (to, from) in question.iter_mut().skip(40).zip(ntp_time()) {
            *to = from;
        }
        socket.send_to(&question, (server, 123))?;
        Ok(socket.recv(&mut question)? >= 48)
    };
    ask().unwrap_or(false)
}

/// Takes what is posted to a port, whatever the path, and says that it was taken.
pub(crate) fn take_posts(port: u16, take: impl Fn(String) + Send + Sync + 'static) -> Result<()> {
    serve_tcp(port, 16, move |mut stream, _| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let Some((request, mut body)) = head(&mut stream) else { return };
        let length = request
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, length)| length.trim().parse::<usize>().ok())
            .unwrap_or(0)
            .min(1 << 20);
        let mut buffer = [0; 4096];
        while body.len() < length {
            match stream.read(&mut buffer) {
                Ok(read @ 1..) => body.extend(buffer.get(..read).unwrap_or_default()),
                _ => return,
            }
        }
        take(String::from_utf8_lossy(&body).into_owned());
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // Whoever posted closes first, so that nobody takes the end for a refusal.
        let _ = stream.read(&mut buffer);
    })
}
