//! Experiments: named places of a team in which runs are tracked. Absent on purpose: who may, and
//! what a legal name is.

use crate::column::{first, int, parsed, rows, uint, uint_opt};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_types::{QueueName, Tier, Timestamp, UserName};

/// The number of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentId(pub u64);

/// An experiment to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExperiment {
    /// The team's queue.
    pub queue: QueueName,
    /// Unique among the team's.
    pub name: String,
    /// Who makes it.
    pub owner: UserName,
    /// How sensitive its name and its tags are.
    pub tier: Tier,
    /// When.
    pub at: Timestamp,
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentRow {
    /// Its number.
    pub id: ExperimentId,
    /// What it was made as; its name is that of now.
    pub is: NewExperiment,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it was deleted, if it was and may come back.
    pub deleted_at: Option<Timestamp>,
}

impl Read<'_> {
    /// The experiment of this number, also one that was deleted.
    pub fn experiment(&self, id: ExperimentId) -> Result<Option<ExperimentRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM experiments WHERE id = ?1")?;
        first(query.query([int(id.0)])?, experiment)
    }

    /// The team's experiment of this name, also one that was deleted.
    pub fn experiment_named(
        &self,
        queue: &QueueName,
        name: &str,
    ) -> Result<Option<ExperimentRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT * FROM experiments WHERE queue = ?1 AND name = ?2")?;
        first(query.query([queue.as_str(), name])?, experiment)
    }

    /// A team's experiments, also those that were deleted.
    pub fn experiments(&self, queue: &QueueName) -> Result<Vec<ExperimentRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM experiments WHERE queue = ?1")?;
        rows(query.query([queue.as_str()])?, experiment)
    }

    /// What people say of an experiment, by key.
    pub fn experiment_tags(&self, id: ExperimentId) -> Result<Vec<(String, String)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT key, value FROM experiment_tags WHERE experiment = ?1 ORDER BY key",
        )?;
        rows(query.query([int(id.0)])?, |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

impl Write<'_> {
    /// Makes an experiment.
    ///
    /// # Errors
    /// [`StoreError::Exists`]: the team has one of that name, or one that was deleted.
    pub fn make_experiment(&mut self, new: &NewExperiment) -> Result<ExperimentRow, StoreError> {
        self.is_free(&new.queue, &new.name)?;
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO experiments (queue, name, owner, tier, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?;
        let (queue, owner) = (new.queue.as_str(), new.owner.as_str());
        insert.execute(params![queue, new.name, owner, new.tier.as_str(), int(new.at.0)])?;
        let id = ExperimentId(self.conn.last_insert_rowid().unsigned_abs());
        Ok(ExperimentRow { id, is: new.clone(), updated_at: new.at, deleted_at: None })
    }

    fn is_free(&self, queue: &QueueName, name: &str) -> Result<(), StoreError> {
        match self.experiment_named(queue, name)? {
            None => Ok(()),
            Some(_) => Err(StoreError::Exists { what: "experiment", id: name.to_owned() }),
        }
    }

    /// Calls an experiment otherwise.
    ///
    /// # Errors
    /// [`StoreError::Exists`]: the team has another one of that name.
    pub fn rename_experiment(
        &mut self,
        row: &ExperimentRow,
        name: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if row.is.name != name {
            self.is_free(&row.is.queue, name)?;
        }
        let mut rename = self
            .conn
            .prepare_cached("UPDATE experiments SET name = ?2, updated_at = ?3 WHERE id = ?1")?;
        rename.execute(params![int(row.id.0), name, int(at.0)])?;
        Ok(())
    }

    /// Deletes an experiment and the runs in it, or brings all of them back.
    pub fn delete_experiment(
        &mut self,
        id: ExperimentId,
        deleted: bool,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, at) = (int(id.0), int(at.0));
        let mut runs = self.conn.prepare_cached(
            "UPDATE tracked_runs SET deleted_at = iif(?2, ?3, NULL) WHERE experiment = ?1",
        )?;
        runs.execute(params![id, deleted, at])?;
        let mut delete = self.conn.prepare_cached(
            "UPDATE experiments SET deleted_at = iif(?2, ?3, NULL), updated_at = ?3 WHERE id = ?1",
        )?;
        delete.execute(params![id, deleted, at])?;
        Ok(())
    }

    /// Says something of an experiment, in the place of what was said under that key.
    pub fn tag_experiment(
        &mut self,
        id: ExperimentId,
        (key, value): (&str, &str),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO experiment_tags VALUES (?1, ?2, ?3)")?
            .execute(params![int(id.0), key, value])?;
        self.conn
            .prepare_cached("UPDATE experiments SET updated_at = ?2 WHERE id = ?1")?
            .execute([int(id.0), int(at.0)])?;
        Ok(())
    }

    /// Takes what is said under a key; whether there was some.
    pub fn untag_experiment(&mut self, id: ExperimentId, key: &str) -> Result<bool, StoreError> {
        let mut untag = self
            .conn
            .prepare_cached("DELETE FROM experiment_tags WHERE experiment = ?1 AND key = ?2")?;
        Ok(untag.execute(params![int(id.0), key])? == 1)
    }
}

fn experiment(row: &Row<'_>) -> Result<ExperimentRow, StoreError> {
    Ok(ExperimentRow {
        id: ExperimentId(uint(row, "id")?),
        is: NewExperiment {
            queue: parsed(row, "queue")?,
            name: row.get("name")?,
            owner: parsed(row, "owner")?,
            tier: parsed(row, "tier")?,
            at: Timestamp(uint(row, "created_at")?),
        },
        updated_at: Timestamp(uint(row, "updated_at")?),
        deleted_at: uint_opt(row, "deleted_at")?.map(Timestamp),
    })
}
