//! Listeners: the Unix socket, the one for runs, loopback TCP, and TLS anywhere else.
//!
//! Each connection carries who is at its other end ([`Peer`]) into every request. Absent on
//! purpose: what a peer may do (`auth`), HTTP/2 (its upgrades would need a second `exec`).

use crate::auth::{self, Peer};
use crate::control::closed;
use crate::{DEFAULT_LISTEN, ServeConfig, ServeError, tls};
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use weft_api::problem::{Code, Problem};
use weft_runtime::Runtime;

/// The socket's file in the state directory.
pub const SOCKET: &str = weft_runtime::SERVER_SOCKET;

/// The socket for what programs of runs say to their datasets.
const RUN_SOCKET: &str = weft_runtime::RUN_SOCKET;

/// Open connections at most, on each listener: a watcher each for hundreds of people, and far
/// below the 20,000 files a process may have open.
const CONNECTIONS_MAX: usize = 1_024;

/// The same of all runs together, of which each has 256 at most: dozens of runs whose programs
/// hold as many as they can do not shut another one out.
const RUN_CONNECTIONS_MAX: usize = 8_192;

/// How long a client may take for a request's head or a TLS handshake: a slow mobile line, not
/// a client that holds connections to use them up. Also ends what lies idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the listener rests when the process has no file left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The first byte of every TLS connection: a record of the handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// How much and how long whoever speaks plain HTTP to TLS is listened to: enough for a client to
/// read the answer.
const PLAIN_MAX: u64 = 64 << 10;
const PLAIN_WITHIN: Duration = Duration::from_secs(2);

/// How long open requests may take to end when the server does.
const DRAIN: Duration = Duration::from_secs(3);

/// Every listener, bound.
pub(crate) struct Listeners {
    unix: UnixListener,
    runs: UnixListener,
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    /// `http://` or `https://`, host and port: what clients are told.
    pub(crate) address: String,
    /// Host names other than the loopback's under which it was told to listen.
    pub(crate) hosts: Vec<String>,
    /// The socket's file.
    pub(crate) socket: PathBuf,
}

impl Listeners {
    /// Says what stands against listening as configured, without doing it: an address others
    /// reach without TLS, a name that is none, a certificate that cannot be used.
    pub(crate) async fn check(config: &ServeConfig) -> Result<(), ServeError> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        match config.listen.as_deref() {
            Some(listen) => addresses(listen, tls.is_some()).await.map(drop),
            None => Ok(()),
        }
    }

    /// Binds the socket and the port, or says what stands against it.
    pub(crate) async fn bind(config: &ServeConfig) -> Result<Self, ServeError> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let (tcp, hosts) = bind_tcp(config.listen.as_deref(), tls.is_some()).await?;
        let local = tcp.local_addr().map_err(|source| listen_error("tcp", source))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        // Where every address is bound there is none to tell but the name that was given.
        let shown = match (hosts.first(), local.ip().is_unspecified()) {
            (Some(host), true) => format!("{host}:{}", local.port()),
            _ => local.to_string(),
        };
        let (unix, socket) = bind_unix(&config.state_dir.join(SOCKET))?;
        let (runs, _) = bind_unix(&config.state_dir.join(RUN_SOCKET))?;
        Ok(Self { unix, runs, tcp, tls, address: format!("{scheme}://{shown}"), hosts, socket })
    }

    /// Serves until the server ends, then lets open requests end.
    pub(crate) async fn serve(
        self,
        router: Router,
        inside: (Router, Runtime),
        closing: watch::Receiver<bool>,
    ) {
        // Apart: whoever can reach the port must not be able to shut the socket's users out, nor
        // may a run.
        let most = [CONNECTIONS_MAX, CONNECTIONS_MAX, RUN_CONNECTIONS_MAX];
        let [on_socket, on_tcp, of_runs] = most.map(|most| Arc::new(Semaphore::new(most)));
        let door = |router: &Router, open: &Arc<Semaphore>| Door {
            router: router.clone(),
            closing: closing.clone(),
            open: open.clone(),
        };
        let unix = accept_unix(self.unix, door(&router, &on_socket));
        let runs = accept_runs(self.runs, inside.1, door(&inside.0, &of_runs));
        let tcp = accept_tcp(self.tcp, self.tls, door(&router, &on_tcp));
        let mut ending = closing.clone();
        tokio::select! {
            () = closed(&mut ending) => {}
            () = unix => {}
            () = runs => {}
            () = tcp => {}
        }
        let all = |open: Arc<Semaphore>, most: usize| open.acquire_many_owned(most as u32);
        let every = async {
            tokio::join!(all(on_socket, most[0]), all(on_tcp, most[1]), all(of_runs, most[2]))
        };
        let _ = tokio::time::timeout(DRAIN, every).await;
        for socket in [self.socket.with_file_name(RUN_SOCKET), self.socket] {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    router: Router,
    closing: watch::Receiver<bool>,
    open: Arc<Semaphore>,
}

async fn bind_tcp(
    listen: Option<&str>,
    has_tls: bool,
) -> Result<(TcpListener, Vec<String>), ServeError> {
    let Some(listen) = listen else {
        let usual = TcpListener::bind(DEFAULT_LISTEN).await;
        let bound = match usual {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                TcpListener::bind("127.0.0.1:0").await
            }
            other => other,
        };
        return bound.map(|b| (b, Vec::new())).map_err(|e| listen_error(DEFAULT_LISTEN, e));
    };
    let addresses = addresses(listen, has_tls).await?;
    let bound = TcpListener::bind(&addresses[..]).await.map_err(|e| listen_error(listen, e))?;
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    Ok((bound, vec![host.trim_matches(['[', ']']).to_owned()]))
}

/// What an address to listen on means; refused where tokens would go in clear text.
async fn addresses(listen: &str, has_tls: bool) -> Result<Vec<SocketAddr>, ServeError> {
    let found = tokio::net::lookup_host(listen).await.map_err(|e| listen_error(listen, e))?;
    let addresses: Vec<SocketAddr> = found.collect();
    match has_tls || addresses.iter().all(|address| address.ip().is_loopback()) {
        true => Ok(addresses),
        false => Err(ServeError::NeedsTls { listen: listen.to_owned() }),
    }
}

/// The directory is its owner's alone, so nobody reaches the socket before its mode is set.
fn bind_unix(path: &Path) -> Result<(UnixListener, PathBuf), ServeError> {
    let failed = |source| listen_error(&path.to_string_lossy(), source);
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let bound = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok((bound, path.to_owned()))
}

async fn accept_unix(listener: UnixListener, door: Door) {
    loop {
        let Ok(permit) = door.open.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let cred = stream.peer_cred().ok();
                let (uid, pid) = (cred.map(|cred| cred.uid()), cred.and_then(|cred| cred.pid()));
                let door = door.clone();
                tokio::spawn(async move {
                    attend(stream, Peer::Socket { uid, pid }, &door).await;
                    drop(permit);
                });
            }
            Err(error) => rest("socket", &error).await,
        }
    }
}

async fn accept_runs(listener: UnixListener, runtime: Runtime, door: Door) {
    loop {
        let Ok(permit) = door.open.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let (door, runtime) = (door.clone(), runtime.clone());
                tokio::spawn(async move {
                    let named = auth::run::peer(&mut stream, &runtime);
                    match tokio::time::timeout(HEAD_TIMEOUT, named).await {
                        Ok(Some(peer)) => attend(stream, peer, &door).await,
                        _ => tracing::warn!("a connection on the socket for runs is of none"),
                    }
                    drop(permit);
                });
            }
            Err(error) => rest("socket for runs", &error).await,
        }
    }
}

async fn accept_tcp(listener: TcpListener, tls: Option<TlsAcceptor>, door: Door) {
    loop {
        let Ok(permit) = door.open.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, address)) => {
                let (door, tls) = (door.clone(), tls.clone());
                tokio::spawn(async move {
                    attend_tcp(stream, address, tls, &door).await;
                    drop(permit);
                });
            }
            Err(error) => rest("port", &error).await,
        }
    }
}

async fn attend_tcp(stream: TcpStream, from: SocketAddr, tls: Option<TlsAcceptor>, door: &Door) {
    // Answers are small and somebody waits for each.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return attend(stream, Peer::Tcp(from), door).await };
    let mut first = [TLS_HANDSHAKE];
    let peeked = tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut first)).await;
    if matches!(peeked, Ok(Ok(1))) && first != [TLS_HANDSHAKE] {
        return refuse_plain(stream).await;
    }
    match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => attend(stream, Peer::Tcp(from), door).await,
        Ok(Err(error)) => tracing::debug!(%from, %error, "no TLS"),
        Err(_) => tracing::debug!(%from, "no TLS handshake in time"),
    }
}

/// Tells who speaks plain HTTP where TLS is spoken, in the only words he understands. What he
/// had sent went over the wire in clear, and is not read.
async fn refuse_plain(mut stream: TcpStream) {
    let problem = Problem::new(Code::BadRequest, "this server speaks TLS, not plain HTTP")
        .hint("write https:// in its address, and revoke the token that was just sent in clear");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: \
         {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closed with something unread, the connection would be reset before the answer is read.
        tokio::io::copy(&mut stream.take(PLAIN_MAX), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(PLAIN_WITHIN, told).await;
}

/// One connection to its end; when the server ends, after the request it is at.
async fn attend<S>(stream: S, peer: Peer, door: &Door)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = door.router.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let waits = request.headers().contains_key(header::EXPECT);
        let answer = router.clone().oneshot(request);
        async move { answer.await.map(|response| closes_on_who_waits(waits, response)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let mut closing = door.closing.clone();
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(?peer, %error, "a connection broke");
    }
}

/// A client that was to be told whether its body is wanted, and is refused, does not send it, and
/// what comes next on the connection would be taken for it: the end of the connection is told
/// (RFC 9110 §10.1.1).
fn closes_on_who_waits(waits: bool, mut response: Response) -> Response {
    let status = response.status();
    if waits && (status.is_client_error() || status.is_server_error()) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn rest(what: &str, error: &io::Error) {
    tracing::warn!(%error, "the {what} accepts nothing for a moment");
    tokio::time::sleep(ACCEPT_AGAIN).await;
}

fn listen_error(on: &str, source: io::Error) -> ServeError {
    ServeError::Listen { on: on.to_owned(), source }
}
