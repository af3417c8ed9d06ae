//! What is forgotten: objects that ended, versions and datasets that were removed, each after the
//! days that its dataset keeps what ended.
//!
//! Forgetting an object is forgetting its key. The writer's connection overwrites what it deletes
//! (`secure_delete`), and [`crate::Store::fold`] ends the log that still has it; what is left then
//! are backups from before.

use crate::chunks::COUNTED_AT_ONCE;
use crate::column::{first, int, rows, uint};
use crate::datasets::{DatasetId, DatasetRow, missing};
use crate::objects::distinct;
use crate::versions::Summed;
use crate::{Read, StoreError, UploadId, Write};
use rusqlite::params;
use weft_types::{Bytes, Timestamp};

/// A dataset whose keys were forgotten, as its certificate tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenDataset {
    /// What it was.
    pub was: DatasetRow,
    /// Objects that were there when it ended.
    pub objects: u64,
    /// Their bytes.
    pub bytes: Bytes,
    /// As of a version: SHA-256 over paths, sizes and tags of its objects.
    pub digest: [u8; 32],
    /// When its keys were forgotten.
    pub at: Timestamp,
}

/// An object that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Where it was.
    pub path: String,
    /// The change that put it.
    pub since: u64,
}

impl Read<'_> {
    /// What ended before a moment, longer ago than the dataset keeps it, and is in no version; so
    /// many at most. Walks all that has ended.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset.
    pub fn forgettable(
        &self,
        dataset: DatasetId,
        ended_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Ended>, StoreError> {
        let row = self.dataset_by_id(dataset)?.ok_or_else(|| missing(dataset))?;
        let (kept, before) = (self.kept_moments(dataset)?, row.keeps.until(now));
        let mut query = self.conn.prepare_cached(
            "SELECT path, since, until FROM objects INDEXED BY objects_ended
             WHERE dataset = ?1 AND ended_at < ?2 ORDER BY ended_at",
        )?;
        let before = ended_before.min(before);
        let mut found = query.query(params![int(dataset.0), int(before.0)])?;
        let mut ended = Vec::new();
        while let Some(row) = found.next()? {
            let (since, until) = (uint(row, 1)?, uint(row, 2)?);
            if !is_kept(&kept, since, until) {
                ended.push(Ended { path: row.get(0)?, since });
            }
            if ended.len() >= limit as usize {
                break;
            }
        }
        Ok(ended)
    }

    /// The changes of a dataset's versions, also of those that were removed and may come back, in
    /// order.
    fn kept_moments(&self, dataset: DatasetId) -> Result<Vec<u64>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT changes FROM dataset_versions WHERE dataset = ?1 ORDER BY changes",
        )?;
        rows(query.query([int(dataset.0)])?, |row| uint(row, 0))
    }

    /// Datasets whose keys were forgotten and of which rows are left.
    pub fn forgotten_datasets(&self) -> Result<Vec<DatasetId>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT id FROM datasets WHERE ended_at IS NOT NULL AND key = x''")?;
        rows(query.query([])?, |row| Ok(DatasetId(uint(row, "id")?)))
    }
}

impl Write<'_> {
    /// Forgets so many of what ended before a moment and is in no version, with their keys; how
    /// many there were. For few: who has many asks [`Read::forgettable`] first, which holds no
    /// writer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset.
    pub fn forget_objects(
        &mut self,
        dataset: DatasetId,
        ended_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.forget_versions(dataset, now)?;
        let ended = self.forgettable(dataset, ended_before, limit, now)?;
        let (mut count, mut left) = (0, &*ended);
        while !left.is_empty() {
            let (some, looked_at) = self.forget_these(dataset, left, now)?;
            (count, left) = (count + some, &left[looked_at..]);
        }
        Ok(count)
    }

    /// Forgets objects that ended long enough ago and are in no version, with their keys; how many
    /// there were: what has been brought back since it was looked for stays. Chunks that nobody
    /// needs then may be collected. Where they have many it ends before the last: of how many of
    /// these it has looked at is the second number.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset.
    pub fn forget_these(
        &mut self,
        dataset: DatasetId,
        ended: &[Ended],
        now: Timestamp,
    ) -> Result<(u64, usize), StoreError> {
        let row = self.dataset_by_id(dataset)?.ok_or_else(|| missing(dataset))?;
        let (kept, before) = (self.kept_moments(dataset)?, row.keeps.until(now));
        let mut query = self.conn.prepare_cached(
            "SELECT until, ended_at, chunks FROM objects
             WHERE dataset = ?1 AND path = ?2 AND since = ?3 AND until IS NOT NULL",
        )?;
        let (mut count, mut last, mut counted, mut looked_at) = (0, row.forgotten, 0, 0);
        for Ended { path, since } in ended {
            if counted >= COUNTED_AT_ONCE {
                break;
            }
            looked_at += 1;
            let found = first(query.query(params![int(dataset.0), path, int(*since)])?, |row| {
                let chunks: Vec<u8> = row.get(2)?;
                Ok((uint(row, 0)?, Timestamp(uint(row, 1)?), chunks))
            })?;
            let Some((until, ended_at, chunks)) = found else { continue };
            if ended_at < before && !is_kept(&kept, *since, until) {
                counted += self.forget_object(dataset, path, *since, &chunks, now)?;
                (count, last) = (count + 1, last.max(until));
            }
        }
        let mut mark =
            self.conn.prepare_cached("UPDATE datasets SET forgotten = ?2 WHERE id = ?1")?;
        mark.execute(params![int(dataset.0), int(last)])?;
        Ok((count, looked_at))
    }

    /// How many chunks it had.
    fn forget_object(
        &mut self,
        dataset: DatasetId,
        path: &str,
        since: u64,
        chunks: &[u8],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let mut forget = self.conn.prepare_cached(
            "DELETE FROM objects WHERE dataset = ?1 AND path = ?2 AND since = ?3",
        )?;
        forget.execute(params![int(dataset.0), path, int(since)])?;
        let chunks = distinct(chunks);
        let counted = chunks.len();
        self.count_held(dataset, 0, -1)?;
        self.release_chunks(dataset, chunks, now).map(|()| counted)
    }

    /// Forgets versions that were removed longer ago than the dataset keeps what ended.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset.
    pub fn forget_versions(
        &mut self,
        dataset: DatasetId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.dataset_by_id(dataset)?.ok_or_else(|| missing(dataset))?;
        let mut forget = self.conn.prepare_cached(
            "DELETE FROM dataset_versions WHERE dataset = ?1 AND (removed_at < ?2
               OR removed_at IS NOT NULL AND number IN (
                 SELECT version FROM data_requests
                 WHERE dataset = ?1 AND asks = 'end' AND approved = 1 AND due_at <= ?3
                 AND asked_at >= removed_at))",
        )?;
        forget.execute(params![int(dataset.0), int(row.keeps.until(now).0), int(now.0)])?;
        let mut done = self.conn.prepare_cached(
            "UPDATE data_requests SET done_at = ?2
             WHERE dataset = ?1 AND asks = 'end' AND approved = 1 AND due_at <= ?2
             AND version IS NOT NULL AND done_at IS NULL",
        )?;
        done.execute(params![int(dataset.0), int(now.0)])?;
        self.forget_in_views(dataset)
    }

    /// Forgets the keys of a dataset that was ended, and so all that was ever in it. Its rows are
    /// left for [`Write::forget_rows`]. `summed` is what was in it as a read before has summed it,
    /// which no writer has to wait for; it is summed again where something has changed since.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is none; [`StoreError::InUse`]: it was not ended, or within
    /// the days that it keeps what ended, and no second person has agreed long enough ago.
    pub fn forget_dataset(
        &mut self,
        id: DatasetId,
        summed: Option<Summed>,
        now: Timestamp,
    ) -> Result<ForgottenDataset, StoreError> {
        let was = self.dataset_by_id(id)?.ok_or_else(|| missing(id))?;
        let until = was.keeps.until(now);
        let early = self.early_end(id, now)?;
        if let Some(request) = early {
            self.request_done(request, now)?;
        }
        let gone = self.source_is_gone(id)? && was.ended_at.is_some();
        if early.is_none() && !gone && was.ended_at.is_none_or(|ended| ended >= until) {
            let by = match was.ended_at {
                None => "it was not removed".to_owned(),
                Some(_) => format!("what is removed is kept {} days", was.keeps.days(now)),
            };
            return Err(StoreError::InUse { what: "dataset", id: was.is.name.to_string(), by });
        }
        let changes = self.changes(id)?;
        let summed = match summed.filter(|summed| summed.changes == changes) {
            Some(summed) => summed,
            None => self.sum_own_objects(id)?,
        };
        let Summed { objects, bytes, digest, .. } = summed;
        let mut shred = self.conn.prepare_cached(
            "UPDATE datasets SET key = x'', content_key = x'', old_key = NULL WHERE id = ?1",
        )?;
        shred.execute([int(id.0)])?;
        self.end_views(id, now)?;
        Ok(ForgottenDataset { was, objects, bytes, digest, at: now })
    }

    /// Removes so many rows of a dataset whose keys were forgotten, fewer where they have many
    /// chunks, and it itself last; whether there are more.
    pub fn forget_rows(
        &mut self,
        id: DatasetId,
        limit: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT path, since, chunks FROM objects WHERE dataset = ?1 LIMIT ?2",
        )?;
        let some = rows(query.query(params![int(id.0), limit])?, |row| {
            Ok((row.get::<_, String>("path")?, uint(row, "since")?, row.get("chunks")?))
        })?;
        let mut counted = 0;
        for (path, since, chunks) in &some {
            if counted >= COUNTED_AT_ONCE {
                break;
            }
            let chunks: &Vec<u8> = chunks;
            counted += self.forget_object(id, path, *since, chunks, now)?;
        }
        if !some.is_empty() {
            return Ok(true);
        }
        let mut upload = self.conn.prepare_cached("SELECT id FROM uploads WHERE dataset = ?1")?;
        let upload = first(upload.query([int(id.0)])?, |row| Ok(UploadId(uint(row, "id")?)))?;
        if let Some(upload) = upload {
            self.give_up_upload(upload, now)?;
            return Ok(true);
        }
        self.leave_held(id)?;
        for sql in [
            "DELETE FROM dataset_tags WHERE dataset = ?1",
            "DELETE FROM data_grants WHERE dataset = ?1",
            // As if there had never been one: what was asked is in the audit log.
            "UPDATE data_requests SET dataset = NULL WHERE dataset = ?1",
            "DELETE FROM dataset_versions WHERE dataset = ?1",
            "DELETE FROM imports WHERE dataset = ?1",
            "DELETE FROM data_view_versions WHERE dataset = ?1",
            "DELETE FROM data_views WHERE dataset = ?1",
            "DELETE FROM data_branch_paths WHERE dataset = ?1",
            "DELETE FROM data_branches WHERE dataset = ?1",
            "DELETE FROM datasets WHERE id = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([int(id.0)])?;
        }
        Ok(false)
    }
}

/// Whether one of these moments is after an object was put and before it ended.
fn is_kept(moments: &[u64], since: u64, until: u64) -> bool {
    let first = moments.partition_point(|moment| *moment < since);
    moments.get(first).is_some_and(|moment| *moment < until)
}
