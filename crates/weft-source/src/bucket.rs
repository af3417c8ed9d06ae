//! A bucket that is our own: whole files go there, ranges come back.
//!
//! Absent on purpose: several parts, lists, redirects. What is put is at most some hundred
//! megabytes long and its sum is signed, so a store that takes it has taken all of it.

use crate::address::ANYWHERE;
use crate::dial::{IDLE, Line, Outbound};
use crate::error::SourceError;
use crate::http::Web;
use crate::sign::{EMPTY, Signed, Signer, escape};
use crate::{Auth, error::told};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use ring::digest;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;

/// Bytes of a file that are read at a time.
const SOME: usize = 1 << 20;
/// How long a range may take, from the question to its last byte: some megabytes.
const RANGE: Duration = Duration::from_secs(60);
/// How long a file may take: 256 MiB at 150 kB a second.
const FILE: Duration = Duration::from_secs(1_800);
/// Connections that are kept for the next request.
const KEPT: usize = 16;

/// A bucket, and who asks.
pub struct Bucket {
    web: Web,
    signer: Signer,
    /// Endpoint, bucket and prefix, ending with `/`.
    home: Url,
    idle: Mutex<Vec<SendRequest<Sent>>>,
}

/// Why something is not there or did not come.
#[derive(Debug, thiserror::Error)]
pub enum Lacks {
    /// The store says that it has none.
    #[error("the store does not have it")]
    Absent,
    /// Anything else.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Bucket {
    /// What is below `prefix` in a bucket of the store at an address; by HTTP only where `plain`
    /// says that this is meant. An operator named it: it may be inside.
    ///
    /// # Errors
    /// The address or the certificates are none.
    pub fn new(
        endpoint: &str,
        (bucket, prefix): (&str, &str),
        signer: Signer,
        plain: bool,
        authorities: Option<&str>,
    ) -> Result<Self, SourceError> {
        let out = Outbound::new(ANYWHERE.to_vec(), authorities)?;
        let web = Web::declared(endpoint, out, Auth::None, plain)?;
        let path = format!("{bucket}/{prefix}");
        let path: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        if path.is_empty() || path.iter().any(|part| matches!(*part, "." | "..")) {
            return Err(SourceError::named(
                bucket,
                "is no bucket and prefix: write s3://name/prefix",
            ));
        }
        let home = format!("{}/{}/", endpoint.trim_end_matches('/'), escape(&path.join("/"), true));
        let home = Url::parse(&home)
            .map_err(|error| SourceError::named(endpoint, &format!("is no address: {error}")))?;
        Ok(Self { web, signer, home, idle: Mutex::default() })
    }

    /// Puts a file there, whole.
    ///
    /// # Errors
    /// It cannot be read, or the store does not take it.
    pub async fn put(&self, name: &str, file: Arc<File>, bytes: u64) -> Result<(), SourceError> {
        let read = file.clone();
        let sum = tokio::task::spawn_blocking(move || sum(&read, bytes)).await;
        let sum = sum.map_err(io::Error::other).and_then(|sum| sum).map_err(SourceError::Kept)?;
        let sent = Sent::of(file, bytes);
        let asked = self.ask(Method::PUT, name, None, (&sum, sent));
        self.in_time(FILE, async { self.success(asked.await?, name).await.map(drop) }).await
    }

    /// These bytes of what has a name there.
    ///
    /// # Errors
    /// It is not there, is shorter, or does not come.
    pub async fn read(&self, name: &str, from: u64, length: usize) -> Result<Vec<u8>, Lacks> {
        if length == 0 {
            return Ok(Vec::new());
        }
        let range = format!("bytes={from}-{}", from + length as u64 - 1);
        let got = self.in_time(RANGE, async {
            let answer = self.ask(Method::GET, name, Some(&range), (EMPTY, Sent::Nothing)).await?;
            if answer.status() == 404 {
                return Ok(None);
            }
            let answer = self.success(answer, name).await?;
            if answer.status() != 206 {
                return Err(SourceError::protocol(self.host(), "it gives no ranges"));
            }
            self.collected(answer.into_body(), length).await.map(Some)
        });
        let got = got.await?.ok_or(Lacks::Absent)?;
        match got.len() == length {
            true => Ok(got),
            false => {
                let why = format!("{} bytes instead of {length}", got.len());
                Err(SourceError::protocol(self.host(), why).into())
            }
        }
    }

    /// How long what has a name there is; none where there is none.
    ///
    /// # Errors
    /// The store does not say.
    pub async fn bytes(&self, name: &str) -> Result<Option<u64>, SourceError> {
        self.in_time(RANGE, async {
            let answer = self.ask(Method::HEAD, name, None, (EMPTY, Sent::Nothing)).await?;
            if answer.status() == 404 {
                return Ok(None);
            }
            let answer = self.success(answer, name).await?;
            let length = answer.headers().get(header::CONTENT_LENGTH);
            let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
            let none = || SourceError::protocol(self.host(), "it does not say how long a file is");
            length.map(Some).ok_or_else(none)
        })
        .await
    }

    /// Removes what has a name there, if it is there.
    ///
    /// # Errors
    /// The store does not.
    pub async fn remove(&self, name: &str) -> Result<(), SourceError> {
        self.in_time(RANGE, async {
            let answer = self.ask(Method::DELETE, name, None, (EMPTY, Sent::Nothing)).await?;
            match answer.status().as_u16() {
                404 => Ok(()),
                _ => self.success(answer, name).await.map(drop),
            }
        })
        .await
    }

    fn host(&self) -> &str {
        self.home.host_str().unwrap_or_default()
    }

    async fn in_time<T>(
        &self,
        after: Duration,
        what: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let silent = |_| SourceError::Silent { host: self.host().to_owned(), after };
        tokio::time::timeout(after, what).await.map_err(silent)?
    }

    /// A body, if it is no longer than was asked for.
    async fn collected(&self, body: Incoming, most: usize) -> Result<Vec<u8>, SourceError> {
        let (mut body, mut all) = (body, Vec::with_capacity(most));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| self.broken(e))?;
            if let Ok(data) = frame.into_data() {
                if all.len() + data.len() > most {
                    return Err(SourceError::protocol(self.host(), "more than was asked for"));
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(all)
    }

    async fn success(
        &self,
        answer: Response<Incoming>,
        name: &str,
    ) -> Result<Response<Incoming>, SourceError> {
        match answer.status().is_success() {
            true => Ok(answer),
            false => {
                let url = told(&format!("{}{name}", self.home));
                Err(SourceError::Status { url, status: answer.status().as_u16() })
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        name: &str,
        range: Option<&str>,
        (sum, body): (&str, Sent),
    ) -> Result<Response<Incoming>, SourceError> {
        let url = self.home.join(name);
        let url = url.map_err(|e| SourceError::named(name, &format!("is no name: {e}")))?;
        let host = self.host();
        let authority = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let Signed { date, authorization } =
            self.signer.sign(method.as_str(), &authority, &url, sum);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(url.path())
            .header(header::HOST, authority)
            .header(header::USER_AGENT, "weft")
            .header("x-amz-date", date)
            .header("x-amz-content-sha256", sum)
            .header(header::AUTHORIZATION, authorization);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        if method == Method::PUT {
            request = request.header(header::CONTENT_LENGTH, body.left());
        }
        let request = request.body(body);
        let request =
            request.map_err(|e| SourceError::named(name, &format!("cannot be asked for: {e}")))?;
        let mut sender = self.line().await?;
        let answer = sender.send_request(request).await.map_err(|e| self.broken(e))?;
        self.keep(sender);
        Ok(answer)
    }

    /// A connection that was kept, or another.
    async fn line(&self) -> Result<SendRequest<Sent>, SourceError> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut kept) = kept else { break };
            // It may have been closed meanwhile, or its last answer not be read to the end.
            let ready = tokio::time::timeout(Duration::from_millis(1), kept.ready()).await;
            if matches!(ready, Ok(Ok(()))) && !kept.is_closed() {
                return Ok(kept);
            }
        }
        let host = self.host();
        let port = self.home.port_or_known_default().unwrap_or(0);
        let line = self.web.out.dial(host, port).await?;
        let line: Box<dyn Line> = match self.home.scheme() {
            "https" => self.web.out.tls(host, line).await?,
            _ => Box::new(line),
        };
        let shaken = tokio::time::timeout(IDLE, http1::handshake(TokioIo::new(line))).await;
        let silent = |_| SourceError::Silent { host: host.to_owned(), after: IDLE };
        let (sender, connection) = shaken.map_err(silent)?.map_err(|e| self.broken(e))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn keep(&self, sender: SendRequest<Sent>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(sender);
        }
    }

    fn broken(&self, error: hyper::Error) -> SourceError {
        SourceError::broken(self.host(), io::Error::other(error))
    }
}

/// SHA-256 of a file, in hexadecimal digits.
fn sum(file: &File, bytes: u64) -> io::Result<String> {
    let (mut context, mut at) = (digest::Context::new(&digest::SHA256), 0);
    let mut some = vec![0; SOME];
    while at < bytes {
        let part = &mut some[..SOME.min(usize::try_from(bytes - at).unwrap_or(SOME))];
        file.read_exact_at(part, at)?;
        context.update(part);
        at += part.len() as u64;
    }
    Ok(hex::encode(context.finish()))
}

/// What goes with a request.
enum Sent {
    Nothing,
    /// A file, piece by piece, and how much of it is left.
    File(mpsc::Receiver<io::Result<Bytes>>, u64),
}

impl Sent {
    /// A file, read beside.
    fn of(file: Arc<File>, bytes: u64) -> Self {
        let (to, from) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            let mut at = 0;
            while at < bytes {
                let mut part = vec![0; SOME.min(usize::try_from(bytes - at).unwrap_or(SOME))];
                let read = file.read_exact_at(&mut part, at);
                at += part.len() as u64;
                let failed = read.is_err();
                if to.blocking_send(read.map(|()| part.into())).is_err() || failed {
                    return;
                }
            }
        });
        Self::File(from, bytes)
    }

    fn left(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::File(_, left) => *left,
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self::File(from, left) = self.get_mut() else { return Poll::Ready(None) };
        from.poll_recv(context).map(|part| {
            part.map(|part| {
                let part = part?;
                *left = left.saturating_sub(part.len() as u64);
                Ok(Frame::data(part))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
