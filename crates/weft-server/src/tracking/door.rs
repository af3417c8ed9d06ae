//! The way of a request: who asks, what is asked, and every way out is an answer in MLflow's words.

use super::{artifacts, experiments, logged, models, runs, search};
use crate::api::{App, quoted};
use crate::auth::{self, Caller, Peer, Unknown};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use weft_policy::Verb;
use weft_runtime::MemberKey;
use weft_store::{Decision, NewAudit, StoreError};
use weft_tracking::{Code, Fault};
use weft_types::Timestamp;

/// Largest body: a hundred parameters and a hundred tags of the longest, in characters of four
/// bytes, fit in six megabytes; a thousand points in one.
const BODY_MAX: usize = 8 << 20;

/// How long a request may take; a full disk or a stuck mount shows as an error.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The version of MLflow whose words these are: clients ask for it and expect a number.
const SPEAKS: &str = "3.17.2";

/// What is refused, in the words of the answer.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Fault);

pub(super) type Answer = Result<Vec<u8>, Refused>;

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NotFound { .. } => Code::ResourceDoesNotExist,
            StoreError::Exists { .. } => Code::ResourceAlreadyExists,
            StoreError::OverQuota { .. } => Code::ResourceExhausted,
            StoreError::TooLarge { .. } => Code::InvalidParameterValue,
            StoreError::DiskFull(_) | StoreError::Closed => Code::TemporarilyUnavailable,
            _ => Code::InternalError,
        };
        if code == Code::InternalError {
            tracing::error!(%error, "a tracking request failed");
            return Self(Fault::new(code, "the server failed; its log says why"));
        }
        Self(Fault::new(code, error.to_string()))
    }
}

/// A request whose caller is known.
pub(super) struct Asked {
    pub(super) app: App,
    pub(super) who: Caller,
    /// The run of a workload that it comes from, if from one.
    pub(super) run: Option<MemberKey>,
    pub(super) peer: Peer,
    pub(super) now: Timestamp,
    said: Said,
}

/// What is said: in a body, or in the query of a `GET`.
enum Said {
    Body(Bytes),
    Query(Value),
}

impl Asked {
    /// Who asks, and what; the body is not read yet.
    async fn read(app: App, request: Request) -> Result<(Self, Parts, Body), Refused> {
        let now = weft_agent::now();
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().copied();
        let none = || Fault::new(Code::InternalError, "a connection without a peer");
        let peer = peer.ok_or_else(none)?;
        if let Peer::Tcp(_) | Peer::Run { .. } = peer {
            let checked = auth::origin::check(&parts.headers, &parts.uri, &app.about.hosts);
            checked.map_err(|problem| Fault::new(Code::PermissionDenied, problem.detail))?;
        }
        let who = recognise(&app, peer, &parts, now).await?;
        let run = if let Peer::Run { key, .. } = peer { Some(key) } else { None };
        let said = Said::Query(query(&parts.uri)?);
        Ok((Asked { app, who, run, peer, now, said }, parts, body))
    }

    /// The same, recognised once more: of a body that took its time.
    pub(super) async fn again(&self) -> Result<Self, Refused> {
        let Self { app, peer, .. } = self;
        let now = weft_agent::now();
        let ended = || Fault::new(Code::Unauthenticated, "the token has ended meanwhile");
        let mut who = self.who.clone();
        match (*peer, &self.who.token) {
            (Peer::Run { key, pid }, _) => {
                let of = auth::run::of(&app.store, &app.runtime, (key, pid)).await;
                who = of.map_err(|_| ended())?;
            }
            (_, Some(token)) => {
                let still = auth::still(&app.store, token, now).await?;
                who.principal = still.ok_or_else(ended)?;
            }
            (_, None) => {}
        }
        let said = Said::Query(Value::Null);
        Ok(Self { app: app.clone(), who, run: self.run, peer: *peer, now, said })
    }

    /// What is said, as one of these.
    pub(super) fn said<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let read = match &self.said {
            Said::Body(bytes) if bytes.is_empty() => serde_json::from_slice(b"{}"),
            Said::Body(bytes) => serde_json::from_slice(bytes),
            Said::Query(value) => T::deserialize(value),
        };
        read.map_err(|e| Fault::invalid(format!("the request cannot be read: {e}")))
    }
}

/// What tracking clients are answered.
pub(crate) fn routes(app: App) -> Router {
    // The second is where pages in a browser ask.
    let mut router = Router::new();
    for path in ["/api/2.0/mlflow/{*what}", "/ajax-api/2.0/mlflow/{*what}"] {
        router = router.route(path, any(serve));
    }
    for path in ["/api/2.0/mlflow-artifacts/artifacts", "/ajax-api/2.0/mlflow-artifacts/artifacts"]
    {
        router = router.route(path, get(list)).route(&format!("{path}/{{*place}}"), any(file));
    }
    router.route("/version", get(async || SPEAKS)).with_state(app)
}

/// A folder of artifacts.
async fn list(State(app): State<App>, request: Request) -> Response {
    let work = async |app, request| {
        let (asked, ..) = Asked::read(app, request).await?;
        artifacts::list_at(&asked).await
    };
    counted(app, request, Some(TIMEOUT), work).await
}

/// A file of artifacts, which takes as long as it takes.
async fn file(State(app): State<App>, Path(place): Path<String>, request: Request) -> Response {
    let work = async |app, request| {
        let (asked, parts, body) = Asked::read(app, request).await?;
        match parts.method {
            Method::GET => artifacts::get(&asked, &place).await,
            Method::PUT => artifacts::put(&asked, &place, (&parts.headers, body)).await,
            Method::DELETE => artifacts::delete(&asked, &place).await,
            method => Err(nowhere(&method, &place).into()),
        }
    };
    counted(app, request, None, work).await
}

async fn serve(State(app): State<App>, Path(what): Path<String>, request: Request) -> Response {
    let work = async |app, request| {
        let (mut asked, parts, body) = Asked::read(app, request).await?;
        if parts.method != Method::GET {
            asked.said = Said::Body(collect(body).await?);
        }
        dispatch(&asked, &parts.method, &what).await.map(|body| answered(StatusCode::OK, body))
    };
    counted(app, request, Some(TIMEOUT), work).await
}

/// Answers a request, if there is room, whatever becomes of the work; and counts it.
async fn counted<W>(app: App, request: Request, limit: Option<Duration>, work: W) -> Response
where
    W: AsyncFnOnce(App, Request) -> Result<Response, Refused>,
{
    let begun = Instant::now();
    let (http, method) = (app.http.clone(), request.method().clone());
    let response = match app.requests.clone().try_acquire_owned() {
        Err(_) => refused(&Fault::new(
            Code::TemporarilyUnavailable,
            "too many requests are being worked on: try again in a second",
        )),
        Ok(_room) => {
            let work = AssertUnwindSafe(work(app, request)).catch_unwind();
            let done = match limit {
                Some(limit) => tokio::time::timeout(limit, work).await,
                None => Ok(work.await),
            };
            match done {
                Ok(Ok(Ok(response))) => response,
                Ok(Ok(Err(Refused(fault)))) => refused(&fault),
                Ok(Err(_panic)) => {
                    tracing::error!("a tracking request panicked");
                    refused(&Fault::new(Code::InternalError, "the server failed"))
                }
                Err(_) => refused(&Fault::new(
                    Code::TemporarilyUnavailable,
                    "the server did not get to it in time: try again",
                )),
            }
        }
    };
    let method = match method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "POST",
    };
    http.note(method, "mlflow", response.status().as_u16(), begun.elapsed());
    response
}

fn refused(fault: &Fault) -> Response {
    let status = StatusCode::from_u16(fault.code.status());
    let body = serde_json::to_vec(fault).unwrap_or_default();
    let mut response = answered(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
    if matches!(fault.code, Code::TemporarilyUnavailable | Code::RequestLimitExceeded) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub(super) fn answered(status: StatusCode, body: Vec<u8>) -> Response {
    let json = HeaderValue::from_static("application/json");
    let nosniff = HeaderValue::from_static("nosniff");
    let store = HeaderValue::from_static("no-store");
    let headers = [
        (header::CONTENT_TYPE, json),
        (header::X_CONTENT_TYPE_OPTIONS, nosniff),
        (header::CACHE_CONTROL, store),
    ];
    (status, headers, body).into_response()
}

/// Each request by its method and its path.
async fn dispatch(asked: &Asked, method: &Method, what: &str) -> Answer {
    match (method.as_str(), what) {
        ("POST", "experiments/create") => experiments::create(asked).await,
        ("GET", "experiments/get") => experiments::get(asked).await,
        ("GET", "experiments/get-by-name") => experiments::get_by_name(asked).await,
        ("GET" | "POST", "experiments/search") => experiments::search(asked).await,
        ("POST", "experiments/update") => experiments::update(asked).await,
        ("POST", "experiments/delete") => experiments::delete(asked, true).await,
        ("POST", "experiments/restore") => experiments::delete(asked, false).await,
        ("POST", "experiments/set-experiment-tag") => experiments::set_tag(asked).await,
        ("POST", "experiments/delete-experiment-tag") => experiments::delete_tag(asked).await,
        ("POST", "runs/create") => runs::create(asked).await,
        ("GET", "runs/get") => runs::get(asked).await,
        ("POST", "runs/update") => runs::update(asked).await,
        ("POST", "runs/delete") => runs::delete(asked, true).await,
        ("POST", "runs/restore") => runs::delete(asked, false).await,
        ("POST", "runs/search") => search::runs(asked).await,
        ("POST", "runs/log-metric") => logged::metric(asked).await,
        ("POST", "runs/log-parameter") => logged::param(asked).await,
        ("POST", "runs/log-batch") => logged::batch(asked).await,
        ("POST", "runs/log-inputs") => logged::inputs(asked).await,
        ("POST", "runs/set-tag") => logged::set_tag(asked).await,
        ("POST", "runs/delete-tag") => logged::delete_tag(asked).await,
        ("GET", "metrics/get-history") => logged::history(asked).await,
        ("GET", "artifacts/list") => artifacts::list_of_run(asked).await,
        ("POST", "runs/outputs") => logged::outputs(asked).await,
        _ => match what.strip_prefix("logged-models") {
            Some(rest) => models::dispatch(asked, method, rest).await,
            None => Err(nowhere(method, what).into()),
        },
    }
}

pub(super) fn nowhere(method: &Method, what: &str) -> Fault {
    Fault::new(Code::EndpointNotFound, format!("there is no {method} {} here", quoted(what)))
}

/// Who asks. A run is known by its connection; it must say so besides, in a header that whoever is
/// only talked into fetching an address does not send.
async fn recognise(
    app: &App,
    peer: Peer,
    parts: &Parts,
    now: Timestamp,
) -> Result<Caller, Refused> {
    let caller = match peer {
        Peer::Run { key, pid } if says(parts, &key.to_string()) => {
            auth::run::of(&app.store, &app.runtime, (key, pid)).await
        }
        Peer::Run { .. } => Err(auth::not_said()),
        _ => auth::caller(&app.store, peer, &parts.headers, now).await,
    };
    let (why, token) = match caller {
        Ok(caller) => return Ok(caller),
        Err(Unknown::Store(error)) => return Err(error.into()),
        Err(Unknown::Refused { why, token }) => (why, token),
    };
    if !auth::may_fail(&app.throttle, peer) {
        let told = "too many failed authentications from this address: wait a minute";
        return Err(Fault::new(Code::RequestLimitExceeded, told).into());
    }
    let detail = serde_json::json!({
        "why": why, "token": token, "peer": format!("{peer:?}"), "by": "mlflow",
    });
    let row = NewAudit {
        at: now,
        actor: String::new(),
        verb: Verb::ExperimentList.to_string(),
        resource: quoted(parts.uri.path()),
        decision: Decision::Denied,
        policies: Vec::new(),
        detail: detail.to_string(),
    };
    app.store.write(move |w| w.append_audit(row).map(drop)).await?;
    let told = "no token, or one that is not good: make one with `weft admin token create`, and \
                set MLFLOW_TRACKING_TOKEN to it";
    Err(Fault::new(Code::Unauthenticated, told).into())
}

fn says(parts: &Parts, run: &str) -> bool {
    let said = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    said.and_then(|text| text.strip_prefix("Bearer ")) == Some(run)
}

async fn collect(body: Body) -> Result<Bytes, Fault> {
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::invalid(format!(
            "the body is larger than {BODY_MAX} bytes: send less at once"
        ))),
        Err(_) => Err(Fault::new(Code::BadRequest, "the body ended early")),
    }
}

/// A query as the body that it stands for: what comes more than once is a list.
fn query(uri: &Uri) -> Result<Value, Fault> {
    let mut all = serde_json::Map::new();
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|e| Fault::new(Code::BadRequest, format!("the query cannot be read: {e}")))?;
    for (name, value) in pairs {
        let value = Value::String(value);
        match all.get_mut(&name) {
            None => _ = all.insert(name, value),
            Some(Value::Array(list)) => list.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Ok(Value::Object(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_body() {
        let found = query(&Uri::from_static("/?run_id=a%20b&x=1&x=2&x=3")).unwrap();
        assert_eq!(found, serde_json::json!({ "run_id": "a b", "x": ["1", "2", "3"] }));
    }
}
