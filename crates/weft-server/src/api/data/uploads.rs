//! Files that are put in parts: what arrived stays, and an interrupted one goes on behind it.
//!
//! The parts are an upload's, as those of S3 clients are: durable when they are answered, counted
//! in the quota, given up with age. Its sender alone finds it: what somebody sends is no answer to
//! what others ask, and S3 clients do not see it. What comes of it is what was sent: each part's
//! SHA-256 is the server's own, and finishing names them all.

use super::super::call::Call;
use super::super::fault::{Fault, at, fault, internal};
use super::super::guard::{again, unseen};
use super::super::reply::{Reply, json};
use super::body::Incoming;
use super::content::Content;
use super::objects::{OBJECT_BYTES_MAX, legal};
use super::profile::{is_parquet, note_of_parquet};
use super::refused;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use weft_api::problem::{Code, Problem};
use weft_api::wire::{
    BeginUpload, DataUpload, FinishUpload, MODIFIED, ObjectPut, PROFILE, SHA256, SHA256_PARTS,
    UploadedPart, part_bytes,
};
use weft_gateway::{Finish, KeptPart, Notes, PARTS_MAX, Put, SENDER, Upload};
use weft_policy::Verb;
use weft_store::{DatasetRow, Expected, UploadId};
use weft_types::Bytes;

/// Uploads to one path that are looked at: somebody's own is among the first, or begins anew.
const LOOKED_AT: u32 = 1_000;

/// `POST /datasets/{dataset}/uploads`: the sender's own of this file, or a new one.
pub(crate) async fn begin(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let sent: BeginUpload = call.json()?;
    let row = call.dataset()?.clone();
    legal(&sent.path)?;
    let notes = described(&call, &sent)?;
    let part_bytes = part_bytes(sent.bytes);
    let own = own_to(&call, &row, &sent.path).await?;
    let (same, others): (Vec<_>, Vec<_>) = own.into_iter().partition(|known| known.notes == notes);
    let changed = !others.is_empty();
    if let Some(known) = same.first() {
        let parts = call.app.data.parts(&row, known.id, 0, PARTS_MAX).await.map_err(refused)?;
        let parts = parts.iter().map(|part| shown(part, Bytes(0))).collect();
        return json(&DataUpload { id: known.id.0, part_bytes, parts, changed: false });
    }
    let begun = |id| DataUpload { id, part_bytes, parts: Vec::new(), changed };
    if call.dry_run {
        return Ok(call.would(Reply::json(200, &begun(0))?));
    }
    for old in others {
        let also = call.audited(|_: &UploadId| serde_json::json!({ "what": "upload given up" }));
        let gone = call.app.data.give_up_upload(&row, old.id, also, call.now);
        gone.await.map_err(refused)?;
    }
    let told = serde_json::json!({ "what": "upload begun", "path": sent.path });
    let also = call.audited(|_: &UploadId| told);
    let id = call.app.data.begin_upload(&row, &sent.path, notes, also, call.now);
    json(&begun(id.await.map_err(refused)?.0))
}

/// What is said of an upload: by it somebody's own of the same file is known again.
fn described(call: &Call, sent: &BeginUpload) -> Result<Notes, Fault> {
    if sent.bytes > OBJECT_BYTES_MAX {
        let rule = format!("is {}, and an object has {OBJECT_BYTES_MAX} at most", sent.bytes);
        return Err(at(Code::TooLarge, "bytes", rule));
    }
    let modified = sent.modified_ns.parse::<i128>();
    let rule = "must be nanoseconds since 1970";
    let modified = modified.map_err(|_| at(Code::BadRequest, "modified_ns", rule))?;
    Ok(Notes::from([
        (MODIFIED.to_owned(), modified.to_string()),
        (SENDER.to_owned(), format!("{} {}", sent.bytes, call.user())),
    ]))
}

/// The caller's own uploads to a path.
async fn own_to(call: &Call, row: &DatasetRow, path: &str) -> Result<Vec<Upload>, Fault> {
    let found = call.app.data.uploads(row, path, ("", UploadId(0)), LOOKED_AT).await;
    let mut found = found.map_err(refused)?;
    found.retain(|upload| upload.path == path && bytes_of(upload, call).is_some());
    Ok(found)
}

/// The bytes of the file, where the upload is the caller's own.
fn bytes_of(upload: &Upload, call: &Call) -> Option<u64> {
    let (bytes, sender) = upload.notes.get(SENDER)?.split_once(' ')?;
    (sender == call.user()).then(|| bytes.parse().ok())?
}

/// The caller's own upload that the path names; another's is told in the words of none.
async fn own(call: &Call, row: &DatasetRow) -> Result<(Upload, u64), Fault> {
    let id = call.param("upload").parse().map_err(|_| gone())?;
    let found = call.app.data.upload(row, UploadId(id)).await.map_err(refused)?;
    let found = found.ok_or_else(gone)?;
    let bytes = bytes_of(&found, call).ok_or_else(gone)?;
    Ok((found, bytes))
}

fn gone() -> Fault {
    let detail = "there is no such upload of yours: it was finished, given up, or is too old";
    let hint = "put the file again: what is there is not sent twice";
    Problem::new(Code::NotFound, detail).field("upload").hint(hint).into()
}

/// `PUT /datasets/{dataset}/uploads/{upload}/parts/{number}`: 201 once it is on the disk.
pub(crate) async fn part(call: Call) -> Result<Response, Fault> {
    let row = call.dataset()?.clone();
    let (upload, bytes) = own(&call, &row).await?;
    let number = number(&call, bytes)?;
    // What its columns are is told by the first part; of Parquet by all of them.
    let told = number == 1 && !is_parquet(&upload.path);
    let head = if told { upload.path.as_str() } else { "" };
    let (incoming, body) = Incoming::of(&call, part_bytes(bytes), head)?;
    let staged = call.app.data.stage(&row, body).await;
    let staged = staged.map_err(|error| incoming.fault().unwrap_or_else(|| refused(error)))?;
    let content: Content = incoming.content();
    let notes = content.notes(&call.app.data, &staged, row.is.tier).await.map_err(internal)?;
    // The body took its time: what let it begin may have ended.
    let call = again(call).await?;
    if call.dataset()?.id != row.id {
        return Err(unseen(&call, Verb::DataWrite));
    }
    let new = staged.new_bytes();
    // The upload as a whole is on the audit log, when it is begun and when it is finished.
    let also = Box::new(|_: &mut weft_store::Write<'_>, _: &KeptPart| Ok(()));
    let kept = call.app.data.keep_part(&row, upload.id, number, staged, notes, also, call.now);
    let kept = kept.await.map_err(refused)?;
    Ok(Reply::json(201, &shown(&kept, new))?.into_response())
}

/// Which part it is, of a file of so many bytes.
fn number(call: &Call, bytes: u64) -> Result<u32, Fault> {
    let all = bytes.div_ceil(part_bytes(bytes));
    let number: u32 = call.parsed("number")?;
    match (1..=all).contains(&u64::from(number)) {
        true => Ok(number),
        false => {
            let rule = format!("is {number}: a file of {bytes} bytes has the parts 1 to {all}");
            Err(at(Code::BadRequest, "number", rule))
        }
    }
}

fn shown(part: &KeptPart, new: Bytes) -> UploadedPart {
    let sha256 = part.notes.get(SHA256).cloned().unwrap_or_default();
    UploadedPart { number: part.number, bytes: part.bytes.0, new_bytes: new.0, sha256 }
}

/// `POST /datasets/{dataset}/uploads/{upload}/finish`: makes the parts an object; no byte is moved.
pub(crate) async fn finish(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let sent: FinishUpload = call.json()?;
    let row = call.dataset()?.clone();
    let (upload, bytes) = own(&call, &row).await?;
    let parts = call.app.data.parts(&row, upload.id, 0, PARTS_MAX).await.map_err(refused)?;
    let mut notes = whole(&parts, bytes, &sent.sha256_parts)?;
    let (path, to) = (upload.path.clone(), upload.path.clone());
    let count = parts.len();
    let reply = move |put: &Put| {
        let tag = format!("{}-{count}", hex::encode(&put.tag));
        Reply::json(201, &ObjectPut { path, bytes: put.bytes.0, new_bytes: put.new.0, tag })
    };
    if call.dry_run {
        let would = ObjectPut { path: to, bytes, new_bytes: 0, tag: String::new() };
        return Ok(call.would(Reply::json(201, &would)?));
    }
    let told =
        move |put: &Put| serde_json::json!({ "what": "put", "path": to, "bytes": put.bytes });
    let also = call.beside(told, reply.clone());
    let parts: Vec<_> = parts.into_iter().map(|part| (part.number, part.tag)).collect();
    if is_parquet(&upload.path) {
        let arrived = call.app.data.arrived_as(&row, upload.id, parts.clone()).await;
        notes.extend(note_of_parquet(&upload.path, row.is.tier, || arrived).await);
    }
    let finish = Finish { parts, notes, expected: Expected::Anything };
    let put = call.app.data.finish_upload(&row, upload.id, finish, also, call.now).await;
    let put = put.map_err(refused)?.ok_or_else(gone)?;
    Ok(reply(&put)?.into_response())
}

/// What is said of the object, once the parts are all there and are those that the sender means.
fn whole(parts: &[KeptPart], bytes: u64, sum: &str) -> Result<Notes, Fault> {
    let (part, all) = (part_bytes(bytes), bytes.div_ceil(part_bytes(bytes)));
    let length = |number: u64| part.min(bytes - (number - 1) * part);
    let is_there = |number: &u64| {
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let kept = parts.get(at);
        kept.is_some_and(|kept| {
            (u64::from(kept.number), kept.bytes.0) == (*number, length(*number))
        })
    };
    let hint = "put the file again: the parts that are there and are the same are not sent twice";
    if let Some(missing) = (1..=all).find(|number| !is_there(number)) {
        let bytes = length(missing);
        let detail = format!("part {missing} of {all} is not there with its {bytes} bytes");
        return Err(Problem::new(Code::Conflict, detail).hint(hint).into());
    }
    let mut hash = Sha256::new();
    for part in parts {
        let sum = part.notes.get(SHA256).and_then(|sum| hex::decode(sum).ok());
        hash.update(sum.ok_or_else(|| fault(Code::Conflict, "a part has no sum"))?);
    }
    let found = hex::encode(hash.finalize());
    if found != sum {
        let detail = "the parts together are not what `sha256_parts` says";
        return Err(Problem::new(Code::Conflict, detail).field("sha256_parts").hint(hint).into());
    }
    let profile = parts.first().and_then(|first| first.notes.get(PROFILE)).cloned();
    let profile = profile.map(|profile| (PROFILE.to_owned(), profile));
    Ok([(SHA256_PARTS.to_owned(), found)].into_iter().chain(profile).collect())
}
