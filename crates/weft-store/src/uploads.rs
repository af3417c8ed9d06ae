//! Objects that are put in parts: what has come of each, until it is finished or given up.
//!
//! A part's chunks are needed as an object's are. What finishes an upload moves their uses to the
//! object: nothing of a chunk that one part alone has is written.

use crate::chunks::{COUNTED_AT_ONCE, ChunkKey, ChunkPlace};
use crate::column::{first, int, rows, uint};
use crate::datasets::DatasetId;
use crate::objects::{Expected, NewObject, Sealed, distinct, joined, sealed};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use weft_types::{Bytes, Timestamp};

/// An upload, by a number that is never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub u64);

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRow {
    /// Its number.
    pub id: UploadId,
    /// Of this dataset.
    pub dataset: DatasetId,
    /// Where its object will be.
    pub path: String,
    /// When it was begun.
    pub at: Timestamp,
    /// What opens its notes.
    pub sealed: Sealed,
}

/// A part to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// Its number; they need not come in order, nor be all there.
    pub number: u32,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// What opens it.
    pub sealed: Sealed,
    /// Its chunks, and where those were appended that were not there.
    pub chunks: Vec<(ChunkKey, Option<ChunkPlace>)>,
}

/// A part that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRow {
    /// Its number.
    pub number: u32,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// When it was kept.
    pub at: Timestamp,
    /// What opens it.
    pub sealed: Sealed,
}

impl Read<'_> {
    /// An upload that is neither finished nor given up.
    pub fn upload(&self, id: UploadId) -> Result<Option<UploadRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT *, x'' AS manifest FROM uploads WHERE id = ?1")?;
        first(query.query([int(id.0)])?, upload)
    }

    /// The uploads of a dataset to paths that begin so, behind this path and upload, by both; so
    /// many at most.
    pub fn uploads(
        &self,
        dataset: DatasetId,
        prefix: &str,
        (path, id): (&str, UploadId),
        limit: u32,
    ) -> Result<Vec<UploadRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT *, x'' AS manifest FROM uploads
             WHERE dataset = ?1 AND path >= ?2 AND (path > ?3 OR id > ?4)
             ORDER BY path, id LIMIT ?5",
        )?;
        let from = prefix.max(path);
        let key = params![int(dataset.0), from, path, int(id.0), limit];
        let mut found = rows(query.query(key)?, upload)?;
        found.retain(|upload| upload.path.starts_with(prefix));
        Ok(found)
    }

    /// The parts of an upload that stand behind this number, by number; so many at most.
    pub fn upload_parts(
        &self,
        id: UploadId,
        after: u32,
        limit: u32,
    ) -> Result<Vec<PartRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM upload_parts WHERE upload = ?1 AND number > ?2
             ORDER BY number LIMIT ?3",
        )?;
        rows(query.query(params![int(id.0), after, limit])?, |row| {
            Ok(PartRow {
                number: row.get("number")?,
                bytes: Bytes(uint(row, "bytes")?),
                tag: row.get("tag")?,
                at: Timestamp(uint(row, "put_at")?),
                sealed: sealed(row)?,
            })
        })
    }
}

impl Write<'_> {
    /// Begins an upload. What opens its notes, which is bound to its number, is to be put next.
    ///
    /// # Errors
    /// An unknown dataset. Callers check the path.
    pub fn begin_upload(
        &mut self,
        dataset: DatasetId,
        path: &str,
        now: Timestamp,
    ) -> Result<UploadId, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO uploads (dataset, path, begun_at, key_number, key, notes)
             VALUES (?1, ?2, ?3, 0, x'', x'')",
        )?;
        insert.execute(params![int(dataset.0), path, int(now.0)])?;
        Ok(UploadId(self.conn.last_insert_rowid().unsigned_abs()))
    }

    /// Keeps an upload's notes under seal in the place of those that it had.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: it was finished or given up.
    pub fn put_upload_notes(&mut self, id: UploadId, notes: &Sealed) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "UPDATE uploads SET key_number = ?2, key = ?3, notes = ?4 WHERE id = ?1",
        )?;
        match put.execute(params![int(id.0), notes.key_number, notes.key, notes.notes])? {
            0 => Err(missing(id)),
            _ => Ok(()),
        }
    }

    /// Keeps a part in the place of the one of its number.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: the upload was finished or given up.
    pub fn keep_part(
        &mut self,
        id: UploadId,
        part: &NewPart,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let dataset = self.upload(id)?.ok_or_else(|| missing(id))?.dataset;
        let mut old = self
            .conn
            .prepare_cached("SELECT chunks FROM upload_parts WHERE upload = ?1 AND number = ?2")?;
        let old: Option<Vec<u8>> =
            first(old.query(params![int(id.0), part.number])?, |row| Ok(row.get(0)?))?;
        let new: BTreeMap<_, _> = part.chunks.iter().copied().collect();
        self.use_chunks(dataset, new)?;
        if let Some(old) = old {
            self.release_chunks(dataset, distinct(&old), now)?;
        }
        let mut put = self.conn.prepare_cached(
            "INSERT OR REPLACE INTO upload_parts (upload, number, bytes, tag, put_at,
               key_number, key, notes, manifest, chunks)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        put.execute(params![
            int(id.0),
            part.number,
            int(part.bytes.0),
            part.tag,
            int(now.0),
            part.sealed.key_number,
            part.sealed.key,
            part.sealed.notes,
            part.sealed.manifest,
            joined(&part.chunks),
        ])?;
        self.within_quota(dataset)
    }

    /// Puts the object that an upload's parts are together, and ends the upload; the change that it
    /// was, or none where what was expected is not so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: the upload, or a part with this tag, is not there any more.
    pub fn finish_upload(
        &mut self,
        id: UploadId,
        chosen: &[(u32, Vec<u8>)],
        new: &NewObject,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let upload = self.upload(id)?.ok_or_else(|| missing(id))?;
        let mut count = self.conn.prepare_cached(
            "SELECT count(*) FROM upload_parts WHERE upload = ?1 AND number = ?2 AND tag = ?3",
        )?;
        for (number, tag) in chosen {
            // Equal tags are equal bytes and so equal chunks, whoever sent them again.
            let found: i64 = count.query_row(params![int(id.0), number, tag], |row| row.get(0))?;
            if found == 0 {
                return Err(StoreError::NotFound { what: "part", id: number.to_string() });
            }
        }
        let Some(change) = self.end_object(upload.dataset, &new.path, expected, now)? else {
            return Ok(None);
        };
        self.insert_object(upload.dataset, new, change, now)?;
        self.end_upload(id, new, now)?;
        self.within_quota(upload.dataset)?;
        Ok(Some(change))
    }

    /// Gives an upload up: what only its parts needed, nobody needs any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: it was finished or given up.
    pub fn give_up_upload(&mut self, id: UploadId, now: Timestamp) -> Result<(), StoreError> {
        self.release_parts(id, now)?;
        self.remove_upload(id)
    }

    /// What its parts needed is needed once less each; how many chunks that were.
    fn release_parts(&mut self, id: UploadId, now: Timestamp) -> Result<usize, StoreError> {
        let mut parts =
            self.conn.prepare_cached("SELECT chunks FROM upload_parts WHERE upload = ?1")?;
        let (mut counted, upload) = (0, self.upload(id)?.ok_or_else(|| missing(id))?);
        for chunks in rows(parts.query([int(id.0)])?, |row| Ok(row.get::<_, Vec<u8>>(0)?))? {
            let chunks = distinct(&chunks);
            counted += chunks.len();
            self.release_chunks(upload.dataset, chunks, now)?;
        }
        Ok(counted)
    }

    /// Gives up so many uploads that were begun before a moment, fewer where their parts have many
    /// chunks; how many there were, none where none is left.
    pub fn give_up_uploads(
        &mut self,
        begun_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT id FROM uploads WHERE begun_at < ?1 ORDER BY begun_at LIMIT ?2",
        )?;
        let old = rows(query.query(params![int(begun_before.0), limit])?, |row| {
            Ok(UploadId(uint(row, "id")?))
        })?;
        let (mut given_up, mut counted) = (0, 0);
        for id in old {
            if counted >= COUNTED_AT_ONCE {
                break;
            }
            counted += self.release_parts(id, now)?;
            self.remove_upload(id)?;
            given_up += 1;
        }
        Ok(given_up)
    }

    /// Ends an upload whose object is put: it needs once what its parts needed each.
    fn end_upload(
        &mut self,
        id: UploadId,
        new: &NewObject,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut parts =
            self.conn.prepare_cached("SELECT chunks FROM upload_parts WHERE upload = ?1")?;
        let mut uses: BTreeMap<ChunkKey, u32> = BTreeMap::new();
        for chunks in rows(parts.query([int(id.0)])?, |row| Ok(row.get::<_, Vec<u8>>(0)?))? {
            distinct(&chunks).into_iter().for_each(|id| *uses.entry(id).or_default() += 1);
        }
        let kept: std::collections::BTreeSet<ChunkKey> =
            new.chunks.iter().map(|(id, _)| *id).collect();
        if let Some(id) = kept.iter().find(|id| !uses.contains_key(*id)) {
            return Err(StoreError::Damaged(format!("a chunk of no part: {id:02x?}")));
        }
        let released = uses.into_iter().flat_map(|(id, count)| {
            std::iter::repeat_n(id, count as usize - usize::from(kept.contains(&id)))
        });
        let dataset = self.upload(id)?.ok_or_else(|| missing(id))?.dataset;
        self.release_chunks(dataset, released, now)?;
        self.remove_upload(id)
    }

    fn remove_upload(&mut self, id: UploadId) -> Result<(), StoreError> {
        let mut parts = self.conn.prepare_cached("DELETE FROM upload_parts WHERE upload = ?1")?;
        parts.execute([int(id.0)])?;
        let mut upload = self.conn.prepare_cached("DELETE FROM uploads WHERE id = ?1")?;
        match upload.execute([int(id.0)])? {
            0 => Err(missing(id)),
            _ => Ok(()),
        }
    }
}

fn missing(id: UploadId) -> StoreError {
    StoreError::NotFound { what: "upload", id: id.0.to_string() }
}

fn upload(row: &Row<'_>) -> Result<UploadRow, StoreError> {
    Ok(UploadRow {
        id: UploadId(uint(row, "id")?),
        dataset: DatasetId(uint(row, "dataset")?),
        path: row.get("path")?,
        at: Timestamp(uint(row, "begun_at")?),
        sealed: sealed(row)?,
    })
}
