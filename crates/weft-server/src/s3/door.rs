//! The way of a signed request: is it for us, is there room, who refused it.

use super::enter::{Enter, Trail};
use super::keys::Keys;
use super::service::Service;
use crate::api::App;
use crate::auth::{self, Peer};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use s3s::S3ErrorCode;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::time::Instant;

/// Longest life of a presigned address: what it opens is open to whoever sees it, and it lies in
/// logs and histories. S3 itself allows a week.
const PRESIGNED_SECONDS_MAX: u64 = 3_600;

/// Most of an error's body that is read to learn its code: they are a few hundred bytes.
const ERROR_BYTES_MAX: usize = 16 << 10;

/// The S3 front of a server.
#[derive(Clone)]
pub(crate) struct Front {
    app: App,
    service: S3Service,
}

impl Front {
    /// The front of this server.
    pub(crate) fn new(app: App) -> Self {
        let mut builder = S3ServiceBuilder::new(Service::new(app.clone()));
        builder.set_auth(Keys::new(app.clone()));
        builder.set_access(Enter::new(app.clone()));
        Self { app, service: builder.build() }
    }
}

/// Hands a request that is signed in AWS's way to the front, any other one on.
pub(crate) async fn divert(State(front): State<Front>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let path = request.uri().path().to_owned();
    match signed(request.headers(), request.uri().query().unwrap_or("")) {
        None => next.run(request).await,
        Some(Signed::Old) => {
            let text = "signatures of version 2 are not accepted: configure the client to use s3v4";
            kept_out(&front, (peer, &path), refused(S3ErrorCode::InvalidRequest, text)).await
        }
        Some(Signed::New { expires }) if expires.is_some_and(|s| s > PRESIGNED_SECONDS_MAX) => {
            let text = format!("a presigned address lives {PRESIGNED_SECONDS_MAX} seconds at most");
            let code = S3ErrorCode::AuthorizationQueryParametersError;
            kept_out(&front, (peer, &path), refused(code, &text)).await
        }
        Some(Signed::New { .. }) => counted(front, request).await,
    }
}

/// How a request is signed.
#[derive(Debug, PartialEq, Eq)]
enum Signed {
    /// In the way of version 2.
    Old,
    /// In the way of version 4; presigned, it expires after so many seconds.
    New { expires: Option<u64> },
}

fn signed(headers: &header::HeaderMap, query: &str) -> Option<Signed> {
    let scheme = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match scheme.and_then(|text| text.split(' ').next()) {
        Some("AWS") => return Some(Signed::Old),
        Some(scheme) if scheme.starts_with("AWS4-") => return Some(Signed::New { expires: None }),
        _ => {}
    }
    let pairs = || query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let has = |name: &str| pairs().any(|(key, _)| key == name);
    if has("X-Amz-Signature") || has("X-Amz-Algorithm") {
        let expires = pairs().find(|(key, _)| *key == "X-Amz-Expires");
        let expires = expires.map(|(_, value)| value.parse().unwrap_or(u64::MAX));
        return Some(Signed::New { expires });
    }
    (has("AWSAccessKeyId") && has("Signature")).then_some(Signed::Old)
}

/// What is refused before its signature is looked at is noted as any other refusal.
async fn kept_out(
    front: &Front,
    (peer, path): (Option<Peer>, &str),
    response: Response,
) -> Response {
    match peer {
        Some(peer) => unknown(front, peer, path, response).await,
        None => response,
    }
}

async fn counted(front: Front, request: Request) -> Response {
    let begun = Instant::now();
    let method = match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        _ => "DELETE",
    };
    let http = front.app.http.clone();
    let response = match front.app.requests.clone().try_acquire_owned() {
        Ok(_room) => serve(&front, request).await,
        Err(_) => refused(S3ErrorCode::SlowDown, "too many requests are being worked on"),
    };
    http.note(method, "s3", response.status().as_u16(), begun.elapsed());
    response
}

async fn serve(front: &Front, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let peer = match peer(&front.app, &parts) {
        Ok(peer) => peer,
        Err(response) => return *response,
    };
    let (trail, path) = (Trail::default(), parts.uri.path().to_owned());
    parts.extensions.insert(trail.clone());
    let body = s3s::Body::http_body_unsync(body);
    let answered = front.service.call(axum::http::Request::from_parts(parts, body)).await;
    let Ok(response) = answered else {
        tracing::error!(path, "the S3 front could not answer");
        return refused(S3ErrorCode::InternalError, "the server failed");
    };
    let (parts, body) = response.into_parts();
    let body = Body::new(body.map_err(axum::Error::new));
    let response = Response::from_parts(parts, body);
    let kept_out = matches!(response.status(), StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
    match kept_out && !trail.is_told() {
        true => unknown(front, peer, &path, response).await,
        false => response,
    }
}

/// Who is at the other end, if the request names this server.
fn peer(app: &App, parts: &Parts) -> Result<Peer, Box<Response>> {
    let none = || Box::new(refused(S3ErrorCode::InternalError, "a connection without a peer"));
    let peer = parts.extensions.get::<Peer>().copied().ok_or_else(none)?;
    if let Peer::Tcp(_) = peer {
        let foreign = |problem: weft_api::problem::Problem| {
            Box::new(refused(S3ErrorCode::AccessDenied, &problem.detail))
        };
        auth::origin::check(&parts.headers, &parts.uri, &app.about.hosts).map_err(foreign)?;
    }
    Ok(peer)
}

/// A signature that is not good: told as it is, noted, and slowed down where it comes too often.
async fn unknown(front: &Front, peer: Peer, path: &str, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let bytes = http_body_util::Limited::new(body, ERROR_BYTES_MAX).collect().await;
    let bytes = bytes.map(|all| all.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let why = code.map_or("unknown", |(code, _)| code).to_owned();
    if !auth::may_fail(&front.app.throttle, peer) {
        return refused(S3ErrorCode::SlowDown, "too many failed signatures from this address");
    }
    match super::enter::note_unknown(&front.app, peer, path, &why).await {
        Ok(()) => Response::from_parts(parts, Body::from(bytes)),
        Err(_) => refused(S3ErrorCode::InternalError, "the audit log cannot be written"),
    }
}

/// An error before the protocol's library has seen the request.
fn refused(code: S3ErrorCode, message: &str) -> Response {
    let status = code.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{message}\
         </Message></Error>",
        code.as_str()
    );
    let xml = HeaderValue::from_static("application/xml");
    (status, [(header::CONTENT_TYPE, xml)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(authorization: &str, query: &str) -> Option<Signed> {
        let mut headers = header::HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        signed(&headers, query)
    }

    #[test]
    fn a_request_is_told_by_its_signature() {
        assert_eq!(of("", ""), None);
        assert_eq!(of("Bearer weft_pat_x", "limit=3"), None);
        assert_eq!(of("AWS4-HMAC-SHA256 Credential=x", ""), Some(Signed::New { expires: None }));
        assert_eq!(of("AWS AKIA:sig", ""), Some(Signed::Old));
        assert_eq!(of("", "AWSAccessKeyId=a&Signature=b&Expires=3"), Some(Signed::Old));
        let presigned = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=60&X-Amz-Signature=0";
        assert_eq!(of("", presigned), Some(Signed::New { expires: Some(60) }));
        let odd = "X-Amz-Signature=0&X-Amz-Expires=1e9";
        assert_eq!(of("", odd), Some(Signed::New { expires: Some(u64::MAX) }));
    }
}
