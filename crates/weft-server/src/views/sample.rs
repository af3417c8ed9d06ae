//! Samples for workloads: a part of a version, which a workload reads in the place of all of it.
//!
//! ```text
//! data: [{from: claims@v7, sample: 1%}] ─► a hidden view of claims, wanted of v7, made as any
//! each read of claims@v7 by the run ─► may it read claims? ─► bytes of that view
//! ```
//!
//! There is one for each dataset and part, of the versions that were asked for and no other; it
//! counts for the source's team and ends with the source. Nobody finds it by a name. Rights, tier
//! and grants are the source's at each read ([`instead`]); until it is made, who declared it waits
//! ([`waits`]). Absent on purpose: ending one that nobody reads any more.

use crate::api::App;
use weft_gateway::{Also, DataError};
use weft_store::{
    At, DatasetId, DatasetRow, NewDataset, Read, StoreError, ViewRow, ViewVersionRow,
};
use weft_types::{DatasetName, Timestamp, UserName};
use weft_view::{Fraction, Recipe};

/// Parts of one dataset: each takes space, which its team pays for.
const SAMPLES_MAX: usize = 10;

/// Why a sample is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwanted {
    /// There are as many as there may be: these.
    #[error("there are samples of {0} already")]
    TooMany(String),
    #[error("{0}")]
    Data(#[from] DataError),
}

impl From<StoreError> for Unwanted {
    fn from(error: StoreError) -> Self {
        Self::Data(error.into())
    }
}

/// What of a dataset, as its view keeps it.
fn recipe(part: Fraction) -> Result<String, StoreError> {
    let recipe = serde_json::to_string(&Recipe::of_sample(part));
    recipe.map_err(|e| StoreError::Damaged(e.to_string()))
}

/// The view that is this part of a dataset.
fn of(r: &Read<'_>, source: DatasetId, part: Fraction) -> Result<Option<ViewRow>, StoreError> {
    let recipe = recipe(part)?;
    Ok(r.samples_of(source)?.into_iter().find(|view| view.recipe == recipe))
}

/// Has a version's sample made, if it is not.
pub(crate) async fn want(
    app: &App,
    source: &DatasetRow,
    number: u32,
    part: Fraction,
    by: &UserName,
    at: Timestamp,
) -> Result<(), Unwanted> {
    let id = source.id;
    let samples = app.store.read(move |r| r.samples_of(id)).await?;
    let (recipe, by) = (recipe(part)?, by.clone());
    if let Some(view) = samples.iter().find(|view| view.recipe == recipe) {
        let view = view.dataset;
        return Ok(app.store.write(move |w| w.want_view_version(view, number)).await?);
    }
    if samples.len() >= SAMPLES_MAX {
        let parts = samples.iter().filter_map(|view| Recipe::parse(&view.recipe).ok()?.sample());
        let parts: Vec<_> = parts.map(|part| part.to_string()).collect();
        return Err(Unwanted::TooMany(parts.join(", ")));
    }
    let new = NewDataset { name: name()?, about: String::new(), at, ..source.is.clone() };
    let also: Also<DatasetRow> = Box::new(move |w, row| {
        let still = w.dataset_by_id(id)?.filter(|now| now.ended_at.is_none());
        let one = of(w, id, part)?.is_none();
        if !one || still.is_none_or(|now| now.is.tier != row.is.tier) {
            let by = "it or its samples have changed meanwhile: send it again".to_owned();
            return Err(StoreError::InUse { what: "dataset", id: id.0.to_string(), by });
        }
        let (dataset, files) = (row.id, None);
        let made_by = by;
        w.make_view(&ViewRow { dataset, source: id, files, recipe, made_by, sample: true })?;
        w.want_view_version(row.id, number)
    });
    app.data.make(new, also).await?;
    Ok(())
}

/// A name that nobody can have taken.
fn name() -> Result<DatasetName, StoreError> {
    let mut bytes = [0; 16];
    let failed = |e: &dyn std::fmt::Display| StoreError::Damaged(format!("no name: {e}"));
    getrandom::fill(&mut bytes).map_err(|e| failed(&e))?;
    DatasetName::new(format!("sample-{}", hex::encode(bytes))).map_err(|e| failed(&e))
}

/// What a run reads that declared a part of a version: the sample's content, called and protected
/// as its source; none where there is no such sample. And as of when.
pub(crate) fn instead(
    r: &Read<'_>,
    source: &DatasetRow,
    number: u32,
    part: Fraction,
) -> Result<Option<(DatasetRow, At)>, StoreError> {
    let Some(view) = of(r, source.id, part)? else { return Ok(None) };
    let made = r.view_version(view.dataset, number)?.and_then(|row| row.version);
    let Some(made) = made else { return Ok(None) };
    let version = r.dataset_version(view.dataset, made)?;
    let row = r.dataset_by_id(view.dataset)?.filter(|row| row.ended_at.is_none());
    Ok(row.zip(version).map(|(row, version)| {
        let (is, granted) = (source.is.clone(), source.granted.clone());
        (DatasetRow { is, granted, ..row }, At::Changes(version.changes))
    }))
}

/// Why a sample that somebody has declared is not there yet; none where it is, or where it never
/// will be: then the run's start says what is wrong.
pub(crate) fn waits(
    r: &Read<'_>,
    source: DatasetId,
    number: u32,
    part: Fraction,
) -> Result<Option<String>, StoreError> {
    let there = r.dataset_by_id(source)?.filter(|row| row.ended_at.is_none());
    let Some(source) = there else { return Ok(None) };
    if r.dataset_version(source.id, number)?.is_none() {
        return Ok(None);
    }
    let Some(view) = of(r, source.id, part)? else { return Ok(None) };
    let row = r.view_version(view.dataset, number)?.filter(|row| row.version.is_none());
    Ok(row.map(|ViewVersionRow { why, .. }| {
        let what = format!("{part} of {}@v{number}", source.is.name);
        match why.as_str() {
            "" => format!("{what} is being made for it"),
            why => format!("{what} is not made for it yet: {why}"),
        }
    }))
}
