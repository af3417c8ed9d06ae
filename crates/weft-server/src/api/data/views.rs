//! Views of a dataset: made, and told of. What is in them the server makes (`crate::views`).

use super::super::call::Call;
use super::super::fault::{Fault, at, quoted};
use super::super::guard::of_dataset;
use super::super::reply::Reply;
use super::super::state::App;
use super::refused;
use super::sets::{check_text, empty};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use weft_api::problem::{Code, Problem};
use weft_api::wire::{DatasetView, LeftOutFile, MakeView, ViewVersion};
use weft_gateway::Also;
use weft_policy::{Principal, Verb};
use weft_store::{DatasetRow, NewDataset, Read, StoreError, ViewRow, ViewVersionRow};
use weft_types::DatasetName;
use weft_view::Recipe;

/// Views of one dataset at most: each is made of each of its versions.
const VIEWS_MAX: usize = 50;
/// Versions of the source that are told of.
const TOLD: u32 = 20;

/// `POST /datasets/{dataset}/views`: it is its source's owner's, and as sensitive.
pub(crate) async fn make(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let sent: MakeView = call.json()?;
    let source = call.dataset()?.clone();
    let new = to_be(&call, &source, &sent)?;
    let recipe = recipe(sent.recipe.as_ref())?;
    let (name, of) = (new.name.clone(), source.id);
    let possible = move |r: &Read<'_>| -> Result<(), Fault> {
        if r.dataset(&name)?.is_some() {
            return Err(StoreError::Exists { what: "dataset", id: name.to_string() }.into());
        }
        if r.views_of(of)?.len() >= VIEWS_MAX {
            let detail = format!("it has {VIEWS_MAX} views, and each is made of each version");
            let hint = "remove one that nobody reads: `weft data rm NAME`";
            return Err(Problem::new(Code::LimitReached, detail).hint(hint).into());
        }
        Ok(())
    };
    call.app.store.read(possible).await?;
    if call.dry_run {
        return Ok(call.would(Reply::json(201, &empty(&new))?));
    }
    let told = json!({
        "of": source.is.name,
        "view": new.name,
        "files": sent.files,
        "recipe": sent.recipe,
    });
    let beside = call.beside(move |_: &DatasetRow| told, |row| Reply::json(201, &empty(&row.is)));
    let made_by = call.who.principal.user.clone();
    let also: Also<DatasetRow> = Box::new(move |w, row| {
        // What is known of the source was read before.
        let still = w.dataset_by_id(source.id)?.filter(|now| now.ended_at.is_none());
        if still.is_none_or(|now| now.is.tier != row.is.tier) {
            let (id, by) = (source.is.name.to_string(), "it has changed meanwhile".to_owned());
            return Err(StoreError::InUse { what: "dataset", id, by });
        }
        let (dataset, of, files) = (row.id, source.id, sent.files.clone());
        w.make_view(&ViewRow { dataset, source: of, files, recipe, made_by, sample: false })?;
        beside(w, row)
    });
    let row = call.app.data.make(new, also).await.map_err(refused)?;
    Ok(Reply::json(201, &empty(&row.is))?.into_response())
}

/// A recipe as it is kept; of whole files `{}`.
fn recipe(sent: Option<&Value>) -> Result<String, Fault> {
    let Some(sent) = sent else { return Ok("{}".to_owned()) };
    let read = Recipe::from_value(sent);
    let read = read.map_err(|e| at(Code::BadRequest, "recipe", format!("`recipe`: {e}")))?;
    serde_json::to_string(&read).map_err(|e| StoreError::Damaged(e.to_string()).into())
}

fn to_be(call: &Call, source: &DatasetRow, sent: &MakeView) -> Result<NewDataset, Fault> {
    check_text("about", &sent.about)?;
    if let Some(files) = &sent.files {
        let rule = |e: weft_runtime::outputs::OutputError| format!("`{}`: {e}", quoted(files));
        weft_runtime::outputs::check_pattern(files)
            .map_err(|e| at(Code::BadRequest, "files", rule(e)))?;
    }
    let name = DatasetName::new(sent.name.clone());
    Ok(NewDataset {
        name: name.map_err(|e| at(Code::BadRequest, "name", format!("`name`: {e}")))?,
        queue: source.is.queue.clone(),
        owner: source.is.owner.clone(),
        tier: source.is.tier,
        about: sent.about.clone(),
        at: call.now,
    })
}

/// What a dataset is a view of. Its source, its pattern of files, its recipe (which names columns
/// that are not shown), what became of the source's versions and the names of files are told to
/// whom may know of that.
pub(super) fn told(
    r: &Read<'_>,
    app: &App,
    who: &Principal,
    row: &DatasetRow,
) -> Result<Option<DatasetView>, StoreError> {
    let Some(view) = r.view(row.id)? else { return Ok(None) };
    let source = r.dataset_by_id(view.source)?;
    let sees = |source: &DatasetRow| app.decide(who, Verb::DataInfo, of_dataset(source)).allow;
    let source = source.filter(sees);
    let (versions, recipe) = match &source {
        Some(_) => (r.view_versions(row.id, TOLD)?, serde_json::from_str(&view.recipe).ok()),
        None => (Vec::new(), None),
    };
    let recipe = recipe.filter(|recipe: &Value| *recipe != json!({}));
    let files = view.files.filter(|_| source.is_some());
    Ok(Some(DatasetView {
        of: source.map(|source| match source.ended_at {
            None => source.is.name.to_string(),
            Some(_) => format!("{} (removed)", source.is.name),
        }),
        files,
        recipe,
        by: view.made_by.to_string(),
        versions: versions.into_iter().map(version).collect(),
    }))
}

fn version(row: ViewVersionRow) -> ViewVersion {
    let files = row.left_out.files.into_iter();
    ViewVersion {
        of: row.source,
        version: row.version,
        why: row.why,
        left_out: row.left_out.count,
        files: files.map(|(path, why)| LeftOutFile { path, why }).collect(),
    }
}

/// The views of a dataset that the caller may know of, by name.
pub(super) fn names(
    r: &Read<'_>,
    app: &App,
    who: &Principal,
    row: &DatasetRow,
) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for view in r.views_of(row.id)?.into_iter().filter(|view| !view.sample) {
        let row = r.dataset_by_id(view.dataset)?;
        let sees = |row: &DatasetRow| app.decide(who, Verb::DataInfo, of_dataset(row)).allow;
        names.extend(row.filter(sees).map(|row| row.is.name.to_string()));
    }
    Ok(names)
}
