//! Branches of a dataset: made, told of, merged.

use super::super::call::Call;
use super::super::fault::{Fault, at};
use super::super::guard::of_dataset;
use super::super::reply::{Reply, json};
use super::super::state::App;
use super::moment::resolve;
use super::refused;
use super::sets::{check_text, empty};
use axum::response::{IntoResponse, Response};
use weft_api::problem::{Code, Problem};
use weft_api::wire::{BranchMerged, Dataset, DatasetBranch, MakeBranch, MergeBranch};
use weft_gateway::{Also, AlsoMerged, Merged};
use weft_policy::{Principal, Verb};
use weft_store::{
    DatasetRow, DatasetVersionRow, NewDataset, NewOrigin, OriginInput, OriginKind, Read, StoreError,
};
use weft_types::DatasetName;

/// Branches of one dataset at most: each keeps a version of it from being forgotten.
const BRANCHES_MAX: usize = 50;

/// `POST /datasets/{dataset}/branches`: it is its source's owner's, and as sensitive.
pub(crate) async fn make(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let sent: MakeBranch = call.json()?;
    let source = call.dataset()?.clone();
    let new = to_be(&call, &source, &sent)?;
    let (name, of) = (new.name.clone(), source.clone());
    let possible = move |r: &Read<'_>| possible(r, &of, &name, sent.at.as_deref());
    let version = call.app.store.read(possible).await?;
    if call.dry_run {
        return Ok(call.would(Reply::json(201, &fresh(&new, &source, &version))?));
    }
    let from = format!("{}@v{}", source.is.name, version.number);
    let told = serde_json::json!({ "of": from, "branch": new.name });
    let (of, begun) = (source.clone(), version.clone());
    let reply = move |row: &DatasetRow| Reply::json(201, &fresh(&row.is, &of, &begun));
    let beside = call.beside(move |_: &DatasetRow| told, reply.clone());
    let origin = origin(&call, (OriginKind::Branch, &new.name), (&source, version.number));
    let of = source.clone();
    let also: Also<DatasetRow> = Box::new(move |w, row| {
        // What is known of the source was read before.
        let still = w.dataset_by_id(of.id)?.filter(|now| now.ended_at.is_none());
        if still.is_none_or(|now| now.is.tier != row.is.tier) {
            let (id, by) = (of.is.name.to_string(), "it has changed meanwhile".to_owned());
            return Err(StoreError::InUse { what: "dataset", id, by });
        }
        let note = format!("branch of {from}");
        let said = (origin.actor.as_str(), note.as_str());
        w.make_branch(row.id, (of.id, version.number), said, row.is.at)?;
        w.put_origin(row.id, 1, &origin)?;
        beside(w, row)
    });
    let row = call.app.data.make_branch(new, &source, also).await.map_err(refused)?;
    Ok(reply(&row)?.into_response())
}

/// A branch as it is when it is made.
fn fresh(is: &NewDataset, source: &DatasetRow, version: &DatasetVersionRow) -> Dataset {
    let of = Some(source.is.name.to_string());
    Dataset {
        versions: 1,
        objects: version.objects,
        bytes: version.bytes.0,
        version_at_ms: Some(is.at.0),
        branch: Some(DatasetBranch { of, version: version.number }),
        ..empty(is)
    }
}

/// The version that a branch would be of.
fn possible(
    r: &Read<'_>,
    source: &DatasetRow,
    name: &DatasetName,
    of: Option<&str>,
) -> Result<DatasetVersionRow, Fault> {
    if r.dataset(name)?.is_some() {
        return Err(StoreError::Exists { what: "dataset", id: name.to_string() }.into());
    }
    if r.branches_of(source.id)?.len() >= BRANCHES_MAX {
        let detail = format!("it has {BRANCHES_MAX} branches, and each keeps a version of it");
        let hint = "remove one that nobody needs: `weft data rm NAME`";
        return Err(Problem::new(Code::LimitReached, detail).hint(hint).into());
    }
    if let Some(branch) = r.branch(source.id)? {
        let whose = r.dataset_by_id(branch.source)?.map(|row| row.is.name.to_string());
        let whose = whose.unwrap_or_default();
        let detail = format!("{} is itself a branch, of {whose}", source.is.name);
        let hint = format!("merge it, or make a branch of {whose}");
        return Err(Problem::new(Code::Conflict, detail).hint(hint).into());
    }
    let (_, version) = resolve(r, source, "at", Some(of.unwrap_or("latest")))?;
    // `now` is no version.
    version.ok_or_else(|| super::moment::none(source, "at", of.unwrap_or("now")))
}

fn to_be(call: &Call, source: &DatasetRow, sent: &MakeBranch) -> Result<NewDataset, Fault> {
    let about = sent.about.as_ref().unwrap_or(&source.is.about);
    check_text("about", about)?;
    let name = DatasetName::new(sent.name.clone());
    Ok(NewDataset {
        name: name.map_err(|e| at(Code::BadRequest, "name", format!("`name`: {e}")))?,
        about: about.clone(),
        at: call.now,
        ..source.is.clone()
    })
}

/// How a version came to be of another dataset's.
fn origin(
    call: &Call,
    (kind, of): (OriginKind, &DatasetName),
    (from, number): (&DatasetRow, u32),
) -> NewOrigin {
    NewOrigin {
        kind,
        what: of.to_string(),
        actor: call.who.principal.user.clone(),
        queue: from.is.queue.clone(),
        bundle: None,
        detail: "{}".to_owned(),
        inputs: vec![OriginInput { dataset: from.id, number, name: from.is.name.to_string() }],
        at: call.now,
    }
}

/// `POST /datasets/{dataset}/merge`: who merges may write to both. Who is cut off merges again.
pub(crate) async fn merge(call: Call) -> Result<Response, Fault> {
    let sent: MergeBranch = call.json()?;
    check_text("note", &sent.note)?;
    let row = call.dataset()?.clone();
    let (app, who, of) = (call.app.clone(), call.who.principal.clone(), row.clone());
    let source = call.app.store.read(move |r| into(r, &app, &who, &of)).await?;
    if call.dry_run {
        let newest = call.app.store.read(move |r| r.newest_version(row.id)).await?;
        let of = newest.map_or(0, |newest| newest.number);
        let into = source.is.name.to_string();
        let would = BranchMerged { into, number: 0, of, put: 0, deleted: 0 };
        return Ok(call.would(Reply::json(200, &would)?));
    }
    let note = match sent.note.as_str() {
        "" => format!("merged {}", row.is.name),
        note => note.to_owned(),
    };
    let told = |merged: &Merged| {
        let Merged { version, of, put, deleted } = merged;
        serde_json::json!({ "version": version.number, "of": of, "put": put, "deleted": deleted })
    };
    let audited = call.audited(told);
    let (mut origin, into) =
        (origin(&call, (OriginKind::Merge, &source.is.name), (&row, 0)), source.clone());
    let also: AlsoMerged = Box::new(move |w, merged| {
        // What was judged was read before.
        let still = w.dataset_by_id(into.id)?.filter(|now| now.ended_at.is_none());
        let tier = w.dataset_by_id(row.id)?.map(|row| row.is.tier);
        if still.is_none_or(|now| tier.is_none_or(|tier| tier > now.is.tier)) {
            let (id, by) = (into.is.name.to_string(), "it has changed meanwhile".to_owned());
            return Err(StoreError::InUse { what: "dataset", id, by });
        }
        if merged.put + merged.deleted > 0 {
            origin.inputs.iter_mut().for_each(|input| input.number = merged.of);
            w.put_origin(into.id, merged.version.number, &origin)?;
        }
        audited(w, merged)
    });
    let by = call.who.principal.user.to_string();
    let merged = call.app.data.merge(call.dataset()?.id, (by, note), also, call.now).await;
    let Merged { version, of, put, deleted } = merged.map_err(refused)?;
    let into = source.is.name.to_string();
    json(&BranchMerged { into, number: version.number, of, put, deleted })
}

/// What a branch is merged into, if the caller may.
fn into(r: &Read<'_>, app: &App, who: &Principal, row: &DatasetRow) -> Result<DatasetRow, Fault> {
    let name = &row.is.name;
    let Some(branch) = r.branch(row.id)? else {
        let detail = format!("{name} is no branch");
        let hint = "a branch is made by `weft data branch DATASET NAME`";
        return Err(Problem::new(Code::Conflict, detail).hint(hint).into());
    };
    let source = super::sets::again(r, branch.source)?;
    let decision = app.decide(who, Verb::DataWrite, of_dataset(&source));
    if !decision.allow {
        let detail = format!("{} may not write to what {name} is a branch of", who.user);
        return Err(Problem::new(Code::Forbidden, detail).into());
    }
    if row.is.tier > source.is.tier {
        let of = &source.is.name;
        let detail = format!("{name} is {}, {of} is {}", row.is.tier, source.is.tier);
        let hint = format!("raise {of} first: `weft data set {of} --tier {}`", row.is.tier);
        return Err(Problem::new(Code::Conflict, detail).hint(hint).into());
    }
    Ok(source)
}

/// What a dataset is a branch of. The source is told to whom may know of it.
pub(super) fn told(
    r: &Read<'_>,
    app: &App,
    who: &Principal,
    row: &DatasetRow,
) -> Result<Option<DatasetBranch>, StoreError> {
    let Some(branch) = r.branch(row.id)? else { return Ok(None) };
    let sees = |source: &DatasetRow| app.decide(who, Verb::DataInfo, of_dataset(source)).allow;
    let source = r.dataset_by_id(branch.source)?.filter(sees);
    let of = source.map(|source| source.is.name.to_string());
    Ok(Some(DatasetBranch { of, version: branch.number }))
}

/// The branches of a dataset that the caller may know of, by name.
pub(super) fn names(
    r: &Read<'_>,
    app: &App,
    who: &Principal,
    row: &DatasetRow,
) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for branch in r.branches_of(row.id)? {
        let row = r.dataset_by_id(branch.dataset)?;
        let sees = |row: &DatasetRow| app.decide(who, Verb::DataInfo, of_dataset(row)).allow;
        names.extend(row.filter(sees).map(|row| row.is.name.to_string()));
    }
    Ok(names)
}
