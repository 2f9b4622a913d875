//! What certificates cost: `cargo run --release -p server --example certificates [COUNT]`. Devices that enrol by EST with a token
//! each, 64 at a time, through the whole router but for TLS, each kept and a leaf before it is answered; answers of OCSP that are
//! given again; beside both, bare P-256 signatures in the same run. Seconds are the processors', of the whole process.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a program that prints, ends where it fails, and reads the clock"
)]

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::ConnectInfo,
    http::{Request, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::{AuthorityId, AuthorityRole, Severity};
use pki::{Algorithm, Signer as _, SoftwareKey};
use server::{AppState, Doors, Node, auth, ca};
use std::{net::SocketAddr, time::Instant};
use store::{LedgerKey, Repository, Retention};
use tower::ServiceExt as _;

const HOST: &str = "localhost:8443";
/// How many ask at once.
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().nth(1).map_or(5_000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let key = LedgerKey::from_seed(&[7; 32]).unwrap();
    let database = dir.path().join("bastide.sqlite");
    let repository = Repository::open(&database, AuthorityId::local(), key).await.unwrap();
    let state = AppState::new(repository, node(dir.path()), Doors::new(&[], &[], 8443), None).unwrap();
    let roles = [AuthorityRole::Integrator, AuthorityRole::Auditor];
    let bearer = auth::make_token(state.repository(), None, "bench", &roles, state.now(), 1).await.unwrap();
    let router = server::router(state.clone());

    let signer = SoftwareKey::read(&SoftwareKey::generate(Algorithm::P256).unwrap()).unwrap();
    let bare = measured(20_000, async || {
        (0..20_000).for_each(|_| drop(signer.sign(&[7; 300]).unwrap()));
    });
    let bare = bare.await;
    println!("{bare:>9.0} bare P-256 signatures a CPU-second");

    let authorization = format!("Bearer {bearer}");
    let (mut wanted, mut requests) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for number in 0..count {
        wanted.push(post("/api/v1/enrolment-tokens", "application/json", &authorization, "{}".into()));
        let key = SoftwareKey::read(&SoftwareKey::generate(Algorithm::P256).unwrap()).unwrap();
        requests.push(pki::ask(&key, &format!("device {number}"), &[]).unwrap());
    }
    let made = all(&router, wanted).await;
    let enrol = made.iter().zip(&requests).map(|(token, request)| {
        let token: serde_json::Value = serde_json::from_slice(token).unwrap();
        let basic = STANDARD.encode(format!("device:{}", token["token"].as_str().unwrap()));
        let body = STANDARD.encode(request);
        post("/.well-known/est/simpleenroll", "application/pkcs10", &format!("Basic {basic}"), body.into())
    });
    let enrol: Vec<_> = enrol.collect();
    let begun = Instant::now();
    let enrolled = measured(count, async || drop(all(&router, enrol).await)).await;
    let each = count as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{enrolled:>9.0} certificates by EST a CPU-second, {each:.0} a second of the clock, {AT_ONCE} at once ({:.1} % of the bare signatures)",
        100.0 * enrolled / bare
    );

    let (path, request) = question(&state, dir.path()).await;
    let asked = 200_000;
    let answers = measured(asked, async || {
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (router, path, request) = (router.clone(), path.clone(), request.clone());
                tokio::spawn(async move {
                    for _ in 0..asked / AT_ONCE {
                        send(&router, post(&path, "application/ocsp-request", "", request.clone())).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    println!("{:>9.0} answers of OCSP a CPU-second, given again", answers.await);
}

/// How many a second of the processors.
async fn measured(count: usize, what: impl AsyncFnOnce()) -> f64 {
    let begun = cpu_seconds();
    what().await;
    count as f64 / (cpu_seconds() - begun)
}

/// All answers, in their order, [`AT_ONCE`] at a time.
async fn all(router: &Router, requests: Vec<Request<Body>>) -> Vec<Bytes> {
    let (mut answers, mut requests) = (Vec::with_capacity(requests.len()), requests.into_iter());
    loop {
        let some: Vec<_> = requests.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return answers;
        }
        let tasks: Vec<_> = some
            .into_iter()
            .map(|request| {
                let router = router.clone();
                tokio::spawn(async move { send(&router, request).await })
            })
            .collect();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
    }
}

async fn send(router: &Router, request: Request<Body>) -> Bytes {
    let answer = router.clone().oneshot(request).await.unwrap();
    assert!(answer.status().is_success() || answer.status() == StatusCode::CREATED, "{}", answer.status());
    to_bytes(answer.into_body(), 1 << 20).await.unwrap()
}

fn post(path: &str, kind: &str, authorization: &str, body: Bytes) -> Request<Body> {
    Request::post(path)
        .header("host", HOST)
        .header("content-type", kind)
        .header("authorization", authorization)
        .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))))
        .body(Body::from(body))
        .unwrap()
}

/// What openssl asks about one of the certificates, and where.
async fn question(state: &AppState, dir: &std::path::Path) -> (String, Bytes) {
    let some = store::CertificateFilter::default();
    let kept = state.repository().certificates(&some, store::Paging::new(1, 1)).await.unwrap().items;
    let issuer = state.repository().issuer(&kept[0].issuer).await.unwrap().unwrap();
    std::fs::write(dir.join("leaf.der"), &kept[0].body).unwrap();
    std::fs::write(dir.join("issuer.der"), &issuer.certificate).unwrap();
    let arguments =
        ["ocsp", "-no_nonce", "-issuer", "issuer.der", "-cert", "leaf.der", "-reqout", "ocsp.req"];
    let output = std::process::Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (format!("/ocsp/{}", issuer.id), std::fs::read(dir.join("ocsp.req")).unwrap().into())
}

fn cpu_seconds() -> f64 {
    let used = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    [used.user_time(), used.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .into_iter()
        .sum()
}

fn node(dir: &std::path::Path) -> Node {
    Node {
        version: "0".into(),
        url: format!("https://{HOST}"),
        data_dir: dir.to_owned(),
        watched: Vec::new(),
        response_mode: "ask".into(),
        retention: Retention {
            incident_days: 1,
            asset_days: 1,
            journal_days: 1,
            counter_days: 1,
            most_bytes: 1 << 30,
        },
        channels: Vec::new(),
        least_told: Severity::Info,
        settings: Vec::new(),
        certificates: ca::Settings::default(),
        agents: server::agents::Settings::default(),
    }
}
