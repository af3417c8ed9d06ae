//! What a rotation of keys has to go over: wrapped keys of a dataset that are of the key before.

use crate::column::{int, rows, uint};
use crate::datasets::DatasetId;
use crate::objects::{ObjectEntry, Sealed, entry, entry_columns};
use crate::uploads::{PartRow, UploadRow};
use crate::{Read, StoreError, UploadId, Write};
use rusqlite::params;
use weft_types::QueueName;

/// A row that has a wrapped key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedRow<'a> {
    /// The object at a path that a change put.
    Object(&'a str, u64),
    /// An upload.
    Upload(UploadId),
    /// A part of one.
    Part(UploadId, u32),
}

/// An upload, one of its parts or none, and what is sealed of it.
pub type SealedUpload = (UploadRow, Option<PartRow>, Sealed);

impl Read<'_> {
    /// All teams' keys, wrapped.
    pub fn team_keys(&self) -> Result<Vec<(QueueName, Vec<u8>)>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT queue, key FROM team_keys")?;
        rows(query.query([])?, |row| Ok((crate::column::parsed(row, 0)?, row.get(1)?)))
    }

    /// The datasets of a team that have keys, also those that were ended.
    pub fn datasets_of(&self, queue: &QueueName) -> Result<Vec<DatasetId>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT id FROM datasets WHERE queue = ?1 AND key <> x''")?;
        rows(query.query([queue.as_str()])?, |row| Ok(DatasetId(uint(row, 0)?)))
    }

    /// Objects whose keys are wrapped by an earlier key of the dataset, by path and change, behind
    /// these; so many at most. Of what is sealed, the keys alone.
    pub fn objects_below(
        &self,
        dataset: DatasetId,
        number: u32,
        (path, since): (&str, u64),
        limit: u32,
    ) -> Result<Vec<(ObjectEntry, Sealed)>, StoreError> {
        let mut query = self.conn.prepare_cached(concat!(
            "SELECT ",
            entry_columns!(),
            ", key_number, key FROM objects
             WHERE dataset = ?1 AND (path, since) > (?2, ?3) AND key_number < ?4
             ORDER BY path, since LIMIT ?5"
        ))?;
        let key = params![int(dataset.0), path, int(since), number, limit];
        rows(query.query(key)?, |row| {
            let (key_number, key) = (row.get(7)?, row.get(8)?);
            let sealed = Sealed { key_number, key, notes: Vec::new(), manifest: Vec::new() };
            Ok((entry(row)?, sealed))
        })
    }

    /// As [`Read::objects_below`], all uploads and their parts.
    pub fn uploads_below(
        &self,
        dataset: DatasetId,
        number: u32,
    ) -> Result<Vec<SealedUpload>, StoreError> {
        let mut found = Vec::new();
        let mut query = self.conn.prepare_cached("SELECT id FROM uploads WHERE dataset = ?1")?;
        for id in rows(query.query([int(dataset.0)])?, |row| Ok(UploadId(uint(row, 0)?)))? {
            let Some(upload) = self.upload(id)? else { continue };
            let parts = self.upload_parts(id, 0, u32::MAX)?;
            let parts = parts.into_iter().filter(|part| part.sealed.key_number < number);
            found.extend(parts.map(|part| {
                let sealed = part.sealed.clone();
                (upload.clone(), Some(part), sealed)
            }));
            if upload.sealed.key_number < number {
                let sealed = upload.sealed.clone();
                found.push((upload, None, sealed));
            }
        }
        Ok(found)
    }
}

impl Write<'_> {
    /// Keeps a key that was wrapped anew; what it seals stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such row.
    pub fn put_sealed_key(
        &mut self,
        dataset: DatasetId,
        row: SealedRow<'_>,
        sealed: &Sealed,
    ) -> Result<(), StoreError> {
        let (number, key) = (sealed.key_number, &sealed.key);
        let changed = match row {
            SealedRow::Object(path, since) => {
                let mut put = self.conn.prepare_cached(
                    "UPDATE objects SET key_number = ?4, key = ?5
                     WHERE dataset = ?1 AND path = ?2 AND since = ?3",
                )?;
                put.execute(params![int(dataset.0), path, int(since), number, key])?
            }
            SealedRow::Upload(id) => {
                let mut put = self
                    .conn
                    .prepare_cached("UPDATE uploads SET key_number = ?2, key = ?3 WHERE id = ?1")?;
                put.execute(params![int(id.0), number, key])?
            }
            SealedRow::Part(id, part) => {
                let mut put = self.conn.prepare_cached(
                    "UPDATE upload_parts SET key_number = ?3, key = ?4
                     WHERE upload = ?1 AND number = ?2",
                )?;
                put.execute(params![int(id.0), part, number, key])?
            }
        };
        match changed {
            0 => Err(StoreError::NotFound { what: "sealed row", id: format!("{row:?}") }),
            _ => Ok(()),
        }
    }
}
