//! Objects of datasets, from the change that put them to the one that ended them.
//!
//! What is under seal is kept here as it comes: the manifest, and its key wrapped. Chunks are
//! counted in the transaction that puts an object, and released in the one that forgets it.

use crate::chunks::{ChunkKey, ChunkPlace};
use crate::column::{first, int, rows, uint};
use crate::datasets::DatasetId;
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use weft_types::{Bytes, Timestamp};

/// Longest path of an object, in bytes: S3's. Callers refuse longer ones; the table does, too.
pub const PATH_MAX: usize = 1_024;

/// Bytes of a chunk's id.
const ID: usize = size_of::<ChunkKey>();

/// Of which moment of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// As it is.
    Now,
    /// As it was after so many changes: a version's.
    Changes(u64),
}

/// What must be so for an object to be put or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Anything,
    /// There is none.
    Absent,
    /// The one that is there has this tag.
    Tag(Vec<u8>),
}

/// An object to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// Where.
    pub path: String,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// Its manifest's key, wrapped by the dataset's.
    pub key: Vec<u8>,
    /// Its manifest, under seal.
    pub manifest: Vec<u8>,
    /// Its chunks, and where those were appended that were not there.
    pub chunks: Vec<(ChunkKey, Option<ChunkPlace>)>,
}

/// An object as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Where it is.
    pub path: String,
    /// The change that put it.
    pub since: u64,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// When it was put.
    pub at: Timestamp,
}

/// An object with what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRow {
    /// As lists show it.
    pub entry: ObjectEntry,
    /// Its manifest's key, wrapped by the dataset's.
    pub key: Vec<u8>,
    /// Its manifest, under seal.
    pub manifest: Vec<u8>,
}

/// What is at a moment `c`, as SQL: the same words in each query.
macro_rules! at_sql {
    ($select:literal, $rest:literal) => {
        (
            concat!($select, " WHERE dataset = ?1 AND until IS NULL AND ?2 IS NULL ", $rest),
            concat!(
                $select,
                " WHERE dataset = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2) ",
                $rest
            ),
        )
    };
}

impl At {
    fn of<'a>(self, (now, then): (&'a str, &'a str)) -> (&'a str, Option<i64>) {
        match self {
            At::Now => (now, None),
            At::Changes(changes) => (then, Some(int(changes))),
        }
    }
}

impl Read<'_> {
    /// An object.
    pub fn object(
        &self,
        dataset: DatasetId,
        path: &str,
        at: At,
    ) -> Result<Option<ObjectRow>, StoreError> {
        let (sql, changes) = at.of(at_sql!("SELECT * FROM objects", "AND path = ?3"));
        let mut query = self.conn.prepare_cached(sql)?;
        first(query.query(params![int(dataset.0), changes, path])?, |row| {
            let (key, manifest) = (row.get("key")?, row.get("manifest")?);
            Ok(ObjectRow { entry: entry(row)?, key, manifest })
        })
    }

    /// Objects whose path begins so and stands behind `after`, by the bytes of their paths; so many
    /// at most.
    pub fn objects(
        &self,
        dataset: DatasetId,
        at: At,
        (prefix, after): (&str, &str),
        limit: u32,
    ) -> Result<Vec<ObjectEntry>, StoreError> {
        let (sql, changes) = at.of(at_sql!(
            "SELECT path, since, bytes, tag, put_at FROM objects",
            "AND path >= ?3 AND path > ?4 ORDER BY path LIMIT ?5"
        ));
        let mut query = self.conn.prepare_cached(sql)?;
        let mut found = query.query(params![int(dataset.0), changes, prefix, after, limit])?;
        let mut entries = Vec::new();
        while let Some(row) = found.next()? {
            let entry = entry(row)?;
            // Paths that begin alike stand together.
            if !entry.path.starts_with(prefix) {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl Write<'_> {
    /// Puts an object in the place of the one that is there; the change that it was, or none where
    /// what was expected is not so.
    ///
    /// # Errors
    /// A chunk that is neither there nor appended, or an unknown dataset. Callers check the path.
    pub fn put_object(
        &mut self,
        dataset: DatasetId,
        new: &NewObject,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let Some(change) = self.end_object(dataset, &new.path, expected, now)? else {
            return Ok(None);
        };
        let mut chunks = Vec::with_capacity(new.chunks.len() * ID);
        new.chunks.iter().for_each(|(id, _)| chunks.extend_from_slice(id));
        // An object that has a chunk twice needs it once.
        let distinct: BTreeMap<_, _> = new.chunks.iter().copied().collect();
        self.use_chunks(distinct)?;
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO objects (dataset, path, since, bytes, tag, key, manifest, chunks, put_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        insert.execute(params![
            int(dataset.0),
            new.path,
            int(change),
            int(new.bytes.0),
            new.tag,
            new.key,
            new.manifest,
            chunks,
            int(now.0),
        ])?;
        Ok(Some(change))
    }

    /// Ends an object; whether what was expected is so. Versions that have it keep it.
    pub fn delete_object(
        &mut self,
        dataset: DatasetId,
        path: &str,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let there = self.object(dataset, path, At::Now)?.is_some();
        if !there && *expected == Expected::Anything {
            // Nothing changes, so a version after it is the one before it.
            return Ok(true);
        }
        Ok(self.end_object(dataset, path, expected, now)?.is_some())
    }

    /// Counts a change, which ends what is there.
    fn end_object(
        &mut self,
        dataset: DatasetId,
        path: &str,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let there = self.object(dataset, path, At::Now)?;
        let fits = match (expected, &there) {
            (Expected::Anything, _) | (Expected::Absent, None) => true,
            (Expected::Tag(tag), Some(there)) => *tag == there.entry.tag,
            _ => false,
        };
        if !fits {
            return Ok(None);
        }
        let change = self.changes(dataset)? + 1;
        let mut count =
            self.conn.prepare_cached("UPDATE datasets SET changes = ?2 WHERE id = ?1")?;
        count.execute(params![int(dataset.0), int(change)])?;
        let mut end = self.conn.prepare_cached(
            "UPDATE objects SET until = ?3, ended_at = ?4
             WHERE dataset = ?1 AND path = ?2 AND until IS NULL",
        )?;
        end.execute(params![int(dataset.0), path, int(change), int(now.0)])?;
        Ok(Some(change))
    }

    /// Forgets so many of what ended before a moment and is in no version, with their keys; how
    /// many there were. Their chunks may be collected then.
    pub fn forget_objects(
        &mut self,
        dataset: DatasetId,
        ended_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT path, since, chunks FROM objects
             WHERE dataset = ?1 AND ended_at < ?2 AND NOT EXISTS (
               SELECT 1 FROM dataset_versions v WHERE v.dataset = objects.dataset
               AND v.changes >= objects.since AND v.changes < objects.until)
             ORDER BY ended_at LIMIT ?3",
        )?;
        let ended =
            rows(query.query(params![int(dataset.0), int(ended_before.0), limit])?, |row| {
                Ok((row.get("path")?, uint(row, "since")?, row.get("chunks")?))
            })?;
        let mut forget = self.conn.prepare_cached(
            "DELETE FROM objects WHERE dataset = ?1 AND path = ?2 AND since = ?3",
        )?;
        for (path, since, chunks) in &ended {
            let (path, chunks): (&String, &Vec<u8>) = (path, chunks);
            forget.execute(params![int(dataset.0), path, int(*since)])?;
            let ids = chunks.as_chunks::<ID>().0;
            let distinct: std::collections::BTreeSet<ChunkKey> = ids.iter().copied().collect();
            self.release_chunks(distinct, now)?;
        }
        Ok(ended.len() as u64)
    }
}

fn entry(row: &Row<'_>) -> Result<ObjectEntry, StoreError> {
    let (since, bytes) = (uint(row, "since")?, Bytes(uint(row, "bytes")?));
    let (path, tag) = (row.get("path")?, row.get("tag")?);
    Ok(ObjectEntry { path, since, bytes, tag, at: Timestamp(uint(row, "put_at")?) })
}
