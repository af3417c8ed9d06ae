//! Bundles: the files of a workload to be, one tar archive each, named by its SHA-256.
//!
//! A name is no proof of having the files: whether a bundle is here, and the use of one, is for
//! those alone who have sent its bytes. Others send them, and then they are theirs too.

use super::call::Call;
use super::fault::{Fault, fault, internal, quoted};
use super::intake::{Intake, announced};
use super::reply::Reply;
use super::spec::is_sha256;
use super::state::App;
use axum::response::{IntoResponse, Response};
use weft_api::problem::{Code, Problem};
use weft_runtime::{BUNDLE_BYTES_MAX, BundleError, CheckedBundle, Upload};
use weft_store::{Holding, Read};
use weft_types::{Bytes, UserName};

/// Digits of a bundle's name in the audit log: enough to tell one from another.
const AUDITED: usize = 16;

/// `HEAD /bundles/{sha256}`.
pub(crate) async fn has(call: Call) -> Result<Response, Fault> {
    let name = name(&call)?;
    match held(&call.app, &call.who.principal.user, &name).await? {
        true => Ok(axum::http::StatusCode::OK.into_response()),
        false => Err(fault(Code::NotFound, "there is no such bundle of yours")),
    }
}

/// Whether the user has sent this bundle, and it is here.
pub(super) async fn held(app: &App, user: &UserName, name: &str) -> Result<bool, Fault> {
    let (asked, user) = (name.to_owned(), user.clone());
    let sent = app.store.read(move |r| r.holds(&user, &asked)).await?;
    Ok(sent && app.bundles.has(name))
}

/// `PUT /bundles/{sha256}`: 201, or 200 where the caller had sent it before.
pub(crate) async fn put(call: Call) -> Result<Response, Fault> {
    let name = name(&call)?;
    let (user, limit) =
        (call.who.principal.user.clone(), call.app.about.limits.bundle_bytes_per_user);
    if held(&call.app, &user, &name).await? {
        return Ok(Reply { status: 200, body: Vec::new() }.into_response());
    }
    let (his, more) = (user.clone(), announced(&call.headers).unwrap_or(0));
    call.app.store.read(move |r| check_quota(r, &his, more, limit)).await?;
    let intake = Intake::of(&call, BUNDLE_BYTES_MAX)?;
    let bundle = receive(call.app.bundles.begin(&name).map_err(refused)?, intake).await?;
    let bytes = bundle.bytes();
    let changed = call.change(move |w, doing| {
        check_quota(w, &user, bytes, limit)?;
        // Shortened: it is nobody else's business which one it is.
        doing.resource = Some(format!("bundle {}", &name[..AUDITED]));
        doing.detail = serde_json::json!({ "bytes": bytes });
        w.hold_bundle(&Holding { user, sha256: name, bytes: Bytes(bytes), since: doing.now })?;
        Ok(Reply { status: 201, body: Vec::new() })
    });
    let response = changed.await?.response;
    // After the row: a bundle that has its name is somebody's.
    let stored = tokio::task::spawn_blocking(|| bundle.store());
    stored.await.map_err(internal)?.map_err(refused)?;
    Ok(response)
}

/// Refuses what would make one user's bundles more than the limit.
fn check_quota(r: &Read<'_>, user: &UserName, more: u64, limit: Bytes) -> Result<(), Fault> {
    let held = r.held_bytes(user)?.0;
    if held.saturating_add(more) <= limit.0 {
        return Ok(());
    }
    let detail = format!(
        "{user} keeps {held} bytes of files here, and {more} more would be over the {} that one \
         user may keep",
        limit.0
    );
    let hint = "files go a week after they were last used; leave large data out of the folder \
                that is sent along, or ask the operator for a higher --limit";
    Err(Problem::new(Code::LimitReached, detail).hint(hint).into())
}

/// Takes the archive in and checks it.
async fn receive(mut upload: Upload, mut intake: Intake) -> Result<CheckedBundle, Fault> {
    while let Some(data) = intake.next().await? {
        let write = move || upload.write(&data).map(|()| upload);
        upload = tokio::task::spawn_blocking(write).await.map_err(internal)?.map_err(refused)?;
    }
    tokio::task::spawn_blocking(|| upload.check()).await.map_err(internal)?.map_err(refused)
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
