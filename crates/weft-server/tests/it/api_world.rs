//! A whole server on a loopback port and a socket, and a client that can say anything.

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::sync::oneshot;
use weft_server::{Ready, ServeConfig, serve};

/// How long anything may take before the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A whole server, and the tokens of a small organisation.
pub(crate) struct Api {
    pub(crate) ready: Ready,
    dir: TempDir,
    serving: tokio::task::JoinHandle<Result<(), weft_server::ServeError>>,
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {} {:?}", self.status, self.body))
    }

    /// The code of a problem; empty where it is none.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or("").to_owned()
    }
}

/// A request to be.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let method = method.parse().unwrap();
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn by(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With a key of its own.
    pub(crate) fn once(self) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let key = format!("key-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.key(&key)
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    pub(crate) fn bytes(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }
}

impl Api {
    /// A server that has just started for the first time.
    pub(crate) async fn start() -> Api {
        Api::start_with(|_| {}).await
    }

    /// The same, configured otherwise.
    pub(crate) async fn start_with(change: impl FnOnce(&mut ServeConfig)) -> Api {
        Api::start_in(tempfile::tempdir().unwrap(), change).await
    }

    /// The next server on what another left, with its administrator's token.
    pub(crate) async fn start_on(dir: TempDir, admin: String) -> Api {
        let mut api = Api::start_in(dir, |_| {}).await;
        api.ready.token = Some(admin);
        api
    }

    async fn start_in(dir: TempDir, change: impl FnOnce(&mut ServeConfig)) -> Api {
        let mut config = ServeConfig::new(dir.path());
        change(&mut config);
        config.listen = Some("127.0.0.1:0".to_owned());
        let (tell, told) = oneshot::channel();
        let serving = tokio::spawn(serve(config, tell));
        let ready = tokio::time::timeout(DEADLINE, told).await.unwrap().unwrap();
        Api { ready, dir, serving }
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) fn admin(&self) -> &str {
        self.ready.token.as_deref().unwrap()
    }

    pub(crate) fn address(&self) -> &str {
        self.ready.address.strip_prefix("http://").unwrap()
    }

    /// Sends over TCP and reads the whole answer.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        let stream = self.connect().await;
        self.over(TokioIo::new(stream), ask).await
    }

    /// A connection from a loopback address of its own, so that failures of one request do not
    /// count against the next.
    async fn connect(&self) -> TcpStream {
        static NEXT: AtomicU64 = AtomicU64::new(2);
        let [.., a, b] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        self.connect_from([127, 1, a, b]).await
    }

    pub(crate) async fn connect_from(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(self.address().parse().unwrap()).await.unwrap()
    }

    /// Sends over a connection there is.
    pub(crate) async fn send_over(&self, stream: TcpStream, ask: Ask) -> Answer {
        self.over(TokioIo::new(stream), ask).await
    }

    /// Sends over the socket and reads the whole answer.
    pub(crate) async fn send_local(&self, ask: Ask) -> Answer {
        let stream = UnixStream::connect(&self.ready.socket).await.unwrap();
        self.over(TokioIo::new(stream), ask).await
    }

    /// Of a stream of events, which may have no end, the head only.
    async fn over<S>(&self, stream: S, ask: Ask) -> Answer
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = self.request(ask);
        let work = async {
            let answer = sender.send_request(request).await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let stream = headers.get("content-type").is_some_and(|t| t == "text/event-stream");
            let body = match stream {
                false => answer.into_body().collect().await.unwrap().to_bytes(),
                true => Bytes::new(),
            };
            Answer { status, headers, body }
        };
        tokio::time::timeout(DEADLINE, work).await.unwrap()
    }

    fn request(&self, ask: Ask) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        if !ask.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", self.address());
        }
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(ask.body.into())).unwrap()
    }

    /// Opens a stream of events.
    pub(crate) async fn events(&self, ask: Ask) -> Events {
        let stream = TokioIo::new(self.connect().await);
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(self.request(ask)).await.unwrap();
        assert_eq!(answer.status(), 200);
        Events { body: answer.into_body(), rest: String::new(), _sender: sender }
    }

    /// Ends the server; it must end well.
    pub(crate) async fn end(self) {
        self.end_and_keep().await;
    }

    /// Ends it, and leaves its state.
    pub(crate) async fn end_and_keep(self) -> TempDir {
        let ask = Ask::new("POST", "/api/v1/admin/shutdown").by(self.admin()).once();
        assert_eq!(self.send(ask).await.status, 202);
        tokio::time::timeout(DEADLINE, self.serving).await.unwrap().unwrap().unwrap();
        self.dir
    }

    /// As the administrator, expecting success.
    pub(crate) async fn must(&self, ask: Ask) -> Answer {
        let told = format!("{} {}", ask.method, ask.path);
        let answer = self.send(ask.by(self.admin())).await;
        assert!((200..300).contains(&answer.status), "{told}: {} {:?}", answer.status, answer.body);
        answer
    }

    /// Makes a queue without any share: what is submitted to it waits.
    pub(crate) async fn queue(&self, name: &str) {
        let none = json!({});
        let queue = json!({
            "name": name, "gpu_milli": none, "cpu_milli": none, "memory_bytes": none,
            "data": { "bytes": 1_u64 << 40, "objects": 1_000_000 },
        });
        let path = format!("/api/v1/queues/{name}");
        self.must(Ask::new("PUT", &path).once().json(queue)).await;
    }

    /// Makes a user and gives a token of it.
    pub(crate) async fn user(&self, name: &str, role: &str, queue: Option<&str>) -> String {
        let user = json!({ "name": name, "role": role, "queue": queue });
        self.must(Ask::new("POST", "/api/v1/users").once().json(user)).await;
        self.token(name, "write", 3_600_000).await.1
    }

    /// Makes a token: its id and its secret.
    pub(crate) async fn token(&self, user: &str, scope: &str, life_ms: u64) -> (String, String) {
        let token = json!({ "user": user, "scope": scope, "expires_in_ms": life_ms });
        let made = self.must(Ask::new("POST", "/api/v1/tokens").once().json(token)).await.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["token"]["id"]), text(&made["secret"]))
    }

    /// Makes a dataset as this token's user, with one object in it and a version `gold`.
    pub(crate) async fn dataset(&self, token: &str, name: &str, tier: &str) {
        let of = format!("/api/v1/datasets/{name}");
        let asks = [
            Ask::new("POST", "/api/v1/datasets").json(json!({ "name": name, "tier": tier })),
            Ask::new("PUT", &format!("{of}/objects/a.csv")).bytes(b"a,b\n1,2\n"),
            Ask::new("POST", &format!("{of}/versions")).json(json!({})),
            Ask::new("PUT", &format!("{of}/tags/gold")).json(json!({ "number": 1 })),
        ];
        for ask in asks {
            let answer = self.send(ask.by(token).once()).await;
            assert!(answer.status < 300, "{} {:?}", answer.status, answer.body);
        }
    }

    /// Submits a small job as this token's user; gives its id.
    pub(crate) async fn submit(&self, token: &str, spec: Value) -> String {
        let ask = Ask::new("POST", "/api/v1/workloads").by(token).once();
        let made = self.send(ask.json(json!({ "spec": spec }))).await;
        assert_eq!(made.status, 201, "{:?}", made.body);
        made.json()["id"].as_str().unwrap().to_owned()
    }
}

/// A small job's spec.
pub(crate) fn job(name: &str) -> Value {
    json!({
        "type": "job",
        "name": name,
        "command": ["/bin/true"],
        "env": { "SECRET": "hunter2" },
        "resources": {
            "cpu_milli": 10, "memory_bytes": 16_000_000, "disk_bytes": 16_000_000, "gpu": "none",
        },
    })
}

/// A stream of server-sent events.
pub(crate) struct Events {
    body: hyper::body::Incoming,
    rest: String,
    _sender: http1::SendRequest<Full<Bytes>>,
}

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) sort: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
}

impl Events {
    /// The next event; none when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let told = read(block);
                self.rest = rest.to_owned();
                // A comment is a heartbeat.
                match told {
                    Some(told) => return Some(told),
                    None => continue,
                }
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.unwrap()?;
            let data = frame.unwrap().into_data().unwrap();
            self.rest.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

fn read(block: &str) -> Option<Told> {
    let mut told = Told::default();
    let mut any = false;
    for line in block.lines() {
        if let Some(sort) = line.strip_prefix("event: ") {
            told.sort = sort.to_owned();
        } else if let Some(id) = line.strip_prefix("id: ") {
            told.id = Some(id.parse().unwrap());
        } else if let Some(data) = line.strip_prefix("data: ") {
            told.data = serde_json::from_str(data).unwrap();
            any = true;
        }
    }
    any.then_some(told)
}
