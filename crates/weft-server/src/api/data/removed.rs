//! What was removed, and its way back: nothing is lost as long as a dataset keeps what ended.
//!
//! Who may remove may bring back. Absent on purpose: what ends earlier than that, which takes two
//! people.

use super::super::call::Call;
use super::super::fault::{Fault, at, quoted};
use super::super::guard::of_dataset;
use super::super::reply::{Reply, json};
use super::sets::{again, view};
use super::{requests, versions};
use axum::response::Response;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{RemovedData, ReviveDataset};
use weft_policy::Verb;
use weft_store::{DatasetRow, Read, StoreError};
use weft_types::{Bytes, DatasetName, Timestamp};

/// `GET /data/removed`: what was removed last comes first.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let read = move |r: &Read<'_>| -> Result<Vec<RemovedData>, StoreError> {
        let sees = |row: &DatasetRow| app.decide(&who, Verb::DataInfo, of_dataset(row)).allow;
        let mut removed = Vec::new();
        for row in r.ended_datasets()?.into_iter().filter(sees) {
            let size = app.sizes.of(r, &row)?;
            let ended = row.ended_at.unwrap_or_default();
            removed.push(told(&row, None, (size.objects, Bytes(size.bytes)), ended));
        }
        for row in r.datasets()?.into_iter().filter(sees) {
            for (version, ended) in r.removed_versions(row.id)? {
                let size = (version.objects, version.bytes);
                removed.push(told(&row, Some(version.number), size, ended));
            }
        }
        removed.sort_by_key(|one| std::cmp::Reverse(one.removed_at_ms));
        Ok(removed)
    };
    json(&call.app.store.read(read).await?)
}

/// `POST /datasets/{dataset}/revive`: it is what it was when it was removed.
pub(crate) async fn revive(call: Call) -> Result<Response, Fault> {
    let sent: ReviveDataset = match call.body.is_empty() {
        true => ReviveDataset::default(),
        false => call.json()?,
    };
    let name = sent.name.map(DatasetName::new).transpose();
    let name = name.map_err(|e| at(Code::BadRequest, "name", format!("`name`: {e}")))?;
    let (app, row) = (call.app.clone(), call.dataset()?.clone());
    let revived = call.change(move |w, doing| {
        let to = name.as_ref().unwrap_or(&row.is.name);
        if w.dataset(to)?.is_some() {
            let detail = format!("there is a dataset `{to}` now");
            let hint = "give what is brought back another name, with --as";
            return Err(Problem::new(Code::AlreadyExists, detail).hint(hint).field("name").into());
        }
        w.revive_dataset(row.id, name.as_ref())?;
        requests::take_back(w, &row, None, doing)?;
        doing.detail["revived"] = serde_json::json!(to);
        Reply::json(200, &view(w, &app, &again(w, row.id)?)?)
    });
    Ok(revived.await?.response)
}

/// `POST /datasets/{dataset}/versions/{at}/revive`: the version is there again; what the dataset is
/// now stays.
pub(crate) async fn revive_version(call: Call) -> Result<Response, Fault> {
    let (row, at) = (call.dataset()?.clone(), call.param("at").to_owned());
    let revived = call.change(move |w, doing| {
        let number = at.strip_prefix('v').unwrap_or(&at).parse::<u32>().ok();
        let removed = w.removed_versions(row.id)?.into_iter();
        let found = removed.map(|(version, _)| version).find(|v| Some(v.number) == number);
        let version = found.ok_or_else(|| {
            let name = &row.is.name;
            let detail = format!("no version `{}` of {name} was removed", quoted(&at));
            let hint = "`weft data ls --removed` shows what can be brought back";
            Fault::from(Problem::new(Code::NotFound, detail).hint(hint).field("at"))
        })?;
        w.revive_version(row.id, version.number)?;
        requests::take_back(w, &row, Some(version.number), doing)?;
        doing.detail["revived"] = serde_json::json!(version.number);
        let tags = w.version_tags(row.id)?;
        Reply::json(200, &versions::view(version, &tags))
    });
    Ok(revived.await?.response)
}

fn told(
    row: &DatasetRow,
    version: Option<u32>,
    (objects, bytes): (u64, Bytes),
    ended: Timestamp,
) -> RemovedData {
    RemovedData {
        dataset: row.is.name.to_string(),
        version,
        queue: row.is.queue.to_string(),
        owner: row.is.owner.to_string(),
        tier: row.is.tier.to_string(),
        objects,
        bytes: bytes.0,
        removed_at_ms: ended.0,
        until_ms: row.keeps.end(ended).0,
    }
}
