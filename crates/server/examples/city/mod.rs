//! What the examples have in common: a node in a folder, and requests through its whole router but for TLS.

#![allow(dead_code, reason = "each example uses a part")]

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::ConnectInfo,
    http::{Request, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::{AuthorityId, AuthorityRole, Severity};
use pki::{Algorithm, SoftwareKey};
use server::{AppState, Doors, Node, agents, auth, ca};
use std::{net::SocketAddr, path::Path};
use store::{LedgerKey, Repository, Retention};
use tower::ServiceExt as _;

pub(crate) const HOST: &str = "localhost:8443";
/// How many ask at once.
pub(crate) const AT_ONCE: usize = 64;

/// A node that listens at this port, and what programs show that may do anything with devices.
pub(crate) async fn open(dir: &Path, port: u16) -> (AppState, String) {
    let key = LedgerKey::from_seed(&[7; 32]).unwrap();
    let repository = Repository::open(&dir.join("bastide.sqlite"), AuthorityId::local(), key).await.unwrap();
    let state = AppState::new(repository, node(dir), Doors::new(&[], &[], port), None).unwrap();
    let roles = [AuthorityRole::Integrator, AuthorityRole::Operator, AuthorityRole::Auditor];
    let bearer = auth::make_token(state.repository(), None, "bench", &roles, state.now(), 1).await.unwrap();
    (state, format!("Bearer {bearer}"))
}

/// Requests to be let in, with a token each; and the keys that they are about.
pub(crate) async fn asking(
    router: &Router,
    authorization: &str,
    count: usize,
) -> Vec<(Vec<u8>, Request<Body>)> {
    let tokens =
        (0..count).map(|_| post("/api/v1/enrolment-tokens", "application/json", authorization, "{}".into()));
    let made = all(router, tokens.collect()).await;
    let ask = |(number, token): (usize, &Bytes)| {
        let pkcs8 = SoftwareKey::generate(Algorithm::P256).unwrap();
        let key = SoftwareKey::read(&pkcs8).unwrap();
        let request = pki::ask(&key, &format!("device {number}"), &[]).unwrap();
        let token: serde_json::Value = serde_json::from_slice(token).unwrap();
        let basic =
            format!("Basic {}", STANDARD.encode(format!("device:{}", token["token"].as_str().unwrap())));
        let body = STANDARD.encode(request);
        (pkcs8.to_vec(), post("/.well-known/est/simpleenroll", "application/pkcs10", &basic, body.into()))
    };
    made.iter().enumerate().map(ask).collect()
}

/// How many a second of the processors.
pub(crate) async fn measured(count: usize, what: impl AsyncFnOnce()) -> f64 {
    let begun = cpu_seconds();
    what().await;
    count as f64 / (cpu_seconds() - begun)
}

/// All answers, in their order, [`AT_ONCE`] at a time.
pub(crate) async fn all(router: &Router, requests: Vec<Request<Body>>) -> Vec<Bytes> {
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

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Bytes {
    let answer = router.clone().oneshot(request).await.unwrap();
    assert!(answer.status().is_success() || answer.status() == StatusCode::CREATED, "{}", answer.status());
    to_bytes(answer.into_body(), 1 << 20).await.unwrap()
}

pub(crate) fn post(path: &str, kind: &str, authorization: &str, body: Bytes) -> Request<Body> {
    Request::post(path)
        .header("host", HOST)
        .header("content-type", kind)
        .header("authorization", authorization)
        .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))))
        .body(Body::from(body))
        .unwrap()
}

pub(crate) fn cpu_seconds() -> f64 {
    let used = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    [used.user_time(), used.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .into_iter()
        .sum()
}

pub(crate) fn node(dir: &Path) -> Node {
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
        agents: agents::Settings::default(),
    }
}
