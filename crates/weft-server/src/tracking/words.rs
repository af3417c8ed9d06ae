//! What is answered: experiments and runs as MLflow's clients read them.

use super::door::Answer;
use serde::{Serialize, Serializer};
use weft_store::{ExperimentRow, ModelRow, ModelUse, Read, StoreError, TrackedInput, TrackedRow};
use weft_tracking::Status;
use weft_tracking::check::{Kept, Point};
use weft_tracking::wire::{Metric, Pair};

/// An answer as bytes.
pub(super) fn answer<T: Serialize>(words: &T) -> Answer {
    let written = serde_json::to_vec(words);
    written.map_err(|e| StoreError::Damaged(e.to_string()).into())
}

/// An answer that says nothing but that it was done.
pub(super) fn done() -> Answer {
    Ok(b"{}".to_vec())
}

/// What is there, or deleted and may come back.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    Active,
    Deleted,
}

impl Stage {
    fn of(is_deleted: bool) -> Self {
        if is_deleted { Self::Deleted } else { Self::Active }
    }
}

/// An experiment.
#[derive(Serialize)]
pub(super) struct Experiment {
    experiment_id: String,
    name: String,
    artifact_location: String,
    lifecycle_stage: Stage,
    creation_time: u64,
    last_update_time: u64,
    tags: Vec<Pair>,
}

impl Experiment {
    pub(super) fn of(r: &Read<'_>, row: &ExperimentRow) -> Result<Self, StoreError> {
        let tags = r.experiment_tags(row.id)?;
        let pair = |(key, value)| Pair { key: Some(key), value: Some(value) };
        Ok(Self {
            experiment_id: row.id.0.to_string(),
            name: row.is.name.clone(),
            artifact_location: format!("mlflow-artifacts:/{}", row.id.0),
            lifecycle_stage: Stage::of(row.deleted_at.is_some()),
            creation_time: row.is.at.0,
            last_update_time: row.updated_at.0,
            tags: tags.into_iter().map(pair).collect(),
        })
    }
}

/// What a run is.
#[derive(Serialize)]
pub(super) struct Info {
    run_id: String,
    run_uuid: String,
    run_name: String,
    experiment_id: String,
    /// Who it is to the platform, whatever a program says of itself.
    user_id: String,
    #[serde(serialize_with = "word")]
    status: Status,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: String,
    lifecycle_stage: Stage,
}

fn word<S: Serializer>(status: &Status, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(status.as_str())
}

impl Info {
    pub(super) fn of(row: &TrackedRow) -> Self {
        Self {
            run_id: row.is.uuid.clone(),
            run_uuid: row.is.uuid.clone(),
            run_name: row.is.name.clone(),
            experiment_id: row.is.experiment.0.to_string(),
            user_id: row.is.owner.to_string(),
            status: row.status,
            start_time: row.is.started_at,
            end_time: row.ended_at,
            artifact_uri: artifact_uri(row),
            lifecycle_stage: Stage::of(row.deleted_at.is_some()),
        }
    }
}

/// Where the artifacts of a run are, to clients.
pub(super) fn artifact_uri(row: &TrackedRow) -> String {
    format!("mlflow-artifacts:/{}/{}/artifacts", row.is.experiment.0, row.is.uuid)
}

#[derive(Serialize)]
struct Data {
    metrics: Vec<Metric>,
    params: Vec<Pair>,
    tags: Vec<Pair>,
}

#[derive(Serialize)]
struct Inputs {
    dataset_inputs: Vec<DatasetInput>,
    model_inputs: Vec<UsedModel>,
}

#[derive(Serialize)]
struct Outputs {
    model_outputs: Vec<UsedModel>,
}

#[derive(Serialize)]
struct UsedModel {
    model_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<i64>,
}

#[derive(Serialize)]
struct DatasetInput {
    tags: Vec<Pair>,
    dataset: Dataset,
}

#[derive(Serialize)]
struct Dataset {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
}

/// A run, and all that was tracked but the past of its metrics.
#[derive(Serialize)]
pub(super) struct Run {
    info: Info,
    data: Data,
    inputs: Inputs,
    outputs: Outputs,
}

impl Run {
    pub(super) fn of(r: &Read<'_>, row: &TrackedRow) -> Result<Self, StoreError> {
        Ok(Self {
            info: Info::of(row),
            data: Data {
                metrics: r.tracked_metrics(row.id)?.into_iter().map(metric).collect(),
                params: pairs(r.tracked_params(row.id)?),
                tags: pairs(r.tracked_tags(row.id)?),
            },
            inputs: Inputs {
                dataset_inputs: r.tracked_inputs(row.id)?.into_iter().map(input).collect(),
                model_inputs: used(r.models_of_run(row.id, ModelUse::Input)?, false),
            },
            outputs: Outputs {
                model_outputs: used(r.models_of_run(row.id, ModelUse::Output)?, true),
            },
        })
    }
}

fn used(models: Vec<(String, i64)>, steps: bool) -> Vec<UsedModel> {
    let used = |(model_id, step)| UsedModel { model_id, step: steps.then_some(step) };
    models.into_iter().map(used).collect()
}

fn pairs(all: Vec<Kept>) -> Vec<Pair> {
    let pair = |kept: Kept| Pair { key: Some(kept.key), value: Some(kept.value) };
    all.into_iter().map(pair).collect()
}

/// A logged model.
#[derive(Serialize)]
pub(super) struct Model {
    info: ModelInfo,
    data: ModelData,
}

#[derive(Serialize)]
struct ModelInfo {
    model_id: String,
    experiment_id: String,
    name: String,
    creation_timestamp_ms: u64,
    last_updated_timestamp_ms: u64,
    artifact_uri: String,
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    model_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    source_run_id: String,
    tags: Vec<Pair>,
}

#[derive(Serialize)]
struct ModelData {
    params: Vec<Pair>,
    metrics: Vec<Metric>,
}

impl Model {
    pub(super) fn of(r: &Read<'_>, row: &ModelRow) -> Result<Self, StoreError> {
        let measured = |(point, run): (Point, String)| {
            let (model_id, run_id) = (Some(row.is.uuid.clone()), Some(run));
            Metric { model_id, run_id, ..metric(point) }
        };
        Ok(Self {
            info: ModelInfo {
                model_id: row.is.uuid.clone(),
                experiment_id: row.is.experiment.0.to_string(),
                name: row.is.name.clone(),
                creation_timestamp_ms: row.is.at.0,
                last_updated_timestamp_ms: row.updated_at.0,
                artifact_uri: model_uri(row),
                status: row.status.wire(),
                model_type: row.is.model_type.clone(),
                source_run_id: row.is.run.clone(),
                tags: pairs(r.model_tags(row.id)?),
            },
            data: ModelData {
                params: pairs(r.model_params(row.id)?),
                metrics: r.model_metrics(row.id)?.into_iter().map(measured).collect(),
            },
        })
    }
}

/// Where the artifacts of a model are, to clients.
pub(super) fn model_uri(row: &ModelRow) -> String {
    format!("mlflow-artifacts:/{}/models/{}/artifacts", row.is.experiment.0, row.is.uuid)
}

/// A point.
pub(super) fn metric(point: Point) -> Metric {
    Metric {
        key: Some(point.key),
        value: Some(point.value),
        timestamp: Some(point.timestamp),
        step: Some(point.step),
        ..Metric::default()
    }
}

fn input(kept: TrackedInput) -> DatasetInput {
    let TrackedInput { name, digest, source_type, source, schema, profile, tags } = kept;
    let pair = |(key, value)| Pair { key: Some(key), value: Some(value) };
    DatasetInput {
        tags: tags.into_iter().map(pair).collect(),
        dataset: Dataset { name, digest, source_type, source, schema, profile },
    }
}
