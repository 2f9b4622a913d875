//! The listener: TLS and HTTP/1.1 or HTTP/2 for a bounded number of connections.
//!
//! Guarantees: at most [`CONNECTIONS`] at once, of which no single address has more than [`OF_ONE_ADDRESS`]; a handshake
//! or a header that takes longer than [`HANDSHAKE`] ends the connection; a stop lets requests under way finish for a
//! while.

use axum::{Router, extract::ConnectInfo, http::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use rustls::ServerConfig;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// Connections at once.
pub const CONNECTIONS: usize = 512;
/// Connections at once of one address.
pub const OF_ONE_ADDRESS: usize = 128;
/// How long a handshake or a header may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests under way have to finish when the server stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves until `stop` resolves, then lets what is under way finish. New connections get the latest of `tls`.
pub async fn serve(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let crowd = Arc::new(Crowd::default());
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener) => accepted,
        };
        let (Ok(place), Some(seat)) =
            (Arc::clone(&room).try_acquire_owned(), Crowd::enter(&crowd, peer.ip()))
        else {
            // Full: closing at once is kinder than a queue that nobody empties.
            continue;
        };
        // Looked up each time: the certificate is made anew while the server runs.
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow()));
        let (router, watcher) = (router.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection(stream, peer, acceptor, router, watcher).await;
            drop((place, seat));
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                // Out of file descriptors: wait for some to come back.
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        .max_header_list_size(32 << 10)
        .max_pending_accept_reset_streams(16)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}

/// How many connections each address has.
#[derive(Default)]
struct Crowd(Mutex<HashMap<IpAddr, usize>>);

impl Crowd {
    fn enter(crowd: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let mut counts = crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= OF_ONE_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Seat { crowd: Arc::clone(crowd), address })
    }
}

/// One connection's place; given back when dropped.
struct Seat {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_fill_the_house() {
        let crowd = Arc::new(Crowd::default());
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let mut seats: Vec<_> = (0..OF_ONE_ADDRESS).map(|_| Crowd::enter(&crowd, one).unwrap()).collect();
        assert!(Crowd::enter(&crowd, one).is_none());
        assert!(Crowd::enter(&crowd, "192.0.2.2".parse().unwrap()).is_some());
        seats.pop();
        assert!(Crowd::enter(&crowd, one).is_some());
        drop(seats);
        assert!(crowd.0.lock().unwrap().is_empty());
    }
}
