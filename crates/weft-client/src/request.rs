//! One request and its answer: sent, repeated where that is safe, and read.

use crate::connect::{RequestBody, Sender, connect, tls, unreachable};
use crate::data::Upload;
use crate::{Address, ClientError, Intent};
use futures_util::TryStreamExt as _;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use weft_api::problem::{Code, Problem};

/// How often a request is repeated after a broken connection or a busy server, and how long it
/// waits first, doubled each time: 6.3 s in all, longer than a server's restart.
const REPEATS: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Largest answer that is read whole: a page of the largest workloads fits in it.
const ANSWER_MAX: usize = 64 << 20;

/// A server to talk to. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    address: Address,
    token: Option<Arc<str>>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// What a request carries.
#[derive(Clone)]
pub(crate) enum Content {
    None,
    Json(Bytes),
    /// A file, streamed; read again for each repetition.
    File {
        path: PathBuf,
        bytes: u64,
    },
    /// An open file, from its beginning, for each repetition again.
    Open(Upload),
}

/// A request before it is sent, so that it can be sent again.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content: Content,
    pub(crate) intent: Option<&'a Intent>,
    pub(crate) headers: Vec<(header::HeaderName, String)>,
}

impl Client {
    /// A client of that server. `ca` is needed for TLS, `token` for TCP.
    pub fn new(
        address: Address,
        token: Option<String>,
        ca: Option<&Path>,
    ) -> Result<Self, ClientError> {
        let secure = matches!(address, Address::Tcp { tls: true, .. });
        let tls = match ca {
            Some(ca) if secure => Some(tls(&address, ca)?),
            _ => None,
        };
        Ok(Self { address, token: token.map(Arc::from), tls })
    }

    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.send(&Call::new(Method::GET, path)).await?;
        self.read(response).await
    }

    /// Every item of a listing: of a list, or of all pages.
    pub(crate) async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ClientError> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Answer<T> {
            List(Vec<T>),
            Page(weft_api::wire::Page<T>),
        }
        let (mut items, mut next) = (Vec::new(), None::<String>);
        loop {
            let page = match &next {
                None => path.to_owned(),
                Some(cursor) => {
                    let mark = if path.contains('?') { '&' } else { '?' };
                    format!("{path}{mark}cursor={}", escape(cursor))
                }
            };
            match self.get(&page).await? {
                Answer::List(list) => return Ok(list),
                Answer::Page(page) => {
                    items.extend(page.items);
                    next = page.next;
                }
            }
            if next.is_none() {
                return Ok(items);
            }
        }
    }

    /// A mutation with a JSON body.
    pub(crate) async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
        intent: &Intent,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| self.protocol(e))?;
        let call = Call {
            content: Content::Json(body.into()),
            intent: Some(intent),
            ..Call::new(method, path)
        };
        self.read(self.send(&call).await?).await
    }

    /// A mutation without a body.
    pub(crate) async fn act<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        intent: &Intent,
    ) -> Result<T, ClientError> {
        let call = Call { intent: Some(intent), ..Call::new(method, path) };
        self.read(self.send(&call).await?).await
    }

    /// Sends it, again where the connection broke or the server is busy. No connection at all
    /// is answered at once: the caller may start a server.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response<Incoming>, ClientError> {
        let safe = call.intent.is_some() || matches!(call.method, Method::GET | Method::HEAD);
        let mut wait = FIRST_WAIT;
        let mut left = if safe { REPEATS } else { 0 };
        loop {
            let fault = match self.send_once(call).await {
                Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                    return self.checked(response).await;
                }
                Ok(response) => self
                    .checked(response)
                    .await
                    .err()
                    .unwrap_or_else(|| self.protocol("a 503 that is none")),
                Err(Broken::NoConnection(error)) => return Err(error),
                Err(Broken::Midway(error)) => error,
            };
            if left == 0 {
                return Err(fault);
            }
            tokio::time::sleep(wait).await;
            (left, wait) = (left - 1, wait * 2);
        }
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Response<Incoming>, Broken> {
        let mut sender: Sender =
            connect(&self.address, self.tls.as_ref()).await.map_err(Broken::NoConnection)?;
        let request = self.request(call).await.map_err(Broken::NoConnection)?;
        let answer = sender.send_request(request).await;
        answer.map_err(|e| Broken::Midway(unreachable(&self.address, std::io::Error::other(e))))
    }

    async fn request(&self, call: &Call<'_>) -> Result<Request<RequestBody>, ClientError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(header::HOST, self.address.host_header());
        if let (Some(token), Address::Tcp { .. }) = (&self.token, &self.address) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(intent) = call.intent {
            request = request.header("idempotency-key", intent.to_string());
        }
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let body = match &call.content {
            Content::None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Content::Json(bytes) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync()
            }
            Content::File { path, bytes } => {
                let type_ = "application/octet-stream";
                request = request
                    .header(header::CONTENT_TYPE, type_)
                    .header(header::CONTENT_LENGTH, *bytes);
                let local =
                    |source| ClientError::Local { path: path.display().to_string(), source };
                let file = tokio::fs::File::open(path).await.map_err(local)?;
                let chunks = tokio_util::io::ReaderStream::with_capacity(file, 64 << 10);
                StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
            }
            Content::Open(upload) => {
                let type_ = "application/octet-stream";
                request = request
                    .header(header::CONTENT_TYPE, type_)
                    .header(header::CONTENT_LENGTH, upload.bytes);
                upload.body().boxed_unsync()
            }
        };
        request.body(body).map_err(|e| self.protocol(e))
    }

    /// The response, or the problem it tells of.
    async fn checked(
        &self,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, ClientError> {
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let body = self.bytes(response).await?;
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| {
            let code = match status {
                StatusCode::UNAUTHORIZED => Code::Unauthenticated,
                StatusCode::FORBIDDEN => Code::Forbidden,
                StatusCode::NOT_FOUND => Code::NotFound,
                StatusCode::SERVICE_UNAVAILABLE => Code::Busy,
                _ => Code::Internal,
            };
            Problem { status: status.as_u16(), ..Problem::new(code, format!("HTTP {status}")) }
        });
        Err(ClientError::Problem(Box::new(problem)))
    }

    /// A JSON answer. Of nothing, where nothing is expected.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        response: Response<Incoming>,
    ) -> Result<T, ClientError> {
        let body = self.bytes(response).await?;
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|e| self.protocol(e))
    }

    async fn bytes(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = http_body_util::Limited::new(response.into_body(), ANSWER_MAX);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => Err(unreachable(&self.address, std::io::Error::other(error))),
        }
    }

    /// An answer that ended early.
    pub(crate) fn broken(&self, error: hyper::Error) -> ClientError {
        unreachable(&self.address, std::io::Error::other(error))
    }

    pub(crate) fn protocol(&self, reason: impl std::fmt::Display) -> ClientError {
        ClientError::Protocol { address: self.address.to_string(), reason: reason.to_string() }
    }
}

/// Where a request failed.
enum Broken {
    /// Before it was sent.
    NoConnection(ClientError),
    /// It may have arrived.
    Midway(ClientError),
}

impl Call<'_> {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        let path = format!("/api/v1/{path}");
        Self { method, path, content: Content::None, intent: None, headers: Vec::new() }
    }
}

/// A part of a path or query, with what has a meaning there escaped (RFC 3986, §2.3).
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte as char);
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A query of those parameters that are there.
pub(crate) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let set = |(name, value): &(&str, Option<String>)| {
        value.as_ref().map(|value| format!("{name}={}", escape(value)))
    };
    let pairs: Vec<_> = pairs.iter().filter_map(set).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}
