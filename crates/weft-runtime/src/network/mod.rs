//! What a run can reach, without a route or a bridge: a proxy, forwarded ports, and the server.
//!
//! The sandbox's network has a loopback and nothing else. Sockets *of that network* are made by
//! init and handed to the supervisor, which serves them from the host's side: one thread per
//! connection and direction, bounded. What may be reached is decided in `address`.

mod address;
mod carry;
mod proxy;
pub(crate) mod server;

pub(crate) use proxy::{Noted, Proxy, Refusal};

use crate::supervisor::record::{self, ENDPOINTS};
use rustix::net::connect;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Where the proxy listens, inside: no port of a run that may go out.
pub const PROXY_PORT: u16 = 3128;
/// Connections of one run at once; more wait in the listener's backlog, then are refused.
const CONNECTIONS: usize = 256;
/// How long a listener rests when nothing can be accepted: no descriptor is left, say.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// A connection's thread copies bytes: it needs little.
const STACK: usize = 256 << 10;

/// Makes a TCP socket of the sandbox's network: listening on a loopback port, or unconnected.
pub(crate) type SocketMaker = Arc<dyn Fn(Option<u16>) -> io::Result<OwnedFd> + Send + Sync>;

/// A port of the sandbox and the host's listener for it.
#[derive(Debug)]
pub(crate) struct Forward {
    port: u16,
    listener: TcpListener,
}

impl Forward {
    /// Opens the host's listeners and leaves their addresses in `endpoints.json`.
    pub(crate) fn bind(dir: &Path, ports: &[u16]) -> io::Result<Vec<Forward>> {
        let mut forwards = Vec::new();
        let mut endpoints: Vec<(u16, SocketAddr)> = Vec::new();
        for &port in ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            endpoints.push((port, listener.local_addr()?));
            forwards.push(Forward { port, listener });
        }
        if !endpoints.is_empty() {
            record::write(dir, ENDPOINTS, &endpoints)?;
        }
        Ok(forwards)
    }
}

/// Serves the proxy on a listener of the sandbox's network, in threads, until the process ends.
pub(crate) fn serve_proxy(listener: OwnedFd, allow: Vec<String>) {
    serve_on(TcpListener::from(listener), Proxy::new(allow, std::env::vars()));
}

/// Serves a proxy on a listener, in threads, until the process ends.
pub(crate) fn serve_on(listener: TcpListener, proxy: Proxy) {
    let proxy = Arc::new(proxy);
    serve_each(listener.into(), move |stream| proxy.serve(stream));
}

/// Serves each connection of a listener in a thread of its own, until the process ends.
fn serve_each(
    listener: OwnedFd,
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) {
    let (listener, gate) = (TcpListener::from(listener), Arc::new(AtomicUsize::new(0)));
    background(move || accept(&listener, &gate, serve));
}

/// Carries the forwarded ports' connections, in threads, until the process ends.
pub(crate) fn serve_forwards(socket: &SocketMaker, forwards: Vec<Forward>) {
    let gate = Arc::new(AtomicUsize::new(0));
    for Forward { port, listener } in forwards {
        let (socket, gate) = (Arc::clone(socket), Arc::clone(&gate));
        background(move || {
            accept(&listener, &gate, move |outside| {
                let inside = socket(None)?;
                connect(&inside, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
                carry::both_ways(outside, TcpStream::from(inside))
            })
        });
    }
}

/// Hands every connection to a thread of its own, as long as there are not too many.
fn accept(
    listener: &TcpListener,
    gate: &Arc<AtomicUsize>,
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) -> io::Result<()> {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // The next one may be: a listener that gave up would be missed for the rest of the run.
            thread::sleep(ACCEPT_AGAIN);
            continue;
        };
        if gate.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            gate.fetch_sub(1, Ordering::Relaxed);
            continue; // Dropped: the other side sees a closed connection.
        }
        let (gate, serve) = (Arc::clone(gate), serve.clone());
        background(move || {
            let done = serve(stream);
            gate.fetch_sub(1, Ordering::Relaxed);
            done
        });
    }
}

/// Runs it in a small thread. A failed connection is its two ends' business.
fn background(work: impl FnOnce() -> io::Result<()> + Send + 'static) {
    // Without room for a thread the connection is dropped, and with it closed.
    let _ = thread::Builder::new().stack_size(STACK).spawn(work);
}
