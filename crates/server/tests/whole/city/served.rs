//! The same city behind its real door: TLS on a port of its own.

use server::{AppState, Doors, Node, listen, tls};
use std::sync::Arc;
use tokio::sync::watch;

/// A server that listens.
pub(crate) struct Served {
    pub(crate) state: AppState,
    /// The same people and records, for a browser that needs no port.
    pub(crate) city: AppState,
    pub(crate) url: String,
    pub(crate) dir: tempfile::TempDir,
    _certificates: watch::Sender<Arc<rustls::ServerConfig>>,
}

/// Serves on a free port of this machine.
pub(crate) async fn serve() -> Served {
    serve_with(server::ca::Settings::default()).await
}

/// The same with these settings of certificates.
pub(crate) async fn serve_with(certificates: server::ca::Settings) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("https://localhost:{port}");
    let (bare, _) = super::open(dir.path(), false).await;
    let node = Node { url: url.clone(), certificates, ..bare.node().clone() };
    let state = AppState::new(bare.repository().clone(), node, Doors::new(&[], &[], port), None).unwrap();
    let tls = tls::open(&state, &dir.path().join("tls"), &[], &[]).await.unwrap();
    let (keep, certificates) = watch::channel(tls.config);
    let router = server::router(state.clone());
    tokio::spawn(listen::serve(listener, Some(certificates), router, state.clone(), std::future::pending()));
    Served { state, city: bare, url, dir, _certificates: keep }
}
