//! One request that was let in, as its handler sees it.

use super::fault::{Fault, at, fault, internal, quoted};
use super::route::Route;
use super::state::App;
use crate::auth::Caller;
use axum::body::Body;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri, header};
use hyper::upgrade::OnUpgrade;
use serde::de::DeserializeOwned;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use weft_api::problem::Code;
use weft_store::{DatasetRow, RequestKey, RequestRow, TokenRow, WorkloadRow};
use weft_types::Timestamp;

/// One request that was let in.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) route: Arc<Route>,
    pub(crate) who: Caller,
    pub(crate) now: Timestamp,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// Parameters of the path, decoded.
    pub(crate) params: Vec<(String, String)>,
    /// The body, for routes that take JSON.
    pub(crate) body: Bytes,
    /// What can be taken once.
    pub(crate) connection: Mutex<Connection>,
    /// What the guard found.
    pub(crate) subject: Subject,
    /// Whether that is a sample in the place of a version of the dataset.
    pub(crate) samples: bool,
    /// The decision to let it in, for the audit log.
    pub(crate) grant: Grant,
    /// Its `Idempotency-Key`, with what it is good for.
    pub(crate) key: Option<RequestKey>,
    /// Whether the effect is to be taken back again.
    pub(crate) dry_run: bool,
}

/// What of a request can be taken once.
#[derive(Default)]
pub(crate) struct Connection {
    /// The body, for routes that stream it.
    pub(crate) stream: Option<Body>,
    /// For routes that change the protocol.
    pub(crate) upgrade: Option<OnUpgrade>,
}

/// What the guard found.
pub(crate) enum Subject {
    /// Nothing was looked up.
    None,
    /// The workload of the path.
    Workload(Box<WorkloadRow>),
    /// The token of the path.
    Token(Box<TokenRow>),
    /// The dataset of the path.
    Dataset(Box<DatasetRow>),
    /// The request of the path.
    Request(Box<RequestRow>),
}

/// What was allowed: becomes an audit row with the effect.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) verb: &'static str,
    pub(crate) resource: String,
    pub(crate) policies: Vec<String>,
}

impl Call {
    /// The body as a stream; once.
    pub(crate) fn stream(&self) -> Result<Body, Fault> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.stream.take().ok_or_else(|| internal("a route without its stream").into())
    }

    /// The connection to be upgraded, where the client offers it; once.
    pub(crate) fn upgrade(&self) -> Option<OnUpgrade> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).upgrade.take()
    }

    /// A parameter of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A parameter of the path, read as what it must be.
    pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<T, Fault> {
        let read = |e: T::Err| at(Code::BadRequest, name, quoted(&e.to_string()));
        self.param(name).parse().map_err(read)
    }

    /// The query. Unknown parameters are refused: a misspelt filter would show too much.
    pub(crate) fn query<Q: DeserializeOwned>(&self) -> Result<Q, Fault> {
        let query = axum::extract::Query::<Q>::try_from_uri(&self.uri);
        let refused = |e: axum::extract::rejection::QueryRejection| {
            fault(Code::BadRequest, format!("the query: {}", quoted(&e.body_text())))
        };
        query.map(|axum::extract::Query(query)| query).map_err(refused)
    }

    /// The JSON body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        // A list would be read as an object's fields in their order.
        if self.body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(fault(Code::BadRequest, "the body must be a JSON object"));
        }
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let detail = format!("the body: {}", quoted(&error.inner().to_string()));
            match path.as_str() {
                "." | "?" => fault(Code::BadRequest, detail),
                path => at(Code::BadRequest, &quoted(path), detail),
            }
        })?;
        let trailing = |_| fault(Code::BadRequest, "the body goes on after its JSON value");
        reader.end().map_err(trailing)?;
        Ok(value)
    }

    /// The version that `If-Match` names; none where it is absent or `*`.
    pub(crate) fn if_match(&self) -> Result<Option<u64>, Fault> {
        let Some(value) = self.headers.get(header::IF_MATCH) else { return Ok(None) };
        let text = value.to_str().unwrap_or("").trim();
        let quoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        match (text, quoted.and_then(|t| t.parse().ok())) {
            ("*", _) => Ok(None),
            (_, Some(version)) => Ok(Some(version)),
            _ => Err(at(Code::BadRequest, "If-Match", "must be one ETag as it was given, or `*`")),
        }
    }

    /// The workload of the path.
    pub(crate) fn workload(&self) -> Result<&WorkloadRow, Fault> {
        match &self.subject {
            Subject::Workload(row) => Ok(row),
            _ => Err(internal("a handler without its workload").into()),
        }
    }

    /// The token of the path.
    pub(crate) fn token(&self) -> Result<&TokenRow, Fault> {
        match &self.subject {
            Subject::Token(row) => Ok(row),
            _ => Err(internal("a handler without its token").into()),
        }
    }

    /// The dataset of the path.
    pub(crate) fn dataset(&self) -> Result<&DatasetRow, Fault> {
        match &self.subject {
            Subject::Dataset(row) => Ok(row),
            _ => Err(internal("a handler without its dataset").into()),
        }
    }

    /// Who asks, by name.
    pub(crate) fn user(&self) -> &str {
        self.who.principal.user.as_str()
    }
}
