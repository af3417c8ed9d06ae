//! The way of a signed request: is it for us, is there room, who refused it.

use super::body::incoming;
use super::enter::{Enter, Trail};
use super::keys::Keys;
use super::length::HELD_AT_ONCE;
use super::service::Service;
use super::sts::{self, Sts};
use crate::api::App;
use crate::auth::{self, Peer};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use s3s::S3ErrorCode;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Most of an error's body that is read to learn its code: they are a few hundred bytes.
const ERROR_BYTES_MAX: usize = 16 << 10;

/// Most bytes of an operation's XML: ten thousand parts of an upload, or a thousand keys of a
/// kilobyte, are two megabytes.
const XML_BYTES_MAX: usize = 4 << 20;

/// The S3 front of a server.
#[derive(Clone)]
pub(crate) struct Front {
    pub(super) app: App,
    service: S3Service,
    /// Places for bodies that are held (`length.rs`).
    held: Arc<Semaphore>,
}

impl Front {
    /// The front of this server.
    pub(crate) fn new(app: App) -> Self {
        let mut builder = S3ServiceBuilder::new(Service::new(app.clone()));
        builder.set_auth(Keys::new(app.clone()));
        builder.set_access(Enter::new(app.clone()));
        builder.set_route(Sts::new(app.clone()));
        // Forms are refused at the door; should one get past it, there is no room for it.
        let mut config = S3Config::default();
        config.xml_max_body_size = XML_BYTES_MAX;
        config.post_object_max_file_size = 0;
        config.form_max_field_size = 0;
        config.form_max_fields_size = 0;
        config.form_max_parts = 0;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self { app, service: builder.build(), held: Arc::new(Semaphore::new(HELD_AT_ONCE)) }
    }
}

/// Hands a request that is signed in AWS's way to the front, any other one on.
pub(crate) async fn divert(State(front): State<Front>, request: Request, next: Next) -> Response {
    match front.answer(request).await {
        Ok(response) => response,
        Err(unsigned) => next.run(*unsigned).await,
    }
}

impl Front {
    /// Answers a request that is signed in AWS's way; gives any other one back.
    pub(super) async fn answer(self, request: Request) -> Result<Response, Box<Request>> {
        let peer = request.extensions().get::<Peer>().copied();
        let path = request.uri().path().to_owned();
        let is_sts = sts::is_for(request.method(), request.uri(), request.headers());
        // Who has no key yet asks for one without a signature.
        if is_sts && !request.headers().contains_key(header::AUTHORIZATION) {
            return Ok(counted(self, request).await);
        }
        let service = if is_sts { "sts" } else { "s3" };
        let query = request.uri().query().unwrap_or("");
        match super::signed::signed(request.headers(), query, service) {
            None => Err(Box::new(request)),
            Some(Err(refusal)) => {
                let response = refused(refusal.code, &refusal.text);
                Ok(kept_out(&self, (peer, &path), response).await)
            }
            Some(Ok(())) if is_form(&request) => {
                let text = "forms of browsers are not taken: use PUT";
                Ok(refused(S3ErrorCode::NotImplemented, text))
            }
            Some(Ok(())) => Ok(counted(self, request).await),
        }
    }
}

/// A form would be taken in before anybody is asked whether its sender may.
fn is_form(request: &Request) -> bool {
    let media = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_multipart =
        media.is_some_and(|media| media.to_ascii_lowercase().starts_with(b"multipart/"));
    request.method() == axum::http::Method::POST && is_multipart
}

/// What is refused before its signature is looked at is noted as any other refusal.
pub(super) async fn kept_out(
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
    let is_sts = sts::is_for(request.method(), request.uri(), request.headers());
    let method = match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        _ => "DELETE",
    };
    let http = front.app.http.clone();
    let is_attributes = request.uri().query().is_some_and(|query| query.contains("attributes"));
    let response = match front.app.requests.clone().try_acquire_owned() {
        Ok(_room) => serve(&front, request).await,
        Err(_) => refused(S3ErrorCode::SlowDown, "too many requests are being worked on"),
    };
    let response = numbered(response, is_attributes).await;
    let response = if is_sts { sts::in_its_words(response).await } else { response };
    http.note(method, "s3", response.status().as_u16(), begun.elapsed());
    response
}

/// Gives an answer a number, in its head, and in the text of an error. Where S3 shows an ETag
/// without quotes, among the attributes of an object, they are taken off.
async fn numbered(response: Response, is_attributes: bool) -> Response {
    let mut random = [0; 8];
    let Ok(()) = getrandom::fill(&mut random) else { return response };
    let id = hex::encode_upper(random);
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let (mut parts, mut body) = response.into_parts();
    if (is_error || is_attributes) && body.size_hint().upper().is_some_and(|most| most > 0) {
        let limited = http_body_util::Limited::new(body, XML_BYTES_MAX).collect().await;
        let bytes = limited.map(|all| all.to_bytes()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let text = match is_error {
            true => text.replacen("</Error>", &format!("<RequestId>{id}</RequestId></Error>"), 1),
            false => text.replace("<ETag>\"", "<ETag>").replace("\"</ETag>", "</ETag>"),
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        body = Body::from(text);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        parts.headers.insert("x-amz-request-id", value);
    }
    Response::from_parts(parts, body)
}

async fn serve(front: &Front, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let peer = match peer(&front.app, &parts) {
        Ok(peer) => peer,
        Err(response) => return *response,
    };
    let (trail, path) = (Trail::from(peer), parts.uri.path().to_owned());
    let is_sts = sts::is_for(&parts.method, &parts.uri, &parts.headers);
    parts.extensions.insert(trail.clone());
    super::signed::date(&mut parts.headers);
    let body = match incoming(&front.app, &front.held, &parts, body).await {
        Ok(body) => body,
        Err(error) => return refused(error.code().clone(), error.message().unwrap_or_default()),
    };
    let answered = front.service.call(axum::http::Request::from_parts(parts, body)).await;
    let Ok(response) = answered else {
        tracing::error!(path, "the S3 front could not answer");
        return refused(S3ErrorCode::InternalError, "the server failed");
    };
    let (parts, body) = response.into_parts();
    let body = Body::new(body.map_err(axum::Error::new));
    let response = Response::from_parts(parts, body);
    let status = response.status();
    let kept_out = matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
    // An identity that is not good is answered with this, as AWS does.
    let kept_out = kept_out || is_sts && status == StatusCode::BAD_REQUEST;
    let mut response = match (kept_out && !trail.is_told(), trail.entered()) {
        (true, None) => unknown(front, peer, &path, response).await,
        (true, Some(entered)) => match entered.refused(&front.app, &path).await {
            Ok(()) => response,
            Err(_) => refused(S3ErrorCode::InternalError, "the audit log cannot be written"),
        },
        (false, _) => response,
    };
    // What people put is never something that a browser renders under this server's name.
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Who is at the other end, if the request names this server.
pub(super) fn peer(app: &App, parts: &Parts) -> Result<Peer, Box<Response>> {
    let none = || Box::new(refused(S3ErrorCode::InternalError, "a connection without a peer"));
    let peer = parts.extensions.get::<Peer>().copied().ok_or_else(none)?;
    if let Peer::Tcp(_) | Peer::Run { .. } = peer {
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

/// An error before the protocol's library has seen the request. What it says of the request is text
/// in the answer, whatever was sent.
pub(super) fn refused(code: S3ErrorCode, message: &str) -> Response {
    let status = code.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{message}\
         </Message></Error>",
        code.as_str()
    );
    let xml = HeaderValue::from_static("application/xml");
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = [(header::CONTENT_TYPE, xml), (header::X_CONTENT_TYPE_OPTIONS, nosniff)];
    (status, headers, body).into_response()
}
