//! What may be kept: the limits that MLflow's clients are written for, and its rules for names.
//!
//! The figures are those of `mlflow.utils.validation`; lengths are counted in characters.

use crate::Fault;
use crate::wire::{LogBatch, Metric, Pair};
use std::collections::HashSet;

/// Metrics in one batch at most.
pub const METRICS_MAX: usize = 1_000;

/// Parameters in one batch at most, and tags.
pub const PAIRS_MAX: usize = 100;

/// Metrics, parameters and tags together.
pub const ENTITIES_MAX: usize = 1_000;

/// Longest key.
pub const KEY_MAX: usize = 250;

/// Longest value of a parameter; what is longer is cut.
pub const PARAM_MAX: usize = 6_000;

/// Longest value of a run's tag; what is longer is cut.
pub const TAG_MAX: usize = 8_000;

/// Longest value of an experiment's tag; a longer one is refused.
pub const EXPERIMENT_TAG_MAX: usize = 20_000;

/// Longest name of an experiment.
pub const EXPERIMENT_NAME_MAX: usize = 500;

/// A point of a metric that may be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Which metric.
    pub key: String,
    /// Its value, which may be NaN or infinite.
    pub value: f64,
    /// Milliseconds since 1970, not negative.
    pub timestamp: i64,
    /// Of which step; one that is not told is 0.
    pub step: i64,
}

/// A parameter or a tag that may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What a batch keeps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Points, as they came.
    pub points: Vec<Point>,
    /// Which of them are of a model besides: their places, and the model.
    pub of_models: Vec<(usize, String)>,
    /// Parameters, each once.
    pub params: Vec<Kept>,
    /// Tags, as they came.
    pub tags: Vec<Kept>,
}

/// A batch; what is wrong is told with its place, as `metrics[3].name`.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`: nothing of it may be kept.
pub fn batch(sent: &LogBatch) -> Result<Batch, Fault> {
    let (metrics, params, tags) = (sent.metrics.len(), sent.params.len(), sent.tags.len());
    for (what, count, most) in [
        ("metrics", metrics, METRICS_MAX),
        ("params", params, PAIRS_MAX),
        ("tags", tags, PAIRS_MAX),
        ("metrics, params, and tags", metrics + params + tags, ENTITIES_MAX),
    ] {
        if count > most {
            return Err(Fault::invalid(format!(
                "A batch logging request can contain at most {most} {what}. Got {count} {what}. \
                 Please split up {what} across multiple requests and try again."
            )));
        }
    }
    let place = |what: &str, at: usize| format!("{what}[{at}].");
    let each = |(at, metric)| point(metric, &place("metrics", at));
    let points = sent.metrics.iter().enumerate().map(each).collect::<Result<_, _>>()?;
    let each = |(at, pair)| param(pair, &place("params", at));
    let params = sent.params.iter().enumerate().map(each).collect::<Result<Vec<_>, _>>()?;
    let each = |(at, pair)| tag(pair, &place("tags", at));
    let tags = sent.tags.iter().enumerate().map(each).collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    if let Some(twice) = params.iter().find(|param| !seen.insert(&param.key)) {
        return Err(Fault::invalid(format!(
            "Duplicate parameter keys have been submitted: ['{}']. Please ensure the request \
             contains only one param value per param key.",
            twice.key
        )));
    }
    Ok(Batch { points, of_models: of_models(&sent.metrics), params, tags })
}

/// Which of some points are of a model besides.
pub fn of_models(sent: &[Metric]) -> Vec<(usize, String)> {
    let model = |metric: &Metric| metric.model_id.clone().filter(|id| !id.is_empty());
    let each = sent.iter().enumerate();
    each.filter_map(|(at, metric)| Some((at, model(metric)?))).collect()
}

/// A point of a metric.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`.
pub fn point(sent: &Metric, place: &str) -> Result<Point, Fault> {
    let key = key(sent.key.as_deref(), &format!("{place}name"))?;
    let value = sent.value.ok_or_else(|| Fault::missing(&format!("{place}value")))?;
    let when = format!("{place}timestamp");
    let timestamp = sent.timestamp.ok_or_else(|| Fault::missing(&when))?;
    if timestamp < 0 {
        let rule = format!("metric '{key}': Timestamp must be a nonnegative long (64-bit integer)");
        return Err(Fault::value(&when, &timestamp.to_string(), &rule));
    }
    Ok(Point { key, value, timestamp, step: sent.step.unwrap_or(0) })
}

/// A parameter, its value cut to what is kept.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`.
pub fn param(sent: &Pair, place: &str) -> Result<Kept, Fault> {
    pair(sent, place, PARAM_MAX)
}

/// A tag of a run, its value cut to what is kept.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`.
pub fn tag(sent: &Pair, place: &str) -> Result<Kept, Fault> {
    pair(sent, place, TAG_MAX)
}

/// A tag of an experiment.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`: also where its value is too long.
pub fn experiment_tag(sent: &Pair) -> Result<Kept, Fault> {
    let kept = pair(sent, "", usize::MAX)?;
    is_at_most("value", &kept.value, EXPERIMENT_TAG_MAX)?;
    Ok(kept)
}

fn pair(sent: &Pair, place: &str, most: usize) -> Result<Kept, Fault> {
    let key = key(sent.key.as_deref(), &format!("{place}key"))?;
    let value = sent.value.as_deref().unwrap_or_default();
    Ok(Kept { key, value: value.chars().take(most).collect() })
}

/// The name of an experiment.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`.
pub fn experiment_name(sent: Option<&str>) -> Result<String, Fault> {
    let name = sent.ok_or_else(|| Fault::missing("name"))?;
    if name.trim().is_empty() {
        return Err(Fault::invalid(format!("Invalid experiment name: '{name}'")));
    }
    is_at_most("name", name, EXPERIMENT_NAME_MAX)?;
    Ok(name.to_owned())
}

/// The number of an experiment, as which its id is written.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`.
pub fn experiment_id(sent: Option<&str>) -> Result<u64, Fault> {
    let id = sent.ok_or_else(|| Fault::missing("experiment_id"))?;
    id.parse().map_err(|_| {
        Fault::invalid(format!(
            "Invalid experiment ID '{id}'. Experiment ID must be a valid integer."
        ))
    })
}

/// The id of a run: letters, digits, `_` and `-`, the first none of those two; 256 at most.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`.
pub fn run_id(sent: Option<&str>) -> Result<String, Fault> {
    let id = sent.filter(|id| !id.is_empty()).ok_or_else(|| Fault::missing("run_id"))?;
    let is_of_ids = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_good = id.len() <= 256
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(is_of_ids);
    match is_good {
        true => Ok(id.to_owned()),
        false => Err(Fault::value("run_id", id, "it is no id of a run")),
    }
}

/// The key of a metric, a parameter or a tag. Clients make paths of them, so that one that would
/// be another path is refused.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`.
pub fn key(sent: Option<&str>, parameter: &str) -> Result<String, Fault> {
    let key = sent.ok_or_else(|| Fault::missing(parameter))?;
    let is_of_keys = |c: char| c.is_alphanumeric() || "/_.- :".contains(c);
    if !key.chars().all(is_of_keys) {
        let rule = "Names may only contain alphanumerics, underscores (_), dashes (-), \
                    periods (.), spaces ( ), colon(:) and slashes (/).";
        return Err(Fault::value(parameter, key, rule));
    }
    if key.is_empty() || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        let rule = "Names may be treated as files in certain cases, and must not resolve to other \
                    names when treated as such: no part between slashes is empty, `.` or `..`";
        return Err(Fault::value(parameter, key, rule));
    }
    is_at_most(parameter, key, KEY_MAX)?;
    Ok(key.to_owned())
}

fn is_at_most(parameter: &str, value: &str, most: usize) -> Result<(), Fault> {
    match value.chars().count() <= most {
        true => Ok(()),
        false => Err(Fault::invalid(format!(
            "'{parameter}' exceeds the maximum length of {most} characters"
        ))),
    }
}
