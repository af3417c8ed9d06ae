//! Bundles: the files of a workload to be, one tar archive each, named by its SHA-256.

use super::call::Call;
use super::fault::{Fault, fault, internal, quoted};
use super::reply::Reply;
use super::spec::is_sha256;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use std::time::Duration;
use weft_api::problem::{Code, Problem};
use weft_runtime::{BundleError, Upload};

/// A sender that is silent for so long has gone: its half of a bundle is dropped.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Digits of a bundle's name in the audit log: enough to tell one from another.
const AUDITED: usize = 16;

/// `HEAD /bundles/{sha256}`.
pub(crate) async fn has(call: Call) -> Result<Response, Fault> {
    let name = name(&call)?;
    match call.app.bundles.has(&name) {
        true => Ok(axum::http::StatusCode::OK.into_response()),
        false => Err(fault(Code::NotFound, "there is no such bundle")),
    }
}

/// `PUT /bundles/{sha256}`: 201, or 200 where it was here.
pub(crate) async fn put(call: Call) -> Result<Response, Fault> {
    let name = name(&call)?;
    let stream = call.stream()?;
    if call.app.bundles.has(&name) {
        return Ok(Reply { status: 200, body: Vec::new() }.into_response());
    }
    let bytes = receive(call.app.bundles.begin(&name).map_err(refused)?, stream).await?;
    call.change(move |_, doing| {
        // Shortened: who knows the whole name can run something that reads the bundle.
        doing.resource = Some(format!("bundle {}", &name[..AUDITED]));
        doing.detail = serde_json::json!({ "bytes": bytes });
        Ok(Reply { status: 201, body: Vec::new() })
    })
    .await
    .map(|changed| changed.response)
}

/// Takes the archive in; gives its size.
async fn receive(mut upload: Upload, mut stream: axum::body::Body) -> Result<u64, Fault> {
    let mut bytes = 0;
    loop {
        let frame = tokio::time::timeout(SILENCE_MAX, stream.frame()).await;
        let frame = frame.map_err(|_| fault(Code::BadRequest, "the body stopped coming"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| fault(Code::BadRequest, "the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len() as u64;
        let write = move || upload.write(&data).map(|()| upload);
        upload = tokio::task::spawn_blocking(write).await.map_err(internal)?.map_err(refused)?;
    }
    tokio::task::spawn_blocking(|| upload.finish()).await.map_err(internal)?.map_err(refused)?;
    Ok(bytes)
}

fn name(call: &Call) -> Result<String, Fault> {
    let name = call.param("sha256");
    match is_sha256(name) {
        true => Ok(name.to_owned()),
        false => {
            let rule = "a bundle is named by its SHA-256 in 64 lower-case hex digits";
            Err(super::fault::at(Code::BadRequest, "sha256", rule))
        }
    }
}

fn refused(error: BundleError) -> Fault {
    let text = quoted(&error.to_string());
    match error {
        BundleError::Name(_) | BundleError::Digest { .. } | BundleError::Archive(_) => {
            fault(Code::BadRequest, text)
        }
        BundleError::TooLarge => fault(Code::TooLarge, text),
        BundleError::Unknown(_) => fault(Code::NotFound, text),
        BundleError::Io(error) => disk(error).into(),
    }
}

/// A failed file operation: a full disk is told as one.
pub(crate) fn disk(error: std::io::Error) -> Problem {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Problem::new(Code::DiskFull, "the server's disk is full; nothing was kept")
                .hint("free some space on the server's machine and send it again")
        }
        _ => internal(error),
    }
}
