//! How soon a connection ends whose device is suspended, among many: `cargo run --release -p server --example sessions [COUNT]`.
//! COUNT devices enrol and each holds a connection over TLS with its certificate open, from a second process; then some of them are
//! suspended one after the other, over the API. Times are from the request to the moment at which the device sees the end.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a program that prints, ends where it fails, and reads the clock"
)]

mod city;

use axum::body::Bytes;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use server::{listen, tls};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::TlsConnector;

/// Devices that are suspended.
const SUSPENDED: usize = 200;
/// How often a connection asks for something, so that it is not closed as idle.
const AGAIN: Duration = Duration::from_secs(45);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, dir, port] = arguments.as_slice()
        && word == "clients"
    {
        return clients(Path::new(dir), port.parse().unwrap()).await;
    }
    let count: usize = arguments.get(1).map_or(10_000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (state, authorization) = city::open(dir.path(), 8443).await;
    let router = server::router(state.clone());
    let tls = tls::open(&state, &dir.path().join("tls"), &[], &[]).await.unwrap();
    let empty = resident();

    let (keys, asking): (Vec<_>, Vec<_>) =
        city::asking(&router, &authorization, count).await.into_iter().unzip();
    let enrolled = city::all(&router, asking).await;
    let devices: Vec<(String, String)> =
        keys.iter().zip(&enrolled).map(|(key, answer)| (STANDARD.encode(key), certificate(answer))).collect();
    std::fs::write(dir.path().join("devices.json"), serde_json::to_vec(&devices).unwrap()).unwrap();
    let before = resident();
    let (_keep, certificates) = watch::channel(tls.config);
    tokio::spawn(listen::serve(
        listener,
        Some(certificates),
        router.clone(),
        state.clone(),
        std::future::pending(),
    ));

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["clients", dir.path().to_str().unwrap(), &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (to, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let said = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || said.lines().map_while(Result::ok).for_each(|line| drop(to.send(line))));
    let open = lines.recv().await.unwrap();
    println!(
        "{open} at once over TLS; resident: {empty} MiB at the start, {before} MiB with {count} devices enrolled, {} MiB with their connections",
        resident()
    );

    let mut times = Vec::new();
    for number in (0..count).step_by((count / SUSPENDED).max(1)) {
        let asset = asset_of(&devices[number].1, &state).await;
        let begun = micros();
        let path = format!("/api/v1/assets/{asset}/suspend");
        city::send(&router, city::post(&path, "application/json", &authorization, "{}".into())).await;
        let line = tokio::time::timeout(Duration::from_secs(30), lines.recv()).await.unwrap().unwrap();
        let mut words = line.split(' ');
        assert_eq!((words.next(), words.next()), (Some("cut"), Some(number.to_string().as_str())), "{line}");
        times.push(words.next().unwrap().parse::<u64>().unwrap().saturating_sub(begun));
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100] as f64 / 1_000.0;
    println!(
        "{} suspended one by one: seen by the device after {:.1} ms at half of them, {:.1} ms at 99 of 100, {:.1} ms at most",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The devices: each opens a connection, asks now and then, and says when it ended.
async fn clients(dir: &Path, port: u16) {
    let devices: Vec<(String, String)> =
        serde_json::from_slice(&std::fs::read(dir.join("devices.json")).unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(dir.join("tls/ca.pem")).unwrap() {
        roots.add(root.unwrap()).unwrap();
    }
    let roots = Arc::new(roots);
    let mut open = 0;
    for some in devices.chunks(city::AT_ONCE) {
        let opening: Vec<_> = some
            .iter()
            .map(|(key, certificate)| {
                let key = PrivateKeyDer::try_from(STANDARD.decode(key).unwrap()).unwrap();
                let chain = vec![CertificateDer::from(STANDARD.decode(certificate).unwrap())];
                let config = ClientConfig::builder()
                    .with_root_certificates(Arc::clone(&roots))
                    .with_client_auth_cert(chain, key)
                    .unwrap();
                tokio::spawn(async move {
                    let name = ServerName::try_from("localhost").unwrap();
                    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let mut stream =
                        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
                    ask(&mut stream).await.unwrap();
                    stream
                })
            })
            .collect();
        for opened in opening {
            let (mut stream, number) = (opened.await.unwrap(), open);
            open += 1;
            tokio::spawn(async move {
                loop {
                    let mut one = [0];
                    tokio::select! {
                        // Nothing comes but an end.
                        _ = stream.read(&mut one) => break println!("cut {number} {}", micros()),
                        () = tokio::time::sleep(AGAIN) => {
                            if ask(&mut stream).await.is_err() {
                                break println!("cut {number} {}", micros());
                            }
                        }
                    }
                }
            });
        }
    }
    println!("{open} connections");
    std::future::pending::<()>().await;
}

async fn ask(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", city::HOST).as_bytes()).await?;
    let mut answer = [0; 4_096];
    match stream.read(&mut answer).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The certificate in an answer of EST, as base64 of its DER.
fn certificate(answer: &Bytes) -> String {
    let text: String = String::from_utf8_lossy(answer).split_whitespace().collect();
    let certificates = pki::read_certificates(&STANDARD.decode(text).unwrap()).unwrap();
    STANDARD.encode(&certificates[0])
}

async fn asset_of(certificate: &str, state: &server::AppState) -> String {
    let der = STANDARD.decode(certificate).unwrap();
    let print: String = sha2(&der);
    state.repository().certificate(&print).await.unwrap().unwrap().asset.unwrap()
}

/// SHA-256 in hexadecimal.
fn sha2(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// MiB of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

fn micros() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}
