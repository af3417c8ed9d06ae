//! What a run tells: points of metrics, parameters, tags, the datasets that it read.

use super::door::{Answer, Asked, Refused};
use super::models::{self, Used};
use super::runs::{NAME_TAG, Which, change_run, not_ours};
use super::words::{answer, done, metric as words};
use serde::{Deserialize, Serialize};
use weft_policy::Verb;
use weft_store::{ModelUse, PointMark, TrackedChange, TrackedInput, TrackedRow, Write};
use weft_tracking::Fault;
use weft_tracking::check::{self, Batch, Kept};
use weft_tracking::wire::{LogBatch, Metric, Pair, list, whole};

/// Points in a page of a metric's past where nobody says how many.
const PAGE: i64 = 25_000;

/// Datasets that a run reads, told at once.
const INPUTS_MAX: usize = 1_000;

/// `runs/log-metric`
pub(super) async fn metric(asked: &Asked) -> Answer {
    let (which, said): (Which, Metric) = (asked.said()?, asked.said()?);
    let points = vec![check::point(&said, "")?];
    let of_models = check::of_models(std::slice::from_ref(&said));
    keep(asked, &which.id()?, Batch { points, of_models, ..Batch::default() }).await
}

/// `runs/log-parameter`
pub(super) async fn param(asked: &Asked) -> Answer {
    let (which, said): (Which, Pair) = (asked.said()?, asked.said()?);
    let params = vec![check::param(&said, "")?];
    keep(asked, &which.id()?, Batch { params, ..Batch::default() }).await
}

/// `runs/set-tag`
pub(super) async fn set_tag(asked: &Asked) -> Answer {
    let (which, said): (Which, Pair) = (asked.said()?, asked.said()?);
    let tags = vec![check::tag(&said, "")?];
    keep(asked, &which.id()?, Batch { tags, ..Batch::default() }).await
}

/// `runs/log-batch`
pub(super) async fn batch(asked: &Asked) -> Answer {
    let said: LogBatch = asked.said()?;
    let id = check::run_id(said.run_id.as_deref())?;
    keep(asked, &id, check::batch(&said)?).await
}

/// Keeps all of it or nothing.
async fn keep(asked: &Asked, id: &str, batch: Batch) -> Answer {
    batch.tags.iter().try_for_each(|tag| not_ours(&tag.key))?;
    change_run(asked, id, move |w, row| kept(w, row, &batch)).await?;
    done()
}

fn kept(w: &mut Write<'_>, row: &TrackedRow, batch: &Batch) -> Result<i64, Refused> {
    let mut grown = 0;
    for param in &batch.params {
        match w.tracked_param(row.id, &param.key)? {
            None => grown += w.keep_param(row.id, param)?,
            Some(was) if was == param.value => {}
            Some(was) => return Err(changed(row, param, &was).into()),
        }
    }
    grown += w.keep_points(row.id, &batch.points)?;
    models::keep_points(w, row, batch)?;
    for tag in &batch.tags {
        grown += w.keep_tag(row.id, tag)?;
        if tag.key == NAME_TAG {
            let name = Some(tag.value.chars().take(check::KEY_MAX).collect());
            w.change_tracked(row.id, &TrackedChange { name, ..TrackedChange::default() })?;
        }
    }
    Ok(grown)
}

/// What a run was given stays what it was given.
fn changed(row: &TrackedRow, param: &Kept, was: &str) -> Fault {
    Fault::invalid(format!(
        "Changing param values is not allowed. Param with key='{}' was already logged with \
         value='{was}' for run ID='{}'. Attempted logging new value '{}'.",
        param.key, row.is.uuid, param.value
    ))
}

/// `runs/delete-tag`
pub(super) async fn delete_tag(asked: &Asked) -> Answer {
    let (which, said): (Which, Pair) = (asked.said()?, asked.said()?);
    let key = said.key.ok_or_else(|| Fault::missing("key"))?;
    not_ours(&key)?;
    let take = move |w: &mut Write<'_>, row: &TrackedRow| -> Result<i64, Refused> {
        let missing = || {
            let told = format!("No tag with name: {key} in run with id {}", row.is.uuid);
            Fault::new(weft_tracking::Code::ResourceDoesNotExist, told)
        };
        Ok(w.take_tag(row.id, &key)?.ok_or_else(missing)?)
    };
    change_run(asked, &which.id()?, take).await?;
    done()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Inputs {
    #[serde(deserialize_with = "list")]
    datasets: Vec<Input>,
    #[serde(deserialize_with = "list")]
    models: Vec<Used>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Input {
    #[serde(deserialize_with = "list")]
    tags: Vec<Pair>,
    dataset: Option<Dataset>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Dataset {
    name: Option<String>,
    digest: Option<String>,
    source_type: Option<String>,
    source: Option<String>,
    schema: Option<String>,
    profile: Option<String>,
}

/// `runs/log-inputs`
pub(super) async fn inputs(asked: &Asked) -> Answer {
    let (which, said): (Which, Inputs) = (asked.said()?, asked.said()?);
    if said.datasets.len() > INPUTS_MAX {
        return Err(Fault::invalid(format!("at most {INPUTS_MAX} datasets at once")).into());
    }
    let place = |at: usize| format!("datasets[{at}]");
    let inputs = said.datasets.into_iter().enumerate().map(|(at, said)| input(said, &place(at)));
    let inputs: Vec<TrackedInput> = inputs.collect::<Result<_, _>>()?;
    let keep = move |w: &mut Write<'_>, row: &TrackedRow| -> Result<i64, Refused> {
        let mut grown = 0;
        for input in &inputs {
            grown += w.keep_input(row.id, input)?;
        }
        Ok(grown + models::keep_used(w, (row.id, ModelUse::Input), &said.models)?)
    };
    change_run(asked, &which.id()?, keep).await?;
    done()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Outputs {
    #[serde(deserialize_with = "list")]
    models: Vec<Used>,
}

/// `runs/outputs`
pub(super) async fn outputs(asked: &Asked) -> Answer {
    let (which, said): (Which, Outputs) = (asked.said()?, asked.said()?);
    let keep = move |w: &mut Write<'_>, row: &TrackedRow| {
        models::keep_used(w, (row.id, ModelUse::Output), &said.models)
    };
    change_run(asked, &which.id()?, keep).await?;
    done()
}

/// A dataset, within the lengths that `mlflow.utils.validation` has.
fn input(said: Input, place: &str) -> Result<TrackedInput, Fault> {
    let Some(dataset) = said.dataset else { return Err(Fault::missing(place)) };
    let text = |name: &str, said: Option<String>, most: usize| -> Result<String, Fault> {
        let parameter = format!("{place}.dataset.{name}");
        let text = said.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Fault::missing(&parameter))?;
        match text.chars().count() <= most {
            true => Ok(text),
            false => {
                let told = format!("'{parameter}' exceeds the maximum length of {most} characters");
                Err(Fault::invalid(told))
            }
        }
    };
    let optional = |name: &str, said: Option<String>, most: usize| {
        let said = said.filter(|text| !text.is_empty());
        said.map(|said| text(name, Some(said), most)).transpose()
    };
    let tags = said.tags.into_iter().map(|tag| {
        let key = text("tags.key", tag.key, 255)?;
        Ok((key, optional("tags.value", tag.value, 500)?.unwrap_or_default()))
    });
    Ok(TrackedInput {
        tags: tags.collect::<Result<_, Fault>>()?,
        name: text("name", dataset.name, 500)?,
        digest: text("digest", dataset.digest, 36)?,
        source_type: text("source_type", dataset.source_type, 36)?,
        source: text("source", dataset.source, 65_535)?,
        schema: optional("schema", dataset.schema, 65_535)?,
        profile: optional("profile", dataset.profile, 16_777_215)?,
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct History {
    metric_key: Option<String>,
    #[serde(deserialize_with = "whole")]
    max_results: Option<i64>,
    page_token: Option<String>,
}

#[derive(Serialize)]
struct Points {
    metrics: Vec<Metric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `metrics/get-history`: the points of a metric, in the order of moment, step and value.
pub(super) async fn history(asked: &Asked) -> Answer {
    let (which, said): (Which, History) = (asked.said()?, asked.said()?);
    let id = which.id()?;
    let key = said.metric_key.ok_or_else(|| Fault::missing("metric_key"))?;
    let most = said.max_results.unwrap_or(PAGE);
    if most <= 0 {
        let rule = "It must be a positive integer.";
        return Err(Fault::value("max_results", &most.to_string(), rule).into());
    }
    let most = usize::try_from(most.min(PAGE)).unwrap_or(1);
    let token = said.page_token.filter(|token| !token.is_empty());
    let behind = token.map(|token| mark(&token)).transpose()?;
    let found = asked.tracked(Verb::RunRead, &id).await?;
    let run = found.row.id;
    let read = asked.app.store.read(move |r| r.metric_history((run, &key), behind, most + 1));
    let mut points = read.await?;
    let is_more = points.len() > most;
    points.truncate(most);
    let next = points.last().filter(|_| is_more).map(|(_, mark)| token_of(mark));
    let metrics = points.into_iter().map(|(point, _)| words(point)).collect();
    answer(&Points { metrics, next_page_token: next })
}

fn token_of(mark: &PointMark) -> String {
    format!("{}.{}.{}", mark.at, mark.step, mark.value)
}

fn mark(token: &str) -> Result<PointMark, Fault> {
    let mut parts = token.splitn(3, '.').map(|part| part.parse::<i64>().ok());
    let mut next = || parts.next().flatten();
    match (next(), next(), next()) {
        (Some(at), Some(step), Some(value)) => Ok(PointMark { at, step, value }),
        _ => {
            let rule = "It must be the next_page_token of an answer.";
            Err(Fault::value("page_token", token, rule))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_where_one_ended() {
        let at = PointMark { at: 5, step: -3, value: i64::MIN };
        assert_eq!(mark(&token_of(&at)).unwrap(), at);
        for bad in ["", "1", "1.2", "1.2.x", "1.2.3.4"] {
            assert!(mark(bad).is_err(), "{bad}");
        }
    }
}
