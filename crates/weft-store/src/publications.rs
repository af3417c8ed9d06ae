//! Outputs of workloads that become versions of datasets: declared with the workload, made once it
//! has succeeded.

use crate::column::{int, parsed, rows, uint, word};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use weft_types::{DatasetName, WorkloadId};

/// What became of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Published {
    /// Its workload has not ended, or it is on its way.
    Waiting,
    /// It is a version.
    Made,
    /// It may not, or could not, be one.
    Refused,
    /// Its workload did not succeed.
    Dropped,
}

impl Published {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Made => "made",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }
}

/// An output on its way into a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationRow {
    /// Whose.
    pub workload: WorkloadId,
    /// Which of those that were declared.
    pub entry: u32,
    /// In the working directory.
    pub path: String,
    /// Into this dataset.
    pub dataset: DatasetName,
    /// What became of it.
    pub state: Published,
    /// The version that was made.
    pub version: Option<u32>,
    /// Why it is not made.
    pub why: String,
    /// Whether the run's copy may still lie beside it.
    pub files: bool,
}

impl Read<'_> {
    /// The outputs of a workload that go into datasets, as they were declared.
    pub fn publications(&self, workload: WorkloadId) -> Result<Vec<PublicationRow>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT * FROM publications WHERE workload = ?1 ORDER BY entry")?;
        rows(query.query([int(workload.0)])?, publication)
    }

    /// How many there are in each state.
    pub fn publications_by_state(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT state, count(*) FROM publications GROUP BY state ORDER BY state",
        )?;
        rows(query.query([])?, |row| Ok((row.get(0)?, uint(row, 1)?)))
    }

    /// Those of workloads with something left to do, in order of the workloads, behind this one; so
    /// many at most.
    pub fn open_publications(
        &self,
        after: Option<(WorkloadId, u32)>,
        limit: u32,
    ) -> Result<Vec<PublicationRow>, StoreError> {
        // One that waits is of interest once its workload has ended, or is gone.
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM publications p WHERE (state = 'waiting' OR files = 1)
             AND (workload, entry) > (?1, ?2)
             AND NOT EXISTS (SELECT 1 FROM workloads w WHERE w.id = p.workload
               AND w.state NOT IN ('succeeded', 'failed', 'stopped'))
             ORDER BY workload, entry LIMIT ?3",
        )?;
        let (workload, entry) = after.map_or((-1, 0), |(id, entry)| (int(id.0), entry));
        rows(query.query(params![workload, entry, limit])?, publication)
    }
}

impl Write<'_> {
    /// Notes what a workload is to leave in datasets.
    pub fn declare_publications(
        &mut self,
        workload: WorkloadId,
        outputs: &[(String, DatasetName)],
    ) -> Result<(), StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO publications (workload, entry, path, dataset, state, why)
             VALUES (?1, ?2, ?3, ?4, 'waiting', '')",
        )?;
        for (entry, (path, dataset)) in outputs.iter().enumerate() {
            insert.execute(params![int(workload.0), int(entry as u64), path, dataset.as_str()])?;
        }
        Ok(())
    }

    /// Keeps what became of one.
    pub fn save_publication(&mut self, row: &PublicationRow) -> Result<(), StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE publications SET state = ?3, version = ?4, why = ?5, files = ?6
             WHERE workload = ?1 AND entry = ?2",
        )?;
        let PublicationRow { workload, entry, state, version, why, files, .. } = row;
        update.execute(params![int(workload.0), entry, state.as_str(), version, why, files])?;
        Ok(())
    }
}

fn publication(row: &Row<'_>) -> Result<PublicationRow, StoreError> {
    Ok(PublicationRow {
        workload: WorkloadId(uint(row, "workload")?),
        entry: row.get("entry")?,
        path: row.get("path")?,
        dataset: parsed(row, "dataset")?,
        state: word(row, "state")?,
        version: row.get("version")?,
        why: row.get("why")?,
        files: row.get("files")?,
    })
}
