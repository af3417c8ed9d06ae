//! All that is sealed of a dataset, page by page: for who looks whether it opens.

use crate::chunks::ChunkKey;
use crate::column::{first, int, rows, uint};
use crate::datasets::DatasetId;
use crate::objects::{ObjectRow, distinct, entry, entry_columns, sealed};
use crate::uploads::{PartRow, UploadRow};
use crate::{At, Read, StoreError, UploadId};
use rusqlite::params;
use std::collections::HashMap;

/// Something that is sealed and has chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScrubRow {
    /// An object, whether it has ended or not.
    Object(Box<ObjectRow>),
    /// A part of an upload.
    Part(Box<UploadRow>, Box<PartRow>),
}

/// How far a look for damage has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubPlace {
    /// Behind the object at this path.
    pub path: String,
    /// Which this change put.
    pub since: u64,
    /// Objects that were damaged up to there.
    pub damaged: u64,
}

impl ScrubRow {
    /// Its path, and the change that put it; 0 of a part.
    pub fn named(&self) -> (String, u64) {
        match self {
            Self::Object(row) => (row.entry.path.clone(), row.entry.since),
            Self::Part(upload, _) => (upload.path.clone(), 0),
        }
    }
}

impl Read<'_> {
    /// How far a look for damage has come that was cut off: the object, and how many were damaged.
    pub fn scrub_place(&self, dataset: DatasetId) -> Result<Option<ScrubPlace>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT scrub_path, scrub_since, scrub_damaged FROM datasets
             WHERE id = ?1 AND scrub_path <> ''",
        )?;
        first(query.query([int(dataset.0)])?, |row| {
            let (path, since) = (row.get("scrub_path")?, uint(row, "scrub_since")?);
            Ok(ScrubPlace { path, since, damaged: uint(row, "scrub_damaged")? })
        })
    }

    /// What stands behind this row, or all from the beginning; so many rows at most. Objects come
    /// first, by path and change, then parts of uploads.
    pub fn scrub_rows(
        &self,
        dataset: DatasetId,
        behind: Option<&ScrubRow>,
        limit: u32,
    ) -> Result<Vec<ScrubRow>, StoreError> {
        let (path, since) = match behind {
            Some(ScrubRow::Part(upload, part)) => {
                return self.scrub_parts(dataset, (upload.id, part.number), limit);
            }
            Some(row) => row.named(),
            None => (String::new(), 0),
        };
        self.scrub_rows_behind(dataset, (&path, since), limit)
    }

    /// The same, behind an object.
    pub fn scrub_rows_behind(
        &self,
        dataset: DatasetId,
        (path, since): (&str, u64),
        limit: u32,
    ) -> Result<Vec<ScrubRow>, StoreError> {
        let mut query = self.conn.prepare_cached(concat!(
            "SELECT ",
            entry_columns!(),
            ", key_number, key, notes, manifest FROM objects
             WHERE dataset = ?1 AND (path, since) > (?2, ?3) ORDER BY path, since LIMIT ?4"
        ))?;
        let found = query.query(params![int(dataset.0), path, int(since), limit])?;
        let found = rows(found, |row| {
            let row = ObjectRow { entry: entry(row)?, sealed: sealed(row)? };
            Ok(ScrubRow::Object(Box::new(row)))
        })?;
        match found.is_empty() {
            true => self.scrub_parts(dataset, (UploadId(0), 0), limit),
            false => Ok(found),
        }
    }

    fn scrub_parts(
        &self,
        dataset: DatasetId,
        (upload, part): (UploadId, u32),
        limit: u32,
    ) -> Result<Vec<ScrubRow>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT id FROM uploads WHERE dataset = ?1 AND id >= ?2 ORDER BY id")?;
        let ids = rows(query.query(params![int(dataset.0), int(upload.0)])?, |row| uint(row, 0))?;
        for id in ids.into_iter().map(UploadId) {
            let after = if id == upload { part } else { 0 };
            let Some(row) = self.upload(id)? else { continue };
            let parts = self.upload_parts(id, after, limit)?;
            if !parts.is_empty() {
                let whole = |part| ScrubRow::Part(Box::new(row.clone()), Box::new(part));
                return Ok(parts.into_iter().map(whole).collect());
            }
        }
        Ok(Vec::new())
    }

    /// Chunks that are not needed as often as is said, a sentence each, so many at most; empty
    /// where all is well. Reads every object.
    pub fn check_chunks(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut needed: HashMap<ChunkKey, i64> = HashMap::new();
        for sql in ["SELECT chunks FROM objects", "SELECT chunks FROM upload_parts"] {
            let mut query = self.conn.prepare_cached(sql)?;
            let mut found = query.query([])?;
            while let Some(row) = found.next()? {
                let chunks = row.get_ref(0)?.as_blob().unwrap_or_default();
                distinct(chunks).into_iter().for_each(|id| *needed.entry(id).or_default() += 1);
            }
        }
        let mut query = self.conn.prepare_cached("SELECT id, uses FROM chunks")?;
        let mut found = query.query([])?;
        while let Some(row) = found.next()? {
            *needed.entry(row.get(0)?).or_default() -= row.get::<_, i64>(1)?;
        }
        let wrong = needed.into_iter().filter(|(_, off)| *off != 0).take(limit);
        let said = |(id, off): (ChunkKey, i64)| {
            format!("chunk {:02x?} is needed {off} times more often than is said", &id[..8])
        };
        Ok(wrong.map(said).collect())
    }

    /// Whether a row is there still.
    pub fn scrub_row_is_there(
        &self,
        dataset: DatasetId,
        row: &ScrubRow,
    ) -> Result<bool, StoreError> {
        match row {
            ScrubRow::Object(row) => {
                let at = At::Put(row.entry.since);
                Ok(self.object_entry(dataset, &row.entry.path, at)?.is_some())
            }
            ScrubRow::Part(upload, part) => {
                let mut query = self.conn.prepare_cached(
                    "SELECT 1 FROM upload_parts WHERE upload = ?1 AND number = ?2 AND tag = ?3",
                )?;
                let key = params![int(upload.id.0), part.number, part.tag];
                Ok(first(query.query(key)?, |_| Ok(()))?.is_some())
            }
        }
    }
}
