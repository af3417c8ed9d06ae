//! Artifacts: the files that runs and models keep, as objects of a dataset, under its keys.
//!
//! Each owner has a dataset for each tier of what the runs in an experiment read, so that whoever
//! finds files as data has the rights of whoever finds them as artifacts. A file has the tier of
//! what kept it, then; what is kept later, by a workload that read more, lies in another one.

mod keeper;
mod place;

use super::door::{Answer, Asked, Refused, answered};
use super::models;
use super::words::{self, answer};
use crate::api::{self, Intake, outgoing, quoted};
use crate::reads;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use keeper::{Id, Keeper};
use place::{Place, legal};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::io::StreamReader;
use weft_api::problem::Code as Problem;
use weft_gateway::{Notes, Put};
use weft_policy::Verb;
use weft_store::{At, DatasetRow, Expected, ExperimentId, Listing, NewAudit, StoreError, Write};
use weft_tracking::{Code, Fault, check};
use weft_types::UserName;

/// Largest file: S3's.
const BYTES_MAX: u64 = 5 << 40;

/// Files and folders that one answer lists at most.
const LISTED_MAX: usize = 10_000;

/// `PUT /api/2.0/mlflow-artifacts/artifacts/<place>`
pub(super) async fn put(
    asked: &Asked,
    path: &str,
    (headers, body): (&HeaderMap, Body),
) -> Result<Response, Refused> {
    let place = Place::read(path)?;
    if place.path.is_empty() {
        return Err(Fault::value("path", "", "it names no file").into());
    }
    let keeper = Keeper::of(asked, Verb::RunWrite, &place).await?;
    let dataset = keeper.keeps(asked).await?;
    let intake = (body, api::announced(headers));
    let intake = Intake::from(&asked.app, &asked.who.principal.user, intake, BYTES_MAX);
    let (body, why) = pieces(intake.map_err(told)?);
    let staged = asked.app.data.stage(&dataset, StreamReader::new(Box::pin(body))).await;
    let staged = staged.map_err(|error| {
        let fault = why.lock().unwrap_or_else(PoisonError::into_inner).take();
        told(fault.unwrap_or_else(|| api::data::refused(error)))
    })?;
    // The body took its time: what let it begin may have ended.
    let asked = &asked.again().await?;
    let again = Keeper::of(asked, Verb::RunWrite, &place).await?;
    if again.written(asked) != dataset.is.tier {
        let told = "it became more sensitive meanwhile: send the file again";
        return Err(Fault::new(Code::ResourceConflict, told).into());
    }
    let name = format!("{}/{}", again.uuid, place.path);
    let resource = format!("dataset {}/{}", dataset.is.name, quoted(&name));
    let row = asked.row(Verb::RunWrite, resource, &again.policies, json!({}));
    let tier = dataset.is.tier;
    let also = Box::new(move |w: &mut Write<'_>, put: &Put| {
        let detail = json!({ "bytes": put.bytes, "by": "mlflow" }).to_string();
        w.append_audit(NewAudit { detail, ..row })?;
        match again.id {
            _ if again.tier >= tier => Ok(()),
            Id::Run(run) => w.raise_tracked(run, tier),
            Id::Model(model) => w.raise_model(model, tier),
        }
    });
    let (data, notes, now) = (&asked.app.data, Notes::new(), weft_agent::now());
    let kept = data.commit(&dataset, &name, staged, notes, Expected::Anything, also, now);
    kept.await.map_err(|error| told(api::data::refused(error)))?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{}").into_response())
}

type Why = Arc<Mutex<Option<api::Fault>>>;

/// A body as something to read, and why reading it failed, where it did.
fn pieces(
    intake: Intake,
) -> (impl futures_util::Stream<Item = io::Result<axum::body::Bytes>>, Why) {
    let why = Why::default();
    let tells = why.clone();
    let body = stream::unfold(Some(intake), move |intake| {
        let tells = tells.clone();
        async move {
            let mut intake = intake?;
            match intake.next().await {
                Ok(data) => data.map(|data| (Ok(data), Some(intake))),
                Err(fault) => {
                    *tells.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                    Some((Err(io::Error::other("the body failed")), None))
                }
            }
        }
    });
    (body, why)
}

/// A problem of the API in the words of this one.
fn told(fault: api::Fault) -> Refused {
    let api::Fault::Problem(problem) = fault else {
        return Fault::new(Code::InternalError, "the server failed").into();
    };
    let code = match problem.code {
        Problem::TooLarge | Problem::BadRequest => Code::InvalidParameterValue,
        Problem::LimitReached | Problem::DiskFull | Problem::OverQuota => Code::ResourceExhausted,
        Problem::Busy => Code::TemporarilyUnavailable,
        Problem::NotFound => Code::ResourceDoesNotExist,
        _ => Code::InternalError,
    };
    Fault::new(code, problem.detail).into()
}

/// `GET /api/2.0/mlflow-artifacts/artifacts/<place>`
pub(super) async fn get(asked: &Asked, path: &str) -> Result<Response, Refused> {
    let place = Place::read(path)?;
    let keeper = Keeper::of(asked, Verb::RunRead, &place).await?;
    let name = format!("{}/{}", keeper.uuid, place.path);
    for dataset in keeper.readable(asked).await?.into_iter().rev() {
        let object = asked.app.data.object(&dataset, &name, At::Now).await;
        let Some(object) = object.map_err(|e| told(api::data::refused(e)))? else { continue };
        let length = object.entry.bytes.0;
        let read = reads::Read {
            actor: asked.who.principal.user.to_string(),
            token: asked.who.token.clone(),
            dataset: dataset.is.name.to_string(),
            queue: dataset.is.queue.to_string(),
            by_run: asked.run.is_some(),
            tier: dataset.is.tier,
            path: object.entry.path.clone(),
            change: object.entry.since,
            bytes: length,
            policies: keeper.policies.clone(),
            at: asked.now,
        };
        asked.app.reads.note(read).await?;
        let sent = outgoing(object, 0..length, None).await;
        let sent = sent.map_err(|e| told(api::data::refused(e)))?;
        return Ok((as_bytes(length), Body::from_stream(sent.stream())).into_response());
    }
    let none = || {
        let told = format!("{} kept no file `{}`", keeper.uuid, quoted(&place.path));
        Fault::new(Code::ResourceDoesNotExist, told)
    };
    // That files may not leave is told to whoever sees what keeps them; that there is none is not.
    let about = (keeper.resource(keeper.tier), keeper.uuid.clone());
    asked.may(Verb::RunArtifacts, about, none).await?;
    Err(none().into())
}

/// Bytes, never something that a browser renders.
fn as_bytes(length: u64) -> HeaderMap {
    let always = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let pair = |(name, text): (HeaderName, &'static str)| (name, HeaderValue::from_static(text));
    let mut headers: HeaderMap = always.into_iter().map(pair).collect();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers
}

/// A file or a folder.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct File {
    path: String,
    is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ListAsked {
    path: Option<String>,
    run_id: Option<String>,
}

/// `GET /api/2.0/mlflow-artifacts/artifacts?path=<place>`: paths are as seen from there.
pub(super) async fn list_at(asked: &Asked) -> Result<Response, Refused> {
    let said: ListAsked = asked.said()?;
    let place = Place::read(&said.path.unwrap_or_default())?;
    let keeper = Keeper::of(asked, Verb::RunRead, &place).await?;
    let files = list(asked, &keeper, &place.path).await?;
    Ok(answered(StatusCode::OK, answer(&json!({ "files": files }))?))
}

/// `GET /api/2.0/mlflow/artifacts/list`: paths are as seen from the run.
pub(super) async fn list_of_run(asked: &Asked) -> Answer {
    let said: ListAsked = asked.said()?;
    let id = check::run_id(said.run_id.as_deref())?;
    let found = asked.tracked(Verb::RunRead, &id).await?;
    let root = words::artifact_uri(&found.row);
    list_below(asked, &Keeper::of_run(found), (root, said.path)).await
}

/// `GET /api/2.0/mlflow/logged-models/<model>/artifacts/directories`
pub(super) async fn list_of_model(asked: &Asked, id: &str) -> Answer {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Below {
        artifact_directory_path: Option<String>,
    }
    let said: Below = asked.said()?;
    let found = models::found(asked, Verb::RunRead, id).await?;
    let root = words::model_uri(&found.row);
    list_below(asked, &Keeper::of_model(found), (root, said.artifact_directory_path)).await
}

/// A folder, its paths as seen from what keeps it.
async fn list_below(
    asked: &Asked,
    keeper: &Keeper,
    (root, path): (String, Option<String>),
) -> Answer {
    let path = path.unwrap_or_default();
    legal(&path)?;
    let mut files = list(asked, keeper, &path).await?;
    if !path.is_empty() {
        files.iter_mut().for_each(|file| file.path = format!("{path}/{}", file.path));
    }
    answer(&json!({ "root_uri": root, "files": files }))
}

/// What is in a folder, of all that the caller may read.
async fn list(asked: &Asked, keeper: &Keeper, path: &str) -> Result<Vec<File>, Refused> {
    let prefix = match path {
        "" => format!("{}/", keeper.uuid),
        path => format!("{}/{path}/", keeper.uuid),
    };
    let mut all: BTreeMap<String, File> = BTreeMap::new();
    for dataset in keeper.readable(asked).await? {
        let mut after = String::new();
        loop {
            let (of, delimiter) = (prefix.clone(), Some("/".to_owned()));
            let listing = Listing { prefix: of, delimiter, after, limit: weft_store::PAGE_MAX };
            let page = asked.app.data.list(&dataset, At::Now, listing, false).await;
            let page = page.map_err(|e| told(api::data::refused(e)))?;
            for folder in page.prefixes {
                let path = folder[prefix.len()..].trim_end_matches('/').to_owned();
                let file = File { path: path.clone(), is_dir: true, file_size: None };
                all.insert(path, file);
            }
            for entry in page.entries {
                let path = entry.entry.path[prefix.len()..].to_owned();
                let file_size = Some(entry.entry.bytes.0);
                all.insert(path.clone(), File { path, is_dir: false, file_size });
            }
            if all.len() > LISTED_MAX {
                let told = format!("more than {LISTED_MAX} files: list a folder of them");
                return Err(Fault::invalid(told).into());
            }
            let Some(next) = page.next else { break };
            after = next;
        }
    }
    Ok(all.into_values().collect())
}

/// `DELETE /api/2.0/mlflow-artifacts/artifacts/<place>`: a file, or a folder with all in it.
pub(super) async fn delete(asked: &Asked, path: &str) -> Result<Response, Refused> {
    let place = Place::read(path)?;
    let keeper = Keeper::of(asked, Verb::RunWrite, &place).await?;
    let (experiment, owner) = (keeper.experiment.id, keeper.owner.clone());
    let places = asked.app.store.read(move |r| r.artifact_places(experiment, &owner)).await?;
    let resource = format!("{}/{}", keeper.uuid, quoted(&place.path));
    let detail = json!({ "deletes": true });
    let row = asked.row(Verb::RunWrite, resource, &keeper.policies, detail);
    asked.app.store.write(move |w| w.append_audit(row).map(drop)).await?;
    for (_, dataset) in places {
        empty(&asked.app, &dataset, &keeper.uuid, &place.path).await?;
    }
    Ok(answered(StatusCode::OK, b"{}".to_vec()))
}

/// Deletes a file, or all files in a folder.
async fn empty(
    app: &api::App,
    dataset: &DatasetRow,
    root: &str,
    path: &str,
) -> Result<(), StoreError> {
    let (id, root, path) = (dataset.id, root.to_owned(), path.to_owned());
    loop {
        let (root, path) = (root.clone(), path.clone());
        let slice = move |w: &mut Write<'_>| -> Result<bool, StoreError> {
            let now = weft_agent::now();
            let folder =
                if path.is_empty() { format!("{root}/") } else { format!("{root}/{path}/") };
            if !path.is_empty() {
                w.delete_object(id, &format!("{root}/{path}"), &Expected::Anything, now)?;
            }
            let listing = Listing { prefix: folder, limit: 200, ..Listing::default() };
            let page = w.list_objects(id, At::Now, &listing, false)?;
            for (entry, _) in &page.entries {
                w.delete_object(id, &entry.path, &Expected::Anything, now)?;
            }
            Ok(page.next.is_some())
        };
        if !app.store.write(slice).await? {
            return Ok(());
        }
    }
}

/// Deletes all files of a run or a model that is to be forgotten.
pub(super) async fn forget(
    app: &api::App,
    (experiment, owner): (ExperimentId, &UserName),
    uuid: &str,
) -> Result<(), StoreError> {
    let owner = owner.clone();
    for (_, dataset) in app.store.read(move |r| r.artifact_places(experiment, &owner)).await? {
        empty(app, &dataset, uuid, "").await?;
    }
    Ok(())
}
