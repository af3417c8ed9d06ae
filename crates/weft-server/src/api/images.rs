//! Images: what is on the machine, importing one, and removing one that nothing uses.

use super::bundles::disk;
use super::call::Call;
use super::fault::{Fault, at, fault, internal, quoted};
use super::intake::Intake;
use super::reply::{Reply, json};
use axum::response::Response;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tokio::io::AsyncWriteExt;
use utoipa::IntoParams;
use weft_api::problem::{Code, Problem};
use weft_api::wire::Image;
use weft_runtime::{ImageError, Images};
use weft_store::NewEvent;

/// Largest archive: as large as an image may be unpacked, since it may hold one uncompressed.
pub(crate) const IMAGE_BYTES_MAX: u64 = weft_runtime::IMAGE_BYTES_MAX;
/// Where uploads wait for their import, in the state directory.
pub(crate) const UPLOADS: &str = "uploads";

/// Under which name.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ImportQuery {
    /// The name to import it under; absent: the names the archive has.
    reference: Option<String>,
}

/// `GET /images`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let images = call.app.images.clone();
    let list = move || -> Result<Vec<Image>, ImageError> {
        let found = images.list()?;
        Ok(found.into_iter().flat_map(|image| views(&images, image)).collect())
    };
    json(&tokio::task::spawn_blocking(list).await.map_err(internal)?.map_err(refused)?)
}

/// `POST /images`.
pub(crate) async fn import(call: Call) -> Result<Response, Fault> {
    let query: ImportQuery = call.query()?;
    let intake = Intake::of(&call, IMAGE_BYTES_MAX)?;
    let uploads = call.app.about.state_dir.join(UPLOADS);
    let upload = tempfile::NamedTempFile::new_in(&uploads).map_err(disk)?.into_temp_path();
    receive(&upload, intake).await?;
    let imported = call.app.images.import(&upload, query.reference.as_deref()).await;
    let image = imported.map_err(refused)?;
    let (images, shown) = (call.app.images.clone(), image.clone());
    let shown = tokio::task::spawn_blocking(move || views(&images, shown)).await;
    let shown = shown.map_err(internal)?.into_iter().next();
    let shown = shown.ok_or_else(|| internal("an image without a view"))?;
    call.change(move |w, doing| {
        let reference = image.references.first().unwrap_or(&image.digest).clone();
        w.append_event(NewEvent {
            at: doing.now,
            actor: doing.actor.clone(),
            kind: "image".to_owned(),
            subject: reference.clone(),
            queue: None,
            what: "imported".to_owned(),
            detail: image.digest.clone(),
        })?;
        doing.resource = Some(format!("image {}", image.digest));
        doing.detail = serde_json::json!({ "reference": reference });
        Reply::json(201, &shown)
    })
    .await
    .map(|changed| changed.response)
}

/// `DELETE /images/{digest}`.
pub(crate) async fn remove(call: Call) -> Result<Response, Fault> {
    let digest = call.param("digest").to_owned();
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let image = found(&call, &digest).await?;
    let live = call.app.store.read(crate::housekeep::live_images).await?;
    let (images, runtime) = (call.app.images.clone(), call.app.runtime.clone());
    let (here, dry) = (digest.clone(), call.dry_run);
    let removed = tokio::task::spawn_blocking(move || -> Result<_, ImageError> {
        for (workload, name) in live {
            if images.find(&name).is_ok_and(|image| image.is_some_and(|i| i.digest == here)) {
                return Ok(Some(workload.to_string()));
            }
        }
        let running = runtime.images_in_use();
        if running.contains(&here) {
            return Ok(Some("a run that is ending".to_owned()));
        }
        if !dry {
            images.remove(&here, &running)?;
        }
        Ok(None)
    });
    if let Some(by) = removed.await.map_err(internal)?.map_err(refused)? {
        let detail = format!("image {digest} is in use by {by}");
        let hint = "wait until that has ended, or end it with `weft stop`";
        return Err(Problem::new(Code::Conflict, detail).hint(hint).into());
    }
    call.change(move |w, doing| {
        w.append_event(NewEvent {
            at: doing.now,
            actor: doing.actor.clone(),
            kind: "image".to_owned(),
            subject: image.references.first().unwrap_or(&digest).clone(),
            queue: None,
            what: "removed".to_owned(),
            detail: digest.clone(),
        })?;
        doing.resource = Some(format!("image {digest}"));
        doing.detail = serde_json::json!({ "references": image.references });
        Ok(Reply::nothing())
    })
    .await
    .map(|changed| changed.response)
}

/// The image of a digest, and of nothing else a name could stand for.
async fn found(call: &Call, digest: &str) -> Result<weft_runtime::Image, Fault> {
    let unknown = || fault(Code::NotFound, format!("there is no image {}", quoted(digest)));
    if !digest.starts_with("sha256:") {
        let problem = at(Code::BadRequest, "digest", "must be a digest, `sha256:` and 64 digits");
        return Err(problem);
    }
    let (images, digest_) = (call.app.images.clone(), digest.to_owned());
    let found = tokio::task::spawn_blocking(move || images.find(&digest_)).await;
    found.map_err(internal)?.map_err(refused)?.ok_or_else(unknown)
}

async fn receive(to: &Path, mut intake: Intake) -> Result<(), Fault> {
    let mut file = tokio::fs::File::create(to).await.map_err(disk)?;
    while let Some(data) = intake.next().await? {
        file.write_all(&data).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    Ok(())
}

/// One line for each name; an image without one is shown by its digest. Blocks on the disk.
fn views(images: &Images, image: weft_runtime::Image) -> Vec<Image> {
    let names = match image.references.is_empty() {
        true => vec![image.digest.clone()],
        false => image.references,
    };
    let bytes = size(images, &image.digest);
    let digest = image.digest;
    let view = |reference| Image { reference, digest: digest.clone(), bytes };
    names.into_iter().map(view).collect()
}

/// Bytes of an image's files, counted once: an image never changes under its digest.
fn size(images: &Images, digest: &str) -> u64 {
    static KNOWN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = known().get(digest) {
        return *bytes;
    }
    let Ok(rootfs) = images.rootfs(digest) else { return 0 };
    let (mut bytes, mut folders) = (0u64, vec![rootfs]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for (meta, entry) in entries.filter_map(|entry| Some((entry.metadata().ok()?, entry))) {
            match (meta.is_dir(), meta.len()) {
                (true, _) => folders.push(entry.path()),
                (false, len) => bytes = bytes.saturating_add(len),
            }
        }
    }
    known().insert(digest.to_owned(), bytes);
    bytes
}

fn refused(error: ImageError) -> Fault {
    if error.is_full() {
        return disk(std::io::ErrorKind::StorageFull.into()).into();
    }
    let text = quoted(&error.to_string());
    match error {
        ImageError::Unknown(_) => fault(Code::NotFound, text),
        ImageError::TooMuch { .. } => fault(Code::TooLarge, text),
        ImageError::Io(error) => disk(error).into(),
        ImageError::Worker(_) => internal(error).into(),
        _ => fault(Code::BadRequest, text),
    }
}
