//! What a handler answers: a status, a body and the few headers we use.

use super::fault::{Fault, internal};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use weft_store::StoredResponse;

/// Bodies larger than this are not looked through for a version: they are pages, which have none.
const VERSIONED_MAX: usize = weft_store::SPEC_MAX + 16 * 1024;

/// An answer whose bytes are known: it can be stored and given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// JSON with this status.
    pub(crate) fn json<T: Serialize>(status: u16, body: &T) -> Result<Self, Fault> {
        let body = serde_json::to_vec(body).map_err(internal)?;
        Ok(Self { status, body })
    }

    /// Done, and nothing to say.
    pub(crate) const fn nothing() -> Self {
        Self { status: 204, body: Vec::new() }
    }

    pub(crate) fn stored(&self) -> StoredResponse {
        StoredResponse { status: self.status, body: self.body.clone() }
    }
}

impl From<StoredResponse> for Reply {
    fn from(stored: StoredResponse) -> Self {
        Self { status: stored.status, body: stored.body }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        if self.body.is_empty() {
            return status.into_response();
        }
        // Versions stand in bodies, so that a stored answer needs no headers of its own.
        let etag = version_of(&self.body);
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (status, json, self.body).into_response();
        if let Some(etag) = etag {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

/// A success with JSON.
pub(crate) fn json<T: Serialize>(body: &T) -> Result<Response, Fault> {
    Ok(Reply::json(200, body)?.into_response())
}

/// The ETag of a body that has a version.
fn version_of(body: &[u8]) -> Option<HeaderValue> {
    if body.len() > VERSIONED_MAX {
        return None;
    }
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u64,
    }
    let versioned: Versioned = serde_json::from_slice(body).ok()?;
    HeaderValue::from_str(&etag(versioned.version)).ok()
}

/// A version as an ETag.
pub(crate) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_becomes_an_etag() {
        let reply = Reply::json(201, &serde_json::json!({"name": "lab", "version": 7})).unwrap();
        let response = reply.into_response();
        assert_eq!(response.headers()[header::ETAG], "\"7\"");
        assert_eq!(Reply::nothing().into_response().status(), StatusCode::NO_CONTENT);
        // A server's version is text, and no ETag.
        let info = Reply::json(200, &serde_json::json!({"version": "0.1.0"})).unwrap();
        assert!(!info.into_response().headers().contains_key(header::ETAG));
    }
}
