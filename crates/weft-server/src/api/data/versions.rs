//! Versions of a dataset: made, named, listed, removed.

use super::super::call::Call;
use super::super::fault::{Fault, at, internal};
use super::super::reply::{Reply, json};
use super::moment::{resolve, tag_name};
use super::refused;
use super::sets::check_text;
use axum::response::Response;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{
    DatasetRestored, DatasetVersion, MakeVersion, RestoreDataset, TagVersion, VersionMade,
};
use weft_store::{DatasetRow, DatasetVersionRow, Read, StoreError, VersionName, moment_of};
use weft_types::Timestamp;

/// `GET /datasets/{dataset}/versions`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let id = call.dataset()?.id;
    let read = move |r: &Read<'_>| -> Result<Vec<DatasetVersion>, StoreError> {
        let tags = r.version_tags(id)?;
        let versions = r.dataset_versions(id)?.into_iter();
        Ok(versions.map(|version| view(version, &tags)).collect())
    };
    json(&call.app.store.read(read).await?)
}

/// `GET /datasets/{dataset}/versions/{at}`: what `v3`, a name or a day says.
pub(crate) async fn show(call: Call) -> Result<Response, Fault> {
    let (row, at) = (call.dataset()?.clone(), call.param("at").to_owned());
    let read = move |r: &Read<'_>| -> Result<DatasetVersion, Fault> {
        let (_, version) = resolve(r, &row, "at", Some(&at))?;
        // `now` is no version.
        let version = version.ok_or_else(|| super::moment::none(&row, "at", &at))?;
        Ok(view(version, &r.version_tags(row.id)?))
    };
    json(&call.app.store.read(read).await?)
}

/// `POST /datasets/{dataset}/versions`: the newest one again, where nothing has changed.
pub(crate) async fn make(call: Call) -> Result<Response, Fault> {
    let sent: MakeVersion = call.json()?;
    check_text("note", &sent.note)?;
    let id = call.dataset()?.id;
    // Before: a million objects take a second, and all writers would wait for it.
    let summed = call.app.store.read(move |r| r.sum_objects(id).map(Some)).await?;
    let made = call.change(move |w, doing| {
        let before = w.newest_version(id)?.map(|version| version.number);
        let said = (doing.actor.as_str(), sent.note.as_str());
        let version = w.make_version_of(id, summed, said, doing.now)?;
        let fresh = before != Some(version.number);
        doing.detail["version"] = serde_json::json!(version.number);
        let made = view(version, &w.version_tags(id)?);
        Reply::json(if fresh { 201 } else { 200 }, &VersionMade { made, fresh })
    });
    Ok(made.await?.response)
}

/// `PUT /datasets/{dataset}/tags/{tag}`: another version that had the name has it no more.
pub(crate) async fn tag(call: Call) -> Result<Response, Fault> {
    let sent: TagVersion = call.json()?;
    let (row, tag) = (call.dataset()?.clone(), tag_name(call.param("tag"))?);
    let tagged = call.change(move |w, doing| {
        let number = format!("v{}", sent.number);
        let (_, version) = resolve(w, &row, "number", Some(&number))?;
        let version = version.ok_or_else(|| internal("a number that is no version"))?;
        let tags = w.version_tags(row.id)?.into_iter();
        let before = tags.filter(|(name, _)| *name == tag).map(|(_, number)| number).next();
        w.tag_version(row.id, &tag, version.number)?;
        doing.detail["version"] = serde_json::json!(version.number);
        doing.detail["was"] = serde_json::json!(before);
        Reply::json(200, &view(version, &w.version_tags(row.id)?))
    });
    Ok(tagged.await?.response)
}

/// `DELETE /datasets/{dataset}/tags/{tag}`.
pub(crate) async fn untag(call: Call) -> Result<Response, Fault> {
    let (row, tag) = (call.dataset()?.clone(), tag_name(call.param("tag"))?);
    let untagged = call.change(move |w, doing| {
        let (_, version) = resolve(w, &row, "tag", Some(&tag))?;
        doing.detail["was"] = serde_json::json!(version.map(|version| version.number));
        w.untag_version(row.id, &tag)?;
        Ok(Reply::nothing())
    });
    Ok(untagged.await?.response)
}

/// `DELETE /datasets/{dataset}/versions/{at}`: nobody finds it any more. What it alone holds is
/// forgotten once the dataset has kept it as long as it keeps what ended.
pub(crate) async fn remove(call: Call) -> Result<Response, Fault> {
    let (row, at) = (call.dataset()?.clone(), call.param("at").to_owned());
    let removed = call.change(move |w, doing| {
        let (_, version) = resolve(w, &row, "at", Some(&at))?;
        let version = version.ok_or_else(|| super::moment::none(&row, "at", &at))?;
        doing.detail["version"] = serde_json::json!(version.number);
        w.remove_version(row.id, version.number, doing.now)?;
        Ok(Reply::nothing())
    });
    Ok(removed.await?.response)
}

/// `POST /datasets/{dataset}/restore`: it becomes what it was, by new changes: what is undone can
/// be had back the same way.
pub(crate) async fn restore(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let sent: RestoreDataset = call.json()?;
    let row = call.dataset()?.clone();
    let (found, of, now) = (row.clone(), sent.at.clone(), call.now);
    let (changes, mut restored) =
        call.app.store.read(move |r| moment_to_be(r, &found, &of, now)).await?;
    if call.dry_run {
        return Ok(call.would(Reply::json(200, &restored)?));
    }
    // How much there was is known at its end only: who asks again is answered by going on.
    let (number, moment) = (restored.number, restored.moment_ms);
    let told = serde_json::json!({ "version": number, "moment_ms": moment, "changes": changes });
    let also = call.audited(move |_: &u64| told);
    let done = call.app.data.restore(&row, changes, also, call.now).await;
    let done = done.map_err(refused)?;
    (restored.put, restored.deleted) = (done.put, done.deleted);
    json(&restored)
}

/// After how many changes it was what somebody wants it to be again. A day that is longer ago than
/// what ended is kept is its newest version of then.
fn moment_to_be(
    r: &Read<'_>,
    row: &DatasetRow,
    text: &str,
    now: Timestamp,
) -> Result<(u64, DatasetRestored), Fault> {
    let mut restored = DatasetRestored { number: 0, moment_ms: None, put: 0, deleted: 0 };
    if let Some(moment) = moment_of(text) {
        let name = &row.is.name;
        let wrong = |rule: String| Err(at(Code::BadRequest, "at", rule));
        if moment > now {
            let rule = format!("`{text}` is not over: name a version, or a time before now");
            return wrong(format!("{rule}, as in {text:.10}T09:30 (UTC)"));
        }
        if moment <= row.is.at {
            return wrong(format!("{name} was made after `{text}`"));
        }
        if let Some(changes) = r.changes_before(row.id, moment)? {
            restored.moment_ms = Some(moment.0);
            return Ok((changes, restored));
        }
        let Some(version) = r.version_named(row.id, &VersionName::Before(moment))? else {
            let days = row.keeps.days(now);
            let detail = format!("some of what {name} was at `{text}` is forgotten");
            let hint = format!(
                "what ended is kept {days} days; older are versions alone: \
                                `weft data versions {name}`"
            );
            return Err(Problem::new(Code::NotFound, detail).hint(hint).field("at").into());
        };
        restored.number = version.number;
        return Ok((version.changes, restored));
    }
    let (_, version) = resolve(r, row, "at", Some(text))?;
    let version = version.ok_or_else(|| super::moment::none(row, "at", text))?;
    restored.number = version.number;
    Ok((version.changes, restored))
}

/// A version with its names, of all that the dataset has.
pub(super) fn view(row: DatasetVersionRow, tags: &[(String, u32)]) -> DatasetVersion {
    let its = tags.iter().filter(|(_, number)| *number == row.number);
    DatasetVersion {
        number: row.number,
        tags: its.map(|(tag, _)| tag.clone()).collect(),
        objects: row.objects,
        bytes: row.bytes.0,
        digest: hex::encode(row.digest),
        by: row.by,
        note: row.note,
        at_ms: row.at.0,
    }
}
