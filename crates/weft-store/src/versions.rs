//! Versions of datasets. A version is a count of changes: it copies nothing, and nothing of it can
//! change.

use crate::column::{first, int, rows, uint};
use crate::datasets::DatasetId;
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use sha2::{Digest as _, Sha256};
use weft_types::{Bytes, Timestamp};

/// A version of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetVersionRow {
    /// Counts from 1.
    pub number: u32,
    /// The changes that are in it.
    pub changes: u64,
    /// How many objects.
    pub objects: u64,
    /// How much they are.
    pub bytes: Bytes,
    /// SHA-256 over paths, sizes and tags of its objects, in order of their paths.
    pub digest: [u8; 32],
    /// Who made it.
    pub by: String,
    /// Why, for people.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

impl Read<'_> {
    /// The versions of a dataset, the newest first.
    pub fn dataset_versions(&self, id: DatasetId) -> Result<Vec<DatasetVersionRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM dataset_versions WHERE dataset = ?1 ORDER BY number DESC",
        )?;
        rows(query.query([int(id.0)])?, version)
    }

    /// One version.
    pub fn dataset_version(
        &self,
        id: DatasetId,
        number: u32,
    ) -> Result<Option<DatasetVersionRow>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT * FROM dataset_versions WHERE dataset = ?1 AND number = ?2")?;
        first(query.query(params![int(id.0), number])?, version)
    }
}

impl Write<'_> {
    /// Keeps the dataset as it is now as a version; the last one again, where nothing has changed.
    pub fn make_version(
        &mut self,
        id: DatasetId,
        by: &str,
        note: &str,
        at: Timestamp,
    ) -> Result<DatasetVersionRow, StoreError> {
        let changes = self.changes(id)?;
        let last = self.dataset_versions(id)?.into_iter().next();
        if let Some(last) = last.as_ref().filter(|last| last.changes == changes) {
            return Ok(last.clone());
        }
        let (objects, bytes, digest) = self.sum(id)?;
        let row = DatasetVersionRow {
            number: last.map_or(1, |last| last.number + 1),
            changes,
            objects,
            bytes,
            digest,
            by: by.to_owned(),
            note: note.to_owned(),
            at,
        };
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO dataset_versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        insert.execute(params![
            int(id.0),
            row.number,
            int(row.changes),
            int(row.objects),
            int(row.bytes.0),
            row.digest,
            row.by,
            row.note,
            int(row.at.0),
        ])?;
        Ok(row)
    }

    /// How many objects there are now, how much they are, and the digest over them.
    fn sum(&self, id: DatasetId) -> Result<(u64, Bytes, [u8; 32]), StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT path, bytes, tag FROM objects WHERE dataset = ?1 AND until IS NULL
             ORDER BY path",
        )?;
        let (mut objects, mut all, mut digest) = (0, 0, Sha256::new());
        let mut found = query.query([int(id.0)])?;
        while let Some(row) = found.next()? {
            let (path, bytes, tag) = (row.get_ref(0)?, uint(row, 1)?, row.get_ref(2)?);
            let parts = [path.as_bytes(), tag.as_blob()].map(|part| part.unwrap_or_default());
            // Each with its length before it, so that none can be taken for a part of another.
            digest.update((parts[0].len() as u64).to_le_bytes());
            digest.update(parts[0]);
            digest.update(bytes.to_le_bytes());
            digest.update((parts[1].len() as u64).to_le_bytes());
            digest.update(parts[1]);
            objects += 1;
            all += bytes;
        }
        Ok((objects, Bytes(all), digest.finalize().into()))
    }
}

fn version(row: &Row<'_>) -> Result<DatasetVersionRow, StoreError> {
    Ok(DatasetVersionRow {
        number: row.get("number")?,
        changes: uint(row, "changes")?,
        objects: uint(row, "objects")?,
        bytes: Bytes(uint(row, "bytes")?),
        digest: row.get("digest")?,
        by: row.get("made_by")?,
        note: row.get("note")?,
        at: Timestamp(uint(row, "made_at")?),
    })
}
