//! Where the files lie that tracked runs kept: which dataset is for whose, and of which tier.
//! Absent on purpose: the files (`objects.rs`).

use crate::column::{int, parsed, rows, uint};
use crate::datasets::{DatasetId, DatasetRow};
use crate::{ExperimentId, Read, StoreError, Write};
use rusqlite::params;
use weft_types::{Tier, UserName};

impl Read<'_> {
    /// The datasets with the files of this owner's runs in an experiment, by tier: those that were
    /// not ended.
    pub fn artifact_places(
        &self,
        experiment: ExperimentId,
        owner: &UserName,
    ) -> Result<Vec<(Tier, DatasetRow)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT tier, dataset FROM artifact_places WHERE experiment = ?1 AND owner = ?2",
        )?;
        let found = rows(query.query(params![int(experiment.0), owner.as_str()])?, |row| {
            Ok((parsed::<Tier>(row, 0)?, DatasetId(uint(row, 1)?)))
        })?;
        let mut places = Vec::new();
        for (tier, dataset) in found {
            let row = self.dataset_by_id(dataset)?.filter(|row| row.ended_at.is_none());
            places.extend(row.map(|row| (tier, row)));
        }
        places.sort_by_key(|(tier, _)| *tier);
        Ok(places)
    }
}

impl Write<'_> {
    /// The files of this owner's runs of this tier are kept in that dataset from now on.
    ///
    /// # Errors
    /// [`StoreError::Exists`]: there is one already.
    pub fn keep_artifacts_in(
        &mut self,
        (experiment, owner, tier): (ExperimentId, &UserName, Tier),
        dataset: DatasetId,
    ) -> Result<(), StoreError> {
        let places = self.artifact_places(experiment, owner)?;
        if places.iter().any(|(known, _)| *known == tier) {
            let id = experiment.0.to_string();
            return Err(StoreError::Exists { what: "dataset of experiment", id });
        }
        let mut keep = self
            .conn
            .prepare_cached("INSERT OR REPLACE INTO artifact_places VALUES (?1, ?2, ?3, ?4)")?;
        let (experiment, dataset) = (int(experiment.0), int(dataset.0));
        keep.execute(params![experiment, owner.as_str(), tier.as_str(), dataset])?;
        Ok(())
    }
}
