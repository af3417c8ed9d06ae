//! Outputs of workloads that become versions of datasets: declared with the workload, made once it
//! has succeeded.

use crate::column::{int, parsed, rows, uint, word};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use weft_types::{DatasetName, QueueName, WorkloadId};

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

    /// Those of workloads that have ended with something left to do, and whose queue it is, in
    /// order of the workloads, behind this one; so many at most. Walks no others.
    pub fn open_publications(
        &self,
        after: Option<(WorkloadId, u32)>,
        limit: u32,
    ) -> Result<Vec<(PublicationRow, QueueName)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT p.*, w.queue FROM publications p JOIN workloads w ON w.id = p.workload
             WHERE p.due = 1 AND (p.state = 'waiting' OR p.files = 1)
             AND (p.workload, p.entry) > (?1, ?2)
             ORDER BY p.workload, p.entry LIMIT ?3",
        )?;
        let (workload, entry) = after.map_or((-1, 0), |(id, entry)| (int(id.0), entry));
        let found = query.query(params![workload, entry, limit])?;
        rows(found, |row| Ok((publication(row)?, parsed(row, "queue")?)))
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

    /// Its workload has ended: there is something to do about them now.
    pub(crate) fn publications_due(&mut self, workload: WorkloadId) -> Result<(), StoreError> {
        let mut due =
            self.conn.prepare_cached("UPDATE publications SET due = 1 WHERE workload = ?1")?;
        due.execute([int(workload.0)])?;
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
