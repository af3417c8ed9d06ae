//! Logged models: what a run made, as a thing of its own, with files, parameters and metrics.
//!
//! To the policy a model is as a run is: its owner writes it, the team sees it, and it is as
//! sensitive as what the workload read that wrote it.

use super::artifacts;
use super::door::{Answer, Asked, Refused, nowhere};
use super::experiments::inactive;
use super::rights::of_kept;
use super::runs::{NEW_BYTES, full, invented, not_ours, random};
use super::search::{FOUND_MAX, in_order};
use super::words::{Model, answer, done};
use axum::http::Method;
use serde::Deserialize;
use serde_json::json;
use weft_policy::Verb;
use weft_store::{
    ExperimentRow, ModelRow, ModelUse, NewModel, Read, StoreError, TrackedId, TrackedRow, Write,
};
use weft_tracking::check::{self, Batch, Kept};
use weft_tracking::wire::{Pair, list, whole};
use weft_tracking::{Code, Entry, Fault, Field, MODELS, ModelStatus, filter, order};

/// Models that are found at once where nobody says how many.
const FOUND: i64 = 100;

/// Models that a run reads or makes, told at once.
const USED_MAX: usize = 1_000;

/// A model, and the experiment in which it was logged.
pub(super) struct Found {
    pub(super) row: ModelRow,
    pub(super) experiment: ExperimentRow,
    /// By which policies it was found.
    pub(super) policies: Vec<String>,
}

/// Each request by its method and by what stands behind `logged-models`.
pub(super) async fn dispatch(asked: &Asked, method: &Method, rest: &str) -> Answer {
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (method.as_str(), &parts[..]) {
        ("POST", []) => create(asked).await,
        ("POST", ["search"]) => search(asked).await,
        ("GET", [id]) => get(asked, id).await,
        ("PATCH", [id]) => finalize(asked, id).await,
        ("DELETE", [id]) => delete(asked, id).await,
        ("POST", [id, "params"]) => keep(asked, id, What::Params).await,
        ("PATCH", [id, "tags"]) => keep(asked, id, What::Tags).await,
        ("DELETE", [id, "tags", key @ ..]) => delete_tag(asked, id, &key.join("/")).await,
        ("GET", [id, "artifacts", "directories"]) => artifacts::list_of_model(asked, id).await,
        _ => Err(nowhere(method, &format!("logged-models{rest}")).into()),
    }
}

fn missing(id: &str) -> Fault {
    Fault::new(Code::ResourceDoesNotExist, format!("Logged model with ID '{id}' not found."))
}

/// The model that clients call so, if the caller may do this to it.
pub(super) async fn found(asked: &Asked, verb: Verb, id: &str) -> Result<Found, Refused> {
    let id = check::run_id(Some(id)).map_err(|_| missing(id))?;
    let read = |r: &Read<'_>| -> Result<_, StoreError> {
        let Some(row) = r.logged_model(&id)?.filter(|row| row.deleted_at.is_none()) else {
            return Ok(None);
        };
        let experiment = r.experiment(row.is.experiment)?;
        Ok(experiment.map(|experiment| (row, experiment)))
    };
    let found = asked.app.store.glance(read).await?;
    let kept = found
        .as_ref()
        .map(|(row, experiment)| of_kept((&row.is.owner, row.is.tier), &experiment.is.queue));
    let policies = asked.may_kept(verb, kept, &format!("model {id}"), || missing(&id)).await?;
    let (row, experiment) = found.ok_or_else(|| missing(&id))?;
    Ok(Found { row, experiment, policies })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Create {
    experiment_id: Option<String>,
    name: Option<String>,
    model_type: Option<String>,
    source_run_id: Option<String>,
    #[serde(deserialize_with = "list")]
    params: Vec<Pair>,
    #[serde(deserialize_with = "list")]
    tags: Vec<Pair>,
}

async fn create(asked: &Asked) -> Answer {
    let said: Create = asked.said()?;
    let name = said.name.map(named).transpose()?.map_or_else(invented, Ok)?;
    let params = pairs(&said.params, "params", check::param)?;
    let tags = pairs(&said.tags, "tags", check::tag)?;
    tags.iter().try_for_each(|tag| not_ours(&tag.key))?;
    let model_type: String = said.model_type.unwrap_or_default().chars().take(500).collect();
    let id = check::experiment_id(said.experiment_id.as_deref())?;
    let (experiment, _) = asked.experiment(Verb::ExperimentRead, id).await?;
    let run = match said.source_run_id.filter(|run| !run.is_empty()) {
        Some(run) => asked.tracked(Verb::RunRead, &run).await?.row.is.uuid,
        None => String::new(),
    };
    let queue = experiment.is.queue.clone();
    let about = (asked.to_be(&queue), format!("experiment {}", experiment.id.0));
    let unseen = || inactive("experiment", &id.to_string());
    let policies = asked.may(Verb::RunMake, about, unseen).await?;
    let new = NewModel {
        uuid: format!("m-{}", hex::encode(random()?)),
        experiment: experiment.id,
        name,
        owner: asked.who.principal.user.clone(),
        tier: asked.tier(),
        model_type,
        run,
        at: asked.now,
    };
    let detail = json!({ "experiment": experiment.id.0 });
    let audit = asked.row(Verb::RunMake, format!("model {}", new.uuid), &policies, detail);
    let may = asked.app.about.limits.tracking_bytes_per_queue;
    let make = move |w: &mut Write<'_>| -> Result<Model, Refused> {
        let known = w.experiment(experiment.id)?;
        if known.is_none_or(|row| row.deleted_at.is_some()) {
            return Err(inactive("experiment", &id.to_string()).into());
        }
        let row = w.log_model(&new)?;
        let mut grown = NEW_BYTES;
        for param in &params {
            grown += w.keep_model_param(row.id, param)?;
        }
        for tag in &tags {
            grown += w.keep_model_tag(row.id, tag)?;
        }
        w.model_grew((row.id, &queue), grown, may.0).map_err(full)?;
        w.append_audit(audit)?;
        Ok(Model::of(w, &row)?)
    };
    answer(&json!({ "model": asked.app.store.write(make).await? }))
}

/// A name, as `mlflow.utils.validation` has it.
fn named(name: String) -> Result<String, Fault> {
    let is_good = !name.is_empty() && !name.contains(['/', ':', '.', '%', '"', '\'']);
    match is_good && name.chars().count() <= check::EXPERIMENT_NAME_MAX {
        true => Ok(name),
        false => {
            let rule = "Model name must be a non-empty string, of 500 characters at most, and \
                        cannot contain the following characters: / : . % \" '";
            Err(Fault::invalid(format!("Invalid model name ('{name:.600}') provided. {rule}")))
        }
    }
}

fn pairs(
    sent: &[Pair],
    what: &str,
    check: fn(&Pair, &str) -> Result<Kept, Fault>,
) -> Result<Vec<Kept>, Fault> {
    if sent.len() > check::PAIRS_MAX {
        let most = check::PAIRS_MAX;
        return Err(Fault::invalid(format!("{what} are {} at once, at most {most}", sent.len())));
    }
    let each = sent.iter().enumerate();
    each.map(|(at, pair)| check(pair, &format!("{what}[{at}]."))).collect()
}

async fn get(asked: &Asked, id: &str) -> Answer {
    let found = found(asked, Verb::RunRead, id).await?;
    let model = asked.app.store.glance(|r| Model::of(r, &found.row)).await?;
    answer(&json!({ "model": model }))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Finalize {
    status: Option<String>,
}

async fn finalize(asked: &Asked, id: &str) -> Answer {
    let said: Finalize = asked.said()?;
    let word = said.status.ok_or_else(|| Fault::missing("status"))?;
    let rule = "It must be LOGGED_MODEL_PENDING, LOGGED_MODEL_READY or LOGGED_MODEL_UPLOAD_FAILED.";
    let status =
        ModelStatus::from_wire(&word).ok_or_else(|| Fault::value("status", &word, rule))?;
    let model = change(asked, id, move |w, row, at| {
        w.change_model(row.id, Some(status), false, at)?;
        Ok(0)
    });
    answer(&json!({ "model": model.await? }))
}

/// Changes a model in one transaction, and what it is then. What the caller carries it is from then
/// on; `change` says by how many bytes it grew.
async fn change<F>(asked: &Asked, id: &str, change: F) -> Result<Model, Refused>
where
    F: FnOnce(&mut Write<'_>, &ModelRow, weft_types::Timestamp) -> Result<i64, Refused>
        + Send
        + 'static,
{
    let Found { row, experiment, .. } = found(asked, Verb::RunWrite, id).await?;
    let may = asked.app.about.limits.tracking_bytes_per_queue;
    let (carries, now) = (asked.who.principal.carries, asked.now);
    let write = move |w: &mut Write<'_>| -> Result<Model, Refused> {
        if carries > row.is.tier {
            w.raise_model(row.id, carries)?;
        }
        let grown = change(w, &row, now)?;
        w.model_grew((row.id, &experiment.is.queue), grown, may.0).map_err(full)?;
        let now = w.logged_model(&row.is.uuid)?;
        Ok(Model::of(w, now.as_ref().unwrap_or(&row))?)
    };
    asked.app.store.write(write).await
}

async fn delete(asked: &Asked, id: &str) -> Answer {
    let found = found(asked, Verb::RunWrite, id).await?;
    let detail = json!({ "deletes": true });
    let audit = asked.row(Verb::RunWrite, format!("model {id}"), &found.policies, detail);
    let now = asked.now;
    let delete = move |w: &mut Write<'_>| -> Result<(), StoreError> {
        w.append_audit(audit)?;
        w.change_model(found.row.id, None, true, now)
    };
    asked.app.store.write(delete).await?;
    done()
}

#[derive(Clone, Copy)]
enum What {
    Params,
    Tags,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pairs {
    #[serde(deserialize_with = "list")]
    params: Vec<Pair>,
    #[serde(deserialize_with = "list")]
    tags: Vec<Pair>,
}

async fn keep(asked: &Asked, id: &str, what: What) -> Answer {
    let said: Pairs = asked.said()?;
    let kept = match what {
        What::Params => pairs(&said.params, "params", check::param)?,
        What::Tags => pairs(&said.tags, "tags", check::tag)?,
    };
    kept.iter().try_for_each(|pair| not_ours(&pair.key))?;
    let model = change(asked, id, move |w, row, at| {
        let mut grown = 0;
        for pair in &kept {
            grown += match what {
                What::Params => w.keep_model_param(row.id, pair)?,
                What::Tags => w.keep_model_tag(row.id, pair)?,
            };
        }
        w.change_model(row.id, None, false, at)?;
        Ok(grown)
    });
    answer(&json!({ "model": model.await? }))
}

async fn delete_tag(asked: &Asked, id: &str, key: &str) -> Answer {
    not_ours(key)?;
    let (key, of) = (key.to_owned(), id.to_owned());
    change(asked, id, move |w, row, _| match w.take_model_tag(row.id, &key)? {
        true => Ok(0),
        false => {
            let told = format!("No tag with key '{key}' found for model with ID '{of}'.");
            Err(Fault::new(Code::ResourceDoesNotExist, told).into())
        }
    })
    .await?;
    done()
}

/// The points of a batch that are of models, too: of models of the same owner in the same
/// experiment.
pub(super) fn keep_points(
    w: &mut Write<'_>,
    run: &TrackedRow,
    batch: &Batch,
) -> Result<(), Refused> {
    for (at, id) in &batch.of_models {
        let is_its = |row: &ModelRow| {
            row.deleted_at.is_none()
                && (row.is.experiment, &row.is.owner) == (run.is.experiment, &run.is.owner)
        };
        let row = w.logged_model(id)?.filter(is_its).ok_or_else(|| missing(id))?;
        if run.is.tier > row.is.tier {
            w.raise_model(row.id, run.is.tier)?;
        }
        if let Some(point) = batch.points.get(*at) {
            w.keep_model_point((row.id, run.id), point)?;
        }
    }
    Ok(())
}

/// A model that a run reads or makes.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Used {
    model_id: Option<String>,
    #[serde(deserialize_with = "whole")]
    step: Option<i64>,
}

/// Keeps that a run reads or makes models; by how many bytes it grew.
pub(super) fn keep_used(
    w: &mut Write<'_>,
    (run, kind): (TrackedId, ModelUse),
    used: &[Used],
) -> Result<i64, Refused> {
    if used.len() > USED_MAX {
        return Err(Fault::invalid(format!("at most {USED_MAX} models at once")).into());
    }
    let mut grown = 0;
    for model in used {
        let id = check::run_id(model.model_id.as_deref())?;
        grown += w.run_uses_model((run, kind), (&id, model.step.unwrap_or_default()))?;
    }
    Ok(grown)
}

/// A model as filters and orders see it.
struct Candidate {
    row: ModelRow,
    params: Vec<Kept>,
    tags: Vec<Kept>,
    metrics: Vec<(String, f64)>,
}

impl Entry for Candidate {
    fn text(&self, attribute: &str) -> Option<&str> {
        let is = &self.row.is;
        let text = match attribute {
            "name" => &is.name,
            "model_id" => &is.uuid,
            "model_type" => &is.model_type,
            "source_run_id" => &is.run,
            "status" => return Some(self.row.status.word()),
            _ => return None,
        };
        Some(text.as_str()).filter(|text| !text.is_empty())
    }

    fn number(&self, attribute: &str) -> Option<i64> {
        let at = match attribute {
            "creation_timestamp" => self.row.is.at,
            _ => self.row.updated_at,
        };
        i64::try_from(at.0).ok()
    }

    fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| known == key).map(|(_, value)| *value)
    }

    fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|kept| kept.key == key).map(|kept| kept.value.as_str())
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|kept| kept.key == key).map(|kept| kept.value.as_str())
    }

    fn any_dataset(&self, _: &str, _: &mut dyn FnMut(&str) -> bool) -> bool {
        false
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Search {
    #[serde(deserialize_with = "list")]
    experiment_ids: Vec<String>,
    filter: Option<String>,
    #[serde(deserialize_with = "whole")]
    max_results: Option<i64>,
    #[serde(deserialize_with = "list")]
    order_by: Vec<OrderBy>,
    page_token: Option<String>,
    #[serde(deserialize_with = "list")]
    datasets: Vec<serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OrderBy {
    field_name: Option<String>,
    ascending: Option<bool>,
}

async fn search(asked: &Asked) -> Answer {
    let said: Search = asked.said()?;
    if !said.datasets.is_empty() {
        let told = "models are not found by datasets: leave `datasets` out";
        return Err(Fault::new(Code::NotImplemented, told).into());
    }
    let clauses = filter::parse(said.filter.as_deref().unwrap_or_default(), &MODELS)?;
    if clauses.iter().any(|clause| matches!(clause.field, Field::Dataset(_))) {
        return Err(Fault::invalid("models have no datasets.…").into());
    }
    let mut orders = Vec::new();
    for by in &said.order_by {
        let field = by.field_name.as_deref().ok_or_else(|| Fault::missing("field_name"))?;
        let way = if by.ascending.unwrap_or(true) { "ASC" } else { "DESC" };
        orders.push(order::parse(&format!("{field} {way}"), &MODELS)?);
    }
    orders.push(order::parse("creation_timestamp DESC", &MODELS)?);
    orders.push(order::parse("model_id ASC", &MODELS)?);
    let most = said.max_results.filter(|most| *most != 0).unwrap_or(FOUND);
    let bounds = super::search::bounds((most, FOUND_MAX), said.page_token.as_deref())?;
    let experiments = asked.seen(&said.experiment_ids).await?;
    let (app, who) = (asked.app.clone(), asked.who.principal.clone());
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        let mut all = Vec::new();
        for experiment in &experiments {
            for row in r.logged_models(experiment.id)? {
                let resource = of_kept((&row.is.owner, row.is.tier), &experiment.is.queue);
                if !app.decide(&who, Verb::RunRead, resource).allow {
                    continue;
                }
                let metrics = r.model_metrics(row.id)?.into_iter();
                let candidate = Candidate {
                    params: r.model_params(row.id)?,
                    tags: r.model_tags(row.id)?,
                    metrics: metrics.map(|(point, _)| (point.key, point.value)).collect(),
                    row,
                };
                if clauses.iter().all(|clause| clause.holds(&candidate)) {
                    all.push(candidate);
                }
            }
        }
        let (found, next) = in_order(all, &orders, bounds);
        let words = found.iter().map(|found| Model::of(r, &found.row));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        Ok((words, next, found.into_iter().map(|found| found.row).collect::<Vec<_>>()))
    };
    let (models, next, rows) = asked.app.store.read(read).await?;
    let kept = rows.iter().map(|row| (&row.is.owner, row.is.tier, row.is.uuid.as_str()));
    asked.looks_at(kept).await?;
    answer(&match next {
        None => json!({ "models": models }),
        Some(next) => json!({ "models": models, "next_page_token": next }),
    })
}
