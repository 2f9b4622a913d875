//! The listener: TLS (or none, where everything is signed) and HTTP/1.1 or HTTP/2 for a bounded number of connections.
//!
//! Guarantees: at most [`CONNECTIONS`] of strangers at once, of which no single household has more than [`OF_ONE_ADDRESS`], and
//! [`DEVICES`] that showed a certificate of this node, no more than [`OF_ONE_DEVICE`] of the same; a
//! handshake, a header or a first request that takes longer than [`HANDSHAKE`] ends the connection, and so does
//! [`IDLE`] without a request; one that showed a certificate ends with that; a stop lets requests under way finish for a while.

use crate::{
    AppState,
    ca::peer::{Peer, Session},
    unread,
};
use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// Connections at once of those who showed no certificate of this node (yet).
pub const CONNECTIONS: usize = 512;
/// Connections at once of those who did.
pub const DEVICES: usize = 12_288;
/// Of these, of one device, whatever certificates it has.
pub const OF_ONE_DEVICE: usize = 16;
/// Connections at once of one address, or of one network of 64 bits in IPv6.
pub const OF_ONE_ADDRESS: usize = 128;
/// How long a handshake, a header or the first request may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection is kept without a request, whatever else it sends.
pub const IDLE: Duration = Duration::from_secs(90);
/// What a sender may send ahead in one request of HTTP/2, and in all of a connection, in bytes.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// How long requests under way have to finish when the server stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves until `stop` resolves, then lets what is under way finish. New connections get the latest of `tls`; without it,
/// everybody reads along: that is for what is signed and no secret.
pub async fn serve(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    router: Router,
    state: AppState,
    stop: impl Future<Output = ()>,
) {
    raise_open_files();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let devices = Arc::new(Devices::default());
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
        let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(Arc::clone(&tls.borrow())));
        let (router, watcher, state) = (router.clone(), graceful.watcher(), state.clone());
        let place = (Place::Stranger((place, seat)), Arc::clone(&devices));
        tokio::spawn(connection((stream, peer), acceptor, router, state, watcher, place));
    }
    drop(listener);
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
}

/// What a connection takes up while it is open; given back when dropped.
enum Place {
    /// A connection in all, and one of its address.
    Stranger(#[expect(dead_code, reason = "given back when dropped")] (OwnedSemaphorePermit, Seat)),
    /// A device's.
    Device(#[expect(dead_code, reason = "given back when dropped")] DeviceSeat),
}

impl Place {
    /// A device of ours does not take up what there is for strangers, as long as there is room for it.
    async fn for_device(self, devices: Arc<Devices>, shown: &Peer, state: &AppState) -> Self {
        let known = shown.known(state).await.ok().flatten();
        let device = known.map(|known| known.asset.unwrap_or(known.fingerprint));
        match device.and_then(|device| Devices::enter(&devices, device)) {
            Some(seat) => Self::Device(seat),
            None => self,
        }
    }
}

/// How many connections each device has, and all of them.
#[derive(Default)]
struct Devices(Mutex<(HashMap<String, usize>, usize)>);

impl Devices {
    fn enter(devices: &Arc<Self>, device: String) -> Option<DeviceSeat> {
        let mut counted = devices.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, all) = &mut *counted;
        let count = counts.get(&device).copied().unwrap_or_default();
        if *all >= DEVICES || count >= OF_ONE_DEVICE {
            return None;
        }
        counts.insert(device.clone(), count + 1);
        *all += 1;
        drop(counted);
        Some(DeviceSeat { devices: Arc::clone(devices), device })
    }
}

/// One connection of a device.
struct DeviceSeat {
    devices: Arc<Devices>,
    device: String,
}

impl Drop for DeviceSeat {
    fn drop(&mut self) {
        let mut counted = self.devices.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, all) = &mut *counted;
        *all -= 1;
        if let Some(count) = counts.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.device);
            }
        }
    }
}

/// A process may have so many files open as its limits let it raise: each connection is one.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, "the limit of open files cannot be raised: fewer connections at once");
    }
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
    (stream, peer): (TcpStream, SocketAddr),
    acceptor: Option<TlsAcceptor>,
    router: Router,
    state: AppState,
    watcher: Watcher,
    place: (Place, Arc<Devices>),
) {
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        return converse(stream, (peer, Peer::default()), router, state, watcher, place).await;
    };
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let shown = Peer::of(stream.get_ref().1);
    converse(stream, (peer, shown), router, state, watcher, place).await;
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (peer, shown): (SocketAddr, Peer),
    router: Router,
    state: AppState,
    watcher: Watcher,
    (mut place, devices): (Place, Arc<Devices>),
) {
    let mut session = shown.fingerprint().map(|fingerprint| state.sessions().enter(fingerprint));
    if session.is_some() {
        place = place.for_device(devices, &shown, &state).await;
    }
    let requests = Arc::new(watch::Sender::new(0_usize));
    let idle = idle(requests.subscribe(), HANDSHAKE, IDLE);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(shown.clone());
        let (request, answering) = unread::leavable(request);
        let busy = (Busy::new(&requests), answering);
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            answer.await.map(|answer| {
                // Under way until the last of the answer has left.
                answer.map(|body| {
                    Body::new(body.map_frame(move |frame| {
                        let _still = &busy;
                        frame
                    }))
                })
            })
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        // A body that nobody reads holds up no other of its connection.
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(32 << 10)
        .max_pending_accept_reset_streams(16)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    tokio::select! {
        ended = watcher.watch(connection) => if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection ended early");
        },
        () = idle => tracing::debug!(%peer, "a connection asked for nothing and was closed"),
        () = cut(&mut session) => tracing::info!(%peer, "a connection ended with its certificate"),
    }
    drop(place);
}

/// Resolves when the certificate that was shown is no good any more.
async fn cut(session: &mut Option<Session>) {
    match session {
        Some(session) => session.is_cut().await,
        None => std::future::pending().await,
    }
}

/// Resolves when nothing was asked for so long: `first` at the beginning, `between` later on.
async fn idle(mut requests: watch::Receiver<usize>, first: Duration, between: Duration) {
    let mut patience = first;
    loop {
        let change = if *requests.borrow_and_update() == 0 {
            match tokio::time::timeout(patience, requests.changed()).await {
                Ok(change) => change,
                Err(_elapsed) => return,
            }
        } else {
            requests.changed().await
        };
        if change.is_err() {
            // Nobody asks any more; how the connection ends is its own matter.
            return std::future::pending().await;
        }
        patience = between;
    }
}

/// A request under way.
struct Busy(Arc<watch::Sender<usize>>);

impl Busy {
    fn new(requests: &Arc<watch::Sender<usize>>) -> Self {
        requests.send_modify(|requests| *requests += 1);
        Self(Arc::clone(requests))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

/// An address as it counts where somebody may have many: IPv6 by its first 64 bits, for that is one household.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6
            .to_ipv4_mapped()
            .map_or_else(|| IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()), IpAddr::V4),
        v4 => v4,
    }
}

/// How many connections each household has.
#[derive(Default)]
struct Crowd(Mutex<HashMap<IpAddr, usize>>);

impl Crowd {
    fn enter(crowd: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let address = household(address);
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

    #[test]
    fn a_household_counts_as_one_address() {
        let crowd = Arc::new(Crowd::default());
        let seats: Vec<_> = (0..OF_ONE_ADDRESS as u128)
            .map(|n| Crowd::enter(&crowd, IpAddr::V6((0x2001_0db8_u128 << 96 | n << 8).into())).unwrap())
            .collect();
        assert!(Crowd::enter(&crowd, "2001:db8::ffff:0:0:1".parse().unwrap()).is_none());
        assert!(Crowd::enter(&crowd, "2001:db8:0:1::1".parse().unwrap()).is_some());
        drop(seats);
        assert!(crowd.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_asks_for_nothing_does_not_stay() {
        let short = Duration::from_millis(20);
        let long = Duration::from_secs(600);
        let requests = Arc::new(watch::Sender::new(0));
        // Nothing was asked: over after the first patience, however long the second is.
        idle(requests.subscribe(), short, long).await;
        // Something is under way: not over, until it has ended for long enough.
        let busy = Busy::new(&requests);
        let mut waiting = std::pin::pin!(idle(requests.subscribe(), short, short));
        assert!(tokio::time::timeout(short * 5, &mut waiting).await.is_err());
        drop(busy);
        waiting.await;
    }
}
