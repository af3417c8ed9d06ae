//! A server that knows one dataset and speaks as the real one does, and that tests can take away.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;
use tokio::task::{AbortHandle, JoinSet};

/// Objects of a page: few, so that lists have several.
const PAGE: usize = 3;

/// The server of a state directory.
pub(crate) struct Shelf {
    at: PathBuf,
    data: Arc<Data>,
    serving: Option<AbortHandle>,
}

#[derive(Default)]
struct Data {
    objects: BTreeMap<String, Bytes>,
    page: usize,
    asked: Mutex<Vec<String>>,
    refuses: Mutex<Option<StatusCode>>,
    /// An object, and from which byte on it is not given.
    damaged: Mutex<Option<(String, usize)>>,
}

impl Shelf {
    /// Serves these objects as `claims@v7`.
    pub(crate) fn open(state: &Path, objects: &[(&str, Vec<u8>)]) -> Shelf {
        Shelf::with_pages(state, objects, PAGE)
    }

    /// The same, with so many entries on a page.
    pub(crate) fn with_pages(state: &Path, objects: &[(&str, Vec<u8>)], page: usize) -> Shelf {
        let put = |(path, bytes): &(&str, Vec<u8>)| ((*path).to_owned(), bytes.clone().into());
        let objects = objects.iter().map(put).collect();
        let data = Arc::new(Data { objects, page, ..Data::default() });
        let at = state.join(weft_runtime::SERVER_SOCKET);
        let mut shelf = Shelf { at, data, serving: None };
        shelf.come();
        shelf
    }

    /// It is there, or there again.
    pub(crate) fn come(&mut self) {
        let listener = UnixListener::bind(&self.at).unwrap();
        let data = Arc::clone(&self.data);
        let serving = tokio::spawn(async move {
            // Its connections end with it.
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let data = Arc::clone(&data);
                open.spawn(async move {
                    let answer = service_fn(|request| {
                        let answered = data.answer(&request);
                        async move { Ok::<_, Infallible>(answered) }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        self.serving = Some(serving.abort_handle());
    }

    /// It is away, as one that was killed.
    pub(crate) fn go(&mut self) {
        self.serving.take().unwrap().abort();
        std::fs::remove_file(&self.at).unwrap();
    }

    /// It answers so from now on.
    pub(crate) fn refuse(&self, status: Option<StatusCode>) {
        *self.data.refuses.lock().unwrap() = status;
    }

    /// From that byte on it gives nothing of an object, and breaks off.
    pub(crate) fn damage(&self, path: &str, from: usize) {
        *self.data.damaged.lock().unwrap() = Some((path.to_owned(), from));
    }

    /// What was asked since it was asked for last: path, run, range.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.data.asked.lock().unwrap())
    }
}

impl Data {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let text = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (run, range) = (text("weft-run"), text("range"));
        self.asked.lock().unwrap().push(format!("{} {run} {range}", request.uri()));
        if let Some(status) = *self.refuses.lock().unwrap() {
            return answer(status, Bytes::new());
        }
        let query = request.uri().query().unwrap_or_default();
        let query: BTreeMap<_, _> = query.split('&').filter_map(|q| q.split_once('=')).collect();
        assert_eq!(query.get("at"), Some(&"v7"));
        let path = request.uri().path().strip_prefix("/api/v1/datasets/claims/objects").unwrap();
        match path.strip_prefix('/') {
            Some(path) => self.object(&plain(path), &range),
            None => self.list(&plain(query["prefix"]), query.get("cursor").map(|at| plain(at))),
        }
    }

    fn object(&self, path: &str, range: &str) -> Response<Full<Bytes>> {
        let Some(bytes) = self.objects.get(path) else {
            return answer(StatusCode::NOT_FOUND, Bytes::new());
        };
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (first, last) = (first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap());
        let end = match &*self.damaged.lock().unwrap() {
            Some((damaged, from)) if damaged == path => (last + 1).min(*from).max(first),
            _ => last + 1,
        };
        answer(StatusCode::PARTIAL_CONTENT, bytes.slice(first..end))
    }

    fn list(&self, prefix: &str, after: Option<String>) -> Response<Full<Bytes>> {
        let mut found: BTreeSet<(String, Option<usize>)> = BTreeSet::new();
        for (path, bytes) in self.objects.range(prefix.to_owned()..) {
            let Some(rest) = path.strip_prefix(prefix) else { break };
            found.insert(match rest.split_once('/') {
                Some((folder, _)) => (format!("{prefix}{folder}/"), None),
                None => (path.clone(), Some(bytes.len())),
            });
        }
        let after = after.unwrap_or_default();
        let rest: Vec<_> = found.into_iter().filter(|(path, _)| *path > after).collect();
        let page = &rest[..rest.len().min(self.page)];
        let items = page.iter().filter_map(|(path, bytes)| {
            bytes.map(
                |bytes| json!({ "path": path, "bytes": bytes, "at_ms": 1_700_000_000_000_u64 }),
            )
        });
        let prefixes = page.iter().filter(|(_, bytes)| bytes.is_none()).map(|(path, _)| path);
        let next = (rest.len() > self.page).then(|| page[page.len() - 1].0.clone());
        let page = json!({
            "items": items.collect::<Vec<_>>(), "prefixes": prefixes.collect::<Vec<_>>(),
            "next": next,
        });
        answer(StatusCode::OK, page.to_string().into())
    }
}

fn answer(status: StatusCode, bytes: Bytes) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status).header(header::SERVER, "shelf");
    answer.body(Full::new(bytes)).unwrap()
}

/// A part of a path or query without its escapes.
fn plain(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}
