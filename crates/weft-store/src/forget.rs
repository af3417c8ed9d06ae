//! What is forgotten: objects that ended, versions and datasets that were removed, each after the
//! days that its dataset keeps what ended.
//!
//! Forgetting an object is forgetting its key. The writer's connection overwrites what it deletes
//! (`secure_delete`), and [`crate::Store::fold`] ends the log that still has it; what is left then
//! are backups from before.

use crate::column::{first, int, rows, uint};
use crate::datasets::{DatasetId, DatasetRow, missing};
use crate::objects::distinct;
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

impl Read<'_> {
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
    /// many there were. Nothing goes that ended within the days that the dataset keeps. Chunks that
    /// nobody needs then may be collected.
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
        let row = self.dataset_by_id(dataset)?.ok_or_else(|| missing(dataset))?;
        let before = ended_before.min(row.keeps.until(now));
        self.forget_versions(dataset, before)?;
        let mut query = self.conn.prepare_cached(
            "SELECT path, since, until, chunks FROM objects
             WHERE dataset = ?1 AND ended_at < ?2 AND NOT EXISTS (
               SELECT 1 FROM dataset_versions v WHERE v.dataset = objects.dataset
               AND v.changes >= objects.since AND v.changes < objects.until)
             ORDER BY ended_at LIMIT ?3",
        )?;
        let ended = rows(query.query(params![int(dataset.0), int(before.0), limit])?, |row| {
            let until = uint(row, "until")?;
            Ok((row.get("path")?, uint(row, "since")?, until, row.get("chunks")?))
        })?;
        let mut last = row.forgotten;
        for (path, since, until, chunks) in &ended {
            let (path, chunks): (&String, &Vec<u8>) = (path, chunks);
            self.forget_object(dataset, path, *since, chunks, now)?;
            last = last.max(*until);
        }
        let mut mark =
            self.conn.prepare_cached("UPDATE datasets SET forgotten = ?2 WHERE id = ?1")?;
        mark.execute(params![int(dataset.0), int(last)])?;
        Ok(ended.len() as u64)
    }

    fn forget_object(
        &mut self,
        dataset: DatasetId,
        path: &str,
        since: u64,
        chunks: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut forget = self.conn.prepare_cached(
            "DELETE FROM objects WHERE dataset = ?1 AND path = ?2 AND since = ?3",
        )?;
        forget.execute(params![int(dataset.0), path, int(since)])?;
        self.release_chunks(distinct(chunks), now)
    }

    /// Forgets versions that were removed before a moment.
    fn forget_versions(
        &mut self,
        dataset: DatasetId,
        removed_before: Timestamp,
    ) -> Result<(), StoreError> {
        let mut forget = self.conn.prepare_cached(
            "DELETE FROM dataset_versions WHERE dataset = ?1 AND removed_at < ?2",
        )?;
        forget.execute(params![int(dataset.0), int(removed_before.0)])?;
        Ok(())
    }

    /// Forgets the keys of a dataset that was ended, and so all that was ever in it. Its rows are
    /// left for [`Write::forget_rows`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is none; [`StoreError::InUse`]: it was not ended, or within
    /// the days that it keeps what ended.
    pub fn forget_dataset(
        &mut self,
        id: DatasetId,
        now: Timestamp,
    ) -> Result<ForgottenDataset, StoreError> {
        let was = self.dataset_by_id(id)?.ok_or_else(|| missing(id))?;
        let until = was.keeps.until(now);
        if was.ended_at.is_none_or(|ended| ended >= until) {
            let by = match was.ended_at {
                None => "it was not removed".to_owned(),
                Some(_) => format!("what is removed is kept {} days", was.keeps.days(now)),
            };
            return Err(StoreError::InUse { what: "dataset", id: was.is.name.to_string(), by });
        }
        let (objects, bytes, digest) = self.sum(id)?;
        let mut shred = self.conn.prepare_cached(
            "UPDATE datasets SET key = x'', content_key = x'', old_key = NULL WHERE id = ?1",
        )?;
        shred.execute([int(id.0)])?;
        Ok(ForgottenDataset { was, objects, bytes, digest, at: now })
    }

    /// Removes so many rows of a dataset whose keys were forgotten, and it itself last; whether
    /// there are more.
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
        for (path, since, chunks) in &some {
            let chunks: &Vec<u8> = chunks;
            self.forget_object(id, path, *since, chunks, now)?;
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
        for sql in [
            "DELETE FROM dataset_tags WHERE dataset = ?1",
            "DELETE FROM dataset_versions WHERE dataset = ?1",
            "DELETE FROM datasets WHERE id = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([int(id.0)])?;
        }
        Ok(false)
    }
}
