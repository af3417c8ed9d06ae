//! Imports into a dataset: started, seen, ended. What they do is in `imports/` of the server.

use super::super::call::Call;
use super::super::fault::{Fault, at, fault, internal, quoted};
use super::super::reply::{Reply, json};
use super::super::sources::{self, denied, is_known, of_bucket};
use super::objects::is_told;
use super::sets::check_text;
use crate::imports::{Declared, Job, start as start_job};
use axum::response::Response;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{Import, StartImport};
use weft_policy::{Resource, Verb};
use weft_store::{
    Came, ImportRow, ImportState, NewImport, Read, SourceKind, SourceRow, StoreError,
};

/// Longest address, list of tables or query: a query of some pages.
const WHAT_MAX: usize = 16 << 10;
/// Imports of a dataset that are listed: the last ones.
const LISTED: u32 = 100;

/// What a source is called to whom may not know of it.
pub(super) const HIDDEN: &str = "a source";

/// What is asked for: a source that may be used, and what of it.
struct Asked {
    source: Option<Declared>,
    what: String,
    /// As it may be told: what stands behind the `?` of an address may be a secret.
    told: String,
}

/// `POST /datasets/{dataset}/imports`: it goes on when the answer is there.
pub(crate) async fn start(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let sent: StartImport = call.json()?;
    check_text("note", &sent.note)?;
    for (field, text) in [("from", &sent.from), ("query", sent.query.as_ref().unwrap_or(&sent.to))]
    {
        if text.len() > WHAT_MAX || text.contains('\0') {
            let rule = format!("is {} bytes, at most {WHAT_MAX} are taken", text.len());
            return Err(at(Code::BadRequest, field, rule));
        }
    }
    let asked = asked(&call, &sent).await?;
    check_kind(&asked, &sent)?;
    let row = call.dataset()?.clone();
    let place = call.app.imports.place(&call.who.principal.user, &row.is.queue)?;
    let new = NewImport {
        dataset: row.id,
        source: asked.source.as_ref().map(|source| source.name.clone()),
        what: if asked.source.is_none() { asked.told.clone() } else { asked.what.clone() },
        query: sent.query.clone().unwrap_or_default(),
        by: call.user().to_owned(),
        at: call.now,
    };
    let from = asked.told.clone();
    let (id_to, id_from) = std::sync::mpsc::sync_channel(1);
    let changed = call.change(move |w, doing| {
        let id = w.begin_import(&new)?;
        doing.detail["import"] = serde_json::json!(id);
        doing.detail["from"] = serde_json::json!(quoted(&from));
        let row = w.import(id)?.ok_or_else(|| internal("an import is gone"))?;
        let _ = id_to.send(id);
        Reply::json(201, &view(row, None, (true, true)))
    });
    let changed = changed.await?;
    if changed.fresh
        && let Ok(id) = id_from.recv()
    {
        let Asked { source, what, told: from } = asked;
        let StartImport { query, to, since, note, .. } = sent;
        let (app, who, token) = (call.app.clone(), call.who.principal.clone(), call.who.token);
        start_job(
            Job { id, app, row, who, token, source, from, what, query, to, since, note },
            place,
        );
    }
    Ok(changed.response)
}

/// Finds the source, if the caller may use it.
async fn asked(call: &Call, sent: &StartImport) -> Result<Asked, Fault> {
    let from = sent.from.as_str();
    if from.starts_with("https://") || from.starts_with("http://") {
        let decision = call.app.decide(&call.who.principal, Verb::DataFetch, Resource::Pool);
        if !decision.allow {
            call.app.refusals.note(denied(call, Verb::DataFetch, "pool".to_owned())).await?;
            let detail = format!("{} may not import from the web", call.user());
            return Err(Problem::new(Code::Forbidden, detail).into());
        }
        let told = weft_source::told_address(from);
        let told = told.map_err(|e| at(Code::BadRequest, "from", e.to_string()))?;
        return Ok(Asked { source: None, what: from.to_owned(), told });
    }
    let (name, what) = match from.strip_prefix("s3://") {
        Some(rest) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            (store_of(call, bucket).await?, prefix.to_owned())
        }
        None => {
            let (name, what) = from.split_once(':').unwrap_or((from, ""));
            (name.to_owned(), what.to_owned())
        }
    };
    let (row, settings) = sources::usable(call, &name).await?;
    let source = Declared { name: row.name.clone(), row, settings };
    Ok(Asked { source: Some(source), what, told: from.to_owned() })
}

/// The one source of a bucket.
async fn store_of(call: &Call, bucket: &str) -> Result<String, Fault> {
    let mut found = of_bucket(call, bucket).await?;
    match (found.pop(), found.is_empty()) {
        (Some(name), true) => Ok(name),
        (Some(last), false) => {
            let detail = format!("{} and {last} are both of this bucket", found.join(", "));
            let hint = format!("write which: `{last}:prefix/`");
            Err(Problem::new(Code::Conflict, detail).hint(hint).field("from").into())
        }
        (None, _) => {
            let detail = format!("no source of yours is the bucket `{}`", quoted(bucket));
            let hint = "a lead or an operator declares one: `weft source add NAME s3 …`";
            Err(Problem::new(Code::NotFound, detail).hint(hint).field("from").into())
        }
    }
}

/// Refuses what this kind of source cannot be asked.
fn check_kind(asked: &Asked, sent: &StartImport) -> Result<(), Fault> {
    let kind = asked.source.as_ref().map(|source| source.row.kind);
    let tables = matches!(kind, Some(SourceKind::Postgres | SourceKind::Mysql));
    let wrong = |field: &str, rule: &str| Err(at(Code::BadRequest, field, rule));
    match (&sent.query, &sent.since) {
        (Some(_), _) if !tables => wrong("query", "is for databases; this source is none"),
        (_, Some(_)) if !tables => {
            wrong("since", "is for tables of databases; files are compared by themselves")
        }
        (Some(_), Some(_)) => wrong("since", "goes with a table, not with a query"),
        (Some(_), None) if !asked.what.is_empty() => {
            wrong("query", "takes the place of tables: leave out what stands behind the colon")
        }
        (None, _) if tables && asked.what.is_empty() => {
            wrong("from", "names no table: write source:schema.table, or give a query")
        }
        _ => Ok(()),
    }
}

/// `GET /datasets/{dataset}/imports`: the last ones, the newest first.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let id = call.dataset()?.id;
    let read =
        move |r: &Read<'_>| -> Result<_, StoreError> { Ok((r.imports(id, LISTED)?, r.sources()?)) };
    let (rows, sources) = call.app.store.read(read).await?;
    let shown = rows.into_iter().map(|row| shown(&call, row, &sources));
    json(&shown.collect::<Result<Vec<_>, _>>()?)
}

/// `GET /datasets/{dataset}/imports/{id}`.
pub(crate) async fn show(call: Call) -> Result<Response, Fault> {
    let row = find(&call).await?;
    let name = row.is.source.clone().unwrap_or_default();
    let source = call.app.store.read(move |r| r.source(&name)).await?;
    json(&shown(&call, row, source.as_slice())?)
}

/// `DELETE /datasets/{dataset}/imports/{id}`: it ends, and makes no version.
pub(crate) async fn cancel(call: Call) -> Result<Response, Fault> {
    let row = find(&call).await?;
    let (files, bytes) = call.app.imports.so_far(row.id).unwrap_or((0, 0));
    let id = row.id;
    let ended = call.change(move |w, doing| {
        let came = Came { files, bytes, ..Came::default() };
        let ended = w.end_import(id, ImportState::Cancelled, &came, (None, ""), doing.now)?;
        doing.detail["import"] = serde_json::json!(id);
        doing.detail["cancelled"] = serde_json::json!(ended);
        Ok(Reply::nothing())
    });
    let ended = ended.await?;
    if ended.fresh {
        call.app.imports.end(id);
    }
    Ok(ended.response)
}

async fn find(call: &Call) -> Result<ImportRow, Fault> {
    let (id, dataset) = (call.parsed::<u64>("id")?, call.dataset()?.id);
    let row = call.app.store.read(move |r| r.import(id)).await?;
    let row = row.filter(|row| row.is.dataset == dataset);
    row.ok_or_else(|| fault(Code::NotFound, format!("there is no import {id} of this dataset")))
}

/// An import to a caller: who may not read what is in the dataset is not told what came of it, and
/// who may not know of the source not what it is called.
fn shown(call: &Call, row: ImportRow, sources: &[SourceRow]) -> Result<Import, Fault> {
    let own = row.is.by == call.user();
    let told = own || is_told(&call.app, &call.who.principal, call.dataset()?);
    let known = own || is_known(&call.app, &call.who.principal, row.is.source.as_deref(), sources);
    let going = call.app.imports.so_far(row.id);
    Ok(view(row, going, (told, known)))
}

fn view(row: ImportRow, going: Option<(u64, u64)>, (told, known): (bool, bool)) -> Import {
    let running = row.state == ImportState::Running;
    let (files, bytes) = going.filter(|_| running).unwrap_or((row.came.files, row.came.bytes));
    // Why it failed names hosts and tables.
    let told = |text: String| if told && known { text } else { String::new() };
    let what = if row.is.query.is_empty() { row.is.what } else { row.is.query };
    let source = row.is.source.map(|name| if known { name } else { HIDDEN.to_owned() });
    Import {
        id: row.id,
        source,
        what: told(what),
        by: row.is.by,
        state: row.state.as_str().to_owned(),
        files,
        bytes,
        snapshot: row.came.snapshot,
        version: row.version,
        why: told(row.why),
        began_at_ms: row.is.at.0,
        ended_at_ms: row.ended_at.map(|at| at.0),
    }
}
