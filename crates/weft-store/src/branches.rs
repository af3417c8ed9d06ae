//! Branches: datasets that begin as a version of another one and copy nothing of it.
//!
//! ```text
//! source   1 … 70 = v7 …                      v7 stays as long as the branch is known
//! branch            70 = v1, 71, 72 …         its own changes count on from there
//! ```
//!
//! So the number of the change that put an object says whose it is. What the branch changes first
//! at a path of the version is noted: there the version's object has ended for the branch, and for
//! nobody else. Queries read `branch_objects` in the place of `objects`. Absent on purpose: whose
//! key opens what (the gateway), and who may.

use crate::column::{first, int, parsed, rows, uint};
use crate::datasets::{DatasetId, missing};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_types::{DatasetName, Timestamp};

/// A branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchRow {
    /// The dataset that it is.
    pub dataset: DatasetId,
    /// Of this one.
    pub source: DatasetId,
    /// Of this version.
    pub number: u32,
    /// The changes that are in that; the branch's own have greater numbers.
    pub changes: u64,
    /// After so many changes of the branch its source was given all of them.
    pub merged: u64,
}

/// A query over the objects of a dataset, which may be a branch.
macro_rules! objects_sql {
    ($branch:expr, $before:expr, $after:expr) => {
        match $branch {
            false => concat!($before, " FROM objects ", $after),
            true => concat!($before, " FROM branch_objects ", $after),
        }
    };
}
pub(crate) use objects_sql;

impl Read<'_> {
    /// What a dataset is a branch of; none where it is no branch.
    pub fn branch(&self, dataset: DatasetId) -> Result<Option<BranchRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT * FROM data_branches WHERE dataset = ?1")?;
        first(query.query([int(dataset.0)])?, branch)
    }

    pub(crate) fn is_branch(&self, dataset: DatasetId) -> Result<bool, StoreError> {
        Ok(self.branch(dataset)?.is_some())
    }

    /// The branches of a dataset, by name, but those that were ended.
    pub fn branches_of(&self, source: DatasetId) -> Result<Vec<BranchRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT b.* FROM data_branches b JOIN datasets d ON d.id = b.dataset
             WHERE b.source = ?1 AND d.ended_at IS NULL ORDER BY d.name",
        )?;
        rows(query.query([int(source.0)])?, branch)
    }

    /// Branches of one version, or of any: those that were ended, too, until they are forgotten.
    fn held_by(
        &self,
        source: DatasetId,
        number: Option<u32>,
        ended: bool,
    ) -> Result<Option<DatasetName>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT d.name FROM data_branches b JOIN datasets d ON d.id = b.dataset
             WHERE b.source = ?1 AND (b.number = ?2 OR ?2 IS NULL)
             AND (?3 OR d.ended_at IS NULL) ORDER BY d.id LIMIT 1",
        )?;
        first(query.query(params![int(source.0), number, ended])?, |row| parsed(row, "name"))
    }

    /// Refuses to end a version that a branch is of: its objects would go with it.
    ///
    /// # Errors
    /// [`StoreError::InUse`].
    pub(crate) fn no_branch_of(&self, source: DatasetId, number: u32) -> Result<(), StoreError> {
        match self.held_by(source, Some(number), true)? {
            None => Ok(()),
            Some(name) => {
                let by = format!("dataset `{name}` is a branch of it, or was and is not forgotten");
                Err(StoreError::InUse { what: "version", id: format!("v{number}"), by })
            }
        }
    }

    /// Refuses to end a dataset that has branches.
    ///
    /// # Errors
    /// [`StoreError::InUse`].
    pub(crate) fn no_branches_of(&self, source: DatasetId) -> Result<(), StoreError> {
        match self.held_by(source, None, false)? {
            None => Ok(()),
            Some(name) => {
                let by = format!("dataset `{name}` is a branch of it");
                let source = self.dataset_by_id(source)?.ok_or_else(|| missing(source))?;
                Err(StoreError::InUse { what: "dataset", id: source.is.name.to_string(), by })
            }
        }
    }
}

impl Write<'_> {
    /// Makes a dataset in which nothing was put yet a branch of a version: that is its first
    /// version. What ends in it is kept as long as in its source.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset or version; [`StoreError::InUse`]: the
    /// source is itself a branch, or a view.
    pub fn make_branch(
        &mut self,
        dataset: DatasetId,
        (source, number): (DatasetId, u32),
        (by, note): (&str, &str),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let from = self.dataset_by_id(source)?.filter(|row| row.ended_at.is_none());
        let from = from.ok_or_else(|| missing(source))?;
        if from.view_of.is_some() || self.is_branch(source)? {
            let by = "it is itself made of another dataset: make a branch of that".to_owned();
            return Err(StoreError::InUse { what: "dataset", id: from.is.name.to_string(), by });
        }
        let none = || StoreError::NotFound { what: "version", id: format!("v{number}") };
        let version = self.dataset_version(source, number)?.ok_or_else(none)?;
        let (id, changes) = (int(dataset.0), int(version.changes));
        self.conn
            .prepare_cached("INSERT INTO data_branches VALUES (?1, ?2, ?3, ?4, ?4)")?
            .execute(params![id, int(source.0), number, changes])?;
        self.conn
            .prepare_cached(
                "UPDATE datasets SET changes = ?3, versions = 1, (keep_days, long_days, long_until)
                 = (SELECT keep_days, long_days, long_until FROM datasets WHERE id = ?2)
                 WHERE id = ?1",
            )?
            .execute(params![id, int(source.0), changes])?;
        self.conn
            .prepare_cached(
                "INSERT INTO dataset_versions
                 SELECT ?1, 1, changes, objects, bytes, digest, ?4, ?5, ?6, NULL
                 FROM dataset_versions WHERE dataset = ?2 AND number = ?3",
            )?
            .execute(params![id, int(source.0), number, by, note, int(at.0)])?;
        Ok(())
    }

    /// The branch ends what its version has at a path, by this change.
    pub(crate) fn leave_version(
        &mut self,
        branch: DatasetId,
        path: &str,
        change: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut leave = self
            .conn
            .prepare_cached("INSERT OR IGNORE INTO data_branch_paths VALUES (?1, ?2, ?3, ?4)")?;
        leave.execute(params![int(branch.0), path, int(change), int(now.0)])?;
        Ok(())
    }

    /// Its source was given what the branch was after so many changes.
    pub fn branch_merged(&mut self, branch: DatasetId, changes: u64) -> Result<(), StoreError> {
        let mut merged =
            self.conn.prepare_cached("UPDATE data_branches SET merged = ?2 WHERE dataset = ?1")?;
        merged.execute(params![int(branch.0), int(changes)])?;
        Ok(())
    }

    /// Chunks that a dataset and its branches share are counted by who put them first, and given
    /// back by who needed them last: what is left of one that goes is one's that stays.
    pub(crate) fn leave_held(&mut self, dataset: DatasetId) -> Result<(), StoreError> {
        let mut leave = self.conn.prepare_cached(
            "UPDATE datasets SET held_bytes = held_bytes
               + (SELECT held_bytes FROM datasets WHERE id = ?1)
             WHERE id = (SELECT id FROM (
               SELECT source AS id FROM data_branches WHERE dataset = ?1
               UNION ALL SELECT dataset FROM data_branches WHERE source = ?1)
               WHERE id IN (SELECT id FROM datasets) LIMIT 1)",
        )?;
        leave.execute([int(dataset.0)])?;
        Ok(())
    }
}

fn branch(row: &Row<'_>) -> Result<BranchRow, StoreError> {
    Ok(BranchRow {
        dataset: DatasetId(uint(row, "dataset")?),
        source: DatasetId(uint(row, "source")?),
        number: row.get("number")?,
        changes: uint(row, "changes")?,
        merged: uint(row, "merged")?,
    })
}
