//! Where a version that a run left comes from: what it read, and all that it takes to do it again.

use serde_json::json;
use weft_api::spec::{DataSpec, WorkloadSpec, split_data};
use weft_store::{
    DatasetId, DatasetRow, NewOrigin, OriginInput, OriginKind, Read, StoreError, WorkloadRow,
};
use weft_types::{DatasetName, Tier, Timestamp};

/// The origin of what a workload left.
pub(super) fn of(
    r: &Read<'_>,
    workload: &WorkloadRow,
    spec: &WorkloadSpec,
    at: Timestamp,
) -> Result<NewOrigin, StoreError> {
    let inputs = spec.data.iter().map(|data| input(r, workload, data));
    let inputs = inputs.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    // As it was submitted, with the versions that were meant.
    let detail = json!({
        "name": workload.name,
        "attempt": workload.record.attempt.0,
        "started_at_ms": workload.started_at.map(|at| at.0),
        "ended_at_ms": workload.ended_at.map(|at| at.0),
        "spec": spec,
    });
    Ok(NewOrigin {
        kind: OriginKind::Run,
        what: workload.id.to_string(),
        actor: workload.user.clone(),
        queue: workload.queue.clone(),
        bundle: spec.bundle.clone(),
        detail: detail.to_string(),
        inputs,
        at,
    })
}

/// The version that was read. Another dataset may have its name by now.
fn input(
    r: &Read<'_>,
    workload: &WorkloadRow,
    data: &DataSpec,
) -> Result<Option<OriginInput>, StoreError> {
    let Some((name, Some(version))) = split_data(&data.from) else { return Ok(None) };
    let Some(number) = version.strip_prefix('v').and_then(|text| text.parse().ok()) else {
        return Ok(None);
    };
    let dataset = meant(r, &name, workload.submitted_at)?;
    let dataset = dataset.map_or(DatasetId(0), |row| row.id);
    Ok(Some(OriginInput { dataset, number, name: name.to_string() }))
}

/// The dataset that had a name then, unless all of it is forgotten.
fn meant(
    r: &Read<'_>,
    name: &DatasetName,
    then: Timestamp,
) -> Result<Option<DatasetRow>, StoreError> {
    let now = r.dataset(name)?.filter(|row| row.is.at <= then);
    let was = |row: &DatasetRow| row.is.name == *name && row.is.at <= then;
    let ended = |row: &DatasetRow| row.ended_at.is_some_and(|ended| ended >= then);
    match now {
        Some(row) => Ok(Some(row)),
        None => Ok(r.ended_datasets()?.into_iter().find(|row| was(row) && ended(row))),
    }
}

/// The highest tier of what it read: as it was when it was submitted, or since.
pub(crate) fn carries_now(
    r: &Read<'_>,
    workload: &WorkloadRow,
    spec: &WorkloadSpec,
) -> Result<Tier, StoreError> {
    let then = crate::auth::run::carries(&spec.data);
    let now = read_of(r, spec, workload.submitted_at)?;
    Ok(now.iter().map(|row| row.is.tier).max().unwrap_or(then).max(then))
}

/// The datasets that a workload reads which was submitted then, but those that are forgotten.
pub(crate) fn read_of(
    r: &Read<'_>,
    spec: &WorkloadSpec,
    then: Timestamp,
) -> Result<Vec<DatasetRow>, StoreError> {
    let names = spec.data.iter().filter_map(|data| split_data(&data.from));
    let found = names.map(|(name, _)| meant(r, &name, then));
    found.filter_map(Result::transpose).collect()
}
