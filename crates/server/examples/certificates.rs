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

mod city;

use axum::body::Bytes;
use city::{AT_ONCE, all, measured, post, send};
use pki::{Algorithm, Signer as _, SoftwareKey};
use server::AppState;
use std::time::Instant;

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().nth(1).map_or(5_000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (state, authorization) = city::open(dir.path(), 8443).await;
    let router = server::router(state.clone());

    let signer = SoftwareKey::read(&SoftwareKey::generate(Algorithm::P256).unwrap()).unwrap();
    let bare = measured(20_000, async || {
        (0..20_000).for_each(|_| drop(signer.sign(&[7; 300]).unwrap()));
    });
    let bare = bare.await;
    println!("{bare:>9.0} bare P-256 signatures a CPU-second");

    let enrol: Vec<_> =
        city::asking(&router, &authorization, count).await.into_iter().map(|(_, request)| request).collect();
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
