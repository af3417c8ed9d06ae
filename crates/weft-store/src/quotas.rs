//! What a team's datasets may be together, and what they are.
//!
//! Counted is what the disk holds for them: chunks once each, of all that was put and is not
//! forgotten, history and unfinished uploads too. So a restore costs no bytes, and deleting frees
//! some when what was deleted is forgotten.

use crate::column::{first, int, uint};
use crate::datasets::DatasetId;
use crate::{Read, StoreError, Write};
use rusqlite::params;
use weft_types::{Bytes, QueueName};

/// How much data, of a team.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataHeld {
    /// Bytes under seal.
    pub bytes: Bytes,
    /// Objects as they are and as they were.
    pub objects: u64,
}

impl Read<'_> {
    /// What a team's datasets may be together; nothing, where nobody has said it.
    pub fn data_quota(&self, queue: &QueueName) -> Result<DataHeld, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT bytes, objects FROM data_quotas WHERE queue = ?1")?;
        Ok(first(query.query([queue.as_str()])?, held)?.unwrap_or_default())
    }

    /// What a team's datasets are together, those that were removed and are kept too.
    pub fn data_held(&self, queue: &QueueName) -> Result<DataHeld, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT max(ifnull(sum(held_bytes), 0), 0) AS bytes,
               ifnull(sum(held_objects), 0) AS objects
             FROM datasets WHERE queue = ?1",
        )?;
        Ok(first(query.query([queue.as_str()])?, held)?.unwrap_or_default())
    }
}

impl Write<'_> {
    /// Says what a team's datasets may be together. What they are already stays.
    pub fn put_data_quota(&mut self, queue: &QueueName, may: DataHeld) -> Result<(), StoreError> {
        let mut put =
            self.conn.prepare_cached("INSERT OR REPLACE INTO data_quotas VALUES (?1, ?2, ?3)")?;
        put.execute(params![queue.as_str(), int(may.bytes.0), int(may.objects)])?;
        Ok(())
    }

    /// Refuses what has just been put, where the team holds more than it may by it.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`].
    pub(crate) fn within_quota(&self, dataset: DatasetId) -> Result<(), StoreError> {
        let Some(row) = self.dataset_by_id(dataset)? else { return Ok(()) };
        let queue = row.is.queue;
        let (may, held) = (self.data_quota(&queue)?, self.data_held(&queue)?);
        let (what, held, may) = match (held.bytes > may.bytes, held.objects > may.objects) {
            (true, _) => ("bytes", held.bytes.0, may.bytes.0),
            (false, true) => ("objects", held.objects, may.objects),
            (false, false) => return Ok(()),
        };
        Err(StoreError::OverQuota { queue, what, held, may })
    }

    /// Counts what a dataset holds more, or less.
    pub(crate) fn count_held(
        &mut self,
        dataset: DatasetId,
        bytes: i64,
        objects: i64,
    ) -> Result<(), StoreError> {
        if (bytes, objects) == (0, 0) {
            return Ok(());
        }
        let mut hold = self.conn.prepare_cached(
            "UPDATE datasets SET held_bytes = held_bytes + ?2, held_objects = held_objects + ?3
             WHERE id = ?1",
        )?;
        hold.execute(params![int(dataset.0), bytes, objects])?;
        Ok(())
    }
}

fn held(row: &rusqlite::Row<'_>) -> Result<DataHeld, StoreError> {
    Ok(DataHeld { bytes: Bytes(uint(row, "bytes")?), objects: uint(row, "objects")? })
}
