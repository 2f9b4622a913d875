//! The programs of the city's hosts: what devices, servers and citizens run on a day without an attack.

pub(crate) mod broker;
pub(crate) mod citizen;
pub(crate) mod decoy;
pub(crate) mod device;
pub(crate) mod dhcp;
pub(crate) mod dns;
pub(crate) mod shell;
pub(crate) mod telnet;
pub(crate) mod web;

use crate::error::{Result, Tried};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// Serves a TCP port for as long as the city lives: a thread per connection, at most `most` at a time; what is more is
/// closed at once.
pub(crate) fn serve_tcp(
    port: u16,
    most: usize,
    serve: impl Fn(TcpStream, SocketAddr) + Send + Sync + 'static,
) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port)).tried(|| format!("open TCP port {port}"))?;
    let serve = Arc::new(serve);
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, from)) = listener.accept() else { continue };
        if open.load(Relaxed) >= most {
            continue;
        }
        open.fetch_add(1, Relaxed);
        let (serve, count) = (Arc::clone(&serve), Arc::clone(&open));
        let name = format!("tcp/{port}");
        let started = thread::Builder::new().name(name).spawn(move || {
            let _ = stream.set_nodelay(true);
            serve(stream, from);
            count.fetch_sub(1, Relaxed);
        });
        if started.is_err() {
            open.fetch_sub(1, Relaxed);
        }
    }
}
