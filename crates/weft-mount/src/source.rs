//! Where the bytes come from: the server's own API, over its Unix socket.
//!
//! A server that is away, busy or replaced is waited for: a request is tried again, and goes on
//! where it broke off. What it refuses is an error at once. Absent on purpose: any decision of
//! what may be read, which is the server's at each request.

use crate::Counts;
use crate::tree::{Listed, Nodes};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::Deserialize;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Requests under way at once: what saturates a disk, and bounds what is held in memory.
const REQUESTS: usize = 16;

/// How long a server that does not answer is waited for, from the last byte that came: an upgrade
/// and a slow recovery take a minute, a person who has to be called some more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How long an answer's head and each part of it may take before the connection is given up.
const STALLED: Duration = Duration::from_secs(30);

/// From when on a wait is worth a word in the log.
const NOTICED: Duration = Duration::from_secs(1);

/// Answers in a row that break off before their first byte: a server that ends breaks one or two,
/// what is damaged on its disk breaks all.
const BROKEN_MAX: u32 = 4;

/// The first wait before it is tried again, and the longest; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Objects of one page of a list: the most the server gives.
const PAGE: u32 = 1_000;

/// Largest page that is read: a thousand paths of the longest, escaped, with their attributes.
const PAGE_BYTES: usize = 16 << 20;

/// The header that says which run asks; the server looks whether the process that asks is its.
pub const RUN_HEADER: &str = "weft-run";

/// What is read, and from whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// The server's Unix socket.
    pub socket: PathBuf,
    /// The run that reads: `w42-1-0`.
    pub run: String,
    /// The dataset's name.
    pub dataset: String,
    /// Which version: `v7`.
    pub version: String,
}

pub(crate) struct Source {
    from: From,
    nodes: Nodes,
    idle: RefCell<Vec<SendRequest<Empty<Bytes>>>>,
    places: Semaphore,
    counts: Arc<Counts>,
}

/// Why one try failed.
enum Failed {
    /// It may work later.
    Later,
    /// It was answered, and the answer broke off.
    Broken,
    /// It will not.
    For(Errno),
}

/// A page of a list, as far as it is needed here.
#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    #[serde(default)]
    prefixes: Vec<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    path: String,
    bytes: u64,
    at_ms: u64,
}

impl Source {
    pub(crate) fn new(from: From, nodes: Nodes, counts: Arc<Counts>) -> Source {
        let places = Semaphore::new(REQUESTS);
        Source { from, nodes, idle: RefCell::default(), places, counts }
    }

    /// Everything in a folder: objects, and what paths that go deeper begin with.
    pub(crate) async fn list(&self, prefix: &str) -> Result<(Vec<Listed>, Vec<String>), Errno> {
        let From { dataset, version, .. } = &self.from;
        let (mut objects, mut deeper, mut next) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let mut path = format!(
                "/api/v1/datasets/{dataset}/objects?at={version}&delimiter=%2F&limit={PAGE}&prefix="
            );
            escape(prefix, &mut path);
            if let Some(next) = next.take() {
                path.push_str("&cursor=");
                escape(&next, &mut path);
            }
            let page = self.page(&path).await?;
            let listed = |item: Item| Listed { path: item.path, bytes: item.bytes, at: item.at_ms };
            objects.extend(page.items.into_iter().map(listed));
            deeper.extend(page.prefixes);
            if objects.len() + deeper.len() > self.nodes.left() {
                return Err(Errno::OVERFLOW);
            }
            next = page.next;
            if next.is_none() {
                return Ok((objects, deeper));
            }
        }
    }

    async fn page(&self, path: &str) -> Result<Page, Errno> {
        let mut tries = Tries::new(self);
        loop {
            let mut body = Vec::new();
            let take = |bytes: Bytes| {
                body.extend_from_slice(&bytes);
                body.len() <= PAGE_BYTES
            };
            match self.once(path, None, take).await {
                Ok(()) => match serde_json::from_slice(&body) {
                    Ok(page) => return Ok(page),
                    Err(_) => return Err(Errno::IO),
                },
                Err(failed) => tries.again(failed).await?,
            }
        }
    }

    /// A range of an object, piece by piece as it comes.
    pub(crate) async fn fetch(
        &self,
        object: &str,
        range: Range<u64>,
        mut each: impl FnMut(Bytes),
    ) -> Result<(), Errno> {
        let From { dataset, version, .. } = &self.from;
        let mut path = format!("/api/v1/datasets/{dataset}/objects/");
        escape(object, &mut path);
        let _ = write!(path, "?at={version}");
        let (mut tries, mut at) = (Tries::new(self), range.start);
        while at < range.end {
            let before = at;
            let take = |mut bytes: Bytes| {
                // A server that gives more than was asked for is not believed.
                bytes.truncate(usize::try_from(range.end - at).unwrap_or(usize::MAX));
                at += bytes.len() as u64;
                each(bytes);
                at < range.end
            };
            let got = self.once(&path, Some(before..range.end), take).await;
            if at > before {
                tries = Tries::new(self);
            }
            match got {
                _ if at >= range.end => {}
                Ok(()) => tries.again(Failed::Broken).await?,
                Err(failed) => tries.again(failed).await?,
            }
        }
        Ok(())
    }

    /// One request; hands on what comes until that says it is enough.
    async fn once(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        mut take: impl FnMut(Bytes) -> bool,
    ) -> Result<(), Failed> {
        let _place = self.places.acquire().await.map_err(|_| Failed::For(Errno::IO))?;
        let mut request =
            Request::get(path).header(header::HOST, "localhost").header(RUN_HEADER, &self.from.run);
        if let Some(range) = &range {
            let last = range.end - 1;
            request = request.header(header::RANGE, format!("bytes={}-{last}", range.start));
        }
        let request = request.body(Empty::new()).map_err(|_| Failed::For(Errno::INVAL))?;
        let mut connection = self.connection().await?;
        let answer = timeout(STALLED, connection.send_request(request)).await;
        let mut answer = answer.map_err(|_| Failed::Later)?.map_err(|_| Failed::Later)?;
        check(&answer, range.is_some_and(|range| range.start > 0))?;
        self.counts.waits.store(false, Ordering::Relaxed);
        loop {
            let frame = timeout(STALLED, answer.frame()).await.map_err(|_| Failed::Later)?;
            let Some(frame) = frame else { break };
            let data = frame.map_err(|_| Failed::Broken)?.into_data();
            // What is left of the answer is not waited for: its connection ends with it, unless
            // nothing is left.
            if data.is_ok_and(|bytes| !take(bytes)) && !is_over(&answer) {
                return Ok(());
            }
        }
        self.idle.borrow_mut().push(connection);
        Ok(())
    }

    async fn connection(&self) -> Result<SendRequest<Empty<Bytes>>, Failed> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut idle) = idle else { break };
            if idle.ready().await.is_ok() {
                return Ok(idle);
            }
        }
        let stream = timeout(STALLED, connect(&self.from)).await.map_err(|_| Failed::Later)?;
        let stream = stream.map_err(|_| Failed::Later)?;
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = opened.map_err(|_| Failed::Later)?;
        tokio::task::spawn_local(async move {
            let _ = driver.await;
        });
        Ok(sender)
    }
}

/// Connects through the folder's descriptor: a socket's path is limited to 107 bytes, a state
/// directory's is not.
async fn connect(from: &From) -> io::Result<UnixStream> {
    let (folder, name) = (from.socket.parent(), from.socket.file_name());
    let (Some(folder), Some(name)) = (folder, name) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    UnixStream::connect(path).await
}

fn is_over(answer: &Response<Incoming>) -> bool {
    hyper::body::Body::is_end_stream(answer.body())
}

/// Whether an answer carries what was asked for. `inside`: not from the first byte on.
fn check(answer: &Response<Incoming>, inside: bool) -> Result<(), Failed> {
    match answer.status() {
        StatusCode::PARTIAL_CONTENT => Ok(()),
        StatusCode::OK if !inside => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Failed::For(Errno::NOENT)),
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(Failed::For(Errno::ACCESS)),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(Failed::Later),
        status if status.is_server_error() => Err(Failed::Later),
        _ => Err(Failed::For(Errno::IO)),
    }
}

/// How often and how long something was tried.
struct Tries<'a> {
    source: &'a Source,
    since: Instant,
    wait: Duration,
    broken: u32,
}

impl Tries<'_> {
    fn new(source: &Source) -> Tries<'_> {
        Tries { source, since: Instant::now(), wait: FIRST_WAIT, broken: 0 }
    }

    /// Waits before the next try, or says why there is none.
    async fn again(&mut self, failed: Failed) -> Result<(), Errno> {
        match failed {
            Failed::For(errno) => Err(errno),
            Failed::Broken if self.broken >= BROKEN_MAX => Err(Errno::IO),
            _ if self.since.elapsed() >= PATIENCE => Err(Errno::IO),
            _ => {
                self.broken += u32::from(matches!(failed, Failed::Broken));
                if self.since.elapsed() >= NOTICED {
                    self.source.counts.waits.store(true, Ordering::Relaxed);
                }
                tokio::time::sleep(self.wait).await;
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
                Ok(())
            }
        }
    }
}

/// Escapes what is not plain in a path or query; `/` stays, as paths have it between their parts.
fn escape(text: &str, to: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                to.push(char::from(byte));
            }
            _ => {
                let _ = write!(to, "%{byte:02X}");
            }
        }
    }
}
