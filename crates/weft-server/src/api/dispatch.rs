//! The way of every request: recognise, read, authorise, handle, answer.
//!
//! ```text
//! host and origin ─► who ─► key, query ─► body ─► guard and policy ─► handler ─► answer
//!                     │                               │
//!                    401, audited                403/404, audited
//! ```
//!
//! Called by the router that `router.rs` builds from the table, for each row of it. Every way
//! out is an answer: a panic becomes a 500 without its text, a time-out a 503.

use super::call::{Call, Connection, Grant, Subject};
use super::clock::now;
use super::fault::{Fault, answer, at, fault, internal, quoted};
use super::guard::authorise;
use super::route::{Access, JSON_MAX, Key, Route, Takes};
use super::state::App;
use super::write::note;
use crate::auth::{self, Caller, Peer, caller};
use axum::body::{Body, Bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, header, request::Parts};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::upgrade::OnUpgrade;
use sha2::{Digest, Sha256};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weft_api::problem::{Code, Problem};
use weft_store::{Decision, NewAudit, RequestKey};
use weft_types::Timestamp;

/// Longest `Idempotency-Key`: a UUID is 36; room for a prefix, none for a document.
const KEY_MAX: usize = 128;

/// Answers one request to a route.
pub(crate) async fn dispatch(
    app: App,
    route: Arc<Route>,
    params: Vec<(String, String)>,
    request: Request,
) -> Response {
    let timeout = route.timeout;
    answered(handle(app, route, params, request), timeout).await
}

/// Every way out is an answer: also a panic, and work that does not end in time.
async fn answered(
    work: impl Future<Output = Result<Response, Fault>>,
    timeout: Option<Duration>,
) -> Response {
    let work = AssertUnwindSafe(work).catch_unwind();
    let done = match timeout {
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => {
                let problem = Problem::new(Code::Busy, "the server did not get to it in time");
                return answer(problem.hint("try again with the same Idempotency-Key"));
            }
        },
        None => work.await,
    };
    match done {
        Ok(Ok(response)) => response,
        Ok(Err(fault)) => fault.into_response(),
        Err(panic) => answer(internal(format!("panic: {}", said(&*panic)))),
    }
}

async fn handle(
    app: App,
    route: Arc<Route>,
    params: Vec<(String, String)>,
    request: Request,
) -> Result<Response, Fault> {
    let now = now();
    let (mut parts, body) = request.into_parts();
    let peer = peer(&app, &parts)?;
    let who = match route.access {
        Access::Open => auth::nobody(),
        _ => recognise(&app, peer, &route, &parts, now).await?,
    };
    check_query(&route, &parts)?;
    let dry_run = asks_dry_run(&route, &parts)?;
    let key_text = key_of(&route, &parts.headers)?;
    let (body, stream) = read(&route, &parts.headers, body).await?;
    let key = key_text.map(|key| request_key(key, &who, &parts, &body));
    let call = Call {
        connection: Mutex::new(Connection {
            stream,
            upgrade: parts.extensions.remove::<OnUpgrade>(),
        }),
        uri: parts.uri,
        headers: parts.headers,
        subject: Subject::None,
        samples: false,
        grant: Grant { verb: "", resource: String::new(), policies: Vec::new() },
        app,
        route: route.clone(),
        who,
        now,
        params,
        body,
        key,
        dry_run,
    };
    (route.handler)(authorise(call).await?).await
}

/// Who is at the other end, if the request is for us.
pub(crate) fn peer(app: &App, parts: &Parts) -> Result<Peer, Fault> {
    let peer = parts.extensions.get::<Peer>().copied();
    let peer = peer.ok_or_else(|| internal("a connection without a peer"))?;
    if let Peer::Tcp(_) = peer {
        auth::origin::check(&parts.headers, &parts.uri, &app.about.hosts)?;
    }
    Ok(peer)
}

async fn recognise(
    app: &App,
    peer: Peer,
    route: &Route,
    parts: &Parts,
    now: Timestamp,
) -> Result<Caller, Fault> {
    let caller = match parts.headers.get(auth::run::HEADER) {
        Some(run) => auth::run::caller(&app.store, &app.runtime, peer, run).await,
        None => caller(&app.store, peer, &parts.headers, now).await,
    };
    let (why, token) = match caller {
        Ok(caller) => return Ok(caller),
        Err(auth::Unknown::Store(error)) => return Err(error.into()),
        Err(auth::Unknown::Refused { why, token }) => (why, token),
    };
    let problem = auth::problem(&app.throttle, peer);
    if problem.code == Code::Unauthenticated {
        let entry = NewAudit {
            at: now,
            actor: String::new(),
            verb: route.first_verb().to_owned(),
            resource: quoted(parts.uri.path()),
            decision: Decision::Denied,
            policies: Vec::new(),
            detail: serde_json::json!({ "why": why, "token": token, "peer": format!("{peer:?}") })
                .to_string(),
        };
        note(&app.store, entry).await?;
    }
    Err(problem.into())
}

/// The body: read wholly for JSON, left as a stream for bytes, refused where there is none.
async fn read(
    route: &Route,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Option<Body>), Fault> {
    match route.takes {
        Takes::Bytes(max) => {
            // What is announced too large is not taken in first.
            let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
            return match length.and_then(|text| text.parse::<u64>().ok()) {
                Some(length) if length > max => {
                    Err(fault(Code::TooLarge, format!("the body is larger than {max} bytes")))
                }
                _ => Ok((Bytes::new(), Some(body))),
            };
        }
        Takes::Nothing => {
            let bytes = collect(body).await?;
            return match bytes.is_empty() {
                true => Ok((bytes, None)),
                false => Err(fault(Code::BadRequest, "this route takes no body")),
            };
        }
        Takes::Json(_) | Takes::MaybeJson(_) => {}
    }
    let bytes = collect(body).await?;
    if bytes.is_empty() {
        return match route.takes {
            Takes::MaybeJson(_) => Ok((Bytes::from_static(b"{}"), None)),
            _ => Err(fault(Code::BadRequest, "the body is missing")),
        };
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media.unwrap_or("").split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let problem = Problem::new(Code::UnsupportedMedia, "the body must be application/json");
        return Err(problem.hint("send `Content-Type: application/json`").into());
    }
    Ok((bytes, None))
}

async fn collect(body: Body) -> Result<Bytes, Fault> {
    match Limited::new(body, JSON_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(fault(Code::TooLarge, format!("the body is larger than {JSON_MAX} bytes")))
        }
        Err(_) => Err(fault(Code::BadRequest, "the body ended early")),
    }
}

fn key_of(route: &Route, headers: &HeaderMap) -> Result<Option<String>, Fault> {
    const NAME: &str = "Idempotency-Key";
    if route.key == Key::None {
        return Ok(None);
    }
    let Some(value) = headers.get(NAME) else {
        let problem =
            Problem::new(Code::IdempotencyMissing, "the header Idempotency-Key is missing");
        let hint = "send a UUID with each intention, and the same one when repeating it";
        return Err(problem.hint(hint).field(NAME).into());
    };
    let text = value.to_str().unwrap_or("").trim();
    let legal = |b: u8| b.is_ascii_graphic();
    match (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(legal) {
        true => Ok(Some(text.to_owned())),
        false => {
            let rule = format!("must be 1 to {KEY_MAX} printable ASCII characters");
            Err(at(Code::BadRequest, NAME, rule))
        }
    }
}

/// What a key is good for: one caller, one route and query, one body.
fn request_key(key: String, who: &Caller, parts: &Parts, body: &Bytes) -> RequestKey {
    let mut hash = Sha256::new();
    hash.update(parts.uri.query().unwrap_or(""));
    hash.update([0]);
    hash.update(body);
    if let Some(version) = parts.headers.get(header::IF_MATCH) {
        hash.update([0]);
        hash.update(version.as_bytes());
    }
    RequestKey {
        actor: who.principal.user.to_string(),
        key,
        route: format!("{} {}", parts.method, parts.uri.path()),
        fingerprint: hash.finalize().into(),
    }
}

/// Unknown parameters are refused: a misspelt filter would show too much, or change too much.
fn check_query(route: &Route, parts: &Parts) -> Result<(), Fault> {
    let pairs = parts.uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    let mut seen = Vec::new();
    for pair in pairs {
        let name = pair.split('=').next().unwrap_or("");
        if !route.knows(name) {
            let known = route.parameters().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            let detail = format!("there is no query parameter `{}`; known: {known}", quoted(name));
            return Err(at(Code::BadRequest, &quoted(name), detail));
        }
        if seen.contains(&name) {
            return Err(at(Code::BadRequest, name, "is given twice"));
        }
        seen.push(name);
    }
    Ok(())
}

/// `?dry_run=true` is understood by every change that goes through the store.
fn asks_dry_run(route: &Route, parts: &Parts) -> Result<bool, Fault> {
    let query = parts.uri.query().unwrap_or("");
    let value = query.split('&').find_map(|pair| pair.strip_prefix("dry_run="));
    match value {
        None | Some("false") => Ok(false),
        Some("true") if route.can_dry_run() => Ok(true),
        Some("true") => Err(at(Code::BadRequest, "dry_run", "this route has no dry run")),
        Some(_) => Err(at(Code::BadRequest, "dry_run", "must be `true` or `false`")),
    }
}

/// The parameters of a path; one that is not UTF-8 is refused here.
pub(crate) fn params(raw: RawPathParams) -> Vec<(String, String)> {
    raw.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(work: impl Future<Output = Result<Response, Fault>>) -> (u16, Problem) {
        let response = answered(work, Some(Duration::from_millis(1))).await;
        let status = response.status().as_u16();
        assert_eq!(response.headers()[header::CONTENT_TYPE], weft_api::problem::MEDIA_TYPE);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_without_its_text() {
        let (status, problem) = told(async { panic!("token weft_pat_secret") }).await;
        assert_eq!((status, problem.code), (500, Code::Internal));
        assert!(!problem.detail.contains("secret"), "{problem}");
        assert!(problem.hint.is_some_and(|hint| hint.contains("server.log")));
    }

    #[tokio::test]
    async fn what_does_not_end_in_time_is_an_answer() {
        let (status, problem) = told(std::future::pending()).await;
        assert_eq!((status, problem.code), (503, Code::Busy));
    }
}
