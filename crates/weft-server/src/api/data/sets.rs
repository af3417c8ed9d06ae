//! Datasets themselves: listed, made, described, removed.

use super::super::call::Call;
use super::super::clock::now;
use super::super::fault::{Fault, at, quoted};
use super::super::guard::of_dataset;
use super::super::queues;
use super::super::reply::{Reply, json};
use super::super::state::App;
use super::super::workloads::DEFAULT_QUEUE;
use super::objects::{is_told, view as view_of};
use super::{branches, refused, requests, size, views};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::str::FromStr;
use utoipa::IntoParams;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{Dataset, DatasetView, MakeDataset, UpdateDataset};
use weft_policy::{Principal, Resource, Verb};
use weft_store::{At, DatasetId, DatasetRow, Listing, NewDataset, Read, StoreError};
use weft_types::{DatasetName, QueueName, Tier};

/// Longest text for people, in bytes: some paragraphs; more is a document, which can be put.
const TEXT_MAX: usize = 1_000;

/// What is to be made, to the policy.
pub(crate) fn to_be(call: &Call) -> Result<Resource, Fault> {
    let new = read(call)?;
    let granted = [].into();
    let (owner, queue, tier) = (new.owner, new.queue, new.tier);
    Ok(Resource::Dataset { owner, queue, tier, granted, view: false })
}

/// Objects of a dataset whose columns are searched: those of most are alike.
const SEARCHED: u32 = 200;

/// Which datasets.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ListQuery {
    /// Those alone in which each of these words stands: in name, description, owner, team, tier
    /// or the columns of its tables.
    words: Option<String>,
}

/// `GET /datasets`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let query: ListQuery = call.query()?;
    let words = query.words.unwrap_or_default().to_lowercase();
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let read = move |r: &Read<'_>| -> Result<Vec<DatasetRow>, StoreError> {
        let mut seen = r.datasets()?;
        seen.retain(|row| app.decide(&who, Verb::DataInfo, of_dataset(row)).allow);
        Ok(seen)
    };
    let mut found = Vec::new();
    for row in call.app.store.read(read).await? {
        if has(&call.app, &call.who.principal, &row, &words).await? {
            found.push(row);
        }
    }
    let app = call.app.clone();
    let who = call.who.principal.clone();
    let shown = move |r: &Read<'_>, row: &DatasetRow| -> Result<Dataset, StoreError> {
        let its = views::told(r, &app, &who, row)?;
        let its = its.map(|its| DatasetView { versions: Vec::new(), ..its });
        let branch = branches::told(r, &app, &who, row)?;
        Ok(Dataset { view: its, branch, ..view(r, &app, row)? })
    };
    let read = move |r: &Read<'_>| -> Result<Vec<Dataset>, StoreError> {
        found.iter().map(|row| shown(r, row)).collect()
    };
    json(&call.app.store.read(read).await?)
}

/// Whether each of the words stands somewhere in what is told of a dataset.
async fn has(
    app: &App,
    who: &Principal,
    row: &DatasetRow,
    words: &[String],
) -> Result<bool, Fault> {
    let is = &row.is;
    let said = format!("{} {} {} {} {}", is.name, is.about, is.owner, is.queue, is.tier);
    let said = said.to_lowercase();
    let left: Vec<&String> = words.iter().filter(|word| !said.contains(*word)).collect();
    if left.is_empty() {
        return Ok(true);
    }
    if !is_told(app, who, row) {
        return Ok(false);
    }
    let listing = Listing { limit: SEARCHED, ..Listing::default() };
    let page = app.data.list(row, At::Now, listing, true).await.map_err(refused)?;
    let profiles =
        page.entries.into_iter().filter_map(|listed| view_of(listed, is.tier, true).profile);
    let columns = profiles.flat_map(|profile| profile.columns);
    let columns: BTreeSet<String> = columns.map(|column| column.name.to_lowercase()).collect();
    Ok(left.into_iter().all(|word| columns.iter().any(|column| column.contains(word))))
}

/// `POST /datasets`.
pub(crate) async fn make(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let new = read(&call)?;
    let (name, queue) = (new.name.clone(), new.queue.clone());
    let possible = move |r: &Read<'_>| -> Result<(), Fault> {
        if r.dataset(&name)?.is_some() {
            return Err(StoreError::Exists { what: "dataset", id: name.to_string() }.into());
        }
        r.queue(&queue)?.map(drop).ok_or_else(|| queues::none(&queue))
    };
    call.app.store.read(possible).await?;
    if call.dry_run {
        return Ok(call.would(Reply::json(201, &empty(&new))?));
    }
    let detail = |row: &DatasetRow| {
        let NewDataset { name, queue, tier, .. } = &row.is;
        serde_json::json!({ "name": name, "queue": queue, "tier": tier })
    };
    let also = call.beside(detail, |row: &DatasetRow| Reply::json(201, &empty(&row.is)));
    let row = call.app.data.make(new, also).await.map_err(refused)?;
    Ok(Reply::json(201, &empty(&row.is))?.into_response())
}

/// `GET /datasets/{dataset}`.
pub(crate) async fn show(call: Call) -> Result<Response, Fault> {
    let (app, id, who) = (call.app.clone(), call.dataset()?.id, call.who.principal.clone());
    let shown = move |r: &Read<'_>| -> Result<Dataset, StoreError> {
        let row = again(r, id)?;
        let grants = requests::grants(r, &app, &who, &row)?;
        let (its, views) = (views::told(r, &app, &who, &row)?, views::names(r, &app, &who, &row)?);
        let branch = branches::told(r, &app, &who, &row)?;
        let branches = branches::names(r, &app, &who, &row)?;
        Ok(Dataset { grants, view: its, views, branch, branches, ..view(r, &app, &row)? })
    };
    json(&call.app.store.read(shown).await?)
}

/// `PATCH /datasets/{dataset}`: a tier rises, and never falls: what was read under the lower one
/// cannot be taken back, and what rose had a reason that one person does not judge.
pub(crate) async fn update(call: Call) -> Result<Response, Fault> {
    let sent: UpdateDataset = call.json()?;
    if let Some(about) = &sent.about {
        check_text("about", about)?;
    }
    let raised = sent.tier.as_deref().map(tier).transpose()?;
    let (app, id) = (call.app.clone(), call.dataset()?.id);
    let changed = call.change(move |w, doing| {
        let row = again(w, id)?;
        let tier = raised.unwrap_or(row.is.tier);
        if tier < row.is.tier {
            let detail = format!("{} is {}, and no tier is lowered", row.is.name, row.is.tier);
            let hint = match row.view_of {
                Some(_) => "of a view it is asked for: `weft data set NAME --tier TIER --why …`",
                None => "make a view of it, or put what may be known into a dataset of its own",
            };
            return Err(Problem::new(Code::Conflict, detail).hint(hint).field("tier").into());
        }
        let about = sent.about.clone().unwrap_or_else(|| row.is.about.clone());
        w.describe_dataset(id, &about, tier)?;
        doing.detail["tier"] = serde_json::json!(tier);
        doing.detail["was"] = serde_json::json!(row.is.tier);
        let views = match tier > row.is.tier {
            true => w.raise_views(id, tier)?,
            // What two people have agreed on stays.
            false => Vec::new(),
        };
        if !views.is_empty() {
            let views = views.iter().map(|view| &view.is.name);
            doing.detail["views"] = serde_json::json!(views.collect::<Vec<_>>());
        }
        let is = NewDataset { about, tier, ..row.is.clone() };
        Reply::json(200, &view(w, &app, &DatasetRow { is, ..row })?)
    });
    Ok(changed.await?.response)
}

/// `DELETE /datasets/{dataset}`: nobody finds it any more. It is kept as long as it keeps what
/// ended; then its keys are forgotten, and all that was ever in it with them.
pub(crate) async fn remove(call: Call) -> Result<Response, Fault> {
    let row = call.dataset()?.clone();
    let removed = call.change(move |w, doing| {
        doing.detail["changes"] = serde_json::json!(row.changes);
        w.end_dataset(row.id, doing.now)?;
        Ok(Reply::nothing())
    });
    Ok(removed.await?.response)
}

/// What a body asks for, made complete.
fn read(call: &Call) -> Result<NewDataset, Fault> {
    let sent: MakeDataset = call.json()?;
    let refused = |field: &str, e: weft_types::IdError| {
        at(Code::BadRequest, field, format!("{}: {e}", quoted(field)))
    };
    check_text("about", &sent.about)?;
    let queue = match (&sent.queue, &call.who.principal.queue) {
        (Some(named), _) => QueueName::new(named.clone()).map_err(|e| refused("queue", e))?,
        (None, Some(team)) => team.clone(),
        (None, None) => QueueName::new(DEFAULT_QUEUE).map_err(|e| refused("queue", e))?,
    };
    Ok(NewDataset {
        name: DatasetName::new(sent.name).map_err(|e| refused("name", e))?,
        queue,
        owner: call.who.principal.user.clone(),
        tier: sent.tier.as_deref().map_or(Ok(Tier::default()), tier)?,
        about: sent.about,
        at: call.now,
    })
}

pub(super) fn tier(word: &str) -> Result<Tier, Fault> {
    let refused = |e| at(Code::BadRequest, "tier", format!("`{}` is {e}", quoted(word)));
    Tier::from_str(word).map_err(refused)
}

/// Refuses a text for people that is a document.
pub(super) fn check_text(field: &str, text: &str) -> Result<(), Fault> {
    if text.len() <= TEXT_MAX && !text.contains('\0') {
        return Ok(());
    }
    let rule = format!("is {} bytes, at most {TEXT_MAX} are kept", text.len());
    Err(at(Code::BadRequest, field, rule))
}

/// A dataset once more, as the transaction sees it.
pub(super) fn again(r: &Read<'_>, id: DatasetId) -> Result<DatasetRow, StoreError> {
    let missing = || StoreError::NotFound { what: "dataset", id: id.0.to_string() };
    r.dataset_by_id(id)?.ok_or_else(missing)
}

/// A dataset as it is shown; the row is one that the transaction has read.
pub(super) fn view(r: &Read<'_>, app: &App, row: &DatasetRow) -> Result<Dataset, StoreError> {
    let size::Counted { objects, bytes, put_at, .. } = app.sizes.of(r, row)?;
    let newest = r.newest_version(row.id)?;
    Ok(Dataset {
        versions: newest.as_ref().map_or(0, |newest| newest.number),
        objects,
        bytes,
        changed: newest.as_ref().map_or(0, |newest| newest.changes) != row.changes,
        version_at_ms: newest.map(|newest| newest.at.0),
        put_at_ms: put_at.map(|at| at.0),
        keep_days: row.keeps.days(now()),
        damaged: row.damaged,
        ..empty(&row.is)
    })
}

/// A dataset with nothing in it.
pub(super) fn empty(is: &NewDataset) -> Dataset {
    Dataset {
        name: is.name.to_string(),
        queue: is.queue.to_string(),
        owner: is.owner.to_string(),
        tier: is.tier.to_string(),
        about: is.about.clone(),
        versions: 0,
        objects: 0,
        bytes: 0,
        changed: false,
        created_at_ms: is.at.0,
        version_at_ms: None,
        put_at_ms: None,
        keep_days: 0,
        damaged: 0,
        grants: Vec::new(),
        view: None,
        views: Vec::new(),
        branch: None,
        branches: Vec::new(),
    }
}
